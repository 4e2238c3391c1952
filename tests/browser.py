"""A browser and pages to point it at, for the tests of the screen and for the benchmarks."""

import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import panel as pn
import pytest
from playwright.sync_api import Page

from studio.frame import Frame
from studio.structure import Residue, Structure
from widgets.pump import Pump
from widgets.viewer import Viewer, serve_promptly, static_dirs

ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-gpu-compositing",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def chromium() -> str:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no Chromium on this machine")
    return found


def wait_until(condition: Callable[[], object], page: Page, seconds: float = 20.0) -> None:
    """Let the page live until `condition` holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        page.wait_for_timeout(50)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def serve_page(app: Callable[[], object], folders: dict[str, str] | None = None) -> tuple[object, str]:
    """Serve a Panel app on a free local port in a thread; gives the server, to stop it, and its address."""
    serve_promptly()
    folders = static_dirs() if folders is None else folders
    port = free_port()
    server = pn.serve(app, port=port, address="127.0.0.1", threaded=True, show=False, verbose=False, static_dirs=folders)
    end = time.monotonic() + 10
    while not listening(port):
        assert time.monotonic() < end
        time.sleep(0.05)
    return server, f"http://127.0.0.1:{port}/"


def soaked(waters: int = 860) -> Structure:
    """A drug-like molecule in a block of water: about 2,600 atoms."""
    drug, water = Structure.from_smiles("CC(C)Cc1ccc(cc1)C(C)C(=O)O"), Structure.from_smiles("O")
    side = int(np.ceil((waters + 60) ** (1 / 3)))
    grid = (np.indices((side,) * 3).reshape(3, -1).T - (side - 1) / 2) * 0.31
    places = grid[np.argsort(np.linalg.norm(grid, axis=1))][60 : 60 + waters]
    positions = (places[:, None] + water.positions - water.positions.mean(axis=0)).reshape(-1, 3)
    index = np.repeat(np.arange(waters), 3)
    bonds = (3 * np.arange(waters)[:, None, None] + np.array([[0, 1], [0, 2]])).reshape(-1, 2)
    solvent = Structure(
        numbers=np.tile(water.numbers, waters), positions=positions, names=("O", "H1", "H2") * waters,
        residues=tuple(Residue("HOH", str(i + 1), "W") for i in range(waters)), residue_index=index,
        bonds=bonds, bond_orders=np.ones(2 * waters), formal_charges=np.zeros(3 * waters),
    )  # fmt: skip
    centred = drug.with_positions(drug.positions - drug.positions.mean(axis=0))
    return centred.join(solvent)


class Wobble:
    """A stream that makes a frame whenever it is asked; `step` counts them, and atom 0 sits at x = step pm."""

    def __init__(self, structure):
        self.structure, self.step, self.noise = structure, 0, np.random.default_rng(0)

    def subscribe(self):
        return self

    def publish(self, frame):
        raise NotImplementedError

    def latest(self):
        self.step += 1
        positions = (self.structure.positions + self.noise.normal(0, 0.006, self.structure.positions.shape)).astype(np.float32)
        positions[0, 0] = self.step * 1e-3
        return Frame(step=self.step, time=0.0, positions=positions)


class Shown:
    """An app with a viewer and a pump, reachable from the test."""

    def __init__(self, structure):
        self.structure, self.stream, self.errors = structure, Wobble(structure), []

    def page(self):
        self.viewer, self.pump, self.doc = Viewer(), Pump(self.errors.append), pn.state.curdoc
        self.viewer.show(self.structure, highlight=range(10))
        self.pump.connect(self.viewer.send)
        self.pump.watch(self.stream)
        self.pump.start()
        self.layout = pn.Column(self.viewer.pane, sizing_mode="stretch_both", min_height=500)
        return self.layout

    def do(self, action):
        self.doc.add_next_tick_callback(action)


class Staged:
    """A viewer alone, reachable from the test: it shows `molecules` and keeps what the user does to their atoms."""

    def __init__(self, *molecules, overlay=False):
        self.molecules, self.overlay, self.picks, self.pulls = molecules, overlay, [], []

    def page(self):
        if not hasattr(self, "viewer"):  # a page that is loaded again finds the same camera
            self.camera = ()
        else:
            self.camera = self.viewer.pane.camera
        self.viewer, self.doc = Viewer(), pn.state.curdoc
        self.viewer.pane.overlay = self.overlay
        self.viewer.on_pick(self.picks.append)
        self.viewer.on_pull(self.pulls.append)
        self.viewer.show_many([(molecule, (), f"part {k}") for k, molecule in enumerate(self.molecules)], camera=self.camera)
        return pn.Column(self.viewer.pane, sizing_mode="stretch_both", min_height=500)

    def do(self, action):
        self.doc.add_next_tick_callback(action)

    def set(self, **values):
        self.do(lambda: self.viewer.pane.param.update(**values))


def resident_megabytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6
