"""The region picker and the dial in a real browser: words, buttons and picks become a glowing draft; the dial shows what is."""

from pathlib import Path

import panel as pn
import pytest

from studio.hybrid.view import View
from studio.recipes.dynamics import Dynamics
from studio.region import SideChain
from studio.worker import Status
from tests.browser import wait_until
from tests.test_picker import POCKET, Bench, asked, pocket
from widgets.desk import css, static
from widgets.dial import Dial
from widgets.picker import RegionPicker

__all__ = ["asked", "pocket"]
pytestmark = pytest.mark.ui

SCREENSHOTS = Path(__file__).parent / "screenshots"
COLUMN = 292


class Shown(Bench):
    """A page with the dial, the picker and the picture that they act on, reachable from the test."""

    def page(self):
        self.doc, self.desk.dark = pn.state.curdoc, self.dark
        self.desk.viewer.pane.dark = self.dark
        self.picker, self.dial = RegionPicker(self.desk), Dial(self.desk)
        self.store.param.watch(lambda event: self.desk.viewer.show(event.new, highlight=[]), "structure")
        pn.state.onload(self.desk.start)
        looks = {"margin": 0, "stylesheets": [static("theme.css"), *css("picker")], "css_classes": ["alone", "dark" if self.dark else "light"]}
        left, right = (pn.Column(part.panel, width=COLUMN, scroll=True, height=980, **looks) for part in (self.dial, self.picker))
        return pn.Row(left, pn.Column(self.desk.alert, self.desk.viewer.pane, width=560, height=900, **looks), right, margin=0)

    def do_there(self, action):
        self.doc.add_next_tick_callback(action)


@pytest.fixture
def visit(tmp_path, monkeypatch, pocket, asked, serve, page):
    def open_page(dark=True):
        app = Shown(tmp_path, monkeypatch, {POCKET.source.kind: pocket})
        app.dark, app.errors, app.web = dark, [], page
        page.on("pageerror", lambda error: app.errors.append(str(error)))
        page.set_viewport_size({"width": 2 * COLUMN + 610, "height": 1000})
        page.goto(serve(app.page))
        page.get_by_text("Potential", exact=True).first.wait_for(timeout=60_000)
        app.do_there(lambda: app.desk.guard.start(app.store.open(Dynamics(system=POCKET, view=View(resolution="nnp/mm")), "Pocket")))
        wait_until(lambda: app.dial.level == "nnp/mm" and app.dial.sight is not None and app.picker.card is not None, page, 60)
        app.do_there(app.store.pause)
        page.locator(".dial input").nth(3).wait_for()
        return app

    return open_page


def rows(page):
    return page.locator(".dial .level").all_inner_texts()


def test_a_draft_is_typed_seen_and_used(visit, page):
    app = visit()
    field = page.get_by_label("Region, in words")
    field.fill("ligand or watr")
    page.get_by_text("Did you mean 'water'?").wait_for()
    field.fill("ligand or sidechain A:93")
    page.get_by_text("Draft, not in use yet").wait_for()
    wait_until(lambda: len(app.desk.viewer.pane.cuts) == 1, page)
    page.get_by_text("steps/s").nth(1).wait_for()
    page.screenshot(path=SCREENSHOTS / "picker-draft.png")
    page.get_by_role("button", name="Use this region: NNP/MM").click()
    wait_until(lambda: isinstance(app.store.recipe.view.region.parts[-1], SideChain) if hasattr(app.store.recipe.view.region, "parts") else False, page)
    page.get_by_text("In use", exact=True).wait_for()
    assert app.errors == app.said == []


def test_buttons_and_refusals_in_the_light(visit, page):
    app = visit(dark=False)
    page.get_by_role("button", name="Side chains near").click()
    wait_until(lambda: len(app.picker.card.cuts) > 5 and app.picker.drafting, page)
    page.get_by_role("button", name="Undo", exact=True).click()
    wait_until(lambda: app.picker.region == View().region, page)
    page.get_by_label("Region, in words").fill("ligand or within 4 of ligand")
    page.get_by_text("cuts an amide bond").first.wait_for()
    assert page.get_by_role("button", name="Use this region: NNP/MM").is_disabled()
    page.get_by_text("More: embedding, several regions").click()
    page.get_by_label("Embedding").wait_for()
    page.wait_for_timeout(500)
    page.screenshot(path=SCREENSHOTS / "picker-refused.png")
    page.get_by_role("button", name="Discard").click()
    wait_until(lambda: not app.picker.drafting, page)
    assert app.errors == app.said == []


def test_the_dial_is_turned_by_mouse_and_keyboard_and_shows_what_is(visit, page):
    app = visit()
    assert page.locator(".dial input").nth(3).is_disabled()
    assert "A pocket is cut out of its protein" in rows(page)[3]
    page.locator(".dial .level").nth(2).click()
    wait_until(lambda: app.store.recipe.view.resolution == "mm", page)
    wait_until(lambda: page.locator(".dial input").nth(2).is_checked(), page)
    page.get_by_text("keep their places").wait_for()
    page.locator(".dial input").nth(2).press("ArrowUp")
    wait_until(lambda: app.store.recipe.view.resolution == "nnp/mm", page)
    launch = app.launch

    def refusing(recipe, structure, folder):
        run = launch(recipe, structure, folder)
        run.now = Status("failed", "The network refuses.")
        return run

    app.store._opening._launch = refusing
    app.dial.pane.value = "calvados2"
    page.locator(".dial .level.on", has_text="CALVADOS").wait_for()
    wide = "(nodes) => nodes.filter((node) => node.scrollWidth > node.clientWidth).map((node) => node.textContent)"
    assert page.locator(".dial :is(.name, .count, .rate)").evaluate_all(wide) == [], "a name that runs into its number cannot be read"
    app.dial.pane.value = "nnp/mm"
    node = page.locator(".dial .level").nth(1).element_handle()
    app.dial.pane.rows = [{**row, "speed": "12 345"} for row in app.dial.pane.rows]
    wait_until(lambda: "12 345" in rows(page)[1], page)
    assert node.evaluate("(node) => node.isConnected"), "a click that a fresh number falls into would be lost"
    page.locator(".dial .level").nth(0).click()
    wait_until(lambda: app.said, page)
    wait_until(lambda: page.locator(".dial input").nth(1).is_checked(), page)
    page.get_by_role("button", name="Measure all levels").click()
    wait_until(lambda: rows(page)[0].count("80") == 1, page)
    page.screenshot(path=SCREENSHOTS / "dial.png")
    assert app.errors == []
