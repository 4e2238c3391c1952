"""Water: continuum water around any potential - its own model where it has one, else generalised Born around the charges that it predicts.

Knows the contract, the MM model's radii and `Born`; must not know any one network.
"""

from typing import cast

import numpy as np
from pydantic import BaseModel, ConfigDict

from studio.potentials.base import Batch, BoundPotential, Card, Charged, Device, EnergyForces, Potential, Solvable
from studio.potentials.born import Born, Solvation
from studio.potentials.combine import BoundSum, PotentialSetting, total
from studio.potentials.mm import MM, BoundMM
from studio.structure import Floats, Integers, Structure

WATER = MM(solvent="gbn2", part="solvation")


def in_water(potential: Potential) -> Potential:
    """A potential in continuum water.

    MM and xTB bring a model of water of their own (GBn2, ALPB). Any other potential gets GBn2: around the charges that it
    predicts, which change with the molecule's shape, or around fixed MM charges where it predicts none. Its electrons do not
    feel the water, so that this is meant for differences between conformers of one molecule, not for free energies of solvation.

    Charges have to belong to the energy: MM charges are as large as in water already, and around them the gas-phase energy of
    a network finds polar shapes too good: the TYK2 ligand ejm_31 in its pose came out 4.7 kcal/mol above its minimum by SO3LR; with its own charges 1.0
    (MM 0.4, AIMNet2 0.2, GFN2-xTB in ALPB 0.3).

    Args:
        potential: In the gas phase.
    """
    return potential.in_water() if isinstance(potential, Solvable) else InWater(potential=potential)


class InWater(BaseModel):
    """A potential in GBn2 water as a recipe; `in_water` makes it.

    Args:
        potential: In the gas phase; in a recipe `{"name": ..., "settings": {...}}`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    potential: PotentialSetting = MM()

    @property
    def card(self) -> Card:
        """What the potential and the water are and can do together."""
        return total(self.potential, WATER).card

    def bind(self, structure: Structure, atoms: Integers | None = None, device: Device = "auto") -> "BoundInWater | BoundSum":
        """Bind the potential, and the water's radii, to the atoms.

        Args:
            structure: The atoms with bonds, charges and multiplicity.
            atoms: Indices of the part to describe; all of them when left out.
            device: Where the potential is evaluated.

        Raises:
            UnsupportedError: The potential, or the water, does not know the molecule.
            WeightsError: The weights are missing or are not the known file.
        """
        bound, water = self.potential.bind(structure, atoms, device), WATER.bind(structure, atoms)
        return BoundInWater(self.card, bound, water) if isinstance(bound, Charged) else BoundSum(self.card, ((1.0, bound), (1.0, water)))


class BoundInWater:
    """A potential and the water around its own charges: E(R) + G(q(R), R), for one set of atoms.

    Args:
        card: Of both.
        bound: The potential, which predicts charges.
        water: From which the radii are taken.
    """

    def __init__(self, card: Card, bound: BoundPotential, water: BoundMM) -> None:
        self._card, self._bound, self._water = card, bound, water
        self._born = Born(water.solvation)

    @property
    def card(self) -> Card:
        """What it is and can do."""
        return self._card

    @property
    def terms(self) -> tuple[tuple[float, BoundPotential], ...]:
        """The potential; the water depends on it."""
        return ((1.0, self._bound),)

    @property
    def provenance(self) -> dict[str, str]:
        """That of the potential and of the water's radii."""
        radii = {f"water_{key}": text for key, text in self._water.provenance.items()}
        return self._bound.provenance | {"potential": self.card.name, "water_charges": "predicted by the potential"} | radii

    def __call__(self, positions: Floats, box: Floats | None = None) -> EnergyForces:
        """Energy and forces.

        Args:
            positions: (n, 3), nm, molecules whole.
            box: Not used: the molecule has no neighbours.
        """
        told: list[Solvation] = []

        def water(charges: Floats, ratios: Floats) -> tuple[Floats, Floats]:
            told.append(self._born(positions, charges))
            return told[0].slopes, np.zeros_like(ratios)

        answer = cast("Charged", self._bound).respond(positions, water)
        return EnergyForces(answer.energy + told[0].energy, answer.forces + told[0].forces)

    def batch(self, positions: Floats) -> Batch:
        """Energies and forces at positions (b, n, 3), nm, one after the other."""
        answers = [self(place) for place in positions]
        return Batch(np.array([answer.energy for answer in answers]), np.array([answer.forces for answer in answers]).reshape(positions.shape))
