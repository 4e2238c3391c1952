"""Dynamics: let a system move at a temperature, and write down what it does."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from studio import cache
from studio.errors import SettingsError, SimulationError, StudioError
from studio.files import storage
from studio.frame import Frame
from studio.hybrid.schedule import LADDER, Schedule
from studio.hybrid.view import Resolution, View
from studio.io import store
from studio.probe import probe
from studio.progress import Progress
from studio.recipes.base import OnFrame, Recipe
from studio.recorder import CHECKPOINT, CHECKPOINT_SECONDS, RECIPE, STRUCTURE, Recorder, kept_restraints, time_name
from studio.result import Failure, Result, versions
from studio.simulation import OpenMMSimulation, Thermostat
from studio.steering import Restraints
from studio.structure import Structure
from studio.system import System
from studio.trust import Trust, watch
from studio.units import Femtosecond, Kelvin, PerPicosecond

RELAXING: dict[Resolution, int] = {"nnp": 50, "nnp/mm": 30, "mm": 100, "beads": 500}
"""Iterations of minimisation that cost about a second each way; prepared systems come relaxed by MM."""
SAFE = 1.0
"""A time step that needs no schedule and no trial, fs."""
_NOWHERE = np.zeros((0, 3), np.float32)


class Dynamics(Recipe):
    """Langevin dynamics.

    Args:
        system: What is simulated.
        view: How it is seen.
        temperature: Of the thermostat, K.
        friction: Of the thermostat, 1/ps.
        timestep: Length of a step, fs; what the system bears when left out.
        schedule: What makes long steps of NNP/MM bearable.
        steps: Steps in all.
        interval: Steps between recorded frames.
        minimise: Iterations of minimisation before the start; what the resolution can afford when left out.
        seed: Of velocities and thermostat.
        trust: When to doubt the network, and what to do then.
        restraints: Springs that hold atoms, from before the minimisation on.
    """

    kind: Literal["dynamics"] = "dynamics"
    version: Literal[1] = 1
    system: System
    view: View = View()
    temperature: Kelvin = 300.0
    friction: PerPicosecond = 1.0
    timestep: Femtosecond | None = None
    schedule: Schedule = Schedule()
    steps: Annotated[int, Field(ge=0, le=10**10)] = 10_000
    interval: Annotated[int, Field(ge=1, le=10**6)] = 100
    minimise: Annotated[int, Field(ge=0, le=10_000)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**31 - 1)] = 0
    trust: Trust = Trust()
    restraints: Restraints = ()

    def simulation(self, structure: Structure | None = None, progress: Progress | None = None, *, tried: bool = False) -> OpenMMSimulation:
        """The simulation at its start, minimised, with a time step that it bears.

        Args:
            structure: The prepared structure, where there is one already.
            progress: Called with a fraction and a sentence.
            tried: The time step has proved itself before.

        Raises:
            SettingsError: The system does not bear the time step that was asked for, or a restrained atom does not exist or is frozen.
            StudioError: The system cannot be prepared, described or minimised.
        """
        tell = progress or (lambda _fraction, _message: None)
        ladder = self._ladder()
        schedule = self.schedule_for(ladder[0])
        model = self.view.build(self.system, structure, progress, schedule, self.temperature)
        refused = ""
        for step in ladder:
            simulation = OpenMMSimulation(model, self._thermostat(step, schedule))
            simulation.restrain(self.restraints)
            self._relax(simulation, tell)
            if tried or schedule is None or step <= SAFE:
                return simulation
            refused = self._try(simulation, tell)
            if not refused:
                return simulation
            model = replace(model, structure=model.structure.with_notes(f"A step of {step:g} fs was tried and refused: {refused}."))
        raise SettingsError(
            f"This system does not bear a step of {step:g} fs: {refused}. Leave the time step out to have the longest one found, or give a shorter one."
        )

    def _try(self, simulation: OpenMMSimulation, tell: Progress) -> str:
        """Why the system does not bear the step, or an empty text; what passed once is not tried again."""
        drive, source = simulation.thermostat, self.system.source.fingerprint()
        like = self.model_copy(update={"timestep": drive.timestep, "steps": 0, "interval": 1, "seed": 0, "trust": Trust()})
        key = cache.key_of("trial", like.to_json(), source, *simulation.model.provenance.values())
        if cache.load_arrays(key) is not None:
            return ""
        tell(0.97, f"Trying a step of {drive.timestep:g} fs")
        refused = probe(simulation)
        if not refused:
            cache.store_arrays(key, {"passed": np.ones(1)})
        return refused

    def schedule_for(self, step: float) -> Schedule | None:
        """The schedule, where a step of this length, fs, needs one."""
        return self.schedule if self.view.resolution == "nnp/mm" and step > SAFE else None

    def _ladder(self) -> tuple[float, ...]:
        """Time steps to be tried in turn, fs."""
        if self.timestep is not None:
            return (self.timestep,)
        return LADDER if self.view.resolution == "nnp/mm" else (self.view.timestep,)

    def _thermostat(self, step: float, schedule: Schedule | None) -> Thermostat:
        return Thermostat(self.temperature, self.friction, step, self.seed, schedule.inner(step) if schedule else 1)

    def _relax(self, simulation: OpenMMSimulation, tell: Progress) -> None:
        iterations = RELAXING[self.view.resolution] if self.minimise is None else self.minimise
        if iterations:
            tell(0.95, "Relaxing the start")

            def on_step(iteration: int, _energy: float) -> bool:
                if iteration % 10 == 0:
                    tell(0.95, f"Relaxing the start, iteration {iteration} of {iterations}")
                return True

            simulation.minimise(iterations, on_step)

    def run(
        self,
        structure: Structure | None = None,
        on_frame: OnFrame | None = None,
        progress: Progress | None = None,
        folder: Path | None = None,
    ) -> Result:
        """Simulate; with a folder, go on from its checkpoint and leave everything there.

        Args:
            structure: The prepared structure, where there is one already.
            on_frame: Called with every recorded frame; returns False to stop cleanly.
            progress: Called with a fraction and a sentence while the system is made.
            folder: Where to write (see `studio.recorder`); a folder with a checkpoint is continued.
        """
        try:
            simulation, recorder, frame = self.begin(structure, progress, folder)
            result = self._drive(simulation, recorder, frame, on_frame)
            if recorder:
                recorder.save_result(result)
        except StudioError as problem:
            return Result(json.loads(self.to_json()), provenance=versions(), failure=Failure.from_error(problem))
        return result

    def begin(
        self, structure: Structure | None = None, progress: Progress | None = None, folder: Path | None = None
    ) -> tuple[OpenMMSimulation, Recorder | None, Frame]:
        """The simulation, its recorder and the first frame: at the start, or where the folder's checkpoint left it.

        Raises:
            StudioError: The system cannot be made, or the folder not be written.
        """
        if folder is None:
            simulation = self.simulation(structure, progress)
            return simulation, None, simulation.advance(0)
        with storage(folder):
            folder.mkdir(parents=True, exist_ok=True)  # a folder that cannot be written is better known before the work
        again = (folder / CHECKPOINT).exists()
        if again:
            structure = store.load(folder / STRUCTURE)
            held = kept_restraints(folder)
            settled_before = {"minimise": 0, "timestep": self.timestep or _settled(folder / RECIPE), "restraints": self.restraints if held is None else held}
            continued = self.model_copy(update=settled_before)
            simulation = continued.simulation(structure, progress, tried=True)
        else:
            simulation = self.simulation(structure, progress)
        settled = self.model_copy(update={"timestep": simulation.thermostat.timestep})
        recorder = Recorder(folder, simulation.structure, settled.to_json(), self.interval)
        return simulation, recorder, recorder.restore(simulation)

    def result(self, simulation: OpenMMSimulation, failure: Failure | None = None, frames: Sequence[Frame] = ()) -> Result:
        """What there is to say about a simulation of this recipe, now.

        Args:
            simulation: At its end, or on the way.
            failure: Why it ended, if it failed.
            frames: Recorded frames to average over.
        """
        arrays, values = {}, {}
        if frames:
            clock = time_name(simulation.structure)
            arrays = {clock: np.array([frame.time for frame in frames]), "temperature_K": np.array([frame.temperature for frame in frames])}
            arrays |= {f"{name}_kj_mol": np.array([frame.energies[name] for frame in frames]) for name in frames[-1].energies}
            values = {f"mean_{name}": float(array.mean()) for name, array in arrays.items() if name != clock}
            values |= {"steps": float(frames[-1].step), clock: frames[-1].time, clock.replace("time_ps", "ns_per_day"): frames[-1].ns_per_day}
        provenance = versions() | dict(simulation.provenance)
        return Result(json.loads(self.to_json()), values, arrays, provenance, simulation.structure.notes, failure)

    def _drive(self, simulation: OpenMMSimulation, recorder: Recorder | None, frame: Frame, on_frame: OnFrame | None) -> Result:
        frames, failure, saved, monitor = [], None, monotonic(), watch(simulation.model, self.trust)
        monitor.look(frame)  # what is doubtful from the start is told, and does not end the run
        try:
            while True:
                frames.append(replace(frame, positions=_NOWHERE))
                if recorder:
                    recorder.record(frame)
                monitor.check(frame)
                if recorder and monotonic() - saved > CHECKPOINT_SECONDS:
                    recorder.save_checkpoint(simulation.checkpoint())
                    saved = monotonic()
                if (on_frame and on_frame(frame) is False) or frame.step >= self.steps:
                    break
                frame = simulation.advance(min(self.interval - frame.step % self.interval, self.steps - frame.step))
        except SimulationError as problem:
            failure = Failure.from_error(problem)
        if recorder:
            recorder.save_checkpoint(simulation.checkpoint())
        result = self.result(simulation, failure, frames)
        return replace(result, notes=(*result.notes, *monitor.notes))


def _settled(recipe: Path) -> float | None:
    """The time step that a run was begun with, fs."""
    try:
        step = json.loads(recipe.read_text(encoding="utf-8"))["timestep"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return float(step) if isinstance(step, int | float) else None
