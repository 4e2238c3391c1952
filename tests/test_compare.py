"""That runs are compared fairly: same atoms over each other, same moment, means with honest errors, and nothing lost when one breaks."""

import asyncio
import csv
import io
import shutil
import time
from dataclasses import replace

import numpy as np
import pytest

from studio.alternatives import alternatives, same_start, varied
from studio.compare import Account, Gauge, inputs_of, rows, told
from studio.errors import SettingsError
from studio.frame import Frame
from studio.hybrid.view import View
from studio.io.targets import TARGETS
from studio.library import Library
from studio.messages import Status
from studio.observables import Distance
from studio.recipes.dynamics import Dynamics
from studio.recorder import STRUCTURE, Recorder
from studio.replay import Replay
from studio.sources import FromFile, FromSmiles, FromTarget
from studio.structure import Structure
from studio.superpose import Overlay, matched
from studio.system import System
from studio.timeseries import Mean
from studio.units import KJ_PER_KCAL
from tests.fake_runs import READY, FakeRun
from widgets import store as store_module
from widgets.compare import Compare
from widgets.desk import Desk

ASPIRIN, ETHANOL, PROPANOL = "CC(=O)Oc1ccccc1C(=O)O", "CCO", "CCCO"
SEED = 7


def recipe(smiles=ETHANOL, **changes):
    return Dynamics(system=System(source=FromSmiles(smiles=smiles)), seed=SEED, interval=10).model_copy(update=changes)


def turned(positions, angle, shift):
    c, s = np.cos(angle), np.sin(angle)
    return positions @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) + shift


def frame(structure, step, potential=None, temperature=300.0):
    """A molecule that turns and drifts without changing its shape; its energy falls by 2 kcal/mol, with noise."""
    noise = np.random.default_rng(step)
    energy = (-2.0 * (1 - np.exp(-step / 50)) + noise.normal()) * KJ_PER_KCAL if potential is None else potential
    positions = turned(structure.positions, step / 30, step / 1000).astype(np.float32)
    return Frame(step, step / 500, positions, None, {"potential": -100.0 + energy, "kinetic": 2.0}, temperature + noise.normal(), 20.0, 2.0)


def record(entry, structure, frames, temperature=300.0, recipe_=None):
    text = (recipe_ or recipe()).model_copy(update={"timestep": 2.0}).to_json()
    recorder = Recorder(entry.folder, structure, text, interval=10)
    for step in range(0, 10 * frames, 10):
        recorder.record(frame(structure, step, temperature=temperature))
    recorder.save_checkpoint(b"checkpoint")
    return entry.id


class RecordedRun(FakeRun):
    """It records what the test gives it."""

    def __init__(self, recipe, structure, folder):
        super().__init__(recipe, None, Status("preparing", "Starting the worker"))
        self.given, self.folder = structure, folder

    def set_temperature(self, _kelvin):
        """Not remembered: the board tells runs when to move, and nothing else."""

    set_friction = set_temperature

    def stand(self, structure):
        self.structure, self.now = structure, READY
        self.recorder = Recorder(self.folder, structure, self.recipe.to_json(), interval=10)
        self.give(frame(structure, 0))

    def give(self, frame):
        self.recorder.record(frame)
        self.frames.publish(frame)


class Bench:
    """A desk with a compare board, the runs that it asked for, and what the browser would get."""

    def __init__(self, folder, monkeypatch):
        monkeypatch.setattr(store_module.runs, "prewarm", lambda: None)
        self.runs, self.sent, self.said = [], [], []
        self.desk = Desk(Library(folder, patience=2.0))
        self.store, self.library = self.desk.store, self.desk.store.library
        self.store._opening._launch = self.launch
        self.desk.guard._say = self.said.append
        self.compare = Compare(self.desk, self.launch)
        self.board = self.compare.board
        monkeypatch.setattr(self.desk.viewer, "send", lambda frame, cell=0: self.sent.append((cell, frame)))

    def launch(self, recipe, structure, folder):
        self.runs.append(RecordedRun(recipe, structure, folder))
        return self.runs[-1]

    def recorded(self, title, frames, smiles=ETHANOL, **changes):
        temperature = changes.pop("mean", 300.0)
        asked = recipe(smiles, **changes)
        return record(self.library.new(asked, title), Structure.from_smiles(smiles), frames, temperature, asked)

    async def settle(self, condition):
        """Let the desk live until `condition` holds."""
        for _ in range(600):
            self.desk.refresh()
            self.board.tick(self.board._clock)
            if condition():
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"waited in vain; said: {self.said}")

    async def show(self, *numbers):
        self.compare.runs = numbers
        await self.settle(lambda: self.board.columns and all(column.loaded or column.problem for column in self.board.columns))

    async def open_present(self):
        """A live run of ethanol, playing."""
        await self.store.open(recipe(), "Ethanol", Structure.from_smiles(ETHANOL))
        self.runs[-1].stand(Structure.from_smiles(ETHANOL))
        self.desk.refresh()
        self.desk.refresh()
        return self.runs[-1]

    def cells(self):
        return self.desk.viewer.pane.scene.get("cells", [])


@pytest.fixture
def bench(tmp_path, monkeypatch):
    return Bench(tmp_path / "data", monkeypatch)


class TestSuperposing:
    def test_the_same_molecule_turned_and_shifted_comes_back_onto_itself(self, aspirin):
        elsewhere = aspirin.with_positions(turned(aspirin.positions, 1.2, 3.0))
        overlay = Overlay(elsewhere, aspirin)
        laid = overlay.lay(Frame(0, 0.0, elsewhere.positions.astype(np.float32)))
        assert overlay.superposes
        assert len(overlay.atoms) == (aspirin.numbers > 1).sum()
        np.testing.assert_allclose(laid.positions, aspirin.positions, atol=1e-5)

    def test_no_mirror_image_is_made(self, aspirin):
        mirrored = aspirin.with_positions(aspirin.positions * [1, 1, -1])
        turn = Overlay(mirrored, aspirin).placement(mirrored.positions).turn
        assert np.linalg.det(turn) == pytest.approx(1.0)

    def test_different_ligands_are_matched_by_what_they_share(self):
        ibuprofen, drug = Structure.from_smiles("CC(C)Cc1ccc(cc1)C(C)C(=O)O"), Structure.from_smiles("CC(C(=O)O)c1ccccc1")
        ours, theirs = matched(ibuprofen, drug)
        assert len(ours) == (drug.numbers > 1).sum()  # all of the smaller one is part of the larger
        assert (ibuprofen.numbers[ours] == drug.numbers[theirs]).all()

    def test_equal_names_of_different_molecules_mean_nothing(self):
        chain, branched = Structure.from_smiles("CCCO"), Structure.from_smiles("CC(C)O")
        ours, theirs = matched(chain, branched)
        bonds = {frozenset(pair) for pair in chain.bonds.tolist()}
        other = {frozenset(pair) for pair in branched.bonds.tolist()}
        inside = [(i, j) for i in range(len(ours)) for j in range(i)]
        assert all((frozenset((ours[i], ours[j])) in bonds) == (frozenset((theirs[i], theirs[j])) in other) for i, j in inside)

    def test_proteins_are_matched_by_residue_whatever_stands_between(self):
        tyk2 = TARGETS["tyk2"].complex("ejm_31")
        part = tyk2.take(np.flatnonzero(tyk2.residue_index >= 40))
        ours, theirs = matched(part, tyk2)
        assert len(ours) == ((part.numbers > 1) & ~np.isin(np.arange(len(part)), np.concatenate([part.atoms_of("water"), part.atoms_of("ion")]))).sum()
        np.testing.assert_array_equal(part.positions[ours], tyk2.positions[theirs])

    def test_a_molecule_that_crosses_the_box_is_whole_before_it_is_turned(self, aspirin):
        box = 4.0 * np.eye(3)
        reference = replace(aspirin, box=box)
        split = aspirin.positions + 2.0
        split = split - box[0, 0] * (split > 2.05)
        placed = Overlay(reference, reference).placement(split.astype(np.float32), box)
        spread = np.abs(placed(split) - aspirin.positions)
        assert np.minimum(spread, np.abs(spread - 4.0)).max() < 1e-4

    def test_without_common_atoms_the_middles_agree(self):
        water, methane = Structure.from_smiles("[Ne]"), Structure.from_smiles("C")
        overlay = Overlay(water, methane)
        assert not overlay.superposes
        np.testing.assert_allclose(overlay.placement(water.positions)(water.positions)[0], methane.positions[0], atol=1e-6)


class TestNumbers:
    def test_means_leave_out_the_settling_and_errors_are_those_of_blocks(self, tmp_path):
        ethanol = Structure.from_smiles(ETHANOL)
        recorder = Recorder(tmp_path, ethanol, '{"timestep": 2.0}', interval=10)
        for step in range(0, 5000, 10):
            recorder.record(frame(ethanol, step))
        gauge = Gauge(Replay(tmp_path))
        gauge.observe([Distance(atoms=(0, 1), names=("C1", "C2"))])
        while gauge.take():
            pass
        found = gauge.results()
        change = found["Potential above its start"]
        start = frame(ethanol, 0).energies["potential"] / KJ_PER_KCAL + 100.0 / KJ_PER_KCAL
        assert change.samples == 400
        assert change.mean.error == pytest.approx(1 / np.sqrt(400), rel=0.35)
        assert change.mean.value == pytest.approx(-2.0 - start, abs=4 * change.mean.error)
        assert found["Temperature"].mean.value == pytest.approx(300.0, abs=0.3)
        bond = np.linalg.norm(ethanol.positions[0] - ethanol.positions[1]) * 10
        assert found["C1-C2 distance"].mean.value == pytest.approx(bond, abs=1e-2)  # turning changes no bond
        assert gauge.facts()["Speed", "ns/day"] == pytest.approx(20.0 * 2.0 * 86400e-6)

    def test_too_few_frames_give_words_instead_of_a_number(self, tmp_path):
        ethanol = Structure.from_smiles(ETHANOL)
        recorder = Recorder(tmp_path, ethanol, "{}", interval=10)
        for step in range(0, 100, 10):
            recorder.record(frame(ethanol, step))
        found = Gauge(Replay(tmp_path)).results()["Temperature"]
        assert str(found) == "n too small (8)"
        assert Account(1, results={"Temperature": found}).plain()["Temperature (K)"] is None

    def test_a_recording_that_grows_is_taken_in_and_one_set_back_is_read_anew(self, tmp_path):
        ethanol = Structure.from_smiles(ETHANOL)
        recorder = Recorder(tmp_path, ethanol, "{}", interval=10)
        gauge = Gauge(Replay(tmp_path))
        gauge.observe([Distance(atoms=(0, 1), names=("C1", "C2"))])
        counts = []
        for steps in (range(0, 200, 10), range(200, 400, 10)):
            for step in steps:
                recorder.record(frame(ethanol, step))
            counts.append(len(gauge.take()))
        assert counts == [20, 20]
        recorder.start_over()
        for step in range(0, 100, 10):
            recorder.record(frame(ethanol, step))
        gauge.take()
        assert len(gauge.values["C1-C2 distance"]) == 10

    def test_what_is_kept_of_a_long_run_is_bounded_and_evenly_spread(self, tmp_path, monkeypatch):
        monkeypatch.setattr("studio.compare.MEASURED", 32)
        ethanol = Structure.from_smiles(ETHANOL)
        recorder, gauge = Recorder(tmp_path, ethanol, "{}", interval=10), Gauge(Replay(tmp_path))
        gauge.observe([bond := Distance(atoms=(0, 5), names=("C1", "H5"))])
        for step in range(0, 3010, 10):
            recorder.record(replace(frame(ethanol, step), positions=(ethanol.positions * (1 + step)).astype(np.float32)))
            gauge.take()
        first, *rest = gauge.values[bond.label]
        spread = np.round((np.array([first, *rest]) / first - 1) / 10).astype(int)  # numbers of the frames
        assert 32 <= len(spread) <= 64
        assert set(np.diff(spread)) == {8}
        assert spread[-1] == 296

    def test_rows_that_differ_are_marked_and_absolute_energies_are_not_subtracted(self):
        one, two = (inputs_of(recipe(temperature=kelvin), "Ethanol") for kelvin in (300.0, 310.0))
        table = {row.name: row for row in rows([Account(1, one), Account(2, two)])}
        assert [name for name, row in table.items() if row.differs] == ["Thermostat"]
        assert table["System"].cells == ("Ethanol", "Ethanol")

    @pytest.mark.parametrize(("mean", "text"), [(Mean(-1234.567, 0.62), "\u22121\u2009234.57 \u00b1 0.62"), (Mean(300.2, 12.0), "300 \u00b1 12")])
    def test_digits_follow_the_error(self, mean, text):
        assert told(mean) == text


class TestAlternatives:
    @pytest.fixture
    def pocket(self):
        return TARGETS["tyk2"].ligand("ejm_31")

    def test_levels_differ_in_that_only(self):
        changed = varied(recipe(), recipe(), level="nnp")
        assert (changed.view.resolution, changed.seed, changed.system) == ("nnp", SEED, recipe().system)

    def test_what_a_level_does_not_have_is_refused(self):
        with pytest.raises(SettingsError, match="no network"):
            varied(recipe(), recipe(), potential="aimnet2")
        with pytest.raises(SettingsError, match="got nothing"):
            varied(recipe(), recipe())

    def test_quick_starts_say_why_they_cannot(self, aspirin):
        asked = recipe(ASPIRIN)
        found = {each.name: each for each in alternatives(asked, asked, aspirin)}
        assert found["level"].recipe.view.resolution == "nnp"
        assert found["level"].title == "MM against NNP"
        assert all(found[name].recipe is None and found[name].reason for name in ("potential", "ligand", "region"))

    def test_the_next_ligand_of_a_series(self, pocket):
        names = list(TARGETS["tyk2"].ligands)
        asked = recipe().model_copy(update={"system": System(source=FromTarget(target="tyk2", ligand=names[-1], complex=False))})
        found = {each.name: each for each in alternatives(asked, asked, pocket)}["ligand"]
        assert found.recipe.system.source.ligand == names[0]

    def test_the_next_record_of_a_file(self, tmp_path, aspirin):
        path = tmp_path / "series.sdf"
        path.write_text("one\n$$$$\ntwo\n$$$$\n")
        asked = recipe().model_copy(update={"system": System(source=FromFile(path=str(path)))})
        found = {each.name: each for each in alternatives(asked, asked, aspirin)}["ligand"]
        assert (found.recipe.system.source.index, found.title) == (1, "Molecule 1 against 2 of the file")

    def test_another_network_can_be_compared_where_there_is_one(self, aspirin):
        asked = recipe(ASPIRIN, view=View(resolution="nnp"))
        found = {each.name: each for each in alternatives(asked, asked, aspirin)}["potential"]
        assert bool(found.recipe) != bool(found.reason)
        assert found.recipe is None or found.recipe.view.potential != asked.view.potential

    def test_both_start_from_the_same_places(self):
        ethanol = Structure.from_smiles(ETHANOL)
        start, note = same_start(recipe(), ethanol.with_positions(ethanol.positions + 0.5))
        assert note == ""
        np.testing.assert_allclose(start.positions, ethanol.positions + 0.5)


class TestBoard:
    def test_recordings_stand_side_by_side_at_the_same_moment(self, bench):
        async def work():
            long, short = bench.recorded("Long", 60), bench.recorded("Short", 30)
            await bench.show(long, short)
            assert [cell["label"] for cell in bench.cells()] == [f"{long} Long MM", f"{short} Short MM"]
            assert bench.board.end == pytest.approx(1.18)
            bench.compare.time = 0.402
            await bench.settle(lambda: len(bench.sent) > 2)
            newest = dict(bench.sent)
            assert (newest[0].time, newest[1].time) == pytest.approx((0.4, 0.4))
            bench.compare.time = 1.0
            await bench.settle(lambda: dict(bench.sent)[0].time > 0.9)
            assert dict(bench.sent)[1].time == pytest.approx(0.58)  # the shorter one waits at its end
            assert bench.compare._clock()["chips"][1]["state"] == "waits at its end"
            assert bench.desk.plots.panel.marker == pytest.approx(1.0)

        asyncio.run(work())

    def test_playing_moves_all_and_ends_at_the_end(self, bench):
        async def work():
            await bench.show(bench.recorded("One", 60), bench.recorded("Two", 60))
            bench.compare.play()
            board, now = bench.board, bench.board._clock
            board.tick(now + 0.2)
            assert board.time == pytest.approx(0.6)
            board.tick(now + 100.0)  # a page that slept makes up for little
            assert board.time == pytest.approx(board.end)
            board.tick(now + 100.1)
            assert not board.playing

        asyncio.run(work())

    def test_overlay_lays_every_frame_over_the_start_of_the_first(self, bench):
        async def work():
            one, two = bench.recorded("One", 30), bench.recorded("Two", 30)
            await bench.show(one, two)
            start = Structure.from_smiles(ETHANOL).positions
            bench.compare.time = 0.5
            await bench.settle(lambda: dict(bench.sent).get(1) and dict(bench.sent)[1].time > 0.4)
            assert np.abs(dict(bench.sent)[1].positions - start).max() > 0.05  # it turns
            bench.compare.overlay = True
            np.testing.assert_allclose(dict(bench.sent)[1].positions, start, atol=2e-3)
            assert bench.desk.viewer.pane.overlay

        asyncio.run(work())

    def test_lines_are_filled_from_the_recordings_with_the_rmsd(self, bench):
        async def work():
            one, two = bench.recorded("One", 60), bench.recorded("Two", 60, mean=350.0)
            await bench.show(one, two)
            runs = bench.desk.plots.runs
            assert list(runs) == [str(one), str(two)]
            assert [len(series.samples) for series in runs.values()] == [60, 60]
            assert np.nanmax(runs[str(one)].samples["RMSD to start"]) < 0.02  # turning is no change of shape
            table = bench.compare.table
            assert table[1]["Temperature (K)"] - table[0]["Temperature (K)"] == pytest.approx(50.0, abs=1.0)
            sheet = {row["name"]: row for row in bench.compare._sheet()["rows"]}
            assert sheet["Temperature, K"]["apart"][1].startswith("+")
            assert sheet["Potential, kcal/mol"]["apart"] == ["", ""]

        asyncio.run(work())

    def test_a_deleted_and_a_damaged_run_say_so_and_the_rest_goes_on(self, bench):
        async def work():
            good, gone, torn = bench.recorded("Good", 30), bench.recorded("Gone", 30), bench.recorded("Torn", 30)
            shutil.rmtree(bench.library.get(gone).folder)
            (bench.library.get(torn).folder / STRUCTURE).write_bytes(b"nothing")
            bench.compare.runs = (good, gone, torn, 99)
            await bench.settle(lambda: bench.board.columns and bench.board.columns[0].loaded)
            problems = [column.problem for column in bench.board.columns]
            assert problems[0] == ""
            assert "is gone" in problems[1]
            assert "damaged" in problems[2]
            assert "There is no run 99" in problems[3]
            assert len(bench.cells()) == 1
            assert [row["run"] for row in bench.compare.table] == [good, gone, torn, 99]
            assert bench.compare._sheet()["heads"][1]["problem"] == problems[1]

        asyncio.run(work())

    def test_the_table_as_a_file_has_a_line_for_each_run(self, bench):
        async def work():
            await bench.show(bench.recorded("=cmd", 60), bench.recorded("Two", 10))
            lines = list(csv.DictReader(io.StringIO(bench.compare.csv)))
            assert [line["System"] for line in lines] == ["=cmd", "Two"]
            assert float(lines[0]["Temperature (K)"]) == pytest.approx(300.0, abs=1.0)
            assert lines[1]["Temperature (K)"] == ""  # too few

        asyncio.run(work())

    def test_too_many_are_refused(self, bench):
        with pytest.raises(SettingsError, match="At most 4"):
            bench.compare.runs = (1, 2, 3, 4, 5)
        assert bench.compare.runs == ()


class TestLive:
    def test_a_second_run_from_the_same_start_joins_and_both_are_driven_by_one_clock(self, bench):
        async def work():
            present = await bench.open_present()
            number = await bench.compare.against(level="mm-implicit")
            second = bench.runs[-1]
            assert second.recipe.seed == SEED
            np.testing.assert_allclose(second.given.positions, present.structure.positions)
            assert bench.compare.runs == (bench.store.entry.id, number)
            assert bench.library.held(number)
            second.stand(Structure.from_smiles(ETHANOL))
            await bench.settle(lambda: len(bench.cells()) == 2 and second.told == ["play"])
            for step in range(10, 60, 10):
                present.give(frame(present.structure, step))
                bench.board.tick(bench.board._clock)
            second.give(frame(second.structure, 10))
            bench.board.tick(bench.board._clock)
            newest = dict(bench.sent)
            assert (newest[0].step, newest[1].step) == (50, 10)  # each at its own speed
            assert bench.compare.time == pytest.approx(0.02)  # what all have reached
            bench.compare.pause()
            bench.board.tick(bench.board._clock)
            assert (present.now.state, second.now.state) == ("paused", "paused")
            assert bench.store.frame.step == 50

        asyncio.run(work())

    def test_scrubbing_back_lets_live_runs_wait_and_playing_returns_to_them(self, bench):
        async def work():
            present = await bench.open_present()
            bench.compare.runs = (bench.store.entry.id, bench.recorded("Other", 60))
            await bench.settle(lambda: len(bench.cells()) == 2 and present.told[-1] == "play")
            for step in range(10, 110, 10):
                present.give(frame(present.structure, step))
            await bench.settle(lambda: bench.compare.time > 0.19)
            bench.compare.time = 0.1
            await bench.settle(lambda: dict(bench.sent)[0].time == pytest.approx(0.1))
            assert present.now.state == "paused"
            bench.board.tick(bench.board._clock + 0.4)  # 1.2 ps of recordings: past the head of the live run
            bench.board.tick(bench.board._clock)
            assert bench.board.following
            assert present.now.state == "playing"

        asyncio.run(work())

    def test_leaving_gives_the_present_run_back_as_it_was(self, bench):
        async def work():
            present = await bench.open_present()
            bench.desk.plots.add(frame(present.structure, 10))
            lines = bench.desk.plots.runs
            await bench.show(bench.recorded("One", 30), bench.recorded("Two", 30))
            assert present.now.state == "paused"
            assert not bench.board.playing
            bench.compare.leave()
            assert present.now.state == "playing"
            assert bench.desk.plots.runs == lines
            assert bench.desk.plots.panel.marker is None
            assert not bench.compare.bar.state
            assert not bench.compare.table_panel.state
            present.give(frame(present.structure, 20))
            bench.desk.pump.tick()
            assert bench.store.frame.step == 20

        asyncio.run(work())

    def test_a_run_that_cannot_be_prepared_says_so_and_leaves_nothing_behind(self, bench):
        async def work():
            await bench.open_present()
            number = await bench.compare.against(source=FromSmiles(smiles=PROPANOL))
            bench.runs[-1].now = Status("failed", "This molecule has no parameters.")
            await bench.settle(lambda: len(bench.board.columns) == 2 and bench.board.columns[1].problem and bench.cells())
            assert bench.compare._sheet()["heads"][1]["problem"] == "This molecule has no parameters."
            assert len(bench.cells()) == 1
            bench.compare.remove(number)
            await bench.settle(lambda: number not in {entry.id for entry in bench.library.entries()})

        asyncio.run(work())

    def test_again_starts_the_same_once_more(self, bench):
        async def work():
            one = bench.recorded("One", 30, temperature=310.0)
            await bench.show(one, bench.recorded("Two", 30))
            number = await bench.compare.again(one)
            assert number not in (one, one + 1)
            assert (bench.runs[-1].recipe.temperature, bench.runs[-1].recipe.seed) == (310.0, SEED)
            np.testing.assert_allclose(bench.runs[-1].given.positions, Structure.from_smiles(ETHANOL).positions)
            assert bench.compare.runs[-1] == number

        asyncio.run(work())

    def test_a_recording_goes_on_live_and_gives_its_place_back(self, bench):
        async def work():
            one, two = bench.recorded("One", 30), bench.recorded("Two", 30)
            await bench.show(one, two)
            await bench.compare.revive(two)
            assert bench.library.held(two)
            bench.runs[-1].structure, bench.runs[-1].now = Structure.from_smiles(ETHANOL), Status("paused", "Ready", 1.0)
            await bench.settle(lambda: bench.runs[-1].told == ["play"])
            await bench.compare.open(two)
            assert bench.runs[-2].closed.is_set()
            assert bench.compare.runs == ()
            assert bench.store._opening.wish.number == two

        asyncio.run(work())

    def test_opening_another_molecule_leaves_the_board(self, bench):
        async def work():
            first = await bench.open_present()
            await bench.show(bench.store.entry.id, bench.recorded("Two", 30))
            second = await bench.open_present()
            assert second is not first
            assert bench.compare.runs == ()
            assert second.told == ["play"]

        asyncio.run(work())

    def test_nothing_open_is_said(self, bench):
        async def work():
            with pytest.raises(SettingsError, match="Open a molecule first"):
                await bench.compare.against(level="mm")

        asyncio.run(work())


def test_two_real_runs_side_by_side(tmp_path, monkeypatch):
    """MM in vacuum against MM in continuum water: real force fields, real workers, numbers in the table."""
    monkeypatch.setattr(store_module.runs, "prewarm", lambda: None)
    desk = Desk(Library(tmp_path / "data"))
    compare = Compare(desk)

    async def live(condition):
        end = time.monotonic() + 60
        while time.monotonic() < end:
            desk.refresh()
            desk.pump.tick()
            if condition():
                return
            await asyncio.sleep(0.02)
        raise AssertionError(f"waited in vain: {desk.alert.sentence} {compare.table}")

    async def work():
        await desk.store.open(recipe(timestep=2.0), "Ethanol")
        await live(lambda: desk.store.run is not None)
        await compare.against(level="mm-implicit")
        await live(lambda: min((column.end for column in compare.board.columns), default=0.0) > 1.0)
        compare.pause()
        await live(lambda: all(row.get("Temperature (K)") for row in compare.table))
        one, two = compare.table
        assert (one["Level"], two["Level"]) == ("MM", "MM implicit")
        assert two["Potential (kcal/mol)"] < one["Potential (kcal/mol)"]  # water likes ethanol
        assert 100 < one["Temperature (K)"] < 500
        assert one["Seed"] == two["Seed"] == str(SEED)
        compare.leave()

    try:
        asyncio.run(work())
    finally:
        desk.close()
        compare.close()
