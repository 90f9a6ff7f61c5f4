"""Smooth activation functions of one variable and their derivatives."""

import torch
from numpy.polynomial.polynomial import polyder, polymul
from torch import Tensor

from kanpinn._support.errors import InputError


def derivatives(name: str, x: Tensor, order: int) -> list[Tensor]:
    """The values and derivatives σ, σ', …, σ^(order) of an activation function at x.

    Args:
        name: the name of the activation, "identity", "sine", "tanh" or "silu".
        x: the arguments, of any shape.
        order: the highest derivative.

    Returns:
        order + 1 tensors of the shape of x.

    Raises:
        InputError: for another name.
    """
    match name:
        case "identity":
            zeros = [torch.zeros_like(x) for _ in range(order - 1)]
            return [x, torch.ones_like(x), *zeros][: order + 1]
        case "sine":
            s, c = torch.sin(x), torch.cos(x)
            return [(s, c, -s, -c)[r % 4] for r in range(order + 1)]
        case "tanh":
            return _polynomial_derivatives(torch.tanh(x), [1.0, 0.0, -1.0], order)
        case "silu":
            sigmoid = _polynomial_derivatives(torch.sigmoid(x), [0.0, 1.0, -1.0], order)
            rest = [x * sigmoid[r] + r * sigmoid[r - 1] for r in range(1, order + 1)]
            return [x * sigmoid[0], *rest]
    raise InputError(f"unknown activation {name!r}: expected identity, sine, tanh or silu")


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
