"""The KAN layer: every edge a spline (and optionally a smooth base term)."""

import torch
from torch import Tensor, nn

from kanpinn import splines
from kanpinn.jet import Coordinates, Jet
from kanpinn.networks.activations import derivatives
from kanpinn.networks.network import Layer


class KANLayer(Layer):
    """y_o = Σ_i φ_io(h_i) with φ_io = Σ_k c_iko B_k, each input's B-splines on its own knots.

    coefficients: (n_in, n_basis, n_out), n_basis = G + degree, one more with a base term
    w·silu(x), whose weight is the last coefficient. knots: (n_in, G + 2 degree + 1).

    Reference: Liu et al., KAN (2024), eqs. 2.5 and 2.10; the scale w_s is absorbed into c.
    """

    knots: Tensor

    def __init__(self, knots: Tensor, degree: int, n_out: int, base: str | None = None) -> None:
        super().__init__()
        self.degree, self.base = degree, base
        self.register_buffer("knots", knots)
        n_basis = knots.shape[1] - degree - 1 + (base is not None)
        self.coefficients = nn.Parameter(knots.new_zeros(knots.shape[0], n_basis, n_out))

    def _load_from_state_dict(self, state_dict, prefix, *args) -> None:
        # A saved layer may have another grid than the one it was made with.
        self.knots = torch.empty_like(state_dict[prefix + "knots"])
        self.coefficients = nn.Parameter(torch.empty_like(state_dict[prefix + "coefficients"]))
        super()._load_from_state_dict(state_dict, prefix, *args)

    @property
    def intervals(self) -> int:
        return self.knots.shape[1] - 2 * self.degree - 1

    @property
    def n_splines(self) -> int:
        return self.knots.shape[1] - self.degree - 1

    def features(self, h: Jet | Coordinates) -> Tensor:
        """(n, r, n_in, n_basis): the basis and its derivatives, as many as the jet needs."""
        return self.basis(h.value, h.channels.derivative_order)

    def basis(self, x: Tensor, order: int = 0) -> Tensor:
        values = splines.basis(x, self.knots, self.degree, order)
        if self.base is None:
            return values
        base = torch.stack(derivatives(self.base, x, order), dim=1)
        return torch.cat([values, base[..., None]], dim=-1)

    def contract(self, features: Tensor, coefficients: Tensor) -> Tensor:
        n, r, n_in, n_basis = features.shape
        by_input = features.permute(2, 0, 1, 3).reshape(n_in, n * r, n_basis)
        return torch.bmm(by_input, coefficients).view(n_in, n, r, -1).permute(1, 2, 0, 3)

    def combine(self, product: Tensor, h: Jet | Coordinates) -> Jet:
        return h.sum_of_edges(product)

    def jacobian(self, features: Tensor, delta: Tensor) -> Tensor:
        return torch.einsum("nrik,nrio->niko", features, delta).flatten(1)

    def edges(self, x: Tensor, order: int = 0) -> Tensor:
        """The edge functions' values and derivatives (n, order + 1, n_in, n_out) at x (n, n_in)."""
        return self.contract(self.basis(x, order), self.coefficients)

    @torch.no_grad()
    def set_breaks(self, breaks: Tensor) -> float:
        """Put the splines on other grid points (n_in, G + 1); returns the relative L2 change.

        Exact (0.0) where the interior old grid points are kept: knots inserted or the range widened.
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
        self.coefficients = nn.Parameter(torch.cat([spline, base], dim=1))
        return error

    @property
    def breaks(self) -> Tensor:
        return splines.breaks_of(self.knots, self.degree)

    def refine(self, intervals: int) -> float:
        """A grid of `intervals` intervals: each old one split evenly if that fits, else a new even grid."""
        old = self.breaks
        parts, rest = divmod(intervals, self.intervals)
        if rest == 0:
            share = torch.arange(parts, dtype=old.dtype, device=old.device) / parts
            inner = (old[:, :-1, None] + old.diff(dim=1)[..., None] * share).flatten(1)
            return self.set_breaks(torch.cat([inner, old[:, -1:]], dim=1))
        share = torch.linspace(0, 1, intervals + 1, dtype=old.dtype, device=old.device)
        return self.set_breaks(old[:, :1] + (old[:, -1:] - old[:, :1]) * share)
