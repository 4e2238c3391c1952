"""Measure: how fast a recipe would run on this machine, by a short real run in a worker process - before it is launched.

The parts are timed at a short time step, which needs neither refit nor trial and costs the same per step; the schedule that
the recipe would run with is put together from them. Remembered on disk by what the speed depends on. Knows recipes and
runs; must not know who asks.
"""

import json
import os
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from time import monotonic, perf_counter, sleep

import numpy as np

from studio import cache
from studio.errors import StorageError, StudioError
from studio.files import write_whole
from studio.frame import Frame
from studio.progress import Progress
from studio.recipes.dynamics import Dynamics
from studio.recorder import Recorder
from studio.result import Result
from studio.run import Run
from studio.simulation import OpenMMSimulation
from studio.structure import Structure
from studio.trust import Trust

SAFE_STEP = 0.5
"""Time step of the timed steps, fs: short enough for a start that was not relaxed."""
PATIENCE = 600.0
"""Wall time after which preparing and measuring are given up, s."""
ANSWER = "speed.json"


@dataclass(frozen=True)
class Speed:
    """How fast a recipe would run.

    Args:
        steps_per_second: Steps of wall time, of the length `timestep`.
        timestep: The step that the recipe would run with, fs.
        atoms: How many particles moved, link hydrogens included.
        network_share: Part of the time that the network takes, 0 to 1.
        note: How the number was obtained, in a sentence.
        refusal: Why there is no number; empty when there is one.
    """

    steps_per_second: float = 0.0
    timestep: float = 0.0
    atoms: int = 0
    network_share: float = 0.0
    note: str = ""
    refusal: str = ""

    @property
    def ok(self) -> bool:
        """There is a number."""
        return not self.refusal

    @property
    def ms_per_step(self) -> float:
        """Wall time of a step, ms; 0 where there is no number."""
        return 1000.0 / self.steps_per_second if self.steps_per_second else 0.0

    @property
    def ns_per_day(self) -> float:
        """Simulated nanoseconds per day of wall time."""
        return self.steps_per_second * self.timestep * 86400e-6


def measure_speed(
    recipe: Dynamics,
    structure: Structure | None = None,
    seconds: float = 1.5,
    cancelled: Callable[[], bool] = lambda: False,
    *,
    again: bool = False,
) -> Speed:
    """How fast `recipe` would run here; takes the preparation and about `seconds`. Never raises: a refusal is an answer.

    Other runs that move at the same time make the number smaller.

    Args:
        recipe: What would be run.
        structure: Its prepared structure, where there is one already.
        seconds: Wall time to be spent on timed steps.
        cancelled: Asked a few times a second; True ends the measurement.
        again: Measure even if the number is remembered.
    """
    try:
        known = None if again else known_speed(recipe)
        return known or _measured(recipe, structure, seconds, cancelled)
    except StudioError as problem:
        return Speed(refusal=str(problem))


def known_speed(recipe: Dynamics) -> Speed | None:
    """The speed that was measured before on this machine, or none; takes no time.

    Args:
        recipe: What would be run.

    Raises:
        StudioError: The file that the recipe names cannot be read.
    """
    arrays = cache.load_arrays(_key(recipe))
    if arrays is None or arrays.get("speed", np.zeros(0)).shape != (4,):
        return None
    steps, timestep, atoms, share = arrays["speed"].tolist()
    return Speed(steps, timestep, int(atoms), share, _note(recipe))


def _measured(recipe: Dynamics, structure: Structure | None, seconds: float, cancelled: Callable[[], bool]) -> Speed:
    end = monotonic() + PATIENCE
    with Run(_Timed(recipe, seconds), structure=structure) as run:
        while (status := run.status).state == "preparing":
            if cancelled():
                return Speed(refusal="The measurement was stopped.")
            if monotonic() > end:
                return Speed(refusal=f"The speed could not be measured within {PATIENCE / 60:.0f} minutes. Choose a smaller system.")
            sleep(0.02)
        if status.state != "paused":
            return Speed(refusal=status.message)
        speed = _read(run.folder / ANSWER)
    cache.store_arrays(_key(recipe), {"speed": np.array([speed.steps_per_second, speed.timestep, speed.atoms, speed.network_share])})
    return speed


def _read(path: Path) -> Speed:
    try:
        return Speed(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as problem:
        raise StorageError(f"The worker left no measured speed ({problem}). Measure again.") from problem


@dataclass(frozen=True)
class _Timed:
    """What a run needs of a recipe: making the simulation times its steps, and leaves the answer in the folder.

    Args:
        recipe: What would be run.
        seconds: Wall time to be spent on timed steps.
    """

    recipe: Dynamics
    seconds: float
    steps: int = 0
    trust: Trust = field(default_factory=Trust)

    def to_json(self) -> str:
        """The recipe's file form."""
        return self.recipe.to_json()

    def begin(
        self, structure: Structure | None = None, progress: Progress | None = None, folder: Path | None = None
    ) -> tuple[OpenMMSimulation, Recorder | None, Frame]:
        """Make, time and tell.

        Args:
            structure: The prepared structure, where there is one already.
            progress: Called with a fraction and a sentence.
            folder: Where the answer goes.

        Raises:
            StudioError: The system cannot be made or moved, or the answer not be written.
        """
        simple = _simple(self.recipe)
        simulation = simple.simulation(structure, progress, tried=True)
        mixed = simple.view.resolution == "nnp/mm"
        whole = seconds_per_step(simulation, self.seconds * (2 / 3 if mixed else 1.0))
        rest = 0.0 if simple.view.resolution == "nnp" else whole
        if mixed:
            plain = simple.model_copy(update={"view": simple.view.model_copy(update={"resolution": "mm"})})
            rest = seconds_per_step(plain.simulation(simulation.structure, progress, tried=True), self.seconds / 3)
        if folder is not None:
            speed = _put_together(self.recipe, len(simulation.structure), whole, min(rest, whole))
            write_whole(folder / ANSWER, json.dumps(asdict(speed)).encode())
        return simulation, None, simulation.advance(0)

    def result(self, simulation: OpenMMSimulation) -> Result:
        """What the recipe says.

        Args:
            simulation: That was timed.
        """
        return self.recipe.result(simulation)


def seconds_per_step(simulation: OpenMMSimulation, seconds: float) -> float:
    """Wall time of one step, s, over blocks of growing length after a warm-up.

    Args:
        simulation: Goes on by some steps.
        seconds: Wall time to be spent; at least three steps are made.

    Raises:
        SimulationError: It cannot be moved.
    """
    for _ in range(2):  # networks are compiled, neighbour lists built, caches filled
        simulation.advance(1, sample=False)
    start, steps, block = perf_counter(), 0, 1
    while perf_counter() - start < seconds or not steps:
        before = perf_counter()
        simulation.advance(block, sample=False)
        steps += block
        if perf_counter() - before < seconds / 10:
            block *= 2
    return (perf_counter() - start) / steps


def _simple(recipe: Dynamics) -> Dynamics:
    """The recipe without what takes time before the first step, and without what differs from run to run."""
    return Dynamics(system=recipe.system, view=recipe.view, timestep=SAFE_STEP, minimise=0, seed=recipe.seed)


def _put_together(recipe: Dynamics, atoms: int, whole: float, rest: float) -> Speed:
    """The speed of the recipe's own schedule: the network once a step, the force field as often as that says."""
    timestep, inner = _schedule(recipe)
    step = (whole - rest) + inner * rest
    return Speed(1.0 / step, timestep, atoms, (whole - rest) / step, _note(recipe))


def _schedule(recipe: Dynamics) -> tuple[float, int]:
    """The time step that the recipe is begun with, fs, and how many steps of the force field are in it."""
    timestep = recipe.timestep or recipe.view.timestep
    schedule = recipe.schedule_for(timestep)
    return timestep, schedule.inner(timestep) if schedule else 1


def _note(recipe: Dynamics) -> str:
    timestep, inner = _schedule(recipe)
    if inner == 1:
        return f"Measured on this machine; steps of {timestep:g} fs."
    return f"Put together from measured parts: the network every {timestep:g} fs, the force field every {timestep / inner:g} fs."


def _key(recipe: Dynamics) -> str:
    """What the speed depends on: system, view, schedule, machine, versions."""
    like = Dynamics(system=recipe.system, view=recipe.view, timestep=recipe.timestep, schedule=recipe.schedule)
    machine = (
        platform.node(),
        platform.machine(),
        str(os.cpu_count()),
        *(os.environ.get(name, "") for name in ("OPENMM_DEFAULT_PLATFORM", "CUDA_VISIBLE_DEVICES")),
    )
    return cache.key_of("speed", like.to_json(), recipe.system.source.fingerprint(), version("torch"), *machine)
