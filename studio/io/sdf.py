"""SDF and molfiles: one record becomes a small molecule with hydrogens and a shape.

Knows RDKit's reader and what such files leave out; must not know proteins.
"""

import re
from typing import TYPE_CHECKING

from studio import chem
from studio.errors import StructureError
from studio.io.overlap import refuse_overlap
from studio.io.records import chosen
from studio.io.variants import open_stereo
from studio.structure import Structure

if TYPE_CHECKING:
    from rdkit.Chem import Mol


def read_sdf(text: str, name: str, index: int | None = None, seed: int = 0) -> Structure:
    """One record of an SDF file, repaired where it has no hydrogens or is flat.

    Args:
        text: The file.
        name: Its name, for sentences.
        index: Which record, counted from 0; left out, the first.
        seed: Random seed for embedding a flat drawing.

    Raises:
        StructureError: Truncated, no such record, or chemically impossible.
    """
    record, count = chosen(text, name, index, "sdf")
    mol, title = parse_molfile(record, name)
    notes = [f"'{name}' holds {count} molecules; the first, {title}, was taken."] if count > 1 and index is None else []
    return completed(mol, title, notes, seed)


def completed(mol: "Mol", title: str, notes: list[str], seed: int) -> Structure:
    """A molecule as a structure, hydrogens and a shape added where they are missing, with sentences about it.

    Args:
        mol: Sanitized, as it came.
        title: A name for people.
        notes: What is to be said about the file.
        seed: Random seed for embedding a flat drawing.

    Raises:
        StructureError: No shape found, or two heavy atoms in one place.
    """
    mol, repairs = _complete(mol, seed)
    fragments = _fragments(mol)
    if fragments > 1:
        repairs.append(f"The molecule consists of {fragments} separate fragments (a salt or a complex?); all of them were kept.")
    structure = Structure.from_rdkit(mol, title=title)
    refuse_overlap(structure.positions, structure.numbers, structure.label, title)
    return structure.with_notes(*notes, *repairs)


def _fragments(mol: "Mol") -> int:
    """How many pieces without a bond between them."""
    from rdkit import Chem

    return len(Chem.GetMolFrags(mol))


def parse_molfile(record: str, name: str) -> tuple["Mol", str]:
    """The molecule of one record, sanitized, and its title.

    Args:
        record: Up to the line before the dollars.
        name: Of the file, for sentences.

    Raises:
        StructureError: The record ends early, is not a molfile, or is chemically impossible.
    """
    from rdkit import Chem, rdBase

    if not re.search(r"^M  END", record, flags=re.MULTILINE):
        raise StructureError(f"'{name}' is truncated or not a molfile: expected a line 'M  END' after the bonds. Save or download the file again.")
    with rdBase.BlockLogs():
        mol = Chem.MolFromMolBlock(record, sanitize=False, removeHs=False)
    if mol is None:
        raise StructureError(f"'{name}' is not a valid molfile: expected a counts line, then as many atom and bond lines as it promises.")
    if any(atom.GetAtomicNum() == 0 for atom in mol.GetAtoms()):
        raise StructureError(f"'{name}' has atoms without an element (R groups, dummies or query atoms). Replace them with real atoms.")
    chem.check_valence(mol)
    return mol, (record.splitlines()[0].strip() or name)


def _complete(mol: "Mol", seed: int) -> tuple["Mol", list[str]]:
    """Add hydrogens and a third dimension where they are missing, and say so."""
    from rdkit import Chem

    notes = []
    positions = mol.GetConformer().GetPositions() if mol.GetNumConformers() else None
    # A flat drawing has no z; a molecule that really is planar has its hydrogens and bond lengths in angstrom.
    flat = positions is None or (mol.GetNumAtoms() > 1 and abs(positions[:, 2]).max() < 1e-3 and not _is_planar_model(mol))
    if not flat:
        Chem.AssignStereochemistryFrom3D(mol)
    missing = sum(atom.GetTotalNumHs() for atom in mol.GetAtoms())
    if missing:
        mol = Chem.AddHs(mol, addCoords=not flat)
        notes.append(f"{missing} hydrogen{'s were' if missing > 1 else ' was'} missing and {'were' if missing > 1 else 'was'} added.")
    if flat:
        drawn, mol = mol, chem.embed(mol, seed)
        notes += open_stereo(drawn, mol)
        notes.append("The file had no three-dimensional coordinates; a shape was computed (ETKDG and MMFF94).")
    return mol, notes


def _is_planar_model(mol: "Mol") -> bool:
    """True if a molecule with all z = 0 is a planar molecule with all of its hydrogens rather than a drawing."""
    heavy = [atom for atom in mol.GetAtoms() if atom.GetAtomicNum() > 1]
    return all(atom.GetTotalNumHs() == 0 for atom in mol.GetAtoms()) and all(str(atom.GetHybridization()) in ("SP", "SP2", "S") for atom in heavy)
