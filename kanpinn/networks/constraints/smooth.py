"""Whether a function of points is smooth on a flat piece, and knows its derivatives."""

import math

import torch
from torch import Tensor

from kanpinn.geometry import Piece, Points
from kanpinn.networks.known_function import Function

CHORDS = 12  # random ones, on which it is expanded in Chebyshev polynomials
ORDERS = (16, 32, 64, 128, 256)
TAIL = 1e-7  # of the largest coefficient, what a smooth function's last quarter falls below
SLOPES = 1e-4  # how well derivatives agree, relative to the largest


def smooth_on(piece: Piece, function: Function) -> bool:
    """Whether chords of the piece see no kink or jump, and autograd gives the true slopes.

    Autograd passes over a kink, whose second derivative is a delta, and knows nothing of data that
    come from elsewhere as numbers; either would silently be another function's derivatives.
    """
    generator = torch.Generator().manual_seed(0)
    ends = piece.place(
        2 * CHORDS, lambda n, d: torch.rand(n, d, dtype=torch.float64, generator=generator)
    ).coords
    pairs = zip(ends[:CHORDS], ends[CHORDS : 2 * CHORDS], strict=True)
    return all(_smooth_between(a, b, function, piece.names) for a, b in pairs)


def _smooth_between(a: Tensor, b: Tensor, function: Function, names: tuple[str, ...]) -> bool:
    middle, half = (a + b) / 2, (b - a) / 2
    for order in ORDERS:
        angles = torch.pi * (torch.arange(order, dtype=torch.float64) + 0.5) / order
        along = torch.cos(angles)[:, None].requires_grad_()
        with torch.enable_grad():
            values = function(Points(middle + along * half, names))
        waves = torch.cos(torch.arange(order, dtype=torch.float64)[:, None] * angles)
        coefficients = 2 / order * (waves @ values.detach())
        largest = coefficients.abs().max()
        if coefficients[3 * order // 4 :].abs().max() <= TAIL * largest:
            return _slopes_agree(values, along, coefficients, angles)
    return False


def _slopes_agree(values: Tensor, along: Tensor, coefficients: Tensor, angles: Tensor) -> bool:
    """Those of autograd against Σ n c_n sin(nθ) / sin θ, the slope of Σ c_n T_n(cos θ)."""
    numbers = torch.arange(len(angles), dtype=torch.float64)
    expected = (torch.sin(angles[:, None] * numbers) * numbers) @ coefficients
    expected = expected / torch.sin(angles)[:, None]
    found = torch.zeros_like(along)
    if values.requires_grad:
        (found,) = torch.autograd.grad(values.sum(), along)
    middle = slice(len(angles) // 4, math.ceil(3 * len(angles) / 4))  # ends amplify rounding
    size = expected[middle].abs().max() + coefficients.abs().max() * 1e-3
    return bool((found - expected)[middle].abs().max() <= SLOPES * size)
