"""Gates: whether the frames of a coarse model may stand for those of its reference - limits, values, and a verdict as plain data.

A model that fails is shown as failed, not used silently. Beads of the backbone are judged by phi and psi, where the worst residue
counts; C-alpha beads by the two slowest coordinates of the reference, and by their fold where there is one. Knows frames of beads;
must not know the model that made them.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict

from studio.coarse.contacts import Contacts
from studio.coarse.shape import FOLDED, bead_contacts, bond_lengths, features, mirror_share, mirrored, rmsd, turns
from studio.errors import SettingsError
from studio.structure import Floats, Structure
from studio.surface import PHI_PSI, SLOWEST, Basin, Surface, basins, fes_error, fes_floor, jensen_shannon, js_floor, spread_edges, thermal
from studio.tica import tica
from studio.units import NM_PER_ANGSTROM

JS, FLOORS = 0.02, 3.0
"""Largest Jensen-Shannon divergence on 20 x 20 bins, or so many times what frames of the reference itself would have, if that is more."""
FES, BASIN = 0.2, 0.3
"""Largest mean error of the free-energy surface, and error of a basin, kcal/mol."""
WIDTHS = (0.9, 1.1)
"""Least and largest width of a bond, as part of that in the reference."""
FOLD, NATIVE, MIRROR = 0.15, 2.5, 0.05
"""Largest error of the folded fraction, distance of the folded state from the native structure (angstrom), and share of mirror images."""
SEEN = 0.01
"""Share of the reference from which on a basin is judged."""
FEWEST = 50
"""Frames of either."""


class _Plain(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Gate(_Plain):
    """One limit, and what came.

    Args:
        name: What is judged, with its unit.
        value: What came; none where nothing could be measured, which does not pass.
        limit: Largest value that passes.
        passed: It does.
        note: Where the worst value is, and what to know.
        least: Smallest value that passes, where there is one.
    """

    name: str
    value: float | None
    limit: float
    passed: bool
    note: str = ""
    least: float | None = None


class Judged(_Plain):
    """A surface of the reference and that of the model, in the same bins.

    Args:
        name: Whose coordinates they are.
        axes: What they are, with their units.
        edges: Of the bins of each.
        reference: Shares of the frames, a row for each bin of the first coordinate.
        model: Likewise.
    """

    name: str
    axes: tuple[str, str]
    edges: tuple[tuple[float, ...], tuple[float, ...]]
    reference: tuple[tuple[float, ...], ...]
    model: tuple[tuple[float, ...], ...]


class Verdict(_Plain):
    """What came of it.

    Args:
        gates: In the order in which people read them.
        frames: Of the model.
        reference_frames: Of the reference.
        temperature: K.
        surfaces: That were compared, the worst first.
    """

    gates: tuple[Gate, ...]
    frames: int
    reference_frames: int
    temperature: float
    surfaces: tuple[Judged, ...] = ()

    @property
    def passed(self) -> bool:
        """Every gate is passed."""
        return all(gate.passed for gate in self.gates)

    @property
    def sentence(self) -> str:
        """For people."""
        failed = [gate.name for gate in self.gates if not gate.passed]
        return f"Failed {len(failed)} of {len(self.gates)} gates: {'; '.join(failed)}." if failed else f"Passed all {len(self.gates)} gates."


def judge(
    frames: Floats,
    reference: Floats,
    beads: Structure,
    temperature: float,
    *,
    native: Floats | None = None,
    contacts: Contacts | None = None,
    seed: int = 0,
) -> Verdict:
    """Compare frames of a model with frames of its reference.

    Args:
        frames: Of the model, (f, b, 3), nm, in the order of time, copies one after the other.
        reference: Of the reference, mapped to the same beads, (g, b, 3), nm, likewise.
        beads: What they are.
        temperature: At which both were made, K.
        native: Of a protein that folds, the positions of its beads, (b, 3), nm.
        contacts: Of the native structure; by distances of its beads when left out.
        seed: Of floors and error bars.

    Raises:
        SettingsError: There are too few frames, or frames of other beads.
    """
    _check(frames, reference, beads)
    pairs = _pairs(frames, reference, beads)
    apart = [_divergence(pair, seed) for pair in pairs]
    gates = [_worst(apart), _worst([_surface_error(pair, temperature, seed) for pair in pairs])]
    if pairs[0].reference.axes == PHI_PSI:
        gates.append(_worst([_basin_error(pair, temperature, seed) for pair in pairs]))
        gates += [_worst(shares)] if (shares := [gate for pair in pairs if (gate := _mirror(pair))]) else []
    gates.append(_widths(frames, reference, beads))
    if native is not None:
        gates += _fold(frames, reference, native, contacts or bead_contacts(beads, native))
    order = sorted(range(len(pairs)), key=lambda k: -_badness(apart[k]))
    return Verdict(
        gates=tuple(gates), frames=len(frames), reference_frames=len(reference), temperature=temperature, surfaces=tuple(_judged(pairs[k]) for k in order)
    )


class _Pair(NamedTuple):
    """The same coordinates in both."""

    reference: Surface
    model: Surface


def _check(frames: Floats, reference: Floats, beads: Structure) -> None:
    for what, some in (("the model", frames), ("the reference", reference)):
        if some.ndim != 3 or some.shape[1:] != (len(beads), 3):
            raise SettingsError(f"Expected frames of {len(beads)} beads from {what}, got an array of shape {some.shape}. Map them the same way.")
        if len(some) < FEWEST:
            raise SettingsError(f"Expected at least {FEWEST} frames from {what}, got {len(some)}. Let it run longer.")
        if not np.isfinite(some).all():
            raise SettingsError(f"Some frames of {what} have positions that are not numbers: leave the copies out that have left physics.")


def _pairs(frames: Floats, reference: Floats, beads: Structure) -> list[_Pair]:
    """Phi and psi of each residue, or the slowest coordinates of the whole."""
    found = turns(beads)
    if found and found[0].axes == PHI_PSI:
        return [_Pair(turn.surface(reference), turn.surface(frames)) for turn in found]
    columns = features(reference, beads)
    slow = tica([columns])
    places = slow.project(columns), slow.project(features(frames, beads))
    edges = spread_edges(places[0][:, 0]), spread_edges(places[0][:, 1])
    return [_Pair(*(Surface("the slowest coordinates", SLOWEST, edges, *place.T) for place in places))]


def _badness(gate: Gate) -> float:
    """How much of what is allowed is used up."""
    if gate.value is None:
        return math.inf
    if gate.least is not None:
        return abs(gate.value - 0.5 * (gate.limit + gate.least)) / (0.5 * (gate.limit - gate.least))
    return gate.value / gate.limit


def _worst(gates: Sequence[Gate]) -> Gate:
    return max(gates, key=_badness)


def _gate(name: str, value: float | None, limit: float, note: str = "", least: float | None = None) -> Gate:
    passed = value is not None and value <= limit and (least is None or value >= least)
    return Gate(name=name, value=value, limit=limit, passed=passed, note=note, least=least)


def _divergence(pair: _Pair, seed: int) -> Gate:
    p = pair.reference.probabilities
    floor = js_floor(p, len(pair.model.x), seed=seed)
    worth = pair.reference.independent()
    note = (
        f"{pair.reference.name}; {len(pair.model.x):,} independent frames of the reference itself would give {floor:.4f}, and the reference, "
        f"worth {worth:,.0f} independent frames, is known to {js_floor(p, worth, seed=seed):.4f}"
    )
    return _gate("Jensen-Shannon divergence, 20 x 20", jensen_shannon(p, pair.model.probabilities), max(JS, FLOORS * floor), note)


def _surface_error(pair: _Pair, temperature: float, seed: int) -> Gate:
    p = pair.reference.probabilities
    floor = fes_floor(p, len(pair.model.x), temperature, seed=seed)
    note = f"{pair.reference.name}, bins with p > 0.001; {len(pair.model.x):,} independent frames of the reference itself would give {floor:.3f}"
    return _gate("free-energy surface, mean error (kcal/mol)", fes_error(p, pair.model.probabilities, temperature), FES, note)


def _basin_error(pair: _Pair, temperature: float, seed: int) -> Gate:
    """The worst basin of a residue that the reference knows well enough."""
    known = basins(pair.reference, temperature, seed=seed)
    zero = max(known, key=lambda basin: basin.share)
    made = basins(pair.model, temperature, above=zero.name, seed=seed)
    told, off = [pair.reference.name], list[float]()
    for right, other in zip(known, made, strict=True):
        if right.share < SEEN or right.free_energy is None or right is zero:
            continue
        if right.error is None or right.error > BASIN:
            told.append(f"{right.name} not judged: the reference saw it too rarely")
            continue
        energy = _energy(other, made[known.index(zero)], len(pair.model.x), temperature)
        told.append(f"{right.name} {energy:.2f} instead of {right.free_energy:.2f} ± {right.error:.2f} above {zero.name}")
        off.append(abs(energy - right.free_energy))
    return _gate("free energy of a basin, error (kcal/mol)", max(off, default=None if len(told) > 1 else 0.0), BASIN, "; ".join(told))


def _energy(basin: Basin, zero: Basin, frames: int, temperature: float) -> float:
    """Above another one; where nothing was seen, as if it were half a frame, kcal/mol."""
    share, other = (max(each.share, 0.5 / frames) for each in (basin, zero))
    return float(-thermal(temperature) * np.log(share / other))


def _mirror(pair: _Pair) -> Gate | None:
    share = mirror_share(pair.reference, pair.model)
    return None if share is None else _gate("mirror image (share)", share, MIRROR, f"{pair.reference.name}, by phi and psi")


def _widths(frames: Floats, reference: Floats, beads: Structure) -> Gate:
    wide, right = (bond_lengths(some, beads.bonds).std(axis=0) for some in (frames, reference))
    ratios = wide / np.maximum(right, 1e-9)
    gates = []
    for (i, j), ratio in zip(beads.bonds.tolist(), ratios.tolist(), strict=True):
        name = " - ".join(f"{beads.residue_of(bead)} {beads.names[bead]}" for bead in (i, j))
        gates.append(_gate("width of a bond, as part of the reference", ratio, WIDTHS[1], name, WIDTHS[0]))
    return _worst(gates)


def _fold(frames: Floats, reference: Floats, native: Floats, contacts: Contacts) -> list[Gate]:
    if not len(contacts):
        raise SettingsError("Nothing touches in the native structure, so that there is no fold to judge. Judge this model without one.")
    made, right = (contacts.fraction(some) for some in (frames, reference))
    share, known = (float((some >= FOLDED).mean()) for some in (made, right))
    folded = frames[made >= FOLDED]
    hands = mirrored(folded, native, contacts)
    near = float(np.median(rmsd(folded[~hands], native))) / NM_PER_ANGSTROM if len(folded) and not hands.all() else None
    how = f"folded: at least {FOLDED:g} of {len(contacts)} native contacts"
    gates = [
        _gate("folded fraction, error", abs(share - known), FOLD, f"{share:.2f} instead of {known:.2f}; {how}"),
        _gate("folded state, distance from the native structure (Å)", near, NATIVE, "median RMSD of the folded frames" if near else "no frame is folded"),
    ]
    share_of = float(hands.mean()) if len(folded) else None
    return [*gates, _gate("mirror image (share)", share_of, MIRROR, f"of {len(folded):,} folded frames" if len(folded) else "no frame is folded")]


def _judged(pair: _Pair) -> Judged:
    one, other = (tuple(map(tuple, np.round(each.probabilities, 7).tolist())) for each in (pair.reference, pair.model))
    edges = tuple(tuple(np.round(each, 6).tolist()) for each in pair.reference.edges)
    return Judged(name=pair.reference.name, axes=pair.reference.axes, edges=(edges[0], edges[1]), reference=one, model=other)
