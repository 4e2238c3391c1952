"""What people see of predictions against experiment: scatter plot, statistics beside what has to be beaten, published figures, the ligands.

Knows the arrays of `AgainstExperiment`; computes no statistics.
"""

import numpy as np

from studio.experiment import NOTABLE, PUBLISHED, SOURCE, outliers
from studio.report import Bars, Chart, Group, Line, Point, Report, Scatter, Table, Target
from studio.result import Result

Figures = dict[str, dict[str, tuple[float, float, float]]]
"""Value, low and high by method and statistic; the first method is the one in question."""
OURS, NULL, ATOMS, WEIGHT = "predictions", "the mean, for all", "heavy atoms, fitted", "molecular weight, fitted"
"""What is compared with the measurements."""
FEW = 10
"""Ligands below which a ranking is mostly chance."""
TITLES = {"rmse": "RMSE (kcal/mol)", "mae": "MAE (kcal/mol)", "tau": "Kendall tau", "r": "Pearson r"}
BASELINES = "A fit to the same measurements flatters these: a method that does not beat them has shown nothing."


def report(result: Result, target: str, *, predicted: bool, shifted: bool) -> Report:
    """See `AgainstExperiment.report`.

    Args:
        result: Without a failure.
        target: Name of the bundled target; empty if it is none.
        predicted: There were predictions; else only what has to be beaten is shown.
        shifted: The predictions were shifted.
    """
    figures = _figures(result)
    names = result.arrays["names"].tolist()
    wrong = [names[index] for index in outliers(result.arrays["compared_kcal_mol"], result.arrays["measured_dG_kcal_mol"])]
    axis = ("predicted, shifted" if shifted else "predicted") if predicted else "line through heavy atoms"
    charts: tuple[Chart, ...] = (_scatter(result, f"{axis} (kcal/mol)", wrong), _statistics(result, figures), *_published(target, figures), _ligands(result))
    verdicts = (*(_verdicts(result, figures) if predicted else ()), *_remarks(result, wrong))
    return Report(_headline(result, figures, predicted), charts, warnings=(*verdicts, *result.notes))


def _figures(result: Result) -> Figures:
    statistics = result.arrays["statistics"].tolist()
    return {
        method: {name: tuple(row) for name, row in zip(statistics, rows, strict=True)}
        for method, rows in zip(result.arrays["methods"].tolist(), result.arrays["figures"].tolist(), strict=True)
    }


def _headline(result: Result, figures: Figures, predicted: bool) -> str:
    ours = next(iter(figures.values()))
    (error, low, high), (tau, tau_low, tau_high) = ours["rmse"], ours["tau"]
    count = int(result.values["ligands"])
    ranks = f"Kendall tau {tau:.2f} ({tau_low:.2f} to {tau_high:.2f})" if np.isfinite(tau) else "no ranking"
    numbers = f"RMSE {error:.2f} kcal/mol ({low:.2f} to {high:.2f}), {ranks}; intervals of 95 %"
    if not predicted:
        return f"To be beaten on {count} ligands, by counting heavy atoms: {numbers}"
    return f"{count} ligands against experiment: {numbers}"


def _scatter(result: Result, axis: str, wrong: list[str]) -> Scatter:
    arrays = result.arrays
    columns = (arrays[key].tolist() for key in ("names", "measured_dG_kcal_mol", "compared_kcal_mol", "predicted_error_kcal_mol", "systems"))
    points = [
        Point(name, x, y, y_error=error if np.isfinite(error) else None, target=Target(system=system))
        for name, x, y, error, system in zip(*columns, strict=True)
    ]
    series = (("ligands", tuple(point for point in points if point.name not in wrong)), ("outliers", tuple(point for point in points if point.name in wrong)))
    note = f"The bands are {NOTABLE:g} and {2 * NOTABLE:g} kcal/mol wide. Choose a point to open its ligand."
    return Scatter("Predicted and measured", "measured dG (kcal/mol)", axis, tuple(part for part in series if part[1]), (NOTABLE, 2 * NOTABLE), note)


def _statistics(result: Result, figures: Figures) -> Table:
    names = result.arrays["statistics"].tolist()
    columns = ("method", *(part for name in names for part in (TITLES[name], "from", "to")))
    rows = tuple((method, *(_number(value) for name in names for value in ours[name])) for method, ours in figures.items())
    return Table("Agreement, with intervals of 95 % over the choice of ligands", columns, rows, note=BASELINES)


def _published(target: str, figures: Figures) -> tuple[Bars, ...]:
    if target not in PUBLISHED:
        return ()
    labels = [*figures, *(part.method for part in PUBLISHED[target])]
    values = [ours["mae"][0] for ours in figures.values()] + [part.mae for part in PUBLISHED[target]]
    note = f"ATM: {SOURCE}; alchemical transfer over their set of ligands and with their shift, so that small differences mean nothing."
    lines = (Line(NOTABLE, f"{NOTABLE:g} kcal/mol"),)
    return (Bars("Mean absolute error beside published methods", "MAE (kcal/mol)", tuple(labels), (Group("MAE", tuple(values)),), lines, note=note),)


def _ligands(result: Result) -> Table:
    keys = ("names", "measured_dG_kcal_mol", "predicted_kcal_mol", "predicted_error_kcal_mol", "compared_kcal_mol", "heavy_atoms")
    columns = ("ligand", "measured dG (kcal/mol)", "as predicted (kcal/mol)", "its standard error", "as compared (kcal/mol)", "heavy atoms", "error (kcal/mol)")
    errors = result.arrays["compared_kcal_mol"] - result.arrays["measured_dG_kcal_mol"]
    order = np.argsort(-np.abs(errors)).tolist()
    rows = tuple((str(result.arrays["names"][i]), *(_number(float(result.arrays[key][i])) for key in keys[1:]), float(errors[i])) for i in order)
    targets = tuple(Target(system=str(result.arrays["systems"][i])) for i in order)
    return Table("Ligands, the worst one first", columns, rows, targets)


def _verdicts(result: Result, figures: Figures) -> list[str]:
    """Whether the predictions are worth more than no model, and than counting atoms."""
    ours, atoms, null = figures[OURS], figures[ATOMS], figures[NULL]
    said = []
    if ours["rmse"][0] >= null["rmse"][0]:
        said.append(f"Saying the mean for every ligand has no larger error (RMSE {null['rmse'][0]:.2f} kcal/mol) than the predictions ({ours['rmse'][0]:.2f}).")
    return said + _against_atoms(ours["tau"][0], atoms["tau"][0], result)


def _remarks(result: Result, wrong: list[str]) -> list[str]:
    said = []
    if wrong:
        said.append(f"Far off: {', '.join(wrong)}. Look at the pose, protonation and strain of {'these' if len(wrong) > 1 else 'this one'} first.")
    if result.values["ligands"] < FEW:
        said.append(f"{result.values['ligands']:.0f} ligands are few: the intervals are wide, and themselves rough.")
    return said


def _against_atoms(ours: float, atoms: float, result: Result) -> list[str]:
    if not np.isfinite(ours):
        return ["All predictions are equal: there is no ranking."]
    if np.isfinite(atoms) and ours <= atoms:
        return [f"Counting heavy atoms ranks these ligands as well (tau {atoms:.2f}) as the predictions do ({ours:.2f})."]
    if result.values.get("tau_over_atoms_low", 0.0) <= 0.0:
        return [f"The ranking (tau {ours:.2f}) is better than that by heavy atoms ({atoms:.2f}), but with so few ligands that may be chance."]
    return []


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None
