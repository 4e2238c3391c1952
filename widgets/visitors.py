"""Visitors: who is here, what each may take, and which runs go on without anybody looking.

Every open page has a seat: it starts the page's runs within the limits, keeps the run on if that is wished, and shares it
with an audience. Knows processes and their memory; must not know pages, addresses or passwords.
"""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from time import monotonic, sleep
from typing import Protocol, TypeVar

import psutil

from studio.errors import StorageError, StudioError, WorkerError
from studio.frame import Subscription
from studio.library import Library
from studio.messages import State, Status
from studio.recipes.base import Recipe
from studio.recipes.dynamics import Dynamics
from studio.run import Run
from studio.structure import Structure
from studio.study import Inquiry
from widgets.broadcast import Broadcast
from widgets.inquiries import inquiries
from widgets.limits import Limits
from widgets.opening import Place
from widgets.pump import Pump
from widgets.store import Store

logger = logging.getLogger(__name__)

PATIENCE = 6.0
"""Seconds that a new run waits for one that is just ending: as long as ending may take."""
LOOK_MS = 2000
"""Wall time between two looks at the workers."""
BOOKING_SECONDS = 10.0
"""Wall time between two entries of a kept run in the library's book."""
TOO_MUCH = (
    "The {} took {:.1f} GB of memory and was ended: this server allows {:g} GB. Choose a smaller system, pocket or ML region; "
    "what was recorded until the last checkpoint is kept."
)


G = TypeVar("G", bound="Guest")


class GuestRun(Run):
    """A run that its host may end.

    Attributes:
        ended: Closed, its worker gone.
    """

    ended = False

    def end(self, reason: str) -> None:
        """End the worker at once; `recover` goes on from the last checkpoint.

        Args:
            reason: A sentence, told as the status.
        """
        self._process.process.kill()
        self._status = Status("lost", reason)

    def close(self) -> None:
        """End the worker; it writes a last checkpoint."""
        super().close()
        self.ended = True


GuestLaunch = Callable[[Dynamics, Structure | None, Path], GuestRun]


def start(recipe: Dynamics, structure: Structure | None, folder: Path) -> GuestRun:
    """A run that its host may end; takes what `widgets.store.launch` takes."""
    return GuestRun(recipe, folder=folder, structure=structure)


def resident_gigabytes(pid: int | None) -> float | None:
    """Memory that a process has now, or none if it has ended.

    Args:
        pid: Its id.
    """
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        if pid is not None and process.status() != psutil.STATUS_ZOMBIE:
            return float(process.memory_info().rss) / 1e9
    return None


class Guest(Protocol):
    """A worker process of a visitor: a run, or a study."""

    folder: Path
    ended: bool

    @property
    def pid(self) -> int | None:
        """Process id of the worker."""
        ...

    def end(self, reason: str) -> None:
        """End the worker at once."""
        ...


@dataclass(frozen=True, eq=False)
class Held:
    """A run or a study and whose it is."""

    run: Guest
    owner: str

    @property
    def alive(self) -> bool:
        """Whether it has a worker."""
        return resident_gigabytes(self.run.pid) is not None


class Kept:
    """A run that goes on after its page was closed.

    Args:
        place: The run, with its place in the library.
        owner: Whose.
        library: Where it is written down.
    """

    def __init__(self, place: Place, owner: str, library: Library) -> None:
        self.place, self.owner, self._library = place, owner, library
        self._frames: Subscription = place.run.frames.subscribe()
        self._booked = 0.0

    @property
    def number(self) -> int:
        """Its number in the library."""
        return self.place.entry.id

    def look(self) -> bool:
        """Hear the run, and write down now and then how far it is; false when it plays no more."""
        state, frame, now = self.place.run.status.state, self._frames.latest(), monotonic()
        playing = state == "playing"
        if not playing or now - self._booked > BOOKING_SECONDS:
            self._booked = now
            self._write(state, frame.time if frame is not None else None)
        return playing

    def close(self) -> None:
        """End the worker, which writes a last checkpoint, and give the place back."""
        failed = self.place.run.status.state == "failed"
        self.place.run.close()
        self.place.claim.release()
        if not failed:
            self._write("closed", None)

    def _write(self, state: State, time_ps: float | None) -> None:
        try:
            self._library.update(self.number, status=state, time_ps=time_ps)
        except StudioError as problem:  # the run itself is not touched
            logger.warning("the library could not be written: %s", problem)


class Visitors:
    """Everybody who is here, and the runs that were kept.

    Args:
        limits: What each may take.
        launch: Makes a run.
    """

    def __init__(self, limits: Limits, launch: GuestLaunch = start) -> None:
        self.limits = limits
        self.seats: list[Seat] = []
        self.kept: list[Kept] = []
        self.broadcasts: dict[str, tuple[str, Broadcast]] = {}
        self._held: list[Held] = []
        self._launch, self._lock = launch, Lock()
        self._janitor = ThreadPoolExecutor(max_workers=4, thread_name_prefix="potential-studio visitors")

    def admit(self, owner: str) -> "Seat | None":
        """A seat for a page, or none when the room is full.

        Args:
            owner: Who asks; several pages of one visitor take one place.
        """
        here = {seat.owner for seat in self.seats}
        if owner not in here and len(here) >= self.limits.users:
            return None
        seat = Seat(self, owner)
        self.seats.append(seat)
        return seat

    def start(self, owner: str, recipe: Dynamics, structure: Structure | None, folder: Path) -> Run:
        """A new worker for a visitor. Waits some seconds for others to end, so call it in a thread.

        Args:
            owner: Whose.
            recipe: What to simulate.
            structure: Its prepared structure, where there is one already.
            folder: Where it is recorded.

        Raises:
            WorkerError: The visitor has as many as are allowed, or this run is open in another page.
        """
        end = monotonic() + PATIENCE
        while True:
            try:
                return self._begin(owner, folder, lambda: self._launch(recipe, structure, folder))
            except WorkerError:
                if monotonic() > end:
                    raise
            sleep(0.1)

    def inquire(self, owner: str, recipe: Recipe, folder: Path) -> Inquiry:
        """A worker for a study of a visitor. Never waits.

        Args:
            owner: Whose.
            recipe: What is asked.
            folder: Where it is kept.

        Raises:
            WorkerError: The visitor has as many workers as are allowed.
        """
        return self._begin(owner, folder, lambda: Inquiry(recipe, folder))

    def keep(self, kept: Kept) -> None:
        """Let a run go on; the oldest end where too many do.

        Args:
            kept: It.
        """
        self.kept.append(kept)
        while len(self.kept) > self.limits.users:
            self.end(self.kept.pop(0))

    def end(self, kept: Kept) -> None:
        """Close a run in the background.

        Args:
            kept: It.
        """
        self._janitor.submit(kept.close)

    def look(self) -> None:
        """End the runs that take too much memory, hear the kept ones. Call it every `LOOK_MS`; never waits."""
        inquiries.look()
        with self._lock:
            self._held = [held for held in self._held if not held.run.ended]
            runs = [held.run for held in self._held]
        for run in runs:
            gigabytes = resident_gigabytes(run.pid)
            if gigabytes is not None and gigabytes > self.limits.gigabytes:
                run.end(TOO_MUCH.format("study" if isinstance(run, Inquiry) else "run", gigabytes, self.limits.gigabytes))
        for kept in [kept for kept in tuple(self.kept) if not kept.look()]:
            if self.let_go(kept):
                self.end(kept)

    def let_go(self, kept: Kept) -> bool:
        """Look after a run no longer; false if somebody else took it meanwhile.

        Args:
            kept: It.
        """
        with self._lock:
            there = kept in self.kept
            if there:
                self.kept.remove(kept)
        return there

    def share(self, seat: "Seat") -> Broadcast:
        """Let others watch a seat: in the broadcast that its visitor's closed page left, or in a new one.

        Args:
            seat: Whose desk.
        """
        left = (broadcast for owner, broadcast in self.broadcasts.values() if owner == seat.owner and not broadcast.present)
        broadcast = next(left, None) or Broadcast(self.limits.audience)
        self.broadcasts[broadcast.token] = (seat.owner, broadcast)
        return broadcast

    def unshare(self, broadcast: Broadcast) -> None:
        """Nobody may watch any more.

        Args:
            broadcast: It ends.
        """
        broadcast.end()
        self.broadcasts.pop(broadcast.token, None)

    def watched(self, token: str) -> Broadcast | None:
        """What a viewer with this token may see, or none.

        Args:
            token: As it came.
        """
        return self.broadcasts.get(token, ("", None))[1]

    def close(self) -> None:
        """End all workers at once, and wait for them; they write a last checkpoint."""
        inquiries.close()
        for seat in self.seats:
            seat.close()
        for kept in self.kept:
            self.end(kept)
        self._janitor.shutdown()
        end = monotonic() + PATIENCE
        while monotonic() < end and not all(held.run.ended for held in self._held):
            sleep(0.05)

    def _begin(self, owner: str, folder: Path, make: Callable[[], G]) -> G:
        """A worker, if there is room for it."""
        with self._lock:
            objection = self._objection(owner, folder)
            if objection:
                raise WorkerError(objection)
            worker = make()
            self._held.append(Held(worker, owner))
            return worker

    def _objection(self, owner: str, folder: Path) -> str:
        """Why a visitor cannot have another worker now; empty when nothing speaks against it."""
        alive = [held for held in self._held if held.alive]
        if any(held.run.folder == folder for held in alive):
            return "This run is open in another window. Close it there, or duplicate it and go on with the copy."
        if sum(held.owner == owner for held in alive) >= self.limits.runs:
            return (
                f"You have {self.limits.runs} runs and studies at work, as many as this server allows. "
                "Close a window, or end a run that was kept or a study, and try again."
            )
        return ""


class Seat:
    """The place of one open page: whose runs it shows, and what it may take.

    Args:
        visitors: Everybody who is here.
        owner: Whose runs these are.

    Attributes:
        broadcast: What others see of this page, while it is shared.
    """

    def __init__(self, visitors: Visitors, owner: str) -> None:
        self._visitors, self.owner = visitors, owner
        self.broadcast: Broadcast | None = None
        self._store: Store | None = None
        self._pump: Pump | None = None
        self._uploaded = 0.0

    @property
    def limits(self) -> Limits:
        """What it may take."""
        return self._visitors.limits

    @property
    def kept(self) -> tuple[int, ...]:
        """Numbers of this visitor's runs that go on without a page, oldest first."""
        return tuple(kept.number for kept in self._visitors.kept if kept.owner == self.owner)

    @property
    def watching(self) -> int:
        """Viewers of this page."""
        return self.broadcast.watching if self.broadcast is not None else 0

    def sit(self, store: Store, pump: Pump) -> None:
        """Take the place with a desk.

        Args:
            store: What the desk is about; it starts its runs with `launch`.
            pump: Gives its frames.
        """
        self._store, self._pump = store, pump
        store.keep = self.limits.keep

    def launch(self, recipe: Dynamics, structure: Structure | None, folder: Path) -> Run:
        """A run within the limits; takes what `widgets.store.launch` takes, and may wait some seconds.

        Raises:
            WorkerError: Too many runs, or this one is open elsewhere.
            StorageError: This visitor's recorded runs take too much room.
        """
        if self._store is not None and self.limits.library_megabytes is not None:
            self._store.library.check_room(self.owner, self.limits.library_megabytes)
        return self._visitors.start(self.owner, recipe, structure, folder)

    def inquire(self, recipe: Recipe, folder: Path) -> Inquiry:
        """A worker for a study within the limits.

        Args:
            recipe: What is asked.
            folder: Where it is kept.

        Raises:
            WorkerError: Too many workers.
            StorageError: What this visitor has kept takes too much room.
        """
        if self._store is not None and self.limits.library_megabytes is not None:
            self._store.library.check_room(self.owner, self.limits.library_megabytes)
        return self._visitors.inquire(self.owner, recipe, folder)

    def take_upload(self, megabytes: float) -> None:
        """Count an uploaded file, before it is kept.

        Args:
            megabytes: Its size.

        Raises:
            StorageError: More than one page may upload.
        """
        allowed = self.limits.upload_megabytes
        if self._uploaded + megabytes > allowed:
            raise StorageError(f"This page has uploaded {self._uploaded:.0f} MB; another {megabytes:.1f} MB would be more than the {allowed:g} MB that it may.")
        self._uploaded += megabytes

    def share(self) -> str:
        """Let others watch; doing so twice is the same as once.

        Returns:
            The address of the lecture, relative to the page.
        """
        if self.broadcast is None:
            assert self._store is not None
            assert self._pump is not None
            self.broadcast = self._visitors.share(self)
            self.broadcast.attach(self._store, self._pump)
        return f"lecture?run={self.broadcast.token}"

    def unshare(self) -> None:
        """Nobody may watch any more; the address is not valid any more."""
        if self.broadcast is not None:
            self._visitors.unshare(self.broadcast)
            self.broadcast = None

    def take(self, number: int) -> Place | None:
        """The kept run of this visitor as it plays, to look after from now on; none if it is not kept.

        Args:
            number: In the library.
        """
        kept = next((each for each in tuple(self._visitors.kept) if (each.owner, each.number) == (self.owner, number)), None)
        return kept.place if kept is not None and self._visitors.let_go(kept) else None

    def leave(self) -> None:
        """The page is closed: its run is kept if it plays and that is wished; its viewers wait. Call it before the store is closed."""
        if self not in self._visitors.seats:
            return
        self._visitors.seats.remove(self)
        if self.broadcast is not None:
            self.broadcast.detach()
        store = self._store
        if store is not None and store.keep and store.run is not None and store.run.status.state == "playing":
            place = store.hand_over()
            if place is not None:
                self._visitors.keep(Kept(place, self.owner, store.library))

    def close(self) -> None:
        """The server ends: so do the runs of this page."""
        if self._store is not None:
            self._store.close()
