"""The comforts of the screen in a real browser with the network cut off: tour, help, keyboard, light, projector."""

from pathlib import Path

import panel as pn
import pytest
from conftest import wait_until

from studio.library import Library
from tests.access import controls, cut, focused, low_contrast, missing_help, tab_to
from tests.test_builder import PreparedRun
from tests.test_header import Seat
from widgets.builder import Builder
from widgets.control import RunControl
from widgets.desk import Desk, css, static
from widgets.dial import Dial
from widgets.header import Header
from widgets.live import LiveView
from widgets.tour import STEPS, Tour

pytestmark = [pytest.mark.ui, pytest.mark.slow]

SCREENSHOTS = Path(__file__).parent / "screenshots"
LAPTOP = {"width": 1280, "height": 800}
SEEN = "localStorage.setItem('potential-studio.tour', 'seen')"


class Screen:
    """The screen with the parts that comfort is about, laid out as the studio lays them out; nothing is computed."""

    def __init__(self, folder):
        self.folder, self.opened = folder, []

    def page(self):
        self.doc = pn.state.curdoc
        self.desk = desk = Desk(Library(self.folder / "library"))
        desk.store._opening._launch = self.launch
        self.header, self.tour, self.builder, self.dial = Header(desk, Seat()), Tour(desk), Builder(desk), Dial(desk)
        self.live, self.control = LiveView(desk), RunControl(desk)
        self.header.on_tour(self.tour.start)
        self.header.on_size(self.dress)
        desk.on_paint(lambda _dark: self.dress())
        self.layout = self.arrange()
        self.dress()
        pn.state.onload(desk.start)
        return self.layout

    def launch(self, recipe, structure, _folder):
        self.opened.append(recipe)
        return PreparedRun(recipe, structure)

    def arrange(self):
        looks = {"margin": 0, "sizing_mode": "stretch_both"}
        for part, name in ((self.live, "live"), (self.header, "header")):
            part.panel.css_classes = [*part.panel.css_classes, f"area-{name}"]
        self.control.transport.css_classes = [*self.control.transport.css_classes, "area-control"]
        self.desk.plots.panel.css_classes = [*self.desk.plots.panel.css_classes, "area-plots"]
        runs = pn.pane.HTML("<p>Runs</p>", css_classes=["area-runs"])
        left = pn.Column(self.area(self.builder.form, "build"), runs, css_classes=["area-left"], **looks)
        region = pn.pane.HTML("<p>ML region</p>", css_classes=["area-region"])
        right = pn.Column(self.area(self.dial.panel, "dial"), region, self.area(self.control.conditions, "conditions"), css_classes=["area-right"], **looks)
        self.live.panel.stylesheets = [*self.live.panel.stylesheets, static("large.css")]
        recording = pn.pane.HTML("", css_classes=["area-recording"], margin=0)
        parts = (self.live.panel, recording, self.control.transport, self.desk.plots.panel)
        main = pn.Column(*parts, css_classes=["area-main"], stylesheets=css("studio", "large"), **looks)
        sheets = [static(f"{name}.css") for name in ("theme", "widgets", "studio", "large")]
        return pn.Column(self.header.panel, left, main, right, self.tour.panel, stylesheets=sheets, **looks)

    def area(self, part, name):
        return pn.Column(part, css_classes=[f"area-{name}"], margin=0, sizing_mode="stretch_width")

    def dress(self):
        self.layout.css_classes = ["studio", "dark" if self.desk.dark else "light", *(["large"] if self.header.large else [])]

    def do(self, action):
        self.doc.add_next_tick_callback(action)

    @property
    def state(self):
        return self.desk.store.status.state


@pytest.fixture
def screen(tmp_path, monkeypatch):
    monkeypatch.setattr("widgets.store.runs.prewarm", lambda: None)
    return Screen(tmp_path)


@pytest.fixture
def visit(page, serve, screen):
    """Open the screen in a window of a laptop; who comes for the first time is welcomed."""
    page.set_viewport_size(LAPTOP)
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    address = serve(screen.page)

    def come(first=False):
        if not first:
            page.add_init_script(SEEN)
        page.goto(address)
        page.locator(".stage").wait_for()
        return page

    yield come
    assert errors == []


def step(page):
    """The number that the tour's card shows, once it is shown."""
    page.locator("dialog .count").wait_for()
    return page.locator("dialog .count").inner_text()


def lit(page):
    """Centre of the light, and whether card and light lie in the window, apart from each other or the card within."""
    page.wait_for_timeout(350)  # the light glides
    light, card = (page.locator(f"dialog {part}").bounding_box() for part in (".light", ".card"))
    inside = card["x"] >= 0 and card["y"] >= 0 and card["x"] + card["width"] <= LAPTOP["width"] and card["y"] + card["height"] <= LAPTOP["height"]
    return light, inside


# -- the tour ----------------------------------------------------------------------------------------------------------


def test_the_first_visit_starts_the_tour_and_the_next_ones_do_not(visit):
    page = visit(first=True)
    assert step(page) == "1 of 5"
    page.screenshot(path=SCREENSHOTS / "tour-1.png")
    page.reload()  # in the middle, as after a restart of the server
    page.locator(".stage").wait_for()
    page.wait_for_timeout(2000)
    assert not page.locator("dialog .count").is_visible()


def test_the_tour_lights_each_area_and_keeps_the_focus(visit, screen):
    page = visit()
    page.get_by_role("button", name="Tour").click()
    for number, (selector, title, _) in enumerate(STEPS):
        assert step(page) == f"{number + 1} of 5"
        assert page.get_by_role("heading", name=title).is_visible()
        light, inside = lit(page)
        area = page.locator(selector).bounding_box()
        assert inside
        assert abs(light["x"] - area["x"]) < 3
        for _ in range(4):
            page.keyboard.press("Tab")
            assert focused(page)["name"] in ("Skip the tour", "Back", "Next", "Done", ""), "the focus stays in the card; the browser's own bar is its way out"
        if number == 1:
            page.screenshot(path=SCREENSHOTS / "tour-2.png")
        page.keyboard.press("ArrowRight")
    wait_until(lambda: screen.tour.step is None, page)
    assert focused(page)["name"] == "Tour", "the focus returns to where it was"


def test_escape_ends_the_tour_and_an_alert_goes_before_it(visit, screen):
    page = visit()
    screen.do(screen.tour.start)
    assert step(page) == "1 of 5"
    page.keyboard.press("ArrowRight")
    screen.do(lambda: screen.desk.alert.say("The worker is lost."))
    page.locator("dialog .count").wait_for(state="hidden")
    screen.do(screen.desk.alert.dismiss)
    assert step(page) == "2 of 5"
    page.keyboard.press("Escape")
    wait_until(lambda: screen.tour.step is None, page)
    assert not page.locator("dialog .count").is_visible()


def test_who_wants_less_motion_gets_none(visit, screen):
    page = visit()
    page.emulate_media(reduced_motion="reduce")
    screen.do(screen.tour.start)
    step(page)
    assert page.locator("dialog .light").evaluate("(light) => getComputedStyle(light).transitionDuration") == "0s"


# -- help and keys -------------------------------------------------------------------------------------------------------


def test_every_control_of_header_tour_and_lists_has_a_name_and_help(visit, screen):
    page = visit()
    found = [line for line in missing_help(page) if "area-header" in line]
    screen.do(screen.tour.start)
    step(page)
    found += missing_help(page)  # of a modal window only: the rest cannot be reached
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Keys").click()
    page.locator("dialog[open]").wait_for()
    found += missing_help(page)
    page.screenshot(path=SCREENSHOTS / "keys.png")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Share").click()
    page.get_by_role("textbox", name="Address for the audience").wait_for()
    found += missing_help(page)
    page.screenshot(path=SCREENSHOTS / "share.png")
    assert found == []


def test_help_that_shows_under_the_mouse_is_told_without_one(visit):
    page = visit()
    page.wait_for_timeout(1500)
    told = {control["name"]: control["description"] for control in controls(page)}
    assert told["Temperature, K"] == "The arrow keys change it."
    assert told["Pace"] == "The arrow keys change it."
    assert told["Time step, fs"].startswith("Another one starts a run")
    assert told["Measure all levels"].startswith("Each for a moment")
    assert "" not in told


def test_a_button_without_help_is_found(page, serve):
    page.goto(serve(lambda: pn.Column(pn.widgets.Button(label="Do it"), pn.widgets.TextInput(label="Text", description="Some help."))))
    page.get_by_role("button", name="Do it").wait_for()
    (line,) = missing_help(page)
    assert line.startswith("button 'Do it' has no help")


def test_the_question_mark_lists_the_keys_which_rest_meanwhile(visit, screen):
    page = visit()
    page.keyboard.press("?")
    page.get_by_role("heading", name="Keys and mouse").wait_for()
    page.keyboard.press("2")
    page.get_by_role("button", name="Take the tour").click()
    assert step(page) == "1 of 5"
    assert screen.live.mode == "look"


def test_all_is_done_with_tab_alone(visit, screen):
    page = visit()
    page.keyboard.press("Tab")
    assert focused(page)["name"] == "Skip to the live view"
    page.screenshot(path=SCREENSHOTS / "skip.png", clip={"x": 0, "y": 0, "width": 640, "height": 120})
    page.keyboard.press("Enter")
    assert focused(page)["role"] == "application"
    page.keyboard.press("Tab")
    assert focused(page)["role"] != "application", "the picture lets the focus go"
    page.reload()
    page.locator(".stage").wait_for()
    assert tab_to(page, "Examples")["area"] == "area-build"
    page.keyboard.press("ArrowRight")
    tab_to(page, "Name or SMILES")
    page.keyboard.type("CCO")
    page.keyboard.press("Enter")
    wait_until(lambda: screen.state == "playing", page)
    assert tab_to(page, "Pause")["area"] == "area-control"
    page.keyboard.press("Space")
    wait_until(lambda: screen.state == "paused", page)
    page.keyboard.press("Space")
    wait_until(lambda: screen.state == "playing", page)
    before = screen.dial.level
    tab_to(page, {"nnp": "NNP", "nnp/mm": "NNP/MM", "mm": "MM"}[before])
    page.keyboard.press("ArrowDown" if before != "mm" else "ArrowUp")
    wait_until(lambda: screen.dial.level != before, page)


def test_tab_goes_through_the_page_in_the_order_of_reading_and_shows_where_it_is(visit):
    page, areas, seen = visit(), [], 0
    for _ in range(150):
        page.keyboard.press("Tab")
        now = focused(page)
        if now["tag"] == "body":
            break
        assert now["shown"], now
        seen += 1
        if now["area"] and now["area"] not in areas[-1:]:
            areas.append(now["area"])
    assert seen < 150, "no trap"
    assert areas == ["area-header", "area-build", "area-live", "area-control", "area-plots", "area-dial", "area-conditions"]


# -- light and size ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_light_follows_the_system_until_it_is_chosen(visit, screen, page, scheme):
    page.emulate_media(color_scheme=scheme)
    visit()
    wait_until(lambda: screen.desk.dark is (scheme == "dark"), page)
    page.get_by_role("button", name={"dark": "Light", "light": "Dark"}[scheme], exact=True).click()
    wait_until(lambda: screen.desk.dark is (scheme == "light"), page)
    page.reload()
    page.locator(".stage").wait_for()
    wait_until(lambda: screen.desk.dark is (scheme == "light"), page)


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_text_and_fields_stand_out(visit, screen, page, scheme):
    page.emulate_media(color_scheme=scheme)
    visit()
    wait_until(lambda: screen.desk.dark is (scheme == "dark"), page)
    page.wait_for_timeout(500)
    found = [line for line in low_contrast(page) if "area-header" in line]
    for name in ("Tour", "Keys"):
        page.get_by_role("button", name=name, exact=True).click()
        page.locator("dialog[open]").wait_for()
        found += [line for line in low_contrast(page) if "dialog" in line]
        page.keyboard.press("Escape")
    assert found == []


def test_the_projector_size_scales_all_and_cuts_nothing(visit, screen):
    page = visit()
    chip = page.locator(".chip")
    small = chip.bounding_box()["height"]
    page.get_by_role("button", name="Large").click()
    wait_until(lambda: chip.bounding_box()["height"] > 1.2 * small, page)
    page.wait_for_timeout(500)
    assert cut(page) == []
    page.screenshot(path=SCREENSHOTS / "large-1280x800.png")
    page.reload()
    page.locator(".stage").wait_for()
    wait_until(lambda: screen.header.large, page)
    wait_until(lambda: chip.bounding_box()["height"] > 1.2 * small, page)


def test_what_is_pointed_at_stays_under_the_pointer_in_large(visit, screen):
    page = visit()
    screen.do(lambda: screen.builder.guard.start(screen.builder.open_smiles("CCO")))
    wait_until(lambda: screen.state == "playing" and screen.live.viewer.pane.scene, page)
    screen.do(lambda: setattr(screen.header, "large", True))
    screen.do(lambda: setattr(screen.live, "mode", "pick"))
    page.wait_for_timeout(1500)
    box = page.locator(".stage").bounding_box()
    place = page.evaluate("() => { const { x, y } = studioViewer.place(0); return { x, y }; }")
    page.mouse.click(box["x"] + place["x"], box["y"] + place["y"])
    wait_until(lambda: screen.desk.store.picks == (0,), page)
    page.locator(".area-conditions .noUi-handle").first.scroll_into_view_if_needed()
    handle = page.locator(".area-conditions .noUi-handle").first.bounding_box()
    track = page.locator(".area-conditions .noUi-base").first.bounding_box()
    page.mouse.move(handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2)
    page.mouse.down()
    page.mouse.move(track["x"] + track["width"] * 0.75, handle["y"] + handle["height"] / 2, steps=5)
    page.mouse.up()
    wait_until(lambda: abs(screen.control.temperature - 452.5) < 12, page)
    page.screenshot(path=SCREENSHOTS / "large-playing.png")


def test_without_red_and_green_the_page_still_says_all(visit, screen):
    page = visit()
    page.keyboard.press("Tab")
    screen.do(lambda: screen.desk.alert.say("The worker is lost. Recover the run from its last checkpoint."))
    page.get_by_role("button", name="Dismiss").wait_for()
    session = page.context.new_cdp_session(page)
    session.send("Emulation.setEmulatedVisionDeficiency", {"type": "deuteranopia"})
    page.screenshot(path=SCREENSHOTS / "deuteranopia.png")
    assert page.locator(".chip").inner_text() == "nothing open"
