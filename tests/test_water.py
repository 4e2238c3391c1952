"""Continuum water: generalised Born as OpenMM has it, its slopes, and water around a network's own charges."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from studio.errors import UnsupportedError
from studio.potentials.base import Batched
from studio.potentials.born import Born
from studio.potentials.mm import MM
from studio.potentials.openmmml import OpenMMML
from studio.potentials.so3lr import SO3LR
from studio.potentials.water import InWater, in_water
from studio.potentials.xtb import GFN2xTB
from studio.structure import Structure
from studio.testing import acetate, check_forces, check_potential, formaldehyde


@pytest.mark.parametrize("make", [formaldehyde, acetate], ids=lambda f: f.__name__)
def test_contract(make) -> None:
    check_potential(InWater(potential=SO3LR()), make())


def test_xtb_in_water(aspirin: Structure) -> None:
    """Its slopes are slopes; its surface is a grid that does not turn with the molecule, which the energy must hardly notice."""
    bound = GFN2xTB(solvent="alpb").bind(aspirin)
    check_forces(bound, aspirin, 0.5)
    turn = Rotation.from_rotvec([0.3, 1.1, -0.7])
    assert bound(aspirin.positions @ turn.as_matrix().T).energy == pytest.approx(bound(aspirin.positions).energy, abs=0.2)


def test_born_is_openmms(aspirin: Structure) -> None:
    """Energy and forces at MM charges, also of a squeezed molecule, whose necks and overlaps differ."""
    bound = MM(solvent="gbn2", part="solvation").bind(aspirin)
    charges = np.array([bound.solvation.getParticleParameters(index)[0] for index in range(len(aspirin))])
    born = Born(bound.solvation)
    for scale in (0.8, 1.0, 1.3):
        ours, openmms = born(scale * aspirin.positions, charges), bound(scale * aspirin.positions)
        assert ours.energy == pytest.approx(openmms.energy, abs=2e-3)
        np.testing.assert_allclose(ours.forces, openmms.forces, atol=0.01)


def test_born_knows_its_slopes_by_the_charges(aspirin: Structure) -> None:
    born = Born(MM(solvent="gbn2", part="solvation").bind(aspirin).solvation)
    charges = np.random.default_rng(1).normal(0.0, 0.3, len(aspirin))
    slopes = born(aspirin.positions, charges).slopes
    for atom in (0, 5, 12):
        step = 1e-4 * np.eye(len(aspirin))[atom]
        rise = born(aspirin.positions, charges + step).energy - born(aspirin.positions, charges - step).energy
        assert slopes[atom] == pytest.approx(rise / 2e-4, rel=1e-6)


def test_a_network_stands_in_water_with_its_own_charges(aspirin: Structure) -> None:
    gas, wet = SO3LR().bind(aspirin), in_water(SO3LR()).bind(aspirin)
    born = Born(MM(solvent="gbn2", part="solvation").bind(aspirin).solvation)
    expected = gas(aspirin.positions).energy + born(aspirin.positions, gas.partial_charges(aspirin.positions)).energy
    assert wet(aspirin.positions).energy == pytest.approx(expected, abs=0.05)  # the gas-phase call is tabulated
    assert wet.card.title == "SO3LR + GBn2 water"
    assert isinstance(wet, Batched)


def test_a_potential_without_charges_gets_those_of_mm(aspirin: Structure) -> None:
    pytest.importorskip("tblite.ase")
    bare = OpenMMML(model="ase", calculator="tblite.ase:TBLite", elements=("H", "C", "O"))
    gas, wet = bare.bind(aspirin), in_water(bare).bind(aspirin)
    continuum = MM(solvent="gbn2", part="solvation").bind(aspirin)(aspirin.positions).energy
    assert wet(aspirin.positions).energy - gas(aspirin.positions).energy == pytest.approx(continuum, abs=1e-3)


def test_xtb_brings_its_own_water(aspirin: Structure) -> None:
    wet = in_water(GFN2xTB())
    assert wet == GFN2xTB(solvent="alpb")
    assert wet.card.title == "GFN2-xTB in ALPB water"
    gain = wet.bind(aspirin)(aspirin.positions).energy - GFN2xTB().bind(aspirin)(aspirin.positions).energy
    assert -120.0 < gain < -20.0  # aspirin in water: some ten kcal/mol without the free energy of the cavity


def test_what_the_water_does_not_know_is_a_sentence() -> None:
    with pytest.raises(UnsupportedError, match="does not know"):
        in_water(SO3LR()).bind(Structure.from_smiles("OB(O)O"))


def test_it_survives_a_recipe() -> None:
    settings = InWater(potential=SO3LR(precision="float64"))
    assert InWater.model_validate_json(settings.model_dump_json()) == settings
