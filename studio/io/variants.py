"""Variants of a small molecule: stereo isomers, tautomers, and what a chemist would want to be told about the one drawn.

Speaks RDKit molecules and sentences; must not know files.
"""

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from studio import chem
from studio.errors import StructureError
from studio.io.protonation import at_ph
from studio.io.repairs import Note

if TYPE_CHECKING:
    from rdkit.Chem import Mol, StereoInfo
    from rdkit.Chem.MolStandardize.rdMolStandardize import TautomerEnumerator

MAX_VARIANTS = 32
MAX_HEAVY = 70
"""Larger molecules are not looked through for tautomers: their number explodes."""
MAX_TRANSFORMS = 200
USUAL_CHARGE = 2


def stereo_isomers(smiles: str) -> list[str]:
    """The stereo isomers that a SMILES leaves open, as canonical SMILES; just itself where it leaves nothing open.

    Args:
        smiles: One molecule; stereo marks that are there stay. At most 32 isomers are given.

    Raises:
        StructureError: Not a SMILES.
    """
    from rdkit import Chem
    from rdkit.Chem.EnumerateStereoisomers import EnumerateStereoisomers, StereoEnumerationOptions

    options = StereoEnumerationOptions(unique=True, maxIsomers=MAX_VARIANTS, onlyUnassigned=True)
    isomers: Iterator[Mol] = iter(EnumerateStereoisomers(Chem.RemoveHs(chem.parse_smiles(smiles)), options=options))
    return sorted(Chem.MolToSmiles(isomer) for isomer in islice(isomers, MAX_VARIANTS))


def tautomers(smiles: str) -> list[str]:
    """Tautomers of a molecule as canonical SMILES, the one that RDKit ranks first at the front; at most 32.

    Args:
        smiles: One molecule of at most 70 heavy atoms; of larger ones only itself is given.

    Raises:
        StructureError: Not a SMILES.
    """
    from rdkit import Chem, rdBase

    mol = Chem.RemoveHs(chem.parse_smiles(smiles))
    if mol.GetNumHeavyAtoms() > MAX_HEAVY:
        return [Chem.MolToSmiles(mol)]
    enumerator = _enumerator()
    with rdBase.BlockLogs():
        found = enumerator.Enumerate(mol)
        best = Chem.MolToSmiles(enumerator.PickCanonical(found))
    others = sorted({Chem.MolToSmiles(one) for one in found} - {best})
    return [best, *others][:MAX_VARIANTS]


def _enumerator() -> "TautomerEnumerator":
    """RDKit's enumerator, limited."""
    from rdkit.Chem.MolStandardize import rdMolStandardize

    enumerator = rdMolStandardize.TautomerEnumerator()
    enumerator.SetMaxTautomers(MAX_TRANSFORMS)
    enumerator.SetMaxTransforms(MAX_TRANSFORMS)
    return enumerator


def open_stereo(drawn: "Mol", shaped: "Mol") -> list[str]:
    """Sentences about stereo centres and double bonds that a drawing leaves open, and which form the shape has.

    Args:
        drawn: As it came.
        shaped: The same atoms in the same order with a shape.
    """
    from rdkit import Chem

    notes = []
    drawn, built = Chem.Mol(drawn), Chem.Mol(shaped)
    for bond in built.GetBonds():
        # What was drawn as "either way" would stay so whatever the shape.
        if bond.GetStereo() == Chem.BondStereo.STEREOANY:
            bond.SetStereo(Chem.BondStereo.STEREONONE)
    Chem.AssignStereochemistryFrom3D(built)
    for mol in (drawn, built):
        Chem.AssignStereochemistry(mol, cleanIt=True, force=True)
    for found in Chem.FindPotentialStereo(drawn, cleanIt=False):
        if found.specified == Chem.StereoSpecified.Specified or not _matters(found, drawn):
            continue
        if found.type == Chem.StereoType.Atom_Tetrahedral:
            atom = built.GetAtomWithIdx(found.centeredOn)
            if atom.HasProp("_CIPCode"):
                notes.append(f"The drawing leaves stereo centre {atom.GetSymbol()}{found.centeredOn + 1} open; {atom.GetProp('_CIPCode')} was taken.")
        elif found.type == Chem.StereoType.Bond_Double:
            bond = built.GetBondWithIdx(found.centeredOn)
            ends = f"{bond.GetBeginAtom().GetSymbol()}{bond.GetBeginAtomIdx() + 1}={bond.GetEndAtom().GetSymbol()}{bond.GetEndAtomIdx() + 1}"
            form = str(bond.GetStereo()).removeprefix("STEREO")
            notes.append(f"The drawing leaves double bond {ends} open; {form} was taken.")
    return [Note(note, why="Choose the other form among the stereo isomers, and draw that.") for note in notes]


def _matters(found: "StereoInfo", drawn: "Mol") -> bool:
    """False for centres that hydrogens moving about undo: phosphorus, and imines with a hydrogen on nitrogen."""
    from rdkit import Chem

    if found.type != Chem.StereoType.Bond_Double:
        return bool(drawn.GetAtomWithIdx(found.centeredOn).GetAtomicNum() != 15)
    bond = drawn.GetBondWithIdx(found.centeredOn)
    return not any(end.GetAtomicNum() == 7 and end.GetTotalNumHs(includeNeighbors=True) for end in (bond.GetBeginAtom(), bond.GetEndAtom()))


def advice(mol: "Mol", ph: float) -> list[str]:
    """What a chemist would want to be told about a molecule that is taken as it was drawn.

    Args:
        mol: Sanitized, hydrogens explicit.
        ph: Typical protonation states are those at this pH.
    """
    notes = _electronic(mol)
    try:
        _, changes = at_ph(mol, ph)
    except StructureError:
        changes = []
    if changes:
        told = " ".join(changes)
        notes.append(Note(f"The charges are those drawn; the typical state is another. {told}", ("protonation", "at_ph")))
    return notes + _other_tautomer(mol)


def _electronic(mol: "Mol") -> list[str]:
    """Sentences about unpaired electrons and large charges."""
    from rdkit import Chem

    notes: list[str] = []
    why = "It is what was drawn; draw another molecule if you did not mean it."
    radicals = sum(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms())
    charges = [Chem.GetFormalCharge(fragment) for fragment in Chem.GetMolFrags(mol, asMols=True, sanitizeFrags=False)]
    if radicals:
        notes.append(Note(f"The molecule has {radicals} unpaired electron{'s' * (radicals > 1)}; force fields know closed shells only.", why=why))
    if any(abs(charge) > USUAL_CHARGE for charge in charges):
        notes.append(Note(f"The molecule has the unusual charge {max(charges, key=abs):+d}.", why=why))
    return notes


def _other_tautomer(mol: "Mol") -> list[str]:
    """A sentence if RDKit ranks another tautomer first."""
    from rdkit import Chem

    heavy = Chem.RemoveHs(mol)
    if heavy.GetNumHeavyAtoms() > MAX_HEAVY or len(Chem.GetMolFrags(heavy)) > 1:
        return []
    drawn = Chem.MolToSmiles(heavy, isomericSmiles=False)
    best = Chem.MolFromSmiles(tautomers(drawn)[0])
    if best is None or Chem.MolToSmiles(best, isomericSmiles=False) == drawn:
        return []
    why = "Choose another tautomer, and draw that."
    return [Note(f"RDKit ranks another tautomer first: {Chem.MolToSmiles(best)}. The one drawn was taken.", why=why)]
