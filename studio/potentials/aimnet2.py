"""AIMNet2: the second network - fourteen elements with bromine and iodine, total charge; wB97M-D3 quality.

Runs the TorchScript file that the auto3d package carries, without importing that package. Importing this file loads no
torch. The region is a molecule in vacuum: a box plays no part, molecules have to be whole.
"""

import io
import warnings
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict

from studio.potentials.base import Card, Device, EnergyForces, check_supported
from studio.potentials.weights import WeightsFile, read_verified
from studio.structure import Floats, Integers, Structure
from studio.units import KJ_PER_EV, NM_PER_ANGSTROM

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS = WeightsFile(
    package="Auto3D",
    path="models/aimnet2_wb97m-d3_0.jpt",
    sha256="a6d366b05c5997668f24a834584b4033d0cab67d13d2f8caf143b965018d3735",
    requirement="auto3d==2.3.1",
)


def _jit() -> ModuleType:
    """`torch.jit`, which carries no types."""
    return import_module("torch.jit")


class AIMNet2(BaseModel):
    """AIMNet2 as a recipe: the first member of the published ensemble, in float32, which is written into its program.

    Args:
        weights: A copy of the file of weights, to be used instead of the installed one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    card: ClassVar[Card] = Card(
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
        return BoundAIMNet2(self, molecule, device)


class BoundAIMNet2:
    """AIMNet2 for one set of atoms; a call is a pure function of the positions, equal from call to call to the last bit on a CPU.

    Args:
        settings: The recipe.
        molecule: The atoms, checked against the card.
        device: Where to evaluate.

    Raises:
        MissingPackageError: auto3d is not installed.
        WeightsError: The weights are missing or are not the known file.
    """

    def __init__(self, settings: AIMNet2, molecule: Structure, device: Device = "auto") -> None:
        content = read_verified(WEIGHTS, settings.weights)
        import torch

        self._settings = settings
        self._device = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
        with warnings.catch_warnings():
            # torch 2.13 announces the end of TorchScript; the model exists in no other form.
            warnings.simplefilter("ignore", DeprecationWarning)
            model = _jit().load(io.BytesIO(content), map_location=self._device)
        self._numbers = torch.tensor(molecule.numbers, device=self._device)[None]
        self._charge = torch.tensor([float(molecule.charge)], dtype=torch.float32, device=self._device)
        # Free-atom energies of up to 2e5 eV are added to each atom in float32, which costs 0.1 kJ/mol an atom: here they
        # are taken out of the model and added to the sum, in float64.
        shifts = model.outputs.atomic_shift.shifts.weight.detach()
        self._shift = float(shifts[self._numbers[0], 0].to(torch.float64).sum())
        shifts.zero_()
        self._model = model

    @property
    def card(self) -> Card:
        """What it is and can do."""
        return self._settings.card

    @property
    def provenance(self) -> dict[str, str]:
        """Versions, device, precision and the SHA-256 of the weights."""
        return {
            "potential": self.card.name,
            "weights": f"{WEIGHTS.requirement}:{WEIGHTS.path}",
            "weights_sha256": WEIGHTS.sha256,
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
        import torch

        place = self._place(positions).requires_grad_()
        # Without the profiling executor the first calls are as fast as all others, and equal to them.
        with torch.enable_grad(), _jit().optimized_execution(False):
            energy = self._run(place)["energy"].sum()
            (gradient,) = torch.autograd.grad(energy, place)
        forces = gradient[0].to(torch.float64).cpu().numpy() * (-KJ_PER_EV / NM_PER_ANGSTROM)
        return EnergyForces((energy.item() + self._shift) * KJ_PER_EV, forces)

    def partial_charges(self, positions: Floats) -> Floats:
        """Atomic charges (n,), e; they sum to the total charge within the precision of the network.

        Args:
            positions: (n, 3), nm, molecules whole.
        """
        import torch

        with torch.no_grad(), _jit().optimized_execution(False):
            charges = self._run(self._place(positions))["charges"]
        return np.asarray(charges[0].cpu().numpy(), dtype=np.float64)

    def _place(self, positions: Floats) -> "Tensor":
        """Positions as the model takes them: one molecule, angstrom, its centre at the origin, where float32 is finest."""
        import torch

        centred = np.asarray(positions, dtype=np.float64)
        return torch.tensor((centred - centred.mean(axis=0)) / NM_PER_ANGSTROM, dtype=torch.float32, device=self._device)[None]

    def _run(self, place: "Tensor") -> "dict[str, Tensor]":
        out: dict[str, Tensor] = self._model({"coord": place, "numbers": self._numbers, "charge": self._charge})
        return out
