"""Training: from labels to a learned model.

    loss = sum_i sum_c w_ic [Q_c(F_i) - Q_c(F_prior(r_i)) - Q_c(-dE/dr(r_i))]^2,   w_ic = v_ic / <v_ic Q_c^2>,   v_ic = 1 / (error_ic^2 + floor_c^2)

Q_c(F): the force F along bond, angle or torsion c. Each of them counts alike, torsions more: as forces on beads, those along stiff
bonds are a hundred times those along torsions, whose surface would be the last thing to be learned though it is all that matters.
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
from studio.coarse.shape import stretches
from studio.errors import SettingsError, StructureError
from studio.result import versions
from studio.structure import Floats, Integers, Structure

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from studio.coarse.coordinates import Coordinates, Seen
    from studio.coarse.learned import LearnedModel
    from studio.coarse.network import Layout
    from studio.coarse.prior import Prior

INTERNAL_MOST = 12
"""Beads up to which one network sees all coordinates at once."""
SMOOTH_NM, SMOOTH = 0.02, 0.1
"""Widths that distances (nm), cosines and sines are measured by at least: what is stiff changes so little that an energy is smooth along it."""
FEWEST = 20
"""Labels that anything can be learned from."""


class Training(BaseModel):
    """How a model is trained.

    Args:
        network: Which network; by the number of beads when `auto`.
        members: Networks that the mean is taken of; their spread says how far to trust it.
        hidden: Width of the layers; half of it for each stretch of a chain that turns at several places.
        epochs: Times that every label is seen.
        batch: Labels in a step.
        rate: Learning rate at the start; it falls to zero as a cosine.
        decay: Weight decay.
        held_out: Part of the labels that is not learned from.
        noise_floor: Of the weights of labels, in parts of their median error: labels better than that count alike.
        torsions: How much more the forces along torsions count than those along bonds and angles.
        seed: Of weights, order and what is held out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: Literal["auto", "internal", "graph"] = "auto"
    members: Annotated[int, Field(ge=1, le=16)] = 4
    hidden: Annotated[int, Field(ge=4, le=512)] = 64
    epochs: Annotated[int, Field(ge=1, le=100_000)] = 300
    batch: Annotated[int, Field(ge=1, le=100_000)] = 64
    rate: Annotated[float, Field(gt=0.0, le=1.0)] = 3e-3
    decay: Annotated[float, Field(ge=0.0, le=10.0)] = 0.3
    held_out: Annotated[float, Field(ge=0.05, le=0.5)] = 0.1
    noise_floor: Annotated[float, Field(ge=0.1, le=100.0)] = 1.0
    torsions: Annotated[float, Field(gt=0.0, le=1000.0)] = 4.0
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
    parts = stretches(beads) if kind == "internal" else ()
    hidden = settings.hidden if len(parts) < 2 else max(settings.hidden // 2, 1)
    shape = NetworkShape(kind=kind, hidden=hidden, members=settings.members, stretches=parts)
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
        self._noise_floor, self._torsions = settings.noise_floor, settings.torsions
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
        seen, jacobian = coordinates.jacobian(self._places)
        known = copies_first(coordinates.forces(seen, self.prior.slopes(seen))).flatten(1)
        left = torch.tensor(self.labels.forces, dtype=torch.float64).flatten(1) - known
        along = _along_chain(coordinates, seen, jacobian)
        self._values, self._slopes = seen.values.float(), (along @ jacobian).float()
        self._left = (along @ left.unsqueeze(2)).squeeze(2).float()
        noise = (along**2 @ torch.tensor(self.labels.errors**2, dtype=torch.float64).flatten(1).unsqueeze(2)).squeeze(2).float()
        typical = noise.median(0).values
        trusted = 1.0 / (noise + self._noise_floor**2 * typical + 1e-12)
        trusted = trusted / trusted.mean(0)
        soft = torch.ones(self._left.shape[1])
        soft[len(soft) - len(coordinates.fours) :] = self._torsions
        self._weight = trusted * soft / (trusted * self._left**2).mean(0)
        self._unit = soft.mean()
        pairs, others = len(coordinates.pairs), len(coordinates.triples) + 2 * len(coordinates.fours)
        self._floor = torch.tensor([SMOOTH_NM] * pairs + [SMOOTH] * others)

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


def _along_chain(coordinates: "Coordinates", seen: "Seen", jacobian: "Tensor") -> "Tensor":
    """What turns forces on beads into those along bonds, angles and torsions, (n, c, 3 b): drift and turn of the whole are left out."""
    import torch

    pairs, triples, turns = coordinates.pairs, coordinates.triples, len(coordinates.fours)
    bonded = {(int(min(i, j)), int(max(i, j))) for i, j, _ in triples} | {(int(min(j, k)), int(max(j, k))) for _, j, k in triples}
    rows = [row for row, pair in enumerate(pairs.tolist()) if tuple(pair) in bonded or not len(triples)]
    rows += range(len(pairs), len(pairs) + len(triples))
    sines, cosines = seen.turns.T.unsqueeze(1).chunk(2, dim=2)
    turning = jacobian[:, :, -2 * turns : -turns or None] * cosines - jacobian[:, :, jacobian.shape[2] - turns :] * sines
    inverse: Tensor = torch.linalg.pinv(torch.cat((jacobian[:, :, rows], turning), dim=2))
    return inverse
