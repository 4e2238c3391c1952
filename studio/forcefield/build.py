"""Parametrise: pick the force-field files that a structure needs, build its System, then fix atoms and hold droplets.

Proteins, water and ions come from OpenMM's own Amber files, small molecules from `ligand`. Knows OpenMM's ForceField;
must not know potentials or simulations. `flexibleConstraints` keeps the harmonic terms of constrained bonds.
"""

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from studio.errors import SettingsError, StructureError, UnsupportedError
from studio.forcefield.base import ForceField, ForceGroup, ImplicitModel, MMSystem
from studio.structure import Integers, Structure

if TYPE_CHECKING:
    import openmm

FOLDERS = {"ff14SB": "amber14", "ff19SB": "amber19"}
WALL_CONSTANT = 2000.0
"""Stiffness k of a droplet's wall, kJ/mol/nm^2: 0.05 nm outside costs one kT, and a water's period there (0.6 ps) is slow for any step."""


def parametrise(structure: Structure, settings: ForceField | None = None, implicit: ImplicitModel = "none") -> MMSystem:
    """Molecular mechanics for a structure.

    Args:
        structure: Atoms with hydrogens; small molecules with bond orders.
        settings: Force fields and cutoffs; the usual ones when left out.
        implicit: Generalised Born solvent around a structure without a box or droplet.

    Raises:
        UnsupportedError: An element, radical or residue without parameters; named.
        StructureError: The box is smaller than twice the cutoff.
        SettingsError: Implicit solvent together with a box or a droplet.
    """
    settings = settings or ForceField()
    if implicit != "none" and (structure.box is not None or structure.droplet is not None):
        raise SettingsError(f"Implicit solvent ({implicit}) replaces water, but this structure has a box or a droplet of water. Choose one of them.")
    check_box(structure, settings)
    system = _create_system(structure, settings, implicit)
    if system.getNumParticles() != len(structure):
        raise UnsupportedError(f"The force field made {system.getNumParticles()} particles of {len(structure)} atoms; extra sites are not supported.")
    for force in system.getForces():
        force.setForceGroup(ForceGroup.MM)
    if structure.fixed.any():
        fix_atoms(system, np.flatnonzero(structure.fixed))
    if structure.droplet is not None:
        add_wall(system, structure)
    return MMSystem(structure, system, _provenance(structure, settings, implicit))


def check_box(structure: Structure, settings: ForceField) -> None:
    """Refuse a box in which an atom would meet another one and its image within the cutoff.

    Args:
        structure: With or without a box.
        settings: Where the cutoff is.

    Raises:
        StructureError: The smallest distance between opposite faces is less than twice the cutoff; says by how much.
    """
    if structure.box is None:
        return
    # Distance between opposite faces: the inverse length of the reciprocal vectors, the columns of the inverse.
    smallest = float((1.0 / np.linalg.norm(np.linalg.inv(structure.box), axis=0)).min())
    if smallest < 2.0 * settings.cutoff:
        raise StructureError(
            f"The periodic box is {smallest:.2f} nm across at its narrowest; expected at least {2 * settings.cutoff:.2f} nm, twice the cutoff of "
            f"{settings.cutoff:g} nm. Take a larger padding (by {settings.cutoff - smallest / 2:.2f} nm or more) or a shorter cutoff."
        )


def _create_system(structure: Structure, settings: ForceField, implicit: ImplicitModel) -> "openmm.System":
    """OpenMM's System in the structure's atom order.

    Raises:
        UnsupportedError: A residue has no template.
    """
    from openmm import unit
    from openmm.app import PME, HBonds, NoCutoff
    from openmm.app import ForceField as AmberForceField

    from studio.forcefield.ligand import quiet_openff, template_generator
    from studio.forcefield.topology import to_topology

    topology = to_topology(structure)
    with quiet_openff():
        field = AmberForceField(*_files(structure, settings, implicit))
        ligands = small_molecules(structure)
        if ligands:
            field.registerTemplateGenerator(template_generator([structure.take(atoms) for atoms in ligands], settings.ligand))
        try:
            return field.createSystem(
                topology,
                nonbondedMethod=NoCutoff if structure.box is None else PME,
                nonbondedCutoff=settings.cutoff * unit.nanometer,
                constraints=HBonds if settings.constrain_hydrogens else None,
                rigidWater=True,
                hydrogenMass=settings.hydrogen_mass * unit.dalton,
                removeCMMotion=not structure.fixed.any(),
                **({"flexibleConstraints": True} if _has_constraints(structure, settings) else {}),
            )
        except ValueError as error:
            raise UnsupportedError(f"The force field has no parameters for this structure: {error}") from error


def _has_constraints(structure: Structure, settings: ForceField) -> bool:
    """True if any bond will be constrained; OpenMM refuses `flexibleConstraints` where there is nothing for it to do."""
    from studio.forcefield.topology import water_atoms

    to_hydrogen = bool((structure.numbers[structure.bonds] == 1).any())
    return bool(water_atoms(structure).size) or (settings.constrain_hydrogens and to_hydrogen)


def small_molecules(structure: Structure) -> list[Integers]:
    """Atoms of the first of each kind of small molecule that needs parameters; single atoms are ions and are not among them.

    Args:
        structure: Where to look.
    """
    from studio.forcefield.topology import water_atoms

    ligand = set(structure.atoms_of("ligand").tolist()) - set(water_atoms(structure).tolist())
    kinds: dict[bytes, Integers] = {}
    for atoms in structure.molecules:
        if len(atoms) > 1 and int(atoms[0]) in ligand:
            piece = structure.take(atoms)
            kinds.setdefault(piece.numbers.tobytes() + piece.bonds.tobytes() + piece.formal_charges.tobytes(), atoms)
    return list(kinds.values())


def _files(structure: Structure, settings: ForceField, implicit: ImplicitModel) -> list[str]:
    """OpenMM's force-field files for what is there."""
    from studio.forcefield.topology import water_atoms

    folder = FOLDERS[settings.protein]
    files = []
    if structure.atoms_of("protein").size:
        files.append(f"{folder}/protein.{settings.protein}.xml")
    if water_atoms(structure).size or any(len(atoms) == 1 for atoms in structure.molecules):
        files.append(f"{folder}/{settings.water}.xml")
    return files if implicit == "none" else [*files, f"implicit/{implicit}.xml"]


def fix_atoms(system: "openmm.System", atoms: Integers) -> None:
    """Make atoms immovable: mass zero, no constraint on them; the harmonic bond beneath a lifted constraint stays.

    Args:
        system: Changed in place.
        atoms: Indices of the atoms.
    """
    held = set(atoms.tolist())
    for index in reversed(range(system.getNumConstraints())):
        i, j, _ = system.getConstraintParameters(index)
        if i in held or j in held:
            system.removeConstraint(index)
    for atom in held:
        system.setParticleMass(atom, 0.0)


def add_wall(system: "openmm.System", structure: Structure) -> None:
    """Keep mobile water inside the droplet: E = k/2 max(0, |r - c| - R)^2 on each oxygen, in a force group of its own.

    c, R: centre and radius of the droplet; k: `WALL_CONSTANT`.

    Args:
        system: Changed in place.
        structure: With a droplet.
    """
    import openmm

    if structure.droplet is None:
        return
    # Global parameters belong to the whole Context, hence their long names.
    wall = openmm.CustomExternalForce("0.5*wall_k*max(0, sqrt((x-wall_x)^2+(y-wall_y)^2+(z-wall_z)^2) - wall_radius)^2")
    values = (*structure.droplet.centre, structure.droplet.radius, WALL_CONSTANT)
    for name, value in zip(("x", "y", "z", "radius", "k"), values, strict=True):
        wall.addGlobalParameter(f"wall_{name}", value)
    water = structure.atoms_of("water")
    for atom in water[(structure.numbers[water] == 8) & ~structure.fixed[water]].tolist():
        wall.addParticle(atom, [])
    wall.setName("droplet wall")
    wall.setForceGroup(ForceGroup.WALL)
    system.addForce(wall)


def _provenance(structure: Structure, settings: ForceField, implicit: ImplicitModel) -> dict[str, str]:
    """What was used, for the Result."""
    from studio.forcefield.ligand import CHARGE_MODEL

    entries: dict[str, Any] = {
        "force-field files": ", ".join(_files(structure, settings, implicit)) or "none",
        "nonbonded": "no cutoff" if structure.box is None else f"PME, cutoff {settings.cutoff:g} nm",
        "implicit solvent": implicit,
        "constraints": "bonds to hydrogen" if settings.constrain_hydrogens else "rigid water only",
        "hydrogen mass": f"{settings.hydrogen_mass:g} Da",
        "fixed atoms": str(int(structure.fixed.sum())),
        "openmm": version("openmm"),
    }
    if structure.droplet is not None:
        entries["droplet"] = f"radius {structure.droplet.radius:g} nm, wall {WALL_CONSTANT:g} kJ/mol/nm^2"
    if small_molecules(structure):
        entries["ligand force field"] = settings.ligand
        entries["ligand charges"] = CHARGE_MODEL.removesuffix(".pt")
        for package in ("acellera-openff-toolkit", "acellera-openmmforcefields", "acellera-openff-nagl", "openff-nagl-models"):
            entries[package] = version(package)
    return entries
