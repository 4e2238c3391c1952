"""The command `potential-studio app`: a server for the page, on this machine, that ends cleanly.

Starts the first worker before anything slow is imported, so that it warms up while the page loads. Knows addresses and
signals; what is on the page is `widgets.page`'s business.
"""

import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from studio.errors import SettingsError
from studio.system import EXAMPLES
from widgets.address import PORT, Address
from widgets.limits import Limits

if TYPE_CHECKING:
    from widgets.server import Document
    from widgets.visitors import Seat

START = "tyk2-pocket"
"""The example that is open when the page opens."""
TITLE = "Potential Studio"


def serve(address: Address, limits: Limits, document: "Document", on_ready: Callable[[str], None] | None = None) -> None:
    """Serve the app until Ctrl-C.

    Args:
        address: Where.
        limits: What visitors may take.
        document: Makes the document of a visitor.
        on_ready: Called with the page's URL when the server is about to listen.

    Raises:
        SettingsError: No password though others can reach the page, or no free port.
    """
    if not address.local and not address.password:
        raise SettingsError(f"{address.host} can be reached from other machines. Set --password, or listen on 127.0.0.1.")
    from studio.run import close_all, prewarm

    prewarm()
    try:
        _serve(address.free(), limits, document, on_ready)
    finally:
        close_all(())


def _serve(address: Address, limits: Limits, document: "Document", on_ready: Callable[[str], None] | None) -> None:
    from tornado.ioloop import PeriodicCallback

    from widgets.server import listen
    from widgets.visitors import LOOK_MS, Visitors

    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    room = Visitors(limits)
    server = listen(address, room, document)
    clock = PeriodicCallback(room.look, LOOK_MS)
    try:
        server.start()
        clock.start()
        if on_ready is not None:
            on_ready(address.url)
        server.io_loop.start()
    finally:
        clock.stop()
        room.close()


@click.command("app")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; others than this machine need --password.")
@click.option("--port", default=PORT, show_default=True, type=click.IntRange(1, 65535), help="Port, or the first to try.")
@click.option("--browser/--no-browser", default=True, help="Open the page in the browser.")
@click.option("--password", envvar="POTENTIAL_STUDIO_PASSWORD", show_envvar=True, help="What visitors have to give; each then has runs of their own.")
@click.option("--example", default=START, show_default=True, type=click.Choice(list(EXAMPLES)), help="What is open when the page opens.")
@click.option("--max-users", default=Limits.users, show_default=True, type=click.IntRange(1, 1000), help="Visitors at once.")
@click.option("--audience", default=Limits.audience, show_default=True, type=click.IntRange(1, 1000), help="Viewers of one lecture at once.")
@click.option("--runs", default=Limits.runs, show_default=True, type=click.IntRange(2, 100), help="Worker processes of one visitor.")
@click.option("--memory", default=Limits.gigabytes, show_default=True, type=click.FloatRange(0.5, 1e4), help="Memory of one run, GB; beyond, it is ended.")
@click.option("--upload", default=Limits.upload_megabytes, show_default=True, type=click.FloatRange(0, 1e4), help="Uploaded files of one page, MB.")
@click.option("--library", type=click.FloatRange(1), help="Recorded runs of one visitor, MB; as much as the disk holds when left out.")
@click.option("--keep/--end", default=Limits.keep, show_default=True, help="Whether a run goes on when its page is closed, unless chosen on the page.")
def command(
    *, host: str, port: int, browser: bool, password: str | None, example: str,
    max_users: int, audience: int, runs: int, memory: float, upload: float, library: float | None, keep: bool,
) -> None:  # fmt: skip
    """Open the live window in the browser."""

    def tell(url: str) -> None:
        click.echo(f"{TITLE} is at {url}")
        if browser:
            click.launch(url)
        import widgets.page  # noqa: F401 - a quarter of a second that the browser needs to start anyway

    serve(Address(host, port, password), Limits(max_users, runs, memory, upload, library, audience, keep), _studio(example), tell)


def _studio(example: str) -> "Document":
    """The app, opened with an example."""

    def document(seat: "Seat") -> object:
        from widgets import page

        return page.page(example, seat)

    return document
