"""Viewer: the live 3D view of one document, fed with frames and never ahead of the browser.

It knows how a structure is laid out for the eye (what is ligand, pocket, frozen, water) and when the browser is ready for
the next frame. It must not know who makes frames. The drawing is `static/viewer.js`, where NGL comes out of the bundle
that nglview installs; nothing is fetched from outside this machine.
"""

import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import param
from bokeh.server.urls import per_app_patterns
from panel.custom import JSComponent
from panel.io.server import WSHandler

from studio.frame import Frame
from studio.io import to_pdb
from studio.structure import Structure
from studio.units import NM_PER_ANGSTROM

PATIENCE = 5.0
"""Seconds after which a frame without acknowledgement counts as lost and the newest one is sent."""

WINDOW = 2
"""Frames that may be on their way at once."""

NGL_ROUTE = "nglview-js"
"""Where the server offers NGL, relative to the page."""


def ngl_folder() -> Path:
    """The folder of nglview's browser bundle, which holds NGL, in this environment."""
    return Path(sys.prefix) / "share" / "jupyter" / "nbextensions" / "nglview-js-widgets"


def static_dirs() -> dict[str, str]:
    """What a Panel server has to offer beside the app: `pn.serve(app, static_dirs=static_dirs())`."""
    return {NGL_ROUTE: str(ngl_folder())}


class PromptSocket(WSHandler):
    """Panel's websocket without Nagle's delay, which holds each part of a message back for 40 ms."""

    def open(self) -> None:
        """Accept the connection; small messages leave at once."""
        accept: Callable[[], None] = super().open
        accept()
        self.set_nodelay(True)


def serve_promptly() -> None:
    """Make every Panel server started from now on send small messages at once."""
    for index, route in enumerate(per_app_patterns):
        if route[1] is WSHandler:
            per_app_patterns[index] = (route[0], PromptSocket)


def angstrom(frame: Frame) -> bytes:
    """The positions of `frame` as the browser takes them: float32, angstrom, x y z of each atom."""
    return np.asarray(frame.positions / np.float32(NM_PER_ANGSTROM), dtype="<f4").tobytes()


def scene_of(structure: Structure, serial: int) -> dict[str, Any]:
    """A structure laid out for the eye: its topology as PDB text and what each atom is shown as.

    Args:
        structure: What to show.
        serial: Number of this scene; frames carry it, so that late ones are dropped.
    """
    kinds = {kind: structure.atoms_of(kind) for kind in ("protein", "water")}
    rest = np.setdiff1d(np.arange(len(structure)), np.concatenate(list(kinds.values())))
    mobile = np.flatnonzero(~structure.fixed)
    shown = {
        "protein": kinds["protein"],
        "mobile": np.intersect1d(kinds["protein"], mobile),
        "ligand": rest,
        "water": kinds["water"],
        "focus": rest if rest.size else np.setdiff1d(mobile, kinds["water"]),
    }
    return {"serial": serial, "pdb": to_pdb(structure), **{name: [int(atom) for atom in atoms] for name, atoms in shown.items()}}


class Pane(JSComponent):
    """The part of the view that lives in the page; its parameters are what `viewer.js` watches."""

    scene = param.Dict(default={}, doc="What is shown; see `scene_of`.")
    highlight = param.List(default=[], item_type=int, doc="Atom indices that glow: the ML region.")
    water = param.Boolean(default=True, doc="Whether solvent is drawn.")
    dark = param.Boolean(default=False, doc="Dark background.")
    accent = param.Color(default="#14b8a6", doc="Colour of the glow.")
    ngl_url = param.String(default=f"{NGL_ROUTE}/index.js", doc="Where the page finds NGL, relative to itself.")
    problem = param.String(default="", doc="Why nothing is drawn, in a sentence; empty when all is well.")

    _esm = Path(__file__).parent / "static" / "viewer.js"
    _rename: ClassVar[Mapping[str, str | None]] = {"problem": None}


class Viewer:
    """The 3D view of one document: `show` a structure, then `send` frames as often as they come; the newest wins.

    Put the viewer itself, or its `pane`, into a Panel layout. `pane.param` tells of `problem`, and takes `highlight`, `water`,
    `dark` and `accent` at any time; none of them moves the camera.

    Args:
        dark: Dark background.
    """

    def __init__(self, dark: bool = False) -> None:
        make: Callable[..., Pane] = Pane
        self.pane = make(dark=dark, sizing_mode="stretch_both", min_height=240)
        self.pane.on_msg(lambda event: self._hear(event.data))
        self._flow, self._atoms, self._serial = Flow(), 0, 0

    def __panel__(self) -> Pane:
        return self.pane

    @property
    def delivered(self) -> int:
        """Frames that the browser has acknowledged."""
        return self._flow.delivered

    @property
    def fps(self) -> float:
        """Frames per second acknowledged over the last two seconds."""
        return self._flow.rate(time.monotonic())

    def show(self, structure: Structure, highlight: Iterable[int] = ()) -> None:
        """Show another molecule in the same view; the camera turns to it.

        Args:
            structure: What to show, at its own positions.
            highlight: Atom indices that glow.
        """
        self._flow.restart()
        self._atoms, self._serial = len(structure), self._serial + 1
        self.pane.param.update(scene=scene_of(structure, self._serial), highlight=[int(atom) for atom in highlight])

    def send(self, frame: Frame) -> None:
        """Give the newest frame; it is sent now, or as soon as the browser has drawn the last one. Never waits.

        Args:
            frame: Positions of the structure shown; a frame of another size is late and ignored.
        """
        if len(frame.positions) == self._atoms:
            self._flow.offer(frame)
            self._forward()

    def _forward(self) -> None:
        frame = self._flow.take(time.monotonic())
        if frame is not None:
            self.pane._send_msg({"frame": self._flow.number, "serial": self._serial, "positions": angstrom(frame)})

    def _hear(self, message: object) -> None:
        match message:
            case {"type": "ready", "serial": self._serial}:
                self.pane.problem = ""
                self._flow.open()
            case {"type": "ack", "frame": int(number)}:
                self._flow.acknowledge(number, time.monotonic())
            case {"type": "failed", "reason": str(reason)}:
                self.pane.problem = reason
        self._forward()


@dataclass
class Flow:
    """Flow control: at most `WINDOW` frames on their way, one waiting, newest wins.

    Two on their way keep the browser busy: one travels while the other is drawn.
    """

    delivered: int = 0
    ready: bool = False
    waiting: Frame | None = None
    last: Frame | None = None
    number: int = 0
    sent: dict[int, float] = field(default_factory=dict)
    times: deque[float] = field(default_factory=lambda: deque(maxlen=240))

    def restart(self) -> None:
        """Hold everything until the browser has loaded the molecule; what waited is dropped."""
        self.ready, self.waiting, self.last = False, None, None
        self.sent.clear()

    def open(self) -> None:
        """The browser is ready, or ready again after a reconnect: then the last frame is due once more."""
        self.ready = True
        self.sent.clear()
        self.waiting = self.waiting or self.last

    def offer(self, frame: Frame) -> None:
        """Make `frame` the one that waits."""
        self.waiting = frame

    def take(self, now: float) -> Frame | None:
        """The frame to send at time `now`, or none; its number is `number`."""
        if self.sent and now - max(self.sent.values()) >= PATIENCE:
            self.sent.clear()
        if not self.ready or self.waiting is None or len(self.sent) >= WINDOW:
            return None
        self.last, self.waiting = self.waiting, None
        self.number += 1
        self.sent[self.number] = now
        return self.last

    def acknowledge(self, number: int, now: float) -> None:
        """The browser has drawn frame `number`; earlier ones went into the same picture."""
        if number in self.sent:
            self.sent = {later: then for later, then in self.sent.items() if later > number}
            self.delivered += 1
            self.times.append(now)

    def rate(self, now: float, window: float = 2.0) -> float:
        """Acknowledged frames per second over the last `window` seconds."""
        return sum(now - then <= window for then in self.times) / window
