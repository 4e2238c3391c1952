"""Picker: which atoms the networks describe - chosen as a draft beside what is in use, with its card and its speed before it is used.

Knows the store, drafts of views and the 3D view in which they glow; what a region is and costs, the core says.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import panel as pn
from param.parameterized import Event

from studio.errors import StudioError, UnsupportedError
from studio.hybrid.view import View
from studio.levels import level
from studio.measure import Speed, known_speed
from studio.recipes.dynamics import Dynamics
from studio.region import Atoms, Region
from studio.region_card import RegionCard
from studio.region_text import parse, to_text
from studio.structure import Structure
from widgets.chooser import Chooser, Maker
from widgets.desk import Desk, Part
from widgets.draft import Draft, Join, joined, plain
from widgets.picker_face import PickerFace
from widgets.region_field import RegionField
from widgets.region_form import RegionForm
from widgets.shown import Shown
from widgets.sight import regions_of
from widgets.sources import on_loop
from widgets.speed import Stopwatch, waiting
from widgets.store import PICKS
from widgets.words import atom_name

PAUSE = 0.25
"""Wall time without a change after which a draft is looked at, s."""
REST = 1.0
"""Wall time without a change after which its speed is measured, s."""
CHOSEN = ("region", "charge", "multiplicity", "potential", "also", "link", "embedding", "polarisation")
"""What is decided here; the rest of a view belongs to others."""


@dataclass(frozen=True, eq=False)
class Look:
    """What was seen of a view.

    Args:
        view: That was looked at.
        cards: Of its regions, in their order.
        problem: Why it cannot be used; empty when it can.
        recipe: What would run.
        speed: How fast, where that was measured.
    """

    view: View
    cards: tuple[RegionCard, ...]
    problem: str
    recipe: Dynamics
    speed: Speed | None


class RegionPicker(Part):
    """The region picker. In a notebook: `picker.region = "ligand or sidechain A:93"`, read `picker.card`, then `await picker.use()`.

    Args:
        desk: Shared with other parts; one of its own when left out.
    """

    def __init__(self, desk: Desk | None = None) -> None:
        super().__init__(desk)
        self._draft: Draft | None = None
        self._look: Look | None = None
        self._prepared: tuple[Dynamics, Structure] | None = None
        self._glow: tuple[list[int], list[tuple[int, int]]] | None = None
        self._before: tuple[list[int], list[Any]] = ([], [])
        self._home: Dynamics | None = None
        self._watch = Stopwatch()
        self.field = RegionField(lambda region: self._change(lambda draft: draft.describe({"region": region}, typing=True)), self._show)
        self.chooser, self.form = Chooser(self.choose, self._picked, self.guard), RegionForm(self._change, self.guard)
        self.face = PickerFace(self.field, self.chooser, self.form)
        self.panel = self.face.panel
        self._connect()
        self._on_home()

    # -- from Python ---------------------------------------------------------------------------------------------------

    @property
    def drafting(self) -> bool:
        """A draft is open."""
        return self._draft is not None

    @property
    def view(self) -> View:
        """The draft, or what is in use; the defaults when nothing is open."""
        if self._draft is not None:
            return self._draft.view
        return self.store.home.view if self.store.home is not None else View()

    @property
    def region(self) -> Region:
        """The region at hand; setting it, as a region or in words, begins a draft."""
        return self._at_hand().fragment.region

    @region.setter
    def region(self, region: Region | str) -> None:
        wanted = parse(region) if isinstance(region, str) else region
        self._change(lambda draft: draft.describe({"region": wanted}))

    @property
    def text(self) -> str:
        """The region at hand, in words. Setting it begins a draft."""
        return to_text(self.region)

    @text.setter
    def text(self, text: str) -> None:
        self.region = parse(text)

    @property
    def card(self) -> RegionCard | None:
        """What the region at hand is; none when nothing is open."""
        look = self._seen()
        return look.cards[self._at_hand().at] if look is not None else None

    @property
    def problem(self) -> str:
        """Why the draft, or what is in use, cannot be used; empty when it can."""
        look = self._seen()
        return look.problem if look is not None else "Nothing is open. Build a system first."

    @property
    def speed(self) -> Speed | None:
        """How fast it would run, where that was measured."""
        look = self._seen()
        return look.speed if look is not None else None

    def choose(self, make: Maker, how: Join = "add") -> None:
        """Join a part to the region at hand.

        Args:
            make: Makes the part, from all atoms and the region that is there.
            how: In which way.

        Raises:
            StudioError: Nothing is open, or the part is empty.
        """
        whole = self.whole
        if whole is None:
            raise UnsupportedError("There are no atoms yet to choose from. Build a system first, or wait until it is ready.")
        part = make(whole, self.region)
        part.select(whole)
        region = joined(self.region, part, how, whole)
        region.select(whole)
        self._change(lambda draft: draft.describe({"region": region}))

    async def use(self) -> None:
        """See the present atoms with the draft; they stay where they are. The draft is closed when it runs.

        Raises:
            UnsupportedError: It cannot be used; nothing changes.
        """
        if self._draft is None:
            return
        look = await asyncio.to_thread(self._seen)
        if look is None or look.problem:
            raise UnsupportedError(look.problem if look is not None else self.problem)
        self._watch.cancel()
        await self.store.revise(look.recipe)

    def discard(self) -> None:
        """Back to what is in use."""
        self._close()
        if self._glow is not None:
            self._glow = None
            self.desk.viewer.pane.param.update(highlight=self._before[0], cuts=self._before[1])
        self._changed()

    def undo(self) -> None:
        """Take the last step of the draft back."""
        self._step(Draft.undo)

    def redo(self) -> None:
        """Take it again."""
        self._step(Draft.redo)

    async def look(self, pause: float = 0.0) -> None:
        """See what the draft, or what is in use, is - unless it is changed meanwhile.

        Args:
            pause: Wait this long for more changes, s.
        """
        view = self.view
        await asyncio.sleep(pause)
        if self.store.home is not None and view == self.view:
            await self._prepare()
            await asyncio.to_thread(self._seen)
            if view == self.view:
                self._show()

    async def measure(self, again: bool = False) -> None:
        """Measure how fast it would run, also while a run plays.

        Args:
            again: Measure even if the number is remembered.
        """
        await self.look()
        look = self._look
        if look is None or look.problem:
            return
        speed = await self._watch.measure(look.recipe, self.whole, again)
        if self._look is not None and self._look.recipe == look.recipe:
            self._look = Look(look.view, look.cards, look.problem, look.recipe, speed)
            self._show()

    @property
    def whole(self) -> Structure | None:
        """All atoms that can be chosen from, where they are now; none when nothing is open or they are not prepared yet."""
        home, recipe = self.store.home, self.store.recipe
        if home is None or recipe is None:
            return None
        if recipe.view.sees_all and recipe.system == home.system:
            return self.store.now()
        prepared = self._prepared
        return self.store.whole or (prepared[1] if prepared is not None and prepared[0].system == home.system else None)

    # -- what is there -------------------------------------------------------------------------------------------------

    def _at_hand(self) -> Draft:
        return self._draft if self._draft is not None else Draft(self.view)

    def _picked(self) -> tuple[int, ...]:
        shown = self._shown()
        return shown.in_whole(self.store.picks) if shown is not None else ()

    def _tell_picks(self) -> None:
        structure = self.store.structure
        self.chooser.tell_picks([atom_name(structure, atom) for atom in self.store.picks] if structure is not None else [])

    def _shown(self) -> Shown | None:
        recipe, structure, whole = self.store.recipe, self.store.structure, self.whole
        return Shown(recipe, structure, whole) if recipe is not None and structure is not None and whole is not None else None

    def _seen(self) -> Look | None:
        """What the present view is, looked at now if it was not before; takes milliseconds, but half a second the first time."""
        view, whole, look = self.view, self.whole, self._look
        if look is not None and look.view == view:
            return look
        if whole is None:
            return None
        cards, problem = regions_of(view, whole)
        recipe = self._wanted(view, sum(len(card.atoms) for card in cards) >= len(whole))
        self._look = look = Look(view, cards, problem, recipe, None if problem else _speed_of(recipe))
        return look

    def _wanted(self, view: View, everything: bool) -> Dynamics:
        """The recipe that uses a view: NNP/MM, or NNP where nothing is left for MM, or the dial is there."""
        home, recipe = self.store.home, self.store.recipe
        assert home is not None
        alone = recipe is not None and recipe.view.resolution == "nnp" and not view.also
        chosen = {name: getattr(view, name) for name in CHOSEN}
        return level("nnp" if everything or alone else "nnp/mm").apply(home.model_copy(update={"view": home.view.model_copy(update=chosen)}))

    async def _prepare(self) -> None:
        """Have the whole system at hand, where only a part of it was ever simulated; the worker left it on disk."""
        home = self.store.home
        if home is not None and self.whole is None:
            self._prepared = (home, await asyncio.to_thread(home.system.prepare))
            self._offer()

    # -- what happens --------------------------------------------------------------------------------------------------

    def _change(self, change: Callable[[Draft], None]) -> None:
        home = self.store.home
        if home is None:
            raise UnsupportedError("Nothing is open. Build a system first.")
        draft = self._at_hand()
        change(draft)
        if draft.can_undo or self._draft is not None:
            self._draft = draft
        self._changed()

    def _step(self, step: Callable[[Draft], None]) -> None:
        if self._draft is not None:
            step(self._draft)
            self._changed()

    def _changed(self) -> None:
        """Show a change at once, and what it means when it rests."""
        self._watch.cancel()
        self._show()
        if self.store.home is None:
            return
        if on_loop():
            self.guard.start(self._settle())
        elif self._seen() is not None:
            self._show()

    async def _settle(self) -> None:
        """Look at the draft when nothing changes any more, and measure it a little later if nothing else is going on."""
        view = self.view
        await self.look(PAUSE)
        await asyncio.sleep(REST)
        look = self._look
        if not self.drafting or view != self.view or look is None or look.problem or look.speed is not None or self._watch.busy:
            return
        if self._busy:
            self.face.say_speed("A run is playing and would slow a measurement down: pause it, or measure anyway.")
        else:
            await self.measure()

    @property
    def _busy(self) -> bool:
        return self.store.status.state == "playing" or self.store.pending is not None

    def _hear_home(self, *_events: Event) -> None:
        with self.guard:
            self._on_home()

    def _on_home(self) -> None:
        """Another system, another level, or the draft came into use."""
        old, self._home = self._home, self.store.home
        new, draft, self._look = self._home, self._draft, None
        if draft is not None:
            if new is None or old is None or new.system.source != old.system.source or _choice(new.view) == _choice(draft.view):
                self._close()
            elif new.view.potential != old.view.potential:  # the dial chose another one meanwhile
                draft.change({"potential": new.view.potential})
        self._offer()
        self._changed()

    def _offer(self) -> None:
        whole = self.whole
        if whole is not None:
            self.chooser.offer(whole)

    def _close(self) -> None:
        self._draft = None
        self._watch.cancel()

    # -- what is shown -------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Keep the draft glowing, also after the picture was drawn anew, and tell how a measurement is coming along."""
        busy = self._watch.busy
        self.face.stop.visible, self.face.measure.visible = busy, not busy
        if busy:
            self.face.pace.object = waiting(self._watch.seconds, "this region", beside=self.store.status.state == "playing")
        pane = self.desk.viewer.pane
        if self.drafting and self._glow is not None and (pane.highlight, pane.cuts) != self._glow:
            self._before = (pane.highlight, pane.cuts)
            pane.param.update(highlight=self._glow[0], cuts=self._glow[1])

    def _show(self) -> None:
        hand, whole, face = self._at_hand(), self.whole, self.face
        look = self._look if self._look is not None and self._look.view == self.view else None
        card = look.cards[hand.at] if look is not None else None
        self.field.show(plain(hand.fragment.region, whole) if whole is not None else hand.fragment.region)
        self.form.show(hand, card)
        self.form.potential.visible = self.drafting
        face.show_state(self.store.home, self.store.recipe, self.drafting)
        face.show_draft(hand, usable=look is not None and not look.problem and self.field.correct and look.recipe != self.store.recipe)
        if look is None or card is None or whole is None:
            return
        face.show_card(card, look.problem, whole)
        face.show_use(look.recipe)
        if not self._watch.busy:
            face.show_speed(look.speed, bool(look.problem))
        self._show_glow(look)

    def _show_glow(self, look: Look) -> None:
        shown = self._shown()
        if not self.drafting or shown is None:
            return
        pairs = [shown.in_picture((cut.inner, cut.outer)) for card in look.cards for cut in card.cuts]
        atoms = shown.in_picture(sorted({int(atom) for card in look.cards for atom in card.atoms}))
        pane = self.desk.viewer.pane
        if self._glow is None:
            self._before = (pane.highlight, pane.cuts)
        self._glow = (atoms, [(pair[0], pair[1]) for pair in pairs if len(pair) == 2])
        pane.param.update(highlight=self._glow[0], cuts=self._glow[1])

    def _pick_cut(self, chosen: Iterable[int]) -> None:
        """Pick the atoms of a cut bond, so that they are seen in the picture and the drawing."""
        card, shown = self.card, self._shown()
        if card is not None and shown is not None and not self.face.quiet:
            self.store.picks = tuple(shown.in_picture(atom for place in chosen for atom in (card.cuts[place].inner, card.cuts[place].outer)))[:PICKS]

    def _take_up(self, place: int) -> None:
        """Have another fragment at hand."""
        if not self.face.quiet and place is not None:
            draft = self._at_hand()
            draft.at = place
            self._draft = draft
            self._show()
            self._changed()

    def _connect(self) -> None:
        around, begin, face = self.guard.around, self.guard.start, self.face
        acts: dict[pn.widgets.Button, Callable[[], None]] = {
            face.more: lambda: self._change(lambda draft: draft.add_fragment(Atoms(indices=()))), face.drop: lambda: self._change(Draft.drop_fragment),
            face.measure: lambda: begin(self.measure(again=self.speed is not None)), face.stop: self._watch.cancel,
            face.use: lambda: begin(self.use()), face.leave: self.discard, face.back: self.undo, face.again: self.redo,
        }  # fmt: skip
        for button, act in acts.items():
            button.on_click(around(_doing(act)))
        face.cuts.param.watch(around(lambda event: self._pick_cut(event.new)), "value")
        face.which.param.watch(around(lambda event: self._take_up(event.new)), "value")
        self.store.param.watch(around(lambda _event: self._tell_picks()), "picks")
        self.store.param.watch(self._hear_home, ["home", "structure"])
        self.desk.each_tick(self.refresh)


def _doing(act: Callable[[], None]) -> Callable[[Event], None]:
    return lambda _event: act()


def _choice(view: View) -> tuple[object, ...]:
    return tuple(getattr(view, name) for name in CHOSEN)


def _speed_of(recipe: Dynamics) -> Speed | None:
    try:
        return known_speed(recipe)
    except StudioError:  # the run itself will say what is wrong
        return None
