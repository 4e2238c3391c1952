"""Motion: what is done to masses, constraints and inner forces so that long time steps are possible; no energy changes.

Knows OpenMM Systems, regions and refits; must not know networks or integrators.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from studio.hybrid.boundary import Part
from studio.hybrid.refit import Refit
from studio.structure import Integers, Structure

if TYPE_CHECKING:
    import openmm


@dataclass(frozen=True, eq=False)
class Motion:
    """What makes long steps possible without changing the energy.

    Args:
        refits: D of each region, see `refit`; none for single time steps.
        hydrogen_mass: Mass of the regions' hydrogens, Da, taken from the heavy neighbour; as in the MM system when left out.
        hold_hydrogens: Keep bonds to hydrogen in the regions at the network's mean length.
    """

    refits: tuple[Refit, ...] = ()
    hydrogen_mass: float | None = None
    hold_hydrogens: bool = False

    def apply(self, system: "openmm.System", structure: Structure, parts: Sequence[Part], scale: tuple[str, float]) -> dict[str, str]:
        """Change `system`, and say how, for the provenance.

        Args:
            system: Of all atoms; changed.
            structure: The atoms.
            parts: The regions, in the order of the refits.
            scale: Name and value of the global parameter that multiplies D.
        """
        lifted = sum(_lift_constraints(system, part.atoms) for part in parts)
        entries = {"lifted_constraints": str(lifted), "ml_hydrogen_bonds": "all free"}
        if self.hydrogen_mass:
            entries["ml_hydrogen_mass_da"] = f"{self.hydrogen_mass:g}"
            for part in parts:
                _set_hydrogen_mass(system, structure, part.atoms, self.hydrogen_mass)
        if self.hold_hydrogens:
            held = sum(_hold_hydrogens(system, structure, part, refit) for part, refit in zip(parts, self.refits, strict=True))
            entries["ml_hydrogen_bonds"] = f"{held} held at the network's mean lengths"
        if self.refits:
            entries["refit_bracket_rms_kj_mol_nm"] = "; ".join(f"{refit.report.before:.0f} -> {refit.report.after:.0f}" for refit in self.refits)
            for part, refit in zip(parts, self.refits, strict=True):
                for force in refit.forces(part.seen, *scale):
                    system.addForce(force)
        return entries

    @property
    def notes(self) -> tuple[str, ...]:
        """What people should know."""
        return tuple(_refit_note(refit) for refit in self.refits if refit.terms)


def _lift_constraints(system: "openmm.System", atoms: Integers) -> int:
    """Remove the constraints within the region: the network's own bonds vibrate. Returns how many."""
    inside = set(atoms.tolist())
    lifted = 0
    for index in reversed(range(system.getNumConstraints())):
        i, j, _ = system.getConstraintParameters(index)
        if i in inside and j in inside:
            system.removeConstraint(index)
            lifted += 1
    return lifted


def _hydrogen_bonds(structure: Structure, atoms: Integers) -> Integers:
    """Bonds of hydrogens within `atoms`, the hydrogen first, (b, 2)."""
    bonds = structure.bonds[np.isin(structure.bonds, atoms).all(axis=1)]
    bonds = np.where((structure.numbers[bonds[:, :1]] == 1), bonds, bonds[:, ::-1])
    return np.asarray(bonds[(structure.numbers[bonds[:, 0]] == 1) & (structure.numbers[bonds[:, 1]] > 1)])


def _set_hydrogen_mass(system: "openmm.System", structure: Structure, atoms: Integers, mass: float) -> None:
    """Make the region's hydrogens heavier at the cost of their neighbours; averages do not depend on masses."""
    for hydrogen, heavy in _hydrogen_bonds(structure, atoms).tolist():
        gain = mass - system.getParticleMass(hydrogen)._value
        system.setParticleMass(hydrogen, mass)
        system.setParticleMass(heavy, system.getParticleMass(heavy)._value - gain)


def _hold_hydrogens(system: "openmm.System", structure: Structure, part: Part, refit: Refit) -> int:
    """Constrain the region's bonds to hydrogen at their mean length under the network. Returns how many."""
    lengths = refit.lengths(part.seen)
    bonds = _hydrogen_bonds(structure, part.atoms).tolist()
    for hydrogen, heavy in bonds:
        system.addConstraint(hydrogen, heavy, lengths[frozenset((hydrogen, heavy))])
    return len(bonds)


def _refit_note(refit: Refit) -> str:
    before, after = refit.report
    return f"For long time steps the inner force was fitted to the network: RMS force outside {before:.0f} -> {after:.0f} kJ/mol/nm; energies stay as they are."
