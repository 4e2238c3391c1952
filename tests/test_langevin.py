"""Langevin: each atom has its own temperature, held ones stay, and the forces that are summed up are those that moved the rest."""

import numpy as np
import openmm
import pytest

from studio.coarse.langevin import Langevin, drifting
from studio.units import BOLTZMANN

ATOMS, HELD, STIFF = 241, 240, 5000.0
KELVIN = np.where(np.arange(ATOMS) < 120, 300.0, 600.0)


@pytest.fixture
def wells() -> tuple[Langevin, openmm.Context]:
    """Atoms in springs of their own, half of them twice as warm; the last one is held at a force."""
    system, springs = openmm.System(), openmm.CustomExternalForce(f"{0.5 * STIFF}*(x^2 + y^2 + z^2)")
    for atom in range(ATOMS):
        system.addParticle(12.0 if atom % 2 else 1.0)
        springs.addParticle(atom)
    for force in (openmm.CMMotionRemover(1), springs, openmm.CMMotionRemover(7)):
        system.addForce(force)
    langevin = Langevin(drifting(system), 2.0, 20.0, 5, held=np.array([HELD]), summing=True)
    assert [type(force).__name__ for force in system.getForces()] == ["CustomExternalForce"]
    context = openmm.Context(system, langevin.integrator, openmm.Platform.getPlatformByName("Reference"))
    positions = np.zeros((ATOMS, 3))
    positions[HELD, 0] = 0.1
    context.setPositions(positions)
    langevin.heat(KELVIN)
    return langevin, context


def places(context: openmm.Context) -> np.ndarray:
    return np.asarray(context.getState(positions=True).getPositions(asNumpy=True)._value)


def test_each_atom_has_its_temperature_and_held_ones_stay(wells: tuple[Langevin, openmm.Context]) -> None:
    langevin, context = wells
    langevin.integrator.step(500)
    squares = np.zeros(ATOMS)
    for _ in range(60):
        langevin.integrator.step(40)
        squares += (places(context) ** 2).mean(axis=1) / 60
    warm = STIFF * squares[:HELD] / (BOLTZMANN * KELVIN[:HELD])
    for some in (warm[:120:2], warm[1:120:2], warm[120::2], warm[121::2]):  # light and heavy, cold and warm
        assert some.mean() == pytest.approx(1.0, abs=0.05)
    assert places(context)[HELD].tolist() == [0.1, 0.0, 0.0]


def test_forces_of_every_step_are_summed_up_once(wells: tuple[Langevin, openmm.Context]) -> None:
    langevin, context = wells
    langevin.integrator.step(50)
    langevin.forget()
    wanted = np.zeros((ATOMS, 3))
    for _ in range(5):
        wanted -= STIFF * places(context)
        langevin.integrator.step(1)
    assert langevin.total == pytest.approx(wanted, rel=1e-6, abs=1e-3)
    assert langevin.total[HELD, 0] == pytest.approx(-5 * 0.1 * STIFF)
