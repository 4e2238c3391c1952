"""GFN2-xTB: a semi-empirical method as a slow reference - all elements to radon, total charge, unpaired electrons.

An adapter to tblite, which solves the equations; its parameters are compiled into its library. Importing this file does
not load it. The region is a molecule in vacuum or continuum water: a box plays no part, molecules have to be whole.
"""

import hashlib
import importlib.util
import logging
from dataclasses import replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from rdkit.Chem import GetPeriodicTable

from studio.errors import MissingPackageError, SimulationError
from studio.potentials.base import Card, Device, EnergyForces, check_supported
from studio.structure import Floats, Integers, Structure
from studio.units import NM_PER_BOHR

if TYPE_CHECKING:
    from tblite.interface import Calculator, Result

KJ_PER_HARTREE = 2625.4996394799
HARTREE_PER_KELVIN = 3.1668115634556e-6
ELECTRONS = (300.0, 5000.0)
"""Temperatures of the electrons, K. The second is for torn molecules, which may have no solution at the first: the trial steps
of minimisers visit them. The energy of a sound molecule (ethanol) is the same at both within 1e-4 kJ/mol."""

logger = logging.getLogger(__name__)


class GFN2xTB(BaseModel):
    """GFN2-xTB as a recipe.

    Unpaired electrons change which orbitals are filled and nothing else (no spin polarisation): radicals are described,
    energies of different multiplicities of one molecule are not to be compared.

    Args:
        accuracy: Scales tblite's thresholds for integrals and convergence; smaller is tighter.
        iterations: Cycles of the self-consistent field before it is given up.
        solvent: Water as a continuum (ALPB: Ehlert et al. 2021, 10.1021/acs.jctc.1c00471), which polarises the molecule; none for vacuum. Its surface is a grid
            that does not turn with the molecule: energies then differ by some 0.1 kJ/mol from one orientation to another.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    _card: ClassVar[Card] = Card(
        name="gfn2-xtb",
        title="GFN2-xTB",
        elements=tuple(GetPeriodicTable().GetElementSymbol(z) for z in range(1, 87)),
        charged=True,
        open_shell=True,
        partial_charges=True,
        method="GFN2-xTB",
        licence="LGPL-3.0-or-later",
        citation="Bannwarth, Ehlert and Grimme, J. Chem. Theory Comput. 2019, 15, 1652",
        doi="10.1021/acs.jctc.8b01176",
        # Diagonalises a matrix over all orbitals about fifteen times a call: time grows with the cube of the size.
        max_atoms=300,
        packages=("tblite",),
    )

    accuracy: float = Field(default=0.1, gt=0.0, le=100.0)
    iterations: int = Field(default=250, ge=1, le=10000)
    solvent: Literal["none", "alpb"] = "none"

    @property
    def card(self) -> Card:
        """What it is and can do."""
        return self._card if self.solvent == "none" else replace(self._card, title=f"{self._card.title} in ALPB water")

    def in_water(self) -> "GFN2xTB":
        """The same in continuum water."""
        return self.model_copy(update={"solvent": "alpb"})

    def bind(self, structure: Structure, atoms: Integers | None = None, device: Device = "auto") -> "BoundGFN2xTB":
        """Check the molecule against the card, then prepare the calculation.

        Args:
            structure: The atoms with charges and multiplicity.
            atoms: Indices of the part to describe; all of them when left out.
            device: Not used: tblite runs on the processor.

        Raises:
            UnsupportedError: Element, multiplicity or size outside the card.
            MissingPackageError: tblite is not installed.
        """
        molecule = structure if atoms is None else structure.take(atoms)
        check_supported(self.card, molecule)
        if importlib.util.find_spec("tblite") is None:
            raise MissingPackageError("GFN2-xTB needs tblite, which is not installed. Run: pip install tblite")
        return BoundGFN2xTB(self, molecule)


class BoundGFN2xTB:
    """GFN2-xTB for one set of atoms.

    Each call starts from the same guess, so that it depends on nothing but the positions; with several threads
    (`OMP_NUM_THREADS`) the last bits of the forces differ from call to call.

    Args:
        settings: The recipe.
        molecule: The atoms, checked against the card.
    """

    def __init__(self, settings: GFN2xTB, molecule: Structure) -> None:
        self._settings = settings
        self._numbers = np.array(molecule.numbers)
        self._charge, self._unpaired = float(molecule.charge), molecule.multiplicity - 1

    @property
    def card(self) -> Card:
        """What it is and can do."""
        return self._settings.card

    @property
    def provenance(self) -> dict[str, str]:
        """Versions, precision and the SHA-256 of the library that holds the parameters."""
        return {
            "potential": self.card.name,
            "tblite": version("tblite"),
            "library_sha256": _library_hash(),
            "accuracy": str(self._settings.accuracy),
            "solvent": self._settings.solvent,
            "precision": "float64",
            "device": "cpu",
        }

    def __call__(self, positions: Floats, box: Floats | None = None) -> EnergyForces:
        """Energy and forces.

        Args:
            positions: (n, 3), nm, molecules whole.
            box: Not used: the region is a molecule in vacuum.

        Raises:
            SimulationError: The self-consistent field did not converge.
        """
        result = self._solve(positions)
        forces = np.asarray(result.get("gradient"), dtype=np.float64) * (-KJ_PER_HARTREE / NM_PER_BOHR)
        return EnergyForces(float(result.get("energy")) * KJ_PER_HARTREE, forces)

    def partial_charges(self, positions: Floats) -> Floats:
        """Mulliken charges (n,), e, at positions (n, 3), nm; how they change with the positions is not known.

        Raises:
            SimulationError: The self-consistent field did not converge.
        """
        return np.asarray(self._solve(positions).get("charges"), dtype=np.float64)

    def _solve(self, positions: Floats) -> "Result":
        """The self-consistent field; with hot electrons where there is none with cold ones, which the log then says."""
        cold, hot = ELECTRONS
        try:
            return self._calculator(positions, cold).singlepoint()
        except RuntimeError:
            logger.info("GFN2-xTB found no solution at %g K and goes to %g K: the molecule looks torn", cold, hot)
        try:
            return self._calculator(positions, hot).singlepoint()
        except RuntimeError as problem:
            raise SimulationError(
                f"GFN2-xTB found no solution for these {len(self._numbers)} atoms ({problem}). "
                "Check charge and multiplicity and whether atoms overlap, or relax the geometry with another potential first."
            ) from problem

    def _calculator(self, positions: Floats, kelvin: float) -> "Calculator":
        from tblite.interface import Calculator

        calculator = Calculator("GFN2-xTB", self._numbers, np.asarray(positions) / NM_PER_BOHR, charge=self._charge, uhf=self._unpaired)
        calculator.set("verbosity", 0)
        calculator.set("accuracy", self._settings.accuracy)
        calculator.set("temperature", kelvin * HARTREE_PER_KELVIN)
        calculator.set("max-iter", self._settings.iterations)
        if self._settings.solvent == "alpb":
            calculator.add("alpb-solvation", "water")
        return calculator


@cache
def _library_hash() -> str:
    spec = importlib.util.find_spec("tblite")
    folder = Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else Path()
    digest = hashlib.sha256()
    for library in sorted(folder.glob("_libtblite*")):
        digest.update(library.read_bytes())
    return digest.hexdigest()
