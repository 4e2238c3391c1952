"""XTC, the file that trajectories are recorded in: where each frame lies, so that any of them is read without the others.

mdtraj unpacks the coordinates, but it indexes whole files only and refuses those whose end is cut off, as the end of a
file that is still being written is. So the headers are walked here. Knows the layout of the format; must not know runs.
"""

import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from studio.errors import StorageError
from studio.files import storage

_MAGIC = 1995
_HEADER = struct.Struct(">iiIf")
"""Magic number, atoms, step, time; the box and the coordinates follow."""
_PLAIN_AT, _PACKED_AT, _LENGTH_AT = 56, 92, 88
"""Where coordinates begin, and where their length is written, counted from the start of a frame."""
_PLAIN_ATOMS = 9
"""So many atoms, or fewer, are not packed."""
_PIECE = 1 << 20
STEPS = 2**32
"""Steps are counted modulo this in the file."""


@dataclass(frozen=True, eq=False)
class Block:
    """Some frames: positions (frames, atoms, 3) and boxes (frames, 3, 3) in nm, times in ps, steps."""

    positions: NDArray[np.float32]
    times: NDArray[np.float64]
    steps: NDArray[np.int64]
    boxes: NDArray[np.float32]


class Index:
    """The frames of one file, which may be growing; a missing file has none.

    Args:
        path: The file.
        atoms: How many each frame must have.

    Raises:
        StorageError: The file cannot be read, or holds another number of atoms.

    Attributes:
        skipped: Places that were no frame and were passed over.
    """

    def __init__(self, path: Path, atoms: int) -> None:
        self.path, self.atoms = path, atoms
        self._clock: NDArray[np.float64]
        self._forget(-1)
        self.refresh()

    def __len__(self) -> int:
        return len(self._starts)

    @property
    def end(self) -> int:
        """Bytes up to the end of the last whole frame."""
        return self._ends[-1] if self._ends else 0

    def end_at(self, step: int) -> int:
        """Bytes up to the end of the last whole frame that is not after `step`.

        Args:
            step: Steps since the start.
        """
        return max((end for end, written in zip(self._ends, self._steps, strict=True) if written <= step), default=0)

    @property
    def times(self) -> NDArray[np.float64]:
        """Time of each frame, ps."""
        if len(self._clock) != len(self._times):  # asked for at display rate: made anew only where frames came
            self._clock = np.array(self._times, dtype=np.float64)
            self._clock.flags.writeable = False
        return self._clock

    @property
    def steps(self) -> NDArray[np.int64]:
        """Step of each frame, modulo `STEPS`."""
        return np.array(self._steps, dtype=np.int64)

    def refresh(self) -> bool:
        """Look for frames written since; true if there is a change.

        Raises:
            StorageError: The file cannot be read, or holds another number of atoms.
        """
        before = (self._inode, len(self))
        try:
            state = self.path.stat()
            if state.st_ino != self._inode or state.st_size < self._scanned:
                self._forget(state.st_ino)
            if state.st_size > self._scanned:
                with self.path.open("rb", buffering=0) as file:  # not mapped into memory: the file may be cut meanwhile
                    self._scan(file, state.st_size)
        except FileNotFoundError:
            self._forget(-1)
        except (OSError, ValueError) as problem:
            if isinstance(problem, StorageError):
                raise
            raise StorageError(f"{self.path} cannot be read: {problem}. Check the permissions, or wait until other programs let go of it.") from problem
        return before != (self._inode, len(self))

    def read(self, first: int, last: int | None = None, atoms: NDArray[np.int64] | None = None) -> Block:
        """Unpack the frames from `first` to `last`, not included; one frame when left out.

        Args:
            first: Counted from 0.
            last: Likewise.
            atoms: Indices of the atoms wanted; all when left out.

        Raises:
            StorageError: A frame is damaged, or gone.
        """
        last = first + 1 if last is None else last
        if not 0 <= first < last <= len(self):
            raise StorageError(f"{self.path} has {len(self)} frames, counted from 0; frames {first} to {last - 1} were asked for.")
        content = bytearray()
        try:
            with self.path.open("rb") as file:
                for start, end in zip(self._starts[first:last], self._ends[first:last], strict=True):
                    file.seek(start)
                    content += file.read(end - start)
            return self._unpacked(bytes(content), last - first, atoms)
        except StorageError:
            raise  # there is no room to unpack it
        except (OSError, RuntimeError, ValueError, AssertionError) as problem:
            raise StorageError(f"Frame {first} of {self.path} is damaged or gone. The others can still be read.") from problem

    def _forget(self, inode: int) -> None:
        self._inode, self._scanned, self.skipped = inode, 0, 0
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._steps: list[int] = []
        self._times: list[float] = []
        self._clock = np.zeros(0)

    def _scan(self, file: BinaryIO, size: int) -> None:
        """Walk from header to header as far as frames are whole; where there is none, look for the next.

        Raises:
            StorageError: The file begins with something else than such a frame.
        """
        start = self._scanned
        if not start and not struct.pack(">i", _MAGIC).startswith(file.read(4)):
            raise self._hopeless()
        while start + _PLAIN_AT <= size:
            file.seek(start)
            header = file.read(_PACKED_AT)
            magic, atoms, step, time = _HEADER.unpack_from(header)
            if magic != _MAGIC or atoms != self.atoms:
                start = self._next(file, start, magic, atoms)
                continue
            end = start + self._length(header)
            if end > size:
                break
            self._starts.append(start)
            self._ends.append(end)
            self._steps.append(step)
            self._times.append(time)
            start = self._scanned = end

    def _hopeless(self) -> StorageError:
        return StorageError(f"{self.path} is damaged from its start on, or no trajectory. Move it out of the folder to go on without its frames.")

    def _length(self, header: bytes) -> int:
        """Bytes of the frame that begins so; more than there are, where the header itself is cut off."""
        if self.atoms <= _PLAIN_ATOMS:
            return _PLAIN_AT + 12 * self.atoms
        if len(header) < _PACKED_AT:
            return _PACKED_AT
        (length,) = struct.unpack_from(">I", header, _LENGTH_AT)
        return _PACKED_AT + int(length + 3) // 4 * 4

    def _next(self, file: BinaryIO, start: int, magic: int, atoms: int) -> int:
        """Where the next frame may begin, after a place that is none.

        Raises:
            StorageError: The file begins with something else than such a frame.
        """
        if start == 0 and magic == _MAGIC:
            raise StorageError(f"{self.path} holds frames of {atoms} atoms, and the structure beside it has {self.atoms}. They do not belong together.")
        self.skipped += 1
        wanted = struct.pack(">ii", _MAGIC, self.atoms)
        place = start + 1
        file.seek(place)
        piece = file.read(_PIECE)
        while (found := piece.find(wanted)) < 0 and len(piece) >= len(wanted):
            place += len(piece) - len(wanted) + 1  # it may lie across two pieces
            file.seek(place)
            piece = file.read(_PIECE)
        self._scanned = place + max(found, 0)
        return self._scanned if found >= 0 else place + len(piece)

    def _unpacked(self, content: bytes, frames: int, atoms: NDArray[np.int64] | None) -> Block:
        from mdtraj.formats import XTCTrajectoryFile

        with tempfile.TemporaryDirectory(prefix="potential-studio-") as scratch:
            path = Path(scratch) / "frames.xtc"
            with storage(path.parent):
                path.write_bytes(content)
            with XTCTrajectoryFile(str(path)) as file:
                positions, times, steps, boxes = file.read(n_frames=frames, atom_indices=atoms)
        if len(positions) != frames:
            raise ValueError("a frame is missing")
        return Block(positions, times.astype(np.float64), steps.astype(np.int64) % STEPS, boxes)
