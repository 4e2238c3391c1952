"""The list of runs and the scrubber in a real browser with the network cut off: opened, found, named, taken home, deleted and back, scrubbed."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import panel as pn
import pytest
from conftest import wait_until

from studio.frame import Frame
from studio.hybrid.view import View
from studio.library import Library
from studio.recorder import ACTIONS, Recorder
from studio.result import Result, versions
from studio.structure import Structure
from tests.test_runs import ETHANOL, EthanolRun
from widgets.desk import Desk, static
from widgets.recording import Recording
from widgets.runs import Runs

pytestmark = [pytest.mark.ui, pytest.mark.slow]

SCREENSHOTS = Path(__file__).parent / "screenshots"
ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"


def record(library, number, smiles, frames=60):
    """What a worker leaves: the molecule turns once."""
    folder, structure = library.get(number).folder, Structure.from_smiles(smiles)
    recorder = Recorder(folder, structure, library.recipe_of(number).to_json(), interval=10)
    for step in range(0, 10 * frames, 10):
        angle = 2 * np.pi * step / (10 * frames)
        turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
        recorder.record(Frame(step, step / 500, (structure.positions @ turn).astype(np.float32), None, {"potential": -0.1 * step}, 300.0, 90.0, 2.0))
    recorder.save_checkpoint(b"checkpoint")
    recorder.save_result(Result(json.loads(ETHANOL.to_json()), provenance=versions(), notes=("12 hydrogens were added at pH 7.4.",)))
    action = {"step": 5, "time_ps": 0.01, "action": "set_temperature", "values": {"kelvin": 350}}
    (folder / ACTIONS).write_text(json.dumps(action) + "\n")
    library.refresh(number)


class App:
    """A page with the list, the picture and the scrubber, over a library with some runs."""

    def __init__(self, folder, dark=True):
        self.library, self.dark = Library(folder / "library", patience=2.0), dark
        stories = (
            ("Aspirin in vacuum", "mm", ASPIRIN),
            ("Aspirin, first try", "nnp/mm", ASPIRIN),
            ("Ethanol", "nnp", "CCO"),
            ("Tyrosine kinase 2 with ejm_31, pocket", "nnp/mm", ASPIRIN),
        )
        for title, resolution, smiles in stories:
            entry = self.library.new(ETHANOL.model_copy(update={"view": View(resolution=resolution)}), title)
            record(self.library, entry.id, smiles)
        self.library.annotate(2, "Too hot at the start; see run 4.")
        self.library.update(3, status="failed")

    def page(self):
        self.desk, self.doc = Desk(self.library, dark=self.dark), pn.state.curdoc
        self.store = self.desk.store
        self.store._opening._launch = lambda _recipe, _structure, folder: EthanolRun(_recipe, Structure.from_smiles("CCO" if folder.name == "3" else ASPIRIN))
        self.store.param.watch(lambda event: event.new and self.desk.viewer.show(event.new), "structure")
        self.runs, self.recording = Runs(self.desk), Recording(self.desk)
        pn.state.onload(self.desk.start)  # as on the real page: what changes while a page opens may not reach it
        self.desk.viewer.pane.height = 420
        left = pn.Column(self.runs.panel, width=264, margin=8)
        right = pn.Column(self.desk.alert, self.desk.viewer.pane, self.recording.panel, sizing_mode="stretch_both")
        sheets = [static("theme.css"), static("widgets.css")]
        return pn.Row(left, right, css_classes=["dark" if self.dark else "light"], stylesheets=sheets, sizing_mode="stretch_width", height=640)

    def do(self, act):
        self.doc.add_next_tick_callback(act)


@pytest.fixture
def app(tmp_path, monkeypatch):
    monkeypatch.setattr("widgets.store.runs.prewarm", lambda: None)
    return App(tmp_path)


@pytest.fixture
def visit(app, serve, page):
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.set_viewport_size({"width": 1000, "height": 680})
    page.goto(serve(app.page))
    page.locator(".run").nth(3).wait_for()
    yield page
    assert errors == []


def shot(page, name):
    page.wait_for_timeout(400)
    page.screenshot(path=SCREENSHOTS / f"runs-{name}.png")


def numbers(page):
    return page.locator(".run").evaluate_all("(rows) => rows.map((row) => Number(row.dataset.id))")


def opened(app, page, number):
    page.locator(f'.run[data-id="{number}"] .open').click()
    wait_until(lambda: app.store.entry is not None and app.store.entry.id == number, page)
    wait_until(lambda: app.desk.viewer.delivered or page.locator("canvas").count(), page)


def menu(page, number, words):
    page.get_by_role("button", name=f"More about run {number}").click()
    page.get_by_role("menuitem", name=words).click()


def test_a_run_is_opened_pictured_and_looked_back_at(app, visit):
    opened(app, visit, 1)
    visit.locator('.run[data-id="1"] .open[aria-current="true"]').wait_for()
    visit.get_by_role("button", name="Look back at the recording").click()
    slider = visit.get_by_label("Frame of the recording")
    slider.wait_for()
    wait_until(lambda: app.recording.panel.frame == 59, visit)
    wait_until(lambda: app.desk.viewer.delivered > 0, visit)
    slider.focus()
    for _ in range(5):
        visit.keyboard.press("ArrowLeft")
    wait_until(lambda: app.recording.panel.frame == 54, visit)
    visit.get_by_text("1.080 / 1.180 ps").wait_for()
    box = slider.bounding_box()
    visit.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + box["height"] / 2)
    visit.mouse.down()
    for part in np.linspace(0.9, 0.25, 30):
        visit.mouse.move(box["x"] + part * box["width"], box["y"] + box["height"] / 2)
    visit.mouse.up()
    wait_until(lambda: 10 <= app.recording.panel.frame <= 20, visit)
    delivered = app.desk.viewer.delivered
    visit.keyboard.press(" ")
    wait_until(lambda: app.desk.viewer.delivered > delivered + 5, visit)
    visit.keyboard.press(" ")
    wait_until(lambda: not app.recording.panel.playing, visit)
    app.do(app.runs._portraits.take)
    visit.locator('.run[data-id="1"] img:not([hidden])').wait_for()
    shot(visit, "recording")
    visit.get_by_role("button", name="Back to live").click()
    wait_until(lambda: app.store.player is None, visit)


def test_runs_are_found_named_deleted_and_back(app, visit):
    visit.get_by_label("Find a run").fill("aspirin mm")
    wait_until(lambda: numbers(visit) == [2, 1], visit)
    visit.get_by_label("Find a run").fill("xyz")
    visit.get_by_text("No run fits").wait_for()
    visit.get_by_label("Find a run").fill("")
    wait_until(lambda: numbers(visit) == [4, 3, 2, 1], visit)
    menu(visit, 3, "Name and note")
    visit.get_by_label("Title").fill("Ethanol <i>alone</i>")
    visit.get_by_label("Note").fill("Broke at 600 K")
    visit.get_by_role("button", name="Save").click()
    visit.get_by_text("Ethanol <i>alone</i>").wait_for()
    visit.get_by_role("button", name="More about run 2").focus()
    visit.keyboard.press("Enter")
    visit.keyboard.press("End")
    shot(visit, "menu")
    visit.keyboard.press("Enter")
    visit.get_by_text("Run 2 deleted.").wait_for()
    wait_until(lambda: numbers(visit) == [4, 3, 1], visit)
    shot(visit, "deleted")
    visit.get_by_role("button", name="Undo").click()
    wait_until(lambda: numbers(visit) == [4, 3, 2, 1], visit)


def test_a_list_that_changes_keeps_focus_and_rows(app, visit):
    row = visit.locator('.run[data-id="2"] .open')
    row.focus()
    visit.evaluate("globalThis.kept = document.activeElement")
    for number in range(6):
        app.library.new(ETHANOL, f"From another program {number}")
        app.library.update(2, time_ps=100.0 + number)
    wait_until(lambda: numbers(visit)[0] == 10, visit)
    visit.get_by_text("105.00 ps").wait_for()
    assert row.evaluate("(node) => node.getRootNode().activeElement === node")


def test_a_run_is_taken_home_whole(app, visit, tmp_path):
    menu(visit, 1, "Take home")
    shot(visit, "take")
    with visit.expect_download() as download:
        visit.get_by_role("button", name="Everything").click()
    assert download.value.suggested_filename == "run-1.zip"
    path = tmp_path / "run.zip"
    download.value.save_as(path)
    with zipfile.ZipFile(path) as bundle:
        assert bundle.testzip() is None
        assert {Path(name).name for name in bundle.namelist()} >= {"trajectory.xtc", "recipe.json", "repeat.py", "energies.csv"}
    wait_until(lambda: app.runs.panel.progress == {}, visit)
    assert visit.locator(".sending").is_hidden()


def test_inputs_are_told_and_two_runs_chosen(app, visit):
    visit.get_by_label("Compare run 1").check()
    visit.get_by_label("Compare run 4").check()
    visit.get_by_role("button", name="Compare 2 runs").click()
    wait_until(lambda: app.store.compared == (1, 4), visit)
    menu(visit, 4, "Inputs and provenance")
    visit.get_by_role("heading", name="Inputs", exact=True).wait_for()
    assert "300 K" in visit.locator(".account").inner_text()
    shot(visit, "account")
    visit.keyboard.press("Escape")
    assert visit.locator("dialog[open]").count() == 0


def test_a_light_list_with_all_that_can_happen(tmp_path, monkeypatch, serve, page):
    monkeypatch.setattr("widgets.store.runs.prewarm", lambda: None)
    app = App(tmp_path, dark=False)
    app.library.update(4, status="playing")
    shutil.rmtree(app.library.get(1).folder)
    page.set_viewport_size({"width": 1000, "height": 680})
    page.goto(serve(app.page))
    page.get_by_text("its folder is gone").wait_for()
    page.get_by_text("interrupted, can go on").wait_for()
    opened(app, page, 2)
    app.do(app.store.play)
    page.locator(".run.playing").wait_for()
    shot(page, "light")
    page.get_by_role("button", name="Remove", exact=True).click()
    page.get_by_role("button", name="Bin (1)").click()
    wait_until(lambda: numbers(page) == [1], page)
    page.get_by_role("button", name="Empty the bin").click()
    page.get_by_role("button", name="Remove for good").click()
    page.get_by_text("The bin is empty").wait_for()
    shot(page, "bin")
