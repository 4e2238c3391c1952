"""Benchmarks of beads: how fast a Go model moves, how long it takes from atoms to beads and back, and replicas of a learned model."""

from collections.abc import Iterator
from time import perf_counter

import numpy as np

from studio.back import backbone_rmsd, settled
from studio.coarse.mapping import map_protein
from studio.hybrid.coupling import Model
from studio.hybrid.view import View
from studio.levels import level
from studio.recipes.dynamics import Dynamics
from studio.region import KindIs, ResidueRange
from studio.system import FromSequence, FromTarget, Implicit, System
from tests.benchmarks.base import Measure, gives, median_seconds

RESIDUES, BLOCK, SECONDS = 76, 500, 5.0
TWENTY = "GSWKPFYLHRNDEAQTVIMC"


@gives("go76_steps_s")
def go76_steps_s() -> Iterator[Measure]:
    """76 residues of TYK2 as a Go model, as a run steps them, against a plain OpenMM script on OpenMM's own choice of platform."""
    system = System(source=FromTarget(target="tyk2", ligand="ejm_31"))
    home = Dynamics(system=system)
    recipe = level("go-ca").apply(home)
    beads = recipe.view.beads.model_copy(update={"of": KindIs(of="protein") & ResidueRange(first=10, last=9 + RESIDUES, chain="A")})
    simulation = recipe.model_copy(update={"view": View(resolution="beads", beads=beads)}).simulation()
    steps, begin = 0, perf_counter()
    while perf_counter() - begin < SECONDS:
        simulation.advance(BLOCK)
        steps += BLOCK
    ours = steps / (perf_counter() - begin)
    yield Measure("go76_steps_s", ours, f"steps/s, {len(simulation.structure)} beads", _plain(simulation.model, recipe), "value >= 1500")


def _plain(model: Model, recipe: Dynamics) -> float:
    """Steps per second of the same System in a script."""
    import openmm

    integrator = openmm.LangevinMiddleIntegrator(recipe.temperature, recipe.friction, 0.01)
    context = openmm.Context(model.system, integrator)
    context.setPositions(model.structure.positions)
    openmm.LocalEnergyMinimizer.minimize(context)
    context.setVelocitiesToTemperature(recipe.temperature)
    steps, begin = 0, perf_counter()
    while perf_counter() - begin < SECONDS:
        integrator.step(BLOCK)
        steps += BLOCK
    return steps / (perf_counter() - begin)


@gives("switch_s", "switch_ca_shift", "switch_backbone_rmsd")
def switch_s() -> Iterator[Measure]:
    """A peptide of all twenty amino acids: atoms to beads, and back to relaxed atoms on them."""
    home = Dynamics(system=System(source=FromSequence(sequence=TWENTY, shape="helix"), surroundings=Implicit()), view=View(resolution="mm"))
    atoms = home.system.prepare()
    down = level("go-ca")
    below = down.apply(home)
    start = below.system.prepare()
    begin = perf_counter()
    beads = below.view.build(below.system, down.carry(atoms, start).structure).structure
    back = settled(level("mm-implicit").carry(beads, atoms).structure, home.system)
    yield Measure("switch_s", perf_counter() - begin, f"s, {len(beads)} residues", 10.0, "value <= 10")
    shift = 10.0 * float(np.linalg.norm(map_protein(back).beads.positions - beads.positions, axis=1).max())
    yield Measure("switch_ca_shift", shift, "angstrom", 0.1, "value <= 0.1")
    yield Measure("switch_backbone_rmsd", 10.0 * backbone_rmsd(back, atoms), "angstrom", 1.2, "value <= 1.2")


@gives("cg_replicas512", "cg_replicas512_gain")
def cg_replicas512() -> Iterator[Measure]:
    """512 replicas of the learned alanine dipeptide, all at once on one thread, against the same model moved one replica at a time."""
    import torch

    from studio.coarse import shelf
    from studio.coarse.batched import BeadReplicas
    from studio.coarse.labels import Labels

    model = shelf.load("alanine-dipeptide")
    labels, masses, threads = Labels.load(shelf.SHIPPED / "alanine-dipeptide" / "labels.npz"), np.array(model.card.masses), torch.get_num_threads()
    torch.set_num_threads(1)

    def rate(replicas: int) -> float:
        """Steps per second."""
        moved = BeadReplicas(model, np.resize(labels.positions, (replicas, *labels.positions.shape[1:])), masses, model.card.temperature)
        moved.advance(200)
        return 1000.0 / median_seconds(lambda: moved.advance(1000), 3)

    together, alone = rate(512), rate(1) / 512
    torch.set_num_threads(threads)
    yield Measure("cg_replicas512", together, "steps/s of 512 replicas", alone, "value >= 400")
    yield Measure("cg_replicas512_gain", together, "steps/s, over one by one", alone, "ratio >= 10")
