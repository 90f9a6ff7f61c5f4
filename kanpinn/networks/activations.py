"""Smooth activation functions of one variable and their derivatives."""

from collections.abc import Callable

import torch
from torch import Tensor

from kanpinn._support.errors import InputError


def derivatives(name: str, x: Tensor, order: int) -> list[Tensor]:
    """The values and derivatives σ, σ', …, σ^(order) of an activation function at x.

    Args:
        name: the name of the activation, one of `ACTIVATIONS`.
        x: the arguments, of any shape.
        order: the highest derivative.

    Returns:
        order + 1 tensors of the shape of x.

    Raises:
        InputError: for a name that is not one of `ACTIVATIONS`.
    """
    if name not in ACTIVATIONS:
        raise InputError(f"unknown activation {name!r}: expected one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name](x, order)


def _identity(x: Tensor, order: int) -> list[Tensor]:
    return [x, torch.ones_like(x), *(torch.zeros_like(x) for _ in range(order - 1))][: order + 1]


def _sine(x: Tensor, order: int) -> list[Tensor]:
    s, c = torch.sin(x), torch.cos(x)
    return [(s, c, -s, -c)[r % 4] for r in range(order + 1)]


def _tanh(x: Tensor, order: int) -> list[Tensor]:
    t = torch.tanh(x)
    return _polynomial_derivatives(t, [0.0, 1.0], [1.0, 0.0, -1.0], order)


def _silu(x: Tensor, order: int) -> list[Tensor]:
    s = _polynomial_derivatives(torch.sigmoid(x), [0.0, 1.0], [0.0, 1.0, -1.0], order)
    return [x * s[0], *(x * s[r] + r * s[r - 1] for r in range(1, order + 1))]


def _polynomial_derivatives(
    t: Tensor, p: list[float], slope: list[float], order: int
) -> list[Tensor]:
    """Derivatives of p(t(x)) where t' = slope(t): p_{r+1} = p_r' · slope, polynomials in t."""
    values = []
    for _ in range(order + 1):
        values.append(_horner(p, t))
        derived = [j * c for j, c in enumerate(p)][1:]
        p = [0.0] * (len(derived) + len(slope) - 1)
        for i, a in enumerate(derived):
            for j, b in enumerate(slope):
                p[i + j] += a * b
    return values


def _horner(p: list[float], t: Tensor) -> Tensor:
    value = torch.full_like(t, p[-1])
    for c in reversed(p[:-1]):
        value = value * t + c
    return value


ACTIVATIONS: dict[str, Callable[[Tensor, int], list[Tensor]]] = {
    "identity": _identity,
    "sine": _sine,
    "tanh": _tanh,
    "silu": _silu,
}
