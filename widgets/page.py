"""Page: one document - the store, what writes into it, what shows it, and where each thing stands.

Puts the parts together and knows no physics and no server.
"""

import tempfile
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import panel as pn

from studio import run as runs
from studio.hybrid.view import Resolution, View
from studio.potentials.catalogue import ready_cards
from studio.region import Region
from studio.structure import Structure
from studio.trust import Doubt, atoms_of
from studio.worker import Status
from widgets.alerts import Alert, Guard, WayOut
from widgets.controls import Header, Readouts, Story, Transport, Waiting, card_of
from widgets.forms import MEANINGS, SystemForm, ViewForm
from widgets.plots import Plots
from widgets.pump import Pump
from widgets.store import Refusal, Store
from widgets.viewer import Viewer

FIRST_VIEW = View(resolution="nnp/mm")
"""How the first system is seen: what this program is for, and quick enough to be watched on two cores."""
COMPONENTS: dict[Resolution, tuple[str, ...]] = {"nnp": ("potential",), "nnp/mm": ("potential", "network", "mm"), "mm": ("potential",)}
"""Energies worth a line of their own: the others are zero or the same."""
REFRESH_MS = 200
"""Wall time between two looks at the runs; numbers that change faster cannot be read."""

_open: set[Store] = set()


def page(example: str) -> pn.Template:
    """The app for one document; the example opens and plays by itself.

    Args:
        example: One of `studio.system.EXAMPLES`.
    """
    return Page(example).template


def close_all() -> None:
    """End the workers of all documents, and wait for them."""
    runs.close_all([run for store in _open for run in store.open_runs])
    _open.clear()


@cache
def _static(name: str) -> str:
    return files("widgets").joinpath("static", name).read_text(encoding="utf-8")


class Page:
    """What one visitor sees.

    Args:
        example: What is open first.
    """

    def __init__(self, example: str) -> None:
        css = [_static("widgets.css")]
        self.folder = tempfile.TemporaryDirectory(prefix="potential-studio-", ignore_cleanup_errors=True)
        self.store, self.alert, self.cards = Store(), Alert(css), ready_cards()
        self.guard = Guard(lambda sentence: self.alert.say(sentence))
        self.viewer = Viewer(dark=True)
        self.plots, self.pump = Plots(css), Pump(self.guard.report)
        self.view = ViewForm(self.store, self.guard, self.cards, FIRST_VIEW, css)
        self.system = SystemForm(self.store, self.guard, self.view, Path(self.folder.name), css)
        self.story = Story(self.guard, css)
        self.card = pn.pane.HTML("", stylesheets=css, margin=0, sizing_mode="stretch_width")
        self.header = Header(self.store, lambda: self.viewer.fps, css, self.paint)
        self.transport, self.readouts = Transport(self.store, self.guard, css), Readouts(self.store, css)
        self.waiting = Waiting(self.store, self.guard, css)
        self._region: list[int] = []
        self._doubting = False
        self.template = self._arrange()
        self._connect()
        self._live(example)

    def paint(self, dark: bool) -> None:
        """A dark or a light page.

        Args:
            dark: The ground is dark.
        """
        self.viewer.pane.dark = dark
        self.plots.paint(dark)

    def refresh(self) -> None:
        """Hear the runs and show what they say."""
        with self.guard:
            self.store.refresh()
            for part in (self.header, self.transport, self.readouts, self.waiting):
                part.refresh()
            self.plots.flush()

    def close(self) -> None:
        """The visitor is gone: end the workers, remove uploaded files."""
        self.store.close()
        _open.discard(self.store)
        self.folder.cleanup()

    def _arrange(self) -> pn.Template:
        template = pn.Template(_static("page.html"))
        template.add_variable("page_css", _static("page.css"))
        parts: dict[str, Any] = {
            "header": self.header.panel, "system": self.system.panel, "drawing": self.story.drawing, "notes": self.story.notes,
            "viewer": self.viewer.pane, "alert": self.alert, "waiting": self.waiting.panel, "transport": self.transport.panel, "plots": self.plots.panel,
            "resolution": self.view.resolution, "potential": self.view.potential, "card": self.card, "slider": self.view.slider, "kelvin": self.view.kelvin,
            "timestep": self.view.timestep, "readouts": self.readouts.panel,
        }  # fmt: skip
        for name, part in parts.items():
            template.add_panel(name, part)
        return template

    def _connect(self) -> None:
        watch = self.store.param.watch
        watch(self.guard.around(lambda _event: self._show_run()), "run")
        watch(self.guard.around(lambda event: self._show_status(event.new)), "status")
        watch(self.guard.around(lambda event: self._show_refusal(event.new)), "refusal")
        watch(self.guard.around(lambda event: self._show_doubts(event.new[len(event.old) :])), "doubts")
        self.alert.param.watch(self.guard.around(lambda event: None if event.new else self._glow()), "visible")
        for listener in (self.store.take, self.viewer.send, self.plots.add):
            self.pump.connect(listener)

    def _glow(self) -> None:
        """The ML region stands out again, where an alert pointed at other atoms."""
        self.viewer.pane.highlight = self._region

    def _live(self, example: str) -> None:
        """Start the first run at once, and the clocks when the browser stands ready."""
        _open.add(self.store)
        if pn.state.curdoc is not None:
            pn.state.on_session_destroyed(lambda _session: self.close())

        def begin() -> None:
            self.pump.start()
            pn.state.add_periodic_callback(self.refresh, period=REFRESH_MS).log = False

        self.guard.start(self.system.choose_example(example))
        pn.state.onload(begin)

    def _show_run(self) -> None:
        run, structure, recipe = self.store.run, self.store.structure, self.store.recipe
        if run is None or structure is None or recipe is None:
            return
        self.alert.dismiss()  # what it said was about the run before
        self.plots.restart(COMPONENTS[recipe.view.resolution])
        self.pump.watch(run.frames)
        self._region, self._doubting = _glowing(structure, recipe.view.region) if recipe.view.resolution == "nnp/mm" else [], False
        self.viewer.show(structure, self._region)
        self.story.show(structure)
        network = recipe.view.resolution != "mm"
        meaning = f'<p class="hint">{MEANINGS[recipe.view.resolution]}</p>'
        self.card.object = meaning + (card_of(self.cards.get(recipe.view.potential)) if network else "")

    def _show_status(self, status: Status) -> None:
        if status.state == "lost":
            self.alert.say(status.message, WayOut("Recover", self.store.recover))
        elif status.state == "failed" and self.store.run is not None:
            again = self.store.play if self.store.run.shared is not None else self.store.recover
            self.alert.say(status.message, WayOut("Play on from the checkpoint", again))
            self.viewer.pane.highlight = [int(atom) for atom in status.atoms] or self.viewer.pane.highlight
        elif status.state == "playing" and not status.doubts and self._doubting:
            self._doubting = False  # gone on anyway
            self.alert.dismiss()

    def _show_doubts(self, doubts: tuple[Doubt, ...]) -> None:
        if not doubts:
            return
        self._doubting = paused = doubts[0].action == "pause"
        ways = (WayOut("Go on anyway", self.store.play), WayOut("Back to the checkpoint", self.store.rollback)) if paused else ()
        title = "Paused: the network may be wrong here" if paused else "The network may be wrong here"
        self.alert.say(" ".join(doubt.sentence for doubt in doubts), *ways, kind="problem" if paused else "note", title=title)
        self.viewer.pane.highlight = list(atoms_of(doubts)) or self._region

    def _show_refusal(self, refusal: Refusal | None) -> None:
        if refusal is None:
            self.alert.dismiss()
        else:
            more = "Nothing was changed." if self.store.run is not None else "Choose another molecule."
            self.alert.say(f"{refusal.sentence} {more}")


def _glowing(structure: Structure, region: Region) -> list[int]:
    return [int(atom) for atom in region.select(structure)]
