"""A report with every kind of chart, of a molecule with shapes and colours, to look at and to test what draws it."""

import numpy as np

from studio.report import Bars, Curve, Curves, Group, Heat, Line, Painted, Point, Report, Scatter, Shape, Table, Target
from studio.structure import Structure
from studio.system import FromSmiles, System

SMILES = "CC(=O)Oc1ccccc1C(=O)O"
METHODS = ("MM (Sage)", "SO3LR", "GFN2-xTB")


def molecule() -> Structure:
    return Structure.from_smiles(SMILES)


def strains(aspirin: Structure) -> Bars:
    names = ("C1-C2", "C2-O4", "O4-C5", "C10-C11", "C11-O13")
    values = np.abs(np.random.default_rng(1).normal(0.9, 0.8, (3, 5)))
    groups = tuple(Group(name, tuple(row.tolist()), tuple((0.25 * row + 0.05).tolist())) for name, row in zip(METHODS, values, strict=True))
    targets = tuple(Target(atoms=(k, k + 1), shape="minimum by SO3LR" if k == 2 else "") for k in range(5))
    return Bars(
        "Where the strain sits",
        "strain, kcal/mol",
        names,
        groups,
        (Line(1.5, "strained bond"), Line(16.1, "StrainRelief's threshold")),
        targets,
        "Each rotatable bond, turned to its angle in the pose and relaxed.",
    )


def methods(aspirin: Structure) -> Table:
    system = System(source=FromSmiles(smiles="CCO")).model_dump_json()
    words = "badly: the weighted deviation is 1.6 kcal/mol; its barrier is 7.9 instead of 14.0 kcal/mol"
    rows = tuple((name, 1.2 + 0.8 * k, None if k == 2 else 0.9 + k / 3, 4 + k, words if k else "well") for k, name in enumerate(METHODS))
    targets = (Target(shape="minimum by MM"), Target(shape="minimum by SO3LR"), Target(system=system))
    return Table(
        "By method", ("method", "strain, kcal/mol", "Boltzmann, kcal/mol", "minima", "MM describes it"), rows, targets, "To the lowest minimum that was found."
    )


def profile(aspirin: Structure) -> Curves:
    angles = tuple(np.arange(-180.0, 181.0, 15.0).tolist())
    curves = tuple(
        Curve(name, angles, tuple((2 + k / 2 + (2 - k / 3) * np.cos(np.radians(2 * np.array(angles)) + k / 4)).tolist()), tuple([0.2 + 0.1 * k] * len(angles)))
        for k, name in enumerate(METHODS[:2])
    )
    seen = np.exp(-(((np.abs(np.array(angles)) - 60) / 25) ** 2))
    area = Curve("in the run", angles, tuple((1.5 * seen).tolist()), style="area")
    points = Curve("DFT", (-120.0, -60.0, 60.0, 150.0), (2.4, 0.6, None, 3.1), (0.3, 0.2, None, 0.3), "points", tuple(Target(atoms=(k,)) for k in range(4)))
    return Curves("Torsion C2-O4", "angle, degrees", "energy, kcal/mol", (*curves, points, area), (Line(-62.0, "pose"),), (Line(0.6, "kT"),))


def contacts(aspirin: Structure) -> Heat:
    noise = np.random.default_rng(2)
    values = noise.normal(0, 1, (9, 40)).cumsum(axis=1) / 2
    residues = tuple(
        f"{name}{number}" for name, number in zip(("ASP", "VAL", "GLU", "LYS", "LEU", "TYR", "GLY", "ARG", "PHE"), range(810, 990, 20), strict=True)
    )
    rows = tuple(tuple(None if (j, i) == (3, 7) else float(value) for i, value in enumerate(row)) for j, row in enumerate(values))
    return Heat(
        "Residues over frames",
        "kcal/mol",
        "frame",
        "residue",
        tuple(map(str, range(40))),
        residues,
        rows,
        True,
        tuple(Target(atoms=(k,)) for k in range(9)),
        ((2, 11, "pose"),),
    )


def experiment(aspirin: Structure) -> Scatter:
    noise = np.random.default_rng(3)
    measured = noise.uniform(-11.5, -7.0, 14)
    computed = measured + noise.normal(0, 0.9, 14)
    system = System(source=FromSmiles(smiles="CO")).model_dump_json()
    points = tuple(Point(f"ejm_{31 + k}", float(x), float(y), 0.2, 0.5, Target(system=system)) for k, (x, y) in enumerate(zip(measured, computed, strict=True)))
    return Scatter("Against experiment", "measured dG, kcal/mol", "computed dG, kcal/mol", (("NNP/MM-GBSA", points[:8]), ("MM/GBSA", points[8:])), (1.0, 2.0))


def ranking(aspirin: Structure) -> Bars:
    names = tuple(f"ligand_{k:02d}_of_the_series" for k in range(22))
    values = tuple(np.sort(np.random.default_rng(4).gamma(2, 2, 22)).tolist())
    return Bars(
        "Ranking",
        "strain, kcal/mol",
        names,
        (Group("mean", values, tuple([0.6] * 22)),),
        (Line(16.1, "StrainRelief's threshold"),),
        tuple(Target(atoms=(k % 21,)) for k in range(22)),
    )


def surface(aspirin: Structure) -> Heat:
    """A map of numbers with empty bins, whose bins show frames."""
    middles = np.arange(-171.0, 180.0, 18.0)
    phi, psi = np.meshgrid(middles, middles[::-1])
    energies = 3.0 - 2.0 * np.cos(np.radians(phi + 70.0)) - np.cos(np.radians(psi - 140.0))
    values = tuple(tuple(float(value) if value < 4.5 else None for value in row) for row in energies)
    cells = tuple(tuple(Target(atoms=(k % 21,)) if value is not None else Target() for k, value in enumerate(row)) for row in values)
    names, edges = tuple(f"{middle:g}" for middle in middles), tuple(np.linspace(-180.0, 180.0, 21).tolist())
    return Heat("Map", "kcal/mol", "φ (°)", "ψ (°)", names, names[::-1], values, edges=(edges, edges[::-1]), cells=cells, low_stands_out=True)


def sample() -> Report:
    aspirin = molecule()
    turned = [
        (name, aspirin.positions + np.array([0.02 * k, 0.03 * np.sin(k), 0.0]) + 0.01 * np.random.default_rng(k).normal(size=aspirin.positions.shape))
        for k, name in enumerate(("pose", "relaxed pose", "minimum by MM", "minimum by SO3LR", "minimum by GFN2-xTB"))
    ]
    shapes = tuple(Shape(name, positions, shown=k in (0, 2)) for k, (name, positions) in enumerate(turned))
    heavy = [tuple(bond) for bond in aspirin.bonds.tolist() if all(aspirin.numbers[list(bond)] > 1)]
    painted = (
        Painted("strain by SO3LR, kcal/mol", tuple(heavy), tuple(float(k % 5) for k in range(len(heavy)))),
        Painted("difference to MM, kcal/mol", tuple((k,) for k in range(13)), tuple(k / 6 - 1 for k in range(13)), True),
    )  # fmt: skip
    charts = tuple(make(aspirin) for make in (strains, methods, profile, contacts, experiment, ranking, surface))
    warnings = ("The pose was computed from the drawing: its strain says something about that method only.", "GFN2-xTB did not converge for two of 20 shapes.")
    return Report("Aspirin is strained by 2.0 \u00b1 0.8 kcal/mol (mean and spread of 3 methods).", charts, aspirin, shapes, painted, warnings)
