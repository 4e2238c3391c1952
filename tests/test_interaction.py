"""Interaction energies by residue, on fragments and clusters, contacts, hydrogen bonds, and what is no pair of partners."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from studio.cluster import cluster_energy, fragment, fragment_energies
from studio.contacts import hydrogen_bonds
from studio.errors import StoppedError, StructureError, UnsupportedError
from studio.forcefield.subset import subset
from studio.interaction import Nonbonded, row_distances, row_energies
from studio.io import store
from studio.partners import Partners, partners
from studio.potentials.aimnet2 import AIMNet2
from studio.potentials.mm import MM
from studio.recipes.interaction import Interaction
from studio.recipes.interaction_run import InteractionRun
from studio.recorder import STRUCTURE
from studio.region import Atoms, ResidueIs
from studio.report import Bars, Heat, Table
from studio.result import Result
from studio.settle import settled
from studio.structure import Floats, Residue, Structure
from studio.units import KJ_PER_KCAL
from tests.binding_systems import GUEST, PEPTIDE, beside, peptide_and_guest, record
from tests.hybrid_systems import water


def quiet(_fraction: float, _sentence: str) -> None:
    """Nobody listens."""


def parameters(structure: Structure) -> Nonbonded:
    return Nonbonded.of(PEPTIDE.parametrise(structure).system)


@pytest.fixture(scope="module")
def whole() -> Structure:
    return peptide_and_guest()


@pytest.fixture(scope="module")
def pair(whole: Structure) -> Partners:
    return partners(whole, GUEST.select(whole))


def openmm_energy(structure: Structure, atoms: np.ndarray, kind: str) -> float:
    """Energy of one class of force, of some atoms alone, kJ/mol, in double precision."""
    import openmm
    from openmm import unit

    system = subset(PEPTIDE.parametrise(structure).system, atoms.tolist())
    for index in reversed(range(system.getNumForces())):
        if type(system.getForce(index)).__name__ != kind:
            system.removeForce(index)
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(structure.positions[atoms])
    return float(context.getState(energy=True).getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole))


def test_rows_add_up_to_what_openmm_says(whole: Structure, pair: Partners) -> None:
    """All non-bonded energy of the two together, less that of each alone."""
    found = row_energies(parameters(whole), pair, whole.positions)
    both, receptor, ligand = (openmm_energy(whole, atoms, "NonbondedForce") for atoms in (np.arange(len(whole)), pair.receptor, pair.ligand))
    assert found.sum() == pytest.approx(both - receptor - ligand, abs=1e-6)
    assert len(found) == len(pair.rows) == 10
    assert abs(found.sum()) > 1.0


def test_every_atom_but_the_ligands_is_in_one_row(whole: Structure) -> None:
    wet = whole.join(water(3.0, 0, 0), water(0, 3.0, 0))
    both = partners(wet, GUEST.select(wet))
    everything = np.sort(np.concatenate([both.ligand, *(row.atoms for row in both.rows)]))
    np.testing.assert_array_equal(everything, np.arange(len(wet)))
    assert [row.name for row in both.rows][-1] == "water"


def test_it_does_not_depend_on_where_the_pair_lies_and_how_it_is_listed(whole: Structure, pair: Partners) -> None:
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    first, known = row_energies(parameters(whole), pair, whole.positions), parameters(whole)
    np.testing.assert_allclose(row_energies(known, pair, whole.positions @ turn.T + 2.0), first, atol=1e-8)
    order = np.concatenate([pair.ligand[::-1], pair.receptor])
    other = whole.take(order)
    again = row_energies(parameters(other), partners(other, GUEST.select(other)), other.positions)
    np.testing.assert_allclose(again.sum(axis=0), first.sum(axis=0), atol=1e-6)


def test_a_ligand_far_away_feels_nothing(whole: Structure, pair: Partners) -> None:
    far = np.array(whole.positions)
    far[pair.ligand] += 1000.0
    assert np.abs(row_energies(parameters(whole), pair, far)).max() < 1e-4


def test_water_counts_in_the_image_that_is_nearest(whole: Structure) -> None:
    wet = whole.join(water(1.0, 1.0, 0.3))
    both, known = partners(wet, GUEST.select(wet)), parameters(wet)
    box = 20.0 * np.eye(3)
    moved = np.array(wet.positions)
    moved[-3:] += [20.0, -40.0, 0.0]
    np.testing.assert_allclose(row_energies(known, both, moved, box), row_energies(known, both, wet.positions, box), atol=1e-8)
    np.testing.assert_allclose(row_distances(both, moved, box), row_distances(both, wet.positions))


# Fragments and clusters


def test_residues_one_by_one_give_the_rows_of_mm(whole: Structure, pair: Partners) -> None:
    """A force field is a sum over pairs: capped residues, their caps taken away again, have to be its rows."""
    rows = [row for row in pair.rows if not row.name.startswith(("ACE", "NME"))]
    index = [pair.rows.index(row) for row in rows]
    frames = np.stack([whole.positions, whole.positions + 0.003 * np.random.default_rng(1).normal(size=(len(whole), 3))])
    # A fragment has the charges of a residue in the middle of a chain, as each of these has in the peptide.
    found = fragment_energies(MM(), pair, rows, frames, parametrise=parameters, on_part=quiet)
    expected = [row_energies(parameters(whole), pair, frame).sum(axis=1)[index] for frame in frames]
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_a_cluster_of_all_gives_all_of_mm(whole: Structure, pair: Partners) -> None:
    found = cluster_energy(MM(), pair, 10.0, 1000, quiet)
    assert found.energy == pytest.approx(row_energies(parameters(whole), pair, whole.positions).sum(), abs=2e-3)
    assert (found.atoms, found.charge) == (len(whole), whole.charge)


def test_a_large_cluster_is_refused(pair: Partners) -> None:
    with pytest.raises(UnsupportedError, match=r"has \d+ atoms \(charge [+-]\d\); at most 50"):
        cluster_energy(MM(), pair, 10.0, 50, quiet)


def test_a_fragment_is_a_complete_molecule_in_every_frame(whole: Structure, pair: Partners) -> None:
    """Its caps' bonds have their lengths also where the chain moved."""
    row = next(row for row in pair.rows if row.name.startswith("PHE"))
    piece = fragment(pair, row)
    assert len(piece.capped.structure.molecules) == 1
    assert sorted({residue.name for residue in piece.capped.structure.residues}) == ["ACE", "NME", "PHE"]
    moved = whole.positions + 0.02 * np.random.default_rng(2).normal(size=(len(whole), 3))
    hung = piece.capped.hung
    lengths = np.linalg.norm(piece.capped.place(moved)[hung] - moved[piece.capped.anchors], axis=1)
    np.testing.assert_allclose(lengths, piece.capped.lengths)
    np.testing.assert_allclose(piece.capped.place(whole.positions), piece.capped.structure.positions)


def test_what_a_network_does_not_know_is_a_gap_and_not_the_end(whole: Structure) -> None:
    metal = Structure.from_smiles("[Zn+2]", seed=0)
    guest = whole.positions[GUEST.select(whole)]
    outwards = guest.mean(axis=0) - whole.positions.mean(axis=0)
    outermost = guest[(guest @ outwards).argmax()] + 0.25 * outwards / np.linalg.norm(outwards)
    both = whole.join(replace(metal, residues=(Residue("ZN", "1", "Z"),), names=("ZN",)).with_positions(outermost[None]))
    found = partners(both, GUEST.select(both))
    assert any("ZN Z1 lies beside the ligand" in note for note in found.notes)
    assert found.rows[-1].name == "ZN Z1"
    rows = [found.rows[4], found.rows[-1]]
    answers = fragment_energies(AIMNet2(), found, rows, both.positions[None], parametrise=parameters, on_part=quiet)
    assert np.isfinite(answers[0, 0])
    assert np.isnan(answers[0, 1])


# Hydrogen bonds


def test_a_hydrogen_bond_is_found_where_it_is_and_only_there() -> None:
    """Methanol's hydrogen points at acetone's oxygen, then turns away, then leaves."""
    acetone, methanol = Structure.from_smiles("CC(C)=O"), Structure.from_smiles("CO")
    oxygen, carbon = acetone.positions[3], acetone.positions[1]
    along = (oxygen - carbon) / np.linalg.norm(oxygen - carbon)
    giver = next(int(i) for i in np.flatnonzero(methanol.numbers == 8))
    hydrogen = next(int(b if a == giver else a) for a, b in methanol.bonds if giver in (a, b) and 1 in methanol.numbers[[a, b]])
    pointing = methanol.positions[hydrogen] - methanol.positions[giver]
    turn = _onto(pointing / np.linalg.norm(pointing), -along)
    near = (methanol.positions - methanol.positions[hydrogen]) @ turn.T + oxygen + 0.19 * along
    away = (methanol.positions - methanol.positions[giver]) @ -turn.T + oxygen + 0.28 * along
    both = acetone.join(methanol.with_positions(near))
    pair = Partners(both, len(acetone) + np.arange(len(methanol)), np.arange(len(acetone)))
    frames = np.stack([both.positions, np.concatenate([acetone.positions, away]), np.concatenate([acetone.positions, near + 0.2 * along])])
    found = hydrogen_bonds(pair, frames)
    assert found.atoms.tolist() == [[len(acetone) + giver, len(acetone) + hydrogen, 3]]
    assert found.present[:, 0].tolist() == [True, False, False]
    assert found.names[0].startswith("O2 to O4 of")


def _onto(one: Floats, other: Floats) -> Floats:
    """The turn that takes one unit vector to another."""
    from scipy.spatial.transform import Rotation

    return Rotation.align_vectors(other[None], one[None])[0].as_matrix()


# What is no pair


def test_a_ligand_in_another_frame_is_refused(whole: Structure) -> None:
    guest = GUEST.select(whole)
    moved = np.array(whole.positions)
    moved[guest] += 4.0
    with pytest.raises(StructureError, match="seems to have another frame"):
        partners(whole.with_positions(moved), guest)


def test_a_clash_is_told(whole: Structure) -> None:
    clashing = peptide_and_guest(gap=0.15)
    assert any("overlaps its partner" in note for note in partners(clashing, GUEST.select(clashing)).notes)
    assert not partners(whole, GUEST.select(whole)).notes


def test_a_ligand_that_is_bonded_or_alone_is_refused(whole: Structure) -> None:
    side = ResidueIs(name="PHE").select(whole)
    with pytest.raises(UnsupportedError, match=r"a part of what .* belongs to. A ligand that is bonded to its protein"):
        partners(whole, side)
    alone = Structure.from_smiles("CCO")
    with pytest.raises(StructureError, match="nothing that this ligand could bind to"):
        partners(alone, np.arange(len(alone)))
    propanol = Structure.from_smiles("CCCO")
    two = propanol.join(propanol.with_positions(propanol.positions + 0.5))
    with pytest.raises(UnsupportedError, match="Expected one ligand, got 2 molecules of 4, 4 heavy atoms"):
        partners(two, np.arange(len(two)))


def test_of_a_host_and_its_guest_the_guest_is_the_ligand() -> None:
    """Nobody has to choose; beside a protein the larger of two small molecules is meant."""
    both = beside(Structure.from_smiles("c1ccc2cc3ccccc3cc2c1"), Structure.from_smiles("CC"), index=0)
    assert len(partners(both, np.arange(len(both))).ligand) == 8
    whole = PEPTIDE.prepare().join(both.with_positions(both.positions + PEPTIDE.prepare().positions[0] - both.positions[0] + 0.3))
    assert len(partners(whole, np.arange(len(PEPTIDE.prepare()), len(whole)), apart=True).ligand) == 24


def test_chains_with_equal_numbers_are_told_apart_and_a_peptide_can_be_the_ligand() -> None:
    one = PEPTIDE.prepare()
    other = replace(one, residues=tuple(replace(residue, chain="B") for residue in one.residues))
    both = beside(one, other, index=40)
    pair = partners(both, ResidueIs(chain="B").select(both))
    assert len(pair.ligand) == len(one)
    assert {row.name.split()[1][0] for row in pair.rows} == {"A"}
    near, _ = pair.cut(0.4)
    assert len(near.ligand) == len(one)
    assert len(near.receptor) < len(one)


# Relaxing


def test_a_clash_goes_away_and_the_pose_hardly_moves() -> None:
    clashing = peptide_and_guest(gap=0.22)
    pair, known = partners(clashing, GUEST.select(clashing)), parameters(clashing)
    before = row_energies(known, pair, clashing.positions)[:, 1].sum()
    places = settled(pair, PEPTIDE.parametrise, lambda _iteration: True)
    after = row_energies(known, pair, places)[:, 1].sum()
    assert before > 50.0
    assert after < 0.0
    heavy = clashing.numbers > 1
    assert np.linalg.norm(places - clashing.positions, axis=1)[heavy].max() < 0.15
    with pytest.raises(StoppedError):
        settled(pair, PEPTIDE.parametrise, lambda iteration: iteration < 3)


# The recipes


@pytest.fixture(scope="module")
def recipe() -> Interaction:
    return Interaction(system=PEPTIDE, ligand=GUEST, potentials=("aimnet2", "nonsense"))


@pytest.fixture(scope="module")
def answer(recipe: Interaction, whole: Structure) -> Result:
    return recipe.run(structure=whole)


def test_values_and_arrays(answer: Result, whole: Structure) -> None:
    assert answer.ok, answer.failure
    values, arrays = answer.values, answer.arrays
    assert arrays["mm_kcal_mol"].shape == (len(arrays["rows"]), 2)
    assert values["mm_kcal_mol"] == pytest.approx(arrays["mm_kcal_mol"].sum())
    assert values["mm_coulomb_kcal_mol"] + values["mm_lennard_jones_kcal_mol"] == pytest.approx(values["mm_kcal_mol"])
    assert values["mm_water_kcal_mol"] == 0.0
    assert np.isfinite(values["aimnet2_cluster_kcal_mol"])
    assert values["rows_asked"] == np.isfinite(arrays["aimnet2_kcal_mol"]).sum() > 0
    assert any("Nothing by nonsense: No potential is called" in note for note in answer.notes)
    energies = row_energies(parameters(whole), partners(whole, GUEST.select(whole)), arrays["pose_nm"]) / KJ_PER_KCAL
    np.testing.assert_allclose(arrays["mm_kcal_mol"], energies, atol=1e-6)
    json.loads(answer.to_json())


def test_broken_off_and_resumed_gives_the_same_numbers(recipe: Interaction, answer: Result, whole: Structure, tmp_path: Path) -> None:
    told: list[str] = [""]
    first = recipe.run(structure=whole, folder=tmp_path, progress=lambda _, text: told.append(text), on_frame=lambda _: "AIMNet2" not in told[-1])
    assert first.ok
    assert any("Stopped after MM and 0 of 2 potentials" in note for note in first.notes)
    assert "aimnet2_kcal_mol" not in first.arrays
    told.clear()
    second = recipe.run(structure=whole, folder=tmp_path, progress=lambda _, text: told.append(text))
    assert not any("Relaxing" in text for text in told)
    assert second.values == pytest.approx(answer.values, abs=1e-3)
    stopped = recipe.run(structure=whole, on_frame=lambda _: False)
    assert stopped.failure.kind == "StoppedError"


def test_what_people_see_of_a_pose(recipe: Interaction, answer: Result, whole: Structure) -> None:
    report = recipe.report(answer, whole.with_positions(answer.arrays["pose_nm"]))
    bars = report.charts[0]
    assert isinstance(bars, Bars)
    assert bars.labels[-1] == "all others"
    assert sum(bars.groups[0].values) == pytest.approx(answer.values["mm_kcal_mol"])
    assert any("40 for AIMNet2" in warning for warning in report.warnings)
    painted = report.painted[0]
    ligand = set(GUEST.select(whole).tolist())
    assert not ligand & {atom for place in painted.places for atom in place}
    assert all(len(target.atoms) > 3 for target in bars.targets[:-1])
    assert [shape.name for shape in report.shapes] == ["relaxed pose", "pose as given"]


def test_a_ligand_and_its_receptor_may_come_apart(whole: Structure) -> None:
    """The ligand alone as the system, the peptide as its receptor: the same as both in one."""
    guest = whole.take(GUEST.select(whole))
    recipe = Interaction(system=PEPTIDE, receptor=PEPTIDE, potentials=(), relax=False)
    found = recipe.run(structure=guest)
    one = Interaction(system=PEPTIDE, ligand=GUEST, potentials=(), relax=False).run(structure=whole)
    assert found.values == pytest.approx(one.values)


def test_a_run_has_means_with_errors_a_map_and_how_often_contacts_are_there(whole: Structure, tmp_path: Path) -> None:
    record(tmp_path / "run", whole)
    recipe = InteractionRun(recording=str(tmp_path / "run"), ligand=GUEST, potentials=("aimnet2",))
    found = recipe.run(folder=tmp_path / "out")
    assert found.ok, found.failure
    arrays, frames = found.arrays, int(found.values["frames"])
    assert frames == len(arrays["time_ps"]) == 7
    assert arrays["frames_kcal_mol"].shape == (frames, len(arrays["rows"]), 2)
    np.testing.assert_allclose(arrays["mm_kcal_mol"], arrays["frames_kcal_mol"].sum(axis=2).mean(axis=0))
    assert (arrays["mm_error_kcal_mol"] >= 0.0).all()
    assert ((arrays["contact"] >= 0.0) & (arrays["contact"] <= 1.0)).all()
    assert np.isfinite(arrays["aimnet2_kcal_mol"]).any()
    report = recipe.report(found, store.load(tmp_path / "out" / STRUCTURE))
    heat = report.charts[0]
    assert isinstance(heat, Heat)
    assert (len(heat.values), len(heat.values[0])) == (len(heat.rows), frames)
    assert any(isinstance(chart, Table) and chart.title == "Contacts" for chart in report.charts)
    told: list[str] = []
    again = recipe.run(folder=tmp_path / "out", progress=lambda _, text: told.append(text))
    assert again.values == found.values
    assert not any("AIMNet2" in text for text in told)


def test_a_run_that_has_no_ligand_or_does_not_exist_is_refused(tmp_path: Path) -> None:
    missing = InteractionRun(recording=str(tmp_path / "nowhere")).run()
    assert "There is no recorded run" in missing.failure.message
    record(tmp_path / "run", PEPTIDE.prepare(), frames=1)
    alone = InteractionRun(recording=str(tmp_path / "run")).run()
    assert "nothing that this ligand could bind to" in alone.failure.message
    none = InteractionRun(recording=str(tmp_path / "run"), ligand=Atoms(indices=(0, 1))).run()
    assert "has to be a whole molecule" in none.failure.message
