"""Replicas: each copy goes as it would alone, all share one network call a step, and nobody ever waits for ever."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from studio.errors import SettingsError, SimulationError, StorageError
from studio.forcefield import MMSystem, parametrise
from studio.frame import Frame
from studio.hybrid.coupling import Model, couple, network_only
from studio.hybrid.view import View
from studio.potentials.aimnet2 import AIMNet2Ensemble
from studio.potentials.base import Batch, BoundPotential, Card, EnergyForces, evaluate_batch
from studio.potentials.so3lr import SO3LR
from studio.recipes.replicas import ReplicaDynamics
from studio.region import Ligand
from studio.replicas import Replica, Replicas, Table
from studio.settings import validated
from studio.simulation import OpenMMSimulation, Thermostat
from studio.structure import Residue, Structure
from studio.system import EXAMPLES, FromSmiles, System
from studio.trust import Trust


@pytest.fixture(scope="module")
def cluster() -> MMSystem:
    """Formamide and three waters, no box."""
    water = replace(Structure.from_smiles("O"), residues=(Residue("HOH"),), names=("O", "H1", "H2"))
    waters = [water.with_positions(water.positions + shift) for shift in ([0.5, 0, 0], [0, 0.45, 0.1], [-0.2, 0.1, 0.5])]
    return parametrise(Structure.from_smiles("NC=O").join(*waters))


@pytest.fixture(scope="module")
def so3lr(cluster: MMSystem) -> BoundPotential:
    return SO3LR(precision="float64").bind(cluster.structure, Ligand().select(cluster.structure), "cpu")


@pytest.fixture
def build(cluster: MMSystem, so3lr: BoundPotential) -> Callable[[float], Model]:
    return lambda lam: couple(cluster, Ligand().select(cluster.structure), so3lr, lam)


class Flawed:
    """A network that fails at chosen calls, counted from the first."""

    def __init__(self, potential: BoundPotential, fails: set[int]) -> None:
        self.potential, self.fails, self.batches = potential, fails, []

    @property
    def card(self) -> Card:
        return self.potential.card

    @property
    def provenance(self) -> dict[str, str]:
        return self.potential.provenance

    def __call__(self, positions: np.ndarray, box: np.ndarray | None = None) -> EnergyForces:
        return self.potential(positions)

    def batch(self, positions: np.ndarray) -> Batch:
        self.batches.append(len(positions))
        if len(self.batches) in self.fails:
            raise RuntimeError("out of cheese")
        return evaluate_batch(self.potential, positions)


DIFFERENT = (Replica(seed=1), Replica(seed=2, temperature=400.0), Replica(seed=1, lam=0.5), Replica(seed=3, lam=0.0))
DRIVE = Thermostat(friction=5.0, timestep=0.5)


def alone(build: Callable[[float], Model], copy: Replica, steps: int) -> np.ndarray:
    drive = replace(DRIVE, seed=copy.seed, temperature=copy.temperature)
    return OpenMMSimulation(build(copy.lam), drive, threads=1).advance(steps).positions


def test_each_copy_goes_as_it_would_alone(build: Callable[[float], Model]) -> None:
    together = Replicas(build, DIFFERENT, DRIVE).advance(20)
    for copy, frame in zip(DIFFERENT, together, strict=True):
        assert frame.step == 20
        np.testing.assert_allclose(frame.positions, alone(build, copy, 20), atol=2e-6)


def test_one_call_a_step_serves_all_whose_lambda_is_not_zero(build: Callable[[float], Model]) -> None:
    replicas = Replicas(build, DIFFERENT, DRIVE)
    before, seen = replicas.calls, replicas._tables[0].evaluations
    replicas.advance(10)
    assert replicas.calls - before == 10
    assert replicas._tables[0].evaluations - seen == 30, "three of four ask"


def test_copies_that_ask_for_nothing_call_nothing(build: Callable[[float], Model]) -> None:
    replicas = Replicas(build, (Replica(lam=0.0), Replica(seed=1, lam=0.0)), DRIVE)
    replicas.advance(5)
    assert replicas.calls == 0


def test_a_paused_copy_stays_and_the_others_go_on(build: Callable[[float], Model]) -> None:
    replicas = Replicas(build, DIFFERENT[:3], DRIVE)
    first = replicas.advance(4)
    replicas.pause(1)
    second = replicas.advance(4)
    assert [frame.step for frame in second] == [8, 4, 8]
    np.testing.assert_array_equal(second[1].positions, first[1].positions)
    replicas.resume(1)
    assert [frame.step for frame in replicas.advance(4)] == [12, 8, 12]


def test_a_copy_that_leaves_physics_is_set_aside_and_nobody_waits_for_it(cluster: MMSystem, so3lr: BoundPotential) -> None:
    """One copy starts with two atoms on top of each other."""
    atoms = Ligand().select(cluster.structure)
    starts = iter([False, True, False])

    def build(lam: float) -> Model:
        model = couple(cluster, atoms, so3lr, lam)
        positions = cluster.structure.positions.copy()
        if next(starts):
            positions[4] = positions[3] + 0.002
        return replace(model, structure=cluster.structure.with_positions(positions))

    replicas = Replicas(build, (*DIFFERENT[:2], Replica(seed=5)), DRIVE)
    frames = replicas.advance(15)
    assert [frame.step for frame in frames] == [15, 0, 15]
    assert list(replicas.failures) == [1]
    assert "became unstable" in str(replicas.failures[1])
    assert replicas.moving == (0, 2)
    assert [frame.step for frame in replicas.advance(5)] == [20, 0, 20]


def test_a_network_that_fails_once_ends_the_block_for_all_in_the_call_and_can_be_tried_again(cluster: MMSystem, so3lr: BoundPotential) -> None:
    flawed = Flawed(so3lr, fails={5, 6, 7})
    atoms = Ligand().select(cluster.structure)
    replicas = Replicas(lambda lam: couple(cluster, atoms, flawed, lam), DIFFERENT, DRIVE)
    frames = replicas.advance(10)
    assert set(replicas.failures) == {0, 1, 2}, "the copy without a network goes on"
    assert [frame.step for frame in frames] == [0, 0, 0, 10]
    for k in range(3):
        replicas.resume(k)
    flawed.fails = set()
    assert [frame.step for frame in replicas.advance(10)] == [10, 10, 10, 20]


def test_when_no_copy_is_left_it_is_an_error(cluster: MMSystem, so3lr: BoundPotential) -> None:
    atoms = Ligand().select(cluster.structure)
    flawed = Flawed(so3lr, fails=set(range(4, 1000)))
    replicas = Replicas(lambda lam: couple(cluster, atoms, flawed, lam), DIFFERENT[:2], DRIVE)
    with pytest.raises(SimulationError, match="No replica is left that moves"):
        replicas.advance(10)


def test_minimising_together_reaches_the_minimum_of_each_alone(build: Callable[[float], Model]) -> None:
    """Each walk has its own length: who is done first must not hold the others."""
    copies = (Replica(seed=1), Replica(seed=1, lam=0.3))
    replicas = Replicas(build, copies, DRIVE)
    together = [frame.energies["potential"] for frame in replicas.minimise(40)]
    for copy, energy in zip(copies, together, strict=True):
        single = OpenMMSimulation(build(copy.lam), DRIVE, threads=1).minimise(40)
        assert energy == pytest.approx(single.energies["potential"], abs=0.01)


def test_a_checkpoint_holds_all_copies(build: Callable[[float], Model]) -> None:
    replicas = Replicas(build, DIFFERENT, DRIVE)
    replicas.advance(5)
    saved = replicas.checkpoint()
    once = replicas.advance(5)
    replicas.restore(saved)
    for frame, again in zip(once, replicas.advance(5), strict=True):
        np.testing.assert_allclose(again.positions, frame.positions, atol=1e-6)
    with pytest.raises(StorageError, match="damaged"):
        replicas.restore(saved[:50])
    with pytest.raises(StorageError, match="holds 4 replicas; expected 1"):
        Replicas(build, (Replica(),), DRIVE).restore(saved)


def test_replicas_of_a_periodic_system_and_of_a_molecule_alone() -> None:
    mm = EXAMPLES["tyk2-water"].system.parametrise()
    atoms = Ligand().select(mm.structure)
    bound = SO3LR().bind(mm.structure, atoms, "cpu")
    part = mm.structure.take(atoms)
    for build in (lambda lam: couple(mm, atoms, bound, lam), lambda _lam: network_only(part, bound, 1.5)):
        replicas = Replicas(build, (Replica(seed=1), Replica(seed=2)))
        before = replicas.calls
        frames = replicas.advance(5)
        assert replicas.calls - before == 5
        assert all(np.isfinite(frame.positions).all() for frame in frames)
        assert not np.array_equal(frames[0].positions, frames[1].positions)


def test_copies_of_different_molecules_are_refused(cluster: MMSystem, so3lr: BoundPotential) -> None:
    methane, ammonia = (network_only(part, SO3LR().bind(part, device="cpu"), 1.5) for part in map(Structure.from_smiles, ("C", "N")))
    models = iter((methane, ammonia))
    with pytest.raises(SettingsError, match="same regions"):
        Replicas(lambda _lam: next(models), (Replica(), Replica()))
    with pytest.raises(SettingsError, match="at least one"):
        Replicas(lambda _lam: methane, ())
    with pytest.raises(SettingsError, match="Choose CPU"):
        Replicas(lambda _lam: methane, (Replica(),), platform="Reference")


def test_a_table_serves_whoever_is_there(so3lr: BoundPotential, cluster: MMSystem) -> None:
    """Seats come and go in any order; a call by somebody who never sat down is answered at once."""
    positions = cluster.structure.positions[Ligand().select(cluster.structure)]
    table, expected = Table(so3lr), so3lr(positions).energy
    assert table.ask(9, positions).energy == pytest.approx(expected, abs=1e-6)
    table.join(0)
    table.join(1)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(table.ask, 0, positions)
        with pytest.raises(TimeoutError):
            first.result(0.3)
        table.leave(1)
        assert first.result(5).energy == pytest.approx(expected, abs=1e-6)
    assert (table.calls, table.evaluations) == (2, 2)


def test_the_recipe_tells_each_temperature_and_streams_one_copy() -> None:
    copies = [{"seed": 1, "temperature": 200.0}, {"seed": 2, "temperature": 600.0}, {"seed": 3, "temperature": 300.0}]
    recipe = validated(ReplicaDynamics, {"system": {"source": {"kind": "smiles", "smiles": "CCO"}}, "view": {"resolution": "nnp"},
        "copies": copies, "steps": 400, "interval": 20, "friction": 20.0, "shown": 1})  # fmt: skip
    assert validated(ReplicaDynamics, json.loads(recipe.to_json())) == recipe
    shown: list[Frame] = []
    result = recipe.run(on_frame=shown.append)
    assert result.ok
    assert len(shown) == 20
    temperatures = result.arrays["mean_temperature_K"]
    assert temperatures.shape == (3,)
    assert temperatures[0] < temperatures[1]
    assert temperatures[1] == pytest.approx(np.mean([frame.temperature for frame in shown]))
    assert result.provenance["replica_temperatures_k"] == "200, 600, 300"
    with pytest.raises(SettingsError, match=r"(?i)copies"):
        validated(ReplicaDynamics, {"system": {"source": {"kind": "smiles", "smiles": "CCO"}}, "copies": [{"seed": 1, "kelvin": 3}]})
    with pytest.raises(SettingsError, match="choose resolution = nnp/mm"):
        validated(ReplicaDynamics, {**json.loads(recipe.to_json()), "copies": [{"lam": 0.5}]})


def test_an_ensemble_is_still_one_for_the_monitor_of_a_copy() -> None:
    ethanol = Structure.from_smiles("CCO")
    four = AIMNet2Ensemble().bind(ethanol, device="cpu")
    replicas = Replicas(lambda _lam: network_only(ethanol, four, 1.5), (Replica(seed=1), Replica(seed=2)))
    told = replicas.watch(1, Trust(spread=1.0)).look(replicas.advance(2)[1])
    assert [doubt.kind for doubt in told] == ["spread"]


def test_a_copy_that_is_not_to_be_believed_is_set_aside() -> None:
    copies = (Replica(seed=1, temperature=10.0), Replica(seed=2, temperature=1500.0))
    recipe = ReplicaDynamics(system=System(source=FromSmiles(smiles="CCO")), view=View(resolution="nnp"), copies=copies, steps=500, interval=10,
        friction=50.0, trust=Trust(stretched=1.08, on_stretched="pause"))  # fmt: skip
    result = recipe.run()
    assert result.ok
    assert any(note.startswith("Replica 1: Trust, ") for note in result.notes)
    assert not any(note.startswith("Replica 0") for note in result.notes)
    assert np.isnan(result.arrays["temperature_K"][-1, 1])
    assert np.isfinite(result.arrays["temperature_K"][:, 0]).all()
