"""Frames of alanine dipeptide's five beads and of a helix of C-alpha beads whose distribution is known, for tests of what judges them."""

from itertools import pairwise

import numpy as np

from studio.structure import Residue, Structure

BONDS, ANGLES = (0.133, 0.1455, 0.1525, 0.1335), (122.0, 111.0, 117.0)
"""C-N, N-CA, CA-C, C-N, nm, and the angles between them, degrees."""
WIDTH, BEND = 0.004, 3.0
"""How far bonds (nm) and angles (degrees) swing."""
BASINS = ((0.25, -70.0, -25.0, 18.0), (0.31, -145.0, 155.0, 20.0), (0.40, -72.0, 150.0, 17.0), (0.04, 56.0, 40.0, 10.0))
"""Share, phi, psi and width of each, about as in water."""
BEADS = (("ACE", "1", "C"), ("ALA", "2", "N"), ("ALA", "2", "CA"), ("ALA", "2", "C"), ("NME", "3", "N"))


def dipeptide_beads() -> Structure:
    """As `map_protein` makes them."""
    residues = tuple(Residue(name, number, "A") for name, number in (("ACE", "1"), ("ALA", "2"), ("NME", "3")))
    return beads(tuple(name for _, _, name in BEADS), residues, np.array([0, 1, 1, 1, 2]), placed(np.array([-70.0]), np.array([150.0]), 0)[0])


def beads(names: tuple[str, ...], residues: tuple[Residue, ...], index: np.ndarray, positions: np.ndarray) -> Structure:
    """A chain."""
    n = len(names)
    bonds = np.stack([np.arange(n - 1), np.arange(1, n)], axis=1)
    return Structure(np.full(n, 6), positions, names, residues, index, bonds, np.zeros(n - 1), np.zeros(n, dtype=np.int64))


def torsions(frames: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Independent phi and psi of the four basins, degrees."""
    rng = np.random.default_rng(seed)
    share, phi, psi, width = np.array(BASINS).T
    chosen = rng.choice(len(BASINS), frames, p=share)
    drawn = np.stack([phi[chosen], psi[chosen]]) + width[chosen] * rng.normal(size=(2, frames))
    return tuple((drawn + 180.0) % 360.0 - 180.0)


def placed(phi: np.ndarray, psi: np.ndarray, seed: int, width: float = WIDTH) -> np.ndarray:
    """Five beads with these torsions, bonds and angles swinging about their means, (f, 5, 3), nm."""
    rng = np.random.default_rng(seed)
    n = len(phi)
    lengths = np.array(BONDS) + width * rng.normal(size=(n, 4))
    bends = np.radians(np.array(ANGLES) + BEND * rng.normal(size=(n, 3)))
    frames = np.zeros((n, 5, 3))
    frames[:, 1, 0] = lengths[:, 0]
    frames[:, 2] = frames[:, 1] + lengths[:, 1, None] * np.stack([-np.cos(bends[:, 0]), np.sin(bends[:, 0]), np.zeros(n)], axis=1)
    for bead, torsion in ((3, phi), (4, psi)):
        frames[:, bead] = following(frames[:, bead - 3 : bead], lengths[:, bead - 1], bends[:, bead - 2], np.radians(torsion))
    return frames


def following(three: np.ndarray, length: np.ndarray, bend: np.ndarray, torsion: np.ndarray) -> np.ndarray:
    """Where the next bead lies by its bond, angle and torsion (IUPAC sign)."""
    along = three[:, 2] - three[:, 1]
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    normal = np.cross(three[:, 1] - three[:, 0], along)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    side = np.cross(normal, along)
    out = -np.cos(bend)[:, None] * along + np.sin(bend)[:, None] * (np.cos(torsion)[:, None] * side + np.sin(torsion)[:, None] * normal)
    return three[:, 2] + length[:, None] * out


def dipeptide_frames(count: int, seed: int) -> np.ndarray:
    """Independent frames of the reference distribution, (f, 5, 3), nm."""
    return placed(*torsions(count, seed), seed)


def peptide_frames(turns: list[tuple[np.ndarray, np.ndarray]], seed: int) -> np.ndarray:
    """Backbone beads of residues with these phi and psi, peptide bonds flat, (f, 3 residues, 3), nm."""
    rng, count = np.random.default_rng(seed), len(turns[0][0])
    grown = list(np.moveaxis(placed(*turns[0], seed)[:, 1:4], 1, 0))
    for (_, psi), (phi, _) in pairwise(turns):
        for length, bend, torsion in ((0.133, 117.0, psi), (0.1455, 122.0, np.full(count, 180.0)), (0.1525, 111.0, phi)):
            swing = WIDTH * rng.normal(size=count), BEND * rng.normal(size=count)
            grown.append(following(np.stack(grown[-3:], axis=1), length + swing[0], np.radians(bend + swing[1]), np.radians(torsion)))
    return np.stack(grown, axis=1)


def helix(residues: int = 18) -> Structure:
    """A right-handed alpha helix of C-alpha beads."""
    turn = np.radians(100.0) * np.arange(residues)
    positions = np.stack([0.23 * np.cos(turn), 0.23 * np.sin(turn), 0.15 * np.arange(residues)], axis=1)
    chain = tuple(Residue("ALA", str(k + 1), "A") for k in range(residues))
    return beads(("CA",) * residues, chain, np.arange(residues), positions)


def folding(native: Structure, folded: np.ndarray, seed: int) -> np.ndarray:
    """Frames of a helix that is whole or stretched out, with slow and fast noise, (f, n, 3), nm."""
    rng = np.random.default_rng(seed)
    stretched = native.positions * np.array([0.5, 0.5, 2.2])
    middle = np.where(folded[:, None, None], native.positions, stretched)
    return middle + 0.02 * rng.normal(size=middle.shape)
