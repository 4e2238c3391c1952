"""Inside OpenMM-ML: SO3LR as its potential and the coupling as its embedding, against its own mechanical embedding."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import openmm
import pytest
from openmm import app, unit
from openmmml import MLPotential

from studio.errors import RegionError, SettingsError, UnsupportedError
from studio.forcefield import MMSystem, parametrise
from studio.forcefield.topology import from_topology, to_topology
from studio.hybrid.coupling import energy_forces
from studio.io import read
from studio.potentials.base import EnergyForces
from studio.potentials.so3lr import SO3LR, BoundSO3LR
from studio.region import Ligand
from studio.structure import Structure
from studio.system import EXAMPLES
from tests.hybrid_systems import Cut, context, phe_side_chain, plain_topology, shaken, water
from tests.molecule_files import PEPTIDE
from tests.reference import so3lr_calculator

OURS, THEIRS = "potential-studio", "mechanical"


@pytest.fixture(scope="module")
def box() -> MMSystem:
    """A TYK2 inhibitor in a periodic box of water."""
    return EXAMPLES["tyk2-water"].system.parametrise()


@pytest.fixture(scope="module")
def side_chain(tmp_path_factory: pytest.TempPathFactory) -> Cut:
    return phe_side_chain(tmp_path_factory.mktemp("phe"))


@pytest.fixture(scope="module")
def cluster() -> MMSystem:
    return parametrise(Structure.from_smiles("NC=O").join(water(0.5, 0, 0)))


def so3lr() -> MLPotential:
    return MLPotential("so3lr", precision="float64")


def mixed(mm: MMSystem, embedding: str, interpolate: bool = False, potential: MLPotential | None = None) -> openmm.System:
    atoms = Ligand().select(mm.structure).tolist()
    return (potential or so3lr()).createMixedSystem(to_topology(mm.structure), mm.system, atoms, interpolate=interpolate, embedding=embedding)


def at(place: openmm.Context, positions: np.ndarray, lam: float | None = None) -> EnergyForces:
    place.setPositions(positions)
    if lam is not None:
        place.setParameter("lambda_interpolate", lam)
    return energy_forces(place.getState(energy=True, forces=True))


def check_same(ours: openmm.Context, theirs: openmm.Context, structure: Structure, lam: float | None = None) -> None:
    """Energies agree, and not by chance at one place; forces agree."""
    for seed in (1, 2):
        here, there = (at(place, shaken(structure, seed), lam) for place in (ours, theirs))
        assert here.energy == pytest.approx(there.energy, abs=0.01)
        np.testing.assert_allclose(here.forces, there.forces, atol=0.5)


def test_they_are_offered() -> None:
    assert {OURS, THEIRS} == set(so3lr().getSupportedEmbeddings())


def test_a_whole_molecule_has_the_energy_of_so3lr(aspirin: Structure) -> None:
    bound = SO3LR(precision="float64").bind(aspirin, device="cpu")
    answer = at(context(so3lr().createSystem(to_topology(aspirin))), aspirin.positions)
    assert answer.energy == pytest.approx(bound(aspirin.positions).energy, abs=1e-6)
    np.testing.assert_allclose(answer.forces, bound(aspirin.positions).forces, atol=1e-6)


def test_a_charge_is_told_to_the_network() -> None:
    acetate = Structure.from_smiles("CC(=O)[O-]")
    expected = SO3LR(precision="float64").bind(acetate, device="cpu")(acetate.positions).energy
    topology = to_topology(acetate)
    assert at(context(so3lr().createSystem(topology, charge=-1)), acetate.positions).energy == pytest.approx(expected, abs=1e-6)
    with pytest.raises(UnsupportedError, match="cannot have multiplicity 1"):
        so3lr().createSystem(topology, charge=0)


def beyond_cutoff(mm: MMSystem, positions: np.ndarray) -> float:
    """Lennard-Jones energy of the ligand's pairs beyond the cutoff, kJ/mol, which OpenMM-ML counts at lambda 0, though MM does not."""
    force = next(force for force in mm.system.getForces() if isinstance(force, openmm.NonbondedForce))
    atoms = Ligand().select(mm.structure)
    sigma, epsilon = np.array([[value._value for value in force.getParticleParameters(int(i))[1:]] for i in atoms]).T
    i, j = np.triu_indices(len(atoms), k=1)
    r = np.linalg.norm(positions[atoms][i] - positions[atoms][j], axis=1)
    power = (0.5 * (sigma[i] + sigma[j]) / r) ** 6
    return float((4 * np.sqrt(epsilon[i] * epsilon[j]) * (power**2 - power))[r > force.getCutoffDistance()._value].sum())


@pytest.mark.parametrize("lam", [None, 0.0, 0.5, 1.0])
def test_equals_mechanical_embedding_in_a_periodic_box(box: MMSystem, lam: float | None) -> None:
    """At lambda 0 we are MM itself; theirs is MM plus a little, known here by an explicit sum."""
    ours, theirs = (context(mixed(box, embedding, lam is not None)) for embedding in (OURS, THEIRS))
    for seed in (1, 2):
        positions = shaken(box.structure, seed)
        here, there = (at(place, positions, lam) for place in (ours, theirs))
        more = 0.0 if lam is None else (1.0 - lam) * beyond_cutoff(box, positions)
        assert here.energy == pytest.approx(there.energy - more, abs=0.01)
        np.testing.assert_allclose(here.forces, there.forces, atol=0.5)
    if lam == 0.0:
        assert here.energy == at(context(box.system), positions).energy


def test_equals_mechanical_embedding_where_a_bond_is_cut(side_chain: Cut) -> None:
    """Their link hydrogen is a virtual site at the end; it is put at our distance."""
    structure, atoms = side_chain.mm.structure, side_chain.atoms.tolist()
    inner, host = (structure.names.index(name) for name in ("CB", "CA"))
    topology = plain_topology(structure)
    at_our_distance = {"linkAtomDistances": [(inner, host, 0.109 * unit.nanometer)]}
    ours, theirs = (
        context(so3lr().createMixedSystem(topology, side_chain.mm.system, atoms, embedding=embedding, charge=0, **more))
        for embedding, more in ((OURS, {}), (THEIRS, at_our_distance))
    )
    for seed in (1, 2):
        positions = shaken(structure, seed)
        theirs.setPositions(np.concatenate([positions, np.zeros((1, 3))]))
        theirs.computeVirtualSites()
        there, here = energy_forces(theirs.getState(energy=True, forces=True)), at(ours, positions)
        assert here.energy == pytest.approx(there.energy, abs=0.01)
        np.testing.assert_allclose(here.forces, there.forces[: len(structure)], atol=0.5)


def test_another_potential_can_use_the_embedding(cluster: MMSystem) -> None:
    """OpenMM-ML's own adapter of ASE, with so3krates-torch's calculator: nothing of ours but the coupling."""
    atoms, topology = Ligand().select(cluster.structure).tolist(), to_topology(cluster.structure)
    with so3lr_calculator("float64") as calculator:
        arguments = {"calculator": calculator, "info": {"charge": 0.0}, "mlLongRange": False}
        systems = [MLPotential("ase").createMixedSystem(topology, cluster.system, atoms, embedding=embedding, **arguments) for embedding in (OURS, THEIRS)]
        check_same(*map(context, systems), cluster.structure)
        check_same(context(systems[0]), context(mixed(cluster, OURS)), cluster.structure)


def test_the_mm_system_stays_as_it_is(box: MMSystem) -> None:
    """Only two forces are added: molecules and their number stay, for the barostat; constraints go from the region only."""
    before = openmm.XmlSerializer.serialize(box.system)
    system = mixed(box, OURS, interpolate=True)
    assert openmm.XmlSerializer.serialize(box.system) == before
    kept = system.getForces()[1:-1]
    assert list(map(openmm.XmlSerializer.serialize, kept)) == list(map(openmm.XmlSerializer.serialize, box.system.getForces()))
    assert context(system).getMolecules() == context(box.system).getMolecules()


def test_no_network_call_at_zero_and_one_call_for_energy_after_forces(cluster: MMSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    calls, real = [], BoundSO3LR.__call__

    def counted(*arguments: object) -> EnergyForces:
        calls.append(1)
        return real(*arguments)

    monkeypatch.setattr(BoundSO3LR, "__call__", counted)
    place = context(mixed(cluster, OURS, interpolate=True))
    assert at(place, cluster.structure.positions, 0.0).energy == at(context(cluster.system), cluster.structure.positions).energy
    assert not calls
    at(place, cluster.structure.positions, 1.0)
    place.getState(energy=True)
    assert len(calls) == 1


def test_a_system_survives_its_file(cluster: MMSystem) -> None:
    """OpenMM writes Python forces by pickle; a run is often continued from such a file."""
    for system in (mixed(cluster, OURS, interpolate=True), mixed(cluster, THEIRS)):
        again = openmm.XmlSerializer.deserialize(openmm.XmlSerializer.serialize(system))
        lam = 0.7 if system.getNumParticles() and "lambda_interpolate" in context(again).getParameters() else None
        check_same(context(again), context(system), cluster.structure, lam)


def test_a_cut_region_needs_a_charge_and_a_single_bond(side_chain: Cut) -> None:
    topology, system = to_topology(side_chain.mm.structure), side_chain.mm.system
    with pytest.raises(RegionError, match=r"not an integer\. Say which charge"):
        so3lr().createMixedSystem(topology, system, side_chain.atoms.tolist(), embedding=OURS)
    names = side_chain.mm.structure.names
    with pytest.raises(RegionError, match="cuts a bond of unknown order"):
        so3lr().createMixedSystem(topology, system, [names.index("CA"), names.index("HA"), names.index("C"), names.index("O")], embedding=OURS, charge=0)


def test_what_cannot_be_done_is_a_sentence(cluster: MMSystem) -> None:
    with pytest.raises(SettingsError, match="precison"):
        MLPotential("so3lr", precison="float64")
    with pytest.raises(SettingsError, match="Unknown keyword chrage"):
        so3lr().createSystem(to_topology(cluster.structure), chrage=1)
    with pytest.raises(SettingsError, match="Unknown keyword linkAtomDistances"):
        so3lr().createMixedSystem(to_topology(cluster.structure), cluster.system, [0], embedding=OURS, linkAtomDistances=[])
    odd = openmm.XmlSerializer.clone(cluster.system)
    odd.addForce(openmm.CustomBondForce("r"))
    with pytest.raises(UnsupportedError, match="has a CustomBondForce"):
        so3lr().createMixedSystem(to_topology(cluster.structure), odd, [0, 1, 2, 3, 4, 5], embedding=OURS)


def test_a_topology_gives_back_the_structure(tmp_path: Path) -> None:
    """Elements, names, residues and bonds of a peptide in OpenMM's own words; orders where they follow from the valences."""
    path = tmp_path / "ala.pdb"
    path.write_text(PEPTIDE)
    structure = read(path)
    found = from_topology(to_topology(structure))
    assert found.names == structure.names
    assert found.numbers.tolist() == structure.numbers.tolist()
    assert [str(found.residue_of(i)) for i in range(len(found))] == [str(structure.residue_of(i)) for i in range(len(structure))]
    assert {frozenset(bond) for bond in found.bonds.tolist()} == {frozenset(bond) for bond in structure.bonds.tolist()}
    orders = {frozenset(bond): order for bond, order in zip(structure.bonds.tolist(), structure.bond_orders.tolist(), strict=True)}
    known = [(order, orders[frozenset(bond)]) for bond, order in zip(found.bonds.tolist(), found.bond_orders.tolist(), strict=True) if order]
    assert known
    assert all(one == other for one, other in known)


def test_written_orders_and_charges_are_taken() -> None:
    topology = app.Topology()
    residue = topology.addResidue("LIG", topology.addChain("B"), "7")
    carbon, oxygen = app.Element.getBySymbol("C"), app.Element.getBySymbol("O")
    atoms = [topology.addAtom("C1", carbon, residue), topology.addAtom("O1", oxygen, residue, formalCharge=-1), topology.addAtom("X", None, residue)]
    topology.addBond(atoms[0], atoms[1], app.topology.Double, 2)
    found = from_topology(topology)
    assert found.bond_orders.tolist() == [2.0]
    assert found.formal_charges.tolist() == [0, -1, 0]
    assert found.label(0) == "C1 of LIG B7 (atom 1)"
    assert found.numbers.tolist() == [6, 8, 0]


def test_the_plug_in_imports_neither_openmm_nor_openmm_ml() -> None:
    code = "import studio.openmmml_plugin, sys; print(sorted({'torch', 'openmm', 'openmmml'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
