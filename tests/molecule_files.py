"""Texts of small molecule files for tests, made from a bundled peptide: dialanine, and whatever is done to it."""

import re
from pathlib import Path

import studio
from studio.structure import Structure

PEPTIDE = (Path(studio.__file__).parent / "data" / "alanine-dipeptide.pdb").read_text()
"""ACE-ALA-NME with all hydrogens."""


def without(text: str, pattern: str) -> str:
    """`text` less the lines that match."""
    return "".join(line for line in text.splitlines(keepends=True) if not re.search(pattern, line))


def atom(name: str, residue: str, number: str, place: tuple[float, float, float], *, chain: str = "A", record: str = "HETATM", serial: int = 1) -> str:
    """One PDB line; `number` may end in an insertion code, a place is in angstrom."""
    digits = number.rstrip("ABCDEFGH")
    x, y, z = place
    element = re.sub(r"\d", "", name)[:1] if len(residue) != 2 else residue
    code = number[len(digits) :] or " "
    return f"{record:<6s}{serial:5d}  {name:<3s} {residue:>3s} {chain}{digits:>4s}{code}   {x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00          {element:>2s}\n"


SYBYL = {("C", "SP3"): "C.3", ("C", "SP2"): "C.2", ("C", "SP"): "C.1", ("N", "SP3"): "N.3", ("N", "SP2"): "N.2", ("O", "SP3"): "O.3", ("O", "SP2"): "O.2"}
"""Atom types of MOL2 files that are not aromatic."""


def mol2(structure: Structure, name: str) -> str:
    """One MOL2 record with Corina's atom types; for molecules of H, C, N, O and halogens without charges."""
    mol = structure.to_rdkit()
    lines = ["@<TRIPOS>MOLECULE", name, f"{mol.GetNumAtoms()} {mol.GetNumBonds()} 1 0 0", "SMALL", "NO_CHARGES", "", "@<TRIPOS>ATOM"]
    for each, (x, y, z) in zip(mol.GetAtoms(), (structure.positions * 10).tolist(), strict=True):
        plain = SYBYL.get((each.GetSymbol(), str(each.GetHybridization())), each.GetSymbol())
        plain = "N.am" if each.GetSymbol() == "N" and each.GetDegree() == 3 and plain == "N.2" else plain
        kind = f"{each.GetSymbol()}.ar" if each.GetIsAromatic() else plain
        lines.append(f"{each.GetIdx() + 1:7d} {each.GetSymbol()}{each.GetIdx() + 1:<5d} {x:9.4f} {y:9.4f} {z:9.4f} {kind:<6s} 1 LIG 0.0")
    lines.append("@<TRIPOS>BOND")
    for bond in mol.GetBonds():
        order = "ar" if bond.GetIsAromatic() else str(int(bond.GetBondTypeAsDouble()))
        lines.append(f"{bond.GetIdx() + 1:6d} {bond.GetBeginAtomIdx() + 1:5d} {bond.GetEndAtomIdx() + 1:5d} {order}")
    return "\n".join(lines) + "\n"


def sdf(structure: Structure, name: str) -> str:
    """One SDF record."""
    from rdkit import Chem

    mol = structure.to_rdkit()
    mol.SetProp("_Name", name)
    return f"{Chem.MolToMolBlock(mol)}$$$$\n"
