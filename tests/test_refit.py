"""Refit: the fitted inner force is one function with one slope, knows no frame of reference, and takes most of the bracket away."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

import studio.hybrid.refit as module
from studio import cache
from studio.files import cache_folder
from studio.forcefield import parametrise
from studio.hybrid.boundary import cap
from studio.hybrid.inner import InnerForce, refit
from studio.hybrid.refit import FAMILIES, Refit, Report, fit
from studio.hybrid.schedule import Schedule
from studio.io.bundled import MOLECULES
from studio.potentials.so3lr import SO3LR
from studio.structure import Floats, Structure
from tests.moving_systems import Counted, Moving, few_samples, quick_refit


def geometries(structure: Structure, count: int, size: float, seed: int = 0) -> Floats:
    """Shaken geometries (count, n, 3), nm; with `size` above 0.01 nm many displacements are beyond the fit's limit."""
    return structure.positions + np.random.default_rng(seed).normal(scale=size, size=(count, *structure.positions.shape))


@pytest.fixture(scope="module")
def ethanol_alone(exact_ethanol: Moving) -> Structure:
    return exact_ethanol.part.structure


@pytest.fixture(scope="module")
def inner_force(exact_ethanol: Moving) -> InnerForce:
    return InnerForce(exact_ethanol.refit, len(exact_ethanol.part.seen))


def test_what_openmm_applies_is_what_was_fitted(exact_ethanol: Moving, ethanol_alone: Structure, inner_force: InnerForce) -> None:
    """Torch makes the least squares, OpenMM the motion: an expression that differs would leave its difference in the outer force."""
    places = geometries(ethanol_alone, 5, 0.01)
    fitted = sum(module._design(terms.family, terms.atoms, terms.zeros, places) @ terms.coefficients.ravel() for terms in exact_ethanol.refit.terms)
    applied = np.array([inner_force(place).forces for place in places])
    assert np.abs(applied).max() > 1000.0
    np.testing.assert_allclose(applied, fitted.reshape(applied.shape), atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.atoms.__name__.strip("_"))
def test_each_expression_is_its_features_with_coefficients(family: module.Family, aspirin: Structure) -> None:
    """Ethanol has no planes, and fitted coefficients may be small: each expression with coefficients of one size."""
    rng, atoms = np.random.default_rng(1), family.atoms(aspirin)
    places = geometries(aspirin, 3, 0.01)
    zeros = module._zeros(family, atoms, places)
    columns = module._design(family, atoms, zeros, places)
    terms = module.Terms(family, atoms, zeros, rng.normal(size=(len(atoms), columns.shape[1] // len(atoms))))
    applied = InnerForce(Refit((terms,), Report(1.0, 1.0)), len(aspirin))
    np.testing.assert_allclose(np.concatenate([applied(place).forces.ravel() for place in places]), columns @ terms.coefficients.ravel(), atol=1e-6)


def test_forces_are_minus_the_gradient(ethanol_alone: Structure, inner_force: InnerForce) -> None:
    """Otherwise the inner force heats or cools, however well it was fitted."""
    place, step = geometries(ethanol_alone, 1, 0.005)[0], 1e-6
    forces = inner_force(place).forces
    for index in np.ndindex(place.shape):
        shift = np.zeros_like(place)
        shift[index] = step
        slope = (inner_force(place + shift).energy - inner_force(place - shift).energy) / (2 * step)
        assert forces[index] == pytest.approx(-slope, abs=1e-3)


def test_energy_knows_no_place_and_no_direction(ethanol_alone: Structure, inner_force: InnerForce) -> None:
    """A frame of its own would push or turn the region as a whole."""
    place = geometries(ethanol_alone, 1, 0.005)[0]
    turn = Rotation.random(rng=3).as_matrix()
    before, after = inner_force(place), inner_force(place @ turn.T + [1.0, -2.0, 3.0])
    assert after.energy == pytest.approx(before.energy, abs=1e-9)
    np.testing.assert_allclose(after.forces, before.forces @ turn.T, atol=1e-6)
    np.testing.assert_allclose(before.forces.sum(axis=0), 0.0, atol=1e-8)
    np.testing.assert_allclose(np.cross(place, before.forces).sum(axis=0), 0.0, atol=1e-8)


def test_forces_of_its_own_kind_are_found_again(ethanol_alone: Structure, inner_force: InnerForce) -> None:
    """What the terms can describe they must find, at their own reference values: a wrong index or weight would leave most of it."""
    places = geometries(ethanol_alone, 120, 0.005)

    def fitted(force: InnerForce) -> Refit:
        return fit(ethanol_alone, places, np.array([force(place).forces for place in places]), 40)

    known = InnerForce(fitted(inner_force), len(ethanol_alone))
    again = fitted(known)
    assert again.report.ratio < 0.03
    unseen = geometries(ethanol_alone, 1, 0.005, seed=9)[0]
    np.testing.assert_allclose(InnerForce(again, len(unseen))(unseen).forces, known(unseen).forces, atol=0.1 * again.report.before)


@pytest.mark.parametrize("name", ["alanine-dipeptide", "tyk2-ligand"])
def test_most_of_the_bracket_is_gone(name: str) -> None:
    """Judged on geometries that the fit never saw. What is left limits the outer step."""
    mm = parametrise(MOLECULES[name]())
    part = cap(mm.structure, np.arange(len(mm.structure)))
    network = SO3LR().bind(part.structure, device="cpu")
    report = refit(mm, part, network).report
    assert 400.0 < report.before < 1500.0, "the bracket of a drug-like molecule as the force field comes, kJ/mol/nm"
    assert report.ratio <= 0.3


def test_held_out_geometries_are_not_fitted(ethanol_alone: Structure) -> None:
    """With fewer geometries than coefficients noise can be fitted, but not foretold: the report must show that."""
    rng = np.random.default_rng(2)
    places = geometries(ethanol_alone, 12, 0.005)
    report = fit(ethanol_alone, places, rng.normal(size=places.shape), 6).report
    assert report.ratio > 1.0


def arrays_equal(first: Refit, second: Refit) -> bool:
    one, other = first.to_arrays(), second.to_arrays()
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def test_arrays_keep_everything(exact_ethanol: Moving, ethanol_alone: Structure, inner_force: InnerForce) -> None:
    again = Refit.from_arrays(exact_ethanol.refit.to_arrays())
    assert arrays_equal(again, exact_ethanol.refit)
    place = geometries(ethanol_alone, 1, 0.005)[0]
    np.testing.assert_array_equal(InnerForce(again, len(place))(place).forces, inner_force(place).forces)


def kept_refit(moving: Moving, temperature: float = 300.0) -> tuple[Refit, int]:
    """The refit as a schedule gets it, and the network calls that this took."""
    network = Counted(moving.potential)
    with few_samples(10, 20, 5):
        motion = Schedule().motion(moving.mm, [(moving.part, network)], temperature, lambda _fraction, _sentence: None)
    return motion.refits[0], network.calls


@pytest.fixture
def empty_cache(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POTENTIAL_STUDIO_CACHE", str(tmp_path))


@pytest.mark.usefixtures("empty_cache")
def test_a_refit_is_made_once(exact_ethanol: Moving) -> None:
    made, calls = kept_refit(exact_ethanol)
    assert calls == 30
    again, calls = kept_refit(exact_ethanol, 280.0)
    assert calls == 0, "a slightly colder run takes the same refit"
    assert arrays_equal(made, again)
    _, calls = kept_refit(exact_ethanol, 301.0)
    assert calls == 30, "a hotter run sees geometries that the refit never saw"


def cut_short(content: bytes) -> bytes:
    return content[: len(content) // 2]


def one_value(content: bytes) -> bytes:
    return content[:300] + bytes([content[300] ^ 0xFF]) + content[301:]


def unknown_compression(content: bytes) -> bytes:
    """A byte of the last entry of the archive's directory."""
    place = content.rindex(b"PK\x01\x02") + 10
    return content[:place] + b"\x55" + content[place + 1 :]


def no_families(content: bytes) -> bytes:
    return content.replace(b"families", b"familiez")


def nothing(_content: bytes) -> bytes:
    return b""


@pytest.mark.usefixtures("empty_cache")
@pytest.mark.parametrize("damage", [cut_short, one_value, unknown_compression, no_families, nothing])
def test_a_damaged_refit_is_made_again(exact_ethanol: Moving, damage: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture) -> None:
    made, _ = kept_refit(exact_ethanol)
    (entry,) = cache_folder().glob("*.npz")
    whole = entry.read_bytes()
    entry.write_bytes(damage(whole))
    again, calls = kept_refit(exact_ethanol)
    assert calls == 30
    assert arrays_equal(again, made), "the same samples and the same fit"
    assert "damaged" in caplog.text
    assert cache.load_arrays(entry.stem), "the entry is whole again"


@pytest.mark.parametrize("smiles", ["O", "CC#N", "C#C", "C1CC1", "[NH4+]", "C(=O)[O-]"])
def test_odd_shapes_are_fitted(smiles: str) -> None:
    """Linear angles, rings of three, no torsion, an ion: terms without a slope would make the fit, or the motion, not a number."""
    mm = parametrise(Structure.from_smiles(smiles))
    part = cap(mm.structure, np.arange(len(mm.structure)))
    made = quick_refit(mm, part, SO3LR().bind(part.structure, device="cpu"))
    assert made.report.ratio < 0.8
    for place in (mm.structure.positions, geometries(mm.structure, 1, 0.01)[0]):
        energy, forces = InnerForce(made, len(place))(place)
        assert np.isfinite(energy)
        assert np.isfinite(forces).all()


def fitted_to_the_network(structure: Structure) -> Refit:
    network = SO3LR().bind(structure, device="cpu")
    places = geometries(structure, 30, 0.003)
    return fit(structure, places, np.array([network(place).forces for place in places]), 10)


def test_a_single_bond_is_fitted() -> None:
    nitrogen = Structure.from_smiles("N#N").with_positions(np.array([[0.0, 0.0, 0.0], [0.11, 0.0, 0.0]]))
    made = fitted_to_the_network(nitrogen)
    assert [terms.atoms.tolist() for terms in made.terms] == [[[0, 1]]]
    assert made.report.ratio < 0.05
    assert made.lengths(np.array([7, 4])) == {frozenset((4, 7)): pytest.approx(0.11, abs=0.002)}


def test_a_lone_ion_has_nothing_to_fit() -> None:
    made = fitted_to_the_network(Structure.from_smiles("[Cl-]"))
    assert made.terms == ()
    assert made.report == Report(0.0, 0.0)
    assert made.report.ratio == 1.0
    assert made.lengths(np.array([4])) == {}
    assert InnerForce(made, 1)(np.zeros((1, 3))).energy == 0.0
    assert Refit.from_arrays(made.to_arrays()).terms == ()
