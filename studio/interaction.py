"""Interaction: what a ligand and each residue around it say to each other, by molecular mechanics.

Coulomb and Lennard-Jones energies of all pairs of atoms between the ligand and a row (a residue, all water), without cutoff
and in vacuum, so that rows add up to the whole. Knows Systems and places; must not know potentials, recordings or recipes.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from studio.partners import Partners
from studio.structure import Floats, Integers
from studio.units import COULOMB

if TYPE_CHECKING:
    import openmm

BLOCK = 2_000_000
"""Pairs of atoms that are in memory at once."""


@dataclass(frozen=True, eq=False)
class Nonbonded:
    """Parameters of the non-bonded terms of all atoms.

    Args:
        charges: (n,), e.
        sigmas: (n,), nm.
        epsilons: (n,), kJ/mol.
    """

    charges: Floats
    sigmas: Floats
    epsilons: Floats

    @classmethod
    def of(cls, system: "openmm.System") -> "Nonbonded":
        """Those of an OpenMM System.

        Args:
            system: With one NonbondedForce.
        """
        import openmm

        force = next(force for force in system.getForces() if isinstance(force, openmm.NonbondedForce))
        rows = [[float(value._value) for value in force.getParticleParameters(atom)] for atom in range(force.getNumParticles())]
        return cls(*np.array(rows, dtype=np.float64).reshape(-1, 3).T)


def pair_energies(parameters: Nonbonded, ours: Integers, theirs: Integers, positions: Floats) -> tuple[Floats, Floats]:
    """Coulomb and Lennard-Jones energies of each of some atoms with all of some others, (m,) each, kJ/mol.

    E = k q_i q_j / r + 4 e [(s/r)^12 - (s/r)^6], with s = (s_i + s_j) / 2 and e = sqrt(e_i e_j) (Lorentz and Berthelot).

    Args:
        parameters: Of all atoms.
        ours: The others, such as the ligand.
        theirs: The atoms that are told apart, (m,); not bonded to `ours`.
        positions: (n, 3), nm.
    """
    coulomb, dispersion = np.zeros(len(theirs)), np.zeros(len(theirs))
    piece = max(1, BLOCK // max(len(ours), 1))
    for start in range(0, len(theirs), piece):
        some = theirs[start : start + piece]
        inverse = 1.0 / np.linalg.norm(positions[some, None] - positions[None, ours], axis=-1)
        coulomb[start : start + piece] = COULOMB * parameters.charges[some] * (inverse @ parameters.charges[ours])
        sixth = (0.5 * (parameters.sigmas[some, None] + parameters.sigmas[ours]) * inverse) ** 6
        depth = np.sqrt(parameters.epsilons[some, None] * parameters.epsilons[ours])
        dispersion[start : start + piece] = (4.0 * depth * (sixth * sixth - sixth)).sum(axis=1)
    return coulomb, dispersion


def row_energies(parameters: Nonbonded, pair: Partners, positions: Floats, box: Floats | None = None) -> Floats:
    """Coulomb and Lennard-Jones energy of the ligand with each row, (rows, 2), kJ/mol.

    Args:
        parameters: Of all atoms.
        pair: The ligand and the rows.
        positions: (n, 3), nm, ligand and receptor whole and beside each other.
        box: Vectors (3, 3), nm, or none; water is taken in its nearest image.
    """
    placed = pair.nearest(np.asarray(positions, dtype=np.float64), box)
    theirs = np.concatenate([row.atoms for row in pair.rows])
    owners = np.repeat(np.arange(len(pair.rows)), [len(row.atoms) for row in pair.rows])
    return np.stack([np.bincount(owners, part, minlength=len(pair.rows)) for part in pair_energies(parameters, pair.ligand, theirs, placed)], axis=1)


def row_distances(pair: Partners, positions: Floats, box: Floats | None = None) -> Floats:
    """Smallest distance between a heavy atom of each row and one of the ligand, (rows,), nm; infinite for a row of hydrogens.

    Args:
        pair: The ligand and the rows.
        positions: (n, 3), nm.
        box: Vectors (3, 3), nm, or none.
    """
    from scipy.spatial import cKDTree

    placed, heavy = pair.nearest(np.asarray(positions, dtype=np.float64), box), pair.structure.numbers > 1
    tree = cKDTree(placed[pair.ligand[heavy[pair.ligand]]])
    return np.array([tree.query(placed[row.atoms[heavy[row.atoms]]])[0].min(initial=np.inf) for row in pair.rows])
