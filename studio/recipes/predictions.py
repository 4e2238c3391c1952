"""Predictions: a number for each ligand of a series, from the folder of a kept result or from a table.

Knows results and CSV text; must not know what the numbers are compared with.
"""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from studio.errors import SettingsError
from studio.files import storage
from studio.result import PROVENANCE, Result

MAX_MEGABYTES = 5.0
UNIT = "_kcal_mol"
SPREADS = ("_error_kcal_mol", "_spread_kcal_mol")
"""Endings of numbers that say how sure others are."""
NAMES = "names"
"""Array of a series result that says which row belongs to which ligand."""


@dataclass(frozen=True)
class Predictions:
    """Numbers by the names of ligands.

    Args:
        quantity: What they are.
        values: kcal/mol.
        errors: Standard errors, kcal/mol, where they are known.
    """

    quantity: str
    values: Mapping[str, float]
    errors: Mapping[str, float]


def predictions(place: str, quantity: str = "") -> Predictions:
    """Read them.

    Args:
        place: Folder of the result of a series, or a CSV file: name, value in kcal/mol and, if known, its standard error.
        quantity: Which numbers of a result, or which column of a table with headings; the first that there is when left out.

    Raises:
        SettingsError: There are no such numbers, or two of one name; the sentence says what there is.
        StorageError: The place cannot be read, or its result is damaged.
    """
    path = Path(place)
    return _of_result(path, quantity) if path.is_dir() else _of_table(path, quantity)


def _of_result(folder: Path, quantity: str) -> Predictions:
    if not (folder / PROVENANCE).exists():
        raise SettingsError(f"There is no finished result in {folder}. Choose the folder of a series that is done, or a CSV file.")
    result = Result.kept(folder)
    if NAMES not in result.arrays:
        raise SettingsError(f"The result in {folder} is not that of a series: it names no ligands. Choose the folder of a series, or a CSV file.")
    names = [str(name) for name in result.arrays[NAMES]]
    columns = _columns(result, len(names))
    chosen = quantity or next((name for name in columns if not name.endswith(SPREADS)), "")
    if chosen not in columns:
        raise SettingsError(f"The result in {folder} has no numbers '{quantity}'. It has: {', '.join(columns) or 'none in kcal/mol'}.")
    errors = columns.get(chosen.replace(UNIT, f"_error{UNIT}"), np.full(len(names), np.nan))
    return _collected(chosen, zip(names, columns[chosen].tolist(), errors.tolist(), strict=True))


def _columns(result: Result, count: int) -> dict[str, "np.ndarray[tuple[int, ...], np.dtype[np.float64]]"]:
    """All energies that a result has for each ligand; where there is one for each potential, `energy_kcal_mol mm`, and their mean first."""
    potentials = [str(name) for name in result.arrays.get("potentials", ())]
    found = {}
    for name, array in result.arrays.items():
        if not name.endswith(UNIT) or name.startswith("measured") or array.ndim == 0 or len(array) != count:
            continue
        if array.ndim == 1:
            found[name] = array.astype(np.float64)
        elif array.shape == (count, len(potentials)):
            found[name] = array.mean(axis=1)
            found |= {f"{name} {potential}": array[:, column] for column, potential in enumerate(potentials)}
    return found


def _of_table(path: Path, quantity: str) -> Predictions:
    rows = _rows(path)
    heading = rows.pop(0) if _number(rows[0][1]) is None or "name" in rows[0] else []
    name, value, error = _places(heading, quantity, path.name) if heading else (0, 1, 2)
    cells = [(row[name], _at(row, value), _at(row, error)) for row in rows if name < len(row)]
    return _collected(heading[value] if heading else "predicted", cells)


def _rows(path: Path) -> list[list[str]]:
    """The cells of a table.

    Raises:
        SettingsError: It is none.
        StorageError: It cannot be read.
    """
    with storage(path.parent):
        if not path.is_file():
            raise SettingsError(f"There is no file or folder '{path}'. Give the folder of a series that is done, or a CSV file: name,value,error in kcal/mol.")
        if path.stat().st_size > MAX_MEGABYTES * 1e6:
            raise SettingsError(f"{path.name} is larger than {MAX_MEGABYTES:g} MB: expected a table with a line for each ligand.")
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    rows = [[cell.strip() for cell in row] for row in csv.reader(text.splitlines()) if "".join(row).strip()]
    if not rows or min(map(len, rows)) < 2:
        raise SettingsError(f"{path.name} is not a table of predictions. Expected lines such as: ejm_31,-9.5,0.4 (name, kcal/mol, standard error).")
    return rows


def _places(heading: list[str], quantity: str, file: str) -> tuple[int, int, int]:
    """Columns of name, value and standard error; a column that does not exist for what is not there."""
    if quantity and quantity not in heading:
        raise SettingsError(f"{file} has no column '{quantity}'. It has: {', '.join(heading)}.")
    name = heading.index("name") if "name" in heading else 0
    others = [title for column, title in enumerate(heading) if column != name]
    energies = [title for title in others if title.endswith(UNIT) and not title.endswith(SPREADS) and not title.startswith("measured")]
    wanted = quantity or next(iter(["value"] * ("value" in others) + energies + others))
    spreads = [title for title in (wanted.replace(UNIT, f"_error{UNIT}"), "error") if title in others and title != wanted]
    return name, heading.index(wanted), heading.index(spreads[0]) if spreads else len(heading)


def _at(row: list[str], column: int) -> float:
    number = _number(row[column]) if column < len(row) else None
    return float("nan") if number is None else number


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _collected(quantity: str, rows: Iterable[tuple[str, float, float]]) -> Predictions:
    values: dict[str, float] = {}
    errors: dict[str, float] = {}
    for name, value, error in rows:
        if name in values:
            raise SettingsError(f"There are two predictions for '{name}'. Give each ligand a name of its own.")
        if np.isfinite(value):
            values[name] = value
        if np.isfinite(error):
            errors[name] = error
    return Predictions(quantity, values, errors)
