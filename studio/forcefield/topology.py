"""From `Structure` to OpenMM's Topology, one template residue for each amino acid and each small molecule.

Knows OpenMM's Topology; must not know parameters.
"""

from typing import Any

import numpy as np
from openmm import Vec3, unit
from openmm.app import Element, Topology

from studio.errors import UnsupportedError
from studio.structure import Integers, Structure


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
