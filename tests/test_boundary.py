"""Regions that cut bonds: link hydrogens, what replaces which MM term, several fragments, and what is refused.

The molecules: a phenylalanine side chain, a peptide without its end methyls (CMAP within), a covalent inhibitor, ethylbenzene
in periodic water and a TYK2 inhibitor; the network is SO3LR in double precision.
"""

import re
from dataclasses import replace

import numpy as np
import openmm
import pytest
from openmm import unit

from studio.errors import RegionError
from studio.forcefield import parametrise
from studio.hybrid.boundary import cap, cut_bonds
from studio.hybrid.coupling import LAMBDA, couple_fragments
from studio.hybrid.view import MLFragment, View
from studio.region import Atoms, SideChain
from studio.structure import Structure
from studio.system import EXAMPLES, FromSmiles, System, WaterBox
from tests.hybrid_systems import Cut, bind, context, covalent_inhibitor, evaluate, peptide_fragment, phe_side_chain, plain_topology, shaken, worst_slope_error
from tests.reference import so3lr_calculator

BENZYL = System(source=FromSmiles(smiles="CCc1ccccc1"), surroundings=WaterBox(padding_nm=0.65))
"""Ethylbenzene in water; atom 0 is the methyl carbon, atom 1 the one beside the ring."""


@pytest.fixture(scope="module")
def phe(tmp_path_factory: pytest.TempPathFactory) -> Cut:
    return phe_side_chain(tmp_path_factory.mktemp("phe"))


@pytest.fixture(scope="module")
def peptide(tmp_path_factory: pytest.TempPathFactory) -> Cut:
    return peptide_fragment(tmp_path_factory.mktemp("peptide"))


@pytest.fixture(scope="module")
def inhibitor() -> Cut:
    return covalent_inhibitor()


@pytest.fixture(scope="module")
def box() -> Cut:
    mm = BENZYL.parametrise()
    methyl = [0, 8, 9, 10]
    assert set(mm.structure.numbers[methyl[1:]]) == {1}
    return Cut(mm, np.setdiff1d(mm.structure.molecules[0], methyl))


@pytest.fixture(params=["phe", "peptide", "inhibitor", "box"])
def case(request: pytest.FixtureRequest) -> Cut:
    return request.getfixturevalue(request.param)


def openmm_ml(cut: Cut, calculator: object) -> openmm.Context:
    """OpenMM-ML's mixed system with the same network, cut and link lengths; its link atoms are virtual sites."""
    import ase
    from openmmml import MLPotential

    part = cap(cut.mm.structure, cut.atoms)
    links = [(int(part.atoms[row]), int(host), float(d) * unit.nanometer) for row, host, d in zip(part.inner, part.hosts, part.reach, strict=True)]
    molecule = ase.Atoms(numbers=part.structure.numbers, calculator=calculator)
    molecule.info["charge"] = 0.0
    topology, atoms = plain_topology(cut.mm.structure), [int(i) for i in part.atoms]
    return context(MLPotential("ase").createMixedSystem(topology, cut.mm.system, atoms, aseAtoms=molecule, mlLongRange=False, linkAtomDistances=links))


def test_equals_openmm_ml_where_bonds_are_cut(case: Cut) -> None:
    """An independent implementation of links, of the MM terms that go, and of the network."""
    model, structure = case.model(), case.mm.structure
    links = len(cap(structure, case.atoms).hosts)
    differences = []
    with so3lr_calculator("float64") as calculator:
        theirs = openmm_ml(case, calculator)
        for seed in (1, 2):
            positions = shaken(structure, seed)
            theirs.setPositions(np.concatenate([positions, np.zeros((links, 3))]))
            theirs.computeVirtualSites()
            state = theirs.getState(energy=True, forces=True)
            ours = evaluate(model.system, positions)
            differences.append(state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole) - ours.energy)
            forces = state.getForces(asNumpy=True).value_in_unit(unit.kilojoule_per_mole / unit.nanometer)[: len(structure)]
            np.testing.assert_allclose(ours.forces, forces, atol=0.5)
    assert differences[0] == pytest.approx(differences[1], abs=0.01), "the two must differ by the constant E_ref only"
    assert differences[0] == pytest.approx(model.correction.reference, abs=0.02)


def test_full_lambda_is_all_mm_minus_what_belongs_to_the_region_plus_network(case: Cut) -> None:
    positions = shaken(case.mm.structure, 3)
    model = case.model()
    evaluate(model.system, positions)
    (fragment,) = model.correction.fragments
    capped, network, shadow = fragment.last
    expected = evaluate(case.mm.system, positions).energy + network.energy - shadow.energy - model.correction.reference
    assert evaluate(model.system, positions).energy == pytest.approx(expected, abs=1e-6)
    assert network.energy == pytest.approx(bind(fragment.part)(capped).energy, abs=1e-6)


@pytest.mark.parametrize("link", ["fixed", "scaled"])
@pytest.mark.parametrize("name", ["phe", "peptide", "inhibitor"])
def test_forces_are_minus_the_gradient_at_links_and_around_them(name: str, link: str, request: pytest.FixtureRequest) -> None:
    """Atoms A and B of every link, a neighbour of B, and one atom of the region, in the middle of lambda."""
    cut = request.getfixturevalue(name)
    structure, pairs = cut.mm.structure, cut_bonds(cut.mm.structure, cut.atoms)
    outer = int(pairs[0, 1])
    beside = [int(i) for i in structure.bonds[(structure.bonds == outer).any(axis=1)].ravel() if i not in (*cut.atoms, outer)]
    place = context(cut.model(link, lam=0.5).system)
    assert worst_slope_error(place, shaken(structure, 4), [*pairs.ravel(), beside[0], cut.atoms[-1]]) < 0.02


def test_forces_are_minus_the_gradient_in_a_box(box: Cut) -> None:
    assert worst_slope_error(context(box.model("fixed").system), shaken(box.mm.structure, 5), [0, 1]) < 0.5


def test_net_force_and_torque_vanish_in_vacuum(inhibitor: Cut) -> None:
    """A link force that is not given back in full pushes or turns the molecule by itself."""
    positions = shaken(inhibitor.mm.structure, 6)
    forces = evaluate(inhibitor.model("fixed").system, positions).forces
    np.testing.assert_allclose(forces.sum(axis=0), 0.0, atol=1e-4)
    np.testing.assert_allclose(np.cross(positions, forces).sum(axis=0), 0.0, atol=1e-4)


def test_energy_is_linear_in_lambda_and_lambda_zero_is_mm_to_the_bit(phe: Cut) -> None:
    positions, model = shaken(phe.mm.structure, 7), phe.model()
    calls = model.correction.calls
    plain, none = evaluate(phe.mm.system, positions), evaluate(model.system, positions, lam=0.0)
    assert none.energy == plain.energy
    np.testing.assert_array_equal(none.forces, plain.forces)
    assert model.correction.calls == calls
    energies = [evaluate(model.system, positions, lam).energy for lam in (0.0, 0.25, 0.5, 0.75, 1.0)]
    np.testing.assert_allclose(np.diff(energies), model.correction.terms.bracket / 4, atol=1e-6)


def test_a_cut_region_across_the_box_edge_has_the_same_energy(box: Cut) -> None:
    """The host in another image than its region would send the link hydrogen across the box."""
    (fragment,) = box.model().correction.fragments
    cell = box.mm.structure.box
    whole = shaken(box.mm.structure, 8)[np.sort(fragment.part.seen)]
    wrapped = whole + np.random.default_rng(0).integers(-1, 2, size=whole.shape) @ cell
    expected, got = (fragment.evaluate(positions, cell, apart=False) for positions in (whole, wrapped))
    assert got.terms.bracket == pytest.approx(expected.terms.bracket, abs=1e-6)
    np.testing.assert_allclose(got.internal, expected.internal, atol=1e-4)


def test_molecules_and_barostat_see_what_they_saw_before(box: Cut) -> None:
    assert [tuple(m) for m in context(box.model().system).getMolecules()] == [tuple(m) for m in context(box.mm.system).getMolecules()]


def test_the_network_is_told_a_complete_molecule(peptide: Cut, phe: Cut) -> None:
    """Charge, spin and valences of the capped region; each link hydrogen points at its MM host."""
    for cut, links in ((peptide, 2), (phe, 1)):
        part = cap(cut.mm.structure, cut.atoms)
        assert len(part.structure) == len(cut.atoms) + links
        part.structure.to_rdkit()  # refuses impossible valences
        assert (part.structure.charge, part.structure.multiplicity) == (0, 1)
        bonds = part.structure.positions[len(cut.atoms) :] - cut.mm.structure.positions[part.atoms[part.inner]]
        along = cut.mm.structure.positions[part.hosts] - cut.mm.structure.positions[part.atoms[part.inner]]
        cosine = (bonds * along).sum(axis=1) / np.linalg.norm(bonds, axis=1) / np.linalg.norm(along, axis=1)
        np.testing.assert_allclose(cosine, 1.0)
        assert all(0.09 < length < 0.12 for length in np.linalg.norm(bonds, axis=1))


def test_side_chains_are_selected_by_residue(phe: Cut) -> None:
    assert set(SideChain(name="PHE").select(phe.mm.structure)) == set(phe.atoms)
    assert set(SideChain().select(phe.mm.structure)) == set(phe.atoms), "caps have no side chain"


def test_charge_and_spin_can_be_set(phe: Cut) -> None:
    part = cap(phe.mm.structure, phe.atoms, charge=1, multiplicity=2)
    assert (part.structure.charge, part.structure.multiplicity) == (1, 2)
    assert cap(phe.mm.structure, phe.atoms).structure.charge == 0


def test_what_a_cut_leaves_is_told(phe: Cut) -> None:
    entries = phe.model("scaled").provenance
    assert entries["link_atoms"] == "1 hydrogens, scaled"
    assert abs(float(entries["mm_charge_of_cut_region_e"])) < 0.1


def test_fragments_have_networks_of_their_own(phe: Cut) -> None:
    """Two regions of one molecule: the sum of what each adds alone, as what is between them stays MM."""
    structure = phe.mm.structure
    methyl = np.array([0, 1, 2, 3])
    parts = [cap(structure, phe.atoms), cap(structure, methyl)]
    both = couple_fragments(phe.mm, [(part, bind(part)) for part in parts])
    positions = shaken(structure, 9)
    added = [evaluate(couple_fragments(phe.mm, [(part, bind(part))]).system, positions).energy - evaluate(phe.mm.system, positions).energy for part in parts]
    calls = both.correction.calls
    assert evaluate(both.system, positions).energy - evaluate(phe.mm.system, positions).energy == pytest.approx(sum(added), abs=1e-6)
    assert both.correction.calls == calls + 2
    assert set(both.region) == {*phe.atoms, *methyl}
    assert worst_slope_error(context(both.system), positions, [0, 4, int(phe.atoms[0])]) < 0.02


def test_a_view_names_fragments_and_old_recipes_load() -> None:
    assert View.model_validate_json('{"resolution": "nnp/mm", "region": {"kind": "focus"}, "potential": "so3lr", "device": "auto"}').lam == 1.0
    view = View(resolution="nnp/mm", region=SideChain(name="PHE"), also=(MLFragment(region=Atoms(indices=(0, 1)), charge=-1),), link="scaled", lam=0.5)
    assert View.model_validate_json(view.model_dump_json()) == view
    with pytest.raises(ValueError, match="polarisation belongs to electrostatic embedding"):
        View(polarisation="P1")


def test_a_view_couples_a_side_chain_and_looks_at_it_alone(phe: Cut) -> None:
    system = EXAMPLES["alanine-dipeptide-water"].system
    view = View(resolution="nnp/mm", region=SideChain(name="PHE"), device="cpu", lam=0.25)
    model = view._hybrid(phe.mm, lambda _part, _sentence: None)
    assert context(model.system).getParameter(LAMBDA) == 0.25
    assert len(model.region) == 14
    alone = view._network(system, phe.mm.structure, lambda _part, _sentence: None)
    assert len(alone.structure) == 15
    assert any("capped" in note for note in alone.structure.notes)


REFUSALS = {
    "a ring": ("CC1CCCCC1", (2, 3), "cuts a ring"),
    "a double bond": ("CC=CC", (0, 1), "cuts a double bond"),
    "a triple bond": ("CC#CC", (0, 1), "cuts a triple bond"),
    "an aromatic bond": ("c1ccccc1", (0, 1), "cuts an aromatic bond"),
    "an amide": ("CC(=O)NC", (0, 1, 2), "cuts an amide bond"),
    "a thioamide": ("CC(=S)NC", (3, 4), "cuts an amide bond"),
    "hydrogen": ("CC", (0, 1), "cuts a bond to hydrogen"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_bonds_that_cannot_be_cut_are_refused_by_name(name: str) -> None:
    smiles, heavy, reason = REFUSALS[name]
    structure = Structure.from_smiles(smiles)
    atoms = list(heavy)
    if name != "hydrogen":
        atoms += [int(h) for i in heavy for h in structure.bonds[(structure.bonds == i).any(axis=1)].ravel() if structure.numbers[h] == 1]
    with pytest.raises(RegionError, match=reason + r".*: between \w+ of LIG A1 \(atom \d+\) and \w+ of LIG A1 \(atom \d+\)"):
        cap(structure, np.array(atoms))


def with_hydrogens(structure: Structure, *heavy: int) -> np.ndarray:
    hydrogens = [int(h) for i in heavy for h in structure.bonds[(structure.bonds == i).any(axis=1)].ravel() if structure.numbers[h] == 1]
    return np.array(sorted({*heavy, *hydrogens}))


def test_two_links_on_one_mm_atom_are_refused() -> None:
    propane = Structure.from_smiles("CCC")
    both = r"between C1 of LIG A1 \(atom 1\) and C2 of LIG A1 \(atom 2\), and between C3"
    with pytest.raises(RegionError, match="two bonds of one MM atom: " + both):
        cap(propane, with_hydrogens(propane, 0, 2))
    mm = parametrise(propane)
    parts = [cap(propane, with_hydrogens(propane, i)) for i in (0, 2)]
    with pytest.raises(RegionError, match="two bonds of one MM atom: " + both):
        couple_fragments(mm, [(part, bind(part)) for part in parts])


def test_fragments_that_overlap_or_touch_are_refused() -> None:
    butane = Structure.from_smiles("CCCC")
    mm = parametrise(butane)

    def coupled(*regions: tuple[int, ...]) -> None:
        parts = [cap(butane, with_hydrogens(butane, *heavy)) for heavy in regions]
        couple_fragments(mm, [(part, bind(part)) for part in parts])

    with pytest.raises(RegionError, match=r"C1 of LIG A1 \(atom 1\) is in two ML fragments"):
        coupled((0, 1), (0,))
    with pytest.raises(RegionError, match=r"fragments are bonded to each other: between C2 of LIG .* and C3 of LIG"):
        coupled((0, 1), (2, 3))


def test_a_macrocycle_may_be_cut() -> None:
    """Two cuts far apart in a ring of sixteen are cuts of a chain; the same in cyclohexane are not."""
    ring = Structure.from_smiles("C1" + "C" * 14 + "C1")
    assert len(cap(ring, with_hydrogens(ring, *range(6))).hosts) == 2


def test_fixed_atoms_and_unknown_orders_are_refused(phe: Cut) -> None:
    structure = phe.mm.structure
    fixed = np.zeros(len(structure), dtype=bool)
    fixed[phe.atoms[0]] = True
    held = replace(phe, mm=replace(phe.mm, structure=replace(structure, fixed=fixed)))
    with pytest.raises(RegionError, match=r"CB of PHE A2 .* is held fixed"):
        held.model()
    ring = [i for i, pair in enumerate(structure.bonds) if np.isin(pair, phe.atoms).all()]
    orders = structure.bond_orders.copy()
    orders[ring[0]] = 0.0
    with pytest.raises(RegionError, match=re.escape("charge of the cut region is not known, as the order of the bond between ")):
        cap(replace(structure, bond_orders=orders), phe.atoms)
    assert cap(replace(structure, bond_orders=orders), phe.atoms, charge=0).structure.charge == 0


def test_a_ligand_with_a_cut_among_waters(inhibitor: Cut) -> None:
    """The waters feel the capped region exactly as they felt the MM one: mechanical embedding changes no force on them."""
    positions = shaken(inhibitor.mm.structure, 10)
    waters = inhibitor.mm.structure.atoms_of("water")
    plain, hybrid = evaluate(inhibitor.mm.system, positions), evaluate(inhibitor.model().system, positions)
    np.testing.assert_array_equal(hybrid.forces[waters], plain.forces[waters])
