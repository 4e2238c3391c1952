"""Internal coordinates: angles and torsions of many copies of a molecule, how they change with the places, and a stiffness made of them.

Knows bonds and places, and must not know energies. All arrays have the copies first; angles are in radian.
"""

from itertools import combinations
from typing import NamedTuple

import numpy as np

from studio.structure import Floats, Integers

STRETCH, BEND, TURN = 300_000.0, 600.0, 30.0
"""Stiffness of bonds (kJ/mol/nm^2), angles and torsions (kJ/mol/rad^2): those with which drug-like ligands need the fewest steps."""
REST = 1000.0
"""Stiffness of whatever no bond, angle or torsion holds, kJ/mol/nm^2."""
STRAIGHT = 0.1
"""Sine below which an angle counts as straight: torsions about it mean nothing there."""


class Internals(NamedTuple):
    """Bonds (k, 2), angles (k, 3) and torsions (k, 4) of a molecule, as atom indices."""

    bonds: Integers
    angles: Integers
    torsions: Integers


def internals(bonds: Integers) -> Internals:
    """All angles between, and all torsions along, bonded atoms.

    Args:
        bonds: Pairs of atom indices, (b, 2).
    """
    near: dict[int, list[int]] = {}
    for i, j in bonds.tolist():
        near.setdefault(i, []).append(j)
        near.setdefault(j, []).append(i)
    angles = [(i, centre, k) for centre, others in near.items() for i, k in combinations(others, 2)]
    torsions = [(i, j, k, m) for j, k in bonds.tolist() for i in near[j] for m in near[k] if i != k and m not in (j, i)]
    return Internals(bonds, np.array(angles, dtype=np.int64).reshape(-1, 3), np.array(torsions, dtype=np.int64).reshape(-1, 4))


def torsion_angles(places: Floats) -> Floats:
    """Torsion angles, IUPAC sign, from -pi to pi.

    Args:
        places: Of the four atoms in order, (..., 4, 3).
    """
    across, along, back = _bonds_along(places)
    one, two = np.cross(across, along), np.cross(back, along)
    sine = (np.cross(two, one) * along).sum(-1) / np.linalg.norm(along, axis=-1)
    return np.asarray(np.arctan2(sine, (one * two).sum(-1)))


def torsion_slopes(places: Floats) -> Floats:
    """How torsion angles change with the places, rad/nm, shaped as `places`; zero where three atoms are in line.

    Blondel and Karplus 1996, 10.1002/(SICI)1096-987X(19960715)17:9<1132::AID-JCC5>3.0.CO;2-T, eq. 27.

    Args:
        places: Of the four atoms in order, (..., 4, 3), nm.
    """
    across, along, back = _bonds_along(places)
    one, two = np.cross(across, along), np.cross(back, along)
    length = np.linalg.norm(along, axis=-1, keepdims=True)
    straight = np.minimum(_sine(across, along), _sine(back, along)) < STRAIGHT
    first = one / np.where(straight, np.inf, (one**2).sum(-1, keepdims=True))
    last = two / np.where(straight, np.inf, (two**2).sum(-1, keepdims=True))
    shared = first * (across * along).sum(-1, keepdims=True) / length - last * (back * along).sum(-1, keepdims=True) / length
    return np.stack((-length * first, length * first + shared, -length * last - shared, length * last), axis=-2)


def angle_slopes(places: Floats) -> Floats:
    """How angles change with the places, rad/nm, shaped as `places`; fading out towards straight angles, where they have none.

    Args:
        places: Of the three atoms, the centre in the middle, (..., 3, 3), nm.
    """
    one, two = places[..., 0, :] - places[..., 1, :], places[..., 2, :] - places[..., 1, :]
    far, near = np.linalg.norm(one, axis=-1, keepdims=True), np.linalg.norm(two, axis=-1, keepdims=True)
    one, two = one / far, two / near
    cosine = (one * two).sum(-1, keepdims=True)
    sine = np.sqrt(np.maximum(1.0 - cosine**2, 0.0))
    scale = sine / (sine**2 + STRAIGHT**2 / 10)
    first, last = (cosine * one - two) / far * scale, (cosine * two - one) / near * scale
    return np.stack((first, -first - last, last), axis=-2)


def bond_slopes(places: Floats) -> Floats:
    """How bond lengths change with the places, shaped as `places`.

    Args:
        places: Of the two atoms, (..., 2, 3), nm.
    """
    line = places[..., 0, :] - places[..., 1, :]
    line = line / np.linalg.norm(line, axis=-1, keepdims=True)
    return np.stack((line, -line), axis=-2)


def stiffness(positions: Floats, parts: Internals) -> Floats:
    """A guess of the second derivatives of the energy of molecules near a minimum: bonds, angles and torsions as springs.

    After Lindh, Bernhardsson, Karlstroem and Malmqvist 1995, 10.1016/0009-2614(95)00646-L, eq. 1, with one constant for all bonds, one for
    all angles and one for all torsions, and `REST` instead of the terms between others. Positive definite at any geometry.

    Args:
        positions: (b, n, 3), nm.
        parts: From `internals`.

    Returns:
        Matrices (b, 3n, 3n), kJ/mol/nm^2.
    """
    copies, atoms, _ = positions.shape
    total = np.tile(REST * np.eye(3 * atoms), (copies, 1, 1))
    for indices, slopes, constant in zip(parts, (bond_slopes, angle_slopes, torsion_slopes), (STRETCH, BEND, TURN), strict=True):
        rows = np.zeros((copies, len(indices), atoms, 3))
        rows[:, np.arange(len(indices))[:, None], indices] = slopes(positions[:, indices])
        flat = rows.reshape(copies, len(indices), 3 * atoms)
        total += constant * (flat.transpose(0, 2, 1) @ flat)
    return total


def _bonds_along(places: Floats) -> tuple[Floats, Floats, Floats]:
    """From the second atom to the first, from the third to the second, from the third to the fourth."""
    return places[..., 0, :] - places[..., 1, :], places[..., 1, :] - places[..., 2, :], places[..., 3, :] - places[..., 2, :]


def _sine(one: Floats, two: Floats) -> Floats:
    size = np.linalg.norm(one, axis=-1, keepdims=True) * np.linalg.norm(two, axis=-1, keepdims=True)
    return np.asarray(np.linalg.norm(np.cross(one, two), axis=-1, keepdims=True) / size)
