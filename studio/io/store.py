"""Structures on disk and between processes: one npz file, lossless, without pickle.

Knows the fields of `Structure` and numpy's file format, nothing else.
"""

import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from studio.errors import StorageError
from studio.files import write_whole
from studio.io.repairs import Note
from studio.structure import Droplet, Residue, Structure

VERSION = 1


def save(structure: Structure, path: str | Path) -> None:
    """Write a structure; the file appears whole or not at all.

    Args:
        structure: What to keep.
        path: Where, usually ending in `.npz`.

    Raises:
        StorageError: No space or no permission.
    """
    content = BytesIO()
    np.savez_compressed(content, allow_pickle=False, **_arrays(structure))
    write_whole(path, content.getvalue())


def load(path: str | Path) -> Structure:
    """Read what `save` wrote.

    Args:
        path: The file.

    Raises:
        StorageError: Missing, damaged, or written by a newer version.
        StructureError: The arrays do not fit together.
    """
    try:
        # numpy leaves a damaged file open; bytes need no closing.
        with np.load(BytesIO(Path(path).read_bytes()), allow_pickle=False) as arrays:
            if int(arrays["version"]) > VERSION:
                raise StorageError(f"'{path}' was written by a newer Potential Studio (format {int(arrays['version'])}, this one reads {VERSION}). Update.")
            return _structure({name: arrays[name] for name in arrays.files})
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError(f"'{path}' is missing or damaged ({type(error).__name__}). Delete it and prepare the structure again.") from error


def _arrays(structure: Structure) -> dict[str, NDArray[np.generic]]:
    """All fields as arrays of numbers or fixed-width text."""
    residues = [(r.name, r.number, r.chain) for r in structure.residues]
    arrays: dict[str, NDArray[np.generic]] = {
        "version": np.array(VERSION), "numbers": structure.numbers, "positions": structure.positions, "names": np.array(structure.names, dtype=np.str_),
        "residues": np.array(residues, dtype=np.str_).reshape(-1, 3), "residue_index": structure.residue_index, "bonds": structure.bonds,
        "bond_orders": structure.bond_orders, "formal_charges": structure.formal_charges, "multiplicity": np.array(structure.multiplicity),
        "fixed": structure.fixed, "title": np.array(structure.title), "notes": np.array(structure.notes, dtype=np.str_),
        "undoing": np.array([Note.freeze(note) for note in structure.notes], dtype=np.str_),
    }  # fmt: skip
    if structure.box is not None:
        arrays["box"] = structure.box
    if structure.droplet is not None:
        arrays["droplet"] = np.array([*structure.droplet.centre, structure.droplet.radius])
    return arrays


def _structure(arrays: dict[str, NDArray[np.generic]]) -> Structure:
    """The structure that `_arrays` took apart."""
    droplet = None
    if "droplet" in arrays:
        x, y, z, radius = (float(value) for value in arrays["droplet"].tolist())
        droplet = Droplet((x, y, z), radius)
    return Structure(
        numbers=arrays["numbers"].astype(np.int64),
        positions=arrays["positions"].astype(np.float64),
        names=tuple(arrays["names"].tolist()),
        residues=tuple(Residue(*row) for row in arrays["residues"].tolist()),
        residue_index=arrays["residue_index"].astype(np.int64),
        bonds=arrays["bonds"].astype(np.int64),
        bond_orders=arrays["bond_orders"].astype(np.float64),
        formal_charges=arrays["formal_charges"].astype(np.int64),
        multiplicity=int(arrays["multiplicity"].item()),
        box=arrays["box"].astype(np.float64) if "box" in arrays else None,
        droplet=droplet,
        fixed=arrays["fixed"].astype(np.bool_),
        title=str(arrays["title"]),
        notes=_notes(arrays),
    )


def _notes(arrays: dict[str, NDArray[np.generic]]) -> tuple[str, ...]:
    """The sentences, each with its way back; older files have none."""
    sentences = arrays["notes"].tolist()
    return tuple(map(Note.thawed, sentences, arrays["undoing"].tolist())) if "undoing" in arrays else tuple(sentences)
