"""Account: everything that is known about a kept run, in words - its settings, versions, what was done to it and by whom.

Reads what the run's folder says, as data; must not know any one recipe, so that a recipe of another version can be told too.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from studio.entry import WORDS, Entry, recipe_data
from studio.errors import SettingsError
from studio.recorder import ACTIONS, CG_TIME, RECIPE, TIME
from studio.units import NM_PER_ANGSTROM

CLOCKS = {"time": "", "CG time": " CG time"}
"""What follows a number of picoseconds."""
UNITS = {"temperature": "K", "friction": "1/ps", "timestep": "fs", "inner_timestep": "fs", "ionic_strength": "mol/l", "hydrogen_mass": "Da"}
"""Of settings, by the last part of their name; those that are not here have none, or say it in their name."""
LENGTHS = {"cutoff"}
"""Settings in nm that do not end in `_nm`."""
MOST_ACTIONS = 200
_FOUND_BY_ITSELF = "found by itself"

Row = tuple[str, str]


@dataclass(frozen=True)
class Section:
    """One part of an account.

    Args:
        title: A few words.
        rows: What, and how it is; nothing before what is a sentence by itself.
    """

    title: str
    rows: tuple[Row, ...]


def account(entry: Entry) -> tuple[Section, ...]:
    """Everything that is known about a run; parts without anything are left out. Reads files, so call it in a thread.

    Args:
        entry: Of any version, also a damaged one.
    """
    sections = (
        Section("Run", tuple(_about(entry))),
        Section("Inputs", _inputs(entry)),
        Section("What was done to the structure, and warnings", tuple(("", note) for note in entry.notes)),
        Section("Done by hand", _actions(entry)),
        Section("Made with", tuple(entry.provenance.items())),
    )
    return tuple(section for section in sections if section.rows)


def _about(entry: Entry) -> Iterator[Row]:
    yield "title", entry.title
    yield "status", WORDS[entry.status]
    yield "made", f"{entry.created.astimezone():%Y-%m-%d %H:%M}"
    yield "last change", f"{entry.updated.astimezone():%Y-%m-%d %H:%M}"
    if entry.atoms:
        yield "particles", str(entry.atoms)
    if entry.frames or entry.resolution:  # a study records none
        yield "recorded", f"{entry.frames} frames, {entry.time_ps:.3f} ps{CLOCKS[entry.clock]}"
    yield "on disk", f"{entry.megabytes:.3g} MB"
    yield "folder", str(entry.folder)
    if entry.note:
        yield "note", entry.note


def _inputs(entry: Entry) -> tuple[Row, ...]:
    """What the run settled on, or else what was asked for."""
    try:
        data = json.loads((entry.folder / RECIPE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        data = None
    try:
        return tuple(_flat(data if isinstance(data, dict) else recipe_data(entry), ""))
    except SettingsError as problem:
        return (("", str(problem)),)


def _flat(value: Any, name: str) -> Iterator[Row]:
    """The leaves of settings, each with the way to it."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, f"{name} \u203a {key}" if name else key)
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for number, item in enumerate(value, 1):
            yield from _flat(item, f"{name} {number}")
    else:
        yield _said(name, value)


def _said(name: str, value: Any) -> Row:
    """A setting in words and with its unit."""
    key = name.rsplit(" ", 1)[-1]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and (key.endswith("_nm") or key in LENGTHS):
        return name.removesuffix("_nm").replace("_", " "), f"{value / NM_PER_ANGSTROM:g} \u00c5"
    return name.replace("_", " "), f"{value:g} {UNITS[key]}" if number and key in UNITS else _text(value)


def _text(value: Any) -> str:
    """A value without a unit in words."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return _FOUND_BY_ITSELF if value is None else str(value)


def _actions(entry: Entry) -> tuple[Row, ...]:
    try:
        lines = (entry.folder / ACTIONS).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ()
    rows = tuple(row for line in lines[:MOST_ACTIONS] for row in _action(line, CLOCKS[entry.clock]))
    more = len(lines) - MOST_ACTIONS
    return (*rows, ("", f"and {more} more, all in {ACTIONS} of the bundle")) if more > 0 else rows


def _action(line: str, clock: str) -> Iterator[Row]:
    """One action, and when on which clock; none where a crash tore the line."""
    try:
        action = json.loads(line)
        when, what, values = float(action.get(CG_TIME, action.get(TIME))), str(action["action"]), action.get("values") or {}
        details = ", ".join(f"{name} {value}" for name, value in values.items())
    except (ValueError, KeyError, TypeError, AttributeError):
        return
    yield f"{when:.3f} ps{clock}", f"{what.replace('_', ' ')}{': ' if details else ''}{details}"
