"""Profiles: energies around a circle - minima, barriers, what one angle costs - and whether one method describes them as another does.

Knows numbers and must not know molecules. Energies are in kcal/mol, as people read them, angles in degrees, evenly spaced from -180.
"""

from dataclasses import dataclass

import numpy as np

from studio.structure import Floats, Integers
from studio.units import BOLTZMANN, KJ_PER_KCAL

RMSE = 1.0
"""Weighted deviation beyond which a profile is flagged, kcal/mol: chemical accuracy, and what good torsion parameters reach over drug fragments."""
MISPLACED = 1.0
"""A shape that one method calls a minimum and another puts higher than this is flagged, kcal/mol: at room temperature populations are off by 5."""
BARRIER = 2.0
"""Barriers that differ by more are flagged, kcal/mol: rates are off by a factor of 30."""
CROSSED = 9.0
"""A barrier that both put higher than this is not crossed within a microsecond at room temperature, and how much higher matters little, kcal/mol."""
POPULATED = 2.0
"""Minima higher than this are hardly met at room temperature, kcal/mol."""
ALIKE = 0.05
"""Energies that differ by less are told once where angles are mirror images, kcal/mol."""
SHALLOW = 0.2
"""What has to be climbed out of a minimum for it to count, kcal/mol."""


def minima(energies: Floats) -> Integers:
    """Indices of the minima of a profile, the lowest first; ripples are none.

    Args:
        energies: (g,), kcal/mol.
    """
    kept: list[int] = []
    for index in np.argsort(energies, kind="stable").tolist():
        if np.isfinite(energies[index]) and all(saddle(energies, index, other) > energies[index] + SHALLOW for other in kept):
            kept.append(index)
    return np.array(kept, dtype=np.int64)


def saddle(energies: Floats, one: int, other: int) -> float:
    """The highest point on the easier way around the circle from one index to the other; infinite where neither is known throughout.

    Args:
        energies: (g,), kcal/mol.
        one: From.
        other: To.
    """
    first, last = sorted((one, other))
    ways = energies[first : last + 1], np.concatenate([energies[last:], energies[: first + 1]])
    return float(min(np.nan_to_num(way, nan=np.inf).max() for way in ways))


def ends(energies: Floats) -> tuple[int, int]:
    """Indices of the two lowest minima, between which a barrier is measured; the same one twice where there is no other.

    Args:
        energies: (g,), kcal/mol.
    """
    lowest, *others = minima(energies).tolist()
    return lowest, others[0] if others else lowest


def barrier(energies: Floats, between: tuple[int, int]) -> float:
    """The least climb, from the lowest point, that leads from one index to another; all around where they are the same, kcal/mol.

    Infinite where there are gaps on either way.

    Args:
        energies: (g,), kcal/mol.
        between: Indices, the same ones for all methods that are compared.
    """
    top = saddle(energies, *between) if between[0] != between[1] else float(np.nanmax(energies))
    return top - float(np.nanmin(energies))


def at(angles: Floats, energies: Floats, places: Floats) -> Floats:
    """Energies between the points of a profile, by a straight line.

    Args:
        angles: (g,), degrees.
        energies: (g,), kcal/mol.
        places: Where, degrees.
    """
    known = np.isfinite(energies)
    return np.asarray(np.interp(places, angles[known], energies[known], period=360.0))


@dataclass(frozen=True)
class Agreement:
    """How one profile compares with a reference.

    Args:
        rmse: After the best shift, each angle weighted by how far either method populates it, kcal/mol.
        barrier: Of the one, between the lowest minima of the reference, kcal/mol.
        reference_barrier: Of the reference, kcal/mol.
        reasons: Why it is described badly, clauses; none where it is described well.
    """

    rmse: float
    barrier: float
    reference_barrier: float
    reasons: tuple[str, ...]

    @property
    def good(self) -> bool:
        """Nothing speaks against it."""
        return not self.reasons


def agreement(angles: Floats, energies: Floats, reference: Floats, temperature: float) -> Agreement:
    """Compare a profile with a reference.

    Weights are exp(-E/kT) of whichever method is lower at an angle, so that a minimum counts that only one of them has.

    Args:
        angles: (g,), degrees.
        energies: To be judged, (g,), kcal/mol.
        reference: (g,), kcal/mol.
        temperature: K.
    """
    known = np.isfinite(energies) & np.isfinite(reference)
    ours, theirs = (np.where(known, profile - profile[known].min(), np.nan) for profile in (energies, reference))
    weights = np.exp(-np.fmin(ours, theirs)[known] * KJ_PER_KCAL / (BOLTZMANN * temperature))
    apart = (ours - theirs)[known]
    rmse = float(np.sqrt(np.average((apart - np.average(apart, weights=weights)) ** 2, weights=weights)))
    between = ends(theirs)
    heights = barrier(ours, between), barrier(theirs, between)
    reasons = [f"the weighted deviation is {rmse:.1f} kcal/mol"] if rmse > RMSE else []
    reasons += [f"the reference's minimum at {angle:.0f}° is {cost:.1f} kcal/mol too high" for angle, cost in _misplaced(angles, theirs, ours)]
    reasons += [f"its minimum at {angle:.0f}° is {cost:.1f} kcal/mol too low" for angle, cost in _misplaced(angles, ours, theirs)]
    if np.isfinite(heights).all() and abs(heights[0] - heights[1]) > BARRIER and min(heights) < CROSSED:
        reasons.append(f"its barrier is {heights[0]:.1f} instead of {heights[1]:.1f} kcal/mol")
    return Agreement(rmse, *heights, tuple(reasons))


def _misplaced(angles: Floats, of: Floats, by: Floats) -> list[tuple[float, float]]:
    """Angle and excess of the populated minima of one profile by another one, where that is large; mirror images once.

    The other profile may have its minimum one grid point aside.
    """
    found: list[tuple[float, float]] = []
    for index in minima(of).tolist():
        excess = float(np.fmin.reduce(by[[index - 1, index, (index + 1) % len(by)]])) - float(of[index])
        twin = any(np.isclose(abs(angles[index]), abs(angle)) and abs(excess - cost) < ALIKE for angle, cost in found)
        if of[index] < POPULATED and excess > MISPLACED and not twin:
            found.append((float(angles[index]), excess))
    return found
