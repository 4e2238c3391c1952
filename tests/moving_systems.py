"""What the tests of multiple time steps share: regions with their inner force, fitted to fewer geometries than a user's are."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pytest

from studio.forcefield import MMSystem
from studio.hybrid import inner
from studio.hybrid.boundary import Part
from studio.hybrid.coupling import Model, Motion, couple_fragments
from studio.hybrid.refit import Refit
from studio.potentials.base import BoundPotential, EnergyForces
from studio.potentials.so3lr import SO3LR
from studio.structure import Floats


@contextmanager
def few_samples(first: int = 40, second: int = 80, held_out: int = 20) -> Iterator[None]:
    """Fewer geometries than a user's refit has: the fit is worse, the physics is the same."""
    with pytest.MonkeyPatch.context() as patch:
        for name, count in (("FIRST", first), ("SECOND", second), ("HELD_OUT", held_out)):
            patch.setattr(inner, name, count)
        yield


@dataclass(frozen=True)
class Moving:
    """A parametrised system and a region in it, with its network and its inner force."""

    mm: MMSystem
    part: Part
    potential: BoundPotential

    @cached_property
    def refit(self) -> Refit:
        with few_samples():
            return inner.refit(self.mm, self.part, self.potential)

    @property
    def motion(self) -> Motion:
        """That of the default schedule."""
        return Motion((self.refit,), hydrogen_mass=3.0)

    def model(self, motion: Motion | None = None) -> Model:
        return couple_fragments(self.mm, [(self.part, self.potential)], motion=motion)


def exact(part: Part) -> BoundPotential:
    """The network in double precision, which is never the compiled one."""
    return SO3LR(precision="float64").bind(part.structure, device="cpu")


class Counted:
    """A network that counts how often it is asked."""

    def __init__(self, potential: BoundPotential) -> None:
        self.card, self.provenance, self.calls, self._potential = potential.card, potential.provenance, 0, potential

    def __call__(self, positions: Floats, box: Floats | None = None) -> EnergyForces:
        self.calls += 1
        return self._potential(positions, box)


def slope_error(energy_forces_at, positions: Floats, step: float = 1e-5) -> float:
    """Largest difference between a force and minus the central difference of the energy, kJ/mol/nm, over all atoms and axes."""
    forces = energy_forces_at(positions).forces
    errors = []
    for index in np.ndindex(positions.shape):
        shift = np.zeros_like(positions)
        shift[index] = step
        errors.append(abs(forces[index] + (energy_forces_at(positions + shift).energy - energy_forces_at(positions - shift).energy) / (2 * step)))
    return max(errors)
