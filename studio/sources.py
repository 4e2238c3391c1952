"""Sources: where a molecule comes from - an example, a target, a SMILES, a file, a sequence - as settings that build it.

The settings are data (JSON in, JSON out). Knows files and variants of molecules; must not know force fields.
"""

import hashlib
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from studio import chem
from studio.errors import PluginError, StructureError
from studio.io import MAX_MEGABYTES, read
from studio.io.bundled import MOLECULES
from studio.io.chains import ChainShape, bead_chains
from studio.io.protonation import at_ph
from studio.io.repairs import Note, Repairs
from studio.io.sequence import CCap, NCap, Shape, peptide
from studio.io.targets import target
from studio.io.variants import advice, open_stereo
from studio.structure import Structure
from studio.units import Nanometer

Protonation = Literal["as_drawn", "at_ph"]
MAX_ADVISED = 4
"""So many small molecules of a file are looked at; with more of them the list would be unreadable."""


class _Source(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    rough: ClassVar[bool] = False
    """True if what is built has to be relaxed before it is looked at."""
    beads: ClassVar[bool] = False
    """True if what is built are beads, which have no force field of atoms."""

    def fingerprint(self) -> str:
        """What determines the molecule beyond the settings: nothing."""
        return ""


class FromExample(_Source):
    """A molecule that comes with the program; `MOLECULES` lists the names."""

    kind: Literal["example"] = "example"
    name: str

    def build(self, ph: float, seed: int, repairs: Repairs) -> Structure:
        """The molecule; it is complete, so that pH, seed and repairs change nothing.

        Args:
            ph: Not used.
            seed: Not used.
            repairs: Not used.

        Raises:
            PluginError: No molecule has this name.
        """
        if self.name not in MOLECULES:
            raise PluginError(f"There is no bundled molecule '{self.name}'. Known: {', '.join(sorted(MOLECULES))}. For whole examples use `example(name)`.")
        return MOLECULES[self.name]()


class FromTarget(_Source):
    """A bundled protein with a ligand of its series, or the ligand alone; `TARGETS` lists them.

    Args:
        target: Name of the protein.
        ligand: Name of the ligand.
        complex: With the protein around it.
    """

    kind: Literal["target"] = "target"
    target: str
    ligand: str
    complex: bool = True

    def build(self, ph: float, seed: int, repairs: Repairs) -> Structure:
        """The complex, or the ligand as it lies in the protein.

        Args:
            ph: Protonation of what the file of the protein leaves out.
            seed: Random seed of placed atoms.
            repairs: Not used: the files were prepared by their authors.

        Raises:
            PluginError: No target or no ligand has this name.
            MissingPackageError: The data is not installed.
        """
        chosen = target(self.target)
        return chosen.complex(self.ligand, ph, seed) if self.complex else chosen.ligand(self.ligand)


class FromSmiles(_Source):
    """A molecule as SMILES.

    Args:
        smiles: The molecule.
        seed: Random seed of its three-dimensional shape.
        protonation: As it is drawn, or the typical state at the pH of the system.
    """

    kind: Literal["smiles"] = "smiles"
    smiles: str
    seed: int = Field(default=0, ge=0, le=2**31 - 1)
    protonation: Protonation = "as_drawn"

    def build(self, ph: float, seed: int, repairs: Repairs) -> Structure:
        """The molecule, embedded.

        Args:
            ph: Its protonation, if that was asked for.
            seed: Not used: the source has its own.
            repairs: Not used: nothing is missing.

        Raises:
            StructureError: Not a SMILES, or no shape found.
        """
        drawn = chem.parse_smiles(self.smiles)
        changes: list[str] = []
        if self.protonation == "at_ph":
            drawn, changes = at_ph(drawn, ph)
        shaped = chem.embed(drawn, self.seed)
        notes = [*open_stereo(drawn, shaped), *(Note(change, ("protonation", "as_drawn")) for change in changes)]
        advised = notes if changes else [*notes, *advice(drawn, ph)]
        return Structure.from_rdkit(shaped, title=self.smiles.strip()).with_notes(*advised)


class FromFile(_Source):
    """A molecule in a file: SDF, MOL2, PDB or mmCIF.

    Args:
        path: The file.
        ligand_smiles: Bond orders of small molecules in PDB and mmCIF files, several separated by dots.
        index: Which record of an SDF or MOL2 file, counted from 0; left out, the first.
        protonation: Of small molecules: as they are drawn, or the typical state at the pH of the system.
    """

    kind: Literal["file"] = "file"
    path: str
    ligand_smiles: str | None = None
    index: int | None = Field(default=None, ge=0)
    protonation: Protonation = "as_drawn"

    def build(self, ph: float, seed: int, repairs: Repairs) -> Structure:
        """The molecule, repaired.

        Args:
            ph: Protonation of what the file left out, and of small molecules if that was asked for.
            seed: Random seed of placed atoms.
            repairs: What to leave out, and which of several choices to take.

        Raises:
            StructureError: The file cannot be understood.
            StorageError: The file cannot be read.
        """
        protonate = self.protonation == "at_ph"
        structure = read(self.path, self.ligand_smiles, ph=ph, seed=seed, index=self.index, repairs=repairs, protonate=protonate)
        return structure if protonate else structure.with_notes(*_advice_of(structure, ph))

    def fingerprint(self) -> str:
        """Hash of the file's content; empty where there is nothing readable, which `build` will say better."""
        path = Path(self.path)
        if not path.is_file() or path.stat().st_size > MAX_MEGABYTES * 1e6:
            return ""
        return hashlib.sha256(path.read_bytes()).hexdigest()


class FromSequence(_Source):
    """A peptide of L-amino acids.

    Args:
        sequence: One-letter codes from the N-terminus.
        n_cap: Acetyl, or the charged amine.
        c_cap: N-methyl amide, or the charged carboxylate.
        shape: Of the backbone.
    """

    rough: ClassVar[bool] = True

    kind: Literal["sequence"] = "sequence"
    sequence: str = Field(max_length=1000)
    n_cap: NCap = "ACE"
    c_cap: CCap = "NME"
    shape: Shape = "extended"

    def build(self, ph: float, seed: int, repairs: Repairs) -> Structure:
        """The peptide with ideal bond lengths; side chains may still touch.

        Args:
            ph: Protonation of side chains.
            seed: Random seed of the places of hydrogens.
            repairs: States of single residues; the rest does not concern peptides.

        Raises:
            StructureError: Empty, too long, or with a letter that is no amino acid.
        """
        return peptide(self.sequence, self.n_cap, self.c_cap, self.shape, ph=ph, seed=seed, repairs=repairs)


class FromChains(_Source):
    """Disordered chains from their sequences, as beads without atoms.

    Args:
        sequences: One-letter codes from the N-terminus, one text for each chain.
        shape: A self-avoiding coil, or extended.
        box_nm: Width of a periodic cube around them, nm; none without.
    """

    beads: ClassVar[bool] = True

    kind: Literal["chains"] = "chains"
    sequences: Annotated[tuple[Annotated[str, Field(max_length=10_000)], ...], Field(min_length=1)]
    shape: ChainShape = "coil"
    box_nm: Nanometer | None = None

    def build(self, ph: float, seed: int, repairs: Repairs) -> Structure:
        """The chains, one bead a residue.

        Args:
            ph: Not used: what beads feel depends on it, not where they are.
            seed: Random seed of coils.
            repairs: Not used: nothing is missing.

        Raises:
            StructureError: A letter that is no amino acid, too long, or the box has no room.
        """
        return bead_chains(self.sequences, self.shape, seed, self.box_nm)


Source = Annotated[FromExample | FromTarget | FromSmiles | FromFile | FromSequence | FromChains, Field(discriminator="kind")]


def _advice_of(structure: Structure, ph: float) -> list[str]:
    """What is to be said about the small molecules of a structure, each sentence once."""
    ligand = set(structure.atoms_of("ligand").tolist())
    molecules = [atoms for atoms in structure.molecules if int(atoms[0]) in ligand]
    notes: list[str] = []
    for atoms in molecules[:MAX_ADVISED]:
        try:
            notes += advice(structure.take(atoms).to_rdkit(), ph)
        except StructureError:
            # Advice is no reason to refuse a molecule; what it is used for will say what it cannot do.
            continue
    return notes
