"""Ligands: a recipe done for the ligands of a series, each by itself.

`measure` does one ligand and can be sent to another process; a ligand that cannot be done has a result that says why. With a
folder every finished ligand is kept in one of its own, so that a series that was broken off goes on where it was.
Must not know any one recipe.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from studio.errors import SettingsError, StorageError, StudioError
from studio.files import storage, write_whole
from studio.frame import Frame
from studio.inputs import with_relative_paths
from studio.progress import Progress
from studio.recipes.base import OnFrame
from studio.recipes.crew import Crew
from studio.recipes.farm import Harvest, Settings, Trade, spread
from studio.recipes.strain_series import LIGANDS, Records, Series
from studio.result import Failure, Result, versions
from studio.structure import Structure
from studio.system import FromFile, FromTarget, System

KEY = "done.json"
"""In the folder of a ligand, written last: what its result was made from."""


class Work(Settings, Protocol):
    """A recipe for one ligand."""

    def run(self, structure: Structure | None = None, on_frame: OnFrame | None = None, progress: Progress | None = None, folder: Path | None = None) -> Result:
        """Do it; see `studio.recipes.lasting.Lasting`."""
        ...


@dataclass(frozen=True)
class Task:
    """One ligand to be done.

    Args:
        index: Its place in the series, counted from 0.
        name: As the series calls it.
        recipe: What to do.
        files: Fingerprints of the files that the recipe names.
        affinity: Measured free energy of binding, kcal/mol, where it is known.
        folder: Of this ligand, where there is one.
    """

    index: int
    name: str
    recipe: Work
    files: str = ""
    affinity: float | None = None
    folder: Path | None = None

    @property
    def key(self) -> str:
        """A hash of all that the result depends on."""
        recipe = json.dumps(with_relative_paths(json.loads(self.recipe.to_json()))[1])  # where its files lie changes nothing
        parts = (recipe, self.files, *(f"{name} {version}" for name, version in versions().items()))
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@dataclass(frozen=True)
class Done:
    """What came out for one ligand.

    Args:
        task: What was asked.
        result: Its answer, or why there is none.
    """

    task: Task
    result: Result


@dataclass(frozen=True)
class Complex:
    """A ligand of a series in its protein.

    Args:
        name: As the series calls it.
        system: The complex, or the ligand alone.
        receptor: The protein, where the system does not hold it.
        affinity: Measured free energy of binding, kcal/mol, where it is known.
    """

    name: str
    system: System
    receptor: System | None
    affinity: float | None

    @property
    def files(self) -> str:
        """Fingerprints of the files that are named."""
        return " ".join(each.source.fingerprint() for each in (self.system, self.receptor) if each is not None)


def complexes(source: Records | Series, protein: FromFile | None, ph: float) -> list[Complex]:
    """The ligands of a series in their protein.

    Args:
        source: Which ligands, in their poses.
        protein: File of the protein; a bundled series has its own.
        ph: Protonation of what files left out.

    Raises:
        SettingsError: Ligands of a file without a protein.
        StudioError: The source cannot be read.
    """
    if isinstance(source, Records) and protein is None:
        raise SettingsError("The file of ligands holds no protein. Name the PDB or mmCIF file of the protein in whose frame the ligands are posed.")
    receptor = System(source=protein, ph=ph) if protein is not None else None
    found = []
    for name, system, affinity in source.systems():
        own = system.model_copy(update={"ph": ph})
        if receptor is None and isinstance(own.source, FromTarget):
            own = own.model_copy(update={"source": own.source.model_copy(update={"complex": True})})
        found.append(Complex(name, own, receptor, affinity))
    return found


def measure(task: Task, on_frame: OnFrame | None = None, progress: Progress | None = None) -> Done | None:
    """Do one ligand, or find what was done before; none if it was stopped on the way.

    Args:
        task: The ligand; all of it can be pickled.
        on_frame: Called with its pose; returns False to stop.
        progress: Called with a fraction and a sentence.

    Raises:
        StorageError: The folder cannot be written.
    """
    known = kept(task)
    if known is not None:
        return known
    stopped: list[bool] = []

    def look(frame: Frame) -> bool:
        if on_frame and on_frame(frame) is False:
            stopped.append(True)
        return not stopped

    result = task.recipe.run(on_frame=look, progress=progress, folder=task.folder)
    if stopped:
        return None
    done = Done(task, result)
    keep(task, done)
    return done


def keep(task: Task, done: Done) -> None:
    """Write a result into the folder of its ligand, where there is one.

    Args:
        task: The ligand.
        done: What came out.

    Raises:
        StorageError: The folder cannot be written.
    """
    if task.folder:
        with storage(task.folder):
            task.folder.mkdir(parents=True, exist_ok=True)
        done.result.keep(task.folder)
        write_whole(task.folder / KEY, json.dumps({"key": task.key}).encode())


def lost(task: Task, reason: str) -> Done:
    """What is said of a ligand that could not be done.

    Args:
        task: The ligand.
        reason: A sentence.
    """
    return Done(task, Result(json.loads(task.recipe.to_json()), provenance=versions(), failure=Failure("WorkerError", reason)))


def kept(task: Task) -> Done | None:
    """The result of a ligand that was finished with the same settings, files and versions, or none.

    Args:
        task: The ligand.
    """
    if task.folder is None:
        return None
    try:
        same = json.loads((task.folder / KEY).read_text(encoding="utf-8"))["key"] == task.key
        return Done(task, Result.kept(task.folder)) if same else None
    except (OSError, ValueError, KeyError, TypeError, StorageError):
        return None


TRADE = Trade(measure, kept, keep, lost)
"""How one ligand is done, for `farm.spread`."""


def all_of(
    tasks: Sequence[Task], crew: Crew, on_frame: OnFrame | None, progress: Progress | None, after: Callable[[list[Done]], None]
) -> tuple[list[Done], list[str]]:
    """Do all ligands that can be done, and give them in the order of the series; with sentences about what happened.

    Args:
        tasks: The ligands.
        crew: Who works.
        on_frame: Called with the pose of the ligand that is worked on; returns False to stop.
        progress: Called with a fraction and a sentence.
        after: Called with all that is done, after each ligand.

    Raises:
        StorageError: The folder cannot be written.
        WorkerError: There are no workers.
    """
    done: list[Done] = []
    harvest = Harvest()
    for found in spread(TRADE, tasks, crew, on_frame=on_frame, progress=progress, harvest=harvest):
        done.append(Done(tasks[found.task.index], found.result))  # a far worker has other paths
        done.sort(key=lambda each: each.task.index)
        after(done)
    if harvest.stopped:
        harvest.notes.append(f"Stopped after {len(done)} of {len(tasks)} ligands: what is finished is kept, run it again to go on.")
    return done, harvest.notes


def folder_of(folder: Path | None, index: int) -> Path | None:
    """The folder of one ligand in that of its series.

    Args:
        folder: Of the series.
        index: Of the ligand, counted from 0.
    """
    return folder / LIGANDS / f"{index:04d}" if folder else None


def failures(done: Sequence[Done]) -> list[str]:
    """Sentences about the ligands that could not be done.

    Args:
        done: All that was tried.
    """
    return [f"{each.task.name}: {each.result.failure.message}" for each in done if each.result.failure]


def check_some(done: Sequence[Done]) -> None:
    """Refuse a series of which nothing could be done.

    Args:
        done: All that was tried.

    Raises:
        StudioError: Every ligand failed; says how the first did.
    """
    told = failures(done)
    if done and len(told) == len(done):
        raise StudioError(f"None of the {len(done)} ligands could be done. The first: {told[0]}")
