"""Springs that a person adds: their forces are the slopes of their energies, the physics beneath stays as it was, work adds up."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import openmm
import pytest

from studio.errors import SettingsError
from studio.forcefield import parametrise
from studio.forcefield.base import ForceGroup
from studio.hybrid.coupling import Model, network_only, plain
from studio.hybrid.schedule import LADDER, Schedule
from studio.settings import validated
from studio.simulation import OpenMMSimulation, Thermostat
from studio.steering import RESTRAINT_GROUP, STRONGEST_PULL, STRONGEST_RESTRAINT, DistanceRestraint, PositionRestraint, Restraint, Restraints
from studio.structure import Floats, Structure
from tests.hybrid_systems import water
from tests.moving_systems import Moving

STILL = Thermostat(timestep=1.0, friction=0.0, seed=2)


def ethanol() -> Model:
    """Free to be dragged: nothing halts its centre of mass."""
    return without_halt(plain(parametrise(Structure.from_smiles("CCO"))))


def boxed(triclinic: bool = False) -> Model:
    """Ethanol and a water in a periodic box, 2.2 nm, with the ethanol across its faces."""
    box = np.eye(3) * 2.2
    if triclinic:
        box[2, :2] = box[1, 0] = 0.7
    structure = Structure.from_smiles("CCO").join(water(0.5, 0.0, 0.0))
    return without_halt(plain(parametrise(replace(structure, box=box))))


def without_halt(model: Model) -> Model:
    system = model.system
    for index in reversed(range(system.getNumForces())):
        if isinstance(system.getForce(index), openmm.CMMotionRemover):
            system.removeForce(index)
    return model


def start(model: Model, drive: Thermostat = STILL) -> OpenMMSimulation:
    return OpenMMSimulation(model, drive, "Reference")


def group(simulation: OpenMMSimulation, number: int, positions: Floats) -> tuple[float, Floats]:
    simulation._context.setPositions(positions)
    state = simulation._context.getState(energy=True, forces=True, groups={int(number)})
    return state.getPotentialEnergy()._value, np.asarray(state.getForces(asNumpy=True)._value)


def worst_slope_error(simulation: OpenMMSimulation, number: int, atoms: tuple[int, ...], step: float = 1e-5) -> float:
    positions = simulation._positions()
    forces, errors = group(simulation, number, positions)[1], []
    for atom in atoms:
        for axis in range(3):
            shift = np.zeros_like(positions)
            shift[atom, axis] = step
            slope = (group(simulation, number, positions + shift)[0] - group(simulation, number, positions - shift)[0]) / (2 * step)
            errors.append(abs(forces[atom, axis] + slope))
    simulation._context.setPositions(positions)
    return max(errors)


@pytest.fixture(params=["open", "box", "triclinic"])
def model(request: pytest.FixtureRequest) -> Model:
    return ethanol() if request.param == "open" else boxed(request.param == "triclinic")


@pytest.mark.parametrize("stretch", [0.0, 0.02, 0.99, 1.01])
def test_the_force_of_a_pull_is_the_slope_of_its_energy(model: Model, stretch: float) -> None:
    """Within the harmonic part and beyond, where a clipped force would disagree with its energy, and at no distance at all."""
    simulation, oxygen = start(model), 2
    place = model.structure.positions[oxygen] + stretch * np.array([0.6, 0.64, 0.48]) * np.linalg.norm([0.6, 0.64, 0.48]) ** -1
    simulation.pull(oxygen, place, stiffness=500.0)
    assert worst_slope_error(simulation, ForceGroup.PULL, (oxygen, 0)) < 1e-4
    force = np.linalg.norm(group(simulation, ForceGroup.PULL, simulation._positions())[1][oxygen])
    assert simulation.advance(0).pull_force == pytest.approx(force, abs=1e-4)
    assert force == pytest.approx(min(500.0 * stretch, STRONGEST_PULL), abs=1e-4)


def test_a_box_is_pulled_through_its_nearest_face() -> None:
    """Drawn to the far image, the atom would be torn across the whole box."""
    model = boxed()
    simulation, oxygen = start(model), 2
    near = model.structure.positions[oxygen] + [0.05, 0.0, 0.0]
    simulation.pull(oxygen, near + 3 * model.structure.box[0] - 2 * model.structure.box[2], stiffness=400.0)
    assert simulation.advance(0).energies["pull"] == pytest.approx(0.5 * 400.0 * 0.05**2, rel=1e-6)


@pytest.mark.parametrize("restraint", [
    PositionRestraint(atoms=(0, 2), stiffness=2000.0),
    PositionRestraint(atoms=(0,), stiffness=2000.0, positions=((0.3, 0.1, -0.2),)),
    PositionRestraint(atoms=(1,), stiffness=5000.0, positions=((0.9, 0.1, -0.2),)),
    DistanceRestraint(atoms=(0, 8), nm=0.3, stiffness=2000.0),
    DistanceRestraint(atoms=(0, 8), nm=0.9, stiffness=9000.0),
], ids=["here", "there", "far", "pair", "far pair"])  # fmt: skip
def test_the_force_of_a_restraint_is_the_slope_of_its_energy(model: Model, restraint: Restraint) -> None:
    simulation = start(model)
    simulation.restrain([restraint])
    positions = simulation._positions() + np.random.default_rng(1).normal(scale=0.003, size=(len(model.structure), 3))
    simulation._context.setPositions(positions)
    assert worst_slope_error(simulation, RESTRAINT_GROUP, restraint.atoms) < 2e-3
    energy, forces = group(simulation, RESTRAINT_GROUP, positions)
    assert simulation.advance(0).energies["restraint"] == pytest.approx(energy)
    assert energy > 0.0
    assert np.linalg.norm(forces, axis=1).max() < STRONGEST_RESTRAINT + 1e-6


def test_springs_are_no_physics() -> None:
    """Potential and forces at the same positions are those of the unsteered system; kinetic energy and temperature, too."""
    simulation = start(ethanol())
    before, forces = simulation.advance(0), simulation.forces()
    assert {"pull", "restraint"} <= set(before.energies)
    assert (before.energies["pull"], before.energies["restraint"], before.pull_force, before.pull_work) == (0.0, 0.0, 0.0, 0.0)
    simulation.pull(2, (0.4, 0.4, 0.4))
    simulation.restrain([DistanceRestraint(atoms=(0, 2), nm=0.5)])
    after = simulation.advance(0)
    assert after.energies["potential"] == before.energies["potential"]
    assert after.energies["kinetic"] == before.energies["kinetic"]
    assert min(after.energies["pull"], after.energies["restraint"], after.pull_force) > 1.0
    np.testing.assert_array_equal(simulation.forces(), forces)


def total(simulation: OpenMMSimulation, *names: str) -> float:
    frame = simulation.advance(0)
    return sum(frame.energies[name] for name in ("potential", "kinetic", *names))


def test_energy_is_conserved_under_still_springs() -> None:
    """All of it, springs included, as well as without springs; they exchange much more with the molecule than may be lost."""
    simulation = start(ethanol(), replace(STILL, timestep=0.1))
    simulation.advance(1)
    simulation.restrain([PositionRestraint(atoms=(0,), stiffness=3000.0)])
    simulation.pull(2, simulation._positions()[2] + [0.15, 0.0, 0.1], stiffness=800.0)
    begun, moved, drift = total(simulation, "pull", "restraint"), [], []
    for _ in range(100):
        simulation.advance(50)
        moved.append(total(simulation))
        drift.append(total(simulation, "pull", "restraint") - begun)
    assert np.ptp(moved) > 5.0
    assert np.abs(drift).max() < 0.05 * np.ptp(moved)


def test_the_hand_pays_for_what_the_molecule_receives() -> None:
    """Work is exact for every path of the target: energy gained, spring included, equals it at each step; after release the rest is returned."""
    simulation, rng = start(ethanol(), replace(STILL, timestep=0.1)), np.random.default_rng(3)
    simulation.advance(1)
    begun, place, most = total(simulation), simulation._positions()[2], 0.0
    for _ in range(60):
        simulation.pull(2, place + rng.normal(scale=0.15, size=3), stiffness=600.0)
        frame = simulation.advance(25)
        gained = frame.energies["potential"] + frame.energies["kinetic"] + frame.energies["pull"] - begun
        assert gained == pytest.approx(frame.pull_work, abs=0.4)
        most = max(most, abs(frame.pull_work))
    held, work = frame.energies["pull"], frame.pull_work
    simulation.release()
    frame = simulation.advance(0)
    assert frame.pull_work == pytest.approx(work - held)
    assert frame.energies["potential"] + frame.energies["kinetic"] - begun == pytest.approx(frame.pull_work, abs=0.4)
    assert most > 5.0, "nothing was done that could be wrong"
    simulation.pull(2, simulation._positions()[2])
    assert simulation.advance(0).pull_work == pytest.approx(0.0, abs=1e-9), "work is counted since the hand took hold"


def test_out_and_back_on_a_still_molecule_costs_nothing() -> None:
    simulation = start(ethanol())
    place = simulation._positions()[2]
    for x in (0.0, 0.3, 1.4, 2.5, 0.7, 0.0):  # also where the spring is no longer harmonic
        simulation.pull(2, place + np.array([x, 0.0, 0.0]))
        frame = simulation.advance(0)
        assert frame.pull_work == pytest.approx(frame.energies["pull"], abs=1e-9)
    assert frame.pull_work == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("strong", [1.0, 10_000.0])
def test_no_pull_makes_it_fly_apart(strong: float) -> None:
    """A wild mouse with the stiffest spring on offer, as a student does it; 2 fs, warm."""
    simulation = OpenMMSimulation(plain(parametrise(Structure.from_smiles("CCO"))), Thermostat(timestep=2.0, friction=5.0, seed=1), "Reference")
    simulation.minimise(50)
    rng, hydrogen = np.random.default_rng(0), 8
    for _ in range(40):
        simulation.pull(hydrogen, rng.uniform(-3.0, 3.0, size=3), stiffness=strong)
        frame = simulation.advance(10)
        assert frame.pull_force <= STRONGEST_PULL + 1e-6


def test_released_atoms_forget_the_spring() -> None:
    """Idle, the spring must not be felt in any later step, nor in another context of the same system."""
    model = ethanol()
    steered, plainly = start(model), start(ethanol())
    steered.pull(2, (1.0, 1.0, 1.0))
    steered.restrain([PositionRestraint(atoms=(0,), positions=((0.5, 0.5, 0.5),))])
    other = start(model)
    steered.release()
    steered.restrain([])
    for simulation in (steered, other):
        np.testing.assert_array_equal(simulation.forces(), plainly.forces())
        state = simulation._context.getState(forces=True)
        np.testing.assert_allclose(state.getForces(asNumpy=True)._value, plainly.forces(), atol=1e-9)


def test_position_restraints_hold_where_atoms_are_when_they_are_set() -> None:
    simulation = start(ethanol(), replace(STILL, friction=5.0))
    simulation.advance(20)
    place = simulation._positions()
    simulation.restrain([PositionRestraint(atoms=(0, 2), stiffness=5000.0)])
    assert simulation.advance(0).energies["restraint"] == 0.0
    np.testing.assert_allclose(simulation.restraints[0].positions, place[[0, 2]])
    frames = [simulation.advance(50).positions for _ in range(40)]
    # each coordinate spreads by sqrt(kT/k) = 0.022 nm
    assert np.abs(np.mean(frames, axis=0)[[0, 2]] - place[[0, 2]]).max() < 0.03


def test_distance_restraints_spread_as_the_temperature_says() -> None:
    """Two argon-like free atoms: <(r - r0)^2> is close to kT/k."""
    water_pair = plain(parametrise(water(0, 0, 0).join(water(1.5, 0, 0))))
    simulation = start(water_pair, Thermostat(timestep=2.0, friction=20.0, seed=4))
    simulation.restrain([DistanceRestraint(atoms=(0, 3), nm=1.5, stiffness=2000.0)])
    simulation.advance(500)
    lengths = []
    for _ in range(1500):
        x = simulation.advance(10, sample=False).positions
        lengths.append(np.linalg.norm(x[0] - x[3]))
    assert np.mean(lengths) == pytest.approx(1.5, abs=0.01)
    assert np.std(lengths) == pytest.approx(np.sqrt(0.0083145 * 300 / 2000.0), rel=0.15)


def test_checkpoints_of_pulled_and_free_simulations_are_each_others(model: Model) -> None:
    """Bitwise on the platform that wrote them, whatever forces steer now; the restored one is not pulled."""
    pulled, free = start(model), start(boxed() if model.structure.box is not None else ethanol())
    pulled.pull(2, (0.5, 0.5, 0.5))
    pulled.advance(5)
    saved = pulled.checkpoint()
    if model.structure.key == free.structure.key:
        free.restore(saved)
        np.testing.assert_array_equal(free._positions(), pulled._positions())
        assert free.advance(3).energies["pull"] == 0.0
        early = free.checkpoint()
        pulled.restore(early)
        assert pulled.spring is None
        np.testing.assert_array_equal(pulled._positions(), free._positions())
        np.testing.assert_array_equal(pulled.advance(5).positions, free.advance(5).positions)
    pulled.restore(saved)
    frame = pulled.advance(1)
    assert (frame.energies["pull"], frame.pull_force, frame.pull_work) == (0.0, 0.0, 0.0)


def test_restraints_and_settings_survive_reset_and_going_back() -> None:
    simulation = start(ethanol(), replace(STILL, friction=1.0))
    early = simulation.checkpoint()
    simulation.restrain([PositionRestraint(atoms=(0,), positions=((0.3, 0.0, 0.0),))])
    held = simulation.restraints
    simulation.set_temperature(450.0)
    simulation.set_friction(7.0)
    for back in (simulation.reset, lambda: simulation.go_back(early)):
        simulation.pull(2, (0.5, 0.5, 0.5))
        simulation.advance(5)
        back()
        assert simulation.restraints == held
        assert simulation.advance(0).energies["restraint"] > 1.0
        assert simulation.spring is None
        assert (simulation._target(), simulation._friction()) == (450.0, 7.0)


def test_a_checkpoint_brings_its_temperature_and_friction_to_a_new_simulation() -> None:
    simulation = start(ethanol())
    simulation.set_temperature(450.0)
    simulation.set_friction(7.0)
    again = start(ethanol())
    again.restore(simulation.checkpoint())
    assert (again._target(), again._friction()) == (450.0, 7.0)


def frozen() -> Model:
    structure = Structure.from_smiles("CCO")
    return plain(parametrise(replace(structure, fixed=np.arange(9) == 0)))


@pytest.mark.parametrize(("act", "says"), [
    (lambda s: s.pull(0, (0, 0, 0)), r"C.* of LIG.* is frozen and cannot be pulled\. Choose an atom that moves"),
    (lambda s: s.pull(9, (0, 0, 0)), r"Atom 9 does not exist: expected an index from 0 to 8"),
    (lambda s: s.pull(-1, (0, 0, 0)), r"atom: expected greater than or equal to 0, got -1"),
    (lambda s: s.pull(1, (0, float("nan"), 0)), r"target > 1: expected a finite number"),
    (lambda s: s.pull(1, (0, 0)), r"target > 2: Field required"),
    (lambda s: s.pull(1, (0, 0, 0), 1e6), r"stiffness: expected less than or equal to 10000"),
    (lambda s: s.restrain([PositionRestraint(atoms=(1, 0))]), r"is frozen and cannot be restrained"),
    (lambda s: s.restrain([DistanceRestraint(atoms=(1, 50), nm=0.3)]), r"Atom 50 does not exist"),
], ids=["frozen", "beyond", "negative", "nan", "flat", "stiff", "frozen restraint", "pair beyond"])  # fmt: skip
def test_what_cannot_be_steered_is_refused_in_words(act, says: str) -> None:
    simulation = start(frozen())
    before = simulation.advance(0)
    with pytest.raises(SettingsError, match=says):
        act(simulation)
    assert simulation.advance(3).energies["pull"] == 0.0
    assert before.step == 0


@pytest.mark.parametrize(("data", "says"), [
    ({"kind": "position", "atoms": [], "stiffness": 10}, "at least 1 item"),
    ({"kind": "position", "atoms": [1, 1]}, "held twice"),
    ({"kind": "position", "atoms": [1, 2], "positions": [[0, 0, 0]]}, "one position for each of 2 atoms, got 1"),
    ({"kind": "distance", "atoms": [1, 1], "nm": 0.2}, "two different atoms"),
    ({"kind": "distance", "atoms": [1, 2], "nm": -1}, "greater than 0"),
    ({"kind": "angle", "atoms": [1, 2, 3]}, "does not match any of the expected tags: 'position', 'distance'"),
])  # fmt: skip
def test_restraints_that_make_no_sense_are_sentences(data: dict[str, object], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        validated(Restraints, [data])


@pytest.fixture
def networks(exact_ethanol: Moving) -> Iterator[dict[str, tuple[Model, Thermostat]]]:
    """The same network with a schedule among waters, and alone."""
    drive = Thermostat(timestep=LADDER[0], inner=Schedule().inner(LADDER[0]), seed=4)
    return {
        "nnp/mm": (exact_ethanol.model(exact_ethanol.motion), drive),
        "nnp": (network_only(exact_ethanol.part.structure, exact_ethanol.potential, 1.5), Thermostat(timestep=0.5, seed=4)),
    }


@pytest.mark.parametrize("resolution", ["nnp/mm", "nnp"])
@pytest.mark.timeout(900)  # the first test to ask fits the inner force
def test_a_pull_on_the_network_s_atoms_costs_no_call_and_moves_them(networks: dict[str, tuple[Model, Thermostat]], resolution: str) -> None:
    model, drive = networks[resolution]
    simulation, oxygen = start(model, drive), 2
    simulation.advance(3, sample=False)
    parts = simulation.advance(0).energies
    goal = simulation._positions()[oxygen] + [0.0, 0.0, 0.3]
    simulation.pull(oxygen, goal)
    simulation.restrain([DistanceRestraint(atoms=(0, oxygen), nm=0.25)])
    frame = simulation.advance(0)
    assert {name: frame.energies[name] for name in ("potential", "network", "mm") if name in parts} == pytest.approx(
        {name: parts[name] for name in ("potential", "network", "mm") if name in parts}, abs=1e-6
    )
    simulation.advance(1, sample=False)
    calls = model.correction.calls
    for k in range(20):
        simulation.pull(oxygen, goal + np.array([0.0, 0.0, 0.005 * k]))
        simulation.advance(1, sample=False)
    assert model.correction.calls - calls == 20, "the network is asked once a step, pulled or not"
    assert simulation.advance(0).energies["pull"] > 0.0
