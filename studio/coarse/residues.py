"""Residues as single beads: mass, size and stickiness of the twenty amino acids.

The numbers are published (see the head of `data/calvados.csv`). Knows names; must not know structures or forces.
"""

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from studio.errors import UnsupportedError

TABLE = Path(__file__).parents[1] / "data" / "calvados.csv"
STANDARD = {"ASH": "ASP", "CYM": "CYS", "CYX": "CYS", "GLH": "GLU", "HID": "HIS", "HIE": "HIS", "HIP": "HIS", "LYN": "LYS"}
"""States of a residue that are one bead."""


@dataclass(frozen=True)
class Bead:
    """What a residue is as one bead.

    Args:
        letter: One-letter code.
        mass: Of the residue within a chain, Da.
        sigma: Diameter, nm.
        stickiness: Lambda of CALVADOS 2 and 3, by version; no unit.
    """

    letter: str
    mass: float
    sigma: float
    stickiness: dict[int, float]


@cache
def _table() -> dict[str, Bead]:
    with TABLE.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(line for line in file if not line.startswith("#"))
        return {row["name"]: Bead(row["letter"], float(row["mass"]), float(row["sigma"]), {n: float(row[f"lambda{n}"]) for n in (2, 3)}) for row in rows}


def bead_of(name: str) -> Bead:
    """What a residue is as one bead.

    Args:
        name: Three-letter name, of any protonation state.

    Raises:
        UnsupportedError: It is none of the twenty.
    """
    found = _table().get(standard(name))
    if found is None:
        raise UnsupportedError(f"There is no bead for the residue {name}: beads stand for the twenty amino acids. Leave it out, or choose a level of atoms.")
    return found


def standard(name: str) -> str:
    """The three-letter name without its protonation state.

    Args:
        name: In upper or lower case.
    """
    return STANDARD.get(name.upper(), name.upper())


def name_of(letter: str) -> str:
    """The three-letter name of a one-letter code.

    Args:
        letter: Upper case, one of the twenty.
    """
    return next(name for name, bead in _table().items() if bead.letter == letter)
