"""Transfer estimate: the free energy of a transfer from the energies of its windows, and what says whether to believe it.

Knows paths and energies; must not know how they were sampled, nor what was moved.
"""

from dataclasses import dataclass

import numpy as np

from studio.estimators import Convergence, Difference, Estimate, bar, convergence, exponential, free_energies, inefficiency, subsample
from studio.structure import Floats, Integers
from studio.transfer import Path
from studio.units import BOLTZMANN, KJ_PER_KCAL

POOR = 0.03
"""Overlap of neighbours below which an estimate is not to be trusted; Klimovich, Shirts and Mobley 2015, 10.1007/s10822-015-9840-9."""
FEW = 10
"""Effective samples of an end below which it counts as not seen."""
GAP = 0.5
"""Halves of a run may always differ by so much, kcal/mol."""
ENOUGH = 40
"""Sweeps, the start left out, without which nobody can tell whether anything has settled."""
CROSSING = 2
"""Copies that have to pass every place of the ladder: what no copy ever left is not sampled but remembered."""
PARTS = 8
"""Points of the convergence curves."""


@dataclass(frozen=True, eq=False)
class TransferEstimate:
    """What the windows say.

    Args:
        estimate: MBAR over the bound end, the windows, and the unbound end; kT.
        by_bar: Unbound to bound by BAR from window to window, a check; kT.
        converging: The same by MBAR from growing parts of the samples; kT.
        samples: Uncorrelated samples of each window, (windows,).
        inefficiencies: Sweeps that one of them took, (windows,).
        halves: From the first and from the second half of the samples.
        kt: kT, kcal/mol.
        sweeps: That were looked at.
        crossed: Copies that were on both sides of the least crossed place of the ladder; none where it is not known.
    """

    estimate: Estimate
    by_bar: Difference
    converging: Convergence
    samples: Integers
    inefficiencies: Floats
    halves: tuple[Difference, Difference]
    kt: float
    crossed: int | None = None
    sweeps: int = ENOUGH

    @property
    def difference(self) -> Difference:
        """Free energy of the bound end less that of the unbound one, kT."""
        return self.estimate.between(len(self.estimate.values) - 1, 0)

    @property
    def overlap(self) -> Floats:
        """Between the windows, (windows, windows)."""
        return self.estimate.overlap[1:-1, 1:-1]

    @property
    def profile(self) -> tuple[Floats, Floats]:
        """Free energy of the windows above the unbound end, kcal/mol, and standard errors, (windows + 2,) each, from the bound end on."""
        values = self.estimate.values - self.estimate.values[-1]
        return self.kt * values, self.kt * self.estimate.errors[:, -1]

    @property
    def doubts(self) -> tuple[str, ...]:
        """Why not to trust it, a sentence each; none where nothing speaks against it."""
        found = []
        if self.sweeps < ENOUGH:
            found.append(
                f"Do not trust this number: after {self.sweeps} sweeps the copies still remember their start, expected {ENOUGH} or more. Sample longer."
            )
        neighbours = np.minimum(np.diagonal(self.overlap, 1), np.diagonal(self.overlap, -1))
        if neighbours.min() < POOR:
            worst = int(neighbours.argmin()) + 1
            found.append(
                f"Do not trust this number: windows {worst} and {worst + 1} overlap by {neighbours.min():.3f}, expected {POOR:g} or more. "
                "Take more windows, or sample longer."
            )
        first, second = self.halves
        apart, error = self.kt * abs(first.value - second.value), self.kt * float(np.hypot(first.error, second.error))
        if apart > max(GAP, 2 * error):
            found.append(
                f"Do not trust this number: the first and the second half of the samples differ by {apart:.1f} kcal/mol, expected {max(GAP, 2 * error):.1f} or "
                "less. Sample longer."
            )
        if min(self.estimate.ess[0], self.estimate.ess[-1]) < FEW:
            found.append(f"Do not trust this number: an end of the path is represented by less than {FEW} effective samples. Sample longer.")
        if self.crossed is not None and self.crossed < CROSSING:
            found.append(
                f"Do not trust this number: somewhere on the way {self.crossed} copies went from one side to the other, expected {CROSSING} or more. "
                "Until then bound and unbound are where the start put them, whatever the error says. Sample longer."
            )
        return tuple(found)


def estimated(path: Path, bound: Floats, unbound: Floats, temperature: float, discard: float = 0.2, *, walkers: Integers | None = None) -> TransferEstimate:
    """The free energy of the bound end less that of the unbound one.

    Args:
        path: The windows.
        bound: U0 of every sample, (sweeps, windows), kJ/mol.
        unbound: U1, likewise.
        temperature: K.
        discard: Share of the sweeps at the start that is left out as equilibration.
        walkers: Which copy was in each window, (sweeps, windows).
    """
    count, kt = len(path.windows), BOLTZMANN * temperature
    columns, rates = [], []
    start = int(discard * len(bound))
    for window in range(count):
        u = path.energies(bound[start:, window], unbound[start:, window]) / kt
        # The step to the neighbour is what the estimate is made of, so that its memory counts.
        step = u[window + 1] - u[window + 2] if window < count - 1 else u[window] - u[window + 1]
        columns.append(u[:, subsample(step)])
        rates.append(inefficiency(step))
    counts = [block.shape[1] for block in columns]
    u_kn, n_k = np.concatenate(columns, axis=1), np.array([0, *counts, 0])
    curve = convergence(u_kn, n_k, first=count + 1, last=0, parts=PARTS)
    half = PARTS // 2 - 1
    return TransferEstimate(
        free_energies(u_kn, n_k),
        _chain(columns),
        curve,
        np.array(counts, dtype=np.int64),
        np.array(rates),
        (Difference(curve.forward[half], curve.forward_errors[half]), Difference(curve.reverse[half], curve.reverse_errors[half])),
        kt / KJ_PER_KCAL,
        None if walkers is None else crossed(walkers[start:]),
        len(bound) - start,
    )


def _chain(columns: list[Floats]) -> Difference:
    """From the unbound end to the bound one, window by window; the last bits by exponential averages."""
    last = len(columns) - 1
    steps = [bar(columns[k + 1][k + 1] - columns[k + 1][k + 2], columns[k][k + 2] - columns[k][k + 1]) for k in range(last)]
    ends = [exponential(columns[0][0] - columns[0][1]), exponential(columns[last][last + 2] - columns[last][last + 1])]
    value = sum(step.value for step in steps) + ends[0].value - ends[1].value
    return Difference(value, float(np.sqrt(sum(step.error**2 for step in (*steps, *ends)))))


def travelled(walkers: Integers) -> int:
    """Copies that were in the first window and in the last one.

    Args:
        walkers: Which copy was in each window, (sweeps, windows).
    """
    return len(set(walkers[:, 0].tolist()) & set(walkers[:, -1].tolist())) if len(walkers) else 0


def crossed(walkers: Integers) -> int:
    """Copies that were on both sides of a place of the ladder, at the place where they are fewest.

    Args:
        walkers: Which copy was in each window, (sweeps, windows).
    """
    if not len(walkers):
        return 0
    windows = walkers.argsort(axis=1)
    first, last = windows.min(axis=0), windows.max(axis=0)
    return min(int(((first <= cut) & (last > cut)).sum()) for cut in range(walkers.shape[1] - 1))


def histogram(path: Path, bound: Floats, unbound: Floats, bins: int = 60) -> tuple[Floats, Floats]:
    """Distribution of U0 - U1 in each window: centres (bins,), kcal/mol, and densities (windows, bins), mol/kcal; what is capped lies in the last bin.

    Args:
        path: The windows.
        bound: U0 of every sample, (sweeps, windows), kJ/mol.
        unbound: U1, likewise.
        bins: How many.
    """
    gaps = np.clip((bound - unbound) / KJ_PER_KCAL, -path.core.limit / KJ_PER_KCAL * 2, path.core.limit / KJ_PER_KCAL)
    edges = np.linspace(float(gaps.min()) - 0.5, float(gaps.max()) + 0.5, bins + 1)
    densities = [np.histogram(gaps[:, window], edges, density=True)[0] for window in range(len(path.windows))]
    return 0.5 * (edges[1:] + edges[:-1]), np.array(densities)
