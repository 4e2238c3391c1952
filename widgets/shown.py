"""Shown: which atoms of the whole system are in the picture, where only a part of it is simulated.

Knows recipes and structures; must not know the page.
"""

from collections.abc import Iterable

import numpy as np

from studio.errors import RegionError
from studio.recipes.dynamics import Dynamics
from studio.region import Solute
from studio.structure import Integers, Structure


class Shown:
    """Atoms of the whole system and their places in the picture.

    Args:
        recipe: What is shown.
        structure: Its atoms, in the order of the picture.
        whole: The whole system, as the user set it up.
    """

    def __init__(self, recipe: Dynamics, structure: Structure, whole: Structure) -> None:
        self._atoms = _atoms(recipe, structure, whole)
        self._places = {atom: place for place, atom in enumerate(self._atoms.tolist())}

    def in_whole(self, places: Iterable[int]) -> tuple[int, ...]:
        """Atoms of the whole system; link hydrogens are none.

        Args:
            places: In the picture.
        """
        return tuple(int(self._atoms[place]) for place in places if place < len(self._atoms))

    def in_picture(self, atoms: Iterable[int]) -> list[int]:
        """Places in the picture, of those atoms that are in it.

        Args:
            atoms: Of the whole system.
        """
        return [self._places[atom] for atom in atoms if atom in self._places]


def _atoms(recipe: Dynamics, structure: Structure, whole: Structure) -> Integers:
    """The atom of the whole system at each place in the picture; none where the two do not fit."""
    nothing = np.zeros(0, dtype=np.int64)
    try:
        found = recipe.view.region.select(whole) if recipe.view.resolution == "nnp" else _same_or_solute(structure, whole)
    except RegionError:
        return nothing
    fits = len(found) <= len(structure) and np.array_equal(whole.numbers[found], structure.numbers[: len(found)])
    return found if fits else nothing


def _same_or_solute(structure: Structure, whole: Structure) -> Integers:
    """All atoms, or those that stay when continuum water takes the place of the solvent."""
    return np.arange(len(whole)) if len(structure) == len(whole) else Solute().select(whole)
