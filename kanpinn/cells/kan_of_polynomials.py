"""The KAN that has the polynomials of a cell."""

import math

import torch
from torch import Tensor

from kanpinn.cells.polynomials import LocalPolynomials
from kanpinn.jets import Channels, Coordinates
from kanpinn.networks.kan import KAN


@torch.no_grad()
def kan_of_polynomials(polynomials: LocalPolynomials, coefficients: Tensor) -> KAN:
    """The KAN [d, W, m] with the values of m polynomials on [-1, 1]^d.

    Its inner edges are affine in evenly spread directions of the plane, or in random ones in more
    coordinates, and its outer edges are polynomials on one interval. W is the number of monomials
    of the highest degree.

    Args:
        polynomials: the basis.
        coefficients: of the m polynomials, (L, m).
    """
    degree, dim, fields = polynomials.degree, polynomials.dim, coefficients.shape[1]
    units = 1 if dim == 1 else math.comb(degree + dim - 1, dim - 1)
    made = KAN([dim, units, fields], [1, degree], 1, base=None, dtype=torch.float64)
    directions = _directions(units, dim)
    directions = directions / directions.abs().sum(dim=1, keepdim=True)  # into [-1, 1]
    first, last = made.layers
    first.coefficients.copy_(torch.stack([-directions.T, directions.T], dim=1))
    points, _ = polynomials.rule(more=2)
    values = last.basis.values(first(_plain(points)).value, 0)[:, 0].flatten(1)
    found = torch.linalg.lstsq(values, polynomials.values(points) @ coefficients, driver="gelsd")
    last.coefficients.copy_(found.solution.view(units, -1, fields))
    return made


def _directions(count: int, dim: int) -> Tensor:
    """Unit vectors, (count, d): evenly spread in the plane, random in more dimensions."""
    if dim == 2:
        angles = torch.arange(count, dtype=torch.float64) * (math.pi / count)
        return torch.stack([angles.cos(), angles.sin()], dim=1)
    generator = torch.Generator().manual_seed(0)
    found = torch.randn(count, dim, generator=generator, dtype=torch.float64)
    return found / found.norm(dim=1, keepdim=True)


def _plain(x: Tensor) -> Coordinates:
    """Coordinates of points, without derivatives."""
    names = tuple(f"x{i}" for i in range(x.shape[1]))
    return Coordinates(Channels(names), x, torch.ones_like(x[0]))
