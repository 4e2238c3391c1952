"""Benchmarks of the page, in headless Chromium with software rendering."""

import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

from playwright.sync_api import Browser, Page, sync_playwright

from tests.audience import Audience
from tests.benchmarks.base import Measure, gives
from tests.browser import ARGUMENTS, Shown, chromium, free_port, resident_megabytes, serve_page, soaked, wait_until

STALL = 60.0
"""Seconds for which the client does not answer."""
VIEWERS = 30
"""In a lecture hall."""


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


@contextmanager
def _started(*options: str) -> Iterator[str]:
    """The address of a server that was just started."""
    command = [Path(sys.executable).with_name("potential-studio"), "app", "--no-browser", "--port", str(free_port()), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield process.stdout.readline().split()[-1]
    finally:
        process.terminate()
        process.wait(30)


def _start(chrome: Browser) -> float:
    start = perf_counter()
    with _started() as address:
        page = chrome.new_page(viewport={"width": 1280, "height": 800})
        page.goto(address)
        page.get_by_role("button", name="Reset").wait_for()
        page.locator("canvas").first.wait_for()
        seconds = perf_counter() - start
        page.close()
    return seconds


@gives("lecture_fps", "lecture_cost_percent")
def lecture() -> Iterator[Measure]:
    """Frames a second that each of thirty viewers of one run acknowledges, and what they cost the simulation; the lecturer's page draws meanwhile."""
    with _started("--example", "aspirin-vacuum") as address, browser() as chrome:
        page = chrome.new_page(viewport={"width": 1280, "height": 800})
        page.add_init_script("localStorage.setItem('potential-studio.tour', 'seen')")
        page.goto(address)
        wait_until(lambda: page.locator(".chip.playing").count() and _step(page), page, 240)
        page.wait_for_timeout(5000)
        alone = _pace(page)
        page.get_by_role("button", name="Share").click()
        place = page.get_by_label("Address for the audience")
        wait_until(place.input_value, page)
        audience = Audience(place.input_value(), VIEWERS)
        page.wait_for_timeout(5000)
        before = [listener.frames for listener in audience.listeners]
        start, watched = perf_counter(), _pace(page)
        seconds = perf_counter() - start
        rates = [(listener.frames - then) / seconds for listener, then in zip(audience.listeners, before, strict=True)]
        audience.leave()
    yield Measure("lecture_fps", statistics.median(rates), "frames/s", 8.0, "value >= 8")
    yield Measure("lecture_cost_percent", 100 * (1 - watched / alone), "%", 30.0, "value <= 30")


def _pace(page: Page) -> float:
    """Steps a second, over ten seconds."""
    start, first = perf_counter(), _step(page)
    page.wait_for_timeout(10_000)
    return (_step(page) - first) / (perf_counter() - start)


def _step(page: Page) -> int:
    return int("".join(filter(str.isdigit, page.locator(".clock small").first.inner_text())) or 0)
