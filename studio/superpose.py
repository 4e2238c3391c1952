"""Superpose: which atoms two runs have in common, and how the frames of one are laid over the start of the other.

Knows names, bonds and coordinates and must not know runs or screens.
"""

import warnings
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from studio.errors import StructureError
from studio.frame import Frame
from studio.hybrid.whole import MakeWhole
from studio.structure import Floats, Integers, Structure

if TYPE_CHECKING:
    from rdkit.Chem import Mol

FEWEST = 3
"""Atoms that fix a place in space."""
FLAT = 1e-3
"""Atoms that spread less than this across a line, nm, do not fix a turn about it."""
SEARCH_SECONDS = 2
"""Wall time that the search for the largest common part of two molecules may take."""


@dataclass(frozen=True, eq=False)
class Placement:
    """A turn and a shift.

    Args:
        turn: Rotation matrix, (3, 3).
        centre: Where the turn is about, nm.
        goal: Where that point goes, nm.
    """

    turn: Floats
    centre: Floats
    goal: Floats

    def __call__(self, positions: NDArray[np.floating]) -> Floats:
        """Positions elsewhere.

        Args:
            positions: (n, 3), nm.
        """
        return np.asarray((positions - self.centre) @ self.turn.T + self.goal)


class Overlay:
    """Lays frames of one run over the start of another, least squares over the heavy atoms that both have (Kabsch 1976, 10.1107/S0567739476001873).

    Args:
        structure: Of the run whose frames are laid over, at its start.
        reference: The other, where it is.

    Attributes:
        atoms: Atoms of the run that are laid over the other.
        superposes: There are enough common atoms; otherwise the middles come into one place, unturned.
    """

    def __init__(self, structure: Structure, reference: Structure) -> None:
        ours, theirs = matched(structure, reference)
        self.superposes = len(ours) >= FEWEST
        if not self.superposes:
            ours, theirs = _heavy(structure), _heavy(reference)
        self.atoms = ours
        self._whole = MakeWhole(structure.take(ours))
        self._goal = MakeWhole(reference.take(theirs))(reference.positions[theirs], reference.box)
        self._first = self.placement(structure.positions, structure.box)

    def placement(self, positions: NDArray[np.floating], box: NDArray[np.floating] | None = None) -> Placement:
        """What lays these positions over the reference.

        Args:
            positions: (n, 3), nm, in any images.
            box: Box vectors (3, 3), nm, where there is one.
        """
        places = self._whole(positions[self.atoms].astype(np.float64), None if box is None else box.astype(np.float64))
        centre = places.mean(axis=0)
        if not self.superposes or np.linalg.svd(places - centre, compute_uv=False)[1] < FLAT:
            return Placement(np.eye(3), centre, self._goal.mean(axis=0))
        return superposition(places, self._goal)

    def shift(self, frame: Frame) -> Frame:
        """The frame turned and shifted as its start has to be; what it did since is seen.

        Args:
            frame: Of the run.
        """
        return replace(frame, positions=self._first(frame.positions).astype(np.float32))

    def lay(self, frame: Frame) -> Frame:
        """The frame over the reference.

        Args:
            frame: Of the run.
        """
        return replace(frame, positions=self.placement(frame.positions, frame.box)(frame.positions).astype(np.float32))


def superposition(places: Floats, reference: Floats) -> Placement:
    """What lays atoms over a reference, least squares (Kabsch 1976, 10.1107/S0567739476001873); about a line, any turn.

    Args:
        places: (n, 3), nm.
        reference: The same atoms elsewhere, (n, 3), nm.
    """
    from scipy.spatial.transform import Rotation

    centre, goal = places.mean(axis=0), reference.mean(axis=0)
    if len(places) == 1:
        return Placement(np.eye(3), centre, goal)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Optimal rotation is not uniquely")
        turn, _ = Rotation.align_vectors(reference - goal, places - centre)
    return Placement(turn.as_matrix(), centre, goal)


def common_atoms(now: Structure, target: Structure) -> tuple[Integers, Integers]:
    """Atoms that are the same in both, by chain, residue and name: rows in `now` and rows in `target`, in the order of the target.

    Args:
        now: A structure.
        target: Another of the same system, or of a part of it.
    """
    ours = {key: index for index, key in enumerate(_identities(now))}
    pairs = [(ours[key], index) for index, key in enumerate(_identities(target)) if key in ours]
    both: Integers = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def _identities(structure: Structure) -> list[tuple[str, str, str, int, str, int, int]]:
    """What makes each atom the same atom in another structure; equal names are told apart by their order."""
    seen: Counter[tuple[str, str, str]] = Counter()
    residues = []
    for residue in structure.residues:
        key = (residue.chain, residue.number, residue.name)
        residues.append((*key, seen[key]))
        seen[key] += 1
    twins: Counter[tuple[int, str]] = Counter()
    found = []
    for name, number, index in zip(structure.names, structure.numbers.tolist(), structure.residue_index.tolist(), strict=True):
        found.append((*residues[index], name, number, twins[index, name]))
        twins[index, name] += 1
    return found


def matched(one: Structure, other: Structure) -> tuple[Integers, Integers]:
    """Heavy atoms that two structures have in common, water and ions aside: indices in both, in the same order.

    Proteins are matched by chain, residue and name. Small molecules are matched atom by atom if they are the same, and by the
    largest part that they share otherwise.

    Args:
        one: A structure.
        other: Another.
    """
    protein, small = _named(one, other), _small(one, other)
    return np.concatenate([protein[0], small[0]]), np.concatenate([protein[1], small[1]])


def _named(one: Structure, other: Structure) -> tuple[Integers, Integers]:
    """The protein's heavy atoms that have the same names in both."""
    ours, theirs = (_protein_names(each) for each in (one, other))
    both = [(ours[name], atom) for name, atom in theirs.items() if name in ours]
    pairs = np.array(both, dtype=np.int64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def _protein_names(structure: Structure) -> dict[tuple[str, str, str, str], int]:
    named = {}
    for atom in structure.atoms_of("protein").tolist():
        if structure.numbers[atom] > 1:
            residue = structure.residue_of(atom)
            named[residue.chain, residue.number, residue.name, structure.names[atom]] = atom
    return named


def _small(one: Structure, other: Structure) -> tuple[Integers, Integers]:
    """The heavy atoms that the small molecules of both share."""
    ours, theirs = one.atoms_of("ligand"), other.atoms_of("ligand")
    if not len(ours) or not len(theirs):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    mine, his = one.take(ours), other.take(theirs)
    if mine.names == his.names and np.array_equal(mine.numbers, his.numbers) and np.array_equal(mine.bonds, his.bonds):
        heavy = mine.numbers > 1
        return ours[heavy], theirs[heavy]
    first, second = _largest_shared(mine, his)
    return ours[first], theirs[second]


def _largest_shared(one: Structure, other: Structure) -> tuple[Integers, Integers]:
    """Atoms of the largest connected part that two molecules share."""
    from rdkit import Chem
    from rdkit.Chem import rdFMCS

    try:
        mols = [Chem.RemoveHs(_numbered(each)) for each in (one, other)]
    except (StructureError, ValueError):  # a molecule without known bonds: nothing can be said
        return np.empty(0, np.int64), np.empty(0, np.int64)
    found = rdFMCS.FindMCS(mols, timeout=SEARCH_SECONDS, ringMatchesRingOnly=True, completeRingsOnly=True)
    pattern = Chem.MolFromSmarts(found.smartsString)
    if pattern is None or not found.numAtoms:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    first, second = (np.array([mol.GetAtomWithIdx(atom).GetIntProp("place") for atom in mol.GetSubstructMatch(pattern)], dtype=np.int64) for mol in mols)
    return (first, second) if len(first) == len(second) else (first[:0], second[:0])


def _numbered(structure: Structure) -> "Mol":
    mol = structure.to_rdkit()
    for atom in mol.GetAtoms():
        atom.SetIntProp("place", atom.GetIdx())
    return mol


def _heavy(structure: Structure) -> Integers:
    """Heavy atoms of what it is about; all atoms where there are none."""
    solute = np.concatenate([structure.atoms_of("ligand"), structure.atoms_of("protein")])
    heavy = solute[structure.numbers[solute] > 1]
    return np.asarray(heavy if len(heavy) else np.arange(len(structure)), dtype=np.int64)
