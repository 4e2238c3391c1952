"""Learned beads: a learned model of the shelf as what beads of a system feel, one copy of them, moved by OpenMM like anything else.

Replicas by the hundred are moved by `batched`. Knows the shelf, structures and OpenMM; must not know networks. Torch is loaded when it
is built.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from studio.coarse import shelf
from studio.coarse.card import BeadCard
from studio.coarse.chain import system_of
from studio.coarse.mapping import map_protein
from studio.coarse.parts import chosen, placed
from studio.errors import UnsupportedError, WeightsError
from studio.forcefield.base import MMSystem
from studio.region import AnyRegion, KindIs
from studio.structure import Floats, Structure

if TYPE_CHECKING:
    import openmm

    from studio.coarse.learned import LearnedModel

ADVICE = "Learn one: some hundred mean forces of a dipeptide take a few minutes."


class Learned(BaseModel):
    """Settings of beads by a learned model.

    Args:
        of: Which residues become beads.
        model: Its name on the shelf; the first that fits and passed its gates when left out.
        sha256: Of its weights, where another model of that name will not do.
        trial: Use it although it failed its gates, or was never measured.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["learned"] = "learned"
    of: AnyRegion = KindIs(of="protein")
    model: str = ""
    sha256: str = ""
    trial: bool = False

    @property
    def friction(self) -> float:
        """Of the thermostat, 1/ps."""
        return 5.0

    @property
    def timestep(self) -> float:
        """That is tried first, fs: these beads are as light as atoms, and bonded as stiffly."""
        return 2.0

    def choose(self, protein: Structure) -> tuple[str, BeadCard]:
        """The model for these residues, and its name.

        Args:
            protein: Its atoms, or its beads.

        Raises:
            UnsupportedError: None fits, or what fits failed its gates.
            PluginError: There is no model of that name.
            WeightsError: It is not the one with that hash.
        """
        found = {self.model: shelf.card(self.model)} if self.model else shelf.fitting(protein)
        if not found:
            raise UnsupportedError(f"No learned model is of {_sequence(protein)}. {_there()} {ADVICE}")
        name, card = next(iter(found.items()))
        if card.doubt and not self.trial:
            raise UnsupportedError(card.doubt)
        if self.sha256 and self.sha256 != card.weights_sha256:
            raise WeightsError(f"The bead model '{name}' is another one now: expected SHA-256 {self.sha256}, got {card.weights_sha256}. Choose it anew.")
        return name, card

    def build(self, prepared: Structure, now: Structure, temperature: float, ph: float) -> MMSystem:
        """The beads where they are now, and what moves them.

        Args:
            prepared: Atoms.
            now: The same atoms, or the beads, at present positions.
            temperature: At which they will move, K; the model holds at that of its card only.
            ph: Not used: charges were as they were when it was learned.

        Raises:
            UnsupportedError: There is no such model, it failed its gates, or it is of other residues.
            WeightsError: It is damaged.
            RegionError: The region is empty.
        """
        part = chosen(prepared, self.of)
        name, card = self.choose(part)
        beads = replace(map_protein(part, card.scheme).beads, box=None)
        if not card.fits(beads):
            raise UnsupportedError(f"The bead model '{name}' was learned for {' '.join(card.residues)}, and this is {_sequence(part)}. Choose one that fits.")
        model = shelf.load(name)
        told = [f"{len(beads)} beads by the learned model '{name}' ({card.labels} mean forces, {card.reference}); time is CG time."]
        if abs(temperature - card.temperature) > 1.0:
            told.append(f"The model was learned at {card.temperature:g} K and holds there: at {temperature:g} K its surface is not that of the molecule.")
        made = {
            "coarse_model": "learned", "bead_model": name, "bead_model_sha256": card.weights_sha256, "bead_model_gates": card.state,
            "learned_from": f"{card.labels} mean forces at {card.temperature:g} K, {card.reference}",
        }  # fmt: skip
        system = system_of(beads, np.array(card.masses), [_force(model)], 0.0, settle=1)  # their friction brings drift back within 100 steps
        there = placed(beads, now, lambda other: replace(map_protein(chosen(other, self.of), card.scheme).beads, box=None))
        return MMSystem(there.with_notes(*told), system, made)


def _force(model: "LearnedModel") -> "openmm.Force":
    import openmm

    force = openmm.PythonForce(_asked(model), {})
    force.setName("Learned beads")
    return force


def _asked(model: "LearnedModel") -> "Callable[[openmm.State], tuple[float, Floats]]":
    """Energy and forces as OpenMM asks for them."""
    import torch
    from openmm import unit

    def asked(state: "openmm.State") -> tuple[float, Floats]:
        places = np.asarray(state.getPositions(asNumpy=True).value_in_unit(unit.nanometer))
        # in single precision numbers are finest near the origin
        energies, forces = model.energies_forces(torch.tensor(places - places.mean(axis=0), dtype=torch.float32)[None])
        return float(energies[0]), forces[0].numpy().astype(np.float64)

    return asked


def _sequence(protein: Structure) -> str:
    names = [residue.name for residue in protein.residues if residue.kind == "protein"]
    return " ".join(names) if len(names) <= 12 else f"these {len(names)} residues"


def _there() -> str:
    """What the shelf holds, a sentence."""
    known = [f"{name} ({' '.join(card.residues)})" for name, card in shelf.cards().items()]
    return f"There are models of {', '.join(known)}." if known else "There is none on the shelf yet."
