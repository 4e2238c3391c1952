"""Records: what several molecules in one SDF or MOL2 file are, so that one of them can be chosen.

Knows where a record ends and what to tell about it; how one is repaired is the business of its reader.
"""

import re
from dataclasses import dataclass
from typing import Literal

from studio.errors import StructureError

Layout = Literal["sdf", "mol2"]

MAX_RECORDS = 1000
# A record of an SDF file ends in four dollars; one of a MOL2 file begins with its molecule.
BOUNDARIES = {"sdf": r"^\$\$\$\$[ \t]*\r?\n?", "mol2": r"^(?=@<TRIPOS>MOLECULE)"}


@dataclass(frozen=True)
class Record:
    """One molecule of a file.

    Args:
        index: Counted from 0; what `read` takes.
        title: As the file names it.
        smiles: Canonical, empty where the molecule cannot be used.
        heavy_atoms: How many atoms other than hydrogen.
        charge: Formal charge, e.
        problem: Why it cannot be used, a sentence; empty if it can.
    """

    index: int
    title: str
    smiles: str = ""
    heavy_atoms: int = 0
    charge: int = 0
    problem: str = ""


def blocks(text: str, layout: Layout) -> list[str]:
    """The records of a file as text.

    Args:
        text: The file.
        layout: `sdf` or `mol2`.
    """
    parts = re.split(BOUNDARIES[layout], text, flags=re.MULTILINE)
    wanted = [part for part in parts if part.strip()]
    return [part for part in wanted if "@<TRIPOS>MOLECULE" in part] if layout == "mol2" else wanted


def chosen(text: str, name: str, index: int | None, layout: Layout) -> tuple[str, int]:
    """One record of a file, and how many there are.

    Args:
        text: The file.
        name: Its name, for sentences.
        index: Which, counted from 0; left out, the first.
        layout: `sdf` or `mol2`.

    Raises:
        StructureError: No such record.
    """
    records = blocks(text, layout)
    if not records:
        raise StructureError(f"'{name}' holds no molecule. Expected records that begin with @<TRIPOS>MOLECULE.")
    if not 0 <= (index or 0) < len(records):
        raise StructureError(f"'{name}' has {len(records)} molecules; expected an index from 0 to {len(records) - 1}, got {index}.")
    return records[index or 0], len(records)


def listed(text: str, name: str, layout: Layout) -> tuple[Record, ...]:
    """What each record of a file is, in order.

    Args:
        text: The file.
        name: Its name, for sentences.
        layout: `sdf` or `mol2`.

    Raises:
        StructureError: More records than are read at once.
    """
    records = blocks(text, layout)
    if len(records) > MAX_RECORDS:
        raise StructureError(f"'{name}' holds {len(records):,} molecules; expected at most {MAX_RECORDS:,}. Split the file.")
    return tuple(_record(record, index, name, layout) for index, record in enumerate(records))


def _record(text: str, index: int, name: str, layout: Layout) -> Record:
    """What one record is, or what is wrong with it."""
    from rdkit import Chem

    from studio.io.mol2 import parse_mol2
    from studio.io.sdf import parse_molfile

    try:
        mol, title = (parse_mol2 if layout == "mol2" else parse_molfile)(text, name)
    except StructureError as error:
        return Record(index, _title(text, layout), problem=str(error))
    # Flat drawings are marked by wedges, models by their places.
    if mol.GetNumConformers() and mol.GetConformer().Is3D():
        Chem.AssignStereochemistryFrom3D(mol)
    bare = Chem.RemoveHs(mol)
    return Record(index, title, Chem.MolToSmiles(bare), bare.GetNumHeavyAtoms(), Chem.GetFormalCharge(mol))


def _title(text: str, layout: Layout) -> str:
    """The name line of a record."""
    lines = text.splitlines()
    return (lines[1] if layout == "mol2" and len(lines) > 1 else lines[0]).strip()
