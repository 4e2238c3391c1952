"""Database: the table of runs in one SQLite file that several processes use at once, and what to say when it refuses.

Each piece of work is one short transaction. Knows columns, versions of the schema and SQLite's complaints; what a run is,
and what to do with a damaged file, is `studio.library`'s business.
"""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from time import sleep, strftime
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import NullPool

from studio.errors import StorageError

T = TypeVar("T")

SCHEMA = 1
"""Version of the columns below, kept in the file as its `user_version`."""
MIGRATIONS: dict[int, tuple[str, ...]] = {}
"""For each version but the first: what makes it out of the one before."""
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


class _Base(DeclarativeBase):
    """Parent of the tables."""


class Row(_Base):
    """One run; times are seconds since 1970, UTC."""

    __tablename__ = "runs"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012 - numbers are never given twice

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    owner: Mapped[str] = mapped_column(default="", index=True)
    created: Mapped[float]
    updated: Mapped[float]
    status: Mapped[str] = mapped_column(default="new")
    recipe: Mapped[str] = mapped_column(default="")
    kind: Mapped[str] = mapped_column(default="")
    resolution: Mapped[str] = mapped_column(default="")
    potential: Mapped[str] = mapped_column(default="")
    temperature: Mapped[float | None] = mapped_column(default=None)
    atoms: Mapped[int] = mapped_column(default=0)
    frames: Mapped[int] = mapped_column(default=0)
    time_ps: Mapped[float] = mapped_column(default=0.0)
    note: Mapped[str] = mapped_column(default="")
    deleted: Mapped[float | None] = mapped_column(default=None)


class DamagedError(StorageError):
    """The file is no database any more."""


class Database:
    """The file.

    Args:
        path: Made by `prepare`.
        patience: How long to wait for other processes, s.
    """

    def __init__(self, path: Path, patience: float) -> None:
        self.path, self._patience = path, patience
        # A connection for each piece of work: none is left open in other threads, or on a file that was set aside.
        self._engine = create_engine(URL.create("sqlite", database=str(path)), poolclass=NullPool, connect_args={"timeout": patience})
        event.listen(self._engine, "connect", _leave_transactions_to_us)
        event.listen(self._engine, "begin", _begin)

    def read(self, work: Callable[[Session], T]) -> T:
        """Look; never waits for writers.

        Args:
            work: Done within one transaction.

        Raises:
            StorageError: The file cannot be read.
        """
        return self._do(work, self._engine)

    def write(self, work: Callable[[Session], T]) -> T:
        """Change; all of it or nothing.

        Args:
            work: Done within one transaction, during which others wait.

        Raises:
            StorageError: The file cannot be written.
        """
        return self._do(work, self._engine.execution_options(writes=True))

    def prepare(self) -> None:
        """Make the table, or bring it to the present version; one process at a time.

        Raises:
            DamagedError: The file is damaged.
            StorageError: It was written by a newer version, or cannot be written.
        """
        try:
            with self._engine.connect().execution_options(plain=True) as connection:
                self._check(connection)
                _to_write_ahead(connection, self._patience)
            with self._engine.execution_options(writes=True).begin() as connection:
                _migrate(connection)
        except DBAPIError as problem:
            raise self._explained(problem) from problem

    def set_aside(self) -> Path:
        """Move the damaged file out of the way; gives its new path.

        Raises:
            OSError: It cannot be moved.
        """
        aside = self.path.with_name(f"{self.path.name}.damaged-{strftime('%Y%m%d-%H%M%S')}")
        self.path.replace(aside)
        for ending in ("-wal", "-shm"):
            beside = self.path.with_name(self.path.name + ending)
            if beside.exists():
                beside.replace(aside.with_name(aside.name + ending))
        return aside

    def _check(self, connection: Connection) -> None:
        if connection.exec_driver_sql("PRAGMA quick_check(1)").scalar() != "ok":
            raise DamagedError(f"{self.path} is damaged.")
        version = _version(connection)
        if version > SCHEMA:
            raise StorageError(f"{self.path} was written by a newer Potential Studio (version {version}, this one knows {SCHEMA}). Update to open it.")

    def _do(self, work: Callable[[Session], T], engine: Engine) -> T:
        try:
            with Session(engine, expire_on_commit=False) as session, session.begin():
                return work(session)
        except DBAPIError as problem:
            raise self._explained(problem) from problem

    def _explained(self, problem: DBAPIError) -> StorageError:
        """SQLite's complaint as a sentence."""
        cause = problem.orig
        code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
        if code in _DAMAGED or "no such table" in str(cause):
            return DamagedError(f"{self.path} is damaged ({cause}).")
        if code in _BUSY:
            return StorageError(f"The list of runs is in use by another program for more than {self._patience:g} s ({self.path}). Try again later.")
        if code == sqlite3.SQLITE_ERROR:
            return StorageError(f"{self.path} does not fit this version of Potential Studio ({cause}). Move it away: it is made again from the folders.")
        return StorageError(
            f"The list of runs cannot be kept in {self.path} ({cause}). Free some space, or check the permissions; what was written before is kept."
        )


def _leave_transactions_to_us(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # else the driver begins them, and too late


def _begin(connection: Connection) -> None:
    """A writer takes its turn at once: one that asks later can be refused after it has read."""
    options: Any = connection.get_execution_options()
    if not options.get("plain"):
        connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("writes") else "BEGIN")


def _to_write_ahead(connection: Connection, patience: float) -> None:
    """Let readers and the writer not wait for each other; kept in the file, where its disk can do it."""
    for _attempt in range(max(1, int(patience / 0.05))):  # SQLite does not wait here by itself
        try:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        except DBAPIError as problem:
            if getattr(problem.orig, "sqlite_errorcode", 0) & 0xFF not in _BUSY:
                raise
            sleep(0.05)
        else:
            return


def _migrate(connection: Connection) -> None:
    version = _version(connection)
    if version == 0:
        _Base.metadata.create_all(connection)
    else:
        for step in range(version + 1, SCHEMA + 1):
            for statement in MIGRATIONS[step]:
                connection.exec_driver_sql(statement)
    if version != SCHEMA:
        connection.exec_driver_sql(f"PRAGMA user_version={SCHEMA}")


def _version(connection: Connection) -> int:
    return int(connection.exec_driver_sql("PRAGMA user_version").scalar() or 0)
