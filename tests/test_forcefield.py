"""Force fields: energies against independent builds of the same parameters, order and kind of particles, refusals."""

import dataclasses
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import openmm
import pytest
from openmm import app, unit

from studio.errors import SettingsError, StructureError, UnsupportedError
from studio.forcefield import ForceField, ForceGroup, MMSystem, parametrise
from studio.forcefield.ligand import _charged
from studio.forcefield.solvent import solvate_box, solvate_sphere
from studio.io.bundled import MOLECULES
from studio.structure import Droplet, Residue, Structure


def energy(system: openmm.System, structure: Structure, groups: set[int] | int = -1) -> float:
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(structure.positions)
    return float(context.getState(getEnergy=True, groups=groups).getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole))


def charges(mm: MMSystem) -> np.ndarray:
    force = next(f for f in mm.system.getForces() if isinstance(f, openmm.NonbondedForce))
    return np.array([force.getParticleParameters(i)[0].value_in_unit(unit.elementary_charge) for i in range(len(mm.structure))])


@contextmanager
def anything_may_warn() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


# Against other implementations


@pytest.mark.parametrize("smiles", ["CC(=O)Oc1ccccc1C(=O)O", "C[NH+]1CCC[C@@H]1c1cccnc1", "CS(=O)(=O)N/N=C/c1ccc(Br)o1"])
def test_energy_is_that_of_openff_interchange(smiles: str) -> None:
    structure = Structure.from_smiles(smiles)
    with anything_may_warn():
        from openff.toolkit import ForceField as SageForceField

        molecule = _charged(structure)
        sage = SageForceField("openff_unconstrained-2.2.1.offxml")
        system = sage.create_interchange(molecule.to_topology(), charge_from_molecules=[molecule]).to_openmm(combine_nonbonded_forces=True)
    for force in system.getForces():
        if isinstance(force, openmm.NonbondedForce):
            force.setNonbondedMethod(openmm.NonbondedForce.NoCutoff)
    assert energy(parametrise(structure).system, structure) == pytest.approx(energy(system, structure), abs=0.01)


@pytest.mark.parametrize("protein", ["ff14SB", "ff19SB"])
def test_peptide_energy_is_that_of_plain_openmm(protein: str) -> None:
    from pathlib import Path

    import studio

    pdb = app.PDBFile(str(Path(studio.__file__).parent / "data" / "alanine-dipeptide.pdb"))
    field = app.ForceField({"ff14SB": "amber14/protein.ff14SB.xml", "ff19SB": "amber19/protein.ff19SB.xml"}[protein])
    peptide = MOLECULES["alanine-dipeptide"]()
    settings = ForceField(protein=protein)
    assert energy(parametrise(peptide, settings).system, peptide) == pytest.approx(energy(field.createSystem(pdb.topology), peptide), abs=1e-6)


@pytest.mark.parametrize("model", ["gbn2", "obc2"])
def test_implicit_energy_is_that_of_plain_openmm(model: str) -> None:
    from studio.forcefield.topology import to_topology

    peptide = MOLECULES["alanine-dipeptide"]()
    field = app.ForceField("amber14/protein.ff14SB.xml", f"implicit/{model}.xml")
    plain = energy(field.createSystem(to_topology(peptide)), peptide)
    assert energy(parametrise(peptide, implicit=model).system, peptide) == pytest.approx(plain, abs=1e-6)
    assert plain < energy(parametrise(peptide).system, peptide) - 20


def test_implicit_solvent_likes_ligands_too(aspirin: Structure) -> None:
    assert energy(parametrise(aspirin, implicit="gbn2").system, aspirin) < energy(parametrise(aspirin).system, aspirin) - 20


# What a System must be


def test_charges_sum_to_the_formal_charge_of_each_molecule() -> None:
    salt = Structure.from_smiles("CC(=O)[O-].C[NH3+].[Na+]")
    mm = parametrise(salt)
    assert [round(float(charges(mm)[atoms].sum()), 3) for atoms in salt.molecules] == [salt.take(atoms).charge for atoms in salt.molecules] == [-1, 1, 1]


def test_particles_come_in_the_order_of_the_atoms() -> None:
    salt = Structure.from_smiles("CC(=O)[O-].C[NH3+].O")
    mm = parametrise(salt, ForceField(hydrogen_mass=1.008))
    masses = [mm.system.getParticleMass(i).value_in_unit(unit.dalton) for i in range(len(salt))]
    assert np.array_equal(np.rint(masses), [{1: 1, 6: 12, 7: 14, 8: 16}[z] for z in salt.numbers])
    bonds = next(f for f in mm.system.getForces() if isinstance(f, openmm.HarmonicBondForce))
    found = {tuple(sorted(bonds.getBondParameters(k)[:2])) for k in range(bonds.getNumBonds())}
    assert found == {tuple(sorted(pair)) for pair in salt.bonds.tolist()}


def test_hydrogen_masses_and_constraints(aspirin: Structure) -> None:
    both = aspirin.join(dataclasses.replace(Structure.from_smiles("O"), residues=(Residue("HOH"),)))
    system = parametrise(both).system
    masses = np.array([system.getParticleMass(i).value_in_unit(unit.dalton) for i in range(len(both))])
    assert masses[both.numbers == 1].round(3).tolist() == [1.5] * 8 + [1.008] * 2
    assert system.getNumConstraints() == 8 + 3
    bonds = next(f for f in system.getForces() if isinstance(f, openmm.HarmonicBondForce))
    assert bonds.getNumBonds() == len(both.bonds)  # constrained ones too
    assert parametrise(aspirin, ForceField(constrain_hydrogens=False)).system.getNumConstraints() == 0


def test_forces_are_in_their_groups(aspirin: Structure) -> None:
    mm = parametrise(aspirin)
    assert {force.getForceGroup() for force in mm.system.getForces()} == {ForceGroup.MM}


def test_fixed_atoms_stay_and_nothing_constrains_them(aspirin: Structure) -> None:
    fixed = np.arange(len(aspirin)) < 6
    held = dataclasses.replace(aspirin, fixed=fixed)
    system = parametrise(held).system
    assert not any(isinstance(force, openmm.CMMotionRemover) for force in system.getForces())
    integrator = openmm.LangevinMiddleIntegrator(300, 1, 0.001)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(held.positions)
    integrator.step(20)
    moved = np.array(context.getState(getPositions=True).getPositions(asNumpy=True)) - held.positions
    assert np.all(moved[fixed] == 0.0)
    assert np.all(np.abs(moved[~fixed]).max(axis=1) > 0.0)


# Water


def test_box_is_full_neutral_and_periodic(aspirin: Structure) -> None:
    acid = Structure.from_smiles("CC(=O)[O-]")
    boxed = solvate_box(acid, 1.0, ionic_strength=0.15, seed=1)
    side = boxed.box[0, 0]
    assert boxed.charge == 0
    sodium, chloride = (boxed.numbers == 11).sum(), (boxed.numbers == 17).sum()
    assert (sodium, chloride) == (chloride + 1, chloride)
    assert chloride >= 1
    per_volume = len(boxed.atoms_of("water")) / 3 / (side**3 - 0.07)
    assert 31.0 < per_volume < 35.5  # 33.4 waters per nm^3
    mm = parametrise(boxed)
    force = next(f for f in mm.system.getForces() if isinstance(f, openmm.NonbondedForce))
    assert force.getNonbondedMethod() == openmm.NonbondedForce.PME
    assert force.getCutoffDistance().value_in_unit(unit.nanometer) == pytest.approx(0.9)
    assert solvate_box(acid, 1.0, ionic_strength=0.15, seed=1).key == boxed.key


def test_small_box_is_refused_with_numbers(aspirin: Structure) -> None:
    with pytest.raises(StructureError, match=r"box is 1.66 nm across .* at least 1.80 nm, twice the cutoff of 0.9 nm. Take a larger padding \(by 0.07 nm"):
        parametrise(solvate_box(aspirin, 0.4))


def test_slanted_box_counts_its_narrowest_side() -> None:
    slanted = dataclasses.replace(Structure.from_smiles("O"), box=np.array([[2.0, 0, 0], [1.0, 1.7, 0], [0, 0, 2.0]]))
    with pytest.raises(StructureError, match=r"1.70 nm across"):
        parametrise(slanted)


def test_wall_pulls_water_in_and_only_from_outside(aspirin: Structure) -> None:
    centre = aspirin.positions.mean(axis=0)
    drop = solvate_sphere(aspirin, centre, 0.9)
    assert drop.droplet is not None
    assert energy(parametrise(drop).system, drop, {ForceGroup.WALL}) == 0.0
    shrunk = dataclasses.replace(drop, droplet=Droplet(drop.droplet.centre, 0.6))
    system = parametrise(shrunk).system
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(shrunk.positions)
    state = context.getState(getForces=True, groups={ForceGroup.WALL})
    forces = np.array(state.getForces(asNumpy=True).value_in_unit(unit.kilojoule_per_mole / unit.nanometer))
    outward = np.linalg.norm(shrunk.positions - centre, axis=1)
    water = np.zeros(len(shrunk), dtype=bool)
    water[shrunk.atoms_of("water")] = True
    pulled = np.linalg.norm(forces, axis=1) > 0
    assert np.array_equal(pulled, water & (shrunk.numbers == 8) & (outward > 0.6))
    assert np.all(np.einsum("ij,ij->i", forces[pulled], (shrunk.positions - centre)[pulled]) < 0)


def test_implicit_solvent_and_a_droplet_exclude_each_other(aspirin: Structure) -> None:
    with pytest.raises(SettingsError, match="Choose one"):
        parametrise(solvate_sphere(aspirin, aspirin.positions.mean(axis=0), 0.9), implicit="gbn2")


# Refusals


@pytest.mark.parametrize(
    ("smiles", "sentence"),
    [
        ("C[Si](C)(C)C", r"OpenFF Sage\) has no parameters for Si \(first: Si2 of LIG A1"),
        ("CB(O)O", "has no parameters for B"),
        ("CC[CH2]", "LIG A1 has unpaired electrons"),
        ("[O][O]", "unpaired electrons"),
    ],
)
def test_unsupported_molecules_are_named(smiles: str, sentence: str) -> None:
    with pytest.raises(UnsupportedError, match=sentence):
        parametrise(Structure.from_smiles(smiles))


def test_ligand_bonded_to_protein_is_refused() -> None:
    peptide = MOLECULES["alanine-dipeptide"]()
    odd = dataclasses.replace(peptide, residues=(peptide.residues[0], Residue("XYZ", "2"), peptide.residues[2]))
    with pytest.raises(UnsupportedError, match="covalent ligands and modified residues are not supported"):
        parametrise(odd)


def test_provenance_names_what_was_used(aspirin: Structure) -> None:
    said = parametrise(aspirin).provenance
    assert said["ligand force field"] == "openff-2.2.1"
    assert said["ligand charges"] == "openff-gnn-am1bcc-1.0.0"
    assert said["openmm"]
    assert said["nonbonded"] == "no cutoff"
