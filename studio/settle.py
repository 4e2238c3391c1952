"""Settle: take the clashes out of a pose by a short minimisation in its own neighbourhood, hardly moving it.

Knows a ligand with its partner and OpenMM; must not know where the pose came from or what it is measured for.
"""

from collections.abc import Callable, Mapping
from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from studio.errors import StoppedError, StructureError
from studio.forcefield.base import MMSystem
from studio.partners import Partners
from studio.structure import Flags, Floats, Structure

if TYPE_CHECKING:
    import openmm

AROUND, MOVING = 1.0, 0.5
"""Residues within the first distance of the ligand are felt, those within the second move, nm."""
SPRING = 2000.0
"""What holds heavy atoms where they are, kJ/mol/nm^2: 4.8 kcal/mol/angstrom^2."""
DIELECTRIC = 4.0
"""Charges act as inside a protein: in vacuum they would pull everything together."""
ITERATIONS, TOLERANCE = 300, 5.0
"""At most so many steps; root-mean-square force at which it ends, kJ/mol/nm."""

Parametrise = Callable[[Structure], MMSystem]
OnIteration = Callable[[int], bool]
"""Called with the number of each iteration; returns False to stop."""


def settled(pair: Partners, parametrise: Parametrise, on_iteration: OnIteration) -> Floats:
    """Positions of the whole structure, (n, 3), nm, with the pose and its neighbourhood relaxed.

    Heavy atoms are held by springs, U = k/2 |r - r0|^2, and hydrogens are free; what lies farther off stays.

    Args:
        pair: The ligand and its partner.
        parametrise: Molecular mechanics of a structure.
        on_iteration: Called on the way.

    Raises:
        StoppedError: It was stopped on the way.
        StructureError: The atoms overlap so much that they cannot be relaxed.
        UnsupportedError: The force field does not know them.
    """
    near, cut = pair.cut(AROUND)
    mm = parametrise(near.structure)
    free = _free(near) & ~cut.caps
    places = _minimised(_prepared(mm, free), near.structure.positions, on_iteration)
    positions = np.array(pair.structure.positions)
    positions[cut.atoms[free]] = places[free]
    return positions


def _free(near: Partners) -> Flags:
    """True for atoms of residues that move."""
    from scipy.spatial import cKDTree

    whole = near.structure
    close = cKDTree(whole.positions[near.ligand]).query(whole.positions, distance_upper_bound=MOVING)[0] <= MOVING
    return np.isin(whole.residue_index, np.unique(whole.residue_index[close]))


def _prepared(mm: MMSystem, free: Flags) -> "openmm.System":
    """The System without constraints, its charges weakened, some atoms held and the others fixed; `mm` is left as it is."""
    import openmm

    system = openmm.XmlSerializer.clone(mm.system)
    while system.getNumConstraints():
        system.removeConstraint(0)
    nonbonded = next(force for force in system.getForces() if isinstance(force, openmm.NonbondedForce))
    for atom in range(nonbonded.getNumParticles()):
        charge, sigma, epsilon = nonbonded.getParticleParameters(atom)
        nonbonded.setParticleParameters(atom, charge / np.sqrt(DIELECTRIC), sigma, epsilon)
    for index in range(nonbonded.getNumExceptions()):
        one, other, product, sigma, epsilon = nonbonded.getExceptionParameters(index)
        nonbonded.setExceptionParameters(index, one, other, product / DIELECTRIC, sigma, epsilon)
    springs = openmm.CustomExternalForce(f"{SPRING / 2}*((x-x0)^2+(y-y0)^2+(z-z0)^2)")
    for name in ("x0", "y0", "z0"):
        springs.addPerParticleParameter(name)
    for atom in np.flatnonzero(free & (mm.structure.numbers > 1)).tolist():
        springs.addParticle(atom, mm.structure.positions[atom].tolist())
    system.addForce(springs)
    for atom in np.flatnonzero(~free).tolist():
        system.setParticleMass(atom, 0.0)
    return system


def _minimised(system: "openmm.System", start: Floats, on_iteration: OnIteration) -> Floats:
    """Where the System comes to rest.

    Raises:
        StoppedError: It was stopped on the way.
        StructureError: Its energy is not a number.
    """
    import openmm
    from openmm import unit

    counted, stopped = count(1), list[bool]()

    def report(_self: object, _iteration: int, _x: object, _grad: object, _args: Mapping[str, float]) -> bool:
        number = next(counted)
        stopped.extend([] if on_iteration(number) else [True])
        return bool(stopped) or number >= ITERATIONS

    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("CPU"), {"DeterministicForces": "true", "Threads": "1"})
    context.setPositions(start)
    reporter = type("Reporter", (openmm.MinimizationReporter,), {"report": report})()
    sentence = "Atoms overlap so much that the pose cannot be relaxed. Check the coordinates of ligand and protein."
    try:
        openmm.LocalEnergyMinimizer.minimize(context, TOLERANCE, ITERATIONS, reporter)
    except openmm.OpenMMException as problem:
        raise StructureError(sentence) from problem
    if stopped:
        raise StoppedError("Stopped while the pose was relaxed.")
    places = np.asarray(context.getState(positions=True).getPositions(asNumpy=True).value_in_unit(unit.nanometer))
    if not np.isfinite(places).all():
        raise StructureError(sentence)
    return places
