"""Back: atoms where there were beads.

Heavy atoms come from a program of its own - `cgback` (a diffusion model, Ugarte La Torre 2025) or, quicker and rougher, `pulchra`
(rotamer statistics, Rotkiewicz 2008, 10.1002/jcc.20906). What those do not know - hydrogens, caps, terminal oxygens - is laid
over the new neighbours in the shape that it has in the prepared structure, so that protonation and naming stay. Beads that are a
whole backbone need no such program: everything else is laid over them.
Knows structures and systems; must not know levels or runs.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from studio.coarse.chain import torsion_of
from studio.coarse.martini_trace import alphas_of, furthest
from studio.coarse.rebuild import Heavy, by_cgback, by_pulchra
from studio.errors import LeftBehindError, StructureError, UnsupportedError
from studio.forcefield.base import MMSystem
from studio.structure import Flags, Floats, Integers, Structure
from studio.superpose import superposition
from studio.system import System, Vacuum

Builder = Literal["cgback", "pulchra"]
BUILDERS: dict[Builder, Callable[[Structure], list[Heavy]]] = {"cgback": by_cgback, "pulchra": by_pulchra}
FEWEST = 3
"""Neighbours that fix where a piece belongs."""
HOLD, ITERATIONS = 200_000.0, 200
"""Of the springs that keep C-alphas while the rest is relaxed, kJ/mol/nm^2; iterations of that."""
BACKBONE = frozenset({"N", "CA", "C", "O"})
CIS = 90.0
"""Peptide bonds turned by less than this are cis, degrees."""


@dataclass(frozen=True, eq=False)
class Rebuilt:
    """Atoms made from beads.

    Args:
        structure: The atoms.
        ca_shift: Largest distance of a C-alpha - or of whatever a bead is the middle of - from its bead, nm.
        mirrored: Residues with the chirality of a D-amino acid that have it the other way in the prepared structure.
        cis: Residues before which the peptide bond became cis, proline aside.
        on: What lies on the beads.
    """

    structure: Structure
    ca_shift: float
    mirrored: tuple[str, ...]
    cis: tuple[str, ...]
    on: str = "C-alphas"

    @property
    def sentence(self) -> str:
        """What was done and how well, for the user."""
        faults = [f"{len(found)} {what} ({found[0]})" for found, what in ((self.mirrored, "mirrored residues"), (self.cis, "cis peptide bonds")) if found]
        doubt = f" Look at {' and '.join(faults)}." if faults else ""
        return f"Atoms were built on the beads; {self.on} lie within {10 * self.ca_shift:.2f} angstrom of them.{doubt}"


def to_atoms(beads: Structure, like: Structure, by: Builder = "cgback") -> Rebuilt:
    """The atoms of `like` where the beads are.

    Args:
        beads: At present positions: C-alphas, or more beads of the backbone, which then stay where they are, or beads of Martini, molecules whole.
        like: The prepared structure that they stand for: its atoms, names, order and protonation are kept.
        by: Which program builds the heavy atoms.

    Raises:
        LeftBehindError: There is more than the protein of the beads.
        UnsupportedError: These are other residues, or one is none of the twenty.
        MissingPackageError: The program is not installed.
        StructureError: It failed.
    """
    martini = beads.is_coarse and not beads.is_beads
    alphas = alphas_of(beads, like) if martini else _alphas(beads)
    rows = _rows(alphas, like)
    positions, placed = np.array(like.positions), np.zeros(len(like), dtype=np.bool_)
    by_residue: dict[int, dict[str, int]] = {}
    for atom, residue in enumerate(like.residue_index.tolist()):
        by_residue.setdefault(residue, {})[like.names[atom]] = atom
    heavy = zip(rows, BUILDERS[by](alphas), strict=True) if martini or len(alphas) == len(beads) else _known(beads, like)
    for row, built in heavy:
        for name, place in built.items():
            found = by_residue[row].get(name)
            if found is not None and like.numbers[found] > 1:
                positions[found], placed[found] = place, True
    whole = like.with_positions(_completed(like, positions, placed))
    rebuilt = _judged(whole, like, alphas, rows)
    return replace(rebuilt, ca_shift=furthest(beads, whole), on="the middles of backbones") if martini else rebuilt


def _alphas(beads: Structure) -> Structure:
    """The beads that are C-alphas, one a residue; caps have none."""
    return beads.take(np.flatnonzero([name == "CA" for name in beads.names]))


def _known(beads: Structure, like: Structure) -> list[tuple[int, Heavy]]:
    """By residue the places of atoms that are beads themselves: where the whole backbone is known, nothing has to be guessed from C-alphas.

    Raises:
        UnsupportedError: A residue is not in `like`.
    """
    rows = {residue: row for row, residue in enumerate(like.residues)}
    found: dict[int, Heavy] = {}
    for bead, name in enumerate(beads.names):
        residue = beads.residue_of(bead)
        if residue not in rows:
            raise UnsupportedError(f"There is a bead for {residue}, which is not among the atoms to be built. Start from the prepared structure.")
        found.setdefault(rows[residue], {})[name] = beads.positions[bead]
    return list(found.items())


def settled(rebuilt: Structure, system: System) -> Structure:
    """Atoms on beads, relaxed by the force field of a system while C-alphas stay where they are; in vacuum, which is quick and does here.

    Args:
        rebuilt: See `to_atoms`.
        system: Whose atoms they are.

    Raises:
        UnsupportedError: The force field does not know them.
        StructureError: Atoms overlap too much.
    """
    moved = _relaxed(system.model_copy(update={"surroundings": Vacuum()}).parametrise(rebuilt))
    if not np.isfinite(moved).all():
        raise StructureError("The atoms that were built on the beads overlap too much to be relaxed. Let the beads move on a little, and try again.")
    return rebuilt.with_positions(moved)


def backbone_rmsd(one: Structure, other: Structure) -> float:
    """Root mean square distance of backbone atoms after superposition, nm.

    Args:
        one: A structure.
        other: The same atoms elsewhere.
    """
    rows = [atom for atom in one.atoms_of("protein").tolist() if one.names[atom] in BACKBONE]
    laid = superposition(one.positions[rows], other.positions[rows])(one.positions[rows])
    return float(np.sqrt(((laid - other.positions[rows]) ** 2).sum(axis=1).mean()))


def _rows(beads: Structure, like: Structure) -> list[int]:
    """The residue of `like` for each bead.

    Raises:
        UnsupportedError: There are other residues.
        LeftBehindError: There is more than them.
    """
    alphas = {
        like.residues[row]: row for atom, row in enumerate(like.residue_index.tolist()) if like.names[atom] == "CA" and like.residues[row].kind == "protein"
    }
    if set(beads.residues) != set(alphas):
        raise UnsupportedError(
            f"There are beads for {len(beads)} residues, and {len(alphas)} are to have atoms: they must be the same. Start from the prepared structure."
        )
    others = len(like) - len(like.atoms_of("protein"))
    if others:
        raise LeftBehindError(
            f"Beads left {others:,} atoms of water, ions or ligands behind, which have no place around the new shape. "
            "Go on from the last atoms, before the beads; or, where only water was left, see the protein by itself in continuum water (MM implicit)."
        )
    return [alphas[residue] for residue in beads.residues]


def _completed(like: Structure, positions: Floats, placed: Flags) -> Floats:
    """Each piece that has no place yet, laid over its new neighbours as it lies over them in `like`.

    Raises:
        StructureError: Nothing is near that has a place.
    """
    graph: list[list[int]] = [[] for _ in range(len(like))]
    for i, j in like.bonds.tolist():
        graph[i].append(j)
        graph[j].append(i)
    positions = positions.copy()
    for piece in _unplaced(like, placed):
        anchors = _anchors(piece, graph, placed)
        positions[piece] = superposition(like.positions[anchors], positions[anchors])(like.positions[piece])
    return positions


def _unplaced(like: Structure, placed: Flags) -> list[Integers]:
    missing = np.flatnonzero(~placed)
    return [missing[piece] for piece in like.take(missing).molecules] if len(missing) else []


def _anchors(piece: Integers, graph: list[list[int]], placed: Flags) -> Integers:
    """The nearest atoms along bonds that have a place, enough to fix the piece."""
    seen, edge, found = set(piece.tolist()), piece.tolist(), list[int]()
    while len(found) < FEWEST:
        edge = [near for atom in edge for near in graph[atom] if near not in seen]
        if not edge:
            raise StructureError("A residue was built without its backbone. Try the other program for building atoms.")
        seen.update(edge)
        found += [atom for atom in dict.fromkeys(edge) if placed[atom]]
    return np.array(found)


def _judged(whole: Structure, like: Structure, beads: Structure, rows: list[int]) -> Rebuilt:
    alphas = np.array([atom for row in rows for atom in np.flatnonzero(whole.residue_index == row) if whole.names[atom] == "CA"])
    shift = float(np.linalg.norm(whole.positions[alphas] - beads.positions, axis=1).max())
    before, after = _handedness(like), _handedness(whole)
    mirrored = tuple(str(like.residues[row]) for row, sign in after.items() if sign != before[row])
    cis = tuple(str(like.residues[row]) for row, turn in _peptides(whole).items() if abs(turn) < CIS and abs(_peptides(like)[row]) >= CIS)
    return Rebuilt(whole, shift, mirrored, tuple(name for name in cis if not name.startswith("PRO")))


def _named(structure: Structure) -> dict[int, dict[str, Floats]]:
    """Places by residue and name of protein atoms."""
    found: dict[int, dict[str, Floats]] = {}
    for atom in structure.atoms_of("protein").tolist():
        found.setdefault(int(structure.residue_index[atom]), {})[structure.names[atom]] = structure.positions[atom]
    return found


def _handedness(structure: Structure) -> dict[int, bool]:
    """By residue with a side chain: the sign of the volume of N, C and CB around CA."""
    return {
        row: bool(np.dot(np.cross(at["N"] - at["CA"], at["C"] - at["CA"]), at["CB"] - at["CA"]) > 0)
        for row, at in _named(structure).items()
        if {"N", "CA", "C", "CB"} <= set(at)
    }  # fmt: skip


def _peptides(structure: Structure) -> dict[int, float]:
    """By residue the torsion CA-C-N-CA of the peptide bond before it, degrees."""
    at, turns = _named(structure), {}
    for i, j in structure.bonds.tolist():
        carbon, nitrogen = (i, j) if structure.names[i] == "C" else (j, i)
        before, after = int(structure.residue_index[carbon]), int(structure.residue_index[nitrogen])
        if (structure.names[carbon], structure.names[nitrogen]) == ("C", "N") and before != after and "CA" in at[before] and "CA" in at[after]:
            four = np.array([at[before]["CA"], at[before]["C"], at[after]["N"], at[after]["CA"]])
            turns[after] = float(np.degrees(torsion_of(four, np.arange(4)[None])[0]))
    return turns


def _relaxed(mm: MMSystem) -> Floats:
    """Positions after a short minimisation with the C-alphas held, (n, 3), nm."""
    import openmm
    from openmm import unit

    system = openmm.XmlSerializer.clone(mm.system)
    while system.getNumConstraints():  # bonds have their springs besides, and a minimiser is quicker with those
        system.removeConstraint(0)
    hold = openmm.CustomExternalForce("0.5*k*((x-x0)^2+(y-y0)^2+(z-z0)^2)")
    hold.addGlobalParameter("k", HOLD)
    for axis in ("x0", "y0", "z0"):
        hold.addPerParticleParameter(axis)
    for atom, name in enumerate(mm.structure.names):
        if name == "CA":
            hold.addParticle(atom, mm.structure.positions[atom].tolist())
    system.addForce(hold)
    platform = openmm.Platform.getPlatformByName("CPU")
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform, {"Threads": "1"})
    context.setPositions(mm.structure.positions)
    openmm.LocalEnergyMinimizer.minimize(context, 10.0, ITERATIONS)
    return np.asarray(context.getState(positions=True).getPositions(asNumpy=True).value_in_unit(unit.nanometer))
