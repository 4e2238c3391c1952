"""SO3LR compiled: the same equations as `so3lr_network`, energy and gradient in one package for molecules of any size.

There are two packages, for one molecule and for many copies of one. Knows the network and the compiler; must not know
structures or units other than the network's.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from studio.potentials import so3lr_network
from studio.potentials.compiled import Function, load_package, make_package, package_path
from studio.potentials.so3lr_network import Molecule, Network, Pairs, Settings, Weights

FEWEST_PAIRS = 2
"""The compiler takes lengths of 0 and 1 for constants; so small a molecule goes the plain way."""


class Compiled(NamedTuple):
    """The packages that there are: for one molecule, and for copies of one."""

    single: Function | None
    copies: Function | None

    @classmethod
    def load(cls, settings: Settings) -> "Compiled":
        """What the cache has for a network with these numbers.

        Args:
            settings: Of the network; they are part of the machine code.
        """
        return cls(*(load_package(path) for path in paths(settings)))

    def run(self, network: Network, positions: Tensor, near: Pairs, far: Pairs) -> tuple[Tensor, Tensor] | None:
        """Energies (b,), eV, and their gradient (m, 3), eV/angstrom; none where the package cannot do it.

        Args:
            network: Whose weights and molecule to use.
            positions: (m, 3), angstrom, float64.
            near: As for the network.
            far: As for the network.
        """
        function = self.single if network.molecule.charge.shape[0] == 1 else self.copies
        if function is None or near.i.shape[0] < FEWEST_PAIRS:
            return None
        with torch.no_grad():
            energies, gradient = function(positions, *leaves(network), *near, *far)
        return energies, gradient


def leaves(network: Network) -> list[Tensor]:
    """The tensors of weights and molecule, in the order of the package's arguments."""
    return pytree.tree_leaves((network.weights, network.molecule))


def paths(settings: Settings) -> tuple[Path, Path]:
    """Where the packages for one molecule and for copies lie.

    Args:
        settings: Numbers of the network.
    """
    source = Path(so3lr_network.__file__).read_text(encoding="utf-8") + Path(__file__).read_text(encoding="utf-8")
    return package_path("so3lr", source, repr(settings)), package_path("so3lr-copies", source, repr(settings))


def build(example: Callable[[int], tuple[Network, Tensor, Pairs, Pairs]], settings: Settings) -> None:
    """Make the packages that are missing, about 50 s each.

    Args:
        example: Gives network, positions and pairs of a molecule in so many copies; its sizes have to differ from all sizes within the network.
        settings: Numbers of the network.

    Raises:
        MissingPackageError: There is no C++ compiler.
        StorageError: The cache cannot be written.
    """
    for copies, path in zip((1, 3), paths(settings), strict=True):
        if not path.exists():
            network, positions, near, far = example(copies)
            tensors = (positions, *leaves(network), *near, *far)
            fixed, molecule = len(pytree.tree_leaves(network.weights)), len(network.molecule)
            # One molecule has one total charge and one shift of energy, which come first in `Molecule`.
            per_atom = [copies > 1] * 2 + [True] * (molecule - 2)
            make_package(_energy_and_gradient(network), tensors, [True] + [False] * fixed + per_atom + [True] * 4, path)


def _energy_and_gradient(network: Network) -> Function:
    spec = pytree.tree_structure((network.weights, network.molecule))

    def function(positions: Tensor, *tensors: Tensor) -> tuple[Tensor, Tensor]:
        shared: tuple[Weights, Molecule] = pytree.tree_unflatten(list(tensors[:-4]), spec)
        with torch.enable_grad():
            place = positions.detach().requires_grad_()
            energies = Network(network.settings, *shared)(place, Pairs(*tensors[-4:-2]), Pairs(*tensors[-2:])).energies
            (gradient,) = torch.autograd.grad(energies.sum(), place)
        return energies.detach(), gradient

    return function
