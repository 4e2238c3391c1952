"""Building: names, sequences, bundled targets, many molecules in one file, variants of a molecule, and taking repairs back."""

import csv
import gzip
import pickle
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem.rdMolDescriptors import CalcMolFormula
from scipy.spatial import cKDTree

from studio import chem
from studio.deeds import Deed, deeds
from studio.errors import PluginError, StructureError
from studio.forcefield import ForceField, parametrise
from studio.io import contents, load, read, save, to_pdb
from studio.io.draw import drawing
from studio.io.names import TABLE, molecules, named, smiles_of
from studio.io.protonation import at_ph, protonated
from studio.io.records import MAX_RECORDS
from studio.io.repairs import Note, Repairs, titratable
from studio.io.sequence import LETTERS, peptide
from studio.io.targets import TARGETS, target
from studio.io.variants import advice, open_stereo, stereo_isomers, tautomers
from studio.structure import Structure
from studio.system import EXAMPLES, FromFile, FromSequence, FromSmiles, FromTarget, System, WaterBox
from tests.molecule_files import PEPTIDE, atom, mol2, without


def smiles(structure: Structure) -> str:
    return Chem.MolToSmiles(Chem.RemoveHs(structure.to_rdkit()))


# Names


def test_every_molecule_of_the_table_is_the_one_it_is_called() -> None:
    with TABLE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) >= 60
    wrong = [row["name"] for row in rows if CalcMolFormula(chem.parse_smiles(row["smiles"])) != row["formula"]]
    assert wrong == []
    words = [word.lower() for known in molecules() for word in (known.name, *known.synonyms)]
    assert len(words) == len(set(words))


def test_amino_acids_of_the_table_are_left_handed() -> None:
    acids = [known for known in molecules() if any(word.startswith("L-") for word in known.synonyms) and known.name != "lactic acid"]
    assert len(acids) == 19  # glycine has no hand
    for known in acids:
        codes = dict(Chem.FindMolChiralCenters(Chem.MolFromSmiles(known.smiles), useLegacyImplementation=False))
        alpha = Chem.MolFromSmiles(known.smiles).GetSubstructMatch(Chem.MolFromSmarts("[NX3][CX4][CX3](=O)[OX2H]"))[1]
        assert codes[alpha] == ("R" if known.name == "cysteine" else "S"), known.name


def test_names_are_understood_however_they_are_written() -> None:
    assert Chem.CanonSmiles(named("Aspirin")) == Chem.CanonSmiles("CC(=O)Oc1ccccc1C(=O)O")
    assert named("vitamin c") == named("Vitamin-C") == named("ascorbic acid")
    assert named("unobtainium") is None
    assert smiles_of(" CCO ") == "CCO"
    assert smiles_of("CO") == "CO"


@pytest.mark.parametrize(
    ("typed", "sentence"), [("caffein", "Did you mean caffeine"), ("ibuprofin", "Did you mean ibuprofen"), ("unobtainium", "type the SMILES")]
)
def test_unknown_names_get_a_hint(typed: str, sentence: str) -> None:
    with pytest.raises(StructureError, match=f"'{typed}' is neither a SMILES string nor the name .*{sentence}"):
        smiles_of(typed)


def test_a_broken_smiles_stays_one() -> None:
    with pytest.raises(StructureError, match="is not a SMILES string"):
        Structure.from_smiles(smiles_of("C1CC(=O)"))


# Many molecules in one file


def series(*drawn: str) -> list[Structure]:
    return [Structure.from_smiles(each) for each in drawn]


def test_mol2_is_read_like_sdf(tmp_path: Path) -> None:
    (drug,) = series(smiles_of("paracetamol"))
    (tmp_path / "a.mol2").write_text(mol2(drug, "paracetamol"))
    back = read(tmp_path / "a.mol2")
    assert smiles(back) == smiles(drug)
    assert (back.title, back.notes) == ("paracetamol", ())
    np.testing.assert_allclose(back.positions, drug.positions, atol=1e-4)


def test_charges_of_mol2_come_from_its_atom_types(tmp_path: Path) -> None:
    text = """@<TRIPOS>MOLECULE
acetate
7 6 1 0 0
SMALL
NO_CHARGES

@<TRIPOS>ATOM
1 C1 0.00 0.00 0.00 C.3 1 LIG 0.0
2 C2 1.52 0.00 0.00 C.2 1 LIG 0.0
3 O1 2.14 1.10 0.00 O.co2 1 LIG 0.0
4 O2 2.14 -1.10 0.00 O.co2 1 LIG 0.0
5 H1 -0.36 1.03 0.00 H 1 LIG 0.0
6 H2 -0.36 -0.51 0.89 H 1 LIG 0.0
7 H3 -0.36 -0.51 -0.89 H 1 LIG 0.0
@<TRIPOS>BOND
1 1 2 1
2 2 3 ar
3 2 4 ar
4 1 5 1
5 1 6 1
6 1 7 1
"""
    (tmp_path / "a.mol2").write_text(text)
    acetate = read(tmp_path / "a.mol2")
    assert acetate.charge == -1
    assert smiles(acetate) == Chem.CanonSmiles("CC(=O)[O-]")


def test_contents_of_both_formats(tmp_path: Path) -> None:
    three = series("CCO", "c1ccccc1C", "CC(=O)O")
    (tmp_path / "a.mol2").write_text("# from Corina\n" + "".join(mol2(each, f"m{k}") for k, each in enumerate(three)))
    (tmp_path / "a.sdf").write_text("".join(f"m{k}{Chem.MolToMolBlock(each.to_rdkit())}$$$$\n" for k, each in enumerate(three)))
    for path in (tmp_path / "a.mol2", tmp_path / "a.sdf"):
        records = contents(path)
        assert [record.smiles for record in records] == [smiles(each) for each in three]
        assert [(record.index, record.title, record.heavy_atoms, record.charge) for record in records] == [(0, "m0", 3, 0), (1, "m1", 7, 0), (2, "m2", 4, 0)]
        assert smiles(read(path, index=1)) == smiles(three[1])
        assert "holds 3 molecules; the first, m0" in read(path).notes[0]


def test_unusable_records_say_why_and_spare_the_others(tmp_path: Path) -> None:
    good = Chem.MolToMolBlock(Structure.from_smiles("CCO").to_rdkit())
    (tmp_path / "a.sdf").write_text(f"{good}$$$$\nbroken\n\n\nM  END\n$$$$\n{good}$$$$\n")
    records = contents(tmp_path / "a.sdf")
    assert [bool(record.problem) for record in records] == [False, True, False]
    assert records[1].title == "broken"
    assert records[1].problem.endswith(".")


def test_too_many_records_are_refused(tmp_path: Path) -> None:
    good = Chem.MolToMolBlock(Chem.MolFromSmiles("C"))
    (tmp_path / "a.sdf").write_text(f"{good}$$$$\n" * (MAX_RECORDS + 1))
    with pytest.raises(StructureError, match="holds 1,001 molecules; expected at most 1,000"):
        contents(tmp_path / "a.sdf")


def test_packed_files_are_unpacked_up_to_a_limit(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "p.pdb.gz", "wt") as file:
        file.write(PEPTIDE)
    assert len(read(tmp_path / "p.pdb.gz")) == 22
    with gzip.open(tmp_path / "bomb.sdf.gz", "wb") as file:
        file.write(bytes(3_000_000))
    with pytest.raises(StructureError, match="unpacks to more than 2 MB"):
        read(tmp_path / "bomb.sdf.gz", max_megabytes=2.0)
    for damage in (b"not packed", (tmp_path / "p.pdb.gz").read_bytes()[:200]):
        (tmp_path / "bad.pdb.gz").write_bytes(damage)
        with pytest.raises(StructureError, match="damaged or not packed with gzip"):
            read(tmp_path / "bad.pdb.gz")


# Sequences


def relaxed_lengths(structure: Structure) -> np.ndarray:
    return np.linalg.norm(structure.positions[structure.bonds[:, 0]] - structure.positions[structure.bonds[:, 1]], axis=1)


@pytest.mark.parametrize("shape", ["extended", "helix"])
def test_a_peptide_of_all_letters_is_a_real_peptide(shape: str) -> None:
    letters = "".join(sorted(LETTERS))
    built = System(source=FromSequence(sequence=letters, shape=shape)).prepare()
    assert built.title == f"Ac-{letters}-NHMe"
    ideal = Chem.MolFromSequence(letters)  # RDKit's L-amino acids, uncharged
    caps = Chem.MolFromSmarts("[CH3]C(=O)N")
    mol = Chem.RemoveHs(built.to_rdkit())
    assert mol.HasSubstructMatch(caps)
    backbone = Chem.MolFromSmarts("[NX3][CX4;$(C(N)C(=O)N)]C=O")
    handed = dict(Chem.FindMolChiralCenters(mol, useLegacyImplementation=False))
    alpha = {match[1] for match in mol.GetSubstructMatches(backbone)} & set(handed)
    assert len(alpha) == 19
    assert sum(handed[each] == "R" for each in alpha) == 1  # cysteine
    assert mol.GetNumHeavyAtoms() == ideal.GetNumHeavyAtoms() - 1 + 3 + 2
    lengths, hydrogens = relaxed_lengths(built), (built.numbers[built.bonds] == 1).any(axis=1)
    assert 0.09 < lengths[hydrogens].min() < lengths[hydrogens].max() < 0.14  # sulfur's hydrogen is farthest
    assert 0.12 < lengths[~hydrogens].min() < lengths[~hydrogens].max() < 0.19


def test_a_helix_is_one_and_an_extended_chain_is_longer() -> None:
    helix, strand = (peptide("A" * 12, shape=shape) for shape in ("helix", "extended"))
    ends = [np.linalg.norm(np.ptp(each.positions, axis=0)) for each in (helix, strand)]
    assert ends[1] > 1.6 * ends[0]
    place = {(helix.residues[k].number, name): xyz for name, k, xyz in zip(helix.names, helix.residue_index.tolist(), helix.positions, strict=True)}
    distances = [np.linalg.norm(place[str(k), "O"] - place[str(k + 4), "N"]) for k in range(2, 9)]
    assert max(distances) < 0.34  # the hydrogen bonds of an alpha helix


def test_ends_and_side_chains_carry_their_charges() -> None:
    assert peptide("ADKE").charge == -1
    assert peptide("AAA", "NH3", "COO").charge == 0
    assert peptide("AAA", "NH3", "NME").charge == 1
    assert peptide("AAA", "ACE", "COO").charge == -1
    assert peptide("D", ph=2.0).charge == 0
    for built in (peptide("G"), peptide("PP", "NH3", "COO"), peptide("W" * 3, "ACE", "COO")):
        parametrise(built, ForceField(), "none")


def test_equal_sequences_give_equal_peptides() -> None:
    assert peptide("ACK").key == peptide("a c\nk").key


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("", "1 to 60 one-letter codes, got 0"),
        ("A" * 61, "got 61. For larger proteins upload"),
        ("ABA", "Letter 2, 'B', is no amino acid"),
        ("AaA", "Letter 2, 'a', is lower case among capitals, which means a D-amino acid"),
        ("AXA", "Letter 2, 'X'"),
        ("A-A", "Letter 2, '-'"),
    ],
)
def test_bad_sequences(typed: str, sentence: str) -> None:
    with pytest.raises(StructureError, match=sentence):
        peptide(typed)


def test_a_single_amino_acid_needs_a_cap() -> None:
    with pytest.raises(StructureError, match="two charged ends is not in the protein force field"):
        peptide("G", "NH3", "COO")


# Targets


@pytest.mark.parametrize("name", TARGETS)
def test_every_target_reads_with_a_ligand_of_its_own(name: str) -> None:
    chosen = target(name)
    assert len(chosen.ligands) >= 11
    assert all(-15 < ligand.affinity < -4 for ligand in chosen.ligands.values())
    ligand = next(iter(chosen.ligands))
    whole = System(source=FromTarget(target=name, ligand=ligand)).source.build(7.4, 0, Repairs())
    heavy = np.flatnonzero(whole.numbers > 1)
    small, protein = (whole.positions[np.intersect1d(heavy, whole.atoms_of(kind))] for kind in ("ligand", "protein"))
    closest = cKDTree(protein).query(small)[0].min()
    assert 0.2 < closest < 0.4  # in its pocket, neither beside it nor inside an atom
    whole.take(whole.atoms_of("protein")).to_rdkit()  # every valence is right


def test_every_ligand_of_every_target_reads() -> None:
    for chosen in TARGETS.values():
        records = contents(chosen.folder / chosen.ligand_file)
        assert [record.problem for record in records] == [""] * len(records)
        assert [record.title for record in records] == list(chosen.ligands)


def test_a_pose_that_overlaps_the_protein_is_told() -> None:
    assert any("C1 and O of ILE A25 are only 0.09 nm apart" in note for note in TARGETS["jnk1"].complex("18659-1").notes)
    assert not any("apart" in note for note in TARGETS["tyk2"].complex("ejm_31").notes)


def test_targets_by_name() -> None:
    ligand = FromTarget(target="tyk2", ligand="ejm_31", complex=False).build(7.4, 0, Repairs())
    assert (len(ligand), ligand.title) == (32, "TYK2 ligand ejm_31")
    assert TARGETS["tyk2"].ligands["ejm_31"].affinity == pytest.approx(-9.54)
    with pytest.raises(PluginError, match=r"no bundled target 'egfr'\. Known: bace, cdk2"):
        target("egfr")
    with pytest.raises(PluginError, match=r"TYK2 has no ligand 'aspirin'\. Known: ejm_31"):
        TARGETS["tyk2"].ligand("aspirin")


# Protonation


@pytest.mark.parametrize(
    ("name", "ph", "expected"),
    [
        ("aspirin", 7.4, "CC(=O)Oc1ccccc1C(=O)[O-]"),
        ("aspirin", 2.0, "CC(=O)Oc1ccccc1C(=O)O"),
        ("glycine", 7.4, "[NH3+]CC(=O)[O-]"),
        ("dopamine", 7.4, "[NH3+]CCc1ccc(O)c(O)c1"),  # phenols of all kinds scatter too much to be sure
        ("uracil", 7.4, "O=c1cc[nH]c(=O)[nH]1"),
        ("N-methylacetamide", 7.4, "CNC(C)=O"),
        ("caffeine", 7.4, "Cn1cnc2c1c(=O)n(C)c(=O)n2C"),
        ("imidazole", 7.4, "c1c[nH]cn1"),
    ],
)
def test_typical_states(name: str, ph: float, expected: str) -> None:
    mol, _ = at_ph(chem.parse_smiles(named(name)), ph)
    assert Chem.MolToSmiles(Chem.RemoveHs(mol)) == Chem.CanonSmiles(expected)


def test_of_two_neighbouring_bases_one_is_charged() -> None:
    for drawn in ("NCCN", "C1CNCCN1", named("imatinib"), named("metformin")):
        mol, changes = at_ph(chem.parse_smiles(drawn), 7.4)
        assert Chem.GetFormalCharge(mol) == 1, drawn
        assert len(changes) == 1
    mol, _ = at_ph(chem.parse_smiles("NCCCCN"), 7.4)
    assert Chem.GetFormalCharge(mol) == 2


def test_heavy_atoms_stay_where_they_were_posed() -> None:
    posed = Structure.from_smiles("NCCc1ccc(C(=O)O)cc1")
    charged = protonated(posed, 7.4)
    np.testing.assert_array_equal(charged.positions[charged.numbers > 1], posed.positions[posed.numbers > 1])
    assert smiles(charged) == Chem.CanonSmiles("[NH3+]CCc1ccc(C(=O)[O-])cc1")
    lengths = relaxed_lengths(charged)[(charged.numbers[charged.bonds] == 1).any(axis=1)]
    assert 0.09 < lengths.min() < lengths.max() < 0.12
    assert sum("pKa" in note for note in charged.notes) == 2


def test_salts_nitro_groups_and_radicals_are_left_alone() -> None:
    for drawn in ("CC(=O)[O-].[Na+]", "O=[N+]([O-])c1ccccc1", "[CH3]", "C[N+](C)(C)C"):
        _, changes = at_ph(chem.parse_smiles(drawn), 7.4)
        assert changes == [], drawn


def test_drawn_charges_stay_and_the_other_state_is_told() -> None:
    system = System(source=FromSmiles(smiles=named("aspirin")))
    drawn = system.prepare()
    assert drawn.charge == 0
    (deed,) = deeds(drawn, system)
    assert "The charges are those drawn; the typical state is another. At pH 7.4 O13 gives up 1 hydrogen" in deed.sentence
    other = deed.undo.prepare()
    assert other.charge == -1
    (back,) = deeds(other, deed.undo)
    assert back.undo == system


def test_ligands_in_proteins_are_protonated_where_they_lie(tmp_path: Path) -> None:
    acid = Structure.from_smiles("CC(=O)O")
    places = [tuple(row) for row in (acid.positions[:4] * 10 + 20).tolist()]
    lines = "".join(atom(name, "XYZ", "7", place, chain="B") for name, place in zip(("C1", "C2", "O1", "O2"), places, strict=True))
    (tmp_path / "p.pdb").write_text(without(PEPTIDE, "^END") + "TER\n" + lines + "END\n")
    system = System(source=FromFile(path=str(tmp_path / "p.pdb"), ligand_smiles="CC(=O)O", protonation="at_ph"))
    both = system.prepare()
    assert both.charge == -1
    ligand = both.take(both.atoms_of("ligand"))
    assert ligand.names[:4] == ("C1", "C2", "O1", "O2")
    np.testing.assert_allclose(ligand.positions[:4] * 10, places, atol=2e-3)
    told = next(deed for deed in deeds(both, system) if "gives up 1 hydrogen" in deed.sentence)
    assert told.undo.prepare().charge == 0


# Stereo and tautomers


def test_open_stereo_is_told_with_what_was_taken() -> None:
    drawn = chem.parse_smiles("CC=CC(O)F")
    shaped = chem.embed(drawn)
    said = open_stereo(drawn, shaped)
    assert len(said) == 2
    taken = Structure.from_rdkit(shaped).to_rdkit()
    code = taken.GetAtomWithIdx(3).GetProp("_CIPCode")
    assert f"stereo centre C4 open; {code} was taken" in said[0]
    assert "double bond C2=C3 open; " in said[1]
    marked = chem.parse_smiles("C/C=C/[C@H](O)F")
    assert open_stereo(marked, chem.embed(marked)) == []


def test_flat_drawings_tell_their_open_centres_too(tmp_path: Path) -> None:
    from rdkit.Chem import rdDepictor

    for drawn, expected in (("CC(N)C(=O)O", 1), ("C[C@H](N)C(=O)O", 0)):
        mol = Chem.MolFromSmiles(drawn)
        rdDepictor.Compute2DCoords(mol)
        (tmp_path / "a.mol").write_text(Chem.MolToMolBlock(mol))
        assert sum("open" in note for note in read(tmp_path / "a.mol").notes) == expected


def test_isomers_and_tautomers_to_choose_from() -> None:
    assert stereo_isomers("CC(N)C(=O)O") == sorted(Chem.CanonSmiles(each) for each in ("C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O"))
    assert stereo_isomers("CCO") == ["CCO"]
    assert len(stereo_isomers("C(F)(Cl)" * 8 + "Br")) == 32
    found = tautomers("Oc1ccccn1")
    assert found[0] == "O=c1cccc[nH]1"
    assert "Oc1ccccn1" in found
    assert tautomers("CCO") == ["CCO"]


def test_advice_is_for_what_is_unusual() -> None:
    assert advice(chem.parse_smiles("CCO"), 7.4) == []
    assert "another tautomer first: O=c1cccc[nH]1" in advice(chem.parse_smiles("Oc1ccccn1"), 7.4)[-1]
    assert "1 unpaired electron;" in advice(chem.parse_smiles("[CH3]"), 7.4)[0]
    assert "unusual charge +4" in advice(chem.parse_smiles("[Zr+4]"), 7.4)[0]


# Taking back what was done


def prepared(system: System) -> tuple[Structure, dict[str, Deed]]:
    structure = system.prepare()
    return structure, {deed.sentence: deed for deed in deeds(structure, system)}


def undone(system: System, words: str) -> tuple[Structure, System]:
    """What comes of undoing the deed whose sentence has these words; the deed must be gone then."""
    _, before = prepared(system)
    (deed,) = [deed for sentence, deed in before.items() if words in sentence]
    assert deed.undo is not None
    assert deed.action
    assert System.model_validate_json(deed.undo.model_dump_json()) == deed.undo
    structure, after = prepared(deed.undo)
    assert not [sentence for sentence in after if words in sentence]
    return structure, deed.undo


def from_text(folder: Path, text: str) -> System:
    (folder / "p.pdb").write_text(text)
    return System(source=FromFile(path=str(folder / "p.pdb")))


def test_water_ions_and_additives_can_be_left_out_and_taken_back(tmp_path: Path) -> None:
    glycerol = Structure.from_smiles("OCC(O)CO")
    heavy = [tuple(row) for row in (glycerol.positions[:6] * 10 + 30).tolist()]
    extra = atom("O", "HOH", "50", (20, 20, 20)) + atom("O", "HOH", "51", (24, 20, 20)) + atom("NA", "NA", "52", (30, 20, 20))
    extra += "".join(atom(f"{element}{k}", "GOL", "60", place) for k, (element, place) in enumerate(zip("OCCOCO", heavy, strict=True)))
    system = from_text(tmp_path, without(PEPTIDE, "^END") + "TER\n" + extra + "END\n")
    whole, said = prepared(system)
    assert {"2 water molecules of the file were kept.", "1 NA ion of the file was kept."} <= set(said)
    dry, again = undone(system, "2 water molecules")
    assert (len(whole) - len(dry), again.repairs.leave_out) == (6, ("HOH",))
    bare, _ = undone(system, "1 NA ion")
    assert bare.charge == whole.charge - 1
    plain, _ = undone(system, "Residue GOL A60")
    assert plain.atoms_of("ligand").size == 0
    wet, settings = undone(again, "HOH was left out")
    assert settings == system
    assert wet.key == whole.key


def test_the_other_location_can_be_taken(tmp_path: Path) -> None:
    def split(line: str) -> str:
        if " CB  ALA" not in line:
            return line
        other = f"{line[:30]}{float(line[30:38]) + 0.5:8.3f}{line[38:]}"
        return f"{line[:16]}A{line[17:54]}  0.70{line[60:]}\n{other[:16]}B{other[17:54]}  0.30{other[60:]}"

    system = from_text(tmp_path, "\n".join(map(split, PEPTIDE.splitlines())))
    usual = system.prepare()
    other, settings = undone(system, "highest occupancy")
    carbon = usual.names.index("CB")
    assert other.positions[carbon, 0] - usual.positions[carbon, 0] == pytest.approx(0.05)
    back, _ = undone(settings, "location B was taken")
    assert back.key == usual.key


def cystine(folder: Path) -> System:
    """Two capped cysteines with their sulfurs 0.205 nm apart, and a histidine."""
    chains = []
    for chain, sign in (("A", 1.0), ("B", -1.0)):
        one = peptide("CH")
        sulfur = one.positions[one.names.index("SG")]
        away = sulfur - one.positions[one.names.index("CA")]
        axis = away / np.linalg.norm(away)
        # The second is the first turned about the axis through the middle of the bridge.
        middle = sulfur + 0.1025 * axis
        side = np.cross(axis, [0.0, 0.0, 1.0])
        side /= np.linalg.norm(side)
        moved = one.positions - middle
        places = moved if sign > 0 else 2 * np.outer(moved @ side, side) - moved
        residues = [one.residues[k] for k in one.residue_index.tolist()]
        for name, residue, place, number in zip(one.names, residues, places.tolist(), one.numbers.tolist(), strict=True):
            if number > 1:
                x, y, z = (round(10 * value, 3) for value in place)
                chains.append(atom(name, residue.name, residue.number, (x, y, z), chain=chain, record="ATOM"))
        chains.append("TER\n")
    return from_text(folder, "".join(chains) + "END\n")


def test_a_disulfide_can_be_opened(tmp_path: Path) -> None:
    system = cystine(tmp_path)
    closed = system.prepare()
    bridges = (closed.numbers[closed.bonds] == 16).all(axis=1)
    assert bridges.sum() == 1
    open_, settings = undone(system, "joined by a disulfide bond")
    assert settings.repairs.protonation_states == {"A:2": "CYS", "B:2": "CYS"}
    assert not (open_.numbers[open_.bonds] == 16).all(axis=1).any()
    assert open_.names.count("HG") == 2
    assert len(open_.molecules) == 2
    with pytest.raises(StructureError, match="set both to CYS to open it"):
        system.model_copy(update={"repairs": Repairs(protonation_states={"A:2": "CYS"})}).prepare()


def test_protonation_states_of_single_residues(tmp_path: Path) -> None:
    five = peptide("HDEKA")
    system = from_text(tmp_path, to_pdb(five))
    wanted = {"A:2": "HIP", "A:3": "ASH", "A:4": "GLH", "A:5": "LYN"}
    usual = {key: state for key, (state, _) in titratable(five).items()}
    assert usual in [{"A:2": each, "A:3": "ASP", "A:4": "GLU", "A:5": "LYS"} for each in ("HID", "HIE")]
    changed = system.model_copy(update={"repairs": Repairs(protonation_states=wanted)}).prepare()
    assert {key: state for key, (state, _) in titratable(changed).items()} == wanted
    assert changed.charge == five.charge + 1 + 1 + 1 - 1
    changed.to_rdkit()
    parametrise(changed, ForceField(), "none")
    heavy = [each.positions[each.numbers > 1] for each in (five, changed)]
    np.testing.assert_allclose(heavy[0], heavy[1], atol=1e-4)
    back, _ = undone(system.model_copy(update={"repairs": Repairs(protonation_states={"A:2": "HID"})}), "A:2 has the state HID")
    assert back.names == five.names


def test_states_of_a_peptide_can_be_taken_back() -> None:
    system = System(source=FromSequence(sequence="AHA"), repairs=Repairs(protonation_states={"A:3": "HIP"}))
    assert system.prepare().charge == 1
    usual, settings = undone(system, "A:3 has the state HIP")
    assert (usual.charge, settings.repairs) == (0, Repairs())


def test_hydrogens_of_the_file_can_be_placed_anew(tmp_path: Path) -> None:
    system = from_text(tmp_path, to_pdb(peptide("AEA")))
    kept = system.model_copy(update={"ph": 2.0})
    assert kept.prepare().charge == -1  # the file shows a carboxylate
    anew = kept.model_copy(update={"repairs": Repairs(rebuild_hydrogens=True)})
    assert anew.prepare().charge == 0
    _, settings = undone(anew, "placed anew")
    assert settings == kept


@pytest.mark.parametrize(
    ("repairs", "sentence"),
    [
        (Repairs(leave_out=("GOL",)), "GOL was to be left out, but the file has no such residue"),
        (Repairs(leave_out=("ACE", "ALA", "NME")), "Everything in the file was to be left out"),
        (Repairs(protonation_states={"A:9": "HIE"}), "residue A:9, which is not in the file"),
        (Repairs(protonation_states={"A:2": "HIE"}), "Residue ALA A:2 cannot be HIE: this residue has only one state"),
    ],
)
def test_impossible_repairs_are_sentences(tmp_path: Path, repairs: Repairs, sentence: str) -> None:
    with pytest.raises(StructureError, match=sentence):
        from_text(tmp_path, PEPTIDE).model_copy(update={"repairs": repairs}).prepare()


def test_what_cannot_be_undone_says_why(tmp_path: Path) -> None:
    system = from_text(tmp_path, without(PEPTIDE, r" (CB|H\w*) +(ACE|ALA|NME) "))
    _, said = prepared(system)
    reasons = {sentence: deed.reason for sentence, deed in said.items()}
    assert next(reason for sentence, reason in reasons.items() if "built: CB" in sentence) == "The force field needs every atom of a residue."
    assert all(deed.undo is None and deed.reason.endswith(".") for deed in said.values())


def test_water_around_it_can_be_taken_away() -> None:
    dry, _ = undone(
        System(source=FromSmiles(smiles="CCO"), surroundings=WaterBox(padding_nm=0.6), forcefield=ForceField(cutoff=0.7)), "waters were put around it"
    )
    assert len(dry) == 9


def test_notes_keep_what_they_know_on_disk_and_in_other_processes(tmp_path: Path) -> None:
    note = Note("Something was done.", ("leave_out", "HOH"), "Because.")
    structure = Structure.from_smiles("C").with_notes(note, "Plain.")
    save(structure, tmp_path / "s.npz")
    for back in (load(tmp_path / "s.npz"), pickle.loads(pickle.dumps(structure))):
        first, second = back.notes
        assert (first, first.undo, first.why) == (note, note.undo, note.why)
        assert second == "Plain."


def test_settings_that_change_the_structure_change_its_key() -> None:
    systems = [
        System(source=FromSmiles(smiles="CC(=O)O")),
        System(source=FromSmiles(smiles="CC(=O)O", protonation="at_ph")),
        System(source=FromSequence(sequence="A")),
        System(source=FromSequence(sequence="A", shape="helix")),
    ]
    assert len({system.prepare().key for system in systems}) == 4
    assert len({system.model_copy(update={"repairs": Repairs(leave_out=names)}).model_dump_json() for system in systems for names in ((), ("HOH",))}) == 8


def test_the_bundled_peptide_is_a_helix() -> None:
    helix = EXAMPLES["alanine-helix"].system.prepare()
    assert len(helix) == 112
    assert smiles(helix) == smiles(peptide("A" * 10))


# Drawings


def test_a_drawing_has_every_heavy_atom_with_its_own_number() -> None:
    whole = Structure.from_smiles("O").join(Structure.from_smiles(named("caffeine")))
    atoms = whole.molecules[1]
    paper = drawing(whole, atoms)
    assert sorted(paper.places) == [int(index) for index in atoms if whole.numbers[index] > 1]
    assert paper.svg.startswith("<svg")
    for index, (x, y) in paper.places.items():
        assert 0 < x < paper.width
        assert 0 < y < paper.height
        assert paper.atom_at(x + 1, y - 1) == index
    assert paper.atom_at(-100, -100) is None
    assert len(drawing(whole, atoms, indices=False).svg) < len(paper.svg)


def test_marked_atoms_change_the_drawing_and_nothing_else() -> None:
    ethanol = Structure.from_smiles("CCO")
    plain, marked, hydrogen = (drawing(ethanol, ethanol.molecules[0], marked=atoms) for atoms in ((), (0,), (3,)))
    assert plain.places == marked.places
    assert plain.svg != marked.svg
    assert "#FF0000" in marked.svg  # oxygen stays red among marked atoms
    assert marked.svg == hydrogen.svg  # a hydrogen marks its carbon
    assert drawing(ethanol, ethanol.molecules[0], dark=True).svg != plain.svg


def test_what_does_not_fit_on_paper_is_refused() -> None:
    long = peptide("W" * 20)
    with pytest.raises(StructureError, match="285 heavy atoms cannot be read"):
        drawing(long, long.molecules[0])
