"""What is written, that it can be read by others, and that nothing written is lost."""

import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import mdtraj
import numpy as np
import pytest

from studio.errors import StorageError
from studio.frame import Frame
from studio.io import store
from studio.recorder import CHECKPOINT, ENERGIES, HELD, STRUCTURE, TOPOLOGY, TRAJECTORY, Recorder, kept_restraints, time_of
from studio.replay import Replay
from studio.sources import FromChains
from studio.steering import DistanceRestraint, PositionRestraint
from studio.structure import Structure
from studio.system import System


@pytest.fixture
def ethanol() -> Structure:
    return Structure.from_smiles("CCO")


def frame(structure: Structure, step: int) -> Frame:
    return Frame(step, step / 1000, (structure.positions + step / 1000).astype(np.float32), None, {"potential": -1.5 * step, "kinetic": 2.0}, 300.0, 10.0)


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / ENERGIES).open(encoding="utf-8", errors="replace") as file:
        return list(csv.DictReader(file))


def test_recorded_frames_come_back(tmp_path: Path, ethanol: Structure) -> None:
    recorder = Recorder(tmp_path, ethanol, "{}", interval=10)
    for step in range(0, 51, 5):
        recorder.record(frame(ethanol, step))
    trajectory = mdtraj.load(str(tmp_path / TRAJECTORY), top=str(tmp_path / TOPOLOGY))
    np.testing.assert_allclose(trajectory.time, np.arange(0, 51, 10) / 1000, atol=1e-6)
    np.testing.assert_allclose(trajectory.xyz[3], frame(ethanol, 30).positions, atol=0.001)
    rows = table(tmp_path)
    assert [int(row["step"]) for row in rows] == [0, 10, 20, 30, 40, 50]
    assert float(rows[-1]["potential_kJ_mol"]) == -75.0
    assert store.load(tmp_path / STRUCTURE).key == ethanol.key


def test_a_folder_is_continued_without_gap_or_repeat(tmp_path: Path, ethanol: Structure) -> None:
    first = Recorder(tmp_path, ethanol, "{}", interval=10)
    for step in (0, 10, 20, 30):
        first.record(frame(ethanol, step))
    second = Recorder(tmp_path, ethanol, "{}", interval=10)
    second.trim(20)
    for step in (20, 30, 40):
        second.record(frame(ethanol, step))
    assert [int(row["step"]) for row in table(tmp_path)] == [0, 10, 20, 30, 40]
    trajectory = mdtraj.load(str(tmp_path / TRAJECTORY), top=str(tmp_path / TOPOLOGY))
    np.testing.assert_allclose(trajectory.time, np.array([0, 10, 20, 30, 40]) / 1000, atol=1e-6)


def test_a_line_cut_off_by_a_crash_is_dropped(tmp_path: Path, ethanol: Structure) -> None:
    first = Recorder(tmp_path, ethanol, "{}", interval=10)
    for step in (0, 10, 20):
        first.record(frame(ethanol, step))
    with (tmp_path / ENERGIES).open("a") as file:
        file.write("30,0.0")
    second = Recorder(tmp_path, ethanol, "{}", interval=10)
    second.trim(20)
    assert [int(row["step"]) for row in table(tmp_path)] == [0, 10, 20]


def test_reset_sets_frames_aside(tmp_path: Path, ethanol: Structure) -> None:
    recorder = Recorder(tmp_path, ethanol, "{}", interval=10)
    recorder.record(frame(ethanol, 0))
    recorder.record(frame(ethanol, 10))
    recorder.start_over()
    recorder.record(frame(ethanol, 0))
    assert len(table(tmp_path)) == 1
    assert len(table(tmp_path / "before-reset-1")) == 2


def test_a_reset_is_taken_back_with_its_frames(tmp_path: Path, ethanol: Structure) -> None:
    recorder = Recorder(tmp_path, ethanol, "{}", interval=10)
    for step in (0, 10, 20):
        recorder.record(frame(ethanol, step))
    recorder.start_over()
    recorder.start_over()  # with nothing to set aside
    recorder.record(frame(ethanol, 0))
    recorder.undo_start_over()
    recorder.undo_start_over()
    recorder.trim(10)
    recorder.record(frame(ethanol, 20))
    assert [int(row["step"]) for row in table(tmp_path)] == [0, 10, 20]
    assert len(mdtraj.load(str(tmp_path / TRAJECTORY), top=str(tmp_path / TOPOLOGY))) == 3


def test_all_frames_can_be_forgotten(tmp_path: Path, ethanol: Structure) -> None:
    """Going back to before the first frame must leave a folder that can be continued."""
    recorder = Recorder(tmp_path, ethanol, "{}", interval=10)
    for step in (10, 20):
        recorder.record(frame(ethanol, step))
    recorder.trim(5)
    assert table(tmp_path) == []
    recorder.record(frame(ethanol, 10))
    assert len(mdtraj.load(str(tmp_path / TRAJECTORY), top=str(tmp_path / TOPOLOGY))) == 1


def test_what_a_pull_does_is_recorded_and_old_tables_go_on(tmp_path: Path, ethanol: Structure) -> None:
    pulled = replace(frame(ethanol, 10), pull_force=12.5, pull_work=-3.25)
    Recorder(tmp_path / "new", ethanol, "{}", interval=10).record(pulled)
    (row,) = table(tmp_path / "new")
    assert (float(row["pull_force_kJ_mol_nm"]), float(row["pull_work_kJ_mol"])) == (12.5, -3.25)
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / ENERGIES).write_text("step,time_ps,temperature_K,speed_steps_s,potential_kJ_mol,kinetic_kJ_mol\n0,0,300,10,1,2\n")
    old = Recorder(tmp_path / "old", ethanol, "{}", interval=10)
    old.record(pulled)
    old.record(frame(ethanol, 20))
    old.trim(10)
    assert [(int(row["step"]), float(row["potential_kJ_mol"])) for row in table(tmp_path / "old")] == [(0, 1.0), (10, -15.0)]


def test_beads_have_a_clock_of_their_own_and_tables_of_before_go_on(tmp_path: Path, ethanol: Structure) -> None:
    """A column `time_ps` of beads is read as the time of atoms."""
    beads = System(source=FromChains(sequences=("GA",))).prepare()
    moved = replace(frame(ethanol, 10), positions=np.zeros((2, 3), np.float32))
    for name, before in (("new", ""), ("old", "step,time_ps,temperature_K,speed_steps_s,potential_kJ_mol,kinetic_kJ_mol\n")):
        recorder = Recorder(tmp_path / name, beads, "{}", interval=10)
        if before:
            (tmp_path / name / ENERGIES).write_text(before)
        recorder.record(moved)
        recorder.note(10, moved.time, "pause", {})
    assert float(table(tmp_path / "new")[0]["cg_time_ps"]) == float(table(tmp_path / "old")[0]["time_ps"]) == pytest.approx(moved.time)
    assert "time_ps" not in table(tmp_path / "new")[0]
    assert time_of(Replay(tmp_path / "new").table) == time_of(Replay(tmp_path / "old").table) == [pytest.approx(moved.time)]
    assert '"cg_time_ps"' in (tmp_path / "new" / "actions.jsonl").read_text()


def test_restraints_are_kept_for_who_goes_on(tmp_path: Path, ethanol: Structure) -> None:
    recorder = Recorder(tmp_path, ethanol, "{}", interval=10)
    assert kept_restraints(tmp_path) is None
    held = (PositionRestraint(atoms=(0,), positions=((0.1, 1 / 3, 0.2),)), DistanceRestraint(atoms=(0, 2), nm=0.3))
    recorder.save_restraints(held)
    assert kept_restraints(tmp_path) == held
    recorder.save_restraints(())
    assert kept_restraints(tmp_path) == ()
    (tmp_path / HELD).write_text("[{")
    with pytest.raises(StorageError, match=r"restraints\.json is damaged .* Remove it"):
        kept_restraints(tmp_path)


def test_due_counts_down_to_the_interval(tmp_path: Path, ethanol: Structure) -> None:
    recorder = Recorder(tmp_path, ethanol, "{}", interval=100)
    assert [recorder.due(step) for step in (0, 1, 99, 100)] == [100, 99, 1, 100]


FULL_DISK = """
import json, resource, signal, sys
from pathlib import Path
from studio.errors import StorageError
from studio.recorder import CHECKPOINT, Recorder
from studio.structure import Structure
from studio.system import System
folder = Path(sys.argv[1])
recorder = Recorder(folder, Structure.from_smiles("CCO"), "{}", 10)
recorder.save_checkpoint(b"good")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    recorder.save_checkpoint(b"x" * 100_000)
except StorageError as problem:
    print(json.dumps(str(problem)))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits file sizes the POSIX way")
def test_a_full_disk_is_a_sentence_and_the_last_checkpoint_stays(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "Free some space or choose another folder" in json.loads(done.stdout)
    assert (tmp_path / CHECKPOINT).read_bytes() == b"good"


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path, ethanol: Structure) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="Cannot write to"):
        Recorder(tmp_path / "file" / "run", ethanol, "{}", 10)


def test_damaged_tables_and_trajectories_are_survived_or_named(tmp_path: Path, ethanol: Structure) -> None:
    first = Recorder(tmp_path, ethanol, "{}", interval=10)
    for step in (0, 10, 20):
        first.record(frame(ethanol, step))
    with (tmp_path / ENERGIES).open("ab") as file:
        file.write(b"\xff\x00garbage\n")
    second = Recorder(tmp_path, ethanol, "{}", interval=10)
    second.record(frame(ethanol, 30))
    assert [row["step"] for row in table(tmp_path) if row["step"].isdecimal()] == ["0", "10", "20", "30"]
    (tmp_path / TRAJECTORY).write_bytes(b"not a trajectory")
    with pytest.raises(StorageError, match=r"trajectory\.xtc is damaged .* Move it out"):
        Recorder(tmp_path, ethanol, "{}", interval=10).record(frame(ethanol, 40))
