"""Electrostatic embedding: the region's predicted charges and polarisabilities among MM charges.

The molecules: formamide among waters, a covalent inhibitor with a cut, a TYK2 inhibitor in periodic water; the network is
SO3LR in double precision.
"""

from dataclasses import dataclass, replace

import numpy as np
import openmm
import pytest

from studio.errors import SettingsError, UnsupportedError
from studio.forcefield import MMSystem, parametrise
from studio.hybrid.boundary import Part, cap
from studio.hybrid.coupling import LAMBDA, LAMBDA_ELEC, couple_fragments, energy_forces
from studio.hybrid.embedding import Electrostatic, Embedded, Embedding, mm_charges, radial, surroundings, thole_tensor
from studio.hybrid.view import View
from studio.hybrid.whole import minimum_image
from studio.potentials.free_atoms import FREE_ATOMS
from studio.structure import Floats, Structure
from studio.system import EXAMPLES
from studio.units import COULOMB, NM_PER_BOHR
from tests.hybrid_systems import Cut, bind, context, covalent_inhibitor, evaluate, shaken, water, worst_slope_error

SETTINGS = [Electrostatic(polarisation, 0.6) for polarisation in ("none", "P1", "P2")]
"""The waters of the molecules below lie within and beyond this cutoff."""

NO_CUTOFF = 1e5


@dataclass(frozen=True)
class Charges:
    """A network's answer, held while atoms move."""

    charges: Floats
    ratios: Floats


@pytest.fixture(scope="module")
def cluster() -> Cut:
    mm = parametrise(Structure.from_smiles("NC=O").join(water(0.5, 0, 0), water(0, 0.45, 0.1), water(-0.2, 0.1, 0.5)))
    return Cut(mm, np.arange(6))


@pytest.fixture(scope="module")
def inhibitor() -> Cut:
    return covalent_inhibitor()


@pytest.fixture(scope="module")
def box() -> Cut:
    mm = EXAMPLES["tyk2-water"].system.parametrise()
    return Cut(mm, mm.structure.molecules[0])


@pytest.fixture(params=SETTINGS, ids=lambda settings: settings.polarisation)
def settings(request: pytest.FixtureRequest) -> Electrostatic:
    return request.param


def asked(part: Part) -> Charges:
    got: list[Charges] = []

    def listen(charges: Floats, ratios: Floats) -> tuple[Floats, Floats]:
        got.append(Charges(charges, ratios))
        return np.zeros_like(charges), np.zeros_like(ratios)

    bind(part).respond(part.structure.positions, listen)
    return got[0]


def embed(mm: MMSystem, part: Part, positions: Floats, answer: Charges, settings: Electrostatic) -> Embedded:
    region = part.whole(positions[part.seen], mm.structure.box)[: len(part.atoms)]
    return Embedding(mm, part, surroundings(mm, [part]), settings)(region, positions, mm.structure.box, answer.charges, answer.ratios)


@pytest.mark.parametrize("name", ["cluster", "inhibitor"])
def test_forces_are_minus_the_gradient(name: str, settings: Electrostatic, request: pytest.FixtureRequest) -> None:
    """Region (charges change with it), waters around the cutoff, both ends of the cut, and a neighbour whose charge was shifted."""
    cut = request.getfixturevalue(name)
    part = cap(cut.mm.structure, cut.atoms)
    place = context(cut.model(electrostatic=settings).system)
    beside = np.setdiff1d(cut.mm.structure.bonds[np.isin(cut.mm.structure.bonds, part.hosts).any(axis=1)].ravel(), [*part.atoms, *part.hosts])
    atoms = [*part.atoms[:2], *part.atoms[part.inner], *part.hosts, *beside[:2], len(cut.mm.structure) - 1, len(cut.mm.structure) - 6]
    assert worst_slope_error(place, shaken(cut.mm.structure), atoms) < 0.02


@pytest.mark.parametrize("link", ["fixed", "scaled"])
def test_forces_where_the_lambdas_differ(inhibitor: Cut, link: str) -> None:
    """The forces of changing charges go with lambda_elec, those of the network itself with lambda_nnp."""
    model = inhibitor.model(link, electrostatic=SETTINGS[2])
    place = context(model.system)
    place.setParameter(LAMBDA, 0.3)
    place.setParameter(LAMBDA_ELEC, 0.8)
    part = model.correction.fragments[0].part
    assert worst_slope_error(place, shaken(inhibitor.mm.structure), [*part.atoms[:2], *part.hosts]) < 0.02


def test_energy_is_linear_in_both_lambdas_and_both_zero_is_mm_to_the_bit(cluster: Cut, settings: Electrostatic) -> None:
    model, positions = cluster.model(electrostatic=settings), shaken(cluster.mm.structure)
    place, calls = context(model.system), model.correction.calls

    def energy(lam: float, lam_elec: float) -> float:
        place.setParameter(LAMBDA, lam)
        place.setParameter(LAMBDA_ELEC, lam_elec)
        place.setPositions(positions)
        return energy_forces(place.getState(energy=True, forces=True)).energy

    zero = energy(0.0, 0.0)
    assert zero == evaluate(cluster.mm.system, positions).energy
    assert model.correction.calls == calls
    terms = [energy(0.0, 0.5) - zero, energy(0.25, 0.0) - zero, energy(0.25, 0.5) - zero]
    found = model.correction.terms
    assert terms == pytest.approx([0.5 * found.electrostatic, 0.25 * found.bracket, 0.5 * found.electrostatic + 0.25 * found.bracket], abs=1e-6)


def test_equal_lambdas_cost_one_call(cluster: Cut) -> None:
    model = cluster.model(lam=0.5, electrostatic=SETTINGS[1])
    calls = model.correction.calls
    evaluate(model.system, shaken(cluster.mm.structure))
    assert model.correction.calls == calls + 1


def test_net_force_and_torque_vanish_in_vacuum(inhibitor: Cut, settings: Electrostatic) -> None:
    positions = shaken(inhibitor.mm.structure)
    forces = evaluate(inhibitor.model(electrostatic=settings).system, positions).forces
    np.testing.assert_allclose(forces.sum(axis=0), 0.0, atol=1e-4)
    np.testing.assert_allclose(np.cross(positions, forces).sum(axis=0), 0.0, atol=1e-4)


def test_energies_are_reported_by_name(cluster: Cut) -> None:
    model, positions = cluster.model(electrostatic=SETTINGS[1]), shaken(cluster.mm.structure)
    total = evaluate(model.system, positions).energy - evaluate(cluster.mm.system, positions).energy
    parts = model.correction.terms.components()
    assert parts["network"] - parts["shadow"] + parts["embedding"] + parts["polarisation"] == pytest.approx(total, abs=1e-6)
    assert parts["polarisation"] < 0.0, "polarisation always lowers the energy"
    assert parts["embedding"] != 0.0


def test_far_field_is_coulomb(cluster: Cut) -> None:
    """Beyond contact, without a cutoff: predicted charges in place of MM charges, nothing else."""
    part, mm = cap(cluster.mm.structure, cluster.atoms), cluster.mm
    positions = np.array(mm.structure.positions)
    positions[6:] += 0.4 * positions[6:] / np.linalg.norm(positions[6:], axis=1)[:, None]
    answer, charges = asked(part), mm_charges(mm)
    got = embed(mm, part, positions, answer, Electrostatic("none", NO_CUTOFF))
    distances = np.linalg.norm(positions[:6, None] - positions[None, 6:], axis=2)
    expected = COULOMB * ((answer.charges - charges[:6])[:, None] * charges[6:] / distances).sum()
    assert distances.min() > 0.4
    assert got.coulomb == pytest.approx(expected, abs=1e-9)


def test_polarisation_is_minus_half_alpha_field_squared(cluster: Cut) -> None:
    part, mm = cap(cluster.mm.structure, cluster.atoms), cluster.mm
    positions = np.array(mm.structure.positions)
    positions[6:] += 0.4 * positions[6:] / np.linalg.norm(positions[6:], axis=1)[:, None]
    answer, charges = asked(part), mm_charges(mm)
    away = positions[:6, None] - positions[None, 6:]
    field = (charges[6:, None] * away / np.linalg.norm(away, axis=2)[:, :, None] ** 3).sum(axis=1)
    alpha = np.array([FREE_ATOMS[int(z)][0] for z in mm.structure.numbers[:6]]) * NM_PER_BOHR**3 * answer.ratios
    expected = -0.5 * COULOMB * (alpha * (field**2).sum(axis=1)).sum()
    single, coupled = (embed(mm, part, positions, answer, Electrostatic(name, NO_CUTOFF)).polarisation for name in ("P1", "P2"))
    assert single == pytest.approx(expected, abs=1e-6)
    assert coupled < 0.0
    assert coupled != pytest.approx(single, rel=0.01), "dipoles within a molecule feel each other"


def test_zero_mm_charges_give_zero(cluster: Cut, settings: Electrostatic) -> None:
    system = openmm.XmlSerializer.clone(cluster.mm.system)
    for force in system.getForces():
        if isinstance(force, openmm.NonbondedForce):
            for i in range(6, system.getNumParticles()):
                force.setParticleParameters(i, 0.0, *force.getParticleParameters(i)[1:])
    mm = MMSystem(cluster.mm.structure, system, {})
    part = cap(mm.structure, cluster.atoms)
    got = embed(mm, part, mm.structure.positions, asked(part), settings)
    assert got.coulomb == got.polarisation == 0.0
    assert not got.forces.any()
    assert not got.by_charge.any()


def test_energy_and_force_are_continuous_while_a_charge_passes_the_cutoff(cluster: Cut, settings: Electrostatic) -> None:
    """A water is pulled out; energy and force must have no step, and nothing is left beyond the cutoff."""
    part, mm = cap(cluster.mm.structure, cluster.atoms), cluster.mm
    answer, way = asked(part), np.linspace(0.0, 0.6, 601)
    energies, forces = [], []
    for distance in way:
        positions = np.array(mm.structure.positions)
        positions[6:] += 10.0  # the other waters are far away
        positions[6:9] += np.array([distance, 0, 0]) - 10.0
        got = embed(mm, part, positions, answer, settings)
        energies.append(got.coulomb + got.polarisation)
        forces.append(got.forces[6:9, 0].sum())
    energy, force = np.array(energies), np.array(forces)
    assert abs(energy[0]) > 0.05
    assert energy[-1] == force[-1] == 0.0
    np.testing.assert_allclose(np.diff(energy), -0.5 * (force[1:] + force[:-1]) * np.diff(way), atol=1e-4 * abs(energy).max())
    assert abs(np.diff(force)).max() < 0.05 * abs(force).max()


def test_switch_is_smooth_and_close_contacts_are_finite() -> None:
    r = np.linspace(0.01, 0.9, 20001)
    f, g, h = radial(r, 0.9)
    np.testing.assert_allclose(np.gradient(f, r)[1:-1], (g * r)[1:-1], atol=2e-3)
    np.testing.assert_allclose((np.gradient(g, r) / r)[1:-1], h[1:-1], rtol=2e-3, atol=1e-2)
    np.testing.assert_allclose([f[-1], g[-1], h[-1]], 0.0, atol=1e-9)
    assert radial(np.zeros(1), 0.9)[0] < 12.0


def test_the_cutoff_makes_no_field_of_its_own(box: Cut) -> None:
    """A steep switch multiplies the polarisation by thirty (seen); here the cutoff of the force field changes it by a tenth at most."""
    positions = np.array(box.mm.structure.positions)
    centre = positions[box.atoms].mean(axis=0)
    for atoms in box.mm.structure.molecules[1:]:  # a cluster of whole waters around the ligand
        positions[atoms] += minimum_image(positions[atoms[0]] - centre, box.mm.structure.box) + centre - positions[atoms[0]]
    mm = replace(box.mm, structure=replace(box.mm.structure, box=None, positions=positions))
    part = cap(mm.structure, box.atoms)
    answer = asked(part)
    for polarisation in ("P1", "P2"):
        cut, whole = (embed(mm, part, positions, answer, Electrostatic(polarisation, cutoff)) for cutoff in (0.9, NO_CUTOFF))
        assert cut.polarisation == pytest.approx(whole.polarisation, rel=0.1)
        assert cut.coulomb == pytest.approx(whole.coulomb, rel=0.15)


def test_dipoles_far_apart_couple_as_points() -> None:
    """T is minus the second derivative of 1/r where Thole's damping has died away; on the same spot it stays finite."""
    away = np.array([0.3, -0.5, 0.7])
    tensor = thole_tensor(np.array([away, np.zeros(3)]), np.array([1e-3, 2e-3]))
    r = np.linalg.norm(away)
    np.testing.assert_allclose(tensor[:3, 3:], np.eye(3) / r**3 - 3 * np.outer(away, away) / r**5, rtol=1e-9)
    np.testing.assert_allclose(tensor, tensor.T)
    assert not tensor[:3, :3].any()


def test_charge_shift_keeps_charge_and_dipole(inhibitor: Cut) -> None:
    mm = inhibitor.mm
    part = cap(mm.structure, inhibitor.atoms)
    sites, positions, charges = surroundings(mm, [part]), shaken(mm.structure), mm_charges(mm)
    outside = np.setdiff1d(np.arange(len(charges)), part.atoms)
    assert sites.charges.sum() == pytest.approx(charges[outside].sum(), abs=1e-12)
    np.testing.assert_allclose(sites.charges @ sites.place(positions, None), charges[outside] @ positions[outside], atol=1e-12)
    on_host = (sites.atoms == part.hosts[0]) & (sites.stretch == 0.0)
    assert not on_host.any(), "the charge beside the link hydrogen has to go"


def test_what_the_network_changes_has_no_net_charge(inhibitor: Cut) -> None:
    """A uniform potential on the region costs nothing, though the MM charge of the cut region is no integer."""
    mm = inhibitor.mm
    part = cap(mm.structure, inhibitor.atoms)
    assert abs(mm_charges(mm)[part.atoms].sum()) > 1e-3
    embedding = Embedding(mm, part, surroundings(mm, [part]), Electrostatic())
    assert part.fold(asked(part).charges).sum() == pytest.approx(embedding._mm.sum(), abs=1e-6)


def test_the_box_is_periodic_for_embedding(box: Cut, settings: Electrostatic) -> None:
    part, mm = cap(box.mm.structure, box.atoms), box.mm
    answer, positions, cell = asked(part), shaken(mm.structure), mm.structure.box
    expected = embed(mm, part, positions, answer, settings)
    moved = positions + np.random.default_rng(1).integers(-2, 3, size=positions.shape) @ cell
    got = embed(mm, part, moved, answer, settings)
    assert (got.coulomb, got.polarisation) == pytest.approx((expected.coulomb, expected.polarisation), abs=1e-8)
    np.testing.assert_allclose(got.forces, expected.forces, atol=1e-6)


def test_forces_are_minus_the_gradient_in_a_box(box: Cut) -> None:
    """With the cutoff of the force field: an atom of the ligand, and of the water nearest to it."""
    model, positions = box.model(electrostatic=Electrostatic("P2")), shaken(box.mm.structure)
    distances = np.linalg.norm(positions[32:, None] - positions[:32], axis=2).min(axis=1)
    assert worst_slope_error(context(model.system), positions, [0, 32 + int(np.argmin(distances))]) < 0.02


def test_two_fragments_leave_each_other_to_mm(cluster: Cut) -> None:
    """Neither region is among the charges that embed the other."""
    parts = [cap(cluster.mm.structure, atoms) for atoms in (cluster.atoms, np.arange(6, 9))]
    sites = surroundings(cluster.mm, parts)
    assert set(sites.atoms) == set(range(9, 15))
    both = couple_fragments(cluster.mm, [(part, bind(part)) for part in parts], electrostatic=SETTINGS[2])
    assert worst_slope_error(context(both.system), shaken(cluster.mm.structure), [0, 6, 9]) < 0.02


def test_what_cannot_be_embedded_is_refused(cluster: Cut, box: Cut) -> None:
    part = cap(cluster.mm.structure, cluster.atoms)
    whole = bind(part)

    class NoCharges:
        card, provenance = whole.card, whole.provenance

        def __call__(self, positions: Floats, box: Floats | None = None):
            return whole(positions, box)

    with pytest.raises(UnsupportedError, match="SO3LR predicts no atomic charges, which electrostatic embedding needs"):
        couple_fragments(cluster.mm, [(part, NoCharges())], electrostatic=Electrostatic())
    with pytest.raises(SettingsError, match="reaches 2 nm, but half the box is"):
        box.model(electrostatic=Electrostatic(cutoff=2.0))
    chloride = Structure.from_smiles("CCCl")
    cut = Cut(parametrise(chloride), np.setdiff1d(np.arange(len(chloride)), [2]))
    with pytest.raises(UnsupportedError, match=r"charge of Cl3 of LIG .* cannot be moved"):
        cut.model(electrostatic=Electrostatic())


def test_a_view_asks_for_embedding(cluster: Cut) -> None:
    view = View(resolution="nnp/mm", embedding="electrostatic", polarisation="P1", device="cpu")
    model = view._hybrid(cluster.mm, lambda _part, _sentence: None)
    assert model.provenance["coupling"] == "NNP/MM, delta form, electrostatic embedding"
    assert context(model.system).getParameter(LAMBDA_ELEC) == 1.0
