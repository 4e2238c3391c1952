"""Desk: what the parts of one document share - store, live view, plots, alert, the one clock - and what a part is.

A part shows a piece of the store and writes wishes into it; it never talks to another part. In the app all parts lie on one
page; in a notebook each can be shown alone, and parts of the same desk follow each other. Knows no physics and no server.
"""

from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any, cast

import panel as pn

from studio.frame import Frame
from studio.library import Library
from studio.potentials.base import Card
from studio.potentials.catalogue import ready_cards
from widgets.alerts import Alert, Guard
from widgets.opening import Kept, Launch, launch, nothing_kept
from widgets.plots import Plots
from widgets.pump import Pump
from widgets.store import Store
from widgets.viewer import Viewer

REFRESH_MS = 200
"""Wall time between two looks at the runs; numbers that change faster cannot be read."""

Refresh = Callable[[], None]


@cache
def static(name: str) -> str:
    """The text of a file in `widgets/static`.

    Args:
        name: Of the file.
    """
    return files("widgets").joinpath("static", name).read_text(encoding="utf-8")


def css(*names: str) -> list[str]:
    """Stylesheets of a part: the common one, and its own.

    Args:
        names: Files in `widgets/static`, without ending.
    """
    return [static("widgets.css"), *(static(f"{name}.css") for name in names)]


class Desk:
    """What the parts of one document share.

    Args:
        library: Where runs are kept; the user's own when left out.
        owner: Whose runs these are.
        dark: Dark ground.
        launch: Makes a run.
        kept: Gives back a run that went on without a page.
        take_upload: Is told the size, MB, of each file before it is taken, and may refuse.
    """

    def __init__(
        self,
        library: Library | None = None,
        owner: str = "",
        *,
        dark: bool = True,
        launch: Launch = launch,
        kept: Kept = nothing_kept,
        take_upload: Callable[[float], None] = lambda _megabytes: None,
    ) -> None:
        self.store, self.alert, self.take_upload = Store(library, owner, launch, kept), Alert(css()), take_upload
        self.guard = Guard(lambda sentence: self.alert.say(sentence))
        self.viewer, self.plots, self.pump = Viewer(dark=dark), Plots(css("plots")), Pump(self.guard.report)
        self.cards: dict[str, Card] = ready_cards()
        self.dark = dark
        self._refreshes: list[Refresh] = []
        self._ends: list[Refresh] = []
        self._paints: list[Callable[[bool], None]] = []
        self._clock: Any = None
        self.store.param.watch(self.guard.around(lambda _event: self._follow()), ["run", "player"])
        self.store.param.watch(self.guard.around(lambda event: self._say_refusal(event.new)), "refusal")
        for listener in (self.store.take, self._look, self._plot):
            self.pump.connect(listener)

    def each_tick(self, refresh: Refresh) -> None:
        """Have `refresh` called a few times a second.

        Args:
            refresh: Shows what is now; quick.
        """
        self._refreshes.append(refresh)

    def on_paint(self, paint: Callable[[bool], None]) -> None:
        """Have `paint` called when the light changes.

        Args:
            paint: Takes true for a dark ground.
        """
        self._paints.append(paint)

    def on_close(self, end: Refresh) -> None:
        """Have `end` called when the desk is left.

        Args:
            end: Ends what the store does not know of.
        """
        self._ends.append(end)

    def paint(self, dark: bool) -> None:
        """A dark or a light ground.

        Args:
            dark: The ground is dark.
        """
        self.dark = dark
        self.viewer.pane.dark = dark
        self.plots.paint(dark)
        for paint in self._paints:
            paint(dark)

    def start(self) -> None:
        """Start the clocks; doing so twice is the same as once. In a notebook they run on the kernel's own loop."""
        self.pump.start()
        if self._clock is None:
            self._clock = pn.state.add_periodic_callback(self.refresh, period=REFRESH_MS)
            self._clock.log = False

    def refresh(self) -> None:
        """Hear the runs and show what they say."""
        with self.guard:
            self.store.refresh()
            for refresh in self._refreshes:
                refresh()
            self.plots.flush()

    def rest(self) -> None:
        """Stop the clocks; runs go on."""
        clock, self._clock = self._clock, None
        if clock is not None:
            clock.stop()
        self.pump.stop()

    def close(self) -> None:
        """End the workers and the clocks."""
        self.rest()
        for end in self._ends:
            end()
        self.store.close()

    def _follow(self) -> None:
        """Frames come from the run that is shown now, or from its recording."""
        self.pump.watch(self.store.source)
        if self.store.player is None:
            self.plots.mark(None)

    def _look(self, frame: Frame) -> None:
        """Frames move the molecule, unless the view shows something else."""
        if not self.store.reported:
            self.viewer.send(frame)

    def _plot(self, frame: Frame) -> None:
        """A live frame adds to the lines; one of a recording is only pointed at."""
        if self.store.player is None:
            self.plots.add(frame)
        else:
            self.plots.mark(frame.time)

    def _say_refusal(self, refusal: Any) -> None:
        if refusal is None:
            self.alert.dismiss()
        else:
            more = "Nothing was changed." if self.store.run is not None else "Choose another molecule."
            self.alert.say(f"{refusal.sentence} {more}")


class Part(pn.viewable.Viewer):
    """Parent of the parts: a piece of the screen at a desk.

    Args:
        desk: Shared with other parts; one of its own when left out.

    Attributes:
        panel: What is laid out on the page.
    """

    panel: pn.viewable.Viewable

    def __init__(self, desk: Desk | None = None) -> None:
        begin: Callable[[], None] = super().__init__
        begin()
        self.desk = desk or Desk()
        self.store, self.guard = self.desk.store, self.desk.guard

    def __panel__(self) -> pn.viewable.Viewable:
        """The part by itself, as a notebook shows it: with its own light, and a place for sentences."""
        self.desk.start()
        ground = "dark" if self.desk.dark else "light"
        sheets = [static("theme.css"), static("widgets.css")]
        whole = pn.Column(self.desk.alert, self.panel, css_classes=["alone", ground], stylesheets=sheets, margin=0, sizing_mode="stretch_width")
        return cast(pn.viewable.Viewable, whole)
