"""Trust: is the network to be believed right now? Looks at frames on their way and says what speaks against it, as sentences.

A network answers everything, also where it never learned. What gives that away: the members of an ensemble disagree, its
forces leave those of the force field behind, bonds stretch or break, contacts become bonds, charges leave what atoms carry.
Looks where frames are looked at (some ten times a second), not at every step: geometry costs about a millisecond, questions
that need further network calls are asked once in `network_seconds`. Nothing is said twice, unless it got worse or came back.
Knows structures and bound potentials; must not know what moves the atoms, processes or screens.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Literal, Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from rdkit.Chem import GetPeriodicTable

from studio.errors import SimulationError
from studio.frame import Frame
from studio.hybrid.whole import MakeWhole
from studio.potentials.base import BoundPotential, Charged, EnergyForces, Ensemble
from studio.structure import Floats, Integers, Structure
from studio.units import KJ_PER_KCAL, NM_PER_ANGSTROM

if TYPE_CHECKING:
    from studio.hybrid.coupling import Model

Kind = Literal["element", "energy", "broken", "stretched", "contact", "gap", "spread", "charge"]
Action = Literal["pause", "warn", "off"]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]

CALM = 0.9
"""Fraction of a threshold below which a doubt has gone away."""
WORSE = 1.3
"""A doubt is told again when it has grown by this factor."""
WORST = 1.5
"""Times the threshold, above which nothing gets worse: a bond breaks once."""
PATIENCE = 20
"""Looks in a row without a doubt before it counts as new: forces fluctuate."""
REMEMBERED = 50
"""Doubts kept for the record of a run."""
_PEOPLE = NM_PER_ANGSTROM / KJ_PER_KCAL
"""kcal/mol/angstrom in a kJ/mol/nm."""


@dataclass(frozen=True)
class Doubt:
    """One reason not to believe the network.

    Args:
        kind: What was looked at.
        sentence: What was seen, for people.
        atoms: Indices into the structure, worst first.
        value: What it is, in the unit of its threshold.
        threshold: What it should not be.
        action: What is done about it.
    """

    kind: Kind
    sentence: str
    atoms: tuple[int, ...]
    value: float
    threshold: float
    action: Action

    @property
    def severity(self) -> float:
        """How far beyond its threshold: 1 at the threshold, never above `WORST`."""
        if self.threshold <= 0.0 or not isfinite(self.value):
            return WORST
        ratio = self.threshold / max(self.value, 1e-9) if self.kind == "contact" else self.value / self.threshold
        return min(ratio, WORST)

    @property
    def key(self) -> tuple[Kind, tuple[int, ...]]:
        """Doubts of one key are one story: a bond or contact is told by its atoms, everything else by its kind."""
        return self.kind, self.atoms if self.kind in ("broken", "stretched", "contact") else ()


class Trust(BaseModel):
    """What is doubted, and what is done then: `pause` the run, `warn`, or `off`.

    Margins, measured with SO3LR over 2 ps at 300 K (TYK2 ligand and alanine dipeptide in water, TYK2 ligand in its pocket,
    aspirin in vacuum): bonds reach 1.11 times their ordinary length, atoms that are not bonded come down to 1.53 times the sum
    of their covalent radii (water included), the force gap to Sage and ff14SB reaches 1,130 over the region and 6,100 on an
    atom, kJ/mol/nm. At 1000 K bonds of aspirin reach 1.27.
    The four AIMNet2s disagree by up to 205 kJ/mol/nm on an atom at 300 K, 250 at 1000 K, 280 to 350 where a C-H bond is twice
    its length: the spread tells late, geometry tells first.

    Args:
        stretched: Length of a bond over its ordinary length: the one at the start, kept between 0.8 and 1.1 times the sum of the covalent radii.
        broken: Likewise, for a bond that is no more.
        contact: Distance of atoms more than two bonds apart, over the sum of their covalent radii; below it a bond forms.
        gap_rms: Network minus force field, root mean square of the components over the region, kJ/mol/nm.
        gap_atom: Network minus force field, size of the force on one atom, kJ/mol/nm.
        spread: Standard deviation of the force on one atom over the members of an ensemble, kJ/mol/nm.
        partial_charge: Size of the charge of one atom, e.
        total_charge: Difference between the sum of the network's charges and the charge of the region, e.
        network_seconds: Wall time between further network calls, for spread and charges, s.
        on_element: An element that the network was not trained on.
        on_energy: An energy or a force that is not a number.
        on_broken: A broken bond.
        on_stretched: A stretched bond.
        on_contact: A contact that becomes a bond.
        on_gap: Either force gap.
        on_spread: A spread.
        on_charge: Either charge.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    stretched: Positive = 1.25
    broken: Positive = 1.5
    contact: Positive = 1.25
    gap_rms: Positive = 2000.0
    gap_atom: Positive = 10_000.0
    spread: Positive = 270.0
    partial_charge: Positive = 2.0
    total_charge: Positive = 0.1
    network_seconds: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 2.0
    on_element: Action = "warn"
    on_energy: Action = "pause"
    on_broken: Action = "pause"
    on_stretched: Action = "warn"
    on_contact: Action = "pause"
    on_gap: Action = "warn"
    on_spread: Action = "warn"
    on_charge: Action = "warn"

    def action(self, kind: Kind) -> Action:
        """What is done about doubts of a kind."""
        actions: dict[Kind, Action] = {
            "element": self.on_element, "energy": self.on_energy, "broken": self.on_broken, "stretched": self.on_stretched,
            "contact": self.on_contact, "gap": self.on_gap, "spread": self.on_spread, "charge": self.on_charge,
        }  # fmt: skip
        return actions[kind]

    def doubt(self, kind: Kind, sentence: str, atoms: Integers, value: float, threshold: float) -> Doubt:
        """A doubt with the action that belongs to its kind; see `Doubt`."""
        return Doubt(kind, sentence, tuple(int(i) for i in atoms), value, threshold, self.action(kind))


class Fragment(Protocol):
    """What the monitor needs of a part of the ML region.

    `last` holds the whole positions of the capped part, (n, 3), nm, and what network and force field said there.
    """

    @property
    def atoms(self) -> Integers:
        """Indices into the structure; link hydrogens come after them in `structure` and `last`."""
        ...

    @property
    def structure(self) -> Structure:
        """The part as the network sees it, link hydrogens included."""
        ...

    @property
    def potential(self) -> BoundPotential:
        """The network."""
        ...

    @property
    def last(self) -> tuple[Floats, EnergyForces, EnergyForces] | None:
        """The last evaluation, or none."""
        ...


class Monitor:
    """Looks at a run's frames and tells each doubt once.

    Args:
        structure: The atoms, in the order of the frames.
        fragments: The parts that networks describe; none for plain MM, which leaves nothing to doubt.
        settings: Thresholds and actions.
        clock: Wall time, s.
    """

    def __init__(self, structure: Structure, fragments: Sequence[Fragment], settings: Trust, clock: Callable[[], float] = monotonic) -> None:
        self._structure, self._settings, self._clock = structure, settings, clock
        self._parts = [(fragment, _Geometry(structure, fragment.atoms, settings)) for fragment in fragments]
        self._asked: tuple[float, list[Doubt]] = (-inf, [])
        self._told: dict[tuple[Kind, tuple[int, ...]], tuple[float, int]] = {}
        self._looks = 0
        self._notes: list[str] = []

    @property
    def notes(self) -> tuple[str, ...]:
        """All that was told, with its time, for the record."""
        return tuple(self._notes)

    def look(self, frame: Frame) -> tuple[Doubt, ...]:
        """What is new to be doubted; whatever pauses comes first.

        Args:
            frame: Positions of all atoms in any images, and their energies.
        """
        self._looks += 1
        standing = {doubt.key: doubt for doubt in sorted(self._doubts(frame), key=lambda doubt: doubt.severity)}
        self._told = {
            key: (severity, self._looks if key in standing else seen)
            for key, (severity, seen) in self._told.items()
            if key in standing or self._looks - seen < PATIENCE
        }
        fresh = [doubt for doubt in standing.values() if doubt.severity >= max(1.0, WORSE * self._told.get(doubt.key, (0.0, 0))[0])]
        self._told |= {doubt.key: (doubt.severity, self._looks) for doubt in fresh}
        broken = {doubt.atoms for doubt in standing.values() if doubt.kind == "broken" and doubt.severity >= 1.0}
        said = [doubt for doubt in fresh if not (doubt.kind == "stretched" and doubt.atoms in broken)]
        self._note(frame.time, said)
        return tuple(sorted(said, key=lambda doubt: (doubt.action != "pause", -doubt.severity)))

    def check(self, frame: Frame) -> None:
        """`look`, where nobody can be asked: what would pause ends the motion.

        Args:
            frame: Positions of all atoms in any images, and their energies.

        Raises:
            SimulationError: A doubt with action `pause`.
        """
        grave = [doubt for doubt in self.look(frame) if doubt.action == "pause"]
        if grave:
            sentences = " ".join(doubt.sentence for doubt in grave)
            advice = f'Look at the last frames; set "on_{grave[0].kind}" of "trust" to "warn" in the recipe to go on anyway.'
            raise SimulationError(f"Stopped at {self._when(frame.time)}, where the network is not to be believed: {sentences} {advice}", atoms_of(grave))

    def forget(self) -> None:
        """The atoms are somewhere else now: what was told may be told again."""
        self._told.clear()
        self._asked = (-inf, [])

    def _note(self, time: float, doubts: Sequence[Doubt]) -> None:
        room = REMEMBERED - len(self._notes)
        self._notes += [f"Trust, {self._when(time)}: {doubt.sentence}" for doubt in doubts[:room]]

    def _when(self, time: float) -> str:
        return f"{'CG time ' if self._structure.is_coarse else ''}{time:.3f} ps"

    def _doubts(self, frame: Frame) -> list[Doubt]:
        """All doubts that stand, near misses included."""
        positions = np.asarray(frame.positions, dtype=np.float64)
        box = None if frame.box is None else np.asarray(frame.box, dtype=np.float64)
        found = [doubt for fragment, geometry in self._parts for doubt in (*geometry.look(positions, box), *self._forces(fragment))]
        now = self._clock()
        if now - self._asked[0] >= self._settings.network_seconds:
            self._asked = (now, [doubt for fragment, _ in self._parts for doubt in self._ask(fragment)])
        return [doubt for doubt in found + self._asked[1] if doubt.severity >= CALM and doubt.action != "off"]

    def _forces(self, fragment: Fragment) -> Iterator[Doubt]:
        """What the last evaluation gives away; costs no call."""
        yield from self._elements(fragment)
        if fragment.last is None:
            return
        _, network, shadow = fragment.last
        atoms = fragment.atoms
        wrong = atoms[~np.isfinite(network.forces[: len(atoms)]).all(axis=1)]
        if wrong.size or not isfinite(network.energy):
            yield self._settings.doubt("energy", f"{fragment.potential.card.title} gives an energy or a force that is not a number.", wrong, inf, 0.0)
        elif shadow.forces.any():  # a molecule on its own has no force field to compare with
            yield from self._gap(fragment, (network.forces - shadow.forces)[: len(atoms)])

    def _gap(self, fragment: Fragment, gap: Floats) -> Iterator[Doubt]:
        """Forces of the network minus those of the force field, (n, 3), kJ/mol/nm."""
        sizes = np.linalg.norm(gap, axis=1)
        order = np.argsort(-sizes, kind="stable")
        rms, largest, title = float(np.sqrt(np.mean(gap**2))), float(sizes[order[0]]), fragment.potential.card.title
        rest = "which is more than the {} expected of molecules near equilibrium, kcal/mol/\u00c5."
        settings, worst = self._settings, fragment.atoms[order]
        whole = f"{title} and the force field differ by {_people(rms)} (root mean square), " + rest.format(_people(settings.gap_rms))
        single = f"{title} and the force field differ by {_people(largest)} on {self._names(worst[:1])}, " + rest.format(_people(settings.gap_atom))
        yield self._settings.doubt("gap", whole, worst[:3], rms, settings.gap_rms)
        yield self._settings.doubt("gap", single, worst[:1], largest, settings.gap_atom)

    def _elements(self, fragment: Fragment) -> Iterator[Doubt]:
        known = fragment.potential.card.elements
        table = GetPeriodicTable()
        foreign = [k for k, number in enumerate(fragment.structure.numbers[: len(fragment.atoms)]) if table.GetElementSymbol(int(number)) not in known]
        if foreign:
            atoms = fragment.atoms[foreign]
            yield self._settings.doubt(
                "element", f"{fragment.potential.card.title} was not trained on the element of {self._names(atoms)}.", atoms, len(foreign), 0.0
            )

    def _ask(self, fragment: Fragment) -> Iterator[Doubt]:
        """What takes further network calls."""
        if fragment.last is None:
            return
        positions, potential, settings = fragment.last[0], fragment.potential, self._settings
        if isinstance(potential, Ensemble) and settings.on_spread != "off":
            yield self._spread(fragment, potential, positions)
        if isinstance(potential, Charged) and settings.on_charge != "off":
            yield from self._charges(fragment, potential.partial_charges(positions))

    def _spread(self, fragment: Fragment, potential: Ensemble, positions: Floats) -> Doubt:
        forces = np.stack([member(positions).forces for member in potential.members])[:, : len(fragment.atoms)]
        spread = np.sqrt(((forces - forces.mean(axis=0)) ** 2).sum(axis=2).mean(axis=0))
        order = np.argsort(-spread, kind="stable")
        worst, value = fragment.atoms[order[:3]], float(spread[order[0]])
        sentence = (
            f"The members of {fragment.potential.card.title} disagree by {_people(value)} kcal/mol/\u00c5 about the force on {self._names(worst[:1])}; "
            f"up to {_people(self._settings.spread)} is expected where they have learned."
        )
        return self._settings.doubt("spread", sentence, worst, value, self._settings.spread)

    def _charges(self, fragment: Fragment, charges: Floats) -> Iterator[Doubt]:
        settings, title, wanted = self._settings, fragment.potential.card.title, fragment.structure.charge
        own = np.abs(charges[: len(fragment.atoms)])
        worst, total = int(np.argmax(own)), float(charges.sum())
        atom = fragment.atoms[[worst]]
        single = f"{title} gives {self._names(atom)} a charge of {charges[worst]:+.2f} e, beyond the {settings.partial_charge:g} e that an atom carries."
        whole = f"The charges of {title} sum to {total:+.2f} e; the region has {wanted:+d} e."
        yield self._settings.doubt("charge", single, atom, float(own[worst]), settings.partial_charge)
        yield self._settings.doubt("charge", whole, fragment.atoms, abs(total - wanted), settings.total_charge)

    def _names(self, atoms: Integers) -> str:
        return _names(self._structure, atoms)


class _Geometry:
    """Bonds and contacts of one fragment.

    Args:
        structure: All atoms.
        atoms: Indices of the fragment, which is narrower than half the box.
        settings: Thresholds and actions.
    """

    def __init__(self, structure: Structure, atoms: Integers, settings: Trust) -> None:
        self._structure, self._settings, self._atoms = structure, settings, atoms
        self._others = np.setdiff1d(np.arange(len(structure)), atoms)
        self._whole = MakeWhole(structure.take(atoms))
        table = GetPeriodicTable()
        radii = {int(z): table.GetRcovalent(int(z)) * NM_PER_ANGSTROM for z in np.unique(structure.numbers)}
        self._radii = np.array([radii[int(z)] for z in structure.numbers])
        self._bonds = structure.bonds[np.isin(structure.bonds, atoms).any(axis=1)]
        sums = self._radii[self._bonds].sum(axis=1)
        self._lengths = np.clip(_lengths(structure.positions, self._bonds, structure.box), 0.8 * sums, 1.1 * sums)
        self._related = _related(structure, atoms)
        self._reach = settings.contact / CALM * (self._radii[atoms].max() + self._radii.max())

    def look(self, positions: Floats, box: Floats | None) -> Iterator[Doubt]:
        """Stretched and broken bonds, and contacts that become bonds, near misses included.

        Args:
            positions: Of all atoms, (n, 3), nm, in any images.
            box: Box vectors (3, 3), nm, or none.
        """
        settings = self._settings
        ratios = _lengths(positions, self._bonds, box) / self._lengths
        for k in np.flatnonzero(ratios >= CALM * min(settings.stretched, settings.broken)):
            times, atoms = float(ratios[k]), self._bonds[k]
            names = f"{_names(self._structure, atoms[:1])} and {_names(self._structure, atoms[1:])}"
            length = f"{times * self._lengths[k] / NM_PER_ANGSTROM:.2f} \u00c5 long, {times:.2f} times its ordinary length"
            yield self._settings.doubt("stretched", f"The bond between {names} is {length}.", atoms, times, settings.stretched)
            yield self._settings.doubt("broken", f"The bond between {names} is broken: it is {length}.", atoms, times, settings.broken)
        for atoms, length, ratio in zip(*self.contacts(positions, box), strict=True):
            names = f"{_names(self._structure, atoms[:1])} and {_names(self._structure, atoms[1:])}"
            sentence = f"{names} are {length / NM_PER_ANGSTROM:.2f} \u00c5 apart, as close as bonded atoms, but are not bonded: a bond forms, or atoms overlap."
            yield self._settings.doubt("contact", sentence, atoms, float(ratio), settings.contact)

    def contacts(self, positions: Floats, box: Floats | None) -> tuple[Integers, Floats, Floats]:
        """Pairs (c, 2) of atoms more than two bonds apart that are close, their distances (nm) and these over the sum of covalent radii.

        Args:
            positions: Of all atoms, (n, 3), nm, in any images.
            box: Box vectors (3, 3), nm, or none.
        """
        from scipy.spatial import cKDTree

        points, index = self._neighbourhood(positions, box)
        pairs = cKDTree(points).query_pairs(self._reach, output_type="ndarray")
        pairs = pairs[pairs.min(axis=1) < len(self._atoms)] if len(pairs) else pairs.reshape(0, 2)
        lengths = np.linalg.norm(points[pairs[:, 0]] - points[pairs[:, 1]], axis=1)
        atoms = np.sort(index[pairs], axis=1)
        ratios = lengths / self._radii[atoms].sum(axis=1)
        close = (ratios * CALM <= self._settings.contact) & ~np.isin(_codes(atoms, len(self._structure)), self._related)
        return atoms[close], lengths[close], ratios[close]

    def _neighbourhood(self, positions: Floats, box: Floats | None) -> tuple[Floats, Integers]:
        """The fragment in one image with all atoms that can touch it, in the nearest image, and their indices: the fragment's first."""
        own = self._whole(positions[self._atoms], box)
        low, high = own.min(axis=0), own.max(axis=0)
        centre, half = (low + high) / 2, (high - low) / 2 + self._reach
        offsets = positions[self._others] - centre
        if box is not None:
            offsets -= np.rint(offsets @ np.linalg.inv(box)) @ box
        near = (np.abs(offsets) <= half).all(axis=1)
        return np.concatenate([own, centre + offsets[near]]), np.concatenate([self._atoms, self._others[near]])


def atoms_of(doubts: Sequence[Doubt]) -> tuple[int, ...]:
    """The atoms of some doubts, each once, worst first."""
    return tuple(dict.fromkeys(atom for doubt in doubts for atom in doubt.atoms))


def watch(model: "Model", settings: Trust) -> Monitor:
    """A monitor of the networks in `model`.

    Args:
        model: What moves; plain MM gives a monitor that doubts nothing.
        settings: Thresholds and actions.
    """
    return Monitor(model.structure, model.correction.fragments if model.correction else (), settings)


def _lengths(positions: Floats, bonds: Integers, box: Floats | None) -> Floats:
    """Lengths of bonds (b, 2) in the nearest image, nm."""
    vectors = positions[bonds[:, 0]] - positions[bonds[:, 1]]
    if box is not None:
        vectors -= np.rint(vectors @ np.linalg.inv(box)) @ box
    return np.asarray(np.linalg.norm(vectors, axis=1))


def _related(structure: Structure, atoms: Integers) -> Integers:
    """Sorted codes of the pairs one or two bonds apart with an atom in `atoms`: close by nature, a bond across a small cage included."""
    neighbours: dict[int, set[int]] = {}
    for i, j in structure.bonds.tolist():
        neighbours.setdefault(i, set()).add(j)
        neighbours.setdefault(j, set()).add(i)
    pairs = {(min(i, k), max(i, k)) for i in atoms.tolist() for j in neighbours.get(i, ()) for k in (j, *neighbours[j]) if k != i}
    return np.unique(_codes(np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2), len(structure)))


def _codes(pairs: Integers, n: int) -> Integers:
    """One number for each ordered pair of n atoms."""
    return np.asarray(pairs[:, 0] * n + pairs[:, 1])


def _names(structure: Structure, atoms: Integers) -> str:
    """The first atoms by name."""
    named = ", ".join(structure.label(int(i)) for i in atoms[:3])
    return named + (f" and {len(atoms) - 3} more" if len(atoms) > 3 else "")


def _people(force: float) -> str:
    """A force in kcal/mol/angstrom."""
    return f"{force * _PEOPLE:.0f}"
