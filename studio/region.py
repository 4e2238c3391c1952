"""Region: which atoms, as a value - hashable, JSON, with set algebra (`|`, `&`, `-`).

A region is a sentence about any structure ("the ligand and what lies within 0.4 nm"); `select` turns it into indices of
one structure. It knows structures and must not know potentials or simulations.
"""

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SerializeAsAny

from studio.errors import RegionError
from studio.structure import CAP_NAMES, Flags, Integers, Structure
from studio.units import Nanometer

BACKBONE_NAMES = frozenset({"N", "H", "HN", "H1", "H2", "H3", "CA", "HA", "HA2", "HA3", "C", "O", "OXT", "HXT"})
"""Names of the backbone atoms of amino acids."""


class Region(BaseModel):
    """Parent of all selections; frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def mask(self, structure: Structure) -> Flags:
        """True for the atoms in the region, (n,); may be all false.

        Args:
            structure: Where to look.
        """
        raise NotImplementedError

    def select(self, structure: Structure) -> Integers:
        """Sorted indices of the atoms in the region.

        Args:
            structure: Where to look.

        Raises:
            RegionError: No atom matches, or an index is outside the structure.
        """
        atoms = np.flatnonzero(self.mask(structure))
        if atoms.size == 0:
            raise RegionError(f"'{self}' selects no atom of {structure.title or 'this structure'}. Choose another region.")
        return atoms

    def __or__(self, other: "Region") -> "Union":
        return Union(parts=(self, other))

    def __and__(self, other: "Region") -> "Intersection":
        return Intersection(parts=(self, other))

    def __sub__(self, other: "Region") -> "Difference":
        return Difference(whole=self, without=other)


def _parse(value: Any) -> Any:
    """A region from its JSON form; anything else goes on to pydantic, which complains."""
    if not isinstance(value, dict):
        return value
    kinds = {cls.model_fields["kind"].default: cls for cls in Region.__subclasses__()}
    if value.get("kind") not in kinds:
        raise ValueError(f"expected a region of kind {', '.join(sorted(kinds))}; got {value.get('kind')!r}")
    return kinds[value["kind"]].model_validate(value)


AnyRegion = Annotated[SerializeAsAny[Region], BeforeValidator(_parse)]
"""A field that holds any region; reads and writes its JSON form."""


class All(Region):
    """Every atom."""

    kind: Literal["all"] = "all"

    def mask(self, structure: Structure) -> Flags:
        """All true."""
        return np.ones(len(structure), dtype=np.bool_)

    def __str__(self) -> str:
        return "everything"


class Atoms(Region):
    """Atoms by index, counted from 0."""

    kind: Literal["atoms"] = "atoms"
    indices: tuple[int, ...]

    def mask(self, structure: Structure) -> Flags:
        """True at `indices`."""
        mask = np.zeros(len(structure), dtype=np.bool_)
        outside = [i for i in self.indices if not 0 <= i < len(structure)]
        if outside:
            raise RegionError(f"Atom {outside[0]} does not exist: expected indices from 0 to {len(structure) - 1}.")
        mask[list(self.indices)] = True
        return mask

    def __str__(self) -> str:
        return f"{len(self.indices)} chosen atoms"


class Ligand(Region):
    """What is neither protein nor water nor a simple ion."""

    kind: Literal["ligand"] = "ligand"

    def mask(self, structure: Structure) -> Flags:
        """True for atoms of small molecules."""
        mask = np.zeros(len(structure), dtype=np.bool_)
        mask[structure.atoms_of("ligand")] = True
        return mask

    def __str__(self) -> str:
        return "the ligand"


class Solute(Region):
    """What is neither water nor a simple ion: ligands, peptides, proteins."""

    kind: Literal["solute"] = "solute"

    def mask(self, structure: Structure) -> Flags:
        """False for water and ions."""
        mask = np.ones(len(structure), dtype=np.bool_)
        mask[structure.atoms_of("water")] = False
        mask[structure.atoms_of("ion")] = False
        return mask

    def __str__(self) -> str:
        return "the solute"


class Focus(Region):
    """What one looks at: the ligand where there is one, otherwise the solute."""

    kind: Literal["focus"] = "focus"

    def mask(self, structure: Structure) -> Flags:
        """The ligand's mask, or the solute's."""
        ligand = Ligand().mask(structure)
        return ligand if ligand.any() else Solute().mask(structure)

    def __str__(self) -> str:
        return "the ligand (or the solute, if there is none)"


class ResidueIs(Region):
    """Residues by name, number and chain; what is left out matches all."""

    kind: Literal["residue"] = "residue"
    name: str | None = None
    number: str | None = None
    chain: str | None = None

    def mask(self, structure: Structure) -> Flags:
        """True for atoms of matching residues."""
        wanted = ((self.name, "name"), (self.number, "number"), (self.chain, "chain"))
        match = [all(value is None or getattr(residue, key) == value for value, key in wanted) for residue in structure.residues]
        return np.array(match, dtype=np.bool_)[structure.residue_index]

    def __str__(self) -> str:
        return "residue " + " ".join(part for part in (self.name, self.chain, self.number) if part)


class SideChain(Region):
    """Side chains of protein residues, by name, number and chain; what is left out matches all. Ends at the bond CA-CB."""

    kind: Literal["side_chain"] = "side_chain"
    name: str | None = None
    number: str | None = None
    chain: str | None = None

    def mask(self, structure: Structure) -> Flags:
        """True for atoms of matching amino acids that are not in the backbone; caps have no side chain."""
        residues = ResidueIs(name=self.name, number=self.number, chain=self.chain).mask(structure)
        amino = [residue.kind == "protein" and residue.name not in CAP_NAMES for residue in structure.residues]
        side = np.array([name not in BACKBONE_NAMES for name in structure.names], dtype=np.bool_)
        return residues & side & np.array(amino, dtype=np.bool_)[structure.residue_index]

    def __str__(self) -> str:
        return "side chain of " + (" ".join(part for part in (self.name, self.chain, self.number) if part) or "every residue")


class Near(Region):
    """Whole molecules or residues with an atom within a distance of another region, that region left out.

    Args:
        of: The region to be near to.
        nm: The distance, nm.
        whole: `molecule` or `residue`: what is taken as one piece.
    """

    kind: Literal["near"] = "near"
    of: AnyRegion
    nm: Nanometer = 0.4
    whole: Literal["molecule", "residue"] = "residue"

    def mask(self, structure: Structure) -> Flags:
        """True for the pieces that come close, minimum image in a box."""
        core = self.of.mask(structure)
        if not core.any():
            return core
        close = _distance_to(structure, core) <= self.nm
        if self.whole == "residue":
            pieces = structure.residue_index
        else:
            pieces = np.zeros(len(structure), dtype=np.int64)
            for index, atoms in enumerate(structure.molecules):
                pieces[atoms] = index
        return np.asarray(np.isin(pieces, np.unique(pieces[close])) & ~core)

    def __str__(self) -> str:
        return f"{self.whole}s within {10 * self.nm:g} angstrom of {self.of}"


class Union(Region):
    """Atoms in any of the parts."""

    kind: Literal["union"] = "union"
    parts: tuple[AnyRegion, ...] = Field(min_length=1)

    def mask(self, structure: Structure) -> Flags:
        """Logical or of the parts."""
        return np.asarray(np.logical_or.reduce([part.mask(structure) for part in self.parts]))

    def __str__(self) -> str:
        return " and ".join(map(str, self.parts))


class Intersection(Region):
    """Atoms in all of the parts."""

    kind: Literal["intersection"] = "intersection"
    parts: tuple[AnyRegion, ...] = Field(min_length=1)

    def mask(self, structure: Structure) -> Flags:
        """Logical and of the parts."""
        return np.asarray(np.logical_and.reduce([part.mask(structure) for part in self.parts]))

    def __str__(self) -> str:
        return " that is also ".join(map(str, self.parts))


class Difference(Region):
    """Atoms of one region that are not in another."""

    kind: Literal["difference"] = "difference"
    whole: AnyRegion
    without: AnyRegion

    def mask(self, structure: Structure) -> Flags:
        """Whole and not without."""
        return self.whole.mask(structure) & ~self.without.mask(structure)

    def __str__(self) -> str:
        return f"{self.whole} without {self.without}"


def _distance_to(structure: Structure, core: Flags) -> np.ndarray:
    """Distance of each atom to the nearest core atom, nm, minimum image in a rectangular or triclinic box."""
    from scipy.spatial import cKDTree

    if structure.box is None:
        return np.asarray(cKDTree(structure.positions[core]).query(structure.positions)[0])
    shifts = np.stack(np.meshgrid(*[(-1, 0, 1)] * 3), axis=-1).reshape(-1, 3) @ structure.box
    inverse = np.linalg.inv(structure.box)
    wrapped = structure.positions - np.floor(structure.positions @ inverse) @ structure.box
    images = (wrapped[core][None] + shifts[:, None]).reshape(-1, 3)
    return np.asarray(cKDTree(images).query(wrapped)[0])
