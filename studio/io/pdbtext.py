"""PDB text before anyone parses it: one model, one location for each atom, no line cut short.

Knows the columns of the format; must not know chemistry.
"""

from collections import defaultdict

from studio.errors import StructureError
from studio.io.repairs import Note

COORDINATES_END = 54


def clean_pdb(text: str, name: str, location: str = "") -> tuple[str, list[str]]:
    """The first model with one location of each atom, and sentences about what was left out.

    Of alternate locations the one with the highest occupancy (summed over the residue) stays, the first of equals.

    Args:
        text: The file.
        name: Its name, for sentences.
        location: Letter of the location to take where a residue has it, whatever the occupancy.

    Raises:
        StructureError: No atoms, or a line that ends before its coordinates.
    """
    lines, notes = _first_model(text.splitlines(), name)
    atoms = [line for line in lines if _is_atom(line)]
    if not atoms:
        raise StructureError(f"'{name}' has no ATOM or HETATM records. Expected a PDB file.")
    short = next((i for i, line in enumerate(lines) if _is_atom(line) and len(line.rstrip()) < COORDINATES_END), None)
    if short is not None:
        raise StructureError(f"'{name}' is truncated: '{lines[short].strip()[:30]}' ends before its coordinates. Save or download the file again.")
    chosen, split = _best_locations(atoms, location)
    notes += _told_locations(chosen, split, location)
    kept = (line for line in lines if not _is_atom(line) or line[16] in (" ", chosen.get(line[21:27], " ")))
    return "\n".join(line[:16] + " " + line[17:] if _is_atom(line) else line for line in kept) + "\n", notes


def _is_atom(line: str) -> bool:
    return line.startswith(("ATOM  ", "HETATM"))


def _first_model(lines: list[str], name: str) -> tuple[list[str], list[str]]:
    """Lines of the first model and of what stands outside of models."""
    models = sum(line.startswith("MODEL ") for line in lines)
    if models < 2:
        return lines, []
    kept, model = [], 0
    for line in lines:
        model += line.startswith("MODEL ")
        outside = not line.startswith(("ATOM  ", "HETATM", "ANISOU", "TER", "MODEL ", "ENDMDL"))
        if model < 2 or outside:
            kept.append(line)
    return kept, [f"'{name}' holds {models} models; the first was taken."]


def _told_locations(chosen: dict[str, str], split: dict[str, set[str]], location: str) -> list[str]:
    """A sentence about residues with several locations, with a way to take the others."""
    if not split:
        return []
    some = f"{len(split)} residue{'s have' if len(split) > 1 else ' has'} alternate locations; "
    if location:
        return [Note(f"{some}location {location} was taken where there is one, as you asked.", ("location", ""))]
    others = sorted(set().union(*(letters - {chosen[residue]} for residue, letters in split.items())))
    return [Note(f"{some}the one with the highest occupancy was kept.", ("location", others[0]))]


def _best_locations(atoms: list[str], location: str) -> tuple[dict[str, str], dict[str, set[str]]]:
    """For each residue (columns 22 to 27) with alternate locations the letter to keep, and the letters of those that have several."""
    weights: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for line in atoms:
        if line[16] != " ":
            weights[line[21:27]][line[16]] += _occupancy(line)
    chosen = {residue: location if location in letters else max(sorted(letters), key=letters.__getitem__) for residue, letters in weights.items()}
    return chosen, {residue: set(letters) for residue, letters in weights.items() if len(letters) > 1}


def _occupancy(line: str) -> float:
    """Columns 55 to 60, or 1 where a program left them empty."""
    try:
        return float(line[54:60])
    except ValueError:
        return 1.0
