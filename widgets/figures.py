"""Figures: the panels that are seen, as a picture or a drawing for a paper or a slide.

Knows panels and Matplotlib; must not know a page.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from widgets.series import Panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Format = Literal["png", "svg", "pdf"]

DASHES = ("-", (0, (5, 3)), (0, (1.2, 1.8)), (0, (6, 2, 1.2, 2)))
"""Line styles of the runs."""


@dataclass(frozen=True)
class Ink:
    """Colours of a plot: what is not data, then the lines.

    Args:
        text: Letters and numbers.
        line: Grid and ticks.
        ground: What it is drawn on.
        accent: The moment that is looked at.
        colours: Of the lines; told apart by colour-blind eyes, and three to one or better against the ground.
    """

    text: str
    line: str
    ground: str
    accent: str
    colours: tuple[str, ...]


# Okabe and Ito's hues; on a light ground darker.
DARK = Ink(
    "#9fb0c3", "#232d3a", "#10151c", "#2dd4bf", ("#e69f00", "#1fb487", "#56b4e9", "#d98bb5", "#f0e442", "#f2703d", "#7d97f5", "#b8c4d2")
)  # fmt: skip
LIGHT = Ink(
    "#475569", "#dbe2ea", "#ffffff", "#0f766e", ("#a86400", "#007a58", "#1f78b4", "#a8457d", "#857800", "#c03a00", "#1d3f9c", "#4a5665")
)  # fmt: skip


def draw(panels: Sequence[Panel], since: float, kind: Format, ink: Ink = LIGHT, clock: str = "time") -> bytes:
    """Panels side by side as a file.

    Args:
        panels: What is drawn.
        since: From this time on, ps.
        kind: Of the file.
        ink: Its colours.
        clock: What the axis of time is called.
    """
    from matplotlib.figure import Figure

    picture = Figure(figsize=(5.2 * max(len(panels), 1), 3.0), facecolor=ink.ground, layout="constrained")
    for place, panel in enumerate(panels, 1):
        _axes(picture.add_subplot(1, len(panels), place), panel, since, ink, clock)
    file = io.BytesIO()
    picture.savefig(file, format=kind, dpi=200, metadata={"Date": None} if kind == "svg" else None)
    return file.getvalue()


def _axes(axes: "Axes", panel: Panel, since: float, ink: Ink, clock: str) -> None:
    for curve in panel.curves:
        time, values, _ = curve.drawn(since)
        look = {"linestyle": "none", "marker": ".", "markersize": 2.5} if panel.period else {"linestyle": DASHES[curve.dash % len(DASHES)], "linewidth": 1.1}
        axes.plot(time, values, label=curve.label, color=ink.colours[curve.colour % len(ink.colours)], **look)
    if panel.period:
        axes.set_ylim(-panel.period / 2, panel.period / 2)
        axes.set_yticks([part * panel.period for part in (-0.5, -0.25, 0, 0.25, 0.5)])
    axes.set_xlabel(clock if clock.endswith("steps") else f"{clock}, ps", color=ink.text)
    axes.set_ylabel(panel.name, color=ink.text)
    axes.set_facecolor(ink.ground)
    axes.grid(color=ink.line, linewidth=0.6)
    axes.tick_params(colors=ink.text, length=3, labelsize=9)
    for side, spine in axes.spines.items():
        spine.set(color=ink.text, linewidth=0.6, visible=side in ("left", "bottom"))
    if panel.curves:
        axes.legend(frameon=False, fontsize=8, labelcolor=ink.text, loc="lower left", bbox_to_anchor=(0, 1), ncols=min(len(panel.curves), 4))
