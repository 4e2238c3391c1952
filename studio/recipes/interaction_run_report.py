"""What people see of interactions along a run: bars with errors, a map of residues and time, contacts and hydrogen bonds.

Knows results as named numbers and arrays; must not know how they were computed.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from studio.recipes.interaction_report import SHOWN, VACUUM, leading, number, painted, potentials_of, residue_atoms
from studio.recipes.ligand import titled
from studio.report import Bars, Chart, Curve, Curves, Group, Heat, Report, Shape, Table, Target
from studio.result import Result
from studio.structure import Integers, Structure

SELDOM = 0.05
"""Contacts and hydrogen bonds that are there in a smaller share of the frames are not listed."""
COLUMNS = 200
"""Frames of the map at most."""

Arrays = Mapping[str, NDArray[Any]]


def run_report(result: Result, molecule: Structure | None) -> Report:
    """The report of a run.

    Args:
        result: Of an `InteractionRun`, without a failure.
        molecule: That was kept with it.
    """
    arrays, values = result.arrays, result.values
    rows = leading(arrays["mm_kcal_mol"], arrays["distances_nm"].min(axis=0))
    names = potentials_of(result)
    charts: list[Chart] = [_map(arrays, molecule, rows), _bars(arrays, molecule, rows, names)]
    charts += [table for table in (_bonds(arrays), _contacts(arrays, molecule)) if table.rows]
    charts.append(_along(arrays))
    error = f" ± {values['mm_error_kcal_mol']:.1f}" if "mm_error_kcal_mol" in values else ""
    headline = (
        f"Interaction energy of the ligand with everything around it: {values['mm_kcal_mol']:.1f}{error} kcal/mol (MM, vacuum, mean over "
        f"{values['frames']:.0f} frames); {values['hydrogen_bonds']:.1f} hydrogen bonds and {values['contacts']:.1f} residues in contact in the mean."
    )
    shapes = (Shape("start of the run", molecule.positions, shown=True),) if molecule is not None else ()
    return Report(headline, tuple(charts), molecule, shapes, painted(arrays, molecule, rows, arrays["mm_kcal_mol"]), (VACUUM, *result.notes))


def _targets(arrays: Arrays, molecule: Structure | None, rows: Integers) -> tuple[Target, ...]:
    return tuple(Target(atoms=residue_atoms(arrays, molecule, row)) for row in rows.tolist())


def _map(arrays: Arrays, molecule: Structure | None, rows: Integers) -> Heat:
    every = max(1, -(-len(arrays["time_ps"]) // COLUMNS))
    energies = arrays["frames_kcal_mol"].sum(axis=2)[::every, rows].T
    return Heat(
        "Residues along the run", "kcal/mol", "time (ps)", "residue", tuple(f"{time:g}" for time in arrays["time_ps"][::every]),
        tuple(str(arrays["rows"][row]) for row in rows), tuple(tuple(map(float, line)) for line in energies), centred=True,
        targets=_targets(arrays, molecule, rows),
    )  # fmt: skip


def _bars(arrays: Arrays, molecule: Structure | None, rows: Integers, names: Sequence[str]) -> Bars:
    groups = tuple(
        Group(title, tuple(map(number, arrays[f"{name}_kcal_mol"][rows])), tuple(map(number, arrays[f"{name}_error_kcal_mol"][rows])))
        for title, name in (("MM", "mm"), *((titled(name), name) for name in names))
    )
    labels = tuple(str(arrays["rows"][row]) for row in rows)
    return Bars("Interaction with each residue, mean over the run", "kcal/mol", labels, groups, targets=_targets(arrays, molecule, rows), note=VACUUM)


def _often(shares: NDArray[Any]) -> list[int]:
    """Indices of what is there often enough, the most frequent first."""
    order = np.argsort(-shares, kind="stable")
    return [int(index) for index in order if shares[index] >= SELDOM]


def _bonds(arrays: Arrays) -> Table:
    often = _often(arrays["occupancy"])
    rows = tuple((str(arrays["hydrogen_bonds"][k]), 100.0 * float(arrays["occupancy"][k]), number(100.0 * arrays["occupancy_error"][k])) for k in often)
    targets = tuple(Target(atoms=tuple(arrays["hydrogen_bond_atoms"][k].tolist())) for k in often)
    return Table("Hydrogen bonds", ("from the ligand's atom", "there in (%)", "error (%)"), rows, targets, "H to acceptor below 2.5 Å, angle at H above 120°.")


def _contacts(arrays: Arrays, molecule: Structure | None) -> Table:
    often = _often(arrays["contact"])[: 2 * SHOWN]
    nearest = 10.0 * arrays["distances_nm"].mean(axis=0)
    rows = tuple(
        (
            str(arrays["rows"][k]), 100.0 * float(arrays["contact"][k]), number(100.0 * arrays["contact_error"][k]), float(nearest[k]),
            float(arrays["mm_kcal_mol"][k]),
        )
        for k in often
    )  # fmt: skip
    columns = ("residue", "in contact (%)", "error (%)", "nearest, mean (Å)", "MM (kcal/mol)")
    return Table("Contacts", columns, rows, _targets(arrays, molecule, np.array(often, dtype=np.int64)), "Heavy atoms within 4.5 Å.")


def _along(arrays: Arrays) -> Curves:
    times, parts = tuple(arrays["time_ps"].tolist()), arrays["frames_kcal_mol"].sum(axis=1)
    targets = tuple(Target(frame=int(index)) for index in arrays["frame"])
    curves = (
        Curve("sum", times, tuple(parts.sum(axis=1).tolist()), style="points", targets=targets),
        Curve("Coulomb", times, tuple(parts[:, 0].tolist())),
        Curve("Lennard-Jones", times, tuple(parts[:, 1].tolist())),
    )
    return Curves("Interaction energy along the run", "time (ps)", "kcal/mol", curves)
