"""Quadrature on the unit cube, which the shapes map onto themselves."""

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import torch
from scipy.special import roots_legendre
from torch import Tensor

from kanpinn._support.errors import InputError, integer
from kanpinn._support.shapes import Coords, Weights


def gauss_legendre(n: int) -> tuple[Weights, Weights]:
    """Nodes and weights, (n,) each, of the n-point Gauss-Legendre rule on [0, 1] in float64.

    It integrates polynomials up to degree 2n - 1 exactly; its nodes lie inside the interval.

    Raises:
        InputError: unless n is a positive integer.
    """
    nodes, weights = _legendre(integer("n", n))
    # Copies, so that no caller can write into the cache.
    return torch.tensor((1 + nodes) / 2), torch.tensor(weights / 2)


def gauss_product(nodes: int | Sequence[int], dim: int) -> tuple[Coords, Weights]:
    """The product of Gauss-Legendre rules on [0, 1]^dim: coordinates (n, dim), weights (n,).

    Args:
        nodes: nodes on every axis, or a number for each axis; n is their product.
        dim: may be 0, whose one point has the weight 1.

    Raises:
        InputError: unless nodes is a positive integer or dim of them.
    """
    counts = list(nodes) if isinstance(nodes, Sequence) else [nodes] * dim
    if len(counts) != dim:
        raise InputError(f"nodes must be one number or one for each of {dim} axes, got {nodes!r}")
    rules = [gauss_legendre(integer("nodes", count)) for count in counts]
    return (
        tensor_grid([points for points, _ in rules]),
        tensor_grid([weights for _, weights in rules]).prod(dim=1),
    )


def axis_counts(n: int, dim: int) -> list[int]:
    """Sizes m or m - 1 of the dim axes, as few of them m as a product ≥ n allows."""
    if dim == 0:
        return []
    m = max(1, round(n ** (1 / dim)))
    m += m**dim < n
    longer = next(k for k in range(dim + 1) if m**k * (m - 1) ** (dim - k) >= n)
    return [m] * longer + [m - 1] * (dim - longer)


def tensor_grid(axes: Sequence[Tensor]) -> Coords:
    """All combinations of one value per axis, (n, d), the last axis running fastest."""
    if not axes:
        return torch.zeros(1, 0, dtype=torch.float64)
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, len(axes))


def check_unit(unit: Tensor, dim: int) -> None:
    """Refuse points that are not in the cube [0, 1]^dim by their shape.

    Raises:
        InputError: unless unit has the shape (n, dim).
    """
    if unit.ndim != 2 or unit.shape[1] != dim:
        raise InputError(f"unit must have shape (n, {dim}), got {tuple(unit.shape)}")


def axis_rim() -> Weights:
    """The ends of [0, 1] and five Gauss points between them: points of an edge, (7,)."""
    inner = gauss_legendre(5)[0]
    return torch.cat([inner.new_zeros(1), inner, inner.new_ones(1)])


def cube_rim(dim: int) -> Coords:
    """Points (n, dim) on the sides of [0, 1]^dim, the same ones on each.

    They are corners and Gauss points of edges up to three dimensions, 64 Sobol points a side above.
    """
    if dim == 0:
        return torch.zeros(0, 0, dtype=torch.float64)
    if dim <= 3:
        side = tensor_grid([axis_rim()] * (dim - 1))
    else:
        side = torch.quasirandom.SobolEngine(dim - 1).draw(64, dtype=torch.float64)
    ends = (side.new_full((len(side), 1), end) for end in (0.0, 1.0))
    parts = [[side[:, :i], end, side[:, i:]] for end in ends for i in range(dim)]
    return torch.cat([torch.cat(part, dim=1) for part in parts])


_legendre: Callable[[int], tuple[np.ndarray, np.ndarray]] = lru_cache(maxsize=128)(roots_legendre)
