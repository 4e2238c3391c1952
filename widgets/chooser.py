"""Chooser: quick ways to say which atoms - buttons, picks, a pattern, a list of residues - and how they join what is chosen.

Makes regions, and must not know what becomes of them.
"""

import html
from collections.abc import Callable
from typing import Literal

import panel as pn

from studio.errors import RegionError
from studio.region import KindIs, Ligand, Near, Region, Smarts, Solute
from studio.structure import Residue, Structure
from studio.units import NM_PER_ANGSTROM
from widgets.alerts import Guard
from widgets.draft import Join, picked, residues_named, side_chains_near
from widgets.pieces import button, fold, looks
from widgets.words import helped

JOINS: dict[str, Join] = {"Add": "add", "Remove": "remove", "Keep": "keep", "Only": "replace"}
HINTS: dict[Join, str] = {
    "add": "What you choose below joins the region.",
    "remove": "What you choose below is taken out of the region.",
    "keep": "Of the region, only what you choose below stays.",
    "replace": "What you choose below takes the place of the region.",
}
NO_PICKS = "No atom is picked. Click atoms in the 3D view (in pick mode) or in the drawing."
FARTHEST = 20.0
"""Distance that the field takes, angstrom."""

Maker = Callable[[Structure, Region], Region]
"""Makes the part that joins, from all atoms and the region that is there."""
Choose = Callable[[Maker, Join], None]


class Chooser:
    """The quick ways.

    Args:
        choose: Takes what was chosen, and how it joins.
        picks: The picked atoms, counted as in the structure that a maker is given.
        guard: Takes what goes wrong.
    """

    def __init__(self, choose: Choose, picks: Callable[[], tuple[int, ...]], guard: Guard) -> None:
        self._choose, self._picks, self._guard = choose, picks, guard
        self._residues: dict[str, Residue] = {}
        self.join = pn.widgets.RadioBoxGroup(
            label="How it joins", options=JOINS, value="add", tags=helped("What happens to the region with what you choose below."), **looks("segments", "four")
        )
        self.hint = pn.pane.HTML("", **looks())
        self.angstrom = pn.widgets.FloatInput(
            label="Near means within, \u00c5",
            value=4.0,
            step=0.5,
            start=0.5,
            end=FARTHEST,
            format="0.[0]",
            description="Of the ligand, or of the region.",
            **looks("beside"),
        )
        self.smarts = pn.widgets.TextInput(label="SMARTS pattern", placeholder="c1ccccc1, then Enter", description="With the hydrogens on it.", **looks())
        self.filter = pn.widgets.TextInput(label="Find residues", placeholder="LYS, or 93", description="By name or number.", **looks())
        self.residues = pn.widgets.MultiSelect(label="Residues", size=7, description="Several with Ctrl or Shift.", **looks())
        self.marked = (
            self._button("Picked atoms", lambda: self.take_picked("atoms"), "Those with a ring in the picture."),
            self._button("Their residues", lambda: self.take_picked("residues"), "Whole residues of the picked atoms."),
            self._button("Their side chains", lambda: self.take_picked("side chains"), "Side chains of the residues of the picked atoms."),
        )
        self.told = pn.pane.HTML("", **looks())
        self.panel = self._arrange()
        self.join.param.watch(lambda _event: self._tell(), "value")
        self.smarts.param.watch(guard.around(lambda _event: self.take_smarts()), "enter_pressed")
        self.filter.param.watch(guard.around(lambda _event: self._list()), "value_input")
        self._tell()
        self.tell_picks([])

    def offer(self, structure: Structure) -> None:
        """Say which residues there are; water and ions are found by words.

        Args:
            structure: All atoms.
        """
        self._residues = {str(residue): residue for residue in structure.residues if residue.kind in ("protein", "ligand")}
        self._list()

    def tell_picks(self, names: list[str]) -> None:
        """Say which atoms are picked.

        Args:
            names: Theirs.
        """
        listed = ", ".join(names)
        self.told.object = f'<p class="hint">{html.escape(f"Picked: {listed}." if names else NO_PICKS)}</p>'
        for each in self.marked:
            each.disabled = not names

    def take(self, make: Maker) -> None:
        """Choose.

        Args:
            make: Makes the part that joins.
        """
        self._choose(make, self.join.value)

    def take_picked(self, what: Literal["atoms", "residues", "side chains"]) -> None:
        """Choose what is picked in the picture.

        Args:
            what: How much of it.

        Raises:
            RegionError: Nothing is picked.
        """
        atoms = self._picks()
        if not atoms:
            raise RegionError(NO_PICKS)
        self.take(lambda structure, _region: picked(atoms, structure, what))

    def take_smarts(self) -> None:
        """Choose what the pattern matches.

        Raises:
            RegionError: Nothing was typed.
        """
        pattern = (self.smarts.value_input or "").strip()
        if not pattern:
            raise RegionError("Type a SMARTS pattern first: c1ccccc1 finds benzene rings.")
        self.take(lambda _structure, _region: Smarts(pattern=pattern))

    def take_residues(self) -> None:
        """Choose the residues that are marked in the list.

        Raises:
            RegionError: None is marked.
        """
        names = tuple(self._residues[name] for name in self.residues.value)
        if not names:
            raise RegionError("No residue is marked in the list. Mark some first.")
        self.take(lambda _structure, _region: residues_named(names))

    def side_chains(self, structure: Structure, region: Region) -> Region:
        """Side chains that come close.

        Args:
            structure: All atoms.
            region: What is there.
        """
        return side_chains_near(_core(structure, region), self._nm)

    def waters(self, structure: Structure, region: Region) -> Region:
        """Waters that come close.

        Args:
            structure: All atoms.
            region: What is there.
        """
        return Near(of=_core(structure, region), nm=self._nm) & KindIs(of="water")

    @property
    def _nm(self) -> float:
        return round((self.angstrom.value or 0.0) * NM_PER_ANGSTROM, 6)

    def _arrange(self) -> pn.Column:
        whole = (
            self._button("Ligand", lambda: self.take(lambda _structure, _region: Ligand()), "What is neither protein nor water nor an ion."),
            self._button("Whole solute", lambda: self.take(lambda _structure, _region: Solute()), "Everything but water and ions."),
        )
        near = (
            self._button("Side chains near", lambda: self.take(self.side_chains), "Cut at CA\u2013CB; whole residues would cut amide bonds."),
            self._button("Waters near", lambda: self.take(self.waters), "Whole molecules."),
        )
        search = pn.Column(
            self.smarts, self.filter, self.residues, self._button("Choose these residues", self.take_residues, "Those marked in the list."), **looks("stack")
        )
        return pn.Column(
            self.join, self.hint, pn.Row(*whole, **looks("tight")), pn.Row(*near, **looks("tight")), self.angstrom,
            pn.Row(*self.marked, **looks("tight")), self.told, fold("By pattern or residue", search),
            **looks("stack"),
        )  # fmt: skip

    def _button(self, label: str, act: Callable[[], None], help_text: str) -> pn.widgets.Button:
        made = button(label, help_text, "choice")
        made.on_click(self._guard.around(lambda _event: act()))
        return made

    def _tell(self) -> None:
        self.hint.object = f'<p class="hint">{HINTS[self.join.value]}</p>'

    def _list(self) -> None:
        wanted = (self.filter.value_input or "").upper().split()
        self.residues.param.update(options=[name for name in self._residues if all(word in name.upper() for word in wanted)], value=[])


def _core(structure: Structure, region: Region) -> Region:
    """What things are near to: the ligand where there is one, otherwise the region."""
    return Ligand() if structure.atoms_of("ligand").size else region
