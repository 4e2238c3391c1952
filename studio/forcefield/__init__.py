"""Force fields: a `Structure` and settings become an OpenMM System that nobody else has touched."""

from studio.forcefield.base import ForceField, ForceGroup, ImplicitModel, MMSystem
from studio.forcefield.build import parametrise

__all__ = ["ForceField", "ForceGroup", "ImplicitModel", "MMSystem", "parametrise"]
