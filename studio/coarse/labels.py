"""Labels: bead positions with the mean forces that were measured there - what a coarse model is learned from.

Knows arrays and files; must not know how mean forces are measured or what learns from them.
"""

import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from studio.errors import StructureError
from studio.files import reading, write_whole
from studio.structure import Flags, Floats, Integers

ARRAYS = ("positions", "forces", "errors")


class Label(NamedTuple):
    """One of them: positions (b, 3), nm; mean forces and their standard errors, (b, 3), kJ/mol/nm."""

    positions: Floats
    forces: Floats
    errors: Floats


@dataclass(frozen=True, eq=False)
class Labels:
    """Positions of beads and what they feel there on average over everything that is not a bead.

    Args:
        positions: (n, b, 3), nm.
        forces: Mean forces, (n, b, 3), kJ/mol/nm.
        errors: Their standard errors, (n, b, 3), kJ/mol/nm.
        temperature: Of the average, K.

    Raises:
        StructureError: The arrays do not belong together, or hold something that is no number.
    """

    positions: Floats
    forces: Floats
    errors: Floats
    temperature: float

    def __post_init__(self) -> None:
        shapes = {getattr(self, name).shape for name in ARRAYS}
        if len(shapes) != 1 or self.positions.ndim != 3 or self.positions.shape[2] != 3:
            raise StructureError(f"Expected positions, forces and errors of one shape (labels, beads, 3), got {', '.join(map(str, sorted(shapes)))}.")
        if not all(np.isfinite(getattr(self, name)).all() for name in ARRAYS):
            raise StructureError("These labels hold something that is no number. Leave out the configurations that it comes from.")

    def __len__(self) -> int:
        return len(self.positions)

    @classmethod
    def of(cls, found: Iterable[Label], temperature: float) -> "Labels":
        """Labels one by one, put together.

        Args:
            found: At least one.
            temperature: Of the average, K.

        Raises:
            StructureError: There is none.
        """
        every = list(found)
        if not every:
            raise StructureError("Expected at least one label, got none.")
        positions, forces, errors = (np.stack(arrays) for arrays in zip(*every, strict=True))
        return cls(positions, forces, errors, temperature)

    def take(self, indices: Integers | Flags) -> "Labels":
        """Some of them.

        Args:
            indices: Which, or true for each that is meant.
        """
        return Labels(self.positions[indices], self.forces[indices], self.errors[indices], self.temperature)

    def joined(self, other: "Labels") -> "Labels":
        """These, then others of the same beads at the same temperature.

        Args:
            other: The others.

        Raises:
            StructureError: They are of other beads or of another temperature.
        """
        if other.positions.shape[1] != self.positions.shape[1] or abs(other.temperature - self.temperature) > 0.01:
            raise StructureError(
                f"Labels of {self.positions.shape[1]} beads at {self.temperature:g} K cannot be joined with labels of {other.positions.shape[1]} beads "
                f"at {other.temperature:g} K: a mean force belongs to its beads and its temperature."
            )
        positions, forces, errors = (np.concatenate([getattr(self, name), getattr(other, name)]) for name in ARRAYS)
        return Labels(positions, forces, errors, self.temperature)

    def save(self, path: Path) -> None:
        """Write them, whole or not at all, in single precision.

        Args:
            path: An npz file.

        Raises:
            StorageError: No space or no permission.
        """
        content = io.BytesIO()
        arrays = {name: getattr(self, name).astype(np.float32) for name in ARRAYS}
        np.savez_compressed(content, allow_pickle=False, temperature=np.array(self.temperature), **arrays)
        write_whole(path, content.getvalue())

    @classmethod
    def load(cls, path: Path) -> "Labels":
        """What was saved.

        Args:
            path: An npz file.

        Raises:
            StorageError: It cannot be read, or holds something else.
            StructureError: Its arrays do not belong together.
        """
        wanted = reading(path, "labels that were saved here", "Measure them again, or choose another file.")
        with wanted, np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            positions, forces, errors = (file[name].astype(np.float64) for name in ARRAYS)
            return cls(positions, forces, errors, float(file["temperature"]))
