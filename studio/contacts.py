"""Contacts: hydrogen bonds between a ligand and its surroundings, frame by frame.

The geometry is judged by mdtraj, by the criterion of Baker and Hubbard (Prog. Biophys. Mol. Biol. 1984, 44, 97): H and acceptor
closer than 0.25 nm, angle at H above 120 degrees, donors and acceptors N and O. Knows places; must not know energies.
"""

from dataclasses import dataclass

import numpy as np

from studio.interaction import row_distances
from studio.partners import Partners
from studio.structure import Flags, Floats, Integers, Structure

TOUCH = 0.45
"""Heavy atoms this close are in contact, nm."""
REACH = 0.6
"""Only rows with a heavy atom this close to one of the ligand in some frame are searched for hydrogen bonds, nm."""
SHORT, STRAIGHT = 0.25, np.radians(120.0)


@dataclass(frozen=True, eq=False)
class HydrogenBonds:
    """Hydrogen bonds that occur.

    Args:
        atoms: Donor, hydrogen and acceptor, (h, 3), indices of the whole structure.
        present: In which frames, (frames, h).
        names: For people, with the ligand's side first.
    """

    atoms: Integers
    present: Flags
    names: tuple[str, ...]


def hydrogen_bonds(pair: Partners, frames: Floats, distances: Floats | None = None) -> HydrogenBonds:
    """Hydrogen bonds of a ligand, water's included.

    Args:
        pair: Ligand and receptor.
        frames: (f, n, 3), nm, all that is near the ligand in one image.
        distances: Of each row from the ligand in each frame, (f, rows), nm, where they are known.
    """
    import mdtraj

    atoms = _near(pair, frames, distances)
    moving = mdtraj.Trajectory(frames[:, atoms].astype(np.float32), _topology(pair.structure.take(atoms)))
    found = atoms[mdtraj.baker_hubbard(moving, freq=0.0, exclude_water=False, periodic=False)].reshape(-1, 3)
    ours = np.isin(found, pair.ligand)
    found = found[ours[:, 0] != ours[:, 2]]
    rows = np.searchsorted(atoms, found)
    if not len(rows):
        return HydrogenBonds(found, np.zeros((len(frames), 0), dtype=np.bool_), ())
    short = mdtraj.compute_distances(moving, rows[:, 1:], periodic=False) < SHORT
    straight = mdtraj.compute_angles(moving, rows, periodic=False) > STRAIGHT
    return HydrogenBonds(found, short & straight, tuple(_name(pair, triplet) for triplet in found.tolist()))


def _near(pair: Partners, frames: Floats, distances: Floats | None) -> Integers:
    """The ligand and all molecules of water and residues that come near it, sorted atoms."""
    known = np.array([row_distances(pair, frame) for frame in frames]) if distances is None else distances
    near = known.min(axis=0) < REACH
    chosen = [pair.ligand, *(row.atoms for row, close in zip(pair.rows, near, strict=True) if close and row.residue >= 0)]
    loose = np.concatenate([row.atoms for row in pair.rows if row.residue < 0] or [np.zeros(0, dtype=np.int64)])
    return np.sort(np.concatenate([*chosen, _visitors(pair, frames, loose)]))


def _visitors(pair: Partners, frames: Floats, loose: Integers) -> Integers:
    """Atoms of the residues among `loose` of which an atom is near the ligand in some frame."""
    from scipy.spatial import cKDTree

    touched: set[int] = set()
    for frame in frames if len(loose) else ():
        close = cKDTree(frame[pair.ligand]).query(frame[loose], distance_upper_bound=REACH)[0] < REACH
        touched.update(pair.structure.residue_index[loose[close]].tolist())
    return loose[np.isin(pair.structure.residue_index[loose], list(touched))]


def _topology(structure: Structure) -> "object":
    import mdtraj
    from mdtraj.core.element import Element

    topology = mdtraj.Topology()
    chain = topology.add_chain()
    residues = [topology.add_residue(residue.name, chain) for residue in structure.residues]
    order = np.argsort(structure.residue_index, kind="stable")
    if not np.array_equal(order, np.arange(len(structure))):  # mdtraj counts atoms residue by residue
        residues = [topology.add_residue("ANY", topology.add_chain())] * len(structure.residues)
    atoms = [
        topology.add_atom(name, Element.getByAtomicNumber(int(number)), residues[index])
        for name, number, index in zip(structure.names, structure.numbers, structure.residue_index, strict=True)
    ]
    for i, j in structure.bonds.tolist():
        topology.add_bond(atoms[i], atoms[j])
    return topology


def _name(pair: Partners, triplet: list[int]) -> str:
    donor, _, acceptor = triplet
    gives = donor in pair.ligand
    ours, theirs = (donor, acceptor) if gives else (acceptor, donor)
    structure = pair.structure
    whose = "water" if structure.residue_of(theirs).kind == "water" else str(structure.residue_of(theirs))
    return f"{structure.names[ours]} {'to' if gives else 'from'} {structure.names[theirs]} of {whose}"
