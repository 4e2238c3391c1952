"""Column: one run on the compare board - live with a worker, or from its recording - and the frame that it shows now.

Knows runs, recordings and the library; must not know its neighbours on the board or layout.
"""

from dataclasses import dataclass
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from studio.compare import Account, Gauge, inputs_of
from studio.entry import WORDS, Entry
from studio.errors import SettingsError, StudioError
from studio.frame import Frame, Subscription
from studio.levels import level_of
from studio.library import Library
from studio.observables import Observable
from studio.recipes.dynamics import Dynamics
from studio.recorder import STRUCTURE
from studio.replay import Replay
from studio.run import Run
from studio.structure import Structure
from widgets.opening import STANDING, Place

STEPS = 1000.0
"""Steps that the common axis of unlike clocks counts as one."""
LOOK_SECONDS = 1.0
"""Wall time between two looks at what was recorded since."""


@dataclass(eq=False)
class Column:
    """One run on the board.

    Args:
        number: Of the run.

    Attributes:
        entry: Its place in the library.
        recipe: What was asked for.
        label: Number, name and level: what it is called beside its line.
        replay: Its recording, once there is one.
        gauge: Measures the recording.
        run: Its worker, while it is live.
        place: The right to play it, where the board started the worker.
        frame: What is shown.
        note: A sentence about how it began.
        problem: Why nothing is shown; empty when all is well.
        loaded: Lines of what was recorded before are in the plots.
        told: The worker was told to move.
        busy: Its recording is being measured.
        new: The board made it.
        shown: Which recorded frame is shown; -1 for none, or a live one.
        by_steps: Moments are counted in thousands of steps: it stands beside runs whose time is another.
    """

    number: int
    entry: Entry | None = None
    recipe: Dynamics | None = None
    label: str = ""
    replay: Replay | None = None
    gauge: Gauge | None = None
    run: Run | None = None
    place: Place | None = None
    frame: Frame | None = None
    note: str = ""
    problem: str = ""
    loaded: bool = False
    told: bool | None = None
    busy: bool = False
    new: bool = False
    shown: int = -1
    by_steps: bool = False
    _origin: Structure | None = None
    _cursor: Subscription | None = None
    _newest: Frame | None = None
    _looked: float = 0.0

    def load(self, library: Library, owner: str = "") -> None:
        """Read what the library has; what cannot be read becomes the problem. Slow, so call it in a thread.

        Args:
            library: Where the run is.
            owner: Who asks; nobody may look at the runs of others.
        """
        try:
            entry = library.get(self.number)
            if owner and entry.owner != owner:
                raise SettingsError(f"There is no run {self.number} of yours.")
            self.entry = entry
            if not self.entry.folder.is_dir():
                raise SettingsError(f"The folder of run {self.number} is gone ({self.entry.folder}). Put it back, or leave this run out.")
            recipe = library.recipe_of(self.number)
            if not isinstance(recipe, Dynamics):
                raise SettingsError(f"Run {self.number} is a {self.entry.kind}, which has no frames to be compared.")
            self.recipe = recipe
            self.label = _label(entry, recipe)
            self.read()
        except StudioError as problem:
            self.problem = str(problem)

    def read(self) -> None:
        """Open the recording, if there is one by now.

        Raises:
            StudioError: It is damaged.
        """
        if self.replay is None and self.entry is not None and (self.entry.folder / STRUCTURE).exists():
            self.replay, self.gauge = Replay(self.entry.folder), Gauge(Replay(self.entry.folder), self.clock)

    def begin(self, run: Run, place: Place | None = None) -> None:
        """It is live from now on.

        Args:
            run: Its worker.
            place: The right to play it, if it is the board's to give back.
        """
        self.run, self.place, self._cursor, self._newest = run, place, run.frames.subscribe(), None
        self.problem, self.told = "", None

    # -- what it is ----------------------------------------------------------------------------------------------------

    @property
    def clock(self) -> str:
        """What its time is called."""
        return self.recipe.view.clock if self.recipe is not None else "time"

    def moment(self, frame: Frame) -> float:
        """Where a frame stands on the common axis: ps, or thousands of steps.

        Args:
            frame: Of this run.
        """
        return frame.step / STEPS if self.by_steps else frame.time

    @property
    def _moments(self) -> NDArray[np.float64]:
        """Those of all recorded frames, ascending."""
        if self.replay is None:
            return np.empty(0)
        return self.replay.steps / STEPS if self.by_steps else self.replay.times

    @property
    def structure(self) -> Structure | None:
        """Its atoms, once they are known."""
        if self.run is not None and self.run.structure is not None:
            return self.run.structure
        return self.replay.structure if self.replay is not None else None

    @property
    def origin(self) -> Structure | None:
        """Its atoms where the first frame has them, once there is one."""
        structure = self.structure
        if self._origin is None and structure is not None:
            first = self._first()
            if first is not None and len(first.positions) == len(structure):
                self._origin = structure.with_positions(first.positions.astype(float))
        return self._origin

    def _first(self) -> Frame | None:
        if self.replay is None or not len(self.replay):
            return self._newest
        try:
            return self.replay.frame(0)
        except StudioError as problem:
            self.problem = str(problem)
            return None

    @property
    def ready(self) -> bool:
        """It can be shown."""
        return not self.problem and self.origin is not None

    @property
    def live(self) -> bool:
        """It has a worker that moves or waits for the word to move."""
        return self.run is not None and not self.problem and self.run.status.state in STANDING

    @property
    def end(self) -> float:
        """How far it has come, on the common axis."""
        recorded = float(self._moments[-1]) if self.replay is not None and len(self.replay) else 0.0
        return max(recorded, self.moment(self._newest)) if self._newest is not None and self.run is not None else recorded

    def state(self, time: float, *, following: bool) -> str:
        """How it is, in a few words.

        Args:
            time: The moment that the board shows.
            following: Live runs show their newest frame.
        """
        if self.problem:
            return "not shown"
        if self.run is None:
            return self._recording(time)
        status = self.run.status
        if status.state not in STANDING:
            return status.message or WORDS[status.state]
        if self.structure is None or not following:
            return self._recording(time)
        return "live" if status.state == "playing" else "live, paused"

    def _recording(self, time: float) -> str:
        if self.structure is None or (self.run is None and not self.replay):
            return "nothing recorded yet"
        return "waits at its end" if time > self.end + 1e-6 else "recording"

    # -- what it shows -------------------------------------------------------------------------------------------------

    def hear(self) -> Frame | None:
        """What is new from the worker: a frame, or none; also notices its end."""
        if self.run is None or self._cursor is None or self.problem:
            return None
        status = self.run.status
        if status.state in ("failed", "lost", "closed"):
            self.problem = status.message
            return None
        fresh = self._cursor.latest()
        if fresh is not None:
            self._newest = fresh
        return fresh

    def at(self, time: float) -> Frame | None:
        """The recorded frame nearest to a moment, if it is not the one that is shown already.

        Args:
            time: The moment, on the common axis.
        """
        if self.replay is None or self.problem or not len(self.replay):
            return None
        times = self._moments
        after = int(np.clip(np.searchsorted(times, time), 1, max(len(times) - 1, 1)))
        place = 0 if len(times) == 1 else after - int(time - times[after - 1] < times[after] - time)
        if place == self.shown:
            return None
        try:
            self.frame, self.shown = self.replay.frame(place), place
        except StudioError as problem:
            self.problem = str(problem)
            return None
        return self.frame

    def newest(self) -> Frame | None:
        """The newest live frame, if it is not the one that is shown already."""
        if self._newest is None or self._newest is self.frame:
            return None
        self.shown, self.frame = -1, self._newest
        return self.frame

    def look(self) -> None:
        """Take in what was recorded since the last look; quick."""
        now = monotonic()
        if self.problem or now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        try:
            self.read()
            if self.replay is not None:
                self.replay.refresh()
        except StudioError as problem:
            self.problem = str(problem)

    def measure(self, observables: tuple[Observable, ...]) -> list[Frame]:
        """Measure the next recorded frames and give them; none when all are measured. Slow, so call it in a thread.

        Args:
            observables: Of this run's atoms.
        """
        if self.gauge is None or self.problem:
            return []
        try:
            self.gauge.observe(observables)
            return self.gauge.take()
        except StudioError as problem:
            self.problem = str(problem)
            return []

    def rewind(self) -> None:
        """Show and measure its recording from the first frame again."""
        self.loaded, self.frame, self.shown = False, None, -1
        if self.gauge is not None:
            self.gauge.restart()

    def account(self) -> Account:
        """What went in and what came out."""
        if self.recipe is None or self.entry is None:
            return Account(self.number, problem=self.problem)
        step = self.gauge.timestep if self.gauge is not None else None
        inputs = inputs_of(self.recipe, self.entry.title, self.entry.temperature, step)
        if self.gauge is None:
            return Account(self.number, inputs, problem=self.problem)
        return Account(self.number, inputs, self.gauge.results(), self.gauge.facts(), self.problem)


def _label(entry: Entry, recipe: Dynamics) -> str:
    level = level_of(recipe)
    return " ".join(part for part in (str(entry.id), entry.title[:24], level.title if level is not None else "") if part)
