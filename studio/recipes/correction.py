"""End-state correction: what a free energy or an ensemble by MM becomes when a network describes the ligand."""

from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from studio.conformers import rotatable
from studio.errors import SettingsError
from studio.internal import torsion_angles
from studio.recipes.base import Study
from studio.recipes.correction_leg import Estimated, Leg
from studio.recipes.correction_report import report
from studio.recipes.lasting import Lasting, keep_structure
from studio.recipes.strain import torsion_names
from studio.recipes.work import Watch, share
from studio.region import AnyRegion, Focus
from studio.report import Report
from studio.result import Result, versions
from studio.structure import Structure
from studio.units import BOLTZMANN, KJ_PER_KCAL

HELD = (
    "The run held bonds to hydrogen at their MM lengths, in the windows they are free: what lifting them costs is not in the correction, "
    "and cancels between two runs of the same ligand."
)
ROUNDED = "Recorded frames are stored to 0.001 nm, which blurs their brackets by about {blur:.1f} kcal/mol: the windows are not affected."


FEW = 30
"""Uncorrelated samples of a window below which its standard error is a guess."""
DRIFT = 3.0
"""Halves that are so many standard errors apart say that the windows drift."""


class EndStateCorrection(Lasting):
    """MM to NNP/MM, of one run or of the difference between two.

    Args:
        recording: Folder of an MM run.
        other: Folder of a second one, whose correction is subtracted.
        ligand: What the network describes.
        potential: Registered name of the network.
        lambdas: Where it is sampled, from 0 (MM) to 1 (NNP/MM).
        picoseconds: Length of each of these windows; 0 for none.
        frames: At most so many frames of the run are asked.
        seed: Random seed of the windows.

    `values` has correction_kcal_mol and its error_kcal_mol, where they can be believed: of one run relative to its first structure, of two their difference.

    For each leg (first, second) `arrays` has LEG_recorded_kj_mol (brackets of the frames), LEG_brackets_kj_mol and LEG_counts (windows), LEG_overlap,
    LEG_convergence_kcal_mol (5, p), LEG_estimates_kcal_mol (rows of LEG_estimators: value, error, effective samples, believed), LEG_angles_degrees (n, t),
    LEG_weights (2, n) by MM and by NNP/MM, LEG_torsions.
    """

    study: ClassVar[Study] = Study(
        "From MM to a network: end-state correction",
        "What the free energy and the shapes of a recorded MM run become when a network describes the ligand. A minute by reweighting, ten and more with "
        "sampling in between; no number is given where the two do not overlap.",
        "recording",
    )

    kind: Literal["end_state_correction"] = "end_state_correction"
    version: Literal[1] = 1
    recording: Annotated[str, Field(title="Run", description="A recorded run by MM, such as of the ligand in its protein.")]
    other: Annotated[
        str,
        Field(title="Run to subtract", description="For binding: folder of a recorded MM run of the same ligand in water. Left empty, one run is corrected."),
    ] = ""
    ligand: AnyRegion = Focus()
    potential: Annotated[str, Field(title="Network", description="What describes the ligand in the end.")] = "so3lr"
    lambdas: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0)
    picoseconds: Annotated[
        float,
        Field(
            title="Sampling of each window (ps)",
            description="Length of the five simulations between MM and NNP/MM. With 0, the recorded run is reweighted and nothing is simulated.",
            ge=0.0, le=1e5, allow_inf_nan=False,
        ),
    ] = 10.0  # fmt: skip
    frames: Annotated[int, Field(title="Frames of the run", description="At most so many frames are asked, evenly spaced.", ge=10, le=100_000)] = 500
    seed: Annotated[int, Field(ge=0, lt=2**31 - 1000)] = 0

    @field_validator("lambdas")
    @classmethod
    def _both_ends(cls, lambdas: tuple[float, ...]) -> tuple[float, ...]:
        if len(lambdas) < 2 or lambdas[0] != 0.0 or lambdas[-1] != 1.0 or sorted(set(lambdas)) != list(lambdas):
            raise ValueError("lambdas have to rise from 0 to 1, such as 0, 0.5, 1")
        return lambdas

    def answer(self, structure: Structure | None, watch: Watch, folder: Path | None) -> Result:
        """Correct; without overlap there are diagnostics and no number."""
        places = [place for place in (self.recording, self.other) if place]
        legs = [Leg(self, Path(place), name) for name, place in zip(("first", "second"), places, strict=False)]
        _check_same(legs)
        keep_structure(legs[0].structure, folder)
        for number, leg in enumerate(legs):
            leg.measure(folder, watch, share(watch, number / len(legs), (number + 1) / len(legs)))
        return _result(legs)

    def report(self, result: Result, molecule: Structure | None = None) -> Report:
        """The correction or why there is none, estimates, overlap, brackets, convergence, and angles by both.

        Args:
            result: Of this recipe.
            molecule: The first structure of the run.
        """
        return report(result, self.lambdas, molecule)


def _check_same(legs: Sequence[Leg]) -> None:
    """Two legs have to be of the same ligand, by the same force field, at the same temperature.

    Raises:
        SettingsError: They are not.
    """
    if len(legs) < 2:
        return
    first, second = (leg.part.structure for leg in legs)
    if len(legs[0].part.hosts) or len(legs[1].part.hosts):
        raise SettingsError("A binding free energy needs a ligand that is a molecule of its own; here the network describes a part of one.")
    if _smiles(first) != _smiles(second):
        raise SettingsError(f"The two runs have different ligands ({len(first)} and {len(second)} atoms): choose two runs of the same one.")
    if legs[0].temperature != legs[1].temperature:
        raise SettingsError(f"The two runs have different temperatures: {legs[0].temperature:g} and {legs[1].temperature:g} K.")
    if legs[0].dynamics.system.forcefield != legs[1].dynamics.system.forcefield:
        raise SettingsError("The two runs have different force fields, so that their corrections begin at different places.")


def _smiles(ligand: Structure) -> str:
    from rdkit import Chem

    return str(Chem.MolToSmiles(Chem.RemoveHs(ligand.to_rdkit())))


def _result(legs: Sequence[Leg]) -> Result:
    rows = [leg.estimates() for leg in legs]
    chosen = _believed(rows)
    values = _difference(legs, chosen)
    arrays: dict[str, NDArray[np.generic]] = {"legs": np.array([leg.name for leg in legs], dtype=np.str_)}
    notes: list[str] = []
    for leg, found, best in zip_longest(legs, rows, chosen):
        arrays |= {f"{leg.name}_{key}": array for key, array in (_arrays(leg) | _estimates(found)).items()}
        values |= {f"{leg.name}_{key}": number for key, number in _numbers(leg, best).items()}
        notes += _remarks(leg, found)
    notes.append(HELD if legs[0].windows else ROUNDED.format(blur=max(leg.blur for leg in legs) / KJ_PER_KCAL))
    return Result({}, values, arrays, versions() | legs[0].provenance | {"temperature_k": f"{legs[0].temperature:g}"}, tuple(notes))


def _believed(rows: Sequence[Sequence[Estimated]]) -> list[Estimated]:
    """The best estimate of each leg; none where one leg has none. Both by the same way: a recorded run and a window at lambda 0 differ in bonds to hydrogen."""
    return list(next((ways for ways in zip(*rows, strict=True) if not any(row.doubt for row in ways)), ()))


def _numbers(leg: Leg, best: Estimated | None) -> dict[str, float]:
    numbers = {"reference_kj_mol": leg.reference}
    return numbers | ({"correction_kcal_mol": best.value / KJ_PER_KCAL, "error_kcal_mol": best.error / KJ_PER_KCAL} if best else {})


def _remarks(leg: Leg, found: Sequence[Estimated]) -> list[str]:
    """What speaks against a leg: no overlap, few samples, or halves that disagree."""
    said = [f"The {leg.name} run, {found[0].name}: {found[0].doubt}"] if found[0].doubt else []
    if leg.windows is None:
        return said
    fewest = int(np.argmin(leg.windows.counts))
    if leg.windows.counts[fewest] < FEW:
        said.append(
            f"The window lambda = {leg.windows.lambdas[fewest]:g} of the {leg.name} run has {leg.windows.counts[fewest]} uncorrelated samples: "
            "its standard error is rough. Sample longer."
        )
    course = leg.windows.convergence()
    half = len(course.fractions) // 2 - 1
    apart, error = abs(course.forward[half] - course.reverse[half]), float(np.hypot(course.forward_errors[half], course.reverse_errors[half]))
    if apart > DRIFT * error:
        said.append(
            f"Do not trust the {leg.name} run: the first and the last half of its samples are {apart / error:.0f} standard errors apart. Sample longer."
        )
    return said


def _difference(legs: Sequence[Leg], chosen: Sequence[Estimated]) -> dict[str, float]:
    """The correction that is reported, kcal/mol; nothing if one leg has none. Each leg is relative to its own bracket, which is put back here."""
    if not chosen:
        return {}
    signs = (1.0, -1.0) if len(legs) == 2 else (1.0,)
    back = legs[0].reference - legs[1].reference if len(legs) == 2 else 0.0
    value = sum(sign * best.value for sign, best in zip(signs, chosen, strict=True)) + back
    error = float(np.hypot.reduce([best.error for best in chosen]))
    return {"correction_kcal_mol": value / KJ_PER_KCAL, "error_kcal_mol": error / KJ_PER_KCAL}


def _estimates(rows: Sequence[Estimated]) -> dict[str, NDArray[np.generic]]:
    return {
        "estimators": np.array([row.name for row in rows], dtype=np.str_), "doubts": np.array([row.doubt for row in rows], dtype=np.str_),
        "estimates_kcal_mol": np.array([(row.value / KJ_PER_KCAL, row.error / KJ_PER_KCAL) for row in rows]),
        "support": np.array([row.support for row in rows]),
    }  # fmt: skip


def _arrays(leg: Leg) -> dict[str, NDArray[np.generic]]:
    """Brackets (less that at the first structure), overlap, convergence, and angles with their weights."""
    arrays: dict[str, NDArray[np.generic]] = {"recorded_kj_mol": leg.recorded - leg.reference, "weights": leg.weights()} | _angles(leg)
    if leg.windows is None:
        return arrays
    kt = BOLTZMANN * leg.temperature / KJ_PER_KCAL
    course = leg.windows.convergence()
    columns = [kt * course.forward, kt * course.forward_errors, kt * course.reverse, kt * course.reverse_errors]
    columns[0], columns[2] = (column - leg.reference / KJ_PER_KCAL for column in (columns[0], columns[2]))
    return arrays | {
        "brackets_kj_mol": np.concatenate(leg.windows.brackets) - leg.reference, "counts": np.array(leg.windows.counts),
        "overlap": leg.windows.estimate().overlap, "convergence_kcal_mol": np.array([course.fractions, *columns]),
    }  # fmt: skip


def _angles(leg: Leg) -> dict[str, NDArray[np.generic]]:
    """Torsion angles of a ligand that is a molecule of its own; none of a part of one."""
    ligand = leg.part.structure
    torsions = np.zeros((0, 4), dtype=np.int64) if len(leg.part.hosts) or len(ligand.molecules) > 1 else rotatable(ligand)
    places = np.concatenate(leg.places)
    angles = np.degrees(torsion_angles(places[:, torsions])) if len(torsions) else np.zeros((len(places), 0))
    atoms = leg.part.atoms[torsions] if len(torsions) else torsions
    return {"angles_degrees": angles, "torsions": np.array(torsion_names(ligand, torsions), dtype=np.str_), "torsion_atoms": atoms}
