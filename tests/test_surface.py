"""Surfaces, shapes and gates: distances between distributions have their floor, basins their errors, and what is wrong does not pass."""

import numpy as np
import pytest
from pydantic import TypeAdapter

from studio.coarse.gates import FES, JS, Verdict, judge
from studio.coarse.mapping import map_protein
from studio.coarse.shape import bead_contacts, bond_lengths, mirror_share, mirrored, radius_of_gyration, rmsd, turns
from studio.errors import RegionError, SettingsError
from studio.observables import Dihedral, NativeContacts, Observable, RadiusOfGyration
from studio.structure import Residue, Structure
from studio.superpose import superposition
from studio.surface import RAMACHANDRAN, basins, fes_error, fes_floor, free_energies, jensen_shannon, js_floor, populations, thermal, torsion_surface
from studio.system import FromExample, System
from studio.tica import tica
from tests.torsion_frames import BASINS, beads, dipeptide_beads, dipeptide_frames, folding, helix, peptide_frames, placed, torsions


@pytest.fixture(scope="module")
def dipeptide() -> Structure:
    return dipeptide_beads()


@pytest.fixture(scope="module")
def reference() -> np.ndarray:
    return dipeptide_frames(20_000, 1)


# -- surfaces


def test_divergence_is_zero_of_itself_and_ln_2_of_strangers() -> None:
    """And between the two it is the published sum, worked out by hand."""
    p, q = np.array([0.5, 0.5, 0.0]), np.array([0.0, 0.5, 0.5])
    assert jensen_shannon(p, p) == 0.0
    assert jensen_shannon(np.array([1.0, 0.0]), np.array([0.0, 1.0])) == pytest.approx(np.log(2.0))
    assert jensen_shannon(p, q) == pytest.approx(0.5 * np.log(2.0))
    assert jensen_shannon(q, 7.0 * p) == pytest.approx(0.5 * np.log(2.0))  # symmetric, and of counts too


def test_independent_frames_of_one_distribution_are_as_far_apart_as_the_floor_says() -> None:
    """`coarse.md` quotes 0.021 for 1,000 frames of alanine dipeptide; the floor of two samples is higher."""
    p = torsion_surface(*torsions(400_000, 0)).probabilities
    seen = [jensen_shannon(p, torsion_surface(*torsions(1000, seed)).probabilities) for seed in range(1, 21)]
    assert js_floor(p, 1000) == pytest.approx(np.mean(seen), rel=0.05)
    assert 0.012 < js_floor(p, 1000) < 0.03
    pairs = [jensen_shannon(*(torsion_surface(*torsions(1000, seed)).probabilities for seed in (k, k + 100))) for k in range(20)]
    assert js_floor(p, 1000, others=1000) == pytest.approx(np.mean(pairs), rel=0.05)
    assert js_floor(p, 100_000) < 0.001


def test_free_energies_are_above_the_lowest_and_unknown_where_nothing_was() -> None:
    energies = free_energies(np.array([[0.6, 0.3], [0.1, 0.0]]), 300.0)
    assert energies[0, 0] == 0.0
    assert energies[0, 1] == pytest.approx(0.596161 * np.log(2.0), rel=1e-5)  # RT at 300 K, kcal/mol
    assert np.isnan(energies[1, 1])


def test_error_of_a_surface_counts_bins_that_the_reference_knows() -> None:
    """A bin with p = 0.0005 may be as wrong as it likes; one that is missing costs at least what half a frame would."""
    p = np.array([0.5, 0.4995, 0.0005])
    assert fes_error(p, np.array([0.25, 0.7495, 0.0005]), 300.0) == pytest.approx(thermal(300.0) * (np.log(2.0) + np.log(0.7495 / 0.4995)) / 2)
    assert fes_error(p, np.array([0.5, 0.4995, 0.3]), 300.0) == 0.0
    assert fes_error(p, np.array([0.9, 0.0, 0.1]), 300.0) > 0.5
    q = torsion_surface(*torsions(400_000, 0)).probabilities
    seen = [fes_error(q, torsion_surface(*torsions(5000, seed)).probabilities, 300.0) for seed in range(1, 11)]
    assert fes_floor(q, 5000, 300.0) == pytest.approx(np.mean(seen), rel=0.05)


def test_basins_do_not_overlap_and_hold_the_places_that_they_are_named_after() -> None:
    phi, psi = np.meshgrid(np.arange(-180.0, 180.0, 2.0), np.arange(-180.0, 180.0, 2.0))
    assert sum(patch.holds(phi, psi).astype(int) for patch in RAMACHANDRAN).max() == 1
    places = {"alpha-R": (-63.0, -43.0), "beta": (-139.0, 135.0), "PPII": (-75.0, 145.0), "alpha-L": (57.0, 47.0)}  # IUPAC 1970 and textbooks
    for patch in RAMACHANDRAN:
        assert [name for name, place in places.items() if patch.holds(*map(np.array, place))] == [patch.name]
    assert RAMACHANDRAN[1].holds(np.array(-150.0), np.array(-170.0))  # beta goes round the edge of the map


def test_basins_have_their_free_energies_within_their_errors() -> None:
    found = {basin.name: basin for basin in basins(torsion_surface(*torsions(4000, 5)), 300.0)}
    fullest = max(found.values(), key=lambda basin: basin.share)
    assert (fullest.free_energy, fullest.error) == (0.0, 0.0)
    far = found["alpha-L"]
    assert far.free_energy == pytest.approx(-thermal(300.0) * np.log(BASINS[3][0] / fullest.share), abs=3 * far.error)
    for name, share in (("alpha-R", BASINS[0][0]), ("alpha-L", BASINS[3][0])):
        assert found[name].share == pytest.approx(share, abs=0.02)
        binomial = np.sqrt(share * (1 - share) / 4000)
        assert found[name].share_error == pytest.approx(binomial, rel=0.2)


def test_errors_of_basins_are_those_of_runs_that_remember() -> None:
    """Frames of a slow two-state process: the scatter among runs is what one run says of itself, far above the naive error."""

    def run(seed: int) -> np.ndarray:
        flips = np.random.default_rng(seed).random(20_000) < 0.02
        return np.cumsum(flips) % 2 == 0

    told, seen = [], []
    for seed in range(30):
        state = run(seed)
        basin = populations(np.stack([state, ~state], axis=1), ("one", "other"), 300.0, above="one", seed=seed)[1]
        told.append(basin.error)
        seen.append(basin.free_energy)
    assert np.mean(told) == pytest.approx(np.std(seen), rel=0.4)
    assert np.mean(told) > 4 * thermal(300.0) * 2 / np.sqrt(20_000)


def test_what_was_hardly_seen_has_no_error_and_what_was_never_seen_no_energy() -> None:
    inside = np.zeros((1000, 3), dtype=np.bool_)
    inside[:, 0] = True
    inside[500, :2] = (False, True)
    usual, rare, never = populations(inside, ("usual", "rare", "never"), 300.0)
    assert usual.free_energy == 0.0
    assert rare.free_energy == pytest.approx(thermal(300.0) * np.log(999.0))
    assert rare.error is None
    assert (never.free_energy, never.error) == (None, None)


def test_tica_finds_the_slow_coordinate_and_gives_it_to_another_run() -> None:
    """One slow coordinate among fast ones that are larger, mixed: it is found again, with its memory, in frames that were not fitted."""
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(4, 6))

    def run(seed: int) -> tuple[np.ndarray, np.ndarray]:
        noise = np.random.default_rng(seed).normal(size=(5000, 4)) * np.array([1.0, 5.0, 5.0, 5.0])
        for k in range(1, len(noise)):
            noise[k, 0] += 0.98 * noise[k - 1, 0]
        return noise[:, 0], np.concatenate([noise @ mixing, np.ones((5000, 1))], axis=1)

    _, columns = run(1)
    slow, others = run(2)
    model = tica([columns], lag=5)
    found = model.project(others)
    assert found.shape == (5000, 2)
    assert abs(np.corrcoef(found[:, 0], slow)[0, 1]) > 0.99
    assert model.timescales[0] == pytest.approx(-1.0 / np.log(0.98), rel=0.2)
    with pytest.raises(SettingsError, match="Nothing moves"):
        tica([np.ones((100, 3))])
    with pytest.raises(SettingsError, match="too few"):
        tica([columns[:8]], lag=5)


# -- shapes


def test_atoms_and_backbone_beads_have_the_same_phi_and_psi() -> None:
    molecule = System(source=FromExample(name="alanine-dipeptide")).prepare()
    mapping = map_protein(molecule, "backbone")
    frames = molecule.positions + 0.01 * np.random.default_rng(0).normal(size=(20, len(molecule), 3))
    (atoms,), (five,) = turns(molecule), turns(mapping.beads)
    ours, theirs = atoms.surface(frames), five.surface(mapping.positions(frames))
    np.testing.assert_allclose(ours.x, theirs.x, atol=1e-9)
    np.testing.assert_allclose(ours.y, theirs.y, atol=1e-9)
    measure = Dihedral(atoms=atoms.first, names=("C", "N", "CA", "C"))
    assert ours.x[3] == pytest.approx(measure(frames[3]), abs=1e-6)
    assert not turns(System(source=FromExample(name="alanine-dipeptide")).prepare().take(np.arange(6)))


def test_torsions_that_were_put_in_come_out(dipeptide: Structure) -> None:
    phi, psi = torsions(200, 3)
    found = turns(dipeptide)[0].surface(placed(phi, psi, 3))
    np.testing.assert_allclose(found.x, phi, atol=1e-6)
    np.testing.assert_allclose(found.y, psi, atol=1e-6)
    np.testing.assert_allclose(bond_lengths(placed(phi, psi, 3, 0.0), dipeptide.bonds)[0], (0.133, 0.1455, 0.1525, 0.1335))


def test_alpha_beads_are_told_by_the_torsion_and_angle_of_their_chain() -> None:
    """An alpha helix is at 50 and 91 degrees there (Tozzini 2006)."""
    native = helix()
    found = turns(native)
    assert len(found) == len(native) - 3
    surface = found[4].surface(native.positions[None])
    assert surface.x[0] == pytest.approx(50.0, abs=3.0)
    assert surface.y[0] == pytest.approx(91.0, abs=3.0)


def test_size_and_deviation_are_those_of_one_frame_at_a_time() -> None:
    native = helix()
    frames = folding(native, np.arange(20) % 2 == 0, 0)
    measure = RadiusOfGyration.of(native, np.arange(len(native)))
    np.testing.assert_allclose(10.0 * radius_of_gyration(frames, np.full(len(native), 12.011)), [measure(frame) for frame in frames], rtol=1e-9)
    laid = [superposition(frame, native.positions)(frame) for frame in frames]
    wanted = [np.sqrt(((frame - native.positions) ** 2).sum(axis=1).mean()) for frame in laid]
    np.testing.assert_allclose(rmsd(frames, native.positions), wanted, rtol=1e-6)


def test_mirror_images_are_flagged_and_only_they() -> None:
    """A left-handed helix makes the same contacts at the same distances; what is unfolded has no hand."""
    native = helix()
    contacts = bead_contacts(native, native.positions)
    right = folding(native, np.ones(30, dtype=np.bool_), 1)
    left = right * np.array([1.0, 1.0, -1.0])
    assert contacts.fraction(left).min() > 0.9
    assert not mirrored(right, native.positions, contacts).any()
    assert mirrored(left, native.positions, contacts).all()
    assert not mirrored(folding(native, np.zeros(30, dtype=np.bool_), 1), native.positions, contacts).any()


def test_share_of_mirror_images_among_backbone_beads(dipeptide: Structure, reference: np.ndarray) -> None:
    turn, flip = turns(dipeptide)[0], np.array([1.0, 1.0, -1.0])
    other = dipeptide_frames(10_000, 9)
    for share in (0.0, 0.1, 1.0):
        frames = np.where(np.arange(len(other))[:, None, None] < share * len(other), other * flip, other)
        assert mirror_share(turn.surface(reference), turn.surface(frames)) == pytest.approx(share, abs=0.01)
    both = np.concatenate([reference, reference * flip])
    assert mirror_share(turn.surface(both), turn.surface(other)) is None


def test_contacts_and_size_of_beads_are_watched_while_they_move() -> None:
    """Q is near 1 at the start and falls when the helix is stretched, also after a way through JSON."""
    native = helix()
    size, contacts = RadiusOfGyration.of(native, np.arange(len(native))), NativeContacts.of(bead_contacts(native, np.asarray(native.positions)))
    again = TypeAdapter(Observable).validate_json(contacts.model_dump_json())
    again.check(native)
    frames = folding(native, np.array([True, False]), 0)
    assert again(frames[0]) > 0.9
    assert again(frames[1]) < 0.1
    assert size(frames[1]) > size(frames[0])
    with pytest.raises(RegionError, match="has 5 atoms"):
        contacts.check(native.take(np.arange(5)))


# -- gates


def failed(verdict: Verdict) -> set[str]:
    return {gate.name.split(" ")[0] for gate in verdict.gates if not gate.passed}


def test_frames_of_the_reference_pass_and_the_verdict_is_plain_data(dipeptide: Structure, reference: np.ndarray) -> None:
    verdict = judge(dipeptide_frames(10_000, 2), reference, dipeptide, 300.0)
    assert verdict.passed, verdict.sentence
    assert Verdict.model_validate_json(verdict.model_dump_json()) == verdict
    values = {gate.name: gate for gate in verdict.gates}
    assert values["Jensen-Shannon divergence, 20 x 20"].limit == JS
    assert values["free-energy surface, mean error (kcal/mol)"].value < 0.5 * FES
    assert "ALA A2" in verdict.gates[0].note
    assert np.sum(verdict.surfaces[0].model) == pytest.approx(1.0, abs=1e-4)


def test_few_frames_are_judged_by_three_times_their_floor(dipeptide: Structure, reference: np.ndarray) -> None:
    """200 frames of the reference are 0.07 apart from it, and pass by that gate; 200 of free torsions do not."""
    divergence = judge(dipeptide_frames(200, 3), reference, dipeptide, 300.0).gates[0]
    assert divergence.value > 2 * JS
    assert divergence.passed
    angles = np.random.default_rng(0).uniform(-180.0, 180.0, (2, 200))
    assert not judge(placed(*angles, 0), reference, dipeptide, 300.0).gates[0].passed


@pytest.mark.parametrize("control", ["prior only", "shuffled", "wider bonds", "mirror", "no helix", "tilted"])
def test_negative_controls_fail(control: str, dipeptide: Structure, reference: np.ndarray) -> None:
    """Each by the gate that is there for it."""
    phi, psi = torsions(10_000, 4)
    rng = np.random.default_rng(0)
    frames, gates = {
        "prior only": lambda: (placed(*rng.uniform(-180.0, 180.0, (2, 10_000)), 0), {"Jensen-Shannon", "free-energy", "free", "mirror"}),
        "shuffled": lambda: (placed(phi, rng.permutation(psi), 0), {"Jensen-Shannon", "free-energy", "free"}),
        "wider bonds": lambda: (placed(phi, psi, 0, 0.0045), {"width"}),
        "mirror": lambda: (placed(-phi, -psi, 0), {"Jensen-Shannon", "free-energy", "free", "mirror"}),
        "no helix": lambda: (placed(phi, np.where(np.abs(psi + 25) < 60, 150.0 + 0.0 * psi, psi), 0), {"Jensen-Shannon", "free-energy", "free"}),
        "tilted": lambda: (placed(phi[keep := (phi < 0) | (rng.random(10_000) < 0.5)], psi[keep], 0), {"free"}),
    }[control]()
    found = judge(frames, reference, dipeptide, 300.0)
    assert gates <= failed(found), found
    assert not found.passed


def test_the_worst_residue_is_named() -> None:
    """Of three residues only the second one is wrong."""
    chain = tuple(Residue("ALA", str(k + 1), "A") for k in range(5))
    peptide = beads(("N", "CA", "C") * 5, chain, np.repeat(np.arange(5), 3), np.cumsum(np.full((15, 3), 0.08), axis=0))

    def frames(seed: int, *, wrong: bool = False) -> np.ndarray:
        pairs = [torsions(4000, 50 * seed + residue) for residue in range(5)]
        pairs[2] = tuple(np.random.default_rng(seed).uniform(-180.0, 180.0, (2, 4000))) if wrong else pairs[2]
        return peptide_frames(pairs, seed)

    assert judge(frames(1), frames(2), peptide, 300.0).passed
    verdict = judge(frames(3, wrong=True), frames(2), peptide, 300.0)
    assert verdict.gates[0].note.startswith("ALA A3")
    assert verdict.surfaces[0].name == "ALA A3"
    assert len(verdict.surfaces) == 3


def test_alpha_beads_are_judged_by_their_fold_too() -> None:
    """Right, unfolded too often, far from the native structure, and its mirror image."""
    native = helix(10)
    states = np.cumsum(np.random.default_rng(0).random(6000) < 0.02) % 2 == 0
    reference = folding(native, states, 1)

    def verdict(frames: np.ndarray) -> Verdict:
        return judge(frames, reference, native, 300.0, native=native.positions)

    right = verdict(folding(native, np.roll(states, 100), 2))
    assert right.passed, right
    assert right.surfaces[0].name == "the slowest coordinates"
    rare = folding(native, states & (np.arange(6000) % 2 == 0), 3)
    assert "folded" in failed(verdict(rare))
    assert "mirror" in failed(verdict(folding(native, states, 4) * np.array([1.0, 1.0, -1.0])))
    none = verdict(folding(native, np.zeros(6000, dtype=np.bool_), 5))
    assert next(gate for gate in none.gates if gate.name.startswith("mirror")).value is None
    assert not none.passed


def test_frames_of_other_beads_are_refused(dipeptide: Structure, reference: np.ndarray) -> None:
    with pytest.raises(SettingsError, match="frames of 5 beads"):
        judge(reference[:, :4], reference, dipeptide, 300.0)
    with pytest.raises(SettingsError, match="at least"):
        judge(reference[:10], reference, dipeptide, 300.0)
    with pytest.raises(SettingsError, match="not numbers"):
        judge(np.where(np.arange(20_000)[:, None, None] == 7, np.nan, reference), reference, dipeptide, 300.0)
