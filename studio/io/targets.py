"""Targets: the eight proteins of Wang et al. (2015, 10.1021/ja512751q) with their posed ligands and measured affinities.

They lie among the data of openmmforcefields, which is found without importing it. Knows where, and what the files are
called; must not know what is done with them.
"""

import importlib.util
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from studio.errors import MissingPackageError, PluginError
from studio.io.files import read
from studio.io.records import blocks
from studio.structure import Structure

OVERLAP = 0.18
"""Heavy atoms closer than this without a bond overlap, nm."""
AFFINITY = "r_user_dG.exp"
"""SDF field with the measured free energy of binding, kcal/mol."""


@dataclass(frozen=True)
class PosedLigand:
    """A ligand in its protein: its name in the series, its record in the file, and its measured free energy of binding, kcal/mol."""

    name: str
    index: int
    affinity: float | None


@dataclass(frozen=True)
class Target:
    """A protein and a series of ligands posed in it.

    Args:
        name: As settings name it.
        title: For people.
        protein_file: PDB file in the folder of the target.
        ligand_file: SDF file in the same folder.
        remark: What one has to know about the files, a sentence; usually empty.
    """

    name: str
    title: str
    protein_file: str
    ligand_file: str
    remark: str = ""

    @cached_property
    def ligands(self) -> dict[str, PosedLigand]:
        """The ligands by name, in the order of the file.

        Raises:
            MissingPackageError: The data is not there.
        """
        found: dict[str, PosedLigand] = {}
        for index, record in enumerate(blocks((self.folder / self.ligand_file).read_text(encoding="utf-8"), "sdf")):
            name = record.splitlines()[0].strip()
            found[name] = PosedLigand(name, index, _affinity(record))
        return found

    @property
    def folder(self) -> Path:
        """Where its files lie.

        Raises:
            MissingPackageError: The package or its data is not there.
        """
        spec = importlib.util.find_spec("openmmforcefields")
        root = Path(spec.origin).parent / "data" / "perses_jacs_systems" / self.name if spec and spec.origin else Path()
        if not (root / self.protein_file).exists():
            raise MissingPackageError(f"The {self.title} example needs the data of acellera-openmmforcefields. Install that package.")
        return root

    def ligand(self, name: str) -> Structure:
        """A ligand where it lies in the protein.

        Args:
            name: One of `ligands`.

        Raises:
            PluginError: The series has no such ligand; lists those that it has.
        """
        if name not in self.ligands:
            raise PluginError(f"{self.title} has no ligand '{name}'. Known: {', '.join(self.ligands)}.")
        structure = read(self.folder / self.ligand_file, index=self.ligands[name].index)
        return replace(structure, title=f"{self.title} ligand {name}")

    def protein(self, ph: float = 7.4, seed: int = 0) -> Structure:
        """The protein alone, without its water.

        Args:
            ph: Protonation of what the file leaves out.
            seed: Random seed of placed atoms.
        """
        structure = replace(read(self.folder / self.protein_file, ph=ph, seed=seed), title=self.title)
        return structure.with_notes(self.remark) if self.remark else structure

    def complex(self, name: str, ph: float = 7.4, seed: int = 0) -> Structure:
        """The protein with a ligand in it.

        Args:
            name: One of `ligands`.
            ph: Protonation of what the file of the protein leaves out.
            seed: Random seed of placed atoms.

        Raises:
            PluginError: The series has no such ligand.
        """
        ligand = self.ligand(name)
        protein = self.protein(ph, seed)
        return replace(protein.join(ligand), title=f"{self.title} with ligand {name}").with_notes(*_overlap(protein, ligand))


def _overlap(protein: Structure, ligand: Structure) -> list[str]:
    """A sentence about the two heavy atoms that are closest, if they are too close: some poses of the files are."""
    from scipy.spatial import cKDTree

    ours, theirs = (np.flatnonzero(part.numbers > 1) for part in (ligand, protein))
    distances, nearest = cKDTree(protein.positions[theirs]).query(ligand.positions[ours])
    closest = int(distances.argmin())
    if distances[closest] > OVERLAP:
        return []
    atom, other = int(ours[closest]), int(theirs[nearest[closest]])
    pair = f"{ligand.names[atom]} and {protein.names[other]} of {protein.residue_of(other)}"
    return [f"In this pose {pair} are only {distances[closest]:.2f} nm apart; minimise before you believe an energy."]


def _affinity(record: str) -> float | None:
    """The measured free energy of binding in an SDF record, kcal/mol; none if there is none."""
    lines = record.splitlines()
    place = next((number for number, line in enumerate(lines) if line.startswith(">") and f"<{AFFINITY}>" in line), None)
    if place is None or place + 1 >= len(lines):
        return None
    try:
        return float(lines[place + 1])
    except ValueError:
        return None


TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target("bace", "BACE1", "Bace_protein.pdb", "Bace_ligands_shifted.sdf", "The tartrate that lies beside the protein in the crystal was left out."),
        Target("cdk2", "CDK2", "CDK2_protein.pdb", "CDK2_ligands_shifted.sdf", "The kinase comes with its cyclin A."),
        Target("jnk1", "JNK1", "Jnk1_protein.pdb", "Jnk1_ligands.sdf"),
        Target("mcl1", "MCL1", "MCL1_protein.pdb", "MCL1_ligands.sdf"),
        Target("p38a", "p38 alpha", "p38_protein.pdb", "p38_ligands_shifted.sdf"),
        Target("ptp1b", "PTP1B", "PTP1B_protein.pdb", "PTP1B_ligands.sdf"),
        Target("thrombin", "Thrombin", "Thrombin_protein.pdb", "Thrombin_ligands.sdf"),
        Target("tyk2", "TYK2", "Tyk2_protein.pdb", "Tyk2_ligands_shifted.sdf"),
    )
}
"""By name."""


def target(name: str) -> Target:
    """A bundled target by name.

    Args:
        name: One of `TARGETS`.

    Raises:
        PluginError: No target has this name; lists those that exist.
    """
    if name not in TARGETS:
        raise PluginError(f"There is no bundled target '{name}'. Known: {', '.join(TARGETS)}.")
    return TARGETS[name]
