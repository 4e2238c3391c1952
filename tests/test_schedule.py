"""Schedule: multiple time steps are r-RESPA, cost one network call a step, conserve energy, and are refused where they do not."""

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import openmm
import pytest

from studio.forcefield import parametrise
from studio.forcefield.base import ForceGroup
from studio.hybrid.boundary import cap
from studio.hybrid.coupling import Model
from studio.hybrid.schedule import LADDER, Schedule
from studio.hybrid.view import View
from studio.probe import probe
from studio.recipes import dynamics
from studio.recipes.dynamics import Dynamics
from studio.recorder import RECIPE
from studio.simulation import OpenMMSimulation, Thermostat
from studio.structure import Floats
from studio.system import FromSmiles, System
from tests.hybrid_systems import context, evaluate
from tests.moving_systems import Moving

pytestmark = pytest.mark.timeout(900)  # the first test to ask compiles the network

DEFAULT = Thermostat(timestep=LADDER[0], inner=Schedule().inner(LADDER[0]), seed=4)
ETHANOL, HYBRID = System(source=FromSmiles(smiles="CCO")), View(resolution="nnp/mm")


@pytest.fixture(scope="module")
def model(exact_ethanol: Moving) -> Model:
    """Ethanol among waters at the default schedule, in double precision."""
    return exact_ethanol.model(exact_ethanol.motion)


def start(model: Model, drive: Thermostat = DEFAULT) -> OpenMMSimulation:
    return OpenMMSimulation(model, drive, "Reference")


def state_of(simulation: OpenMMSimulation) -> tuple[Floats, Floats]:
    """Positions, nm, and velocities, nm/ps, to the last bit."""
    with np.load(io.BytesIO(simulation.checkpoint())) as data:
        return data["positions"], data["velocities"]


@pytest.mark.parametrize(("timestep", "inner"), [(0.5, 1), (2.0, 1), (2.5, 2), (4.0, 2), (4.1, 3), (6.0, 3)])
def test_a_step_is_divided_into_as_few_as_it_takes(timestep: float, inner: int) -> None:
    assert Schedule().inner(timestep) == inner


def test_one_inner_step_is_the_plain_integrator(model: Model) -> None:
    """To the last bit: what is left of the schedule must not be in the way."""
    drive = Thermostat(timestep=1.0, seed=4)
    simulation = start(model, drive)
    simulation.advance(25)
    integrator = openmm.LangevinMiddleIntegrator(drive.temperature, drive.friction, 0.001)
    integrator.setRandomNumberSeed(drive.seed + 1)  # this platform has one stream of random numbers: one run after the other
    plain = openmm.Context(model.system, integrator, openmm.Platform.getPlatformByName("Reference"))
    plain.setPositions(model.structure.positions)
    plain.setVelocitiesToTemperature(drive.temperature, drive.seed)
    plain.applyConstraints(1e-6)
    integrator.step(25)
    positions, velocities = state_of(simulation)
    state = plain.getState(positions=True, velocities=True)
    np.testing.assert_array_equal(positions, state.getPositions(asNumpy=True)._value)
    np.testing.assert_array_equal(velocities, state.getVelocities(asNumpy=True)._value)


def by_hand(model: Model, positions: Floats, velocities: Floats, drive: Thermostat, steps: int) -> tuple[Floats, Floats]:
    """r-RESPA without friction and constraints (Tuckerman 1992): impulses of the slow force between steps of the fast one, ps and nm."""
    masses = np.array([model.system.getParticleMass(i)._value for i in range(len(positions))])[:, None]
    place, dt = context(model.system), drive.timestep / drive.inner / 1000.0

    def force(*groups: int) -> Floats:
        place.setPositions(positions)
        return np.asarray(place.getState(forces=True, groups=set(groups)).getForces(asNumpy=True)._value)

    for _ in range(steps):
        velocities = velocities + drive.timestep / 1000.0 * force(ForceGroup.NNP) / masses
        for _ in range(drive.inner):
            velocities = velocities + dt * force(ForceGroup.MM) / masses
            positions = positions + dt * velocities
    return positions, velocities


@pytest.mark.parametrize("inner", [2, 3])
def test_several_inner_steps_are_impulses_of_the_network(exact_ethanol: Moving, inner: int) -> None:
    """An impulse at the wrong step, or of the wrong strength, samples the wrong energy and can pass for stable."""
    mm = parametrise(exact_ethanol.part.structure)
    whole = replace(exact_ethanol, mm=mm, part=cap(mm.structure, np.arange(len(mm.structure))))
    model = whole.model(whole.motion)
    assert model.system.getNumConstraints() == 0
    drive = Thermostat(timestep=3.0, inner=inner, friction=0.0, seed=4)
    simulation = start(model, drive)
    simulation.advance(1)  # the motion of the centre of mass is stopped in it
    expected = by_hand(model, *state_of(simulation), drive, 5)
    simulation.advance(5)
    for got, wanted in zip(state_of(simulation), expected, strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-6)


def test_one_network_call_a_step(model: Model) -> None:
    simulation = start(model)
    simulation.advance(1, sample=False)
    calls = model.correction.calls
    simulation.advance(20, sample=False)
    assert model.correction.calls - calls == 20
    for _ in range(20):
        simulation.advance(1)
    assert model.correction.calls - calls == 41, "energies at the end of a block are those that the next step starts from"


def test_energies_and_forces_are_the_whole_ones_at_any_step(model: Model) -> None:
    """An impulse, or no network at all, must not be taken for the force; neither by who reads it nor by the minimiser."""
    simulation = start(model)
    for odd in (0, 1):
        frame = simulation.advance(5)
        fresh = evaluate(model.system, state_of(simulation)[0])
        assert frame.energies["potential"] == pytest.approx(fresh.energy, abs=1e-8)
        assert frame.energies["network"] + frame.energies["mm"] == pytest.approx(fresh.energy, abs=1e-8)
        simulation._context.getIntegrator().step(odd)
        fresh = evaluate(model.system, state_of(simulation)[0])
        np.testing.assert_allclose(simulation.forces(), fresh.forces, atol=1e-6)
    simulation._context.getIntegrator().step(1)
    relaxed = simulation.minimise(400)
    assert simulation.advance(0).energies["potential"] == relaxed.energies["potential"]
    assert np.sqrt(np.mean(simulation.forces()[: len(model.region)] ** 2)) < 30.0, "a minimum of another force is none of this one"


def test_checkpoint_continues_bitwise(model: Model) -> None:
    """In the same simulation and in a new one; the thermostat's random numbers and the phase of the schedule with it."""
    simulation = start(model)
    simulation.advance(3)
    saved = simulation.checkpoint()
    simulation.advance(5)
    once = state_of(simulation)
    for again in (simulation, start(model)):
        again.restore(saved)
        again.advance(5)
        for got, wanted in zip(state_of(again), once, strict=True):
            np.testing.assert_array_equal(got, wanted)


def test_a_checkpoint_of_another_platform_keeps_the_phase(model: Model) -> None:
    """Impulses that come a step late would come at every step from then on."""
    source = start(model)
    source.advance(3)
    target = OpenMMSimulation(model, DEFAULT, "CPU", threads=1)
    target.restore(source.checkpoint())
    calls = model.correction.calls
    frame = target.advance(4)
    assert model.correction.calls - calls == 5
    assert frame.energies["potential"] == pytest.approx(evaluate(model.system, state_of(target)[0]).energy, abs=0.01)


def drift(model: Model, drive: Thermostat, picoseconds: float) -> tuple[float, float]:
    """Slope of the total energy without thermostat, kJ/mol/ps, and its statistical error from four parts."""
    simulation = start(model, drive)
    simulation.minimise(30)
    simulation.advance(round(200 / drive.timestep))
    simulation._context.getIntegrator().setFriction(0.0)
    every = round(4.0 / drive.timestep)
    frames = [simulation.advance(every) for _ in range(round(1000 * picoseconds / 4.0))]
    energies = np.array([frame.energies["potential"] + frame.energies["kinetic"] for frame in frames])
    times = 0.004 * np.arange(len(energies))
    parts = [np.polyfit(time, energy, 1)[0] for time, energy in zip(np.array_split(times, 4), np.array_split(energies, 4), strict=True)]
    return float(np.polyfit(times, energies, 1)[0]), float(np.std(parts) / 2)


@pytest.mark.slow
def test_energy_drifts_no_more_than_with_single_steps(ethanol: Moving) -> None:
    long, error = drift(ethanol.model(ethanol.motion), DEFAULT, 2.0)
    short, other = drift(ethanol.model(), replace(DEFAULT, timestep=1.0, inner=1), 1.0)
    assert abs(long - short) < 3.0 * float(np.hypot(error, other)) + 1.0
    assert abs(long) < 5.0, "kJ/mol/ps; 24 atoms hold 45 kJ/mol of kinetic energy"


def trial(model: Model, timestep: float) -> str:
    """What the probe says; it has to leave the simulation as it was."""
    simulation = start(model, replace(DEFAULT, timestep=timestep, inner=Schedule().inner(timestep)))
    simulation.minimise(30)
    before = state_of(simulation)
    found = probe(simulation)
    for got, wanted in zip(state_of(simulation), before, strict=True):
        np.testing.assert_array_equal(got, wanted)
    assert simulation.advance(0).step == 0
    return found


def test_the_probe_tells_a_step_that_is_bearable_from_one_that_is_not(ethanol: Moving) -> None:
    assert trial(ethanol.model(ethanol.motion), LADDER[0]) == ""
    assert re.search("the energy rose by|became unstable", trial(ethanol.model(), 10.0))


def test_the_probe_sees_what_explodes_within_a_picosecond(ethanol: Moving) -> None:
    assert trial(ethanol.model(ethanol.motion), 10.0)


def test_a_step_that_is_too_long_is_a_failure_with_its_reason(exact_ethanol: Moving) -> None:
    result = Dynamics(system=ETHANOL, view=HYBRID, schedule=Schedule(refit=False), timestep=10.0, steps=10).run(exact_ethanol.mm.structure)
    assert result.failure.kind == "SettingsError"
    assert re.match(r"This system does not bear a step of 10 fs: .* Leave the time step out .* or give a shorter one\.$", result.failure.message)


def test_a_step_that_fails_its_trial_is_followed_by_a_shorter_one(exact_ethanol: Moving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dynamics, "LADDER", (10.0, 1.0))
    simulation = Dynamics(system=ETHANOL, view=HYBRID, schedule=Schedule(refit=False)).simulation(exact_ethanol.mm.structure)
    assert (simulation.thermostat.timestep, simulation.thermostat.inner) == (1.0, 1)
    assert simulation.provenance["schedule"] == "single time step"


def test_a_run_that_goes_on_keeps_its_step(exact_ethanol: Moving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial that ends otherwise today must not change the time step in the middle of a run."""
    recipe = Dynamics(system=ETHANOL, view=HYBRID, steps=20, interval=10)
    recipe.run(exact_ethanol.mm.structure, folder=tmp_path, on_frame=lambda frame: frame.step < 10)
    settled = json.loads((tmp_path / RECIPE).read_text())["timestep"]
    assert settled == LADDER[0]
    monkeypatch.setattr(dynamics, "LADDER", (1.0,))
    result = recipe.run(folder=tmp_path)
    assert result.ok
    assert result.provenance["schedule"] == "r-RESPA, network every 4 fs, MM every 2 fs"
    assert result.arrays["time_ps"][-1] == pytest.approx(0.08)
