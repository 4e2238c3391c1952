"""Against experiment: predictions of a series beside measured free energies of binding, and beside what has to be beaten."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from studio.errors import SettingsError
from studio.experiment import ENERGIES, FEWEST, STATISTICS, Agreement, agreement, difference, fitted
from studio.recipes.base import Study
from studio.recipes.experiment_report import ATOMS, NULL, OURS, WEIGHT, report
from studio.recipes.lasting import Lasting
from studio.recipes.predictions import Predictions, predictions
from studio.recipes.series import AnySeries, Series
from studio.recipes.work import Watch
from studio.report import Report
from studio.result import Result, versions
from studio.structure import Floats, Structure
from studio.system import FromTarget, Pocket, System

SCALE = (
    "The predictions were shifted so that their mean is that of the measurements: end-point energies, strain and relative free energies have no absolute scale."
)


class AgainstExperiment(Lasting):
    """Predicted against measured free energies of binding.

    Args:
        source: The ligands; those of bundled targets bring measured values.
        predictions: Folder of a series result, or CSV.
        quantity: Which of its numbers.
        added: Folder or CSV of numbers that are added, such as strain.
        measured: CSV of measured values, for ligands that bring none.
        shifted: Compare after giving the predictions the mean of the measurements.
        seed: Random seed of the bootstrap.

    `values` has rmse_kcal_mol, mae_kcal_mol, tau and r with their intervals (rmse_low_kcal_mol, ...), shift_kcal_mol and ligands.

    `arrays` has for each ligand names, measured_dG_kcal_mol, predicted_kcal_mol (as given), predicted_error_kcal_mol, compared_kcal_mol (shifted),
    heavy_atoms, weight_da and systems (JSON); and methods, statistics and figures (methods, statistics, 3): value, low, high.
    """

    study: ClassVar[Study] = Study(
        "Predictions against experiment",
        "How well numbers of a series agree with measured affinities, how sure that is, and whether counting atoms does as well. Seconds.",
        "series",
    )

    kind: Literal["against_experiment"] = "against_experiment"
    version: Literal[1] = 1
    source: AnySeries
    predictions: Annotated[
        str,
        Field(
            title="Predictions",
            description="Folder of the result of a series (strain, interaction, end-point), or a CSV file with name, value in kcal/mol and, if known, its "
            "error. Left empty, only what has to be beaten is shown: the mean, and counting atoms.",
        ),
    ] = ""
    quantity: Annotated[
        str, Field(title="Which number", description="Name of the number or column, if there are several; left empty, the first energy is taken.")
    ] = ""
    added: Annotated[
        str,
        Field(title="Add to them", description="Folder or CSV file of what is added to the predictions, such as the strain of the poses."),
    ] = ""
    measured: Annotated[
        str,
        Field(title="Measured values", description="CSV file with name and measured free energy of binding (kcal/mol); the bundled series bring theirs."),
    ] = ""
    shifted: Annotated[
        bool,
        Field(title="Shift to the measured mean", description="For methods without an absolute scale. Only absolute binding free energies can do without."),
    ] = True
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0

    def answer(self, structure: Structure | None, watch: Watch, folder: Path | None) -> Result:
        """Compare; what has no prediction or no measurement is a note. It takes seconds, and nothing is kept."""
        return self._compared(*self._ligands(watch))

    def _ligands(self, watch: Watch) -> tuple[list["_Ligand"], list[str]]:
        """All ligands of which both is known, and sentences about the others."""
        parts = [predictions(place, quantity) for place, quantity in ((self.predictions, self.quantity), (self.added, "")) if place]
        told = predictions(self.measured).values if self.measured else {}
        series = {name: (system, told.get(name, affinity)) for name, system, affinity in self.source.systems()}
        chosen, notes = _known({name: affinity for name, (_, affinity) in series.items()}, parts)
        ligands = []
        for number, name in enumerate(chosen):
            watch(number / len(chosen), f"Reading {name}")
            ligands.append(_Ligand(name, *series[name], parts))
        return ligands, notes

    def _compared(self, ligands: list["_Ligand"], notes: list[str]) -> Result:
        measured = np.array([ligand.measured for ligand in ligands])
        features = {ATOMS: np.array([ligand.heavy for ligand in ligands]), WEIGHT: np.array([ligand.weight for ligand in ligands])}
        given = np.array([ligand.predicted for ligand in ligands]) if self.predictions else fitted(features[ATOMS], measured)
        shifted = self.shifted and bool(self.predictions)
        found = {OURS if self.predictions else ATOMS: agreement(given, measured, shifted=shifted, seed=self.seed)}
        found[NULL] = agreement(np.full(len(measured), measured.mean()), measured, shifted=False, seed=self.seed)
        found |= {name: agreement(fitted(feature, measured), measured, shifted=False, seed=self.seed) for name, feature in features.items()}
        ours = next(iter(found.values()))
        if shifted:
            notes = [SCALE, *notes]
        values = {"ligands": float(len(ligands)), "shift_kcal_mol": ours.shift} | _values(ours)
        arrays = _arrays(ligands, measured, given, ours, found)
        values |= _margins(found)
        return Result({}, values, arrays, versions() | {"intervals": f"95 %, bootstrap over ligands, seed {self.seed}"}, tuple(notes))

    def report(self, result: Result, molecule: Structure | None = None) -> Report:
        """Scatter plot, statistics beside what has to be beaten, published figures, and the ligands from the worst one on.

        Args:
            result: Of this recipe.
            molecule: Not used.
        """
        return report(result, self.target, predicted=bool(self.predictions), shifted=self.shifted)

    @property
    def target(self) -> str:
        """Name of the bundled target; empty if it is none."""
        return self.source.target if isinstance(self.source, Series) else ""


class _Ligand:
    """One ligand, with all that is known of it."""

    def __init__(self, name: str, system: System, measured: float | None, parts: Sequence[Predictions]) -> None:
        structure = system.prepare()
        self.name, self.measured = name, float(measured or 0.0)
        self.heavy, self.weight = float((structure.numbers > 1).sum()), _weight(structure)
        self.predicted = sum(part.values[name] for part in parts)
        errors = [part.errors.get(name, np.nan) for part in parts]
        self.error = float(np.sqrt(np.square(errors).sum())) if errors else np.nan
        self.system = _opened(system).model_dump_json()


def _opened(system: System) -> System:
    """What is opened when a ligand is chosen: in its pocket, where the protein is known."""
    if not isinstance(system.source, FromTarget):
        return system
    return system.model_copy(update={"source": system.source.model_copy(update={"complex": True}), "surroundings": Pocket()})


def _weight(structure: Structure) -> float:
    from rdkit import Chem

    table = Chem.GetPeriodicTable()
    return float(sum(table.GetAtomicWeight(int(number)) for number in structure.numbers))


def _known(measured: Mapping[str, float | None], parts: Sequence[Predictions]) -> tuple[list[str], list[str]]:
    """Ligands with a measurement and all predictions, and sentences about the others.

    Raises:
        SettingsError: Too few.
    """
    notes = _unmatched("measured value", [name for name, affinity in measured.items() if affinity is None])
    for part in parts:
        notes += _unmatched("prediction", [name for name in measured if name not in part.values])
        notes += _unmatched("ligand of the series", [name for name in part.values if name not in measured])
    chosen = [name for name, affinity in measured.items() if affinity is not None and all(name in part.values for part in parts)]
    if len(chosen) < FEWEST:
        raise SettingsError(
            f"Expected at least {FEWEST} ligands with both a prediction and a measured value, got {len(chosen)}. {' '.join(notes)} "
            "Check that the names are those of the series."
        )
    return chosen, notes


def _unmatched(what: str, names: list[str]) -> list[str]:
    return [f"Without a {what}, and left out: {', '.join(names)}."] if names else []


def _values(ours: Agreement) -> dict[str, float]:
    """The statistics by name, those in kcal/mol with their unit; what is not a number is left out."""
    values: dict[str, float] = {}
    for name, figure in ours.figures.items():
        unit = "_kcal_mol" if name in ENERGIES else ""
        values |= {f"{name}{unit}": figure.value, f"{name}_low{unit}": figure.low, f"{name}_high{unit}": figure.high}
    return {name: value for name, value in values.items() if np.isfinite(value)}


def _margins(found: dict[str, Agreement]) -> dict[str, float]:
    """Intervals of how much larger our tau is than that of counting atoms, where we have predictions of our own."""
    if OURS not in found:
        return {}
    low, high = difference(found[OURS], found[ATOMS], "tau")
    return {"tau_over_atoms_low": low, "tau_over_atoms_high": high} if np.isfinite([low, high]).all() else {}


def _arrays(ligands: list[_Ligand], measured: Floats, given: Floats, ours: Agreement, found: dict[str, Agreement]) -> dict[str, NDArray[np.generic]]:
    figures = [[[figure.value, figure.low, figure.high] for figure in part.figures.values()] for part in found.values()]
    return {
        "names": np.array([ligand.name for ligand in ligands], dtype=np.str_), "measured_dG_kcal_mol": measured, "predicted_kcal_mol": given,
        "predicted_error_kcal_mol": np.array([ligand.error for ligand in ligands]), "compared_kcal_mol": ours.predicted,
        "heavy_atoms": np.array([ligand.heavy for ligand in ligands]), "weight_da": np.array([ligand.weight for ligand in ligands]),
        "systems": np.array([ligand.system for ligand in ligands], dtype=np.str_), "methods": np.array(list(found), dtype=np.str_),
        "statistics": np.array(list(STATISTICS), dtype=np.str_), "figures": np.array(figures),
    }  # fmt: skip
