"""Waiting: how the next run is coming along, how long it may still take, and a way to call it off.

Knows the store's word on it; must not know what is prepared.
"""

import html
from time import monotonic

import panel as pn

from studio.messages import Status
from widgets.bar import Bar, Tool
from widgets.desk import Desk, css
from widgets.words import duration

KNOWN_SECONDS, KNOWN_SHARE = 2.0, 0.04
"""Wall time and progress from which on a guess of the rest is worth reading."""


STUCK_SECONDS = 3.0
"""Wall time without progress after which nothing is guessed."""


class Remaining:
    """Guesses how long something takes from how far it has come since it was first seen."""

    def __init__(self) -> None:
        self._begun: tuple[float, float] | None = None
        self._last = (-1.0, 0.0)

    def __call__(self, fraction: float, now: float) -> float | None:
        """Seconds that are left, or none while it is too early to say; a fraction that falls begins anew.

        Args:
            fraction: How much is done.
            now: Wall time, s.
        """
        if self._begun is None or fraction < self._begun[0]:
            self._begun = (fraction, now)
        if fraction != self._last[0]:
            self._last = (fraction, now)
        if now - self._last[1] > STUCK_SECONDS:  # a step without news: who knows
            return None
        done, passed = fraction - self._begun[0], now - self._begun[1]
        return (1.0 - fraction) * passed / done if done > KNOWN_SHARE and passed > KNOWN_SECONDS else None

    def forget(self) -> None:
        """Something else begins."""
        self._begun = None


class Waiting:
    """Stands over the picture while something is prepared.

    Args:
        desk: Whose.
    """

    def __init__(self, desk: Desk) -> None:
        self.store = desk.store
        self.text = pn.pane.HTML("", stylesheets=css("live"), margin=0, sizing_mode="stretch_width")
        self.bar = Bar(desk.guard, "Preparation", "outlined")
        self.panel = pn.Column(self.text, self.bar.panel, stylesheets=css("live"), margin=0, css_classes=["waiting"], visible=False)
        self._remaining = Remaining()

    def refresh(self) -> None:
        """Show what is now."""
        status = self.status
        if self.panel.visible != (status is not None):
            self.panel.visible = status is not None
            self._remaining.forget()
        if status is None:
            return
        rest = self._remaining(status.fraction, monotonic())
        left = f"<small>{duration(rest)} left</small>" if rest is not None else ""
        bar = f'<progress max="1" value="{status.fraction:.2f}" aria-label="Preparation"></progress>'
        self.text.object = f'<div class="wait" role="status"><p>{html.escape(status.message)} {left}</p>{bar}</div>'
        cancel = Tool("cancel", "Cancel", "Stop preparing; what ran before goes on.", self.store.cancel)
        self.bar.show([cancel] if self.store.pending is not None else [])

    @property
    def status(self) -> Status | None:
        """What is waited for: the next run, or a new worker of the present one."""
        recovering = self.store.run is not None and self.store.status.state == "preparing"
        return self.store.pending or (self.store.status if recovering else None)
