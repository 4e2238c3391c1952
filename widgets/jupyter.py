"""Jupyter: the live view in a notebook - nglview fed with frames, the buttons of a run, and its numbers.

It knows a run's buttons and a stream's newest frame, and must not know who computes them. Frames come through one task on the
kernel's own event loop, no thread. nglview never says when it has drawn a frame, so the rate is bounded instead.
"""

import asyncio
import warnings
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import ipywidgets as ipw
import numpy as np
from numpy.typing import NDArray

from studio.errors import MissingPackageError, SettingsError
from studio.frame import Frame, FrameStream
from studio.io import to_pdb
from studio.structure import Structure
from studio.units import KJ_PER_KCAL, NM_PER_ANGSTROM

if TYPE_CHECKING:
    from nglview import NGLWidget

MAX_RATE = 30.0
"""Frames per second that a notebook's front end takes without falling behind."""


class Status(Protocol):
    """What a run says about itself: `preparing`, `paused`, `playing`, `failed`, `lost` or `closed`, and a sentence."""

    @property
    def state(self) -> str:
        """One of the words above."""
        ...

    @property
    def message(self) -> str:
        """A sentence for people."""
        ...


@runtime_checkable
class Playable(Protocol):
    """A run, as far as a notebook needs it."""

    @property
    def structure(self) -> Structure | None:
        """What runs; none while it is being prepared."""
        ...

    @property
    def frames(self) -> FrameStream:
        """Where its newest frame is."""
        ...

    @property
    def status(self) -> Status:
        """How it is."""
        ...

    def play(self) -> None:
        """Go on."""
        ...

    def pause(self) -> None:
        """Stop after this block of steps."""
        ...

    def step(self, count: int = 1) -> None:
        """Advance `count` steps."""
        ...

    def reset(self) -> None:
        """Back to the start."""
        ...

    def recover(self) -> None:
        """After a failure or the loss of the worker: back to the last good checkpoint."""
        ...

    def set_temperature(self, kelvin: float) -> None:
        """Another target temperature, K."""
        ...


def show(source: Playable | FrameStream, structure: Structure | None = None, *, highlight: tuple[int, ...] = (), rate: float = 20.0) -> "NotebookView":
    """Show a run, or a bare stream of frames, live in the notebook.

    Args:
        source: A run, with buttons; or a stream, without.
        structure: What the frames of a bare stream are positions of; a run knows.
        highlight: Atom indices that stand out: the ML region.
        rate: Frames per second at most.

    Raises:
        SettingsError: A stream came without its structure, the rate is out of range, or there is no running notebook.
        MissingPackageError: nglview is not installed, or cannot be imported.
    """
    if not 0 < rate <= MAX_RATE:
        raise SettingsError(f"rate is {rate:g}; a notebook takes more than 0 and at most {MAX_RATE:g} frames per second.")
    if isinstance(source, Playable):
        return NotebookView(structure or source.structure, highlight, source.frames, source, 1.0 / rate)
    if structure is None:
        raise SettingsError("A stream holds positions only. Say what they are of: show(stream, structure).")
    return NotebookView(structure, highlight, source, None, 1.0 / rate)


def put_molecule(view: "NGLWidget", structure: Structure, highlight: tuple[int, ...] = ()) -> None:
    """Load `structure` into an nglview widget: cartoon, pocket or ligand as sticks, solvent as lines."""
    view.add_component(_nglview().TextStructure(to_pdb(structure)), default_representation=False)
    view.add_representation("cartoon", selection="protein", color="#c3cedb")
    view.add_representation("line", selection="protein and not hydrogen", color="element")
    view.add_representation("line", selection="water", color="#9cc3e6")
    view.add_representation("ball+stick", selection="not (protein or water)", color="element")
    if len(highlight):
        view.add_representation("licorice", selection=list(highlight), color="#14b8a6", radius=0.34, disable_impostor=True, side="back")
    view.center()


def _nglview() -> ModuleType:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # nglview 3.1.4 asks pkg_resources for its own version
            nglview = import_module("nglview")
    except ImportError as error:
        raise MissingPackageError(f'nglview cannot be imported ({error}). Install it with: pip install nglview==3.1.4 "setuptools<82"') from error
    return nglview


def angstrom(frame: Frame) -> NDArray[np.float32]:
    """The positions of `frame` as nglview takes them: float32, angstrom, (n, 3)."""
    return np.asarray(frame.positions / np.float32(NM_PER_ANGSTROM), dtype=np.float32)


def readout(frame: Frame, beads: bool = False) -> str:
    """The numbers of a frame in the units that people read; beads have a time of their own."""
    energy = frame.energies.get("potential")
    shown = "" if energy is None else f"energy {energy / KJ_PER_KCAL:.1f} kcal/mol"
    numbers = (
        f"{'CG time ' * beads}{frame.time:.2f} ps", f"{frame.temperature:.0f} K", shown, f"{frame.speed:.0f} steps/s", f"{frame.ns_per_day:.1f} {'CG ' * beads}ns/day",
    )  # fmt: skip
    return "&emsp;".join(number for number in numbers if number)


class NotebookView:
    """The molecule, the buttons of its run if it has one, and the numbers; it stops when closed.

    Args:
        structure: What the frames are positions of; none while the run prepares it.
        highlight: Atom indices that stand out.
        frames: Where the newest frame is.
        run: Whose buttons are shown, or none.
        interval: Seconds between two frames at least.
    """

    def __init__(self, structure: Structure | None, highlight: tuple[int, ...], frames: FrameStream, run: Playable | None, interval: float) -> None:
        self.view, self.shown = _nglview().NGLWidget(), 0
        self.view.layout.width = "100%"
        self._highlight, self._loaded = highlight, False
        self._beads = False
        if structure is not None:
            self._load(structure)
        self._cursor, self._run, self._interval = frames.subscribe(), run, interval
        self._numbers, self._status = ipw.HTML(), ipw.Label()
        buttons = [] if run is None else [buttons_of(run), temperature_of(run)]
        self.box = ipw.VBox([self.view, ipw.HBox(buttons), ipw.HBox([self._numbers, self._status])])
        self._task = _running_loop().create_task(self._stream())
        self._task.add_done_callback(self._ended)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> object:
        return self.box._repr_mimebundle_(include=include, exclude=exclude)

    @property
    def streaming(self) -> bool:
        """Whether frames still arrive."""
        return not self._task.done()

    def close(self) -> None:
        """Take the view off the page and stop the stream; the run itself goes on."""
        self._task.cancel()
        self.view.close()
        self.box.close()

    async def _stream(self) -> None:
        while self._run is None or self._run.status.state != "closed":
            self._show_newest()
            await asyncio.sleep(self._interval)

    def _load(self, structure: Structure) -> None:
        self._beads = structure.is_beads
        put_molecule(self.view, structure, self._highlight)
        self._loaded = True

    def _show_newest(self) -> None:
        frame = self._cursor.latest()
        if not self._loaded and self._run is not None and self._run.structure is not None:
            self._load(self._run.structure)
        if frame is not None and self._loaded:
            self.view.set_coordinates({0: angstrom(frame)})
            self._numbers.value = readout(frame, self._beads)
            self.shown += 1
        if self._run is not None:
            status = self._run.status
            self._status.value = status.message or status.state

    def _ended(self, task: "asyncio.Task[None]") -> None:
        error = None if task.cancelled() else task.exception()
        self._status.value = "closed" if error is None else f"The view stopped: {error}"


def buttons_of(run: Playable) -> ipw.HBox:
    """Play, pause, one step, reset, recover."""
    row = []
    actions: tuple[tuple[str, str, Callable[[], None]], ...] = (
        ("play", "Play", run.play),
        ("pause", "Pause", run.pause),
        ("step-forward", "One step", run.step),
        ("undo", "Reset", run.reset),
        ("medkit", "Recover: back to the last checkpoint", run.recover),
    )
    for icon, tip, act in actions:
        button = ipw.Button(icon=icon, tooltip=tip, layout=ipw.Layout(width="3rem", flex="0 0 auto"))
        button.on_click(lambda _button, act=act: act())
        row.append(button)
    return ipw.HBox(row, layout=ipw.Layout(flex="0 0 auto"))


def temperature_of(run: Playable) -> ipw.FloatSlider:
    """A slider for the target temperature; takes effect when released."""
    slider = ipw.FloatSlider(value=300, min=50, max=600, step=10, description="T / K", readout_format=".0f", continuous_update=False)
    slider.observe(lambda change: run.set_temperature(float(change["new"])), "value")
    return slider


def _running_loop() -> asyncio.AbstractEventLoop:
    try:
        return asyncio.get_running_loop()
    except RuntimeError as error:
        raise SettingsError("show() streams on the event loop of a notebook, and none is running here. Call it in a notebook cell.") from error
