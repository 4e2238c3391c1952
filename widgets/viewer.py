"""Viewer: the live 3D view of one document, fed with frames and never ahead of the browser; the user picks and pulls atoms in it.

It knows when the browser is ready for the next frame and what the user did to which atom. It must not know who makes frames
or what a pull does. The drawing is `static/viewer*.js`, where NGL comes out of the bundle that nglview installs; nothing is
fetched from outside this machine.
"""

import asyncio
import base64
import binascii
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from math import isfinite
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import param
from bokeh.server.urls import per_app_patterns
from panel.custom import JSComponent
from panel.io.server import WSHandler

from studio.errors import SettingsError, WorkerError
from studio.frame import Frame
from studio.structure import Structure
from studio.units import NM_PER_ANGSTROM
from widgets.flow import Flow
from widgets.scene import Scene, angstrom, cell_of

NGL_ROUTE = "nglview-js"
"""Where the server offers NGL, relative to the page."""

PARTS = ("viewer_ngl", "viewer_cell", "viewer_space", "viewer_marks", "viewer_hand", "viewer")
"""The files that make the page's module, in this order: Panel loads one module, and people read six."""

MOST_CELLS = 4
"""Molecules side by side at most."""

SNAPSHOT_SECONDS = 15.0
"""Time that the page has to answer with a picture."""

Phase = Literal["start", "move", "end"]
Undo = Callable[[], None]
_Event = TypeVar("_Event")


@dataclass(frozen=True)
class Pick:
    """A click on an atom.

    Args:
        atom: Index of the atom.
        cell: Which molecule, where several are shown.
        whole_residue: The user held Shift: the atom stands for its residue.
        remove: The user held Alt: take it away rather than add it.
    """

    atom: int
    cell: int = 0
    whole_residue: bool = False
    remove: bool = False


@dataclass(frozen=True)
class PullEvent:
    """A hand pulls an atom. Every `start` is followed by an `end`, unless the page is lost; a still hand repeats its `move` each second.

    Args:
        phase: Where in the pull this is.
        atom: Index of the atom.
        target_nm: Where the hand is: x, y, z in the molecule's coordinates, nm.
        cell: Which molecule, where several are shown.
    """

    phase: Phase
    atom: int
    target_nm: tuple[float, float, float]
    cell: int = 0


def ngl_folder() -> Path:
    """The folder of nglview's browser bundle, which holds NGL, in this environment."""
    return Path(sys.prefix) / "share" / "jupyter" / "nbextensions" / "nglview-js-widgets"


def static_dirs() -> dict[str, str]:
    """What a Panel server has to offer beside the app: `pn.serve(app, static_dirs=static_dirs())`."""
    return {NGL_ROUTE: str(ngl_folder())}


def ngl_text() -> bytes:
    """The bundle that holds NGL, for a page whose server does not offer it, as in a notebook; empty when nglview is not installed."""
    try:
        return (ngl_folder() / "index.js").read_bytes()
    except OSError:
        return b""


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


def _module() -> str:
    folder = Path(__file__).parent / "static"
    return "\n".join((folder / f"{part}.js").read_text(encoding="utf-8") for part in PARTS)


class Pane(JSComponent):
    """The part of the view that lives in the page; its parameters are what `viewer.js` watches. Only `camera` moves the camera."""

    scene = param.Dict(default={}, doc="What is shown; see `widgets.scene`.")
    camera = param.List(default=[], item_type=(int, float), doc="The orientation, 16 numbers, told when it rests; empty: as the molecule is best seen.")
    mode: Any = param.Selector(default="look", objects=["look", "pick", "pull"], doc="What a click and a drag on an atom mean.")
    pulls = param.Boolean(default=False, doc="Whether atoms can be pulled at all.")

    highlight = param.List(default=[], item_type=int, doc="Atom indices that glow: the ML region.")
    marked_cell = param.Integer(default=0, bounds=(0, MOST_CELLS - 1), doc="Which molecule the marks below are on.")
    picked = param.List(default=[], item_type=int, doc="Atom indices with a ring.")
    warned = param.List(default=[], item_type=int, doc="Atom indices outlined in the warning colour.")
    cuts = param.List(default=[], item_type=(list, tuple), doc="Pairs of atom indices: bonds that the region's edge cuts.")
    measures = param.List(default=[], item_type=dict, doc="`{'atoms': two to four indices, 'text': ...}`: dashed lines with a text.")
    labels: Any = param.Selector(default="none", objects=["none", "ligand", "picked"], doc="Which atoms show their number, counted from 1.")
    spring_label = param.String(default="", doc="What stands beside the spring: force and work.")

    cartoon = param.Boolean(default=True, doc="Whether the protein's fold is drawn.")
    water = param.Boolean(default=True, doc="Whether solvent is drawn.")
    paint = param.Dict(default={}, doc="Colours of places of the first molecule: atoms as `7`, bonds as `3-4`; empty: by element.")
    surface = param.Boolean(default=False, doc="Whether the protein's surface is drawn.")
    hydrogens: Any = param.Selector(
        default="polar", objects=["all", "polar", "none"], doc="Which hydrogens are drawn; `polar` leaves out the protein's others."
    )
    look: Any = param.Selector(default="auto", objects=["auto", "ball+stick", "licorice", "spacefill"], doc="How the ligand, or a molecule alone, is drawn.")
    overlay = param.Boolean(default=False, doc="Several molecules in one place, each in its colour, rather than side by side.")
    dark = param.Boolean(default=False, doc="Dark background.")
    accent = param.Color(default="#14b8a6", doc="Colour of the glow.")

    ngl_url = param.String(default=f"{NGL_ROUTE}/index.js", doc="Where the page finds NGL, relative to itself.")
    problem = param.String(default="", doc="Why nothing is drawn, in a sentence; empty when all is well.")

    _esm = _module()
    _rename: ClassVar[Mapping[str, str | None]] = {"problem": None}


class Viewer:
    """The 3D view of one document: `show` a structure, then `send` frames as often as they come; the newest wins.

    Put the viewer itself, or its `pane`, into a Panel layout. `pane.param` tells of `problem` and `camera`, and takes marks, looks
    and colours at any time; none of them moves the camera.

    Args:
        dark: Dark background.
    """

    def __init__(self, dark: bool = False) -> None:
        make: Callable[..., Pane] = Pane
        self.pane = make(dark=dark, sizing_mode="stretch_both", min_height=240)
        self.pane.on_msg(lambda event: self._hear(event.data))
        self._serial, self._sizes = 0, [0]
        self._flows = [Flow() for _ in range(MOST_CELLS)]
        self._pull: PullEvent | None = None
        self._pickers: list[Callable[[Pick], None]] = []
        self._pullers: list[Callable[[PullEvent], None]] = []
        self._snapshots: dict[int, asyncio.Future[bytes]] = {}
        self._numbers = count(1)

    def __panel__(self) -> Pane:
        return self.pane

    @property
    def delivered(self) -> int:
        """Frames that the browser has acknowledged, of all molecules."""
        return sum(flow.delivered for flow in self._flows)

    @property
    def fps(self) -> float:
        """Frames of one molecule per second acknowledged over the last two seconds; of several, those of the quickest."""
        return max(flow.rate(time.monotonic()) for flow in self._flows)

    def on_pick(self, react: Callable[[Pick], None]) -> Undo:
        """Call `react` with every atom that the user clicks in mode `pick`.

        Returns:
            A function that takes the connection back; calling it again does nothing.
        """
        return _connect(self._pickers, react)

    def on_pull(self, react: Callable[[PullEvent], None]) -> Undo:
        """Call `react` when the user pulls an atom: in mode `pull`, or with Ctrl held in any mode. Atoms can be pulled from now on.

        Returns:
            A function that takes the connection back; calling it again does nothing.
        """
        self.pane.pulls = True
        undo = _connect(self._pullers, react)

        def take_back() -> None:
            undo()
            self.pane.pulls = bool(self._pullers)

        return take_back

    def show(self, structure: Structure, highlight: Iterable[int] = (), *, keep_camera: bool = False, camera: Sequence[float] = ()) -> None:
        """Show another molecule in the same view, without the marks of the one before; the camera turns to it.

        Args:
            structure: What to show, at its own positions.
            highlight: Atom indices that glow.
            keep_camera: The camera stays, as when the same molecule is seen in another way.
            camera: Where the camera stands, as `pane.camera` told it; empty for the best view.
        """
        self._show([(structure, highlight, "")], keep_camera, camera)

    def show_many(
        self,
        molecules: Sequence[tuple[Structure, Iterable[int], str]],
        *,
        keep_camera: bool = False,
        camera: Sequence[float] = (),
        tones: Sequence[int] = (),
    ) -> None:
        """Show two to four molecules under one camera: side by side, or in one place where `pane.overlay` says so.

        Args:
            molecules: Each with the atom indices that glow and its name.
            keep_camera: The camera stays.
            camera: Where the camera stands; empty for the best view of the first.
            tones: Which of the colours each has in one place; one after the other when left out.

        Raises:
            SettingsError: None, or too many.
        """
        if not 1 <= len(molecules) <= MOST_CELLS:
            raise SettingsError(f"{len(molecules)} molecules cannot be shown side by side: choose 1 to {MOST_CELLS}.")
        self._show(molecules, keep_camera, camera, tones)

    def _show(self, molecules: Sequence[tuple[Structure, Iterable[int], str]], keep_camera: bool, camera: Sequence[float], tones: Sequence[int] = ()) -> None:
        self._serial += 1
        self._sizes = [len(structure) for structure, _, _ in molecules]
        for flow in self._flows:
            flow.restart()
        self._let_go()
        cells = [cell_of(*molecule, tone) for molecule, tone in zip(molecules, tones or range(MOST_CELLS), strict=False)]
        placed = {} if keep_camera else {"camera": [float(number) for number in camera]}
        marks = {"highlight": cells[0]["highlight"], "paint": {}, "picked": [], "warned": [], "cuts": [], "measures": [], "marked_cell": 0, "spring_label": ""}
        self.pane.param.update(scene=Scene(serial=self._serial, keep=keep_camera, cells=cells), **marks, **placed)

    def send(self, frame: Frame, cell: int = 0) -> None:
        """Give the newest frame; it is sent now, or as soon as the browser has drawn the last one. Never waits.

        Args:
            frame: Positions of the structure shown; a frame of another size is late and ignored.
            cell: Which molecule, where several are shown.
        """
        if cell < len(self._sizes) and len(frame.positions) == self._sizes[cell]:
            self._flows[cell].offer(frame)
            self._forward(cell)

    def centre(self, atoms: Iterable[int] = (), cell: int = 0) -> None:
        """Bring atoms to the middle of the view; the direction of sight stays.

        Args:
            atoms: Atom indices; none for what the molecule is about.
            cell: Which molecule, where several are shown.
        """
        self.pane._send_msg({"type": "centre", "atoms": [int(atom) for atom in atoms], "cell": cell})

    def snapshot(self, width: int = 0, transparent: bool = False) -> "asyncio.Future[bytes]":
        """The picture as the page shows it, marks included, as PNG, when it comes.

        The page's answer waits while a callback of the document or a notebook cell runs: there, use the future's `add_done_callback`,
        or await it in a task of its own.

        Args:
            width: Pixels across; the shape is that of the view. 0 for as many as the view has.
            transparent: No background.

        Returns:
            The future picture. It fails with `WorkerError` if no page shows the view, or it is hidden or does not answer.
        """
        number, loop = next(self._numbers), asyncio.get_running_loop()
        self._snapshots[number] = picture = loop.create_future()
        self.pane._send_msg({"type": "snapshot", "id": number, "width": width, "transparent": transparent})
        patience = loop.call_later(SNAPSHOT_SECONDS, self._receive, number, "")
        picture.add_done_callback(lambda _done: patience.cancel())
        return picture

    def _forward(self, cell: int) -> None:
        flow = self._flows[cell]
        frame = flow.take(time.monotonic())
        if frame is not None:
            self.pane._send_msg({"type": "frame", "number": flow.number, "serial": self._serial, "cell": cell, "positions": angstrom(frame)})

    def _hear(self, message: object) -> None:
        match message:
            case {"type": "ready", "serial": self._serial}:
                self.pane.problem = ""
                for flow in self._flows:
                    flow.open()
            case {"type": "ack", "frames": list(drawn)}:
                self._acknowledge(drawn)
            case {"type": "failed", "reason": str(reason)}:
                self.pane.problem = reason
            case {"type": "need-ngl"}:
                self.pane._send_msg({"type": "ngl", "text": ngl_text()})
            case {"type": "snapshot", "id": int(number), "png": str(text)}:
                self._receive(number, text)
            case _:
                self._hear_hand(message)
        for cell in range(len(self._flows)):
            self._forward(cell)

    def _acknowledge(self, drawn: list[Any]) -> None:
        for pair in drawn:
            match pair:
                case [int(cell), int(number)] if 0 <= cell < len(self._flows):
                    self._flows[cell].acknowledge(number, time.monotonic())

    def _receive(self, number: int, text: str) -> None:
        picture = self._snapshots.pop(number, None)
        if picture is None or picture.done():
            return
        try:
            png = base64.b64decode(text, validate=True)
        except binascii.Error:
            png = b""
        if png:
            picture.set_result(png)
        else:
            picture.set_exception(WorkerError("The 3D view gave no picture. Open the page that shows it, bring it to the front, and try again."))

    def _hear_hand(self, message: object) -> None:
        """What the user did to an atom; what names no atom of this scene is late and ignored."""
        match message:
            case {"type": "pick", "atom": int(atom), "cell": int(cell), "shift": bool(shift), "alt": bool(alt)} if self._has(cell, atom):
                for pick in tuple(self._pickers):
                    pick(Pick(atom, cell, whole_residue=shift, remove=alt))
            case {"type": "pull", "phase": "start" | "move" | "end" as phase, "atom": int(atom), "cell": int(cell), "target": [x, y, z]} if self._has(
                cell, atom
            ):
                target = _nanometres(x, y, z)
                if target is not None:
                    self._hear_pull(PullEvent(phase, atom, target, cell))

    def _hear_pull(self, event: PullEvent) -> None:
        """Hand on a pull whose phases follow each other; the late `move` or `end` of one that is over is ignored."""
        same = self._pull is not None and (self._pull.atom, self._pull.cell) == (event.atom, event.cell)
        if event.phase == "start":
            self._let_go()
        elif not same:
            return
        self._pull = None if event.phase == "end" else event
        for react in tuple(self._pullers):
            react(event)

    def _let_go(self) -> None:
        """End the pull under way, if there is one: its molecule is gone, or another begins."""
        if self._pull is not None:
            self._hear_pull(replace(self._pull, phase="end"))

    def _has(self, cell: int, atom: int) -> bool:
        return 0 <= cell < len(self._sizes) and 0 <= atom < self._sizes[cell]


def _nanometres(*coordinates: object) -> tuple[float, float, float] | None:
    """A point that the page sent in angstrom, or none if it is no point."""
    x, y, z = (float(each) * NM_PER_ANGSTROM if isinstance(each, int | float) and isfinite(each) else None for each in coordinates)
    return None if x is None or y is None or z is None else (x, y, z)


def _connect(reactions: list[Callable[[_Event], None]], react: Callable[[_Event], None]) -> Undo:
    reactions.append(react)

    def undo() -> None:
        reactions[:] = [each for each in reactions if each is not react]

    return undo
