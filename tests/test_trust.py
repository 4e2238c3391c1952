"""The trust monitor: what it doubts, what it lets pass, and what a run does about it - on real molecules and networks."""

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic, perf_counter

import numpy as np
import pytest

from studio.frame import Frame
from studio.hybrid.coupling import couple, network_only
from studio.hybrid.view import View
from studio.potentials.aimnet2 import AIMNet2Ensemble
from studio.potentials.base import BoundPotential, Card, EnergyForces
from studio.potentials.so3lr import SO3LR
from studio.recipes.dynamics import Dynamics
from studio.region import Ligand
from studio.result import PROVENANCE
from studio.run import Run
from studio.simulation import OpenMMSimulation, Thermostat
from studio.structure import Structure
from studio.system import EXAMPLES, FromSmiles, System
from studio.trust import PATIENCE, Doubt, Monitor, Trust, watch


@dataclass
class Piece:
    """A fragment as the coupling has them, evaluated by hand."""

    atoms: np.ndarray
    structure: Structure
    potential: BoundPotential
    last: tuple[np.ndarray, EnergyForces, EnergyForces] | None = None


@dataclass(frozen=True)
class Pair:
    """Two networks as the members of an ensemble."""

    members: tuple[BoundPotential, ...]

    @property
    def card(self) -> Card:
        return self.members[0].card

    @property
    def provenance(self) -> dict[str, str]:
        return {}

    def __call__(self, positions: np.ndarray, box: np.ndarray | None = None) -> EnergyForces:
        return self.members[0](positions, box)


@pytest.fixture(scope="module")
def so3lr(aspirin: Structure) -> BoundPotential:
    return SO3LR().bind(aspirin, device="cpu")


@pytest.fixture(scope="module")
def tyk2() -> Structure:
    return EXAMPLES["tyk2-water"].system.prepare()


def frame_of(structure: Structure, positions: np.ndarray | None = None) -> Frame:
    place = structure.positions if positions is None else positions
    return Frame(0, 0.0, place.astype(np.float32), None if structure.box is None else structure.box.astype(np.float32))


def monitor_of(structure: Structure, potential: BoundPotential, settings: Trust | None = None, atoms: np.ndarray | None = None) -> Monitor:
    atoms = np.arange(len(structure)) if atoms is None else atoms
    return Monitor(structure, [Piece(atoms, structure.take(atoms), potential)], settings or Trust())


def bond_of(structure: Structure, heavy: int, light: int = 1) -> tuple[int, int]:
    """The first bond between elements `heavy` and `light`."""
    return next((int(i), int(j)) for i, j in np.sort(structure.bonds) if sorted(structure.numbers[[i, j]]) == sorted((heavy, light)))


def stretched(structure: Structure, bond: tuple[int, int], times: float) -> np.ndarray:
    fixed, moved = sorted(bond, key=lambda atom: -structure.numbers[atom])
    positions = structure.positions.copy()
    positions[moved] = positions[fixed] + times * (positions[moved] - positions[fixed])
    return positions


def kinds(doubts: tuple[Doubt, ...]) -> dict[str, tuple[int, ...]]:
    return {doubt.kind: doubt.atoms for doubt in doubts}


@pytest.mark.parametrize("heavy", [6, 8])
def test_a_stretched_bond_is_a_warning_and_a_broken_one_a_pause(aspirin: Structure, so3lr: BoundPotential, heavy: int) -> None:
    bond = bond_of(aspirin, heavy)
    monitor = monitor_of(aspirin, so3lr)
    assert monitor.look(frame_of(aspirin)) == ()
    (long,) = monitor.look(frame_of(aspirin, stretched(aspirin, bond, 1.35)))
    assert (long.kind, long.action, sorted(long.atoms)) == ("stretched", "warn", list(bond))
    assert aspirin.label(bond[0]) in long.sentence
    (gone,) = monitor.look(frame_of(aspirin, stretched(aspirin, bond, 1.7)))
    assert (gone.kind, gone.action, sorted(gone.atoms)) == ("broken", "pause", list(bond))


def test_a_proton_that_changes_hands_breaks_one_bond_and_forms_another() -> None:
    acid, base = Structure.from_smiles("OC=O"), Structure.from_smiles("N")
    oxygen, proton = bond_of(acid, 8)
    axis = acid.positions[proton] - acid.positions[oxygen]
    axis /= np.linalg.norm(axis)
    # the lone pair of ammonia looks at the proton, the nitrogen 0.27 nm from the oxygen
    lone = base.positions[0] - base.positions[1:].mean(axis=0)
    turn = _rotation(lone / np.linalg.norm(lone), -axis)
    moved = (base.positions - base.positions[0]) @ turn.T + acid.positions[oxygen] + 0.27 * axis
    pair = acid.join(base.with_positions(moved))
    monitor = monitor_of(pair, SO3LR().bind(pair, device="cpu"))
    assert monitor.look(frame_of(pair)) == (), "a hydrogen bond is no reason to doubt"
    after = pair.positions.copy()
    after[proton] = moved[0] - 0.104 * axis
    told = kinds(monitor.look(frame_of(pair, after)))
    assert set(told) == {"broken", "contact"}
    assert sorted(told["broken"]) == sorted((oxygen, proton))
    assert sorted(told["contact"]) == sorted((proton, len(acid)))


def _rotation(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    from scipy.spatial.transform import Rotation

    return Rotation.align_vectors(end[None], start[None])[0].as_matrix()


@pytest.mark.parametrize("image", [0, 1])
def test_a_ligand_pulled_into_its_surroundings_is_a_contact_in_any_image(tyk2: Structure, image: int) -> None:
    atoms = Ligand().select(tyk2)
    monitor = monitor_of(tyk2, SO3LR().bind(tyk2, atoms, "cpu"), atoms=atoms)
    assert monitor.look(frame_of(tyk2)) == ()
    water = int(tyk2.atoms_of("water")[0])
    carbon = int(atoms[tyk2.numbers[atoms] == 6][0])
    outward = tyk2.positions[carbon] - tyk2.positions[atoms].mean(axis=0)
    positions = tyk2.positions.copy()
    positions[water : water + 3] += positions[carbon] + 0.16 * outward / np.linalg.norm(outward) - positions[water] + image * tyk2.box[0]
    told = monitor.look(frame_of(tyk2, positions))
    assert ("contact", "pause") in {(doubt.kind, doubt.action) for doubt in told}
    assert tuple(sorted((carbon, water))) in {doubt.atoms for doubt in told}


def test_a_room_temperature_run_is_not_doubted(aspirin: Structure, so3lr: BoundPotential) -> None:
    simulation = OpenMMSimulation(network_only(aspirin, so3lr, 1.5), Thermostat(300.0, 5.0, 1.0, seed=4))
    simulation.minimise(50)
    monitor = watch(simulation.model, Trust(network_seconds=0.0))
    assert [doubt for _ in range(50) for doubt in monitor.look(simulation.advance(20))] == []


def test_a_room_temperature_run_in_water_is_not_doubted(tyk2: Structure) -> None:
    mm = EXAMPLES["tyk2-water"].system.parametrise(tyk2)
    atoms = Ligand().select(tyk2)
    simulation = OpenMMSimulation(couple(mm, atoms, SO3LR().bind(tyk2, atoms, "cpu")), Thermostat(300.0, 5.0, 1.0))
    monitor = watch(simulation.model, Trust())
    assert [doubt for _ in range(15) for doubt in monitor.look(simulation.advance(10))] == []


def test_heat_that_breaks_a_weak_bond_is_told_with_that_bond() -> None:
    """Methyl nitrite at 4000 K loses its methyl group within some hundred steps."""
    nitrite = Structure.from_smiles("CON=O")
    simulation = OpenMMSimulation(network_only(nitrite, SO3LR().bind(nitrite, device="cpu"), 1.0), Thermostat(4000.0, 50.0, 0.5, seed=1))
    simulation.minimise(30)
    monitor = watch(simulation.model, Trust())
    for _ in range(100):
        frame = simulation.advance(10)
        if graves := [doubt for doubt in monitor.look(frame) if doubt.action == "pause"]:
            break
    assert graves, "1,000 steps at 4000 K without a doubt"
    assert graves[0].kind == "broken"
    assert sorted(graves[0].atoms) in np.sort(nitrite.bonds).tolist()
    start, end = (np.linalg.norm(np.diff(place[list(graves[0].atoms)], axis=0)) for place in (nitrite.positions, frame.positions))
    assert end > 1.4 * start


def test_the_same_is_said_once_unless_it_grows_or_comes_back(aspirin: Structure, so3lr: BoundPotential) -> None:
    bond = bond_of(aspirin, 6)
    monitor = monitor_of(aspirin, so3lr, Trust(stretched=1.2, broken=9.0))
    calm, bad, worse = (frame_of(aspirin, stretched(aspirin, bond, times)) for times in (1.0, 1.25, 1.7))
    assert len(monitor.look(bad)) == 1
    assert [monitor.look(frame) for frame in (bad, calm, bad)] == [(), (), ()], "a flicker is no news"
    assert len(monitor.look(worse)) == 1
    for _ in range(PATIENCE):
        assert monitor.look(calm) == ()
    assert len(monitor.look(bad)) == 1
    monitor.forget()
    assert len(monitor.look(bad)) == 1
    assert len(monitor.notes) == 4


def test_a_bond_across_a_cage_is_no_contact() -> None:
    """Bicyclopentane: 0.187 nm between carbons that are not bonded, 1.23 times their radii."""
    cage = Structure.from_smiles("C1C2CC1C2")
    monitor = monitor_of(cage, SO3LR().bind(cage, device="cpu"))
    assert monitor.look(frame_of(cage)) == ()


def evaluated(structure: Structure, potential: BoundPotential, positions: np.ndarray, shadow: np.ndarray | None = None) -> Piece:
    rest = np.zeros_like(positions) if shadow is None else shadow
    return Piece(np.arange(len(structure)), structure, potential, (positions, potential(positions), EnergyForces(0.0, rest)))


def test_an_ensemble_disagrees_more_where_nobody_has_learned(aspirin: Structure) -> None:
    four = AIMNet2Ensemble().bind(aspirin, device="cpu")
    strange = stretched(aspirin, bond_of(aspirin, 8), 2.0)

    def spread(positions: np.ndarray) -> Doubt:
        piece = evaluated(aspirin, four, positions)
        (doubt,) = (d for d in Monitor(aspirin, [piece], Trust(spread=1.0)).look(frame_of(aspirin)) if d.kind == "spread")
        return doubt

    usual, odd = spread(aspirin.positions), spread(strange)
    assert usual.value < Trust().spread < odd.value
    assert set(bond_of(aspirin, 8)) & set(odd.atoms), "the atoms of the strange bond are where they disagree"


def test_further_network_calls_keep_their_distance(aspirin: Structure, so3lr: BoundPotential) -> None:
    calls: list[float] = []
    now = 0.0

    @dataclass(frozen=True)
    class Counted(Pair):
        def __call__(self, positions: np.ndarray, box: np.ndarray | None = None) -> EnergyForces:
            calls.append(now)
            return super().__call__(positions, box)

    piece = evaluated(aspirin, so3lr, aspirin.positions)
    piece.potential = Pair((Counted((so3lr,)), so3lr))
    monitor = Monitor(aspirin, [piece], Trust(network_seconds=1.0), lambda: now)
    for now in (0.0, 0.1, 0.9, 1.1, 1.2):  # noqa: B007 - the clock reads it
        monitor.look(frame_of(aspirin))
    assert calls == [0.0, 1.1]


def test_a_gap_to_the_force_field_names_the_atom(aspirin: Structure, so3lr: BoundPotential) -> None:
    shadow = np.array(so3lr(aspirin.positions).forces)
    shadow[7, 2] += 15_000.0
    (doubt,) = Monitor(aspirin, [evaluated(aspirin, so3lr, aspirin.positions, shadow)], Trust()).look(frame_of(aspirin))
    assert (doubt.kind, doubt.action, doubt.atoms) == ("gap", "warn", (7,))
    assert doubt.value == pytest.approx(15_000.0)
    assert "359" in doubt.sentence, "people read kcal/mol/angstrom"


def test_charges_that_no_atom_carries_or_that_do_not_add_up_are_doubted(aspirin: Structure, so3lr: BoundPotential) -> None:
    piece = evaluated(aspirin, so3lr, aspirin.positions)
    (atom,) = Monitor(aspirin, [piece], Trust(partial_charge=0.1)).look(frame_of(aspirin))
    assert atom.atoms == (int(np.argmax(np.abs(so3lr.partial_charges(aspirin.positions)))),)
    charges = aspirin.formal_charges.copy()
    charges[0] = 1
    piece.structure = replace(aspirin, formal_charges=charges)
    (whole,) = Monitor(aspirin, [piece], Trust()).look(frame_of(aspirin))
    assert whole.kind == "charge"
    assert "sum to" in whole.sentence
    assert "+1 e" in whole.sentence


def test_an_unknown_element_and_a_number_that_is_none_are_doubted(aspirin: Structure, so3lr: BoundPotential) -> None:
    boric = Structure.from_smiles("OB(O)O")
    (element,) = Monitor(boric, [Piece(np.arange(len(boric)), boric, so3lr)], Trust()).look(frame_of(boric))
    assert (element.kind, element.atoms) == ("element", (1,))
    piece = evaluated(aspirin, so3lr, aspirin.positions)
    piece.last[1].forces[3, 1] = np.nan
    (energy,) = Monitor(aspirin, [piece], Trust()).look(frame_of(aspirin))
    assert (energy.kind, energy.action, energy.atoms) == ("energy", "pause", (3,))
    assert energy == energy


def test_what_is_off_is_not_looked_at(aspirin: Structure, so3lr: BoundPotential) -> None:
    settings = Trust(on_broken="off", on_stretched="off")
    assert monitor_of(aspirin, so3lr, settings).look(frame_of(aspirin, stretched(aspirin, bond_of(aspirin, 6), 1.8))) == ()


def test_plain_mm_leaves_nothing_to_doubt(tyk2: Structure) -> None:
    assert Monitor(tyk2, (), Trust()).look(frame_of(tyk2, np.zeros_like(tyk2.positions))) == ()


def test_a_look_costs_little(tyk2: Structure) -> None:
    """Ten looks a second, at less than 3 ms each, cost less than 3 %."""
    atoms = Ligand().select(tyk2)
    monitor, frame = monitor_of(tyk2, SO3LR().bind(tyk2, atoms, "cpu"), atoms=atoms), frame_of(tyk2)
    assert min(_timed(lambda: monitor.look(frame)) for _ in range(20)) < 3e-3


def _timed(action: Callable[[], object]) -> float:
    start = perf_counter()
    action()
    return perf_counter() - start


# every thermal bond is 4 % longer than at the start sooner or later
JUMPY = Trust(stretched=1.04, on_stretched="pause")


def recipe(trust: Trust) -> Dynamics:
    return Dynamics(system=System(source=FromSmiles(smiles="CCO")), view=View(resolution="nnp"), interval=10, steps=300, minimise=20, trust=trust)


def test_a_run_pauses_with_the_reason_and_goes_on_when_told_to(tmp_path: Path) -> None:
    with Run(recipe(JUMPY), tmp_path) as run:
        run.wait("paused")
        run.play()
        status = run.wait("paused")
        assert status.state == "paused", "to be told from a failure"
        assert status.doubts[0].kind == "stretched"
        assert "times its ordinary length" in status.message
        assert set(status.doubts[0].atoms) <= set(status.atoms)
        assert run.doubts == status.doubts
        before = run.shared.subscribe().latest().step
        run.step(5)
        run.wait("paused")
        assert run.shared.subscribe().latest().step > before, "the same doubt must not hold it again"
        notes = json.loads((tmp_path / PROVENANCE).read_text())["notes"]
    assert any(note.startswith("Trust, ") for note in notes)


def test_on_the_command_line_a_doubt_that_pauses_is_a_failure_with_its_atoms() -> None:
    result = recipe(JUMPY).run()
    assert result.failure is not None
    assert result.failure.kind == "SimulationError"
    assert result.failure.atoms
    assert '"on_stretched" of "trust"' in result.failure.message
    assert result.arrays["time_ps"].size, "what was simulated before is kept"


def test_on_the_command_line_a_warning_is_a_note() -> None:
    result = recipe(Trust(stretched=1.04)).run()
    assert result.ok
    assert any("times its ordinary length" in note for note in result.notes)


def test_the_page_shows_the_doubt_its_atoms_and_a_way_to_go_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from studio.library import Library
    from widgets import store
    from widgets.desk import Desk
    from widgets.live import LiveView

    monkeypatch.setattr(store.runs, "prewarm", lambda: None)

    async def until(desk: Desk, condition: Callable[[], bool]) -> None:
        end = monotonic() + 60
        while not condition() and monotonic() < end:
            desk.refresh()
            await asyncio.sleep(0.02)
        assert condition()

    async def visit() -> None:
        desk = Desk(Library(tmp_path / "library"))
        LiveView(desk)
        try:
            await desk.store.open(recipe(JUMPY))
            await until(desk, lambda: desk.alert.visible)
            assert "times its ordinary length" in desk.alert.sentence
            assert set(desk.viewer.pane.warned) >= set(desk.store.doubts[-1].atoms)
            await until(desk, lambda: desk.store.status.state == "paused")
            assert desk.store.status.doubts
            anyway = desk.alert[1][0]
            assert anyway.label == "Go on anyway"
            anyway.clicks += 1
            assert not desk.alert.visible
            assert desk.viewer.pane.warned == []
            told, run = desk.store.doubts, desk.store.run
            await until(desk, lambda: run.status.state == "playing" or run.doubts != told)
        finally:
            desk.close()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, visit()).result()
