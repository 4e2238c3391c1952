"""Motion: what is done for long steps - inner force, masses, constraints - leaves the energy and the forces as they are."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import openmm
import pytest

from studio.forcefield import parametrise
from studio.hybrid.boundary import cap
from studio.hybrid.coupling import Motion, couple_fragments
from studio.hybrid.schedule import Schedule
from studio.structure import Structure
from tests.hybrid_systems import Cut, bind, context, covalent_inhibitor, evaluate, peptide_fragment, shaken, worst_slope_error
from tests.moving_systems import Moving, quick_refit


def masses(system: openmm.System) -> np.ndarray:
    return np.array([system.getParticleMass(i)._value for i in range(system.getNumParticles())])


@pytest.mark.parametrize("lam", [1.0, 0.5])
def test_an_inner_force_changes_neither_energy_nor_forces(exact_ethanol: Moving, lam: float) -> None:
    """It is added here and taken away there: anything else would sample another ensemble than the one that was asked for."""
    bare, moved = exact_ethanol.model(), exact_ethanol.model(exact_ethanol.motion)
    for seed in (0, 1):
        positions = shaken(exact_ethanol.mm.structure, seed, 0.008)
        expected, got = (evaluate(model.system, positions, lam) for model in (bare, moved))
        assert abs(moved.correction.terms.inner) > 1.0, "there was nothing to take away"
        assert got.energy == pytest.approx(expected.energy, abs=1e-7)
        np.testing.assert_allclose(got.forces, expected.forces, atol=1e-6)
    assert moved.correction.reference == pytest.approx(bare.correction.reference, abs=1e-9)
    assert moved.correction.terms.bracket == pytest.approx(bare.correction.terms.bracket, abs=1e-7), "dU/dlambda holds no inner force"


def test_lambda_zero_is_mm_to_the_bit_and_never_calls_the_network(exact_ethanol: Moving) -> None:
    positions = shaken(exact_ethanol.mm.structure)
    moved = exact_ethanol.model(exact_ethanol.motion)
    calls = moved.correction.calls
    plain, hybrid = evaluate(exact_ethanol.mm.system, positions), evaluate(moved.system, positions, lam=0.0)
    assert hybrid.energy == plain.energy
    np.testing.assert_array_equal(hybrid.forces, plain.forces)
    assert moved.correction.calls == calls


def test_the_inner_force_leaves_little_outside(exact_ethanol: Moving) -> None:
    """At thermal geometries of the region: the outer force is what an impulse carries, n times as strong."""
    mm, part = exact_ethanol.mm, exact_ethanol.part
    sizes = []
    for model in (exact_ethanol.model(), exact_ethanol.model(exact_ethanol.motion)):
        outer = [model.correction.fragments[0].evaluate(shaken(mm.structure, seed)[part.seen], None, apart=False).internal for seed in range(10)]
        sizes.append(np.sqrt(np.mean(np.square(outer))))
    assert sizes[1] < 0.4 * sizes[0]


def test_heavier_hydrogens_leave_the_total_mass(exact_ethanol: Moving) -> None:
    mm, part = exact_ethanol.mm, exact_ethanol.part
    before, after = masses(mm.system), masses(exact_ethanol.model(exact_ethanol.motion).system)
    assert after.sum() == pytest.approx(before.sum(), abs=1e-9)
    hydrogens = part.atoms[mm.structure.numbers[part.atoms] == 1]
    assert after[hydrogens].tolist() == [3.0] * 6
    assert (after[part.atoms] >= 3.0).all(), "no heavy atom of the region may become lighter than its hydrogens"
    around = np.setdiff1d(np.arange(len(before)), part.atoms)
    np.testing.assert_array_equal(after[around], before[around])


def test_held_hydrogens_keep_the_lengths_of_the_network(exact_ethanol: Moving) -> None:
    """Constraints at the force field's lengths would strain every bond under the network."""
    structure, part = exact_ethanol.mm.structure, exact_ethanol.part
    free = exact_ethanol.model(exact_ethanol.motion)
    held = exact_ethanol.model(Motion((exact_ethanol.refit,), 3.0, hold_hydrogens=True))
    assert held.provenance["ml_hydrogen_bonds"].startswith("6 held")
    assert free.provenance["ml_hydrogen_bonds"] == "all free"
    inside = set(part.atoms.tolist())

    def within(system: openmm.System) -> dict[frozenset[int], float]:
        found = (system.getConstraintParameters(k) for k in range(system.getNumConstraints()))
        return {frozenset((i, j)): length._value for i, j, length in found if i in inside and j in inside}

    assert within(free.system) == {}
    lengths = within(held.system)
    assert lengths.keys() == {frozenset(pair) for pair in structure.bonds.tolist() if 1 in structure.numbers[pair] and inside.issuperset(pair)}
    relaxed = minimum_by_the_network(exact_ethanol)
    for pair, length in lengths.items():
        i, j = pair
        assert length == pytest.approx(np.linalg.norm(relaxed[i] - relaxed[j]), abs=0.002)


def minimum_by_the_network(moving: Moving) -> np.ndarray:
    place = context(moving.model().system)
    place.setPositions(moving.mm.structure.positions)
    openmm.LocalEnergyMinimizer.minimize(place, 10.0, 100)
    return np.asarray(place.getState(positions=True).getPositions(asNumpy=True)._value)


def test_holding_hydrogens_without_a_refit_is_refused() -> None:
    """There is no mean length without one."""
    with pytest.raises(ValueError, match="refit"):
        Schedule(refit=False, hydrogens="held")


@pytest.mark.parametrize("make", [peptide_fragment, lambda _folder: covalent_inhibitor()], ids=["peptide", "covalent inhibitor"])
def test_a_region_with_links_has_an_inner_force(make: Callable[[Path], Cut], tmp_path: Path) -> None:
    """D joins region and MM hosts, and its forces on the hosts have to be taken out again, too."""
    cut = make(tmp_path)
    part = cap(cut.mm.structure, cut.atoms)
    assert len(part.hosts) >= 1
    network = bind(part)
    made = quick_refit(cut.mm, part, network)
    bare, moved = (couple_fragments(cut.mm, [(part, network)], motion=motion) for motion in (None, Motion((made,), 3.0)))
    positions = shaken(cut.mm.structure)
    expected, got = evaluate(bare.system, positions), evaluate(moved.system, positions)
    assert got.energy == pytest.approx(expected.energy, abs=1e-7)
    np.testing.assert_allclose(got.forces, expected.forces, atol=1e-6)
    assert worst_slope_error(context(moved.system), positions, part.hosts[:1]) < 0.02
    assert np.abs(moved.correction.fragments[0]._inner(positions[part.seen]).forces[len(part.atoms) :]).max() > 1.0
    assert masses(moved.system).sum() == pytest.approx(masses(cut.mm.system).sum(), abs=1e-9)


def test_two_regions_have_their_own_inner_forces() -> None:
    methanol, ethane = Structure.from_smiles("CO"), Structure.from_smiles("CC")
    mm = parametrise(methanol.join(ethane.with_positions(ethane.positions + np.array([0.6, 0.1, 0.0]))))
    parts = [cap(mm.structure, np.arange(6)), cap(mm.structure, np.arange(6, 14))]
    described = [(part, bind(part)) for part in parts]
    refits = tuple(quick_refit(mm, part, network) for part, network in described)
    assert [len(made.terms[0].atoms) for made in refits] == [5, 7]
    bare, moved = (couple_fragments(mm, described, motion=motion) for motion in (None, Motion(refits, 3.0)))
    positions = shaken(mm.structure)
    for lam in (1.0, 0.5):
        expected, got = evaluate(bare.system, positions, lam), evaluate(moved.system, positions, lam)
        assert got.energy == pytest.approx(expected.energy, abs=1e-7)
        np.testing.assert_allclose(got.forces, expected.forces, atol=1e-6)
    assert moved.provenance["refit_bracket_rms_kj_mol_nm"].count("->") == 2
