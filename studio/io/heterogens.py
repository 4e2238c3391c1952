"""Small molecules in PDB and mmCIF files: atoms and places from the file, bond orders and charges from a SMILES.

Knows RDKit's template matching; must not know proteins.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from studio import chem
from studio.errors import StructureError
from studio.io.protonation import at_ph
from studio.io.repairs import Note, key_of
from studio.structure import Floats, Residue, Structure
from studio.units import NM_PER_ANGSTROM

if TYPE_CHECKING:
    from openmm.app.topology import Atom as TopologyAtom
    from openmm.app.topology import Residue as TopologyResidue
    from rdkit.Chem import Mol

# What crystals are grown from and frozen in; their names always mean the same molecule.
ADDITIVES = {
    "ACT": "CC(=O)[O-]",
    "DMS": "CS(C)=O",
    "EDO": "OCCO",
    "GOL": "OCC(O)CO",
    "IPA": "CC(C)O",
    "PO4": "OP(=O)([O-])[O-]",
    "SO4": "[O-]S(=O)(=O)[O-]",
}


def templates(ligand_smiles: str | None) -> list["Mol"]:
    """The molecules in a SMILES string, hydrogens removed, one for each fragment.

    Args:
        ligand_smiles: Fragments separated by dots, or none.

    Raises:
        StructureError: Not a SMILES.
    """
    from rdkit import Chem

    return [Chem.RemoveHs(chem.parse_smiles(part)) for part in (ligand_smiles or "").split(".") if part.strip()]


def ligand_from_residue(residue: "TopologyResidue", positions: Floats, known: list["Mol"], ph: float | None = None) -> Structure:
    """The small molecule in one residue of an OpenMM topology; hydrogens are placed anew.

    Args:
        residue: OpenMM's residue.
        positions: Of all atoms in the file, (n, 3), nm.
        known: Candidates for its bond orders.
        ph: Protonate for this pH; left out, as the candidates are drawn.

    Raises:
        StructureError: Bonded to its surroundings, or no candidate fits; the sentence names the residue and what to give.
    """
    from rdkit import Chem

    label = f"{residue.name} {residue.chain.id}{residue.id}"
    if any(True for _ in residue.external_bonds()):
        raise StructureError(f"Residue {label} is covalently bonded to its neighbours; such ligands and modified residues are not supported yet.")
    heavy = [atom for atom in residue.atoms() if atom.element.atomic_number > 1]
    mol = _matched(residue, heavy, positions, known)
    mol = Chem.AddHs(mol, addCoords=True)
    Chem.AssignStereochemistryFrom3D(mol)
    mol, changes = (mol, []) if ph is None else at_ph(mol, ph)
    names = [atom.name for atom in heavy] + [f"H{k + 1}" for k in range(mol.GetNumAtoms() - len(heavy))]
    structure = Structure.from_rdkit(mol, residue=residue.name)
    where = Residue(residue.name, f"{residue.id}{residue.insertionCode.strip()}", residue.chain.id.strip() or "A")
    source = "its name" if residue.name in ADDITIVES and not known else "SMILES"
    note = Note(f"Residue {label}: bond orders taken from {source}, {mol.GetNumAtoms() - len(heavy)} hydrogens placed.", ("leave_out", key_of(residue)))
    told = (Note(f"Residue {label}: {change}", ("protonation", "as_drawn")) for change in changes)
    return replace(structure, names=tuple(names), residues=(where,), notes=(note, *told))


def _matched(residue: "TopologyResidue", heavy: list["TopologyAtom"], positions: Floats, known: list["Mol"]) -> "Mol":
    """The heavy atoms of a residue with the bonds of the candidate that fits.

    Raises:
        StructureError: None fits.
    """
    candidates = known + (templates(ADDITIVES[residue.name]) if residue.name in ADDITIVES else [])
    mol = next((fit for fit in (_fitted(template, heavy, positions) for template in candidates) if fit is not None), None)
    if mol is None:
        what = f"Residue {residue.name} {residue.chain.id}{residue.id} ({len(heavy)} heavy atoms) is a small molecule"
        given = "the SMILES that you gave does not fit its atoms" if known else "its bond orders are not in the file"
        raise StructureError(f"{what} and {given}. Give its SMILES, or delete it from the file, or leave {residue.name} out.")
    return mol


def _fitted(template: "Mol", atoms: list["TopologyAtom"], positions: Floats) -> "Mol | None":
    """The atoms with the bonds of the template, or none if they are not that molecule."""
    from rdkit import Chem, rdBase
    from rdkit.Chem import AllChem
    from rdkit.Chem.rdDetermineBonds import DetermineConnectivity
    from rdkit.Geometry import Point3D

    if Counter(a.GetAtomicNum() for a in template.GetAtoms()) != Counter(atom.element.atomic_number for atom in atoms):
        return None
    mol = Chem.RWMol()
    conformer = Chem.Conformer(len(atoms))
    for index, atom in enumerate(atoms):
        mol.AddAtom(Chem.Atom(atom.element.atomic_number))
        conformer.SetAtomPosition(index, Point3D(*(float(x) for x in np.asarray(positions[atom.index]) / NM_PER_ANGSTROM)))
    mol.AddConformer(conformer)
    with rdBase.BlockLogs():
        DetermineConnectivity(mol, useVdw=False)
        for atom in mol.GetAtoms():
            atom.SetNoImplicit(False)
        mol.UpdatePropertyCache(strict=False)
        try:
            # RDKit leaves this one function without types.
            assign: Callable[[Mol, Mol], Mol] = AllChem.AssignBondOrdersFromTemplate
            fitted = assign(template, mol)
            Chem.SanitizeMol(fitted)
        except ValueError:
            return None
    return fitted
