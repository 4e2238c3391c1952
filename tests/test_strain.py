"""Strain: nothing where there is none, the same however the molecule lies, and the same as somebody else's calculation."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from studio import plugins
from studio.conformers import conformers, rotatable, turned
from studio.errors import SimulationError
from studio.io.targets import target
from studio.potentials.aimnet2 import AIMNet2Ensemble
from studio.potentials.base import EnergyForces
from studio.potentials.mm import MM
from studio.potentials.so3lr import SO3LR
from studio.potentials.water import in_water
from studio.potentials.xtb import GFN2xTB
from studio.recipes.base import load_recipe
from studio.recipes.strain import Strain
from studio.region import Atoms, Ligand
from studio.relax import relax
from studio.result import Result
from studio.strain import RUNGS, Strained, StrainProtocol, bound_members, strained, summary
from studio.structure import Structure
from studio.system import FromSmiles, FromTarget, System
from studio.units import KJ_PER_EV, KJ_PER_KCAL, NM_PER_ANGSTROM
from tests.reference import so3lr_calculator

GAS = StrainProtocol(medium="gas", conformers=6, torsions=False)
SMALL = System(source=FromSmiles(smiles="OCCCC(=O)NC"))


@pytest.fixture(scope="module")
def bent() -> Structure:
    """A flexible molecule in a pose that is none of its minima."""
    molecule = Structure.from_smiles("OCCCC(=O)NC")
    return molecule.with_positions(molecule.positions + 0.015 * np.random.default_rng(1).normal(size=(len(molecule), 3)))


def kcal(found: Strained) -> float:
    return found.to_global / KJ_PER_KCAL


@pytest.mark.parametrize("potential", [MM(), SO3LR()], ids=lambda p: p.card.name)
@pytest.mark.parametrize("medium", ["gas", "water"])
def test_a_rigid_molecule_has_none(potential, medium) -> None:
    benzene = Structure.from_smiles("c1ccccc1")
    found = strained(potential, benzene, conformers(benzene, 5), StrainProtocol(medium=medium))
    assert kcal(found) == pytest.approx(0.0, abs=0.02)
    assert len(found.minima) == 1
    assert found.torsion_energies.shape == (0,)


def test_a_pose_at_its_lowest_minimum_has_none(bent: Structure) -> None:
    shapes = conformers(bent, 6)
    first = strained(MM(), bent, shapes, GAS)
    again = strained(MM(), bent.with_positions(first.minimum), shapes, GAS)
    assert kcal(first) > 0.5
    assert kcal(again) == pytest.approx(0.0, abs=0.01)
    assert again.restraint == pytest.approx(0.0, abs=0.01)


@pytest.mark.parametrize("potential", [MM(), SO3LR()], ids=lambda p: p.card.name)
def test_it_does_not_depend_on_where_the_molecule_lies_and_how_its_atoms_are_listed(potential, bent: Structure) -> None:
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    turn *= np.linalg.det(turn)
    order = np.random.default_rng(2).permutation(len(bent))
    poses = bent, bent.with_positions(bent.positions @ turn.T + 3.0), bent.take(order)
    strains = [kcal(strained(potential, pose, conformers(pose, 6), GAS.model_copy(update={"force_tolerance": 1.0}))) for pose in poses]
    np.testing.assert_allclose(strains, strains[0], atol=0.05)


def test_a_looser_tolerance_never_gives_more(bent: Structure) -> None:
    shapes = conformers(bent, 6)
    found = [strained(MM(), bent, shapes, GAS.model_copy(update={"tolerance": tolerance})) for tolerance in (0.001, 0.005, 0.02, 0.05, 0.1)]
    strains = [kcal(each) for each in found]
    assert (np.diff(strains) <= 0.02).all()
    assert strains[0] > strains[-1] + 0.5


def test_references_are_ordered(bent: Structure) -> None:
    """The Boltzmann mean and the nearest minimum lie above the lowest one; at 1 K the mean is the lowest."""
    found = strained(MM(), bent, conformers(bent, 10), GAS)
    assert found.to_local <= found.to_global + 1e-6
    assert found.to_boltzmann(300.0) <= found.to_global
    assert found.to_boltzmann(1.0) == pytest.approx(found.to_global, abs=1e-3)
    above = found.energies[found.minima] - found.energies[found.minima[0]]
    weights = np.exp(-above / (0.0083144626 * 300))
    assert found.to_boltzmann(300.0) == pytest.approx(found.to_global - np.average(above, weights=weights))


def test_equal_to_an_independent_calculation() -> None:
    """ASE's BFGS with the calculator of SO3LR's authors: harmonic walls around the heavy atoms, then without; the same shapes."""
    from ase import Atoms as Molecule
    from ase.calculators.calculator import Calculator, all_changes
    from ase.optimize import BFGS

    molecule = Structure.from_smiles("CC(=O)NC")
    molecule = molecule.with_positions(molecule.positions + 0.02 * np.random.default_rng(3).normal(size=(len(molecule), 3)))
    shapes, protocol = conformers(molecule, 1), GAS.model_copy(update={"force_tolerance": 5.0, "tolerance": 0.01})
    ours = strained(SO3LR(precision="float64"), molecule, shapes, protocol)
    heavy = molecule.numbers > 1

    class Walled(Calculator):
        """The wall of `Hold`, written anew in ASE's units."""

        implemented_properties = ("energy", "forces")
        inner, wall, tolerance = None, 0.0, 0.0

        def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
            super().calculate(atoms, properties, system_changes)
            bare = Molecule(atoms.numbers, atoms.positions, calculator=self.inner)
            bare.info["charge"] = 0.0
            forces, away = bare.get_forces(), (atoms.positions - molecule.positions / NM_PER_ANGSTROM)[heavy]
            distance = np.linalg.norm(away, axis=1)
            beyond = np.maximum(distance - self.tolerance / NM_PER_ANGSTROM, 0.0)
            constant = 20_000.0 / KJ_PER_EV * NM_PER_ANGSTROM**2  # of the wall, eV/angstrom^2
            self.wall = 0.5 * constant * (beyond**2).sum()
            forces[heavy] -= constant * (beyond / np.maximum(distance, 1e-9))[:, None] * away
            self.results = {"energy": bare.get_potential_energy() + self.wall, "forces": forces}

    with so3lr_calculator("float64") as calculator:
        pose = Molecule(molecule.numbers, molecule.positions / NM_PER_ANGSTROM, calculator=Walled())
        pose.calc.inner = calculator
        for pose.calc.tolerance in (*(rung for rung in RUNGS if rung < protocol.tolerance), protocol.tolerance):
            pose.calc.reset()
            BFGS(pose, logfile=None).run(fmax=0.005, steps=1000)
        strain = pose.get_potential_energy() - pose.calc.wall
        minima = []
        for start in (pose.positions, *(shapes / NM_PER_ANGSTROM)):
            atoms = Molecule(molecule.numbers, start, calculator=calculator)
            atoms.info["charge"] = 0.0
            BFGS(atoms, logfile=None).run(fmax=0.005, steps=1000)
            minima.append(atoms.get_potential_energy())
    assert ours.pose_energy == pytest.approx(strain * KJ_PER_EV, abs=0.1)
    assert kcal(ours) > 0.5
    assert kcal(ours) == pytest.approx((strain - min(minima)) * KJ_PER_EV / KJ_PER_KCAL, abs=0.1)


def test_torsions_tell_where_it_sits() -> None:
    """Butane turned to its gauche form by hand and held there: the strain is that of the one bond that was turned."""
    butane = Structure.from_smiles("CCCC")
    protocol = StrainProtocol(medium="gas")
    anti = strained(GFN2xTB(), butane, conformers(butane, 5), protocol).minimum
    gauche = butane.with_positions(turned(butane, anti, rotatable(butane)[0], np.radians(115.0)))
    found = strained(GFN2xTB(), gauche, conformers(butane, 5), protocol)
    assert found.torsion_energies.shape == (1,)
    assert found.torsion_energies[0] == pytest.approx(found.to_global, abs=0.3)
    assert 0.3 < kcal(found) < 1.5
    assert abs(found.torsion_angles[0]) == pytest.approx(180.0, abs=2.0)


def test_water_changes_what_is_lowest() -> None:
    """In vacuum the arms of a zwitterion embrace and a pose that is stretched out is strained by far more than in water."""
    molecule = Structure.from_smiles("C[N+](C)(C)CCCC(=O)[O-]")
    stretched = conformers(molecule, 10)
    far = max(stretched, key=lambda place: np.linalg.norm(np.ptp(place, axis=0)))
    gas, water = (kcal(strained(MM(), molecule.with_positions(far), stretched, GAS.model_copy(update={"medium": medium}))) for medium in ("gas", "water"))
    assert gas > water + 5.0


def test_a_proton_that_moves_over_is_left_out() -> None:
    """Glycine's zwitterion is no minimum of the isolated molecule: the network takes the proton across."""
    glycine = Structure.from_smiles("[NH3+]CC(=O)[O-]")
    with pytest.raises(SimulationError, match="leads every shape of this molecule to other bonds"):
        strained(SO3LR(), glycine, conformers(glycine, 3), GAS)


def test_an_ensemble_tells_how_its_members_scatter(bent: Structure) -> None:
    loose = GAS.model_copy(update={"iterations": 10})
    gas, water = (
        strained(AIMNet2Ensemble(), bent, bent.positions[:0].reshape(0, *bent.positions.shape), loose.model_copy(update={"medium": medium}))
        for medium in ("gas", "water")
    )
    for found in (gas, water):
        assert len(found.members) == 4
        assert 0.0 < summary(found, bent, 300.0)["members_spread_kcal_mol"] < 3.0
    assert gas.members.mean() == pytest.approx(gas.to_global, abs=0.1)
    assert bound_members(SO3LR().bind(bent)) == ()


class Nowhere(MM):
    """A potential without an energy anywhere."""

    def bind(self, structure, atoms=None, device="auto"):
        inner = super().bind(structure, atoms, device)

        class Bound:
            card, provenance = inner.card, inner.provenance

            def __call__(self, positions, box=None) -> EnergyForces:
                raise SimulationError("no solution")

        return Bound()


def test_no_energy_at_the_pose_is_a_sentence(bent: Structure) -> None:
    with pytest.raises(SimulationError, match="has no energy at this pose"):
        strained(Nowhere(), bent, conformers(bent, 2), GAS)


def test_a_kept_part_is_found_again_by_its_key_only(bent: Structure, tmp_path: Path) -> None:
    found, path = strained(MM(), bent, conformers(bent, 2), StrainProtocol(medium="gas", conformers=2)), tmp_path / "part.npz"
    found.save(path, "key")
    again = Strained.load(path, "key")
    assert again is not None
    assert (again.to_global, again.notes, again.provenance) == (found.to_global, found.notes, found.provenance)
    np.testing.assert_array_equal(again.places, found.places)
    assert Strained.load(path, "other") is None
    path.write_bytes(path.read_bytes()[:-200])
    assert Strained.load(path, "key") is None
    assert Strained.load(tmp_path / "none.npz", "key") is None


# The recipe


@pytest.fixture(scope="module")
def answer() -> Result:
    return Strain(system=SMALL, potentials=("mm", "gfn2-xtb"), protocol=StrainProtocol(medium="gas", conformers=4)).run()


def test_the_recipe_survives_its_file(tmp_path: Path) -> None:
    recipe = Strain(system=SMALL, ligand=Ligand(), potentials=("mm",), protocol=StrainProtocol(tolerance=0.05))
    (tmp_path / "recipe.json").write_text(recipe.to_json())
    assert load_recipe(tmp_path / "recipe.json") == recipe
    assert json.loads(recipe.to_json())["version"] == 1


def test_values_arrays_and_provenance(answer: Result) -> None:
    assert answer.ok, answer.failure
    n, t, c = 19, 4, int(answer.values["conformers"]) + 1
    for name in ("mm", "gfn2-xtb"):
        assert {f"{name}_{key}_kcal_mol" for key in ("strain", "strain_boltzmann", "strain_local", "restraint")} <= set(answer.values)
        assert answer.arrays[f"{name}_pose_nm"].shape == answer.arrays[f"{name}_relaxed_nm"].shape == answer.arrays[f"{name}_minimum_nm"].shape == (n, 3)
        assert answer.arrays[f"{name}_torsions_kcal_mol"].shape == answer.arrays[f"{name}_torsions_degrees"].shape == (t,)
        assert answer.arrays[f"{name}_minima_kcal_mol"][0] == 0.0
    assert answer.arrays["torsion_names"].shape == answer.arrays["pose_torsions_degrees"].shape == (t,)
    assert answer.arrays["conformers_kcal_mol"].shape == (c, 2)
    assert np.nanmin(answer.arrays["conformers_kcal_mol"], axis=0) == pytest.approx(0.0)
    both = [answer.values[f"{name}_strain_kcal_mol"] for name in ("mm", "gfn2-xtb")]
    assert answer.values["strain_kcal_mol"] == pytest.approx(np.mean(both))
    assert answer.values["strain_spread_kcal_mol"] == pytest.approx(np.std(both, ddof=1))
    assert "tblite" in " ".join(answer.provenance)
    assert any("computed from the drawing" in note for note in answer.notes)
    json.loads(answer.to_json())


def test_killed_and_resumed_gives_the_same_numbers(answer: Result, tmp_path: Path) -> None:
    recipe = Strain(system=SMALL, potentials=("mm", "gfn2-xtb"), protocol=StrainProtocol(medium="gas", conformers=4))
    told: list[str] = []
    partial = recipe.run(folder=tmp_path, progress=lambda _part, text: told.append(text), on_frame=lambda _frame: not (told and "GFN2" in told[-1]))
    assert partial.ok
    assert "gfn2-xtb_strain_kcal_mol" not in partial.values
    assert any("Stopped after 1 of 2" in note for note in partial.notes)
    assert sorted(path.name for path in tmp_path.glob("strain-*")) == ["strain-mm.npz"]
    told.clear()
    whole = recipe.run(folder=tmp_path, progress=lambda _part, text: told.append(text))
    assert not any("MM" in text for text in told)
    assert whole.values == pytest.approx(answer.values, abs=1e-3)
    told.clear()
    again = recipe.run(folder=tmp_path, progress=lambda _part, text: told.append(text))
    assert again.values == whole.values
    assert told[-1] == "Making 4 shapes"


def test_stopped_before_anything_is_a_failure(tmp_path: Path) -> None:
    stopped = Strain(system=SMALL, potentials=("mm",)).run(folder=tmp_path, on_frame=lambda _frame: False)
    assert stopped.failure.kind == "StoppedError"


def test_a_potential_that_refuses_does_not_stop_the_others() -> None:
    found = Strain(system=System(source=FromSmiles(smiles="CCBr")), potentials=("mm", "so3lr", "nonsense"), protocol=GAS).run()
    assert found.ok
    assert "mm_strain_kcal_mol" in found.values
    assert any("No strain by so3lr: SO3LR does not know Br" in note for note in found.notes)
    assert any("No strain by nonsense: No potential is called" in note for note in found.notes)
    alone = Strain(system=System(source=FromSmiles(smiles="CCBr")), potentials=("so3lr",), protocol=GAS).run()
    assert alone.failure.kind == "UnsupportedError"


def test_salts_lose_their_counter_ion_and_pairs_are_refused() -> None:
    salt = Strain(system=System(source=FromSmiles(smiles="C[NH2+]CCO.[Cl-]")), potentials=("mm",), protocol=GAS)
    assert len(salt.pose()) == 15
    assert any("1 smaller fragment was left out" in note for note in salt.pose().notes)
    pair = Strain(system=System(source=FromSmiles(smiles="CCCO.CCCO")), potentials=("mm",), protocol=GAS).run()
    assert "got 2 molecules of 4, 4 heavy atoms" in pair.failure.message


def test_a_part_of_a_molecule_is_refused() -> None:
    found = Strain(system=SMALL, ligand=Atoms(indices=(0, 1, 2)), potentials=("mm",), protocol=GAS).run()
    assert "has to be a whole molecule" in found.failure.message


def test_a_macrocycle_and_a_zwitterion_are_handled() -> None:
    for smiles in ("O=C1CCCCCCCCCCCN1", "[NH3+]CCCC(=O)[O-]"):
        found = Strain(system=System(source=FromSmiles(smiles=smiles)), potentials=("mm",), protocol=StrainProtocol(conformers=6)).run()
        assert found.ok, found.failure
        assert found.values["strain_kcal_mol"] > -1e-6


def test_a_pose_out_of_its_protein_or_in_it_is_told() -> None:
    """Judged by places alone, on a stand-in for the protein."""
    complex_ = System(source=FromTarget(target="tyk2", ligand="ejm_31", complex=False)).prepare()
    wall = Structure.from_smiles("CC")
    wall = replace(wall, residues=(replace(wall.residues[0], name="ALA"),))
    recipe = Strain(system=System(source=FromTarget(target="tyk2", ligand="ejm_31", complex=False)), potentials=("mm",))
    for shift, words in ((5.0, "another frame"), (0.0, "overlaps the protein")):
        whole = complex_.join(wall.with_positions(wall.positions - wall.positions[0] + complex_.positions[0] + shift))
        assert any(words in note for note in recipe.pose(whole).notes)


def test_nonsense_coordinates_are_refused() -> None:
    whole = SMALL.prepare()
    crushed = Strain(system=SMALL, potentials=("mm",)).run(structure=whole.with_positions(0.3 * whole.positions))
    assert "which no molecule with these bonds bears" in crushed.failure.message


def test_a_ligand_in_its_pocket_is_found() -> None:
    posed = target("tyk2").ligand("ejm_31")
    assert "mm" in plugins.names("studio.potentials")
    water = relax(in_water(MM()).bind(posed), posed.positions[None], posed.bonds)
    assert water.converged.all()
