"""Server: the app and its lectures behind one address - who is let in, what strangers and those without a seat are told.

Puts rooms, doors and pages together; must not know what is on a page.
"""

import asyncio
import hmac
import logging
import os
import secrets
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import panel as pn
from panel.io.server import Server

from studio.errors import StudioError
from studio.files import data_folder, storage
from widgets import doors, lecture, viewer
from widgets.address import Address
from widgets.alerts import Handed
from widgets.visitors import Seat, Visitors

logger = logging.getLogger(__name__)

FORGET_MS = 3000
"""Wall time after which the runs of a closed page end."""
RETRY = 20
"""Seconds after which a page without a seat asks again."""
GONE = "This address is not valid any more: the lecture is over, or the address is incomplete. Ask the lecturer for the present one."

BROKEN = "Something went wrong that should not have. The server's log says more; run `potential-studio doctor`, and please report it."

Document = Callable[[Seat], object]
"""Makes the document of one visitor."""


def listen(address: Address, room: Visitors, document: Document) -> Server:
    """A server of the app and its lectures; start it.

    Args:
        address: Where.
        room: Who is here.
        document: Makes the document of a visitor.
    """
    viewer.serve_promptly()
    doors.install()
    guarded: dict[str, Any] = {"auth_provider": doors.Door(address.password), "cookie_secret": cookie_secret(address.password)} if address.password else {}
    server = pn.serve(
        {"/": lambda: _welcome(room, document), doors.LECTURE: lambda: _lecture(room)},
        address=address.host, port=address.port, title="Potential Studio", websocket_origin=address.origins, static_dirs=viewer.static_dirs(),
        show=False, start=False, verbose=False, unused_session_lifetime_milliseconds=FORGET_MS, check_unused_sessions_milliseconds=FORGET_MS // 3,
        extra_patterns=list(doors.PATTERNS), http_server_kwargs={"max_body_size": doors.MAX_BODY},
        sign_sessions=True, secret_key=secrets.token_bytes(32), **guarded,
    )  # fmt: skip
    server.io_loop.asyncio_loop.set_exception_handler(_forgive_closed_sockets)
    return cast(Server, server)


def cookie_secret(password: str) -> str:
    """What cookies are signed with: the same after a restart, so that visitors find their runs again; another for another password.

    Args:
        password: What visitors have to give.

    Raises:
        StorageError: The key cannot be written or read.
    """
    path = data_folder() / "server.key"
    with storage(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            with open(path, "xb", opener=partial(os.open, mode=0o600)) as file:  # nobody else on this machine may read it
                file.write(secrets.token_bytes(32))
        key = path.read_bytes()
    return hmac.new(key, password.encode(), "sha256").hexdigest()


def _welcome(room: Visitors, document: Document) -> object:
    """The app, or a word at the door."""
    seat = room.admit(doors.visitor())
    if seat is None:
        full = f"{room.limits.users} visitors are here, as many as this server takes. A place is free as soon as one leaves."
        return doors.message("The room is full", full, RETRY)
    pn.state.on_session_destroyed(lambda _session: seat.leave())
    problems: list[Exception] = []
    with Handed(problems.append):
        return document(seat)
    return doors.message("The app cannot open", _sentence(problems[0]), RETRY)


def _sentence(problem: Exception) -> str:
    """What a visitor is told; what nobody foresaw is for the log."""
    if isinstance(problem, StudioError):
        return str(problem)
    logger.error("a page could not be made", exc_info=problem)
    return BROKEN


def _lecture(room: Visitors) -> object:
    """A place in the audience, or a word at the door."""
    token = pn.state.session_args.get("run", [b""])[0].decode(errors="replace")
    broadcast = room.watched(token)
    if broadcast is None:
        return doors.message("No lecture here", GONE)
    leave = broadcast.enter()
    if leave is None:
        return doors.message("All seats are taken", f"{broadcast.seats} people are watching, as many as one lecture takes.", RETRY)
    return lecture.page(broadcast, leave)


def _forgive_closed_sockets(loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    """A browser that goes away in the middle of a message is no failure."""
    if type(context.get("exception")).__name__ != "WebSocketClosedError":
        loop.default_exception_handler(context)
