"""The unit sphere in any dimension: a map from the cube and a quadrature rule, both products.

A point of S^k is (x, sqrt(1 - x²)·y) with the height x and y in S^(k-1). For a uniform distribution
on the sphere, (1 + x) / 2 is distributed like Beta(k/2, k/2) and independent of y. The recursion
ends at the circle S^1 with an angle.
"""

import math

import torch
from scipy.special import betaincinv
from torch import Tensor

from kanpinn._support.shapes import Coords, Weights
from kanpinn.geometry.rules import check_size, jacobi, tensor_grid


def sphere_area(dim: int) -> float:
    """Return the measure of the unit sphere in `dim` coordinates: 2π for 2, 4π for 3, 2π² for 4."""
    return 2 * math.pi ** (dim / 2) / math.gamma(dim / 2)


def sphere_from_unit(unit: Tensor) -> Coords:
    """Map points (n, d - 1) of [0, 1]^(d-1) to the unit sphere in d ≥ 2 coordinates, (n, d).

    The map scales all areas by the same factor. In three coordinates height and angle are uniform
    (Archimedes).
    """
    last = unit.shape[1]
    shares = [_beta_quantile(unit[:, last - k], k) for k in range(last, 1, -1)]
    return _embed([(2 * share - 1, 2 * (share * (1 - share)).sqrt()) for share in shares], unit)


def sphere_rule(nodes: int, dim: int) -> tuple[Coords, Weights]:
    """Return a product rule with n = 2·nodes^(d-1) points on the unit sphere.

    It consists of Gauss–Gegenbauer rules in the heights and the trapezoidal rule in the angle, and
    is exact for polynomials in the coordinates up to degree 2·nodes - 1.

    Args:
        nodes: the number of nodes per height; the angle has 2·nodes.
        dim: the number of coordinates d ≥ 2.

    Returns:
        Points (n, d) and weights (n,).

    Reference: Stroud, Approximate Calculation of Multiple Integrals (1971), section 2.7.
    """
    check_size(nodes, 2 * nodes ** (dim - 1))
    axes, factors = [], []
    for k in range(dim - 1, 1, -1):
        heights, weights = jacobi(nodes, k / 2 - 1, k / 2 - 1)
        axes.append(heights)
        factors.append(weights)
    axes.append((torch.arange(2 * nodes, dtype=torch.float64) + 0.5) / (2 * nodes))
    factors.append(torch.full((2 * nodes,), math.pi / nodes, dtype=torch.float64))
    grid = tensor_grid(axes)
    levels = [(height, (1 - height**2).sqrt()) for height in grid[:, :-1].T]
    return _embed(levels, grid), tensor_grid(factors).prod(dim=1)


def _embed(levels: list[tuple[Tensor, Tensor]], unit: Tensor) -> Coords:
    """Return sphere points from the (height, remaining radius) of each level and the angle.

    The angle is 2π times the last column of unit.
    """
    columns, radius = [], torch.ones_like(unit[:, 0])
    for height, left in levels:
        columns.append(radius * height)
        radius = radius * left
    angle = 2 * math.pi * unit[:, -1]
    return torch.stack([*columns, radius * angle.cos(), radius * angle.sin()], dim=1)


def _beta_quantile(share: Tensor, k: int) -> Tensor:
    if k == 2:
        return share
    # Use scipy, because torch has no inverse of the incomplete beta function.
    quantiles = betaincinv(k / 2, k / 2, share.detach().cpu().double().numpy())
    return torch.from_numpy(quantiles).to(share)
