"""Drive: torsions of beads pushed out of where they were, so that a short trajectory crosses what would hold it for long.

    V(theta) = sum_k a_k cos k theta + b_k sin k theta

One V for each torsion, to which hills are added where the torsion is (Laio and Parrinello 2002, 10.1073/pnas.202427399), until
V stands as high there as was asked for: what keeps the backbone from turning - some 30 to 50 kJ/mol - gives way. Configurations may
come from anywhere, for mean forces are measured without it. Knows torsions and OpenMM; must not know which torsions are worth it.
"""

from typing import TYPE_CHECKING

import numpy as np

from studio.coarse.chain import torsion_of
from studio.structure import Floats, Integers

if TYPE_CHECKING:
    import openmm

ORDERS = np.arange(1, 9)
"""k."""
HILL, WIDTH = 1.0, 0.35
"""Height, kJ/mol, and width, rad, of a hill."""
SHAPE = np.exp(-0.5 * (WIDTH * ORDERS) ** 2) / np.exp(-0.5 * (WIDTH * ORDERS) ** 2).sum()
GRID = np.linspace(-np.pi, np.pi, 72, endpoint=False)
"""Where the lowest point of V is looked for, rad."""


class Drive:
    """What pushes torsions; it begins at nothing.

    Args:
        moving: A System; the force is added to it.
        fours: Atoms of the torsions, (t, 4).
        limit: How high V grows, kJ/mol.
    """

    def __init__(self, moving: "openmm.System", fours: Integers, limit: float) -> None:
        import openmm

        self._fours, self._limit = fours, limit
        self._waves = np.zeros((len(fours), 2, len(ORDERS)))
        self._force = openmm.CustomTorsionForce(" + ".join(f"a{k}*cos({k}*theta) + b{k}*sin({k}*theta)" for k in ORDERS))
        for name in [f"{letter}{k}" for letter in "ab" for k in ORDERS]:
            self._force.addPerTorsionParameter(name)
        for four, waves in zip(fours.tolist(), self._waves, strict=True):
            self._force.addTorsion(*four, waves.ravel())
        moving.addForce(self._force)

    def push(self, context: "openmm.Context") -> None:
        """A hill on each torsion, where it is now.

        Args:
            context: Of the System.
        """
        positions = np.asarray(context.getState(positions=True).getPositions(asNumpy=True)._value)
        theta = torsion_of(positions, self._fours)
        here = self._heights(theta[:, None])[:, 0] - self._heights(np.broadcast_to(GRID, (len(theta), len(GRID)))).min(axis=1)
        hills = np.where(here < self._limit, HILL, 0.0)
        self._waves += hills[:, None, None] * SHAPE * np.stack([np.cos(np.outer(theta, ORDERS)), np.sin(np.outer(theta, ORDERS))], axis=1)
        for index, (four, waves) in enumerate(zip(self._fours.tolist(), self._waves, strict=True)):
            self._force.setTorsionParameters(index, *four, waves.ravel())
        self._force.updateParametersInContext(context)

    def _heights(self, theta: Floats) -> Floats:
        """V of each torsion at some angles, (t, m), kJ/mol."""
        phases = theta[..., None] * ORDERS
        return np.asarray((np.cos(phases) * self._waves[:, None, 0] + np.sin(phases) * self._waves[:, None, 1]).sum(axis=2))
