"""Pocket: a ligand and its neighbourhood cut out of a complex, small enough to watch on two CPU cores.

Whole residues are kept; those near the ligand move, a shell around them is frozen, the rest is left out. Where a chain is
cut, the neighbouring residues become ACE and NME caps made of their own atoms, so that the result is a complete molecule
and is parametrised like any other. Works on structures only.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import cKDTree

from studio.errors import StructureError
from studio.structure import Flags, Floats, Integers, Residue, Structure

CARBON_HYDROGEN = 0.109
NITROGEN_HYDROGEN = 0.101
"""Bond lengths of the hydrogens of caps, nm."""
MAX_FILLED_GAP = 2
"""Gaps of up to so many residues are kept whole: two caps would not fit."""


@dataclass(frozen=True)
class Cut:
    """A pocket before it is solvated.

    Args:
        structure: Kept atoms, frozen where they are not near the ligand.
        centre: Mean position of the ligand, (3,), nm.
        radius: Of the droplet, nm.
        left_out: Number of atoms of the complex that are not in it.
    """

    structure: Structure
    centre: Floats
    radius: float
    left_out: int


@dataclass(frozen=True, eq=False)
class Capped:
    """Residues cut out of a structure, with caps where their chains were cut.

    Args:
        structure: What was cut out, a complete molecule each.
        atoms: Where each of its atoms is in the whole structure, (n,).
        caps: True for atoms of caps, (n,).
        hung: Rows of `atoms` that became a cap's hydrogens, (h,).
        anchors: Atom of the whole structure on which each of them hangs, (h,).
        lengths: Of the bonds by which they hang, (h,), nm.
    """

    structure: Structure
    atoms: Integers
    caps: Flags
    hung: Integers
    anchors: Integers
    lengths: Floats

    def place(self, positions: Floats) -> Floats:
        """Positions of what was cut out, (n, 3), nm, in another frame of the whole.

        Args:
            positions: Of the whole structure, (N, 3), nm.
        """
        placed = np.asarray(positions[self.atoms], dtype=np.float64)
        away = placed[self.hung] - positions[self.anchors]
        placed[self.hung] = positions[self.anchors] + (self.lengths / np.linalg.norm(away, axis=1))[:, None] * away
        return placed


def cut_residues(structure: Structure, kept: Flags, others: Integers) -> Capped:
    """Cut residues out of a structure, and cap the chains that this cuts; gaps of one or two residues are kept.

    Args:
        structure: All atoms, hydrogens complete.
        kept: True for residues of proteins that are wanted, (residues,).
        others: Atoms of other molecules that are kept as they are.
    """
    kept = _filled(structure, _with_disulfides(structure, kept))
    changed, caps, hung = _capped(structure, kept)
    inside = np.isin(structure.residue_index, np.flatnonzero(kept)) | caps
    inside[others] = True
    atoms = np.flatnonzero(inside)
    rows, anchors = (np.array([pair[part] for pair in hung], dtype=np.int64) for part in (0, 1))
    lengths = np.array([length for _, _, length in hung], dtype=np.float64)
    return Capped(changed.take(atoms), atoms, caps[atoms], np.searchsorted(atoms, rows), anchors, lengths)


def residues_near(structure: Structure, points: Floats, distance: float) -> Flags:
    """True for residues of proteins with an atom within a distance of a point, (residues,).

    Args:
        structure: Where to look.
        points: (p, 3), nm.
        distance: nm.
    """
    protein = structure.atoms_of("protein")
    close = cKDTree(points).query(structure.positions[protein], distance_upper_bound=distance)[0] <= distance
    near = np.zeros(len(structure.residues), dtype=np.bool_)
    near[structure.residue_index[protein[close]]] = True
    return near


def cut_pocket(structure: Structure, mobile: float, shell: float, droplet: float) -> Cut:
    """Cut the neighbourhood of the ligand out of a complex; water and ions of the complex are left out.

    Args:
        structure: Protein and one small molecule, hydrogens complete.
        mobile: Residues with an atom within this distance of the ligand move, nm.
        shell: Residues with an atom within this distance of whatever moves are kept, frozen, nm.
        droplet: How far the droplet reaches beyond the ligand's outermost atom, nm.

    Raises:
        StructureError: No small molecule or no protein.
    """
    ligand, protein = structure.atoms_of("ligand"), structure.atoms_of("protein")
    if not ligand.size or not protein.size:
        raise StructureError(f"A pocket needs a protein and a small molecule; this structure has {len(protein)} protein and {len(ligand)} ligand atoms.")
    centre = structure.positions[ligand].mean(axis=0)
    radius = float(np.linalg.norm(structure.positions[ligand] - centre, axis=1).max()) + droplet
    moving = residues_near(structure, structure.positions[ligand], mobile)
    movers = np.isin(structure.residue_index, np.flatnonzero(moving))
    movers[ligand] = True
    kept = moving | residues_near(structure, structure.positions[movers], shell) | residues_near(structure, centre[None], radius)
    kept = _filled(structure, _with_disulfides(structure, kept))
    capped, cap_atoms, _ = _capped(structure, kept)
    inside = np.isin(structure.residue_index, np.flatnonzero(kept)) | cap_atoms
    inside[ligand] = True
    cut = replace(capped, fixed=~movers).take(np.flatnonzero(inside))
    return Cut(cut, centre, radius, len(structure) - len(cut))


def _with_disulfides(structure: Structure, kept: Flags) -> Flags:
    """`kept` and the other halves of its disulfide bridges."""
    kept = kept.copy()
    sulfur = (structure.numbers[structure.bonds] == 16).all(axis=1)
    for i, j in structure.residue_index[structure.bonds[sulfur]].tolist():
        kept[i] = kept[j] = kept[i] or kept[j]
    return kept


def _peptide_bonds(structure: Structure) -> Integers:
    """Pairs of residues joined by a C-N bond, the one with the C first, (p, 2)."""
    pairs = []
    for i, j in structure.bonds.tolist():
        a, b = int(structure.residue_index[i]), int(structure.residue_index[j])
        if a != b and {structure.names[i], structure.names[j]} == {"C", "N"}:
            pairs.append((a, b) if structure.names[i] == "C" else (b, a))
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _filled(structure: Structure, kept: Flags) -> Flags:
    """`kept` with short gaps closed, and with the file's own caps where it reaches them."""
    kept = kept.copy()
    following = dict(_peptide_bonds(structure).tolist())
    for start in [a for a, b in following.items() if kept[a] and not kept[b]]:
        gap: list[int] = []
        residue = following.get(start)
        while residue is not None and not kept[residue] and len(gap) <= MAX_FILLED_GAP:
            gap.append(residue)
            residue = following.get(residue)
        if len(gap) <= MAX_FILLED_GAP:
            kept[gap] = True
    # A chain that begins just before the first kept residue has no room for a cap either.
    for first, second in following.items():
        if kept[second] and structure.residues[first].name == "ACE":
            kept[first] = True
    return kept


def _capped(structure: Structure, kept: Flags) -> tuple[Structure, Flags, list[tuple[int, int, float]]]:
    """The structure with caps written over the residues next to cuts, which atoms these caps have, and which of them hang how far from which others."""
    numbers, positions, charges = structure.numbers.copy(), structure.positions.copy(), structure.formal_charges.copy()
    names, residues = list(structure.names), list(structure.residues)
    caps = np.zeros(len(structure), dtype=np.bool_)
    hung: list[tuple[int, int, float]] = []
    neighbours = _neighbours(structure)
    for before, after in _peptide_bonds(structure).tolist():
        if kept[before] == kept[after]:
            continue
        kind, residue = ("ACE", before) if kept[after] else ("NME", after)
        here = {structure.names[atom]: int(atom) for atom in np.flatnonzero(structure.residue_index == residue)}
        for atom, name, anchor in _cap_atoms(kind, here, neighbours):
            caps[atom], names[atom], charges[atom] = True, name, 0
            if anchor is not None:
                length = NITROGEN_HYDROGEN if anchor == here["N"] else CARBON_HYDROGEN
                hung.append((atom, anchor, length))
                away = structure.positions[atom] - structure.positions[anchor]
                numbers[atom], positions[atom] = 1, structure.positions[anchor] + length * away / np.linalg.norm(away)
        residues[residue] = Residue(kind, residues[residue].number, residues[residue].chain)
    changed = replace(structure, numbers=numbers, positions=positions, formal_charges=charges, names=tuple(names), residues=tuple(residues))
    return changed, caps, hung


def _neighbours(structure: Structure) -> dict[int, list[int]]:
    """Bonded partners of each atom."""
    partners: dict[int, list[int]] = {atom: [] for atom in range(len(structure))}
    for i, j in structure.bonds.tolist():
        partners[i].append(j)
        partners[j].append(i)
    return partners


def _cap_atoms(kind: str, here: dict[str, int], neighbours: dict[int, list[int]]) -> list[tuple[int, str, int | None]]:
    """Atoms of a cap: index, new name, and for those that become hydrogen the atom that they hang on."""
    alpha, anchor = here["CA"], here["C"] if kind == "ACE" else here["N"]
    methyl = [(atom, f"H{k + 1}", alpha) for k, atom in enumerate(a for a in neighbours[alpha] if a != anchor)]
    if kind == "ACE":
        return [(anchor, "C", None), (here["O"], "O", None), (alpha, "CH3", None), *methyl]
    # Proline has its ring carbon where others have the amide hydrogen.
    amide = here["H"] if "H" in here else here["CD"]
    return [(anchor, "N", None), (amide, "H", anchor), (alpha, "C", None), *methyl]
