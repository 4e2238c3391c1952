"""The SO3LR network in plain torch: energy of one molecule from its positions and lists of pairs.

The equations of so3krates-torch's model, rearranged so that each unordered pair is evaluated once and whatever does not
depend on positions is computed once per molecule. It knows tensors in angstrom and eV; it must not know structures,
files or settings. Symbols: x invariant features (n, 128), e equivariant features (n, 24), w pair filters, q k v query, key,
value; heads 0-3 update x, heads 4-7 update e, one for each degree of the spherical harmonics.

Sources: So3krates, Frank 2024, 10.1038/s41467-024-50620-6 (equations cited as "So3"); SO3LR, Kabylda 2025,
10.1021/jacs.5c09558; charge embedding, Unke 2021, 10.1038/s41467-021-27504-0; dispersion, Khabibrakhmanov 2023,
10.1021/acs.jctc.3c00797.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag, layer_norm, silu

FEATURES = 128
DEGREES = (1, 2, 3, 4)
HEADS = 4
HEAD = FEATURES // HEADS
COULOMB_EV = 14.399645351950548
BOHR = 0.5291772105638411
HARTREE_EV = 27.211386245988
FINE_STRUCTURE = 0.0072973525693
LAYER_NORM_EPS = 1e-6
KNOTS = 512
"""Intervals of the table of pair filters: with these, interpolation errs by less than float32 rounds."""


class Pairs(NamedTuple):
    """Unordered pairs of atoms: indices i and j, (p,), each pair once."""

    i: Tensor
    j: Tensor


class Settings(NamedTuple):
    """What the network needs to know besides its weights.

    Args:
        cutoff: Range of the messages, angstrom.
        neighbours: Number of neighbours that attention is divided by.
        embeddings: Number of embeddings (element, charge, spin) in the initial features.
        layers: Transformer layers.
        coulomb_width: Width of the smeared charges, angstrom.
        dispersion_scale: Scale of the damping radius of the dispersion.
        long_cutoff: Range of Coulomb and dispersion, angstrom.
        long_damping: Width of the zone in which the dispersion is switched off, angstrom.
    """

    cutoff: float
    neighbours: float
    embeddings: int
    layers: int
    coulomb_width: float
    dispersion_scale: float
    long_cutoff: float
    long_damping: float


class Layer(NamedTuple):
    """Weights of one transformer layer; matrices are laid out for `features @ weight`."""

    qkv: Tensor
    ev1: Tensor
    ev1_bias: Tensor
    ev2: Tensor
    norm1: tuple[Tensor, Tensor]
    mlp: tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]
    mix: tuple[Tensor, Tensor]
    norm2: tuple[Tensor, Tensor]


def _switch(r: Tensor, start: float, stop: float) -> Tensor:
    """Smooth step from 1 at `start` to 0 at `stop`: exp(-1/(1-c)) / (exp(-1/(1-c)) + exp(-1/c)), c the fraction of the way."""
    c = ((r - start) / (stop - start)).clamp(1e-4, 1 - 1e-4)
    return (1 / c - 1 / (1 - c)).sigmoid()


def monomials(u: Tensor) -> Tensor:
    """Products of the components of unit vectors, degrees 1 to 4 side by side, (p, 3 + 9 + 27 + 81)."""
    second = (u[:, :, None] * u[:, None, :]).flatten(1)
    third = (second[:, :, None] * u[:, None, :]).flatten(1)
    fourth = (second[:, :, None] * second[:, None, :]).flatten(1)
    return torch.cat((u, second, third, fourth), dim=1)


class Radial(NamedTuple):
    """Distance part of the pair filters: exponent and log-binomials of the basis, then two linear layers with biases."""

    gamma: Tensor
    log_binomial: Tensor
    first: tuple[Tensor, Tensor]
    second: tuple[Tensor, Tensor]

    def __call__(self, r: Tensor) -> Tensor:
        """Filters at distances r (p,), angstrom: (p, 256 * layers); So3 eq. 20 on Bernstein polynomials of exp(-gamma r)."""
        order = torch.arange(self.log_binomial.shape[0], dtype=r.dtype, device=r.device)
        decay = -self.gamma * r[:, None]
        basis = torch.exp(self.log_binomial + order * decay + order.flip(0) * torch.log(-torch.expm1(decay)))
        hidden = silu(torch.addmm(self.first[1], basis, self.first[0]))
        filters = torch.bmm(hidden.view(r.shape[0], self.second[0].shape[0], FEATURES).transpose(0, 1), self.second[0])
        return filters.transpose(0, 1).reshape(r.shape[0], self.second[1].shape[0]) + self.second[1]


class Table(NamedTuple):
    """`Radial` as a cubic spline of `KNOTS` intervals: one lookup in place of matrix products and their derivatives.

    Rows 4k to 4k+3 hold the coefficients of 1, t, t^2 and t^3 in interval k, t from 0 to 1.
    """

    rows: Tensor
    knots_per_angstrom: Tensor

    def __call__(self, r: Tensor) -> Tensor:
        """What `Radial` gives, for distances within the cutoff."""
        place = (r * self.knots_per_angstrom).clamp(max=KNOTS - 1e-3)
        knot = place.detach().floor()
        t = place - knot
        powers = torch.stack((torch.ones_like(t), t, t * t, t * t * t), dim=1)
        rows = 4 * knot.to(torch.int64)[:, None] + torch.arange(4, device=r.device)
        return embedding_bag(rows, self.rows, per_sample_weights=powers, mode="sum")


class Weights(NamedTuple):
    """What all molecules share; matrices are laid out for `features @ weight`.

    Args:
        spread: Spreads one number of each degree over the components of that degree, (4, 24).
        square: Sums the squares of the components of each degree, (24, 4).
        harmonics: Makes spherical harmonics of `monomials`, (120, 24).
        parity: Sign of each harmonic under inversion, (24,).
        filters: The distance part of the pair filters of all layers side by side.
        layers: The transformer layers.
        zbl: Exponents and weights of the screening function, (4,) each, and the power of the nuclear charge, ().
        head1: First linear layer of the energy, charge and Hirshfeld heads.
        head2: Their second.
    """

    spread: Tensor
    square: Tensor
    harmonics: Tensor
    parity: Tensor
    filters: Radial | Table
    layers: tuple[Layer, ...]
    zbl: tuple[Tensor, Tensor, Tensor]
    head1: tuple[Tensor, Tensor]
    head2: tuple[Tensor, Tensor]


class Molecule(NamedTuple):
    """What depends on the elements and the total charge, for b copies of n atoms, copy after copy (m = b n).

    Args:
        charge: Total charge, e, (b,).
        shift: Sum of the atomic energy shifts, eV, (b,), float64.
        x: Initial features, (m, 128).
        scale: Scale of the atomic energies, (m,), float64.
        z: Nuclear charges, (m,).
        charge_bias: Atomic charges that the elements start from, (m,).
        ratio_bias: Hirshfeld ratios that the elements start from, (m,).
        ratio_key: Keys of the Hirshfeld head, (m, 64).
        alpha: Polarizabilities of the free atoms, bohr^3, (m,).
        c6: Dispersion coefficients of the free atoms, hartree bohr^6, (m,).
    """

    charge: Tensor
    shift: Tensor
    x: Tensor
    scale: Tensor
    z: Tensor
    charge_bias: Tensor
    ratio_bias: Tensor
    ratio_key: Tensor
    alpha: Tensor
    c6: Tensor


class Answer(NamedTuple):
    """Energies (b,), eV, float64; atomic charges (m,), e; Hirshfeld ratios (m,)."""

    energies: Tensor
    charges: Tensor
    ratios: Tensor


class Network(NamedTuple):
    """SO3LR for b copies of one set of atoms: numbers, weights and elements put together. Distances and sums are in float64."""

    settings: Settings
    weights: Weights
    molecule: Molecule

    def __call__(self, positions: Tensor, near: Pairs, far: Pairs) -> Answer:
        """Energies, charges and volume ratios.

        Args:
            positions: (m, 3), angstrom, float64.
            near: All pairs within the network's cutoff, and others if wanted; never between copies.
            far: All pairs within the long-range cutoff, and others if wanted; never between copies.
        """
        w, m = self.weights, self.molecule
        vectors = positions.index_select(0, near.i) - positions.index_select(0, near.j)
        r = vectors.norm(dim=1)
        y = monomials((vectors / r[:, None]).to(w.spread.dtype)) @ w.harmonics
        r = r.to(w.spread.dtype)
        cut = self._cutoff(r)
        x = self._transform(near, cut, torch.cat((y, y * w.parity)), w.filters(r))
        hidden = silu(torch.addmm(w.head1[1], x, w.head1[0]))
        out = torch.addmm(w.head2[1], hidden, w.head2[0])
        raw = (out[:, 1] + m.charge_bias).view(m.charge.shape[0], -1)
        charges = (raw + ((m.charge - raw.sum(dim=1)) / raw.shape[1])[:, None]).flatten()
        ratios = (m.ratio_bias + (m.ratio_key * out[:, 2:]).sum(dim=1)).abs()
        atomic = out[:, 0].to(torch.float64) * m.scale
        atomic = atomic.index_add(0, near.i, self._repulsion(near, r, cut).to(torch.float64))
        atomic = atomic.index_add(0, far.i, self._long_range(positions, far, charges, ratios).to(torch.float64))
        return Answer(atomic.view(m.charge.shape[0], -1).sum(dim=1) + m.shift, charges, ratios)

    def _cutoff(self, r: Tensor) -> Tensor:
        """PhysNet's cutoff function 1 - 6 t^5 + 15 t^4 - 10 t^3, zero beyond the cutoff."""
        t = (r / self.settings.cutoff).clamp(max=1.0)
        return 1 - t**3 * (10 - 15 * t + 6 * t**2)

    def _transform(self, near: Pairs, cut: Tensor, y: Tensor, radial: Tensor) -> Tensor:
        """The Euclidean transformer: invariant features after all layers, (n, 128); So3 eqs. 15-27."""
        layers = self.weights.layers
        to, of = torch.cat((near.i, near.j)), torch.cat((near.j, near.i))
        weight = torch.cat((cut, cut))[:, None]
        x = self.molecule.x
        e = x.new_zeros(x.shape[0], y.shape[1])
        for index, (layer, distant) in enumerate(zip(layers, radial.view(cut.shape[0], len(layers), 2 * FEATURES).unbind(1), strict=True)):
            # e is zero at first: its part of the filters is then a constant, which `radial` holds.
            w = self._geometric(layer, near, e, distant) if index else distant
            qkv = x @ layer.qkv
            q, k, v = qkv[:, : 2 * FEATURES], qkv[:, 2 * FEATURES : 4 * FEATURES], qkv[:, 4 * FEATURES :]
            match = (q.index_select(0, to) * k.index_select(0, of)).view(2, w.shape[0], 2 * FEATURES) * w
            alpha = match.view(to.shape[0], 2 * HEADS, HEAD).sum(dim=2) * weight
            values = alpha[:, :HEADS, None] * v.index_select(0, of).view(to.shape[0], HEADS, HEAD)
            messages = torch.cat((values.view(to.shape[0], FEATURES), (alpha[:, HEADS:] @ self.weights.spread) * y), dim=1)
            change = x.new_zeros(x.shape[0], messages.shape[1]).index_add(0, to, messages)
            x, e = self._interact(layer, x + change[:, :FEATURES], e + change[:, FEATURES:])
        return x

    def _geometric(self, layer: Layer, near: Pairs, e: Tensor, distant: Tensor) -> Tensor:
        """Pair filters of one layer, (p, 256): the distance part plus that of the equivariant features; So3 eqs. 18-20."""
        difference = e.index_select(0, near.i) - e.index_select(0, near.j)
        hidden = silu(torch.addmm(layer.ev1_bias, (difference * difference) @ self.weights.square, layer.ev1))
        return torch.addmm(distant, hidden, layer.ev2)

    def _interact(self, layer: Layer, x: Tensor, e: Tensor) -> tuple[Tensor, Tensor]:
        """Exchange between invariant and equivariant features of each atom; So3 eqs. 24-27."""
        x = layer_norm(x, (FEATURES,), *layer.norm1, LAYER_NORM_EPS)
        (w1, b1), (w2, b2) = layer.mlp
        x = x + torch.addmm(b2, silu(torch.addmm(b1, silu(x), w1)), w2)
        mixed = torch.addmm(layer.mix[1], torch.cat((x, (e * e) @ self.weights.square), dim=1), layer.mix[0])
        x = layer_norm(x + mixed[:, :FEATURES], (FEATURES,), *layer.norm2, LAYER_NORM_EPS)
        return x, e + (mixed[:, FEATURES:] @ self.weights.spread) * e

    def _repulsion(self, near: Pairs, r: Tensor, cut: Tensor) -> Tensor:
        """Ziegler-Biersack-Littmark repulsion of each pair with learned constants, eV, (p,)."""
        exponents, shares, power = self.weights.zbl
        z = self.molecule.z
        charges, extent = z.index_select(0, near.i) * z.index_select(0, near.j), z**power
        reach = (extent.index_select(0, near.i) + extent.index_select(0, near.j)) * r
        screening = torch.exp(reach[:, None] * exponents) @ shares
        return COULOMB_EV * charges / r * screening * cut * _switch(r, 0.0, 1.5)

    def _long_range(self, positions: Tensor, far: Pairs, charges: Tensor, ratios: Tensor) -> Tensor:
        """Damped Coulomb and quantum-Drude-oscillator dispersion of each pair, eV, (p,)."""
        s = self.settings
        i, j = far.i, far.j
        r = (positions.index_select(0, i) - positions.index_select(0, j)).norm(dim=1).to(charges.dtype)
        inside = (r < s.long_cutoff).to(charges.dtype)
        edge, width = s.long_cutoff, s.coulomb_width
        shift = math.erf(edge / width) / edge
        slope = 2 * math.exp(-((edge / width) ** 2)) / (math.sqrt(math.pi) * width * edge) - shift / edge
        coulomb: Tensor = torch.erf(r / width) / r - shift - (1 - _switch(r, 0.45 * edge, edge)) * slope * (r - edge)
        coulomb = COULOMB_EV * charges.index_select(0, i) * charges.index_select(0, j) * coulomb * inside
        alpha, free = self.molecule.alpha * ratios, self.molecule
        root = ((alpha.index_select(0, i) + alpha.index_select(0, j)) / 2) ** (1 / 7)
        radius = FINE_STRUCTURE ** (-4 / 21) * root
        # 1 / gamma_ij = 2 sigma^2, the cubic fit of Khabibrakhmanov 2023.
        width2 = 2 * (((-0.00078893 * radius + 0.04125273) * radius + 0.24428889) * radius - 0.00433008) ** 2
        r2, p2 = (r / BOHR) ** 2, (s.dispersion_scale * 2 * 2.54 * root) ** 2
        r6, p6 = r2**3, p2**3
        series: Tensor = 1 / (r6 + p6) + 5 * width2 / (r6 * r2 + p6 * p2) + 245 / 8 * width2**2 / (r6 * r2**2 + p6 * p2**2)
        # C6_ij = 2 C6_i C6_j a_i a_j / (a_i^2 C6_j + a_j^2 C6_i) with a_i = alpha_i h_i, C6_i = c6_i h_i^2 is a constant times h_i h_j.
        a_i, a_j, c_i, c_j = free.alpha.index_select(0, i), free.alpha.index_select(0, j), free.c6.index_select(0, i), free.c6.index_select(0, j)
        c6 = 2 * c_i * c_j * a_i * a_j / (a_i**2 * c_j + a_j**2 * c_i) * ratios.index_select(0, i) * ratios.index_select(0, j)
        dispersion: Tensor = -HARTREE_EV * c6 * series * _switch(r, edge - s.long_damping, edge)
        return coulomb + dispersion
