"""NNP/MM in delta form: what every hybrid system must pass (physics of the coupling; the network is SO3LR itself).

The systems are real: a TYK2 inhibitor in water (periodic) and formamide among waters (not periodic), double precision.
"""

from dataclasses import dataclass, replace

import numpy as np
import openmm
import pytest
from openmm import unit

from studio.errors import RegionError, UnsupportedError
from studio.forcefield import MMSystem, parametrise
from studio.forcefield.subset import subset
from studio.hybrid.coupling import LAMBDA, Model, couple, network_only
from studio.hybrid.view import View
from studio.hybrid.whole import MakeWhole
from studio.potentials.base import EnergyForces
from studio.potentials.so3lr import SO3LR
from studio.region import Atoms, Ligand
from studio.structure import Structure
from studio.system import EXAMPLES, FromSmiles, System
from tests.hybrid_systems import context, evaluate, shaken, water, worst_slope_error

NM = unit.nanometer


@dataclass(frozen=True)
class Case:
    """A parametrised system, its region, and the coupled model in double precision."""

    mm: MMSystem
    atoms: np.ndarray
    model: Model


def case(mm: MMSystem) -> Case:
    atoms = Ligand().select(mm.structure)
    return Case(mm, atoms, couple(mm, atoms, SO3LR(precision="float64").bind(mm.structure, atoms, "cpu")))


@pytest.fixture(scope="module")
def cluster() -> Case:
    """Formamide and three waters, no box."""
    return case(parametrise(Structure.from_smiles("NC=O").join(water(0.5, 0, 0), water(0, 0.45, 0.1), water(-0.2, 0.1, 0.5))))


@pytest.fixture(scope="module")
def box() -> Case:
    """A TYK2 inhibitor in a periodic box of water."""
    return case(EXAMPLES["tyk2-water"].system.parametrise())


@pytest.fixture(params=["cluster", "box"])
def either(request: pytest.FixtureRequest) -> Case:
    return request.getfixturevalue(request.param)


def alone(mm: MMSystem, atoms: np.ndarray, positions: np.ndarray) -> EnergyForces:
    """The MM energy of the region alone, the textbook way: its own system without cutoff."""
    part = replace(mm.structure.take(atoms), box=None)
    return evaluate(parametrise(part).system, positions[atoms])


def test_full_lambda_is_all_mm_minus_region_mm_plus_network(either: Case) -> None:
    mm, atoms, model = either.mm, either.atoms, either.model
    positions = shaken(mm.structure)
    network = SO3LR(precision="float64").bind(mm.structure, atoms, "cpu")(positions[atoms])
    expected = evaluate(mm.system, positions).energy - alone(mm, atoms, positions).energy + network.energy - model.correction.reference
    # in the box the textbook region keeps Lennard-Jones terms that the full system cuts off, which is worth some 0.1 kJ/mol
    assert evaluate(model.system, positions).energy == pytest.approx(expected, abs=0.01 if mm.structure.box is None else 0.3)


def test_lambda_zero_is_mm_to_the_bit_and_never_calls_the_network(either: Case) -> None:
    positions = shaken(either.mm.structure)
    calls = either.model.correction.calls
    plain, hybrid = evaluate(either.mm.system, positions), evaluate(either.model.system, positions, lam=0.0)
    assert hybrid.energy == plain.energy
    np.testing.assert_array_equal(hybrid.forces, plain.forces)
    assert either.model.correction.calls == calls


def test_energy_is_linear_in_lambda_with_the_bracket_as_slope(either: Case) -> None:
    positions = shaken(either.mm.structure)
    energies = [evaluate(either.model.system, positions, lam).energy for lam in (0.0, 0.25, 0.5, 0.75, 1.0)]
    slope = either.model.correction.terms.bracket
    np.testing.assert_allclose(np.diff(energies), slope / 4, atol=1e-6)


def test_forces_are_minus_the_gradient(either: Case) -> None:
    """Central differences, on region atoms and on neighbours, in the middle of lambda where both sides count."""
    place = context(either.model.system)
    place.setParameter(LAMBDA, 0.5)
    outside = np.setdiff1d(np.arange(len(either.mm.structure)), either.atoms)
    assert worst_slope_error(place, shaken(either.mm.structure), (either.atoms[0], either.atoms[-1], outside[0])) < 0.02


def test_a_region_across_the_box_edge_has_the_same_energy(box: Case) -> None:
    positions = shaken(box.mm.structure)
    expected = evaluate(box.model.system, positions)
    wrapped = positions.copy()
    wrapped[box.atoms] += box.mm.structure.box[0] - box.mm.structure.box[2]
    got = evaluate(box.model.system, wrapped)
    assert got.energy == pytest.approx(expected.energy, abs=0.01)
    np.testing.assert_allclose(got.forces, expected.forces, atol=0.1)


def test_net_force_and_torque_vanish_in_vacuum(cluster: Case) -> None:
    positions = shaken(cluster.mm.structure)
    forces = evaluate(cluster.model.system, positions).forces
    np.testing.assert_allclose(forces.sum(axis=0), 0.0, atol=1e-4)
    np.testing.assert_allclose(np.cross(positions, forces).sum(axis=0), 0.0, atol=1e-4)


def test_molecules_and_barostat_see_what_they_saw_before(box: Case) -> None:
    """OpenMM-ML strips the region's bonds, and the barostat then moves its atoms apart (openmm-ml#91)."""
    assert [tuple(m) for m in context(box.model.system).getMolecules()] == [tuple(m) for m in context(box.mm.system).getMolecules()]


def test_constraints_are_lifted_in_the_region_only(box: Case) -> None:
    hydrogens = int((box.mm.structure.numbers[box.atoms] == 1).sum())
    assert box.mm.system.getNumConstraints() - box.model.system.getNumConstraints() == hydrogens


def test_reading_the_energy_after_a_step_costs_no_network_call(cluster: Case) -> None:
    place = context(cluster.model.system)
    place.setPositions(cluster.mm.structure.positions)
    place.getState(forces=True)
    calls = cluster.model.correction.calls
    place.getState(energy=True)
    assert cluster.model.correction.calls == calls


def test_equals_openmm_ml_with_the_same_network(box: Case) -> None:
    """OpenMM-ML's mixed system with so3krates-torch's own calculator: an independent implementation of both halves."""
    import ase
    from openmmml import MLPotential

    from studio.forcefield.topology import to_topology
    from tests.reference import so3lr_calculator

    structure, atoms = box.mm.structure, box.atoms
    places = [shaken(structure, seed) for seed in (1, 2)]
    with so3lr_calculator("float64") as calculator:
        molecule = ase.Atoms(numbers=structure.numbers[atoms], calculator=calculator)  # a molecule, not a crystal
        molecule.info["charge"] = 0.0
        mixed = MLPotential("ase").createMixedSystem(to_topology(structure), box.mm.system, [int(i) for i in atoms], aseAtoms=molecule, mlLongRange=False)
        theirs = [evaluate(mixed, positions) for positions in places]
    ours = [evaluate(box.model.system, positions) for positions in places]
    difference = [a.energy - b.energy for a, b in zip(theirs, ours, strict=True)]
    assert difference[0] == pytest.approx(difference[1], abs=0.01), "the two must differ by the constant E_ref only"
    assert difference[0] == pytest.approx(box.model.correction.reference, abs=0.02)
    np.testing.assert_allclose(ours[0].forces, theirs[0].forces, atol=0.5)


def test_a_region_that_cuts_a_bond_is_refused_by_name(cluster: Case) -> None:
    with pytest.raises(RegionError, match=r"cuts an amide bond: between N1 of LIG .* and C2 of LIG"):
        couple(cluster.mm, np.array([0, 3, 4]), SO3LR().bind(Structure.from_smiles("N"), device="cpu"))


def test_a_region_of_everything_and_of_nothing_is_refused(cluster: Case) -> None:
    system = System(source=FromSmiles(smiles="O=C"))
    with pytest.raises(UnsupportedError, match="nothing is left for MM"):
        View(resolution="nnp/mm", region=Atoms(indices=(0, 1, 2, 3))).build(system)
    with pytest.raises(RegionError, match="selects no atom"):
        View(resolution="nnp/mm", region=Atoms(indices=())).build(system)


def test_a_charge_that_differs_between_drawing_and_force_field_is_refused(cluster: Case) -> None:
    charges = cluster.mm.structure.formal_charges.copy()
    charges[0] = 1
    wrong = replace(cluster.mm, structure=replace(cluster.mm.structure, formal_charges=charges))
    with pytest.raises(RegionError, match=r"\+0\.000 e in the force field and \+1 e as drawn"):
        couple(wrong, cluster.atoms, SO3LR().bind(cluster.mm.structure, cluster.atoms, "cpu"))


def test_network_alone_moves_the_region_only() -> None:
    structure = EXAMPLES["tyk2-water"].system.prepare()
    model = View(resolution="nnp").build(EXAMPLES["tyk2-water"].system, structure)
    assert len(model.structure) == len(Ligand().select(structure)) == 32
    assert any("left out" in note for note in model.structure.notes)
    assert model.system.getNumParticles() == 32


def test_hydrogen_mass_is_taken_from_the_neighbour() -> None:
    structure = Structure.from_smiles("C")
    model = network_only(structure, SO3LR().bind(structure, device="cpu"), hydrogen_mass=2.0)
    masses = [model.system.getParticleMass(i).value_in_unit(unit.dalton) for i in range(5)]
    assert masses[1:] == [2.0] * 4
    assert sum(masses) == pytest.approx(16.043, abs=0.001)


def test_making_whole_undoes_any_wrapping() -> None:
    structure = Structure.from_smiles("CCCCCC").join(Structure.from_smiles("O"))
    cell = np.array([[2.0, 0, 0], [0.5, 2.0, 0], [0.3, 0.4, 2.0]])
    rng = np.random.default_rng(0)
    wrapped = structure.positions + rng.integers(-2, 3, size=(len(structure), 3)) @ cell
    whole = MakeWhole(structure)(wrapped, cell)
    bonds = np.linalg.norm(np.diff(whole[structure.bonds], axis=1)[:, 0], axis=1)
    assert bonds.max() < 0.2
    np.testing.assert_allclose(whole[0], wrapped[0])


def test_subset_keeps_the_terms_inside_and_nothing_else(box: Case) -> None:
    part = subset(box.mm.system, box.atoms)
    part_alone = parametrise(replace(box.mm.structure.take(box.atoms), box=None)).system
    for force in part.getForces():
        if isinstance(force, openmm.NonbondedForce):
            force.setNonbondedMethod(openmm.NonbondedForce.NoCutoff)
    assert part.getNumParticles() == len(box.atoms)
    positions = shaken(box.mm.structure)[box.atoms]
    assert evaluate(part, positions).energy == pytest.approx(evaluate(part_alone, positions).energy, abs=1e-4)
