"""Training: from labels to a learned model.

    loss = sum_i w_i |F_i - F_prior(r_i) + dE/dr (r_i)|^2,   w_i = 1 / (error_i^2 + floor^2)

Positions of labels do not change, so that coordinates and their slopes are worked out once, and only the network is asked again. All
members of the ensemble are trained at once, each from other weights and with other importance of each label (Rubin 1981's Bayesian
bootstrap, 10.1214/aos/1176345338). Some labels are held out: the best weights on them are kept, and the spread of the members is
calibrated on them. Knows labels and networks; must not know how labels are made. Torch is loaded when it trains.
"""

import hashlib
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from studio.coarse.card import BeadCard, NetworkShape
from studio.coarse.labels import Labels
from studio.coarse.mapping import Scheme
from studio.errors import SettingsError, StructureError
from studio.result import versions
from studio.structure import Floats, Integers, Structure

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from studio.coarse.coordinates import Coordinates
    from studio.coarse.learned import LearnedModel
    from studio.coarse.network import Layout
    from studio.coarse.prior import Prior

INTERNAL_MOST = 12
"""Beads up to which one network sees all coordinates at once."""
FLOOR_D, FLOOR_C = 1e-6, 1e-6
FEWEST = 20
"""Labels that anything can be learned from."""


class Training(BaseModel):
    """How a model is trained.

    Args:
        network: Which network; by the number of beads when `auto`.
        members: Networks that the mean is taken of; their spread says how far to trust it.
        hidden: Width of the layers.
        epochs: Times that every label is seen.
        batch: Labels in a step.
        rate: Learning rate at the start; it falls to zero as a cosine.
        decay: Weight decay.
        held_out: Part of the labels that is not learned from.
        noise_floor: Of the weights of labels, in parts of their median error: labels better than that count alike.
        seed: Of weights, order and what is held out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: Literal["auto", "internal", "graph"] = "auto"
    members: Annotated[int, Field(ge=1, le=16)] = 4
    hidden: Annotated[int, Field(ge=4, le=512)] = 64
    epochs: Annotated[int, Field(ge=1, le=100_000)] = 300
    batch: Annotated[int, Field(ge=1, le=100_000)] = 64
    rate: Annotated[float, Field(gt=0.0, le=1.0)] = 3e-3
    decay: Annotated[float, Field(ge=0.0, le=10.0)] = 1e-3
    held_out: Annotated[float, Field(ge=0.05, le=0.5)] = 0.1
    noise_floor: Annotated[float, Field(ge=0.1, le=100.0)] = 1.0
    seed: Annotated[int, Field(ge=0, lt=2**31 - 1)] = 0

    def kind(self, beads: int) -> Literal["internal", "graph"]:
        """Which network so many beads have.

        Args:
            beads: How many.
        """
        if self.network == "auto":
            return "internal" if beads <= INTERNAL_MOST else "graph"
        return self.network


class Epoch(NamedTuple):
    """How far the training of one member is.

    Args:
        member: Which, from 0.
        epoch: From 1.
        loss: On the labels that it learns from; 1 where it knows no more than the prior.
        held_out: The same on those that were held out.
    """

    member: int
    epoch: int
    loss: float
    held_out: float


Tell = Callable[[Epoch], bool | None]


def fit(
    labels: Labels,
    beads: Structure,
    masses: Floats,
    settings: Training | None = None,
    tell: Tell | None = None,
    *,
    scheme: Scheme = "backbone",
    cold: Floats | None = None,
) -> "LearnedModel":
    """Learn a model.

    Args:
        labels: What beads feel on average.
        beads: The beads, with their bonds.
        masses: Of the beads, Da, (b,).
        settings: How; as `Training` says when left out.
        tell: Called for every member after every epoch; returns False to stop with what is learned by then.
        scheme: Which beads a residue has, for the card.
        cold: Positions sampled at the temperature of the labels, (n, b, 3), nm, which the prior is fitted to; those of the labels when
            left out, whose spread is wider where some were sampled hot.

    Raises:
        SettingsError: Too few labels.
        StructureError: The labels are of another number of beads.
    """
    from studio.coarse.coordinates import Coordinates
    from studio.coarse.learned import LearnedModel
    from studio.coarse.prior import Prior

    settings = settings or Training()
    _check(labels, beads, masses)
    kind = settings.kind(len(beads))
    prior = Prior.fit(labels.positions if cold is None else cold, beads, labels.temperature, twist=kind == "graph")
    coordinates = Coordinates.of(beads)
    shape = NetworkShape(kind=kind, hidden=settings.hidden, members=settings.members)
    card = _card(labels, beads, masses, scheme, shape).model_copy(update={"seed": settings.seed})
    lesson = _Lesson(labels, prior, settings)
    model = LearnedModel(card, prior, lesson.learn(card, coordinates, settings, tell or (lambda _epoch: None)))
    return calibrated(model, labels.take(lesson.held_out))


def calibrated(model: "LearnedModel", held_out: Labels) -> "LearnedModel":
    """The model with a card that says how wrong it is on labels that it never saw, and what its spread has to be multiplied by.

    The mean squared error of forces, less that of the labels themselves, over the mean squared spread of the members, is the square
    of the factor.

    Args:
        model: Its factor so far does not matter.
        held_out: Labels that it did not learn from.
    """
    import torch
    from scipy.stats import spearmanr

    positions = torch.tensor(held_out.positions, dtype=torch.float32)
    said = model.member_forces(positions).numpy().astype(np.float64)
    missed = ((said.mean(axis=0) - held_out.forces) ** 2).sum(axis=2)
    noise = (held_out.errors**2).sum(axis=2)
    found: dict[str, float] = {"held_out_error": float(np.sqrt(missed.mean() / 3)), "label_error": float(np.sqrt(noise.mean() / 3))}
    if len(said) > 1:
        spread = said.var(axis=0, ddof=1).sum(axis=2)
        beyond = max(float((missed - noise).mean()), 0.05 * float(missed.mean()))
        found |= {"spread_factor": math.sqrt(beyond / float(spread.mean())), "rank_correlation": float(spearmanr(spread.ravel(), missed.ravel())[0])}
    return type(model)(model.card.model_copy(update=found), model.prior, model.weights)


def _check(labels: Labels, beads: Structure, masses: Floats) -> None:
    if len(labels) < FEWEST:
        raise SettingsError(f"A model is learned from at least {FEWEST} labels; got {len(labels)}. Make more of them: some hundred are enough for a dipeptide.")
    if labels.positions.shape[1] != len(beads) or len(masses) != len(beads):
        raise StructureError(f"These labels are of {labels.positions.shape[1]} beads, and {len(masses)} masses came; there are {len(beads)} beads.")


def _card(labels: Labels, beads: Structure, masses: Floats, scheme: Scheme, shape: NetworkShape) -> BeadCard:
    digest = hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in (labels.positions, labels.forces, labels.errors)))
    return BeadCard(
        molecule=beads.title, labels=len(labels), labels_sha256=digest.hexdigest(), temperature=labels.temperature, scheme=scheme,
        residues=tuple(residue.name for residue in beads.residues), beads=tuple(zip(beads.residue_index.tolist(), beads.names, strict=True)),
        bonds=tuple((min(pair), max(pair)) for pair in beads.bonds.tolist()), masses=tuple(masses.tolist()), network=shape, made_with=versions(),
    )  # fmt: skip


class _Lesson:
    """What is learned, as tensors: coordinates of each label, their slopes, what the prior leaves to be learned, and how much it counts.

    Args:
        labels: All of them.
        prior: Of the beads.
        settings: What is held out, and how labels count.
    """

    def __init__(self, labels: Labels, prior: "Prior", settings: Training) -> None:
        import torch

        from studio.coarse.coordinates import copies_last

        self.labels, self.prior, self._random = labels, prior, np.random.default_rng(settings.seed)
        self.held_out, self.learned = self._split(settings.held_out)
        floor = settings.noise_floor * float(np.median(labels.errors)) or 1.0
        weight = 1.0 / (labels.errors**2 + floor**2)
        self._weight = torch.tensor(weight / weight.mean(), dtype=torch.float32).flatten(1)
        self._places = copies_last(torch.tensor(labels.positions, dtype=torch.float64))

    def _split(self, part: float) -> tuple[Integers, Integers]:
        """Indices of labels that are held out, and of those that are learned from."""
        order = self._random.permutation(len(self.labels))
        count = max(1, round(part * len(order)))
        return np.sort(order[:count]), np.sort(order[count:])

    def learn(self, card: BeadCard, coordinates: "Coordinates", settings: Training, tell: Tell) -> "dict[str, Tensor]":
        """The weights that were best on what is held out, member by member."""
        import torch

        from studio.coarse.learned import layout_of
        from studio.coarse.network import NETWORKS

        generator = torch.Generator().manual_seed(settings.seed)
        layout = layout_of(card, coordinates)
        self._prepare(card.structure())
        weights = NETWORKS[layout.kind].fresh(layout, settings.members, generator)
        trained = self._started(weights)
        optimiser = torch.optim.AdamW(trained, lr=settings.rate, weight_decay=settings.decay)
        course = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, settings.epochs)
        best, lowest = {name: tensor.detach().clone() for name, tensor in weights.items()}, torch.full((settings.members,), torch.inf)
        importance = torch.tensor(self._random.exponential(size=(settings.members, len(self.labels))), dtype=torch.float32)
        for epoch in range(1, settings.epochs + 1):
            losses = self._epoch(layout, weights, optimiser, settings.batch, importance)
            course.step()
            held = self._losses(layout, weights, torch.tensor(self.held_out)).detach()
            better = held < lowest
            lowest = torch.where(better, held, lowest)
            for name in best.keys() - {"mean", "scale"}:
                best[name][better] = weights[name].detach()[better]
            said = [tell(Epoch(member, epoch, float(losses[member]), float(held[member]))) for member in range(settings.members)]
            if False in said:
                break
        return best

    def _prepare(self, beads: Structure) -> None:
        """Coordinates, slopes and what is left to learn, worked out once in double precision."""
        import torch

        from studio.coarse.coordinates import Coordinates, copies_first

        coordinates = Coordinates.of(beads, torch.float64)
        seen, slopes = coordinates.jacobian(self._places)
        known = copies_first(coordinates.forces(seen, self.prior.slopes(seen))).flatten(1)
        left = torch.tensor(self.labels.forces, dtype=torch.float64).flatten(1) - known
        # Only what internal coordinates can do is learned: the drift and turn of the whole in a label are noise.
        self._values, self._slopes, self._left = seen.values.float(), slopes.float(), left.float()
        pairs, cosines, turns = len(coordinates.pairs), len(coordinates.triples), 2 * len(coordinates.fours)
        self._floor = torch.cat([torch.full((pairs,), FLOOR_D), torch.full((cosines + turns,), FLOOR_C)])
        self._unit = (self._weight * self._left**2).mean()

    def _started(self, weights: "dict[str, Tensor]") -> "list[Tensor]":
        """Set what the data says - centre, width and size - and give the weights to be trained."""
        import torch

        learned = self._values[:, self.learned]
        weights["mean"], weights["scale"] = learned.mean(1), torch.maximum(learned.std(1), self._floor)
        trained = [tensor for name, tensor in weights.items() if name not in {"mean", "scale"}]
        return [tensor.requires_grad_() for tensor in trained]

    def _epoch(self, layout: "Layout", weights: "dict[str, Tensor]", optimiser: "torch.optim.Optimizer", batch: int, importance: "Tensor") -> "Tensor":
        """Go once through the labels; the mean loss of each member."""
        import torch

        order, losses = torch.tensor(self._random.permutation(self.learned)), []
        for chosen in torch.split(order, batch):
            loss = self._losses(layout, weights, chosen, importance[:, chosen])
            optimiser.zero_grad()
            torch.autograd.backward(loss.sum())
            optimiser.step()
            losses.append(loss.detach() * len(chosen))
        return torch.stack(losses).sum(0) / len(order)

    def _losses(self, layout: "Layout", weights: "dict[str, Tensor]", chosen: "Tensor", importance: "Tensor | None" = None) -> "Tensor":
        """Of each member, (m,), in parts of what the prior leaves."""
        import torch

        from studio.coarse.network import NETWORKS

        slopes = NETWORKS[layout.kind](layout, weights).slopes(self._values[:, chosen])
        forces = torch.einsum("rcq,mqr->mrc", self._slopes[chosen], slopes)
        missed = self._weight[chosen] * (forces - self._left[chosen]) ** 2
        if importance is not None:
            missed = missed * importance.unsqueeze(2)
        return missed.mean((1, 2)) / self._unit
