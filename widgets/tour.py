"""Tour: five steps through the screen, for who sees it first - and for everybody who asks again.

Knows what the areas of the screen are called and are for; how a browser shows it and remembers it, `tour.js` knows. Native dialogs
and about a hundred lines do it: the tour libraries that are packed for Python look for places in the document only, never
inside the shadow roots that all of this page is made of.
"""

from collections.abc import Callable
from pathlib import Path

import panel as pn
import param
from panel.custom import JSComponent

from widgets.desk import Desk, Part, css

NOT_NOW = -1
STEPS = (
    (".area-build", "Build a system",
     "Type a SMILES or a name, draw a molecule, open a file, or take an example. "
     "What was done to your structure is listed, and can be undone."),
    (".area-live", "Watch it, touch it",
     "Drag turns, right or Shift+drag moves, the wheel comes closer, C centres. "
     "With Pick, a click measures atoms; with Pull, or Ctrl+drag, a spring pulls them."),
    (".area-dial", "Turn the resolution",
     "From a neural network for everything (NNP) to a plain force field (MM): each level says how many particles it moves and how fast. "
     "Your atoms come along."),
    (".area-region", "Choose the ML region",
     "The network describes these atoms, the force field the others: a ligand, residues, or what you click. "
     "The card says what it costs, as measured here."),
    (".area-runs", "Keep, replay, compare",
     "Every run is kept: open it again, replay it, take it home as trajectory, figures or a script. Two to four of them can be compared side by side."),
)  # fmt: skip
"""Where, what and how to say it."""


class TourPane(JSComponent):
    """The part of the tour that lives in the page; its parameters are what `tour.js` reads and writes."""

    steps = param.List(default=[], doc="Of each step its place as a selector, title and text.")
    step = param.Integer(default=NOT_NOW, doc="The step that is shown, from 0; -1 for none.")
    welcome = param.Boolean(default=False, doc="Starts by itself in a browser that has not seen it.")
    aside = param.Boolean(default=False, doc="Something more important stands on the page; it is hidden meanwhile.")

    _esm = Path(__file__).parent / "static" / "tour.js"


class Tour(Part):
    """Five steps through the screen. It starts by itself at the first visit of the app; a notebook is not interrupted.

    Args:
        desk: Shared with other parts; one of its own when left out.
    """

    panel: TourPane

    def __init__(self, desk: Desk | None = None) -> None:
        super().__init__(desk)
        make: Callable[..., TourPane] = TourPane
        self.panel = make(steps=[list(step) for step in STEPS], welcome=_served(), stylesheets=css("tour"), margin=0)
        self.desk.alert.param.watch(self.guard.around(lambda _event: self._make_way()), "visible")
        self._make_way()

    @property
    def step(self) -> int | None:
        """The step that is shown, from 0; none while there is no tour."""
        return None if self.panel.step == NOT_NOW else int(self.panel.step)

    def start(self) -> None:
        """From the first step, also where it was seen already."""
        self.panel.step = 0

    def end(self) -> None:
        """No tour any more."""
        self.panel.step = NOT_NOW

    def _make_way(self) -> None:
        """What went wrong comes first; the tour goes on when that is read."""
        self.panel.aside = self.desk.alert.visible


def _served() -> bool:
    """Whether this is a page of the app, not the output of a notebook."""
    return pn.state.curdoc is not None and pn.state.curdoc.session_context is not None
