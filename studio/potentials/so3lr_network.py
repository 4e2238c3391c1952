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

import numpy as np
import torch
from scipy.interpolate import CubicSpline
from scipy.special import sph_harm_y
from torch import Tensor
from torch.nn.functional import embedding_bag, layer_norm, silu, softplus

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
FREE_ATOMS = {1: (4.5, 6.5), 6: (12.0, 46.6), 7: (7.4, 24.2), 8: (5.4, 15.6), 9: (3.8, 9.52), 15: (25.0, 185.0), 16: (19.6, 134.0), 17: (15.0, 94.6)}
"""Polarizability (bohr^3) and C6 (hartree bohr^6) of free atoms by atomic number: Chu and Dalgarno 2004, 10.1063/1.1779576."""


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


class _Layer(NamedTuple):
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


def _monomials(u: Tensor) -> Tensor:
    """Products of the components of unit vectors, degrees 1 to 4 side by side, (p, 3 + 9 + 27 + 81)."""
    second = (u[:, :, None] * u[:, None, :]).flatten(1)
    third = (second[:, :, None] * u[:, None, :]).flatten(1)
    fourth = (second[:, :, None] * second[:, None, :]).flatten(1)
    return torch.cat((u, second, third, fourth), dim=1)


def _block_diagonal(*blocks: Tensor) -> Tensor:
    """Matrix with `blocks` along its diagonal."""
    whole = torch.zeros(sum(len(block) for block in blocks), sum(block.shape[1] for block in blocks), dtype=blocks[0].dtype)
    row = column = 0
    for block in blocks:
        whole[row : row + len(block), column : column + block.shape[1]] = block
        row, column = row + len(block), column + block.shape[1]
    return whole


def _harmonics() -> Tensor:
    """Matrix (120, 24), float64, that turns `_monomials` into real spherical harmonics of `DEGREES`, found by least squares.

    The model depends on each degree only through sums of squares, so any orthonormal basis of it will do.
    """
    rng = np.random.default_rng(0)
    u = rng.normal(size=(400, 3))
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    monomials = _monomials(torch.from_numpy(u)).numpy()
    polar, azimuth = np.arccos(u[:, 2]), np.arctan2(u[:, 1], u[:, 0])
    matrix = np.zeros((120, sum(2 * degree + 1 for degree in DEGREES)))
    row = column = 0
    for degree in DEGREES:
        waves = [sph_harm_y(degree, m, polar, azimuth) for m in range(degree + 1)]
        values = [waves[0].real] + [math.sqrt(2) * part for wave in waves[1:] for part in (wave.real, wave.imag)]
        block = monomials[:, row : row + 3**degree]
        matrix[row : row + 3**degree, column : column + 2 * degree + 1] = np.linalg.lstsq(block, np.stack(values, axis=1), rcond=None)[0]
        row, column = row + 3**degree, column + 2 * degree + 1
    return torch.from_numpy(matrix)


class Radial(NamedTuple):
    """Distance part of the pair filters: exponent and log-binomials of the basis, then two linear layers with biases."""

    gamma: Tensor
    log_binomial: Tensor
    first: tuple[Tensor, Tensor]
    second: tuple[Tensor, Tensor]

    def __call__(self, r: Tensor) -> Tensor:
        """Filters at distances r (p,), angstrom: (p, 256 * layers); So3 eq. 20 on Bernstein polynomials of exp(-gamma r)."""
        order = torch.arange(len(self.log_binomial), dtype=r.dtype, device=r.device)
        decay = -self.gamma * r[:, None]
        basis = torch.exp(self.log_binomial + order * decay + order.flip(0) * torch.log(-torch.expm1(decay)))
        hidden = silu(torch.addmm(self.first[1], basis, self.first[0]))
        filters = torch.bmm(hidden.view(len(r), len(self.second[0]), FEATURES).transpose(0, 1), self.second[0])
        return filters.transpose(0, 1).reshape(len(r), len(self.second[1])) + self.second[1]


class Table(NamedTuple):
    """`Radial` as a cubic spline of `KNOTS` intervals: one lookup in place of matrix products and their derivatives.

    Rows 4k to 4k+3 hold the coefficients of 1, t, t^2 and t^3 in interval k, t from 0 to 1.
    """

    rows: Tensor
    cutoff: float

    @classmethod
    def of(cls, radial: Radial, cutoff: float) -> "Table":
        """Tabulate `radial`, which is in float64, up to `cutoff`."""
        r = torch.linspace(0.0, cutoff, KNOTS + 1, dtype=torch.float64).clamp(min=1e-6)
        spline = CubicSpline(np.arange(KNOTS + 1), radial(r).numpy())
        rows = torch.from_numpy(spline.c[::-1].swapaxes(0, 1).copy())
        return cls(rows.reshape(4 * KNOTS, -1), cutoff)

    def __call__(self, r: Tensor) -> Tensor:
        """What `Radial` gives, for distances within the cutoff."""
        place = (r / self.cutoff * KNOTS).clamp(max=KNOTS - 1e-3)
        knot = place.detach().floor()
        t = place - knot
        powers = torch.stack((torch.ones_like(t), t, t * t, t * t * t), dim=1)
        rows = 4 * knot.to(torch.int64)[:, None] + torch.arange(4, device=r.device)
        return embedding_bag(rows, self.rows, per_sample_weights=powers, mode="sum")


class Network:
    """SO3LR for one set of atoms.

    Args:
        weights: The checkpoint's state dictionary.
        settings: Its other numbers.
        numbers: Atomic numbers, (n,).
        charge: Total charge, e.
        dtype: Precision of the network; distances and sums are in float64 whatever it is.
        device: Where to compute.
        tabulate: Look the pair filters up in a table: faster, and as exact as float32 is.
    """

    def __init__(
        self, weights: dict[str, Tensor], settings: Settings, numbers: Tensor, charge: int, *, dtype: torch.dtype, device: torch.device, tabulate: bool
    ) -> None:
        self.settings, self.charge, self.dtype, self.device = settings, float(charge), dtype, device
        # Folding is done in float64 and rounded once, so that float32 and float64 networks differ by rounding alone.
        w = {name: tensor.detach().to("cpu", torch.float64) for name, tensor in weights.items()}
        z = numbers.cpu()
        self.count = len(z)
        self._fold_angular(w)
        self._fold_atoms(w, z)
        self._fold_radial(w, tabulate)
        self._fold_repulsion(w, z)
        self._layers = [self._fold_layer(w, f"euclidean_transformers.{index}.") for index in range(settings.layers)]
        self._fold_heads(w, z)

    def _put(self, tensor: Tensor) -> Tensor:
        return tensor.to(device=self.device, dtype=self.dtype).contiguous()

    def _linear(self, w: dict[str, Tensor], name: str) -> tuple[Tensor, Tensor]:
        return self._put(w[f"{name}.weight"].T), self._put(w[f"{name}.bias"])

    def _fold_atoms(self, w: dict[str, Tensor], z: Tensor) -> None:
        """Initial features from element and total charge (So3 eq. 10; Unke 2021 eqs. 9-11), per-atom scales and shifts."""
        x = w["inv_feature_embedding.embedding.weight"].T[z - 1]
        # The spin embedding adds zero for a singlet, and singlets are all that the model was trained on.
        if self.charge:
            sign = int(self.charge < 0)
            key, value = w["charge_embedding.Wk"][sign], w["charge_embedding.Wv"][sign]
            share = softplus(w["charge_embedding.Wq.weight"].T[z - 1] @ key / math.sqrt(FEATURES))
            v = (self.charge * share / (share.sum() + 1e-6))[:, None] * value
            x = x + v + silu(silu(v) @ w["charge_embedding.mlp.1.weight"].T) @ w["charge_embedding.mlp.3.weight"].T
        self._x = self._put(x / math.sqrt(self.settings.embeddings))
        self._scale = w["atomic_energy_output_block.energy_scales.weight"][0, z - 1].to(self.device)
        self._shift = w["atomic_energy_output_block.energy_shifts"][z - 1].sum().to(self.device)

    def _fold_angular(self, w: dict[str, Tensor]) -> None:
        """Matrices that make harmonics, sum squares over each degree, and spread a number of each degree over its components."""
        spread = _block_diagonal(*[torch.ones(1, 2 * degree + 1, dtype=torch.float64) for degree in DEGREES])
        square = w["euclidean_transformers.0.interaction_block.so3_conv_invariants.cg_rep"]
        parity = torch.tensor([(-1.0) ** degree for degree in DEGREES], dtype=torch.float64) @ spread
        self._spread, self._square = self._put(spread), self._put((spread * square).T)
        self._harmonics, self._parity = self._put(_harmonics()), self._put(parity)

    def _fold_radial(self, w: dict[str, Tensor], tabulate: bool) -> None:
        """The distance part of the pair filters of all layers side by side, as weights or as a table."""
        self._filters: Radial | Table
        names = [f"euclidean_transformers.{index}.filter_net_{kind}." for index in range(self.settings.layers) for kind in ("inv", "ev")]
        basis = "radial_embedding.radial_basis_fn."
        biases = [w[f"{name}mlp_{part}.mlp_{part}_layer_1.0.bias"] for name in names for part in ("rbf", "ev")]
        bias = torch.stack(biases).view(len(names), 2, FEATURES).sum(dim=1)
        for index in (0, 1):  # equivariant features enter the first layer as zero: their part of its filters is a constant
            bias[index] += w[f"{names[index]}mlp_ev.mlp_ev_layer_1.0.weight"] @ silu(w[f"{names[index]}mlp_ev.0.bias"])
        exact = Radial(
            w[f"{basis}gamma"],
            w[f"{basis}b"],
            (torch.cat([w[f"{name}mlp_rbf.0.weight"] for name in names]).T, torch.cat([w[f"{name}mlp_rbf.0.bias"] for name in names])),
            (torch.stack([w[f"{name}mlp_rbf.mlp_rbf_layer_1.0.weight"].T for name in names]), bias.flatten()),
        )
        if tabulate:
            table = Table.of(exact, self.settings.cutoff)
            self._filters = table._replace(rows=self._put(table.rows))
        else:
            (w1, b1), (w2, b2) = exact.first, exact.second
            self._filters = Radial(self._put(exact.gamma), self._put(exact.log_binomial), (self._put(w1), self._put(b1)), (self._put(w2), self._put(b2)))

    def _fold_repulsion(self, w: dict[str, Tensor], z: Tensor) -> None:
        p = {name: softplus(w[f"zbl_repulsion.{name}_raw"]) for name in ("a1", "a2", "a3", "a4", "c1", "c2", "c3", "c4", "p", "d")}
        c = torch.cat([p[f"c{k}"] for k in range(1, 5)])
        self._zbl_c = self._put(c / c.sum())
        self._zbl_a = self._put(-torch.cat([p[f"a{k}"] for k in range(1, 5)]) * p["d"])
        self._z, self._z_power = self._put(z.to(torch.float64)), self._put(z.to(torch.float64) ** p["p"])

    def _fold_layer(self, w: dict[str, Tensor], name: str) -> _Layer:
        att, inv, ev = f"{name}euclidean_attention_block.", f"{name}filter_net_inv.", f"{name}filter_net_ev."
        q, k = (_block_diagonal(*w[f"{att}W_{kind}_inv"], *w[f"{att}W_{kind}_ev"]).view(2, FEATURES, -1).sum(dim=0) for kind in "qk")
        v = _block_diagonal(*w[f"{att}W_v_inv"])
        return _Layer(
            qkv=self._put(torch.cat((q / self.settings.neighbours, k, v), dim=1)),
            ev1=self._put(torch.cat((w[f"{inv}mlp_ev.0.weight"], w[f"{ev}mlp_ev.0.weight"])).T),
            ev1_bias=self._put(torch.cat((w[f"{inv}mlp_ev.0.bias"], w[f"{ev}mlp_ev.0.bias"]))),
            ev2=self._put(_block_diagonal(w[f"{inv}mlp_ev.mlp_ev_layer_1.0.weight"].T, w[f"{ev}mlp_ev.mlp_ev_layer_1.0.weight"].T)),
            norm1=(self._put(w[f"{name}layer_norm_inv_1.weight"]), self._put(w[f"{name}layer_norm_inv_1.bias"])),
            mlp=(self._linear(w, f"{name}mlp_1.1"), self._linear(w, f"{name}mlp_1.3")),
            mix=self._linear(w, f"{name}interaction_block.linear_layer"),
            norm2=(self._put(w[f"{name}layer_norm_inv_2.weight"]), self._put(w[f"{name}layer_norm_inv_2.bias"])),
        )

    def _fold_heads(self, w: dict[str, Tensor], z: Tensor) -> None:
        """Energy, charge and Hirshfeld heads as one two-layer network, and the free-atom constants of the dispersion."""
        firsts = ("atomic_energy_output_block.layers.0", "partial_charges_output_block.transform_inv_features.0", "hirshfeld_output_block.transform_features.0")
        lasts = (
            "atomic_energy_output_block.final_layer",
            "partial_charges_output_block.transform_inv_features.2",
            "hirshfeld_output_block.transform_features.2",
        )
        self._head1 = self._put(torch.cat([w[f"{name}.weight"] for name in firsts]).T), self._put(torch.cat([w[f"{name}.bias"] for name in firsts]))
        self._head2 = self._put(_block_diagonal(*[w[f"{name}.weight"].T for name in lasts])), self._put(torch.cat([w[f"{name}.bias"] for name in lasts]))
        self._charge_bias = self._put(w["partial_charges_output_block.atomic_embedding.weight"][z, 0])
        self._ratio_bias = self._put(w["hirshfeld_output_block.v_shift_embedding.weight"][z, 0])
        self._ratio_key = self._put(w["hirshfeld_output_block.q_embedding.weight"][z] / math.sqrt(FEATURES // 2))
        alpha, c6 = torch.tensor([FREE_ATOMS[int(number)] for number in z], dtype=torch.float64).T
        self._alpha = self._put(alpha)
        # C6_ij = 2 C6_i C6_j a_i a_j / (a_i^2 C6_j + a_j^2 C6_i) with a_i = alpha_i h_i, C6_i = c6_i h_i^2 is a constant times h_i h_j.
        product = alpha**2 * c6[:, None]
        self._c6 = self._put(2 * torch.outer(c6 * alpha, c6 * alpha) / (product + product.T))

    def energy(self, positions: Tensor, near: Pairs, far: Pairs) -> tuple[Tensor, Tensor]:
        """Energy and atomic charges.

        Args:
            positions: (n, 3), angstrom, float64.
            near: All pairs within the network's cutoff, and others if wanted.
            far: All pairs within the long-range cutoff, and others if wanted.

        Returns:
            The energy, eV, a float64 scalar, and the charges, e, (n,).
        """
        vectors = positions.index_select(0, near.i) - positions.index_select(0, near.j)
        r = vectors.norm(dim=1)
        y = _monomials((vectors / r[:, None]).to(self.dtype)) @ self._harmonics
        r = r.to(self.dtype)
        cut = self._cutoff(r)
        x = self._transform(near, cut, torch.cat((y, y * self._parity)), self._filters(r))
        hidden = silu(torch.addmm(self._head1[1], x, self._head1[0]))
        out = torch.addmm(self._head2[1], hidden, self._head2[0])
        raw = out[:, 1] + self._charge_bias
        charges = raw + (self.charge - raw.sum()) / self.count
        ratios = (self._ratio_bias + (self._ratio_key * out[:, 2:]).sum(dim=1)).abs()
        energy = (out[:, 0].to(torch.float64) * self._scale).sum() + self._shift
        energy = energy + self._repulsion(near, r, cut).to(torch.float64).sum()
        return energy + self._long_range(positions, far, charges, ratios).to(torch.float64).sum(), charges

    def _cutoff(self, r: Tensor) -> Tensor:
        """PhysNet's cutoff function 1 - 6 t^5 + 15 t^4 - 10 t^3, zero beyond the cutoff."""
        t = (r / self.settings.cutoff).clamp(max=1.0)
        return 1 - t**3 * (10 - 15 * t + 6 * t**2)

    def _transform(self, near: Pairs, cut: Tensor, y: Tensor, radial: Tensor) -> Tensor:
        """The Euclidean transformer: invariant features after all layers, (n, 128); So3 eqs. 15-27."""
        to, of = torch.cat((near.i, near.j)), torch.cat((near.j, near.i))
        weight = torch.cat((cut, cut))[:, None]
        x, e = self._x, torch.zeros(self.count, y.shape[1], dtype=self.dtype, device=self.device)
        for index, (layer, distant) in enumerate(zip(self._layers, radial.view(len(cut), len(self._layers), 2 * FEATURES).unbind(1), strict=True)):
            # e is zero at first: its part of the filters is then a constant, which `radial` holds.
            w = self._geometric(layer, near, e, distant) if index else distant
            qkv = x @ layer.qkv
            q, k, v = qkv[:, : 2 * FEATURES], qkv[:, 2 * FEATURES : 4 * FEATURES], qkv[:, 4 * FEATURES :]
            match = (q.index_select(0, to) * k.index_select(0, of)).view(2, len(w), 2 * FEATURES) * w
            alpha = match.view(len(to), 2 * HEADS, HEAD).sum(dim=2) * weight
            values = alpha[:, :HEADS, None] * v.index_select(0, of).view(len(to), HEADS, HEAD)
            messages = torch.cat((values.view(len(to), FEATURES), (alpha[:, HEADS:] @ self._spread) * y), dim=1)
            change = torch.zeros(self.count, messages.shape[1], dtype=self.dtype, device=self.device).index_add(0, to, messages)
            x, e = self._interact(layer, x + change[:, :FEATURES], e + change[:, FEATURES:])
        return x

    def _geometric(self, layer: _Layer, near: Pairs, e: Tensor, distant: Tensor) -> Tensor:
        """Pair filters of one layer, (p, 256): the distance part plus that of the equivariant features; So3 eqs. 18-20."""
        difference = e.index_select(0, near.i) - e.index_select(0, near.j)
        hidden = silu(torch.addmm(layer.ev1_bias, (difference * difference) @ self._square, layer.ev1))
        return torch.addmm(distant, hidden, layer.ev2)

    def _interact(self, layer: _Layer, x: Tensor, e: Tensor) -> tuple[Tensor, Tensor]:
        """Exchange between invariant and equivariant features of each atom; So3 eqs. 24-27."""
        x = layer_norm(x, (FEATURES,), *layer.norm1, LAYER_NORM_EPS)
        (w1, b1), (w2, b2) = layer.mlp
        x = x + torch.addmm(b2, silu(torch.addmm(b1, silu(x), w1)), w2)
        mixed = torch.addmm(layer.mix[1], torch.cat((x, (e * e) @ self._square), dim=1), layer.mix[0])
        x = layer_norm(x + mixed[:, :FEATURES], (FEATURES,), *layer.norm2, LAYER_NORM_EPS)
        return x, e + (mixed[:, FEATURES:] @ self._spread) * e

    def _repulsion(self, near: Pairs, r: Tensor, cut: Tensor) -> Tensor:
        """Ziegler-Biersack-Littmark repulsion of each pair with learned constants, eV, (p,)."""
        charges = self._z.index_select(0, near.i) * self._z.index_select(0, near.j)
        reach = (self._z_power.index_select(0, near.i) + self._z_power.index_select(0, near.j)) * r
        screening = torch.exp(reach[:, None] * self._zbl_a) @ self._zbl_c
        return COULOMB_EV * charges / r * screening * cut * _switch(r, 0.0, 1.5)

    def _long_range(self, positions: Tensor, far: Pairs, charges: Tensor, ratios: Tensor) -> Tensor:
        """Damped Coulomb and quantum-Drude-oscillator dispersion of each pair, eV, (p,)."""
        s = self.settings
        i, j = far.i, far.j
        r = (positions.index_select(0, i) - positions.index_select(0, j)).norm(dim=1).to(self.dtype)
        inside = (r < s.long_cutoff).to(self.dtype)
        edge, width = s.long_cutoff, s.coulomb_width
        shift = math.erf(edge / width) / edge
        slope = 2 * math.exp(-((edge / width) ** 2)) / (math.sqrt(math.pi) * width * edge) - shift / edge
        coulomb: Tensor = torch.erf(r / width) / r - shift - (1 - _switch(r, 0.45 * edge, edge)) * slope * (r - edge)
        coulomb = COULOMB_EV * charges.index_select(0, i) * charges.index_select(0, j) * coulomb * inside
        alpha = self._alpha * ratios
        root = ((alpha.index_select(0, i) + alpha.index_select(0, j)) / 2) ** (1 / 7)
        radius = FINE_STRUCTURE ** (-4 / 21) * root
        # 1 / gamma_ij = 2 sigma^2, the cubic fit of Khabibrakhmanov 2023.
        width2 = 2 * (((-0.00078893 * radius + 0.04125273) * radius + 0.24428889) * radius - 0.00433008) ** 2
        r2, p2 = (r / BOHR) ** 2, (s.dispersion_scale * 2 * 2.54 * root) ** 2
        r6, p6 = r2**3, p2**3
        series: Tensor = 1 / (r6 + p6) + 5 * width2 / (r6 * r2 + p6 * p2) + 245 / 8 * width2**2 / (r6 * r2**2 + p6 * p2**2)
        c6 = self._c6[i, j] * ratios.index_select(0, i) * ratios.index_select(0, j)
        dispersion: Tensor = -HARTREE_EV * c6 * series * _switch(r, edge - s.long_damping, edge)
        return coulomb + dispersion
