"""Subset: the part of an OpenMM System that lives on some of its particles.

Works on OpenMM's own XML form, so that every force class is treated alike: entries that name particles stay if all of
them stay, lists with one entry per particle are thinned. Knows Systems and must not know structures.
"""

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING
from xml.etree import ElementTree

if TYPE_CHECKING:
    import openmm

_NAMES_PARTICLE = re.compile(r"^(?:[pab]\d+|index)$")
"""Attributes by which OpenMM's XML names particles: p1, p2, ..; a1 to b4 of CMAP torsions; `index` of a single one."""


Chooser = Callable[[tuple[int, ...]], bool]
"""Takes the particles of a term, in the term's order; says whether it stays."""


def subset(system: "openmm.System", atoms: Iterable[int], belongs: Chooser | None = None) -> "openmm.System":
    """A new System with just `atoms`, in the order of the old one, and the terms that lie within them.

    Args:
        system: Left as it is.
        atoms: Indices of the particles to keep, any order.
        belongs: Of the terms of two and more particles within `atoms`, those that stay; all of them when left out.
    """
    import openmm

    new = {old: index for index, old in enumerate(sorted(int(i) for i in atoms))}
    root = ElementTree.fromstring(openmm.XmlSerializer.serialize(system))
    _thin(root, new, system.getNumParticles(), belongs or (lambda _term: True))
    return openmm.XmlSerializer.deserialize(ElementTree.tostring(root, encoding="unicode"))


def _thin(element: ElementTree.Element, new: dict[int, int], count: int, belongs: Chooser) -> None:
    """Drop what names lost particles below `element` and renumber the rest, in place."""
    _drop_particles(element, set(range(count)) - set(new), count)
    for child in list(element):
        named = sorted(key for key in child.attrib if _NAMES_PARTICLE.match(key))
        term = tuple(int(child.attrib[key]) for key in named)
        if not new.keys() >= set(term) or (len(term) > 1 and not belongs(term)):
            element.remove(child)
            continue
        child.attrib.update({key: str(new[index]) for key, index in zip(named, term, strict=True)})
        _thin(child, new, count, belongs)


def _drop_particles(element: ElementTree.Element, lost: set[int], count: int) -> None:
    """Drop those of a list that has a line for each particle and names none of them."""
    children = list(element)
    if element.tag == "Particles" and len(children) == count and not any("index" in child.attrib for child in children):
        for position in lost:
            element.remove(children[position])
