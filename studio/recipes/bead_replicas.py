"""Bead replicas: hundreds of copies of one learned model at once - where they go, how they spread over the surface, how warm they are."""

from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from studio.coarse import shelf
from studio.coarse.card import BeadCard
from studio.coarse.learned_beads import Learned
from studio.coarse.mapping import map_protein
from studio.coarse.parts import chosen
from studio.errors import UnsupportedError
from studio.frame import Frame
from studio.parts import Part, keep, kept, key_of
from studio.progress import Progress
from studio.recipes.base import Study
from studio.recipes.bead_maps import maps_of, of_atoms
from studio.recipes.bead_replicas_report import report
from studio.recipes.lasting import Lasting
from studio.recipes.work import Watch, share
from studio.recorder import Recorder
from studio.report import Report
from studio.result import Result, versions
from studio.so_far import SoFar
from studio.structure import Floats, Structure
from studio.system import System
from studio.units import Femtosecond, PerPicosecond

if TYPE_CHECKING:
    from studio.coarse.batched import BeadReplicas

CHECKPOINT = "replicas.npz"
MOST_NUMBERS = 2 * 10**8
"""Coordinates of all looks at all copies, which are kept: 0.8 GB."""
LOOKS = 20
"""Looks between two checkpoints: what a killed process loses at most."""
PREPARING = 0.02


class BeadReplicaRun(Lasting):
    """Many copies of a learned model, moved together.

    Args:
        system: The peptide.
        beads: Which model, and of which residues.
        replicas: Copies.
        shown: Which one is seen, from 0.
        steps: Of each.
        jumps: Torsions turn by any angle now and then, by Metropolis' rule.
        interval: Steps between looks.
        settle: Part of the steps that is not counted: all copies start in one place.
        friction: Of the thermostat, 1/ps.
        timestep: fs.
        seed: Of velocities and thermostat.

    `values` has replicas, steps, set_aside, temperature_K with its standard error, steps_s (of all copies together) and, where the
    model came with its reference, js; `arrays` has now_nm (copies, b, 3), the shares and basins of `bead_maps`, temperatures_K and
    cg_times_ps.
    """

    study: ClassVar[Study | None] = Study(
        "Replicas of a learned model",
        "Hundreds of copies of a learned model of this peptide move at once, and spread over its free-energy surface. About a minute.",
        "system",
    )

    kind: Literal["bead_replicas"] = "bead_replicas"
    version: Literal[1] = 1
    system: System
    model: Annotated[str, Field(max_length=64, title="Model", description="Its name on the shelf; when empty, the one that fits and passed its gates.")] = ""
    replicas: Annotated[int, Field(ge=2, le=8192, title="Replicas", description="Copies that move together.")] = 512
    steps: Annotated[int, Field(ge=1, le=10**9, title="Steps", description="Of each copy, 2 fs of CG time each. CG time is not the time of atoms.")] = 20_000
    shown: Annotated[int, Field(ge=0, title="Shown", description="Number of the copy that is seen in 3D and recorded, from 0.")] = 0
    trial: Annotated[
        bool, Field(title="Also a model that failed", description="Use the model although it failed its gates, or was never compared with all atoms.")
    ] = False
    jumps: Annotated[
        bool, Field(title="Jumps over barriers", description="Torsions jump now and then, by Metropolis' rule: the surface is right soon. Without, to watch.")
    ] = True
    interval: Annotated[int, Field(ge=1, le=10**6)] = 100
    settle: Annotated[float, Field(ge=0.0, le=0.95)] = 0.5
    friction: PerPicosecond = 5.0
    timestep: Femtosecond = 2.0
    seed: Annotated[int, Field(ge=0, lt=2**31 - 1)] = 0

    @model_validator(mode="after")
    def _consistent(self) -> "BeadReplicaRun":
        if self.shown >= self.replicas:
            raise ValueError(f"shown is the number of a copy: expected 0 to {self.replicas - 1}, got {self.shown}")
        return self

    def answer(self, structure: Structure | None, watch: Watch, folder: Path | None) -> Result:
        """Move them; a folder also gets the trajectory of the copy that is shown, as that of any run."""
        atoms = structure if structure is not None else self.system.prepare(share(watch, 0.0, PREPARING))
        flock = _Flock(self, atoms, folder)
        flock.go(watch, share(watch, PREPARING, 1.0))
        return flock.result()

    def report(self, result: Result, molecule: Structure | None = None) -> Report:
        """The surface with all copies on it, beside that of the atoms; temperature; basins."""
        return report(result, molecule)


@dataclass
class _Flock:
    """All copies, and what was seen of them."""

    recipe: BeadReplicaRun
    atoms: Structure
    folder: Path | None
    looks: list[Floats] = field(default_factory=list)
    temperatures: list[float] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    speed: float = 0.0

    def __post_init__(self) -> None:
        part = chosen(self.atoms, Learned().of)
        self.name, self.card = Learned(model=self.recipe.model, trial=self.recipe.trial).choose(part)
        self.beads = map_protein(part, self.card.scheme).beads
        if not self.card.fits(self.beads):
            raise UnsupportedError(f"The bead model '{self.name}' was learned for {' '.join(self.card.residues)}. Choose one that fits this peptide.")
        numbers = 3 * len(self.beads) * self.recipe.replicas * self.recipe.steps // self.recipe.interval
        if numbers > MOST_NUMBERS:
            raise UnsupportedError(f"So many steps of so many copies do not fit into memory ({numbers / 1e6:,.0f} million numbers). Take fewer of either.")
        self.so_far = SoFar(self.folder, self.recipe.to_json())
        self.recorder = Recorder(self.folder, self.beads, self.recipe.to_json(), self.recipe.interval) if self.folder else None
        self.key = key_of(self.recipe.to_json(), self.card.weights_sha256, self.beads.key)
        self.moving = self._made()
        self.reference = of_atoms(shelf.folders()[self.name], self.beads, self.card.temperature)
        self._find()

    def _made(self) -> "BeadReplicas":
        from studio.coarse.batched import BeadReplicas

        chosen, card = self.recipe, self.card
        start = np.broadcast_to(self.beads.positions, (chosen.replicas, len(self.beads), 3)).copy()
        drive = {"friction": chosen.friction, "timestep": chosen.timestep}
        return BeadReplicas(shelf.load(self.name), start, np.array(card.masses), card.temperature, **drive, seed=chosen.seed, jumps=chosen.jumps)

    def _find(self) -> None:
        """Go on from the last checkpoint, where there is one of these settings."""
        path = self.folder / CHECKPOINT if self.folder else None
        if path is None or not path.exists() or kept(self._path(0), self.key) is None:
            return
        self.moving.load(path)
        for number in range(-(-self.moving.step // (LOOKS * self.recipe.interval))):
            part = kept(self._path(number), self.key)
            if part is not None:
                self.looks += list(part.arrays["looks"])
                self.temperatures += part.arrays["temperatures"].tolist()
                self.times += part.arrays["times"].tolist()
        if self.recorder is not None:
            self.recorder.trim(self.moving.step)

    def go(self, watch: Watch, progress: Progress) -> None:
        """Until the last step.

        Args:
            watch: Is shown the copy.
            progress: Is told how far it is.

        Raises:
            StoppedError: Somebody wanted that.
            SimulationError: Not one copy is left.
        """
        chosen, piece = self.recipe, self.recipe.interval
        while self.moving.step < chosen.steps:
            begun, before = monotonic(), self.moving.step
            self.moving.advance(min(piece, chosen.steps - before))
            self.speed = (self.moving.step - before) / max(monotonic() - begun, 1e-6)
            self.looks.append(self.moving.positions.astype(np.float32))
            self.temperatures.append(self.moving.temperature)
            self.times.append(self.moving.time)
            frame = self._frame()
            if self.recorder is not None:
                self.recorder.record(frame)
            if len(self.looks) % LOOKS == 0:
                self._keep()
            self.so_far.tell(self.result)
            watch.frame = frame
            progress(self.moving.step / chosen.steps, f"{chosen.replicas} replicas, step {self.moving.step:,} of {chosen.steps:,}")

    def _frame(self) -> Frame:
        energies = {"potential": 0.0, "kinetic": 0.0}
        shown = self.looks[-1][self.recipe.shown]
        return Frame(self.moving.step, self.moving.time, shown, None, energies, self.moving.temperature, self.speed, self.recipe.timestep)

    def _keep(self) -> None:
        if self.folder is None:
            return
        number = len(self.looks) // LOOKS - 1
        some = slice(number * LOOKS, None)
        arrays = {"looks": np.array(self.looks[some]), "temperatures": np.array(self.temperatures[some]), "times": np.array(self.times[some])}
        keep(self._path(number), self.key, Part(arrays, {}))
        self.moving.save(self.folder / CHECKPOINT)

    def _path(self, number: int) -> Path | None:
        return self.folder / f"looks-{number:05d}.npz" if self.folder else None

    def result(self) -> Result:
        """What is known by now."""
        counted = self.looks[int(self.recipe.settle * len(self.looks)) :]
        alive = self.moving.alive
        frames = np.stack(counted, axis=1)[alive].reshape(-1, len(self.beads), 3).astype(np.float64) if counted else np.zeros((0, len(self.beads), 3))
        temperatures = np.array(self.temperatures)
        values = {"replicas": float(self.recipe.replicas), "steps": float(self.moving.step), "set_aside": float(self.moving.set_aside), "steps_s": self.speed}
        values |= {"target_temperature_K": self.card.temperature}
        if len(temperatures) > 1:
            values |= {"temperature_K": float(temperatures.mean()), "temperature_error_K": float(temperatures.std(ddof=1) / np.sqrt(len(temperatures)))}
        arrays: dict[str, NDArray[np.generic]] = {"now_nm": self.looks[-1][alive] if self.looks else frames, "temperatures_K": temperatures}
        arrays |= {"cg_times_ps": np.array(self.times)} | self.reference | maps_of(frames, frames[:0], self.beads, self.card.temperature)
        notes = (self.card.doubt,) if self.card.doubt else ()
        return Result({}, values, arrays, versions() | _made_with(self.name, self.card), (*self.atoms.notes, *notes))


def _made_with(name: str, card: BeadCard) -> dict[str, str]:
    return {"model": name, "model_sha256": card.weights_sha256, "model_gates": card.state, "learned_from": f"{card.labels} mean forces, {card.reference}"}
