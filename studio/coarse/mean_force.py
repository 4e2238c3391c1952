"""Mean force: configurations of a molecule, and what their beads feel on average over everything that is not a bead.

    F_I(R) = < sum_i C_Ii f_i >_R,   C M^T = 1

The average is over all atoms that are not beads, at the temperature of the model, while the beads stay exactly where they
are (`held`). R may come from anywhere, hot or biased: the mean force at R is the same (10.48550/arXiv.2510.11148). One such
label is worth hundreds of instantaneous forces. Knows mappings, systems and whatever moves atoms as a `Reference`; must not
know what learns from the labels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from studio.coarse.chain import torsions
from studio.coarse.copies import Copies, copies_of
from studio.coarse.drive import Drive
from studio.coarse.force_map import force_map
from studio.coarse.held import Held, Reference, Sampling, advance, built, platform_of, shares
from studio.coarse.labels import Label
from studio.coarse.mapping import Mapping
from studio.coarse.shape import turns
from studio.coarse.spread import Ask, Shelf, spread
from studio.errors import SimulationError
from studio.parts import key_of
from studio.progress import Progress
from studio.structure import Floats, Structure
from studio.system import System
from studio.thermostat import Thermostat, make_context

if TYPE_CHECKING:
    import openmm

__all__ = ["Reference", "Sampling", "configurations", "mean_forces", "nobody", "optimised_map"]

WARM_UP = 5.0
"""Before the first configuration at each temperature, ps."""
CALM = 1.0
"""Friction of free trajectories, 1/ps: less than that of held ones, so that shapes change faster."""
OFTEN = 0.1
"""Between two pushes of a trajectory that is driven, ps."""
FORCES = 4
"""Samples of the forces for each configuration at the lowest temperature, to which the force map is fitted."""


def nobody(_fraction: float, _sentence: str) -> None:
    """Progress that nobody wants to hear about."""


@dataclass(frozen=True)
class _Ground:
    """All that a worker has to know of what is sampled."""

    system: System
    view: Reference
    structure: Structure
    mapping: Mapping
    sampling: Sampling

    def moving(self) -> "openmm.System":
        return built(self.system, self.view, self.structure, self.mapping, self.sampling)

    def key(self, *words: str) -> str:
        sites = self.mapping.sites.astype(np.int64).tobytes().hex()
        return key_of(self.system.model_dump_json(), self.view.model_dump_json(), self.structure.key, sites, *words)


@dataclass(frozen=True)
class _Walk:
    """A trajectory to be run: its number, its temperature (K), where it starts (n, 3), and which configurations are wanted of it."""

    ground: _Ground
    number: int
    kelvin: float
    places: Floats
    wanted: range


def configurations(
    system: System,
    view: Reference,
    structure: Structure,
    mapping: Mapping,
    sampling: Sampling,
    *,
    tell: Progress = nobody,
    folder: Path | None = None,
) -> tuple[Floats, Floats]:
    """Atoms as they lie at the temperatures, in mixed order; and forces on them at the lowest one, for the optimised map.

    Args:
        system: What the user named.
        view: What moves its atoms.
        structure: Its prepared structure, where the trajectories start.
        mapping: Of all its atoms, by slice.
        sampling: How many, where and how, and by how many processes.
        tell: Is told how far it is; what it raises ends the work.
        folder: Where configurations are kept and found.

    Returns:
        Positions (configurations, n, 3), nm, and forces (samples, n, 3), kJ/mol/nm.

    Raises:
        SimulationError: A trajectory left physics.
        WorkerError: A worker died.
        StudioError: What `built` and `tell` raise.
    """
    ground = _Ground(system, view, structure, mapping, sampling)
    counts = shares(sampling.configurations, len(sampling.temperatures))
    key = ground.key(sampling.model_dump_json(exclude={"workers", "settle_ps", "average_ps"}))
    shelves = [Shelf(folder / f"configurations-{number}.npz" if folder else None, key, ("positions", "forces")) for number in range(len(counts))]

    def ask() -> None:
        done = sum(len(shelf.found) for shelf in shelves)
        tell(done / sampling.configurations, f"Configuration {done} of {sampling.configurations}")

    try:
        for number, index, row in spread(_walked, _paths(ground, counts, shelves), sampling.workers, ask):
            shelves[number].add(index, row)
    finally:
        for shelf in shelves:
            shelf.write()
    rows = [row for shelf in shelves for _, row in sorted(shelf.found.items(), key=lambda one: one[0])]
    order = np.random.default_rng(sampling.seed).permutation(len(rows))
    return np.array([rows[index][0] for index in order]), np.concatenate([row[1] for row in rows])


def _paths(ground: _Ground, counts: Sequence[int], shelves: Sequence[Shelf]) -> list[_Walk]:
    """Trajectories as far as they are still to be run, from where they were left."""
    start = np.asarray(ground.structure.positions)
    left = []
    for number, (kelvin, count, shelf) in enumerate(zip(sorted(ground.sampling.temperatures), counts, shelves, strict=True)):
        known = len(shelf.found)
        if known < count:
            left.append(_Walk(ground, number, kelvin, shelf.found[known - 1][0] if known else start, range(known, count)))
    return left


def _walked(path: _Walk, ask: Ask) -> Iterator[tuple[int, int, tuple[Floats, Floats]]]:
    """Dynamics at one temperature: the number of the trajectory, of the configuration, its positions, and forces on the way to it."""
    sampling = path.ground.sampling
    moving, lowest = path.ground.moving(), path.kelvin == sampling.temperature
    drive = None if lowest else _drive(moving, path.ground.mapping, sampling.drive)
    seed = (sampling.seed + 7919 * path.number + 31 * path.wanted.start) % (2**31 - 2)
    context = make_context(moving, Thermostat(path.kelvin, CALM, sampling.timestep, seed), *platform_of(moving))
    context.setPositions(path.places)
    context.setVelocitiesToTemperature(path.kelvin, seed + 1)
    pieces = FORCES if lowest else max(round(sampling.spacing_ps / OFTEN), 1)
    advance(context, sampling.steps(WARM_UP), ask)
    for index in path.wanted:
        forces = []
        for steps in shares(sampling.steps(sampling.spacing_ps), pieces):
            advance(context, steps, ask)
            if lowest:
                forces.append(np.array(context.getState(forces=True).getForces(asNumpy=True)._value))
            elif drive:
                drive.push(context)
        yield path.number, index, (_whole(context, path.kelvin), np.array(forces).reshape(-1, path.ground.mapping.atoms, 3))


def _drive(moving: "openmm.System", mapping: Mapping, limit: float) -> Drive | None:
    """Of the torsions that the backbone turns by, never of peptide bonds, which would not come back from cis; of all of another chain."""
    fours = [four for turn in turns(mapping.beads) for four in (turn.first, turn.second) if len(four) == 4] or torsions(mapping.beads).tolist()
    return Drive(moving, mapping.sites[np.array(fours)], limit) if limit > 0.0 and fours else None


def _whole(context: "openmm.Context", kelvin: float) -> Floats:
    """Where the atoms are, (n, 3), nm.

    Raises:
        SimulationError: They left physics.
    """
    positions = np.array(context.getState(positions=True).getPositions(asNumpy=True)._value)
    if not np.isfinite(positions).all():
        raise SimulationError(f"The trajectory at {kelvin:g} K left physics. Choose a shorter time step or a lower temperature.")
    return positions


def optimised_map(structure: Structure, mapping: Mapping, forces: Floats) -> Floats:
    """C with the least noise, (b, n); atoms of molecules without beads - water - count nothing, for there are too many of them to fit.

    Args:
        structure: The atoms.
        mapping: Of all of them, by slice.
        forces: Sampled, (frames, n, 3), kJ/mol/nm.
    """
    atoms = np.sort(np.concatenate([one for one in structure.molecules if np.isin(mapping.sites, one).any()]))
    local = np.searchsorted(atoms, mapping.sites)
    part = Mapping(mapping.beads, local, tuple(local[:, None]), mapping.weights, len(atoms))
    result = np.zeros((len(mapping), mapping.atoms))
    result[:, atoms] = force_map(part, "optimised", forces=forces[:, atoms])
    return result


@dataclass(frozen=True)
class _Round:
    """Configurations to be labelled by one process: their indices and atoms, (m, n, 3); C."""

    ground: _Ground
    indices: tuple[int, ...]
    atoms: Floats
    bead_map: Floats


def mean_forces(
    system: System,
    view: Reference,
    structure: Structure,
    mapping: Mapping,
    sampling: Sampling,
    *,
    atoms: Floats,
    bead_map: Floats,
    tell: Progress = nobody,
    folder: Path | None = None,
) -> Iterator[tuple[int, Label]]:
    """The mean force on the beads at each configuration, as they come: first those that were kept, then in no order.

    A configuration that leaves physics has no label. Two processes give other random numbers than one, and the same averages.

    Args:
        system: What the user named.
        view: What moves its atoms.
        structure: Its prepared structure.
        mapping: Of all its atoms, by slice.
        sampling: How, and by how many processes.
        atoms: Configurations, (m, n, 3), nm.
        bead_map: C, (b, n), see `optimised_map`.
        tell: Is told how far it is; what it raises ends the work, within half a second.
        folder: Where labels are kept and found.

    Raises:
        WorkerError: A worker died.
        StudioError: What `built` and `tell` raise.
    """
    ground = _Ground(system, view, structure, mapping, sampling)
    key = ground.key(sampling.words, bead_map.tobytes().hex(), np.ascontiguousarray(atoms).tobytes().hex())
    shelf = Shelf(folder / "mean-forces.npz" if folder else None, key, Label._fields)
    yield from [(index, Label(*row)) for index, row in sorted(shelf.found.items(), key=lambda one: one[0])]
    left = [index for index in range(len(atoms)) if index not in shelf.found]
    away = len(atoms) - len(left)

    def ask() -> None:
        tell(away / len(atoms), f"Mean force {away} of {len(atoms)}")

    portions = [left[number :: sampling.workers] for number in range(min(sampling.workers, len(left)))]
    rounds = [_Round(ground, tuple(portion), atoms[portion], bead_map) for portion in portions]
    try:
        for index, label in spread(_measured, rounds, sampling.workers, ask):
            away += 1
            if label is not None:
                shelf.add(index, label)
                yield index, label
    finally:
        shelf.write()


def _measured(share: _Round, ask: Ask) -> Iterator[tuple[int, Label | None]]:
    """Label after label, by one Context; none for a configuration that leaves physics."""
    ground, moving = share.ground, share.ground.moving()
    copies = min(copies_of(moving, ground.structure), len(share.indices))
    held = Held(moving, ground.mapping, share.bead_map, ground.sampling, share.indices[0], copies=Copies.of(ground.structure, copies))
    for begin in range(0, len(share.indices), copies):
        indices, atoms = share.indices[begin : begin + copies], share.atoms[begin : begin + copies]
        seed = ground.sampling.seed + indices[0]
        try:
            yield from zip(indices, held.labels(atoms, seed, ask), strict=True)
        except SimulationError:  # one is enough to spoil those that were measured with it
            yield from ((index, _alone(held, one, seed, ask)) for index, one in zip(indices, atoms, strict=True))


def _alone(held: Held, atoms: Floats, seed: int, ask: Ask) -> Label | None:
    try:
        return held.labels(atoms[None], seed, ask)[0]
    except SimulationError:
        return None
