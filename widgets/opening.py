"""Opening: the next run on its way, beside the present one - begun, attended to, taken over or dropped.

What is refused leaves no trace in the library; what others play is not opened twice. Knows runs and the library and must not
know the page; slow calls leave for a thread, so that nothing here blocks it.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from studio.entry import Entry
from studio.errors import LeftBehindError, StudioError, UnsupportedError
from studio.frame import Frame
from studio.levels import Level
from studio.library import Claim, Library
from studio.recipes.dynamics import Dynamics
from studio.run import Run
from studio.structure import Structure
from studio.worker import State, Status

logger = logging.getLogger(__name__)

Launch = Callable[[Dynamics, Structure | None, Path], Run]
Kept = Callable[[int], "Place | None"]
"""Gives back a run of this number that went on without a page, if there is one."""
STANDING: tuple[State, ...] = ("paused", "playing")

janitor = ThreadPoolExecutor(max_workers=2, thread_name_prefix="potential-studio close")
"""Ends workers and writes the library, which takes time, away from the page."""
_leaving: dict[Path, "Future[None]"] = {}
"""Runs whose workers are ending: who opens one again waits for that."""
LEAVING_SECONDS = 15.0


@dataclass(frozen=True)
class Wish:
    """What is to be opened.

    Args:
        recipe: What to simulate.
        title: Name of the system for people.
        structure: Where to start, where there is a prepared structure already.
        number: The place in the library, of a run that was there before.
        play: Play as soon as it is ready.
        home: The recipe as the user set it up, whatever level is on.
    """

    recipe: Dynamics
    title: str
    structure: Structure | None = None
    number: int | None = None
    play: bool = True
    home: Dynamics | None = None


@dataclass(frozen=True)
class Refusal:
    """Why a wish was not granted; every refusal is news, also one in the same words."""

    sentence: str


@dataclass(frozen=True)
class Place:
    """A run with its place in the library, held as long as its worker may write there.

    Args:
        run: The run.
        entry: Its place.
        claim: The right to play it.
    """

    run: Run
    entry: Entry
    claim: Claim

    def leave(self, library: Library, discard: bool = False) -> None:
        """End the worker and give the place back, in the background.

        Args:
            library: Where the place is.
            discard: The run came to nothing: take its entry out.
        """
        folder = self.entry.folder
        _leaving[folder] = leaving = janitor.submit(self._leave, library, discard)
        leaving.add_done_callback(lambda _done: _leaving.pop(folder, None))

    def _leave(self, library: Library, discard: bool) -> None:
        self.run.close()
        self.claim.release()
        try:
            if discard:
                library.discard(self.entry.id)
            else:
                library.update(self.entry.id, status="closed")
                library.refresh(self.entry.id)
        except StudioError as problem:  # what was recorded is not touched
            logger.warning("the library could not be written: %s", problem)


def launch(recipe: Dynamics, structure: Structure | None, folder: Path) -> Run:
    """A run of `recipe`; slow for the blink of an eye, so call it in a thread.

    Args:
        recipe: What to simulate.
        structure: Its prepared structure, where there is one already.
        folder: Where it is kept.
    """
    return Run(recipe, folder=folder, structure=structure)


def revised(home: Dynamics, recipe: Dynamics, present: Dynamics | None) -> Dynamics:
    """The recipe as the user set it up, with the settings of another view of the same system.

    Args:
        home: As it was set up.
        recipe: What is wished.
        present: What is shown now, perhaps at another level.
    """
    at_home = present is None or (home.system == present.system and home.view.clock == present.view.clock)
    view = recipe.view.model_copy(update={"resolution": recipe.view.resolution if at_home else home.view.resolution})
    settings = {name: getattr(recipe, name) for name in type(recipe).model_fields} | {"view": view, "system": home.system}
    if home.view.clock != recipe.view.clock:  # beads have a thermostat and a time step of their own
        settings |= {"friction": home.friction, "timestep": home.timestep}
    return home.model_copy(update=settings)


async def along(level: Level, recipe: Dynamics, now: Structure, target: Structure | None) -> tuple[Structure, str]:
    """The atoms of now as another level has them, and a sentence; if nothing can come along, that level's own start.

    Args:
        level: The level.
        recipe: At that level.
        now: What moves now.
        target: Its structure, where it is known already; else it is prepared.

    Raises:
        LeftBehindError: What beads left behind has no place around their shape.
        StudioError: Nothing can be prepared, or built on the beads.
    """
    target = target if target is not None else await asyncio.to_thread(recipe.system.prepare)
    try:
        carried = await asyncio.to_thread(level.carry, now, target)
    except LeftBehindError:
        raise
    except UnsupportedError as problem:
        return target, str(problem)
    return carried.structure, carried.sentence


def moved(structure: Structure | None, frame: Frame | None) -> Structure | None:
    """A structure where a frame has it, in the box of that moment; as it is where the frame is of something else.

    Args:
        structure: What moves.
        frame: The newest, if there is one.
    """
    if structure is None or frame is None or len(frame.positions) != len(structure):
        return structure
    box = None if frame.box is None or structure.box is None else frame.box.astype(float)
    return replace(structure, positions=frame.positions.astype(float), box=structure.box if box is None else box)


def nothing_kept(_number: int) -> Place | None:
    """Where no run goes on without a page."""
    return None


class Opening:
    """The next run on its way; the later of two wishes counts.

    Args:
        library: Where runs are kept.
        owner: Whose they are.
        launch: Makes a run.
        kept: Gives back a run that went on without a page.
    """

    def __init__(self, library: Library, owner: str, launch: Launch, kept: Kept) -> None:
        self._library, self._owner, self._launch, self._kept = library, owner, launch, kept
        self.wish: Wish | None = None
        self.place: Place | None = None

    @property
    def home(self) -> Dynamics | None:
        """What is on its way, as the user set it up; none while nothing is."""
        return (self.wish.home or self.wish.recipe) if self.wish is not None else None

    async def begin(self, wish: Wish) -> None:
        """Start the worker of another run; the one before it on its way is dropped.

        Args:
            wish: What to open.

        Raises:
            StudioError: There is no such run, others play it, or there is no room; then nothing is on its way.
        """
        self.drop()
        self.wish = wish
        place = None
        try:
            place = await asyncio.to_thread(self._begin, wish)
        finally:
            if place is None and self.wish is wish:
                self.wish = None
        if self.wish is wish:
            self.place = place
        else:  # overtaken by a later wish
            place.leave(self._library, discard=wish.number is None)

    def attend(self) -> Status | None:
        """How it is; none while nothing is on its way."""
        return None if self.place is None else self.place.run.status

    def take(self) -> tuple[Wish, Place]:
        """Hand it over; nothing is on its way then."""
        assert self.wish is not None
        assert self.place is not None
        taken = (self.wish, self.place)
        self.wish = self.place = None
        return taken

    def drop(self) -> None:
        """Call it off; an entry that was made for it goes too."""
        wish, place, self.wish, self.place = self.wish, self.place, None, None
        if place is not None:
            place.leave(self._library, discard=wish is None or wish.number is None)

    def _begin(self, wish: Wish) -> Place:
        kept = self._kept(wish.number) if wish.number is not None else None
        if kept is not None:
            return kept
        entry = self._library.get(wish.number) if wish.number is not None else self._library.new(wish.recipe, wish.title, self._owner)
        leaving = _leaving.get(entry.folder)
        if leaving is not None:
            wait((leaving,), LEAVING_SECONDS)
        with ExitStack() as undo:
            if wish.number is None:
                undo.callback(self._library.discard, entry.id)
            claim = self._library.claim(entry.id)
            undo.callback(claim.release)
            place = Place(self._launch(self._library.recipe_of(entry.id), wish.structure, entry.folder), entry, claim)
            undo.pop_all()
        return place
