"""Molecules that come with the program or with the packages that it needs.

Knows where they lie; must not know what is done with them.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from studio.io.files import read
from studio.io.targets import TARGETS
from studio.structure import Residue, Structure


def _alanine_dipeptide() -> Structure:
    """ACE-ALA-NME, embedded once with RDKit."""
    return replace(read(Path(__file__).parents[1] / "data" / "alanine-dipeptide.pdb"), title="alanine dipeptide")


def _cb7_b2() -> Structure:
    """Cucurbit[7]uril with 1,4-bis(hydroxymethyl)bicyclo[2.2.2]octane in it: embedded with RDKit, laid along the axis, annealed with Sage in OBC2 water."""
    path = Path(__file__).parents[1] / "data" / "cb7-b2.sdf"
    host, guest = (replace(read(path, index=index), residues=(Residue(name),)) for index, name in enumerate(("CB7", "B2")))
    return replace(host.join(guest), title="CB7 with B2")


MOLECULES: dict[str, Callable[[], Structure]] = {
    "alanine-dipeptide": _alanine_dipeptide,
    "cb7-b2": _cb7_b2,
    "tyk2-ligand": lambda: TARGETS["tyk2"].ligand("ejm_31"),
    "tyk2-complex": lambda: TARGETS["tyk2"].complex("ejm_31"),
}
"""How to make each molecule, by name."""
