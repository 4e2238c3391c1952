"""Report data: a report as plain lists and words for the page, the colours of its charts, and what an item of a chart stands for.

Knows reports and colours; must not know the page.
"""

from collections.abc import Sequence
from dataclasses import asdict, fields, is_dataclass
from math import isfinite
from typing import Any

import numpy as np

from studio.report import Bars, Chart, Curves, Heat, Painted, Point, Report, Scatter, Table, Target
from widgets.figures import DARK, LIGHT

NOTHING = Target()
SEQUENTIAL = {True: ("#54697e", "#9c7d55", "#e69f00", "#ffe69a"), False: ("#ccd6e0", "#f0c069", "#d97b20", "#7f2a00")}
"""Colours from low to high on a dark and on a light ground: lightness rises or falls all the way, for any kind of colour vision."""
DIVERGING = {True: ("#7cc8ff", "#3d6488", "#3a4450", "#8f5a2a", "#ffa54d"), False: ("#1f5fa8", "#8db8de", "#dfe4ea", "#eeb17c", "#a83f00")}


def ink_of(dark: bool) -> dict[str, Any]:
    """Colours of charts.

    Args:
        dark: The ground is dark.
    """
    own = {"strong": "#dbe4ee", "warn": "#f0b35b", "ground": "#10151c"} if dark else {"strong": "#1c2733", "warn": "#9a5b00", "ground": "#f6f8fa"}
    return {**asdict(DARK if dark else LIGHT), **own, "sequential": list(SEQUENTIAL[dark]), "diverging": list(DIVERGING[dark])}


def plain(report: Report) -> dict[str, Any]:
    """A report as the page takes it.

    Args:
        report: What people see of a result.
    """
    return {"headline": report.headline, "warnings": [str(words) for words in report.warnings], "charts": [plain_chart(chart) for chart in report.charts]}


def plain_chart(chart: Chart) -> dict[str, Any]:
    """A chart as the page takes it: its kind as `type`, and of its targets only which items have one.

    Args:
        chart: Of any kind.
    """
    return {"type": type(chart).__name__, **_plain(chart)}


def target_of(chart: Chart, place: Sequence[int]) -> Target:
    """What an item stands for; nothing where the page names one that there is not.

    Args:
        chart: Of any kind.
        place: Of the item: row or label, or row and column, or curve and point, or series and point.
    """
    try:
        match chart, tuple(place):
            case (Table() | Bars() | Heat()) as flat, (int(row),):
                return flat.targets[row]
            case Heat() as heat, (int(row), int(column)):
                return heat.cells[row][column]
            case Curves() as lines, (int(curve), int(point)):
                return lines.curves[curve].targets[point]
            case Scatter() as cloud, (int(series), int(point)):
                return cloud.series[series][1][point].target
    except IndexError:
        pass
    return NOTHING


def words_of(chart: Chart, place: Sequence[int]) -> str:
    """What an item is called.

    Args:
        chart: Of any kind.
        place: Of an item that has a target.
    """
    match chart, tuple(place):
        case Table() as table, (int(row),):
            return ", ".join(cell for cell in table.rows[row] if isinstance(cell, str) and cell) or f"{table.title}, row {row + 1}"
        case Bars() as bars, (int(label),):
            return bars.labels[label]
        case Heat() as heat, (int(row), *column):
            return f"{heat.x} {heat.columns[column[0]]}, {heat.y} {heat.rows[row]}" if column else heat.rows[row]
        case Curves() as lines, (int(curve), int(point)):
            return f"{lines.curves[curve].name}, {lines.x} {lines.curves[curve].x[point]:g}"
        case Scatter() as cloud, (int(series), int(point)):
            return cloud.series[series][1][point].name
    return ""


def range_of(painted: Painted) -> tuple[float, float]:
    """Lowest and highest value of the colours; about zero where they diverge from it.

    Args:
        painted: A way to colour a molecule.
    """
    known = [value for value in painted.values if isfinite(value)] or [0.0]
    low, high = min(known), max(known)
    if painted.centred:
        high = max(abs(low), abs(high)) or 1.0
        return -high, high
    return (low, high) if high > low else (low, low + 1.0)


def colours_of(painted: Painted, dark: bool) -> dict[str, str]:
    """The colour of each place: bonds as `3-4`, atoms as `7`.

    Args:
        painted: A way to colour a molecule; two atoms are a bond, any other number are atoms by themselves.
        dark: The ground is dark.
    """
    low, high = range_of(painted)
    scale, found = scale_of(painted, dark), dict[str, str]()
    for place, value in zip(painted.places, painted.values, strict=True):
        if isfinite(value):
            colour = between(scale, (value - low) / (high - low))
            names = [f"{min(place)}-{max(place)}"] if len(place) == 2 else map(str, place)
            found |= dict.fromkeys(names, colour)
    return found


def scale_of(painted: Painted, dark: bool) -> tuple[str, ...]:
    """The colours from low to high.

    Args:
        painted: A way to colour a molecule.
        dark: The ground is dark.
    """
    return (DIVERGING if painted.centred else SEQUENTIAL)[dark]


def between(scale: Sequence[str], share: float) -> str:
    """A colour of a scale.

    Args:
        scale: Colours from low to high.
        share: Where on it, from 0 to 1.
    """
    place = min(max(share, 0.0), 1.0) * (len(scale) - 1)
    first = min(int(place), len(scale) - 2)
    one, other = ([int(scale[k][at : at + 2], 16) for at in (1, 3, 5)] for k in (first, first + 1))
    return "#" + "".join(f"{round(a + (place - first) * (b - a)):02x}" for a, b in zip(one, other, strict=True))


def _plain(value: Any) -> Any:
    """Data as JSON has it; what is not a number is none."""
    if isinstance(value, np.generic):
        value = value.item()
    match value:
        case float():
            return value if isfinite(value) else None
        case Target():
            return value != NOTHING
        case tuple() | list():
            return [_plain(each) for each in value]
        case _ if is_dataclass(value):
            told = {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
            return {**told, "targeted": told.pop("target")} if isinstance(value, Point) else told
    return value
