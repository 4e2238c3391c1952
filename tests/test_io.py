"""Reading, repairing and writing molecules: what the file left out is added and told."""

import dataclasses
import random
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem

from studio.errors import StorageError, StructureError
from studio.io import load, read, save, to_pdb
from studio.structure import Droplet, Structure
from tests.molecule_files import PEPTIDE, atom, without


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def molfile(smiles: str, hydrogens: bool, flat: bool) -> str:
    mol = Chem.MolFromSmiles(smiles)
    if flat:
        from rdkit.Chem import rdDepictor

        rdDepictor.Compute2DCoords(mol)
        return Chem.MolToMolBlock(mol)
    mol = Structure.from_smiles(smiles).to_rdkit()
    return Chem.MolToMolBlock(mol if hydrogens else Chem.RemoveHs(mol))


# Small molecules


def test_complete_sdf_is_taken_as_it_is(tmp_path: Path, aspirin: Structure) -> None:
    back = read(write(tmp_path, "a.sdf", Chem.MolToMolBlock(aspirin.to_rdkit()) + "$$$$\n"))
    assert back.notes == ()
    assert back.numbers.tolist() == aspirin.numbers.tolist()
    np.testing.assert_allclose(back.positions, aspirin.positions, atol=1e-5)


def test_hydrogens_are_added_in_place(tmp_path: Path) -> None:
    path = write(tmp_path, "a.mol", molfile("CCO", hydrogens=False, flat=False))
    ethanol = read(path)
    assert len(ethanol) == 9
    assert ethanol.notes == ("6 hydrogens were missing and were added.",)
    heavy = Chem.MolFromMolFile(str(path)).GetConformer().GetPositions() / 10
    np.testing.assert_allclose(ethanol.positions[:3], heavy, atol=1e-6)


def test_flat_drawing_is_embedded(tmp_path: Path) -> None:
    ring = read(write(tmp_path, "a.mol", molfile("C1CCCCC1", hydrogens=False, flat=True)))
    assert np.ptp(ring.positions, axis=0).min() > 0.05
    assert any("no three-dimensional coordinates" in note for note in ring.notes)


def test_planar_molecule_with_hydrogens_is_not_a_drawing(tmp_path: Path) -> None:
    benzene = Structure.from_smiles("c1ccccc1")
    _, _, axes = np.linalg.svd(benzene.positions - benzene.positions.mean(axis=0))
    planar = (benzene.positions - benzene.positions.mean(axis=0)) @ axes.T
    planar[:, 2] = 0.0
    back = read(write(tmp_path, "b.mol", Chem.MolToMolBlock(benzene.with_positions(planar).to_rdkit())))
    assert back.notes == ()
    np.testing.assert_allclose(back.positions, planar, atol=1e-5)


def test_first_of_several_records_or_the_one_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path, "two.sdf", "".join(f"{molfile(s, hydrogens=True, flat=False)}$$$$\n" for s in ("CO", "CCO")))
    assert len(read(path)) == 6
    assert "holds 2 molecules; the first" in read(path).notes[0]
    assert len(read(path, index=1)) == 9
    assert read(path, index=1).notes == ()
    with pytest.raises(StructureError, match="has 2 molecules; expected an index from 0 to 1, got 2"):
        read(path, index=2)


def test_salt_keeps_both_fragments(tmp_path: Path) -> None:
    salt = read(write(tmp_path, "salt.sdf", molfile("CC(=O)[O-].[Na+]", hydrogens=True, flat=False)))
    assert len(salt.molecules) == 2
    assert any("2 separate fragments" in note for note in salt.notes)


# Proteins


def test_complete_peptide_needs_no_repair(tmp_path: Path) -> None:
    peptide = read(write(tmp_path, "p.pdb", PEPTIDE))
    assert [residue.name for residue in peptide.residues] == ["ACE", "ALA", "NME"]
    assert (len(peptide), peptide.charge, peptide.notes) == (22, 0, ())
    assert Chem.MolToSmiles(Chem.RemoveHs(peptide.to_rdkit())) == Chem.CanonSmiles("CC(=O)N[C@@H](C)C(=O)NC")


def test_missing_atoms_are_built_and_told(tmp_path: Path) -> None:
    peptide = read(write(tmp_path, "p.pdb", without(PEPTIDE, r" (CB|H\w*) +(ACE|ALA|NME) ")))
    assert len(peptide) == 22
    assert any("missing heavy atom of ALA A2 built: CB" in note for note in peptide.notes)
    assert any("missing hydrogens added for pH 7.4" in note for note in peptide.notes)
    peptide.to_rdkit()


def test_equal_seeds_repair_equally(tmp_path: Path) -> None:
    state = random.getstate()
    path = write(tmp_path, "p.pdb", without(PEPTIDE, r" H\w* +(ACE|ALA|NME) "))
    assert read(path, seed=5).key == read(path, seed=5).key
    assert random.getstate() == state


def test_caps_removed_gives_charged_termini(tmp_path: Path) -> None:
    alanine = read(write(tmp_path, "p.pdb", without(PEPTIDE, "ACE|NME| H  ")))
    charges = {alanine.names[i]: int(alanine.formal_charges[i]) for i in np.flatnonzero(alanine.formal_charges)}
    assert set(charges.values()) == {1, -1}
    assert charges["N"] == 1
    assert alanine.charge == 0
    assert any("OXT" in note for note in alanine.notes)


def test_alternate_location_with_most_occupancy_stays(tmp_path: Path) -> None:
    def split(line: str) -> str:
        if " CB  ALA" not in line:
            return line
        other = f"{line[:30]}{99.0:8.3f}{line[38:]}"
        return f"{other[:16]}A{other[17:54]}  0.30{other[60:]}\n{line[:16]}B{line[17:54]}  0.70{line[60:]}"

    peptide = read(write(tmp_path, "p.pdb", "\n".join(map(split, PEPTIDE.splitlines()))))
    assert len(peptide) == 22
    assert np.ptp(peptide.positions[:, 0]) < 2.0
    assert "1 residue has alternate locations" in peptide.notes[0]


def test_insertion_codes_stay_in_the_number(tmp_path: Path) -> None:
    text = PEPTIDE.replace("ALA A   2 ", "ALA A   1A").replace("NME A   3 ", "NME A   1B")
    peptide = read(write(tmp_path, "p.pdb", text))
    assert [residue.number for residue in peptide.residues] == ["1", "1A", "1B"]
    assert "ALA A   1A" in to_pdb(peptide)


def test_first_of_several_models(tmp_path: Path) -> None:
    body = without(PEPTIDE, "^(TITLE|END)")
    peptide = read(write(tmp_path, "p.pdb", f"MODEL        1\n{body}ENDMDL\nMODEL        2\n{body}ENDMDL\nEND\n"))
    assert len(peptide) == 22
    assert "holds 2 models; the first was taken" in peptide.notes[0]


def test_gap_breaks_the_chain_and_is_told(tmp_path: Path) -> None:
    moved = [
        f"{line[:22]}{int(line[22:26]) + 10:4d}{line[26:30]}{float(line[30:38]) + 20:8.3f}{line[38:]}\n"
        for line in PEPTIDE.splitlines()
        if "ALA" in line[17:20]
    ]
    both = read(write(tmp_path, "p.pdb", without(PEPTIDE, "NME|^END") + "".join(moved) + "END\n"))
    assert len(both.molecules) == 2
    assert any("residues are missing between ALA 2 and ALA 12" in note and "charged termini" in note for note in both.notes)
    assert both.charge == -1  # ACE-ALA ends in a carboxylate; the other piece is a zwitterion


def test_selenomethionine_becomes_methionine(tmp_path: Path) -> None:
    text = without(PEPTIDE, " HB.").replace(" ALA ", " MSE ")
    peptide = read(write(tmp_path, "p.pdb", text))
    assert [residue.name for residue in peptide.residues] == ["ACE", "MET", "NME"]
    assert 34 not in peptide.numbers
    assert any("MSE A2 was replaced by the standard MET" in note for note in peptide.notes)


def test_water_and_ions_are_kept_and_told(tmp_path: Path) -> None:
    extra = atom("O", "HOH", "50", (20, 20, 20)) + atom("NA", "NA", "51", (30, 20, 20)) + "END\n"
    peptide = read(write(tmp_path, "p.pdb", without(PEPTIDE, "^END") + "TER\n" + extra))
    assert peptide.charge == 1
    assert peptide.numbers[peptide.atoms_of("water")].tolist() == [8, 1, 1]
    assert any("1 water molecule of the file was kept" in note for note in peptide.notes)


def ligand_lines() -> str:
    acid = Structure.from_smiles("CC(=O)[O-]")
    places = [tuple(row) for row in (acid.positions[:4] * 10 + 20).tolist()]
    return "TER\n" + "".join(atom(name, "XYZ", "7", place, chain="B") for name, place in zip(("C1", "C2", "O1", "O2"), places, strict=True)) + "END\n"


def test_ligand_needs_its_smiles(tmp_path: Path) -> None:
    path = write(tmp_path, "p.pdb", without(PEPTIDE, "^END") + ligand_lines())
    with pytest.raises(StructureError, match=r"Residue XYZ B7 .* bond orders are not in the file. Give its SMILES"):
        read(path)
    with pytest.raises(StructureError, match=r"XYZ B7 .* the SMILES that you gave does not fit"):
        read(path, ligand_smiles="CCCO")
    both = read(path, ligand_smiles="CC(=O)[O-]")
    assert len(both) == 22 + 7
    assert both.charge == -1
    ligand = both.take(both.atoms_of("ligand"))
    assert ligand.names[:4] == ("C1", "C2", "O1", "O2")
    assert Chem.CanonSmiles("CC(=O)[O-]") == Chem.MolToSmiles(Chem.RemoveHs(ligand.to_rdkit()))


def test_mmcif_reads_like_pdb(tmp_path: Path) -> None:
    from io import StringIO

    from openmm.app import PDBFile, PDBxFile

    pdb = PDBFile(StringIO(PEPTIDE))
    with (tmp_path / "p.cif").open("w") as file:
        PDBxFile.writeFile(pdb.topology, pdb.positions, file, keepIds=True)
    cif, same = read(tmp_path / "p.cif"), read(write(tmp_path, "p.pdb", PEPTIDE))
    assert cif.names == same.names
    assert cif.residues == same.residues
    assert cif.formal_charges.tolist() == same.formal_charges.tolist()
    np.testing.assert_allclose(cif.positions, same.positions, atol=1e-4)


def test_whole_kinase() -> None:
    from studio.io.bundled import MOLECULES

    tyk2 = MOLECULES["tyk2-complex"]()
    assert (len(tyk2), len(tyk2.molecules), tyk2.charge) == (4702, 2, -3)
    protein = tyk2.take(tyk2.atoms_of("protein"))
    protein.to_rdkit()  # every valence is right


# Writing


def test_pdb_text_reads_back(aspirin: Structure) -> None:
    mol = Chem.MolFromPDBBlock(to_pdb(aspirin), removeHs=False, proximityBonding=False)
    orders = {tuple(sorted((b.GetBeginAtomIdx(), b.GetEndAtomIdx()))): b.GetBondTypeAsDouble() for b in mol.GetBonds()}
    expected = zip(aspirin.bonds.tolist(), np.where(aspirin.bond_orders == 1.5, 1.0, aspirin.bond_orders).tolist(), strict=True)
    assert orders == {tuple(sorted(pair)): order for pair, order in expected}
    np.testing.assert_allclose(mol.GetConformer().GetPositions() / 10, aspirin.positions, atol=1e-4)
    assert all(line[17:20] == "LIG" for line in to_pdb(aspirin).splitlines() if line.startswith("HETATM"))


def test_pdb_text_wraps_numbers() -> None:
    from studio.forcefield.solvent import _waters

    many = _waters(np.zeros((34_000, 3, 3)))
    lines = [line for line in to_pdb(many).splitlines() if line.startswith("HETATM")]
    assert len(lines) == 102_000
    assert {len(line) for line in lines} == {78}
    assert lines[99_998][6:11] == "99999"
    assert lines[99_999][6:11] == "    1"
    assert lines[3 * 9_999][22:26] == "   1"


def test_pdb_text_has_the_box() -> None:
    box = np.array([[3.0, 0, 0], [0, 4.0, 0], [0, 2.5, 2.5]])
    text = to_pdb(dataclasses.replace(Structure.from_smiles("O"), box=box))
    assert "CRYST1   30.000   40.000   35.355  45.00  90.00  90.00" in text


# Storing


def test_npz_is_lossless(tmp_path: Path, aspirin: Structure) -> None:
    rich = dataclasses.replace(
        aspirin.join(Structure.from_smiles("O")), box=np.eye(3) * 3.0, droplet=Droplet((0.1, 0.2, 0.3), 1.5), fixed=np.arange(24) % 2 == 0,
        title="Ångström, 水", notes=("one", "two."),
    )  # fmt: skip
    save(rich, tmp_path / "s.npz")
    back = load(tmp_path / "s.npz")
    for field in dataclasses.fields(Structure):
        mine, other = getattr(rich, field.name), getattr(back, field.name)
        assert np.array_equal(mine, other) if isinstance(mine, np.ndarray) else mine == other, field.name
    assert back.key == rich.key


@pytest.mark.parametrize("damage", [b"", b"not an archive", None])
def test_damaged_npz_is_refused(tmp_path: Path, aspirin: Structure, damage: bytes | None) -> None:
    path = tmp_path / "s.npz"
    save(aspirin, path)
    path.write_bytes(path.read_bytes()[:-200] if damage is None else damage)
    with pytest.raises(StorageError, match="missing or damaged"):
        load(path)


def test_unwritable_place_is_a_sentence(tmp_path: Path, aspirin: Structure) -> None:
    with pytest.raises(StorageError, match=r"Cannot write to .*nowhere: there is no such folder.* choose another folder"):
        save(aspirin, tmp_path / "nowhere" / "s.npz")
    assert list(tmp_path.iterdir()) == []
