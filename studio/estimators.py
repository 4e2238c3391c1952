"""Estimators: free-energy differences from samples, with errors, overlap, and how many samples really count.

All energies and free energies are reduced: in units of kT, without dimension. Knows numbers (and pymbar, imported when it
is used); must not know what was sampled, nor at which temperature.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

__all__ = ["Convergence", "Difference", "Estimate", "bar", "convergence", "exponential", "free_energies", "inefficiency", "subsample"]

TOLERANCE = 1e-10
"""Relative, of the self-consistent equations."""
ITERATIONS = 200
"""Newton steps or plain iterations, whichever is better: ten are enough where states overlap, and none where they do not."""
NOTHING = 1e-6
"""Overlap below which two states have nothing to do with each other."""


@dataclass(frozen=True)
class Difference:
    """A free-energy difference.

    Args:
        value: In kT.
        error: Its standard error, kT; not a number where it is not known.
        ess: Kish's effective number of samples of the weights it rests on; not a number where there are none.
    """

    value: float
    error: float
    ess: float = np.nan


@dataclass(frozen=True, eq=False)
class Estimate:
    """Free energies of several states from samples of some or all of them.

    Args:
        values: Free energy of each state less that of the first, (k,), kT.
        errors: Standard error of the difference of each pair, (k, k), kT; not a number where no overlapping states link the two.
        overlap: Overlap matrix, (k, k): the chance that a sample of the row's state is one of the column's; rows sum to 1.
        ess: Effective number of samples of each state, (k,).
    """

    values: Floats
    errors: Floats
    overlap: Floats
    ess: Floats

    def between(self, first: int, last: int) -> Difference:
        """The free energy of state `last` less that of state `first`."""
        return Difference(float(self.values[last] - self.values[first]), float(self.errors[first, last]), float(self.ess[last]))

    @property
    def neighbours(self) -> Floats:
        """Overlap of each state with the next one, (k - 1,): the smaller of the two entries."""
        return np.minimum(np.diagonal(self.overlap, 1), np.diagonal(self.overlap, -1))


@dataclass(frozen=True, eq=False)
class Convergence:
    """A free-energy difference from growing parts of the samples, from the start on and from the end back.

    Args:
        fractions: Parts of the samples, (p,), the last one 1.
        forward: From the first samples on, (p,), kT.
        forward_errors: Their standard errors.
        reverse: From the last samples back, (p,), kT.
        reverse_errors: Their standard errors.
    """

    fractions: Floats
    forward: Floats
    forward_errors: Floats
    reverse: Floats
    reverse_errors: Floats


def free_energies(u_kn: Floats, n_k: Sequence[int] | Integers) -> Estimate:
    """Multistate Bennett acceptance ratio (MBAR) of uncorrelated samples.

    Shirts and Chodera, J. Chem. Phys. 129, 124105 (2008), eqs. 11 and 12; overlap: Klimovich, Shirts and Mobley, J. Comput.
    Aided Mol. Des. 29, 397 (2015), eq. 16; effective samples: Kish, 1 / sum w^2.

    Args:
        u_kn: Reduced potential of every sample in every state, (k, n); samples of the first state come first, and so on.
        n_k: Samples of each state, (k,); 0 for a state that was not sampled.
    """
    pymbar = _pymbar()
    with _quiet():
        mbar = pymbar.MBAR(
            np.asarray(u_kn, dtype=np.float64),
            np.asarray(n_k),
            relative_tolerance=TOLERANCE,
            maximum_iterations=ITERATIONS,
            solver_protocol=({"method": "adaptive"},),
        )
        found = mbar.compute_free_energy_differences()
        overlap = np.asarray(mbar.compute_overlap()["matrix"], dtype=np.float64)
        ess = np.asarray(mbar.compute_effective_sample_number(), dtype=np.float64)
    errors = np.where(_connected(overlap), np.asarray(found["dDelta_f"], dtype=np.float64), np.nan)
    return Estimate(np.asarray(found["Delta_f"], dtype=np.float64)[0], errors, overlap, ess)


def _connected(overlap: Floats) -> NDArray[np.bool_]:
    """Which pairs of states are linked by states that overlap; of the others the asymptotic error says nothing."""
    from scipy.sparse.csgraph import connected_components

    _, part = connected_components(np.maximum(overlap, overlap.T) > NOTHING, directed=False)
    return np.asarray(part[:, None] == part[None, :])


def bar(forward: Floats, reverse: Floats) -> Difference:
    """Bennett acceptance ratio between two states, from uncorrelated work values.

    Bennett, J. Comput. Phys. 22, 245 (1976); Shirts et al., Phys. Rev. Lett. 91, 140601 (2003), eq. 8.

    Args:
        forward: u_1 - u_0 of the samples of state 0, (n,).
        reverse: u_0 - u_1 of the samples of state 1, (m,).
    """
    pymbar = _pymbar()
    with _quiet(), np.errstate(invalid="ignore"):  # rounding can leave a variance of zero a little negative
        found = pymbar.other_estimators.bar(np.asarray(forward, dtype=np.float64), np.asarray(reverse, dtype=np.float64))
    return Difference(float(found["Delta_f"]), float(np.nan_to_num(found["dDelta_f"])))


def exponential(work: Floats) -> Difference:
    """Exponential average (Zwanzig, J. Chem. Phys. 22, 1420 (1954)): dF = -ln <exp(-w)>, error by the delta method.

    Only to be believed where `ess` is a good part of the samples.

    Args:
        work: u_1 - u_0 of uncorrelated samples of state 0, (n,).
    """
    work = np.asarray(work, dtype=np.float64)
    lowest = float(work.min())
    weights = np.exp(lowest - work)
    mean, count = float(weights.mean()), len(work)
    error = float(weights.std(ddof=1)) / mean / np.sqrt(count) if count > 1 else np.nan
    return Difference(lowest - float(np.log(mean)), error, float(weights.sum() ** 2 / (weights**2).sum()))


def inefficiency(series: Floats) -> float:
    """Statistical inefficiency g >= 1 of a time series: so many samples are worth one independent sample.

    Chodera et al., J. Chem. Theory Comput. 3, 26 (2007), eqs. 20 to 22.

    Args:
        series: Equally far apart in time, (n,).
    """
    series = np.asarray(series, dtype=np.float64)
    if len(series) < 3 or float(np.ptp(series)) <= 1e-12 * max(1.0, float(np.abs(series).max())):
        return 1.0
    return float(_pymbar().timeseries.statistical_inefficiency(series))


def subsample(series: Floats, drop: float = 0.0) -> Integers:
    """Indices of samples that are as good as uncorrelated.

    Args:
        series: A quantity along time, (n,), such as the energy between neighbouring states.
        drop: Share of the samples at the start that is left out as equilibration, 0 to 1.
    """
    start = int(drop * len(series))
    step = inefficiency(series[start:])
    count = max(1, int((len(series) - start) / step)) if len(series) > start else 0
    return np.asarray(start + np.floor(step * np.arange(count)), dtype=np.int64)


def convergence(u_kn: Floats, n_k: Sequence[int] | Integers, first: int = 0, last: int = -1, parts: int = 8) -> Convergence:
    """The difference between two states from growing parts of the samples, forward and in reverse.

    Klimovich, Shirts and Mobley, J. Comput. Aided Mol. Des. 29, 397 (2015), section "Convergence".

    Args:
        u_kn: As for `free_energies`; the samples of each state in order of time.
        n_k: Samples of each state.
        first: The state that is subtracted.
        last: The other one.
        parts: How many parts.
    """
    n_k, fractions = np.asarray(n_k), np.arange(1, parts + 1) / parts
    starts = np.concatenate([[0], np.cumsum(n_k)[:-1]])

    def part(fraction: float, back: bool) -> tuple[float, float]:
        taken = np.where(n_k > 0, np.maximum(1, np.round(fraction * n_k).astype(int)), 0)
        begins = starts + (n_k - taken if back else 0)
        columns = np.concatenate([np.arange(begin, begin + count) for begin, count in zip(begins, taken, strict=True)])
        found = free_energies(u_kn[:, columns], taken).between(first, last)
        return found.value, found.error

    forward, reverse = (np.array([part(fraction, back) for fraction in fractions]) for back in (False, True))
    return Convergence(fractions, forward[:, 0], forward[:, 1], reverse[:, 0], reverse[:, 1])


class _quiet:  # noqa: N801 - used like a function
    """Holds back pymbar's remarks on its solvers (a warning to everybody who has no JAX); its errors pass."""

    def __enter__(self) -> None:
        self._before = logging.root.manager.disable
        logging.disable(logging.WARNING)

    def __exit__(self, *_: object) -> None:
        logging.disable(self._before)


def _pymbar() -> Any:
    with _quiet():
        import pymbar
        import pymbar.other_estimators
        import pymbar.timeseries
    return pymbar
