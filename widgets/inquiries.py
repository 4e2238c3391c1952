"""Inquiries: the studies of this program that are at work, that wait for their turn or that ended, whichever page asked for them.

A page may close meanwhile: a study is finite, goes on, and is found again. One of an owner works at a time; the next waits. Knows the
library, where each has its place; must not know pages nor what is studied.
"""

import logging
from collections.abc import Callable
from concurrent.futures import Future, wait
from pathlib import Path

from studio.entry import Entry
from studio.errors import SettingsError, StudioError, WorkerError
from studio.frame import Frame
from studio.library import Claim, Library
from studio.recipes.base import Recipe
from studio.study import Inquiry, Standing
from widgets.opening import LEAVING_SECONDS, janitor

logger = logging.getLogger(__name__)

Begin = Callable[[Recipe, Path], Inquiry]
"""Starts the worker of a study, or refuses with a `WorkerError`."""
KEPT_ENDED = 4
"""Studies of an owner that ended and are still told about; the library has all."""
IN_LIBRARY = {"lost": "interrupted"}
"""What the library calls a state, where that differs."""


class Job:
    """A study with its place in the library.

    Args:
        library: Where it is kept.
        entry: Its place.
        recipe: What is asked; its input files are those in its folder.
        claim: The right to work there.
        begin: Starts its worker.
    """

    def __init__(self, library: Library, entry: Entry, recipe: Recipe, claim: Claim, begin: Begin) -> None:
        self.library, self.entry, self.recipe, self.begin = library, entry, recipe, begin
        self._claim: Claim | None = claim
        self._inquiry: Inquiry | None = None
        self._leaving: Future[None] | None = None
        self._standing = Standing("waiting", "Waits for its turn")

    @property
    def number(self) -> int:
        """In the library."""
        return self.entry.id

    @property
    def standing(self) -> Standing:
        """How it is."""
        if self._inquiry is not None:
            self._standing = self._inquiry.standing
        return self._standing

    @property
    def frame(self) -> Frame | None:
        """The newest frame that it has shown; none where it is not at work."""
        return self._inquiry.frame if self._inquiry is not None and not self.standing.over else None

    def start(self) -> None:
        """Begin; where there is no room for another worker it goes on waiting, and says why."""
        try:
            self._inquiry = self.begin(self.recipe, self.entry.folder)
        except WorkerError as problem:
            self._standing = Standing("waiting", str(problem))
        else:
            janitor.submit(self._note_running)

    def wait_for(self, other: "Job") -> None:
        """Say what it waits for.

        Args:
            other: It works.
        """
        self._standing = Standing("waiting", f"Waits until study {other.number} has ended")

    def cancel(self) -> None:
        """Stop; what is finished is kept."""
        if self._inquiry is not None:
            self._inquiry.cancel()
        else:
            self._standing = Standing("stopped", "It was not begun: go on at any time.")

    def settle(self) -> None:
        """It is over: write down how it ended, and give the place back."""
        if self._claim is not None:
            claim, self._claim = self._claim, None
            self._leaving = janitor.submit(self._leave, claim)

    def left(self) -> None:
        """Wait until the place is given back, of one that is over."""
        self.settle()
        if self._leaving is not None:
            wait((self._leaving,), LEAVING_SECONDS)

    def close(self) -> None:
        """End the worker now."""
        if self._inquiry is not None:
            self._inquiry.close(patience=0.5)

    def _leave(self, claim: Claim) -> None:
        if self._inquiry is not None:
            self._inquiry.close()
        state = self._standing.state
        self._write(IN_LIBRARY.get(state, state))  # while it is held: who finds it free may believe what is written
        claim.release()

    def _note_running(self) -> None:
        if self._claim is not None:  # else it has ended already, which is written
            self._write("running")

    def _write(self, status: str) -> None:
        try:
            self.library.update(self.number, status=status)
        except StudioError as problem:  # what was found is not touched
            logger.warning("the library could not be written: %s", problem)


class Inquiries:
    """All studies of this program."""

    def __init__(self) -> None:
        self._jobs: list[Job] = []

    def of(self, library: Library, owner: str) -> tuple[Job, ...]:
        """An owner's studies: at work, waiting, and those that ended last.

        Args:
            library: Where they are kept.
            owner: Whose.
        """
        return tuple(job for job in self._jobs if self._whose(job) == (library.folder, owner))

    def add(self, library: Library, number: int, begin: Begin) -> Job:
        """Work on a study of the library, or go on with it, as soon as it is its turn. Reads files, so call it in a thread.

        Args:
            library: Where it is kept.
            number: Of its entry.
            begin: Starts its worker.

        Raises:
            StudioError: There is no such study, others work on it, or its recipe cannot be read.
        """
        entry, recipe = library.get(number), library.recipe_of(number)
        if not isinstance(recipe, Recipe) or recipe.study is None:
            raise SettingsError(f"Run {number} is a {entry.kind}, not a study.")
        for job in self._jobs:
            if (job.library.folder, job.number) == (library.folder, number) and job.standing.over:
                job.left()
        claim = library.claim(number)
        library.update(number, status="waiting")
        job = Job(library, entry, recipe, claim, begin)
        self._jobs = [each for each in self._jobs if (each.library.folder, each.number) != (library.folder, number)]
        self._jobs.append(job)
        return job

    def look(self) -> None:
        """Hear all of them, settle what is over, and begin what waits. Call it a few times a second; never waits."""
        for job in tuple(self._jobs):
            if job.standing.over:
                job.settle()
        for waiting in [job for job in self._jobs if job.standing.state == "waiting"]:
            busy = next((job for job in self._jobs if job.standing.state == "running" and self._whose(job) == self._whose(waiting)), None)
            if busy is None:
                waiting.start()
            else:
                waiting.wait_for(busy)
        self._forget()

    def dismiss(self, job: Job) -> None:
        """No longer tell about a study that ended; it stays in the library.

        Args:
            job: It.
        """
        if job.standing.over:
            self._jobs = [each for each in self._jobs if each is not job]

    def close(self) -> None:
        """End all; what is finished is kept, and they can go on another time."""
        jobs, self._jobs = self._jobs, []
        for job in jobs:
            job.cancel()
        for job in jobs:
            job.close()
            job.settle()

    def _forget(self) -> None:
        for whose in {self._whose(job) for job in self._jobs}:
            ended = [job for job in self._jobs if self._whose(job) == whose and job.standing.over]
            for job in ended[:-KEPT_ENDED]:
                self.dismiss(job)

    @staticmethod
    def _whose(job: Job) -> tuple[Path, str]:
        return job.library.folder, job.entry.owner


inquiries = Inquiries()
"""Those of this program."""
