"""Coupling: NNP/MM in delta form, on top of an MM system that stays as it was.

    U(R; lambda, lambda_el) = U_MM(R) + lambda sum_L [ E_NNP(R_L) - E_ref - U_MM^LL(R_L) ] + lambda_el sum_L [ dU_q + U_pol ]

L runs over the ML regions (fragments), each with its own network and link hydrogens; U_MM is the untouched OpenMM System,
U_MM^LL its terms that belong to L. All of it is one `openmm.PythonForce` (a pair of callbacks). Mechanical embedding: L
feels its surroundings by its MM charges and Lennard-Jones terms; electrostatic embedding adds the last bracket, see
`embedding`. E_ref makes the first bracket zero at the structure that was coupled; no force depends on it. Where both
lambdas are 0 no network is called. This file knows MM systems and bound potentials and must not know recipes, workers
or frames.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import TYPE_CHECKING

import numpy as np

from studio.coarse.chain import platform_for
from studio.errors import RegionError
from studio.forcefield.base import ForceGroup, MMSystem
from studio.hybrid.boundary import Part, cap, check_apart
from studio.hybrid.correction import EVERY, LAMBDA, LAMBDA_ELEC, Correction, Fragment
from studio.hybrid.embedding import Electrostatic, Embedding, mm_charges, surroundings
from studio.hybrid.inner import InnerForce
from studio.hybrid.motion import Motion
from studio.hybrid.refit import Refit
from studio.hybrid.region_mm import RegionMM, energy_forces
from studio.potentials.base import BoundPotential
from studio.structure import Integers, Structure

if TYPE_CHECKING:
    import openmm

__all__ = [
    "EVERY",
    "LAMBDA",
    "LAMBDA_ELEC",
    "Correction",
    "Model",
    "Motion",
    "RegionMM",
    "beads_only",
    "couple",
    "couple_fragments",
    "energy_forces",
    "network_only",
    "plain",
]


@dataclass(frozen=True)
class Model:
    """A system ready to be moved: what it is, what moves it, and how to tell its energies apart.

    Args:
        structure: The atoms, in the order of the system.
        system: The OpenMM System.
        region: Indices of the atoms that a network describes; empty for plain MM.
        correction: The brackets, or none for plain MM.
        provenance: Methods, versions, hashes, for the Result.
        platform: OpenMM platform that suits it; the fastest there is when left out.
        threads: CPU threads that suit it; OpenMM's choice when left out.
    """

    structure: Structure
    system: "openmm.System"
    region: Integers
    correction: Correction | None
    provenance: dict[str, str]
    platform: str | None = None
    threads: int | None = None


def couple(mm: MMSystem, atoms: Integers, potential: BoundPotential, lam: float = 1.0) -> Model:
    """Describe `atoms` by a network and leave the rest to MM, with mechanical embedding.

    Args:
        mm: The parametrised structure; not changed.
        atoms: The ML region.
        potential: Bound to the region, same atoms in the same order; where bonds are cut, to `cap(structure, atoms).structure`.
        lam: Between 0 (MM) and 1 (NNP/MM); can be changed later as the Context parameter `LAMBDA`.

    Raises:
        RegionError: See `couple_fragments`.
    """
    return couple_fragments(mm, [(cap(mm.structure, atoms), potential)], lam)


def couple_fragments(
    mm: MMSystem,
    described: Sequence[tuple[Part, BoundPotential]],
    lam: float = 1.0,
    electrostatic: Electrostatic | None = None,
    motion: Motion | None = None,
) -> Model:
    """Describe some regions by networks, each by its own, and leave the rest and what is between them to MM.

    Args:
        mm: The parametrised structure; not changed.
        described: The regions, and for each the potential, bound to the capped region.
        lam: Between 0 (MM) and 1 (NNP/MM); can be changed later as the Context parameters `LAMBDA` and `LAMBDA_ELEC`.
        electrostatic: Electrostatic embedding; mechanical when left out.
        motion: What is done for long time steps; nothing when left out.

    Raises:
        RegionError: Regions overlap, touch or share an MM host, hold fixed atoms, or whole molecules carry another MM charge than drawn.
        UnsupportedError: A potential predicts no charges, though embedding is electrostatic.
        SettingsError: Electrostatic embedding reaches further than half the box.
    """
    import openmm

    motion = motion or Motion()
    parts = [part for part, _ in described]
    check_apart(mm.structure, parts)
    for part in parts:
        _check_mobile(mm.structure, part.atoms)
        _check_charge(mm, part)
    system = openmm.XmlSerializer.deserialize(openmm.XmlSerializer.serialize(mm.system))
    moving = motion.apply(system, mm.structure, parts, (LAMBDA, lam))
    correction, particles = _correction(mm, described, electrostatic, motion.refits)
    _add_correction(system, correction, particles, lam, mm.structure.box is not None)
    provenance = mm.provenance | _provenance(mm, described, electrostatic) | moving | {
        "reference_energy_kj_mol": f"{correction.reference:.6f}",
    }  # fmt: skip
    return Model(mm.structure.with_notes(*motion.notes), system, np.unique(np.concatenate([part.atoms for part in parts])), correction, provenance)


def plain(mm: MMSystem) -> Model:
    """All atoms by MM.

    Args:
        mm: The parametrised structure.
    """
    return Model(mm.structure, mm.system, np.zeros(0, dtype=np.int64), None, {**mm.provenance, "coupling": "MM"})


def beads_only(mm: MMSystem) -> Model:
    """All beads by a coarse model, where so many are fastest.

    Args:
        mm: The beads and their System.
    """
    return Model(mm.structure, mm.system, np.zeros(0, dtype=np.int64), None, {**mm.provenance, "coupling": "beads"}, *platform_for(len(mm.structure)))


def network_only(structure: Structure, potential: BoundPotential, hydrogen_mass: float) -> Model:
    """All atoms by a network, in vacuum.

    Args:
        structure: The atoms; box and droplet are left behind, fixed atoms stay where they are.
        potential: Bound to all of them.
        hydrogen_mass: Mass of hydrogens, Da, taken from the heavy neighbour.
    """
    import openmm
    from openmm import app, unit

    structure = replace(structure, box=None, droplet=None)
    masses = np.array([app.Element.getByAtomicNumber(int(z)).mass.value_in_unit(unit.dalton) for z in structure.numbers])
    for i, j in structure.bonds:
        light, heavy = (i, j) if structure.numbers[i] == 1 else (j, i)
        if structure.numbers[light] == 1 and structure.numbers[heavy] > 1:
            masses[heavy] -= hydrogen_mass - masses[light]
            masses[light] = hydrogen_mass
    masses[structure.fixed] = 0.0
    system = openmm.System()
    for mass in masses:
        system.addParticle(float(mass))
    part = cap(structure, np.arange(len(structure)))
    atoms = part.atoms
    correction = Correction([Fragment(part, potential, atoms)], np.array(structure.positions), None)
    _add_correction(system, correction, atoms, 1.0, periodic=False)
    if not structure.fixed.any():
        system.addForce(openmm.CMMotionRemover(100))
    provenance = potential.provenance | {
        "coupling": "NNP, whole molecule in vacuum",
        "ml_atoms": str(len(atoms)),
        "hydrogen_mass_da": f"{hydrogen_mass:g}",
        "reference_energy_kj_mol": f"{correction.reference:.6f}",
    }  # fmt: skip
    return Model(structure, system, atoms, correction, provenance)


def _correction(
    mm: MMSystem, described: Sequence[tuple[Part, BoundPotential]], electrostatic: Electrostatic | None, refits: Sequence[Refit]
) -> tuple[Correction, Integers]:
    """The correction, and the particles that it needs: the regions and their hosts, or all of them where MM charges count."""
    structure, parts = mm.structure, [part for part, _ in described]
    particles = np.arange(len(structure)) if electrostatic else np.unique(np.concatenate([part.seen for part in parts]))
    sites = surroundings(mm, parts) if electrostatic else None

    def fragment(part: Part, potential: BoundPotential, refit: Refit | None) -> Fragment:
        embedding = Embedding(mm, part, sites, electrostatic) if electrostatic and sites else None
        inner = InnerForce(refit, len(part.seen)) if refit else None
        return Fragment(part, potential, np.searchsorted(particles, part.seen), shadow=RegionMM(mm, part), inner=inner, embedding=embedding)

    fragments = [fragment(part, potential, refit) for (part, potential), refit in zip_longest(described, refits)]
    return Correction(fragments, structure.positions[particles], structure.box), particles


def _provenance(mm: MMSystem, described: Sequence[tuple[Part, BoundPotential]], electrostatic: Electrostatic | None) -> dict[str, str]:
    """Potentials, regions, links and embedding; entries of further fragments carry their number."""
    entries = {"coupling": f"NNP/MM, delta form, {'electrostatic' if electrostatic else 'mechanical'} embedding"}
    if electrostatic:
        entries["polarisation"] = electrostatic.polarisation
    for number, (part, potential) in enumerate(described, start=1):
        prefix = "" if number == 1 else f"fragment {number}: "
        own = {**potential.provenance, "ml_atoms": str(len(part.atoms)), "ml_charge_e": f"{part.structure.charge:+d}"}
        if len(part.hosts):
            own["link_atoms"] = f"{len(part.hosts)} hydrogens, {part.style}"
            own["mm_charge_of_cut_region_e"] = f"{mm_charges(mm)[part.atoms].sum():+.4f}"
        entries |= {prefix + key: value for key, value in own.items()}
    return entries


def _add_correction(system: "openmm.System", correction: Correction, atoms: Integers, lam: float, periodic: bool) -> None:
    """Put `begin` before all forces of `system` and `finish` after them: OpenMM evaluates forces in their order."""
    import openmm

    others = [openmm.XmlSerializer.clone(force) for force in system.getForces()]
    while system.getNumForces():
        system.removeForce(0)
    ends = []
    for callback, name in ((correction.begin, "NNP correction, begin"), (correction.finish, "NNP correction")):
        force = openmm.PythonForce(callback, {**dict.fromkeys(correction.parameters, lam), EVERY: 1})
        force.setName(name)
        force.setParticles([int(i) for i in atoms])
        force.setForceGroup(ForceGroup.NNP)
        force.setUsesPeriodicBoundaryConditions(periodic)
        ends.append(force)
    for force in (ends[0], *others, ends[1]):
        system.addForce(force)


def _check_mobile(structure: Structure, atoms: Integers) -> None:
    fixed = atoms[structure.fixed[atoms]]
    if len(fixed):
        raise RegionError(f"{structure.label(int(fixed[0]))} is held fixed and cannot be in the ML region. Choose atoms that move.")


def _check_charge(mm: MMSystem, part: Part) -> None:
    """The MM charge of whole molecules must be as drawn; a cut leaves part of an integer charge on its other side."""
    drawn, charge = int(mm.structure.formal_charges[part.atoms].sum()), float(mm_charges(mm)[part.atoms].sum())
    if not len(part.hosts) and abs(charge - drawn) > 0.01:
        raise RegionError(
            f"The region carries {charge:+.3f} e in the force field and {drawn:+d} e as drawn; expected the same. Check protonation and formal charges."
        )
