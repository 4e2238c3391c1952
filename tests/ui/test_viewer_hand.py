"""The hand in the 3D view, in a real browser: turning, picking and pulling atoms, marks, several molecules, snapshots, the camera kept."""

import asyncio
import io
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from studio.errors import SettingsError, WorkerError
from studio.frame import Frame
from studio.structure import Structure
from tests.browser import Staged, serve_page, wait_until
from widgets.viewer import Pick, PullEvent, Viewer

CAFFEINE = "Cn1cnc2c1c(=O)n(C)c(=O)n2C"
VIEW = ".studio-viewer .stage"


@pytest.fixture
def stage(serve, page):
    """Open a page that shows molecules, and wait until it stands ready."""

    def open_page(*molecules, overlay=False):
        app = Staged(*molecules, overlay=overlay)
        page.goto(serve(app.page))
        ready(app, page)
        return app

    return open_page


def ready(app, page):
    wait_until(lambda: hasattr(app, "viewer") and all(flow.ready for flow in app.viewer._flows), page, 40)
    page.wait_for_timeout(200)


def camera(page):
    return np.array(page.evaluate("studioViewer.orientation()"))


def place(page, atom, cell=0):
    """Where an atom is in the window, CSS pixels."""
    box, at = page.locator(VIEW).bounding_box(), page.evaluate(f"studioViewer.place({atom}, {cell})")
    return box["x"] + at["x"], box["y"] + at["y"]


def in_front(page, size):
    """Atoms that nothing stands before."""
    return [
        atom
        for atom in range(size)
        if page.evaluate(f"(() => {{ const p = studioViewer.place({atom}); return studioViewer.space.atomAt(p.x, p.y)?.atom; }})()") == atom
    ]


def picture(page):
    return np.asarray(Image.open(io.BytesIO(page.locator(VIEW).screenshot())).convert("RGB"), dtype=float)


def moved(structure, shift=(0.0, 0.0, 0.0)):
    return Frame(step=1, time=0.0, positions=(structure.positions + np.array(shift)).astype(np.float32))


def drag(page, start, end, button="left", steps=6):
    page.mouse.move(*start)
    page.mouse.down(button=button)
    page.mouse.move(*end, steps=steps)
    page.mouse.up(button=button)


@pytest.fixture
def caffeine():
    return Structure.from_smiles(CAFFEINE)


@pytest.mark.ui
class TestTheHand:
    def test_turns_moves_and_comes_closer(self, stage, page, caffeine):
        stage(caffeine)
        atom = page.evaluate("[...Array(24).keys()].reduce((a, b) => (studioViewer.place(a).depth < studioViewer.place(b).depth ? a : b))")
        before = place(page, atom)
        drag(page, (450, 300), (480, 300))
        assert place(page, atom)[0] > before[0] + 2  # what is in front follows the pointer
        before = place(page, atom)
        drag(page, (450, 300), (450, 330))
        assert place(page, atom)[1] > before[1] + 2
        before = place(page, 0)
        drag(page, (450, 300), (500, 260), button="right")
        np.testing.assert_allclose(np.subtract(place(page, 0), before), (50, -40), atol=6)
        apart = np.ptp([place(page, each) for each in range(24)], axis=0).max()
        page.mouse.wheel(0, -300)
        wait_until(lambda: np.ptp([place(page, each) for each in range(24)], axis=0).max() > 1.2 * apart, page)

    def test_keys_turn_zoom_and_centre(self, stage, page, caffeine):
        stage(caffeine)
        page.locator(VIEW).focus()
        seen = [camera(page)]
        for key in ("ArrowLeft", "ArrowUp", "+", "-"):
            page.keyboard.press(key)
            seen.append(camera(page))
        assert [bool(np.abs(a - b).max() > 1e-3) for a, b in pairwise(seen)] == [True] * 4
        drag(page, (450, 300), (550, 200), button="right")
        page.keyboard.press("c")
        wait_until(lambda: np.abs(np.mean([place(page, each) for each in range(24)], axis=0) - (450, 265)).max() < 60, page)
        page.keyboard.press("r")  # NGL's own keys would turn the camera back
        assert "arrow keys" in page.locator(VIEW).get_attribute("aria-label").lower()

    def test_a_click_picks_the_atom_under_it_and_moves_no_camera(self, stage, page, caffeine):
        app, before = stage(caffeine), None
        atoms = in_front(page, len(caffeine))
        assert len(atoms) >= 12
        page.mouse.click(*place(page, atoms[0]))
        app.set(mode="pick")
        page.locator(f'{VIEW}[data-mode="pick"]').wait_for()
        before = camera(page)
        for atom in atoms[:3]:
            page.mouse.click(*place(page, atom))
        page.keyboard.down("Shift")
        page.mouse.click(*place(page, atoms[3]))
        page.keyboard.up("Shift")
        page.mouse.click(12, 520)  # nothing there
        wait_until(lambda: len(app.picks) == 4, page)
        assert app.picks == [*map(Pick, atoms[:3]), Pick(atoms[3], whole_residue=True)]
        np.testing.assert_array_equal(camera(page), before)

    def test_escape_leaves_picking(self, stage, page, caffeine):
        app = stage(caffeine)
        app.set(mode="pick")
        page.locator(f'{VIEW}[data-mode="pick"]').wait_for()
        page.locator(VIEW).focus()
        page.keyboard.press("Escape")
        wait_until(lambda: app.viewer.pane.mode == "look", page)

    def test_two_fingers_come_closer(self, stage, page, caffeine):
        stage(caffeine)
        touch, before = page.context.new_cdp_session(page), camera(page)
        for kind, reach in (("touchStart", 30), ("touchMove", 60), ("touchMove", 120)):
            points = [{"x": 450 + side * reach, "y": 300, "id": k} for k, side in enumerate((-1, 1))]
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        distance = [np.linalg.norm(each[:3]) for each in (before, camera(page))]
        assert distance[1] < 0.6 * distance[0]

    @pytest.mark.parametrize("smiles", ["O", "[Na+]"])
    def test_what_has_no_shape_is_shown_too(self, stage, page, smiles):
        app = stage(Structure.from_smiles(smiles))
        assert np.isfinite(camera(page)).all()
        assert picture(page).std(axis=(0, 1)).max() > 3
        assert app.viewer.pane.problem == ""

    def test_what_is_not_drawn_is_not_picked(self, stage, page, caffeine):
        app = stage(caffeine)
        app.set(hydrogens="none", mode="pick")
        hydrogens = np.flatnonzero(caffeine.numbers == 1)
        wait_until(lambda: page.evaluate(f"studioViewer.cells[0].reach[{hydrogens[0]}]") == 0, page)
        assert set(in_front(page, len(caffeine))).isdisjoint(hydrogens.tolist())

    def test_a_resting_pointer_reads_the_atom(self, stage, page, caffeine):
        stage(caffeine)
        atom = in_front(page, len(caffeine))[0]
        page.mouse.move(*place(page, atom))
        page.locator(".studio-viewer .tip").wait_for()
        element = {1: "H", 6: "C", 7: "N", 8: "O"}[int(caffeine.numbers[atom])]
        assert page.locator(".studio-viewer .tip").inner_text() == f"{element} {caffeine.label(atom)}"
        page.mouse.move(5, 5)
        page.locator(".studio-viewer .tip").wait_for(state="hidden")


@pytest.mark.ui
class TestPulling:
    def pull(self, app, page, atom, by=(60, -30)):
        """Press on an atom and drag; leaves the button down."""
        start = np.array(place(page, atom))
        page.mouse.move(*start)
        page.mouse.down()
        page.mouse.move(*(start + by), steps=8)
        wait_until(lambda: len(app.pulls) > 1 and app.pulls[-1].phase == "move", page)
        page.wait_for_timeout(150)
        return start + by

    def check_target(self, app, page, end):
        x, y, z = (10 * each for each in app.pulls[-1].target_nm)
        box = page.locator(VIEW).bounding_box()
        seen = page.evaluate(f"studioViewer.space.project(new studioViewer.NGL.Vector3({x}, {y}, {z}))")
        np.testing.assert_allclose((seen["x"] + box["x"], seen["y"] + box["y"]), end, atol=1.5)

    def test_the_target_is_under_the_pointer_and_the_camera_stands_still(self, stage, page, caffeine):
        app = stage(caffeine)
        app.set(mode="pull", spring_label="12.3 kcal/mol/Å")
        page.locator(f'{VIEW}[data-mode="pull"]').wait_for()
        before, atom = camera(page), in_front(page, len(caffeine))[0]
        end = self.pull(app, page, atom)
        self.check_target(app, page, end)
        assert page.get_by_text("12.3 kcal/mol/Å").count() == 1
        depth = page.evaluate(f"studioViewer.place({atom}).depth")
        x, y, z = (10 * each for each in app.pulls[-1].target_nm)
        assert abs(page.evaluate(f"studioViewer.space.project(new studioViewer.NGL.Vector3({x}, {y}, {z})).depth") - depth) < 1e-6
        page.mouse.move(2000, -50)  # outside the window
        page.mouse.up()
        wait_until(lambda: app.pulls[-1].phase == "end", page)
        assert [event.phase for event in app.pulls].count("start") == 1
        assert {event.atom for event in app.pulls} == {atom}
        np.testing.assert_array_equal(camera(page), before)
        assert page.locator(".studio-viewer svg > *").count() == 0

    def test_it_ends_by_escape_and_when_the_window_loses_the_hand(self, stage, page, caffeine):
        app = stage(caffeine)
        app.set(mode="pull")
        page.locator(f'{VIEW}[data-mode="pull"]').wait_for()
        atom = in_front(page, len(caffeine))[0]
        for let_go in (lambda: page.keyboard.press("Escape"), lambda: page.evaluate("window.dispatchEvent(new Event('blur'))")):
            self.pull(app, page, atom)
            let_go()
            wait_until(lambda: app.pulls[-1].phase == "end", page)
            page.mouse.up()
            page.wait_for_timeout(200)
            assert [event.phase for event in app.pulls].count("end") == 1
            app.pulls.clear()

    def test_control_pulls_in_any_mode_and_a_still_hand_repeats_itself(self, stage, page, caffeine):
        app = stage(caffeine)
        atom = in_front(page, len(caffeine))[0]
        page.keyboard.down("Control")
        self.pull(app, page, atom)
        count = len(app.pulls)
        wait_until(lambda: len(app.pulls) > count, page)
        page.mouse.up()
        page.keyboard.up("Control")
        wait_until(lambda: app.pulls[-1].phase == "end", page)

    def test_another_molecule_ends_it(self, stage, page, caffeine):
        app = stage(caffeine)
        app.set(mode="pull")
        page.locator(f'{VIEW}[data-mode="pull"]').wait_for()
        self.pull(app, page, in_front(page, len(caffeine))[-1])
        app.do(lambda: app.viewer.show(Structure.from_smiles("C")))
        wait_until(lambda: app.pulls[-1].phase == "end", page)
        page.wait_for_timeout(500)
        assert [event.phase for event in app.pulls].count("end") == 1
        page.mouse.up()

    def test_nothing_is_pulled_where_nobody_listens(self, stage, page, caffeine):
        app = stage(caffeine)
        app.set(mode="pull", pulls=False)
        page.locator(f'{VIEW}[data-mode="pull"]').wait_for()
        before = camera(page)
        start = place(page, in_front(page, len(caffeine))[0])
        drag(page, start, (start[0] + 60, start[1]))
        assert app.pulls == []
        assert np.abs(camera(page) - before).max() > 1e-3


@pytest.mark.ui
class TestMarks:
    def test_marks_follow_their_atoms(self, stage, page, caffeine):
        app = stage(caffeine)
        app.set(picked=[3], measures=[{"atoms": [0, 3], "text": "2.46 Å"}], cuts=[[0, 1]], warned=[5, 6], labels="picked")
        page.get_by_text("2.46 Å").wait_for()
        assert page.locator(".studio-viewer svg text").all_text_contents() == ["2.46 Å", "4"]

        def ring():
            circle = page.locator(".studio-viewer svg circle").last
            return float(circle.get_attribute("cx")), float(circle.get_attribute("cy"))

        here = page.evaluate("studioViewer.place(3)")
        np.testing.assert_allclose(ring(), (here["x"], here["y"]), atol=0.2)
        before, view = ring(), camera(page)
        app.do(lambda: app.viewer.send(moved(caffeine, (0.1, 0.1, 0.1))))
        wait_until(lambda: np.abs(np.subtract(ring(), before)).max() > 5, page)
        np.testing.assert_array_equal(camera(page), view)
        assert page.evaluate("studioViewer.cells[0].looks.warned.repr.selection.string") == "@5,6"
        assert page.evaluate("studioViewer.cells[0].looks.warned.repr.bufferList.length") == 2
        page.locator(VIEW).screenshot(path="tests/ui/screenshots/viewer_marks.png")
        app.set(picked=[], measures=[], cuts=[])
        wait_until(lambda: page.locator(".studio-viewer svg > *").count() == 0, page)

    def test_text_is_text(self, stage, page, caffeine):
        app = stage(caffeine)
        app.set(measures=[{"atoms": [0, 1, 2], "text": "<b onmouseover=alert(1)>"}, {"atoms": [0, 900], "text": "no such atom"}])
        page.get_by_text("<b onmouseover=alert(1)>").wait_for()
        assert page.get_by_text("no such atom").count() == 0

    def test_numbers_of_the_ligand(self, stage, page, caffeine):
        app = stage(caffeine)
        app.set(labels="ligand")
        heavy = [str(atom + 1) for atom in np.flatnonzero(caffeine.numbers > 1)]
        wait_until(lambda: page.locator(".studio-viewer svg text").all_text_contents() == heavy, page)

    def test_looks_survive_another_molecule(self, stage, page, caffeine):
        app = stage(caffeine)
        app.set(look="spacefill", hydrogens="none")
        wait_until(lambda: page.evaluate("studioViewer.cells[0].looks.ligand.repr.type") == "spacefill", page)
        app.do(lambda: app.viewer.show(Structure.from_smiles("CCO")))
        wait_until(lambda: page.evaluate("studioViewer.cells[0].size") == 9, page)
        assert page.evaluate("studioViewer.cells[0].looks.ligand.repr.type") == "spacefill"
        assert "hydrogen" in page.evaluate("studioViewer.cells[0].looks.ligand.repr.selection.string")


@pytest.mark.ui
class TestSeveralMolecules:
    def parts(self, page, count=4):
        image, width = picture(page), page.locator(VIEW).bounding_box()["width"]
        boxes = page.evaluate(f"[...Array({count}).keys()].map((k) => studioViewer.space.part(k))")
        scale = image.shape[1] / width
        edges = [[round(scale * box[key]) for key in ("left", "top", "width", "height")] for box in boxes]
        return [image[y + 30 : y + h - 4, x + 4 : x + w - 4] for x, y, w, h in edges]

    def test_each_stays_in_its_part_under_one_camera(self, stage, page, caffeine):
        contexts_before = 1
        molecules = [caffeine, Structure.from_smiles("CCO"), Structure.from_smiles("c1ccccc1"), Structure.from_smiles("CC(=O)Oc1ccccc1C(=O)O")]
        app = stage(*molecules)
        assert page.locator(".studio-viewer canvas").count() == contexts_before
        first = self.parts(page)
        assert all(part.std() > 3 for part in first)
        page.locator(VIEW).screenshot(path="tests/ui/screenshots/viewer_grid.png")
        assert page.locator(".studio-viewer svg text").all_text_contents() == [f"part {k}" for k in range(4)]
        for distance in (0, 0.6):  # then so close that each fills its part
            page.evaluate(f"studioViewer.stage.viewerControls.zoom({distance})")
            drag(page, (200, 150), (260, 190))
            page.mouse.move(2, 2)
            page.wait_for_timeout(1000)
            before = self.parts(page)
            shift = moved(molecules[1], (0.05, 0.05, 0.05))
            app.do(lambda shift=shift: app.viewer.send(shift, cell=1))
            wait_until(lambda before=before: np.abs(self.parts(page)[1] - before[1]).max() > 30, page)
            page.wait_for_timeout(1000)  # until it is drawn sharply again
            after = self.parts(page)
            assert [bool(np.abs(a - b).max() > 8) for a, b in zip(after, before, strict=True)] == [False, True, False, False]
            app.do(lambda: app.viewer.send(moved(molecules[1]), cell=1))
            page.wait_for_timeout(300)

    def test_clicks_know_the_part(self, stage, page, caffeine):
        app = stage(caffeine, Structure.from_smiles("CCO"))
        app.set(mode="pick")
        page.locator(f'{VIEW}[data-mode="pick"]').wait_for()
        oxygen = 2
        page.mouse.click(*place(page, oxygen, 1))
        wait_until(lambda: app.picks, page)
        assert app.picks[0].cell == 1

    def test_overlaid_they_share_a_place(self, stage, page, caffeine):
        app = stage(caffeine, caffeine, overlay=True)
        assert place(page, 4, 0) == place(page, 4, 1)
        app.do(lambda: app.viewer.send(moved(caffeine, (0.2, 0, 0)), cell=1))
        wait_until(lambda: np.hypot(*np.subtract(place(page, 4, 0), place(page, 4, 1))) > 20, page)
        page.locator(VIEW).screenshot(path="tests/ui/screenshots/viewer_overlay.png")
        app.set(overlay=False)
        wait_until(lambda: place(page, 4, 1)[0] - place(page, 4, 0)[0] > 300, page)

    def test_of_scenes_in_quick_succession_the_last_is_shown(self, stage, page, caffeine):
        app, small = stage(caffeine), Structure.from_smiles("CCO")

        def hurry():
            for _ in range(5):
                app.viewer.show_many([(caffeine, (), "a"), (small, (), "b"), (caffeine, (), "c")])
                app.viewer.show(caffeine)
            app.viewer.show_many([(small, (), "left"), (caffeine, (), "right")])

        app.do(hurry)
        wait_until(lambda: page.evaluate("studioViewer.cells.map((cell) => cell.size)") == [9, 24], page)
        page.wait_for_timeout(500)
        assert page.evaluate("studioViewer.stage.compList.length") == 2
        assert page.locator(".studio-viewer svg text").all_text_contents() == ["left", "right"]

    def test_back_to_one(self, stage, page, caffeine):
        app = stage(caffeine, Structure.from_smiles("CCO"))
        contexts = page.evaluate("liveContexts()")
        app.do(lambda: app.viewer.show(caffeine))
        wait_until(lambda: page.evaluate("studioViewer.cells.length") == 1, page)
        page.wait_for_timeout(300)
        assert page.evaluate("studioViewer.stage.compList.length") == 1
        assert page.evaluate("liveContexts()") == contexts
        middle = np.mean([place(page, atom) for atom in range(len(caffeine))], axis=0)
        box = page.locator(VIEW).bounding_box()
        assert abs(middle[0] - box["x"] - box["width"] / 2) < 60


@pytest.mark.ui
class TestPictureAndCamera:
    def snap(self, app, page, width=0, transparent=False):
        taken = []

        def take():
            app.viewer.snapshot(width, transparent).add_done_callback(lambda picture: taken.append(picture.result()))

        app.do(take)
        wait_until(lambda: taken, page)
        return Image.open(io.BytesIO(taken[0]))

    def test_a_snapshot_is_what_is_seen(self, stage, page, caffeine):
        app = stage(caffeine)
        app.set(picked=[3])
        wait_until(lambda: page.locator(".studio-viewer svg circle").count(), page)
        before, size = camera(page), page.evaluate("studioViewer.canvas.width")
        small = self.snap(app, page, width=320)
        assert small.width == 320
        assert np.asarray(small.convert("RGB"), dtype=float).std() > 5
        violet = np.array([124, 58, 237])
        assert np.abs(np.asarray(self.snap(app, page).convert("RGB"), dtype=float) - violet).max(axis=2).min() < 30  # the ring is in it
        clear = np.asarray(self.snap(app, page, width=1600, transparent=True))
        assert clear.shape[1] == 1600
        assert clear[0, 0, 3] == 0
        assert clear[..., 3].max() == 255
        np.testing.assert_array_equal(camera(page), before)
        assert page.evaluate("studioViewer.canvas.width") == size

    def test_the_camera_is_told_set_and_kept(self, stage, page, caffeine):
        app = stage(caffeine)
        page.wait_for_timeout(800)
        drag(page, (450, 300), (500, 340))
        wait_until(lambda: np.allclose(app.viewer.pane.camera or 0, camera(page)), page)
        told = list(app.viewer.pane.camera)
        page.reload()
        ready(app, page)
        wait_until(lambda: np.allclose(camera(page), told, atol=1e-4), page)
        drag(page, (450, 300), (400, 300))
        page.wait_for_timeout(800)
        app.set(camera=told)
        wait_until(lambda: np.allclose(camera(page), told, atol=1e-4), page)
        app.do(lambda: app.viewer.show(Structure.from_smiles("CCO"), keep_camera=True))
        wait_until(lambda: page.evaluate("studioViewer.cells[0].size") == 9, page)
        page.wait_for_timeout(300)
        np.testing.assert_allclose(camera(page), told, atol=1e-4)
        app.do(lambda: app.viewer.show(caffeine))
        wait_until(lambda: not np.allclose(camera(page), told, atol=1e-2), page)

    def test_without_a_route_python_sends_ngl(self, page, caffeine):
        app = Staged(caffeine)
        server, address = serve_page(app.page, folders={})
        page.goto(address)
        ready(app, page)
        assert picture(page).std() > 5
        assert app.viewer.pane.problem == ""
        server.stop()


class TestWithoutABrowser:
    @pytest.fixture
    def viewer(self, caffeine):
        viewer = Viewer()
        viewer.sent, viewer.events = [], []
        viewer.pane._send_msg = viewer.sent.append
        viewer.show(caffeine)
        viewer.on_pick(viewer.events.append)
        viewer.on_pull(viewer.events.append)
        return viewer

    def test_ngl_is_sent_to_a_page_that_asks(self, viewer):
        viewer._hear({"type": "need-ngl"})
        assert viewer.sent[0]["type"] == "ngl"
        assert b"define(" in viewer.sent[0]["text"]

    @pytest.mark.parametrize("message", [
        {"type": "pull", "phase": "start", "atom": 0, "cell": 0, "target": [0, float("nan"), 0]}, None, "pick",
        {"type": "pick"}, {"type": "pick", "atom": 24, "cell": 0, "shift": False, "alt": False},
        {"type": "pick", "atom": -1, "cell": 0, "shift": False, "alt": False}, {"type": "pick", "atom": 0, "cell": 1, "shift": False, "alt": False},
        {"type": "pull", "phase": "move", "atom": 0, "cell": 0, "target": [0, 0, 0]},
        {"type": "pull", "phase": "start", "atom": 0, "cell": 0, "target": [0, None, 0]}, {"type": "ack", "frames": [[9, 1], "x", [0, "1"]]},
        {"type": "snapshot", "id": 7, "png": "?"},
    ])  # fmt: skip
    def test_nonsense_from_the_page_is_ignored(self, viewer, message):
        viewer._hear(message)
        assert viewer.events == []

    def test_a_pull_is_in_nanometres_and_always_ends(self, viewer):
        pull = {"type": "pull", "phase": "start", "atom": 3, "cell": 0, "target": [1, -2.5, 30]}
        viewer._hear(pull)
        viewer.show(Structure.from_smiles("C"))
        viewer._hear({**pull, "phase": "end"})
        assert viewer.events == [PullEvent("start", 3, (0.1, -0.25, 3.0)), PullEvent("end", 3, (0.1, -0.25, 3.0))]

    def test_a_second_start_ends_the_first(self, viewer):
        pull = {"type": "pull", "phase": "start", "atom": 3, "cell": 0, "target": [0, 0, 0]}
        viewer._hear(pull)
        viewer._hear({**pull, "atom": 4})
        assert [(event.phase, event.atom) for event in viewer.events] == [("start", 3), ("end", 3), ("start", 4)]

    def test_connections_are_taken_back(self, viewer):
        undo = viewer.on_pull(viewer.events.append)
        undo()
        undo()
        assert viewer.pane.pulls
        alone = Viewer()
        alone.on_pull(print)()
        assert not alone.pane.pulls

    def test_marks_of_the_molecule_before_are_gone(self, viewer):
        viewer.pane.param.update(picked=[20], warned=[21], cuts=[[1, 2]], measures=[{"atoms": [1, 2], "text": "x"}])
        viewer.show(Structure.from_smiles("C"))
        assert (viewer.pane.picked, viewer.pane.warned, viewer.pane.cuts, viewer.pane.measures) == ([], [], [], [])

    def test_five_molecules_are_too_many(self, viewer, caffeine):
        with pytest.raises(SettingsError, match="1 to 4"):
            viewer.show_many([(caffeine, (), "")] * 5)

    def test_a_snapshot_that_the_page_cannot_give_is_a_sentence(self, viewer):
        async def ask():
            picture = viewer.snapshot()
            viewer._hear({"type": "snapshot", "id": viewer.sent[-1]["id"], "png": ""})
            return await picture

        with ThreadPoolExecutor(1) as thread, pytest.raises(WorkerError, match="front"):
            thread.submit(lambda: asyncio.run(ask())).result()
