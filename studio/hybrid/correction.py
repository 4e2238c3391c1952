"""Correction: what networks add to an MM system at work - energies and forces of all ML regions, as OpenMM callbacks.

Knows bound potentials, capped regions and how OpenMM asks for forces; must not know where MM terms come from.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from studio.errors import UnsupportedError
from studio.hybrid.boundary import Part
from studio.hybrid.embedding import Embedded, Embedding
from studio.potentials.base import BoundPotential, Charged, EnergyForces
from studio.structure import Floats, Integers, Structure

if TYPE_CHECKING:
    import openmm

Shadow = Callable[[Floats], EnergyForces]
"""Takes positions of a region and its MM hosts (n + l, 3), nm, whole; gives the MM energy and forces that a network replaces."""

LAMBDA = "lambda_nnp"
"""Name of the OpenMM global parameter that scales the bracket."""
LAMBDA_ELEC = "lambda_elec"
"""Name of the OpenMM global parameter that scales electrostatic embedding; it exists where there is such embedding."""
EVERY = "nnp_every"
"""Name of the OpenMM global parameter n of multiple time steps: the correction acts as an impulse n times as strong at every n-th step."""


@dataclass(frozen=True)
class Terms:
    """What the correction was made of at the last evaluation, kJ/mol, before any lambda; sums over fragments.

    Args:
        network: The networks, less E_ref.
        shadow: The MM energy that they replace.
        embedding: dU_q.
        polarisation: U_pol.
        inner: D, the part of the bracket that a refit has put among the inner forces.
    """

    network: float = 0.0
    shadow: float = 0.0
    embedding: float = 0.0
    polarisation: float = 0.0
    inner: float = 0.0

    @property
    def bracket(self) -> float:
        """dU/dlambda: network minus shadow."""
        return self.network - self.shadow

    @property
    def electrostatic(self) -> float:
        """dU/dlambda_el: dU_q plus polarisation."""
        return self.embedding + self.polarisation

    def components(self) -> dict[str, float]:
        """All terms by name."""
        return {"network": self.network, "shadow": self.shadow, "embedding": self.embedding, "polarisation": self.polarisation, "inner": self.inner}

    def __add__(self, other: "Terms") -> "Terms":
        mine, theirs = self.components(), other.components()
        return Terms(*(mine[name] + theirs[name] for name in mine))


class Last(NamedTuple):
    """The last evaluation of a fragment.

    Args:
        positions: Atoms and link hydrogens, whole, (n + l, 3), nm.
        network: The network there; with electrostatic embedding its forces hold those of its changing charges, too.
        shadow: The MM terms that it replaces; forces on atoms and MM hosts, (n + l, 3).
    """

    positions: Floats
    network: EnergyForces
    shadow: EnergyForces


class Pull(NamedTuple):
    """One evaluation of the correction: its terms, and the forces (m, 3), kJ/mol/nm, that go with each lambda.

    Unless the two were told apart, the forces of charges that change with the geometry count to `internal`.
    """

    terms: Terms
    internal: Floats
    electrostatic: Floats


class Fragment:
    """One ML region at work: its network, the MM terms that this replaces, and its electrostatic embedding.

    Args:
        part: The atoms and links.
        potential: Bound to `part.structure`.
        rows: Where `part.seen` is among the particles of the correction.
        shadow: The MM terms that the network replaces; none where there is no MM.
        inner: D, which the inner forces hold already; see `refit`.
        embedding: Electrostatic embedding, where there is.

    Attributes:
        last: The last evaluation; none before the first.
        calls: Network calls so far.

    Raises:
        UnsupportedError: Electrostatic embedding of a potential that predicts no charges.
    """

    def __init__(
        self,
        part: Part,
        potential: BoundPotential,
        rows: Integers,
        *,
        shadow: Shadow | None = None,
        inner: Shadow | None = None,
        embedding: Embedding | None = None,
    ) -> None:
        if embedding is not None and not isinstance(potential, Charged):
            raise UnsupportedError(
                f"{potential.card.title} predicts no atomic charges, which electrostatic embedding needs. "
                "Choose mechanical embedding, or a potential with charges."
            )
        self.part, self.potential, self._rows, self._shadow, self._inner, self._embedding = part, potential, rows, shadow, inner, embedding
        self.last: Last | None = None
        self.calls = 0

    @property
    def atoms(self) -> Integers:
        """Indices of the region's atoms in the full system."""
        return self.part.atoms

    @property
    def embedded(self) -> bool:
        """Whether there is electrostatic embedding."""
        return self._embedding is not None

    @property
    def structure(self) -> Structure:
        """The capped region, as the network knows it."""
        return self.part.structure

    def evaluate(self, positions: Floats, box: Floats | None, apart: bool) -> Pull:
        """Energies and forces at the positions of the correction's particles (m, 3), nm.

        Args:
            positions: In any images.
            box: Periodic box vectors as rows, nm, or none.
            apart: Tell the forces of changing charges from the network's own, by a second call of the network.
        """
        seen = self.part.whole(positions[self._rows], box)
        capped = self.part.cap(seen)
        network, embedded = self._ask(capped, seen[: len(self.atoms)], positions, box)
        shadow, inner = (EnergyForces(0.0, np.zeros_like(seen)) if energy is None else energy(seen) for energy in (self._shadow, self._inner))
        self.last = Last(capped, network, shadow)
        internal, electrostatic = -self._scatter(shadow.forces + inner.forces, len(positions)), np.array(embedded.forces)
        charging = network.forces - self._plain(capped).forces if apart else np.zeros_like(capped)
        internal += self._scatter(self.part.spread(seen, network.forces - charging), len(positions))
        electrostatic += self._scatter(self.part.spread(seen, charging), len(positions))
        return Pull(Terms(network.energy, shadow.energy, embedded.coulomb, embedded.polarisation, inner.energy), internal, electrostatic)

    def _ask(self, capped: Floats, region: Floats, positions: Floats, box: Floats | None) -> tuple[EnergyForces, Embedded]:
        """The network, and what its charges do among the MM charges."""
        if self._embedding is None or not isinstance(self.potential, Charged):
            nothing = np.zeros(len(capped))
            return self._plain(capped), Embedded(0.0, 0.0, np.zeros_like(positions), nothing, nothing)
        embedding, answers = self._embedding, []

        def sensitivity(charges: Floats, ratios: Floats) -> tuple[Floats, Floats]:
            answers.append(embedding(region, positions, box, charges, ratios))
            return answers[0].by_charge, answers[0].by_ratio

        self.calls += 1
        response = self.potential.respond(capped, sensitivity)
        return EnergyForces(response.energy, response.forces), answers[0]

    def _plain(self, capped: Floats) -> EnergyForces:
        self.calls += 1
        return self.potential(capped)

    def _scatter(self, forces: Floats, count: int) -> Floats:
        scattered = np.zeros((count, 3))
        scattered[self._rows] = forces  # no atom is twice in `part.seen`
        return scattered


class Correction:
    """Both brackets as two callbacks of `openmm.PythonForce`: `begin` before the MM forces, `finish` after them.

    The networks run on one core, one after the other, while OpenMM works out the MM forces on the others. The last answer
    is remembered, so that reading the energy at positions where the forces were just computed costs no network call.

    Args:
        fragments: What is described by networks.
        start: Positions (m, 3), nm, of the particles of the forces, at which the first bracket is zero.
        box: Periodic box vectors of the full system at the start, or none.

    Attributes:
        fragments: As given.
        terms: The energies of the last evaluation.
        reference: E_ref, kJ/mol.
    """

    def __init__(self, fragments: Sequence[Fragment], start: Floats, box: Floats | None) -> None:
        self.fragments = tuple(fragments)
        self._periodic, self._embedded = box is not None, any(fragment.embedded for fragment in fragments)
        self._seen: Seen | None = None
        self._nothing = np.zeros_like(start)
        self._pull = Pull(Terms(), self._nothing, self._nothing)
        self._pending: Future[Pull] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="network")
        self.terms = Terms()
        self.reference = self._evaluate(Seen(start, box, apart=False)).terms.bracket

    @property
    def calls(self) -> int:
        """Network calls so far, over all fragments."""
        return sum(fragment.calls for fragment in self.fragments)

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the global parameters that scale the energies."""
        return (LAMBDA, LAMBDA_ELEC) if self._embedded else (LAMBDA,)

    def begin(self, state: "openmm.State") -> tuple[float, Floats]:
        """Start the evaluation in a thread of its own, so that OpenMM works out the MM forces meanwhile; adds nothing itself."""
        lam, lam_elec = self._lambdas(state)
        if (lam or lam_elec) and _impulse(state):
            positions = _positions_of(state)
            seen = Seen(positions, _box_of(state) if self._periodic else None, apart=self._embedded and lam != lam_elec)
            if self._seen is None or not seen.known_by(self._seen):
                self._pending, self._seen = self._thread.submit(self._evaluate, seen), seen
        return 0.0, self._nothing

    def finish(self, state: "openmm.State") -> tuple[float, Floats]:
        """Energy and forces of both brackets, each times its lambda, as OpenMM asks for them."""
        lam, lam_elec = self._lambdas(state)
        strength = _impulse(state)
        if not strength:
            return 0.0, self._nothing
        if self._pending is not None:
            pending, self._pending = self._pending, None
            seen, self._seen = self._seen, None  # should the network fail, there is no answer for them
            self._pull = pending.result()
            self._seen = seen
            self.terms = replace(self._pull.terms, network=self._pull.terms.network - self.reference)
        energy = lam * (self.terms.bracket - self.terms.inner) + lam_elec * self.terms.electrostatic
        return energy, strength * (lam * self._pull.internal + lam_elec * self._pull.electrostatic)

    def _lambdas(self, state: "openmm.State") -> tuple[float, float]:
        parameters = state.getParameters()
        return parameters[LAMBDA], parameters[LAMBDA_ELEC] if self._embedded else 0.0

    def _evaluate(self, seen: "Seen") -> Pull:
        pulls = [fragment.evaluate(*seen) for fragment in self.fragments]
        terms, internal, electrostatic = zip(*pulls, strict=True)
        return Pull(sum(terms, Terms()), np.sum(internal, axis=0), np.sum(electrostatic, axis=0))


class Seen(NamedTuple):
    """What an evaluation was made for: see `Fragment.evaluate`."""

    positions: Floats
    box: Floats | None
    apart: bool

    def known_by(self, other: "Seen") -> bool:
        """Whether the answer to `other` answers this."""
        same_box = self.box is None or other.box is None or np.array_equal(self.box, other.box)
        return same_box and other.apart >= self.apart and np.array_equal(self.positions, other.positions)


def _impulse(state: "openmm.State") -> int:
    """How many times as strong the correction acts now: n at every n-th step of the inner integrator, otherwise not at all.

    Kicks of the inner force and impulses of the outer one at the same positions add up, so that this is r-RESPA (Tuckerman
    1992, 10.1063/1.463137) within OpenMM's own compiled integrator, whatever that is.
    """
    every = round(state.getParameters()[EVERY])
    return every if state.getStepCount() % every == 0 else 0


def _positions_of(state: "openmm.State") -> Floats:
    from openmm import unit

    return np.asarray(state.getPositions(asNumpy=True).value_in_unit(unit.nanometer))


def _box_of(state: "openmm.State") -> Floats:
    from openmm import unit

    return np.asarray(state.getPeriodicBoxVectors(asNumpy=True).value_in_unit(unit.nanometer))
