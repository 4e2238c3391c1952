"""Potentials, the contract: an energy as a recipe that knows no molecule, and the callable that knows one.

`potential.bind(structure, atoms)` checks elements, charge and multiplicity against the potential's card, then loads
weights and gives a `BoundPotential`; calling that evaluates. This file must not know any one
model, nor OpenMM.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from rdkit.Chem import GetPeriodicTable

from studio.errors import UnsupportedError
from studio.structure import Floats, Integers, Structure

Device = Literal["auto", "cpu", "cuda"]


class EnergyForces(NamedTuple):
    """Energy (kJ/mol) and forces (n, 3) (kJ/mol/nm) of the bound atoms."""

    energy: float
    forces: Floats


@dataclass(frozen=True)
class Card:
    """What a potential is and what it can do, known without importing it.

    Args:
        name: The name in recipes and menus, lower case.
        title: The name for people.
        elements: Symbols of the elements that it was trained on.
        charged: It takes the total charge into account.
        open_shell: It takes the spin multiplicity into account.
        partial_charges: It predicts atomic charges.
        method: The level of theory that it reproduces.
        licence: Licence of the weights.
        citation: Who to cite.
        doi: Where to read about it.
        max_atoms: Above this the evaluation is refused: too slow or too large to be meant.
    """

    name: str
    title: str
    elements: tuple[str, ...]
    charged: bool
    open_shell: bool
    partial_charges: bool
    method: str
    licence: str
    citation: str
    doi: str
    max_atoms: int = 1000


@runtime_checkable
class BoundPotential(Protocol):
    """A potential that knows its atoms."""

    @property
    def card(self) -> Card:
        """The card of the potential that was bound."""
        ...

    @property
    def provenance(self) -> dict[str, str]:
        """Versions, device, precision and the SHA-256 of the weights."""
        ...

    def __call__(self, positions: Floats, box: Floats | None = None) -> EnergyForces:
        """Energy and forces.

        Args:
            positions: (n, 3), nm, molecules whole.
            box: Periodic box vectors (3, 3), nm; none for a molecule in vacuum.
        """
        ...


@runtime_checkable
class Potential(Protocol):
    """An energy as a recipe: settings only, hashable, no molecule, no weights in memory."""

    @property
    def card(self) -> Card:
        """What it is and can do."""
        ...

    def bind(self, structure: Structure, atoms: Integers | None = None, device: Device = "auto") -> BoundPotential:
        """Check the molecule against the card, then load the weights.

        Args:
            structure: The atoms with charges and multiplicity.
            atoms: Indices of the part to describe; all of them when left out.
            device: Where to evaluate; `auto` takes CUDA where there is one.

        Raises:
            UnsupportedError: Element, charge, multiplicity or size outside the card; raised before weights load.
            WeightsError: The weights are missing or are not the known file.
        """
        ...


def check_supported(card: Card, structure: Structure) -> None:
    """Compare a molecule with a card, before anything expensive happens.

    Args:
        card: What the potential can do.
        structure: The molecule, just the atoms that the potential will see.

    Raises:
        UnsupportedError: Says what was expected, what came, and what to do.
    """
    table = GetPeriodicTable()
    foreign = sorted({table.GetElementSymbol(int(z)) for z in structure.numbers} - set(card.elements))
    if foreign:
        first = int(np.flatnonzero([table.GetElementSymbol(int(z)) == foreign[0] for z in structure.numbers])[0])
        raise UnsupportedError(
            f"{card.title} does not know {', '.join(foreign)} (first: {structure.label(first)}). "
            f"It was trained on {' '.join(card.elements)}. Use MM for this molecule, or another potential."
        )
    if structure.charge and not card.charged:
        raise UnsupportedError(f"{card.title} describes neutral molecules only; this one has charge {structure.charge:+d}.")
    check_electrons(structure)
    if structure.multiplicity != 1 and not card.open_shell:
        raise UnsupportedError(
            f"{card.title} describes closed-shell molecules only (multiplicity 1); this one has multiplicity {structure.multiplicity}. "
            "Complete the valences (is a hydrogen missing?), or use another potential."
        )
    if len(structure) > card.max_atoms:
        raise UnsupportedError(f"{card.title} is offered here for up to {card.max_atoms} atoms; the region has {len(structure)}. Choose a smaller region.")


def check_electrons(structure: Structure) -> None:
    """Refuse a multiplicity that the number of electrons cannot have.

    Raises:
        UnsupportedError: An even number of electrons with an even multiplicity, or odd with odd.
    """
    electrons = int(structure.numbers.sum()) - structure.charge
    if (electrons + structure.multiplicity) % 2 == 0:
        raise UnsupportedError(
            f"{electrons} electrons cannot have multiplicity {structure.multiplicity}: expected an {'odd' if electrons % 2 == 0 else 'even'} multiplicity. "
            "Check the total charge and whether a hydrogen is missing."
        )
