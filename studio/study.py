"""Study: the handle of one recipe at work in a process of its own - how far it is, stop, go on; what it found lies in its folder.

A crash, a kill or a full disk in the worker never touches the process that holds an `Inquiry`: its standing says what happened,
and another one of the same recipe in the same folder goes on from the parts that are finished. Knows recipes by what they can do;
must not know any one of them, nor the library.
"""

import atexit
import contextlib
import logging
import multiprocessing
import os
import signal
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Lock
from time import monotonic, sleep
from typing import TYPE_CHECKING, Literal, cast

from studio.errors import StudioError, WorkerError
from studio.frame import Frame
from studio.recipes.base import Recipe, Resumable, Runnable
from studio.result import Result
from studio.run import ending_of
from studio.so_far import forget

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

__all__ = ["Inquiry", "Standing", "StudyState", "close_inquiries", "work"]

logger = logging.getLogger(__name__)

StudyState = Literal["waiting", "running", "done", "stopped", "failed", "lost"]
NICENESS = 10
"""A study waits for the page, its server and the run that somebody watches."""
FRAME_SECONDS = 0.1
"""Least wall time between two frames that are shown."""
MOST_ATOMS = 4000
"""Larger frames would fill the line, and hold up the work where nobody takes them out."""
STOP_PATIENCE = 15.0
"""Wall time that a recipe has to stop by itself, s; then its process is ended, and the part that it was at is lost."""
STOPPED = "Stopped. What is finished is kept: go on at any time."
UNEXPECTED = "Something went wrong that should not have ({}: {}). What is finished is kept; please report it."


@dataclass(frozen=True)
class Standing:
    """How a study is.

    Args:
        state: In one word; `waiting` is one that has not been begun.
        sentence: What is going on, or what happened.
        fraction: How much is done, from 0 to 1.
    """

    state: StudyState
    sentence: str = ""
    fraction: float = 0.0

    @property
    def over(self) -> bool:
        """Nobody works on it."""
        return self.state not in ("waiting", "running")


class Inquiry:
    """A recipe at work; it begins at once.

    Args:
        recipe: What is asked.
        folder: Where finished parts and the result go; finished parts that are there already are taken over.

    Attributes:
        ended: Its process is gone.
    """

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        self.recipe, self.folder = recipe, folder
        self.ended = False
        self._standing = Standing("running", "Starting")
        self._frame: Frame | None = None
        self._stop_by = float("inf")
        self._hearing = Lock()
        context = multiprocessing.get_context("spawn")
        self._line: Connection
        self._line, theirs = context.Pipe()
        # not a daemon: a recipe may have helpers of its own, as a local cluster
        self._process: BaseProcess = context.Process(target=work, args=(theirs, recipe, folder), name="potential-studio study")
        self._process.start()
        theirs.close()
        _open.add(self)

    @property
    def standing(self) -> Standing:
        """How it is now."""
        self._hear()
        return self._standing

    @property
    def frame(self) -> Frame | None:
        """The newest frame that the recipe has shown."""
        self._hear()
        return self._frame

    @property
    def pid(self) -> int | None:
        """Process id of the worker."""
        return self._process.pid

    def cancel(self) -> None:
        """Stop, and keep what is finished; one that does not listen is ended after `STOP_PATIENCE`."""
        if not self.standing.over and self._stop_by == float("inf"):
            self._stop_by = monotonic() + STOP_PATIENCE
            self._standing = Standing("running", "Stopping", self._standing.fraction)
            self._tell("stop")

    def end(self, reason: str) -> None:
        """End the worker at once.

        Args:
            reason: A sentence, told as the standing.
        """
        if not self.standing.over:
            self._process.kill()
            self._finish(Standing("lost", reason, self._standing.fraction))

    def result(self) -> Result:
        """What it found.

        Raises:
            StorageError: Nothing is finished yet, or it cannot be read.
        """
        return Result.kept(self.folder)

    def wait(self, timeout: float = 600.0) -> Standing:
        """Wait for the end.

        Args:
            timeout: Give up after so many seconds.

        Raises:
            WorkerError: It takes longer.
        """
        end = monotonic() + timeout
        while not self.standing.over:
            if monotonic() > end:
                raise WorkerError(f"The study did not end within {timeout:g} s; it is at: {self._standing.sentence}")
            sleep(0.02)
        return self._standing

    def close(self, patience: float = 2.0) -> None:
        """End the worker; finished parts are kept.

        Args:
            patience: Seconds that it has to stop by itself.
        """
        self.cancel()
        self._process.join(patience)
        if self._process.is_alive():
            self._process.kill()
            self._process.join(1.0)
        self._hear()
        if not self._standing.over:
            self._finish(Standing("stopped", STOPPED, self._standing.fraction))

    def _hear(self) -> None:
        """Take in what the worker said; notice if it is gone, or deaf."""
        with self._hearing:  # a page and whoever ends it may ask at once
            if not self.ended:
                self._hear_now()

    def _hear_now(self) -> None:
        try:
            while self._line.poll():
                self._take(self._line.recv())
        except (EOFError, OSError):
            if not self._standing.over:
                self._process.join(1.0)  # it is dying
            how = f"The process of the study {ending_of(self._process.exitcode)}. What is finished is kept: go on at any time."
            self._finish(self._standing if self._standing.over else Standing("lost", how, self._standing.fraction))
            return
        if monotonic() > self._stop_by:
            self._process.kill()
            self._finish(Standing("stopped", STOPPED, self._standing.fraction))

    def _take(self, news: Standing | Frame) -> None:
        if isinstance(news, Frame):
            self._frame = news
            self._tell("seen")
            return
        if self._stop_by < float("inf") and not news.over:
            news = Standing("running", "Stopping", news.fraction)
        self._standing = news
        self._tell("more")

    def _finish(self, standing: Standing) -> None:
        self._standing, self.ended = standing, True
        self._line.close()
        _open.discard(self)

    def _tell(self, word: str) -> None:
        with contextlib.suppress(OSError):  # a dead worker shows in the standing
            self._line.send(word)


_open: set[Inquiry] = set()


def close_inquiries() -> None:
    """End all studies of this process; finished parts are kept."""
    for inquiry in tuple(_open):
        inquiry.close(patience=0.5)


atexit.register(close_inquiries)  # before multiprocessing waits for its children


def work(line: Connection, recipe: Recipe, folder: Path) -> None:
    """Body of the process: do what the recipe says, keep the result, say how it ended.

    Args:
        line: Words of the handle come in, standings go out.
        recipe: What is asked.
        folder: Where everything is kept.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the terminal is the parent's to handle
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # small molecules: a second thread costs more than it brings
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    teller = _Teller(line)
    teller.tell(0.0, "Starting")
    try:
        last = _answered(recipe, folder, teller)
    except StudioError as problem:
        last = Standing("failed", str(problem), teller.fraction)
    except Exception as problem:
        logger.exception("unexpected failure in a study")
        last = Standing("failed", UNEXPECTED.format(type(problem).__name__, problem), teller.fraction)
    teller.end(last)


def _answered(recipe: Recipe, folder: Path, teller: "_Teller") -> Standing:
    """Run the recipe and keep what it says; how it ended."""
    if recipe.resumes:
        result = cast("Resumable", recipe).run(on_frame=teller.look, progress=teller.tell, folder=folder)
    else:
        result = cast("Runnable", recipe).run(on_frame=teller.look, progress=teller.tell)
    if teller.stopped:
        if result.ok:
            result.keep(folder)
        return Standing("stopped", STOPPED, teller.fraction)
    result.keep(folder)
    forget(folder)
    return Standing("failed", result.failure.message, teller.fraction) if result.failure else Standing("done", "Done", 1.0)


class _Teller:
    """Says how far it is and shows frames, the next only when the last was heard: who does not listen holds nothing up.

    Args:
        line: To the handle.
    """

    def __init__(self, line: Connection) -> None:
        self._line = line
        self._heard = self._seen = True
        self._shown: Frame | None = None
        self._next_frame = 0.0
        self.fraction, self.stopped = 0.0, False

    def tell(self, fraction: float, sentence: str) -> None:
        """Say how far it is.

        Args:
            fraction: From 0 to 1.
            sentence: What is going on.
        """
        self._listen()
        self.fraction = min(max(float(fraction), 0.0), 1.0)
        if self._heard:
            self._heard = False
            self._send(Standing("running", sentence, self.fraction))

    def look(self, frame: Frame) -> bool:
        """Show a frame; whether to go on.

        Args:
            frame: The same one again is not shown again.
        """
        self._listen()
        if self._seen and frame is not self._shown and monotonic() >= self._next_frame and len(frame.positions) <= MOST_ATOMS:
            self._seen, self._shown, self._next_frame = False, frame, monotonic() + FRAME_SECONDS
            self._send(frame)
        return not self.stopped

    def end(self, standing: Standing) -> None:
        """Say how it ended."""
        self._send(standing)
        self._line.close()

    def _listen(self) -> None:
        try:
            while self._line.poll():
                word = self._line.recv()
                self.stopped |= word == "stop"
                self._heard |= word == "more"
                self._seen |= word == "seen"
        except (EOFError, OSError):  # nobody is there any more
            self.stopped = True

    def _send(self, news: Standing | Frame) -> None:
        with contextlib.suppress(OSError):
            self._line.send(news)
