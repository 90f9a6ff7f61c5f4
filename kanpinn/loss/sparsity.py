"""Sparsity as a term of the loss: few edges, each as large as it has to be."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from kanpinn._support.errors import InputError, number
from kanpinn.geometry import Points
from kanpinn.jets import Channels, Coordinates, Jet, total
from kanpinn.loss.terms import Term
from kanpinn.networks import KAN
from kanpinn.networks.activations import derivatives
from kanpinn.networks.basis import Basis
from kanpinn.networks.kan_layer import KANLayer
from kanpinn.networks.network import Layer, Tape
from kanpinn.networks.surrogate import Surrogate


@dataclass(frozen=True)
class Sparsity:
    """What `SparsityTerm` adds to the loss: strength · Σ over layers of (l1 Σ s + entropy S).

    Args:
        strength: of the whole term beside the loss's own.
        l1: weight of the edges' sizes s, their standard deviations.
        entropy: weight of S = -Σ p ln p, p = s / Σ s: how many edges of a layer share its size.

    Raises:
        InputError: for a weight that is negative or no number.

    Reference: Liu et al., KAN (2024), section 2.5.1.
    """

    strength: float | int = 1e-2
    l1: float | int = 1.0
    entropy: float | int = 1.0

    def __post_init__(self) -> None:
        number("strength", self.strength, above=True)
        number("l1", self.l1)
        number("entropy", self.entropy)

    def term(self, surrogate: Surrogate, points: Points) -> "SparsityTerm":
        """The term of the loss; one of the loss's own points stands for its one row.

        Raises:
            InputError: where the network is no KAN.
        """
        if not isinstance(surrogate.network, KAN):
            kind = type(surrogate.network).__name__
            raise InputError(f"sparsity is for KANs: a {kind} has no edge functions")
        channels = Channels(points.names)
        return SparsityTerm("sparsity", points[:1], self.strength, channels, self)


@dataclass(frozen=True, eq=False)
class SparsityTerm(Term):
    """Σ over layers of l1 Σ s + entropy S, a function of the coefficients alone.

    s is an edge's standard deviation over its own grid, √(mean (φ - mean φ)² + 10⁻⁸). The grids
    cover the activations, so that is what data would give but for their density, and it needs no
    pass through them: with φ - mean φ = L c at Gauss nodes it is a norm of the coefficients.

    Rows for Gauss–Newton: with w = l1 + entropy ∂S/∂s they are √(|w|/2s) L c, the residual signed
    as w, and one that does not vary. Their squares sum up to the term and have its exact gradient;
    without entropy they lie above it everywhere, for s ≤ s²/2s₀ + s₀/2. S is concave in p but not
    in s, so that of it no such bound is known: there |w| keeps the model convex.

    Reference: Liu et al., KAN (2024), section 2.5.1; Daubechies et al., Iteratively reweighted
    least squares minimization for sparse recovery (2010).
    """

    squares: ClassVar[bool] = True

    settings: Sparsity

    def total(self, surrogate: Surrogate, points: Points) -> Tensor:
        layers = cast(Sequence[KANLayer], surrogate.network.layers)
        return total(self._term(sizes(layer, _root(layer, points))) for layer in layers)

    def _term(self, s: Tensor) -> Tensor:
        p = s / s.sum()
        return self.settings.l1 * s.sum() - self.settings.entropy * (p * p.log()).sum()

    def linearised(self, surrogate: Surrogate, points: Points, tape: Tape) -> Tensor:
        own = set(surrogate.network.layers)
        parts = [self._rows(layer, points, layer in own) for layer in tape.layers]
        counts = [len(signs) for _, signs in parts]
        value = torch.cat([*(signs for _, signs in parts), parts[0][1].new_ones(1)])
        model = torch.zeros_like(value)
        for i, (layer, (rows, _)) in enumerate(zip(tape.layers, parts, strict=True)):
            around = (0, 0, sum(counts[:i]), sum(counts[i + 1 :]) + 1)
            model = model + FixedRows(layer, nn.functional.pad(rows, around)).recorded(tape)
        value = value * model.detach()
        rest = self.total(surrogate, points) - value.square().sum()
        value[-1] = rest.clamp_min(0).sqrt()  # below zero by rounding at most
        return (value + (model - model.detach()))[:, None]

    @torch.no_grad()
    def _rows(self, layer: Layer, points: Points, has_edges: bool) -> tuple[Tensor, Tensor]:
        """√(|w|/2s) L of each edge, over all coefficients of the layer, and the signs of w."""
        if not has_edges:
            none = layer.coefficients.new_zeros(0, layer.coefficients.numel())
            return none, none[:, 0]
        layer = cast(KANLayer, layer)
        root = _root(layer, points)
        s = sizes(layer, root)
        p = s / s.sum()
        surprise = p.log() - (p * p.log()).sum()
        w = self.settings.l1 - self.settings.entropy * surprise / s.sum()
        i, o = layer.kept.nonzero(as_tuple=True)
        rows = root.new_zeros(len(s), root.shape[1], *layer.coefficients.shape)
        edge = torch.arange(len(s), device=s.device)
        rows[edge, :, i, :, o] = (w.abs() / (2 * s)).sqrt()[:, None, None] * root[i]
        return rows.flatten(2).flatten(0, 1), w.sign().repeat_interleave(root.shape[1])


class _Root:
    """L of one layer (see `factor`), made anew where the layer has another basis."""

    basis: Basis | None = None
    value: Tensor

    def of(self, layer: KANLayer) -> Tensor:
        """L, (n_in, r, n_basis)."""
        if self.basis is not layer.basis:
            self.basis, self.value = layer.basis, factor(layer)
        return self.value


def _root(layer: KANLayer, points: Points) -> Tensor:
    return points.once(layer, _Root).of(layer)


class FixedRows(Layer):
    """Rows of numbers times the coefficients of another layer: a penalty as part of a tape."""

    def __init__(self, layer: Layer, rows: Tensor) -> None:
        super().__init__()
        self.coefficients, self.rows = layer.coefficients, rows

    def recorded(self, tape: Tape) -> Tensor:
        """The product, (rows,), as the tape's next record."""
        product = self.rows @ self.coefficients.detach().flatten()
        tape.record(self, self.rows, product)
        return product

    def product(self, h: Jet | Coordinates, coefficients: Tensor) -> tuple[Tensor, Tensor]:
        return self.rows, self.rows @ coefficients.flatten()

    def combine(self, product: Tensor, h: Jet | Coordinates) -> Jet:
        return Jet(h.channels, product)

    def jacobian(self, known: Tensor, delta: Tensor, out: Tensor) -> None:
        out.copy_(known.T * delta)


def sizes(layer: KANLayer, root: Tensor, smooth: float = 1e-4) -> Tensor:
    """The standard deviations of the edges that are there, (edges,), at least `smooth`.

    Without it they would have no derivative at zero, where edges are to go.
    """
    variance = torch.einsum("irk,iko->iro", root, layer.coefficients).square().sum(dim=1)
    return (variance[layer.kept] + smooth**2).sqrt()


@torch.no_grad()
def factor(layer: KANLayer) -> Tensor:
    """L (n_in, r, n_basis): |L c| is the standard deviation of Σ_k c_k B_k over the input's grid.

    The triangular factor of the basis at Gauss nodes, its means taken off.
    """
    x, weights = layer.basis.quadrature()
    basis = layer.basis.values(x)[:, 0]
    if layer.base is not None:
        basis = torch.cat([basis, derivatives(layer.base, x, 0)[0][..., None]], dim=2)
    centred = basis - (weights[..., None] * basis).sum(dim=0)
    return torch.linalg.qr((weights.sqrt()[..., None] * centred).movedim(1, 0), mode="r").R
