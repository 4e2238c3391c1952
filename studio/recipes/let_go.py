"""Let go: replicas of a learned model move freely, and the frames of their second half are kept.

Replicas that are stopped go on where they were. Knows models and their replicas; must not know what is done with the frames.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from studio.errors import StoppedError
from studio.parts import Part, keep, kept
from studio.structure import Flags, Floats
from studio.units import Femtosecond, PerPicosecond

if TYPE_CHECKING:
    from studio.coarse.batched import BeadReplicas
    from studio.coarse.learned import LearnedModel

KEPT = ("mean", "scale")
"""Of the weights of a network, what only says how coordinates are counted."""
OFTEN = 20.0
"""Between two checkpoints, s: what a killed process loses at most."""
OnLook = Callable[[float, Floats, Floats], None]
"""Is told how much is done, where the replicas are now, (r, b, 3), and the frames so far, (f, b, 3), nm; what it raises ends the work."""


class Trial(BaseModel):
    """How a model is let go.

    Args:
        replicas: Copies that move together.
        steps: Of each.
        interval: Steps between frames that are counted; the first half of the steps is not.
        timestep: fs.
        friction: Of the thermostat, 1/ps.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    replicas: Annotated[int, Field(ge=2, le=4096)] = 256
    steps: Annotated[int, Field(ge=2, le=10**8)] = 16_000
    interval: Annotated[int, Field(ge=1, le=10**6)] = 50
    timestep: Femtosecond = 2.0
    friction: PerPicosecond = 5.0


@dataclass
class Halt:
    """Where replicas are kept that are not there yet, and the frames that count so far.

    Args:
        path: The file; none where nothing is kept.
        key: A hash of all that the frames depend on.
    """

    path: Path | None = None
    key: str = ""

    def __post_init__(self) -> None:
        self._last = monotonic()

    def found(self, moving: "BeadReplicas") -> list[Floats]:
        """The frames so far; the replicas are put where they were.

        Args:
            moving: As they start.
        """
        part = kept(self.path, self.key)
        if part is None:
            return []
        moving.restore(part.arrays)
        return list(part.arrays["frames"])

    def keep(self, moving: "BeadReplicas", counted: list[Floats], *, now: bool = False) -> None:
        """Keep them, unless that was done a moment ago.

        Args:
            moving: The replicas.
            counted: Frames so far.
            now: However short that was ago.

        Raises:
            StorageError: No space or no permission.
        """
        if now or monotonic() > self._last + OFTEN:
            keep(self.path, self.key, Part({"frames": np.array(counted, dtype=np.float32), **moving.state()}, {}))
            self._last = monotonic()


def let_go(
    model: "LearnedModel", start: Floats, trial: Trial, on_look: OnLook, *, temperature: float, seed: int = 0, halt: Halt | None = None
) -> tuple[Floats, int]:
    """Frames of the second half, copy after copy, each in the order of time, (f, b, 3), nm; and how many copies left physics.

    Copies that left physics are not among the frames.

    Args:
        model: What moves them.
        start: Of each, (r, b, 3), nm.
        trial: How long, and how.
        on_look: Called after every interval.
        temperature: K.
        seed: Of velocities and thermostat.
        halt: Where they are kept when they are stopped, and found again.

    Raises:
        StoppedError: Somebody wanted that; the replicas are kept.
        SimulationError: Not one of the copies is left.
    """
    from studio.coarse.batched import BeadReplicas

    drive = {"friction": trial.friction, "timestep": trial.timestep}
    # barriers that no copy crosses in this time would leave the shares of basins as they were at the start
    moving = BeadReplicas(model, start, np.array(model.card.masses), temperature, **drive, seed=seed, jumps=True)
    halt = halt or Halt()
    counted = halt.found(moving)
    while moving.step < trial.steps:
        moving.advance(min(trial.interval, trial.steps - moving.step))
        now = moving.positions
        if 2 * moving.step > trial.steps:
            counted.append(now.astype(np.float32))
        halt.keep(moving, counted)
        try:
            on_look(moving.step / trial.steps, now, _by_copy(counted or [now], moving.alive))
        except StoppedError:
            halt.keep(moving, counted, now=True)
            raise
    return _by_copy(counted or [moving.positions], moving.alive), moving.set_aside


def _by_copy(looks: list[Floats], alive: Flags) -> Floats:
    frames = np.stack(looks, axis=1)[alive]
    return np.asarray(frames.reshape(-1, *frames.shape[2:]), dtype=np.float64)


def without_network(model: "LearnedModel") -> "LearnedModel":
    """The prior of a model alone.

    Args:
        model: With networks.
    """
    return replace(model, weights={name: tensor if name in KEPT else tensor * 0.0 for name, tensor in model.weights.items()})
