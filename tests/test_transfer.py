"""Alchemical transfer: its energies are those of both ends, and its free energies those of integrals that can be done by hand."""

from pathlib import Path as Folder

import numpy as np
import openmm
import pytest

from studio.errors import RegionError, StructureError, UnsupportedError
from studio.forcefield import MMSystem, parametrise
from studio.forcefield.continuum import compiled
from studio.hybrid.coupling import Model, couple, plain
from studio.ladder import Ladder
from studio.potentials.mm import MM
from studio.structure import Residue, Structure
from studio.thermostat import Thermostat
from studio.transfer import DIRECTION, FAR, STRENGTH, Axis, Path, Site, SoftCore, Transfer, Window, displacement, one_way, transfer, two_ways
from studio.transfer_estimate import crossed, estimated, histogram, travelled
from studio.transfer_site import binding_site, chosen_ligand
from studio.units import BOLTZMANN, KJ_PER_KCAL
from tests.hybrid_systems import evaluate, water

WARM = 300.0


def complexed(host: str = "C1CCCCC1", guest: str = "CO", away: float = 0.45) -> Structure:
    """Two molecules beside each other; the first one has the residue HST."""
    from dataclasses import replace

    first, second = (Structure.from_smiles(smiles) for smiles in (host, guest))
    first = replace(first, residues=(Residue("HST"),))
    return first.join(second.with_positions(second.positions + np.array([0.0, 0.0, away])))


def two_atoms(epsilon: float) -> Model:
    """Two atoms of 4 Da with a Lennard-Jones term of their own, 0.4 nm apart."""
    structure = Structure(
        np.array([18, 18]), np.array([[0.0, 0, 0], [0.4, 0, 0]]), ("A", "B"), (Residue("HST"), Residue("LIG")), np.array([0, 1]),
        np.zeros((0, 2), int), np.zeros(0), np.zeros(2, int),
    )  # fmt: skip
    system, force = openmm.System(), openmm.NonbondedForce()
    for _ in range(2):
        system.addParticle(4.0)
        force.addParticle(0.0, 0.34, epsilon)
    system.addForce(force)
    return plain(MMSystem(structure, system, {}))


def moved(model: Model, guest: np.ndarray, path: Path, site: Site | None = None) -> Transfer:
    return transfer(model, [(guest, np.array([FAR, 0.0, 0.0]))], path, site.forces(False) if site else [])


def energies(found: Transfer, positions: np.ndarray, direction: int, strength: float) -> tuple[float, float, float, np.ndarray]:
    """U0, U1, and energy and forces of the whole System in a window."""
    from openmm import unit

    context = openmm.Context(found.model.system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(positions)
    context.setParameter(DIRECTION, direction)
    context.setParameter(STRENGTH, strength)
    displaced, here, _ = (value.value_in_unit(unit.kilojoule_per_mole) for value in found.force.getPerturbationEnergy(context))
    state = context.getState(energy=True, forces=True)
    forces = state.getForces(asNumpy=True).value_in_unit(unit.kilojoule_per_mole / unit.nanometer)
    return here, displaced, state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole), forces


@pytest.mark.parametrize("implicit", ["none", "obc2", "gbn2"])
def test_both_ends_have_the_energies_of_the_untouched_system(implicit: str) -> None:
    structure = complexed()
    mm, guest = parametrise(structure, implicit=implicit), np.arange(18, len(structure))
    away = structure.positions.copy()
    away[guest, 0] += FAR
    expected = evaluate(mm.system, structure.positions), evaluate(mm.system, away)
    found = moved(plain(parametrise(structure, implicit=implicit)), guest, one_way(4))
    here, displaced, *_ = energies(found, structure.positions, -1, 0.0)
    assert here - displaced == pytest.approx(expected[0].energy - expected[1].energy, abs=2e-3)
    for direction, strength, end in ((1, 0.0, 0), (-1, 0.0, 1), (1, 1.0, 1), (-1, 1.0, 0)):
        _, _, energy, forces = energies(found, structure.positions, direction, strength)
        assert energy == pytest.approx(expected[end].energy, abs=2e-3)
        np.testing.assert_allclose(forces, expected[end].forces, atol=0.05)


def test_windows_are_what_openmm_evaluates_capped_or_not() -> None:
    model, path = two_atoms(1.0), Path((Window(1, 0.3), Window(-1, 0.6)), SoftCore(5.0, 20.0))
    found = moved(model, np.array([1]), path)
    for distance in (0.2, 0.25, 0.31, 0.38, 0.6):
        positions = np.array([[0.0, 0, 0], [distance, 0, 0]])
        for row, window in enumerate(path.windows):
            here, displaced, energy, _ = energies(found, positions, window.direction, window.strength)
            assert path.energies(np.array([here]), np.array([displaced]))[row + 1, 0] == pytest.approx(energy - displaced, rel=1e-5, abs=1e-5)


def test_the_soft_core_is_smooth_and_has_a_limit() -> None:
    core, u = SoftCore(100.0, 200.0), np.linspace(-300, 900, 2401)
    capped = core(u)
    np.testing.assert_array_equal(capped[u <= 100], u[u <= 100])
    assert np.all(np.diff(capped) >= 0)
    assert core(np.array([1e30]))[0] < 200.0
    slope = np.gradient(capped, u)
    assert np.abs(np.diff(slope)).max() < 0.05


def test_a_site_has_the_volume_of_its_integral_and_its_force_holds() -> None:
    site, r = Site((1,), (0,), 0.5), np.linspace(0, 1, 200001)
    wall = 0.5 * 10_000.0 * np.maximum(0, r - 0.5) ** 2
    assert site.volume(WARM) == pytest.approx(np.trapezoid(4 * np.pi * r**2 * np.exp(-wall / (BOLTZMANN * WARM)), r), rel=1e-6)
    assert site.standard_state(WARM) > 0
    assert Site((1,), (0,), 0.71).standard_state(WARM) == pytest.approx(0.0, abs=0.1)  # a sphere of about 1.66 nm^3
    found = moved(two_atoms(0.0), np.array([1]), one_way(4), site)
    assert energies(found, np.array([[0.0, 0, 0], [0.6, 0, 0]]), -1, 0.0)[2] == pytest.approx(50.0)


def sampled(found: Transfer, sweeps: int, steps: int, step: float = 4.0) -> Ladder:
    ladder = Ladder(found, Thermostat(WARM, 10.0, step, seed=1), "CPU", 1)
    ladder.start()
    for _ in range(sweeps):
        assert ladder.sweep(steps, lambda _window, _positions: True)
    return ladder


def test_a_ligand_without_interactions_has_no_free_energy_but_that_of_its_site() -> None:
    site = Site((1,), (0,), 0.5)
    ladder = sampled(moved(two_atoms(0.0), np.array([1]), one_way(4), site), 50, 5)
    found = estimated(ladder.transfer.path, ladder.bound, ladder.unbound, WARM)
    assert found.difference.value == pytest.approx(0.0, abs=1e-9)
    assert found.doubts == ()


def test_two_atoms_bind_as_their_integral_says() -> None:
    """Windows, exchange, soft core, restraint and estimator together, against a numerical integral."""
    epsilon, site = 6.0, Site((1,), (0,), 0.5)
    r = np.linspace(1e-3, 0.8, 100001)
    kt = BOLTZMANN * WARM
    held = 4 * np.pi * r**2 * np.exp(-0.5 * 10_000.0 * np.maximum(0, r - 0.5) ** 2 / kt)
    bound = held * np.exp(-4 * epsilon * ((0.34 / r) ** 12 - (0.34 / r) ** 6) / kt)
    exact = -np.log(np.trapezoid(bound, r) / np.trapezoid(held, r))
    path = Path(tuple(Window(-1, s) for s in (1.0, 0.5, 0.2, 0.06, 0.01, 0.0)), SoftCore(20.0, 40.0))
    ladder = sampled(moved(two_atoms(epsilon), np.array([1]), path, site), 300, 30)
    found = estimated(path, ladder.bound, ladder.unbound, WARM)
    assert found.difference.value == pytest.approx(exact, abs=max(3.5 * found.difference.error, 0.02))
    assert found.difference.error < 0.15
    assert found.by_bar.value == pytest.approx(found.difference.value, abs=3 * found.by_bar.error)
    assert found.doubts == ()
    assert travelled(ladder.walkers) == 6


def test_a_network_that_equals_mm_changes_nothing() -> None:
    """Outside the transfer force it is called once, and every window has the same energies and forces as with MM alone, up to a constant."""
    structure = complexed(guest="CCO")
    guest = np.arange(18, len(structure))
    alone = moved(plain(parametrise(structure)), guest, two_ways(4))
    mm = parametrise(structure)
    beside = moved(couple(mm, guest, MM().bind(structure, guest)), guest, two_ways(4))
    shaken = structure.positions + np.random.default_rng(0).normal(scale=0.003, size=structure.positions.shape)
    gaps = []
    for positions in (structure.positions, shaken):
        for direction, strength in ((1, 0.0), (1, 0.4), (-1, 0.4), (-1, 0.0)):
            first, second = (energies(found, positions, direction, strength) for found in (alone, beside))
            assert first[0] - first[1] == pytest.approx(second[0] - second[1], abs=1e-6)
            gaps.append(second[2] - first[2])
            np.testing.assert_allclose(first[3], second[3], atol=1e-3)
    assert np.ptp(gaps) < 1e-4


def test_a_network_on_part_of_the_ligand_or_on_the_host_is_refused() -> None:
    structure = complexed()
    guest, mm = np.arange(18, len(structure)), parametrise(structure)
    host = np.arange(18)
    with pytest.raises(UnsupportedError, match="ligand alone"):
        moved(couple(mm, host, MM().bind(structure, host)), guest, two_ways(4))


def test_compiled_water_is_the_same_water() -> None:
    structure = complexed("Oc1ccccc1", "CC(=O)[O-]")
    system = parametrise(structure, implicit="obc2").system
    before = evaluate(system, structure.positions)
    index = next(i for i in range(system.getNumForces()) if isinstance(system.getForce(i), openmm.CustomGBForce))
    quick = compiled(system.getForce(index))
    system.removeForce(index)
    system.addForce(quick)
    after = evaluate(system, structure.positions)
    assert after.energy == pytest.approx(before.energy, abs=1e-3)
    np.testing.assert_allclose(after.forces, before.forces, atol=0.02)
    other = parametrise(structure, implicit="gbn2").system
    assert all(compiled(force) is None for force in other.getForces() if isinstance(force, openmm.CustomGBForce))


def test_the_ladder_goes_on_where_it_was_left(tmp_path: Folder) -> None:
    def fresh() -> Ladder:
        return Ladder(moved(two_atoms(2.0), np.array([1]), one_way(4), Site((1,), (0,), 0.5)), Thermostat(WARM, 5.0, 4.0, seed=3), "CPU", 1)

    whole = fresh()
    whole.start()
    for _ in range(6):
        whole.sweep(20, lambda *_: True)
    first = fresh()
    first.start()
    for _ in range(3):
        first.sweep(20, lambda *_: True)
    assert not first.sweep(20, lambda window, _: window < 2)  # stopped within a sweep, which then does not count
    first.save(tmp_path / "windows.npz", "key")
    second = fresh()
    assert not second.restore(tmp_path / "windows.npz", "another key")
    assert not second.restore(tmp_path / "nothing.npz", "key")
    assert second.restore(tmp_path / "windows.npz", "key")
    for _ in range(3):
        second.sweep(20, lambda *_: True)
    np.testing.assert_array_equal(second.bound, whole.bound)
    np.testing.assert_array_equal(second.walkers, whole.walkers)
    (tmp_path / "windows.npz").write_bytes((tmp_path / "windows.npz").read_bytes()[:200])
    assert not fresh().restore(tmp_path / "windows.npz", "key")


def test_windows_that_do_not_overlap_are_doubted() -> None:
    path, random = Path((Window(-1, 1.0), Window(-1, 0.0)), SoftCore()), np.random.default_rng(0)
    unbound = np.zeros((60, 2))
    bound = np.stack([random.normal(-90, 3, 60), random.normal(60, 3, 60)], axis=1)
    doubts = estimated(path, bound, unbound, WARM).doubts
    assert any("windows 1 and 2 overlap" in doubt for doubt in doubts)
    assert all(doubt.startswith("Do not trust") for doubt in doubts)


def test_a_first_look_is_doubted_however_well_it_looks() -> None:
    bound = np.random.default_rng(0).normal(-10, 2, (20, 4))
    assert "remember their start" in estimated(one_way(4), bound, np.zeros_like(bound), WARM).doubts[0]


def test_halves_that_disagree_are_doubted() -> None:
    path, random = one_way(4), np.random.default_rng(0)
    bound = random.normal(-10, 2, (400, 4))
    bound[200:] -= 8.0
    doubts = estimated(path, bound, np.zeros_like(bound), WARM, discard=0.0).doubts
    assert any("first and the second half" in doubt for doubt in doubts)


def test_copies_that_never_change_sides_are_doubted() -> None:
    """Two basins that no copy crosses: overlap and error look well, the number is what the start made it."""
    path, random = one_way(4), np.random.default_rng(0)
    bound = random.normal(-10, 2, (400, 4))
    stuck, free = np.tile(np.arange(4), (400, 1)), random.permuted(np.tile(np.arange(4), (400, 1)), axis=1)
    assert (travelled(stuck), travelled(free)) == (0, 4)
    assert (crossed(stuck), crossed(free)) == (0, 4)
    halves = np.where(np.arange(400)[:, None] % 2, [1, 0, 3, 2], [0, 1, 2, 3])
    assert crossed(halves) == 0  # two pairs that change places, and nobody between the pairs
    assert crossed(np.where(np.arange(400)[:, None] % 3 == 2, [0, 2, 1, 3], halves)) == 2  # by two copies, in the middle
    kinds = [estimated(path, bound, np.zeros_like(bound), WARM, walkers=walkers).doubts for walkers in (stuck, free)]
    assert "0 copies" in kinds[0][0]
    assert kinds[1] == ()


def test_a_tilted_axis_has_its_share_of_orientations_and_its_force_holds() -> None:
    axis, t = Axis(((2,), (3,)), ((0,), (1,)), np.radians(30)), np.linspace(0, np.pi / 2, 90001)
    share = np.trapezoid(np.exp(-0.5 * 500 * np.maximum(0, t - np.radians(30)) ** 2 / (BOLTZMANN * WARM)) * np.sin(t), t)
    assert axis.share(WARM) == pytest.approx(share, rel=1e-5)
    assert 1 - np.cos(np.radians(30)) < share < 1 - np.cos(np.radians(40))
    system = openmm.System()
    for _ in range(4):
        system.addParticle(12.0)
    system.addForce(axis.force(False))
    for angle, expected in ((0, 0.0), (29, 0.0), (50, 20.0), (130, 20.0), (180, 0.0), (160, 0.0)):
        turned = [[0, 0, 0.1 * np.cos(np.radians(angle))], [0, 0, 0]]
        turned[0][0] = 0.1 * np.sin(np.radians(angle))
        energy = evaluate(system, np.array([[0, 0, 0], [0, 0, 1.0], [0, 0, 0], turned[0]], dtype=float)).energy
        assert energy == pytest.approx(0.5 * 500 * np.radians(expected) ** 2, rel=1e-4, abs=1e-9), angle


def test_the_axis_of_a_pose_is_its_long_one() -> None:
    structure = complexed("c1ccccc1", "CCCCC", 0.4)
    guest = np.arange(12, len(structure))
    site, _ = binding_site(structure, guest, 0.2, tilt=30.0)
    assert site.axis is not None
    names = {structure.names[i] for end in site.axis.ligand for i in end}
    assert {"C1", "C5"} <= names
    assert site.standard_state(WARM) > Site(site.ligand, site.host, site.radius).standard_state(WARM)
    assert binding_site(structure, guest, 0.2)[0].axis is None


def test_histograms_are_densities() -> None:
    gaps = np.random.default_rng(0).normal(-50, 20, (100, 4))
    centres, densities = histogram(one_way(4), gaps, np.zeros_like(gaps))
    np.testing.assert_allclose(densities.sum(axis=1) * (centres[1] - centres[0]), 1.0)
    assert centres[0] > -130 / KJ_PER_KCAL


def test_the_guest_is_the_smaller_molecule_and_what_is_no_ligand_is_refused() -> None:
    structure = complexed()
    everything, guest = np.arange(len(structure)), np.arange(18, len(structure))
    found, told = chosen_ligand(structure, everything)
    assert found.tolist() == guest.tolist()
    assert "smaller" in told[0]
    assert chosen_ligand(structure, guest)[1] == []
    with pytest.raises(UnsupportedError, match="covalent"):
        chosen_ligand(structure, guest[:3])
    with pytest.raises(RegionError, match="nothing to bind to"):
        chosen_ligand(structure.take(np.arange(18)), np.arange(18))
    with pytest.raises(RegionError, match="Expected one ligand, got 3"):
        chosen_ligand(structure.join(Structure.from_smiles("CC")), np.arange(len(structure) + 8))
    frozen = structure.take(everything)
    object.__setattr__(frozen, "fixed", np.ones(len(structure), dtype=np.bool_))
    with pytest.raises(UnsupportedError, match="frozen"):
        chosen_ligand(frozen, guest)


def test_a_ligand_outside_its_site_or_on_top_of_it_is_refused() -> None:
    guest = np.arange(18, 24)
    site, told = binding_site(complexed(away=0.5), guest, 0.5)
    assert site.radius == pytest.approx(0.65, abs=0.05)
    assert "radius" in told[0]
    assert len(site.host) == 6
    with pytest.raises(StructureError, match="another frame"):
        binding_site(complexed(away=2.0), guest, 0.5)
    host = complexed().positions[:18]
    overlapping = complexed().with_positions(np.vstack([host, host[:6] + 0.01]))
    with pytest.raises(StructureError, match="on top of its host"):
        binding_site(overlapping, guest, 0.5)


def test_the_way_into_the_bulk_is_far_or_refused() -> None:
    from dataclasses import replace

    structure, guest = complexed(), np.arange(18, 24)
    np.testing.assert_array_equal(displacement(structure, guest), [FAR, 0, 0])
    boxed = replace(structure.join(water(1.0, 1.0, 1.0)), box=np.diag([3.0, 3.0, 3.0]))
    shift = displacement(boxed, guest)
    away = boxed.positions[guest] + shift
    delta = away[:, None] - boxed.positions[None, :24]
    delta -= 3.0 * np.round(delta / 3.0)
    assert np.linalg.norm(delta, axis=2).min() > 0.8
    with pytest.raises(StructureError, match="larger by"):
        displacement(replace(structure, box=np.diag([1.2, 1.2, 1.2])), guest)
