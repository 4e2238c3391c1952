"""Plots: energies by component, temperature and what is measured of one to four runs, live, on one time axis.

Points are collected as frames come and sent a few times a second, the next only when the browser has taken the last, so that
drawing never holds up the molecule and a slow reader costs no memory. Knows runs' series; must not know who makes the frames.
"""

import csv
import html
import io
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import isnan
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import param
from panel.custom import JSComponent

from studio.errors import SettingsError
from studio.frame import Frame
from studio.timeseries import Mean
from studio.timeseries import Series as Values
from widgets.figures import DARK, LIGHT, Format, draw
from widgets.series import PANELS, Curve, Observable, Panel, Series, Summary, panels, summary

PATIENCE = 10.0
"""Seconds without an answer after which the browser is sent everything anew."""
MAX_RUNS = 4
"""Lines that the eye follows on one axis."""
STATIC = Path(__file__).parent / "static"
MIME = {"csv": "text/csv;charset=utf-8", "png": "image/png", "svg": "image/svg+xml"}
Undo = Callable[[], None]


class PlotsPane(JSComponent):
    """The part of the plots that lives in the page; its parameters are what `plots.js` watches."""

    panels = param.List(default=[], item_type=str, doc="Names of the panels that there are.")
    shown = param.List(default=["", ""], item_type=str, doc="Name of the panel in each place, from the left.")
    last = param.Number(default=0.0, bounds=(0.0, None), doc="Picoseconds that are shown, up to now; 0: the whole run.")
    marker = param.Number(default=None, allow_None=True, doc="Moment that is looked at elsewhere, ps.")
    clock = param.String(default="time", doc="What the axis is called: `time`, or `CG time` of beads, or steps where both are shown.")
    ink = param.Dict(default=asdict(DARK), doc="Colours.")

    _esm = STATIC / "plots.js"
    _stylesheets: ClassVar[list[str]] = [(STATIC / "plots.css").read_text(encoding="utf-8")]


@dataclass
class Sent:
    """What the browser has of a line."""

    state: tuple[object, ...] = ()
    until: float = float("-inf")


@dataclass
class Slot:
    """What the browser has of one place."""

    name: str = ""
    lines: list[Sent] = field(default_factory=list)


class Plots:
    """Panels side by side over the same picoseconds; which ones, the user chooses.

    Put `panel` into a layout, call `add` with each frame and `flush` a few times a second.

    Args:
        css: Stylesheets of the page's parts.
        slots: Panels seen at once.
    """

    def __init__(self, css: Sequence[str] = (), slots: int = 2) -> None:
        make: Callable[..., PlotsPane] = PlotsPane
        self.panel = make(shown=[""] * slots, sizing_mode="stretch_both", margin=0, stylesheets=list(css), min_height=120)
        self.panel.on_msg(lambda event: self._hear(event.data))
        self.panel.param.watch(lambda event: self._choose(event.new), "shown")
        self.panel.param.watch(lambda _event: self._touch(), "last")
        self.runs: dict[str, Series] = {"": Series()}
        self._listeners: list[Callable[[float], None]] = []
        self._ready, self._number, self._sent_at, self._dirty = False, 0, 0.0, True
        self._slots, self._wanted, self._offered = [Slot() for _ in range(slots)], [""] * slots, [""] * slots

    def __panel__(self) -> PlotsPane:
        return self.panel

    # -- what is plotted -----------------------------------------------------------------------------------------------

    def restart(self, components: tuple[str, ...] | None = None) -> None:
        """Another run: empty plots, nothing is measured.

        Args:
            components: Energies worth a line; all that the run has, when left out.
        """
        self._begin({"": Series(components=components)})

    def compare(self, labels: Mapping[str, str]) -> None:
        """Several runs on one axis, and how far the others are above the first: empty plots.

        Args:
            labels: What people call each run, by the name under which its frames come.

        Raises:
            SettingsError: None, or more than `MAX_RUNS`.
        """
        if not 1 <= len(labels) <= MAX_RUNS:
            raise SettingsError(f"Expected 1 to {MAX_RUNS} runs to compare, got {len(labels)}. Choose other runs.")
        self._begin({key: Series(label) for key, label in labels.items()})

    def resume(self, runs: dict[str, Series]) -> None:
        """Show again what was shown before others were compared.

        Args:
            runs: The lines, by run, as they were taken from `runs`.
        """
        self._begin(runs)

    def turn_to(self, observable: Observable) -> None:
        """Show what was measured last in the right-hand place.

        Args:
            observable: One that is measured.
        """
        self._wanted[-1] = f"{PANELS.get(observable.kind, 'Measured')}, {observable.unit}"
        self._touch()

    def prefer(self, observables: Sequence[Observable]) -> None:
        """Of several runs: show these first, from the left.

        Args:
            observables: That are measured; no more count than there are places.
        """
        for place, each in enumerate(observables[: len(self._wanted)]):
            self._wanted[place] = f"{each.label[0].upper()}{each.label[1:]}, {each.unit}"
        self._touch()

    def add(self, frame: Frame, run: str = "") -> None:
        """Take the newest frame of a run; one from the past removes the points after it.

        Args:
            frame: As it came.
            run: Name of the run, as given to `compare`; a frame of another run is late and ignored.
        """
        if run in self.runs:
            self.runs[run].add(frame)
            self._dirty = True

    def load(self, time: Values, temperature: Values, energies: Mapping[str, Values], run: str = "") -> None:
        """Take the energies of a recorded run, as from its table.

        Args:
            time: Times, ascending, ps.
            temperature: K.
            energies: By component, kJ/mol.
            run: Name of the run.
        """
        self.runs[run].load(time, temperature, energies)
        self._dirty = True

    def observe(self, observable: Observable, run: str | None = None) -> None:
        """Measure something in every sample from now on.

        Args:
            observable: What to measure; one of the same label takes its place.
            run: Name of the run; all of them when left out.

        Raises:
            SettingsError: Too many values are measured already.
        """
        for series in self.runs.values() if run is None else (self.runs[run],):
            series.observe(observable)
        self._dirty = True

    def forget(self, label: str) -> None:
        """No longer measure something.

        Args:
            label: Of the observable.
        """
        for series in self.runs.values():
            series.forget(label)
        self._dirty = True

    @property
    def observed(self) -> tuple[str, ...]:
        """Labels of what is measured."""
        return tuple(dict.fromkeys(label for series in self.runs.values() for label in series.observed))

    # -- looking at it -------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Send what came since the last time, unless the browser is still busy with that."""
        if self._dirty:
            self._forward()

    def paint(self, dark: bool) -> None:
        """Lines and letters for a dark or a light page.

        Args:
            dark: The ground is dark.
        """
        self.panel.ink = asdict(DARK if dark else LIGHT)

    def mark(self, time: float | None) -> None:
        """Show in all panels which moment is looked at.

        Args:
            time: The moment, ps; none: the present.
        """
        self.panel.marker = time

    def on_time(self, listener: Callable[[float], None]) -> Undo:
        """Hear which moment the user wants to see: a click or Enter at a point of a plot.

        Args:
            listener: Takes the time of the sample, ps.

        Returns:
            A function that takes the connection back.
        """
        self._listeners.append(listener)

        def undo() -> None:
            self._listeners[:] = [each for each in self._listeners if each is not listener]

        return undo

    # -- taking it home ------------------------------------------------------------------------------------------------

    def to_csv(self) -> str:
        """All samples that are kept as a table with units; energies as they are, not relative to the start."""
        columns = {name: quantity for series in self.runs.values() for name, quantity in series.quantities().items()}
        several, file = len(self.runs) > 1, io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            [
                *(["run"] if several else []),
                self.panel.clock if self.panel.clock.endswith("steps") else f"{self.panel.clock} (ps)",
                *(f"{each.label} ({each.unit})" for each in columns.values()),
            ]
        )
        for series in self.runs.values():
            lead = [series.label] if several else []
            writer.writerows(lead + ["" if isnan(each) else repr(each) for each in row] for row in series.table(columns))
        return file.getvalue()

    def figure(self, kind: Format = "png", dark: bool = False) -> bytes:
        """The panels that are seen, as a file.

        Args:
            kind: Of the file.
            dark: For a dark slide.
        """
        return draw(self._seen(), self._since, kind, DARK if dark else LIGHT, self.panel.clock)

    def summary(self) -> list[Summary]:
        """Means of everything with standard errors, and how far they are above those of the first run."""
        return summary(list(self.runs.values()))

    # -- the browser ---------------------------------------------------------------------------------------------------

    @property
    def _since(self) -> float:
        return self._end - self.panel.last if self.panel.last else float("-inf")

    @property
    def _start(self) -> float:
        starts = [float(series.samples.time[0]) for series in self.runs.values() if len(series.samples)]
        return max(min(starts, default=0.0), self._since)

    @property
    def _end(self) -> float:
        return max((series.samples.now for series in self.runs.values() if len(series.samples)), default=0.0)

    def _seen(self) -> list[Panel]:
        """The panel of each place: the chosen one, or another while the run does not have that; an empty one where there is none."""
        there = {panel.name: panel for panel in panels(list(self.runs.values()))}
        free = [panel for name, panel in there.items() if name not in self._wanted]
        spare = (*free, *there.values(), Panel("", "", ()))
        return [there.get(name) or spare[min(place, len(spare) - 1)] for place, name in enumerate(self._wanted)]

    def _begin(self, runs: dict[str, Series]) -> None:
        """Other lines: what the page has of those before is no part of them."""
        self.runs, self._dirty, self.panel.marker = runs, True, None
        self._slots = [Slot() for _ in self._slots]

    def _touch(self) -> None:
        self._dirty = True
        self._forward()

    def _choose(self, names: list[str]) -> None:
        if names != self._offered:
            self._wanted = list(names)
            self._touch()

    def _forward(self) -> None:
        now = time.monotonic()
        if not self._ready or (self._sent_at and now - self._sent_at < PATIENCE):
            return
        if self._sent_at:
            self._slots = [Slot() for _ in self._slots]  # lost on the way: everything anew
        seen = self._seen()
        self._offered = [panel.name for panel in seen]
        self.panel.param.update(panels=[panel.name for panel in panels(list(self.runs.values()))], shown=self._offered)
        slots = [self._news(slot, panel) for slot, panel in zip(self._slots, seen, strict=True)]
        self._number, self._sent_at, self._dirty = self._number + 1, now, False
        self.panel._send_msg({"number": self._number, "start": self._start, "end": self._end, "slots": slots})

    def _news(self, slot: Slot, panel: Panel) -> dict[str, Any]:
        if slot.name != panel.name or len(slot.lines) != len(panel.curves):
            slot.name, slot.lines = panel.name, [Sent() for _ in panel.curves]
        return {"period": panel.period, "curves": [self._line(sent, curve) for sent, curve in zip(slot.lines, panel.curves, strict=True)]}

    def _line(self, sent: Sent, curve: Curve) -> dict[str, Any]:
        times, values, step = curve.drawn(self._since)
        state = (*curve.state, step, self.panel.last)
        fresh = state != sent.state
        first = 0 if fresh else int(np.searchsorted(times, sent.until, side="right"))
        sent.state, sent.until = state, float(times[-1]) if len(times) else sent.until
        points = {"time": times[first:].astype("<f8").tobytes(), "values": values[first:].astype("<f8").tobytes()}
        return {"label": curve.label, "colour": curve.colour, "dash": curve.dash, "fresh": fresh, "now": curve.newest(), **points}

    def _hear(self, message: object) -> None:
        match message:
            case {"type": "ready"}:
                self._ready, self._sent_at, self._slots = True, 0.0, [Slot() for _ in self._slots]
                self._forward()
            case {"type": "ack", "number": self._number}:
                self._sent_at = 0.0
            case {"type": "time", "time": float() | int() as moment}:
                for listener in tuple(self._listeners):
                    listener(float(moment))
            case {"type": "save", "format": "csv" | "png" | "svg" as kind}:
                data = self.to_csv().encode() if kind == "csv" else self.figure(kind)
                self.panel._send_msg({"file": data, "name": f"potential-studio.{kind}", "mime": MIME[kind]})


def summary_table(rows: Sequence[Summary]) -> str:
    """Means with standard errors as HTML.

    Args:
        rows: As `Plots.summary` gives them.
    """
    cells = "".join(
        f"<tr><th>{html.escape(row.quantity)}</th><td>{html.escape(row.run)}</td><td>{_number(row.mean)}</td>"
        f"<td>{_number(row.above) if row.above else ''}</td><td>{html.escape(row.unit)}</td></tr>"
        for row in rows
    )
    head = "<tr><th></th><th>run</th><th>mean \u00b1 standard error</th><th>above the first</th><th></th></tr>"
    return f'<table class="numbers"><thead>{head}</thead><tbody>{cells}</tbody></table>'


def _number(mean: Mean) -> str:
    """A mean with as many digits as its error allows."""
    if not np.isfinite(mean.value):
        return "\u2013"
    known = np.isfinite(mean.error) and mean.error > 0
    digits = int(np.clip(1 - np.floor(np.log10(mean.error)), 0, 4)) if known else 2
    error = f" \u00b1 {mean.error:.{digits}f}" if known else ""
    return f"{mean.value:.{digits}f}{error}".replace("-", "\u2212")
