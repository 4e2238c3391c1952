"""Library: the runs that are kept - listed, named, continued, binned - across restarts and by several programs at once.

Every run has a folder that holds what `studio.recorder` writes, its input files and its label; the database beside them
only makes lists quick. The folders are the truth: a lost or damaged database is made again from them. Knows files and
recipes as data; must not know how anything is simulated.
"""

import json
import logging
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Any, TypeVar

from filelock import FileLock, Timeout
from sqlalchemy import select
from sqlalchemy.orm import Session

from studio import plugins
from studio.database import DamagedError, Database, Row
from studio.entry import LABEL, THUMBNAIL, WORDS, Entry, adopted, described, entry_of, found_in, megabytes_of, recipe_data, settled, write_label
from studio.errors import PluginError, SettingsError, StorageError
from studio.files import data_folder, storage, write_whole
from studio.inputs import localised, taken_along
from studio.recorder import RECIPE
from studio.settings import validated

if TYPE_CHECKING:
    from studio.recipes.base import Recipe

T = TypeVar("T")
logger = logging.getLogger(__name__)

DATABASE, RUNS, LOCK = "library.db", "runs", "run.lock"
PATIENCE = 10.0
"""How long one program waits for another, s."""
MAX_THUMBNAIL = 1_000_000
MAX_TITLE, MAX_NOTE = 200, 10_000
"""Characters of a name and of a note; the rest is cut."""
MAX_NUMBER = 2**63 - 1
_PNG = b"\x89PNG\r\n\x1a\n"


class Claim:
    """The right to play one run, until released; the system takes it back from a process that dies.

    Args:
        lock: Held.
    """

    def __init__(self, lock: FileLock) -> None:
        self._lock = lock

    def release(self) -> None:
        """Let others play it."""
        self._lock.release()

    def __enter__(self) -> "Claim":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class Library:
    """The kept runs of one folder; several programs may have it open.

    Args:
        folder: Where; `POTENTIAL_STUDIO_DATA`, or the user's data folder, when left out.
        patience: How long to wait for other programs, s.

    Raises:
        StorageError: The folder cannot be written, or comes from a newer version.
    """

    def __init__(self, folder: Path | None = None, patience: float = PATIENCE) -> None:
        self.folder = folder or data_folder()
        self._patience = patience
        with storage(self.folder):
            (self.folder / RUNS).mkdir(parents=True, exist_ok=True)
        self._database = Database(self.folder / DATABASE, patience)
        self._open()

    def entries(self, owner: str | None = None, *, deleted: bool = False) -> tuple[Entry, ...]:
        """Kept runs, the newest first.

        Args:
            owner: Only theirs; everybody's when left out.
            deleted: Those in the bin instead.

        Raises:
            StorageError: The list cannot be read.
        """
        query = select(Row).where(Row.deleted.is_not(None) if deleted else Row.deleted.is_(None)).order_by(Row.id.desc())
        if owner is not None:
            query = query.where(Row.owner == owner)
        return tuple(map(self._entry, self._read(lambda session: list(session.scalars(query)))))

    def get(self, run: int) -> Entry:
        """One run, also one in the bin.

        Args:
            run: Its number.

        Raises:
            SettingsError: There is none with this number.
        """
        return self._entry(self._read(lambda session: _row(session, run)))

    def new(self, recipe: "Recipe", title: str = "", owner: str = "") -> Entry:
        """Make room for a run; its input files are copied, so that nothing is lost when the originals go.

        Args:
            recipe: What is asked for.
            title: Name for people.
            owner: Whose it is.

        Raises:
            StorageError: No space or no permission, or an input file cannot be read; then nothing is left behind.
        """
        return self._new(json.loads(recipe.to_json()), title, owner, "")

    def duplicate(self, run: int) -> Entry:
        """A new run of the same recipe, with inputs of its own and no frames.

        Args:
            run: Number of the one to copy.

        Raises:
            SettingsError: There is none with this number.
            StorageError: No space or no permission.
        """
        entry = self.get(run)
        data = localised(recipe_data(entry), entry.folder)
        return self._new(data, f"{entry.title} (copy)", entry.owner, entry.note)

    def recipe_of(self, run: int) -> Any:
        """The settings of a run, its input files where they are now.

        Args:
            run: Its number.

        Raises:
            SettingsError: There is no such run, or its recipe is damaged or from a newer version.
        """
        entry = self.get(run)
        data = localised(recipe_data(entry), entry.folder)
        try:
            return validated(plugins.load("studio.recipes", str(data.get("kind"))), data)
        except (SettingsError, PluginError) as problem:
            raise SettingsError(
                f"The recipe of run {run} is not one that this version understands: {problem} Its frames can still be looked at; "
                "update Potential Studio, or install the plug-in that it was made with, to continue it."
            ) from problem

    def update(
        self,
        run: int,
        *,
        status: str | None = None,
        time_ps: float | None = None,
        frames: int | None = None,
        atoms: int | None = None,
        temperature: float | None = None,
    ) -> Entry:
        """Write down how a run is; what is left out stays as it is, whoever wrote it.

        Args:
            run: Its number.
            status: How it is, one of `studio.entry.WORDS`.
            time_ps: Simulated so far, ps; of beads, CG time.
            frames: Recorded so far.
            atoms: As simulated.
            temperature: Of the thermostat now, K.

        Raises:
            SettingsError: There is none with this number, or no such status.
            StorageError: The list cannot be written.
        """
        if status is not None and status not in WORDS:
            raise SettingsError(f"'{status}' is not a state of a run. Expected one of {', '.join(WORDS)}.")
        values = {"status": status, "time_ps": time_ps, "frames": frames, "atoms": atoms, "temperature": temperature}
        return self._change(run, {name: value for name, value in values.items() if value is not None})

    def rename(self, run: int, title: str) -> Entry:
        """Give a run another name; raises what `update` raises."""
        return self._change(run, {"title": _legible(title)[:MAX_TITLE] or f"Run {run}"}, label=True)

    def annotate(self, run: int, note: str) -> Entry:
        """Write a note beside a run, instead of the one before; raises what `update` raises."""
        return self._change(run, {"note": _legible(note)[:MAX_NOTE]}, label=True)

    def delete(self, run: int) -> Entry:
        """Put a run into the bin, from where `restore` takes it; raises what `update` raises."""
        return self._change(run, {"deleted": time()}, label=True)

    def restore(self, run: int) -> Entry:
        """Take a run out of the bin; raises what `update` raises."""
        return self._change(run, {"deleted": None}, label=True)

    def purge(self, days: float = 7.0, owner: str | None = None) -> tuple[int, ...]:
        """Remove for good what has been in the bin for long, unless somebody plays it; gives the numbers.

        Args:
            days: How long.
            owner: Only theirs; everybody's when left out.

        Raises:
            StorageError: A folder cannot be removed.
        """
        before = time() - 86400.0 * days
        old = [entry for entry in self.entries(owner, deleted=True) if entry.deleted is not None and entry.deleted.timestamp() <= before]
        gone = [entry for entry in old if not self.held(entry.id)]
        for entry in gone:
            self._remove(entry.id)
        return tuple(entry.id for entry in gone)

    def discard(self, run: int) -> None:
        """Take back a run that came to nothing: for good if nothing but its start was recorded, else into the bin.

        Args:
            run: Its number.

        Raises:
            SettingsError: There is none with this number.
            StorageError: Its folder cannot be removed.
        """
        entry = self.refresh(run)
        if entry.frames > 1:
            self.delete(run)
        else:
            self._remove(run)

    def set_thumbnail(self, run: int, png: bytes) -> Entry:
        """Give a run a picture.

        Args:
            run: Its number.
            png: At most 1 MB.

        Raises:
            SettingsError: There is no such run, or this is not a small PNG.
            StorageError: No space or no permission.
        """
        if not png.startswith(_PNG) or len(png) > MAX_THUMBNAIL:
            raise SettingsError(f"Expected a PNG picture of at most 1 MB, got {len(png) / 1e6:.1f} MB that {'are' if png.startswith(_PNG) else 'are not'} one.")
        entry = self.get(run)
        write_whole(entry.folder / THUMBNAIL, png)
        return entry

    def claim(self, run: int) -> Claim:
        """The right to play a run: hold it as long as a worker writes into its folder.

        Args:
            run: Its number.

        Raises:
            SettingsError: There is none with this number.
            StorageError: Another window or program plays it, or its folder is gone.
        """
        entry = self.get(run)
        if not entry.folder.is_dir():
            raise StorageError(f"The folder of run {run} is gone ({entry.folder}). Put it back, or delete the run from the list.")
        lock = self._lock(run)
        try:
            lock.acquire(timeout=min(0.5, self._patience))  # not at once: somebody may just be looking whether it is held
        except Timeout as problem:
            raise StorageError(f"Run {run} is open in another window or program. Close it there, or duplicate it and go on with the copy.") from problem
        return Claim(lock)

    def held(self, run: int) -> bool:
        """True if somebody plays the run now.

        Args:
            run: Its number.
        """
        if not self._lock_file(run).exists():
            return False
        lock = self._lock(run)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return True
        lock.release()
        return False

    def refresh(self, run: int) -> Entry:
        """Write down what the folder says: time, frames, and how the run is if nobody holds it any more.

        Args:
            run: Its number.

        Raises:
            SettingsError: There is none with this number.
            StorageError: The list cannot be written.
        """
        held = self.held(run)  # before it is read: who lets go has written how it is
        entry = self.get(run)
        found = found_in(entry.folder, entry.status if held else settled(entry))
        return self._change(run, found) if any(getattr(entry, name) != value for name, value in found.items()) else entry

    def megabytes(self, owner: str | None = None) -> float:
        """What the runs take on disk, those in the bin included.

        Args:
            owner: Only theirs; everything when left out.
        """
        if owner is None:
            return megabytes_of(self.folder)
        return sum(entry.megabytes for deleted in (False, True) for entry in self.entries(owner, deleted=deleted))

    def check_room(self, owner: str, megabytes: float) -> None:
        """Refuse if the runs of one owner take too much.

        Args:
            owner: Whose.
            megabytes: What they may take.

        Raises:
            StorageError: They take more.
        """
        taken = self.megabytes(owner)
        if taken > megabytes:
            raise StorageError(f"Your runs take {taken:.0f} MB; you may use {megabytes:.0f} MB. Export what you need, then delete old runs and empty the bin.")

    def _new(self, data: dict[str, Any], title: str, owner: str, note: str) -> Entry:
        now = time()
        row = Row(title=title, owner=owner, note=note, created=now, updated=now, status="new")

        def number(session: Session) -> int:
            session.add(row)
            session.flush()
            return row.id

        run = self._write(number)
        folder = self._folder(run)
        with ExitStack() as undo:
            undo.callback(self._remove, run)
            with storage(folder):
                folder.mkdir()
                data = taken_along(data, folder)
                write_whole(folder / RECIPE, (json.dumps(data, indent=2) + "\n").encode())
            entry = self._change(run, {"title": title.strip() or f"Run {run}", **described(data)}, label=True)
            undo.pop_all()
        return entry

    def _change(self, run: int, values: dict[str, Any], *, label: bool = False) -> Entry:
        """Write some columns of one run, and the label in its folder if it is about people's words."""

        def work(session: Session) -> Entry:
            row = _row(session, run)
            for name, value in values.items():
                setattr(row, name, value)
            row.updated = time()
            session.flush()
            entry = self._entry(row)
            if label and entry.folder.is_dir():
                write_label(entry)
            return entry

        return self._write(work)

    def _remove(self, run: int) -> None:
        """Folder and row, for good."""
        folder = self._folder(run)
        with storage(folder):
            if folder.exists():
                shutil.rmtree(folder)

        def work(session: Session) -> None:
            row = session.get(Row, run)
            if row is not None:
                session.delete(row)

        self._write(work)

    def _folder(self, run: int) -> Path:
        return self.folder / RUNS / str(run)

    def _entry(self, row: Row) -> Entry:
        return entry_of(row, self._folder(row.id))

    def _read(self, work: Callable[[Session], T]) -> T:
        return self._mended(self._database.read, work)

    def _write(self, work: Callable[[Session], T]) -> T:
        return self._mended(self._database.write, work)

    def _mended(self, do: Callable[[Callable[[Session], T]], T], work: Callable[[Session], T]) -> T:
        """Do `work`; once more with a database made again from the folders, if it is damaged."""
        try:
            return do(work)
        except DamagedError:
            self._open()
            return do(work)

    def _lock_file(self, run: int) -> Path:
        return self._folder(run) / LOCK

    def _lock(self, run: int) -> FileLock:
        return FileLock(self._lock_file(run), thread_local=False)

    def _open(self) -> None:
        """Make the database ready; set a damaged one aside, and fill a fresh one from the folders."""
        try:
            with storage(self.folder), FileLock(self.folder / f"{DATABASE}.lock", timeout=self._patience):
                try:
                    self._database.prepare()
                except DamagedError:
                    logger.warning("The list of runs was damaged and is made again; the old one is kept as %s", self._database.set_aside())
                    self._database.prepare()
                self._adopt()
        except Timeout as problem:
            raise StorageError(f"Another program has been busy with the runs in {self.folder} for more than {self._patience:g} s. Try again.") from problem

    def _adopt(self) -> None:
        """Take in the folders that the list does not know; none but after a loss."""

        def work(session: Session) -> None:
            known = set(session.scalars(select(Row.id)))
            for folder in (self.folder / RUNS).iterdir():
                if folder.name.isdecimal() and int(folder.name) not in known and (folder / LABEL).exists():
                    session.add(adopted(folder))

        self._database.write(work)


def _legible(text: str) -> str:
    """Text without what no file can hold."""
    return text.encode("utf-8", errors="replace").decode().strip()


def _row(session: Session, run: int) -> Row:
    row = session.get(Row, run) if 0 < run <= MAX_NUMBER else None
    if row is None:
        raise SettingsError(f"There is no run {run}. It was purged, or belongs to another library.")
    return row
