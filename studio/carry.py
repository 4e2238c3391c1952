"""Carry: positions from one set of atoms to another, where one system is seen at another level or with another region.

Knows structures; must not know levels or runs.
"""

from dataclasses import dataclass, replace

import numpy as np

from studio.back import to_atoms
from studio.errors import UnsupportedError
from studio.hybrid.boundary import cut_bonds
from studio.hybrid.whole import MakeWhole
from studio.region import Solute
from studio.structure import Flags, Floats, Integers, Structure
from studio.superpose import common_atoms, superposition

OVERLAP = 0.1
"""Heavy atoms closer than this, nm, and not bonded, were put on top of each other."""
CROWDED, CLEARANCE = 0.15, 0.25
"""A water with an atom closer than the first, nm, is pushed away until that atom is at the second."""


@dataclass(frozen=True, eq=False)
class Carried:
    """Where to start at another level.

    Args:
        structure: The atoms of the target, with positions that came along.
        sentence: What was carried, for the user.
        atoms: How many atoms came along.
    """

    structure: Structure
    sentence: str
    atoms: int


def carry_atoms(now: Structure, target: Structure) -> Carried:
    """Positions from one set of atoms to another, atom by atom: by chain, residue and name.

    Where all atoms of the target are there now, they keep their places (molecules whole, and in the present box). Where some
    are missing, those that are there keep their shape, and are superposed as one on where the target has them. On beads, atoms
    are built anew.

    Args:
        now: At present positions.
        target: What to start; further atoms at their last known positions.

    Raises:
        UnsupportedError: No atom is common, or atoms of another molecule would be overlapped, or beads left some behind.
        StructureError: No atoms can be built on the beads.
        MissingPackageError: What builds them is not installed.
    """
    if now.is_coarse and not target.is_coarse:
        rebuilt = to_atoms(now if now.is_beads else protein_of(now), target)
        return Carried(rebuilt.structure, f"{rebuilt.sentence} They are relaxed briefly, with new velocities.", len(target))
    ours, theirs = common_atoms(now, target)
    if not len(ours):
        raise UnsupportedError("No atom of what runs now is part of what comes next. It starts from its prepared structure.")
    part = now.take(ours)
    together = MakeWhole(part)(part.positions, now.box)
    if len(theirs) < len(target):
        return _inserted(target, theirs, together)
    return _kept(now, target, theirs, together if target.box is None else _in_place(part, together))


def protein_of(now: Structure) -> Structure:
    """The beads of a protein without their water, in one image.

    Args:
        now: Beads of Martini at present positions.
    """
    part = now.take(now.atoms_of("protein"))
    return replace(part, box=None).with_positions(MakeWhole(part)(part.positions, now.box))


def _in_place(part: Structure, together: Floats) -> Floats:
    """Each molecule whole, in the image where its first atom is: what is periodic before and after does not jump."""
    places = together.copy()
    for atoms in part.molecules:
        places[atoms] += part.positions[atoms[0]] - together[atoms[0]]
    return places


def _kept(now: Structure, target: Structure, theirs: Integers, places: Floats) -> Carried:
    """Every atom of the target where it is now."""
    if target.box is not None and now.box is not None:
        target = replace(target, box=now.box)
    positions = np.empty_like(target.positions)
    positions[theirs] = places
    left = len(now) - len(target)
    rest = f"; {left:,} atoms around them were left behind" if left > 0 else ""
    return Carried(
        target.with_positions(positions), f"All {len(target):,} atoms keep their places{rest}. They are relaxed briefly, with new velocities.", len(target)
    )


def _inserted(target: Structure, theirs: Integers, places: Floats) -> Carried:
    """Some atoms of the target in their present shape, superposed on where the target has them; waters make room."""
    part = target.take(theirs)
    fitted = superposition(places, MakeWhole(part)(part.positions, target.box))(places)
    positions = target.positions.copy()
    free = ~target.fixed[theirs]
    positions[theirs[free]] = fitted[free]
    moved = target.with_positions(positions)
    inserted = np.zeros(len(target), dtype=np.bool_)
    inserted[theirs] = True
    _refuse_overlaps(moved, inserted)
    cleared, pushed = _make_room(moved, inserted)
    waters = f"; {pushed} water{'s' * (pushed != 1)} in the way made room" if pushed else ""
    sentence = (
        f"{len(theirs):,} of {len(target):,} atoms came along in their present shape, superposed on their last known surroundings{waters}. "
        "They are relaxed briefly, with new velocities."
    )
    return Carried(cleared, sentence, len(theirs))


def _refuse_overlaps(moved: Structure, inserted: Flags) -> None:
    """Refuse a shape that has no room among what is neither water nor part of it.

    Raises:
        UnsupportedError: Names the first atom that is overlapped.
    """
    heavy = moved.numbers > 1
    others = heavy & ~inserted & Solute().mask(moved)
    hosts = cut_bonds(moved, np.flatnonzero(inserted))[:, 1]
    others[hosts] = False  # bonded to the region: the minimisation mends these
    if not others.any():
        return
    near, _ = _nearest(moved, inserted & heavy, others)
    hit = np.flatnonzero(others)[near < OVERLAP]
    if len(hit):
        raise UnsupportedError(
            f"In its present shape the region would overlap with {len(hit)} atoms of its surroundings (first: {moved.label(int(hit[0]))}). "
            "It starts from its prepared structure."
        )


def _make_room(moved: Structure, inserted: Flags) -> tuple[Structure, int]:
    """Waters that an inserted atom came too close to, shifted away from it as a whole; the minimisation that follows does the rest."""
    water = np.zeros(len(moved), dtype=np.bool_)
    water[moved.atoms_of("water")] = True
    water &= ~inserted & ~moved.fixed
    if not water.any():
        return moved, 0
    distance, towards = _nearest(moved, inserted, water)
    atoms = np.flatnonzero(water)
    close = distance < CROWDED
    positions, pushed = moved.positions.copy(), np.unique(moved.residue_index[atoms[close]])
    for residue in pushed:
        whole = moved.residue_index == residue
        rows = np.flatnonzero(close & whole[atoms])
        nearest = rows[np.argmin(distance[rows])]
        away = -towards[nearest] / max(float(distance[nearest]), 1e-6)
        positions[whole] += away * (CLEARANCE - distance[nearest])
    return moved.with_positions(positions), len(pushed)


def _nearest(structure: Structure, core: Flags, others: Flags) -> tuple[Floats, Floats]:
    """From each of `others` to the nearest core atom: distance (m,) and vector (m, 3), nm, nearest image."""
    from scipy.spatial import cKDTree

    images = structure.positions[core]
    if structure.box is not None:
        shifts = np.stack(np.meshgrid(*[(-1, 0, 1)] * 3), axis=-1).reshape(-1, 3) @ structure.box
        images = (images[None] + shifts[:, None]).reshape(-1, 3)
    distance, index = cKDTree(images).query(structure.positions[others])
    return np.asarray(distance), np.asarray(images[index] - structure.positions[others])
