"""Networks: energies of beads from their coordinates, of all members of an ensemble at once.

    E = sum_s w3_s . tanh(W2_s tanh(W1_s (q_s - mean) / scale + b1_s) + b2_s)                 internal
    E = sum_i out(h_i) + sum_t turn(q_t),  h_i <- h_i + V tanh(sum_j h_j * W(r_ij))           graph

q: coordinates (`coordinates.Seen.values`). The first takes its slopes by hand, which makes it quick, and serves to a dozen beads. It
is a sum over stretches s of the chain - each residue, each two neighbours, and the whole - each of which sees its own beads only: what
residues do on their own, nearly all of it, is then learned in two dimensions each and not in all at once. The second sends messages
along distances, as SchNet does (Schuett 2018, 10.1063/1.5019779), and adds terms of single torsions with their angles, since distances
alone cannot tell a molecule from its mirror image.
Weights are plain tensors by name with the members first. Knows tensors; must not know files, beads or settings.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal, Protocol

import torch
from torch import Tensor

Kind = Literal["internal", "graph"]
Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class Layout:
    """What a network needs to know besides its weights.

    Args:
        kind: Which network.
        beads: How many beads there are.
        pairs: The beads of each distance.
        triples: Of each angle.
        fours: Of each torsion.
        hidden: Width of the layers.
        layers: Rounds of messages, of the graph.
        centres: Radial functions, of the graph.
        cutoff: Where messages end, nm, of the graph.
        stretches: The beads that each part of the internal network sees; one part sees all where there is none.
    """

    kind: Kind
    beads: int
    pairs: tuple[tuple[int, ...], ...]
    triples: tuple[tuple[int, ...], ...]
    fours: tuple[tuple[int, ...], ...]
    hidden: int = 64
    layers: int = 2
    centres: int = 18
    cutoff: float = 1.2
    stretches: tuple[tuple[int, ...], ...] = ()

    @property
    def coordinates(self) -> int:
        """How many coordinates there are."""
        return sum(self.parts)

    @property
    def parts(self) -> list[int]:
        """How many distances, cosines, and sines and cosines of torsions."""
        return [len(self.pairs), len(self.triples), 2 * len(self.fours)]

    @cached_property
    def seen(self) -> Tensor:
        """Which coordinates each stretch sees: 1 or 0, (s, 1, q)."""
        rows = [*self.pairs, *self.triples, *self.fours, *self.fours]
        stretches = [set(stretch) for stretch in self.stretches] or [set(range(self.beads))]
        return torch.tensor([[[float(stretch.issuperset(row)) for row in rows]] for stretch in stretches])


class Network(Protocol):
    """Energies and slopes of all members."""

    layout: Layout
    weights: Weights

    def energies(self, values: Tensor) -> Tensor:
        """Of each member, (m, r), from coordinates (q, r)."""
        ...

    def slopes(self, values: Tensor) -> Tensor:
        """dE/dq of each member, (m, q, r)."""
        ...

    def mean_slopes(self, values: Tensor) -> Tensor:
        """dE/dq of the mean of all members, (q, r)."""
        ...


class InternalNetwork:
    """Two hidden layers for each stretch.

    Args:
        layout: Sizes.
        weights: `mean`, `scale` (q,); `w1` (m, s, h, q), `b1` (m, s, h, 1), `w2` (m, s, h, h), `b2` (m, s, h, 1), `w3` (m, s, h, 1).
    """

    NAMES: ClassVar = frozenset({"mean", "scale", "w1", "b1", "w2", "b2", "w3"})

    def __init__(self, layout: Layout, weights: Weights) -> None:
        # tanh(x) = 2 s(2 x) - 1 with the logistic function s, which is six times as fast: its factors are moved into the weights once
        self.layout, self.weights, self._members = layout, weights, len(weights["w1"])
        scaled = (weights["w1"] * layout.seen / weights["scale"]).flatten(0, 1)
        second, third, start, middle = (weights[name].flatten(0, 1) for name in ("w2", "w3", "b1", "b2"))
        self._first, self._start = 2.0 * scaled, 2.0 * (start - scaled @ weights["mean"].unsqueeze(1))
        self._second, self._middle = 4.0 * second, 2.0 * (middle - second.sum(2, keepdim=True))
        self._third, self._last = 2.0 * third, -third.sum((1, 2)).unsqueeze(1)
        self._flat, self._flat_start = self._first.flatten(0, 1), self._start.flatten(0, 1)
        self._down, self._up = self._second.transpose(1, 2).contiguous(), self._flat.T.contiguous()
        self._room: Tensor | None = None

    @staticmethod
    def fresh(layout: Layout, members: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Weights to begin with; `mean` and `scale` are to be set to those of the data.

        Args:
            layout: Sizes.
            members: How many.
            generator: Of random numbers.
        """
        q, h, seen = layout.coordinates, layout.hidden, layout.seen

        def drawn(rows: int, columns: int) -> Tensor:
            return torch.randn(members, len(seen), rows, columns, generator=generator)

        return {
            "mean": torch.zeros(q), "scale": torch.ones(q), "w1": drawn(h, q) * seen / seen.sum(2, keepdim=True).sqrt(), "b1": 0.1 * drawn(h, 1),
            "w2": drawn(h, h) / math.sqrt(h), "b2": 0.1 * drawn(h, 1), "w3": drawn(1, h).mT.contiguous() / math.sqrt(h),
        }  # fmt: skip

    def energies(self, values: Tensor) -> Tensor:
        """See `Network`."""
        return self._summed((self._third * self._hidden(values)[1]).sum(1) + self._last)

    def _summed(self, parts: Tensor) -> Tensor:
        """From all stretches of all members, (m s, ...), to the members, (m, ...)."""
        return parts.view(self._members, -1, *parts.shape[1:]).sum(1)

    def _hidden(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Both layers of all stretches of all members, (m s, h, r)."""
        low = torch.addmm(self._flat_start, self._flat, values).sigmoid_().view(len(self._first), -1, values.shape[1])
        return low, torch.baddbmm(self._middle, self._second, low).sigmoid_()

    def _lower(self, values: Tensor) -> Tensor:
        """The slopes along what enters the first layers, (m s, h, r)."""
        low, high = self._hidden(values)
        return (self._down @ ((high - high * high) * self._third)) * (low - low * low)

    def slopes(self, values: Tensor) -> Tensor:
        """See `Network`."""
        # all units of a member in one product: its stretches are summed on the way
        first, lower = self._first.view(self._members, -1, values.shape[0]), self._lower(values)
        return first.mT @ lower.view(self._members, -1, values.shape[1])

    def mean_slopes(self, values: Tensor) -> Tensor:
        """See `Network`; not to be differentiated, and in memory that is used again, as fetching new memory would cost more than the work."""
        low, high, back = self._rooms(values.shape[1])
        torch.addmm(self._flat_start, self._flat, values, out=low.flatten(0, 1)).sigmoid_()
        torch.baddbmm(self._middle, self._second, low, out=high).sigmoid_()
        high.sub_(torch.mul(high, high, out=back)).mul_(self._third)
        torch.bmm(self._down, high, out=back)
        low.sub_(torch.mul(low, low, out=high))
        slopes: Tensor = self._up @ back.mul_(low).flatten(0, 1)
        return slopes.div_(self._members)

    def _rooms(self, copies: int) -> Tensor:
        """Three pieces of memory of the size of a layer, (3, m s, h, r)."""
        if self._room is None or self._room.shape[3] != copies:
            self._room = self._first.new_empty((3, *self._first.shape[:2], copies))
        return self._room


class GraphNetwork:
    """Messages along distances, and terms of torsions.

    Args:
        layout: Sizes.
        weights: See `fresh`.
    """

    def __init__(self, layout: Layout, weights: Weights) -> None:
        self.layout, self.weights = layout, weights
        ends = torch.tensor(layout.pairs, dtype=torch.long).reshape(-1, 2)
        self._to, self._from = torch.cat((ends[:, 0], ends[:, 1])), torch.cat((ends[:, 1], ends[:, 0]))
        rows = {frozenset(triple): row for row, triple in enumerate(layout.triples)}
        self._angles = torch.tensor([[rows[frozenset(four[:3])], rows[frozenset(four[1:])]] for four in layout.fours], dtype=torch.long).reshape(-1, 2)

    @staticmethod
    def fresh(layout: Layout, members: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Weights to begin with.

        Args:
            layout: Sizes.
            members: How many.
            generator: Of random numbers.
        """
        h, own = layout.hidden, layout.hidden // 4

        def drawn(*shape: int) -> Tensor:
            return torch.randn(members, *shape, generator=generator) / math.sqrt(shape[0])

        weights = {"bead": torch.randn(members, 1, layout.beads, h, generator=generator), "turn": drawn(1, len(layout.fours), own)}
        for layer in range(layout.layers):
            weights |= {f"radial{layer}": drawn(layout.centres, h), f"filter{layer}": drawn(h, h), f"mix{layer}": drawn(h, h), f"add{layer}": drawn(h, h)}
        weights |= {"out1": drawn(h, h), "out2": drawn(h, 1), "turn1": drawn(4 + own, h), "turn2": drawn(h, h), "turn3": drawn(h, 1)}
        return weights | {"mean": torch.zeros(layout.coordinates), "scale": torch.ones(layout.coordinates)}

    def energies(self, values: Tensor) -> Tensor:
        """See `Network`."""
        distances, cosines, turns = torch.split(values.T, self.layout.parts, dim=1)
        return self._chained(cosines, turns) + self._messages(distances)

    def _messages(self, distances: Tensor) -> Tensor:
        """Energies of beads among their neighbours, (m, r); distances (r, p)."""
        weights, layout = self.weights, self.layout
        centres = torch.linspace(0.3, layout.cutoff, layout.centres)
        width = (layout.cutoff - 0.3) / layout.centres
        fade = 0.5 * (torch.cos(math.pi * (distances / layout.cutoff).clamp_max(1.0)) + 1.0)
        radial = torch.exp(-0.5 * ((distances.unsqueeze(2) - centres) / width) ** 2) * fade.unsqueeze(2)
        beads = weights["bead"].expand(-1, len(distances), -1, -1)
        for layer in range(layout.layers):
            sent = _by_member(torch.tanh(_by_member(radial.unsqueeze(0), weights[f"radial{layer}"])), weights[f"filter{layer}"])
            sent = (sent * fade.unsqueeze(2)).repeat(1, 1, 2, 1) * _by_member(beads, weights[f"mix{layer}"])[:, :, self._from]
            came = torch.zeros_like(beads).index_add(2, self._to, sent)
            beads = beads + _by_member(torch.tanh(came), weights[f"add{layer}"])
        return _by_member(torch.tanh(_by_member(beads, weights["out1"])), weights["out2"]).sum((2, 3))

    def _chained(self, cosines: Tensor, turns: Tensor) -> Tensor:
        """Energies of torsions with their angles, (m, r)."""
        weights, shift, scale = self.weights, self.weights["mean"], self.weights["scale"]
        p, a, _ = self.layout.parts
        bent = ((cosines - shift[p : p + a]) / scale[p : p + a])[:, self._angles]
        seen = torch.cat((bent, torch.stack(turns.chunk(2, dim=1), dim=2)), dim=2).expand(len(weights["turn"]), -1, -1, -1)
        hidden = torch.cat((seen, weights["turn"].expand(-1, len(turns), -1, -1)), dim=3)
        for name in ("turn1", "turn2"):
            hidden = torch.tanh(_by_member(hidden, weights[name]))
        return _by_member(hidden, weights["turn3"]).sum((2, 3))

    def slopes(self, values: Tensor) -> Tensor:
        """See `Network`; with the graph of the slopes where weights are trained."""
        with torch.enable_grad():
            values = values.detach().requires_grad_()
            energies = self.energies(values).sum(1)
            trained = any(tensor.requires_grad for tensor in self.weights.values())
            rows = [torch.autograd.grad(energy, values, retain_graph=True, create_graph=trained)[0] for energy in energies]
        return torch.stack(rows)

    def mean_slopes(self, values: Tensor) -> Tensor:
        """See `Network`."""
        with torch.enable_grad():
            values = values.detach().requires_grad_()
            energy = self.energies(values).mean(0).sum()
            (slopes,) = torch.autograd.grad(energy, values)
        return slopes


def _by_member(rows: Tensor, weights: Tensor) -> Tensor:
    """Rows (m or 1, r, x, h) through the matrix of each member, (m, h, k)."""
    members = len(weights)
    through = rows.expand(members, -1, -1, -1).flatten(1, 2) @ weights
    return through.view(members, rows.shape[1], rows.shape[2], -1)


NETWORKS: dict[Kind, type[InternalNetwork] | type[GraphNetwork]] = {"internal": InternalNetwork, "graph": GraphNetwork}
