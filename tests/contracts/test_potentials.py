"""The shipped contract checks over every registered potential, and each network against an independent implementation."""

import contextlib
import io
import subprocess
import sys
import warnings
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from studio import plugins
from studio.errors import SimulationError, UnsupportedError
from studio.potentials import aimnet2, so3lr
from studio.potentials.aimnet2 import AIMNet2, AIMNet2Ensemble
from studio.potentials.base import Batch, Batched, Charged, Ensemble, Response
from studio.potentials.catalogue import ready_cards
from studio.potentials.openmmml_models import ROWS
from studio.potentials.so3lr import SO3LR
from studio.potentials.xtb import GFN2xTB
from studio.structure import Structure
from studio.testing import (
    acetate,
    check_batch,
    check_forces,
    check_members,
    check_potential,
    check_response,
    check_settings,
    formaldehyde,
    methylammonium,
    water,
    water_dimer,
)
from studio.units import KJ_PER_EV, NM_PER_ANGSTROM

LIGAND = "O=C(Nc1ccnc(NC(C)=O)c1)c1c(Cl)cccc1Cl"


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Tiny molecules: a second thread only waits for the first, and for whatever else the machine does."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def ligand():
    return Structure.from_smiles(LIGAND)


@contextlib.contextmanager
def untouched_torch():
    """so3krates-torch prints, warns and changes torch's defaults: undo it."""
    dtype, options = torch.get_default_dtype(), dict(vars(torch._tensor_str.PRINT_OPTS))
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_printoptions(**options)


@pytest.fixture(scope="module")
def calculators():
    """so3krates-torch's own ASE calculator, by precision."""
    with untouched_torch():
        from so3krates_torch.calculator.so3 import SO3LRCalculator

        return {precision: SO3LRCalculator(default_dtype=precision) for precision in ("float32", "float64")}


def reference(calculator, structure, precision="float64"):
    from ase import Atoms

    atoms = Atoms(numbers=structure.numbers, positions=structure.positions / NM_PER_ANGSTROM)
    atoms.info["charge"] = float(structure.charge)
    with untouched_torch():
        torch.set_default_dtype(getattr(torch, precision))
        atoms.calc = calculator[precision]
        return atoms.get_potential_energy() * KJ_PER_EV, atoms.get_forces() * KJ_PER_EV / NM_PER_ANGSTROM, atoms.calc.results["partial_charges"]


# What OpenMM-ML computes comes in the precision that it chose (tests/test_models.py checks the adapter).
@pytest.mark.parametrize("name", sorted(set(ready_cards()) - set(ROWS)))
def test_contract(name):
    check_potential(plugins.load("studio.potentials", name)())


def test_what_is_shipped_is_ready():
    assert {"so3lr", "aimnet2", "aimnet2-ensemble", "gfn2-xtb"} <= set(ready_cards())


@pytest.mark.parametrize("potential", [SO3LR(), AIMNet2(), GFN2xTB()], ids=lambda p: p.card.name)
@pytest.mark.parametrize("make", [acetate, methylammonium, water_dimer], ids=lambda f: f.__name__)
def test_contract_on_ions_and_on_several_molecules(potential, make):
    check_potential(potential, make())


@pytest.mark.parametrize("smiles", ["[H][H]", "[Cl-]", "CS(=O)(=O)[O-]", "COP(=O)([O-])[O-]", "FC(F)Cl", "C[N+](C)(C)CCO"])
def test_so3lr_equals_its_authors_code(calculators, smiles):
    structure = Structure.from_smiles(smiles)
    bound = SO3LR(precision="float64").bind(structure)
    if len(structure) == 1:  # which their neighbour list does not accept
        assert bound(structure.positions).energy == bound.plain(structure.positions).energy
        return
    energy, forces, charges = reference(calculators, structure)
    for mine in (bound(structure.positions), bound.plain(structure.positions)):
        assert mine.energy == pytest.approx(energy, abs=1e-6)
        np.testing.assert_allclose(mine.forces, forces, atol=1e-4)
    np.testing.assert_allclose(bound.partial_charges(structure.positions), charges, atol=1e-5)


def test_so3lr_equals_its_authors_code_for_a_ligand(calculators, ligand):
    energy, forces, _ = reference(calculators, ligand)
    double, single = (SO3LR(precision=precision).bind(ligand)(ligand.positions) for precision in ("float64", "float32"))
    assert double.energy == pytest.approx(energy, abs=1e-6)
    np.testing.assert_allclose(double.forces, forces, atol=1e-4)
    assert single.energy == pytest.approx(energy, abs=0.01)
    np.testing.assert_allclose(single.forces, forces, atol=0.1)
    np.testing.assert_allclose(single.forces, reference(calculators, ligand, "float32")[1], atol=0.2)


def test_so3lr_fast_equals_plain(ligand):
    bound = SO3LR().bind(ligand)
    for shake in np.random.default_rng(0).normal(scale=0.005, size=(5, len(ligand), 3)):
        fast, plain = bound(ligand.positions + shake), bound.plain(ligand.positions + shake)
        assert fast.energy == pytest.approx(plain.energy, abs=0.01)
        np.testing.assert_allclose(fast.forces, plain.forces, atol=0.2)


@pytest.mark.parametrize("smiles", [LIGAND, "CCCCCCCC(=O)[O-]"])
def test_so3lr_single_precision_resolves_energy_differences(smiles):
    conformers = [Structure.from_smiles(smiles, seed=seed) for seed in range(3)]
    energies = np.array([[SO3LR(precision=p).bind(c)(c.positions).energy for c in conformers] for p in ("float32", "float64")])
    shifted = energies - energies[:, :1]
    np.testing.assert_allclose(shifted[0], shifted[1], atol=0.02)


def test_aimnet2_adds_free_atom_energies_in_double_precision(ligand):
    """Against the file as it is, whose float32 sums are coarse, and against itself for smoothness, which they are not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        model = torch.jit.load(io.BytesIO(aimnet2.read_verified(aimnet2.WEIGHTS)))
    place = torch.tensor(ligand.positions / NM_PER_ANGSTROM, dtype=torch.float32)[None].requires_grad_()
    energy = model({"coord": place, "numbers": torch.tensor(ligand.numbers)[None], "charge": torch.zeros(1)})["energy"]
    (gradient,) = torch.autograd.grad(energy.sum(), place)
    bound = AIMNet2().bind(ligand)
    mine = bound(ligand.positions)
    assert mine.energy == pytest.approx(energy.item() * KJ_PER_EV, abs=2.0)
    np.testing.assert_allclose(mine.forces, -gradient[0].numpy() * KJ_PER_EV / NM_PER_ANGSTROM, atol=0.2)
    line = np.array([bound(ligand.positions * (1 + step * 1e-5)).energy for step in range(9)])
    assert np.abs(np.diff(line, 3)).max() < 0.02


def test_aimnet2_batch_equals_single_and_is_cut_into_portions(ligand, monkeypatch):
    bound = AIMNet2().bind(ligand)
    places = ligand.positions + np.random.default_rng(0).normal(scale=0.005, size=(5, len(ligand), 3))
    whole = bound.batch(places)
    monkeypatch.setattr(aimnet2, "PAIRS_AT_ONCE", 2 * len(ligand) ** 2)
    cut = bound.batch(places)
    for answer in (whole, cut):
        np.testing.assert_allclose(answer.energies, [bound(place).energy for place in places], atol=0.005)
        np.testing.assert_allclose(answer.forces, [bound(place).forces for place in places], atol=0.05)


def test_aimnet2_ensemble_holds_the_published_first_member(ligand):
    """Its first member is the network that is offered alone; its mean is that of the four, not of four times one."""
    ensemble, single = AIMNet2Ensemble().bind(ligand), AIMNet2().bind(ligand)
    assert len(ensemble.members) == 4
    first, alone = ensemble.members[0](ligand.positions), single(ligand.positions)
    assert first.energy == alone.energy
    assert np.array_equal(first.forces, alone.forces)
    spread = np.std([member(ligand.positions).forces for member in ensemble.members], axis=0)
    assert 5.0 < np.sqrt((spread**2).mean()) < 200.0
    charges = ensemble.partial_charges(ligand.positions)
    np.testing.assert_allclose(charges, np.mean([member.partial_charges(ligand.positions) for member in ensemble.members], axis=0), atol=1e-6)


def test_aimnet2_ensemble_equals_its_own_program(ligand):
    """Against the ensemble's program as it is, which averages inside."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        model = torch.jit.load(io.BytesIO(aimnet2.read_verified(aimnet2.ENSEMBLE_WEIGHTS)))
    place = torch.tensor(ligand.positions / NM_PER_ANGSTROM, dtype=torch.float32)[None]
    out = model({"coord": place, "numbers": torch.tensor(ligand.numbers)[None], "charge": torch.zeros(1)})
    mine = AIMNet2Ensemble().bind(ligand)(ligand.positions)
    assert mine.energy == pytest.approx(out["energy"].item() * KJ_PER_EV, abs=2.0)
    np.testing.assert_allclose(mine.forces, out["forces"][0].numpy() * KJ_PER_EV / NM_PER_ANGSTROM, atol=0.2)


def test_aimnet2_responds_to_an_energy_of_charges_that_is_not_linear():
    """U = 500 (q_0^2 + q_1 q_2): its slope depends on the charges that the forward pass gave."""
    structure = acetate()
    bound = AIMNet2().bind(structure)

    def slope(charges, _ratios):
        by_charge = np.zeros(len(charges))
        by_charge[:3] = 1000.0 * charges[0], 500.0 * charges[2], 500.0 * charges[1]
        return by_charge, np.zeros(len(charges))

    def energy(place):
        answer = bound.respond(place, slope)
        return answer.energy + 500.0 * (answer.charges[0] ** 2 + answer.charges[1] * answer.charges[2])

    forces = bound.respond(structure.positions, slope).forces
    for atom, axis in ((0, 0), (1, 1), (2, 2), (4, 0)):
        shift = np.zeros_like(structure.positions)
        shift[atom, axis] = 1e-3
        near, far = ((energy(structure.positions + k * shift) - energy(structure.positions - k * shift)) for k in (1, 2))
        assert forces[atom, axis] == pytest.approx(-(8 * near - far) / 12e-3, abs=3.0)


def test_what_each_potential_offers():
    structure = water()
    offers = {type(p): tuple(isinstance(p.bind(structure), kind) for kind in (Charged, Batched, Ensemble)) for p in (AIMNet2(), AIMNet2Ensemble(), GFN2xTB())}
    assert offers == {AIMNet2: (True, True, False), AIMNet2Ensemble: (True, True, True), GFN2xTB: (False, False, False)}


def test_xtb_forces_in_double_precision():
    for structure in (formaldehyde(), acetate()):
        check_forces(GFN2xTB(accuracy=0.001).bind(structure), structure, tolerance=0.02)


def test_xtb_knows_unpaired_electrons_and_heavy_elements():
    """A methyl radical has one unpaired electron: promoting two more costs hundreds of kJ/mol."""
    methyl = Structure.from_smiles("[CH3]")
    doublet, quartet = (GFN2xTB().bind(replace(methyl, multiplicity=m))(methyl.positions).energy for m in (2, 4))
    assert quartet - doublet > 200.0
    iodide = Structure.from_smiles("[I-]")
    assert GFN2xTB().bind(iodide).partial_charges(iodide.positions) == pytest.approx([-1.0])


def test_xtb_survives_torn_molecules(caplog):
    """Minimisers try such geometries, most of which have no solution with cold electrons: the energy has to be there, and high."""
    caplog.set_level("INFO", logger="studio.potentials.xtb")
    whole = Structure.from_smiles("CCO")
    bound = GFN2xTB().bind(whole)
    for shake in np.random.default_rng(0).normal(scale=0.2, size=(8, len(whole), 3)):
        answer = bound(whole.positions + shake)
        assert answer.energy > bound(whole.positions).energy + 1000.0
        assert np.isfinite(answer.forces).all()
    assert "goes to 5000 K" in caplog.text


def test_xtb_is_silent_and_fails_in_a_sentence(capfd):
    structure = formaldehyde()
    GFN2xTB().bind(structure)(structure.positions)
    with pytest.raises(SimulationError, match=r"GFN2-xTB found no solution for these 4 atoms \(SCF not converged in 1 cycles\)"):
        GFN2xTB(iterations=1).bind(structure)(structure.positions)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("potential", [SO3LR(), AIMNet2(), GFN2xTB()], ids=lambda p: p.card.name)
def test_anion_and_cation_differ(potential):
    """The same atoms and positions with another total charge."""
    structure = formaldehyde()
    charged = [replace(structure, formal_charges=np.array([charge, 0, 0, 0])) for charge in (-2, 0, 2)]
    energies = sorted(potential.bind(ion)(structure.positions).energy for ion in charged)
    assert all(high - low > 10.0 for low, high in pairwise(energies))
    for ion in charged:
        assert potential.bind(ion).partial_charges(structure.positions).sum() == pytest.approx(ion.charge, abs=1e-3)


def test_so3lr_is_smooth_when_atoms_cross_the_cutoffs():
    """Two waters drawn apart through 0.45 nm and 1.2 nm: no step in energy or force where pairs leave the lists."""
    one = water()
    pair = one.join(one)
    bound = SO3LR(precision="float64").bind(pair)
    for cutoff in (0.45, 1.2):
        for centre in (cutoff, cutoff + 0.05, cutoff - 0.05):
            distances = centre + np.arange(-6, 7) * 1e-5
            results = [bound(np.concatenate((one.positions, one.positions + np.array([0.0, 0.0, distance])))) for distance in distances]
            energies, pulls = np.array([r.energy for r in results]), np.array([r.forces[:3, 2].sum() for r in results])
            # An atom moves 1e-5 nm: by the force the energy changes smoothly, and the force by its slope.
            np.testing.assert_allclose(np.diff(energies), 1e-5 * (pulls[1:] + pulls[:-1]) / 2, atol=1e-7)
            assert np.abs(np.diff(pulls, 2)).max() < 0.01


def test_so3lr_distant_molecules_do_not_interact():
    one = water()
    pair = one.join(one.with_positions(one.positions + np.array([0.0, 0.0, 3.0])))
    bound, single = SO3LR(precision="float64").bind(pair), SO3LR(precision="float64").bind(one)
    np.testing.assert_allclose(bound(pair.positions).forces[:3], single(one.positions).forces, atol=1e-8)
    assert bound(pair.positions).energy == pytest.approx(2 * single(one.positions).energy, abs=1e-6)


def test_so3lr_does_not_depend_on_what_was_evaluated_before():
    pair = water_dimer()
    bound = SO3LR().bind(pair)
    here = bound(pair.positions)
    bound(np.concatenate((pair.positions[:3], pair.positions[3:] + 2.0)))
    again = bound(pair.positions)
    assert again.energy == here.energy
    assert np.array_equal(again.forces, here.forces)


def test_so3lr_works_inside_no_grad_and_leaves_torch_alone():
    structure = water()
    before = torch.get_default_dtype(), dict(vars(torch._tensor_str.PRINT_OPTS)), torch.get_num_threads(), torch.get_rng_state()
    with torch.no_grad():
        SO3LR().bind(structure)(structure.positions)
        AIMNet2().bind(structure)(structure.positions)
    assert before[:3] == (torch.get_default_dtype(), dict(vars(torch._tensor_str.PRINT_OPTS)), torch.get_num_threads())
    assert torch.equal(before[3], torch.get_rng_state())


def test_so3lr_long_range_settings_matter():
    pair = water_dimer()
    far = np.concatenate((pair.positions[:3], pair.positions[3:] + np.array([0.0, 0.0, 0.5])))
    usual, short = (SO3LR(precision="float64", long_range_cutoff=cutoff).bind(pair)(far).energy for cutoff in (1.2, 0.6))
    assert usual != pytest.approx(short, abs=1e-3)
    with pytest.raises(ValueError, match="long_range_damping has to be smaller"):
        SO3LR(long_range_cutoff=0.2, long_range_damping=0.3)


@pytest.mark.parametrize("module", [so3lr, aimnet2])
@pytest.mark.parametrize("smiles", ["[Na+]", "[CH3]", "[O][O]"])
def test_refused_before_weights_load(module, smiles, monkeypatch):
    def never(*_):
        raise AssertionError("the weights were read")

    monkeypatch.setattr(module, "read_verified", never)
    potential = SO3LR() if module is so3lr else AIMNet2()
    with pytest.raises(UnsupportedError):
        potential.bind(Structure.from_smiles(smiles))


@pytest.mark.parametrize("smiles", ["C[Si](C)(C)C", "OB(O)O"])
def test_so3lr_refuses_elements_that_aimnet2_takes(smiles, monkeypatch):
    structure = Structure.from_smiles(smiles)
    assert np.isfinite(AIMNet2().bind(structure)(structure.positions).energy)
    monkeypatch.setattr(so3lr, "read_verified", lambda *_: pytest.fail("the weights were read"))
    with pytest.raises(UnsupportedError, match="SO3LR does not know"):
        SO3LR().bind(structure)


def test_importing_potentials_loads_no_network():
    heavy = ("torch", "so3krates_torch", "Auto3D", "ase", "openmm", "openmmml", "tblite")
    code = "from studio import plugins; [plugins.load('studio.potentials', name)().card for name in plugins.names('studio.potentials')]"
    code = f"{code}; import sys; print(sorted(set({heavy}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_checks_catch_a_broken_potential():
    """The shipped checks are worth something: wrong forces and thawed settings are found."""
    structure = water()
    bound = SO3LR(precision="float64").bind(structure)

    class Wrong:
        card, provenance = bound.card, bound.provenance

        def __call__(self, positions, box=None):
            energy, forces = bound(positions, box)
            return type(bound(positions))(energy, forces * 1.01)

    with pytest.raises(AssertionError, match="minus the slope"):
        check_forces(Wrong(), structure, tolerance=0.02)
    with pytest.raises(AssertionError, match="frozen"):
        check_settings(type("Thawed", (SO3LR,), {"model_config": {"frozen": False}})())


def test_checks_catch_a_broken_batch_response_and_ensemble():
    structure = water()
    bound = AIMNet2().bind(structure)

    class Wrong:
        card, provenance, partial_charges, members = bound.card, bound.provenance, bound.partial_charges, (bound, bound)
        __call__ = staticmethod(bound.__call__)

        def batch(self, positions):
            energies, forces = bound.batch(positions)
            return Batch(energies[::-1], forces)

        def respond(self, positions, sensitivity):
            answer = bound.respond(positions, lambda q, h: (np.zeros_like(q), np.zeros_like(h)))
            sensitivity(answer.charges, answer.ratios)
            return Response(*answer)

    for check, sentence in (
        (check_batch, "same energies in a batch"),
        (lambda b, s: check_response(b, s, 5.0), "how its charges and ratios change"),
        (check_members, "have to differ"),
    ):
        with pytest.raises(AssertionError, match=sentence):
            check(Wrong(), structure)
