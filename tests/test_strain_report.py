"""What people see of strain: the answer with its uncertainty, where it sits, and targets that exist."""

from pathlib import Path

import numpy as np
import pytest

from studio.io import store
from studio.io.targets import target
from studio.recipes.series import Records, Series
from studio.recipes.strain import Strain
from studio.recipes.strain_series import StrainSeries
from studio.recorder import STRUCTURE
from studio.report import Bars, Report, Table
from studio.result import Result
from studio.strain import StrainProtocol
from studio.structure import Structure
from studio.system import FromSmiles, System
from tests.molecule_files import sdf

GAS = StrainProtocol(medium="gas", conformers=3)


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Report, Structure]:
    folder = tmp_path_factory.mktemp("strain")
    recipe = Strain(system=System(source=FromSmiles(smiles="O=C(NC)CCc1ccccc1")), potentials=("mm", "gfn2-xtb"), protocol=GAS)
    result = recipe.run(folder=folder)
    result.keep(folder)
    molecule = store.load(folder / STRUCTURE)
    return result, recipe.report(Result.kept(folder), molecule), molecule


def test_the_headline_has_the_answer_and_its_uncertainty(answer) -> None:
    result, report, _ = answer
    assert f"strained by {result.values['strain_kcal_mol']:.1f} ± {result.values['strain_spread_kcal_mol']:.1f} kcal/mol" in report.headline
    assert "mean and spread of 2 methods" in report.headline


def test_charts_tell_how_much_and_where(answer) -> None:
    result, report, molecule = answer
    by_method, torsions, fragments, table, conformers = report.charts
    assert [type(chart) for chart in report.charts] == [Bars, Bars, Bars, Table, Table]
    assert by_method.labels == ("MM", "GFN2-xTB")
    assert by_method.groups[0].values == tuple(result.values[f"{name}_strain_kcal_mol"] for name in ("mm", "gfn2-xtb"))
    assert "16.1" in by_method.note
    assert len(torsions.labels) == len(torsions.targets) == len(result.arrays["torsion_names"])
    assert sorted(sum((each.atoms for each in fragments.targets), ())) == list(range(len(molecule)))
    for group, name in zip(fragments.groups, ("mm", "gfn2-xtb"), strict=True):
        assert sum(group.values) == pytest.approx(result.values[f"{name}_strain_kcal_mol"]), "shares and the rest are the strain"
    assert len(table.rows) == 2
    assert {len(row) for row in table.rows} == {len(table.columns)}
    assert len(conformers.rows) == int(result.values["conformers"]) + 1


def test_targets_point_at_what_is_there(answer) -> None:
    result, report, molecule = answer
    shapes = {shape.name for shape in report.shapes}
    for chart in report.charts:
        for aim in chart.targets:
            assert all(0 <= atom < len(molecule) for atom in aim.atoms)
            assert not aim.shape or aim.shape in shapes
    assert {shape.positions.shape for shape in report.shapes} == {molecule.positions.shape}
    assert [shape.name for shape in report.shapes if shape.shown] == ["pose", "minimum by GFN2-xTB"]
    bonds = {tuple(sorted(bond)) for bond in molecule.bonds.tolist()}
    for painted in report.painted:
        assert len(painted.places) == len(painted.values)
        assert {tuple(sorted(place)) for place in painted.places} <= bonds
    assert any("gas phase" in warning for warning in report.warnings)
    first = report.charts[2].groups[0].values[0]
    piece = result.arrays["mm_fragments_kcal_mol"][0]
    assert first == pytest.approx(piece)


def test_a_bent_ring_is_strain_of_the_ring() -> None:
    """Cyclohexane's chair pressed into a boat beside an amide: the ring's share is most of the strain."""
    system = System(source=FromSmiles(smiles="CC(=O)NC1CCCCC1"))
    molecule = system.prepare()
    ring = [atom for atom in range(len(molecule)) if molecule.names[atom] in {f"C{k}" for k in range(5, 11)}]
    tip, base = ring[3], [ring[k] for k in (1, 2, 4, 5)]
    boat = molecule.positions.copy()
    centre = boat[base].mean(axis=0)
    normal = np.linalg.svd(boat[base] - centre)[2][2]
    moved = [tip, *(int(b if a == tip else a) for a, b in molecule.bonds if tip in (a, b) and 1 in molecule.numbers[[a, b]])]
    boat[moved] -= 2.0 * ((boat[moved] - centre) @ normal)[:, None] * normal
    recipe = Strain(system=system, potentials=("mm",), protocol=GAS.model_copy(update={"torsions": False, "tolerance": 0.005}))
    result = recipe.run(structure=molecule.with_positions(boat))
    assert result.ok, result.failure
    shares = dict(zip(result.arrays["fragment_names"].tolist(), result.arrays["mm_fragments_kcal_mol"], strict=True))
    strain = result.values["mm_strain_kcal_mol"]
    assert strain > 3.0
    assert shares["ring of C5"] > 0.7 * strain
    assert "no uncertainty: ask a second method" in recipe.report(result).headline


def test_a_series_is_ranked_and_each_ligand_can_be_opened(tmp_path: Path) -> None:
    path, molecules = tmp_path / "series.sdf", {"propanol": "CCCO", "silane": "C[SiH3]", "phenol": "Oc1ccccc1"}
    path.write_text("".join(sdf(Structure.from_smiles(smiles), name) for name, smiles in molecules.items()))
    recipe = StrainSeries(source=Records(path=str(path)), potentials=("mm",), protocol=StrainProtocol(medium="gas", conformers=2, torsions=False))
    report = recipe.report(recipe.run())
    table, bars = report.charts
    assert [row[1] for row in table.rows][2] == "silane"
    assert table.rows[2][0] is None
    assert "does not know Si" in str(table.rows[2][-1])
    assert len(bars.labels) == 2
    assert "1 could not be done" in report.headline
    for row, aim in zip(table.rows, table.targets, strict=True):
        opened = System.model_validate_json(aim.system).prepare()
        assert opened.title == row[1]
    result = recipe.run()
    path.unlink()
    assert not any(aim.system for aim in recipe.report(result).charts[0].targets), "what is not there cannot be opened"


def test_measured_affinities_stand_beside_the_strain() -> None:
    recipe = StrainSeries(
        source=Series(target="tyk2", ligands=("ejm_31",)), potentials=("mm",), protocol=StrainProtocol(medium="gas", conformers=0, torsions=False)
    )
    table = recipe.report(recipe.run()).charts[0]
    assert table.rows[0][table.columns.index("measured dG (kcal/mol)")] == pytest.approx(target("tyk2").ligands["ejm_31"].affinity)
