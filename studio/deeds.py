"""Deeds: what was done to a structure on its way in, each with the settings that take it back or the reason there are none.

Knows systems and the notes of prepared structures; must not know how either is shown.
"""

from collections.abc import Callable
from dataclasses import dataclass

from studio.io.repairs import Note, Repairs
from studio.sources import FromFile, FromSequence, FromSmiles
from studio.structure import Structure
from studio.system import System, Vacuum

TOLD = "This says what was found; nothing was changed."


@dataclass(frozen=True)
class Deed:
    """One thing done to a structure.

    Args:
        sentence: What was done.
        undo: The system in which it is not done; none where that is impossible.
        action: What undoing does, a few words for a button; empty where it is impossible.
        reason: Why it cannot be undone, a sentence; empty where it can.
    """

    sentence: str
    undo: System | None = None
    action: str = ""
    reason: str = ""


def deeds(structure: Structure, system: System) -> tuple[Deed, ...]:
    """What was done to a structure, in the order in which it happened.

    Args:
        structure: As `system.prepare` gave it.
        system: What it was prepared from.
    """
    return tuple(_deed(note, system) for note in structure.notes)


def _deed(note: str, system: System) -> Deed:
    """One note as a deed."""
    if not isinstance(note, Note):
        return Deed(note, reason=TOLD)
    if note.undo is None:
        return Deed(str(note), reason=note.why or TOLD)
    setting, value = note.undo
    action, change = WAYS[setting]
    changed = change(system, value)
    return Deed(str(note), changed, action) if changed is not None else Deed(str(note), reason="The source of this molecule has no such setting.")


def _repaired(change: Callable[[Repairs, str], Repairs]) -> Callable[[System, str], System | None]:
    """The system with changed repairs."""
    return lambda system, value: (
        system.model_copy(update={"repairs": change(system.repairs, value)}) if isinstance(system.source, FromFile | FromSequence) else None
    )


def _states(text: str) -> dict[str, str]:
    """States by residue from `A:22=CYS A:65=CYS`."""
    return dict(pair.split("=", 1) for pair in text.split())


def _protonation(system: System, value: str) -> System | None:
    """The system with other protonation of small molecules."""
    if not isinstance(system.source, FromSmiles | FromFile):
        return None
    return system.model_copy(update={"source": system.source.model_copy(update={"protonation": value})})


WAYS: dict[str, tuple[str, Callable[[System, str], System | None]]] = {
    "leave_out": ("Leave it out", _repaired(lambda repairs, name: repairs.without(name))),
    "take_back": ("Take it back in", _repaired(lambda repairs, name: repairs.having(name))),
    "location": ("Take the other", _repaired(lambda repairs, letter: repairs.model_copy(update={"location": letter}))),
    "rebuild_hydrogens": ("Change back", _repaired(lambda repairs, value: repairs.model_copy(update={"rebuild_hydrogens": bool(value)}))),
    "state": ("Change", _repaired(lambda repairs, text: repairs.with_states(_states(text)))),
    "protonation": ("Change", _protonation),
    "surroundings": ("Take it away", lambda system, _: system.model_copy(update={"surroundings": Vacuum()})),
}
"""By the setting that a note names: what the button says, and what it changes."""
