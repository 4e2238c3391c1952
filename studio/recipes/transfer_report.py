"""What people see of a binding free energy: the number, whether to believe it, and how it came about."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from studio.report import Bars, Chart, Curve, Curves, Group, Heat, Line, Report, Table
from studio.result import Result
from studio.structure import Structure
from studio.transfer_estimate import POOR, TransferEstimate


def values_of(found: TransferEstimate, standard: float) -> tuple[dict[str, float], dict[str, NDArray[Any]]]:
    """Values and arrays of a result.

    Args:
        found: What the windows say.
        standard: Free energy of bringing the ligand from 1 mol/l into the site, kcal/mol.
    """
    kt, curve = found.kt, found.converging
    profile, errors = found.profile
    neighbours = np.minimum(np.diagonal(found.overlap, 1), np.diagonal(found.overlap, -1))
    values = {
        "dg_kcal_mol": kt * found.difference.value + standard,
        "dg_error_kcal_mol": kt * found.difference.error,
        "dg_site_kcal_mol": kt * found.difference.value,
        "dg_standard_state_kcal_mol": standard,
        "dg_bar_kcal_mol": kt * found.by_bar.value + standard,
        "dg_bar_error_kcal_mol": kt * found.by_bar.error,
        "halves_apart_kcal_mol": kt * abs(found.halves[0].value - found.halves[1].value),
        "least_overlap": float(neighbours.min()),
        "samples": float(found.samples.sum()),
        "copies_all_the_way": float(found.travelled),
        "doubts": float(len(found.doubts)),
    }
    arrays: dict[str, NDArray[Any]] = {
        "overlap": found.overlap, "profile_kcal_mol": profile, "profile_error_kcal_mol": errors, "samples": found.samples,
        "inefficiency": found.inefficiencies, "fraction": curve.fractions,
        "forward_kcal_mol": kt * curve.forward + standard, "forward_error_kcal_mol": kt * curve.forward_errors,
        "reverse_kcal_mol": kt * curve.reverse + standard, "reverse_error_kcal_mol": kt * curve.reverse_errors,
    }  # fmt: skip
    return values, arrays


def absolute_report(result: Result, molecule: Structure | None) -> Report:
    """Of an absolute binding free energy.

    Args:
        result: Without a failure.
        molecule: Host and ligand.
    """
    values = result.values
    warnings = [note for note in result.notes if note.startswith(("Do not trust", "Stopped"))]
    doubt = " Do not trust this number yet." if values["doubts"] else ""
    network = result.recipe.get("network") or ""
    by = f"{network} for the ligand, MM around it" if network else "molecular mechanics"
    headline = (
        f"Standard free energy of binding: {values['dg_kcal_mol']:.1f} ± {values['dg_error_kcal_mol']:.1f} kcal/mol "
        f"({by}, {result.recipe.get('temperature', 300.0):g} K, 1 mol/l).{doubt}"
    )
    return Report(headline, (_convergence(result, "ΔG of binding"), *_how(result), _parts(result)), molecule, warnings=tuple(warnings))


def _convergence(result: Result, what: str) -> Curves:
    """The number from growing parts of the samples."""
    arrays = result.arrays
    fractions = tuple(100 * arrays["fraction"])
    return Curves(
        "Does it settle?",
        "samples used (%)",
        f"{what} (kcal/mol)",
        tuple(
            Curve(name, fractions, tuple(arrays[f"{key}_kcal_mol"].tolist()), tuple(arrays[f"{key}_error_kcal_mol"].tolist()))
            for name, key in (("from the first sample on", "forward"), ("from the last one back", "reverse"))
        ),
        lines=(Line(result.values["dg_kcal_mol"], "all samples"),),
        note="Both curves should lie within their errors of each other well before the end. Where they do not, sample longer.",
    )


def _how(result: Result) -> tuple[Chart, ...]:
    """Windows: free energies, overlap, energies."""
    arrays = result.arrays
    strengths, directions = arrays["lambda"], arrays["direction"]
    names = tuple(f"{k + 1}" for k in range(len(strengths)))
    profile, errors = arrays["profile_kcal_mol"], arrays["profile_error_kcal_mol"]
    steps = Bars(
        "Free energy of each window above the unbound end",
        "kcal/mol",
        ("bound", *names, "unbound"),
        (Group("free energy", tuple(profile.tolist()), tuple(errors.tolist())),),
        note="Window 1 is at the bound end; the ligand is scaled out of its site towards the last one.",
    )
    overlap = Heat(
        "Overlap of the windows",
        "probability",
        "window",
        "window",
        names,
        names,
        tuple(tuple(row) for row in arrays["overlap"].tolist()),
        note=f"Chance that a sample of the row is one of the column. Beside the diagonal it should be {POOR:g} or more everywhere.",
    )
    shown = np.unique(np.linspace(0, len(names) - 1, min(6, len(names))).round().astype(int))
    energies = Curves(
        "Energy of the ligand in its site",
        "U(bound) - U(unbound) (kcal/mol)",
        "density (mol/kcal)",
        tuple(
            Curve(f"window {k + 1} (λ {strengths[k]:.2g}{', from the bound end' if directions[k] > 0 else ''})", tuple(arrays["gap_kcal_mol"].tolist()),
                  tuple(arrays["gap_density"][k].tolist()))
            for k in shown
        ),
        note="Neighbouring windows must share energies. What is capped by the soft core lies in the last bin.",
    )  # fmt: skip
    return steps, overlap, energies


def _parts(result: Result) -> Table:
    """What the number is made of."""
    values = result.values
    rows: list[tuple[str | float | None, ...]] = [
        ("in the site", values["dg_site_kcal_mol"], values["dg_error_kcal_mol"]),
        ("standard state (1 mol/l to the site)", values["dg_standard_state_kcal_mol"], None),
        ("free energy of binding, MBAR", values["dg_kcal_mol"], values["dg_error_kcal_mol"]),
        ("the same by BAR, a check", values["dg_bar_kcal_mol"], values["dg_bar_error_kcal_mol"]),
    ]
    note = (
        f"{values['samples']:.0f} uncorrelated samples of {values['sweeps']:.0f} sweeps over {len(result.arrays['lambda'])} windows, "
        f"{values['ps_per_window']:.0f} ps each; {values['copies_all_the_way']:.0f} copies went all the way from one end to the other."
    )
    return Table("What it is made of", ("part", "kcal/mol", "± kcal/mol"), tuple(rows), note=note)
