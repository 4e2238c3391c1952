"""Cell: one output of a notebook that shows a part - everything it needs comes along, and it is known whether a page still shows it.

A page that is closed or hidden says so by falling silent: then the desk's clocks rest, and go on when it is back. Knows desks and
Panel's way into a notebook, and must not know what a part shows.
"""

import asyncio
import base64
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from time import monotonic
from typing import Any, cast
from weakref import WeakKeyDictionary

import panel as pn
from bokeh.document import Document
from bokeh.document.events import DocumentChangedEvent, ModelChangedEvent
from bokeh.model import DataModel, Model
from bokeh.models import ImportedStyleSheet
from panel.custom import JSComponent
from panel.io.model import diff
from panel.io.notebook import push
from panel.io.resources import CDN_DIST, DIST_DIR, LOCAL_DIST
from pyviz_comms import Comm  # type: ignore[import-untyped]

from widgets.desk import Desk, Part, static

SILENCE = 120.0
"""Seconds without a pulse after which nobody looks."""
GRACE = 20.0
"""Seconds after its last output is gone in which a desk can be shown again before its worker ends: as long as a cell that runs anew takes."""


LINE = "potential-studio-cell"
"""Target of the line that each output holds open."""


class Pulse(JSComponent):
    """Says that the page is there. Nothing to see."""

    _esm = Path(__file__).parent / "static" / "pulse.js"


class Cell(pn.Column):
    """One output that shows a part.

    Args:
        part: What is shown; it may be shown in other cells too.
    """

    def __init__(self, part: Part) -> None:
        self.heard, self._loop, self._met = monotonic(), asyncio.get_running_loop(), False
        self._audience = audience_of(part.desk)
        make: Callable[..., Pulse] = Pulse
        pulse = make(width=0, height=0, margin=0)
        pulse.on_msg(lambda event: self._hear(event.data))
        self.view = cast(pn.viewable.Viewable, pn.panel(part))
        self.view.stylesheets = [*self.view.stylesheets, *(css for css in (static("cell.css"),) if css not in self.view.stylesheets)]
        styles = {"container-type": "inline-size", **({"height": f"{self.view.height}px"} if self.view.height else {})}
        super().__init__(self.view, pulse, margin=0, styles=styles)

    def get_root(self, doc: Document | None = None, comm: Comm | None = None, preprocess: bool = True) -> Model:
        """The model of this output, in a document that has all of Panel's stylesheets with it: where the page would else ask the net for them.

        Args:
            doc: What it becomes part of.
            comm: The line to the page.
            preprocess: As in Panel.
        """
        doc = doc or Document()
        known = {name: ImportedStyleSheet(url=data) for name, data in sheets().items()}
        pn.state._stylesheets[doc] = {f"{place}{name}": sheet for place in (CDN_DIST, LOCAL_DIST) for name, sheet in known.items()}
        self._audience.enter(self)
        root: Model = super().get_root(doc, comm, preprocess)
        return root

    def _on_msg(self, ref: str, manager: Model, message: Mapping[str, Any]) -> None:
        """What the page says; JupyterLab has the kernel hear it in a thread of its own.

        One event after the other: while Panel hears several it holds back what they change, and the answer to one can take what another changed
        along, to the page, before anybody here heard of it.
        """
        hear: Callable[[str, Model, object], None] = super()._on_msg

        def act() -> None:
            for event in message["content"]["events"]:
                if ref in pn.state._views:  # else late: the output is gone
                    hear(ref, manager, {**message, "header": dict(message["header"]), "content": {"events": [event]}})

        self._at_home(act)

    def _cleanup(self, root: Model | None = None) -> None:
        """The output is gone: cleared, run anew, or its notebook closed."""
        clean: Callable[[Model | None], None] = super()._cleanup

        def leave() -> None:
            clean(root)
            self._audience.leave(self)

        self._at_home(leave)

    def _at_home(self, act: Callable[[], object]) -> None:
        """Do it in the kernel's own thread: two threads that write to one page garble each other's messages."""
        if asyncio._get_running_loop() is self._loop:
            act()
        else:
            self._loop.call_soon_threadsafe(act)

    def _hear(self, message: object) -> None:
        match message:
            case {"type": "here", "light": light}:
                self.heard = monotonic()
                if not self._met:
                    self._met = True
                    self._tell_again()
                self._audience.hear(None if light is None else not light)

    def _tell_again(self) -> None:
        """The state of all parts: what changed before the page listened never came to it."""
        for ref, (root, _) in self._models.items():
            _, _, doc, comm = pn.state._views[ref]
            states = (model for model in root.references() if isinstance(model, DataModel))
            events: list[DocumentChangedEvent] = [
                ModelChangedEvent(doc, model, name, value) for model in states for name, value in model.properties_with_values().items() if name != "name"
            ]
            push(doc, comm, msg=diff(doc, events=events))


class Audience:
    """The outputs that show the parts of one desk.

    Args:
        desk: The desk.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._cells: set[Cell] = set()
        self._dark: bool | None = None
        self._watch: asyncio.TimerHandle | None = None
        desk.on_paint(lambda _dark: self._relight())

    def enter(self, cell: Cell) -> None:
        """Another output shows a part; the clocks run.

        Args:
            cell: The output.
        """
        cell.heard = monotonic()
        self._cells.add(cell)
        self._wake()
        self._relight()

    def leave(self, cell: Cell) -> None:
        """An output is gone.

        Args:
            cell: The output.
        """
        self._cells.discard(cell)
        if not self._cells:
            self._later(GRACE)

    def hear(self, dark: bool | None) -> None:
        """A page shows an output.

        Args:
            dark: The ground of the page, where that can be told.
        """
        self._wake()
        if dark is not None and dark != self._dark:
            self._dark = dark
            self._desk.paint(dark)

    def _wake(self) -> None:
        self._desk.start()
        self._later(SILENCE)

    def _later(self, seconds: float) -> None:
        """Look again later, instead of whenever that was to be."""
        if self._watch is not None:
            self._watch.cancel()
        self._watch = asyncio.get_running_loop().call_later(seconds, self._look)

    def _look(self) -> None:
        self._watch = None
        if not self._cells:
            self._desk.close()
            _audiences.pop(self._desk, None)
        elif max(cell.heard for cell in self._cells) + SILENCE <= monotonic():
            self._desk.rest()

    def _relight(self) -> None:
        """Views that stand alone follow the light of the desk."""
        old, new = ("light", "dark") if self._desk.dark else ("dark", "light")
        for cell in self._cells:
            cell.view.css_classes = [new if name == old else name for name in cell.view.css_classes]


_audiences: WeakKeyDictionary[Desk, Audience] = WeakKeyDictionary()


def audience_of(desk: Desk) -> Audience:
    """Who looks at a desk.

    Args:
        desk: The desk.
    """
    return _audiences.setdefault(desk, Audience(desk)) if desk not in _audiences else _audiences[desk]


def pick_up(line: Any, message: Mapping[str, Any]) -> None:
    """An output has a line open from now on; when it says there that it is gone, so is its share of everything.

    Args:
        line: A comm of IPython.
        message: What it was opened with.
    """
    root = message["content"]["data"].get("root")

    def hang_up(_message: object) -> None:
        view, model, _document, _comm = pn.state._views.pop(root, (None, None, None, None))
        if view is not None:
            view._cleanup(model)

    line.on_msg(hang_up)


@cache
def sheets() -> dict[str, str]:
    """Panel's stylesheets: their names, and each as a URL that holds all of it."""
    files = [file for folder in ("css", "bundled/theme") for file in sorted((DIST_DIR / folder).rglob("*.css"))]
    return {file.relative_to(DIST_DIR).as_posix(): _data_url(file) for file in files}


def _data_url(file: Path) -> str:
    return f"data:text/css;base64,{base64.b64encode(file.read_bytes()).decode()}"
