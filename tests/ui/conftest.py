"""A real browser whose network ends at this machine, and a server to point it at."""

import shutil
import socket
import time
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import panel as pn
import pytest
from playwright.sync_api import Browser, Page, Playwright, Route, sync_playwright

from widgets.viewer import serve_promptly, static_dirs

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
COUNT_CONTEXTS = """
globalThis.contexts = [];
const original = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
  const context = original.call(this, kind, ...rest);
  if (context && kind.startsWith("webgl") && !contexts.includes(context)) contexts.push(context);
  return context;
};
globalThis.liveContexts = () => contexts.filter((context) => !context.isContextLost()).length;
"""


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


@pytest.fixture(scope="session")
def driver() -> Iterator[Playwright]:
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def launch(driver: Playwright) -> Callable[..., Browser]:
    return lambda *extra: driver.chromium.launch(executable_path=chromium(), args=[*ARGUMENTS, *extra])


@pytest.fixture(scope="session")
def browser(launch: Callable[..., Browser]) -> Iterator[Browser]:
    browser = launch()
    yield browser
    browser.close()


@pytest.fixture
def open_page() -> Iterator[Callable[[Browser], Page]]:
    """Pages that cannot leave this machine; the test fails if one tried to."""
    pages, outside = [], []

    def guard(route: Route) -> None:
        address = urlsplit(route.request.url)
        if address.scheme in {"blob", "data"} or address.hostname in {"127.0.0.1", "localhost"}:
            route.continue_()
        else:
            outside.append(route.request.url)
            route.abort()

    def open_in(browser: Browser) -> Page:
        page = browser.new_page(viewport={"width": 900, "height": 600})
        page.route("**/*", guard)
        page.add_init_script(COUNT_CONTEXTS)
        pages.append(page)
        return page

    yield open_in
    for page in pages:
        page.close()
    assert outside == []


@pytest.fixture
def page(browser: Browser, open_page: Callable[[Browser], Page]) -> Page:
    return open_page(browser)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[], object]], str]]:
    """Serve a Panel app on a free local port in a thread; gives its address."""
    servers = []
    serve_promptly()

    def start(app: Callable[[], object]) -> str:
        port = free_port()
        servers.append(pn.serve(app, port=port, address="127.0.0.1", threaded=True, show=False, verbose=False, static_dirs=static_dirs()))
        end = time.monotonic() + 10
        while not listening(port):
            assert time.monotonic() < end
            time.sleep(0.05)
        return f"http://127.0.0.1:{port}/"

    yield start
    for server in servers:
        server.stop()
