"""Conformers: shapes of one small molecule - made, compared with their symmetry in mind, laid over each other, taken apart into torsions.

Knows bonds and places (RDKit does the embedding and finds the symmetry) and must not know energies other than as numbers
that tell shapes apart.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from studio.errors import StructureError, UnsupportedError
from studio.structure import Flags, Floats, Integers, Structure
from studio.units import NM_PER_ANGSTROM

if TYPE_CHECKING:
    from rdkit.Chem import Mol

MAX_HEAVY = 150
"""Larger molecules have more shapes than can be searched this way."""
APART = 0.02
"""Root-mean-square distance of heavy atoms below which two embedded shapes are one, nm."""
SURPLUS = 3
"""So many times the shapes that are wanted are made; those that differ most are taken."""
SAME_ENERGY, SAME_PLACE = 0.4, 0.0125
"""Minima that differ by less than this (kJ/mol, nm) are one: 0.1 kcal/mol, and the distance that CREST uses (10.1039/C9CP06869D)."""
MAX_SYMMETRIES = 1000
STRETCHED, SQUEEZED = 1.4, 1.15
"""Times the sum of covalent radii: beyond the first a bond is broken, below the second there is a new one."""
TORN, CRUSHED = 1.7, 0.75
"""The same for places that somebody drew, where only nonsense is refused."""


def check_molecule(structure: Structure) -> None:
    """Refuse what is not one small molecule in a sensible shape.

    Args:
        structure: The molecule.

    Raises:
        UnsupportedError: Several fragments, or too many atoms.
        StructureError: A bond order is unknown, or atoms are where no molecule has them.
    """
    pieces, heavy = len(structure.molecules), int((structure.numbers > 1).sum())
    if pieces > 1:
        raise UnsupportedError(f"Expected one molecule, got {pieces} fragments without a bond between them. Choose the one that is meant.")
    if not 1 <= heavy <= MAX_HEAVY:
        raise UnsupportedError(f"Expected a molecule of 1 to {MAX_HEAVY} heavy atoms, got {heavy}: shapes of larger ones cannot be searched this way.")
    structure.to_rdkit()
    wrong = _misplaced(structure, structure.positions, TORN, CRUSHED)
    if wrong is not None:
        i, j, distance = wrong
        raise StructureError(
            f"{structure.label(i)} and {structure.label(j)} are {distance:.3f} nm apart, which no molecule with these bonds bears. "
            "Check the coordinates and their unit, or minimise the pose first."
        )


def conformers(structure: Structure, count: int, seed: int = 0) -> Floats:
    """Shapes of a molecule by ETKDG version 3 (Wang et al. 2020, 10.1021/acs.jcim.0c00025), its stereochemistry kept.

    Equal seeds give equal shapes, also if the atoms are listed in another order.

    Args:
        structure: One molecule with hydrogens; its stereochemistry is read from its places.
        count: Shapes at most; a rigid molecule has fewer.
        seed: Of the embedding, up to a billion.

    Returns:
        Positions (c, n, 3), nm.

    Raises:
        StructureError: RDKit finds no shape.
    """
    from rdkit import Chem, rdBase
    from rdkit.Chem import rdDistGeom

    order = _canonical_order(structure)
    ordered = structure.take(order)
    bonds = np.sort(ordered.bonds, axis=1)
    rows = np.lexsort((bonds[:, 1], bonds[:, 0]))
    mol = Chem.Mol(replace(ordered, bonds=bonds[rows], bond_orders=ordered.bond_orders[rows]).to_rdkit())
    settings: Any = rdDistGeom.ETKDGv3()  # its stubs do not know that it takes plain values
    settings.randomSeed, settings.pruneRmsThresh, settings.numThreads = seed, APART / NM_PER_ANGSTROM, 1
    settings.enableSequentialRandomSeeds = True  # otherwise the seed is multiplied, and seed 0 gives one shape over and over
    found: list[int] = []
    for settings.useRandomCoords in (False, True):
        with rdBase.BlockLogs(), suppress(RuntimeError, ValueError):  # by which RDKit says that distances contradict each other
            found = found or list(rdDistGeom.EmbedMultipleConfs(mol, SURPLUS * count, settings))
    if not found:
        raise StructureError("No shapes were found for this molecule: its stereochemistry or its rings may be impossible. Check the pose.")
    shapes = np.array([mol.GetConformer(number).GetPositions() for number in found]) * NM_PER_ANGSTROM
    return np.asarray(shapes[_diverse(shapes[:, ordered.numbers > 1], count)][:, np.argsort(order)])


def distances(structure: Structure, positions: Floats, reference: Floats) -> Floats:
    """Root-mean-square distances of heavy atoms after superposition, the smallest over the molecule's symmetry, (b,), nm.

    Args:
        structure: The molecule.
        positions: (b, n, 3), nm.
        reference: (n, 3), nm.
    """
    maps = symmetries(structure)
    return np.array([_fits(place[maps], reference[maps[0]])[0].min() for place in positions])


def overlay(structure: Structure, positions: Floats, reference: Floats) -> Floats:
    """A shape laid over another: equal atoms exchanged, and the mirror image taken where the molecule has none of its own, to be near.

    Args:
        structure: The molecule.
        positions: (n, 3), nm.
        reference: (n, 3), nm.

    Returns:
        Positions (n, 3), nm, with the same energy as before.
    """
    maps = symmetries(structure)
    images = (positions, positions * np.array([1.0, 1.0, -1.0])) if achiral(structure) else (positions,)
    fits = [_fits(image[maps], reference[maps[0]]) for image in images]
    image, (errors, turns) = min(zip(images, fits, strict=True), key=lambda pair: pair[1][0].min())
    best = int(errors.argmin())
    centre, goal = image[maps[best]].mean(axis=0), reference[maps[0]].mean(axis=0)
    return _relabelled(structure, (image - centre) @ turns[best] + goal, maps[0], maps[best], reference)


def unique_minima(structure: Structure, positions: Floats, energies: Floats) -> Integers:
    """Indices of different minima, the lowest first; those without an energy are left out.

    Args:
        structure: The molecule.
        positions: (b, n, 3), nm.
        energies: (b,), kJ/mol.
    """
    kept: list[int] = []
    for index in np.argsort(energies, kind="stable").tolist():
        near = [other for other in kept if energies[index] - energies[other] < SAME_ENERGY]
        if np.isfinite(energies[index]) and not (distances(structure, positions[near], positions[index]) < SAME_PLACE).any():
            kept.append(index)
    return np.array(kept, dtype=np.int64)


def intact(structure: Structure, positions: Floats) -> Flags:
    """True for shapes with the molecule's own bonds: no bond broken, none made, no hydrogen moved over; (b,).

    Args:
        structure: The molecule.
        positions: (b, n, 3), nm.
    """
    return np.array([_misplaced(structure, place, STRETCHED, SQUEEZED) is None for place in positions], dtype=np.bool_)


def rotatable(structure: Structure) -> Integers:
    """Four atoms for each single bond outside rings about which a part with heavy atoms turns, amides included, (t, 4).

    Args:
        structure: One molecule.
    """
    mol = structure.to_rdkit()
    ranks = _ranks(mol)
    found = []
    for bond in mol.GetBonds():
        if bond.GetBondTypeAsDouble() != 1.0 or bond.IsInRing():
            continue
        one, other = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        ends = _beyond(mol, ranks, one, other), _beyond(mol, ranks, other, one)
        if None not in ends:
            found.append((ends[0], one, other, ends[1]))
    return np.array(found, dtype=np.int64).reshape(-1, 4)


def turned(structure: Structure, positions: Floats, torsion: Integers, angle: float) -> Floats:
    """A shape with one torsion turned rigidly, the part behind its bond moving; (n, 3), nm.

    Args:
        structure: One molecule.
        positions: (n, 3), nm.
        torsion: Its four atoms; their bond is in no ring.
        angle: By how much, radian.
    """
    from scipy.spatial.transform import Rotation

    _, second, third, _ = torsion.tolist()
    behind = _behind(structure.bonds, second, third)
    axis = positions[third] - positions[second]
    turn = Rotation.from_rotvec(angle * axis / np.linalg.norm(axis))
    moved = np.array(positions)
    moved[behind] = turn.apply(positions[behind] - positions[third]) + positions[third]
    return moved


def symmetries(structure: Structure) -> Integers:
    """Ways to exchange heavy atoms that have equal neighbourhoods, whatever the bond orders that are drawn, (s, m); first of all none.

    Args:
        structure: The molecule.
    """
    heavy = np.flatnonzero(structure.numbers > 1)
    degrees = np.bincount(structure.bonds.ravel(), minlength=len(structure))
    new = np.full(len(structure), -1, dtype=np.int64)
    new[heavy] = np.arange(len(heavy))
    pairs = new[structure.bonds]
    labels = tuple(zip(structure.numbers[heavy].tolist(), degrees[heavy].tolist(), strict=True))
    maps = _matches(labels, tuple(map(tuple, pairs[(pairs >= 0).all(axis=1)].tolist())))
    return np.asarray(heavy[maps], dtype=np.int64)


@lru_cache(maxsize=64)
def _matches(labels: tuple[tuple[int, int], ...], bonds: tuple[tuple[int, int], ...]) -> Integers:
    """Matches of a graph on itself, the identity first; RDKit sees the number of neighbours as an isotope."""
    from rdkit import Chem

    graph = Chem.RWMol()
    for number, degree in labels:
        atom = Chem.Atom(number)
        atom.SetIsotope(degree + 1)
        atom.SetNoImplicit(True)
        graph.AddAtom(atom)
    for i, j in bonds:
        graph.AddBond(i, j, Chem.BondType.SINGLE)
    maps = graph.GetSubstructMatches(graph, uniquify=False, maxMatches=MAX_SYMMETRIES)
    identity = tuple(range(len(labels)))
    return np.array([identity, *(each for each in maps if each != identity)], dtype=np.int64)


def _diverse(places: Floats, count: int) -> Integers:
    """At most so many of the shapes (b, m, 3): the first, then always the one that is farthest from all that were taken."""
    taken, nearest = [0], np.full(len(places), np.inf)
    while len(taken) < min(count, len(places)):
        nearest = np.minimum(nearest, _fits(places, places[taken[-1]])[0])
        nearest[taken] = -1.0
        taken.append(int(nearest.argmax()))
    return np.array(taken, dtype=np.int64)


def _fits(places: Floats, reference: Floats) -> tuple[Floats, Floats]:
    """Errors (s,) and rotations (s, 3, 3), to be applied from the right, of places (s, m, 3) on a reference (m, 3).

    Kabsch 1976, 10.1107/S0567739476001873.
    """
    ours, goal = places - places.mean(axis=1, keepdims=True), reference - reference.mean(axis=0)
    left, sizes, right = np.linalg.svd(ours.transpose(0, 2, 1) @ goal)
    sign = np.sign(np.linalg.det(left) * np.linalg.det(right))
    left[:, :, 2] *= sign[:, None]
    square = (ours**2).sum(axis=(1, 2)) + (goal**2).sum() - 2.0 * (sizes[:, 0] + sizes[:, 1] + sign * sizes[:, 2])
    return np.sqrt(np.maximum(square, 0.0) / len(goal)), left @ right


def _relabelled(structure: Structure, positions: Floats, heavy: Integers, instead: Integers, reference: Floats) -> Floats:
    """Positions with each heavy atom at the place of the one that stands for it, its hydrogens along, nearest ones first."""
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    placed = np.array(positions)
    placed[heavy] = positions[instead]
    for atom, other in zip(heavy.tolist(), instead.tolist(), strict=True):
        ours, theirs = (_hydrogens(structure, each) for each in (atom, other))
        rows, columns = linear_sum_assignment(cdist(reference[ours], positions[theirs]) ** 2)
        placed[ours[rows]] = positions[theirs[columns]]
    return placed


def _hydrogens(structure: Structure, atom: int) -> Integers:
    partners = structure.bonds[(structure.bonds == atom).any(axis=1)]
    others = partners[partners != atom]
    return np.sort(others[structure.numbers[others] == 1])


def _misplaced(structure: Structure, positions: Floats, stretched: float, squeezed: float) -> tuple[int, int, float] | None:
    """The first two atoms with too long a bond between them, or too near without one, and their distance, nm; none if all is well."""
    from rdkit.Chem import GetPeriodicTable

    table = GetPeriodicTable()
    radii = np.array([table.GetRcovalent(z) for z in structure.numbers.tolist()]) * NM_PER_ANGSTROM
    apart = np.linalg.norm(positions[:, None] - positions, axis=-1)
    usual = radii[:, None] + radii
    bonded = np.zeros(apart.shape, dtype=np.bool_)
    bonded[tuple(structure.bonds.T)] = True
    bonded |= bonded.T
    wrong = np.where(bonded, apart > stretched * usual, apart < squeezed * usual)
    pairs = np.argwhere(np.triu(wrong, k=1) | np.triu(~np.isfinite(apart), k=1))
    return (int(pairs[0, 0]), int(pairs[0, 1]), float(apart[tuple(pairs[0])])) if len(pairs) else None


def achiral(structure: Structure) -> bool:
    """True if no atom is a stereocentre, so that the mirror image is the same molecule."""
    from rdkit.Chem import FindMolChiralCenters

    return not FindMolChiralCenters(structure.to_rdkit(), includeUnassigned=True, useLegacyImplementation=False)


def _canonical_order(structure: Structure) -> Integers:
    return np.argsort(_ranks(structure.to_rdkit()))


def _ranks(mol: "Mol") -> Integers:
    from rdkit.Chem import CanonicalRankAtoms

    return np.array(list(CanonicalRankAtoms(mol)), dtype=np.int64)


def _beyond(mol: "Mol", ranks: Integers, atom: int, other: int) -> int | None:
    """The heavy neighbour of an atom by which its torsion about the bond to `other` is measured; none at an end, or where atoms are in line."""
    from rdkit.Chem import HybridizationType

    centre = mol.GetAtomWithIdx(atom)
    near: Iterable[int] = (each.GetIdx() for each in centre.GetNeighbors() if each.GetAtomicNum() > 1 and each.GetIdx() != other)
    if centre.GetHybridization() == HybridizationType.SP:
        return None
    return min(near, key=lambda index: int(ranks[index]), default=None)


def _behind(bonds: Integers, second: int, third: int) -> Integers:
    """Atoms on the far side of the bond between `second` and `third`."""
    reached, edge = {third}, [third]
    while edge:
        atom = edge.pop()
        for i, j in bonds[(bonds == atom).any(axis=1)].tolist():
            neighbour = j if i == atom else i
            if neighbour not in reached and {atom, neighbour} != {second, third}:
                reached.add(neighbour)
                edge.append(neighbour)
    return np.array(sorted(reached), dtype=np.int64)
