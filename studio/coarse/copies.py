"""Copies: a small molecule several times in one Context, too far apart to feel each other.

A step of two dozen atoms costs a processor more in calls than in arithmetic; eight copies cost little more than one, and all of them
are of use where configurations are independent. Forces are those of one molecule alone: pairs end at a distance that its atoms, bonded
as they are, cannot reach. Knows OpenMM Systems; must not know what moves in them or why.
"""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np

from studio.structure import Floats, Structure

if TYPE_CHECKING:
    import openmm

SHORT_BOND, LONG_BOND = 0.17, 0.3
"""More than what heat makes of any bond, nm: between atoms up to fluorine (C-C is 0.154), and to heavier ones (S-S is 0.205, C-I 0.214, I-I 0.267)."""
FLUORINE = 9
MARGIN = 1.0
"""Between what one copy and the next can reach, nm."""
BONDED = frozenset({"HarmonicBondForce", "HarmonicAngleForce", "PeriodicTorsionForce", "CMAPTorsionForce", "CustomTorsionForce"})
PAIRED = frozenset({"NonbondedForce", "CustomGBForce"})
"""Forces whose copies are understood; those between pairs have no cutoff in a molecule alone."""
CUTOFF = "1"
"""How pairs end, in OpenMM's XML: at a distance, without a box."""
INDEX = re.compile(r"[pab]\d")
"""How attributes are called that number a particle."""
BEST, FEWEST = 180, 6
"""Atoms beyond which more copies are no quicker, and how many copies pay. One thread, GBn2, thousands of steps of a copy/s: dipeptide 3.0 alone,
7.8 by 8 copies, 7.5 by 16; trialanine 2.0 alone, 1.9 by 4 and by 8."""


def copies_of(one: "openmm.System", structure: Structure) -> int:
    """How many copies are quickest; 1 where they cannot be made, or do not pay.

    Args:
        one: The System of the molecule alone.
        structure: Its atoms.
    """
    many = BEST // len(structure)
    return many if many >= FEWEST and can_be_copied(one, structure) else 1


def can_be_copied(one: "openmm.System", structure: Structure) -> bool:
    """Whether all its forces are known here, and it is one molecule in nothing but a continuum.

    Args:
        one: The System of the molecule alone.
        structure: Its atoms.
    """
    known = all(_is_known(force) for force in one.getForces())
    virtual = any(one.isVirtualSite(atom) for atom in range(one.getNumParticles()))
    return known and not virtual and len(structure) == one.getNumParticles() and len(structure.molecules) == 1


def _is_known(force: "openmm.Force") -> bool:
    kind = type(force).__name__
    return kind in BONDED or (kind in PAIRED and force.getNonbondedMethod() == force.NoCutoff)


def reach_of(structure: Structure) -> float:
    """A distance that no two atoms of a molecule can have between them, nm: if all bonds between them lay in a row, each as long as it can be.

    Args:
        structure: One molecule.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import shortest_path

    lengths = np.where((structure.numbers[structure.bonds] > FLUORINE).any(axis=1), LONG_BOND, SHORT_BOND)
    graph = csr_array((lengths, structure.bonds.T), shape=(len(structure), len(structure)))
    return float(shortest_path(graph, directed=False).max())


@dataclass(frozen=True)
class Copies:
    """How many copies, and how far apart.

    Args:
        count: How many; one is the molecule itself, wherever it is.
        reach: Of its atoms, nm.
    """

    count: int = 1
    reach: float = 0.0

    @classmethod
    def of(cls, structure: Structure, count: int) -> "Copies":
        """Of a molecule.

        Args:
            structure: It; of which `can_be_copied` says so, where there is more than one.
            count: How many.
        """
        return cls(count, reach_of(structure) if count > 1 else 0.0)

    def side_by_side(self, one: "openmm.System") -> "openmm.System":
        """Copies of a System, one after the other in the order of atoms; the System itself where there is one.

        Without a reaction field (dielectric constant 1), forces within the cutoff are those without one.

        Args:
            one: Of the molecule alone.
        """
        import openmm

        if self.count == 1:
            return one
        root = ElementTree.fromstring(openmm.XmlSerializer.serialize(one))
        atoms = one.getNumParticles()
        for container in (*root.findall("./Particles"), *root.findall("./Constraints"), *root.findall("./Forces/Force/*")):
            _repeat(container, self.count, atoms)
        for force in root.findall("./Forces/Force"):
            if force.get("type") in PAIRED:
                force.attrib.update({"method": CUTOFF, "cutoff": repr(self.reach)} | ({"rfDielectric": "1"} if force.get("type") == "NonbondedForce" else {}))
        return openmm.XmlSerializer.deserialize(ElementTree.tostring(root, encoding="unicode"))

    def apart(self, positions: Floats) -> Floats:
        """Copies laid out on a grid, each with its middle on a point of it, (k n, 3), nm; one stays where it is.

        Args:
            positions: Of each copy, (k, n, 3), nm.
        """
        if self.count == 1:
            return np.asarray(positions[0])
        side = int(np.ceil(len(positions) ** (1 / 3)))
        grid = np.stack(np.unravel_index(np.arange(len(positions)), (side, side, side)), axis=1) * (2.0 * self.reach + MARGIN)
        return np.asarray((positions - positions.mean(axis=1, keepdims=True) + grid[:, None]).reshape(-1, 3))


def _repeat(container: ElementTree.Element, count: int, atoms: int) -> None:
    """Rows that number particles come again with those of each copy; rows of particles come again as they are."""
    rows = list(container)
    if container.tag != "Particles" and not any(INDEX.fullmatch(name) for row in rows for name in row.attrib):
        return
    for copy in range(1, count):
        for row in rows:
            shifted = {name: str(int(value) + copy * atoms) if INDEX.fullmatch(name) else value for name, value in row.attrib.items()}
            container.append(ElementTree.Element(row.tag, shifted))
