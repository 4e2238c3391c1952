"""Plots: energy by component and temperature of the run, live, on one time axis.

Points are collected as frames come and sent a few times a second, so that drawing never holds up the molecule. Knows
frames; must not know who makes them.
"""

from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import panel as pn
from bokeh.models import ColumnDataSource, CustomJSTickFormatter, HoverTool, Range1d
from bokeh.models.tickers import BasicTicker
from bokeh.plotting import figure

from studio.frame import Frame
from studio.units import KJ_PER_KCAL

FONT = "system-ui, sans-serif"
ROLLOVER = 2000
"""Points kept: some minutes of watching."""
NAMES = {"potential": "potential", "network": "network", "mm": "MM"}
"""Components that have a line, and what people call them."""
COLOURS = {"potential": "#e69f00", "network": "#009e73", "mm": "#56b4e9"}
"""Okabe and Ito's palette, told apart by colour-blind eyes, on light and dark ground."""
TEMPERATURE_COLOUR = "#d55e00"
COLUMNS = ("time", "temperature", *NAMES)


@dataclass(frozen=True)
class Ink:
    """Colours of everything in a plot that is not data."""

    text: str
    line: str


LIGHT, DARK = Ink("#475569", "#dbe2ea"), Ink("#9fb0c3", "#232d3a")


@dataclass
class Series:
    """From frames to points: what changed since the last look, relative to the first."""

    origin: dict[str, float] = field(default_factory=dict)
    last: tuple[float, float] = (-1.0, float("nan"))
    points: list[tuple[float, ...]] = field(default_factory=list)
    stale: bool = False

    def add(self, frame: Frame) -> None:
        """Take a frame; one that carries the energies of the frame before adds no point, one from the past begins anew.

        Args:
            frame: The newest.
        """
        potential = frame.energies.get("potential", 0.0)
        if frame.time < self.last[0]:
            self.restart()
        if potential == self.last[1]:
            return
        self.last = (frame.time, potential)
        self.origin = self.origin or dict(frame.energies)
        relative = [(frame.energies[name] - self.origin[name]) / KJ_PER_KCAL if name in frame.energies else float("nan") for name in NAMES]
        self.points.append((frame.time, frame.temperature, *relative))

    def restart(self) -> None:
        """Forget everything: the next frame is the first."""
        self.origin, self.last, self.points, self.stale = {}, (-1.0, float("nan")), [], True

    def take(self) -> dict[str, Any]:
        """The points since the last call, by column."""
        points, self.points, self.stale = self.points, [], False
        return {name: [point[index] for point in points] for index, name in enumerate(COLUMNS)}


class Plots:
    """Two plots side by side over the same picoseconds.

    Args:
        css: Stylesheets of the panes.
    """

    def __init__(self, css: list[str]) -> None:
        self.series = Series()
        self._components: tuple[str, ...] = tuple(NAMES)
        self._shown: tuple[str, ...] = ("",)
        self.source = ColumnDataSource({name: [] for name in COLUMNS}, name="samples")
        self._time = Range1d(start=0.0, end=1.0)
        self._ranges = {"energy": Range1d(start=-1.0, end=1.0), "temperature": Range1d(start=200.0, end=400.0)}
        self.energy, self.temperature = (self._figure(self._ranges[name], ticks) for name, ticks in (("energy", 6), ("temperature", 4)))
        self._lines = {name: self._line(self.energy, name, COLOURS[name]) for name in NAMES}
        self._line(self.temperature, "temperature", TEMPERATURE_COLOUR)
        looks: dict[str, Any] = {"stylesheets": css, "margin": 0}
        self._legend = pn.pane.HTML("", **looks)
        panes = (pn.pane.Bokeh(plot, sizing_mode="stretch_both", **looks) for plot in (self.energy, self.temperature))
        heads = (self._legend, pn.pane.HTML(_legend("Temperature, K", {}), **looks))
        self.panel = pn.Row(*heads, *panes, css_classes=["plots"], sizing_mode="stretch_both", **looks)
        self.show_components(())
        self.paint(dark=True)

    def add(self, frame: Frame) -> None:
        """Take the newest frame.

        Args:
            frame: Newer than the one before.
        """
        self.series.add(frame)

    def restart(self, components: tuple[str, ...] = tuple(NAMES)) -> None:
        """Another run: empty plots.

        Args:
            components: Those worth a line; the run need not have them all.
        """
        self._components = components
        self.series.restart()

    def flush(self) -> None:
        """Send what came since the last time."""
        if self.series.stale:
            self.source.data = {name: [] for name in COLUMNS}
        points = self.series.take()
        if points["time"]:
            self.show_components(tuple(name for name in self._components if name in self.series.origin))
            self.source.stream(points, rollover=ROLLOVER)
            self._fit()

    def show_components(self, names: tuple[str, ...]) -> None:
        """Lines and legend for the components that this run has.

        Args:
            names: Their names.
        """
        if names == self._shown:
            return
        self._shown = names
        for name, line in self._lines.items():
            line.visible = name in names
        self._legend.object = _legend("Energy change, kcal/mol", {NAMES[name]: COLOURS[name] for name in names})

    def paint(self, dark: bool) -> None:
        """Text and grid for a dark or a light page.

        Args:
            dark: The ground is dark.
        """
        ink = DARK if dark else LIGHT
        for plot in (self.energy, self.temperature):
            for axis in plot.axis:
                axis.update(axis_label_text_color=ink.text, major_label_text_color=ink.text, axis_line_color=ink.line, major_tick_line_color=ink.line)
            for grid in plot.grid:
                grid.grid_line_color = ink.line

    def _fit(self) -> None:
        """Let the axes hold what there is."""
        data = self.source.data
        self._time.update(start=data["time"][0], end=max(data["time"][-1], data["time"][0] + 0.01))
        for name, columns in (("energy", self._shown), ("temperature", ("temperature",))):
            values = [value for column in columns for value in data[column] if isfinite(value)]
            low, high = min(values, default=0.0), max(values, default=1.0)
            room = 0.08 * (high - low) or 1.0
            self._ranges[name].update(start=low - room, end=high + room)

    def _figure(self, values: Range1d, ticks: int) -> figure:
        plot = figure(
            x_range=self._time, y_range=values, tools="", toolbar_location=None, sizing_mode="stretch_both", min_border_left=52, min_border_right=14,
            min_border_top=6, background_fill_color=None, border_fill_color=None, outline_line_color=None,
        )  # fmt: skip
        plot.xaxis.axis_label = "ps"
        for axis in plot.axis:
            axis.update(axis_label_text_font=FONT, axis_label_text_font_size="11px", axis_label_text_font_style="normal", minor_tick_line_color=None)
            axis.update(major_label_text_font=FONT, major_label_text_font_size="11px", major_tick_in=0, major_tick_out=4, axis_label_standoff=0)
        plot.xaxis.ticker, plot.yaxis.ticker = BasicTicker(desired_num_ticks=ticks), BasicTicker(desired_num_ticks=4)
        plot.yaxis.formatter = CustomJSTickFormatter(code="return Math.abs(tick) < 1e-9 ? '0' : String(+tick.toPrecision(6)).replace('-', '\u2212')")
        return plot

    def _line(self, plot: figure, name: str, colour: str) -> Any:
        line = plot.line("time", name, source=self.source, color=colour, line_width=1.6, name=name)
        unit = "K" if name == "temperature" else "kcal/mol"
        tips = [(NAMES.get(name, name), f"@{name}{{0.0}} {unit}"), ("time", "@time{0.000} ps")]
        plot.add_tools(HoverTool(renderers=[line], tooltips=tips, mode="vline", visible=False))
        return line


def _legend(title: str, colours: dict[str, str]) -> str:
    keys = "".join(f'<span><i style="background:{colour}"></i>{name}</span>' for name, colour in colours.items())
    return f'<div class="legend"><b>{title}</b>{keys}</div>'
