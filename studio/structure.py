"""Structure: what the molecule is - atoms, bonds, residues, positions, charge, spin, and the space around it.

A frozen value with read-only arrays. It knows chemistry as drawn (bond orders, formal charges) and must not know force
fields, potentials, files or screens. Everything else takes a `Structure` and gives a new one back.
"""

import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from studio import chem
from studio.errors import StructureError
from studio.units import NM_PER_ANGSTROM

if TYPE_CHECKING:
    from rdkit.Chem import Mol

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]

WATER_NAMES = frozenset({"HOH", "WAT", "SOL", "TIP3", "H2O", "DOD"})
ION_NAMES = frozenset({"NA", "CL", "K", "LI", "RB", "CS", "F", "BR", "I", "MG", "CA", "ZN", "NA+", "CL-", "K+"})
CAP_NAMES = frozenset({"ACE", "NME", "NMA", "NH2"})
AMINO_NAMES = CAP_NAMES | {
    "ALA", "ARG", "ASH", "ASN", "ASP", "CYM", "CYS", "CYX", "GLH", "GLN", "GLU", "GLY", "HID", "HIE",
    "HIP", "HIS", "ILE", "LEU", "LYN", "LYS", "MET", "PHE", "PRO", "SER", "THR", "TRP", "TYR", "VAL",
}  # fmt: skip

BEAD_NAMES = frozenset({"N", "CA", "C", "CB"})
CARBON = 6
"""Beads are shown as carbon; what they are is said by their names and residues."""


@dataclass(frozen=True)
class Residue:
    """One residue: its three-letter name, its number as the file wrote it (with insertion code) and its chain."""

    name: str
    number: str = "1"
    chain: str = "A"

    @property
    def kind(self) -> str:
        """`water`, `ion`, `protein`, or `ligand` for anything else."""
        kinds = (("water", WATER_NAMES), ("ion", ION_NAMES), ("protein", AMINO_NAMES))
        return next((kind for kind, names in kinds if self.name.upper() in names), "ligand")

    def __str__(self) -> str:
        return f"{self.name} {self.chain}{self.number}"


@dataclass(frozen=True)
class Droplet:
    """A sphere that keeps mobile solvent in: centre (x, y, z) and radius in nm."""

    centre: tuple[float, float, float]
    radius: float


@dataclass(frozen=True, eq=False)
class Structure:
    """Atoms and the space they live in; compare by `key`.

    Args:
        numbers: Atomic numbers, (n,).
        positions: Coordinates, (n, 3), nm.
        names: Atom names, n of them.
        residues: The residues, m of them.
        residue_index: For each atom the index into `residues`, (n,).
        bonds: Pairs of atom indices, (b, 2).
        bond_orders: 1, 2, 3 or 1.5 (aromatic), (b,); 0 where the source did not say.
        formal_charges: Charges as drawn, e, (n,).
        multiplicity: Spin multiplicity 2S+1 of the whole.
        box: Periodic box vectors as rows, (3, 3), nm, or none.
        droplet: The sphere that holds the solvent, or none.
        fixed: True for atoms that never move, (n,).
        title: A name for people.
        notes: What was done to the molecule on its way in, one sentence each.

    Raises:
        StructureError: Shapes disagree, or a coordinate is not a number.
    """

    numbers: Integers
    positions: Floats
    names: tuple[str, ...]
    residues: tuple[Residue, ...]
    residue_index: Integers
    bonds: Integers
    bond_orders: Floats
    formal_charges: Integers
    multiplicity: int = 1
    box: Floats | None = None
    droplet: Droplet | None = None
    fixed: Flags = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))
    title: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        n, b = len(self.numbers), len(self.bonds)
        if self.fixed.size == 0:
            object.__setattr__(self, "fixed", np.zeros(n, dtype=np.bool_))
        shapes: dict[str, tuple[int, ...]] = {
            "numbers": (n,), "positions": (n, 3), "residue_index": (n,), "bonds": (b, 2), "bond_orders": (b,), "formal_charges": (n,), "fixed": (n,),
        }  # fmt: skip
        if self.box is not None:
            shapes["box"] = (3, 3)
        for name, shape in shapes.items():
            object.__setattr__(self, name, _frozen(name, getattr(self, name), shape))
        self._check()

    def _check(self) -> None:
        n = len(self.numbers)
        if n == 0:
            raise StructureError("Expected a molecule, got no atoms.")
        if len(self.names) != n:
            raise StructureError(f"Expected {n} atom names, got {len(self.names)}.")
        if not np.isfinite(self.positions).all():
            bad = np.flatnonzero(~np.isfinite(self.positions).all(axis=1))[:5] + 1
            raise StructureError(f"Atoms {', '.join(map(str, bad))} have no coordinates. Give every atom a position.")
        for name, indices, end in (("bonds", self.bonds, n), ("residue_index", self.residue_index, len(self.residues))):
            if indices.size and (indices.min() < 0 or indices.max() >= end):
                raise StructureError(f"{name} points outside the structure: expected indices from 0 to {end - 1}.")

    def __len__(self) -> int:
        return len(self.numbers)

    def __repr__(self) -> str:
        return f"Structure({self.title or 'untitled'!r}, {len(self)} atoms, charge {self.charge:+d}, multiplicity {self.multiplicity})"

    @property
    def charge(self) -> int:
        """Total charge, e: the sum of the formal charges."""
        return int(self.formal_charges.sum())

    @property
    def is_beads(self) -> bool:
        """Beads of a coarse model, not atoms: all of a protein, named after its backbone, and none of them an element or hydrogen of it."""
        if "CA" not in self.names or not BEAD_NAMES.issuperset(self.names) or not all(residue.kind == "protein" for residue in self.residues):
            return False
        return bool((self.numbers == CARBON).all() and not self.bond_orders.any())

    @cached_property
    def is_coarse(self) -> bool:
        """Beads of any model: one a residue, or backbone beads (BB) with those of side chains."""
        return self.is_beads or any(self.residue_of(atom).kind == "protein" for atom, name in enumerate(self.names) if name == "BB")

    @cached_property
    def key(self) -> str:
        """Content hash (first 16 hex digits of SHA-256); equal for equal atoms, positions and surroundings, whatever the title."""
        digest = hashlib.sha256()
        for array in (self.numbers, self.positions, self.residue_index, self.bonds, self.bond_orders, self.formal_charges, self.fixed, self.box):
            digest.update(b"none" if array is None else np.ascontiguousarray(array).tobytes())
        digest.update(repr((self.names, self.residues, self.multiplicity, self.droplet)).encode())
        return digest.hexdigest()[:16]

    @cached_property
    def molecules(self) -> tuple[Integers, ...]:
        """Atom indices of each bonded molecule, in order of their first atoms."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        n = len(self)
        graph = coo_array((np.ones(len(self.bonds)), (self.bonds[:, 0], self.bonds[:, 1])), shape=(n, n))
        count, label = connected_components(graph, directed=False)
        order = np.argsort(label, kind="stable")
        return tuple(np.split(order, np.cumsum(np.bincount(label, minlength=count))[:-1]))

    def residue_of(self, atom: int) -> Residue:
        """The residue that holds `atom`."""
        return self.residues[int(self.residue_index[atom])]

    def atoms_of(self, kind: str) -> Integers:
        """Indices of the atoms whose residues are of `kind`: `water`, `ion`, `protein` or `ligand`."""
        matching = np.array([residue.kind == kind for residue in self.residues], dtype=np.bool_)
        return np.flatnonzero(matching[self.residue_index])

    def label(self, atom: int) -> str:
        """How to name `atom` to a chemist: `C7 of LIG A1 (atom 7)`; `bead of GLY A3 (3)` where it is none."""
        if self.is_beads:
            return f"bead of {self.residue_of(atom)} ({atom + 1})"
        return f"{self.names[atom]} of {self.residue_of(atom)} (atom {atom + 1})"

    def with_positions(self, positions: Floats) -> "Structure":
        """The same molecule elsewhere; `positions` is (n, 3), nm."""
        return replace(self, positions=np.asarray(positions, dtype=np.float64))

    def with_notes(self, *notes: str) -> "Structure":
        """The same molecule with sentences added to its story, those that are new."""
        return replace(self, notes=self.notes + tuple(note for note in notes if note not in self.notes))

    def take(self, atoms: Integers) -> "Structure":
        """The part that holds just `atoms`, in the order given; bonds to the rest are dropped, space is kept.

        Raises:
            StructureError: `atoms` is empty.
        """
        atoms = np.asarray(atoms, dtype=np.int64)
        new = np.full(len(self), -1, dtype=np.int64)
        new[atoms] = np.arange(len(atoms))
        bonds = new[self.bonds]
        kept = (bonds >= 0).all(axis=1)
        used, residue_index = np.unique(self.residue_index[atoms], return_inverse=True)
        return replace(
            self,
            numbers=self.numbers[atoms],
            positions=self.positions[atoms],
            names=tuple(self.names[i] for i in atoms),
            residues=tuple(self.residues[i] for i in used),
            residue_index=residue_index,
            bonds=bonds[kept],
            bond_orders=self.bond_orders[kept],
            formal_charges=self.formal_charges[atoms],
            fixed=self.fixed[atoms],
        )

    def join(self, *others: "Structure") -> "Structure":
        """This structure and `others` in one space (this one's box, droplet and title); spins are taken as uncoupled and high."""
        parts = (self, *others)
        atoms = np.cumsum([0, *map(len, parts)])[:-1]
        residues = np.cumsum([0, *(len(part.residues) for part in parts)])[:-1]

        def glued(field_name: str, starts: Integers | None = None) -> NDArray[Any]:
            return np.concatenate([getattr(part, field_name) + (0 if starts is None else starts[i]) for i, part in enumerate(parts)])

        return replace(
            self,
            numbers=glued("numbers"),
            positions=glued("positions"),
            names=sum((part.names for part in parts), ()),
            residues=sum((part.residues for part in parts), ()),
            residue_index=glued("residue_index", residues),
            bonds=glued("bonds", atoms),
            bond_orders=glued("bond_orders"),
            formal_charges=glued("formal_charges"),
            fixed=glued("fixed"),
            multiplicity=1 + sum(part.multiplicity - 1 for part in parts),
            notes=sum((part.notes for part in parts), ()),
        )

    @classmethod
    def from_smiles(cls, smiles: str, seed: int = 0) -> "Structure":
        """Build a molecule from SMILES, with hydrogens and a three-dimensional shape.

        Args:
            smiles: The molecule.
            seed: Random seed of the embedding.

        Raises:
            StructureError: Not a SMILES, a wrong valence, or no geometry found.
        """
        return cls.from_rdkit(chem.embed(chem.parse_smiles(smiles), seed), title=smiles.strip())

    @classmethod
    def from_rdkit(cls, mol: "Mol", title: str = "", residue: str = "LIG") -> "Structure":
        """Take over an RDKit molecule with explicit hydrogens and a conformer; all atoms go into one residue.

        Args:
            mol: Sanitized, hydrogens explicit.
            title: A name for people.
            residue: Three-letter name of the residue.

        Raises:
            StructureError: No conformer.
        """
        atoms, bonds = list(mol.GetAtoms()), list(mol.GetBonds())
        return cls(
            numbers=np.array([a.GetAtomicNum() for a in atoms], dtype=np.int64),
            positions=chem.coordinates(mol) * NM_PER_ANGSTROM,
            names=tuple(f"{a.GetSymbol()}{a.GetIdx() + 1}" for a in atoms),
            residues=(Residue(residue),),
            residue_index=np.zeros(len(atoms), dtype=np.int64),
            bonds=np.array([(b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in bonds], dtype=np.int64).reshape(-1, 2),
            bond_orders=np.array([b.GetBondTypeAsDouble() for b in bonds], dtype=np.float64),
            formal_charges=np.array([a.GetFormalCharge() for a in atoms], dtype=np.int64),
            multiplicity=chem.multiplicity_of(mol),
            title=title,
        )

    def to_rdkit(self) -> "Mol":
        """The structure as a sanitized RDKit molecule, stereo assigned from the coordinates; atoms keep their order.

        Raises:
            StructureError: A bond order is unknown, or a valence is impossible.
        """
        from rdkit import Chem
        from rdkit.Geometry import Point3D

        kinds = {1.0: Chem.BondType.SINGLE, 1.5: Chem.BondType.AROMATIC, 2.0: Chem.BondType.DOUBLE, 3.0: Chem.BondType.TRIPLE}
        mol = Chem.RWMol()
        for number, charge in zip(self.numbers, self.formal_charges, strict=True):
            atom = Chem.Atom(int(number))
            atom.SetFormalCharge(int(charge))
            atom.SetNoImplicit(True)
            mol.AddAtom(atom)
        for (i, j), order in zip(self.bonds, self.bond_orders, strict=True):
            if float(order) not in kinds:
                raise StructureError(f"The bond between {self.label(int(i))} and {self.label(int(j))} has no known order. Give the molecule as SDF or SMILES.")
            mol.AddBond(int(i), int(j), kinds[float(order)])
            if order == 1.5:
                mol.GetAtomWithIdx(int(i)).SetIsAromatic(True)
                mol.GetAtomWithIdx(int(j)).SetIsAromatic(True)
        conformer = Chem.Conformer(len(self))
        for index, (x, y, z) in enumerate(self.positions / NM_PER_ANGSTROM):
            conformer.SetAtomPosition(index, Point3D(float(x), float(y), float(z)))
        mol.AddConformer(conformer)
        chem.check_valence(mol)
        Chem.AssignStereochemistryFrom3D(mol)
        return mol.GetMol()


def _frozen(name: str, value: Any, shape: tuple[int, ...]) -> NDArray[Any]:
    """A read-only copy of `value` in the dtype of the field, checked against `shape`."""
    dtypes: dict[str, type] = {"positions": np.float64, "bond_orders": np.float64, "box": np.float64, "fixed": np.bool_}
    array: NDArray[Any] = np.array(value, dtype=dtypes.get(name, np.int64))
    if array.shape != shape:
        raise StructureError(f"{name} has shape {array.shape}; expected {shape} for {shape[0]} atoms or bonds.")
    array.setflags(write=False)
    return array
