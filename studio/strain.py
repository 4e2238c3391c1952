"""Strain: how much higher a molecule lies in a pose than it would by itself, by one potential.

E(pose, relaxed with its heavy atoms held within a tolerance) - E(minimum in the same medium): to the lowest minimum that was
found, to the Boltzmann mean of all minima, and to the one that lies nearest to the pose. Knows potentials, conformers and
minimisation; must not know where the molecule came from, nor how several potentials are compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import count
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, cast

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from studio.conformers import distances, intact, overlay, rotatable, turned, unique_minima
from studio.errors import SimulationError, StudioError
from studio.internal import torsion_angles
from studio.parts import Part, keep, kept
from studio.potentials.base import BoundPotential, Ensemble, Potential, evaluate_batch
from studio.potentials.combine import BoundSum
from studio.potentials.water import BoundInWater, in_water
from studio.progress import Progress
from studio.relax import Hold, OnStep, Relaxed, Twist, relax
from studio.structure import Flags, Floats, Integers, Structure
from studio.timeseries import around
from studio.units import BOLTZMANN, KJ_PER_KCAL, Kelvin, Nanometer

Medium = Literal["gas", "water"]

WORDS = ("pose_energy", "restraint", "provenance", "notes")
"""What of a `Strained` is no array."""
RUNGS = (0.0, 0.01, 0.02, 0.04, 0.08)
"""Tolerances by which the one that was asked for is approached, nm."""


class Fragment(Protocol):
    """A part of the molecule that is a molecule of its own: `studio.fragments.Piece`."""

    @property
    def structure(self) -> Structure:
        """The part, capped."""
        ...

    def places(self, positions: Floats) -> Floats:
        """Its geometries in geometries of the molecule, (b, n, 3), nm."""
        ...


class StrainProtocol(BaseModel):
    """How strain is measured.

    Args:
        medium: `gas`, or `water`: a continuum (see `studio.potentials.water.in_water`).
        conformers: Shapes from which minima are searched, besides the pose.
        seed: Of these shapes.
        tolerance: How far a heavy atom of the pose may go without a restraining force, nm.
        force_tolerance: A geometry is relaxed when no atom feels a larger force, kJ/mol/nm.
        iterations: Calls of the potential after which a minimisation ends anyway.
        temperature: Of the Boltzmann mean, K.
        torsions: Also tell where the strain sits: each rotatable bond of the minimum, turned to its angle in the pose and relaxed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    medium: Annotated[Medium, Field(title="Surroundings", description="Continuum water, or gas, where flexible and charged ligands fold.")] = "water"
    conformers: Annotated[int, Field(ge=0, le=1000, title="Conformers", description="Shapes from which the lowest minimum is searched.")] = 20
    seed: Annotated[int, Field(ge=0, le=10**9)] = 0
    tolerance: Annotated[
        Nanometer, Field(title="Tolerance (nm)", description="How far a heavy atom of the pose may go freely: what a crystal leaves open.")
    ] = 0.03
    force_tolerance: Annotated[float, Field(ge=0.1, le=1000.0)] = 10.0
    iterations: Annotated[int, Field(ge=1, le=100_000)] = 500
    temperature: Kelvin = 298.15
    torsions: Annotated[bool, Field(title="Where it sits", description="Also scan each rotatable bond: takes about half as long again.")] = True


@dataclass(frozen=True, eq=False)
class Strained:
    """What one potential says about a pose. Starts are the relaxed pose, row 0, and the conformers.

    Args:
        pose: Relaxed within the tolerance, (n, 3), nm.
        pose_energy: There, without the restraint, kJ/mol.
        restraint: Energy left in the restraint, kJ/mol.
        places: Minima that the starts reached, (c + 1, n, 3), nm, laid over the pose as it was given.
        energies: Of these, (c + 1,), kJ/mol; not a number where a start led nowhere, or to another molecule.
        converged: Of pose and starts, (c + 2,).
        minima: Rows of `places` that are different minima, the lowest first, (m,).
        torsions: Rotatable bonds, (t, 4), atom indices.
        torsion_energies: Above the lowest minimum, (t,), kJ/mol.
        torsion_angles: In the lowest minimum, (t,), degrees.
        fragments: What each part of the molecule, by itself, has more in the relaxed pose than in the lowest minimum, (f,), kJ/mol; not a number where
            the potential refuses it.
        members: Strain to the lowest minimum by each member of an ensemble, (e,), kJ/mol; empty where there is none.
        provenance: Of the potential.
        notes: What went differently, sentences.
    """

    pose: Floats
    pose_energy: float
    restraint: float
    places: Floats
    energies: Floats
    converged: Flags
    minima: Integers
    torsions: Integers
    torsion_energies: Floats
    torsion_angles: Floats
    fragments: Floats
    members: Floats
    provenance: dict[str, str]
    notes: tuple[str, ...]

    @property
    def minimum(self) -> Floats:
        """The lowest minimum, (n, 3), nm."""
        return cast("Floats", self.places[self.minima[0]])

    @property
    def to_global(self) -> float:
        """Strain to the lowest minimum, kJ/mol."""
        return float(self.pose_energy - self.energies[self.minima[0]])

    @property
    def to_local(self) -> float:
        """Strain to the minimum that lies nearest to the pose, kJ/mol; not a number where there is none."""
        return float(self.pose_energy - self.energies[0])

    def to_boltzmann(self, temperature: float) -> float:
        """Strain to the mean energy of the minima, each weighted by exp(-E/kT), kJ/mol.

        Args:
            temperature: K.
        """
        above = self.energies[self.minima] - self.energies[self.minima[0]]
        weights = np.exp(-above / (BOLTZMANN * temperature))
        return self.to_global - float(weights @ above / weights.sum())

    def save(self, path: Path, key: str) -> None:
        """Keep it, whole or not at all.

        Args:
            path: The file.
            key: What it was made from, by which `load` knows it again.

        Raises:
            StorageError: No space or no permission.
        """
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        words = {name: values.pop(name) for name in WORDS}
        keep(path, key, Part(values, words))

    @classmethod
    def load(cls, path: Path, key: str) -> "Strained | None":
        """What was kept under this key, or none: missing, damaged, or made from something else.

        Args:
            path: The file.
            key: As given to `save`.
        """
        part = kept(path, key)
        if part is None:
            return None
        values: dict[str, Any] = {**part.arrays, **part.words, "notes": tuple(part.words["notes"])}
        return cls(**values)


def strained(
    potential: Potential,
    ligand: Structure,
    shapes: Floats,
    protocol: StrainProtocol,
    on_phase: Progress | None = None,
    *,
    fragments: Sequence[Fragment] = (),
) -> Strained:
    """Measure the strain of a pose.

    Args:
        potential: In the gas phase; put into the protocol's medium here.
        ligand: One molecule with hydrogens, in its pose.
        shapes: Other shapes of it, (c, n, 3), nm.
        protocol: How.
        on_phase: Is told what is going on.
        fragments: Parts of it whose share is wanted.

    Raises:
        UnsupportedError: The potential, or the water around it, does not know the molecule.
        SimulationError: The potential has no energy at the pose, or none of the minima is this molecule.
    """
    tell = on_phase or (lambda _fraction, _sentence: None)
    tell(0.0, f"Loading {potential.card.title}")
    seen = potential if protocol.medium == "gas" else in_water(potential)
    bound = seen.bind(ligand)
    work = _Work(bound, ligand, protocol, tell)
    pose = work.pose()
    starts = work.minima(np.concatenate([pose.positions, shapes]))
    whole = intact(ligand, starts.positions) & np.isfinite(starts.energies)
    energies = np.where(whole, starts.energies, np.nan)
    if not whole.any():
        raise SimulationError(f"{bound.card.title} leads every shape of this molecule to other bonds. Check charges and hydrogens, or use another potential.")
    minima = unique_minima(ligand, starts.positions, energies)
    places = np.array([overlay(ligand, place, ligand.positions) for place in starts.positions])
    lowest = places[minima[0]]
    bonds = rotatable(ligand) if protocol.torsions else np.zeros((0, 4), dtype=np.int64)
    return Strained(
        pose=pose.positions[0], pose_energy=float(pose.energies[0]), restraint=float(pose.restraints[0]), places=places, energies=energies,
        converged=np.concatenate([pose.converged, starts.converged]), minima=minima, torsions=bonds,
        torsion_energies=work.torsions(lowest, pose.positions[0], bonds) - energies[minima[0]],
        torsion_angles=np.degrees(torsion_angles(lowest[bonds])),
        fragments=np.array([_share(seen, part, pose.positions[0], lowest) for part in fragments]),
        members=_members(bound, pose.positions[0], lowest), provenance=dict(bound.provenance),
        notes=_notes(ligand, pose, starts, whole),
    )  # fmt: skip


class _Work:
    """The three minimisations of one potential, each telling how far it is."""

    def __init__(self, bound: BoundPotential, ligand: Structure, protocol: StrainProtocol, tell: Progress) -> None:
        self._bound, self._ligand, self._protocol, self._tell = bound, ligand, protocol, tell

    def pose(self) -> Relaxed:
        """The pose, its heavy atoms held, first closely and then less so: what relaxes at all relaxes before atoms move far.

        Raises:
            SimulationError: There is no energy at the pose.
        """
        heavy, places = np.flatnonzero(self._ligand.numbers > 1), self._ligand.positions[None]
        allowed, watch = self._protocol.tolerance, self._watch(0.05, 0.15, "the pose")
        for tolerance in (*(rung for rung in RUNGS if rung < allowed), allowed):
            found = self._relax(places, Hold(heavy, self._ligand.positions[heavy], tolerance), watch)
            places = found.positions
        if np.isnan(found.energies[0]):
            raise SimulationError(f"{self._bound.card.title} has no energy at this pose: atoms are too close or too far. Minimise the pose by MM first.")
        return found

    def minima(self, starts: Floats) -> Relaxed:
        """The minima below the starts, (b, n, 3), nm."""
        return self._relax(starts, None, self._watch(0.15, 0.75, f"{len(starts)} shapes"))

    def torsions(self, minimum: Floats, pose: Floats, bonds: Integers) -> Floats:
        """Energies (t,), kJ/mol, of the minimum with one torsion after the other turned to its angle in the pose and held there."""
        goals = torsion_angles(pose[bonds])
        turns = around(goals - torsion_angles(minimum[bonds]), 2 * np.pi)
        shapes = [turned(self._ligand, minimum, bond, float(turn)) for bond, turn in zip(bonds, turns, strict=True)]
        starts = np.array(shapes).reshape(-1, *minimum.shape)
        return self._relax(starts, Twist(bonds, goals), self._watch(0.75, 1.0, f"{len(bonds)} torsions")).energies

    def _relax(self, starts: Floats, restraint: Hold | Twist | None, on_step: OnStep) -> Relaxed:
        restraints = [] if restraint is None else [restraint]
        chosen = self._protocol
        return relax(
            self._bound, starts, self._ligand.bonds, tolerance=chosen.force_tolerance, restraints=restraints, iterations=chosen.iterations, on_step=on_step
        )

    def _watch(self, begin: float, end: float, what: str) -> OnStep:
        title, steps = self._bound.card.title, count(1)

        def on_step(iteration: int, moving: int) -> None:
            # How many steps it will be is not known: a hundred bring most there.
            done = next(steps)
            self._tell(begin + (end - begin) * done / (done + 40), f"{title}: relaxing {what}, iteration {iteration}, {moving} still moving")

        return on_step


def bound_members(bound: BoundPotential) -> tuple[BoundPotential, ...]:
    """The members of an ensemble, also of one in water; none where there is no ensemble.

    Args:
        bound: Any potential.
    """
    parts = [part for _, part in bound.terms] if isinstance(bound, BoundSum | BoundInWater) else [bound]
    return next((part.members for part in parts if isinstance(part, Ensemble)), ())


def _members(bound: BoundPotential, pose: Floats, minimum: Floats) -> Floats:
    """Energies of the pose above the minimum by each member of an ensemble, (e,), kJ/mol, less what all of them share."""
    pairs = [evaluate_batch(member, np.array([pose, minimum])).energies for member in bound_members(bound)]
    return np.array([above - below for above, below in pairs])


def _share(potential: Potential, fragment: Fragment, pose: Floats, minimum: Floats) -> float:
    """Energy of a part in the pose above that in the minimum, kJ/mol; not a number where the potential does not know it."""
    try:
        above, below = evaluate_batch(potential.bind(fragment.structure), fragment.places(np.array([pose, minimum]))).energies
    except StudioError:
        return float("nan")
    return float(above - below)


def _notes(ligand: Structure, pose: Relaxed, starts: Relaxed, whole: Flags) -> tuple[str, ...]:
    notes = []
    lost, lingering = int((~whole).sum()), int((~starts.converged & whole).sum())
    if lost:
        notes.append(f"{lost} of {len(whole)} shapes relaxed to other bonds (a proton moved over?) or had no energy, and were left out.")
    if lingering:
        notes.append(f"{lingering} of {len(whole)} shapes were not fully relaxed: largest force {starts.forces[whole].max():.0f} kJ/mol/nm.")
    if not pose.converged[0]:
        notes.append(f"The restrained pose was not fully relaxed: largest force {pose.forces[0]:.0f} kJ/mol/nm.")
    if not intact(ligand, pose.positions)[0]:
        notes.append("The restrained pose has other bonds than the molecule: atoms are too close or too far, and its strain means little.")
    return tuple(notes)


def summary(found: Strained, ligand: Structure, temperature: float) -> dict[str, float]:
    """The numbers of one potential for people, energies in kcal/mol; what is not known is left out.

    Args:
        found: By the potential.
        ligand: In its pose.
        temperature: Of the Boltzmann mean, K.
    """
    values = {
        "strain_kcal_mol": found.to_global / KJ_PER_KCAL,
        "strain_boltzmann_kcal_mol": found.to_boltzmann(temperature) / KJ_PER_KCAL,
        "strain_local_kcal_mol": found.to_local / KJ_PER_KCAL,
        "restraint_kcal_mol": found.restraint / KJ_PER_KCAL,
        "minima": float(len(found.minima)),
        "pose_rmsd_angstrom": 10.0 * float(distances(ligand, found.pose[None], ligand.positions)[0]),
        "minimum_rmsd_angstrom": 10.0 * float(distances(ligand, found.minimum[None], ligand.positions)[0]),
        "members_spread_kcal_mol": float(found.members.std(ddof=1)) / KJ_PER_KCAL if len(found.members) > 1 else np.nan,
    }
    return {name: value for name, value in values.items() if np.isfinite(value)}
