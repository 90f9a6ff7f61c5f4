"""A layer of edge functions."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from kanpinn._support.distributed import extremes, summed
from kanpinn._support.errors import InputError
from kanpinn.jets import Coordinates, Jet
from kanpinn.networks.activations import derivatives
from kanpinn.networks.basis import Basis
from kanpinn.networks.layer import Layer


class KANLayer(Layer):
    """y_o = Σ_i φ_io(h_i) with φ_io = Σ_j c_ijo B_j, the basis functions of each input on its grid.

    Args:
        basis: the basis of n_in inputs; a grid that moves replaces it by another one.
        n_out: the number of outputs.
        base: "silu" adds a term w·silu(x), whose weight is the last coefficient of each edge.

    coefficients: (n_in, n, n_out) with n = basis.size, or one more with a base term. kept: a mask
    (n_in, n_out) of the edges that exist; a removed edge is zero, whatever its coefficients.

    Reference: Liu et al., KAN (2024), eqs. 2.5 and 2.10; the scale w_s is absorbed into c.
    """

    basis: Basis
    kept: Tensor

    def __init__(self, basis: Basis, n_out: int, base: str | None = None) -> None:
        super().__init__()
        self.basis, self.base = basis, base
        n_in, like = len(basis.breaks), basis.breaks
        self.coefficients = nn.Parameter(
            like.new_zeros(n_in, basis.size + (base is not None), n_out)
        )
        self.register_buffer("kept", like.new_ones(n_in, n_out, dtype=torch.bool))

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:
        missing = [name for name in self.state_dict() if prefix + name not in state_dict]
        if missing:
            raise InputError(
                f"the saved network has no {prefix}{missing[0]}: it is of another version of "
                "kanpinn, or has another basis"
            )
        # A saved layer may have another grid and other edges than this one was created with.
        coefficients = state_dict[prefix + "coefficients"]
        trained = self.coefficients.requires_grad
        if coefficients.shape[::2] != state_dict[prefix + "kept"].shape:
            raise InputError(f"{prefix}coefficients and {prefix}kept are of different layers")
        self.coefficients = nn.Parameter(torch.empty_like(coefficients), requires_grad=trained)
        self.kept = torch.empty_like(state_dict[prefix + "kept"])
        super()._load_from_state_dict(state_dict, prefix, *args)

    def evaluate(self, h: Jet | Coordinates) -> Jet:
        n_out, size = self.coefficients.shape[2], self.basis.size
        # Measured: a product with the values of all functions is faster than edge by edge.
        wide = n_out > 2 * (self.basis.degree + 1) and size <= 4 * n_out
        if h.channels.derivative_order or not wide:
            return h.sum_of_edges(self.product(h, self.coefficients)[1])
        values = self.basis.values(h.value)[:, 0]
        if self.base is not None:
            values = torch.cat([values, derivatives(self.base, h.value, 0)[0][..., None]], dim=-1)
        coefficients: Tensor = self.coefficients
        if not self.kept.all():
            coefficients = coefficients.masked_fill(~self.kept[:, None], 0)
        return Jet(h.channels, values.flatten(1) @ coefficients.flatten(0, 1))

    def product(self, h: Jet | Coordinates, coefficients: Tensor) -> tuple[Tensor, Tensor]:
        return h.value, self.edges(h.value, h.channels.derivative_order, coefficients)

    def combine(self, product: Tensor, h: Jet | Coordinates) -> Jet:
        return h.sum_of_edges(product)

    @torch.no_grad()
    def jacobian(self, known: Tensor, delta: Tensor, out: Tensor) -> None:
        delta = delta if self.kept.all() else delta * self.kept
        weights = delta.permute(1, 2, 3, 0).contiguous()  # points vary fastest, as in `out`
        out = out.view(*self.coefficients.shape, -1)
        self.basis.transposed(known, weights, out[:, : self.basis.size])
        if self.base is not None:
            base = torch.stack([t.T for t in derivatives(self.base, known, len(weights) - 1)])
            out[:, -1] = (base[:, :, None] * weights).sum(dim=0)

    def edges(self, x: Tensor, order: int = 0, coefficients: Tensor | None = None) -> Tensor:
        """The values and derivatives of the edge functions.

        Args:
            x: the arguments of the inputs, (n, n_in).
            order: the highest derivative.
            coefficients: used in place of the layer's own.

        Returns:
            φ_io^(r)(x_i) for r = 0 … order, (n, order + 1, n_in, n_out).
        """
        coefficients = self.coefficients if coefficients is None else coefficients
        if not self.kept.all():
            coefficients = coefficients.masked_fill(~self.kept[:, None], 0)
        values = self.basis.combine(x, coefficients[:, : self.basis.size], order)
        if self.base is None:
            return values
        base = torch.stack(derivatives(self.base, x, order), dim=1)
        return values + base[..., None] * coefficients[:, -1]

    @torch.no_grad()
    def represent(self, basis: Basis) -> float:
        """Represent the edge functions in another basis; see `Basis.represented`.

        Returns:
            The relative L2 change of the functions, 0 if they have not changed.
        """
        known, base = self.coefficients.split([self.basis.size, self.base is not None], dim=1)
        moved, error = self.basis.represented(known, basis)
        changed = torch.cat([moved, base], dim=1)
        self.basis = basis
        if changed.shape == self.coefficients.shape:
            self.coefficients.copy_(changed)  # an optimizer may hold the parameter
        else:
            self.coefficients = nn.Parameter(changed)
        return error

    def refine(self, intervals: int, reach: tuple[Tensor, Tensor] | None = None) -> float:
        """Represent the edge functions on `intervals` grid intervals; see `Basis.finer`.

        Args:
            intervals: the new number G.
            reach: low and high ends, (n_in,) each, to which wider grids are cut down.

        Returns:
            The relative L2 change of the functions, 0 if they have not changed.
        """
        breaks = self.basis.breaks
        low, high = (breaks[:, 0], breaks[:, -1]) if reach is None else reach
        return self.represent(self.basis.finer(intervals, low, high))

    def widen(self, low: Tensor, high: Tensor, pad: float = 0.02) -> bool:
        """Widen the grids that do not contain [low, high]; the functions on them do not change.

        Args:
            low, high: the ranges of the inputs, (n_in,) each.
            pad: the margin beyond the range of a grid that is widened, relative to the range.

        Returns:
            True if any grid was widened.
        """
        breaks = self.basis.breaks.clone()
        left, right = low < breaks[:, 0], high > breaks[:, -1]
        if not bool((left | right).any()):
            return False
        beyond = pad * (high - low)
        breaks[:, 0] = torch.where(left, low - beyond, breaks[:, 0])
        breaks[:, -1] = torch.where(right, high + beyond, breaks[:, -1])
        self.represent(self.basis.on(breaks))
        return True

    @torch.no_grad()
    def add_constants(self, constants: Tensor) -> None:
        """Add a constant to each edge function; constants: (n_in, n_out)."""
        self.coefficients[:, : self.basis.size] += self.basis.one()[:, None] * constants[:, None]

    @torch.no_grad()
    def randomise(self, generator: torch.Generator, degree: int = 4, decay: float = 2.0) -> None:
        """Set the edges to Σ_n a_n T_n(ξ) with random a_n ~ N(0, n^(-2 decay)), n = 1 … degree.

        These functions are smooth; ξ runs over [-1, 1] on each input's grid. Independent random
        coefficients would cost three or more digits of accuracy on smooth problems.
        """
        low, high = self.basis.breaks[:, 0], self.basis.breaks[:, -1]
        n_in, _, n_out = self.coefficients.shape
        xi = torch.cos(torch.pi * (torch.arange(64).to(low) + 0.5) / 64)
        n = torch.arange(1, degree + 1).to(low)
        shape = (degree, n_in, n_out)
        a = torch.randn(shape, generator=generator, dtype=torch.float64).to(low)
        values = torch.einsum(
            "xp,pio->xio", torch.cos(n * torch.arccos(xi)[:, None]), a / n[:, None, None] ** decay
        )
        x = low + (high - low) * (xi[:, None] + 1) / 2
        self.coefficients.zero_()
        self.coefficients[:, : self.basis.size] = self.basis.fit(x, values)
        self.coefficients.masked_fill_(~self.kept[:, None], 0)

    @torch.no_grad()
    def spread(self, x: Tensor, reach: float) -> None:
        """Shift and scale the edges of each unit: equal means, and outputs in [-reach, reach].

        The next layer can undo a shift or a scale of a unit, so this fixes a redundancy.

        Args:
            x: this rank's inputs, (n, n_in); the ranges are those over all ranks.
            reach: the largest absolute value of the outputs.
        """
        edges = self.edges(x)[:, 0]
        low, high = extremes(edges.sum(dim=1))
        count = edges.new_tensor(float(len(x)), dtype=torch.float64)
        total, count = summed([edges.sum(dim=0), count])
        mean = total / count
        centre = ((low + high) / 2 - mean.sum(dim=0)) / self.kept.sum(dim=0).clamp_min(1)
        self.add_constants(-(mean + centre) * self.kept)
        self.coefficients.mul_(2 * reach / (high - low).clamp_min(1e-300))

    def reset(self, basis: Basis) -> None:
        """Set the edge functions to zero, in another basis for the same inputs."""
        n = basis.size + (self.base is not None)
        n_in, _, n_out = self.coefficients.shape
        self.basis = basis
        self.coefficients = nn.Parameter(basis.breaks.new_zeros(n_in, n, n_out))

    def reset_outputs(self, count: int) -> None:
        """Set the outputs to zero; `count` is their new number."""
        n_in, n, _ = self.coefficients.shape
        self.coefficients = nn.Parameter(self.coefficients.new_zeros(n_in, n, count))
        self.kept = self.kept.new_ones(n_in, count)
