"""Strain of a series: one ligand after the other, each by itself, ranked.

`measure` does one ligand and can be sent to another process; a ligand that cannot be done is a row that says why. With a
folder every finished ligand is a file of its own, so that a series that was broken off goes on where it was.
"""

import csv
import hashlib
import io
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from studio.errors import PluginError, StudioError
from studio.files import storage, write_whole
from studio.frame import Frame
from studio.inputs import with_relative_paths
from studio.io import contents
from studio.io.targets import target
from studio.progress import Progress
from studio.recipes.base import OnFrame, Study
from studio.recipes.crew import Crew
from studio.recipes.farm import Harvest, Trade, spread
from studio.recipes.lasting import Lasting
from studio.recipes.series_report import series_report
from studio.recipes.strain import Potentials, Strain
from studio.recipes.work import Watch
from studio.report import Report
from studio.result import Failure, Result, versions
from studio.strain import StrainProtocol
from studio.structure import Structure
from studio.system import FromFile, FromTarget, System

LIGANDS, ROW, TABLE = "ligands", "row.json", "strains.csv"
"""In the folder: a folder for each ligand, its row in there, and the ranked table of all."""


class _Source(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Records(_Source):
    """All molecules of an SDF or MOL2 file, in their poses.

    Args:
        path: The file.
    """

    kind: Literal["records"] = "records"
    path: str

    def systems(self) -> list[tuple[str, System, float | None]]:
        """Name, system and measured free energy of binding (unknown here) of each ligand.

        Raises:
            StructureError: Not such a file, or too many molecules.
            StorageError: The file cannot be read.
        """
        records = contents(self.path)
        return [(record.title or f"{record.index + 1}", System(source=FromFile(path=self.path, index=record.index)), None) for record in records]


class Series(_Source):
    """Ligands of a bundled protein, in their poses.

    Args:
        target: Name of the protein.
        ligands: Their names; all of the series when left out.
    """

    kind: Literal["target"] = "target"
    target: str
    ligands: tuple[str, ...] = ()

    def systems(self) -> list[tuple[str, System, float | None]]:
        """Name, system and measured free energy of binding, kcal/mol, of each ligand.

        Raises:
            PluginError: No target or no ligand has this name.
            MissingPackageError: The data is not installed.
        """
        known = target(self.target).ligands
        foreign = [name for name in self.ligands if name not in known]
        if foreign:
            raise PluginError(f"{target(self.target).title} has no ligand '{foreign[0]}'. Known: {', '.join(known)}.")
        names = self.ligands or tuple(known)
        return [(name, System(source=FromTarget(target=self.target, ligand=name, complex=False)), known[name].affinity) for name in names]


@dataclass(frozen=True)
class Task:
    """One ligand to be done.

    Args:
        index: Its place in the series, counted from 0.
        name: As the series calls it.
        recipe: What to do.
        affinity: Measured free energy of binding, kcal/mol, where it is known.
        folder: Of this ligand, where there is one.
    """

    index: int
    name: str
    recipe: Strain
    affinity: float | None = None
    folder: Path | None = None

    @property
    def key(self) -> str:
        """A hash of all that the row depends on."""
        recipe = json.dumps(with_relative_paths(json.loads(self.recipe.to_json()))[1])  # where its file lies changes nothing
        parts = (recipe, self.recipe.system.source.fingerprint(), *(f"{name} {version}" for name, version in versions().items()))
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@dataclass(frozen=True)
class Row:
    """What came out for one ligand.

    Args:
        index: Its place in the series, counted from 0.
        name: As the series calls it.
        values: As `Strain.run` gives them; empty where it failed.
        notes: Sentences about the ligand.
        failure: Why there is no number, a sentence; empty where there is one.
        affinity: Measured free energy of binding, kcal/mol, where it is known.
        provenance: Of the numbers.
    """

    index: int
    name: str
    values: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    failure: str = ""
    affinity: float | None = None
    provenance: dict[str, str] = field(default_factory=dict)

    @property
    def strain(self) -> float:
        """Mean over the potentials, kcal/mol; not a number where it failed."""
        return self.values.get("strain_kcal_mol", np.nan)


def measure(task: Task, on_frame: OnFrame | None = None, progress: Progress | None = None) -> Row | None:
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
    failure = result.failure.message if result.failure else ""
    row = Row(task.index, task.name, dict(result.values), tuple(map(str, result.notes)), failure, task.affinity, dict(result.provenance))
    keep(task, row)
    return row


def keep(task: Task, row: Row) -> None:
    """Write a row into the folder of its ligand, where there is one.

    Args:
        task: The ligand.
        row: What came out.

    Raises:
        StorageError: The folder cannot be written.
    """
    if task.folder:
        with storage(task.folder):
            task.folder.mkdir(parents=True, exist_ok=True)
        write_whole(task.folder / ROW, json.dumps({"key": task.key, "row": asdict(row)}, indent=1).encode())


def lost(task: Task, reason: str) -> Row:
    """The row of a ligand that could not be done.

    Args:
        task: The ligand.
        reason: A sentence.
    """
    return Row(task.index, task.name, failure=reason, affinity=task.affinity)


def kept(task: Task) -> Row | None:
    """The row of a ligand that was finished with the same settings and versions, or none.

    Args:
        task: The ligand.
    """
    if task.folder is None:
        return None
    try:
        found = json.loads((task.folder / ROW).read_text(encoding="utf-8"))
        return Row(**(found["row"] | {"notes": tuple(found["row"]["notes"])})) if found["key"] == task.key else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


TRADE = Trade(measure, kept, keep, lost)
"""How one ligand is done, for `farm.spread`."""


class StrainSeries(Lasting):
    """Strain of many ligands in their poses.

    Args:
        source: Which ligands.
        potentials: Registered names of the potentials that are asked.
        protocol: How strain is measured.
        ph: Protonation of what a file left out.
        crew: Who works on it; the numbers do not depend on that.

    `arrays` has `names`, the least strained first, and for each strain_kcal_mol (ligands, potentials); `potentials` names the columns, spread_kcal_mol is
    that of an ensemble's members; what failed has no number, comes last, and says why in `failures`. A folder also gets the table as strains.csv.
    """

    study: ClassVar[Study | None] = Study(
        "Strain of a series",
        "Which of these ligands pay most for their poses, by several methods, ranked. Half a minute or so for each ligand.",
        "series",
    )

    kind: Literal["strain_series"] = "strain_series"
    version: Literal[1] = 1
    source: Annotated[Records | Series, Field(discriminator="kind")]
    potentials: Potentials = ("mm", "so3lr")
    protocol: StrainProtocol = StrainProtocol()
    ph: Annotated[float, Field(ge=0.0, le=14.0, title="pH", description="Decides on protonation where a file leaves hydrogens out.")] = 7.4
    crew: Crew = Crew()

    def report(self, result: Result, molecule: Structure | None = None) -> Report:
        """The ligands ranked, with the spread of the methods, and why some of them have no number."""
        return series_report(result, self._opened())

    def _opened(self) -> dict[int, str]:
        """Each ligand's system as JSON, by its place in the series; none where the source is not there any more."""
        try:
            every = self.source.systems()
        except StudioError:
            return {}
        return {index: system.model_copy(update={"ph": self.ph}).model_dump_json() for index, (_, system, _) in enumerate(every)}

    def tasks(self, folder: Path | None = None) -> list[Task]:
        """The ligands, each with all that is needed to do it alone.

        Args:
            folder: Of the series, where there is one.

        Raises:
            StudioError: The source cannot be read.
        """
        return [
            Task(
                index,
                name,
                Strain(system=system.model_copy(update={"ph": self.ph}), potentials=self.potentials, protocol=self.protocol),
                affinity,
                folder / LIGANDS / f"{index:04d}" if folder else None,
            )
            for index, (name, system, affinity) in enumerate(self.source.systems())
        ]

    def answer(self, structure: Structure | None, watch: Watch, folder: Path | None) -> Result:
        """Measure all ligands, and rank them; one that cannot be done is a note."""
        rows: list[Row] = []
        harvest: Harvest = Harvest()
        tasks = self.tasks(folder)
        for row in spread(TRADE, tasks, self.crew, on_frame=watch.on_frame, progress=watch.progress, harvest=harvest):
            rows.append(row)
            if folder:
                write_whole(folder / TABLE, table(rows, self.potentials).encode())
        return self._result(rows, len(tasks), harvest.notes)

    def _result(self, rows: list[Row], wanted: int, told: list[str]) -> Result:
        ranked = in_order(rows)
        failed = [row for row in ranked if row.failure]
        notes = [*(f"{row.name}: {row.failure}" for row in failed), *told]
        if len(rows) < wanted:
            notes.append(f"Stopped after {len(rows)} of {wanted} ligands: what is finished is kept, run it again to go on.")
        values = {"ligands": float(len(rows)), "failed": float(len(failed))}
        provenance = versions() | next((row.provenance for row in ranked if not row.failure), {})
        failure = Failure("StudioError", f"None of the {len(rows)} ligands could be done. The first: {notes[0]}") if rows and len(failed) == len(rows) else None
        return Result({}, values, _columns(ranked, self.potentials), provenance, tuple(notes), failure)


def in_order(rows: Iterable[Row]) -> list[Row]:
    """Rows with the least strained first, those without a number last.

    Args:
        rows: In any order.
    """
    return sorted(rows, key=lambda row: (bool(row.failure), row.strain, row.index))


def table(rows: Iterable[Row], potentials: Iterable[str]) -> str:
    """The ranked table as CSV; energies in kcal/mol.

    Args:
        rows: In any order.
        potentials: Those that were asked.
    """
    asked = tuple(potentials)
    columns = ["strain_kcal_mol", "strain_spread_kcal_mol"]
    columns += [f"{name}_{key}_kcal_mol" for name in asked for key in ("strain", "strain_boltzmann", "strain_local", "restraint")]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["rank", "name", "index", *columns, "measured_dG_kcal_mol", "failure", "notes"])
    for rank, row in enumerate(in_order(rows), 1):
        numbers = [f"{row.values[column]:.3f}" if column in row.values else "" for column in columns]
        affinity = "" if row.affinity is None else f"{row.affinity:.2f}"
        writer.writerow(["" if row.failure else rank, row.name, row.index, *numbers, affinity, row.failure, " ".join(row.notes)])
    return text.getvalue()


def _columns(rows: list[Row], potentials: tuple[str, ...]) -> dict[str, NDArray[np.generic]]:
    strains, spreads = ([[row.values.get(f"{name}_{key}_kcal_mol", np.nan) for name in potentials] for row in rows] for key in ("strain", "members_spread"))
    return {
        "names": np.array([row.name for row in rows], dtype=np.str_), "potentials": np.array(potentials, dtype=np.str_),
        "strain_kcal_mol": np.array(strains).reshape(len(rows), len(potentials)), "spread_kcal_mol": np.array(spreads).reshape(len(rows), len(potentials)),
        "places_in_series": np.array([row.index for row in rows], dtype=np.int64), "failures": np.array([row.failure for row in rows], dtype=np.str_),
        "measured_dG_kcal_mol": np.array([np.nan if row.affinity is None else row.affinity for row in rows]),
    }  # fmt: skip
