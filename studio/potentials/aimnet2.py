"""AIMNet2: the second network - fourteen elements with bromine and iodine, total charge; wB97M-D3 quality.

Runs the TorchScript files that the auto3d package carries, without importing that package: the first of the four
published members, or all four as an ensemble. Importing this file loads no torch. The region is a molecule in vacuum: a
box plays no part, molecules have to be whole.
"""

import io
import warnings
from contextlib import AbstractContextManager
from dataclasses import replace
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict

from studio.potentials.base import Batch, BoundPotential, Card, Device, EnergyForces, Response, Sensitivity, check_supported
from studio.potentials.weights import WeightsFile, read_verified
from studio.structure import Floats, Integers, Structure
from studio.units import KJ_PER_EV, NM_PER_ANGSTROM

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.nn import Module

WEIGHTS = WeightsFile(
    package="Auto3D",
    path="models/aimnet2_wb97m-d3_0.jpt",
    sha256="a6d366b05c5997668f24a834584b4033d0cab67d13d2f8caf143b965018d3735",
    requirement="auto3d==2.3.1",
)
ENSEMBLE_WEIGHTS = WeightsFile(
    package="Auto3D",
    path="models/aimnet2_wb97m_ens_f.jpt",
    sha256="e34e147e3dd67bfe3e5ae8c2a2a097d59ff3a8260d98e42552004f710bb3a68b",
    requirement="auto3d==2.3.1",
)
PAIRS_AT_ONCE = 250_000
"""Ordered pairs of atoms in one call of a batch: the model keeps arrays over all of them, about 4 kB each."""


CARD = Card(
    name="aimnet2",
    title="AIMNet2",
    elements=("H", "B", "C", "N", "O", "F", "Si", "P", "S", "Cl", "As", "Se", "Br", "I"),
    charged=True,
    open_shell=False,
    partial_charges=True,
    method="wB97M-D3/def2-TZVPP",
    licence="MIT",
    citation="Anstine, Zubatyuk and Isayev, Chem. Sci. 2025, 16, 10228",
    doi="10.1039/D4SC08572H",
    # All pairs in dense arrays: memory grows with the square of the size.
    max_atoms=500,
)


class AIMNet2(BaseModel):
    """AIMNet2 as a recipe: the first member of the published ensemble, in float32, which is written into its program.

    Args:
        weights: A copy of the file of weights, to be used instead of the installed one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    card: ClassVar[Card] = CARD

    weights: Path | None = None

    def bind(self, structure: Structure, atoms: Integers | None = None, device: Device = "auto") -> "BoundAIMNet2":
        """Check the molecule against the card, then load the weights.

        Args:
            structure: The atoms with charges and multiplicity.
            atoms: Indices of the part to describe; all of them when left out.
            device: Where to evaluate; `auto` takes CUDA where there is one.

        Raises:
            UnsupportedError: Element, charge, multiplicity or size outside the card; raised before weights load.
            MissingPackageError: auto3d is not installed.
            WeightsError: The weights are missing or are not the known file.
        """
        molecule = structure if atoms is None else structure.take(atoms)
        check_supported(self.card, molecule)
        networks = _load(WEIGHTS, self.weights, device)
        return BoundAIMNet2(self.card, WEIGHTS, networks, molecule)


class AIMNet2Ensemble(BaseModel):
    """The four members of AIMNet2 as a recipe: their mean, and through `members` their spread, for four times the time.

    Args:
        weights: A copy of the file of weights, to be used instead of the installed one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    card: ClassVar[Card] = replace(CARD, name="aimnet2-ensemble", title="AIMNet2, four members", max_atoms=300)

    weights: Path | None = None

    def bind(self, structure: Structure, atoms: Integers | None = None, device: Device = "auto") -> "BoundAIMNet2Ensemble":
        """Check the molecule against the card, then load the weights.

        Args:
            structure: The atoms with charges and multiplicity.
            atoms: Indices of the part to describe; all of them when left out.
            device: Where to evaluate; `auto` takes CUDA where there is one.

        Raises:
            UnsupportedError: Element, charge, multiplicity or size outside the card; raised before weights load.
            MissingPackageError: auto3d is not installed.
            WeightsError: The weights are missing or are not the known file.
        """
        molecule = structure if atoms is None else structure.take(atoms)
        check_supported(self.card, molecule)
        networks = _load(ENSEMBLE_WEIGHTS, self.weights, device)
        return BoundAIMNet2Ensemble(self.card, ENSEMBLE_WEIGHTS, networks, molecule)


class BoundAIMNet2:
    """AIMNet2 for one set of atoms; a call is a pure function of the positions, equal from call to call to the last bit on a CPU.

    Args:
        card: Of the recipe.
        file: Where the networks came from.
        networks: One member or several, whose mean is what this says.
        molecule: The atoms, checked against the card.
    """

    def __init__(self, card: Card, file: WeightsFile, networks: "tuple[Network, ...]", molecule: Structure) -> None:
        import torch

        self._card, self._file, self._networks = card, file, networks
        self._device = networks[0].device
        self._numbers = torch.tensor(molecule.numbers, device=self._device)[None]
        self._charge = torch.tensor([float(molecule.charge)], dtype=torch.float32, device=self._device)
        self._shift = float(np.mean([network.shifts[molecule.numbers].sum() for network in networks]))

    @property
    def card(self) -> Card:
        """What it is and can do."""
        return self._card

    @property
    def provenance(self) -> dict[str, str]:
        """Versions, device, precision and the SHA-256 of the weights."""
        return {
            "potential": self.card.name,
            "weights": f"{self._file.requirement}:{self._file.path}",
            "weights_sha256": self._file.sha256,
            "torch": version("torch"),
            "precision": "float32",
            "device": str(self._device),
        }

    def __call__(self, positions: Floats, box: Floats | None = None) -> EnergyForces:
        """Energy and forces.

        Args:
            positions: (n, 3), nm, molecules whole.
            box: Not used: the region is a molecule in vacuum.
        """
        energies, forces = self._batch(np.asarray(positions, dtype=np.float64)[None])
        return EnergyForces(float(energies[0]), forces[0])

    def batch(self, positions: Floats) -> Batch:
        """Energies and forces of many geometries; they are passed to the network in portions that bound its memory.

        Args:
            positions: (b, n, 3), nm, molecules whole.
        """
        portion = max(1, PAIRS_AT_ONCE // positions.shape[1] ** 2)
        answers = [self._batch(positions[start : start + portion]) for start in range(0, len(positions), portion)]
        return Batch(np.concatenate([answer.energies for answer in answers]), np.concatenate([answer.forces for answer in answers]))

    def partial_charges(self, positions: Floats) -> Floats:
        """Atomic charges (n,), e; they sum to the total charge within the precision of the network.

        Args:
            positions: (n, 3), nm, molecules whole.
        """
        import torch

        with torch.no_grad(), _plainly():
            _, charges = self._mean(self._place(positions[None]))
        return _array(charges[0])

    def respond(self, positions: Floats, sensitivity: Sensitivity) -> Response:
        """Energy and charges, and forces that include how an energy U(q) changes with the charges: dU/dq dq/dR by autograd.

        Args:
            positions: (n, 3), nm, molecules whole.
            sensitivity: Called once, between the forward and the backward pass; its slope by ratios, which this network does not predict, plays no part.
        """
        import torch

        place = self._place(positions[None]).requires_grad_()
        with torch.enable_grad(), _plainly():
            energy, charges = self._mean(place)
            q, ones = _array(charges.detach()[0]), np.ones(positions.shape[0])
            slope = torch.tensor(sensitivity(q, ones)[0] / KJ_PER_EV, dtype=charges.dtype, device=self._device)
            (gradient,) = torch.autograd.grad(energy.sum() + (slope * charges[0]).sum(), place)
        return Response((energy.item() + self._shift) * KJ_PER_EV, _forces(gradient)[0], q, ones)

    def _batch(self, positions: Floats) -> Batch:
        import torch

        place = self._place(positions).requires_grad_()
        with torch.enable_grad(), _plainly():
            energies, _ = self._mean(place)
            (gradient,) = torch.autograd.grad(energies.sum(), place)
        return Batch((_array(energies.detach()) + self._shift) * KJ_PER_EV, _forces(gradient))

    def _place(self, positions: Floats) -> "Tensor":
        """Positions as the model takes them: (b, n, 3), angstrom, centres at the origin, where float32 is finest."""
        import torch

        centred = positions - positions.mean(axis=1, keepdims=True)
        return torch.tensor(centred / NM_PER_ANGSTROM, dtype=torch.float32, device=self._device)

    def _mean(self, place: "Tensor") -> "tuple[Tensor, Tensor]":
        """Energies (b,) without those of the free atoms, eV, and charges (b, n), e: means over the networks."""
        import torch

        copies = len(place)
        given = {"coord": place, "numbers": self._numbers.expand(copies, -1), "charge": self._charge.expand(copies)}
        answers = [network.model(dict(given)) for network in self._networks]
        return torch.stack([answer["energy"] for answer in answers]).mean(0), torch.stack([answer["charges"] for answer in answers]).mean(0)


class BoundAIMNet2Ensemble(BoundAIMNet2):
    """The mean of several AIMNet2 networks for one set of atoms, and each of them.

    Args:
        card: Of the recipe.
        file: Where the networks came from.
        networks: The members.
        molecule: The atoms, checked against the card.
    """

    def __init__(self, card: Card, file: WeightsFile, networks: "tuple[Network, ...]", molecule: Structure) -> None:
        super().__init__(card, file, networks, molecule)
        self._members = tuple(BoundAIMNet2(CARD, file, (network,), molecule) for network in networks)

    @property
    def members(self) -> tuple[BoundPotential, ...]:
        """The single networks, each bound to the same atoms; they share the weights in memory."""
        return self._members


class Network(NamedTuple):
    """One network in memory.

    Args:
        model: The TorchScript program, its free-atom energies set to zero.
        shifts: Those energies by atomic number, eV, (64,).
        device: Where it is.
    """

    model: "Module"
    shifts: Floats
    device: "torch.device"


def _load(file: WeightsFile, copy: Path | None, device: Device) -> tuple[Network, ...]:
    """Read and compare a file, and give the networks in it: one, or the members of an ensemble.

    Raises:
        MissingPackageError: auto3d is not installed.
        WeightsError: The weights are missing or are not the known file.
    """
    content = read_verified(file, copy)
    import torch

    where = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
    with warnings.catch_warnings():
        # torch 2.13 announces the end of TorchScript; the model exists in no other form.
        warnings.simplefilter("ignore", DeprecationWarning)
        program = _jit().load(io.BytesIO(content), map_location=where)
    # The program of the ensemble detaches its answers; its members are whole models.
    models = [child.module for _, child in program.models.named_children()] if hasattr(program, "models") else [program]
    return tuple(Network(model, _take_shifts(model), where) for model in models)


def _take_shifts(model: "Module") -> Floats:
    """Take the free-atom energies (eV, by atomic number) out of a model.

    They are up to 2e5 eV and added to each atom in float32, which costs 0.1 kJ/mol an atom: here they are added to the sum, in float64.
    """
    weight = dict(model.named_parameters())["outputs.atomic_shift.shifts.weight"].detach()
    shifts = _array(weight[:, 0])
    weight.zero_()
    return shifts


def _jit() -> ModuleType:
    """`torch.jit`, which carries no types."""
    return import_module("torch.jit")


def _plainly() -> AbstractContextManager[None]:
    """Without the profiling executor the first calls are as fast as all others, and equal to them."""
    plainly: AbstractContextManager[None] = _jit().optimized_execution(False)
    return plainly


def _array(tensor: "Tensor") -> Floats:
    # A copy: what is zeroed or reused later has to leave this alone.
    return np.array(tensor.cpu().numpy(), dtype=np.float64)


def _forces(gradient: "Tensor") -> Floats:
    """Forces (b, n, 3), kJ/mol/nm, from the slope of the energy, eV/angstrom."""
    return _array(gradient) * (-KJ_PER_EV / NM_PER_ANGSTROM)
