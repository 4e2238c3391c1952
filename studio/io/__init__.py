"""Files: what people bring (SDF, MOL2, PDB, mmCIF) becomes a `Structure`, and a `Structure` becomes what viewers and disks take.

Knows file formats and how to repair what they leave out; must not know force fields, potentials or simulations.
"""

from studio.io.files import MAX_MEGABYTES, contents, read
from studio.io.store import load, save
from studio.io.write import to_pdb

__all__ = ["MAX_MEGABYTES", "contents", "load", "read", "save", "to_pdb"]
