"""Rebuild: the programs that make heavy atoms from C-alphas, and how they are asked.

`cgback` runs as a process of its own: it ends the program when something is wrong, and seeds everybody's random numbers.
Knows beads and PDB text; must not know what is done with the atoms.
"""

import subprocess
import sys
import tempfile
import warnings
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from studio.coarse.residues import bead_of, standard
from studio.errors import MissingPackageError, StructureError, UnsupportedError
from studio.files import storage
from studio.io import to_pdb
from studio.structure import Floats, Structure
from studio.units import NM_PER_ANGSTROM

Heavy = dict[str, Floats]
"""Places of the heavy atoms of one residue by their names, nm."""
MOST = 9999
"""Residues that fit the columns of the file between the programs."""
MENDS = 30
"""Times that cgback builds residues anew that clash, thread rings or are mirrored: on impossible beads it would never end."""
PATIENCE = 300.0
"""Wall time after which building is given up, s."""


def by_cgback(beads: Structure) -> list[Heavy]:
    """Heavy atoms by a diffusion model; seconds for a peptide.

    Args:
        beads: One a residue.

    Raises:
        MissingPackageError: `cgback` is not installed.
        StructureError: It failed.
        UnsupportedError: Too many residues, or one that is none of the twenty.
    """
    _refuse(beads, "cgback")
    with tempfile.TemporaryDirectory(prefix="potential-studio-") as scratch:
        before, after = Path(scratch) / "beads.pdb", Path(scratch) / "atoms.pdb"
        with storage(before):
            before.write_text(_traces(beads), encoding="ascii")
        command = [sys.executable, "-m", "cgback.backmapper_app", str(before), "--output", str(after), "--fix-structure-max-iterations", str(MENDS)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        except subprocess.TimeoutExpired as problem:
            raise StructureError(f"Building atoms took longer than {PATIENCE / 60:.0f} minutes and was stopped. Choose pulchra.") from problem
        if done.returncode or not after.exists():
            said = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["nothing was said"]
            raise StructureError(f"cgback could not build atoms on these beads: {said[0]}. Let the beads move on a little, or choose pulchra.")
        built = _read(after.read_text(encoding="ascii"))
    if len(built) != len(beads):
        raise StructureError(f"cgback built {len(built)} residues for {len(beads)} beads. Choose pulchra.")
    return built


def by_pulchra(beads: Structure) -> list[Heavy]:
    """Heavy atoms by rotamer statistics: a preview within a second, with rougher backbones.

    Args:
        beads: One a residue.

    Raises:
        MissingPackageError: `pulchra` is not installed.
        UnsupportedError: Too many residues, a piece of less than two, or a residue that is none of the twenty.
    """
    _refuse(beads, "pulchra")
    from pulchra import Pulchra

    found: dict[int, Heavy] = {}
    for piece in beads.molecules:
        letters = "".join(bead_of(beads.residues[bead].name).letter for bead in piece.tolist())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of straight pieces, whose turn about themselves is free
            molecule = Pulchra().reconstruct_coords(beads.positions[piece] / NM_PER_ANGSTROM, letters)
        for bead, residue in zip(piece.tolist(), molecule.residues, strict=True):
            found[bead] = {atom.name.strip(): np.asarray(atom.coords) * NM_PER_ANGSTROM for atom in residue.atoms}
    return [found[bead] for bead in range(len(beads))]


def _refuse(beads: Structure, program: str) -> None:
    if find_spec(program) is None:
        raise MissingPackageError(f"Building atoms on beads needs the package {program}. Install it: pip install {program}")
    if len(beads) > MOST:
        raise UnsupportedError(f"Atoms are built for up to {MOST:,} residues; these are {len(beads):,}. Go back in smaller pieces.")
    for residue in beads.residues:
        bead_of(residue.name)


def _traces(beads: Structure) -> str:
    """PDB text of the beads, numbered anew; pieces that are not bonded end in TER."""
    plain = tuple(replace(residue, name=standard(residue.name), number=str(row + 1), chain="A") for row, residue in enumerate(beads.residues))
    lines = [line for line in to_pdb(replace(beads, residues=plain, box=None, title="")).splitlines() if line.startswith("ATOM")]
    ends = {int(piece[-1]) for piece in beads.molecules}
    return "".join(f"{line}\n{'TER' + chr(10) if bead in ends else ''}" for bead, line in enumerate(lines)) + "END\n"


def _read(text: str) -> list[Heavy]:
    """Residue by residue the atoms of PDB text."""
    built: list[Heavy] = []
    last = ""
    for line in text.splitlines():
        if line.startswith("ATOM"):
            if line[21:27] != last:
                built.append({})
                last = line[21:27]
            built[-1][line[12:16].strip()] = np.array([float(line[k : k + 8]) for k in (30, 38, 46)]) * NM_PER_ANGSTROM
        elif line.startswith("TER"):
            last = ""
    return built
