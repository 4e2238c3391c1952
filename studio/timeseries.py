"""Time series: samples of a running simulation in bounded memory, what of them is worth drawing, means with errors, differences.

Knows numbers along time and must not know what they mean or who shows them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Series = NDArray[np.float64]

CAPACITY = 16384
"""Rows kept by default; with twenty columns less than 3 MB."""
MIN_BLOCKS = 16
"""Fewer blocks say too little about their own scatter."""


class Samples:
    """Named columns over one time axis; when full, every second row goes, so that the whole run stays in sight.

    Row `i` is always sample `i * every`: rows are equally far apart in samples, and the first is never lost.

    Args:
        capacity: Rows kept at most; even.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self.every, self.version = 1, 0
        self._columns: dict[str, int] = {}
        self._rows, self._count, self._offered = np.empty((capacity, 1)), 0, 0
        self._newest = np.full(1, np.nan)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, column: str) -> Series:
        return self._rows[: self._count, self._columns[column]]

    @property
    def columns(self) -> tuple[str, ...]:
        """Names, in the order in which they came."""
        return tuple(self._columns)

    @property
    def time(self) -> Series:
        """Times of the rows, ascending."""
        return self._rows[: self._count, 0]

    @property
    def now(self) -> float:
        """Time of the newest sample, kept as a row or not; not a number before the first."""
        return float(self._newest[0])

    def newest(self, column: str) -> float:
        """Value of the newest sample, kept as a row or not.

        Args:
            column: Its name.
        """
        return float(self._newest[self._columns[column]])

    def append(self, time: float, values: Mapping[str, float]) -> None:
        """Take a sample; one from the past first removes what came after it. A new name opens a column, a missing one leaves a gap.

        Args:
            time: Not before the time of the sample that it follows, unless the simulation went back.
            values: By column.
        """
        if time <= self.now:
            self.rewind(time)
        for column in values:
            self.open(column)
        self._newest[:] = np.nan
        self._newest[0] = time
        for column, value in values.items():
            self._newest[self._columns[column]] = value
        if self._offered % self.every == 0:
            self._rows[self._count] = self._newest
            self._count += 1
        self._offered += 1
        if self._count == len(self._rows):
            self._thin()

    def rewind(self, time: float) -> None:
        """Forget the samples at `time` and later."""
        self._count = int(np.searchsorted(self.time, time, side="left"))
        self._offered = self._count * self.every
        self._newest = self._rows[self._count - 1].copy() if self._count else np.full(self._rows.shape[1], np.nan)
        self.version += 1

    def open(self, column: str) -> None:
        """A column that has no values yet; one that exists stays as it is.

        Args:
            column: Its name.
        """
        if column not in self._columns:
            self._columns[column] = self._rows.shape[1]
            self._rows = np.column_stack((self._rows, np.full(len(self._rows), np.nan)))
            self._newest = np.append(self._newest, np.nan)
            self.version += 1

    def close(self, column: str) -> None:
        """Forget a column; one that does not exist is no error.

        Args:
            column: Its name.
        """
        place = self._columns.pop(column, None)
        if place is not None:
            self._rows, self._newest = np.delete(self._rows, place, axis=1), np.delete(self._newest, place)
            self._columns = {name: index - (index > place) for name, index in self._columns.items()}
            self.version += 1

    def _thin(self) -> None:
        kept = self._rows[::2].copy()
        self._rows[: len(kept)] = kept
        self._count, self.every, self.version = len(kept), 2 * self.every, self.version + 1


def stride(count: int, limit: int) -> int:
    """The smallest power of two that leaves at most `limit` of `count` rows.

    Args:
        count: Rows there are.
        limit: Rows wanted at most.
    """
    step = 1
    while -(-count // step) > limit:
        step *= 2
    return step


def around(values: Series, period: float, centre: float = 0.0) -> Series:
    """Values of a periodic quantity in the period that has `centre` in its middle.

    Args:
        values: In the unit of `period`.
        period: 360 for degrees.
        centre: Middle of the result.
    """
    return (values - centre + period / 2) % period + centre - period / 2


def difference(time: Series, values: Series, other_time: Series, other: Series, period: float | None = None) -> tuple[Series, Series]:
    """How far the second series is above the first, at the times of the second that both cover.

    Args:
        time: Times of the first, ascending.
        values: The first; interpolated linearly.
        other_time: Times of the second, ascending.
        other: The second.
        period: Of a periodic quantity; the difference is the shorter way round.

    Returns:
        Times and differences.
    """
    known = np.isfinite(values)
    if not known.any() or not len(other_time):
        return np.empty(0), np.empty(0)
    time, values = time[known], values[known]
    common = (other_time >= time[0]) & (other_time <= time[-1])
    first = np.interp(other_time[common], time, values if period is None else np.unwrap(values, period=period))
    apart = other[common] - first
    return other_time[common], apart if period is None else around(apart, period)


@dataclass(frozen=True)
class Mean:
    """A mean and its standard error, in the unit of the values; not a number where there are too few."""

    value: float
    error: float

    def above(self, other: "Mean", period: float | None = None) -> "Mean":
        """How far this mean is above an independent one.

        Args:
            other: The one to be compared with.
            period: Of a periodic quantity; the shorter way round counts.
        """
        apart = np.array(self.value - other.value)
        return Mean(float(apart if period is None else around(apart, period)), float(np.hypot(self.error, other.error)))


def block_mean(values: Series, period: float | None = None) -> Mean:
    """Mean of correlated values: blocks are doubled until they no longer remember each other; the largest error counts.

    Flyvbjerg and Petersen, J. Chem. Phys. 91, 461 (1989), eqs. 20 and 26: x' = (x_2i-1 + x_2i) / 2, error^2 = c_0 / (n - 1).

    Args:
        values: Equally far apart in time; gaps are left out.
        period: Of a periodic quantity; the mean is then the direction of the mean unit vector.

    Returns:
        The error is not a number for fewer than `MIN_BLOCKS` values.
    """
    values = values[np.isfinite(values)]
    if not len(values):
        return Mean(np.nan, np.nan)
    centre = 0.0
    if period is not None:
        centre = float(np.angle(np.exp(2j * np.pi * values / period).mean())) * period / (2 * np.pi)
        values = around(values, period, centre)
    mean, errors = float(values.mean()), []
    while len(values) >= MIN_BLOCKS:
        errors.append(float(values.std()) / np.sqrt(len(values) - 1))
        values = values[: len(values) // 2 * 2].reshape(-1, 2).mean(axis=1)
    return Mean(mean if period is None else centre, max(errors, default=np.nan))


def mean_of(values: Series) -> Mean:
    """Mean and standard error of values along a run: by blocks, and where they are too few for that, as if they were independent.

    Args:
        values: Equally far apart in time; gaps are left out.
    """
    known = values[np.isfinite(values)]
    if len(known) >= MIN_BLOCKS or len(known) < 2:
        return block_mean(known)
    return Mean(float(known.mean()), float(known.std(ddof=1) / np.sqrt(len(known))))


def running(values: Series, points: int = 40) -> tuple[NDArray[np.int64], Series, Series]:
    """Means of the first k values with their errors, for some k up to all of them.

    Args:
        values: Along a run, (n,).
        points: So many at most.

    Returns:
        k, means and errors, (p,) each.
    """
    counts = np.unique(np.linspace(1, len(values), min(points, len(values))).astype(np.int64))
    means = [mean_of(values[:count]) for count in counts]
    return counts, np.array([mean.value for mean in means]), np.array([mean.error for mean in means])
