"""Smooth functions that take given values on a boundary."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn._support.shapes import Coords
from kanpinn.geometry import Piece, Points
from kanpinn.geometry.sampling import sample

DEGREES = (0, 2, 4, 6, 8, 12, 16, 20, 24, 28, 32, 36)
MOST_TERMS = 1000
AGREE = 1e-11  # of the largest value: data that are met so well are met exactly
DECAY = 1.7  # of a coefficient with its degree, that a fit is free to choose: smooth inside too
CUTOFF = 1e-14  # of the singular values: a polynomial is free where the pieces do not see it

Values = Callable[[Points], Tensor]


@dataclass(frozen=True, eq=False)
class Polynomial:
    """Σ_k c_k T_k1(ξ_1) ⋯ T_kd(ξ_d) of total degree n, ξ in [-1, 1]^d the scaled coordinates.

    low, high: (d,), the corners that ξ = ±1 stand for; coefficients: (terms, m).
    """

    low: Tensor
    high: Tensor
    exponents: Tensor
    coefficients: Tensor

    def __call__(self, coords: Coords) -> Tensor:
        return self.basis(coords) @ self.coefficients.to(coords)

    def basis(self, coords: Coords) -> Tensor:
        """The Chebyshev products, (n, terms)."""
        low, high = self.low.to(coords), self.high.to(coords)
        xi = 2 * (coords - low) / (high - low) - 1
        found = [torch.ones_like(xi), xi]
        for _ in range(int(self.exponents.max()) - 1):
            found.append(2 * xi * found[-1] - found[-2])
        powers = torch.stack(found, dim=2)  # (n, d, degree + 1)
        chosen = self.exponents.to(coords.device)
        columns = (powers[:, axis, which] for axis, which in enumerate(chosen.unbind(dim=1)))
        return math.prod(columns, start=torch.ones_like(xi[:, :1]))


def polynomial_lift(
    bounds: tuple[Tensor, Tensor], data: Sequence[tuple[Piece, Values]]
) -> Polynomial | None:
    """The polynomial of the lowest degree that takes the data on the pieces, None if none does.

    It is the least-squares fit at points of the pieces with the smallest coefficients, those of
    high degree weighing more, and depends on nothing but the data's values there.
    """
    check = _values([(_check_points(piece), values) for piece, values in data])
    largest = float(check[1].abs().max())
    for degree in DEGREES:
        exponents = _exponents(degree, len(bounds[0]))
        if len(exponents) > MOST_TERMS:
            break
        fit = _values([(_fit_points(piece, degree), values) for piece, values in data])
        start = Polynomial(*bounds, exponents, exponents.new_zeros(0))
        scale = DECAY ** -exponents.sum(dim=1).double()
        basis = start.basis(fit[0]) * scale
        solution = torch.linalg.lstsq(basis, fit[1], rcond=CUTOFF, driver="gelsd").solution
        found = Polynomial(*bounds, exponents, scale[:, None] * solution)
        if (found(check[0]) - check[1]).abs().max() <= AGREE * largest:
            return found
    return None


def _values(parts: list[tuple[Points, Values]]) -> tuple[Tensor, Tensor]:
    values = torch.cat([function(points) for points, function in parts])
    return torch.cat([points.coords for points, _ in parts]), values


def _fit_points(piece: Piece, degree: int) -> Points:
    """Enough to tell the polynomials apart: n + 1 along each direction, 2n + 1 where it is bent."""
    coords = piece.gauss(4**piece.dim).coords
    flat = torch.linalg.matrix_rank(coords - coords[:1], rtol=1e-9) <= piece.dim
    return piece.gauss((degree + 2 if flat else 3 * degree + 4) ** piece.dim)


def _check_points(piece: Piece) -> Points:
    spread = sample(piece, 32 * 4**piece.dim, "sobol")
    ends = piece.rim
    return Points.cat([spread, ends]) if len(ends) else spread


def _exponents(degree: int, dim: int) -> Tensor:
    each = itertools.product(range(degree + 1), repeat=dim)
    return torch.tensor([k for k in each if sum(k) <= degree])
