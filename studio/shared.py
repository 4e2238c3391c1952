"""Shared frames: a `FrameStream` between processes, over one memory-mapped file.

One writer, any number of readers, no locks: three slots in turn, each stamped with its serial number before and after
it is written, so that a reader sees whether it read a frame or the middle of one. Knows frames and must not know workers.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from studio.files import write_whole
from studio.frame import Frame

_SLOTS = 3


@dataclass(frozen=True)
class Layout:
    """What both sides must agree on: where the file is, how many atoms, whether there is a box, the energies' names."""

    path: Path
    atoms: int
    periodic: bool
    energies: tuple[str, ...]

    @property
    def slot(self) -> np.dtype[np.void]:
        """The record of one frame between its two stamps."""
        return np.dtype(
            [
                ("before", "<i8"),
                ("step", "<i8"),
                ("numbers", "<f8", (6,)),
                ("box", "<f4", (3, 3)),
                ("energies", "<f8", (len(self.energies),)),
                ("positions", "<f4", (self.atoms, 3)),
                ("after", "<i8"),
            ]
        )


class SharedFrames:
    """One end of the stream.

    Args:
        layout: Agreed on by both ends.
        create: This end writes: make the file.

    Raises:
        StorageError: There is no room for the file.
    """

    def __init__(self, layout: Layout, create: bool = False) -> None:
        self.layout = layout
        if create:
            # the space is taken now: a full disk must be an error here, not a bus error at some later frame
            write_whole(layout.path, bytes(_SLOTS * layout.slot.itemsize))
        self._slots = np.memmap(layout.path, dtype=layout.slot, mode="r+" if create else "r", shape=(_SLOTS,))
        self._serial = 0

    def publish(self, frame: Frame) -> None:
        """Make `frame` the newest."""
        self._serial += 1
        slot = self._slots[self._serial % _SLOTS]
        slot["before"] = self._serial
        slot["step"] = frame.step
        slot["numbers"] = (frame.time, frame.temperature, frame.speed, frame.timestep, frame.pull_force, frame.pull_work)
        slot["energies"] = [frame.energies.get(name, np.nan) for name in self.layout.energies]
        slot["positions"] = frame.positions
        if frame.box is not None:
            slot["box"] = frame.box
        slot["after"] = self._serial

    def subscribe(self) -> "SharedSubscription":
        """A new cursor."""
        return SharedSubscription(self)

    def newer_than(self, serial: int) -> tuple[int, Frame | None]:
        """The newest whole frame after `serial` and its number, or `serial` and none."""
        for index in np.argsort(-self._slots["after"]):
            stamp = int(self._slots[index]["after"])  # before the copy: a reader must not follow a writer through the slot
            record = self._slots[index].copy()
            if stamp > serial and stamp == int(self._slots[index]["before"]):  # else a writer is or was here meanwhile
                return stamp, self._frame(record)
        return serial, None

    def _frame(self, record: np.void) -> Frame:
        time, *numbers = (float(x) for x in record["numbers"])
        energies = {name: float(value) for name, value in zip(self.layout.energies, record["energies"], strict=True)}
        box = record["box"].copy() if self.layout.periodic else None
        return Frame(int(record["step"]), time, record["positions"].copy(), box, energies, *numbers)


class SharedSubscription:
    """A cursor into `SharedFrames`."""

    def __init__(self, frames: SharedFrames) -> None:
        self._frames, self._seen = frames, 0

    def latest(self) -> Frame | None:
        """The newest unseen frame, or none."""
        self._seen, frame = self._frames.newer_than(self._seen)
        return frame
