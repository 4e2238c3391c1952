"""Torsion scan: what it costs to turn the rotatable bonds of a molecule, by several potentials, and whether MM describes it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from studio import plugins
from studio.conformers import rotatable
from studio.errors import SettingsError, StoppedError, StudioError
from studio.fragments import around
from studio.internal import torsion_angles
from studio.potentials.base import Potential
from studio.profiles import agreement, at, barrier, ends, minima
from studio.progress import Progress
from studio.recipes.base import Study
from studio.recipes.lasting import Lasting, keep_structure, part_key
from studio.recipes.ligand import posed
from studio.recipes.recorded_angles import recorded_angles
from studio.recipes.strain import torsion_names
from studio.recipes.torsion_report import report
from studio.recipes.work import Watch, share
from studio.region import AnyRegion, Focus
from studio.report import Report
from studio.result import Result, versions
from studio.structure import Floats, Integers, Structure
from studio.system import System
from studio.torsions import Scanned, ScanProtocol, scanned
from studio.units import KJ_PER_KCAL

PREPARING = 0.02
"""Share of the work that is preparing the molecule, guessed."""
ALL = "all"
JUDGED = "mm"
"""The potential that is compared with the first of the others."""


class TorsionScan(Lasting):
    """Torsion profiles of a molecule, or a map of two of its bonds.

    Args:
        system: The molecule, or a complex in which it is.
        ligand: Which atoms are the molecule.
        bond: Bonds to turn: `all`, or names or numbers in the list of rotatable bonds, with commas between.
        second: Another bond, for a map of both.
        cut: Scan the fragment around each bond instead of the whole molecule.
        potentials: Registered names of the potentials that are asked; MM is compared with the first of the others.
        recording: Folder of a recorded run of this molecule, whose angles are drawn; empty for none.
        protocol: How torsions are scanned.

    For each bond B and potential P, `values` has B_P_barrier_kcal_mol, B_P_lowest_degrees and B_P_pose_kcal_mol (what the angle of the pose costs), and
    B_mm_rmse_kcal_mol against the first other potential; what is not known is left out. badly_described counts bonds of which MM is told to be wrong.

    `arrays` has bond_names, torsion_atoms (t, 4), pose_degrees (t,), recorded_degrees (t, f), potentials (p,), angles_degrees (g,), profiles_kcal_mol
    (t, p, g), not a number where there is none, and places_nm_K_P (g, n, 3) for bond number K; for two bonds instead maps_kcal_mol (p, g, g) with the
    first bond down and the second across.
    """

    study: ClassVar[Study | None] = Study(
        "Torsion profiles",
        "What it costs to turn each rotatable bond, by a force field and by networks, and where the pose lies on it. About 10 s for a bond and a network.",
        "system",
    )

    kind: Literal["torsion_scan"] = "torsion_scan"
    version: Literal[1] = 1
    system: System
    ligand: AnyRegion = Focus()
    bond: Annotated[str, Field(max_length=500, title="Bonds", description="all, or some, such as C7-N8 or 1, 3: their place among the rotatable bonds.")] = ALL
    second: Annotated[
        str, Field(max_length=50, title="Second bond, for a map", description="A map of both bonds is made instead of profiles. Takes ten times as long.")
    ] = ""
    cut: Annotated[bool, Field(title="Fragment only", description="Leave out what is far from the bond; faster, and nothing folds back onto the bond.")] = False
    potentials: Annotated[tuple[str, ...], Field(min_length=1, max_length=20, title="Methods", description="MM is compared with the first of the others.")] = (
        "mm",
        "so3lr",
    )
    recording: Annotated[str, Field(title="Angles of a run", description="A recorded run of this molecule: how often it was at each angle is drawn.")] = ""
    protocol: ScanProtocol = ScanProtocol()

    def answer(self, structure: Structure | None, watch: Watch, folder: Path | None) -> Result:
        """Scan; what one potential refuses is a note, as long as another one answers."""
        ligand = posed(self.system, self.ligand, structure, share(watch, 0.0, PREPARING))
        scans = _Scans(self, ligand, self.chosen(ligand), folder)
        watch.show(ligand.positions)
        scans.measure(share(watch, PREPARING, 1.0))
        return scans.result()

    def report(self, result: Result, molecule: Structure | None = None) -> Report:
        """Profiles or maps, what MM is worth for each bond, and the shapes at minima and barriers."""
        return report(result, molecule)

    def chosen(self, ligand: Structure) -> Integers:
        """The torsions that are asked for, (t, 4), atom indices.

        Args:
            ligand: The molecule.

        Raises:
            SettingsError: It has no rotatable bond, or none of this name.
        """
        every = rotatable(ligand)
        names = torsion_names(ligand, every)
        if not names:
            raise SettingsError("This molecule has no rotatable bond: there is no torsion to scan.")
        if self.bond.strip() == ALL and not self.second:
            return every
        rows = [_row(word.strip(), names) for word in self.bond.split(",")]
        if self.second:
            rows.append(_row(self.second.strip(), names))
            if len(rows) != 2 or rows[0] == rows[1]:
                raise SettingsError(f"A map needs two different bonds: give one as bond and one as second, of {_listed(names)}.")
        return every[list(dict.fromkeys(rows))]


def _row(word: str, names: tuple[str, ...]) -> int:
    known = {name: row for row, name in enumerate(names)}
    known |= {"-".join(reversed(name.split("-"))): row for name, row in known.items()} | {f"{row + 1}": row for row in range(len(names))}
    if word not in known:
        raise SettingsError(f"This molecule has no rotatable bond '{word}'. Expected one of {_listed(names)}, or its number.")
    return known[word]


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"{number} ({name})" for number, name in enumerate(names, 1))


@dataclass
class _Scans:
    """What the potentials have said of each bond, kept on disk as soon as it is there."""

    recipe: TorsionScan
    ligand: Structure
    torsions: Integers
    folder: Path | None
    found: dict[tuple[int, str], Scanned] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problems: list[StudioError] = field(default_factory=list)
    recorded: Floats = field(default_factory=lambda: np.zeros((0, 0)))

    def __post_init__(self) -> None:
        self.names = torsion_names(self.ligand, self.torsions)
        # One scan for each bond, or one for both of a map; each with the molecule that is turned.
        groups = [self.torsions] if self.recipe.second else [torsion[None] for torsion in self.torsions]
        self.subjects = [self._subject(group) for group in groups]

    def _subject(self, torsions: Integers) -> tuple[Structure, Integers]:
        if not self.recipe.cut:
            return self.ligand, torsions
        if len(torsions) > 1:
            raise SettingsError("A map is of the whole molecule: switch the fragment off, or leave the second bond out.")
        molecule, torsion = around(self.ligand, torsions[0])
        return molecule, torsion[None]

    def measure(self, watch: Progress) -> None:
        """One bond and potential after the other; go on where one refuses.

        Raises:
            StudioError: All of them refuse, or a folder cannot be read or written.
        """
        self.recorded = recorded_angles(Path(self.recipe.recording), self.ligand, self.torsions) if self.recipe.recording else np.zeros((len(self.torsions), 0))
        keep_structure(self.shown, self.folder)
        wanted = [(bond, name) for bond in range(len(self.subjects)) for name in self.recipe.potentials]
        try:
            for number, (bond, name) in enumerate(wanted):
                self._ask(bond, name, share(watch, number / len(wanted), (number + 1) / len(wanted)))
        except StoppedError as stop:
            self.notes.append(f"Stopped after {len(self.found)} of {len(wanted)} scans: what is finished is kept, run it again to go on.")
            self.problems.append(stop)
        if not self.found:
            raise self.problems[0]

    @property
    def shown(self) -> Structure:
        """The molecule to which atoms and shapes belong: the fragment, where there is just one."""
        return self.subjects[0][0] if len(self.subjects) == 1 else self.ligand

    def _ask(self, bond: int, name: str, watch: Progress) -> None:
        molecule, torsions = self.subjects[bond]

        def tell(fraction: float, sentence: str) -> None:
            watch(fraction, f"{self.title(bond)}: {sentence}")

        try:
            potential: Potential = plugins.load("studio.potentials", name)()
            path, key = self.folder / f"scan-{self.title(bond)}-{name}.npz" if self.folder else None, self._key(bond, potential)
            known = Scanned.load(path, key) if path else None
            self.found[bond, name] = known or scanned(potential, molecule, torsions, self.recipe.protocol, tell)
        except StoppedError:
            raise
        except StudioError as problem:
            self.problems.append(problem)
            self.notes.append(f"No scan of {self.title(bond)} by {name}: {problem}")
        else:
            if path and known is None:
                self.found[bond, name].save(path, key)

    def title(self, bond: int) -> str:
        """What to call a scan."""
        return "+".join(self.names) if self.recipe.second else self.names[bond]

    def _key(self, bond: int, potential: Potential) -> str:
        """A hash of all that a part depends on."""
        molecule, torsions = self.subjects[bond]
        settings = self.recipe.protocol.model_dump_json()
        return part_key(molecule.key, str(torsions.tolist()), potential.card.name, repr(potential), settings)

    def result(self) -> Result:
        """Values, arrays, provenance and notes of all that was found."""
        names = tuple(name for name in self.recipe.potentials if any(key[1] == name for key in self.found))
        angles = next(iter(self.found.values())).angles
        pose = np.degrees(torsion_angles(self.ligand.positions[self.torsions]))
        atoms = np.concatenate([torsions for _, torsions in self.subjects]) if len(self.subjects) == 1 else self.torsions
        arrays: dict[str, NDArray[np.generic]] = {
            "bond_names": np.array(self.names, dtype=np.str_), "torsion_atoms": atoms, "pose_degrees": pose, "recorded_degrees": self.recorded,
            "potentials": np.array(names, dtype=np.str_), "angles_degrees": angles,
        }  # fmt: skip
        grid = self._grid(names, len(angles))
        values = {"bonds": float(len(self.names))}
        if self.recipe.second:
            arrays["maps_kcal_mol"] = grid[0]
        else:
            arrays["profiles_kcal_mol"] = grid
            values |= self._numbers(names, angles, grid, pose)
        if not self.recipe.cut or len(self.subjects) == 1:
            arrays |= {f"places_nm_{bond}_{name}": part.places for (bond, name), part in self.found.items()}
        return Result({}, values, arrays, self._provenance(), (*self.ligand.notes, *self._told(), *self.notes))

    def _grid(self, names: tuple[str, ...], points: int) -> Floats:
        """Energies above the lowest of each scan, (scans, potentials, g) or (1, potentials, g, g), kcal/mol."""
        shape = (points,) * (2 if self.recipe.second else 1)
        every = [[self.found.get((bond, name)) for name in names] for bond in range(len(self.subjects))]
        return np.array([[np.full(shape, np.nan) if part is None else part.energies / KJ_PER_KCAL for part in row] for row in every])

    def _provenance(self) -> dict[str, str]:
        """Of each potential, as it was for the first bond."""
        first = {name: part for (_, name), part in reversed(self.found.items())}
        return dict(versions()) | {f"{name}: {key}": text for name, part in first.items() for key, text in part.provenance.items()}

    def _told(self) -> list[str]:
        told = [f"{self.title(bond)} by {name}: {note}" for (bond, name), part in self.found.items() for note in part.notes]
        if self.recipe.cut:
            sizes = [f"{name} ({int((molecule.numbers > 1).sum())} heavy atoms)" for name, (molecule, _) in zip(self.names, self.subjects, strict=True)]
            told.append(f"Scanned in fragments of the molecule: {', '.join(sizes)}.")
        return told

    def _numbers(self, potentials: tuple[str, ...], angles: Floats, grid: Floats, pose: Floats) -> Mapping[str, float]:
        """Numbers of the profiles (t, p, g), kcal/mol, by name."""
        values: dict[str, float] = {}
        bad = 0
        for bond, profiles, angle in zip(self.names, grid, pose, strict=True):
            known = {name: profile for name, profile in zip(potentials, profiles, strict=True) if np.isfinite(profile).any()}
            other = next((name for name in known if name != JUDGED), None)
            if JUDGED in known and other:
                found = agreement(angles, known[JUDGED], known[other], self.recipe.protocol.temperature)
                values[f"{bond}_{JUDGED}_rmse_kcal_mol"] = found.rmse
                bad += not found.good
            for name, profile in known.items():
                values[f"{bond}_{name}_barrier_kcal_mol"] = barrier(profile, ends(known[other or JUDGED]))
                values[f"{bond}_{name}_lowest_degrees"] = float(angles[minima(profile)[0]])
                values[f"{bond}_{name}_pose_kcal_mol"] = float(at(angles, profile, angle))
        if len(potentials) > 1 and JUDGED in potentials:
            values["badly_described"] = float(bad)
        return {name: value for name, value in values.items() if np.isfinite(value)}
