"""Held: the atoms that springs hold - what, where they are now, how stiff - and ways to let go.

Knows the store's restraints and the hand that pulls; must not know how springs act.
"""

import html

import panel as pn

from studio.frame import Frame
from studio.steering import DistanceRestraint, Restraint
from studio.stretch import stretch
from studio.structure import Structure
from studio.units import NM_PER_ANGSTROM
from widgets.bar import Bar, Tool
from widgets.desk import Desk, css
from widgets.picked import PER_KCAL
from widgets.stage import stage_of
from widgets.words import atom_name, effort, figures

NOTHING = '<p class="hint">Nothing is held. Pick one atom or more in the 3D view, then choose Hold.</p>'
NAMED = 3
"""Atoms of one restraint that are called by their names."""


class Held:
    """A list of what is held, with its buttons.

    Args:
        desk: Whose run it is.
    """

    def __init__(self, desk: Desk) -> None:
        self.desk, self.store, self.pulling = desk, desk.store, stage_of(desk).pulling
        self.hand = pn.pane.HTML("", stylesheets=css("control"), margin=0, sizing_mode="stretch_width")
        self.list = pn.Column(stylesheets=css("control"), margin=0, sizing_mode="stretch_width", css_classes=["stack"])
        self.all = Bar(desk.guard, "Held atoms", "outlined", "small")
        self.panel = pn.Column(self.hand, self.list, self.all.panel, stylesheets=css("control"), margin=0, sizing_mode="stretch_width", css_classes=["stack"])
        self._texts: list[pn.pane.HTML] = []
        for name in ("restraints", "structure"):
            self.store.param.watch(desk.guard.around(lambda _event: self.show()), name)
        self.show()

    def show(self) -> None:
        """Make the list anew, as the store says."""
        restraints = self.store.restraints if self.store.structure is not None else ()
        self._texts = [pn.pane.HTML("", stylesheets=css("control"), margin=0, sizing_mode="stretch_width") for _ in restraints]
        self.list[:] = [self._row(number, text) for number, text in enumerate(self._texts)]
        release = Tool("release", "Release all", "Let go of everything that is held.", self.release)
        self.all.show([release] if len(restraints) > 1 else [])
        self.refresh()

    def refresh(self) -> None:
        """The values of now."""
        structure, frame = self.store.structure, self.store.frame
        if structure is not None:
            for text, restraint in zip(self._texts, self.store.restraints, strict=False):
                text.object = told(structure, restraint, frame)
        self.hand.object = self._hand(structure, frame)

    def remove(self, number: int) -> None:
        """Let go of one.

        Args:
            number: Of the restraint, from 0.
        """
        kept = [restraint for index, restraint in enumerate(self.store.restraints) if index != number]
        self.store.restrain(tuple(kept))

    def release(self) -> None:
        """Let go of all."""
        self.store.restrain(())

    def _row(self, number: int, text: pn.pane.HTML) -> pn.Row:
        bar = Bar(self.desk.guard, f"Held {number + 1}", "outlined", "small")
        bar.show([Tool("remove", "Let go", "No longer hold this.", lambda: self.remove(number))])
        return pn.Row(text, bar.panel, css_classes=["held"], stylesheets=css("control"), margin=0, sizing_mode="stretch_width")

    def _hand(self, structure: Structure | None, frame: Frame | None) -> str:
        atom = self.pulling.atom
        if structure is not None and frame is not None and atom is not None:
            return f'<p class="pulled" role="status"><b>Pulling {html.escape(atom_name(structure, atom))}</b><br>{effort(frame)}</p>'
        return "" if self.store.restraints else NOTHING


def told(structure: Structure, restraint: Restraint, frame: Frame | None) -> str:
    """A restraint in words: what is held, how it is now, how stiff the spring is.

    Args:
        structure: Names the atoms.
        restraint: What is held.
        frame: Where the atoms are; none yet gives a dash.
    """
    names = [atom_name(structure, atom) for atom in restraint.atoms[:NAMED]]
    more = f" and {len(restraint.atoms) - NAMED} more" if len(restraint.atoms) > NAMED else ""
    now = figures(stretch(restraint, frame.positions, frame.box) / NM_PER_ANGSTROM if frame is not None else None, 2)
    if isinstance(restraint, DistanceRestraint):
        what, where = "\u2013".join(names), f"at {figures(restraint.nm / NM_PER_ANGSTROM, 2)} \u00c5, now {now} \u00c5"
    else:
        what, where = ", ".join(names) + more, f"in place, {now} \u00c5 off now"
    spring = f"{figures(restraint.stiffness / PER_KCAL, 1)} kcal/mol/\u00c5\u00b2"
    return f"<p><b>{html.escape(what)}</b> {where}<small>{spring}</small></p>"
