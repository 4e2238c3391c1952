"""Recorder: what must not be lost is written here - trajectory, energies, checkpoint, provenance - and when.

A run's folder can be read by anyone (`trajectory.xtc` with `topology.pdb`, `energies.csv`, `provenance.json`) and holds
all that is needed to go on (`recipe.json`, `structure.npz`, `checkpoint.npz`, `restraints.json` where somebody set some).
`actions.jsonl` tells what was done to the run by hand. Knows files and frames; must not know what makes the frames.
"""

import csv
import json
import os
import shutil
from collections.abc import Mapping
from errno import ENOSPC
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from studio.errors import StorageError
from studio.files import storage, write_whole
from studio.frame import Frame
from studio.io import store, to_pdb
from studio.io.xtc import STEPS, Index
from studio.result import PROVENANCE, Result
from studio.simulation import Simulation
from studio.steering import RESTRAINTS, Restraints
from studio.structure import Structure

if TYPE_CHECKING:
    from openmm.app import XTCFile

RECIPE, STRUCTURE, TOPOLOGY = "recipe.json", "structure.npz", "topology.pdb"
TRAJECTORY, ENERGIES, CHECKPOINT = "trajectory.xtc", "energies.csv", "checkpoint.npz"
ACTIONS, HELD = "actions.jsonl", "restraints.json"
CHECKPOINT_SECONDS = 3.0
"""Wall time between checkpoints: what a killed process loses at most."""
T = TypeVar("T")
_STEERED = ("pull_force_kJ_mol_nm", "pull_work_kJ_mol")
TIME, CG_TIME = "time_ps", "cg_time_ps"
"""What the time is called in tables and actions; that of beads is another one. Runs of beads recorded before 2026-11-22 have the first name too."""
_COLUMNS = ("temperature_K", "speed_steps_s")


class Recorder:
    """Writes one run into its folder; appends if the folder holds one already.

    Args:
        folder: Made if it is not there.
        structure: The atoms, in the order of the frames.
        recipe: The recipe as JSON text.
        interval: Steps between two frames of the trajectory.

    Raises:
        StorageError: The folder cannot be written.
    """

    def __init__(self, folder: Path, structure: Structure, recipe: str, interval: int) -> None:
        self.folder, self.interval = folder, interval
        self._structure, self._clock = structure, time_name(structure)
        self._trajectory: XTCFile | None = None
        with storage(folder):
            folder.mkdir(parents=True, exist_ok=True)
            if not (folder / STRUCTURE).exists():
                store.save(structure, folder / STRUCTURE)
                write_whole(folder / TOPOLOGY, to_pdb(structure).encode())
            write_whole(folder / RECIPE, (recipe + "\n").encode())
        self._last = _last_step(folder / ENERGIES)
        self._aside: list[Path] = []

    def due(self, step: int) -> int:
        """Steps from `step` until the next frame is to be recorded."""
        return self.interval - step % self.interval

    def record(self, frame: Frame) -> None:
        """Append `frame` if it is due and new.

        Raises:
            StorageError: No space, or no permission; what was written before stays readable.
        """
        if frame.step % self.interval or frame.step <= self._last:
            return
        with storage(self.folder):
            self._write_energies(frame)
            self._write_positions(frame)
        self._last = frame.step

    def save_checkpoint(self, checkpoint: bytes) -> None:
        """Replace the checkpoint, whole or not at all.

        Raises:
            StorageError: No space, or no permission; the checkpoint before stays.
        """
        write_whole(self.folder / CHECKPOINT, checkpoint)

    def save_restraints(self, restraints: Restraints) -> None:
        """Write the restraints that are in force now, for who goes on from here.

        Raises:
            StorageError: No space, or no permission; those before stay.
        """
        write_whole(self.folder / HELD, RESTRAINTS.dump_json(restraints))

    def note(self, step: int, time: float, action: str, values: Mapping[str, Any]) -> None:
        """Append what somebody did to `actions.jsonl`; nothing there is ever taken back.

        Args:
            step: When, steps since the start.
            time: When, ps.
            action: Its name.
            values: JSON data that tell the details.

        Raises:
            StorageError: No space, or no permission.
        """
        line = json.dumps({"step": step, self._clock: round(time, 6), "action": action, "values": values})
        with storage(self.folder), (self.folder / ACTIONS).open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def save_result(self, result: Result) -> None:
        """Write the provenance.

        Raises:
            StorageError: No space, or no permission.
        """
        with storage(self.folder):
            result.save(self.folder / PROVENANCE)

    def restore(self, simulation: Simulation) -> Frame:
        """Put `simulation` where the folder's checkpoint left it, if there is one, and forget frames after it.

        Raises:
            StorageError: The checkpoint is damaged or of another system.
        """
        path = self.folder / CHECKPOINT
        if path.exists():
            simulation.restore(path.read_bytes())
        frame = simulation.advance(0)
        self.trim(frame.step)
        return frame

    def trim(self, step: int) -> None:
        """Forget frames after `step`: those that a killed run recorded after its last checkpoint.

        Raises:
            StorageError: The files cannot be rewritten.
        """
        if self._last <= step:
            return
        with storage(self.folder):
            path = self.folder / ENERGIES
            header, *rows = _lines(path)
            kept = [row for row in rows if row.count(",") == header.count(",") and 0 <= _step_of(row) <= step]
            write_whole(path, "\n".join([header, *kept, ""]).encode())
            _trim_trajectory(self.folder / TRAJECTORY, len(self._structure), step)
        self._trajectory = None
        self._last = _last_step(path)

    def start_over(self) -> None:
        """Set the frames so far aside, in a folder `before-reset-N`, and begin anew.

        Raises:
            StorageError: The files cannot be moved.
        """
        with storage(self.folder):
            aside = next(path for n in count(1) if not (path := self.folder / f"before-reset-{n}").exists())
            aside.mkdir()
            _move_frames(self.folder, aside)
        self._aside.append(aside)
        self._trajectory, self._last = None, -1

    def undo_start_over(self) -> None:
        """Have the frames of before the last `start_over` again, and forget those since.

        Raises:
            StorageError: The files cannot be moved.
        """
        aside = self._aside.pop()
        with storage(self.folder):
            for name in (TRAJECTORY, ENERGIES):
                (self.folder / name).unlink(missing_ok=True)
            _move_frames(aside, self.folder)
            aside.rmdir()
        self._trajectory, self._last = None, _last_step(self.folder / ENERGIES)

    def _write_energies(self, frame: Frame) -> None:
        path = self.folder / ENERGIES
        numbers = (frame.time, frame.temperature, frame.speed, *frame.energies.values(), frame.pull_force, frame.pull_work)
        row = dict(zip(_columns(frame, self._clock), (str(frame.step), *map(_written, numbers)), strict=True))
        with path.open("a", newline="", encoding="utf-8") as file:
            header = _header(path) if file.tell() else list(row)
            row.setdefault(TIME, row[self._clock])
            writer = csv.writer(file)
            if file.tell() == 0:
                writer.writerow(header)
            writer.writerow([row.get(name, "") for name in header])  # a table of an older version keeps its columns

    def _write_positions(self, frame: Frame) -> None:
        path = self.folder / TRAJECTORY
        size = path.stat().st_size if path.exists() else 0
        if self._trajectory is None:
            self._trajectory = _open_trajectory(path, self._structure, frame, self.interval)
        self._trajectory.writeModel(frame.positions, periodicBoxVectors=_vectors(frame))
        if path.stat().st_size == size:  # the XTC library does not report a full disk
            raise OSError(ENOSPC, os.strerror(ENOSPC))


def time_name(structure: Structure) -> str:
    """What the time of a run is called where numbers are kept: that of beads is never that of atoms.

    Args:
        structure: What moves.
    """
    return CG_TIME if structure.is_coarse else TIME


def time_of(row: Mapping[str, T]) -> T | None:
    """The time in a row, an action or the columns of a table, whichever name it has; none where there is no time.

    Args:
        row: By names.
    """
    return row.get(CG_TIME, row.get(TIME))


def kept_restraints(folder: Path) -> Restraints | None:
    """The restraints that were in force in a run's folder, or none if nobody changed those of the recipe.

    Raises:
        StorageError: The file is damaged.
    """
    path = folder / HELD
    if not path.exists():
        return None
    try:
        return RESTRAINTS.validate_json(path.read_bytes())
    except (OSError, ValueError) as problem:
        raise StorageError(f"{path} is damaged and cannot be read. Remove it to go on with the restraints of the recipe.") from problem


def _move_frames(source: Path, target: Path) -> None:
    for name in (TRAJECTORY, ENERGIES):
        if (source / name).exists():
            (source / name).replace(target / name)


def _columns(frame: Frame, clock: str) -> list[str]:
    return ["step", clock, *_COLUMNS, *(f"{name}_kJ_mol" for name in frame.energies), *_STEERED]


def _written(number: float) -> str:
    return f"{number:.6g}" if abs(number) < 1e5 else f"{number:.3f}"


def _header(energies: Path) -> list[str]:
    with energies.open(encoding="utf-8", errors="replace") as file:
        return file.readline().strip().split(",")


def _lines(energies: Path) -> list[str]:
    return energies.read_text(encoding="utf-8", errors="replace").splitlines() if energies.exists() else []


def _step_of(row: str) -> int:
    """The step that a row of the table begins with, or -1 if it is not a row (its end was cut off, or it is damaged)."""
    first = row.split(",", 1)[0]
    return int(first) if first.isdecimal() else -1


def _last_step(energies: Path) -> int:
    """The last step in the table, or -1."""
    return max(map(_step_of, _lines(energies)), default=-1)


def _open_trajectory(path: Path, structure: Structure, first: Frame, interval: int) -> "XTCFile":
    from openmm import app

    topology = app.Topology()
    residue = topology.addResidue("ANY", topology.addChain())
    for name, number in zip(structure.names, structure.numbers, strict=True):
        topology.addAtom(name, app.Element.getByAtomicNumber(int(number)), residue)
    if first.box is not None:
        topology.setPeriodicBoxVectors(_vectors(first))
    dt = first.timestep / 1000.0
    if path.exists():
        _trim_trajectory(path, len(structure), STEPS)
    frames = len(Index(path, len(structure)))
    start = first.step - interval * frames
    return app.XTCFile(str(path), topology, dt, start, interval, append=frames > 0)


def _vectors(frame: Frame) -> list[Any] | None:
    from openmm import Vec3

    return None if frame.box is None else [Vec3(*map(float, row)) for row in frame.box]


def _trim_trajectory(path: Path, atoms: int, step: int) -> None:
    """Cut off the frames after `step`, and what a crash left of one that was being written.

    Raises:
        StorageError: Not a trajectory.
    """
    end = Index(path, atoms).end_at(step)
    if path.exists() and end < path.stat().st_size:
        part = path.with_name("trimmed.xtc")
        shutil.copyfile(path, part)
        os.truncate(part, end)
        part.replace(path)  # who is reading keeps the old file
