"""The studio in a real JupyterLab with a real kernel, driven in a real browser with the network cut off; and its parts without one."""

import asyncio
import io
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest
from bokeh.document import Document
from conftest import free_port, wait_until
from panel.io.state import state
from panel.models.comm_manager import CommManager
from PIL import Image
from pyviz_comms import Comm

from studio.errors import SettingsError, WorkerError
from studio.library import Library
from studio.recipes.dynamics import Dynamics
from studio.system import example
from widgets.cell import Cell, sheets
from widgets.control import RunControl
from widgets.desk import Desk
from widgets.notebook import leave_run, left_run
from widgets.runs import Runs

SHOTS = Path(__file__).parent / "screenshots"
PLAYING = "f = await studio.until(0.6); print('came to', round(f.time, 1), studio.frames.shape[1:], studio.frame.temperature > 0)"


class Notebook:
    """A notebook open in JupyterLab."""

    def __init__(self, page, address):
        self.page, self.address, self.errors = page, address, []
        page.set_viewport_size({"width": 1280, "height": 1000})
        page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)
        page.goto(address)
        page.get_by_text("| Idle").wait_for(timeout=90_000)

    def cell(self, number):
        return self.page.locator(".jp-CodeCell").nth(number)

    def run(self, number, code, seconds=60):
        """Run `code` in a cell; gives what it printed."""
        self.cell(number).locator(".cm-content").click()
        self.page.keyboard.press("Control+A")
        self.page.keyboard.insert_text(code)
        self.page.keyboard.press("Shift+Enter")
        self.page.wait_for_timeout(300)
        wait_until(lambda: "*" not in self.cell(number).locator(".jp-InputPrompt").inner_text(), self.page, seconds)
        self.page.wait_for_timeout(300)
        return self.said(number)

    def said(self, number):
        return "\n".join(self.cell(number).locator(".jp-OutputArea-output").all_inner_texts())

    def restart(self):
        self.page.get_by_role("menuitem", name="Kernel").click()
        self.page.locator(".lm-Menu-item", has_text="Restart Kernel…").first.click()
        self.page.locator(".jp-Dialog .jp-mod-accept").click()
        self.page.wait_for_timeout(4000)
        self.page.get_by_text("| Idle").wait_for(timeout=90_000)

    def picture(self, number):
        shot = self.cell(number).locator("canvas").first.screenshot()
        return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB"), dtype=float)

    def top(self):
        self.page.locator(".jp-WindowedPanel-outer").first.evaluate("element => element.scrollTop = 0")
        self.page.wait_for_timeout(500)


@pytest.fixture
def notebook(tmp_path, page):
    """A JupyterLab server on this machine with one empty notebook, open in the browser."""
    cells = [{"cell_type": "code", "execution_count": None, "id": f"cell{k}", "metadata": {}, "outputs": [], "source": ""} for k in range(5)]
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    (tmp_path / "live.ipynb").write_text(json.dumps({"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}))
    port, folders = free_port(), ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_SETTINGS_DIR", "POTENTIAL_STUDIO_DATA")
    home = {name: str(tmp_path / name) for name in folders}
    options = [f"--ServerApp.port={port}", "--ServerApp.ip=127.0.0.1", "--no-browser", "--allow-root", "--IdentityProvider.token="]
    quiet = [f"--ServerApp.root_dir={tmp_path}", "--LabApp.news_url=", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    server = subprocess.Popen([sys.executable, "-m", "jupyterlab", *options, *quiet, "--ServerApp.log_level=ERROR"], env={**os.environ, **home}, cwd=tmp_path)
    address = f"http://127.0.0.1:{port}"
    end = time.monotonic() + 90
    while not answers(f"{address}/api"):
        assert time.monotonic() < end, "JupyterLab did not start"
        time.sleep(0.3)
    try:
        yield Notebook(page, f"{address}/lab/tree/live.ipynb")
    finally:
        server.terminate()
        server.wait(30)


def answers(address):
    try:
        with urlopen(address) as reply:
            return reply.status == 200
    except OSError:
        return False


def alive(pid):
    return Path(f"/proc/{pid}/stat").exists() and ") Z " not in Path(f"/proc/{pid}/stat").read_text()


@pytest.mark.ui
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_studio_in_a_notebook(notebook):
    """Opens, plays, obeys and is obeyed, tells of refusals in words, leaves nothing behind, and is found again by the next kernel."""
    page = notebook.page
    assert "Error" not in notebook.run(0, "import widgets\nstudio = widgets.Studio('aspirin-vacuum')\nstudio", 90)
    assert "came to" in notebook.run(1, PLAYING, 200), notebook.said(1)
    assert "(21, 3) True" in notebook.said(1)
    notebook.top()
    notebook.cell(0).locator("canvas").first.wait_for(timeout=60_000)
    page.wait_for_timeout(2000)
    still = notebook.picture(0)
    assert still.std() > 5, "something is drawn"
    wait_until(lambda: np.abs(notebook.picture(0) - still).max() > 30, page)
    page.screenshot(path=SHOTS / "notebook_studio.png")

    notebook.run(1, "studio.control.temperature = 345")
    fields = notebook.cell(0).locator("input")
    wait_until(lambda: "345" in fields.evaluate_all("all => all.map(each => each.value)"), page)
    kelvin = fields.nth(fields.evaluate_all("all => all.findIndex(each => each.value === '345')"))
    for wish in (310, 312, 314):  # frames arrive all the while, and no wish may be lost between them
        kelvin.fill(str(wish))
        kelvin.blur()
        page.wait_for_timeout(500)
        assert f"{wish}.0" in notebook.run(1, "studio.store.temperature")

    notebook.run(1, "studio.store.pause(); studio.live.mode = 'pick'")
    notebook.top()
    page.wait_for_timeout(1500)
    assert picked_by_a_click(notebook) == 1

    assert "neither a SMILES string nor" in notebook.run(1, "try:\n    await studio.builder.open_smiles('nonsense')\nexcept Exception as e:\n    print(e)")
    refused = notebook.run(1, "await studio.builder.open_smiles('nonsense')")
    assert "neither a SMILES string nor" in refused
    assert "Traceback" not in refused
    notebook.run(1, "studio.open('nonsense')")
    wait_until(lambda: "neither a SMILES string nor" in notebook.said(1), page)
    assert "nonsense" in notebook.run(2, "print(studio.desk.alert.sentence)")

    count = "from widgets.cell import audience_of; print('outputs', len(audience_of(studio.desk)._cells))"
    notebook.run(3, "studio.live")
    page.wait_for_timeout(3000)
    assert "outputs 2" in notebook.run(2, count)
    notebook.run(3, "1")
    page.wait_for_timeout(1500)
    assert "outputs 1" in notebook.run(2, count), "a view that is no longer shown costs nothing"
    worker = int(notebook.run(2, "print(studio.run.pid)"))
    assert alive(worker)

    notebook.restart()
    wait_until(lambda: not alive(worker), page, 30)
    assert "Error" not in notebook.run(0, "import widgets\nstudio = widgets.Studio()\nstudio", 90)
    told = "print(studio.desk.alert.sentence, '|', studio.store.status.state)"
    wait_until(lambda: "| paused" in notebook.run(1, told), page, 120)
    assert "This notebook left run" in notebook.said(1)
    garbled = [error for error in notebook.errors if "isn't known" in error or "fragment" in error or "iterable" in error]
    assert garbled == [], "two threads wrote to the page at once, or a model never came"


def picked_by_a_click(notebook):
    """Click about the middle of the molecule until an atom is under the mouse; a second click on the same one would take it back."""
    for dy, dx in product((0.0, 0.08, -0.08), np.linspace(-0.12, 0.12, 9)):
        notebook.top()
        box = notebook.cell(0).locator("canvas").first.bounding_box()
        notebook.page.mouse.click(box["x"] + box["width"] * (0.5 + dx), box["y"] + box["height"] * (0.5 + dy))
        notebook.page.wait_for_timeout(250)
        if count := int(notebook.run(1, "print(len(studio.store.picks))")):
            return count
    return 0


class TestWithoutABrowser:
    def test_a_notebook_finds_the_run_that_it_left(self, tmp_path, monkeypatch):
        library = Library(tmp_path)
        recipe = Dynamics(system=example("aspirin-vacuum").system)
        first, second = library.new(recipe), library.new(recipe)
        monkeypatch.setenv("JPY_SESSION_NAME", "one.ipynb")
        assert left_run(library) is None
        leave_run(library, first.id)
        monkeypatch.setenv("JPY_SESSION_NAME", "two.ipynb")
        assert left_run(library) is None
        leave_run(library, second.id)
        assert left_run(library) == second.id
        monkeypatch.setenv("JPY_SESSION_NAME", "one.ipynb")
        assert left_run(library) == first.id
        library.delete(first.id)
        assert left_run(library) is None

    def test_a_damaged_note_costs_only_the_note(self, tmp_path):
        library = Library(tmp_path)
        (tmp_path / "notebooks.json").write_text("[1, 2")
        assert left_run(library) is None

    def test_all_stylesheets_of_panel_come_along(self):
        assert {"css/loading.css", "bundled/theme/native.css", "bundled/theme/default.css"} <= set(sheets())
        assert all(url.startswith("data:text/css;base64,") for url in sheets().values())

    def test_what_is_not_there_yet_is_said(self, tmp_path):
        async def notebook():
            from widgets.desk import Desk
            from widgets.notebook import Studio

            studio = Studio(desk=Desk(library=Library(tmp_path)))
            with pytest.raises(WorkerError, match="Nothing runs yet"):
                _ = studio.frame
            with pytest.raises(SettingsError, match="Nothing is open yet"):
                studio.table()
            with pytest.raises(WorkerError, match="were not reached"):
                await studio.until(1.0, timeout=0.2)
            studio.close()

        with ThreadPoolExecutor(1) as thread:  # the browser's driver may hold this thread's loop
            thread.submit(lambda: asyncio.run(notebook())).result()

    def test_the_answer_to_one_event_takes_no_wish_along(self, tmp_path):
        """A page says in one message: the user wants 310 K, and my ground is light; repainting must not send the 310 back unheard."""

        async def hear():
            control = RunControl(Desk(Library(tmp_path)))
            cell, comm = Cell(control), Comm()
            document = Document()
            root = cell.get_root(document, comm)
            document.add_root(root)
            ref = root.ref["id"]
            state._views[ref] = (cell, root, document, comm)
            field, pulse = control.kelvin._models[ref][0], cell[1]._models[ref][0]
            told = {"type": "map", "entries": [["model", {"id": pulse.id}], ["data", {"type": "map", "entries": [["type", "here"], ["light", True]]}]]}
            events = [
                {"kind": "ModelChanged", "model": {"id": field.id}, "attr": "value", "new": 310},
                {"kind": "MessageSent", "msg_type": "bokeh_event", "msg_data": {"type": "event", "name": "data_event", "values": told}},
            ]
            message = {"header": {"msgid": "1", "msgtype": "PATCH-DOC"}, "metadata": {}, "content": {"events": events}, "_buffers": {}}
            cell._on_msg(ref, CommManager(plot_id=ref, comm_id="a", client_comm_id="b"), message)
            try:
                return control.temperature, control.desk.dark
            finally:
                state._views.pop(ref)
                control.desk.close()

        with ThreadPoolExecutor(1) as thread:  # the browser of other tests holds this one's loop
            assert thread.submit(asyncio.run, hear()).result() == (310.0, False)

    def test_a_page_that_has_just_opened_hears_what_it_missed(self, tmp_path):
        """What a part says between its output and the moment in which its page listens is lost on the way."""

        class Line(Comm):
            def send(self, data=None, metadata=None, buffers=()):
                said.append(str(data))

        said = []

        async def hear():
            runs = Runs(Desk(Library(tmp_path)))
            cell, comm, document = Cell(runs), Line(), Document()
            comm._comm = object()
            root = cell.get_root(document, comm)
            document.add_root(root)
            ref = root.ref["id"]
            state._views[ref] = (cell, root, document, comm)
            runs.panel.hint = "Nothing is kept here."
            said.clear()
            try:
                cell._hear({"type": "here", "light": None})
                first = "".join(said)
                said.clear()
                cell._hear({"type": "here", "light": None})
                return first, "".join(said)
            finally:
                state._views.pop(ref)
                runs.desk.close()

        with ThreadPoolExecutor(1) as thread:
            first, second = thread.submit(asyncio.run, hear()).result()
        assert "Nothing is kept here." in first
        assert "Nothing is kept here." not in second, "once is enough"
