"""Board: what is compared - two to four runs, one clock, one camera, one axis - and how runs join it and leave it.

It takes over the 3D view and the plots of a desk while runs are compared. Knows columns and the store and must not know layout.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from time import monotonic
from typing import Any

from studio.compare import Account
from studio.entry import Entry
from studio.errors import SettingsError, StudioError, UnsupportedError, WorkerError
from studio.frame import Frame
from studio.observables import Between, Observable, deviation_of, shape_of
from studio.recipes.dynamics import Dynamics
from studio.run import Run
from studio.structure import Structure
from studio.superpose import Overlay, matched
from widgets.column import Column
from widgets.opening import Launch, Place
from widgets.plots import Plots
from widgets.series import Series
from widgets.stage import glowing
from widgets.store import Store
from widgets.viewer import MOST_CELLS, Viewer

PACE = 3.0
"""Picoseconds of a recording per second of wall time, at first."""
MIXED = "thousand steps"
"""What the axis counts where clocks differ: time of beads is never that of atoms."""
LONGEST_STALL = 0.5
"""Wall time that one tick makes up for, s."""

Start = Callable[[Coroutine[Any, Any, None]], None]


class Board:
    """The runs that are compared; it is empty while none are. It is also a `FrameStream` that moves on whenever the pump looks.

    Args:
        store: Whose runs.
        viewer: Shows them side by side.
        plots: Shows their lines.
        launch: Makes a run.
        start: Begins work and does not wait for it.

    Attributes:
        columns: The runs, the first is what the others are compared with.
        playing: The clock moves.
        following: Live runs show their newest frame; otherwise all show what was recorded.
        time: The moment that is shown, ps; while following, what all live runs have reached.
        pace: Picoseconds of a recording per second of wall time.
        by_steps: Atoms and beads are compared, which share no time: moments, ends and pace are in thousands of steps.
    """

    def __init__(self, store: Store, viewer: Viewer, plots: Plots, launch: Launch, start: Start) -> None:
        self.store, self.viewer, self.plots = store, viewer, plots
        self._launch, self._start = launch, start
        self.columns: tuple[Column, ...] = ()
        self.by_steps = False
        self.playing, self.following, self.time, self.pace = False, False, 0.0, PACE
        self._cells: tuple[Column, ...] = ()
        self._overlays: dict[int, Overlay] = {}
        self._visits = 0
        self._before: dict[str, Series] | None = None
        self._run: Run | None = None
        self._resume, self._staging, self._clock, self._ticket = False, False, monotonic(), 0

    # -- who is on it --------------------------------------------------------------------------------------------------

    @property
    def present(self) -> int | None:
        """Number of the run that the store is about."""
        return self.store.entry.id if self.store.entry is not None and self.store.run is not None else None

    async def show(self, numbers: Sequence[int]) -> None:
        """Compare these runs; those that are there stay as they are.

        Args:
            numbers: Of the runs, up to four; what cannot be read says so in its column.
        """
        self._ticket += 1
        ticket, known = self._ticket, {column.number: column for column in self.columns}
        self._enter(numbers)
        fresh = [Column(number, by_steps=self.by_steps) for number in numbers if number not in known]
        await asyncio.gather(*(asyncio.to_thread(column.load, self.store.library, self.store.owner) for column in fresh))
        if ticket != self._ticket:
            return
        for number in set(known) - set(numbers):
            self._end(known[number])
        known |= {column.number: column for column in fresh}
        self.columns = tuple(known[number] for number in numbers)
        self._take_up(fresh)

    def _take_up(self, fresh: Sequence[Column]) -> None:
        """The run that the store is about comes with its worker."""
        for column in fresh:
            if column.number == self.present and self.store.run is not None and not column.problem:
                column.begin(self.store.run)
                self.following = True

    async def join(self, recipe: Dynamics, title: str, structure: Structure | None, note: str = "") -> int:
        """A new run joins; it plays with the others as soon as it is ready.

        Args:
            recipe: What to simulate.
            title: Name for people.
            structure: Where to start; as prepared when left out.
            note: What is to be said about its start.

        Returns:
            Its number; the caller puts it among the compared.

        Raises:
            StudioError: There is no room for another run, or the board was left meanwhile.
        """
        visit = self._visits
        entry = await asyncio.to_thread(self.store.library.new, recipe, title, self.store.owner)
        column = Column(entry.id, note=note, new=True, by_steps=self.by_steps)
        await asyncio.to_thread(column.load, self.store.library, self.store.owner)
        try:
            await self._animate(column, structure, visit)
        except StudioError:
            await asyncio.to_thread(self.store.library.discard, entry.id)
            raise
        self.columns = (*self.columns, column)
        self.playing = self.following = True
        return entry.id

    async def revive(self, number: int) -> None:
        """A recorded run goes on where it ended, live.

        Args:
            number: Of the run, on the board.

        Raises:
            StudioError: It is played elsewhere, or there is no room for another worker.
        """
        column, visit = self.column(number), self._visits
        if column.run is not None and not column.problem:
            return
        await asyncio.to_thread(self._close, column)
        column.replay = column.gauge = None
        await asyncio.to_thread(column.load, self.store.library, self.store.owner)
        column.problem = ""
        await self._animate(column, None, visit)
        self.playing = self.following = True

    def column(self, number: int) -> Column:
        """A run on the board.

        Args:
            number: Of the run.

        Raises:
            SettingsError: It is not there.
        """
        found = next((column for column in self.columns if column.number == number), None)
        if found is None:
            raise SettingsError(f"Run {number} is not on the board. Expected one of {', '.join(str(each.number) for each in self.columns) or 'none'}.")
        return found

    async def release(self, number: int) -> None:
        """End the worker of a run, if the board started it, and wait for that.

        Args:
            number: Of the run.
        """
        column = self.column(number)
        await asyncio.to_thread(self._close, column)

    def leave(self) -> None:
        """Give the view and the plots back; workers that the board started end."""
        self._ticket += 1
        self._visits += 1
        on_board = next((column for column in self.columns if column.number == self.present), None)
        for column in self.columns:
            self._end(column)
        self.columns = self._cells = ()
        if self._before is not None:
            if self.store.run is self._run:  # else the plots are another run's already
                self.plots.resume(self._before)
                self.plots.panel.clock = self.store.clock
            self._before = None
        self.plots.mark(None)
        self.viewer.pane.overlay = False
        if self.store.run is self._run and (self.playing if on_board is not None else self._resume):
            self.store.play()
        self.playing = self.following = self._resume = self.by_steps = False

    # -- the clock -----------------------------------------------------------------------------------------------------

    @property
    def axis(self) -> str:
        """What the common axis counts: `time`, `CG time`, or `thousand steps` where atoms stand beside beads."""
        return MIXED if self.by_steps else self._cells[0].clock if self._cells else "time"

    @property
    def end(self) -> float:
        """How far the longest run has come, on the common axis."""
        return max((column.end for column in self._cells), default=0.0)

    def play(self) -> None:
        """All go on together; live runs move when the clock has come to where they are."""
        lives, head = self._lives(), self._head()
        if lives and self.time >= head:
            self.following = True
        elif self.time >= head:
            self.time = 0.0
        self.playing = True

    def pause(self) -> None:
        """All stop."""
        self.playing = False

    def seek(self, time: float) -> None:
        """All show the same moment, from their recordings; live runs wait meanwhile.

        Args:
            time: The moment, ps; beyond the ends, the first or last.
        """
        self.time = min(max(time, 0.0), self.end)
        self.following = False

    @property
    def overlay(self) -> bool:
        """All lie in one place, over the start of the first, rather than side by side."""
        return bool(self.viewer.pane.overlay)

    @overlay.setter
    def overlay(self, over: bool) -> None:
        self.viewer.pane.overlay = over
        for column in self._cells:
            if column.frame is not None:
                self._send(column, column.frame)

    @property
    def apart(self) -> tuple[str, ...]:
        """Names of the runs that have too few atoms in common with the first to be laid over it."""
        return tuple(column.label for column in self._cells if column.number in self._overlays and not self._overlays[column.number].superposes)

    def subscribe(self) -> "Board":
        """Its own cursor."""
        return self

    def publish(self, frame: Frame) -> None:
        """Refused: frames come from the runs.

        Args:
            frame: Not taken.

        Raises:
            WorkerError: Always.
        """
        raise WorkerError(f"Frames on the compare board come from its runs; frame {frame.step} cannot be published here.")

    def latest(self) -> Frame | None:
        """Move on; the frames go to their cells, and none is left for others."""
        self.tick(monotonic())
        return None

    def tick(self, now: float) -> None:
        """Move on and show what is due.

        Args:
            now: The caller's clock, s.
        """
        passed, self._clock = min(max(now - self._clock, 0.0), LONGEST_STALL), now
        for column in self.columns:
            self._hear(column)
        lives = self._lives()
        self.following = self.following and any(column.run is not None and not column.problem for column in self.columns)
        if self.playing and not self.following and self._cells:
            self._advance(passed, lives)
        for column in lives:
            self._drive(column)
        if self.following and lives:
            self.time = self._head()
        self._send_all()

    def _send_all(self) -> None:
        """To each cell the frame that is due there."""
        for column in self._cells:
            frame = column.newest() if self.following and column.live else column.at(self.time)
            if frame is not None:
                self._send(column, frame)

    # -- the rest, a few times a second --------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Look at the recordings, measure what is new, and show who has become ready."""
        if not self.columns:
            return
        for column in self.columns:
            column.look()
            if not column.busy and not self._staging and column in self._cells:
                column.busy = True
                self._start(self._measure(column))
        ready = tuple(column for column in self.columns if column.ready)
        if ready != self._cells and not self._staging:
            self._staging = True
            self._start(self._stage(ready))
        self.plots.mark(None if self.following else self.time)

    def accounts(self) -> list[Account]:
        """What went into the runs and what came out of them."""
        return [column.account() for column in self.columns]

    async def _measure(self, column: Column) -> None:
        """Measure all that was recorded; what was there before the board is also drawn."""
        observables = self._observables(column)
        try:
            while frames := await asyncio.to_thread(column.measure, observables):
                if self._staging or column not in self._cells:
                    return
                for frame in () if column.loaded else frames:
                    if "potential" in frame.energies:
                        self._plot(column, frame)
            column.loaded = True
        finally:
            column.busy = False

    def _observables(self, column: Column) -> tuple[Observable, ...]:
        """What is measured in the present run, with the atoms that this run has for it, and how far it went from its start."""
        origin = column.origin
        if origin is None:
            return ()
        if any(each.clock != "time" for each in self.columns):
            return shape_of(origin)
        deviation = deviation_of(origin)
        wanted = () if deviation is None else (deviation.model_copy(update={"name": "RMSD to start"}),)
        chosen = [each for each in self.store.observables if isinstance(each, Between)]
        return (*wanted, *self._translated(chosen, origin))

    def _translated(self, chosen: Sequence[Between], origin: Structure) -> Sequence[Between]:
        """What is measured, between the atoms that another run has for it; what lacks one is left out."""
        structure = self.store.structure
        if structure is None or not chosen:
            return ()
        if structure.names == origin.names:
            return chosen
        pairs = dict(zip(*(each.tolist() for each in matched(structure, origin)), strict=True))
        found = [each for each in chosen if pairs.keys() >= set(each.atoms)]
        return [each.model_copy(update={"atoms": tuple(pairs[atom] for atom in each.atoms)}) for each in found]

    async def _stage(self, ready: tuple[Column, ...]) -> None:
        """Show these: molecules, names, empty lines that fill from the recordings."""
        ticket = self._ticket
        try:
            overlays = await asyncio.to_thread(_overlays, ready)
            while any(column.busy for column in self._cells):
                await asyncio.sleep(0.02)
            if ticket == self._ticket:
                self._arrange(ready, overlays)
        finally:
            self._staging = False

    def _arrange(self, ready: tuple[Column, ...], overlays: dict[int, Overlay]) -> None:
        keep, before = len(ready) == len(self._cells), self._change_axis(ready)
        self._overlays, self._cells = overlays, ready
        if not ready:
            return
        self.viewer.show_many([self._molecule(column) for column in ready], keep_camera=keep)
        self.plots.compare({str(column.number): column.label for column in ready})
        self.plots.panel.clock = self.axis
        for column in ready:
            key = str(column.number)
            if column.loaded and key in before:
                self.plots.runs[key] = before[key]
                column.frame, column.shown = None, -1
            else:
                column.rewind()
                for observable in self._observables(column):
                    self.plots.observe(observable, key)
        if self.by_steps:  # energies of atoms and beads say nothing about each other
            self.plots.prefer(self._observables(ready[0]))

    def _change_axis(self, ready: Sequence[Column]) -> dict[str, Series]:
        """Count steps where clocks differ; gives the lines that can be kept."""
        by_steps = len({column.clock for column in ready}) > 1
        if by_steps == self.by_steps:
            return self.plots.runs
        self.by_steps, self.time = by_steps, 0.0
        for column in self.columns:
            column.by_steps = by_steps
        return {}

    def _plot(self, column: Column, frame: Frame) -> None:
        """A frame adds to its line, where it stands on the common axis."""
        self.plots.add(replace(frame, time=column.moment(frame)) if self.by_steps else frame, str(column.number))

    def _molecule(self, column: Column) -> tuple[Structure, Sequence[int], str]:
        origin = column.origin
        assert origin is not None
        assert column.recipe is not None
        placed = self._overlays[column.number].placement(origin.positions, origin.box)(origin.positions)
        return origin.with_positions(placed), glowing(origin, column.recipe), column.label

    def _send(self, column: Column, frame: Frame) -> None:
        cell, overlay = self._cells.index(column), self._overlays[column.number]
        self.viewer.send(overlay.lay(frame) if self.overlay else overlay.shift(frame), cell)

    # -- inside --------------------------------------------------------------------------------------------------------

    def _enter(self, numbers: Sequence[int]) -> None:
        """Take the view and the plots over; the present run waits, unless it is compared."""
        if self._before is not None:
            return
        self._before, self._clock, self.time = dict(self.plots.runs), monotonic(), 0.0
        self._run, self._resume = self.store.run, self.store.status.state == "playing"
        self.playing = self._resume and self.present in numbers
        self.store.pause()

    def _lives(self) -> list[Column]:
        return [column for column in self._cells if column.live]

    def _head(self) -> float:
        """The moment up to which all live runs have come; without any, the end."""
        return min((column.end for column in self._lives()), default=self.end)

    def _advance(self, passed: float, lives: list[Column]) -> None:
        self.time += passed * self.pace
        if self.time >= self._head():
            self.following, self.playing = bool(lives), bool(lives)
            self.time = self._head()

    def _drive(self, column: Column) -> None:
        """Tell a worker what the clock does, once."""
        wanted = self.playing and self.following
        if column.told != wanted and column.run is not None:
            column.told = wanted
            (column.run.play if wanted else column.run.pause)()

    def _hear(self, column: Column) -> None:
        fresh = column.hear()
        if fresh is None:
            return
        if column.number == self.present and self.store.player is None:
            self.store.take(fresh)
        if column.loaded:
            self._plot(column, fresh)

    async def _animate(self, column: Column, structure: Structure | None, visit: int) -> None:
        """Start a worker for a column, unless the board is left before it is there."""
        entry, recipe = column.entry, column.recipe
        if entry is None or recipe is None:
            raise SettingsError(column.problem)
        place = await asyncio.to_thread(self._begin_place, entry, recipe, structure)
        column.begin(place.run, place)
        if visit != self._visits:
            await asyncio.to_thread(self._close, column)
            raise UnsupportedError("The board was left before the run was ready; it was not started.")

    def _begin_place(self, entry: Entry, recipe: Dynamics, structure: Structure | None) -> Place:
        claim = self.store.library.claim(entry.id)
        try:
            run = self._launch(recipe, structure, entry.folder)
        except StudioError:
            claim.release()
            raise
        return Place(run, entry, claim)

    def _end(self, column: Column) -> None:
        place, column.place, column.run = column.place, None, None
        if place is not None:
            place.leave(self.store.library, discard=column.new and place.run.structure is None)

    def _close(self, column: Column) -> None:
        """End a worker that the board started, and give its place back, at once."""
        place, column.place, column.run = column.place, None, None
        if place is not None:
            place.run.close()
            place.claim.release()
            self.store.library.update(column.number, status="closed")
            self.store.library.refresh(column.number)


def _overlays(columns: Sequence[Column]) -> dict[int, Overlay]:
    """How each run is laid over the start of the first."""
    origins = {column.number: column.origin for column in columns}
    reference = next((origin for origin in origins.values() if origin is not None), None)
    return {number: Overlay(origin, reference) for number, origin in origins.items() if origin is not None and reference is not None}


MOST = MOST_CELLS
"""Runs on the board at most."""
