"""Martini pairs: size and depth of the Lennard-Jones term of two beads, and the masses of beads.

There is no rule of mixing: each pair of types has numbers of its own, which are published (see the head of `data/martini3.csv`).
Knows types; must not know structures or forces.
"""

import csv
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from studio.errors import UnsupportedError
from studio.structure import Floats

TABLE = Path(__file__).parents[1] / "data" / "martini3.csv"
REGULAR, SMALL, TINY = 72.0, 54.0, 36.0
"""Masses by size, Da."""


@cache
def _table() -> dict[tuple[str, str], tuple[float, float]]:
    with TABLE.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(line for line in file if not line.startswith("#"))
        return {(row["first"], row["second"]): (float(row["sigma"]), float(row["epsilon"])) for row in rows}


def mass_of(kind: str) -> float:
    """Mass of a bead, Da, by the size that its type says.

    Args:
        kind: Type, such as `SC2`.
    """
    return {"S": SMALL, "T": TINY}.get(kind[0], REGULAR)


def lennard_jones(kinds: Sequence[str]) -> tuple[Floats, Floats]:
    """Diameters (nm) and depths (kJ/mol) of all pairs of some types, (k, k) each.

    Args:
        kinds: The types.

    Raises:
        UnsupportedError: A pair is not in the table.
    """
    sigma, epsilon = np.zeros((2, len(kinds), len(kinds)))
    for i, one in enumerate(kinds):
        for j, other in enumerate(kinds):
            first, second = sorted((one, other))
            if (first, second) not in _table():
                raise UnsupportedError(f"The table of Martini 3 pairs lacks {first} with {second}: it holds the types of amino acids, water and ions.")
            sigma[i, j], epsilon[i, j] = _table()[first, second]
    return sigma, epsilon
