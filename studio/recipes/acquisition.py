"""Acquisition: which configurations a coarse model should be told about, and atoms that lie as they do.

At first those that know all turns of the backbone alike (`evenly`): the share of a basin is a sum of forces along the way to it, and
few trajectories stay on the way. Then those where the model is in doubt (`drawn`).

Beads that the model itself visits are drawn in proportion to the square of the error that its calibrated ensemble expects there. The
sampled configuration that is nearest is then pulled onto them by springs, while everything else moves; the label is measured
where the beads are in the end, so that a pull that falls short does no harm. Knows mappings and OpenMM; must not know networks.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from studio.coarse.held import Reference, Sampling, advance, built, platform_of
from studio.coarse.mapping import Mapping
from studio.coarse.shape import Turn, rmsd, turned, turns
from studio.errors import SimulationError
from studio.structure import Floats, Integers, Structure
from studio.superpose import superposition
from studio.system import System
from studio.thermostat import Thermostat, make_context

if TYPE_CHECKING:
    import openmm

Ask = Callable[[], None]

STIFFNESS = (1e3, 1e4, 5e4)
"""Of the springs on the mapped atoms, one after the other, kJ/mol/nm^2: the last lets beads sway by 0.007 nm at 300 K."""
PULL_PS = 0.3
"""With each stiffness."""
CELLS = 12
"""Of each angle, 30 degrees wide."""


def evenly(frames: Floats, beads: Structure, count: int, seed: int) -> Integers:
    """Indices of frames that lie as evenly over the turns of the backbone as can be, (count,), each once, those of a kind in no order.

    One after the other, always one of those whose cells of phi and psi - the mean over all residues - were drawn least often so far.

    Args:
        frames: Beads, (f, b, 3), nm.
        beads: Their names and bonds.
        count: How many; all where there are not as many.
        seed: Of the draw.
    """
    random = np.random.default_rng(seed)
    cells = [_cells(turn, frames) for turn in turns(beads)] or [np.zeros(len(frames), dtype=np.int64)]
    taken = np.zeros((len(cells), CELLS**2))
    tie = 1e-3 * random.random(len(frames))
    chosen = np.zeros(min(count, len(frames)), dtype=np.int64)
    for place in range(len(chosen)):
        known = np.mean([counts[cell] for counts, cell in zip(taken, cells, strict=True)], axis=0)
        chosen[place] = np.argmin(known + tie)
        tie[chosen[place]] = np.inf
        for counts, cell in zip(taken, cells, strict=True):
            counts[cell[chosen[place]]] += 1.0
    return chosen


def _cells(turn: Turn, frames: Floats) -> Integers:
    """The cell of each frame, (f,)."""
    x, y = (np.floor(CELLS * (turned(frames, four) / 360.0 % 1.0)).astype(np.int64) % CELLS for four in (turn.first, turn.second))
    return np.asarray(CELLS * x + y)


def drawn(expected: Floats, count: int, seed: int) -> Integers:
    """Indices of the frames that would teach most, (count,), each once; fewer where there are not as many.

    Args:
        expected: Error of the force on each bead of each frame, (f, b), kJ/mol/nm.
        count: How many.
        seed: Of the draw.
    """
    chance = np.nan_to_num((expected**2).mean(axis=1))
    known = int((chance > 0).sum())
    if not known:
        return np.zeros(0, dtype=np.int64)
    return np.asarray(np.random.default_rng(seed).choice(len(chance), size=min(count, known), replace=False, p=chance / chance.sum()))


class Ground(NamedTuple):
    """What moves atoms around beads.

    Args:
        system: What the user named.
        view: What moves its atoms.
        structure: Its prepared structure.
        mapping: Of all its atoms, by slice.
        sampling: Temperature, time step and masses.
    """

    system: System
    view: Reference
    structure: Structure
    mapping: Mapping
    sampling: Sampling


def pulled(ground: Ground, pool: Floats, targets: Floats, ask: Ask) -> tuple[Floats, Floats]:
    """Atoms whose beads lie near the targets; a target that cannot be reached is left out.

    Args:
        ground: What moves them.
        pool: Configurations that were sampled, (p, n, 3), nm.
        targets: Of the beads, (k, b, 3), nm.
        ask: Called every few steps; what it raises ends the work.

    Returns:
        Atoms, (m, n, 3), nm, and how far their beads are from the targets, (m,), nm.
    """
    mapping = ground.mapping
    beads = mapping.positions(pool)
    pull = _Pull(built(*ground), mapping, ground.sampling)
    found, away = [], []
    for target in targets:
        nearest = int(np.argmin(rmsd(beads, target)))
        goal = superposition(target, beads[nearest])(target)
        try:
            atoms = pull.onto(pool[nearest], goal, ask)
        except SimulationError:
            continue
        found.append(atoms)
        away.append(float(rmsd(mapping.positions(atoms)[None], target)[0]))
    return np.array(found).reshape(-1, mapping.atoms, 3), np.array(away)


class _Pull:
    """Springs on the mapped atoms."""

    def __init__(self, moving: "openmm.System", mapping: Mapping, sampling: Sampling) -> None:
        import openmm

        self._sites, self._sampling, self._steps = mapping.sites.tolist(), sampling, sampling.steps(PULL_PS)
        self._spring = openmm.CustomExternalForce("0.5*stiffness*((x-x0)^2+(y-y0)^2+(z-z0)^2)")
        self._spring.addGlobalParameter("stiffness", 0.0)
        for name in ("x0", "y0", "z0"):
            self._spring.addPerParticleParameter(name)
        for site in self._sites:
            self._spring.addParticle(site, (0.0, 0.0, 0.0))
        moving.addForce(self._spring)
        drive = Thermostat(sampling.temperature, sampling.friction, sampling.timestep, sampling.seed + 15485863)
        self._context = make_context(moving, drive, *platform_of(moving))

    def onto(self, atoms: Floats, goal: Floats, ask: Ask) -> Floats:
        """Where the atoms are in the end, (n, 3), nm.

        Args:
            atoms: Where they start.
            goal: For the mapped ones, (b, 3), nm.
            ask: Called every few steps.

        Raises:
            SimulationError: The atoms left physics.
        """
        for row, (site, place) in enumerate(zip(self._sites, goal.tolist(), strict=True)):
            self._spring.setParticleParameters(row, site, place)
        self._spring.updateParametersInContext(self._context)
        self._context.setPositions(atoms)
        self._context.setVelocitiesToTemperature(self._sampling.temperature, self._sampling.seed + 1)
        for stiffness in STIFFNESS:
            self._context.setParameter("stiffness", stiffness)
            advance(self._context, self._steps, ask)
        there = np.asarray(self._context.getState(positions=True).getPositions(asNumpy=True)._value)
        if not np.isfinite(there).all():
            raise SimulationError("A configuration could not be pulled onto beads.")
        return there
