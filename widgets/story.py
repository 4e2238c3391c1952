"""Story: the molecule on paper, and what was done to it on its way in, each with its way back.

Knows deeds and who builds again; what a deed is and what undoes it is the business of `studio.deeds`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import panel as pn
import param
from panel.custom import JSComponent

from studio.deeds import Deed, deeds
from studio.system import System
from widgets.desk import Desk
from widgets.paper import Paper
from widgets.sources import looks

ASKED = "as you asked"
"""How the core says that something was undone."""


class DeedsPane(JSComponent):
    """The part of the list that lives in the page; its parameters are what `story.js` reads."""

    title = param.String(default="", doc="Heading; nothing is shown without.")
    deeds = param.List(default=[], item_type=dict, doc="Sentences with the words of their buttons; see `laid_out`.")

    _esm = Path(__file__).parent / "static" / "story.js"


class Story:
    """Drawing and deeds of what the desk shows.

    Args:
        desk: What is shown.
        rebuild: Called with the system in which a deed is undone.

    Attributes:
        deeds: What was done.
    """

    def __init__(self, desk: Desk, rebuild: Callable[[System], None]) -> None:
        self.store, self.guard, self._rebuild = desk.store, desk.guard, rebuild
        self.paper = Paper(desk)
        self.deeds: tuple[Deed, ...] = ()
        make: Callable[..., DeedsPane] = DeedsPane
        self.list = make(**looks())
        self.list.on_msg(lambda event: self.hear(event.data))
        self.panel = pn.Column(self.paper.panel, self.list, css_classes=["stack"], **looks())
        self.store.param.watch(self.guard.around(lambda _event: self.tell()), "structure")

    def tell(self) -> None:
        """List what was done to what is shown now."""
        structure, recipe = self.store.structure, self.store.recipe
        shown = structure is not None and recipe is not None
        self.deeds = deeds(structure, recipe.system) if structure is not None and recipe is not None else ()
        self.list.param.update(title=f"What was done: {len(self.deeds)}" if shown else "", deeds=[laid_out(deed) for deed in self.deeds])

    def hear(self, message: object) -> None:
        """Take a message of the page; see `story.js`.

        Args:
            message: A button was pressed.
        """
        match message:
            case {"type": "undo", "deed": int(number)} if 0 <= number < len(self.deeds):
                with self.guard:
                    self.undo(number)

    def undo(self, number: int) -> None:
        """Build again without one of the deeds, or with what was undone.

        Args:
            number: Of `deeds`; one that cannot be undone is left.
        """
        system = self.deeds[number].undo
        if system is not None:
            self._rebuild(system)


def laid_out(deed: Deed) -> dict[str, Any]:
    """A deed as `story.js` takes it.

    Args:
        deed: What was done.
    """
    return {"sentence": deed.sentence, "action": deed.action, "reason": deed.reason, "undone": ASKED in deed.sentence and deed.undo is not None}
