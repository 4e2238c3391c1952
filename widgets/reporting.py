"""Reporting: what a result says, on the page - its answer and charts below, its molecule in the 3D view; and back to the run.

Choosing an item of a chart does what its target says. Knows reports and the viewer; must not know which study a report is of, and
computes nothing.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import panel as pn
import param
from panel.custom import JSComponent

from studio import plugins
from studio.entry import Entry
from studio.errors import SettingsError, UnsupportedError
from studio.frame import Frame
from studio.io import store as structures
from studio.library import Library
from studio.recipes.base import Recipe, load_recipe
from studio.recipes.dynamics import Dynamics
from studio.recorder import RECIPE, STRUCTURE
from studio.replay import Replay
from studio.report import Report, Shape
from studio.result import PROVENANCE, Result
from studio.settings import validated
from studio.structure import Structure
from studio.system import System
from widgets.builder import INTERVAL, STEPS, first_view
from widgets.desk import Desk, Part
from widgets.report_data import NOTHING, colours_of, ink_of, plain, range_of, scale_of, target_of, words_of
from widgets.viewer import MOST_CELLS

STATIC = Path(__file__).parent / "static"
PARTS = ("chart_base", "chart_kinds", "chart_table", "report")
"""The files that make the page's module, in this order."""
FULL = f"{MOST_CELLS} shapes lie over each other at most: take one away first."
NEUTRAL = "#93a4b8"
"""Beside the shape whose colours tell values: its carbon."""
ONLY = "As it was given"
"""Name of the only shape of a report that names none."""


def _module() -> str:
    return "\n".join((STATIC / f"{part}.js").read_text(encoding="utf-8") for part in PARTS)


class ReportPane(JSComponent):
    """The part of a report that lives in the page; its parameters are what `report.js` reads."""

    report = param.Dict(default={}, doc="Answer, warnings and charts; see `widgets.report_data.plain`.")
    side = param.Dict(default={}, doc="What the 3D view shows of it.")
    ink = param.Dict(default={}, doc="Colours of charts.")
    back = param.String(default="", doc="What the way back says; no way back where empty.")
    tall = param.Boolean(default=False, doc="It has more room than the 3D view.")

    _esm = _module()
    _stylesheets: ClassVar[list[str]] = [(STATIC / "report.css").read_text(encoding="utf-8")]


class Reporting(Part):
    """A report on the page. In a notebook: `reporting.open(recipe.report(result))`, `reporting.choose(0, [2])`, `reporting.leave()`.

    Args:
        desk: Shared with other parts; one of its own when left out.

    Attributes:
        panel: Answer and charts: to stand under the 3D view.
        report: What is shown; none while nothing is.
        shown: Names of the shapes that lie over each other in the 3D view.
        chosen: What the item that was chosen last stands for.
    """

    def __init__(self, desk: Desk | None = None) -> None:
        super().__init__(desk)
        make: Callable[..., ReportPane] = ReportPane
        self.pane: ReportPane = make(ink=ink_of(self.desk.dark), margin=0, sizing_mode="stretch_both", min_height=260, visible=False)
        self.panel = self._whole = pn.Column(self.pane, margin=0, sizing_mode="stretch_both", visible=False)
        self.report: Report | None = None
        self.shown: tuple[str, ...] = ()
        self.chosen = NOTHING
        self._chosen_at: tuple[int, tuple[int, ...]] = (0, ())
        self._shapes: dict[str, Shape] = {}
        self._tones: dict[str, int] = {}
        self._paint = -1
        self._serial = self._beat = 0
        self._recording: Path | None = None
        self.pane.on_msg(lambda event: self._hear(event.data))
        watch, around = self.store.param.watch, self.guard.around
        watch(around(lambda event: self._follow(event.new)), "study")
        for name in ("run", "compared", "player"):
            watch(around(lambda event: self.leave() if event.new else None), name)
        self.desk.on_paint(self._light)

    def __panel__(self) -> pn.viewable.Viewable:
        """The report by itself, as a notebook shows it: with its molecule above the charts."""
        self._whole[:] = [self.desk.viewer.pane, self.pane] if self.store.reported else [self.pane]
        self.desk.viewer.pane.height, self.pane.height = 330, 400
        return super().__panel__()

    # -- what is shown -------------------------------------------------------------------------------------------------

    def open(self, report: Report, title: str = "", recording: Path | None = None) -> None:
        """Show a report on the page; the 3D view turns to its molecule, and the run goes on behind.

        Args:
            report: What people see of a result.
            title: What it is called.
            recording: Folder of the run that was analysed, where its targets name frames.
        """
        self.store.compared = ()
        molecule = report.molecule
        self.report, self._recording = report, recording
        self.chosen, self._chosen_at, self._paint = NOTHING, (0, ()), 0 if report.painted else -1
        given = report.shapes or ((Shape(ONLY, molecule.positions, shown=True),) if molecule is not None else ())
        self._shapes, self._tones = {shape.name: shape for shape in given}, {}
        self.shown = tuple(shape.name for shape in given if shape.shown)[:MOST_CELLS] or tuple(self._shapes)[:1]
        self._serial += 1
        self.pane.param.update(
            report={"serial": self._serial, "title": title, **plain(report)}, back="" if self.store.run is None else "Back to the run", visible=True
        )  # fmt: skip
        self.panel.visible = True
        self._take_view(molecule is not None)
        self._stage(keep=False)
        self._tell()

    def leave(self) -> None:
        """Back to the run, as it was seen before; it has gone on."""
        if self.report is None:
            return
        self.report = None
        self.panel.visible = False
        self.store.study = 0
        self._take_view(False)

    # -- what can be done with it ----------------------------------------------------------------------------------------

    def choose(self, chart: int, place: list[int]) -> None:
        """Show what an item of a chart stands for: its atoms glow, its shape or frame is shown; what can be opened waits for `open_chosen`.

        Args:
            chart: Which chart, counted from 0.
            place: Row or label, or curve and point, or series and point.
        """
        report = self.report
        if report is None or not 0 <= chart < len(report.charts):
            return
        self.chosen, self._chosen_at = target_of(report.charts[chart], place), (chart, tuple(place))
        if self.chosen.shape in self._shapes and self.chosen.shape not in self.shown:
            self._lay((*self.shown[: MOST_CELLS - 1], self.chosen.shape))
        if self.chosen.frame is not None:
            self.guard.start(self._show_frame(self.chosen.frame))
        self._glow()
        self._tell()

    def lay(self, name: str, over: bool) -> None:
        """Lay a shape over the others, or take it away; the last one stays.

        Args:
            name: Of the shape.
            over: It is shown.

        Raises:
            SettingsError: There is no such shape, or no room for another.
        """
        if name not in self._shapes:
            raise SettingsError(f"There is no shape '{name}'. Expected one of {', '.join(self._shapes)}.")
        left = tuple(each for each in self.shown if each != name)
        if over and len(left) >= MOST_CELLS:
            raise SettingsError(FULL)
        self._lay((*left, name) if over else left or (name,))
        self._glow()
        self._tell()

    def paint(self, index: int) -> None:
        """Colour the molecule in another way.

        Args:
            index: Which one of the report's ways, counted from 0; -1 for the elements.
        """
        if self.report is not None and -1 <= index < len(self.report.painted):
            self._paint = index
            self._colour()
            self._tell()

    async def open_chosen(self) -> None:
        """Open the system that the chosen item stands for, as a run of its own.

        Raises:
            StudioError: It cannot be read or prepared.
        """
        if not self.chosen.system:
            return
        try:
            system = System.model_validate_json(self.chosen.system)
        except ValueError as problem:
            raise SettingsError("This molecule cannot be opened: its settings are damaged, or of a newer version.") from problem
        view = first_view(system, self.store.recipe)
        settings = {"system": system, "view": view, "temperature": self.store.temperature, "steps": STEPS, "interval": INTERVAL}
        await self.store.open(validated(Dynamics, settings), self._name_of_chosen())

    # -- inside --------------------------------------------------------------------------------------------------------

    def _follow(self, number: int) -> None:
        if number:
            self.guard.start(self._open(number))
        else:
            self.leave()

    async def _open(self, number: int) -> None:
        """Show what a study of the library found; whoever can go on with it says so where it found nothing yet."""
        found = None
        try:
            found = await asyncio.to_thread(read_report, self.store.library, number)
        finally:
            if found is None and self.store.study == number:
                self.store.study = 0
        if found is not None and self.store.study == number:
            entry, report, recording = found
            self.open(report, f"{entry.id}  {entry.title}", recording)

    def _take_view(self, taken: bool) -> None:
        """Take the 3D view, or give it back."""
        if not taken and self.store.reported:
            self.desk.viewer.pane.param.update(overlay=False, paint={})
        self.store.reported = taken

    def _lay(self, names: tuple[str, ...]) -> None:
        self.shown = tuple(name for name in self._shapes if name in names)
        self._stage(keep=True)

    def _stage(self, keep: bool) -> None:
        """The shapes that are wished, over each other in the 3D view."""
        molecule = self.report.molecule if self.report is not None else None
        if molecule is None:
            return
        self._tones = {name: tone for name, tone in self._tones.items() if name in self.shown}
        for name in [name for name in self.shown if name not in self._tones]:
            self._tones[name] = min(set(range(MOST_CELLS)) - set(self._tones.values()))
        cells = [(molecule.with_positions(self._shapes[name].positions), (), "") for name in self.shown]
        self.desk.viewer.pane.overlay = len(cells) > 1
        self.desk.viewer.show_many(cells, keep_camera=keep, tones=[self._tones[name] for name in self.shown])
        self._colour()

    def _colour(self) -> None:
        painted = self.report.painted if self.report is not None else ()
        self.desk.viewer.pane.paint = colours_of(painted[self._paint], self.desk.dark) if 0 <= self._paint < len(painted) else {}

    def _glow(self) -> None:
        if self.store.reported:
            self.desk.viewer.pane.highlight = [int(atom) for atom in self.chosen.atoms]

    async def _show_frame(self, index: int) -> None:
        """The atoms as they were in a frame of the recording that was analysed."""
        molecule = self.report.molecule if self.report is not None else None
        if self._recording is None or molecule is None:
            return
        frame: Frame = await asyncio.to_thread(lambda folder: Replay(folder).frame(index), self._recording)
        if self.report is None or len(frame.positions) != len(molecule):
            raise UnsupportedError(
                f"Frame {index + 1} cannot be shown here: the report is about {len(molecule)} of the {len(frame.positions)} atoms of the run."
            )
        self.desk.viewer.send(frame)

    def _light(self, dark: bool) -> None:
        self.pane.ink = ink_of(dark)
        self._colour()
        self._tell()

    def _name_of_chosen(self) -> str:
        chart, place = self._chosen_at
        return words_of(self.report.charts[chart], place) if self.report is not None and self.chosen != NOTHING else ""

    def _tell(self) -> None:
        """What stands beside the charts."""
        if self.report is None:
            return
        colours, full = ink_of(self.desk.dark)["colours"], len(self.shown) >= MOST_CELLS
        painted_one = self.shown[0] if self._paint >= 0 else ""
        shapes = [
            {
                "name": name,
                "on": name in self.shown,
                "colour": NEUTRAL if name == painted_one else colours[self._tones.get(name, 0)],
                "off": FULL if full else "",
            }
            for name in self._shapes
        ]
        self._beat += 1
        side: dict[str, Any] = {"shapes": shapes, "paints": [each.name for each in self.report.painted], "paint": self._paint, "beat": self._beat}
        if 0 <= self._paint < len(self.report.painted):
            painted = self.report.painted[self._paint]
            low, high = range_of(painted)
            side |= {"scale": list(scale_of(painted, self.desk.dark)), "low": low, "high": high}
        if self.chosen != NOTHING:
            chart, place = self._chosen_at
            side["chosen"] = {"words": self._name_of_chosen(), "opens": bool(self.chosen.system), "chart": chart, "place": list(place)}
        self.pane.side = side

    def _hear(self, message: object) -> None:
        with self.guard:
            match message:
                case {"type": "choose", "chart": int(chart), "place": list(place)} if all(isinstance(each, int) and each >= 0 for each in place):
                    self.choose(chart, place)
                case {"type": "shape", "name": str(name), "on": bool(on)}:
                    self.lay(name, on)
                case {"type": "paint", "index": int(index)}:
                    self.paint(index)
                case {"type": "open"}:
                    self.guard.start(self.open_chosen())
                case {"type": "size", "tall": bool(tall)}:
                    self.pane.tall = tall
                case {"type": "leave"}:
                    self.leave()


def show_report(what: Report | Result | Path | str, molecule: Structure | None = None) -> Reporting:
    """A report in a notebook: charts, and the molecule with its shapes and colours.

    Args:
        what: A report; a result; or the folder of a study, as the command line or the app left it.
        molecule: That a result is about, where it was not kept in a folder.

    Raises:
        StudioError: There is no result in the folder, or it cannot be read.
    """
    if isinstance(what, Path | str):
        folder = Path(what)
        report = report_of(load_recipe(folder / RECIPE), folder)
    elif isinstance(what, Result):
        report = told(validated(plugins.load("studio.recipes", str(what.recipe.get("kind"))), dict(what.recipe)), what, molecule)
    else:
        report = what
    part = Reporting()
    part.open(report)
    return part


def read_report(library: Library, number: int) -> tuple[Entry, Report, Path | None] | None:
    """The report of a study in the library, with the folder of the recording that it is about; none before there is a result.

    Reads files, so call it in a thread.

    Args:
        library: Where it is kept.
        number: Of its entry.

    Raises:
        StudioError: There is no such study, or it cannot be read.
    """
    entry, recipe = library.get(number), library.recipe_of(number)
    if not (entry.folder / PROVENANCE).exists():
        return None
    return entry, report_of(recipe, entry.folder), Path(recipe.recording) if getattr(recipe, "recording", "") else None


def report_of(recipe: Recipe, folder: Path) -> Report:
    """What a folder says about a recipe: its report, or why there is no answer.

    Args:
        recipe: What was asked.
        folder: With the result.

    Raises:
        StudioError: The result cannot be read.
    """
    molecule = structures.load(folder / STRUCTURE) if (folder / STRUCTURE).exists() else None
    return told(recipe, Result.kept(folder), molecule)


def told(recipe: Recipe, result: Result, molecule: Structure | None) -> Report:
    """The report of a result, or why there is no answer.

    Args:
        recipe: What was asked.
        result: What came of it.
        molecule: That it is about, where it is known.
    """
    if result.failure is not None:
        return Report(result.failure.message, warnings=result.notes)
    return recipe.report(result, molecule)
