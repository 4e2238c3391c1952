"""Farm: a series done by several workers - the same rows as one after the other, each ligand for itself.

What is done for a ligand is a `Trade`: functions that can be pickled, of a task and of the row that comes out. A ligand
that fails is a row that says so; one whose worker dies is begun again by another. Workers that see our disk keep what is
finished themselves; others are sent the input files and send back what they would have kept. Knows tasks by their
folder and recipe only; must not know what is measured.
"""

import json
import tempfile
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar
from uuid import uuid4

import numpy as np

from studio.errors import StoppedError, StudioError
from studio.files import reading, storage, write_whole
from studio.frame import Frame
from studio.inputs import FOLDER, localised, with_relative_paths
from studio.progress import Progress
from studio.recipes.base import OnFrame
from studio.recipes.crew import Crew, Team, hired

if TYPE_CHECKING:
    from distributed import Client, Future

POLL = 0.1
"""How often is looked for finished ligands and asked whether to go on, s."""
GRACE = 5.0
"""How long workers may take to hear that they are to stop, s."""
DEATHS = 3
"""Workers that a ligand may cost."""
NOBODY = Frame(0, 0.0, np.zeros((0, 3), dtype=np.float32), energies={"potential": 0.0, "kinetic": 0.0})
"""What is shown while others work."""

Files = dict[str, bytes]
_stopped: set[str] = set()
"""Series that are to stop, in a worker."""


class Settings(Protocol):
    """A recipe, as far as it has to travel."""

    def to_json(self) -> str:
        """The file form."""
        ...

    @classmethod
    def model_validate(cls, obj: Any, /) -> Self:
        """The recipe of some JSON data."""
        ...


class Task(Protocol):
    """One ligand to be done: a frozen dataclass that can be pickled."""

    @property
    def index(self) -> int:
        """Its place in the series, counted from 0."""
        ...

    @property
    def name(self) -> str:
        """As the series calls it."""
        ...

    @property
    def recipe(self) -> Settings:
        """What to do."""
        ...

    @property
    def folder(self) -> Path | None:
        """Of this ligand, where there is one."""
        ...


T = TypeVar("T", bound=Task)
R = TypeVar("R")


@dataclass(frozen=True)
class Trade(Generic[T, R]):
    """How a ligand is done: functions of a module, so that they can be sent to workers.

    Args:
        measure: Does it, or finds what was done before, and keeps the row in the task's folder; none if it was stopped.
        kept: The row that was kept, or none.
        keep: Writes a row into the task's folder.
        lost: The row of a ligand that could not be done, with the reason.
    """

    measure: Callable[[T, OnFrame | None, Progress | None], R | None]
    kept: Callable[[T], R | None]
    keep: Callable[[T, R], None]
    lost: Callable[[T, str], R]


@dataclass
class Harvest:
    """What happened beside the rows.

    Args:
        notes: Sentences for the result.
        stopped: The user ended it.
    """

    notes: list[str] = field(default_factory=list)
    stopped: bool = False


def spread(
    trade: Trade[T, R],
    tasks: Sequence[T],
    crew: Crew,
    *,
    on_frame: OnFrame | None = None,
    progress: Progress | None = None,
    harvest: Harvest | None = None,
) -> Iterator[R]:
    """Do all ligands; the rows come as they are finished.

    Args:
        trade: How one is done.
        tasks: The ligands, in order.
        crew: Who works.
        on_frame: Called with what is worked on, or with an empty frame; returns False to stop cleanly.
        progress: Called with a fraction and a sentence.
        harvest: Is told what happened.

    Raises:
        StorageError: A folder cannot be written, or an input cannot be read.
        WorkerError: There are no workers.
    """
    harvest = Harvest() if harvest is None else harvest
    if crew.alone:
        yield from _alone(trade, tasks, on_frame, progress, harvest)
        return
    known = {task.index: row for task in tasks if (row := trade.kept(task)) is not None}
    yield from known.values()
    left = [task for task in tasks if task.index not in known]
    if not left:
        return
    with hired(crew) as team:
        shift = _Shift(trade, team, count=len(tasks), done=len(known), on_frame=on_frame, progress=progress, harvest=harvest)
        try:
            yield from shift.work(left)
        except StoppedError:
            harvest.stopped = True
            yield from shift.stop()
        finally:
            shift.end()


def _alone(trade: Trade[T, R], tasks: Sequence[T], on_frame: OnFrame | None, progress: Progress | None, harvest: Harvest) -> Iterator[R]:
    for task in tasks:
        row = trade.measure(task, on_frame, _part(progress, task, len(tasks)))
        if row is None:
            harvest.stopped = True
            return
        yield row


def _part(progress: Progress | None, task: Task, count: int) -> Progress:
    def tell(fraction: float, sentence: str) -> None:
        if progress:
            progress((task.index + fraction) / count, _sentence(task, count, sentence))

    return tell


def _sentence(task: Task, count: int, sentence: str) -> str:
    return f"{task.name} ({task.index + 1} of {count}). {sentence}"


class _Shift(Generic[T, R]):
    """One series in the hands of a team.

    Args:
        trade: How a ligand is done.
        team: Who does it.
        count: Ligands in all.
        done: Those that were done before.
        on_frame: See `spread`.
        progress: See `spread`.
        harvest: See `spread`.
    """

    def __init__(self, trade: Trade[T, R], team: Team, *, count: int, done: int, on_frame: OnFrame | None, progress: Progress | None, harvest: Harvest) -> None:
        self._trade, self._team, self._count, self._on_frame, self._progress, self._harvest = trade, team, count, on_frame, progress, harvest
        self._token = f"potential-studio-{uuid4().hex}"
        self._client: Client = team.client
        self._given: dict[str, _Given[T]] = {}
        self._parts: dict[int, float] = {}
        self._deaths: Counter[int] = Counter()
        self._finished, self._furthest = done, 0.0
        self._sentence = "Waiting for workers." + (f" What they do is shown at {team.dashboard}" if team.dashboard else "")
        self._client.subscribe_topic(self._token, self._hear)

    def work(self, tasks: Sequence[T]) -> Iterator[R]:
        """Give out the ligands, one to each worker at a time, and collect the rows.

        Args:
            tasks: What is left to be done.

        Raises:
            StoppedError: The user wants no more.
            StudioError: A folder cannot be written, or no worker is left.
        """
        files = None if self._team.near else self._client.submit(_same, _files_of(tasks), key=f"{self._token}-inputs")
        waiting = deque(tasks)
        while waiting or self._given:
            self._ask()
            present = self._team.present()
            yield from self._collected(present, waiting)
            for worker in present - set(self._given):
                if waiting:
                    self._give(waiting.popleft(), worker, files)
            sleep(POLL)

    def _collected(self, present: set[str], waiting: deque[T]) -> Iterator[R]:
        """Rows of the ligands that are done; what a lost worker had goes back to those that wait."""
        for worker in [worker for worker, given in self._given.items() if given.future.done() or worker not in present]:
            given = self._given.pop(worker)
            done = given.future.done()
            row = self._row(given) if done else self._orphan(given.task, waiting)
            if row is not None:
                self._finished += 1
                yield row
            elif done:
                raise StoppedError("Stopped.")

    def _hear(self, event: tuple[float, tuple[int, float, str]]) -> None:
        index, fraction, sentence = event[1]
        if index in self._parts:
            self._parts[index], self._sentence = fraction, sentence

    def _ask(self) -> None:
        """Tell how far it is, and whether to go on.

        Raises:
            StoppedError: The user wants no more.
        """
        if self._on_frame and self._on_frame(NOBODY) is False:
            raise StoppedError("Stopped.")
        if self._progress:
            self._furthest = max(self._furthest, min((self._finished + sum(self._parts.values())) / self._count, 1.0))
            self._progress(self._furthest, self._sentence)

    def _give(self, task: T, worker: str, files: "Future[Files] | None") -> None:
        sent = task if self._team.near else _without_places(task)
        key = f"{self._token}-{task.index}-{self._deaths[task.index]}"
        future = self._client.submit(_do, self._trade.measure, sent, files, self._token, self._count, key=key, pure=False, workers=[worker])
        self._parts[task.index] = 0.0
        self._given[worker] = _Given(task, future)

    def _orphan(self, task: T, waiting: deque[T]) -> R | None:
        """The worker of a ligand is gone: another one tries it, or its row is that it cannot be done."""
        del self._parts[task.index]
        self._deaths[task.index] += 1
        if self._deaths[task.index] < DEATHS:
            waiting.append(task)
            return None
        return self._trade.lost(
            task, f"{DEATHS} workers died while they worked on this ligand, perhaps for want of memory. Use fewer workers, or leave it out."
        )

    def _row(self, given: "_Given[T]") -> R | None:
        """The row of a ligand that is done; none if it was stopped on the way.

        Raises:
            StudioError: A folder cannot be written.
        """
        task = given.task
        del self._parts[task.index]
        problem = given.future.exception()
        if isinstance(problem, StudioError):
            raise problem
        if problem is not None:
            return self._trade.lost(task, f"The worker met an unexpected {type(problem).__name__}: {problem}. Is the same Potential Studio installed there?")
        row, files = given.future.result()
        if row is not None and not self._team.near and task.folder:
            _unpack(files, task.folder)
            self._trade.keep(task, row)
        return row  # type: ignore[no-any-return]  # what dask gives back has no type

    def stop(self) -> Iterator[R]:
        """Ask workers to stop, wait a moment for them, and collect what was finished meanwhile."""
        self._client.run(_stop, self._token)
        until = monotonic() + GRACE
        while monotonic() < until and not all(given.future.done() for given in self._given.values()):
            sleep(POLL)
        for worker in [worker for worker, given in self._given.items() if given.future.done()]:
            row = self._row(self._given.pop(worker))
            if row is not None:
                yield row

    def end(self) -> None:
        """Tell what happened to the workers, and forget the work."""
        deaths = self._deaths.total()
        if deaths:
            self._harvest.notes.append(f"{deaths} {'workers were' if deaths > 1 else 'worker was'} lost on the way; the ligands they had were begun again.")
        self._client.unsubscribe_topic(self._token)
        self._client.cancel([given.future for given in self._given.values()])


@dataclass(frozen=True)
class _Given(Generic[T]):
    """A ligand that a worker has."""

    task: T
    future: "Future[Any]"


def _do(measure: Callable[[T, OnFrame | None, Progress | None], R | None], task: T, files: Files | None, token: str, count: int) -> tuple[R | None, Files]:
    """One ligand, in a worker; with the row come the files that it left in its folder, if we do not see the caller's disk."""
    from distributed import get_worker

    worker, told = get_worker(), 0.0

    def look(_: Frame) -> bool:
        return token not in _stopped

    def tell(fraction: float, sentence: str) -> None:
        nonlocal told
        if monotonic() > told + POLL:  # the scheduler has better to do
            told = monotonic()
            worker.log_event(token, (task.index, fraction, _sentence(task, count, sentence)))

    if files is None:
        return measure(task, look, tell), {}
    with tempfile.TemporaryDirectory(prefix="potential-studio-") as name:
        place = Path(name)
        _unpack(files, place)
        row = measure(_here(task, place), look, tell)
        return row, _packed(place / "done")


def _stop(token: str) -> None:
    """Called in a worker: the series is to end."""
    _stopped.add(token)


def _same(files: Files) -> Files:
    return files


def _data(recipe: Settings) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(recipe.to_json())
    return data


def _files_of(tasks: Sequence[Task]) -> Files:
    """All input files of some ligands, by their path within a folder.

    Raises:
        StorageError: One cannot be read.
    """
    paths = {path for task in tasks for path in with_relative_paths(_data(task.recipe))[0]}
    files = {}
    for path in paths:
        with reading(path, "a file that the series was made from", "Put it back, or make the series anew."):
            files[f"{FOLDER}/{path.name}"] = path.read_bytes()
    return files


def _without_places(task: T) -> T:
    """The ligand without the places that only this machine knows."""
    recipe = type(task.recipe).model_validate(with_relative_paths(_data(task.recipe))[1])
    return replace(task, recipe=recipe, folder=None)  # type: ignore[type-var]  # a protocol cannot ask for a dataclass


def _here(task: T, place: Path) -> T:
    """The ligand with its files where they lie now, and a folder."""
    recipe = type(task.recipe).model_validate(localised(_data(task.recipe), place))
    return replace(task, recipe=recipe, folder=place / "done")  # type: ignore[type-var]


def _unpack(files: Files, folder: Path) -> None:
    with storage(folder):
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            write_whole(folder / name, content)


def _packed(folder: Path) -> Files:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
