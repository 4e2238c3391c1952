"""Report: what a result looks like - a headline, charts, shapes and colours, as plain values.

A recipe makes one from its result; the page draws it, the command line prints its tables, a file takes it home. Knows
numbers, names and atoms; must not know which recipe they came from, nor how they are drawn.
"""

from dataclasses import dataclass, field
from typing import Literal

from studio.structure import Floats, Structure

Number = float | None
"""None where there is no number; shown as a dash, never as zero."""


@dataclass(frozen=True)
class Target:
    """What an item of a chart stands for: shown in 3D when it is chosen.

    Args:
        atoms: Indices into the report's molecule.
        shape: Name of one of the report's shapes.
        system: A `studio.system.System` as JSON text, which can be opened.
        frame: Of the recording that was analysed, counted from 0.
    """

    atoms: tuple[int, ...] = ()
    shape: str = ""
    system: str = ""
    frame: int | None = None


@dataclass(frozen=True)
class Line:
    """A value that is marked on an axis, such as a threshold.

    Args:
        value: In the unit of the axis.
        name: What it is.
    """

    value: float
    name: str


@dataclass(frozen=True)
class Table:
    """Rows of words and numbers.

    Args:
        title: Its heading.
        columns: Headings, with units.
        rows: A cell for each column.
        targets: What each row stands for; none, or one a row.
        note: A sentence below.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | Number, ...], ...]
    targets: tuple[Target, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Group:
    """Bars of one colour.

    Args:
        name: In the legend.
        values: One for each label.
        errors: Standard error of each; none, or one a value.
    """

    name: str
    values: tuple[Number, ...]
    errors: tuple[Number, ...] = ()


@dataclass(frozen=True)
class Bars:
    """A bar chart.

    Args:
        title: Its heading.
        axis: What is drawn, with its unit.
        labels: Below the bars.
        groups: Bars side by side at each label.
        lines: Thresholds.
        targets: What each label stands for; none, or one a label.
        note: A sentence below.
    """

    title: str
    axis: str
    labels: tuple[str, ...]
    groups: tuple[Group, ...]
    lines: tuple[Line, ...] = ()
    targets: tuple[Target, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Curve:
    """A line, or points.

    Args:
        name: In the legend.
        x: Places.
        y: Values there.
        errors: Standard error of each value; none, or one a value.
        style: How it is drawn.
        targets: What each point stands for; none, or one a point.
    """

    name: str
    x: tuple[float, ...]
    y: tuple[Number, ...]
    errors: tuple[Number, ...] = ()
    style: Literal["line", "points", "area"] = "line"
    targets: tuple[Target, ...] = ()


@dataclass(frozen=True)
class Curves:
    """Lines over a common axis.

    Args:
        title: Its heading.
        x: Axis, with its unit.
        y: Axis, with its unit.
        curves: What is drawn.
        marks: Places on the x axis, such as the angle in the pose.
        lines: Values on the y axis.
        note: A sentence below.
    """

    title: str
    x: str
    y: str
    curves: tuple[Curve, ...]
    marks: tuple[Line, ...] = ()
    lines: tuple[Line, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Heat:
    """A map: a colour for each row and column.

    Args:
        title: Its heading.
        unit: Of the values.
        x: Axis below, with its unit.
        y: Axis at the left, with its unit.
        columns: Names of the columns.
        rows: Names of the rows.
        values: A row for each of `rows`, the first one on top.
        centred: Colours diverge from zero; else they run from the lowest to the highest value.
        targets: What each row stands for; none, or one a row.
        points: Cells (row, column) that are marked, and what they are.
        note: A sentence below.
        edges: Ends of the cells along x from the left, and along y from the top: a map of numbers, drawn square with ticks instead of names.
        cells: What each cell stands for, a row for each of `rows`; in place of `targets`.
        low_stands_out: Low values have the stronger colours, as the valleys of a free energy should.
        dots: Small marks (row, column) without names, in cells from the upper left corner, 0.5 for the middle of the first: where copies are.
        beside: Maps that are drawn at the right, each under its title; those of one unit share one scale.
    """

    title: str
    unit: str
    x: str
    y: str
    columns: tuple[str, ...]
    rows: tuple[str, ...]
    values: tuple[tuple[Number, ...], ...]
    centred: bool = False
    targets: tuple[Target, ...] = ()
    points: tuple[tuple[int, int, str], ...] = ()
    note: str = ""
    edges: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())
    cells: tuple[tuple[Target, ...], ...] = ()
    low_stands_out: bool = False
    dots: tuple[tuple[float, float], ...] = ()
    beside: "tuple[Heat, ...]" = ()


@dataclass(frozen=True)
class Point:
    """One point of a scatter plot, with its standard errors."""

    name: str
    x: float
    y: float
    x_error: Number = None
    y_error: Number = None
    target: Target = Target()


@dataclass(frozen=True)
class Scatter:
    """Two measures of the same things against each other, on equal axes.

    Args:
        title: Its heading.
        x: Axis, with its unit.
        y: Axis, with its unit.
        series: Points of one colour, under the name in the legend.
        bands: Distances from the diagonal that are drawn, in the unit of the axes.
        note: A sentence below.
    """

    title: str
    x: str
    y: str
    series: tuple[tuple[str, tuple[Point, ...]], ...]
    bands: tuple[float, ...] = (1.0,)
    note: str = ""


Chart = Table | Bars | Curves | Heat | Scatter


@dataclass(frozen=True, eq=False)
class Shape:
    """Where the atoms of the report's molecule are.

    Args:
        name: What people call it.
        positions: (n, 3), nm.
        shown: Drawn over the others from the start.
    """

    name: str
    positions: Floats
    shown: bool = False


@dataclass(frozen=True)
class Painted:
    """Values on bonds, or on atoms, of the report's molecule.

    Args:
        name: What they are, with their unit.
        places: Bonds as pairs of atom indices, or atoms as lists of them (a residue is all of its atoms).
        values: One for each place.
        centred: Colours diverge from zero.
    """

    name: str
    places: tuple[tuple[int, ...], ...]
    values: tuple[float, ...]
    centred: bool = False


@dataclass(frozen=True, eq=False)
class Report:
    """What people see of a result.

    Args:
        headline: The answer, in a sentence with its uncertainty.
        charts: The first one matters most.
        molecule: What the atoms, shapes and colours belong to; none where there is nothing in 3D.
        shapes: Of the molecule, laid over each other.
        painted: Ways to colour it.
        warnings: What to know before the numbers are believed, a sentence each.
    """

    headline: str
    charts: tuple[Chart, ...] = ()
    molecule: Structure | None = None
    shapes: tuple[Shape, ...] = ()
    painted: tuple[Painted, ...] = ()
    warnings: tuple[str, ...] = field(default=())
