"""Transfer site: which molecule is meant, and where it counts as bound.

Knows structures; must not know forces.
"""

from itertools import pairwise

import numpy as np

from studio.errors import RegionError, StructureError, UnsupportedError
from studio.partners import whole_molecules
from studio.structure import Integers, Structure
from studio.transfer import Axis, Site

AROUND, NEAR = 1.2, 0.6
"""C-alpha atoms within the first of a ligand, or heavy atoms within the second, make its site, nm."""
AWAY, CLASH = 0.6, 0.1
"""Without an atom of the host within the first a ligand is not in a site; heavy atoms within the second lie on each other, nm."""
SLACK = 0.15
"""Room beyond where the ligand starts, nm."""
FEWEST = 3
"""Atoms that make a site."""


def chosen_ligand(whole: Structure, atoms: Integers) -> tuple[Integers, list[str]]:
    """The molecule that is meant, and a sentence where that was not obvious.

    Args:
        whole: Host, ligand and what is around them.
        atoms: What was chosen.

    Raises:
        UnsupportedError: A droplet, frozen atoms, or a ligand bonded to its host.
        RegionError: Several molecules, or nothing to bind to.
    """
    if whole.droplet is not None or whole.fixed.any():
        raise UnsupportedError("A ligand cannot be moved out of a droplet or away from frozen atoms. Choose a box of water or continuum water around the host.")
    touched = whole_molecules(whole, atoms, "A covalent ligand cannot be moved out of its site.")
    dry = [piece for piece in whole.molecules if whole.residue_of(int(piece[0])).kind not in ("water", "ion")]
    if len(dry) < 2:
        raise RegionError("There is nothing to bind to: expected a host and a ligand, got one molecule. Open a complex, or the example host-guest.")
    if len(touched) == 1:
        return touched[0], []
    smallest, second = sorted(dry, key=len)[:2]
    if len(dry) == len(touched) == 2 and len(smallest) < len(second):
        return smallest, [f"The guest is the smaller of the two molecules, {whole.residue_of(int(smallest[0]))}; the other one is its host."]
    raise RegionError(f"Expected one ligand, got {len(touched)} molecules. Choose one, for example by its residue.")


def binding_site(whole: Structure, ligand: Integers, radius: float, tilt: float = 90.0) -> tuple[Site, list[str]]:
    """Where the ligand is, and a sentence where the site had to be larger than asked for.

    Args:
        whole: Host, ligand and what is around them.
        ligand: The molecule.
        radius: Of the site, nm.
        tilt: How far the ligand's long axis may turn away from that of the pose, degrees; 90 is any direction.

    Raises:
        StructureError: The ligand lies outside its host, or on top of it.
    """
    heavy = ligand[whole.numbers[ligand] > 1] if (whole.numbers[ligand] > 1).any() else ligand
    host = _site_atoms(whole, ligand, heavy)
    apart = float(np.linalg.norm(whole.positions[heavy].mean(axis=0) - whole.positions[host].mean(axis=0)))
    reach = round(max(radius, apart + SLACK), 3)
    told = [f"The binding site has a radius of {reach:g} nm, because the ligand starts {apart:.2f} nm from its centre."] if reach > radius else []
    return Site(tuple(heavy.tolist()), tuple(host.tolist()), reach, _axis(whole, heavy, host, tilt)), told


def _axis(whole: Structure, heavy: Integers, host: Integers, tilt: float) -> Axis | None:
    """The ligand's long axis, and the line through two halves of the host that is nearest to it; none where every direction is allowed, or there is no axis."""
    if tilt >= 90.0 or len(heavy) < FEWEST:
        return None
    places = whole.positions[heavy] - whole.positions[heavy].mean(axis=0)
    along = places @ np.linalg.svd(places)[2][0]
    ends = heavy[along > 0.5 * along.max()], heavy[along < 0.5 * along.min()]
    line = whole.positions[ends[0]].mean(axis=0) - whole.positions[ends[1]].mean(axis=0)
    across = (whole.positions[host] - whole.positions[host].mean(axis=0)) @ (line / np.linalg.norm(line))
    halves = host[across > 0], host[across <= 0]
    between = whole.positions[halves[0]].mean(axis=0) - whole.positions[halves[1]].mean(axis=0)
    start = float(np.arccos(np.clip(abs(between @ line) / np.linalg.norm(between) / np.linalg.norm(line), 0.0, 1.0)))
    groups = (tuple(map(int, ends[0])), tuple(map(int, ends[1]))), (tuple(map(int, halves[0])), tuple(map(int, halves[1])))
    return Axis(*groups, float(np.radians(tilt)) + start)


def _site_atoms(whole: Structure, ligand: Integers, heavy: Integers) -> Integers:
    """C-alpha atoms around the ligand, or heavy atoms of whatever its host is."""
    from scipy.spatial import cKDTree

    dry = np.array([residue.kind not in ("water", "ion") for residue in whole.residues])[whole.residue_index] & (whole.numbers > 1)
    dry[ligand] = False
    others = np.flatnonzero(dry)
    distances = cKDTree(whole.positions[heavy]).query(whole.positions[others])[0]
    if distances.min() > AWAY:
        raise StructureError(
            f"The ligand is {distances.min():.2f} nm away from everything else: expected it in its site. Does its file have another frame than the host's?"
        )
    if distances.min() < CLASH:
        raise StructureError(f"The ligand lies on top of its host ({distances.min():.2f} nm between heavy atoms). Dock it, or take another pose.")
    named = np.array([whole.names[i] == "CA" and whole.residue_of(int(i)).kind == "protein" for i in others])
    for found in (others[named & (distances < AROUND)], others[distances < NEAR]):
        if len(found) >= FEWEST:
            return np.asarray(found)
    return others


def aligned_triple(positions: np.ndarray, candidates: Integers) -> tuple[int, int, int] | None:
    """Three atoms that are far apart and not in a line, to hold a direction by; none where there are no such atoms.

    Args:
        positions: (n, 3), nm.
        candidates: Indices.
    """
    if len(candidates) < FEWEST:
        return None
    places = positions[candidates]
    first = int(np.linalg.norm(places - places.mean(axis=0), axis=1).argmin())
    second = int(np.linalg.norm(places - places[first], axis=1).argmax())
    axis = (places[second] - places[first]) / np.linalg.norm(places[second] - places[first])
    aside = places - places[first]
    heights = np.linalg.norm(aside - (aside @ axis)[:, None] * axis, axis=1)
    third = int(heights.argmax())
    if heights[third] < 0.08 or any(a == b for a, b in pairwise(sorted((first, second, third)))):
        return None
    return int(candidates[first]), int(candidates[second]), int(candidates[third])
