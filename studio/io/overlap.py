"""Overlap: atoms of a file that lie in one place - a file without real coordinates, or the same atoms written twice.

Knows places and names of atoms; must not know file formats or force fields.
"""

from collections.abc import Callable

import numpy as np

from studio.errors import StructureError
from studio.structure import Floats, Integers

LEAST = 0.02
"""Heavy atoms closer than this are one atom written twice, or have no real place, nm; the shortest bond between them has 0.11."""
BLOCK = 1000
"""So many atoms are looked at before it stops: where all lie in one place, each look takes as long as there are atoms."""


def refuse_overlap(positions: Floats, numbers: Integers, label: Callable[[int], str], name: str) -> None:
    """Refuse heavy atoms that lie in one place; hydrogens may be placed anew and are not looked at.

    Args:
        positions: Of all atoms, (n, 3), nm.
        numbers: Atomic numbers, (n,).
        label: What people call an atom, by its index.
        name: Of the file, for sentences.

    Raises:
        StructureError: Two heavy atoms closer than 0.02 nm, or a coordinate that is not a number; names the atoms.
    """
    from scipy.spatial import cKDTree

    heavy = np.flatnonzero(numbers > 1)
    places = positions[heavy]
    lost = np.flatnonzero(~np.isfinite(places).all(axis=1))
    if len(lost):
        raise StructureError(f"Atom {label(int(heavy[lost[0]]))} of '{name}' has a coordinate that is not a number. Correct it in the file.")
    tree = cKDTree(places)
    for start in range(0, len(places), BLOCK):
        distances, nearest = tree.query(places[start : start + BLOCK], k=2, distance_upper_bound=LEAST)
        close = np.flatnonzero(np.isfinite(distances[:, 1]))
        if len(close):
            atom = int(close[0])
            # An atom finds itself and its neighbour, in any order where they coincide.
            other = next(int(found) for found in nearest[atom] if found != start + atom)
            raise StructureError(_sentence(label(int(heavy[start + atom])), label(int(heavy[other])), float(distances[atom, 1]), name))


def _sentence(one: str, other: str, distance: float, name: str) -> str:
    return (
        f"Of '{name}', the atoms {one} and {other} are {distance:.3f} nm apart; expected at least {LEAST} nm between heavy atoms. "
        "Delete one of them if it is there twice, or bring a file with real coordinates."
    )
