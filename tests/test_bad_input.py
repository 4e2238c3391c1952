"""Bad input: whatever a user brings, the answer is a sentence that says what was expected, what came and what to do."""

import dataclasses
from pathlib import Path

import pytest

from studio.errors import StorageError, StructureError, StudioError
from studio.io import read
from studio.structure import Structure
from tests.molecule_files import PEPTIDE, atom

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
        ("a.xyz", b"3\n\n", "'.xyz', which is not a known format. Expected one of .sdf .mol .pdb"),
        ("molecule", b"3\n\n", "which is not a known format"),
        ("a.sdf", b"\x00\x01\x02\x03" * 100, "holds binary data, not text"),
        ("a.pdb", bytes(range(128, 256)) * 20, "holds binary data, not text"),
        ("a.sdf", b"hello\n", "truncated or not a molfile: expected a line 'M  END'"),
        ("a.sdf", MOLFILE[:-40].encode(), "truncated or not a molfile"),
        ("a.mol", MOLFILE.replace("  3  2  0", "  9  2  0").encode(), "not a valid molfile"),
        ("a.mol", MOLFILE.replace("  1  2  1", "  1  9  1").encode(), "not a valid molfile"),
        ("a.mol", MOLFILE.replace(" O ", " R#").encode(), "atoms without an element"),
        ("a.mol", MOLFILE.replace("  2  3  1", "  2  3  3").encode(), r"Atom 3 \(O\) has more bonds than its valence allows"),
        ("a.pdb", b"hello\n", "no ATOM or HETATM records"),
        ("a.cif", b"hello\n", "not valid mmCIF, or it is truncated"),
        ("a.cif", b"data_x\nloop_\n_atom_site.id\n", "not valid mmCIF, or it is truncated"),
        ("a.pdb", PEPTIDE[:1000].encode(), "truncated: 'ATOM .* ends before its coordinates"),
        ("a.pdb", PEPTIDE.replace("  -0.", "  -x.").encode(), "not valid PDB, or it is truncated"),
        ("a.pdb", atom("P", "DA", "1", (0, 0, 0)).encode(), "Residue DA A1 is a nucleotide"),
        ("a.pdb", atom("C1", "XYZ", "1", (0, 0, 0)).encode(), "Residue XYZ A1 .* Give its SMILES, or delete it"),
    ],
)
def test_bad_files(tmp_path: Path, name: str, content: bytes, sentence: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(StructureError, match=sentence):
        read(tmp_path / name)


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
