"""Mean-force labels: right where the answer is known, of beads that do not move, for any reference, and never lost."""

import io
import json
import multiprocessing
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic, sleep

import numpy as np
import openmm
import psutil
import pytest

from studio.coarse.chain import torsion_of
from studio.coarse.force_map import force_map, noise
from studio.coarse.held import Held, Sampling, built
from studio.coarse.labels import Label, Labels
from studio.coarse.mapping import Mapping, map_protein
from studio.coarse.mean_force import configurations, mean_forces, optimised_map
from studio.errors import StoppedError, StorageError, StructureError, UnsupportedError, WorkerError
from studio.hybrid.view import View
from studio.region import All
from studio.structure import Structure
from studio.system import FromExample, Implicit, System
from studio.units import BOLTZMANN

DIPEPTIDE = System(source=FromExample(name="alanine-dipeptide"), surroundings=Implicit())
MM = View(resolution="mm")
FEW = Sampling(configurations=6, spacing_ps=0.05, settle_ps=0.02, average_ps=0.04)
SLOW = FEW.model_copy(update={"average_ps": 0.2, "workers": 2})


def nothing() -> None:
    """Nobody stops it."""


@pytest.fixture(scope="module")
def peptide() -> Structure:
    return DIPEPTIDE.prepare()


@pytest.fixture(scope="module")
def backbone(peptide: Structure) -> Mapping:
    return map_protein(peptide, "backbone")


@pytest.fixture(scope="module")
def sampled(peptide: Structure, backbone: Mapping) -> tuple[np.ndarray, np.ndarray]:
    """Alanine dipeptide at 300 and 600 K: configurations, and forces at 300 K."""
    return configurations(DIPEPTIDE, MM, peptide, backbone, Sampling(configurations=120, temperatures=(300.0, 600.0), spacing_ps=0.1, drive=0.0))


# --- a toy whose mean force is known


STIFF, QUARTIC, SOFT = 4000.0, 4e6, 2500.0
"""The hidden particle hangs on the first bead by a spring with a quartic term, and on the second by a plain one (kJ/mol, nm)."""


@dataclass(frozen=True)
class Toy:
    """Two beads and a hidden particle between them."""

    structure: Structure
    system: openmm.System

    def build(self, system: System, structure: Structure | None = None) -> "Toy":
        return self

    def model_dump_json(self) -> str:
        return "toy"


def toy() -> tuple[Toy, Mapping]:
    atoms = Structure(
        numbers=np.array([6, 8, 6]), positions=np.array([[0.0, 0.0, 0.0], [0.06, 0.0, 0.0], [0.15, 0.0, 0.0]]), names=("A", "H", "B"),
        residues=(DIPEPTIDE.prepare().residues[0],), residue_index=np.zeros(3, dtype=np.int64), bonds=np.array([[0, 1], [1, 2]]),
        bond_orders=np.ones(2), formal_charges=np.zeros(3, dtype=np.int64),
    )  # fmt: skip
    system = openmm.System()
    for mass in (12.0, 16.0, 12.0):
        system.addParticle(mass)
    first = openmm.CustomBondForce(f"{STIFF / 2}*r^2 + {QUARTIC / 4}*r^4")
    first.addBond(0, 1)
    second = openmm.CustomBondForce(f"{SOFT / 2}*r^2")
    second.addBond(1, 2)
    system.addForce(first)
    system.addForce(second)
    beads = np.array([0, 2])
    mapping = Mapping(atoms.take(beads), beads, tuple(beads[:, None]), (np.ones(1), np.ones(1)), 3)
    return Toy(atoms, system), mapping


def exact_pull(distance: float, kelvin: float) -> float:
    """Mean force on the first bead towards the second, by quadrature over the hidden particle in cylindrical coordinates."""
    along, across = np.meshgrid(np.linspace(-0.15, 0.25, 801), np.linspace(0.0, 0.15, 401), indexing="ij")
    near, far = along**2 + across**2, (along - distance) ** 2 + across**2
    weight = across * np.exp(-(STIFF / 2 * near + QUARTIC / 4 * near**2 + SOFT / 2 * far) / (BOLTZMANN * kelvin))
    return float((weight * (STIFF + QUARTIC * near) * along).sum() / weight.sum())


@pytest.mark.parametrize("kind", ["slice", "noisy"])
def test_labels_are_the_slope_of_a_known_potential_of_mean_force(kind: str) -> None:
    reference, mapping = toy()
    bead_map = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    if kind == "noisy":  # any C with C M^T = 1 gives the same mean
        bead_map[:, 1] = (0.3, 0.7)
    sampling = Sampling(temperatures=(300.0,), average_ps=40.0, settle_ps=2.0, friction=5.0)
    held = Held(built(DIPEPTIDE, reference, reference.structure, mapping, sampling), mapping, bead_map, sampling)
    for distance in (0.05, 0.15):
        start = np.array([[0.0, 0.0, 0.0], [0.5 * distance, 0.01, 0.0], [distance, 0.0, 0.0]])
        (label,) = held.labels(start[None], 3, nothing)
        wanted = exact_pull(distance, 300.0)
        plain = SOFT * STIFF / (SOFT + STIFF) * distance
        assert abs(wanted - plain) > 10.0, "the quartic term is felt, so that the test tells a mean from a minimum"
        assert label.forces[0] == pytest.approx([wanted, 0.0, 0.0], abs=float(4.5 * label.errors[0].max()))
        assert label.errors.max() < 0.2 * wanted, "the error is small enough for the test to mean something"
        assert label.forces.sum(axis=0) == pytest.approx(np.zeros(3), abs=4.5 * float(label.errors.max())), "action and reaction"


def test_errors_are_those_of_repeated_labels_or_larger() -> None:
    """Forces swing to and fro, so that blocks differ by more than they are worth."""
    reference, mapping = toy()
    sampling = Sampling(temperatures=(300.0,), average_ps=2.0, settle_ps=0.5, friction=5.0)
    held = Held(built(DIPEPTIDE, reference, reference.structure, mapping, sampling), mapping, mapping.matrix, sampling)
    labels = Labels.of([held.labels(np.asarray(reference.structure.positions)[None], seed, nothing)[0] for seed in range(60)], 300.0)
    spread = labels.forces.std(axis=0).mean()
    assert 0.8 < np.sqrt((labels.errors**2).mean()) / spread < 1.7


# --- alanine dipeptide


def test_beads_do_not_move_and_the_rest_does(peptide: Structure, backbone: Mapping, sampled: tuple[np.ndarray, np.ndarray]) -> None:
    held = Held(built(DIPEPTIDE, MM, peptide, backbone, FEW), backbone, backbone.matrix, FEW)
    for atoms in sampled[0][:3]:
        (label,) = held.labels(atoms[None], 1, nothing)
        moved = np.linalg.norm(held.positions() - atoms, axis=1)
        assert moved[backbone.sites].max() == 0.0
        assert np.delete(moved, backbone.sites).min() > 0.0
        assert np.array_equal(label.positions, atoms[backbone.sites])


def test_the_held_system_has_free_bonds_and_its_thermostat_its_temperature(peptide: Structure, backbone: Mapping) -> None:
    moving = built(DIPEPTIDE, MM, peptide, backbone, FEW)
    assert moving.getNumConstraints() == 0
    bonds = next(force for force in moving.getForces() if isinstance(force, openmm.HarmonicBondForce))
    assert bonds.getNumBonds() == len(peptide.bonds), "bonds to hydrogen have their springs"
    masses = np.array([moving.getParticleMass(index)._value for index in range(len(peptide))])
    assert masses[peptide.numbers == 1] == pytest.approx(3.0)
    sampling = FEW.model_copy(update={"settle_ps": 1.0})
    held = Held(moving, backbone, backbone.matrix, sampling)
    hidden = np.setdiff1d(np.arange(len(peptide)), backbone.sites)
    heats = []
    for seed in range(12):
        held.labels(np.asarray(peptide.positions)[None], seed, nothing)
        velocities = np.asarray(held._context.getState(velocities=True).getVelocities(asNumpy=True)._value)
        heats.append((masses[hidden, None] * velocities[hidden] ** 2).sum() / (3 * len(hidden) * BOLTZMANN))
    assert np.mean(heats) == pytest.approx(300.0, rel=0.15)


def test_configurations_come_from_both_temperatures_in_mixed_order(peptide: Structure, sampled: tuple[np.ndarray, np.ndarray]) -> None:
    atoms, forces = sampled
    assert atoms.shape == (120, 22, 3)
    assert forces.shape == (240, 22, 3), "of the lowest temperature only"
    stretch = np.linalg.norm(atoms[:, peptide.bonds[:, 0]] - atoms[:, peptide.bonds[:, 1]], axis=2).std(axis=1)
    width = (np.linalg.norm(atoms[:, peptide.bonds[:, 0]] - atoms[:, peptide.bonds[:, 1]], axis=2) - np.linalg.norm(
        peptide.positions[peptide.bonds[:, 0]] - peptide.positions[peptide.bonds[:, 1]], axis=1
    )).std(axis=1)  # fmt: skip
    assert stretch.shape == (120,)
    assert np.median(width) > 0.0
    assert abs(np.median(width[:60]) / np.median(width[60:]) - 1.0) < 0.2, "both halves hold both temperatures"
    assert np.sort(width)[90] / np.sort(width)[30] > 1.2, "600 K are wider than 300 K"


def test_the_optimised_map_is_the_least_noisy_on_real_forces(peptide: Structure, backbone: Mapping, sampled: tuple[np.ndarray, np.ndarray]) -> None:
    forces = sampled[1]
    optimised = optimised_map(peptide, backbone, forces)
    bonded = peptide.bonds[(peptide.numbers[peptide.bonds] == 1).any(axis=1)]
    maps = [optimised, force_map(backbone, "aggregate", bonded), force_map(backbone, "slice")]
    for one in maps:
        assert one @ backbone.matrix.T == pytest.approx(np.eye(5), abs=1e-8)
    best, summed, sliced = (noise(one, forces).sum() for one in maps)
    assert best <= summed <= sliced
    assert best < 0.8 * sliced


def test_atoms_around_the_molecule_count_nothing(peptide: Structure, backbone: Mapping, sampled: tuple[np.ndarray, np.ndarray]) -> None:
    """There are more of them than samples: a map that used them would fit their noise."""
    other = Structure.from_smiles("O").with_positions(np.asarray(Structure.from_smiles("O").positions) + 3.0)
    both = peptide.join(other)
    forces = np.concatenate([sampled[1], np.random.default_rng(0).normal(0.0, 1000.0, (len(sampled[1]), 3, 3))], axis=1)
    wide = optimised_map(both, replace(backbone, atoms=len(both)), forces)
    assert np.array_equal(wide[:, 22:], np.zeros((5, 3)))
    assert wide[:, :22] == pytest.approx(optimised_map(peptide, backbone, sampled[1]))


def test_a_short_average_is_that_of_a_long_one(peptide: Structure, backbone: Mapping, sampled: tuple[np.ndarray, np.ndarray]) -> None:
    """Hot configurations too: what is hidden forgets where it came from while it settles."""
    bead_map = optimised_map(peptide, backbone, sampled[1])
    short, long = Sampling(), Sampling(settle_ps=0.8, average_ps=4.0)
    labels = []
    for sampling in (short, long):
        held = Held(built(DIPEPTIDE, MM, peptide, backbone, sampling), backbone, bead_map, sampling)
        labels.append(Labels.of([held.labels(atoms[None], 5, nothing)[0] for atoms in sampled[0][:5]], 300.0))
    off = labels[0].forces - labels[1].forces
    expected = np.sqrt((labels[0].errors ** 2 + labels[1].errors ** 2).mean())
    assert np.sqrt((off**2).mean()) < 1.4 * expected
    assert expected < 0.15 * np.sqrt((labels[1].forces ** 2).mean()), "a label is mostly signal"


# --- any reference


@pytest.mark.parametrize("view", [View(resolution="nnp", region=All())], ids=["nnp"])
def test_networks_give_mean_forces_too(view: View, peptide: Structure, backbone: Mapping, sampled: tuple[np.ndarray, np.ndarray]) -> None:
    vacuum = System(source=DIPEPTIDE.source)
    [(index, label)] = mean_forces(vacuum, view, peptide, backbone, FEW, atoms=sampled[0][:1], bead_map=backbone.matrix)
    assert index == 0
    assert np.isfinite(label.forces).all()
    [(_, mm)] = mean_forces(vacuum, MM, peptide, backbone, FEW, atoms=sampled[0][:1], bead_map=backbone.matrix)
    assert np.corrcoef(label.forces.ravel(), mm.forces.ravel())[0, 1] > 0.4, "the same molecule, another judge"


def test_what_cannot_be_held_is_refused(peptide: Structure, backbone: Mapping) -> None:
    with pytest.raises(UnsupportedError, match="Place beads by slice"):
        built(DIPEPTIDE, MM, peptide, map_protein(peptide, "backbone", "mass"), FEW)
    with pytest.raises(UnsupportedError, match="needs all of them"):
        built(DIPEPTIDE, MM, peptide, replace(backbone, atoms=30), FEW)
    bound = toy()
    bound[0].system.addConstraint(0, 1, 0.06)
    with pytest.raises(UnsupportedError, match="held at a fixed distance"):
        built(DIPEPTIDE, bound[0], bound[0].structure, bound[1], FEW)
    with pytest.raises(ValueError, match="at least 8 steps"):
        Sampling(average_ps=0.01)


# --- nothing is lost


def test_two_workers_give_what_one_gives(peptide: Structure, backbone: Mapping, sampled: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    crew = FEW.model_copy(update={"workers": 2})
    told: list[str] = []
    found = dict(mean_forces(DIPEPTIDE, MM, peptide, backbone, crew, atoms=sampled[0][:5], bead_map=backbone.matrix, tell=lambda _, text: told.append(text)))
    assert sorted(found) == [0, 1, 2, 3, 4]
    for index, label in found.items():
        assert np.array_equal(label.positions, sampled[0][index][backbone.sites])
    assert told[0] == "Mean force 0 of 5"
    assert not multiprocessing.active_children(), "workers are gone"


def test_labels_are_found_again_and_belong_to_their_configurations(
    peptide: Structure, backbone: Mapping, sampled: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    def labels(sampling: Sampling = FEW, atoms: np.ndarray = sampled[0][:4]) -> dict[int, Label]:
        told.clear()
        return dict(
            mean_forces(
                DIPEPTIDE, MM, peptide, backbone, sampling, atoms=atoms, bead_map=backbone.matrix, folder=tmp_path, tell=lambda _, text: told.append(text)
            )
        )

    told: list[str] = []
    first = labels()
    again = labels(FEW.model_copy(update={"workers": 2}))
    assert not told, "nothing was left to do"
    assert all(np.array_equal(first[index].forces, again[index].forces) for index in range(4))
    labels(atoms=sampled[0][4:8])
    assert told, "other configurations have other labels"


def test_stops_at_once_and_keeps_what_is_finished(peptide: Structure, backbone: Mapping, sampled: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    slow = FEW.model_copy(update={"average_ps": 0.4})
    asked: list[float] = []

    def tell(fraction: float, _sentence: str) -> None:
        asked.append(monotonic())
        if fraction >= 0.5:
            raise StoppedError("Stopped.")

    found: dict[int, Label] = {}
    with pytest.raises(StoppedError):
        found.update(mean_forces(DIPEPTIDE, MM, peptide, backbone, slow, atoms=sampled[0][:20], bead_map=backbone.matrix, tell=tell, folder=tmp_path))
    kept: list[int] = []
    again = mean_forces(DIPEPTIDE, MM, peptide, backbone, slow, atoms=sampled[0][:20], bead_map=backbone.matrix, tell=tell, folder=tmp_path)
    with pytest.raises(StoppedError):
        kept.extend(index for index, _ in again)
    assert kept == list(range(len(kept)))
    assert 10 <= len(kept) < 20
    assert len(asked) > 50, "it is asked often, whatever the machine is doing"


KILLED = """
import sys
from pathlib import Path
import numpy as np
from tests.test_mean_force import DIPEPTIDE, MM, SLOW, backbone_of
from studio.coarse.mean_force import mean_forces
if __name__ == "__main__":
    structure, mapping = backbone_of()
    atoms = np.load(sys.argv[1])
    for index, _ in mean_forces(DIPEPTIDE, MM, structure, mapping, SLOW, atoms=atoms, bead_map=mapping.matrix, folder=Path(sys.argv[2])):
        print(index, flush=True)
"""


def backbone_of() -> tuple[Structure, Mapping]:
    """For the program that is killed."""
    structure = DIPEPTIDE.prepare()
    return structure, map_protein(structure, "backbone")


def test_killed_labelling_goes_on_where_it_was(peptide: Structure, backbone: Mapping, sampled: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    np.save(tmp_path / "atoms.npy", sampled[0])
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path / "atoms.npy"), str(tmp_path)], stdout=subprocess.PIPE, text=True)
    until = monotonic() + 120.0
    while not (tmp_path / "mean-forces.npz").exists() and monotonic() < until:
        sleep(0.02)
    workers = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    said = [int(line) for line in process.communicate()[0].split()]
    with np.load(tmp_path / "mean-forces.npz", allow_pickle=False) as file:
        before = {int(index): force for index, force in zip(file["index"], file["forces"], strict=True)}
    assert 0 < len(before) <= len(said) < len(sampled[0]), "it was killed on the way"
    assert set(before) <= set(said)
    assert not psutil.wait_procs(workers, timeout=20.0)[1], "its workers notice and end"
    again = dict(mean_forces(DIPEPTIDE, MM, peptide, backbone, SLOW, atoms=sampled[0], bead_map=backbone.matrix, folder=tmp_path))
    assert sorted(again) == list(range(len(sampled[0])))
    assert all(np.array_equal(again[index].forces, force) for index, force in before.items()), "what was measured was not measured again"


def test_configurations_go_on_where_they_were(peptide: Structure, backbone: Mapping, tmp_path: Path) -> None:
    def tell(fraction: float, _sentence: str) -> None:
        if fraction >= stop:
            raise StoppedError("Stopped.")

    stop = 0.6
    with pytest.raises(StoppedError):
        configurations(DIPEPTIDE, MM, peptide, backbone, FEW, tell=tell, folder=tmp_path)
    with np.load(tmp_path / "configurations-0.npz", allow_pickle=False) as file:
        before = file["positions"]
    stop = 2.0
    atoms, forces = configurations(DIPEPTIDE, MM, peptide, backbone, FEW.model_copy(update={"workers": 2}), tell=tell, folder=tmp_path)
    assert atoms.shape == (6, 22, 3)
    assert forces.shape == (12, 22, 3)
    assert all((atoms == one).all(axis=(1, 2)).any() for one in before)


def _dies(task: int, _ask: object) -> object:
    if task:
        os._exit(1)
    yield task


def test_a_worker_that_dies_is_told() -> None:
    from studio.coarse.spread import spread

    with pytest.raises(WorkerError, match="go on with fewer workers"):
        list(spread(_dies, [0, 1], 2, nothing))


# --- labels as a value


def test_labels_are_kept_to_the_digits_of_their_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    labels = Labels(rng.normal(size=(7, 5, 3)), 900.0 * rng.normal(size=(7, 5, 3)), 60.0 * rng.random((7, 5, 3)), 300.0)
    labels.save(tmp_path / "labels.npz")
    again = Labels.load(tmp_path / "labels.npz")
    for name in ("positions", "forces", "errors"):
        assert getattr(again, name) == pytest.approx(getattr(labels, name), rel=1e-6)
        assert getattr(again, name).dtype == np.float64
    assert again.temperature == 300.0
    both = again.take(np.array([0, 3])).joined(again.take(np.arange(7) > 4))
    assert len(both) == 4
    assert np.array_equal(both.forces[1], again.forces[3])


def test_labels_that_are_none_are_refused(tmp_path: Path) -> None:
    good = Labels(np.zeros((2, 5, 3)), np.zeros((2, 5, 3)), np.zeros((2, 5, 3)), 300.0)
    with pytest.raises(StructureError, match="one shape"):
        Labels(np.zeros((2, 5, 3)), np.zeros((2, 4, 3)), np.zeros((2, 5, 3)), 300.0)
    with pytest.raises(StructureError, match="no number"):
        Labels(np.full((2, 5, 3), np.nan), np.zeros((2, 5, 3)), np.zeros((2, 5, 3)), 300.0)
    with pytest.raises(StructureError, match="belongs to its beads and its temperature"):
        good.joined(replace(good, temperature=310.0))
    with pytest.raises(StructureError, match="at least one"):
        Labels.of([], 300.0)
    for content in (b"nonsense", json.dumps({}).encode(), _npz(positions=np.zeros((1, 2, 3)))):
        (tmp_path / "labels.npz").write_bytes(content)
        with pytest.raises(StorageError, match="expected labels that were saved here, but it is damaged, or something else"):
            Labels.load(tmp_path / "labels.npz")
    with pytest.raises(StorageError, match="there is no such file"):
        Labels.load(tmp_path / "elsewhere" / "labels.npz")


def _npz(**arrays: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.savez(content, **arrays)
    return content.getvalue()


# --- driven trajectories


class Chain:
    """Four particles whose torsion has a barrier of 40 kJ/mol: at 300 K it stays where it is."""

    def __init__(self) -> None:
        places = np.array([[0.0, 0.15, 0.0], [0.0, 0.0, 0.0], [0.15, 0.0, 0.0], [0.15, 0.15, 0.02]])
        self.structure = Structure(
            numbers=np.full(4, 6), positions=places, names=("A", "B", "C", "D"), residues=(DIPEPTIDE.prepare().residues[0],),
            residue_index=np.zeros(4, dtype=np.int64), bonds=np.array([[0, 1], [1, 2], [2, 3]]), bond_orders=np.ones(3),
            formal_charges=np.zeros(4, dtype=np.int64),
        )  # fmt: skip
        atoms = np.arange(4)
        self.mapping = Mapping(self.structure, atoms, tuple(atoms[:, None]), (np.ones(1),) * 4, 4)

    def build(self, system: System, structure: Structure | None = None) -> "Chain":
        self.system = openmm.System()
        bonds, angles, torsion = openmm.HarmonicBondForce(), openmm.HarmonicAngleForce(), openmm.PeriodicTorsionForce()
        for _ in range(4):
            self.system.addParticle(12.0)
        for index in range(3):
            bonds.addBond(index, index + 1, 0.15, 2e5)
        for index in range(2):
            angles.addAngle(index, index + 1, index + 2, np.pi / 2, 500.0)
        torsion.addTorsion(0, 1, 2, 3, 2, np.pi, 20.0)
        for force in (bonds, angles, torsion):
            self.system.addForce(force)
        return self

    def model_dump_json(self) -> str:
        return "chain"


def test_driven_trajectories_cross_barriers_and_others_do_not() -> None:
    def turned(drive: float) -> float:
        """Part of the configurations on the other side."""
        chain = Chain()
        sampling = Sampling(configurations=50, temperatures=(290.0, 300.0), spacing_ps=1.0, drive=drive)
        atoms, _ = configurations(DIPEPTIDE, chain, chain.structure, chain.mapping, sampling)
        return float((np.abs(torsion_of_all(atoms)) > np.pi / 2).mean())

    def torsion_of_all(atoms: np.ndarray) -> np.ndarray:
        return np.array([torsion_of(one, np.array([[0, 1, 2, 3]]))[0] for one in atoms])

    assert turned(0.0) == 0.0
    assert 0.1 < turned(40.0) < 0.4, "of the driven half, about half"
