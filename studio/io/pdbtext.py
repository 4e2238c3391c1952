"""PDB text before anyone parses it: one model, one location for each atom, no line cut short.

Knows the columns of the format; must not know chemistry.
"""

from collections import defaultdict

from studio.errors import StructureError

COORDINATES_END = 54


def clean_pdb(text: str, name: str) -> tuple[str, list[str]]:
    """The first model with one location of each atom, and sentences about what was left out.

    Of alternate locations the one with the highest occupancy (summed over the residue) stays, the first of equals.

    Args:
        text: The file.
        name: Its name, for sentences.

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
    chosen, residues = _best_locations(atoms)
    if residues:
        notes.append(f"{residues} residue{'s have' if residues > 1 else ' has'} alternate locations; the one with the highest occupancy was kept.")
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


def _best_locations(atoms: list[str]) -> tuple[dict[str, str], int]:
    """For each residue (columns 22 to 27) with alternate locations the letter to keep, and how many such residues there are."""
    weights: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for line in atoms:
        if line[16] != " ":
            weights[line[21:27]][line[16]] += _occupancy(line)
    chosen = {residue: max(sorted(letters), key=letters.__getitem__) for residue, letters in weights.items()}
    return chosen, sum(len(letters) > 1 for letters in weights.values())


def _occupancy(line: str) -> float:
    """Columns 55 to 60, or 1 where a program left them empty."""
    try:
        return float(line[54:60])
    except ValueError:
        return 1.0
