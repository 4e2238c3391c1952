"""Ligand: the one small molecule that a recipe is about, in its pose, and how its user is told of the work.

Knows systems and regions; must not know what is measured.
"""

from dataclasses import replace

import numpy as np

from studio import plugins
from studio.conformers import check_molecule
from studio.errors import StudioError, UnsupportedError
from studio.progress import Progress
from studio.region import Region
from studio.structure import Integers, Structure
from studio.system import FromSmiles, FromTarget, System

FAR, CLOSE = 0.6, 0.2
"""A ligand without an atom within the first of its protein (nm) is not in its frame; heavy atoms within the second overlap."""
MAIN = 2
"""A molecule with so many times the heavy atoms of any other one is the ligand of a salt."""


def posed(system: System, ligand: Region, structure: Structure | None = None, progress: Progress | None = None) -> Structure:
    """The ligand in its pose, with notes about it.

    Args:
        system: Where the pose comes from.
        ligand: Which atoms are the ligand.
        structure: The prepared structure, where there is one already.
        progress: Called with a fraction and a sentence.

    Raises:
        StudioError: The system cannot be prepared, or the ligand is not one small molecule.
    """
    whole = structure if structure is not None else system.prepare(progress)
    atoms, notes = _one_molecule(whole, ligand.select(whole))
    title = system.source.ligand if isinstance(system.source, FromTarget) else whole.title
    alone = replace(whole.take(atoms), box=None, droplet=None, fixed=np.zeros(len(atoms), dtype=np.bool_), title=title)
    check_molecule(alone)
    if isinstance(system.source, FromSmiles):
        notes.append("The pose was computed from the drawing (ETKDG and MMFF94): its strain says something about that method only.")
    return alone.with_notes(*notes, *_in_place(whole, alone))


def _one_molecule(whole: Structure, atoms: Integers) -> tuple[Integers, list[str]]:
    """The molecule that is meant among the chosen atoms: the only one, or by far the largest, and a sentence about the others.

    Raises:
        UnsupportedError: A molecule is chosen in part, or there are several.
    """
    chosen = set(atoms.tolist())
    touched = [piece for piece in whole.molecules if chosen & set(piece.tolist())]
    cut = next((piece for piece in touched if not chosen >= set(piece.tolist())), None)
    if cut is not None:
        raise UnsupportedError(
            f"The ligand has to be a whole molecule; the atoms chosen are a part of {whole.residue_of(int(cut[0]))} and what it is bonded to. "
            "Covalent ligands have no strain of their own: cut them out and cap them first."
        )
    largest, *others = sorted(touched, key=lambda piece: -int((whole.numbers[piece] > 1).sum()))
    sizes = [int((whole.numbers[piece] > 1).sum()) for piece in (largest, *others)]
    if others and sizes[0] < MAIN * sizes[1]:
        counts = ", ".join(map(str, sizes))
        raise UnsupportedError(f"Expected one ligand, got {len(sizes)} molecules of {counts} heavy atoms. Choose one, for example by its residue.")
    told = f"Beside the ligand {len(others)} smaller {'fragments were' if len(others) > 1 else 'fragment was'} left out (counter-ions or water)."
    return largest, [told] if others else []


def _in_place(whole: Structure, ligand: Structure) -> list[str]:
    """A sentence if the ligand lies outside its protein, or in it."""
    from scipy.spatial import cKDTree

    protein = whole.atoms_of("protein")
    protein = protein[whole.numbers[protein] > 1]
    if not len(protein):
        return []
    heavy = ligand.numbers > 1
    nearest = float(cKDTree(whole.positions[protein]).query(ligand.positions[heavy])[0].min())
    if nearest > FAR:
        return [f"The ligand is {nearest:.2f} nm away from the protein: does its file have another frame? The strain does not depend on that."]
    if nearest < CLOSE:
        return [f"The ligand overlaps the protein ({nearest:.2f} nm between heavy atoms): the pose may be strained because it was not relaxed in its pocket."]
    return []


def titled(name: str) -> str:
    """What people call a potential.

    Args:
        name: As it is registered.
    """
    try:
        return "MM" if name == "mm" else str(plugins.load("studio.potentials", name)().card.title)
    except StudioError:  # a result from elsewhere
        return name
