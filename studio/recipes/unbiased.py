"""Unbiased: what beads do when all atoms move freely - what the gates compare a coarse model with.

One trajectory, in pieces that are kept, by a process of its own, so that labels are measured and networks learn meanwhile. The first
piece lets the system forget its start and is not counted. Knows recipes of dynamics and mappings; must not know coarse models.
"""

import multiprocessing
import os
import signal
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from studio.coarse.mapping import Mapping
from studio.errors import StudioError, WorkerError
from studio.hybrid.view import TIMESTEPS
from studio.parts import Part, keep, kept, key_of
from studio.recipes.dynamics import Dynamics
from studio.structure import Floats, Structure

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

PIECE_PS = 50.0
STRIDE_PS = 0.5
"""Between two frames: phi and psi hardly move in less."""
HEAVY, LONG = 3.0, 4.0
"""Mass of hydrogens, Da, and the time step, fs, that MM bears with it; averages over places do not depend on masses."""
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENMM_CPU_THREADS": "1"}

Piece = tuple[int, Floats, Floats]
"""Number of the piece, its frames of beads and the atoms at its end, nm."""


def dynamics_of(recipe: Dynamics) -> Dynamics:
    """The same dynamics, as quick as may be.

    Args:
        recipe: System, view and temperature.
    """
    if recipe.view.resolution != "mm":
        return recipe
    field = recipe.system.forcefield.model_copy(update={"hydrogen_mass": HEAVY, "constrain_hydrogens": True})
    return recipe.model_copy(update={"system": recipe.system.model_copy(update={"forcefield": field}), "timestep": LONG})


class Job(NamedTuple):
    """What the process has to do.

    Args:
        dynamics: What moves.
        start: The atoms at the start.
        mapping: To beads.
        first: Number of the first piece.
        pieces: How many in all.
    """

    dynamics: Dynamics
    start: Structure
    mapping: Mapping
    first: int
    pieces: int


class Unbiased:
    """The trajectory.

    Args:
        dynamics: What moves; its steps do not matter.
        structure: The prepared structure.
        mapping: From its atoms to beads.
        nanoseconds: How long, ns.
        folder: Where pieces are kept and found.
    """

    def __init__(self, dynamics: Dynamics, structure: Structure, mapping: Mapping, nanoseconds: float, folder: Path | None) -> None:
        self._dynamics, self._structure, self._mapping, self._folder = dynamics_of(dynamics), structure, mapping, folder
        self._key = key_of(self._dynamics.to_json(), structure.key, str(mapping.sites.tolist()))
        self.pieces = max(1, round(1000.0 * nanoseconds / PIECE_PS)) + 1
        self._found: list[Floats] = []
        self._end = np.asarray(structure.positions)
        self._line: Connection | None = None
        self._process: BaseProcess | None = None
        while len(self._found) < self.pieces and (part := kept(self._path(len(self._found)), self._key)):
            self._found.append(part.arrays["beads"])
            self._end = part.arrays["atoms"]

    @property
    def frames(self) -> Floats:
        """Beads in the order of time, (f, b, 3), nm; the first piece is not among them."""
        counted = self._found[1:]
        return np.concatenate(counted).astype(np.float64) if counted else np.zeros((0, len(self._mapping), 3))

    @property
    def nanoseconds(self) -> float:
        """How much of it is there, ns."""
        return max(len(self._found) - 1, 0) * PIECE_PS / 1000.0

    @property
    def fraction(self) -> float:
        """How much of it is done, from 0 to 1."""
        return len(self._found) / self.pieces

    def begin(self) -> None:
        """Start the process, unless all is there or it works already."""
        if self.fraction >= 1.0 or self._process is not None:
            return
        context = multiprocessing.get_context("spawn")
        self._line, theirs = context.Pipe(duplex=False)
        start = self._structure.with_positions(self._end)
        job = Job(self._dynamics, start, self._mapping, len(self._found), self.pieces)
        self._process = context.Process(target=work, args=(theirs, job), daemon=True, name="potential-studio reference")
        self._process.start()
        theirs.close()

    def look(self) -> None:
        """Take in what is finished.

        Raises:
            WorkerError: The process died.
            StudioError: What it could not do.
        """
        if self._line is None:
            return
        try:
            while self._line is not None and self._line.poll():
                self._take(self._line.recv())
        except (EOFError, OSError) as problem:
            self.close()
            raise WorkerError("The process that moved all atoms died, perhaps for want of memory. What is finished is kept: go on at any time.") from problem

    def close(self) -> None:
        """End the process; what is finished is kept."""
        process, line, self._process, self._line = self._process, self._line, None, None
        if process is not None and line is not None:
            line.close()
            process.kill()
            process.join()

    def _take(self, news: Piece | StudioError) -> None:
        if isinstance(news, StudioError):
            self.close()
            raise news
        number, beads, atoms = news
        keep(self._path(number), self._key, Part({"beads": beads, "atoms": atoms}, {}))
        self._found.append(beads)
        self._end = atoms
        if self.fraction >= 1.0:
            self.close()

    def _path(self, number: int) -> Path | None:
        return self._folder / f"reference-{number:04d}.npz" if self._folder else None


def work(line: Connection, job: Job) -> None:
    """Body of the process: pieces go out as they are finished; nobody listening ends it.

    Args:
        line: To whoever wants them.
        job: What to do.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the terminal is the parent's to handle
    os.environ.update(ONE_THREAD)
    with suppress(BrokenPipeError, ConnectionResetError):
        try:
            _go(line, job)
        except StudioError as problem:
            line.send(problem)


def _go(line: Connection, job: Job) -> None:
    again = {"seed": job.dynamics.seed + job.first} | ({"minimise": 0} if job.first else {})
    simulation = job.dynamics.model_copy(update=again).simulation(job.start)
    step = simulation.thermostat.timestep or TIMESTEPS["mm"]
    stride = max(1, round(1000.0 * STRIDE_PS / step))
    for number in range(job.first, job.pieces):
        frames = []
        for _ in range(max(1, round(PIECE_PS / STRIDE_PS))):
            if not _wanted():
                return
            frame = simulation.advance(stride, sample=False)
            frames.append(job.mapping.positions(frame.positions.astype(np.float64)).astype(np.float32))
        line.send((number, np.array(frames), frame.positions.astype(np.float64)))


def _wanted() -> bool:
    """Whether the process that asked is still there: one that was killed cannot say that it does not wait any longer."""
    parent = multiprocessing.parent_process()
    return parent is None or parent.is_alive()
