"""Mean force: configurations of a molecule, and what their beads feel on average over everything that is not a bead.

    F_I(R) = < sum_i C_Ii f_i >_R,   C M^T = 1

The average is over all atoms that are not beads, at the temperature of the model, while the beads stay exactly where they
are: the mapped atoms take no step and no constraint holds a bond. Positions of beads are those of atoms (slice), so that the
condition is linear and no metric correction enters (Ciccotti, Kapral and Vanden-Eijnden 2005, 10.1002/cphc.200400669).
R may come from anywhere, hot or biased: the mean force at R is the same (10.48550/arXiv.2510.11148). One such label is worth
hundreds of instantaneous forces. Knows mappings, systems and OpenMM, and whatever moves atoms as a `Reference`; must not know
what learns from the labels. Labelling by several processes is in `labelling`.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import numpy as np

from studio.coarse.force_map import force_map
from studio.coarse.held import Ask, Held, Reference, Sampling, advance, built, platform_of, shares
from studio.coarse.labels import Label
from studio.coarse.mapping import Mapping
from studio.errors import SimulationError, StudioError, WorkerError
from studio.parts import Part, keep, kept, key_of
from studio.structure import Floats, Structure
from studio.system import System
from studio.thermostat import Thermostat, make_context

if TYPE_CHECKING:
    import openmm

__all__ = ["Reference", "Sampling", "Tell", "configurations", "mean_forces", "nobody", "optimised_map"]

Tell = Callable[[float, str], None]
"""Is told how much is done, from 0 to 1, and what is going on; what it raises ends the work."""
WARM_UP = 5.0
"""Before the first configuration at each temperature, ps."""
FORCES = 4
"""Samples of the forces for each configuration at the lowest temperature, to which the force map is fitted."""
SAVED = 1.0
"""Labels that are finished are on disk after so long, s."""
LOOK = 0.1
"""How often is asked whether to go on while others work, s."""
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""Workers share the cores."""


def nobody(_fraction: float, _sentence: str) -> None:
    """Progress that nobody wants to hear about."""


def configurations(
    system: System,
    view: Reference,
    structure: Structure,
    mapping: Mapping,
    sampling: Sampling,
    *,
    tell: Tell = nobody,
    folder: Path | None = None,
) -> tuple[Floats, Floats]:
    """Atoms as they lie at the temperatures, in mixed order; and forces on them at the lowest one, for the optimised map.

    Args:
        system: What the user named.
        view: What moves its atoms.
        structure: Its prepared structure, where the trajectories start.
        mapping: Of all its atoms, by slice.
        sampling: How many, where and how.
        tell: Is told how far it is; what it raises ends the work.
        folder: Where trajectories that are finished are kept and found.

    Returns:
        Positions (configurations, n, 3), nm, and forces (samples, n, 3), kJ/mol/nm.

    Raises:
        SimulationError: A trajectory left physics.
        StudioError: What `built` and `tell` raise.
    """
    moving = built(system, view, structure, mapping, sampling)
    key = key_of(system.model_dump_json(), view.model_dump_json(), structure.key, sampling.model_dump_json(exclude={"workers", "settle_ps", "average_ps"}))
    count, places = sampling.configurations, np.asarray(structure.positions)
    runs: list[tuple[Floats, Floats]] = []
    for number, (kelvin, share) in enumerate(zip(sorted(sampling.temperatures), shares(count, len(sampling.temperatures)), strict=True)):
        path = folder / f"configurations-{number}.npz" if folder else None
        found = kept(path, key)
        if found is None:
            found = Part(_Trajectory(moving, kelvin, sampling, number).sampled(places, share, sum(len(run[0]) for run in runs), tell), {})
            keep(path, key, found)
        runs.append((found.arrays["positions"], found.arrays["forces"]))
        places = runs[-1][0][-1]
    order = np.random.default_rng(sampling.seed).permutation(count)
    return np.concatenate([run[0] for run in runs])[order], runs[0][1]


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


class _Trajectory:
    """Free dynamics at one temperature.

    Args:
        moving: From `built`.
        kelvin: The temperature.
        sampling: How.
        number: Of the trajectory: each has a seed of its own.
    """

    def __init__(self, moving: "openmm.System", kelvin: float, sampling: Sampling, number: int) -> None:
        drive = Thermostat(kelvin, sampling.friction / 10.0, sampling.timestep, sampling.seed + 7919 * number)
        self._kelvin, self._sampling, self._drive = kelvin, sampling, drive
        self._context = make_context(moving, drive, *platform_of(moving))

    def sampled(self, places: Floats, count: int, before: int, tell: Tell) -> dict[str, Floats]:
        """Positions and forces.

        Args:
            places: Where it starts, (n, 3), nm.
            count: How many configurations.
            before: Configurations that other trajectories gave.
            tell: Is told how far it is.
        """
        total, stride = self._sampling.configurations, max(self._sampling.steps(self._sampling.spacing_ps) // FORCES, 1)
        self._context.setPositions(places)
        self._context.setVelocitiesToTemperature(self._kelvin, self._drive.seed + 1)

        def ask() -> None:
            done = before + len(positions)
            tell(done / total, f"Configuration {done} of {total}, at {self._kelvin:g} K")

        positions: list[Floats] = []
        forces: list[Floats] = []
        self._go(self._sampling.steps(WARM_UP), ask)
        while len(positions) < count:
            for _ in range(FORCES):
                self._go(stride, ask)
                forces.append(self._look()[1])
            positions.append(self._look()[0])
        return {"positions": np.array(positions), "forces": np.array(forces)}

    def _go(self, steps: int, ask: Ask) -> None:
        advance(self._context, steps, ask)

    def _look(self) -> tuple[Floats, Floats]:
        state = self._context.getState(positions=True, forces=True)
        found = tuple(np.asarray(array._value) for array in (state.getPositions(asNumpy=True), state.getForces(asNumpy=True)))
        if not all(np.isfinite(array).all() for array in found):
            raise SimulationError(f"The trajectory at {self._kelvin:g} K left physics. Choose a shorter time step or a lower temperature.")
        return found[0], found[1]


@dataclass(frozen=True)
class _Work:
    """All that a worker has to know: what is sampled, and how."""

    system: System
    view: Reference
    structure: Structure
    mapping: Mapping
    bead_map: Floats
    sampling: Sampling

    def held(self, number: int) -> Held:
        """What measures."""
        moving = built(self.system, self.view, self.structure, self.mapping, self.sampling)
        return Held(moving, self.mapping, self.bead_map, self.sampling, number)

    def key(self, atoms: Floats) -> str:
        """Of the labels of these configurations."""
        arrays = "".join(np.ascontiguousarray(array).tobytes().hex() for array in (self.mapping.sites, self.bead_map, atoms))
        return key_of(self.system.model_dump_json(), self.view.model_dump_json(), self.structure.key, self.sampling.words, arrays)


def mean_forces(
    system: System,
    view: Reference,
    structure: Structure,
    mapping: Mapping,
    sampling: Sampling,
    atoms: Floats,
    bead_map: Floats,
    *,
    tell: Tell = nobody,
    folder: Path | None = None,
) -> Iterator[tuple[int, Label]]:
    """The mean force on the beads at each configuration, as they come: first those that were kept, then in no order.

    A configuration that leaves physics has no label.

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
    work = _Work(system, view, structure, mapping, bead_map, sampling)
    shelf = _Shelf(folder / "mean-forces.npz" if folder else None, work.key(atoms))
    known = sorted(shelf.found)
    left = [index for index in range(len(atoms)) if index not in shelf.found]
    done = len(known)

    def ask() -> None:
        tell(done / len(atoms), f"Mean force {done} of {len(atoms)}")

    yield from [(index, shelf.found[index]) for index in known]
    try:
        for index, label in (_alone if sampling.workers == 1 else _together)(work, atoms, left, ask) if left else ():
            done += 1
            if label is not None:
                shelf.add(index, label)
                yield index, label
    finally:
        shelf.write()


class _Shelf:
    """Labels that are finished, in one file that is written whole.

    Args:
        path: The file; none where nothing is kept.
        key: Of what they are made from.

    Attributes:
        found: The labels by the index of their configuration.
    """

    def __init__(self, path: Path | None, key: str) -> None:
        self._path, self._key, self._written, self._fresh = path, key, monotonic(), False
        part = kept(path, key)
        arrays = part.arrays if part else {}
        names = ("positions", "forces", "errors")
        rows = zip(arrays["index"].tolist(), *(arrays[name] for name in names), strict=True) if part else ()
        self.found = {int(index): Label(*found) for index, *found in rows}

    def add(self, index: int, label: Label) -> None:
        """One more."""
        self.found[index] = label
        self._fresh = True
        if monotonic() > self._written + SAVED:
            self.write()

    def write(self) -> None:
        """Put on disk what is not there yet."""
        if self._fresh:
            index = np.array(list(self.found))
            arrays = dict(zip(("positions", "forces", "errors"), map(np.array, zip(*self.found.values(), strict=True)), strict=True))
            keep(self._path, self._key, Part({"index": index, **arrays}, {}))
        self._written, self._fresh = monotonic(), False


Found = tuple[int, Label | None]
"""The index of a configuration, and its label; none where it left physics."""


def _alone(work: _Work, atoms: Floats, indices: Sequence[int], ask: Ask) -> Iterator[Found]:
    """Label after label, in this process."""
    held = work.held(0)
    for index in indices:
        yield index, _measured(held, atoms[index], work.sampling.seed + index, ask)


def _measured(held: Held, atoms: Floats, seed: int, ask: Ask) -> Label | None:
    try:
        return held.label(atoms, seed, ask)
    except SimulationError:
        return None


def _together(work: _Work, atoms: Floats, indices: Sequence[int], ask: Ask) -> Iterator[Found]:
    """By several processes, each with its share; they end with this one."""
    context = multiprocessing.get_context("spawn")
    lines: dict[Connection, int] = {}
    crew = []
    try:
        for number in range(min(work.sampling.workers, len(indices))):
            mine = indices[number :: work.sampling.workers]
            ours, theirs = context.Pipe(duplex=False)
            crew.append(context.Process(target=_worker, args=(theirs, work, atoms[list(mine)], mine, number), daemon=True, name="potential-studio labels"))
            crew[-1].start()
            theirs.close()
            lines[ours] = len(mine)
        yield from _heard(lines, ask)
    finally:
        for process in crew:
            process.kill()
            process.join()


def _heard(lines: dict[Connection, int], ask: Ask) -> Iterator[Found]:
    """What workers say, until all have said everything.

    Args:
        lines: To the workers, and how many labels each owes.
        ask: What it raises ends the work.
    """
    while lines:
        ask()
        for line in wait(list(lines), LOOK):
            news = _news(line)  # type: ignore[arg-type]  # only connections are waited for
            lines[line] -= 1  # type: ignore[index]
            if not lines[line]:  # type: ignore[index]
                del lines[line]  # type: ignore[arg-type]
            yield news


def _news(line: Connection) -> Found:
    try:
        news: Found | StudioError = line.recv()
    except (EOFError, OSError) as problem:
        raise WorkerError(
            "A process that measured mean forces died, perhaps for want of memory. What is finished is kept: go on with fewer workers."
        ) from problem
    if isinstance(news, StudioError):
        raise news
    return news


def _worker(line: Connection, work: _Work, atoms: Floats, indices: Sequence[int], number: int) -> None:
    """Body of a process: labels go out as they are measured; nobody listening ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the terminal is the parent's to handle
    os.environ.update(ONE_THREAD)
    with suppress(BrokenPipeError, ConnectionResetError):
        try:
            held = work.held(number)
            for place, index in zip(atoms, indices, strict=True):
                line.send((index, _measured(held, place, work.sampling.seed + index, _go_on)))
        except StudioError as problem:
            line.send(problem)


def _go_on() -> None:
    """A worker is ended from outside."""
