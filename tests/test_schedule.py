"""Schedule: multiple time steps are r-RESPA, cost one network call a step, conserve energy, and are refused where they do not."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openmm
import pytest

from studio.errors import SettingsError
from studio.hybrid.coupling import LAMBDA, Model, Motion
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
from tests.moving_systems import Moving, few_samples

DEFAULT = Thermostat(timestep=LADDER[0], inner=Schedule().inner(LADDER[0]), seed=4)
SYSTEM = System(source=FromSmiles(smiles="CCO"))


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
    integrator = openmm.LangevinMiddleIntegrator(drive.temperature, drive.friction, 0.001)
    integrator.setRandomNumberSeed(drive.seed + 1)
    plain = openmm.Context(model.system, integrator, openmm.Platform.getPlatformByName("Reference"))
    plain.setPositions(model.structure.positions)
    plain.setVelocitiesToTemperature(drive.temperature, drive.seed)
    plain.applyConstraints(1e-6)
    simulation.advance(25)
    integrator.step(25)
    positions, velocities = state_of(simulation)
    state = plain.getState(positions=True, velocities=True)
    np.testing.assert_array_equal(positions, state.getPositions(asNumpy=True)._value)
    np.testing.assert_array_equal(velocities, state.getVelocities(asNumpy=True)._value)


def impulses(exact_ethanol: Moving, positions: Floats, velocities: Floats, steps: int, inner: int, dt: float) -> tuple[Floats, Floats]:
    """r-RESPA by hand for the region alone, which has no constraints: kick of the slow force, then steps of the fast one."""
    ours = alone(exact_ethanol)
    masses = np.array([ours.system.getParticleMass(i)._value for i in range(len(positions))])[:, None]
    place = context(ours.system)

    def forces(lam: float) -> Floats:
        place.setPositions(positions)
        place.setParameter(LAMBDA, lam)
        return np.asarray(place.getState(forces=True).getForces(asNumpy=True)._value)

    def fast() -> Floats:
        """MM and the inner force; the correction left out by its group."""
        place.setPositions(positions)
        return np.asarray(place.getState(forces=True, groups={0, 1, 2, 3, 4, 5, 6, 7}).getForces(asNumpy=True)._value)

    for step in range(steps * inner):
        kick = fast()
        if step % inner == 0:
            kick = kick + inner * (forces(1.0) - kick)
        velocities = velocities + dt * kick / masses
        positions = positions + dt * velocities
    return positions, velocities
