"""Torsion scans as a recipe: chosen bonds, kept parts, what is told about MM, angles of the pose and of a run."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from studio.conformers import rotatable, turned
from studio.frame import Frame
from studio.internal import torsion_angles
from studio.io import store
from studio.recipes.torsion_scan import TorsionScan
from studio.recorder import STRUCTURE, Recorder
from studio.report import Curves, Heat, Report, Table
from studio.result import Result
from studio.structure import Structure
from studio.system import FromSmiles, System
from studio.torsions import ScanProtocol

QUICK = ScanProtocol(points=12, conformers=2, map_points=6)
ESTER = System(source=FromSmiles(smiles="CCOC(=O)C"))
"""Its bonds: C2-O3 and O3-C4."""


def scan(**changes) -> TorsionScan:
    return TorsionScan(**({"system": ESTER, "bond": "O3-C4", "potentials": ("mm",), "protocol": QUICK} | changes))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scan")


@pytest.fixture(scope="module")
def answer(folder: Path) -> Result:
    result = scan(potentials=("mm", "so3lr")).run(folder=folder)
    result.keep(folder)
    return Result.kept(folder)


@pytest.fixture(scope="module")
def seen(answer: Result, folder: Path) -> Report:
    return scan(potentials=("mm", "so3lr")).report(answer, store.load(folder / STRUCTURE))


def test_the_recipe_survives_its_file() -> None:
    recipe = scan(second="C2-O3", recording="runs/1")
    assert TorsionScan.model_validate_json(recipe.to_json()) == recipe


def test_values_and_arrays(answer: Result) -> None:
    assert answer.ok, answer.failure
    assert answer.arrays["profiles_kcal_mol"].shape == (1, 2, 12)
    assert np.nanmin(answer.arrays["profiles_kcal_mol"], axis=2) == pytest.approx(0.0)
    assert answer.arrays["places_nm_0_so3lr"].shape == (12, 14, 3)
    for name in ("mm", "so3lr"):
        assert 8.0 < answer.values[f"O3-C4_{name}_barrier_kcal_mol"] < 16.0  # an ester's: 10 to 13 kcal/mol
        assert abs(answer.values[f"O3-C4_{name}_lowest_degrees"]) in (0.0, 180.0)
        assert 0.0 <= answer.values[f"O3-C4_{name}_pose_kcal_mol"] < 1.0
    assert answer.values["O3-C4_mm_rmse_kcal_mol"] >= 0.0
    assert any("so3lr: weights_sha256" in key for key in answer.provenance)
    json.loads(answer.to_json())


def test_the_report_says_what_mm_is_worth_and_shows_its_shapes(answer: Result, seen: Report) -> None:
    assert "MM describes this torsion" in seen.headline
    assert "kcal/mol at O3-C4" in seen.headline
    curves, table = seen.charts
    assert isinstance(curves, Curves)
    assert isinstance(table, Table)
    assert [curve.name for curve in curves.curves] == ["MM", "SO3LR"]
    for curve in curves.curves:
        assert curve.x[0] == -180.0
        assert curve.x[-1] == 180.0
        assert curve.y[0] == curve.y[-1]
        assert {target.atoms for target in curve.targets} == {tuple(answer.arrays["torsion_atoms"][0])}
        named = {target.shape for target in curve.targets if target.shape}
        assert named <= {shape.name for shape in seen.shapes}
        assert len(named) >= 2
    assert curves.marks[0].value == pytest.approx(answer.arrays["pose_degrees"][0])
    assert len(table.rows) == 1
    assert len(table.rows[0]) == len(table.columns)
    assert {painted.places for painted in seen.painted} == {((2, 3),)}


def test_stopped_and_resumed_gives_the_same_profile(answer: Result, tmp_path: Path) -> None:
    told: list[str] = []
    recipe = scan(potentials=("mm", "so3lr"))
    watch = {"progress": lambda _part, text: told.append(text), "on_frame": lambda _frame: not (told and "SO3LR" in told[-1])}
    partial = recipe.run(folder=tmp_path, **watch)
    assert any("Stopped after 1 of 2 scans" in note for note in partial.notes)
    assert partial.arrays["potentials"].tolist() == ["mm"]
    told.clear()
    whole = recipe.run(folder=tmp_path, progress=lambda _part, text: told.append(text))
    assert not any("MM" in text for text in told)
    np.testing.assert_allclose(whole.arrays["profiles_kcal_mol"], answer.arrays["profiles_kcal_mol"], atol=1e-3)
    assert scan().run(on_frame=lambda _frame: False).failure.kind == "StoppedError"


def test_all_bonds_of_a_molecule_in_fragments(tmp_path: Path) -> None:
    recipe = scan(system=System(source=FromSmiles(smiles="O=C(Nc1ccccc1)CCC1CCCCC1")), bond="all", cut=True, protocol=ScanProtocol(points=6, conformers=0))
    result = recipe.run(folder=tmp_path)
    assert result.ok, result.failure
    assert result.values["bonds"] == 5.0
    assert any("heavy atoms)" in note for note in result.notes)
    report = recipe.report(result, store.load(tmp_path / STRUCTURE))
    assert [type(chart) for chart in report.charts] == [Table, *[Curves] * 5]
    assert report.shapes == ()
    assert "more than at any other bond" in report.headline


def test_one_fragment_is_the_molecule_that_is_shown(tmp_path: Path) -> None:
    system = System(source=FromSmiles(smiles="O=C(Nc1ccccc1)CCC1CCCCC1"))
    recipe = scan(system=system, bond="1", cut=True, protocol=ScanProtocol(points=6, conformers=0))
    result = recipe.run(folder=tmp_path)
    fragment = store.load(tmp_path / STRUCTURE)
    assert len(fragment) < len(system.prepare())
    report = recipe.report(result, fragment)
    assert {shape.positions.shape for shape in report.shapes} == {(len(fragment), 3)}
    assert max(report.charts[0].curves[0].targets[0].atoms) < len(fragment)
    assert recipe.report(result, system.prepare()).molecule is None, "atoms of the fragment are not those of the whole"


def test_a_map_marks_the_pose(tmp_path: Path) -> None:
    recipe = scan(second="1")
    result = recipe.run(folder=tmp_path)
    assert result.arrays["maps_kcal_mol"].shape == (1, 6, 6)
    (chart,) = recipe.report(result, store.load(tmp_path / STRUCTURE)).charts
    assert isinstance(chart, Heat)
    row, column, name = chart.points[0]
    assert name == "pose"
    labels = float(chart.rows[row]), float(chart.columns[column])
    step = np.abs((labels - result.arrays["pose_degrees"] + 180) % 360 - 180)
    assert max(step) <= 30.0
    cell = result.arrays["maps_kcal_mol"][0]
    assert chart.values[0][0] == pytest.approx(cell[-1, 0])


def test_angles_of_a_run_are_drawn_and_of_another_molecule_refused(tmp_path: Path) -> None:
    molecule = ESTER.prepare()
    torsion = rotatable(molecule)[1]
    for name, structure in (("same", molecule), ("other", Structure.from_smiles("c1ccccc1"))):
        recorder = Recorder(tmp_path / name, structure, '{"timestep": 2.0}', interval=1)
        for step, angle in enumerate((0.0, 0.5, -0.5)):
            places = turned(molecule, molecule.positions, torsion, angle) if name == "same" else structure.positions
            recorder.record(Frame(step, 0.002 * step, places.astype(np.float32), energies={"potential": 0.0, "kinetic": 0.0}))
    recipe = scan(recording=str(tmp_path / "same"), protocol=ScanProtocol(points=6, conformers=0))
    result = recipe.run()
    start = np.degrees(torsion_angles(molecule.positions[torsion]))
    expected = (start + np.degrees([0.0, 0.5, -0.5]) + 180) % 360 - 180
    np.testing.assert_allclose(np.abs(result.arrays["recorded_degrees"][0]), np.abs(expected), atol=1.0)
    area = recipe.report(result, molecule).charts[0].curves[-1]
    assert area.style == "area"
    assert sum(value > 0 for value in area.y) == 3
    refused = scan(recording=str(tmp_path / "other")).run()
    assert "does not have this molecule" in refused.failure.message
    missing = scan(recording=str(tmp_path / "nowhere")).run()
    assert "no recorded run" in missing.failure.message


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"bond": "C9-C10"}, "no rotatable bond 'C9-C10'. Expected one of 1 (C2-O3), 2 (O3-C4)"),
        ({"system": System(source=FromSmiles(smiles="c1ccccc1"))}, "has no rotatable bond: there is no torsion"),
        ({"second": "O3-C4"}, "needs two different bonds"),
        ({"second": "1", "cut": True}, "A map is of the whole molecule"),
        ({"system": System(source=FromSmiles(smiles="CCOC(=O)CBr")), "potentials": ("so3lr",)}, "does not know Br"),
        ({"system": System(source=FromSmiles(smiles="CCCO.CCCO"))}, "got 2 molecules"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(changes, words) -> None:
    assert words in scan(**changes).run().failure.message


def test_a_potential_that_refuses_does_not_stop_the_others() -> None:
    bromide = System(source=FromSmiles(smiles="CCOC(=O)CBr"))
    result = scan(system=bromide, potentials=("so3lr", "mm"), protocol=ScanProtocol(points=6, conformers=0)).run()
    assert result.arrays["potentials"].tolist() == ["mm"]
    assert any("No scan of O3-C4 by so3lr: SO3LR does not know Br" in note for note in result.notes)


def test_a_third_method_is_asked_about_mm_as_well(answer: Result) -> None:
    mm = answer.arrays["profiles_kcal_mol"][0, 0]
    for third, words in ((mm, "so, too"), (np.roll(mm, 3), "otherwise")):
        arrays = dict(answer.arrays) | {"potentials": np.array(["mm", "so3lr", "aimnet2"]), "profiles_kcal_mol": np.stack([mm, mm, third])[None]}
        assert f"AIMNet2 says {words}" in scan().report(replace(answer, arrays=arrays)).charts[0].note


def test_a_zwitterion_keeps_what_is_left_of_it(tmp_path: Path) -> None:
    """In the gas phase the network takes the proton across at most angles: gaps, told, and no number that is none."""
    recipe = scan(system=System(source=FromSmiles(smiles="[NH3+]CCC(=O)[O-]")), bond="2", potentials=("mm", "so3lr"), protocol=QUICK)
    result = recipe.run(folder=tmp_path)
    assert result.ok, result.failure
    assert any("changed its bonds" in note for note in result.notes)
    json.loads(result.to_json())
    report = recipe.report(result, store.load(tmp_path / STRUCTURE))
    assert None in report.charts[0].curves[1].y


def test_numbers_and_either_order_name_a_bond() -> None:
    molecule = ESTER.prepare()
    for text in ("2", "C4-O3", " O3-C4 "):
        assert scan(bond=text).chosen(molecule).tolist() == rotatable(molecule)[1:].tolist()
    assert len(scan(bond="all").chosen(molecule)) == 2
    assert len(scan(bond="1, 2").chosen(molecule)) == 2
