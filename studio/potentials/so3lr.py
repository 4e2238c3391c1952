"""SO3LR: the default network - eight elements of organic chemistry, total charge, long-range electrostatics and dispersion.

Settings and the adapter between this project's units and the network's; the equations are in `so3lr_network`. Importing
this file loads no torch. The region is a molecule in vacuum: a box plays no part, molecules have to be whole.
"""

from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, model_validator
from scipy.spatial import cKDTree

from studio.potentials.base import Card, Device, EnergyForces, check_supported
from studio.potentials.weights import WeightsFile, read_state, read_verified
from studio.structure import Floats, Integers, Structure
from studio.units import KJ_PER_EV, NM_PER_ANGSTROM, Nanometer

if TYPE_CHECKING:
    import torch

    from studio.potentials.so3lr_network import Network, Pairs

WEIGHTS = WeightsFile(
    package="so3krates_torch",
    path="pretrained/so3lr/so3lr.model",
    sha256="b5145564911ff983ed076ccb2bca5ce63454b74c9c8291092695463f1e6732be",
    requirement="so3krates-torch==0.2.1",
)


class SO3LR(BaseModel):
    """SO3LR as a recipe.

    Args:
        precision: Of the network; distances and sums over atoms are in float64 anyway.
        long_range_cutoff: Range of electrostatics and dispersion, nm.
        long_range_damping: Width of the zone in which the dispersion is switched off, nm.
        weights: A copy of the file of weights, to be used instead of the installed one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    card: ClassVar[Card] = Card(
        name="so3lr",
        title="SO3LR",
        elements=("H", "C", "N", "O", "F", "P", "S", "Cl"),
        charged=True,
        # The network has an input for spin, but it was trained on singlets only (its authors, so3lr issue 6) and those
        # weights still have the variance of their random start.
        open_shell=False,
        partial_charges=True,
        method="PBE0+MBD",
        licence="MIT",
        citation="Kabylda et al., J. Am. Chem. Soc. 2025, 147, 33723",
        doi="10.1021/jacs.5c09558",
    )

    precision: Literal["float32", "float64"] = "float32"
    long_range_cutoff: Nanometer = 1.2
    long_range_damping: Nanometer = 0.2
    weights: Path | None = None

    @model_validator(mode="after")
    def _ordered(self) -> "SO3LR":
        if self.long_range_damping >= self.long_range_cutoff:
            raise ValueError("long_range_damping has to be smaller than long_range_cutoff")
        return self

    def bind(self, structure: Structure, atoms: Integers | None = None, device: Device = "auto") -> "BoundSO3LR":
        """Check the molecule against the card, then load the weights.

        Args:
            structure: The atoms with charges and multiplicity.
            atoms: Indices of the part to describe; all of them when left out.
            device: Where to evaluate; `auto` takes CUDA where there is one.

        Raises:
            UnsupportedError: Element, charge, multiplicity or size outside the card; raised before weights load.
            MissingPackageError: so3krates-torch is not installed.
            WeightsError: The weights are missing or are not the known file.
        """
        molecule = structure if atoms is None else structure.take(atoms)
        check_supported(self.card, molecule)
        return BoundSO3LR(self, molecule, device)


class BoundSO3LR:
    """SO3LR for one set of atoms; a call is a pure function of the positions, equal from call to call to the last bit on a CPU.

    Args:
        settings: The recipe.
        molecule: The atoms, checked against the card.
        device: Where to evaluate.

    Raises:
        MissingPackageError: so3krates-torch is not installed.
        WeightsError: The weights are missing or are not the known file.
    """

    def __init__(self, settings: SO3LR, molecule: Structure, device: Device = "auto") -> None:
        self._state, attributes = read_state(read_verified(WEIGHTS, settings.weights))
        import torch

        from studio.potentials.so3lr_network import Settings

        self._settings, self._molecule = settings, molecule
        self._device = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
        self._constants = Settings(
            cutoff=float(attributes["r_max"]),
            neighbours=float(attributes["avg_num_neighbors"]),
            embeddings=int(attributes["num_embeddings"]),
            layers=int(attributes["num_layers"]),
            coulomb_width=float(attributes["electrostatic_energy_scale"]),
            dispersion_scale=float(attributes["dispersion_energy_scale"]),
            long_cutoff=settings.long_range_cutoff / NM_PER_ANGSTROM,
            long_damping=settings.long_range_damping / NM_PER_ANGSTROM,
        )
        self._network = self._build(tabulate=settings.precision == "float32")

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
            "precision": self._settings.precision,
            "device": str(self._device),
        }

    def __call__(self, positions: Floats, box: Floats | None = None) -> EnergyForces:
        """Energy and forces, the fast way: pairs within the cutoffs, pair filters from a table (float32).

        Args:
            positions: (n, 3), nm, molecules whole.
            box: Not used: the region is a molecule in vacuum.
        """
        return self._evaluate(self._network, positions)

    def plain(self, positions: Floats) -> EnergyForces:
        """Energy and forces as the equations stand: all pairs, no table; what the fast way is tested against.

        Args:
            positions: (n, 3), nm, molecules whole.
        """
        return self._evaluate(self._exact, positions, everything=True)

    def partial_charges(self, positions: Floats) -> Floats:
        """Atomic charges (n,), e; they sum to the total charge.

        Args:
            positions: (n, 3), nm, molecules whole.
        """
        import torch

        angstrom = np.asarray(positions, dtype=np.float64) / NM_PER_ANGSTROM
        with torch.no_grad():
            charges = self._network.energy(self._tensor(angstrom), *self._pairs(angstrom))[1]
        return np.asarray(charges.cpu().numpy(), dtype=np.float64)

    @cached_property
    def _exact(self) -> "Network":
        return self._build(tabulate=False)

    def _build(self, *, tabulate: bool) -> "Network":
        import torch

        from studio.potentials.so3lr_network import Network

        numbers, dtype = torch.tensor(self._molecule.numbers), torch.float32 if self._settings.precision == "float32" else torch.float64
        return Network(self._state, self._constants, numbers, self._molecule.charge, dtype=dtype, device=self._device, tabulate=tabulate)

    def _evaluate(self, network: "Network", positions: Floats, everything: bool = False) -> EnergyForces:
        import torch

        angstrom = np.asarray(positions, dtype=np.float64) / NM_PER_ANGSTROM
        place = self._tensor(angstrom).requires_grad_()
        with torch.enable_grad():
            energy, _ = network.energy(place, *self._pairs(angstrom, everything))
            (gradient,) = torch.autograd.grad(energy, place)
        return EnergyForces(energy.item() * KJ_PER_EV, gradient.cpu().numpy() * (-KJ_PER_EV / NM_PER_ANGSTROM))

    def _pairs(self, angstrom: Floats, everything: bool = False) -> "tuple[Pairs, Pairs]":
        """Pairs within the network's cutoff and within the long-range cutoff.

        They are searched for in each call: that costs 2 % of it, and lists kept within a skin would make the last bits of
        the energy depend on the past.
        """
        if everything:
            pairs = np.stack(np.triu_indices(len(angstrom), k=1), axis=1)
            return (self._lists(pairs),) * 2
        reach = max(self._constants.cutoff, self._constants.long_cutoff)
        pairs = cKDTree(angstrom).query_pairs(reach, output_type="ndarray")
        lengths = np.linalg.norm(angstrom[pairs[:, 0]] - angstrom[pairs[:, 1]], axis=1)
        return self._lists(pairs[lengths < self._constants.cutoff]), self._lists(pairs)

    def _lists(self, pairs: Integers) -> "Pairs":
        import torch

        from studio.potentials.so3lr_network import Pairs

        i, j = torch.from_numpy(np.ascontiguousarray(pairs.T, dtype=np.int64)).to(self._device)
        return Pairs(i, j)

    def _tensor(self, angstrom: Floats) -> "torch.Tensor":
        import torch

        return torch.tensor(angstrom, device=self._device)
