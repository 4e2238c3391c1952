"""MM as a potential: the same energies as OpenMM's System, in vacuum and in continuum water, from any thread; water lent to a network."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from studio.errors import UnsupportedError
from studio.forcefield import ForceField, parametrise
from studio.potentials.mm import MM
from studio.potentials.water import in_water
from studio.structure import Structure
from studio.testing import acetate, check_potential, water_dimer


@pytest.mark.parametrize("settings", [MM(), MM(solvent="gbn2"), MM(solvent="obc2", part="solvation")], ids=lambda s: s.card.title)
def test_contract(settings: MM) -> None:
    check_potential(settings)


@pytest.mark.parametrize("make", [acetate, water_dimer], ids=lambda f: f.__name__)
def test_contract_on_ions_and_on_several_molecules(make) -> None:
    check_potential(MM(), make())


@pytest.mark.parametrize("solvent", ["none", "gbn2", "obc2"])
def test_energies_are_openmms(aspirin: Structure, solvent) -> None:
    import openmm
    from openmm import unit

    system = parametrise(aspirin, ForceField(constrain_hydrogens=False), solvent).system
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(aspirin.positions)
    expected = context.getState(energy=True).getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole)
    assert MM(solvent=solvent).bind(aspirin)(aspirin.positions).energy == pytest.approx(expected, abs=1e-6 if solvent == "none" else 2e-3)


def test_vacuum_and_solvation_add_up_to_water(aspirin: Structure) -> None:
    vacuum, solvation, water = (settings.bind(aspirin)(aspirin.positions) for settings in (MM(), MM(solvent="gbn2", part="solvation"), in_water(MM())))
    assert vacuum.energy + solvation.energy == pytest.approx(water.energy, abs=2e-3)
    np.testing.assert_allclose(vacuum.forces + solvation.forces, water.forces, atol=0.05)
    assert solvation.energy < 0.0


def test_water_favours_charges_apart() -> None:
    """What the continuum is for: a zwitterion that falls together in vacuum may stand apart in water."""
    zwitterion = Structure.from_smiles("[NH3+]CCCC(=O)[O-]")
    neutral = Structure.from_smiles("NCCCC(=O)O")
    gains = [MM(solvent="gbn2", part="solvation").bind(molecule)(molecule.positions).energy for molecule in (zwitterion, neutral)]
    assert gains[0] < gains[1] - 50.0


def test_threads_do_not_disturb_each_other(aspirin: Structure) -> None:
    bound = MM().bind(aspirin)
    places = aspirin.positions + 0.005 * np.random.default_rng(0).normal(size=(40, len(aspirin), 3))
    alone = [bound(place).energy for place in places]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda place: bound(place).energy, places)) == alone


def test_surroundings_play_no_part(aspirin: Structure) -> None:
    boxed = replace(aspirin, box=3.0 * np.eye(3), fixed=np.ones(len(aspirin), dtype=np.bool_))
    assert in_water(MM()).bind(boxed)(boxed.positions).energy == in_water(MM()).bind(aspirin)(aspirin.positions).energy


def test_what_it_cannot_do_is_a_sentence() -> None:
    with pytest.raises(UnsupportedError, match="does not know B"):
        MM().bind(Structure.from_smiles("OB(O)O"))
    with pytest.raises(UnsupportedError, match="GBn2 water does not know B"):
        in_water(MM(part="all")).bind(Structure.from_smiles("OB(O)O"))
    with pytest.raises(ValidationError, match="needs a solvent"):
        MM(part="solvation")
