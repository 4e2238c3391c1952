"""Molecules that come with the program or with the packages that it needs.

Knows where they lie; must not know what is done with them.
"""

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from studio.errors import MissingPackageError
from studio.io.files import read
from studio.structure import Structure


def _alanine_dipeptide() -> Structure:
    """ACE-ALA-NME, embedded once with RDKit."""
    return replace(read(Path(__file__).parents[1] / "data" / "alanine-dipeptide.pdb"), title="alanine dipeptide")


def _tyk2_folder() -> Path:
    """Where openmmforcefields keeps TYK2 and its ligands (Wang et al. 2015, 10.1021/ja512751q); found without importing it.

    Raises:
        MissingPackageError: The package or its data is not there.
    """
    spec = importlib.util.find_spec("openmmforcefields")
    root = Path(spec.origin).parent / "data" / "perses_jacs_systems" / "tyk2" if spec and spec.origin else Path()
    if not (root / "Tyk2_protein.pdb").exists():
        raise MissingPackageError("The TYK2 example needs the data of acellera-openmmforcefields. Install that package.")
    return root


def _tyk2_ligand() -> Structure:
    """The ligand ejm_31."""
    return replace(read(_tyk2_folder() / "Tyk2_ligands_shifted.sdf", index=0), title="TYK2 ligand ejm_31")


def _tyk2_complex() -> Structure:
    """TYK2 with the ligand ejm_31."""
    return replace(read(_tyk2_folder() / "Tyk2_protein.pdb").join(_tyk2_ligand()), title="TYK2 with ligand ejm_31")


MOLECULES: dict[str, Callable[[], Structure]] = {"alanine-dipeptide": _alanine_dipeptide, "tyk2-ligand": _tyk2_ligand, "tyk2-complex": _tyk2_complex}
"""How to make each molecule, by name."""
