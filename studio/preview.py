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
from studio.superpose import superposition

REST = 1.0
"""Wall time between two builds, at least, s; and as long as the last one took, so that the beads keep a core."""
NICENESS = 10
ENDED = "The process that builds atoms on the beads ended. Switch the atoms off and on again."


class Preview:
    """Atoms where beads are, a few times in a few seconds.

    Args:
        beads: C-alphas, or more of the backbone.
        like: The atoms that they stand for; what is no protein is left out.
    """

    def __init__(self, beads: Structure, like: Structure) -> None:
        self.like = like.take(like.atoms_of("protein"))
        named = {(self.like.residue_of(atom), name): atom for atom, name in enumerate(self.like.names)}
        self._named = [named.get((beads.residue_of(bead), name), -1) for bead, name in enumerate(beads.names)]
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
            try:
                self._work = self._pool.submit(_build, np.asarray(positions, dtype=np.float64))
            except BrokenExecutor as problem:
                raise WorkerError(ENDED) from problem

    def follow(self, atoms: Floats, positions: Floats) -> Floats:
        """Atoms that were built a moment ago, in their shape laid over the beads of now; (n, 3), nm.

        Args:
            atoms: As built, (n, 3), nm.
            positions: Of the beads, (b, 3), nm.
        """
        if min(self._named) < 0 or len(positions) != len(self._named):
            return atoms
        return superposition(atoms[self._named], positions)(atoms)

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
            raise WorkerError(ENDED) from problem

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
