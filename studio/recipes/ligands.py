"""Ligands: a recipe done for the ligands of a series, each by itself, and the parent of recipes that do that.

`measure` does one ligand and can be sent to another process; a ligand that cannot be done has a result that says why. With a
folder every finished ligand is kept in one of its own, so that a series that was broken off goes on where it was.
Must not know any one recipe.
"""

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from studio.errors import StorageError, StudioError
from studio.files import storage, write_whole
from studio.frame import Frame
from studio.inputs import with_relative_paths
from studio.progress import Progress
from studio.recipes.base import OnFrame
from studio.recipes.crew import Crew
from studio.recipes.farm import Harvest, Settings, Trade, spread
from studio.recipes.lasting import Lasting, part_key
from studio.recipes.series import AnySeries
from studio.recipes.work import Watch
from studio.result import Failure, Result, versions
from studio.so_far import SoFar
from studio.structure import Structure

LIGANDS, KEY = "ligands", "done.json"
"""In the folder of a series: a folder for each ligand; in there, written last: what its result was made from."""


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
        return part_key(recipe, self.files)


@dataclass(frozen=True)
class Done:
    """What came out for one ligand.

    Args:
        task: What was asked.
        result: Its answer, or why there is none.
    """

    task: Task
    result: Result

    def value(self, name: str) -> float:
        """One of the values; not a number where there is none.

        Args:
            name: In the result.
        """
        return self.result.values.get(name, np.nan)

    @property
    def affinity(self) -> float:
        """Measured free energy of binding, kcal/mol; not a number where it is not known."""
        return np.nan if self.task.affinity is None else self.task.affinity

    @property
    def failure(self) -> str:
        """Why there is no answer, a sentence; empty where there is one."""
        return self.result.failure.message if self.result.failure else ""


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
    return [f"{each.task.name}: {each.failure}" for each in done if each.failure]


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


class LigandSeries(Lasting):
    """Parent of recipes that do one thing for all ligands of a series.

    Args:
        source: Which ligands, in their poses.
        crew: Who works on it; the numbers do not depend on that.

    `values` counts ligands and those that failed; `arrays` has names (l,), places_in_series (l,), measured_dG_kcal_mol (l,), and failures (l,), sentences.
    What failed or is not there is not a number. A folder also gets the numbers as a table.
    """

    table_name: ClassVar[str]
    """Name of the table in the folder: a line for each ligand."""
    rank: ClassVar[str] = ""
    """Name of the value by which ligands are ranked, the lowest first and those without it last; empty for the order of the series."""

    source: AnySeries
    crew: Crew = Crew()

    def answer(self, structure: Structure | None, watch: Watch, folder: Path | None) -> Result:
        """Measure all ligands; one that cannot be done is a note."""
        so_far = SoFar(folder, self.to_json())

        def after(done: list[Done]) -> None:
            if folder:
                write_whole(folder / self.table_name, table(self._ordered(done), self.columns, ranked=bool(self.rank)).encode())
            so_far.tell(lambda: replace(self._result(done), recipe=json.loads(self.to_json())))

        found, told = all_of(self.tasks(folder), self.crew, watch.on_frame, watch.progress, after)
        check_some(found)
        return self._result(found, told)

    def _result(self, found: Sequence[Done], told: Sequence[str] = ()) -> Result:
        done = self._ordered(found)
        failed = failures(done)
        provenance = versions() | next((dict(each.result.provenance) for each in done if each.result.ok), {})
        return Result({}, {"ligands": float(len(done)), "failed": float(len(failed))}, _common(done) | self.gathered(done), provenance, (*failed, *told))

    def _ordered(self, done: Sequence[Done]) -> list[Done]:
        return sorted(done, key=lambda each: (bool(each.failure), each.value(self.rank), each.task.index)) if self.rank else list(done)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the values that the table has of each ligand."""
        raise NotImplementedError

    def tasks(self, folder: Path | None = None) -> list[Task]:
        """The ligands, each with all that is needed to do it alone.

        Args:
            folder: Of the series, where there is one.

        Raises:
            StudioError: The source cannot be read.
        """
        raise NotImplementedError

    def gathered(self, done: Sequence[Done]) -> dict[str, NDArray[np.generic]]:
        """Arrays of the result, besides those that all series have.

        Args:
            done: In their order.
        """
        raise NotImplementedError


def _common(done: Sequence[Done]) -> dict[str, NDArray[np.generic]]:
    return {
        "names": np.array([each.task.name for each in done], dtype=np.str_), "failures": np.array([each.failure for each in done], dtype=np.str_),
        "places_in_series": np.array([each.task.index for each in done], dtype=np.int64), "measured_dG_kcal_mol": np.array([each.affinity for each in done]),
    }  # fmt: skip


def table(done: Sequence[Done], columns: Sequence[str], *, ranked: bool = False) -> str:
    """All ligands as CSV; energies in kcal/mol.

    Args:
        done: In the order of the lines.
        columns: Names among the values of their results.
        ranked: The order means something.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    first = ["rank"] if ranked else []
    writer.writerow([*first, "name", "index", *columns, "measured_dG_kcal_mol", "failure", "notes"])
    for rank, each in enumerate(done, 1):
        numbers = [f"{each.value(column):.3f}" if column in each.result.values else "" for column in columns]
        affinity = "" if each.task.affinity is None else f"{each.task.affinity:.2f}"
        first = ["" if each.failure else str(rank)] if ranked else []
        writer.writerow([*first, each.task.name, each.task.index, *numbers, affinity, each.failure, " ".join(each.result.notes)])
    return text.getvalue()
