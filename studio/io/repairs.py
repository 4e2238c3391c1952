"""Repairs: which of the things done to a file the user wants, and sentences that know how to take them back.

Knows the settings and OpenMM's Topology that they are carried out on; must not know file formats or force fields.
"""

import json
from typing import TYPE_CHECKING, Annotated, Self

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from studio.errors import StructureError
from studio.structure import Floats, Residue, Structure

if TYPE_CHECKING:
    from openmm.app import Topology
    from openmm.app.topology import Bond as TopologyBond
    from openmm.app.topology import Residue as TopologyResidue

STATES: dict[str, tuple[str, ...]] = {
    "ASP": ("ASP", "ASH"),
    "CYS": ("CYS",),
    "GLU": ("GLU", "GLH"),
    "HIS": ("HID", "HIE", "HIP"),
    "LYS": ("LYS", "LYN"),
}
"""Protonation states that a residue can be given."""
FAMILY = {state: name for name, states in STATES.items() for state in (name, *states)} | {"CYX": "CYS", "CYM": "CYS"}
TITRATED = {"ASP": {"HD2"}, "CYS": {"HG"}, "GLU": {"HE2"}, "HIS": {"HD1", "HE2"}, "LYS": {"HZ1", "HZ2", "HZ3"}}
"""Hydrogens that tell the states of a residue apart."""
MAX_ENTRIES = 1000


def _sorted(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(set(names)))


class Repairs(BaseModel):
    """What is done to a PDB or mmCIF file beyond what cannot be left undone; the defaults are the usual repairs.

    Args:
        leave_out: Residue names (`HOH`) or single residues (`A:301`) that are taken out of the file.
        location: Letter of the alternate location to take where a residue has it; empty for the most occupied.
        rebuild_hydrogens: Drop the hydrogens of the protein and place them anew for the pH.
        protonation_states: State of single residues, for example `{"A:57": "HIP"}`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    leave_out: Annotated[tuple[str, ...], AfterValidator(_sorted), Field(max_length=MAX_ENTRIES)] = ()
    location: Annotated[str, Field(max_length=1)] = ""
    rebuild_hydrogens: bool = False
    protonation_states: Annotated[dict[str, str], Field(max_length=MAX_ENTRIES)] = {}

    def __hash__(self) -> int:
        return hash(self.model_dump_json())

    def without(self, name: str) -> Self:
        """Leave this out, too.

        Args:
            name: A residue name or a single residue.
        """
        return self.model_copy(update={"leave_out": _sorted((*self.leave_out, name))})

    def having(self, name: str) -> Self:
        """Take this back in.

        Args:
            name: An entry of `leave_out`.
        """
        return self.model_copy(update={"leave_out": tuple(known for known in self.leave_out if known != name)})

    def with_states(self, states: dict[str, str]) -> Self:
        """Give residues other states.

        Args:
            states: State by residue; an empty one leaves the choice to the program.
        """
        merged = {key: state for key, state in {**self.protonation_states, **states}.items() if state}
        return self.model_copy(update={"protonation_states": merged})


class Note(str):
    """A sentence about what was done to a structure, which knows how it is undone or why it cannot be.

    Args:
        text: The sentence.
        undo: Name of the setting and the value that undo it; none if that is not possible.
        why: Reason that it cannot be undone, a sentence.
    """

    undo: tuple[str, str] | None
    why: str

    def __new__(cls, text: str, undo: tuple[str, str] | None = None, why: str = "") -> Self:
        """The sentence, with what else it knows."""
        note = super().__new__(cls, text)
        note.undo, note.why = undo, why
        return note

    def __getnewargs__(self) -> tuple[str]:
        """What a copy is made of; its attributes follow by themselves."""
        return (str(self),)

    @classmethod
    def thawed(cls, text: str, frozen: str) -> str:
        """The note that `frozen` belongs to; the plain sentence where there is nothing more to it.

        Args:
            text: The sentence.
            frozen: What `freeze` gave.
        """
        if not frozen:
            return text
        kept = json.loads(frozen)
        return cls(text, (str(kept["undo"][0]), str(kept["undo"][1])) if kept["undo"] else None, str(kept["why"]))

    @staticmethod
    def freeze(note: str) -> str:
        """What a sentence knows beyond its words, as text; empty for plain ones.

        Args:
            note: Any sentence of `Structure.notes`.
        """
        return json.dumps({"undo": note.undo, "why": note.why}) if isinstance(note, Note) else ""


def key_of(residue: "TopologyResidue") -> str:
    """How settings name one residue of a file: `A:57`, with the insertion code at the end.

    Args:
        residue: OpenMM's residue.
    """
    return f"{residue.chain.id.strip() or 'A'}:{residue.id}{residue.insertionCode.strip()}"


def trimmed(topology: "Topology", positions: Floats, repairs: Repairs) -> tuple["Topology", Floats, list[str]]:
    """The file less what was asked to be left out, and sentences about it.

    Args:
        topology: As read.
        positions: Of its atoms, (n, 3), nm.
        repairs: What to leave out.

    Raises:
        StructureError: Nothing is left, or something is named that is not there; the sentence says what.
    """
    from openmm import unit
    from openmm.app import Modeller

    residues = {key_of(residue): residue for residue in topology.residues()}
    names = {residue.name for residue in residues.values()}
    absent = [name for name in repairs.leave_out if name not in names and name not in residues]
    if absent:
        raise StructureError(f"{absent[0]} was to be left out, but the file has no such residue. Write a residue name (HOH) or a chain and number (A:301).")
    gone = [residue for residue in topology.residues() if not {residue.name, key_of(residue)}.isdisjoint(repairs.leave_out)]
    if len(gone) == topology.getNumResidues():
        raise StructureError("Everything in the file was to be left out. Keep at least one residue.")
    states = _checked_states(residues, repairs.protonation_states)
    doomed = [*gone, *_doomed_hydrogens(topology, repairs, states), *_opened_bridges(topology, set(states))]
    if not doomed:
        return topology, positions, _told(repairs)
    modeller = Modeller(topology, positions * unit.nanometer)
    modeller.delete(doomed)
    return modeller.topology, np.array(modeller.positions.value_in_unit(unit.nanometer)), _told(repairs)


def _checked_states(residues: dict[str, "TopologyResidue"], states: dict[str, str]) -> dict[str, str]:
    """`states`, each possible for its residue.

    Raises:
        StructureError: No such residue, or it has no such state.
    """
    for key, state in states.items():
        if key not in residues:
            raise StructureError(
                f"A protonation state was given for residue {key}, which is not in the file. Write the chain and the number, for example A:57."
            )
        possible = STATES.get(FAMILY.get(residues[key].name, ""), ())
        if state not in possible:
            known = f"it can be {' '.join(possible)}" if possible else "this residue has only one state"
            raise StructureError(f"Residue {residues[key].name} {key} cannot be {state}: {known}.")
    return states


def _doomed_hydrogens(topology: "Topology", repairs: Repairs, states: dict[str, str]) -> list[object]:
    """Hydrogens of the protein that are placed anew."""
    atoms = [atom for atom in topology.atoms() if atom.element.atomic_number == 1]
    if repairs.rebuild_hydrogens:
        return [atom for atom in atoms if Residue(atom.residue.name).kind == "protein"]
    return [atom for atom in atoms if key_of(atom.residue) in states and atom.name in TITRATED[FAMILY[atom.residue.name]]]


def bridges(topology: "Topology") -> list["TopologyBond"]:
    """Disulfide bonds.

    Args:
        topology: As read.
    """
    return [bond for bond in topology.bonds() if bond[0].name == bond[1].name == "SG"]


def _opened_bridges(topology: "Topology", opened: set[str]) -> list["TopologyBond"]:
    """Disulfide bonds of cysteines that are to have their hydrogen.

    Raises:
        StructureError: Only one side of a bridge was named.
    """
    cut = [bond for bond in bridges(topology) if {key_of(bond[0].residue), key_of(bond[1].residue)} & opened]
    half = next((bond for bond in cut if not {key_of(bond[0].residue), key_of(bond[1].residue)} <= opened), None)
    if half is not None:
        raise StructureError(f"{half[0].residue.name} {key_of(half[0].residue)} and {key_of(half[1].residue)} form a disulfide; set both to CYS to open it.")
    return cut


def _told(repairs: Repairs) -> list[str]:
    """Sentences about what was asked for, each with its way back."""
    notes: list[str] = [Note(f"{name} was left out of the file, as you asked.", ("take_back", name)) for name in repairs.leave_out]
    if repairs.rebuild_hydrogens:
        notes.append(Note("The hydrogens of the protein in the file were dropped and placed anew, as you asked.", ("rebuild_hydrogens", "")))
    states = repairs.protonation_states.items()
    return notes + [Note(f"Residue {key} has the state {state}, as you asked.", ("state", f"{key}=")) for key, state in states]


def told_bridges(topology: "Topology") -> list[str]:
    """A sentence about each disulfide.

    Args:
        topology: Once trimmed.
    """
    notes: list[str] = []
    for first, second in ((key_of(bond[0].residue), key_of(bond[1].residue)) for bond in bridges(topology)):
        notes.append(Note(f"Cysteines {first} and {second} are joined by a disulfide bond.", ("state", f"{first}=CYS {second}=CYS")))
    return notes


def state_of(name: str, atoms: set[str]) -> str:
    """The protonation state that the hydrogens of a residue show.

    Args:
        name: Of the residue; any of its variants.
        atoms: Names of its atoms.
    """
    family = FAMILY.get(name, name)
    if family == "HIS":
        return {(True, True): "HIP", (True, False): "HID"}.get(("HD1" in atoms, "HE2" in atoms), "HIE")
    if family == "LYS":
        return "LYS" if {"HZ1", "HZ2", "HZ3"} <= atoms else "LYN"
    if family == "CYS":
        return "CYS" if "HG" in atoms else "CYX"
    return {("ASP", True): "ASH", ("GLU", True): "GLH"}.get((family, bool(TITRATED.get(family, set()) & atoms)), family)


def titratable(structure: Structure) -> dict[str, tuple[str, tuple[str, ...]]]:
    """By residue (`A:57`) the protonation state that it has and those that it can be given, for residues that have a choice.

    Args:
        structure: With hydrogens.
    """
    atoms: dict[int, set[str]] = {}
    for name, index in zip(structure.names, structure.residue_index.tolist(), strict=True):
        atoms.setdefault(index, set()).add(name)
    found: dict[str, tuple[str, tuple[str, ...]]] = {}
    for index, residue in enumerate(structure.residues):
        choices = STATES.get(FAMILY.get(residue.name, ""), ())
        if len(choices) > 1:
            found[f"{residue.chain}:{residue.number}"] = (state_of(residue.name, atoms[index]), choices)
    return found
