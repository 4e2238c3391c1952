"""Listing: what the library has of one owner, as the list of runs shows it - found, in pages, in words - and what can be done with it.

Everything here reads or writes files and belongs into a thread. Knows the library and must not know the page.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from studio.entry import LIVE, WORDS, Entry
from studio.errors import SettingsError, UnsupportedError
from studio.library import Library

PAGE = 50
"""Runs listed at once; more on request."""
SHORT = {"waiting": "waits its turn", "closed": "can be continued", "interrupted": "interrupted, can go on", "lost": "lost, can be recovered"}
"""What states are called in a narrow column, where that differs from `WORDS`."""
Row = dict[str, Any]


@dataclass(frozen=True)
class Search:
    """Which runs are wanted.

    Args:
        words: All of them occur in number, title, note, level or potential.
        binned: Those in the bin instead.
        most: So many at most.
    """

    words: str = ""
    binned: bool = False
    most: int = PAGE


@dataclass(frozen=True)
class Found:
    """What there is.

    Args:
        rows: One for each run that is listed, newest first; see `row_of`.
        fitting: Runs that fit the search, listed or not.
        kept: Runs out of the bin.
        binned: Runs in the bin.
    """

    rows: tuple[Row, ...] = ()
    fitting: int = 0
    kept: int = 0
    binned: int = 0


class Keeper:
    """The runs of one owner; nobody else's are seen or touched.

    Args:
        library: Where they are.
        owner: Whose.
    """

    def __init__(self, library: Library, owner: str) -> None:
        self.library, self.owner = library, owner

    def entries(self, *, binned: bool = False) -> tuple[Entry, ...]:
        """All runs, newest first.

        Args:
            binned: Those in the bin instead.
        """
        return self.library.entries(self.owner, deleted=binned)

    def find(self, search: Search) -> Found:
        """What fits a search, as it is now: what crashed or vanished meanwhile is noticed.

        Args:
            search: What is wanted.

        Raises:
            StorageError: The list cannot be read.
        """
        kept, binned = self.entries(), self.entries(binned=True)
        fitting = [entry for entry in (binned if search.binned else kept) if fits(entry, search.words)]
        checked = (self._checked(entry) for entry in fitting[: search.most])
        return Found(tuple(row_of(entry) for entry in checked if entry is not None), len(fitting), len(kept), len(binned))

    def get(self, number: int) -> Entry:
        """One run.

        Args:
            number: Of it.

        Raises:
            SettingsError: There is none, or it is another's.
        """
        entry = self.library.get(number)
        if entry.owner != self.owner:
            raise SettingsError(f"There is no run {number}. Choose one of the list.")
        return entry

    def name(self, number: int, title: str, note: str) -> str:
        """Another name and note; gives a sentence about it. Raises what `get` and `Library.rename` raise."""
        before = self.get(number)
        if title.strip() != before.title:
            self.library.rename(number, title)
        if note != before.note:
            self.library.annotate(number, note)
        return f"Run {number} is saved."

    def duplicate(self, number: int) -> str:
        """A copy without frames; gives a sentence about it. Raises what `get` and `Library.duplicate` raise."""
        copy = self.library.duplicate(self.get(number).id)
        return f"Run {copy.id} is a copy of run {number}, from its start."

    def delete(self, number: int) -> str:
        """Into the bin; gives a sentence about it. Raises what `get` and `Library.delete` raise."""
        if self.library.held(self.get(number).id):
            raise UnsupportedError(f"Run {number} is open in another window or program. Close it there, then delete it.")
        self.library.delete(number)
        return f"Run {number} deleted."

    def restore(self, number: int) -> str:
        """Out of the bin; gives a sentence about it. Raises what `get` and `Library.restore` raise."""
        self.library.restore(self.get(number).id)
        return f"Run {number} is back."

    def empty(self) -> str:
        """Remove what is in the bin for good; gives a sentence about it.

        Raises:
            StorageError: A folder cannot be removed.
        """
        gone = self.library.purge(0.0, self.owner)
        return f"{len(gone)} {'run' if len(gone) == 1 else 'runs'} removed for good."

    def weight(self) -> float:
        """What all of it takes on disk, MB."""
        return self.library.megabytes(self.owner)

    def _checked(self, entry: Entry) -> Entry | None:
        """The run as its folder has it, where the list cannot be right any more; none if it was discarded meanwhile."""
        gone = not entry.folder.is_dir()
        crashed = entry.status in LIVE and not self.library.held(entry.id)
        try:
            return self.library.refresh(entry.id) if crashed or gone != (entry.status == "missing") else entry
        except SettingsError:
            return None


def fits(entry: Entry, words: str) -> bool:
    """Whether all words occur in what is known about a run.

    Args:
        entry: The run.
        words: As typed.
    """
    own, level = f"{entry.title} {entry.note}".lower(), f"{seen(entry)} {entry.resolution} {entry.kind}".lower()

    def occurs(word: str) -> bool:
        return word == str(entry.id) or word in own or (word in level and not word.isdigit())  # not the 3 of so3lr

    return all(occurs(word) for word in words.lower().split())


def row_of(entry: Entry) -> Row:
    """A run as `runs.js` takes it.

    Args:
        entry: The run.
    """
    return {
        "id": entry.id,
        "title": entry.title,
        "note": entry.note,
        "seen": seen(entry),
        "time": clock(entry.time_ps, entry.clock) if entry.frames or entry.time_ps else "",
        "state": entry.status,
        "words": words_of(entry.status),
        "when": moment(entry.created),
        "picture": _stamp(entry),
        "recorded": entry.recorded,
        "study": not entry.resolution,
    }


def words_of(state: str) -> str:
    """What a state is called in the list.

    Args:
        state: One of `studio.entry.WORDS`.
    """
    return SHORT.get(state, WORDS[state])


def size(megabytes: float) -> str:
    """What something takes on disk, as people read it.

    Args:
        megabytes: The size.
    """
    if megabytes < 1:
        return f"{1000 * megabytes:.0f} kB"
    return f"{megabytes / 1000:.1f} GB" if megabytes >= 1000 else f"{megabytes:.0f} MB"


def seen(entry: Entry) -> str:
    """Level and potential of a run in a few words.

    Args:
        entry: The run.
    """
    if entry.resolution == "beads":
        return entry.potential or "beads"
    return " \u00b7 ".join(text for text in (entry.resolution.upper() or entry.kind.replace("_", " "), entry.potential) if text)


def clock(time_ps: float, called: str = "time") -> str:
    """A simulated time as people read it; that of beads says so, and is not converted.

    Args:
        time_ps: The time, ps.
        called: What the time of the run is called.
    """
    told = f"{time_ps / 1000:.3f} ns" if time_ps >= 1000 else f"{time_ps:.2f} ps"
    return told if called == "time" else f"{called.removesuffix(' time')} {told}"


def moment(when: datetime, now: Callable[[], datetime] = datetime.now) -> str:
    """A moment on the reader's clock: the hour for today, the day for others.

    Args:
        when: The moment.
        now: The present, on the reader's clock.
    """
    local = when.astimezone()
    return f"{local:%H:%M}" if local.date() == now().date() else f"{local:%Y-%m-%d}"


def _stamp(entry: Entry) -> str:
    """Which version of its picture a run has; empty for none."""
    path = entry.thumbnail
    try:
        return "" if path is None else str(path.stat().st_mtime_ns)
    except OSError:  # replaced just now
        return ""
