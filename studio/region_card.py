"""Region card: what a region is, before anything is launched - atoms, charge, cut bonds, and which potentials can do it.

Reads structures, the rules for cutting bonds and the cards of potentials; loads no weights. Must not know how the region
was chosen, nor how fast anything runs.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

import numpy as np

from studio.errors import RegionError, UnsupportedError
from studio.hybrid.boundary import cap, cut_bonds
from studio.potentials import catalogue
from studio.potentials.base import Card, check_supported
from studio.region import Region
from studio.structure import Integers, Structure


@dataclass(frozen=True)
class Cut:
    """A bond that the region cuts: the atom inside, the atom outside, and both in words."""

    inner: int
    outer: int
    label: str


@dataclass(frozen=True)
class Ability:
    """Whether a potential can describe the region.

    Args:
        card: Of the potential.
        state: Its state here (see `studio.potentials.catalogue`), or `cannot`: not this region.
        reason: Why not, or what makes it ready; empty where it is.
    """

    card: Card
    state: catalogue.State | Literal["cannot"]
    reason: str

    @property
    def able(self) -> bool:
        """It can, here and now."""
        return self.state == "ready"


@dataclass(frozen=True, eq=False)
class RegionCard:
    """What a region is.

    Args:
        atoms: Indices, sorted, (n,).
        elements: How many atoms of each element, in the order of Hill (carbon, hydrogen, then by the alphabet).
        charge: Total charge that a network is told, e.
        multiplicity: Spin multiplicity that a network is told.
        cuts: Bonds that the region cuts, each capped with a link hydrogen.
        refusal: Why the region cannot be described by any network; empty when it can.
        potentials: What each potential says, those that can first.
    """

    atoms: Integers
    elements: Mapping[str, int]
    charge: int
    multiplicity: int
    cuts: tuple[Cut, ...] = ()
    refusal: str = ""
    potentials: tuple[Ability, ...] = field(default=())

    @property
    def formula(self) -> str:
        """Molecular formula of the region's atoms, without link hydrogens."""
        return "".join(f"{symbol}{count if count > 1 else ''}" for symbol, count in self.elements.items())

    @property
    def sentence(self) -> str:
        """The card in one line."""
        links = f", {len(self.cuts)} bond{'s' * (len(self.cuts) > 1)} cut" if self.cuts else ""
        spin = f", multiplicity {self.multiplicity}" if self.multiplicity != 1 else ""
        return (
            f"{len(self.atoms):,} atom{'s' * (len(self.atoms) != 1)}, {self.formula}, charge {self.charge:+d}{spin}{links}" if len(self.atoms) else "no atoms"
        )

    def ability(self, potential: str) -> Ability | None:
        """What one potential says, or none if it is not known.

        Args:
            potential: Its registered name.
        """
        return next((ability for ability in self.potentials if ability.card.name == potential), None)


NO_ATOMS = "These are beads, one a residue, without atoms that a network could describe. Turn the dial to a level of atoms."


def describe(structure: Structure, region: Region, charge: int | None = None, multiplicity: int | None = None) -> RegionCard:
    """The card of a region; what is wrong with it is told in the card.

    Args:
        structure: All atoms.
        region: The choice.
        charge: Total charge that the network is told, e; as drawn when left out.
        multiplicity: Spin multiplicity that the network is told; the structure's when left out.

    Raises:
        SettingsError: `POTENTIAL_STUDIO_USE` says something unknown.
    """
    told = structure.multiplicity if multiplicity is None else multiplicity
    if structure.is_beads:
        return RegionCard(np.zeros(0, dtype=np.int64), {}, charge or 0, told, (), NO_ATOMS, _none_can(NO_ATOMS))
    try:
        atoms = region.select(structure)
    except RegionError as problem:
        return RegionCard(np.zeros(0, dtype=np.int64), {}, charge or 0, told, (), str(problem), _none_can(str(problem)))
    drawn = int(structure.formal_charges[atoms].sum())
    cuts = tuple(Cut(i, j, f"{structure.label(i)} to {structure.label(j)}") for i, j in cut_bonds(structure, atoms).tolist())
    part, refusal = _capped(structure, atoms, charge, multiplicity)
    abilities = _abilities(part) if part is not None else _none_can(refusal)
    return RegionCard(atoms, _hill(structure.numbers[atoms]), drawn if charge is None else charge, told, cuts, refusal, abilities)


def _capped(structure: Structure, atoms: Integers, charge: int | None, multiplicity: int | None) -> tuple[Structure | None, str]:
    """The region as a network would see it, or why there is none."""
    fixed = atoms[structure.fixed[atoms]]
    if len(fixed):
        return None, f"{structure.label(int(fixed[0]))} is held fixed and cannot be in the ML region. Choose atoms that move."
    try:
        return cap(structure, atoms, charge=charge, multiplicity=multiplicity).structure, ""
    except RegionError as problem:
        return None, str(problem)


def _abilities(part: Structure) -> tuple[Ability, ...]:
    """What every potential says to the capped region, those that can first."""
    return tuple(sorted((_ability(card, part) for card in _cards()), key=lambda ability: not ability.able))


def _ability(card: Card, part: Structure) -> Ability:
    try:
        check_supported(card, part)
    except UnsupportedError as problem:
        return Ability(card, "cannot", str(problem))
    entry = catalogue.examine(card)
    return Ability(card, entry.state, entry.advice)


def _none_can(refusal: str) -> tuple[Ability, ...]:
    return tuple(Ability(card, "cannot", refusal) for card in _cards())


@cache
def _cards() -> tuple[Card, ...]:
    """The cards of all potentials; listing them takes half a second, and they do not change while the program runs."""
    return tuple(entry.card for entry in catalogue.entries())


def _hill(numbers: Integers) -> dict[str, int]:
    from rdkit.Chem import GetPeriodicTable

    table = GetPeriodicTable()
    counts = Counter({table.GetElementSymbol(int(z)): int(count) for z, count in zip(*np.unique(numbers, return_counts=True), strict=True)})
    first = [symbol for symbol in ("C", "H") if "C" in counts and symbol in counts]
    return {symbol: counts[symbol] for symbol in (*first, *sorted(set(counts) - set(first)))}
