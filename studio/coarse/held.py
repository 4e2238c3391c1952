"""Held: atoms that move around beads that do not, by whatever moves atoms, and the forces on them summed up on the way.

The mapped atoms take no step, and no constraint holds a bond. Positions of beads are those of atoms (slice), so that the
condition is linear in all positions, and no metric correction enters the average. Knows mappings, systems and OpenMM; must
not know which configurations are wanted, nor processes or files.
"""

from typing import TYPE_CHECKING, Annotated, Protocol, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from studio.coarse.copies import Copies
from studio.coarse.labels import Label
from studio.coarse.langevin import Langevin, drifting
from studio.coarse.mapping import Mapping
from studio.coarse.spread import Ask
from studio.errors import SimulationError, UnsupportedError
from studio.structure import Floats, Structure
from studio.system import System
from studio.units import Femtosecond, Kelvin, PerPicosecond

if TYPE_CHECKING:
    import openmm

BLOCKS = 8
"""Of each average, for its standard error."""
PIECE = 10
"""Steps between two questions whether to go on: less than 0.2 s, with a network too."""
ONE = Copies()
SMALL = 3000
"""Atoms up to which one CPU thread is taken; alanine dipeptide: CPU with one thread 0.25 ms a step, Reference 1.7."""


class Moved(Protocol):
    """What moves: atoms and their OpenMM System."""

    @property
    def structure(self) -> Structure:
        """The atoms, in the order of the System."""
        ...

    @property
    def system(self) -> "openmm.System":
        """Their masses and forces."""
        ...


class Reference(Protocol):
    """What the mean force is of: a `View` that moves atoms - MM, NNP/MM or a network."""

    def build(self, system: System, structure: Structure | None = None) -> Moved:
        """The atoms with their forces.

        Args:
            system: What the user named.
            structure: Its prepared structure.
        """
        ...

    def model_dump_json(self) -> str:
        """All that the forces depend on, as text."""
        ...


class Sampling(BaseModel):
    """How configurations are found and mean forces are measured.

    Args:
        configurations: How many, shared evenly among the temperatures.
        temperatures: Configurations come from all of them; mean forces are those at the lowest.
        drive: How far trajectories above the lowest temperature are pushed out of the turns of the backbone that they were at, kJ/mol; 0 for not at all.
        spacing_ps: Between two configurations of one trajectory, ps.
        settle_ps: What is not a bead forgets where it came from for so long, ps.
        average_ps: Then the forces are averaged, ps.
        timestep: fs.
        friction: Of the thermostat, 1/ps; averages do not depend on it.
        hydrogen_mass: Da, taken from the heavy neighbour; averages do not depend on it.
        workers: Processes that work at the same time, one thread each.
        seed: Of everything that is random.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    configurations: Annotated[int, Field(ge=2, le=100_000)] = 600
    temperatures: Annotated[tuple[Kelvin, ...], Field(min_length=1)] = (300.0, 330.0)
    drive: Annotated[float, Field(ge=0.0, le=100.0)] = 60.0
    spacing_ps: Annotated[float, Field(gt=0.0, le=1000.0)] = 1.0
    settle_ps: Annotated[float, Field(ge=0.0, le=1000.0)] = 0.24
    average_ps: Annotated[float, Field(gt=0.0, le=1000.0)] = 0.8
    timestep: Femtosecond = 2.0
    friction: PerPicosecond = 10.0
    hydrogen_mass: Annotated[float, Field(ge=1.0, le=4.0)] = 3.0
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    seed: Annotated[int, Field(ge=0, lt=2**31 - 1)] = 0

    @model_validator(mode="after")
    def _enough(self) -> Self:
        if self.steps(self.average_ps) < BLOCKS:
            raise ValueError(f"average_ps has to hold at least {BLOCKS} steps: an error needs blocks")
        return self

    @property
    def temperature(self) -> float:
        """At which mean forces are measured, K."""
        return min(self.temperatures)

    def steps(self, picoseconds: float) -> int:
        """So much time in steps.

        Args:
            picoseconds: ps.
        """
        return round(picoseconds * 1000.0 / self.timestep)

    @property
    def words(self) -> str:
        """All that a mean force depends on, as text."""
        return self.model_dump_json(exclude={"configurations", "workers", "spacing_ps", "drive", "temperatures"}) + f"{self.temperature:g}"


def unconstrained(system: System, sampling: Sampling) -> System:
    """The system with free bonds and heavy hydrogens: a force along a constrained bond would not be seen.

    Args:
        system: What the user named.
        sampling: Says how heavy.
    """
    field = system.forcefield.model_copy(update={"constrain_hydrogens": False, "hydrogen_mass": sampling.hydrogen_mass})
    return system.model_copy(update={"forcefield": field})


def built(system: System, view: Reference, structure: Structure, mapping: Mapping, sampling: Sampling) -> "openmm.System":
    """The OpenMM System that is sampled, with no drift taken out.

    Args:
        system: What the user named.
        view: What moves its atoms.
        structure: Its prepared structure.
        mapping: Of all its atoms, by slice.
        sampling: How.

    Raises:
        UnsupportedError: Not all atoms move by this view, a bead is no atom, or one is held at a length.
        StudioError: What the view refuses.
    """
    if any(len(group) > 1 for group in mapping.groups):
        raise UnsupportedError("Mean forces are measured with the beads held, and a bead of several atoms cannot be held. Place beads by slice.")
    model = view.build(unconstrained(system, sampling), structure)
    if model.structure.is_beads or len(model.structure) != mapping.atoms:
        raise UnsupportedError(f"This level moves {len(model.structure)} of {mapping.atoms} atoms, and a mean force needs all of them. Choose MM, or NNP/MM.")
    moving = drifting(model.system)  # built for us: nobody else has it
    beads = set(mapping.sites.tolist())
    if any(beads & set(moving.getConstraintParameters(index)[:2]) for index in range(moving.getNumConstraints())):
        raise UnsupportedError("A bead is held at a fixed distance, so that the force along it cannot be seen. Choose other beads.")
    return moving


def shares(count: int, parts: int) -> list[int]:
    """As many things as evenly as can be.

    Args:
        count: Of things.
        parts: Who share them.
    """
    return [count // parts + (index < count % parts) for index in range(parts)]


def platform_of(moving: "openmm.System") -> tuple[str | None, int | None]:
    """The OpenMM platform for a system, and its threads; OpenMM's choice for large ones.

    Args:
        moving: The system.
    """
    return ("CPU", 1) if moving.getNumParticles() <= SMALL else (None, None)


def _pieces(steps: int) -> list[int]:
    return [PIECE] * (steps // PIECE) + ([steps % PIECE] if steps % PIECE else [])


def advance(context: "openmm.Context", steps: int, ask: Ask) -> None:
    """Go on, and ask every few steps whether to.

    Args:
        context: Of what moves.
        steps: How many.
        ask: What it raises ends the work.

    Raises:
        SimulationError: Numbers left physics.
    """
    import openmm

    for piece in _pieces(steps):
        ask()
        try:
            context.getIntegrator().step(piece)
        except openmm.OpenMMException as problem:
            raise SimulationError("A coordinate is no longer a number. Choose a shorter time step or a lower temperature.") from problem


class Held:
    """Dynamics of all that is not a bead, one Context for any number of labels.

    Args:
        moving: From `built`.
        mapping: Of all its atoms, by slice.
        bead_map: C, (b, n).
        sampling: How.
        number: Of the work: each has random numbers of its own.
        copies: On which labels are measured at once.
    """

    def __init__(self, moving: "openmm.System", mapping: Mapping, bead_map: Floats, sampling: Sampling, number: int = 0, *, copies: Copies = ONE) -> None:
        import openmm

        self._mapping, self._map, self._sampling, self._copies = mapping, bead_map, sampling, copies
        moving = copies.side_by_side(moving)
        sites = np.concatenate([mapping.sites + copy * mapping.atoms for copy in range(copies.count)])
        seed = (sampling.seed + 104729 * number) % (2**31 - 2) + 1
        self._langevin = Langevin(moving, sampling.timestep, sampling.friction, seed, held=sites, summing=True)
        self._langevin.heat(np.full(moving.getNumParticles(), sampling.temperature))
        platform, _threads = platform_of(moving)
        properties = {"Threads": "1"} if platform == "CPU" else {}
        chosen = [openmm.Platform.getPlatformByName(platform), properties] if platform else []
        self._context = openmm.Context(moving, self._langevin.integrator, *chosen)

    def labels(self, atoms: Floats, seed: int, ask: Ask) -> list[Label]:
        """The mean force on the beads of each configuration.

        Args:
            atoms: Of as many configurations as there are copies, or fewer, (k, n, 3), nm.
            seed: Of the velocities.
            ask: Called every few steps; what it raises ends the work.

        Raises:
            SimulationError: Numbers left physics.
        """
        self._context.setPositions(self._copies.apart(atoms[np.arange(self._copies.count) % len(atoms)]))
        self._context.setVelocitiesToTemperature(self._sampling.temperature, seed % (2**31 - 2) + 1)
        advance(self._context, self._sampling.steps(self._sampling.settle_ps), ask)
        means = np.array([self._map @ self._mean(steps, ask) for steps in shares(self._sampling.steps(self._sampling.average_ps), BLOCKS)])
        if not np.isfinite(means).all():
            raise SimulationError("A force is no longer a number. Choose a shorter time step.")
        forces, errors = means.mean(axis=0), means.std(axis=0, ddof=1) / np.sqrt(BLOCKS)
        return [Label(*row) for row in zip(self._mapping.positions(atoms), forces, errors, strict=False)]

    def positions(self) -> Floats:
        """Where the atoms of all copies are now, (k n, 3), nm."""
        return np.asarray(self._context.getState(positions=True).getPositions(asNumpy=True)._value)

    def _mean(self, steps: int, ask: Ask) -> Floats:
        """Forces on all atoms, averaged over so many steps, (k, n, 3)."""
        self._langevin.forget()
        advance(self._context, steps, ask)
        return (self._langevin.total / steps).reshape(self._copies.count, self._mapping.atoms, 3)
