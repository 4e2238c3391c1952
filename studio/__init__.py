"""Potential Studio, the simulation core: any molecule, any scale.

`import studio` loads next to nothing; each name below is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from studio.forcefield.base import ForceField
    from studio.frame import Frame
    from studio.hybrid.view import View
    from studio.potentials.aimnet2 import AIMNet2
    from studio.potentials.so3lr import SO3LR
    from studio.recipes.dynamics import Dynamics
    from studio.recipes.minimise import Minimise
    from studio.recipes.single_point import SinglePoint
    from studio.region import All, Atoms, Focus, Ligand, Near, ResidueIs, Solute
    from studio.result import Result
    from studio.run import Run
    from studio.structure import Structure
    from studio.system import System

_HOMES = {
    "studio.forcefield.base": ("ForceField",),
    "studio.frame": ("Frame",),
    "studio.hybrid.view": ("View",),
    "studio.potentials.aimnet2": ("AIMNet2",),
    "studio.potentials.so3lr": ("SO3LR",),
    "studio.recipes.dynamics": ("Dynamics",),
    "studio.recipes.minimise": ("Minimise",),
    "studio.recipes.single_point": ("SinglePoint",),
    "studio.region": ("All", "Atoms", "Focus", "Ligand", "Near", "ResidueIs", "Solute"),
    "studio.result": ("Result",),
    "studio.run": ("Run",),
    "studio.structure": ("Structure",),
    "studio.system": ("System",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "AIMNet2", "All", "Atoms", "Dynamics", "Focus", "ForceField", "Frame", "Ligand", "Minimise", "Near", "ResidueIs", "Result", "Run", "SO3LR",
    "SinglePoint", "Solute", "Structure", "System", "View",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"studio has no '{name}'; it has {', '.join(__all__)}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
