"""What people see of a binding free energy: the number, whether to believe it, and how it came about."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from studio.report import Bars, Chart, Curve, Curves, Group, Heat, Line, Report, Table
from studio.result import Result
from studio.structure import Structure
from studio.transfer_estimate import POOR, TransferEstimate


def values_of(found: TransferEstimate, standard: float, sign: float = 1.0) -> tuple[dict[str, float], dict[str, NDArray[Any]]]:
    """Values and arrays of a result.

    Args:
        found: What the windows say.
        standard: Free energy of bringing the ligand from 1 mol/l into the site, kcal/mol.
        sign: +1 for the bound end less the unbound one; -1 for the second ligand less the first.
    """
    kt, curve = found.kt, found.converging
    profile, errors = found.profile
    neighbours = np.minimum(np.diagonal(found.overlap, 1), np.diagonal(found.overlap, -1))
    values: dict[str, float] = {
        "dg_kcal_mol": sign * kt * found.difference.value + standard,
        "dg_error_kcal_mol": kt * found.difference.error,
        "dg_site_kcal_mol": sign * kt * found.difference.value,
        "dg_standard_state_kcal_mol": standard,
        "dg_bar_kcal_mol": sign * kt * found.by_bar.value + standard,
        "dg_bar_error_kcal_mol": kt * found.by_bar.error,
        "halves_apart_kcal_mol": float(kt * abs(found.halves[0].value - found.halves[1].value)),
        "least_overlap": float(neighbours.min()),
        "samples": float(found.samples.sum()),
    }
    arrays: dict[str, NDArray[Any]] = {
        "overlap": found.overlap, "profile_kcal_mol": profile, "profile_error_kcal_mol": errors, "samples": found.samples,
        "inefficiency": found.inefficiencies, "fraction": curve.fractions,
        "forward_kcal_mol": sign * kt * curve.forward + standard, "forward_error_kcal_mol": kt * curve.forward_errors,
        "reverse_kcal_mol": sign * kt * curve.reverse + standard, "reverse_error_kcal_mol": kt * curve.reverse_errors,
    }  # fmt: skip
    # What is not known is left out: JSON has no word for it.
    return {name: value for name, value in values.items() if np.isfinite(value)}, arrays


def absolute_report(result: Result, molecule: Structure | None) -> Report:
    """Of an absolute binding free energy.

    Args:
        result: Without a failure.
        molecule: Host and ligand.
    """
    values = result.values
    told = f"{values['dg_kcal_mol']:.1f} ± {_error(result)} kcal/mol ({_method(result)}, 1 mol/l)"
    headline = f"Standard free energy of binding: {told}.{_doubt(result)}"
    charts = (_convergence(result, "ΔG of binding"), *_how(result, ("bound", "unbound")), _parts(result))
    return Report(headline, charts, molecule, warnings=_warnings(result))


def relative_report(result: Result, molecule: Structure | None) -> Report:
    """Of a relative one.

    Args:
        result: Without a failure.
        molecule: Host and ligands.
    """
    values = result.values
    how = "more weakly" if values["dg_kcal_mol"] > 0 else "more strongly"
    told = f"by {abs(values['dg_kcal_mol']):.1f} ± {_error(result)} kcal/mol ({_method(result)})"
    headline = f"The second ligand binds {how} than the first one, {told}.{_doubt(result)}"
    charts = (_convergence(result, "ΔΔG of binding, second less first"), *_how(result, ("first bound", "second bound")), _parts(result, relative=True))
    return Report(headline, charts, molecule, warnings=_warnings(result))


def _error(result: Result) -> str:
    error = result.values.get("dg_error_kcal_mol")
    return "unknown" if error is None else f"{error:.1f}"


def _numbers(values: NDArray[Any]) -> tuple[float | None, ...]:
    """For a chart, none where there is no number."""
    return tuple(float(value) if np.isfinite(value) else None for value in values)


def _errors(values: NDArray[Any]) -> tuple[float | None, ...]:
    """Likewise; no errors at all where none is known."""
    return _numbers(values) if np.isfinite(values).any() else ()


def _method(result: Result) -> str:
    network = result.recipe.get("network") or ""
    return f"{f'{network} for the ligand, MM around it' if network else 'molecular mechanics'}, {result.recipe.get('temperature', 300.0):g} K"


def _doubt(result: Result) -> str:
    return " Do not trust this number yet." if result.values["doubts"] else ""


def _warnings(result: Result) -> tuple[str, ...]:
    return tuple(note for note in result.notes if note.startswith(("Do not trust", "Stopped")))


def _convergence(result: Result, what: str) -> Curves:
    """The number from growing parts of the samples."""
    arrays = result.arrays
    fractions = tuple(100 * arrays["fraction"])
    return Curves(
        "Does it settle?",
        "samples used (%)",
        f"{what} (kcal/mol)",
        tuple(
            Curve(name, fractions, _numbers(arrays[f"{key}_kcal_mol"]), _errors(arrays[f"{key}_error_kcal_mol"]))
            for name, key in (("from the first sample on", "forward"), ("from the last one back", "reverse"))
        ),
        lines=(Line(result.values["dg_kcal_mol"], "all samples"),),
        note="Both curves should lie within their errors of each other well before the end. Where they do not, sample longer.",
    )


def _how(result: Result, ends: tuple[str, str]) -> tuple[Chart, ...]:
    """Windows: free energies, overlap, energies."""
    arrays = result.arrays
    strengths, directions = arrays["lambda"], arrays["direction"]
    names = tuple(f"{k + 1}" for k in range(len(strengths)))
    profile, errors = arrays["profile_kcal_mol"], arrays["profile_error_kcal_mol"]
    steps = Bars(
        f"Free energy of each window above the end '{ends[1]}'",
        "kcal/mol",
        (ends[0], *names, ends[1]),
        (Group("free energy", _numbers(profile), _errors(errors)),),
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
        "Energy between the ends",
        f"U({ends[0]}) - U({ends[1]}) (kcal/mol)",
        "density (mol/kcal)",
        tuple(
            Curve(f"window {k + 1} (λ {strengths[k]:.2g}{', from the bound end' if directions[k] > 0 else ''})", tuple(arrays["gap_kcal_mol"].tolist()),
                  tuple(arrays["gap_density"][k].tolist()))
            for k in shown
        ),
        note="Neighbouring windows must share energies. What is capped by the soft core lies in the last bin.",
    )  # fmt: skip
    return steps, overlap, energies


def _parts(result: Result, relative: bool = False) -> Table:
    """What the number is made of."""
    values = result.values
    parts: list[tuple[str | float | None, ...]] = [
        ("in the site", values["dg_site_kcal_mol"], values.get("dg_error_kcal_mol")),
        ("standard state (1 mol/l to the site)", values["dg_standard_state_kcal_mol"], None),
    ]
    rows = ([] if relative else parts) + [
        ("difference, MBAR" if relative else "free energy of binding, MBAR", values["dg_kcal_mol"], values.get("dg_error_kcal_mol")),
        ("the same by BAR, a check", values["dg_bar_kcal_mol"], values.get("dg_bar_error_kcal_mol")),
    ]
    note = (
        f"{values['samples']:.0f} uncorrelated samples of {values['sweeps']:.0f} sweeps over {len(result.arrays['lambda'])} windows, "
        f"{values['ps_per_window']:.0f} ps each; {values['copies_crossing']:.0f} or more copies crossed each place on the way, "
        f"{values['copies_all_the_way']:.0f} went all of it."
    )
    return Table("What it is made of", ("part", "kcal/mol", "± kcal/mol"), tuple(rows), note=note)
