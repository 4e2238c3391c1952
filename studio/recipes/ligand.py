"""Ligand: the one small molecule that a recipe is about, in its pose.

Knows systems and regions; must not know what is measured.
"""

from dataclasses import replace

import numpy as np

from studio import plugins
from studio.conformers import check_molecule
from studio.errors import StudioError
from studio.partners import CLASH, FAR, check_one, gap, whole_molecules
from studio.progress import Progress
from studio.region import Region
from studio.structure import Structure
from studio.system import FromSmiles, FromTarget, System


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
    atoms, *others = whole_molecules(whole, ligand.select(whole), "Covalent ligands have no strain of their own: cut them out and cap them first.")
    check_one(whole, (atoms, *others))
    title = system.source.ligand if isinstance(system.source, FromTarget) else whole.title
    alone = replace(whole.take(atoms), box=None, droplet=None, fixed=np.zeros(len(atoms), dtype=np.bool_), title=title)
    check_molecule(alone)
    notes = []
    if others:
        notes.append(f"Beside the ligand {len(others)} smaller {'fragments were' if len(others) > 1 else 'fragment was'} left out (counter-ions or water).")
    if isinstance(system.source, FromSmiles):
        notes.append("The pose was computed from the drawing (ETKDG and MMFF94): its strain says something about that method only.")
    return alone.with_notes(*notes, *_in_place(whole, alone))


def _in_place(whole: Structure, ligand: Structure) -> list[str]:
    """A sentence if the ligand lies outside its protein, or in it."""
    protein = whole.atoms_of("protein")
    protein = protein[whole.numbers[protein] > 1]
    if not len(protein):
        return []
    nearest = gap(ligand.positions[ligand.numbers > 1], whole.positions[protein])
    if nearest > FAR:
        return [f"The ligand is {nearest:.2f} nm away from the protein: does its file have another frame? The strain does not depend on that."]
    if nearest < CLASH:
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
