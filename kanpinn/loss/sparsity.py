"""A sparsity penalty as a term of the loss, which favours networks with few edges."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from kanpinn._support.errors import InputError, number
from kanpinn.geometry import Points
from kanpinn.jets import Channels, Coordinates, Jet, total
from kanpinn.loss.terms import Term
from kanpinn.networks import KAN
from kanpinn.networks.kan import KANLayer
from kanpinn.networks.layer import Layer, Tape, derivatives
from kanpinn.networks.surrogate import Surrogate


@dataclass(frozen=True)
class Sparsity:
    """The settings of the penalty strength · Σ over layers of (l1 Σ s + entropy S).

    Args:
        strength: the weight of the penalty relative to the rest of the loss, above zero.
        l1: the weight of the sizes s of the edges, which are their standard deviations.
        entropy: the weight of the entropy S = -Σ p ln p with p = s / Σ s, which is small if few
            edges of a layer have most of its size.

    Raises:
        InputError: for a weight that is negative or not a number, or a strength of zero.

    Reference: Liu et al., KAN (2024), section 2.5.1.

    Example:
        >>> import torch
        >>> import kanpinn as kp
        >>> x = torch.rand(100, 2, generator=torch.Generator().manual_seed(0))
        >>> table = kp.Table(x, x[:, :1] ** 2)
        >>> method = kp.LBFGS(steps=1, iterations=5)
        >>> fitted = kp.fit(kp.KAN([2, 2, 1]), table, method, sparsity=kp.Sparsity(1e-2))
        >>> fitted.history.steps
        1
    """

    strength: float | int = 1e-2
    l1: float | int = 1.0
    entropy: float | int = 1.0

    def __post_init__(self) -> None:
        number("strength", self.strength, above=True)
        number("l1", self.l1)
        number("entropy", self.entropy)

    def term(self, surrogate: Surrogate, points: Points) -> "SparsityTerm":
        """The penalty as a term of the loss, with one row.

        Args:
            surrogate: a surrogate with a KAN, whose edges are penalised.
            points: points of the loss; the term takes one point, because every row needs a point.

        Raises:
            InputError: if the network is not a KAN.
        """
        if not isinstance(surrogate.network, KAN):
            kind = type(surrogate.network).__name__
            raise InputError(f"sparsity is for KANs: a {kind} has no edge functions")
        return SparsityTerm("sparsity", points[:1], self.strength, Channels(points.names), self)


@dataclass(frozen=True, eq=False)
class SparsityTerm(Term):
    """The penalty Σ over layers of (l1 Σ s + entropy S), which depends on the coefficients alone.

    s is the standard deviation of an edge function over its own grid, √(mean (φ - mean φ)² + 10⁻⁸).
    The grids cover the activations, so s differs from the deviation over data only by the density
    of the data. No evaluation at the data is needed: φ - mean φ = L c at weighted Gauss nodes with
    the coefficients c of the edge, so s is a norm of c.

    With w = l1 + entropy ∂S/∂s, the Gauss–Newton residuals are ±√(|w|/2s) L c with the sign of w,
    and one constant residual. The sum of the squares of all these residuals is the penalty, and
    its gradient is the exact gradient of the penalty. Without entropy the quadratic model is an
    upper bound, as s ≤ s²/2s₀ + s₀/2 for the present s₀. No such bound is known for the entropy S,
    which is concave in p but not in s; |w| keeps the model convex.

    Reference: Liu et al., KAN (2024), section 2.5.1; Daubechies et al., Iteratively reweighted
    least squares minimization for sparse recovery (2010).
    """

    squares: ClassVar[bool] = True

    settings: Sparsity

    def total(self, surrogate: Surrogate, points: Points) -> Tensor:
        layers = cast(Sequence[KANLayer], surrogate.network.layers)
        return total(self._term(edge_sizes(layer, _root(layer, points))) for layer in layers)

    def _term(self, s: Tensor) -> Tensor:
        """The penalty l1 Σ s + entropy S, a scalar, for the sizes s of one layer's edges."""
        p = s / s.sum()
        return self.settings.l1 * s.sum() - self.settings.entropy * (p * p.log()).sum()

    def linearised(self, surrogate: Surrogate, points: Points, tape: Tape) -> Tensor:
        """The Gauss–Newton residuals of the penalty, as a column (rows, 1).

        They are those of the docstring of `SparsityTerm`: first ±√(|w|/2s) L c for each edge, with
        the Jacobian √(|w|/2s) L, then the constant residual.

        Args:
            surrogate: the solution, whose network is a KAN.
            points: some of the term's points.
            tape: records the layers whose Jacobian is wanted.
        """
        layers = set(surrogate.network.layers)
        parts = [self._rows(layer, points, layer in layers) for layer in tape.layers]
        counts = [len(signs) for _, signs in parts]
        value = torch.cat([*(signs for _, signs in parts), parts[0][1].new_ones(1)])
        model = torch.zeros_like(value)
        for i, (layer, (rows, _)) in enumerate(zip(tape.layers, parts, strict=True)):
            around = (0, 0, sum(counts[:i]), sum(counts[i + 1 :]) + 1)
            model = model + FixedRows(layer, nn.functional.pad(rows, around)).recorded(tape)
        value = value * model.detach()
        rest = self.total(surrogate, points) - value.square().sum()
        value[-1] = rest.clamp_min(0).sqrt()  # only rounding can make `rest` negative
        return (value + (model - model.detach()))[:, None]

    @torch.no_grad()
    def _rows(self, layer: Layer, points: Points, has_edges: bool) -> tuple[Tensor, Tensor]:
        """The rows √(|w|/2s) L of the edges of a layer, see the class.

        Args:
            layer: the layer, with p coefficients.
            points: the points with which L is cached.
            has_edges: whether the layer is a part of the KAN; other layers get no rows.

        Returns:
            The rows, (rows, p), and the sign of w in each row, (rows,).
        """
        if not has_edges:
            none = layer.coefficients.new_zeros(0, layer.coefficients.numel())
            return none, none[:, 0]
        layer = cast(KANLayer, layer)
        root = _root(layer, points)
        s = edge_sizes(layer, root)
        p = s / s.sum()
        surprise = p.log() - (p * p.log()).sum()
        w = self.settings.l1 - self.settings.entropy * surprise / s.sum()
        i, o = layer.kept.nonzero(as_tuple=True)
        rows = root.new_zeros(len(s), root.shape[1], *layer.coefficients.shape)
        edge = torch.arange(len(s), device=s.device)
        rows[edge, :, i, :, o] = (w.abs() / (2 * s)).sqrt()[:, None, None] * root[i]
        return rows.flatten(2).flatten(0, 1), w.sign().repeat_interleave(root.shape[1])


def _root(layer: KANLayer, points: Points) -> Tensor:
    """The matrix L of a layer (see `factor`), cached with the points as long as the basis lasts."""
    kept: dict[str, Any] = points.once(layer, dict)
    if kept.get("basis") is not layer.basis:
        kept.update(basis=layer.basis, root=factor(layer))
    root: Tensor = kept["root"]
    return root


class FixedRows(Layer):
    """A constant matrix times the coefficients of another layer, in the form of a layer.

    A tape records it like other layers, so that the Jacobian of these products is computed.
    """

    def __init__(self, layer: Layer, rows: Tensor) -> None:
        super().__init__()
        self.coefficients, self.rows = layer.coefficients, rows

    def recorded(self, tape: Tape) -> Tensor:
        """Record the product (rows,) on the tape and return it."""
        product = self.rows @ self.coefficients.detach().flatten()
        tape.record(self, self.rows, product)
        return product

    def product(self, h: Jet | Coordinates, coefficients: Tensor) -> tuple[Tensor, Tensor]:
        return self.rows, self.rows @ coefficients.flatten()

    def jacobian(self, known: Tensor, delta: Tensor, out: Tensor) -> None:
        out.copy_(known.T * delta)


def edge_sizes(layer: KANLayer, root: Tensor, smooth: float = 1e-4) -> Tensor:
    """The smoothed standard deviations √(variance + smooth²) of the edges that are kept, (edges,).

    Due to the smoothing they have a derivative at zero, towards which the penalty drives edges.

    Args:
        layer: the layer of the edges.
        root: the matrix L of `factor`, (n_in, r, n_basis).
        smooth: the least standard deviation.
    """
    variance = torch.einsum("irk,iko->iro", root, layer.coefficients).square().sum(dim=1)
    return (variance[layer.kept] + smooth**2).sqrt()


@torch.no_grad()
def factor(layer: KANLayer) -> Tensor:
    """For each input of a KAN layer the matrix L that gives edges' standard deviations.

    |L c| is the standard deviation of the edge function Σ_j c_j B_j over the grid of the input. L
    is the R factor of the QR decomposition of the basis at Gauss nodes, minus its mean. The result
    is (n_in, r, n_basis).

    Args:
        layer: the layer.
    """
    x, weights = layer.basis.quadrature()
    basis = layer.basis.values(x)[:, 0]
    if layer.base is not None:
        basis = torch.cat([basis, derivatives(layer.base, x, 0)[0][..., None]], dim=2)
    centred = basis - (weights[..., None] * basis).sum(dim=0)
    return torch.linalg.qr((weights.sqrt()[..., None] * centred).movedim(1, 0), mode="r").R
