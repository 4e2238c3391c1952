"""Amino acids as Martini needs to know them: protonation, ends of chains, disulfide bridges, secondary structure.

All of it is read from the prepared structure - its hydrogens, formal charges and bonds - so that nothing is guessed.
Knows structures; must not know beads.
"""

from functools import cached_property

import numpy as np

from studio.coarse.residues import standard
from studio.errors import UnsupportedError
from studio.structure import CAP_NAMES, Structure

STATES = (
    ("HIS", {"HD1", "HE2"}, "HSP"), ("HIS", {"HD1"}, "HSD"), ("HIS", {"HE2"}, "HSE"),
    ("ASP", {"HD1"}, "ASPP"), ("ASP", {"HD2"}, "ASPP"), ("GLU", {"HE1"}, "GLUP"), ("GLU", {"HE2"}, "GLUP"),
)  # fmt: skip
"""What a residue is, with which hydrogens, by the names of vermouth's maps; the first that fits counts."""
AMMONIUM = {"HZ1", "HZ2", "HZ3"}
BACKBONE = ("N", "CA", "C", "O")


class Residues:
    """The amino acids of a structure, caps aside, with the bonds between them.

    Args:
        structure: A protein, all its atoms.

    Attributes:
        rows: Index of each into the structure's residues.
        atoms: By row, the atom of each name.
        after: By row, the residue whose nitrogen its carbonyl is bonded to; a cap, too.
        bridges: Rows that disulfide bridges join.
    """

    def __init__(self, structure: Structure) -> None:
        self.structure = structure
        self.rows = [row for row, residue in enumerate(structure.residues) if residue.kind == "protein" and residue.name not in CAP_NAMES]
        self.atoms: dict[int, dict[str, int]] = {row: {} for row in self.rows}
        for atom, (name, row) in enumerate(zip(structure.names, structure.residue_index.tolist(), strict=True)):
            if row in self.atoms:
                self.atoms[row][name] = atom
        self.after: dict[int, int] = {}
        self.bridges: list[tuple[int, int]] = []
        for i, j in structure.bonds.tolist():
            self._note(i, j)
            self._note(j, i)

    def _note(self, i: int, j: int) -> None:
        names, (one, other) = (self.structure.names[i], self.structure.names[j]), self.structure.residue_index[[i, j]].tolist()
        if names == ("C", "N") and one != other:
            self.after[one] = other
        if names == ("SG", "SG") and one < other:
            self.bridges.append((one, other))

    def state(self, row: int) -> str:
        """The name that a residue has by its hydrogens.

        Args:
            row: Which.
        """
        name, present = standard(self.structure.residues[row].name), self.atoms[row].keys()
        if name == "LYS" and not present >= AMMONIUM:
            return "LSN"
        return next((state for one, hydrogens, state in STATES if name == one and present >= hydrogens), name)

    def ends(self, row: int) -> list[str]:
        """What modifies the backbone bead of a residue at the ends of a chain, by vermouth's names.

        Args:
            row: Which.
        """
        found, before, after = list[str](), self._before.get(row), self.after.get(row)
        if before not in self.atoms:
            found.append("NCAP-ter" if before is not None else "N-ter" if self._charge(row, "N") > 0 else "NH2-ter")
        if after not in self.atoms:
            found.append("CCAP-ter" if after is not None else "C-ter" if self._charge(row, "O", "OXT") < 0 else "COOH-ter")
        return found

    def charge(self, row: int) -> int:
        """As drawn, e.

        Args:
            row: Which.
        """
        return self._charge(row, *self.atoms[row])

    @cached_property
    def secondary(self) -> str:
        """Martini's letter of secondary structure for each residue: DSSP, by chains.

        Raises:
            UnsupportedError: A residue lacks an atom of its backbone.
        """
        from vermouth.dssp.dssp import convert_dssp_to_martini

        told = iter(self._dssp())
        return "".join(convert_dssp_to_martini("".join(next(told) for _ in chain)) for chain in self.chains)

    @cached_property
    def chains(self) -> list[list[int]]:
        """Rows of each chain without a break."""
        found: list[list[int]] = []
        for row in self.rows:
            if not found or self.after.get(found[-1][-1]) != row:
                found.append([])
            found[-1].append(row)
        return found

    @cached_property
    def _before(self) -> dict[int, int]:
        return {after: row for row, after in self.after.items()}

    def _charge(self, row: int, *names: str) -> int:
        return int(sum(self.structure.formal_charges[self.atoms[row][name]] for name in names if name in self.atoms[row]))

    def _dssp(self) -> list[str]:
        import mdtraj

        topology, order = mdtraj.Topology(), list[int]()
        for chain in self.chains:
            place = topology.add_chain()
            for row in chain:
                residue = topology.add_residue("PRO" if self.structure.residues[row].name == "PRO" else "ALA", place)
                for name in BACKBONE:
                    topology.add_atom(name, mdtraj.element.get_by_symbol(name[0]), residue)
                order += [self._backbone(row, name) for name in BACKBONE]
        letters = mdtraj.compute_dssp(mdtraj.Trajectory(np.asarray(self.structure.positions[order]), topology), simplified=False)[0]
        return [letter.strip() or "C" for letter in letters.tolist()]

    def _backbone(self, row: int, name: str) -> int:
        if name not in self.atoms[row]:
            raise UnsupportedError(f"{self.structure.residues[row]} lacks its atom {name}. Complete the residue, or leave it out.")
        return self.atoms[row][name]
