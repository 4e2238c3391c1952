"""Learned: a model of beads that was learned - a prior, an ensemble of networks and the card that says what they are - and its files.

    U(r) = U_prior(q(r)) + 1/m sum_k E_k(q(r))

A folder holds `model.json` (the card) and `weights.npz` (plain arrays). No byte of the weights is interpreted before its SHA-256 is
that of the card, and nothing in them can be run. Knows networks and files; must not know how they were trained.
"""

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from studio.coarse.card import CARD, WEIGHTS, BeadCard, read_card
from studio.coarse.coordinates import Coordinates, Seen, copies_first, copies_last
from studio.coarse.network import NETWORKS, Layout, Network, Weights
from studio.coarse.prior import Prior
from studio.errors import WeightsError
from studio.files import DAMAGED, storage, write_whole

LARGEST = 64 * 2**20
"""Bytes of weights that are read at most."""
MOST_BEADS = 2000
"""All pairs of beads are looked at."""


@dataclass(frozen=True, eq=False)
class LearnedModel:
    """A learned model of one kind of molecule.

    Args:
        card: What it is.
        prior: See `prior`.
        weights: Of the networks, all members first.
    """

    card: BeadCard
    prior: Prior
    weights: Weights

    @cached_property
    def coordinates(self) -> Coordinates:
        """What energies depend on."""
        return Coordinates.of(self.card.structure())

    @cached_property
    def network(self) -> Network:
        """All members."""
        return network_of(self.card, self.coordinates, self.weights)

    @property
    def key(self) -> str:
        """SHA-256 of the weights as they would be written."""
        return hashlib.sha256(self._content).hexdigest()

    @property
    def bonds(self) -> tuple[tuple[int, int], ...]:
        """Pairs of beads that hold together."""
        return self.card.bonds

    def energies_forces(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Energies (r,), kJ/mol, and forces (r, b, 3), kJ/mol/nm, of the mean of the members.

        Args:
            positions: Of r copies, (r, b, 3), nm.
        """
        with torch.no_grad():
            seen = self._seen(positions)
            return self.prior.energies(seen) + self.network.energies(seen.values).mean(0), copies_first(self._forces(seen))

    def energy(self, positions: Tensor) -> Tensor:
        """Energies, (r,), kJ/mol, to be differentiated by whoever wants to.

        Args:
            positions: Of r copies, (r, b, 3), nm.
        """
        seen = self._seen(positions)
        return self.prior.energies(seen) + self.network.energies(seen.values).mean(0)

    def forces(self, places: Tensor) -> Tensor:
        """Forces (b, 3, r), kJ/mol/nm, as quick as can be.

        Args:
            places: Positions with the copies last, (b, 3, r), nm.
        """
        with torch.no_grad():
            return self._forces(self.coordinates(places))

    def energies(self, places: Tensor) -> Tensor:
        """Energies (r,), kJ/mol.

        Args:
            places: Positions with the copies last, (b, 3, r), nm.
        """
        with torch.no_grad():
            seen = self.coordinates(places)
            return self.prior.energies(seen) + self.network.energies(seen.values).mean(0)

    def _forces(self, seen: Seen) -> Tensor:
        return self.coordinates.forces(seen, self.prior.slopes(seen).add_(self.network.mean_slopes(seen.values)))

    def _seen(self, positions: Tensor) -> Seen:
        return self.coordinates(copies_last(positions.to(torch.float32)))

    def member_forces(self, positions: Tensor) -> Tensor:
        """What each member says, prior included, (m, r, b, 3), kJ/mol/nm.

        Args:
            positions: Of r copies, (r, b, 3), nm.
        """
        with torch.no_grad():
            seen = self._seen(positions)
            prior = self.prior.slopes(seen)
            return torch.stack([copies_first(self.coordinates.forces(seen, prior + slopes)) for slopes in self.network.slopes(seen.values)])

    def spread(self, positions: Tensor) -> Tensor:
        """How wrong the force on each bead may be: the standard deviation of the members, times the factor of the card, (r, b), kJ/mol/nm.

        Args:
            positions: Of r copies, (r, b, 3), nm.
        """
        said = self.member_forces(positions)
        if len(said) < 2:
            return torch.full(said.shape[1:3], torch.nan)
        return self.card.spread_factor * said.var(0).sum(2).sqrt()

    @cached_property
    def _content(self) -> bytes:
        arrays: dict[str, NDArray[np.float64] | NDArray[np.float32]] = {f"prior_{name}": array for name, array in self.prior.state().items()}
        arrays |= {f"network_{name}": tensor.detach().numpy().astype(np.float32) for name, tensor in self.weights.items()}
        content = io.BytesIO()
        np.savez(content, allow_pickle=False, **{name: arrays[name] for name in sorted(arrays)})
        return content.getvalue()

    def save(self, folder: Path) -> "LearnedModel":
        """Write the model; the same with the hash of its weights on its card comes back.

        Args:
            folder: Made where it is not there.

        Raises:
            StorageError: No space or no permission.
        """
        with storage(folder):
            folder.mkdir(parents=True, exist_ok=True)
        card = self.card.model_copy(update={"weights_sha256": self.key})
        write_whole(folder / WEIGHTS, self._content)
        write_whole(folder / CARD, (json.dumps(card.model_dump(mode="json"), indent=1) + "\n").encode())
        return LearnedModel(card, self.prior, self.weights)

    @classmethod
    def load(cls, folder: Path) -> "LearnedModel":
        """What `save` wrote.

        Args:
            folder: With its card and its weights.

        Raises:
            WeightsError: Something is missing, damaged, or not what the card says.
        """
        card = read_card(folder)
        return cls.of(card, _arrays(folder / WEIGHTS, card.weights_sha256), str(folder))

    @classmethod
    def of(cls, card: BeadCard, arrays: Mapping[str, NDArray[np.float64]], where: str) -> "LearnedModel":
        """A model from its card and plain arrays.

        Args:
            card: What it is.
            arrays: `prior_...` and `network_...` by name.
            where: They come from, for the user.

        Raises:
            WeightsError: An array is missing, of another shape, or holds something that is no number.
        """
        _check_size(card, where)
        wrong = next((name for name, array in arrays.items() if array.dtype.kind != "f" or not np.isfinite(array).all()), "")
        if wrong:
            raise WeightsError(f"The weights in {where} hold something that is no number, in '{wrong}'. Do not use them.")
        parts = {kind: {name.removeprefix(kind): array for name, array in arrays.items() if name.startswith(kind)} for kind in ("prior_", "network_")}
        try:
            prior = Prior.from_state(parts["prior_"])
        except KeyError as problem:
            raise WeightsError(f"The weights in {where} lack the part {problem} of the prior. Get the model again.") from problem
        model = cls(card, prior, {name: torch.tensor(array, dtype=torch.float32) for name, array in parts["network_"].items()})
        _check_shapes(model, where)
        return model


def network_of(card: BeadCard, coordinates: Coordinates, weights: Weights) -> Network:
    """The networks of a card with these weights.

    Args:
        card: Which network, and its sizes.
        coordinates: Of its beads.
        weights: By name.
    """
    return NETWORKS[card.network.kind](layout_of(card, coordinates), weights)


def layout_of(card: BeadCard, coordinates: Coordinates) -> Layout:
    """What the network of a card needs to know besides its weights.

    Args:
        card: Of the model.
        coordinates: Of its beads.
    """
    shape = card.network
    pairs, triples, fours = (tuple(map(tuple, rows.tolist())) for rows in (coordinates.pairs, coordinates.triples, coordinates.fours))
    return Layout(shape.kind, coordinates.beads, pairs, triples, fours, shape.hidden, shape.layers, shape.centres, shape.cutoff, shape.stretches)


def _arrays(path: Path, sha256: str) -> dict[str, NDArray[np.float64]]:
    """The arrays of a file, after its hash was compared."""
    try:
        if path.stat().st_size > LARGEST:
            raise WeightsError(f"The weights {path} are larger than any bead model, {LARGEST // 2**20} MB. Do not use them.")
        content = path.read_bytes()
    except FileNotFoundError as problem:
        raise WeightsError(f"The weights {path} are missing. Get the model again.") from problem
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise WeightsError(f"The weights {path} are not those of their card: expected SHA-256 {sha256}, got {found}. Get the model again.")
    return read_arrays(content, str(path))


def read_arrays(content: bytes, where: str) -> dict[str, NDArray[np.float64]]:
    """Plain arrays of an npz file; objects are refused.

    Args:
        content: Of the file.
        where: It comes from, for the user.

    Raises:
        WeightsError: It is damaged, or holds objects.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, *DAMAGED) as problem:
        raise WeightsError(f"The weights {where} are no plain arrays: {problem} Do not use them.") from problem


def _check_size(card: BeadCard, where: str) -> None:
    """The card asks for no more than a file of weights can hold: a card from elsewhere may ask for anything.

    Raises:
        WeightsError: It does.
    """
    shape = card.network
    numbers = max(len(shape.stretches), 1) * shape.members * max(shape.layers, 1) * shape.hidden**2
    if 4 * numbers > LARGEST or len(card.beads) > MOST_BEADS:
        raise WeightsError(f"The card in {where} asks for larger networks than a bead model has, or more than {MOST_BEADS:,} beads. Do not use it.")
    if len(card.masses) != len(card.beads):
        raise WeightsError(f"The card in {where} has {len(card.beads)} beads and masses for {len(card.masses)}. Get the model again.")


def _check_shapes(model: LearnedModel, where: str) -> None:
    """Every array has the shape that the card says.

    Raises:
        WeightsError: One has not.
    """
    layout = layout_of(model.card, model.coordinates)
    wanted = {name: tuple(tensor.shape) for name, tensor in NETWORKS[layout.kind].fresh(layout, model.card.network.members, torch.Generator()).items()}
    wanted |= {f"prior {name}": array.shape for name, array in Prior.empty(model.coordinates).state().items()}
    came = {name: tuple(tensor.shape) for name, tensor in model.weights.items()}
    came |= {f"prior {name}": array.shape for name, array in model.prior.state().items()}
    for name in sorted(wanted.keys() | came.keys()):
        if wanted.get(name) != came.get(name):
            raise WeightsError(
                f"The weights in {where} do not fit their card: '{name}' is {came.get(name, 'missing')}, expected {wanted.get(name, 'nothing')}. "
                "Get the model again."
            )
