"""Recorded: where the particles that tell the shape of a molecule were along a run, or along two runs of the same molecule, of atoms or of beads.

Knows recordings; must not know what is measured in them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from studio.coarse.shape import solute
from studio.errors import SettingsError, StorageError
from studio.hybrid.whole import MakeWhole
from studio.recipes.base import load_recipe
from studio.recorder import RECIPE
from studio.replay import Replay
from studio.structure import CARBON, Floats, Integers, Structure

SMALL = 300
"""Heavy atoms up to which all of them are followed; of larger molecules the backbone."""
SITES = frozenset({"N", "CA", "C", "CB"})
"""What beads are named after."""
BLOCK, SPARSE = 100, 10
"""Frames that are read together, and the distance from which on each is read by itself."""
ROOM = 300.0
"""Temperature of runs whose recipe names none, K."""


@dataclass(frozen=True, eq=False)
class Recording:
    """Some frames of a run, equally far apart.

    Args:
        replay: The run.
        numbers: Of the frames, (f,), counted from 0.
        temperature: At which it ran, K.
        clock: What its time is called.
    """

    replay: Replay
    numbers: Integers
    temperature: float
    clock: str

    @property
    def structure(self) -> Structure:
        """What was recorded, at its start."""
        return self.replay.structure

    @property
    def times(self) -> Floats:
        """Of the frames, ps."""
        return self.replay.times[self.numbers]

    @property
    def key(self) -> str:
        """Of what was recorded."""
        return f"{self.structure.key} {self.replay.steps[self.numbers].tolist()} {self.times.tolist()}"

    def positions(self, particles: Integers, tell: Callable[[float], None]) -> Floats:
        """Where some particles were, molecules whole, (f, n, 3), nm.

        Args:
            particles: Indices.
            tell: Is told how much is done, from 0 to 1; what it raises ends the work.
        """
        kept = whole_order(self.structure, particles)
        whole, rows = MakeWhole(self.structure.take(kept)), np.searchsorted(kept, particles)
        first, step = int(self.numbers[0]), int(self.numbers[1] - self.numbers[0])
        every = step if step > SPARSE else 1
        found, wanted = list[Floats](), set(self.numbers.tolist())
        for block in self.replay.blocks(range(first, int(self.numbers[-1]) + 1, every), BLOCK, kept):
            tell(len(found) / len(self.numbers))
            for index, positions in enumerate(block.positions):
                if first in wanted:
                    box = None if self.structure.box is None else block.boxes[index].astype(np.float64)
                    found.append(whole(positions.astype(np.float64), box)[rows])
                first += every
        return np.array(found)


def whole_order(structure: Structure, particles: Integers) -> Integers:
    """The atoms that put these into one image: with all of their molecules, ascending.

    Args:
        structure: Whose they are.
        particles: Indices.
    """
    if structure.box is None:
        return np.unique(particles)
    wanted = set(particles.tolist())
    return np.sort(np.concatenate([molecule for molecule in structure.molecules if wanted & set(molecule.tolist())]))


def recording(folder: str, skip: float, count: int) -> Recording:
    """Some frames of a run.

    Args:
        folder: Of the run.
        skip: Share of the run at its start that is left out.
        count: So many at most.

    Raises:
        StudioError: There is no recording, or it has fewer than two frames.
    """
    path = Path(folder)
    replay = Replay(path)
    first = int(skip * len(replay))
    if len(replay) - first < 2:
        raise StorageError(f"The run in {path} has {len(replay)} frames, and at least two are needed. Let it run for a while first.")
    numbers = np.arange(first, len(replay), max(1, -(-(len(replay) - first) // count)))
    recipe = load_recipe(path / RECIPE)
    temperature = getattr(recipe, "temperature", None)
    view = getattr(recipe, "view", None)
    clock = view.clock if view else "CG time" if replay.structure.is_coarse else "time"
    return Recording(replay, numbers, float(temperature) if temperature else ROOM, clock)


def followed(one: Structure, other: Structure | None) -> tuple[Structure, Integers, Integers]:
    """The particles that are followed: of one run, or those that two runs have in common by chain, residue and name.

    Args:
        one: What was recorded.
        other: In a second run.

    Returns:
        The particles as a structure (of beads, if either run is of beads), and their indices in both runs.

    Raises:
        SettingsError: The runs have nothing in common that has a shape.
    """
    if other is None:
        ours = _telling(one)
        return one.take(ours), ours, ours
    rows = [{_name(structure, atom): atom for atom in _telling(structure).tolist()} for structure in (one, other)]
    names = [name for name in (rows[1] if is_coarse(other) else rows[0]) if name in rows[0] and name in rows[1]]
    if len(names) < 4:
        raise SettingsError(
            f"The two runs share {len(names)} atoms or beads by chain, residue and name; at least four are needed. Choose runs of one molecule."
        )
    ours, theirs = (np.array([row[name] for name in names], dtype=np.int64) for row in rows)
    return (other.take(theirs) if is_coarse(other) else one.take(ours)), ours, theirs


def is_coarse(structure: Structure) -> bool:
    """Beads named after atoms of the backbone, and nothing else.

    Args:
        structure: Atoms or beads.
    """
    return bool((structure.numbers == CARBON).all()) and set(structure.names) <= SITES


def _telling(structure: Structure) -> Integers:
    """The heavy atoms of small solutes, the backbone of larger ones."""
    heavy = solute(structure)
    if len(heavy) <= SMALL:
        return heavy
    backbone = [k for k in heavy.tolist() if structure.names[k] in SITES - {"CB"} and structure.residue_of(k).kind == "protein"]
    return np.array(backbone, dtype=np.int64) if len(backbone) >= 4 else heavy[:SMALL]


def _name(structure: Structure, atom: int) -> tuple[str, str, str]:
    residue = structure.residue_of(atom)
    return residue.chain, residue.number, structure.names[atom]
