"""Glance: what a name or a SMILES is, while it is being typed - and what a chemist would want to be told about it.

Knows the table of names and RDKit; builds nothing.
"""

from dataclasses import dataclass

from studio import chem
from studio.io.names import molecules, smiles_of
from studio.io.variants import advice, stereo_isomers, tautomers

SHOWN_TAUTOMERS = 8
SHOWN_NAMES = 4


@dataclass(frozen=True)
class Glance:
    """A molecule at a glance.

    Args:
        title: The name that was typed, or the SMILES.
        smiles: As SMILES.
        formula: Sum formula, in Hill's order, with its charge.
        charge: Formal charge, e.
        heavy_atoms: How many atoms other than hydrogen.
        atoms: How many atoms in all.
        notes: What a chemist would want to be told.
        isomers: The stereo isomers that are left open, at least two; none where nothing is.
        tautomers: Others, the one that RDKit ranks first at the front; none where it ranks this one first.
    """

    title: str
    smiles: str
    formula: str
    charge: int
    heavy_atoms: int
    atoms: int
    notes: tuple[str, ...] = ()
    isomers: tuple[str, ...] = ()
    tautomers: tuple[str, ...] = ()


def glance(text: str, ph: float = 7.4) -> Glance:
    """What `text` is; takes up to some seconds for large molecules with many tautomers.

    Args:
        text: A name of the table, or a SMILES.
        ph: For what is said about protonation.

    Raises:
        StructureError: Neither a known name nor a SMILES.
    """
    from rdkit import Chem
    from rdkit.Chem.rdMolDescriptors import CalcMolFormula

    text = text.strip()
    smiles = smiles_of(text)
    mol = chem.parse_smiles(smiles)
    return Glance(
        text,
        smiles,
        CalcMolFormula(mol),
        Chem.GetFormalCharge(mol),
        mol.GetNumHeavyAtoms(),
        mol.GetNumAtoms(),
        tuple(advice(mol, ph)),
        _open_isomers(smiles),
        _better_tautomers(smiles),
    )


def _open_isomers(smiles: str) -> tuple[str, ...]:
    isomers = stereo_isomers(smiles)
    return tuple(isomers) if len(isomers) > 1 else ()


def _better_tautomers(smiles: str) -> tuple[str, ...]:
    """The tautomers, if RDKit does not rank the one drawn first."""
    from rdkit import Chem

    found = tautomers(smiles)
    drawn, best = (Chem.MolToSmiles(Chem.RemoveHs(chem.parse_smiles(each)), isomericSmiles=False) for each in (smiles, found[0]))
    return () if best == drawn else tuple(found[:SHOWN_TAUTOMERS])


def completions(text: str) -> tuple[str, ...]:
    """Names of the table that begin with `text`, one a molecule and at most four; none before two letters, and none for a whole name.

    Args:
        text: As typed so far.
    """
    begun = text.strip().lower()
    words = [next((word for word in (known.name, *known.synonyms) if word.lower().startswith(begun)), "") for known in molecules()]
    return () if len(begun) < 2 or begun in (word.lower() for word in words) else tuple(filter(None, words))[:SHOWN_NAMES]
