"""Benchmarks of the simulation core."""

import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, sleep

import numpy as np

from studio.hybrid.coupling import couple, plain
from studio.potentials.so3lr import SO3LR
from studio.recipes.dynamics import Dynamics
from studio.region import Ligand
from studio.run import Run
from studio.simulation import OpenMMSimulation, Thermostat
from studio.system import EXAMPLES
from studio.worker import FRAME_SECONDS, sample_seconds
from tests.benchmarks.base import Measure, gives, median_seconds
from tests.reference import so3lr_calculator


@gives("nnpmm_same_step", "nnpmm_vs_mm_same_step", "so3lr_32")
def nnpmm() -> Iterator[Measure]:
    """TYK2 ligand in water: OpenMM-ML with so3krates-torch through ASE, plain MM, and ours, all at 1 fs."""
    import ase
    import openmm
    import torch
    from openmmml import MLPotential

    from studio.forcefield.topology import to_topology

    torch.set_num_threads(1)
    mm = EXAMPLES["tyk2-water"].system.parametrise()
    atoms = Ligand().select(mm.structure)
    bound = SO3LR().bind(mm.structure, atoms, "cpu")
    ours = _ns_per_day(OpenMMSimulation(couple(mm, atoms, bound), Thermostat(timestep=1.0)))
    only_mm = _ns_per_day(OpenMMSimulation(plain(mm), Thermostat(timestep=1.0)))
    network = median_seconds(lambda: bound(mm.structure.positions[atoms]), 50)
    with so3lr_calculator("float32") as calculator:
        torch.set_num_threads(2)  # the peer as it comes
        molecule = ase.Atoms(numbers=mm.structure.numbers[atoms], positions=10 * mm.structure.positions[atoms], calculator=calculator)
        molecule.info["charge"] = 0.0

        def call() -> None:
            molecule.positions += 1e-4 * np.random.default_rng(0).normal(size=(len(atoms), 3))
            molecule.get_forces()

        peer_network = median_seconds(call, 20)
        mixed = MLPotential("ase").createMixedSystem(to_topology(mm.structure), mm.system, [int(i) for i in atoms], aseAtoms=molecule, mlLongRange=False)
        context = openmm.Context(mixed, openmm.LangevinMiddleIntegrator(300, 1, 0.001))
        context.setPositions(mm.structure.positions)
        context.setVelocitiesToTemperature(300, 1)
        peer = 86400e-6 / (median_seconds(lambda: context.getIntegrator().step(10), 8) / 10)
        torch.set_num_threads(1)
    yield Measure("nnpmm_same_step", ours, "ns/day", peer, "ratio >= 2")
    yield Measure("nnpmm_vs_mm_same_step", ours, "ns/day", only_mm, "ratio >= 0")
    yield Measure("so3lr_32", 1000 * network, "ms", 1000 * peer_network, "ratio <= 0.5")


def _ns_per_day(simulation: OpenMMSimulation) -> float:
    simulation.minimise(30)
    simulation.advance(20)
    return 86400e-6 * simulation.thermostat.timestep / (median_seconds(lambda: simulation.advance(20), 10) / 20)


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
