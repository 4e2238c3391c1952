"""Whole: undo what a periodic box does to a molecule, so that a network sees it in one piece.

Knows bonds and boxes and must not know energies.
"""

import numpy as np

from studio.structure import Floats, Integers, Structure


class MakeWhole:
    """Puts the atoms of a region into one image: each atom next to its bonded parent, each molecule next to the first.

    OpenMM may hand over positions in any image (openmm#5421).

    Args:
        structure: The region's atoms, bonds among themselves.
    """

    def __init__(self, structure: Structure) -> None:
        self._children, self._parents = _spanning_tree(structure)

    def __call__(self, positions: Floats, box: Floats | None) -> Floats:
        """Positions in one image.

        Args:
            positions: (n, 3), nm, in any images.
            box: Reduced periodic box vectors as rows (3, 3), nm; none returns the positions as they are.
        """
        if box is None or self._children.size == 0:
            return positions
        images = np.rint((positions[self._children] - positions[self._parents]) @ np.linalg.inv(box))
        if not images.any():
            return positions
        shifts = np.zeros_like(positions)
        for child, parent, image in zip(self._children, self._parents, images, strict=True):
            shifts[child] = shifts[parent] + image
        return np.asarray(positions - shifts @ box)


def minimum_image(vectors: Floats, box: Floats | None) -> Floats:
    """The shortest of the images of each vector; exact up to half the smallest distance between opposite faces.

    Args:
        vectors: (..., 3), nm.
        box: Reduced periodic box vectors as rows (3, 3), nm; none returns the vectors as they are.
    """
    return vectors if box is None else np.asarray(vectors - np.rint(vectors @ np.linalg.inv(box)) @ box)


def half_width(box: Floats) -> float:
    """Half the smallest distance between opposite faces, nm.

    Args:
        box: Periodic box vectors as rows (3, 3), nm.
    """
    return 0.5 * float((1.0 / np.linalg.norm(np.linalg.inv(box), axis=0)).min())


def _spanning_tree(structure: Structure) -> tuple[Integers, Integers]:
    """Child and parent of every tree edge, parents first; roots of later molecules hang from the first root."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import breadth_first_order

    n = len(structure)
    roots = [int(atoms[0]) for atoms in structure.molecules]
    pairs = np.concatenate([structure.bonds, np.array([(roots[0], root) for root in roots[1:]], dtype=np.int64).reshape(-1, 2)])
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    order, parent = breadth_first_order(graph.tocsr(), roots[0], directed=False)
    return np.asarray(order[1:], dtype=np.int64), np.asarray(parent[order[1:]], dtype=np.int64)
