"""From `Structure` to OpenMM's Topology, one template residue for each amino acid and each small molecule; and back.

Knows OpenMM's Topology; must not know parameters.
"""

from typing import Any

import numpy as np
from openmm import Vec3, unit
from openmm.app import Element, Topology

from studio.errors import UnsupportedError
from studio.structure import Floats, Integers, Residue, Structure

SPACING = 0.15
"""Distance between atoms that have no positions yet, nm."""
SATURATED = {1: 1, 6: 4, 7: 4, 8: 2, 14: 4, 16: 2}
"""By atomic number, so many neighbours that all bonds of the atom are single."""


def to_topology(structure: Structure) -> Topology:
    """The topology that templates are matched on; atom order is the structure's.

    Args:
        structure: What to describe.

    Raises:
        UnsupportedError: A small molecule bonded to a protein.
    """
    pieces, waters = template_pieces(structure), set(water_atoms(structure).tolist())
    topology = Topology()
    chains: dict[str, Any] = {}
    residues: dict[int, Any] = {}
    atoms: dict[int, Any] = {}
    for index in np.lexsort((np.arange(len(structure)), _first_atoms(pieces))).tolist():
        residue, piece = structure.residue_of(index), int(pieces[index])
        if residue.chain not in chains:
            chains[residue.chain] = topology.addChain(residue.chain)
        if piece not in residues:
            # OpenMM holds rigid what is called HOH; a water molecule may have come as SMILES.
            name = "HOH" if index in waters else residue.name
            residues[piece] = topology.addResidue(name, chains[residue.chain], residue.number)
        atoms[index] = topology.addAtom(structure.names[index], Element.getByAtomicNumber(int(structure.numbers[index])), residues[piece])
    _in_order(topology, atoms)
    for i, j in structure.bonds.tolist():
        topology.addBond(atoms[i], atoms[j])
    if structure.box is not None:
        topology.setPeriodicBoxVectors([Vec3(*row) for row in structure.box.tolist()] * unit.nanometer)
    return topology


def from_topology(topology: Topology) -> Structure:
    """What a topology says: elements, names, residues and bonds; its atoms stand in a row, as it knows no positions.

    Orders of bonds are taken where they are written, and are 1 where one end is saturated; the others are unknown. Formal
    charges are taken where they are written, otherwise zero.

    Args:
        topology: Left as it is; a site without element has atomic number 0.
    """
    atoms = list(topology.atoms())
    numbers = np.array([atom.element.atomic_number if atom.element else 0 for atom in atoms], dtype=np.int64)
    bonds = np.array([(bond.atom1.index, bond.atom2.index) for bond in topology.bonds()], dtype=np.int64).reshape(-1, 2)
    written = [_written_order(bond) for bond in topology.bonds()]
    return Structure(
        numbers=numbers,
        positions=np.stack([SPACING * np.arange(len(atoms)), np.zeros(len(atoms)), np.zeros(len(atoms))], axis=1),
        names=tuple(atom.name for atom in atoms),
        residues=tuple(Residue(residue.name, f"{residue.id}{residue.insertionCode.strip()}", str(residue.chain.id)) for residue in topology.residues()),
        residue_index=np.array([atom.residue.index for atom in atoms], dtype=np.int64),
        bonds=bonds,
        bond_orders=np.maximum(written, _single(numbers, bonds)),
        formal_charges=np.array([getattr(atom, "formalCharge", None) or 0 for atom in atoms], dtype=np.int64),
    )


def _written_order(bond: Any) -> float:
    """1.5 for aromatic bonds, 0 where nothing is written."""
    return 1.5 if str(bond.type) == "Aromatic" else float(bond.order or 0)


def _single(numbers: Integers, bonds: Integers) -> Floats:
    """1 for bonds of which an end has as many neighbours as single bonds allow, otherwise 0."""
    neighbours = np.bincount(bonds.ravel(), minlength=len(numbers))
    full = np.array([neighbours[i] == SATURATED.get(z, -1) for i, z in enumerate(numbers.tolist())], dtype=np.bool_)
    return np.asarray(full[bonds].any(axis=1), dtype=np.float64)


def _in_order(topology: Topology, atoms: dict[int, Any]) -> None:
    """Give the atoms of a topology the structure's numbers and order.

    OpenMM wants the atoms of a residue in one piece, but the fragments of a salt come with their hydrogens last.
    """
    for index, atom in atoms.items():
        atom.index = index
    ordered = [atoms[index] for index in sorted(atoms)]
    topology.atoms = lambda: iter(ordered)


def _first_atoms(pieces: Integers) -> Integers:
    """For each atom the first atom of its piece."""
    _, first, inverse = np.unique(pieces, return_index=True, return_inverse=True)
    return np.asarray(first[inverse], dtype=np.int64)


def water_atoms(structure: Structure) -> Integers:
    """Atoms of water molecules, whatever their residues are called.

    Args:
        structure: Where to look.
    """
    waters = [atoms for atoms in structure.molecules if len(atoms) == 3 and sorted(structure.numbers[atoms].tolist()) == [1, 1, 8]]
    return np.concatenate(waters) if waters else np.zeros(0, dtype=np.int64)


def template_pieces(structure: Structure) -> Integers:
    """For each atom the number of its template residue: amino acids, waters and ions as they are, small molecules whole.

    Args:
        structure: What to divide.

    Raises:
        UnsupportedError: A small molecule bonded to a protein.
    """
    ligand = np.zeros(len(structure), dtype=np.bool_)
    ligand[structure.atoms_of("ligand")] = True
    for i, j in structure.bonds.tolist():
        if ligand[i] != ligand[j]:
            raise UnsupportedError(
                f"{structure.label(i)} and {structure.label(j)} are bonded, one in a small molecule and one in a protein; "
                "covalent ligands and modified residues are not supported yet."
            )
    pieces = structure.residue_index.copy()
    for number, molecule in enumerate(structure.molecules):
        if ligand[molecule[0]]:
            pieces[molecule] = len(structure.residues) + number
    return pieces
