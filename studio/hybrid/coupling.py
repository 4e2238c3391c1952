"""Coupling: NNP/MM in delta form, on top of an MM system that stays as it was.

    U(R; lambda) = U_MM(R) + lambda [ E_NNP(R_L) - E_ref - U_MM^LL(R_L) ]

L is the ML region, U_MM the untouched OpenMM System, U_MM^LL its terms within L. The bracket is one `openmm.PythonForce`
on the atoms of L (mechanical embedding: L feels its surroundings by its MM charges and Lennard-Jones terms). E_ref
makes the bracket zero at the structure that was coupled; no force depends on it. At lambda = 0 the network is not
called. This file knows MM systems and bound potentials and must not know recipes, workers or frames.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from studio.errors import RegionError
from studio.forcefield.base import ForceGroup, MMSystem
from studio.forcefield.subset import subset
from studio.hybrid.whole import MakeWhole
from studio.potentials.base import BoundPotential, EnergyForces
from studio.region import check_whole_molecules
from studio.structure import Floats, Integers, Structure

if TYPE_CHECKING:
    import openmm

LAMBDA = "lambda_nnp"
"""Name of the OpenMM global parameter that scales the bracket."""


@dataclass(frozen=True)
class Terms:
    """What the region's energy was made of at the last evaluation, kJ/mol: the network (less E_ref) and its MM shadow."""

    network: float = 0.0
    shadow: float = 0.0

    @property
    def bracket(self) -> float:
        """dU/dlambda: network minus shadow."""
        return self.network - self.shadow


class RegionMM:
    """U_MM^LL: the MM energy of the region alone, by its own small OpenMM Context in double precision.

    Periodic electrostatics count each pair as a full 1/r, as an OpenMM exception does; Lennard-Jones terms keep the
    cutoff and switch of the full system, so that what is taken away is what is there.

    Args:
        mm: The full system.
        atoms: Indices of the region, sorted.
    """

    def __init__(self, mm: MMSystem, atoms: Integers) -> None:
        import openmm

        system = subset(mm.system, atoms)
        for index in reversed(range(system.getNumForces())):
            force = system.getForce(index)
            if isinstance(force, openmm.NonbondedForce):
                _split_nonbonded(system, force)
            elif not isinstance(force, _bonded()):
                system.removeForce(index)
        while system.getNumConstraints():
            system.removeConstraint(0)
        self._context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))

    def __call__(self, positions: Floats) -> EnergyForces:
        """Energy (kJ/mol) and forces (n, 3) (kJ/mol/nm) of the region at `positions` (n, 3), nm, whole."""
        self._context.setPositions(positions)
        return energy_forces(self._context.getState(energy=True, forces=True))


class Correction:
    """The bracket as two callbacks of `openmm.PythonForce`: `begin` before the MM forces, `finish` after them.

    The network runs on one core while OpenMM works out the MM forces on the others. The last answer is remembered, so that
    reading the energy at positions where the forces were just computed costs no second network call.

    Args:
        potential: The network, bound to the region.
        region_mm: The region's MM energy.
        make_whole: Puts the region into one image.
        start: Positions (n, 3), nm, at which the bracket is zero.
        periodic: The full system lives in a box.
    """

    def __init__(self, potential: BoundPotential, region_mm: RegionMM | None, make_whole: MakeWhole, start: Floats, periodic: bool) -> None:
        self._potential, self._region_mm, self._make_whole, self._periodic = potential, region_mm, make_whole, periodic
        self._positions: Floats | None = None
        self._answer = EnergyForces(0.0, np.zeros_like(start))
        self._pending: Future[tuple[EnergyForces, EnergyForces]] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="network")
        self.terms = Terms()
        self.calls = 0
        self.reference = 0.0
        network, shadow = self._evaluate(start)
        self.reference = network.energy - shadow.energy

    def begin(self, state: "openmm.State") -> tuple[float, Floats]:
        """Start the evaluation in a thread of its own, so that OpenMM works out the MM forces meanwhile; adds nothing itself."""
        positions = _positions_of(state)
        if state.getParameters()[LAMBDA] != 0.0 and not self._known(positions):
            whole = self._make_whole(positions, _box_of(state) if self._periodic else None)
            self._pending, self._positions = self._thread.submit(self._evaluate, whole), positions
        return 0.0, np.zeros_like(positions)

    def finish(self, state: "openmm.State") -> tuple[float, Floats]:
        """Energy and forces of the bracket times lambda, as OpenMM asks for them."""
        lam = state.getParameters()[LAMBDA]
        if self._pending is not None:
            pending, self._pending = self._pending, None
            positions, self._positions = self._positions, None  # should the network fail, there is no answer for them
            network, shadow = pending.result()
            self._positions = positions
            self.terms = Terms(network.energy - self.reference, shadow.energy)
            self._answer = EnergyForces(self.terms.bracket, network.forces - shadow.forces)
        return lam * self._answer.energy, lam * self._answer.forces

    def _known(self, positions: Floats) -> bool:
        return self._positions is not None and np.array_equal(positions, self._positions)

    def _evaluate(self, positions: Floats) -> tuple[EnergyForces, EnergyForces]:
        self.calls += 1
        network = self._potential(positions)
        if self._region_mm is None:
            return network, EnergyForces(0.0, np.zeros_like(positions))
        return network, self._region_mm(positions)


@dataclass(frozen=True)
class Model:
    """A system ready to be moved: what it is, what moves it, and how to tell its energies apart.

    Args:
        structure: The atoms, in the order of the system.
        system: The OpenMM System.
        region: Indices of the atoms that a network describes; empty for plain MM.
        correction: The bracket, or none for plain MM.
        provenance: Methods, versions, hashes, for the Result.
    """

    structure: Structure
    system: "openmm.System"
    region: Integers
    correction: Correction | None
    provenance: dict[str, str]


def couple(mm: MMSystem, atoms: Integers, potential: BoundPotential, lam: float = 1.0) -> Model:
    """Describe `atoms` by a network and leave the rest to MM.

    Args:
        mm: The parametrised structure; not changed.
        atoms: The ML region: whole molecules.
        potential: Bound to the region, same atoms in the same order.
        lam: Between 0 (MM) and 1 (NNP/MM); can be changed later as the Context parameter `LAMBDA`.

    Raises:
        RegionError: The region cuts a covalent bond, holds fixed atoms, or carries a fractional MM charge.
    """
    import openmm

    structure = mm.structure
    check_whole_molecules(structure, atoms)
    _check_mobile(structure, atoms)
    _check_charge(mm, atoms)
    system = openmm.XmlSerializer.deserialize(openmm.XmlSerializer.serialize(mm.system))
    lifted = _lift_constraints(system, atoms)
    part = structure.take(atoms)
    make_whole = MakeWhole(part)
    correction = Correction(potential, RegionMM(mm, atoms), make_whole, make_whole(np.array(part.positions), structure.box), structure.box is not None)
    _add_correction(system, correction, atoms, lam, structure.box is not None)
    provenance = mm.provenance | potential.provenance | {
        "coupling": "NNP/MM, delta form, mechanical embedding",
        "ml_atoms": str(len(atoms)),
        "lifted_constraints": str(lifted),
        "reference_energy_kj_mol": f"{correction.reference:.6f}",
    }  # fmt: skip
    return Model(structure, system, atoms, correction, provenance)


def plain(mm: MMSystem) -> Model:
    """All atoms by MM.

    Args:
        mm: The parametrised structure.
    """
    return Model(mm.structure, mm.system, np.zeros(0, dtype=np.int64), None, {**mm.provenance, "coupling": "MM"})


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
    correction = Correction(potential, None, MakeWhole(structure), np.array(structure.positions), periodic=False)
    atoms = np.arange(len(structure))
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


def energy_forces(state: "openmm.State") -> EnergyForces:
    """Energy (kJ/mol) and forces (n, 3) (kJ/mol/nm) of an OpenMM State."""
    from openmm import unit

    energy = state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole)
    return EnergyForces(energy, state.getForces(asNumpy=True).value_in_unit(unit.kilojoule_per_mole / unit.nanometer))


def _bonded() -> tuple[type, ...]:
    """The bonded OpenMM forces that belong to U_MM^LL."""
    import openmm

    return (openmm.HarmonicBondForce, openmm.HarmonicAngleForce, openmm.PeriodicTorsionForce, openmm.RBTorsionForce, openmm.CMAPTorsionForce)


def _add_correction(system: "openmm.System", correction: Correction, atoms: Integers, lam: float, periodic: bool) -> None:
    """Put `begin` before all forces of `system` and `finish` after them: OpenMM evaluates forces in their order."""
    import openmm

    others = [openmm.XmlSerializer.clone(force) for force in system.getForces()]
    while system.getNumForces():
        system.removeForce(0)
    ends = []
    for callback, name in ((correction.begin, "NNP correction, begin"), (correction.finish, "NNP correction")):
        force = openmm.PythonForce(callback, {LAMBDA: lam})
        force.setName(name)
        force.setParticles([int(i) for i in atoms])
        force.setForceGroup(ForceGroup.NNP)
        force.setUsesPeriodicBoundaryConditions(periodic)
        ends.append(force)
    for force in (ends[0], *others, ends[1]):
        system.addForce(force)


def _split_nonbonded(system: "openmm.System", force: "openmm.NonbondedForce") -> None:
    """Make `force` the Coulomb part and add its Lennard-Jones part, which keeps the cutoff, to `system`."""
    import openmm

    kinds = openmm.NonbondedForce
    method = force.getNonbondedMethod()
    if method == kinds.NoCutoff:
        return
    vdw = openmm.XmlSerializer.deserialize(openmm.XmlSerializer.serialize(force))
    vdw.setNonbondedMethod(kinds.CutoffNonPeriodic)
    vdw.setUseDispersionCorrection(False)
    force.setNonbondedMethod(kinds.CutoffNonPeriodic if method in (kinds.CutoffNonPeriodic, kinds.CutoffPeriodic) else kinds.NoCutoff)
    for i in range(force.getNumParticles()):
        charge, sigma, epsilon = force.getParticleParameters(i)
        force.setParticleParameters(i, charge, sigma, 0.0)
        vdw.setParticleParameters(i, 0.0, sigma, epsilon)
    for k in range(force.getNumExceptions()):
        i, j, product, sigma, epsilon = force.getExceptionParameters(k)
        force.setExceptionParameters(k, i, j, product, sigma, 0.0)
        vdw.setExceptionParameters(k, i, j, 0.0, sigma, epsilon)
    system.addForce(vdw)


def _lift_constraints(system: "openmm.System", atoms: Integers) -> int:
    """Remove the constraints within the region: the network's own bonds vibrate. Returns how many."""
    inside = set(atoms.tolist())
    lifted = 0
    for index in reversed(range(system.getNumConstraints())):
        i, j, _ = system.getConstraintParameters(index)
        if i in inside and j in inside:
            system.removeConstraint(index)
            lifted += 1
    return lifted


def _check_mobile(structure: Structure, atoms: Integers) -> None:
    fixed = atoms[structure.fixed[atoms]]
    if len(fixed):
        raise RegionError(f"{structure.label(int(fixed[0]))} is held fixed and cannot be in the ML region. Choose atoms that move.")


def _check_charge(mm: MMSystem, atoms: Integers) -> None:
    """The MM charge of the region must be the charge that the network is told."""
    import openmm
    from openmm import unit

    drawn = int(mm.structure.formal_charges[atoms].sum())
    for force in mm.system.getForces():
        if isinstance(force, openmm.NonbondedForce):
            charge = sum(force.getParticleParameters(int(i))[0].value_in_unit(unit.elementary_charge) for i in atoms)
            if abs(charge - drawn) > 0.01:
                raise RegionError(
                    f"The region carries {charge:+.3f} e in the force field and {drawn:+d} e as drawn; expected the same. Check protonation and formal charges."
                )


def _positions_of(state: "openmm.State") -> Floats:
    from openmm import unit

    return np.asarray(state.getPositions(asNumpy=True).value_in_unit(unit.nanometer))


def _box_of(state: "openmm.State") -> Floats:
    from openmm import unit

    return np.asarray(state.getPeriodicBoxVectors(asNumpy=True).value_in_unit(unit.nanometer))
