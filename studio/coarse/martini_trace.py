"""Martini trace: the C-alphas that backbone beads of Martini stand for - the way back to atoms begins there.

A backbone bead is the middle of N, CA, C and O, 0.9 angstrom from its C-alpha, and beads of a helix are 3.2 angstrom apart where C-alphas
are 3.8: it cannot be taken for one. In the frame of three beads along the chain, the C-alpha lies where the length and the bend of the
three and the direction of its side chain say (`data/martini_trace.csv`, made by `fit`); distances along the chain are those of the
prepared structure. Knows beads and atoms; must not know how atoms are built on C-alphas.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from studio.coarse.mapping import map_protein
from studio.errors import UnsupportedError
from studio.structure import Floats, Integers, Structure

TABLE = Path(__file__).parents[1] / "data" / "martini_trace.csv"
BACKBONE, SIDE = "BB", "SC1"
MIDDLE = frozenset({"N", "CA", "C", "O"})
PLACES = 3
"""A C-alpha is the first, the middle or the last of its frame: those at the ends of a chain have no frame of their own."""
SWEEPS = 100
"""Over the bonds along the chain, until they are as long as they were."""


def alphas_of(now: Structure, like: Structure) -> Structure:
    """The C-alphas of a protein in Martini beads.

    Args:
        now: The beads, with or without their water; molecules whole.
        like: The prepared structure that they stand for, all its atoms.

    Raises:
        UnsupportedError: They stand for other residues, or a piece of the chain is shorter than three.
    """
    trace = map_protein(like).beads
    beads, sides = _places(now, BACKBONE), _places(now, SIDE)
    if set(beads) != set(map(str, trace.residues)):
        raise UnsupportedError(
            f"There are beads for {len(beads)} residues, and {len(trace)} are to have atoms: they must be the same. Start from the prepared structure."
        )
    places = np.array([beads[str(residue)] for residue in trace.residues])
    side = np.array([sides.get(str(residue), beads[str(residue)]) for residue in trace.residues])
    found = np.empty_like(places)
    for piece in trace.molecules:
        if len(piece) < PLACES:
            raise UnsupportedError("A piece of the chain has less than three residues: its backbone beads do not say where C-alphas are.")
        found[piece] = _along(places[piece], side[piece])
    return trace.with_positions(_stretched(found, trace))


def furthest(now: Structure, atoms: Structure) -> float:
    """Largest distance of a backbone bead from the middle of the backbone that it stands for, nm.

    Args:
        now: The beads; molecules whole.
        atoms: Of the same residues.
    """
    parts: dict[str, list[Floats]] = {}
    for atom, name in enumerate(atoms.names):
        if name in MIDDLE:
            parts.setdefault(str(atoms.residue_of(atom)), []).append(atoms.positions[atom])
    return max(float(np.linalg.norm(np.mean(parts[residue], axis=0) - place)) for residue, place in _places(now, BACKBONE).items())


def fit(proteins: Sequence[tuple[Floats, Floats, Floats]]) -> Floats:
    """The table, by least squares.

    Args:
        proteins: Of unbroken chains the places of backbone beads, of the first beads of side chains (where there is none, of the backbone bead) and of
            C-alphas, (n, 3) each, nm.

    Returns:
        Numbers, (3 places in the frame, features, 3), nm.
    """
    shown: list[list[Floats]] = [[], [], []]
    goals: list[list[Floats]] = [[], [], []]
    for beads, sides, alphas in proteins:
        frames, middles = _frames(beads)
        for place in range(PLACES):
            rows = np.arange(len(frames)) + place
            shown[place].append(_features(beads, sides, frames, place))
            goals[place].append(np.einsum("nij,nj->ni", frames, alphas[rows] - middles))
    return np.array([np.linalg.lstsq(np.concatenate(x), np.concatenate(y), rcond=None)[0] for x, y in zip(shown, goals, strict=True)])


@cache
def _table() -> Floats:
    numbers = np.loadtxt(TABLE, delimiter=",", ndmin=2)
    return np.asarray(numbers.reshape(PLACES, -1, 3))


def _places(now: Structure, name: str) -> dict[str, Floats]:
    """By residue of the protein, where its bead of this name is."""
    owned = {bead: now.residue_of(bead) for bead, called in enumerate(now.names) if called == name}
    return {str(residue): now.positions[bead] for bead, residue in owned.items() if residue.kind == "protein"}


def _along(beads: Floats, sides: Floats) -> Floats:
    """C-alphas of one unbroken chain, (n, 3), nm."""
    frames, middles = _frames(beads)
    first, middle, last = (middles + np.einsum("nji,nj->ni", frames, _features(beads, sides, frames, place) @ _table()[place]) for place in range(PLACES))
    return np.concatenate([first[:1], middle, last[-1:]])


def _frames(beads: Floats) -> tuple[Floats, Floats]:
    """Axes (n - 2, 3, 3) of three beads each - along them, towards the middle one, and across - and the middle ones."""
    along = beads[2:] - beads[:-2]
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    out = beads[1:-1] - beads[:-2]
    out = out - (out * along).sum(axis=1, keepdims=True) * along
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    return np.stack([along, out, np.cross(along, out)], axis=1), beads[1:-1]


def _features(beads: Floats, sides: Floats, frames: Floats, place: int) -> Floats:
    """What is known about the frames (n - 2, features): lengths and bends, and where the side chain of one of their residues points."""
    rows = np.arange(len(frames)) + place
    length = np.linalg.norm(beads[2:] - beads[:-2], axis=1)
    bend = (frames[:, 1] * (beads[1:-1] - 0.5 * (beads[2:] + beads[:-2]))).sum(axis=1)
    skew = (frames[:, 0] * (beads[1:-1] - 0.5 * (beads[2:] + beads[:-2]))).sum(axis=1)
    way = sides[rows] - beads[rows]
    size = np.linalg.norm(way, axis=1, keepdims=True)
    way = np.einsum("nij,nj->ni", frames, np.divide(way, size, out=np.zeros_like(way), where=size > 0))
    return np.column_stack([np.ones(len(frames)), length, bend, skew, length**2, bend**2, length * bend, way, size[:, 0] > 0])


def _stretched(places: Floats, trace: Structure) -> Floats:
    """C-alphas moved as little as brings bonds to their prepared lengths."""
    bonds: Integers = trace.bonds
    lengths = np.linalg.norm(trace.positions[bonds[:, 0]] - trace.positions[bonds[:, 1]], axis=1)
    places = places.copy()
    for _ in range(SWEEPS):
        for (i, j), length in zip(bonds.tolist(), lengths.tolist(), strict=True):
            apart = places[j] - places[i]
            move = 0.5 * (1.0 - length / np.linalg.norm(apart)) * apart
            places[i] += move
            places[j] -= move
    return places
