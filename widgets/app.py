"""The command `potential-studio app`: a server for the page, on this machine, that ends cleanly.

Starts the first worker before anything slow is imported, so that it warms up while the page loads. Knows addresses and
signals; what is on the page is `widgets.page`'s business.
"""

import asyncio
import contextlib
import ipaddress
import secrets
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import click

from studio.errors import SettingsError
from studio.system import EXAMPLES

PORT = 5006
START = "tyk2-pocket"
"""The example that is open when the page opens."""
TITLE = "Potential Studio"
TRIES = 100
LOGIN = Path(__file__).parent / "static" / "login.html"
"""Panel's own login page asks the web for its pictures."""
FORGET_MS = 3000
"""Wall time after which the runs of a closed page end."""


@dataclass(frozen=True)
class Address:
    """Where the page is, and who may see it.

    Args:
        host: Address to listen on.
        port: The port, or the first to try.
        password: What visitors have to give; needed when others than this machine can reach the page.
    """

    host: str = "127.0.0.1"
    port: int = PORT
    password: str | None = None

    @property
    def local(self) -> bool:
        """Only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def url(self) -> str:
        """What to type into a browser."""
        return f"http://{'localhost' if self.local else self.host}:{self.port}"

    @property
    def origins(self) -> list[str]:
        """Names under which browsers may ask for live data."""
        if self.host in ("0.0.0.0", "::"):
            return ["*"]
        names = {"localhost", "127.0.0.1"} if self.local else {self.host, socket.gethostname()}
        return [f"{name}:{self.port}" for name in sorted(names)]

    def free(self) -> "Address":
        """This address, or the next port that nobody listens on.

        Raises:
            SettingsError: None of the next hundred is free, or the host is not an address of this machine.
        """
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        for port in range(self.port, min(self.port + TRIES, 65536)):
            with socket.socket(family) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                with contextlib.suppress(OSError):
                    probe.bind((self.host, port))
                    return replace(self, port=port)
        last = self.port + TRIES - 1
        raise SettingsError(f"No port from {self.port} to {last} is free on {self.host}. Choose another --port, and check that --host is this machine.")


def serve(address: Address = Address(), example: str = START, on_ready: Callable[[str], None] | None = None) -> None:
    """Serve the app until Ctrl-C.

    Args:
        address: Where.
        example: What is open when the page opens.
        on_ready: Called with the page's URL when the server is about to listen.

    Raises:
        SettingsError: No password though others can reach the page, or no free port.
    """
    if not address.local and not address.password:
        raise SettingsError(f"{address.host} can be reached from other machines. Set --password, or listen on 127.0.0.1.")
    from studio.run import close_all, prewarm

    prewarm()
    try:
        _serve(address.free(), example, on_ready)
    finally:
        close_all(())


def _serve(address: Address, example: str, on_ready: Callable[[str], None] | None) -> None:
    import panel as pn

    from widgets import page, viewer

    viewer.serve_promptly()
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    login = {"basic_auth": {"visitor": address.password}, "cookie_secret": secrets.token_hex(32), "basic_login_template": str(LOGIN)}
    guarded = login if address.password else {}
    server = pn.serve(
        {"/": lambda: page.page(example)},
        address=address.host, port=address.port, title=TITLE, websocket_origin=address.origins, static_dirs=viewer.static_dirs(),
        show=False, start=False, verbose=False, unused_session_lifetime_milliseconds=FORGET_MS, check_unused_sessions_milliseconds=FORGET_MS // 3, **guarded,
    )  # fmt: skip
    server.io_loop.asyncio_loop.set_exception_handler(_forgive_closed_sockets)
    try:
        server.start()
        if on_ready is not None:
            on_ready(address.url)
        server.io_loop.start()
    finally:
        page.close_all()


def _forgive_closed_sockets(loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    """A browser that goes away in the middle of a message is no failure."""
    if type(context.get("exception")).__name__ != "WebSocketClosedError":
        loop.default_exception_handler(context)


@click.command("app")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; others than this machine need --password.")
@click.option("--port", default=PORT, show_default=True, type=click.IntRange(1, 65535), help="Port, or the first to try.")
@click.option("--browser/--no-browser", default=True, help="Open the page in the browser.")
@click.option("--password", envvar="POTENTIAL_STUDIO_PASSWORD", help="What visitors have to give.")
@click.option("--example", default=START, show_default=True, type=click.Choice(list(EXAMPLES)), help="What is open when the page opens.")
def command(host: str, port: int, browser: bool, password: str | None, example: str) -> None:
    """Open the live window in the browser."""

    def tell(url: str) -> None:
        click.echo(f"{TITLE} is at {url}")
        if browser:
            click.launch(url)

    serve(Address(host, port, password), example, tell)
