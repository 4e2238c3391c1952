"""Force fields, the contract: a structure and settings go in, an OpenMM System that was not touched by anyone else comes out.

This file holds the words; `protein`, `ligand`, `solvent` do the work. It must not know potentials or simulations.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from studio.structure import Structure
from studio.units import Nanometer

if TYPE_CHECKING:
    import openmm


ImplicitModel = Literal["none", "gbn2", "obc2"]
"""Generalised Born model where there is no explicit water; it belongs to the surroundings, not to the force field."""


class ForceGroup(IntEnum):
    """OpenMM force groups: who may put forces where, so that energies can be told apart."""

    MM = 0
    NNP = 1
    WALL = 2
    PULL = 3


class ForceField(BaseModel):
    """Settings of the molecular mechanics.

    Args:
        protein: Amber force field of proteins and peptides, OpenMM's own files.
        ligand: Open force field of small molecules (Sage), with NAGL AM1-BCC charges.
        water: Water model, with its ions; three sites each, so that particles are atoms.
        cutoff: Non-bonded cutoff, nm, for periodic boxes; everything else has none.
        constrain_hydrogens: Hold bonds to hydrogen at their length.
        hydrogen_mass: Mass of hydrogens outside water, Da; taken from the heavy neighbour.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    protein: Literal["ff14SB", "ff19SB"] = "ff14SB"
    ligand: Literal["openff-2.2.1"] = "openff-2.2.1"
    water: Literal["tip3pfb", "opc3"] = "tip3pfb"
    cutoff: Nanometer = 0.9
    constrain_hydrogens: bool = True
    hydrogen_mass: Annotated[float, Field(ge=1.0, le=4.0)] = 1.5


@dataclass(frozen=True)
class MMSystem:
    """A parametrised structure.

    Args:
        structure: What was parametrised, atom for atom in the order of the system.
        system: Its OpenMM System. Constrained bonds keep their harmonic terms (`flexibleConstraints`), so that a
            constraint can be lifted later; fixed atoms have mass zero; a droplet's wall is in `ForceGroup.WALL`.
        provenance: Force fields, charge model, cutoffs and versions, for the Result.
    """

    structure: Structure
    system: "openmm.System"
    provenance: dict[str, str]
