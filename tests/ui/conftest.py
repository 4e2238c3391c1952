"""A real browser whose network ends at this machine, and a server to point it at."""

from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Playwright, Route, sync_playwright

from tests.browser import ARGUMENTS, chromium, free_port, serve_page, wait_until

__all__ = ["free_port", "wait_until"]

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


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[], object]], str]]:
    """Serve a Panel app on a free local port in a thread; gives its address."""
    servers = []

    def start(app: Callable[[], object]) -> str:
        server, address = serve_page(app)
        servers.append(server)
        return address

    yield start
    for server in servers:
        server.stop()
