"""Run: the handle of one simulation in its own worker process - play, pause, step, reset, and how it is.

A crash, a kill or a NaN in the worker never touches the process that holds a `Run`: its status says what happened, and
`recover` goes on from the last checkpoint. Knows the worker's messages; must not know how anything is simulated.
"""

import contextlib
import multiprocessing
import signal
import tempfile
from collections.abc import Iterable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Lock
from time import monotonic, sleep
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from studio.errors import WorkerError
from studio.frame import Frame
from studio.messages import (
    Begin,
    Close,
    Message,
    Pause,
    Play,
    Pull,
    Ready,
    Release,
    Reset,
    Restrain,
    Rollback,
    SetFriction,
    SetPace,
    SetTemperature,
    Startable,
    State,
    Status,
    Step,
    Undo,
)
from studio.settings import validated
from studio.shared import SharedFrames, SharedSubscription
from studio.steering import Restraint, Restraints, check_restraints, check_spring, spring_to
from studio.structure import Structure
from studio.trust import Doubt
from studio.units import Kelvin, PerPicosecond
from studio.worker import work

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

Pace = Annotated[float, Field(gt=0.0, le=1e6, allow_inf_nan=False)]
"""Steps per second of wall time."""

_MEMORY = Path("/dev/shm")
_spare: list["_Process"] = []
_spare_lock = Lock()


class _Process:
    """A worker process and the line to it."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.line: Connection
        self.line, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(target=work, args=(theirs,), name="potential-studio worker", daemon=True)
        self.process.start()
        theirs.close()

    def send(self, message: Message) -> None:
        with contextlib.suppress(OSError):  # a dead worker shows in the status
            self.line.send(message)

    def end(self, patience: float = 5.0) -> None:
        """Ask it to close, then make it."""
        self.send(Close())
        self.process.join(patience)
        if self.process.is_alive():
            self.process.kill()
            self.process.join(1.0)
        self.line.close()


def prewarm() -> None:
    """Start a worker now, so that the next run need not wait for its imports; does nothing if one waits already."""
    with _spare_lock:
        _spare[:] = [process for process in _spare if process.process.is_alive()]
        if not _spare:
            _spare.append(_Process())


def _take_process() -> _Process:
    with _spare_lock:
        while _spare:
            process = _spare.pop()
            if process.process.is_alive():
                return process
    return _Process()


class Run:
    """One simulation in its own process; preparing starts at once.

    Args:
        recipe: What to simulate.
        folder: Where trajectory, energies and checkpoints go; a folder with a checkpoint is continued. A temporary one,
            removed on `close`, when left out.
        structure: The prepared structure, where there is one already.

    Attributes:
        structure: The atoms as simulated; none until the worker is ready.
        provenance: Methods, versions, hashes; empty until then.
        doubts: All that spoke against the network so far, oldest first; up to date after a look at `status`.
        frames: What moves, from the first moment on.
    """

    doubts: tuple[Doubt, ...] = ()

    def __init__(self, recipe: Startable, folder: Path | None = None, structure: Structure | None = None) -> None:
        self.recipe = recipe
        self._temporary = tempfile.TemporaryDirectory(prefix="potential-studio-", ignore_cleanup_errors=True)
        self._memory = tempfile.TemporaryDirectory(prefix="potential-studio-", dir=_MEMORY if _MEMORY.is_dir() else None, ignore_cleanup_errors=True)
        self.folder = folder or Path(self._temporary.name)
        self._prepared = structure
        self.structure: Structure | None = None
        self.provenance: dict[str, str] = {}
        self.frames = RunFrames(self)
        self._shared: SharedFrames | None = None
        self._launches = 0
        self._status = Status("preparing", "Starting the worker")
        self._process = self._launch()

    @property
    def status(self) -> Status:
        """How the run is now."""
        self._hear()
        return self._status

    @property
    def shared(self) -> SharedFrames | None:
        """Where the worker publishes, once it is ready."""
        self._hear()
        return self._shared

    @property
    def pid(self) -> int | None:
        """Process id of the worker."""
        return self._process.process.pid

    def play(self) -> None:
        """Go on until told otherwise."""
        self._move(Play())

    def pause(self) -> None:
        """Stop after the current block of steps."""
        self._tell(Pause())

    def step(self, count: int = 1) -> None:
        """Go on by `count` steps, then pause."""
        self._move(Step(max(1, int(count))))

    def reset(self) -> None:
        """Back to the start; recorded frames are set aside in the folder. Settings and restraints stay, and `undo` takes it back."""
        self._tell(Reset())

    def undo(self) -> None:
        """Back to the newest moment kept from before now, paused; again, further back.

        Moments are kept at every checkpoint (some seconds) and before every action that changes the course, for some minutes.
        The atoms go back, and frames recorded since are forgotten; temperature, friction and restraints stay as they are now.
        """
        self._go_back(Undo())

    def rollback(self) -> None:
        """Back to the last good checkpoint, paused."""
        self._go_back(Rollback())

    def set_temperature(self, kelvin: float) -> None:
        """Drive the thermostat to another temperature.

        Raises:
            SettingsError: Not between 1 and 1500 K.
        """
        self._tell(SetTemperature(validated(Kelvin, kelvin)))

    def set_friction(self, per_ps: float) -> None:
        """Couple the thermostat more or less strongly.

        Args:
            per_ps: Friction, 1/ps; 0 leaves the energy alone.

        Raises:
            SettingsError: Not between 0 and 1000 per ps.
        """
        self._tell(SetFriction(validated(PerPicosecond, per_ps)))

    def set_pace(self, steps_per_second: float | None) -> None:
        """Slow motion.

        Args:
            steps_per_second: Of wall time, at most; none for as fast as can be.

        Raises:
            SettingsError: Not above 0.
        """
        self._tell(SetPace(None if steps_per_second is None else validated(Pace, steps_per_second)))

    def pull(self, atom: int, target_nm: Sequence[float], stiffness: float = 500.0) -> None:
        """Pull an atom by a spring, or move what pulls it.

        Repeat it, if need be with the same target, at least every few seconds: a pull that nobody repeats for 5 s is let go.

        Args:
            atom: Index.
            target_nm: Where to, nm, in any periodic image.
            stiffness: Of the spring, kJ/mol/nm^2.

        Raises:
            SettingsError: The atom does not exist or is frozen, or the numbers are out of range.
        """
        spring = spring_to(atom, target_nm, stiffness)
        if self.structure is not None:
            check_spring(self.structure, spring)
        self._tell(Pull(spring))

    def release(self) -> None:
        """Let go of the pulled atom."""
        self._tell(Release())

    def restrain(self, restraints: Iterable[Restraint]) -> None:
        """Hold some atoms, and no others; kept through reset, undo and a new worker.

        Args:
            restraints: All of them; none to let go.

        Raises:
            SettingsError: An atom does not exist, or is frozen.
        """
        held = validated(Restraints, tuple(restraints))
        if self.structure is not None:
            check_restraints(self.structure, held)
        self._tell(Restrain(held))

    def recover(self) -> None:
        """After a failure, or the loss of the worker: back to the last good checkpoint, in a new process if need be.

        Does nothing while the run is well.
        """
        state = self.status.state
        if state == "failed" and self._shared is not None:
            self.rollback()
        elif state in ("failed", "lost"):
            self._process.end(patience=0.0)
            self._status = Status("preparing", "Starting a new worker")
            self._process = self._launch()

    def wait(self, *states: State, timeout: float = 120.0) -> Status:
        """Wait for one of `states` (by default anything but `preparing`).

        Args:
            states: What to wait for.
            timeout: Give up after so many seconds.

        Raises:
            WorkerError: It did not come in time, or the run failed, was lost or closed instead.
        """
        end = monotonic() + timeout
        while monotonic() < end:
            status = self.status
            if status.state in states or (not states and status.state != "preparing"):
                return status
            if status.state in ("failed", "lost", "closed"):
                raise WorkerError(status.message)
            sleep(0.02)
        raise WorkerError(f"Waited {timeout:g} s for the run to be {' or '.join(states) or 'ready'}; it is {self._status.state}: {self._status.message}")

    def close(self) -> None:
        """End the worker (it writes a last checkpoint) and remove temporary files."""
        if self._status.state == "closed":
            return
        self._process.end(patience=5.0 if self._shared else 0.2)  # one that is still preparing has nothing to save
        self._status = Status("closed", "The run is closed")
        self._shared = None
        self._memory.cleanup()
        self._temporary.cleanup()

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _launch(self) -> _Process:
        self._launches += 1
        self._shared = None
        process = _take_process()
        process.send(Begin(self.recipe, self.folder, Path(self._memory.name) / f"frames-{self._launches}", self._prepared))
        return process

    def _move(self, message: Play | Step) -> None:
        self._tell(message)
        if self._status.state == "paused":  # so that waiting for the end of the motion does not end before its start
            self._status = Status("playing")

    def _go_back(self, message: Undo | Rollback) -> None:
        self._tell(message)
        if self._status.state == "failed" and self._shared is not None:
            self._status = Status("preparing", "Going back to the checkpoint")

    def _tell(self, message: Message) -> None:
        self._hear()
        if self._status.state not in ("lost", "closed"):
            self._process.send(message)

    def _hear(self) -> None:
        """Take in what the worker said; notice if it is gone."""
        if self._status.state in ("closed", "lost"):
            return
        try:
            while self._process.line.poll():
                self._take(self._process.line.recv())
        except (EOFError, OSError):
            self._process.process.join(1.0)
            self._status = Status("lost", f"The worker process {ending_of(self._process.process.exitcode)}. Recover to go on from the last checkpoint.")

    def _take(self, event: Status | Ready) -> None:
        if isinstance(event, Status):
            self._status = event
            self.doubts += event.doubts
        else:
            self.structure, self.provenance = event.structure, event.provenance
            self._shared = SharedFrames(event.layout)


class RunFrames:
    """The frames of a run, whichever worker makes them: a `FrameStream` that can be watched from the first moment on."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def subscribe(self) -> "RunSubscription":
        """A new cursor."""
        return RunSubscription(self._run)

    def publish(self, frame: Frame) -> None:
        """Refused: the worker publishes.

        Raises:
            WorkerError: Always.
        """
        raise WorkerError(f"Frames of a run come from its worker; frame {frame.step} cannot be published here.")


class RunSubscription:
    """A cursor into the frames of a run."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._source: SharedFrames | None = None
        self._cursor: SharedSubscription | None = None

    def latest(self) -> Frame | None:
        """The newest unseen frame, or none."""
        source = self._run.shared
        if source is not self._source:
            self._source, self._cursor = source, source.subscribe() if source else None
        return self._cursor.latest() if self._cursor else None


def close_all(runs: Iterable[Run]) -> None:
    """Close several runs and the waiting spare."""
    for run in runs:
        run.close()
    with _spare_lock:
        while _spare:
            _spare.pop().end(patience=1.0)


def ending_of(exitcode: int | None) -> str:
    """How a process ended, in words that follow its name.

    Args:
        exitcode: As Python tells it; none for one that is alive.
    """
    if exitcode is None:
        return "does not answer"
    if exitcode < 0:
        return f"was ended by signal {-exitcode} ({signal.Signals(-exitcode).name}); out of memory is a common cause"
    return f"ended by itself with code {exitcode}"
