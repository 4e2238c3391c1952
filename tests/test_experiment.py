"""Predictions against experiment: statistics as scipy has them, intervals that cover, and baselines that are not forgotten."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from studio.errors import SettingsError, StorageError
from studio.experiment import STATISTICS, agreement, difference, fitted, outliers
from studio.recipes.against_experiment import AgainstExperiment
from studio.recipes.base import load_recipe
from studio.recipes.experiment_report import ATOMS, NULL, OURS
from studio.recipes.predictions import predictions
from studio.recipes.series import Records, Series
from studio.report import Bars, Scatter
from studio.result import Result
from studio.structure import Structure
from studio.system import System
from tests.molecule_files import sdf

NAMES = ("ejm_31", "ejm_42", "ejm_43", "ejm_46", "jmc_23", "jmc_28")


@pytest.fixture(scope="module")
def noisy() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    measured = rng.normal(-9.0, 1.2, 40).round(1)  # with ties
    return measured + rng.normal(0.0, 1.0, 40).round(1), measured


def test_statistics_are_those_of_scipy_also_with_ties(noisy) -> None:
    predicted, measured = noisy
    assert len(set(measured)) < len(measured)
    found = agreement(predicted, measured, shifted=False, resamples=10).figures
    assert found["tau"].value == pytest.approx(stats.kendalltau(predicted, measured).statistic)
    assert found["r"].value == pytest.approx(stats.pearsonr(predicted, measured).statistic)
    assert found["rmse"].value == pytest.approx(np.sqrt(np.mean((predicted - measured) ** 2)))
    assert found["mae"].value == pytest.approx(np.abs(predicted - measured).mean())


def test_by_hand() -> None:
    measured, predicted = np.array([-10.0, -9.0, -8.0]), np.array([-30.0, -32.0, -28.0])
    found = agreement(predicted, measured, shifted=True)
    assert found.shift == pytest.approx(21.0)
    np.testing.assert_allclose(found.predicted, [-9.0, -11.0, -7.0])
    assert found.figures["mae"].value == pytest.approx(4.0 / 3.0)
    assert found.figures["rmse"].value == pytest.approx(np.sqrt(2.0))
    assert found.figures["tau"].value == pytest.approx(1.0 / 3.0)


def test_intervals_are_those_of_scipy_and_of_the_seed(noisy) -> None:
    predicted, measured = noisy
    ours = agreement(predicted, measured, shifted=False, seed=1).figures["mae"]
    theirs = stats.bootstrap((predicted - measured,), lambda errors, axis: np.abs(errors).mean(axis=axis), method="percentile", rng=np.random.default_rng(5))
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.03)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.03)
    assert agreement(predicted, measured, shifted=False, seed=1).figures["mae"] == ours


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    rng, covered = np.random.default_rng(0), 0
    for series in range(60):
        errors = rng.normal(0.0, 1.0, 30)
        found = agreement(errors, np.zeros(30), shifted=False, seed=series, resamples=200).figures["mae"]
        covered += found.low <= np.sqrt(2.0 / np.pi) <= found.high
    assert 0.83 <= covered / 60 <= 1.0  # 95 % but for the few ligands, and three standard errors of sixty series


def test_a_shift_cannot_change_ranks_and_takes_the_mean_error_away(noisy) -> None:
    predicted, measured = noisy
    plain, shifted = (agreement(predicted - 20.0, measured, shifted=shifted) for shifted in (False, True))
    for name in ("tau", "r"):
        assert plain.figures[name].value == pytest.approx(shifted.figures[name].value)
    assert shifted.predicted.mean() == pytest.approx(measured.mean())
    assert plain.figures["rmse"].value > 19.0 > 2.0 > shifted.figures["rmse"].value


def test_no_ranking_no_number_and_no_series(noisy) -> None:
    flat = agreement(np.zeros(5), np.arange(5.0), shifted=True, resamples=50)
    assert np.isnan([flat.figures["tau"].value, flat.figures["r"].value]).all()
    with pytest.raises(SettingsError, match=r"at least 3 ligands .* got 2"):
        agreement(np.zeros(2), np.zeros(2), shifted=True)
    with pytest.raises(SettingsError, match="not a number"):
        agreement(np.array([1.0, np.nan, 2.0]), np.zeros(3), shifted=True)
    assert set(STATISTICS) == set(flat.figures)


def test_outliers_are_those_far_beyond_the_others() -> None:
    measured = np.zeros(8)
    errors = np.array([0.3, -0.4, 3.0, 0.5, -0.2, 0.1, -4.5, 0.4])
    assert outliers(errors, measured) == [6, 2]
    assert outliers(errors / 10.0, measured) == []  # nobody calls 0.45 kcal/mol wrong


def test_a_better_method_is_shown_to_be_better_and_chance_is_not(noisy) -> None:
    predicted, measured = noisy
    rng = np.random.default_rng(1)
    good, bad = agreement(predicted, measured, shifted=True), agreement(rng.permutation(predicted), measured, shifted=True)
    assert difference(good, bad, "tau")[0] > 0.0
    low, high = difference(good, good, "tau")
    assert low == high == 0.0
    np.testing.assert_allclose(fitted(np.full(40, 3.0), measured), measured.mean())


def csv(path: Path, values: dict[str, float], heading: str = "") -> str:
    path.write_text((heading + "\n" if heading else "") + "".join(f"{name},{value}\n" for name, value in values.items()))
    return str(path)


@pytest.fixture(scope="module")
def measured() -> dict[str, float]:
    return {name: affinity for name, _, affinity in Series(target="tyk2", ligands=NAMES).systems()}


def test_predictions_that_are_right_win_and_those_that_count_atoms_are_told_so(measured, tmp_path: Path) -> None:
    right = AgainstExperiment(source=Series(target="tyk2", ligands=NAMES), predictions=csv(tmp_path / "a.csv", {n: v - 20 for n, v in measured.items()}))
    result = right.run()
    assert result.values["tau"] == pytest.approx(1.0)
    assert result.values["rmse_kcal_mol"] == pytest.approx(0.0, abs=1e-9)
    assert result.values["shift_kcal_mol"] == pytest.approx(20.0)
    assert "no absolute scale" in result.notes[0]
    heavy = dict(zip(result.arrays["names"].tolist(), result.arrays["heavy_atoms"].tolist(), strict=True))
    assert heavy["ejm_31"] == 21.0
    assert dict(zip(result.arrays["names"].tolist(), result.arrays["weight_da"].tolist(), strict=True))["ejm_31"] == pytest.approx(324.2, abs=0.2)
    result.keep(tmp_path / "kept")
    report = right.report(Result.kept(tmp_path / "kept"))
    assert "6 ligands" in report.headline
    assert not any("Counting heavy atoms" in text for text in report.warnings)
    assert any("6 ligands are few" in text for text in report.warnings)
    counting = right.model_copy(update={"predictions": csv(tmp_path / "b.csv", {name: 10.0 * count for name, count in heavy.items()})})
    told = counting.report(counting.run()).warnings
    assert any(text.startswith("Saying the mean for every ligand has no larger error") for text in told)
    assert any("Counting heavy atoms ranks these ligands as well" in text or "may be chance" in text for text in told)


def test_the_report_opens_ligands_and_shows_what_was_published(measured, tmp_path: Path) -> None:
    values = dict.fromkeys(measured, -9.0) | {"ejm_31": -9.4, "jmc_28": -3.0}
    recipe = AgainstExperiment(source=Series(target="tyk2", ligands=NAMES), predictions=csv(tmp_path / "a.csv", values, "name,dG"), shifted=False)
    report = recipe.report(recipe.run())
    scatter, bars = report.charts[0], report.charts[2]
    assert isinstance(scatter, Scatter)
    assert isinstance(bars, Bars)
    points = {point.name: (group, point) for group, points in scatter.series for point in points}
    assert points["jmc_28"][0] == "outliers"
    opened = System.model_validate_json(points["ejm_31"][1].target.system)
    assert (opened.source.ligand, opened.source.complex, opened.surroundings.kind) == ("ejm_31", True, "pocket")
    assert dict(zip(bars.labels, bars.groups[0].values, strict=True))["ATM, ANI-2x/MM"] == 0.27
    assert bars.labels[:3] == (OURS, NULL, ATOMS)
    assert "recomputed" in bars.note
    assert report.charts[3].rows[0][0] == "jmc_28"
    assert any(text.startswith("Far off: jmc_28") for text in report.warnings)


def test_a_series_result_is_read_and_strain_is_added(measured, tmp_path: Path) -> None:
    names = np.array(NAMES)
    Result({}, {}, {
        "names": names, "potentials": np.array(["mm", "so3lr"]), "strain_kcal_mol": np.array([[1.0, 3.0]] * 6), "dG_error_kcal_mol": np.full(6, 0.5),
        "dG_kcal_mol": np.array([measured[name] - 2.0 for name in NAMES]), "measured_dG_kcal_mol": np.zeros(6),
    }).keep(tmp_path / "run")  # fmt: skip
    found = predictions(str(tmp_path / "run"), "dG_kcal_mol")
    assert set(found.errors.values()) == {0.5}
    assert predictions(str(tmp_path / "run")).quantity == "strain_kcal_mol"
    assert predictions(str(tmp_path / "run"), "strain_kcal_mol so3lr").values["ejm_31"] == 3.0
    strain = csv(tmp_path / "strain.csv", dict.fromkeys(NAMES, 2.0) | {"other": 1.0})
    series = Series(target="tyk2", ligands=NAMES)
    recipe = AgainstExperiment(source=series, predictions=str(tmp_path / "run"), quantity="dG_kcal_mol", added=strain, shifted=False)
    result = recipe.run()
    assert result.values["rmse_kcal_mol"] == pytest.approx(0.0, abs=1e-9)
    assert any("left out: other" in note for note in result.notes)
    with pytest.raises(SettingsError, match=r"no numbers 'affinity'.*strain_kcal_mol mm"):
        predictions(str(tmp_path / "run"), "affinity")


def test_own_ligands_with_own_measurements(tmp_path: Path) -> None:
    molecules = {"propanol": "CCCO", "phenol": "Oc1ccccc1", "ethanol": "CCO", "nameless": "CC"}
    (tmp_path / "own.sdf").write_text("".join(sdf(Structure.from_smiles(smiles), name) for name, smiles in molecules.items()))
    values = csv(tmp_path / "measured.csv", {"propanol": -3.0, "phenol": -5.0, "ethanol": -2.0}, "name,value")
    recipe = AgainstExperiment(source=Records(path=str(tmp_path / "own.sdf")), measured=values)
    result = recipe.run()
    assert result.values["ligands"] == 3.0
    assert "nameless" in result.notes[0]
    assert recipe.report(result).headline.startswith("To be beaten on 3 ligands, by counting heavy atoms")
    (tmp_path / "recipe.json").write_text(recipe.to_json())
    assert load_recipe(tmp_path / "recipe.json") == recipe
    json.loads(result.to_json())


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "not a table"), ("a\nb\n", "not a table"), ("a,1\na,2\n", "two predictions for 'a'"), ("name,x\na,1\n", "at least 3 ligands")],
)
def test_tables_that_cannot_be_used_are_a_sentence(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(text)
    assert said in AgainstExperiment(source=Series(target="tyk2"), predictions=str(tmp_path / "p.csv")).run().failure.message


def test_places_without_predictions_are_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no finished result"):
        predictions(str(tmp_path))
    with pytest.raises(SettingsError, match="no file or folder"):
        predictions(str(tmp_path / "nothing.csv"))
    Result({}, {"energy_kj_mol": 1.0}).keep(tmp_path / "single")
    with pytest.raises(SettingsError, match="names no ligands"):
        predictions(str(tmp_path / "single"))
    (tmp_path / "single" / "arrays.npz").write_bytes(b"")
    with pytest.raises(StorageError, match="no whole result"):
        predictions(str(tmp_path / "single"))
