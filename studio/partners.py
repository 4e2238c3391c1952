"""Partners: who binds whom - the ligand, what it binds to, and the water around them.

Knows molecules and places. Must not know force fields, potentials or energies. What is no pair of partners (a ligand that is
bonded to its protein, lies in another frame, or is alone) is refused here, in a sentence.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from studio.errors import StructureError, UnsupportedError
from studio.forcefield.pocket import Capped, cut_residues, residues_near
from studio.structure import Flags, Floats, Integers, Structure

FAR, CLASH, METAL = 0.6, 0.2, 0.5
"""No atom of the ligand this close to its partner: not bound; heavy atoms closer than the second overlap; a metal within the third matters, all nm."""
MAIN = 2
"""A molecule with so many times the heavy atoms of any other chosen one is the ligand that is meant."""
SALT = frozenset({"NA", "CL", "K", "LI", "RB", "CS", "F", "BR", "I", "NA+", "CL-", "K+"})
"""Ions that wander; the others belong to what the ligand binds to."""


@dataclass(frozen=True, eq=False)
class Row:
    """What one row of a decomposition is: a residue or a small molecule of the partner, or all water, or all salt.

    Args:
        name: For people, such as VAL A981.
        atoms: Of the whole structure.
        residue: Its index in the structure; -1 for water and salt.
    """

    name: str
    atoms: Integers
    residue: int = -1


@dataclass(frozen=True, eq=False)
class Partners:
    """A ligand and what it binds to.

    Args:
        structure: The whole.
        ligand: Its atoms, sorted.
        receptor: Atoms of protein, host, cofactors and metals, sorted.
        notes: What to know about this pair, sentences.
    """

    structure: Structure
    ligand: Integers
    receptor: Integers
    notes: tuple[str, ...] = ()

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """Each residue of the receptor in its order, then water and salt where there are any; every atom but the ligand's is in one row."""
        index = self.structure.residue_index
        parts = [Row(str(self.structure.residues[k]), self.receptor[index[self.receptor] == k], k) for k in np.unique(index[self.receptor]).tolist()]
        water = self.structure.atoms_of("water")
        rest = np.setdiff1d(np.arange(len(self.structure)), np.concatenate([self.ligand, self.receptor, water]))
        return (*parts, *(Row(name, atoms) for name, atoms in (("water", water), ("salt", rest)) if len(atoms)))

    @cached_property
    def wandering(self) -> Integers:
        """Molecules of water and salt that may be in any image of a box: for each of their atoms the first atom of its molecule, (2, m)."""
        solute = np.zeros(len(self.structure), dtype=np.bool_)
        solute[self.ligand] = solute[self.receptor] = True
        free = [(atoms, np.full(len(atoms), atoms[0])) for atoms in self.structure.molecules if not solute[atoms[0]]]
        return np.concatenate([np.array(pair) for pair in free], axis=1) if free else np.zeros((2, 0), dtype=np.int64)

    def nearest(self, positions: Floats, box: Floats | None) -> Floats:
        """Positions with every water and ion in the image that lies nearest to the ligand.

        Args:
            positions: (n, 3), nm; ligand and receptor whole and beside each other.
            box: Vectors (3, 3), nm, or none.
        """
        if box is None:
            return positions
        moved, (atoms, firsts) = np.array(positions, dtype=np.float64), self.wandering
        away = moved[firsts] - moved[self.ligand].mean(axis=0)
        moved[atoms] -= np.rint(away @ np.linalg.inv(box)) @ box
        return moved

    def cut(self, reach: float) -> tuple["Partners", Capped]:
        """Ligand and receptor alone, the protein cut to residues with an atom within reach of the ligand; and how that was cut.

        Other molecules of the receptor stay where they touch the reach, and so do their metals.

        Args:
            reach: nm.
        """
        whole = self.structure
        near = residues_near(whole, whole.positions[self.ligand], reach) & self._receptor_residues
        others = [atoms for atoms in self._small if gap(whole.positions[atoms], whole.positions[self.ligand]) <= reach]
        capped = cut_residues(whole, near, np.concatenate([self.ligand, *others]))
        bare = replace(capped.structure, box=None, droplet=None, fixed=np.zeros(len(capped.atoms), dtype=np.bool_))
        ligand = np.flatnonzero(np.isin(capped.atoms, self.ligand))
        rest = np.setdiff1d(np.arange(len(bare)), ligand)
        if not len(rest):
            raise StructureError(f"Nothing of the receptor lies within {10 * reach:g} angstrom of the ligand. Choose a larger reach.")
        return Partners(bare, ligand, rest, self.notes), replace(capped, structure=bare)

    @cached_property
    def _receptor_residues(self) -> Flags:
        """True for residues of the receptor: a peptide may be the ligand."""
        flags = np.zeros(len(self.structure.residues), dtype=np.bool_)
        flags[np.unique(self.structure.residue_index[self.receptor])] = True
        return flags

    @cached_property
    def _small(self) -> list[Integers]:
        """Molecules of the receptor that are no protein."""
        inside, protein = set(self.receptor.tolist()), set(self.structure.atoms_of("protein").tolist())
        return [atoms for atoms in self.structure.molecules if int(atoms[0]) in inside and not protein & set(atoms.tolist())]


def partners(structure: Structure, chosen: Integers, *, apart: bool = False) -> Partners:
    """Find the ligand among the chosen atoms, and what it binds to.

    Args:
        structure: The whole.
        chosen: Atoms of the ligand; of several molecules, the largest by far, and of a host and its guest alone, the guest.
        apart: The two may lie far from each other.

    Raises:
        UnsupportedError: The ligand is bonded to something else, or it is not clear which molecule is meant.
        StructureError: There is nothing that it could bind to, or it lies far away from that.
    """
    ligand = _molecule(structure, chosen)
    receptor = _receptor(structure, ligand)
    if not len(receptor):
        raise StructureError(
            "There is nothing that this ligand could bind to: expected a protein or a host beside it, found none. "
            "Open a complex, or choose one molecule (or one chain) of it as the ligand."
        )
    return Partners(structure, ligand, receptor, tuple(_remarks(structure, ligand, receptor, apart)))


def whole_molecules(structure: Structure, chosen: Integers, why: str) -> list[Integers]:
    """The molecules that the chosen atoms are, the one with most heavy atoms first.

    Args:
        structure: The whole.
        chosen: Atoms of the ligand.
        why: What is wrong with a part of a molecule, a sentence.

    Raises:
        UnsupportedError: They are only a part of one.
    """
    atoms = set(chosen.tolist())
    touched = [piece for piece in structure.molecules if atoms & set(piece.tolist())]
    cut = next((piece for piece in touched if not atoms >= set(piece.tolist())), None)
    if cut is not None:
        raise UnsupportedError(
            f"The ligand has to be a whole molecule; the atoms chosen are a part of what {structure.residue_of(int(cut[0]))} belongs to. {why}"
        )
    return sorted(touched, key=lambda piece: -_heavy(structure, piece))


def check_one(structure: Structure, molecules: Sequence[Integers]) -> None:
    """Refuse several molecules of which none is the ligand that is meant: by far the largest.

    Args:
        structure: The whole.
        molecules: The largest first.

    Raises:
        UnsupportedError: They are alike.
    """
    sizes = [_heavy(structure, piece) for piece in molecules]
    if len(sizes) > 1 and sizes[0] < MAIN * sizes[1]:
        counts = ", ".join(map(str, sizes[:8]))
        raise UnsupportedError(f"Expected one ligand, got {len(sizes)} molecules of {counts} heavy atoms. Choose one, for example by its residue or chain.")


def _heavy(structure: Structure, atoms: Integers) -> int:
    return int((structure.numbers[atoms] > 1).sum())


def _molecule(structure: Structure, chosen: Integers) -> Integers:
    """The molecule that is meant: by far the largest, or the guest of a pair that is alone.

    Raises:
        UnsupportedError: A part of a molecule, or several that are alike.
    """
    why = "A ligand that is bonded to its protein has no interaction energy of its own: choose a ligand that is not."
    molecules = whole_molecules(structure, chosen, why)
    check_one(structure, molecules)
    pair = len(molecules) == 2 and not len(_receptor(structure, np.concatenate(molecules)))
    return np.sort(molecules[1 if pair else 0])


def _receptor(structure: Structure, ligand: Integers) -> Integers:
    """All that a ligand could bind to: everything else but water and salt."""
    salt = np.array([residue.kind == "ion" and residue.name.upper() in SALT for residue in structure.residues], dtype=np.bool_)
    lost = np.concatenate([ligand, structure.atoms_of("water"), np.flatnonzero(salt[structure.residue_index])])
    return np.setdiff1d(np.arange(len(structure)), lost)


def _remarks(structure: Structure, ligand: Integers, receptor: Integers, apart: bool) -> list[str]:
    """Sentences about the pose.

    Raises:
        StructureError: The ligand is not beside its partner.
    """
    heavy = structure.numbers > 1
    apart_by = gap(structure.positions[ligand[heavy[ligand]]], structure.positions[receptor[heavy[receptor]]])
    if apart_by > FAR and not apart:
        raise StructureError(
            f"The ligand is {10 * apart_by:.1f} angstrom away from what it should bind to; expected a pose in contact. "
            "Its file seems to have another frame than that of the protein: take the pose from the same docking or crystal structure."
        )
    notes = []
    if apart_by < CLASH:
        notes.append(f"The ligand overlaps its partner ({10 * apart_by:.1f} angstrom between heavy atoms): relax the pose before you believe an energy.")
    metals = [atom for atom in receptor.tolist() if structure.residue_of(atom).kind == "ion"]
    near = [structure.residue_of(atom) for atom in metals if gap(structure.positions[[atom]], structure.positions[ligand]) < METAL]
    if near:
        notes.append(f"{near[0]} lies beside the ligand: a metal is a charged ball in this force field, and its share of an energy can be wrong by far.")
    return notes


def gap(some: Floats, others: Floats) -> float:
    """The smallest distance between two sets of points, nm.

    Args:
        some: Positions, (n, 3), nm.
        others: Likewise.
    """
    from scipy.spatial import cKDTree

    return float(cKDTree(others).query(some)[0].min())
