"""Strain report: what people see of the strain of a ligand - how much by whom, where it sits, and the shapes.

Reads the values and arrays of the result and computes no energy.
"""

import numpy as np

from studio.recipes.ligand import titled
from studio.report import Bars, Chart, Group, Line, Painted, Report, Shape, Table, Target
from studio.result import Result
from studio.structure import Floats, Structure

THRESHOLD = Line(16.1, "StrainRelief's threshold")
"""Of poses in crystals, for comparison only (arXiv 2503.13352: MACE network, neutral ligands of LigBoundConf 2.0 in the gas phase, 20 conformers)."""
NEAR = 0.5
"""Share of the threshold from which on it is drawn."""
COMPARED = (
    "For comparison only: StrainRelief (arXiv 2503.13352) calls poses of neutral ligands above 16.1 kcal/mol strained, "
    "by another network, in the gas phase and with restraints of its own."
)
COLUMNS = {
    "strain": "to the lowest minimum", "strain_boltzmann": "to the Boltzmann mean", "strain_local": "to the nearest minimum",
    "restraint": "left in the restraint", "members_spread": "spread of the ensemble",
}  # fmt: skip
"""Of the table, in kcal/mol, by the names of the values."""


def report(result: Result, molecule: Structure | None) -> Report:
    """What people see.

    Args:
        result: Of a strain study.
        molecule: The ligand in its pose.
    """
    names = tuple(map(str, result.arrays["potentials"]))
    charts: list[Chart] = [_by_method(result, names)]
    if len(result.arrays[f"{names[0]}_torsions_kcal_mol"]):
        charts.append(_torsions(result, names))
    charts.append(_fragments(result, names))
    shapes = _shapes(result, names, molecule) if molecule else ()
    charts += [_table(result, names), _conformers(result, names, {shape.name for shape in shapes})]
    return Report(_headline(result, names, molecule), tuple(charts), molecule, shapes, _painted(result, names), _warnings(result, names))


def _headline(result: Result, names: tuple[str, ...], molecule: Structure | None) -> str:
    who = molecule.title if molecule and molecule.title else "The ligand"
    strain, spread = result.values["strain_kcal_mol"], result.values.get("strain_spread_kcal_mol")
    if spread is not None:
        return f"{who} is strained by {strain:.1f} ± {spread:.1f} kcal/mol (mean and spread of {len(names)} methods)."
    members = result.values.get(f"{names[0]}_members_spread_kcal_mol")
    error = f" ± {members:.1f}" if members is not None else ""
    why = "spread of its ensemble" if members is not None else "no uncertainty: ask a second method"
    return f"{who} is strained by {strain:.1f}{error} kcal/mol by {titled(names[0])} ({why})."


def _warnings(result: Result, names: tuple[str, ...]) -> tuple[str, ...]:
    told = []
    spread = result.values.get("strain_spread_kcal_mol", 0.0)
    if spread > max(1.0, 0.5 * abs(result.values["strain_kcal_mol"])):
        told.append("The methods disagree by more than half of the strain: do not decide by this number alone.")
    if result.recipe.get("protocol", {}).get("medium") == "gas":
        told.append("In the gas phase flexible and charged ligands fold onto themselves, and the strain to such a minimum says little about water.")
    rough = [titled(name) for name in names if result.values.get(f"{name}_restraint_kcal_mol", 0.0) > 1.0]
    if rough:
        told.append(f"By {', '.join(rough)} more than 1 kcal/mol is left in the restraint: the pose would go further than the tolerance lets it.")
    return (*told, *result.notes)


def _by_method(result: Result, names: tuple[str, ...]) -> Bars:
    values = result.values
    groups = []
    for key in ("strain", "strain_boltzmann", "strain_local"):
        errors = tuple(values.get(f"{name}_members_spread_kcal_mol") for name in names) if key == "strain" else ()
        groups.append(Group(COLUMNS[key], tuple(values.get(f"{name}_{key}_kcal_mol") for name in names), errors if any(errors) else ()))
    highest = max(values.get(f"{name}_strain_kcal_mol", 0.0) for name in names)
    lines = (THRESHOLD,) if highest > NEAR * THRESHOLD.value else ()
    return Bars("Strain by method", "energy of the pose above ... (kcal/mol)", tuple(map(titled, names)), tuple(groups), lines, note=COMPARED)


def _torsions(result: Result, names: tuple[str, ...]) -> Bars:
    arrays = result.arrays
    first = next((name for name in names if name != "mm"), names[0])
    turns = zip(arrays["torsion_names"], arrays["pose_torsions_degrees"], arrays[f"{first}_torsions_degrees"], strict=True)
    labels = tuple(f"{bond} ({pose:.0f}°, minimum {minimum:.0f}°)" for bond, pose, minimum in turns)
    targets = tuple(Target(atoms=tuple(row)) for row in arrays["torsion_atoms"].tolist())
    note = (
        "The lowest minimum with one bond turned to its angle in the relaxed pose, all else relaxed. "
        f"Below the bars: the angle in the pose as it was given, and in the minimum by {titled(first)}. "
        "The bars need not add up to the strain: bonds share what they turn."
    )
    return Bars(
        "Where the strain sits: torsions", "cost of the pose's angle (kcal/mol)", labels, _groups(result, names, "torsions"), targets=targets, note=note
    )


def _fragments(result: Result, names: tuple[str, ...]) -> Bars:
    owner = result.arrays["fragment_of_atom"]
    labels = tuple(map(str, result.arrays["fragment_names"]))
    targets = tuple(Target(atoms=tuple(np.flatnonzero(owner == row).tolist())) for row in range(len(labels)))
    groups = []
    for group, name in zip(_groups(result, names, "fragments"), names, strict=True):
        known = [value for value in group.values if value is not None]
        rest = result.values[f"{name}_strain_kcal_mol"] - sum(known) if len(known) == len(labels) else None
        groups.append(Group(group.name, (*group.values, rest)))
    note = (
        "Each ring and each chain between rings by itself, capped with hydrogens: its energy in the relaxed pose minus that in the lowest minimum. "
        "It tells of bent bonds, angles, rings and of torsions inside a chain. The rest is what no part has by itself: torsions between parts, "
        "contacts across the molecule, and the water around it."
    )
    title = "Where the strain sits: rings and chains"
    return Bars(title, "share of the strain (kcal/mol)", (*labels, "rest"), tuple(groups), targets=(*targets, Target()), note=note)


def _groups(result: Result, names: tuple[str, ...], key: str) -> tuple[Group, ...]:
    return tuple(Group(titled(name), _numbers(result.arrays[f"{name}_{key}_kcal_mol"])) for name in names)


def _table(result: Result, names: tuple[str, ...]) -> Table:
    values = result.values
    columns = ("method", *(f"{title} (kcal/mol)" for title in COLUMNS.values()), "minima", "pose moved (Å)", "minimum from pose (Å)")
    keys = [*(f"{key}_kcal_mol" for key in COLUMNS), "minima", "pose_rmsd_angstrom", "minimum_rmsd_angstrom"]
    rows = tuple((titled(name), *(values.get(f"{name}_{key}") for key in keys)) for name in names)
    targets = tuple(Target(shape=_minimum(name)) for name in names)
    note = "Å are root-mean-square distances of heavy atoms, symmetry minded. " + COMPARED
    return Table("Numbers by method", columns, rows, targets, note)


def _conformers(result: Result, names: tuple[str, ...], drawn: set[str]) -> Table:
    energies: Floats = result.arrays["conformers_kcal_mol"]
    rows = tuple((_start(number), *_numbers(row)) for number, row in enumerate(energies))
    targets = tuple(Target(shape=_start(number) if _start(number) in drawn else "") for number in range(len(rows)))
    note = "The minimum below each start, above the lowest one of each method; a dash where a start led to another molecule or nowhere."
    return Table("Conformers and methods", ("start", *(f"{titled(name)} (kcal/mol)" for name in names)), rows, targets, note)


def _start(number: int) -> str:
    return f"conformer {number}" if number else "pose, relaxed freely"


def _minimum(name: str) -> str:
    return f"minimum by {titled(name)}"


def _shapes(result: Result, names: tuple[str, ...], molecule: Structure) -> tuple[Shape, ...]:
    """The pose, the relaxed pose and the minimum by each method, and the conformers by the last one."""
    arrays = result.arrays
    shapes = [Shape("pose", molecule.positions, shown=True)]
    for name in names:
        shapes += [Shape(f"relaxed pose by {titled(name)}", arrays[f"{name}_pose_nm"]), Shape(_minimum(name), arrays[f"{name}_minimum_nm"], name == names[-1])]
    found = np.isfinite(arrays["conformers_kcal_mol"][:, -1])
    starts = zip(arrays[f"{names[-1]}_places_nm"], found, strict=True)
    return (*shapes, *(Shape(_start(number), place) for number, (place, sound) in enumerate(starts) if sound))


def _painted(result: Result, names: tuple[str, ...]) -> tuple[Painted, ...]:
    painted = []
    for name in names:
        values = result.arrays[f"{name}_torsions_kcal_mol"]
        known = np.isfinite(values)
        if known.any():
            bonds = tuple(tuple(row[1:3]) for row in result.arrays["torsion_atoms"][known].tolist())
            painted.append(Painted(f"torsions by {titled(name)} (kcal/mol)", bonds, tuple(map(float, values[known]))))
    return tuple(painted)


def _numbers(values: Floats) -> tuple[float | None, ...]:
    return tuple(float(value) if np.isfinite(value) else None for value in values)
