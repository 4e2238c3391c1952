"""The compare board in a real browser: two molecules, one clock, lines and a table that say the same; grid, overlay, leave."""

from pathlib import Path

import numpy as np
import panel as pn
import pytest

from studio.frame import Frame
from studio.hybrid.view import View
from studio.library import Library
from studio.recipes.dynamics import Dynamics
from studio.recorder import Recorder
from studio.sources import FromSmiles
from studio.structure import Structure
from studio.system import System
from studio.units import KJ_PER_KCAL
from tests.browser import wait_until
from widgets.compare import Compare
from widgets.desk import Desk

pytestmark = pytest.mark.ui

SCREENSHOTS = Path(__file__).parent / "screenshots"
ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"


def recorded(library, title, frames, resolution, warmth):
    """A recording that looks like one: a molecule that wobbles and turns, an energy that settles."""
    recipe = Dynamics(
        system=System(source=FromSmiles(smiles=ASPIRIN)), view=View(resolution=resolution), interval=50, timestep=2.0 if resolution == "mm" else 1.0
    )
    entry, aspirin, noise = library.new(recipe, title), Structure.from_smiles(ASPIRIN), np.random.default_rng(frames)
    recorder, shape = Recorder(entry.folder, aspirin, recipe.to_json(), interval=50), np.zeros_like(aspirin.positions)
    for index in range(frames):
        shape = 0.9 * shape + noise.normal(0, 0.006 * warmth, shape.shape)
        c, s = np.cos(index / 60 * warmth), np.sin(index / 60 * warmth)
        positions = ((aspirin.positions + shape) @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])).astype(np.float32)
        energy = (-300.0 * warmth + 18 * (1 - np.exp(-index / 15)) + 2 * noise.normal()) * KJ_PER_KCAL
        kelvin = 300 * (1 - np.exp(-index / 15)) + 12 * noise.normal()
        recorder.record(Frame(50 * index, 0.1 * index, positions, None, {"potential": energy, "kinetic": 5.0}, kelvin, 800 / warmth, 2.0))
    recorder.save_checkpoint(b"checkpoint")
    return entry.id


class Shown:
    """An app with a compare board, as the one screen has it."""

    def __init__(self, folder, dark=True):
        self.library, self.dark = Library(folder), dark
        self.numbers = (recorded(self.library, "Aspirin", 240, "mm", 1.0), recorded(self.library, "Aspirin", 160, "nnp", 1.4))

    def page(self):
        self.desk, self.doc = Desk(self.library, dark=self.dark), pn.state.curdoc
        self.compare = Compare(self.desk)
        whole = self.compare.__panel__()
        self.desk.viewer.pane.min_height, self.desk.plots.panel.min_height = 330, 190
        self.desk.viewer.pane.height, self.desk.plots.panel.height = 330, 190
        self.desk.paint(self.dark)
        return whole

    def do(self, action):
        self.doc.add_next_tick_callback(action)


@pytest.fixture(params=["dark", "light"])
def shown(request, serve, page, tmp_path):
    app = Shown(tmp_path / "data", request.param == "dark")
    app.light = request.param
    page.set_viewport_size({"width": 1000, "height": 1200})
    page.goto(serve(app.page))
    page.get_by_role("button", name="Another ligand").wait_for()
    app.do(lambda: setattr(app.compare, "runs", app.numbers))
    wait_until(lambda: len(app.compare.board._cells) == 2 and all(flow.ready for flow in app.desk.viewer._flows[:2]), page, 40)
    wait_until(lambda: all(column.loaded for column in app.compare.board.columns), page, 40)
    return app


def test_the_board_is_shown_driven_and_left(shown, page):
    board = shown.compare.board
    contexts = page.evaluate("liveContexts()")  # one of the view, however many molecules; Panel holds one too
    page.get_by_role("button", name="Play all").click()
    wait_until(lambda: board.time > 1.0, page)
    page.get_by_role("button", name="Pause all").click()
    wait_until(lambda: not board.playing, page)
    page.get_by_role("slider", name="Simulated time", exact=True).focus()
    page.keyboard.press("End")
    wait_until(lambda: board.time > 23.0, page)
    page.get_by_text("waits at its end").wait_for()
    page.get_by_text("What came out").wait_for()
    page.wait_for_timeout(1500)
    assert page.locator("tr.differs th", has_text="Level").count() == 1
    assert page.locator("tr.differs th", has_text="Seed").count() == 0
    mean = shown.compare.table[0]["Temperature (K)"]
    assert f"{mean:.1f}"[:3] in page.locator("tr.result", has_text="Temperature, K").inner_text()
    page.screenshot(path=SCREENSHOTS / f"compare_grid_{shown.light}.png")
    page.get_by_role("button", name="Overlay").click()
    wait_until(lambda: shown.compare.overlay, page)
    page.wait_for_timeout(800)
    page.screenshot(path=SCREENSHOTS / f"compare_overlay_{shown.light}.png")
    assert page.evaluate("liveContexts()") == contexts
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV", exact=True).last.click()
    assert "Temperature (K)" in Path(download.value.path()).read_text()
    page.get_by_role("button", name="Leave").click()
    wait_until(lambda: shown.compare.runs == (), page)
    page.get_by_text("What came out").wait_for(state="hidden")


def test_a_run_is_taken_off_by_hand(shown, page):
    if shown.light == "light":
        pytest.skip("the same in both")
    page.get_by_role("button", name="Take off").last.click()
    wait_until(lambda: shown.compare.runs == shown.numbers[:1], page)
    wait_until(lambda: len(shown.desk.viewer.pane.scene["cells"]) == 1, page)
