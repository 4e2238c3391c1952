"""Probe: a short trial that says whether a system bears a time step, before it is offered.

Resonances of multiple time steps heat the fastest motions first, and no linear analysis shows them: the region's hydrogens
are watched while the system itself moves. Knows simulations; must not know recipes.
"""

from math import sqrt

import numpy as np

from studio.errors import SimulationError
from studio.simulation import OpenMMSimulation

PICOSECONDS = 0.4
"""Length of the trial: a schedule that is far too long fails within it, one at its limit may still fail later."""
BLOCKS = 10
TOLERANCE = 1.5
"""Mean temperature of the region's hydrogens over the target that passes, beside three times its statistical error."""


def probe(simulation: OpenMMSimulation) -> str:
    """Move the simulation for `PICOSECONDS` and put it back.

    Args:
        simulation: At its start; it is left there.

    Returns:
        Why the time step is too long, or an empty text.
    """
    drive, start = simulation.thermostat, simulation.checkpoint()
    steps = max(1, round(1000 * PICOSECONDS / drive.timestep / BLOCKS))
    hydrogens = _hydrogens(simulation)
    heats = []
    try:
        for _ in range(BLOCKS):
            simulation.advance(steps)
            heats.append(simulation.heat(hydrogens))
    except SimulationError as problem:
        return str(problem)
    finally:
        simulation.restore(start)
    mean = float(np.mean(heats[BLOCKS // 2 :]))
    limit = drive.temperature * (TOLERANCE + 3 * sqrt(2 / (3 * len(hydrogens))))
    if mean <= limit:
        return ""
    return f"after {PICOSECONDS:g} ps the hydrogens of the region were at {mean:.0f} K instead of {drive.temperature:g} K"


def _hydrogens(simulation: OpenMMSimulation) -> np.ndarray:
    """The region's hydrogens, or all its atoms if it has none."""
    region = simulation.model.region
    hydrogens = region[simulation.structure.numbers[region] == 1]
    return hydrogens if len(hydrogens) else region
