"""Parcel: a kept run as one file to take home - a trajectory, its energies, its recipe, a script, or all of it.

Knows which kinds there are and what each is good for; how they are written is the business of `studio.export`.
"""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from studio.entry import Entry
from studio.errors import SettingsError, StorageError
from studio.export import export_bundle, export_script, export_trajectory, recipe_in
from studio.files import storage, write_whole
from studio.recorder import ENERGIES, TOPOLOGY, TRAJECTORY

Write = Callable[[Entry, Path], object]
BYTES_DCD, BYTES_PDB = 12, 81
"""That one atom takes in one frame."""


@dataclass(frozen=True)
class Kind:
    """One way to take a run home.

    Args:
        ending: Of the file's name, after the number of the run.
        title: For people.
        meaning: What it is good for, one line.
        write: Writes it.
    """

    ending: str
    title: str
    meaning: str
    write: Write


def _trajectory(entry: Entry, path: Path) -> None:
    export_trajectory(entry.folder, path)


def _bundle(entry: Entry, path: Path) -> None:
    export_bundle(entry.folder, path, entry.title)


def _script(entry: Entry, path: Path) -> None:
    export_script(entry.folder, path, entry.title)


def _recipe(entry: Entry, path: Path) -> None:
    write_whole(path, (recipe_in(entry.folder).to_json() + "\n").encode())


def _copy(name: str) -> Write:
    def write(entry: Entry, path: Path) -> None:
        if not (entry.folder / name).exists():
            raise StorageError(f"Nothing of run {entry.id} was recorded yet. Let it play first.")
        with storage(path.parent):
            shutil.copyfile(entry.folder / name, path)

    return write


KINDS: Mapping[str, Kind] = {
    "zip": Kind(".zip", "Everything", "Trajectory, energies, recipe, provenance and a script that repeats the run", _bundle),
    "xtc": Kind(".xtc", "Trajectory, XTC", "Small; for GROMACS, MDAnalysis, VMD. Needs the topology", _trajectory),
    "dcd": Kind(".dcd", "Trajectory, DCD", "For NAMD, CHARMM, VMD. Needs the topology", _trajectory),
    "pdb": Kind(".pdb", "Trajectory, PDB", "All frames as text, for any viewer; large", _trajectory),
    "topology": Kind("-topology.pdb", "Topology, PDB", "The atoms, to be read beside XTC or DCD", _copy(TOPOLOGY)),
    "csv": Kind(".csv", "Energies, CSV", "Times, energies and temperatures as a table", _copy(ENERGIES)),
    "json": Kind(".json", "Recipe, JSON", "All settings; opens here, in a notebook and on the command line", _recipe),
    "py": Kind(".py", "Python script", "Repeats the run without the app", _script),
}


def kind_of(path: Path) -> str:
    """The kind that the ending of a file's name asks for.

    Args:
        path: Of the file.

    Raises:
        SettingsError: There is no such kind.
    """
    name = path.suffix.lower().removeprefix(".")
    if name not in KINDS:
        raise SettingsError(f"'{path.name}' ends in '{path.suffix}'. Expected one of {' '.join(kind.ending for kind in KINDS.values())}.")
    return name


def pack(entry: Entry, kind: str, path: Path) -> None:
    """Write a run into a file, whole or not at all; beside a trajectory of another name lies its topology.

    Args:
        entry: The run.
        kind: One of `KINDS`.
        path: Of the file.

    Raises:
        SettingsError: The recipe is not one that this version understands.
        StorageError: Nothing is recorded, the run cannot be read, or there is no space.
    """
    KINDS[kind].write(entry, path)


def megabytes(entry: Entry, kind: str) -> float:
    """About what the file will take.

    Args:
        entry: The run.
        kind: One of `KINDS`.
    """
    atoms = entry.atoms * entry.frames
    try:
        trajectory = (entry.folder / TRAJECTORY).stat().st_size
    except OSError:
        trajectory = 0
    known = {"zip": trajectory, "xtc": trajectory, "dcd": BYTES_DCD * atoms, "pdb": BYTES_PDB * atoms}
    return max(known.get(kind, 0) / 1e6, 0.01)
