"""The door for files: is this a file that we can read at all, and who reads it?

Looks at names, sizes and bytes, and hands the text on; knows no chemistry.
"""

from pathlib import Path

from studio.errors import StorageError, StructureError
from studio.structure import Structure

MAX_MEGABYTES = 50.0
SDF_ENDINGS = (".sdf", ".mol")
PDB_ENDINGS = (".pdb", ".ent")
CIF_ENDINGS = (".cif", ".mmcif")


def read(
    path: str | Path,
    ligand_smiles: str | None = None,
    *,
    ph: float = 7.4,
    seed: int = 0,
    index: int | None = None,
    max_megabytes: float = MAX_MEGABYTES,
) -> Structure:
    """Read a molecule and repair what the file left out; `notes` of the result tells what was done.

    Args:
        path: SDF or molfile, PDB, mmCIF; recognised by the ending of its name.
        ligand_smiles: Bond orders of the small molecules in a PDB or mmCIF file; several are separated by dots.
        ph: The pH at which missing hydrogens of proteins are added.
        seed: Random seed of whatever is placed or embedded.
        index: Which record of an SDF file, counted from 0; left out, the first is taken and the others are noted.
        max_megabytes: Larger files are refused before they are read.

    Raises:
        StructureError: Empty, truncated, binary, too large, of unknown format, or chemically impossible.
        StorageError: There is no such file, or it may not be read.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending not in SDF_ENDINGS + PDB_ENDINGS + CIF_ENDINGS:
        known = " ".join(SDF_ENDINGS + PDB_ENDINGS + CIF_ENDINGS)
        raise StructureError(f"'{path.name}' ends in '{ending}', which is not a known format. Expected one of {known}.")
    text = _text_of(path, max_megabytes)
    if ending in SDF_ENDINGS:
        from studio.io.sdf import read_sdf

        return read_sdf(text, path.name, index, seed)
    from studio.io.pdb import read_macromolecule

    return read_macromolecule(text, path.name, "cif" if ending in CIF_ENDINGS else "pdb", ligand_smiles, ph=ph, seed=seed)


def _text_of(path: Path, max_megabytes: float) -> str:
    """The text of a file of decent size.

    Raises:
        StructureError: Empty, too large or binary.
        StorageError: Missing or not readable.
    """
    try:
        megabytes = path.stat().st_size / 1e6
        if megabytes > max_megabytes:
            raise StructureError(f"'{path.name}' has {megabytes:.0f} MB; expected at most {max_megabytes:g} MB. Keep only the molecules that you need.")
        data = path.read_bytes()
    except OSError as error:
        raise StorageError(f"'{path}' cannot be read: {error.strerror or error}. Check the name and the permissions.") from error
    if not data.strip():
        raise StructureError(f"'{path.name}' is empty. Expected a molecule.")
    if b"\0" in data:
        raise StructureError(f"'{path.name}' holds binary data, not text. Expected {path.suffix} as text; unpack the file if it is compressed.")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        # Old programs write remarks in Latin-1, which decodes anything; mostly unprintable text is not a remark.
        text = data.decode("latin-1")
        strange = sum(not (c.isprintable() or c.isspace()) for c in text[:4096])
        if strange > 0.05 * len(text[:4096]):
            raise StructureError(f"'{path.name}' holds binary data, not text. Expected {path.suffix} as text; unpack the file if it is compressed.") from None
        return text
