"""Mapping: which atoms a bead stands for, where it lies, and which beads are bonded - as a value.

    R = M r,   sum_i M_Ii = 1

r: positions of atoms, R: of beads. A bead lies where one of its atoms is (slice: a row of M holds a single 1) or at the
centre of mass of the atoms that it stands for. Beads are a `Structure` like any other: recording, viewer and export work on
it unchanged. Knows structures; must not know forces. How forces are mapped is in `force_map`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np

from studio.errors import RegionError, UnsupportedError
from studio.region import Region
from studio.structure import CARBON, Flags, Floats, Integers, Residue, Structure

Scheme = Literal["ca", "ca-cb", "backbone"]
"""One bead a residue (C-alpha), two (C-alpha and C-beta), or three (N, C-alpha, C)."""
Place = Literal["slice", "mass"]

SITES: dict[Scheme, tuple[str, ...]] = {"ca": ("CA",), "ca-cb": ("CA", "CB"), "backbone": ("N", "CA", "C")}
CAP_SITES = {"ACE": ("C",), "NME": ("N",)}
"""Of backbone beads, the caps keep the atom that makes the peptide bond: alanine dipeptide is five beads."""
PEPTIDE = frozenset({"C", "N"})


@dataclass(frozen=True, eq=False)
class Mapping:
    """From atoms to beads.

    Args:
        beads: The beads, at the mapped positions.
        sites: For each bead the atom that it is named after, (b,).
        groups: For each bead the atoms that it stands for.
        weights: For each bead what those atoms count in its position, adding up to 1.
        atoms: How many atoms there are.
    """

    beads: Structure
    sites: Integers
    groups: tuple[Integers, ...]
    weights: tuple[Floats, ...]
    atoms: int

    def __len__(self) -> int:
        return len(self.groups)

    @cached_property
    def matrix(self) -> Floats:
        """M, (b, n)."""
        matrix = np.zeros((len(self), self.atoms))
        for row, (group, weights) in enumerate(zip(self.groups, self.weights, strict=True)):
            matrix[row, group] = weights
        return matrix

    def positions(self, atoms: Floats) -> Floats:
        """Where the beads are.

        Args:
            atoms: Positions of the atoms, molecules whole, (n, 3) or (frames, n, 3), nm.

        Returns:
            The same of the beads.
        """
        parts = [np.tensordot(atoms[..., group, :], weights, axes=(-2, 0)) for group, weights in zip(self.groups, self.weights, strict=True)]
        return np.stack(parts, axis=-2)


def map_protein(structure: Structure, scheme: Scheme = "ca", place: Place = "slice") -> Mapping:
    """The beads of a protein; other molecules are left out, caps too where no bead stands for them.

    By centre of mass each atom belongs to the bead of its residue that is nearest along bonds.

    Args:
        structure: Proteins, and whatever is around them.
        scheme: Which beads a residue has.
        place: Where a bead lies.

    Raises:
        UnsupportedError: There is no protein, or a residue lacks the atom that its bead is named after.
    """
    sites = _sites(structure, scheme)
    owner = _owners(structure, sites)
    groups = [np.flatnonzero(owner == bead) for bead in range(len(sites))] if place == "mass" else [sites[[bead]] for bead in range(len(sites))]
    return _mapping(structure, sites, groups, _bonds(structure, owner))


def map_regions(structure: Structure, regions: Sequence[Region]) -> Mapping:
    """One bead at the centre of mass of each region; bonded where the regions are.

    Args:
        structure: The atoms.
        regions: One for each bead.

    Raises:
        RegionError: A region is empty, two of them overlap, or there is none.
    """
    if not regions:
        raise RegionError("Expected at least one region to be a bead, got none.")
    groups = [region.select(structure) for region in regions]
    owner = np.full(len(structure), -1)
    for bead, group in enumerate(groups):
        shared = group[owner[group] >= 0]
        if len(shared):
            raise RegionError(f"{structure.label(int(shared[0]))} is in two beads. Give every atom to one bead at most.")
        owner[group] = bead
    heaviest = np.array([group[np.argmax(structure.numbers[group])] for group in groups])
    pairs = np.sort(owner[structure.bonds], axis=1)
    return _mapping(structure, heaviest, groups, _unique(pairs))


def _mapping(structure: Structure, sites: Integers, groups: list[Integers], bonds: Integers) -> Mapping:
    masses = atomic_masses(structure)
    weights = tuple(masses[group] / masses[group].sum() for group in groups)
    bare = Mapping(structure, sites, tuple(groups), weights, len(structure))
    beads = _beads(structure, sites, bare.positions(np.asarray(structure.positions)), bonds)
    return replace(bare, beads=beads)


def _beads(structure: Structure, sites: Integers, positions: Floats, bonds: Integers) -> Structure:
    """The beads as a structure: names, residues, chains and box stay; the charge of a residue is on its first bead."""
    used, residue_index = np.unique(structure.residue_index[sites], return_inverse=True)
    charges = np.bincount(structure.residue_index, structure.formal_charges, len(structure.residues))[used]
    first = np.unique(residue_index, return_index=True)[1]
    placed = np.zeros(len(sites), dtype=np.int64)
    placed[first] = np.rint(charges).astype(np.int64)
    return Structure(
        numbers=np.full(len(sites), CARBON), positions=positions, names=tuple(structure.names[site] for site in sites.tolist()),
        residues=tuple(structure.residues[index] for index in used.tolist()), residue_index=residue_index, bonds=bonds,
        bond_orders=np.zeros(len(bonds)), formal_charges=placed, box=structure.box, title=structure.title, notes=structure.notes,
    )  # fmt: skip


def _sites(structure: Structure, scheme: Scheme) -> Integers:
    """The atoms that beads are named after, in the order of the structure's residues."""
    atoms_of: dict[int, dict[str, int]] = {}
    for atom, (name, residue) in enumerate(zip(structure.names, structure.residue_index.tolist(), strict=True)):
        atoms_of.setdefault(residue, {}).setdefault(name, atom)
    found: list[int] = []
    for index, residue in enumerate(structure.residues):
        if residue.kind == "protein" and index in atoms_of:
            found += _sites_of(residue, scheme, atoms_of[index])
    if not found:
        raise UnsupportedError(f"{structure.title or 'This structure'} holds no protein, and beads stand for amino acids. Choose a level of atoms.")
    return np.array(found, dtype=np.int64)


def _sites_of(residue: Residue, scheme: Scheme, atoms: dict[str, int]) -> list[int]:
    wanted = SITES[scheme]
    if residue.name in ("ACE", "NME", "NMA", "NH2"):
        wanted = CAP_SITES.get(residue.name, ()) if scheme == "backbone" else ()
    elif residue.name == "GLY":
        wanted = tuple(name for name in wanted if name != "CB")
    missing = [name for name in wanted if name not in atoms]
    if missing:
        raise UnsupportedError(f"{residue} lacks its atom {missing[0]}, which a bead is named after. Complete the residue, or leave it out.")
    return [atoms[name] for name in wanted]


def _owners(structure: Structure, sites: Integers) -> Integers:
    """For each atom the bead of its residue that is nearest along bonds; -1 where its residue has none, (n,)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import dijkstra

    n, within = len(structure), structure.bonds[_same_residue(structure)]
    graph = coo_array((np.ones(len(within)), (within[:, 0], within[:, 1])), shape=(n, n)).tocsr()
    _, _, source = dijkstra(graph, directed=False, indices=sites, unweighted=True, min_only=True, return_predecessors=True)
    bead = np.full(n + 1, -1)
    bead[sites] = np.arange(len(sites))
    return np.asarray(bead[np.where(source < 0, n, source)])


def _bonds(structure: Structure, owner: Integers) -> Integers:
    """Pairs of beads whose atoms are bonded: within a residue, and by peptide bonds - not by disulfide bridges.

    Beads that come one a residue are bonded already.
    """
    if structure.is_beads:
        return _unique(np.sort(owner[structure.bonds], axis=1))
    peptide = [{structure.names[i], structure.names[j]} == PEPTIDE for i, j in structure.bonds.tolist()]
    chain = structure.bonds[_same_residue(structure) | np.array(peptide, dtype=np.bool_)]
    return _unique(np.sort(owner[chain], axis=1))


def _same_residue(structure: Structure) -> Flags:
    """True for bonds within a residue, (b,)."""
    return np.asarray(structure.residue_index[structure.bonds[:, 0]] == structure.residue_index[structure.bonds[:, 1]])


def _unique(pairs: Integers) -> Integers:
    """Each pair of two different beads once."""
    kept = pairs[(pairs[:, 0] >= 0) & (pairs[:, 0] != pairs[:, 1])]
    return np.unique(kept, axis=0).reshape(-1, 2)


def atomic_masses(structure: Structure) -> Floats:
    """Masses of the atoms, Da, (n,).

    Args:
        structure: The atoms.
    """
    from rdkit.Chem import GetPeriodicTable

    table = GetPeriodicTable()
    return np.array([table.GetAtomicWeight(int(number)) for number in structure.numbers])
