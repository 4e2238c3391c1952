"""Texts of small molecule files for tests, made from a bundled peptide: dialanine, and whatever is done to it."""

import re
from pathlib import Path

import studio

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
