"""Files: what people are told when one that is read is missing, torn, or no file at all."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from studio.coarse.batched import BeadReplicas
from studio.coarse.labels import Labels
from studio.errors import StorageError
from studio.recipes.farm import _files_of
from studio.recipes.series import Records
from studio.recipes.strain_series import StrainSeries
from studio.structure import Structure
from tests.bead_teachers import Teacher
from tests.molecule_files import sdf
from tests.torsion_frames import dipeptide_beads

EXPECTED = {"labels.npz": "labels that were saved here", "replicas.npz": "a checkpoint of replicas", "series.sdf": "a file that the series was made from"}
REMEDY = {
    "labels.npz": "Measure them again, or choose another file.",
    "replicas.npz": "Start them anew.",
    "series.sdf": "Put it back, or make the series anew.",
}


@pytest.fixture
def read(tmp_path: Path) -> dict[str, Callable[[], object]]:
    """How three files are read that were written whole, each by its name in the folder."""
    beads = dipeptide_beads()
    places = np.asarray(beads.positions)[None]
    Labels(places, 2.0 * places, places, 300.0).save(tmp_path / "labels.npz")
    moving = BeadReplicas(Teacher(beads), places, np.full(5, 12.0))
    moving.save(tmp_path / "replicas.npz")
    (tmp_path / "series.sdf").write_text(sdf(Structure.from_smiles("CCO"), "ethanol"))
    tasks = StrainSeries(source=Records(path=str(tmp_path / "series.sdf")), potentials=("mm",)).tasks()
    return {
        "labels.npz": lambda: Labels.load(tmp_path / "labels.npz"),
        "replicas.npz": lambda: moving.load(tmp_path / "replicas.npz"),
        "series.sdf": lambda: _files_of(tasks),
    }


@pytest.mark.parametrize("name", EXPECTED)
def test_what_cannot_be_read_is_a_sentence_that_is_true(read: dict[str, Callable[[], object]], tmp_path: Path, name: str) -> None:
    """It says what was expected, what came, and what to do; never that something could not be written."""
    path = tmp_path / name
    read[name]()
    path.unlink()
    for came in ("there is no such file", "it is a folder"):
        with pytest.raises(StorageError) as refused:
            read[name]()
        assert str(refused.value) == f"Cannot read {path}: expected {EXPECTED[name]}, but {came}. {REMEDY[name]}"
        path.mkdir(exist_ok=True)


@pytest.mark.parametrize("name", ["labels.npz", "replicas.npz"])
def test_any_file_of_arrays_that_is_torn_is_a_sentence(read: dict[str, Callable[[], object]], tmp_path: Path, name: str) -> None:
    whole = (tmp_path / name).read_bytes()
    torn = [whole[:size] for size in range(0, len(whole), 97)]
    torn += [whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :] for place in range(0, len(whole), 31)]
    said = []
    for content in (*torn, b"nonsense"):
        (tmp_path / name).write_bytes(content)
        try:
            read[name]()
        except StorageError as problem:
            said.append(str(problem))
    assert len(said) > 0.8 * len(torn), "a few bytes say nothing that is read"
    assert all(each.startswith(f"Cannot read {tmp_path / name}: expected {EXPECTED[name]}, but it is damaged, or something else: ") for each in said)
    assert all(each.endswith(REMEDY[name]) for each in said)
