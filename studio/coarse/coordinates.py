"""Coordinates: the distances, angles and torsions of beads, for many copies at once, and forces from slopes along them.

    F_i = - sum_q (dE/dq) (dq/dr_i)

q: a coordinate (distance, cosine of an angle, sine and cosine of a torsion). Torsions have a sign, so that a molecule and its
mirror image differ. Slopes of torsions: Blondel and Karplus 1996, 10.1002/(SICI)1096-987X(19960715)17:9<1132::AID-JCC5>3.0.CO;2-T.
Arrays have the copies last, (..., r): what is done to all copies is then one long row. Knows tensors; must not know energies.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from studio.coarse.chain import angles, torsions
from studio.structure import Integers, Structure

SMALL = 1e-20
"""Keeps what is divided by a length finite, nm^4."""


class Seen(NamedTuple):
    """The coordinates of r copies, and what their slopes need.

    Args:
        distances: Of all pairs, (p, r), nm.
        cosines: Of angles along the chain, (a, r).
        turns: Sines, then cosines of torsions, (2 t, r).
        legs: Vectors that these are made of, (l, 3, r), nm.
        squares: Their squared lengths, (l, r), nm^2.
        normals: Of the two planes of each torsion, (2 t, 3, r), nm^2.
    """

    distances: Tensor
    cosines: Tensor
    turns: Tensor
    legs: Tensor
    squares: Tensor
    normals: Tensor

    @property
    def values(self) -> Tensor:
        """All coordinates, (q, r)."""
        return torch.cat((self.distances, self.cosines, self.turns))


class Coordinates:
    """Which distances, angles and torsions beads have.

    Args:
        pairs: All pairs of beads, (p, 2).
        triples: Of angles, (a, 3).
        fours: Of torsions, (t, 4).
        beads: How many beads there are.
        precision: Of the numbers.
    """

    def __init__(self, pairs: Integers, triples: Integers, fours: Integers, beads: int, precision: torch.dtype = torch.float32) -> None:
        self.pairs, self.triples, self.fours, self.beads = pairs, triples, fours, beads
        ends = np.concatenate((
            pairs,
            triples[:, [1, 0]], triples[:, [1, 2]],
            fours[:, [0, 1]], fours[:, [1, 2]], fours[:, [2, 3]],
        ))  # fmt: skip
        rows = np.arange(len(ends))
        legs = np.zeros((len(ends), beads))
        legs[rows, ends[:, 1]], legs[rows, ends[:, 0]] = 1.0, -1.0
        self._legs = torch.tensor(legs, dtype=precision)
        self._back = -self._legs.T.contiguous()
        p, a, t = len(pairs), len(triples), len(fours)
        self._parts = [p, a, a, t, t, t]
        self.count = p + a + 2 * t

    @classmethod
    def of(cls, beads: Structure, precision: torch.dtype = torch.float32) -> "Coordinates":
        """Those of a chain of beads.

        Args:
            beads: With their bonds.
            precision: Of the numbers.
        """
        pairs = np.argwhere(np.triu(np.ones((len(beads), len(beads))), k=1))
        return cls(pairs, angles(beads), torsions(beads), len(beads), precision)

    def __call__(self, places: Tensor) -> Seen:
        """The coordinates.

        Args:
            places: Positions, (b, 3, r), nm.
        """
        legs = (self._legs @ places.flatten(1)).view(-1, 3, places.shape[2])
        squares = (legs * legs).sum(1)
        lengths = squares.sqrt()
        _, u, w, first, axis, last = torch.split(legs, self._parts)
        distances, u_long, w_long, _, axis_long, _ = torch.split(lengths, self._parts)
        normals = torch.cat((torch.linalg.cross(first, axis, dim=1), torch.linalg.cross(axis, last, dim=1)))
        one, other = normals.chunk(2)
        areas = ((normals * normals).sum(1) + SMALL).sqrt()
        scale = 1.0 / (areas[: len(one)] * areas[len(one) :])
        sines = (first * other).sum(1) * axis_long * scale
        turns = torch.cat((sines, (one * other).sum(1) * scale))
        return Seen(distances, (u * w).sum(1) / (u_long * w_long), turns, legs, squares, normals)

    def forces(self, seen: Seen, slopes: Tensor) -> Tensor:
        """Forces on beads, (b, 3, r), kJ/mol/nm.

        Args:
            seen: The coordinates.
            slopes: dE/dq, (q, r), in the order of `Seen.values`.
        """
        by_distance, by_cosine, by_sine, by_turn = torch.split(slopes, [self._parts[0], self._parts[1], self._parts[3], self._parts[3]])
        sines, cosines = seen.turns.chunk(2)
        along = (by_distance / seen.distances).unsqueeze(1) * seen.legs[: self._parts[0]]
        pulls = torch.cat((along, *self._bend(seen, by_cosine), *self._twist(seen, by_sine * cosines - by_turn * sines)))
        return (self._back @ pulls.flatten(1)).view(self.beads, 3, -1)

    def _bend(self, seen: Seen, slope: Tensor) -> tuple[Tensor, Tensor]:
        """dE/d(legs) of angles: d cos/du = w/(|u| |w|) - u cos/|u|^2."""
        _, u, w, *_ = torch.split(seen.legs, self._parts)
        _, u_square, w_square, *_ = torch.split(seen.squares, self._parts)
        across, both = slope * (u_square * w_square).rsqrt(), slope * seen.cosines
        return (
            across.unsqueeze(1) * w - (both / u_square).unsqueeze(1) * u,
            across.unsqueeze(1) * u - (both / w_square).unsqueeze(1) * w,
        )

    def _twist(self, seen: Seen, slope: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """dE/d(legs) of torsions, with `slope` the one along the angle."""
        *_, first, axis, last = torch.split(seen.legs, self._parts)
        square = torch.split(seen.squares, self._parts)[4]
        grown = seen.normals * ((square.sqrt() * slope).repeat(2, 1) / ((seen.normals * seen.normals).sum(1) + SMALL)).unsqueeze(1)
        by_first, by_last = grown.chunk(2)
        before, after = (first * axis).sum(1) / square, (last * axis).sum(1) / square
        return by_first, -(before.unsqueeze(1) * by_first + after.unsqueeze(1) * by_last), by_last

    def jacobian(self, places: Tensor) -> tuple[Seen, Tensor]:
        """The coordinates, and -dq/dr as (r, 3 b, q): forces are this times slopes.

        Args:
            places: Positions, (b, 3, r), nm.
        """
        seen = self(places)
        copies = places.shape[2]
        columns = [self.forces(seen, row) for row in torch.eye(self.count, dtype=places.dtype).unsqueeze(2).expand(-1, -1, copies)]
        return seen, torch.stack(columns).permute(3, 1, 2, 0).reshape(copies, 3 * self.beads, self.count)


def copies_last(positions: Tensor) -> Tensor:
    """From (r, b, 3) to (b, 3, r), in one piece of memory.

    Args:
        positions: Of r copies.
    """
    return positions.permute(1, 2, 0).contiguous()


def copies_first(places: Tensor) -> Tensor:
    """From (b, 3, r) to (r, b, 3), in one piece of memory.

    Args:
        places: Of r copies.
    """
    return places.permute(2, 0, 1).contiguous()
