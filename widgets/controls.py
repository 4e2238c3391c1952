"""Controls: what the user steers with and reads off - header, transport, readouts, the potential's card, the molecule's story.

Knows the store and the units that people read; must not know how anything is simulated.
"""

import asyncio
import html
from collections.abc import Callable

import panel as pn
from param.parameterized import Event

from studio.errors import StructureError
from studio.frame import Frame
from studio.potentials.base import Card
from studio.structure import Structure
from studio.units import KJ_PER_KCAL
from studio.worker import State
from widgets.alerts import Guard
from widgets.store import Store

DRAWN_HEAVY_ATOMS = 80
"""Larger molecules have no useful drawing on a thumbnail."""
STATES: dict[State, str] = {
    "preparing": "preparing", "paused": "paused", "playing": "playing", "failed": "stopped", "lost": "worker lost", "closed": "nothing open"
}  # fmt: skip
ENERGIES = {"potential": "Potential", "network": "Network (NNP)", "mm": "MM", "kinetic": "Kinetic"}
_SHAPES = {
    "play": '<path d="M7 4.5v15l12.5-7.5z"/>',
    "pause": '<path d="M6.5 4.5h4v15h-4zM13.5 4.5h4v15h-4z"/>',
    "step": '<path d="M6 4.5v15l9.5-7.5z"/><path d="M16.5 4.5H19v15h-2.5z"/>',
    "reset": '<path d="M18 4.5v15L8.5 12z"/><path d="M5 4.5h2.5v15H5z"/>',
    "back": '<path d="M12 4a8 8 0 1 1-7.6 10.5l2-.7A5.9 5.9 0 1 0 7.6 8H11v2H4V3h2v3.7A8 8 0 0 1 12 4z"/>',
    "theme": '<path d="M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zm0 2.2v13.6a6.8 6.8 0 0 1 0-13.6z"/>',
}


def icon(name: str) -> str:
    """A small drawing for a button; part of the page, so that none is fetched.

    Args:
        name: What the button does.
    """
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="currentColor" aria-hidden="true">{_SHAPES[name]}</svg>'


def figures(value: float | None, digits: int = 0) -> str:
    """A number as people read it: thousands apart, a true minus sign, a dash for none.

    Args:
        value: The number.
        digits: After the point.
    """
    return "\u2013" if value is None else f"{value:,.{digits}f}".replace(",", "\u2009").replace("-", "\u2212")


class Header:
    """Name of the program and the system, how the run is, how fast it goes, and the light.

    Args:
        store: What is shown.
        fps: Frames per second that the browser draws.
        css: Stylesheets.
        on_dark: Called with true for a dark page.
    """

    def __init__(self, store: Store, fps: Callable[[], float], css: list[str], on_dark: Callable[[bool], None]) -> None:
        self.store, self._fps, self.dark = store, fps, True
        self._text = pn.pane.HTML("", stylesheets=css, margin=0, align="center", sizing_mode="stretch_width")
        self._theme = _button("Light page", "theme", css)
        self._theme.js_on_click(code="const d = document.documentElement.dataset; d.theme = d.theme === 'light' ? 'dark' : 'light'")
        self._theme.on_click(lambda _event: self._switch(on_dark))
        self.panel = pn.Row(self._text, self._theme, stylesheets=css, margin=0, sizing_mode="stretch_width", css_classes=["bar"])

    def refresh(self) -> None:
        """Show what is now."""
        store, frame = self.store, self.store.frame
        state = store.status.state if store.pending is None else "preparing"
        speed = frame.speed if frame and state == "playing" else None
        numbers = ((self._fps() if speed else None, 0, "frames/s"), (speed, 0, "steps/s"), (frame.ns_per_day if frame and speed else None, 2, "ns/day"))
        cells = "".join(f'<span class="num"><b>{figures(value, digits)}</b> {unit}</span>' for value, digits, unit in numbers)
        words = f"{STATES[state]}, in doubt" if store.pending is None and store.status.doubts else STATES[state]
        chip = f'<span class="chip {state}" role="status"><i></i>{words}</span>'
        title = f'<span class="title">{html.escape(store.title)}</span>' if store.title else ""
        _set(self._text, f'<div class="head"><h1>Potential Studio</h1>{title}{chip}<span class="gap"></span>{cells}</div>')

    def _switch(self, on_dark: Callable[[bool], None]) -> None:
        self.dark = not self.dark
        self._theme.label = "Light page" if self.dark else "Dark page"
        on_dark(self.dark)


class Transport:
    """Play, pause, one step, reset, back to the checkpoint, and the simulated time.

    Args:
        store: Takes the orders.
        guard: Takes what goes wrong.
        css: Stylesheets.
    """

    def __init__(self, store: Store, guard: Guard, css: list[str]) -> None:
        self.store = store
        self.play = _button("Play", "play", css, kind="primary")
        self.step = _button("One step", "step", css)
        self.reset = _button("Reset", "reset", css)
        self.back = _button("Back to checkpoint", "back", css)
        self._time = pn.pane.HTML("", stylesheets=css, margin=0, align="center")
        orders = ((self.play, self.toggle), (self.step, store.step), (self.reset, store.reset), (self.back, store.rollback))
        for button, act in orders:
            button.on_click(_order(guard, act))
        self.panel = pn.Row(
            *(button for button, _ in orders), pn.Spacer(sizing_mode="stretch_width"), self._time,
            stylesheets=css, margin=0, sizing_mode="stretch_width", css_classes=["transport"],
        )  # fmt: skip

    def toggle(self) -> None:
        """Pause if it plays, recover if its worker is lost, play otherwise."""
        acts = {"playing": self.store.pause, "lost": self.store.recover}
        acts.get(self.store.status.state, self.store.play)()

    def refresh(self) -> None:
        """Show what is now."""
        state, frame = self.store.status.state, self.store.frame
        label, shape = {"playing": ("Pause", "pause"), "lost": ("Recover", "back")}.get(state, ("Play", "play"))
        if self.play.label != label:
            self.play.param.update(label=label, icon=icon(shape))
        ready = state in ("paused", "playing", "failed") and self.store.pending is None
        for button in (self.play, self.step, self.reset, self.back):
            button.disabled = not (ready or (state == "lost" and button is self.play))
        step = f"step {figures(frame.step)}" if frame else ""
        _set(self._time, f'<span class="clock"><small>{step}</small> <b>{figures(frame.time if frame else None, 3)}</b> ps</span>')


class Readouts:
    """The numbers of the newest frame, in people's units.

    Args:
        store: What is shown.
        css: Stylesheets.
    """

    def __init__(self, store: Store, css: list[str]) -> None:
        self.store = store
        self.panel = pn.pane.HTML("", stylesheets=css, margin=0, sizing_mode="stretch_width")

    def refresh(self) -> None:
        """Show what is now."""
        whole = self.store.recipe is not None and self.store.recipe.view.resolution == "nnp"
        _set(self.panel, table_of(self.store.frame, ("network", "mm") if whole else ()))


def table_of(frame: Frame | None, hidden: tuple[str, ...] = ()) -> str:
    """The numbers of a frame as a table.

    Args:
        frame: The newest, or none yet.
        hidden: Energies not worth a row: zero, or the same as another.
    """
    energies = {name: value for name, value in frame.energies.items() if name not in hidden} if frame else {}
    moving = (("Time", frame.time, 3, "ps"), ("Temperature", frame.temperature, 0, "K")) if frame else ()
    speed = (("Time step", frame.timestep, 1, "fs"), ("Speed", frame.speed, 0, "steps/s"), ("", frame.ns_per_day, 2, "ns/day")) if frame else ()
    rows = [*moving, *speed, *((ENERGIES.get(name, name), value / KJ_PER_KCAL, 1, "kcal/mol") for name, value in energies.items())]
    cells = "".join(f"<tr><th>{html.escape(name)}</th><td>{figures(value, digits)}</td><td>{unit}</td></tr>" for name, value, digits, unit in rows)
    return f'<table class="numbers">{cells}</table>'


def card_of(card: Card | None) -> str:
    """A potential's card.

    Args:
        card: The card, or none where no network is used.
    """
    if card is None:
        return ""
    charge = "charged and neutral" if card.charged else "neutral only"
    spin = "open and closed shell" if card.open_shell else "closed shell"
    rows = (("Elements", " ".join(card.elements)), ("Molecules", f"{charge}, {spin}"), ("Learned from", card.method), ("Licence", card.licence))
    cells = "".join(f"<tr><th>{name}</th><td>{html.escape(text)}</td></tr>" for name, text in rows)
    return f'<table class="card">{cells}</table><p class="cite">{html.escape(card.citation)}<br>doi {html.escape(card.doi)}</p>'


class Story:
    """The molecule on paper, and what was done to it on its way in.

    Args:
        guard: Takes what goes wrong.
        css: Stylesheets.
    """

    def __init__(self, guard: Guard, css: list[str]) -> None:
        self._guard = guard
        self.drawing = pn.pane.HTML("", stylesheets=css, margin=0, sizing_mode="stretch_width")
        self.notes = pn.pane.HTML("", stylesheets=css, margin=0, sizing_mode="stretch_width")

    def show(self, structure: Structure) -> None:
        """Tell about another molecule; the drawing follows when it is done.

        Args:
            structure: The molecule.
        """
        self.notes.object = notes_of(structure)
        self._guard.start(self._draw(structure))

    async def _draw(self, structure: Structure) -> None:
        self.drawing.object = await asyncio.to_thread(drawing_of, structure)


def notes_of(structure: Structure) -> str:
    """What was done to the structure, as a list.

    Args:
        structure: Carries its notes.
    """
    if not structure.notes:
        return '<p class="hint">Nothing: it was taken as it came.</p>'
    items = "".join(f"<li>{html.escape(note)}</li>" for note in structure.notes)
    return f'<ul class="notes">{items}</ul>'


def drawing_of(structure: Structure) -> str:
    """The first ligand of a structure on paper, as SVG; empty if there is none, or none that can be drawn.

    Args:
        structure: Anything.
    """
    from rdkit import Chem
    from rdkit.Chem import rdDepictor
    from rdkit.Chem.Draw import rdMolDraw2D

    ligands = structure.atoms_of("ligand")
    molecule = next((atoms for atoms in structure.molecules if ligands.size and ligands[0] in atoms), None)
    if molecule is None or (structure.numbers[molecule] > 1).sum() > DRAWN_HEAVY_ATOMS:
        return ""
    try:
        mol = Chem.RemoveHs(structure.take(molecule).to_rdkit())
    except (StructureError, ValueError):
        return ""
    rdDepictor.SetPreferCoordGen(True)
    rdDepictor.Compute2DCoords(mol)
    drawer = rdMolDraw2D.MolDraw2DSVG(250, 150)
    drawer.drawOptions().setBackgroundColour((1, 1, 1, 0))
    rdMolDraw2D.PrepareAndDrawMolecule(drawer, mol)
    drawer.FinishDrawing()
    svg = drawer.GetDrawingText()
    return f'<div class="paper" role="img" aria-label="Drawing of the ligand">{svg[svg.index("<svg") :]}</div>'


class Waiting:
    """How the next run is coming along, with a way to call it off.

    Args:
        store: What is shown.
        guard: Takes what goes wrong.
        css: Stylesheets.
    """

    def __init__(self, store: Store, guard: Guard, css: list[str]) -> None:
        self._text = pn.pane.HTML("", stylesheets=css, margin=0, sizing_mode="stretch_width")
        cancel = pn.widgets.Button(label="Cancel", stylesheets=css, margin=0, css_classes=["quiet"])
        cancel.on_click(_order(guard, store.cancel))
        self.panel = pn.Column(self._text, cancel, stylesheets=css, margin=0, css_classes=["waiting"], visible=False)
        self.store = store

    def refresh(self) -> None:
        """Show what is now."""
        status = self.store.pending
        recovering = self.store.run is not None and self.store.status.state == "preparing"
        status = self.store.status if status is None and recovering else status
        if self.panel.visible != (status is not None):
            self.panel.visible = status is not None
        if status is not None:
            bar = f'<progress max="1" value="{status.fraction:.2f}" aria-label="Preparation"></progress>'
            _set(self._text, f'<div class="wait" role="status"><p>{html.escape(status.message)}</p>{bar}</div>')


def _button(name: str, shape: str, css: list[str], kind: str = "quiet") -> pn.widgets.Button:
    return pn.widgets.Button(
        label=name,
        icon=icon(shape),
        icon_size="16px",
        stylesheets=css,
        margin=0,
        align="center",
        css_classes=[kind, f"do-{shape}"],
    )


def _order(guard: Guard, act: Callable[[], None]) -> Callable[[Event], None]:
    return guard.around(lambda _event: act())


def _set(pane: pn.pane.HTML, text: str) -> None:
    if pane.object != text:
        pane.object = text
