"""Combine: sums and differences of potentials, themselves potentials.

Knows the contract and the names of plug-ins, by which terms are written to recipes; must not know any one model.
"""

from collections.abc import Mapping
from itertools import chain
from typing import Annotated, Any, cast

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, PlainValidator, ValidationError

from studio import plugins
from studio.errors import SettingsError
from studio.potentials.base import Batch, BoundPotential, Card, Device, EnergyForces, Potential, evaluate_batch
from studio.settings import explain
from studio.structure import Floats, Integers, Structure


def _read(value: object) -> Potential:
    if isinstance(value, Mapping):
        settings = value.get("settings", {})
        if set(value) - {"name", "settings"} or not isinstance(value.get("name"), str) or not isinstance(settings, Mapping):
            raise ValueError(f"expected a potential as {{'name': ..., 'settings': {{...}}}}, got {dict(value)!r}")
        try:
            value = plugins.load("studio.potentials", cast("str", value["name"]))(**settings)
        except ValidationError as problem:
            raise ValueError(explain(problem)) from problem
    if isinstance(value, Potential):
        return value
    raise ValueError(f"expected a potential, got {value!r}")


def _written(potential: Potential) -> dict[str, object]:
    return {"name": potential.card.name, "settings": cast("BaseModel", potential).model_dump(mode="json")}


PotentialSetting = Annotated[Potential, PlainValidator(_read), PlainSerializer(_written)]
"""A registered potential as a setting; in a recipe `{"name": ..., "settings": {...}}`."""


class Scaled(BaseModel):
    """A potential times a number.

    Args:
        factor: The number.
        potential: A registered potential; in a recipe `{"name": ..., "settings": {...}}`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    potential: PotentialSetting
    factor: float = Field(default=1.0, allow_inf_nan=False)


class Sum(BaseModel):
    """A sum of potentials as a recipe; `total` and `difference` make the usual ones.

    It is bound to the molecules that each of its terms knows, needs what each of them needs, and predicts no charges.

    Args:
        terms: What is added up.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    terms: tuple[Scaled, ...] = ()

    @property
    def card(self) -> Card:
        """What all terms together are and can do.

        Raises:
            SettingsError: There are no terms.
        """
        if not self.terms:
            raise SettingsError("A sum of potentials needs at least one term: Sum(terms=(Scaled(potential=...), ...)).")
        cards = [term.potential.card for term in self.terms]
        known = set.intersection(*(set(card.elements) for card in cards))
        return Card(
            name=self._formula("name"),
            title=self._formula("title"),
            elements=tuple(symbol for symbol in cards[0].elements if symbol in known),
            charged=all(_each(cards, "charged")),
            open_shell=all(_each(cards, "open_shell")),
            partial_charges=False,
            method=self._formula("method"),
            licence="; ".join(dict.fromkeys(_each(cards, "licence"))),
            citation="; ".join(dict.fromkeys(_each(cards, "citation"))),
            doi="; ".join(dict.fromkeys(_each(cards, "doi"))),
            max_atoms=min(_each(cards, "max_atoms")),
            commercial=all(_each(cards, "commercial")),
            packages=tuple(dict.fromkeys(chain(*_each(cards, "packages")))),
        )

    def bind(self, structure: Structure, atoms: Integers | None = None, device: Device = "auto") -> "BoundSum":
        """Bind each term to the atoms.

        Args:
            structure: The atoms with charges and multiplicity.
            atoms: Indices of the part to describe; all of them when left out.
            device: Where to evaluate.

        Raises:
            SettingsError: There are no terms.
            UnsupportedError: One of the terms does not know these atoms.
            WeightsError: The weights of one of them are missing or are not the known file.
        """
        return BoundSum(self.card, tuple((term.factor, term.potential.bind(structure, atoms, device)) for term in self.terms))

    def _formula(self, part: str) -> str:
        words = []
        for index, term in enumerate(self.terms):
            sign = ("- " if term.factor < 0 else "+ ") if index else ("-" if term.factor < 0 else "")
            size = "" if abs(term.factor) == 1.0 else f"{abs(term.factor):g} "
            words.append(f"{sign}{size}{getattr(term.potential.card, part)}")
        return " ".join(words)


def total(*potentials: Potential) -> Sum:
    """The sum of some potentials: a network and a correction, say."""
    return Sum(terms=tuple(Scaled(potential=potential) for potential in potentials))


def difference(first: Potential, second: Potential) -> Sum:
    """The first potential minus the second: what a correction from one to the other would have to add."""
    return Sum(terms=(Scaled(potential=first), Scaled(potential=second, factor=-1.0)))


class BoundSum:
    """A sum of potentials for one set of atoms.

    Args:
        card: Of the sum.
        terms: Factors and bound potentials.
    """

    def __init__(self, card: Card, terms: tuple[tuple[float, BoundPotential], ...]) -> None:
        self._card, self._terms = card, terms

    @property
    def card(self) -> Card:
        """What it is and can do."""
        return self._card

    @property
    def terms(self) -> tuple[tuple[float, BoundPotential], ...]:
        """Factors and bound potentials."""
        return self._terms

    @property
    def provenance(self) -> dict[str, str]:
        """That of each term, its keys preceded by the term's number."""
        own = {"potential": self.card.name}
        return own | {f"{index}_{key}": value for index, (_, bound) in enumerate(self._terms, 1) for key, value in bound.provenance.items()}

    def __call__(self, positions: Floats, box: Floats | None = None) -> EnergyForces:
        """Energy and forces.

        Args:
            positions: (n, 3), nm, molecules whole.
            box: Periodic box vectors (3, 3), nm, or none; handed to each term.
        """
        answers = [(factor, bound(positions, box)) for factor, bound in self._terms]
        energy = sum(factor * answer.energy for factor, answer in answers)
        return EnergyForces(energy, np.sum([factor * answer.forces for factor, answer in answers], axis=0))

    def batch(self, positions: Floats) -> Batch:
        """Energies and forces at positions (b, n, 3), nm; in one call for each term that can."""
        answers = [(factor, evaluate_batch(bound, positions)) for factor, bound in self._terms]
        energies, forces = (np.sum([factor * answer[part] for factor, answer in answers], axis=0) for part in (0, 1))
        return Batch(energies, forces)


def _each(cards: list[Card], part: str) -> list[Any]:
    return [getattr(card, part) for card in cards]
