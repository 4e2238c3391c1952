"""Region: which atoms, as a value - hashable, JSON, with set algebra (`|`, `&`, `-`).

A region is a sentence about any structure ("the ligand and what lies within 0.4 nm"); `select` turns it into indices of
one structure. It knows structures and must not know potentials or simulations.
"""

from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SerializeAsAny

from studio.errors import RegionError
from studio.structure import CAP_NAMES, Flags, Integers, Residue, Structure
from studio.units import Nanometer

if TYPE_CHECKING:
    from rdkit.Chem import Mol

MAX_MATCHES = 20_000
"""A SMARTS pattern that matches more often than this is refused: it would take long, and says little."""
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
            hint = " 'and' keeps what is in both parts; 'or' joins them." if isinstance(self, Intersection) else ""
            raise RegionError(f"'{self}' selects no atom of {structure.title or 'this structure'}. Choose another region.{hint}")
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


class KindIs(Region):
    """Residues of one kind: amino acids with their caps, water, or simple ions."""

    kind: Literal["kind"] = "kind"
    of: Literal["protein", "water", "ion"]

    def mask(self, structure: Structure) -> Flags:
        """True for atoms of such residues."""
        mask = np.zeros(len(structure), dtype=np.bool_)
        mask[structure.atoms_of(self.of)] = True
        return mask

    def __str__(self) -> str:
        return f"the {self.of}{'s' if self.of == 'ion' else ''}"


class ElementIs(Region):
    """Atoms of some elements, by symbol."""

    kind: Literal["element"] = "element"
    symbols: tuple[str, ...] = Field(min_length=1)

    def mask(self, structure: Structure) -> Flags:
        """True for atoms of these elements.

        Raises:
            RegionError: A symbol is not that of an element.
        """
        return np.isin(structure.numbers, [_atomic_number(symbol) for symbol in self.symbols])

    def __str__(self) -> str:
        return f"{', '.join(self.symbols)} atoms"


class NameIs(Region):
    """Atoms by name, such as CA."""

    kind: Literal["name"] = "name"
    names: tuple[str, ...] = Field(min_length=1)

    def mask(self, structure: Structure) -> Flags:
        """True for atoms with one of the names, in upper or lower case."""
        wanted = {name.upper() for name in self.names}
        return np.array([name.upper() in wanted for name in structure.names], dtype=np.bool_)

    def __str__(self) -> str:
        return f"atoms named {', '.join(self.names)}"


class Smarts(Region):
    """Atoms that a SMARTS pattern matches, with the hydrogens on them; in molecules whose bond orders are known."""

    kind: Literal["smarts"] = "smarts"
    pattern: str = Field(min_length=1, max_length=500)

    def mask(self, structure: Structure) -> Flags:
        """True for matched atoms and their hydrogens.

        Raises:
            RegionError: Not a SMARTS pattern, no bond orders are known, or far too many matches.
        """
        return _matches(structure, self.pattern).copy()

    def __str__(self) -> str:
        return f"what matches {self.pattern}"


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
        """True for atoms of matching residues; upper and lower case of names are the same, of chains they are not."""
        name = self.name and self.name.upper()
        wanted = ((name, "name"), (self.number, "number"), (self.chain, "chain"))
        match = [all(value is None or _told(residue, key) == value for value, key in wanted) for residue in structure.residues]
        return np.array(match, dtype=np.bool_)[structure.residue_index]

    def __str__(self) -> str:
        if self.chain and not (self.name or self.number):
            return f"chain {self.chain}"
        return "residue " + " ".join(part for part in (self.name, self.chain, self.number) if part)


class ResidueRange(Region):
    """Residues from one number to another, both included, of one chain or of all; insertion codes count with their number."""

    kind: Literal["residue_range"] = "residue_range"
    first: int
    last: int
    chain: str | None = None

    def mask(self, structure: Structure) -> Flags:
        """True for atoms of residues in the range."""
        match = [self.chain in (None, residue.chain) and self._holds(residue.number) for residue in structure.residues]
        return np.array(match, dtype=np.bool_)[structure.residue_index]

    def _holds(self, number: str) -> bool:
        digits = number.rstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz ")
        return digits.removeprefix("-").isdecimal() and self.first <= int(digits) <= self.last

    def __str__(self) -> str:
        return f"residues {self.chain + ' ' if self.chain else ''}{self.first} to {self.last}"


class Whole(Region):
    """Whole residues or molecules of which another region holds an atom.

    Args:
        of: The region to complete.
        whole: `molecule` or `residue`: what is taken as one piece.
    """

    kind: Literal["whole"] = "whole"
    of: AnyRegion
    whole: Literal["molecule", "residue"] = "residue"

    def mask(self, structure: Structure) -> Flags:
        """True for all atoms of the pieces that are touched."""
        return _complete(structure, self.of.mask(structure), self.whole)

    def __str__(self) -> str:
        return f"each whole {self.whole} of {self.of}"


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
        return _complete(structure, _distance_to(structure, core) <= self.nm, self.whole) & ~core

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


def _told(residue: Residue, key: str) -> str:
    """A residue's name (in upper case), number or chain."""
    return residue.name.upper() if key == "name" else str(getattr(residue, key))


def _complete(structure: Structure, touched: Flags, whole: Literal["molecule", "residue"]) -> Flags:
    """True for every atom of the residues or molecules in which an atom is touched."""
    pieces = structure.residue_index
    if whole == "molecule":
        pieces = np.zeros(len(structure), dtype=np.int64)
        for index, atoms in enumerate(structure.molecules):
            pieces[atoms] = index
    return np.asarray(np.isin(pieces, np.unique(pieces[touched])))


def _atomic_number(symbol: str) -> int:
    from rdkit import rdBase
    from rdkit.Chem import GetPeriodicTable

    try:
        with rdBase.BlockLogs():
            return int(GetPeriodicTable().GetAtomicNumber(symbol.capitalize()))
    except RuntimeError as problem:
        raise RegionError(f"'{symbol}' is not an element. Give symbols such as C, N or Cl.") from problem


@lru_cache(maxsize=16)
def _matches(structure: Structure, pattern: str) -> Flags:
    """True for the atoms that a SMARTS pattern matches, and for their hydrogens."""
    query = _query(pattern)
    unknown = {int(atom) for atom in structure.bonds[structure.bond_orders == 0.0].ravel()}
    known = [atoms for atoms in structure.molecules if not unknown.intersection(atoms.tolist())]
    if not known:
        raise RegionError("SMARTS patterns need bond orders, which are not known here. Give the molecule as SDF or SMILES, or select by residues and atoms.")
    searched = np.sort(np.concatenate(known))
    found = structure.take(searched).to_rdkit().GetSubstructMatches(query, maxMatches=MAX_MATCHES)
    if len(found) >= MAX_MATCHES:
        raise RegionError(f"The SMARTS pattern {pattern} matches more than {MAX_MATCHES:,} times. Make it more specific.")
    mask = np.zeros(len(structure), dtype=np.bool_)
    mask[searched[list({atom for match in found for atom in match})]] = True
    mask[_hydrogens_on(structure, mask)] = True
    return mask


def _query(pattern: str) -> "Mol":
    from rdkit import Chem, rdBase

    with rdBase.BlockLogs():
        query = Chem.MolFromSmarts(pattern)
    if query is None or query.GetNumAtoms() == 0:
        raise RegionError(f"'{pattern}' is not a SMARTS pattern. Check brackets and ring-closure digits; c1ccccc1 finds benzene rings.")
    return query


def _hydrogens_on(structure: Structure, mask: Flags) -> Integers:
    """Hydrogens bonded to the atoms in `mask`."""
    both = np.concatenate([structure.bonds, structure.bonds[:, ::-1]])
    return np.asarray(both[mask[both[:, 0]] & (structure.numbers[both[:, 1]] == 1), 1])


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
