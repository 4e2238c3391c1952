"""What people see of a landscape: maps in kcal/mol, basins with errors, shapes along the run, and the difference of two runs.

Knows results as named numbers and arrays; must not know how they were computed.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from studio.recorder import CG_TIME, TIME
from studio.report import Bars, Chart, Curve, Curves, Group, Heat, Number, Report, Shape, Table, Target
from studio.result import Result
from studio.structure import Floats, Structure
from studio.surface import PHI_PSI, RAMACHANDRAN, SLOWEST, Surface, fes_difference, free_energies

SHOWN = 4
"""Maps that are drawn, those that differ or spread most."""
POINTS = 500
"""Points of a curve along the run, at most."""
CHANCE = 1.5
"""So many times the floor is more than chance: divergences of samples scatter little, but how many independent frames they are worth is a guess."""
TOO_FEW = 30.0
"""Independent frames below which a warning says so."""
SERIES = (
    ("radius_angstrom", "Radius of gyration", "Å"),
    ("rmsd_angstrom", "RMSD from the start", "Å"),
    ("contacts", "Contacts of the start (Q)", "share that is made"),
)
ONE, OTHER = "this run", "second run"

Arrays = Mapping[str, NDArray[Any]]
Values = Mapping[str, float]


def landscape_report(result: Result, molecule: Structure | None) -> Report:
    """The report of a run, or of two.

    Args:
        result: Of a `Landscape`, without a failure.
        molecule: That was kept with it.
    """
    arrays, values = result.arrays, result.values
    order = _order(arrays)
    slow = str(arrays["axes"][0]) == SLOWEST[0]
    made = f" Combinations of torsions and distances of {ONE} that change most slowly (TICA, lag {result.recipe['lag']} frames)." if slow else ""
    charts: list[Chart] = []
    for place in order[:SHOWN]:
        charts += _maps(arrays, values, place, made)
    charts += [bars for bars in (_shares(arrays, order[:SHOWN]),) if bars.labels]
    charts += [table for table in (_basins(arrays, order),) if table.rows]
    charts += [_apart(arrays, order)] if "js" in arrays and len(order) > 1 else []
    charts += [_along(arrays, name, title, unit) for name, title, unit in SERIES if name in arrays]
    shapes = (Shape("start of the run", molecule.positions, shown=True),) if molecule is not None else ()
    return Report(_headline(arrays, values, order[0]), tuple(charts), molecule, shapes, warnings=(*_doubts(values), *result.notes))


def _surface(arrays: Arrays, place: int, end: str = "") -> Surface:
    axes = (str(arrays["axes"][0]), str(arrays["axes"][1]))
    return Surface(str(arrays["maps"][place]), axes, (arrays["edges_x"], arrays["edges_y"]), *arrays["coordinates" + end][place].T)


def _order(arrays: Arrays) -> list[int]:
    """Maps, those first that differ or spread most."""
    if "js" in arrays:
        weight = arrays["js"] / arrays["js_floor"]
    else:
        weight = np.array([(_surface(arrays, place).counts > 0).sum() for place in range(len(arrays["maps"]))])
    return [int(place) for place in np.argsort(-weight, kind="stable")]


def _maps(arrays: Arrays, values: Values, place: int, made: str) -> list[Chart]:
    """The map of the run; with a second run, that of the other and the difference first."""
    temperature, surface = values["temperature_K"], _surface(arrays, place)
    p = surface.probabilities
    frames = _frames_of(surface, arrays["frame"])
    note = f"Free energy above the lowest bin; empty bins were never seen. Click a bin to see a frame of it.{made}"
    mine = _heat(f"{surface.name}: {ONE}" if "js" in arrays else f"Map of {surface.name}", surface, free_energies(p, temperature), frames, note)
    if "js" not in arrays:
        return [mine]
    other = _surface(arrays, place, "_other")
    q = other.probabilities
    apart = f"JS divergence {arrays['js'][place]:.3f}, by chance {arrays['js_floor'][place]:.3f}"
    told = f"Brown: the {OTHER} is there more rarely than {ONE}; blue: more often. Bins with p > 0.001 in {ONE}. {apart}."
    difference = _heat(f"{surface.name}: {OTHER} minus {ONE}", surface, fes_difference(p, q, temperature), frames, told, difference=True)
    elsewhere = f"Of the {OTHER}: its frames cannot be shown beside this report."
    return [difference, mine, _heat(f"{surface.name}: {OTHER}", other, free_energies(q, temperature), None, elsewhere)]


def _heat(title: str, surface: Surface, energies: Floats, frames: dict[tuple[int, int], int] | None, note: str = "", *, difference: bool = False) -> Heat:
    """A map with the first coordinate to the right and the second upwards; a bin shows a frame of it."""
    x, y = surface.edges
    turned = energies.T[::-1]
    middles = [[f"{middle:.3g}" for middle in 0.5 * (edges[1:] + edges[:-1])] for edges in (x, y[::-1])]
    count = len(y) - 1
    cells = tuple(
        tuple(Target(frame=frames.get((i, count - 1 - j))) for i in range(len(x) - 1)) if frames is not None else () for j in range(count)
    )  # fmt: skip
    return Heat(
        title, "kcal/mol", surface.axes[0], surface.axes[1], tuple(middles[0]), tuple(middles[1]), tuple(tuple(map(_number, row)) for row in turned),
        centred=difference, low_stands_out=not difference, note=note,
        edges=(tuple(x.tolist()), tuple(y[::-1].tolist())), cells=cells if frames is not None else (),
    )  # fmt: skip


def _number(value: float) -> Number:
    return float(value) if np.isfinite(value) else None


def _frames_of(surface: Surface, numbers: NDArray[Any]) -> dict[tuple[int, int], int]:
    """For each bin that was seen the frame that is nearest to its middle."""
    middles = [0.5 * (edges[1:] + edges[:-1]) for edges in surface.edges]
    cells = surface.cells
    widths = [float(edges[1] - edges[0]) for edges in surface.edges]
    away = ((surface.x - middles[0][cells[:, 0]]) / widths[0]) ** 2 + ((surface.y - middles[1][cells[:, 1]]) / widths[1]) ** 2
    found: dict[tuple[int, int], int] = {}
    for index in np.argsort(-away, kind="stable").tolist():  # the nearest one comes last, and stays
        found[int(cells[index, 0]), int(cells[index, 1])] = int(numbers[index])
    return found


def _basins(arrays: Arrays, order: list[int]) -> Table:
    """Basins of each map, fullest residue first; a row shows a frame of the basin."""
    both = "basin_share_other" in arrays
    columns: tuple[str, ...] = ("residue" if str(arrays["axes"][0]) == PHI_PSI[0] else "of", "basin", "share (%)", "±", "free energy (kcal/mol)", "±")
    if both:
        columns = (*columns, f"{OTHER}: share (%)", "±", "free energy (kcal/mol)", "±", "difference (kcal/mol)")
    rows, targets = [], []
    for place in order if "basins" in arrays else []:
        for k, name in enumerate(arrays["basins"].tolist()):
            ours = _basin(arrays, "", place, k)
            theirs = _basin(arrays, "_other", place, k) if both else ()
            above = (theirs[2] - ours[2] if ours[2] is not None and theirs[2] is not None else None,) if theirs else ()
            rows.append((str(arrays["maps"][place]), str(name), *ours, *theirs, *above))
            targets.append(Target(frame=_frame_in(arrays, place, str(name))))
    zero = (
        "Free energy above the fullest basin of the residue" if str(arrays["axes"][0]) == PHI_PSI[0] else "Folded: at least half of the contacts of the start"
    )
    return Table("Basins", columns, tuple(rows), tuple(targets), f"{zero}; ± one standard error, none where the run saw too little of it to tell.")


def _shares(arrays: Arrays, order: list[int]) -> Bars:
    """How much of each run is in each basin; a bar shows a frame of the basin."""
    named = len(order) > 1
    bins = [(place, k, str(name)) for place in order if "basins" in arrays for k, name in enumerate(arrays["basins"].tolist())]
    labels = tuple(f"{arrays['maps'][place]} {name}" if named else name for place, _, name in bins)
    groups = []
    for label, end in ((ONE, ""), (OTHER, "_other")):
        if "basin_share" + end in arrays:
            cells = [_basin(arrays, end, place, k) for place, k, _ in bins]
            groups.append(Group(label, tuple(cell[0] for cell in cells), tuple(cell[1] for cell in cells)))
    targets = tuple(Target(frame=_frame_in(arrays, place, name)) for place, _, name in bins)
    return Bars(
        "Shares of the basins", "share of the frames, %", labels, tuple(groups), targets=targets, note="With standard errors. Click one to see a frame of it."
    )


def _basin(arrays: Arrays, end: str, place: int, k: int) -> tuple[Number, Number, Number, Number]:
    share, share_error, energy, error = (
        _number(arrays[name + end][place, k]) for name in ("basin_share", "basin_share_error", "basin_kcal_mol", "basin_error_kcal_mol")
    )
    return (None if share is None else 100.0 * share, None if share_error is None else 100.0 * share_error, energy, error)


def _frame_in(arrays: Arrays, place: int, name: str) -> int | None:
    """A typical frame of a basin: the one nearest to the middle of those that are in it."""
    surface = _surface(arrays, place)
    patch = next((patch for patch in RAMACHANDRAN if patch.name == name), None)
    inside = patch.holds(surface.x, surface.y) if patch else (arrays["contacts"] >= 0.5) == (name == "folded")
    if not inside.any():
        return None
    points = np.stack([surface.x, surface.y], axis=1)[inside]
    if surface.periodic:
        points = np.concatenate([np.cos(np.radians(points)), np.sin(np.radians(points))], axis=1)
    nearest = int(((points - points.mean(axis=0)) ** 2).sum(axis=1).argmin())
    return int(arrays["frame"][np.flatnonzero(inside)[nearest]])


def _apart(arrays: Arrays, order: list[int]) -> Table:
    rows = tuple(
        (
            str(arrays["maps"][k]), float(arrays["js"][k]), float(arrays["js_floor"][k]), float(arrays["js"][k] / arrays["js_floor"][k]),
            float(arrays["fes_error_kcal_mol"][k]),
        )
        for k in order
    )  # fmt: skip
    columns = ("residue", "JS divergence", "by chance", "times chance", "mean error of the free energies (kcal/mol)")
    note = "By chance: two samples of one distribution, as many independent frames as these are worth. JS divergence runs from 0 to 0.69; 20 x 20 bins."
    return Table("How far apart", columns, rows, note=note)


def _along(arrays: Arrays, name: str, title: str, unit: str) -> Curves:
    curves = []
    for label, end in ((ONE, ""), (OTHER, "_other")):
        if name + end in arrays:
            every = max(1, -(-len(arrays[name + end]) // POINTS))
            targets = tuple(Target(frame=int(frame)) for frame in arrays["frame"][::every]) if not end else ()
            times = arrays[CG_TIME + end] if CG_TIME + end in arrays else arrays[TIME + end]
            curves.append(Curve(label, tuple(times[::every].tolist()), tuple(arrays[name + end][::every].tolist()), (), "points", targets))
    clocks = sorted({str(clock) for clock in arrays["clock"]})
    note = "CG time is not time: beads slide past each other without friction." if "CG time" in clocks else ""
    return Curves(title, f"{' or '.join(clocks)} (ps)", unit, tuple(curves), note=note)


def _headline(arrays: Arrays, values: Values, leading: int) -> str:
    if "js" in values:
        name, times = str(arrays["maps"][leading]), values["js"] / values["js_floor"]
        way = "differ" if times > CHANCE else "cannot be told apart by so many frames"
        folds = "contacts" in arrays
        away = f" RMSD from the start {_with_error(values, 'rmsd_angstrom')} and {_with_error(values, 'rmsd_angstrom', '_other')} Å." if folds else ""
        return (
            f"On this map the two runs {way}: JS divergence {values['js']:.3f} ({name}), {times:.1f} times what chance would give; "
            f"free energies differ by {values['fes_error_kcal_mol']:.2f} kcal/mol in the mean.{away}"
        )
    counted = f"{values['frames']:,.0f} frames, worth {values['independent_frames']:,.0f} independent ones"
    if "basins" not in arrays:
        size, away = _with_error(values, "radius_angstrom"), _with_error(values, "rmsd_angstrom")
        return f"Radius of gyration {size} Å, {away} Å from the start in the mean ({counted})."
    fullest = np.argsort(-arrays["basin_share"][leading], kind="stable")[:2].tolist()
    told = [f"{_share(arrays, leading, k)} {arrays['basins'][k]}" for k in fullest if arrays["basin_share"][leading, k] > 0]
    folds = "folded" in arrays["basins"]
    whose, size = ("", f"; radius of gyration {_with_error(values, 'radius_angstrom')} Å") if folds else (f"{arrays['maps'][leading]}: ", "")
    return f"{whose}{' and '.join(told)}{size} ({counted})."


def _share(arrays: Arrays, place: int, k: int) -> str:
    share, error, *_ = _basin(arrays, "", place, k)
    return f"{share:.0f}{f' ± {error:.0f}' if error is not None else ''} %"


def _with_error(values: Values, name: str, end: str = "") -> str:
    error = values.get(f"{name}_error{end}")
    digits = 2 if error is None or error >= 0.05 else 3
    return f"{values[name + end]:.{digits}f}{f' ± {error:.{digits}f}' if error is not None else ''}"


def _doubts(values: Values) -> tuple[str, ...]:
    found = []
    for label, end in (("This run's", ""), ("The second run's", "_other")):
        worth, frames = values.get("independent_frames" + end, TOO_FEW), values.get("frames" + end, 0.0)
        if worth < TOO_FEW:
            found.append(f"{label} {frames:,.0f} frames are worth {worth:.0f} independent ones: shares and free energies will still change as it goes on.")
    return tuple(found)
