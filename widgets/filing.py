"""Filing: a file of the user's as the source of the molecule, and which one of several molecules in it.

Knows files and their records; reading and repairing them is the business of the core.
"""

import asyncio
import html
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import panel as pn
from param.parameterized import Event

from studio.errors import StructureError
from studio.io import contents
from studio.io.files import CIF_ENDINGS, PDB_ENDINGS, SMALL_ENDINGS, ending_of, known_ending
from studio.io.records import Record
from studio.system import FromFile, Source
from widgets.alerts import Guard
from widgets.sources import looks
from widgets.upload import Shelf, Upload, too_large

LISTED = 500
"""Records in the list at once; the filter finds the others."""
EMPTY = "Choose a file first: SDF, MOL2, PDB or mmCIF."
Build = Callable[[], Coroutine[Any, Any, None]]


class FileForm:
    """A file, and one of its molecules; a choice is built at once.

    Args:
        guard: Takes what goes wrong.
        build: Builds what the form says.
        allow: Is told the size of each uploaded file, MB, and may refuse.

    Attributes:
        path: The file that is chosen; none before.
        records: Its molecules, where it may hold several.
        index: Which of them.
    """

    def __init__(self, guard: Guard, build: Build, allow: Callable[[float], None] = lambda _megabytes: None) -> None:
        self._guard, self._build = guard, build
        self.shelf, self.name = Shelf(allow), ""
        self.path: Path | None = None
        self.records: tuple[Record, ...] = ()
        self.index: int | None = None
        self.upload = Upload(lambda name, data: guard.start(self.take(name, data)), self._refuse, looks()["stylesheets"])
        self.told = pn.pane.HTML("", **looks())
        self.filter = pn.widgets.TextInput(label="Find a molecule", description="Part of its name or of its SMILES.", visible=False, **looks())
        self.list = pn.widgets.Select(label="Molecules of the file", size=7, options={}, visible=False, **looks())
        self.before = self._step("Previous", -1)
        self.after = self._step("Next", 1)
        self._steps = pn.Row(self.before, self.after, visible=False, css_classes=["pair"], **looks())
        self.ligand = pn.widgets.TextInput(
            label="SMILES of the ligand in a PDB file", description="A PDB file has no bond orders; several are separated by dots.", **looks()
        )
        self.panel = pn.Column(self.upload.pane, self.told, self.filter, self.list, self._steps, self.ligand, css_classes=["stack"], **looks())
        self.filter.param.watch(guard.around(lambda _event: self._list()), "value_input")
        self.list.param.watch(guard.around(self._on_choice), "value")
        self._quiet = False

    async def take(self, name: str, data: bytes) -> None:
        """Keep an uploaded file and open it.

        Args:
            name: As the browser gave it.
            data: Its bytes.

        Raises:
            StructureError: Empty, too large, or not a file of molecules; the one before stays chosen.
        """
        await self.open(await self.shelf.keep(name, data))

    async def open(self, path: Path, index: int | None = None) -> None:
        """Choose a file; one molecule is built at once, of several one has to be chosen.

        Args:
            path: The file.
            index: Which molecule, counted from 0.

        Raises:
            StructureError: It cannot be understood; the one before stays chosen.
            StorageError: It cannot be read.
        """
        small = known_ending(path, SMALL_ENDINGS + PDB_ENDINGS + CIF_ENDINGS) in SMALL_ENDINGS
        records = await asyncio.to_thread(contents, path) if small else ()
        self.path, self.records, self.index, self.name = path, records, index, path.name
        self.ligand.visible = not small
        self.filter.param.update(value="", value_input="")
        self._list()
        if len(records) < 2 or index is not None:
            await self._build()

    async def choose(self, index: int) -> None:
        """Build another molecule of the file.

        Args:
            index: Counted from 0.

        Raises:
            StructureError: There is none, or it cannot be used; the one before stays chosen.
        """
        if not 0 <= index < len(self.records):
            raise StructureError(f"Expected a molecule from 1 to {len(self.records)} of the file, got {index + 1}.")
        if self.records[index].problem:
            self._show_choice()
            raise StructureError(f"Molecule {index + 1} of '{self.name}' cannot be used. {self.records[index].problem}")
        self.index = index
        self._show_choice()
        await self._build()

    def read(self) -> tuple[Source, str]:
        """The source, and what to call it.

        Raises:
            StructureError: No file, or none of its molecules was chosen.
        """
        if self.path is None:
            raise StructureError(EMPTY)
        if len(self.records) > 1 and self.index is None:
            raise StructureError(f"'{self.name}' holds {len(self.records)} molecules. Choose one of the list.")
        record = self.records[self.index] if self.index is not None and self.records else None
        source = FromFile(path=str(self.path), ligand_smiles=(self.ligand.value_input or "").strip() or None, index=self.index)
        return source, (record.title if record is not None else "") or self.name

    def show(self, source: FromFile) -> None:
        """Put a source into the form.

        Args:
            source: The source.
        """
        path = Path(source.path)
        if path != self.path:
            self.path, self.name, self.records = path, path.name, ()
            self.ligand.visible = ending_of(path.name) not in SMALL_ENDINGS
        self.index = source.index
        self.fill_ligand(source.ligand_smiles or "")
        self._list()

    def fill_ligand(self, smiles: str) -> None:
        """Put the bond orders of a ligand into the form.

        Args:
            smiles: Of one or several ligands, with dots between them.
        """
        self.ligand.param.update(value=smiles, value_input=smiles)

    @property
    def small(self) -> bool:
        """The file holds small molecules only."""
        return ending_of(self.name) in SMALL_ENDINGS

    def _list(self) -> None:
        """Show the file, and those of its molecules that the filter lets through."""
        many, wanted = len(self.records) > 1, (self.filter.value_input or "").strip().lower()
        fitting = [each for each in self.records if wanted in f"{each.title} {each.smiles}".lower()]
        self._quiet = True
        self.list.param.update(options={_label(each): each.index for each in fitting[:LISTED]}, value=None, visible=many)
        self._quiet = False
        self.filter.visible = self._steps.visible = many
        self._show_choice()
        more = f" \u00b7 {len(self.records)} molecules" if many else ""
        cut = f", the first {LISTED} of {len(fitting)} are listed" if len(fitting) > LISTED else ""
        self.told.object = f'<p class="hint file"><b>{html.escape(self.name)}</b>{more}{cut}</p>' if self.name else ""

    def _show_choice(self) -> None:
        self._quiet = True
        self.list.value = self.index if self.index in self.list.options.values() else None
        self._quiet = False
        self.before.disabled = self._neighbour(-1) is None
        self.after.disabled = self._neighbour(1) is None

    def _neighbour(self, step: int) -> int | None:
        """The next usable molecule in one direction."""
        start = -1 if self.index is None else self.index
        return next((each.index for each in self.records[::step] if (each.index - start) * step > 0 and not each.problem), None)

    def _step(self, words: str, step: int) -> pn.widgets.Button:
        button = pn.widgets.Button(label=words, description=f"{words} molecule of the file.", **{**looks(), "css_classes": ["quiet"]})
        button.on_click(self._guard.around(lambda _event: self._go(self._neighbour(step))))
        return button

    def _go(self, index: int | None) -> None:
        if index is not None:
            self._guard.start(self.choose(index))

    def _on_choice(self, event: Event) -> None:
        if not self._quiet and event.new is not None:
            self._go(event.new)

    def _refuse(self, name: str, megabytes: float) -> None:
        with self._guard:
            raise StructureError(too_large(name, megabytes))


def _label(record: Record) -> str:
    """One line of the list."""
    name = record.title or record.smiles or "without a name"
    tail = "cannot be used" if record.problem else f"{record.heavy_atoms} heavy atoms \u00b7 {record.charge:+d}".replace("+0", "0")
    return f"{record.index + 1}  {name} \u00b7 {tail}"
