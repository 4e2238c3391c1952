"""Structure: a frozen value whose parts can be taken, joined and turned into RDKit molecules and back."""

import dataclasses

import numpy as np
import pytest

from studio.errors import StructureError
from studio.structure import Residue, Structure


def test_aspirin_from_smiles(aspirin: Structure) -> None:
    assert len(aspirin) == 21
    assert aspirin.charge == 0
    assert aspirin.multiplicity == 1
    assert len(aspirin.molecules) == 1
    lengths = np.linalg.norm(aspirin.positions[aspirin.bonds[:, 0]] - aspirin.positions[aspirin.bonds[:, 1]], axis=1)
    assert 0.09 < lengths.min() < lengths.max() < 0.16


def test_arrays_are_read_only(aspirin: Structure) -> None:
    with pytest.raises(ValueError, match="read-only"):
        aspirin.positions[0, 0] = 1.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        aspirin.multiplicity = 2


def test_key_follows_content_and_not_the_title(aspirin: Structure) -> None:
    assert dataclasses.replace(aspirin, title="other").key == aspirin.key
    assert aspirin.with_positions(aspirin.positions + 1e-6).key != aspirin.key
    assert dataclasses.replace(aspirin, multiplicity=3).key != aspirin.key


def test_equal_seeds_embed_equally() -> None:
    assert Structure.from_smiles("CCCCO", seed=3).key == Structure.from_smiles("CCCCO", seed=3).key
    assert Structure.from_smiles("CCCCO", seed=3).key != Structure.from_smiles("CCCCO", seed=4).key


def test_fragments_of_a_salt_do_not_overlap() -> None:
    salt = Structure.from_smiles("CC(=O)[O-].C[NH3+]")
    first, second = salt.molecules
    distances = np.linalg.norm(salt.positions[first][:, None] - salt.positions[second][None], axis=-1)
    assert distances.min() > 0.2
    assert salt.charge == 0


def test_take_renumbers_bonds_and_residues(aspirin: Structure) -> None:
    both = aspirin.join(Structure.from_smiles("O"))
    water = both.take(both.molecules[1])
    assert water.numbers.tolist() == [8, 1, 1]
    assert sorted(map(tuple, water.bonds.tolist())) == [(0, 1), (0, 2)]
    assert water.residue_index.tolist() == [0, 0, 0]
    with pytest.raises(StructureError, match="no atoms"):
        both.take(np.zeros(0, dtype=np.int64))


@pytest.mark.parametrize("smiles", ["C[C@H](N)C(=O)O", "F/C=C\\F", "C[N+](C)(C)CC(=O)[O-]", "c1ccc2[nH]ccc2c1"])
def test_rdkit_round_trip_keeps_the_molecule(smiles: str) -> None:
    from rdkit import Chem

    back = Chem.MolToSmiles(Chem.RemoveHs(Structure.from_smiles(smiles).to_rdkit()))
    assert back == Chem.CanonSmiles(smiles)


def test_shapes_and_coordinates_are_checked(aspirin: Structure) -> None:
    with pytest.raises(StructureError, match=r"positions has shape \(20, 3\)"):
        aspirin.with_positions(aspirin.positions[:-1])
    broken = aspirin.positions.copy()
    broken[3] = np.nan
    with pytest.raises(StructureError, match="Atoms 4 have no coordinates"):
        aspirin.with_positions(broken)


@pytest.mark.parametrize(("name", "kind"), [("HOH", "water"), ("NA", "ion"), ("ALA", "protein"), ("HID", "protein"), ("ejm", "ligand")])
def test_kinds_of_residues(name: str, kind: str) -> None:
    assert Residue(name).kind == kind
