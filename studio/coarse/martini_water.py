"""Martini water: a box of water beads and ions around a protein. One water bead (W) stands for four molecules, an ion (TQ5) for itself and its shell.

Knows positions and the numbers of particles; must not know forces.
"""

from dataclasses import replace

import numpy as np

from studio.coarse.residues import bead_of
from studio.errors import StructureError
from studio.structure import Floats, Integers, Residue, Structure

DENSITY = 8.26
"""Water beads per nm^3 at 300 K and 1 bar: 0.987 g/cm^3, by this program and by GROMACS alike."""
SPECIFIC = 0.73 / 602.214
"""Volume that a protein takes, nm^3/Da."""
ROOM = 0.43
"""Closest to the protein that a water bead is put, nm."""
LARGEST, NARROWEST = 30_000, 2.6
"""Beads in a box; its least width, nm, well above twice the cutoff."""
WATER, SODIUM, CHLORIDE = ("WAT", "W", 8), ("NA", "NA", 11), ("CL", "CL", 17)
"""Names of residue and bead, and the element that they are shown as."""
PER_LITRE = 0.602214076
"""One mol/l in particles per nm^3."""


def in_water(beads: Structure, charge: int, padding: float, salt: float) -> Structure:
    """The protein in the middle of a periodic cube of water beads, with the ions that neutralise it and those of the salt.

    Args:
        beads: The protein.
        charge: Its charge, e.
        padding: Least distance between it and a face, however it turns, nm.
        salt: NaCl besides, mol/l.

    Raises:
        StructureError: The box would be too large, or has no room for the ions.
    """
    edge = width_of(beads.positions, padding)
    middle = beads.positions - beads.positions.mean(axis=0)
    places = _free(_lattice(edge), middle + 0.5 * edge, edge)
    width = float(np.cbrt(len(places) / DENSITY + SPECIFIC * sum(bead_of(residue.name).mass for residue in beads.residues)))
    pairs = round(salt * PER_LITRE * width**3)
    kinds = _kinds(len(places), pairs + max(0, -charge), pairs + max(0, charge))
    solvent = _solvent(places * width / edge, kinds)
    return replace(beads, positions=middle + 0.5 * width, box=width * np.eye(3)).join(solvent)


def width_of(places: Floats, padding: float) -> float:
    """How wide the box around a protein is, nm, before its water has found its density.

    Args:
        places: Positions of the protein, nm.
        padding: Least distance between it and a face, nm.

    Raises:
        StructureError: The box would be too large.
    """
    edge = 2.0 * float(np.linalg.norm(places - places.mean(axis=0), axis=1).max() + padding)
    if DENSITY * edge**3 > LARGEST:
        raise StructureError(
            f"The box would be {edge:.0f} nm wide and hold {DENSITY * edge**3:,.0f} beads; at most {LARGEST:,} are offered. Choose another level of beads."
        )
    return max(edge, NARROWEST)


def _lattice(edge: float) -> Floats:
    """A simple cubic lattice of the density of water, which melts at once, (w, 3), nm."""
    along = round(edge * DENSITY ** (1 / 3))
    step = (np.arange(along) + 0.5) * edge / along
    return np.stack(np.meshgrid(step, step, step, indexing="ij"), axis=-1).reshape(-1, 3)


def _free(lattice: Floats, protein: Floats, edge: float) -> Floats:
    """Places that no bead of the protein takes."""
    from scipy.spatial import cKDTree

    distance, _ = cKDTree(protein % edge, boxsize=edge).query(lattice % edge)
    return np.asarray(lattice[distance > ROOM])


def _kinds(places: int, sodium: int, chloride: int) -> Integers:
    """For each place 0 (water), 1 (sodium) or 2 (chloride).

    Raises:
        StructureError: There are more ions than a tenth of the places.
    """
    if sodium + chloride > places // 10:
        raise StructureError(f"{sodium + chloride} ions have no room among {places:,} water beads. Choose less salt or a larger box.")
    kinds = np.zeros(places, dtype=np.int64)
    chosen = np.random.default_rng(places).permutation(places)
    kinds[chosen[:sodium]], kinds[chosen[sodium : sodium + chloride]] = 1, 2
    return kinds


def _solvent(places: Floats, kinds: Integers) -> Structure:
    """Water beads and ions, ions last."""
    order = np.argsort(kinds, kind="stable")
    named = [(WATER, SODIUM, CHLORIDE)[kind] for kind in kinds[order].tolist()]
    n = len(order)
    return Structure(
        numbers=np.array([number for _, _, number in named]), positions=places[order], names=tuple(bead for _, bead, _ in named),
        residues=tuple(Residue(residue, str(index + 1), "W") for index, (residue, _, _) in enumerate(named)), residue_index=np.arange(n),
        bonds=np.zeros((0, 2), dtype=np.int64), bond_orders=np.zeros(0), formal_charges=np.array([0, 1, -1])[kinds[order]],
    )  # fmt: skip
