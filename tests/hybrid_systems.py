"""What the tests of NNP/MM share: real molecules with regions that cut bonds, and how to evaluate them in double precision."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import openmm
from openmm import app

from studio.forcefield import MMSystem, parametrise
from studio.forcefield.base import ForceField
from studio.hybrid.boundary import LinkStyle, Part, cap
from studio.hybrid.coupling import LAMBDA, Model, couple_fragments, energy_forces
from studio.hybrid.embedding import Electrostatic
from studio.io import read
from studio.potentials.base import EnergyForces
from studio.potentials.so3lr import SO3LR
from studio.structure import Floats, Integers, Residue, Structure
from tests.molecule_files import PEPTIDE, without


@dataclass(frozen=True)
class Cut:
    """A parametrised system and a region in it that cuts bonds."""

    mm: MMSystem
    atoms: Integers

    def model(self, link: LinkStyle = "fixed", lam: float = 1.0, electrostatic: Electrostatic | None = None) -> Model:
        part = cap(self.mm.structure, self.atoms, link)
        return couple_fragments(self.mm, [(part, bind(part))], lam, electrostatic)


def bind(part: Part):
    return SO3LR(precision="float64").bind(part.structure, device="cpu")


def context(system: openmm.System) -> openmm.Context:
    return openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))


def evaluate(system: openmm.System, positions: Floats, lam: float | None = None) -> EnergyForces:
    place = context(system)
    place.setPositions(positions)
    if lam is not None:
        place.setParameter(LAMBDA, lam)
    return energy_forces(place.getState(energy=True, forces=True))


def shaken(structure: Structure, seed: int = 0, size: float = 0.003) -> Floats:
    return structure.positions + np.random.default_rng(seed).normal(scale=size, size=structure.positions.shape)


def worst_slope_error(place: openmm.Context, positions: Floats, atoms: Iterable[int], step: float = 1e-5) -> float:
    """Largest difference between a force and minus the central difference of the energy, kJ/mol/nm, over all axes of `atoms`."""

    def energy(moved: Floats) -> float:
        place.setPositions(moved)
        return energy_forces(place.getState(energy=True, forces=True)).energy

    place.setPositions(positions)
    forces = energy_forces(place.getState(energy=True, forces=True)).forces
    errors = []
    for atom in atoms:
        for axis in range(3):
            shift = np.zeros_like(positions)
            shift[atom, axis] = step
            errors.append(abs(forces[atom, axis] - (energy(positions - shift) - energy(positions + shift)) / (2 * step)))
    return max(errors)


def water(*place: float) -> Structure:
    """A water molecule at a place, nm."""
    plain = replace(Structure.from_smiles("O"), residues=(Residue("HOH"),), names=("O", "H1", "H2"))
    return plain.with_positions(plain.positions + np.array(place))


def plain_topology(structure: Structure) -> app.Topology:
    """Elements and bonds, in one residue, to which OpenMM-ML can add its link atoms."""
    topology = app.Topology()
    residue = topology.addResidue("ALL", topology.addChain())
    atoms = [topology.addAtom(name, app.Element.getByAtomicNumber(int(z)), residue) for name, z in zip(structure.names, structure.numbers, strict=True)]
    for i, j in structure.bonds:
        topology.addBond(atoms[i], atoms[j])
    return topology


def phe_side_chain(folder: Path) -> Cut:
    """ACE-PHE-NME by Amber, cut at CA-CB."""
    path = folder / "phe.pdb"
    path.write_text(without(PEPTIDE, r"HB[123] ALA").replace("ALA", "PHE"))
    structure = read(path)
    names = np.array(structure.names)
    side = np.array([str(residue) == "PHE A2" for residue in structure.residues])[structure.residue_index]
    return Cut(parametrise(structure), np.flatnonzero(side & ~np.isin(names, ["N", "H", "CA", "HA", "C", "O"])))


def peptide_fragment(folder: Path) -> Cut:
    """Alanine dipeptide by ff19SB, which has CMAP, without its two end methyls: two cuts, the CMAP term within."""
    path = folder / "ala.pdb"
    path.write_text(PEPTIDE)
    structure = read(path)
    ends = [i for i, name in enumerate(structure.names) if structure.residues[structure.residue_index[i]].name in ("ACE", "NME") and name not in "CONH"]
    methyl = next(i for i, name in enumerate(structure.names) if structure.residues[structure.residue_index[i]].name == "NME" and name == "C")
    return Cut(parametrise(structure, ForceField(protein="ff19SB")), np.setdiff1d(np.arange(len(structure)), [*ends, methyl]))


def covalent_inhibitor() -> Cut:
    """The adduct of cysteine and an acrylamide, in Sage, with two waters: side chain and warhead in the region, cut at CA-CB."""
    adduct = Structure.from_smiles("CC(=O)N[C@@H](CSCCC(=O)NC)C(=O)NC").join(water(0.5, 0.4, 0.3), water(-0.5, 0.5, -0.3))
    heavy = list(range(5, 13))
    hydrogens = [int(h) for atom in heavy for h in adduct.bonds[(adduct.bonds == atom).any(axis=1)].ravel() if adduct.numbers[h] == 1]
    return Cut(parametrise(adduct), np.array(sorted({*heavy, *hydrogens})))
