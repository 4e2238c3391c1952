"""Embedding: what the MM charges around do to an ML region whose network predicts its own charges.

    dU_q = k_e sum_{i in L, j not in L} [q_i(R_L) - q_i^MM] q_j f(r_ij),  f(r) = [w(r) + erf(r/a) - 1] / r
    U_pol = min over mu of k_e [ 1/2 mu^T A mu + sum_i mu_i . grad_i V ],  V(R_i) = sum_j q_j f(r_ij)

w falls from 1 to 0 at the cutoff and is twice differentiable there, erf damps close contacts (a: `CONTACT`). P1: A = 1/alpha, hence U_pol = -1/2
k_e sum alpha_i |grad V|^2; P2: A = 1/alpha + T with Thole's damped dipole tensor T, so that induced dipoles feel each
other (EMLE eq. 20, 10.1021/acs.jctc.2c00914). alpha_i = alpha_free(Z_i) h_i with the network's volume ratios h_i, where
it predicts them. Since U_pol is a minimum over mu, no force depends on how mu changes.

Beyond the cutoff, and in the reciprocal part of PME, the region acts by its MM charges. At a cut bond A-B the network's
charge of the link hydrogen is added to A, and the MM charge of B is moved onto its neighbours with a pair of charges
beside each that restores the dipole (Sherwood 2003, 10.1016/S0166-1280(03)00285-9), for these energies only.
This file knows positions and charges; it must not know OpenMM Contexts or networks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from studio.errors import SettingsError, UnsupportedError
from studio.forcefield.base import MMSystem
from studio.hybrid.boundary import Part
from studio.hybrid.whole import half_width, minimum_image
from studio.potentials.free_atoms import FREE_ATOMS
from studio.structure import Floats, Integers, Structure
from studio.units import COULOMB, NM_PER_BOHR

Polarisation = Literal["none", "P1", "P2"]

CONTACT = 0.1
"""Width a of the damping of close contacts, nm: erf(r/a) is 0.995 at a hydrogen bond of 0.2 nm and 1 beyond 0.3 nm."""
THOLE = 0.39
"""Thole's damping of dipoles within the region (exponential form of Ren and Ponder 2003, 10.1021/jp027815+)."""
PAIR = 0.1
"""The charges that restore the dipole sit this part of the bond B-M before and behind M."""


@dataclass(frozen=True)
class Electrostatic:
    """Settings of electrostatic embedding.

    Args:
        polarisation: `none`, `P1` (each atom by itself) or `P2` (coupled dipoles).
        cutoff: Where the interaction ends, nm; left out: the force field's in a box, 0.9 nm elsewhere.
    """

    polarisation: Polarisation = "none"
    cutoff: float | None = None


class Embedded(NamedTuple):
    """Energies of one embedded region, kJ/mol, and their derivatives.

    Args:
        coulomb: dU_q.
        polarisation: U_pol.
        forces: On all atoms, charges and ratios held, (N, 3), kJ/mol/nm.
        by_charge: Derivative by the charges of the capped region, (n + l,), kJ/mol/e.
        by_ratio: Derivative by its volume ratios, (n + l,), kJ/mol.
    """

    coulomb: float
    polarisation: float
    forces: Floats
    by_charge: Floats
    by_ratio: Floats


@dataclass(frozen=True, eq=False)
class Sites:
    """Where the MM charges sit: on an atom, or a little before or behind it on the line from a neighbour.

    Args:
        atoms: The atom of each site, (m,).
        neighbours: The neighbour; the atom itself for a charge on it, (m,).
        stretch: r = r_atom + stretch (r_atom - r_neighbour), (m,).
        charges: e, (m,).
    """

    atoms: Integers
    neighbours: Integers
    stretch: Floats
    charges: Floats

    def place(self, positions: Floats, box: Floats | None) -> Floats:
        """Positions of the sites, (m, 3), nm, from those of all atoms in any images."""
        places = positions[self.atoms]
        off = np.flatnonzero(self.stretch)
        along = minimum_image(places[off] - positions[self.neighbours[off]], box)
        places[off] += self.stretch[off, None] * along
        return places

    def spread(self, forces: Floats, count: int) -> Floats:
        """Forces on all atoms, (count, 3), from forces on the sites (m, 3)."""
        off = np.flatnonzero(self.stretch)
        levers = self.stretch[off, None] * forces[off]
        return _sum(self.atoms, forces, count) + _sum(self.atoms[off], levers, count) - _sum(self.neighbours[off], levers, count)


class Embedding:
    """dU_q + U_pol of one region among MM charges.

    Args:
        mm: The full system.
        part: The region.
        sites: The MM charges around all regions.
        settings: What is counted.

    Raises:
        SettingsError: The cutoff is longer than half the box.
        UnsupportedError: Polarisation of an element without a known polarisability.
    """

    def __init__(self, mm: MMSystem, part: Part, sites: Sites, settings: Electrostatic) -> None:
        self._part, self._sites, self._settings = part, sites, settings
        self._cutoff = _checked_cutoff(mm, settings)
        charges: Floats = mm_charges(mm)[part.atoms]
        drawn = int(mm.structure.formal_charges[part.atoms].sum())
        # A cut leaves part of an integer charge on the other side; evened out, what the network changes has no net charge.
        self._mm = charges - (charges.sum() - drawn) / len(charges)
        self._free = _free_polarisabilities(mm.structure.take(part.atoms)) if settings.polarisation != "none" else np.zeros(len(charges))

    def __call__(self, region: Floats, positions: Floats, box: Floats | None, charges: Floats, ratios: Floats) -> Embedded:
        """Energies and derivatives.

        Args:
            region: Positions of the region's atoms, whole, (n, 3), nm.
            positions: Positions of all atoms in any images, (N, 3), nm.
            box: Periodic box vectors as rows, (3, 3), nm, or none.
            charges: Predicted for the capped region, e, (n + l,).
            ratios: Predicted for the capped region, (n + l,).
        """
        i, j, away = self._pairs(region, positions, box)
        source = self._sites.charges[j]
        f, g, h = radial(np.sqrt(np.einsum("ij,ij->i", away, away)), self._cutoff)
        potential = np.bincount(i, source * f, len(region))
        slope = _sum(i, (source * g)[:, None] * away, len(region))
        shift = self._part.fold(charges) - self._mm
        alpha = self._free * ratios[: len(region)]
        dipoles, mutual, by_alpha = self._induce(region, alpha, slope)
        pull = (source * shift[i] * g)[:, None] * away
        if dipoles.any():
            along = np.einsum("ij,ij->i", dipoles[i], away)
            pull += (source * along * h)[:, None] * away + (source * g)[:, None] * dipoles[i]
        pull *= COULOMB
        forces = self._sites.spread(_sum(j, pull, len(self._sites.charges)), len(positions))
        forces[self._part.atoms] += mutual - _sum(i, pull, len(region))
        by_charge, by_ratio = np.zeros_like(charges), np.zeros_like(ratios)
        by_charge[: len(region)], by_ratio[: len(region)] = COULOMB * potential, by_alpha * self._free
        by_charge[len(region) :] = by_charge[self._part.inner]
        return Embedded(COULOMB * float(shift @ potential), 0.5 * COULOMB * float((dipoles * slope).sum()), forces, by_charge, by_ratio)

    def _pairs(self, region: Floats, positions: Floats, box: Floats | None) -> tuple[Integers, Integers, Floats]:
        """Row of the region, row of the sites, and vector from site to atom, of all pairs within the cutoff."""
        centre = region.mean(axis=0)
        inner = region - centre
        reach = self._cutoff + float(np.linalg.norm(inner, axis=1).max())
        near, outer = _images_near(self._sites.place(positions, box) - centre, reach, box)
        squares = (inner**2).sum(axis=1)[:, None] + (outer**2).sum(axis=1) - 2.0 * inner @ outer.T
        i, k = np.divmod(np.flatnonzero(squares.ravel() < self._cutoff**2), max(1, len(near)))
        return i, near[k], inner[i] - outer[k]

    def _induce(self, region: Floats, alpha: Floats, slope: Floats) -> tuple[Floats, Floats, Floats]:
        """Induced dipoles (n, 3), e nm; what they do to each other, (n, 3), kJ/mol/nm; dU_pol/dalpha, (n,), kJ/mol/nm^3."""
        if self._settings.polarisation == "none":
            return np.zeros_like(slope), np.zeros_like(slope), np.zeros_like(alpha)
        if self._settings.polarisation == "P1":
            return -alpha[:, None] * slope, np.zeros_like(slope), -0.5 * COULOMB * (slope**2).sum(axis=1)
        matrix = np.diag(np.repeat(1.0 / alpha, 3)) + thole_tensor(region, alpha)
        dipoles = np.asarray(-np.linalg.solve(matrix, slope.ravel()).reshape(-1, 3), dtype=np.float64)
        forces, by_alpha = _thole_slopes(region, alpha, dipoles)
        return dipoles, COULOMB * forces, COULOMB * (by_alpha - 0.5 * (dipoles**2).sum(axis=1) / alpha**2)


def mm_charges(mm: MMSystem) -> Floats:
    """Charges of all atoms in the force field, e, (N,)."""
    import openmm
    from openmm import unit

    charges = np.zeros(len(mm.structure))
    for force in mm.system.getForces():
        if isinstance(force, openmm.NonbondedForce):
            charges += [force.getParticleParameters(i)[0].value_in_unit(unit.elementary_charge) for i in range(len(charges))]
    return charges


def surroundings(mm: MMSystem, parts: Sequence[Part]) -> Sites:
    """The MM charges around all ML regions, with the charges of MM hosts moved onto their neighbours.

    Args:
        mm: The full system.
        parts: All ML regions: the interaction between them stays MM.

    Raises:
        UnsupportedError: An MM host has no neighbour that could take its charge; named.
    """
    structure, charges = mm.structure, mm_charges(mm)
    inside = np.zeros(len(structure), dtype=np.bool_)
    inside[np.concatenate([part.atoms for part in parts])] = True
    hosts = np.concatenate([part.hosts for part in parts])
    moved: list[tuple[int, int, float, float]] = []
    for host in hosts.tolist():
        takers = _takers(structure, inside, hosts, host)
        share = charges[host] / len(takers)
        for atom in takers:
            moved += [(atom, atom, 0.0, share), (atom, host, PAIR, -share / (2 * PAIR)), (atom, host, -PAIR, share / (2 * PAIR))]
    charges[hosts] = 0.0
    outside = np.flatnonzero(~inside & (charges != 0.0))
    table = np.array(moved, dtype=np.float64).reshape(-1, 4)
    atoms, neighbours = (np.concatenate([outside, table[:, column].astype(np.int64)]) for column in (0, 1))
    return Sites(atoms, neighbours, np.concatenate([np.zeros(len(outside)), table[:, 2]]), np.concatenate([charges[outside], table[:, 3]]))


def radial(r: Floats, cutoff: float) -> tuple[Floats, Floats, Floats]:
    """f(r) = [w(r) + erf(r/a) - 1]/r, 1/nm, with g = f'/r and h = g'/r.

    w = 1 - 15/8 x + 5/4 x^3 - 3/8 x^5, x = r / cutoff: each charge with a smooth neutral cloud around it, so that f, f' and
    f'' vanish at the cutoff. A switch over the last 0.2 nm would do for energies, but its slope makes fields of its own
    that are far larger than the true one (P1 of a TYK2 inhibitor in water: -1250 kJ/mol instead of -36).

    Args:
        r: Distances below the cutoff, nm.
        cutoff: Where f ends, nm.
    """
    from scipy.special import erf

    r = np.maximum(r, 1e-4)  # the differences below would cancel; no two atoms come that close
    smeared, bell = erf(r / CONTACT) / r, 2.0 / (np.sqrt(np.pi) * CONTACT) * np.exp(-((r / CONTACT) ** 2))
    smeared1 = (bell - smeared) / r
    smeared2 = (-2.0 * r / CONTACT**2 * bell - 2.0 * smeared1) / r
    x = (r / cutoff) ** 2
    g = smeared1 / r + (2.5 - 1.5 * x) / cutoff**3
    return smeared + (-1.875 + 1.25 * x - 0.375 * x**2) / cutoff, g, (smeared2 + (2.5 - 4.5 * x) / cutoff**3 - g) / r**2


def thole_tensor(positions: Floats, alpha: Floats) -> Floats:
    """T of coupled dipoles, (3n, 3n), 1/nm^3: T_ij = lambda3 1/r^3 - 3 lambda5 r r^T/r^5, zero for i = j.

    lambda3 = 1 - exp(-v), lambda5 = 1 - (1 + v) exp(-v), v = THOLE r^3 / sqrt(alpha_i alpha_j).

    Args:
        positions: (n, 3), nm.
        alpha: Polarisabilities, nm^3, (n,).
    """
    i, j, away, r, v = _dipole_pairs(positions, alpha)
    near, far = _thole_decay(r, v)
    blocks = near[:, None, None] * np.eye(3) - 3.0 * far[:, None, None] * away[:, :, None] * away[:, None, :]
    tensor = np.zeros((len(alpha), 3, len(alpha), 3))
    tensor[i, :, j], tensor[j, :, i] = blocks, blocks
    return tensor.reshape(3 * len(alpha), 3 * len(alpha))


def _thole_slopes(positions: Floats, alpha: Floats, dipoles: Floats) -> tuple[Floats, Floats]:
    """Of 1/2 mu^T T mu at fixed mu: minus the slope by positions (n, 3), and the slope by polarisabilities (n,)."""
    i, j, away, r, v = _dipole_pairs(positions, alpha)
    far = _thole_decay(r, v)[1]
    at_i, at_j = (dipoles[i] * away).sum(axis=1), (dipoles[j] * away).sum(axis=1)
    dot, product = (dipoles[i] * dipoles[j]).sum(axis=1), at_i * at_j
    far1 = (3.0 * v**2 * np.exp(-v) / r**5 - 5.0 * far) / r  # the slope of `near` is -3 r `far`
    pull = -3.0 * ((far * dot + far1 / r * product)[:, None] * away + far[:, None] * (at_j[:, None] * dipoles[i] + at_i[:, None] * dipoles[j]))
    by_v = np.exp(-v) * (dot / r**3 - 3.0 * v * product / r**5)
    count = len(alpha)
    by_log = -0.5 * v * by_v  # v goes with the square root of each polarisability
    return _sum(j, pull, count) - _sum(i, pull, count), (np.bincount(i, by_log, count) + np.bincount(j, by_log, count)) / alpha


def _thole_decay(r: Floats, v: Floats) -> tuple[Floats, Floats]:
    """lambda3/r^3 and lambda5/r^5."""
    return -np.expm1(-v) / r**3, (1.0 - (1.0 + v) * np.exp(-v)) / r**5


def _dipole_pairs(positions: Floats, alpha: Floats) -> tuple[Integers, Integers, Floats, Floats, Floats]:
    i, j = np.triu_indices(len(alpha), k=1)
    away = positions[i] - positions[j]
    r = np.linalg.norm(away, axis=1)
    return i, j, away, r, THOLE * r**3 / np.sqrt(alpha[i] * alpha[j])


def _images_near(places: Floats, reach: float, box: Floats | None) -> tuple[Integers, Floats]:
    """Rows and positions (k, 3) of all images of `places` (m, 3) within `reach` of the origin, nm."""
    images, shifts = minimum_image(places, box), np.zeros((1, 3))
    if box is not None and reach > half_width(box):  # a second image may be within reach as well
        shifts = np.stack(np.meshgrid(*[(-1, 0, 1)] * 3), axis=-1).reshape(-1, 3) @ box
    squares = (images**2).sum(axis=1) + (shifts**2).sum(axis=1)[:, None] + 2.0 * shifts @ images.T
    which, rows = np.divmod(np.flatnonzero(squares.ravel() < reach**2), max(1, len(places)))
    return rows, images[rows] + shifts[which]


def _sum(rows: Integers, values: Floats, count: int) -> Floats:
    """Sums of the (p, 3) `values` that share a row, (count, 3)."""
    return np.stack([np.bincount(rows, values[:, axis], count) for axis in range(3)], axis=1, dtype=np.float64)


def _takers(structure: Structure, inside: np.ndarray, hosts: Integers, host: int) -> list[int]:
    bonded = structure.bonds[(structure.bonds == host).any(axis=1)].ravel()
    takers = [int(atom) for atom in np.unique(bonded) if atom != host and not inside[atom] and atom not in hosts]
    if not takers:
        raise UnsupportedError(
            f"The charge of {structure.label(host)}, next to the cut, cannot be moved: it has no other MM neighbour. "
            "Take it into the region, cut elsewhere, or use mechanical embedding."
        )
    return takers


def _checked_cutoff(mm: MMSystem, settings: Electrostatic) -> float:
    import openmm
    from openmm import unit

    box = mm.structure.box
    if box is None:
        return settings.cutoff or 0.9
    own = [force.getCutoffDistance().value_in_unit(unit.nanometer) for force in mm.system.getForces() if isinstance(force, openmm.NonbondedForce)]
    cutoff = settings.cutoff or (own[0] if own else 0.9)
    if cutoff > half_width(box):
        raise SettingsError(
            f"Electrostatic embedding reaches {cutoff:g} nm, but half the box is {half_width(box):.2f} nm. Choose a shorter cutoff or a larger box."
        )
    return cutoff


def _free_polarisabilities(structure: Structure) -> Floats:
    """Of the free atoms, nm^3, (n,).

    Raises:
        UnsupportedError: Not known for an element.
    """
    unknown = [i for i, z in enumerate(structure.numbers) if int(z) not in FREE_ATOMS]
    if unknown:
        raise UnsupportedError(f"The polarisability of {structure.label(unknown[0])} is not known here. Choose electrostatic embedding without polarisation.")
    return np.array([FREE_ATOMS[int(z)][0] for z in structure.numbers]) * NM_PER_BOHR**3
