"""Systems: what the user named becomes a prepared structure, once; the second time it comes from the disk."""

import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import openmm
import pytest
from openmm import unit
from pydantic import ValidationError

from studio import cache
from studio.errors import PluginError, StructureError
from studio.files import CACHE_VARIABLE
from studio.forcefield import ForceField, ForceGroup
from studio.forcefield.pocket import cut_pocket
from studio.io.bundled import MOLECULES
from studio.structure import Structure
from studio.system import EXAMPLES, FromExample, FromFile, FromSmiles, Implicit, Pocket, System, WaterBox, example


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


# Settings


def test_systems_are_json_and_back() -> None:
    for item in EXAMPLES.values():
        assert System.model_validate_json(item.system.model_dump_json()) == item.system


def test_unknown_keys_and_names_are_refused() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        System.model_validate({"source": {"kind": "smiles", "smiles": "C"}, "solvent": "water"})
    with pytest.raises(ValidationError, match="kind"):
        System.model_validate({"source": {"kind": "telepathy"}})
    with pytest.raises(PluginError, match=r"no example 'benzene'. Known: aspirin-vacuum, alanine-dipeptide-water, tyk2-water, tyk2-pocket"):
        example("benzene")
    with pytest.raises(PluginError, match="no bundled molecule 'unobtainium'"):
        System(source=FromExample(name="unobtainium")).prepare()


# Examples


def test_aspirin_and_water_boxes() -> None:
    assert len(example("aspirin-vacuum").system.prepare()) == 21
    peptide = example("alanine-dipeptide-water").system.prepare()
    assert {residue.name for residue in peptide.residues} == {"ACE", "ALA", "NME", "HOH"}
    assert 2.0 <= peptide.box[0, 0] <= 2.2
    ligand = example("tyk2-water").system.prepare()
    assert 950 <= len(ligand) <= 1100
    assert ligand.residues[0].name == "LIG"
    assert ligand.box[0, 0] >= 1.8


def test_relaxed_box_runs_at_two_femtoseconds() -> None:
    item = example("tyk2-water").system
    mm = item.parametrise()
    integrator = openmm.LangevinMiddleIntegrator(300, 1, 0.002)
    integrator.setRandomNumberSeed(1)
    context = openmm.Context(mm.system, integrator, openmm.Platform.getPlatformByName("CPU"))
    context.setPositions(mm.structure.positions)
    start = context.getState(getEnergy=True).getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole)
    assert start < -10 * len(mm.structure)  # liquid water: about -14 kJ/mol an atom
    context.setVelocitiesToTemperature(300, 1)
    integrator.step(100)
    state = context.getState(getEnergy=True)
    kinetic = state.getKineticEnergy().value_in_unit(unit.kilojoule_per_mole)
    freedom = 3 * len(mm.structure) - mm.system.getNumConstraints() - 3
    assert 100 < 2 * kinetic / freedom / 0.00831446 < 450


@pytest.mark.slow
def test_pocket_is_whole_molecules_and_its_shell_does_not_move() -> None:
    mm = example("tyk2-pocket").system.parametrise()
    structure = mm.structure
    assert 1000 < len(structure) < 2500
    assert structure.droplet is not None
    assert 300 < (~structure.fixed).sum() < structure.fixed.sum()
    ligand = structure.atoms_of("ligand")
    assert len(ligand) == 32
    assert not structure.fixed[ligand].any()
    assert not structure.fixed[structure.atoms_of("water")].any()
    protein = structure.take(structure.atoms_of("protein"))
    protein.to_rdkit()  # caps leave no broken valence
    assert any("were left out" in note for note in structure.notes)
    integrator = openmm.LangevinMiddleIntegrator(300, 1, 0.002)
    context = openmm.Context(mm.system, integrator, openmm.Platform.getPlatformByName("CPU"))
    context.setPositions(structure.positions)
    context.setVelocitiesToTemperature(300, 1)
    integrator.step(20)
    positions = np.array(context.getState(getPositions=True).getPositions(asNumpy=True))
    assert np.isfinite(positions).all()
    np.testing.assert_allclose(positions[structure.fixed], structure.positions[structure.fixed], atol=1e-6)
    assert np.abs(positions - structure.positions)[ligand].max() > 1e-3


def test_pocket_keeps_the_geometry_of_what_it_keeps() -> None:
    whole = MOLECULES["tyk2-complex"]()
    cut = cut_pocket(whole, 0.4, 0.3, 0.2)
    assert cut.left_out == len(whole) - len(cut.structure)
    from scipy.spatial import cKDTree

    moved = cKDTree(whole.positions).query(cut.structure.positions)[0]
    caps = np.array([residue.name in ("ACE", "NME") for residue in cut.structure.residues])[cut.structure.residue_index]
    assert np.all(moved[~caps] == 0.0)
    assert cut.structure.fixed[caps].all()
    hydrogens = [pair for pair in cut.structure.bonds.tolist() if 1 in cut.structure.numbers[pair]]
    lengths = [np.linalg.norm(cut.structure.positions[i] - cut.structure.positions[j]) for i, j in hydrogens]
    assert 0.08 < min(lengths) < max(lengths) < 0.14


def test_pocket_without_a_protein_is_refused() -> None:
    with pytest.raises(StructureError, match="needs a protein and a small molecule"):
        System(source=FromSmiles(smiles="CCO"), surroundings=Pocket()).prepare()


# Where things come from


def test_implicit_follows_the_surroundings() -> None:
    mm = System(source=FromSmiles(smiles="CCO"), surroundings=Implicit(model="obc2")).parametrise()
    assert mm.provenance["implicit solvent"] == "obc2"


def test_a_radical_can_be_prepared_without_a_force_field() -> None:
    assert System(source=FromSmiles(smiles="[CH3]")).prepare().multiplicity == 2


def test_file_content_counts_not_its_name(tmp_path: Path, own_cache: Path) -> None:
    from rdkit import Chem

    path = tmp_path / "m.mol"
    system = System(source=FromFile(path=str(path)))
    for smiles, atoms in (("CO", 6), ("CCO", 9)):
        path.write_text(Chem.MolToMolBlock(Structure.from_smiles(smiles).to_rdkit()))
        assert len(system.prepare()) == atoms


# Cache


def test_second_time_comes_from_the_disk(own_cache: Path) -> None:
    system = System(source=FromSmiles(smiles="CCO"), surroundings=WaterBox(padding_nm=0.6), forcefield=ForceField(cutoff=0.7))
    sentences: list[str] = []
    parts: list[float] = []

    def listen(part: float, sentence: str) -> None:
        parts.append(part)
        sentences.append(sentence)

    first = system.prepare(listen)
    assert parts == sorted(parts)
    assert parts[-1] == 1.0
    assert any(sentence.startswith("Relaxing") for sentence in sentences)
    sentences.clear()
    second = system.prepare(listen)
    assert sentences == ["The prepared structure was found on disk."]
    assert second.key == first.key
    assert second.notes == first.notes
    one, two = system.parametrise(first), system.parametrise(second)
    assert openmm.XmlSerializer.serialize(one.system) == openmm.XmlSerializer.serialize(two.system)
    assert one.provenance == two.provenance
    other = system.model_copy(update={"seed": 1})
    assert other.prepare(listen).key  # prepared anew, not taken from the first
    assert sentences[-1].startswith("Ready")


def test_preparing_is_deterministic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = set()
    system = System(source=FromSmiles(smiles="CC(=O)[O-]"), surroundings=WaterBox(padding_nm=0.7), forcefield=ForceField(cutoff=0.8))
    for name in ("a", "b"):
        monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / name))
        keys.add(system.prepare().key)
    assert len(keys) == 1


def test_damaged_entries_are_rebuilt_with_a_line_in_the_log(own_cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    system = System(source=FromSmiles(smiles="CCO"))
    first = system.prepare()
    system.parametrise(first)
    for entry in own_cache.iterdir():
        entry.write_bytes(entry.read_bytes()[:100])
    with caplog.at_level(logging.WARNING, "studio.cache"):
        assert system.prepare().key == first.key
        assert system.parametrise().system.getNumParticles() == 9
    assert [record.message.split(" is damaged")[1][:7] for record in caplog.records] == [" and is", " and is"]


def test_no_room_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file" / "cache"))
    with caplog.at_level(logging.WARNING, "studio.cache"):
        assert len(System(source=FromSmiles(smiles="CO")).prepare()) == 6
    assert "not cached" in caplog.text


def test_oldest_entries_make_room(own_cache: Path, monkeypatch: pytest.MonkeyPatch, aspirin: Structure) -> None:
    monkeypatch.setattr(cache, "MAX_BYTES", 5_000)
    for index in range(5):
        cache.store_structure(f"entry{index}", aspirin)
    left = {entry.stem for entry in own_cache.iterdir()}
    assert "entry4" in left
    assert "entry0" not in left


def test_second_start_is_quick_and_without_openff() -> None:
    example("tyk2-pocket").system.parametrise()
    program = (
        "import sys, time; start = time.perf_counter()\n"
        "from studio.system import example\n"
        "mm = example('tyk2-pocket').system.parametrise()\n"
        "print(time.perf_counter() - start)\n"
        "assert not {'openff', 'torch', 'pdbfixer'} & {name.split('.')[0] for name in sys.modules}\n"
    )
    said = subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, capture_output=True, text=True)
    assert float(said.stdout) < 3.0  # 0.3 s on an idle machine


def test_wall_group_is_there_for_droplets() -> None:
    mm = example("tyk2-pocket").system.parametrise()
    assert ForceGroup.WALL in {force.getForceGroup() for force in mm.system.getForces()}
