"""Recorded runs whose frames a test has made, in folders as `studio.recorder` writes them."""

from pathlib import Path

import numpy as np

from studio.frame import Frame
from studio.recipes.base import Recipe
from studio.recorder import Recorder
from studio.structure import Structure

INTERVAL = 10


def record(folder: Path, structure: Structure, recipe: Recipe, frames: np.ndarray) -> Path:
    """Frames (f, n, 3), nm, a step of 2 fs each, as a run of this recipe."""
    recorder = Recorder(folder, structure, recipe.to_json(), interval=INTERVAL)
    for number, positions in enumerate(frames, start=1):
        step = number * INTERVAL
        energies = {"potential": -1.0, "kinetic": 1.0}
        recorder.record(Frame(step, 0.002 * step, positions.astype(np.float32), structure.box, energies, 300.0, 0.0, 2.0))
    return folder
