"""Drawings: a molecule on paper as SVG, with the numbers of its atoms and where each lies, so that a click finds its atom.

Knows RDKit's drawing code; must not know a page.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from studio.errors import StructureError
from studio.structure import Integers, Structure

if TYPE_CHECKING:
    from collections.abc import Collection

    from rdkit.Chem import Mol
    from rdkit.Chem.Draw.rdMolDraw2D import MolDraw2DSVG

MAX_HEAVY = 250
"""More atoms do not fit on the paper."""
ACCENT = (0.16, 0.67, 0.69)
"""Ground of marked atoms, red, green and blue from 0 to 1: light enough for black letters, dark enough on black."""
HYDROGEN = 1


@dataclass(frozen=True)
class Drawing:
    """A molecule on paper.

    Args:
        svg: The picture, transparent behind.
        places: Where each drawn atom lies, (x, y) in the units of the picture, by its index in the structure (from 0).
        width: Of the picture, the same units.
        height: Of the picture, the same units.
    """

    svg: str
    places: dict[int, tuple[float, float]]
    width: int
    height: int

    def atom_at(self, x: float, y: float, reach: float = 14.0) -> int | None:
        """The atom at a point, or none if nothing is near.

        Args:
            x: Units of the picture.
            y: Units of the picture, downwards.
            reach: How far away the point may be, the same units.
        """
        if not self.places:
            return None
        atoms, places = list(self.places), np.array(list(self.places.values()))
        distances = np.hypot(*(places - (x, y)).T)
        nearest = int(distances.argmin())
        return atoms[nearest] if distances[nearest] <= reach else None


def drawing(
    structure: Structure,
    atoms: Integers,
    *,
    indices: bool = True,
    marked: "Collection[int]" = (),
    dark: bool = False,
    width: int = 420,
    height: int = 300,
) -> Drawing:
    """Draw one molecule of a structure; hydrogens are not drawn, those on hetero atoms stand in their letters.

    Args:
        structure: Holds the molecule.
        atoms: The atoms to draw, indices into the structure; whole molecules.
        indices: Write the number of each atom beside it, counted from 1 as `Structure.label` does.
        marked: Atoms to highlight, indices into the structure; a marked hydrogen marks the atom that it hangs on.
        dark: Light lines for a dark page.
        width: Of the picture, pixels.
        height: Of the picture, pixels.

    Raises:
        StructureError: Too many atoms for a drawing, or bond orders unknown.
    """
    from rdkit.Chem import rdDepictor
    from rdkit.Chem.Draw import rdMolDraw2D

    atoms = np.asarray(atoms, dtype=np.int64)
    heavy = int((structure.numbers[atoms] > HYDROGEN).sum())
    if heavy > MAX_HEAVY:
        raise StructureError(f"A drawing of {heavy} heavy atoms cannot be read; expected at most {MAX_HEAVY}. Draw a smaller part.")
    mol, shown = _flat(structure, atoms)
    if indices:
        for atom, index in zip(mol.GetAtoms(), shown, strict=True):
            atom.SetProp("atomNote", str(index + 1))
    rdDepictor.Compute2DCoords(mol)
    drawer = rdMolDraw2D.MolDraw2DSVG(width, height)
    _styled(drawer, dark)
    bright = _heavy_of(structure, set(marked))
    # All are highlighted, most of them invisibly: the paper must not shift when another atom is marked.
    colours = [(*ACCENT, 0.55 if index in bright else 0.0) for index in shown]
    ends = [(b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in mol.GetBonds()]
    between = {number: min(colours[i], colours[j]) for number, (i, j) in enumerate(ends)}
    grounds = dict(enumerate(colours))
    rdMolDraw2D.PrepareAndDrawMolecule(
        drawer, mol, highlightAtoms=list(grounds), highlightAtomColors=grounds, highlightBonds=list(between), highlightBondColors=between
    )
    drawer.FinishDrawing()
    points = [drawer.GetDrawCoords(place) for place in range(len(shown))]
    svg = drawer.GetDrawingText()
    return Drawing(svg[svg.index("<svg") :], {index: (point.x, point.y) for index, point in zip(shown, points, strict=True)}, width, height)


def _flat(structure: Structure, atoms: Integers) -> tuple["Mol", list[int]]:
    """The molecule without hydrogens, and the structure's index of each atom that is left."""
    from rdkit import Chem, rdBase
    from rdkit.Chem import rdDepictor

    rdDepictor.SetPreferCoordGen(True)
    mol = structure.take(atoms).to_rdkit()
    for atom, index in zip(mol.GetAtoms(), atoms.tolist(), strict=True):
        atom.SetIntProp("place", index)
    with rdBase.BlockLogs():
        bare = Chem.RemoveHs(mol)
    return bare, [atom.GetIntProp("place") for atom in bare.GetAtoms()]


def _styled(drawer: "MolDraw2DSVG", dark: bool) -> None:
    """Set colours and sizes."""
    from rdkit.Chem.Draw import rdMolDraw2D

    # RDKit's stubs have the wrong types for its settings.
    options: Any = drawer.drawOptions()
    if dark:
        rdMolDraw2D.SetDarkMode(options)
    options.setBackgroundColour((1, 1, 1, 0))
    options.standardColoursForHighlightedAtoms = True
    options.annotationFontScale = 0.6
    options.highlightBondWidthMultiplier = 14
    options.fillHighlights = True


def _heavy_of(structure: Structure, marked: set[int]) -> set[int]:
    """The marked heavy atoms, and those that marked hydrogens hang on."""
    found = {atom for atom in marked if structure.numbers[atom] > HYDROGEN}
    for i, j in structure.bonds.tolist():
        found |= {b for a, b in ((i, j), (j, i)) if a in marked and structure.numbers[a] == HYDROGEN and structure.numbers[b] > HYDROGEN}
    return found
