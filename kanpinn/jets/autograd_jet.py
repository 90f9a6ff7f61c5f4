"""The jet of any differentiable function by nested automatic differentiation."""

from collections.abc import Callable

import torch
from torch import Tensor

from kanpinn.jets.channels import Channels, second_of_diagonal
from kanpinn.jets.jet import Jet


def jet_of(function: Callable[[Tensor], Tensor], coords: Tensor, channels: Channels) -> Jet:
    """The jet of any differentiable function by nested automatic differentiation.

    It is slower than a network's own jets, but needs no formulas. Many functions of few coordinates
    are differentiated in forward mode, with one pass per coordinate instead of one per function.

    Args:
        function: maps (n, d) to (n, m), each row independently of the others.
        coords: the points, (n, d).
        channels: the derivatives that the jet carries.
    """
    x = coords.detach().clone().requires_grad_()
    gradients: list[Tensor] = []
    seconds: list[Tensor] = []
    lines: list[Tensor] = []
    with torch.enable_grad():
        value = function(x)
        if value.ndim == 2 and value.shape[1] > 2 * channels.dim:
            return _forward_jet(function, x.detach(), channels)
        for j in range(value.shape[1]):
            u = value[:, [j]]
            if channels.gradient:
                first = _derivative(u, x)
                gradients.append(first[..., None])
            if channels.second != "none":
                rows = [_derivative(first[:, [a]], x) for a in range(channels.dim)]
                if channels.second == "hessian":
                    seconds.append(torch.cat(rows, dim=1)[..., None])
                else:
                    diagonal = torch.stack([row[:, a] for a, row in enumerate(rows)], dim=1)
                    seconds.append(second_of_diagonal(diagonal[..., None], channels.second))
            if channels.directions:
                steps = x.new_tensor(channels.directions)
                along = [_line(u, x, step, channels.order) for step in steps]
                lines.append(torch.stack(along, dim=1))
    parts = (
        torch.cat(part, dim=-1).detach() if part else None for part in (gradients, seconds, lines)
    )
    return Jet(channels, value.detach(), *parts)


def _forward_jet(function: Callable[[Tensor], Tensor], x: Tensor, channels: Channels) -> Jet:
    def along(f: Callable[[Tensor], Tensor], v: Tensor) -> Callable[[Tensor], Tensor]:
        return lambda y: torch.func.jvp(f, (y,), (v.expand_as(y),))[1]

    axes = torch.eye(channels.dim).to(x)
    slopes = [along(function, e) for e in axes]
    gradient = second = lines = None
    if channels.gradient:
        gradient = torch.stack([slope(x) for slope in slopes], dim=1)
    if channels.second == "hessian":
        rows = [along(slope, e)(x) for slope in slopes for e in axes]
        second = torch.stack(rows, dim=1)
    elif channels.second != "none":
        diagonal = [along(slope, e)(x) for slope, e in zip(slopes, axes, strict=True)]
        second = second_of_diagonal(torch.stack(diagonal, dim=1), channels.second)
    if channels.directions:
        steps = x.new_tensor(channels.directions)
        lines = torch.stack([_powers(function, v, channels.order, along, x) for v in steps], dim=1)
    return Jet(channels, function(x), gradient, second, lines)


def _powers(
    function: Callable[[Tensor], Tensor], v: Tensor, order: int, along: Callable, x: Tensor
) -> Tensor:
    """∂_v f, ∂_v² f, … at x, (n, order, m)."""
    terms = []
    for _ in range(order):
        function = along(function, v)
        terms.append(function(x))
    return torch.stack(terms, dim=1)


def _line(u: Tensor, x: Tensor, step: Tensor, order: int) -> Tensor:
    terms = []
    for _ in range(order):
        u = _derivative(u, x) @ step[:, None]
        terms.append(u)
    return torch.stack(terms, dim=1)


def _derivative(u: Tensor, x: Tensor) -> Tensor:
    if not u.requires_grad:
        return torch.zeros_like(x)
    (grad,) = torch.autograd.grad(u.sum(), x, create_graph=True, allow_unused=True)
    return torch.zeros_like(x) if grad is None else grad
