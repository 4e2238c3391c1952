"""What the tests of multiple time steps share: regions with their networks and inner forces."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from studio.forcefield import MMSystem, parametrise
from studio.hybrid import inner
from studio.hybrid.boundary import Part, cap
from studio.hybrid.coupling import Model, Motion, couple_fragments
from studio.hybrid.refit import Refit
from studio.potentials.base import BoundPotential, EnergyForces
from studio.region import Ligand
from studio.structure import Floats, Structure
from tests.hybrid_systems import bind, water


@contextmanager
def few_samples(first: int, second: int, held_out: int) -> Iterator[None]:
    """Fewer geometries than a user's refit has: the fit is worse, the physics is the same. Below 40 in the first round samples of the second run away."""
    with pytest.MonkeyPatch.context() as patch:
        for name, count in (("FIRST", first), ("SECOND", second), ("HELD_OUT", held_out)):
            patch.setattr(inner, name, count)
        yield


def quick_refit(mm: MMSystem, part: Part, potential: BoundPotential) -> Refit:
    with few_samples(40, 80, 20):
        return inner.refit(mm, part, potential)


@dataclass(frozen=True)
class Moving:
    """A parametrised system and a region in it, with its network and its inner force."""

    mm: MMSystem
    part: Part
    potential: BoundPotential
    refit: Refit

    @property
    def motion(self) -> Motion:
        """That of the default schedule."""
        return Motion((self.refit,), hydrogen_mass=3.0)

    def model(self, motion: Motion | None = None) -> Model:
        return couple_fragments(self.mm, [(self.part, self.potential)], motion=motion)


def ethanol_and_waters() -> Moving:
    """Ethanol, the region, with three waters beside it, no box; the network in double precision, which is never the compiled one."""
    mm = parametrise(Structure.from_smiles("CCO").join(water(0.5, 0, 0), water(0, 0.45, 0.1), water(-0.2, 0.1, 0.5)))
    part = cap(mm.structure, Ligand().select(mm.structure))
    potential = bind(part)
    return Moving(mm, part, potential, inner.refit(mm, part, potential))


class Counted:
    """A network that counts how often it is asked."""

    def __init__(self, potential: BoundPotential) -> None:
        self.card, self.provenance, self.calls, self._potential = potential.card, potential.provenance, 0, potential

    def __call__(self, positions: Floats, box: Floats | None = None) -> EnergyForces:
        self.calls += 1
        return self._potential(positions, box)
