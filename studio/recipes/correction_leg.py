"""Leg: one recorded MM run on its way to NNP/MM - its frames asked, the windows in between sampled and kept.

Knows recordings, dynamics and brackets; must not know what several legs are for.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from studio import parts, plugins
from studio.correction import Brackets, Windows, doubt_of, one_sided
from studio.errors import SettingsError, StructureError, UnsupportedError
from studio.frame import Frame
from studio.hybrid.boundary import Part, cap
from studio.hybrid.coupling import couple_fragments
from studio.hybrid.view import View
from studio.inputs import localised
from studio.parts import keep, kept
from studio.potentials.base import BoundPotential, Potential, evaluate_batch
from studio.progress import Progress
from studio.recipes.dynamics import SAFE, Dynamics
from studio.recipes.lasting import part_key
from studio.recipes.work import Watch
from studio.recorder import RECIPE
from studio.replay import Replay
from studio.settings import validated
from studio.simulation import OpenMMSimulation
from studio.structure import Floats, Structure
from studio.thermostat import Thermostat
from studio.units import BOLTZMANN

if TYPE_CHECKING:
    from studio.recipes.correction import EndStateCorrection

SAMPLED = 0.05
"""Time between two samples of a window, ps: brackets forget themselves within some tenths."""
FEWEST = 10
"""Samples of a window, and frames of a run."""
MBAR, RECORDED = "MBAR, all windows", "recorded run, reweighted"
"""Names of the two estimates that are there to be reported."""
GRID = 0.001
"""To which recorded frames are stored, nm."""


class Leg:
    """One recorded run, and what is made of it.

    Args:
        recipe: What is asked for.
        folder: Of the run.
        name: Of the leg.

    Raises:
        StudioError: There is no such run, or it was not by MM.
    """

    def __init__(self, recipe: "EndStateCorrection", folder: Path, name: str) -> None:
        self.recipe, self.name, self.replay = recipe, name, Replay(folder)
        self.structure = self.replay.structure
        self.dynamics = _mm_run(folder)
        if len(self.replay) < FEWEST:
            raise StructureError(f"The run in {folder} has {len(self.replay)} frames: expected at least {FEWEST}, better hundreds. Let it run for a while.")
        self.region = recipe.ligand.select(self.structure)
        self.part: Part = cap(self.structure, self.region)
        self.recorded: Floats = np.zeros(0)
        self.blur = 0.0
        self.windows: Windows | None = None
        self.places: list[Floats] = []

    @property
    def temperature(self) -> float:
        """Of the run, K."""
        return self.dynamics.temperature

    def measure(self, folder: Path | None, watch: Watch, tell: Progress) -> None:
        """Ask the network about the frames, then sample what is between the ends.

        Args:
            folder: Where finished windows are kept.
            watch: Shows what is worked on.
            tell: Is told how far this leg is.

        Raises:
            StudioError: The network refuses, a window does not run, or the user stopped it.
        """
        self._watch, self._tell = watch, tell
        watch.show(self.structure.positions)
        tell(0.0, "Preparing the run's force field")
        mm = self.dynamics.system.parametrise(self.structure)
        potential = self._potential = _bound(self.recipe.potential, self.part.structure)
        self.provenance = dict(potential.provenance) | mm.provenance
        brackets = Brackets(mm, self.part, potential)
        self.reference = float(brackets(self.structure.positions[None, self.part.seen], _boxes(self.structure))[0])
        self.places = [self._recorded(brackets)]
        self.blur = _blur(potential, self.part, self.places[0])
        if self.recipe.picoseconds:
            series = []
            for index, lam in enumerate(self.recipe.lambdas):
                series.append(self._window(index, lam, brackets, folder))
            self.windows = Windows.of(self.recipe.lambdas, [found for found, _ in series], self.temperature)
            self.places = [places[rows] for (_, places), rows in zip(series, self.windows.rows, strict=True)]

    def estimates(self) -> list["Estimated"]:
        """All ways to the free energy of NNP/MM less that of MM, the best one first, less the bracket at the run's first structure."""
        rows = []
        if self.windows is not None:
            kt = BOLTZMANN * self.temperature
            estimate, lambdas, windows = self.windows.estimate(), self.windows.lambdas, self.windows
            whole, ends = estimate.between(0, len(lambdas) - 1), windows.bar()
            rows.append(Estimated(MBAR, kt * whole.value, kt * whole.error, float(estimate.neighbours.min()), doubt_of(estimate, lambdas)))
            pair = Windows((0.0, 1.0), (windows.brackets[0], windows.brackets[-1]), (windows.rows[0], windows.rows[-1]), self.temperature).estimate()
            rows.append(Estimated("BAR, both ends", kt * ends.value, kt * ends.error, float(pair.neighbours.min()), doubt_of(pair, (0.0, 1.0))))
            forward, back = one_sided(windows.brackets[0], self.temperature), one_sided(windows.brackets[-1], self.temperature, reverse=True)
            rows.append(Estimated("from the MM end (window)", forward.value, forward.error, forward.effective, forward.doubt))
            rows.append(Estimated("from the NNP/MM end (window)", back.value, back.error, back.effective, back.doubt))
        found = one_sided(self.recorded, self.temperature)
        rows.append(Estimated(RECORDED, found.value, found.error, found.effective, found.doubt))
        return [replace(row, value=row.value - self.reference, error=float(np.nan_to_num(row.error))) for row in rows]

    def weights(self) -> Floats:
        """Weights of the samples behind `places`, by MM and by NNP/MM, (2, n), each summing to one."""
        if self.windows is not None:
            estimate = self.windows.estimate()
            return np.stack([self.windows.weights(estimate, lam) for lam in (0.0, 1.0)])
        logs = (self.recorded.min() - self.recorded) / (BOLTZMANN * self.temperature)
        return np.stack([np.full(len(logs), 1.0 / len(logs)), np.exp(logs) / np.exp(logs).sum()])

    def _recorded(self, brackets: Brackets) -> Floats:
        """Asks about the frames of the run; gives the places of the region in them."""
        every = -(-len(self.replay) // self.recipe.frames)
        blocks = list(self.replay.blocks(range(0, len(self.replay), every), 100, self.part.seen))
        positions = np.concatenate([block.positions for block in blocks])
        boxes = None if self.structure.box is None else np.concatenate([block.boxes for block in blocks])
        said = "Asking the network about recorded frames"
        self.recorded = brackets(positions, boxes, lambda done: self._tell(0.05 * done / len(positions), said))
        return self._whole(positions, boxes)

    def _whole(self, positions: Floats, boxes: Floats | None) -> Floats:
        images = [None] * len(positions) if boxes is None else list(boxes.astype(np.float64))
        return np.stack([self.part.whole(place.astype(np.float64), box) for place, box in zip(positions, images, strict=True)])

    def _window(self, index: int, lam: float, brackets: Brackets, folder: Path | None) -> tuple[Floats, Floats]:
        """Brackets along time, and the places of the region, of one lambda; from the folder where they are there."""
        count = len(self.recipe.lambdas)
        begin = 0.05 + 0.95 * index / count
        drive, start = self._drive(index, lam), self._start(index)
        path, key = folder / f"{self.name}-{lam:g}.npz" if folder else None, _key(drive, start, self.provenance, self.recipe.picoseconds)
        known = kept(path, key)
        if known is not None:
            return known.arrays["brackets"], known.arrays["places"].astype(np.float64)
        sentence = f"Window {index + 1} of {count} (lambda {lam:g})"
        self._tell(begin, sentence)

        def look(part: float, frame: Frame) -> None:
            self._watch.frame = frame
            self._tell(begin + 0.9 * part / count, sentence)

        positions, boxes = _sampled(self._simulation(drive, start), self.recipe.picoseconds, self.part, look)
        found = brackets(positions, boxes if self.structure.box is not None else None, lambda _done: self._tell(begin + 0.95 / count, sentence))
        whole = self._whole(positions, boxes if self.structure.box is not None else None)
        keep(path, key, parts.Part({"brackets": found, "places": whole.astype(np.float32)}, {}))
        return found, whole

    def _drive(self, index: int, lam: float) -> Dynamics:
        view = View(resolution="nnp/mm", region=self.recipe.ligand, potential=self.recipe.potential, lam=lam)
        changed = {"view": view, "timestep": None, "minimise": 0, "steps": 0, "interval": 1, "seed": self.recipe.seed + index}
        return self.dynamics.model_copy(update=changed)

    def _simulation(self, drive: Dynamics, start: Structure) -> OpenMMSimulation:
        """Of one window; a ligand alone, in vacuum or continuum water, is all that there is and moves by single steps."""
        if len(self.part.atoms) < len(start):
            return drive.simulation(start)
        model = couple_fragments(drive.system.parametrise(start), [(self.part, self._potential)], drive.view.lam)
        return OpenMMSimulation(model, Thermostat(drive.temperature, drive.friction, SAFE, drive.seed))

    def _start(self, index: int) -> Structure:
        """A frame of the run for each window, the later ones from later on."""
        count = len(self.recipe.lambdas)
        frame = self.replay.frame(round((index + 1) * (len(self.replay) - 1) / count))
        box = None if frame.box is None else frame.box.astype(np.float64)
        return replace(self.structure, positions=frame.positions.astype(np.float64), box=box)


@dataclass(frozen=True)
class Estimated:
    """One way to the free energy of a leg.

    Args:
        name: Of the way.
        value: kJ/mol.
        error: Its standard error, kJ/mol.
        support: What it rests on: the smallest overlap of neighbours, or effective samples.
        doubt: Why it is not to be believed; empty if it is.
    """

    name: str
    value: float
    error: float
    support: float
    doubt: str


def _sampled(simulation: OpenMMSimulation, picoseconds: float, part: Part, tell: Callable[[float, Frame], None]) -> tuple[Floats, Floats]:
    """Places of what the network sees, and boxes, along one window."""
    every = max(1, round(SAMPLED * 1000.0 / simulation.thermostat.timestep))
    count = max(FEWEST, round(picoseconds * 1000.0 / (every * simulation.thermostat.timestep)))
    positions, boxes = [], []
    for number in range(count):
        frame = simulation.advance(every, sample=False)
        tell(number / count, frame)
        positions.append(frame.positions[part.seen])
        boxes.append(np.zeros((3, 3)) if frame.box is None else frame.box)
    return np.stack(positions), np.stack(boxes)


def _bound(name: str, region: Structure) -> BoundPotential:
    potential = plugins.load("studio.potentials", name)()
    if not isinstance(potential, Potential):
        raise UnsupportedError(f"The plug-in '{name}' is not a potential: it lacks `card` or `bind`.")
    return potential.bind(region)


def _mm_run(folder: Path) -> Dynamics:
    """The settings of a recorded run.

    Raises:
        SettingsError: Not dynamics by MM.
    """
    try:
        data = json.loads((folder / RECIPE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise SettingsError(f"The recipe of the run in {folder} cannot be read. Choose a run that was recorded here.") from problem
    if data.get("kind") != "dynamics":
        raise SettingsError(f"Expected a recorded run of dynamics in {folder}, got '{data.get('kind')}'.")
    dynamics = validated(Dynamics, localised(data, folder))
    if dynamics.view.resolution != "mm":
        raise SettingsError(f"The run in {folder} was not by MM but by {dynamics.view.resolution.upper()}: a correction from MM begins with a run by MM.")
    return dynamics


def _boxes(structure: Structure) -> Floats | None:
    return None if structure.box is None else structure.box[None]


def _blur(potential: BoundPotential, part: Part, places: Floats) -> float:
    """By how much rounded coordinates change the network's energy, root mean square, kJ/mol: to first order, by its forces in a few frames."""
    few = places[:: max(1, len(places) // 8)]
    forces = evaluate_batch(potential, np.stack([part.cap(place) for place in few])).forces
    return float(np.sqrt(GRID**2 / 12.0 * np.square(forces).sum(axis=(1, 2)).mean()))


def _key(drive: Dynamics, start: Structure, provenance: dict[str, str], picoseconds: float) -> str:
    """A hash of all that a window depends on."""
    found = json.dumps(provenance, sort_keys=True)
    return part_key(drive.to_json(), start.key, f"{picoseconds:g}", found)
