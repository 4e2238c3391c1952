"""Martini 3: a protein as beads of about four heavy atoms each, in a box of water beads, with charges and an elastic network that keeps its fold.

Souza 2021, 10.1038/s41592-021-01098-3. Mapping and bonded terms by `vermouth` (`martini_topology`), energies as plain OpenMM forces that
equal GROMACS's (`martini_forces`), water and ions at 1 bar (`martini_water`). Knows beads and OpenMM forces; must not know how they are moved.
"""

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from studio.coarse.chain import system_of
from studio.coarse.martini_forces import CUTOFF, PERMITTIVITY, bonded_forces, pair_forces
from studio.coarse.martini_table import mass_of
from studio.coarse.martini_topology import Topology, martinize
from studio.coarse.martini_water import in_water
from studio.coarse.parts import chosen
from studio.errors import StructureError, UnsupportedError
from studio.forcefield.base import MMSystem
from studio.region import AnyRegion, KindIs
from studio.structure import Structure
from studio.units import Nanometer

if TYPE_CHECKING:
    import openmm

PRESSURE, EVERY = 1.0, 50
"""Of the barostat, bar, and how many steps it waits between two tries."""
WATER_TYPE, ION_TYPE = "W", "TQ5"


class Martini(BaseModel):
    """Settings of Martini 3.

    Args:
        of: Which residues become beads.
        elastic: Stiffness of the springs between backbone beads that are near each other, which keep the fold, kJ/mol/nm^2; 0 for none.
        salt: NaCl besides the ions that neutralise, mol/l.
        padding_nm: Least distance between the protein and a face of the box, nm.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["martini"] = "martini"
    of: AnyRegion = KindIs(of="protein")
    elastic: Annotated[float, Field(ge=0.0, le=5000.0)] = 700.0
    salt: Annotated[float, Field(ge=0.0, le=2.0)] = 0.15
    padding_nm: Nanometer = 0.8

    @property
    def friction(self) -> float:
        """Of the thermostat, 1/ps."""
        return 1.0

    @property
    def timestep(self) -> float:
        """That they are made for, fs."""
        return 20.0

    def build(self, prepared: Structure, now: Structure, temperature: float, ph: float) -> MMSystem:
        """The beads where they are now, in water, and what moves them.

        Args:
            prepared: The native structure, all its atoms.
            now: Its atoms, or these beads in their water, at present positions.
            temperature: Of the barostat, K.
            ph: Not used: protonation is as prepared.

        Raises:
            UnsupportedError: There is no protein, it is beads already, or Martini does not know a residue.
            RegionError: The region is empty.
            StructureError: The box would be too large, or the start holds other beads.
            MissingPackageError: vermouth is not installed.
        """
        if prepared.is_beads:
            raise UnsupportedError("Martini beads are made from the atoms of a protein; these are beads. Open the protein itself, or choose CALVADOS.")
        part = chosen(prepared, self.of)
        made = martinize(part, self.elastic)
        whole = self._placed(made, part, now)
        told = f"{len(made.beads)} Martini 3 beads in {len(whole) - len(made.beads):,} beads of water and ions at {PRESSURE:g} bar; time is CG time."
        return MMSystem(whole.with_notes(told), self._system(made, whole, temperature), self._provenance(made))

    def _placed(self, made: Topology, part: Structure, now: Structure) -> Structure:
        """All beads: those of the start if it has them, else around the protein where its atoms are now."""
        whole = in_water(made.beads, round(float(made.charges.sum())), self.padding_nm, self.salt)
        if now.names == whole.names and now.residues == whole.residues:
            return now
        there = chosen(now, self.of)
        if there.names != part.names or there.residues != part.residues:
            raise StructureError("The start holds other residues than the prepared structure. Start from the prepared structure.")
        moved = made.beads.with_positions(made.positions(there.positions))
        return in_water(moved, round(float(made.charges.sum())), self.padding_nm, self.salt)

    def _system(self, made: Topology, whole: Structure, temperature: float) -> "openmm.System":
        import openmm

        around = whole.names[len(made.beads) :]
        types = [*made.types, *(WATER_TYPE if name == WATER_TYPE else ION_TYPE for name in around)]
        charges = np.concatenate([made.charges, whole.formal_charges[len(made.beads) :]])
        masses = np.concatenate([made.masses, [mass_of(kind) for kind in types[len(made.beads) :]]])
        forces = [*bonded_forces(made.terms), *pair_forces(types, charges, made.excluded)]
        system = system_of(whole, masses, forces, CUTOFF)
        for term in made.terms:
            if term.kind == "constraints":
                system.addConstraint(*term.beads, term.parameters[0])
        for site, others in made.virtual.items():
            system.setVirtualSite(site, mean_site(others))
        system.addForce(openmm.MonteCarloBarostat(PRESSURE, temperature, EVERY))
        return system

    def _provenance(self, made: Topology) -> dict[str, str]:
        import vermouth

        return {
            "coarse_model": "Martini 3.0.0 (martini3001)", "vermouth": vermouth.__version__, "secondary_structure": made.secondary,
            "elastic_network_kj_mol_nm2": f"{self.elastic:g}", "salt_mol_per_l": f"{self.salt:g}", "pressure_bar": f"{PRESSURE:g}",
            "nonbonded": f"shifted Lennard-Jones and reaction field, {CUTOFF:g} nm, relative permittivity {PERMITTIVITY:g}",
        }  # fmt: skip


def mean_site(others: tuple[int, ...]) -> "openmm.VirtualSite":
    """A virtual site at the mean of other beads.

    Args:
        others: At least three.
    """
    import openmm

    n = len(others)
    along, across = [-1.0, 1.0] + [0.0] * (n - 2), [-1.0, 0.0, 1.0] + [0.0] * (n - 3)
    return openmm.LocalCoordinatesSite(list(others), [1.0 / n] * n, along, across, [0.0, 0.0, 0.0])
