"""Torsion scans: the same profile as somebody else's calculation, as symmetry asks for, and from whatever side one comes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from studio import torsions
from studio.conformers import conformers, rotatable, turned
from studio.errors import SimulationError
from studio.forcefield import parametrise
from studio.fragments import around, pieces
from studio.internal import torsion_angles
from studio.io.targets import target
from studio.potentials.base import EnergyForces
from studio.potentials.mm import MM
from studio.potentials.so3lr import SO3LR
from studio.profiles import agreement, at, barrier, ends, minima
from studio.relax import Twist, relax
from studio.structure import Structure
from studio.torsions import Scanned, ScanProtocol, scanned
from studio.units import KJ_PER_KCAL

TWELVE = ScanProtocol(points=12, conformers=4)
ANGLES = np.arange(-180.0, 180.0, 15.0)


def profile(smiles: str, protocol: ScanProtocol = TWELVE, bond: int = 0, potential=None, seed: int = 0) -> np.ndarray:
    molecule = Structure.from_smiles(smiles, seed)
    return scanned(potential or MM(), molecule, rotatable(molecule)[bond : bond + 1], protocol).energies / KJ_PER_KCAL


def openmm_profile(molecule: Structure, torsion: np.ndarray, starts: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """OpenMM's own minimiser and a torsion force, energies (kcal/mol) without it; the lowest over some starts."""
    import openmm
    from openmm import unit

    system = parametrise(molecule).system
    while system.getNumConstraints():
        system.removeConstraint(0)
    held = openmm.CustomTorsionForce("k * (1 - cos(theta - theta0))")
    held.addPerTorsionParameter("theta0")
    held.addGlobalParameter("k", 100_000.0)
    held.addTorsion(*map(int, torsion), [0.0])
    held.setForceGroup(1)
    system.addForce(held)
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
    found = []
    for angle in np.radians(angles):
        held.setTorsionParameters(0, *map(int, torsion), [angle])
        held.updateParametersInContext(context)
        energies = []
        for start in starts:
            context.setPositions(turned(molecule, start, torsion, angle - torsion_angles(start[torsion])))
            openmm.LocalEnergyMinimizer.minimize(context, 0.5)
            state = context.getState(energy=True, positions=True, groups={0})
            reached = torsion_angles(np.array(state.getPositions(asNumpy=True).value_in_unit(unit.nanometer))[torsion])
            assert abs(np.angle(np.exp(1j * (reached - angle)))) < np.radians(0.2)
            energies.append(state.getPotentialEnergy().value_in_unit(unit.kilocalorie_per_mole))
        found.append(min(energies))
    return np.array(found)


@pytest.mark.parametrize("smiles", ["CCCC", "COc1ccccc1", "c1ccccc1-c1ccccc1"])
def test_equal_to_an_independent_scan_with_openmm(smiles: str) -> None:
    molecule = Structure.from_smiles(smiles)
    torsion = rotatable(molecule)[0]
    ours = scanned(MM(), molecule, torsion[None], TWELVE)
    angles = np.array([-180.0, -120.0, -60.0, 30.0, 90.0])
    theirs = openmm_profile(molecule, torsion, conformers(molecule, 2), angles)
    rows = [ours.angles.tolist().index(angle) for angle in angles]
    mine = ours.energies[rows] / KJ_PER_KCAL
    np.testing.assert_allclose(mine - mine[0], theirs - theirs[0], atol=0.03)
    reached = np.degrees(torsion_angles(ours.places[:, torsion]))
    assert np.abs(np.angle(np.exp(1j * np.radians(reached - ours.angles)), deg=True)).max() < 1.0


def test_ethane_is_threefold() -> None:
    ethane = Structure.from_smiles("CC")
    found = scanned(SO3LR(), ethane, np.array([[2, 0, 1, 5]]), TWELVE).energies / KJ_PER_KCAL
    np.testing.assert_allclose(found, np.tile(found[:4], 3), atol=0.02)
    assert found.argmin() % 2 == 0
    assert 2.0 < np.ptp(found) < 3.5  # measured: 2.9 kcal/mol


def test_mirror_images_cost_the_same_also_when_both_are_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    half = profile("CNC(=O)CO")
    monkeypatch.setattr(torsions, "achiral", lambda _molecule: False)
    whole = profile("CNC(=O)CO")
    np.testing.assert_allclose(whole[1:], whole[1:][::-1], atol=0.05)
    np.testing.assert_allclose(half, whole, atol=0.05)


def test_the_two_rings_of_biphenyl_do_not_know_up_from_down() -> None:
    found = profile("c1ccccc1-c1ccccc1")
    np.testing.assert_allclose(found, np.roll(found, 6), atol=0.03)
    np.testing.assert_allclose(found[1:], found[1:][::-1], atol=0.03)


def test_the_profile_does_not_depend_on_the_shape_that_one_starts_from() -> None:
    """Hysteresis: an amide and a hydroxyl beside the bond have several branches."""
    profiles = [profile("OCCCC(=O)NC", TWELVE.model_copy(update={"conformers": 10}), bond=1, seed=seed) for seed in (0, 3)]
    np.testing.assert_allclose(profiles[0], profiles[1], atol=0.1)


def test_what_lies_beside_a_lower_branch_comes_down_to_it() -> None:
    """Nowhere can a point be lowered by the geometry of its neighbour."""
    molecule = Structure.from_smiles("OCC(=O)NC")
    torsion = rotatable(molecule)[0]
    found = scanned(MM(), molecule, torsion[None], TWELVE)
    bound = MM().bind(molecule)
    for move in (-1, 1):
        starts = [turned(molecule, place, torsion, np.radians(30.0 * move)) for place in found.places]
        again = relax(bound, np.array(starts), molecule.bonds, restraints=[Twist(np.tile(torsion, (12, 1)), np.radians(np.roll(found.angles, -move)))])
        energies = (again.energies + 2 * again.restraints - np.min(again.energies + 2 * again.restraints)) / KJ_PER_KCAL
        assert (np.roll(found.energies, -move) / KJ_PER_KCAL <= energies + 0.1).all()


class OneByOne(SO3LR):
    """SO3LR without its batches."""

    def bind(self, structure, atoms=None, device="auto"):
        inner = super().bind(structure, atoms, device)

        class Bound:
            card, provenance = inner.card, inner.provenance

            def __call__(self, positions, box=None) -> EnergyForces:
                return inner(positions)

        return Bound()


def test_a_network_gives_the_same_profile_whether_batched_or_one_by_one() -> None:
    batched, single = (profile("CNC=O", potential=potential) for potential in (SO3LR(), OneByOne()))
    np.testing.assert_allclose(batched, single, atol=0.02)


def test_water_and_gas_differ() -> None:
    gas, water = (profile("OCCO", TWELVE.model_copy(update={"medium": medium})) for medium in ("gas", "water"))
    assert np.abs(gas - water).max() > 0.5


def test_a_map_is_symmetric_where_the_molecule_is() -> None:
    pentane = Structure.from_smiles("CCCCC")
    found = scanned(MM(), pentane, rotatable(pentane), ScanProtocol(map_points=6, conformers=4)).energies / KJ_PER_KCAL
    np.testing.assert_allclose(found, found.T, atol=0.05)
    opposite = -np.arange(6) % 6
    np.testing.assert_allclose(found, found[opposite][:, opposite], atol=0.05)
    # g+g- brings the ends together: the pentane effect
    assert found[2, 4] > found[2, 2] + 0.8


class Broken(MM):
    """Bonds break wherever one looks."""

    def bind(self, structure, atoms=None, device="auto"):
        inner = super().bind(structure, atoms, device)

        class Bound:
            card, provenance = inner.card, inner.provenance

            def __call__(self, positions, box=None) -> EnergyForces:
                raise SimulationError("no solution")

        return Bound()


def test_no_energy_anywhere_is_a_sentence() -> None:
    with pytest.raises(SimulationError, match="to other bonds at every angle"):
        profile("CCCC", potential=Broken())


def test_a_kept_scan_is_found_again_by_its_key_only(tmp_path: Path) -> None:
    molecule = Structure.from_smiles("CCCC")
    found, path = scanned(MM(), molecule, rotatable(molecule), ScanProtocol(points=6, conformers=0)), tmp_path / "scan.npz"
    found.save(path, "key")
    again = Scanned.load(path, "key")
    assert again is not None
    assert (again.evaluations, again.notes, again.provenance) == (found.evaluations, found.notes, found.provenance)
    np.testing.assert_array_equal(again.energies, found.energies)
    assert Scanned.load(path, "other") is None
    path.write_bytes(path.read_bytes()[:-100])
    assert Scanned.load(path, "key") is None


# Profiles as numbers


def threefold(height: float = 3.0, shift: float = 0.0) -> np.ndarray:
    return height / 2 * (1 + np.cos(np.radians(3 * (ANGLES - shift))))


def test_minima_and_barriers_of_a_cosine() -> None:
    curve = threefold()
    assert sorted(ANGLES[minima(curve)].tolist()) == [-180.0, -60.0, 60.0]
    assert barrier(curve, ends(curve)) == pytest.approx(3.0)
    assert minima(curve + 0.05 * np.cos(np.radians(24 * ANGLES))).shape == (3,), "ripples are no minima"
    once = 1 - np.cos(np.radians(ANGLES))
    assert ends(once) == (12, 12)
    assert barrier(once, ends(once)) == pytest.approx(2.0)
    assert at(ANGLES, curve, np.array([-187.5, 172.5])) == pytest.approx([np.mean(curve[[0, -1]])] * 2)


def test_a_method_that_agrees_is_good_and_one_that_does_not_is_told_why() -> None:
    assert agreement(ANGLES, threefold() + 7.0, threefold(), 298.15).good
    assert agreement(ANGLES, threefold() + 7.0, threefold(), 298.15).rmse == pytest.approx(0.0, abs=1e-9)
    flipped = agreement(ANGLES, threefold(shift=60.0), threefold(), 298.15)
    assert flipped.rmse > 1.0
    assert any("too high" in reason for reason in flipped.reasons)
    assert any("too low" in reason for reason in flipped.reasons)
    stiff = agreement(ANGLES, threefold(6.0), threefold(), 298.15)
    assert stiff.reasons == ("its barrier is 6.0 instead of 3.0 kcal/mol",)
    assert agreement(ANGLES, threefold(9.5), threefold(14.0), 298.15).good, "neither barrier is ever crossed"
    gap = np.where(ANGLES == 0.0, np.nan, threefold())
    assert agreement(ANGLES, gap, threefold(), 298.15).good
    islands = np.where(np.isin(np.arange(24) % 8, (3, 4, 5)), threefold(), np.nan)
    assert np.isinf(barrier(islands, ends(islands)))
    assert agreement(ANGLES, islands, threefold(), 298.15).good
    assert agreement(ANGLES, threefold(), islands, 298.15).good


# Fragments

LIGAND = "CN1CCN(Cc2ccc(cc2)C(=O)Nc2ccc(C)c(Nc3nccc(n3)-c3cccnc3)c2)CC1"  # imatinib


def smiles(structure: Structure) -> str:
    from rdkit import Chem

    return Chem.MolToSmiles(Chem.RemoveHs(structure.to_rdkit()))


def test_what_is_cut_out_around_a_bond_is_what_a_chemist_would_draw() -> None:
    molecule = Structure.from_smiles(LIGAND)
    found = [smiles(around(molecule, torsion)[0]) for torsion in rotatable(molecule)]
    expected = ["CN1CCN(Cc2ccccc2)CC1", "CN1CCN(Cc2ccccc2)CC1", "CNC(=O)c1ccccc1", "CNc1cccc(NC(=O)c2ccccc2)c1", "CNc1cccc(NC(C)=O)c1"]
    assert found[:5] == expected
    for torsion in rotatable(molecule):
        fragment, atoms = around(molecule, torsion)
        assert [fragment.names[atom] for atom in atoms] == [molecule.names[atom] for atom in torsion]
        assert torsion_angles(fragment.positions[atoms]) == pytest.approx(torsion_angles(molecule.positions[torsion]))


def test_charges_stay_where_they_are() -> None:
    salt = Structure.from_smiles("C[N+](C)(C)CCCC(=O)[O-]")
    assert [around(salt, torsion)[0].charge for torsion in rotatable(salt)] == [1, 1, -1, -1]
    small = Structure.from_smiles("CCCO")
    assert around(small, rotatable(small)[0])[0] is small


def test_pieces_share_the_atoms_and_cut_no_amide() -> None:
    molecule = Structure.from_smiles(LIGAND)
    found = pieces(molecule)
    assert sorted(np.concatenate([piece.part.atoms for piece in found]).tolist()) == list(range(len(molecule)))
    assert "NC=O" in {smiles(piece.structure) for piece in found}
    for piece in found:
        np.testing.assert_allclose(piece.places(molecule.positions[None])[0], piece.structure.positions, atol=1e-9)
    moved = molecule.positions @ np.diag([1.0, -1.0, -1.0]) + 2.0
    energies = [MM().bind(piece.structure)(piece.places(place[None])[0]).energy for piece in found[:2] for place in (molecule.positions, moved)]
    assert energies[0] == pytest.approx(energies[1], abs=1e-6)
    assert energies[2] == pytest.approx(energies[3], abs=1e-6)


def test_a_drug_in_its_pose_can_be_cut() -> None:
    ligand = target("tyk2").ligand("ejm_31")
    assert smiles(around(ligand, rotatable(ligand)[0])[0]) == "CNC(=O)c1c(Cl)cccc1Cl"
    assert [smiles(piece.structure) for piece in pieces(replace(ligand, title=""))] == ["Clc1cccc(Cl)c1", "NC=O", "c1ccncc1", "CC(N)=O"]
