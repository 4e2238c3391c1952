"""Preview: atoms on moving beads, built again and again in a process of its own, for those who watch.

Rougher than the way back (`studio.back`): heavy atoms by `pulchra`, nothing relaxed. Never waits; the newest beads win.
Knows structures; must not know who shows the atoms.
"""

import os
import time
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np

from studio.back import to_atoms
from studio.errors import WorkerError
from studio.structure import Floats, Structure

REST = 1.0
"""Wall time between two builds, at least, s; and as long as the last one took, so that the beads keep a core."""
NICENESS = 10


class Preview:
    """Atoms where beads are, a few times in a few seconds.

    Args:
        beads: One a residue.
        like: The atoms that they stand for; what is no protein is left out.
    """

    def __init__(self, beads: Structure, like: Structure) -> None:
        self.like = like.take(like.atoms_of("protein"))
        self._beads = beads
        self._pool = ProcessPoolExecutor(1, get_context("spawn"), _begin, (beads, self.like))
        self._work: Future[Floats] | None = None
        self._began = self._rested = 0.0

    def offer(self, positions: Floats) -> None:
        """Take the newest places of the beads; left aside while atoms are being built.

        Args:
            positions: Of the beads, (b, 3), nm.
        """
        if self._work is None and time.monotonic() >= self._rested and len(positions) == len(self._beads):
            self._began = time.monotonic()
            self._work = self._pool.submit(_build, np.asarray(positions, dtype=np.float64))

    def latest(self) -> Floats | None:
        """Places of the atoms, (n, 3), nm, once after each build.

        Raises:
            StudioError: Atoms cannot be built on these beads, or the process ended.
        """
        work = self._work
        if work is None or not work.done():
            return None
        self._work, now = None, time.monotonic()
        self._rested = now + max(REST, now - self._began)
        try:
            return work.result()
        except BrokenExecutor as problem:
            raise WorkerError("The process that builds atoms on the beads ended. Switch the atoms off and on again.") from problem

    def close(self) -> None:
        """End the process; what it builds is dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)


_known: list[Structure] = []  # in the process that builds: the beads, and the atoms that they stand for


def _begin(beads: Structure, like: Structure) -> None:
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    _known[:] = [beads, like]


def _build(positions: Floats) -> Floats:
    beads, like = _known
    return to_atoms(beads.with_positions(positions), like, by="pulchra").structure.positions
