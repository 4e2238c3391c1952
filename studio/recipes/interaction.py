"""Interaction: what holds a ligand in its pocket, residue by residue - by MM, and by potentials on capped residues and on a cluster."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from studio import plugins
from studio.cluster import cluster_energy, fragment_energies
from studio.contacts import hydrogen_bonds
from studio.errors import SettingsError, StoppedError, StudioError
from studio.interaction import Nonbonded, row_distances, row_energies
from studio.partners import Partners, partners
from studio.parts import Part, keep, kept
from studio.potentials.base import Potential
from studio.progress import Progress
from studio.recipes.base import Study
from studio.recipes.lasting import Lasting, keep_structure, part_key
from studio.recipes.work import Watch, going, share
from studio.region import AnyRegion, Focus
from studio.report import Report
from studio.result import Result, versions
from studio.settle import settled
from studio.structure import Flags, Floats, Integers, Structure
from studio.system import FromTarget, System
from studio.units import KJ_PER_KCAL, Nanometer

MM_DONE = 0.4
"""Share of the work that is relaxing the pose and MM, guessed."""


class Interaction(Lasting):
    """Interaction energies of a ligand in its pose.

    Args:
        system: Where the pose comes from: a complex, or the ligand alone with its `receptor` beside it.
        ligand: Which atoms are the ligand.
        receptor: What the ligand binds to, where the system does not hold it.
        relax: Take clashes out of the pose first.
        potentials: Registered names of potentials that are asked besides MM.
        reach: Residues with a heavy atom this close to one of the ligand are asked of the potentials, nm.
        largest: Atoms of a cluster at most.

    `values` has mm_kcal_mol, the sum over all rows, and its parts mm_coulomb_kcal_mol, mm_lennard_jones_kcal_mol, mm_water_kcal_mol; for each potential P
    P_rows_kcal_mol (sum over the rows near the ligand; mm_rows_kcal_mol likewise), P_cluster_kcal_mol, cluster_atoms and cluster_charge_e.

    `arrays` has a line for each row of `rows`: row_residue (its index, -1 for water and salt), row_distance_nm, mm_kcal_mol (rows, 2): Coulomb and
    Lennard-Jones, and P_kcal_mol, not a number where a row was not asked; ligand_atoms; pose_nm (n, 3), and given_nm as it came; hydrogen_bonds (names)
    and hydrogen_bond_atoms (h, 3): donor, hydrogen, acceptor.
    """

    study: ClassVar[Study | None] = Study(
        "Interactions of a pose",
        "Which residues hold the ligand, and by how much: energies residue by residue, hydrogen bonds, and the pocket as one cluster. About a minute.",
        "system",
    )

    kind: Literal["interaction"] = "interaction"
    version: Literal[1] = 1
    system: System
    ligand: AnyRegion = Focus()
    receptor: System | None = None
    relax: bool = Field(default=True, title="Relax the pose first", description="A short minimisation by MM that takes clashes away; heavy atoms hardly move.")
    potentials: Annotated[tuple[str, ...], Field(max_length=5)] = Field(
        default=("aimnet2", "gfn2-xtb"),
        title="Networks and xTB",
        description="Asked besides MM about each residue near the ligand, and about all of them at once.",
    )
    reach: Nanometer = Field(default=0.45, title="Neighbourhood (nm)", description="Residues with a heavy atom this close to the ligand are asked.")
    largest: Annotated[int, Field(ge=10, le=3000)] = 600

    def answer(self, structure: Structure | None, watch: Watch, folder: Path | None) -> Result:
        """Measure; what one potential refuses is a note."""
        work = _Work(self, self.pair(structure, watch), watch, folder)
        watch.show(work.started)
        work.measure()
        return work.result()

    def pair(self, structure: Structure | None = None, progress: Progress | None = None) -> Partners:
        """The ligand and what it binds to.

        Args:
            structure: The prepared structure, where there is one already.
            progress: Called with a fraction and a sentence.

        Raises:
            StudioError: The system cannot be prepared, or the two are no pair.
        """
        whole, chosen = complex_of(self.system, self.receptor, self.ligand, structure, progress)
        return partners(whole, chosen)

    def report(self, result: Result, molecule: Structure | None = None) -> Report:
        """What people see: residues as bars, the structure coloured by them, hydrogen bonds, the cluster.

        Args:
            result: Without a failure.
            molecule: That was kept with it.
        """
        from studio.recipes.interaction_report import pose_report

        return pose_report(result, molecule)


def complex_of(
    system: System, receptor: System | None, ligand: AnyRegion, structure: Structure | None = None, progress: Progress | None = None
) -> tuple[Structure, Integers]:
    """A complex, prepared, and the atoms of the ligand that were chosen.

    Args:
        system: The complex, or the ligand alone.
        receptor: What it binds to, where the system does not hold it.
        ligand: Which atoms of the system are the ligand.
        structure: The prepared system, where there is one already.
        progress: Called with a fraction and a sentence.

    Raises:
        StudioError: One of them cannot be prepared, or no atom is chosen.
    """
    own = structure if structure is not None else system.prepare(progress)
    chosen = ligand.select(own)
    if receptor is None:
        if isinstance(system.source, FromTarget) and not system.source.complex:
            raise SettingsError("The ligand was opened without its protein. Open the complex, or name what it binds to.")
        return own, chosen
    other = receptor.prepare()
    if other.box is not None or own.box is not None:
        raise SettingsError("Ligand and receptor from two sources can not be in water yet. Open both without water, or the complex from one file.")
    return other.join(own), len(other) + chosen


@dataclass
class _Work:
    """What is known so far; each part is kept as soon as it is there."""

    recipe: Interaction
    pair: Partners
    watch: Watch
    folder: Path | None
    found: dict[str, Part] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    provenance: dict[str, str] = field(default_factory=dict)

    def measure(self) -> None:
        """MM, then one potential after the other.

        Raises:
            StudioError: MM refuses, it was stopped before that was done, or the folder cannot be written.
        """
        self.watch(0.01, "Finding the pair")
        self._mechanics()
        keep_structure(self.pair.structure, self.folder)
        names = self.recipe.potentials
        for number, name in enumerate(names):
            step = (1.0 - MM_DONE) / len(names)
            try:
                self._ask(name, share(self.watch, MM_DONE + number * step, MM_DONE + (number + 1) * step))
            except StoppedError:
                self.notes.append(f"Stopped after MM and {number} of {len(names)} potentials: what is finished is kept, run it again to go on.")
                return

    def _mechanics(self) -> None:
        """The pose, relaxed if that was asked for, and MM with all rows."""
        chosen, path = self.recipe.system, self.folder / "interaction-mm.npz" if self.folder else None
        key = self._key(str(self.recipe.relax), chosen.forcefield.model_dump_json())
        part = kept(path, key)
        if part is None:
            pose = self._pose()
            self.watch(0.25, "Force-field parameters of the whole")
            mm = chosen.parametrise(self.pair.structure)
            energies = row_energies(Nonbonded.of(mm.system), self.pair, pose, self.pair.structure.box)
            bonds = hydrogen_bonds(self.pair, pose[None])
            arrays = {"pose_nm": pose, "energies": energies, "bonds": bonds.atoms, "names": np.array(bonds.names, dtype=np.str_)}
            part = Part(arrays, {"provenance": dict(mm.provenance)})
            keep(path, key, part)
        self.found["mm"] = part
        self.provenance |= {f"mm: {name}": text for name, text in part.words["provenance"].items()}
        self.pair = replace(self.pair, structure=self.pair.structure.with_positions(part.arrays["pose_nm"]))
        self.watch.show(self.pair.structure.positions)

    def _pose(self) -> Floats:
        whole = self.pair.structure
        if not self.recipe.relax or whole.box is not None or whole.droplet is not None:
            return whole.positions
        return settled(self.pair, self.recipe.system.parametrise, going(self.watch, 0.05, 0.25, "Relaxing the pose"))

    def _ask(self, name: str, watch: Progress) -> None:
        """One potential about residues and cluster; what it refuses is a note."""
        try:
            potential: Potential = plugins.load("studio.potentials", name)()
            path = self.folder / f"interaction-{name}.npz" if self.folder else None
            key = self._key(repr(potential), str(self.recipe.reach), str(self.recipe.largest), self.pair.structure.key)
            part = kept(path, key) or self._asked(potential, watch)
        except StoppedError:
            raise
        except StudioError as problem:
            self.notes.append(f"Nothing by {name}: {problem}")
            return
        keep(path, key, part)
        self.found[name] = part
        self.notes += part.words["notes"]

    def _asked(self, potential: Potential, watch: Progress) -> Part:
        rows = [self.pair.rows[index] for index in np.flatnonzero(self.near)]
        parametrise = self.recipe.system.parametrise
        energies = fragment_energies(
            potential, self.pair, rows, self.pair.structure.positions[None],
            parametrise=lambda fragments: Nonbonded.of(parametrise(fragments).system), on_part=share(watch, 0.0, 0.7),
        )[0]  # fmt: skip
        table, notes, cluster = np.full(len(self.pair.rows), np.nan), list[str](), np.full(3, np.nan)
        table[self.near] = energies
        lost = [row.name for row, energy in zip(rows, energies, strict=True) if np.isnan(energy)]
        if lost:
            notes.append(f"{potential.card.title} was not asked about {', '.join(lost)}: it does not know these atoms.")
        try:
            whole = cluster_energy(potential, self.pair, self.recipe.reach, self.recipe.largest, share(watch, 0.7, 1.0))
            cluster = np.array([whole.energy, whole.atoms, whole.charge])
        except StoppedError:
            raise
        except StudioError as problem:
            notes.append(f"No cluster by {potential.card.title}: {problem}")
        return Part({"energies": table, "cluster": cluster}, {"notes": notes, "title": potential.card.title})

    @property
    def near(self) -> Flags:
        """True for rows that potentials are asked about."""
        distances = row_distances(self.pair, self.pair.structure.positions, self.pair.structure.box)
        return np.asarray((distances <= self.recipe.reach) & np.array([row.residue >= 0 for row in self.pair.rows]))

    def _key(self, *more: str) -> str:
        """A hash of all that a part depends on."""
        return part_key(self.given, *more)

    def __post_init__(self) -> None:
        self.given = f"{self.pair.structure.key} {self.pair.ligand.tolist()}"
        self.started = self.pair.structure.positions

    def result(self) -> Result:
        """Values, arrays, provenance and notes of all that was found."""
        pair, mm = self.pair, self.found["mm"].arrays
        parts, near = mm["energies"] / KJ_PER_KCAL, self.near
        water = float(sum(parts[index].sum() for index, row in enumerate(pair.rows) if row.name == "water"))
        values = {"mm_kcal_mol": float(parts.sum()), "mm_coulomb_kcal_mol": float(parts[:, 0].sum()), "mm_lennard_jones_kcal_mol": float(parts[:, 1].sum())}
        values |= {"mm_water_kcal_mol": water, "mm_rows_kcal_mol": float(parts[near].sum()), "rows_asked": float(near.sum())}
        arrays = {
            "rows": np.array([row.name for row in pair.rows], dtype=np.str_), "row_residue": np.array([row.residue for row in pair.rows]),
            "row_distance_nm": row_distances(pair, pair.structure.positions, pair.structure.box), "mm_kcal_mol": parts, "ligand_atoms": pair.ligand,
            "pose_nm": mm["pose_nm"], "given_nm": self.started, "hydrogen_bonds": mm["names"], "hydrogen_bond_atoms": mm["bonds"],
        }  # fmt: skip
        for name, part in self.found.items():
            if name != "mm":
                arrays[f"{name}_kcal_mol"] = part.arrays["energies"] / KJ_PER_KCAL
                values |= _summed(name, part)
        return Result({}, values, arrays, versions() | self.provenance, (*pair.structure.notes, *pair.notes, *self.notes))


def _summed(name: str, part: Part) -> dict[str, float]:
    """Numbers of one potential, those that there are."""
    energy, atoms, charge = part.arrays["cluster"]
    values = {f"{name}_rows_kcal_mol": float(np.nansum(part.arrays["energies"])) / KJ_PER_KCAL}
    if np.isfinite(energy):
        values |= {f"{name}_cluster_kcal_mol": float(energy) / KJ_PER_KCAL, "cluster_atoms": float(atoms), "cluster_charge_e": float(charge)}
    return values
