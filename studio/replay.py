"""Replay: a recorded run, to be looked at again - any frame at once, with its row of the table, also while it is written.

`Replay` reads the folder that `studio.recorder` writes, without holding the trajectory in memory; `Player` moves
through it at the pace of its caller's clock. Knows files and frames; must not know who made or who shows them.
"""

import json
from collections.abc import Iterator, Mapping
from math import isnan
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from studio.errors import SettingsError, StorageError
from studio.frame import Frame, LocalFrames, LocalSubscription
from studio.io import store
from studio.io.xtc import STEPS, Block, Index
from studio.recorder import ENERGIES, RECIPE, STRUCTURE, TRAJECTORY

_ENERGY = "_kJ_mol"
STEERED = ("pull_force_kJ_mol_nm", "pull_work_kJ_mol")
"""Columns about the pulling hand."""
LONGEST_STALL = 0.5
"""Wall time that one call of `advance` makes up for, s: a page that was asleep goes on where it was."""


class Replay:
    """A recorded run.

    Args:
        folder: What `studio.recorder` writes.

    Raises:
        StorageError: No run was recorded there, or its files are damaged or do not belong together.

    Attributes:
        structure: The atoms, in the order of the frames.
        rows: For each frame the row of the table with its step, or -1.
    """

    def __init__(self, folder: Path) -> None:
        if not (folder / STRUCTURE).exists():
            raise StorageError(f"There is no recorded run in {folder}: {STRUCTURE} is missing. It has not been started yet, or was moved.")
        self.folder = folder
        self.structure = store.load(folder / STRUCTURE)
        self._timestep = _timestep(folder / RECIPE)
        self._index = Index(folder / TRAJECTORY, len(self.structure))
        self._table = Table(folder / ENERGIES)
        self._match()

    def __len__(self) -> int:
        """Frames so far."""
        return len(self._index)

    @property
    def times(self) -> NDArray[np.float64]:
        """Time of each frame, ps; CG time of beads."""
        return self._index.times

    @property
    def steps(self) -> NDArray[np.int64]:
        """Step of each frame."""
        return self._index.steps

    @property
    def table(self) -> Mapping[str, NDArray[np.float64]]:
        """Columns of the table by their headings, all rows."""
        return self._table.columns

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is wrong with the files, one sentence each."""
        skipped = self._index.skipped
        return (f"{skipped} damaged places of the trajectory were passed over; all other frames are here.",) if skipped else ()

    def refresh(self) -> bool:
        """Take in what was recorded since; true if there is a change.

        Raises:
            StorageError: The files can no longer be read.
        """
        changed = [self._index.refresh(), self._table.refresh()]
        if any(changed):
            self._match()
        return any(changed)

    def frame(self, index: int) -> Frame:
        """One frame.

        Args:
            index: Counted from 0; negative ones from the end.

        Raises:
            StorageError: There is no such frame, or it is damaged.
        """
        block = self._index.read(index + len(self) if index < 0 else index)
        row = self._table.row(int(self.rows[index])) if self.rows[index] >= 0 else {}
        return Frame(
            step=int(row.get("step", block.steps[0])),
            time=float(block.times[0]),
            positions=block.positions[0],
            box=None if self.structure.box is None else block.boxes[0],
            energies={name.removesuffix(_ENERGY): value for name, value in row.items() if name.endswith(_ENERGY) and name not in STEERED},
            temperature=row.get("temperature_K", 0.0),
            speed=row.get("speed_steps_s", 0.0),
            timestep=self._timestep,
            pull_force=row.get(STEERED[0], 0.0),
            pull_work=row.get(STEERED[1], 0.0),
        )

    @property
    def end(self) -> int:
        """Bytes of the trajectory up to the end of its last whole frame."""
        return self._index.end

    def blocks(self, frames: range, size: int, atoms: NDArray[np.int64] | None = None) -> Iterator[Block]:
        """Many frames, in pieces.

        Args:
            frames: Which; counted from 0.
            size: How many are in memory at most.
            atoms: Indices of the atoms wanted; all when left out.

        Raises:
            StorageError: A frame is damaged.
        """
        if frames.step > 1:
            yield from (self._index.read(frame, atoms=atoms) for frame in frames)
            return
        for first in range(frames.start, frames.stop, size):
            yield self._index.read(first, min(first + size, frames.stop), atoms)

    def _match(self) -> None:
        known = {int(step) % STEPS: row for row, step in enumerate(self.table.get("step", ()))}
        self.rows = np.array([known.get(step, -1) for step in self.steps.tolist()], dtype=np.int64)


class Table:
    """A table with a heading (`energies.csv`), read as far as whole lines are written; damaged lines are passed over.

    Args:
        path: The file; a missing one has no rows.

    Raises:
        StorageError: The file cannot be read.

    Attributes:
        columns: All rows, by the headings.
    """

    columns: Mapping[str, NDArray[np.float64]]

    def __init__(self, path: Path) -> None:
        self._path = path
        self._forget(-1)
        self.refresh()

    def row(self, index: int) -> dict[str, float]:
        """One row by the headings; empty cells are left out."""
        return {name: value for name, value in zip(self._names, self._rows[index], strict=True) if not isnan(value)}

    def refresh(self) -> bool:
        """Take in what was written since; true if there is a change.

        Raises:
            StorageError: The file cannot be read.
        """
        before = (self._inode, len(self._rows))
        try:
            state = self._path.stat()
            if state.st_ino != self._inode or state.st_size < self._read:
                self._forget(state.st_ino)
            with self._path.open("rb") as file:
                file.seek(self._read)
                text = file.read()
        except FileNotFoundError:
            self._forget(-1)
            text = b""
        except OSError as problem:
            raise StorageError(f"{self._path} cannot be read: {problem.strerror}. Check the permissions.") from problem
        text = text[: text.rfind(b"\n") + 1]
        self._read += len(text)
        for line in text.decode("utf-8", errors="replace").split("\n"):
            self._take(line.strip().split(","))
        if before == (self._inode, len(self._rows)):
            return False
        if self._names:
            numbers = np.array(self._rows, dtype=np.float64).reshape(-1, len(self._names))
            self.columns = dict(zip(self._names, numbers.T, strict=True))
        return True

    def _forget(self, inode: int) -> None:
        self._inode, self._read = inode, 0
        self._names: tuple[str, ...] = ()
        self._rows: list[tuple[float, ...]] = []
        self.columns = {}

    def _take(self, cells: list[str]) -> None:
        if not self._names:
            self._names = tuple(cells)
        elif len(cells) == len(self._names):
            try:
                self._rows.append(tuple(float(cell or "nan") for cell in cells))
            except ValueError:
                return  # torn by a crash


class Player:
    """Moves through a replay and publishes its frames, like a run; has no clock of its own.

    Args:
        replay: What is played; may grow.
        speed: Recorded frames per second of wall time.
        loop: Begin again at the end, instead of pausing there.

    Attributes:
        position: The frame that is shown, counted from 0.
        playing: It moves when time passes.
    """

    def __init__(self, replay: Replay, speed: float = 15.0, *, loop: bool = False) -> None:
        self.replay, self.loop = replay, loop
        self.position, self.playing = 0, False
        self.speed = speed
        self._place = 0.0
        self._clock: float | None = None
        self._frames = LocalFrames()
        if len(replay):
            self.seek(0)

    @property
    def speed(self) -> float:
        """Recorded frames per second of wall time.

        Raises:
            SettingsError: Set to something else than 0.1 to 1000.
        """
        return self._speed

    @speed.setter
    def speed(self, value: float) -> None:
        if not 0.1 <= value <= 1000.0:
            raise SettingsError(f"Expected 0.1 to 1000 frames per second, got {value:g}.")
        self._speed = float(value)

    def subscribe(self) -> LocalSubscription:
        """A new cursor into the frames that are shown."""
        return self._frames.subscribe()

    def play(self) -> None:
        """Move from here on; from the start, if this is the end."""
        if self.position >= len(self.replay) - 1:
            self._place = 0.0
        self.playing, self._clock = True, None

    def pause(self) -> None:
        """Stay."""
        self.playing = False

    def seek(self, index: int) -> None:
        """Show one frame; playing goes on from there.

        Args:
            index: Counted from 0; beyond the ends, the first or last.

        Raises:
            StorageError: There is no frame yet, or this one is damaged.
        """
        index = min(max(index, 0), max(len(self.replay) - 1, 0))
        self._place, self.position = float(index), index
        self._frames.publish(self.replay.frame(index))

    def advance(self, now: float) -> bool:
        """Show the frame that is due; true if it is another one than before.

        Args:
            now: The caller's clock, s.

        Raises:
            StorageError: The frame that is due is damaged; it is passed over by the next call.
        """
        if not self.playing or not len(self.replay):
            return False
        passed = 0.0 if self._clock is None else min(max(now - self._clock, 0.0), LONGEST_STALL)
        self._clock = now
        self._place += passed * self._speed
        last = len(self.replay) - 1
        if self._place > last:
            self._place = self._place % (last + 1) if self.loop else float(last)
            self.playing = self.loop
        due = int(self._place)
        if due == self.position:
            return False
        self.position = due
        self._frames.publish(self.replay.frame(due))
        return True


def _timestep(recipe: Path) -> float:
    """The time step that the run settled on, fs; 1 where the recipe does not say."""
    try:
        step = json.loads(recipe.read_text(encoding="utf-8")).get("timestep")
    except (OSError, ValueError, AttributeError):
        return 1.0
    return float(step) if isinstance(step, int | float) else 1.0


def trajectory_of(folder: Path) -> Index | None:
    """Where the frames of a run lie, or none if nothing was recorded yet; quicker than a `Replay`.

    Args:
        folder: Of the run.

    Raises:
        StorageError: Structure or trajectory is damaged.
    """
    if not (folder / STRUCTURE).exists():
        return None
    return Index(folder / TRAJECTORY, len(store.load(folder / STRUCTURE)))
