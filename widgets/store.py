"""Store: what one document is about - the recipe, its run, how it is, what is picked and measured, and what is on its way.

Parts write here, everything else reads. Another recipe gets a run of its own beside the present one; it takes over when it
is ready, so that a refused molecule or a wrong click costs nothing. Every run has its place in the library, where it is found
again. Knows runs, recipes and the library and must not know layout.
"""

import asyncio
import logging
from collections.abc import Callable
from time import monotonic

import param

from studio import run as runs
from studio.entry import Entry
from studio.errors import StudioError, UnsupportedError
from studio.frame import Frame, FrameStream
from studio.levels import Level, level_of
from studio.library import Library
from studio.observables import Observable
from studio.recipes.dynamics import Dynamics
from studio.replay import Player
from studio.run import Run
from studio.settings import validated
from studio.steering import Restraint
from studio.structure import Structure
from studio.trust import Doubt
from studio.units import Kelvin, PerPicosecond
from studio.worker import Status
from widgets.opening import STANDING, Kept, Launch, Opening, Place, Refusal, Wish, along, janitor, launch, moved, nothing_kept, revised
from widgets.playback import Playback, player_of

logger = logging.getLogger(__name__)

BOOKING_SECONDS = 2.0
"""Wall time between two notes in the library."""
PICKS = 12
"""Atoms picked one by one, at most."""


class Store(param.Parameterized):
    """The state of one document. Call `refresh` a few times a second: it listens to the runs.

    Args:
        library: Where runs are kept; the user's own when left out.
        owner: Whose runs these are.
        launch: Makes a run.
        kept: Gives back a run that went on without a page.
    """

    recipe = param.ClassSelector[Dynamics | None](class_=Dynamics, default=None, doc="What is shown.")
    home = param.ClassSelector[Dynamics | None](class_=Dynamics, default=None, doc="The same as the user set it up, whatever level is on.")
    title = param.String(default="", doc="Name of the system for people.")
    run = param.ClassSelector[Run | None](class_=Run, default=None, doc="The run that is shown.")
    entry = param.ClassSelector[Entry | None](class_=Entry, default=None, doc="Its place in the library.")
    structure = param.ClassSelector[Structure | None](class_=Structure, default=None, doc="Atoms of the run, in the order of its frames.")
    status = param.ClassSelector[Status](class_=Status, default=Status("closed", "Nothing is open"), doc="How the run is.")
    doubts = param.ClassSelector[tuple[Doubt, ...]](class_=tuple, default=(), doc="What spoke against the network in this run, oldest first.")
    pending = param.ClassSelector[Status | None](class_=Status, default=None, doc="How the next run is coming along, while there is one.")
    refusal = param.ClassSelector[Refusal | None](class_=Refusal, default=None, doc="Why the last wish was not granted.")
    carried = param.String(default="", doc="What came along when the level changed, a sentence.")
    temperature = param.Number(default=300.0, doc="Of the thermostat, K.")
    friction = param.Number(default=1.0, doc="Of the thermostat, 1/ps.")
    pace = param.Number(default=None, allow_None=True, doc="Steps per second at most; none for as fast as can be.")
    restraints = param.ClassSelector[tuple[Restraint, ...]](class_=tuple, default=(), doc="What is held in the present run.")
    player = param.ClassSelector[Player | None](class_=Player, default=None, doc="The recording that is shown instead of the live run, if it is.")
    picks = param.ClassSelector[tuple[int, ...]](class_=tuple, default=(), doc="Atoms picked in the picture or the drawing, in this order.")
    observables = param.ClassSelector[tuple[Observable, ...]](class_=tuple, default=(), doc="What is measured and plotted.")
    study = param.Integer(default=0, doc="Number of the study whose report is shown; 0 for none.")
    reported = param.Boolean(default=False, doc="The 3D view shows what a report is about, instead of the run, which goes on.")
    compared = param.ClassSelector[tuple[int, ...]](class_=tuple, default=(), doc="Numbers of the runs on the compare board; none when it is not shown.")
    shelf = param.Integer(default=0, doc="Counts changes of the library's list that this document made.")
    keep = param.Boolean(default=False, doc="The run goes on when the document is closed.")

    def __init__(self, library: Library | None = None, owner: str = "", launch: Launch = launch, kept: Kept = nothing_kept) -> None:
        begin: Callable[[], None] = super().__init__
        begin()
        self.library, self.owner = library or Library(), owner
        self.frame: Frame | None = None
        self.level: Level | None = None
        self.speeds: dict[str, float] = {}
        self.launch = launch
        self._opening = Opening(self.library, owner, launch, kept)
        self._place: Place | None = None
        self._resume = self._go_on_live = False
        self._ticket, self._closed = 0, False
        self._wholes: dict[str, Structure] = {}
        self._booked = 0.0

    # -- opening -------------------------------------------------------------------------------------------------------

    async def open(self, recipe: Dynamics, title: str = "", structure: Structure | None = None) -> None:
        """Prepare another run beside the present one, which waits; it takes over and plays as soon as it is ready.

        Args:
            recipe: What to simulate.
            title: Name of the system for people; the present one when left out.
            structure: Where to start; the prepared structure of the same system, if it was seen before, when left out.
        """
        wish = Wish(recipe, title or self.title, self._whole_of(recipe) if structure is None else structure, home=recipe)
        await self._grant(wish, self._wished())

    async def reopen(self, number: int) -> None:
        """Show a run of the library where it ended; it goes on when played.

        Args:
            number: Of its entry.

        Raises:
            StudioError: There is no such run, others play it, or its recipe cannot be read.
        """
        ticket = self._wished()
        recipe, entry = await asyncio.to_thread(lambda: (self.library.recipe_of(number), self.library.get(number)))
        if not isinstance(recipe, Dynamics):
            raise UnsupportedError(f"Run {number} is a {entry.kind}, which has no live view. Use `potential-studio runs show {number}`.")
        await self._grant(Wish(recipe, entry.title, None, number, play=False, home=recipe), ticket)

    async def turn(self, level: Level, *, afresh: bool = False) -> None:
        """See the present system at another level; atoms that both have come along as they are.

        Args:
            level: The level.
            afresh: Start from its own last atoms instead, or as prepared.

        Raises:
            LeftBehindError: What beads left behind has no place around their new shape; the beads go on.
            StudioError: Nothing can be built on the beads; they go on.
        """
        ticket, home, title = self._wished(), self.home, self.title
        if home is not None:
            recipe = level.apply(home)
            if afresh:
                self.carried, structure = "It starts from its last atoms; where the beads went is left out.", self._whole_of(recipe)
            else:
                structure = await self._carried(level, recipe, ticket)
            await self._grant(Wish(recipe, title, structure, home=home), ticket)

    async def revise(self, recipe: Dynamics) -> None:
        """See the present atoms in another way - another region, potential, time step; they stay where they are.

        Args:
            recipe: Of the same system.
        """
        ticket, title, home = self._wished(), self.title, revised(self.home or recipe, recipe, self.recipe)
        structure = await self._carried(self.level, recipe, ticket) if self.level is not None else self._whole_of(recipe)
        await self._grant(Wish(recipe, title, structure, home=home), ticket)

    def cancel(self) -> None:
        """Forget the run that is being prepared; the present one goes on."""
        self._wished()
        self._opening.drop()
        self.pending = None
        self._go_on()

    def refuse(self, sentence: str) -> None:
        """Say why a wish is not granted; what runs is not touched."""
        self.refusal = Refusal(sentence)

    def now(self) -> Structure | None:
        """The structure with the atoms where the newest frame has them."""
        return moved(self.structure, self.frame)

    @property
    def clock(self) -> str:
        """What the time of the present run is called; `CG time` of beads, which is never that of atoms."""
        return self.recipe.view.clock if self.recipe is not None else "time"

    @property
    def coming(self) -> Dynamics | None:
        """What is on its way, as the user set it up; none while nothing is."""
        return self._opening.home

    @property
    def whole(self) -> Structure | None:
        """The prepared structure of the system as the user set it up, also while only a part of it is seen."""
        return self._whole_of(self.home) if self.home is not None else None

    # -- the present run -----------------------------------------------------------------------------------------------

    def play(self) -> None:
        """Go on; from a recording, back to the live run first."""
        self.live()
        if self.run is not None:
            self.run.play()

    def pause(self) -> None:
        """Stop where it is."""
        if self.run is not None:
            self.run.pause()

    def step(self) -> None:
        """One step."""
        self.live()
        if self.run is not None:
            self.run.step()

    def reset(self) -> None:
        """Back to the start."""
        self.live()
        if self.run is not None:
            self.run.reset()

    def undo(self) -> None:
        """Back to the moment before the last action or checkpoint; again, further back."""
        self.live()
        if self.run is not None:
            self.run.undo()

    def rollback(self) -> None:
        """Back to the last checkpoint."""
        if self.run is not None:
            self.run.rollback()

    def recover(self) -> None:
        """A new worker for the present run, from its last checkpoint, as it was driven, playing."""
        if self.run is not None:
            self.run.recover()
            self._drive(self.run)
            self.run.play()

    def set_temperature(self, kelvin: float) -> None:
        """Drive the thermostat to another temperature; the present run hears of it at once.

        Args:
            kelvin: The temperature.

        Raises:
            SettingsError: Not a temperature that can be simulated; nothing changes.
        """
        self.temperature = validated(Kelvin, kelvin)
        for run in self.open_runs:
            run.set_temperature(kelvin)

    def set_friction(self, per_ps: float) -> None:
        """Another friction of the thermostat.

        Args:
            per_ps: The friction, 1/ps.

        Raises:
            SettingsError: Not a friction that can be simulated; nothing changes.
        """
        self.friction = validated(PerPicosecond, per_ps)
        for run in self.open_runs:
            run.set_friction(per_ps)

    def set_pace(self, steps_per_second: float | None) -> None:
        """Slow motion, or as fast as can be.

        Args:
            steps_per_second: At most; none for as fast as can be.

        Raises:
            SettingsError: Not above 0; nothing changes.
        """
        for run in self.open_runs:
            run.set_pace(steps_per_second)
        self.pace = steps_per_second

    def restrain(self, restraints: tuple[Restraint, ...]) -> None:
        """Hold atoms; replaces what was held.

        Args:
            restraints: All of them.

        Raises:
            SettingsError: An atom does not exist or never moves; nothing changes.
        """
        if self.run is not None:
            self.run.restrain(restraints)
            self.restraints = restraints

    def pick(self, atom: int) -> None:
        """Add an atom to the picks, or take it back; the oldest makes room.

        Args:
            atom: Its index.
        """
        left = tuple(each for each in self.picks if each != atom)
        self.picks = left if len(left) < len(self.picks) else (*self.picks, atom)[-PICKS:]

    # -- recordings ----------------------------------------------------------------------------------------------------

    async def replay(self) -> None:
        """Show the recording of the present run, which waits meanwhile.

        Raises:
            StudioError: Nothing was recorded yet, or it cannot be read.
        """
        entry = self.entry
        if entry is None:
            return
        self._go_on_live = self._go_on_live or self.status.state == "playing"
        self.pause()
        player = None
        try:
            player = await asyncio.to_thread(player_of, entry.folder)
        finally:
            if entry is self.entry:  # else another run was opened meanwhile
                self.player = player
                if player is None:
                    self._go_on_with_it()

    def live(self) -> None:
        """Show the live run again; it goes on if it did."""
        if self.player is not None:
            self._go_on_with_it()
        self.player, self._go_on_live = None, False

    @property
    def source(self) -> FrameStream | None:
        """Where the frames that are shown come from."""
        if self.player is not None:
            return Playback(self.player)
        return None if self.run is None else self.run.frames

    # -- listening -----------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Hear what the runs say. Never waits."""
        if (coming := self._opening.attend()) is not None:
            self._attend(coming)
        if self.run is not None:
            status, self.doubts = self.run.status, self.run.doubts
            if status != self.status:
                self.status, self._booked = status, 0.0
            self._book()

    def take(self, frame: Frame) -> None:
        """Remember the newest frame of what is shown.

        Args:
            frame: The newest.
        """
        self.frame = frame
        if self.player is None and frame.speed and self.level is not None and self.pace is None:
            self.speeds[self.level.name] = frame.speed

    def close(self) -> None:
        """End the workers of this document, in the background; what is still on its way comes to nothing."""
        self._closed = True
        self._opening.drop()
        if self._place is not None:
            self._place.leave(self.library)
            self._place = None

    def hand_over(self) -> Place | None:
        """Let somebody else look after the present run, which goes on."""
        place, self._place = self._place, None
        return place

    @property
    def open_runs(self) -> tuple[Run, ...]:
        """The runs that hold a worker."""
        return tuple(place.run for place in (self._place, self._opening.place) if place is not None)

    # -- inside --------------------------------------------------------------------------------------------------------

    async def _grant(self, wish: Wish, ticket: int) -> None:
        if ticket != self._ticket or self._closed:
            return
        self._resume = self._resume or self.status.state == "playing"
        if self.run is not None and self.status.state == "playing":
            self.run.pause()
        self.pending = Status("preparing", "Starting the worker")
        begun = False
        try:
            await self._opening.begin(wish)
            begun = True
        finally:
            if not begun and self._opening.wish is None:
                self.pending = None
                self._go_on()

    def _wished(self) -> int:
        """The number of a new wish: what was wished before is late from now on."""
        self._ticket += 1
        return self._ticket

    def _go_on_with_it(self) -> None:
        """The live run goes on, if it did before it was looked back at."""
        if self._go_on_live and self.run is not None:
            self.run.play()
        self._go_on_live = False

    async def _carried(self, level: Level, recipe: Dynamics, ticket: int) -> Structure | None:
        """The present atoms as another level has them; beads wait meanwhile, as building atoms on them takes seconds."""
        now = self.now()
        if now is None:
            return None
        self._resume = self._resume or self.status.state == "playing"
        if now.is_coarse and self.run is not None:
            self.run.pause()
        self.pending = Status("preparing", "Building atoms on the beads" if now.is_coarse and recipe.view.resolution != "beads" else "Taking the atoms along")
        try:
            structure, self.carried = await along(level, recipe, now, self._whole_of(recipe))
        except StudioError:
            if ticket == self._ticket:
                self._go_on()
            raise
        finally:
            if ticket == self._ticket:
                self.pending = None
        return structure

    def _attend(self, status: Status) -> None:
        place = self._opening.place
        if status.state in STANDING and place is not None and place.run.structure is not None:
            self._adopt(*self._opening.take(), place.run.structure, status)
        elif status.state in ("failed", "lost", "closed"):
            self.refuse(status.message)
            self.cancel()
        else:
            self.pending = status

    def _adopt(self, wish: Wish, place: Place, structure: Structure, status: Status) -> None:
        old, self._place = self._place, place
        if self.recipe is None or self.recipe.view.clock != wish.recipe.view.clock:
            self.friction = wish.recipe.friction
        self._remember(wish.recipe, structure)  # while the newest frame is that of the run before
        self._resume, self._go_on_live, self.frame = False, False, None
        self.param.update(
            recipe=wish.recipe, home=wish.home or wish.recipe, title=wish.title, run=place.run, entry=place.entry, structure=structure, status=status,
            pending=None, refusal=None, doubts=(), player=None, picks=(), observables=(), restraints=wish.recipe.restraints, shelf=self.shelf + 1,
        )  # fmt: skip
        self._drive(place.run)
        if wish.play and not any(doubt.action == "pause" for doubt in status.doubts):
            place.run.play()
        if old is not None:
            old.leave(self.library)
        self._booked = 0.0
        janitor.submit(runs.prewarm)

    def _drive(self, run: Run) -> None:
        """What the user set by hand holds for the next worker too."""
        run.set_temperature(self.temperature)
        run.set_friction(self.friction)
        if self.pace is not None:
            run.set_pace(self.pace)

    def _remember(self, recipe: Dynamics, structure: Structure) -> None:
        """What the next view of the same system can use: all its atoms at their last places, and how fast each level went."""
        if self.recipe is None or self.recipe.system.source != recipe.system.source:
            self.speeds, self._wholes = {}, {}
        now = self.now()
        if self.recipe is not None and now is not None and self.recipe.view.sees_all and self.recipe.system.source == recipe.system.source:
            self._wholes[self.recipe.system.model_dump_json()] = now
        if recipe.view.sees_all:
            self._wholes[recipe.system.model_dump_json()] = structure
        self.level = level_of(recipe)

    def _whole_of(self, recipe: Dynamics) -> Structure | None:
        return self._wholes.get(recipe.system.model_dump_json())

    def _go_on(self) -> None:
        """After a wish that came to nothing: the present run goes on as it did."""
        if self._resume and self.status.state in STANDING:
            self.play()
        self._resume = False
        self.param.trigger("recipe")  # forms show again what is

    def _book(self) -> None:
        """Note in the library how the run is."""
        now = monotonic()
        if self.entry is None or now - self._booked < BOOKING_SECONDS:
            return
        self._booked = now
        time = self.frame.time if self.frame is not None and self.player is None else None
        janitor.submit(self._note, self.entry.id, self.status.state, time, None if self.structure is None else len(self.structure), self.temperature)

    def _note(self, number: int, status: str, time_ps: float | None, atoms: int | None, kelvin: float) -> None:
        if self._place is None or self._place.entry.id != number:
            return  # it was left meanwhile, which is noted already
        try:
            self.library.update(number, status=status, time_ps=time_ps, atoms=atoms, temperature=kelvin)
        except StudioError as problem:  # the run itself is not touched
            logger.warning("the library could not be written: %s", problem)
