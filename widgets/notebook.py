"""Notebook: the studio and its parts in Jupyter - shown as the last line of a cell, and told what to do from Python.

Knows IPython's ways of showing things, and which run a notebook left; must not know what the parts show.
"""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from types import CoroutineType, TracebackType
from typing import Any

import numpy as np
import panel as pn
from numpy.typing import NDArray

from studio.entry import WORDS
from studio.errors import SettingsError, StudioError, WorkerError
from studio.files import write_whole
from studio.frame import Frame
from studio.library import Library
from studio.replay import Replay
from studio.run import Run
from studio.system import EXAMPLES
from widgets import studio
from widgets.cell import LINE, Cell, pick_up
from widgets.desk import Desk, Part
from widgets.listing import clock
from widgets.opening import Refusal

try:
    from IPython import get_ipython
except ImportError:  # no notebook then
    get_ipython = None

LEFT = "notebooks.json"
"""In the library's folder: which run each notebook left."""
NAMES = ("JPY_SESSION_NAME", "POTENTIAL_STUDIO_NOTEBOOK")
"""Where the environment says which notebook this is: Jupyter's server sets the first."""
LOOK = 0.1
"""Seconds between two looks at a run that is waited for."""


class Studio(studio.Studio):
    """The whole studio in a notebook: build, choose, run, steer and compare; in Python what the screen shows.

    `studio.builder`, `.picker`, `.dial`, `.live`, `.control`, `.runs`, `.recording` and `.compare` are its parts; `studio.store` is its state.

    Args:
        what: What is opened: an example, a well-known molecule, SMILES or a file. The run that this notebook left, when left out.
        desk: Shared with other parts; one of its own when left out.
    """

    def __init__(self, what: str | None = None, desk: Desk | None = None) -> None:
        super().__init__(None, desk)
        self._asked: list[str] = []
        self.store.param.watch(self.guard.around(lambda _event: self._remember()), "entry")
        if what is None:
            self._begin(self._return())
        else:
            self.open(what)

    def open(self, what: str) -> None:
        """Build something and play it as soon as it is ready; does not wait.

        Args:
            what: An example, a well-known molecule, SMILES, or a file.
        """
        self._asked.append(what)
        self._begin(self._opened(what))

    @property
    def run(self) -> Run:
        """The run that is shown.

        Raises:
            WorkerError: There is none yet.
        """
        run: Run | None = self.store.run
        if run is None:
            raise WorkerError("Nothing runs yet. Open something first, and wait for it: await studio.until(0.1).")
        return run

    @property
    def frame(self) -> Frame:
        """The newest frame: positions in nm, energies in kJ/mol, temperature in K.

        Raises:
            WorkerError: There is none yet.
        """
        frame = self.run.frames.subscribe().latest() or self.store.frame
        if frame is None:
            raise WorkerError("There is no frame yet. Wait for one: await studio.until(0.1).")
        return frame

    @property
    def frames(self) -> NDArray[np.float32]:
        """Positions of all recorded frames, (frames, atoms, 3), nm.

        Raises:
            StudioError: Nothing is recorded yet.
        """
        replay = self._replay()
        return np.concatenate([block.positions for block in replay.blocks(range(len(replay)), 256)])

    def table(self) -> Mapping[str, NDArray[np.float64]]:
        """What was recorded with the frames and between them, a column each.

        `time_ps` (of beads `cg_time_ps`), `temperature_K`, energies in kJ/mol.

        Raises:
            StudioError: Nothing is recorded yet.
        """
        return self._replay().table

    async def until(self, ps: float, timeout: float = 900.0) -> Frame:
        """Wait until the run has come this far; it plays meanwhile.

        Args:
            ps: Simulated time, ps; of beads, CG time.
            timeout: Seconds after which waiting is given up.

        Returns:
            The newest frame.

        Raises:
            WorkerError: The run stopped, or it takes longer.
            StudioError: What was asked for is refused.
        """
        self.desk.start()
        refusal, loop = self.store.refusal, asyncio.get_running_loop()
        end = loop.time() + timeout
        while loop.time() < end:
            frame = self._arrived(refusal)
            if frame is not None and frame.time >= ps:
                return frame
            await asyncio.sleep(LOOK)
        raise WorkerError(f"{ps:g} {self._ps} were not reached within {timeout:g} s; {self._progress()}. Wait longer (timeout=...), or choose a quicker level.")

    # -- inside --------------------------------------------------------------------------------------------------------

    def _arrived(self, refusal: Refusal | None) -> Frame | None:
        """The newest frame of what was asked for, which plays; none while that is on its way."""
        news = self.store.refusal
        if news is not None and news is not refusal:
            raise WorkerError(news.sentence)
        if self.store.status.state in ("failed", "lost"):
            raise WorkerError(self.store.status.message)
        if self.store.run is None or self.store.pending is not None or self._asked:
            return None
        if self.store.status.state == "paused":
            self.store.play()
        return self.run.frames.subscribe().latest()

    @property
    def _ps(self) -> str:
        return "ps" if self.store.clock == "time" else f"ps of {self.store.clock}"

    def _progress(self) -> str:
        """How far it has come, for who waited in vain."""
        status = self.store.pending or self.store.status
        frame = self.run.frames.subscribe().latest() if self.store.run is not None else None
        reached = "there is no frame yet" if frame is None else f"{frame.time:.3g} {self._ps} are, at {frame.speed:.3g} steps/s"
        return f"{reached}, and it is {WORDS.get(status.state, status.state)}" + (f" ({status.message})" if status.message else "")

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Start it; what goes wrong stands in the alert and below the cell."""
        begin(self, work)

    async def _opened(self, what: str) -> None:
        try:
            if what in EXAMPLES:
                await self.builder.open_example(what)
            elif Path(what).is_file():
                await self.builder.open_file(what)
            else:
                await self.builder.open_smiles(what)
        finally:
            self._asked.remove(what)

    async def _return(self) -> None:
        """To the run that this notebook left."""
        number = left_run(self.store.library)
        if number is None:
            return
        entry = await asyncio.to_thread(self.store.library.refresh, number)
        self.desk.alert.say(
            f"This notebook left run {number}, {entry.title}, at {clock(entry.time_ps, entry.clock)}. It waits there: press Play to go on.", kind="note"
        )
        await self.store.reopen(number)

    def _remember(self) -> None:
        if self.store.entry is not None:
            leave_run(self.store.library, self.store.entry.id)

    def _replay(self) -> Replay:
        if self.store.entry is None:
            raise SettingsError("Nothing is open yet. Open something first, and wait for it: await studio.until(0.1).")
        replay = Replay(self.store.entry.folder)
        if not len(replay):
            raise SettingsError("Nothing of this run is recorded yet. Let it play for a moment first.")
        return replay


def prepare() -> None:
    """Teach a running notebook to show parts, and to say what went wrong in a sentence; anywhere else nothing happens."""
    shell = get_ipython() if get_ipython is not None else None
    if shell is None or not hasattr(shell, "kernel"):
        return
    formatter = shell.display_formatter.mimebundle_formatter
    formatter.for_type(Part, _bundle)
    formatter.for_type(CoroutineType, _begun)
    shell.set_custom_exc((StudioError,), _say)
    shell.kernel.comm_manager.register_target(LINE, pick_up)


def load() -> None:
    """Give the page what it needs to show parts. Happens by itself; call it again after the page was reloaded."""
    pn.extension(inline=True)


def begin(part: Part, work: Coroutine[Any, Any, None]) -> None:
    """Begin something slow and do not wait for it; what goes wrong stands in the alert and below the cell.

    Args:
        part: Whose work it is.
        work: What to do.
    """
    part.guard.start(_aloud(work))


def notebook_name() -> str:
    """Which notebook this is; empty where that is not known."""
    return next((os.environ[name] for name in NAMES if os.environ.get(name)), "")


def left_run(library: Library) -> int | None:
    """The run that this notebook left, if it is still there.

    Args:
        library: Where runs are kept.
    """
    number = _left(library).get(notebook_name())
    return number if number in {entry.id for entry in library.entries()} else None


def leave_run(library: Library, number: int) -> None:
    """Remember which run this notebook shows.

    Args:
        library: Where runs are kept.
        number: Of its entry.

    Raises:
        StorageError: No space or no permission.
    """
    write_whole(library.folder / LEFT, json.dumps(_left(library) | {notebook_name(): number}, indent=1).encode())


def _left(library: Library) -> dict[str, int]:
    try:
        known = json.loads((library.folder / LEFT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(name): number for name, number in known.items() if isinstance(number, int)} if isinstance(known, dict) else {}


async def _aloud(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except StudioError as problem:
        sys.stderr.write(f"{problem}\n")
        raise


def _bundle(part: Part, include: object = None, exclude: object = None) -> Any:
    if not pn.extension._loaded:
        load()
    show: Callable[[object, object], Any] = Cell(part)._repr_mimebundle_
    return show(include, exclude)


def _begun(work: "CoroutineType[Any, Any, Any]", include: object = None, exclude: object = None) -> dict[str, str] | None:
    """A slow deed of a part as the last line of a cell, without `await`: begin it."""
    part = work.cr_frame.f_locals.get("self") if work.cr_frame is not None else None
    if not isinstance(part, Part):
        return None
    begin(part, work)
    return {"text/plain": f"{work.__qualname__} has begun."}


def _say(_shell: object, _kind: type[StudioError], error: StudioError, _trace: TracebackType, tb_offset: int | None = None) -> list[str]:
    """What went wrong in a cell, as a sentence."""
    sys.stderr.write(f"{error}\n")
    return [str(error)]
