"""Benchmarks of the page, in headless Chromium with software rendering."""

import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

from playwright.sync_api import Browser, Page, sync_playwright

from tests.benchmarks.base import Measure, gives
from tests.browser import ARGUMENTS, Shown, chromium, free_port, resident_megabytes, serve_page, soaked, wait_until

STALL = 60.0
"""Seconds for which the client does not answer."""


@contextmanager
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)


@contextmanager
def viewer(atoms: int) -> Iterator[tuple[Shown, Page]]:
    """A page that shows a stream of frames of so many atoms, under way."""
    app = Shown(soaked(waters=(atoms - 33) // 3))
    with browser() as chrome:
        server, address = serve_page(app.page)
        page = chrome.new_page(viewport={"width": 900, "height": 600})
        page.goto(address)
        wait_until(lambda: hasattr(app, "viewer") and app.viewer.delivered > 10, page, 60)
        yield app, page
        page.close()
        server.stop()


@gives("viewer_fps")
def viewer_fps() -> Iterator[Measure]:
    """Frames a second that the page acknowledged as drawn, 2,600 atoms, while the same cores make the frames."""
    with viewer(2600) as (app, page):
        page.wait_for_timeout(3000)
        rates = []
        for _ in range(10):
            start, delivered = perf_counter(), app.viewer.delivered
            page.wait_for_timeout(1000)
            rates.append((app.viewer.delivered - delivered) / (perf_counter() - start))
    yield Measure("viewer_fps", statistics.median(rates), "frames/s", 30.0, "value >= 30")


@gives("stalled_client_mb")
def stalled_client() -> Iterator[Measure]:
    """Growth of the server while a client does not answer for a minute and frames keep coming."""
    with viewer(5000) as (app, page):
        page.wait_for_timeout(2000)
        before, made = resident_megabytes(), app.stream.step
        page.evaluate(f"setTimeout(() => {{ const end = performance.now() + {1000 * STALL}; while (performance.now() < end); }}, 0); 1")
        page.wait_for_timeout(1000 * STALL - 1000)
        growth, made = resident_megabytes() - before, app.stream.step - made
        assert made > 20 * STALL, f"only {made} frames were made while the client stalled"
        page.wait_for_timeout(3000)
    yield Measure("stalled_client_mb", max(growth, 0.0), "MB", 20.0, "value <= 20")


@gives("page_usable_s")
def page_usable() -> Iterator[Measure]:
    """From the command to the page with its controls answering and the example's picture, second start."""
    with browser() as chrome:
        times = [_start(chrome) for _ in range(4)]
    yield Measure("page_usable_s", statistics.median(times[1:]), "s", 5.0, "value <= 5")


def _start(chrome: Browser) -> float:
    command = [Path(sys.executable).with_name("potential-studio"), "app", "--no-browser", "--port", str(free_port())]
    start = perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        address = process.stdout.readline().split()[-1]
        page = chrome.new_page(viewport={"width": 1280, "height": 800})
        page.goto(address)
        page.get_by_role("button", name="Reset").wait_for()
        page.locator("canvas").first.wait_for()
        seconds = perf_counter() - start
        page.close()
    finally:
        process.terminate()
        process.wait(30)
    return seconds
