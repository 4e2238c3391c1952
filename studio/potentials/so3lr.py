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

from studio.potentials.base import Batch, Card, Device, EnergyForces, Response, Sensitivity, check_supported
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

COMPILED_ON = "CCCCCCCC(C)CCN"
"""The example that the compiler sees: its number of atoms, 37, is no other size within the network."""
CHUNK = 8
"""Copies that are evaluated at once: more of them do not fit into the cache of a core, and get slower."""
LOOK_EVERY = 500
"""Calls between two looks for a compiled network."""


class SO3LR(BaseModel):
    """SO3LR as a recipe.

    Args:
        precision: Of the network; distances and sums over atoms are in float64 anyway.
        long_range_cutoff: Range of electrostatics and dispersion, nm.
        long_range_damping: Width of the zone in which the dispersion is switched off, nm.
        compiled: Use the compiled form of the network where this machine has made it.
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
    compiled: bool = True
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

    def compile(self) -> None:
        """Make the compiled form of the network, which all molecules and later processes use; about 100 s, nothing if it is there.

        Raises:
            MissingPackageError: There is no C++ compiler.
            StorageError: The cache cannot be written.
        """
        BoundSO3LR(self, Structure.from_smiles(COMPILED_ON), "cpu").build_compiled()


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
        state, attributes = read_state(read_verified(WEIGHTS, settings.weights))
        import torch

        from studio.potentials.so3lr_compiled import Compiled
        from studio.potentials.so3lr_network import Settings
        from studio.potentials.so3lr_weights import Fold

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
        self._fold = Fold(state, self._constants, torch.float32 if settings.precision == "float32" else torch.float64, self._device)
        self._network = self._build(tabulate=settings.precision == "float32")
        self._copies: dict[int, Network] = {1: self._network}
        self._compiled, self._calls = Compiled(None, None), 0
        self._may_compile = settings.compiled and settings.precision == "float32" and self._device.type == "cpu"

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
        energies, forces = self._fast(self._network, positions[None])
        return EnergyForces(float(energies[0]), forces[0])

    def plain(self, positions: Floats) -> EnergyForces:
        """Energy and forces as the equations stand: all pairs, no table; what the fast way is tested against.

        Args:
            positions: (n, 3), nm, molecules whole.
        """
        energies, forces = self._evaluate(self._exact, positions[None], everything=True)
        return EnergyForces(float(energies[0]), forces[0])

    def batch(self, positions: Floats) -> Batch:
        """Energies and forces of many geometries in one call.

        Args:
            positions: (b, n, 3), nm, molecules whole.
        """
        # While the compiled form for copies is not there, one compiled call after the other is faster.
        size = 1 if self._compiled.single and not self._compiled.copies else CHUNK
        parts = [self._fast(self._repeated(len(part)), part) for part in np.split(positions, range(size, len(positions), size)) if len(part)]
        return Batch(np.concatenate([np.zeros(0), *(part.energies for part in parts)]), np.concatenate([positions[:0], *(part.forces for part in parts)]))

    @property
    def compiled_packages(self) -> tuple[Path, Path]:
        """Where the compiled forms for one molecule and for copies lie, or would lie."""
        from studio.potentials.so3lr_compiled import paths

        return paths(self._constants)

    def build_compiled(self) -> None:
        """Compile with these atoms as the example; see `SO3LR.compile`."""
        from studio.potentials.so3lr_compiled import build

        def example(copies: int) -> "tuple[Network, torch.Tensor, Pairs, Pairs]":
            angstrom = _angstrom(np.repeat(self._molecule.positions[None], copies, axis=0))
            return self._repeated(copies), self._tensor(angstrom.reshape(-1, 3)), *self._pairs(angstrom)

        if self._may_compile:
            build(example, self._constants)

    def partial_charges(self, positions: Floats) -> Floats:
        """Atomic charges (n,), e; they sum to the total charge.

        Args:
            positions: (n, 3), nm, molecules whole.
        """
        import torch

        angstrom = _angstrom(positions[None])
        with torch.no_grad():
            charges = self._network(self._tensor(angstrom[0]), *self._pairs(angstrom)).charges
        return np.asarray(charges.cpu().numpy(), dtype=np.float64)

    def respond(self, positions: Floats, sensitivity: Sensitivity) -> Response:
        """Energy, charges and volume ratios, and forces that include an energy which depends on them; see `Charged.respond`."""
        import torch

        angstrom = _angstrom(positions[None])
        place = self._tensor(angstrom[0]).requires_grad_()
        with torch.enable_grad():
            answer = self._network(place, *self._pairs(angstrom))
            charges, ratios = (np.asarray(values.detach().cpu().numpy(), dtype=np.float64) for values in (answer.charges, answer.ratios))
            by_charge, by_ratio = (self._tensor(slope / KJ_PER_EV).to(answer.charges.dtype) for slope in sensitivity(charges, ratios))
            outputs, slopes = (answer.energies, answer.charges, answer.ratios), (torch.ones_like(answer.energies), by_charge, by_ratio)
            (gradient,) = torch.autograd.grad(outputs, place, slopes)
        return Response(float(answer.energies[0].item()) * KJ_PER_EV, _forces(gradient), charges, ratios)

    @cached_property
    def _exact(self) -> "Network":
        return self._build(tabulate=False)

    def _build(self, *, tabulate: bool) -> "Network":
        import torch

        from studio.potentials.so3lr_network import Network

        return Network(self._constants, self._fold.weights(tabulate=tabulate), self._fold.molecule(torch.tensor(self._molecule.numbers), self._molecule.charge))

    def _repeated(self, copies: int) -> "Network":
        """The network for several copies of the atoms; whole chunks and the last rest are remembered."""
        import torch

        if copies not in self._copies:
            molecule = self._fold.molecule(torch.tensor(self._molecule.numbers), self._molecule.charge, copies)
            kept = {number: network for number, network in self._copies.items() if number in (1, CHUNK)}
            self._copies = {**kept, copies: self._network._replace(molecule=molecule)}
        return self._copies[copies]

    def _fast(self, network: "Network", positions: Floats) -> Batch:
        """By the compiled network where there is one; whether it has come meanwhile is looked at now and then."""
        if self._may_compile and self._calls % LOOK_EVERY == 0 and None in self._compiled:
            from studio.potentials.so3lr_compiled import Compiled

            self._compiled = Compiled.load(self._constants)
        self._calls += 1
        angstrom = _angstrom(positions)
        answer = self._compiled.run(network, self._tensor(angstrom.reshape(-1, 3)), *self._pairs(angstrom)) if any(self._compiled) else None
        if answer is None:
            return self._evaluate(network, positions)
        return Batch(answer[0].numpy() * KJ_PER_EV, _forces(answer[1]).reshape(positions.shape))

    def _evaluate(self, network: "Network", positions: Floats, everything: bool = False) -> Batch:
        import torch

        angstrom = _angstrom(positions)
        place = self._tensor(angstrom.reshape(-1, 3)).requires_grad_()
        with torch.enable_grad():
            energies = network(place, *self._pairs(angstrom, everything)).energies
            (gradient,) = torch.autograd.grad(energies.sum(), place)
        return Batch(energies.detach().cpu().numpy() * KJ_PER_EV, _forces(gradient).reshape(positions.shape))

    def _pairs(self, angstrom: Floats, everything: bool = False) -> "tuple[Pairs, Pairs]":
        """Pairs within the network's cutoff and within the long-range cutoff, of copies (b, n, 3).

        They are searched for in each call: that costs 2 % of it, and lists kept within a skin would make the last bits of
        the energy depend on the past.
        """
        from scipy.spatial import cKDTree  # a third of a second, and menus import this file

        count = angstrom.shape[1]
        if everything:
            pairs = np.stack(np.triu_indices(count, k=1), axis=1)
            return (self._lists(pairs),) * 2
        reach = max(self._constants.cutoff, self._constants.long_cutoff)
        pairs = np.concatenate([index * count + cKDTree(place).query_pairs(reach, output_type="ndarray") for index, place in enumerate(angstrom)])
        flat = angstrom.reshape(-1, 3)
        lengths = np.linalg.norm(flat[pairs[:, 0]] - flat[pairs[:, 1]], axis=1)
        return self._lists(pairs[lengths < self._constants.cutoff]), self._lists(pairs)

    def _lists(self, pairs: Integers) -> "Pairs":
        import torch

        from studio.potentials.so3lr_network import Pairs

        i, j = torch.from_numpy(np.ascontiguousarray(pairs.T, dtype=np.int64)).to(self._device)
        return Pairs(i, j)

    def _tensor(self, values: Floats) -> "torch.Tensor":
        import torch

        return torch.tensor(values, device=self._device)


def _angstrom(positions: Floats) -> Floats:
    return np.asarray(positions, dtype=np.float64) / NM_PER_ANGSTROM


def _forces(gradient: "torch.Tensor") -> Floats:
    """Forces in kJ/mol/nm from a gradient in eV/angstrom."""
    return np.asarray(gradient.cpu().numpy() * (-KJ_PER_EV / NM_PER_ANGSTROM))
