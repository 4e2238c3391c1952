"""Subjects: what a study can be about now - the molecule that is open, a series of ligands, a recorded run - and why not.

Knows the store and the bundled series; must not know what is studied.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studio.entry import Entry
from studio.errors import StructureError, StudioError
from studio.io import contents
from studio.io.files import CIF_ENDINGS, PDB_ENDINGS, SMALL_ENDINGS, ending_of
from studio.io.targets import TARGETS
from studio.questions import offer_of
from studio.system import FromExample, FromFile, FromTarget, Source
from widgets.listing import seen
from widgets.store import Store

NOTHING_OPEN = "Open a molecule first, under System: the study is about the one that is on screen."
NOTHING_RECORDED = "Nothing is recorded yet. Let a run play for a while first: the study looks back at what it recorded."
NO_SERIES = "Give a file with several posed ligands: SDF or MOL2."
TARGET, FILE = "target:", "file:"
STRUCTURES, TABLES = (*PDB_ENDINGS, *CIF_ENDINGS), (".csv",)
"""Endings of files with a protein, and with numbers."""


@dataclass(frozen=True)
class Choice:
    """Something that a study can be about.

    Args:
        value: By which it is chosen.
        title: For people.
    """

    value: str
    title: str


class Subjects:
    """What a study is about.

    Args:
        store: What is open.

    Attributes:
        chosen: Which choice is taken; empty where there is none to take.
        off: Why nothing can be asked now; empty where it can.
        choices: What there is to choose from; none for the molecule that is open.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.kind, self.chosen, self.off = "system", "", NOTHING_OPEN
        self.choices: tuple[Choice, ...] = ()
        self._files: dict[str, Path] = {}
        self._others: list[Path] = []
        self._wished: dict[str, str] = {}

    @property
    def title(self) -> str:
        """What it is about, for people."""
        if self.kind == "system":
            return str(self.store.title) or "molecule"
        return next((choice.title for choice in self.choices if choice.value == self.chosen), "")

    def turn(self, kind: str) -> None:
        """Say what there is of one kind.

        Args:
            kind: `system`, `series` or `recording`.
        """
        self.kind = kind
        self.choices = {"series": self._series, "recording": self.recordings}.get(kind, tuple)()
        values = [choice.value for choice in self.choices]
        wished = self._wished.get(kind, "")
        self.chosen = wished if wished in values else next(iter(values), "")
        if kind == "system":
            self.off = "" if self.store.home is not None else NOTHING_OPEN
        else:
            self.off = "" if values else {"series": NO_SERIES, "recording": NOTHING_RECORDED}[kind]

    def choose(self, value: str) -> None:
        """Take one of the choices.

        Args:
            value: Of the choice; one that there is not is ignored.
        """
        if value in {choice.value for choice in self.choices}:
            self._wished[self.kind] = self.chosen = value

    def add_file(self, path: Path) -> None:
        """Offer a file: with ligands, which are then chosen, with a protein, or with numbers. Reads ligands, so that wrong ones are refused at once.

        Args:
            path: The file.

        Raises:
            StudioError: It holds no molecules, or is none of these.
        """
        ending = ending_of(path.name)
        if ending in SMALL_ENDINGS:
            contents(path)
            self._files[f"{FILE}{path}"] = path
            self._wished["series"] = f"{FILE}{path}"
        elif ending in (*STRUCTURES, *TABLES):
            self._others.append(path)
        else:
            raise StructureError(f"'{path.name}' is of no use here. Expected {', '.join((*SMALL_ENDINGS, *STRUCTURES, *TABLES))}.")

    def data(self) -> dict[str, Any]:
        """The settings that say what it is about."""
        if self.kind == "system":
            return {"system": self.store.home.system.model_dump(mode="json")} if self.store.home is not None else {}
        if self.kind == "recording":
            return {"recording": self.chosen}
        if self.chosen.startswith(TARGET):
            return {"source": {"kind": "target", "target": self.chosen.removeprefix(TARGET)}}
        return {"source": {"kind": "records", "path": self.chosen.removeprefix(FILE)}}

    def recordings(self) -> tuple[Choice, ...]:
        """Recorded runs, the present one first."""
        entries = [entry for entry in self.store.library.entries(self.store.owner) if entry.frames and entry.kind == "dynamics"]
        present = self.store.entry
        if present is not None and present.id not in {entry.id for entry in entries}:
            entries.insert(0, present)
        entries.sort(key=lambda entry: present is None or entry.id != present.id)
        return tuple(Choice(str(entry.folder), _titled(entry)) for entry in entries)

    def given(self, kind: str) -> tuple[Choice, ...]:
        """What can be chosen for a question about the user's own: runs, results, and files that were given.

        Args:
            kind: Of the question: `recording`, `result`, `structure` or `table`.
        """
        endings = {"structure": STRUCTURES, "table": TABLES, "result": TABLES}.get(kind, ())
        files = tuple(Choice(str(path), path.name) for path in self._others if ending_of(path.name) in endings)
        return (*files, *({"recording": self.recordings, "result": self._results}.get(kind, tuple)()))

    def _results(self) -> tuple[Choice, ...]:
        """Studies of series that are done."""
        done = [entry for entry in self.store.library.entries(self.store.owner) if entry.status == "done"]
        about = {kind: offer_of(kind) for kind in {entry.kind for entry in done}}
        kinds = {kind for kind, offer in about.items() if offer is not None and offer.study.subject == "series"}
        return tuple(Choice(str(entry.folder), f"{entry.id}  {entry.title}") for entry in done if entry.kind in kinds)

    def _series(self) -> tuple[Choice, ...]:
        """Files that were given, the one that is open, and the bundled series, that of the present target first."""
        files = [Choice(value, path.name) for value, path in self._files.items()]
        source = self.store.home.system.source if self.store.home is not None else None
        if isinstance(source, FromFile) and ending_of(Path(source.path).name) in SMALL_ENDINGS and f"{FILE}{source.path}" not in self._files:
            files.append(Choice(f"{FILE}{source.path}", Path(source.path).name))
        present = _target_of(source)
        names = sorted(TARGETS, key=lambda name: (name != present, TARGETS[name].title))
        return (*files, *(Choice(f"{TARGET}{name}", _counted(name)) for name in names))


def _target_of(source: Source | None) -> str:
    """The bundled target that a source belongs to; empty for none."""
    match source:
        case FromTarget(target=name):
            return name
        case FromExample(name=name):
            return name.split("-")[0]
    return ""


def _counted(name: str) -> str:
    try:
        return f"{TARGETS[name].title}, all {len(TARGETS[name].ligands)} ligands"
    except StudioError:
        return TARGETS[name].title


def _titled(entry: Entry) -> str:
    frames = f", {entry.frames} frame{'s' * (entry.frames != 1)}" if entry.frames else ""
    return f"{entry.id}  {entry.title}, {seen(entry)}{frames}"
