"""What the tests of learned beads learn from: alanine dipeptide's five beads in an energy that is known, and real labels."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import studio
from studio.coarse.chain import angle_of, lengths
from studio.coarse.coordinates import Coordinates, copies_first, copies_last
from studio.coarse.labels import Labels
from studio.coarse.mapping import Mapping, atomic_masses, map_protein
from studio.coarse.prior import Prior
from studio.structure import Floats, Structure
from studio.system import FromExample, System

DIPEPTIDE = System(source=FromExample(name="alanine-dipeptide"))
SHIPPED_LABELS = Path(studio.__file__).parent / "data" / "beads" / "alanine-dipeptide" / "labels.npz"


@cache
def dipeptide() -> tuple[Mapping, Floats]:
    """The five beads, and their masses."""
    atoms = DIPEPTIDE.prepare()
    mapping = map_protein(atoms, "backbone")
    return mapping, atomic_masses(atoms)[mapping.sites]


class Teacher:
    """Stiff bonds and angles, and a surface of the two torsions that favours one hand: a model like any, with known forces."""

    key = "teacher"

    def __init__(self, beads: Structure) -> None:
        self.coordinates, self.bonds = Coordinates.of(beads), tuple(map(tuple, beads.bonds.tolist()))
        grid, none = self.coordinates, np.zeros(len(self.coordinates.pairs))
        bonded = np.isin(grid.pairs @ [len(beads), 1], beads.bonds @ [len(beads), 1])
        self.prior = Prior(
            np.where(bonded, 2.5e5, 0.0), lengths(beads.positions, grid.pairs), np.full(len(grid.triples), 350.0), angle_of(beads.positions, grid.triples),
            none, 2.5, np.zeros(len(grid.fours)), np.zeros(len(grid.fours)),
        )  # fmt: skip

    @staticmethod
    def surface(turns: Tensor) -> Tensor:
        """Energy of the torsions from their sines and cosines, kJ/mol."""
        sin_phi, sin_psi, cos_phi, cos_psi = turns
        return -6.0 * (0.36 * cos_phi - 0.93 * sin_phi) - 4.0 * sin_psi + 3.0 * (cos_phi * cos_psi - sin_phi * sin_psi)

    def energies(self, places: Tensor) -> Tensor:
        seen = self.coordinates(places)
        return self.prior.energies(seen) + self.surface(seen.turns)

    def forces(self, places: Tensor) -> Tensor:
        seen = self.coordinates(places)
        slopes = self.prior.slopes(seen)
        sin_phi, sin_psi, cos_phi, cos_psi = seen.turns
        slopes[-4:] += torch.stack((5.58 - 3.0 * sin_psi, -4.0 - 3.0 * sin_phi, 3.0 * cos_psi - 2.16, 3.0 * cos_phi))
        return self.coordinates.forces(seen, slopes)

    def labels(self, positions: Floats, error: float = 60.0, seed: int = 0) -> Labels:
        """Its forces with noise, kJ/mol/nm."""
        exact = copies_first(self.forces(copies_last(torch.tensor(positions, dtype=torch.float32)))).numpy().astype(np.float64)
        errors = np.full(exact.shape, error)
        return Labels(positions, exact + errors * np.random.default_rng(seed).normal(size=exact.shape), errors, 300.0)


def slope(energy: Callable[[Tensor], Tensor], positions: Tensor) -> Tensor:
    """Minus the slope of an energy by torch."""
    positions = positions.detach().clone().requires_grad_()
    return -torch.autograd.grad(energy(positions).sum(), positions)[0]


def surface_of(frames: Floats, coordinates: Coordinates, bins: int = 20) -> Floats:
    """Probabilities on phi and psi, (bins, bins)."""
    turns = coordinates(copies_last(torch.tensor(frames, dtype=torch.float32))).turns
    angles = torch.atan2(turns[:2], turns[2:]).numpy()
    counts = np.histogram2d(*angles, bins=bins, range=[[-np.pi, np.pi]] * 2)[0]
    return counts / counts.sum()


def jensen_shannon(p: Floats, q: Floats) -> float:
    """With natural logarithms: 0 for equals, 0.69 for strangers."""
    middle = 0.5 * (p + q)

    def against(one: Floats) -> float:
        there = one > 0
        return float((one[there] * np.log(one[there] / middle[there])).sum())

    return 0.5 * (against(p) + against(q))
