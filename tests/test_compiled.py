"""Compiled: machine code of the network gives what the equations give, for any molecule, and is never in the way."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from studio.doctor import compiled_packages
from studio.errors import MissingPackageError
from studio.io.bundled import MOLECULES
from studio.potentials import compiled
from studio.potentials.compiled import load_package, make_package
from studio.potentials.so3lr import SO3LR, BoundSO3LR
from studio.structure import Floats, Structure

pytestmark = pytest.mark.timeout(900)  # the first test compiles the network

MOLECULES_OF_ALL_SIZES = {
    "water": lambda: Structure.from_smiles("O"),
    "methane": lambda: Structure.from_smiles("C"),
    "aspirin": lambda: Structure.from_smiles("CC(=O)Oc1ccccc1C(=O)O"),
    "tyk2 ligand": lambda: MOLECULES["tyk2-ligand"](),
    "37 atoms, as the example": lambda: Structure.from_smiles("CCCCCCCCCCC(=O)OC"),
    "68 atoms": lambda: Structure.from_smiles("CCCCCCCCCCCCCCCCCCCCCC"),
    "two molecules": lambda: Structure.from_smiles("CCO.O"),
    "anion": lambda: Structure.from_smiles("CC(=O)[O-]"),
    "cation": lambda: Structure.from_smiles("C[NH3+]"),
}
"""5, 21, 32 and 68 atoms, charges, and sizes at which a compiler may take a number for a constant."""


def shaken(structure: Structure, count: int) -> Floats:
    """Geometries (count, n, 3), nm."""
    return structure.positions + np.random.default_rng(5).normal(scale=0.003, size=(count, *structure.positions.shape))


@pytest.fixture(params=list(MOLECULES_OF_ALL_SIZES))
def molecule(request: pytest.FixtureRequest) -> Structure:
    return MOLECULES_OF_ALL_SIZES[request.param]()


def fast(so3lr: SO3LR, structure: Structure) -> BoundSO3LR:
    """Bound, and certainly compiled."""
    bound = so3lr.bind(structure, device="cpu")
    bound(structure.positions)
    assert all(bound._compiled)
    return bound


def test_compiled_is_what_the_equations_say(compiled_so3lr: SO3LR, molecule: Structure) -> None:
    """In double precision, with all pairs and no table; energies count from a geometry, as in a simulation."""
    bound, exact = fast(compiled_so3lr, molecule), SO3LR(precision="float64").bind(molecule, device="cpu")
    places = shaken(molecule, 4)
    got, wanted = [bound(place) for place in places], [exact.plain(place) for place in places]
    shifts = np.array([[answer.energy - answers[0].energy for answer in answers] for answers in (got, wanted)])
    np.testing.assert_allclose(shifts[0], shifts[1], atol=0.02)
    for answer, reference in zip(got, wanted, strict=True):
        np.testing.assert_allclose(answer.forces, reference.forces, atol=0.5)


def test_compiled_is_the_network_that_it_replaces(compiled_so3lr: SO3LR, molecule: Structure) -> None:
    """Both in single precision: nothing but the order of sums may differ."""
    eager = SO3LR(compiled=False).bind(molecule, device="cpu")
    bound = fast(compiled_so3lr, molecule)
    for place in shaken(molecule, 3):
        got, wanted = bound(place), eager(place)
        assert got.energy == pytest.approx(wanted.energy, abs=0.02)
        np.testing.assert_allclose(got.forces, wanted.forces, atol=0.2)


def test_a_batch_is_its_molecules(compiled_so3lr: SO3LR, molecule: Structure) -> None:
    bound, places = fast(compiled_so3lr, molecule), shaken(molecule, 5)
    batch = bound.batch(places)
    single = [bound(place) for place in places]
    np.testing.assert_allclose(batch.energies, [answer.energy for answer in single], atol=0.02)
    np.testing.assert_allclose(batch.forces, [answer.forces for answer in single], atol=0.2)


def test_charges_are_told_apart(compiled_so3lr: SO3LR) -> None:
    """The total charge is an argument of the machine code, not a constant of the example, which is neutral."""
    acetate = Structure.from_smiles("CC(=O)[O-]")
    other = replace(acetate, formal_charges=-acetate.formal_charges)
    energies = [fast(compiled_so3lr, structure)(acetate.positions).energy for structure in (acetate, other)]
    assert abs(energies[0] - energies[1]) > 10.0


def test_calls_repeat_to_the_last_bit(compiled_so3lr: SO3LR, aspirin: Structure) -> None:
    bound = fast(compiled_so3lr, aspirin)
    first, again = bound(aspirin.positions), bound(aspirin.positions)
    assert first.energy == again.energy
    np.testing.assert_array_equal(first.forces, again.forces)


def test_a_single_atom_goes_the_plain_way(compiled_so3lr: SO3LR) -> None:
    """It has no pairs, which the machine code does not know."""
    ion = Structure.from_smiles("[Cl-]")
    answer = compiled_so3lr.bind(ion, device="cpu")(ion.positions)
    assert answer.energy == pytest.approx(SO3LR(compiled=False).bind(ion, device="cpu")(ion.positions).energy, abs=0.02)
    np.testing.assert_allclose(answer.forces, 0.0, atol=1e-6)


def test_double_precision_is_never_compiled(compiled_so3lr: SO3LR, aspirin: Structure) -> None:
    exact = SO3LR(precision="float64").bind(aspirin, device="cpu")
    exact(aspirin.positions)
    assert not any(exact._compiled)


def test_what_is_compiled_is_not_compiled_again(compiled_so3lr: SO3LR) -> None:
    before = [path.stat().st_mtime_ns for path in compiled_packages()]
    compiled_so3lr.compile()
    assert [path.stat().st_mtime_ns for path in compiled_packages()] == before


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test; gives the folder of packages."""
    monkeypatch.setenv("POTENTIAL_STUDIO_CACHE", str(tmp_path))
    folder = tmp_path / "compiled"
    folder.mkdir()
    return folder


def test_a_missing_compiler_is_a_sentence(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "compiler", lambda: None)
    with pytest.raises(MissingPackageError, match=r"^Without a C\+\+ compiler the network is not compiled; .* apt install g\+\+"):
        make_package(nothing, [], [], own_cache / "x.pt2")
    assert not list(own_cache.iterdir())


def nothing() -> tuple[()]:
    raise AssertionError("somebody else makes this package")


def test_a_package_that_another_process_makes_is_left_to_it(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "compiler", lambda: "c++")
    path, claim = own_cache / "x.pt2", own_cache / "x.claim"
    claim.touch()
    assert make_package(nothing, [], [], path) is False
    assert claim.exists(), "the claim is the other's"
    assert not path.exists()


def test_an_old_claim_is_taken_over(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever was killed while compiling must not stop all others for ever."""
    monkeypatch.setattr(compiled, "compiler", lambda: "c++")
    monkeypatch.setattr(compiled, "_compile", lambda _function, _example, _growing, part: part.write_bytes(b"code"))
    path, claim = own_cache / "x.pt2", own_cache / "x.claim"
    claim.touch()
    os.utime(claim, (0, 0))
    assert make_package(nothing, [], [], path) is True
    assert [entry.name for entry in own_cache.iterdir()] == ["x.pt2"]


def test_a_compiler_that_fails_leaves_nothing_behind(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a package would be run by all later processes."""

    def fail(_function: object, _example: object, _growing: object, part: Path) -> None:
        part.write_bytes(b"half")
        raise RuntimeError("internal compiler error")

    monkeypatch.setattr(compiled, "compiler", lambda: "c++")
    monkeypatch.setattr(compiled, "_compile", fail)
    with pytest.raises(RuntimeError):
        make_package(nothing, [], [], own_cache / "x.pt2")
    assert not list(own_cache.iterdir())


def flipped(content: bytes) -> bytes:
    """A bit of machine code in the middle."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _content: b"",
    "text": lambda _content: b"no archive" * 1000,
    "cut short": lambda content: content[: len(content) // 2],
    "a flipped bit": flipped,
}


@pytest.mark.parametrize("damage", ["empty", "text", "cut short", "a flipped bit"])
def test_a_damaged_package_is_not_used(
    compiled_so3lr: SO3LR, cache_folder: str, own_cache: Path, damage: str, aspirin: Structure, caplog: pytest.LogCaptureFixture
) -> None:
    """The run goes on the plain way, with a line in the log that says what to do."""
    for whole in (Path(cache_folder) / "compiled").glob("*.pt2"):
        (own_cache / whole.name).write_bytes(DAMAGES[damage](whole.read_bytes()))
    bound = compiled_so3lr.bind(aspirin, device="cpu")
    answer = bound(aspirin.positions)
    assert not any(bound._compiled)
    assert answer.energy == SO3LR(compiled=False).bind(aspirin, device="cpu")(aspirin.positions).energy
    assert "is not used; delete it and run `potential-studio compile`" in caplog.text


def test_code_of_somebody_else_is_not_run(compiled_so3lr: SO3LR, monkeypatch: pytest.MonkeyPatch) -> None:
    path = compiled_packages()[0]
    assert load_package(path) is not None
    monkeypatch.setattr(os, "getuid", lambda: path.stat().st_uid + 1)
    assert load_package(path) is None


def test_other_settings_are_another_package(compiled_so3lr: SO3LR, aspirin: Structure) -> None:
    """Cutoffs are constants of the machine code."""
    other = SO3LR(long_range_cutoff=1.0).bind(aspirin, device="cpu")
    other(aspirin.positions)
    assert not any(other._compiled)
