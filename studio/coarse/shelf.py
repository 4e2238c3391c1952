"""Shelf: the learned models that are there - shipped with the program, and the user's own.

Each is a folder of its name with a card and weights; see `learned`. Cards are read without opening weights. Own models come before
shipped ones of the same name. Knows folders and cards; must not know what models are used for.
"""

import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from studio.coarse.card import CARD, WEIGHTS, BeadCard, read_card
from studio.coarse.mapping import map_protein
from studio.errors import PluginError, SettingsError, StorageError, StudioError, UnsupportedError
from studio.files import data_folder, storage
from studio.structure import Structure

if TYPE_CHECKING:
    from studio.coarse.learned import LearnedModel

SHIPPED = Path(__file__).parents[1] / "data" / "beads"
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


def own_folder() -> Path:
    """Where the user's own models lie."""
    return data_folder() / "beads"


def folders() -> dict[str, Path]:
    """The folder of every model by name; those of the user first."""
    found: dict[str, Path] = {}
    for shelf in (own_folder(), SHIPPED):
        for card in sorted(shelf.glob(f"*/{CARD}")):
            if NAME.fullmatch(card.parent.name):  # not one that is being written
                found.setdefault(card.parent.name, card.parent)
    return found


def cards() -> dict[str, BeadCard]:
    """The card of every model by the name that it is loaded by; a folder whose card is damaged is left out, as `card` says why."""
    found = {}
    for name, folder in folders().items():
        try:
            found[name] = read_card(folder)
        except StudioError:
            continue
    return found


def card(name: str) -> BeadCard:
    """One card.

    Args:
        name: Of the model.

    Raises:
        PluginError: There is no such model.
        WeightsError: Its card is damaged.
    """
    return read_card(_folder(name))


def load(name: str) -> "LearnedModel":
    """A model.

    Args:
        name: Of the model.

    Raises:
        PluginError: There is no such model.
        WeightsError: It is damaged, or not what its card says.
    """
    from studio.coarse.learned import LearnedModel

    return LearnedModel.load(_folder(name))


def fitting(protein: Structure) -> dict[str, BeadCard]:
    """Models that were learned for these residues, those that passed their gates first.

    Args:
        protein: Its atoms, or its beads.
    """
    found = {name: card for name, card in cards().items() if _fits(card, protein)}
    order = ("passed", "not gated", "failed")
    return dict(sorted(found.items(), key=lambda one: order.index(one[1].state)))


def _fits(card: BeadCard, protein: Structure) -> bool:
    try:
        return card.fits(map_protein(protein, card.scheme).beads)
    except UnsupportedError:
        return False


def put(folder: Path, name: str | None = None) -> str:
    """Copy a model onto the user's shelf; an own model of that name gives way.

    Args:
        folder: With its card and its weights.
        name: That it is to have there; what its card says when left out.

    Returns:
        The name.

    Raises:
        WeightsError: It is no model, or not what its card says.
        SettingsError: The name is none that a folder can have.
        StorageError: No space or no permission.
    """
    from studio.coarse.learned import LearnedModel

    model = LearnedModel.load(folder)
    name = model.card.name if name is None else name
    if not NAME.fullmatch(name):
        raise SettingsError(f"A bead model is called by lower-case letters, digits and hyphens, up to 64 of them; got '{name}'.")
    if (SHIPPED / name / CARD).exists():
        raise StorageError(f"'{name}' is the name of a bead model that comes with the program. Give yours another name.")
    there = own_folder() / name
    if there.resolve() == folder.resolve():
        return name
    fresh = there.with_name(f".{name}.{os.getpid()}")
    LearnedModel(model.card.model_copy(update={"name": name}), model.prior, model.weights).save(fresh)
    _take_along(folder, fresh)
    _swap(fresh, there)
    return name


def _swap(fresh: Path, there: Path) -> None:
    """Put a folder that is written whole in the place of another."""
    gone = fresh.with_name(f"{fresh.name}.old")
    with storage(there):
        if there.exists():
            there.rename(gone)
        fresh.rename(there)
    shutil.rmtree(gone, ignore_errors=True)


def _take_along(folder: Path, there: Path) -> None:
    """Labels and the like that lie beside a model."""
    with storage(there):
        for path in folder.iterdir():
            if path.is_file() and path.suffix == ".npz" and path.name != WEIGHTS:
                shutil.copyfile(path, there / path.name)


def remove(name: str) -> None:
    """Take a model off the user's shelf.

    Args:
        name: Of an own model.

    Raises:
        PluginError: The user has no such model.
        StorageError: No permission.
    """
    there = own_folder() / name
    if not NAME.fullmatch(name) or not (there / CARD).exists():
        raise PluginError(f"You have no bead model called '{name}'.")
    with storage(there):
        shutil.rmtree(there)


def _folder(name: str) -> Path:
    found = folders()
    if name not in found:
        raise PluginError(f"No bead model is called '{name}'; there are {', '.join(sorted(found)) or 'none yet'}.")
    return found[name]
