"""Strain of a series: ranked, each ligand for itself, resumable, on the command line too."""

import csv
import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from studio.recipes.base import load_recipe
from studio.recipes.ligands import KEY, LIGANDS, kept, measure
from studio.recipes.series import Records, Series
from studio.recipes.strain import Strain
from studio.recipes.strain_series import TABLE, StrainSeries
from studio.result import ARRAYS, PROVENANCE
from studio.strain import StrainProtocol
from studio.structure import Structure
from tests.molecule_files import sdf

QUICK = StrainProtocol(medium="gas", conformers=2, torsions=False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Propanol, methylsilane, phenol: the second cannot be done by MM."""
    path, molecules = tmp_path / "series.sdf", {"propanol": "CCCO", "silane": "C[SiH3]", "phenol": "Oc1ccccc1"}
    path.write_text("".join(sdf(Structure.from_smiles(smiles), name) for name, smiles in molecules.items()))
    return path


def test_the_recipe_survives_its_file(tmp_path: Path) -> None:
    for source in (Records(path="a.sdf"), Series(target="tyk2", ligands=("ejm_31",))):
        (tmp_path / "recipe.json").write_text(StrainSeries(source=source).to_json())
        assert load_recipe(tmp_path / "recipe.json") == StrainSeries(source=source)


def test_a_ligand_that_fails_is_a_row_and_the_others_are_ranked(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    told: list[tuple[float, str]] = []
    recipe = StrainSeries(source=Records(path=str(file)), potentials=("mm",), protocol=QUICK)
    result = recipe.run(folder=out, progress=lambda part, text: told.append((part, text)))
    assert result.ok
    assert result.values == {"ligands": 3.0, "failed": 1.0}
    names = result.arrays["names"].tolist()
    assert set(names[:2]) == {"propanol", "phenol"}
    assert names[2] == "silane"
    strains = result.arrays["strain_kcal_mol"][:, 0]
    assert strains[0] <= strains[1]
    assert np.isnan(strains[2])
    assert any(note.startswith("silane: ") for note in result.notes)
    rows = list(csv.DictReader((out / TABLE).read_text().splitlines()))
    assert [row["name"] for row in rows] == names
    assert [row["rank"] for row in rows] == ["1", "2", ""]
    assert "does not know Si" in rows[2]["failure"]
    assert told[-1][0] <= 1.0
    assert [part for part, _ in told] == sorted(part for part, _ in told)
    assert "phenol (3 of 3)" in told[-1][1]


def test_broken_off_and_resumed_gives_the_same_numbers(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = StrainSeries(source=Records(path=str(file)), potentials=("mm",), protocol=QUICK)
    whole = recipe.run()
    told: list[str] = [""]
    watch = {"progress": lambda _, text: told.append(text), "on_frame": lambda _frame: "phenol" not in told[-1]}
    first = recipe.run(folder=tmp_path / "out", **watch)
    assert first.values["ligands"] == 2.0  # the silane is refused before there is anything to look at
    assert "Stopped after 2 of 3" in first.notes[-1]
    asked: list[str] = []
    real = Strain.run
    monkeypatch.setattr(Strain, "run", lambda self, *args, **kwargs: asked.append(self.system.source.index) or real(self, *args, **kwargs))
    second = recipe.run(folder=tmp_path / "out")
    assert asked == [2]
    assert second.values == whole.values
    np.testing.assert_allclose(second.arrays["strain_kcal_mol"], whole.arrays["strain_kcal_mol"], atol=1e-4)
    changed = recipe.model_copy(update={"protocol": QUICK.model_copy(update={"seed": 1})})
    changed.run(folder=tmp_path / "out")
    assert asked == [2, 0, 1, 2]


@pytest.mark.parametrize("name", [KEY, PROVENANCE, ARRAYS])
def test_what_is_damaged_is_done_again(file: Path, tmp_path: Path, name: str) -> None:
    recipe = StrainSeries(source=Records(path=str(file)), potentials=("mm",), protocol=QUICK)
    task = recipe.tasks(tmp_path)[0]
    before = measure(task)
    path = tmp_path / LIGANDS / "0000" / name
    whole = path.read_bytes()
    path.write_bytes(whole[:50])
    assert kept(task) is None
    assert measure(task).result.values == before.result.values
    assert len(path.read_bytes()) == len(whole)
    assert kept(task).result.values == before.result.values


def test_a_task_can_be_sent_to_another_process(file: Path) -> None:
    task = StrainSeries(source=Records(path=str(file)), potentials=("mm",), protocol=QUICK).tasks()[0]
    sent_measure, sent_task = pickle.loads(pickle.dumps((measure, task)))
    done = sent_measure(sent_task)
    back = pickle.loads(pickle.dumps(done))
    assert (back.task, back.result.values) == (done.task, done.result.values)
    assert done.value("mm_strain_kcal_mol") >= 0.0


def test_ligands_of_a_target_bring_their_affinities() -> None:
    tasks = StrainSeries(source=Series(target="tyk2")).tasks()
    assert len(tasks) == 16
    assert all(task.affinity is not None and task.affinity < 0.0 for task in tasks)
    assert not tasks[0].recipe.system.source.complex


def test_what_cannot_be_read_is_a_sentence(tmp_path: Path) -> None:
    nothing = StrainSeries(source=Records(path=str(tmp_path / "none.sdf"))).run()
    assert nothing.failure.kind == "StorageError"
    unknown = StrainSeries(source=Series(target="tyk2", ligands=("ejm_1",))).run()
    assert "has no ligand 'ejm_1'" in unknown.failure.message
    (tmp_path / "silane.sdf").write_text(sdf(Structure.from_smiles("C[SiH3]"), "silane"))
    refused = StrainSeries(source=Records(path=str(tmp_path / "silane.sdf")), potentials=("mm",), protocol=QUICK).run()
    assert "None of the 1 ligands could be done" in refused.failure.message


def test_the_command_line_runs_and_resumes_it(file: Path, tmp_path: Path) -> None:
    recipe, out = tmp_path / "recipe.json", tmp_path / "out"
    recipe.write_text(StrainSeries(source=Records(path=str(file)), potentials=("mm",), protocol=QUICK).to_json())
    for words in (("run", str(recipe), "--out", str(out)), ("run", "--resume", str(out))):
        done = subprocess.run([sys.executable, "-m", "studio", *words], capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr
        assert {("ligands", "3"), ("failed", "1")} <= {tuple(line.split()) for line in done.stdout.splitlines()}
        assert "note: silane: " in done.stdout
    assert json.loads((out / "provenance.json").read_text())["values"]["ligands"] == 3
