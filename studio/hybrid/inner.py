"""Inner force: makes the refit of a region - samples it, asks the network, fits.

Two rounds: geometries of the MM force field first, then of MM with the first fit, which are nearly the network's own. Knows
MM systems, capped regions and bound potentials; must not know integrators or recipes.
"""

from typing import TYPE_CHECKING

import numpy as np

from studio.forcefield.base import MMSystem
from studio.forcefield.subset import subset
from studio.hybrid.boundary import Part
from studio.hybrid.refit import Refit, fit
from studio.hybrid.region_mm import RegionMM, bonded_forces, energy_forces
from studio.potentials.base import BoundPotential, EnergyForces
from studio.progress import Progress
from studio.structure import Floats

if TYPE_CHECKING:
    import openmm

FIRST, SECOND, HELD_OUT = 100, 160, 40
"""Geometries of the two rounds, and how many of the second are kept to judge the fit."""
ROUGH_RIDGE = 1e-2
"""Regularisation of the first fit, which has to be tame rather than exact: dynamics follow it."""
FAR_OFF = 3.0
"""Geometries whose bracket is this many times as large as usual are where the first fit ran away, and are left out."""
HEAT = 1.3
"""Samples are hotter than the run by this factor, so that the run stays where the fit holds."""
STRIDE, STEP, FRICTION = 50, 0.001, 20.0
"""Steps between two samples; their length, ps; friction, 1/ps, high: samples, not times, are wanted."""


class InnerForce:
    """D at work in double precision, to be taken out of the outer force.

    Args:
        refit: D of a region.
        size: Number of atoms that it was fitted for.
    """

    def __init__(self, refit: Refit, size: int) -> None:
        import openmm

        system = openmm.System()
        for _ in range(size):
            system.addParticle(1.0)
        for force in refit.forces(np.arange(size)):
            system.addForce(force)
        self._context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))

    def __call__(self, positions: Floats) -> EnergyForces:
        """Energy (kJ/mol) and forces (n, 3) (kJ/mol/nm) at positions (n, 3), nm, whole."""
        self._context.setPositions(positions)
        return energy_forces(self._context.getState(energy=True, forces=True))


def refit(mm: MMSystem, part: Part, potential: BoundPotential, temperature: float = 300.0, *, seed: int = 0, tell: Progress | None = None) -> Refit:
    """D of one region for one network.

    Args:
        mm: The full system.
        part: The region and its links; D joins region and MM hosts.
        potential: Bound to the capped region.
        temperature: Of the run, K.
        seed: Of the samples.
        tell: Called with a fraction and a sentence.
    """
    tell = tell or (lambda _fraction, _sentence: None)
    shadow = RegionMM(mm, part)

    def bracket(positions: Floats) -> Floats:
        return part.spread(positions, potential(part.cap(positions)).forces) - shadow(positions).forces

    start = part.whole(mm.structure.positions[part.seen], mm.structure.box)
    structure = mm.structure.take(part.seen)
    title = potential.card.title
    tell(0.0, f"Fitting the inner force to {title}: first geometries")
    first = _sample(mm, part, start, None, temperature=HEAT * temperature, count=FIRST, seed=seed)
    forces = np.array([bracket(place) for place in first])
    rough = fit(structure, first, forces, FIRST // 8, ROUGH_RIDGE)
    tell(0.4, f"Fitting the inner force to {title}: geometries of its own")
    second = _sample(mm, part, start, rough, temperature=HEAT * temperature, count=SECOND, seed=seed + 1)
    more = np.array([bracket(place) for place in second])
    sane = _sizes(more) <= FAR_OFF * np.median(_sizes(forces))
    if sane.sum() < HELD_OUT:
        return rough
    second, more = second[sane], more[sane]
    tell(0.8, f"Fitting the inner force to {title}: least squares")
    held_out = np.arange(len(more)) % (SECOND // HELD_OUT) == 0
    places, pulls = (np.concatenate([one, two[~held_out], two[held_out]]) for one, two in ((first, second), (forces, more)))
    return fit(structure, places, pulls, int(held_out.sum()))


def _sizes(forces: Floats) -> Floats:
    """Root mean square of each geometry's force components."""
    return np.asarray(np.sqrt(np.mean(forces**2, axis=(1, 2))))


def _sample(mm: MMSystem, part: Part, start: Floats, rough: Refit | None, *, temperature: float, count: int, seed: int) -> Floats:
    """Thermal geometries (count, n, 3), nm, of the region and its hosts alone, without constraints, in the order of `part.seen`."""
    import openmm

    order = np.argsort(part.seen)
    rank = np.argsort(order)
    system = sampled_system(mm, part)
    for force in rough.forces(rank) if rough else ():
        system.addForce(force)
    integrator = openmm.LangevinMiddleIntegrator(temperature, FRICTION, STEP)
    integrator.setRandomNumberSeed(seed + 1)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(start[order])
    openmm.LocalEnergyMinimizer.minimize(context, 10.0, 100)
    context.setVelocitiesToTemperature(temperature, seed + 1)
    integrator.step(10 * STRIDE)
    return np.array([_next(context) for _ in range(count)])[:, rank]


def _next(context: "openmm.Context") -> Floats:
    from openmm import unit

    context.getIntegrator().step(STRIDE)
    return np.asarray(context.getState(positions=True).getPositions(asNumpy=True).value_in_unit(unit.nanometer))


def sampled_system(mm: MMSystem, part: Part) -> "openmm.System":
    """All MM terms among the region and its hosts, in vacuum, all atoms moving freely."""
    import openmm

    system = subset(mm.system, part.seen)
    for index in reversed(range(system.getNumForces())):
        force = system.getForce(index)
        if isinstance(force, openmm.NonbondedForce):
            force.setNonbondedMethod(openmm.NonbondedForce.NoCutoff)
        elif not isinstance(force, bonded_forces()):
            system.removeForce(index)
    while system.getNumConstraints():
        system.removeConstraint(0)
    for particle in range(system.getNumParticles()):
        if system.getParticleMass(particle)._value == 0.0:  # a fixed host
            system.setParticleMass(particle, 12.0)
    return system
