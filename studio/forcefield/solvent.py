"""Solvent: water and ions around a structure, cut from OpenMM's equilibrated water, as a box or as a droplet.

Works on structures only, so that what comes out is parametrised like anything else; must not know force-field files.
"""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from studio.errors import StructureError
from studio.structure import Droplet, Floats, Residue, Structure

WATER_RADIUS = 0.152
"""Van der Waals radius of oxygen, nm (Bondi 1964)."""
CLOSENESS = 0.75
"""Water stays where its oxygen is farther than this part of the sum of the radii from every other atom; displaces about as much as 1 bar does."""
EDGE = 0.20
"""Closest approach of two water oxygens across the seam of a box, nm."""
SEAM = 0.06
"""A cube this much larger is cut and squeezed to the size of the box, nm: it makes up for the waters that are lost at the seam."""
WATERS_PER_LITRE = 55.4
"""Amount of water in a litre at 298 K, mol."""
ION_DISTANCE = 0.5
"""Least distance of an added ion from the solute and from other ions, nm."""
MAX_WATERS = 200_000


def solvate_box(structure: Structure, padding: float, ionic_strength: float = 0.0, seed: int = 0) -> Structure:
    """Put a structure into a cube of water, neutralised, its centre at the centre of the box.

    Args:
        structure: Solute, possibly with water and ions of its own.
        padding: Least distance between solute and box face, nm.
        ionic_strength: Concentration of NaCl beyond what neutralises, mol/l.
        seed: Random seed of the places of ions.

    Raises:
        StructureError: The box would be too large.
    """
    middle = (structure.positions.min(axis=0) + structure.positions.max(axis=0)) / 2
    # The sphere around the molecule counts, not its shadow on the axes: it will tumble.
    side = float(2 * np.linalg.norm(structure.positions - middle, axis=1).max() + 2 * padding)
    waters_of_box = 33.4 * side**3
    if waters_of_box > MAX_WATERS:
        raise StructureError(f"A water box of {side:.1f} nm would hold {waters_of_box:,.0f} waters; expected at most {MAX_WATERS:,}. Use less padding.")
    solute = replace(structure.with_positions(structure.positions + side / 2 - middle), box=np.diag([side] * 3))
    oxygens, waters = _bulk(np.zeros(3), np.full(3, side + SEAM))
    squeezed = oxygens * (side / (side + SEAM))
    oxygens, waters = squeezed, waters + (squeezed - oxygens)[:, None]
    # The cut through the bulk leaves waters that clash with those at the opposite face: of each pair the later goes.
    seam = cKDTree(oxygens, boxsize=side).query_pairs(EDGE, output_type="ndarray")
    plain = np.linalg.norm(oxygens[seam[:, 0]] - oxygens[seam[:, 1]], axis=1)
    inside = np.ones(len(oxygens), dtype=np.bool_)
    inside[seam[plain > side / 2, 1]] = False
    inside &= _clear(oxygens, solute)
    return solute.join(*_water_and_ions(waters[inside], solute, ionic_strength, seed))


def solvate_sphere(structure: Structure, centre: Floats, radius: float, avoid: Structure | None = None) -> Structure:
    """Fill the free room in a sphere with water and set the structure's droplet.

    Args:
        structure: Solute.
        centre: Of the sphere, (3,), nm.
        radius: Of the sphere, nm.
        avoid: What takes up room, if more than the solute.
    """
    oxygens, waters = _bulk(centre - radius, centre + radius)
    inside = (np.linalg.norm(oxygens - centre, axis=1) < radius) & _clear(oxygens, avoid or structure)
    x, y, z = (float(value) for value in centre)
    solute = replace(structure, droplet=Droplet((x, y, z), radius))
    return solute.join(_waters(waters[inside])) if inside.any() else solute


@cache
def _bulk_water() -> tuple[Floats, float]:
    """Equilibrated water of OpenMM, (m, 3, 3) in nm with the oxygen first, and the side of its periodic cube."""
    import openmm.app

    text = (Path(openmm.app.__file__).parent / "data" / "tip3p.pdb").read_text()
    side = float(text[6:15]) / 10.0
    rows = [[float(line[k : k + 8]) / 10.0 for k in (30, 38, 46)] for line in text.splitlines() if line.startswith(("ATOM", "HETATM"))]
    return np.array(rows, dtype=np.float64).reshape(-1, 3, 3), side


def _bulk(low: Floats, high: Floats) -> tuple[Floats, Floats]:
    """Oxygens (m, 3) and whole waters (m, 3, 3) whose oxygens lie in the cuboid from `low` to `high`, nm."""
    water, side = _bulk_water()
    water = water - np.floor(water[:, :1] / side) * side
    counts = np.ceil((high - low) / side).astype(int)
    shifts = np.stack(np.meshgrid(*(np.arange(count) * side for count in counts), indexing="ij"), axis=-1).reshape(-1, 1, 1, 3)
    tiled = (water[None] + shifts).reshape(-1, 3, 3) + low
    inside = (tiled[:, 0] < high).all(axis=1)
    return tiled[inside, 0], tiled[inside]


def _clear(oxygens: Floats, solute: Structure) -> np.ndarray:
    """True for oxygens that do not overlap an atom of the solute or, in a box, one of its images."""
    from rdkit.Chem import GetPeriodicTable

    radii = {z: CLOSENESS * (GetPeriodicTable().GetRvdw(z) * 0.1 + WATER_RADIUS) for z in set(solute.numbers.tolist())}
    clear = np.ones(len(oxygens), dtype=np.bool_)
    box = None if solute.box is None else np.diag(solute.box)
    for number, reach in radii.items():
        atoms = solute.positions[solute.numbers == number]
        tree = cKDTree(atoms if box is None else atoms % box, boxsize=box)
        clear &= tree.query(oxygens if box is None else oxygens % box, distance_upper_bound=reach)[0] > reach
    return clear


def _water_and_ions(waters: Floats, solute: Structure, ionic_strength: float, seed: int) -> list[Structure]:
    """Ions in place of some waters, enough to neutralise and to reach the ionic strength, and the waters that remain."""
    pairs = round(len(waters) * ionic_strength / WATERS_PER_LITRE)
    elements = [11] * (pairs + max(0, -solute.charge)) + [17] * (pairs + max(0, solute.charge))
    places = _ion_places(waters[:, 0], solute, len(elements), seed)
    ions = [_ion(element, waters[place, 0]) for element, place in zip(elements, places, strict=True)]
    rest = np.delete(waters, places, axis=0)
    return [*ions, *([_waters(rest)] if len(rest) else [])]


def _ion_places(oxygens: Floats, solute: Structure, count: int, seed: int) -> list[int]:
    """Waters to turn into ions: in random order, away from the solute and from each other.

    Raises:
        StructureError: There is no room.
    """
    far = cKDTree(solute.positions).query(oxygens)[0] > ION_DISTANCE
    places: list[int] = []
    for candidate in np.random.default_rng(seed).permutation(np.flatnonzero(far)).tolist():
        if len(places) == count:
            break
        if not places or float(np.linalg.norm(oxygens[places] - oxygens[candidate], axis=1).min()) > ION_DISTANCE:
            places.append(candidate)
    if len(places) < count:
        raise StructureError(f"There is room for {len(places)} of {count} ions in this box. Use more padding or a lower ionic strength.")
    return places


def _ion(element: int, place: Floats) -> Structure:
    """One sodium or chloride ion."""
    name = {11: "NA", 17: "CL"}[element]
    none = np.zeros((0, 2), dtype=np.int64)
    return Structure(
        numbers=np.array([element]), positions=place[None], names=(name,), residues=(Residue(name, "1", "I"),), residue_index=np.array([0]), bonds=none,
        bond_orders=np.zeros(0), formal_charges=np.array([1 if element == 11 else -1]),
    )  # fmt: skip


def _waters(positions: Floats) -> Structure:
    """Waters at (m, 3, 3), nm, oxygen first."""
    count = len(positions)
    oxygen = 3 * np.arange(count)
    return Structure(
        numbers=np.tile([8, 1, 1], count),
        positions=positions.reshape(-1, 3),
        names=("O", "H1", "H2") * count,
        residues=tuple(Residue("HOH", str(k + 1), "W") for k in range(count)),
        residue_index=np.repeat(np.arange(count), 3),
        bonds=np.stack([np.repeat(oxygen, 2), np.stack([oxygen + 1, oxygen + 2], axis=1).ravel()], axis=1),
        bond_orders=np.ones(2 * count),
        formal_charges=np.zeros(3 * count, dtype=np.int64),
    )
