"""Series: what the plots are about - each run's quantities along its time, in people's units, and the panels that show them.

Knows frames and observables; must not know how anything is drawn or who makes the frames.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from studio.errors import SettingsError
from studio.frame import Frame
from studio.timeseries import Mean, Samples, block_mean, difference, stride
from studio.timeseries import Series as Values
from studio.units import KJ_PER_KCAL

DRAWN = 2000
"""Points of a line that a browser gets at most."""
MAX_OBSERVED = 7
"""Six values picked by hand, and the RMSD."""
ENERGY, TEMPERATURE = "Energy change", "Temperature"
POTENTIAL, KELVIN = "potential", "temperature"
ENERGIES = {
    POTENTIAL: "potential", "network": "network", "mm": "MM", "embedding": "embedding", "polarisation": "polarisation", "pull": "pull",
    "restraint": "restraint", "work": "work by hand",
}  # fmt: skip
"""Components that have a line, and what people call them."""
PARTS = ("network", "mm", "embedding", "polarisation")
"""What the potential energy is made of."""
STEERING = ("pull", "restraint", "work")
"""Beside the potential energy; zero when nothing is held, and so drawn as they are."""
PANELS = {
    "distance": "Distances",
    "angle": "Angles",
    "dihedral": "Torsions",
    "rmsd": "RMSD",
    "radius_of_gyration": "Radius of gyration",
    "native_contacts": "Native contacts",
}
"""Where a measured value stands, by its kind."""
NOUNS = {"Distances": " distance", "Angles": " angle", "Torsions": " torsion"}
"""What a panel's title says already."""
PERIODS = {"dihedral": 360.0}
"""Kinds that go round."""


class Observable(Protocol):
    """Something to be measured in a frame."""

    @property
    def kind(self) -> str:
        """One of `PANELS`, or another."""
        ...

    @property
    def label(self) -> str:
        """What people call it."""
        ...

    @property
    def unit(self) -> str:
        """What it is measured in."""
        ...

    def __call__(self, positions: NDArray[np.floating], box: NDArray[np.floating] | None = None) -> float:
        """Its value at `positions` (n, 3) in `box` (3, 3), nm."""
        ...


@dataclass(frozen=True)
class Quantity:
    """A column of a run.

    Args:
        name: Of the column; the same quantity has the same name in every run.
        label: What people call it.
        unit: What it is measured in.
        panel: Title of the panel where it stands.
        colour: Index into the palette.
        period: Of an angle that goes round; none otherwise.
        relative: Shown relative to the start of the run.
    """

    name: str
    label: str
    unit: str
    panel: str
    colour: int
    period: float | None = None
    relative: bool = False

    @property
    def kind(self) -> tuple[str, str, float | None]:
        """What may stand in one panel: title, unit, period."""
        return self.panel, self.unit, self.period


QUANTITIES = {
    **{
        name: Quantity(name, label, "kcal/mol", ENERGY, colour, relative=name not in STEERING)
        for colour, (name, label) in enumerate(ENERGIES.items())
    },
    KELVIN: Quantity(KELVIN, KELVIN, "K", TEMPERATURE, 5),
}  # fmt: skip


@dataclass
class Series:
    """One run's samples.

    Args:
        label: What people call the run; empty where there is one only.
        components: Energies worth a line; none: all that the run has.
    """

    label: str = ""
    components: tuple[str, ...] | None = None
    samples: Samples = field(default_factory=Samples)
    observed: dict[str, tuple[Quantity, Observable]] = field(default_factory=dict)
    _potential: float = float("nan")

    def add(self, frame: Frame) -> None:
        """Take a frame; one that carries the energies of the frame before adds no point, one from the past removes what came after.

        Args:
            frame: The newest.
        """
        potential = frame.energies.get(POTENTIAL, 0.0)
        if potential == self._potential and frame.time >= self.samples.now:
            return
        self._potential = potential
        seen = {name: observable(frame.positions, frame.box) for name, (_, observable) in self.observed.items()}
        energies = _readable({**frame.energies, "work": frame.pull_work})
        self.samples.append(frame.time, {**energies, KELVIN: frame.temperature, **seen})

    def load(self, time: Values, temperature: Values, energies: Mapping[str, Values]) -> None:
        """Take the energies of a recorded run.

        Args:
            time: Times of the samples, ascending, ps.
            temperature: K.
            energies: By component, kJ/mol.
        """
        for row in range(0, len(time), stride(len(time), 4 * DRAWN)):
            values = _readable({name: float(column[row]) for name, column in energies.items()})
            self.samples.append(float(time[row]), {**values, KELVIN: float(temperature[row])})

    def observe(self, observable: Observable) -> None:
        """Measure something in every sample from now on.

        Args:
            observable: What to measure; one of the same label takes its place.

        Raises:
            SettingsError: `MAX_OBSERVED` values are measured already.
        """
        name, taken = observable.label, {quantity.colour for quantity, _ in self.observed.values()}
        if name not in self.observed and len(self.observed) >= MAX_OBSERVED:
            raise SettingsError(f"At most {MAX_OBSERVED} values can be followed at once, got one more: {name}. Remove one first.")
        self.forget(name)
        colour = min(set(range(MAX_OBSERVED + 1)) - taken)
        panel, period = PANELS.get(observable.kind, "Measured"), PERIODS.get(observable.kind)
        self.observed[name] = Quantity(name, name, observable.unit, panel, colour, period), observable
        self.samples.open(name)

    def forget(self, name: str) -> None:
        """No longer measure something.

        Args:
            name: Label of the observable; one that is not measured is no error.
        """
        if self.observed.pop(name, None) is not None:
            self.samples.close(name)

    def quantities(self) -> dict[str, Quantity]:
        """What there is to show, by name: components that are not zero throughout, temperature, what is measured."""
        has = [name for name in ENERGIES if name in self.samples.columns and (self.components is None or name in self.components)]
        there = {name for name in has if name == POTENTIAL or np.any(np.nan_to_num(self.samples[name]))}
        if len(there.intersection(PARTS)) == 1:
            there -= set(PARTS)  # the only part is the potential itself
        if KELVIN in self.samples.columns:
            there.add(KELVIN)
        return {name: quantity for name, quantity in QUANTITIES.items() if name in there} | {name: each for name, (each, _) in self.observed.items()}

    def values(self, quantity: Quantity) -> Values:
        """A column as it is shown.

        Args:
            quantity: One of this run's.
        """
        values = self.samples[quantity.name]
        return values - self._origin(quantity)

    def newest(self, quantity: Quantity) -> float:
        """The newest value as it is shown.

        Args:
            quantity: One of this run's.
        """
        return self.samples.newest(quantity.name) - self._origin(quantity)

    def table(self, names: Iterable[str]) -> list[list[float]]:
        """Rows of the time (ps) and columns as they are, not relative to the start; not a number where there is none.

        Args:
            names: Of the columns; those that the run lacks are gaps.
        """
        gap = np.full(len(self.samples), np.nan)
        columns = (self.samples[name] if name in self.samples.columns else gap for name in names)
        rows: list[list[float]] = np.column_stack((self.samples.time, *columns)).tolist()
        return rows

    def _origin(self, quantity: Quantity) -> float:
        values = self.samples[quantity.name]
        return float(values[0]) if quantity.relative and len(values) else 0.0


def _readable(energies: Mapping[str, float]) -> dict[str, float]:
    return {name: energies[name] / KJ_PER_KCAL for name in ENERGIES if name in energies}


@dataclass(frozen=True)
class Curve:
    """A line of a panel: a quantity of a run, or how far it is above that of another run.

    Args:
        label: For the legend.
        quantity: What it shows.
        series: The run.
        colour: Index into the palette.
        dash: Index into the line styles; runs differ in it too, for eyes that do not tell the colours apart.
        base: The run to be compared with, or none.
    """

    label: str
    quantity: Quantity
    series: Series
    colour: int
    dash: int = 0
    base: Series | None = None

    @property
    def state(self) -> tuple[object, ...]:
        """Changes when points drawn before are no longer right."""
        versions = tuple(each.samples.version for each in (self.series, self.base) if each is not None)
        return self.label, self.quantity, id(self.series), self.colour, versions, self.base and len(self.base.samples)

    def points(self, since: float = -np.inf) -> tuple[Values, Values]:
        """Times (ps) and values, all that are kept.

        Args:
            since: From this time on, ps.
        """
        time, values = self.series.samples.time, self.series.values(self.quantity)
        if self.base is not None:
            time, values = difference(self.base.samples.time, self.base.values(self.quantity), time, values, self.quantity.period)
        first = int(np.searchsorted(time, since))
        return time[first:], values[first:]

    def drawn(self, since: float = -np.inf, limit: int = DRAWN) -> tuple[Values, Values, int]:
        """Points worth drawing: true values at true times, every so many rows, counted from the first row of the run.

        Args:
            since: From this time on, ps.
            limit: Points at most.

        Returns:
            Times, values, and how many rows lie between two of them.
        """
        time, values = self.points()
        first = int(np.searchsorted(time, since))
        step = stride(len(time) - first, limit)
        chosen = slice(-(-first // step) * step, None, step)
        return time[chosen], values[chosen], step

    def newest(self) -> float:
        """The newest value."""
        if self.base is None:
            return self.series.newest(self.quantity)
        _, values = self.points()
        return float(values[-1]) if len(values) else float("nan")


@dataclass(frozen=True)
class Panel:
    """Lines over the same time axis.

    Args:
        title: What they show.
        unit: Of all of them.
        curves: The lines.
    """

    title: str
    unit: str
    curves: tuple[Curve, ...]

    @property
    def name(self) -> str:
        """Title and unit: what it is chosen by."""
        return f"{self.title}, {self.unit}" if self.title else ""

    @property
    def period(self) -> float | None:
        """Of angles that go round: drawn as dots from minus half a period to half a period, and none otherwise."""
        return next((curve.quantity.period for curve in self.curves if curve.quantity.period), None)


def panels(runs: Sequence[Series]) -> list[Panel]:
    """What there is to look at: of one run its quantities by kind, of several runs one quantity each, and how far they are apart.

    Args:
        runs: The runs; the others are compared with the first.
    """
    if len(runs) == 1:
        return list(_kinds(runs[0]))
    return [panel for name in _names(runs) for panel in (_together(name, runs), _apart(name, runs)) if panel.curves]


def _kinds(run: Series) -> Iterator[Panel]:
    quantities = list(run.quantities().values())
    for kind in dict.fromkeys(each.kind for each in quantities):
        said = NOUNS.get(kind[0], "")
        curves = tuple(Curve(each.label.removesuffix(said), each, run, each.colour) for each in quantities if each.kind == kind)
        yield Panel(kind[0], kind[1], curves)


def _names(runs: Sequence[Series]) -> list[str]:
    return list(dict.fromkeys(name for run in runs for name in run.quantities()))


def _having(name: str, runs: Sequence[Series]) -> list[tuple[int, Series, Quantity]]:
    return [(place, run, quantity) for place, run in enumerate(runs) if (quantity := run.quantities().get(name)) is not None]


def _together(name: str, runs: Sequence[Series]) -> Panel:
    having = _having(name, runs)
    curves = tuple(Curve(run.label, quantity, run, place, place) for place, run, quantity in having)
    label = having[0][2].label
    return Panel(label[0].upper() + label[1:], having[0][2].unit, curves)


def _apart(name: str, runs: Sequence[Series]) -> Panel:
    having, first = _having(name, runs), runs[0]
    others = [each for each in having if each[1] is not first] if having[0][1] is first else []
    curves = tuple(Curve(f"{run.label} \u2212 {first.label}", quantity, run, place, place, first) for place, run, quantity in others)
    return Panel(f"Difference: {having[0][2].label}", having[0][2].unit, curves)


@dataclass(frozen=True)
class Summary:
    """A quantity of a run, over the whole of it.

    Args:
        run: Label of the run.
        quantity: Label of the quantity.
        unit: Of all numbers.
        mean: Its mean.
        above: How far the mean is above that of the first run; none for the first.
    """

    run: str
    quantity: str
    unit: str
    mean: Mean
    above: Mean | None


def summary(runs: Sequence[Series]) -> list[Summary]:
    """Means of everything with standard errors from blocks, and how far they are apart.

    Args:
        runs: The runs; the others are compared with the first.
    """
    rows: list[Summary] = []
    for name in _names(runs):
        having = _having(name, runs)
        means = [block_mean(run.values(quantity), quantity.period) for _, run, quantity in having]
        for (place, run, quantity), mean in zip(having, means, strict=True):
            above = mean.above(means[0], quantity.period) if place and having[0][0] == 0 else None
            rows.append(Summary(run.label, quantity.label, quantity.unit, mean, above))
    return rows
