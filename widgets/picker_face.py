"""Picker face: what the region picker looks like - state, card, cut bonds, speed, and the buttons that act on the draft.

Shows what it is given; what happens when a button is pressed is the business of the picker.
"""

import html
import re

import panel as pn

from studio.measure import Speed
from studio.recipes.dynamics import Dynamics
from studio.region_card import Cut, RegionCard
from studio.structure import Structure
from widgets.chooser import Chooser
from widgets.draft import Draft
from widgets.pieces import button, fold, looks, reasons_of
from widgets.region_field import RegionField
from widgets.region_form import RegionForm
from widgets.speed import told
from widgets.words import figures, helped

MOST_CUTS = 40
"""Cut bonds that are listed."""
LINES = 4
"""Of the list of cut bonds."""


class PickerFace:
    """The widgets of the picker.

    Args:
        field: The region in words.
        chooser: The quick ways.
        form: What the network is told.

    Attributes:
        quiet: Widgets are being set; what they tell are no wishes.
    """

    def __init__(self, field: RegionField, chooser: Chooser, form: RegionForm) -> None:
        self.quiet = False
        self.state, self.told, self.pace, self.reasons = (pn.pane.HTML("", **looks()) for _ in range(4))
        self.cuts = pn.widgets.MultiSelect(label="Bonds cut", description="Choose one to see its atoms in the picture.", visible=False, **looks())
        self.which = pn.widgets.RadioBoxGroup(
            label="Region at hand", options={"Region 1": 0}, value=0, visible=False, tags=helped("Which of the regions the form is about."), **looks("segments")
        )
        self.more = button("Add a region", "With a potential of its own; what is between regions stays MM.", "quiet", "small")
        self.drop = button("Drop this region", "The first one stays.", "quiet", "small")
        self.measure = button("Measure", "A short real run on this machine.", "quiet", "small")
        self.stop = button("Stop measuring", "The number stays unknown.", "quiet", "small")
        self.use = button("Use this region", "The atoms stay where they are.", "primary")
        self.leave = button("Discard", "Back to what is in use.", "quiet")
        self.back = button("Undo", "Takes the last step of the draft back.", "quiet")
        self.again = button("Redo", "Takes it again.", "quiet")
        self.actions = pn.Column(self.use, pn.Row(self.back, self.again, self.leave, **looks("tight")), visible=False, **looks("stack", "actions"))
        self.stop.visible = False
        cannot = fold("Which potentials cannot", self.reasons)
        coupling = pn.Column(form.coupling, pn.Row(self.more, self.drop, **looks("pair")), **looks("stack"))
        self.panel = pn.Column(
            self.state, self.which, field.panel, chooser.panel, self.told, self.cuts, form.numbers, form.potential, cannot,
            self.pace, self.measure, self.stop, fold("More: embedding, several regions", coupling), self.actions, **looks("stack"),
        )  # fmt: skip

    def show_state(self, home: Dynamics | None, recipe: Dynamics | None, drafting: bool) -> None:
        """Say whether this is in use.

        Args:
            home: As the user set it up.
            recipe: What is shown.
            drafting: A draft is open.
        """
        mechanical = recipe is not None and not recipe.view.asks_network
        words = "Draft, not in use yet" if drafting else "Chosen; no network describes atoms at this level" if mechanical else "In use"
        mark = "draft" if drafting else "idle" if mechanical or home is None else "on"
        self.state.object = f'<p class="state {mark}" role="status"><i></i>{words if home is not None else "Nothing is open"}</p>'
        self.actions.visible = drafting

    def show_draft(self, draft: Draft, usable: bool) -> None:
        """Show what can be done with a draft.

        Args:
            draft: The draft, or what is in use as one.
            usable: It can be used.
        """
        self.use.disabled, self.back.disabled, self.again.disabled = not usable, not draft.can_undo, not draft.can_redo
        places = {f"Region {place}": place - 1 for place in range(1, 2 + len(draft.view.also))}
        self.quiet = True
        self.which.param.update(options=places, value=draft.at, visible=len(places) > 1)
        self.quiet = False
        self.drop.disabled = draft.at == 0

    def show_use(self, recipe: Dynamics) -> None:
        """Say how a draft would be used.

        Args:
            recipe: What would run.
        """
        self.use.label = f"Use this region: {'NNP' if recipe.view.resolution == 'nnp' else 'NNP/MM'}"

    def show_card(self, card: RegionCard, problem: str, structure: Structure) -> None:
        """Show what a region is.

        Args:
            card: Its card.
            problem: Why it cannot be used; empty when it can.
            structure: All atoms.
        """
        self.told.object = card_text(card, problem)
        self.reasons.object = reasons_of([one for one in card.potentials if one.state != "ready"])
        some = {bond_name(structure, cut): place for place, cut in enumerate(card.cuts[:MOST_CUTS])}
        more = f" (the first {MOST_CUTS})" if len(card.cuts) > MOST_CUTS else ""
        self.quiet = True
        size = max(2, min(LINES, len(some)))
        self.cuts.param.update(label=f"Bonds cut: {len(card.cuts)}{more}", options=some, value=[], size=size, visible=bool(some))
        self.quiet = False

    def show_speed(self, speed: Speed | None, refused: bool) -> None:
        """Show how fast it would run.

        Args:
            speed: Measured, or none.
            refused: It cannot run at all.
        """
        self.pace.object = told(speed, "" if refused else "Not measured yet.")
        self.measure.param.update(label="Measure again" if speed is not None else "Measure", disabled=refused)

    def say_speed(self, sentence: str) -> None:
        """Say why there is no speed.

        Args:
            sentence: For people.
        """
        self.pace.object = told(None, sentence)


def card_text(card: RegionCard, problem: str) -> str:
    """A region's card.

    Args:
        card: The card.
        problem: Why it cannot be used.
    """
    formula = re.sub(r"(\d+)", r"<sub>\1</sub>", html.escape(card.formula))
    links = f"{len(card.cuts)} cut, capped with hydrogens" if card.cuts else "none cut"
    rows = (
        ("Atoms", f"<b>{figures(len(card.atoms))}</b> \u00b7 {formula}"),
        ("Charge", f"{figures(card.charge)} e \u00b7 multiplicity {card.multiplicity}"),
        ("Bonds", links),
    )
    able = " \u00b7 ".join(html.escape(one.card.title) for one in card.potentials if one.able)
    ticks = f'<p class="able"><b>\u2713</b> {able}</p>' if able else ""
    wrong = f'<p class="problem" role="alert">{html.escape(problem)}</p>' if problem else ""
    cells = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in rows) if len(card.atoms) else ""
    return f'<table class="card">{cells}</table>{ticks}{wrong}'


def bond_name(structure: Structure, cut: Cut) -> str:
    """A cut bond in a few words, the atom inside first; the numbers tell equal ones apart.

    Args:
        structure: All atoms.
        cut: The bond.
    """
    inner, outer = structure.residue_of(cut.inner), structure.residue_of(cut.outer)
    other = "" if inner == outer else f" of {outer}"
    return f"{inner}: {structure.names[cut.inner]}\u2013{structure.names[cut.outer]}{other} ({cut.inner + 1}\u2013{cut.outer + 1})"
