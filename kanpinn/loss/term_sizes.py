"""Estimates of how much a unit residual changes the solution during a window of time."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from kanpinn.jets import Channels, Jet
from kanpinn.loss.terms import ResidualTerm
from kanpinn.networks.surrogate import Surrogate


def slopes(term: ResidualTerm, surrogate: Surrogate, rows: int = 64) -> list[Jet]:
    """The derivatives ∂r/∂(u, ∂_a u, …) of each equation's residual at some rows of a term.

    Args:
        term: the term whose equations are differentiated.
        surrogate: the solution at which the derivatives are taken.
        rows: about this many rows, at even distances, are used.

    Returns:
        For each equation a jet shaped like the solution's, holding ∂r/∂u in place of u.
    """
    few = term.chosen(torch.arange(0, term.rows, max(1, term.rows // rows)))
    with torch.no_grad():
        jet = surrogate.jet(few.points, few.channels)
    parts = [t.detach().clone().requires_grad_() for t in jet.parts()]
    with torch.enable_grad():
        residual = few.equation(few.points, jet.with_parts(parts))
    return [
        jet.with_parts(
            torch.autograd.grad(column.sum(), parts, retain_graph=True, materialize_grads=True)
        )
        for column in residual.unbind(dim=1)
    ]


def inside_factors(found: Sequence[Jet], duration: float, order: int) -> list[float | None]:
    """Δt^m / m! / (∂r/∂(∂_t^m u)) of each equation; None for an equation without ∂_t^m u."""
    speeds = [_by_time(jet, order) for jet in found]
    return [duration**order / math.factorial(order) / c if c > 0 else None for c in speeds]


def reach(found: Sequence[Jet], duration: float, order: int, size: float) -> float:
    """The distance over which boundary values change the solution during a window of time.

    It is (κ Δt^m)^½ + |a| Δt^m for the equation c (∂_t^m u + a·∇u - κ Δu + …), and at most `size`.

    Args:
        found: the equations' `slopes`.
        duration: the length Δt of the window.
        order: the order m of the time derivative.
        size: the size of the domain, also the result if the estimate is zero.
    """
    lengths = []
    for jet in found:
        c = _by_time(jet, order)
        if c > 0:
            time = duration**order / c
            lengths.append(math.sqrt(_by_second(jet) * time) + _by_first(jet) * time)
    length = max(lengths, default=0.0)
    return min(length, size) if length > 0 else size


def outside_factors(found: Sequence[Jet], near: float, size: float) -> list[float]:
    """The root mean square change of u over the domain for a residual of 1 in each condition.

    It is (ℓ / L)^½ / (∂r/∂u + Σ ∂r/∂(∂^k u) / ℓ^k): u changes in a layer of width ℓ only. A
    condition that does not depend on u gets the factor 1.

    Args:
        found: the `slopes` of the condition.
        near: the width ℓ, see `reach`.
        size: the size L of the domain.
    """
    factors = []
    for jet in found:
        slope = _size(jet.value)
        if jet.gradient is not None:
            slope += _by_field(jet.gradient).amax(dim=1).sum().item() / near
        if jet.second is not None:
            slope += _by_field(jet.second).amax(dim=1).sum().item() / near**2
        if jet.lines is not None:
            by_order = _by_field(jet.lines).amax(dim=2).sum(dim=0).tolist()
            slope += sum(c / near**k for k, c in enumerate(by_order, start=1))
        factors.append(math.sqrt(near / size) / slope if slope > 0 else 1.0)
    return factors


def _by_time(jet: Jet, order: int) -> float:
    if order == 1:
        return 0.0 if jet.gradient is None else _size(jet.gradient[:, -1])
    if jet.second is None or jet.channels.second == "laplacian":
        return 0.0
    return _size(jet.second[:, -1])


def _by_first(jet: Jet) -> float:
    assert jet.gradient is not None
    return float(_by_field(jet.gradient[:, :-1]).max()) if jet.channels.dim > 1 else 0.0


def _by_second(jet: Jet) -> float:
    if jet.second is None:
        return 0.0
    return float(_by_field(jet.second[:, _spatial(jet.channels)]).max())


def _spatial(channels: Channels) -> list[int]:
    """Indices of the pure second derivatives in space in the channel of second derivatives."""
    if channels.second == "laplacian":
        return [0]
    step = channels.dim + 1 if channels.second == "hessian" else 1
    return [a * step for a in range(channels.dim - 1)]


def _size(t: Tensor) -> float:
    """The root mean square over points, the largest over the fields."""
    return float(_by_field(t).max())


def _by_field(t: Tensor) -> Tensor:
    return t.square().mean(dim=0).sqrt()
