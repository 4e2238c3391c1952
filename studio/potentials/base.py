"""Potentials, the contract: an energy as a recipe that knows no molecule, and the callable that knows one.

`potential.bind(structure, atoms)` checks elements, charge and multiplicity against the potential's card, then loads
weights and gives a `BoundPotential`; calling that evaluates. This file must not know any one
model, nor OpenMM.
"""

from collections.abc import Callable
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


class Batch(NamedTuple):
    """Energies (b,) (kJ/mol) and forces (b, n, 3) (kJ/mol/nm) of b copies of the bound atoms."""

    energies: Floats
    forces: Floats


class Response(NamedTuple):
    """What a potential that predicts charges says about one geometry.

    Args:
        energy: Of the bound atoms alone, kJ/mol.
        forces: Minus the slope of that energy and of the energy that depends on charges and ratios, (n, 3), kJ/mol/nm.
        charges: Atomic charges, e, (n,).
        ratios: Volume of each atom in the molecule over that of the free atom (Hirshfeld), (n,); ones where not predicted.
    """

    energy: float
    forces: Floats
    charges: Floats
    ratios: Floats


Sensitivity = Callable[[Floats, Floats], tuple[Floats, Floats]]
"""Takes charges (n,) and ratios (n,); gives the derivatives by them of an energy U: dU/dq (kJ/mol/e) and dU/dh (kJ/mol)."""


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
        commercial: Its licence allows commercial use.
        packages: What it needs besides this program's own packages, as given to pip.
        file: Where its weights are kept once they were downloaded (a pattern, `~` allowed); empty where they come with a package.
        source: Where they are downloaded from.
        bring: What the user has to give in the settings, in words; empty where the defaults work.
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
    commercial: bool = True
    packages: tuple[str, ...] = ()
    file: str = ""
    source: str = ""
    bring: str = ""


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
class Charged(Protocol):
    """A bound potential that predicts atomic charges, and lets an energy depend on them."""

    def partial_charges(self, positions: Floats) -> Floats:
        """Atomic charges (n,), e, at positions (n, 3), nm."""
        ...

    def respond(self, positions: Floats, sensitivity: Sensitivity) -> Response:
        """Energy, charges and ratios, and forces that include how an energy U(q, h) changes with the charges and ratios.

        Args:
            positions: (n, 3), nm, molecules whole.
            sensitivity: Called once, between the forward and the backward pass.
        """
        ...


@runtime_checkable
class Batched(Protocol):
    """A bound potential that evaluates many copies of its atoms in one call."""

    def batch(self, positions: Floats) -> Batch:
        """Energies and forces at positions (b, n, 3), nm."""
        ...


@runtime_checkable
class Ensemble(Protocol):
    """A bound potential that is the mean of several; their spread says how far to trust it."""

    @property
    def members(self) -> tuple[BoundPotential, ...]:
        """The single potentials, each bound to the same atoms."""
        ...


def evaluate_batch(bound: BoundPotential, positions: Floats) -> Batch:
    """Energies and forces of many copies of the bound atoms: in one call where the potential can, otherwise one by one.

    Args:
        bound: The potential.
        positions: (b, n, 3), nm, molecules whole.
    """
    if isinstance(bound, Batched):
        return bound.batch(positions)
    answers = [bound(place) for place in positions]
    return Batch(np.array([answer.energy for answer in answers]), np.array([answer.forces for answer in answers]).reshape(positions.shape))


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


@runtime_checkable
class Solvable(Protocol):
    """A potential that has a model of water of its own."""

    def in_water(self) -> Potential:
        """The same in continuum water."""
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
