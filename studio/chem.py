"""Chem: small molecules as RDKit sees them - parsing, checking, embedding.

Speaks RDKit molecules and sentences about them; must not know `Structure`, files or force fields.
"""

import unicodedata
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from studio.errors import StructureError

if TYPE_CHECKING:
    from rdkit.Chem import Mol

MAX_SMILES_LENGTH = 2000
MAX_SMILES_HEAVY = 500
"""Larger molecules take too long while they are being typed, and have no good shape from a drawing."""


def parse_smiles(smiles: str) -> "Mol":
    """Read a SMILES string and add its hydrogens.

    Args:
        smiles: One molecule, possibly of several fragments.

    Raises:
        StructureError: Empty, too long, not SMILES, or an atom without element or with an impossible valence; the sentence names the atom.
    """
    from rdkit import Chem, rdBase

    text = smiles.strip()
    if not text:
        raise StructureError("Expected a SMILES string, got nothing. Type one, for example CC(=O)Oc1ccccc1C(=O)O for aspirin.")
    if len(text) > MAX_SMILES_LENGTH:
        raise StructureError(f"Expected a SMILES string of at most {MAX_SMILES_LENGTH} characters, got {len(text)}. Upload a file for larger molecules.")
    _check_letters(text)
    with rdBase.BlockLogs():
        mol = Chem.MolFromSmiles(text, sanitize=False)
        if mol is None:
            raise StructureError(f"'{text}' is not a SMILES string: check that brackets, ring-closure digits and atom symbols match.")
        _check_atoms(mol)
        check_valence(mol)
        return Chem.AddHs(mol)


def _check_letters(text: str) -> None:
    """Refuse what RDKit drops silently: letters that SMILES does not have, and whatever stands behind a space.

    Raises:
        StructureError: There is one; says which and where.
    """
    place, strange = next(((place, letter) for place, letter in enumerate(text, 1) if not "!" <= letter <= "~"), (0, ""))
    if strange.isspace():
        raise StructureError(
            f"'{text}' is not a SMILES string: character {place} is white space. Remove it and what does not belong to the molecule; a dot joins fragments."
        )
    if strange:
        called = unicodedata.name(strange, f"number {ord(strange)}").lower()
        raise StructureError(
            f"Character {place} of the SMILES string ({called}) is not one that SMILES has. Type it anew with plain letters, digits and signs."
        )


def _check_atoms(mol: "Mol") -> None:
    """Refuse atoms without an element, and too many of them.

    Raises:
        StructureError: There are; names the first.
    """
    heavy = mol.GetNumHeavyAtoms()
    if heavy > MAX_SMILES_HEAVY:
        raise StructureError(f"Expected a SMILES string of at most {MAX_SMILES_HEAVY} heavy atoms, got {heavy}. Upload a file for larger molecules.")
    bare = next((atom.GetIdx() + 1 for atom in mol.GetAtoms() if atom.GetAtomicNum() == 0), None)
    if bare is not None:
        raise StructureError(f"Atom {bare} of the SMILES string is '*', which is no element. Put a real atom there.")


def check_valence(mol: "Mol") -> None:
    """Sanitize `mol` in place, turning RDKit's complaints into a sentence.

    Raises:
        StructureError: A valence, aromaticity or ring problem; names the atoms (counted from 1).
    """
    from rdkit import Chem, rdBase

    with rdBase.BlockLogs():
        problems = Chem.DetectChemistryProblems(mol)
        if not problems and mol.GetNumAtoms():
            Chem.SanitizeMol(mol)
            return
    if not problems:
        raise StructureError("Expected a molecule, got one without atoms.")
    problem = problems[0]
    if problem.GetType() == "AtomValenceException":
        atom = mol.GetAtomWithIdx(problem.GetAtomIdx())
        raise StructureError(
            f"Atom {atom.GetIdx() + 1} ({atom.GetSymbol()}) has more bonds than its valence allows. Check the bonds and the formal charge of that atom."
        )
    if problem.GetType() in ("KekulizeException", "AtomKekulizeException"):
        raise StructureError(
            "The aromatic atoms cannot be given alternating bonds. Check lower-case atoms; an aromatic nitrogen with hydrogen is written [nH]."
        )
    raise StructureError(f"The molecule is not chemically sensible: {problem.Message()}")


def embed(mol: "Mol", seed: int = 0) -> "Mol":
    """Give `mol` three-dimensional coordinates: ETKDG (Riniker 2015, 10.1021/acs.jcim.5b00654), then an MMFF94 clean-up.

    Args:
        mol: With explicit hydrogens.
        seed: Random seed of the embedding; equal seeds give equal coordinates.

    Raises:
        StructureError: RDKit finds no geometry.
    """
    from rdkit import Chem, rdBase
    from rdkit.Chem import rdDistGeom, rdForceFieldHelpers

    mol = Chem.Mol(mol)
    with rdBase.BlockLogs():
        # RDKit's keyword defaults are ETKDG version 3; random coordinates are the second chance for awkward rings
        if all(rdDistGeom.EmbedMolecule(mol, randomSeed=seed, useRandomCoords=second) < 0 for second in (False, True)):
            raise StructureError("No three-dimensional shape was found for this molecule. Check its stereo marks, or upload a file with coordinates.")
        if rdForceFieldHelpers.MMFFHasAllMoleculeParams(mol):
            rdForceFieldHelpers.MMFFOptimizeMolecule(mol, maxIters=500)
    _lay_out_fragments(mol)
    return mol


def _lay_out_fragments(mol: "Mol") -> None:
    """Put the fragments of a salt or complex side by side along x, 3 angstrom apart: RDKit embeds them on top of each other."""
    from rdkit import Chem
    from rdkit.Geometry import Point3D

    fragments = Chem.GetMolFrags(mol)
    if len(fragments) < 2:
        return
    positions = np.array(mol.GetConformer().GetPositions(), dtype=np.float64)
    edge = 0.0
    for fragment in (list(atoms) for atoms in fragments):
        positions[fragment] -= positions[fragment].mean(axis=0)
        positions[fragment, 0] += edge - positions[fragment, 0].min()
        edge = positions[fragment, 0].max() + 3.0
    for index, (x, y, z) in enumerate(positions.tolist()):
        mol.GetConformer().SetAtomPosition(index, Point3D(x, y, z))


def multiplicity_of(mol: "Mol") -> int:
    """Spin multiplicity 2S+1 of the ground state that the drawing implies: high spin over its radical electrons."""
    return 1 + sum(int(atom.GetNumRadicalElectrons()) for atom in mol.GetAtoms())


def coordinates(mol: "Mol") -> NDArray[np.float64]:
    """Coordinates of the only conformer, (n, 3), angstrom.

    Raises:
        StructureError: There is no three-dimensional conformer.
    """
    if mol.GetNumConformers() == 0:
        raise StructureError("Expected three-dimensional coordinates, got none. Embed the molecule first.")
    return np.array(mol.GetConformer().GetPositions(), dtype=np.float64)
