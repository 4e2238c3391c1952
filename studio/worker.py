"""Worker: the process in which a run lives - the messages it takes, and the loop that moves, records and publishes.

One message is taken between two blocks of steps, never inside one. What must not be lost is written before a frame is
published. Whenever energies are sampled, a monitor looks whether the network is to be believed. Knows simulations and
recorders through the recipe it is given; must not know who watches.
"""

import logging
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from time import monotonic
from typing import Literal, Protocol

from studio.errors import SimulationError, StudioError
from studio.frame import Frame
from studio.recorder import CHECKPOINT_SECONDS, Recorder
from studio.result import Result
from studio.shared import Layout, SharedFrames
from studio.simulation import OpenMMSimulation
from studio.structure import Structure
from studio.trust import Doubt, Monitor, Trust, atoms_of, watch

logger = logging.getLogger(__name__)

FRAME_SECONDS = 1 / 30
"""Wall time between frames: display rate."""
SAMPLE_SECONDS = 0.1
"""Least wall time between evaluations of the energy for the plots."""
SAMPLE_STEPS = 100
"""Least number of steps between them: each costs about a step, so that looking costs about 1 %."""
NICENESS = 5
"""The page and its server come first when cores are few."""

State = Literal["preparing", "paused", "playing", "failed", "lost", "closed"]


class Startable(Protocol):
    """What a run needs of a recipe."""

    @property
    def steps(self) -> int:
        """Steps in all; not a limit for a run that is watched."""
        ...

    @property
    def trust(self) -> Trust:
        """When to doubt the network, and what to do then."""
        ...

    def to_json(self) -> str:
        """The file form."""
        ...

    def begin(
        self, structure: Structure | None = None, progress: Callable[[float, str], None] | None = None, folder: Path | None = None
    ) -> tuple[OpenMMSimulation, Recorder | None, Frame]:
        """The simulation, its recorder and the first frame."""
        ...

    def result(self, simulation: OpenMMSimulation) -> Result:
        """What there is to say about the simulation now."""
        ...


@dataclass(frozen=True)
class Begin:
    """Make the simulation of `recipe` in `folder` (or go on from the checkpoint there); publish frames in the file `frames`."""

    recipe: Startable
    folder: Path
    frames: Path
    structure: Structure | None = None


@dataclass(frozen=True)
class Play:
    """Go on until told otherwise."""


@dataclass(frozen=True)
class Pause:
    """Stop where you are."""


@dataclass(frozen=True)
class Step:
    """Go on by `count` steps, then pause."""

    count: int = 1


@dataclass(frozen=True)
class Reset:
    """Back to the start."""


@dataclass(frozen=True)
class SetTemperature:
    """Drive the thermostat to `kelvin`."""

    kelvin: float


@dataclass(frozen=True)
class Rollback:
    """Back to the last good checkpoint."""


@dataclass(frozen=True)
class Close:
    """Write a last checkpoint and end."""


@dataclass(frozen=True)
class Status:
    """How a run is, in one word and one sentence.

    Args:
        state: The word.
        message: The sentence.
        fraction: How much of the preparation is done.
        atoms: Indices of the atoms that the sentence is about.
        doubts: What speaks against the network, told now for the first time.
    """

    state: State
    message: str = ""
    fraction: float = 0.0
    atoms: tuple[int, ...] = ()
    doubts: tuple[Doubt, ...] = ()


@dataclass(frozen=True)
class Ready:
    """The simulation stands: its atoms, where its frames are, how it is made."""

    structure: Structure
    layout: Layout
    provenance: dict[str, str]


Message = Begin | Play | Pause | Step | Reset | SetTemperature | Rollback | Close
Event = Status | Ready


def sample_seconds(speed: float) -> float:
    """Wall time between evaluations of the energy for the plots, s.

    Args:
        speed: Steps per second.
    """
    return max(SAMPLE_SECONDS, SAMPLE_STEPS / max(speed, 1e-3))


def work(connection: Connection) -> None:
    """Body of the worker process: warm up, then serve messages until the other end closes.

    Args:
        connection: Messages come in, events go out.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the terminal is the parent's to handle
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    warm_up()
    Worker(connection).serve()


def warm_up() -> None:
    """Import what takes seconds, before anybody waits for it."""
    import openmm.app  # noqa: F401
    import torch

    torch.set_num_threads(1)  # small molecules: a second thread costs more than it brings, and OpenMM wants the cores


class Worker:
    """The loop.

    Args:
        connection: Messages come in, events go out.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._playing, self._remaining = False, 0
        self._simulation: OpenMMSimulation | None = None
        self._recorder: Recorder | None = None
        self._frames: SharedFrames | None = None
        self._recipe: Startable | None = None
        self._monitor: Monitor | None = None
        self._good = b""
        self._sampled_at = self._saved_at = 0.0

    def serve(self) -> None:
        """Take messages and move until told to close, or until nobody is there."""
        try:
            while self._attend():
                if self._playing:
                    self._guarded(self._advance)
        except (EOFError, BrokenPipeError, ConnectionResetError):
            logger.info("the other end is gone; closing")
        self._guarded(self._save)

    def _attend(self) -> bool:
        """Take the messages that wait; when paused, wait for one. False to end."""
        while not self._playing or self._connection.poll():
            message = self._connection.recv()
            if isinstance(message, Close):
                return False
            self._guarded(partial(self._obey, message))
        return True

    def _guarded(self, action: Callable[[], None]) -> None:
        """Do `action`; whatever it raises ends the motion and becomes a status, never the process."""
        try:
            action()
        except (EOFError, BrokenPipeError, ConnectionResetError):
            raise
        except StudioError as problem:
            self._fail(str(problem), getattr(problem, "atoms", ()))
        except Exception as problem:
            logger.exception("unexpected failure")
            self._fail(f"Something went wrong that should not have ({type(problem).__name__}: {problem}). The run is paused; please report it.")

    def _fail(self, message: str, atoms: tuple[int, ...] = ()) -> None:
        self._playing = False
        self._send(Status("failed", message, atoms=tuple(atoms)))

    def _obey(self, message: Message) -> None:
        if isinstance(message, Begin):
            self._begin(message)
            return
        if self._simulation is None:
            return
        if isinstance(message, Play):
            self._move(0)
        elif isinstance(message, Pause):
            self._pause()
        elif isinstance(message, Step):
            self._move(message.count)
        elif isinstance(message, Reset):
            self._reset()
        elif isinstance(message, SetTemperature):
            self._simulation.set_temperature(message.kelvin)
        elif isinstance(message, Rollback):
            self._rollback("")

    def _begin(self, message: Begin) -> None:
        self._send(Status("preparing", "Preparing the system"))
        simulation, recorder, frame = message.recipe.begin(message.structure, self._tell, message.folder)
        layout = Layout(message.frames, len(simulation.structure), frame.box is not None, tuple(frame.energies))
        self._simulation, self._recorder, self._recipe = simulation, recorder, message.recipe
        self._frames = SharedFrames(layout, create=True)
        self._frames.publish(frame)
        self._monitor = watch(simulation.model, message.recipe.trust)
        doubts = self._monitor.look(frame)
        self._save()
        self._send(Ready(simulation.structure, layout, dict(simulation.provenance)))
        self._send(Status("paused", f"Ready at {frame.time:.2f} ps", 1.0, doubts=doubts))

    def _tell(self, fraction: float, text: str) -> None:
        self._send(Status("preparing", text, fraction))

    def _move(self, count: int) -> None:
        """Play; for `count` steps, or without end when 0."""
        self._playing, self._remaining = True, count
        self._send(Status("playing"))

    def _pause(self) -> None:
        if self._playing:
            self._playing = False
            self._save()
            self._look("Paused")

    def _reset(self) -> None:
        simulation, recorder = self._ready()
        recorder.start_over()
        simulation.reset()
        self._forget()
        self._save()
        if not self._playing:
            self._look("Back at the start")

    def _rollback(self, why: str) -> None:
        simulation, recorder = self._ready()
        simulation.restore(self._good)
        frame = simulation.advance(0)
        recorder.trim(frame.step)
        self._forget()
        self._playing = False
        self._frames_out().publish(frame)
        if not why:
            self._send(Status("paused", f"Back at the checkpoint of {frame.time:.2f} ps"))

    def _look(self, what: str) -> None:
        frame = self._ready()[0].advance(0)
        self._frames_out().publish(frame)
        self._send(Status("paused", f"{what} at {frame.time:.2f} ps"))

    def _advance(self) -> None:
        """One block: move, write, publish."""
        simulation, recorder = self._ready()
        due = recorder.due(simulation.step)
        block = max(1, min(due, self._remaining or due, int(simulation.speed * FRAME_SECONDS)))
        now = monotonic()
        sample = block in (due, self._remaining) or now - self._sampled_at > sample_seconds(simulation.speed)
        try:
            frame = simulation.advance(block, sample)
        except SimulationError as problem:
            self._rollback(str(problem))
            raise
        if sample:
            self._sampled_at = now
        recorder.record(frame)
        if now - self._saved_at > CHECKPOINT_SECONDS:
            self._save()
        self._frames_out().publish(frame)
        if self._remaining:
            self._remaining -= block
            if not self._remaining:
                self._pause()
        if sample:
            self._doubt(frame)

    def _doubt(self, frame: Frame) -> None:
        """Ask the monitor; what it tells becomes a status, and a pause where the settings want one. The last good checkpoint stays."""
        doubts = self._monitor.look(frame) if self._monitor else ()
        if not doubts:
            return
        if doubts[0].action == "pause":
            self._playing = False
        sentences = " ".join(doubt.sentence for doubt in doubts)
        state: State = "playing" if self._playing else "paused"
        self._send(Status(state, f"At {frame.time:.2f} ps: {sentences}", atoms=atoms_of(doubts), doubts=doubts))
        self._report()

    def _forget(self) -> None:
        """The atoms jumped: what was told about them may be told again."""
        if self._monitor is not None:
            self._monitor.forget()

    def _save(self) -> None:
        """Take a checkpoint, and write it and the provenance."""
        if self._simulation is None or self._recorder is None or self._recipe is None:
            return
        self._good = self._simulation.checkpoint()
        self._saved_at = monotonic()
        self._recorder.save_checkpoint(self._good)
        self._report()

    def _report(self) -> None:
        """Write the provenance, and what was doubted so far."""
        if self._simulation is None or self._recorder is None or self._recipe is None:
            return
        result, doubted = self._recipe.result(self._simulation), self._monitor.notes if self._monitor else ()
        self._recorder.save_result(replace(result, notes=(*result.notes, *doubted)))

    def _ready(self) -> tuple[OpenMMSimulation, Recorder]:
        if self._simulation is None or self._recorder is None:
            raise SimulationError("The run is not ready yet. Wait until it is prepared.")
        return self._simulation, self._recorder

    def _frames_out(self) -> SharedFrames:
        if self._frames is None:
            raise SimulationError("The run is not ready yet. Wait until it is prepared.")
        return self._frames

    def _send(self, event: Event) -> None:
        self._connection.send(event)
