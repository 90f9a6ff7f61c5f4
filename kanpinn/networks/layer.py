"""Layers that are linear in their coefficients, with their Jacobians.

A tape records the evaluation of layers; from it the Jacobian of residuals is computed. A sum of
known functions with coefficients (an enrichment) is a layer, too. Activation functions and their
derivatives are also here.
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
    """Return the values and derivatives σ, σ', …, σ^(order) of an activation function at x.

    Args:
        name: the name of the activation function, "sine", "tanh" or "silu".
        x: the arguments, of any shape.
        order: the order of the highest derivative.

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
    """Return the values and derivatives of a function t(x) with t' = slope(t), a polynomial in t.

    The r-th derivative is a polynomial p_r(t), with p_0(t) = t and p_{r+1} = p_r' · slope.

    Args:
        t: the values of the function, of any shape.
        slope: the coefficients of the polynomial, the constant first.
        order: the order of the highest derivative.

    Returns:
        order + 1 tensors of the shape of t.
    """
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

    h is the jet (values and derivatives) of the layer's inputs, and Y the jet of its outputs. Φ is
    the matrix of feature values at a point, such as B-splines at h. For a residual r at one point
    with δ = ∂r/∂S, the row of the Jacobian ∂r/∂C is therefore Φᵀδ.

    Attributes:
        coefficients: C.
        resizable: whether a saved layer of this class may have tensors of other shapes than this
            layer.
    """

    coefficients: nn.Parameter
    resizable: ClassVar[bool] = False  # whether a saved layer may have tensors of other shapes

    @abstractmethod
    def product(self, h: Jet | Coordinates, coefficients: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the product S at n points.

        Args:
            h: the jet of the inputs.
            coefficients: the coefficients C.

        Returns:
            The tensor `known` from which `jacobian` computes Φᵀδ, and S, (n, …) each.
        """

    def combine(self, product: Tensor, h: Jet | Coordinates) -> Jet:
        """Return the output jet (values and derivatives) from the product S and the input jet h.

        By default S consists of the parts of the output jet, stacked in one tensor.
        """
        return h.dense().unstacked(product)

    @abstractmethod
    def jacobian(self, known: Tensor, delta: Tensor, out: Tensor) -> None:
        """Write the Jacobian Φᵀδ of each of n residuals, one at each point, into `out`.

        Args:
            known: the first result of `product`.
            delta: δ = ∂r/∂S, in the shape of S.
            out: zeros, which are overwritten, (coefficients.numel(), n).
        """

    @property
    def numbers_at_point(self) -> int:
        """The number of values that an evaluation needs for each point, to bound its memory.

        The largest number in a network decides how many points are evaluated at once. By default it
        is n_in · n_out, the number of edges, for a KAN layer, n_in + 1 for a layer of an MLP, and
        the number of outputs for a layer of products of splines.
        """
        return math.prod(self.coefficients.shape[::2])

    def evaluate(self, h: Jet | Coordinates) -> Jet:
        """Return the output jet for the input jet h, without the tensors that a Jacobian needs.

        Subclasses may compute the jet faster than by `product` and `combine`.
        """
        return self.combine(self.product(h, self.coefficients)[1], h)

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:
        # Buffers may be shared with other objects, so new buffers are made.
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
        """Return the output jet; the tape records the evaluation if this layer is in its list.

        Args:
            h: the jet of the inputs.
            tape: the tape, or None.
        """
        if tape is None or not any(self is wanted for wanted in tape.layers):
            return self.evaluate(h)
        known, product = self.product(h, self.coefficients.detach())
        tape.record(self, known, product)
        return self.combine(product, h)


@dataclass(frozen=True, eq=False)
class Tape:
    """A record of one evaluation of a network, from which the Jacobian of a residual is computed.

    The symbols Φ, S, C and δ are those of `Layer`.

    Args:
        layers: the layers with respect to whose coefficients the Jacobian is computed.
        records: for each evaluation of one of `layers`, in order, a triple: the layer, the tensor
            from which `Layer.jacobian` computes Φᵀδ, and the product S = Φ C, a node of autograd's
            graph.
    """

    layers: Sequence[Layer]
    records: list[tuple[Layer, Tensor, Tensor]] = field(default_factory=list)

    def record(self, layer: Layer, known: Tensor, product: Tensor) -> None:
        """Record an evaluation of a layer.

        Args:
            layer: the layer.
            known: the tensor from which `Layer.jacobian` computes Φᵀδ.
            product: the product S = Φ C, which becomes a node of autograd's graph.
        """
        if not product.requires_grad:
            product.requires_grad_()
        self.records.append((layer, known.detach(), product))

    def jacobian(
        self, residual: Tensor, scale: float = 1.0, retain: bool = False, sites: int = 1
    ) -> Tensor:
        """Return the Jacobian of one equation's residuals with respect to the layers' coefficients.

        Each of the n residuals depends on its own `sites` consecutive points only, so one batched
        reverse pass gives δ = ∂r/∂S for all points. The Jacobian is Φᵀδ, summed over the points of
        each residual.

        Args:
            residual: the residuals r, (n,).
            scale: a factor of the result.
            retain: whether to keep autograd's graph for another equation.
            sites: the number of points of each residual.

        Returns:
            scale · ∂r/∂coefficients, (n, parameters), stored by columns as LAPACK needs it.
        """
        with torch.enable_grad():
            total = scale * residual.sum()
        deltas = torch.autograd.grad(
            total,
            [product for _, _, product in self.records],
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
                if delta is not None and count < sites:  # use only some points of each residual
                    known, delta = (
                        t.unflatten(0, (rows, sites))[:, start : start + count].flatten(0, 1)
                        for t in (known, delta)
                    )
                if delta is not None:
                    layer.jacobian(known, delta, out)
            blocks.append(columns if sites == 1 else columns.unflatten(1, (rows, -1)).sum(dim=2))
        return functools.reduce(torch.add, blocks).T


def get_coefficients(layers: Sequence[Layer]) -> Tensor:
    """Return the coefficients of the layers as one vector, in the order of `Tape.jacobian`."""
    return torch.cat([layer.coefficients.detach().flatten() for layer in layers])


@torch.no_grad()
def set_coefficients(layers: Sequence[Layer], vector: Tensor) -> None:
    """Set the coefficients of the layers.

    Args:
        layers: the layers.
        vector: all coefficients, in the order of `get_coefficients`.
    """
    parts = vector.split([layer.coefficients.numel() for layer in layers])
    for layer, part in zip(layers, parts, strict=True):
        layer.coefficients.copy_(part.view_as(layer.coefficients))


class Sensitivities(Layer):
    """A layer with the derivatives of fields u by K parameters q, for the parameters' covariance.

    It adds Σ_k a_k ∂u/∂q_k to the fields. The network computes u by solving the equation for given
    parameters q. These are the free initial values, if there are any, and the coefficients c of the
    unknown parameters (see `Unknown`). The layer's coefficients are the changes a of parameters,
    (K,). They are zero: the layer adds nothing to u, but its Jacobian serves to compute
    covariances.

    Args:
        errors: the errors of the parameters q that are due to the network, (K,).

    Reference: Bard, Nonlinear parameter estimation (1974), chapter 8, for models that are
    differential equations.
    """

    errors: Tensor

    def __init__(self, errors: Tensor) -> None:
        super().__init__()
        self.coefficients = nn.Parameter(torch.zeros_like(errors), requires_grad=False)
        self.register_buffer("errors", errors)

    def product(self, h: Jet | Coordinates, coefficients: Tensor) -> tuple[Tensor, Tensor]:
        """Return the sensitivities ∂u/∂q and their sum Σ_k a_k ∂u/∂q_k.

        Args:
            h: the jet of the sensitivities, with K·m components for K parameters and m fields.
            coefficients: the changes a, (K,).
        """
        rows = h.dense().stacked().unflatten(2, (len(coefficients), -1))
        return rows, torch.einsum("nckm,k->ncm", rows, coefficients)

    @torch.no_grad()
    def jacobian(self, known: Tensor, delta: Tensor, out: Tensor) -> None:
        out.copy_(torch.einsum("nckm,ncm->kn", known, delta))


Function = Callable[[Points], Tensor]  # n points → (n, q)


class Known:
    """Known functions of points, and their jets by nested automatic differentiation.

    The jets at a `Batch` of points are computed once and cached, because an optimizer needs them in
    every step.

    Args:
        functions: functions of n points that return (n, q); q may differ between functions.
        what: the name of the functions in error messages.
    """

    def __init__(self, functions: tuple[Function, ...], what: str) -> None:
        self.functions, self.what = functions, what

    def values(self, p: Points) -> Tensor:
        """Return the values of all functions at n points as columns of one tensor, (n, columns).

        Raises:
            InputError: if a function returns another shape.
        """
        each = (stack_equations(f(p), len(p), self.what, "q") for f in self.functions)
        return torch.cat([*each], dim=1)

    def jet(self, points: Points, channels: Channels) -> Jet:
        """Return the values of all functions at points, with the derivatives that `channels` names.

        A `Batch` of points caches this jet.

        Args:
            points: the points.
            channels: the derivatives.
        """

        def values(x: Tensor) -> Tensor:
            """Return the known values at coordinates x."""
            return self.values(Points(x, points.names))

        return points.once((self, channels), lambda: jet_of(values, points.coords, channels))


class Enrichment(Layer):
    """A layer that adds Σ_j c_j s_j(x), with known functions s_j, to the network's output.

    The coefficients c_j start at zero. A solve determines them together with the coefficients of
    the output layer.

    Args:
        functions: functions of n points, each of which returns the values (n, q) of q functions
            s_j. Every s_j has a coefficient for each of m fields.
        probe: some points, with the dtype and device of the network.
        fields: the number m of outputs.

    Raises:
        InputError: if a function returns another shape.

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
