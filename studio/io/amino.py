"""Amino acids as chemists draw them: bond orders and formal charges from residue names, bonds and hydrogens present.

Knows the twenty residues, caps, water and simple ions; must not know files.
"""

import numpy as np

from studio.structure import Floats, Integers, Residue

# One Kekule structure each; the pairs are looked up among the bonds that are there, so that caps and termini need no entry.
DOUBLE_BONDS: dict[str, tuple[tuple[str, str], ...]] = {
    "ARG": (("CZ", "NH2"),),
    "ASN": (("CG", "OD1"),),
    "ASP": (("CG", "OD1"),),
    "GLN": (("CD", "OE1"),),
    "GLU": (("CD", "OE1"),),
    "PHE": (("CG", "CD2"), ("CD1", "CE1"), ("CE2", "CZ")),
    "TRP": (("CG", "CD1"), ("CD2", "CE2"), ("CZ2", "CH2"), ("CE3", "CZ3")),
    "TYR": (("CG", "CD2"), ("CD1", "CE1"), ("CE2", "CZ")),
}
SAME_RESIDUE = {"ASH": "ASP", "GLH": "GLU", "HID": "HIS", "HIE": "HIS", "HIP": "HIS"}
ION_CHARGES = {1: 1, 3: 1, 11: 1, 19: 1, 37: 1, 55: 1, 9: -1, 17: -1, 35: -1, 53: -1, 12: 2, 20: 2, 30: 2}
"""Charge of a monatomic ion by its atomic number, e."""
NORMAL_VALENCE = {7: 3, 8: 2, 16: 2}


def bond_orders(names: list[str], residues: list[Residue], residue_index: Integers, bonds: Integers) -> Floats:
    """Orders (1 or 2) of the bonds of proteins and water, one Kekule structure.

    Args:
        names: Atom names.
        residues: The residues.
        residue_index: Residue of each atom, (n,).
        bonds: Pairs of atoms, (b, 2).
    """
    protonated = {(int(residue), name) for name, residue in zip(names, residue_index, strict=True) if name == "HE2"}
    orders = np.ones(len(bonds))
    for index, (i, j) in enumerate(bonds.tolist()):
        residue = int(residue_index[i])
        if residue != residue_index[j] or residues[residue].kind != "protein":
            continue
        name = SAME_RESIDUE.get(residues[residue].name, residues[residue].name)
        pairs = (("C", "O"), *DOUBLE_BONDS.get(name, ()))
        if name == "HIS":
            # The nitrogen without a hydrogen has the double bond; with both protonated it is ND1, which then carries the charge.
            pairs += (("CG", "CD2"), ("CE1", "ND1" if (residue, "HE2") in protonated else "NE2"))
        if (names[i], names[j]) in pairs or (names[j], names[i]) in pairs:
            orders[index] = 2.0
    return orders


def formal_charges(numbers: Integers, bonds: Integers, orders: Floats) -> Integers:
    """Formal charges, e: for N, O and S the sum of bond orders less the normal valence, for lone atoms the ion's charge.

    Args:
        numbers: Atomic numbers, (n,).
        bonds: Pairs of atoms, (b, 2).
        orders: Their orders, (b,).
    """
    total = np.zeros(len(numbers))
    np.add.at(total, bonds[:, 0], orders)
    np.add.at(total, bonds[:, 1], orders)
    charges = np.zeros(len(numbers), dtype=np.int64)
    for element, valence in NORMAL_VALENCE.items():
        here = (numbers == element) & (total > 0)
        charges[here] = np.rint(total[here]).astype(np.int64) - valence
    lone = np.flatnonzero(total == 0)
    charges[lone] = [ION_CHARGES.get(int(z), 0) for z in numbers[lone]]
    return charges
