"""Benchmarks of NNP/MM: the network, its coupling, and multiple time steps."""

import statistics
from collections.abc import Callable, Iterator
from dataclasses import replace
from time import perf_counter

import numpy as np

from studio.errors import StudioError
from studio.forcefield.base import MMSystem
from studio.hybrid.boundary import cap
from studio.hybrid.coupling import couple, couple_fragments, plain
from studio.hybrid.inner import refit
from studio.hybrid.schedule import LADDER, Schedule
from studio.hybrid.view import View
from studio.potentials.so3lr import SO3LR
from studio.recipes.dynamics import Dynamics
from studio.region import Ligand
from studio.simulation import OpenMMSimulation, Thermostat
from studio.structure import Integers, Structure
from studio.system import EXAMPLES
from tests.benchmarks.base import Measure, gives, median_seconds
from tests.reference import so3lr_calculator

ASPIRIN, IMATINIB = "CC(=O)Oc1ccccc1C(=O)O", "Cc1ccc(NC(=O)c2ccc(CN3CCN(C)CC3)cc2)cc1Nc1nccc(-c2cccnc2)n1"


def tyk2() -> tuple[MMSystem, Integers]:
    """The TYK2 ligand in 1,034 atoms, and its indices."""
    mm = EXAMPLES["tyk2-water"].system.parametrise()
    return mm, Ligand().select(mm.structure)


def ns_per_day(simulation: OpenMMSimulation, steps: int = 20) -> float:
    """Speed after a short relaxation."""
    simulation.minimise(30)
    simulation.advance(steps)
    return 86400e-6 * simulation.thermostat.timestep / (median_seconds(lambda: simulation.advance(steps), 12) / steps)


@gives("nnpmm_same_step", "nnpmm_vs_openmmml", "nnpmm_vs_mm")
def nnpmm() -> Iterator[Measure]:
    """TYK2 ligand in water: OpenMM-ML with so3krates-torch through ASE at 1 fs, plain MM at 2 fs, ours at 1 fs and at the default schedule."""
    import openmm
    import torch
    from openmmml import MLPotential

    from studio.forcefield.topology import to_topology

    torch.set_num_threads(1)
    mm, atoms = tyk2()
    same = ns_per_day(OpenMMSimulation(couple(mm, atoms, SO3LR().bind(mm.structure, atoms, "cpu")), Thermostat(timestep=1.0)))
    default = Dynamics(system=EXAMPLES["tyk2-water"].system, view=View(resolution="nnp/mm", region=Ligand())).simulation()
    ours, only_mm = ns_per_day(default), ns_per_day(OpenMMSimulation(plain(mm), Thermostat(timestep=2.0)))
    with so3lr_calculator("float32") as calculator:
        torch.set_num_threads(2)  # the peer as it comes
        molecule = ase_atoms(mm.structure.take(atoms), calculator)
        mixed = MLPotential("ase").createMixedSystem(to_topology(mm.structure), mm.system, [int(i) for i in atoms], aseAtoms=molecule, mlLongRange=False)
        context = openmm.Context(mixed, openmm.LangevinMiddleIntegrator(300, 1, 0.001))
        context.setPositions(mm.structure.positions)
        context.setVelocitiesToTemperature(300, 1)
        peer = 86400e-6 / (median_seconds(lambda: context.getIntegrator().step(10), 8) / 10)
        torch.set_num_threads(1)
    yield Measure("nnpmm_same_step", same, "ns/day", peer, "ratio >= 3")
    yield Measure("nnpmm_vs_openmmml", ours, "ns/day", peer, "ratio >= 10")
    yield Measure("nnpmm_vs_mm", ours, "ns/day", only_mm, "ratio >= 0.5")


def ase_atoms(structure: Structure, calculator: object):
    """The molecule for the peer."""
    import ase

    atoms = ase.Atoms(numbers=structure.numbers, positions=10 * structure.positions, calculator=calculator)
    atoms.info["charge"] = float(structure.charge)
    return atoms


@gives("so3lr_21", "so3lr_32", "so3lr_68")
def one_call() -> Iterator[Measure]:
    """One energy with forces: ours and so3krates-torch's calculator, at positions that change a little from call to call."""
    import torch

    rng = np.random.default_rng(0)
    mm, atoms = tyk2()
    cases = {"so3lr_21": Structure.from_smiles(ASPIRIN), "so3lr_32": mm.structure.take(atoms), "so3lr_68": Structure.from_smiles(IMATINIB)}
    for (name, structure), goal in zip(cases.items(), (1 / 3, 1 / 2, 1 / 2), strict=True):
        torch.set_num_threads(1)
        bound = SO3LR().bind(structure, device="cpu")
        mine = median_seconds(lambda bound=bound, structure=structure: bound(structure.positions + rng.normal(scale=1e-5, size=structure.positions.shape)), 60)
        with so3lr_calculator("float32") as calculator:
            torch.set_num_threads(2)
            molecule = ase_atoms(structure, calculator)
            peer = median_seconds(lambda molecule=molecule: _moved(molecule, rng), 20)
            torch.set_num_threads(1)
        yield Measure(name, 1000 * mine, "ms", 1000 * peer, f"ratio <= {goal:.3f}")


def _moved(molecule, rng: np.random.Generator) -> None:
    molecule.positions += rng.normal(scale=1e-4, size=molecule.positions.shape)
    molecule.get_forces()


@gives("conformers64", "conformers64_vs_fast")
def conformers() -> Iterator[Measure]:
    """64 conformers of the TYK2 ligand in one call, against the same model one by one: as the equations stand, and by our fast single call."""
    import torch

    torch.set_num_threads(2)
    mm, atoms = tyk2()
    ligand = mm.structure.take(atoms)
    bound = SO3LR().bind(ligand, device="cpu")
    places = ligand.positions + np.random.default_rng(0).normal(scale=0.003, size=(64, len(ligand), 3))
    batch = median_seconds(lambda: bound.batch(places), 5)
    plain_loop = median_seconds(lambda: [bound.plain(place) for place in places[:16]], 3) * 4
    torch.set_num_threads(1)
    fast_loop = median_seconds(lambda: [bound(place) for place in places], 3)
    yield Measure("conformers64", 1000 * batch, "ms", 1000 * plain_loop, "ratio <= 0.25")
    yield Measure("conformers64_vs_fast", 1000 * batch, "ms", 1000 * fast_loop, "ratio <= 1")


@gives("ml_scaling_exponent")
def scaling() -> Iterator[Measure]:
    """Cost of a call against the number of atoms, 21 to 600, clusters of water."""
    import torch

    torch.set_num_threads(1)
    structure = EXAMPLES["tyk2-water"].system.prepare()
    water = replace(structure.take(structure.atoms_of("water")), box=None)
    centre = water.positions.mean(axis=0)
    molecules = sorted(water.molecules, key=lambda molecule: float(np.linalg.norm(water.positions[molecule[0]] - centre)))
    sizes, times = [], []
    for count in (7, 14, 28, 56, 100, 200):
        cluster = water.take(np.sort(np.concatenate(molecules[:count])))
        bound = SO3LR().bind(cluster, device="cpu")
        sizes.append(len(cluster))
        times.append(median_seconds(lambda bound=bound, cluster=cluster: bound(cluster.positions), 7))
    steepest = max(np.diff(np.log(times)) / np.diff(np.log(sizes)))
    yield Measure("ml_scaling_exponent", float(np.polyfit(np.log(sizes), np.log(times), 1)[0]), f"steepest part {steepest:.2f}", 1.2, "value <= 1.2")


@gives("bracket_rms_ratio", "bracket_rms_ratio_alanine")
def bracket() -> Iterator[Measure]:
    """RMS force of the bracket after and before the refit, on geometries that the fit has not seen."""
    for name, example in (("bracket_rms_ratio", "tyk2-water"), ("bracket_rms_ratio_alanine", "alanine-dipeptide-water")):
        mm = EXAMPLES[example].system.parametrise()
        part = cap(mm.structure, View(resolution="nnp/mm").region.select(mm.structure))
        report = refit(mm, part, SO3LR().bind(part.structure, device="cpu")).report
        yield Measure(name, report.after, "kJ/mol/nm", report.before, "ratio <= 0.3")


@gives("outer_step_fs", "outer_step_fs_held")
def outer_step() -> Iterator[Measure]:
    """The largest time step with which the TYK2 ligand in water moves for 100 ps (several minutes each)."""
    for name, hydrogens, mass, steps, limit in (("outer_step_fs", "free", 3.0, (6.0, 4.0, 2.0), 4), ("outer_step_fs_held", "held", 1.5, (8.0, 6.0, 4.0), 6)):
        schedule = Schedule(hydrogens=hydrogens, hydrogen_mass=mass)
        best = next((step for step in steps if survives(schedule, step)), 1.0)
        yield Measure(name, best, "fs", float(limit), f"value >= {limit}")


def survives(schedule: Schedule, step: float, picoseconds: float = 100.0) -> bool:
    """Whether the ligand moves that long, and its hydrogens and heavy atoms keep their temperature within 10 %."""
    recipe = Dynamics(system=EXAMPLES["tyk2-water"].system, view=View(resolution="nnp/mm"), timestep=step, schedule=schedule)
    try:
        simulation = recipe.simulation()
        region = simulation.model.region
        heavy = region[simulation.structure.numbers[region] > 1]
        heats = []
        for _ in range(1000):
            simulation.advance(max(1, round(picoseconds / step)))
            heats.append(simulation.heat(heavy))
    except StudioError:
        return False
    return abs(float(np.mean(heats[200:])) / simulation.thermostat.temperature - 1) < 0.1


@gives("nve_drift")
def nve_drift() -> Iterator[Measure]:
    """Drift of the total energy without a thermostat, TYK2 ligand in water, 10 ps: default schedule against 1 fs single steps."""
    mm, atoms = tyk2()
    part = cap(mm.structure, atoms)
    potential = SO3LR().bind(part.structure, device="cpu")
    schedule = Schedule()
    motion = schedule.motion(mm, [(part, potential)], 300.0, lambda _fraction, _sentence: None)
    single = couple(mm, atoms, potential)
    multiple = couple_fragments(mm, [(part, potential)], motion=motion)
    default, error = drift(multiple, LADDER[0], schedule.inner(LADDER[0]))
    reference, noise = drift(single, 1.0, 1)
    yield Measure(
        "nve_drift", abs(default), f"K/ns per degree of freedom, +- {error:.1f} (reference +- {noise:.1f})", abs(reference) + 2 * (error + noise), "ratio <= 1"
    )


def drift(model, step: float, inner: int, picoseconds: float = 10.0) -> tuple[float, float]:
    """Slope of the total energy and its standard error, K/ns per degree of freedom."""
    from scipy.stats import linregress

    from studio.simulation import degrees_of_freedom
    from studio.units import BOLTZMANN

    simulation = OpenMMSimulation(model, Thermostat(friction=1.0, timestep=step, inner=inner))
    simulation.minimise(30)
    simulation.advance(round(2000 / step))
    simulation._context.getIntegrator().setFriction(0.0)
    times, energies = [], []
    for _ in range(100):
        frame = simulation.advance(round(10 * picoseconds / step))
        times.append(frame.time)
        energies.append(frame.energies["potential"] + frame.energies["kinetic"])
    fit = linregress(times, energies)
    scale = 1000 / (0.5 * BOLTZMANN * degrees_of_freedom(model.system))
    return fit.slope * scale, fit.stderr * scale


@gives("fast_path_error_kj")
def fast_path_error() -> Iterator[Measure]:
    """Largest error of shifted energies by the fast call (float32, table, compiled where it is), against the plain float64 call."""
    worst = 0.0
    mm, atoms = tyk2()
    for structure in (mm.structure.take(atoms), Structure.from_smiles(ASPIRIN), Structure.from_smiles("CC(=O)[O-]"), Structure.from_smiles(IMATINIB)):
        fast, exact = SO3LR().bind(structure, device="cpu"), SO3LR(precision="float64").bind(structure, device="cpu")
        places = structure.positions + np.random.default_rng(0).normal(scale=0.004, size=(20, len(structure), 3))
        errors = np.array([fast(place).energy - exact.plain(place).energy for place in places])
        worst = max(worst, float(np.abs(errors - errors[0]).max()))
    yield Measure("fast_path_error_kj", worst, "kJ/mol", 0.02, "value <= 0.02")


@gives("replicas8_batch_ms")
def replicas() -> Iterator[Measure]:
    """A step of eight copies together, against eight single simulations one after the other."""
    from studio.replicas import Replica, Replicas

    mm, atoms = tyk2()
    part = cap(mm.structure, atoms)

    def build(lam: float):
        return couple_fragments(mm, [(part, SO3LR().bind(part.structure, device="cpu"))], lam)

    together = Replicas(build, [Replica(seed=seed) for seed in range(8)])
    single = OpenMMSimulation(build(1.0), Thermostat())
    batch = _per_step(together.advance)
    alone = _per_step(single.advance)
    yield Measure("replicas8_batch_ms", 1000 * batch, "ms", 8000 * alone, "ratio <= 1")


def _per_step(advance: Callable[[int], object], steps: int = 10) -> float:
    advance(steps)
    times = []
    for _ in range(7):
        start = perf_counter()
        advance(steps)
        times.append((perf_counter() - start) / steps)
    return statistics.median(times)
