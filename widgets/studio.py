"""Studio: all parts of one desk on one screen - the same in the app and in a notebook.

Says where things stand, and what opens first. Knows parts and must not know what is in them.
"""

from typing import TYPE_CHECKING, Any

import panel as pn

from studio.study import Inquiry
from widgets.builder import Builder
from widgets.compare import Compare
from widgets.control import RunControl
from widgets.desk import Desk, Part, css, static
from widgets.dial import Dial
from widgets.header import Header
from widgets.live import LiveView
from widgets.picker import RegionPicker
from widgets.recording import Recording
from widgets.reporting import Reporting
from widgets.runs import Runs
from widgets.studies import Studies
from widgets.tour import Tour

if TYPE_CHECKING:
    from widgets.visitors import Seat

HEIGHT = 760
"""Of the whole in a notebook, pixels."""


class Studio(Part):
    """The whole: build, choose, run, steer and compare.

    Args:
        example: What is opened first, one of `studio.system.EXAMPLES`; nothing when left out.
        desk: Shared with other parts; one of its own when left out.
        seat: The visitor's, where there is a server.
    """

    def __init__(self, example: str | None = None, desk: Desk | None = None, seat: "Seat | None" = None) -> None:
        super().__init__(desk)
        self.builder, self.picker, self.dial = Builder(self.desk), RegionPicker(self.desk), Dial(self.desk)
        self.live, self.control = LiveView(self.desk), RunControl(self.desk)
        self.runs, self.recording, self.compare = Runs(self.desk), Recording(self.desk), Compare(self.desk, self.store.launch)
        self.studies = Studies(self.desk, seat.inquire if seat is not None else Inquiry)
        self.reporting = Reporting(self.desk)
        self.header, self.tour = Header(self.desk, seat), Tour(self.desk)
        self.desk.on_paint(lambda _dark: self._light())
        self.header.on_size(self._light)
        self.store.param.watch(self.guard.around(lambda _event: self._light()), "compared")
        self.reporting.panel.param.watch(self.guard.around(lambda _event: self._light()), "visible")
        self.reporting.pane.param.watch(self.guard.around(lambda _event: self._light()), "tall")
        self.header.on_tour(self.tour.start)
        self.panel = self._arrange()
        self._light()
        if example is not None:
            self.guard.start(self.builder.open_example(example))

    def __panel__(self) -> pn.viewable.Viewable:
        """The whole screen, of a fixed height: a notebook has no window to fill."""
        self.desk.start()
        self.panel.height = HEIGHT
        return self.panel

    def close(self) -> None:
        """The visitor is gone: end what is only theirs."""
        self.builder.file.shelf.clear()
        self.desk.close()

    def _arrange(self) -> pn.Column:
        looks: dict[str, Any] = {"margin": 0, "sizing_mode": "stretch_both", "stylesheets": css("studio")}
        left = pn.Column(
            _fold("System", self.builder.form, "area-build"), _fold("Molecule", self.builder.story), _fold("Runs", self.runs.panel, "area-runs"),
            css_classes=["area-left"], **looks,
        )  # fmt: skip
        right = pn.Column(
            self.compare.table_panel, _fold("Studies", self.studies.panel, "area-studies", folded=True), _fold("Seen as", self.dial.panel, "area-dial"),
            _fold("ML region", self.picker.panel, "area-region"), _fold("Conditions", self.control.conditions),
            _fold("Held atoms", self.control.restraining, folded=True), _fold("Now", self.control.readouts),
            _fold("Compare with", self.compare.starts, folded=True), css_classes=["area-right"], **looks,
        )  # fmt: skip
        self._main = main = pn.Column(
            _area(self.live.panel, "area-live"), _area(self.compare.bar, "area-board"), _area(self.recording.panel, "area-recording"),
            _area(self.control.transport, "area-control"), _area(self.desk.plots.panel, "area-plots"), _area(self.reporting.panel, "area-report"),
            css_classes=["area-main"], margin=0, sizing_mode="stretch_both", stylesheets=css("studio", "large"),
        )  # fmt: skip
        header = _area(self.header.panel, "area-header")
        sheets = [static(f"{name}.css") for name in ("theme", "widgets", "studio", "large")]
        return pn.Column(header, left, main, right, self.tour.panel, margin=0, sizing_mode="stretch_both", stylesheets=sheets)

    def _light(self) -> None:
        """Dark or light, and the size of type, on the outermost layout; all colours follow."""
        size, board = ["large"] if self.header.large else [], ["comparing"] if self.store.compared else []
        self.panel.css_classes = ["studio", "dark" if self.desk.dark else "light", *size, *board]
        reported = ["reporting", *(["tall"] if self.reporting.pane.tall else [])] if self.reporting.panel.visible else []
        self._main.css_classes = ["area-main", *board, *reported]  # the board has a clock of its own


def _area(part: pn.viewable.Viewable, name: str) -> pn.viewable.Viewable:
    part.css_classes = [*(part.css_classes or []), name]
    return part


def _fold(title: str, part: pn.viewable.Viewable, name: str = "", folded: bool = False) -> pn.Card:
    """A section that can be folded away, by mouse or keyboard."""
    heading = pn.pane.HTML(f"<h2>{title}</h2>", stylesheets=css("section"), margin=0)
    return pn.Card(
        part, header=heading, collapsed=folded, css_classes=["section", *([name] if name else [])], stylesheets=css("section"), margin=0,
        sizing_mode="stretch_width", hide_header=False,
    )  # fmt: skip
