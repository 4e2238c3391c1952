"""Martini topology: the beads of a protein and all that is bonded in it, as `vermouth` (martinize2) has them.

Bead types, side chains, the backbone by secondary structure, side-chain corrections and the elastic network come from the force-field
files, maps and links of vermouth (Kroon 2025, 10.7554/eLife.90627); what is bonded to what comes from the prepared structure.
Knows structures and vermouth; must not know OpenMM.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from studio.coarse.mapping import atomic_masses
from studio.coarse.martini_residues import Residues
from studio.coarse.martini_table import mass_of
from studio.errors import MissingPackageError, UnsupportedError
from studio.structure import CARBON, Floats, Integers, Structure

if TYPE_CHECKING:
    from vermouth.forcefield import ForceField
    from vermouth.molecule import Molecule

FORCE_FIELD, ATOMS = "martini3001", "charmm"
BACKBONE, BRIDGE = "BB", "SC1"
LOWER, UPPER, NEIGHBOURS = 0.5, 0.9, 2
"""The elastic network, by the defaults of martinize2: where springs would begin to soften if they did, how far they reach, nm, and up to how many residues
apart there are none."""
RENAMED = {
    "HN": "H", "ILE CD": "CD1", "SER HG1": "HG", "PHE HB1": "HB3", "LSN HZ1": "HZ3",
}  # fmt: skip
"""Atoms of vermouth's maps that structures call otherwise."""
TERMINAL = ("H1", "H2", "H3", "OXT")
"""Atoms at the ends of chains, which are part of the backbone bead."""
BONDED = ("bonds", "constraints", "angles", "dihedrals", "impropers")
Groups = tuple[tuple[Integers, Floats], ...]


@dataclass(frozen=True)
class Term:
    """One bonded term of GROMACS: its kind (`bonds`, `angles`, ..), function type, beads and parameters (nm, degrees, kJ/mol)."""

    kind: str
    function: int
    beads: tuple[int, ...]
    parameters: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Topology:
    """The beads of a protein and what is bonded in it.

    Args:
        beads: At the mapped positions.
        types: Their Martini types.
        charges: e, (b,).
        masses: Da, (b,); 0 for virtual sites.
        terms: Bonds, constraints, angles, dihedrals, impropers.
        virtual: Beads that lie at the mean of others, with those others.
        excluded: Pairs without non-bonded interaction, (p, 2).
        secondary: Secondary structure, a letter of Martini's for each residue.
        groups: For each bead the atoms that it stands for, and what they count in its position.
    """

    beads: Structure
    types: tuple[str, ...]
    charges: Floats
    masses: Floats
    terms: tuple[Term, ...]
    virtual: dict[int, tuple[int, ...]]
    excluded: Integers
    secondary: str
    groups: Groups

    def positions(self, atoms: Floats) -> Floats:
        """Where the beads are.

        Args:
            atoms: Positions of the atoms that were mapped, molecules whole, (n, 3), nm.
        """
        places = np.array([weights @ atoms[group] for group, weights in self.groups])
        for site, others in self.virtual.items():
            places[site] = places[list(others)].mean(axis=0)
        return places


def martinize(structure: Structure, elastic: float) -> Topology:
    """The beads of a protein.

    Args:
        structure: All its atoms.
        elastic: Stiffness of the elastic network, kJ/mol/nm^2; 0 for none.

    Raises:
        UnsupportedError: A residue is unknown to Martini, in a protonation state unknown to it, or incomplete.
        MissingPackageError: vermouth is not installed.
    """
    try:
        from vermouth.processors import DoLinks
    except ImportError as problem:
        raise MissingPackageError("Martini beads need the package vermouth. Install it: pip install vermouth") from problem
    residues = Residues(structure)
    molecule, groups = _beads(structure, residues)
    DoLinks().run_molecule(molecule)
    if elastic:
        _add_network(molecule, elastic)
    return _topology(structure, residues, molecule, groups)


@cache
def _force_field() -> "ForceField":
    import vermouth
    from vermouth.forcefield import ForceField

    return ForceField(Path(vermouth.DATA_PATH) / "force_fields" / FORCE_FIELD)


@cache
def _atoms() -> "ForceField":
    """The amino acids of the force field whose atoms vermouth's maps name; the rest of it is large and is not needed."""
    import vermouth
    from vermouth.forcefield import ForceField
    from vermouth.gmx.rtp import read_rtp

    made = ForceField(name=ATOMS)
    with (Path(vermouth.DATA_PATH) / "force_fields" / ATOMS / "aminoacids.rtp").open(encoding="utf-8") as file:
        read_rtp(file, made)
    return made


@cache
def _map_of(residue: str) -> dict[str, dict[str, float]]:
    """By atom, what it counts in the beads of a residue."""
    import vermouth
    from vermouth.map_input import read_backmapping_file

    path = Path(vermouth.DATA_PATH) / "mappings" / FORCE_FIELD / f"{residue.lower()}.charmm36.map"
    if not path.exists():
        raise UnsupportedError(f"Martini 3 has no beads for the residue {residue}. Choose a level of atoms.")
    with path.open(encoding="utf-8") as file:
        read = read_backmapping_file(file, {FORCE_FIELD: _force_field(), ATOMS: _atoms()})
    shares = read[ATOMS][FORCE_FIELD][residue].mapping
    named = {RENAMED.get(f"{residue} {atom}", RENAMED.get(atom, atom)): dict(beads) for atom, beads in shares.items()}
    return named | {atom: {BACKBONE: 1.0} for atom in TERMINAL}


def _beads(structure: Structure, residues: Residues) -> "tuple[Molecule, Groups]":
    """The beads of all residues, bonded along the chain and by bridges, without terms between residues yet; and what they stand for."""
    from vermouth.molecule import Molecule

    molecule, masses = Molecule(force_field=_force_field(), nrexcl=1, meta={"scfix": True}), atomic_masses(structure)
    groups: list[tuple[Integers, Floats]] = []
    nodes: dict[int, dict[str, int]] = {}
    for row, letter in zip(residues.rows, residues.secondary, strict=True):
        state = residues.state(row)
        shares = _map_of(state)
        nodes[row] = molecule.merge_molecule(molecule.force_field.blocks[state])
        for name, node in nodes[row].items():
            group = _group(residues, row, {atom: beads.get(name, 0.0) for atom, beads in shares.items()}, masses)
            chain = structure.residues[row].chain
            molecule.nodes[node].update(cgsecstruct=letter, chain=chain, row=row, position=group[1] @ structure.positions[group[0]])
            groups.append(group)
        _end(molecule, nodes[row][BACKBONE], residues.ends(row))
        _check_charge(residues, row, sum(float(molecule.nodes[node]["charge"]) for node in nodes[row].values()))
    molecule.add_edges_from((nodes[one][BACKBONE], nodes[other][BACKBONE]) for one, other in residues.after.items() if one in nodes and other in nodes)
    molecule.add_edges_from((nodes[one][BRIDGE], nodes[other][BRIDGE]) for one, other in residues.bridges)
    return molecule, tuple(groups)


def _group(residues: Residues, row: int, shares: dict[str, float], masses: Floats) -> tuple[Integers, Floats]:
    """The atoms of one bead, and what each counts: its share of its mass. Hydrogens may be missing."""
    atoms = residues.atoms[row]
    missing = [name for name, share in shares.items() if share and name not in atoms and name not in TERMINAL and not name.startswith("H")]
    if missing:
        raise UnsupportedError(f"{residues.structure.residues[row]} lacks its atom {missing[0]}. Complete the residue, or leave it out.")
    counted = {atoms[name]: share for name, share in shares.items() if share and name in atoms}
    group = np.array(list(counted), dtype=np.int64)
    weights = np.array(list(counted.values())) * masses[group]
    return group, weights / weights.sum()


def _end(molecule: "Molecule", node: int, ends: list[str]) -> None:
    """The type and charge that a backbone bead has at the ends of a chain."""
    for end in ends:
        molecule.nodes[node].update(molecule.force_field.modifications[end].nodes[BACKBONE]["replace"])
    if {*ends} == {"N-ter", "C-ter"}:
        molecule.nodes[node]["charge"] = 0


def _check_charge(residues: Residues, row: int, made: float) -> None:
    if abs(made - residues.charge(row)) > 0.01:
        raise UnsupportedError(
            f"{residues.structure.residues[row]} has a charge of {residues.charge(row):+d}, and Martini 3 knows it with {made:+g}. Choose another protonation."
        )


def _add_network(molecule: "Molecule", stiffness: float) -> None:
    """Springs between backbone beads of a chain that are near each other."""
    from vermouth.processors.apply_rubber_band import apply_rubber_band, same_chain

    apply_rubber_band(
        molecule, lambda bead: bead["atomname"] == BACKBONE, LOWER, UPPER, 0.0, 1.0, stiffness, 0.0,
        molecule.force_field.variables["elastic_network_bond_type"], same_chain, NEIGHBOURS,
    )  # fmt: skip


def _topology(structure: Structure, residues: Residues, molecule: "Molecule", groups: Groups) -> Topology:
    """Plain data of what vermouth made."""
    index = {node: bead for bead, node in enumerate(molecule.nodes)}
    beads = [molecule.nodes[node] for node in index]
    virtual = {site: tuple(others) for (site, *others), _ in _rows(molecule, index, "virtual_sitesn")}
    terms = tuple(Term(kind, int(values[0]), nodes, values[1:]) for kind in BONDED for nodes, values in _rows(molecule, index, kind))
    drawn = [(index[one], index[other]) for one, other in molecule.edges] + [(site, others[0]) for site, others in virtual.items()]
    charges = np.array([float(bead["charge"]) for bead in beads])
    masses = np.array([float(bead.get("mass", mass_of(bead["atype"]))) for bead in beads])
    placed, types = _placed(structure, beads, charges, _sorted(drawn)), tuple(bead["atype"] for bead in beads)
    made = Topology(placed, types, charges, masses, terms, virtual, _excluded(molecule, index, terms), residues.secondary, groups)
    return replace(made, beads=placed.with_positions(made.positions(structure.positions)))


def _excluded(molecule: "Molecule", index: dict[int, int], terms: tuple[Term, ...]) -> Integers:
    """Pairs that are bonded or constrained, springs of the elastic network included, and those that vermouth names."""
    bonded = [(term.beads[0], term.beads[1]) for term in terms if term.kind in ("bonds", "constraints")]
    return _sorted(bonded + [(one, other) for (one, *others), _ in _rows(molecule, index, "exclusions") for other in others])


def _placed(structure: Structure, beads: list[dict[str, Any]], charges: Floats, bonds: Integers) -> Structure:
    """The beads as a structure; of charges the whole ones."""
    rows, residue_index = np.unique([bead["row"] for bead in beads], return_inverse=True)
    return Structure(
        numbers=np.full(len(beads), CARBON), positions=np.array([bead["position"] for bead in beads]), names=tuple(bead["atomname"] for bead in beads),
        residues=tuple(structure.residues[row] for row in rows.tolist()), residue_index=residue_index, bonds=bonds, bond_orders=np.zeros(len(bonds)),
        formal_charges=np.trunc(charges).astype(np.int64), title=structure.title, notes=structure.notes,
    )  # fmt: skip


def _rows(molecule: "Molecule", index: dict[int, int], kind: str) -> Iterator[tuple[tuple[int, ...], tuple[float, ...]]]:
    """Beads and numbers of each interaction of a kind, as with rigid bonds held by constraints."""
    for interaction in molecule.interactions.get(kind, []):
        if "ifdef" not in interaction.meta:
            yield tuple(index[node] for node in interaction.atoms), tuple(map(float, interaction.parameters))


def _sorted(pairs: list[tuple[int, int]]) -> Integers:
    """Each pair once, the lower first."""
    return np.unique(np.sort(np.array(pairs, dtype=np.int64).reshape(-1, 2), axis=1), axis=0)
