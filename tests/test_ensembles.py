"""Ensembles: the default schedule samples the canonical ensemble in every kind of motion, and the same bonds as short steps."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import pytest

from studio.hybrid.coupling import Model
from studio.hybrid.schedule import LADDER, Schedule
from studio.simulation import OpenMMSimulation, Thermostat, degrees_of_freedom
from studio.structure import Floats, Integers
from studio.units import BOLTZMANN
from tests.moving_systems import Moving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # the first test to ask compiles the network

KELVIN = 300.0
DEFAULT = Thermostat(KELVIN, friction=5.0, timestep=LADDER[0], seed=2, inner=Schedule().inner(LADDER[0]))
"""Friction enough for many independent samples; a resonance that heats within a picosecond is not hidden by it."""
PARTS = 16
"""Parts of a run, from whose spread the statistical error follows."""


@dataclass(frozen=True)
class Samples:
    """Of one run: kinetic energies (g,), kJ/mol; twice those of groups of atoms over kT (g,); lengths of the region's bonds (g, b), nm."""

    kinetic: Floats
    heats: dict[str, Floats]
    lengths: Floats


def sample(model: Model, drive: Thermostat, picoseconds: float, every: float = 0.04) -> Samples:
    simulation = OpenMMSimulation(model, drive, "Reference")
    simulation.minimise(30)
    simulation.advance(round(1000.0 / drive.timestep), sample=False)
    groups, bonds = groups_of(model), model.structure.bonds
    bonds = bonds[np.isin(bonds, model.region).all(axis=1)]
    kinetic, heats, lengths = [], [], []
    for _ in range(round(picoseconds / every)):
        frame = simulation.advance(round(1000.0 * every / drive.timestep))
        kinetic.append(frame.energies["kinetic"])
        heats.append([3 * len(atoms) * simulation.heat(atoms) / KELVIN for atoms in groups.values()])
        lengths.append(np.linalg.norm(np.diff(frame.positions[bonds].astype(np.float64), axis=1)[:, 0], axis=1))
    return Samples(np.array(kinetic), dict(zip(groups, np.array(heats).T, strict=True)), np.array(lengths))


def groups_of(model: Model) -> dict[str, Integers]:
    everything, light = np.arange(len(model.structure)), model.structure.numbers == 1
    region = np.isin(everything, model.region)
    return {"hydrogens": everything[region & light], "heavy atoms": everything[region & ~light], "water": everything[~region]}


def freedom(model: Model, atoms: Integers) -> float:
    """Degrees of freedom of some atoms: three each, less constraints, less their share in the centre of mass, which is halted."""
    system = model.system
    masses = np.array([system.getParticleMass(i)._value for i in range(system.getNumParticles())])
    constraints = sum(system.getConstraintParameters(k)[0] in atoms for k in range(system.getNumConstraints()))
    return float(3 * len(atoms) - constraints - 3 * masses[atoms].sum() / masses.sum())


def mean_and_error(values: Floats) -> tuple[Floats, Floats]:
    """Along the first axis."""
    parts = np.array([part.mean(axis=0) for part in np.array_split(values, PARTS)])
    return parts.mean(axis=0), parts.std(axis=0, ddof=1) / np.sqrt(PARTS)


@pytest.fixture(scope="module")
def model(ethanol: Moving) -> Model:
    return ethanol.model(ethanol.motion)


@pytest.fixture(scope="module")
def run(model: Model) -> Samples:
    """20 ps at the default schedule."""
    return sample(model, DEFAULT, 20.0)


@contextmanager
def silent() -> Iterator[None]:
    """Pymbar advertises a faster engine when it is imported."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def test_kinetic_energies_are_canonical(model: Model, run: Samples, capsys: pytest.CaptureFixture[str]) -> None:
    """Mean and width of their distribution: a resonance widens it before the mean shows."""
    with silent():
        import physical_validation as pv
    data = pv.data.SimulationData(
        units=pv.data.UnitData.units("GROMACS"),
        ensemble=pv.data.EnsembleData("NVT", natoms=len(model.structure), volume=1.0, temperature=KELVIN),
        system=pv.data.SystemData(natoms=len(model.structure), nconstraints=model.system.getNumConstraints(), ndof_reduction_tra=3, ndof_reduction_rot=0),
        observables=pv.data.ObservableData(kinetic_energy=run.kinetic),
    )
    mean, width = pv.kinetic_energy.distribution(data, strict=False, verbosity=0, bootstrap_seed=1)
    probability = pv.kinetic_energy.distribution(data, strict=True, verbosity=0)
    assert abs(mean) < 4.0, "in standard errors"
    assert abs(width) < 4.0, "in standard errors"
    assert probability > 1e-3
    assert not capsys.readouterr().out
    assert run.kinetic.mean() == pytest.approx(degrees_of_freedom(model.system) * BOLTZMANN * KELVIN / 2, rel=0.05)


@pytest.mark.parametrize("group", ["hydrogens", "heavy atoms", "water"])
def test_every_kind_of_motion_has_the_same_temperature(model: Model, run: Samples, group: str) -> None:
    """A resonance heats hydrogens first, and the thermostat hides it in the mean over all atoms."""
    mean, error = mean_and_error(run.heats[group] / freedom(model, groups_of(model)[group]))
    assert error < 0.07
    assert mean == pytest.approx(1.0, abs=5.0 * error + 0.02)


def test_bonds_are_those_of_short_steps(ethanol: Moving, run: Samples) -> None:
    """Means and widths under the network must depend neither on impulses nor on hydrogen masses."""
    short = sample(ethanol.model(), replace(DEFAULT, timestep=1.0, inner=1), 5.0, every=0.01)
    (one, error), (other, its_error) = (mean_and_error(samples.lengths) for samples in (run, short))
    # The hydroxyl group is bound to a water or not for picoseconds on end, which moves its length by 0.001 nm.
    np.testing.assert_array_less(np.abs(one - other), 6.0 * np.hypot(error, its_error) + 0.001)
    np.testing.assert_allclose(run.lengths.std(axis=0), short.lengths.std(axis=0), rtol=0.4)
