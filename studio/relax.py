"""Relax: many copies of a molecule walk downhill together, one call of the potential an iteration.

Knows bound potentials, bonds and restraints, and must not know where the copies came from or what their energies are for.
Each copy takes L-BFGS steps of its own (Nocedal and Wright, Numerical Optimization, 2006, algorithm 7.4), scaled by a guess of
its stiffness (`studio.internal`), and goes back half-way where the energy rose; copies that have arrived leave the calls.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from studio.errors import SimulationError
from studio.internal import Internals, internals, stiffness, torsion_angles, torsion_slopes
from studio.potentials.base import Batch, BoundPotential, evaluate_batch
from studio.structure import Flags, Floats, Integers

LONGEST = 0.01
"""How far an atom goes in one step at most, nm: twice as far costs no fewer calls, and more often ends in another basin."""
REMEMBERED = 8
"""Steps from which the curvature is learned."""
REFRESH = 6
"""Steps between two guesses of the stiffness, which turns with the molecule."""
NOISE = 0.02
"""What an energy in single precision may rise by without having risen, kJ/mol."""
DECREASE, CURVED = 1e-4, 1e-8
"""Share of the promised decrease that a step has to keep; least curvature that is remembered."""
TRIES = 8
"""Halvings of a step before its direction is given up."""

OnStep = Callable[[int, int], None]
"""Called with the iteration and how many copies still move; what it raises ends the walk."""


class Pull(NamedTuple):
    """What a restraint does to some copies: energies (b,), kJ/mol, forces (b, n, 3), kJ/mol/nm, and how stiff it holds each atom (b, n), kJ/mol/nm^2."""

    energies: Floats
    forces: Floats
    stiffness: Floats


class Restraint(Protocol):
    """What keeps copies from going where the potential alone would take them."""

    def __call__(self, positions: Floats, copies: Integers) -> Pull:
        """Its energies and forces.

        Args:
            positions: (b, n, 3), nm.
            copies: Which of all copies these are, (b,).
        """
        ...


@dataclass(frozen=True, eq=False)
class Hold:
    """Flat-bottom restraint of atoms to places: E = k/2 sum max(0, |r - r0| - t)^2.

    Args:
        atoms: Indices, (m,).
        places: r0, (m, 3), nm.
        tolerance: t, how far an atom may go for nothing, nm.
        constant: k, kJ/mol/nm^2; 20,000 are 48 kcal/mol/angstrom^2.
    """

    atoms: Integers
    places: Floats
    tolerance: float
    constant: float = 20_000.0

    def __call__(self, positions: Floats, copies: Integers) -> Pull:
        """Energies and forces at positions (b, n, 3), nm; all copies are held alike."""
        away = positions[:, self.atoms] - self.places
        distances = np.linalg.norm(away, axis=-1)
        beyond = np.maximum(distances - self.tolerance, 0.0)
        forces, stiff = np.zeros_like(positions), np.zeros(positions.shape[:2])
        forces[:, self.atoms] = -self.constant * (beyond / np.maximum(distances, 1e-12))[..., None] * away
        stiff[:, self.atoms] = self.constant * (beyond > 0.0)
        return Pull(0.5 * self.constant * (beyond**2).sum(axis=1), forces, stiff)


@dataclass(frozen=True, eq=False)
class Twist:
    """Restraint of one torsion of each copy: E = k (1 - cos(phi - phi0)), harmonic near phi0.

    Args:
        atoms: The four atoms of each copy, (b, 4).
        angles: phi0 of each copy, (b,), radian.
        constant: k, kJ/mol/rad^2.
    """

    atoms: Integers
    angles: Floats
    constant: float = 5_000.0

    def __call__(self, positions: Floats, copies: Integers) -> Pull:
        """Energies and forces at positions (b, n, 3), nm, of the copies (b,)."""
        row = np.arange(len(copies))[:, None]
        atoms = self.atoms[copies]
        places = positions[row, atoms]
        apart = torsion_angles(places) - self.angles[copies]
        slopes = torsion_slopes(places)
        forces, stiff = np.zeros_like(positions), np.zeros(positions.shape[:2])
        forces[row, atoms] = -self.constant * np.sin(apart)[:, None, None] * slopes
        stiff[row, atoms] = self.constant * (slopes**2).sum(-1) / 3.0
        return Pull(self.constant * (1.0 - np.cos(apart)), forces, stiff)


class Relaxed(NamedTuple):
    """Where copies arrived.

    Args:
        positions: (b, n, 3), nm.
        energies: Of the potential alone, (b,), kJ/mol; not a number where it has none at the start.
        restraints: Energy that is left in the restraints, (b,), kJ/mol.
        forces: Largest force on an atom, restraints included, (b,), kJ/mol/nm.
        converged: True where that is below the tolerance, (b,).
        iterations: Calls of the potential.
        evaluations: Geometries in all of these calls.
    """

    positions: Floats
    energies: Floats
    restraints: Floats
    forces: Floats
    converged: Flags
    iterations: int
    evaluations: int


def relax(
    bound: BoundPotential,
    positions: Floats,
    bonds: Integers,
    *,
    tolerance: float = 10.0,
    restraints: Sequence[Restraint] = (),
    iterations: int = 500,
    on_step: OnStep | None = None,
) -> Relaxed:
    """Bring copies of a molecule to their nearest minima.

    Args:
        bound: The potential, bound to the atoms of one copy.
        positions: Of all copies, (b, n, 3), nm.
        bonds: Pairs of atom indices, (k, 2), from which the stiffness is guessed.
        tolerance: A copy has arrived when no atom feels a larger force, kJ/mol/nm; 10 are 0.01 eV/angstrom.
        restraints: What holds the copies back.
        iterations: At most so many calls of the potential.
        on_step: Called before each call.
    """
    landscape = _Landscape(bound, tuple(restraints), internals(bonds))
    walk = _Walk(landscape, np.array(positions, dtype=np.float64), tolerance)
    for iteration in range(1, iterations):
        moving = np.flatnonzero(walk.moving)
        if on_step:
            on_step(iteration, len(moving))
        if not len(moving):
            break
        walk.step(moving)
    held = sum((restraint(walk.places, np.arange(len(walk.places))).energies for restraint in restraints), np.zeros(len(walk.places)))
    energies = np.where(np.isfinite(walk.energies), walk.energies - held, np.nan)
    return Relaxed(walk.places, energies, held, walk.largest, walk.largest <= tolerance, landscape.calls, landscape.geometries)


class _Landscape:
    """Energy, slope and stiffness of copies: the potential and all that holds them; a place where the potential fails is infinitely high."""

    def __init__(self, bound: BoundPotential, restraints: tuple[Restraint, ...], parts: Internals) -> None:
        self._bound, self._restraints, self._parts = bound, restraints, parts
        self.calls = self.geometries = 0

    def __call__(self, places: Floats, copies: Integers) -> Batch:
        """Energies (b,) and slopes (b, n, 3) at places (b, n, 3)."""
        self.calls, self.geometries = self.calls + 1, self.geometries + len(places)
        energies, forces = self._evaluate(places)
        pulls = [restraint(places, copies) for restraint in self._restraints]
        energies = energies + sum((pull.energies for pull in pulls), np.zeros(len(places)))
        forces = forces + sum((pull.forces for pull in pulls), np.zeros_like(places))
        sound = np.isfinite(energies) & np.isfinite(forces).all(axis=(1, 2))
        return Batch(np.where(sound, energies, np.inf), -np.where(sound[:, None, None], forces, 0.0))

    def stiffness(self, places: Floats, copies: Integers) -> Floats:
        """The guess for places (b, n, 3), as (b, 3n, 3n)."""
        guess = stiffness(places, self._parts)
        atoms = np.arange(3 * places.shape[1])
        for restraint in self._restraints:
            guess[:, atoms, atoms] += np.repeat(restraint(places, copies).stiffness, 3, axis=1)
        return guess

    def _evaluate(self, places: Floats) -> Batch:
        try:
            return evaluate_batch(self._bound, places)
        except SimulationError:
            answers = [self._single(place) for place in places]
        return Batch(np.array([answer.energies[0] for answer in answers]), np.concatenate([answer.forces for answer in answers]))

    def _single(self, place: Floats) -> Batch:
        try:
            return evaluate_batch(self._bound, place[None])
        except SimulationError:
            return Batch(np.array([np.inf]), np.zeros((1, *place.shape)))


class _Walk:
    """Where all copies are, and what they remember of their way."""

    def __init__(self, landscape: _Landscape, places: Floats, tolerance: float) -> None:
        self._landscape, self._tolerance, self.places = landscape, tolerance, places
        copies, atoms, _ = places.shape
        self.energies, slopes = landscape(places, np.arange(copies)) if copies else Batch(np.zeros(0), places)
        self._slopes = slopes.reshape(copies, 3 * atoms)
        self._given_up = ~np.isfinite(self.energies)
        self._moves, self._changes = np.zeros((2, copies, REMEMBERED, 3 * atoms))
        self._weights = np.zeros((copies, REMEMBERED))
        self._inverses = np.zeros((copies, 3 * atoms, 3 * atoms))
        self._directions = np.zeros((copies, 3 * atoms))
        self._scales, self._tries, self._steps = np.ones(copies), np.zeros(copies, dtype=np.int64), np.zeros(copies, dtype=np.int64)
        self._turn(np.flatnonzero(self.moving))

    @property
    def largest(self) -> Floats:
        """The largest force on an atom of each copy, kJ/mol/nm."""
        forces = np.linalg.norm(self._slopes.reshape(self.places.shape), axis=-1).max(axis=-1)
        return np.asarray(np.where(np.isfinite(self.energies), forces, np.inf))

    @property
    def moving(self) -> Flags:
        """True for copies that have neither arrived nor been given up."""
        return np.asarray(~self._given_up & (self.largest > self._tolerance))

    def step(self, moving: Integers) -> None:
        """One call of the potential for the copies that move, and what follows from its answer."""
        moves = self._scales[moving, None] * self._directions[moving]
        trial = self.places[moving] + moves.reshape(self.places[moving].shape)
        energies, slopes = self._landscape(trial, moving)
        slopes = slopes.reshape(moves.shape)
        promised = (moves * self._slopes[moving]).sum(axis=1)
        lower = energies <= self.energies[moving] + DECREASE * promised + NOISE
        self._retreat(moving[~lower], energies[~lower], promised[~lower])
        taken = moving[lower]
        self._remember(taken, moves[lower], slopes[lower] - self._slopes[taken])
        self.places[taken], self.energies[taken], self._slopes[taken] = trial[lower], energies[lower], slopes[lower]
        self._steps[taken] += 1
        self._turn(taken)

    def _retreat(self, copies: Integers, energies: Floats, promised: Floats) -> None:
        """Shorter steps where the energy rose: to the lowest point of the parabola, within bounds; after some, a new direction, or the end."""
        rise = energies - self.energies[copies]
        lowest = np.where(np.isfinite(rise), -promised / (2.0 * np.maximum(rise - promised, 1e-12)), 0.0)
        self._scales[copies] *= np.clip(lowest, 0.1, 0.5)
        self._tries[copies] += 1
        tired = copies[self._tries[copies] > TRIES]
        fresh = ~self._weights[tired].any(axis=1)
        self._given_up[tired[fresh]] = True
        self._weights[tired] = 0.0
        self._turn(tired[~fresh])

    def _remember(self, copies: Integers, moves: Floats, changes: Floats) -> None:
        """Keep how the slope changed along the way, newest last, where it grew."""
        curvature = (moves * changes).sum(axis=1)
        useful = curvature > CURVED * np.linalg.norm(moves, axis=1) * np.linalg.norm(changes, axis=1)
        kept = copies[useful]
        for memory, newest in ((self._moves, moves[useful]), (self._changes, changes[useful]), (self._weights, 1.0 / curvature[useful])):
            memory[kept] = np.roll(memory[kept], -1, axis=1)
            memory[kept, -1] = newest

    def _turn(self, copies: Integers) -> None:
        """New directions, their first steps no longer than allowed."""
        stale = copies[(self._steps[copies] % REFRESH == 0) | ~self._inverses[copies].any(axis=(1, 2))]
        if len(stale):
            self._inverses[stale] = np.linalg.inv(self._landscape.stiffness(self.places[stale], stale))
        direction = self._newton(copies)
        uphill = (direction * self._slopes[copies]).sum(axis=1) >= 0.0
        if uphill.any():
            self._weights[copies[uphill]] = 0.0
            direction[uphill] = self._newton(copies[uphill])
        self._directions[copies] = direction
        reach = np.linalg.norm(direction.reshape(len(copies), self.places.shape[1], 3), axis=-1).max(axis=1, initial=1e-12)
        self._scales[copies], self._tries[copies] = np.minimum(1.0, LONGEST / reach), 0

    def _newton(self, copies: Integers) -> Floats:
        """Minus the inverse second derivatives, as far as they are known, times the slope: the two loops of algorithm 7.4."""
        moves, changes, weights = self._moves[copies], self._changes[copies], self._weights[copies]
        slope, shares = self._slopes[copies], np.zeros_like(weights)
        for k in reversed(range(REMEMBERED)):
            shares[:, k] = weights[:, k] * (moves[:, k] * slope).sum(axis=1)
            slope -= shares[:, k, None] * changes[:, k]
        slope = (self._inverses[copies] @ slope[..., None])[..., 0]
        for k in range(REMEMBERED):
            slope += (shares[:, k] - weights[:, k] * (changes[:, k] * slope).sum(axis=1))[:, None] * moves[:, k]
        return -slope
