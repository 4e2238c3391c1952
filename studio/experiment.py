"""Experiment: predicted against measured free energies of binding - errors, ranks, how sure they are, and what has to be beaten.

Knows numbers only, all in kcal/mol; must not know where they come from. What was published stands here too, with its source.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from studio.errors import SettingsError

Floats = NDArray[np.float64]
FEWEST = 3
"""Ligands without which nothing can be said about a series."""
RESAMPLES = 2000
"""Of the bootstrap."""
COVERED = 0.95
"""Share of the resamples that an interval holds."""
OUTLYING = 3.0
"""A ligand whose error is so many times the median one (two standard deviations of normal errors), and above `NOTABLE`, is an outlier."""
NOTABLE = 1.0
"""What chemists call a wrong prediction, kcal/mol: a factor of five in affinity."""


@dataclass(frozen=True)
class Published:
    """A mean absolute error of another method on the same target.

    Args:
        method: Its name.
        mae: kcal/mol.
    """

    method: str
    mae: float


SOURCE = "Sabanes Zariquiey et al. 2024 (10.1021/acs.jcim.3c02031), recomputed from the authors' table"
PUBLISHED: Mapping[str, tuple[Published, Published]] = MappingProxyType({
    name: (Published("ATM, GAFF2", gaff), Published("ATM, ANI-2x/MM", ani))
    for name, gaff, ani in (("tyk2", 0.78, 0.27), ("cdk2", 0.64, 0.72), ("jnk1", 0.99, 0.42), ("p38a", 0.80, 0.78))
})  # fmt: skip
"""Alchemical transfer, by target."""


def rmse(predicted: Floats, measured: Floats) -> float:
    """Root mean square error."""
    return float(np.sqrt(np.mean((predicted - measured) ** 2)))


def mae(predicted: Floats, measured: Floats) -> float:
    """Mean absolute error."""
    return float(np.mean(np.abs(predicted - measured)))


def kendall(predicted: Floats, measured: Floats) -> float:
    """Kendall's tau-b, which counts ties as neither right nor wrong; not a number where all are tied.

    Kendall, Biometrika 33, 239 (1945).
    """
    first, second = (np.sign(np.subtract.outer(values, values)) for values in (predicted, measured))
    pairs = np.sqrt(float((first**2).sum()) * float((second**2).sum()))
    return float((first * second).sum() / pairs) if pairs else float("nan")


def pearson(predicted: Floats, measured: Floats) -> float:
    """Pearson's correlation coefficient; not a number where all values are equal."""
    first, second = predicted - predicted.mean(), measured - measured.mean()
    norm = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return float((first * second).sum()) / norm if norm > 1e-12 else float("nan")


STATISTICS: Mapping[str, Callable[[Floats, Floats], float]] = MappingProxyType({"rmse": rmse, "mae": mae, "tau": kendall, "r": pearson})
"""By name; the first two in kcal/mol, small is good; the others from -1 to 1, large is good."""

ENERGIES = ("rmse", "mae")
"""Those in kcal/mol."""


@dataclass(frozen=True)
class Figure:
    """A statistic with its interval.

    Args:
        value: Of all ligands.
        low: Below it lie 2.5 % of the resamples.
        high: Above it lie 2.5 %.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Agreement:
    """How well one set of predictions agrees with the measurements.

    Args:
        predicted: As compared, with the shift, (n,), kcal/mol.
        shift: What was added to each, kcal/mol.
        figures: By the names in `STATISTICS`.
        drawn: The same of each resample, (resamples,).
    """

    predicted: Floats
    shift: float
    figures: Mapping[str, Figure]
    drawn: Mapping[str, Floats]


def agreement(predicted: Floats, measured: Floats, *, shifted: bool, seed: int = 0, resamples: int = RESAMPLES) -> Agreement:
    """Compare predictions with measurements; intervals by the percentile bootstrap over ligands (Efron, Ann. Stat. 7, 1 (1979)).

    Args:
        predicted: (n,), kcal/mol.
        measured: (n,), kcal/mol.
        shifted: Give the predictions the mean of the measurements first, in each resample anew: for methods without an absolute scale.
        seed: Random seed of the resamples; equal seeds draw equal ligands, so that methods can be compared pair by pair.
        resamples: How many.

    Raises:
        SettingsError: Fewer than three ligands, or a value is not a number.
    """
    predicted, measured = np.asarray(predicted, dtype=np.float64), np.asarray(measured, dtype=np.float64)
    _check(predicted, measured)
    shift = float((measured - predicted).mean()) if shifted else 0.0
    rng = np.random.default_rng(seed)
    choices = rng.integers(len(measured), size=(resamples, len(measured)))
    drawn: dict[str, Floats] = {}
    figures = {}
    for name, statistic in STATISTICS.items():
        drawn[name] = np.array([statistic(*_placed(predicted[chosen], measured[chosen], shifted)) for chosen in choices])
        low, high = _interval(drawn[name])
        figures[name] = Figure(statistic(predicted + shift, measured), low, high)
    return Agreement(predicted + shift, shift, figures, drawn)


def fitted(feature: Floats, measured: Floats) -> Floats:
    """The measurements as a straight line of a feature, by least squares: the best that this feature alone can do, (n,), kcal/mol.

    Args:
        feature: Such as the count of heavy atoms, (n,).
        measured: (n,), kcal/mol.
    """
    if np.ptp(feature) == 0.0:
        return np.full(len(measured), measured.mean())
    slope, offset = np.polyfit(feature, measured, 1)
    return np.asarray(slope * feature + offset)


def outliers(predicted: Floats, measured: Floats) -> list[int]:
    """Ligands that disagree far more than the others, the worst first.

    Args:
        predicted: As compared, (n,), kcal/mol.
        measured: (n,), kcal/mol.
    """
    errors = np.abs(predicted - measured)
    limit = max(OUTLYING * float(np.median(errors)), NOTABLE)
    found = [index for index in range(len(errors)) if errors[index] > limit]
    return sorted(found, key=lambda index: -errors[index])


def difference(ours: Agreement, theirs: Agreement, name: str) -> tuple[float, float]:
    """Interval of the difference of a statistic, ours less theirs, over the same resamples; zero within it means that nothing is shown.

    Args:
        ours: Of one method.
        theirs: Of another one, with the same seed.
        name: One of `STATISTICS`.
    """
    return _interval(ours.drawn[name] - theirs.drawn[name])


def _placed(predicted: Floats, measured: Floats, shifted: bool) -> tuple[Floats, Floats]:
    return predicted + (measured - predicted).mean() if shifted else predicted, measured


def _interval(drawn: Floats) -> tuple[float, float]:
    """Where the middle of the resamples lies; those of one ligand only have no correlation and are passed over."""
    known = drawn[np.isfinite(drawn)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1.0 - COVERED) / 2.0, (1.0 + COVERED) / 2.0])
    return float(low), float(high)


def _check(predicted: Floats, measured: Floats) -> None:
    if len(measured) < FEWEST:
        raise SettingsError(f"Expected at least {FEWEST} ligands with both a prediction and a measurement, got {len(measured)}: fewer say nothing.")
    if not (np.isfinite(predicted).all() and np.isfinite(measured).all()):
        raise SettingsError("A prediction or a measurement is not a number. Leave that ligand out.")
