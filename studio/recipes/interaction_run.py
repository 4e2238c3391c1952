"""Interaction over a run: energies by residue frame by frame, contacts and hydrogen bonds with how often they are there."""

from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from studio import plugins
from studio.cluster import fragment_energies
from studio.contacts import TOUCH, HydrogenBonds, hydrogen_bonds
from studio.errors import StoppedError, StudioError
from studio.interaction import Nonbonded, row_distances, row_energies
from studio.parts import Part, keep, kept
from studio.recipes.base import Study
from studio.recipes.lasting import Lasting, keep_structure, part_key
from studio.recipes.recorded import Frames, recorded
from studio.recipes.work import Watch, share
from studio.region import AnyRegion, Focus
from studio.report import Report
from studio.result import Result, versions
from studio.structure import Floats, Structure
from studio.timeseries import mean_of
from studio.units import KJ_PER_KCAL, Nanometer

ASKED = 10
"""Frames at most in which potentials other than MM are asked."""
SAVED = 5.0
"""Wall time between two savings of what is known, s."""
MM_DONE = 0.5
"""Share of the work that is MM, guessed."""


class InteractionRun(Lasting):
    """Interaction energies along a recorded run.

    Args:
        recording: Folder of the run.
        ligand: Which atoms are the ligand.
        skip: Share of the run at its start that is left out.
        frames: At most so many, equally far apart.
        potentials: Registered names of potentials that are asked about single residues in some of the frames.
        reach: Residues that come this close to the ligand are asked of the potentials, nm.

    `values` has frames, mm_kcal_mol and its error, contacts (rows in contact in the mean) and hydrogen_bonds (there in the mean).

    `arrays` has a line for each row of `rows`: row_residue, mm_kcal_mol (mean) and mm_error_kcal_mol, contact (share of frames) and contact_error,
    P_kcal_mol and P_error_kcal_mol for each potential; a line for each frame: frame, time_ps, frames_kcal_mol (frames, rows, 2): Coulomb and
    Lennard-Jones, distances_nm (frames, rows); and hydrogen_bonds (names), hydrogen_bond_atoms, occupancy and occupancy_error, shares of frames, and
    ligand_atoms.
    """

    study: ClassVar[Study | None] = Study(
        "Interactions along a run",
        "Which residues hold the ligand, how firmly and how steadily: energies, contacts and hydrogen bonds over the frames of a run. Some seconds.",
        "recording",
    )

    kind: Literal["interaction_run"] = "interaction_run"
    version: Literal[1] = 1
    recording: str
    ligand: AnyRegion = Focus()
    skip: Annotated[float, Field(ge=0.0, le=0.9)] = Field(default=0.0, title="Leave out at the start (share)", description="The run settles there.")
    frames: Annotated[int, Field(ge=1, le=100_000)] = Field(default=100, title="Frames", description="At most so many are looked at, equally far apart.")
    potentials: Annotated[tuple[str, ...], Field(max_length=5)] = Field(
        default=(), title="Networks and xTB", description="Asked besides MM about single residues, in ten frames."
    )
    reach: Nanometer = 0.45

    def answer(self, structure: Structure | None, watch: Watch, folder: Path | None) -> Result:
        """Measure; what one potential refuses is a note."""
        work = _Work(self, recorded(self.recording, self.ligand, self.skip, self.frames), folder)
        watch.show(work.source.pair.structure.positions)
        work.measure(watch)
        return work.result()

    def report(self, result: Result, molecule: Structure | None = None) -> Report:
        """What people see: residues as bars and as a map over time, hydrogen bonds and contacts with how often they are there.

        Args:
            result: Without a failure.
            molecule: That was kept with it.
        """
        from studio.recipes.interaction_run_report import run_report

        return run_report(result, molecule)


@dataclass
class _Work:
    """What is known so far."""

    recipe: InteractionRun
    source: Frames
    folder: Path | None
    energies: Floats = field(default_factory=lambda: np.zeros((0, 0, 2)))
    distances: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    bonds: HydrogenBonds | None = None
    found: dict[str, Floats] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    provenance: dict[str, str] = field(default_factory=dict)

    def measure(self, watch: Watch) -> None:
        """MM, contacts and hydrogen bonds in all frames, then the potentials in some.

        Raises:
            StudioError: MM refuses, it was stopped before that was done, or the folder cannot be written.
        """
        watch(0.01, "Force-field parameters")
        keep_structure(self.source.pair.structure, self.folder)
        self._mechanics(watch)
        try:
            for number, name in enumerate(self.recipe.potentials):
                step = (1.0 - MM_DONE) / len(self.recipe.potentials)
                self._ask(name, watch, MM_DONE + number * step, MM_DONE + (number + 1) * step)
        except StoppedError:
            self.notes.append("Stopped before all potentials had answered: run it again to go on.")

    def _mechanics(self, watch: Watch) -> None:
        source, pair = self.source, self.source.pair
        mm = source.system.parametrise(pair.structure)
        self.provenance = {f"mm: {name}": text for name, text in mm.provenance.items()}
        parameters, places = Nonbonded.of(mm.system), []
        path, key, saved = self._path("mm"), self._key("mm"), monotonic()
        known = kept(path, key)
        shape = (len(source.numbers), len(pair.rows))
        self.energies, self.distances = (
            (known.arrays["energies"].copy(), known.arrays["distances"].copy()) if known else (np.full((*shape, 2), np.nan), np.full(shape, np.nan))
        )
        for index, number in enumerate(source.numbers.tolist()):
            frame = pair.nearest(source.read(number), pair.structure.box)
            watch.show(frame, number)
            watch(MM_DONE * index / len(source.numbers), f"Frame {index + 1} of {len(source.numbers)}")
            places.append(frame.astype(np.float32))
            if np.isnan(self.energies[index, 0, 0]):
                self.energies[index], self.distances[index] = row_energies(parameters, pair, frame), row_distances(pair, frame)
            if monotonic() - saved > SAVED:
                self._keep(path, key)
                saved = monotonic()
        self._keep(path, key)
        self.bonds = hydrogen_bonds(pair, np.array(places), self.distances)

    def _keep(self, path: Path | None, key: str) -> None:
        keep(path, key, Part({"energies": self.energies, "distances": self.distances}, {}))

    def _ask(self, name: str, watch: Watch, begin: float, end: float) -> None:
        """One potential about the residues that come near; what it refuses is a note."""
        pair, numbers = self.source.pair, self.source.numbers
        near = (self.distances.min(axis=0) <= self.recipe.reach) & np.array([row.residue >= 0 for row in pair.rows])
        chosen = numbers[np.unique(np.linspace(0, len(numbers) - 1, min(ASKED, len(numbers))).astype(np.int64))]
        try:
            potential = plugins.load("studio.potentials", name)()
            path, key = self._path(name), self._key(repr(potential), str(self.recipe.reach))
            part = kept(path, key)
            if part is None:
                frames = np.array([pair.nearest(self.source.read(number), pair.structure.box) for number in chosen.tolist()])
                rows = [row for row, close in zip(pair.rows, near, strict=True) if close]
                parametrise = self.source.system.parametrise
                answers = fragment_energies(
                    potential, pair, rows, frames, parametrise=lambda some: Nonbonded.of(parametrise(some).system), on_part=share(watch, begin, end)
                )
                part = Part({"energies": answers}, {})
                keep(path, key, part)
        except StoppedError:
            raise
        except StudioError as problem:
            self.notes.append(f"Nothing by {name}: {problem}")
            return
        table = np.full((len(chosen), len(near)), np.nan)
        table[:, near] = part.arrays["energies"]
        self.found[name] = table

    def _path(self, name: str) -> Path | None:
        return self.folder / f"interaction-{name}.npz" if self.folder else None

    def _key(self, *more: str) -> str:
        """A hash of all that a part depends on."""
        chosen = self.source
        return part_key(chosen.key, str(chosen.pair.ligand.tolist()), chosen.system.forcefield.model_dump_json(), *more)

    def result(self) -> Result:
        """Values, arrays, provenance and notes."""
        source, pair = self.source, self.source.pair
        energies = self.energies / KJ_PER_KCAL
        touching, together = self.distances <= TOUCH, mean_of(energies.sum(axis=(1, 2)))
        present = self.bonds.present if self.bonds else np.zeros((len(energies), 0), dtype=np.bool_)
        values = {"frames": float(len(energies)), "mm_kcal_mol": together.value, "contacts": float(touching.sum(axis=1).mean())}
        values["hydrogen_bonds"] = float(present.sum(axis=1).mean())
        if np.isfinite(together.error):
            values["mm_error_kcal_mol"] = float(together.error)
        arrays: dict[str, NDArray[np.generic]] = {
            "rows": np.array([row.name for row in pair.rows], dtype=np.str_), "row_residue": np.array([row.residue for row in pair.rows]),
            "frame": source.numbers, "time_ps": source.times, "frames_kcal_mol": energies, "distances_nm": self.distances, "ligand_atoms": pair.ligand,
            "hydrogen_bonds": np.array(self.bonds.names if self.bonds else (), dtype=np.str_),
            "hydrogen_bond_atoms": self.bonds.atoms if self.bonds else np.zeros((0, 3), dtype=np.int64),
        }  # fmt: skip
        arrays |= _means("mm_{}kcal_mol", energies.sum(axis=2)) | _means("contact{}", touching) | _means("occupancy{}", present)
        for name, table in self.found.items():
            arrays |= _means(name + "_{}kcal_mol", table / KJ_PER_KCAL)
        return Result({}, values, arrays, versions() | self.provenance, (*pair.notes, *self.notes, *pair.structure.notes))


def _means(name: str, columns: NDArray[np.generic]) -> dict[str, NDArray[np.generic]]:
    """Mean and error of each column over the frames, under a name with a place for `error`."""
    means = [mean_of(np.asarray(column, dtype=np.float64)) for column in columns.T]
    word = "error_" if "kcal" in name else "_error"
    return {name.format(""): np.array([mean.value for mean in means]), name.format(word): np.array([mean.error for mean in means])}
