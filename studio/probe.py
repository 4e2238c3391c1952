"""Probe: a short trial that says whether a system bears a time step, before it is offered.

Multiple time steps that are too long pump energy into the fastest motions (resonance), which no linear analysis shows: the
system itself moves without a thermostat, and its total energy must not rise. Knows simulations; must not know recipes.
"""

import numpy as np

from studio.errors import SimulationError
from studio.simulation import OpenMMSimulation
from studio.units import BOLTZMANN

PICOSECONDS, BLOCKS = 1.0, 20
"""Length of the trial, and looks on the way. A step that is far too long fails within it; one at its limit may still fail later."""
HEAT = 2.0
"""Velocities are drawn at this many times the temperature: at a minimum half of it goes into potential energy."""
LIMIT = 0.5
"""Rise of the total energy that passes, in kT/2 for each degree of freedom of the region. Measured for ethanol with waters, five
seeds each: 0.0 to 0.2 at 4 fs, 0.0 to 0.5 at 6 fs, 0.7 to 2.8 at 10 fs; explosions at 4 fs without refit.
"""


def probe(simulation: OpenMMSimulation) -> str:
    """Move the simulation for `PICOSECONDS` and put it back.

    Args:
        simulation: At its start; it is left there.

    Returns:
        Why the time step is too long, or an empty text.
    """
    drive, start = simulation.thermostat, simulation.checkpoint()
    steps = max(1, round(1000 * PICOSECONDS / drive.timestep / BLOCKS))
    energies = []
    try:
        with simulation.free_flight(HEAT * drive.temperature):
            for _ in range(BLOCKS):
                frame = simulation.advance(steps)
                energies.append(sum(frame.energies[name] for name in ("potential", "kinetic", "restraint")))
    except SimulationError as problem:
        return str(problem)
    finally:
        simulation.restore(start)
    rise = BLOCKS * float(np.polyfit(np.arange(BLOCKS), energies, 1)[0])
    share = rise / (0.5 * BOLTZMANN * drive.temperature * 3 * len(simulation.model.region))
    if share <= LIMIT:
        return ""
    return f"without a thermostat the energy rose by {share:.1f} kT/2 per degree of freedom of the region within {PICOSECONDS:g} ps (up to {LIMIT:g} passes)"
