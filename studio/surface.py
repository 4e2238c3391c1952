"""Surface: how often two coordinates have which values together - counts in bins, free energies, basins, and how far two of them are apart.

Divergences are in natural units (0 to ln 2), free energies in kcal/mol. Knows coordinates along frames; must not know molecules,
nor whether the frames are of atoms or of beads. Linear coordinates of many others are in `tica`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from studio.estimators import inefficiency
from studio.structure import Flags, Floats, Integers
from studio.units import BOLTZMANN, KJ_PER_KCAL

BINS = 20
"""A side. On 101 x 101, 1,000 frames of the reference itself are 0.12 apart from it; on 20 x 20, 0.02."""
KNOWN = 1e-3
"""Probability of a bin from which on its free energy is compared."""
CIRCLE = np.linspace(-180.0, 180.0, BINS + 1)
"""Edges of the bins of a torsion, degrees."""
PHI_PSI = ("φ (°)", "ψ (°)")
SLOWEST = ("slowest coordinate", "second slowest")
"""Axes."""
FEWEST_BLOCKS = 8
"""Fewer independent pieces say too little about their own scatter."""
OFTEN = 0.95
"""Share of the drawn samples that have to hold a state, for its error to be known."""


@dataclass(frozen=True, eq=False)
class Surface:
    """Frames, counted in bins of two coordinates.

    Args:
        name: Whose coordinates they are.
        axes: What they are, with their units.
        edges: Of the bins of each, ascending.
        x: The first coordinate, (f,).
        y: The second.
    """

    name: str
    axes: tuple[str, str]
    edges: tuple[Floats, Floats]
    x: Floats
    y: Floats

    @property
    def cells(self) -> Integers:
        """For each frame its two bins, (f, 2); what lies outside counts in the bin at the edge."""
        both = [
            np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2) for edges, values in zip(self.edges, (self.x, self.y), strict=True)
        ]
        return np.stack(both, axis=1)

    @property
    def counts(self) -> Integers:
        """Frames in each bin, (x bins, y bins)."""
        shape = (len(self.edges[0]) - 1, len(self.edges[1]) - 1)
        return np.asarray(np.bincount(np.ravel_multi_index((*self.cells.T,), shape), minlength=shape[0] * shape[1]).reshape(shape))

    @property
    def probabilities(self) -> Floats:
        """Share of the frames in each bin."""
        return np.asarray(self.counts / max(len(self.x), 1))

    def independent(self) -> float:
        """So many independent frames the correlated ones are worth: by the slower of the coordinates, on a circle where they are periodic."""
        series = [turn(np.radians(values)) for values in (self.x, self.y) for turn in (np.cos, np.sin)] if self.periodic else [self.x, self.y]
        return len(self.x) / max(inefficiency(each) for each in series)

    @property
    def periodic(self) -> bool:
        """Both coordinates go round in a circle, degrees."""
        return all(float(edges[-1] - edges[0]) == 360.0 for edges in self.edges)


def torsion_surface(phi: Floats, psi: Floats, name: str = "", axes: tuple[str, str] = PHI_PSI) -> Surface:
    """The surface of two torsions.

    Args:
        phi: Along the frames, degrees, (f,).
        psi: The other one.
        name: Whose they are.
        axes: What they are.
    """
    whole = [(np.asarray(each, dtype=np.float64) + 180.0) % 360.0 - 180.0 for each in (phi, psi)]
    return Surface(name, axes, (CIRCLE, CIRCLE), *whole)


def spread_edges(values: Floats) -> Floats:
    """Edges of equal bins from the least to the largest value.

    Args:
        values: Of a coordinate, in the reference.
    """
    low, high = float(np.min(values)), float(np.max(values))
    return np.linspace(low, high if high > low else low + 1.0, BINS + 1)


def jensen_shannon(p: Floats, q: Floats) -> float:
    """Jensen-Shannon divergence, 1/2 KL(p|m) + 1/2 KL(q|m) with m = (p + q)/2, natural logarithm (Lin 1991, 10.1109/18.61115).

    Args:
        p: Probabilities in bins.
        q: Others in the same bins.

    Returns:
        From 0 (equal) to ln 2 = 0.693 (nothing in common).
    """
    one, other = (np.asarray(each, dtype=np.float64).ravel() / np.sum(each) for each in (p, q))
    middle = 0.5 * (one + other)
    parts = [each[each > 0] @ np.log(each[each > 0] / middle[each > 0]) for each in (one, other)]
    return max(0.0, float(0.5 * sum(parts)))


def js_floor(p: Floats, frames: float, draws: int = 100, seed: int = 0, others: float | None = None) -> float:
    """How far independent frames of one and the same distribution are apart from it, in the mean.

    Args:
        p: Probabilities in bins.
        frames: Independent frames that are drawn.
        draws: How often, multinomially.
        seed: Of the draws.
        others: Independent frames of the second sample, where that is finite too; else it is `p` itself.
    """
    drawn = _drawn(p, frames, draws, seed)
    seconds = np.broadcast_to(np.ravel(p), drawn.shape) if others is None else _drawn(p, others, draws, seed + 1)
    return float(np.mean([jensen_shannon(second, first) for first, second in zip(drawn, seconds, strict=True)]))


def _drawn(p: Floats, frames: float, draws: int, seed: int) -> Floats:
    """Shares of the bins in samples, (draws, bins)."""
    flat, count = np.ravel(np.asarray(p, dtype=np.float64)), max(1, round(frames))
    return np.asarray(np.random.default_rng(seed).multinomial(count, flat / flat.sum(), size=draws) / count)


def thermal(temperature: float) -> float:
    """RT, kcal/mol.

    Args:
        temperature: K.
    """
    return BOLTZMANN * temperature / KJ_PER_KCAL


def free_energies(p: Floats, temperature: float) -> Floats:
    """-RT ln p above the lowest bin, kcal/mol; not a number where nothing was seen.

    Args:
        p: Probabilities in bins.
        temperature: K.
    """
    seen = np.where(np.asarray(p) > 0, p, np.nan)
    return np.asarray(-thermal(temperature) * np.log(seen / np.nanmax(seen)))


def fes_difference(p: Floats, q: Floats, temperature: float) -> Floats:
    """How far the free energies of q lie above those of p, both normalised: -RT ln(q/p), kcal/mol; not a number where p is hardly known.

    A bin in which q saw nothing counts as half of its least known share, so that the difference is at least that large.

    Args:
        p: Probabilities of the reference in bins.
        q: Of the other, in the same bins.
        temperature: K.
    """
    p, q = np.asarray(p, dtype=np.float64), np.asarray(q, dtype=np.float64)
    least = 0.5 * float(q[q > 0].min()) if (q > 0).any() else 0.5
    ratio = np.where(q > 0, q, least) / np.where(p > KNOWN, p, np.nan)
    return np.asarray(-thermal(temperature) * np.log(ratio))


def fes_error(p: Floats, q: Floats, temperature: float) -> float:
    """Mean absolute error of free energies in the bins that the reference knows (p > 0.001), kcal/mol.

    Args:
        p: Probabilities of the reference in bins.
        q: Of the other, in the same bins.
        temperature: K.
    """
    return float(np.nanmean(np.abs(fes_difference(p, q, temperature))))


def fes_floor(p: Floats, frames: float, temperature: float, draws: int = 100, seed: int = 0) -> float:
    """The error that independent frames of the reference itself have in the mean, kcal/mol.

    Args:
        p: Probabilities of the reference in bins.
        frames: Independent frames that are drawn.
        temperature: K.
        draws: How often, multinomially.
        seed: Of the draws.
    """
    return float(np.mean([fes_error(np.ravel(p), q, temperature) for q in _drawn(p, frames, draws, seed)]))


@dataclass(frozen=True)
class Patch:
    """A part of the map of phi and psi that has a name.

    Args:
        name: What people call it.
        boxes: Phi from, to, psi from, to, degrees; an end beyond 180 goes round.
    """

    name: str
    boxes: tuple[tuple[float, float, float, float], ...]

    def holds(self, phi: Floats, psi: Floats) -> Flags:
        """True where a place is inside.

        Args:
            phi: Degrees.
            psi: The same shape.
        """
        inside = np.zeros(np.shape(phi), dtype=np.bool_)
        for low, high, bottom, top in self.boxes:
            inside |= ((phi - low) % 360.0 < high - low) & ((psi - bottom) % 360.0 < top - bottom)
        return inside


RAMACHANDRAN = (
    Patch("alpha-R", ((-160.0, -20.0, -120.0, 50.0),)),
    Patch("beta", ((-180.0, -90.0, 50.0, 240.0), (160.0, 180.0, 110.0, 180.0))),
    Patch("PPII", ((-90.0, -20.0, 50.0, 240.0),)),
    Patch("alpha-L", ((20.0, 160.0, -50.0, 120.0),)),
)
"""Basins of the peptide backbone: right-handed helix, extended, and polyproline II as used for alanine peptides (Graf 2007, 10.1021/ja0660406;
Best 2008, 10.1529/biophysj.108.132696; with C7eq in PPII); the left-handed helix is the mirror image of the right-handed one."""


@dataclass(frozen=True)
class Basin:
    """How much of the frames a basin holds.

    Args:
        name: What people call it.
        share: Of the frames.
        share_error: Its standard error; none where the run is too short to tell, or never left the basin.
        free_energy: Above the basin that all are compared with, kcal/mol; none where it was never seen.
        error: Standard error; none where the basin was seen too rarely to tell.
    """

    name: str
    share: float
    share_error: float | None
    free_energy: float | None
    error: float | None


def basins(
    surface: Surface, temperature: float, patches: Sequence[Patch] = RAMACHANDRAN, *, above: str = "", draws: int = 400, seed: int = 0
) -> tuple[Basin, ...]:
    """Basins of a surface of phi and psi.

    Args:
        surface: Its frames in the order of time; copies one after the other.
        temperature: K.
        patches: The basins, which do not overlap.
        above: Name of the basin that all are compared with; the fullest when left out.
        draws: Of the bootstrap over blocks of frames that are longer than their memory.
        seed: Of the draws.
    """
    inside = np.stack([patch.holds(surface.x, surface.y) for patch in patches], axis=1)
    return populations(inside, tuple(patch.name for patch in patches), temperature, above=above, draws=draws, seed=seed)


def populations(inside: Flags, names: Sequence[str], temperature: float, *, above: str = "", draws: int = 400, seed: int = 0) -> tuple[Basin, ...]:
    """Shares and free energies of states, with errors by bootstrap over blocks of frames.

    Args:
        inside: True where a frame is in a state, (f, states), in the order of time.
        names: Of the states.
        temperature: K.
        above: Name of the state that all are compared with; the fullest when left out.
        draws: Of the bootstrap.
        seed: Of the draws.
    """
    shares = inside.mean(axis=0)
    zero = names.index(above) if above in names else int(np.argmax(shares))
    drawn = _redrawn(inside, draws, seed)
    return tuple(_state(name, shares[[k, zero]], drawn[:, [k, zero]], thermal(temperature)) for k, name in enumerate(names))


def _redrawn(inside: Flags, draws: int, seed: int) -> Floats:
    """Shares of the states in samples of blocks, (draws, states); none where there are too few blocks."""
    memory = max((inefficiency(column) for column in inside.T.astype(np.float64)), default=1.0)
    blocks = int(len(inside) / (2.0 * memory)) if memory > 1.0 else len(inside)
    if blocks < FEWEST_BLOCKS:
        return np.zeros((0, inside.shape[1]))
    edges = np.linspace(0, len(inside), min(blocks, 1000) + 1).astype(np.int64)
    counts = np.add.reduceat(inside.astype(np.float64), edges[:-1], axis=0)
    chosen = np.random.default_rng(seed).multinomial(len(counts), np.full(len(counts), 1.0 / len(counts)), size=draws)
    return np.asarray(chosen @ counts / (chosen @ np.diff(edges))[:, None])


def _state(name: str, shares: Floats, drawn: Floats, scale: float) -> Basin:
    """A state from its own share and that of the one with which it is compared."""
    if not shares[0]:
        return Basin(name, 0.0, None, None, None)
    energy = float(scale * np.log(shares[1] / shares[0])) if shares[1] else None
    there = drawn[(drawn > 0).all(axis=1)]
    known = energy is not None and len(there) > OFTEN * len(drawn)
    error = float((scale * np.log(there[:, 1] / there[:, 0])).std()) if known else None
    return Basin(name, float(shares[0]), float(drawn[:, 0].std()) if len(drawn) and shares[0] < 1.0 else None, energy, error)
