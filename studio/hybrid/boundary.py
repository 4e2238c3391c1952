"""Boundary: where an ML region ends inside a molecule - which bonds may be cut, and the link hydrogens that cap them.

A cut bond A-B (A in the region, B its MM host) gets a link hydrogen on A towards B. It is no particle: its place follows
from A and B, and its force goes back to them by the chain rule. Knows structures and must not know energies or OpenMM.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np
from rdkit.Chem import GetPeriodicTable

from studio.errors import RegionError
from studio.hybrid.whole import MakeWhole
from studio.structure import Floats, Integers, Structure
from studio.units import NM_PER_ANGSTROM

LinkStyle = Literal["fixed", "scaled"]

HYDROGEN_LENGTHS = {5: 0.119, 6: 0.109, 7: 0.101, 8: 0.096, 14: 0.148, 15: 0.142, 16: 0.134, 34: 0.146}
"""Lengths of single bonds to hydrogen by atomic number, nm; other elements take the sum of covalent radii."""
LARGEST_RING = 12
"""Rings of up to so many atoms are not cut; wider loops (macrocycles, disulfide bridges) behave like chains."""


@dataclass(frozen=True, eq=False)
class Part:
    """An ML region with its links; arrays over it hold the atoms first, then one row for each link.

    Args:
        atoms: Indices of the region's atoms, sorted, (n,).
        hosts: The MM host B of each link, (l,); no two are the same.
        inner: The row in `atoms` of each link's atom A, (l,).
        style: `fixed`: r_H = r_A + d u_AB; `scaled`: r_H = (1 - g) r_A + g r_B (Dapprich 1999, 10.1016/S0166-1280(98)00475-8).
        reach: d, nm, or g, (l,).
        structure: The capped region, as a network is told: atoms, then link hydrogens, whole.
        whole: Puts positions of `seen` into one image.
    """

    atoms: Integers
    hosts: Integers
    inner: Integers
    style: LinkStyle
    reach: Floats
    structure: Structure
    whole: MakeWhole

    @property
    def seen(self) -> Integers:
        """Indices of all atoms that the energy of the capped region depends on: the region, then the MM hosts, (n + l,)."""
        return np.concatenate([self.atoms, self.hosts])

    def cap(self, positions: Floats) -> Floats:
        """Put a link hydrogen in the place of each host.

        Args:
            positions: Of `seen`, (n + l, 3), nm, whole.
        """
        if not len(self.hosts):
            return positions
        towards, share = self._bonds(positions)
        capped = positions.copy()
        capped[len(self.atoms) :] = positions[self.inner] + share[:, None] * towards
        return capped

    def spread(self, positions: Floats, forces: Floats) -> Floats:
        """Forces on `seen`, from forces on the capped region: each link's goes to its two hosts, so that no energy is lost.

        Args:
            positions: Of `seen`, (n + l, 3), nm, whole.
            forces: On atoms and link hydrogens, (n + l, 3), kJ/mol/nm.
        """
        if not len(self.hosts):
            return forces
        towards, share = self._bonds(positions)
        links = forces[len(self.atoms) :]
        if self.style == "fixed":  # a link at a fixed distance does not feel the bond's stretching
            unit = towards / np.linalg.norm(towards, axis=1)[:, None]
            outer = share[:, None] * (links - unit * (unit * links).sum(axis=1)[:, None])
        else:
            outer = share[:, None] * links
        spread = forces.copy()
        spread[len(self.atoms) :] = outer
        np.add.at(spread, self.inner, links - outer)
        return spread

    def fold(self, values: Floats) -> Floats:
        """One value for each atom, (n,): a link's is added to that of its atom A."""
        folded = values[: len(self.atoms)].copy()
        np.add.at(folded, self.inner, values[len(self.atoms) :])
        return folded

    def _bonds(self, positions: Floats) -> tuple[Floats, Floats]:
        """From A to B (l, 3), nm, and the share of that way at which the hydrogen sits (l,)."""
        towards = positions[len(self.atoms) :] - positions[self.inner]
        return towards, self.reach / np.linalg.norm(towards, axis=1) if self.style == "fixed" else self.reach


def cap(structure: Structure, atoms: Integers, style: LinkStyle = "fixed", charge: int | None = None, multiplicity: int | None = None) -> Part:
    """Take a region out of a structure and cap the bonds that this cuts.

    Args:
        structure: All atoms.
        atoms: Indices of the region.
        style: Where the link hydrogens sit.
        charge: Total charge that the network is told, e; the sum of the formal charges when left out.
        multiplicity: Spin multiplicity that the network is told; the structure's when left out.

    Raises:
        RegionError: A bond cannot be cut, or the charge of a cut region is not known; the bond is named.
    """
    atoms = np.unique(np.asarray(atoms, dtype=np.int64))
    links = cut_bonds(structure, atoms)
    _check_links(structure, links)
    if len(links) and charge is None:
        _check_orders(structure, atoms)
    bare = structure.take(atoms)
    if charge is not None:  # networks are told the total only; which atom it is written on says nothing
        charges = bare.formal_charges.copy()
        charges[0] += charge - bare.charge
        bare = replace(bare, formal_charges=charges)
    if multiplicity is not None:
        bare = replace(bare, multiplicity=multiplicity)
    hosts = links[:, 1]
    seen = structure.take(np.concatenate([atoms, hosts]))
    part = Part(atoms, hosts, np.searchsorted(atoms, links[:, 0]), style, _reach(structure, links, style), bare, MakeWhole(seen))
    return replace(part, structure=_capped(bare, part.inner, part.cap(part.whole(seen.positions, structure.box))))


def cut_bonds(structure: Structure, atoms: Integers) -> Integers:
    """Bonds from a region to the rest, (l, 2): first the atom inside, then the one outside.

    Args:
        structure: All atoms.
        atoms: Indices of the region.
    """
    inside = np.zeros(len(structure), dtype=np.bool_)
    inside[atoms] = True
    leaving = structure.bonds[inside[structure.bonds[:, 0]] != inside[structure.bonds[:, 1]]]
    return np.asarray(np.where(inside[leaving[:, :1]], leaving, leaving[:, ::-1]))


def check_apart(structure: Structure, parts: Sequence[Part]) -> None:
    """Refuse fragments that overlap, are bonded to each other, or share an MM host.

    Args:
        structure: All atoms.
        parts: The fragments.

    Raises:
        RegionError: Names the atom or the bonds.
    """
    owner = np.full(len(structure), -1, dtype=np.int64)
    for index, part in enumerate(parts):
        if (owner[part.atoms] >= 0).any():
            atom = int(part.atoms[owner[part.atoms] >= 0][0])
            raise RegionError(f"{structure.label(atom)} is in two ML fragments. Take it out of one of them.")
        owner[part.atoms] = index
    links = [(int(part.atoms[row]), int(host)) for part in parts for row, host in zip(part.inner, part.hosts, strict=True)]
    for inner, outer in links:
        if owner[outer] >= 0:
            raise RegionError(f"Two ML fragments are bonded to each other: {_bond(structure, inner, outer)}. Make one fragment of them.")
    _check_single(structure, links)


def belongs_to(structure: Structure, part: Part) -> Callable[[tuple[int, ...]], bool]:
    """Whether an MM term belongs to the capped region, so that the network takes its place: the rule of OpenMM-ML.

    Pairs and bonds: both atoms inside. Angles: the middle inside. Proper torsions: the middle two inside; improper ones:
    the central atom inside. CMAP: the middle two of both torsions inside. All other atoms: inside or MM hosts.

    Args:
        structure: All atoms.
        part: The region.
    """
    inside = set(part.atoms.tolist())
    seen = inside | set(part.hosts.tolist())
    bonds = {frozenset(pair) for pair in structure.bonds.tolist()}
    return lambda term: seen.issuperset(term) and inside.issuperset(_middle(term, bonds))


def _middle(term: tuple[int, ...], bonds: set[frozenset[int]]) -> tuple[int, ...]:
    """The atoms of a term that have to be inside a region for the term to belong to it."""
    if len(term) == 3:
        return term[1:2]
    if len(term) == 8:
        return _middle(term[:4], bonds) + _middle(term[4:], bonds)
    if len(term) == 4:
        if all(frozenset(pair) in bonds for pair in pairwise(term)):
            return term[1:3]
        central = [i for i in term if bonds.issuperset(frozenset((i, j)) for j in term if j != i)]
        return tuple(central[:1]) or term
    return term


def _check_links(structure: Structure, links: Integers) -> None:
    if not len(links):
        return
    neighbours = _neighbours(structure)
    for inner, outer in links.tolist():
        reason = _why_not(structure, neighbours, inner, outer)
        if reason:
            raise RegionError(f"The region cuts {reason}: {_bond(structure, inner, outer)}. Cut at single bonds between heavy atoms, outside rings.")
    _check_single(structure, links.tolist())


def _check_single(structure: Structure, links: Iterable[Sequence[int]]) -> None:
    first: dict[int, int] = {}
    for inner, outer in links:
        if outer in first:
            raise RegionError(
                f"The region cuts two bonds of one MM atom: {_bond(structure, first[outer], outer)}, and {_bond(structure, inner, outer)}. "
                "Two link hydrogens there would overlap. Take that atom into the region, or cut elsewhere."
            )
        first[outer] = inner


def _why_not(structure: Structure, neighbours: dict[int, dict[int, float]], inner: int, outer: int) -> str:
    """What forbids to cut a bond; empty if nothing does."""
    order = neighbours[inner][outer]
    reasons = {
        "a bond to hydrogen": 1 in structure.numbers[[inner, outer]],
        "a bond of unknown order": order == 0.0,
        "an aromatic bond": order == 1.5,
        "a double bond": order == 2.0,
        "a triple bond": order == 3.0,
        "an amide bond": _is_amide(structure, neighbours, inner, outer) or _is_amide(structure, neighbours, outer, inner),
        "a ring": _in_ring(neighbours, inner, outer),
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def _is_amide(structure: Structure, neighbours: dict[int, dict[int, float]], carbon: int, nitrogen: int) -> bool:
    if (structure.numbers[carbon], structure.numbers[nitrogen]) != (6, 7):
        return False
    return any(order == 2.0 and structure.numbers[atom] in (8, 16) for atom, order in neighbours[carbon].items())


def _in_ring(neighbours: dict[int, dict[int, float]], inner: int, outer: int) -> bool:
    """Whether a second way of at most `LARGEST_RING` - 1 bonds leads from one end to the other."""
    reached, front = {inner}, set(neighbours[inner]) - {outer}
    for _ in range(LARGEST_RING - 1):
        if outer in front:
            return True
        reached |= front
        front = {far for near in front for far in neighbours[near]} - reached
    return False


def _check_orders(structure: Structure, atoms: Integers) -> None:
    """Without bond orders nobody drew formal charges, and the MM charge of a cut region is no integer to fall back on."""
    unknown = np.isin(structure.bonds, atoms).any(axis=1) & (structure.bond_orders == 0.0)
    if unknown.any():
        i, j = structure.bonds[unknown][0].tolist()
        raise RegionError(
            f"The charge of the cut region is not known, as the order of the bond {_bond(structure, i, j)} is not. "
            "Say which charge the network shall assume, or give the molecule as SDF or SMILES."
        )


def _neighbours(structure: Structure) -> dict[int, dict[int, float]]:
    """Bonded atoms of each atom, and the orders of those bonds."""
    found: dict[int, dict[int, float]] = defaultdict(dict)
    for (i, j), order in zip(structure.bonds.tolist(), structure.bond_orders.tolist(), strict=True):
        found[i][j] = found[j][i] = order
    return found


def _reach(structure: Structure, links: Integers, style: LinkStyle) -> Floats:
    table = GetPeriodicTable()
    radius = [NM_PER_ANGSTROM * table.GetRcovalent(int(z)) for z in structure.numbers[links].ravel()]
    inner, outer = np.array(radius).reshape(-1, 2).T
    hydrogen = NM_PER_ANGSTROM * table.GetRcovalent(1)
    if style == "scaled":
        return np.asarray((inner + hydrogen) / (inner + outer))
    return np.array([HYDROGEN_LENGTHS.get(int(z), r + hydrogen) for z, r in zip(structure.numbers[links[:, 0]], inner, strict=True)])


def _capped(bare: Structure, inner: Integers, positions: Floats) -> Structure:
    """`bare` with a hydrogen on each atom of `inner`, at `positions`."""
    count = len(inner)
    return replace(
        bare,
        numbers=np.concatenate([bare.numbers, np.ones(count, dtype=np.int64)]),
        positions=positions,
        names=(*bare.names, *(f"HL{k + 1}" for k in range(count))),
        residue_index=np.concatenate([bare.residue_index, bare.residue_index[inner]]),
        bonds=np.concatenate([bare.bonds, np.stack([inner, len(bare) + np.arange(count)], axis=1)]),
        bond_orders=np.concatenate([bare.bond_orders, np.ones(count)]),
        formal_charges=np.concatenate([bare.formal_charges, np.zeros(count, dtype=np.int64)]),
        fixed=np.concatenate([bare.fixed, np.zeros(count, dtype=np.bool_)]),
    )


def _bond(structure: Structure, i: int, j: int) -> str:
    return f"between {structure.label(i)} and {structure.label(j)}"
