"""The weights of SO3LR, made ready: whatever does not depend on positions is computed once, in float64, and rounded once.

Takes the checkpoint's state dictionary apart into the `Weights` that all molecules share and the `Molecule` that depends
on elements and charge. It knows names of tensors in the checkpoint; the equations are in `so3lr_network`.
"""

import math

import numpy as np
import torch
from scipy.interpolate import CubicSpline
from scipy.special import sph_harm_y
from torch import Tensor
from torch.nn.functional import silu, softplus

from studio.potentials.free_atoms import FREE_ATOMS
from studio.potentials.so3lr_network import DEGREES, FEATURES, KNOTS, Layer, Molecule, Radial, Settings, Table, Weights, monomials

State = dict[str, Tensor]


class Fold:
    """Folds one checkpoint.

    Args:
        state: The checkpoint's state dictionary.
        settings: Its other numbers.
        dtype: Precision of the network.
        device: Where to compute.
    """

    def __init__(self, state: State, settings: Settings, dtype: torch.dtype, device: torch.device) -> None:
        # Folding is done in float64 and rounded once, so that float32 and float64 networks differ by rounding alone.
        self._state = {name: tensor.detach().to("cpu", torch.float64) for name, tensor in state.items()}
        self._settings, self._dtype, self._device = settings, dtype, device

    def weights(self, *, tabulate: bool) -> Weights:
        """What all molecules share.

        Args:
            tabulate: Look the pair filters up in a table: faster, and as exact as float32 is.
        """
        w = self._state
        spread = _block_diagonal(*[torch.ones(1, 2 * degree + 1, dtype=torch.float64) for degree in DEGREES])
        square = w["euclidean_transformers.0.interaction_block.so3_conv_invariants.cg_rep"]
        parity = torch.tensor([(-1.0) ** degree for degree in DEGREES], dtype=torch.float64) @ spread
        head1, head2 = self._heads()
        return Weights(
            spread=self._put(spread),
            square=self._put((spread * square).T),
            harmonics=self._put(_harmonics()),
            parity=self._put(parity),
            filters=self._filters(tabulate),
            layers=tuple(self._layer(f"euclidean_transformers.{index}.") for index in range(self._settings.layers)),
            zbl=self._repulsion(),
            head1=head1,
            head2=head2,
        )

    def molecule(self, numbers: Tensor, charge: float, copies: int = 1) -> Molecule:
        """What depends on elements and charge, for several copies of the same atoms.

        Args:
            numbers: Atomic numbers, (n,).
            charge: Total charge, e.
            copies: How many.
        """
        w, z = self._state, numbers.cpu()
        alpha, c6 = torch.tensor([FREE_ATOMS[int(number)] for number in z], dtype=torch.float64).T
        key = w["hirshfeld_output_block.q_embedding.weight"][z] / math.sqrt(FEATURES // 2)
        one = Molecule(
            charge=self._put(torch.tensor([charge], dtype=torch.float64)),
            shift=w["atomic_energy_output_block.energy_shifts"][z - 1].sum()[None].to(self._device),
            x=self._put(self._embedding(z, charge)),
            scale=w["atomic_energy_output_block.energy_scales.weight"][0, z - 1].to(self._device),
            z=self._put(z.to(torch.float64)),
            charge_bias=self._put(w["partial_charges_output_block.atomic_embedding.weight"][z, 0]),
            ratio_bias=self._put(w["hirshfeld_output_block.v_shift_embedding.weight"][z, 0]),
            ratio_key=self._put(key),
            alpha=self._put(alpha),
            c6=self._put(c6),
        )
        return Molecule(*(torch.cat([tensor] * copies) for tensor in one)) if copies > 1 else one

    def _put(self, tensor: Tensor) -> Tensor:
        return tensor.to(device=self._device, dtype=self._dtype).contiguous()

    def _linear(self, name: str) -> tuple[Tensor, Tensor]:
        return self._put(self._state[f"{name}.weight"].T), self._put(self._state[f"{name}.bias"])

    def _embedding(self, z: Tensor, charge: float) -> Tensor:
        """Initial features from element and total charge, (n, 128); So3 eq. 10, Unke 2021 eqs. 9-11."""
        w = self._state
        x = w["inv_feature_embedding.embedding.weight"].T[z - 1]
        # The spin embedding adds zero for a singlet, and singlets are all that the model was trained on.
        if charge:
            sign = int(charge < 0)
            key, value = w["charge_embedding.Wk"][sign], w["charge_embedding.Wv"][sign]
            share = softplus(w["charge_embedding.Wq.weight"].T[z - 1] @ key / math.sqrt(FEATURES))
            v = (charge * share / (share.sum() + 1e-6))[:, None] * value
            x = x + v + silu(silu(v) @ w["charge_embedding.mlp.1.weight"].T) @ w["charge_embedding.mlp.3.weight"].T
        return x / math.sqrt(self._settings.embeddings)

    def _filters(self, tabulate: bool) -> Radial | Table:
        """The distance part of the pair filters of all layers side by side, as weights or as a table."""
        w = self._state
        names = [f"euclidean_transformers.{index}.filter_net_{kind}." for index in range(self._settings.layers) for kind in ("inv", "ev")]
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
            return Table(self._put(_spline(exact, self._settings.cutoff)), self._put(torch.tensor(KNOTS / self._settings.cutoff)))
        (w1, b1), (w2, b2) = exact.first, exact.second
        return Radial(self._put(exact.gamma), self._put(exact.log_binomial), (self._put(w1), self._put(b1)), (self._put(w2), self._put(b2)))

    def _repulsion(self) -> tuple[Tensor, Tensor, Tensor]:
        """Exponents, shares and power of the screened repulsion."""
        p = {name: softplus(self._state[f"zbl_repulsion.{name}_raw"]) for name in ("a1", "a2", "a3", "a4", "c1", "c2", "c3", "c4", "p", "d")}
        shares = torch.cat([p[f"c{k}"] for k in range(1, 5)])
        exponents = -torch.cat([p[f"a{k}"] for k in range(1, 5)]) * p["d"]
        return self._put(exponents), self._put(shares / shares.sum()), self._put(p["p"])

    def _layer(self, name: str) -> Layer:
        w = self._state
        att, inv, ev = f"{name}euclidean_attention_block.", f"{name}filter_net_inv.", f"{name}filter_net_ev."
        q, k = (_block_diagonal(*w[f"{att}W_{kind}_inv"], *w[f"{att}W_{kind}_ev"]).view(2, FEATURES, -1).sum(dim=0) for kind in "qk")
        v = _block_diagonal(*w[f"{att}W_v_inv"])
        return Layer(
            qkv=self._put(torch.cat((q / self._settings.neighbours, k, v), dim=1)),
            ev1=self._put(torch.cat((w[f"{inv}mlp_ev.0.weight"], w[f"{ev}mlp_ev.0.weight"])).T),
            ev1_bias=self._put(torch.cat((w[f"{inv}mlp_ev.0.bias"], w[f"{ev}mlp_ev.0.bias"]))),
            ev2=self._put(_block_diagonal(w[f"{inv}mlp_ev.mlp_ev_layer_1.0.weight"].T, w[f"{ev}mlp_ev.mlp_ev_layer_1.0.weight"].T)),
            norm1=(self._put(w[f"{name}layer_norm_inv_1.weight"]), self._put(w[f"{name}layer_norm_inv_1.bias"])),
            mlp=(self._linear(f"{name}mlp_1.1"), self._linear(f"{name}mlp_1.3")),
            mix=self._linear(f"{name}interaction_block.linear_layer"),
            norm2=(self._put(w[f"{name}layer_norm_inv_2.weight"]), self._put(w[f"{name}layer_norm_inv_2.bias"])),
        )

    def _heads(self) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Energy, charge and Hirshfeld heads as one two-layer network."""
        w = self._state
        energy, charge = "atomic_energy_output_block.", "partial_charges_output_block.transform_inv_features."
        ratio = "hirshfeld_output_block.transform_features."
        firsts, lasts = (f"{energy}layers.0", f"{charge}0", f"{ratio}0"), (f"{energy}final_layer", f"{charge}2", f"{ratio}2")
        head1 = self._put(torch.cat([w[f"{name}.weight"] for name in firsts]).T), self._put(torch.cat([w[f"{name}.bias"] for name in firsts]))
        head2 = self._put(_block_diagonal(*[w[f"{name}.weight"].T for name in lasts])), self._put(torch.cat([w[f"{name}.bias"] for name in lasts]))
        return head1, head2


def _spline(radial: Radial, cutoff: float) -> Tensor:
    """Rows of the `Table` of `radial`, which is in float64, up to `cutoff`."""
    r = torch.linspace(0.0, cutoff, KNOTS + 1, dtype=torch.float64).clamp(min=1e-6)
    spline = CubicSpline(np.arange(KNOTS + 1), radial(r).numpy())
    return torch.from_numpy(spline.c[::-1].swapaxes(0, 1).copy()).reshape(4 * KNOTS, -1)


def _block_diagonal(*blocks: Tensor) -> Tensor:
    """Matrix with `blocks` along its diagonal."""
    whole = torch.zeros(sum(len(block) for block in blocks), sum(block.shape[1] for block in blocks), dtype=blocks[0].dtype)
    row = column = 0
    for block in blocks:
        whole[row : row + len(block), column : column + block.shape[1]] = block
        row, column = row + len(block), column + block.shape[1]
    return whole


def _harmonics() -> Tensor:
    """Matrix (120, 24), float64, that turns `monomials` into real spherical harmonics of `DEGREES`, found by least squares.

    The model depends on each degree only through sums of squares, so any orthonormal basis of it will do.
    """
    rng = np.random.default_rng(0)
    u = rng.normal(size=(400, 3))
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    products = monomials(torch.from_numpy(u)).numpy()
    polar, azimuth = np.arccos(u[:, 2]), np.arctan2(u[:, 1], u[:, 0])
    matrix = np.zeros((120, sum(2 * degree + 1 for degree in DEGREES)))
    row = column = 0
    for degree in DEGREES:
        waves = [sph_harm_y(degree, m, polar, azimuth) for m in range(degree + 1)]
        values = [waves[0].real] + [math.sqrt(2) * part for wave in waves[1:] for part in (wave.real, wave.imag)]
        block = products[:, row : row + 3**degree]
        matrix[row : row + 3**degree, column : column + 2 * degree + 1] = np.linalg.lstsq(block, np.stack(values, axis=1), rcond=None)[0]
        row, column = row + 3**degree, column + 2 * degree + 1
    return torch.from_numpy(matrix)
