"""Spread: work shared out among processes, and what they find kept on disk as it comes.

A share is done by a function of a module that yields what it finds. Knows arrays and processes; must not know what is done.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar, cast

import numpy as np

from studio.errors import StudioError, WorkerError
from studio.parts import Part, keep, kept
from studio.structure import Floats

Ask = Callable[[], None]
"""Called every few steps; what it raises ends the work."""
S = TypeVar("S")
R = TypeVar("R")

LOOK = 0.1
"""How often is asked whether to go on while others work, s."""
SAVED, PART = 1.0, 20.0
"""What is found is on disk after so long, s - or so many times what it takes to write it, where that is longer."""
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""The processes share the cores."""
DIED = "A process that sampled the molecule died, perhaps for want of memory. What is finished is kept: go on with fewer workers."


class Shelf:
    """Rows of arrays, in one file that is written whole.

    Args:
        path: The file; none where nothing is kept.
        key: Of what they are made from.
        names: Of the arrays of a row.

    Attributes:
        found: The rows by their index.
    """

    def __init__(self, path: Path | None, key: str, names: Sequence[str]) -> None:
        self._path, self._key, self._names = path, key, tuple(names)
        self._next, self._fresh = monotonic() + SAVED, False
        part = kept(path, key)
        columns = [part.arrays[name] for name in ("index", *self._names)] if part else []
        self.found: dict[int, tuple[Floats, ...]] = {int(index): tuple(row) for index, *row in zip(*columns, strict=True)}

    def add(self, index: int, row: tuple[Floats, ...]) -> None:
        """One more; on disk soon.

        Args:
            index: Its number.
            row: An array for each name.
        """
        self.found[index] = row
        self._fresh = True
        if monotonic() > self._next:
            self.write()

    def write(self) -> None:
        """Put on disk what is not there yet.

        Raises:
            StorageError: No space or no permission.
        """
        if not self._fresh:
            return
        begun = monotonic()
        columns = (np.array(column) for column in zip(*self.found.values(), strict=True))
        keep(self._path, self._key, Part({"index": np.array(list(self.found)), **dict(zip(self._names, columns, strict=True))}, {}))
        self._next, self._fresh = monotonic() + max(SAVED, PART * (monotonic() - begun)), False


def spread(body: Callable[[S, Ask], Iterator[R]], tasks: Sequence[S], workers: int, ask: Ask) -> Iterator[R]:
    """What is found, as it comes; one process after the other takes a share, or this one takes them all.

    Args:
        body: Does a share, and calls what it is given every few steps; a function of a module, so that it can be sent.
        tasks: The shares.
        workers: How many processes work at the same time.
        ask: What it raises ends the work.

    Raises:
        WorkerError: A process died.
        StudioError: What `body` and `ask` raise.
    """
    if workers == 1 or len(tasks) < 2:
        for task in tasks:
            yield from body(task, ask)
        return
    waiting = list(tasks)
    lines: dict[Connection, Any] = {}
    crew: list[Any] = []
    try:
        while waiting or lines:
            while waiting and len(lines) < workers:
                line, process = _started(body, waiting.pop(0))
                lines[line] = process
                crew.append(process)
            ask()
            for line in cast("list[Connection]", wait(list(lines), LOOK)):
                found = _heard(line)
                if found is None:
                    del lines[line]
                else:
                    yield cast("R", found)
    finally:
        for process in crew:
            process.kill()
            process.join()


def _started(body: Callable[[S, Ask], Iterator[R]], task: S) -> tuple[Connection, Any]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_worker, args=(theirs, body, task), daemon=True, name="potential-studio labels")
    process.start()
    theirs.close()
    return ours, process


def _heard(line: Connection) -> object:
    """What a process found; none at its end."""
    try:
        news = line.recv()
    except (EOFError, OSError) as problem:
        raise WorkerError(DIED) from problem
    if isinstance(news, StudioError):
        raise news
    return news


def _worker(line: Connection, body: Callable[[S, Ask], Iterator[R]], task: S) -> None:
    """Body of a process: what is found goes out as it comes; nobody listening ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the terminal is the parent's to handle
    os.environ.update(ONE_THREAD)
    with suppress(BrokenPipeError, ConnectionResetError):
        try:
            for found in body(task, _go_on):
                line.send(found)
            line.send(None)
        except StudioError as problem:
            line.send(problem)


def _go_on() -> None:
    """A worker is ended from outside."""
