"""Mappings: beads lie where they should, keep what the protein is, and feel what their atoms feel with as little noise as can be."""

import numpy as np
import pytest

from studio.coarse.force_map import force_map, noise
from studio.coarse.mapping import Mapping, atomic_masses, map_protein, map_regions
from studio.errors import RegionError, SettingsError, UnsupportedError
from studio.hybrid.view import View
from studio.recipes.dynamics import Dynamics
from studio.region import KindIs, NameIs, ResidueIs
from studio.structure import Structure
from studio.system import FromExample, FromSequence, FromSmiles, FromTarget, System

DIPEPTIDE = System(source=FromExample(name="alanine-dipeptide"))
BREAK = ("119", "120")
"""Residues between which the test cuts the chain of TYK2."""


@pytest.fixture(scope="module")
def kinase() -> Structure:
    return System(source=FromTarget(target="tyk2", ligand="ejm_31")).prepare()


@pytest.fixture(scope="module")
def peptide() -> Structure:
    return System(source=FromSequence(sequence="GAPCW", n_cap="NH3", c_cap="COO")).prepare()


@pytest.fixture(scope="module")
def sampled() -> tuple[Structure, np.ndarray, np.ndarray]:
    """Alanine dipeptide in vacuum, bonds to hydrogen constrained: the constraints, and forces at 300 K."""
    simulation = Dynamics(system=DIPEPTIDE, view=View(resolution="mm")).simulation()
    forces = []
    for _ in range(400):
        simulation.advance(10, sample=False)
        forces.append(simulation.forces())
    system = simulation.model.system
    pairs = [system.getConstraintParameters(index)[:2] for index in range(system.getNumConstraints())]
    return simulation.structure, np.array(pairs), np.array(forces)


def test_alanine_dipeptide_is_five_backbone_beads() -> None:
    mapping = map_protein(DIPEPTIDE.prepare(), "backbone")
    assert [(residue.name, name) for name, residue in zip(mapping.beads.names, map(mapping.beads.residue_of, range(5)), strict=True)] == [
        ("ACE", "C"), ("ALA", "N"), ("ALA", "CA"), ("ALA", "C"), ("NME", "N"),
    ]  # fmt: skip
    assert mapping.beads.bonds.tolist() == [[0, 1], [1, 2], [2, 3], [3, 4]]


def test_beads_of_a_protein_keep_its_residues_and_chain(kinase: Structure) -> None:
    beads = map_protein(kinase).beads
    wanted = [residue for residue in kinase.residues if residue.kind == "protein" and residue.name not in ("ACE", "NME")]
    assert list(beads.residues) == wanted
    assert beads.is_beads
    assert not kinase.is_beads
    assert beads.bonds.tolist() == [[i, i + 1] for i in range(len(beads) - 1)]
    lengths = np.linalg.norm(np.diff(beads.positions, axis=0), axis=1)
    assert np.median(lengths) == pytest.approx(0.38, abs=0.01)
    protein = kinase.atoms_of("protein")
    assert beads.charge == kinase.formal_charges[protein].sum(), "a residue's charge goes to its bead"


def test_a_break_of_the_chain_stays_one(kinase: Structure) -> None:
    cut = {f"{name} of {residue}" for name in ("C", "N") for residue in kinase.residues if residue.number in BREAK}
    keep = [not all(kinase.residue_of(int(atom)).number in BREAK and f"{kinase.names[atom]} of {kinase.residue_of(int(atom))}" in cut for atom in bond)
            or kinase.residue_index[bond[0]] == kinase.residue_index[bond[1]] for bond in kinase.bonds]  # fmt: skip
    broken = Structure(
        **{**{name: getattr(kinase, name) for name in kinase.__dataclass_fields__}, "bonds": kinase.bonds[keep], "bond_orders": kinase.bond_orders[keep]}
    )
    assert len(kinase.bonds) - len(broken.bonds) == 1
    assert len(map_protein(broken).beads.molecules) == len(map_protein(kinase).beads.molecules) + 1


def test_two_beads_a_residue(peptide: Structure) -> None:
    beads = map_protein(peptide, "ca-cb").beads
    assert beads.names == ("CA", "CA", "CB", "CA", "CB", "CA", "CB", "CA", "CB"), "glycine has no side chain"
    assert [0, 1] in beads.bonds.tolist()
    assert [1, 2] in beads.bonds.tolist()
    assert len(beads.bonds) == 8


@pytest.mark.parametrize("scheme", ["ca", "ca-cb", "backbone"])
def test_by_mass_no_atom_is_lost(peptide: Structure, scheme) -> None:
    mapping = map_protein(peptide, scheme, "mass")
    assert sorted(np.concatenate(mapping.groups).tolist()) == list(range(len(peptide)))
    masses = atomic_masses(peptide)
    weight = np.array([masses[group].sum() for group in mapping.groups])
    centre = (masses[:, None] * peptide.positions).sum(axis=0) / masses.sum()
    assert (weight[:, None] * mapping.beads.positions).sum(axis=0) / weight.sum() == pytest.approx(centre)


def test_positions_are_linear_and_rows_add_up_to_one(peptide: Structure) -> None:
    for mapping in (map_protein(peptide), map_protein(peptide, "backbone", "mass"), map_regions(peptide, (ResidueIs(name="PRO"), ResidueIs(name="TRP")))):
        assert mapping.matrix.sum(axis=1) == pytest.approx(1.0)
        frames = np.random.default_rng(0).normal(size=(3, len(peptide), 3))
        assert mapping.positions(frames) == pytest.approx(np.einsum("bn,fnx->fbx", mapping.matrix, frames))
        assert mapping.positions(frames + 1.0) == pytest.approx(mapping.positions(frames) + 1.0), "beads move with the whole"


def test_mapping_beads_again_changes_nothing(kinase: Structure) -> None:
    beads = map_protein(kinase).beads
    again = map_protein(beads).beads
    assert again.key == beads.key


def test_regions_as_beads(peptide: Structure) -> None:
    beads = map_regions(peptide, (ResidueIs(name="ALA"), ResidueIs(name="PRO"), ResidueIs(name="TRP"))).beads
    assert beads.bonds.tolist() == [[0, 1]], "cysteine lies between the last two"
    with pytest.raises(RegionError, match="is in two beads"):
        map_regions(peptide, (ResidueIs(name="ALA"), KindIs(of="protein")))
    with pytest.raises(RegionError, match="at least one region"):
        map_regions(peptide, ())


def test_what_cannot_be_beads_is_told() -> None:
    with pytest.raises(UnsupportedError, match="holds no protein"):
        map_protein(System(source=FromSmiles(smiles="CCO")).prepare())
    part = DIPEPTIDE.prepare()
    with pytest.raises(UnsupportedError, match="lacks its atom CA"):
        map_protein(part.take(np.flatnonzero(~NameIs(names=("CA",)).mask(part))))


@pytest.mark.parametrize("place", ["slice", "mass"])
@pytest.mark.parametrize("kind", ["slice", "aggregate", "optimised"])
def test_every_force_map_is_one_of_its_mapping(sampled, kind, place) -> None:
    """C M^T = 1, without which the mean force would be another one; what is constrained counts alike."""
    structure, constraints, forces = sampled
    mapping = map_protein(structure, "backbone", place)
    found = force_map(mapping, kind, constraints, forces)
    assert found @ mapping.matrix.T == pytest.approx(np.eye(len(mapping)), abs=1e-8)
    if kind != "slice":
        assert found[:, constraints[:, 0]] == pytest.approx(found[:, constraints[:, 1]])


def test_the_optimised_map_has_the_least_noise(sampled) -> None:
    structure, constraints, forces = sampled
    mapping = map_protein(structure, "backbone")
    train, test = forces[::2], forces[1::2]
    heard = [noise(force_map(mapping, kind, constraints, train), test).sum() for kind in ("optimised", "aggregate", "slice")]
    assert heard[0] < 0.7 * heard[1], "on forces that it was not fitted to"
    assert heard[1] < heard[2]


def test_force_maps_that_cannot_be_are_refused(sampled) -> None:
    structure, constraints, _ = sampled
    mapping = map_protein(structure, "backbone")
    with pytest.raises(SettingsError, match="Give forces"):
        force_map(mapping, "optimised", constraints)
    joined = np.array([mapping.sites[:2]])
    for kind in ("aggregate", "optimised"):
        with pytest.raises(UnsupportedError, match="joins two beads"):
            force_map(mapping, kind, joined, np.ones((4, len(structure), 3)))


def test_a_mapping_knows_its_size(peptide: Structure) -> None:
    mapping = map_protein(peptide)
    assert isinstance(mapping, Mapping)
    assert len(mapping) == len(mapping.beads) == 5
