"""Go: a structure-based model of a protein - its native contacts attract, and everything else only takes up room.

    U = 1/2 k_b (r - r0)^2 + 1/2 k_a (t - t0)^2 + k_d [1 - cos d + 1/2 (1 - cos 3 d)]
        + sum_native eps [5 (s/r)^12 - 6 (s/r)^10] + sum_others eps (c/r)^12

d: torsion less its native value; r0, t0, s: native bond, angle, distance; k_b = 20000 eps/nm^2, k_a = 40 eps, k_d = eps
(Clementi 2000, 10.1006/jmbi.2000.3693; constants as in SMOG, Noel 2016, 10.1371/journal.pcbi.1004794). One bead a residue.
The native structure is the lowest of all by construction: what is learned is how it folds, opens and moves, not whether.
Knows structures and OpenMM forces; must not know how they are moved.
"""

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from studio.coarse.chain import angle_of, angles, lengths, pair_force, system_of, torsion_of, torsions
from studio.coarse.contacts import APART, Contacts, Rule, native_contacts, within_bonds
from studio.coarse.mapping import map_protein
from studio.coarse.parts import chosen, placed
from studio.coarse.residues import bead_of
from studio.errors import UnsupportedError
from studio.forcefield.base import MMSystem
from studio.region import AnyRegion, KindIs
from studio.structure import Integers, Structure
from studio.units import KJ_PER_KCAL, Nanometer

if TYPE_CHECKING:
    import openmm

BOND, ANGLE = 20_000.0, 40.0
"""Stiffness of bonds (1/nm^2) and angles (1/rad^2) in parts of the depth of a contact."""
CONTACT = "epsilon*(5*(sigma/r)^12-6*(sigma/r)^10)"
TORSION = "k*(1-cos(d)+0.5*(1-cos(3*d))); d=theta-theta0"
ROOM, REACH = 0.4, 1.0
"""Distance at which two beads without a contact repel each other with the depth of a contact, and where that ends, nm."""
FEWEST = 4
"""Beads that have a torsion at all."""


class GoModel(BaseModel):
    """Settings of a structure-based model.

    Args:
        of: Which residues become beads.
        contacts: How native contacts are found.
        cutoff_nm: Largest distance of two heavy atoms in contact, nm.
        epsilon: Depth of a contact, kJ/mol; proteins unfold near 105 K for each of them, at the usual 1 kcal/mol near 440 K.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["go"] = "go"
    of: AnyRegion = KindIs(of="protein")
    contacts: Rule = "shadow"
    cutoff_nm: Nanometer = 0.6
    epsilon: Annotated[float, Field(gt=0.0, le=50.0)] = KJ_PER_KCAL

    @property
    def friction(self) -> float:
        """Of the thermostat, 1/ps: low, so that the protein moves much in little time."""
        return 0.1

    @property
    def timestep(self) -> float:
        """That is tried first, fs: beads of whole residues are heavy."""
        return 10.0

    def native(self, structure: Structure) -> tuple[Structure, Contacts]:
        """The beads of a native structure, and their contacts.

        Args:
            structure: Atoms.

        Raises:
            UnsupportedError: There is no protein, or what is there are beads already.
            RegionError: The region is empty.
        """
        if structure.is_beads:
            raise UnsupportedError("A Go model is made from the atoms of a native structure; these are beads. Open the protein itself, or choose CALVADOS.")
        part = chosen(structure, self.of)
        mapping = map_protein(part)
        if len(mapping) < FEWEST:
            raise UnsupportedError(f"A Go model needs at least {FEWEST} residues; got {len(mapping)}. Choose a level of atoms.")
        contacts = native_contacts(part, mapping, self.contacts, self.cutoff_nm)
        if not len(contacts):
            raise UnsupportedError("No residues touch in this structure, so that nothing would hold it together. Choose CALVADOS for disordered chains.")
        return mapping.beads, contacts

    def _beads(self, structure: Structure) -> Structure:
        return map_protein(chosen(structure, self.of)).beads

    def build(self, prepared: Structure, now: Structure, temperature: float, ph: float) -> MMSystem:
        """The beads where they are now, and what moves them.

        Args:
            prepared: The native structure, all its atoms.
            now: Its atoms, or its beads, at present positions.
            temperature: Not used: contacts are energies.
            ph: Not used.

        Raises:
            UnsupportedError: See `native`.
            StructureError: The box is too small.
        """
        native, contacts = self.native(prepared)
        excluded = np.unique(np.concatenate([_bonded(native), contacts.pairs]), axis=0)
        forces = [*self._chain(native), self._attraction(contacts), self._repulsion(native, excluded)]
        masses = np.array([bead_of(residue.name).mass for residue in native.residues])
        made = {
            "coarse_model": "Go, C-alpha", "contacts": f"{len(contacts)} by {self.contacts}, heavy atoms within {self.cutoff_nm:g} nm",
            "contact_depth_kj_mol": f"{self.epsilon:g}", "native_structure": prepared.key,
        }  # fmt: skip
        told = f"{len(native)} beads with {len(contacts)} native contacts: the prepared structure is the lowest by construction, and time is CG time."
        return MMSystem(placed(native, now, self._beads).with_notes(told), system_of(native, masses, forces, REACH), made)

    def _chain(self, native: Structure) -> "list[openmm.Force]":
        """Bonds, angles and torsions."""
        import openmm

        places, bond, angle, torsion = native.positions, openmm.HarmonicBondForce(), openmm.HarmonicAngleForce(), openmm.CustomTorsionForce(TORSION)
        for (i, j), length in zip(native.bonds.tolist(), lengths(places, native.bonds).tolist(), strict=True):
            bond.addBond(i, j, length, BOND * self.epsilon)
        triples, fours = angles(native), torsions(native)
        for atoms, value in zip(triples.tolist(), angle_of(places, triples).tolist(), strict=True):
            angle.addAngle(*atoms, value, ANGLE * self.epsilon)
        torsion.addGlobalParameter("k", self.epsilon)
        torsion.addPerTorsionParameter("theta0")
        for atoms, value in zip(fours.tolist(), torsion_of(places, fours).tolist(), strict=True):
            torsion.addTorsion(*atoms, [value])
        return [bond, angle, torsion]

    def _attraction(self, contacts: Contacts) -> "openmm.Force":
        import openmm

        force = openmm.CustomBondForce(CONTACT)
        force.addGlobalParameter("epsilon", self.epsilon)
        force.addPerBondParameter("sigma")
        for (i, j), distance in zip(contacts.pairs.tolist(), contacts.distances.tolist(), strict=True):
            force.addBond(i, j, [distance])
        return force

    def _repulsion(self, native: Structure, excluded: Integers) -> "openmm.Force":
        """What keeps all others apart, shifted to end at zero."""
        end = (ROOM / REACH) ** 12
        force = pair_force(f"{self.epsilon}*(({ROOM}/r)^12-{end})", native, REACH, excluded)
        for _ in range(len(native)):
            force.addParticle([])
        return force


def _bonded(beads: Structure) -> Integers:
    """Pairs up to a torsion apart, (p, 2)."""
    apart = within_bonds(beads, APART)
    return np.argwhere(np.triu(apart <= APART, k=1))
