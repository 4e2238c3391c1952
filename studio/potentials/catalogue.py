"""Catalogue: every registered potential with what it can do and whether it can be used here and now.

Reads cards, lists of installed packages and the presence of files; loads no network, and must not know any one model. A
state is what can be seen from outside; that weights are the known file is checked when a potential is bound.
"""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Literal, cast, get_args

from studio import plugins
from studio.errors import MissingPackageError, SettingsError
from studio.potentials.base import Card

Use = Literal["academic", "commercial"]
State = Literal["ready", "needs package", "needs download", "needs settings", "not licensed for this use"]

USE_VARIABLE = "POTENTIAL_STUDIO_USE"
"""Set it to `commercial`, and potentials whose licence forbids that are refused."""


@dataclass(frozen=True)
class Entry:
    """One potential: its card, its state here, and in a sentence what makes it ready (empty where it is)."""

    card: Card
    state: State
    advice: str


def entries(use: Use | None = None) -> tuple[Entry, ...]:
    """All registered potentials by name; a plug-in that cannot be imported is left out.

    Args:
        use: What the results are for; what `POTENTIAL_STUDIO_USE` says when left out.
    """
    found = []
    for name in plugins.names("studio.potentials"):
        try:
            found.append(examine(plugins.load("studio.potentials", name)().card, use))
        except MissingPackageError:
            continue
    return tuple(found)


def ready_cards() -> dict[str, Card]:
    """The cards of the potentials that can be used now, by name, for menus."""
    return {entry.card.name: entry.card for entry in entries() if entry.state == "ready"}


def examine(card: Card, use: Use | None = None) -> Entry:
    """The state of one potential, from what is installed and which files are there.

    Args:
        card: Of the potential.
        use: What the results are for; what `POTENTIAL_STUDIO_USE` says when left out.
    """
    missing = [package for package in card.packages if not _installed(package)]
    if not card.commercial and (use or intended_use()) == "commercial":
        return Entry(card, "not licensed for this use", f"{card.title} is under the {card.licence}. Ask its authors for a licence, or use another potential.")
    if missing:
        return Entry(card, "needs package", f"{card.title} needs {_names(missing)}. Run: pip install {_quoted(missing)}")
    if card.bring:
        return Entry(card, "needs settings", f"{card.title} needs {card.bring}.")
    if card.file and weights_path(card) is None:
        return Entry(card, "needs download", f"{card.title} is downloaded when it is first used. Without a network, {by_hand(card)}.")
    return Entry(card, "ready", "")


def weights_path(card: Card) -> Path | None:
    """The downloaded file of weights, if it is there."""
    if not card.file:
        return None
    pattern = Path(card.file).expanduser()
    return next(iter(sorted(Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor))))), None)


def by_hand(card: Card) -> str:
    """How to get the weights without a network here, as the end of a sentence."""
    if "*" not in card.file:
        return f"fetch {card.source} on another machine and put it here as {card.file}"
    # Files under names that only the downloading package can tell: their folder is copied whole.
    folder = card.file.split("*", maxsplit=1)[0].rpartition("/")[0].removesuffix("/snapshots")
    return f"use it once on another machine and copy {folder} from there to here"


def intended_use() -> Use:
    """What the environment says that the results are for: academic, unless `POTENTIAL_STUDIO_USE` says otherwise.

    Raises:
        SettingsError: It says something else.
    """
    said = os.environ.get(USE_VARIABLE) or "academic"
    if said not in get_args(Use):
        raise SettingsError(f"{USE_VARIABLE} has to be {' or '.join(get_args(Use))}; it is '{said}'.")
    return cast("Use", said)


def _installed(requirement: str) -> bool:
    try:
        distribution(_name(requirement))
    except PackageNotFoundError:
        return False
    return True


def _name(requirement: str) -> str:
    """The name of the package in what is given to pip: `les` in `les @ git+https://...`."""
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0]


def _names(requirements: Iterable[str]) -> str:
    return " and ".join(_name(requirement) for requirement in requirements)


def _quoted(requirements: Iterable[str]) -> str:
    return " ".join(f"'{text}'" if " " in text else text for text in requirements)
