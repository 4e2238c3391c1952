"""The live view and the run's controls in a real browser, over a real run: pick, measure, hold, pull, play, pause, undo."""

import numpy as np
import panel as pn
import pytest
from PIL import Image

from studio.hybrid.view import View
from studio.library import Library
from studio.recipes.dynamics import Dynamics
from studio.system import FromSmiles, System, Vacuum
from tests.browser import wait_until
from widgets.control import RunControl
from widgets.desk import Desk, css, static
from widgets.live import LiveView

VIEW = ".studio-viewer .stage"
CAFFEINE = Dynamics(system=System(source=FromSmiles(smiles="Cn1cnc2c1c(=O)n(C)c(=O)n2C"), surroundings=Vacuum()), view=View(resolution="mm"), steps=10**9)


FOCUSED = """(() => {
  let node = document.activeElement;
  while (node.shadowRoot?.activeElement) node = node.shadowRoot.activeElement;
  return node.dataset.name;
})()"""


class Screen:
    """A page with the live view and the controls, over one real run that waits."""

    def __init__(self, folder):
        self.folder = folder

    def page(self):
        self.desk, self.doc = Desk(Library(self.folder)), pn.state.curdoc
        self.store = self.desk.store
        self.live, self.control = LiveView(self.desk), RunControl(self.desk)
        pn.state.onload(self.begin)
        looks = {"margin": 0, "stylesheets": css("control")}
        aside = pn.Column(self.control.conditions, self.control.restraining, self.control.readouts, width=292, **looks, css_classes=["stack"])
        main = pn.Column(self.live.panel, self.control.transport, sizing_mode="stretch_both", **looks)
        sheets = [static("theme.css"), static("widgets.css"), ":host { height: 100vh; padding: 8px; }"]
        self.layout = pn.Row(main, pn.Spacer(width=12), aside, css_classes=["dark"], stylesheets=sheets, sizing_mode="stretch_both", margin=0)
        return self.layout

    def begin(self):
        self.desk.start()
        self.desk.guard.start(self.store.open(CAFFEINE, "Caffeine"))

    def do(self, action):
        """Do something as a callback of the page, and wait for it."""
        done = []
        self.doc.add_next_tick_callback(lambda: done.append(action()))
        return done

    @property
    def moves(self):
        return hasattr(self, "control") and self.time > 0 and self.live.viewer.delivered > 3

    @property
    def time(self):
        return self.store.frame.time if self.store.frame else 0.0


@pytest.fixture
def screen(serve, page, tmp_path, monkeypatch):
    monkeypatch.setattr("widgets.store.runs.prewarm", lambda: None)
    screen = Screen(tmp_path)
    page.set_viewport_size({"width": 1180, "height": 700})
    page.goto(serve(screen.page))
    try:
        wait_until(lambda: screen.moves, page, 90)
        yield screen
    finally:
        screen.desk.close()
    assert screen.live.pane.problem == ""


def place(page, atom):
    box, at = page.locator(VIEW).bounding_box(), page.evaluate(f"studioViewer.place({atom})")
    return box["x"] + at["x"], box["y"] + at["y"]


def pause(screen, page):
    page.get_by_role("button", name="Pause").click()
    wait_until(lambda: screen.store.status.state == "paused", page)
    page.wait_for_timeout(700)


@pytest.mark.ui
class TestOnTheScreen:
    def test_two_picked_atoms_are_measured_plotted_and_held(self, screen, page):
        pause(screen, page)
        page.get_by_role("button", name="Pick", exact=True).click()
        wait_until(lambda: screen.live.mode == "pick", page)
        seen = "(() => {{ const p = studioViewer.place({0}); return studioViewer.space.atomAt(p.x, p.y)?.atom; }})()"
        front = [atom for atom in range(24) if page.evaluate(seen.format(atom)) == atom]
        heavy = [atom for atom in front if screen.store.structure.numbers[atom] > 1][:2]
        for atom in heavy:
            page.mouse.click(*place(page, atom))
        wait_until(lambda: screen.store.picks == tuple(heavy), page)
        positions = screen.store.frame.positions
        length = f"{10 * np.linalg.norm(positions[heavy[0]] - positions[heavy[1]]):.2f} \u00c5"
        page.get_by_role("status").filter(has_text=length).wait_for()
        page.get_by_role("button", name="Plot").click()
        wait_until(lambda: [each.atoms for each in screen.store.observables] == [tuple(heavy)], page)
        page.get_by_role("button", name="Hold distance").click()
        wait_until(lambda: screen.store.restraints, page)
        page.get_by_role("button", name="Style").click()
        page.get_by_label("Hydrogens").wait_for()
        page.wait_for_timeout(600)
        page.screenshot(path="tests/ui/screenshots/live_picked.png")
        page.get_by_role("button", name="Let go").click()
        wait_until(lambda: not screen.store.restraints, page)

    def test_a_pull_moves_a_run_that_waits_and_says_how_hard(self, screen, page):
        pause(screen, page)
        page.keyboard.press("3")
        wait_until(lambda: screen.live.mode == "pull", page)
        page.wait_for_timeout(300)
        then, (x, y) = screen.time, place(page, 0)
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + 60, y - 50, steps=5)
        wait_until(lambda: "pN" in screen.live.pane.spring_label and screen.store.frame.pull_force > 0, page)
        page.wait_for_timeout(500)
        page.screenshot(path="tests/ui/screenshots/live_pulled.png")
        page.mouse.up()
        wait_until(lambda: screen.store.status.state == "paused", page)
        assert screen.time > then
        wait_until(lambda: screen.store.frame.energies["pull"] == 0, page)

    def test_keys_drive_the_run_unless_somebody_types(self, screen, page):
        page.locator(VIEW).focus()
        page.keyboard.press(" ")
        wait_until(lambda: screen.store.status.state == "paused", page)
        page.wait_for_timeout(500)
        step = screen.store.frame.step
        page.keyboard.press(".")
        wait_until(lambda: screen.store.frame.step == step + 1, page)
        page.keyboard.press("z")
        wait_until(lambda: "Back at" in screen.store.status.message and screen.store.frame.step <= step, page)
        page.keyboard.press("2")
        wait_until(lambda: screen.live.mode == "pick", page)
        page.get_by_label("Temperature, K").last.fill("31")
        page.keyboard.press("1")
        page.keyboard.press(".")
        page.wait_for_timeout(400)
        assert (screen.live.mode, screen.store.frame.step <= step) == ("pick", True)
        page.keyboard.press("Enter")
        wait_until(lambda: screen.control.temperature == 311.0, page)

    @pytest.mark.filterwarnings("ignore:reference already known")  # Bokeh sends a new button along when the page's first word is a click on it
    def test_a_sentence_over_the_picture_can_be_dismissed_and_the_picture_saved(self, screen, page):
        pause(screen, page)
        screen.do(lambda: screen.desk.alert.say("Something went wrong."))
        page.get_by_role("button", name="Dismiss").click()
        wait_until(lambda: not screen.desk.alert.visible, page)
        with page.expect_download() as saved:
            page.get_by_role("button", name="Save picture").click()
        assert saved.value.suggested_filename == "potential-studio-run-1.png"
        with Image.open(saved.value.path()) as picture:
            assert picture.width == 1920

    def test_what_is_off_says_why_and_keeps_its_place(self, screen, page):
        screen.do(lambda: setattr(screen.store, "picks", (0,)))
        button = page.get_by_role("button", name="Hold distance")
        button.wait_for()
        assert button.get_attribute("aria-disabled") == "true"
        assert "Pick two atoms; 1 picked." in button.get_attribute("title")
        button.focus()
        page.keyboard.press("Enter")
        screen.do(lambda: setattr(screen.store, "picks", (0, 1)))
        wait_until(lambda: button.get_attribute("aria-disabled") is None, page)
        assert page.evaluate(FOCUSED) == "distance"
        assert screen.store.restraints == ()
