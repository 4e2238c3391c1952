"""Picked: what the picked atoms are and measure, and what can be done with them - one line over the picture.

Knows the stage; must not know what a restraint does.
"""

import html

import panel as pn

from studio.errors import SettingsError
from studio.observables import Distance
from studio.structure import Structure
from studio.units import KJ_PER_KCAL, NM_PER_ANGSTROM
from widgets.bar import Bar, Tool
from widgets.desk import css
from widgets.stage import Stage, value_of
from widgets.words import atom_name

PER_KCAL = KJ_PER_KCAL / NM_PER_ANGSTROM**2
"""kJ/mol/nm^2 in a kcal/mol/angstrom^2."""
STIFFNESS = 2.5
"""What a hold starts with, kcal/mol/angstrom^2: wins against water and bends no bond."""
STIFFEST = 20.0
NAMED = 4
"""Atoms that are called by their names; of more there is a count."""


class PickBar:
    """The line of the picked atoms.

    Args:
        stage: Does what is asked for.
    """

    def __init__(self, stage: Stage) -> None:
        self.stage, self.store = stage, stage.store
        sheets = css("live")
        self.text = pn.pane.HTML("", stylesheets=sheets, margin=0, align="center")
        self.bar = Bar(stage.desk.guard, "Picked atoms", "outlined", "small")
        self.spring = pn.widgets.FloatInput(
            label="Stiffness", value=STIFFNESS, start=0.05, end=STIFFEST, step=0.5, format="0.[00]", width=156, margin=0, stylesheets=sheets,
            description="Of the spring that holds, kcal/mol/\u00c5\u00b2: 0.5 leads gently, 2.5 holds, 10 pins.", css_classes=["stiffness"],
        )  # fmt: skip
        self.panel = pn.Row(self.text, self.bar.panel, self.spring, css_classes=["picks"], stylesheets=sheets, margin=0, visible=False)

    @property
    def stiffness(self) -> float:
        """Of the next hold, kJ/mol/nm^2.

        Raises:
            SettingsError: The field is empty.
        """
        if self.spring.value is None:
            raise SettingsError(f"Expected a stiffness of the hold, got nothing. Enter a number from 0.05 to {STIFFEST:g} kcal/mol/\u00c5\u00b2.")
        return float(self.spring.value) * PER_KCAL

    def refresh(self) -> None:
        """Show what is now."""
        picks, structure = self.store.picks, self.store.structure
        there = bool(picks) and not self.store.reported and structure is not None and max(picks) < len(structure)
        if self.panel.visible != there:
            self.panel.visible = there
        if there and structure is not None:
            self.text.object = f'<span class="picked" role="status">{self._words(structure)}</span>'
            self.bar.show(self._tools(structure))

    def _words(self, structure: Structure) -> str:
        picks, measured = self.store.picks, self.stage.picked
        if measured is not None:
            return f"{html.escape(', '.join(measured.names))}: <b>{value_of(measured, self.store.frame)}</b>"
        if len(picks) == 1:
            return f"{html.escape(structure.label(picks[0]))}"
        residues = {int(structure.residue_index[atom]) for atom in picks}
        where = f" of {html.escape(str(structure.residues[residues.pop()]))}" if len(residues) == 1 else ""
        return f"<b>{len(picks)} atoms</b>{where}"

    def _tools(self, structure: Structure) -> tuple[Tool, ...]:
        picks, stage = self.store.picks, self.stage
        measured, one = stage.picked, f"Pick two atoms; {len(picks)} picked."
        frozen = next((atom_name(structure, atom) for atom in picks if structure.fixed[atom]), "")
        still = f"{frozen} is frozen and never moves." if frozen else ""
        free = self._unfree(structure)
        known = measured is not None and measured.label in {each.label for each in self.store.observables}
        plot_off = "It is plotted already." if known else "" if measured is not None else "Pick two, three or four atoms."
        return (
            Tool("plot", "Plot", "Follow this value in the plots.", stage.plot_picks, off=plot_off),
            Tool(
                "distance", "Hold distance", "Hold the two atoms at the distance that they have now.", lambda: stage.hold_distance(self.stiffness),
                off=free if isinstance(measured, Distance) else one,
            ),
            Tool("here", "Hold here", "Hold each picked atom where it is now.", lambda: stage.hold_here(self.stiffness), off=still),
            Tool("residue", "Residue", "Pick the whole residues (Shift and click picks one).", lambda: stage.pick_residues(picks)),
            Tool("centre", "Centre", "Bring the picked atoms to the middle.", lambda: stage.viewer.centre(picks)),
            Tool("clear", "Clear", "Pick nothing.", self._clear),
        )  # fmt: skip

    def _unfree(self, structure: Structure) -> str:
        """Why a pair cannot be held; empty when one of the two moves."""
        return "Both atoms are frozen and never move." if structure.fixed[list(self.store.picks)].all() else ""

    def _clear(self) -> None:
        self.store.picks = ()
