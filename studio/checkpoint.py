"""Checkpoint: one instant of a simulation, as bytes and back.

Knows numpy's file format; must not know what moves.
"""

import io
from dataclasses import dataclass, fields
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from studio.errors import StorageError
from studio.structure import Floats


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """All that is needed to go on.

    Args:
        key: Of the structure.
        positions: (n, 3), nm.
        velocities: (n, 3), nm/ps.
        box: Periodic box vectors as rows (3, 3), nm.
        step: Steps since the start.
        constrained: Whether constraints were applied already.
        temperature: Of the thermostat, K.
        friction: Of the thermostat, 1/ps; not a number where an older version wrote none.
        platform: OpenMM platform that wrote it.
        native: OpenMM's own checkpoint, good on that platform only.
    """

    key: str
    positions: Floats
    velocities: Floats
    box: Floats
    step: int
    constrained: bool
    temperature: float
    friction: float
    platform: str
    native: bytes

    def to_bytes(self) -> bytes:
        """As npz."""
        buffer = io.BytesIO()
        values = {field.name: np.asarray(getattr(self, field.name)) for field in fields(self)}
        values["native"] = np.frombuffer(self.native, dtype=np.uint8)
        np.savez(buffer, **values)  # type: ignore[arg-type]
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> "Checkpoint":
        """What `to_bytes` wrote.

        Raises:
            StorageError: It is damaged.
        """
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as data:
                return cls._from_arrays(dict(data))
        except (ValueError, OSError, KeyError, EOFError, BadZipFile) as problem:
            raise StorageError(f"The checkpoint is damaged and cannot be read ({problem}). Start again, or use an older checkpoint.") from problem

    @classmethod
    def _from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> "Checkpoint":
        return cls(
            key=str(arrays["key"]),
            positions=arrays["positions"],
            velocities=arrays["velocities"],
            box=arrays["box"],
            step=int(arrays["step"]),
            constrained=bool(arrays["constrained"]),
            temperature=float(arrays["temperature"]),
            friction=float(arrays.get("friction", np.nan)),
            platform=str(arrays["platform"]),
            native=arrays["native"].tobytes(),
        )
