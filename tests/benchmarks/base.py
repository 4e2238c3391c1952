"""What a benchmark is: a function that gives `Measure`s, registered under the names that it gives."""

import os
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import perf_counter


@dataclass(frozen=True)
class Measure:
    """One figure.

    Args:
        name: As in the issue.
        value: What was measured.
        unit: Its unit.
        reference: What it is compared with: the peer's figure in the same run, or the limit.
        goal: What is to be reached, in words: `ratio >= 2` or `value <= 5`.
        device: Where.
    """

    name: str
    value: float
    unit: str
    reference: float
    goal: str
    device: str = "cpu"

    @property
    def ratio(self) -> float:
        """Value over reference."""
        return self.value / self.reference

    @property
    def reached(self) -> bool:
        """Whether the goal is met."""
        what, sign, limit = self.goal.split()
        figure = self.ratio if what == "ratio" else self.value
        return figure >= float(limit) if sign == ">=" else figure <= float(limit)

    def row(self) -> dict[str, object]:
        """The line of `results.json`."""
        keys = ("name", "value", "unit", "reference", "ratio", "goal")
        return {key: getattr(self, key) for key in keys} | {"cores": cores(), "device": self.device}


Benchmark = Callable[[], Iterator[Measure]]
REGISTRY: dict[tuple[str, ...], Benchmark] = {}


def gives(*names: str) -> Callable[[Benchmark], Benchmark]:
    """Register a benchmark under the names of its measures."""

    def register(function: Benchmark) -> Benchmark:
        REGISTRY[names] = function
        return function

    return register


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def median_seconds(action: Callable[[], object], repeats: int) -> float:
    """Median wall time of `action` after one call to warm up, s."""
    action()
    times = []
    for _ in range(repeats):
        start = perf_counter()
        action()
        times.append(perf_counter() - start)
    return statistics.median(times)
