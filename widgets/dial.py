"""Dial: at which resolution the system is seen, and by which potential - each with what it costs and cannot do here.

Knows levels, potentials and the store that turns; how fast and how possible a level is, the core says. What is marked is
always what is, not what was wished.
"""

import asyncio
import html
from collections.abc import Callable
from pathlib import Path
from typing import Any

import panel as pn
import param
from panel.custom import JSComponent
from param.parameterized import Event

from studio.coarse.learned_beads import Learned
from studio.errors import LeftBehindError, StudioError, UnsupportedError
from studio.levels import level, level_of
from studio.recipes.dynamics import Dynamics
from widgets.alerts import WayOut
from widgets.bead_form import BeadForm
from widgets.desk import Desk, Part
from widgets.pieces import button, fold, looks, reasons_of
from widgets.sight import USABLE, Prospect, Sight, look_at, menu
from widgets.sources import on_loop
from widgets.speed import STOPPED, Stopwatch, digits, waiting
from widgets.words import card_of, figures

SPEED_HINT = "Each for a moment, in a worker of its own. Levels differ in their time steps: compare ns/day. Beads have a time of their own (CG)."
CONTINUUM = "mm-implicit"
"""Where a protein can go back to by itself."""
LOOKING = "Looking at what fits\u2026"
MECHANICS = "This level uses no network: turn the dial to NNP or NNP/MM to choose one."
LEARNED = "A network that was learned for these beads moves them: see About this bead model, above. The networks here describe atoms, at NNP and NNP/MM."
DIFFERENT = 0.05
"""Relative change of a running speed that is worth another number on the page."""


class DialPane(JSComponent):
    """The part of the dial that lives in the page; its parameters are what `dial.js` reads."""

    rows = param.List(default=[], item_type=dict, doc="The levels, the finest first; see `Row`.")
    value = param.String(default="", doc="The level that is on.")
    wish = param.String(default="", doc="The level that is on its way.")
    busy = param.String(default="", doc="What is said while there are no levels yet.")

    _esm = Path(__file__).parent / "static" / "dial.js"


class Dial(Part):
    """The resolution dial. In a notebook: `dial.level = "mm"` and `dial.potential = "aimnet2"`, or `await dial.turn("mm")`.

    Args:
        desk: Shared with other parts; one of its own when left out.

    Attributes:
        sight: What was last seen of the present system; none before.
    """

    def __init__(self, desk: Desk | None = None) -> None:
        super().__init__(desk)
        self.sight: Sight | None = None
        self._watch, self._task, self._quiet = Stopwatch(), "", False
        self._shown: Dynamics | None = None
        self._carried, self._live, self._blind = "", (0.0, 0.0), False
        self._refused: Dynamics | None = None
        make: Callable[..., DialPane] = DialPane
        self.pane = make(**looks())
        self.note, self.waiting = pn.pane.HTML("", visible=False, **looks()), pn.pane.HTML("", visible=False, **looks())
        self.measure_all = button("Measure all levels", SPEED_HINT, "quiet", "small")
        self.stop = button("Stop measuring", "What was measured so far is kept.", "quiet", "small")
        self.choice = pn.widgets.Select(label="Potential", description="The network that describes the ML region.", **looks())
        self.advice, self.about, self.others = (pn.pane.HTML("", **looks()) for _ in range(3))
        self.stop.visible = False
        self.beads = BeadForm(self.desk)
        self.panel = pn.Column(
            self.pane, self.note, self.beads.panel, pn.Row(self.measure_all, self.stop, **looks("pair")), self.waiting, self.choice, self.advice,
            fold("About this potential", self.about), fold("Why not another one", self.others), **looks("stack"),
        )  # fmt: skip
        self._connect()
        self._on_recipe()

    # -- from Python ---------------------------------------------------------------------------------------------------

    @property
    def level(self) -> str:
        """The level that is on, by name; empty when nothing is open. Setting it turns the dial."""
        return str(self.pane.value)

    @level.setter
    def level(self, name: str) -> None:
        self.guard.start(self.turn(name))

    @property
    def potential(self) -> str:
        """The potential of the ML region, by name. Setting it sees the same atoms by another one."""
        return self.store.recipe.view.potential if self.store.recipe is not None else ""

    @potential.setter
    def potential(self, name: str) -> None:
        self.guard.start(self.choose(name))

    async def turn(self, name: str) -> None:
        """See the present system at another level; atoms that both have come along.

        Args:
            name: Of the level.

        Raises:
            PluginError: No such level.
            UnsupportedError: It cannot be chosen here; nothing changes.
        """
        wanted = level(name)
        if name == self.level:
            if self.store.pending is not None:  # back to where it was before it got there
                self.store.cancel()
            return
        prospect = self.sight.prospect(name) if self.sight is not None and self.sight.recipe == self.store.home else None
        if prospect is not None and not prospect.limits.possible:
            raise UnsupportedError(prospect.limits.blocking)
        self.pane.wish = name
        try:
            await self.store.turn(wanted)
        except StudioError:
            self.pane.wish = ""
            raise

    async def choose(self, name: str) -> None:
        """Describe the ML region by another potential.

        Args:
            name: Of the potential.

        Raises:
            UnsupportedError: It cannot describe this region, or is not installed; nothing changes.
        """
        recipe = self.store.recipe
        if recipe is None or name == recipe.view.potential:
            return
        ability = self.sight.ability(name) if self.sight is not None and self.sight.recipe == self.store.home else None
        if ability is not None and ability.state not in USABLE:
            self._show_potential()
            raise UnsupportedError(ability.reason)
        await self.store.revise(recipe.model_copy(update={"view": recipe.view.model_copy(update={"potential": name})}))

    async def look(self) -> None:
        """See again what each level and potential can do here."""
        home = self.store.home
        if home is None:
            return
        try:
            sight = await asyncio.to_thread(look_at, home, self.store.whole)
        except StudioError:
            self._refused = home
            self._show_rows()
            raise
        if home == self.store.home:  # not overtaken by another system
            self._take(sight)

    async def measure(self) -> None:
        """Measure the levels whose speed here is not known - or all again, if all are - one after the other."""
        start = self.sight
        if start is None:
            return
        possible = [one for one in start.prospects if one.limits.possible]
        unknown = [one for one in possible if one.speed is None or not one.speed.ok]
        for place, one in enumerate(unknown or possible):
            self._task = f"{one.level.title}, {place + 1} of {len(unknown or possible)}"
            speed = await self._watch.measure(*start.recipe_at(one.level), again=not unknown)
            if speed.refusal == STOPPED or self.sight is None or self.sight.recipe != start.recipe:
                break
            self._take(self.sight.timed(one.level.name, speed))

    def refresh(self) -> None:
        """Show the speed of what runs now, and how a measurement is coming along."""
        self.waiting.visible = self.stop.visible = self._watch.busy
        if self._watch.busy:
            self.waiting.object = waiting(self._watch.seconds, self._task, beside=self.store.status.state == "playing")
        if self._blind != self._foreign:
            self._show_rows()
            self._show_potential()
        frame = self.store.frame
        playing = frame is not None and self.store.status.state == "playing" and self.store.player is None and self.store.pace is None
        live = (frame.speed, frame.ns_per_day) if frame is not None and playing and frame.speed else (0.0, 0.0)
        if abs(live[0] - self._live[0]) > DIFFERENT * self._live[0]:
            self._live = live
            self._show_rows()

    # -- inside --------------------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        around, begin = self.guard.around, self.guard.start
        self.pane.on_msg(lambda event: self._hear(event.data))
        self.measure_all.on_click(around(lambda _event: begin(self.measure())))
        self.stop.on_click(around(lambda _event: self._watch.cancel()))
        self.choice.param.watch(around(lambda event: None if self._quiet else begin(self.choose(event.new))), "value")
        self.store.param.watch(around(lambda _event: self._hear_carried()), "carried", onlychanged=False)
        self.store.param.watch(self._hear_recipe, ["recipe", "home"])
        self.desk.each_tick(self.refresh)

    def _hear(self, message: object) -> None:
        match message:
            case {"type": "turn", "level": str(name)}:
                self.guard.start(self._turn(name))

    async def _turn(self, name: str) -> None:
        """What was clicked; where something was left behind, with ways to go on."""
        try:
            await self.turn(name)
        except LeftBehindError as problem:
            self.desk.alert.say(str(problem), *self._ways(name), kind="note", title="Water or a ligand was left behind")

    def _ways(self, name: str) -> tuple[WayOut, ...]:
        """Back to the last atoms, or the protein by itself where no ligand belongs to it."""
        last = WayOut("Go on from the last atoms", lambda: self.guard.start(self.store.turn(level(name), afresh=True)))
        prospect, whole = (self.sight.prospect(CONTINUUM), self.sight.whole) if self.sight is not None else (None, None)
        alone = prospect is not None and prospect.limits.possible and whole is not None and not len(whole.atoms_of("ligand"))
        return (last, WayOut("The protein alone, MM implicit", lambda: self.guard.start(self._turn(CONTINUUM)))) if alone and name != CONTINUUM else (last,)

    def _hear_recipe(self, *_events: Event) -> None:
        with self.guard:
            self._on_recipe()

    def _hear_carried(self) -> None:
        self._carried = self.store.carried

    def _on_recipe(self) -> None:
        """Something else is shown, or a wish came to nothing: mark what is."""
        recipe, home = self.store.recipe, self.store.home
        now = level_of(recipe) if recipe is not None else None
        self.pane.param.update(value=now.name if now is not None else "", wish="")
        if recipe != self._shown:
            self._say(self._carried)
            self._shown, self._live = recipe, (0.0, 0.0)
        self._carried = ""
        self._show_potential()
        self._show_rows()
        if home is not None and (self.sight is None or self.sight.recipe != home):
            self._watch.cancel()
            self._look_soon(home)

    def _look_soon(self, home: Dynamics) -> None:
        if on_loop():
            self.guard.start(self.look())
        else:
            self._take(look_at(home, self.store.whole))

    def _say(self, sentence: str) -> None:
        self.note.param.update(object=f'<p class="note" role="status">{html.escape(sentence)}</p>', visible=bool(sentence))

    def _take(self, sight: Sight) -> None:
        self.sight = sight
        known = all(one.speed is not None and one.speed.ok for one in sight.prospects if one.limits.possible)
        self.measure_all.label = "Measure all again" if known else "Measure all levels"
        self._show_rows()
        self._show_potential()

    @property
    def _foreign(self) -> bool:
        """Another system is shown, or on its way, than was looked at."""
        there = self.store.coming or self.store.home
        return there is not None and (self.sight is None or self.sight.recipe.system != there.system)

    def _show_rows(self) -> None:
        self._blind = self._foreign
        seen = () if self.sight is None or self._blind else self.sight.prospects
        rows = [row_of(one, self._live if one.level.name == self.level else (0.0, 0.0)) for one in seen]
        there = self.store.coming or self.store.home
        busy = "" if there is None or there == self._refused else LOOKING
        if (rows, busy) != (self.pane.rows, self.pane.busy):
            self.pane.param.update(rows=rows, busy=busy)

    def _show_potential(self) -> None:
        """The potential that is, whatever was wished, and what the others say."""
        recipe, sight = self.store.recipe, self.sight
        if recipe is None or sight is None or self._foreign:
            self.choice.disabled, self.advice.visible, self.about.object, self.others.object = True, False, "", ""
            return
        name = recipe.view.potential
        ability = sight.ability(name)
        idle = not recipe.view.asks_network
        self._quiet = True
        self.choice.param.update(**menu(sight.abilities, name), disabled=idle)
        self._quiet = False
        self.about.object = card_of(ability.card if ability is not None else None)
        reason = ability.reason if ability is not None else ""
        said = (LEARNED if _is_learned(recipe) else MECHANICS) if idle else reason
        self.advice.param.update(object=f'<p class="hint">{html.escape(said)}</p>', visible=bool(said))
        self.others.object = reasons_of([one for one in sight.abilities if one.state != "ready"])


def _is_learned(recipe: Dynamics) -> bool:
    """Beads are on, by a network of their own."""
    return recipe.view.resolution == "beads" and isinstance(recipe.view.beads, Learned)


def row_of(prospect: Prospect, live: tuple[float, float] = (0.0, 0.0)) -> dict[str, Any]:
    """A level as `dial.js` shows it.

    Args:
        prospect: What is said about it.
        live: Steps per second and ns/day of the run, where it runs now; these come before what was measured.
    """
    one, speed = prospect.level, prospect.speed
    known = (speed.steps_per_second, speed.ns_per_day) if speed is not None and speed.ok else (0.0, 0.0)
    steps, day = live if live[0] else known
    hint = str(prospect.limits) if speed is None or speed.ok else f"{prospect.limits} {speed.refusal}".strip()
    return {
        "name": one.name, "title": one.title, "meaning": one.meaning, "particles": figures(prospect.particles), "hint": hint,
        "speed": figures(steps, digits(steps)) if steps else "", "day": figures(day, digits(day)) if steps else "", "clock": prospect.clock,
        "blocked": not prospect.limits.possible,
    }  # fmt: skip
