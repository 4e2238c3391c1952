"""PDB and mmCIF: proteins, water, ions and small molecules, repaired by PDBFixer and OpenMM, every repair told in a note.

Gaps in a chain are not built: the chain is broken there and both ends become ordinary charged termini, which the notes
say. Water in the file is kept. Knows the two formats and their usual omissions; must not know force-field parameters.
"""

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import StringIO
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from studio.errors import StructureError
from studio.io.amino import bond_orders, formal_charges
from studio.io.heterogens import ligand_from_residue, templates
from studio.io.overlap import refuse_overlap
from studio.io.pdbtext import clean_pdb
from studio.io.repairs import Note, Repairs, key_of, told_bridges, trimmed
from studio.structure import Floats, Integers, Residue, Structure

if TYPE_CHECKING:
    from openmm.app import Topology
    from openmm.app.topology import Atom as TopologyAtom
    from openmm.app.topology import Bond as TopologyBond
    from openmm.app.topology import Chain as TopologyChain
    from openmm.app.topology import Residue as TopologyResidue

USUAL = Repairs()
NEEDED = "The force field needs every atom of a residue."
NO_LOOPS = "Missing loops are not built: their shape would be a guess. Bring a file in which they are modelled."
MAX_PEPTIDE_BOND = 0.25
"""Longest C-N distance that still counts as a peptide bond, nm; 0.133 is normal."""
NUCLEIC = frozenset(["A", "C", "G", "U", "I", "DA", "DC", "DG", "DT", "DU", "DI"])
# Raised by OpenMM's readers on malformed text, none of them on purpose.
MALFORMED = (ValueError, KeyError, IndexError, TypeError, AttributeError, AssertionError)


def read_macromolecule(
    text: str,
    name: str,
    layout: str,
    ligand_smiles: str | None = None,
    *,
    ph: float = 7.4,
    seed: int = 0,
    repairs: Repairs = USUAL,
    protonate: bool = False,
) -> Structure:
    """A structure from PDB or mmCIF text, complete with hydrogens, bond orders and formal charges.

    Args:
        text: The file.
        name: Its name, for sentences.
        layout: `pdb` or `cif`.
        ligand_smiles: Bond orders of small molecules, several separated by dots.
        ph: Missing hydrogens of proteins are those of this pH; hydrogens that are there stay.
        seed: Random seed of placed atoms.
        repairs: What to leave out, and which of several choices to take.
        protonate: Give small molecules their typical protonation at this pH instead of that of their SMILES.

    Raises:
        StructureError: Truncated, no atoms, two atoms in one place, nucleic acids, or a small molecule without bond orders; named in the sentence.
    """
    topology, positions, notes = _parse(text, name, layout, repairs.location)
    topology, positions, asked = trimmed(topology, positions, repairs)
    _check_places(topology, positions, name)
    notes += asked + told_bridges(topology)
    strangers = [residue for residue in topology.residues() if not _is_known(residue)]
    known_smiles = templates(ligand_smiles)
    ligands = [ligand_from_residue(residue, positions, known_smiles, ph if protonate else None) for residue in strangers]
    pieces = ligands
    if len(strangers) < topology.getNumResidues():
        polymer, more = _polymer(topology, positions, {residue.index for residue in strangers}, ph=ph, seed=seed, repairs=repairs)
        notes += more
        protein = polymer.atoms_of("protein")
        others = np.setdiff1d(np.arange(len(polymer)), protein)
        pieces = [*_parts(polymer, protein), *ligands, *_parts(polymer, others)]
    notes += [note for ligand in ligands for note in ligand.notes]
    whole = replace(pieces[0], notes=()).join(*(replace(piece, notes=()) for piece in pieces[1:]))
    notes += _kept_solvent(whole)
    return replace(whole, title=name, notes=tuple(notes), box=None)


def _check_places(topology: "Topology", positions: Floats, name: str) -> None:
    """Refuse two heavy atoms in one place.

    Raises:
        StructureError: There are two.
    """
    atoms = list(topology.atoms())

    def label(index: int) -> str:
        residue = atoms[index].residue
        return f"{atoms[index].name} of {residue.name} {residue.chain.id}{residue.id}"

    refuse_overlap(positions, np.array([atom.element.atomic_number for atom in atoms], dtype=np.int64), label, name)


def _kept_solvent(whole: Structure) -> list[str]:
    """Sentences about the water and the ions of a file, each with the way to leave them out."""
    notes: list[str] = []
    found = Counter((residue.kind, residue.name) for residue in whole.residues if residue.kind in ("water", "ion"))
    for (kind, name), count in sorted(found.items()):
        if count < len(whole.residues):
            what = f"water molecule{'s' * (count > 1)}" if kind == "water" else f"{name} ion{'s' * (count > 1)}"
            notes.append(Note(f"{count} {what} of the file {'were' if count > 1 else 'was'} kept.", ("leave_out", name)))
    return notes


def _parts(structure: Structure, atoms: Integers) -> list[Structure]:
    """A list with the part that holds `atoms`, empty if there are none."""
    return [structure.take(atoms)] if len(atoms) else []


def _polymer(topology: "Topology", positions: Floats, strangers: set[int], *, ph: float, seed: int, repairs: Repairs) -> tuple[Structure, list[str]]:
    """Proteins, water and ions of a file, repaired, and what was done to them."""
    topology, positions, gaps = _without_gaps(topology, positions, strangers)
    with _repeatable(seed):
        topology, positions, done = _repaired(topology, positions, ph, seed, repairs)
    return _to_structure(topology, positions), gaps + done


def _parse(text: str, name: str, layout: str, location: str) -> tuple["Topology", Floats, list[str]]:
    """OpenMM's topology, positions (n, 3) in nm, and notes.

    Raises:
        StructureError: Malformed.
    """
    from openmm import unit
    from openmm.app import PDBFile, PDBxFile
    from openmm.app.internal.pdbx.reader.PdbxReader import PdbxError
    from openmm.app.internal.pdbx.reader.PdbxReader import SyntaxError as BrokenGrammar

    notes: list[str] = []
    if layout == "pdb":
        text, notes = clean_pdb(text, name, location)
    try:
        file = PDBFile(StringIO(text)) if layout == "pdb" else PDBxFile(StringIO(text))
        positions = np.array(file.getPositions(asNumpy=True).value_in_unit(unit.nanometer))
        models = file.getNumFrames()
    except (*MALFORMED, PdbxError, BrokenGrammar) as error:
        kind = {"pdb": "PDB", "cif": "mmCIF"}[layout]
        raise StructureError(f"'{name}' is not valid {kind}, or it is truncated: {error}. Save or download it again.") from error
    if models > 1:
        notes.append(f"'{name}' holds {models} models; the first was taken.")
    if layout == "cif" and _has_alternates(text):
        why = "In mmCIF files there is no choice yet; save the file as PDB to choose another location."
        notes.append(Note("Some atoms have alternate locations; the first of each was kept.", why=why))
    if file.topology.getNumAtoms() == 0:
        raise StructureError(f"'{name}' holds no atoms.")
    bare = next((atom for atom in file.topology.atoms() if atom.element is None), None)
    if bare is not None:
        raise StructureError(f"Atom {bare.name} of {bare.residue.name} {bare.residue.id} has no element. Fill in columns 77-78 or rename the atom.")
    return file.topology, positions, notes


def _has_alternates(text: str) -> bool:
    """True if an atom of an mmCIF file carries a letter for its location."""
    from openmm.app.internal.pdbx.reader.PdbxReader import PdbxReader

    blocks: list[Any] = []
    PdbxReader(StringIO(text)).read(blocks)
    table = blocks[0].getObj("atom_site")
    column = table.getAttributeIndex("label_alt_id")
    return column >= 0 and any(row[column] not in (".", "?") for row in table.getRowList())


def _is_known(residue: "TopologyResidue") -> bool:
    """True for water, simple ions, amino acids and those variants that PDBFixer can turn into amino acids."""
    from pdbfixer.pdbfixer import substitutions

    if residue.name.strip() in NUCLEIC:
        label = f"{residue.name.strip()} {residue.chain.id}{residue.id}"
        raise StructureError(f"Residue {label} is a nucleotide; nucleic acids are not supported yet. Delete them from the file.")
    return residue.name in substitutions or Residue(residue.name).kind != "ligand"


def _without_gaps(topology: "Topology", positions: Floats, dropped: set[int]) -> tuple["Topology", Floats, list[str]]:
    """The topology without the residues in `dropped`, each chain broken into several where residues are missing."""
    from openmm.app import Topology

    new, atoms, notes, current = Topology(), {}, list[str](), None
    for chain in topology.chains():
        kept = [residue for residue in chain.residues() if residue.index not in dropped]
        gaps = _gaps(kept, positions)
        notes += [_gap_note(chain, *gap) for gap in gaps]
        starts = {*kept[:1], *(after for _, after in gaps)}
        for residue in kept:
            if residue in starts:
                current = new.addChain(chain.id)
            added = new.addResidue(residue.name, current, residue.id, residue.insertionCode)
            atoms.update({atom: new.addAtom(atom.name, atom.element, added, atom.id) for atom in residue.atoms()})
    for bond in topology.bonds():
        if atoms.keys() >= set(bond) and not _spans_gap(bond, positions):
            new.addBond(atoms[bond[0]], atoms[bond[1]])
    return new, positions[[atom.index for atom in atoms]], notes


def _gaps(residues: "list[TopologyResidue]", positions: Floats) -> "list[tuple[TopologyResidue, TopologyResidue]]":
    """Neighbours between which residues are missing."""
    return [(before, after) for before, after in pairwise(residues) if _is_gap(before, after, positions)]


def _gap_note(chain: "TopologyChain", before: "TopologyResidue", after: "TopologyResidue") -> Note:
    missing = f"Chain {chain.id}: residues are missing between {before.name} {before.id} and {after.name} {after.id}; "
    return Note(f"{missing}they were not built, and both ends carry charged termini.", why=NO_LOOPS)


def _spans_gap(bond: "TopologyBond", positions: Floats) -> bool:
    """True for a bond between residues that is too long for one."""
    one, other = bond
    return bool(one.residue != other.residue and np.linalg.norm(positions[one.index] - positions[other.index]) > MAX_PEPTIDE_BOND)


def _is_gap(before: "TopologyResidue", after: "TopologyResidue", positions: Floats) -> bool:
    """True if two neighbours in a chain are amino acids whose C and N are too far apart for a bond."""
    carbon = next((atom.index for atom in before.atoms() if atom.name == "C"), None)
    nitrogen = next((atom.index for atom in after.atoms() if atom.name == "N"), None)
    if carbon is None or nitrogen is None or "water" in (Residue(before.name).kind, Residue(after.name).kind):
        return False
    return bool(np.linalg.norm(positions[carbon] - positions[nitrogen]) > MAX_PEPTIDE_BOND)


def _repaired(topology: "Topology", positions: Floats, ph: float, seed: int, repairs: Repairs) -> tuple["Topology", Floats, list[str]]:
    """Standard residues, complete with heavy atoms and hydrogens; what was added is in the notes."""
    from openmm import Platform, unit
    from pdbfixer import PDBFixer

    # PDBFixer only starts from a file; its own reader would undo the chain breaks.
    fixer = PDBFixer(
        platform=Platform.getPlatformByName("CPU"), pdbfile=StringIO("HETATM    1  O   HOH A   1       0.000   0.000   0.000  1.00  0.00           O\nEND\n")
    )
    fixer.topology, fixer.positions = topology, positions * unit.nanometer
    fixer.missingResidues = {}
    fixer.findNonstandardResidues()
    unknown = "The force field does not know the residue in the file."
    changed = [(f"{r.name} {r.chain.id}{r.id}", standard) for r, standard in fixer.nonstandardResidues]
    notes: list[str] = [Note(f"Residue {label} was replaced by the standard {standard}.", why=unknown) for label, standard in changed]
    fixer.replaceNonstandardResidues()
    fixer.findMissingAtoms()
    lacking = {**fixer.missingAtoms}
    for r, atoms in lacking.items():
        notes.append(Note(f"{len(atoms)} missing heavy atom{'s' * (len(atoms) > 1)} of {r.name} {r.chain.id}{r.id} built: {_names(atoms)}.", why=NEEDED))
    if fixer.missingTerminals:
        count = len(fixer.missingTerminals)
        notes.append(Note(f"{count} C-terminal oxygen{'s' * (count > 1)} (OXT) added.", why=NEEDED))
    if lacking or fixer.missingTerminals or fixer.nonstandardResidues:
        fixer.addMissingAtoms(seed=seed)
    return _with_hydrogens(fixer.topology, fixer.positions, ph, notes, repairs)


@contextmanager
def _repeatable(seed: int) -> Iterator[None]:
    """Make OpenMM's repairs give the same result each time, and leave Python's and OpenMM's global state as it was.

    OpenMM draws places of hydrogens from Python's generator, and minimises with as many threads as there are, whose sums
    differ from call to call.
    """
    from openmm import Platform

    platform, settings, state = Platform.getPlatformByName("CPU"), {"Threads": "1", "DeterministicForces": "true"}, random.getstate()
    before = {name: platform.getPropertyDefaultValue(name) for name in settings}
    random.seed(seed)
    try:
        for name, value in settings.items():
            platform.setPropertyDefaultValue(name, value)
        yield
    finally:
        random.setstate(state)
        for name, value in before.items():
            platform.setPropertyDefaultValue(name, value)


def _names(atoms: list["TopologyAtom"]) -> str:
    return ", ".join(atom.name for atom in atoms)


def _with_hydrogens(topology: "Topology", positions: Floats, ph: float, notes: list[str], repairs: Repairs) -> tuple["Topology", Floats, list[str]]:
    """Hydrogens of the given pH where there are none; protonation states that the file shows are kept."""
    from openmm import Platform, unit
    from openmm.app import Modeller

    modeller = Modeller(topology, positions)
    before = topology.getNumAtoms()
    variants = [repairs.protonation_states.get(key_of(residue)) or _shown_variant(residue) for residue in topology.residues()]
    try:
        modeller.addHydrogens(pH=ph, variants=variants, platform=Platform.getPlatformByName("CPU"))
    except ValueError as error:
        raise StructureError(f"Hydrogens cannot be added: {error}. Check the residue's atoms.") from error
    added = modeller.topology.getNumAtoms() - before
    if added:
        why = "The force field needs every hydrogen. Choose another pH, or the protonation states of single residues."
        notes.append(Note(f"{added} missing hydrogen{'s' * (added > 1)} added for pH {ph:g}.", why=why))
    return modeller.topology, np.array(modeller.positions.value_in_unit(unit.nanometer)), notes


def _shown_variant(residue: "TopologyResidue") -> str | None:
    """The protonation state that the hydrogens in the file show, or none where OpenMM is to choose."""
    names = {atom.name for atom in residue.atoms()}
    if residue.name == "LYS" and {"HZ2", "HZ3"} <= names and "HZ1" not in names:
        return "LYN"
    # Side-chain hydrogens without the acidic one: the file means the charged form, whatever the pH.
    if residue.name in ("ASP", "GLU") and "HB2" in names:
        acidic = {"ASP": ("HD2", "ASH"), "GLU": ("HE2", "GLH")}[residue.name]
        return acidic[1] if acidic[0] in names else str(residue.name)
    return None


def _to_structure(topology: "Topology", positions: Floats) -> Structure:
    """A `Structure` with bond orders and formal charges from an OpenMM topology of known residues."""
    atoms = list(topology.atoms())
    residues = [Residue(r.name, f"{r.id}{r.insertionCode.strip()}", r.chain.id.strip() or "A") for r in topology.residues()]
    residue_index = np.array([atom.residue.index for atom in atoms], dtype=np.int64)
    names = [str(atom.name) for atom in atoms]
    numbers = np.array([atom.element.atomic_number for atom in atoms], dtype=np.int64)
    bonds = np.array([(bond[0].index, bond[1].index) for bond in topology.bonds()], dtype=np.int64).reshape(-1, 2)
    orders = bond_orders(names, residues, residue_index, bonds)
    return Structure(
        numbers=numbers,
        positions=positions,
        names=tuple(names),
        residues=tuple(residues),
        residue_index=residue_index,
        bonds=bonds,
        bond_orders=orders,
        formal_charges=formal_charges(numbers, bonds, orders),
    )
