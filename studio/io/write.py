"""Topology text for viewers: PDB, fixed columns, with the bonds of whatever a viewer cannot guess.

Knows the columns of the format; must not know a viewer.
"""

from collections import defaultdict

import numpy as np
from rdkit.Chem import GetPeriodicTable

from studio.structure import Floats, Residue, Structure
from studio.units import NM_PER_ANGSTROM

MAX_SERIAL = 99_999
MAX_RESIDUE = 9_999


def to_pdb(structure: Structure) -> str:
    """PDB text of a structure, positions in angstrom; atoms in order, so that the n-th atom line is the n-th atom.

    Serial and residue numbers that do not fit their columns wrap around. Ligands carry CONECT records (one per bond order,
    as viewers read double bonds; aromatic bonds are written as single) as long as their serials are unique, that is among the first 99,999 atoms.

    Args:
        structure: What to write.
    """
    lines = [f"TITLE     {_ascii(structure.title)[:70]}"]
    lines += [_box_line(structure.box)] if structure.box is not None else []
    shown = [_residue_columns(residue, index) for index, residue in enumerate(structure.residues)]
    symbols = {z: GetPeriodicTable().GetElementSymbol(z) for z in set(structure.numbers.tolist())}
    rows = zip(structure.names, structure.numbers.tolist(), structure.residue_index.tolist(), (structure.positions / NM_PER_ANGSTROM).tolist(), strict=True)
    for atom, (name, number, residue, (x, y, z)) in enumerate(rows):
        record, columns = shown[residue]
        serial, label = _wrap(atom + 1, MAX_SERIAL), _atom_name(name, symbols[number])
        lines.append(f"{record}{serial:5d} {label} {columns}   {x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00          {symbols[number]:>2s}")
    return "\n".join([*lines, *_conect_lines(structure), "END", ""])


def _residue_columns(residue: Residue, index: int) -> tuple[str, str]:
    """Record name and columns 18 to 27 (name, chain, number, insertion code) of the atoms of a residue."""
    digits = residue.number.rstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ ")
    code = residue.number[len(digits) : len(digits) + 1].strip() or " "
    number = int(digits) if digits.lstrip("-").isdigit() else index + 1
    if number < -999:
        number = index + 1
    record = "ATOM  " if residue.kind == "protein" else "HETATM"
    return record, f"{_ascii(residue.name)[:3]:>3s} {_ascii(residue.chain)[:1] or 'A'}{_wrap(number, MAX_RESIDUE):4d}{code}"


def _wrap(number: int, largest: int) -> int:
    """The number itself if it fits, else counted again from 1."""
    return number if number <= largest else (number - 1) % largest + 1


def _atom_name(name: str, symbol: str) -> str:
    """Columns 13 to 16: elements of one letter start in the second column unless the name needs all four."""
    name = _ascii(name)[:4]
    return f"{name:<4s}" if len(name) == 4 or len(symbol) == 2 else f" {name:<3s}"


def _ascii(text: str) -> str:
    """`text` with whatever a fixed-column file cannot hold replaced by `_`."""
    return "".join(c if " " <= c <= "~" else "_" for c in text)


def _box_line(box: Floats) -> str:
    """CRYST1 with the lengths (angstrom) and angles (degrees) of the box."""
    lengths = np.linalg.norm(box, axis=1)
    unit = box / lengths[:, None]
    angles = [float(np.degrees(np.arccos(unit[i] @ unit[j]))) for i, j in ((1, 2), (0, 2), (0, 1))]
    a, b, c = lengths / NM_PER_ANGSTROM
    return f"CRYST1{a:9.3f}{b:9.3f}{c:9.3f}{angles[0]:7.2f}{angles[1]:7.2f}{angles[2]:7.2f} P 1           1"


def _conect_lines(structure: Structure) -> list[str]:
    """CONECT records of ligands, and of residues of several beads, at most four partners a line; a double bond is written twice, a triple bond thrice."""
    several = structure.is_coarse and not structure.is_beads
    ligand = set(range(len(structure)) if several else structure.atoms_of("ligand").tolist())
    partners: dict[int, list[int]] = defaultdict(list)
    for (i, j), order in zip(structure.bonds.tolist(), structure.bond_orders.tolist(), strict=True):
        if (i in ligand or j in ligand) and max(i, j) < MAX_SERIAL:
            times = max(1, int(order))
            partners[i] += [j] * times
            partners[j] += [i] * times
    lines = []
    for atom in sorted(partners):
        bonded = partners[atom]
        lines += ["CONECT" + f"{atom + 1:5d}" + "".join(f"{b + 1:5d}" for b in bonded[k : k + 4]) for k in range(0, len(bonded), 4)]
    return lines
