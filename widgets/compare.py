"""Compare: the board on the page - two to four runs on one camera and one axis, their clock, and inputs beside results.

Shows what `widgets.board` holds and hands wishes to it. Knows no physics.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, ClassVar

import panel as pn
import param
from panel.custom import JSComponent

from studio.alternatives import TITLES, Alternative, alternatives, same_start, varied
from studio.compare import rows, to_csv
from studio.errors import SettingsError
from studio.io import store as structures
from studio.recipes.dynamics import Dynamics
from studio.recorder import STRUCTURE
from studio.region import AnyRegion
from studio.sources import Source
from studio.structure import Structure
from widgets.board import MIXED, MOST, Board
from widgets.desk import Desk, Part, css
from widgets.figures import DARK, LIGHT
from widgets.opening import Launch, launch

UNITS = {"time": "ps", "CG time": "ps CG time", MIXED: "thousand steps"}
STEPS_NOTE = "Atoms and beads share no time, so that the clock and the lines count steps; the time of each stands beside its name."
STATIC = Path(__file__).parent / "static"
TABLE_SECONDS = 1.0
"""Wall time between two looks at the numbers of the table."""
HELP = {
    "level": "The same system and start at another level, beside the present run.",
    "potential": "The same region by another network, from the same start.",
    "ligand": "The next ligand of the series, or of the file, in the same surroundings.",
    "scales": "The same molecule as atoms and as beads, from the same start; their times are not the same, so that steps are counted.",
    "region": "The same with a larger ML region: what touches it belongs to it too.",
}


class _Pane(JSComponent):
    """A part of the board that lives in the page; `compare.js` draws it."""

    state = param.Dict(default={}, doc="What is shown.")

    _stylesheets: ClassVar[list[str]] = [(STATIC / "compare.css").read_text(encoding="utf-8")]


class ClockBar(_Pane):
    """Clock, play, scrub, grid or overlay, leave; and how each run is."""

    _esm = STATIC / "compare_bar.js"


class Sheet(_Pane):
    """Inputs beside results."""

    _esm = STATIC / "compare_table.js"


class Compare(Part):
    """The compare board.

    Args:
        desk: Shared with other parts; one of its own when left out.
        launch: Makes a run.

    Attributes:
        bar: Clock, play, scrub and how each run is: a row under the 3D view.
        table_panel: Inputs beside results.
        starts: Buttons that start a second run to compare with.
    """

    def __init__(self, desk: Desk | None = None, launch: Launch = launch) -> None:
        super().__init__(desk)
        self.board = Board(self.store, self.desk.viewer, self.desk.plots, launch, self.guard.start)
        make_bar: Callable[..., ClockBar] = ClockBar
        make_sheet: Callable[..., Sheet] = Sheet
        self.bar = make_bar(margin=0, sizing_mode="stretch_width")
        self.table_panel = make_sheet(margin=0, sizing_mode="stretch_width")
        self.starts = self._make_starts()
        self.panel = self._whole = pn.Column(self.starts, self.bar, self.table_panel, margin=0, sizing_mode="stretch_width", stylesheets=css("compare"))
        self._alternatives: dict[str, Alternative] = {}
        self._tabled = 0.0
        self._joining = asyncio.Lock()
        self._connect()

    def __panel__(self) -> pn.viewable.Viewable:
        """The board by itself, as a notebook shows it: with the molecules and the lines."""
        self._whole[:] = [self.starts, self.desk.viewer.pane, self.bar, self.desk.plots.panel, self.table_panel]
        return super().__panel__()

    def _connect(self) -> None:
        watch, around = self.store.param.watch, self.guard.around
        watch(around(lambda event: self._follow(event.new)), "compared")
        watch(around(lambda _event: self.leave()), "run")
        watch(around(lambda _event: self._offer()), "run")
        self.bar.on_msg(lambda event: self._hear(event.data))
        self.table_panel.on_msg(lambda event: self._hear(event.data))
        self.desk.plots.on_time(lambda time: self.board.seek(time) if self.runs else None)
        self.desk.each_tick(self.refresh)
        self.desk.on_close(self.close)
        self._offer()

    # -- from Python ---------------------------------------------------------------------------------------------------

    @property
    def runs(self) -> tuple[int, ...]:
        """Numbers of the runs that are compared, none while the board is not shown; set it to choose others.

        Raises:
            SettingsError: Set to more than fit on the board.
        """
        return self.store.compared

    @runs.setter
    def runs(self, numbers: tuple[int, ...]) -> None:
        chosen = tuple(dict.fromkeys(int(number) for number in numbers))
        if len(chosen) > MOST:
            raise SettingsError(f"At most {MOST} runs can be compared, got {len(chosen)}. Leave some out.")
        self.store.compared = chosen

    @property
    def table(self) -> list[dict[str, str | float | int | None]]:
        """Inputs and results of each run, under headings with units; a mean of too few frames is none."""
        return [account.plain() for account in self.board.accounts()]

    @property
    def csv(self) -> str:
        """The table as text: a line for each run."""
        return to_csv(self.board.accounts())

    @property
    def time(self) -> float:
        """The moment that all runs show, ps; set it to look at another one."""
        return self.board.time

    @time.setter
    def time(self, picoseconds: float) -> None:
        self.board.seek(picoseconds)

    @property
    def overlay(self) -> bool:
        """All molecules lie in one place, rather than side by side."""
        return self.board.overlay

    @overlay.setter
    def overlay(self, over: bool) -> None:
        self.board.overlay = over

    def play(self) -> None:
        """All go on together."""
        self.board.play()

    def pause(self) -> None:
        """All stop."""
        self.board.pause()

    def leave(self) -> None:
        """Back to the present run as it was."""
        self.store.compared = ()

    def close(self) -> None:
        """End the workers that the board started."""
        self.board.leave()

    async def against(self, *, level: str = "", potential: str = "", region: AnyRegion | None = None, source: Source | None = None) -> int:
        """Start a second run that differs from the first in one thing, from the same start with the same seed.

        Args:
            level: Name of another level.
            potential: Name of another network.
            region: Another ML region.
            source: Another molecule in the same surroundings.

        Returns:
            Its number.

        Raises:
            SettingsError: Nothing to compare with was named, nothing is open, or the board is full.
            StudioError: The run cannot be made.
        """
        if self.store.recipe is None:
            raise SettingsError("There is no run to compare with. Open a molecule first.")
        recipe = varied(self.store.recipe, self.store.home or self.store.recipe, level=level, potential=potential, region=region, source=source)
        return await self._join(recipe, self.store.title if source is None else _title(source))

    async def open(self, number: int) -> None:
        """Leave the board and show one of its runs where it ended.

        Args:
            number: Of the run.

        Raises:
            StudioError: It is not on the board, or cannot be opened.
        """
        await self.board.release(number)
        present = self.board.present
        self.leave()
        if number != present:
            await self.store.reopen(number)

    async def again(self, number: int) -> int:
        """Run the same once more beside the others, from the same start; in place of the last where the board is full.

        Args:
            number: Of the run on the board.

        Returns:
            Number of the new run.

        Raises:
            StudioError: It is not on the board, or there is no room for another worker.
        """
        column = self.board.column(number)
        if column.recipe is None or column.entry is None:
            raise SettingsError(column.problem)
        if len(self.runs) == MOST:
            self.runs = self.runs[:-1]
            await self.board.show(self.runs)
        start = column.structure if column.recipe.view.sees_all else None
        joined = await self.board.join(column.recipe, column.entry.title, start)
        self._added(joined)
        return joined

    async def revive(self, number: int) -> None:
        """Let a recorded run go on, live.

        Args:
            number: Of the run on the board.

        Raises:
            StudioError: It is not on the board, is played elsewhere, or there is no room for another worker.
        """
        await self.board.revive(number)

    def remove(self, number: int) -> None:
        """Take a run off the board; it stays in the list.

        Args:
            number: Of the run.
        """
        self.runs = tuple(each for each in self.runs if each != number)

    # -- inside --------------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Show how the runs are, and what came of them."""
        self.board.refresh()
        if not self.runs:
            return
        now = monotonic()
        again = {"again": int(now / TABLE_SECONDS)}  # what a page missed while it opened comes once more, though nothing else is new
        self._set(self.bar, self._clock() | again)
        if now - self._tabled >= TABLE_SECONDS:
            self._tabled = now
            self._set(self.table_panel, self._sheet() | again)

    def _follow(self, numbers: tuple[int, ...]) -> None:
        self._tabled = 0.0
        if numbers:
            self.desk.pump.watch(self.board)
            self.guard.start(self.board.show(numbers))
        else:
            self._set(self.bar, {})  # the page hides what has nothing to show
            self._set(self.table_panel, {})
            self.board.leave()
            self.desk.pump.watch(self.store.source)

    async def _join(self, recipe: Dynamics, title: str) -> int:
        """One after the other: of two quick clicks, the second sees what the first did."""
        async with self._joining:
            return await self._join_now(recipe, title)

    async def _join_now(self, recipe: Dynamics, title: str) -> int:
        present = self.board.present
        numbers = self.runs or ((present,) if present is not None else ())
        if len(numbers) >= MOST:
            raise SettingsError(f"At most {MOST} runs can be compared. Take one off the board first.")
        if not self.runs:
            self.runs = numbers
            await self.board.show(numbers)
        start, note = await asyncio.to_thread(same_start, recipe, await asyncio.to_thread(self._first_start))
        joined = await self.board.join(recipe, title, start, note)
        self._added(joined)
        if note:
            self.desk.alert.say(note, kind="note")
        return joined

    def _added(self, number: int) -> None:
        self.runs = (*self.runs, number)
        self.store.shelf += 1

    def _first_start(self) -> Structure | None:
        """Where the present run started; none if it is not known."""
        entry = self.store.entry
        return structures.load(entry.folder / STRUCTURE) if entry is not None and (entry.folder / STRUCTURE).exists() else None

    def _hear(self, message: object) -> None:
        with self.guard:
            match message:
                case {"type": "play", "on": bool(on)}:
                    (self.play if on else self.pause)()
                case {"type": "seek", "time": float() | int() as time}:
                    self.time = float(time)
                case {"type": "pace", "pace": float() | int() as pace}:
                    self.board.pace = min(max(float(pace), 0.1), 1000.0)
                case {"type": "overlay", "on": bool(on)}:
                    self.overlay = on
                case {"type": "leave"}:
                    self.leave()
                case {"type": "csv"}:
                    self.table_panel._send_msg({"file": self.csv.encode(), "name": "compared-runs.csv", "mime": "text/csv;charset=utf-8"})
                case {"type": str(wish), "run": int(number)}:
                    self._do(wish, number)
            self.refresh()

    def _do(self, wish: str, number: int) -> None:
        if wish == "remove":
            self.remove(number)
        elif wish == "open":
            self.guard.start(self.open(number))
        elif wish == "revive":
            self.guard.start(self.revive(number))
        elif wish == "again":
            self.guard.start(self._again(number))

    async def _again(self, number: int) -> None:
        await self.again(number)

    # -- quick starts --------------------------------------------------------------------------------------------------

    def _make_starts(self) -> pn.Column:
        looks: dict[str, Any] = {"stylesheets": css("compare"), "margin": 0, "sizing_mode": "stretch_width"}
        self._buttons = {
            name: pn.widgets.Button(label=title, description=HELP[name], disabled=True, css_classes=["quiet"], **looks) for name, title in TITLES.items()
        }
        for name, button in self._buttons.items():
            button.on_click(self.guard.around(partial(self._begin, name)))
        self._hint = pn.pane.HTML("", **looks)
        head = pn.pane.HTML('<p class="hint">Start a second run beside the present one:</p>', **looks)
        return pn.Column(head, *self._buttons.values(), self._hint, css_classes=["form", "starts"], **looks)

    def _offer(self) -> None:
        """What the present run can be compared with, as soon as that is known."""
        for button in self._buttons.values():
            button.disabled = True
        if self.store.recipe is not None and self.store.structure is not None:
            self.guard.start(self._find(self.store.recipe, self.store.home or self.store.recipe, self.store.whole or self.store.structure))

    async def _find(self, recipe: Dynamics, home: Dynamics, structure: Structure) -> None:
        found = await asyncio.to_thread(alternatives, recipe, home, structure)
        if recipe is not self.store.recipe:
            return
        self._alternatives = {each.name: each for each in found}
        for each in found:
            button = self._buttons[each.name]
            button.param.update(label=each.title, disabled=each.recipe is None, description=each.reason or HELP[each.name])

    def _begin(self, name: str, _event: object) -> None:
        chosen = self._alternatives.get(name)
        if chosen is not None and chosen.recipe is not None:
            self.guard.start(self._start(chosen.recipe, *chosen.more))

    async def _start(self, *recipes: Dynamics) -> None:
        for recipe in recipes:
            await self._start_one(recipe)

    async def _start_one(self, recipe: Dynamics) -> None:
        same = self.store.recipe is not None and recipe.system.source == self.store.recipe.system.source
        await self._join(recipe, self.store.title if same else _title(recipe.system.source))

    # -- what the page is told -----------------------------------------------------------------------------------------

    def _set(self, pane: _Pane, state: dict[str, Any]) -> None:
        if pane.state != state:
            pane.state = state

    def _colours(self) -> tuple[str, ...]:
        return (DARK if self.desk.dark else LIGHT).colours

    def _clock(self) -> dict[str, Any]:
        board, colours = self.board, self._colours()
        chips = [
            {"run": column.number, "label": column.label, "colour": colours[place], "dash": place, "problem": column.problem,
             "time": column.frame.time if column.frame is not None and not column.problem else None,
             "unit": UNITS[column.clock], "state": column.state(board.time, following=board.following)}
            for place, column in enumerate(board.columns)
        ]  # fmt: skip
        note = f"{' and '.join(board.apart)}: no atoms in common with the first, so that only the middles agree." if board.overlay and board.apart else ""
        return {
            "time": round(board.time, 4), "end": round(board.end, 4), "playing": board.playing, "live": board.following, "overlay": board.overlay,
            "pace": board.pace, "chips": chips, "note": " ".join(filter(None, (STEPS_NOTE if board.by_steps else "", note))), "unit": UNITS[board.axis],
        }  # fmt: skip

    def _sheet(self) -> dict[str, Any]:
        columns, colours, accounts = self.board.columns, self._colours(), self.board.accounts()
        heads = [
            {"run": column.number, "label": column.label, "colour": colours[place], "dash": place, "problem": column.problem, "note": column.note,
             "live": column.run is not None, "known": column.recipe is not None}
            for place, column in enumerate(columns)
        ]  # fmt: skip
        lines = [{"name": row.name, "cells": list(row.cells), "apart": list(row.apart), "differs": row.differs, "result": row.result} for row in rows(accounts)]
        return {"heads": heads, "rows": lines}


def _title(source: Source) -> str:
    """What a molecule is called before anybody named it."""
    named = getattr(source, "ligand", "") or getattr(source, "smiles", "") or Path(getattr(source, "path", "")).stem
    record = getattr(source, "index", None)
    return f"{named} {record + 1}" if record is not None else str(named) or source.kind
