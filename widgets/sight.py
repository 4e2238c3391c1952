"""Sight: what can be said about a system before anything is launched - each level's size, limits and speed, each potential's answer.

Asks the core, which may take a second, so call it in a thread. Knows levels, cards and speeds; must not know the page.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypedDict

from studio.errors import RegionError, StudioError
from studio.hybrid.boundary import cap, check_apart
from studio.hybrid.view import View
from studio.levels import Level, Limits, levels
from studio.measure import Speed, known_speed
from studio.recipes.dynamics import Dynamics
from studio.region_card import Ability, RegionCard, describe
from studio.structure import Structure

USABLE = ("ready", "needs download")
"""States in which a potential can be chosen: what is to be downloaded comes when it is first used."""
WORDS = {"ready": "", "cannot": "not this region"}
"""What is said of a potential in a menu; other states speak for themselves."""


@dataclass(frozen=True)
class Prospect:
    """A level, as it would be for one system.

    Args:
        level: The level.
        particles: How many would move or hold.
        limits: What it cannot do.
        speed: How fast it would go, where that was measured.
        clock: What its time is called; that of beads is not that of atoms.
    """

    level: Level
    particles: int
    limits: Limits
    speed: Speed | None
    clock: str = "time"


@dataclass(frozen=True, eq=False)
class Sight:
    """What can be said about one system.

    Args:
        recipe: As the user set it up.
        whole: Its prepared structure.
        prospects: Its levels, the finest first.
        abilities: What each potential says to the first ML region, those that can first.
    """

    recipe: Dynamics
    whole: Structure
    prospects: tuple[Prospect, ...]
    abilities: tuple[Ability, ...]

    def prospect(self, name: str) -> Prospect | None:
        """What is said about a level, or none if it is not known.

        Args:
            name: Of the level.
        """
        return next((one for one in self.prospects if one.level.name == name), None)

    def ability(self, name: str) -> Ability | None:
        """What a potential says, or none if it is not known.

        Args:
            name: Of the potential.
        """
        return next((one for one in self.abilities if one.card.name == name), None)

    def recipe_at(self, level: Level) -> tuple[Dynamics, Structure | None]:
        """The recipe at a level, and its prepared structure where that is known.

        Args:
            level: The level.
        """
        recipe = level.apply(self.recipe)
        return recipe, self.whole if recipe.system == self.recipe.system else None

    def timed(self, name: str, speed: Speed) -> "Sight":
        """The same with a speed that was measured.

        Args:
            name: Of the level.
            speed: Measured, or refused.
        """
        timed = tuple(replace(one, speed=speed) if one.level.name == name else one for one in self.prospects)
        return replace(self, prospects=timed)


def look_at(recipe: Dynamics, whole: Structure | None) -> Sight:
    """See what each level and each potential can do; slow the first time.

    Args:
        recipe: As the user set it up.
        whole: Its prepared structure, where there is one already.

    Raises:
        StudioError: The system cannot be prepared.
    """
    structure = whole if whole is not None else recipe.system.prepare()
    view = recipe.view
    prospects = tuple(_prospect(level, recipe, structure) for level in levels())
    return Sight(recipe, structure, prospects, describe(structure, view.region, view.charge, view.multiplicity).potentials)


def _prospect(level: Level, recipe: Dynamics, structure: Structure) -> Prospect:
    there, limits, speed = level.apply(recipe), level.limits(recipe.system, structure, recipe.view), None
    if limits.possible:
        with suppress(StudioError):  # the run itself will say what is wrong
            speed = known_speed(there)
    return Prospect(level, level.particles(structure, recipe.view), limits, speed, there.view.clock)


def regions_of(view: View, structure: Structure) -> tuple[tuple[RegionCard, ...], str]:
    """The cards of all ML regions of a view, and why it cannot be used (empty when it can).

    Args:
        view: With one region or several.
        structure: All atoms.
    """
    cards = tuple(describe(structure, one.region, one.charge, one.multiplicity) for one in view.fragments)
    reasons = [_refusal(card, one.potential) for card, one in zip(cards, view.fragments, strict=True)]
    named = [f"Region {place}: {reason}" if view.also else reason for place, reason in enumerate(reasons, 1) if reason]
    return cards, named[0] if named else _clash(view, structure, cards)


def _refusal(card: RegionCard, potential: str) -> str:
    ability = card.ability(potential)
    if card.refusal or ability is None:
        return card.refusal
    return "" if ability.state in USABLE else ability.reason


def _clash(view: View, structure: Structure, cards: Sequence[RegionCard]) -> str:
    """Why several regions cannot be used together."""
    if len(cards) == 1:
        return ""
    try:
        check_apart(structure, [cap(structure, card.atoms, view.link, one.charge, one.multiplicity) for card, one in zip(cards, view.fragments, strict=True)])
    except RegionError as problem:
        return str(problem)
    return ""


class Menu(TypedDict):
    """What a select widget takes."""

    options: dict[str, str]
    disabled_options: list[str]
    value: str


def menu(abilities: Sequence[Ability], chosen: str) -> Menu:
    """Potentials as a menu: those that can be used first, the others not to be chosen.

    Args:
        abilities: What each says.
        chosen: Name of the one that is chosen; it stays in the menu whatever it can.
    """
    ordered = sorted(abilities, key=lambda one: (one.state not in USABLE, one.state != "ready", one.state))
    options = {_labelled(one): one.card.name for one in ordered}
    if chosen not in options.values():
        options[chosen] = chosen
    return Menu(options=options, disabled_options=[one.card.name for one in ordered if one.state not in USABLE and one.card.name != chosen], value=chosen)


def _labelled(ability: Ability) -> str:
    words = WORDS.get(ability.state, ability.state)
    return f"{ability.card.title} \u00b7 {words}" if words else ability.card.title
