"""System: what the user named - a molecule, what is around it, a force field - as settings that prepare a `Structure`.

The settings are data (JSON in, JSON out); `prepare` reads or embeds, solvates and relaxes, `parametrise` gives the MM
system, and both remember their results on disk. Knows files and force fields; must not know potentials or simulations.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from studio import cache
from studio.errors import PluginError, StructureError, UnsupportedError
from studio.forcefield import ForceField, ImplicitModel, MMSystem, parametrise
from studio.io.repairs import Note, Repairs
from studio.progress import Progress
from studio.sources import FromChains, FromExample, FromFile, FromSequence, FromSmiles, FromTarget, Source
from studio.structure import Structure
from studio.units import Nanometer

__all__ = [
    "EXAMPLES",
    "Example",
    "FromChains",
    "FromExample",
    "FromFile",
    "FromSequence",
    "FromSmiles",
    "FromTarget",
    "Implicit",
    "Pocket",
    "Progress",
    "Repairs",
    "Source",
    "Surroundings",
    "System",
    "Vacuum",
    "WaterBox",
    "example",
    "relaxed",
]

"""Is told how much is done (0 to 1) and what is going on, as a sentence."""

RELAX_ITERATIONS = 200
RELAX_TOLERANCE = 10.0
"""Root-mean-square force at which relaxing stops early, kJ/mol/nm."""
OVERLAP = "Atoms overlap so much that the molecule cannot be relaxed. Check the coordinates in the file."


AWAY = ("surroundings", "vacuum")
"""What takes water back out again."""


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Vacuum(_Settings):
    """Nothing around the molecule."""

    kind: Literal["vacuum"] = "vacuum"

    def surround(self, structure: Structure, seed: int) -> Structure:
        """The structure itself.

        Args:
            structure: The molecule.
            seed: Not used.
        """
        return structure


class Implicit(_Settings):
    """Water as a continuum, generalised Born; slow on a CPU beyond some hundred atoms."""

    kind: Literal["implicit"] = "implicit"
    model: Literal["gbn2", "obc2"] = "gbn2"

    def surround(self, structure: Structure, seed: int) -> Structure:
        """The structure itself; the model enters with the force field.

        Args:
            structure: The molecule.
            seed: Not used.
        """
        return structure


class WaterBox(_Settings):
    """A periodic cube of water, neutral.

    Args:
        padding_nm: Least distance between molecule and face, nm.
        ionic_strength: NaCl beyond what neutralises, mol/l.
    """

    kind: Literal["water_box"] = "water_box"
    padding_nm: Nanometer = 0.8
    ionic_strength: float = Field(default=0.0, ge=0.0, le=5.0)

    def surround(self, structure: Structure, seed: int) -> Structure:
        """The molecule in water.

        Args:
            structure: The molecule.
            seed: Random seed of the places of ions.

        Raises:
            StructureError: The box would be too large, or has no room for the ions.
        """
        from studio.forcefield.solvent import solvate_box

        whole = solvate_box(structure, self.padding_nm, self.ionic_strength, seed)
        return whole.with_notes(_told_box(structure, whole))


def _told_box(solute: Structure, whole: Structure) -> Note:
    """A sentence about what a box of water added."""
    added = whole.take(np.arange(len(solute), len(whole)))
    waters, ions = (sum(residue.kind == kind for residue in added.residues) for kind in ("water", "ion"))
    with_ions = f" and {ions} ion{'s' * (ions > 1)}" if ions else ""
    return Note(f"{waters:,} waters{with_ions} were put around it, in a periodic cube of {whole.box[0, 0] if whole.box is not None else 0:.2f} nm.", AWAY)


class Pocket(_Settings):
    """The neighbourhood of a ligand in its protein, cut out, in a droplet of water; what lies farther off is frozen or left out.

    Args:
        mobile_nm: Residues this close to the ligand move, nm.
        shell_nm: Residues this close to what moves are kept, frozen, nm.
        droplet_nm: How far the droplet reaches beyond the ligand, nm.
    """

    kind: Literal["pocket"] = "pocket"
    mobile_nm: Nanometer = 0.5
    shell_nm: Nanometer = 0.5
    droplet_nm: Nanometer = 0.5

    def surround(self, structure: Structure, seed: int) -> Structure:
        """The pocket in its droplet.

        Args:
            structure: Protein and ligand.
            seed: Not used.

        Raises:
            StructureError: No ligand, or no protein.
        """
        from studio.forcefield.pocket import cut_pocket
        from studio.forcefield.solvent import solvate_sphere

        cut = cut_pocket(structure, self.mobile_nm, self.shell_nm, self.droplet_nm)
        whole = solvate_sphere(cut.structure, cut.centre, cut.radius, avoid=structure)
        told = (
            f"The pocket: {int((~whole.fixed).sum())} atoms move (ligand, residues within {self.mobile_nm:g} nm of it, a droplet of "
            f"{len(whole.atoms_of('water')) // 3} waters, radius {cut.radius:.2f} nm), {int(whole.fixed.sum())} atoms of a shell around them are frozen, "
            f"{cut.left_out} atoms of the complex (and any water and ions of the file) were left out. "
            f"Cut chain ends carry ACE and NME caps; the net charge is {whole.charge:+d}."
        )
        return whole.with_notes(Note(told, AWAY))


Surroundings = Annotated[Vacuum | Implicit | WaterBox | Pocket, Field(discriminator="kind")]


class System(_Settings):
    """A molecule, what is around it, and the force field.

    Args:
        source: Where the molecule comes from.
        surroundings: What is put around it.
        forcefield: Molecular mechanics.
        ph: Protonation of what a file left out.
        seed: Random seed of whatever is placed.
        repairs: What is done to a PDB or mmCIF file; the defaults are the usual repairs.
    """

    source: Source
    surroundings: Surroundings = Vacuum()
    forcefield: ForceField = ForceField()
    ph: float = Field(default=7.4, ge=0.0, le=14.0)
    seed: int = Field(default=0, ge=0, le=2**31 - 1)
    repairs: Repairs = Repairs()

    @model_validator(mode="after")
    def _consistent(self) -> "System":
        if self.source.beads and not isinstance(self.surroundings, Vacuum):
            raise ValueError("beads come with the water that is part of their model: choose surroundings = vacuum")
        return self

    @property
    def implicit(self) -> ImplicitModel:
        """The generalised Born model that the surroundings ask for."""
        return self.surroundings.model if isinstance(self.surroundings, Implicit) else "none"

    def prepare(self, progress: Progress | None = None) -> Structure:
        """The structure, repaired, solvated and - in water, and if built from a sequence - relaxed; from the cache if it was prepared before.

        Args:
            progress: Is told what is going on.

        Raises:
            StructureError: The molecule cannot be read, built or solvated.
            StorageError: The file cannot be read.
            UnsupportedError: In water: the force field does not know the molecule.
        """
        tell = progress or _nobody
        key = cache.key_of("structure", self.model_dump_json(), self.source.fingerprint())
        known = cache.load_structure(key)
        if known is not None:
            tell(1.0, "The prepared structure was found on disk.")
            return known
        tell(0.05, "Reading or building the molecule.")
        structure = self.source.build(self.ph, self.seed, self.repairs)
        tell(0.2, "Putting the surroundings around it.")
        structure = self.surroundings.surround(structure, self.seed)
        if not self.source.beads and (structure.box is not None or structure.droplet is not None or self.source.rough):
            mm = self.parametrise(structure, lambda part, sentence: tell(0.25 + 0.45 * part, sentence))
            tell(0.7, f"Relaxing {len(structure)} atoms.")
            structure = relaxed(mm)
        cache.store_structure(key, structure)
        tell(1.0, f"Ready: {len(structure)} atoms.")
        return structure

    def parametrise(self, structure: Structure | None = None, progress: Progress | None = None) -> MMSystem:
        """The MM system of the prepared structure, or of `structure`; from the cache if the same atoms were seen before.

        Args:
            structure: Prepared atoms at any positions.
            progress: Is told what is going on.

        Raises:
            StructureError: The box is too small for the cutoff, and what `prepare` raises.
            UnsupportedError: The force field does not know the molecule.
        """
        structure = structure or self.prepare(progress)
        if structure.is_coarse:
            raise UnsupportedError("These are beads, and a force field needs atoms. Choose a level of beads, or open the protein itself.")
        tell = progress or _nobody
        key = cache.key_of("system", cache.content_of(structure), self.forcefield.model_dump_json(), self.implicit)
        known = cache.load_system(key, structure)
        if known is not None:
            tell(1.0, "The force-field parameters were found on disk.")
            return known
        tell(0.1, "Assigning force-field parameters and charges.")
        mm = parametrise(structure, self.forcefield, self.implicit)
        cache.store_system(key, mm)
        tell(1.0, "The force-field parameters are assigned.")
        return mm


def _nobody(part: float, sentence: str) -> None:
    """Progress that nobody wants to hear about."""


def relaxed(mm: MMSystem) -> Structure:
    """The structure after a short energy minimisation, enough to remove clashes; equal input gives equal output.

    Args:
        mm: The structure and its System.

    Raises:
        StructureError: The atoms overlap so much that the energy is not a number.
    """
    import openmm
    from openmm import unit

    # Only one thread sums the forces in the same order each time.
    platform = openmm.Platform.getPlatformByName("CPU")
    context = openmm.Context(mm.system, openmm.VerletIntegrator(0.001), platform, {"DeterministicForces": "true", "Threads": "1"})
    context.setPositions(mm.structure.positions)
    try:
        openmm.LocalEnergyMinimizer.minimize(context, RELAX_TOLERANCE, RELAX_ITERATIONS)
    except openmm.OpenMMException as problem:
        # It fails at numbers only, and its sentence ends in a web address.
        raise StructureError(OVERLAP) from problem
    positions = np.asarray(context.getState(getPositions=True).getPositions(asNumpy=True).value_in_unit(unit.nanometer))
    if not np.isfinite(positions).all():
        raise StructureError(OVERLAP)
    return mm.structure.with_positions(positions)


@dataclass(frozen=True)
class Example:
    """A system that comes with the program: its title and description for people, and its settings."""

    title: str
    description: str
    system: System


EXAMPLES: dict[str, Example] = {
    "aspirin-vacuum": Example("Aspirin in vacuum", "21 atoms: the quickest thing to watch.", System(source=FromSmiles(smiles="CC(=O)Oc1ccccc1C(=O)O"))),
    "alanine-dipeptide-water": Example(
        "Alanine dipeptide in water",
        "The peptide whose two torsions every method is tried on, in a small box of water.",
        System(source=FromExample(name="alanine-dipeptide"), surroundings=WaterBox(padding_nm=0.65)),
    ),
    "tyk2-water": Example(
        "A TYK2 inhibitor in water",
        "The drug-like ligand ejm_31 in a box of about 1,000 atoms.",
        System(source=FromExample(name="tyk2-ligand"), surroundings=WaterBox(padding_nm=0.45)),
    ),
    "tyk2-pocket": Example(
        "A TYK2 inhibitor in its pocket",
        "The ligand ejm_31, the residues around it and a droplet of water move; a frozen shell of the kinase holds them.",
        System(source=FromExample(name="tyk2-complex"), surroundings=Pocket()),
    ),
    "alanine-helix": Example(
        "A helix of ten alanines",
        "A peptide built from its sequence: the helix holds by its hydrogen bonds, or does it?",
        System(source=FromSequence(sequence="AAAAAAAAAA", shape="helix")),
    ),
    "histatin-5": Example(
        "Histatin-5, a disordered chain",
        "24 residues of saliva (UniProt P15516, residues 20-43) that never fold, as beads by CALVADOS; by SAXS its radius of gyration is 13.8 \u00c5.",
        System(source=FromChains(sequences=("DSHAKRHHGYKRKFHEKHHSHRGY",))),
    ),
    "host-guest": Example(
        "A guest in its host",
        "Cucurbit[7]uril (CB7) holds the guest B2 in continuum water: small enough for a binding free energy on a laptop.",
        System(source=FromExample(name="cb7-b2"), surroundings=Implicit(model="obc2"), forcefield=ForceField(hydrogen_mass=3.0)),
    ),
}


def example(name: str) -> Example:
    """A bundled example by name.

    Args:
        name: One of `EXAMPLES`.

    Raises:
        PluginError: No example has this name; lists those that exist.
    """
    if name not in EXAMPLES:
        raise PluginError(f"There is no example '{name}'. Known: {', '.join(EXAMPLES)}.")
    return EXAMPLES[name]
