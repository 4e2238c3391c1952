"""The plots in a real browser: lines are drawn, the cursor reads them, a click tells the time, files are saved."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import panel as pn
import pytest
from PIL import Image

from studio.frame import Frame
from studio.observables import Dihedral, Distance
from studio.units import KJ_PER_KCAL
from tests.browser import wait_until
from widgets.plots import Plots

pytestmark = pytest.mark.ui

SCREENSHOTS = Path(__file__).parent / "screenshots"
PLACE = {"width": 730, "height": 190}
"""What the page at 1280 x 800 leaves for the plots."""
ROOT = """
:root { --text: #dbe4ee; --quiet: #93a3b5; --line: #232d3a; --edge: #5c6b7d; --field: #161d26; --accent: #2dd4bf; --font: "Liberation Sans", sans-serif; }
body { background: #10151c; }
"""
LEGEND = """(place) => [...studioPlots.slots[place].keys.children].map((key) => [key.childNodes[1].data, key.lastChild.textContent])"""


def frame(step, phase=0.0):
    noise = np.random.default_rng(step).normal(size=4)
    turn = np.radians(150 + 60 * np.sin(0.03 * step) + 5 * noise[3])
    positions = np.array([[0, 0.15 + 0.005 * noise[2], 0], [0, 0, 0], [0.15, 0, 0], [0.15, 0.1 * np.cos(turn), 0.1 * np.sin(turn)]], np.float32)
    parts = {"network": 4 * np.sin(0.1 * step + phase) + noise[0], "mm": 0.05 * step + 2 * noise[1], "embedding": -3 + 0.3 * noise[2]}
    energies = {name: value * KJ_PER_KCAL for name, value in {"potential": sum(parts.values()) - 900, **parts}.items()}
    return Frame(step=step, time=0.1 * step, positions=positions, energies=energies, temperature=300 + 8 * noise[3])


class Shown:
    """An app with nothing but plots, reachable from the test."""

    def page(self):
        self.plots, self.doc, self.times = Plots(), pn.state.curdoc, []
        self.plots.on_time(self.times.append)
        self.begin()
        pn.state.add_periodic_callback(self.plots.flush, period=50)
        return pn.Column(self.plots, width=PLACE["width"], height=PLACE["height"])

    def begin(self):
        self.plots.observe(Distance(atoms=(0, 1), names=("C7", "C8")))
        self.plots.observe(Dihedral(atoms=(0, 1, 2, 3), names=("C6", "C7", "C8", "O2")))
        for step in range(300):
            self.plots.add(frame(step))

    def do(self, action):
        self.doc.add_next_tick_callback(action)


class Comparing(Shown):
    def begin(self):
        self.plots.compare({"a": "MM", "b": "NNP/MM", "c": "NNP"})
        for step in range(300):
            for place, key in enumerate("abc"):
                self.plots.add(frame(step, place), key)


def opened(app, serve, page):
    page.set_viewport_size({"width": 760, "height": 220})
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(serve(app.page))
    page.add_style_tag(content=ROOT)
    wait_until(lambda: page.evaluate("globalThis.studioPlots?.samples") == 300, page, 40)
    page.wait_for_timeout(100)
    app.errors = errors
    return app


@pytest.fixture
def shown(serve, page):
    app = opened(Shown(), serve, page)
    yield app
    assert app.errors == []


def picture(page, place):
    return np.asarray(Image.open(io.BytesIO(page.locator("canvas").nth(place).screenshot())).convert("RGB"), dtype=float)


def near(image, colour):
    wanted = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)])
    return np.abs(image - wanted).max(axis=-1) < 30


def legend(page, place):
    return dict(page.evaluate(LEGEND, place))


def test_lines_are_drawn_and_grow(shown, page):
    first = picture(page, 0)
    for colour in ("#e69f00", "#1fb487", "#56b4e9", "#d98bb5"):
        assert near(first, colour).sum() > 100, colour
    assert near(picture(page, 1), "#f2703d").sum() > 100
    assert len(legend(page, 0)) == 4
    SCREENSHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENSHOTS / "plots.png")
    shown.do(lambda: [shown.plots.add(frame(step)) for step in range(300, 320)])
    wait_until(lambda: page.evaluate("studioPlots.samples") == 320, page)
    wait_until(lambda: page.locator("output").inner_text() == "31.900 ps", page)
    assert np.abs(picture(page, 0) - first).max() > 50


def test_a_step_back_takes_points_away(shown, page):
    shown.do(lambda: shown.plots.add(frame(100)))
    wait_until(lambda: page.evaluate("studioPlots.samples") == 101, page)
    wait_until(lambda: page.locator("output").inner_text() == "10.000 ps", page)


def test_pointing_reads_all_panels_at_one_moment_and_a_click_tells_it(shown, page):
    now, before = legend(page, 1), [picture(page, place) for place in (0, 1)]
    field = page.locator("canvas").nth(0)
    field.hover(position={"x": 150, "y": 60})
    wait_until(lambda: page.locator("output.past").count(), page)
    time = page.evaluate("studioPlots.cursor")
    assert 0 < time < 29.9
    for place in (0, 1):  # a line from top to bottom
        changed = np.abs(picture(page, place) - before[place]).max(axis=-1) > 40
        assert changed.sum(axis=0).max() > 0.6 * changed.shape[0]
    read = legend(page, 1)
    assert read != now
    assert [float(value) for value in read.values()] == [pytest.approx(frame(round(10 * time)).temperature, abs=0.6)]
    page.screenshot(path=SCREENSHOTS / "plots-cursor.png")
    field.click(position={"x": 150, "y": 60})
    wait_until(lambda: shown.times, page)
    assert shown.times == [pytest.approx(time)]
    page.mouse.move(5, 215)
    wait_until(lambda: not page.locator("output.past").count(), page)


def test_the_keyboard_reaches_everything(shown, page):
    page.locator("canvas").nth(1).focus()
    for key in ("ArrowLeft", "ArrowLeft", "Shift+ArrowLeft", "Enter"):
        page.keyboard.press(key)
    wait_until(lambda: shown.times, page)
    assert shown.times == [pytest.approx(28.8)]
    wait_until(lambda: "28.800 ps" in page.locator("canvas").nth(0).get_attribute("aria-valuetext"), page)
    page.keyboard.press("Home")
    wait_until(lambda: page.evaluate("studioPlots.cursor") == 0, page)
    page.keyboard.press("Escape")
    assert page.evaluate("studioPlots.cursor") is None
    page.keyboard.press("Tab")
    assert page.evaluate("studioPlots.root.getRootNode().activeElement.textContent") == "Last 10 ps"
    page.keyboard.press("Enter")
    wait_until(lambda: shown.plots.panel.last == 10.0, page)
    wait_until(lambda: page.evaluate("studioPlots.samples") == 101, page)


def test_each_place_shows_what_is_chosen_there(shown, page):
    page.locator("select").nth(1).select_option("Torsions, \u00b0")
    wait_until(lambda: list(legend(page, 1)) == ["C6-C7-C8-O2"], page)
    page.locator("select").nth(0).select_option("Distances, \u00c5")
    wait_until(lambda: list(legend(page, 0)) == ["C7-C8"], page)
    page.wait_for_timeout(100)
    assert near(picture(page, 1), "#1fb487").sum() > 200
    page.screenshot(path=SCREENSHOTS / "plots-measured.png")


@pytest.mark.parametrize(("kind", "start"), [("csv", b"time (ps)"), ("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_files_are_saved(shown, page, tmp_path, kind, start):
    with page.expect_download() as download:
        page.get_by_role("button", name=kind.upper()).click()
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    assert path.suffix == f".{kind}"
    assert path.read_bytes().startswith(start)
    if kind == "csv":
        rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
        assert len(rows) == 300
        assert float(rows[7]["potential (kcal/mol)"]) == pytest.approx(frame(7).energies["potential"] / KJ_PER_KCAL, rel=1e-12)


def test_a_light_page_and_a_marker(shown, page):
    shown.do(lambda: (shown.plots.paint(dark=False), shown.plots.mark(15.0)))
    wait_until(lambda: page.evaluate("studioPlots.ink.ground") == "#ffffff", page)
    page.add_style_tag(content=":root { --text: #1c2733 !important; --quiet: #55657a !important; } body { background: #f6f8fa !important; }")
    page.wait_for_timeout(200)
    page.screenshot(path=SCREENSHOTS / "plots-light.png")
    image = picture(page, 1)
    assert near(image, "#0f766e").sum(axis=0).max() > 0.3 * image.shape[0]


def test_three_runs_on_one_axis_and_their_difference(serve, page):
    app = opened(Comparing(), serve, page)
    assert list(page.locator("select").nth(1).locator("option").all_inner_texts())[:2] == ["Potential, kcal/mol", "Difference: potential, kcal/mol"]
    assert len(legend(page, 0)) == 3
    assert len(legend(page, 1)) == 2
    page.screenshot(path=SCREENSHOTS / "plots-compare.png")
    assert app.errors == []


class Crowded(Shown):
    def begin(self):
        for low, high in ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)):
            self.plots.observe(Distance(atoms=(low, high), names=(f"C{low}", f"C{high}")))
        for step in range(300):
            springs = {name: 4.184 * (3 + np.cos(0.02 * step)) for name in ("polarisation", "pull", "restraint")}
            plain = frame(step)
            self.plots.add(replace(plain, energies={**plain.energies, **springs}))


@pytest.mark.parametrize("size", [13, 16])
def test_many_lines_leave_room_for_the_plot_and_no_value_is_cut_off(serve, page, size):
    app = opened(Crowded(), serve, page)
    page.add_style_tag(content=f":root {{ --size: {size}px; }}")
    page.get_by_label("What plot 2 shows").select_option("Distances, \u00c5")
    wait_until(lambda: len(legend(page, 1)) == 6, page)
    page.wait_for_timeout(200)
    assert list(legend(page, 0)) == ["potential", "network", "MM", "embedding", "polarisation", "pull", "restraint"]
    for place in (0, 1):
        inside = page.locator(".slot").nth(place).bounding_box()
        for key in page.locator(".keys").nth(place).locator("span").all():
            box = key.bounding_box()
            assert box["y"] + box["height"] <= inside["y"] + inside["height"] + 1
            assert box["x"] + box["width"] <= inside["x"] + inside["width"] + 1
        canvas = page.locator("canvas").nth(place).bounding_box()
        assert canvas["height"] > 140
        assert canvas["width"] > 160
    page.screenshot(path=SCREENSHOTS / f"plots-crowded-{size}.png")
    assert app.errors == []
