"""Copies side by side: each moves as if it were alone."""

import numpy as np
import openmm
import pytest
from scipy.sparse import csr_array
from scipy.sparse.csgraph import shortest_path

from studio.coarse.copies import Copies, can_be_copied, copies_of, reach_of
from studio.coarse.held import Held, Sampling, built
from studio.coarse.labels import Labels
from studio.coarse.mapping import Mapping, map_protein
from studio.errors import SimulationError
from studio.hybrid.view import View
from studio.structure import Structure
from studio.system import FromExample, Implicit, System, Vacuum, WaterBox

DIPEPTIDE = System(source=FromExample(name="alanine-dipeptide"), surroundings=Implicit())
MM = View(resolution="mm")
SAMPLING = Sampling(average_ps=2.0)


@pytest.fixture(scope="module")
def peptide() -> Structure:
    return DIPEPTIDE.prepare()


@pytest.fixture(scope="module")
def beads(peptide: Structure) -> Mapping:
    return map_protein(peptide, "backbone")


def nothing() -> None:
    """Nobody asks to stop."""


def forces_of(system: openmm.System, positions: np.ndarray) -> np.ndarray:
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(positions)
    return np.asarray(context.getState(forces=True).getForces(asNumpy=True)._value)


def shaken(peptide: Structure, count: int) -> np.ndarray:
    return np.asarray(peptide.positions)[None] + np.random.default_rng(3).normal(scale=0.004, size=(count, len(peptide), 3))


@pytest.mark.parametrize("around", [Implicit(), Vacuum()])
def test_copies_do_not_feel_each_other(peptide: Structure, beads: Mapping, around: Implicit | Vacuum) -> None:
    one = built(DIPEPTIDE.model_copy(update={"surroundings": around}), MM, peptide, beads, SAMPLING)
    places, copies = shaken(peptide, 5), Copies.of(peptide, 5)
    together = forces_of(copies.side_by_side(one), copies.apart(places)).reshape(5, -1, 3)
    for own, alone in zip(together, places, strict=True):
        assert np.abs(own - forces_of(one, alone)).max() < 1e-4


def test_no_shape_reaches_beyond_the_cutoff(peptide: Structure) -> None:
    positions = np.asarray(peptide.positions)
    widest = np.linalg.norm(positions[:, None] - positions[None], axis=2).max()
    assert widest < reach_of(peptide) < 2.5 * widest


@pytest.mark.parametrize("smiles", ["II", "ICI", "ICC#CC#CI", "BrCCSSCCBr", "ClCS(=O)(=O)CI"])
def test_molecules_of_heavy_atoms_stay_within_reach(smiles: str) -> None:
    """Even stretched straight, as no angles allow it, and each bond longer by a twentieth: a shorter cutoff would cut pairs off."""
    molecule = Structure.from_smiles(smiles)
    ends = np.asarray(molecule.positions)[molecule.bonds]
    lengths = np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1)
    graph = csr_array((lengths, molecule.bonds.T), shape=(len(molecule), len(molecule)))
    assert 1.05 * shortest_path(graph, directed=False).max() < reach_of(molecule)


def test_what_has_water_a_box_or_a_network_is_not_copied(peptide: Structure, beads: Mapping) -> None:
    one = built(DIPEPTIDE, MM, peptide, beads, SAMPLING)
    assert can_be_copied(one, peptide)
    assert copies_of(one, peptide) >= 6
    wet = System(source=DIPEPTIDE.source, surroundings=WaterBox(padding_nm=0.6))
    atoms = wet.prepare()
    assert not can_be_copied(wet.parametrise(atoms).system, atoms)
    one.addForce(openmm.CustomExternalForce("x"))
    assert copies_of(one, peptide) == 1


def test_labels_of_copies_are_those_of_one_molecule(peptide: Structure, beads: Mapping) -> None:
    """Means agree within their errors, beads stay where they were put, and fewer configurations than copies are enough."""
    places = shaken(peptide, 3)
    found = []
    for copies in (1, 4):
        held = Held(built(DIPEPTIDE, MM, peptide, beads, SAMPLING), beads, beads.matrix, SAMPLING, copies=Copies.of(peptide, copies))
        groups = [places] if copies > 1 else [place[None] for place in places]
        found.append(Labels.of([label for group in groups for label in held.labels(group, 7, nothing)], 300.0))
    alone, together = found
    assert np.array_equal(alone.positions, together.positions)
    off = (alone.forces - together.forces) / np.sqrt(alone.errors**2 + together.errors**2)
    assert np.sqrt((off**2).mean()) < 1.6


def test_one_copy_that_leaves_physics_is_noticed(peptide: Structure, beads: Mapping) -> None:
    places = shaken(peptide, 2)
    places[1, 0] = np.nan
    held = Held(built(DIPEPTIDE, MM, peptide, beads, SAMPLING), beads, beads.matrix, SAMPLING, copies=Copies.of(peptide, 2))
    with pytest.raises(SimulationError):
        held.labels(places, 1, nothing)
    assert np.isfinite(held.labels(places[:1], 1, nothing)[0].forces).all(), "the others can still be measured"
