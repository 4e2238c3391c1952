"""What people see of a series: which residues tell its ligands apart, how it is ranked, and how that compares with experiment.

Knows results as named numbers and arrays; must not know how they were computed.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from studio.errors import StudioError
from studio.experiment import FEWEST, agreement
from studio.recipes.endpoint_report import LEFT_OUT
from studio.recipes.interaction_report import VACUUM, number
from studio.report import Bars, Chart, Group, Heat, Point, Report, Scatter, Table, Target
from studio.result import Result

if TYPE_CHECKING:
    from studio.recipes.binding_series import EndPointSeries, InteractionSeries

SHOWN = 25
"""Residues of the map: those that differ most between the ligands."""
NOISE = 2.0
"""What one relaxed pose of a ligand is uncertain by at least, kcal/mol: poses of one ligand scatter so much."""
TITLES = ("binding", "Coulomb", "Lennard-Jones", "polar solvation", "nonpolar", "strain")

Arrays = Mapping[str, NDArray[Any]]


def interactions_report(recipe: "InteractionSeries", result: Result) -> Report:
    """The report of a series of interactions.

    Args:
        recipe: What was asked.
        result: Without a failure.
    """
    arrays = result.arrays
    energies = arrays["residues_kcal_mol"]
    spread = np.nan_to_num(_spread(energies))
    chosen = np.sort(np.argsort(-(spread + 0.2 * np.nan_to_num(np.abs(energies).max(axis=0, initial=0.0))), kind="stable")[:SHOWN])
    targets = _targets(recipe, arrays)
    values = tuple(tuple(number(energy) for energy in line[chosen]) for line in energies)
    heat = Heat(
        "Residues and ligands", "kcal/mol", "residue", "ligand", tuple(str(arrays["rows"][k]) for k in chosen), tuple(map(str, arrays["names"])), values,
        centred=True, targets=targets, note=f"{VACUUM} Those residues are shown that matter most, in the order of the protein.",
    )  # fmt: skip
    keys = ("mm_kcal_mol", "mm_coulomb_kcal_mol", "mm_lennard_jones_kcal_mol", "hydrogen_bonds", "measured_dG_kcal_mol")
    rows = tuple((str(name), *(number(arrays[key][k]) for key in keys)) for k, name in enumerate(arrays["names"]))
    columns = ("ligand", "MM, all (kcal/mol)", "Coulomb", "Lennard-Jones", "hydrogen bonds", "measured dG (kcal/mol)")
    apart = [str(arrays["rows"][k]) for k in np.argsort(-spread, kind="stable")[:3] if spread[k] > 0.0]
    told = f" They differ most at {', '.join(apart)}." if apart else ""
    headline = f"Interactions of {len(rows) - int(result.values['failed'])} ligands with their residues.{told}"
    return Report(headline, (heat, Table("Ligands", columns, rows, targets)), warnings=(VACUUM, *result.notes))


def _spread(energies: NDArray[Any]) -> NDArray[Any]:
    """Standard deviation of each column over the ligands that have a number."""
    known = np.isfinite(energies)
    counts = np.maximum(known.sum(axis=0), 1)
    means = np.where(known, energies, 0.0).sum(axis=0) / counts
    return np.asarray(np.sqrt(np.where(known, (energies - means) ** 2, 0.0).sum(axis=0) / counts))


def ranking_report(recipe: "EndPointSeries", result: Result) -> Report:
    """The report of a ranked series.

    Args:
        recipe: What was asked.
        result: Without a failure.
    """
    arrays = result.arrays
    order = np.argsort(arrays["binding_kcal_mol"], kind="stable")  # what has no number comes last
    targets = _targets(recipe, arrays)
    charts: list[Chart] = [_ranked(arrays, order, targets), _parts(arrays, order, targets)]
    both = np.isfinite(arrays["binding_kcal_mol"]) & np.isfinite(arrays["measured_dG_kcal_mol"])
    agreement = ""
    if both.sum() >= FEWEST:
        charts.insert(0, _against(arrays, both, targets))
        agreement = f" Against experiment: {_agreement(arrays, both)}."
    known = arrays["binding_kcal_mol"][np.isfinite(arrays["binding_kcal_mol"])]
    best = f"{arrays['names'][order[0]]} comes first with {known.min():.1f} kcal/mol, {np.ptp(known):.1f} below the last." if len(known) else ""
    return Report(
        f"{len(known)} ligands ranked by end-point energy. {best}{agreement}",
        tuple(charts),
        warnings=(*_doubts(known), *_charges(arrays), LEFT_OUT, *result.notes),
    )


def _doubts(energies: NDArray[Any]) -> list[str]:
    """Sentences about a ranking that says little."""
    if len(energies) < 2:
        return []
    step = float(np.median(np.diff(np.sort(energies))))
    told = [f"One relaxed pose a ligand: each number is uncertain by {NOISE:g} kcal/mol or more, so that neighbours in this ranking may change places."]
    if np.ptp(energies) < 2.0 * NOISE:
        told.insert(0, f"Do not trust this ranking: all ligands lie within {np.ptp(energies):.1f} kcal/mol, which is what single poses scatter by.")
    elif step < NOISE:
        told[0] += f" Here neighbours are {step:.1f} kcal/mol apart."
    return told


def _charges(arrays: Arrays) -> list[str]:
    """A sentence if the ligands differ in charge."""
    charges = arrays["ligand_charge_e"]
    kinds = np.unique(charges[np.isfinite(charges)])
    if len(kinds) < 2:
        return []
    told = ", ".join(f"{(charges == kind).sum()} of {kind:+.0f}" for kind in kinds)
    return [f"Do not compare ligands of different charge: their polar energies err differently. Here are {told}."]


def _ranked(arrays: Arrays, order: NDArray[Any], targets: tuple[Target, ...]) -> Table:
    keys = [f"{key}_kcal_mol" for key in ("binding", "coulomb", "lennard_jones", "polar", "nonpolar", "strain")]
    rows = tuple(
        (rank, str(arrays["names"][k]), *(number(arrays[key][k]) for key in keys), number(arrays["measured_dG_kcal_mol"][k])) for rank, k in enumerate(order, 1)
    )
    return Table("Ranking (kcal/mol)", ("rank", "ligand", *TITLES, "measured dG"), rows, tuple(targets[k] for k in order) if targets else ())


def _parts(arrays: Arrays, order: NDArray[Any], targets: tuple[Target, ...]) -> Bars:
    """What separates the ligands: polar parts together, as they cancel."""
    polar = arrays["coulomb_kcal_mol"] + arrays["polar_kcal_mol"]
    columns = (("Coulomb and polar solvation", polar), ("Lennard-Jones", arrays["lennard_jones_kcal_mol"]), ("strain", arrays["strain_kcal_mol"]))
    known = [(title, column) for title, column in columns if np.isfinite(column).any()]
    groups = tuple(Group(title, tuple(number(value) for value in (column - np.nanmean(column))[order])) for title, column in known)
    labels = tuple(str(arrays["names"][k]) for k in order)
    return Bars("What separates them", "kcal/mol from the mean of the series", labels, groups, targets=tuple(targets[k] for k in order) if targets else ())


def _against(arrays: Arrays, both: NDArray[Any], targets: tuple[Target, ...]) -> Scatter:
    """Calculated against measured, the calculated ones moved to the same mean: their zero means nothing."""
    x, y = arrays["measured_dG_kcal_mol"], arrays["binding_kcal_mol"]
    moved = y - y[both].mean() + x[both].mean()
    points = tuple(Point(str(arrays["names"][k]), float(x[k]), float(moved[k]), target=targets[k] if targets else Target()) for k in np.flatnonzero(both))
    note = "Calculated energies were moved by one constant to the mean of the measured ones. Their scale is steeper: entropy and water are not in them."
    return Scatter("Against experiment", "measured dG (kcal/mol)", "end-point energy, moved (kcal/mol)", (("ligands", points),), (1.0, 2.0), note)


def _agreement(arrays: Arrays, both: NDArray[Any]) -> str:
    """Ranks against experiment, with intervals of 95 % over the choice of ligands."""
    found = agreement(arrays["binding_kcal_mol"][both], arrays["measured_dG_kcal_mol"][both], shifted=True).figures
    told = [
        f"{title} {found[name].value:.2f} ({found[name].low:.2f} to {found[name].high:.2f})" for name, title in (("tau", "Kendall's tau"), ("r", "Pearson's r"))
    ]
    return f"{', '.join(told)}, {both.sum()} ligands"


def _targets(recipe: "InteractionSeries | EndPointSeries", arrays: Arrays) -> tuple[Target, ...]:
    """The systems that can be opened, one for each ligand; none where its files are gone."""
    try:
        tasks = recipe.tasks()
    except StudioError:
        return ()
    return tuple(Target(system=tasks[place].recipe.system.model_dump_json()) for place in arrays["places_in_series"].tolist())
