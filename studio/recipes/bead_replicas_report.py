"""Bead replicas, report: what people see of many copies of a learned model - where they are, and whether they are warm.

Reads the arrays of the result and moves nothing.
"""

from collections.abc import Iterable

import numpy as np

from studio.coarse.shape import Turn, turns
from studio.recipes.bead_maps import basin_bars, surfaces
from studio.report import Chart, Curve, Curves, Line, Report, Shape
from studio.result import Result
from studio.structure import Structure
from studio.surface import RAMACHANDRAN, jensen_shannon

POINTS = 300
"""Of a curve, at most."""


def report(result: Result, molecule: Structure | None) -> Report:
    """What people see.

    Args:
        result: Finished, or so far.
        molecule: The beads.
    """
    found = turns(molecule) if molecule is not None else ()
    charts = tuple(chart for chart in _charts(result, found) if chart is not None)
    now, shown = result.arrays["now_nm"], int(result.recipe.get("shown", 0))
    place = now[min(shown, len(now) - 1)] if len(now) else None
    shapes = (Shape(f"replica {shown}", np.asarray(place, dtype=np.float64), shown=True),) if place is not None and molecule is not None else ()
    return Report(_headline(result, found), charts, molecule, shapes, warnings=tuple(_doubts(result)))


def _headline(result: Result, found: tuple[Turn, ...]) -> str:
    values = result.values
    told = f"{values['replicas']:.0f} replicas of '{result.provenance.get('model', '')}' after {values['steps']:,.0f} steps"
    if "temperature_K" in values:
        told += f", {values['temperature_K']:.1f} \u00b1 {values['temperature_error_K']:.1f} K"
    apart = _apart(result)
    worst = f"; their surface is {max(apart):.3f} from that of all atoms (0 is the same, 0.69 nothing in common)" if apart else ""
    return f"{told}{worst}. Together they make {values['steps_s'] * values['replicas']:,.0f} steps a second."


def _apart(result: Result) -> list[float]:
    """Divergence of each turn from the atoms, where these are known."""
    model, atoms = (result.arrays.get(f"shares_{who}") for who in ("model", "atoms"))
    return [] if model is None or atoms is None else [jensen_shannon(right, mine) for right, mine in zip(atoms, model, strict=True)]


def _doubts(result: Result) -> Iterable[str]:
    aside = result.values["set_aside"]
    if aside:
        yield f"{aside:.0f} of {result.values['replicas']:.0f} replicas left physics and were set aside: the model does not hold its beads everywhere."
    yield from result.notes


def _charts(result: Result, found: tuple[Turn, ...]) -> Iterable[Chart | None]:
    arrays, temperature = result.arrays, result.values["target_temperature_K"]
    for row, turn in enumerate(found):
        yield surfaces(arrays, row, turn, temperature)
    known = [arrays.get(f"basins_{who}") for who in ("atoms", "model")]
    for row, turn in enumerate(found):
        atoms, model = (None if basins is None else basins[row] for basins in known)
        yield basin_bars(atoms, model, [patch.name for patch in RAMACHANDRAN], turn.name)
    yield _warmth(result)


def _warmth(result: Result) -> Curves | None:
    times = result.arrays["cg_times_ps" if "cg_times_ps" in result.arrays else "times_ps"]  # as it was called before
    temperatures = result.arrays["temperatures_K"]
    if len(times) < 2:
        return None
    some = np.unique(np.linspace(0, len(times) - 1, min(POINTS, len(times))).astype(np.int64))
    curve = Curve("mean of all replicas", tuple(times[some].tolist()), tuple(temperatures[some].tolist()))
    line = Line(result.values["target_temperature_K"], "thermostat")
    return Curves("Temperature", "CG time (ps)", "temperature (K)", (curve,), lines=(line,), note="CG time is not the time of atoms, and is never converted.")
