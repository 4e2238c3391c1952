"""What people see of an end-point binding energy: the number with its error, its components, how it settles along the run.

Knows results as named numbers and arrays; must not know how they were computed.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from studio.recipes.interaction_report import number
from studio.report import Chart, Curve, Curves, Line, Report, Shape, Table, Target
from studio.result import Result
from studio.structure import Structure

COMPONENTS = (
    ("Coulomb, ligand with receptor, in vacuum", "coulomb"),
    ("Lennard-Jones, ligand with receptor", "lennard_jones"),
    ("polar solvation lost", "polar"),
    ("nonpolar solvation", "nonpolar"),
    ("strain of the ligand", "strain"),
    ("sum", "binding"),
)
LEFT_OUT = (
    "Not in this number: the entropy lost on binding (10 to 25 kcal/mol), strain of the receptor, and water as molecules. "
    "It is far more negative than a measured free energy; only differences between similar ligands mean something."
)


def endpoint_report(result: Result, molecule: Structure | None) -> Report:
    """The report of a run or a pose.

    Args:
        result: Without a failure.
        molecule: That was kept with it.
    """
    values, arrays = result.values, result.arrays
    error = values.get("binding_error_kcal_mol")
    spread = "one relaxed frame, no error known" if error is None else f"± {error:.1f}, {values['frames']:.0f} frames"
    strain = f", of which {values['strain_kcal_mol']:.1f} is the ligand's strain" if "strain_kcal_mol" in values else ""
    headline = f"End-point binding energy {values['binding_kcal_mol']:.1f} kcal/mol ({spread}){strain}. For comparing similar ligands only."
    charts: list[Chart] = [_components(values)]
    if "running_frames" in arrays:
        charts = [_settling(arrays), *charts, _frames(arrays)]
    shapes = (Shape("pose", molecule.positions, shown=True),) if molecule is not None else ()
    return Report(headline, tuple(charts), molecule, shapes, warnings=(LEFT_OUT, *result.notes))


def _components(values: Mapping[str, float]) -> Table:
    rows = [(title, values[f"{name}_kcal_mol"], values.get(f"{name}_error_kcal_mol")) for title, name in COMPONENTS if f"{name}_kcal_mol" in values]
    return Table("Where it comes from", ("part", "mean (kcal/mol)", "error (kcal/mol)"), tuple(rows), note=LEFT_OUT)


def _settling(arrays: Mapping[str, NDArray[Any]]) -> Curves:
    """The mean of the first frames, with its error, and each frame."""
    counts = arrays["running_frames"]
    times = arrays["time_ps"][counts - 1]
    errors = tuple(0.0 if np.isnan(error) else float(error) for error in arrays["running_error_kcal_mol"])
    curves = (
        Curve("mean so far", tuple(times.tolist()), tuple(map(number, arrays["running_kcal_mol"])), errors),
        Curve(
            "frame", tuple(arrays["time_ps"].tolist()), tuple(map(number, arrays["binding_kcal_mol"])), style="points",
            targets=tuple(Target(frame=int(index)) for index in arrays["frame"]),
        ),
    )  # fmt: skip
    lines = (Line(float(arrays["running_kcal_mol"][-1]), "mean"),)
    note = "The mean has settled when it stays within its own error over the second half."
    return Curves("Does it settle?", "time (ps)", "binding energy (kcal/mol)", curves, lines=lines, note=note)


def _frames(arrays: Mapping[str, NDArray[Any]]) -> Curves:
    """The parts along the run, each around its mean."""
    times = tuple(arrays["time_ps"].tolist())
    curves = tuple(
        Curve(title, times, tuple((column - column.mean()).tolist())) for (title, _), column in zip(COMPONENTS[:4], arrays["terms_kcal_mol"].T, strict=True)
    )
    return Curves("Parts along the run, each less its mean", "time (ps)", "kcal/mol", curves, note="Coulomb and polar solvation move against each other.")
