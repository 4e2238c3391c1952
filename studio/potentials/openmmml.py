"""OpenMM-ML: every model that OpenMM-ML knows by name, through one adapter.

`openmmml_models` says what each model is; here it is built by OpenMM-ML for the bound atoms, put into a small OpenMM
Context of its own and asked for energy and forces. Importing this file loads none of that. The region is a molecule in
vacuum: a box plays no part, molecules have to be whole.

Files of these models are Python pickles, which can run anything when they are read: a local file is read only if its
SHA-256 is the one that its publisher states or that the settings give. What OpenMM-ML downloads, it downloads from the
publisher and reads as it comes.

Numbers are as precise as OpenMM-ML makes them: ANI's total energies are in float32 there, steps of about 0.03 kJ/mol for a
small molecule (its forces are fine).
"""

import contextlib
import hashlib
import inspect
import io
import pickle
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from studio.errors import MissingPackageError, SettingsError, SimulationError, StudioError, WeightsError
from studio.potentials.base import Card, Device, EnergyForces, check_supported
from studio.potentials.catalogue import by_hand, examine, weights_path
from studio.potentials.openmmml_models import ROWS
from studio.structure import Floats, Integers, Structure
from studio.units import KJ_PER_EV, NM_PER_ANGSTROM

if TYPE_CHECKING:
    from openmm import Context, System
    from openmm.app import Topology

SCALED = ("nequip", "torchmdnet")
"""Kinds of file whose units OpenMM-ML asks for; here they are angstrom and electronvolt."""
FAILURES = (ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, OSError, pickle.PickleError, RuntimeError, TypeError, ValueError)
"""What models raise when their file is missing, damaged or of another kind."""


class OpenMMML(BaseModel):
    """A model of OpenMM-ML as a recipe.

    Args:
        model: Its name there.
        path: A local file to use: of your own model, or of a published one that was fetched by hand.
        sha256: Its SHA-256, by which you say that you trust it; may be left out where the publisher states one.
        calculator: For `ase`: an ASE calculator that works without arguments, as 'module:Class'.
        elements: For your own model: the elements that it was trained on; all when left out.
        charged: For your own model: it takes the total charge into account.
        open_shell: For your own model: it takes the spin multiplicity into account.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = "ani2x"
    path: Path | None = None
    sha256: str = Field(default="", pattern="^([0-9a-f]{64})?$")
    calculator: str = ""
    elements: tuple[str, ...] = ()
    charged: bool = False
    open_shell: bool = False

    @classmethod
    def named(cls, name: str) -> Callable[..., "OpenMMML"]:
        """Settings for the model that is registered under `name`."""
        return partial(cls, model=name)

    @model_validator(mode="after")
    def _consistent(self) -> "OpenMMML":
        if self.model not in ROWS:
            raise ValueError(f"expected one of OpenMM-ML's models ({', '.join(ROWS)}), got '{self.model}'")
        row = ROWS[self.model]
        if self.path and not row.local:
            raise ValueError(f"{row.card.title} takes no local file; {by_hand(row.card) if row.card.source else 'leave `path` out'}")
        if self.calculator and self.model != "ase":
            raise ValueError(f"`calculator` is for the model 'ase', not for '{self.model}'")
        if (self.elements or self.charged or self.open_shell) and not row.card.bring:
            raise ValueError(f"what {row.card.title} can do is known: leave out `elements`, `charged` and `open_shell`")
        return self

    @property
    def card(self) -> Card:
        """What it is and can do; of your own model what the settings say."""
        card = ROWS[self.model].card
        if not (self.path or self.calculator):
            return card
        if not card.bring:
            return replace(card, file="")
        return replace(card, elements=self.elements or card.elements, charged=self.charged, open_shell=self.open_shell, bring="")

    def bind(self, structure: Structure, atoms: Integers | None = None, device: Device = "auto") -> "BoundOpenMMML":
        """Check the molecule against the card, then let OpenMM-ML build the model; downloads the weights where that was not done yet.

        Args:
            structure: The atoms with charges and multiplicity.
            atoms: Indices of the part to describe; all of them when left out.
            device: Where to evaluate; `auto` takes CUDA where there is one.

        Raises:
            UnsupportedError: Element, charge, multiplicity or size outside the card; raised before weights load.
            SettingsError: A file or calculator is missing in the settings, or the licence forbids the intended use.
            MissingPackageError: OpenMM-ML or the model's package is not installed.
            WeightsError: The weights cannot be downloaded or read, or are not the known file.
        """
        molecule = structure if atoms is None else structure.take(atoms)
        check_supported(self.card, molecule)
        entry = examine(self.card)
        if entry.state == "needs package":
            raise MissingPackageError(entry.advice)
        if entry.state in {"needs settings", "not licensed for this use"}:
            raise SettingsError(entry.advice)
        return BoundOpenMMML(self, molecule, device)


class BoundOpenMMML:
    """A model of OpenMM-ML for one set of atoms.

    Args:
        settings: The recipe.
        molecule: The atoms, checked against the card.
        device: Where to evaluate.

    Raises:
        MissingPackageError: The model's package, or something that it imports, is not installed.
        WeightsError: The weights cannot be downloaded or read, or are not the known file.
    """

    def __init__(self, settings: OpenMMML, molecule: Structure, device: Device = "auto") -> None:
        self._settings = settings
        self._hash = ""
        with _undisturbed(), tempfile.TemporaryDirectory() as folder:
            path = self._trusted_copy(Path(folder)) if settings.path else None
            self._context = self._build(molecule, path, device)
        kept = weights_path(settings.card)
        if not self._hash and kept is not None:
            self._hash = hashlib.sha256(kept.read_bytes()).hexdigest()

    @property
    def card(self) -> Card:
        """What it is and can do."""
        return self._settings.card

    @property
    def provenance(self) -> dict[str, str]:
        """Versions of what was used and the SHA-256 of the weights (of the source file, for an ASE calculator)."""
        found = {"potential": self.card.name, "model": self._settings.model, "precision": "as the model has it"}
        packages = [package.split("==")[0].split(" ")[0] for package in self.card.packages]
        found |= {package: _version(package) for package in (*packages, "openmm")}
        return found | ({"weights_sha256": self._hash} if self._hash else {})

    def __call__(self, positions: Floats, box: Floats | None = None) -> EnergyForces:
        """Energy and forces.

        Args:
            positions: (n, 3), nm, molecules whole.
            box: Not used: the region is a molecule in vacuum.

        Raises:
            SimulationError: The model failed on these positions.
        """
        import openmm

        try:
            with warnings.catch_warnings():
                # OpenMM takes tensors as energies, at which torch warns; were that an error, the energy would silently be -1.
                warnings.simplefilter("ignore")
                self._context.setPositions(np.asarray(positions, dtype=np.float64))
                state = self._context.getState(energy=True, forces=True)
        except openmm.OpenMMException as problem:
            raise SimulationError(f"{self.card.title} failed on these positions: {problem}") from problem
        energy = state.getPotentialEnergy().value_in_unit(openmm.unit.kilojoule_per_mole)
        forces = state.getForces(asNumpy=True).value_in_unit(openmm.unit.kilojoule_per_mole / openmm.unit.nanometer)
        return EnergyForces(float(energy), np.array(forces, dtype=np.float64))

    def _build(self, molecule: Structure, path: Path | None, device: Device) -> "Context":
        title = self.card.title
        try:
            import openmm

            system = self._system(molecule, path, device)
            integrator, platform = openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference")
            return openmm.Context(system, integrator, platform)
        except StudioError:
            raise
        except ImportError as problem:
            raise MissingPackageError(f"{title} needs a package that is not installed: {problem}") from problem
        except (*FAILURES, openmm.OpenMMException) as problem:
            advice = f"Without a network, {by_hand(self.card)}" if self.card.source and not path else "Check that the file belongs to this kind of model"
            raise WeightsError(f"OpenMM-ML could not load {title} ({type(problem).__name__}: {problem}). {advice}.") from problem

    def _system(self, molecule: Structure, path: Path | None, device: Device) -> "System":
        import torch
        from openmmml import MLPotential

        row = ROWS[self._settings.model]
        place = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
        name = row.local if path else self._settings.model
        arguments: dict[str, object] = {row.argument: str(path)} if path else {}
        if name in SCALED:
            arguments |= {"lengthScale": NM_PER_ANGSTROM, "energyScale": KJ_PER_EV}
        state: dict[str, object] = {"charge": molecule.charge, "multiplicity": molecule.multiplicity, "device": place}
        if self._settings.calculator:
            state |= {"calculator": self._calculator(), "info": {"charge": molecule.charge, "spin": molecule.multiplicity}}
        system: System = MLPotential(name, **arguments).createSystem(_topology(molecule), removeCMMotion=False, **state)
        return system

    def _calculator(self) -> object:
        """An instance of the named ASE calculator.

        Raises:
            SettingsError: The name leads to something else.
        """
        from ase.calculators.calculator import BaseCalculator

        module, _, name = self._settings.calculator.partition(":")
        kind = getattr(import_module(module), name, None)
        if not (inspect.isclass(kind) and issubclass(kind, BaseCalculator)):
            raise SettingsError(f"Expected an ASE calculator as 'module:Class', got '{self._settings.calculator}', which is none.")
        self._hash = hashlib.sha256(Path(inspect.getfile(kind)).read_bytes()).hexdigest()
        return kind()

    def _trusted_copy(self, folder: Path) -> Path:
        """A copy of the local file, made of the very bytes whose hash was compared.

        Raises:
            WeightsError: It cannot be read, its hash is unknown, or it is another file.
        """
        path, row = self._settings.path or Path(), ROWS[self._settings.model]
        try:
            content = path.read_bytes()
        except OSError as problem:
            raise WeightsError(f"The weights {path} cannot be read: {problem.strerror or problem}. Give another path.") from problem
        self._hash = hashlib.sha256(content).hexdigest()
        _check_trust(path, self._hash, self._settings.sha256 or row.sha256)
        copy = folder / path.name
        copy.write_bytes(content)
        return copy


def _check_trust(path: Path, found: str, expected: str) -> None:
    if not expected:
        raise WeightsError(
            f"{path} is not read: files of such models can run any program when they are opened. "
            f"If you know where it comes from, say so by its SHA-256 in the settings: sha256='{found}'."
        )
    if found != expected:
        raise WeightsError(f"The weights {path} are not the expected file: expected SHA-256 {expected}, got {found}. Give another path, or fetch it again.")


def _topology(molecule: Structure) -> "Topology":
    from openmm.app import Element, Topology

    topology = Topology()
    residue = topology.addResidue("LIG", topology.addChain())
    for name, number in zip(molecule.names, molecule.numbers, strict=True):
        topology.addAtom(name, Element.getByAtomicNumber(int(number)), residue)
    return topology


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Let models load without what some of them do beside: print, warn, and change torch's defaults for everybody."""
    import torch

    dtype = torch.get_default_dtype()
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.set_default_dtype(dtype)
