"""Store: what one document is about - the recipe, its run, how it is, and what is on its way.

Forms write here, everything else reads. Another recipe gets a run of its own beside the present one; it takes over when it
is ready, so that a refused molecule or a wrong click costs nothing. Knows runs and recipes and must not know layout; slow
calls leave for a thread, so that nothing here blocks the page.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import param

from studio import run as runs
from studio.frame import Frame
from studio.hybrid.view import Resolution, View
from studio.recipes.dynamics import Dynamics
from studio.run import Run
from studio.settings import validated
from studio.structure import Structure
from studio.system import System
from studio.trust import Doubt
from studio.units import Kelvin
from studio.worker import State, Status

logger = logging.getLogger(__name__)

Launch = Callable[[Dynamics, Structure | None], Run]
NOTHING = Status("closed", "Nothing is open")
STANDING: tuple[State, ...] = ("paused", "playing")

_janitor = ThreadPoolExecutor(max_workers=2, thread_name_prefix="potential-studio close")
"""Ends workers, which takes seconds, away from the page."""


@dataclass(frozen=True)
class Refusal:
    """Why a wish was not granted; every refusal is news, also one in the same words."""

    sentence: str


def launch(recipe: Dynamics, structure: Structure | None) -> Run:
    """A run of `recipe`; slow for the blink of an eye, so call it in a thread.

    Args:
        recipe: What to simulate.
        structure: Its prepared structure, where there is one already.
    """
    return Run(recipe, structure=structure)


class Store(param.Parameterized):
    """The state of one document. Call `refresh` a few times a second: it listens to the runs."""

    recipe = param.ClassSelector[Dynamics | None](class_=Dynamics, default=None, doc="What is shown.")
    title = param.String(default="", doc="Name of the system for people.")
    run = param.ClassSelector[Run | None](class_=Run, default=None, doc="The run that is shown.")
    structure = param.ClassSelector[Structure | None](class_=Structure, default=None, doc="Atoms of the run, in the order of its frames.")
    status = param.ClassSelector[Status](class_=Status, default=NOTHING, doc="How the run is.")
    doubts = param.ClassSelector[tuple[Doubt, ...]](class_=tuple, default=(), doc="What spoke against the network in this run, oldest first.")
    pending = param.ClassSelector[Status | None](class_=Status, default=None, doc="How the next run is coming along, while there is one.")
    refusal = param.ClassSelector[Refusal | None](class_=Refusal, default=None, doc="Why the last wish was not granted.")
    temperature = param.Number(default=300.0, doc="Of the thermostat, K.")

    def __init__(self, launch: Launch = launch) -> None:
        begin: Callable[[], None] = super().__init__
        begin()
        self.frame: Frame | None = None
        self.sizes: dict[Resolution, int] = {}
        self.speeds: dict[Resolution, float] = {}
        self._launch = launch
        self._next: Run | None = None
        self._wanted: tuple[Dynamics, str] | None = None
        self._resume = False
        self._prepared: tuple[System, Structure] | None = None

    # -- opening -------------------------------------------------------------------------------------------------------

    async def open(self, recipe: Dynamics, title: str = "") -> None:
        """Prepare another run beside the present one, which waits; it takes over and plays as soon as it is ready.

        Args:
            recipe: What to simulate.
            title: Name of the system for people; the present one when left out.
        """
        self._drop_next()
        self._resume = self._resume or self.status.state == "playing"
        if self.run is not None and self.status.state == "playing":
            self.run.pause()
        self._wanted = wanted = (recipe, title or self.title)
        self.pending = Status("preparing", "Starting the worker")
        run = await asyncio.to_thread(self._launch, recipe, self._prepared_for(recipe))
        if self._wanted is wanted:
            self._next = run
        else:  # overtaken by a later wish
            _janitor.submit(run.close)

    def cancel(self) -> None:
        """Forget the run that is being prepared; the present one goes on."""
        self._drop_next()
        self._go_on()

    def refuse(self, sentence: str) -> None:
        """Say why a wish is not granted; what runs is not touched."""
        self.refusal = Refusal(sentence)

    # -- the present run -----------------------------------------------------------------------------------------------

    def play(self) -> None:
        """Go on."""
        if self.run is not None:
            self.run.play()

    def pause(self) -> None:
        """Stop where it is."""
        if self.run is not None:
            self.run.pause()

    def step(self) -> None:
        """One step."""
        if self.run is not None:
            self.run.step()

    def reset(self) -> None:
        """Back to the start."""
        if self.run is not None:
            self.run.reset()

    def rollback(self) -> None:
        """Back to the last checkpoint."""
        if self.run is not None:
            self.run.rollback()

    def recover(self) -> None:
        """A new worker for the present run, from its last checkpoint, at the present temperature, playing."""
        if self.run is not None:
            self.run.recover()
            self.run.set_temperature(self.temperature)
            self.run.play()

    def set_temperature(self, kelvin: float) -> None:
        """Drive the thermostat to another temperature; the present run hears of it at once.

        Args:
            kelvin: The temperature.

        Raises:
            SettingsError: Not a temperature that can be simulated; nothing changes.
        """
        self.temperature = validated(Kelvin, kelvin)
        for run in (self.run, self._next):
            if run is not None:
                run.set_temperature(kelvin)

    # -- listening -----------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Hear what the runs say. Never waits."""
        if self._next is not None:
            self._attend(self._next)
        if self.run is not None:
            status = self.run.status
            if self.run.doubts != self.doubts:
                self.doubts = self.run.doubts
            if status != self.status:
                self.status = status

    def take(self, frame: Frame) -> None:
        """Remember the newest frame of the present run."""
        self.frame = frame
        if self.recipe is not None and frame.speed:
            self.speeds[self.recipe.view.resolution] = frame.speed

    def close(self) -> None:
        """End all workers of this document, in the background."""
        self._drop_next()
        if self.run is not None:
            _janitor.submit(self.run.close)

    @property
    def open_runs(self) -> tuple[Run, ...]:
        """The runs that hold a worker."""
        return tuple(run for run in (self.run, self._next) if run is not None)

    def _attend(self, run: Run) -> None:
        status = run.status
        if status.state in STANDING and run.structure is not None:
            self._adopt(run, run.structure, status)
        elif status.state in ("failed", "lost", "closed"):
            self._drop_next()
            self.refuse(status.message)
            self._go_on()
        else:
            self.pending = status

    def _adopt(self, run: Run, structure: Structure, status: Status) -> None:
        assert self._wanted is not None
        (recipe, title), old = self._wanted, self.run
        self._next, self._wanted, self._resume, self.frame = None, None, False, None
        self._remember(recipe, structure)
        self.param.update(recipe=recipe, title=title, run=run, structure=structure, status=status, pending=None, refusal=None, doubts=())
        run.set_temperature(self.temperature)
        if not any(doubt.action == "pause" for doubt in status.doubts):
            run.play()
        if old is not None:
            _janitor.submit(old.close)
        _janitor.submit(runs.prewarm)

    def _remember(self, recipe: Dynamics, structure: Structure) -> None:
        """What the next view of the same system can use: the prepared atoms, how many there are, how fast they went."""
        if self.recipe is None or self.recipe.system != recipe.system:
            self.sizes, self.speeds = {}, {}
        view = recipe.view
        if view.resolution != "nnp":
            self._prepared = (recipe.system, structure)
            self.sizes |= {"mm": len(structure), "nnp/mm": len(structure)}
        self.sizes["nnp"] = len(structure) if view.resolution == "nnp" else int(View().region.mask(structure).sum())

    def _prepared_for(self, recipe: Dynamics) -> Structure | None:
        return self._prepared[1] if self._prepared is not None and self._prepared[0] == recipe.system else None

    def _drop_next(self) -> None:
        run, self._next, self._wanted, self.pending = self._next, None, None, None
        if run is not None:
            _janitor.submit(run.close)

    def _go_on(self) -> None:
        """After a wish that came to nothing: the present run goes on as it did."""
        if self._resume and self.status.state in STANDING:
            self.play()
        self._resume = False
        self.param.trigger("recipe")  # forms show again what is
