"""End-state correction: known free energies, a network that equals MM, and no number without overlap."""

import json
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from studio.correction import Brackets, Windows, doubt_of, effective, one_sided
from studio.errors import StoppedError
from studio.forcefield import parametrise
from studio.hybrid.boundary import cap
from studio.hybrid.coupling import couple
from studio.hybrid.view import View
from studio.potentials.so3lr import SO3LR
from studio.recipes.base import load_recipe
from studio.recipes.correction import EndStateCorrection
from studio.recipes.dynamics import Dynamics
from studio.region import Ligand
from studio.report import Curves, Heat, Table
from studio.result import Result
from studio.structure import Structure
from studio.system import FromSmiles, Implicit, System
from studio.units import BOLTZMANN
from tests.hybrid_systems import evaluate, shaken, water

T = 300.0
KT = BOLTZMANN * T
WEAK, STIFF, APART, LIFT = 1000.0, 3000.0, 0.02, 7.0
"""Springs of the two ends (kJ/mol/nm^2), how far their minima are apart (nm), and how far up the second one is (kJ/mol)."""
EXACT = LIFT + 0.5 * KT * np.log(STIFF / WEAK)
LAMBDAS = (0.0, 0.25, 0.5, 0.75, 1.0)


def bracket(x: np.ndarray) -> np.ndarray:
    return LIFT + 0.5 * STIFF * (x - APART) ** 2 - 0.5 * WEAK * x**2


def drawn(lam: float, count: int, seed: int) -> np.ndarray:
    """Exact samples of U_0 + lambda B, which is a harmonic well as well."""
    stiffness = (1.0 - lam) * WEAK + lam * STIFF
    return np.random.default_rng(seed).normal(lam * STIFF * APART / stiffness, np.sqrt(KT / stiffness), count)


@pytest.fixture(scope="module")
def harmonic() -> tuple[Windows, list[np.ndarray]]:
    places = [drawn(lam, 2000, seed) for seed, lam in enumerate(LAMBDAS)]
    return Windows.of(LAMBDAS, [bracket(x) for x in places], T), places


def test_a_harmonic_pair_comes_out_right_by_every_way(harmonic) -> None:
    windows, _ = harmonic
    estimate = windows.estimate()
    whole, ends = estimate.between(0, 4), windows.bar()
    assert doubt_of(estimate, LAMBDAS) == ""
    for value, error in ((KT * whole.value, KT * whole.error), (KT * ends.value, KT * ends.error)):
        assert abs(value - EXACT) < 4.0 * error < 0.8
    course = windows.convergence()
    assert KT * course.forward[-1] == pytest.approx(KT * whole.value, abs=1e-6)
    back = one_sided(windows.brackets[-1], T, reverse=True)
    assert back.value == pytest.approx(EXACT, abs=5.0 * back.error)


def test_weights_carry_samples_into_the_other_ensemble(harmonic) -> None:
    windows, places = harmonic
    x = np.concatenate([place[rows] for place, rows in zip(places, windows.rows, strict=True)])
    estimate = windows.estimate()
    for lam in (0.0, 1.0, 0.6):
        weights = windows.weights(estimate, lam)
        stiffness = (1.0 - lam) * WEAK + lam * STIFF
        mean = float(weights @ x)
        assert weights.sum() == pytest.approx(1.0)
        assert mean == pytest.approx(lam * STIFF * APART / stiffness, abs=0.002)
        assert float(weights @ (x - mean) ** 2) == pytest.approx(KT / stiffness, rel=0.1)


def test_without_overlap_there_is_a_reason_instead_of_a_number() -> None:
    far = [bracket(drawn(0.0, 300, 0)), bracket(drawn(1.0, 300, 1)) - 400.0]
    pair = Windows.of((0.0, 1.0), [far[0], far[1]], T)
    assert "lambda = 0 and 1 share" in doubt_of(pair.estimate(), (0.0, 1.0))
    wide = np.random.default_rng(0).normal(0.0, 5.0 * KT, 1000)
    assert "30 are the least" in one_sided(wide, T).doubt
    assert "samples count" in one_sided(np.random.default_rng(0).normal(0.0, 2.0 * KT, 5000), T).doubt
    assert one_sided(np.random.default_rng(0).normal(0.0, 0.8 * KT, 500), T).doubt == ""
    assert effective(np.ones(7)) == pytest.approx(7.0)


def test_brackets_are_those_of_the_coupling() -> None:
    """The batched way gives what dU/dlambda is at a place."""
    mm = parametrise(Structure.from_smiles("CCO").join(water(0.5, 0, 0)))
    atoms = Ligand().select(mm.structure)
    part = cap(mm.structure, atoms)
    potential = SO3LR(precision="float64").bind(part.structure, device="cpu")
    model = couple(mm, atoms, potential)
    shapes = [shaken(mm.structure, seed) for seed in range(3)]
    expected = [evaluate(model.system, shape, 1.0).energy - evaluate(mm.system, shape).energy for shape in shapes]
    found = Brackets(mm, part, potential)(np.stack(shapes)[:, part.seen], None)
    np.testing.assert_allclose(found - model.correction.reference, expected, atol=1e-3)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ethanol in continuum water, 6 ps."""
    folder = tmp_path_factory.mktemp("ethanol") / "run"
    system = System(source=FromSmiles(smiles="CCO"), surroundings=Implicit())
    assert Dynamics(system=system, steps=3000, interval=10, seed=4).run(folder=folder).ok
    return folder


def test_a_network_that_equals_mm_corrects_nothing(recorded: Path, tmp_path: Path) -> None:
    recipe = EndStateCorrection(recording=str(recorded), other=str(recorded), potential="mm", picoseconds=0.5, lambdas=(0.0, 1.0))
    told: list[float] = []
    result = recipe.run(folder=tmp_path / "out", progress=lambda part, _: told.append(part))
    assert result.ok
    assert result.values["correction_kcal_mol"] == pytest.approx(0.0, abs=1e-6)
    assert result.values["error_kcal_mol"] == pytest.approx(0.0, abs=1e-6)
    assert result.values["first_reference_kj_mol"] == pytest.approx(0.0, abs=1e-3)
    np.testing.assert_allclose(result.arrays["first_overlap"], 0.5, atol=1e-3)
    np.testing.assert_allclose(*result.arrays["first_weights"], atol=1e-6)
    assert told == sorted(told)
    json.loads(result.to_json())


def test_reweighting_alone_does_not_simulate_and_refuses_where_too_few_samples_count(recorded: Path, tmp_path: Path) -> None:
    recipe = EndStateCorrection(recording=str(recorded), picoseconds=0.0)
    result = recipe.run(folder=tmp_path / "out")
    assert result.ok
    assert result.arrays["first_recorded_kj_mol"].std() > KT  # Sage and SO3LR are not the same
    table = recipe.report(result).charts[0]
    assert isinstance(table, Table)
    believed = "correction_kcal_mol" in result.values
    assert believed == (table.rows[0][1] is not None) == (table.rows[0][4] == "can be believed")
    assert believed or recipe.report(result).headline.startswith("No number")
    assert "blurs their brackets by about" in " ".join(result.notes)


def test_windows_are_kept_and_stopping_costs_only_the_one_at_work(recorded: Path, tmp_path: Path) -> None:
    recipe = EndStateCorrection(recording=str(recorded), potential="mm", picoseconds=0.6, lambdas=(0.0, 0.5, 1.0))
    told = [""]
    watch = {"progress": lambda _, text: told.append(text), "on_frame": lambda _: "lambda 1" not in told[-1]}
    stopped = recipe.run(folder=tmp_path / "out", **watch)
    assert stopped.failure.kind == StoppedError.__name__
    assert sorted(path.name for path in (tmp_path / "out").glob("first-*.npz")) == ["first-0.5.npz", "first-0.npz"]
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.npz")}
    result = recipe.run(folder=tmp_path / "out")
    assert result.ok
    assert all((tmp_path / "out" / name).stat().st_mtime_ns == time for name, time in before.items() if name.startswith("first"))
    result.keep(tmp_path / "out")
    report = recipe.report(Result.kept(tmp_path / "out"))
    kinds = [type(chart) for chart in report.charts]
    assert kinds[:2] == [Table, Heat]
    assert kinds.count(Curves) >= 2
    assert [row[0] for row in report.charts[0].rows][:2] == ["MBAR, all windows", "BAR, both ends"]


def test_what_cannot_be_corrected_is_a_sentence(recorded: Path, tmp_path: Path) -> None:
    other = tmp_path / "methanol"
    methanol = System(source=FromSmiles(smiles="CO"), surroundings=Implicit())
    assert Dynamics(system=methanol, steps=200, interval=10).run(folder=other).ok
    assert "different ligands" in EndStateCorrection(recording=str(recorded), other=str(other)).run().failure.message
    network = tmp_path / "network"
    assert Dynamics(system=methanol, view=View(resolution="nnp"), steps=20, interval=1).run(folder=network).ok
    assert "not by MM but by NNP" in EndStateCorrection(recording=str(network)).run().failure.message
    assert "no recorded run" in EndStateCorrection(recording=str(tmp_path)).run().failure.message
    short = tmp_path / "short"
    assert Dynamics(system=methanol, steps=20, interval=10).run(folder=short).ok
    assert "has 3 frames: expected at least 10" in EndStateCorrection(recording=str(short)).run().failure.message
    with pytest.raises(ValidationError, match="rise from 0 to 1"):
        EndStateCorrection(recording=str(recorded), lambdas=(0.0, 0.7, 0.5, 1.0))


def test_the_recipe_survives_its_file(tmp_path: Path) -> None:
    recipe = EndStateCorrection(recording="somewhere", other="else", picoseconds=2.0)
    (tmp_path / "recipe.json").write_text(recipe.to_json())
    assert load_recipe(tmp_path / "recipe.json") == recipe
