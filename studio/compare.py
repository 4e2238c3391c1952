"""Compare: what went into runs and what came out of them, side by side - settings, means with standard errors, how far they are apart.

Means are over recorded frames only, which are equally far apart, and leave out the first part of a run, in which it settles.
Knows recipes, recordings and statistics; must not know who shows them.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from studio.coarse.calvados import Calvados
from studio.coarse.go import GoModel
from studio.frame import Frame
from studio.hybrid.view import View
from studio.levels import level_of
from studio.observables import Observable
from studio.recipes.dynamics import Dynamics
from studio.replay import Replay
from studio.timeseries import MIN_BLOCKS, Mean, block_mean, stride
from studio.units import KJ_PER_KCAL

SETTLING = 0.2
"""The first part of a run that means leave out."""
MEASURED = 4096
"""Frames of a recording that observables are measured in at first; when it has grown to twice as many, every second one is forgotten."""
BATCH = 64
"""Frames that are in memory at once."""
AROUND = {"vacuum": "vacuum", "implicit": "continuum water", "water_box": "box of water", "pocket": "pocket"}
POTENTIAL, CHANGE, TEMPERATURE = "Potential", "Potential above its start", "Temperature"
PERIODS = {"dihedral": 360.0}


@dataclass(frozen=True)
class Estimate:
    """A mean over a run, with its standard error from blocks.

    Args:
        mean: Both, in `unit`.
        samples: Recorded frames that it is over.
        unit: Of the numbers.
        period: Of an angle that goes round.
        comparable: Its difference between runs of other systems or levels has a meaning.
        scale: Only runs of the same have a difference at all: energies of beads are not those of atoms.
    """

    mean: Mean
    samples: int
    unit: str
    period: float | None = None
    comparable: bool = True
    scale: str = ""

    @property
    def known(self) -> bool:
        """There are enough frames for a standard error."""
        return isfinite(self.mean.value) and isfinite(self.mean.error)

    def __str__(self) -> str:
        return told(self.mean) if self.known else f"n too small ({self.samples})"

    def above(self, other: "Estimate | None") -> Mean | None:
        """How far it is above another, where both are known and that has a meaning.

        Args:
            other: Of the run to be compared with.
        """
        if other is None or not (self.comparable and self.known and other.known and self.scale == other.scale):
            return None
        return self.mean.above(other.mean, self.period)


@dataclass(frozen=True)
class Account:
    """What is known of a run.

    Args:
        number: Of the run.
        inputs: Settings by name, in the words of people.
        results: Means by name.
        facts: Further numbers by name and unit: how far and how fast.
        problem: Why there is nothing, or not all; empty when all is well.
    """

    number: int
    inputs: Mapping[str, str] = field(default_factory=dict)
    results: Mapping[str, Estimate] = field(default_factory=dict)
    facts: Mapping[tuple[str, str], float] = field(default_factory=dict)
    problem: str = ""

    def plain(self) -> dict[str, str | float | int | None]:
        """All of it under one heading each, with units; a mean of too few frames is none."""
        flat: dict[str, str | float | int | None] = {"run": self.number, **self.inputs}
        for name, each in self.results.items():
            flat[f"{name} ({each.unit})"] = each.mean.value if each.known else None
            flat[f"{name}, standard error ({each.unit})"] = float(each.mean.error) if each.known else None
        return flat | {f"{name} ({unit})" if unit else name: value for (name, unit), value in self.facts.items()} | {"problem": self.problem}


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Args:
        name: What it is, with its unit.
        cells: One text for each run.
        apart: For each run, how far it is above the first; empty where that says nothing.
        differs: The runs do not have the same.
        result: It came out; otherwise it went in.
    """

    name: str
    cells: tuple[str, ...]
    apart: tuple[str, ...] = ()
    differs: bool = False
    result: bool = False


class Gauge:
    """What a recording says as it grows: energies of all its rows, observables of its frames.

    Args:
        replay: The recording, for this gauge alone.
        clock: What the time of the run is called.

    Attributes:
        values: Of each observable, by its label, frame by frame.
        timestep: Length of a step, fs; none before the first frame.
    """

    def __init__(self, replay: Replay, clock: str = "time") -> None:
        self.replay, self.clock = replay, clock
        self.values: dict[str, list[float]] = {}
        self.timestep: float | None = None
        self._observables: dict[str, Observable] = {}
        self._every, self._next = stride(max(len(replay), 1), MEASURED), 0

    def observe(self, observables: Sequence[Observable]) -> None:
        """What is to be measured; another choice begins again at the first frame.

        Args:
            observables: All of them, by different labels.
        """
        wanted = {each.label: each for each in observables}
        if wanted != self._observables:
            self._observables, self.values = wanted, {label: [] for label in wanted}
            self.restart()

    def restart(self) -> None:
        """Begin again at the first frame."""
        self._next, self.values = 0, {label: [] for label in self.values}

    def take(self) -> list[Frame]:
        """Measure the next frames and give them; none when all are measured. Reads files, so call it in a thread.

        Raises:
            StorageError: The recording is damaged.
        """
        self.replay.refresh()
        if self._next >= len(self.replay) + self._every:  # the run was set back
            self.restart()
        numbers = range(self._next, len(self.replay), self._every)[:BATCH]
        frames = [self.replay.frame(number) for number in numbers]
        for frame in frames:
            for label, observable in self._observables.items():
                self.values[label].append(observable(frame.positions, frame.box))
        self._next += self._every * len(frames)
        if self._next >= 2 * MEASURED * self._every:
            self._thin()
        self.timestep = frames[0].timestep if frames else self.timestep
        return frames

    def _thin(self) -> None:
        """Forget every second value, and look at half as many frames from now on: a run of a week fits as one of a minute does."""
        self.values = {label: values[::2] for label, values in self.values.items()}
        self._next = -(-self._next // (2 * self._every)) * 2 * self._every
        self._every *= 2

    def results(self) -> dict[str, Estimate]:
        """Means of everything."""
        table, found = self.replay.table, {}
        potential = table.get("potential_kJ_mol")
        if potential is not None and len(potential):
            found[POTENTIAL] = _estimate(potential / KJ_PER_KCAL, "kcal/mol", comparable=False)
            found[CHANGE] = replace(_estimate((potential - potential[0]) / KJ_PER_KCAL, "kcal/mol"), scale=self.clock)
        if "temperature_K" in table:
            found[TEMPERATURE] = _estimate(table["temperature_K"], "K")
        for label, observable in self._observables.items():
            found[label] = _estimate(np.array(self.values[label]), observable.unit, PERIODS.get(observable.kind))
        return found

    def facts(self) -> dict[tuple[str, str], float]:
        """How far and how fast; the time of beads has rows of its own, as it is not that of atoms."""
        ps, per_day = ("ps", "ns/day") if self.clock == "time" else (f"ps {self.clock}", "CG ns/day")
        times, steps, speeds = self.replay.times, self.replay.steps, self.replay.table.get("speed_steps_s", np.empty(0))
        speeds = speeds[np.isfinite(speeds) & (speeds > 0)]
        found = {("Simulated", ps): float(times[-1]), ("Steps", ""): float(steps[-1])} if len(times) else {}
        if len(speeds) and self.timestep:
            found["Speed", per_day] = float(np.median(speeds)) * self.timestep * 86400e-6
        return found


def inputs_of(recipe: Dynamics, title: str, temperature: float | None = None, timestep: float | None = None) -> dict[str, str]:
    """What went into a run, in the words of people.

    Args:
        recipe: Its settings.
        title: Name of the system.
        temperature: Of the thermostat now, K.
        timestep: That the run settled on, fs.
    """
    view, level = recipe.view, level_of(recipe)
    network = view.asks_network
    now = f" (now {temperature:g} K)" if temperature is not None and temperature != recipe.temperature else ""
    return {
        "System": title, "Around it": AROUND.get(recipe.system.surroundings.kind, recipe.system.surroundings.kind),
        "Level": level.title if level is not None else view.resolution.upper(),
        "Potential": ", ".join(dict.fromkeys(each.potential for each in view.fragments)) if network else _without(view),
        "ML region": ", ".join(str(each.region) for each in view.fragments) if network else "\u2013",
        "Force field": _forcefield(recipe), "Thermostat": f"{recipe.temperature:g} K, {recipe.friction:g}/ps{now}",
        "Time step": f"{timestep or recipe.timestep:g} fs" if timestep or recipe.timestep else "as long as it bears", "Seed": str(recipe.seed),
    }  # fmt: skip


def _without(view: View) -> str:
    """What describes a system where no network does."""
    if view.resolution != "beads":
        return "force field"
    if isinstance(view.beads, GoModel):
        return f"G\u014d model, contacts of {view.beads.epsilon / KJ_PER_KCAL:.3g} kcal/mol"
    if isinstance(view.beads, Calvados):
        return f"CALVADOS {view.beads.version}, {view.beads.salt:g} mol/l salt"
    return "coarse model"


def rows(accounts: Sequence[Account]) -> list[Row]:
    """The table: a line for each setting and each result, a cell for each run.

    Args:
        accounts: Of the runs; the others are compared with the first.
    """
    parts = (("inputs", _input), ("results", _result), ("facts", _fact))
    return [line(name, accounts) for part, line in parts for name in dict.fromkeys(chain.from_iterable(getattr(each, part) for each in accounts))]


def _input(name: str, accounts: Sequence[Account]) -> Row:
    cells = tuple(each.inputs.get(name, "") for each in accounts)
    return Row(name, cells, differs=len(set(cells) - {""}) > 1)


def to_csv(accounts: Sequence[Account]) -> str:
    """The table as a file: a line for each run.

    Args:
        accounts: Of the runs.
    """
    lines, file = [each.plain() for each in accounts], io.StringIO()
    writer = csv.DictWriter(file, list(dict.fromkeys(name for line in lines for name in line)), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return file.getvalue()


def told(mean: Mean, *, signed: bool = False) -> str:
    """A mean with as many digits as its error allows.

    Args:
        mean: It.
        signed: With a plus sign.
    """
    digits = int(np.clip(1 - np.floor(np.log10(mean.error)), 0, 4)) if isfinite(mean.error) and mean.error > 0 else 2
    text = f"{mean.value:{'+' if signed else ''},.{digits}f}".replace(",", "\u2009").replace("-", "\u2212")
    return f"{text} \u00b1 {mean.error:.{digits}f}"


def _estimate(values: NDArray[np.float64], unit: str, period: float | None = None, *, comparable: bool = True) -> Estimate:
    values = values[np.isfinite(values)]
    settled = values[int(SETTLING * len(values)) :]
    enough = len(settled) >= MIN_BLOCKS
    return Estimate(block_mean(settled, period) if enough else Mean(np.nan, np.nan), len(settled), unit, period, comparable)


def _result(name: str, accounts: Sequence[Account]) -> Row:
    found = [each.results.get(name) for each in accounts]
    unit = next(each.unit for each in found if each is not None)
    above = [each.above(found[0]) if each is not None and place else None for place, each in enumerate(found)]
    apart = tuple(told(each, signed=True) if each is not None else "" for each in above)
    return Row(f"{name}, {unit}", tuple(str(each) if each is not None else "" for each in found), apart, result=True)


def _fact(key: tuple[str, str], accounts: Sequence[Account]) -> Row:
    (name, unit), values = key, [each.facts.get(key) for each in accounts]
    cells = tuple("" if value is None else _figures(value) for value in values)
    return Row(f"{name}, {unit}" if unit else name, cells, result=True)


def _figures(value: float) -> str:
    digits = 0 if value == int(value) and abs(value) >= 10 else 3 if abs(value) < 10 else 1
    return f"{value:,.{digits}f}".replace(",", "\u2009")


def _forcefield(recipe: Dynamics) -> str:
    chosen = recipe.system.forcefield
    return f"{chosen.protein}, {chosen.ligand}, {chosen.water}" if recipe.view.resolution not in ("nnp", "beads") else "\u2013"
