"""Stretch: how far what a restraint holds has gone, for people to read.

Knows restraints and positions; must not know simulations or screens.
"""

import numpy as np

from studio.hybrid.whole import minimum_image
from studio.observables import Positions
from studio.steering import DistanceRestraint, Restraint


def stretch(restraint: Restraint, positions: Positions, box: Positions | None = None) -> float:
    """Length of a held pair, or how far held atoms are from their places (root mean square), nm; 0 where the places are not known.

    Args:
        restraint: What is held.
        positions: Of all atoms, (n, 3), nm.
        box: Box vectors (3, 3), nm, where there is one.
    """
    points = np.asarray(positions[list(restraint.atoms)], dtype=np.float64)
    if isinstance(restraint, DistanceRestraint):
        away = points[1:] - points[0]
    elif restraint.positions is None:
        return 0.0
    else:
        away = points - np.array(restraint.positions)
    away = minimum_image(away, None if box is None else np.asarray(box, dtype=np.float64))
    return float(np.sqrt((away * away).sum(axis=1).mean()))
