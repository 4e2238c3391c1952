"""What people see of an end-state correction: the number or why there is none, overlap, brackets, convergence, angles by both.

Knows the arrays of `EndStateCorrection`; estimates nothing.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from studio.correction import LEAST_EFFECTIVE, LEAST_OVERLAP, effective
from studio.report import Chart, Curve, Curves, Heat, Line, Report, Table, Target
from studio.result import Result
from studio.structure import Structure
from studio.units import KJ_PER_KCAL

BINS = 36
"""Of a torsion angle, 10 degrees each."""
SHOWN = 4
"""Torsions that are drawn: those whose distributions differ most."""
TITLES = {"first": "the run", "second": "the run that is subtracted"}

Array = NDArray[np.float64]


def report(result: Result, lambdas: Sequence[float], molecule: Structure | None) -> Report:
    """See `EndStateCorrection.report`.

    Args:
        result: Without a failure.
        lambdas: Of the windows.
        molecule: The first structure of the run.
    """
    legs = [str(leg) for leg in result.arrays["legs"]]
    charts: list[Chart] = []
    for leg in legs:
        of = f" of {TITLES[leg]}" if len(legs) > 1 else ""
        charts += [_estimates(result, leg, of), *_windows(result, leg, of, lambdas), *_torsions(result, leg, of, shown=leg == legs[0])]
    charts.sort(key=lambda chart: not isinstance(chart, Table))  # estimates of both legs first
    return Report(_headline(result, legs), tuple(charts), molecule, warnings=result.notes)


def _headline(result: Result, legs: Sequence[str]) -> str:
    if "correction_kcal_mol" not in result.values:
        return "No number: MM and NNP/MM do not overlap enough. The diagnostics say where."
    value, error = result.values["correction_kcal_mol"], result.values["error_kcal_mol"]
    if len(legs) > 1:
        return f"Correction of the binding free energy, MM to NNP/MM: {value:+.2f} \u00b1 {error:.2f} kcal/mol"
    return f"MM to NNP/MM: {value:+.2f} \u00b1 {error:.2f} kcal/mol, counted from the first structure; only differences between runs mean something"


def _estimates(result: Result, leg: str, of: str) -> Table:
    arrays = result.arrays
    numbers, support = arrays[f"{leg}_estimates_kcal_mol"].tolist(), arrays[f"{leg}_support"].tolist()
    rows = []
    for name, (value, error), rests, doubt in zip(arrays[f"{leg}_estimators"].tolist(), numbers, support, arrays[f"{leg}_doubts"].tolist(), strict=True):
        what = f"overlap {100 * rests:.1f} %" if "BAR" in name else f"{rests:.0f} effective samples"
        # a number that is not to be believed is not shown
        rows.append((name, None if doubt else value, None if doubt else error, what, doubt or "can be believed"))
    columns = ("estimate", "NNP/MM less MM (kcal/mol)", "standard error", "rests on", "verdict")
    note = f"Reported from {100 * LEAST_OVERLAP:.0f} % overlap of neighbours, or {LEAST_EFFECTIVE:.0f} effective samples, on."
    return Table(f"Estimates{of}", columns, tuple(rows), note=note)


def _windows(result: Result, leg: str, of: str, lambdas: Sequence[float]) -> list[Chart]:
    recorded = result.arrays[f"{leg}_recorded_kj_mol"] / KJ_PER_KCAL
    if f"{leg}_counts" not in result.arrays:
        return [_brackets({"recorded run": recorded}, of)]
    brackets = np.split(result.arrays[f"{leg}_brackets_kj_mol"] / KJ_PER_KCAL, np.cumsum(result.arrays[f"{leg}_counts"])[:-1])
    names = tuple(f"{lam:g}" for lam in lambdas)
    overlap = Heat(
        f"Overlap of the windows{of}", "share", "lambda", "lambda", names, names, tuple(map(tuple, result.arrays[f"{leg}_overlap"].tolist())),
        note=f"The chance that a sample of a row's window could be one of the column's. Neighbours need {100 * LEAST_OVERLAP:.0f} %.",
    )  # fmt: skip
    named = {"recorded run": recorded} | {f"lambda {name}": values for name, values in zip(names, brackets, strict=True)}
    return [overlap, _brackets(named, of), _convergence(result.arrays[f"{leg}_convergence_kcal_mol"], of)]


def _brackets(named: dict[str, Array], of: str) -> Curves:
    everything = np.concatenate(list(named.values()))
    edges = np.linspace(everything.min() - 0.5, everything.max() + 0.5, 41)
    middles = tuple(((edges[1:] + edges[:-1]) / 2).tolist())
    curves = tuple(Curve(name, middles, tuple(np.histogram(values, edges, density=True)[0].tolist())) for name, values in named.items())
    note = "The closer the curves of MM (lambda 0) and NNP/MM (lambda 1), the easier it is. A run that holds bonds to hydrogen differs from lambda 0."
    return Curves(f"Network less MM energy of the ligand{of}", "network less MM (kcal/mol)", "share per kcal/mol", curves, note=note)


def _convergence(course: Array, of: str) -> Curves:
    fractions = tuple((100.0 * course[0]).tolist())
    curves = tuple(
        Curve(name, fractions, tuple(course[row].tolist()), tuple(course[row + 1].tolist())) for name, row in (("from the start", 1), ("from the end back", 3))
    )
    lines = (Line(float(course[1, -1]), "all samples"),)
    return Curves(
        f"Convergence{of}", "share of the samples (%)", "NNP/MM less MM (kcal/mol)", curves, lines=lines, note="Both have to arrive at the same value."
    )


def _torsions(result: Result, leg: str, of: str, *, shown: bool) -> list[Chart]:
    """Angles by MM and by NNP/MM, where enough samples carry the latter."""
    weights, angles = result.arrays[f"{leg}_weights"], result.arrays[f"{leg}_angles_degrees"]
    if effective(weights[1]) < LEAST_EFFECTIVE:
        return []
    edges = np.linspace(-180.0, 180.0, BINS + 1)
    middles = tuple(((edges[1:] + edges[:-1]) / 2).tolist())
    found = []
    for column, name in enumerate(result.arrays[f"{leg}_torsions"].tolist()):
        shares = [np.histogram(angles[:, column], edges, weights=row)[0] for row in weights]
        atoms = tuple(int(atom) for atom in result.arrays[f"{leg}_torsion_atoms"][column])
        target = (Target(atoms=atoms),) * BINS if shown else ()
        curves = tuple(Curve(method, middles, tuple((100 * share).tolist()), targets=target) for method, share in zip(("MM", "NNP/MM"), shares, strict=True))
        moved = 50.0 * float(np.abs(shares[1] - shares[0]).sum())
        chance = 50.0 * float(sum(np.sqrt(share * (1.0 - share) / effective(row)).sum() for share, row in zip(shares, weights, strict=True)))
        note = f"{moved:.0f} % of the molecules are at another angle; up to {chance:.0f} % would be chance, and more where angles turn slowly."
        found.append((moved, Curves(f"Torsion {name}{of}", "angle (degrees)", "share (% per 10 degrees)", curves, note=note)))
    return [chart for _, chart in sorted(found, key=lambda pair: -pair[0])[:SHOWN]]
