"""Parts: the atoms of a system that become beads, and beads put where they are now.

Knows structures and mappings; must not know a model.
"""

from collections.abc import Callable

import numpy as np

from studio.errors import StructureError
from studio.region import Region, Whole
from studio.structure import Structure


def chosen(structure: Structure, region: Region) -> Structure:
    """Whole residues of a region; the notes say what is left out.

    Args:
        structure: Prepared atoms, or beads.
        region: Of what becomes beads.

    Raises:
        RegionError: It is empty.
    """
    atoms = Whole(of=region).select(structure)
    left = len(structure) - len(atoms)
    part = structure.take(atoms)
    return part.with_notes(f"{left:,} atoms around {region} were left out: beads stand for amino acids only.") if left else part


def placed(beads: Structure, now: Structure, seen: Callable[[Structure], Structure]) -> Structure:
    """The beads at their present positions.

    Args:
        beads: As prepared.
        now: The same beads, or what they are made from, at present positions.
        seen: Makes beads of the latter.

    Raises:
        StructureError: They are other residues.
    """
    there = now if now.is_beads and now.residues == beads.residues and now.names == beads.names else seen(now)
    if there.residues != beads.residues or there.names != beads.names:
        raise StructureError("The start holds other residues than the prepared structure. Start from the prepared structure.")
    return beads.with_positions(np.asarray(there.positions))
