"""The way back: the atoms that were there, in their order, where the beads are - L-amino acids, trans, and no further than they were."""

import shutil

import numpy as np
import pytest

from studio import back
from studio.back import backbone_rmsd, settled, to_atoms
from studio.carry import carry_atoms
from studio.coarse.mapping import map_protein
from studio.coarse.rebuild import by_cgback, by_pulchra
from studio.errors import MissingPackageError, StructureError, UnsupportedError
from studio.hybrid.view import View
from studio.levels import level
from studio.recipes.dynamics import Dynamics
from studio.region import Atoms
from studio.structure import Structure
from studio.system import FromChains, FromSequence, FromTarget, System

TWENTY = System(source=FromSequence(sequence="GSWKPFYLHRNDEAQTVIMC", shape="helix"))
BONDED = 0.1
"""Bonds are no further from their length than this, nm, before anything is relaxed: between residues they are not even known."""


@pytest.fixture(scope="module")
def peptide() -> Structure:
    """All twenty amino acids, with caps."""
    return TWENTY.prepare()


@pytest.fixture(scope="module")
def built(peptide: Structure) -> back.Rebuilt:
    return to_atoms(map_protein(peptide).beads, peptide)


def test_there_and_back(peptide: Structure, built: back.Rebuilt) -> None:
    """Sequence, names, bonds, charges and box are what they were; C-alphas where the beads are; the backbone near where it was."""
    there = built.structure
    assert there.names == peptide.names
    assert there.residues == peptide.residues
    assert there.bonds.tolist() == peptide.bonds.tolist()
    assert there.charge == peptide.charge
    assert there.box is None
    assert built.ca_shift < 0.01
    assert backbone_rmsd(there, peptide) < 0.12
    assert "C-alphas lie within 0.0" in built.sentence


def test_what_is_built_is_a_protein(peptide: Structure, built: back.Rebuilt) -> None:
    assert not built.mirrored
    assert not built.cis
    lengths = [np.linalg.norm(each.positions[peptide.bonds[:, 0]] - each.positions[peptide.bonds[:, 1]], axis=1) for each in (built.structure, peptide)]
    assert np.abs(lengths[0] - lengths[1]).max() < BONDED
    assert built.structure.to_rdkit().GetNumAtoms() == len(peptide)


def test_relaxing_it_keeps_the_beads_in_place(peptide: Structure, built: back.Rebuilt) -> None:
    """0.1 angstrom is allowed; the energy is one that a simulation can start from."""
    calm = settled(built.structure, TWENTY)
    beads = map_protein(calm).beads.positions - map_protein(peptide).beads.positions
    assert np.linalg.norm(beads, axis=1).max() < 0.01
    assert backbone_rmsd(calm, peptide) < 0.12
    lengths = [np.linalg.norm(each.positions[peptide.bonds[:, 0]] - each.positions[peptide.bonds[:, 1]], axis=1) for each in (calm, peptide)]
    assert np.abs(lengths[0] - lengths[1]).max() < 0.01
    recipe = Dynamics(system=TWENTY, view=View(resolution="mm"), minimise=0)
    frame = recipe.simulation(calm).advance(50)
    assert frame.temperature < 450.0


def test_the_preview_is_quick_and_rougher(peptide: Structure) -> None:
    preview = to_atoms(map_protein(peptide).beads, peptide, by="pulchra")
    assert preview.ca_shift < 0.02
    assert backbone_rmsd(preview.structure, peptide) < 0.15


def test_pieces_of_a_chain_stay_pieces(peptide: Structure) -> None:
    """A break is no bond: each side is built as the end of a chain, and the pieces do not need each other."""
    beads = map_protein(peptide).beads
    halves = beads.take(np.arange(9)).join(beads.take(np.arange(11, 20)))
    for build in (by_cgback, by_pulchra):
        found = build(halves)
        assert len(found) == 18
        assert np.linalg.norm(found[8]["C"] - found[9]["N"]) > 0.3
        for residue, atoms in zip(halves.residues, found, strict=True):
            assert {"N", "CA", "C", "O"} <= set(atoms), residue


def test_the_dial_turns_back(peptide: Structure) -> None:
    """Down to beads, up to atoms, as the dial does it: the same atoms, and what was done is told."""
    home = Dynamics(system=TWENTY, view=View(resolution="mm"))
    down = level("go-ca")
    start = down.carry(peptide, down.apply(home).system.prepare())
    beads = View(resolution="beads").build(down.apply(home).system, start.structure).structure
    assert beads.is_beads
    up = level("mm").carry(beads, peptide)
    assert up.structure.names == peptide.names
    assert up.atoms == len(peptide)
    assert up.sentence.startswith("Atoms were built on the beads")
    stay = level("calvados2").carry(beads, peptide)
    assert stay.structure.key == beads.key


def test_mirrored_residues_and_cis_bonds_are_told(peptide: Structure, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: a mirror image is all D-amino acids, and a turned peptide bond is cis."""
    beads = map_protein(peptide).beads
    mirror = beads.with_positions(beads.positions * [1.0, 1.0, -1.0])

    def mirrored(_beads: Structure) -> list[dict[str, np.ndarray]]:
        found: list[dict[str, np.ndarray]] = [{} for _ in beads.residues]
        names = {residue: row for row, residue in enumerate(beads.residues)}
        for atom, name in enumerate(peptide.names):
            row = names.get(peptide.residue_of(atom))
            if row is not None and peptide.numbers[atom] > 1:
                found[row][name] = peptide.positions[atom] * [1.0, 1.0, -1.0]
        return found

    monkeypatch.setitem(back.BUILDERS, "pulchra", mirrored)
    rebuilt = to_atoms(mirror, peptide, by="pulchra")
    assert len(rebuilt.mirrored) == 19, "all but glycine"
    assert "19 mirrored residues" in rebuilt.sentence


def test_what_has_no_way_back_is_refused(peptide: Structure, monkeypatch: pytest.MonkeyPatch) -> None:
    beads = map_protein(peptide).beads
    with pytest.raises(UnsupportedError, match="are to have atoms"):
        to_atoms(beads.take(np.arange(10)), peptide)
    water = Structure.from_smiles("O")
    with pytest.raises(UnsupportedError, match="left 3 atoms of water, ions or ligands behind"):
        carry_atoms(beads, peptide.join(water))
    kinase = System(source=FromTarget(target="tyk2", ligand="ejm_31")).prepare()
    with pytest.raises(UnsupportedError, match="ligands behind"):
        carry_atoms(map_protein(kinase).beads, kinase)
    strange = Atoms(indices=(0, 1)).select(beads)
    monkeypatch.setattr("studio.coarse.rebuild.find_spec", lambda _name: None)
    with pytest.raises(MissingPackageError, match="pip install cgback"):
        by_cgback(beads.take(strange))


def test_impossible_beads_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """On top of each other: the program mends some times and no more, and whatever it built is judged by who relaxes it."""
    monkeypatch.setattr("studio.coarse.rebuild.MENDS", 3)
    heap = System(source=FromChains(sequences=("GSWK",))).prepare()
    assert len(by_cgback(heap.with_positions(np.zeros((4, 3))))) == 4


def test_a_program_that_fails_is_told(peptide: Structure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", shutil.which("false"))
    with pytest.raises(StructureError, match="cgback could not build atoms on these beads: nothing was said"):
        by_cgback(map_protein(peptide).beads)
