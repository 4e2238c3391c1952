"""Force maps: what atoms feel, as what beads feel.

    F = C f,   C M^T = 1

f: forces on atoms, F: on beads, M: the map of positions (`mapping`). Any C with this identity has the same mean force at
given bead positions (Noid 2008, 10.1063/1.2938860, eq. 25), so that maps differ in their noise only. Where lengths are
constrained, forces along them are not in f: atoms that hang together count alike (Kraemer 2023, 10.1021/acs.jpclett.3c00444).
Knows mappings and arrays; must not know what made the forces.
"""

from typing import Literal

import numpy as np

from studio.coarse.mapping import Mapping
from studio.errors import SettingsError, UnsupportedError
from studio.structure import Floats, Integers

Kind = Literal["slice", "aggregate", "optimised"]
RIDGE = 1e-9
"""Of the optimised map, in parts of the mean squared force: makes the minimum unique, and changes nothing else."""


def force_map(mapping: Mapping, kind: Kind, constraints: Integers | None = None, forces: Floats | None = None) -> Floats:
    """C, (b, n).

    Args:
        mapping: Of the positions.
        kind: `slice` (the force on the bead's own atoms, noisy, and wrong where they are constrained), `aggregate` (those and the
            atoms constrained to them), or `optimised` (least noise on the sampled forces).
        constraints: Pairs of atoms at constrained distance, (c, 2).
        forces: Sampled forces for the optimised map, (frames, n, 3), kJ/mol/nm.

    Raises:
        SettingsError: The optimised map is asked for without forces.
        UnsupportedError: A constraint joins two beads.
    """
    if kind == "slice":
        return np.asarray(np.linalg.solve(mapping.matrix @ mapping.matrix.T, mapping.matrix))
    pieces = _pieces(mapping.atoms, constraints)
    if kind == "aggregate":
        return _aggregate(mapping, pieces)
    if forces is None:
        raise SettingsError("The optimised force map is fitted to sampled forces; got none. Give forces, or choose aggregate.")
    return _optimised(mapping, pieces, forces)


def noise(bead_map: Floats, forces: Floats) -> Floats:
    """Mean squared force on each bead, (b,), (kJ/mol/nm)^2: maps of one mapping differ in it by their noise.

    Args:
        bead_map: C, (b, n).
        forces: On atoms, (frames, n, 3), kJ/mol/nm.
    """
    return np.asarray((np.einsum("bn,fnx->fbx", bead_map, forces) ** 2).sum(axis=2).mean(axis=0))


def _pieces(atoms: int, constraints: Integers | None) -> Integers:
    """For each atom the number of the rigid piece that it is part of, (n,)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pairs = np.zeros((0, 2), dtype=np.int64) if constraints is None else constraints
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(atoms, atoms))
    return np.asarray(connected_components(graph, directed=False)[1])


def _aggregate(mapping: Mapping, pieces: Integers) -> Floats:
    """The atoms of each bead and what is constrained to them, all with 1."""
    result = np.zeros((len(mapping), mapping.atoms))
    for bead, group in enumerate(mapping.groups):
        result[bead, np.isin(pieces, pieces[group])] = 1.0
    if (result.sum(axis=0) > 1.0).any():
        raise UnsupportedError("A constrained bond joins two beads, so that their forces cannot be told apart. Sample without that constraint.")
    return result


def _optimised(mapping: Mapping, pieces: Integers, forces: Floats) -> Floats:
    """The minimum of <|C f|^2> under C M^T = 1, a quadratic programme per bead that is solved by its KKT equations.

    Unknowns are the coefficients z of rigid pieces: minimise z^T S z with A z = e_I; S: mean product of the pieces' forces.
    """
    count = int(pieces.max()) + 1
    member = np.zeros((mapping.atoms, count))
    member[np.arange(mapping.atoms), pieces] = 1.0
    together = np.einsum("fnx,np->fpx", forces, member)
    moment = np.einsum("fpx,fqx->pq", together, together) / len(forces)
    moment += RIDGE * float(np.trace(moment)) / count * np.eye(count)
    sums = mapping.matrix @ member
    beads = len(mapping)
    kkt = np.block([[moment, sums.T], [sums, np.zeros((beads, beads))]])
    if np.linalg.matrix_rank(sums) < beads:
        raise UnsupportedError("A constrained bond joins two beads, so that their forces cannot be told apart. Sample without that constraint.")
    wanted = np.concatenate([np.zeros((count, beads)), np.eye(beads)])
    return np.asarray((member @ np.linalg.solve(kkt, wanted)[:count]).T)
