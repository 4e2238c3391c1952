"""Ladder: the windows of a transfer, sampled one after the other in one Context, that exchange their copies.

Hamiltonian replica exchange: after each sweep the copies change windows by Metropolis swaps (Chodera and Shirts 2011,
10.1063/1.3660669); the energies of all copies in all windows follow from U0 and U1 alone. Everything that is needed to go
on is kept between two sweeps. Knows transfers; must not know what their free energy means.
"""

from collections.abc import Callable
from pathlib import Path as File
from typing import Any

import numpy as np
from numpy.typing import NDArray

from studio.errors import SimulationError
from studio.forcefield.base import ForceGroup
from studio.hybrid.coupling import EVERY
from studio.parts import Part, keep, kept
from studio.structure import Floats, Integers
from studio.thermostat import Thermostat, make_context
from studio.transfer import DIRECTION, STRENGTH, Transfer
from studio.units import BOLTZMANN

SWAPS = 4
"""Attempted swaps in a sweep, for each pair of windows."""
SMALL = 1000
"""Fewer atoms gain little from a second thread."""
RELAXING = 300
"""Iterations of minimisation at the bound end before the start."""

Look = Callable[[int, Floats], bool]
"""Is told the window and its positions (nm) after each stretch; returns False to stop."""


class Ladder:
    """Copies of a system, one in each window.

    Args:
        transfer: What moves, and along which windows.
        drive: Temperature, friction, time step, seed.
        platform: OpenMM platform; the fastest there is when left out.
        threads: CPU threads; one for small systems on a CPU when left out, so that equal settings give equal numbers.

    Attributes:
        bound: U0 of every sample, (sweeps, windows), kJ/mol; grows.
        unbound: U1, likewise.
        held: Energy of the walls of the site, likewise.
        walkers: Which copy was in each window, (sweeps, windows).

    Raises:
        SimulationError: The start cannot be relaxed.
    """

    def __init__(self, transfer: Transfer, drive: Thermostat, platform: str | None = None, threads: int | None = None) -> None:
        self.transfer, self.drive = transfer, drive
        self._windows = transfer.path.windows
        self._context = make_context(transfer.model.system, drive, platform, threads or _threads(len(transfer.model.structure)))
        if transfer.model.structure.box is not None:
            self._context.setPeriodicBoxVectors(*transfer.model.structure.box)
        count = len(self._windows)
        self.bound, self.unbound, self.held = np.zeros((0, count)), np.zeros((0, count)), np.zeros((0, count))
        self.walkers: Integers = np.zeros((0, count), dtype=np.int64)
        self._walkers: Integers = np.arange(count)
        self._positions, self._velocities = np.zeros((count, 0, 3)), np.zeros((count, 0, 3))
        self._random = b""

    def __len__(self) -> int:
        return len(self.bound)

    @property
    def platform(self) -> str:
        """Name of OpenMM's platform."""
        return str(self._context.getPlatform().getName())

    def start(self) -> None:
        """Relax the structure at the bound end and give each window a copy with velocities of its own.

        Raises:
            SimulationError: The energy is not a number.
        """
        import openmm

        context = self._context
        context.setPositions(self.transfer.model.structure.positions)
        self._choose(0, every=1)
        try:
            openmm.LocalEnergyMinimizer.minimize(context, 10.0, RELAXING)
            context.applyConstraints(1e-6)
        except openmm.OpenMMException as problem:
            raise SimulationError("The energy of the start is not a number. Check that no atoms overlap.") from problem
        positions, velocities = [], []
        for window in range(len(self._windows)):
            context.setVelocitiesToTemperature(self.drive.temperature, self.drive.seed + 7919 * (window + 1))
            place, speed = self._state()
            positions.append(place)
            velocities.append(speed)
        self._positions, self._velocities = np.array(positions), np.array(velocities)
        self._random = context.createCheckpoint()

    def sweep(self, steps: int, look: Look) -> bool:
        """Advance every window, note its energies, then exchange; False if it was stopped, and then nothing is changed.

        Args:
            steps: Time steps of each window.
            look: Told of each window.

        Raises:
            SimulationError: Coordinates or energies are no longer numbers.
        """
        self._context.loadCheckpoint(self._random)
        positions, velocities = self._positions.copy(), self._velocities.copy()
        energies = np.zeros((len(self._windows), 3))
        for window in range(len(self._windows)):
            self._choose(window, every=self.drive.inner)
            self._context.setPositions(positions[window])
            self._context.setVelocities(velocities[window])
            energies[window] = self._advance(steps, window)
            positions[window], velocities[window] = self._state()
            if not look(window, positions[window]):
                return False
        self._note(energies)
        order = self._exchanged(energies)
        self._positions, self._velocities, self._walkers = positions[order], velocities[order], self._walkers[order]
        self._random = self._context.createCheckpoint()
        return True

    def _advance(self, steps: int, window: int) -> tuple[float, float, float]:
        """U0, U1 and the energy of the walls after some steps, kJ/mol."""
        import openmm

        try:
            self._context.getIntegrator().step(steps * self.drive.inner)
            displaced, here, _ = self.transfer.force.getPerturbationEnergy(self._context)
            walls = self._context.getState(energy=True, groups={int(ForceGroup.WALL)}).getPotentialEnergy()
        except openmm.OpenMMException as problem:
            raise SimulationError(f"Window {window + 1} became unstable: {str(problem).split('For more')[0].strip()} Take a shorter time step.") from problem
        energies = float(_plain(here)), float(_plain(displaced)), float(_plain(walls))
        if not np.isfinite(energies).all():
            raise SimulationError(f"The energy of window {window + 1} is no longer a number. Take a shorter time step, or another seed.")
        return energies

    def _note(self, energies: Floats) -> None:
        self.bound, self.unbound = np.vstack([self.bound, energies[:, 0]]), np.vstack([self.unbound, energies[:, 1]])
        self.held = np.vstack([self.held, energies[:, 2]])
        self.walkers = np.vstack([self.walkers, self._walkers])

    def _exchanged(self, energies: Floats) -> Integers:
        """Which copy goes into each window."""
        u = self.transfer.path.energies(energies[:, 0], energies[:, 1])[1:-1] / (BOLTZMANN * self.drive.temperature)
        count, order = len(u), np.arange(len(u))
        random = np.random.default_rng((self.drive.seed, len(self)))
        pairs = random.integers(0, count, (SWAPS * count * count, 2))
        luck = np.log(random.random(len(pairs)))
        for (i, j), chance in zip(pairs.tolist(), luck.tolist(), strict=True):
            a, b = order[i], order[j]
            if chance < u[i, a] + u[j, b] - u[i, b] - u[j, a]:
                order[i], order[j] = b, a
        return order

    def _choose(self, window: int, every: int) -> None:
        chosen = self._windows[window]
        self._context.setParameter(DIRECTION, chosen.direction)
        self._context.setParameter(STRENGTH, chosen.strength)
        if self.transfer.model.correction is not None:
            self._context.setParameter(EVERY, every)

    def _state(self) -> tuple[Floats, Floats]:
        state = self._context.getState(positions=True, velocities=True)
        return np.asarray(_plain(state.getPositions(asNumpy=True))), np.asarray(_plain(state.getVelocities(asNumpy=True)))

    def save(self, path: File, key: str) -> None:
        """Write all that is needed to go on.

        Args:
            path: The file; appears whole.
            key: Of all that the samples depend on.

        Raises:
            StorageError: No space or no permission.
        """
        arrays: dict[str, NDArray[np.generic]] = {
            "bound": self.bound, "unbound": self.unbound, "held": self.held, "walkers": self.walkers, "now": self._walkers,
            "positions": self._positions, "velocities": self._velocities, "random": np.frombuffer(self._random, dtype=np.uint8),
        }  # fmt: skip
        keep(path, key, Part(arrays, {"platform": self.platform}))

    def restore(self, path: File, key: str) -> bool:
        """Go on from a file; False where there is none, or one that belongs to something else.

        Args:
            path: The file.
            key: Of all that the samples depend on.
        """
        part = kept(path, key)
        if part is None:
            return False
        a = part.arrays
        self.bound, self.unbound, self.held, self.walkers, self._walkers = a["bound"], a["unbound"], a["held"], a["walkers"], a["now"]
        self._positions, self._velocities = a["positions"], a["velocities"]
        self._context.setPositions(self._positions[0])
        # Random numbers go on bit by bit on the platform that wrote them; elsewhere they are others.
        self._random = a["random"].tobytes() if part.words["platform"] == self.platform else self._context.createCheckpoint()
        return True


def _threads(atoms: int) -> int | None:
    """One thread where OpenMM would take the CPU for a small system; its choice otherwise."""
    import openmm

    platforms = [openmm.Platform.getPlatform(i) for i in range(openmm.Platform.getNumPlatforms())]
    return 1 if atoms < SMALL and max(platforms, key=lambda each: each.getSpeed()).getName() == "CPU" else None


def _plain(quantity: Any) -> Any:
    """The number or array behind an OpenMM quantity, in nm, ps, kJ/mol."""
    from openmm import unit

    return quantity.value_in_unit_system(unit.md_unit_system) if unit.is_quantity(quantity) else quantity
