"""Schedule: how often the network is asked, and what makes that bearable - multiple time steps for NNP/MM.

The network acts every time step, the force field several times in between (r-RESPA, Tuckerman 1992, 10.1063/1.463137). How
long a step may be is not a matter of linear analysis: it is tried on the system at hand. Knows refits, masses and
constraints; must not know integrators.
"""

import json
import logging
from collections.abc import Sequence
from math import ceil
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from studio import cache
from studio.forcefield.base import MMSystem
from studio.hybrid.boundary import Part
from studio.hybrid.coupling import Motion
from studio.hybrid.inner import refit, sampled_system
from studio.hybrid.refit import Refit
from studio.potentials.base import BoundPotential
from studio.progress import Progress
from studio.units import Femtosecond, Kelvin

LADDER: tuple[float, ...] = (4.0, 2.0, 1.0)
"""Time steps that are tried in turn where none is asked for, fs."""
WARM = 100.0
"""A refit is used for all temperatures up to the next multiple of this, K."""

logger = logging.getLogger(__name__)


class Schedule(BaseModel):
    """How NNP/MM is moved. Averages do not depend on it as long as it is stable.

    Args:
        inner_timestep: Longest step of the force field, fs; a time step is divided into as few of them as it takes.
        refit: Fit the inner force to the network first (about 10 s for a new molecule, then kept on disk).
        hydrogens: `free` (bonds to hydrogen vibrate) or `held` (constrained at the network's mean lengths), within the regions.
        hydrogen_mass: Of the regions' hydrogens, Da, taken from the heavy neighbour.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    inner_timestep: Femtosecond = 2.0
    refit: bool = True
    hydrogens: Literal["free", "held"] = "free"
    hydrogen_mass: Annotated[float, Field(ge=1.0, le=3.1)] = 3.0

    @model_validator(mode="after")
    def _consistent(self) -> "Schedule":
        if self.hydrogens == "held" and not self.refit:
            raise ValueError("hydrogens = held takes its lengths from the refit: choose refit = true, or hydrogens = free")
        return self

    def inner(self, timestep: float) -> int:
        """Steps of the force field in a time step.

        Args:
            timestep: Between two calls of the network, fs.
        """
        return ceil(timestep / self.inner_timestep - 1e-6)

    def motion(self, mm: MMSystem, described: Sequence[tuple[Part, BoundPotential]], temperature: Kelvin, tell: Progress) -> Motion:
        """Refits (from the disk where they were made before), masses and constraints.

        Args:
            mm: The parametrised structure.
            described: The regions and their potentials.
            temperature: Of the run, K.
            tell: Called with a fraction and a sentence.
        """
        warm = WARM * ceil(temperature / WARM)
        refits = tuple(_known_refit(mm, part, potential, warm, tell) for part, potential in described) if self.refit else ()
        return Motion(refits, self.hydrogen_mass, self.hydrogens == "held")


def _known_refit(mm: MMSystem, part: Part, potential: BoundPotential, temperature: float, tell: Progress) -> Refit:
    import openmm

    terms = openmm.XmlSerializer.serialize(sampled_system(mm, part))
    model = json.dumps({key: value for key, value in potential.provenance.items() if key != "device"}, sort_keys=True)
    key = cache.key_of("refit", cache.content_of(part.structure), terms, model, f"{temperature:g}", Refit.version())
    arrays = cache.load_arrays(key)
    if arrays is not None:
        try:
            return Refit.from_arrays(arrays)
        except (KeyError, IndexError, ValueError) as problem:
            logger.warning("The kept refit is damaged and is made again: %s", problem)
    fresh = refit(mm, part, potential, temperature, tell=tell)
    cache.store_arrays(key, fresh.to_arrays())
    return fresh
