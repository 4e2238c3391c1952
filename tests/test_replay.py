"""That a recorded run is seen as it was: any frame at once, while it grows, and in spite of what crashes leave."""

import tracemalloc
from pathlib import Path

import mdtraj
import numpy as np
import pytest

from studio.errors import SettingsError, StorageError
from studio.frame import Frame
from studio.io import xtc
from studio.recorder import ENERGIES, STRUCTURE, TRAJECTORY, Recorder
from studio.replay import Player, Replay
from studio.structure import Structure

ETHANOL, ASPIRIN = "CCO", "CC(=O)Oc1ccccc1C(=O)O"


@pytest.fixture(params=[ETHANOL, ASPIRIN], ids=["nine atoms, not packed", "packed"])
def molecule(request: pytest.FixtureRequest) -> Structure:
    return Structure.from_smiles(request.param)


@pytest.fixture
def ethanol() -> Structure:
    return Structure.from_smiles(ETHANOL)


def frame(structure: Structure, step: int) -> Frame:
    moved = structure.positions + 0.1 * np.sin(step + np.arange(len(structure)))[:, None]
    return Frame(step, step / 500, moved.astype(np.float32), None, {"potential": -1.5 * step, "kinetic": 2.0}, 300.0 + step, 10.0, 2.0, 5.0 * step, 0.5 * step)


def record(folder: Path, structure: Structure, *steps: int) -> Recorder:
    recorder = Recorder(folder, structure, '{"timestep": 2.0}', interval=10)
    for step in steps:
        recorder.record(frame(structure, step))
    return recorder


def test_any_frame_comes_back_with_its_row(tmp_path: Path, molecule: Structure) -> None:
    record(tmp_path, molecule, *range(0, 300, 10))
    replay = Replay(tmp_path)
    assert len(replay) == 30
    np.testing.assert_allclose(replay.times, np.arange(0, 300, 10) / 500, atol=1e-6)
    np.testing.assert_array_equal(replay.table["step"], np.arange(0, 300, 10))
    for index in (17, 3, 29, 0, -1):
        shown, written = replay.frame(index), frame(molecule, 10 * (index % 30))
        np.testing.assert_allclose(shown.positions, written.positions, atol=1e-3)
        assert (shown.step, shown.temperature, shown.speed, shown.timestep, shown.box) == (written.step, written.temperature, 10.0, 2.0, None)
        assert (shown.energies, shown.pull_force, shown.pull_work) == (written.energies, written.pull_force, written.pull_work)
    with pytest.raises(StorageError, match="has 30 frames, counted from 0"):
        replay.frame(30)


def test_it_agrees_with_mdtraj_on_where_frames_are(tmp_path: Path, molecule: Structure) -> None:
    record(tmp_path, molecule, *range(0, 100, 10))
    loaded = mdtraj.load(str(tmp_path / TRAJECTORY), top=str(tmp_path / "topology.pdb"))
    index = xtc.Index(tmp_path / TRAJECTORY, len(molecule))
    np.testing.assert_array_equal(index.read(0, 10).positions, loaded.xyz)
    np.testing.assert_array_equal(index.read(4, 6, np.array([2, 5])).positions, loaded.xyz[4:6, [2, 5]])
    assert (index.end_at(45), index.end_at(-1)) == (index._ends[4], 0)
    assert index.end == (tmp_path / TRAJECTORY).stat().st_size


def test_boxes_come_back(tmp_path: Path, ethanol: Structure) -> None:
    from dataclasses import replace

    box = np.array([[2.0, 0, 0], [0.5, 2.0, 0], [0.5, 0.5, 2.0]])
    periodic = replace(ethanol, box=box)
    recorder = Recorder(tmp_path, periodic, "{}", 10)
    recorder.record(replace(frame(periodic, 10), box=box.astype(np.float32)))
    shown = Replay(tmp_path).frame(0)
    assert shown.box is not None
    np.testing.assert_allclose(shown.box, box, atol=1e-6)


def test_a_run_that_is_being_written_grows(tmp_path: Path, molecule: Structure) -> None:
    recorder = record(tmp_path, molecule, 0, 10)
    replay = Replay(tmp_path)
    assert not replay.refresh()
    recorder.record(frame(molecule, 20))
    assert len(replay) == 2
    assert replay.refresh()
    assert len(replay) == 3
    assert replay.frame(2).temperature == 320.0


def test_every_state_of_a_half_written_frame_is_survived(tmp_path: Path, molecule: Structure) -> None:
    """A reader may look between any two bytes that the writer writes."""
    record(tmp_path, molecule, 0, 10, 20)
    whole = (tmp_path / TRAJECTORY).read_bytes()
    two = xtc.Index(tmp_path / TRAJECTORY, len(molecule))._ends[1]
    replay = Replay(tmp_path)
    for end in [*range(two, len(whole), 7), len(whole) - 1]:
        (tmp_path / TRAJECTORY).write_bytes(whole[:end])
        replay.refresh()
        assert len(replay) == len(Replay(tmp_path)) == 2
        assert replay.frame(1).step == 10
    (tmp_path / TRAJECTORY).write_bytes(whole)
    assert replay.refresh()
    np.testing.assert_allclose(replay.frame(2).positions, frame(molecule, 20).positions, atol=1e-3)


def test_frames_and_rows_that_lack_each_other_are_kept_apart(tmp_path: Path, ethanol: Structure) -> None:
    record(tmp_path, ethanol, 0, 10, 20, 30)
    lines = (tmp_path / ENERGIES).read_text().splitlines(keepends=True)
    (tmp_path / ENERGIES).write_text("".join([*lines[:2], lines[3], "25,garbage,1,1,1,1,1,1\n", "7,7\n", lines[4][:9]]))
    replay = Replay(tmp_path)
    assert replay.rows.tolist() == [0, -1, 1, -1]
    assert replay.table["step"].tolist() == [0.0, 20.0]
    assert replay.frame(1).energies == {}
    assert replay.frame(1).step == 10
    assert replay.frame(2).temperature == 320.0


def test_a_table_of_an_older_version_is_read(tmp_path: Path, ethanol: Structure) -> None:
    record(tmp_path, ethanol, 0)
    (tmp_path / ENERGIES).write_text("step,time_ps,temperature_K,speed_steps_s,potential_kJ_mol,nnp_kJ_mol\r\n0,0,300,10,-1.5,\r\n")
    shown = Replay(tmp_path).frame(0)
    assert (shown.energies, shown.temperature, shown.pull_work) == ({"potential": -1.5}, 300.0, 0.0)


def test_damage_in_the_middle_costs_what_is_damaged(tmp_path: Path) -> None:
    aspirin = Structure.from_smiles(ASPIRIN)
    record(tmp_path, aspirin, *range(0, 100, 10))
    index = xtc.Index(tmp_path / TRAJECTORY, len(aspirin))
    content = bytearray((tmp_path / TRAJECTORY).read_bytes())
    content[index._starts[4] : index._starts[4] + 20] = bytes(20)
    (tmp_path / TRAJECTORY).write_bytes(content)
    replay = Replay(tmp_path)
    assert replay.steps.tolist() == [0, 10, 20, 30, 50, 60, 70, 80, 90]
    assert "1 damaged places" in replay.warnings[0]
    np.testing.assert_allclose(replay.frame(4).positions, frame(aspirin, 50).positions, atol=1e-3)


@pytest.mark.parametrize("content", [b"garbage " * 100, b"\0" * 500, b"short"])
def test_what_is_no_trajectory_is_a_sentence(tmp_path: Path, ethanol: Structure, content: bytes) -> None:
    record(tmp_path, ethanol, 0)
    (tmp_path / TRAJECTORY).write_bytes(content)
    with pytest.raises(StorageError, match="is damaged from its start on, or no trajectory"):
        Replay(tmp_path)


def test_files_that_do_not_belong_together_are_a_sentence(tmp_path: Path, ethanol: Structure) -> None:
    record(tmp_path / "a", ethanol, 0)
    record(tmp_path / "b", Structure.from_smiles(ASPIRIN), 0)
    (tmp_path / "b" / TRAJECTORY).replace(tmp_path / "a" / TRAJECTORY)
    with pytest.raises(StorageError, match=r"frames of 21 atoms, and the structure beside it has 9"):
        Replay(tmp_path / "a")


def test_folders_without_a_run_are_a_sentence(tmp_path: Path, ethanol: Structure) -> None:
    with pytest.raises(StorageError, match="There is no recorded run in"):
        Replay(tmp_path)
    record(tmp_path, ethanol)
    replay = Replay(tmp_path)
    assert len(replay) == 0
    assert replay.table == {}
    (tmp_path / STRUCTURE).write_bytes(b"PK damaged")
    with pytest.raises(StorageError, match="missing or damaged"):
        Replay(tmp_path)


def test_a_reset_begins_anew_and_a_trim_takes_back(tmp_path: Path, ethanol: Structure) -> None:
    recorder = record(tmp_path, ethanol, 0, 10, 20, 30)
    replay = Replay(tmp_path)
    recorder.trim(10)
    replay.refresh()
    assert replay.steps.tolist() == [0, 10]
    recorder.start_over()
    recorder.record(frame(ethanol, 0))
    replay.refresh()
    assert replay.steps.tolist() == [0]
    assert len(replay.table["step"]) == 1


def test_long_runs_are_not_held_in_memory(tmp_path: Path) -> None:
    from dataclasses import replace

    from studio.testing import water

    many = water()
    many = many.join(*[many] * 499)
    recorder = Recorder(tmp_path, many, "{}", 1)
    shown = replace(frame(many, 0), positions=np.random.default_rng(0).normal(size=(1500, 3)).astype(np.float32))
    for step in range(200):
        recorder.record(replace(shown, step=step))
    size = (tmp_path / TRAJECTORY).stat().st_size
    replay = Replay(tmp_path)
    replay.frame(0)  # imports are not what is measured
    tracemalloc.start()
    for index in range(0, 200, 10):
        replay.frame(index)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 0.1 * size


class TestPlayer:
    @pytest.fixture
    def player(self, tmp_path: Path, ethanol: Structure) -> Player:
        record(tmp_path, ethanol, *range(0, 100, 10))
        return Player(Replay(tmp_path), speed=10.0)

    def test_it_shows_the_first_frame_at_once(self, player: Player) -> None:
        first = player.subscribe().latest()
        assert first is not None
        assert first.step == 0
        assert not player.advance(5.0)

    def test_it_moves_with_the_clock_and_stops_at_the_end(self, player: Player) -> None:
        cursor = player.subscribe()
        player.play()
        seen = [frame.step for n in range(40) if player.advance(100.0 + 0.05 * n) and (frame := cursor.latest())]
        assert seen == [10, 20, 30, 40, 50, 60, 70, 80, 90]
        assert not player.playing
        player.play()
        player.advance(200.0)
        assert player.position == 0

    def test_a_scrubber_seeks(self, player: Player) -> None:
        cursor = player.subscribe()
        for index, step in ((7, 70), (2, 20), (99, 90), (-4, 0)):
            player.seek(index)
            shown = cursor.latest()
            assert shown is not None
            assert shown.step == step
        player.seek(4)
        player.play()
        player.advance(0.0)
        player.advance(0.25)
        assert player.position == 6

    def test_speed_and_loop(self, player: Player) -> None:
        player.speed, player.loop = 20.0, True
        player.play()
        for n in range(5):
            player.advance(0.2 * n)
        assert player.position == 6
        assert player.playing
        with pytest.raises(SettingsError, match=r"Expected 0\.1 to 1000 frames per second, got 0"):
            player.speed = 0.0

    def test_a_page_that_slept_goes_on_where_it_was(self, player: Player) -> None:
        player.play()
        player.advance(0.0)
        player.advance(3600.0)
        assert player.position == 5

    def test_pausing_holds(self, player: Player) -> None:
        player.play()
        player.advance(0.0)
        player.pause()
        assert not player.advance(0.4)
        player.play()
        assert not player.advance(50.0)
        assert player.advance(50.1)

    def test_a_run_without_frames_waits_for_them(self, tmp_path: Path, ethanol: Structure) -> None:
        recorder = record(tmp_path / "new", ethanol)
        player = Player(Replay(tmp_path / "new"))
        assert player.subscribe().latest() is None
        player.play()
        assert not player.advance(1.0)
        recorder.record(frame(ethanol, 0))
        player.replay.refresh()
        player.seek(0)
        assert player.subscribe().latest() is not None
