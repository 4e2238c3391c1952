"""Replicas: copies of a system that advance together, with one network call per step for all of them.

Copies differ in seed, temperature or lambda. OpenMM asks for the network's forces from inside its step, so that a step cannot
be cut in two from outside; therefore each copy steps in a thread of its own (OpenMM lets go of Python's lock meanwhile) and
the threads meet at a `Table`: who arrives waits, the last to arrive evaluates for all. A copy sits at the table only while
it moves and has lambda > 0; who leaves - at the end of a block, paused, or because its numbers left physics - is no longer
waited for, so that nobody waits for ever. Knows simulations and the parts of their models that networks describe; must not
know recipes, processes or files.
"""

import io
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from threading import Condition
from typing import TYPE_CHECKING, Annotated
from zipfile import BadZipFile

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from studio.errors import SettingsError, SimulationError, StorageError
from studio.potentials.base import Batch, BoundPotential, Card, Charged, EnergyForces, Response, Sensitivity, evaluate_batch
from studio.simulation import OpenMMSimulation, Thermostat
from studio.structure import Floats, Integers, Structure
from studio.trust import Monitor, Trust
from studio.units import Kelvin

if TYPE_CHECKING:
    from collections.abc import Iterator

    from studio.frame import Frame
    from studio.hybrid.correction import Fragment
    from studio.hybrid.coupling import Model


class Replica(BaseModel):
    """What makes one copy differ from the others.

    Args:
        seed: Of velocities and thermostat.
        temperature: Of the thermostat, K.
        lam: How far the network replaces MM, between 0 and 1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: Annotated[int, Field(ge=0, lt=2**31 - 1)] = 0
    temperature: Kelvin = 300.0
    lam: Annotated[float, Field(ge=0.0, le=1.0)] = 1.0


class Table:
    """Where the copies meet: one batched call answers all that sit here.

    Args:
        potential: Bound to the atoms that all copies share.

    Attributes:
        calls: Batched calls so far.
        evaluations: Geometries in them.
    """

    def __init__(self, potential: BoundPotential) -> None:
        self.potential = potential
        self.calls = self.evaluations = 0
        self._room = Condition()
        self._seated: set[int] = set()
        self._waiting: dict[int, Floats] = {}
        self._answers: dict[int, tuple[Future[Batch], int]] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="network of replicas")

    def join(self, seat: int) -> None:
        """From now on the others wait for `seat`."""
        with self._room:
            self._seated.add(seat)

    def leave(self, seat: int) -> None:
        """Nobody waits for `seat` any longer."""
        with self._room:
            self._seated.discard(seat)
            self._serve()

    def ask(self, seat: int, positions: Floats) -> EnergyForces:
        """The answer for one copy, as soon as all that sit here have asked; who does not sit here is not waited for.

        Args:
            seat: Who asks.
            positions: (n, 3), nm, molecules whole.

        Raises:
            Exception: What the potential raised; all copies of the call get it.
        """
        with self._room:
            self._waiting[seat] = positions
            self._serve()
            self._room.wait_for(lambda: seat in self._answers)
            answer, row = self._answers.pop(seat)
        batch = answer.result()
        return EnergyForces(float(batch.energies[row]), batch.forces[row])

    def _serve(self) -> None:
        """Begin the call when nobody is missing; the room is locked."""
        if not self._waiting or not self._seated <= self._waiting.keys():
            return
        seats, positions = list(self._waiting), np.stack(list(self._waiting.values()))
        self.calls, self.evaluations = self.calls + 1, self.evaluations + len(seats)
        answer = self._thread.submit(evaluate_batch, self.potential, positions)
        self._answers |= {seat: (answer, row) for row, seat in enumerate(seats)}
        self._waiting.clear()
        self._room.notify_all()


class Seated:
    """A bound potential whose answers come from a table.

    Args:
        table: Where the copies meet.
        seat: Whose place this is.
    """

    def __init__(self, table: Table, seat: int) -> None:
        self._table, self._seat = table, seat

    @property
    def card(self) -> Card:
        """The card of the shared potential."""
        return self._table.potential.card

    @property
    def provenance(self) -> dict[str, str]:
        """Of the shared potential."""
        return self._table.potential.provenance

    def __call__(self, positions: Floats, box: Floats | None = None) -> EnergyForces:
        """Energy and forces; waits for the other copies.

        Args:
            positions: (n, 3), nm, molecules whole.
            box: Not used: the region is a molecule in vacuum.
        """
        return self._table.ask(self._seat, positions)


class SeatedCharged(Seated):
    """The same for a potential that predicts charges; what asks for charges is answered one by one.

    Args:
        table: Where the copies meet.
        seat: Whose place this is.
        charged: The shared potential.
    """

    def __init__(self, table: Table, seat: int, charged: Charged) -> None:
        super().__init__(table, seat)
        self._charged = charged

    def partial_charges(self, positions: Floats) -> Floats:
        """Atomic charges (n,), e, at positions (n, 3), nm."""
        return self._charged.partial_charges(positions)

    def respond(self, positions: Floats, sensitivity: Sensitivity) -> Response:
        """See `Charged.respond`."""
        return self._charged.respond(positions, sensitivity)


@dataclass(frozen=True)
class Unseated:
    """A fragment of one copy as a monitor wants it: with the shared potential itself, which shows its members.

    Args:
        fragment: Of the copy's model.
        potential: What the fragment's table asks.
    """

    fragment: "Fragment"
    potential: BoundPotential

    @property
    def atoms(self) -> Integers:
        """Indices into the structure."""
        return self.fragment.atoms

    @property
    def structure(self) -> Structure:
        """The part as the network sees it."""
        return self.fragment.structure

    @property
    def last(self) -> tuple[Floats, EnergyForces, EnergyForces] | None:
        """The last evaluation of this copy, or none."""
        return self.fragment.last


class Replicas:
    """Copies of a system that advance together; each goes as it would alone.

    Args:
        build: Called with each copy's lambda; gives a model of its own with the same regions. Give all models one bound
            potential, or let each bring its own: only the first one's is used.
        copies: What makes them differ.
        thermostat: What they share: friction and timestep.
        platform: OpenMM platform; the CPU when left out. Not `Reference`, where all simulations of a process draw from one row of
            random numbers.
        threads: CPU threads of each copy.

    Attributes:
        simulations: One for each copy.
        copies: As given.
        failures: What stopped a copy, by its index; it stays where it was last well.

    Raises:
        SettingsError: No copies, the Reference platform, or models that differ in what their networks describe.
    """

    def __init__(
        self, build: "Callable[[float], Model]", copies: Sequence[Replica], thermostat: Thermostat | None = None, platform: str | None = None, threads: int = 1
    ) -> None:
        if not copies:
            raise SettingsError("Expected at least one replica, got none.")
        if platform == "Reference":
            raise SettingsError("Replicas do not run on OpenMM's Reference platform, which shares random numbers among simulations. Choose CPU.")
        self.copies, self.failures = tuple(copies), dict[int, SimulationError]()
        models = [build(copy.lam) for copy in copies]
        self._tables = _seat(models)
        drive = thermostat or Thermostat()
        drives = [replace(drive, seed=copy.seed, temperature=copy.temperature) for copy in copies]
        self.simulations = tuple(OpenMMSimulation(model, own, platform, threads) for model, own in zip(models, drives, strict=True))
        self._paused: set[int] = set()
        self._pool = ThreadPoolExecutor(len(copies), thread_name_prefix="replica")
        self._frames: dict[int, Frame] = {}
        self._look()

    def __len__(self) -> int:
        return len(self.copies)

    @property
    def structure(self) -> Structure:
        """The atoms of each copy at the start."""
        return self.simulations[0].structure

    @property
    def provenance(self) -> dict[str, str]:
        """Of the first copy, and what makes the others differ."""
        several = {
            name: ", ".join(f"{getattr(copy, key):g}" for copy in self.copies)
            for name, key in (("replica_seeds", "seed"), ("replica_temperatures_k", "temperature"), ("replica_lambdas", "lam"))
        }
        return dict(self.simulations[0].provenance) | several

    @property
    def calls(self) -> int:
        """Network calls so far, each for all copies that moved."""
        return sum(table.calls for table in self._tables)

    @property
    def moving(self) -> tuple[int, ...]:
        """The copies that `advance` moves: neither paused nor failed."""
        return tuple(k for k in range(len(self)) if k not in self._paused and k not in self.failures)

    def watch(self, index: int, settings: Trust) -> Monitor:
        """A monitor of the networks of one copy.

        Args:
            index: The copy.
            settings: Thresholds and actions.
        """
        correction = self.simulations[index].model.correction
        fragments = correction.fragments if correction else ()
        own = [Unseated(fragment, table.potential) for fragment, table in zip(fragments, self._tables, strict=True)]
        return Monitor(self.structure, own, settings)

    def pause(self, index: int) -> None:
        """Leave a copy where it is while the others go on."""
        self._paused.add(index)

    def resume(self, index: int) -> None:
        """Let a paused copy go on; one that failed is tried again from where it was last well."""
        self._paused.discard(index)
        self.failures.pop(index, None)

    def advance(self, steps: int, sample: bool = True) -> "tuple[Frame, ...]":
        """Go on by `steps`, all copies together; a copy that fails is set aside and the others go on.

        Args:
            steps: Integration steps.
            sample: Evaluate the energies at the end.

        Returns:
            The newest frame of every copy, that of a paused or failed one being old.

        Raises:
            SimulationError: No copy is left that moves.
        """
        return self._together(lambda simulation: simulation.advance(steps, sample), self.moving)

    def minimise(self, iterations: int) -> "tuple[Frame, ...]":
        """Walk downhill in energy, each on its own path, with the network calls of all in common.

        Args:
            iterations: At most so many.

        Raises:
            SimulationError: No copy is left that moves.
        """
        return self._together(lambda simulation: simulation.minimise(iterations), self.moving)

    def checkpoint(self) -> bytes:
        """All that is needed to go on from here, of all copies."""
        buffer = io.BytesIO()
        states = {f"replica_{k}": np.frombuffer(simulation.checkpoint(), dtype=np.uint8) for k, simulation in enumerate(self.simulations)}
        np.savez(buffer, count=np.int64(len(self)), **states)  # type: ignore[arg-type]
        return buffer.getvalue()

    def restore(self, checkpoint: bytes) -> None:
        """Go back to `checkpoint`; failures are forgotten, who is paused stays so.

        Raises:
            StorageError: It is damaged, belongs to another system or to another number of copies.
        """
        try:
            with np.load(io.BytesIO(checkpoint), allow_pickle=False) as data:
                saved = dict(data)
            count = int(saved.pop("count"))
        except (ValueError, OSError, KeyError, EOFError, BadZipFile) as problem:
            raise StorageError(f"The checkpoint is damaged and cannot be read ({problem}). Start again, or use an older checkpoint.") from problem
        if count != len(self):
            raise StorageError(f"The checkpoint holds {count} replicas; expected {len(self)}. Use the recipe that wrote it.")
        for k, simulation in enumerate(self.simulations):
            simulation.restore(saved[f"replica_{k}"].tobytes())
        self.failures.clear()
        self._look()

    def _look(self) -> None:
        """Where all copies stand, the paused ones too.

        Raises:
            SimulationError: The numbers of a copy are beyond physics from the start.
        """
        self._together(lambda simulation: simulation.advance(0), range(len(self)))
        if self.failures:
            raise next(iter(self.failures.values()))

    def _together(self, act: "Callable[[OpenMMSimulation], Frame]", who: Sequence[int]) -> "tuple[Frame, ...]":
        """Do `act` with some copies, each in its thread; gives the newest frame of every copy."""
        with ExitStack() as stack:
            for k in who:
                if self.copies[k].lam:  # at 0 the network is not asked
                    stack.enter_context(self._at_table(k))
            outcomes = {k: self._pool.submit(self._alone, k, act) for k in who}
            for k, outcome in outcomes.items():
                try:
                    self._frames[k] = outcome.result()
                except SimulationError as problem:
                    self.failures[k] = problem
        if who and not self.moving:
            last = self.failures[who[-1]]
            raise SimulationError(f"No replica is left that moves. The last one: {last}", last.atoms)
        return tuple(self._frames[k] for k in range(len(self)))

    def _alone(self, index: int, act: "Callable[[OpenMMSimulation], Frame]") -> "Frame":
        """`act` with one copy, which leaves the tables whatever happens."""
        try:
            return act(self.simulations[index])
        finally:
            self._leave(index)

    @contextmanager
    def _at_table(self, index: int) -> "Iterator[None]":
        for table in self._tables:
            table.join(index)
        try:
            yield
        finally:
            self._leave(index)

    def _leave(self, index: int) -> None:
        for table in self._tables:
            table.leave(index)


def _seat(models: "Sequence[Model]") -> tuple[Table, ...]:
    """A table for each fragment, and in every model a seat there in place of its potential.

    Raises:
        SettingsError: The models differ in what their networks describe.
    """
    parts = [model.correction.fragments if model.correction else () for model in models]
    if any([_kind(fragment.structure) for fragment in own] != [_kind(fragment.structure) for fragment in parts[0]] for own in parts):
        raise SettingsError("The replicas differ in the atoms that networks describe; expected the same regions, charges and spins in all of them.")
    tables = tuple(Table(fragment.potential) for fragment in parts[0])
    for seat, own in enumerate(parts):
        for table, fragment in zip(tables, own, strict=True):
            shared = table.potential
            fragment.potential = SeatedCharged(table, seat, shared) if isinstance(shared, Charged) else Seated(table, seat)
    return tables


def _kind(structure: Structure) -> tuple[bytes, int, int]:
    """What a network knows of its atoms besides their positions."""
    return structure.numbers.tobytes(), structure.charge, structure.multiplicity
