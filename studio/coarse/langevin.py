"""Langevin: one integrator for atoms that each have a temperature of their own, or take no step, and whose forces are summed up on the way.

    v <- v + h f/m;  x <- x + h/2 v;  v <- a v + sqrt((1 - a^2) kT/m) g;  x <- x + h/2 v,   a = exp(-friction h)

This is LangevinMiddle (Zhang 2019, 10.1021/acs.jpca.9b02771), as OpenMM has it for one temperature. Knows OpenMM Systems; must not
know copies nor beads.
"""

from typing import TYPE_CHECKING

import numpy as np

from studio.structure import Floats, Integers
from studio.units import BOLTZMANN

if TYPE_CHECKING:
    import openmm

FS_PER_PS = 1000.0
NOBODY: Integers = np.zeros(0, dtype=np.int64)


def drifting(system: "openmm.System") -> "openmm.System":
    """The System itself, now without what stops its drift: that would push held atoms, and see all copies as one molecule.

    Args:
        system: Nobody else has it.
    """
    import openmm

    for index in reversed(range(system.getNumForces())):
        if isinstance(system.getForce(index), openmm.CMMotionRemover):
            system.removeForce(index)
    return system


class Langevin:
    """It, for one Context; `heat` says how warm the atoms are.

    Args:
        system: What moves.
        timestep: fs.
        friction: 1/ps.
        seed: Of the thermostat.
        held: Atoms that take no step. They keep their mass, for OpenMM computes nothing for atoms of mass 0.
        summing: Whether forces are summed up. Each step's are used twice, so that an average costs nothing.

    Attributes:
        integrator: For the Context.
    """

    def __init__(self, system: "openmm.System", timestep: float, friction: float, seed: int, *, held: Integers = NOBODY, summing: bool = False) -> None:
        import openmm

        step = timestep / FS_PER_PS
        self._atoms, self._decay = system.getNumParticles(), float(np.exp(-friction * step))
        self.integrator = openmm.CustomIntegrator(step)
        self.integrator.setRandomNumberSeed(seed)
        self._describe(constrained=system.getNumConstraints() > 0, summing=summing)
        half = np.full((self._atoms, 3), 0.5 * step)
        half[held] = 0.0
        self.integrator.setPerDofVariableByName("half", half)

    def _describe(self, *, constrained: bool, summing: bool) -> None:
        integrator = self.integrator
        integrator.addGlobalVariable("decay", self._decay)
        for name in ("half", "kick", "before", *(("total",) if summing else ())):
            integrator.addPerDofVariable(name, 0.0)
        integrator.addUpdateContextState()
        if summing:
            integrator.addComputePerDof("total", "total + f")
        integrator.addComputePerDof("v", "v + 2*half*f/m")
        if constrained:
            integrator.addConstrainVelocities()
        integrator.addComputePerDof("x", "x + half*v")
        integrator.addComputePerDof("v", "decay*v + kick*gaussian/sqrt(m)")
        integrator.addComputePerDof("x", "x + half*v")
        if constrained:
            integrator.addComputePerDof("before", "x")
            integrator.addConstrainPositions()
            integrator.addComputePerDof("v", "v + (x - before)/dt")

    def heat(self, temperatures: Floats) -> None:
        """From now on the thermostat holds the atoms at these temperatures.

        Args:
            temperatures: Of each atom, (n,), K.
        """
        kicks = np.sqrt((1.0 - self._decay**2) * BOLTZMANN * temperatures)
        self.integrator.setPerDofVariableByName("kick", kicks[:, None].repeat(3, axis=1))

    def forget(self) -> None:
        """Sum up forces from here on."""
        self.integrator.setPerDofVariableByName("total", np.zeros((self._atoms, 3)))

    @property
    def total(self) -> Floats:
        """Forces of all steps since `forget`, (n, 3), kJ/mol/nm."""
        return np.array([tuple(each) for each in self.integrator.getPerDofVariableByName("total")])
