"""Subset: the part of an OpenMM System that lives on some of its particles.

Works on OpenMM's own XML form, so that every force class is treated alike: entries that name particles stay if all of
them stay, lists with one entry per particle are thinned. Knows Systems and must not know structures.
"""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING
from xml.etree import ElementTree

if TYPE_CHECKING:
    import openmm

_NAMES_PARTICLE = re.compile(r"^(?:[pab]\d+|index)$")
"""Attributes by which OpenMM's XML names particles: p1, p2, ..; a1 to b4 of CMAP torsions; `index` of a single one."""


def subset(system: "openmm.System", atoms: Iterable[int]) -> "openmm.System":
    """A new System with just `atoms`, in the order of the old one, and every term that lies within them.

    Args:
        system: Left as it is.
        atoms: Indices of the particles to keep, any order.
    """
    import openmm

    new = {old: index for index, old in enumerate(sorted(int(i) for i in atoms))}
    root = ElementTree.fromstring(openmm.XmlSerializer.serialize(system))
    _thin(root, new, system.getNumParticles())
    return openmm.XmlSerializer.deserialize(ElementTree.tostring(root, encoding="unicode"))


def _thin(element: ElementTree.Element, new: dict[int, int], count: int) -> None:
    """Drop what names lost particles below `element` and renumber the rest, in place."""
    children = list(element)
    if element.tag == "Particles" and len(children) == count and not any("index" in child.attrib for child in children):
        for position, child in enumerate(children):
            if position not in new:
                element.remove(child)
    for child in list(element):
        named = {key: int(value) for key, value in child.attrib.items() if _NAMES_PARTICLE.match(key)}
        if all(index in new for index in named.values()):
            child.attrib.update({key: str(new[index]) for key, index in named.items()})
            _thin(child, new, count)
        else:
            element.remove(child)
