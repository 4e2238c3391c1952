"""Series report: what people see of the strain of a series - the ligands ranked, how far the methods agree, what failed.

Reads the arrays of the result and computes no energy.
"""

from collections.abc import Mapping

import numpy as np

from studio.recipes.ligand import titled
from studio.report import Bars, Group, Report, Table, Target
from studio.result import Result
from studio.structure import Floats

SPREAD = 1.0
"""Differences between methods beyond which a ligand is named in a warning, kcal/mol; where half of its strain is larger, that."""


def series_report(result: Result, systems: Mapping[int, str]) -> Report:
    """What people see.

    Args:
        result: Of a strain series.
        systems: Each ligand's system as JSON, by its place in the series.
    """
    arrays = result.arrays
    names, potentials = tuple(map(str, arrays["names"])), tuple(map(str, arrays["potentials"]))
    strains: Floats = arrays["strain_kcal_mol"]
    means, spreads = _means(strains)
    targets = tuple(Target(system=systems.get(int(place), "")) for place in arrays["places_in_series"])
    done = np.flatnonzero(np.isfinite(means)).tolist()
    ranked = Bars(
        "Strain of the series, the least strained first",
        "strain (kcal/mol)",
        tuple(names[row] for row in done),
        _groups(potentials, strains[done], arrays["spread_kcal_mol"][done], spreads[done]),
        targets=tuple(targets[row] for row in done),
        note="Above the lowest minimum of each method. Error bars: of the mean, the spread of the methods; of an ensemble, the spread of its members.",
    )
    rows = _rows(result, names, strains, means, spreads)
    columns = ("rank", "ligand", "mean (kcal/mol)", "spread (kcal/mol)", *(f"{titled(name)} (kcal/mol)" for name in potentials))
    columns += ("measured dG (kcal/mol)", "why there is no number")
    note = "Choose a row to open the ligand. Strain is one part of binding: a strained ligand may bind better than a relaxed one that makes fewer contacts."
    return Report(_headline(names, means, spreads), (Table("Ligands", columns, rows, targets, note), ranked), warnings=_warnings(result, names, means, spreads))


def _means(strains: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation over the methods that have a number, (l,)."""
    counts = np.isfinite(strains).sum(axis=1)
    means = np.where(counts > 0, np.nansum(strains, axis=1) / np.maximum(counts, 1), np.nan)
    squares = np.nansum((strains - means[:, None]) ** 2, axis=1)
    return means, np.where(counts > 1, np.sqrt(squares / np.maximum(counts - 1, 1)), np.nan)


def _groups(potentials: tuple[str, ...], strains: Floats, members: Floats, spreads: Floats) -> tuple[Group, ...]:
    groups = [
        Group(titled(name), _numbers(strains[:, k]), _numbers(members[:, k]) if np.isfinite(members[:, k]).any() else ()) for k, name in enumerate(potentials)
    ]
    means = (Group("mean of the methods", _numbers(_means(strains)[0]), _numbers(spreads)),) if len(potentials) > 1 else ()
    return (*means, *groups)


def _rows(result: Result, names: tuple[str, ...], strains: Floats, means: Floats, spreads: Floats) -> tuple[tuple[str | float | None, ...], ...]:
    measured, failures = _numbers(result.arrays["measured_dG_kcal_mol"]), result.arrays["failures"]
    numbers = zip(_numbers(means), _numbers(spreads), map(_numbers, strains), strict=True)
    return tuple(
        (float(rank) if mean is not None else None, name, mean, spread, *each, measured[rank - 1], str(failures[rank - 1]))
        for rank, (name, (mean, spread, each)) in enumerate(zip(names, numbers, strict=True), 1)
    )


def _headline(names: tuple[str, ...], means: Floats, spreads: Floats) -> str:
    done = np.flatnonzero(np.isfinite(means)).tolist()
    if not done:
        return "No ligand is finished."
    least, most = (f"{names[row]} with {means[row]:.1f}{f' ± {spreads[row]:.1f}' if np.isfinite(spreads[row]) else ''}" for row in (done[0], done[-1]))
    failed = len(names) - len(done)
    missing = f"; {failed} could not be done" if failed else ""
    return f"Of {len(done)} ligands {least} kcal/mol is strained least, {most} kcal/mol most{missing}." if len(done) > 1 else f"{least} kcal/mol{missing}."


def _warnings(result: Result, names: tuple[str, ...], means: Floats, spreads: Floats) -> tuple[str, ...]:
    split = [name for name, mean, spread in zip(names, means, spreads, strict=True) if spread > max(SPREAD, 0.5 * abs(mean))]
    told = [f"The methods disagree by more than half of the strain of {', '.join(split)}: their places in the ranking mean little."] if split else []
    return (*told, *result.notes)


def _numbers(values: Floats) -> tuple[float | None, ...]:
    return tuple(float(value) if np.isfinite(value) else None for value in values)
