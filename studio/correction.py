"""Correction: from an ensemble or free energy by MM to one by NNP/MM - what changing the ligand's description costs.

    U(R; lambda) = U_MM(R) + lambda B(R),   B = E_NNP(R_L) - U_MM^LL(R_L)

All that is needed of a sample is its bracket B, whatever lambda it was drawn at, because the reduced potential in another
state differs by (lambda' - lambda) B / kT. Knows MM systems, bound potentials and samples; must not know how these were
drawn, nor who asks. Energies in kJ/mol, free energies in kJ/mol.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from studio.estimators import Convergence, Difference, Estimate, bar, convergence, exponential, free_energies, subsample
from studio.forcefield.base import MMSystem
from studio.hybrid.boundary import Part
from studio.hybrid.region_mm import RegionMM
from studio.potentials.base import BoundPotential, evaluate_batch
from studio.structure import Floats
from studio.units import BOLTZMANN

CHUNK = 32
"""Frames in one call of the network: larger ones are hardly faster and cannot be stopped."""
DROPPED = 0.2
"""Share of each window that is left out as equilibration."""
LEAST_EFFECTIVE = 30.0
"""Effective samples below which a one-sided average is not reported: the mean of 30 weights is known to 18 %, its error by the delta method to worse."""
LEAST_SHARE = 0.05
"""Share of the samples that has to count: of normal brackets that means a spread below 1.7 kT. Above it the average rests on a tail that is not sampled."""
LEAST_OVERLAP = 0.03
"""Neighbouring states that share less are not connected (Klimovich, Shirts and Mobley 2015, 10.1007/s10822-015-9840-9)."""


class Brackets:
    """B of a region at many places, in batched calls of the network.

    Args:
        mm: The parametrised structure.
        part: The region, capped where bonds are cut.
        potential: Bound to the capped region.
    """

    def __init__(self, mm: MMSystem, part: Part, potential: BoundPotential) -> None:
        self._part, self._potential, self._shadow = part, potential, RegionMM(mm, part)

    def __call__(self, positions: Floats, boxes: Floats | None, on_chunk: Callable[[int], None] | None = None) -> Floats:
        """B of each frame, (f,), kJ/mol, with the network's own zero of energy.

        Args:
            positions: Of the region and its hosts (`part.seen`), (f, s, 3), nm, in any images.
            boxes: Box vectors of each frame, (f, 3, 3), nm, or none.
            on_chunk: Called with the frames done so far; what it raises ends the work.
        """
        found = []
        for first in range(0, len(positions), CHUNK):
            places = positions[first : first + CHUNK].astype(np.float64)
            images = [None] * len(places) if boxes is None else list(boxes[first : first + CHUNK].astype(np.float64))
            whole = [self._part.whole(place, box) for place, box in zip(places, images, strict=True)]
            energies = evaluate_batch(self._potential, np.stack([self._part.cap(place) for place in whole])).energies
            found.append(energies - np.array([self._shadow(place).energy for place in whole]))
            if on_chunk:
                on_chunk(first + len(places))
        return np.concatenate(found) if found else np.zeros(0)


@dataclass(frozen=True, eq=False)
class OneSided:
    """A free energy from samples of one end alone.

    Args:
        value: kJ/mol.
        error: Its standard error, kJ/mol.
        effective: Samples that count, Kish.
        samples: Uncorrelated ones.
        spread: Standard deviation of the brackets, kT.
    """

    value: float
    error: float
    effective: float
    samples: int
    spread: float

    @property
    def doubt(self) -> str:
        """Why it is not to be reported, a sentence; empty if it is."""
        if self.effective < LEAST_EFFECTIVE:
            return f"Only {self.effective:.0f} samples count of {self.samples} that are uncorrelated; {LEAST_EFFECTIVE:.0f} are the least."
        if self.effective < LEAST_SHARE * self.samples:
            return f"Only {100 * self.effective / self.samples:.1f} % of the samples count; {100 * LEAST_SHARE:.0f} % are the least."
        return ""


def one_sided(brackets: Floats, temperature: float, *, reverse: bool = False) -> OneSided:
    """Zwanzig's average over one end, A(1) - A(0).

    Args:
        brackets: Along time at that end, (n,), kJ/mol.
        temperature: K.
        reverse: The samples are of the NNP/MM end.
    """
    kt = BOLTZMANN * temperature
    chosen = brackets[subsample(brackets)] / kt
    found = exponential(-chosen if reverse else chosen)
    sign = -kt if reverse else kt
    return OneSided(sign * found.value, kt * found.error, found.ess, len(chosen), float(chosen.std()))


@dataclass(frozen=True, eq=False)
class Windows:
    """Uncorrelated brackets of several values of lambda, in order.

    Args:
        lambdas: (k,), from 0 to 1.
        brackets: For each lambda (n_k,), kJ/mol.
        rows: For each lambda the rows of its samples that were kept.
        temperature: K.
    """

    lambdas: tuple[float, ...]
    brackets: tuple[Floats, ...]
    rows: tuple[np.ndarray[tuple[int], np.dtype[np.int64]], ...]
    temperature: float

    @classmethod
    def of(cls, lambdas: Sequence[float], series: Sequence[Floats], temperature: float) -> "Windows":
        """Leave out the start of each window, and what is correlated.

        Args:
            lambdas: (k,).
            series: For each lambda the brackets along time, kJ/mol.
            temperature: K.
        """
        rows = tuple(subsample(brackets, DROPPED) for brackets in series)
        return cls(tuple(lambdas), tuple(brackets[kept] for brackets, kept in zip(series, rows, strict=True)), rows, temperature)

    @property
    def counts(self) -> list[int]:
        """Samples of each window."""
        return [len(brackets) for brackets in self.brackets]

    @property
    def reduced(self) -> Floats:
        """Potential of every sample in every state, less that of MM, (k, n), kT."""
        return np.outer(self.lambdas, np.concatenate(self.brackets)) / (BOLTZMANN * self.temperature)

    def estimate(self) -> Estimate:
        """MBAR over all windows, kT; errors are not numbers where windows do not overlap."""
        with np.errstate(invalid="ignore"):
            return free_energies(self.reduced, self.counts)

    def convergence(self) -> Convergence:
        """The whole difference from growing parts of the samples, kT."""
        with np.errstate(invalid="ignore"):
            return convergence(self.reduced, self.counts)

    def bar(self) -> Difference:
        """Both ends alone (Bennett), kT."""
        kt = BOLTZMANN * self.temperature
        with np.errstate(invalid="ignore"):  # rounding can leave a variance of zero a little negative
            return bar(self.brackets[0] / kt, -self.brackets[-1] / kt)

    def weights(self, estimate: Estimate, lam: float) -> Floats:
        """Weights of all samples in the ensemble of one lambda, (n,), summing to one (Shirts and Chodera 2008, eq. 13).

        Args:
            estimate: Of these windows.
            lam: Wanted; need not be one of the windows.
        """
        reduced, counts = self.reduced, np.array(self.counts)
        mixture = estimate.values[:, None] - reduced + np.log(counts)[:, None]
        top = mixture.max(axis=0)
        wanted = -lam * np.concatenate(self.brackets) / (BOLTZMANN * self.temperature)
        logs = wanted - top - np.log(np.exp(mixture - top).sum(axis=0))
        weights = np.exp(logs - logs.max())
        return np.asarray(weights / weights.sum())


def doubt_of(estimate: Estimate, lambdas: Sequence[float]) -> str:
    """Why a free energy over windows is not to be reported, a sentence; empty if it is.

    Args:
        estimate: Of the windows.
        lambdas: Of the windows.
    """
    poor = [index for index, overlap in enumerate(estimate.neighbours) if not overlap >= LEAST_OVERLAP]
    if not poor:
        return ""
    first = poor[0]
    return (
        f"The windows lambda = {lambdas[first]:g} and {lambdas[first + 1]:g} share {100 * estimate.neighbours[first]:.1f} % of their samples, "
        f"and {100 * LEAST_OVERLAP:.0f} % are the least. Add a window between them, or sample longer."
    )


def effective(weights: Floats) -> float:
    """Kish's effective number of samples of weights.

    Args:
        weights: (n,), not negative.
    """
    return float(weights.sum() ** 2 / np.square(weights).sum())
