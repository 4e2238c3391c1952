"""Born: the generalised Born energy of charges that may change with the molecule's shape, and how it answers to each charge.

GBn2 (Nguyen, Roe and Simmerling 2013, 10.1021/ct3010485; neck: Mongan et al. 2007, 10.1021/ct600085e) and the surface term ACE
(Schaefer, Bartels and Karplus 1998, 10.1006/jmbi.1998.2172), with the radii and tables of an OpenMM force; what OpenMM cannot
tell is the slope by the charges. Knows one molecule without neighbours and must not know where its charges come from.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from studio.structure import Floats

if TYPE_CHECKING:
    import openmm
    import torch

OFFSET, NECK_SCALE, NECK_CUT = 0.0195141, 0.826836, 0.68
"""Of GBn2; nm but for the second."""
PROBE, SURFACE = 0.14, 28.3919551
"""Radius of water, nm, and 4 pi times the surface tension, kJ/mol/nm^2: as OpenMM has them."""
COULOMB, WATER = 138.935485, 78.5
"""1 / 4 pi epsilon_0, kJ nm/mol/e^2, and the permittivity of water: likewise."""


class Solvation(NamedTuple):
    """Energy, kJ/mol, forces at fixed charges (n, 3), kJ/mol/nm, and dG/dq, (n,), kJ/mol/e."""

    energy: float
    forces: Floats
    slopes: Floats


class Born:
    """GBn2 water around one molecule.

    Args:
        force: As OpenMM makes it for the molecule; its charges are not used.
    """

    def __init__(self, force: "openmm.CustomGBForce") -> None:
        import torch

        rows = np.array([force.getParticleParameters(index) for index in range(force.getNumParticles())])
        names = [force.getPerParticleParameterName(index) for index in range(force.getNumPerParticleParameters())]
        self._inner, self._scaled, self._alpha, self._beta, self._gamma = (
            torch.tensor(rows[:, names.index(name)]) for name in ("or", "sr", "alpha", "beta", "gamma")
        )
        self._outer = self._inner + OFFSET
        kinds = rows[:, names.index("radindex")].astype(np.int64)
        tables = {force.getTabulatedFunctionName(index): force.getTabulatedFunction(index) for index in range(force.getNumTabulatedFunctions())}
        self._neck_place, self._neck_depth = (_pairs(tables[name], kinds) for name in ("getd0", "getm0"))

    def __call__(self, positions: Floats, charges: Floats) -> Solvation:
        """The energy and its slopes.

        Args:
            positions: (n, 3), nm.
            charges: (n,), e.
        """
        import torch

        places, q = (torch.tensor(values, dtype=torch.float64, requires_grad=True) for values in (positions, charges))
        with torch.enable_grad():
            energy = self._energy(places, q)
            by_place, by_charge = torch.autograd.grad(energy, (places, q))
        return Solvation(float(energy.item()), -by_place.numpy(), by_charge.numpy())

    def _energy(self, places: "torch.Tensor", charges: "torch.Tensor") -> "torch.Tensor":
        import torch

        one = torch.eye(len(places), dtype=torch.float64)
        square = ((places[:, None] - places) ** 2).sum(-1) + one  # ones instead of zeros, whose root has no slope
        radii = self._radii(torch.sqrt(square), 1.0 - one)
        products = radii[:, None] * radii
        apart = torch.where(one > 0.0, radii**2, square + products * torch.exp(-square / (4.0 * products)))
        polar = -0.5 * COULOMB * (1.0 - 1.0 / WATER) * (charges[:, None] * charges / torch.sqrt(apart)).sum()
        return polar + SURFACE * ((self._outer + PROBE) ** 2 * (self._outer / radii) ** 6).sum()

    def _radii(self, r: "torch.Tensor", others: "torch.Tensor") -> "torch.Tensor":
        """Effective Born radii (n,), nm, from distances (n, n) and ones where there is another atom."""
        import torch

        inner, scaled = self._inner[:, None], self._scaled[None, :]
        far, near = r + scaled, torch.maximum(inner.expand_as(r), (r - scaled).abs())
        seen = 0.5 * (1 / near - 1 / far + 0.25 * (r - scaled**2 / r) * (1 / far**2 - 1 / near**2) + 0.5 * torch.log(near / far) / r)
        shift = r - self._neck_place
        neck = self._neck_depth / (1.0 + 100.0 * shift**2 + 0.3e6 * shift**6)
        touching = self._outer[:, None] + self._outer + NECK_CUT > r
        integral = (others * (torch.where(far > inner, seen, 0.0) + NECK_SCALE * torch.where(touching, neck, 0.0))).sum(1)
        psi = integral * self._inner
        return 1.0 / (1.0 / self._inner - torch.tanh(self._alpha * psi - self._beta * psi**2 + self._gamma * psi**3) / self._outer)


def _pairs(table: "openmm.Discrete2DFunction", kinds: np.ndarray) -> "torch.Tensor":
    """Values (n, n) of a table for all pairs of atoms of these kinds, (n,)."""
    import torch

    columns, rows, values = table.getFunctionParameters()
    return torch.tensor(np.array(values).reshape(rows, columns).T[kinds[:, None], kinds])
