"""Recorded: the frames of a run in which a ligand and its partner are looked at.

Knows the folder of a recorded run; must not know what is measured in its frames.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from studio.errors import SettingsError, StorageError
from studio.partners import Partners, partners
from studio.recipes.base import load_recipe
from studio.recorder import RECIPE
from studio.region import Region
from studio.structure import Floats, Integers
from studio.system import System


@dataclass(frozen=True, eq=False)
class Frames:
    """Frames in which a ligand and its partner are looked at.

    Args:
        pair: Ligand and receptor with everything around them.
        system: How they are parametrised.
        numbers: Of the frames in the recording, (f,), counted from 0; empty for a pose without a recording.
        times: Of the frames, (f,), ps.
        read: Gives their positions, (n, 3), nm, by number.
        key: Of what was recorded.
    """

    pair: Partners
    system: System
    numbers: Integers
    times: Floats
    read: Callable[[int], Floats]
    key: str


def recorded(recording: str, ligand: Region, skip: float, count: int) -> Frames:
    """Some frames of a recording, equally far apart.

    Args:
        recording: Folder of the run.
        ligand: Which atoms are the ligand.
        skip: Share of the run at its start that is left out.
        count: So many at most.

    Raises:
        StudioError: There is no recording, it has no frames, or no ligand and receptor.
    """
    from studio.replay import Replay

    folder = Path(recording)
    replay, system = Replay(folder), system_of(folder)
    if not len(replay):
        raise StorageError(f"The run in {folder} has no frames yet. Let it run for a while first.")
    first = int(skip * len(replay))
    numbers = np.arange(first, len(replay), max(1, -(-(len(replay) - first) // count)))
    pair = partners(replay.structure, ligand.select(replay.structure))
    key = f"{replay.structure.key} {replay.steps[numbers].tolist()} {replay.times[numbers].tolist()}"
    return Frames(pair, system, numbers, replay.times[numbers], lambda number: np.asarray(replay.frame(number).positions, dtype=np.float64), key)


def system_of(folder: Path) -> System:
    """The system of a recorded run.

    Args:
        folder: Of the run.

    Raises:
        SettingsError: Its recipe has none.
    """
    system = getattr(load_recipe(folder / RECIPE), "system", None)
    if not isinstance(system, System):
        raise SettingsError(f"The recipe in {folder} does not say which system was simulated. Choose the folder of a simulation.")
    return system
