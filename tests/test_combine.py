"""Sums and differences of potentials: they are potentials, down to recipes, refusals and gradients."""

import numpy as np
import pytest
from pydantic import ValidationError

from studio.errors import PluginError, SettingsError, UnsupportedError
from studio.potentials.aimnet2 import AIMNet2
from studio.potentials.combine import Scaled, Sum, difference, total
from studio.potentials.openmmml import OpenMMML
from studio.potentials.so3lr import SO3LR
from studio.potentials.xtb import GFN2xTB
from studio.structure import Structure
from studio.testing import check_forces, check_potential, formaldehyde


@pytest.fixture(scope="module")
def molecule():
    return formaldehyde()


def test_a_difference_passes_the_contract():
    check_potential(difference(AIMNet2(), GFN2xTB()))


def test_energies_and_forces_add_up(molecule):
    bound = Sum(terms=(Scaled(potential=AIMNet2(), factor=0.25), Scaled(potential=GFN2xTB(), factor=-2.0))).bind(molecule)
    mine = bound(molecule.positions)
    network, reference = (potential.bind(molecule)(molecule.positions) for potential in (AIMNet2(), GFN2xTB()))
    assert mine.energy == pytest.approx(0.25 * network.energy - 2.0 * reference.energy, abs=1e-9)
    np.testing.assert_allclose(mine.forces, 0.25 * network.forces - 2.0 * reference.forces, atol=1e-9)


def test_a_potential_minus_itself_is_nothing(molecule):
    energy, forces = difference(AIMNet2(), AIMNet2()).bind(molecule)(molecule.positions)
    assert energy == 0.0
    assert not forces.any()


def test_double_precision_survives(molecule):
    both = total(SO3LR(precision="float64"), GFN2xTB(accuracy=0.001))
    check_forces(both.bind(molecule), molecule, tolerance=0.02)


def test_a_recipe_keeps_every_setting():
    mixed = Sum(terms=(Scaled(potential=SO3LR(precision="float64")), Scaled(potential=OpenMMML(model="mace-off23-small"), factor=-0.5)))
    again = Sum.model_validate_json(mixed.model_dump_json())
    assert again == mixed
    assert hash(again) == hash(mixed)
    assert again.terms[0].potential.precision == "float64"
    assert again.terms[1].potential.model == "mace-off23-small"
    nested = difference(mixed.terms[0].potential, SO3LR())
    assert nested != difference(SO3LR(), SO3LR())


def test_the_card_is_what_all_terms_can_do():
    card = difference(AIMNet2(), SO3LR()).card
    assert set(card.elements) == {"H", "C", "N", "O", "F", "P", "S", "Cl"}
    assert (card.charged, card.open_shell, card.partial_charges, card.max_atoms) == (True, False, False, 500)
    assert card.name == "aimnet2 - so3lr"
    assert card.method == "wB97M-D3/def2-TZVPP - PBE0+MBD"
    restricted = total(SO3LR(), OpenMMML(model="mace-off23-small")).card
    assert not restricted.commercial
    assert not restricted.charged
    assert "mace-torch" in restricted.packages
    assert Sum(terms=(Scaled(potential=SO3LR(), factor=-0.5),)).card.name == "-0.5 so3lr"


def test_refuses_what_one_term_refuses():
    bromide = Structure.from_smiles("CBr")
    with pytest.raises(UnsupportedError, match="SO3LR does not know Br"):
        difference(AIMNet2(), SO3LR()).bind(bromide)


def test_wrong_recipes_end_in_sentences():
    with pytest.raises(SettingsError, match="at least one term"):
        _ = Sum().card
    with pytest.raises(PluginError, match="Did you mean 'so3lr'"):
        Scaled.model_validate({"potential": {"name": "so3rl"}})
    with pytest.raises(ValidationError, match="precision: expected 'float32' or 'float64', got 'half'"):
        Scaled.model_validate({"potential": {"name": "so3lr", "settings": {"precision": "half"}}})
    with pytest.raises(ValidationError, match="expected a potential, got 3"):
        Scaled.model_validate({"potential": 3})
    with pytest.raises(ValidationError, match="expected a potential as"):
        Scaled.model_validate({"potential": {"settings": {}}})
