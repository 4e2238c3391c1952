"""TICA: the two slowest linear coordinates of many others, found in one trajectory and applied to another.

Time-lagged independent component analysis (Perez-Hernandez 2013, 10.1063/1.4811489) as `deeptime` does it (Hoffmann 2022,
10.1088/2632-2153/ac3de0). Knows numbers along frames; must not know what they measure.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from studio.errors import SettingsError
from studio.structure import Floats, Integers

STILL = 1e-6
"""Standard deviation up to which a coordinate says nothing."""
FEWEST = 10
"""Pairs of frames, a lag apart, below which nothing is fitted."""


@dataclass(frozen=True, eq=False)
class Tica:
    """An affine map from coordinates to the two slowest combinations of them.

    Args:
        used: Columns that move at all.
        matrix: (used, 2); of a single slow coordinate the second column is zero.
        offset: (2,).
        timescales: Of both, in frames; not a number where a coordinate has none.
    """

    used: Integers
    matrix: Floats
    offset: Floats
    timescales: tuple[float, float]

    def project(self, features: Floats) -> Floats:
        """The two coordinates, (f, 2).

        Args:
            features: As those that it was fitted to, (f, columns).
        """
        return np.asarray(features[:, self.used] @ self.matrix + self.offset)


def tica(pieces: Sequence[Floats], lag: int = 1) -> Tica:
    """Fit.

    Args:
        pieces: Coordinates along one or more trajectories, (f, columns) each, in the order of time.
        lag: Frames between which memory is looked for.

    Raises:
        SettingsError: There are too few frames, or nothing moves.
    """
    from deeptime.decomposition import TICA
    from deeptime.numeric import ZeroRankError

    long = [np.asarray(piece, dtype=np.float64) for piece in pieces if len(piece) > lag]
    if sum(len(piece) - lag for piece in long) < FEWEST:
        raise SettingsError(
            f"Slow coordinates are found from pairs of frames {lag} apart; there are too few of them. Record more frames, or set a shorter lag."
        )
    used = np.flatnonzero(np.concatenate(long).std(axis=0) > STILL)
    if not len(used):
        raise SettingsError("Nothing moves in these frames, so that there is no slow coordinate. Choose a recording in which something moves.")
    try:
        model = TICA(lagtime=lag, dim=2).fit([piece[:, used] for piece in long]).fetch_model()
    except ZeroRankError as problem:
        raise SettingsError("No coordinate remembers anything from frame to frame: record more frames, closer together.") from problem
    offset = model.transform(np.zeros((1, len(used))))[0]
    matrix = model.transform(np.eye(len(used))) - offset
    signs = np.sign(matrix[np.abs(matrix).argmax(axis=0), np.arange(matrix.shape[1])])
    return Tica(used, _two(matrix * signs), _two((offset * signs)[None])[0], _timescales(np.asarray(model.singular_values), lag))


def _two(columns: Floats) -> Floats:
    return np.pad(columns, ((0, 0), (0, 2 - columns.shape[1])))


def _timescales(memory: Floats, lag: int) -> tuple[float, float]:
    """-lag / ln s of the two largest singular values."""
    known = np.pad(memory[:2], (0, max(0, 2 - len(memory))), constant_values=np.nan)
    inside = np.where((known > 0) & (known < 1), known, np.nan)
    return tuple((-lag / np.log(inside)).tolist())
