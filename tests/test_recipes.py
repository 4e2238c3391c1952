"""Recipes: data in, the same data out, a result or a failure that can be shown."""

import json
from pathlib import Path

import numpy as np
import pytest

from studio import plugins
from studio.errors import PluginError, SettingsError
from studio.frame import Frame
from studio.hybrid.view import View
from studio.potentials.catalogue import ready_cards
from studio.recipes.base import load_recipe
from studio.recipes.dynamics import Dynamics
from studio.recipes.minimise import Minimise
from studio.recipes.series import Records
from studio.recipes.single_point import SinglePoint
from studio.recorder import CHECKPOINT, ENERGIES
from studio.region import Near, ResidueIs
from studio.settings import validated
from studio.system import FromSmiles, System

ETHANOL = System(source=FromSmiles(smiles="CCO"))


@pytest.mark.parametrize("kind", plugins.names("studio.recipes"))
def test_every_recipe_survives_its_file(kind: str, tmp_path: Path) -> None:
    region = ResidueIs(name="LIG") | Near(of=ResidueIs(name="LIG"), nm=0.4)
    subjects = {"system": ETHANOL, "source": Records(path="ligands.sdf"), "recording": "runs/1", "replacement": FromSmiles(smiles="CO")}
    settings = subjects | {"view": View(region=region), "ligand": region}
    recipe_class = plugins.load("studio.recipes", kind)
    recipe = recipe_class(**{name: value for name, value in settings.items() if name in recipe_class.model_fields})
    path = tmp_path / "recipe.json"
    path.write_text(recipe.to_json())
    assert load_recipe(path) == recipe
    assert hash(load_recipe(path)) == hash(recipe)
    assert json.loads(path.read_text())["version"] == 1


METHANE = '{"kind": "dynamics", "system": {"source": {"kind": "smiles", "smiles": "C"}}'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON text"),
        ("[1, 2]", "is not a recipe"),
        ("{}", "is not a recipe"),
        ('{"kind": "dynamics"}', "system: Field required"),
        (METHANE + ', "temprature": 3}', "temprature: Extra inputs"),
        (METHANE + ', "temperature": -5}', "temperature: expected greater than or equal to 1, got -5"),
        (METHANE + ', "temperature": 10000}', "temperature: expected less than or equal to 1500"),
        (METHANE + ', "timestep": 1000}', "timestep: expected less than or equal to 20"),
        (METHANE + ', "view": {"region": {"kind": "blob"}}}', "expected a region of kind all, atoms"),
    ],
)
def test_a_bad_recipe_is_a_sentence_that_names_the_setting(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_recipe(path)
    assert message in str(caught.value)


def test_an_unknown_kind_lists_the_known(tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    path.write_text('{"kind": "dynamic"}')
    with pytest.raises(PluginError, match=r"dynamics"):
        load_recipe(path)


def test_settings_are_checked_outside_recipes_too() -> None:
    with pytest.raises(SettingsError, match="steps: expected"):
        validated(Dynamics, {"system": ETHANOL, "steps": -1})


def test_dynamics_gives_series_and_provenance() -> None:
    seen: list[Frame] = []
    result = Dynamics(system=ETHANOL, steps=50, interval=10).run(on_frame=seen.append)
    assert result.ok
    assert [frame.step for frame in seen] == [0, 10, 20, 30, 40, 50]
    assert len(result.arrays["potential_kj_mol"]) == 6
    assert result.values["steps"] == 50
    assert {"openmm", "torch", "openmm_platform", "integrator", "ligand force field"} <= set(result.provenance)
    assert json.loads(result.to_json())["recipe"]["steps"] == 50


def test_dynamics_goes_on_from_its_folder_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    recipe = Dynamics(system=ETHANOL, steps=60, interval=10, seed=5)
    whole = recipe.run(folder=tmp_path / "whole")
    halved = tmp_path / "halved"
    recipe.run(folder=halved, on_frame=lambda frame: frame.step < 30)
    assert (halved / CHECKPOINT).exists()
    rest = recipe.run(folder=halved)
    assert rest.values["steps"] == 60
    steps = [line.split(",")[0] for line in (halved / ENERGIES).read_text().splitlines()[1:]]
    assert steps == ["0", "10", "20", "30", "40", "50", "60"]
    # the CPU platform sums in any order, so that trajectories part after a while: the energies must still be near
    np.testing.assert_allclose(rest.arrays["potential_kj_mol"][-1], whole.arrays["potential_kj_mol"][-1], atol=5.0)


def test_failures_are_values() -> None:
    result = Dynamics(system=System(source=FromSmiles(smiles="not a molecule"))).run()
    assert not result.ok
    assert result.failure.kind == "StructureError"
    assert "is not a SMILES string" in result.failure.message
    assert result.provenance


def test_an_unstable_run_is_a_failure_with_what_came_before() -> None:
    result = Dynamics(system=ETHANOL, timestep=18.0, minimise=0, steps=1000).run()
    assert result.failure.kind == "SimulationError"
    assert result.failure.atoms
    assert len(result.arrays["time_ps"]) >= 1


@pytest.mark.parametrize("potential", ready_cards())
def test_minimised_energy_is_lower_and_forces_vanish(potential: str) -> None:
    view = View(resolution="nnp", potential=potential)
    result = Minimise(system=ETHANOL, view=view).run()
    assert result.values["energy_kj_mol"] < result.values["energy_before_kj_mol"]
    minimum = System(source=FromSmiles(smiles="CCO")).prepare().with_positions(result.arrays["positions_nm"])
    forces = SinglePoint(system=ETHANOL, view=view).run(structure=minimum).arrays["forces_kj_mol_nm"]
    assert np.sqrt((forces**2).mean()) < 15.0


def test_seeds_repeat() -> None:
    recipe = Dynamics(system=ETHANOL, steps=20, interval=10, seed=7)
    once, again, other = (r.run().arrays["kinetic_kj_mol"] for r in (recipe, recipe, recipe.model_copy(update={"seed": 8})))
    np.testing.assert_allclose(once, again, atol=0.05)
    assert abs(once[0] - other[0]) > 0.05
