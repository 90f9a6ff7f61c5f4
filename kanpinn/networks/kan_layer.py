"""The KAN layer: every edge a spline (and optionally a smooth base term)."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from kanpinn._support.distributed import extremes, summed
from kanpinn._support.errors import InputError
from kanpinn.jets.jet import Coordinates, Jet
from kanpinn.networks.activations import derivatives
from kanpinn.networks.basis import splines
from kanpinn.networks.network import Layer, Tape

WIDENING = 0.02  # of the range: a grid that must grow grows a little more


class KANLayer(Layer):
    """y_o = Σ_i φ_io(h_i) with φ_io = Σ_k c_iko B_k, each input's B-splines on its own knots.

    coefficients: (n_in, n_basis, n_out), n_basis = G + degree, one more with a base term
    w·silu(x), whose weight is the last coefficient. knots: (n_in, G + 2 degree + 1). kept:
    (n_in, n_out), the edges that are there; a removed one is zero, whatever its coefficients.

    Reference: Liu et al., KAN (2024), eqs. 2.5 and 2.10; the scale w_s is absorbed into c.
    """

    knots: Tensor
    kept: Tensor

    def __init__(self, knots: Tensor, degree: int, n_out: int, base: str | None = None) -> None:
        super().__init__()
        self.degree, self.base = degree, base
        self._pieces: tuple[Tensor, int, splines.Pieces] | None = None
        self._removed: tuple[Tensor, int, int] | None = None
        self.register_buffer("knots", knots)
        n_basis = knots.shape[1] - degree - 1 + (base is not None)
        self.coefficients = nn.Parameter(knots.new_zeros(knots.shape[0], n_basis, n_out))
        self.register_buffer("kept", knots.new_ones(knots.shape[0], n_out, dtype=torch.bool))

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:
        # A saved layer may have another grid than the one it was made with, and other edges.
        self.knots = torch.empty_like(state_dict[prefix + "knots"])
        coefficients = state_dict[prefix + "coefficients"]
        trained = self.coefficients.requires_grad
        self.coefficients = nn.Parameter(torch.empty_like(coefficients), requires_grad=trained)
        whole = torch.ones_like(coefficients[:, 0], dtype=torch.bool)
        kept = state_dict.get(prefix + "kept", whole)
        self.kept = torch.empty_like(kept)
        state_dict = {**state_dict, prefix + "kept": kept}
        super()._load_from_state_dict(state_dict, prefix, *args)

    @property
    def intervals(self) -> int:
        """The number of grid intervals G."""
        return self.knots.shape[1] - 2 * self.degree - 1

    @property
    def n_splines(self) -> int:
        """B-splines per input, G + degree."""
        return self.knots.shape[1] - self.degree - 1

    @property
    def pieces(self) -> splines.Pieces:
        """The splines as piecewise polynomials, kept for as long as the knots stay the same."""
        knots, kept = self.knots, self._pieces
        if kept is None or kept[0] is not knots or kept[1] != knots._version:
            kept = (knots, knots._version, splines.pieces_of(knots, self.degree))
            self._pieces = kept
        return kept[2]

    @property
    def removed(self) -> int:
        """How many edges are not there; counted when `kept` has changed."""
        kept, known = self.kept, self._removed
        if known is None or known[0] is not kept or known[1] != kept._version:
            known = (kept, kept._version, int((~kept).sum()))
            self._removed = known
        return known[2]

    @torch.no_grad()
    def remove_edge(self, i: int, o: int) -> None:
        """Take the edge from input i to output o out of the sum.

        Raises:
            InputError: where there is no such edge, or it is the last one.
        """
        n_in, n_out = self.kept.shape
        if not (0 <= i < n_in and 0 <= o < n_out and self.kept[i, o]):
            raise InputError(f"there is no edge ({i}, {o}) in a layer of {n_in} × {n_out} units")
        if self.removed == self.kept.numel() - 1:
            raise InputError(f"edge ({i}, {o}) is the last one of its layer, which needs one")
        self.kept[i, o] = False
        self.coefficients[i, :, o] = 0

    def forward(self, h: Jet | Coordinates, tape: Tape | None = None) -> Jet:
        recorded = tape is not None and tape.wants(self)
        if recorded or h.channels.derivative_order or not self._is_wide:
            return super().forward(h, tape)
        return Jet(h.channels, self._sums(h.value))

    @property
    def _is_wide(self) -> bool:
        """Whether a product with all splines' values beats going edge by edge, by measurement."""
        n_out = self.coefficients.shape[2]
        return n_out > 2 * (self.degree + 1) and self.n_splines <= 4 * n_out

    def _sums(self, x: Tensor) -> Tensor:
        """The outputs' values (n, n_out) at x (n, n_in)."""
        basis = self.pieces.basis(x)[:, 0]
        if self.base is not None:
            basis = torch.cat([basis, derivatives(self.base, x, 0)[0][..., None]], dim=-1)
        return basis.flatten(1) @ self._present(self.coefficients).flatten(0, 1)

    def product(self, h: Jet | Coordinates, coefficients: Tensor) -> tuple[Tensor, Tensor]:
        return h.value, self._edges(h.value, coefficients, h.channels.derivative_order)

    def combine(self, product: Tensor, h: Jet | Coordinates) -> Jet:
        return h.sum_of_edges(product)

    @torch.no_grad()
    def jacobian(self, known: Tensor, delta: Tensor, out: Tensor) -> None:
        delta = delta * self.kept if self.removed else delta
        weights = delta.permute(1, 2, 3, 0).contiguous()  # the points fastest, as in `out`
        out = out.view(*self.coefficients.shape, -1)
        self.pieces.transposed(known, weights, out[:, : self.n_splines])
        if self.base is not None:
            base = torch.stack([t.T for t in derivatives(self.base, known, len(weights) - 1)])
            out[:, -1] = (base[:, :, None] * weights).sum(dim=0)

    def edges(self, x: Tensor, order: int = 0) -> Tensor:
        """The edge functions and their derivatives, (n, order + 1, n_in, n_out), at x (n, n_in)."""
        return self._edges(x, self.coefficients, order)

    def _edges(self, x: Tensor, coefficients: Tensor, order: int) -> Tensor:
        coefficients = self._present(coefficients)
        values = self.pieces.combine(x, coefficients[:, : self.n_splines], order)
        if self.base is None:
            return values
        base = torch.stack(derivatives(self.base, x, order), dim=1)
        return values + base[..., None] * coefficients[:, -1]

    def _present(self, coefficients: Tensor) -> Tensor:
        """Zero on removed edges."""
        return coefficients.masked_fill(~self.kept[:, None], 0) if self.removed else coefficients

    @torch.no_grad()
    def set_breaks(self, breaks: Tensor) -> float:
        """Put the splines on other grid points (n_in, G + 1); returns the relative L2 change.

        Exact (0.0) where the old interior points are kept: knots inserted or the range widened.
        """
        knots = splines.knots_from_breaks(breaks, self.degree)
        spline, base = self.coefficients.split(
            [self.n_splines, self.coefficients.shape[1] - self.n_splines], dim=1
        )
        error = 0.0
        if splines.contains_breaks(self.knots, knots, self.degree):
            spline = splines.refinement_matrix(self.knots, knots, self.degree) @ spline
        else:
            spline, error = splines.project(spline, self.knots, knots, self.degree)
        self.knots = knots
        changed = torch.cat([spline, base], dim=1)
        if changed.shape == self.coefficients.shape:
            self.coefficients.copy_(changed)  # the same parameter, which an optimizer may hold
        else:
            self.coefficients = nn.Parameter(changed)
        return error

    def widen(self, low: Tensor, high: Tensor) -> bool:
        """Widen the grid to hold [low, high], (n_in,) each; exact on the old one. Was it needed?"""
        breaks = self.breaks.clone()
        left, right = low < breaks[:, 0], high > breaks[:, -1]
        if not bool((left | right).any()):
            return False
        pad = WIDENING * (high - low)
        breaks[:, 0] = torch.where(left, low - pad, breaks[:, 0])
        breaks[:, -1] = torch.where(right, high + pad, breaks[:, -1])
        self.set_breaks(breaks)
        return True

    @property
    def breaks(self) -> Tensor:
        """The grid points, (n_in, G + 1)."""
        return splines.breaks_of(self.knots, self.degree)

    def refine(self, intervals: int, reach: tuple[Tensor, Tensor] | None = None) -> float:
        """Change to `intervals` intervals, by `splines.refined`; the relative L2 change.

        reach: the range that each input's grid is cut down to where it is wider, (n_in,) each.
        """
        breaks = self.breaks
        low, high = (breaks[:, 0], breaks[:, -1]) if reach is None else reach
        rows = zip(breaks, low, high, strict=True)
        return self.set_breaks(torch.stack([splines.refined(*row, intervals) for row in rows]))

    @torch.no_grad()
    def randomise(self, generator: torch.Generator, degree: int = 4, decay: float = 2.0) -> None:
        """Random smooth edges Σ_n a_n T_n(ξ), a_n ~ N(0, n^(-2 decay)) for n = 1 … degree.

        ξ runs over [-1, 1] on each input's grid. Smoothness decides how well later layers can do:
        on smooth problems independent random coefficients cost three digits and more.
        """
        low, high = self.breaks[:, 0], self.breaks[:, -1]
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
        self.coefficients[:, : self.n_splines] = splines.fit(x, values, self.knots, self.degree)
        self.coefficients.masked_fill_(~self.kept[:, None], 0)

    @torch.no_grad()
    def spread(self, x: Tensor, reach: float) -> None:
        """Fix what the next layer undoes: one mean for the edges of a unit, each output in ±reach.

        Adding constants to the edges into one unit, or scaling them all, is undone by the next
        layer. B-splines sum to one, so a constant is the same change of all their coefficients.
        Of several ranks each brings its own x.
        """
        edges = self.edges(x)[:, 0]
        low, high = extremes(edges.sum(dim=1))
        count = edges.new_tensor(float(len(x)), dtype=torch.float64)
        total, count = summed([edges.sum(dim=0), count])
        mean = total / count
        centre = ((low + high) / 2 - mean.sum(dim=0)) / self.kept.sum(dim=0).clamp_min(1)
        self.coefficients[:, : self.n_splines] -= ((mean + centre) * self.kept)[:, None]
        self.coefficients.mul_(2 * reach / (high - low).clamp_min(1e-300))

    def reset(self, intervals: int) -> None:
        """Zero coefficients on an even grid of [-1, 1]."""
        one = torch.ones_like(self.knots[:, 0])
        self.knots = splines.uniform_knots(-one, one, intervals, self.degree)
        n_basis = self.n_splines + (self.base is not None)
        shape = (len(one), n_basis, self.coefficients.shape[2])
        self.coefficients = nn.Parameter(self.knots.new_zeros(shape))

    def keep_outputs(self, units: list[int]) -> None:
        """Only these outputs."""
        self.kept = self.kept[:, units]
        self.coefficients = nn.Parameter(self.coefficients.detach()[:, :, units].clone())

    def keep_inputs(self, units: list[int]) -> None:
        """Only these inputs."""
        self.knots, self.kept = self.knots[units], self.kept[units]
        self.coefficients = nn.Parameter(self.coefficients.detach()[units].clone())
