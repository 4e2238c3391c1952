"""Transfer pair: two ligands for one site - the first in it, the second in the bulk - and what keeps them aligned.

Azimi et al. 2022, 10.1021/acs.jcim.1c01129. Knows systems; must not know how they are sampled.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from studio.errors import StructureError, UnsupportedError
from studio.progress import Progress
from studio.structure import Floats, Integers, Residue, Structure
from studio.superpose import matched
from studio.system import Source, System, relaxed
from studio.transfer import BULK, FAR
from studio.transfer_site import aligned_triple

if TYPE_CHECKING:
    import openmm

APART = 0.6
"""The centres of two ligands of one site are no farther apart, nm."""
REACH = 0.1
"""Steps in which the way into the bulk is tried, nm."""
FOLLOW, TURN = 1000.0, 100.0
"""How stiffly the second ligand follows the first, kJ/mol/nm^2, and turns with it, kJ/mol."""


@dataclass(frozen=True, eq=False)
class Pair:
    """A host with a ligand in its site and another one in the bulk.

    Args:
        structure: All of it, surroundings included.
        first: Atoms of the ligand in the site.
        second: Atoms of the ligand in the bulk.
        shift: From the site into the bulk, (3,), nm.
        held: Three atoms of the first and three of the second by which they are aligned.
    """

    structure: Structure
    first: Integers
    second: Integers
    shift: Floats
    held: tuple[int, ...]

    def alignment(self) -> "openmm.Force":
        """Lets the ligand in the bulk follow the one in the site, so that each finds the other's place when they change places.

        E = k_r/2 |r_B - r_A - d|^2 + k_t (1 - cos t) + k_t (1 - cos p), t between the first axes of the two, p between the second ones,
        each second axis at right angles to the first. It depends on the frames of three atoms alone, so that it costs the same at both ends.
        """
        import openmm

        force = openmm.CustomCompoundBondForce(6, _EXPRESSION)
        for name, value in zip(("dx", "dy", "dz"), self.shift, strict=True):
            force.addGlobalParameter(f"pair_{name}", float(value))
        force.addGlobalParameter("pair_follow", FOLLOW)
        force.addGlobalParameter("pair_turn", TURN)
        force.addBond(list(self.held), [])
        force.setName("alignment of the ligands")
        return force


def _expression() -> str:
    """The alignment as OpenMM reads it; u, v: first axes, s, w: second axes, of the two ligands."""
    axes = "xyz"

    def dot(a: str, b: str) -> str:
        return "(" + "+".join(f"{a}{c}*{b}{c}" for c in axes) + ")"

    def cosine(a: str, b: str) -> str:
        return f"{dot(a, b)}/sqrt({dot(a, a)}*{dot(b, b)})"

    follow = "+".join(f"({c}4-{c}1-pair_d{c})^2" for c in axes)
    energy = f"0.5*pair_follow*({follow}) + pair_turn*(2 - {cosine('u', 'v')} - {cosine('s', 'w')})"
    second = [f"{n}{c}={b}{c}-{a}{c}*{dot(b, a)}/{dot(a, a)}" for n, a, b in (("s", "u", "p"), ("w", "v", "q")) for c in axes]
    first = [f"{n}{c}={c}{to}-{c}{start}" for n, to, start in (("u", 2, 1), ("p", 3, 1), ("v", 5, 4), ("q", 6, 4)) for c in axes]
    return ";".join([energy, *second, *first])


_EXPRESSION = _expression()


def paired(system: System, ligand: Integers, host: Structure, other: Source, progress: Progress) -> Pair:
    """Put another ligand into the bulk beside a host and its ligand, and the surroundings around all of it.

    Args:
        system: Its source is the host with the first ligand.
        ligand: The first ligand, indices into `host`.
        host: Host and first ligand, without surroundings.
        other: The second ligand, in the host's frame.
        progress: Called with a fraction and a sentence.

    Raises:
        StructureError: The second ligand is not in the site, or shares too little with the first one.
        UnsupportedError: It is more than one molecule.
    """
    second = other.build(system.ph, system.seed, system.repairs)
    if len(second.molecules) != 1:
        raise UnsupportedError(f"The second ligand has to be one molecule; this one consists of {len(second.molecules)}. Leave counter-ions and water out.")
    apart = float(np.linalg.norm(second.positions.mean(axis=0) - host.positions[ligand].mean(axis=0)))
    if apart > APART:
        raise StructureError(
            f"The second ligand is {apart:.2f} nm away from the first one; expected both in the same site and in the frame of the host. Align it first."
        )
    first_atoms, second_atoms = matched(host.take(ligand), second)
    triple = aligned_triple(second.positions, second_atoms)
    if triple is None:
        raise StructureError("The two ligands share no three atoms that span a plane, by which they could be aligned. Take the difference of absolute ones.")
    partner = {int(b): int(ligand[a]) for a, b in zip(first_atoms, second_atoms, strict=True)}
    shift = _way_out(host, ligand, second)
    moved = replace(second.with_positions(second.positions + shift), residues=tuple(Residue("LG2", "1", "Z") for _ in second.residues))
    joined = replace(host.join(moved), title=f"{host.title} and {second.title}")
    begin = len(host)
    whole = system.surroundings.surround(joined, system.seed)
    if whole.box is not None:
        progress(0.5, f"Relaxing {len(whole)} atoms")
        whole = relaxed(system.parametrise(whole))
    held = (*(partner[atom] for atom in triple), *(begin + atom for atom in triple))
    return Pair(whole, ligand, np.arange(begin, begin + len(second)), shift, held)


def _way_out(host: Structure, ligand: Integers, second: Structure) -> Floats:
    """The shortest way out of the site into the bulk in a box, a long one where there is none, (3,), nm."""
    from scipy.spatial import cKDTree

    out = host.positions[ligand].mean(axis=0) - host.positions.mean(axis=0)
    directions = np.vstack([out / max(float(np.linalg.norm(out)), 1e-6), _sphere(60)])
    tree = cKDTree(host.positions)
    for length in np.arange(1.0, FAR, REACH):
        room = [float(tree.query(second.positions + length * direction)[0].min()) for direction in directions]
        if max(room) > 1.5 * BULK:
            return np.asarray(length * directions[int(np.argmax(room))])
    return np.asarray(FAR * directions[0])


def _sphere(count: int) -> Floats:
    """Directions spread evenly, (count, 3): a Fibonacci spiral."""
    k = np.arange(count) + 0.5
    z, turn = 1 - 2 * k / count, np.pi * (1 + 5**0.5) * k
    return np.stack([np.sqrt(1 - z**2) * np.cos(turn), np.sqrt(1 - z**2) * np.sin(turn), z], axis=1)
