"""Scene: a structure laid out for the eye - what is ligand, protein, water - as the page's 3D view takes it.

Here nm become angstrom. It knows structures and must not know the page.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import TypedDict

import numpy as np

from studio.frame import Frame
from studio.io import to_pdb
from studio.structure import Structure
from studio.units import NM_PER_ANGSTROM


class Cell(TypedDict):
    """One molecule: its topology as PDB text, its name, and atom indices by what they are shown as."""

    pdb: str
    label: str
    protein: list[int]
    mobile: list[int]
    ligand: list[int]
    water: list[int]
    focus: list[int]
    highlight: list[int]
    tone: int
    beads: bool


class Scene(TypedDict):
    """What is shown at a time. Frames carry its number, so that late ones are dropped; `keep` says that the camera stays."""

    serial: int
    keep: bool
    cells: list[Cell]


def cell_of(structure: Structure, highlight: Iterable[int] = (), label: str = "", tone: int = 0) -> Cell:
    """A structure laid out for the eye.

    Args:
        structure: What to show, at its own positions.
        highlight: Atom indices that glow.
        label: Its name for people.
        tone: Which of the colours it has where molecules lie over each other.
    """
    protein, water = structure.atoms_of("protein"), structure.atoms_of("water")
    rest = np.setdiff1d(np.arange(len(structure)), np.concatenate([protein, water]))
    mobile = np.flatnonzero(~structure.fixed)
    ions = structure.atoms_of("ion")
    choices = (np.setdiff1d(rest, ions), np.setdiff1d(mobile, np.concatenate([water, ions])), np.setdiff1d(mobile, water))
    focus = next((atoms for atoms in choices if atoms.size), rest)
    return Cell(
        pdb=_pdb(structure), label=label, protein=_plain(protein), mobile=_plain(np.intersect1d(protein, mobile)),
        ligand=_plain(rest), water=_plain(water), focus=_plain(focus), highlight=_plain(highlight), tone=tone, beads=structure.is_coarse,
    )  # fmt: skip


@lru_cache(maxsize=8)
def angstrom(frame: Frame) -> bytes:
    """The positions of `frame` as the browser takes them: float32, angstrom, x y z of each atom; made once for all who watch."""
    return np.asarray(frame.positions / np.float32(NM_PER_ANGSTROM), dtype="<f4").tobytes()


@lru_cache(maxsize=8)
def _pdb(structure: Structure) -> str:
    return to_pdb(structure)


def _plain(atoms: Iterable[int]) -> list[int]:
    return [int(atom) for atom in atoms]
