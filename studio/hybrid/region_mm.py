"""Region MM: the MM energy that belongs to a region, alone - what a network replaces.

Knows OpenMM Systems and capped regions; must not know networks.
"""

from typing import TYPE_CHECKING

import numpy as np

from studio.forcefield.base import MMSystem
from studio.forcefield.subset import subset
from studio.hybrid.boundary import Part, belongs_to, cap
from studio.potentials.base import EnergyForces
from studio.structure import Floats, Integers

if TYPE_CHECKING:
    import openmm


class RegionMM:
    """U_MM^LL: the MM energy that belongs to a region, by its own small OpenMM Context in double precision.

    Periodic electrostatics count each pair as a full 1/r, as an OpenMM exception does; Lennard-Jones terms keep the
    cutoff and switch of the full system, so that what is taken away is what is there.

    Args:
        mm: The full system.
        atoms: Indices of a region of whole molecules, or a region with its links.
    """

    def __init__(self, mm: MMSystem, atoms: Integers | Part) -> None:
        import openmm

        part = atoms if isinstance(atoms, Part) else cap(mm.structure, atoms)
        self._order = np.argsort(part.seen)
        system = subset(mm.system, part.seen, belongs_to(mm.structure, part))
        for index in reversed(range(system.getNumForces())):
            force = system.getForce(index)
            if isinstance(force, openmm.NonbondedForce):
                _silence(force, np.flatnonzero(self._order >= len(part.atoms)))
                _split_nonbonded(system, force)
            elif not isinstance(force, bonded_forces()):
                system.removeForce(index)
        while system.getNumConstraints():
            system.removeConstraint(0)
        self._context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))

    def __call__(self, positions: Floats) -> EnergyForces:
        """Energy (kJ/mol) and forces (n + l, 3) (kJ/mol/nm) of the region and its MM hosts at `positions` (n + l, 3), nm, whole."""
        self._context.setPositions(positions[self._order])
        energy, sorted_forces = energy_forces(self._context.getState(energy=True, forces=True))
        forces = np.empty_like(sorted_forces)
        forces[self._order] = sorted_forces
        return EnergyForces(energy, forces)


def energy_forces(state: "openmm.State") -> EnergyForces:
    """Energy (kJ/mol) and forces (n, 3) (kJ/mol/nm) of an OpenMM State."""
    from openmm import unit

    energy = state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole)
    return EnergyForces(energy, state.getForces(asNumpy=True).value_in_unit(unit.kilojoule_per_mole / unit.nanometer))


def _silence(force: "openmm.NonbondedForce", particles: Integers) -> None:
    """Leave `particles` without charge and Lennard-Jones parameters."""
    for particle in particles:
        force.setParticleParameters(int(particle), 0.0, 1.0, 0.0)


def bonded_forces() -> tuple[type, ...]:
    """The bonded OpenMM forces that belong to U_MM^LL."""
    import openmm

    return (openmm.HarmonicBondForce, openmm.HarmonicAngleForce, openmm.PeriodicTorsionForce, openmm.RBTorsionForce, openmm.CMAPTorsionForce)


def _split_nonbonded(system: "openmm.System", force: "openmm.NonbondedForce") -> None:
    """Make `force` the Coulomb part and add its Lennard-Jones part, which keeps the cutoff, to `system`."""
    import openmm

    kinds = openmm.NonbondedForce
    method = force.getNonbondedMethod()
    if method == kinds.NoCutoff:
        return
    vdw = openmm.XmlSerializer.deserialize(openmm.XmlSerializer.serialize(force))
    vdw.setNonbondedMethod(kinds.CutoffNonPeriodic)
    vdw.setUseDispersionCorrection(False)
    force.setNonbondedMethod(kinds.CutoffNonPeriodic if method in (kinds.CutoffNonPeriodic, kinds.CutoffPeriodic) else kinds.NoCutoff)
    for i in range(force.getNumParticles()):
        charge, sigma, epsilon = force.getParticleParameters(i)
        force.setParticleParameters(i, charge, sigma, 0.0)
        vdw.setParticleParameters(i, 0.0, sigma, epsilon)
    for k in range(force.getNumExceptions()):
        i, j, product, sigma, epsilon = force.getExceptionParameters(k)
        force.setExceptionParameters(k, i, j, product, sigma, 0.0)
        vdw.setExceptionParameters(k, i, j, 0.0, sigma, epsilon)
    system.addForce(vdw)
