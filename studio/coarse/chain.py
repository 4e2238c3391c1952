"""Chains of beads: what bonds, angles and torsions follow from who is bonded, and Systems of them in OpenMM.

Knows beads and OpenMM; must not know a model's parameters.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from studio.errors import StructureError
from studio.structure import Floats, Integers, Structure

if TYPE_CHECKING:
    import openmm

TINY, SMALL = 40, 500
"""Beads up to which OpenMM's Reference platform is fastest (no neighbours to sort), and then its CPU platform on one thread: a second
one waits longer than it works. Steps/s of Go models on a busy core, Reference, 1 and 2 threads: 20 beads 6,700, 4,700, 2,600;
76 beads 2,300, 3,100, 1,600; 288 beads 510, 1,900, 1,200.
"""
SETTLE = 100
"""Steps between two removals of the drift of the whole."""


def platform_for(beads: int) -> tuple[str | None, int | None]:
    """The OpenMM platform that suits so many beads and its threads; none to leave both to OpenMM.

    Args:
        beads: How many.
    """
    return ("Reference", None) if beads <= TINY else ("CPU", 1) if beads <= SMALL else (None, None)


def neighbours(beads: Structure) -> list[list[int]]:
    """For each bead those bonded to it, ascending.

    Args:
        beads: With their bonds.
    """
    found: list[list[int]] = [[] for _ in range(len(beads))]
    for i, j in beads.bonds.tolist():
        found[i].append(j)
        found[j].append(i)
    return [sorted(each) for each in found]


def angles(beads: Structure) -> Integers:
    """Triples of beads along the chain, (a, 3).

    Args:
        beads: With their bonds.
    """
    triples = [(i, middle, k) for middle, ends in enumerate(neighbours(beads)) for i in ends for k in ends if i < k]
    return np.array(triples, dtype=np.int64).reshape(-1, 3)


def torsions(beads: Structure) -> Integers:
    """Fours of beads along the chain, (t, 4).

    Args:
        beads: With their bonds.
    """
    near = neighbours(beads)
    fours = [(i, j, k, m) for j, k in beads.bonds.tolist() for i in near[j] if i != k for m in near[k] if m not in (i, j)]
    return np.array(fours, dtype=np.int64).reshape(-1, 4)


def angle_of(positions: Floats, triples: Integers) -> Floats:
    """Angles, rad, (a,).

    Args:
        positions: Of the beads, (b, 3), nm.
        triples: See `angles`.
    """
    first, second = positions[triples[:, 0]] - positions[triples[:, 1]], positions[triples[:, 2]] - positions[triples[:, 1]]
    cosine = (first * second).sum(axis=1) / (np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1))
    return np.asarray(np.arccos(np.clip(cosine, -1.0, 1.0)))


def torsion_of(positions: Floats, fours: Integers) -> Floats:
    """Torsions by the IUPAC sign, rad, (t,).

    Args:
        positions: Of the beads, (b, 3), nm.
        fours: See `torsions`.
    """
    first, axis, last = (positions[fours[:, k + 1]] - positions[fours[:, k]] for k in range(3))
    normal, other = np.cross(first, axis), np.cross(axis, last)
    along = axis / np.linalg.norm(axis, axis=1, keepdims=True)
    return np.asarray(np.arctan2((np.cross(normal, other) * along).sum(axis=1), (normal * other).sum(axis=1)))


def lengths(positions: Floats, pairs: Integers) -> Floats:
    """Distances of pairs, nm, (p,).

    Args:
        positions: Of the beads, (b, 3), nm.
        pairs: Indices, (p, 2).
    """
    return np.asarray(np.linalg.norm(positions[pairs[:, 0]] - positions[pairs[:, 1]], axis=1))


def system_of(beads: Structure, masses: Floats, forces: "Sequence[openmm.Force]", reach: float, settle: int = SETTLE) -> "openmm.System":
    """An OpenMM System of beads, periodic where they have a box.

    Args:
        beads: The beads.
        masses: Da, (b,).
        forces: That act on them.
        reach: Longest cutoff of the forces, nm.
        settle: Steps between two removals of the drift of the whole: few, where the thermostat would bring it back in as many.

    Raises:
        StructureError: The box is too small for the cutoff.
    """
    import openmm

    system = openmm.System()
    for mass in masses.tolist():
        system.addParticle(mass)
    if beads.box is not None:
        width = float(np.diag(beads.box).min())
        if width < 2.0 * reach:
            raise StructureError(
                f"The box is {width:.1f} nm wide, and beads feel each other up to {reach:.1f} nm: it has to be twice as wide. Enlarge the box."
            )
        system.setDefaultPeriodicBoxVectors(*beads.box)
    for force in forces:
        if hasattr(force, "setUsesPeriodicBoundaryConditions"):
            force.setUsesPeriodicBoundaryConditions(beads.box is not None)
        system.addForce(force)
    system.addForce(openmm.CMMotionRemover(settle))
    return system


def pair_force(energy: str, beads: Structure, cutoff: float, excluded: Integers) -> "openmm.CustomNonbondedForce":
    """A force between all pairs of beads, without parameters yet.

    Args:
        energy: As OpenMM's expression of r, nm.
        beads: The beads.
        cutoff: Where the force ends, nm.
        excluded: Pairs that do not feel it, (p, 2).
    """
    import openmm

    force = openmm.CustomNonbondedForce(energy)
    force.setNonbondedMethod(force.CutoffNonPeriodic if beads.box is None else force.CutoffPeriodic)
    force.setCutoffDistance(cutoff)
    for i, j in excluded.tolist():
        force.addExclusion(i, j)
    return force
