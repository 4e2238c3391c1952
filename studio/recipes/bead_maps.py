"""Bead maps: what frames of beads and of their reference look like as arrays of a result, and as charts of a report.

Knows shapes, surfaces and charts; must not know how frames were made.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from studio.coarse.gates import FEWEST, Verdict
from studio.coarse.shape import Turn, turned, turns
from studio.files import DAMAGED, write_whole
from studio.report import Bars, Curve, Curves, Group, Heat, Line, Table
from studio.structure import Floats, Structure
from studio.surface import BINS, PHI_PSI, basins, fes_difference, free_energies, js_floor

Arrays = dict[str, NDArray[np.generic]]

REFERENCE = "reference.npz"
"""Beside a model: what the atoms did."""
MOST_FRAMES = 12_000
"""Of the reference that is kept beside a model."""
HIGH = 6.0
"""Free energies above this are drawn as if they were not known, kcal/mol."""
MEMBERS = 8
"""Curves that can be told apart."""
POINTS = 200
"""Of a curve, at most."""


def numbers_of(verdict: Verdict | None) -> dict[str, float]:
    """The first numbers of a verdict, by the names of values of a result.

    Args:
        verdict: None where there is none yet.
    """
    if verdict is None:
        return {}
    js, fes = verdict.gates[:2]
    named = {"js": js.value, "js_limit": js.limit, "fes_error_kcal_mol": fes.value}
    return {name: value for name, value in named.items() if value is not None} | {"model_frames": float(verdict.frames)}


def known_to(reference: Floats, beads: Structure) -> dict[str, float]:
    """How well the atoms themselves are known: `reference_frames` independent ones, and `reference_floor`, the divergence that comes of it.

    Args:
        reference: Frames in the order of time, (f, b, 3), nm.
        beads: What they are.
    """
    found = [turn.surface(reference) for turn in turns(beads)] if len(reference) >= FEWEST else []
    if not found:
        return {}
    worth, surface = min(((surface.independent(), surface) for surface in found), key=lambda one: one[0])
    return {"reference_frames": worth, "reference_floor": js_floor(surface.probabilities, worth)}


def curves_of(known: dict[tuple[int, int], tuple[float, float]]) -> Arrays:
    """Losses by member and epoch as `losses` and `held_out`, (members, epochs).

    Args:
        known: Loss and loss on labels held out, by member and epoch (from 1).
    """
    if not known:
        return {}
    shape = (max(member for member, _ in known) + 1, max(epoch for _, epoch in known))
    both = np.full((2, *shape), np.nan)
    for (member, epoch), values in known.items():
        both[:, member, epoch - 1] = values
    return {"losses": both[0], "held_out": both[1]}


def maps_of(frames: Floats, reference: Floats, beads: Structure, temperature: float) -> Arrays:
    """How often which shape was seen: `shares_model` and `shares_atoms`, (turns, bins, bins), and basins with errors.

    Args:
        frames: Of the model, (f, b, 3), nm; none where there are no frames.
        reference: Of the atoms, likewise.
        beads: What they are.
        temperature: K.
    """
    found = turns(beads)
    arrays: Arrays = {"turn_names": np.array([turn.name for turn in found], dtype=np.str_)}
    for name, some in (("model", frames), ("atoms", reference)):
        if len(some) and found:
            arrays[f"shares_{name}"] = np.stack([turn.surface(some).probabilities for turn in found])
            if found[0].axes == PHI_PSI:
                arrays[f"basins_{name}"] = np.stack([_basins(turn, some, temperature) for turn in found])
    return arrays


def _basins(turn: Turn, frames: Floats, temperature: float) -> Floats:
    """Share, free energy above PPII, and its error, of each basin, (basins, 3), kcal/mol; not a number where it is not known."""
    return np.array(
        [
            [np.nan if value is None else value for value in (basin.share, basin.free_energy, basin.error)]
            for basin in basins(turn.surface(frames), temperature, above="PPII")
        ]
    )


def keep_reference(folder: Path, frames: Floats, temperature: float) -> None:
    """Write what the atoms did beside a model, so that whoever uses it can compare; evenly thinned.

    Args:
        folder: Of the model.
        frames: Of the atoms, mapped to beads, (f, b, 3), nm.
        temperature: K.

    Raises:
        StorageError: No space or no permission.
    """
    content = io.BytesIO()
    some = frames[:: max(1, -(-len(frames) // MOST_FRAMES))].astype(np.float32)
    np.savez_compressed(content, allow_pickle=False, positions=some, temperature=np.array(temperature))
    write_whole(folder / REFERENCE, content.getvalue())


def of_atoms(folder: Path, beads: Structure, temperature: float) -> Arrays:
    """What the atoms did, as `maps_of` tells it, where that lies beside a model; else nothing.

    Args:
        folder: Of the model.
        beads: What they are mapped to.
        temperature: K.
    """
    try:
        with np.load(folder / REFERENCE, allow_pickle=False) as file:
            frames = file["positions"].astype(np.float64)
    except (OSError, *DAMAGED):
        return {}
    if frames.shape[1:] != (len(beads), 3):
        return {}
    found = maps_of(frames[:0], frames, beads, temperature)
    return {name: array for name, array in found.items() if name.endswith("_atoms")}


def surfaces(arrays: Mapping[str, NDArray[np.generic]], row: int, turn: Turn, temperature: float) -> Heat | None:
    """Free-energy surfaces of beads and atoms beside each other, with the difference; copies as dots.

    Args:
        arrays: With those of `maps_of`, and `now_nm`: where copies are, (r, b, 3).
        row: Which turn.
        turn: It.
        temperature: K.
    """
    name, now = turn.name, np.asarray(arrays["now_nm"], dtype=np.float64)
    model, atoms = (np.asarray(arrays[key][row]) if (key := f"shares_{who}") in arrays else None for who in ("model", "atoms"))
    maps = [_heat(f"{who}, {name}", shares, temperature, turn) for who, shares in (("Beads", model), ("All atoms", atoms)) if shares is not None]
    if model is not None and len(now):
        maps[0] = _with_dots(maps[0], now, turn)
    if model is not None and atoms is not None:
        difference = fes_difference(atoms, model, temperature)
        note = "Dots: where the replicas are now. Difference: beads minus atoms, where the atoms were often enough to tell; zero is agreement."
        maps.append(_map("Difference", difference, turn, centred=True, note=note))
    if not maps:
        return None
    return replace(maps[0], note=maps[-1].note, beside=tuple(maps[1:]))


def _heat(title: str, shares: Floats, temperature: float, turn: Turn) -> Heat:
    energies = free_energies(shares, temperature)
    return _map(title, np.where(energies > HIGH, np.nan, energies), turn)


def _map(title: str, values: Floats, turn: Turn, *, centred: bool = False, note: str = "") -> Heat:
    """A map with the first coordinate across and the second upwards."""
    across, up = (_middles(edges) for edges in _edges(turn))
    cells = tuple(tuple(None if not np.isfinite(cell) else float(cell) for cell in row) for row in values.T[::-1])
    edges = tuple(tuple(each.tolist()) for each in (_edges(turn)[0], _edges(turn)[1][::-1]))
    return Heat(
        title, "kcal/mol", turn.axes[0], turn.axes[1], across, up[::-1], cells, centred, note=note, edges=(edges[0], edges[1]), low_stands_out=not centred
    )  # fmt: skip


def _edges(turn: Turn) -> tuple[Floats, Floats]:
    empty = turn.surface(np.zeros((0, max(*turn.first, *turn.second) + 1, 3)))
    return empty.edges


def _middles(edges: Floats) -> tuple[str, ...]:
    return tuple(f"{middle:.0f}" for middle in 0.5 * (edges[1:] + edges[:-1]))


def _with_dots(heat: Heat, now: Floats, turn: Turn) -> Heat:
    across, up = _edges(turn)
    x, y = turned(now, turn.first), turned(now, turn.second)
    columns = (x - across[0]) / (across[-1] - across[0]) * BINS
    rows = BINS - (y - up[0]) / (up[-1] - up[0]) * BINS
    dots = tuple((float(row), float(column)) for row, column in zip(rows, columns, strict=True) if np.isfinite(row + column))
    return replace(heat, dots=dots)


def gates_table(verdict: Verdict) -> Table:
    """What was judged.

    Args:
        verdict: With gates.
    """
    rows = tuple(
        (gate.name, "passed" if gate.passed else "failed", gate.value, gate.limit if gate.least is None else f"{gate.least:g} to {gate.limit:g}", gate.note)
        for gate in verdict.gates
    )
    note = "A model that fails is kept and shown as failed, and is not used silently."
    return Table("Gates", ("what", "verdict", "value", "limit", "about"), rows, note=note)


def basin_bars(atoms: Floats | None, model: Floats | None, names: Sequence[str], where: str) -> Bars | None:
    """Free energies of basins, with error bars.

    Args:
        atoms: Share, free energy and error of each, (basins, 3); none where there are none.
        model: Likewise.
        names: Of the basins.
        where: Of what turns.
    """
    known = [(title, found) for title, found in (("all atoms", atoms), ("beads", model)) if found is not None]
    if not known:
        return None
    groups = tuple(Group(title, _numbers(found[:, 1]), _numbers(found[:, 2])) for title, found in known)
    note = "Free energy above polyproline II, standard errors by bootstrap; a dash where a basin was never seen."
    return Bars(f"Basins, {where}", "free energy, kcal/mol", tuple(names), groups, note=note)


def _numbers(values: Floats) -> tuple[float | None, ...]:
    return tuple(float(value) if np.isfinite(value) else None for value in values)


def loss_curves(losses: Floats, held_out: Floats) -> Curves:
    """How the networks learn.

    Args:
        losses: (members, epochs).
        held_out: Of labels that are not learned from.
    """
    epochs = losses.shape[1]
    shown = np.unique(np.linspace(0, epochs - 1, min(POINTS, epochs)).astype(np.int64))
    x = tuple(float(each + 1) for each in shown)
    curves = [Curve(f"network {member + 1}", x, _numbers(line[shown])) for member, line in enumerate(losses[: MEMBERS // 2])]
    curves += [Curve(f"network {member + 1}, held out", x, _numbers(line[shown])) for member, line in enumerate(held_out[: MEMBERS // 2])]
    note = "1 is what the prior alone would leave. Labels held out are never learned from: where their curve turns up, a network learns noise."
    return Curves("Learning", "round", "loss", tuple(curves), lines=(Line(1.0, "prior alone"),), note=note)
