"""Steering: the springs that a person adds to a running simulation - a pull on one atom, restraints on some.

    U = k m (d - m/2),   m = min(d, F/k)

d: distance of the atom from where the spring holds it, or of a pair from its length; k: stiffness; F: the strongest force.
A spring is harmonic up to F/k and pulls with F beyond, so that energy and force agree however far it is stretched. Pull and
restraints have force groups of their own: the physics is told apart from what a hand adds to it.

Knows OpenMM Contexts and adds forces to their Systems; must not know steps, processes or mice.
"""

from collections.abc import Sequence
from itertools import count
from math import sqrt
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, field_validator, model_validator

from studio.errors import SettingsError
from studio.forcefield.base import ForceGroup
from studio.settings import validated
from studio.structure import Structure
from studio.units import Nanometer

if TYPE_CHECKING:
    import openmm

STRONGEST_PULL = 500.0
"""No pull is stronger, kJ/mol/nm (830 pN): moves anything that is not bonded, and is far from tearing a bond."""
STRONGEST_RESTRAINT = 1000.0
"""No restraint pulls stronger, kJ/mol/nm."""
RESTRAINT_GROUP = 4
"""OpenMM force group of restraints; pulls are in `ForceGroup.PULL`."""
PHYSICS = -1 & ~(1 << ForceGroup.PULL | 1 << RESTRAINT_GROUP)
"""OpenMM's bit mask of all force groups that are not steering."""

Stiffness = Annotated[float, Field(gt=0.0, le=10_000.0, allow_inf_nan=False)]
"""Of a spring, kJ/mol/nm^2. The stiffest swings a hydrogen in 60 fs: slow enough for every time step on offer."""
AtomIndex = Annotated[int, Field(ge=0)]
Coordinate = Annotated[float, Field(ge=-1e4, le=1e4, allow_inf_nan=False)]
Place = tuple[Coordinate, Coordinate, Coordinate]

_numbers = count()


class Spring(BaseModel):
    """What pulls an atom.

    Args:
        atom: Index.
        target: Where to, nm, in any periodic image.
        stiffness: Of the spring, kJ/mol/nm^2.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    atom: AtomIndex
    target: Place
    stiffness: Stiffness = 500.0


class PositionRestraint(BaseModel):
    """Atoms held where they are, each by a spring of its own.

    Args:
        atoms: Indices.
        stiffness: Of each spring, kJ/mol/nm^2.
        positions: Where they are held, nm; where they are when the restraint is set, if left out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["position"] = "position"
    atoms: Annotated[tuple[AtomIndex, ...], Field(min_length=1)]
    stiffness: Stiffness = 1000.0
    positions: tuple[Place, ...] | None = None

    @model_validator(mode="after")
    def _one_place_each(self) -> "PositionRestraint":
        if len(set(self.atoms)) < len(self.atoms):
            raise ValueError("an atom is held twice: expected each atom once")
        if self.positions is not None and len(self.positions) != len(self.atoms):
            raise ValueError(f"expected one position for each of {len(self.atoms)} atoms, got {len(self.positions)}")
        return self


class DistanceRestraint(BaseModel):
    """Two atoms held at a distance.

    Args:
        atoms: Their indices.
        nm: The distance, nm.
        stiffness: Of the spring, kJ/mol/nm^2.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["distance"] = "distance"
    atoms: tuple[AtomIndex, AtomIndex]
    nm: Nanometer
    stiffness: Stiffness = 1000.0

    @field_validator("atoms")
    @classmethod
    def _two(cls, atoms: tuple[int, int]) -> tuple[int, int]:
        if atoms[0] == atoms[1]:
            raise ValueError("expected two different atoms")
        return atoms


Restraint = Annotated[PositionRestraint | DistanceRestraint, Field(discriminator="kind")]
Restraints = tuple[Restraint, ...]
RESTRAINTS: TypeAdapter[Restraints] = TypeAdapter(Restraints)
"""Reads and writes restraints as JSON."""


def spring_to(atom: int, target_nm: Sequence[float], stiffness: float) -> Spring:
    """A spring from what a caller has at hand.

    Args:
        atom: Index.
        target_nm: Where to, nm.
        stiffness: Of the spring, kJ/mol/nm^2.

    Raises:
        SettingsError: Not an index, a place or a stiffness on offer.
    """
    return validated(Spring, {"atom": atom, "target": [float(x) for x in target_nm], "stiffness": stiffness})


def check_spring(structure: Structure, spring: Spring) -> None:
    """Whether `spring` can move its atom.

    Raises:
        SettingsError: The atom does not exist, or is frozen.
    """
    _check_there(structure, (spring.atom,))
    _check_mobile(structure, spring.atom, "pulled")


def check_restraints(structure: Structure, restraints: Sequence[Restraint]) -> None:
    """Whether `restraints` can act on atoms of `structure`.

    Raises:
        SettingsError: An atom does not exist, or is frozen; of a pair one atom may be frozen.
    """
    for restraint in restraints:
        _check_there(structure, restraint.atoms)
        if isinstance(restraint, PositionRestraint):
            for atom in restraint.atoms:
                _check_mobile(structure, atom, "restrained")
        elif structure.fixed[list(restraint.atoms)].all():
            _check_mobile(structure, restraint.atoms[0], "restrained to another frozen atom")


class Effort(NamedTuple):
    """What steering does now.

    Args:
        force: Of the pull, kJ/mol/nm.
        work: Done by the hand since it took hold, kJ/mol.
    """

    force: float = 0.0
    work: float = 0.0


class Steering:
    """The springs in one Context.

    The System gets a force when the first spring of its kind is set, and another when other atoms are; both make the Context
    anew, which costs milliseconds. Moving a pull only sets parameters. Springs are idle in any other Context of the System.

    The work is what targets gained in energy as they moved: sum of U(x; new) - U(x; old) at the positions of that moment.
    Taking hold counts as a move from nothing, and letting go as a move to nothing, so that what the spring still held is given
    back: after release the work is the energy that the molecule received.

    Args:
        context: With positions, or about to get them.
        structure: Its atoms.

    Attributes:
        spring: The pull, while there is one.
        restraints: In force now, with the positions at which atoms are held.
    """

    def __init__(self, context: "openmm.Context", structure: Structure) -> None:
        self._context, self._structure = context, structure
        self._tag = f"steering_{next(_numbers)}"  # parameters belong to the whole Context, and a System may serve several
        self._held: int | None = None
        self._work = 0.0
        self.spring: Spring | None = None
        self.restraints: Restraints = ()

    def pull(self, spring: Spring) -> None:
        """Take hold of an atom, or move what pulls it.

        Args:
            spring: Replaces the pull before it; that of another atom is let go first.

        Raises:
            SettingsError: See `check_spring`.
        """
        check_spring(self._structure, spring)
        if self.spring is None or spring.atom != self.spring.atom:
            self.release()
            self._work = 0.0
            self._reach_for(spring.atom)
        self._set_spring(spring)

    def release(self) -> None:
        """Let go; the work stays to be read."""
        self._set_spring(None)

    def jump(self) -> None:
        """The atoms were put elsewhere: let go without work, and keep the restraints."""
        self.spring, self._work = None, 0.0
        self._impose()

    def restrain(self, restraints: Sequence[Restraint]) -> None:
        """Hold some atoms; what was held before is let go.

        Args:
            restraints: All of them.

        Raises:
            SettingsError: See `check_restraints`.
        """
        check_restraints(self._structure, restraints)
        settled = tuple(self._settled(restraint) for restraint in restraints)
        if settled == self.restraints:
            return
        self.restraints = settled
        self._replace("position", self._position_force())
        self._replace("distance", self._distance_force())
        self._renew()

    @property
    def energies(self) -> dict[str, float]:
        """Of `pull` and `restraint`, kJ/mol."""
        return {"pull": self._stretch(), "restraint": self._energy(RESTRAINT_GROUP) if self.restraints else 0.0}

    @property
    def effort(self) -> Effort:
        """Force and work of the pull."""
        if self.spring is None:
            return Effort(0.0, self._work)
        return Effort(min(sqrt(2.0 * self.spring.stiffness * self._stretch()), STRONGEST_PULL), self._work)

    def _set_spring(self, spring: Spring | None) -> None:
        before = self._stretch()
        self.spring = spring
        self._impose()
        self._work += self._stretch() - before

    def _stretch(self) -> float:
        return self._energy(ForceGroup.PULL) if self.spring else 0.0

    def _energy(self, group: int) -> float:
        from openmm import unit

        energy = self._context.getState(energy=True, groups={int(group)}).getPotentialEnergy()
        return max(0.0, float(energy.value_in_unit(unit.kilojoule_per_mole)))

    def _impose(self) -> None:
        """Set the parameters as they should be now, whatever a checkpoint says."""
        if self._held is not None:
            target, stiffness = (self.spring.target, self.spring.stiffness) if self.spring else ((0.0, 0.0, 0.0), 0.0)
            values = (*target, stiffness, STRONGEST_PULL / (stiffness or 1.0))
            for name, value in zip(("x0", "y0", "z0", "k", "reach"), values, strict=True):
                self._context.setParameter(f"{self._tag}_{name}", value)
        if self.restraints:
            self._context.setParameter(f"{self._tag}_on", 1.0)

    def _settled(self, restraint: Restraint) -> Restraint:
        """With the positions of now where none are given."""
        if isinstance(restraint, DistanceRestraint) or restraint.positions is not None:
            return restraint
        from openmm import unit

        positions = self._context.getState(positions=True).getPositions(asNumpy=True).value_in_unit(unit.nanometer)
        places = np.asarray(positions)[list(restraint.atoms)]
        return restraint.model_copy(update={"positions": tuple(tuple(map(float, place)) for place in places)})

    def _reach_for(self, atom: int) -> None:
        """Have a spring at `atom`, slack."""
        import openmm

        if atom == self._held:
            return
        target = ", ".join(f"{self._tag}_{name}" for name in ("x0", "y0", "z0"))
        force = openmm.CustomExternalForce(self._well(target, f"{self._tag}_k", f"{self._tag}_reach"))
        for name in ("x0", "y0", "z0", "k", "reach"):
            force.addGlobalParameter(f"{self._tag}_{name}", float(name == "reach"))  # idle
        force.addParticle(atom, [])
        force.setForceGroup(ForceGroup.PULL)
        self._replace("pull", force)
        self._held = atom
        self._renew()

    def _position_force(self) -> "openmm.CustomExternalForce | None":
        import openmm

        held = [restraint for restraint in self.restraints if isinstance(restraint, PositionRestraint)]
        if not held:
            return None
        force = openmm.CustomExternalForce(self._well("x0, y0, z0", f"{self._tag}_on*k", "reach"))
        force.addGlobalParameter(f"{self._tag}_on", 0.0)
        for name in ("x0", "y0", "z0", "k", "reach"):
            force.addPerParticleParameter(name)
        for restraint in held:
            spring = (restraint.stiffness, STRONGEST_RESTRAINT / restraint.stiffness)
            for atom, place in zip(restraint.atoms, restraint.positions or (), strict=True):
                force.addParticle(atom, [*place, *spring])
        force.setForceGroup(RESTRAINT_GROUP)
        return force

    def _distance_force(self) -> "openmm.CustomBondForce | None":
        import openmm

        pairs = [restraint for restraint in self.restraints if isinstance(restraint, DistanceRestraint)]
        if not pairs:
            return None
        force = openmm.CustomBondForce(f"{self._tag}_on*k*m*(d - 0.5*m); m = min(d, reach); d = abs(r - r0)")
        force.addGlobalParameter(f"{self._tag}_on", 0.0)
        for name in ("r0", "k", "reach"):
            force.addPerBondParameter(name)
        for pair in pairs:
            force.addBond(*pair.atoms, [pair.nm, pair.stiffness, STRONGEST_RESTRAINT / pair.stiffness])
        force.setUsesPeriodicBoundaryConditions(self._structure.box is not None)
        force.setForceGroup(RESTRAINT_GROUP)
        return force

    def _well(self, target: str, stiffness: str, reach: str) -> str:
        """U of the distance from `target`, written so that its slope is a number at zero distance, too."""
        box = self._structure.box is not None
        x0, y0, z0 = target.split(", ")
        apart = f"periodicdistance(x, y, z, {target})^2" if box else f"(x - {x0})^2 + (y - {y0})^2 + (z - {z0})^2"
        return f"{stiffness}*select(step(d2 - {reach}^2), {reach}*(sqrt(d2) - 0.5*{reach}), 0.5*d2); d2 = {apart}"

    def _replace(self, role: str, force: "openmm.Force | None") -> None:
        """Take the force of `role` out of the System, and put `force` in, last: the network's callbacks must stay around the others."""
        system, name = self._context.getSystem(), f"{self._tag} {role}"
        for index in reversed(range(system.getNumForces())):
            if system.getForce(index).getName() == name:
                system.removeForce(index)
        if force is not None:
            force.setName(name)
            system.addForce(force)

    def _renew(self) -> None:
        """Make the Context anew where it stands. Noise begins anew with it on some platforms: another seed, so that none comes twice."""
        integrator = self._context.getIntegrator()
        integrator.setRandomNumberSeed(integrator.getRandomNumberSeed() + 1)
        self._context.reinitialize(preserveState=True)
        self._impose()


def _check_there(structure: Structure, atoms: Sequence[int]) -> None:
    if max(atoms) >= len(structure):
        raise SettingsError(f"Atom {max(atoms)} does not exist: expected an index from 0 to {len(structure) - 1}.")


def _check_mobile(structure: Structure, atom: int, what: str) -> None:
    if structure.fixed[atom]:
        raise SettingsError(f"{structure.label(atom)} is frozen and cannot be {what}. Choose an atom that moves.")
