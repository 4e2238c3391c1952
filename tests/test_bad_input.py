"""Bad input: whatever a user brings, the answer is a sentence that says what was expected, what came and what to do."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from studio.errors import SimulationError, StorageError, StructureError, StudioError
from studio.forcefield import parametrise
from studio.hybrid.coupling import plain
from studio.io import read
from studio.io.overlap import refuse_overlap
from studio.io.targets import TARGETS
from studio.simulation import OpenMMSimulation, Thermostat
from studio.structure import Structure
from studio.system import relaxed
from tests.molecule_files import PEPTIDE, atom, mol2

MOLFILE = """ethanol
  test

  3  2  0  0  0  0  0  0  0  0999 V2000
    0.0000    0.0000    0.1000 C   0  0
    1.5000    0.0000    0.0000 C   0  0
    2.0000    1.2000    0.0000 O   0  0
  1  2  1  0
  2  3  1  0
M  END
"""
MOL2 = mol2(Structure.from_smiles("CCO"), "ethanol")
MOL2_FIRST = next(line[15:44] for line in MOL2.splitlines() if line.startswith("      1 C1"))
"""Where the first carbon lies."""
CIF = """data_x
loop_
_atom_site.group_PDB
_atom_site.id
_atom_site.type_symbol
_atom_site.label_atom_id
_atom_site.label_alt_id
_atom_site.label_comp_id
_atom_site.label_asym_id
_atom_site.label_seq_id
_atom_site.auth_seq_id
_atom_site.Cartn_x
_atom_site.Cartn_y
_atom_site.Cartn_z
HETATM 1 O O1 . EDO A . 1 0.000 0.000 0.000
HETATM 2 C C1 . EDO A . 1 1.400 0.000 0.000
HETATM 3 C C2 . EDO A . 1 1.900 1.400 0.000
HETATM 4 O O2 . EDO A . 1 3.300 1.400 0.000
"""


@pytest.mark.parametrize(
    ("smiles", "sentence"),
    [
        ("", "Expected a SMILES string, got nothing"),
        ("   ", "got nothing"),
        ("C1CC", "is not a SMILES string"),
        ("hello world", "is not a SMILES string"),
        ("C(C)(C)(C)(C)C", r"Atom 1 \(C\) has more bonds than its valence allows"),
        ("c1cccc1", "cannot be given alternating bonds"),
        ("C" * 3000, "at most 2000 characters, got 3000"),
        ("C" * 501, "at most 500 heavy atoms, got 501"),
        ("🧪CC", r"Character 1 of the SMILES string \(test tube\) is not one that SMILES has"),
        ("CC\u041e", r"Character 3 of the SMILES string \(cyrillic capital letter o\) is not one that SMILES has"),
        ("C\x00C", r"Character 2 of the SMILES string \(number 0\)"),
        ("c1ccccc1 CC", "is not a SMILES string: character 9 is white space. Remove it"),
        ("C\u00a0C", "character 2 is white space"),
        ("CC*", r"Atom 3 of the SMILES string is '\*', which is no element"),
    ],
)
def test_bad_smiles(smiles: str, sentence: str) -> None:
    with pytest.raises(StructureError, match=sentence):
        Structure.from_smiles(smiles)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.sdf", b"", "'a.sdf' is empty"),
        ("a.pdb", b" \n\n", "'a.pdb' is empty"),
        ("a.xyz", b"3\n\n", "'.xyz', which is not a known format. Expected one of .sdf .mol .mol2 .pdb"),
        ("molecule", b"3\n\n", "'molecule' is not a name with an ending that tells the format. Expected a name and one of .sdf .mol"),
        (".pdb", PEPTIDE.encode(), "'.pdb' is not a name with an ending .* rename it, for example to molecule.sdf"),
        ("pdb.gz", b"hello\n", "'pdb.gz' is not a name with an ending"),
        ("a.sdf", b"\x00\x01\x02\x03" * 100, "holds binary data, not text"),
        ("a.pdb", bytes(range(128, 256)) * 20, "holds binary data, not text"),
        ("a.sdf", b"hello\n", "truncated or not a molfile: expected a line 'M  END'"),
        ("a.sdf", MOLFILE[:-40].encode(), "truncated or not a molfile"),
        ("a.mol", MOLFILE.replace("  3  2  0", "  9  2  0").encode(), "not a valid molfile"),
        ("a.mol", MOLFILE.replace("  1  2  1", "  1  9  1").encode(), "not a valid molfile"),
        ("a.mol", MOLFILE.replace(" O ", " R#").encode(), "atoms without an element"),
        ("a.mol", MOLFILE.replace("  2  3  1", "  2  3  3").encode(), r"Atom 3 \(O\) has more bonds than its valence allows"),
        ("a.mol2", b"hello\n", "'a.mol2' holds no molecule"),
        ("a.mol2", MOL2[:120].encode(), "truncated or not a MOL2 file: expected @<TRIPOS>ATOM"),
        ("a.mol2", MOL2[:-40].encode(), "not valid MOL2, or it is truncated"),
        ("a.mol2", MOL2.replace("C.3", "Du").encode(), "'a.mol2'"),
        ("a.sdf.gz", b"hello\n", "damaged or not packed with gzip"),
        ("a.pdb", b"hello\n", "no ATOM or HETATM records"),
        ("a.cif", b"hello\n", "not valid mmCIF, or it is truncated"),
        ("a.cif", b"data_x\nloop_\n_atom_site.id\n", "not valid mmCIF, or it is truncated"),
        ("a.cif", b"data_x\nloop_\nloop_\nloop_\n", "not valid mmCIF, or it is truncated: .* Save or download it again"),
        ("a.pdb", PEPTIDE[:1000].encode(), "truncated: 'ATOM .* ends before its coordinates"),
        ("a.pdb", PEPTIDE.replace("  -0.", "  -x.").encode(), "not valid PDB, or it is truncated"),
        ("a.pdb", atom("P", "DA", "1", (0, 0, 0)).encode(), "Residue DA A1 is a nucleotide"),
        ("a.pdb", atom("C1", "XYZ", "1", (0, 0, 0)).encode(), "Residue XYZ A1 .* Give its SMILES, or delete it"),
        (
            "a.pdb",
            re.sub(r"(?m)^(ATOM.{26}).{24}", r"\g<1>" + "   0.000" * 3, PEPTIDE).encode(),
            "atoms .* of ACE .* 0.000 nm apart; expected at least 0.02 nm",
        ),
        ("a.pdb", (atom("O", "HOH", "1", (1, 2, 3)) + atom("O", "HOH", "2", (1, 2, 3.1), serial=2)).encode(), "O of HOH A1 and O of HOH A2 are 0.010 nm apart"),
        ("a.pdb", re.sub(r"(?m)^(ATOM.{26}).{8}", r"\g<1>     nan", PEPTIDE).encode(), "coordinate that is not a number"),
        ("a.cif", CIF.replace("1.400", "0.100").encode(), "O1 of EDO A1 and C1 of EDO A1 are 0.010 nm apart"),
        (
            "a.mol",
            MOLFILE.replace("1.5000    0.0000    0.0000", "0.0000    0.0000    0.0000").encode(),
            r"C1 of LIG A1 .* and C2 of LIG A1 .* are 0.010 nm apart",
        ),
        (
            "a.mol2",
            re.sub(r"(?m)^(      2 C.{6}).{29}", r"\g<1>" + MOL2_FIRST, MOL2).encode(),
            r"C1 of LIG A1 .* and C2 of LIG A1 .* are 0.000 nm apart",
        ),
    ],
)
def test_bad_files(tmp_path: Path, name: str, content: bytes, sentence: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(StructureError, match=sentence):
        read(tmp_path / name)


def test_alternate_locations_and_drawings_do_not_overlap(tmp_path: Path) -> None:
    (tmp_path / "a.cif").write_text(CIF + "HETATM 5 O O2 A EDO A . 1 3.301 1.400 0.000\n")
    assert len(read(tmp_path / "a.cif")) == 10
    twice = PEPTIDE.replace(" CB  ALA", " CB AALA") + next(line for line in PEPTIDE.splitlines() if " CB  ALA" in line).replace(" CB  ALA", " CB BALA") + "\n"
    (tmp_path / "a.pdb").write_text(twice.replace("END\n", ""))
    assert len(read(tmp_path / "a.pdb")) == 22
    (tmp_path / "a.mol").write_text(re.sub(r"(?m)^( +-?\d\.\d{4}){3}", "    0.0000" * 3, MOLFILE))
    assert any("a shape was computed" in note for note in read(tmp_path / "a.mol").notes)


def test_many_atoms_in_one_place_are_refused_at_once() -> None:
    with pytest.raises(StructureError, match=r"0 and 1 are 0\.000 nm apart"):
        refuse_overlap(np.zeros((300_000, 3)), np.full(300_000, 6), str, "a.pdb")  # all pairs would take minutes


@pytest.mark.parametrize("name", TARGETS)
def test_bundled_files_do_not_overlap(name: str) -> None:
    target = TARGETS[name]
    for file in (target.protein_file, target.ligand_file):
        assert len(read(target.folder / file)) > 10


def test_what_openmm_says_comes_without_its_web_address() -> None:
    ethane = Structure.from_smiles("CC")
    mm = parametrise(ethane)
    crushed = dataclasses.replace(mm, structure=ethane.with_positions(np.zeros((8, 3))))
    with pytest.raises(StructureError, match=r"^Atoms overlap so much .* Check the coordinates in the file\.$"):
        relaxed(crushed)
    with pytest.raises(SimulationError, match=r"^The energy of the starting structure cannot be lowered: .*NaN\. Check that no atoms overlap\.$"):
        OpenMMSimulation(plain(crushed), Thermostat(), "CPU").minimise(10)


def test_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.pdb"
    with path.open("wb") as file:
        file.truncate(200_000_000)  # a hole: takes no space, but would take memory
    with pytest.raises(StructureError, match="has 200 MB; expected at most 50 MB"):
        read(path)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="No such file"):
        read(tmp_path / "nothing.sdf")
    (tmp_path / "folder.pdb").mkdir()
    with pytest.raises(StorageError, match="cannot be read"):
        read(tmp_path / "folder.pdb")


def test_bad_ligand_smiles(tmp_path: Path) -> None:
    (tmp_path / "a.pdb").write_text(PEPTIDE)
    with pytest.raises(StructureError, match="is not a SMILES string"):
        read(tmp_path / "a.pdb", ligand_smiles="C1CC")


@pytest.mark.parametrize("cut", range(200, 1700, 97))
def test_any_truncation_is_a_sentence_or_a_repair(tmp_path: Path, cut: int) -> None:
    (tmp_path / "a.pdb").write_text(PEPTIDE[:cut])
    said: tuple[str, ...] = ()
    try:
        said = read(tmp_path / "a.pdb").notes
    except StudioError as error:
        said = (str(error),)
    assert said
    assert all(sentence.endswith(".") for sentence in said)


def test_bond_of_unknown_order_is_named() -> None:
    ethane = Structure.from_smiles("CC")
    with pytest.raises(StructureError, match=r"bond between C1 of LIG A1 .* has no known order"):
        dataclasses.replace(ethane, bond_orders=ethane.bond_orders * 0).to_rdkit()
