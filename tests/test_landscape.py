"""The landscape study: maps, basins and shapes of recorded runs are those that were put in, of atoms as of beads, and two runs are told apart."""

from pathlib import Path

import numpy as np
import pytest

from studio.coarse.mapping import map_protein
from studio.hybrid.view import View
from studio.recipes.dynamics import Dynamics
from studio.recipes.landscape import Landscape
from studio.report import Curves, Heat, Table
from studio.result import Result
from studio.structure import Structure
from studio.system import FromExample, FromSequence, FromSmiles, System
from tests.recordings import record
from tests.torsion_frames import BASINS, dipeptide_beads, folding, helix, placed, torsions
from widgets.report_data import NOTHING, target_of, words_of

DIPEPTIDE = System(source=FromExample(name="alanine-dipeptide"))
HELIX = Dynamics(system=System(source=FromSequence(sequence="A" * 14)), view=View(resolution="beads"))


@pytest.fixture(scope="module")
def molecule() -> Structure:
    return DIPEPTIDE.prepare()


def with_backbone(molecule: Structure, five: np.ndarray) -> np.ndarray:
    """Atoms whose backbone is where five beads are; the others do not matter."""
    frames = np.repeat(molecule.positions[None], len(five), axis=0)
    frames[:, map_protein(molecule, "backbone").sites] = five
    return frames


@pytest.fixture(scope="module")
def atoms(molecule: Structure, tmp_path_factory: pytest.TempPathFactory) -> Path:
    frames = with_backbone(molecule, placed(*torsions(1500, 1), 1))
    return record(tmp_path_factory.mktemp("atoms"), molecule, Dynamics(system=DIPEPTIDE, view=View(resolution="mm")), frames)


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Beads whose torsions are free."""
    frames = placed(*np.random.default_rng(0).uniform(-180.0, 180.0, (2, 1500)), 2)
    return record(tmp_path_factory.mktemp("wrong"), dipeptide_beads(), Dynamics(system=DIPEPTIDE, view=View(resolution="beads")), frames)


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Beads of the same distribution."""
    frames = placed(*torsions(1200, 7), 7)
    return record(tmp_path_factory.mktemp("right"), dipeptide_beads(), Dynamics(system=DIPEPTIDE, view=View(resolution="beads")), frames)


def done(recipe: Landscape, folder: Path | None = None) -> Result:
    result = recipe.run(folder=folder)
    assert result.ok, result.failure
    return result


def test_map_and_basins_of_a_run_are_those_that_it_was_drawn_from(atoms: Path, molecule: Structure) -> None:
    result = done(Landscape(recording=str(atoms)))
    assert result.values["frames"] == 1500
    assert result.values["temperature_K"] == 300.0
    shares = dict(zip(result.arrays["basins"].tolist(), result.arrays["basin_share"][0].tolist(), strict=True))
    errors = dict(zip(result.arrays["basins"].tolist(), result.arrays["basin_share_error"][0].tolist(), strict=True))
    for name, share in (("alpha-R", BASINS[0][0]), ("alpha-L", BASINS[3][0])):
        assert shares[name] == pytest.approx(share, abs=4 * errors[name] + 0.01)
    report = Landscape(recording=str(atoms)).report(result, molecule)
    assert isinstance(report.charts[0], Heat)
    assert report.headline.startswith("ALA A2: ")
    assert "independent" in report.headline
    assert not report.warnings


def test_a_bin_and_a_basin_show_a_frame_that_lies_in_them(atoms: Path, molecule: Structure) -> None:
    recipe = Landscape(recording=str(atoms))
    result = done(recipe)
    report = recipe.report(result, molecule)
    heat, phi = report.charts[0], result.arrays["coordinates"][0][:, 0]
    place = {int(number): k for k, number in enumerate(result.arrays["frame"].tolist())}
    seen = 0
    for j, row in enumerate(heat.cells):
        for i, target in enumerate(row):
            assert (target.frame is None) == (heat.values[j][i] is None)
            if target.frame is not None:
                x, y = result.arrays["coordinates"][0][place[target.frame]]
                assert heat.edges[0][i] <= x <= heat.edges[0][i + 1]
                assert heat.edges[1][j] >= y >= heat.edges[1][j + 1]  # the first row is on top
                seen += 1
    assert seen > 50
    assert target_of(heat, (0, 0)) == heat.cells[0][0]
    assert target_of(heat, (0, 40)) == target_of(heat, (3,)) == NOTHING
    assert words_of(heat, (0, 0)) == "φ (°) -171, ψ (°) 171"
    table = next(chart for chart in report.charts if isinstance(chart, Table))
    for row, target in zip(table.rows, table.targets, strict=True):
        if row[1] == "alpha-L":
            assert 20.0 < phi[place[target.frame]] < 160.0


def test_atoms_and_beads_of_one_distribution_go_the_same_way_and_free_torsions_do_not(atoms: Path, right: Path, wrong: Path, molecule: Structure) -> None:
    same, other = (Landscape(recording=str(atoms), other=str(folder)) for folder in (right, wrong))
    result = done(same)
    assert result.values["js"] < 1.5 * result.values["js_floor"]
    report = same.report(result, molecule)
    assert "cannot be told apart" in report.headline
    difference, mine, theirs = report.charts[:3]
    assert difference.centred
    assert [bool(chart.cells) for chart in (difference, mine, theirs)] == [True, True, False]
    along = next(chart for chart in report.charts if isinstance(chart, Curves))
    assert "CG time" in along.x
    assert {"time_ps", "cg_time_ps_other"} <= set(result.arrays), "each run on its own clock"
    result = done(other)
    assert result.values["js"] > 5 * result.values["js_floor"]
    assert result.values["fes_error_kcal_mol"] > 0.5
    assert "differ" in other.report(result, molecule).headline


def test_a_helix_of_beads_has_slow_coordinates_a_fold_and_a_size(tmp_path: Path) -> None:
    """Its slowest coordinate is folding; folded and unfolded have their free energies."""
    native = helix(14)
    states = np.cumsum(np.random.default_rng(0).random(3000) < 0.03) % 2 == 0
    folder = record(tmp_path / "run", native, HELIX, folding(native, states, 0))
    recipe = Landscape(recording=str(folder), map="slowest coordinates", lag=2)
    result = done(recipe)
    slow = result.arrays["coordinates"][0][:, 0]
    assert abs(np.corrcoef(slow, states)[0, 1]) > 0.98
    assert result.arrays["basin_share"][0] == pytest.approx([states.mean(), 1 - states.mean()], abs=1e-3)
    assert result.arrays["basin_error_kcal_mol"][0][1] > 0.05
    assert result.arrays["radius_angstrom"][states].mean() < result.arrays["radius_angstrom"][~states].mean()
    titles = [chart.title for chart in recipe.report(result, native).charts]
    assert titles == ["Map of the whole", "Shares of the basins", "Basins", "Radius of gyration", "RMSD from the start", "Contacts of the start (Q)"]
    maps = done(Landscape(recording=str(folder))).arrays["maps"]
    assert len(maps) == 11  # automatic: a map for each residue of a short chain


def test_it_stops_goes_on_and_keeps_what_is_read(atoms: Path, tmp_path: Path) -> None:
    recipe, asked = Landscape(recording=str(atoms)), []

    def stop(frame: object) -> bool:
        asked.append(frame)
        return len(asked) < 5

    stopped = recipe.run(on_frame=stop, folder=tmp_path)
    assert stopped.failure is not None
    assert "run it again" in stopped.failure.message
    first, asked[:] = done(recipe, tmp_path), []
    again = recipe.run(on_frame=lambda frame: asked.append(frame), folder=tmp_path)
    assert len(asked) < 4  # nothing is read twice
    np.testing.assert_allclose(again.arrays["coordinates"], first.arrays["coordinates"], atol=1e-3)
    assert (tmp_path / "structure.npz").exists()


def test_refusals_say_what_to_do(atoms: Path, tmp_path: Path) -> None:
    ethanol = Structure.from_smiles("CCO")
    other = record(tmp_path / "ethanol", ethanol, Dynamics(system=System(source=FromSmiles(smiles="CCO"))), np.repeat(ethanol.positions[None], 60, axis=0))
    for recipe, words in (
        (Landscape(recording=str(tmp_path / "none")), "no recorded run"),
        (Landscape(recording=str(atoms), other=str(other)), "runs of one molecule"),
        (Landscape(recording=str(other), map="backbone torsions"), "Choose the slowest coordinates"),
        (Landscape(recording=str(other)), "Nothing moves"),
    ):
        failure = recipe.run().failure
        assert failure is not None
        assert words in failure.message, failure.message
