"""Worker: the process in which a run lives - the messages it takes, and the loop that moves, records and publishes.

One message is taken between two blocks of steps, never inside one. What must not be lost is written before a frame is
published. Whenever energies are sampled, a monitor looks whether the network is to be believed. Knows simulations and
recorders through the recipe it is given; must not know who watches.
"""

import logging
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection
from time import monotonic

from studio import messages
from studio.errors import SettingsError, SimulationError, StudioError
from studio.frame import Frame
from studio.history import History, Moment
from studio.messages import Begin, Control, Event, Message, Ready, Setting, Startable, State, Status
from studio.recorder import CHECKPOINT_SECONDS, Recorder
from studio.shared import Layout, SharedFrames
from studio.simulation import OpenMMSimulation
from studio.trust import Monitor, atoms_of, watch

__all__ = ["FRAME_SECONDS", "PULL_PATIENCE", "State", "Status", "Worker", "sample_seconds", "work"]

logger = logging.getLogger(__name__)

FRAME_SECONDS = 1 / 30
"""Wall time between frames: display rate."""
SAMPLE_SECONDS = 0.1
"""Least wall time between evaluations of the energy for the plots."""
SAMPLE_STEPS = 100
"""Least number of steps between them: each costs about a step, so that looking costs about 1 %."""
NICENESS = 5
"""The page and its server come first when cores are few."""
PULL_PATIENCE = 5.0
"""A pull that is neither moved nor repeated for so long is let go, s of wall time: the page that held it is gone. One that holds still
says so by repeating itself.
"""
SAME_WISH = 1.0
"""Wishes of one kind in a row, no more than this apart, s of wall time, are undone together: a slider that is drawn is one wish."""


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
        self._sampled_at = self._saved_at = self._pulled_at = self._next_at = 0.0
        self._pace: float | None = None
        self._history, self._resets = History(), 0
        self._wish: tuple[type[Message] | None, float] = (None, 0.0)

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
        """Take the messages that wait; when paused, wait for one, and when ahead of the pace, until it is time. False to end."""
        while True:
            for message in messages.newest(messages.heard(self._connection, self._rest() if self._playing else None)):
                if isinstance(message, messages.Close):
                    return False
                self._guarded(partial(self._obey, message))
            if self._playing and not self._rest():
                return True

    def _rest(self) -> float:
        """Wall time until the next block may begin, s."""
        return max(0.0, self._next_at - monotonic())

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
        elif self._simulation is not None and not isinstance(message, messages.Close):
            self._act(message)

    def _act(self, message: Control | Setting) -> None:
        """Do what a person wants, write down that it was done, and be able to undo it."""
        simulation, recorder = self._ready()
        if isinstance(message, messages.Pull):
            self._pulled_at = monotonic()
            if message.spring == simulation.spring:
                return  # held still
        self._mark(message)
        step = simulation.step
        try:
            self._control(message) if isinstance(message, Control) else self._set(message)
        except SettingsError as problem:  # refused: all else goes on
            self._send(Status("playing" if self._playing else "paused", str(problem)))
            return
        recorder.note(step, self._time(step), *messages.described(message))

    def _mark(self, message: Control | Setting) -> None:
        """Keep the moment before a wish that changes the course."""
        simulation, now = self._ready()[0], monotonic()
        moved = isinstance(message, messages.Pull) and simulation.spring and simulation.spring.atom == message.spring.atom
        if moved or not isinstance(message, messages.Undoable):
            return
        again = self._wish[0] is type(message) and now - self._wish[1] < SAME_WISH
        self._wish = (type(message), now)
        if not again:
            self._history.mark(self._moment(), simulation.checkpoint)

    def _moment(self) -> Moment:
        return Moment(self._resets, self._ready()[0].step)

    def _time(self, step: int) -> float:
        """Simulated time of a step, ps."""
        return step * self._ready()[0].thermostat.timestep / 1000.0

    def _control(self, message: Control) -> None:
        if isinstance(message, messages.Play):
            self._move(0)
        elif isinstance(message, messages.Pause):
            self._pause()
        elif isinstance(message, messages.Step):
            self._move(message.count)
        elif isinstance(message, messages.Reset):
            self._reset()
        elif isinstance(message, messages.Rollback):
            self._rollback("")
        else:
            self._undo()

    def _set(self, message: Setting) -> None:
        """Change how it goes on."""
        simulation, recorder = self._ready()
        if isinstance(message, messages.SetTemperature):
            simulation.set_temperature(message.kelvin)
        elif isinstance(message, messages.SetFriction):
            simulation.set_friction(message.per_ps)
        elif isinstance(message, messages.SetPace):
            self._pace, self._next_at = message.steps_per_second, 0.0
        elif isinstance(message, messages.Pull):
            spring = message.spring
            simulation.pull(spring.atom, spring.target, spring.stiffness)
        elif isinstance(message, messages.Release):
            simulation.release()
        else:
            simulation.restrain(message.restraints)
            recorder.save_restraints(simulation.restraints)
        self._settle(message)

    def _settle(self, message: Setting) -> None:
        """Save what a new worker must know, and show what changed where no next block does."""
        if isinstance(message, messages.SetTemperature | messages.SetFriction):
            self._save(keep=False)
        if not self._playing:
            self._frames_out().publish(self._ready()[0].advance(0))

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
        self._send(Status("paused", f"Ready at {self._told(frame)}", 1.0, doubts=doubts))

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
        self._resets += 1
        self._forget()
        self._save()
        if not self._playing:
            self._look("Back at the start")

    def _rollback(self, why: str) -> None:
        frame = self._go_to(self._good)
        if not why:
            self._send(Status("paused", f"Back at the checkpoint of {self._told(frame)}"))

    def _undo(self) -> None:
        """To the newest moment that is kept from before now, also from before a reset; called again, further back."""
        kept = self._history.before(self._moment())
        if kept is None:
            self._playing = False
            self._look("There is nothing left to undo: still")
            return
        moment, checkpoint = kept
        while self._resets > moment.resets:
            self._ready()[1].undo_start_over()
            self._resets -= 1
        frame = self._go_to(checkpoint)
        self._save()
        self._send(Status("paused", f"Back at {self._told(frame)}"))

    def _go_to(self, checkpoint: bytes) -> Frame:
        """Put the atoms where they were, pause, and forget what was recorded since."""
        simulation, recorder = self._ready()
        simulation.go_back(checkpoint)
        frame = simulation.advance(0)
        recorder.trim(frame.step)
        self._forget()
        self._playing = False
        self._frames_out().publish(frame)
        return frame

    def _look(self, what: str) -> None:
        frame = self._ready()[0].advance(0)
        self._frames_out().publish(frame)
        self._send(Status("paused", f"{what} at {self._told(frame)}"))

    def _told(self, frame: Frame) -> str:
        """When a frame is; the time of beads says that it is one of its own."""
        coarse = self._simulation is not None and self._simulation.structure.is_coarse  # a run that is only timed has no recorder
        return f"{'CG time ' if coarse else ''}{frame.time:.2f} ps"

    def _advance(self) -> None:
        """One block: move, write, publish."""
        simulation, recorder = self._ready()
        self._let_go_of_forgotten()
        due, now = recorder.due(simulation.step), monotonic()
        block = self._block(due)
        sample = block in (due, self._remaining) or now - self._sampled_at > sample_seconds(simulation.speed)
        try:
            frame = simulation.advance(block, sample)
        except SimulationError as problem:
            self._rollback(str(problem))
            raise
        self._next_at = now + block / self._pace if self._pace else 0.0
        if sample:
            self._sampled_at = now
        recorder.record(frame)
        if now - self._saved_at > CHECKPOINT_SECONDS:
            self._save()
        self._frames_out().publish(frame)
        self._count_down(block)
        if sample:
            self._doubt(frame)

    def _block(self, due: int) -> int:
        """Steps until the next frame is to be seen, recorded or the last."""
        speed = min(self._ready()[0].speed, self._pace or float("inf"))
        return max(1, min(due, self._remaining or due, int(speed * FRAME_SECONDS)))

    def _count_down(self, block: int) -> None:
        if self._remaining:
            self._remaining -= block
            if not self._remaining:
                self._pause()

    def _let_go_of_forgotten(self) -> None:
        """A release that never comes (the page was closed, the network broke) must not pull for ever."""
        simulation, recorder = self._ready()
        if simulation.spring and monotonic() - self._pulled_at > PULL_PATIENCE:
            simulation.release()
            recorder.note(simulation.step, self._time(simulation.step), "release", {"why": f"not moved for {PULL_PATIENCE:g} s"})
            self._send(Status("playing", f"The pull was let go: nobody held it for {PULL_PATIENCE:g} s."))

    def _doubt(self, frame: Frame) -> None:
        """Ask the monitor; what it tells becomes a status, and a pause where the settings want one. The last good checkpoint stays."""
        doubts = self._monitor.look(frame) if self._monitor else ()
        if not doubts:
            return
        if doubts[0].action == "pause":
            self._playing = False
        sentences = " ".join(doubt.sentence for doubt in doubts)
        state: State = "playing" if self._playing else "paused"
        self._send(Status(state, f"At {self._told(frame)}: {sentences}", atoms=atoms_of(doubts), doubts=doubts))
        self._report()

    def _forget(self) -> None:
        """The atoms jumped: what was told about them may be told again."""
        if self._monitor is not None:
            self._monitor.forget()

    def _save(self, keep: bool = True) -> None:
        """Take a checkpoint, and write it and the provenance; one to `keep` is one that undo goes back to."""
        if self._simulation is None or self._recorder is None or self._recipe is None:
            return
        self._good = self._simulation.checkpoint()
        self._saved_at = monotonic()
        self._recorder.save_checkpoint(self._good)
        if keep:
            self._history.mark(self._moment(), lambda: self._good)
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
