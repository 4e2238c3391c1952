"""Observables: the same numbers as mdtraj, through periodic images, and back from JSON."""

from dataclasses import replace
from time import perf_counter

import mdtraj
import numpy as np
import pytest
from pydantic import TypeAdapter

from studio.errors import RegionError
from studio.observables import RMSD, Angle, Dihedral, Distance, Observable, RadiusOfGyration, from_picks
from studio.structure import Structure
from studio.system import example


@pytest.fixture(scope="module")
def dipeptide() -> Structure:
    return example("alanine-dipeptide-water").system.prepare()


def trajectory(structure: Structure, positions: np.ndarray, boxed: bool = True) -> mdtraj.Trajectory:
    topology = mdtraj.Topology()
    residue = topology.add_residue("MOL", topology.add_chain())
    for name, number in zip(structure.names, structure.numbers, strict=True):
        topology.add_atom(name, mdtraj.element.Element.getByAtomicNumber(int(number)), residue)
    made = mdtraj.Trajectory(np.atleast_3d(positions).reshape(-1, len(structure), 3), topology)
    if boxed and structure.box is not None:
        made.unitcell_vectors = np.tile(structure.box, (len(made), 1, 1)).astype(np.float32)
    return made


def shaken(structure: Structure, seed: int = 0, nm: float = 0.03) -> np.ndarray:
    return structure.positions + nm * np.random.default_rng(seed).normal(size=structure.positions.shape)


@pytest.mark.parametrize("seed", range(5))
def test_distances_and_angles_agree_with_mdtraj_in_a_box(dipeptide: Structure, seed: int) -> None:
    """Atoms far apart in the box, each in a random image."""
    rng = np.random.default_rng(seed)
    assert dipeptide.box is not None
    picks = rng.choice(len(dipeptide), size=4, replace=False).tolist()
    positions = shaken(dipeptide, seed) + rng.integers(-2, 3, size=(len(dipeptide), 3)) @ dipeptide.box
    reference = trajectory(dipeptide, positions)
    distance, angle, torsion = (from_picks(dipeptide, picks[:count]) for count in (2, 3, 4))
    assert distance(positions, dipeptide.box) == pytest.approx(10 * mdtraj.compute_distances(reference, [picks[:2]], opt=False)[0, 0], abs=1e-4)
    assert angle(positions, dipeptide.box) == pytest.approx(np.degrees(mdtraj.compute_angles(reference, [picks[:3]], opt=False)[0, 0]), abs=0.01)
    assert torsion(positions, dipeptide.box) == pytest.approx(np.degrees(mdtraj.compute_dihedrals(reference, [picks], opt=False)[0, 0]), abs=0.01)


def test_torsions_of_a_known_geometry() -> None:
    """A right-handed turn by 90 degrees is +90; cis is 0; trans is 180."""
    chain = [[1.0, 0, 0], [0, 0, 0], [0, 0, 1.0]]
    torsion = Dihedral(atoms=(0, 1, 2, 3), names=("A", "B", "C", "D"))
    for degrees in (0.0, 37.0, 90.0, -120.0, 180.0):
        turn = np.radians(degrees)
        end = [np.cos(turn), np.sin(turn), 1.0]
        assert abs(torsion(np.array([*chain, end]))) == pytest.approx(abs(degrees), abs=1e-9)
    assert torsion(np.array([*chain, [0.0, 1.0, 1.0]])) == pytest.approx(90.0)
    assert Angle(atoms=(0, 1, 2), names=("A", "B", "C"))(np.array([[1.0, 0, 0], [0, 0, 0], [-1.0, 0, 0]])) == pytest.approx(180.0)


def test_rmsd_is_superposed_and_agrees_with_mdtraj(dipeptide: Structure) -> None:
    atoms = np.arange(22)
    rmsd = RMSD.of(dipeptide, atoms, "RMSD of the peptide")
    positions = shaken(dipeptide)
    theirs = mdtraj.rmsd(trajectory(dipeptide, positions, boxed=False), trajectory(dipeptide, dipeptide.positions, boxed=False), atom_indices=atoms)[0]
    assert rmsd(positions) == pytest.approx(10 * theirs, abs=1e-3)
    turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    assert rmsd(dipeptide.positions @ turn + 3.0) == pytest.approx(0.0, abs=1e-5)
    assert rmsd(dipeptide.positions * np.array([-1.0, 1.0, 1.0])) > 0.5, "a mirror image is not the molecule"


def test_radius_of_gyration_is_that_of_the_masses(aspirin: Structure) -> None:
    """The library mdtraj weighs with masses but measures from the centre of the points, so it is compared at equal masses."""
    every = np.arange(len(aspirin))
    size = RadiusOfGyration.of(aspirin, every)
    even = RadiusOfGyration(atoms=tuple(range(len(aspirin))), masses=(1.0,) * len(aspirin))
    assert even(aspirin.positions) == pytest.approx(10 * mdtraj.compute_rg(trajectory(aspirin, aspirin.positions))[0], abs=1e-3)
    weights = np.array(size.masses) / sum(size.masses)
    centre = weights @ aspirin.positions
    assert size(aspirin.positions + 50.0) == pytest.approx(10 * np.sqrt(weights @ ((aspirin.positions - centre) ** 2).sum(axis=1)), abs=1e-9)
    assert RadiusOfGyration.of(aspirin, every[::2])(aspirin.positions) > 0.0


def test_labels_say_what_is_measured(dipeptide: Structure, aspirin: Structure) -> None:
    near, far = from_picks(aspirin, [0, 1]), from_picks(dipeptide, [0, len(dipeptide) - 3])
    assert (near.label, near.unit) == ("C1-C2 distance", "Å")
    assert far.label == "ACE1:H1-HOH309:O distance" or ":" in far.label
    assert (from_picks(aspirin, [0, 1, 2]).label, from_picks(aspirin, [0, 1, 2, 3]).unit) == ("C1-C2-O3 angle", "°")


@pytest.mark.parametrize(
    ("picks", "says"), [([0], "Pick two"), ([0, 0], "Pick two"), (range(5), "Pick two"), ([0, 99], "does not exist"), ([-1, 2], "does not exist")]
)
def test_picks_that_measure_nothing_are_refused(aspirin: Structure, picks: list[int], says: str) -> None:
    with pytest.raises(RegionError, match=says):
        from_picks(aspirin, list(picks))


def test_an_observable_of_another_molecule_is_refused(dipeptide: Structure, aspirin: Structure) -> None:
    with pytest.raises(RegionError, match="needs atom 900"):
        from_picks(dipeptide, [0, 899]).check(aspirin)


def test_observables_survive_json(aspirin: Structure) -> None:
    adapter: TypeAdapter[Observable] = TypeAdapter(Observable)
    every = [from_picks(aspirin, range(count)) for count in (2, 3, 4)]
    every += [RMSD.of(aspirin, np.arange(9)), RadiusOfGyration.of(aspirin, np.arange(9))]
    for one in every:
        before = one(aspirin.positions)
        again = adapter.validate_json(adapter.dump_json(one))
        assert again == one
        assert hash(again) == hash(one)
        assert again(aspirin.positions) == before


def test_single_precision_frames_are_taken(dipeptide: Structure) -> None:
    moved = replace(dipeptide, positions=dipeptide.positions)
    for one in (from_picks(moved, [0, 9]), RMSD.of(moved, np.arange(22))):
        box = moved.box.astype(np.float32) if moved.box is not None else None
        assert one(moved.positions.astype(np.float32), box) == pytest.approx(one(moved.positions, moved.box), abs=1e-4)


def test_no_observable_costs_more_than_a_frame_can_bear() -> None:
    """A thousandth of a second is a hundred times what was meant; slower than that, something is done atom by atom in Python."""
    positions = np.random.default_rng(0).normal(size=(5000, 3))
    box = 9.0 * np.eye(3)
    one = RMSD(atoms=tuple(range(5000)), reference=tuple(map(tuple, positions.tolist())))
    for measured in (one, Distance(atoms=(0, 1), names=("A", "B")), Dihedral(atoms=(0, 1, 2, 3), names=("A", "B", "C", "D"))):
        measured(positions, box)
        best = min(_seconds(measured, positions, box) for _ in range(50))
        assert best < 0.01


def _seconds(measured: Observable, positions: np.ndarray, box: np.ndarray) -> float:
    start = perf_counter()
    measured(positions, box)
    return perf_counter() - start
