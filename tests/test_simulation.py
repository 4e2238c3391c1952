"""OpenMM simulations: conservation, checkpoints, and what happens when numbers leave physics."""

from dataclasses import replace

import numpy as np
import pytest

from studio.errors import SettingsError, SimulationError, StorageError
from studio.forcefield import parametrise
from studio.hybrid.coupling import Model, plain
from studio.simulation import OpenMMSimulation, Thermostat, degrees_of_freedom
from studio.structure import Structure


@pytest.fixture(scope="module")
def ethanol() -> Model:
    return plain(parametrise(Structure.from_smiles("CCO")))


def test_advance_counts_steps_and_time(ethanol: Model) -> None:
    simulation = OpenMMSimulation(ethanol, Thermostat(timestep=2.0), "Reference")
    simulation.advance(3)
    frame = simulation.advance(4)
    assert (frame.step, frame.time) == (7, pytest.approx(0.014))
    assert frame.energies["potential"] != 0.0
    assert frame.positions.dtype == np.float32


def test_energies_are_sampled_on_request_only(ethanol: Model) -> None:
    simulation = OpenMMSimulation(ethanol, Thermostat(timestep=2.0), "Reference")
    first = simulation.advance(5)
    assert simulation.advance(5, sample=False).energies == first.energies
    assert simulation.advance(5).energies != first.energies


def test_checkpoint_continues_bitwise(ethanol: Model) -> None:
    simulation = OpenMMSimulation(ethanol, Thermostat(timestep=2.0, seed=3), "Reference")
    simulation.advance(20)
    saved = simulation.checkpoint()
    once = simulation.advance(20).positions
    simulation.restore(saved)
    np.testing.assert_array_equal(simulation.advance(20).positions, once)


def test_checkpoint_of_another_platform_keeps_positions(ethanol: Model) -> None:
    source = OpenMMSimulation(ethanol, Thermostat(timestep=2.0), "Reference")
    frame = source.advance(10)
    target = OpenMMSimulation(ethanol, Thermostat(timestep=2.0), "CPU")
    target.restore(source.checkpoint())
    again = target.advance(0)
    assert again.step == 10
    np.testing.assert_allclose(again.positions, frame.positions, atol=1e-5)


def test_damaged_and_foreign_checkpoints_are_refused(ethanol: Model) -> None:
    simulation = OpenMMSimulation(ethanol, Thermostat(), "Reference")
    with pytest.raises(StorageError, match="damaged"):
        simulation.restore(simulation.checkpoint()[:100])
    other = OpenMMSimulation(plain(parametrise(Structure.from_smiles("CO"))), Thermostat(), "Reference")
    with pytest.raises(StorageError, match="another system"):
        simulation.restore(other.checkpoint())


def test_a_step_that_is_too_long_is_rolled_back_and_names_atoms(ethanol: Model) -> None:
    simulation = OpenMMSimulation(ethanol, Thermostat(timestep=20.0), "Reference")
    start = simulation.advance(0)
    with pytest.raises(SimulationError, match=r"became unstable .* began at .*LIG.* rolled back.*shorter time step") as caught:
        simulation.advance(500)
    assert caught.value.atoms
    back = simulation.advance(0)
    assert back.step == start.step
    np.testing.assert_array_equal(back.positions, start.positions)


def test_reset_returns_to_the_minimised_start(ethanol: Model) -> None:
    simulation = OpenMMSimulation(ethanol, Thermostat(timestep=2.0), "Reference")
    start = simulation.minimise(100)
    simulation.advance(50)
    simulation.reset()
    frame = simulation.advance(0)
    assert frame.step == 0
    np.testing.assert_allclose(frame.positions, start.positions, atol=1e-6)


def test_minimising_lowers_the_energy_and_can_be_stopped(ethanol: Model) -> None:
    simulation = OpenMMSimulation(ethanol, Thermostat(), "Reference")
    before = simulation.advance(0).energies["potential"]
    steps: list[int] = []
    simulation.minimise(50, lambda iteration, _energy: (steps.append(iteration), len(steps) < 3)[1])
    assert len(steps) < 10, "each round of the minimiser must stop when told"
    assert simulation.minimise(500).energies["potential"] < before


def test_temperature_follows_the_thermostat(ethanol: Model) -> None:
    """A wrong count of degrees of freedom would show as a wrong temperature."""
    simulation = OpenMMSimulation(ethanol, Thermostat(temperature=100.0, friction=20.0, timestep=2.0, seed=1), "Reference")
    simulation.set_temperature(400.0)
    simulation.advance(2000)
    temperatures = [simulation.advance(20).temperature for _ in range(1000)]
    # relative spread of the mean: sqrt(2/N_f/independent samples); 4 standard errors
    assert np.mean(temperatures) == pytest.approx(400.0, rel=0.06)


def test_degrees_of_freedom_leave_out_fixed_atoms_constraints_and_the_centre_of_mass(ethanol: Model) -> None:
    assert degrees_of_freedom(ethanol.system) == 3 * 9 - 6 - 3


def test_unknown_platform_lists_the_known(ethanol: Model) -> None:
    with pytest.raises(SettingsError, match=r"'Abacus' is not available here; expected one of .*Reference"):
        OpenMMSimulation(ethanol, Thermostat(), "Abacus")


def test_a_structure_is_looked_at_as_it_came(ethanol: Model) -> None:
    """Constraints must not pull a stretched bond back before its energy is read."""
    hydrogen, oxygen = 8, 2
    positions = ethanol.structure.positions.copy()
    positions[hydrogen] += 0.5 * (positions[hydrogen] - positions[oxygen])
    stretched = replace(ethanol, structure=ethanol.structure.with_positions(positions))
    simulation = OpenMMSimulation(stretched, Thermostat(timestep=0.5), "Reference")
    frame = simulation.advance(0)
    np.testing.assert_allclose(frame.positions, positions, atol=1e-6)
    assert frame.energies["potential"] > OpenMMSimulation(ethanol, Thermostat(), "Reference").advance(0).energies["potential"] + 100
    moved = simulation.advance(1).positions
    assert np.linalg.norm(moved[hydrogen] - moved[oxygen]) == pytest.approx(0.097, abs=0.003)
