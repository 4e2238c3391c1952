"""Entry: one kept run as a value - its number, its name, how it is - and what its folder knows of itself.

The folder's label (`run.json`) and what `studio.recorder` wrote there are enough to make an entry of the list again.
Knows files and recipes as data; must not know the library that lists them.
"""

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, cast

from studio.database import Row
from studio.errors import SettingsError, StorageError
from studio.files import write_whole
from studio.messages import State
from studio.recorder import CHECKPOINT, RECIPE, TRAJECTORY
from studio.replay import trajectory_of
from studio.result import PROVENANCE

LABEL, THUMBNAIL = "run.json", "thumbnail.png"
Stage = State | Literal["new", "interrupted", "missing", "waiting", "running", "done", "stopped"]
"""How a run is: in the worker's words while somebody holds it, in these otherwise; the last four are those of studies."""
LIVE: frozenset[str] = frozenset({"preparing", "paused", "playing", "lost", "waiting", "running"})
"""What only a run that somebody holds can be."""
WORDS: dict[str, str] = {
    "new": "not started yet",
    "preparing": "being prepared",
    "paused": "paused",
    "playing": "playing",
    "failed": "failed",
    "lost": "lost its worker, can be recovered",
    "closed": "closed, can be continued",
    "interrupted": "interrupted, can be continued",
    "missing": "its folder is gone",
    "waiting": "waits for another study",
    "running": "at work",
    "done": "done",
    "stopped": "stopped, can go on",
}
"""What each state is called on screen."""


@dataclass(frozen=True)
class Entry:
    """One kept run.

    Args:
        id: Number for people; never given twice.
        title: Name for people.
        folder: Where everything about it lies.
        created: When it was made.
        updated: When something last changed.
        status: How it is.
        recipe: What was asked for, JSON text.
        kind: Of the recipe.
        resolution: `nnp`, `nnp/mm`, `mm`, `beads`; empty for recipes without a view.
        potential: Name of the network or of the model of beads, or names of the potentials that a study asks; empty for `mm`.
        temperature: Of the thermostat, K.
        atoms: As simulated; 0 until known.
        frames: Recorded so far.
        time_ps: Simulated so far, ps; on the clock of the run, see `clock`.
        owner: Whose it is; empty where there is one user only.
        note: Text for people.
        deleted: When it went into the bin.
    """

    id: int
    title: str
    folder: Path
    created: datetime
    updated: datetime
    status: Stage
    recipe: str
    kind: str
    resolution: str
    potential: str
    temperature: float | None
    atoms: int
    frames: int
    time_ps: float
    owner: str
    note: str
    deleted: datetime | None

    @property
    def clock(self) -> str:
        """What its time is called: that of beads is not that of atoms."""
        return "CG time" if self.resolution == "beads" else "time"

    @property
    def recorded(self) -> bool:
        """Frames lie in its folder, even while it goes on and the list does not know how many."""
        try:
            return self.frames > 0 or (self.folder / TRAJECTORY).stat().st_size > 0
        except OSError:
            return False

    @property
    def thumbnail(self) -> Path | None:
        """Its picture, if there is one."""
        path = self.folder / THUMBNAIL
        return path if path.exists() else None

    @property
    def provenance(self) -> dict[str, str]:
        """Methods, versions, hashes, seeds; empty until there is something."""
        made = self._result().get("provenance")
        return {str(name): str(text) for name, text in made.items()} if isinstance(made, dict) else {}

    @property
    def notes(self) -> tuple[str, ...]:
        """What was done to the molecule, and warnings, one sentence each."""
        notes = self._result().get("notes")
        return tuple(map(str, notes)) if isinstance(notes, list) else ()

    @property
    def megabytes(self) -> float:
        """What it takes on disk."""
        return megabytes_of(self.folder)

    def _result(self) -> dict[str, Any]:
        return _json(self.folder / PROVENANCE)


def entry_of(row: Row, folder: Path) -> Entry:
    """The run that a row of the list is about.

    Args:
        row: Of the list.
        folder: Of the run.
    """
    deleted = None if row.deleted is None else _when(row.deleted)
    return Entry(
        row.id, row.title, folder, _when(row.created), _when(row.updated), cast(Stage, row.status), row.recipe, row.kind, row.resolution,
        row.potential, row.temperature, row.atoms, row.frames, row.time_ps, row.owner, row.note, deleted,
    )  # fmt: skip


def recipe_data(entry: Entry) -> dict[str, Any]:
    """What was asked for, as data.

    Args:
        entry: Of any version.

    Raises:
        SettingsError: It is damaged.
    """
    try:
        data = json.loads(entry.recipe)
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise SettingsError(f"The recipe of run {entry.id} is damaged. Its frames, if any, can still be looked at and exported.")
    return data


def described(data: dict[str, Any]) -> dict[str, Any]:
    """The columns that a recipe fills, whatever version it is of.

    Args:
        data: The recipe.
    """
    view = data.get("view")
    view = view if isinstance(view, dict) else {}
    resolution = str(view.get("resolution", ""))
    asked = data.get("potentials")
    network = ", ".join(map(str, asked)) if isinstance(asked, list) else str(view.get("potential", data.get("potential", "")))
    named = {"mm": "", "beads": _beads(view)}
    return {
        "recipe": json.dumps(data, indent=2),
        "kind": str(data.get("kind", "")),
        "resolution": resolution,
        "potential": named.get(resolution, network),
        "temperature": _number(data.get("temperature")),
    }


def _beads(view: dict[str, Any]) -> str:
    """What its model of beads is called; that of the view's default where nothing is said."""
    model = view.get("beads")
    model = model if isinstance(model, dict) else {}
    kind = str(model.get("kind", "go"))
    known = {"go": "G\u014d beads", "calvados": f"CALVADOS {model.get('version', 2)}", "martini": "Martini 3", "learned": f"learned {model.get('model', '')}"}
    return known.get(kind, kind).strip()


def write_label(entry: Entry) -> None:
    """Write what the folder must know of itself to be taken in again.

    Args:
        entry: As it is now.

    Raises:
        StorageError: No space or no permission.
    """
    label = {
        "title": entry.title,
        "owner": entry.owner,
        "note": entry.note,
        "created": entry.created.timestamp(),
        "deleted": entry.deleted.timestamp() if entry.deleted else None,
    }
    write_whole(entry.folder / LABEL, (json.dumps(label, indent=2) + "\n").encode())


def adopted(folder: Path) -> Row:
    """The row of a folder that the list does not know.

    Args:
        folder: With a label; its name is the number.
    """
    label, run, changed = _json(folder / LABEL), int(folder.name), folder.stat().st_mtime
    created, deleted = _number(label.get("created")), _number(label.get("deleted"))
    row = Row(
        id=run, title=str(label.get("title") or f"Run {run}"), owner=str(label.get("owner", "")), note=str(label.get("note", "")),
        created=created or changed, updated=changed, deleted=deleted,
    )  # fmt: skip
    begun: Stage = "interrupted" if (folder / CHECKPOINT).exists() else "done" if (folder / PROVENANCE).exists() else "new"
    for name, value in (described(_json(folder / RECIPE)) | found_in(folder, begun)).items():
        setattr(row, name, value)
    return row


def settled(entry: Entry) -> Stage:
    """How a run is that nobody holds.

    Args:
        entry: As it was last known.
    """
    begun = (entry.folder / CHECKPOINT).exists() or entry.status == "running"
    if entry.status in LIVE | {"missing"}:
        return "interrupted" if begun else "new"
    return "closed" if begun and entry.status == "new" else entry.status


def found_in(folder: Path, status: Stage) -> dict[str, Any]:
    """What a folder says about its run, as columns.

    Args:
        folder: Of the run.
        status: How the run is, as far as the list knows.
    """
    if not folder.is_dir():
        return {"status": "missing"}
    failed = status not in LIVE and _json(folder / PROVENANCE).get("failure")
    found: dict[str, Any] = {"status": "failed" if failed else status}
    try:
        trajectory = trajectory_of(folder)
    except StorageError:
        return found  # told when it is opened
    if trajectory is None:
        return found
    times = trajectory.times
    return found | {"atoms": trajectory.atoms, "frames": len(trajectory), "time_ps": round(float(times[-1]), 6) if len(times) else 0.0}


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _json(path: Path) -> dict[str, Any]:
    """What a file says; nothing, where it is missing or damaged."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def megabytes_of(folder: Path) -> float:
    """What a folder takes on disk.

    Args:
        folder: With whatever is in it.
    """
    total = 0
    for parent, _folders, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(parent) / name).lstat().st_size
            except OSError:
                continue  # removed meanwhile
    return total / 1e6


def _when(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
