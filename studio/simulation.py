"""Simulation: something that advances - and its OpenMM implementation, which runs MM, NNP/MM and NNP alike.

Knows models (systems with their energies told apart) and frames; must not know processes, files or screens.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from studio.checkpoint import Checkpoint
from studio.errors import SimulationError, StorageError
from studio.frame import Frame
from studio.hybrid.coupling import EVERY, LAMBDA, LAMBDA_ELEC, Model, energy_forces
from studio.steering import PHYSICS, Restraint, Restraints, Spring, Steering, spring_to
from studio.structure import Floats, Integers, Structure
from studio.thermostat import Thermostat, make_context
from studio.units import BOLTZMANN

if TYPE_CHECKING:
    import openmm

__all__ = ["HOT", "RUNAWAY_STEP", "OpenMMSimulation", "Simulation", "Thermostat", "degrees_of_freedom"]

logger = logging.getLogger(__name__)

RUNAWAY_STEP = 0.05
"""No atom moves further than this in one step of a sane simulation, nm: fifty times the thermal distance at 2 fs."""

_NOT_A_NUMBER = "a coordinate is no longer a number"
HOT = 3000.0
"""A temperature above this (and above five times the target) is no longer a simulation, K."""


class Simulation(Protocol):
    """Something that advances. A constructed simulation is ready to do so."""

    @property
    def structure(self) -> Structure:
        """The atoms, in the order of every frame; positions are those at the start."""
        ...

    @property
    def provenance(self) -> Mapping[str, str]:
        """Methods, versions, hashes, platform, integrator."""
        ...

    def advance(self, steps: int, sample: bool = True) -> Frame:
        """Go on by `steps` and look.

        Args:
            steps: Integration steps; 0 just looks.
            sample: Evaluate the energies too; without it the frame carries those sampled last.

        Raises:
            SimulationError: Numbers left physics; the simulation is back at the last frame and can go on from there.
        """
        ...

    def set_temperature(self, kelvin: float) -> None:
        """Change the temperature of the thermostat, K; velocities follow at the rate of the friction."""
        ...

    def reset(self) -> None:
        """Back to the start, with fresh velocities."""
        ...

    def checkpoint(self) -> bytes:
        """All that is needed to go on from here."""
        ...

    def restore(self, checkpoint: bytes) -> None:
        """Go back to a checkpoint of the same system.

        Raises:
            StorageError: It is damaged or belongs to another system.
        """
        ...


class OpenMMSimulation:
    """Langevin dynamics (LangevinMiddle, Zhang 2019, 10.1021/acs.jpca.9b02771) of a model.

    Args:
        model: What moves. Steering adds forces to its System, idle in other simulations of it.
        thermostat: How.
        platform: OpenMM platform; the fastest there is when left out.
        threads: CPU threads; OpenMM's choice when left out.

    Attributes:
        step: Steps since the start.
        speed: Steps per second of wall time, smoothed over a few blocks.

    Raises:
        SettingsError: The platform is not available.
    """

    def __init__(self, model: Model, thermostat: Thermostat, platform: str | None = None, threads: int | None = None) -> None:
        self.model, self.thermostat = model, thermostat
        self._context = make_context(model.system, thermostat, platform or model.platform, threads or model.threads)
        self._steering = Steering(self._context, model.structure)
        self.step, self.speed = 0, 0.0
        self._sample: tuple[dict[str, float], float] = ({}, 0.0)
        self._degrees = degrees_of_freedom(model.system)
        self._constrained = False
        self._act_every(thermostat.inner)
        self._place(model.structure.positions)
        self._origin = self.checkpoint()

    @property
    def structure(self) -> Structure:
        """The atoms at the start."""
        return self.model.structure

    @property
    def provenance(self) -> Mapping[str, str]:
        """Methods, versions, hashes, platform, integrator."""
        drive = self.thermostat
        return self.model.provenance | {
            "integrator": f"LangevinMiddle, {drive.timestep / drive.inner:g} fs, friction {drive.friction:g}/ps, seed {drive.seed}",
            "schedule": f"r-RESPA, network every {drive.timestep:g} fs, MM every {drive.timestep / drive.inner:g} fs"
            if drive.inner > 1
            else "single time step",
            "openmm_platform": self._context.getPlatform().getName(),
        }

    def advance(self, steps: int, sample: bool = True) -> Frame:
        """Go on by `steps` and look; see `Simulation.advance`."""
        before = (self.step, self._context.createCheckpoint())
        start = perf_counter()
        try:
            self._constrain(steps)
            self._integrate(steps)
            self._note_speed(steps, perf_counter() - start)
            frame = self._look(sample)
            if steps:
                self._check_calm()
        except SimulationError as problem:
            raise self._diagnose(before, steps, str(problem)) from problem
        return frame

    def minimise(self, iterations: int, on_step: Callable[[int, float], bool] | None = None) -> Frame:
        """Walk downhill in energy (L-BFGS), then draw fresh velocities.

        Args:
            iterations: At most so many, in all.
            on_step: Called with the iteration and the energy (kJ/mol); returns False to stop early.

        Raises:
            SimulationError: The energy is not a number.
        """
        import openmm

        counted = count(1)  # OpenMM counts anew whenever it tightens the constraints

        def report(_self: object, _iteration: int, _x: object, _grad: object, args: Mapping[str, float]) -> bool:
            iteration = next(counted)
            return iteration >= iterations or (on_step is not None and not on_step(iteration, args["system energy"]))

        reporter = type("Reporter", (openmm.MinimizationReporter,), {"report": report})()
        try:
            with self._whole_force():
                openmm.LocalEnergyMinimizer.minimize(self._context, 10.0, iterations, reporter)
        except openmm.OpenMMException as problem:
            raise SimulationError(
                f"The energy of the starting structure cannot be lowered: {_without_address(problem)} Check that no atoms overlap."
            ) from problem
        self._thermalise()
        self._origin = self.checkpoint()
        return self._look(sample=True)

    def forces(self) -> Floats:
        """Forces at the current positions without those of steering, (n, 3), kJ/mol/nm."""
        with self._whole_force():
            return energy_forces(self._context.getState(energy=True, forces=True, groups=PHYSICS)).forces

    @contextmanager
    def free_flight(self, kelvin: float) -> Iterator[None]:
        """Without the thermostat, from fresh velocities of a temperature, K: energy should be conserved."""
        friction = self._friction()
        self.set_friction(0.0)
        self._context.setVelocitiesToTemperature(kelvin, self.thermostat.seed + 1)
        try:
            yield
        finally:
            self.set_friction(friction)

    def heat(self, atoms: Integers) -> float:
        """Kinetic temperature of some atoms, K, three degrees of freedom each.

        Args:
            atoms: Indices.
        """
        velocities = np.asarray(_plain(self._context.getState(velocities=True).getVelocities(asNumpy=True)))[atoms]
        masses = np.array([_plain(self.model.system.getParticleMass(int(atom))) for atom in atoms])
        return float((masses[:, None] * velocities**2).sum() / (3 * len(atoms) * BOLTZMANN))

    def set_temperature(self, kelvin: float) -> None:
        """Change the temperature of the thermostat, K, and that of the barostat where there is one."""
        import openmm

        self._context.getIntegrator().setTemperature(kelvin)
        if openmm.MonteCarloBarostat.Temperature() in self._context.getParameters():
            self._context.setParameter(openmm.MonteCarloBarostat.Temperature(), kelvin)

    def set_friction(self, per_ps: float) -> None:
        """Change the friction of the thermostat, 1/ps."""
        self._context.getIntegrator().setFriction(per_ps)

    def pull(self, atom: int, target_nm: Sequence[float], stiffness: float = 500.0) -> None:
        """Pull an atom by a spring, or move the spring; see `Steering`.

        Args:
            atom: Index.
            target_nm: Where to, nm.
            stiffness: Of the spring, kJ/mol/nm^2.

        Raises:
            SettingsError: The atom does not exist or is frozen, or the numbers are out of range.
        """
        self._steering.pull(spring_to(atom, target_nm, stiffness))

    def release(self) -> None:
        """Let go of the pulled atom."""
        self._steering.release()

    @property
    def spring(self) -> Spring | None:
        """The pull, while there is one."""
        return self._steering.spring

    def restrain(self, restraints: Sequence[Restraint]) -> None:
        """Hold some atoms, and no others.

        Args:
            restraints: All of them; none to let go.

        Raises:
            SettingsError: An atom does not exist, or is frozen.
        """
        self._steering.restrain(restraints)

    @property
    def restraints(self) -> Restraints:
        """In force now, with the positions at which atoms are held."""
        return self._steering.restraints

    def reset(self) -> None:
        """Back to the start (after minimisation, if there was one), with fresh velocities; settings and restraints stay, a pull is let go."""
        self.go_back(self._origin)
        self._thermalise()

    def go_back(self, checkpoint: bytes) -> None:
        """Put the atoms where `checkpoint` has them; temperature, friction and restraints stay as they are now, a pull is let go.

        Raises:
            StorageError: It is damaged or belongs to another system.
        """
        temperature, friction = self._target(), self._friction()
        self.restore(checkpoint)
        self.set_temperature(temperature)
        self.set_friction(friction)

    def checkpoint(self) -> bytes:
        """Positions, velocities, box and clock as npz, with OpenMM's own checkpoint (random numbers included)."""
        state = self._context.getState(positions=True, velocities=True)
        return Checkpoint(
            key=self.structure.key,
            positions=_plain(state.getPositions(asNumpy=True)),
            velocities=_plain(state.getVelocities(asNumpy=True)),
            box=_plain(state.getPeriodicBoxVectors(asNumpy=True)),
            step=self.step,
            constrained=self._constrained,
            temperature=self._target(),
            friction=self._friction(),
            platform=self._platform(),
            native=self._context.createCheckpoint(),
        ).to_bytes()

    def restore(self, checkpoint: bytes) -> None:
        """Go back to `checkpoint`: bit by bit on the platform that wrote it, to the digits of its arrays elsewhere. A pull is let go."""
        saved = Checkpoint.from_bytes(checkpoint)
        if saved.key != self.structure.key:
            raise StorageError("The checkpoint belongs to another system. Use the recipe that wrote it.")
        self.step, self._constrained = saved.step, saved.constrained
        if saved.platform == self._platform():
            self._context.loadCheckpoint(saved.native)
        else:
            self._context.setPeriodicBoxVectors(*saved.box)
            self._context.setPositions(saved.positions)
            self._context.setVelocities(saved.velocities)
            self._context.setTime(saved.step * self.thermostat.timestep / 1000.0)
            self._context.setStepCount(saved.step * self.thermostat.inner)
        self._steering.jump()  # the checkpoint may know other springs
        self.set_temperature(saved.temperature)
        if np.isfinite(saved.friction):
            self.set_friction(saved.friction)

    def _integrate(self, steps: int) -> None:
        import openmm

        try:
            self._context.getIntegrator().step(steps * self.thermostat.inner)
        except openmm.OpenMMException as problem:
            raise _unstable(problem) from problem
        self.step += steps

    def _constrain(self, steps: int) -> None:
        """Before the first step only: until then a structure is looked at exactly as it came."""
        if steps and not self._constrained:
            self._context.applyConstraints(1e-6)
            self._constrained = True

    def _note_speed(self, steps: int, seconds: float) -> None:
        if steps:
            now = steps / max(seconds, 1e-9)
            self.speed = now if self.speed == 0.0 else 0.8 * self.speed + 0.2 * now

    def _look(self, sample: bool) -> Frame:
        import openmm

        try:
            state = self._context.getState(positions=True, energy=sample, groups=PHYSICS)
        except openmm.OpenMMException as problem:
            raise _unstable(problem) from problem
        positions = _plain(state.getPositions(asNumpy=True))
        if not np.isfinite(positions).all():
            raise SimulationError(_NOT_A_NUMBER)
        if sample:
            self._sample = self._read(state)
        (energies, temperature), effort = self._sample, self._steering.effort
        return Frame(
            step=self.step,
            time=self.step * self.thermostat.timestep / 1000.0,
            positions=positions.astype(np.float32),
            box=None if self.structure.box is None else _plain(state.getPeriodicBoxVectors(asNumpy=True)).astype(np.float32),
            energies=energies,
            temperature=temperature,
            speed=self.speed,
            timestep=self.thermostat.timestep,
            pull_force=effort.force,
            pull_work=effort.work,
        )

    def _read(self, state: "openmm.State") -> tuple[dict[str, float], float]:
        """Energies by component (kJ/mol) and the temperature (K) of a state."""
        potential, kinetic = float(_plain(state.getPotentialEnergy())), float(_plain(state.getKineticEnergy()))
        energies = {"potential": potential, "kinetic": kinetic}
        energies |= self._parts(potential) | self._steering.energies
        temperature = 2.0 * kinetic / (self._degrees * BOLTZMANN)
        if not np.isfinite(potential):
            raise SimulationError("the energy is no longer a number")
        return energies, temperature

    def _parts(self, potential: float) -> dict[str, float]:
        """What the network, the embedding and the force field have to do with the potential energy, kJ/mol."""
        correction = self.model.correction
        if correction is None:
            return {}
        network = self._context.getParameter(LAMBDA) * correction.terms.network
        if LAMBDA_ELEC not in correction.parameters:
            return {"network": network, "mm": potential - network}
        scale, terms = self._context.getParameter(LAMBDA_ELEC), correction.terms
        outer = {"network": network, "embedding": scale * terms.embedding, "polarisation": scale * terms.polarisation}
        return outer | {"mm": potential - sum(outer.values())}

    @contextmanager
    def _whole_force(self) -> Iterator[None]:
        """The forces as they are, not as impulses."""
        self._act_every(1)
        try:
            yield
        finally:
            self._act_every(self.thermostat.inner)

    def _act_every(self, steps: int) -> None:
        if self.model.correction is not None:
            self._context.setParameter(EVERY, steps)

    def _check_calm(self) -> None:
        """Heat is looked at after steps only: OpenMM's kinetic energy of a strained start holds half a step of its forces."""
        temperature = self._sample[1]
        if not temperature < max(HOT, 5.0 * self._target()):
            raise SimulationError(f"the energy ran away (temperature {temperature:.3g} K)")

    def _return(self, snapshot: tuple[int, bytes]) -> None:
        self.step = snapshot[0]
        self._context.loadCheckpoint(snapshot[1])

    def _diagnose(self, before: tuple[int, bytes], steps: int, what: str) -> SimulationError:
        """Walk the failed block again, a step at a time, to see who ran first; leaves the simulation at its start."""
        self._return(before)
        previous = self._positions()
        culprits: Integers = np.zeros(0, dtype=np.int64)
        for _ in range(steps):
            try:
                self._integrate(1)
            except SimulationError:
                break
            current = self._positions()
            moved = np.linalg.norm(current - previous, axis=1)
            moved[~np.isfinite(moved)] = np.inf
            if moved.max() > RUNAWAY_STEP:
                culprits = np.argsort(-moved, kind="stable")[: min(3, int((moved > RUNAWAY_STEP).sum()))]
                break
            previous = current
        self._return(before)
        names = ", ".join(self.structure.label(int(i)) for i in culprits)
        return SimulationError(
            f"The simulation became unstable near step {self.step}: {what}."
            + (f" It began at {names}." if names else "")
            + f" It was rolled back. Try a shorter time step than {self.thermostat.timestep:g} fs, a lower temperature, or minimise first.",
            tuple(int(i) for i in culprits),
        )

    def _place(self, positions: Floats) -> None:
        if self.structure.box is not None:
            self._context.setPeriodicBoxVectors(*self.structure.box)
        self._context.setTime(0.0)
        self._context.setPositions(positions)
        self._thermalise()

    def _thermalise(self) -> None:
        self._context.setVelocitiesToTemperature(self._target(), self.thermostat.seed)

    def _positions(self) -> Floats:
        return np.asarray(_plain(self._context.getState(positions=True).getPositions(asNumpy=True)))

    def _platform(self) -> str:
        return str(self._context.getPlatform().getName())

    def _target(self) -> float:
        return float(_plain(self._context.getIntegrator().getTemperature()))

    def _friction(self) -> float:
        return float(_plain(self._context.getIntegrator().getFriction()))


def _unstable(problem: Exception) -> SimulationError:
    """OpenMM's complaint, in the middle of a sentence."""
    text = _without_address(problem)
    return SimulationError(_NOT_A_NUMBER if "NaN" in text else text)


def _without_address(problem: Exception) -> str:
    """OpenMM's complaint without the web address at its end."""
    return str(problem).split("For more information")[0].rstrip()


def degrees_of_freedom(system: "openmm.System") -> int:
    """Degrees of freedom that carry kinetic energy: three per moving particle, less constraints and a halted centre of mass."""
    import openmm

    moving = [float(_plain(system.getParticleMass(i))) > 0.0 for i in range(system.getNumParticles())]
    pairs = (system.getConstraintParameters(k)[:2] for k in range(system.getNumConstraints()))
    constrained = sum(1 for i, j in pairs if moving[i] or moving[j])
    halted = 3 * any(isinstance(force, openmm.CMMotionRemover) for force in system.getForces())
    return max(1, 3 * sum(moving) - constrained - halted)


def _plain(quantity: Any) -> Any:
    """The number or array behind an OpenMM quantity, in OpenMM's own units, which are ours: nm, ps, kJ/mol, Da, K."""
    from openmm import unit

    return quantity.value_in_unit_system(unit.md_unit_system) if unit.is_quantity(quantity) else quantity
