"""`widgets.show` in a real JupyterLab, driven in a real browser with the network cut off; and its parts without one."""

import asyncio
import io
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from urllib.request import urlopen

import numpy as np
import pytest
from conftest import free_port, wait_until
from PIL import Image

from studio.errors import SettingsError
from studio.frame import Frame, LocalFrames
from studio.structure import Structure
from widgets.jupyter import angstrom, readout, show

CELL = """
import widgets
from studio import Dynamics, Run, View
from studio.system import example

run = Run(Dynamics(system=example("aspirin-vacuum").system, view=View(resolution="nnp")))
widgets.show(run)
"""


@pytest.fixture
def lab(tmp_path):
    """A JupyterLab server on this machine with one notebook; gives its address."""
    cell = {"cell_type": "code", "execution_count": None, "id": "live", "metadata": {}, "outputs": [], "source": CELL}
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    (tmp_path / "live.ipynb").write_text(json.dumps({"cells": [cell], "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}))
    port, folders = free_port(), ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_SETTINGS_DIR")
    home = {name: str(tmp_path / name) for name in folders}
    options = [f"--ServerApp.port={port}", "--ServerApp.ip=127.0.0.1", "--no-browser", "--allow-root", "--IdentityProvider.token="]
    quiet = [
        f"--ServerApp.root_dir={tmp_path}",
        "--LabApp.news_url=",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--ServerApp.log_level=ERROR",
    ]
    server = subprocess.Popen([sys.executable, "-m", "jupyterlab", *options, *quiet], env={**os.environ, **home}, cwd=tmp_path)
    address = f"http://127.0.0.1:{port}"
    end = time.monotonic() + 40
    while not answers(f"{address}/api"):
        assert time.monotonic() < end, "JupyterLab did not start"
        time.sleep(0.3)
    yield f"{address}/lab/tree/live.ipynb"
    server.terminate()
    server.wait(20)


def answers(address):
    try:
        with urlopen(address) as reply:
            return reply.status == 200
    except OSError:
        return False


def picture(page):
    shot = page.locator(".jp-OutputArea canvas").first.screenshot()
    return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB"), dtype=float)


@pytest.mark.ui
@pytest.mark.slow
def test_a_run_streams_into_nglview_in_jupyterlab(lab, page):
    page.goto(lab)
    page.locator(".jp-CodeCell .cm-content").first.click(timeout=60_000)
    page.locator("[data-status=idle]").first.wait_for(state="attached", timeout=60_000)  # a kernel that is not there yet loses the keys
    page.keyboard.press("Shift+Enter")
    page.get_by_text("Ready at 0.00 ps").wait_for(timeout=90_000)
    page.locator(".jp-OutputArea canvas").first.wait_for(timeout=30_000)
    page.wait_for_timeout(1500)
    still = picture(page)
    assert still.std() > 5
    page.get_by_title("Play", exact=True).click()
    page.get_by_text("kcal/mol").wait_for(timeout=15_000)
    wait_until(lambda: np.abs(picture(page) - still).max() > 30, page)
    page.get_by_title("Pause", exact=True).click()
    page.get_by_text("Paused at").wait_for(timeout=15_000)


def a_run(state="paused"):
    calls = []
    structure = Structure.from_smiles("CCO")
    names = ("play", "pause", "step", "reset", "recover", "set_temperature")
    acts = {name: lambda *arguments, name=name: calls.append((name, *arguments)) for name in names}
    return SimpleNamespace(structure=structure, frames=LocalFrames(), status=SimpleNamespace(state=state, message=""), calls=calls, **acts)


def a_frame(structure, time=1.5):
    return Frame(step=1, time=time, positions=structure.positions.astype(np.float32), energies={"potential": 41.84}, temperature=301, speed=100, timestep=2)


def run_cell(notebook):
    """Run it on an event loop of its own; the browser's driver may hold this thread's."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(notebook())).result()


class TestWithoutABrowser:
    def test_frames_reach_nglview_until_the_run_is_closed(self):
        run = a_run()

        async def notebook():
            live = show(run, rate=30)
            run.frames.publish(a_frame(run.structure))
            await asyncio.sleep(0.2)
            assert live.shown == 1
            run.status.state = "closed"
            await asyncio.sleep(0.2)
            assert not live.streaming
            live.close()

        run_cell(notebook)

    def test_closing_the_view_stops_the_stream(self):
        run = a_run()

        async def notebook():
            live = show(run)
            await asyncio.sleep(0.1)
            live.close()
            await asyncio.sleep(0.1)
            assert not live.streaming

        run_cell(notebook)

    def test_the_buttons_reach_the_run(self):
        run = a_run()

        async def notebook():
            live = show(run)
            buttons, slider = live.box.children[1].children[:2]
            for button in buttons.children:
                button.click()
            slider.value = 350
            live.close()

        run_cell(notebook)
        assert run.calls == [("play",), ("pause",), ("step",), ("reset",), ("recover",), ("set_temperature", 350.0)]

    def test_what_cannot_be_shown_is_said(self):
        with pytest.raises(SettingsError, match="show\\(stream, structure\\)"):
            show(LocalFrames())
        with pytest.raises(SettingsError, match="rate"):
            show(LocalFrames(), Structure.from_smiles("C"), rate=500)

    def test_numbers_and_positions_are_in_the_units_that_people_read(self):
        structure = Structure.from_smiles("CCO")
        frame = a_frame(structure)
        assert readout(frame) == "1.50 ps&emsp;301 K&emsp;energy 10.0 kcal/mol&emsp;100 steps/s&emsp;17.3 ns/day"
        np.testing.assert_allclose(angstrom(frame), structure.positions * 10, rtol=1e-5)
