"""Replicas: the same system many times, with different seeds, temperatures or lambdas, for the price of fewer network calls."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from studio.errors import SimulationError, StudioError
from studio.frame import Frame
from studio.hybrid.coupling import Model
from studio.hybrid.schedule import Schedule
from studio.hybrid.view import View
from studio.progress import Progress
from studio.recipes.base import OnFrame, Recipe
from studio.recipes.dynamics import Dynamics
from studio.replicas import Replica, Replicas
from studio.result import Failure, Result, versions
from studio.simulation import Thermostat
from studio.structure import Structure
from studio.system import System
from studio.trust import Monitor, Trust
from studio.units import Femtosecond, PerPicosecond


class ReplicaDynamics(Recipe):
    """Langevin dynamics of several copies together.

    Args:
        system: What is simulated.
        view: How it is seen; lambda is each copy's own.
        copies: What makes them differ.
        friction: Of the thermostats, 1/ps.
        timestep: Length of a step, fs; what the hottest copy bears when left out.
        schedule: What makes long steps of NNP/MM bearable.
        steps: Steps of each copy.
        interval: Steps between looks.
        minimise: Iterations of minimisation before the start.
        shown: Index of the copy whose frames are handed on.
        trust: When to doubt a network; a copy whose doubt says `pause` is set aside.
    """

    kind: Literal["replicas"] = "replicas"
    version: Literal[1] = 1
    system: System
    view: View = View(resolution="nnp/mm")
    copies: Annotated[tuple[Replica, ...], Field(min_length=1, max_length=256)] = tuple(Replica(seed=seed) for seed in range(4))
    friction: PerPicosecond = 1.0
    timestep: Femtosecond | None = None
    schedule: Schedule = Schedule()
    steps: Annotated[int, Field(ge=0, le=10**10)] = 10_000
    interval: Annotated[int, Field(ge=1, le=10**6)] = 100
    minimise: Annotated[int, Field(ge=0, le=10_000)] = 30
    shown: Annotated[int, Field(ge=0)] = 0
    trust: Trust = Trust()

    @model_validator(mode="after")
    def _consistent(self) -> "ReplicaDynamics":
        if self.view.resolution != "nnp/mm" and any(copy.lam != 1.0 for copy in self.copies):
            raise ValueError("lambda leads from MM to NNP/MM: choose resolution = nnp/mm, or leave lam at 1")
        if self.shown >= len(self.copies):
            raise ValueError(f"shown is the index of a copy: expected 0 to {len(self.copies) - 1}, got {self.shown}")
        return self

    def replicas(self, structure: Structure | None = None, progress: Progress | None = None) -> Replicas:
        """The copies at their start, minimised.

        Args:
            structure: The prepared structure, where there is one already.
            progress: Called with a fraction and a sentence.

        Raises:
            StudioError: The system cannot be prepared, described or minimised.
        """
        tell = progress or (lambda _fraction, _message: None)
        prepared = structure if structure is not None else self.system.prepare(progress)
        one = self._hottest()
        drive = one.simulation(prepared, progress).thermostat
        schedule = one.schedule_for(drive.timestep)

        def build(lam: float) -> Model:
            tell(0.9, f"Making {len(self.copies)} replicas")
            return self.view.model_copy(update={"lam": lam}).build(self.system, prepared, schedule=schedule, temperature=one.temperature)

        replicas = Replicas(build, self.copies, Thermostat(friction=self.friction, timestep=drive.timestep, inner=drive.inner))
        if self.minimise:
            tell(0.95, "Relaxing the starts")
            replicas.minimise(self.minimise)
        return replicas

    def _hottest(self) -> Dynamics:
        """The run of one copy, on which the time step is tried."""
        hottest = max(copy.temperature for copy in self.copies)
        settings = {name: getattr(self, name) for name in ("system", "view", "friction", "timestep", "schedule", "minimise")}
        return Dynamics(**settings, temperature=hottest)

    def run(self, structure: Structure | None = None, on_frame: OnFrame | None = None, progress: Progress | None = None) -> Result:
        """Simulate; `arrays` has mean temperatures (K) and energies (kJ/mol) of each copy and their series, (looks, copies).

        Args:
            structure: The prepared structure, where there is one already.
            on_frame: Called with the frames of the copy `shown`; returns False to stop cleanly.
            progress: Called with a fraction and a sentence.
        """
        recipe = json.loads(self.to_json())
        try:
            replicas = self.replicas(structure, progress)
        except StudioError as problem:
            return Result(recipe, provenance=versions(), failure=Failure.from_error(problem))
        record, failure = _Record([replicas.watch(k, self.trust) for k in range(len(replicas))]), None
        try:
            self._drive(replicas, record, on_frame, progress)
        except SimulationError as problem:
            failure = Failure.from_error(problem)
        notes = (*replicas.structure.notes, *record.notes, *(f"Replica {k}: {problem}" for k, problem in replicas.failures.items()))
        values = {"steps": float(max(simulation.step for simulation in replicas.simulations)), "network_calls": float(replicas.calls)}
        return Result(recipe, values, record.arrays(), versions() | replicas.provenance, notes, failure)

    def _drive(self, replicas: Replicas, record: "_Record", on_frame: OnFrame | None, progress: Progress | None) -> None:
        for done in range(0, self.steps, self.interval):
            frames = replicas.advance(min(self.interval, self.steps - done))
            for k in record.take(frames, replicas.moving):
                replicas.pause(k)
            if progress:
                progress(frames[self.shown].step / self.steps, f"Step {frames[self.shown].step} of {self.steps}")
            if (on_frame and on_frame(frames[self.shown]) is False) or not replicas.moving:
                break


@dataclass
class _Record:
    """What is remembered of all copies: their numbers, and what was doubted."""

    monitors: Sequence[Monitor]
    times: list[float] = field(default_factory=list)
    temperatures: list[list[float]] = field(default_factory=list)
    potentials: list[list[float]] = field(default_factory=list)

    def take(self, frames: Sequence[Frame], moving: Sequence[int]) -> list[int]:
        """Remember `frames`; gives the copies that are not to be believed any longer. Numbers of those that stand are none."""
        self.times.append(max(frame.time for frame in frames))
        self.temperatures.append([frame.temperature if k in moving else np.nan for k, frame in enumerate(frames)])
        self.potentials.append([frame.energies["potential"] if k in moving else np.nan for k, frame in enumerate(frames)])
        return [k for k in moving if any(doubt.action == "pause" for doubt in self.monitors[k].look(frames[k]))]

    @property
    def notes(self) -> list[str]:
        """What was doubted, with the number of the copy."""
        return [f"Replica {k}: {note}" for k, monitor in enumerate(self.monitors) for note in monitor.notes]

    def arrays(self) -> dict[str, np.ndarray]:
        """Series, (looks, copies), and their means, (copies,)."""
        if not self.times:
            return {}
        series = {"temperature_K": np.array(self.temperatures), "potential_kj_mol": np.array(self.potentials)}
        means = {f"mean_{name}": _mean(array) for name, array in series.items()}
        return {"time_ps": np.array(self.times), **series, **means}


def _mean(series: np.ndarray) -> np.ndarray:
    """Mean over the looks at which a copy moved; not a number where it never did."""
    counts = np.isfinite(series).sum(axis=0)
    return np.where(counts, np.nansum(series, axis=0) / np.maximum(counts, 1), np.nan)
