"""Lecture: the light page of one viewer - the picture, the clock and the plots of somebody else's desk, to look at only.

Follows a broadcast wherever it goes. Knows how a viewer sees it and must not know who else does, nor any run.
"""

import html
from typing import Any

import panel as pn

from studio.frame import Frame
from widgets.alerts import Guard
from widgets.broadcast import Broadcast, Showing
from widgets.desk import css, static
from widgets.plots import Plots
from widgets.pump import Pump
from widgets.relay import Undo
from widgets.viewer import Viewer

REFRESH_MS = 1000
"""Wall time between two looks at what is shown."""
WAITING = "The lecturer's page is closed. This page goes on by itself when it is back."
OVER = "The lecture is over. Thank you for watching."
EMPTY = "Nothing is open yet. The molecule appears here by itself."


class Lecture:
    """What one viewer sees.

    Args:
        broadcast: What is shared.
        leave: Gives the viewer's seat back.
    """

    def __init__(self, broadcast: Broadcast, leave: Undo) -> None:
        self.broadcast, self._leave = broadcast, leave
        self._rest: Undo = lambda: None
        self.dark, self.sentence = True, ""
        self.guard = Guard(lambda sentence: self._say(sentence))
        self.viewer, self.plots = Viewer(dark=True), Plots(css("plots"))
        self.pump = Pump(self.guard.report)
        self._showing: Showing | None = None
        self._frame: Frame | None = None
        looks: dict[str, Any] = {"stylesheets": css("lecture"), "margin": 0, "align": "center"}
        self._head = pn.pane.HTML("", css_classes=["head-line"], sizing_mode="stretch_width", **looks)
        self._notice = pn.pane.HTML("", css_classes=["over"], visible=False, **looks)
        self._light = pn.widgets.Button(label="Light page", css_classes=["quiet"], **looks)
        self._light.on_click(self.guard.around(lambda _event: self.paint(not self.dark)))
        self.panel = self._arrange()
        self.paint(dark=True)
        for listener in (self._take, self.viewer.send, self.plots.add):
            self.pump.connect(listener)

    def start(self) -> None:
        """Start the clocks, in the document of the viewer."""
        with self.guard:
            self.refresh()
            if pn.state.curdoc is not None:
                self._rest = self.broadcast.relay.join(pn.state.curdoc, self.pump.tick, self.guard.report)
            pn.state.add_periodic_callback(self.refresh, period=REFRESH_MS).log = False

    def refresh(self) -> None:
        """Show what is now."""
        with self.guard:
            self._follow()
            self._tell()
            self.plots.flush()

    def close(self) -> None:
        """The viewer is gone."""
        self._rest()
        self._leave()

    def paint(self, dark: bool) -> None:
        """A dark or a light page.

        Args:
            dark: The ground is dark.
        """
        self.dark = self.viewer.pane.dark = dark
        self.plots.paint(dark)
        self.panel.css_classes = ["lecture", "dark" if dark else "light"]
        self._light.label = "Light page" if dark else "Dark page"

    def _follow(self) -> None:
        """Another system."""
        showing = self.broadcast.showing
        if showing is not None and showing is not self._showing:
            self._showing, self._frame = showing, None
            self.viewer.show(showing.structure, showing.highlight)
            self._recall(showing)
            self.pump.watch(showing.frames)

    def _recall(self, showing: Showing) -> None:
        """Empty plots, or what was plotted before this viewer came."""
        samples = showing.samples
        self.plots.restart()
        self.plots.panel.clock = "CG time" if self._beads else "time"
        if len(samples):
            energies = {name: samples[name] for name in samples.columns if name != "temperature"}
            self.plots.load(samples.time, samples["temperature"], energies)

    @property
    def _beads(self) -> bool:
        """What is shown are beads, which have a time of their own."""
        return self._showing is not None and self._showing.structure.is_beads

    def _tell(self) -> None:
        """The line above, and a sentence where there is nothing to see."""
        showing, frame, broadcast = self._showing, self._frame, self.broadcast
        title = f'<span class="title">{html.escape(showing.title)}</span>' if showing is not None else ""
        state, word = ("playing", "playing") if broadcast.playing else ("paused", "paused" if broadcast.present else "waiting")
        now = f"<b>{frame.temperature:.0f}</b> K {'CG time ' if self._beads else ''}<b>{frame.time:.3f}</b> ps" if frame is not None else ""
        watching = f"{broadcast.watching} watching"
        head = (
            f'<div class="head"><h1>Lecture</h1>{title}<span class="chip {state}" role="status"><i></i>{word}</span>'
            f'<span class="gap"></span><span class="num">{watching}</span><span class="num now">{now}</span></div>'
        )
        if self._head.object != head:
            self._head.object = head
        self._say(OVER if broadcast.over else WAITING if not broadcast.present else EMPTY if showing is None else "")

    def _say(self, sentence: str) -> None:
        if sentence != self.sentence:
            self.sentence = sentence
            self._notice.object, self._notice.visible = f'<p role="status">{html.escape(sentence)}</p>', bool(sentence)

    def _take(self, frame: Frame) -> None:
        self._frame = frame

    def _arrange(self) -> pn.Column:
        whole: dict[str, Any] = {"stylesheets": css("lecture"), "margin": 0, "sizing_mode": "stretch_both"}
        bar = pn.Row(self._head, self._light, css_classes=["bar"], stylesheets=css("lecture"), margin=0, sizing_mode="stretch_width")
        stage = pn.Column(self.viewer.pane, self._notice, css_classes=["stage"], **whole)
        below = pn.Column(self.plots.panel, css_classes=["below"], **whole)
        sheets = [static("theme.css"), static("widgets.css"), static("lecture.css")]
        return pn.Column(bar, stage, below, stylesheets=sheets, margin=0, sizing_mode="stretch_both")


def page(broadcast: Broadcast, leave: Undo) -> pn.Template:
    """The document of one viewer.

    Args:
        broadcast: What is shared.
        leave: Gives the viewer's seat back; called when the document is closed.
    """
    lecture = Lecture(broadcast, leave)
    template = pn.Template(static("lecture.html"))
    template.add_panel("lecture", lecture.panel)
    pn.state.on_session_destroyed(lambda _session: lecture.close())
    pn.state.onload(lecture.start)
    return template
