"""Peptides from one-letter sequences: PeptideBuilder (Tien 2013, 10.7717/peerj.80) gives heavy atoms, the PDB reader the rest.

Knows letters, caps and backbone angles; must not know force fields.
"""

from dataclasses import replace
from typing import Any, Literal

import numpy as np

from studio.errors import StructureError
from studio.io.pdb import USUAL, read_macromolecule
from studio.io.repairs import Note, Repairs
from studio.io.write import to_pdb
from studio.structure import Residue, Structure
from studio.units import NM_PER_ANGSTROM

NCap = Literal["ACE", "NH3"]
CCap = Literal["NME", "COO"]
Shape = Literal["extended", "helix"]

MAX_RESIDUES = 60
ELEMENTS = {"C": 6, "N": 7, "O": 8, "S": 16}
LETTERS = frozenset("ACDEFGHIKLMNPQRSTVWY")
ANGLES: dict[str, tuple[float, float]] = {"extended": (-135.0, 135.0), "helix": (-63.0, -42.0)}
"""Backbone angles phi and psi of each shape, degrees."""
PROLINE_PHI = -65.0
"""The ring of proline allows no other, degrees."""
CAP_ATOMS = {"ACE": {"CA": "CH3", "C": "C", "O": "O"}, "NME": {"N": "N", "CA": "C"}}
"""Which atoms of a glycine become a cap, and what they are called there."""


def peptide(
    sequence: str, n_cap: NCap = "ACE", c_cap: CCap = "NME", shape: Shape = "extended", *, ph: float = 7.4, seed: int = 0, repairs: Repairs = USUAL
) -> Structure:
    """A peptide of L-amino acids with ideal bond lengths and angles.

    Args:
        sequence: One-letter codes from the N-terminus; spaces and line breaks do not count.
        n_cap: Acetyl, or the charged amine.
        c_cap: N-methyl amide, or the charged carboxylate.
        shape: Of the backbone.
        ph: Protonation of side chains.
        seed: Random seed of the places of hydrogens.
        repairs: States of single residues, which are counted from 1 with the caps.

    Raises:
        StructureError: Empty, too long, with a letter that is no amino acid, or a single residue without caps.
    """
    letters = checked(sequence)
    if len(letters) == 1 and n_cap == "NH3" and c_cap == "COO":
        raise StructureError("A single amino acid with two charged ends is not in the protein force field. Give it a cap, or add residues.")
    # A neighbour of glycine stands for each cap: its backbone is where the atoms of the cap belong.
    whole = _heavy_atoms(f"{'G' * (n_cap == 'ACE')}{letters}{'G' * (c_cap == 'NME')}", shape)
    built = read_macromolecule(to_pdb(_with_caps(whole, n_cap, c_cap)), letters, "pdb", ph=ph, seed=seed, repairs=repairs)
    title = f"{'Ac-' * (n_cap == 'ACE')}{letters}{'-NHMe' * (c_cap == 'NME')}"
    told = Note(f"The peptide {title} was built with {'an' if shape == 'extended' else 'a'} {shape} backbone.", why="Change the sequence or its shape.")
    # What the reader says about atoms that a sequence never has is no news.
    asked = (note for note in built.notes if isinstance(note, Note) and note.undo)
    return replace(built, title=title, notes=(told, *asked))


def checked(sequence: str) -> str:
    """The letters of a sequence, upper case.

    Args:
        sequence: As typed.

    Raises:
        StructureError: Empty, too long, or with a letter that is no amino acid; the sentence names it and its place.
    """
    letters = "".join(sequence.split())
    if not 1 <= len(letters) <= MAX_RESIDUES:
        raise StructureError(f"Expected a sequence of 1 to {MAX_RESIDUES} one-letter codes, got {len(letters)}. For larger proteins upload a PDB file.")
    if letters.isupper() or letters.islower():
        letters = letters.upper()
    strange = next((place for place, letter in enumerate(letters) if letter not in LETTERS), None)
    if strange is None:
        return letters
    letter = letters[strange]
    if letter.upper() in LETTERS:
        raise StructureError(f"Letter {strange + 1}, '{letter}', is lower case among capitals, which means a D-amino acid; only L-amino acids are built.")
    raise StructureError(f"Letter {strange + 1}, '{letter}', is no amino acid. Expected one-letter codes from {' '.join(sorted(LETTERS))}.")


def _heavy_atoms(letters: str, shape: Shape) -> Structure:
    """The heavy atoms without bonds, from PeptideBuilder."""
    from PeptideBuilder import Geometry, PeptideBuilder

    phi, psi = ANGLES[shape]
    geometries = [Geometry.geometry(letter) for letter in letters]
    for letter, geometry in zip(letters, geometries, strict=True):
        geometry.phi, geometry.psi_im1 = PROLINE_PHI if letter == "P" else phi, psi
    # Biopython has no types.
    chain: Any = PeptideBuilder.make_structure_from_geos(geometries)
    residues, atoms = list(chain.get_residues()), list(chain.get_atoms())
    place = {residue: index for index, residue in enumerate(residues)}
    return Structure(
        numbers=np.array([ELEMENTS[atom.element] for atom in atoms]),
        positions=np.array([atom.coord for atom in atoms]) * NM_PER_ANGSTROM,
        names=tuple(atom.name for atom in atoms),
        residues=tuple(Residue(residue.resname, str(index + 1)) for index, residue in enumerate(residues)),
        residue_index=np.array([place[atom.parent] for atom in atoms]),
        bonds=np.zeros((0, 2), dtype=np.int64),
        bond_orders=np.zeros(0),
        formal_charges=np.zeros(len(atoms), dtype=np.int64),
    )


def _with_caps(chain: Structure, n_cap: NCap, c_cap: CCap) -> Structure:
    """The chain, the glycines at its ends turned into caps."""
    caps = {0: n_cap, len(chain.residues) - 1: c_cap}
    names = [CAP_ATOMS.get(caps.get(index, ""), {}).get(name, name) for name, index in zip(chain.names, chain.residue_index.tolist(), strict=True)]
    residues = tuple(replace(residue, name=caps[k]) if caps.get(k) in CAP_ATOMS else residue for k, residue in enumerate(chain.residues))
    kept = [atom for atom, index in enumerate(chain.residue_index.tolist()) if chain.names[atom] in CAP_ATOMS.get(caps.get(index, ""), {chain.names[atom]: ""})]
    return replace(chain, names=tuple(names), residues=residues).take(np.array(kept))
