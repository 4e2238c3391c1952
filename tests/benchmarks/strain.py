"""Benchmarks of strain: a series by our recipe, against the same minimisations one by one with ASE and the calculator of SO3LR's authors; a torsion scan."""

from collections.abc import Iterator
from time import perf_counter

import numpy as np

from studio.conformers import conformers, rotatable
from studio.io.targets import target
from studio.potentials.so3lr import SO3LR
from studio.recipes.crew import Crew, beside
from studio.recipes.ligands import Task
from studio.recipes.series import Series
from studio.recipes.strain_series import StrainSeries
from studio.result import Result
from studio.strain import StrainProtocol
from studio.structure import Floats, Structure
from studio.torsions import ScanProtocol, scanned
from studio.units import KJ_PER_EV, KJ_PER_KCAL, NM_PER_ANGSTROM
from tests.benchmarks.base import Measure, gives
from tests.reference import so3lr_calculator

PROTOCOL = StrainProtocol(medium="gas", conformers=20, torsions=False)
WITHIN = 0.1
"""What counts as the same minimum, kcal/mol."""
STARTS = 2
"""Shapes of each ligand that the peer relaxes; its time for all of them is scaled from these."""


@gives("strain_series", "strain_series_same_minima")
def strain_series(ligands: tuple[str, ...] = ()) -> Iterator[Measure]:
    """TYK2 ligands, 20 conformers each, strain by SO3LR.

    Args:
        ligands: Their names; all sixteen when left out.
    """
    import torch

    torch.set_num_threads(1)
    tasks = StrainSeries(source=Series(target="tyk2", ligands=ligands), potentials=("so3lr",), protocol=PROTOCOL).tasks()
    begin = perf_counter()
    results = [task.recipe.run() for task in tasks]
    ours = perf_counter() - begin
    # The pose is relaxed twice, held and free, and each shape once.
    relaxations = sum(int(result.values["conformers"]) + 2 for result in results)
    torch.set_num_threads(2)  # the peer as it comes
    seconds, same = zip(*(peer(task, result) for task, result in zip(tasks, results, strict=True)), strict=True)
    torch.set_num_threads(1)
    theirs = relaxations * float(np.mean(np.concatenate(seconds)))
    yield Measure("strain_series", ours, f"s for {len(tasks)} ligands, {relaxations} minimisations", theirs, "ratio <= 0.2")
    share = 100.0 * float(np.mean(np.concatenate(same)))
    yield Measure("strain_series_same_minima", share, f"% of {STARTS * len(tasks)} within {WITHIN} kcal/mol or lower", 99.0, "value >= 99")


@gives("dask_two_workers")
def dask_two_workers(ligands: int = 8) -> Iterator[Measure]:
    """Strain of TYK2 ligands by SO3LR: two workers of dask against one, each with one thread and started before the clock.

    Args:
        ligands: How many.
    """
    names = tuple(target("tyk2").ligands)[:ligands]
    recipe = StrainSeries(source=Series(target="tyk2", ligands=names), potentials=("so3lr",), protocol=PROTOCOL)
    one, two = (with_workers(recipe, count) for count in (1, 2))
    yield Measure("dask_two_workers", two, f"s for {ligands} ligands, where one worker needs {one:.1f}", one, f"ratio <= {1 / 1.7:.3f}")


def with_workers(recipe: StrainSeries, count: int) -> float:
    """Seconds that some workers need for a series, after one that makes them load all that they need."""
    first = recipe.model_copy(update={"protocol": PROTOCOL.model_copy(update={"conformers": 0})})
    with beside(count) as (address, _):
        crew = {"crew": Crew(cluster=address)}
        for _ in range(2):
            first.model_copy(update=crew).run()
        begin = perf_counter()
        result = recipe.model_copy(update=crew).run()
        seconds = perf_counter() - begin
    assert result.ok
    assert not result.values["failed"]
    return seconds


def peer(task: Task, result: Result) -> tuple[list[float], list[bool]]:
    """Seconds that ASE's BFGS needs for some of the shapes of a ligand, and whether our minimum below each is the same or lower."""
    ligand = task.recipe.pose()
    bound = SO3LR().bind(ligand, device="cpu")
    lowest = bound(result.arrays["so3lr_minimum_nm"]).energy
    seconds, same = [], []
    for number, shape in enumerate(conformers(ligand, PROTOCOL.conformers, PROTOCOL.seed)[:STARTS], 1):
        begin = perf_counter()
        place = minimum(ligand, shape)
        seconds.append(perf_counter() - begin)
        found = (bound(place).energy - lowest) / KJ_PER_KCAL
        same.append(bool(result.arrays["conformers_kcal_mol"][number, 0] <= found + WITHIN))
    return seconds, same


def minimum(ligand: Structure, shape: Floats) -> Floats:
    """The minimum below a shape, (n, 3), nm, by the peer."""
    from ase import Atoms
    from ase.optimize import BFGS

    with so3lr_calculator("float32") as calculator:
        atoms = Atoms(numbers=ligand.numbers, positions=shape / NM_PER_ANGSTROM, calculator=calculator)
        atoms.info["charge"] = float(ligand.charge)
        BFGS(atoms, logfile=None).run(fmax=PROTOCOL.force_tolerance / KJ_PER_EV * NM_PER_ANGSTROM, steps=PROTOCOL.iterations)
    return np.asarray(atoms.positions * NM_PER_ANGSTROM)


@gives("torsion_scan_s")
def torsion_scan() -> Iterator[Measure]:
    """24 x 15 degrees of a bond of a drug-like fragment by SO3LR, all passes included; a second fragment warms up."""
    import torch

    torch.set_num_threads(1)
    warm, fragment = (Structure.from_smiles(smiles) for smiles in ("CNC(=O)c1ccccc1", "CNC(=O)c1c(Cl)cccc1OC"))
    scanned(SO3LR(), warm, rotatable(warm)[-1:], ScanProtocol(points=6, conformers=1))
    begin = perf_counter()
    scanned(SO3LR(), fragment, rotatable(fragment)[1:2], ScanProtocol())
    yield Measure("torsion_scan_s", perf_counter() - begin, f"s for 24 angles of {len(fragment)} atoms", 10.0, "value <= 10")
