"""A run without a worker process, for tests of what drives and shows runs."""

import threading

from studio.frame import LocalFrames
from studio.messages import State, Status
from studio.recipes.dynamics import Dynamics
from studio.run import Run
from studio.structure import Structure

READY = Status("paused", "Ready", 1.0)


class FakeRun(Run):
    """A run whose worker is the test: `now` is how it is, `told` what it was told, in order."""

    def __init__(self, recipe: Dynamics, structure: Structure | None, now: Status = READY) -> None:
        self.recipe, self.structure, self.now = recipe, structure, now
        self.frames, self.closed = LocalFrames(), threading.Event()
        self.told: list[object] = []

    status = property(lambda self: self.now)
    shared = property(lambda _self: None)
    doubts = ()

    def play(self) -> None:
        self._becomes("play", "playing")

    def pause(self) -> None:
        self._becomes("pause", "paused", "Paused")

    def recover(self) -> None:
        self._becomes("recover", "preparing", "Starting a new worker")

    def set_temperature(self, kelvin: float) -> None:
        self.told.append(("temperature", kelvin))

    def set_friction(self, per_ps: float) -> None:
        self.told.append(("friction", per_ps))

    def set_pace(self, steps_per_second: float | None) -> None:
        self.told.append(("pace", steps_per_second))

    def close(self) -> None:
        self.closed.set()

    def _becomes(self, word: str, state: State, message: str = "") -> None:
        self.told.append(word)
        self.now = Status(state, message)
