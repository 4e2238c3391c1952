"""The command line as a user types it: real processes, sentences, files."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep

import mdtraj
import numpy as np
import pytest
from click.testing import CliRunner

from studio.cli import main
from studio.doctor import compiled_packages
from studio.library import Library
from studio.recipes.base import load_recipe
from studio.recipes.dynamics import Dynamics
from studio.recipes.minimise import Minimise
from studio.system import EXAMPLES, FromSmiles, System

COMMAND = [sys.executable, "-m", "studio"]


def studio(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *map(str, words)], capture_output=True, text=True, timeout=240)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.json"
    path.write_text(Dynamics(system=System(source=FromSmiles(smiles="CCO")), steps=40, interval=10, minimise=10).to_json())
    return path


def test_examples_are_listed() -> None:
    done = studio("examples")
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == list(EXAMPLES)
    assert {"aspirin-vacuum", "alanine-dipeptide-water", "tyk2-water", "tyk2-pocket"} <= set(EXAMPLES)


def test_run_writes_everything(recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = studio("run", recipe, "--steps", "60", "--out", out)
    assert done.returncode == 0, done.stderr
    assert "60 steps" in done.stdout
    assert mdtraj.load(str(out / "trajectory.xtc"), top=str(out / "topology.pdb")).n_frames == 7
    assert len((out / "energies.csv").read_text().splitlines()) == 8
    assert (out / "checkpoint.npz").stat().st_size > 0
    provenance = json.loads((out / "provenance.json").read_text())
    assert provenance["failure"] is None
    assert provenance["provenance"]["openmm"]


def test_recipes_without_a_folder_of_their_own_leave_numbers_and_arrays(tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    path.write_text(Minimise(system=System(source=FromSmiles(smiles="CCO"))).to_json())
    done = studio("run", path, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    values = json.loads((tmp_path / "out" / "provenance.json").read_text())["values"]
    assert values["energy_kj_mol"] < values["energy_before_kj_mol"]
    assert ["energy_kj_mol", f"{values['energy_kj_mol']:.6g}"] in [line.split() for line in done.stdout.splitlines()]
    with np.load(tmp_path / "out" / "arrays.npz", allow_pickle=False) as arrays:
        assert len(arrays.files) > 0
    refused = studio("run", path, "--steps", "5", "--out", tmp_path / "other")
    assert refused.returncode == 1
    assert "this one has no steps" in refused.stderr


def test_an_example_runs_by_name(tmp_path: Path) -> None:
    done = studio("run", "aspirin-vacuum", "--steps", "100", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "trajectory.xtc").exists()


def test_interrupt_ends_cleanly_and_resume_goes_on(recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = subprocess.Popen(
        [*COMMAND, "run", str(recipe), "--steps", "10000000", "--out", str(out)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    end = monotonic() + 60
    while monotonic() < end and not ((out / "energies.csv").exists() and len((out / "energies.csv").read_text().splitlines()) > 5):
        sleep(0.1)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 0, stderr
    assert "Stopped early" in stdout
    assert "Traceback" not in stdout + stderr
    done = int(re.search(r"(\d+) steps", stdout).group(1))
    again = studio("run", "--resume", out, "--steps", str(done + 30))
    assert again.returncode == 0, again.stderr
    steps = [int(line.split(",")[0]) for line in (out / "energies.csv").read_text().splitlines()[1:]]
    assert steps == list(range(0, done + 31, 10))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("run",), "Expected an example or a recipe"),
        (("run", "tyk3-pocket", "--out", "OUT"), "neither an example"),
        (("run", "aspirin-vacuum"), "--out DIR"),
    ],
)
def test_mistakes_are_sentences(words: tuple[str, ...], sentence: str, tmp_path: Path) -> None:
    done = studio(*(str(tmp_path / "out") if word == "OUT" else word for word in words))
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_an_existing_run_is_not_overwritten(recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    studio("run", recipe, "--out", out)
    before = (out / "energies.csv").read_bytes()
    done = studio("run", recipe, "--out", out)
    assert done.returncode == 1
    assert "holds a run already" in done.stderr
    assert (out / "energies.csv").read_bytes() == before


def test_doctor_says_what_works() -> None:
    done = studio("doctor")
    assert done.returncode == 0, done.stdout
    for subject in ("openmm", "OpenMM platforms", "potential so3lr", "potential aimnet2", "other potentials", "compiled so3lr", "nglview", "browser", "cache"):
        assert re.search(rf"^ok +{subject} ", done.stdout, re.MULTILINE), f"{subject} is missing:\n{done.stdout}"


def test_compile_without_a_compiler_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`make studio` goes on after it; whoever types it has to see the reason."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("POTENTIAL_STUDIO_CACHE", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    done = studio("compile")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: Without a C++ compiler the network is not compiled")
    assert "Traceback" not in done.stderr


def test_compile_is_done_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POTENTIAL_STUDIO_CACHE", str(tmp_path))
    packages = compiled_packages()
    assert len(packages) == 2
    for path in packages:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    done = studio("compile")
    assert done.returncode == 0
    assert "is there already" in done.stdout


def test_kept_runs_are_listed_shown_exported_and_binned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POTENTIAL_STUDIO_DATA", str(tmp_path / "data"))

    def runs(*words: str | Path) -> str:
        done = CliRunner().invoke(main, ["runs", *map(str, words)])
        assert done.exit_code == 0, done.output
        return done.output

    assert "No runs are kept yet" in runs("list")
    library = Library()
    entry = library.new(Dynamics(system=System(source=FromSmiles(smiles="CCO")), steps=40, interval=10, minimise=10), "Ethanol", owner="ada")
    assert library.recipe_of(entry.id).run(folder=entry.folder).ok
    heading, row = runs("list").splitlines()
    assert heading.split() == ["RUN", "STATUS", "TIME", "FRAMES", "ATOMS", "SEEN", "AS", "CREATED", "TITLE"]
    assert row.split()[:7] == ["1", "closed", "0.080", "ps", "5", "9", "MM"]
    shown = runs("show", "1")
    assert re.search(r"recorded +5 frames, 0\.080 ps", shown)
    assert re.search(r"openmm +8", shown)
    for name in ("a.xtc", "a.dcd", "b.pdb", "a.zip", "a.py", "a.json"):
        assert "Written to" in runs("export", "1", tmp_path / name)
        assert (tmp_path / name).stat().st_size > 0
    assert mdtraj.load(str(tmp_path / "a.dcd"), top=str(tmp_path / "a-topology.pdb")).n_frames == 5
    assert load_recipe(tmp_path / "a.json").steps == 40
    assert "restore 1" in runs("delete", "1")
    assert [entry["title"] for entry in json.loads(runs("list", "--deleted", "--json"))] == ["Ethanol"]
    assert "is back" in runs("restore", "1")
    runs("delete", "1")
    assert "Nothing has been in the bin for 7 days" in runs("purge", "--yes")
    assert "Removed: run 1." in runs("purge", "--yes", "--days", "0")


def test_mistakes_about_runs_are_sentences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POTENTIAL_STUDIO_DATA", str(tmp_path))
    refused = studio("runs", "export", "7", tmp_path / "a.xtc")
    assert refused.returncode == 1
    assert refused.stderr == "Error: There is no run 7. It was purged, or belongs to another library.\n"
