"""Learning, what is wanted and what is known: the plan of a course, and all that can be told of it at any time.

Knows values; must not know how anything is done.
"""

from dataclasses import dataclass, field

import numpy as np

from studio.coarse.gates import Verdict
from studio.coarse.held import Sampling
from studio.coarse.mapping import Mapping, Scheme
from studio.coarse.training import Training
from studio.hybrid.view import View
from studio.recipes.dynamics import Dynamics
from studio.recipes.let_go import Trial
from studio.structure import Floats
from studio.system import System


@dataclass(frozen=True, eq=False)
class Plan:
    """What is learned, and how.

    Args:
        recipe: The settings, as JSON text.
        name: Of the model.
        title: Of the molecule.
        system: Whose forces they are.
        view: What makes them.
        mapping: From its atoms to beads.
        scheme: Of the beads.
        sampling: Of configurations and mean forces.
        training: Of networks.
        labels: That are measured before the model asks for any.
        rounds: Of active learning.
        asked: Labels that it adds in all rounds.
        trial: How the model is let go.
        dynamics: Of all atoms.
        reference_ns: How long, ns.
        by: What makes the forces, in words.
    """

    recipe: str
    name: str
    title: str
    system: System
    view: View
    mapping: Mapping
    scheme: Scheme
    sampling: Sampling
    training: Training
    labels: int
    rounds: int
    asked: int
    trial: Trial
    dynamics: Dynamics
    reference_ns: float
    by: str


@dataclass
class Told:
    """What is known by now."""

    stage: str = "Preparing"
    errors: list[float] = field(default_factory=list)
    curves: dict[tuple[int, int], tuple[float, float]] = field(default_factory=dict)
    frames: Floats = field(default_factory=lambda: np.zeros((0, 0, 3)))
    now: Floats = field(default_factory=lambda: np.zeros((0, 0, 3)))
    set_aside: int = 0
    rounds: list[tuple[float, float, float, float]] = field(default_factory=list)
    controls: list[tuple[str, Verdict]] = field(default_factory=list)
    verdict: Verdict | None = None
    card: str = ""
    notes: list[str] = field(default_factory=list)
