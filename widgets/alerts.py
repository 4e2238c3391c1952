"""Alerts: what went wrong, as a sentence in its place, with a way out - and the guard that turns errors into such sentences.

Knows sentences and buttons and must not know what failed. `Handed` is the one place in `widgets` that catches everything.
"""

import asyncio
import html
import logging
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any

import panel as pn
from param.parameterized import Event

from studio.errors import StudioError

logger = logging.getLogger(__name__)

WAYS = 3
"""Ways out of one sentence, at most, beside dismissing it."""
UNEXPECTED = "Something went wrong that should not have: {error}. The simulation is not affected; please report it."


@dataclass(frozen=True)
class WayOut:
    """A button: what it says and what it does."""

    label: str
    act: Callable[[], None]


class Alert(pn.Column):
    """A place for one sentence; the newer replaces the older.

    Args:
        css: Stylesheets of the buttons.
    """

    def __init__(self, css: list[str]) -> None:
        # made once: a button that comes later is not known to the page before its first click
        self._text = pn.pane.HTML("", stylesheets=css, margin=0, sizing_mode="stretch_width")
        self._buttons = [pn.widgets.Button(label="Dismiss", css_classes=["quiet"], stylesheets=css, margin=0, visible=False) for _ in range(WAYS + 1)]
        row = pn.Row(*self._buttons, css_classes=["ways"], stylesheets=css, margin=0)
        super().__init__(self._text, row, visible=False, css_classes=["alert"], stylesheets=css, margin=0, sizing_mode="stretch_width")
        self._ways: tuple[WayOut, ...] = ()
        self.sentence = ""
        for place, button in enumerate(self._buttons):
            button.on_click(partial(self._take, place))

    def say(self, sentence: str, *ways: WayOut, kind: str = "problem", title: str = "") -> None:
        """Show a sentence with its ways out.

        Args:
            sentence: What happened and what to do.
            ways: Buttons; one to dismiss is always there.
            kind: `problem` or `note`.
            title: A few words above the sentence.
        """
        self.sentence = sentence
        head = f"<strong>{html.escape(title)}</strong>" if title else ""
        self._text.object = f'<div role="alert">{head}{html.escape(sentence)}</div>'
        self._ways = (*ways[:WAYS], WayOut("Dismiss", lambda: None))
        for place, button in enumerate(self._buttons):
            shown = place < len(self._ways)
            label, look = (self._ways[place].label, "primary") if shown and place < len(self._ways) - 1 else ("Dismiss", "quiet")
            button.param.update(visible=shown, label=label, css_classes=[look])
        self.css_classes = ["alert", kind]
        self.visible = True

    def dismiss(self) -> None:
        """Take the sentence away."""
        self.visible, self.sentence = False, ""

    def _take(self, place: int, _event: Event) -> None:
        if place < len(self._ways):
            way = self._ways[place]
            self.dismiss()
            way.act()


class Handed(AbstractContextManager[None]):
    """What goes wrong inside is handed to `report` and ends there; what ends the process passes.

    Args:
        report: Called with the error.
    """

    def __init__(self, report: Callable[[Exception], None]) -> None:
        self.report = report

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        if not isinstance(error, Exception):
            return False
        self.report(error)
        return True


class Guard(Handed):
    """Whatever is raised inside becomes a sentence; the page goes on. Serves any number of times.

    Args:
        say: Where the sentence goes.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__(self._tell)
        self._say = say
        self._tasks: set[asyncio.Task[None]] = set()

    def _tell(self, error: Exception) -> None:
        """Say what went wrong; what nobody foresaw is logged with its traceback."""
        if isinstance(error, StudioError):
            self._say(str(error))
        else:
            logger.error("unexpected failure in the page", exc_info=error)
            self._say(UNEXPECTED.format(error=f"{type(error).__name__}: {error}"))

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin `work` under this guard and do not wait for it.

        Args:
            work: What to do.
        """
        task = asyncio.get_running_loop().create_task(self._do(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _do(self, work: Coroutine[Any, Any, None]) -> None:
        with self:
            await work

    def around(self, act: Callable[[Event], None]) -> Callable[..., None]:
        """`act` as a callback of a widget, under this guard.

        Args:
            act: Takes the event; the last one, where several parameters changed at once.
        """

        def guarded(*events: Event) -> None:
            with self:
                act(events[-1])

        return guarded
