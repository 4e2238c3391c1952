"""Martini forces: a topology of GROMACS as plain OpenMM forces.

    U_LJ = 4 eps [(s/r)^12 - (s/r)^6] - its value at r_c
    U_RF = q q' e^2 / (4 pi eps_0 eps_r) [1/r + k r^2 - c],   k = 1 / (2 r_c^3),  c = 3 / (2 r_c)
    angles 2: 1/2 K (cos a - cos a0)^2,   10: the same over sin^2 a (restricted bending, Bulacu 2013, 10.1021/ct400219n)

Reaction field with infinite permittivity outside the cutoff; as in GROMACS, excluded pairs feel its k r^2 - c too, while the energy of
a charge with itself, a constant, is left out. Knows topologies and OpenMM; must not know how they were made.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from studio.coarse.martini_table import lennard_jones
from studio.coarse.martini_topology import Term
from studio.errors import UnsupportedError
from studio.structure import Floats, Integers
from studio.units import COULOMB

if TYPE_CHECKING:
    import openmm

CUTOFF, PERMITTIVITY = 1.1, 15.0
"""nm; relative, of what is between charges."""
FIELD, END = 1.0 / (2.0 * CUTOFF**3), 3.0 / (2.0 * CUTOFF)
SCALE = COULOMB / PERMITTIVITY
PAIR = f"c12(t1,t2)*(1/r^12-{CUTOFF**-12}) - c6(t1,t2)*(1/r^6-{CUTOFF**-6}) + {SCALE}*q1*q2*(1/r+{FIELD}*r^2-{END})"
COSINE = "0.5*k*(cos(theta)-c0)^2"
RESTRICTED = "0.5*k*((cos(theta)-c0)/sin(theta))^2"
IMPROPER = "0.5*k*d^2; d=x-6.283185307179586*floor(x/6.283185307179586+0.5); x=theta-theta0"


def bonded_forces(terms: Sequence[Term]) -> "list[openmm.Force]":
    """One force for each kind of term that there is; constraints have none.

    Args:
        terms: All of them.

    Raises:
        UnsupportedError: A term is of a kind that no protein of Martini 3 has.
    """
    by_kind: dict[tuple[str, int], list[Term]] = defaultdict(list)
    for term in terms:
        if term.kind != "constraints":
            by_kind[term.kind, term.function].append(term)
    unknown = by_kind.keys() - FORCES.keys()
    if unknown:
        raise UnsupportedError(f"Martini's {' and '.join(f'{kind} of type {function}' for kind, function in sorted(unknown))} are not available here.")
    return [make(by_kind[key]) for key, make in FORCES.items() if key in by_kind]


def _bonds(terms: Sequence[Term]) -> "openmm.Force":
    import openmm

    force = openmm.HarmonicBondForce()
    for term in terms:
        force.addBond(*term.beads, *term.parameters)
    return force


def _harmonic_angles(terms: Sequence[Term]) -> "openmm.Force":
    import openmm

    force = openmm.HarmonicAngleForce()
    for term in terms:
        force.addAngle(*term.beads, np.radians(term.parameters[0]), term.parameters[1])
    return force


def _cosine_angles(terms: Sequence[Term]) -> "openmm.Force":
    return _custom_angles(COSINE, terms)


def _restricted_angles(terms: Sequence[Term]) -> "openmm.Force":
    return _custom_angles(RESTRICTED, terms)


def _custom_angles(energy: str, terms: Sequence[Term]) -> "openmm.Force":
    import openmm

    force = openmm.CustomAngleForce(energy)
    force.addPerAngleParameter("c0")
    force.addPerAngleParameter("k")
    for term in terms:
        force.addAngle(*term.beads, [float(np.cos(np.radians(term.parameters[0]))), term.parameters[1]])
    return force


def _torsions(terms: Sequence[Term]) -> "openmm.Force":
    import openmm

    force = openmm.PeriodicTorsionForce()
    for term in terms:
        phase, stiffness, fold = term.parameters
        force.addTorsion(*term.beads, int(fold), np.radians(phase), stiffness)
    return force


def _impropers(terms: Sequence[Term]) -> "openmm.Force":
    import openmm

    force = openmm.CustomTorsionForce(IMPROPER)
    force.addPerTorsionParameter("theta0")
    force.addPerTorsionParameter("k")
    for term in terms:
        force.addTorsion(*term.beads, [np.radians(term.parameters[0]), term.parameters[1]])
    return force


FORCES: dict[tuple[str, int], "Callable[[Sequence[Term]], openmm.Force]"] = {
    ("bonds", 1): _bonds,
    ("angles", 1): _harmonic_angles,
    ("angles", 2): _cosine_angles,
    ("angles", 10): _restricted_angles,
    ("dihedrals", 1): _torsions,
    ("dihedrals", 9): _torsions,
    ("impropers", 2): _impropers,
}


def pair_forces(types: Sequence[str], charges: Floats, excluded: Integers) -> "list[openmm.Force]":
    """What beads feel that are not bonded, and what the reaction field does to those that are.

    Args:
        types: Of all beads.
        charges: e, (b,).
        excluded: Pairs that are bonded, (p, 2).

    Raises:
        UnsupportedError: See `lennard_jones`.
    """
    return [_between(types, charges, excluded), _within(charges, excluded)]


def _between(types: Sequence[str], charges: Floats, excluded: Integers) -> "openmm.Force":
    import openmm

    kinds = sorted(set(types))
    sigma, epsilon = lennard_jones(kinds)
    force = openmm.CustomNonbondedForce(PAIR)
    for name, power in (("c12", 12), ("c6", 6)):
        force.addTabulatedFunction(name, openmm.Discrete2DFunction(len(kinds), len(kinds), (4.0 * epsilon * sigma**power).T.ravel().tolist()))
    force.addPerParticleParameter("t")
    force.addPerParticleParameter("q")
    for kind, charge in zip(types, charges.tolist(), strict=True):
        force.addParticle([kinds.index(kind), charge])
    for i, j in excluded.tolist():
        force.addExclusion(i, j)
    force.setNonbondedMethod(force.CutoffPeriodic)
    force.setCutoffDistance(CUTOFF)
    return force


def _within(charges: Floats, excluded: Integers) -> "openmm.Force":
    import openmm

    force = openmm.CustomBondForce(f"{SCALE}*qq*({FIELD}*r^2-{END})")
    force.addPerBondParameter("qq")
    for i, j in excluded.tolist():
        if charges[i] * charges[j]:
            force.addBond(i, j, [float(charges[i] * charges[j])])
    return force
