"""What people see of interaction energies: bars and colours by residue, hydrogen bonds, and how far to trust them.

Knows results as named numbers and arrays; must not know how they were computed.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from studio.recipes.ligand import titled
from studio.report import Bars, Chart, Group, Number, Painted, Report, Shape, Table, Target
from studio.result import Result
from studio.structure import Floats, Integers, Structure

SHOWN = 15
"""Residues that get a bar."""
NEAR = 0.6
"""Those with a heavy atom this close to one of the ligand come first, nm: far charges are large in vacuum and mean little."""
APART = 4.0
"""A potential and MM that differ by more about a charged residue are worth a sentence, kcal/mol."""
CHARGED = ("ASP", "GLU", "LYS", "ARG", "HIP", "CYM")
PLA15 = (
    "A pocket as one molecule in the gas phase is a hard case: against coupled cluster (PLA15 set) mean errors are 3.8 kcal/mol for PM6-ML, 7.5 for g-xTB, "
    "10.6 for GFN2-xTB, 13.7 to 16.3 for UMA networks and 40 for AIMNet2. Do not rank ligands by it."
)
VACUUM = "Energies between charges are those in vacuum: nothing screens them, so that charged residues look larger than they are in water."


def potentials_of(result: Result) -> list[str]:
    """Names of the potentials that answered, besides MM.

    Args:
        result: Of an `Interaction`.
    """
    return [name for name in result.recipe["potentials"] if f"{name}_kcal_mol" in result.arrays]


def leading(energies: Floats, distances: Floats) -> Integers:
    """Indices of the rows that get a bar: those near the ligand with the largest energies, the most attractive first.

    Args:
        energies: Of each row, kcal/mol.
        distances: Of each row from the ligand, nm.
    """
    near = np.flatnonzero(distances <= NEAR)
    largest = near[np.argsort(-np.abs(energies[near]), kind="stable")][:SHOWN]
    return np.asarray(largest[np.argsort(energies[largest], kind="stable")])


def residue_atoms(arrays: Mapping[str, NDArray[Any]], molecule: Structure | None, row: int) -> tuple[int, ...]:
    """Atoms of a row, none for water and salt.

    Args:
        arrays: Of a result with `row_residue` and `ligand_atoms`.
        molecule: That was kept with it.
        row: Which.
    """
    residue = int(arrays["row_residue"][row])
    if molecule is None or residue < 0:
        return ()
    atoms = np.flatnonzero(molecule.residue_index == residue)
    return tuple(np.setdiff1d(atoms, arrays["ligand_atoms"]).tolist())


def pose_report(result: Result, molecule: Structure | None) -> Report:
    """The report of one pose.

    Args:
        result: Of an `Interaction`, without a failure.
        molecule: That was kept with it.
    """
    arrays, values = result.arrays, result.values
    total, names = arrays["mm_kcal_mol"].sum(axis=1), potentials_of(result)
    rows = leading(total, arrays["row_distance_nm"])
    charts: list[Chart] = [_bars(arrays, molecule, rows, names), _totals(values, names)]
    if len(arrays["hydrogen_bonds"]):
        charts.append(_bonds(arrays))
    charts.append(_table(arrays, molecule, rows, names))
    shapes = _shapes(arrays) if molecule is not None else ()
    return Report(_headline(result, rows), tuple(charts), molecule, shapes, painted(arrays, molecule, rows, total), (*warnings(result, names), *result.notes))


def _headline(result: Result, rows: Integers) -> str:
    arrays, total = result.arrays, result.arrays["mm_kcal_mol"].sum(axis=1)
    best = [f"{arrays['rows'][row]} ({total[row]:.1f})" for row in rows[:3] if total[row] < 0.0]
    bonds = len(arrays["hydrogen_bonds"])
    held = f"; the strongest are {', '.join(best)}" if best else ""
    return (
        f"Interaction energy of the ligand with everything around it: {result.values['mm_kcal_mol']:.1f} kcal/mol (MM, vacuum){held}; "
        f"{bonds or 'no'} hydrogen bond{'' if bonds == 1 else 's'}. This is no binding free energy: water and entropy are not in it."
    )


def _bars(arrays: Mapping[str, NDArray[Any]], molecule: Structure | None, rows: Integers, names: Sequence[str]) -> Bars:
    """Coulomb, Lennard-Jones, and what the other potentials say, side by side."""
    parts = arrays["mm_kcal_mol"]
    labels = [str(arrays["rows"][row]) for row in rows]
    rest = np.setdiff1d(np.arange(len(parts)), rows)
    groups = [
        Group(name, tuple(column))
        for name, column in (
            ("MM", [*parts[rows].sum(axis=1), parts[rest].sum()]),
            ("MM Coulomb", [*parts[rows, 0], parts[rest, 0].sum()]),
            ("MM Lennard-Jones", [*parts[rows, 1], parts[rest, 1].sum()]),
        )
    ]
    groups += [Group(titled(name), (*map(number, arrays[f"{name}_kcal_mol"][rows]), None)) for name in names]
    targets = (*(Target(atoms=residue_atoms(arrays, molecule, row)) for row in rows.tolist()), Target())
    return Bars("Interaction with each residue", "kcal/mol", (*labels, "all others"), tuple(groups), targets=targets, note=VACUUM)


def number(value: float) -> Number:
    """None where there is no number."""
    return float(value) if np.isfinite(value) else None


def _totals(values: Mapping[str, float], names: Sequence[str]) -> Table:
    rows: list[tuple[str | Number, ...]] = [("MM", values["mm_kcal_mol"], values["mm_rows_kcal_mol"], None)]
    rows += [(titled(name), None, values.get(f"{name}_rows_kcal_mol"), values.get(f"{name}_cluster_kcal_mol")) for name in names]
    about = ""
    if "cluster_atoms" in values:
        about = f"The cluster has {values['cluster_atoms']:.0f} atoms, no water, and the charge {values['cluster_charge_e']:+.0f}. {PLA15}"
    return Table("All residues together", ("says", "everything (kcal/mol)", "residues near (kcal/mol)", "as one cluster (kcal/mol)"), tuple(rows), note=about)


def _bonds(arrays: Mapping[str, NDArray[Any]]) -> Table:
    places = arrays["pose_nm"]
    rows = tuple(
        (str(name), 10.0 * float(np.linalg.norm(places[atoms[1]] - places[atoms[2]])))
        for name, atoms in zip(arrays["hydrogen_bonds"], arrays["hydrogen_bond_atoms"], strict=True)
    )
    targets = tuple(Target(atoms=tuple(atoms)) for atoms in arrays["hydrogen_bond_atoms"].tolist())
    return Table("Hydrogen bonds", ("from the ligand's atom", "H to acceptor (Å)"), rows, targets, "Closer than 2.5 Å and less bent than 120 degrees at H.")


def _table(arrays: Mapping[str, NDArray[Any]], molecule: Structure | None, rows: Integers, names: Sequence[str]) -> Table:
    columns = ("residue", "nearest (Å)", "Coulomb", "Lennard-Jones", "MM", *map(titled, names))
    cells = tuple(
        (
            str(arrays["rows"][row]), 10.0 * float(arrays["row_distance_nm"][row]), *map(float, arrays["mm_kcal_mol"][row]),
            float(arrays["mm_kcal_mol"][row].sum()),
            *(number(arrays[f"{name}_kcal_mol"][row]) for name in names),
        )
        for row in rows
    )  # fmt: skip
    return Table("Residues near the ligand (kcal/mol)", columns, cells, tuple(Target(atoms=residue_atoms(arrays, molecule, row)) for row in rows.tolist()))


def _shapes(arrays: Mapping[str, NDArray[Any]]) -> tuple[Shape, ...]:
    moved = not np.array_equal(arrays["pose_nm"], arrays["given_nm"])
    return (Shape("relaxed pose" if moved else "pose", arrays["pose_nm"], shown=True), *((Shape("pose as given", arrays["given_nm"]),) if moved else ()))


def painted(arrays: Mapping[str, NDArray[Any]], molecule: Structure | None, rows: Integers, energies: Floats) -> tuple[Painted, ...]:
    """Residues in the colour of their energy.

    Args:
        arrays: Of a result with `row_residue` and `ligand_atoms`.
        molecule: That was kept with it.
        rows: Which rows are coloured.
        energies: Of all rows, kcal/mol.
    """
    chosen = [(atoms, float(energies[row])) for row in rows.tolist() if (atoms := residue_atoms(arrays, molecule, row))]
    if not chosen:
        return ()
    places, values = zip(*chosen, strict=True)
    return (Painted("Interaction by MM (kcal/mol)", places, values, centred=True),)


def warnings(result: Result, names: Sequence[str]) -> list[str]:
    """What to know before the numbers are believed.

    Args:
        result: Of an `Interaction`.
        names: Potentials that answered.
    """
    told = [PLA15] if any(f"{name}_cluster_kcal_mol" in result.values for name in names) else []
    mm, rows = result.arrays["mm_kcal_mol"].sum(axis=1), result.arrays["rows"]
    for name in (each for each in names if each != "gfn2-xtb"):
        away = np.abs(result.arrays[f"{name}_kcal_mol"] - mm) > APART
        odd = [str(row) for row, far in zip(rows, away, strict=True) if far and str(row).startswith(CHARGED)]
        if odd:
            told.append(
                f"{titled(name)} and MM differ by more than {APART:g} kcal/mol about the charged {', '.join(odd)}: many networks spread a charge over all "
                "(SO3LR was 6 to 10 kcal/mol off GFN2-xTB for carboxylates of TYK2). Ask GFN2-xTB before you believe them."
            )
    return told
