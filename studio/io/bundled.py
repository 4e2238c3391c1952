"""Molecules that come with the program or with the packages that it needs.

Knows where they lie; must not know what is done with them.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from studio.io.files import read
from studio.io.targets import TARGETS
from studio.structure import Structure


def _alanine_dipeptide() -> Structure:
    """ACE-ALA-NME, embedded once with RDKit."""
    return replace(read(Path(__file__).parents[1] / "data" / "alanine-dipeptide.pdb"), title="alanine dipeptide")


MOLECULES: dict[str, Callable[[], Structure]] = {
    "alanine-dipeptide": _alanine_dipeptide,
    "tyk2-ligand": lambda: TARGETS["tyk2"].ligand("ejm_31"),
    "tyk2-complex": lambda: TARGETS["tyk2"].complex("ejm_31"),
}
"""How to make each molecule, by name."""
