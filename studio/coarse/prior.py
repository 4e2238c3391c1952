"""Prior: the simple energy that keeps beads in shape, to which a network adds what it learns.

    U = sum_bonds 1/2 k (r - r0)^2 + sum_angles 1/2 k (t - t0)^2 + sum_far kT (c/r)^12 [- sum_torsions k cos(d - d0)]

with k = 1/(beta var) from the spread that was sampled: the energy that would give just this spread, were every coordinate alone
(Wang 2019, 10.1021/acscentsci.8b00913). c: shortest distance sampled between two beads more than a torsion apart; k and d0 of
torsions: von Mises' distribution with the sampled mean direction. Where data is missing, this is what holds.
Knows beads and tensors; must not know networks.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from studio.coarse.chain import angle_of, lengths, torsion_of
from studio.coarse.coordinates import Coordinates, Seen, copies_last
from studio.errors import SettingsError
from studio.structure import Floats, Structure
from studio.units import BOLTZMANN

FEWEST = 10
"""Positions that give a spread at all."""
APART = 4
"""Bonds between two beads that repel each other."""
STRAIGHT = 1e-4
"""1 - cos^2 of an angle is never taken smaller than this, where its slope would grow without end."""


@dataclass(frozen=True, eq=False)
class Prior:
    """The prior of one chain of beads; rows are those of its `Coordinates`.

    Args:
        stiffness: Of pairs, (p,), kJ/mol/nm^2; 0 where there is no bond.
        lengths: Of bonds, (p,), nm.
        bending: Of angles, (a,), kJ/mol/rad^2.
        angles: (a,), rad.
        reach: Distance at which a pair repels with `strength`, (p,), nm; 0 where it does not.
        strength: kJ/mol.
        twisting: Of torsions, (t,), kJ/mol; 0 without a term.
        torsions: (t,), rad.
    """

    stiffness: Floats
    lengths: Floats
    bending: Floats
    angles: Floats
    reach: Floats
    strength: float
    twisting: Floats
    torsions: Floats

    @classmethod
    def fit(cls, positions: Floats, beads: Structure, temperature: float, *, twist: bool = False) -> "Prior":
        """The prior with the spread of sampled positions.

        Args:
            positions: Of beads, sampled at `temperature`, (n, b, 3), nm; of labels from several temperatures those of the lowest.
            beads: With their bonds.
            temperature: K.
            twist: With a term for torsions: for chains that should keep their shape without a network.

        Raises:
            SettingsError: Too few positions.
        """
        if len(positions) < FEWEST:
            raise SettingsError(f"A prior is fitted to the spread of at least {FEWEST} positions; got {len(positions)}. Sample more of them.")
        grid, heat = Coordinates.of(beads), BOLTZMANN * temperature
        apart = np.array([lengths(frame, grid.pairs) for frame in positions])
        bent = np.array([angle_of(frame, grid.triples) for frame in positions])
        turned = np.array([torsion_of(frame, grid.fours) for frame in positions])
        bonded, far = _bonded(beads, grid)
        stiffness = np.where(bonded, heat / apart.var(axis=0), 0.0)
        reach = np.where(far, apart.min(axis=0), 0.0)
        twisting, torsions = _von_mises(turned, heat) if twist else (np.zeros(len(grid.fours)), np.zeros(len(grid.fours)))
        return cls(stiffness, apart.mean(axis=0), heat / bent.var(axis=0), bent.mean(axis=0), reach, heat, twisting, torsions)

    @classmethod
    def empty(cls, coordinates: Coordinates) -> "Prior":
        """One that does nothing.

        Args:
            coordinates: Of the beads.
        """
        pairs, triples, fours = (np.zeros(len(rows)) for rows in (coordinates.pairs, coordinates.triples, coordinates.fours))
        return cls(pairs, pairs, triples, triples, pairs, 0.0, fours, fours)

    def energy(self, positions: Tensor, coordinates: Coordinates) -> Tensor:
        """Energies, (r,), kJ/mol.

        Args:
            positions: (r, b, 3), nm.
            coordinates: Of the same beads.
        """
        return self.energies(coordinates(copies_last(positions)))

    def energies(self, seen: Seen) -> Tensor:
        """Energies, (r,), kJ/mol.

        Args:
            seen: Coordinates of the beads.
        """
        terms = self._terms(seen.distances)
        stretched, bent = seen.distances - terms["lengths"], self._angle(seen.cosines) - terms["angles"]
        harmonic = 0.5 * ((terms["stiffness"] * stretched**2).sum(0) + (terms["bending"] * bent**2).sum(0))
        pushed = self.strength * ((terms["reach"] / seen.distances) ** 12).sum(0)
        return harmonic + pushed + (terms["twist"] * seen.turns).sum(0)

    def slopes(self, seen: Seen) -> Tensor:
        """dU/dq, (q, r), in the order of `Seen.values`.

        Args:
            seen: Coordinates of the beads.
        """
        terms = self._terms(seen.distances)
        pushed = (-12.0 * self.strength) * (terms["reach"] / seen.distances) ** 12 / seen.distances
        along = torch.addcmul(pushed, terms["stiffness"], seen.distances - terms["lengths"])
        steep = (1.0 - seen.cosines**2).clamp_min(STRAIGHT).rsqrt()
        bend = terms["bending"] * (terms["angles"] - self._angle(seen.cosines)) * steep
        return torch.cat((along, bend, terms["twist"].expand(-1, seen.distances.shape[1])))

    @staticmethod
    def _angle(cosines: Tensor) -> Tensor:
        return torch.acos(cosines.clamp(-1.0 + STRAIGHT / 2, 1.0 - STRAIGHT / 2))

    def _terms(self, like: Tensor) -> dict[str, Tensor]:
        """The numbers as columns of the precision of `like`; made once for each."""
        made: dict[torch.dtype, dict[str, Tensor]] = self.__dict__.setdefault("_made", {})
        if like.dtype not in made:
            twist = -np.concatenate((self.twisting * np.sin(self.torsions), self.twisting * np.cos(self.torsions)))
            plain = {name: getattr(self, name) for name in ("stiffness", "lengths", "bending", "angles", "reach")} | {"twist": twist}
            made[like.dtype] = {name: torch.tensor(array, dtype=like.dtype).unsqueeze(1) for name, array in plain.items()}
        return made[like.dtype]

    def state(self) -> dict[str, Floats]:
        """All numbers as plain arrays by name."""
        return {field.name: np.asarray(getattr(self, field.name), dtype=np.float64) for field in fields(self)}

    @classmethod
    def from_state(cls, state: Mapping[str, Floats]) -> "Prior":
        """The prior with the numbers that `state` gave.

        Args:
            state: Arrays by name.

        Raises:
            KeyError: One is missing.
        """
        arrays = {field.name: np.asarray(state[field.name], dtype=np.float64) for field in fields(cls)}
        return cls(**{**arrays, "strength": float(arrays["strength"])})  # type: ignore[arg-type]


def _bonded(beads: Structure, grid: Coordinates) -> tuple[Floats, Floats]:
    """For each pair: whether it is bonded, and whether it is further apart along the chain than a torsion."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import dijkstra

    count = len(beads)
    graph = coo_array((np.ones(len(beads.bonds)), (beads.bonds[:, 0], beads.bonds[:, 1])), shape=(count, count))
    steps = dijkstra(graph, directed=False, unweighted=True)[tuple(grid.pairs.T)]
    return steps == 1, steps >= APART


def _von_mises(turned: Floats, heat: float) -> tuple[Floats, Floats]:
    """K = kT kappa and mean direction of torsions, each (t,).

    kappa of a mean resultant length R: R (2 - R^2) / (1 - R^2) (Banerjee 2005, JMLR 6, 1345, eq. 4.4), to 2 % at any R that counts.
    """
    mean = np.exp(1j * turned).mean(axis=0)
    size = np.minimum(np.abs(mean), 0.999)
    return heat * size * (2.0 - size**2) / (1.0 - size**2), np.angle(mean)
