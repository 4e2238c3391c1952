"""That what is taken home is whole, right in every format, and can be repeated without the app."""

import json
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import mdtraj
import numpy as np
import pytest

from studio.errors import SettingsError, StorageError
from studio.export import export_bundle, export_script, export_trajectory
from studio.frame import Frame
from studio.hybrid.view import MLFragment, View
from studio.library import Library
from studio.recipes.dynamics import Dynamics
from studio.recipes.minimise import Minimise
from studio.recorder import ACTIONS, TRAJECTORY, Recorder
from studio.region import Atoms, Ligand, Near
from studio.replay import Replay
from studio.script import script_of
from studio.structure import Structure
from studio.system import FromFile, FromSmiles, Pocket, System

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"
BOX = np.array([[2.5, 0, 0], [0.4, 2.4, 0], [0.6, 0.5, 2.3]])


@pytest.fixture(params=["vacuum", "box"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The folder of a run of 12 frames."""
    aspirin = Structure.from_smiles(ASPIRIN)
    if request.param == "box":
        aspirin = replace(aspirin, box=BOX)
    recorder = Recorder(tmp_path / "run", aspirin, Dynamics(system=System(source=FromSmiles(smiles=ASPIRIN))).to_json(), interval=10)
    for step in range(0, 120, 10):
        positions = (aspirin.positions + 0.05 * np.sin(step + np.arange(21))[:, None]).astype(np.float32)
        box = None if aspirin.box is None else (aspirin.box * (1 + step / 1000)).astype(np.float32)
        recorder.record(Frame(step, step / 1000, positions, box, {"potential": -1.0, "kinetic": 2.0}, 300.0, 10.0))
    return tmp_path / "run"


def loaded(path: Path) -> mdtraj.Trajectory:
    return mdtraj.load(str(path)) if path.suffix == ".pdb" else mdtraj.load(str(path), top=str(path.with_name(f"{path.stem}-topology.pdb")))


@pytest.mark.parametrize("ending", [".xtc", ".dcd", ".pdb"])
def test_each_format_holds_what_was_recorded(run: Path, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"out{ending}"
    assert export_trajectory(run, path) == 12
    found, replay = loaded(path), Replay(run)
    assert (found.n_frames, found.n_atoms) == (12, 21)
    assert [atom.element.atomic_number for atom in found.topology.atoms] == replay.structure.numbers.tolist()
    for index in range(12):
        shown = replay.frame(index)
        np.testing.assert_allclose(found.xyz[index], shown.positions, atol=1e-3)
        if shown.box is not None and (ending != ".pdb" or index == 0):  # PDB has one box for all models
            np.testing.assert_allclose(found.unitcell_vectors[index], shown.box * (1 if ending != ".pdb" else BOX[0, 0] / shown.box[0, 0]), atol=2e-3)
        if shown.box is None and ending != ".xtc":
            assert found.unitcell_vectors is None


def test_frames_and_atoms_are_chosen(run: Path, tmp_path: Path) -> None:
    replay, carbons = Replay(run), [0, 1, 4, 5]
    for ending in (".xtc", ".dcd", ".pdb"):
        assert export_trajectory(run, tmp_path / f"part{ending}", 2, 11, stride=3, atoms=carbons) == 3
        found = loaded(tmp_path / f"part{ending}")
        assert found.n_atoms == 4
        for place, index in enumerate((2, 5, 8)):
            np.testing.assert_allclose(found.xyz[place], replay.frame(index).positions[carbons], atol=1e-3)
    np.testing.assert_allclose(loaded(tmp_path / "part.xtc").time, [0.02, 0.05, 0.08], atol=1e-6)
    assert export_trajectory(run, tmp_path / "one.dcd", 11) == 1


def test_what_does_not_exist_is_a_sentence(run: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"'out\.trr' ends in '\.trr'. Expected one of \.xtc \.dcd \.pdb"):
        export_trajectory(run, tmp_path / "out.trr")
    for first, last, stride in ((5, 5, 1), (0, 13, 1), (-1, None, 1), (0, None, 0)):
        with pytest.raises(SettingsError, match="The run has frames 0 to 11"):
            export_trajectory(run, tmp_path / "out.xtc", first, last, stride=stride)
    for atoms in ([], [21], [-1]):
        with pytest.raises(SettingsError, match="Expected indices of atoms from 0 to 20"):
            export_trajectory(run, tmp_path / "out.xtc", atoms=atoms)
    with pytest.raises(StorageError, match="There is no recorded run in"):
        export_trajectory(tmp_path, tmp_path / "out.xtc")
    assert list(tmp_path.glob("out*")) == []


FULL_DISK = """
import json, resource, signal, sys
from pathlib import Path
from studio.errors import StorageError
from studio.export import export_bundle, export_trajectory
import studio.export
studio.export.FLOATS_AT_ONCE = 2 * 63
run, out = Path(sys.argv[1]), Path(sys.argv[2])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
for name in ("a.xtc", "a.dcd", "a.pdb", "a.zip"):
    try:
        (export_bundle if name == "a.zip" else export_trajectory)(run, out / name)
    except StorageError as problem:
        print(json.dumps(str(problem)))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits file sizes the POSIX way")
@pytest.mark.parametrize("run", ["vacuum"], indirect=True)
def test_a_full_disk_is_a_sentence_and_leaves_what_was_there(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.dcd").write_text("from before")
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(run), str(out)], capture_output=True, text=True, check=True)
    assert done.stdout.count("Free some space") == 4
    assert [path.name for path in out.iterdir()] == ["a.dcd"]
    assert (out / "a.dcd").read_text() == "from before"


@pytest.mark.parametrize("run", ["vacuum"], indirect=True)
def test_a_run_that_is_being_written_is_exported_up_to_its_last_whole_frame(run: Path, tmp_path: Path) -> None:
    whole = (run / TRAJECTORY).read_bytes()
    (run / TRAJECTORY).write_bytes(whole + whole[:100])
    export_bundle(run, tmp_path / "b.zip")
    with zipfile.ZipFile(tmp_path / "b.zip") as bundle:
        assert bundle.testzip() is None
        assert bundle.read("b/trajectory.xtc") == whole


def test_long_trajectories_pass_in_pieces(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export_trajectory(run, tmp_path / "whole.dcd")
    monkeypatch.setattr("studio.export.FLOATS_AT_ONCE", 5 * 63)
    export_trajectory(run, tmp_path / "pieces.dcd")
    np.testing.assert_array_equal(loaded(tmp_path / "pieces.dcd").xyz, loaded(tmp_path / "whole.dcd").xyz)


def energies(folder: Path) -> np.ndarray:
    return Replay(folder).table["potential_kJ_mol"]


def test_the_bundle_of_an_uploaded_molecule_repeats_its_run_elsewhere(tmp_path: Path) -> None:
    """Other folder, other process, originals gone: the same motion from the same seed."""
    upload = tmp_path / "upload" / "ethanol's.sdf"
    upload.parent.mkdir()
    upload.write_text(sdf("CCO"))
    library = Library(tmp_path / "data")
    recipe = Dynamics(system=System(source=FromFile(path=str(upload))), steps=10_000, interval=5, minimise=20, seed=7)
    entry = library.new(recipe, 'Ethanol """\nimport os')
    upload.unlink()
    result = library.recipe_of(entry.id).model_copy(update={"steps": 20}).run(folder=entry.folder)
    assert result.ok
    line = {"step": 10, "time_ps": 0.02, "action": "set_temperature", "values": {"kelvin": 350.0}}
    (entry.folder / ACTIONS).write_text(json.dumps(line) + '\n{"step": 3, torn')
    export_bundle(entry.folder, tmp_path / "ethanol.zip", entry.title)
    with zipfile.ZipFile(tmp_path / "ethanol.zip") as bundle:
        bundle.extractall(tmp_path / "far away")
    first = energies(entry.folder)
    library.folder.rename(tmp_path / "gone")
    home = tmp_path / "far away" / "ethanol"
    script = (home / "repeat.py").read_text()
    assert 'Ethanol """ import os: Python that repeats it' in script.splitlines()[0]
    assert '# - at 0.020 ps: set_temperature {"kelvin": 350.0}' in script
    assert "steps=20" in script
    assert "openmm==8" in script
    assert len(script.splitlines()) < 60
    done = subprocess.run([sys.executable, str(home / "repeat.py")], capture_output=True, text=True, cwd=tmp_path, timeout=240)
    assert done.returncode == 0, done.stderr
    again = energies(home / "repeated")
    assert len(again) == len(first) == 5
    np.testing.assert_allclose(again[:3], first[:3], atol=0.05)
    assert json.loads((home / "recipe.json").read_text())["system"]["source"]["path"] == "inputs/ethanol's.sdf"


def sdf(smiles: str) -> str:
    from rdkit.Chem import MolToMolBlock

    return str(MolToMolBlock(Structure.from_smiles(smiles).to_rdkit())) + "$$$$\n"


RECIPES = [
    Dynamics(
        system=System(source=FromFile(path="inputs/x.pdb", ligand_smiles="C\"C'\n"), surroundings=Pocket(mobile_nm=0.4)),
        view=View(resolution="nnp/mm", region=Ligand() | Near(of=Ligand(), nm=0.3) - Atoms(indices=(1,)), also=(MLFragment(region=Atoms(indices=(5, 6))),)),
        timestep=2.0,
        seed=3,
    ),
    Minimise(system=System(source=FromSmiles(smiles="CCO"), ph=6.0)),
]


@pytest.mark.parametrize("recipe", RECIPES, ids=["dynamics", "minimise"])
def test_the_script_says_what_the_recipe_says(recipe: Dynamics | Minimise, tmp_path: Path) -> None:
    """Run up to the recipe, in a fresh interpreter."""
    path = tmp_path / "repeat.py"
    path.write_text(script_of(recipe) + "\n")
    code = f"import runpy; print(runpy.run_path({str(path)!r})['recipe'].to_json())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    expected = recipe.to_json().replace("inputs/x.pdb", str(tmp_path / "inputs" / "x.pdb"))
    assert json.loads(done.stdout) == json.loads(expected)


def test_a_script_of_a_recipe_without_motion_runs(tmp_path: Path) -> None:
    (tmp_path / "repeat.py").write_text(script_of(Minimise(system=System(source=FromSmiles(smiles="CCO")))))
    done = subprocess.run([sys.executable, str(tmp_path / "repeat.py")], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert "energy_kj_mol" in done.stdout
    assert (tmp_path / "repeated" / "provenance.json").exists()


@pytest.mark.parametrize("run", ["vacuum"], indirect=True)
def test_a_recipe_of_a_newer_version_is_a_sentence(run: Path, tmp_path: Path) -> None:
    (run / "recipe.json").write_text('{"kind": "dynamics", "version": 99}')
    with pytest.raises(SettingsError, match="version"):
        export_script(run, tmp_path / "x.py")
    with pytest.raises(SettingsError, match="version"):
        export_bundle(run, tmp_path / "x.zip")
    assert export_trajectory(run, tmp_path / "x.pdb") == 12  # the frames are not lost
