"""Benchmarks of the simulation core."""

import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, sleep

from studio.hybrid.coupling import plain
from studio.recipes.dynamics import Dynamics
from studio.run import Run
from studio.simulation import OpenMMSimulation, Thermostat
from studio.system import EXAMPLES
from studio.worker import FRAME_SECONDS, sample_seconds
from tests.benchmarks.base import Measure, gives, median_seconds


@gives("import_studio_s")
def import_studio() -> Iterator[Measure]:
    """`import studio` in a fresh interpreter, less the interpreter itself."""

    def seconds(code: str) -> float:
        return median_seconds(lambda: subprocess.run([sys.executable, "-c", code], check=True), 7)

    yield Measure("import_studio_s", seconds("import studio") - seconds("pass"), "s", 0.3, "value <= 0.3")


@gives("stream_cost_percent")
def stream_cost() -> Iterator[Measure]:
    """What looking costs: the pocket advanced in display-sized blocks, published and sampled as the worker does, against plain stepping.

    The two alternate, so that a machine that slows down meanwhile slows both.
    """
    from studio.shared import Layout, SharedFrames

    simulation = OpenMMSimulation(plain(EXAMPLES["tyk2-pocket"].system.parametrise()), Thermostat(timestep=2.0))
    frame = simulation.advance(50)
    block = max(1, int(simulation.speed * FRAME_SECONDS))
    every = max(1, round(sample_seconds(simulation.speed) / FRAME_SECONDS))
    with TemporaryDirectory() as folder:
        frames = SharedFrames(Layout(Path(folder) / "frames", len(simulation.structure), False, tuple(frame.energies)), create=True)

        def streamed() -> None:
            for n in range(24):
                frames.publish(simulation.advance(block, sample=n % every == 0))

        def bare() -> None:
            simulation._integrate(24 * block)

        costs = []
        for _ in range(15):
            start = perf_counter()
            bare()
            middle = perf_counter()
            streamed()
            costs.append((perf_counter() - middle) / (middle - start) - 1)
    yield Measure("stream_cost_percent", 100 * statistics.median(costs), "%", 5.0, "value <= 5")


@gives("first_motion_s")
def first_motion() -> Iterator[Measure]:
    """From `play` on a warm, prepared worker to the first frame that moved, pocket example."""
    with Run(Dynamics(system=EXAMPLES["tyk2-pocket"].system)) as run:
        run.wait("paused", timeout=240)
        cursor = run.frames.subscribe()
        first = cursor.latest()
        start = perf_counter()
        run.play()
        while (frame := cursor.latest()) is None or (first is not None and frame.step == first.step):
            sleep(0.002)
        yield Measure("first_motion_s", perf_counter() - start, "s", 3.0, "value <= 3")
