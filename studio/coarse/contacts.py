"""Native contacts: which residues touch in a native structure, and how many of them still do.

By the shadow map (Noel 2012, 10.1021/jp300852d) two heavy atoms are in contact if they are close and no third atom stands
between them: the light of one casts no shadow of the third upon the other. Knows structures and arrays; must not know forces.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from studio.coarse.mapping import Mapping
from studio.structure import Flags, Floats, Integers, Structure

Rule = Literal["shadow", "cutoff"]
APART = 3
"""Beads up to so many bonds apart make no contact: bonds, angles and torsions describe them."""
RADIUS, BONDED_RADIUS = 0.1, 0.05
"""Of the atoms that cast a shadow, nm; the second where the atom is bonded to one of the pair."""
SHARPNESS, SLACK = 50.0, 1.2
"""Beta (1/nm) and lambda of the fraction of native contacts (Best 2013, 10.1073/pnas.1311599110), the latter as for Go models."""


@dataclass(frozen=True, eq=False)
class Contacts:
    """Pairs of beads that touch in the native structure.

    Args:
        pairs: Indices, the smaller first, (c, 2).
        distances: Between the beads, nm, (c,).
    """

    pairs: Integers
    distances: Floats

    def __len__(self) -> int:
        return len(self.pairs)

    def fraction(self, positions: Floats) -> Floats:
        """Q, the part of the contacts that are made: near 1 in the native structure, near 0 unfolded.

        Args:
            positions: Of the beads, (b, 3) or (frames, b, 3), nm.
        """
        apart = np.linalg.norm(positions[..., self.pairs[:, 0], :] - positions[..., self.pairs[:, 1], :], axis=-1)
        stretch = np.clip(SHARPNESS * (apart - SLACK * self.distances), -50.0, 50.0)
        return np.asarray((1.0 / (1.0 + np.exp(stretch))).mean(axis=-1))


def native_contacts(structure: Structure, mapping: Mapping, rule: Rule, cutoff: float) -> Contacts:
    """The contacts between beads of one a residue.

    Args:
        structure: The native structure, all its atoms.
        mapping: Of it, one bead a residue.
        rule: `shadow`, or `cutoff` for all pairs of residues with close heavy atoms.
        cutoff: Largest distance of two heavy atoms in contact, nm.
    """
    bead = np.full(len(structure), -1)
    beads_of = dict(zip(structure.residue_index[mapping.sites].tolist(), range(len(mapping)), strict=True))
    heavy = structure.numbers > 1
    bead[heavy] = [beads_of.get(residue, -1) for residue in structure.residue_index[heavy].tolist()]
    atoms = np.flatnonzero(bead >= 0)
    close = _close(structure.positions[atoms], cutoff)
    left, right = bead[atoms[close[:, 0]]], bead[atoms[close[:, 1]]]
    wanted = ~_near(mapping.beads)[left, right]
    seen = _lit(structure, atoms, close, wanted) if rule == "shadow" else wanted
    found = np.unique(np.sort(np.stack([left, right], axis=1)[seen], axis=1), axis=0).reshape(-1, 2)
    places = mapping.beads.positions
    return Contacts(found, np.linalg.norm(places[found[:, 0]] - places[found[:, 1]], axis=1))


def within_bonds(beads: Structure, most: int) -> Integers:
    """For each pair of beads how many bonds lie between them; `most` + 1 where there are more, (b, b).

    Args:
        beads: With their bonds.
        most: As far as is counted.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import dijkstra

    n = len(beads)
    graph = coo_array((np.ones(len(beads.bonds)), (beads.bonds[:, 0], beads.bonds[:, 1])), shape=(n, n))
    apart = dijkstra(graph.tocsr(), directed=False, unweighted=True, limit=most)
    return np.asarray(np.where(np.isfinite(apart), apart, most + 1), dtype=np.int64)


def _near(beads: Structure) -> Flags:
    return within_bonds(beads, APART) <= APART


def _close(positions: Floats, cutoff: float) -> Integers:
    from scipy.spatial import cKDTree

    return np.asarray(cKDTree(positions).query_pairs(cutoff, output_type="ndarray"), dtype=np.int64).reshape(-1, 2)


def _lit(structure: Structure, atoms: Integers, close: Integers, wanted: Flags) -> Flags:
    """True for wanted pairs of close atoms between which no third one stands, (pairs,)."""
    places = structure.positions[atoms]
    row = np.full(len(structure), -1)
    row[atoms] = np.arange(len(atoms))
    bonds = row[structure.bonds]
    bonded = [set[int]() for _ in atoms]
    neighbours = [set[int]() for _ in atoms]
    for pairs, sets in ((bonds[(bonds >= 0).all(axis=1)], bonded), (close, neighbours)):
        for i, j in pairs.tolist():
            sets[i].add(j)
            sets[j].add(i)
    lit = np.zeros(len(close), dtype=np.bool_)
    for index in np.flatnonzero(wanted).tolist():
        i, j = close[index].tolist()
        between = np.array(sorted(neighbours[i] & neighbours[j]), dtype=np.int64)
        touching = np.array([k in bonded[i] or k in bonded[j] for k in between.tolist()], dtype=np.bool_)
        lit[index] = not _shadowed(places[i], places[j], places[between], np.where(touching, BONDED_RADIUS, RADIUS))
    return lit


def _shadowed(one: Floats, other: Floats, between: Floats, radii: Floats) -> bool:
    """An atom between two stands in the light of one or of the other."""
    apart = float(np.linalg.norm(other - one))
    to_one, to_other = np.linalg.norm(between - one, axis=1), np.linalg.norm(between - other, axis=1)
    inside = (to_one < apart) & (to_other < apart)
    to_one, to_other, radii = to_one[inside], to_other[inside], radii[inside]
    if ((radii > to_one) | (radii > to_other)).any():
        return True
    return bool((_hides(apart, to_one, to_other, radii) | _hides(apart, to_other, to_one, radii)).any())


def _hides(apart: float, to_light: Floats, to_other: Floats, radii: Floats) -> Flags:
    """Seen from the light, the disk of a third atom overlaps that of the other: the angles of their radii reach each other."""
    cosine = (apart**2 + to_light**2 - to_other**2) / (2.0 * apart * to_light)
    return np.asarray(np.arcsin(min(1.0, RADIUS / apart)) + np.arcsin(radii / to_light) >= np.arccos(np.clip(cosine, -1.0, 1.0)))
