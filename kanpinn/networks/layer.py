"""Layers, which are linear in their coefficients, and the tape that gives their Jacobian.

Besides the layers of networks, known functions with coefficients (an enrichment) are a layer.
Activation functions and their derivatives are here too.
"""

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from numpy.polynomial.polynomial import polyder, polymul
from torch import Tensor, nn

from kanpinn._support.errors import InputError
from kanpinn.geometry import Points
from kanpinn.jets import Channels, Coordinates, Jet, jet_of, stack_equations


def derivatives(name: str, x: Tensor, order: int) -> list[Tensor]:
    """The values and derivatives σ, σ', …, σ^(order) of an activation function at x.

    Args:
        name: the name of the activation, "sine", "tanh" or "silu".
        x: the arguments, of any shape.
        order: the highest derivative.

    Returns:
        order + 1 tensors of the shape of x.

    Raises:
        InputError: for another name.
    """
    match name:
        case "sine":
            s, c = torch.sin(x), torch.cos(x)
            return [(s, c, -s, -c)[r % 4] for r in range(order + 1)]
        case "tanh":
            return _polynomial_derivatives(torch.tanh(x), [1.0, 0.0, -1.0], order)
        case "silu":
            sigmoid = _polynomial_derivatives(torch.sigmoid(x), [0.0, 1.0, -1.0], order)
            rest = [x * sigmoid[r] + r * sigmoid[r - 1] for r in range(1, order + 1)]
            return [x * sigmoid[0], *rest]
    raise InputError(f"unknown activation {name!r}: expected sine, tanh or silu")


def _polynomial_derivatives(t: Tensor, slope: list[float], order: int) -> list[Tensor]:
    """Derivatives of t(x) where t' = slope(t): p_{r+1} = p_r' · slope, polynomials in t."""
    values, p = [], [0.0, 1.0]
    for _ in range(order + 1):
        value = torch.full_like(t, p[-1])
        for c in reversed(p[:-1]):
            value = value * t + c
        values.append(value)
        p = polymul(polyder(p), slope).tolist()
    return values


class Layer(nn.Module, ABC):
    """A layer Y = combine(S, h), where the product S = Φ(h) C is linear in the coefficients C.

    For a residual r at one point with δ = ∂r/∂S, the row of the Jacobian ∂r/∂C is therefore Φᵀδ.
    """

    coefficients: nn.Parameter
    resizable: ClassVar[bool] = False  # whether a saved layer may have tensors of other shapes

    @abstractmethod
    def product(self, h: Jet | Coordinates, coefficients: Tensor) -> tuple[Tensor, Tensor]:
        """The product S, preceded by the tensor from which `jacobian` computes Φᵀδ.

        The first axis of both runs over the points.
        """

    def combine(self, product: Tensor, h: Jet | Coordinates) -> Jet:
        """The output jet from the product, by default its `stacked` parts, and the input jet h."""
        return h.dense().unstacked(product)

    @abstractmethod
    def jacobian(self, known: Tensor, delta: Tensor, out: Tensor) -> None:
        """Write Φᵀδ of each point into `out`, zeros of shape (coefficients.numel(), n)."""

    @property
    def numbers_at_point(self) -> int:
        """The number of edges, and so of values, or derivatives of a kind, at each point."""
        return math.prod(self.coefficients.shape[::2])

    def evaluate(self, h: Jet | Coordinates) -> Jet:
        """The output jet, computed in the fastest way that does not give a Jacobian."""
        return self.combine(self.product(h, self.coefficients)[1], h)

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:
        # Buffers may be shared with other objects, so they are made anew.
        tensors = [*self._parameters.items(), *self._buffers.items()] if self.resizable else []
        for name, present in tensors:
            saved, trained = state_dict.get(prefix + name), isinstance(present, nn.Parameter)
            if present is None or saved is None:
                continue
            if trained and (saved.shape, saved.dtype) == (present.shape, present.dtype):
                continue  # optimizers refer to the parameter
            empty = torch.empty_like(saved)
            setattr(self, name, nn.Parameter(empty, present.requires_grad) if trained else empty)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def forward(self, h: Jet | Coordinates, tape: "Tape | None" = None) -> Jet:
        """The output jet; if the tape contains this layer, it records the evaluation."""
        if tape is None or not any(self is wanted for wanted in tape.layers):
            return self.evaluate(h)
        known, product = self.product(h, self.coefficients.detach())
        tape.record(self, known, product)
        return self.combine(product, h)


@dataclass(frozen=True, eq=False)
class Tape:
    """The records that the layers whose Jacobian is wanted make in one evaluation, in order.

    layers: the layers whose Jacobian is wanted. records: for each evaluation of such a layer, the
    layer, the tensor from which `Layer.jacobian` computes Φᵀδ, and the product S = Φ C, a node of
    the graph.
    """

    layers: Sequence[Layer]
    records: list[tuple[Layer, Tensor, Tensor]] = field(default_factory=list)

    def record(self, layer: Layer, known: Tensor, product: Tensor) -> None:
        """Record an evaluation of a layer; its product becomes a node of the graph."""
        if not product.requires_grad:
            product.requires_grad_()
        self.records.append((layer, known.detach(), product))

    def jacobian(
        self, residual: Tensor, scale: float = 1.0, retain: bool = False, sites: int = 1
    ) -> Tensor:
        """The Jacobian of one equation's residuals with respect to the layers' coefficients.

        One batched reverse pass gives δ = ∂r/∂S for all points, because each residual depends on
        its own `sites` consecutive points only; the Jacobian is Φᵀδ, summed over the sites.

        Args:
            residual: the residuals, (n,).
            scale: a factor of the result.
            retain: whether to keep the graph for another equation.
            sites: the number of points of each residual.

        Returns:
            scale · ∂r/∂coefficients, (n, parameters), stored by columns as LAPACK needs it.
        """
        deltas = torch.autograd.grad(
            residual,
            [product for _, _, product in self.records],
            torch.full_like(residual, scale),
            retain_graph=retain,
            allow_unused=True,
        )
        sizes = [layer.coefficients.numel() for layer, _, _ in self.records]
        rows, most = len(residual), 2**23  # entries at once: 64 MiB in float64
        block = sites if sites == 1 else max(1, min(sites, most // max(1, rows * sum(sizes))))
        blocks = []
        for start in range(0, sites, block):
            count = min(block, sites - start)
            columns = residual.new_zeros(sum(sizes), rows * count)
            parts = zip(self.records, deltas, columns.split(sizes), strict=True)
            for (layer, known, _), delta, out in parts:
                if delta is not None and count < sites:  # take only some of the sites of each row
                    known, delta = (
                        t.unflatten(0, (rows, sites))[:, start : start + count].flatten(0, 1)
                        for t in (known, delta)
                    )
                if delta is not None:
                    layer.jacobian(known, delta, out)
            blocks.append(columns if sites == 1 else columns.unflatten(1, (rows, -1)).sum(dim=2))
        return functools.reduce(torch.add, blocks).T


def get_coefficients(layers: Sequence[Layer]) -> Tensor:
    """The coefficients of the layers as one vector, in the order of the Jacobian's columns."""
    return torch.cat([layer.coefficients.detach().flatten() for layer in layers])


@torch.no_grad()
def set_coefficients(layers: Sequence[Layer], vector: Tensor) -> None:
    """Set the coefficients of the layers from a vector in the order of `get_coefficients`."""
    parts = vector.split([layer.coefficients.numel() for layer in layers])
    for layer, part in zip(layers, parts, strict=True):
        layer.coefficients.copy_(part.view_as(layer.coefficients))


class Sensitivities(Layer):
    """Σ_k a_k ∂u/∂q_k, added to the fields u of a network that solves its equation for numbers q.

    The numbers are free initial values, if there are any, and the coefficients c of the unknown
    numbers (see `Unknown`). The changes a, the coefficients (K,), are zero: the layer contributes
    nothing but its Jacobian, by which covariances are computed.

    Args:
        errors: the errors of the numbers that are due to the network, (K,).

    Reference: Bard, Nonlinear parameter estimation (1974), chapter 8, for models that are
    differential equations.
    """

    errors: Tensor

    def __init__(self, errors: Tensor) -> None:
        super().__init__()
        self.coefficients = nn.Parameter(torch.zeros_like(errors), requires_grad=False)
        self.register_buffer("errors", errors)

    def product(self, h: Jet | Coordinates, coefficients: Tensor) -> tuple[Tensor, Tensor]:
        """The weighted sum of the sensitivities, from their jet with K·m components."""
        rows = h.dense().stacked().unflatten(2, (len(coefficients), -1))
        return rows, torch.einsum("nckm,k->ncm", rows, coefficients)

    @torch.no_grad()
    def jacobian(self, known: Tensor, delta: Tensor, out: Tensor) -> None:
        out.copy_(torch.einsum("nckm,ncm->kn", known, delta))


Function = Callable[[Points], Tensor]  # n points → (n, q)


class Known:
    """Known functions of points, and their jets by nested automatic differentiation.

    The jets at a `Batch` of points are computed once, as an optimizer uses them in every step.

    Args:
        functions: each maps n points to (n, q), for its own q.
        what: the name of the functions in error messages.
    """

    def __init__(self, functions: tuple[Function, ...], what: str) -> None:
        self.functions, self.what = functions, what

    def values(self, p: Points) -> Tensor:
        """The values of all functions at n points as columns of one tensor, (n, columns).

        Raises:
            InputError: if a function gives another shape.
        """
        each = (stack_equations(f(p), len(p), self.what, "q") for f in self.functions)
        return torch.cat([*each], dim=1)

    def jet(self, points: Points, channels: Channels) -> Jet:
        """The jet of all functions at points, with the derivatives that `channels` names.

        A `Batch` of points caches the jet.
        """

        def values(x: Tensor) -> Tensor:
            return self.values(Points(x, points.names))

        return points.once((self, channels), lambda: jet_of(values, points.coords, channels))


class Enrichment(Layer):
    """Σ_j c_j s_j(x) with known functions s_j, added to the network's output.

    It is linear in its coefficients, which start at zero and are solved for together with the
    coefficients of the output layer.

    Args:
        functions: functions of n points, each of which returns the values (n, q) of q functions
            s_j. Every s_j has a coefficient for each of m fields.
        probe: some points, with the dtype and device of the network.
        fields: the number m of outputs.

    Raises:
        InputError: if a function gives another shape.

    Reference: Strang and Fix, An analysis of the finite element method (1973), chapter 8.
    """

    def __init__(self, functions: Sequence[Function], probe: Points, fields: int) -> None:
        super().__init__()
        self.known = Known(tuple(functions), "a function of enrichment()")
        count = self.known.values(probe).shape[1]
        self.coefficients = nn.Parameter(probe.coords.new_zeros(count, fields))

    def product(self, h: Jet | Coordinates, coefficients: Tensor) -> tuple[Tensor, Tensor]:
        rows = h.dense().stacked()
        return rows, rows @ coefficients

    @torch.no_grad()
    def jacobian(self, known: Tensor, delta: Tensor, out: Tensor) -> None:
        out.view(*self.coefficients.shape, -1).copy_(torch.einsum("ncq,ncm->qmn", known, delta))
