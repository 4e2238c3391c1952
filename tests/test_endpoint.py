"""End-point binding: energies against plain OpenMM, strain against `Strain`, errors on made-up series, and the recipes."""

import csv
import json
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from studio.conformers import conformers
from studio.endpoint import TERMS, Continuum, Ends, doubts, strains, total
from studio.errors import UnsupportedError
from studio.forcefield import MMSystem
from studio.forcefield.subset import subset
from studio.io import store, to_pdb
from studio.partners import Partners, partners
from studio.potentials.mm import MM
from studio.questions import Offer, answered
from studio.recipes.against_experiment import AgainstExperiment
from studio.recipes.base import load_recipe
from studio.recipes.binding_series import TABLE, EndPointSeries, InteractionSeries
from studio.recipes.endpoint import EndPoint, EndPointPose
from studio.recipes.interaction import Interaction
from studio.recipes.interaction_run import InteractionRun
from studio.recipes.ligands import TRADE, measure
from studio.recipes.series import Records, Series
from studio.recorder import STRUCTURE
from studio.report import Curves, Heat, Scatter, Table
from studio.result import Result
from studio.strain import StrainProtocol, strained
from studio.structure import Floats, Structure
from studio.system import FromFile, FromSmiles, FromTarget, Implicit, System
from studio.timeseries import mean_of, running
from studio.units import KJ_PER_KCAL
from tests.binding_systems import GUEST, PEPTIDE, peptide_and_guest, record
from tests.molecule_files import sdf

WATER = PEPTIDE.model_copy(update={"surroundings": Implicit()})


@pytest.fixture(scope="module")
def whole() -> Structure:
    return peptide_and_guest("CC(=O)NC")


@pytest.fixture(scope="module")
def pair(whole: Structure) -> Partners:
    return partners(whole, GUEST.select(whole))


@pytest.fixture(scope="module")
def mm(whole: Structure) -> MMSystem:
    return WATER.parametrise(whole)


def energy(mm: MMSystem, atoms: np.ndarray, positions: Floats) -> float:
    """All of the force field's energy of some atoms alone, kJ/mol, in double precision."""
    import openmm
    from openmm import unit

    system = subset(mm.system, atoms.tolist())
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(positions[atoms])
    return float(context.getState(energy=True).getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole))


def test_terms_are_the_difference_of_whole_energies(whole: Structure, pair: Partners, mm: MMSystem) -> None:
    """Bonded terms cancel: complex less receptor less ligand, all terms, by OpenMM alone."""
    terms = Ends(pair, mm)(whole.positions)
    both, receptor, ligand = (energy(mm, atoms, whole.positions) for atoms in (np.arange(len(whole)), pair.receptor, pair.ligand))
    assert terms.shape == (len(TERMS),)
    assert terms.sum() == pytest.approx(both - receptor - ligand, abs=0.02)


@pytest.mark.parametrize("model", ["gbn2", "obc2"])
def test_solvation_is_that_of_the_force_field(model) -> None:
    """The whole energy with water less that without; most of an anion's is polar."""
    molecule = Structure.from_smiles("CC(=O)[O-]")
    system = System(source=FromSmiles(smiles="CC(=O)[O-]"))
    wet = system.model_copy(update={"surroundings": Implicit(model=model)}).parametrise(molecule)
    atoms = np.arange(len(molecule))
    found = Continuum(wet, atoms)(molecule.positions)
    dry = energy(system.parametrise(molecule), atoms, molecule.positions)
    assert found.polar + found.nonpolar == pytest.approx(energy(wet, atoms, molecule.positions) - dry, abs=0.01)
    assert found.polar < -200.0
    assert 0.0 < found.nonpolar < 30.0


def test_no_water_is_refused(whole: Structure) -> None:
    with pytest.raises(UnsupportedError, match="needs continuum water"):
        Continuum(PEPTIDE.parametrise(whole), np.arange(len(whole)))


def test_a_ligand_far_away_gains_nothing(whole: Structure, pair: Partners, mm: MMSystem) -> None:
    far = np.array(whole.positions)
    far[pair.ligand] += 1000.0
    np.testing.assert_allclose(Ends(pair, mm)(far), 0.0, atol=0.02)


def test_it_does_not_depend_on_where_the_pair_lies(whole: Structure, pair: Partners, mm: MMSystem) -> None:
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    ends = Ends(pair, mm)
    np.testing.assert_allclose(ends(whole.positions @ turn.T + 1.0), ends(whole.positions), atol=0.02)


def test_strain_in_one_frame_is_that_of_the_strain_recipe() -> None:
    molecule = Structure.from_smiles("OCC[NH2+]C")
    shapes = conformers(molecule, 6)
    pose = molecule.positions + 0.01 * np.random.default_rng(0).normal(size=molecule.positions.shape)
    ours = strains(MM(), molecule, np.stack([pose, shapes[1]]), shapes, tolerance=0.03, on_step=lambda *_: None)
    theirs = strained(MM(), molecule.with_positions(pose), shapes, StrainProtocol(tolerance=0.03, torsions=False))
    assert ours.energies[0] == pytest.approx(theirs.to_global, abs=0.5)
    assert (ours.energies > -0.1).all()


# Means and doubts


def correlated(count: int, time: float, seed: int) -> Floats:
    """Values of unit variance that forget each other within `time` steps."""
    random, keep = np.random.default_rng(seed), np.exp(-1.0 / time)
    values = [random.normal()]
    for step in random.normal(size=count - 1):
        values.append(keep * values[-1] + np.sqrt(1.0 - keep**2) * step)
    return np.array(values)


def test_errors_of_correlated_frames_are_honest() -> None:
    """The error of a mean of n values with correlation time t is sqrt(2t/n): what independent values would give is three times too small here."""
    errors = [mean_of(correlated(4096, 5.0, seed)).error for seed in range(8)]
    assert np.mean(errors) == pytest.approx(np.sqrt(10.0 / 4096), rel=0.3)
    few = mean_of(np.array([1.0, 2.0, 3.0, np.nan]))
    assert (few.value, few.error) == pytest.approx((2.0, 1.0 / np.sqrt(3.0)))


def test_running_means_end_at_the_mean() -> None:
    values = correlated(200, 2.0, 1)
    counts, means, errors = running(values)
    assert counts[-1] == 200
    assert means[-1] == pytest.approx(values.mean())
    assert errors[-1] == mean_of(values).error
    assert len(counts) <= 40


def test_a_run_that_drifts_is_doubted_and_a_steady_one_is_not() -> None:
    steady = -30.0 + correlated(400, 1.0, 2)
    assert doubts(steady) == []
    drifting = steady + np.linspace(0.0, 4.0, 400)
    assert any("Do not trust this mean" in told for told in doubts(drifting))
    wild = -30.0 + 20.0 * correlated(100, 1.0, 3)
    assert any("Do not trust differences between ligands below" in told for told in doubts(wild))
    assert any("4 frames are too few" in told for told in doubts(steady[:4]))


def test_the_mean_strain_moves_every_frame_alike() -> None:
    terms = np.arange(8.0).reshape(2, 4)
    np.testing.assert_allclose(total(terms, np.array([2.0, np.nan])) * KJ_PER_KCAL, terms.sum(axis=1) + 2.0)
    np.testing.assert_allclose(total(terms, np.array([np.nan, np.nan])) * KJ_PER_KCAL, terms.sum(axis=1))


# The recipes


@pytest.fixture(scope="module")
def run_folder(whole: Structure, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorded") / "run"
    record(folder, whole)
    return folder


@pytest.fixture
def recipe(run_folder: Path) -> EndPoint:
    return EndPoint(recording=str(run_folder), ligand=GUEST, skip=0.0, frames=4, potential="mm", conformers=3)


def test_recipes_survive_their_files(recipe: EndPoint, tmp_path: Path) -> None:
    recipes = (
        recipe, EndPointPose(system=PEPTIDE, ligand=GUEST), EndPointSeries(source=Series(target="tyk2")),
        InteractionSeries(source=Records(path="a.sdf"), protein=FromFile(path="a.pdb")),
    )  # fmt: skip
    for each in recipes:
        (tmp_path / "recipe.json").write_text(each.to_json())
        assert load_recipe(tmp_path / "recipe.json") == each


def test_a_run_gives_a_mean_with_an_error(recipe: EndPoint, whole: Structure, tmp_path: Path) -> None:
    found = recipe.run(folder=tmp_path)
    assert found.ok, found.failure
    values, arrays = found.values, found.arrays
    assert values["frames"] == len(arrays["binding_kcal_mol"]) == 4
    parts = sum(values[f"{name}_kcal_mol"] for name in (*TERMS, "strain"))
    assert values["binding_kcal_mol"] == pytest.approx(parts)
    assert values["binding_error_kcal_mol"] > 0.0
    assert np.isfinite(arrays["strain_kcal_mol"]).all()
    assert any("too few" in note for note in found.notes)
    report = recipe.report(found, store.load(tmp_path / STRUCTURE))
    curves = report.charts[0]
    assert isinstance(curves, Curves)
    assert [target.frame for target in curves.curves[1].targets] == arrays["frame"].tolist()
    assert "± " in report.headline
    assert any("entropy" in warning for warning in report.warnings)
    assert len(report.molecule) == len(whole)


def test_broken_off_and_resumed_gives_the_same_numbers(recipe: EndPoint, tmp_path: Path) -> None:
    whole = recipe.run()
    told: list[str] = [""]
    watch = {"progress": lambda _, text: told.append(text), "on_frame": lambda _: "Frame 3" not in told[-1]}
    stopped = recipe.run(folder=tmp_path, **watch)
    assert stopped.failure.kind == "StoppedError"
    told.clear()
    again = recipe.run(folder=tmp_path, progress=lambda _, text: told.append(text))
    assert [text for text in told if text.startswith("Frame")] == ["Frame 4 of 4"]
    assert again.values == pytest.approx(whole.values, abs=0.02)
    other = recipe.model_copy(update={"solvent": "obc2"}).run(folder=tmp_path)
    assert abs(other.values["polar_kcal_mol"] - whole.values["polar_kcal_mol"]) > 0.01


def test_a_strain_that_cannot_be_had_is_a_note(recipe: EndPoint) -> None:
    for name, words in (("nonsense", "strain is not in it: No potential is called"), ("", "The ligand's strain is not in it.")):
        found = recipe.model_copy(update={"potential": name, "frames": 2}).run()
        assert found.ok
        assert "strain_kcal_mol" not in found.values
        assert any(words in note for note in found.notes)


def test_a_run_without_a_receptor_is_refused(tmp_path: Path) -> None:
    record(tmp_path / "run", PEPTIDE.prepare(), frames=1)
    found = EndPoint(recording=str(tmp_path / "run")).run()
    assert "nothing that this ligand could bind to: expected a protein or a host" in found.failure.message
    (tmp_path / "run" / "trajectory.xtc").unlink()
    assert "has no frames yet" in EndPoint(recording=str(tmp_path / "run")).run().failure.message


def test_a_pose_is_one_relaxed_frame_and_says_so(whole: Structure, tmp_path: Path) -> None:
    recipe = EndPointPose(system=PEPTIDE, ligand=GUEST, potential="mm", conformers=3)
    found = recipe.run(structure=whole, folder=tmp_path)
    assert found.ok, found.failure
    assert found.values["frames"] == 1.0
    assert "binding_error_kcal_mol" not in found.values
    assert found.notes[0].startswith("One relaxed frame")
    assert "no error known" in recipe.report(found).headline
    moved = store.load(tmp_path / STRUCTURE).positions
    assert 0.0 < np.abs(moved - whole.positions).max() < 0.3
    again = recipe.run(structure=whole, folder=tmp_path)
    assert again.values == found.values


# Series


@pytest.fixture(scope="module")
def files(whole: Structure, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A peptide, and three ligands in its frame, of which the second cannot be done by MM."""
    folder = tmp_path_factory.mktemp("series")
    guest = whole.take(GUEST.select(whole))
    place = guest.positions.mean(axis=0)
    others = {"silane": "C[SiH3]", "urea": "NC(N)=O"}
    made = {name: Structure.from_smiles(smiles) for name, smiles in others.items()}
    poses = {"amide": guest} | {name: each.with_positions(each.positions - each.positions.mean(axis=0) + place) for name, each in made.items()}
    (folder / "ligands.sdf").write_text("".join(sdf(pose, name) for name, pose in poses.items()))
    (folder / "peptide.pdb").write_text(to_pdb(PEPTIDE.prepare()))
    return folder / "ligands.sdf", folder / "peptide.pdb"


def interactions(files: tuple[Path, Path]) -> InteractionSeries:
    return InteractionSeries(source=Records(path=str(files[0])), protein=FromFile(path=str(files[1])))


def test_a_series_is_a_map_and_one_that_fails_does_not_stop_it(files: tuple[Path, Path], tmp_path: Path) -> None:
    recipe = interactions(files)
    told: list[str] = [""]
    first = recipe.run(folder=tmp_path, progress=lambda _, text: told.append(text), on_frame=lambda _: "urea" not in told[-1])
    assert first.values == {"ligands": 2.0, "failed": 1.0}
    assert "Stopped after 2 of 3" in first.notes[-1]
    told.clear()
    found = recipe.run(folder=tmp_path, progress=lambda _, text: told.append(text))
    assert not any(text.startswith("amide") for text in told)
    assert found.values == {"ligands": 3.0, "failed": 1.0}
    energies = found.arrays["residues_kcal_mol"]
    assert np.isfinite(energies[[0, 2]]).all()
    assert np.isnan(energies[1]).all()
    assert any(note.startswith("silane: ") and "Si" in note for note in found.notes)
    rows = list(csv.DictReader((tmp_path / TABLE).read_text().splitlines()))
    assert [row["name"] for row in rows] == ["amide", "silane", "urea"]
    assert float(rows[0]["mm_kcal_mol"]) == pytest.approx(found.arrays["mm_kcal_mol"][0], abs=1e-3)
    heat = recipe.report(found).charts[0]
    assert isinstance(heat, Heat)
    assert heat.rows == ("amide", "silane", "urea")
    assert json.loads(heat.targets[0].system)["source"]["path"] == str(files[0])


def test_a_ligand_can_be_sent_to_another_process(files: tuple[Path, Path]) -> None:
    task = interactions(files).tasks()[0]
    sent, what = pickle.loads(pickle.dumps((measure, task)))
    done = pickle.loads(pickle.dumps(sent(what)))
    assert done.task.name == "amide"
    assert np.isfinite(done.result.values["mm_kcal_mol"])


def test_a_series_is_ranked(files: tuple[Path, Path], tmp_path: Path) -> None:
    recipe = EndPointSeries(source=Records(path=str(files[0])), protein=str(files[1]), potential="mm")
    found = recipe.run(folder=tmp_path)
    assert found.values == {"ligands": 3.0, "failed": 1.0}
    table = recipe.report(found).charts[0]
    assert isinstance(table, Table)
    assert [row[1] for row in table.rows][-1] == "silane"
    assert table.rows[0][2] <= table.rows[1][2]
    assert any("One relaxed pose a ligand" in warning for warning in recipe.report(found).warnings)


def test_a_ranking_is_laid_beside_experiment() -> None:
    """Made-up energies: the order of the ligands is that of experiment, so that tau is one."""
    count, energies = 4, np.array([-30.0, -32.0, -36.0, -31.0])
    arrays = {"names": np.array(["ejm_31", "ejm_42", "ejm_43", "ejm_44"]), "measured_dG_kcal_mol": 0.2 * energies}
    arrays |= {f"{name}_kcal_mol": energies for name in ("binding", "coulomb", "lennard_jones", "polar", "nonpolar", "strain")}
    arrays |= {"ligand_charge_e": np.array([0.0, 0.0, -1.0, 0.0]), "places_in_series": np.arange(count)}
    recipe = EndPointSeries(source=Series(target="tyk2", ligands=tuple(arrays["names"].tolist())))
    report = recipe.report(Result(json.loads(recipe.to_json()), {"ligands": float(count), "failed": 0.0}, arrays))
    scatter = report.charts[0]
    assert isinstance(scatter, Scatter)
    assert "tau 1.00" in report.headline
    assert any("Here are 1 of -1, 3 of +0" in warning for warning in report.warnings)
    assert np.mean([point.y - point.x for point in scatter.series[0][1]]) == pytest.approx(0.0, abs=1e-9)
    system = json.loads(scatter.series[0][1][0].target.system)
    assert system["source"] == FromTarget(target="tyk2", ligand="ejm_31").model_dump()


def test_ligands_without_a_protein_are_refused(files: tuple[Path, Path]) -> None:
    found = InteractionSeries(source=Records(path=str(files[0]))).run()
    assert "holds no protein. Name the PDB or mmCIF file" in found.failure.message


def test_what_a_worker_sends_back_is_kept_and_found_and_what_is_lost_is_a_row(files: tuple[Path, Path], tmp_path: Path) -> None:
    """The functions that `farm.spread` calls; the file of the ligand may lie elsewhere next time."""
    task = interactions(files).tasks(tmp_path)[0]
    assert TRADE.kept(task) is None
    far = TRADE.measure(replace(task, folder=None), None, None)
    TRADE.keep(task, far)
    moved = tmp_path / "moved"
    moved.mkdir()
    others = tuple(Path(shutil.copy(path, moved)) for path in files)
    again = interactions((others[0], others[1])).tasks(tmp_path)[0]
    assert TRADE.kept(again).result.values == far.result.values
    gone = TRADE.lost(task, "Its worker died.")
    assert gone.result.failure.message == "Its worker died."


def test_a_ranking_can_be_judged_against_experiment(tmp_path: Path) -> None:
    """What a series leaves behind is what `AgainstExperiment` reads; the first number is the one that is meant."""
    names, energies = ("ejm_31", "ejm_42", "ejm_43"), np.array([-30.0, -32.0, -36.0])
    arrays = {"names": np.array(names), "measured_dG_kcal_mol": 0.2 * energies, "binding_kcal_mol": energies, "coulomb_kcal_mol": 2.0 * energies}
    Result({}, {"ligands": 3.0}, arrays).keep(tmp_path)
    found = AgainstExperiment(source=Series(target="tyk2", ligands=names), predictions=str(tmp_path)).run()
    assert found.ok, found.failure
    np.testing.assert_allclose(found.arrays["predicted_kcal_mol"], energies)


@pytest.mark.parametrize("recipe", [EndPoint, EndPointPose, EndPointSeries, Interaction, InteractionRun, InteractionSeries], ids=lambda recipe: recipe.__name__)
def test_people_are_asked_only_what_a_form_can_take(recipe) -> None:
    """Every question's default is an answer that the recipe takes."""
    offer = Offer("any", recipe.study, recipe)
    subject = {"system": {"system": PEPTIDE.model_dump()}, "series": {"source": Series(target="tyk2").model_dump()}, "recording": {"recording": "run"}}
    defaults = {question.name: question.default for question in offer.questions}
    assert answered(offer, subject[recipe.study.subject], defaults) == recipe.model_validate(subject[recipe.study.subject])
    assert all(question.help for question in offer.questions)
