"""End-point binding: what two ends of a binding - together, and apart - say about its free energy.

MM/GBSA from a single trajectory (Genheden and Ryde, Expert Opin. Drug Discov. 2015, 10, 449, 10.1517/17460441.2015.1032936, eqs. 1 to 3):
complex, receptor and ligand are taken from the same frames, so that bonded terms of the force field cancel, and

    dG = < E_coulomb + E_LJ + dG_GB + dG_SA > + < S >,    dX = X(complex) - X(receptor) - X(ligand).

E: energies between ligand and receptor in vacuum, no cutoff; dG_GB: generalised Born, what the two lose by shielding each other
from water; dG_SA: the nonpolar part of the force field's model (ACE, from Born radii). In a single trajectory the energy
inside the ligand cancels for any potential, so that a network enters by what a single trajectory leaves out, the strain

    S = [E_P + G_w](ligand of a frame, relaxed with its heavy atoms held) - min [E_P + G_w],

which takes the free ligand from its lowest minimum in water w to the shape in which it binds; P is the potential. The relaxation
takes the heat out of both ends, so that it need not be averaged away. Left out: the entropy that ligand and receptor lose (some
10 to 25 kcal/mol, much the same for similar ligands), strain of the receptor, and all water as molecules. Differences between
similar ligands mean something; absolute values do not.

Knows Systems, potentials and places; must not know files or recipes.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from studio.conformers import intact
from studio.errors import SimulationError, UnsupportedError
from studio.forcefield.base import MMSystem
from studio.forcefield.subset import subset
from studio.interaction import Nonbonded, pair_energies
from studio.partners import Partners
from studio.potentials.base import Potential
from studio.potentials.water import in_water
from studio.relax import Hold, OnStep, Pull, relax
from studio.structure import Floats, Integers, Structure
from studio.timeseries import MIN_BLOCKS, mean_of
from studio.units import KJ_PER_KCAL

if TYPE_CHECKING:
    import openmm

TERMS = ("coulomb", "lennard_jones", "polar", "nonpolar")
"""Columns of the energies of a frame."""
SURFACE = "surface_share"
DOUBTFUL = 1.0
"""Errors above this hide what usually matters between two ligands, kcal/mol."""


class Solvation(NamedTuple):
    """Polar and nonpolar free energy of solvation, kJ/mol."""

    polar: float
    nonpolar: float


class Continuum:
    """The generalised Born water around some atoms of a System.

    Args:
        mm: Parametrised with generalised Born.
        atoms: Those that are there; the others are not even a cavity.

    Raises:
        UnsupportedError: There is no generalised Born force.
    """

    def __init__(self, mm: MMSystem, atoms: Integers) -> None:
        import openmm

        platform = openmm.Platform.getPlatformByName("CPU")
        self._context = openmm.Context(subset(_water(mm.system), atoms.tolist()), openmm.VerletIntegrator(0.001), platform)

    def __call__(self, positions: Floats) -> Solvation:
        """What the water gives.

        Args:
            positions: Of the atoms, (n, 3), nm.
        """
        from openmm import unit

        self._context.setPositions(np.asarray(positions, dtype=np.float64))
        state = self._context.getState(energy=True, parameterDerivatives=True)
        whole = float(state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole))
        # The nonpolar part is multiplied by this parameter, so that the slope is that part.
        nonpolar = float(dict(state.getEnergyParameterDerivatives())[SURFACE])
        return Solvation(whole - nonpolar, nonpolar)


def _water(system: "openmm.System") -> "openmm.System":
    """A System with nothing but the generalised Born force, its nonpolar term under a parameter."""
    import openmm

    bare = openmm.System()
    for atom in range(system.getNumParticles()):
        bare.addParticle(system.getParticleMass(atom))
    found = [force for force in system.getForces() if isinstance(force, openmm.CustomGBForce)]
    if not found:
        raise UnsupportedError("End-point binding needs continuum water (GBn2 or OBC2), and this System has none.")
    force = openmm.XmlSerializer.clone(found[0])
    force.addGlobalParameter(SURFACE, 1.0)
    force.addEnergyParameterDerivative(SURFACE)
    for index in range(force.getNumEnergyTerms()):
        expression, kind = force.getEnergyTermParameters(index)
        if "charge" not in expression:
            force.setEnergyTermParameters(index, f"{SURFACE}*{expression}", kind)
    bare.addForce(force)
    return bare


class Ends:
    """The two ends of one binding, ready for any number of frames.

    Args:
        pair: Ligand and receptor, nothing else.
        mm: Of the structure of the pair, with generalised Born.
    """

    def __init__(self, pair: Partners, mm: MMSystem) -> None:
        self._pair, self._parameters = pair, Nonbonded.of(mm.system)
        self._sides = [(atoms, Continuum(mm, atoms)) for atoms in (np.arange(len(pair.structure)), pair.receptor, pair.ligand)]

    def __call__(self, positions: Floats) -> Floats:
        """The four `TERMS` of a frame, (4,), kJ/mol.

        Args:
            positions: (n, 3), nm.
        """
        coulomb, dispersion = pair_energies(self._parameters, self._pair.ligand, self._pair.receptor, positions)
        both, receptor, ligand = (continuum(positions[atoms]) for atoms, continuum in self._sides)
        lost = [whole - one - other for whole, one, other in zip(both, receptor, ligand, strict=True)]
        return np.array([coulomb.sum(), dispersion.sum(), *lost])


@dataclass(frozen=True, eq=False)
class HoldEach:
    """Flat-bottom restraint of each copy to places of its own; see `Hold`.

    Args:
        atoms: Indices, (m,).
        places: (b, m, 3), nm.
        tolerance: How far an atom may go for nothing, nm.
    """

    atoms: Integers
    places: Floats
    tolerance: float

    def __call__(self, positions: Floats, copies: Integers) -> Pull:
        """Energies and forces at positions (b, n, 3), nm, of the copies (b,)."""
        return Hold(self.atoms, self.places[copies], self.tolerance)(positions, copies)


class Strains(NamedTuple):
    """Strain of the ligand in each frame (f,), kJ/mol, and what went differently, sentences."""

    energies: Floats
    notes: tuple[str, ...]


def strains(potential: Potential, ligand: Structure, poses: Floats, shapes: Floats, *, tolerance: float, on_step: OnStep) -> Strains:
    """Strain of a ligand in several poses over the lowest minimum that is found, in water.

    Args:
        potential: In the gas phase; put into water here.
        ligand: One molecule.
        poses: (f, n, 3), nm.
        shapes: Other shapes from which minima are searched, (c, n, 3), nm.
        tolerance: How far a heavy atom of a pose may go to relax, nm.
        on_step: Called on the way.

    Raises:
        UnsupportedError: The potential does not know the ligand.
        SimulationError: It leads all shapes to other bonds, or has no energy at the poses.
    """
    bound, heavy = in_water(potential).bind(ligand), np.flatnonzero(ligand.numbers > 1)
    held = relax(bound, poses, ligand.bonds, restraints=[HoldEach(heavy, poses[:, heavy], tolerance)], on_step=on_step)
    free = relax(bound, np.concatenate([held.positions, shapes]), ligand.bonds, on_step=on_step)
    whole = intact(ligand, free.positions) & np.isfinite(free.energies)
    sound = intact(ligand, held.positions) & np.isfinite(held.energies)
    if not whole.any() or not sound.any():
        raise SimulationError(f"{bound.card.title} leads this ligand to other bonds or has no energy for it. Use another potential for its strain.")
    lost = len(poses) - int(sound.sum())
    notes = (f"In {lost} of {len(poses)} frames {bound.card.title} led the ligand to other bonds; they are left out of its strain.",) if lost else ()
    return Strains(np.where(sound, held.energies - free.energies[whole].min(), np.nan), notes)


def doubts(values: Floats) -> list[str]:
    """Why the mean of these values should not be trusted, sentences; none if nothing speaks against it.

    Args:
        values: Free energy of each frame, (n,), kcal/mol.
    """
    told, half = [], len(values) // 2
    if len(values) < MIN_BLOCKS:
        told.append(f"{len(values)} frames are too few to see how they depend on each other: the error is a lower bound.")
    if half >= 2:
        first, second = mean_of(values[:half]), mean_of(values[half:])
        drift = second.above(first)
        if abs(drift.value) > 2.0 * drift.error:
            told.append(
                f"Do not trust this mean: the second half of the run differs from the first by {drift.value:+.1f} ± {drift.error:.1f} kcal/mol. Run longer."
            )
    error = mean_of(values).error
    if error > DOUBTFUL:
        told.append(f"Do not trust differences between ligands below {2 * error:.1f} kcal/mol: the error of this mean is {error:.1f} kcal/mol.")
    return told


def total(terms: Floats, strain: Floats) -> Floats:
    """Free energy of each frame with the mean strain, (f,), kcal/mol.

    Args:
        terms: (f, 4), kJ/mol.
        strain: Of some frames, kJ/mol; may be empty.
    """
    known = strain[np.isfinite(strain)]
    return np.asarray((terms.sum(axis=1) + (known.mean() if len(known) else 0.0)) / KJ_PER_KCAL)
