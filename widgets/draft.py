"""Draft: ML regions that are being chosen, beside those in use - set algebra in plain words, and the steps back and forth.

Knows views and regions; must not know the page. A draft is a view, so that everything about it can be taken back alike.
"""

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import BaseModel

from studio.hybrid.view import MLFragment, View
from studio.region import Atoms, Difference, Focus, Intersection, Ligand, Near, Region, ResidueIs, SideChain, Solute, Union, Whole
from studio.settings import validated
from studio.structure import Residue, Structure

Value = TypeVar("Value", bound=BaseModel)
Join = Literal["add", "remove", "keep", "replace"]
DEEPEST = 12
"""Operators inside each other beyond which a region is written as atoms: nobody reads on."""
MOST_STEPS = 100
"""Steps that can be taken back."""


def changed(value: Value, settings: Mapping[str, Any]) -> Value:
    """A value with other settings, checked.

    Args:
        value: A view or a fragment.
        settings: Of it, as it names them.

    Raises:
        SettingsError: One is out of range.
    """
    return validated(type(value), {name: getattr(value, name) for name in type(value).model_fields} | dict(settings))


class Draft:
    """A view in the making; one of its fragments is at hand.

    Args:
        view: What is in use.

    Attributes:
        at: Which fragment is at hand, counted from 0.
    """

    def __init__(self, view: View) -> None:
        self._steps, self._place, self._typing, self.at = [view], 0, False, 0

    @property
    def view(self) -> View:
        """As it would be used."""
        return self._steps[self._place]

    @property
    def fragment(self) -> MLFragment:
        """The fragment at hand."""
        return self.view.fragments[self.at]

    @property
    def can_undo(self) -> bool:
        """There is a step to be taken back."""
        return self._place > 0

    @property
    def can_redo(self) -> bool:
        """There is a step to be taken again."""
        return self._place + 1 < len(self._steps)

    def change(self, settings: Mapping[str, Any], typing: bool = False) -> None:
        """One step on.

        Args:
            settings: Of the view, as it names them.
            typing: One of many keys pressed in a row, which are taken back together.

        Raises:
            SettingsError: A setting is out of range; nothing changes.
        """
        view = changed(self.view, settings)
        if view == self.view:
            return
        together = typing and self._typing
        kept = self._steps[: self._place + (not together)] or self._steps[:1]
        self._steps = [*kept, view][-MOST_STEPS:]
        self._place, self._typing = len(self._steps) - 1, typing

    def describe(self, settings: Mapping[str, Any], typing: bool = False) -> None:
        """Change the fragment at hand.

        Args:
            settings: Of the fragment, as it names them.
            typing: One of many keys pressed in a row.

        Raises:
            SettingsError: A setting is out of range; nothing changes.
        """
        if self.at == 0:
            self.change(settings, typing)
            return
        also = list(self.view.also)
        also[self.at - 1] = changed(also[self.at - 1], settings)
        self.change({"also": tuple(also)}, typing)

    def add_fragment(self, region: Region) -> None:
        """One more region with a network of its own; it is at hand now.

        Args:
            region: Its atoms.
        """
        self.change({"also": (*self.view.also, MLFragment(region=region, potential=self.view.potential))})
        self.at = len(self.view.also)

    def drop_fragment(self) -> None:
        """Take the fragment at hand away; the first one stays."""
        if self.at:
            also, place = self.view.also, self.at - 1
            self.at = 0
            self.change({"also": also[:place] + also[place + 1 :]})

    def undo(self) -> None:
        """Take the last step back."""
        self._go(-1)

    def redo(self) -> None:
        """Take it again."""
        self._go(+1)

    def _go(self, way: int) -> None:
        self._place = min(max(self._place + way, 0), len(self._steps) - 1)
        self._typing, self.at = False, min(self.at, len(self.view.also))


def joined(region: Region, part: Region, how: Join, structure: Structure) -> Region:
    """A region after set algebra, as plainly as these atoms allow: what adds or takes away nothing is not written down.

    Args:
        region: What is there.
        part: What joins.
        how: In which way.
        structure: All atoms.

    Raises:
        RegionError: A part cannot be looked for in this structure.
    """
    region = plain(region, structure)
    ours, theirs = region.mask(structure), part.mask(structure)
    if how == "replace" or (how == "add" and not (ours & ~theirs).any()) or (how == "keep" and not (theirs & ~ours).any()):
        return part
    same = {"add": not (theirs & ~ours).any(), "remove": not (ours & theirs).any(), "keep": not (ours & ~theirs).any()}
    if same[how]:
        return region
    combine = {"add": _added, "remove": _removed, "keep": _common}
    whole = combine[how](region, part)
    return whole if _depth(whole) <= DEEPEST else Atoms(indices=tuple(whole.select(structure).tolist()))


def plain(region: Region, structure: Structure) -> Region:
    """A region in the words that fit a structure: what one looks at has a name.

    Args:
        region: Any.
        structure: All atoms.
    """
    if region != Focus():
        return region
    return Ligand() if structure.atoms_of("ligand").size else Solute()


def side_chains_near(core: Region, nm: float) -> Region:
    """Side chains of residues that come close; those of proline, a ring with the backbone, cannot be cut off.

    Args:
        core: What they are near to.
        nm: The distance, nm.
    """
    return Intersection(parts=(Near(of=core, nm=nm), SideChain())) - ResidueIs(name="PRO")


def picked(atoms: tuple[int, ...], structure: Structure, what: Literal["atoms", "residues", "side chains"]) -> Region:
    """Picked atoms, the residues that they are in, or the side chains of these.

    Args:
        atoms: Their indices; at least one.
        structure: All atoms.
        what: How much of it.
    """
    if what == "atoms":
        return Atoms(indices=atoms)
    residues = tuple(dict.fromkeys(structure.residue_of(atom) for atom in atoms))
    if what == "side chains":
        return _any_of(tuple(SideChain(name=one.name, number=one.number, chain=one.chain) for one in map(_named, residues)))
    told_apart = all(structure.residues.count(residue) == 1 for residue in residues)
    return residues_named(residues) if told_apart else Whole(of=Atoms(indices=atoms))


def residues_named(residues: tuple[Residue, ...]) -> Region:
    """Residues as a region, by name, number and chain.

    Args:
        residues: At least one.
    """
    return _any_of(tuple(map(_named, residues)))


def _named(residue: Residue) -> ResidueIs:
    """A residue in the words of regions; what it does not have is left out."""
    return ResidueIs(name=residue.name or None, number=residue.number or None, chain=residue.chain or None)


def _any_of(parts: tuple[Region, ...]) -> Region:
    return parts[0] if len(parts) == 1 else Union(parts=parts)


def _added(region: Region, part: Region) -> Region:
    """The union, flat, with all single atoms in one list."""
    parts = [*_parts(region), *_parts(part)]
    singles = [index for each in parts if isinstance(each, Atoms) for index in each.indices]
    rest = tuple(dict.fromkeys(each for each in parts if not isinstance(each, Atoms)))
    return _any_of((*rest, Atoms(indices=tuple(dict.fromkeys(singles)))) if singles else rest)


def _removed(region: Region, part: Region) -> Region:
    """The difference; what is taken away from a difference is taken away with the rest."""
    if isinstance(region, Atoms) and isinstance(part, Atoms):
        return Atoms(indices=tuple(index for index in region.indices if index not in part.indices))
    if isinstance(region, Difference):
        return Difference(whole=region.whole, without=_added(region.without, part))
    return region - part


def _common(region: Region, part: Region) -> Region:
    return region & part


def _parts(region: Region) -> tuple[Region, ...]:
    return region.parts if isinstance(region, Union) else (region,)


def _depth(region: Region) -> int:
    """How many operators are inside each other."""
    inside: tuple[Region, ...] = ()
    if isinstance(region, Union | Intersection):
        inside = region.parts
    elif isinstance(region, Difference):
        inside = (region.whole, region.without)
    elif isinstance(region, Near | Whole):
        inside = (region.of,)
    return 1 + max(map(_depth, inside), default=0)
