"""Observables: numbers that people read off a geometry - distances, angles, RMSD - as values with a label and a unit.

Each is data (JSON in, JSON out) and is called with positions; distances and angles take the nearest periodic image. Knows
coordinates and atom names and must not know simulations or plots.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from studio.coarse.contacts import Contacts
from studio.errors import RegionError
from studio.hybrid.whole import minimum_image
from studio.structure import Floats, Integers, Structure
from studio.units import NM_PER_ANGSTROM

Index = Annotated[int, Field(ge=0)]
Place = tuple[float, float, float]
Positions = NDArray[np.floating]


class _Observable(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    def check(self, structure: Structure) -> None:
        """Refuse atoms that a structure does not have.

        Args:
            structure: Where it is to be measured.

        Raises:
            RegionError: Names the atom.
        """
        atoms: tuple[int, ...] = getattr(self, "atoms", ())
        if atoms and max(atoms) >= len(structure):
            raise RegionError(f"The {getattr(self, 'label', 'observable')} needs atom {max(atoms) + 1}; this structure has {len(structure)} atoms. Pick again.")


class _Between(_Observable):
    """Of a chain of picked atoms."""

    def _steps(self, atoms: tuple[int, ...], positions: Positions, box: Positions | None) -> list[Floats]:
        """Vectors from atom to atom along the chain, nm."""
        points = positions[list(atoms)].astype(np.float64)
        return list(minimum_image(np.diff(points, axis=0), None if box is None else np.asarray(box, dtype=np.float64)))


class Distance(_Between):
    """Distance of two atoms.

    Args:
        atoms: The two, counted from 0.
        names: What they are called.
    """

    kind: Literal["distance"] = "distance"
    atoms: tuple[Index, Index]
    names: tuple[str, str]

    @property
    def label(self) -> str:
        """What it is, for a legend."""
        return f"{'-'.join(self.names)} distance"

    @property
    def unit(self) -> str:
        """Of the value."""
        return "Å"

    def __call__(self, positions: Positions, box: Positions | None = None) -> float:
        """The distance, angstrom.

        Args:
            positions: (n, 3), nm.
            box: Box vectors (3, 3), nm, where there is one.
        """
        return _length(self._steps(self.atoms, positions, box)[0]) / NM_PER_ANGSTROM


class Angle(_Between):
    """Angle of three atoms, at the middle one.

    Args:
        atoms: The three, counted from 0.
        names: What they are called.
    """

    kind: Literal["angle"] = "angle"
    atoms: tuple[Index, Index, Index]
    names: tuple[str, str, str]

    @property
    def label(self) -> str:
        """What it is, for a legend."""
        return f"{'-'.join(self.names)} angle"

    @property
    def unit(self) -> str:
        """Of the value."""
        return "°"

    def __call__(self, positions: Positions, box: Positions | None = None) -> float:
        """The angle, degrees, 0 to 180.

        Args:
            positions: (n, 3), nm.
            box: Box vectors (3, 3), nm, where there is one.
        """
        first, second = self._steps(self.atoms, positions, box)
        # by the arc tangent: the arc cosine loses digits near 0 and 180 degrees
        return float(np.degrees(np.arctan2(_length(_cross(first, second)), -first @ second)))


class Dihedral(_Between):
    """Torsion angle of four atoms about the bond of the middle two; IUPAC sign: positive clockwise, looking along that bond.

    Args:
        atoms: The four, counted from 0.
        names: What they are called.
    """

    kind: Literal["dihedral"] = "dihedral"
    atoms: tuple[Index, Index, Index, Index]
    names: tuple[str, str, str, str]

    @property
    def label(self) -> str:
        """What it is, for a legend."""
        return f"{'-'.join(self.names)} torsion"

    @property
    def unit(self) -> str:
        """Of the value."""
        return "°"

    def __call__(self, positions: Positions, box: Positions | None = None) -> float:
        """The torsion, degrees, -180 to 180.

        Args:
            positions: (n, 3), nm.
            box: Box vectors (3, 3), nm, where there is one.
        """
        first, middle, last = self._steps(self.atoms, positions, box)
        across, along = _cross(middle, last), _cross(first, middle)
        return float(np.degrees(np.arctan2(_length(middle) * (first @ across), along @ across)))


class RMSD(_Observable):
    """Root-mean-square deviation of some atoms from a reference, after the best superposition (Kabsch 1976, 10.1107/S0567739476001873).

    Molecules have to be whole, as a running simulation gives them.

    Args:
        atoms: Which, counted from 0.
        reference: Where they were, (x, y, z) each, nm.
        name: What they are called.
    """

    kind: Literal["rmsd"] = "rmsd"
    atoms: tuple[Index, ...] = Field(min_length=1)
    reference: tuple[Place, ...]
    name: str = "RMSD"

    @classmethod
    def of(cls, structure: Structure, atoms: Integers, name: str = "RMSD") -> "RMSD":
        """From where the atoms are now.

        Args:
            structure: The reference.
            atoms: Which.
            name: What they are called.
        """
        places = [(float(x), float(y), float(z)) for x, y, z in structure.positions[atoms]]
        return cls(atoms=tuple(int(atom) for atom in atoms), reference=tuple(places), name=name)

    @property
    def label(self) -> str:
        """What it is, for a legend."""
        return self.name

    @property
    def unit(self) -> str:
        """Of the value."""
        return "Å"

    @cached_property
    def _rows(self) -> Integers | slice:
        return _rows(self.atoms)

    @cached_property
    def _centred(self) -> Floats:
        reference: Floats = np.array(self.reference, dtype=np.float64)
        return np.asarray(reference - reference.mean(axis=0))

    def __call__(self, positions: Positions, box: Positions | None = None) -> float:
        """The deviation, angstrom.

        Args:
            positions: (n, 3), nm, molecules whole.
            box: Not used: superposed molecules are whole.
        """
        now = positions[self._rows].astype(np.float64)
        now -= now.mean(axis=0)
        left, sizes, right = np.linalg.svd(now.T @ self._centred)
        if np.linalg.det(left) * np.linalg.det(right) < 0.0:  # the best fit would be a mirror image
            sizes[-1] = -sizes[-1]
        square = float((now * now).sum() + (self._centred * self._centred).sum() - 2.0 * sizes.sum()) / len(now)
        return float(np.sqrt(max(square, 0.0))) / NM_PER_ANGSTROM


class RadiusOfGyration(_Observable):
    """Radius of gyration of some atoms, weighted by mass; molecules have to be whole.

    Args:
        atoms: Which, counted from 0.
        masses: Of each, Da.
        name: What it is called.
    """

    kind: Literal["radius_of_gyration"] = "radius_of_gyration"
    atoms: tuple[Index, ...] = Field(min_length=1)
    masses: tuple[float, ...]
    name: str = "radius of gyration"

    @classmethod
    def of(cls, structure: Structure, atoms: Integers, name: str = "radius of gyration") -> "RadiusOfGyration":
        """Of atoms with their usual masses.

        Args:
            structure: Knows the elements.
            atoms: Which.
            name: What it is called.
        """
        from rdkit.Chem import GetPeriodicTable

        table = GetPeriodicTable()
        masses = tuple(float(table.GetAtomicWeight(int(z))) for z in structure.numbers[atoms])
        return cls(atoms=tuple(int(atom) for atom in atoms), masses=masses, name=name)

    @property
    def label(self) -> str:
        """What it is, for a legend."""
        return self.name

    @property
    def unit(self) -> str:
        """Of the value."""
        return "Å"

    @cached_property
    def _rows(self) -> Integers | slice:
        return _rows(self.atoms)

    @cached_property
    def _weights(self) -> Floats:
        masses = np.array(self.masses, dtype=np.float64)
        return np.asarray(masses / masses.sum())

    def __call__(self, positions: Positions, box: Positions | None = None) -> float:
        """The radius, angstrom.

        Args:
            positions: (n, 3), nm, molecules whole.
            box: Not used: molecules are whole.
        """
        now = positions[self._rows].astype(np.float64)
        now -= now[0]  # so that the difference of two large numbers below loses no digits
        centre = self._weights @ now
        square = float(self._weights @ (now * now) @ np.ones(3) - centre @ centre)
        return float(np.sqrt(max(square, 0.0))) / NM_PER_ANGSTROM


class NativeContacts(_Observable):
    """Q, the fraction of some contacts that are made: near 1 folded, near 0 unfolded (Best 2013, 10.1073/pnas.1311599110).

    Args:
        pairs: Beads or atoms in contact, counted from 0.
        distances: Between them in the native structure, nm.
        name: What it is called.
    """

    kind: Literal["native_contacts"] = "native_contacts"
    pairs: tuple[tuple[Index, Index], ...] = Field(min_length=1)
    distances: tuple[float, ...]
    name: str = "native contacts, Q"

    @classmethod
    def of(cls, contacts: Contacts) -> "NativeContacts":
        """Of the contacts of a native structure.

        Args:
            contacts: At least one.
        """
        return cls(pairs=tuple((int(i), int(j)) for i, j in contacts.pairs), distances=tuple(map(float, contacts.distances)))

    @property
    def atoms(self) -> tuple[int, ...]:
        """All that are in a contact."""
        return tuple(sorted({atom for pair in self.pairs for atom in pair}))

    @property
    def label(self) -> str:
        """What it is, for a legend."""
        return self.name

    @property
    def unit(self) -> str:
        """Of the value."""
        return "fraction"

    @cached_property
    def _contacts(self) -> Contacts:
        return Contacts(np.array(self.pairs, dtype=np.int64), np.array(self.distances, dtype=np.float64))

    def __call__(self, positions: Positions, box: Positions | None = None) -> float:
        """The fraction, 0 to 1.

        Args:
            positions: (n, 3), nm, molecules whole.
            box: Not used: molecules are whole.
        """
        return float(self._contacts.fraction(positions.astype(np.float64)))


Between = Distance | Angle | Dihedral
Observable = Annotated[Between | RMSD | RadiusOfGyration | NativeContacts, Field(discriminator="kind")]
"""Any of them; a field of this type reads and writes their JSON form."""


def from_picks(structure: Structure, picks: Sequence[int]) -> Distance | Angle | Dihedral:
    """What two, three or four picked atoms measure.

    Args:
        structure: Gives their names.
        picks: Atoms in the order in which they were picked, counted from 0.

    Raises:
        RegionError: Another number of atoms, one picked twice, or one that does not exist.
    """
    atoms = tuple(int(atom) for atom in picks)
    if len(set(atoms)) != len(atoms) or not 2 <= len(atoms) <= 4:
        raise RegionError(f"Pick two different atoms for a distance, three for an angle, four for a torsion; {len(set(atoms))} are picked.")
    if not 0 <= min(atoms) <= max(atoms) < len(structure):
        raise RegionError(f"Atom {max(atoms) + 1} does not exist: this structure has {len(structure)} atoms. Pick again.")
    names = _names(structure, atoms)
    if len(atoms) == 2:
        return Distance(atoms=(atoms[0], atoms[1]), names=(names[0], names[1]))
    if len(atoms) == 3:
        return Angle(atoms=(atoms[0], atoms[1], atoms[2]), names=(names[0], names[1], names[2]))
    return Dihedral(atoms=(atoms[0], atoms[1], atoms[2], atoms[3]), names=(names[0], names[1], names[2], names[3]))


def _names(structure: Structure, atoms: Sequence[int]) -> tuple[str, ...]:
    """Names of atoms, with their residues where these differ."""
    names = [structure.names[atom] for atom in atoms]
    if len({int(structure.residue_index[atom]) for atom in atoms}) == 1:
        return tuple(names)
    residues = [structure.residue_of(atom) for atom in atoms]
    return tuple(f"{residue.name}{residue.number}:{name}" for residue, name in zip(residues, names, strict=True))


def _rows(atoms: tuple[int, ...]) -> Integers | slice:
    """An index for arrays: a slice where the atoms follow each other, which is faster by far."""
    if atoms == tuple(range(atoms[0], atoms[0] + len(atoms))):
        return slice(atoms[0], atoms[0] + len(atoms))
    return np.array(atoms, dtype=np.int64)


def _length(vector: Floats) -> float:
    return float(np.sqrt(vector @ vector))


def _cross(a: Floats, b: Floats) -> Floats:
    """Cross product of two vectors; `numpy.cross` takes ten times as long for single ones."""
    return np.array([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])


def shape_of(structure: Structure) -> tuple[RMSD, RadiusOfGyration] | tuple[()]:
    """By what atoms and beads can be compared: how far the C-alphas are from where they are now, and how far they spread.

    Args:
        structure: At its start.
    """
    alphas = np.array([atom for atom in structure.atoms_of("protein").tolist() if structure.names[atom] == "CA"], dtype=np.int64)
    if not len(alphas):
        return ()
    return RMSD.of(structure, alphas, "C-alpha RMSD to start"), RadiusOfGyration.of(structure, alphas, "C-alpha radius of gyration")


def deviation_of(structure: Structure) -> RMSD | None:
    """How far the ligand, or else the protein, goes from where it is now; none of what has no shape.

    Args:
        structure: At its start.
    """
    atoms, whose = structure.atoms_of("ligand"), "ligand"
    if not atoms.size:
        atoms, whose = structure.atoms_of("protein"), "protein"
    heavy = atoms[(structure.numbers[atoms] > 1) & ~structure.fixed[atoms]]
    return RMSD.of(structure, heavy, f"RMSD of the {whose}") if heavy.size >= 3 else None
