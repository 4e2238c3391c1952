"""Binding recipes: run, stop, go on, compare, and tell people how far to trust them."""

import json
from pathlib import Path

import numpy as np
import openmm
import pytest

from studio.recipes.base import load_recipe
from studio.recipes.transfer import SAMPLES, AbsoluteBinding, RelativeBinding
from studio.recorder import RECIPE, STRUCTURE
from studio.region import ResidueIs
from studio.report import Bars, Curves, Heat, Table
from studio.structure import Structure
from studio.system import EXAMPLES, FromFile, FromSmiles, System
from tests.molecule_files import sdf
from tests.test_transfer import complexed

VACUUM = System(source=FromSmiles(smiles="C"))
GUEST = ResidueIs(name="LIG")
QUICK = AbsoluteBinding(system=VACUUM, windows=4, sampling=2.4, exchange=0.1)


@pytest.fixture(scope="module")
def pair() -> Structure:
    """Methanol on cyclohexane."""
    return complexed()


def test_recipes_survive_their_files(tmp_path: Path) -> None:
    for recipe in (QUICK, RelativeBinding(system=VACUUM, replacement=FromSmiles(smiles="CC"))):
        (tmp_path / "recipe.json").write_text(recipe.to_json())
        assert load_recipe(tmp_path / "recipe.json") == recipe


def test_a_run_gives_a_number_its_error_and_its_reasons(pair: Structure, tmp_path: Path) -> None:
    told: list[tuple[float, str]] = []
    frames = []
    result = QUICK.run(pair, on_frame=frames.append, progress=lambda part, text: told.append((part, text)), folder=tmp_path)
    assert result.ok, result.failure
    values = result.values
    assert values["dg_kcal_mol"] == pytest.approx(values["dg_site_kcal_mol"] + values["dg_standard_state_kcal_mol"])
    assert values["dg_kcal_mol"] == pytest.approx(values["dg_bar_kcal_mol"], abs=2.0)
    assert values["sweeps"] == 24
    assert result.arrays["u0_kj_mol"].shape == (24, 4)
    assert [part for part, _ in told] == sorted(part for part, _ in told)
    assert "window 4 of 4" in told[-1][1]
    assert len(frames) == 96
    assert frames[0].positions.shape == (len(pair), 3)
    assert (tmp_path / RECIPE).exists()
    assert (tmp_path / STRUCTURE).exists()
    json.loads(result.to_json())
    assert "smaller of the two" in result.notes[0]


def test_people_see_the_number_first_and_the_doubts(pair: Structure) -> None:
    result = QUICK.run(pair)
    report = QUICK.report(result, pair)
    assert report.headline.startswith("Standard free energy of binding: ")
    assert "kcal/mol (molecular mechanics, 300 K, 1 mol/l)" in report.headline
    assert [type(chart) for chart in report.charts] == [Curves, Bars, Heat, Curves, Table]
    settles = report.charts[0]
    assert isinstance(settles, Curves)
    assert settles.curves[0].y[-1] == pytest.approx(result.values["dg_kcal_mol"])
    assert ("Do not trust" in report.headline) == bool(report.warnings)


def test_stopped_and_continued_is_as_if_never_stopped(pair: Structure, tmp_path: Path) -> None:
    whole = QUICK.run(pair)
    asked = iter(range(1000))
    stopped = QUICK.run(pair, on_frame=lambda _frame: next(asked) < 61, folder=tmp_path)
    assert stopped.values["sweeps"] == 15
    assert "Stopped after 15 of 24" in " ".join(stopped.notes)
    continued = QUICK.run(pair, folder=tmp_path)
    # OpenMM's own order of summing may differ in the last digits.
    np.testing.assert_allclose(continued.arrays["u0_kj_mol"], whole.arrays["u0_kj_mol"], atol=0.05)
    assert continued.values["dg_kcal_mol"] == pytest.approx(whole.values["dg_kcal_mol"], abs=0.01)
    longer = QUICK.model_copy(update={"sampling": 3.0}).run(pair, folder=tmp_path)
    np.testing.assert_array_equal(longer.arrays["u0_kj_mol"][:24], continued.arrays["u0_kj_mol"])
    assert longer.values["sweeps"] == 30
    other = QUICK.model_copy(update={"seed": 1, "sampling": 1.0}).run(pair, folder=tmp_path)
    assert not np.allclose(other.arrays["u0_kj_mol"], whole.arrays["u0_kj_mol"][:10], atol=0.05)


def test_stopped_at_once_is_told_and_kept(pair: Structure, tmp_path: Path) -> None:
    result = QUICK.run(pair, on_frame=lambda _frame: False, folder=tmp_path)
    assert result.failure.kind == "StoppedError"
    assert "Stopped after 0 sweeps" in result.failure.message
    assert (tmp_path / SAMPLES).exists()


def test_what_cannot_be_done_is_a_sentence(pair: Structure) -> None:
    alone = AbsoluteBinding(system=System(source=FromSmiles(smiles="CCO"))).run()
    assert "nothing to bind to" in alone.failure.message
    unknown = QUICK.model_copy(update={"network": "nonsense"}).run(pair)
    assert unknown.failure.kind == "PluginError"
    apart = QUICK.run(complexed(away=3.0))
    assert "another frame" in apart.failure.message


def test_the_host_guest_example_is_ready_to_start() -> None:
    plan = AbsoluteBinding(system=EXAMPLES["host-guest"].system).plan()
    structure = plan.transfer.model.structure
    assert len(structure) == 156
    assert structure.residue_of(plan.site.ligand[0]).name == "B2"
    assert len(plan.site.ligand) == 12
    assert plan.drive.timestep == 4.0
    inside = openmm.XmlSerializer.serialize(plan.transfer.force)
    assert "GBSAOBCForce" in inside
    assert "CustomGBForce" not in inside


def test_a_ligand_against_itself_makes_no_difference(tmp_path: Path) -> None:
    """The two change places, restraints and all: the way back costs what the way there does."""
    host = complexed("c1ccccc1", "CC(C)O", 0.4)
    (tmp_path / "second.sdf").write_text(sdf(host.take(np.arange(12, len(host))), "isopropanol"))
    recipe = RelativeBinding(system=VACUUM, ligand=GUEST, replacement=FromFile(path=str(tmp_path / "second.sdf")), windows=6, sampling=8.0, exchange=0.1)
    result = recipe.run(host)
    assert result.ok, result.failure
    assert abs(result.values["dg_kcal_mol"]) < max(0.3, 3 * result.values["dg_error_kcal_mol"])
    report = recipe.report(result)
    assert report.headline.startswith("The second ligand binds more ")
    assert isinstance(report.charts[-1], Table)
    assert report.charts[-1].rows[0][0] == "difference, MBAR"


def test_a_second_ligand_elsewhere_or_unlike_the_first_is_refused(tmp_path: Path) -> None:
    host = complexed("c1ccccc1", "CC(C)O", 0.4)
    guest = host.take(np.arange(12, len(host)))
    (tmp_path / "away.sdf").write_text(sdf(guest.with_positions(guest.positions + 2.0), "away"))
    away = RelativeBinding(system=VACUUM, ligand=GUEST, replacement=FromFile(path=str(tmp_path / "away.sdf"))).run(host)
    assert "in the frame of the host" in away.failure.message
    (tmp_path / "salt.sdf").write_text(sdf(guest.join(Structure.from_smiles("[Cl-]").with_positions(guest.positions[:1] + 0.5)), "salt"))
    salt = RelativeBinding(system=VACUUM, ligand=GUEST, replacement=FromFile(path=str(tmp_path / "salt.sdf"))).run(host)
    assert "has to be one molecule" in salt.failure.message
    water = Structure.from_smiles("O")
    (tmp_path / "water.sdf").write_text(sdf(water.with_positions(water.positions + guest.positions.mean(axis=0)), "water"))
    unlike = RelativeBinding(system=VACUUM, ligand=GUEST, replacement=FromFile(path=str(tmp_path / "water.sdf"))).run(host)
    assert "share no three atoms" in unlike.failure.message
    with pytest.raises(ValueError, match="even number"):
        RelativeBinding(system=VACUUM, replacement=FromSmiles(smiles="CC"), windows=5)
