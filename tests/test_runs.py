"""The list of runs and the scrubber without a browser: what they say and do, over kept runs that the real recorder wrote."""

import asyncio
import json
import shutil
from dataclasses import replace
from pathlib import Path

import mdtraj
import numpy as np
import pytest

from studio.account import account
from studio.errors import SettingsError, StorageError, UnsupportedError
from studio.frame import Frame
from studio.hybrid.view import View
from studio.library import Library
from studio.parcel import KINDS, kind_of, megabytes, pack
from studio.recipes.dynamics import Dynamics
from studio.recorder import ACTIONS, Recorder
from studio.structure import Structure
from studio.system import FromSmiles, System
from tests.fake_runs import FakeRun
from widgets import listing
from widgets.desk import Desk
from widgets.listing import clock, fits, row_of, size
from widgets.recording import Recording
from widgets.runs import Runs

ETHANOL = Dynamics(system=System(source=FromSmiles(smiles="CCO")), interval=10, steps=290)
PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 20


class EthanolRun(FakeRun):
    """Ready at once, where it was told to start."""

    def __init__(self, recipe, structure=None):
        super().__init__(recipe, structure or Structure.from_smiles("CCO"))
        self.given = structure


def record(folder, frames=30):
    """What a worker leaves: the atoms of frame n are n pm away from their places."""
    ethanol = Structure.from_smiles("CCO")
    recorder = Recorder(folder, ethanol, ETHANOL.to_json(), interval=10)
    for step in range(0, 10 * frames, 10):
        positions = (ethanol.positions + step * 1e-4).astype(np.float32)
        recorder.record(Frame(step, step / 500, positions, None, {"potential": -1.0 * step, "kinetic": 2.0}, 300.0, 10.0, 2.0))
    recorder.save_checkpoint(b"checkpoint")


class Bench:
    """A desk with the list and the scrubber, over a library with three runs."""

    def __init__(self, folder):
        self.library = Library(folder / "data", patience=2.0)
        self.desk = Desk(self.library)
        self.store, self.made = self.desk.store, []
        self.store._opening._launch = self.launch
        self.runs, self.recording = Runs(self.desk), Recording(self.desk)
        for title, view in (("Ethanol", View(resolution="mm")), ("Ethanol, hybrid", View(resolution="nnp/mm")), ("Third", View(resolution="nnp"))):
            entry = self.library.new(ETHANOL.model_copy(update={"view": view}), title)
            record(entry.folder)
            self.library.refresh(entry.id)

    def launch(self, recipe, structure, folder):
        self.made.append(EthanolRun(recipe, structure))
        return self.made[-1]

    async def open(self, number):
        await self.runs.open(number)
        self.store.refresh()

    async def hear(self, part, message):
        """A message of the page, and what follows from it."""
        part.hear(message)
        await self.settle()

    async def settle(self):
        await asyncio.sleep(0)
        while self.desk.guard._tasks:
            await asyncio.gather(*self.desk.guard._tasks)
        await self.runs.read()

    @property
    def numbers(self):
        return [row["id"] for row in self.runs.panel.rows]

    def row(self, number):
        return next(row for row in self.runs.panel.rows if row["id"] == number)


@pytest.fixture
def bench(tmp_path, monkeypatch):
    monkeypatch.setattr("widgets.store.runs.prewarm", lambda: None)
    return Bench(tmp_path)


def test_runs_are_listed_newest_first_with_what_people_ask_for(bench):
    asyncio.run(bench.runs.read())
    assert bench.numbers == [3, 2, 1]
    row = bench.row(2)
    assert (row["title"], row["seen"], row["time"]) == ("Ethanol, hybrid", "NNP/MM \u00b7 so3lr", "0.58 ps")
    assert row["words"] == "can be continued"
    assert bench.runs.panel.summary.endswith("kB in 3 runs")
    assert [entry.id for entry in bench.runs.entries] == [3, 2, 1]


def test_an_empty_list_tells_what_to_do(tmp_path):
    runs = Runs(Desk(Library(tmp_path)))
    asyncio.run(runs.read())
    assert "Choose a molecule" in runs.panel.hint
    assert not runs.panel.summary
    runs.show_bin(True)
    asyncio.run(runs.read())
    assert "bin is empty" in runs.panel.hint


@pytest.mark.parametrize(("words", "numbers"), [("hybrid", [2]), ("ETHANOL mm", [2, 1]), ("3", [3]), ("so3lr nnp", [3, 2]), ("nothing", [])])
def test_runs_are_found_by_title_number_level_and_potential(bench, words, numbers):
    bench.runs.find(words)
    asyncio.run(bench.runs.read())
    assert bench.numbers == [number for number in numbers if fits(bench.library.get(number), words)] == numbers
    assert bool(bench.runs.panel.hint) == (not numbers)


def test_a_long_list_comes_in_pages(bench, monkeypatch):
    for number in range(60):
        bench.library.new(ETHANOL, f"Number {number}")
    asyncio.run(bench.runs.read())
    assert (len(bench.numbers), bench.runs.panel.more) == (50, 13)
    asyncio.run(bench.hear(bench.runs, {"type": "more"}))
    assert (len(bench.numbers), bench.runs.panel.more) == (63, 0)


def test_a_click_opens_and_the_row_follows_the_run(bench):
    async def story():
        await bench.hear(bench.runs, {"type": "open", "id": 1})
        bench.store.refresh()
        bench.store.play()
        bench.store.take(Frame(7, 1.5, bench.store.structure.positions.astype(np.float32)))
        bench.store.refresh()
        bench.runs.refresh()
        return dict(bench.runs.panel.present)

    assert asyncio.run(story()) == {"id": 1, "state": "playing", "words": "playing", "time": "1.50 ps"}
    bench.store.close()


def test_a_deleted_run_comes_back(bench):
    async def story():
        await bench.hear(bench.runs, {"type": "choose", "id": 2, "on": True})
        await bench.hear(bench.runs, {"type": "delete", "id": 2})
        assert (bench.numbers, bench.runs.panel.toast, bench.runs.chosen) == ([3, 1], {"text": "Run 2 deleted.", "undo": True}, ())
        await bench.hear(bench.runs, {"type": "bin", "on": True})
        assert bench.numbers == [2]
        await bench.hear(bench.runs, {"type": "undo"})
        await bench.hear(bench.runs, {"type": "bin", "on": False})
        assert bench.numbers == [3, 2, 1]

    asyncio.run(story())
    bench.runs.delete(3)
    bench.runs.undo()
    bench.runs.undo()  # once is enough
    assert [entry.id for entry in bench.runs.entries] == [3, 2, 1]


def test_the_bin_is_emptied_for_good(bench):
    bench.runs.delete(1)
    asyncio.run(bench.hear(bench.runs, {"type": "empty"}))
    assert not (bench.library.folder / "runs" / "1").exists()
    assert bench.runs.panel.toast == {"text": "1 run removed for good.", "undo": False}


def test_the_run_on_screen_is_not_deleted(bench):
    asyncio.run(bench.open(1))
    with pytest.raises(UnsupportedError, match="on screen"):
        bench.runs.delete(1)
    asyncio.run(bench.hear(bench.runs, {"type": "delete", "id": 1}))
    assert "on screen" in bench.desk.alert.sentence
    assert bench.library.get(1).deleted is None
    bench.store.close()


@pytest.mark.parametrize("wish", ["open", "duplicate", "delete", "restore", "about"])
def test_nobody_elses_run_is_touched(bench, wish):
    other = bench.library.new(ETHANOL, "Not yours", owner="somebody")
    asyncio.run(bench.hear(bench.runs, {"type": wish, "id": other.id}))
    assert f"no run {other.id}" in bench.desk.alert.sentence
    assert other.id not in bench.numbers
    assert bench.library.get(other.id).deleted is None
    assert not bench.made
    with pytest.raises(SettingsError, match="no run"):
        bench.runs.export(other.id, bench.library.folder / "x.json")


def test_emptying_ones_bin_leaves_that_of_others(bench):
    own, other = bench.library.new(ETHANOL, "Mine"), bench.library.new(ETHANOL, "Not yours", owner="somebody")
    for entry in (own, other):
        bench.library.delete(entry.id)
    assert "1 run removed" in bench.runs.keeper.empty()
    assert not own.folder.exists()
    assert other.folder.exists()


def test_runs_get_names_notes_and_copies(bench):
    async def story():
        await bench.hear(bench.runs, {"type": "name", "id": 1, "title": "Dry <b>run</b>", "note": "As in the lecture"})
        await bench.hear(bench.runs, {"type": "duplicate", "id": 1})

    asyncio.run(story())
    assert (bench.row(1)["title"], bench.row(1)["note"]) == ("Dry <b>run</b>", "As in the lecture")
    assert (bench.row(4)["title"], bench.row(4)["time"]) == ("Dry <b>run</b> (copy)", "")
    assert bench.runs.panel.toast["text"] == "Run 4 is a copy of run 1, from its start."


def test_two_to_four_runs_are_compared(bench):
    bench.runs.chosen = (1,)
    with pytest.raises(SettingsError, match="2 to 4"):
        bench.runs.compare()
    bench.runs.chosen = (3, 1)
    asyncio.run(bench.hear(bench.runs, {"type": "compare"}))
    assert bench.store.compared == (3, 1)
    with pytest.raises(SettingsError, match="At most 4"):
        bench.runs.chosen = (1, 2, 3, 4, 5)


def test_a_crashed_run_and_a_lost_folder_are_noticed(bench):
    bench.library.update(1, status="playing")  # and its process died
    shutil.rmtree(bench.library.get(2).folder)
    asyncio.run(bench.runs.read())
    assert (bench.row(1)["state"], bench.row(2)["state"]) == ("interrupted", "missing")
    asyncio.run(bench.hear(bench.runs, {"type": "delete", "id": 2}))
    assert bench.numbers == [3, 1]


def test_a_run_that_another_program_plays_is_left_alone(bench):
    bench.library.update(1, status="playing", time_ps=7.0)
    with bench.library.claim(1):
        asyncio.run(bench.runs.read())
        assert (bench.row(1)["state"], bench.row(1)["time"]) == ("playing", "7.00 ps")
        asyncio.run(bench.hear(bench.runs, {"type": "open", "id": 1}))
        assert "another window" in bench.desk.alert.sentence


def test_a_list_that_cannot_be_read_says_so_in_its_place(bench, monkeypatch):
    def fail(*_arguments, **_more):
        raise StorageError("The library is locked. Try again.")

    monkeypatch.setattr(bench.library, "entries", fail)
    asyncio.run(bench.runs.read())
    assert bench.runs.panel.problem == "The library is locked. Try again."
    monkeypatch.undo()
    asyncio.run(bench.runs.read())
    assert not bench.runs.panel.problem


def test_pictures_are_sent_for_listed_runs_only(bench, monkeypatch):
    sent = []
    monkeypatch.setattr(bench.runs.panel, "_send_msg", sent.append)
    other = bench.library.new(ETHANOL, "Not yours", owner="somebody")
    for number in (1, other.id):
        bench.library.set_thumbnail(number, PNG)
    asyncio.run(bench.runs.read())
    asyncio.run(bench.hear(bench.runs, {"type": "pictures", "ids": [1, 2, other.id, "x"]}))
    assert [(message["id"], message["png"], message["stamp"]) for message in sent] == [(1, PNG, bench.row(1)["picture"])]


def test_a_picture_is_taken_when_a_run_rests_or_is_left(bench, monkeypatch):
    def snapshot(_width):
        picture = asyncio.get_running_loop().create_future()
        picture.set_result(PNG)
        return picture

    monkeypatch.setattr(bench.desk.viewer, "snapshot", snapshot)

    async def story():
        await bench.open(1)
        bench.store.play()
        bench.store.refresh()
        assert bench.library.get(1).thumbnail is None
        bench.store.pause()
        bench.store.refresh()
        await bench.settle()
        assert bench.library.get(1).thumbnail.read_bytes() == PNG
        await bench.open(2)
        assert bench.library.get(2).thumbnail is None
        await bench.runs.open(3)
        await bench.settle()
        assert bench.library.get(2).thumbnail.read_bytes() == PNG

    asyncio.run(story())
    bench.store.close()


# -- taking it home ----------------------------------------------------------------------------------------------------


def test_what_is_recorded_of_a_run_that_goes_on_can_be_taken_home(bench):
    """The list counts frames when a run is left; until then its files say that there are some."""
    entry = replace(bench.library.get(1), status="playing", frames=0)
    assert row_of(entry)["recorded"]
    assert not row_of(bench.library.new(ETHANOL, "Never played"))["recorded"]


def test_every_kind_of_file_is_written(bench, tmp_path):
    for name, kind in KINDS.items():
        pack(bench.library.get(1), name, tmp_path / f"run{kind.ending}")
    for ending in (".xtc", ".dcd"):
        loaded = mdtraj.load(str(tmp_path / f"run{ending}"), top=str(tmp_path / "run-topology.pdb"))
        assert loaded.n_frames == 30
        assert loaded.xyz[29, 0, 0] - loaded.xyz[0, 0, 0] == pytest.approx(0.029, abs=2e-3)
    assert json.loads((tmp_path / "run.json").read_text())["system"]["source"]["smiles"] == "CCO"
    assert (tmp_path / "run.csv").read_text().count("\n") == 31
    for kind in ("xtc", "dcd", "pdb"):
        size = (tmp_path / f"run.{kind}").stat().st_size / 1e6
        assert megabytes(bench.library.get(1), kind) == pytest.approx(size, rel=0.2, abs=0.01)
    with pytest.raises(SettingsError, match=r"ends in '\.gro'"):
        kind_of(Path("run.gro"))
    fresh = bench.library.new(ETHANOL, "Never played")
    with pytest.raises(StorageError, match="recorded"):
        pack(fresh, "csv", tmp_path / "none.csv")


def delivered(bench, monkeypatch, kind, react=None):
    """The messages that bring a file; the page takes each piece, or does what `react` says."""
    sent = []

    def send(message):
        sent.append(message)
        (react or (lambda each: bench.runs.hear({"type": "arrived", "number": each["number"]})))(message)

    monkeypatch.setattr(bench.runs._delivery, "_send", send)
    asyncio.run(bench.hear(bench.runs, {"type": "take", "id": 1, "kind": kind}))
    return sent


def test_a_file_comes_in_pieces_and_leaves_nothing_behind(bench, monkeypatch, tmp_path):
    monkeypatch.setattr("widgets.delivery.PIECE", 200)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = set(tmp_path.iterdir())
    sent = delivered(bench, monkeypatch, "csv")
    assert b"".join(piece["data"] for piece in sent) == (bench.library.get(1).folder / "energies.csv").read_bytes()
    assert len(sent) > 2
    assert [piece["last"] for piece in sent] == [False] * (len(sent) - 1) + [True]
    assert {piece["name"] for piece in sent} == {"run-1.csv"}
    assert bench.runs.panel.progress == {}
    assert set(tmp_path.iterdir()) == before


def test_a_delivery_is_called_off(bench, monkeypatch):
    monkeypatch.setattr("widgets.delivery.PIECE", 200)
    sent = delivered(bench, monkeypatch, "csv", lambda _message: bench.runs.hear({"type": "stop"}))
    assert len(sent) == 1
    assert bench.runs.panel.progress == {}
    assert not bench.desk.alert.sentence


def test_a_page_that_takes_nothing_is_given_up_with_a_sentence(bench, monkeypatch):
    monkeypatch.setattr("widgets.delivery.PATIENCE", 0.05)
    delivered(bench, monkeypatch, "csv", lambda _message: None)
    assert "did not take 'run-1.csv'" in bench.desk.alert.sentence
    assert bench.runs.panel.progress == {}


def test_the_account_tells_inputs_versions_and_actions(bench):
    entry = bench.library.get(1)
    action = {"step": 5, "time_ps": 0.01, "action": "set_temperature", "values": {"kelvin": 350}}
    (entry.folder / ACTIONS).write_text(json.dumps(action) + '\n{"torn')
    sections = {section.title: dict(section.rows) for section in account(entry)}
    inputs = sections["Inputs"]
    assert inputs["system \u203a source \u203a smiles"] == "CCO"
    assert inputs["temperature"] == "300 K"
    assert inputs["system \u203a forcefield \u203a cutoff"] == "9 \u00c5"
    assert inputs["timestep"] == "found by itself"
    assert sections["Done by hand"] == {"0.010 ps": "set temperature: kelvin 350"}
    (entry.folder / "recipe.json").write_text("{torn")
    assert any(section.title == "Inputs" and section.rows for section in account(entry))


# -- the scrubber ------------------------------------------------------------------------------------------------------


def test_the_recording_is_scrubbed_and_the_plots_follow(bench):
    async def story():
        await bench.open(1)
        bench.store.play()
        bench.store.refresh()
        await bench.hear(bench.recording, {"type": "show"})
        bench.store.refresh()

    asyncio.run(story())
    pane, pump = bench.recording.panel, bench.desk.pump
    assert (bench.store.status.state, pane.shown, pane.frames, pane.frame, pane.end) == ("paused", True, 30, 29, pytest.approx(0.58))
    bench.recording.frame = 12
    pump.tick()
    np.testing.assert_allclose(bench.store.frame.positions, Structure.from_smiles("CCO").positions + 0.012, atol=1e-3)
    assert (pane.time, bench.desk.plots.panel.marker) == (pytest.approx(0.24), pytest.approx(0.24))
    samples = bench.desk.plots.runs[""].samples
    assert (len(samples), samples.now) == (30, pytest.approx(0.58))
    with pytest.raises(SettingsError, match="0 to 29"):
        bench.recording.frame = 30
    bench.recording.hear({"type": "live"})
    bench.store.refresh()
    assert (pane.shown, bench.desk.plots.panel.marker, bench.store.status.state) == (False, None, "playing")
    with pytest.raises(UnsupportedError, match="look_back"):
        bench.recording.frame = 3
    bench.store.close()


def test_the_film_runs_at_its_speed_and_begins_again(bench, monkeypatch):
    asyncio.run(bench.open(1))
    asyncio.run(bench.recording.look_back())
    now = [100.0]
    monkeypatch.setattr("widgets.playback.monotonic", lambda: now[0])

    def film(seconds):
        for _ in range(round(10 * seconds)):
            bench.desk.pump.tick()
            now[0] += 0.1
        bench.desk.pump.tick()
        return bench.recording.frame

    bench.recording.speed = 0.5
    bench.recording.frame = 0
    bench.recording.play()
    assert film(2.0) == pytest.approx(15, abs=1)
    bench.recording.speed = 2.0
    assert film(1.0) == 29
    bench.recording.refresh()
    assert not bench.recording.panel.playing
    bench.recording.loop = True
    bench.recording.play()
    assert film(1.2) == pytest.approx(6, abs=1)
    with pytest.raises(SettingsError, match="Expected a speed"):
        bench.recording.speed = 3.0
    bench.store.close()


def test_a_moment_chosen_in_a_plot_is_shown(bench):
    async def story():
        await bench.open(1)
        bench.desk.plots._hear({"type": "time", "time": 0.301})
        await bench.settle()

    asyncio.run(story())
    assert bench.recording.frame == 15
    bench.store.close()


def test_a_run_without_frames_says_so(bench):
    fresh = bench.library.new(ETHANOL, "Never played")

    async def story():
        await bench.open(fresh.id)
        await bench.hear(bench.recording, {"type": "show"})

    asyncio.run(story())
    assert "recorded" in bench.desk.alert.sentence
    assert not bench.recording.panel.shown
    bench.store.close()


def test_another_run_goes_on_from_a_frame(bench):
    async def story():
        await bench.open(1)
        await bench.recording.look_back()
        bench.recording.frame = 20
        await bench.hear(bench.recording, {"type": "branch"})
        bench.store.refresh()

    asyncio.run(story())
    made = bench.made[-1]
    np.testing.assert_allclose(made.given.positions, Structure.from_smiles("CCO").positions + 0.020, atol=1e-3)
    assert (bench.store.entry.id, bench.store.player, bench.recording.panel.shown) == (4, None, False)
    assert bench.library.get(1).frames == 30
    bench.store.close()


def test_late_messages_of_the_page_are_ignored(bench):
    for message in ({"type": "seek", "frame": 3}, {"type": "play", "on": True}, {"type": "seek"}, "nonsense", None):
        bench.recording.hear(message)
        bench.runs.hear(message)
    assert not bench.desk.alert.sentence


def test_words():
    assert (clock(0.5), clock(12_345.6)) == ("0.50 ps", "12.346 ns")
    assert (size(0.0344), size(214.4), size(2345.0)) == ("34 kB", "214 MB", "2.3 GB")
    assert listing.moment(listing.datetime.now().astimezone()).count(":") == 1
