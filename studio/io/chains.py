"""Chains of beads from one-letter sequences: a place for each residue of a disordered protein, without atoms.

Knows letters and geometry; must not know what beads feel.
"""

from typing import Literal

import numpy as np

from studio.errors import StructureError
from studio.structure import Floats, Residue, Structure

ChainShape = Literal["coil", "extended"]

BOND, APART = 0.38, 0.5
"""Between neighbours, and the least between others, nm."""
BENT, STRAIGHT = np.cos(np.radians(80.0)), np.cos(np.radians(150.0))
"""Cosines of the angles along a coil, as far as proteins have them."""
TRIES, BACK = 30, 12
"""Attempts to place a bead, and beads that are taken back where all of them fail."""
MOST = 5000
"""Residues in all."""
ZIGZAG = 130.0
"""Angle along an extended chain, degrees."""
NAMES = {
    "A": "ALA", "R": "ARG", "N": "ASN", "D": "ASP", "C": "CYS", "Q": "GLN", "E": "GLU", "G": "GLY", "H": "HIS", "I": "ILE",
    "L": "LEU", "K": "LYS", "M": "MET", "F": "PHE", "P": "PRO", "S": "SER", "T": "THR", "W": "TRP", "Y": "TYR", "V": "VAL",
}  # fmt: skip
CHARGES = {"R": 1, "K": 1, "D": -1, "E": -1}
LABELS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def bead_chains(sequences: tuple[str, ...], shape: ChainShape, seed: int, box_nm: float | None = None) -> Structure:
    """Chains of one bead a residue, with charged ends.

    Args:
        sequences: One-letter codes from the N-terminus, one text for each chain; spaces do not count.
        shape: `coil` (self-avoiding) or `extended`.
        seed: Random seed of coils.
        box_nm: Width of a periodic cube, nm; none without.

    Raises:
        StructureError: No sequence, a letter that is no amino acid, too many residues or chains, or no room.
    """
    chains = [_checked(sequence) for sequence in sequences]
    _refuse_size(chains)
    rng = np.random.default_rng(seed)
    walks = [_zigzag(len(letters)) if shape == "extended" else _coil(len(letters), rng) for letters in chains]
    positions = np.concatenate(_spread(walks, box_nm))
    letters = "".join(chains)
    starts = np.cumsum([0, *map(len, chains)])
    first = np.setdiff1d(np.arange(len(letters) - 1), starts[1:] - 1)
    charges = np.array([CHARGES.get(letter, 0) for letter in letters])
    charges[starts[:-1]] += 1
    charges[starts[1:] - 1] -= 1
    return Structure(
        numbers=np.full(len(letters), 6), positions=positions, names=("CA",) * len(letters),
        residues=tuple(Residue(NAMES[one], str(n + 1), LABELS[c]) for c, chain in enumerate(chains) for n, one in enumerate(chain)),
        residue_index=np.arange(len(letters)), bonds=np.stack([first, first + 1], axis=1), bond_orders=np.zeros(len(first)),
        formal_charges=charges, box=None if box_nm is None else box_nm * np.eye(3), title=_title(chains),
        notes=("The chains were laid out as beads, one a residue: their shape is a guess that the first moments of a run forget.",),
    )  # fmt: skip


def check_chains(sequences: tuple[str, ...]) -> None:
    """Refuse what cannot become chains.

    Args:
        sequences: See `bead_chains`.

    Raises:
        StructureError: A letter that is no amino acid, or too many residues or chains.
    """
    for place, sequence in enumerate(sequences, 1):
        try:
            _checked(sequence)
        except StructureError as problem:
            if len(sequences) == 1:
                raise
            raise StructureError(f"Chain {place}: {problem}") from problem
    if sequences:
        _refuse_size(list(sequences))


def net_charge(sequences: tuple[str, ...]) -> int:
    """Sum of the charges of side chains and ends, e, with neutral histidines.

    Args:
        sequences: One-letter codes.
    """
    return sum(CHARGES.get(letter, 0) for sequence in sequences for letter in sequence)


def _title(chains: list[str]) -> str:
    return f"a chain of {len(chains[0])} residues" if len(chains) == 1 else f"{len(chains)} chains of {sum(map(len, chains))} residues"


def _checked(sequence: str) -> str:
    letters = "".join(sequence.split()).upper()
    strange = next((place for place, letter in enumerate(letters) if letter not in NAMES), None)
    if strange is not None:
        raise StructureError(f"Letter {strange + 1}, '{letters[strange]}', is no amino acid. Expected one-letter codes from {' '.join(sorted(NAMES))}.")
    if len(letters) < 2:
        raise StructureError(f"Expected a sequence of at least 2 residues, got {len(letters)}.")
    return letters


def _refuse_size(chains: list[str]) -> None:
    if not 1 <= len(chains) <= len(LABELS):
        raise StructureError(f"Expected 1 to {len(LABELS)} chains, got {len(chains)}.")
    if sum(map(len, chains)) > MOST:
        raise StructureError(f"Expected up to {MOST:,} residues in all, got {sum(map(len, chains)):,}. Take fewer or shorter chains.")


def _zigzag(count: int) -> Floats:
    """A flat zigzag, (n, 3), nm."""
    half = np.radians(ZIGZAG) / 2.0
    steps = np.arange(count)
    return np.stack([steps * BOND * np.sin(half), (steps % 2) * BOND * np.cos(half), np.zeros(count)], axis=1)


def _coil(count: int, rng: np.random.Generator) -> Floats:
    """A self-avoiding walk, (n, 3), nm: where it gets stuck it goes some beads back."""
    places = [np.zeros(3), np.array([BOND, 0.0, 0.0])]
    while len(places) < count:
        found = _next(np.array(places), rng)
        if found is None:
            del places[max(2, len(places) - BACK) :]
        else:
            places.append(found)
    return np.array(places[:count])


def _next(places: Floats, rng: np.random.Generator) -> Floats | None:
    """Where a bead can follow, or none."""
    along = (places[-1] - places[-2]) / BOND
    for _ in range(TRIES):
        side = np.cross(along, rng.normal(size=3))
        cosine = rng.uniform(STRAIGHT, BENT)
        step = -cosine * along + np.sqrt(1.0 - cosine**2) * side / np.linalg.norm(side)
        place = places[-1] + BOND * step
        if (np.linalg.norm(places[:-1] - place, axis=1) > APART).all():
            return np.asarray(place)
    return None


def _spread(walks: list[Floats], box_nm: float | None) -> list[Floats]:
    """The chains side by side on a cubic grid, centred; in a box, on a grid that fills it.

    Raises:
        StructureError: The box has no room for them.
    """
    centred = [walk - 0.5 * (walk.max(axis=0) + walk.min(axis=0)) for walk in walks]
    across = int(np.ceil(len(walks) ** (1 / 3)))
    size = max(float(np.ptp(walk, axis=0).max()) for walk in walks) + 2.0 * APART
    if box_nm is not None and box_nm < across * size:
        raise StructureError(f"The box of {box_nm:g} nm has no room for the chains, which need {across * size:.1f} nm. Enlarge it, or start from coils.")
    pitch = size if box_nm is None else box_nm / across
    cells = np.stack(np.meshgrid(*[np.arange(across)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    return [walk + (cell + 0.5) * pitch for walk, cell in zip(centred, cells, strict=False)]
