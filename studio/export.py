"""Export: recorded runs in the formats that other programs read - trajectories, and a bundle from which a run is repeated.

Files appear whole or not at all, and long trajectories pass through in pieces. Knows files and formats; must not know
how anything is simulated.
"""

import json
import os
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from errno import ENOSPC
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from studio.errors import SettingsError, StorageError
from studio.files import storage, write_whole
from studio.inputs import FOLDER, localised, with_relative_paths
from studio.io import to_pdb
from studio.io.xtc import Block, Index
from studio.recipes.base import Recipe, load_recipe
from studio.recorder import ACTIONS, ENERGIES, HELD, RECIPE, STRUCTURE, TOPOLOGY, TRAJECTORY
from studio.replay import Replay
from studio.result import ARRAYS, PROVENANCE
from studio.script import script_of
from studio.structure import Structure
from studio.units import NM_PER_ANGSTROM

SCRIPT = "repeat.py"
FLOATS_AT_ONCE = 6_000_000
"""Coordinates that are held in memory at a time."""
MAX_MODEL = 9999

Write = Callable[[Block], None]


def export_trajectory(
    folder: Path,
    path: Path,
    first: int | None = None,
    last: int | None = None,
    *,
    stride: int = 1,
    atoms: Sequence[int] | None = None,
) -> int:
    """Write frames of a run as XTC, DCD (both with a topology beside them) or as PDB with many models; gives their number.

    Args:
        folder: Of the run.
        path: Where; the ending says the format. `NAME.xtc` and `NAME.dcd` come with `NAME-topology.pdb`.
        first: Frame to begin with, counted from 0.
        last: Frame to end before.
        stride: 1 for all, 2 for every second.
        atoms: Indices of the atoms wanted.

    Raises:
        SettingsError: Unknown ending, or no such frames or atoms.
        StorageError: The run cannot be read, or there is no space; then nothing is left behind.
    """
    write_to = _WRITERS.get(path.suffix.lower())
    if write_to is None:
        raise SettingsError(f"'{path.name}' ends in '{path.suffix}'. Expected one of {' '.join(_WRITERS)}.")
    replay = Replay(folder)
    chosen = _chosen(len(replay), first, last, stride)
    structure, picked = replay.structure, None
    if atoms is not None:
        picked = _picked(atoms, len(structure))
        structure = structure.take(picked)
    with _whole(path) as part:
        with write_to(part, structure) as write:
            for block in replay.blocks(chosen, max(1, FLOATS_AT_ONCE // (3 * len(replay.structure))), picked):
                write(block)
        _check_size(part, path.suffix.lower(), len(chosen), len(structure))
        if path.suffix.lower() != ".pdb":
            write_whole(path.with_name(f"{path.stem}-topology.pdb"), to_pdb(structure).encode())
    return len(chosen)


def export_bundle(folder: Path, path: Path, title: str = "") -> None:
    """Write a zip from which a run can be looked at anywhere, and repeated by the script in it.

    Args:
        folder: Of the run.
        path: Where.
        title: Name for people.

    Raises:
        SettingsError: The recipe is not one that this version understands.
        StorageError: The run cannot be read, or there is no space; then nothing is left behind.
    """
    replay, recipe = Replay(folder), recipe_in(folder)
    files, portable = with_relative_paths(json.loads(recipe.to_json()))
    recipe = type(recipe).model_validate(portable)
    top = path.stem or "run"
    with _whole(path) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name in (TOPOLOGY, STRUCTURE, ENERGIES, PROVENANCE, ARRAYS, ACTIONS, HELD):
            if (folder / name).exists():
                bundle.write(folder / name, f"{top}/{name}")
        if len(replay):
            _add_start(bundle, folder / TRAJECTORY, replay.end, f"{top}/{TRAJECTORY}")
        for file in files:
            if file.exists():
                bundle.write(file, f"{top}/{FOLDER}/{file.name}")
        bundle.writestr(f"{top}/{RECIPE}", recipe.to_json() + "\n")
        bundle.writestr(f"{top}/{SCRIPT}", script_of(recipe, folder, title))


def export_script(folder: Path, path: Path, title: str = "") -> None:
    """Write the script that repeats a run; it reads the run's input files where they are now.

    Args:
        folder: Of the run.
        path: Where.
        title: Name for people.

    Raises:
        SettingsError: The recipe is not one that this version understands.
        StorageError: No space, or no permission.
    """
    write_whole(path, script_of(recipe_in(folder), folder, title).encode())


def recipe_in(folder: Path) -> Recipe:
    """The recipe that a run settled on, its files where they are now.

    Args:
        folder: Of the run.

    Raises:
        SettingsError: It is not one that this version understands.
    """
    recipe: Recipe = load_recipe(folder / RECIPE)
    return type(recipe).model_validate(localised(json.loads(recipe.to_json()), folder))


def _chosen(frames: int, first: int | None, last: int | None, stride: int) -> range:
    if not frames:
        raise StorageError("Nothing was recorded yet. Let the run play first.")
    chosen = range(first or 0, frames if last is None else last, stride) if stride > 0 else range(0)
    if not chosen or chosen.start < 0 or chosen.stop > frames:
        raise SettingsError(f"The run has frames 0 to {frames - 1}; got first {first}, last {last}, stride {stride}, which choose none or others.")
    return chosen


def _picked(atoms: Sequence[int], n: int) -> NDArray[np.int64]:
    picked = np.unique(np.asarray(atoms, dtype=np.int64))
    if not len(picked) or picked[0] < 0 or picked[-1] >= n:
        raise SettingsError(f"Expected indices of atoms from 0 to {n - 1}, at least one.")
    return picked


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place at the end, or vanishes.

    Raises:
        StorageError: No space or no permission.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with storage(path.parent):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield part
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def _check_size(part: Path, ending: str, frames: int, atoms: int) -> None:
    """The libraries below do not report a full disk.

    Raises:
        OSError: The file is shorter than it should be.
    """
    short = len(Index(part, atoms)) < frames if ending == ".xtc" else part.stat().st_size < 12 * frames * atoms
    if short:
        raise OSError(ENOSPC, os.strerror(ENOSPC))


def _add_start(bundle: zipfile.ZipFile, path: Path, end: int, name: str) -> None:
    """Add the whole frames of a trajectory: it may be growing. They are packed already."""
    about = zipfile.ZipInfo.from_file(path, name)
    about.compress_type, about.file_size = zipfile.ZIP_STORED, end
    with path.open("rb") as file, bundle.open(about, "w", force_zip64=True) as target:
        while end > 0 and (piece := file.read(min(end, 1 << 20))):
            target.write(piece)
            end -= len(piece)


@contextmanager
def _xtc(part: Path, _structure: Structure) -> Iterator[Write]:
    from mdtraj.formats import XTCTrajectoryFile

    with XTCTrajectoryFile(str(part), "w") as file:

        def write(block: Block) -> None:
            file.write(block.positions, time=block.times.astype(np.float32), step=block.steps.astype(np.int32), box=block.boxes)

        yield write


@contextmanager
def _dcd(part: Path, structure: Structure) -> Iterator[Write]:
    from mdtraj.formats import DCDTrajectoryFile
    from mdtraj.utils.unitcell import box_vectors_to_lengths_and_angles

    with DCDTrajectoryFile(str(part), "w") as file:

        def write(block: Block) -> None:
            cell: dict[str, Any] = {}
            if structure.box is not None:
                a, b, c, *angles = box_vectors_to_lengths_and_angles(*np.moveaxis(block.boxes, 1, 0))
                cell = {"cell_lengths": np.stack([a, b, c], 1) / NM_PER_ANGSTROM, "cell_angles": np.stack(angles, 1)}
            try:
                file.write(block.positions / np.float32(NM_PER_ANGSTROM), **cell)
            except TypeError as problem:  # what mdtraj stumbles over when it wants to say that it could not write
                raise OSError(ENOSPC, os.strerror(ENOSPC)) from problem

        yield write


@contextmanager
def _pdb(part: Path, structure: Structure) -> Iterator[Write]:
    lines = to_pdb(structure).splitlines()
    atoms = [number for number, line in enumerate(lines) if line.startswith(("ATOM", "HETATM"))]
    around = [(lines[number][:30], lines[number][54:]) for number in atoms]
    models = count()
    with part.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines[: atoms[0]])

        def write(block: Block) -> None:
            for positions in (block.positions / np.float32(NM_PER_ANGSTROM)).tolist():
                file.write(f"MODEL     {next(models) % MAX_MODEL + 1:4d}\n")
                for (before, after), (x, y, z) in zip(around, positions, strict=True):
                    file.write(f"{before}{x:8.3f}{y:8.3f}{z:8.3f}{after}\n")
                file.write("ENDMDL\n")

        yield write
        file.writelines(f"{line}\n" for line in lines[atoms[-1] + 1 :])


_WRITERS = {".xtc": _xtc, ".dcd": _dcd, ".pdb": _pdb}
ENDINGS = tuple(_WRITERS)
"""Formats of trajectories."""
