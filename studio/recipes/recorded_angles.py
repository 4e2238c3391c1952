"""Recorded: angles that a recorded run had, for recipes that draw them.

Knows recordings and molecules; must not know what the angles are compared with.
"""

from pathlib import Path

import numpy as np

from studio.errors import StructureError
from studio.hybrid.whole import MakeWhole
from studio.internal import torsion_angles
from studio.replay import Replay
from studio.structure import Floats, Integers, Structure
from studio.superpose import matched

MOST = 2000
"""Frames that are looked at, evenly spaced over the run."""


def recorded_angles(folder: Path, molecule: Structure, torsions: Integers) -> Floats:
    """Torsion angles of a molecule along a recorded run, (t, f), degrees.

    Args:
        folder: Of the run.
        molecule: As it is named here; it is found in the run by its bonds.
        torsions: Four heavy atoms each, (t, 4).

    Raises:
        StorageError: There is no such run, or its files are damaged.
        StructureError: The run is of another molecule, or has no frames.
    """
    run = Replay(folder)
    ours, theirs = matched(molecule, run.structure)
    place = dict(zip(ours.tolist(), range(len(ours)), strict=True))
    if not set(torsions.ravel().tolist()) <= set(place):
        raise StructureError(f"The run in {folder} does not have this molecule: choose a run of the same ligand, or none.")
    if not len(run):
        raise StructureError(f"The run in {folder} has no frames yet: let it run for a while, or choose another.")
    whole = MakeWhole(run.structure.take(theirs))
    rows = np.array([[place[atom] for atom in torsion] for torsion in torsions.tolist()], dtype=np.int64)
    found = []
    for index in range(0, len(run), -(-len(run) // MOST)):
        frame = run.frame(index)
        places = whole(frame.positions[theirs].astype(np.float64), None if frame.box is None else frame.box.astype(np.float64))
        found.append(np.degrees(torsion_angles(places[rows])))
    return np.array(found).T
