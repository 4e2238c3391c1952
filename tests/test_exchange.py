"""Copies that trade temperatures: each has its own, populations are Boltzmann's, nobody feels the next; and `Unbiased` uses them where it may."""

import time

import numpy as np
import openmm
import pytest

from studio.coarse.copies import Copies
from studio.coarse.exchange import LANES, MOST_ATOMS, Bath, Exchange, ladder, still
from studio.coarse.mapping import map_protein
from studio.errors import SimulationError
from studio.hybrid.view import View
from studio.recipes import unbiased
from studio.recipes.dynamics import Dynamics
from studio.recipes.unbiased import Job, Unbiased, dynamics_of, pieces, trades
from studio.structure import Structure
from studio.system import FromExample, FromSequence, Implicit, System
from studio.units import BOLTZMANN

DIPEPTIDE = System(source=FromExample(name="alanine-dipeptide"), surroundings=Implicit())
MOVED = dynamics_of(Dynamics(system=DIPEPTIDE, view=View(resolution="mm")))
BARRIER, TILT = 8.0, 2.0
"""Half of what lies between the wells of the torsion of four atoms, and half of what lies between their floors, kJ/mol."""


@pytest.fixture(scope="module")
def atoms():
    return DIPEPTIDE.prepare()


@pytest.fixture(scope="module")
def molecule(atoms):
    """The OpenMM System of alanine dipeptide, as `Unbiased` has it."""
    return MOVED.view.build(MOVED.system, atoms).system


@pytest.fixture(scope="module")
def turning():
    """Four atoms in a row, whose torsion has two wells with a barrier of 6 kT between them at the lowest temperature, for a while."""
    row = openmm.System()
    for _ in range(4):
        row.addParticle(12.0)
    bonds, angles, torsion = openmm.HarmonicBondForce(), openmm.HarmonicAngleForce(), openmm.PeriodicTorsionForce()
    for atom in range(3):
        bonds.addBond(atom, atom + 1, 0.15, 25_000.0)
    for atom in range(2):
        angles.addAngle(atom, atom + 1, atom + 2, np.radians(109.5), 300.0)
    torsion.addTorsion(0, 1, 2, 3, 2, 0.0, BARRIER)
    torsion.addTorsion(0, 1, 2, 3, 1, np.pi / 2, TILT)
    for force in (bonds, angles, torsion):
        row.addForce(force)
    chain = Structure.from_smiles("OO").take(np.array([2, 0, 1, 3]))
    exchange = Exchange(row, chain, Bath(300.0, 5.0, 4.0, 7))
    told = [(*exchange.beat(), kinetic_of(exchange)) for _ in range(900)][60:]
    positions, rungs, kinetic = (np.stack(each) for each in zip(*told, strict=True))
    return exchange, positions, rungs, kinetic


def kinetic_of(exchange):
    """Kinetic energy of each copy of the four atoms, kJ/mol."""
    velocities = np.asarray(exchange._context.getState(velocities=True).getVelocities(asNumpy=True)._value)
    return 0.5 * 12.0 * (velocities.reshape(-1, 12) ** 2).sum(axis=1)


def torsions(positions):
    a, b, c = (positions[..., k + 1, :] - positions[..., k, :] for k in range(3))
    x, y = np.cross(a, b), np.cross(b, c)
    return np.arctan2((np.cross(x, y) * b).sum(axis=-1) / np.linalg.norm(b, axis=-1), (x * y).sum(axis=-1))


def test_every_copy_has_the_temperature_of_its_rung(turning):
    exchange, _positions, rungs, kinetic = turning
    after = np.concatenate((rungs[1:], exchange.rungs[None]))  # energies are those after the trade, when velocities have been scaled
    for rung, kelvin in enumerate(exchange.temperatures):
        assert kinetic[after == rung].mean() / (0.5 * 12 * BOLTZMANN) == pytest.approx(kelvin, rel=0.06)


def test_populations_are_those_of_boltzmann_on_every_rung(turning):
    """Trades that broke detailed balance would fill the upper well of the cold copies with hot ones."""
    exchange, positions, rungs, _kinetic = turning
    angle = np.linspace(-np.pi, np.pi, 7200, endpoint=False)
    energy = BARRIER * (1.0 + np.cos(2.0 * angle)) + TILT * (1.0 + np.cos(angle - np.pi / 2))
    turns = torsions(positions)
    for rung, kelvin in enumerate(exchange.temperatures):
        weight = np.exp(-energy / (BOLTZMANN * kelvin))
        wanted = weight[angle > 0].sum() / weight.sum()
        assert (turns[rungs == rung] > 0).mean() == pytest.approx(wanted, abs=0.05), kelvin
        there = turns[rungs == rung]
        seen = BARRIER * (1.0 + np.cos(2.0 * there)) + TILT * (1.0 + np.cos(there - np.pi / 2))
        assert seen.mean() == pytest.approx((energy * weight).sum() / weight.sum(), rel=0.08), kelvin


def test_copies_go_up_and_down_and_the_number_on_each_rung_stays(turning):
    exchange, _positions, rungs, _kinetic = turning
    assert all((np.bincount(row, minlength=6) == LANES).all() for row in rungs)
    assert (np.bincount(rungs[:, 0], minlength=6) > 20).all()  # one copy was everywhere
    assert (exchange.made / exchange.tried > 0.4).all()


def test_rungs_are_closer_for_more_atoms():
    small, large = ladder(300.0, 22), ladder(300.0, 88)
    assert small[[0, -1]] == pytest.approx([300.0, 698.0], abs=0.5)
    assert large[1] / large[0] - 1.0 == pytest.approx(0.5 * (small[1] / small[0] - 1.0), rel=0.1)


def test_copies_stay_apart_and_feel_what_one_alone_feels(atoms, molecule):
    exchange = Exchange(molecule, atoms, Bath(300.0, 1.0, 4.0, 3))
    for _ in range(6):
        exchange.beat()
    exchange.move(125)
    positions = exchange.positions
    copies = Copies.of(atoms, len(positions))
    alone, together = (
        openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("CPU"), {"Threads": "1"})
        for system in (still(molecule), copies.side_by_side(still(molecule)))
    )
    together.setPositions(positions.reshape(-1, 3))
    felt = np.array(together.getState(forces=True).getForces(asNumpy=True)._value).reshape(positions.shape)
    for place, forces in zip(positions, felt, strict=True):
        alone.setPositions(place)
        assert forces == pytest.approx(np.array(alone.getState(forces=True).getForces(asNumpy=True)._value), abs=1e-2)
    for copy in range(1, len(positions)):
        gaps = np.linalg.norm(positions[copy][:, None, None] - positions[None, :copy], axis=-1)
        assert gaps.min() > copies.reach
    middles = copies.apart(positions).reshape(positions.shape).mean(axis=1)
    assert np.abs(positions.mean(axis=1) - middles).max() < 0.5  # nobody drifts away from its place
    bonds = np.linalg.norm(positions[:, atoms.bonds[:, 0]] - positions[:, atoms.bonds[:, 1]], axis=-1)
    assert bonds.max() < 0.17


def test_a_copy_that_leaves_physics_ends_it_in_a_sentence(atoms, molecule):
    exchange = Exchange(molecule, atoms, Bath(300.0, 1.0, 4.0, 3))
    positions = exchange.positions
    positions[5, 3] = np.nan
    exchange.place(positions, exchange.rungs)
    with pytest.raises(SimulationError, match="no longer a number"):
        exchange.beat()


def test_what_is_done_by_replica_exchange(atoms):
    box = {"surroundings": {"kind": "water_box", "padding_nm": 0.8}}
    boxed = System.model_validate(DIPEPTIDE.model_dump() | box)
    long = System(source=FromSequence(sequence="AAAAAA"), surroundings=Implicit())
    assert trades(MOVED, atoms)
    assert not trades(MOVED.model_copy(update={"view": View(resolution="nnp", potential="so3lr")}), atoms)
    assert not trades(dynamics_of(Dynamics(system=boxed, view=View(resolution="mm"))), boxed.prepare())
    many = long.prepare()
    assert len(many) > MOST_ATOMS
    assert not trades(dynamics_of(Dynamics(system=long, view=View(resolution="mm"))), many)


def test_pieces_go_on_where_the_last_one_ended(atoms):
    mapping = map_protein(atoms, "backbone", "slice")
    first, second = pieces(Job(MOVED, atoms, mapping, 2, None, 0, 2))
    assert first["beads"].shape == (2 * 2 * LANES[0], 5, 3)  # the first one is longer
    assert second["beads"].shape == (2 * LANES[0], 5, 3)
    assert first["atoms"].shape == (sum(LANES), len(atoms), 3)
    assert (np.bincount(first["rungs"]) == LANES).all()
    # a mirror image stays one, and a start from the beginning would be none
    before = first | {"atoms": first["atoms"] * [1.0, 1.0, -1.0], "rungs": np.repeat(np.arange(6), LANES)[::-1]}
    (again,) = pieces(Job(MOVED, atoms, mapping, 2, before, 1, 2))
    assert again["beads"].shape == second["beads"].shape
    assert (again["copies"][: LANES[0]] == np.arange(10, 16)).all()
    hands = [np.sign(handedness(atoms, each["atoms"])) for each in (first, second, again)]
    assert (hands[0] == hands[1]).all()
    assert (hands[0] == -hands[2]).all()


def handedness(atoms, positions):
    """Volume between the neighbours of the alpha carbon, (k,), nm^3."""
    n, c, cb, ca = (next(k for k, name in enumerate(atoms.names) if name == wanted and atoms.residue_of(k).name == "ALA") for wanted in ("N", "C", "CB", "CA"))
    return np.linalg.det(positions[:, [n, c, cb]] - positions[:, [ca]])


def test_the_process_does_it_and_keeps_it(atoms, tmp_path, monkeypatch):
    monkeypatch.setattr(unbiased, "BEATS", 4)
    mapping = map_protein(atoms, "backbone", "slice")
    whole = Unbiased(MOVED, atoms, mapping, 0.024, tmp_path)
    assert (whole.trades, whole.pieces, whole.nanoseconds) == (True, 3, 0.0)
    whole.begin()
    while whole.fraction < 1.0:
        whole.look()
        time.sleep(0.05)
    assert whole.nanoseconds == pytest.approx(0.024)
    assert len(whole.frames) == 2 * 4 * LANES[0]
    found = Unbiased(MOVED, atoms, mapping, 0.024, tmp_path)
    assert found.fraction == 1.0
    assert (found.frames == whole.frames).all()
    longer = Unbiased(MOVED, atoms, mapping, 0.048, tmp_path)
    assert longer.fraction == pytest.approx(3 / 5)
