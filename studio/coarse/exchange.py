"""Exchange: copies of a molecule at a ladder of temperatures that trade them, so that rare basins are reached by way of the hot ones.

All copies move in one Context, which costs a small molecule little more than one of them. A copy keeps its place and its number; what it
trades is its temperature (parallel tempering, Sugita 1999, 10.1016/S0009-2614(99)01123-9). Knows OpenMM Systems; must not know beads,
nor what the copies are for.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from studio.coarse.copies import Copies, can_be_copied
from studio.coarse.langevin import Langevin, drifting
from studio.errors import SimulationError
from studio.structure import Floats, Integers, Structure
from studio.units import BOLTZMANN

if TYPE_CHECKING:
    import openmm

LANES = (6, 2, 2, 2, 2, 2)
"""Copies at each temperature, the lowest first: that is the one that people ask for, so that most of the work is seen."""
STEEPEST, ATOMS = 1.184, 22
"""Ratio of neighbouring temperatures at which half of the trades are made, measured with alanine dipeptide, and its atoms."""
MOST_ATOMS = 64
"""Beyond that, neighbouring temperatures are so close that five of them end below 490 K, and all copies take minutes for what one does in one."""
BEAT_PS = 0.5
"""Between two trades, ps. The middle of a small peptide drifts 0.1 nm in it, and copies have more than 1 nm to spare."""
RELAXING = 200
"""Iterations of minimisation; prepared systems come relaxed."""
TOLERANCE = 1e-6
"""Of constraints, relative."""


class Bath(NamedTuple):
    """How the copies move.

    Args:
        temperature: The lowest, K.
        friction: 1/ps.
        timestep: fs.
        seed: Of everything random.
    """

    temperature: float
    friction: float
    timestep: float
    seed: int


def can_be_exchanged(one: "openmm.System", structure: Structure) -> bool:
    """Whether copies of a molecule can trade temperatures, and it is small enough for that to help.

    Args:
        one: The System of the molecule alone.
        structure: Its atoms.
    """
    return len(structure) <= MOST_ATOMS and can_be_copied(still(one), structure)


def still(one: "openmm.System") -> "openmm.System":
    """A System like it, without what stops its drift.

    Args:
        one: The System of the molecule alone.
    """
    import openmm

    return drifting(openmm.XmlSerializer.clone(one))


def ladder(temperature: float, atoms: int) -> Floats:
    """Temperatures in a geometric row, K; closer for more atoms, as energies scatter with their square root, so that half of the trades are made.

    Args:
        temperature: The lowest, K.
        atoms: Of the molecule.
    """
    return np.asarray(temperature * STEEPEST ** (min(1.0, (ATOMS / atoms) ** 0.5) * np.arange(len(LANES))))


class Exchange:
    """The copies.

    Args:
        one: The System of the molecule alone; see `can_be_exchanged`.
        structure: Its atoms.
        bath: How they move.

    Attributes:
        temperatures: Of the rungs, K.
        rungs: Which of them each copy has, (k,).
        tried: Trades between a rung and the next, (rungs - 1,).
        made: How many of them were made.
    """

    def __init__(self, one: "openmm.System", structure: Structure, bath: Bath) -> None:
        import openmm

        molecule = still(one)
        self._bath, self._copies, self._beats = bath, Copies.of(structure, sum(LANES)), 0
        self._random = np.random.default_rng(bath.seed)
        self.temperatures = ladder(bath.temperature, len(structure))
        self.rungs: Integers = np.repeat(np.arange(len(LANES)), LANES)
        self.tried, self.made = np.zeros((2, len(LANES) - 1), dtype=np.int64)
        self._masses = np.array([molecule.getParticleMass(atom)._value for atom in range(len(structure))])
        beside = self._copies.side_by_side(molecule)
        self._langevin = Langevin(beside, bath.timestep, bath.friction, int(self._random.integers(1, 2**31 - 1)))
        cpu = (openmm.Platform.getPlatformByName("CPU"), {"Threads": "1"})
        self._context = openmm.Context(beside, self._langevin.integrator, *cpu)
        self._single = openmm.Context(molecule, openmm.VerletIntegrator(0.001), *cpu)
        self._single.setPositions(structure.positions)
        openmm.LocalEnergyMinimizer.minimize(self._single, maxIterations=RELAXING)
        relaxed = np.asarray(self._single.getState(positions=True).getPositions(asNumpy=True)._value)
        self.place(np.repeat(relaxed[None], sum(LANES), axis=0), self.rungs)

    def place(self, positions: Floats, rungs: Integers) -> None:
        """Put the copies somewhere, with new velocities.

        Args:
            positions: (k, n, 3), nm.
            rungs: Of each copy, (k,).
        """
        self.rungs = np.array(rungs)
        self._context.setPositions(self._copies.apart(positions))
        self._context.applyConstraints(TOLERANCE)
        spread = np.sqrt(BOLTZMANN * self.temperatures[self.rungs, None] / self._masses)[..., None]
        self._context.setVelocities((spread * self._random.standard_normal((*spread.shape[:2], 3))).reshape(-1, 3))
        self._context.applyVelocityConstraints(TOLERANCE)
        self._heat()

    @property
    def positions(self) -> Floats:
        """Of all copies, (k, n, 3), nm."""
        return self._state()[0]

    def energies(self, positions: Floats) -> Floats:
        """Potential energy of each copy, (k,), kJ/mol.

        Args:
            positions: (k, n, 3), nm.
        """
        found = np.empty(len(positions))
        for copy, place in enumerate(positions):
            self._single.setPositions(place)
            found[copy] = self._single.getState(energy=True).getPotentialEnergy()._value
        return found

    def beat(self) -> tuple[Floats, Integers]:
        """Move for a while, then trade.

        Returns:
            Positions of all copies, (k, n, 3), nm, and the rungs that they had there, (k,).

        Raises:
            SimulationError: Numbers left physics.
        """
        self.move(max(1, round(1000.0 * BEAT_PS / self._bath.timestep)))
        positions, velocities = self._state()
        had = self.rungs
        self.rungs = self._traded(self.energies(positions))
        velocities *= np.sqrt(self.temperatures[self.rungs] / self.temperatures[had])[:, None, None]
        self._context.setPositions(self._copies.apart(positions))
        self._context.setVelocities(velocities.reshape(-1, 3))
        self._heat()
        return positions, had

    def move(self, steps: int) -> None:
        """Move without a trade.

        Args:
            steps: How many.

        Raises:
            SimulationError: Numbers left physics.
        """
        import openmm

        try:
            self._langevin.integrator.step(steps)
        except openmm.OpenMMException as problem:
            raise _left() from problem

    def _traded(self, energies: Floats) -> Integers:
        """Rungs after trades between even rungs and the next, or odd ones and the next, in turn; who asks whom is drawn.

        Metropolis' rule: two copies trade with the chance min(1, exp((1/kT_low - 1/kT_high) (U_low - U_high))).
        """
        after, beta = self.rungs.copy(), 1.0 / (BOLTZMANN * self.temperatures)
        for low in range(self._beats % 2, len(beta) - 1, 2):
            below, above = (self._random.permutation(np.flatnonzero(self.rungs == rung)) for rung in (low, low + 1))
            pairs = min(len(below), len(above))
            below, above = below[:pairs], above[:pairs]
            chance = np.exp(np.minimum(0.0, (beta[low] - beta[low + 1]) * (energies[below] - energies[above])))
            agreed = self._random.random(pairs) < chance
            after[below[agreed]], after[above[agreed]] = low + 1, low
            self.tried[low] += pairs
            self.made[low] += int(agreed.sum())
        self._beats += 1
        return after

    def _heat(self) -> None:
        """Tell the thermostat which copy has which temperature."""
        self._langevin.heat(np.repeat(self.temperatures[self.rungs], len(self._masses)))

    def _state(self) -> tuple[Floats, Floats]:
        state = self._context.getState(positions=True, velocities=True)
        both = [np.array(each._value).reshape(-1, len(self._masses), 3) for each in (state.getPositions(asNumpy=True), state.getVelocities(asNumpy=True))]
        if not np.isfinite(both).all():
            raise _left()
        return both[0], both[1]


def _left() -> SimulationError:
    return SimulationError("A coordinate of a copy is no longer a number. Choose a shorter time step or a lower temperature.")
