"""The page without a browser: the store, the forms and what they say, driven by hand over runs that nobody computes."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from studio.errors import PluginError, SettingsError, StructureError
from studio.frame import Frame, LocalFrames
from studio.hybrid.view import View
from studio.io import MAX_MEGABYTES
from studio.potentials.catalogue import ready_cards
from studio.run import Run
from studio.structure import Residue, Structure
from studio.system import EXAMPLES, FromFile, FromSmiles, Pocket, System, Vacuum
from studio.units import KJ_PER_KCAL
from studio.worker import Status
from widgets import app, controls, store
from widgets.alerts import Alert, Guard, WayOut
from widgets.forms import Choice, SystemForm, Upload, ViewForm, fitting, safe_name
from widgets.plots import Plots, Series
from widgets.store import Store

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"


def run(work):
    """Do `work` in an event loop of its own, also where the thread of the tests has one (Playwright's)."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


class FakeRun(Run):
    """A run whose worker is the test: `status` is what the test says, `told` what it heard."""

    def __init__(self, recipe, structure=None):
        self.recipe, self.structure, self.given = recipe, structure or Structure.from_smiles("CCO"), structure
        self.frames, self.told, self.now = LocalFrames(), [], Status("preparing", "Starting the worker")
        self.closed = threading.Event()

    status = property(lambda self: self.now)
    shared = property(lambda self: None)

    def play(self):
        self.told.append("play")
        self.now = Status("playing")

    def pause(self):
        self.told.append("pause")
        self.now = Status("paused", "Paused")

    def recover(self):
        self.told.append("recover")
        self.now = Status("preparing", "Starting a new worker")

    def set_temperature(self, kelvin):
        self.told.append(kelvin)

    def close(self):
        self.closed.set()


class Desk:
    """A store with its forms, and the runs that it asked for."""

    def __init__(self, folder, monkeypatch):
        monkeypatch.setattr(store.runs, "prewarm", lambda: None)
        self.runs, self.said = [], []
        self.store = Store(self.launch)
        self.store.param.watch(lambda event: event.new and self.said.append(event.new.sentence), "refusal")
        self.guard = Guard(self.said.append)
        self.view = ViewForm(self.store, self.guard, ready_cards(), View(resolution="mm"), [])
        self.system = SystemForm(self.store, self.guard, self.view, folder, [])

    def launch(self, recipe, structure):
        self.runs.append(FakeRun(recipe, structure))
        return self.runs[-1]

    def open(self, work):
        """Do `work`, and let the run that it asks for become ready."""
        run(work)
        self.runs[-1].now = Status("paused", "Ready", 1.0)
        self.store.refresh()
        self.store.refresh()
        return self.runs[-1]


@pytest.fixture
def desk(tmp_path, monkeypatch):
    return Desk(tmp_path, monkeypatch)


def frame(time=0.0, potential=0.0, **energies):
    return Frame(step=round(1000 * time), time=time, positions=np.zeros((9, 3), np.float32), temperature=300.0, speed=50.0,
                 energies={"potential": potential, "kinetic": 1.0, **energies})  # fmt: skip


def test_an_example_opens_and_plays_by_itself(desk):
    played = desk.open(desk.system.choose_example("aspirin-vacuum"))
    assert played.told[-1] == "play"
    assert desk.store.run is played
    assert (desk.store.title, desk.store.status.state, desk.store.pending) == ("Aspirin in vacuum", "playing", None)
    assert desk.system.example.value == "aspirin-vacuum"


def test_the_next_run_takes_over_only_when_it_is_ready(desk):
    first = desk.open(desk.system.choose_example("aspirin-vacuum"))
    run(desk.system.take_smiles("CCO"))
    desk.store.refresh()
    assert desk.store.run is first
    assert first.told[-1] == "pause"
    assert desk.store.pending.message == "Starting the worker"
    assert not first.closed.is_set()
    second = desk.runs[-1]
    second.now = Status("paused", "Ready", 1.0)
    desk.store.refresh()
    assert desk.store.run is second
    assert first.closed.wait(5)
    assert desk.store.title == "CCO"


@pytest.mark.parametrize("state", ["failed", "lost"])
def test_a_refused_system_leaves_the_present_one_as_it_was(desk, state):
    first = desk.open(desk.system.choose_example("aspirin-vacuum"))
    run(desk.system.take_smiles("CCO"))
    desk.runs[-1].now = Status(state, "Silicon is not known.")
    desk.store.refresh()
    assert desk.said == ["Silicon is not known."]
    assert desk.store.run is first
    assert first.told[-1] == "play"
    assert desk.runs[-1].closed.wait(5)
    assert not first.closed.is_set()
    assert desk.system.example.value == "aspirin-vacuum"


def test_the_same_refusal_twice_is_said_twice(desk):
    desk.store.refuse("No.")
    desk.store.refuse("No.")
    assert desk.said == ["No.", "No."]


def test_cancel_goes_on_with_what_was(desk):
    first = desk.open(desk.system.choose_example("aspirin-vacuum"))
    run(desk.system.take_smiles("CCO"))
    desk.store.cancel()
    assert desk.store.pending is None
    assert first.told[-1] == "play"
    assert desk.runs[-1].closed.wait(5)


def test_a_paused_run_stays_paused_after_a_refusal(desk):
    first = desk.open(desk.system.choose_example("aspirin-vacuum"))
    first.pause()
    desk.store.refresh()
    run(desk.system.take_smiles("CCO"))
    desk.store.cancel()
    assert first.told[-1] == "pause"


def test_of_two_wishes_the_later_one_counts(desk):
    async def both():
        await asyncio.gather(desk.system.take_smiles("CC"), desk.system.take_smiles("CCO"))

    run(both())
    desk.store.refresh()
    wanted = desk.store._next
    late = next(each for each in desk.runs if each is not wanted)
    assert late.closed.wait(5)
    assert not wanted.closed.is_set()


def test_another_view_reuses_the_prepared_atoms(desk):
    played = desk.open(desk.system.choose_example("tyk2-water"))
    other = desk.open(desk.view.choose(Choice(View(resolution="nnp/mm"))))
    assert other.given is played.structure
    assert desk.open(desk.system.choose_example("aspirin-vacuum")).given is None


@pytest.mark.parametrize("smiles", ["C1CC", "not a molecule", "C(C)(C)(C)(C)C", ""])
def test_bad_smiles_raises_before_anything_runs(desk, smiles):
    with pytest.raises(StructureError):
        run(desk.system.take_smiles(smiles))
    assert desk.runs == []


def test_an_unknown_example_lists_the_known(desk):
    with pytest.raises(PluginError, match="aspirin-vacuum"):
        run(desk.system.choose_example("unobtainium"))


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../../etc/passwd", "passwd"),
        ("a b\u00e9.SDF", "a_b.sdf"),
        ("C:\\x\\lig 1.pdb", "lig_1.pdb"),
        (".sdf", "sdf"),
        ("", "molecule"),
        ("x" * 300 + ".cif", "x" * 60 + ".cif"),
    ],
)
def test_file_names_are_made_safe(name, safe):
    assert safe_name(name) == safe


def test_an_upload_is_kept_and_opened(desk, tmp_path):
    desk.system.ligand.value = "CCO"
    played = desk.open(desk.system.take_file("../my ligand.pdb", b"ATOM"))
    source = played.recipe.system.source
    assert isinstance(source, FromFile)
    assert source.ligand_smiles == "CCO"
    assert (tmp_path / "1" / "my_ligand.pdb").read_bytes() == b"ATOM"
    assert desk.system.example.value == ""


def test_an_empty_upload_is_a_sentence(desk):
    with pytest.raises(StructureError, match="empty"):
        run(desk.system.take_file("x.sdf", b""))


def test_an_upload_comes_in_pieces_and_too_much_is_refused():
    files, refused = [], []
    upload = Upload(lambda *file: files.append(file), lambda *file: refused.append(file), [])
    upload.hear({"name": "a.sdf", "index": 0, "total": 2, "data": b"ab"})
    upload.hear({"name": "a.sdf", "index": 1, "total": 2, "data": b"cd"})
    assert files == [("a.sdf", b"abcd")]
    upload.hear({"name": "b.sdf", "refused": 200.0})
    for index in range(3):
        upload.hear({"name": "c.sdf", "index": index, "total": 4, "data": b"x" * int(MAX_MEGABYTES * 4e5)})
    assert [name for name, _ in refused] == ["b.sdf", "c.sdf"]
    upload.hear({"nonsense": True})
    assert len(files) == 1


@pytest.mark.parametrize("kelvin", [-5.0, 0.0, 10_000.0, float("nan")])
def test_a_temperature_that_cannot_be_is_refused_and_the_old_one_stays(desk, kelvin):
    played = desk.open(desk.system.choose_example("aspirin-vacuum"))
    told = list(played.told)
    with pytest.raises(SettingsError):
        desk.view.set_temperature(kelvin)
    assert (desk.store.temperature, desk.view.kelvin.value, played.told) == (300.0, 300.0, told)


def test_the_temperature_reaches_the_run_and_both_widgets(desk):
    played = desk.open(desk.system.choose_example("aspirin-vacuum"))
    desk.view.kelvin.value = 450.0
    assert played.told[-1] == 450.0
    assert desk.view.slider.value == 450.0
    desk.view.kelvin.value = 900.0
    assert (desk.store.temperature, desk.view.slider.value) == (900.0, 600.0)


def test_a_time_step_out_of_range_is_refused_and_the_field_goes_back(desk):
    desk.open(desk.system.choose_example("aspirin-vacuum"))
    with pytest.raises(SettingsError, match="timestep"):
        run(desk.view.choose(Choice(View(), -1.0)))
    assert desk.view.timestep.value == 2.0
    assert len(desk.runs) == 1


def test_the_recovered_run_keeps_the_temperature(desk):
    played = desk.open(desk.system.choose_example("aspirin-vacuum"))
    desk.store.set_temperature(350.0)
    desk.store.recover()
    assert played.told[-3:] == ["recover", 350.0, "play"]


def test_a_small_molecule_alone_is_not_seen_as_a_mixture():
    alone = System(source=FromSmiles(smiles=ASPIRIN), surroundings=Vacuum())
    mixed = View(resolution="nnp/mm")
    assert fitting(alone, mixed).resolution == "nnp"
    assert fitting(EXAMPLES["tyk2-pocket"].system, mixed) == mixed


@pytest.mark.parametrize(
    ("system", "before", "after"),
    [
        (EXAMPLES["tyk2-water"].system, "nnp", "nnp/mm"),
        (EXAMPLES["tyk2-water"].system, "mm", "mm"),
        (System(source=FromFile(path="drug.sdf")), "nnp/mm", "nnp"),
        (System(source=FromFile(path="peptide.pdb")), "nnp/mm", "mm"),
        (System(source=FromFile(path="peptide.pdb")), "nnp", "mm"),
        (System(source=FromFile(path="complex.pdb"), surroundings=Pocket()), "nnp", "nnp/mm"),
    ],
)
def test_what_is_opened_is_seen_in_a_way_that_fits(system, before, after):
    assert fitting(system, View(resolution=before)).resolution == after
    assert isinstance(EXAMPLES["tyk2-pocket"].system.surroundings, Pocket)


def test_levels_tell_atoms_and_measured_speed(desk):
    desk.open(desk.system.choose_example("tyk2-water"))
    desk.store.take(frame())
    desk.view.sync()
    assert list(desk.view.resolution.options) == ["NNP \u00b7 9 atoms", "NNP/MM \u00b7 9 + 0 atoms", "MM \u00b7 9 atoms \u00b7 50/s"]


def test_closing_a_page_ends_its_workers(desk):
    played = desk.open(desk.system.choose_example("aspirin-vacuum"))
    desk.store.close()
    assert played.closed.wait(5)


def test_the_guard_turns_errors_into_sentences_and_lets_the_end_pass(caplog):
    said = []
    guard = Guard(said.append)
    with guard:
        raise StructureError("No atoms.")
    with guard:
        raise ZeroDivisionError("oops")
    assert said[0] == "No atoms."
    assert "ZeroDivisionError" in said[1]
    assert "unexpected failure" in caplog.text
    with pytest.raises(KeyboardInterrupt), guard:
        raise KeyboardInterrupt


def test_an_alert_has_a_way_out_and_can_be_dismissed():
    alert, went = Alert([]), []
    alert.say("<b>The worker</b> is gone.", WayOut("Recover", lambda: went.append(1)))
    assert "&lt;b&gt;" in alert[0].object
    recover, dismiss = alert[1]
    recover.clicks += 1
    assert went == [1]
    assert not alert.visible
    alert.say("Again.")
    assert alert.visible
    dismiss.clicks += 1


def test_series_are_relative_to_the_first_sample_in_kcal():
    series = Series()
    series.add(frame(0.0, 10 * KJ_PER_KCAL, network=4.0, mm=6.0))
    series.add(frame(0.1, 10 * KJ_PER_KCAL, network=4.0, mm=6.0))  # the same sample carried on
    series.add(frame(0.2, 12 * KJ_PER_KCAL, network=4.0 + KJ_PER_KCAL, mm=6.0))
    points = series.take()
    assert points["time"] == [0.0, 0.2]
    assert points["potential"] == pytest.approx([0.0, 2.0])
    assert points["network"] == pytest.approx([0.0, 1.0])
    assert series.take()["time"] == []


def test_a_frame_from_the_past_starts_the_plots_anew():
    plots = Plots([])
    for time_ps in (0.0, 1.0, 2.0):
        plots.add(frame(time_ps, time_ps))
        plots.flush()
    assert plots.source.data["time"] == [0.0, 1.0, 2.0]
    plots.add(frame(0.5, 7.0))
    plots.flush()
    assert plots.source.data["time"] == [0.5]
    assert plots._lines["potential"].visible
    assert not plots._lines["network"].visible


def test_numbers_are_written_for_people():
    assert controls.figures(-1566.13, 1) == "\u22121\u2009566.1"
    assert controls.figures(None) == "\u2013"
    table = controls.table_of(frame(1.5, -KJ_PER_KCAL))
    assert "\u22121.0</td><td>kcal/mol" in table
    assert "1.500</td><td>ps" in table


def test_the_card_says_what_a_chemist_asks():
    text = controls.card_of(ready_cards()["so3lr"])
    for word in ("Elements", "charged", "MIT", "doi"):
        assert word in text
    assert controls.card_of(None) == ""


def test_a_ligand_is_drawn_and_a_protein_is_not():
    assert "<svg" in controls.drawing_of(Structure.from_smiles(ASPIRIN))
    water = Structure.from_smiles("O")
    assert controls.drawing_of(SimpleNamespace(atoms_of=lambda _kind: np.zeros(0, int), molecules=water.molecules)) == ""


def test_notes_are_shown_as_text():
    water = Structure.from_smiles("O")
    assert "as it came" in controls.notes_of(water)
    assert "&lt;script&gt;" in controls.notes_of(water.with_notes("<script>"))
    assert Residue("HOH").kind == "water"


def test_the_page_is_not_shown_to_strangers():
    result = CliRunner().invoke(app.command, ["--host", "0.0.0.0", "--no-browser"])
    assert isinstance(result.exception, SettingsError)
    assert "password" in str(result.exception)


def test_a_taken_port_is_passed_over():
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert app.Address(port=port).free().port > port
    assert app.Address("0.0.0.0", 1).origins == ["*"]
    assert app.Address("192.0.2.1").url == "http://192.0.2.1:5006"
    assert not app.Address("example.org").local
    with pytest.raises(SettingsError, match="this machine"):
        app.Address("192.0.2.1").free()


def test_opening_never_blocks_the_page(desk):
    """Starting a worker takes its time in a thread; the event loop ticks on."""
    ticks = []
    quick = desk.launch

    def slow(recipe, structure):
        time.sleep(0.3)
        return quick(recipe, structure)

    desk.store._launch = slow

    async def scene():
        work = asyncio.create_task(desk.system.choose_example("aspirin-vacuum"))
        while not work.done():
            ticks.append(time.monotonic())
            await asyncio.sleep(0.01)

    run(scene())
    assert max(np.diff(ticks)) < 0.2
