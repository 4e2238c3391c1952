"""OpenMM-ML's plug-ins: SO3LR as one of its potentials, and this project's coupling as one of its embeddings.

    MLPotential("so3lr").createSystem(topology)
    MLPotential("so3lr").createMixedSystem(topology, mm_system, atoms, embedding="potential-studio", interpolate=True)

OpenMM-ML finds both by entry points and asks for methods, not for ancestors, so that nothing of it is imported here. The
embedding works with every potential of OpenMM-ML. Energies are those of its mechanical embedding, whole energies of the
network included; but the MM System stays as it is (molecules, exceptions, CMAP), link hydrogens are no particles, the
network works beside the MM forces, and at `lambda_interpolate` 0 it is not called.

Keywords that OpenMM-ML hands on: `charge` and `multiplicity` of the region, `device`. This file must not know recipes.
"""

from collections.abc import Callable, Iterable, Mapping, Set
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Protocol

import numpy as np

from studio.errors import RegionError, SettingsError, UnsupportedError
from studio.forcefield.base import MMSystem
from studio.hybrid.boundary import Part, cap
from studio.hybrid.correction import Fragment, Pull, Seen
from studio.hybrid.embedding import mm_charges
from studio.hybrid.region_mm import RegionMM, bonded_forces, energy_forces
from studio.hybrid.whole import MakeWhole
from studio.potentials.base import BoundPotential, Card, EnergyForces, check_electrons
from studio.potentials.so3lr import SO3LR
from studio.settings import validated
from studio.structure import Floats, Residue, Structure

if TYPE_CHECKING:
    import openmm
    from openmm.app import Topology

INTERPOLATE = "lambda_interpolate"
"""OpenMM-ML's name of the global parameter that leads from MM (0) to NNP/MM (1)."""

KEYWORDS = frozenset({"charge", "multiplicity", "device"})
"""What OpenMM-ML's users can say about a region; the first two are OpenMM-ML's own words."""
FOR_EMBEDDINGS = frozenset({"linkAtomDistances", "mlLongRange"})
"""What OpenMM-ML hands on to potentials, though it is meant for its mechanical embedding."""

Bind = Callable[[Structure], BoundPotential]


class Implementation(Protocol):
    """What OpenMM-ML calls a MLPotentialImpl, as far as it is used here."""

    def addForces(self, topology: "Topology", system: "openmm.System", atoms: Iterable[int] | None, forceGroup: int, **args: object) -> None:
        """Put the potential into a System, for some atoms or all."""
        ...


class SO3LRFactory:
    """Makes SO3LR for `MLPotential("so3lr", ...)`."""

    def createImpl(self, name: str, **args: object) -> "SO3LRImplementation":
        """The potential with settings of `studio.SO3LR` as keywords.

        Raises:
            SettingsError: A keyword is no setting.
        """
        return SO3LRImplementation(validated(SO3LR, args))


class SO3LRImplementation:
    """SO3LR as OpenMM-ML asks for it: a molecule in vacuum, also inside a periodic box.

    Args:
        settings: The recipe.
    """

    def __init__(self, settings: SO3LR) -> None:
        self.settings = settings

    def addForces(self, topology: "Topology", system: "openmm.System", atoms: Iterable[int] | None, forceGroup: int, **args: object) -> None:
        """Put SO3LR into a System, for some atoms or all.

        Args:
            topology: Of the System.
            system: Gets one `PythonForce`.
            atoms: Indices; all when left out.
            forceGroup: Where the force belongs.
            args: `charge` (what the topology says, otherwise 0), `multiplicity` (1), `device`.

        Raises:
            SettingsError: An unknown keyword.
            UnsupportedError: Element, charge, multiplicity or size outside the card.
            WeightsError: The weights are missing or are not the known file.
        """
        import openmm

        from studio.forcefield.topology import from_topology

        _check_keywords(args, KEYWORDS | FOR_EMBEDDINGS)
        structure = from_topology(topology)
        chosen = np.arange(len(structure)) if atoms is None else np.array(list(atoms), dtype=np.int64)
        molecule = _charged(structure.take(chosen), args)
        periodic = topology.getPeriodicBoxVectors() is not None
        compute = Alone(molecule, partial(_bind_so3lr, self.settings, str(args.get("device", "auto"))), periodic)
        _ = compute.potential  # what is refused is refused now
        force = openmm.PythonForce(compute)
        force.setForceGroup(forceGroup)
        force.setUsesPeriodicBoundaryConditions(periodic)
        if atoms is not None:
            force.setParticles(chosen.tolist())
        system.addForce(force)

    def getSupportedEmbeddings(self) -> list[str]:
        """None of its own; the embedding below works with every potential."""
        return []

    def getMLLongRange(self) -> bool:
        """Nothing reaches from one periodic image to the next."""
        return False


class EmbeddingFactory:
    """Makes the embedding for `embedding="potential-studio"`."""

    def createEmbedding(self, name: str) -> "DeltaEmbedding":
        """The embedding; the name is always the same."""
        return DeltaEmbedding()


class DeltaEmbedding:
    """Mechanical embedding in delta form, as an embedding of OpenMM-ML."""

    def createMixedSystem(
        self,
        potential: Implementation,
        topology: "Topology",
        system: "openmm.System",
        atoms: list[int],
        forceGroup: int,
        interpolate: bool,
        returnInfo: bool = False,
        **args: object,
    ) -> "openmm.System | dict[str, object]":
        """A copy of `system` with two forces more: U_MM + lambda [E_NNP(R_L) - U_MM^LL(R_L)].

        Args:
            potential: Of OpenMM-ML.
            topology: Of the System.
            system: The MM System; not changed.
            atoms: The ML region; bonds that it cuts are capped with hydrogens.
            forceGroup: Where the forces belong.
            interpolate: Give the System the global parameter `lambda_interpolate`, 1 at first.
            returnInfo: Return a dictionary with the System and the topology.
            args: `charge` (left out: that of the force field), `multiplicity` (1), `device`, and what the potential takes.

        Raises:
            SettingsError: An unknown keyword.
            RegionError: A bond cannot be cut, or the charge of the region is not known; the bond is named.
            UnsupportedError: The potential does not know the region, or the force field has terms that cannot be taken out of it.
        """
        import openmm

        from studio.forcefield.topology import from_topology

        _check_keywords(args, KEYWORDS if isinstance(potential, SO3LRImplementation) else args.keys() - {"linkAtomDistances"})
        mixed = openmm.XmlSerializer.clone(system)
        mm = MMSystem(from_topology(topology), mixed, {})
        _check_terms(system)
        part = cap(mm.structure, np.array(atoms, dtype=np.int64), charge=_region_charge(mm, atoms, args), multiplicity=_integer(args, "multiplicity", 1))
        xml = openmm.XmlSerializer.serialize(system)
        bracket = Bracket(partial(_fragment, mm.structure, xml, part, _binder(potential, args)), system.usesPeriodicBoundaryConditions(), interpolate)
        _ = bracket.fragment  # what is refused is refused now
        _add(mixed, bracket, part, forceGroup)
        return {"system": mixed, "topology": topology, "oldToNew": list(range(topology.getNumAtoms()))} if returnInfo else mixed


@dataclass(eq=False)
class Alone:
    """A network as the only force between some atoms: the callback of `openmm.PythonForce`; is pickled without the network.

    Args:
        molecule: The atoms.
        bind: Gives the network for them.
        periodic: The System has a box.
    """

    molecule: Structure
    bind: Bind
    periodic: bool

    @cached_property
    def potential(self) -> BoundPotential:
        """The network."""
        return self.bind(self.molecule)

    @cached_property
    def _whole(self) -> MakeWhole:
        return MakeWhole(self.molecule)

    def __call__(self, state: "openmm.State") -> tuple[float, Floats]:
        """Energy (kJ/mol) and forces (n, 3) (kJ/mol/nm)."""
        seen = _seen(state, self.periodic)
        return self.potential(self._whole(seen.positions, seen.box))

    def __getstate__(self) -> dict[str, object]:
        return {"molecule": self.molecule, "bind": self.bind, "periodic": self.periodic}


class Bracket:
    """lambda [E_NNP - U_MM^LL] as two callbacks of `openmm.PythonForce`: `ahead` before the MM forces, itself after them.

    The last answer is remembered, so that reading the energy costs no network call. Is pickled without network and answer.

    Args:
        build: Makes the region with its network and MM terms.
        periodic: The System has a box.
        interpolate: It has the parameter `INTERPOLATE`.
    """

    def __init__(self, build: Callable[[], Fragment], periodic: bool, interpolate: bool) -> None:
        self._build, self._periodic, self.interpolate = build, periodic, interpolate
        self._asked: tuple[Seen, Future[Pull]] | None = None

    def __reduce__(self) -> tuple[object, ...]:
        return Bracket, (self._build, self._periodic, self.interpolate)

    @cached_property
    def fragment(self) -> Fragment:
        """The region at work."""
        return self._build()

    @cached_property
    def _thread(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(1, thread_name_prefix="network")

    def ask(self, state: "openmm.State") -> "Future[Pull]":
        """Start the evaluation in a thread of its own, unless it was made for these positions."""
        seen = _seen(state, self._periodic)
        if self._asked is None or not seen.known_by(self._asked[0]):
            self._asked = seen, self._thread.submit(self.fragment.evaluate, *seen)
        return self._asked[1]

    def __call__(self, state: "openmm.State") -> tuple[float, Floats]:
        """Energy (kJ/mol) and forces (m, 3) (kJ/mol/nm)."""
        strength = self.strength(state)
        if not strength:
            return 0.0, np.zeros((len(self.fragment.part.seen), 3))
        answer = self.ask(state)
        asked, self._asked = self._asked, None  # should the network fail, there is no answer to keep
        pull = answer.result()
        self._asked = asked
        return strength * pull.terms.bracket, strength * pull.internal

    def strength(self, state: "openmm.State") -> float:
        """The factor lambda."""
        return float(state.getParameters()[INTERPOLATE]) if self.interpolate else 1.0


class Ahead:
    """Starts a bracket before the MM forces, so that both are worked out at the same time; adds nothing itself.

    A copy by pickle has lost its bracket, and does nothing: the bracket then starts by itself, after the MM forces.

    Args:
        bracket: What to start.
    """

    def __init__(self, bracket: Bracket | None = None) -> None:
        self._bracket = bracket

    def __reduce__(self) -> tuple[object, ...]:
        return Ahead, ()

    def __call__(self, state: "openmm.State") -> tuple[float, Floats]:
        """No energy and no forces."""
        if self._bracket is not None and self._bracket.strength(state):
            self._bracket.ask(state)
        return 0.0, np.zeros_like(_seen(state, periodic=False).positions)


class Theirs:
    """A potential of OpenMM-ML for one molecule in vacuum, by a small Context of its own.

    Args:
        implementation: The potential.
        args: Keywords for it.
        molecule: The atoms.
    """

    def __init__(self, implementation: Implementation, args: Mapping[str, object], molecule: Structure) -> None:
        import openmm

        from studio.forcefield.topology import to_topology

        system = openmm.System()
        for _ in range(len(molecule)):
            system.addParticle(1.0)
        state = {"charge": molecule.charge, "multiplicity": molecule.multiplicity}
        alone = replace(molecule, residues=(Residue("LIG"),), residue_index=np.zeros(len(molecule), dtype=np.int64))
        implementation.addForces(to_topology(alone), system, None, 0, **{**args, **state})
        self._context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
        self._title = type(implementation).__name__

    @property
    def card(self) -> Card:
        """Its name; OpenMM-ML does not say what a potential can do."""
        return Card(self._title, self._title, (), charged=True, open_shell=True, partial_charges=False, method="", licence="", citation="", doi="")

    @property
    def provenance(self) -> dict[str, str]:
        """Its name."""
        return {"potential": self._title}

    def __call__(self, positions: Floats, box: Floats | None = None) -> EnergyForces:
        """Energy and forces; see `BoundPotential`."""
        self._context.setPositions(positions)
        return energy_forces(self._context.getState(energy=True, forces=True))


def _add(system: "openmm.System", bracket: Bracket, part: Part, group: int) -> None:
    """Put the two callbacks before and after all forces of `system`: OpenMM evaluates forces in their order."""
    import openmm

    others = [openmm.XmlSerializer.clone(force) for force in system.getForces()]
    while system.getNumForces():
        system.removeForce(0)
    periodic = any(force.usesPeriodicBoundaryConditions() for force in others)

    def callback(compute: "Ahead | Bracket", name: str) -> "openmm.PythonForce":
        force = openmm.PythonForce(compute, {INTERPOLATE: 1.0} if bracket.interpolate else {})
        force.setName(name)
        force.setParticles(part.seen.tolist())
        force.setForceGroup(group)
        force.setUsesPeriodicBoundaryConditions(periodic)
        return force

    for force in (callback(Ahead(bracket), "NNP, ahead"), *others, callback(bracket, "NNP - MM of the region")):
        system.addForce(force)


def _fragment(structure: Structure, xml: str, part: Part, bind: Bind) -> Fragment:
    import openmm

    mm = MMSystem(structure, openmm.XmlSerializer.deserialize(xml), {})
    return Fragment(part, bind(part.structure), np.arange(len(part.seen)), shadow=RegionMM(mm, part))


def _binder(implementation: Implementation, args: Mapping[str, object]) -> Bind:
    if isinstance(implementation, SO3LRImplementation):
        return partial(_bind_so3lr, implementation.settings, str(args.get("device", "auto")))
    return partial(Theirs, implementation, args)


def _bind_so3lr(settings: SO3LR, device: str, molecule: Structure) -> BoundPotential:
    return settings.bind(molecule, device="cpu" if device == "cpu" else "cuda" if device.startswith("cuda") else "auto")


def _seen(state: "openmm.State", periodic: bool) -> Seen:
    from openmm import unit

    positions = np.asarray(state.getPositions(asNumpy=True).value_in_unit(unit.nanometer))
    box = np.asarray(state.getPeriodicBoxVectors(asNumpy=True).value_in_unit(unit.nanometer)) if periodic else None
    return Seen(positions, box, apart=False)


def _charged(molecule: Structure, args: Mapping[str, object]) -> Structure:
    """The molecule with charge and multiplicity of the keywords."""
    charge, multiplicity = _integer(args, "charge", molecule.charge), _integer(args, "multiplicity", 1)
    told = cap(molecule, np.arange(len(molecule)), charge=charge, multiplicity=multiplicity).structure
    check_electrons(told)
    return told


def _region_charge(mm: MMSystem, atoms: list[int], args: Mapping[str, object]) -> int:
    """As the keywords say; otherwise as in the force field.

    Raises:
        RegionError: The force field's is no integer: the region cuts bonds.
    """
    charge = float(mm_charges(mm)[atoms].sum())
    if "charge" not in args and abs(charge - round(charge)) > 0.01:
        raise RegionError(f"The region carries {charge:+.3f} e in the force field, not an integer. Say which charge the network shall assume, by `charge=`.")
    return _integer(args, "charge", round(charge))


def _check_keywords(args: Mapping[str, object], known: Set[str]) -> None:
    """A misspelt keyword would otherwise be lost.

    Raises:
        SettingsError: Names it.
    """
    unknown = sorted(args.keys() - known)
    if unknown:
        raise SettingsError(f"Unknown keyword {', '.join(unknown)}; expected {', '.join(sorted(KEYWORDS))}.")


def _integer(args: Mapping[str, object], name: str, otherwise: int) -> int:
    return validated(int, args.get(name, otherwise))


def _check_terms(system: "openmm.System") -> None:
    """Refuse terms of whose part within the region nothing is known here.

    Raises:
        UnsupportedError: Names the force.
    """
    import openmm

    between = ("addBond", "addAngle", "addTorsion", "addMap")
    for force in system.getForces():
        bonded = any(hasattr(force, method) for method in between) and not isinstance(force, bonded_forces())
        if bonded or isinstance(force, openmm.CustomNonbondedForce):
            raise UnsupportedError(
                f"The force field has a {type(force).__name__}, whose terms within the region cannot be taken out here. "
                "Use embedding='mechanical', or a force field of Amber's kind."
            )
