"""Refit: class-II terms fitted to what a network adds to MM, so that multiple time steps become possible.

The bracket E_NNP - U_MM^LL of a region holds stiff forces as large as those of the MM terms that it corrects: left to the
outer step of a RESPA scheme it explodes. Here D(R), a sum of bonded terms with their couplings, is fitted to the bracket's
forces on thermal geometries by linear least squares. D is added to the inner force and taken out of the outer one,

    U = [ U_MM + lambda D ] + lambda [ E_NNP - E_ref - U_MM^LL - D ],

so that the energy stays what it was and only small, slow forces are left outside. This file knows one region, its bonds
and its forces; it must not know integrators.

Terms: Maple 1994 (class II), 10.1002/jcc.540150207. A cheap inner force beside an expensive outer one: Liberatore 2018,
10.1063/1.5037453.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from studio.structure import Floats, Integers, Structure

if TYPE_CHECKING:
    import openmm
    from scipy.sparse import csr_array
    from torch import Tensor

STRETCH, BEND = 75.0, 5.0
"""Scales that bring displacements of bonds (1/nm) and angles (1/rad) to the order of one at 300 K."""
LIMIT = 1.5
"""Displacements are cut off here, in those scales: a polynomial must not run away where it was not fitted."""
WIDEST = np.radians(165.0)
"""Angles wider than this, and torsions over them, have no well-defined slope: what they need is left to the outer force."""
RIDGE = 1e-3
"""Weight of the regularisation, in mean squares of a column, where there are enough geometries."""


class Report(NamedTuple):
    """Root mean square of the bracket's force components on held-out geometries, kJ/mol/nm: as MM comes, and with the refit."""

    before: float
    after: float

    @property
    def ratio(self) -> float:
        """After over before; 1 where there is nothing to fit."""
        return self.after / self.before if self.before else 1.0


@dataclass(frozen=True)
class Family:
    """One kind of term.

    Args:
        atoms: Finds the terms in a structure: (m, size).
        measure: Takes positions (size, 3); gives the values from which displacements count.
        features: Takes positions (size, 3) and reference values; gives what the coefficients multiply.
        expression: The same sum for OpenMM (whose own names are x1, y1, z1, ..), in `theta` for a torsion: coefficients c0, c1, .., reference values m0, m1, ..
    """

    atoms: "Callable[[Structure], Integers]"
    measure: "Callable[[Tensor], Tensor]"
    features: "Callable[[Tensor, Tensor], Tensor]"
    expression: str


@dataclass(frozen=True, eq=False)
class Terms:
    """All terms of one family: atoms (m, size) within the region, reference values (m, z), coefficients (m, c), kJ/mol."""

    family: Family
    atoms: Integers
    zeros: Floats
    coefficients: Floats


@dataclass(frozen=True, eq=False)
class Refit:
    """D(R) of one region.

    Args:
        terms: By family.
        report: How good it is.
    """

    terms: tuple[Terms, ...]
    report: Report

    def forces(self, particles: Integers, scale: str | None = None, value: float = 1.0) -> "list[openmm.Force]":
        """D as OpenMM forces.

        Args:
            particles: For each atom of the region its particle in the system, (n,).
            scale: Name of a global parameter that multiplies D.
            value: Its value at the start.
        """
        return [_force(terms, particles, scale, value) for terms in self.terms]

    def to_arrays(self) -> dict[str, Any]:
        """All numbers by name."""
        names = ("atoms", "zeros", "coefficients")
        arrays = {f"{name}{index}": np.asarray(getattr(terms, name)) for index, terms in enumerate(self.terms) for name in names}
        return arrays | {"report": np.array(self.report), "families": np.array([FAMILIES.index(terms.family) for terms in self.terms])}

    @classmethod
    def from_arrays(cls, arrays: dict[str, Any]) -> "Refit":
        """The inverse of `to_arrays`.

        Raises:
            KeyError: Not such arrays.
        """
        families = [FAMILIES[int(index)] for index in arrays["families"]]
        terms = (Terms(family, arrays[f"atoms{k}"], arrays[f"zeros{k}"], arrays[f"coefficients{k}"]) for k, family in enumerate(families))
        return cls(tuple(terms), Report(*map(float, arrays["report"])))

    @staticmethod
    def version() -> str:
        """What tells refits of one form from those of another."""
        return "|".join(family.expression for family in FAMILIES)

    def lengths(self, particles: Integers) -> dict[frozenset[int], float]:
        """Mean lengths of the bonds, nm, by their two particles.

        Args:
            particles: For each atom of the region its particle in the system, (n,).
        """
        bonds = [terms for terms in self.terms if terms.family is FAMILIES[0]]
        return {frozenset(pair): float(zero) for terms in bonds for pair, (zero,) in zip(particles[terms.atoms].tolist(), terms.zeros, strict=True)}


def fit(structure: Structure, positions: Floats, forces: Floats, held_out: int, ridge: float = RIDGE) -> Refit:
    """Fit D to the bracket's forces.

    Args:
        structure: The region, with the bonds among its atoms.
        positions: Thermal geometries, (g, n, 3), nm, whole.
        forces: The bracket's forces there, (g, n, 3), kJ/mol/nm.
        held_out: How many of the last geometries are kept for the report.
        ridge: Weight of the regularisation, in mean squares of a column.
    """
    from scipy.sparse import hstack

    found = [(family, atoms, _zeros(family, atoms, positions)) for family in FAMILIES if len(atoms := _defined(family, structure, positions))]
    if not found:  # an ion
        rms = _rms(forces)
        return Refit((), Report(rms, rms))
    blocks = [_design(family, atoms, zeros, positions) for family, atoms, zeros in found]
    design, target = hstack(blocks, format="csr"), forces.reshape(-1)
    known = (len(positions) - held_out) * forces[0].size
    coefficients = _ridge(design[:known], target[:known], ridge)
    report = Report(_rms(target[known:]), _rms(target[known:] - design[known:] @ coefficients))
    pieces = np.split(coefficients, np.cumsum([block.shape[1] for block in blocks])[:-1])
    return Refit(tuple(Terms(*entry, piece.reshape(len(entry[1]), -1)) for entry, piece in zip(found, pieces, strict=True)), report)


def _defined(family: Family, structure: Structure, positions: Floats) -> Integers:
    """The terms of a family whose angles stay away from 180 degrees."""
    atoms = family.atoms(structure)
    if atoms.shape[1] < 3 or not len(atoms):
        return atoms
    places = positions[:, atoms]
    u, v = places[:, :, :-2] - places[:, :, 1:-1], places[:, :, 2:] - places[:, :, 1:-1]
    cosine = (u * v).sum(-1) / np.linalg.norm(u, axis=-1) / np.linalg.norm(v, axis=-1)
    return np.asarray(atoms[(cosine > np.cos(WIDEST)).all(axis=(0, 2))])


def _zeros(family: Family, atoms: Integers, positions: Floats) -> Floats:
    """Mean values over the geometries, (m, z)."""
    import torch

    places = torch.from_numpy(positions[:, atoms])
    return np.asarray(torch.func.vmap(torch.func.vmap(family.measure))(places).mean(dim=0).numpy())


def _design(family: Family, atoms: Integers, zeros: Floats, positions: Floats) -> "csr_array":
    """Forces of all features of a family, (3 g n, m c), sparse."""
    import torch
    from scipy.sparse import coo_array

    slope = torch.func.vmap(torch.func.vmap(torch.func.jacfwd(family.features)), in_dims=(0, None))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch's own, at its first forward derivative
        values = -slope(torch.from_numpy(positions[:, atoms]), torch.from_numpy(zeros)).numpy()  # (g, m, c, size, 3)
    geometries, count, features = values.shape[:3]
    rows = (np.arange(geometries)[:, None, None] * positions.shape[1] + atoms[None])[:, :, None, :, None] * 3 + np.arange(3)
    columns = np.arange(count * features).reshape(1, count, features, 1, 1)
    rows, columns = np.broadcast_to(rows, values.shape), np.broadcast_to(columns, values.shape)
    shape = (positions.size, count * features)
    return coo_array((values.ravel(), (rows.ravel(), columns.ravel())), shape=shape).tocsr()


def _ridge(design: "csr_array", target: Floats, ridge: float) -> Floats:
    """Least squares with columns scaled to one and a penalty on their coefficients."""
    from scipy.linalg import solve

    scale = np.sqrt(np.asarray(design.power(2).mean(axis=0)).ravel()) + 1e-12
    normal = (design.T @ design).toarray() / np.outer(scale, scale)
    normal[np.diag_indices_from(normal)] += ridge * design.shape[0]
    return np.asarray(solve(normal, (design.T @ target) / scale, assume_a="pos", overwrite_a=True) / scale)


def _rms(values: Floats) -> float:
    return float(np.sqrt(np.mean(values**2)))


def _force(terms: Terms, particles: Integers, scale: str | None, value: float) -> "openmm.Force":
    import openmm

    energy, size = terms.family.expression, terms.atoms.shape[1]
    energy = f"{scale}*({energy.replace(';', ');', 1)}" if scale else energy
    names = [*(f"c{k}" for k in range(terms.coefficients.shape[1])), *(f"m{k}" for k in range(terms.zeros.shape[1]))]
    values = np.concatenate([terms.coefficients, terms.zeros], axis=1).tolist()
    members = particles[terms.atoms].tolist()
    if "theta" in energy:  # the compound form of a plain torsion is ten times as slow
        force = openmm.CustomTorsionForce(energy)
        for name in names:
            force.addPerTorsionParameter(name)
        for atoms, numbers in zip(members, values, strict=True):
            force.addTorsion(*atoms, numbers)
    else:
        force = openmm.CustomCompoundBondForce(size, energy)
        for name in names:
            force.addPerBondParameter(name)
        for atoms, numbers in zip(members, values, strict=True):
            force.addBond(atoms, numbers)
    if scale:
        force.addGlobalParameter(scale, value)
    force.setName("refit of the inner force")
    return force


def _bonds(structure: Structure) -> Integers:
    bonds: Integers = structure.bonds
    return bonds


def _angles(structure: Structure) -> Integers:
    neighbours = _neighbours(structure)
    found = [(i, j, k) for j in range(len(structure)) for i, k in combinations(neighbours[j], 2)]
    return np.array(found, dtype=np.int64).reshape(-1, 3)


def _torsions(structure: Structure) -> Integers:
    neighbours = _neighbours(structure)
    ends = ((h, i, j, k) for i, j in structure.bonds.tolist() for h in neighbours[i] for k in neighbours[j])
    found = [atoms for atoms in ends if len(set(atoms)) == 4]
    return np.array(found, dtype=np.int64).reshape(-1, 4)


def _planes(structure: Structure) -> Integers:
    """Atoms with three neighbours, and those."""
    neighbours = _neighbours(structure)
    return np.array([(j, *near) for j, near in enumerate(neighbours) if len(near) == 3], dtype=np.int64).reshape(-1, 4)


def _neighbours(structure: Structure) -> list[list[int]]:
    near: list[list[int]] = [[] for _ in range(len(structure))]
    for i, j in structure.bonds.tolist():
        near[i].append(j)
        near[j].append(i)
    return [sorted(atoms) for atoms in near]


def _length(p: "Tensor", i: int, j: int) -> "Tensor":
    length: Tensor = (p[i] - p[j]).norm()
    return length


def _angle(p: "Tensor", i: int, j: int, k: int) -> "Tensor":
    import torch

    u, v = p[i] - p[j], p[k] - p[j]
    return torch.atan2(torch.linalg.cross(u, v).norm(), u.dot(v))


def _turn(p: "Tensor") -> "tuple[Tensor, Tensor]":
    """Cosine and sine of a dihedral angle."""
    import torch

    a, b, c = p[1] - p[0], p[2] - p[1], p[3] - p[2]
    n, m = torch.linalg.cross(a, b), torch.linalg.cross(b, c)
    x, y = n.dot(m), torch.linalg.cross(n, m).dot(b) / b.norm()
    size = (x * x + y * y).sqrt()
    return x / size, y / size


def _stack(*values: "Tensor") -> "Tensor":
    import torch

    stacked: Tensor = torch.stack(values)
    return stacked


def _bond_measure(p: "Tensor") -> "Tensor":
    return _stack(_length(p, 0, 1))


def _bond_features(p: "Tensor", zeros: "Tensor") -> "Tensor":
    x = (STRETCH * (_length(p, 0, 1) - zeros[0])).clamp(-LIMIT, LIMIT)
    return _stack(x, x**2, x**3, x**4)


def _angle_measure(p: "Tensor") -> "Tensor":
    return _stack(_angle(p, 0, 1, 2), _length(p, 0, 1), _length(p, 1, 2))


def _angle_features(p: "Tensor", zeros: "Tensor") -> "Tensor":
    angle, first, second = _angle_measure(p) - zeros
    y = (BEND * angle).clamp(-LIMIT, LIMIT)
    x1, x2 = ((STRETCH * x).clamp(-LIMIT, LIMIT) for x in (first, second))
    return _stack(y, y**2, y**3, y**4, x1 * x2, x1 * y, x2 * y)


def _torsion_features(p: "Tensor", zeros: "Tensor") -> "Tensor":
    c, s = _turn(p)
    even = 2 * c * c - 1
    return _stack(c, s, even, c * (2 * even - 1))


def _across_measure(p: "Tensor") -> "Tensor":
    return _stack(_length(p, 0, 1), _length(p, 2, 3))


def _across_features(p: "Tensor", zeros: "Tensor") -> "Tensor":
    b1, b2 = (STRETCH * (_across_measure(p) - zeros)).clamp(-LIMIT, LIMIT)
    return _stack(b1 * b2)


def _nothing(p: "Tensor") -> "Tensor":
    return p.new_zeros(0)


def _plane_features(p: "Tensor", zeros: "Tensor") -> "Tensor":
    _, s = _turn(p)
    return _stack(s, s**2, s**3, s**4)


def _moved(name: str, scale: float, value: str) -> str:
    return f"{name}=max({-LIMIT:g},min({LIMIT:g},{scale:g}*({value})))"


_QUARTIC = "{v}*(c0+{v}*(c1+{v}*(c2+{v}*c3)))"
_ANGLE = ";".join(
    (
        _QUARTIC.format(v="y") + "+c4*b1*b2+(c5*b1+c6*b2)*y",
        _moved("y", BEND, "angle(p1,p2,p3)-m0"),
        _moved("b1", STRETCH, "distance(p1,p2)-m1"),
        _moved("b2", STRETCH, "distance(p2,p3)-m2"),
    )
)
_ACROSS = ";".join(("c0*b1*b2", _moved("b1", STRETCH, "distance(p1,p2)-m0"), _moved("b2", STRETCH, "distance(p3,p4)-m1")))
FAMILIES = (
    Family(_bonds, _bond_measure, _bond_features, f"{_QUARTIC.format(v='x')};{_moved('x', STRETCH, 'distance(p1,p2)-m0')}"),
    Family(_angles, _angle_measure, _angle_features, _ANGLE),
    Family(_torsions, _nothing, _torsion_features, "c*(c0+c3*(2*e-1))+c1*s+c2*e;e=2*c*c-1;c=cos(theta);s=sin(theta)"),
    Family(_torsions, _across_measure, _across_features, _ACROSS),
    Family(_planes, _nothing, _plane_features, f"{_QUARTIC.format(v='s')};s=sin(theta)"),
)
"""Quartic bonds; quartic angles with bond-bond and bond-angle couplings; torsions; the coupling of a torsion's two outer bonds, without
which a third more is left outside; out-of-plane terms. More couplings (angle-angle, central bond, higher multiples) would gain a
tenth and cost three times as much: angles and dihedrals are the dear part of OpenMM's `CustomCompoundBondForce`.
"""
