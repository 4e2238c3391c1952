"""The app as a visitor meets it: the command, a browser without a network, the pocket example, and what can go wrong."""

import io
import os
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from conftest import free_port, wait_until
from PIL import Image

from tests.access import cut, low_contrast, missing_help

pytestmark = [pytest.mark.ui, pytest.mark.slow]

SCREENSHOTS = Path(__file__).parent / "screenshots"
SAMPLES = "() => globalThis.studioPlots?.samples ?? 0"
SEEN = "localStorage.setItem('potential-studio.tour', 'seen')"
"""The tour has been taken."""
SIZES = {"1280x800": {"width": 1280, "height": 800}, "1920x1080": {"width": 1920, "height": 1080}}
COMMAND = Path(sys.executable).with_name("potential-studio")
PREPARING = 240.0
"""Seconds for a first preparation of an example on a slow machine; from the cache it takes a few."""


class App:
    """The program itself, started by its command."""

    def __init__(self, library, *options):
        command = [COMMAND, "app", "--no-browser", "--port", str(free_port()), *options]
        self.library = {"POTENTIAL_STUDIO_DATA": str(library)}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | self.library)
        assert select.select([self.process.stdout], [], [], 30)[0], "no address within 30 s"
        line = self.process.stdout.readline()
        self.address = re.fullmatch(r"Potential Studio is at (http://localhost:\d+)\n", line)[1]

    def workers(self):
        """Process ids of the worker processes, whichever thread started them."""
        return [child.pid for child in psutil.Process(self.process.pid).children() if "spawn_main" in " ".join(child.cmdline())]

    def end(self):
        """Ctrl-C; gives what it said at last."""
        self.process.send_signal(signal.SIGTERM)
        output, _ = self.process.communicate(timeout=30)
        return output


class Visit:
    """A visitor's hands and eyes."""

    def __init__(self, page):
        self.page = page

    @property
    def canvas(self):
        return np.asarray(Image.open(io.BytesIO(self.page.locator(".studio-viewer canvas").screenshot())).convert("L"), dtype=float)

    @property
    def samples(self):
        return self.page.evaluate(SAMPLES)

    @property
    def picoseconds(self):
        return float(self.page.locator(".clock b").inner_text().replace("\u2013", "0").replace("\u2009", ""))

    @property
    def alert(self):
        return " ".join(self.page.locator("[role=alert]:visible").all_inner_texts())

    def press(self, name):
        self.page.get_by_role("button", name=name, exact=True).first.click()

    def take(self, kind):
        """Say where the molecule comes from."""
        self.page.get_by_text(kind, exact=True).first.click()

    def type(self, label, text):
        """Fill a field and confirm it."""
        field = self.page.get_by_label(label, exact=True).first
        field.fill(text)
        field.press("Enter")

    def wait(self, condition, seconds=30.0):
        wait_until(condition, self.page, seconds)

    def moving(self):
        """Whether simulated time passes."""
        before = self.picoseconds
        self.page.wait_for_timeout(1200)
        return self.picoseconds > before


@pytest.fixture
def app(tmp_path):
    app = App(tmp_path / "library")
    yield app
    assert "Traceback" not in app.end()
    assert app.process.returncode == 0


@pytest.fixture
def visit(app, browser, open_page):
    """The page with its example playing; nothing leaves the machine, nothing is an error in the console."""
    page, errors = open_page(browser), []
    page.add_init_script(SEEN)
    page.set_viewport_size(SIZES["1280x800"])
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(app.address)
    visit = Visit(page)
    visit.wait(lambda: page.locator(".chip.playing").count() and visit.picoseconds > 0, PREPARING)
    yield visit
    assert errors == []


@pytest.mark.timeout(600)
def test_the_pocket_plays_by_itself_and_pause_pauses(visit):
    visit.wait(lambda: visit.canvas.std() > 5)
    before, samples = visit.canvas, visit.samples
    visit.wait(lambda: visit.samples > samples)
    visit.page.wait_for_timeout(500)
    assert np.abs(visit.canvas - before).mean() > 0.1
    visit.press("Pause")
    visit.wait(lambda: visit.page.locator(".chip.paused").count())
    visit.page.wait_for_timeout(700)
    assert not visit.moving()
    step = visit.page.locator(".clock small").inner_text()
    visit.press("Step")
    visit.wait(lambda: visit.page.locator(".clock small").inner_text() != step)
    visit.press("Play")
    visit.wait(visit.moving)
    visit.press("Reset")
    visit.wait(lambda: visit.picoseconds < 1.0)


@pytest.mark.timeout(600)
def test_it_fits_the_screen_and_is_photographed(visit):
    SCREENSHOTS.mkdir(exist_ok=True)
    for name, size in SIZES.items():
        visit.page.set_viewport_size(size)
        visit.page.wait_for_timeout(2500)
        assert visit.page.evaluate("document.documentElement.scrollHeight <= innerHeight && document.documentElement.scrollWidth <= innerWidth")
        visit.page.screenshot(path=SCREENSHOTS / f"{name}.png")
        assert cut(visit.page) == []
    visit.press("Light" if visit.page.get_by_role("button", name="Light", exact=True).count() else "Dark")
    visit.page.wait_for_timeout(1500)
    assert low_contrast(visit.page) == []
    visit.page.screenshot(path=SCREENSHOTS / "other-light.png")
    assert missing_help(visit.page) == []
    visit.press("Large")
    visit.page.wait_for_timeout(1500)
    visit.page.screenshot(path=SCREENSHOTS / "large.png")
    assert cut(visit.page) == []


@pytest.mark.timeout(600)
def test_workers_killed_every_ten_seconds_are_reported_and_recovered(app, visit):
    """Each time it goes on from its checkpoint, not from the start, as it was driven, and the page answers all the while."""
    visit.wait(lambda: visit.samples > 3)
    for kelvin in ("305", "310"):
        visit.page.wait_for_timeout(10_000)
        reached = visit.picoseconds
        for worker in app.workers():  # the one that waits for the next run too
            os.kill(worker, signal.SIGKILL)
        visit.wait(lambda: "SIGKILL" in visit.alert)
        visit.page.screenshot(path=SCREENSHOTS / "lost.png")
        visit.type("Temperature, K", kelvin)
        visit.press("Recover")
        visit.wait(lambda: visit.page.locator(".chip.playing").count(), PREPARING)
        visit.wait(visit.moving)
        assert not visit.alert
        assert visit.picoseconds > 0.25 * reached
        assert visit.page.get_by_label("Temperature, K", exact=True).first.input_value() == kelvin


@pytest.mark.timeout(600)
def test_bad_input_is_a_sentence_and_the_run_goes_on(visit):
    visit.take("SMILES")
    visit.type("Name or SMILES", "C1CC(")
    visit.wait(lambda: "SMILES" in visit.alert)
    visit.page.screenshot(path=SCREENSHOTS / "refused.png")
    visit.take("File")
    upload = visit.page.locator("input[type=file]").first
    for name, data, words in (
        ("empty.sdf", b"", "empty"),
        ("cat.pdb", b"\x00\x01\x02" * 99, "binary"),
        ("big.pdb", b"x" * 60_000_000, "60 MB"),
        ("a.xyz", b"1", "format"),
    ):
        if len(data) > 50_000_000:
            path = SCREENSHOTS / name
            path.write_bytes(data)
            upload.set_input_files(path)
            path.unlink()
        else:
            upload.set_input_files({"name": name, "mimeType": "text/plain", "buffer": data})
        visit.wait(lambda words=words: words in visit.alert, 60)
    visit.type("Temperature, K", "10000")
    visit.wait(lambda: "1500" in visit.alert)
    assert "Traceback" not in visit.page.content()
    visit.wait(visit.moving)


@pytest.mark.timeout(600)
def test_a_molecule_of_ones_own_by_the_network(visit):
    visit.take("SMILES")
    visit.type("Name or SMILES", "paracetamol")
    visit.wait(lambda: "paracetamol" in visit.page.locator(".title").first.inner_text().lower(), PREPARING)
    visit.wait(visit.moving)
    assert visit.page.locator(".paper svg").count() == 1
    visit.page.wait_for_timeout(2000)
    visit.page.screenshot(path=SCREENSHOTS / "own.png")


@pytest.mark.timeout(600)
def test_a_restarted_server_finds_the_run_again(tmp_path, browser, open_page):
    """Ctrl-C in the middle of a run, another server: the run is in the list, opens where it ended, and goes on."""

    def visit_of(app):
        page = open_page(browser)
        page.add_init_script(SEEN)
        page.set_viewport_size(SIZES["1280x800"])
        page.goto(app.address)
        visit = Visit(page)
        visit.wait(lambda: page.locator(".chip.playing").count() and visit.picoseconds > 0, PREPARING)
        return visit

    app = App(tmp_path / "library", "--example", "aspirin-vacuum")
    visit = visit_of(app)
    visit.wait(lambda: visit.picoseconds > 0.3, 60)
    reached = visit.picoseconds
    visit.page.close()
    assert "Traceback" not in app.end()
    app = App(tmp_path / "library", "--example", "alanine-dipeptide-water")
    visit = visit_of(app)
    visit.page.get_by_text("Aspirin in vacuum").last.click()
    visit.wait(lambda: "Aspirin" in visit.page.locator(".title").first.inner_text(), PREPARING)
    visit.wait(lambda: visit.picoseconds >= min(reached, 0.2))
    visit.press("Play")
    visit.wait(visit.moving)
    assert "Traceback" not in app.end()


def test_ctrl_c_ends_cleanly_and_takes_the_workers_along(tmp_path):
    app = App(tmp_path / "library")
    end = time.monotonic() + 20
    while not app.workers():
        assert time.monotonic() < end
        time.sleep(0.05)
    workers = app.workers()
    assert "Traceback" not in app.end()
    assert app.process.returncode == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
