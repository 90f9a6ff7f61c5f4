"""The paper's five toy functions on [-1, 1]^d, each with a smooth KAN of a known shape."""

import torch
from function_fitting.functions import Function
from scipy.special import j0
from torch import Tensor, pi


def bessel(x: Tensor) -> Tensor:
    """Return J0(20 x); torch's own J0 is accurate to 1e-9 only."""
    return torch.from_numpy(j0(20 * x[:, 0].numpy()))


def exponential(x: Tensor) -> Tensor:
    """exp(sin πx + y²)."""
    return torch.exp(torch.sin(pi * x[:, 0]) + x[:, 1] ** 2)


def product(x: Tensor) -> Tensor:
    """xy = ((x + y)² - (x - y)²)/4."""
    return x[:, 0] * x[:, 1]


def hundred(x: Tensor) -> Tensor:
    """exp(Σ sin²(πx_i/2) / 100), 100 variables."""
    return torch.exp(torch.sin(pi * x / 2).square().mean(dim=1))


def four(x: Tensor) -> Tensor:
    """exp((sin π(x1² + x2²) + sin π(x3² + x4²))/2)."""
    s = torch.sin(pi * x.square().unflatten(1, (2, 2)).sum(dim=2))
    return torch.exp(s.mean(dim=1))


SHAPES = {
    "bessel": (1, 1),
    "exponential": (2, 1, 1),
    "product": (2, 2, 1),
    "hundred": (100, 1, 1),
    "four": (4, 2, 1, 1),
}
FORMULAS = {
    "bessel": "J0(20 x)",
    "exponential": "exp(sin πx + y²)",
    "product": "xy",
    "hundred": "exp(Σ sin²(πx_i/2)/100)",
    "four": "exp((sin π(x1²+x2²) + sin π(x3²+x4²))/2)",
}
FUNCTIONS = {
    values.__name__: Function(
        values.__name__,
        FORMULAS[values.__name__],
        (-1.0,) * SHAPES[values.__name__][0],
        (1.0,) * SHAPES[values.__name__][0],
        values,
    )
    for values in (bessel, exponential, product, hundred, four)
}
