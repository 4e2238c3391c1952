"""Studies and their reports on the whole page, in a real browser without a network: asked, watched, stopped, gone on, looked at, found again."""

from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import panel as pn
import pytest
from conftest import wait_until

from studio import plugins
from studio.frame import Frame
from studio.hybrid.view import View
from studio.library import Library
from studio.recipes.dynamics import Dynamics
from studio.system import FromSmiles, System
from tests.access import cut, focused, low_contrast, missing_help, tab_to
from tests.fake_runs import FakeRun
from tests.report_samples import SMILES, molecule, sample
from tests.study_recipes import ALL
from widgets.desk import Desk, static
from widgets.inquiries import inquiries
from widgets.page import Page
from widgets.studio import Studio

pytestmark = pytest.mark.ui

SCREENSHOTS = Path(__file__).parent / "screenshots"
SEEN = "localStorage.setItem('potential-studio.tour', 'seen')"
BARS, TABLE, CURVES, HEAT, SCATTER, RANKING, MAP = range(7)


class App:
    """The whole page about aspirin; the run is the test's, the studies are real."""

    def __init__(self, folder):
        self.library, self.aspirin, self.desks = Library(folder, patience=2.0), molecule(), []

    def page(self):
        self.run = None
        self.desk, self.doc = Desk(self.library, launch=self.launch), pn.state.curdoc
        self.desks.append(self.desk)
        self.studio = Studio(None, self.desk)
        recipe = Dynamics(system=System(source=FromSmiles(smiles=SMILES)), view=View(resolution="nnp"))
        self.desk.guard.start(self.desk.store.open(recipe, "Aspirin"))
        page = Page(static("page.html"))
        page.add_panel("studio", self.studio.panel)
        pn.state.onload(self.desk.start)
        return page

    def launch(self, recipe, _structure, _folder):
        self.run = FakeRun(recipe, self.aspirin)
        return self.run

    def do(self, act):
        self.doc.add_next_tick_callback(act)

    def move(self, step):
        """The run goes on."""
        shift = np.array([0.001 * step, 0.0, 0.0])
        self.run.frames.publish(
            Frame(step, 0.001 * step, (self.aspirin.positions + shift).astype(np.float32), None, {"potential": -1.0 * step, "kinetic": 1.0})
        )


@pytest.fixture
def app(tmp_path, monkeypatch):
    real = plugins.entry_points
    points = tuple(EntryPoint(name, value, "studio.recipes") for name, value in ALL.items())
    monkeypatch.setattr(plugins, "entry_points", lambda group: (*real(group=group), *points) if group == "studio.recipes" else real(group=group))
    monkeypatch.setattr("widgets.store.runs.prewarm", lambda: None)
    yield App(tmp_path / "library")
    inquiries.close()


@pytest.fixture
def visit(app, serve, page):
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.add_init_script(SEEN)
    page.set_viewport_size({"width": 1280, "height": 800})
    page.emulate_media(color_scheme="dark")
    page.goto(serve(app.page))
    opened(app, page)
    yield page
    assert errors == []


def opened(app, page):
    wait_until(lambda: app.desk.store.run is not None and app.desk.viewer._flows[0].ready, page, 60)
    page.get_by_role("heading", name="Studies").click()
    wait_until(lambda: app.studio.studies.offer is not None, page, 30)


def shot(page, name):
    page.wait_for_timeout(300)
    page.screenshot(path=SCREENSHOTS / f"studies-{name}.png")


def row(page, number):
    return page.locator(f'.studies li[data-number="{number}"]')


def test_a_study_is_asked_watched_stopped_and_goes_on(app, visit):
    visit.get_by_label("Question", exact=True).select_option("counting")
    visit.get_by_text("Counts up to a number, in no time.").wait_for()
    visit.get_by_text("About: Aspirin").wait_for()
    parts = visit.get_by_label("Parts", exact=True)
    parts.fill("0")
    visit.get_by_text("Expected greater than or equal to 1, got 0.").wait_for()
    assert visit.get_by_role("button", name="Start", exact=True).is_disabled()
    parts.fill("150")
    visit.get_by_text("More settings").click()
    visit.get_by_label("Ligand", exact=True).last.fill("resname")
    visit.locator(".studies .problem:visible").wait_for()
    visit.get_by_label("Ligand", exact=True).last.fill("focus")
    visit.get_by_label("Seconds a part", exact=True).fill("0.4")
    wait_until(lambda: visit.get_by_role("button", name="Start", exact=True).is_enabled(), visit)
    with visit.expect_download() as download:
        visit.get_by_role("button", name="JSON", exact=True).click()
    assert '"parts": 150' in Path(download.value.path()).read_text()
    visit.get_by_role("button", name="Start", exact=True).click()
    row(visit, 2).get_by_text("Counting").wait_for(timeout=20_000)
    shot(visit, "at-work")
    row(visit, 2).get_by_role("button", name="Stop").click()
    row(visit, 2).get_by_text("stopped", exact=True).wait_for(timeout=20_000)
    assert app.run.told.count("pause") == 0
    assert app.desk.store.status.state == "playing"
    row(visit, 2).get_by_role("button", name="Go on").click()
    row(visit, 2).get_by_role("button", name="Show the result").wait_for(timeout=30_000)
    row(visit, 2).get_by_role("button", name="Show the result").click()
    visit.get_by_text("There are 150 parts.").wait_for()
    visit.reload()
    opened(app, visit)
    visit.locator('.run[data-id="2"].done .open').click()
    visit.get_by_text("There are 150 parts.").wait_for()
    assert visit.evaluate("liveContexts()") <= 2
    assert app.library.get(2).status == "done"


def test_a_study_at_work_is_seen_growing_without_losing_the_place(app, visit):
    visit.get_by_label("Question", exact=True).select_option("growing")
    visit.get_by_text("Counts aloud.").wait_for()
    visit.get_by_label("Parts", exact=True).fill("900")
    visit.get_by_text("More settings").click()
    visit.get_by_label("Seconds a part", exact=True).fill("0.4")
    visit.wait_for_timeout(400)
    visit.get_by_role("button", name="Start", exact=True).click()
    row(visit, 2).get_by_role("button", name="Show what it has found").click(timeout=30_000)
    visit.locator(".report .mark").get_by_text("so far").wait_for()
    headline = visit.locator(".headline")
    visit.get_by_role("tab", name="Parts").click()
    visit.get_by_role("button", name="square", exact=True).click()
    visit.evaluate("studioReport.shown.root.scrollTo(0, 300)")
    before = headline.inner_text()
    wait_until(lambda: headline.inner_text() != before, visit)
    assert visit.evaluate("studioReport.shown.root.scrollTop") == 300
    assert visit.locator('th[aria-sort="ascending"]').count() == 1
    visit.get_by_role("tab", name="beads").click()
    visit.evaluate("document.watched = studioReport.shown.field")
    field = visit.locator(".drawing")
    field.focus()
    visit.keyboard.press("ArrowRight")
    visit.locator(".dot").wait_for()
    before, delivered = headline.inner_text(), app.desk.viewer.delivered
    wait_until(lambda: headline.inner_text() != before, visit)
    assert visit.evaluate("document.watched === studioReport.shown.field && studioReport.shown.at === 0")  # no chart is made anew
    assert visit.locator(".chart .tip").is_visible()
    wait_until(lambda: app.desk.viewer.delivered > delivered + 2, visit)  # its frames are seen
    assert low_contrast(visit) == []
    assert missing_help(visit) == []
    shot(visit, "so-far")
    row(visit, 2).get_by_role("button", name="Stop").click()
    row(visit, 2).get_by_text("stopped", exact=True).wait_for(timeout=20_000)
    assert visit.locator(".report .mark").is_visible()  # what it has found stays to be seen


def test_a_report_is_looked_at_read_and_left(app, visit):
    """One page for all of it: opening one takes longer than any of these."""
    it_takes_the_view_and_gives_it_back_as_it_was(app, visit)
    all_can_read_it_and_it_is_one_product(app, visit)
    its_charts_are_read_sorted_chosen_and_taken_home(app, visit)


def it_takes_the_view_and_gives_it_back_as_it_was(app, visit):
    viewer, contexts = app.desk.viewer, visit.evaluate("liveContexts()")
    app.do(lambda: app.move(5))
    wait_until(lambda: viewer.delivered > 0, visit)
    app.do(lambda: app.desk.store.pick(3))
    visit.locator(".stage").focus()
    for _ in range(6):
        visit.keyboard.press("ArrowLeft")
    visit.wait_for_timeout(1200)
    camera, delivered = list(viewer.pane.camera), viewer.delivered
    app.do(lambda: app.studio.reporting.open(sample(), "12  Strain: aspirin"))
    visit.get_by_text("Aspirin is strained by 2.0").wait_for()
    wait_until(lambda: all(flow.ready for flow in viewer._flows[:2]), visit)
    assert len(viewer.pane.scene["cells"]) == 2
    assert viewer.pane.paint
    assert not viewer.pane.picked
    app.do(lambda: app.move(6))
    visit.wait_for_timeout(500)
    assert app.desk.store.frame.step == 6
    assert viewer.delivered == delivered
    field = visit.locator(".drawing")
    field.focus()
    for _ in range(3):
        visit.keyboard.press("ArrowRight")
    assert "O4-C5" in field.get_attribute("aria-valuetext")
    visit.keyboard.press("Enter")
    wait_until(lambda: viewer.pane.highlight == [2, 3], visit)
    assert "minimum by SO3LR" in app.studio.reporting.shown
    assert len(viewer.pane.scene["cells"]) == 3
    visit.get_by_label("relaxed pose").check()
    wait_until(lambda: len(viewer.pane.scene["cells"]) == 4, visit)
    wait_until(lambda: visit.get_by_label("minimum by GFN2-xTB").is_disabled(), visit)
    assert visit.evaluate("liveContexts()") == contexts
    shot(visit, "report-dark")
    visit.get_by_role("button", name="Back to the run").click()
    wait_until(lambda: not app.desk.store.reported and viewer._flows[0].ready, visit)
    assert np.allclose(viewer.pane.camera, camera, atol=1e-3)
    assert viewer.pane.picked == [3]
    assert not viewer.pane.paint
    visit.locator(".area-plots").wait_for()
    app.do(lambda: app.move(7))
    wait_until(lambda: viewer.delivered > delivered, visit)


def its_charts_are_read_sorted_chosen_and_taken_home(app, visit):
    visit.get_by_role("tab", name="By method").click()
    visit.get_by_role("button", name="strain, kcal/mol").click()
    visit.get_by_role("button", name="strain, kcal/mol").click()
    assert visit.locator(".numbers-of tbody tr").first.inner_text().startswith("GFN2-xTB")
    assert visit.locator('th[aria-sort="descending"]').count() == 1
    visit.locator(".numbers-of tbody tr").first.click()
    visit.get_by_role("button", name="Open this molecule").wait_for()
    visit.get_by_role("tab", name="Torsion C2-O4").click()
    with visit.expect_download() as drawing:
        visit.get_by_role("button", name="SVG", exact=True).last.click()
    assert "<svg" in Path(drawing.value.path()).read_text()
    with visit.expect_download() as picture:
        visit.get_by_role("button", name="PNG", exact=True).last.click()
    assert Path(picture.value.path()).read_bytes().startswith(b"\x89PNG")
    visit.get_by_role("tab", name="Against experiment").click()
    visit.get_by_role("button", name="Numbers").click()
    visit.locator(".numbers-of").get_by_text("ejm_33").wait_for()
    with visit.expect_download() as table:
        visit.get_by_role("button", name="CSV", exact=True).last.click()
    assert "ejm_33" in Path(table.value.path()).read_text()
    visit.get_by_role("tab", name="Residues over frames").click()
    box = visit.locator(".drawing").bounding_box()
    visit.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + 0.3 * box["height"])
    visit.locator(".tip").get_by_text("kcal/mol").wait_for()
    visit.mouse.click(box["x"] + 0.4 * box["width"], box["y"] + 0.3 * box["height"])
    wait_until(lambda: app.studio.reporting.chosen.atoms, visit)
    visit.get_by_role("tab", name="Map", exact=True).click()
    field = visit.locator(".drawing")
    field.focus()
    for _ in range(4):
        visit.keyboard.press("ArrowRight")
    assert "φ (°) \u2212117, ψ (°) 171" in field.get_attribute("aria-valuetext")
    visit.keyboard.press("Enter")
    wait_until(lambda: app.studio.reporting.chosen.atoms == (3,), visit)
    shot(visit, "map")
    app.run = None
    visit.get_by_role("tab", name="By method").click()
    visit.locator(".numbers-of tbody tr").last.click()
    visit.get_by_role("button", name="Open this molecule").click()
    wait_until(lambda: app.run is not None and app.desk.store.home.system.source.smiles == "CCO", visit)
    wait_until(lambda: not app.desk.store.reported, visit)


def all_can_read_it_and_it_is_one_product(app, visit):
    visit.get_by_label("Question", exact=True).select_option("counting")
    app.do(lambda: app.studio.reporting.open(sample(), "12  Strain: aspirin"))
    visit.get_by_text("Aspirin is strained by 2.0").wait_for()
    wait_until(lambda: all(flow.ready for flow in app.desk.viewer._flows[:2]), visit)
    for light in ("dark", "light"):
        for size in ("1280x800", "1920x1080"):
            width, height = map(int, size.split("x"))
            visit.set_viewport_size({"width": width, "height": height})
            for k in (MAP, 4, 3, 2, 1, 0):
                visit.evaluate(f"studioReport.turn({k}, false)")
                visit.wait_for_timeout(100)
                assert low_contrast(visit) == [], (light, size, k)
            assert missing_help(visit) == []
            assert cut(visit) == []
            shot(visit, f"{size}-{light}")
        visit.get_by_role("button", name="Light" if light == "dark" else "Dark", exact=True).click()
        wait_until(lambda before=light: app.desk.dark == (before == "light"), visit)
    visit.get_by_role("button", name="Back to the run").focus()
    assert tab_to(visit, "Where the strain sits")["ring"]
    visit.keyboard.press("ArrowRight")
    assert focused(visit)["name"].startswith("By method")
