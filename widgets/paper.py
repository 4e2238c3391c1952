"""Paper: the molecule as a chemist draws it, beside the 3D picture; its atoms can be pressed.

Knows what is drawn and what is picked; how a drawing is made is the business of `studio.io.draw`.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import panel as pn
import param
from numpy.typing import NDArray
from panel.custom import JSComponent

from studio.errors import StudioError
from studio.io.draw import Drawing, drawing
from studio.structure import Structure
from widgets.desk import Desk
from widgets.sources import Tick, looks, on_loop

DRAWN_HEAVY_ATOMS = 80
"""Larger molecules have no useful drawing in a column."""
WIDTH, HEIGHT = 300, 210


class PaperPane(JSComponent):
    """The part of the drawing that lives in the page; its parameters are what `paper.js` reads."""

    drawing = param.Dict(default={}, doc="The drawing as `svg`, its `caption` for screen readers, and `atoms`: where they lie in it.")
    picked = param.List(default=[], item_type=int, doc="Atoms that are picked.")
    marked = param.List(default=[], item_type=int, doc="Atoms of the ML region.")

    _esm = Path(__file__).parent / "static" / "paper.js"


class Paper:
    """The drawing of what the desk shows; pressing an atom picks it.

    Args:
        desk: What is shown, and what is picked.

    Attributes:
        atoms: What is drawn.
    """

    def __init__(self, desk: Desk) -> None:
        self.desk, self.store, self.guard = desk, desk.store, desk.guard
        self.atoms: frozenset[int] = frozenset()
        make: Callable[..., PaperPane] = PaperPane
        self.pane = make(visible=False, **looks())
        self.numbers = Tick("Atom numbers, from 1", "Write the number of each atom beside it.")
        self.numbers.widget.visible = False
        self.panel = pn.Column(self.pane, self.numbers.widget, css_classes=["stack"], **looks())
        self.pane.on_msg(lambda event: self.hear(event.data))
        self.numbers.watch(self.guard.around(lambda _event: self.draw()))
        self.store.param.watch(self.guard.around(lambda _event: self.draw()), "structure")
        self.store.param.watch(self.guard.around(lambda _event: self.mark()), ["picks", "recipe"])
        desk.on_paint(lambda _dark: self.draw())

    def hear(self, message: object) -> None:
        """Take a message of the page; see `paper.js`.

        Args:
            message: An atom was pressed.
        """
        match message:
            case {"type": "pick", "atom": int(atom)} if atom in self.atoms:
                self.store.pick(atom)

    def mark(self) -> None:
        """Show what is picked and what the network describes."""
        self.pane.picked = [atom for atom in self.store.picks if atom in self.atoms]
        self.pane.marked = sorted(self.atoms & self._region())

    def draw(self) -> None:
        """Draw what is shown now; the picture follows when it is done."""
        if self.store.structure is not None and on_loop():
            self.guard.start(self.drawn(self.store.structure))

    async def drawn(self, structure: Structure) -> None:
        """Draw a structure.

        Args:
            structure: What is shown.
        """
        atoms = drawable(structure)
        picture = await asyncio.to_thread(_drawing, structure, atoms, self.numbers.on, self.desk.dark) if atoms is not None else None
        if structure is not self.store.structure:  # overtaken by another system
            return
        self.atoms = frozenset(picture.places) if picture is not None else frozenset()
        self.pane.param.update(drawing=laid_out(structure, picture) if picture is not None else {}, visible=picture is not None)
        self.numbers.widget.visible = picture is not None
        self.mark()

    def _region(self) -> set[int]:
        recipe, structure = self.store.recipe, self.store.structure
        if recipe is None or structure is None or recipe.view.resolution != "nnp/mm":
            return set()
        try:
            return set(recipe.view.region.select(structure).tolist())
        except StudioError:  # the picker says why; here it is only not marked
            return set()


def laid_out(structure: Structure, picture: Drawing) -> dict[str, Any]:
    """A drawing as `paper.js` takes it.

    Args:
        structure: What is drawn.
        picture: Of one of its molecules.
    """
    atoms = [{"index": int(atom), "x": x, "y": y, "label": structure.names[atom]} for atom, (x, y) in picture.places.items()]
    return {"svg": picture.svg, "caption": f"Drawing of {structure.title or 'the molecule'}", "atoms": atoms}


def drawable(structure: Structure) -> NDArray[np.int64] | None:
    """The molecule worth drawing: the first ligand, or else the first small molecule; none if there is none.

    Args:
        structure: Anything.
    """
    ligands, solvent = set(structure.atoms_of("ligand").tolist()), set(structure.atoms_of("water").tolist())
    small = [
        atoms for atoms in structure.molecules if 1 < (structure.numbers[atoms] > 1).sum() <= DRAWN_HEAVY_ATOMS and not solvent.intersection(atoms.tolist())
    ]
    return next((atoms for atoms in small if ligands.intersection(atoms.tolist())), small[0] if small else None)


def _drawing(structure: Structure, atoms: NDArray[np.int64], indices: bool, dark: bool) -> Drawing | None:
    """The drawing; none for what cannot be drawn, which is no failure of the page."""
    try:
        return drawing(structure, atoms, indices=indices, dark=dark, width=WIDTH, height=HEIGHT)
    except StudioError:
        return None
