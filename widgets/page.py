"""Page: the document of one visitor - a desk in a seat, the studio on it, and the end of both.

Knows no physics and no layout.
"""

from typing import TYPE_CHECKING

import panel as pn

from widgets.desk import Desk, static
from widgets.studio import Studio

if TYPE_CHECKING:
    from widgets.visitors import Seat


class Page(pn.Template):
    """Panel describes a template with all that is on it, for notebooks, whenever something is added; that takes half a second here."""

    def __repr__(self) -> str:
        return type(self).__name__


def page(example: str, seat: "Seat") -> pn.Template:
    """The app for one document; the example opens and plays by itself.

    Args:
        example: One of `studio.system.EXAMPLES`.
        seat: Whose runs are shown, and what they may take.
    """
    desk = Desk(owner=seat.owner, launch=seat.launch, kept=seat.take, take_upload=seat.take_upload)
    seat.sit(desk.store, desk.pump)
    studio = Studio(None if seat.kept else example, desk, seat)
    if seat.kept:
        desk.guard.start(desk.store.reopen(seat.kept[-1]))
    template = Page(static("page.html"))
    template.add_panel("studio", studio.panel)
    if pn.state.curdoc is not None:
        pn.state.on_session_destroyed(lambda _session: end(studio, seat))
    pn.state.onload(desk.start)
    return template


def end(studio: Studio, seat: "Seat") -> None:
    """The visitor is gone: a run that is to be kept is handed over first.

    Args:
        studio: What was on the page.
        seat: The visitor's.
    """
    seat.leave()
    studio.close()
