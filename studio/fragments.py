"""Fragments: parts of a small molecule that stand for it - its rings and chains, and what matters around one bond - as molecules of their own.

Knows bonds and places (RDKit fills valences) and must not know energies.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from studio.conformers import rotatable
from studio.hybrid.boundary import Part, cap
from studio.structure import Floats, Integers, Structure

if TYPE_CHECKING:
    from rdkit.Chem import Atom, Bond, Mol, RWMol

AMIDE = "[NX3]-[CX3]=[O,S]"
"""First two atoms: a bond that is not cut."""


@dataclass(frozen=True, eq=False)
class Piece:
    """A ring system or a chain of a molecule, capped with hydrogens where it was cut.

    Args:
        name: For people: what it is, and its first heavy atom.
        part: The atoms, and where the caps go.
    """

    name: str
    part: Part

    @property
    def structure(self) -> Structure:
        """The capped piece, a molecule."""
        return self.part.structure

    def places(self, positions: Floats) -> Floats:
        """Atoms and caps of the piece in geometries of the whole molecule.

        Args:
            positions: (b, n, 3), nm.
        """
        return np.array([self.part.cap(place[self.part.seen]) for place in positions])


def pieces(structure: Structure) -> tuple[Piece, ...]:
    """The rings of a molecule and the chains between them, which share no atom: rotatable bonds that end in a ring are cut, amides excepted.

    A molecule without such bonds is one piece.

    Args:
        structure: One molecule with hydrogens.
    """
    from rdkit.Chem import MolFromSmarts

    mol = structure.to_rdkit()
    amides = {frozenset(match[:2]) for match in mol.GetSubstructMatches(MolFromSmarts(AMIDE))}
    turning = {frozenset(pair) for pair in rotatable(structure)[:, 1:3].tolist()} - amides
    cut = {pair for pair in turning if any(mol.GetAtomWithIdx(atom).IsInRing() for atom in pair)}
    kept = np.array([frozenset(bond) not in cut for bond in structure.bonds.tolist()], dtype=np.bool_)
    apart = replace(structure, bonds=structure.bonds[kept], bond_orders=structure.bond_orders[kept]).molecules
    return tuple(Piece(_name(structure, mol, atoms), cap(structure, atoms)) for atoms in apart)


def around(structure: Structure, torsion: Integers) -> tuple[Structure, Integers]:
    """The molecule that is left when all is cut away that hardly matters for one torsion; and the torsion's atoms in it, (4,).

    Kept are the bond with all its neighbours, whole rings, whole multiple bonds, heteroatoms on unsaturated atoms, and acyl groups
    on heteroatoms, so that only single bonds outside rings are cut, and no conjugation with a heteroatom. What is cut off a ring or a saturated
    carbon is replaced by H; off a heteroatom, a carbonyl or an alkene by CH3, so that no hydrogen-bond donor, acid or aldehyde is made.

    Args:
        structure: One molecule with hydrogens.
        torsion: Its four atoms; their bond is in no ring.
    """
    from rdkit import Chem

    mol = Chem.RWMol(structure.to_rdkit())
    for atom in mol.GetAtoms():
        atom.SetIntProp("was", atom.GetIdx())
    if not _cut(mol, _grown(mol, torsion.tolist())):
        return structure, torsion
    Chem.SanitizeMol(mol)
    whole = Chem.AddHs(mol, addCoords=True)
    new = {atom.GetIntProp("was"): atom.GetIdx() for atom in whole.GetAtoms() if atom.HasProp("was")}
    names = {now: structure.names[was] for was, now in new.items()}
    made = Structure.from_rdkit(whole, title=f"a fragment of {structure.title or 'the molecule'}")
    named = replace(made, names=tuple(names.get(index, f"HX{index + 1}") for index in range(len(made))))
    return named, np.array([new[atom] for atom in torsion.tolist()], dtype=np.int64)


def _cut(mol: "RWMol", kept: set[int]) -> bool:
    """Take away what is not kept, and let hydrogens be added where it was; false if there is nothing to take."""
    leaving = _leaving(mol, kept)
    methyls = {far for atom, far in leaving if _wants_methyl(mol.GetAtomWithIdx(atom))}
    away = {atom.GetIdx() for atom in mol.GetAtoms() if atom.GetAtomicNum() > 1} - kept - methyls
    for atom, far in leaving:
        # Hydrogens are added on what is kept, or on the methyl in its place.
        open_end = mol.GetAtomWithIdx(far if far in methyls else atom)
        open_end.SetNoImplicit(False)
        if far in methyls:
            open_end.SetFormalCharge(0)
            open_end.SetIsAromatic(False)
    loose = {near.GetIdx() for index in away | methyls for near in mol.GetAtomWithIdx(index).GetNeighbors() if near.GetAtomicNum() == 1}
    for index in sorted(away | loose, reverse=True):
        mol.RemoveAtom(index)
    return bool(away)


def _name(structure: Structure, mol: "Mol", atoms: Integers) -> str:
    """Such as `ring of C5`."""
    heavy = [int(atom) for atom in atoms if structure.numbers[atom] > 1]
    ring = [atom for atom in heavy if mol.GetAtomWithIdx(atom).IsInRing()]
    return f"ring of {structure.names[ring[0]]}" if ring else f"chain of {structure.names[heavy[0]]}"


def _grown(mol: "Mol", torsion: list[int]) -> set[int]:
    """Heavy atoms that are kept as they are."""
    near = [atom for centre in torsion[1:3] for atom in mol.GetAtomWithIdx(centre).GetNeighbors() if atom.GetAtomicNum() > 1]
    kept, edge = {atom.GetIdx() for atom in near}, near
    while edge:
        atom = edge.pop()
        for bond in atom.GetBonds():
            other = bond.GetOtherAtom(atom)
            if other.GetAtomicNum() > 1 and other.GetIdx() not in kept and _belongs(bond, atom, other):
                kept.add(other.GetIdx())
                edge.append(other)
    return kept


def _belongs(bond: "Bond", atom: "Atom", other: "Atom") -> bool:
    """Whether what is beyond a bond of a kept atom is kept, too."""
    if bond.IsInRing() or bond.GetBondTypeAsDouble() != 1.0:
        return True
    if other.GetAtomicNum() != 6:
        return atom.GetAtomicNum() != 6 or _unsaturated(atom)
    return atom.GetAtomicNum() != 6 and any(each.GetBondTypeAsDouble() == 2.0 and each.GetOtherAtom(other).GetAtomicNum() != 6 for each in other.GetBonds())


def _unsaturated(atom: "Atom") -> bool:
    return any(bond.GetBondTypeAsDouble() != 1.0 for bond in atom.GetBonds())


def _wants_methyl(atom: "Atom") -> bool:
    """A cap of carbon: on heteroatoms, and on unsaturated carbon outside rings."""
    return atom.GetAtomicNum() != 6 or (_unsaturated(atom) and not atom.IsInRing())


def _leaving(mol: "Mol", kept: set[int]) -> list[tuple[int, int]]:
    """Bonds from kept atoms to heavy ones that are not."""
    pairs = [(atom, near) for atom in sorted(kept) for near in mol.GetAtomWithIdx(atom).GetNeighbors()]
    return [(atom, near.GetIdx()) for atom, near in pairs if near.GetAtomicNum() > 1 and near.GetIdx() not in kept]
