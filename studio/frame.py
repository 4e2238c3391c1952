"""Frame and FrameStream: the newest picture of a running system, and a place to look for it.

Newest wins: publishing never waits, and a subscription is a cursor, not a queue. Knows arrays and must not know who
makes or shows them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Frame:
    """One instant of a simulation.

    Args:
        step: Integration steps since the start.
        time: Simulated time, ps; of beads, CG time, which is never that of atoms.
        positions: Coordinates, (n, 3), nm, single precision.
        box: Box vectors (3, 3), nm, or none.
        energies: Energy of each component, kJ/mol; `potential` (the physics alone) and `kinetic` always, others by name; the energy of
            springs that a person added as `pull` and `restraint`.
        temperature: Instantaneous temperature, K.
        speed: Steps per second of wall time.
        timestep: Length of a step, fs.
        pull_force: Of the pulling spring, kJ/mol/nm.
        pull_work: What the pulling hand has done since it took hold, kJ/mol; after it let go, what the molecule received.
    """

    step: int
    time: float
    positions: NDArray[np.float32]
    box: NDArray[np.float32] | None = None
    energies: Mapping[str, float] = field(default_factory=dict)
    temperature: float = 0.0
    speed: float = 0.0
    timestep: float = 1.0
    pull_force: float = 0.0
    pull_work: float = 0.0

    @property
    def ns_per_day(self) -> float:
        """Simulated nanoseconds per day of wall time; of beads, of CG time."""
        return self.speed * self.timestep * 86400e-6


class Subscription(Protocol):
    """A cursor into a stream."""

    def latest(self) -> Frame | None:
        """The newest frame, or none if there is nothing newer than the last one that this cursor gave."""
        ...


class FrameStream(Protocol):
    """Where frames are published; any number of readers, none of which can slow the writer."""

    def publish(self, frame: Frame) -> None:
        """Make `frame` the newest."""
        ...

    def subscribe(self) -> Subscription:
        """A new cursor; its first `latest` gives the newest frame there is."""
        ...


class LocalFrames:
    """A stream within one process."""

    def __init__(self) -> None:
        self._newest: tuple[int, Frame | None] = (0, None)

    def publish(self, frame: Frame) -> None:
        """Make `frame` the newest."""
        self._newest = (self._newest[0] + 1, frame)

    def subscribe(self) -> "LocalSubscription":
        """A new cursor."""
        return LocalSubscription(self)

    @property
    def newest(self) -> tuple[int, Frame | None]:
        """Serial number and newest frame."""
        return self._newest


class LocalSubscription:
    """A cursor into `LocalFrames`."""

    def __init__(self, stream: LocalFrames) -> None:
        self._stream, self._seen = stream, 0

    def latest(self) -> Frame | None:
        """The newest unseen frame, or none."""
        serial, frame = self._stream.newest
        if serial == self._seen:
            return None
        self._seen = serial
        return frame
