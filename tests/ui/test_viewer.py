"""The 3D view in a real browser: it draws, moves, keeps its camera, never runs ahead of the page, and says why it is blank."""

import io

import numpy as np
import pytest
from PIL import Image

from studio.frame import Frame
from studio.structure import Structure
from tests.browser import Shown, resident_megabytes, soaked, wait_until
from widgets.flow import PATIENCE, WINDOW, Flow
from widgets.scene import angstrom, cell_of
from widgets.viewer import Viewer


def picture(page):
    return np.asarray(Image.open(io.BytesIO(page.locator("canvas").screenshot())).convert("RGB"), dtype=float)


def orientation(page):
    return page.evaluate("studioViewer.orientation()")  # NGL alone tells what the last picture showed, not what was asked since


@pytest.fixture
def shown(serve, page):
    app = Shown(soaked())
    page.goto(serve(app.page))
    wait_until(lambda: hasattr(app, "viewer") and app.viewer.delivered > 3, page, 40)
    yield app
    assert app.errors == []
    assert app.viewer.pane.problem == ""


@pytest.mark.ui
class TestInTheBrowser:
    def test_it_draws_and_moves(self, shown, page):
        first, delivered = picture(page), shown.viewer.delivered
        assert first.std() > 5
        wait_until(lambda: shown.viewer.delivered > delivered + 3, page)
        assert np.abs(picture(page) - first).max() > 30
        assert shown.viewer.fps > 0

    def test_the_camera_survives_frames_and_looks(self, shown, page):
        page.evaluate("studioViewer.stage.viewerControls.rotate(new studioViewer.NGL.Quaternion(0.1, 0.5, 0.2, 0.8).normalize())")
        page.evaluate("studioViewer.stage.viewerControls.zoom(0.3)")
        before, delivered = orientation(page), shown.viewer.delivered
        shown.do(lambda: shown.viewer.pane.param.update(dark=True, water=False, highlight=[1, 2, 3]))
        wait_until(lambda: page.evaluate("studioViewer.cells[0].looks.glow.repr.selection.string") == "@1,2,3", page)
        wait_until(lambda: shown.viewer.delivered > delivered + 3, page)
        assert orientation(page) == before
        assert not page.evaluate("'water' in studioViewer.cells[0].looks")

    def test_the_glow_follows_its_atoms(self, shown, page):
        wait_until(lambda: shown.stream.step > 300, page)
        corners = page.evaluate("studioViewer.cells[0].looks.glow.repr.bufferList.map((buffer) => buffer.geometry.attributes.position.array[0])")
        atom = page.evaluate("studioViewer.cells[0].component.structure.atomStore.x[0]")
        assert len(corners) == 2
        assert all(abs(corner - atom) < 1.5 for corner in corners)

    def test_ten_molecules_use_one_canvas(self, shown, page):
        contexts = page.evaluate("liveContexts()")  # Panel asks once whether there is WebGL, and so holds one too
        for smiles in ("C", "CC", "CCO", "c1ccccc1", "CCN", "CCC", "CO", "CS", "CF", "N"):
            molecule, expression = Structure.from_smiles(smiles), "studioViewer.cells[0].component.structure.atomCount"
            shown.do(lambda molecule=molecule: shown.viewer.show(molecule))
            wait_until(lambda molecule=molecule, expression=expression: page.evaluate(expression) == len(molecule), page)
        assert page.locator("canvas").count() == 1
        assert page.evaluate("liveContexts()") == contexts
        assert page.evaluate("studioViewer.stage.compList.length") == 1

    def test_taking_it_away_gives_the_context_back(self, shown, page):
        contexts = page.evaluate("liveContexts()")
        shown.do(shown.layout.clear)
        wait_until(lambda: page.locator("canvas").count() == 0, page)
        assert page.evaluate("liveContexts()") == contexts - 1
        delivered = shown.viewer.delivered
        shown.do(lambda: shown.layout.append(shown.viewer.pane))
        wait_until(lambda: shown.viewer.delivered > delivered + 3, page)
        assert page.evaluate("liveContexts()") == contexts

    def test_a_stalled_page_costs_nothing_and_then_sees_the_newest(self, shown, page):
        def flood(frame):
            for _ in range(40):
                shown.viewer.send(frame)

        before, disconnect = resident_megabytes(), shown.pump.connect(flood)
        page.evaluate("setTimeout(() => { const end = performance.now() + 4000; while (performance.now() < end); }, 0); 1")
        page.wait_for_timeout(300)
        step, delivered = shown.stream.step, shown.viewer.delivered
        page.evaluate("1")  # answers when the page is back
        assert shown.stream.step > step + 20
        assert resident_megabytes() - before < 20
        assert shown.viewer.delivered <= delivered + WINDOW + 1
        disconnect()
        wait_until(lambda: shown.viewer.delivered > delivered + 3, page)
        seen = page.evaluate("studioViewer.cells[0].component.structure.atomStore.x[0]") * 100  # angstrom to pm
        assert step + 20 < seen <= shown.stream.step

    def test_an_acknowledgement_that_got_lost_is_not_waited_for(self, shown, page):
        page.evaluate("globalThis.speak = studioViewer.host.send; studioViewer.host.send = () => {}; 1")
        page.wait_for_timeout(500)
        delivered = shown.viewer.delivered
        page.evaluate("studioViewer.host.send = speak; 1")
        wait_until(lambda: shown.viewer.delivered > delivered + 3, page, PATIENCE + 5)


@pytest.mark.ui
def test_without_webgl_it_says_so(serve, launch, open_page):
    app, browser = Shown(Structure.from_smiles("CCO")), launch("--disable-3d-apis")
    page = open_page(browser)
    page.goto(serve(app.page))
    page.get_by_text("cannot draw in 3D").wait_for()
    wait_until(lambda: "WebGL" in app.viewer.pane.problem, page)
    browser.close()


class TestWithoutABrowser:
    def test_positions_leave_in_angstrom(self):
        structure = Structure.from_smiles("CCO")
        sent = np.frombuffer(angstrom(Frame(step=0, time=0.0, positions=structure.positions.astype(np.float32))), dtype="<f4")
        np.testing.assert_allclose(sent.reshape(-1, 3), structure.positions * 10, rtol=1e-5)

    def test_every_atom_is_shown_as_something(self):
        structure = soaked(10)
        cell = cell_of(structure)
        assert sorted(cell["ligand"] + cell["water"] + cell["protein"]) == list(range(len(structure)))
        assert cell["focus"] == cell["ligand"]

    def test_newest_wins_and_two_are_on_their_way(self):
        flow, frames = Flow(), [Frame(step=i, time=0.0, positions=np.zeros((1, 3), dtype=np.float32)) for i in range(6)]
        flow.offer(frames[0])
        assert flow.take(0.0) is None
        flow.open()
        assert flow.take(0.0) is frames[0]
        flow.offer(frames[1])
        assert flow.take(0.1) is frames[1]
        flow.offer(frames[2])
        flow.offer(frames[3])
        assert flow.take(0.2) is None
        flow.acknowledge(1, 0.3)
        assert flow.take(0.3) is frames[3]
        flow.acknowledge(3, 0.4)  # the browser drew 2 and 3 in one picture
        assert flow.delivered == 2
        assert not flow.sent

    def test_frames_that_got_lost_are_not_waited_for(self):
        flow, frame = Flow(ready=True), Frame(step=0, time=0.0, positions=np.zeros((1, 3), dtype=np.float32))
        for now in (0.0, 0.1):
            flow.offer(frame)
            assert flow.take(now) is frame
        flow.offer(frame)
        assert flow.take(PATIENCE) is None
        assert flow.take(0.2 + PATIENCE) is frame
        flow.acknowledge(1, 6.0)
        assert flow.delivered == 0

    def test_a_page_that_comes_back_gets_the_last_frame_again(self):
        flow, frame = Flow(), Frame(step=0, time=0.0, positions=np.zeros((1, 3), dtype=np.float32))
        flow.open()
        flow.offer(frame)
        flow.take(0.0)
        flow.acknowledge(1, 0.1)
        assert flow.take(0.2) is None
        flow.open()
        assert flow.take(0.3) is frame
        flow.restart()
        flow.open()
        assert flow.take(0.4) is None

    def test_a_frame_of_another_molecule_is_ignored(self):
        viewer = Viewer()
        viewer.show(Structure.from_smiles("C"))
        viewer.send(Frame(step=0, time=0.0, positions=np.zeros((2, 3), dtype=np.float32)))
        assert all(flow.waiting is None for flow in viewer._flows)
