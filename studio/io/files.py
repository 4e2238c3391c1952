"""The door for files: is this a file that we can read at all, and who reads it?

Looks at names, sizes and bytes, and hands the text on; knows no chemistry.
"""

import gzip
import zlib
from pathlib import Path

from studio.errors import StorageError, StructureError
from studio.io.records import Layout, Record, listed
from studio.io.repairs import Repairs
from studio.structure import Structure

MAX_MEGABYTES = 50.0
SDF_ENDINGS = (".sdf", ".mol")
MOL2_ENDINGS = (".mol2",)
SMALL_ENDINGS = SDF_ENDINGS + MOL2_ENDINGS
"""Files of small molecules, one or many."""
PDB_ENDINGS = (".pdb", ".ent")
CIF_ENDINGS = (".cif", ".mmcif")
PACKED = ".gz"
"""May follow any of the others."""
USUAL = Repairs()


def ending_of(name: str) -> str:
    """The ending that tells the format, lower case, `.gz` taken off.

    Args:
        name: Of a file.
    """
    return Path(name.lower().removesuffix(PACKED)).suffix


def read(
    path: str | Path,
    ligand_smiles: str | None = None,
    *,
    ph: float = 7.4,
    seed: int = 0,
    index: int | None = None,
    repairs: Repairs = USUAL,
    protonate: bool = False,
    max_megabytes: float = MAX_MEGABYTES,
) -> Structure:
    """Read a molecule and repair what the file left out; `notes` of the result tells what was done.

    Args:
        path: SDF or molfile, MOL2, PDB, mmCIF, each also packed with gzip; recognised by the ending of its name.
        ligand_smiles: Bond orders of the small molecules in a PDB or mmCIF file; several are separated by dots.
        ph: The pH at which missing hydrogens of proteins are added.
        seed: Random seed of whatever is placed or embedded.
        index: Which record of an SDF or MOL2 file, counted from 0; left out, the first is taken and the others are noted.
        repairs: What to leave out of a PDB or mmCIF file, and which of several choices to take.
        protonate: Give small molecules their typical protonation at this pH instead of the drawn one.
        max_megabytes: Larger files are refused before they are read.

    Raises:
        StructureError: Empty, truncated, binary, too large, of unknown format, or chemically impossible.
        StorageError: There is no such file, or it may not be read.
    """
    path = Path(path)
    ending = known_ending(path, SMALL_ENDINGS + PDB_ENDINGS + CIF_ENDINGS)
    text = _text_of(path, max_megabytes)
    if ending in SMALL_ENDINGS:
        structure = _read_small(text, path.name, ending, index, seed)
        return _protonated(structure, ph) if protonate else structure
    from studio.io.pdb import read_macromolecule

    layout = "cif" if ending in CIF_ENDINGS else "pdb"
    return read_macromolecule(text, path.name, layout, ligand_smiles, ph=ph, seed=seed, repairs=repairs, protonate=protonate)


def contents(path: str | Path, max_megabytes: float = MAX_MEGABYTES) -> tuple[Record, ...]:
    """What molecules an SDF or MOL2 file holds, in order, so that one can be chosen; unusable ones say why.

    Args:
        path: The file.
        max_megabytes: Larger files are refused before they are read.

    Raises:
        StructureError: Empty, binary, too large, too many molecules, or another format.
        StorageError: There is no such file, or it may not be read.
    """
    path = Path(path)
    layout: Layout = "mol2" if known_ending(path, SMALL_ENDINGS) in MOL2_ENDINGS else "sdf"
    return listed(_text_of(path, max_megabytes), path.name, layout)


def known_ending(path: Path, known: tuple[str, ...]) -> str:
    """The ending of a file's name.

    Args:
        path: The file.
        known: Endings that are read.

    Raises:
        StructureError: Not one of those.
    """
    ending = ending_of(path.name)
    if not ending:
        wanted = f"Expected a name and one of {' '.join(known)}"
        raise StructureError(f"'{path.name}' is not a name with an ending that tells the format. {wanted}; rename it, for example to molecule{known[0]}.")
    if ending not in known:
        raise StructureError(f"'{path.name}' ends in '{ending}', which is not a known format. Expected one of {' '.join(known)}, or one of them with {PACKED}.")
    return ending


def _read_small(text: str, name: str, ending: str, index: int | None, seed: int) -> Structure:
    """One record of a file of small molecules."""
    from studio.io.mol2 import read_mol2
    from studio.io.sdf import read_sdf

    return (read_mol2 if ending in MOL2_ENDINGS else read_sdf)(text, name, index, seed)


def _protonated(structure: Structure, ph: float) -> Structure:
    from studio.io.protonation import protonated

    return protonated(structure, ph)


def _text_of(path: Path, max_megabytes: float) -> str:
    """The text of a file of decent size.

    Raises:
        StructureError: Empty, too large or binary.
        StorageError: Missing or not readable.
    """
    data = _bytes_of(path, max_megabytes)
    if not data.strip():
        raise StructureError(f"'{path.name}' is empty. Expected a molecule.")
    binary = f"'{path.name}' holds binary data, not text. Expected {path.suffix} as text; unpack the file if it is compressed."
    if b"\0" in data:
        raise StructureError(binary)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        # Old programs write remarks in Latin-1, which decodes anything; mostly unprintable text is not a remark.
        text = data.decode("latin-1")
        strange = sum(not (c.isprintable() or c.isspace()) for c in text[:4096])
        if strange > 0.05 * len(text[:4096]):
            raise StructureError(binary) from None
        return text


def _bytes_of(path: Path, max_megabytes: float) -> bytes:
    """The bytes of a file, unpacked.

    Raises:
        StructureError: Too large, or damaged where it is packed.
        StorageError: Missing or not readable.
    """
    limit = int(max_megabytes * 1e6)
    try:
        megabytes = path.stat().st_size / 1e6
        if megabytes > max_megabytes:
            raise StructureError(f"'{path.name}' has {megabytes:.0f} MB; expected at most {max_megabytes:g} MB. Keep only the molecules that you need.")
        if not path.name.lower().endswith(PACKED):
            return path.read_bytes()
        with gzip.open(path) as packed:
            # One byte beyond the limit tells that there is more, without unpacking it.
            data = packed.read(limit + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise StructureError(f"'{path.name}' is damaged or not packed with gzip ({error}). Save or download it again.") from error
    except OSError as error:
        raise StorageError(f"'{path}' cannot be read: {error.strerror or error}. Check the name and the permissions.") from error
    if len(data) > limit:
        raise StructureError(f"'{path.name}' unpacks to more than {max_megabytes:g} MB. Keep only the molecules that you need.")
    return data
