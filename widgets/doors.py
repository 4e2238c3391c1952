"""Doors: who may come in - the password, the cookie that a visitor is known by, guests with a lecture's address, the origin of a websocket.

Knows requests and cookies; must not know what is behind the doors. Never logs or repeats what a visitor typed.
"""

import asyncio
import hmac
import logging
import secrets
import sys
from collections import defaultdict, deque
from time import monotonic
from typing import Any

import bokeh.server.auth_provider
import jinja2
import panel as pn
from bokeh.protocol.exceptions import ProtocolError
from bokeh.server.urls import per_app_patterns
from panel.io.resources import COMPONENT_PATH
from panel.io.server import ComponentResourceHandler
from tornado.web import HTTPError, RequestHandler
from tornado.websocket import WebSocketHandler

from widgets.desk import static
from widgets.viewer import NGL_ROUTE, PromptSocket

logger = logging.getLogger(__name__)

LOGIN = "/login"
LECTURE = "/lecture"
GUESTS = (LECTURE, f"{LECTURE}/ws", f"/{NGL_ROUTE}/index.js")
"""Where no password is asked: a lecture's address is a secret itself."""
COOKIE = "user"
"""Panel looks for the visitor under this name."""
COOKIE_DAYS = 30
TRIES, TRIES_SECONDS = 30, 60.0
"""Wrong passwords from one machine, and in what time; a class may sit behind one address."""
WRONG_SECONDS = 1.0
"""Wall time that a wrong password costs."""
MAX_BODY = 1 << 20
"""Bytes of a request, at most: files come through the websocket."""


def visitor() -> str:
    """The name of the visitor whose document this is; empty where nobody is asked."""
    return str(pn.state.user or "")


def message(title: str, sentence: str, retry: int = 0) -> pn.Template:
    """A page of words that needs no script and no worker.

    Args:
        title: A few words.
        sentence: What is the matter and what to do.
        retry: Seconds after which the page tries again by itself; 0 for never.
    """
    words = jinja2.Template(static("message.html"), autoescape=True).render(title=title, sentence=sentence, retry=retry)
    return pn.Template("{% raw %}" + words + "{% endraw %}")


class Tries:
    """Wrong passwords of the last minute, by machine."""

    def __init__(self) -> None:
        self._times: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=TRIES))

    def add(self, machine: str) -> None:
        """Another wrong one.

        Args:
            machine: Its address.
        """
        if len(self._times) > 1000:
            self._times.clear()  # many machines at once: bounded memory comes first
        self._times[machine].append(monotonic())

    def too_many(self, machine: str) -> bool:
        """Whether this machine has to wait.

        Args:
            machine: Its address.
        """
        times = self._times.get(machine, deque())
        return len(times) == TRIES and monotonic() - times[0] < TRIES_SECONDS


class Login(RequestHandler):
    """The page that asks for the password; afterwards the way leads to the app and nowhere else."""

    password = ""
    tries = Tries()

    def get(self) -> None:
        """Ask."""
        self._ask("")

    async def post(self) -> None:
        """Look at the answer; a right one is known by a signed cookie from now on."""
        machine = str(self.request.remote_ip)
        if self.tries.too_many(machine):
            self.set_status(429)
            self._ask("Too many wrong passwords came from here. Wait a minute, then try again.")
        elif hmac.compare_digest(self.get_body_argument("password", "").encode(), self.password.encode()):
            known = self.get_signed_cookie(COOKIE, max_age_days=COOKIE_DAYS)
            name = known.decode() if known else secrets.token_urlsafe(12)
            safe = self.request.protocol == "https"
            self.set_signed_cookie(COOKIE, name, expires_days=COOKIE_DAYS, httponly=True, samesite="Lax", secure=safe)
            self.redirect("./", status=303)
        else:
            self.tries.add(machine)
            await asyncio.sleep(WRONG_SECONDS)
            self.set_status(403)
            self._ask("This is not the password. Ask whoever started the app.")

    def _ask(self, problem: str) -> None:
        self.set_header("Cache-Control", "no-store")
        self.finish(jinja2.Template(static("login.html"), autoescape=True).render(problem=problem))


class Door(bokeh.server.auth_provider.AuthProvider):
    """Lets in who has given the password, and guests to what is theirs.

    Args:
        password: What visitors have to give.
    """

    def __init__(self, password: str) -> None:
        self._login = type("PasswordLogin", (Login,), {"password": password, "tries": Tries()})
        super().__init__()

    @property
    def get_user(self) -> Any:  # Bokeh says that it is given a request, and gives a handler
        """Who asks, by the cookie; none for a stranger."""
        return _user

    @property
    def login_url(self) -> str:
        """Where strangers are sent."""
        return LOGIN

    @property
    def login_handler(self) -> type[RequestHandler]:
        """What they find there."""
        return self._login


def _user(handler: RequestHandler) -> str | None:
    known = handler.get_signed_cookie(COOKIE, max_age_days=COOKIE_DAYS)
    if known:
        return known.decode()
    return "guest" if handler.request.path in GUESTS else None


class Socket(PromptSocket):
    """A websocket for pages of this server only, also where any name of the server is right."""

    def open(self) -> None:
        """Accept the connection; a stranger's is closed in a line, not with a traceback for each."""
        try:
            super().open()
        except (ProtocolError, ValueError) as problem:
            logger.info("a connection was refused: %s", type(problem).__name__)
            self.close()

    def check_origin(self, origin: str) -> bool:
        """Whether the page that asks came from here.

        Args:
            origin: Where it came from.
        """
        return bool(super().check_origin(origin)) and WebSocketHandler.check_origin(self, origin)


class Components(ComponentResourceHandler):
    """Panel's own files, of modules that the app has loaded: a stranger must not have others imported."""

    def parse_url_path(self, path: str) -> str:
        """The file behind a path.

        Args:
            path: Module, class, attribute and file, parted by slashes.

        Raises:
            HTTPError: There is no such file.
        """
        if path.split("/", maxsplit=1)[0] not in sys.modules:
            raise HTTPError(404)
        return str(super().parse_url_path(path))


PATTERNS: list[tuple[str, type[RequestHandler], dict[str, Any]]] = [(rf"/{COMPONENT_PATH}(.*)", Components, {})]
"""Routes that come before Panel's own."""


def install() -> None:
    """Have every Panel server started from now on use `Socket`."""
    per_app_patterns[:] = [(route[0], Socket if issubclass(route[1], WebSocketHandler) else route[1]) for route in per_app_patterns]
