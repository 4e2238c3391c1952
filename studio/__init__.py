"""Potential Studio, the simulation core: any molecule, any scale.

`import studio` loads next to nothing; each name below is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from studio.forcefield.base import ForceField
    from studio.frame import Frame
    from studio.hybrid.embedding import Electrostatic
    from studio.hybrid.view import MLFragment, View
    from studio.potentials.aimnet2 import AIMNet2, AIMNet2Ensemble
    from studio.potentials.combine import Scaled, Sum, difference, total
    from studio.potentials.mm import MM
    from studio.potentials.openmmml import OpenMMML
    from studio.potentials.so3lr import SO3LR
    from studio.potentials.water import InWater, in_water
    from studio.potentials.xtb import GFN2xTB
    from studio.recipes.dynamics import Dynamics
    from studio.recipes.minimise import Minimise
    from studio.recipes.single_point import SinglePoint
    from studio.recipes.strain import Strain
    from studio.recipes.strain_series import StrainSeries
    from studio.region import All, Atoms, Focus, Ligand, Near, ResidueIs, Solute
    from studio.result import Result
    from studio.run import Run
    from studio.strain import StrainProtocol
    from studio.structure import Structure
    from studio.system import System

_HOMES = {
    "studio.forcefield.base": ("ForceField",),
    "studio.frame": ("Frame",),
    "studio.hybrid.embedding": ("Electrostatic",),
    "studio.hybrid.view": ("MLFragment", "View"),
    "studio.potentials.aimnet2": ("AIMNet2", "AIMNet2Ensemble"),
    "studio.potentials.combine": ("Scaled", "Sum", "difference", "total"),
    "studio.potentials.mm": ("MM",),
    "studio.potentials.openmmml": ("OpenMMML",),
    "studio.potentials.so3lr": ("SO3LR",),
    "studio.potentials.water": ("InWater", "in_water"),
    "studio.potentials.xtb": ("GFN2xTB",),
    "studio.recipes.dynamics": ("Dynamics",),
    "studio.recipes.minimise": ("Minimise",),
    "studio.recipes.single_point": ("SinglePoint",),
    "studio.region": ("All", "Atoms", "Focus", "Ligand", "Near", "ResidueIs", "Solute"),
    "studio.result": ("Result",),
    "studio.recipes.strain": ("Strain",),
    "studio.recipes.strain_series": ("StrainSeries",),
    "studio.run": ("Run",),
    "studio.strain": ("StrainProtocol",),
    "studio.structure": ("Structure",),
    "studio.system": ("System",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "AIMNet2", "AIMNet2Ensemble", "All", "Atoms", "Dynamics", "Electrostatic", "Focus", "ForceField", "Frame", "GFN2xTB", "InWater", "Ligand", "MLFragment",
    "MM", "Minimise", "Near", "OpenMMML", "ResidueIs", "Result", "Run", "SO3LR", "Scaled", "SinglePoint", "Solute", "Strain", "StrainProtocol",
    "StrainSeries", "Structure", "Sum", "System", "View", "difference", "in_water", "total",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"studio has no '{name}'; it has {', '.join(__all__)}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
