"""Shape: what frames of atoms or beads look like - backbone torsions, size, likeness to a native structure, native contacts, handedness.

Knows structures and positions; must not know what moved them. Molecules are whole in all frames.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from studio.coarse.chain import torsions
from studio.coarse.contacts import APART, Contacts, within_bonds
from studio.internal import torsion_angles
from studio.structure import CAP_NAMES, Flags, Floats, Integers, Structure
from studio.surface import BINS, CIRCLE, PHI_PSI, Surface, torsion_surface

BENT = np.linspace(60.0, 180.0, BINS + 1)
"""Edges of the bins of the angle of three C-alpha beads, degrees: they bend no further."""
TOUCH = 0.8
"""Distance up to which two C-alpha beads of a native structure count as in contact where its atoms are not known, nm."""
FOLDED = 0.5
"""Fraction of native contacts from which on a frame counts as folded."""
MOST_PAIRS = 300
"""Distances that describe a shape, at most."""


@dataclass(frozen=True)
class Turn:
    """The two coordinates that say how the backbone turns at a residue.

    Args:
        name: Of the residue.
        axes: What they are, with their units.
        first: Four particles.
        second: Four, or three for an angle.
    """

    name: str
    axes: tuple[str, str]
    first: tuple[int, ...]
    second: tuple[int, ...]

    def surface(self, frames: Floats) -> Surface:
        """How often it takes which values.

        Args:
            frames: Positions, (f, n, 3), nm.
        """
        x, y = (turned(frames, particles) for particles in (self.first, self.second))
        if len(self.second) == 4:
            return torsion_surface(x, y, self.name, self.axes)
        return Surface(self.name, self.axes, (CIRCLE, BENT), x, y)


def turned(frames: Floats, particles: tuple[int, ...]) -> Floats:
    """A torsion of four particles, or the angle of three, degrees, (f,).

    Args:
        frames: Positions, (f, n, 3), nm.
        particles: In their order along the chain.
    """
    places = np.asarray(frames, dtype=np.float64)[:, list(particles)]
    if len(particles) == 4:
        return np.asarray(np.degrees(torsion_angles(places)))
    one, other = places[:, 0] - places[:, 1], places[:, 2] - places[:, 1]
    return np.asarray(np.degrees(np.arctan2(np.linalg.norm(np.cross(one, other), axis=1), (one * other).sum(axis=1))))


def turns(structure: Structure) -> tuple[Turn, ...]:
    """Phi and psi of each residue that has both; of C-alpha beads the torsion and the angle of their chain (Tozzini 2006, 10.1021/ct050294k).

    Args:
        structure: Atoms, backbone beads, or C-alpha beads; beads of the latter with C-beta count as these.
    """
    return _phi_psi(structure) or (_alpha_turns(structure) if set(structure.names) <= {"CA", "CB"} else ())


def stretches(beads: Structure) -> tuple[tuple[int, ...], ...]:
    """The beads of each turn, of each two neighbouring turns, and all of them: what parts of a network see.

    Args:
        beads: With their bonds; where they turn at one place or none, one part sees all.
    """
    single = [frozenset(turn.first + turn.second) for turn in turns(beads)]
    double = [one | other for one, other in pairwise(single)]
    return tuple(tuple(sorted(stretch)) for stretch in dict.fromkeys((*single, *double, frozenset(range(len(beads))))))


def _phi_psi(structure: Structure) -> tuple[Turn, ...]:
    atoms = [dict[str, int]() for _ in structure.residues]
    for atom, (name, residue) in enumerate(zip(structure.names, structure.residue_index.tolist(), strict=True)):
        if structure.residues[residue].kind == "protein":
            atoms[residue].setdefault(name, atom)
    before, after = _peptide_bonds(structure)
    found = []
    for residue, own in zip(structure.residues, atoms, strict=True):
        n, ca, c = own.get("N", -1), own.get("CA", -1), own.get("C", -1)
        if min(n, ca, c) >= 0 and n in before and c in after:
            found.append(Turn(str(residue), PHI_PSI, (before[n], n, ca, c), (n, ca, c, after[c])))
    return tuple(found)


def _peptide_bonds(structure: Structure) -> tuple[dict[int, int], dict[int, int]]:
    """For each N the C before it, and for each C the N after it."""
    before, after = dict[int, int](), dict[int, int]()
    for i, j in structure.bonds.tolist():
        if structure.residue_index[i] != structure.residue_index[j] and {structure.names[i], structure.names[j]} == {"C", "N"}:
            carbon, nitrogen = (i, j) if structure.names[i] == "C" else (j, i)
            before[nitrogen], after[carbon] = carbon, nitrogen
    return before, after


def _alpha_turns(beads: Structure) -> tuple[Turn, ...]:
    alpha = np.array([k for k, name in enumerate(beads.names) if name == "CA"], dtype=np.int64)
    if len(alpha) < 4:
        return ()
    chain = beads.take(alpha)
    fours = sorted(tuple(four) if four[0] < four[3] else tuple(reversed(four)) for four in torsions(chain).tolist())
    axes = ("torsion of four C-alpha (°)", "angle of three C-alpha (°)")
    at = alpha.tolist()
    return tuple(Turn(str(chain.residue_of(four[1])), axes, tuple(at[k] for k in four), tuple(at[k] for k in four[:3])) for four in fours)


def features(frames: Floats, structure: Structure) -> Floats:
    """What a shape is told by, whatever way it is turned: sine and cosine of backbone torsions, and distances along and across the chain, (f, columns).

    Args:
        frames: Positions, (f, n, 3), nm.
        structure: Atoms or beads.
    """
    angles = [np.radians(turned(frames, four)) for turn in turns(structure) for four in (turn.first, turn.second) if len(four) == 4]
    round_ = [part for angle in angles for part in (np.sin(angle), np.cos(angle))]
    places = np.asarray(frames, dtype=np.float64)[:, trace(structure)]
    pairs = np.argwhere(np.triu(np.ones((places.shape[1],) * 2), k=2)) if places.shape[1] > 2 else np.zeros((0, 2), dtype=np.int64)
    pairs = pairs[:: max(1, -(-len(pairs) // MOST_PAIRS))]
    apart = np.linalg.norm(places[:, pairs[:, 0]] - places[:, pairs[:, 1]], axis=2)
    return np.concatenate([*(part[:, None] for part in round_), apart], axis=1)


def trace(structure: Structure) -> Integers:
    """One particle for each residue of a protein: C-alpha; of other molecules all that is heavier than hydrogen.

    Args:
        structure: Atoms or beads.
    """
    alpha = [k for k, name in enumerate(structure.names) if name == "CA" and structure.residue_of(k).kind == "protein"]
    if len(alpha) >= 3:
        return np.array(alpha, dtype=np.int64)
    return solute(structure)


def solute(structure: Structure) -> Integers:
    """Beads, or the atoms heavier than hydrogen of proteins and ligands; all there are where there are none.

    Args:
        structure: Atoms or beads.
    """
    kinds = np.array([structure.residues[index].kind in ("protein", "ligand") for index in structure.residue_index.tolist()])
    found = np.flatnonzero(kinds & (structure.numbers > 1))
    return found if len(found) else np.arange(len(structure))


def radius_of_gyration(frames: Floats, masses: Floats) -> Floats:
    """Square root of the mean square distance from the centre of mass, nm, (f,).

    Args:
        frames: Positions, (f, n, 3), nm.
        masses: Da, (n,).
    """
    weights = masses / masses.sum()
    away = np.asarray(frames, dtype=np.float64) - np.einsum("n,fnx->fx", weights, frames)[:, None]
    return np.asarray(np.sqrt(np.einsum("n,fnx,fnx->f", weights, away, away)))


def rmsd(frames: Floats, reference: Floats, *, mirrored: bool = False) -> Floats:
    """Root-mean-square deviation after the best superposition, nm, (f,) (Kabsch 1976, 10.1107/S0567739476001873), all frames at once.

    Args:
        frames: Positions, (f, n, 3), nm.
        reference: The same particles, (n, 3), nm.
        mirrored: Of the mirror images of the frames.
    """
    now = np.asarray(frames, dtype=np.float64)
    now, goal = now - now.mean(axis=1, keepdims=True), np.asarray(reference - reference.mean(axis=0), dtype=np.float64)
    now = now * (-1.0 if mirrored else 1.0)
    product = np.einsum("fnx,ny->fxy", now, goal)
    sizes = np.linalg.svd(product, compute_uv=False)
    sizes[:, 2] *= np.where(np.linalg.det(product) < 0.0, -1.0, 1.0)
    square = (np.einsum("fnx,fnx->f", now, now) + (goal * goal).sum() - 2.0 * sizes.sum(axis=1)) / len(goal)
    return np.asarray(np.sqrt(np.maximum(square, 0.0)))


def bond_lengths(frames: Floats, bonds: Integers) -> Floats:
    """Lengths of bonds, nm, (f, bonds).

    Args:
        frames: Positions, (f, n, 3), nm.
        bonds: Pairs of particles, (bonds, 2).
    """
    return np.asarray(np.linalg.norm(np.asarray(frames, dtype=np.float64)[:, bonds[:, 0]] - frames[:, bonds[:, 1]], axis=2))


def bead_contacts(beads: Structure, native: Floats) -> Contacts:
    """Contacts of a native structure of which only beads are known: C-alpha that are close and far along the chain.

    Args:
        beads: With C-alpha among them.
        native: Their positions, (b, 3), nm.
    """
    alpha = np.flatnonzero([name == "CA" for name in beads.names])
    places = native[alpha]
    apart = np.linalg.norm(places[:, None] - places[None], axis=2)
    left, right = np.nonzero(np.triu((apart < TOUCH) & (within_bonds(beads, 3 * APART)[np.ix_(alpha, alpha)] > _far(beads)), k=1))
    return Contacts(np.stack([alpha[left], alpha[right]], axis=1), apart[left, right])


def _far(beads: Structure) -> int:
    """Bonds up to which beads make no contact: of three residues."""
    return 3 * APART if "N" in beads.names else APART


def mirrored(frames: Floats, native: Floats, contacts: Contacts) -> Flags:
    """True for frames that make the native contacts as the mirror image of the native structure does, which no distance can tell, (f,).

    Args:
        frames: Positions of C-alpha beads, (f, b, 3), nm.
        native: Of the native structure, (b, 3).
        contacts: Of the native structure.
    """
    folded = contacts.fraction(frames) >= FOLDED
    return np.asarray(folded & (rmsd(frames, native, mirrored=True) < rmsd(frames, native)))


def mirror_share(reference: Surface, other: Surface) -> float | None:
    """How much of the mirror image a surface of phi and psi holds, from 0 to 1; none where the reference is its own mirror image (glycine).

    Beads at N, C-alpha and C have no handed centre: their handedness is in phi and psi, which both change sign in a mirror. The share is
    that with which reference and mirror image together come closest (least squares) to what was seen.

    Args:
        reference: Phi and psi of the right hand.
        other: Those that are asked about.
    """
    right = reference.probabilities
    across = right[::-1, ::-1] - right
    if (across**2).sum() < 0.1 * (right**2).sum():
        return None
    return float(np.clip(((other.probabilities - right) * across).sum() / (across**2).sum(), 0.0, 1.0))


def residues_of(structure: Structure) -> int:
    """Amino acids, caps aside.

    Args:
        structure: Atoms or beads.
    """
    return sum(residue.kind == "protein" and residue.name not in CAP_NAMES for residue in structure.residues)
