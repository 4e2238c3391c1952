"""Strain: how much energy a ligand pays for its pose, by several potentials, and where in the molecule."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from studio import plugins
from studio.conformers import conformers, rotatable
from studio.errors import StoppedError, StudioError
from studio.fragments import Piece, pieces
from studio.internal import torsion_angles
from studio.potentials.base import Potential
from studio.progress import Progress
from studio.recipes.base import Study
from studio.recipes.lasting import Lasting, keep_structure, part_key
from studio.recipes.ligand import posed
from studio.recipes.strain_report import report
from studio.recipes.work import Watch, share
from studio.region import AnyRegion, Focus
from studio.report import Report
from studio.result import Result, versions
from studio.so_far import SoFar
from studio.strain import Strained, StrainProtocol, strained, summary
from studio.structure import Floats, Integers, Structure
from studio.system import System
from studio.units import KJ_PER_KCAL

Potentials = Annotated[
    tuple[str, ...], Field(min_length=1, max_length=20, title="Methods", description="Each gives its own answer; how far they agree is the uncertainty.")
]
PREPARING = 0.02
"""Share of the work that is preparing the ligand, guessed."""


class Strain(Lasting):
    """Strain of a ligand in its pose.

    Args:
        system: Where the pose comes from: a ligand, or a complex in which it is.
        ligand: Which atoms are the ligand.
        potentials: Registered names of the potentials that are asked.
        protocol: How strain is measured.

    For each potential P, `values` has P_strain_kcal_mol (to the lowest minimum found), P_strain_boltzmann_kcal_mol, P_strain_local_kcal_mol (to the
    nearest minimum), P_restraint_kcal_mol, P_minima, P_pose_rmsd_angstrom and P_minimum_rmsd_angstrom, and P_members_spread_kcal_mol for an ensemble;
    strain_kcal_mol and strain_spread_kcal_mol are mean and standard deviation over the potentials.

    `arrays` has P_pose_nm, P_relaxed_nm and P_minimum_nm (n, 3), laid over the pose, P_places_nm (c + 1, n, 3) below each start, P_minima_nm and
    P_minima_kcal_mol, P_fragments_kcal_mol, a value for each of fragment_names (fragment_of_atom tells which atoms), and P_torsions_kcal_mol and
    P_torsions_degrees, a value for each row of torsion_names, torsion_atoms and pose_torsions_degrees; conformers_kcal_mol has a row for each start (the
    pose first), a column for each potential.
    """

    study: ClassVar[Study | None] = Study(
        "Strain of the ligand",
        "How much energy the ligand pays for its pose, by several methods, and where in it. About a minute for a drug-like ligand.",
        "system",
    )

    kind: Literal["strain"] = "strain"
    version: Literal[1] = 1
    system: System
    ligand: AnyRegion = Focus()
    potentials: Potentials = ("mm", "so3lr")
    protocol: StrainProtocol = StrainProtocol()

    def answer(self, structure: Structure | None, watch: Watch, folder: Path | None) -> Result:
        """Measure; what one potential refuses is a note, as long as another one answers."""
        ligand = self.pose(structure, share(watch, 0.0, PREPARING))
        watch.show(ligand.positions)
        keep_structure(ligand, folder)
        parts = _Parts(self, ligand, folder)
        parts.measure(share(watch, PREPARING, 1.0))
        return parts.result()

    def report(self, result: Result, molecule: Structure | None = None) -> Report:
        """Strain by each method, where it sits, what the shapes of the ligand are."""
        return report(result, molecule)

    def pose(self, structure: Structure | None = None, progress: Progress | None = None) -> Structure:
        """The ligand in its pose, with notes about it.

        Args:
            structure: The prepared structure, where there is one already.
            progress: Called with a fraction and a sentence.

        Raises:
            StudioError: The system cannot be prepared, or the ligand is not one small molecule.
        """
        return posed(self.system, self.ligand, structure, progress)


@dataclass
class _Parts:
    """What the potentials have said, each kept on disk as soon as it is there."""

    recipe: Strain
    ligand: Structure
    folder: Path | None
    found: dict[str, Strained] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problems: list[StudioError] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._pieces = pieces(self.ligand)
        self._so_far = SoFar(self.folder, self.recipe.to_json())

    def measure(self, watch: Progress) -> None:
        """Ask one potential after the other; go on where one refuses.

        Raises:
            StudioError: All of them refuse, no shapes were found, or the folder cannot be written.
        """
        shapes = self._shapes(watch)
        asked = self.recipe.potentials
        try:
            for number, name in enumerate(asked):
                self._ask(name, shapes, share(watch, number / len(asked), (number + 1) / len(asked)))
        except StoppedError as stop:
            self.notes.append(f"Stopped after {len(self.found)} of {len(asked)} potentials: what is finished is kept, run it again to go on.")
            self.problems.append(stop)
        if not self.found:
            raise self.problems[0]

    def _shapes(self, watch: Progress) -> Floats:
        chosen = self.recipe.protocol
        watch(0.0, f"Making {chosen.conformers} shapes")
        return conformers(self.ligand, chosen.conformers, chosen.seed) if chosen.conformers else np.zeros((0, len(self.ligand), 3))

    def _ask(self, name: str, shapes: Floats, watch: Progress) -> None:
        try:
            potential: Potential = plugins.load("studio.potentials", name)()
            path, key = self.folder / f"strain-{name}.npz" if self.folder else None, self._key(potential)
            known = Strained.load(path, key) if path else None
            self.found[name] = known or strained(potential, self.ligand, shapes, self.recipe.protocol, watch, fragments=self._pieces)
        except StoppedError:
            raise
        except StudioError as problem:
            self.problems.append(problem)
            self.notes.append(f"No strain by {name}: {problem}")
        else:
            if path and known is None:
                self.found[name].save(path, key)
            self._so_far.tell(lambda: replace(self.result(), recipe=json.loads(self.recipe.to_json())))

    def _key(self, potential: Potential) -> str:
        """A hash of all that a part depends on."""
        settings = self.recipe.protocol.model_dump_json()
        return part_key(self.ligand.key, potential.card.name, repr(potential), settings)

    def result(self) -> Result:
        """Values, arrays, provenance and notes of all that was found."""
        strains = np.array([part.to_global for part in self.found.values()]) / KJ_PER_KCAL
        values = {"strain_kcal_mol": float(strains.mean()), "conformers": float(len(next(iter(self.found.values())).energies) - 1)}
        if len(strains) > 1:
            values["strain_spread_kcal_mol"] = float(strains.std(ddof=1))
        arrays, notes, provenance = _common(self.ligand, self.found) | _fragments(self.ligand, self._pieces), list(self.ligand.notes), dict(versions())
        for name, part in self.found.items():
            numbers = summary(part, self.ligand, self.recipe.protocol.temperature)
            values |= {f"{name}_{key}": value for key, value in numbers.items()}
            arrays |= {f"{name}_{key}": array for key, array in _arrays(part).items()}
            provenance |= {f"{name}: {key}": text for key, text in part.provenance.items()}
            notes += [f"{name}: {note}" for note in part.notes]
        return Result({}, values, arrays, provenance, (*notes, *self.notes))


def torsion_names(ligand: Structure, torsions: Integers) -> tuple[str, ...]:
    """What to call rotatable bonds: the atoms of each, such as C7-N8.

    Args:
        ligand: The molecule.
        torsions: Four atoms each, (t, 4).
    """
    return tuple(f"{ligand.names[second]}-{ligand.names[third]}" for _, second, third, _ in torsions.tolist())


def _common(ligand: Structure, found: Mapping[str, Strained]) -> dict[str, NDArray[np.generic]]:
    """What is the same for all potentials, and the table of conformers and potentials."""
    torsions = rotatable(ligand)
    table = np.stack([part.energies - part.energies[part.minima[0]] for part in found.values()], axis=1) / KJ_PER_KCAL
    return {
        "pose_nm": np.array(ligand.positions), "torsion_atoms": torsions, "torsion_names": np.array(torsion_names(ligand, torsions), dtype=np.str_),
        "pose_torsions_degrees": np.degrees(torsion_angles(ligand.positions[torsions])), "conformers_kcal_mol": table,
        "potentials": np.array(list(found), dtype=np.str_),
    }  # fmt: skip


def _fragments(ligand: Structure, found: tuple[Piece, ...]) -> dict[str, NDArray[np.generic]]:
    """Rings and chains: their names, and which of them each atom is in."""
    owner = np.zeros(len(ligand), dtype=np.int64)
    for row, piece in enumerate(found):
        owner[piece.part.atoms] = row
    return {"fragment_names": np.array([piece.name for piece in found], dtype=np.str_), "fragment_of_atom": owner}


def _arrays(part: Strained) -> dict[str, NDArray[np.generic]]:
    """Coordinates, laid over the pose, and energies by one potential."""
    return {
        "pose_nm": part.pose, "relaxed_nm": part.places[0], "minimum_nm": part.minimum,
        "places_nm": part.places, "fragments_kcal_mol": part.fragments / KJ_PER_KCAL,
        "minima_nm": part.places[part.minima], "minima_kcal_mol": (part.energies[part.minima] - part.energies[part.minima[0]]) / KJ_PER_KCAL,
        "torsions_kcal_mol": part.torsion_energies / KJ_PER_KCAL, "torsions_degrees": part.torsion_angles, "members_kcal_mol": part.members / KJ_PER_KCAL,
    }  # fmt: skip
