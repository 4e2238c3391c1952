"""Small molecules: Sage parameters (OpenFF) with AM1-BCC charges from a graph network (NAGL).

Knows the OpenFF toolkit, imported only when a molecule is there; must not know proteins.
Sage: Boothroyd et al. 2023, 10.1021/acs.jctc.3c00039; AM1-BCC: Jakalian et al. 2002, 10.1002/jcc.10128.
"""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from studio.errors import UnsupportedError
from studio.structure import Structure

if TYPE_CHECKING:
    from openff.nagl import GNNModel
    from openff.toolkit import Molecule

CHARGE_MODEL = "openff-gnn-am1bcc-1.0.0.pt"
CHARGE_READOUT = "am1bcc_charges"
ELEMENTS = {"H": 1, "C": 6, "N": 7, "O": 8, "F": 9, "P": 15, "S": 16, "Cl": 17, "Br": 35, "I": 53}
CHARGE_TOLERANCE = 1e-3

logger = logging.getLogger(__name__)


def check_ligand(ligand: Structure) -> None:
    """Refuse what Sage and the charge network were not made for, before either loads.

    Args:
        ligand: One small molecule.

    Raises:
        UnsupportedError: A foreign element, or an odd number of electrons.
    """
    foreign = np.flatnonzero(~np.isin(ligand.numbers, list(ELEMENTS.values())))
    if foreign.size:
        from rdkit.Chem import GetPeriodicTable

        symbols = sorted({GetPeriodicTable().GetElementSymbol(int(ligand.numbers[i])) for i in foreign})
        raise UnsupportedError(
            f"The force field for small molecules (OpenFF Sage) has no parameters for {', '.join(symbols)} (first: {ligand.label(int(foreign[0]))}). "
            f"It knows {' '.join(ELEMENTS)}."
        )
    electrons = int(ligand.numbers.sum()) - ligand.charge
    radicals = sum(atom.GetNumRadicalElectrons() for atom in ligand.to_rdkit().GetAtoms())
    if electrons % 2 or radicals:
        raise UnsupportedError(
            f"{ligand.residues[0]} has unpaired electrons ({electrons} electrons, {radicals} of them drawn as radical); the force field for small "
            "molecules describes closed shells only. Complete the valences (is a hydrogen missing?), or use a network potential without MM."
        )


def template_generator(ligands: list[Structure], name: str) -> Callable[[object, object], bool]:
    """A template generator for `openmm.app.ForceField` that knows these molecules.

    Args:
        ligands: Small molecules, one bonded molecule each.
        name: The force field, for example `openff-2.2.1`.

    Raises:
        UnsupportedError: A molecule outside the force field.
    """
    for ligand in ligands:
        check_ligand(ligand)
    with quiet_openff():
        from openmmforcefields.generators import SMIRNOFFTemplateGenerator

        generator: Callable[[object, object], bool] = SMIRNOFFTemplateGenerator(molecules=[_charged(ligand) for ligand in ligands], forcefield=name).generator
        return generator


def _charged(ligand: Structure) -> "Molecule":
    """OpenFF's molecule with partial charges that sum to the formal charge.

    Raises:
        UnsupportedError: The network does not know the molecule, or its charges do not add up.
    """
    from openff.toolkit import Molecule
    from openff.toolkit.utils.exceptions import OpenFFToolkitException
    from openff.units import unit

    try:
        molecule = Molecule.from_rdkit(ligand.to_rdkit(), allow_undefined_stereo=True, hydrogens_are_explicit=True)
        charges = np.asarray(
            _charge_model().compute_property(molecule, as_numpy=True, readout_name=CHARGE_READOUT, check_domains=True, error_if_unsupported=True),
            dtype=np.float64,
        )
    except (OpenFFToolkitException, ValueError) as error:
        raise UnsupportedError(f"{ligand.residues[0]} got no partial charges from {CHARGE_MODEL}: {error}") from error
    surplus = float(charges.sum()) - ligand.charge
    if not abs(surplus) < CHARGE_TOLERANCE:
        raise UnsupportedError(f"The partial charges of {ligand.residues[0]} miss its charge of {ligand.charge:+d} by {surplus:.4f}. Check its formal charges.")
    molecule.partial_charges = (charges - surplus / len(charges)) * unit.elementary_charge
    return molecule


@cache
def _charge_model() -> "GNNModel":
    """The charge network; building it takes a second, a molecule takes milliseconds."""
    from openff.nagl import GNNModel
    from openff.nagl_models import get_model

    return GNNModel.load(get_model(CHARGE_MODEL), eval_mode=True)


@contextmanager
def quiet_openff() -> Iterator[None]:
    """Keep what OpenFF and its dependencies warn about at import and while they assign parameters off the user's screen."""
    noisy = [logging.getLogger(name) for name in ("openff", "openmmforcefields", "lightning", "pytorch_lightning")]
    levels = [log.level for log in noisy]
    for log in noisy:
        log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # Deprecations inside OpenFF, pint, torch and lightning; nothing that a user could act on.
            warnings.simplefilter("ignore")
            yield
    finally:
        for log, level in zip(noisy, levels, strict=True):
            log.setLevel(level)
