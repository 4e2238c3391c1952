"""Card: what a learned model of beads is, what it was learned from, and what it passed - all that is known without opening its weights.

Knows plain data and structures; must not know tensors or where models lie.
"""

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from studio.coarse.mapping import Scheme
from studio.coarse.residues import standard
from studio.errors import WeightsError
from studio.settings import explain
from studio.structure import CARBON, Floats, Residue, Structure
from studio.units import Kelvin

CARD, WEIGHTS = "model.json", "weights.npz"
"""The files of a model."""


class GateLine(BaseModel):
    """One thing that a model was measured by.

    Args:
        name: What was measured.
        value: What came out.
        limit: What it was held to.
        passed: It kept to it.
        note: A sentence, where there is something to know.
        least: What it was not to fall below, where there is such a limit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", from_attributes=True)

    name: str
    value: float | None
    limit: float | None
    passed: bool
    note: str = ""
    least: float | None = None

    @property
    def words(self) -> str:
        """What came out, and what it was held to."""
        if self.value is None and self.limit is None:
            return self.name
        ends = _figure(self.limit) if self.least is None else f"{_figure(self.least)} to {_figure(self.limit)}"
        return f"{self.name} {_figure(self.value)}, limit {ends}"


class NetworkShape(BaseModel):
    """Sizes of a network.

    Args:
        kind: Which network; see `network`.
        hidden: Width of its layers.
        layers: Rounds of messages.
        centres: Radial functions.
        cutoff: Where messages end, nm.
        members: How many networks the mean is taken of.
        stretches: The beads that each part of an internal network sees; one part sees all where there is none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["internal", "graph"]
    hidden: Annotated[int, Field(ge=1, le=4096)]
    layers: Annotated[int, Field(ge=0, le=64)] = 2
    centres: Annotated[int, Field(ge=1, le=1024)] = 18
    cutoff: Annotated[float, Field(gt=0.0, le=100.0)] = 1.2
    members: Annotated[int, Field(ge=1, le=64)]
    stretches: Annotated[tuple[tuple[int, ...], ...], Field(max_length=1000)] = ()


class BeadCard(BaseModel):
    """What there is to know about a learned model.

    Args:
        name: As files and recipes call it, lower case.
        title: For people.
        molecule: What it is a model of, in words.
        reference: What made the forces that it was learned from, in words.
        labels: How many mean forces.
        labels_sha256: Of their positions, forces and errors as they were learned from, in double precision.
        licence: Of the weights.
        temperature: Of the mean forces, K: the model holds at it only.
        scheme: Which beads a residue has.
        residues: Their names, caps included.
        beads: For each bead the row of its residue, and its name.
        bonds: Pairs of beads.
        masses: Of the beads, Da: of the atoms that they lie on, or of the groups that they stand for.
        network: Its sizes.
        spread_factor: What the spread of the members is multiplied by to be the error that was seen on labels held out.
        rank_correlation: Spearman's, of spread and error there; none where it was not measured.
        held_out_error: Root mean square error of a component of the force on labels held out, kJ/mol/nm.
        label_error: The same of those labels themselves, kJ/mol/nm.
        gates: What it was measured by; empty until it was.
        seed: Of the training.
        made_with: Versions of packages.
        weights_sha256: Of the file of its weights.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    name: str = "unnamed"
    title: str = ""
    molecule: str = ""
    reference: str = ""
    labels: int = 0
    labels_sha256: str = ""
    licence: str = "MIT, as the program"
    temperature: Kelvin = 300.0
    scheme: Scheme = "backbone"
    residues: tuple[str, ...]
    beads: tuple[tuple[int, str], ...]
    bonds: tuple[tuple[int, int], ...]
    masses: tuple[float, ...]
    network: NetworkShape
    spread_factor: float = 1.0
    rank_correlation: float | None = None
    held_out_error: float | None = None
    label_error: float | None = None
    gates: tuple[GateLine, ...] = ()
    seed: int = 0
    made_with: dict[str, str] = {}
    weights_sha256: str = ""

    @property
    def passed(self) -> bool:
        """It was measured and kept to every limit."""
        return bool(self.gates) and all(gate.passed for gate in self.gates)

    @property
    def state(self) -> Literal["passed", "failed", "not gated"]:
        """Whether it may be used without being asked for."""
        return "not gated" if not self.gates else "passed" if self.passed else "failed"

    @property
    def doubt(self) -> str:
        """Why it is not used unless asked for, a sentence; empty where it is."""
        if self.passed:
            return ""
        if not self.gates:
            return f"The bead model '{self.name}' was never compared with its reference. Ask for it as a trial, or compare it first."
        missed = [gate.words for gate in self.gates if not gate.passed]
        return f"The bead model '{self.name}' failed its gates ({'; '.join(missed)}). Learn it again from more labels, or ask for it as a trial."

    def structure(self, positions: Floats | None = None) -> Structure:
        """The beads, numbered anew.

        Args:
            positions: (b, 3), nm; all at the origin when left out.
        """
        count = len(self.beads)
        return Structure(
            numbers=np.full(count, CARBON), positions=np.zeros((count, 3)) if positions is None else positions,
            names=tuple(name for _, name in self.beads), residues=tuple(Residue(name, str(row + 1)) for row, name in enumerate(self.residues)),
            residue_index=np.array([row for row, _ in self.beads]), bonds=np.array(self.bonds, dtype=np.int64).reshape(-1, 2),
            bond_orders=np.zeros(len(self.bonds)), formal_charges=np.zeros(count, dtype=np.int64), title=self.title or self.molecule,
        )  # fmt: skip

    def fits(self, beads: Structure) -> bool:
        """These are the beads that it was learned for: the same residues, caps included, names and bonds; protonation aside.

        Args:
            beads: Of the scheme of this card.
        """
        names = tuple(standard(residue.name) for residue in beads.residues)
        sites = tuple(zip(beads.residue_index.tolist(), beads.names, strict=True))
        bonds = {tuple(sorted(pair)) for pair in beads.bonds.tolist()}
        return names == tuple(map(standard, self.residues)) and sites == self.beads and bonds == set(self.bonds)


def read_card(folder: Path) -> BeadCard:
    """The card of a model.

    Args:
        folder: Of the model.

    Raises:
        WeightsError: There is none, or it is damaged.
    """
    try:
        return BeadCard.model_validate_json((folder / CARD).read_bytes())
    except OSError as problem:
        raise WeightsError(f"{folder} holds no bead model: expected {CARD} and {WEIGHTS} in it ({problem.strerror or problem}).") from problem
    except ValidationError as problem:
        raise WeightsError(f"The card {folder / CARD} is no card of a bead model: {explain(problem)} Get the model again.") from problem


def _figure(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.3g}"
