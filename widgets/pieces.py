"""Pieces: what the dial and the picker are made of - sections that unfold, common looks, and the reasons of potentials.

Knows widgets and cards, and must not know what is simulated.
"""

import html
from collections.abc import Sequence
from typing import Any

import panel as pn

from studio.region_card import Ability
from widgets.desk import css
from widgets.sight import WORDS


def looks(*classes: str) -> dict[str, Any]:
    """What all widgets of the dial and the picker have in common.

    Args:
        classes: For the stylesheets.
    """
    return {"stylesheets": css("builder", "dial", "picker"), "margin": 0, "sizing_mode": "stretch_width", "css_classes": list(classes)}


def button(label: str, help_text: str, *classes: str) -> pn.widgets.Button:
    """A button with a line of help.

    Args:
        label: What it does.
        help_text: Said when the mouse rests on it.
        classes: For the stylesheets.
    """
    return pn.widgets.Button(label=label, description=help_text, **looks(*classes))


def fold(title: str, content: pn.viewable.Viewable) -> pn.Card:
    """A section that can be unfolded, by mouse or keyboard.

    Args:
        title: What is in it, in words.
        content: What is in it.
    """
    head = pn.pane.HTML(f'<span class="fold">{html.escape(title)}</span>', stylesheets=css("dial"), margin=0)
    return pn.Card(content, header=head, title=title, collapsed=True, hide_header=False, **looks("fold"))


def reasons_of(abilities: Sequence[Ability]) -> str:
    """Potentials that are not ready for a region, and what makes each so.

    Args:
        abilities: What each says.
    """
    items = "".join(
        f"<li><b>{html.escape(one.card.title)}</b> {html.escape(WORDS.get(one.state, one.state))}<br>{html.escape(one.reason)}</li>" for one in abilities
    )
    return f'<ul class="notes">{items}</ul>' if items else '<p class="hint">All potentials that are known can be used.</p>'
