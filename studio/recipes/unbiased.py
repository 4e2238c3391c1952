"""Unbiased: what beads do when all atoms move freely - what the gates compare a coarse model with.

In pieces that are kept, by a process of its own, so that labels are measured and networks learn meanwhile. The first piece lets the
system forget its start and is not counted. A small peptide in continuum water moves by replica exchange (`studio.coarse.exchange`), for
some basins are left once in many nanoseconds; all else is one trajectory. Knows recipes of dynamics and mappings; must not know coarse models.
"""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from collections.abc import Mapping as ByName
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from studio.coarse.exchange import BEAT_PS, LANES, MOST_ATOMS, Bath, Exchange, can_be_exchanged
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
BEATS = 20
"""Trades of temperatures in a piece: 60 ps at the lowest one, 6 s of one processor for alanine dipeptide."""
SETTLING = 2
"""The first piece is so many times as long where temperatures are traded: each copy has to forget its start."""
HEAVY, LONG = 3.0, 4.0
"""Mass of hydrogens, Da, and the time step, fs, that MM bears with it; averages over places do not depend on masses."""
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENMM_CPU_THREADS": "1"}

Arrays = ByName[str, NDArray[np.generic]]
"""Of a piece: `beads`, its frames at the temperature, (f, b, 3), and `atoms` at its end, (n, 3), nm.
By replica exchange `atoms` are of all copies, (k, n, 3), and there are `copies`, whose the frames are, (f,), and `rungs` at the end, (k,)."""


def dynamics_of(recipe: Dynamics) -> Dynamics:
    """The same dynamics, as quick as may be.

    Args:
        recipe: System, view and temperature.
    """
    if recipe.view.resolution != "mm":
        return recipe
    field = recipe.system.forcefield.model_copy(update={"hydrogen_mass": HEAVY, "constrain_hydrogens": True})
    return recipe.model_copy(update={"system": recipe.system.model_copy(update={"forcefield": field}), "timestep": LONG})


def trades(dynamics: Dynamics, structure: Structure) -> bool:
    """Whether it can be done by replica exchange.

    Args:
        dynamics: What moves.
        structure: The prepared structure.

    Raises:
        StudioError: The system cannot be described.
    """
    if dynamics.view.resolution != "mm" or dynamics.restraints or structure.box is not None or len(structure) > MOST_ATOMS:
        return False
    return can_be_exchanged(dynamics.view.build(dynamics.system, structure).system, structure)


class Job(NamedTuple):
    """What the process has to do.

    Args:
        dynamics: What moves.
        structure: The prepared structure.
        mapping: To beads.
        beats: Trades of temperatures in a piece; 0 for one trajectory.
        before: The last piece that is there; none at the start.
        first: Number of the first piece.
        pieces: How many in all.
    """

    dynamics: Dynamics
    structure: Structure
    mapping: Mapping
    beats: int
    before: Arrays | None
    first: int
    pieces: int


class Unbiased:
    """The frames.

    Args:
        dynamics: What moves; its steps do not matter.
        structure: The prepared structure.
        mapping: From its atoms to beads.
        nanoseconds: How long, ns.
        folder: Where pieces are kept and found.

    Raises:
        StudioError: The system cannot be described.
    """

    def __init__(self, dynamics: Dynamics, structure: Structure, mapping: Mapping, nanoseconds: float, folder: Path | None) -> None:
        self._dynamics, self._structure, self._mapping, self._folder = dynamics_of(dynamics), structure, mapping, folder
        self.trades = trades(self._dynamics, structure)
        how = (f"exchange 1, {LANES}, {SETTLING}, {BEATS}",) if self.trades else ()
        self._key = key_of(self._dynamics.to_json(), structure.key, str(mapping.sites.tolist()), *how)
        self._piece_ps = LANES[0] * BEATS * BEAT_PS if self.trades else PIECE_PS
        self.pieces = max(1, round(1000.0 * nanoseconds / self._piece_ps)) + 1
        self._found: list[Arrays] = []
        self._line: Connection | None = None
        self._process: BaseProcess | None = None
        while len(self._found) < self.pieces and (part := kept(self._path(len(self._found)), self._key)):
            self._found.append(part.arrays)

    @property
    def how(self) -> str:
        """How atoms move, in words."""
        return f"replica exchange, {sum(LANES)} copies, {LANES[0]} of them at the temperature" if self.trades else "one trajectory"

    @property
    def frames(self) -> Floats:
        """Beads, (f, b, 3), nm; the first piece is not among them.

        In the order of time. By replica exchange copy after copy, each in the order of time: a copy that stays in a basin while others never
        see it is then one long piece that differs from the rest, and whoever counts independent frames counts it as such.
        """
        counted = self._found[1:]
        if not counted:
            return np.zeros((0, len(self._mapping), 3))
        frames = np.concatenate([piece["beads"] for piece in counted]).astype(np.float64)
        return frames[np.argsort(np.concatenate([piece["copies"] for piece in counted]), kind="stable")] if self.trades else frames

    @property
    def nanoseconds(self) -> float:
        """How much of it is there, at the temperature that was asked for, of all copies together, ns."""
        return max(len(self._found) - 1, 0) * self._piece_ps / 1000.0

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
        before = self._found[-1] if self._found else None
        job = Job(self._dynamics, self._structure, self._mapping, BEATS if self.trades else 0, before, len(self._found), self.pieces)
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

    def _take(self, news: Arrays | StudioError) -> None:
        if isinstance(news, StudioError):
            self.close()
            raise news
        keep(self._path(len(self._found)), self._key, Part(news, {}))
        self._found.append(news)
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
            for piece in pieces(job):
                line.send(piece)
        except StudioError as problem:
            line.send(problem)


def pieces(job: Job) -> Iterator[Arrays]:
    """Pieces, as they are finished; none after nobody waits any longer.

    Args:
        job: What to do.

    Raises:
        StudioError: Numbers left physics, or the system cannot be made.
    """
    return _traded(job) if job.beats else _alone(job)


def _alone(job: Job) -> Iterator[Arrays]:
    """Pieces of one trajectory."""
    again = {"seed": job.dynamics.seed + job.first} | ({"minimise": 0} if job.first else {})
    start = job.structure if job.before is None else job.structure.with_positions(np.asarray(job.before["atoms"], dtype=np.float64))
    simulation = job.dynamics.model_copy(update=again).simulation(start)
    step = simulation.thermostat.timestep or TIMESTEPS["mm"]
    stride = max(1, round(1000.0 * STRIDE_PS / step))
    for _ in range(job.first, job.pieces):
        frames = []
        for _ in range(max(1, round(PIECE_PS / STRIDE_PS))):
            if not _wanted():
                return
            frame = simulation.advance(stride, sample=False)
            frames.append(job.mapping.positions(frame.positions.astype(np.float64)).astype(np.float32))
        yield {"beads": np.array(frames), "atoms": frame.positions.astype(np.float64)}


def _traded(job: Job) -> Iterator[Arrays]:
    """Pieces of replica exchange."""
    dynamics = job.dynamics
    bath = Bath(dynamics.temperature, dynamics.friction, dynamics.timestep or TIMESTEPS["mm"], dynamics.seed + job.first)
    exchange = Exchange(dynamics.view.build(dynamics.system, job.structure).system, job.structure, bath)
    if job.before is not None:
        exchange.place(np.asarray(job.before["atoms"], dtype=np.float64), np.asarray(job.before["rungs"], dtype=np.int64))
    for number in range(job.first, job.pieces):
        frames, copies = [], []
        for _ in range(job.beats if number else SETTLING * job.beats):
            if not _wanted():
                return
            positions, rungs = exchange.beat()
            copies.append(np.flatnonzero(rungs == 0))
            frames.append(job.mapping.positions(positions[copies[-1]]).astype(np.float32))
        whose = np.concatenate(copies)
        yield {"beads": np.concatenate(frames), "copies": whose, "atoms": exchange.positions, "rungs": exchange.rungs}


def _wanted() -> bool:
    """Whether the process that asked is still there: one that was killed cannot say that it does not wait any longer."""
    parent = multiprocessing.parent_process()
    return parent is None or parent.is_alive()
