"""Reporting: what a result says, on the page - its answer and charts below, its molecule in the 3D view; and back to the run.

Choosing an item of a chart does what its target says. A study at work is drawn as far as it is, and anew when it has found more.
Knows reports and the viewer; must not know which study a report is of, and computes nothing.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import panel as pn
import param
from panel.custom import JSComponent

from studio import plugins
from studio.errors import SettingsError, StorageError, UnsupportedError
from studio.frame import Frame
from studio.recipes.base import load_recipe
from studio.recipes.dynamics import Dynamics
from studio.recorder import RECIPE
from studio.replay import Replay
from studio.report import Report, Shape
from studio.result import Result
from studio.settings import validated
from studio.structure import Structure
from studio.system import System
from widgets.builder import INTERVAL, STEPS, first_view
from widgets.desk import Desk, Part
from widgets.found import Found, in_folder, in_library, told
from widgets.inquiries import inquiries
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
SO_FAR = "so far"
"""Beside what is not finished."""


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
        self._found: Found | None = None
        self._frame: Frame | None = None
        self._reading = False
        self.pane.on_msg(lambda event: self._hear(event.data))
        watch, around = self.store.param.watch, self.guard.around
        watch(around(lambda event: self._follow(event.new)), "study")
        for name in ("run", "compared", "player"):
            watch(around(lambda event: self.leave() if event.new else None), name)
        self.desk.on_paint(self._light)
        self.desk.each_tick(self.refresh)

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
        self._recording, self._found, self._frame = recording, None, None
        self._serial += 1
        self._lay_out(report)
        self._write(title, "")
        self._tell()

    def follow(self, found: Found) -> None:
        """Show what the folder of a study says, and whatever it says from now on.

        Args:
            found: What it says now.
        """
        self.open(found.report, found.title, found.recording)
        self._found = found
        self._write(found.title, SO_FAR if found.unfinished else "")

    def renew(self, found: Found) -> None:
        """The same study has found more: what is chosen, shown, sorted and scrolled to stays.

        Args:
            found: What its folder says now.
        """
        before, self._found = self.report, found
        if before is None or not _alike(before, found.report):
            self._lay_out(found.report)
        else:
            self.report = found.report
            self._shapes = {shape.name: shape for shape in _given(found.report)}
            self._place()
            self._colour()
        self._write(found.title, SO_FAR if found.unfinished else "")
        self._tell()

    def refresh(self) -> None:
        """See whether the study that is shown has found more, and show how its molecule moves."""
        found = self._found
        if self.report is None or found is None:
            return
        if found.unfinished:
            self._show_work()
        if not self._reading and found.old:
            self._reading = True
            self.guard.start(self._renew(found))

    def leave(self) -> None:
        """Back to the run, as it was seen before; it has gone on."""
        if self.report is None:
            return
        self.report = self._found = None
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
            found = await asyncio.to_thread(in_library, self.store.library, number)
        finally:
            if found is None and self.store.study == number:
                self.store.study = 0
        if found is not None and self.store.study == number:
            self.follow(found)

    async def _renew(self, old: Found) -> None:
        try:
            found = await asyncio.to_thread(in_folder, old.recipe, old.folder, old.title)
        except StorageError:  # it is being written, or was taken away: what is shown stays
            found = None
        finally:
            self._reading = False
        if found is not None and self._found is old:
            self.renew(found)

    def _show_work(self) -> None:
        """The newest frame of a study at work, where the view shows the molecule once."""
        jobs = inquiries.of(self.store.library, self.store.owner)
        frame = next((job.frame for job in jobs if job.number == self.store.study), None)
        if frame is not None and frame is not self._frame and len(self.shown) == 1:
            self._frame = frame
            self.desk.viewer.send(frame)

    def _lay_out(self, report: Report) -> None:
        """The report's molecule in the 3D view, nothing chosen."""
        molecule, given = report.molecule, _given(report)
        self.report, self.chosen, self._chosen_at, self._paint = report, NOTHING, (0, ()), 0 if report.painted else -1
        self._shapes, self._tones = {shape.name: shape for shape in given}, {}
        self.shown = tuple(shape.name for shape in given if shape.shown)[:MOST_CELLS] or tuple(self._shapes)[:1]
        self._take_view(molecule is not None)
        self._stage(keep=False)

    def _write(self, title: str, mark: str) -> None:
        """Answer and charts."""
        if self.report is None:
            return
        back = "" if self.store.run is None else "Back to the run"
        self.pane.param.update(report={"serial": self._serial, "title": title, "mark": mark, **plain(self.report)}, back=back, visible=True)
        self.panel.visible = True

    def _place(self) -> None:
        """The shapes that are shown, where they are now; what moves by itself is not disturbed."""
        if self._frame is None:
            for cell, name in enumerate(self.shown):
                self.desk.viewer.send(Frame(0, 0.0, self._shapes[name].positions.astype(np.float32)), cell)

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
        what: A report; a result; or the folder of a study, as the command line or the app left it, or is filling it now.
        molecule: That a result is about, where it was not kept in a folder.

    Raises:
        StudioError: There is no result in the folder, or it cannot be read.
    """
    if isinstance(what, Path | str):
        return _followed(Path(what))
    if isinstance(what, Result):
        report = told(validated(plugins.load("studio.recipes", str(what.recipe.get("kind"))), dict(what.recipe)), what, molecule)
    else:
        report = what
    part = Reporting()
    part.open(report)
    return part


def _followed(folder: Path) -> Reporting:
    found = in_folder(load_recipe(folder / RECIPE), folder)
    if found is None:
        raise StorageError(f"There is no result in {folder} yet. Run its recipe, or wait until it has found something.")
    part = Reporting()
    part.follow(found)
    return part


def _given(report: Report) -> tuple[Shape, ...]:
    """The shapes of a report; its molecule where it names none."""
    molecule = report.molecule
    return report.shapes or ((Shape(ONLY, molecule.positions, shown=True),) if molecule is not None else ())


def _alike(one: Report, other: Report) -> bool:
    """Two reports show the same molecule in shapes of the same names, and colours that tell the same."""
    names = [[shape.name for shape in _given(report)] for report in (one, other)]
    sizes = [len(report.molecule) if report.molecule is not None else 0 for report in (one, other)]
    paints = [[painted.name for painted in report.painted] for report in (one, other)]
    return names[0] == names[1] and sizes[0] == sizes[1] and paints[0] == paints[1]
