"""Header: what the program and the run are, how fast it goes, and the comforts of the page - tour, keys, light, size, sharing.

Knows the store, words and a seat that can be shared; how the browser remembers light and size is `header.js`'s business. It says
that light or size changed, and must not know what follows.
"""

import html
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import panel as pn
import param
from panel.custom import JSComponent

from widgets.bar import Bar, Tool
from widgets.desk import Desk, Part, css
from widgets.words import STATES, figures, per_day

if TYPE_CHECKING:
    from widgets.visitors import Seat

KEYS = (
    ("Space", "Play or pause"),
    (".", "One step"),
    ("Z", "Undo: back to the moment before the last action"),
    ("1 2 3", "A click or drag in the picture means look, pick, pull"),
    ("C", "Bring what matters to the middle of the picture"),
    ("\u2190 \u2191 \u2193 \u2192 + \u2212", "Turn the picture, come closer, go away"),
    ("Esc", "Let go, stop picking or pulling, close a window"),
    ("Tab", "To the next control; Shift and Tab to the one before"),
    ("?", "This list"),
)
"""What keys do; those of the picture while it has the focus, the others anywhere but in a text."""
MOUSE = (
    ("Drag", "turns"), ("Right drag, Shift + drag", "moves"), ("Wheel", "comes closer"), ("Ctrl + drag", "pulls an atom"),
)  # fmt: skip
"""What the mouse does in the picture."""

Listener = Callable[[], None]


class HeaderPane(JSComponent):
    """The part of the header that lives in the page; its parameters are what `header.js` reads and writes."""

    dark = param.Boolean(default=True, doc="Dark ground; at first as this browser remembers it, or as its system is.")
    large = param.Boolean(default=False, doc="Large type and lines, for a projector; remembered by the browser.")
    address = param.String(default="", doc="Of the lecture, relative to the page; empty while nothing is shared.")
    watching = param.Integer(default=0, doc="Viewers of the lecture.")
    keys = param.List(default=[], doc="Pairs of keys and what they do.")
    mouse = param.List(default=[], doc="Pairs of what the mouse may do and what it does.")
    touring = param.Boolean(default=False, doc="There is a tour to take.")

    _esm = Path(__file__).parent / "static" / "header.js"


class Header(Part):
    """Name, run, speed and comforts. In a notebook: `header.dark = False`, `header.large = True`.

    Args:
        desk: Shared with other parts; one of its own when left out.
        seat: The page's place at a server, which can be shared; nothing can be shared when left out.
    """

    def __init__(self, desk: Desk | None = None, seat: "Seat | None" = None) -> None:
        super().__init__(desk)
        self.seat = seat
        self._sizes: list[Listener] = []
        self._tours: list[Listener] = []
        looks: dict[str, Any] = {"stylesheets": css("header"), "margin": 0}
        make: Callable[..., HeaderPane] = HeaderPane
        self.pane = make(dark=self.desk.dark, keys=[list(pair) for pair in KEYS], mouse=[list(pair) for pair in MOUSE], css_classes=["unseen"], **looks)
        self.title, self.state, self.numbers = (pn.pane.HTML("", css_classes=[name], **looks) for name in ("which", "state", "numbers"))
        self.bar = Bar(self.guard, "This page", "outlined", "small", "comforts")
        self.panel = pn.Row(self.pane, self.title, self.state, self.numbers, self.bar.panel, css_classes=["header"], sizing_mode="stretch_width", **looks)
        self._connect()
        self.refresh()

    # -- from Python ---------------------------------------------------------------------------------------------------

    @property
    def dark(self) -> bool:
        """A dark ground; the browser remembers it."""
        return bool(self.pane.dark)

    @dark.setter
    def dark(self, dark: bool) -> None:
        self.pane.dark = dark

    @property
    def large(self) -> bool:
        """Large type and lines, for a projector; the browser remembers it."""
        return bool(self.pane.large)

    @large.setter
    def large(self, large: bool) -> None:
        self.pane.large = large

    @property
    def address(self) -> str:
        """Where others can watch, relative to the page; empty while nothing is shared."""
        return str(self.pane.address)

    def on_size(self, react: Listener) -> None:
        """Have `react` called when `large` changes.

        Args:
            react: Lays out anew.
        """
        self._sizes.append(react)

    def on_tour(self, start: Listener) -> None:
        """Have `start` called when the user wants the tour; without, the header offers none.

        Args:
            start: Begins the tour.
        """
        self._tours.append(start)
        self.pane.touring = True
        self.refresh()

    def share(self) -> None:
        """Let others watch, and show the address; doing so twice is the same as once."""
        if self.seat is not None:
            self.pane.address = self.seat.share()
            self.pane._send_msg({"open": "share"})
            self.refresh()

    def unshare(self) -> None:
        """Nobody may watch any more."""
        if self.seat is not None:
            self.seat.unshare()
            self.pane.param.update(address="", watching=0)
            self.refresh()

    # -- what is shown -------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Show what is now."""
        self.title.object = self._title()
        self.state.object = self._chip()
        self.numbers.object = self._numbers()
        self.bar.show(self._tools())
        self.pane.watching = self.seat.watching if self.seat is not None else 0

    def _connect(self) -> None:
        around = self.guard.around
        self.pane.on_msg(lambda event: self._hear(event.data))
        self.pane.param.watch(around(lambda event: self._paint(event.new)), "dark")
        self.pane.param.watch(around(lambda _event: self._resize()), "large")
        self.desk.on_paint(self._painted)
        self.desk.each_tick(self.refresh)

    def _hear(self, message: object) -> None:
        with self.guard:
            match message:
                case {"do": "tour"}:
                    self._tour()
                case {"do": "unshare"}:
                    self.unshare()

    def _paint(self, dark: bool) -> None:
        if dark != self.desk.dark:
            self.desk.paint(dark)
        self.refresh()

    def _painted(self, dark: bool) -> None:
        """The light was changed from elsewhere."""
        self.pane.dark = dark

    def _resize(self) -> None:
        for react in self._sizes:
            react()
        self.refresh()

    def _tour(self) -> None:
        for start in self._tours:
            start()

    def _show_keys(self) -> None:
        self.pane._send_msg({"open": "keys"})

    def _flip_light(self) -> None:
        self.dark = not self.dark

    def _flip_size(self) -> None:
        self.large = not self.large

    def _tools(self) -> tuple[Tool, ...]:
        other = "Light" if self.dark else "Dark"
        watching = f" \u00b7 {self.seat.watching}" if self.seat is not None and self.address else ""
        sharing = Tool("share", f"Share{watching}", "Let others watch this page in their browsers: an address for the audience.", self.share,
                       pressed=bool(self.address))  # fmt: skip
        touring = Tool("tour", "Tour", "Five steps through this screen.", self._tour)
        return (
            *([sharing] if self.seat is not None else []),
            Tool("size", "Large", "Larger type and lines, for a projector; this browser remembers it.", self._flip_size, pressed=self.large),
            Tool("light", other, f"A {other.lower()} page; this browser remembers it.", self._flip_light, "theme"),
            Tool("keys", "Keys", "What keys and mouse do.", self._show_keys, keys=("?",)),
            *([touring] if self._tours else []),
        )

    def _title(self) -> str:
        number = f"run {self.store.entry.id}: " if self.store.entry is not None else ""
        title = f'<span class="title">{number}{html.escape(self.store.title)}</span>' if self.store.title else ""
        return f'<div class="head"><h1>Potential Studio</h1>{title}</div>'

    def _chip(self) -> str:
        """How the run is, in words: the colour only says it again."""
        store = self.store
        recorded = store.player is not None
        state = "preparing" if store.pending is not None else store.status.state
        doubtful = store.pending is None and bool(store.status.doubts)
        words = "recording" if recorded else f"{STATES[state]}, in doubt" if doubtful else STATES[state]
        return f'<span class="chip {"recording" if recorded else state}" role="status"><i></i>{words}</span>'

    def _numbers(self) -> str:
        store, frame = self.store, self.store.frame
        playing = store.pending is None and store.player is None and store.status.state == "playing"
        moving = playing or store.player is not None
        speed = frame.ns_per_day if frame is not None and frame.speed and playing else None
        cells = ((self.desk.viewer.fps if moving else None, 0, "frames/s"), (speed, 2, per_day(store.clock)))
        told = "".join(f'<span class="num"><b>{figures(value, digits)}</b> {unit}</span>' for value, digits, unit in cells)
        return f'<div class="line">{told}</div>'
