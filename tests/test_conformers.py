"""Conformers: different shapes of the same molecule, compared and laid over each other as RDKit would."""

from dataclasses import replace

import numpy as np
import pytest

from studio.conformers import check_molecule, conformers, distances, intact, overlay, rotatable, symmetries, turned, unique_minima
from studio.errors import StructureError, UnsupportedError
from studio.internal import torsion_angles
from studio.io.targets import target
from studio.potentials.mm import MM
from studio.structure import Structure

MACROCYCLE = "O=C1CCCCCCCCCCCCN1"


@pytest.fixture(scope="module")
def ligand() -> Structure:
    return target("tyk2").ligand("ejm_31")


def moved(positions: np.ndarray, seed: int = 0) -> np.ndarray:
    """Turned and shifted as a whole."""
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0]
    return positions @ (turn * np.linalg.det(turn)).T + np.array([1.0, -2.0, 0.5])


def test_shapes_differ_and_are_the_same_molecule(ligand: Structure) -> None:
    shapes = conformers(ligand, 8, seed=3)
    assert len(shapes) == 8
    assert intact(ligand, shapes).all()
    for index, shape in enumerate(shapes):
        assert (np.delete(distances(ligand, shapes, shape), index) > 0.03).all()
    np.testing.assert_array_equal(conformers(ligand, 8, seed=3), shapes)
    assert not np.allclose(conformers(ligand, 8, seed=4), shapes)


def test_every_seed_gives_many_shapes(ligand: Structure) -> None:
    """Seed 0 once gave sixty times the same one."""
    assert min(len(conformers(ligand, 6, seed=seed)) for seed in (0, 1, 10**9)) == 6


def test_rigid_molecules_have_one_shape() -> None:
    assert len(conformers(Structure.from_smiles("c1ccccc1"), 20)) == 1


def test_the_order_of_atoms_does_not_matter(ligand: Structure) -> None:
    order = np.random.default_rng(0).permutation(len(ligand))
    shuffled = conformers(ligand.take(order), 5)
    for one, other in zip(conformers(ligand, 5), shuffled, strict=True):
        assert distances(ligand.take(order), other[None], one[order])[0] < 1e-4


@pytest.mark.parametrize("smiles", ["C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O", "C/C=C/CO", "C/C=C\\CO"])
def test_stereochemistry_is_kept(smiles: str) -> None:
    from rdkit import Chem

    molecule = Structure.from_smiles(smiles)
    for shape in conformers(molecule, 4):
        assert Chem.MolToSmiles(Chem.RemoveHs(molecule.with_positions(shape).to_rdkit())) == Chem.MolToSmiles(Chem.MolFromSmiles(smiles))


def test_macrocycles_have_shapes() -> None:
    molecule = Structure.from_smiles(MACROCYCLE)
    shapes = conformers(molecule, 5)
    assert len(shapes) == 5
    assert intact(molecule, shapes).all()
    assert len(rotatable(molecule)) == 0


@pytest.mark.parametrize("smiles", ["CC(C)(C)c1ccccc1", "CC(=O)[O-]", "O=[N+]([O-])c1ccccc1", "CC(C)CC(=O)NC"])
def test_distances_are_those_of_rdkit(smiles: str) -> None:
    from rdkit import Chem
    from rdkit.Chem import rdMolAlign

    molecule = Structure.from_smiles(smiles)
    shapes = [Structure.from_smiles(smiles, seed=seed).positions for seed in range(3)]
    probes = [Chem.RemoveHs(molecule.with_positions(moved(shape)).to_rdkit()) for shape in shapes]
    expected = [0.1 * rdMolAlign.GetBestRMS(Chem.Mol(probes[0]), probe) for probe in probes]
    np.testing.assert_allclose(distances(molecule, np.array(shapes), shapes[0]), expected, atol=1e-5)


def test_symmetry_knows_resonance() -> None:
    assert len(symmetries(Structure.from_smiles("CC(=O)[O-]"))) == 2
    assert len(symmetries(Structure.from_smiles("CC(=O)O"))) == 1
    assert len(symmetries(Structure.from_smiles("c1ccccc1"))) == 12


def test_an_overlay_is_near_and_has_the_same_energy(ligand: Structure) -> None:
    bound = MM().bind(ligand)
    for shape in conformers(ligand, 4):
        laid = overlay(ligand, moved(shape), ligand.positions)
        assert bound(laid).energy == pytest.approx(bound(shape).energy, abs=1e-4)
        heavy = ligand.numbers > 1
        apart = np.sqrt(((laid - ligand.positions)[heavy] ** 2).sum(axis=1).mean())
        assert apart <= distances(ligand, shape[None], ligand.positions)[0] + 1e-9
    mirror = ligand.positions * np.array([-1.0, 1.0, 1.0])
    np.testing.assert_allclose(overlay(ligand, mirror, ligand.positions), ligand.positions, atol=1e-9)


def test_mirror_images_of_chiral_molecules_stay_apart() -> None:
    alanine = Structure.from_smiles("C[C@H](N)C(=O)O")
    mirror = alanine.positions * np.array([-1.0, 1.0, 1.0])
    assert np.abs(overlay(alanine, mirror, alanine.positions) - alanine.positions).max() > 0.05


def test_different_minima_are_told_apart(ligand: Structure) -> None:
    shapes = conformers(ligand, 3)
    places = np.concatenate([shapes, moved(shapes[0])[None], shapes[1:2]])
    assert unique_minima(ligand, places, np.array([5.0, 1.0, 3.0, 5.1, 2.0])).tolist() == [1, 4, 2, 0]
    assert unique_minima(ligand, places, np.array([5.0, 1.0, np.nan, 5.1, 1.3])).tolist() == [1, 0]


def test_torsions_turn(ligand: Structure) -> None:
    bonds = rotatable(ligand)
    assert len(bonds) == 5  # aryl, two amides with both of their bonds
    for bond in bonds:
        before = torsion_angles(ligand.positions[bond])
        after = torsion_angles(turned(ligand, ligand.positions, bond, 1.0)[bond])
        assert np.exp(1j * (after - before - 1.0)) == pytest.approx(1.0)
    assert intact(ligand, turned(ligand, ligand.positions, bonds[0], 0.3)[None]).all()


def test_a_proton_that_moved_over_is_noticed() -> None:
    glycine = Structure.from_smiles("[NH3+]CC(=O)[O-]")
    gone = np.array(glycine.positions)
    gone[int(np.flatnonzero(glycine.numbers == 1)[0])] = glycine.positions[4] + np.array([0.0, 0.0, 0.1])
    assert intact(glycine, np.array([glycine.positions, gone])).tolist() == [True, False]


def test_what_is_no_small_molecule_is_refused(ligand: Structure, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnsupportedError, match="got 2 fragments"):
        check_molecule(Structure.from_smiles("CCO.CCO"))
    ethanol = Structure.from_smiles("CCO")
    check_molecule(ethanol)
    with pytest.raises(StructureError, match="Check the coordinates and their unit"):
        check_molecule(ethanol.with_positions(10.0 * ethanol.positions))
    with pytest.raises(StructureError, match="nm apart, which no molecule"):
        check_molecule(ethanol.with_positions(0.4 * ethanol.positions))
    with pytest.raises(StructureError, match="no known order"):
        check_molecule(replace(ethanol, bond_orders=0.0 * ethanol.bond_orders))
    monkeypatch.setattr("studio.conformers.MAX_HEAVY", 10)
    with pytest.raises(UnsupportedError, match="1 to 10 heavy atoms, got 21"):
        check_molecule(ligand)
