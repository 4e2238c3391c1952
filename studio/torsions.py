"""Torsions: relaxed scans of one or two rotatable bonds by one potential, and how well one profile agrees with another.

A scan is a grid of angles. The lowest minimum is turned to all of them and relaxed in one batch, other minima join at their own
angle, and what is lower spreads to its neighbours until nothing changes (wavefront propagation: Qiu et al. 2020,
10.1063/5.0009232), so that the profile is the lowest branch, whatever direction one comes from. Knows potentials, conformers and
minimisation; must not know where the molecule came from.
"""

from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from studio.conformers import achiral, conformers, intact, turned, unique_minima
from studio.errors import SimulationError
from studio.internal import internals, torsion_angles
from studio.parts import Part, keep, kept
from studio.potentials.base import BoundPotential, Potential
from studio.potentials.water import in_water
from studio.progress import Progress
from studio.relax import OnStep, Relaxed, Twist, relax
from studio.strain import Medium
from studio.structure import Flags, Floats, Integers, Structure
from studio.timeseries import around
from studio.units import Kelvin

WINDOW = 25.0
"""Minima higher than this above the lowest one, kJ/mol, do not join: 6 kcal/mol."""
LOWER = 0.1
"""What counts as lower and spreads, kJ/mol."""
ELSEWHERE = np.radians(40.0)
"""Neighbours whose other torsions differ by more than this lie on different branches."""
SHAKE = 0.003
"""Random move of each coordinate of a start, nm, lest symmetry keeps it on a saddle point."""
FULL = 2
"""Minima, the lowest ones, that are turned to every angle."""
ROUNDS = 12
"""Times that what is lower may spread."""
MIRROR = np.array([1.0, 1.0, -1.0])


class ScanProtocol(BaseModel):
    """How torsions are scanned.

    Args:
        medium: `gas`, or `water`: a continuum (see `studio.potentials.water.in_water`).
        points: Angles of a profile, around the whole circle.
        map_points: Angles along each side of a map of two bonds.
        conformers: Shapes of the rest of the molecule that are tried, besides the given one.
        seed: Of these shapes.
        force_tolerance: A geometry is relaxed when no atom feels a larger force, kJ/mol/nm.
        iterations: Calls of the potential after which a minimisation ends anyway.
        temperature: Of the Boltzmann weights when profiles are compared, K.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    medium: Annotated[Medium, Field(title="Surroundings", description="In gas, where force fields are fitted, or in continuum water.")] = "gas"
    points: Annotated[int, Field(ge=6, le=120, multiple_of=2, title="Angles", description="Points of a profile: 24 are 15 degrees apart.")] = 24
    map_points: Annotated[int, Field(ge=6, le=36, multiple_of=2, title="Angles of a map", description="Along each side: 12 are 30 degrees apart.")] = 12
    conformers: Annotated[int, Field(ge=0, le=1000, title="Shapes of the rest", description="Other shapes of the molecule that may lower the profile.")] = 8
    seed: Annotated[int, Field(ge=0, le=10**9)] = 0
    force_tolerance: Annotated[float, Field(ge=0.1, le=1000.0)] = 10.0
    iterations: Annotated[int, Field(ge=1, le=100_000)] = 300
    temperature: Kelvin = 298.15


@dataclass(frozen=True, eq=False)
class Scanned:
    """What one potential says; a dimension of the grid for each torsion.

    Args:
        torsions: That are turned, (d, 4), atom indices.
        angles: Along each dimension, (g,), degrees, from -180.
        energies: Above the lowest one of the grid, (g,) or (g, g), kJ/mol; not a number where nothing was found.
        places: Relaxed geometries, (g, n, 3) or (g, g, n, 3), nm.
        evaluations: Geometries in all calls of the potential.
        provenance: Of the potential.
        notes: What went differently, sentences.
    """

    torsions: Integers
    angles: Floats
    energies: Floats
    places: Floats
    evaluations: int
    provenance: dict[str, str]
    notes: tuple[str, ...]

    def save(self, path: Path, key: str) -> None:
        """Keep it, whole or not at all.

        Args:
            path: The file.
            key: What it was made from, by which `load` knows it again.

        Raises:
            StorageError: No space or no permission.
        """
        arrays = {name: getattr(self, name) for name in ("torsions", "angles", "energies", "places")}
        keep(path, key, Part(arrays, {name: getattr(self, name) for name in ("evaluations", "provenance", "notes")}))

    @classmethod
    def load(cls, path: Path, key: str) -> "Scanned | None":
        """What was kept under this key, or none: missing, damaged, or made from something else.

        Args:
            path: The file.
            key: As given to `save`.
        """
        part = kept(path, key)
        if part is None:
            return None
        a, words = part.arrays, part.words
        return cls(a["torsions"], a["angles"], a["energies"], a["places"], int(words["evaluations"]), dict(words["provenance"]), tuple(words["notes"]))


def scanned(potential: Potential, molecule: Structure, torsions: Integers, protocol: ScanProtocol, on_phase: Progress | None = None) -> Scanned:
    """Scan one torsion, or two at once.

    Args:
        potential: In the gas phase; put into the protocol's medium here.
        molecule: One molecule with hydrogens.
        torsions: Four atoms each, (1, 4) or (2, 4); their bonds are in no ring.
        protocol: How.
        on_phase: Is told what is going on.

    Raises:
        UnsupportedError: The potential, or the water around it, does not know the molecule.
        StructureError: No shapes of the molecule are found.
        SimulationError: The potential has no energy at any angle, or leads to other molecules only.
    """
    tell = on_phase or (lambda _fraction, _sentence: None)
    tell(0.0, f"Loading {potential.card.title}")
    bound = (potential if protocol.medium == "gas" else in_water(potential)).bind(molecule)
    grid = _Grid(molecule, torsions, protocol.points if len(torsions) == 1 else protocol.map_points)
    work = _Work(bound, grid, protocol, tell)
    work.fill()
    work.spread()
    if not np.isfinite(grid.energies).any():
        raise SimulationError(f"{bound.card.title} leads this molecule to other bonds at every angle. Check charges and hydrogens, or use another potential.")
    energies = np.where(np.isfinite(grid.energies), grid.energies - grid.energies.min(), np.nan).reshape(grid.shape)
    places = grid.places.reshape(*grid.shape, len(molecule), 3)
    return Scanned(torsions, grid.angles, np.asarray(energies), places, work.evaluations, dict(bound.provenance), grid.notes)


class _Grid:
    """The lowest geometry at each angle so far; of a molecule without stereocentres one half, the other one being its mirror image."""

    def __init__(self, molecule: Structure, torsions: Integers, points: int) -> None:
        self.molecule, self.torsions = molecule, torsions
        self.angles: Floats = -180.0 + 360.0 / points * np.arange(points, dtype=np.float64)
        self.shape = (points,) * len(torsions)
        cells = points ** len(torsions)
        self.energies, self.places = np.full(cells, np.inf), np.zeros((cells, *molecule.positions.shape))
        self.lingering = np.zeros(cells, dtype=np.bool_)
        self._opposite = np.ravel_multi_index(tuple(-np.indices(self.shape) % points), self.shape).ravel()
        self._folds = achiral(molecule)
        self._random = np.random.default_rng(0)
        self._others = _one_for_each_bond(molecule)

    @property
    def cells(self) -> Integers:
        """Those that have to be computed."""
        every = np.arange(len(self.energies))
        return every[every <= self._opposite] if self._folds else every

    @property
    def notes(self) -> tuple[str, ...]:
        """What went differently."""
        lost, slow = int((~np.isfinite(self.energies)).sum()), int(self.lingering.sum())
        told = [f"At {lost} of {len(self.energies)} angles the molecule changed its bonds or had no energy: they are left out."] if lost else []
        return (*told, *([f"At {slow} of {len(self.energies)} angles the geometry was not fully relaxed."] if slow else []))

    def goals(self, cells: Integers) -> Floats:
        """Angles of cells (b,), radian, (b, d)."""
        return np.asarray(np.radians(self.angles[np.stack(np.unravel_index(cells, self.shape), axis=1)]))

    def nearest(self, place: Floats) -> int:
        """The cell at whose angles a geometry (n, 3) is."""
        step = 360.0 / len(self.angles)
        index = np.round((np.degrees(torsion_angles(place[self.torsions])) + 180.0) / step).astype(np.int64) % len(self.angles)
        return int(np.ravel_multi_index(tuple(index), self.shape))

    def turned(self, place: Floats, cell: int) -> Floats:
        """A geometry (n, 3) turned rigidly to the angles of a cell."""
        for torsion, goal in zip(self.torsions, self.goals(np.array([cell]))[0], strict=True):
            place = turned(self.molecule, place, torsion, float(goal - torsion_angles(place[torsion])))
        return place

    def folded(self, cell: int, place: Floats) -> tuple[int, Floats]:
        """The cell and geometry, or its mirror image, in the half that is computed."""
        other = int(self._opposite[cell])
        return (other, place * MIRROR) if self._folds and other < cell else (cell, place)

    def take(self, cells: Integers, found: Relaxed) -> Integers:
        """Keep what is lower than before; gives the cells where something was."""
        # What a torsion lacks of its angle is made up for to first order: the slope there is the restraint's, k sin(d), and k d sin(d) is twice its energy.
        energies = np.where(intact(self.molecule, found.positions), found.energies + 2.0 * found.restraints, np.inf)
        fresh = set()
        for cell, energy, place, arrived in zip(cells.tolist(), energies, found.positions, found.converged, strict=True):
            if energy < self.energies[cell] - LOWER:
                fresh.add(cell)
                for here, image in ((cell, place), (int(self._opposite[cell]), place * MIRROR))[: 2 if self._folds else 1]:
                    self.energies[here], self.places[here], self.lingering[here] = energy, image, not arrived
        return np.array(sorted(fresh), dtype=np.int64)

    def proposals(self, fresh: Integers, *, everywhere: bool) -> list[tuple[int, Floats]]:
        """Starts for the neighbours of cells, shaken off saddle points; where the neighbour is their continuation, only if everywhere."""
        found = []
        for cell in sorted({*fresh.tolist(), *(self._opposite[fresh].tolist() if self._folds else ())}):
            for axis, move in ((axis, move) for axis in range(len(self.shape)) for move in (-1, 1)):
                index = np.array(np.unravel_index(cell, self.shape))
                index[axis] = (index[axis] + move) % self.shape[axis]
                beside = int(np.ravel_multi_index(tuple(index), self.shape))
                start = self.turned(self.places[cell], beside)
                if self.folded(beside, start)[0] == beside and (everywhere or not self._continues(start, beside)):
                    found.append((beside, start + SHAKE * self._random.normal(size=start.shape)))
        return found

    def _continues(self, start: Floats, cell: int) -> bool:
        if not np.isfinite(self.energies[cell]):
            return False
        apart = torsion_angles(start[self._others]) - torsion_angles(self.places[cell][self._others])
        return bool((np.abs(around(apart, 2 * np.pi)) < ELSEWHERE).all())


class _Work:
    """The minimisations of one scan, each telling how far it is."""

    def __init__(self, bound: BoundPotential, grid: _Grid, protocol: ScanProtocol, tell: Progress) -> None:
        self._bound, self._grid, self._protocol, self._tell = bound, grid, protocol, tell
        self.evaluations = 0

    def fill(self) -> None:
        """The lowest minimum at every angle, and the others at their own."""
        grid, chosen = self._grid, self._protocol
        shapes = conformers(grid.molecule, chosen.conformers, chosen.seed) if chosen.conformers else grid.places[:0]
        found = self._relax(np.concatenate([grid.molecule.positions[None], shapes]), (), self._watch(0.0, 0.2, f"{1 + len(shapes)} shapes"))
        energies = np.where(intact(grid.molecule, found.positions), found.energies, np.nan)
        minima = unique_minima(grid.molecule, found.positions, energies)
        places = [found.positions[row] for row in minima if energies[row] < energies[minima[0]] + WINDOW] or [grid.molecule.positions]
        starts = [(cell, grid.turned(place, cell)) for place in places[:FULL] for cell in grid.cells.tolist()]
        for place in places[FULL:]:
            cell, image = grid.folded(grid.nearest(place), place)
            starts.append((cell, grid.turned(image, cell)))
        self._fresh = self._descend(starts, self._watch(0.2, 0.7, f"{len(starts)} geometries"))

    def spread(self) -> None:
        """What is lower goes on to its neighbours, until nothing is."""
        for number in range(ROUNDS):
            starts = self._grid.proposals(self._fresh, everywhere=number == 0)
            if not starts:
                break
            begin = 0.7 + 0.3 * (1.0 - 0.7**number)
            self._fresh = self._descend(starts, self._watch(begin, begin + 0.3 * 0.3 * 0.7**number, f"{len(starts)} neighbours"))

    def _descend(self, starts: list[tuple[int, Floats]], on_step: OnStep) -> Integers:
        cells = np.array([cell for cell, _ in starts], dtype=np.int64)
        goals = self._grid.goals(cells)
        twists = [Twist(np.tile(torsion, (len(cells), 1)), goals[:, k]) for k, torsion in enumerate(self._grid.torsions)]
        return self._grid.take(cells, self._relax(np.array([place for _, place in starts]), twists, on_step))

    def _relax(self, starts: Floats, restraints: "tuple[Twist, ...] | list[Twist]", on_step: OnStep) -> Relaxed:
        chosen = self._protocol
        found = relax(
            self._bound, starts, self._grid.molecule.bonds,
            tolerance=chosen.force_tolerance, restraints=restraints, iterations=chosen.iterations, on_step=on_step,
        )  # fmt: skip
        self.evaluations += found.evaluations
        return found

    def _watch(self, begin: float, end: float, what: str) -> OnStep:
        title, steps = self._bound.card.title, count(1)

        def on_step(iteration: int, moving: int) -> None:
            done = next(steps)
            self._tell(begin + (end - begin) * done / (done + 40), f"{title}: relaxing {what}, iteration {iteration}, {moving} still moving")

        return on_step


def _one_for_each_bond(molecule: Structure) -> Integers:
    """A torsion of heavy atoms and polar hydrogens along each bond that has one, (t, 4)."""
    partners = [molecule.bonds[(molecule.bonds == atom).any(axis=1)] for atom in range(len(molecule))]
    counts: Flags = np.array([z > 1 or (molecule.numbers[near] != 6).sum() > 1 for z, near in zip(molecule.numbers, partners, strict=True)])
    every = internals(molecule.bonds).torsions
    every = every[counts[every].all(axis=1)]
    _, first = np.unique(np.sort(every[:, 1:3], axis=1), axis=0, return_index=True)
    return np.asarray(every[first], dtype=np.int64)
