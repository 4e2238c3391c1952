"""Torsion report: what people see of a torsion scan - profiles or maps, what MM is worth for each bond, shapes at minima and barriers.

Reads the arrays of the result and computes no energy.
"""

from itertools import pairwise

import numpy as np

from studio.conformers import overlay
from studio.profiles import Agreement, agreement, at, minima
from studio.recipes.ligand import titled
from studio.report import Chart, Curve, Curves, Heat, Line, Painted, Report, Shape, Table, Target
from studio.result import Result
from studio.structure import Floats, Structure

LOW = 0.3
"""Share of the height of a chart that the angles of a simulation take."""
BINS = 36
VISITED = 5
"""Cells of a map that are marked because the simulation was there most often."""


def report(result: Result, molecule: Structure | None) -> Report:
    """What people see.

    Args:
        result: Of a torsion scan.
        molecule: That was scanned; the whole one where there were several fragments.
    """
    seen = _Seen(result, molecule)
    return seen.map() if "maps_kcal_mol" in result.arrays else seen.profiles()


class _Seen:
    """The arrays of a result, by the names that people know."""

    def __init__(self, result: Result, molecule: Structure | None) -> None:
        arrays = result.arrays
        sizes = {places.shape[-2] for name, places in arrays.items() if name.startswith("places_nm")}
        # Of one bond in a fragment, atoms and places are the fragment's: another molecule has no part in them.
        self.result, self.molecule = result, molecule if molecule and sizes <= {len(molecule)} else None
        self.bonds, self.potentials = tuple(map(str, arrays["bond_names"])), tuple(map(str, arrays["potentials"]))
        self.angles, self.pose, self.recorded = arrays["angles_degrees"], arrays["pose_degrees"], arrays["recorded_degrees"]
        self.atoms = [tuple(row) for row in arrays["torsion_atoms"].tolist()]
        settings = result.recipe.get("protocol", {})
        self.temperature, self.water = float(settings.get("temperature", 298.15)), settings.get("medium") == "water"
        self.verdicts: list[Agreement | None] = []
        self.judge = ""

    def profiles(self) -> Report:
        """Of a bond, or of several."""
        grid = self.result.arrays["profiles_kcal_mol"]
        self.judge = next((name for name in self.potentials if name != "mm"), "") if "mm" in self.potentials else ""
        self.verdicts = [self._verdict(profiles, self.judge) for profiles in grid]
        shapes = [self._shapes(bond, grid[bond]) for bond in range(len(self.bonds))]
        charts = [self._curves(bond, grid[bond], shapes[bond][1]) for bond in range(len(self.bonds))]
        table = self._table(grid)
        ordered: tuple[Chart, ...] = (*charts, table) if len(charts) == 1 else (table, *charts)
        drawn = tuple(shape for each, _ in shapes for shape in each)
        pose = (Shape("pose", self.molecule.positions, shown=True),) if self.molecule and drawn else ()
        return Report(self._headline(grid), ordered, self.molecule, (*pose, *drawn), self._painted(grid), self.result.notes)

    def _verdict(self, profiles: Floats, judge: str) -> Agreement | None:
        """What one of the other potentials says of MM."""
        if not judge:
            return None
        mm, other = (profiles[self.potentials.index(name)] for name in ("mm", judge))
        return agreement(self.angles, mm, other, self.temperature) if np.isfinite(mm + other).any() else None

    def _second_opinions(self, profiles: Floats, verdict: Agreement) -> str:
        """Whether the others say the same."""
        told = ""
        for name in self.potentials:
            other = self._verdict(profiles, name) if name not in ("mm", self.judge) else None
            if other:
                told += f"{titled(name)} says {'so, too' if other.good == verdict.good else 'otherwise'} (deviation {other.rmse:.1f}). "
        return told

    def _headline(self, grid: Floats) -> str:
        costs = [self._pose_costs(bond, grid[bond]) for bond in range(len(self.bonds))]
        worst = int(np.argmax([np.nanmean(each) for each in costs]))
        spread = f" ± {np.nanstd(costs[worst], ddof=1):.1f}" if np.isfinite(costs[worst]).sum() > 1 else ""
        cost = f"the angle of the pose costs {np.nanmean(costs[worst]):.1f}{spread} kcal/mol at {self.bonds[worst]}"
        cost += ", more than at any other bond" if len(self.bonds) > 1 else ""
        return f"{self._opinion()}; {cost}." if any(self.verdicts) else f"{cost[0].upper()}{cost[1:]}."

    def _opinion(self) -> str:
        """What the judge says about MM."""
        known = [(bond, verdict.good) for bond, verdict in zip(self.bonds, self.verdicts, strict=True) if verdict]
        bad = [bond for bond, good in known if not good]
        if len(known) == 1:
            return f"MM describes this torsion {'badly' if bad else 'well'}, {titled(self.judge)} says"
        if not bad:
            return f"MM describes all {len(known)} torsions well, {titled(self.judge)} says"
        return f"MM describes {len(bad)} of {len(known)} torsions badly ({', '.join(bad)}), {titled(self.judge)} says"

    def _pose_costs(self, bond: int, profiles: Floats) -> Floats:
        return np.array([float(at(self.angles, each, self.pose[bond])) if np.isfinite(each).any() else np.nan for each in profiles])

    def _curves(self, bond: int, profiles: Floats, shaped: dict[tuple[str, int], str]) -> Curves:
        turn = np.append(self.angles, 180.0)
        targets = [{index: Target(self.atoms[bond], shape) for (of, index), shape in shaped.items() if of == name} for name in self.potentials]
        plain = Target(self.atoms[bond])
        curves = [
            Curve(titled(name), tuple(turn), _numbers(np.append(each, each[0])), targets=tuple(known.get(k % len(each), plain) for k in range(len(turn))))
            for name, each, known in zip(self.potentials, profiles, targets, strict=True)
            if np.isfinite(each).any()
        ]
        if self.recorded.size:
            curves.append(self._visits(bond, float(np.nanmax(profiles))))
        said, verdict = "", self.verdicts[bond]
        if verdict:
            words = "well" if verdict.good else f"badly: {'; '.join(verdict.reasons)}"
            said = f"MM describes this torsion {words} ({titled(self.judge)} is the reference; deviation {verdict.rmse:.1f} kcal/mol). "
            said += self._second_opinions(profiles, verdict)
        where = "in continuum water" if self.water else "in the gas phase"
        note = f"{said}Relaxed at each angle, {where}, each curve above its own lowest point. The mark is the pose as it was given."
        title = f"{self.bonds[bond]}, torsion {self._measured(bond)}"
        return Curves(title, "angle (degrees)", "energy (kcal/mol)", tuple(curves), (Line(float(self.pose[bond]), "pose"),), note=note)

    def _measured(self, bond: int) -> str:
        names = self.molecule.names if self.molecule else ()
        return "-".join(names[atom] for atom in self.atoms[bond]) if names else self.bonds[bond]

    def _visits(self, bond: int, height: float) -> Curve:
        counts, edges = np.histogram(self.recorded[bond], bins=BINS, range=(-180.0, 180.0))
        heights = LOW * height * counts / counts.max()
        return Curve("simulation (how often, not to scale)", tuple((edges[1:] + edges[:-1]) / 2), tuple(map(float, heights)), style="area")

    def _table(self, grid: Floats) -> Table:
        columns = ["bond", "pose (degrees)"]
        columns += [f"{titled(name)}: {what} (kcal/mol)" for what in ("at the pose", "barrier") for name in self.potentials]
        columns += ["MM's deviation (kcal/mol)", "MM describes it"] if self.judge else []
        rows: list[tuple[str | float | None, ...]] = []
        for bond, (name, profiles, verdict) in enumerate(zip(self.bonds, grid, self.verdicts, strict=True)):
            heights = [self.result.values.get(f"{name}_{each}_barrier_kcal_mol") for each in self.potentials]
            told = ((verdict.rmse, "well" if verdict.good else f"badly: {'; '.join(verdict.reasons)}") if verdict else (None, "-")) if self.judge else ()
            rows.append((name, float(self.pose[bond]), *_numbers(self._pose_costs(bond, profiles)), *heights, *told))
        note = "Barrier: the least climb between the two lowest minima of the first network (or else of MM), all around where there is but one."
        if self.judge:
            note += (
                f" MM is compared with {titled(self.judge)}, angles weighted by how far they are populated; badly means: a deviation above 1 kcal/mol, "
                "a populated minimum misplaced by more than 1 kcal/mol, or a barrier wrong by more than 2 kcal/mol, "
                "if either puts it below 9, so that it is crossed within a microsecond."
            )
        return Table("Rotatable bonds", tuple(columns), tuple(rows), tuple(Target(atoms) for atoms in self.atoms), note)

    def _painted(self, grid: Floats) -> tuple[Painted, ...]:
        places = tuple(atoms[1:3] for atoms in self.atoms)
        costs = np.array([self._pose_costs(bond, profiles) for bond, profiles in enumerate(grid)])
        painted = [
            Painted(f"torsions at the pose by {titled(name)} (kcal/mol)", _where(places, costs[:, k]), _known(costs[:, k]))
            for k, name in enumerate(self.potentials)
            if np.isfinite(costs[:, k]).any()
        ]
        off = np.array([verdict.rmse if verdict else np.nan for verdict in self.verdicts])
        return (*painted, Painted("deviation of MM (kcal/mol)", _where(places, off), _known(off))) if np.isfinite(off).any() else tuple(painted)

    def _shapes(self, bond: int, profiles: Floats) -> tuple[list[Shape], dict[tuple[str, int], str]]:
        """Geometries at minima and at the highest points between them, and at which points of which curve they are."""
        drawn: list[Shape] = []
        places: dict[tuple[str, int], str] = {}
        for name, profile in zip(self.potentials, profiles, strict=True):
            geometries = self.result.arrays.get(f"places_nm_{bond}_{name}")
            if geometries is None or self.molecule is None or not np.isfinite(profile).any():
                continue
            for index in _stationary(profile):
                title = f"{self.bonds[bond]} at {self.angles[index]:.0f}° by {titled(name)}"
                drawn.append(Shape(title, overlay(self.molecule, geometries[index], self.molecule.positions)))
                places[name, index] = title
        return drawn, places

    def map(self) -> Report:
        """Of two bonds."""
        maps = self.result.arrays["maps_kcal_mol"]
        known = {name: energies for name, energies in zip(self.potentials, maps, strict=True) if np.isfinite(energies).any()}
        charts = [self._heat(f"{' and '.join(self.bonds)} by {titled(name)}", energies) for name, energies in known.items()]
        cost = {name: float(energies[self._cell(self.pose)]) for name, energies in known.items()}
        if "mm" in known and len(known) > 1:
            judge = next(name for name in known if name != "mm")
            charts.append(self._heat(f"MM minus {titled(judge)}", known["mm"] - known[judge], centred=True))
        spread = f" ± {np.std(list(cost.values()), ddof=1):.1f}" if len(cost) > 1 else ""
        headline = f"Near the pose {' and '.join(self.bonds)} cost {np.mean(list(cost.values())):.1f}{spread} kcal/mol together."
        return Report(headline, tuple(charts), self.molecule, warnings=self.result.notes)

    def _heat(self, title: str, values: Floats, *, centred: bool = False) -> Heat:
        labels = tuple(f"{angle:.0f}" for angle in self.angles)
        note = "Relaxed at each pair of angles; marked: the pose, and where the simulation was most often."
        x, y = (f"{self.bonds[axis]}, torsion {self._measured(axis)} (degrees)" for axis in (1, 0))
        # The first row is drawn on top.
        rows = tuple(_numbers(row) for row in values[::-1])
        last = len(labels) - 1
        points = tuple((last - row, column, name) for row, column, name in self._marks())
        return Heat(title, "kcal/mol", x, y, labels, labels[::-1], rows, centred, points=points, note=note)

    def _marks(self) -> list[tuple[int, int, str]]:
        marks = [(*self._cell(self.pose), "pose")]
        if self.recorded.size:
            visited = [self._cell(pair) for pair in self.recorded.T]
            cells, counts = np.unique(np.array(visited), axis=0, return_counts=True)
            often = np.argsort(-counts, kind="stable")[:VISITED]
            marks += [(int(cells[k][0]), int(cells[k][1]), f"simulation, {100.0 * counts[k] / len(visited):.0f} %") for k in often]
        return marks

    def _cell(self, pair: Floats) -> tuple[int, int]:
        step = 360.0 / len(self.angles)
        first, second = (np.round((pair + 180.0) / step).astype(np.int64) % len(self.angles)).tolist()
        return first, second


def _stationary(profile: Floats) -> list[int]:
    """Indices of minima and of the highest point between each two neighbours."""
    lows = sorted(minima(profile).tolist())
    tops = []
    for first, last in pairwise([*lows, lows[0] + len(profile)]):
        between = np.arange(first, last) % len(profile)
        tops.append(int(between[np.nan_to_num(profile[between], nan=-np.inf).argmax()]))
    return sorted({*lows, *tops})


def _numbers(values: Floats) -> tuple[float | None, ...]:
    return tuple(float(value) if np.isfinite(value) else None for value in values)


def _known(values: Floats) -> tuple[float, ...]:
    return tuple(float(value) for value in values if np.isfinite(value))


def _where(places: tuple[tuple[int, ...], ...], values: Floats) -> tuple[tuple[int, ...], ...]:
    return tuple(place for place, value in zip(places, values, strict=True) if np.isfinite(value))
