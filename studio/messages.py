"""Messages: what is said between a run and its worker - wishes one way, how things are the other way.

Plain values that can be sent between processes. Knows what a recipe must offer to be run; must not know who acts on it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import TypeAdapter

from studio.frame import Frame
from studio.progress import Progress
from studio.recorder import Recorder
from studio.result import Result
from studio.shared import Layout
from studio.simulation import OpenMMSimulation
from studio.steering import Restraints, Spring
from studio.structure import Structure
from studio.trust import Doubt, Trust

State = Literal["preparing", "paused", "playing", "failed", "lost", "closed"]


class Startable(Protocol):
    """What a run needs of a recipe."""

    @property
    def steps(self) -> int:
        """Steps in all; not a limit for a run that is watched."""
        ...

    @property
    def trust(self) -> Trust:
        """When to doubt the network, and what to do then."""
        ...

    def to_json(self) -> str:
        """The file form."""
        ...

    def begin(
        self, structure: Structure | None = None, progress: Progress | None = None, folder: Path | None = None
    ) -> tuple[OpenMMSimulation, Recorder | None, Frame]:
        """The simulation, its recorder and the first frame."""
        ...

    def result(self, simulation: OpenMMSimulation) -> Result:
        """What there is to say about the simulation now."""
        ...


@dataclass(frozen=True)
class Begin:
    """Make the simulation of `recipe` in `folder` (or go on from the checkpoint there); publish frames in the file `frames`."""

    recipe: Startable
    folder: Path
    frames: Path
    structure: Structure | None = None


@dataclass(frozen=True)
class Play:
    """Go on until told otherwise."""


@dataclass(frozen=True)
class Pause:
    """Stop where you are."""


@dataclass(frozen=True)
class Step:
    """Go on by `count` steps, then pause."""

    count: int = 1


@dataclass(frozen=True)
class Reset:
    """Back to the start."""


@dataclass(frozen=True)
class SetTemperature:
    """Drive the thermostat to `kelvin`."""

    kelvin: float


@dataclass(frozen=True)
class SetFriction:
    """Couple the thermostat with `per_ps`."""

    per_ps: float


@dataclass(frozen=True)
class SetPace:
    """Go no faster than `steps_per_second`; as fast as can be with none."""

    steps_per_second: float | None


@dataclass(frozen=True)
class Pull:
    """Pull an atom, or move what pulls it."""

    spring: Spring


@dataclass(frozen=True)
class Release:
    """Let go of the pulled atom."""


@dataclass(frozen=True)
class Restrain:
    """Hold these atoms, and no others."""

    restraints: Restraints


@dataclass(frozen=True)
class Undo:
    """Back to the newest checkpoint before now."""


@dataclass(frozen=True)
class Rollback:
    """Back to the last good checkpoint."""


@dataclass(frozen=True)
class Close:
    """Write a last checkpoint and end."""


@dataclass(frozen=True)
class Status:
    """How a run is, in one word and one sentence.

    Args:
        state: The word.
        message: The sentence.
        fraction: How much of the preparation is done.
        atoms: Indices of the atoms that the sentence is about.
        doubts: What speaks against the network, told now for the first time.
    """

    state: State
    message: str = ""
    fraction: float = 0.0
    atoms: tuple[int, ...] = ()
    doubts: tuple[Doubt, ...] = ()


@dataclass(frozen=True)
class Ready:
    """The simulation stands: its atoms, where its frames are, how it is made."""

    structure: Structure
    layout: Layout
    provenance: dict[str, str]


Control = Play | Pause | Step | Reset | Rollback | Undo
Setting = SetTemperature | SetFriction | SetPace | Pull | Release | Restrain
Message = Begin | Control | Setting | Close
Event = Status | Ready
Undoable = Play | Step | Reset | SetTemperature | SetFriction | Pull | Restrain
"""Wishes that change the course: the moment before them is kept."""
Replaceable = SetTemperature | SetFriction | SetPace | Pull | Restrain
"""Of several in a row only the newest counts."""


def described(message: Control | Setting) -> tuple[str, dict[str, Any]]:
    """The name of an action and its values, as JSON data.

    Args:
        message: What the user wants.
    """
    name = re.sub(r"(?<!^)(?=[A-Z])", "_", type(message).__name__).lower()
    return name, TypeAdapter(type(message)).dump_python(message, mode="json")


def heard(connection: Connection, patience: float | None) -> list[Message]:
    """All messages that wait.

    Args:
        connection: Where they come in.
        patience: Wait so long for the first, s; until it comes with none.

    Raises:
        EOFError: Nobody is there any more.
    """
    messages: list[Message] = []
    while connection.poll(0.0 if messages else patience):
        messages.append(connection.recv())
    return messages


def newest(messages: Sequence[Message]) -> list[Message]:
    """Without settings that the next message replaces: a fast mouse or slider never lags.

    Args:
        messages: In the order in which they came.
    """
    return [message for message, after in zip_longest(messages, messages[1:]) if not (isinstance(message, Replaceable) and type(message) is type(after))]
