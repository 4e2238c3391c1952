"""Beads in a real browser: atoms to beads and back on one running system, atoms beside, three scales on one board, chains typed in."""

import re
from pathlib import Path

import numpy as np
import panel as pn
import pytest

from studio.back import to_atoms
from studio.coarse.mapping import map_protein
from studio.frame import Frame
from studio.hybrid.view import View
from studio.levels import level
from studio.library import Library
from studio.recipes.dynamics import Dynamics
from studio.recorder import Recorder
from studio.system import EXAMPLES
from tests.browser import wait_until
from tests.fake_runs import FakeRun
from widgets.builder import Builder
from widgets.compare import Compare
from widgets.control import RunControl
from widgets.desk import Desk, css, static
from widgets.dial import Dial
from widgets.live import LiveView

pytestmark = pytest.mark.ui

SCREENSHOTS = Path(__file__).parent / "screenshots"
HELIX = EXAMPLES["alanine-helix"].system
CELLS = "studioViewer.cells.map((cell) => cell.size)"


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setattr("widgets.store.runs.prewarm", lambda: None)


class Screen:
    """The live view, the dial and the controls over one real run."""

    def __init__(self, folder):
        self.folder = folder

    def page(self):
        self.desk, self.doc = Desk(Library(self.folder)), pn.state.curdoc
        self.store = self.desk.store
        self.live, self.control, self.dial = LiveView(self.desk), RunControl(self.desk), Dial(self.desk)
        pn.state.onload(self.begin)
        looks = {"margin": 0, "stylesheets": css("control")}
        aside = pn.Column(self.dial.panel, width=292, **looks, css_classes=["stack"])
        main = pn.Column(self.live.panel, self.control.transport, sizing_mode="stretch_both", **looks)
        sheets = [static("theme.css"), static("widgets.css"), ":host { height: 100vh; padding: 8px; }"]
        return pn.Row(main, pn.Spacer(width=12), aside, css_classes=["dark"], stylesheets=sheets, sizing_mode="stretch_both", margin=0)

    def begin(self):
        self.desk.start()
        self.desk.guard.start(self.store.open(Dynamics(system=HELIX, view=View(resolution="mm"), steps=10**9), "Helix"))

    @property
    def time(self):
        return self.store.frame.time if self.store.frame else 0.0


@pytest.fixture
def screen(serve, page, tmp_path):
    screen = Screen(tmp_path)
    page.set_viewport_size({"width": 1180, "height": 760})
    page.goto(serve(screen.page))
    try:
        wait_until(lambda: hasattr(screen, "dial") and screen.time > 0 and screen.live.viewer.delivered > 2, page, 90)
        yield screen
    finally:
        screen.desk.close()
    assert screen.live.pane.problem == ""


def turn(page, title):
    page.get_by_role("radio", name=title).check(force=True)


@pytest.mark.timeout(300)
def test_atoms_become_beads_and_atoms_again_and_the_run_goes_on(screen, page, monkeypatch):
    monkeypatch.setattr("studio.carry.to_atoms", lambda beads, like: to_atoms(beads, like, by="pulchra"))
    atoms = len(screen.store.structure)
    wait_until(lambda: page.get_by_role("radio", name="G\u014d beads").count(), page, 60)
    turn(page, "G\u014d beads")
    wait_until(lambda: screen.store.recipe.view.resolution == "beads" and screen.time > 0, page, 60)
    page.get_by_text("CG time").first.wait_for()
    assert screen.store.friction == screen.store.recipe.friction
    wait_until(lambda: page.evaluate(CELLS) == [10], page)
    page.get_by_role("button", name="Atoms beside").click()
    wait_until(lambda: page.evaluate(CELLS) == [10, atoms], page)
    wait_until(lambda: screen.live.stage.beside.built > 1, page, 90)
    page.wait_for_timeout(500)
    page.screenshot(path=SCREENSHOTS / "beads_beside.png")
    assert page.evaluate("liveContexts()") >= 1
    page.get_by_role("button", name="Atoms beside").click()
    wait_until(lambda: page.evaluate(CELLS) == [10], page)
    alphas = [atom for atom, name in enumerate(screen.store.whole.names) if name == "CA"]
    turn(page, re.compile("^MM,"))
    wait_until(lambda: screen.store.recipe.view.resolution == "mm" and screen.time > 0, page, 120)
    assert "Atoms were built on the beads" in screen.dial.note.object
    assert (len(screen.store.structure), len(alphas)) == (atoms, 10)
    assert screen.store.friction == 1.0
    wait_until(lambda: page.get_by_role("button", name="Atoms beside").count() == 0, page)


def recorded(library, recipe, structure, frames=120):
    """A recording that looks like one: it wobbles and turns slowly."""
    entry, noise = library.new(recipe, "Helix"), np.random.default_rng(frames)
    recorder, shape = Recorder(entry.folder, structure, recipe.to_json(), interval=100), np.zeros_like(structure.positions)
    for index in range(frames):
        shape = 0.95 * shape + noise.normal(0, 0.02, shape.shape)
        step, fs = 100 * index, 10.0 if structure.is_beads else 2.0
        positions = (structure.positions + shape).astype(np.float32)
        recorder.record(Frame(step, step * fs / 1000, positions, None, {"potential": noise.normal(), "kinetic": 5.0}, 300.0 + noise.normal(), 800.0, fs))
    recorder.save_checkpoint(b"checkpoint")
    return entry.id


class Scales:
    """A compare board over recordings of one molecule as atoms and by two models of beads."""

    def __init__(self, folder):
        atoms, helix = Dynamics(system=HELIX), HELIX.prepare()
        self.library, beads = Library(folder), map_protein(helix).beads
        coarse = [(level(name).apply(atoms), beads) for name in ("go-ca", "calvados2")]
        self.numbers = tuple(recorded(self.library, recipe, structure) for recipe, structure in [(atoms, helix), *coarse])

    def page(self):
        self.desk, self.doc = Desk(self.library), pn.state.curdoc
        self.compare = Compare(self.desk)
        whole = self.compare.__panel__()
        self.desk.viewer.pane.height, self.desk.plots.panel.height = 330, 190
        self.doc.add_next_tick_callback(lambda: setattr(self.compare, "runs", self.numbers))
        return whole


def test_three_scales_stand_side_by_side_on_steps_and_no_common_time(serve, page, tmp_path):
    app = Scales(tmp_path / "data")
    page.set_viewport_size({"width": 1000, "height": 1200})
    page.goto(serve(app.page))
    page.get_by_role("button", name="As atoms and as beads").wait_for()
    wait_until(lambda: len(app.compare.board._cells) == 3 and all(column.loaded for column in app.compare.board.columns), page, 60)
    page.get_by_text("share no time").wait_for()
    page.get_by_role("slider", name="Simulated time", exact=True).focus()
    page.keyboard.press("End")
    wait_until(lambda: app.compare.board.time == pytest.approx(11.9), page)
    page.get_by_text("119.00 ps CG time").first.wait_for()
    page.get_by_text("23.80 ps", exact=True).wait_for()
    page.get_by_text("11.90 thousand steps").wait_for()
    assert "C-alpha radius of gyration, \u00c5" in app.desk.plots.panel.shown
    page.wait_for_timeout(1500)
    assert page.locator("tr.result", has_text="Simulated, ps CG time").count() == 1
    page.screenshot(path=SCREENSHOTS / "beads_scales.png")
    app.desk.close()


class Form:
    """The builder alone; what it opens is prepared at once."""

    def __init__(self, folder):
        self.folder = folder

    def page(self):
        self.desk = Desk(Library(self.folder))
        self.desk.store._opening._launch = lambda recipe, structure, folder: FakeRun(recipe, structure or recipe.system.prepare())
        self.builder = Builder(self.desk)
        pn.state.onload(self.desk.start)
        return pn.Column(self.builder, width=290)


def test_chains_are_typed_refused_and_built(serve, page, tmp_path):
    app = Form(tmp_path)
    page.set_viewport_size({"width": 330, "height": 900})
    page.goto(serve(app.page))
    page.get_by_role("radio", name="Beads", exact=True).check(force=True)
    field = page.get_by_label("Sequences, one letter a residue")
    field.fill("GSMKAEEKXX")
    page.get_by_text("Letter 9, 'X', is no amino acid").wait_for()
    field.fill("GSMKAEEK\nRKRKSG")
    page.get_by_text("2 chains, 14 residues, charge +4").wait_for()
    page.get_by_role("button", name="Build", exact=True).click()
    wait_until(lambda: app.desk.store.title == "2 chains of 14 residues", page)
    assert app.desk.store.recipe.view.beads.kind == "calvados"
    page.screenshot(path=SCREENSHOTS / "beads_form.png")
