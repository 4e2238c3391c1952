"""Runs: the list of the user's runs - open, find, compare, name, duplicate, take home, delete with a way back.

Shows what `widgets.listing` found and hands wishes on; the list lives in `static/runs.js`, which keeps focus and scroll while
it changes. Must not know how a run is simulated.
"""

import asyncio
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import param
from panel.custom import JSComponent

from studio.account import account
from studio.entry import Entry
from studio.errors import SettingsError, StudioError, UnsupportedError
from studio.parcel import KINDS, kind_of, pack
from studio.questions import offer_of
from widgets.delivery import Delivery
from widgets.desk import Desk, Part, css
from widgets.listing import PAGE, Found, Keeper, Search, clock, size, words_of
from widgets.portraits import Portraits
from widgets.sources import on_loop

READ_SECONDS = 3.0
"""Wall time between two looks at the library: other programs use it too."""
WEIGH_SECONDS = 20.0
"""Wall time between two looks at the disk."""
MOST_COMPARED = 4
NOTHING_KEPT = "No runs yet. Choose a molecule above: its run is kept here by itself."
NOTHING_FOUND = "No run fits. Search for a part of its title, its number, its level or its potential."
NOTHING_BINNED = "The bin is empty. Deleted runs wait here until you empty it."


class RunsPane(JSComponent):
    """The part of the list that lives in the page; its parameters are what `runs.js` reads."""

    rows = param.List(default=[], item_type=dict, doc="The runs that are listed; see `widgets.listing.row_of`.")
    present = param.Dict(default={}, doc="The run on screen: `id`, `state`, `words`, `time`.")
    chosen = param.List(default=[], item_type=int, doc="Numbers of the runs chosen for comparing.")
    binned = param.Boolean(default=False, doc="The bin is shown.")
    bin_size = param.Integer(default=0, doc="Runs in the bin.")
    more = param.Integer(default=0, doc="Further runs that fit.")
    summary = param.String(default="", doc="How many, and what they take on disk.")
    hint = param.String(default="", doc="What to do where nothing is listed.")
    problem = param.String(default="", doc="Why the list cannot be read.")
    toast = param.Dict(default={}, doc="What was just done: `text`, and `undo` where it can be undone.")
    kinds = param.List(default=[], item_type=dict, doc="Ways to take a run home: `name`, `title`, `meaning`.")
    progress = param.Dict(default={}, doc="A file on its way: `text`, `fraction`.")

    _esm = Path(__file__).parent / "static" / "runs.js"


class Runs(Part):
    """The list of runs.

    Args:
        desk: Shared with other parts; one of its own when left out.
    """

    def __init__(self, desk: Desk | None = None) -> None:
        super().__init__(desk)
        self.keeper = Keeper(self.store.library, self.store.owner)
        self.search, self.found = Search(), Found()
        self._weight = ""
        self._read_at = self._weighed_at = float("-inf")
        self._stale, self._reading = True, False
        self._undo: int | None = None
        make: Callable[..., RunsPane] = RunsPane
        kinds = [{"name": name, "title": kind.title, "meaning": kind.meaning} for name, kind in KINDS.items()]
        self.panel: RunsPane = make(kinds=kinds, stylesheets=css("runs"), margin=0, sizing_mode="stretch_width")
        self.panel.on_msg(lambda event: self.hear(event.data))
        self._delivery = Delivery(self.panel._send_msg, self._tell_progress)
        self._portraits = Portraits(self.desk)
        self.store.param.watch(self.guard.around(lambda _event: self._outdate()), "shelf")
        self.desk.each_tick(self.refresh)

    # -- for Python ----------------------------------------------------------------------------------------------------

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All runs, newest first."""
        return self.keeper.entries()

    @property
    def chosen(self) -> tuple[int, ...]:
        """Numbers of the runs chosen for comparing, in the order of choice.

        Raises:
            SettingsError: Set to more than can be compared.
        """
        return tuple(self.panel.chosen)

    @chosen.setter
    def chosen(self, numbers: tuple[int, ...]) -> None:
        if len(numbers) > MOST_COMPARED:
            raise SettingsError(f"At most {MOST_COMPARED} runs can be compared, got {len(numbers)}. Choose fewer.")
        self.panel.chosen = list(dict.fromkeys(numbers))

    async def open(self, number: int) -> None:
        """Show a run where it ended.

        Args:
            number: Of the run.

        Raises:
            StudioError: There is no such run, it is open elsewhere, or cannot be read.
        """
        entry = await asyncio.to_thread(self.keeper.get, number)
        if offer_of(entry.kind) is not None:
            self.store.study = number
        elif self.store.entry is None or self.store.entry.id != number:
            await self.store.reopen(number)

    def compare(self) -> None:
        """Show the chosen runs side by side.

        Raises:
            SettingsError: Fewer than two are chosen.
        """
        if len(self.chosen) < 2:
            raise SettingsError(f"Choose 2 to {MOST_COMPARED} runs to compare, got {len(self.chosen)}.")
        self.store.compared = self.chosen

    def delete(self, number: int) -> None:
        """Put a run into the bin; `undo` takes it back.

        Args:
            number: Of the run.

        Raises:
            StudioError: There is no such run, or it is on screen.
        """
        self._check_absent(number)
        self._done(self.keeper.delete(number), number)

    def undo(self) -> None:
        """Take back the last deletion; nothing happens where there is none."""
        if self._undo is not None:
            self._done(self.keeper.restore(self._undo))

    def restore(self, number: int) -> None:
        """Take a run out of the bin; raises `StudioError` where there is no such run.

        Args:
            number: Of the run.
        """
        self._done(self.keeper.restore(number))

    def export(self, number: int, path: Path | str) -> None:
        """Write a run into a file, whose ending says what: .zip, .xtc, .dcd, .pdb, .csv, .json or .py.

        Args:
            number: Of the run.
            path: Of the file.

        Raises:
            StudioError: There is no such run, no such format, nothing is recorded, or there is no space.
        """
        path = Path(path)
        pack(self.keeper.get(number), kind_of(path), path)

    # -- listening -----------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Show how the present run is, and look at the library now and then."""
        store = self.store
        self._portraits.refresh()
        present: dict[str, Any] = {}
        if store.entry is not None:
            state, live = store.status.state, store.player is None and store.frame is not None
            present = {
                "id": store.entry.id,
                "state": state,
                "words": words_of(state),
                "time": clock(store.frame.time, store.clock) if live and store.frame else "",
            }
        if present != self.panel.present:
            self.panel.present = present
        if (self._stale or monotonic() - self._read_at > READ_SECONDS) and not self._reading and on_loop():
            self._reading = True
            self.guard.start(self.read())

    async def read(self) -> None:
        """Look at the library, and show what is there."""
        self._reading, self._stale, self._read_at = True, False, monotonic()
        search = self.search
        try:
            found = await asyncio.to_thread(self.keeper.find, search)
            await self._weigh()
            if search == self.search:
                self._show(found)
        except StudioError as problem:
            self.panel.problem = str(problem)
        finally:
            self._reading = False

    def find(self, words: str) -> None:
        """List only some runs.

        Args:
            words: All of them occur in number, title, note, level or potential.
        """
        self._search(replace(self.search, words=words, most=PAGE))

    def show_bin(self, shown: bool) -> None:
        """List what was deleted, or what was not.

        Args:
            shown: The bin.
        """
        self._search(replace(self.search, binned=shown, most=PAGE))

    def hear(self, message: object) -> None:
        """Take a message of the page; see `runs.js`.

        Args:
            message: What the user did.
        """
        with self.guard:
            match message:
                case {"type": "find", "words": str(words)}:
                    self.find(words)
                case {"type": "bin", "on": bool(on)}:
                    self.show_bin(on)
                case {"type": "more"}:
                    self._search(replace(self.search, most=self.search.most + PAGE))
                case {"type": "choose", "id": int(number), "on": bool(on)}:
                    left = tuple(each for each in self.chosen if each != number)
                    self.chosen = (*left, number) if on else left
                case {"type": "compare"}:
                    self.compare()
                case {"type": "arrived", "number": int(number)}:
                    self._delivery.arrived(number)
                case {"type": "stop"}:
                    self._delivery.stop()
                case _:
                    self._hear_slow(message)

    # -- inside --------------------------------------------------------------------------------------------------------

    def _hear_slow(self, message: object) -> None:
        """What reads or writes files leaves for a thread."""
        match message:
            case {"type": "open", "id": int(number)}:
                self.guard.start(self.open(number))
            case {"type": "name", "id": int(number), "title": str(title), "note": str(note)}:
                self._later(partial(self.keeper.name, number, title, note))
            case {"type": "duplicate" | "restore" as what, "id": int(number)}:
                self._later(partial(self.keeper.duplicate if what == "duplicate" else self.keeper.restore, number))
            case {"type": "delete", "id": int(number)}:
                self._check_absent(number)
                self._later(partial(self.keeper.delete, number), number)
            case {"type": "undo"} if self._undo is not None:
                self._later(partial(self.keeper.restore, self._undo))
            case {"type": "empty"}:
                self._later(self.keeper.empty)
            case {"type": "about", "id": int(number)}:
                self.guard.start(self._tell_about(number))
            case {"type": "take", "id": int(number), "kind": str(kind)} if kind in KINDS:
                self.guard.start(self._deliver(number, kind))
            case {"type": "pictures", "ids": list(numbers)}:
                self.guard.start(self._send_pictures(numbers))

    def _check_absent(self, number: int) -> None:
        if self.store.entry is not None and self.store.entry.id == number:
            raise UnsupportedError(f"Run {number} is on screen. Open another run first, then delete this one.")

    def _later(self, work: Callable[[], str], undo: int | None = None) -> None:
        self.guard.start(self._do(work, undo))

    async def _do(self, work: Callable[[], str], undo: int | None) -> None:
        self._done(await asyncio.to_thread(work), undo)

    def _done(self, told: str, undo: int | None = None) -> None:
        """Say what was done, and have everybody look again."""
        self._undo = undo
        self.panel.toast = {"text": told, "undo": undo is not None}
        self._weighed_at = float("-inf")
        if undo is not None:
            self.chosen = tuple(number for number in self.chosen if number != undo)
        self.store.shelf += 1

    def _search(self, search: Search) -> None:
        self.search = search
        self._outdate()

    def _outdate(self) -> None:
        self._stale = True
        self.refresh()

    async def _weigh(self) -> None:
        if monotonic() - self._weighed_at > WEIGH_SECONDS:
            self._weighed_at = monotonic()
            self._weight = size(await asyncio.to_thread(self.keeper.weight))

    def _show(self, found: Found) -> None:
        self.found = found
        nothing = NOTHING_FOUND if self.search.words else NOTHING_BINNED if self.search.binned else NOTHING_KEPT
        summary = f"{self._weight} in {found.kept} {'run' if found.kept == 1 else 'runs'}"
        self.panel.param.update(
            rows=list(found.rows), more=found.fitting - len(found.rows), binned=self.search.binned, bin_size=found.binned, problem="",
            hint="" if found.rows else nothing, summary=f"{summary}{', the bin included' if found.binned else ''}" if found.kept + found.binned else "",
        )  # fmt: skip

    async def _tell_about(self, number: int) -> None:
        entry = await asyncio.to_thread(self.keeper.get, number)
        sections = [asdict(section) for section in await asyncio.to_thread(account, entry)]
        self.panel._send_msg({"type": "about", "id": number, "sections": sections})

    async def _deliver(self, number: int, kind: str) -> None:
        await self._delivery.deliver(await asyncio.to_thread(self.keeper.get, number), kind)

    def _tell_progress(self, text: str, fraction: float) -> None:
        self.panel.progress = {"text": text, "fraction": fraction} if text else {}

    async def _send_pictures(self, numbers: list[Any]) -> None:
        """The pictures of runs that are listed, one message each; one that is gone is not sent."""
        listed = {row["id"]: row["picture"] for row in self.found.rows}
        for number in [number for number in numbers if isinstance(number, int) and listed.get(number)]:
            picture = (await asyncio.to_thread(self.keeper.get, number)).thumbnail
            if picture is not None:
                self.panel._send_msg({"type": "picture", "id": number, "stamp": listed[number], "png": await asyncio.to_thread(picture.read_bytes)})
