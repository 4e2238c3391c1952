"""A peptide with a small molecule beside it, and a short recording of the two: what tests of binding share."""

from pathlib import Path

import numpy as np

from studio.recipes.dynamics import Dynamics
from studio.region import ResidueIs
from studio.structure import Structure
from studio.system import FromSequence, System

PEPTIDE = System(source=FromSequence(sequence="AGSDFKVA"))
"""Stretched out; its force field is that of every test here."""
GUEST = ResidueIs(name="LIG")


def beside(host: Structure, guest: Structure, gap: float = 0.33, index: int = 60) -> Structure:
    """Host and guest with a gap (nm) between the nearest heavy atoms, the guest moved away from atom `index` of the host, across its long axis."""
    from scipy.spatial import cKDTree

    heavy = host.positions[host.numbers > 1]
    across = np.linalg.svd(heavy - heavy.mean(axis=0))[2][1]
    centred, tree = guest.positions - guest.positions.mean(axis=0), cKDTree(heavy)
    for step in np.arange(0.0, 5.0, 0.005):
        moved = centred + host.positions[index] + step * across
        if tree.query(moved[guest.numbers > 1])[0].min() >= gap:
            break
    return host.join(guest.with_positions(moved))


def peptide_and_guest(smiles: str = "CC(=O)Nc1ccccc1", gap: float = 0.33) -> Structure:
    return beside(PEPTIDE.prepare(), Structure.from_smiles(smiles), gap)


def record(folder: Path, structure: Structure, frames: int = 6, interval: int = 20) -> None:
    """Run a complex in vacuum and keep its frames."""
    done = Dynamics(system=PEPTIDE, timestep=1.0, steps=interval * frames, interval=interval, minimise=50).run(structure=structure, folder=folder)
    assert done.ok, done.failure
