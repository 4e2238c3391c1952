"""Protonation: the state in which a small molecule mostly is at some pH.

Rules and pKa are those of Dimorphite-DL (Ropp 2019, 10.1186/s13321-019-0336-9), which looks at each group by itself and
knows only the mean of its class. Two things are decided more carefully here: a hydrogen is taken off only where the class
is sure, and of two bases next to each other only one is charged. Speaks RDKit molecules; must not know files.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from studio import chem
from studio.errors import StructureError
from studio.io.repairs import Note
from studio.structure import Structure

if TYPE_CHECKING:
    from rdkit.Chem import BondType, Mol

BROAD = 2.5
"""Classes whose pKa scatter more than this (standard deviation) say nothing about a pH within it: phenols of all kinds, for example."""


@dataclass(frozen=True)
class _Group:
    """An ionisable group: the name of its class, mean and standard deviation of its pKa, and its heavy atoms with those around."""

    name: str
    mean: float
    deviation: float
    atoms: frozenset[int]


@dataclass(frozen=True)
class _Typical:
    """Charge and number of hydrogens by heavy atom, bond types by pair, and whether an atom is aromatic, at some pH."""

    atoms: dict[int, tuple[int, int, bool]]
    bonds: dict[tuple[int, int], "BondType"]


def at_ph(mol: "Mol", ph: float) -> tuple["Mol", list[str]]:
    """The molecule in its typical protonation state, and a sentence for each atom that changed.

    Heavy atoms keep their order and places; hydrogens of atoms that changed are placed anew.

    Args:
        mol: Sanitized, hydrogens explicit, with or without a conformer.
        ph: The pH.

    Raises:
        StructureError: The state that the rules give is chemically impossible.
    """
    from rdkit import Chem

    typical = _typical(mol, ph)
    groups = _groups(mol)
    changed = _sure(mol, typical, groups, ph)
    if not changed:
        return mol, []
    sentences = [_change(mol, index, typical.atoms[index], groups, ph) for index in changed]
    edited = Chem.RWMol(mol)
    for (i, j), kind in typical.bonds.items():
        bond = edited.GetBondBetweenAtoms(i, j)
        bond.SetBondType(kind)
        bond.SetIsAromatic(kind == Chem.BondType.AROMATIC)
    for index, (charge, hydrogens, aromatic) in typical.atoms.items():
        atom = edited.GetAtomWithIdx(index)
        atom.SetIsAromatic(aromatic)
        if index in changed:
            atom.SetFormalCharge(charge)
            atom.SetNoImplicit(True)
            atom.SetNumExplicitHs(hydrogens)
    _drop_hydrogens(edited, changed)
    chem.check_valence(edited)
    placed = mol.GetNumConformers() > 0
    whole = Chem.AddHs(edited.GetMol(), addCoords=placed)
    if placed:
        Chem.AssignStereochemistryFrom3D(whole)
    return whole, sentences


def _sure(mol: "Mol", typical: _Typical, groups: dict[int, _Group], ph: float) -> list[int]:
    """Atoms that change and may."""
    changed = [index for index, state in typical.atoms.items() if state[:2] != _state(mol, index)[:2]]
    crowded = _crowded(mol, typical, groups)
    return [index for index in changed if index not in crowded and not (_loses(mol, typical, index) and _in_doubt(groups.get(index), ph))]


def _loses(mol: "Mol", typical: _Typical, index: int) -> bool:
    """True if an atom gives up hydrogens."""
    return typical.atoms[index][1] < _state(mol, index)[1]


def _in_doubt(group: _Group | None, ph: float) -> bool:
    """True for groups of a broad class with its mean near the pH."""
    return group is not None and group.deviation > BROAD and abs(group.mean - ph) < group.deviation


def _crowded(mol: "Mol", typical: _Typical, groups: dict[int, _Group]) -> set[int]:
    """Bases that stay as they are because a stronger one next to them, at most one bond away, is charged."""
    charged = [index for index in groups if typical.atoms.get(index, (0, 0, False))[0] > 0]
    # What is drawn charged comes first, then the stronger base.
    charged.sort(key=lambda index: (-_state(mol, index)[0], -groups[index].mean))
    taken: list[int] = []
    for index in charged:
        if not any(_touch(mol, groups[index], groups[other]) for other in taken):
            taken.append(index)
    return set(charged) - set(taken)


def _touch(mol: "Mol", one: _Group, other: _Group) -> bool:
    """True if two groups share an atom or a bond joins them."""
    return any(a == b or mol.GetBondBetweenAtoms(a, b) is not None for a in one.atoms for b in other.atoms)


def _drop_hydrogens(mol: "Mol", atoms: list[int]) -> None:
    """Take the explicit hydrogens off these atoms."""
    doomed = [n.GetIdx() for i in atoms for n in mol.GetAtomWithIdx(i).GetNeighbors() if n.GetAtomicNum() == 1]
    for index in sorted(doomed, reverse=True):
        mol.RemoveAtom(index)


def _state(mol: "Mol", index: int) -> tuple[int, int, bool]:
    """Charge, number of hydrogens and aromaticity of an atom."""
    atom = mol.GetAtomWithIdx(index)
    return atom.GetFormalCharge(), atom.GetTotalNumHs(includeNeighbors=True), atom.GetIsAromatic()


def _mapped(mol: "Mol") -> list[str]:
    """SMILES of each fragment of more than one heavy atom, each atom labelled with its index + 1."""
    from rdkit import Chem

    labelled = Chem.Mol(mol)
    for atom in labelled.GetAtoms():
        atom.SetAtomMapNum(atom.GetIdx() + 1 if atom.GetAtomicNum() > 1 else 0)
    fragments = Chem.GetMolFrags(Chem.RemoveAllHs(labelled), asMols=True)
    return [Chem.MolToSmiles(fragment) for fragment in fragments if fragment.GetNumAtoms() > 1]


def _typical(mol: "Mol", ph: float) -> _Typical:
    """What Dimorphite-DL makes of the molecule at this pH; single atoms (ions) stay as they are."""
    from dimorphite_dl import protonate_smiles
    from dimorphite_dl.protonate.detect import ProtonationSiteDetectionError
    from dimorphite_dl.protonate.run import ProtonationError
    from rdkit import Chem, rdBase

    typical = _Typical({}, {})
    for smiles in _mapped(mol):
        try:
            # No width and no precision: the one state on the right side of each mean pKa.
            states = protonate_smiles(smiles, ph_min=ph, ph_max=ph, precision=0.0, max_variants=1)
        except (ValueError, RuntimeError, AssertionError, ProtonationError, ProtonationSiteDetectionError) as error:
            raise StructureError(f"The protonation at pH {ph:g} cannot be worked out ({error}). Draw the state that you mean.") from error
        with rdBase.BlockLogs():
            template = Chem.MolFromSmiles(states[0]) if states else None
        places = _places(mol, template) if template is not None else None
        if template is None or places is None:
            continue
        typical.atoms.update({place: _state(template, index) for index, place in places.items()})
        pairs = ((places[b.GetBeginAtomIdx()], places[b.GetEndAtomIdx()], b.GetBondType()) for b in template.GetBonds())
        typical.bonds.update({(i, j): kind for i, j, kind in pairs})
    return typical


def _places(mol: "Mol", template: "Mol") -> dict[int, int] | None:
    """Atom of the molecule for each of the template; none if the two do not fit.

    Charged atoms lose their label on the way; they are found again by element and neighbours.
    """
    places = {atom.GetIdx(): atom.GetAtomMapNum() - 1 for atom in template.GetAtoms() if atom.GetAtomMapNum()}
    for atom in template.GetAtoms():
        if atom.GetIdx() not in places:
            around = [places[n.GetIdx()] for n in atom.GetNeighbors() if n.GetIdx() in places]
            found = _free_neighbour(mol, atom.GetAtomicNum(), around, set(places.values()))
            if found is None:
                return None
            places[atom.GetIdx()] = found
    fits = all(mol.GetBondBetweenAtoms(places[b.GetBeginAtomIdx()], places[b.GetEndAtomIdx()]) is not None for b in template.GetBonds())
    return places if fits else None


def _free_neighbour(mol: "Mol", element: int, around: list[int], taken: set[int]) -> int | None:
    """An atom of this element that is bonded to all of `around` and not taken yet, or none."""
    near = {n.GetIdx() for i in around for n in mol.GetAtomWithIdx(i).GetNeighbors() if n.GetAtomicNum() == element}
    bonded = (index for index in sorted(near - taken) if all(mol.GetBondBetweenAtoms(index, i) is not None for i in around))
    return next(bonded, None)


def _groups(mol: "Mol") -> dict[int, _Group]:
    """The ionisable groups that Dimorphite-DL finds, by the atom that takes or gives the hydrogen."""
    from dimorphite_dl.mol import MoleculeRecord
    from dimorphite_dl.protonate.detect import ProtonationSiteDetectionError, ProtonationSiteDetector

    groups: dict[int, _Group] = {}
    for smiles in _mapped(mol):
        try:
            _, sites = ProtonationSiteDetector().find_sites(MoleculeRecord(smiles=smiles))
        except (ValueError, AssertionError, ProtonationSiteDetectionError):
            # Without names and pKa the state itself still stands.
            continue
        for site in sites:
            places = {match: site.mol.GetAtomWithIdx(match).GetAtomMapNum() - 1 for match in site.idxs_match}
            heavy = frozenset(place for place in places.values() if place >= 0)
            name = site.name.strip("*").replace("_", " ").lower()
            for pka in site.pkas:
                place = places[site.idxs_match[pka.idx_site]]
                if place >= 0:
                    around = {n.GetIdx() for n in mol.GetAtomWithIdx(place).GetNeighbors() if n.GetAtomicNum() > 1}
                    groups.setdefault(place, _Group(name, pka.mean, pka.stdev, heavy | around))
    return groups


def _change(mol: "Mol", index: int, state: tuple[int, int, bool], groups: dict[int, _Group], ph: float) -> str:
    """What happens to one atom at this pH."""
    charge, hydrogens, _ = _state(mol, index)
    gained = state[1] - hydrogens
    label = f"{mol.GetAtomWithIdx(index).GetSymbol()}{index + 1}"
    if not gained:
        return f"{label} is written with charge {state[0]:+d} instead of {charge:+d}."
    group = groups.get(index)
    pka = f", group '{group.name}' with pKa {group.mean:.1f} ± {group.deviation:.1f}" if group else ""
    verb = f"takes up {gained}" if gained > 0 else f"gives up {-gained}"
    return f"At pH {ph:g} {label} {verb} hydrogen{'s' * (abs(gained) > 1)} and has charge {state[0]:+d} (rules of Dimorphite-DL{pka})."


def protonated(structure: Structure, ph: float) -> Structure:
    """A small molecule in its typical state at a pH, heavy atoms where they were, with notes about what changed.

    Args:
        structure: One residue, bond orders known.
        ph: The pH.

    Raises:
        StructureError: The state is chemically impossible.
    """
    mol, sentences = at_ph(structure.to_rdkit(), ph)
    if not sentences:
        return structure
    changed = Structure.from_rdkit(mol, title=structure.title, residue=structure.residues[0].name)
    notes = (Note(sentence, ("protonation", "as_drawn")) for sentence in sentences)
    return replace(changed, residues=structure.residues, notes=structure.notes).with_notes(*notes)
