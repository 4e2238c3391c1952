"""MM: molecular mechanics as a potential - Sage with NAGL charges for small molecules, Amber for peptides - in vacuum or in continuum water.

An adapter from `studio.forcefield` to the contract of potentials. Importing this file loads no OpenMM. The region is a set
of whole molecules: a box plays no part.
"""

import hashlib
import threading
from copy import deepcopy
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
from pydantic import BaseModel, ConfigDict, model_validator

from studio import cache
from studio.forcefield import ForceField, ImplicitModel, MMSystem, parametrise
from studio.forcefield.ligand import ELEMENTS
from studio.potentials.base import Batch, Card, Device, EnergyForces, check_supported
from studio.structure import Floats, Integers, Structure

if TYPE_CHECKING:
    import openmm

WATERS: dict[ImplicitModel, str] = {"none": "", "gbn2": "GBn2 water", "obc2": "OBC2 water"}


class MM(BaseModel):
    """Molecular mechanics as a recipe; bonds to hydrogen vibrate freely.

    Args:
        solvent: Generalised Born model of the water around the molecules; none for vacuum.
        part: `all`, or `solvation`: the generalised Born term and its nonpolar part alone, to be added to another potential.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    solvent: ImplicitModel = "none"
    part: Literal["all", "solvation"] = "all"

    @model_validator(mode="after")
    def _consistent(self) -> "MM":
        if self.part == "solvation" and self.solvent == "none":
            raise ValueError("the solvation part needs a solvent: choose gbn2 or obc2")
        return self

    @property
    def card(self) -> Card:
        """What it is and can do."""
        words = ["MM (OpenFF Sage)"] if self.part == "all" else []
        return Card(
            name="mm",
            title=" in ".join([*words, *([WATERS[self.solvent]] if self.solvent != "none" else [])]),
            elements=tuple(ELEMENTS),
            charged=True,
            open_shell=False,
            partial_charges=False,
            method="OpenFF 2.2.1, AM1-BCC charges by NAGL",
            licence="CC-BY-4.0",
            citation="Boothroyd et al., J. Chem. Theory Comput. 2023, 19, 3251",
            doi="10.1021/acs.jctc.3c00039",
        )

    def in_water(self) -> "MM":
        """The same force field in GBn2 water."""
        return self.model_copy(update={"solvent": "gbn2"})

    def bind(self, structure: Structure, atoms: Integers | None = None, device: Device = "auto") -> "BoundMM":
        """Check the molecules against the card, then assign their parameters, or take them from the cache.

        Args:
            structure: The atoms with bonds, charges and multiplicity.
            atoms: Indices of the part to describe; all of them when left out.
            device: Not used: molecules of this size are fastest on the processor.

        Raises:
            UnsupportedError: Element, multiplicity or size outside the card, or no parameters for a molecule.
        """
        molecule = structure if atoms is None else structure.take(atoms)
        check_supported(self.card, molecule)
        return BoundMM(self, replace(molecule, box=None, droplet=None, fixed=np.zeros(len(molecule), dtype=np.bool_)))


class BoundMM:
    """Molecular mechanics for one set of atoms; may be called from several threads, each has a Context of its own.

    Args:
        settings: The recipe.
        molecule: The atoms, checked against the card.

    Raises:
        UnsupportedError: No parameters for a molecule.
    """

    def __init__(self, settings: MM, molecule: Structure) -> None:
        self._settings = settings
        self._mm = _parametrised(molecule, settings.solvent)
        self._threads = threading.local()
        while self._mm.system.getNumConstraints():
            self._mm.system.removeConstraint(0)
        if settings.part == "solvation":
            _keep_solvation(self._mm.system)

    @property
    def card(self) -> Card:
        """What it is and can do."""
        return self._settings.card

    @cached_property
    def provenance(self) -> dict[str, str]:
        """Force field, charges, versions and the SHA-256 of the parametrised System."""
        import openmm

        about = {key: text for key, text in self._mm.provenance.items() if key not in ("constraints", "hydrogen mass", "fixed atoms")}
        system = openmm.XmlSerializer.serialize(self._mm.system)
        precision = "float64" if self._settings.solvent == "none" else "float32"
        own = {"potential": self.card.name, "part": self._settings.part, "precision": precision, "device": "cpu"}
        return own | about | {"system_sha256": hashlib.sha256(system.encode()).hexdigest()}

    @property
    def solvation(self) -> "openmm.CustomGBForce":
        """A copy of the force that is the water; there is one where there is a solvent."""
        import openmm

        found = next(force for force in self._mm.system.getForces() if isinstance(force, openmm.CustomGBForce))
        return cast("openmm.CustomGBForce", deepcopy(found))  # one that belongs to a System ends with it

    def __call__(self, positions: Floats, box: Floats | None = None) -> EnergyForces:
        """Energy and forces.

        Args:
            positions: (n, 3), nm, molecules whole.
            box: Not used: the region is a set of molecules without neighbours.
        """
        from openmm import unit

        context = self._context()
        context.setPositions(np.asarray(positions, dtype=np.float64))
        state = context.getState(energy=True, forces=True)
        forces = state.getForces(asNumpy=True).value_in_unit(unit.kilojoule_per_mole / unit.nanometer)
        return EnergyForces(float(state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole)), np.asarray(forces, dtype=np.float64))

    def batch(self, positions: Floats) -> Batch:
        """Energies and forces at positions (b, n, 3), nm, one after the other: a call takes a fraction of a millisecond."""
        answers = [self(place) for place in positions]
        return Batch(np.array([answer.energy for answer in answers]), np.array([answer.forces for answer in answers]).reshape(positions.shape))

    def _context(self) -> "openmm.Context":
        """This thread's Context, which sums always in the same order: in double precision, or with water compiled, three times as fast."""
        import openmm

        if not hasattr(self._threads, "context"):
            wet = self._settings.solvent != "none"
            platform = openmm.Platform.getPlatformByName("CPU" if wet else "Reference")
            properties = {"Threads": "1", "DeterministicForces": "true"} if wet else {}
            self._threads.context = openmm.Context(self._mm.system, openmm.VerletIntegrator(0.001), platform, properties)
        return self._threads.context


def _parametrised(molecule: Structure, solvent: ImplicitModel) -> MMSystem:
    """The MM system of a molecule, from the cache if the same atoms were seen before."""
    forcefield = ForceField()
    key = cache.key_of("system", cache.content_of(molecule), forcefield.model_dump_json(), solvent)
    known = cache.load_system(key, molecule)
    if known is not None:
        return known
    mm = parametrise(molecule, forcefield, solvent)
    cache.store_system(key, mm)
    return mm


def _keep_solvation(system: "openmm.System") -> None:
    """Leave the generalised Born force alone, in place."""
    import openmm

    for index in reversed(range(system.getNumForces())):
        if not isinstance(system.getForce(index), openmm.CustomGBForce | openmm.GBSAOBCForce):
            system.removeForce(index)
