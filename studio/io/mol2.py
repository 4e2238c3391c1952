"""MOL2: one record becomes a small molecule; atom types are those of Corina and most programs that write the format.

Knows RDKit's reader; must not know proteins.
"""

from typing import TYPE_CHECKING

from studio import chem
from studio.errors import StructureError
from studio.io.records import chosen
from studio.io.sdf import completed
from studio.structure import Structure

if TYPE_CHECKING:
    from rdkit.Chem import Mol


def read_mol2(text: str, name: str, index: int | None = None, seed: int = 0) -> Structure:
    """One record of a MOL2 file, repaired where it has no hydrogens or is flat.

    Args:
        text: The file.
        name: Its name, for sentences.
        index: Which record, counted from 0; left out, the first.
        seed: Random seed for embedding a flat drawing.

    Raises:
        StructureError: Truncated, no such record, or chemically impossible.
    """
    record, count = chosen(text, name, index, "mol2")
    mol, title = parse_mol2(record, name)
    notes = [f"'{name}' holds {count} molecules; the first, {title}, was taken."] if count > 1 and index is None else []
    return completed(mol, title, notes, seed)


def parse_mol2(record: str, name: str) -> tuple["Mol", str]:
    """The molecule of one record, sanitized, and its title.

    Args:
        record: From `@<TRIPOS>MOLECULE` on.
        name: Of the file, for sentences.

    Raises:
        StructureError: The record ends early, is not MOL2, or is chemically impossible.
    """
    from rdkit import Chem, rdBase

    if "@<TRIPOS>ATOM" not in record or "@<TRIPOS>BOND" not in record:
        raise StructureError(f"'{name}' is truncated or not a MOL2 file: expected @<TRIPOS>ATOM and @<TRIPOS>BOND. Save or download the file again.")
    with rdBase.BlockLogs():
        mol = Chem.MolFromMol2Block(record, sanitize=False, removeHs=False)
    if mol is None or not mol.GetNumAtoms():
        raise StructureError(f"'{name}' is not valid MOL2, or it is truncated: expected as many atom and bond lines as it promises, with Sybyl atom types.")
    if any(atom.GetAtomicNum() == 0 for atom in mol.GetAtoms()):
        raise StructureError(f"'{name}' has atoms without an element (dummies or lone pairs). Replace them with real atoms, or remove them.")
    chem.check_valence(mol)
    return mol, (record.splitlines()[1].strip() or name)
