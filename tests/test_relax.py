"""Relaxing many copies together: the same minima as ASE finds one by one, in fewer calls, held where they are to be held."""

import numpy as np
import pytest

from studio.errors import SimulationError
from studio.internal import angle_slopes, bond_slopes, internals, stiffness, torsion_angles, torsion_slopes
from studio.potentials.base import Batch, EnergyForces
from studio.potentials.mm import MM
from studio.potentials.so3lr import SO3LR
from studio.potentials.xtb import GFN2xTB
from studio.relax import Hold, Twist, relax
from studio.structure import Structure
from studio.units import KJ_PER_EV, NM_PER_ANGSTROM

FLEXIBLE = "OCCCC(=O)NC"


@pytest.fixture(scope="module")
def molecule() -> Structure:
    return Structure.from_smiles(FLEXIBLE)


@pytest.fixture(scope="module")
def copies(molecule: Structure) -> np.ndarray:
    """Shapes from other seeds, shaken."""
    shapes = np.array([Structure.from_smiles(FLEXIBLE, seed=seed).positions for seed in range(6)])
    return shapes + 0.01 * np.random.default_rng(0).normal(size=shapes.shape)


def ase_minimum(bound, structure: Structure, positions: np.ndarray, fmax: float) -> tuple[float, int]:
    """ASE's BFGS on our bound potential: energy in kJ/mol, and how often it asked for forces."""
    from ase import Atoms
    from ase.calculators.calculator import Calculator, all_changes
    from ase.optimize import BFGS

    class Ours(Calculator):
        implemented_properties = ("energy", "forces")
        calls = 0

        def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
            super().calculate(atoms, properties, system_changes)
            energy, forces = bound(atoms.positions * NM_PER_ANGSTROM)
            self.calls += 1
            self.results = {"energy": energy / KJ_PER_EV, "forces": forces * NM_PER_ANGSTROM / KJ_PER_EV}

    atoms = Atoms(numbers=structure.numbers, positions=positions / NM_PER_ANGSTROM, calculator=Ours())
    BFGS(atoms, logfile=None).run(fmax=fmax, steps=1000)
    return atoms.get_potential_energy() * KJ_PER_EV, atoms.calc.calls


@pytest.mark.parametrize(("potential", "count"), [(MM(), 6), (SO3LR(), 3)], ids=["mm", "so3lr"])
def test_minima_are_those_of_ase_or_lower_in_fewer_calls(potential, count, molecule, copies) -> None:
    bound, copies = potential.bind(molecule, device="cpu"), copies[:count]
    ours = relax(bound, copies, molecule.bonds, tolerance=10.0)
    assert ours.converged.all()
    theirs, calls = zip(*(ase_minimum(bound, molecule, place, 10.0 * NM_PER_ANGSTROM / KJ_PER_EV) for place in copies), strict=True)
    assert np.median(ours.energies - np.array(theirs)) < 0.2
    assert (ours.energies - np.array(theirs) < 0.4).mean() > 0.6  # two walks downhill may end in different valleys
    assert ours.evaluations < 0.9 * sum(calls)  # for drug-like ligands a third of them


def test_xtb_relaxes_too(molecule, copies) -> None:
    bound = GFN2xTB().bind(molecule)
    ours = relax(bound, copies[:1], molecule.bonds, tolerance=20.0)
    assert ours.converged.all()
    assert ours.energies[0] < bound(copies[0]).energy


def test_a_minimum_does_not_depend_on_company(molecule, copies) -> None:
    bound = MM().bind(molecule)
    together, alone = relax(bound, copies, molecule.bonds), [relax(bound, copy[None], molecule.bonds) for copy in copies]
    np.testing.assert_allclose(together.energies, [one.energies[0] for one in alone], atol=1e-9)
    assert together.iterations == max(one.iterations for one in alone)
    assert together.evaluations == sum(one.evaluations for one in alone)


def test_the_potential_never_rises_and_forces_vanish(molecule, copies) -> None:
    bound = MM().bind(molecule)
    found = relax(bound, copies, molecule.bonds, tolerance=1.0)
    assert found.converged.all()
    assert (found.energies < [bound(copy).energy for copy in copies]).all()
    assert max(np.linalg.norm(bound(place).forces, axis=1).max() for place in found.positions) <= 1.0


def test_held_atoms_stay_within_the_tolerance_and_what_is_left_is_told(molecule, copies) -> None:
    bound, heavy = MM().bind(molecule), np.flatnonzero(molecule.numbers > 1)
    energies = []
    for tolerance in (0.005, 0.02, 0.05):
        hold = Hold(heavy, copies[0][heavy], tolerance)
        found = relax(bound, copies[:1], molecule.bonds, restraints=[hold])
        assert found.converged.all()
        away = np.linalg.norm(found.positions[0][heavy] - copies[0][heavy], axis=1)
        assert away.max() < tolerance + 0.02
        beyond = np.maximum(away - tolerance, 0.0)
        assert found.restraints[0] == pytest.approx(0.5 * hold.constant * (beyond**2).sum())
        assert found.energies[0] == pytest.approx(bound(found.positions[0]).energy)
        energies.append(found.energies[0])
    assert energies == sorted(energies, reverse=True)


def test_restraints_have_the_forces_of_their_energies(molecule, copies) -> None:
    heavy = np.flatnonzero(molecule.numbers > 1)
    chain = internals(molecule.bonds).torsions[:3]
    for restraint in (Hold(heavy, copies[0][heavy] + 0.02, 0.01), Twist(chain, np.array([0.3, -2.0, 3.0]))):
        places, which = copies[:3], np.arange(3)
        _, forces, _ = restraint(places, which)
        for copy, atom, axis in ((0, chain[0, 0], 0), (1, chain[1, 1], 2), (2, chain[2, 3], 1)):
            shift = np.zeros_like(places)
            shift[copy, atom, axis] = 1e-6
            slope = (restraint(places + shift, which).energies - restraint(places - shift, which).energies)[copy] / 2e-6
            assert forces[copy, atom, axis] == pytest.approx(-slope, abs=1e-3)


def test_each_copy_has_its_own_torsion(molecule, copies) -> None:
    bound = MM().bind(molecule)
    carbon = np.array([0, 1, 2, 3])  # O-C-C-C
    angles = np.radians([-120.0, -60.0, 0.0, 60.0, 120.0, 180.0])
    found = relax(bound, copies, molecule.bonds, restraints=[Twist(np.tile(carbon, (6, 1)), angles)], iterations=1000)
    reached = torsion_angles(found.positions[:, carbon])
    assert np.abs(np.angle(np.exp(1j * (reached - angles)))).max() < np.radians(2.0)


def test_internal_coordinates_and_their_slopes(molecule) -> None:
    from rdkit.Chem import rdMolTransforms

    parts, conformer = internals(molecule.bonds), molecule.to_rdkit().GetConformer()
    angles = np.degrees(torsion_angles(molecule.positions[parts.torsions]))
    np.testing.assert_allclose(angles, [rdMolTransforms.GetDihedralDeg(conformer, *map(int, atoms)) for atoms in parts.torsions], atol=1e-6)

    def bend(place):
        one, two = place[0] - place[1], place[2] - place[1]
        return np.arccos(one @ two / np.linalg.norm(one) / np.linalg.norm(two))

    for indices, value, slopes, loss in (
        (parts.bonds[0], lambda place: np.linalg.norm(place[0] - place[1]), bond_slopes, 1e-6),
        (parts.angles[0], bend, angle_slopes, 2e-2),  # they fade towards straight angles
        (parts.torsions[0], torsion_angles, torsion_slopes, 1e-5),
    ):
        place = np.array(molecule.positions[indices])
        analytic = slopes(place)
        for index in np.ndindex(*place.shape):
            shift = np.zeros_like(place)
            shift[index] = 1e-6
            assert analytic[index] == pytest.approx((value(place + shift) - value(place - shift)) / 2e-6, rel=loss, abs=1e-4)


def test_the_guessed_stiffness_is_positive_even_where_atoms_are_in_line() -> None:
    for smiles in ("CC#CC", "C=C=C", "[H][H]", "O"):
        molecule = Structure.from_smiles(smiles)
        assert np.linalg.eigvalsh(stiffness(molecule.positions[None], internals(molecule.bonds))[0]).min() > 100.0


class Failing:
    """MM that has no solution where two atoms are too far apart."""

    def __init__(self, bound, limit: float) -> None:
        self._bound, self._limit = bound, limit
        self.card, self.provenance = bound.card, bound.provenance

    def __call__(self, positions, box=None) -> EnergyForces:
        if np.ptp(positions, axis=0).max() > self._limit:
            raise SimulationError("too long")
        return self._bound(positions)

    def batch(self, positions) -> Batch:
        answers = [self(place) for place in positions]
        return Batch(np.array([answer.energy for answer in answers]), np.array([answer.forces for answer in answers]))


def test_a_copy_without_an_energy_does_not_stop_the_others(molecule, copies) -> None:
    torn = np.concatenate([copies[:2], copies[:1] * 3.0])
    found = relax(Failing(MM().bind(molecule), 1.2), torn, molecule.bonds)
    assert found.converged.tolist() == [True, True, False]
    assert np.isnan(found.energies[2])


def test_nothing_to_do_is_done(molecule) -> None:
    found = relax(MM().bind(molecule), np.zeros((0, len(molecule), 3)), molecule.bonds)
    assert found.energies.shape == (0,)


def test_whoever_watches_may_end_it(molecule, copies) -> None:
    class Enough(Exception):
        pass

    def stop(iteration: int, moving: int) -> None:
        assert moving <= len(copies)
        if iteration == 3:
            raise Enough

    with pytest.raises(Enough):
        relax(MM().bind(molecule), copies, molecule.bonds, on_step=stop)
