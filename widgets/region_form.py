"""Region form: what a network is told about its region - charge, multiplicity, potential - and how regions meet their surroundings.

Shows a view and hands on what is changed in it; must not know who takes it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import panel as pn
from param.parameterized import Event

from studio.hybrid.view import View
from studio.region_card import RegionCard
from widgets.alerts import Guard
from widgets.draft import Draft
from widgets.pieces import looks
from widgets.sight import menu

EMBEDDINGS = {"Mechanical: by MM charges": "mechanical", "Electrostatic: by the network's own charges": "electrostatic"}
POLARISATIONS = {"None": "none", "P1: each atom by itself": "P1", "P2: coupled dipoles": "P2"}
LINKS = {"At a fixed distance": "fixed", "At a fixed part of the bond": "scaled"}
HIGHEST = 20
"""Charge and multiplicity that the fields take: more is a slip of the finger."""

Change = Callable[[Callable[[Draft], None]], None]
"""Takes a change of the draft; begins one where there is none."""
Write = Callable[[Draft, Any], None]


class RegionForm:
    """The settings of the fragment at hand, and those of all.

    Args:
        change: Takes what is changed.
        guard: Takes what goes wrong.
    """

    def __init__(self, change: Change, guard: Guard) -> None:
        self._change, self._guard, self._quiet = change, guard, False
        self.charge = pn.widgets.IntInput(
            label="Charge, e", value=None, start=-HIGHEST, end=HIGHEST, description="That the network is told. Empty: as drawn.", **looks()
        )
        self.multiplicity = pn.widgets.IntInput(
            label="Multiplicity", value=None, start=1, end=HIGHEST, description="2S+1 that the network is told. Empty: as the molecule has it.", **looks()
        )
        self.potential = pn.widgets.Select(label="Potential of this region", description="Only those that can describe it can be chosen.", **looks())
        self.embedding = pn.widgets.Select(
            label="Embedding", options=EMBEDDINGS, description="How the region and what is around it feel each other's charges (NNP/MM).", **looks()
        )
        self.polarisation = pn.widgets.Select(
            label="Polarisation", options=POLARISATIONS, description="How the region's charge cloud gives way (electrostatic embedding).", **looks()
        )
        self.link = pn.widgets.Select(label="Link hydrogens", options=LINKS, description="Where those sit that cap cut bonds.", **looks())
        self.numbers = pn.Row(self.charge, self.multiplicity, **looks("pair"))
        self.coupling = pn.Column(self.embedding, self.polarisation, self.link, **looks("stack"))
        self._connect()

    def show(self, draft: Draft, card: RegionCard | None) -> None:
        """Show what is.

        Args:
            draft: The view, and which fragment is at hand.
            card: Of that fragment, where it is known.
        """
        view, fragment = draft.view, draft.fragment
        with self._quietly():
            self.charge.param.update(value=fragment.charge, placeholder=f"{card.charge:+d} as drawn".replace("+0", "0") if card is not None else "as drawn")
            self.multiplicity.param.update(value=fragment.multiplicity, placeholder=str(card.multiplicity) if card is not None else "1")
            self.embedding.value, self.link.value = view.embedding, view.link
            self.polarisation.param.update(value=view.polarisation, disabled=view.embedding != "electrostatic")
            if card is not None:
                self.potential.param.update(**menu(card.potentials, fragment.potential))

    def _connect(self) -> None:
        for name, widget in (("charge", self.charge), ("multiplicity", self.multiplicity), ("potential", self.potential)):
            self._follow(widget, _describing(name))
        self._follow(self.embedding, lambda draft, value: draft.change(coupled(draft.view, value)))
        self._follow(self.polarisation, lambda draft, value: draft.change({"polarisation": value}))
        self._follow(self.link, lambda draft, value: draft.change({"link": value}))

    def _follow(self, widget: pn.widgets.Widget, write: Write) -> None:
        def on_value(event: Event) -> None:
            if not self._quiet:
                self._change(lambda draft: write(draft, event.new))

        widget.param.watch(self._guard.around(on_value), "value")

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        """Widgets set inside are news, not wishes."""
        self._quiet = True
        try:
            yield
        finally:
            self._quiet = False


def _describing(name: str) -> Write:
    """Writes a setting of the fragment at hand."""

    def write(draft: Draft, value: Any) -> None:
        draft.describe({name: value})

    return write


def coupled(view: View, embedding: str) -> dict[str, str]:
    """The settings that go with an embedding: polarisation belongs to the electrostatic one.

    Args:
        view: As it is.
        embedding: As it is wished.
    """
    return {"embedding": embedding, "polarisation": view.polarisation if embedding == "electrostatic" else "none"}
