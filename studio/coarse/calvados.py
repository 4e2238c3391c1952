"""CALVADOS: disordered and multi-domain chains as one bead a residue, in implicit salt water.

    U = 1/2 k (r - r0)^2 + U_AH + U_Y
    U_AH = 4 eps [(s/r)^12 - (s/r)^6] + eps (1 - l)   up to 2^(1/6) s, and l 4 eps [...] beyond (Ashbaugh and Hatch 1998)
    U_Y  = q q' e^2 / (4 pi eps_0 eps_r) [exp(-r/D) / r]

s, l: means of the diameters and stickinesses of the pair; both end at their cutoffs, shifted to zero there. D: Debye length of
the salt; eps_r(T) of water. Version 2: Tesei 2022, 10.12688/openreseurope.14967.2; version 3, with folded domains as networks
of springs between centres of mass: Cao 2024, 10.1002/pro.5172. Knows beads and OpenMM forces; must not know how they are moved.
"""

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from studio.coarse.chain import lengths, neighbours, pair_force, system_of
from studio.coarse.mapping import map_protein
from studio.coarse.parts import chosen, placed
from studio.coarse.residues import bead_of, standard
from studio.errors import RegionError, UnsupportedError
from studio.forcefield.base import MMSystem
from studio.region import AnyRegion, KindIs, Region
from studio.structure import Flags, Floats, Integers, Structure
from studio.units import BOLTZMANN, COULOMB

if TYPE_CHECKING:
    import openmm

DEPTH, STICKY_CUTOFF = 0.8368, 2.0
"""eps, kJ/mol, and where stickiness ends, nm."""
CHARGE_CUTOFF = 4.0
"""Where charges end, nm."""
LENGTH, STIFFNESS = 0.38, 8033.0
"""Of bonds: nm, kJ/mol/nm^2."""
DOMAIN_STIFFNESS, DOMAIN_REACH = 700.0, 0.9
"""Of the springs within a folded domain, kJ/mol/nm^2, and how far they reach in its native structure, nm."""
HISTIDINE_PK = 6.0
N_END, C_END = 2.0, 16.0
"""Mass that the ends of a chain have more than a residue within it, Da."""
PER_LITRE = 0.602214076
"""One mol/l in particles per nm^3."""
STICKINESS = (
    "select(step(2^(1/6)*s-r), 4*depth*((s/r)^12-(s/r)^6-l*end)+depth*(1-l), 4*depth*l*((s/r)^12-(s/r)^6-end)); "
    f"end=(s/{STICKY_CUTOFF})^12-(s/{STICKY_CUTOFF})^6; depth={DEPTH}; s=0.5*(s1+s2); l=0.5*(l1+l2)"
)


class Calvados(BaseModel):
    """Settings of CALVADOS.

    Args:
        version: 2 for disordered chains, 3 for those with folded domains too.
        of: Which residues become beads.
        salt: Concentration of monovalent salt, mol/l.
        domains: Of version 3: residues of each folded domain, which springs hold in their native shape.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["calvados"] = "calvados"
    version: Literal[2, 3] = 2
    of: AnyRegion = KindIs(of="protein")
    salt: Annotated[float, Field(gt=0.0, le=5.0)] = 0.15
    domains: tuple[AnyRegion, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> "Calvados":
        if self.domains and self.version != 3:
            raise ValueError("folded domains belong to CALVADOS 3: choose version = 3, or leave the domains out")
        return self

    @property
    def friction(self) -> float:
        """Of the thermostat, 1/ps."""
        return 0.01

    @property
    def timestep(self) -> float:
        """That is tried first, fs: beads of whole residues are heavy."""
        return 10.0

    def build(self, prepared: Structure, now: Structure, temperature: float, ph: float) -> MMSystem:
        """The beads where they are now, and what moves them.

        Args:
            prepared: Atoms, or beads; folded domains have their native shape here.
            now: The same at present positions.
            temperature: At which they will move, K: water screens charges by it.
            ph: Of histidine; other charges are as drawn.

        Raises:
            UnsupportedError: There is no protein, or a residue is none of the twenty.
            RegionError: A region is empty.
            StructureError: The box is too small.
        """
        beads, held = self._native(prepared)
        excluded = np.unique(np.concatenate([beads.bonds, held]), axis=0)
        forces = [
            self._bonds(beads, held),
            self._springs(beads, held),
            _stickiness(beads, excluded, self.version),
            self._charges(beads, excluded, temperature, ph),
        ]
        made = {
            "coarse_model": f"CALVADOS {self.version}", "salt_mol_per_l": f"{self.salt:g}", "coarse_ph": f"{ph:g}", "coarse_temperature_k": f"{temperature:g}",
            "relative_permittivity": f"{permittivity(temperature):.2f}", "debye_length_nm": f"{debye_length(temperature, self.salt):.4f}",
            "domain_springs": str(len(held)),
        }  # fmt: skip
        told = f"{len(beads)} beads by CALVADOS {self.version} in {self.salt:g} mol/l salt, which screens charges as at {temperature:g} K; time is CG time."
        if self.domains:
            told += f" {len(held)} springs hold {len(self.domains)} folded domain{'s' * (len(self.domains) != 1)}."
        system = system_of(beads, masses_of(beads), forces, CHARGE_CUTOFF)
        return MMSystem(placed(beads, now, lambda there: self._native(there)[0]).with_notes(told), system, made)

    def _native(self, prepared: Structure) -> tuple[Structure, Integers]:
        """The beads as prepared - those of folded domains at centres of mass - and the pairs that springs hold."""
        part = chosen(prepared, self.of)
        beads = map_protein(part).beads
        if not self.domains:
            return beads, np.zeros((0, 2), dtype=np.int64)
        if part.is_beads:
            raise UnsupportedError(
                "Folded domains need the atoms of their native structure; these are beads. Open the protein itself, or leave the domains out."
            )
        central = map_protein(part, place="mass").beads.positions
        folded = [_members(domain, place, beads) for place, domain in enumerate(self.domains, 1)]
        places = np.where(np.any(folded, axis=0)[:, None], central, beads.positions)
        beads = beads.with_positions(places)
        return beads, np.unique(np.concatenate([_network(places, np.flatnonzero(mask)) for mask in folded]), axis=0)

    def _bonds(self, beads: Structure, held: Integers) -> "openmm.Force":
        """Bonds of 0.38 nm; within folded domains of their native length."""
        import openmm

        force, inside = openmm.HarmonicBondForce(), set(map(tuple, held.tolist()))
        for (i, j), native in zip(beads.bonds.tolist(), lengths(beads.positions, beads.bonds).tolist(), strict=True):
            force.addBond(i, j, native if (i, j) in inside else LENGTH, STIFFNESS)
        return force

    def _springs(self, beads: Structure, held: Integers) -> "openmm.Force":
        """The networks of folded domains, but for what is bonded."""
        import openmm

        force, bonded = openmm.HarmonicBondForce(), set(map(tuple, beads.bonds.tolist()))
        for (i, j), native in zip(held.tolist(), lengths(beads.positions, held).tolist(), strict=True):
            if (i, j) not in bonded:
                force.addBond(i, j, native, DOMAIN_STIFFNESS)
        return force

    def _charges(self, beads: Structure, excluded: Integers, temperature: float, ph: float) -> "openmm.Force":
        screen, scale = debye_length(temperature, self.salt), COULOMB / permittivity(temperature)
        end = float(np.exp(-CHARGE_CUTOFF / screen)) / CHARGE_CUTOFF
        force = pair_force(f"{scale}*q1*q2*(exp(-r/{screen})/r-{end})", beads, CHARGE_CUTOFF, excluded)
        force.addPerParticleParameter("q")
        charges = charges_of(beads, ph)
        for charge in charges.tolist():
            force.addParticle([charge])
        charged = np.flatnonzero(charges).tolist()
        force.addInteractionGroup(charged, charged)
        return force


def _stickiness(beads: Structure, excluded: Integers, version: int) -> "openmm.Force":
    force = pair_force(STICKINESS, beads, STICKY_CUTOFF, excluded)
    force.addPerParticleParameter("s")
    force.addPerParticleParameter("l")
    for residue in beads.residues:
        bead = bead_of(residue.name)
        force.addParticle([bead.sigma, bead.stickiness[version]])
    return force


def _members(domain: Region, place: int, beads: Structure) -> Flags:
    """The beads of a folded domain.

    Args:
        domain: Its residues.
        place: Which domain it is, from 1.
        beads: One a residue.

    Raises:
        RegionError: It has fewer than two.
    """
    mask = domain.mask(beads)
    if mask.sum() < 2:
        there = ", ".join(f"{chain}:{first}-{last}" for chain, (first, last) in _ends(beads).items())
        raise RegionError(
            f"A folded domain needs two residues or more, and domain {place} holds {'one' if mask.any() else 'none'}. There are the residues {there}."
        )
    return mask


def _ends(beads: Structure) -> dict[str, tuple[str, str]]:
    """The first and the last residue of each chain."""
    ends: dict[str, tuple[str, str]] = {}
    for residue in beads.residues:
        ends[residue.chain] = (ends.get(residue.chain, (residue.number, ""))[0], residue.number)
    return ends


def _network(places: Floats, members: Integers) -> Integers:
    """Pairs of a domain that are near each other in its native structure, (p, 2)."""
    from scipy.spatial import cKDTree

    near = cKDTree(places[members]).query_pairs(DOMAIN_REACH, output_type="ndarray")
    return np.sort(members[np.asarray(near, dtype=np.int64).reshape(-1, 2)], axis=1)


def permittivity(temperature: float) -> float:
    """Relative permittivity of water (Akerlof and Oshry 1950, as in CALVADOS).

    Args:
        temperature: K.
    """
    t = temperature
    return 5321.0 / t + 233.76 - 0.9297 * t + 1.417e-3 * t**2 - 8.292e-7 * t**3


def debye_length(temperature: float, salt: float) -> float:
    """How far a charge reaches in salt water, nm.

    Args:
        temperature: K.
        salt: Concentration of monovalent salt, mol/l.
    """
    bjerrum = COULOMB / (permittivity(temperature) * BOLTZMANN * temperature)
    return float(1.0 / np.sqrt(8.0 * np.pi * bjerrum * salt * PER_LITRE))


def charges_of(beads: Structure, ph: float) -> Floats:
    """Charges, e, (b,): as drawn, ends of chains included; of histidine by pH.

    Args:
        beads: One a residue.
        ph: Of the water.
    """
    near = neighbours(beads)
    charges = np.array(beads.formal_charges, dtype=np.float64)
    for bead in (index for index, residue in enumerate(beads.residues) if standard(residue.name) == "HIS"):
        end = _end(bead, near[bead])
        charges[bead] = np.clip(charges[bead], min(end, 0), max(end, 0)) + 1.0 / (1.0 + 10.0 ** (ph - HISTIDINE_PK))
    return charges


def masses_of(beads: Structure) -> Floats:
    """Masses, Da, (b,): those of residues, more at the ends of a chain.

    Args:
        beads: One a residue.
    """
    more = {1: N_END, -1: C_END, 0: 0.0}
    return np.array(
        [bead_of(residue.name).mass + more[_end(bead, near)] for bead, (residue, near) in enumerate(zip(beads.residues, neighbours(beads), strict=True))]
    )


def _end(bead: int, bonded: list[int]) -> int:
    """1 for the first bead of a chain, -1 for the last, 0 within: the sign of the charge that the end carries."""
    return 0 if len(bonded) != 1 else 1 if bonded[0] > bead else -1
