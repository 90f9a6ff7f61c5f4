"""The polynomials of a cell: products of Legendre polynomials up to a total degree."""

import itertools
import math
from dataclasses import dataclass
from functools import cached_property, lru_cache, reduce

import numpy as np
import torch
from numpy.polynomial import legendre
from torch import Tensor

from kanpinn.geometry.rules import gauss_product, tensor_grid
from kanpinn.jets import Channels, Coordinates, Jet


@dataclass(frozen=True)
class LocalPolynomials:
    """All polynomials of total degree at most k in d coordinates on [-1, 1]^d.

    They are the functions of KANs [d, W, 1] with affine inner edges in W evenly spread directions
    and outer edges that are polynomials of degree k, for W = k + 1 in two dimensions. Their basis
    consists of orthonormal products of Legendre polynomials, lower degrees first, which loses no
    digits.

    Args:
        degree: k.
        dim: d; without coordinates there is one polynomial, the constant 1.

    Reference: Logan and Shepp, Optimal reconstruction of a function from its projections (1975),
    for sums of functions of single directions.
    """

    degree: int
    dim: int

    @cached_property
    def powers(self) -> Tensor:
        """The degrees of each polynomial in each coordinate, (L, d)."""
        each = itertools.product(range(self.degree + 1), repeat=self.dim)
        found = sorted((sum(one), one) for one in each if sum(one) <= self.degree)
        return torch.tensor([one for _, one in found]).view(len(found), self.dim)

    @property
    def on_face(self) -> "LocalPolynomials":
        """The polynomials of the same degree on a side, in one coordinate less."""
        return LocalPolynomials(self.degree, self.dim - 1)

    @property
    def size(self) -> int:
        """The number of polynomials L."""
        return self.count(self.degree)

    def count(self, degree: int) -> int:
        """The number of those up to a lower total degree, which come first."""
        return math.comb(degree + self.dim, self.dim) if degree >= 0 else 0

    def jet(self, coordinates: Jet | Coordinates) -> Jet:
        """The jets of all polynomials at points, as L components.

        coordinates: the jet of the cell's own coordinates in [-1, 1]^d.
        """
        dense, order = coordinates.dense(), coordinates.channels.derivative_order
        factors = []
        for axis, powers in enumerate(self.powers.T):
            one = dense[axis]
            values = legendre_at(one.value, self.degree, order)
            repeated = one.map(lambda t: t.expand(*t.shape[:-1], self.degree + 1))
            factors.append(repeated.chain(values).map(lambda t, p=powers: t[..., p]))  # type: ignore[misc]
        return reduce(lambda a, b: a * b, factors)

    def values(self, x: Tensor) -> Tensor:
        """The values of all polynomials at points (n, d), (n, L)."""
        if not self.dim:
            return x.new_ones(len(x), 1)
        names = tuple(f"x{i}" for i in range(self.dim))
        return self.jet(Coordinates(Channels(names), x, torch.ones_like(x[0]))).value

    def rule(self, more: int = 1) -> tuple[Tensor, Tensor]:
        """Gauss points of [-1, 1]^d and weights, exact for products of two of the polynomials.

        more: the number of points per coordinate above the degree.
        """
        if not self.dim:
            return torch.zeros(1, 0, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
        unit, weights = gauss_product(self.degree + more, self.dim)
        return 2 * unit - 1, weights * 2**self.dim

    def padded(self, coefficients: Tensor) -> Tensor:
        """The coefficients (N, L, m) here of polynomials with fewer coefficients, (N, l, m)."""
        found = coefficients.new_zeros(len(coefficients), self.size, coefficients.shape[2])
        found[:, : coefficients.shape[1]] = coefficients
        return found

    def restricted(self, low: Tensor, width: Tensor) -> Tensor:
        """The matrix (L, L) from coefficients on a box to those on a part of it.

        low, width: the lower corner of the part and its widths, (d,), in the box's coordinates.
        """
        points, weights = self.rule()
        outer = self.values(low + (points + 1) / 2 * width)
        return (self.values(points) * weights[:, None]).T @ outer


def closed_rule(count: int, dim: int) -> tuple[Tensor, Tensor]:
    """Points of [-1, 1]^d with some on all sides, and the weights of a quadrature rule.

    Args:
        count: the number n of points along each coordinate, cos(π i / (n - 1)).
        dim: d.

    Reference: Clenshaw and Curtis, A method for numerical integration on an automatic computer
    (1960).
    """
    nodes = np.cos(np.pi * np.arange(count) / (count - 1))
    integrals = np.zeros(count)
    integrals[::2] = 2 / (1 - np.arange(0, count, 2.0) ** 2)  # of Chebyshev polynomials
    weights = np.linalg.solve(np.polynomial.chebyshev.chebvander(nodes, count - 1).T, integrals)
    axes = [torch.from_numpy(nodes)] * dim
    return tensor_grid(axes), tensor_grid([torch.from_numpy(weights)] * dim).prod(dim=1)


def legendre_at(x: Tensor, degree: int, order: int) -> list[Tensor]:
    """Orthonormal Legendre polynomials P_0 … P_k at points (n, 1), and their derivatives.

    Returns:
        For each order of the derivative from 0 to `order` a tensor (n, k + 1).
    """
    t = x[:, 0].contiguous()
    found = [torch.ones_like(t), t][: degree + 1]
    for n in range(1, degree):
        before = found[n - 1] * (-n / (n + 1))
        found.append(torch.addcmul(before, t, found[n], value=(2 * n + 1) / (n + 1)))
    values = torch.stack(found).T
    return [values @ matrix.to(values) for matrix in _derivatives(degree)[: order + 1]]


@lru_cache(maxsize=100)
def _derivatives(degree: int) -> list[Tensor]:
    """Matrices from Legendre polynomials to the derivatives of orthonormal ones, (k+1, k+1)."""
    highest, scale = 4, np.diag(np.sqrt(np.arange(degree + 1) + 0.5))
    found = []
    for order in range(highest + 1):
        series = legendre.legder(scale, order) if order else scale
        padded = np.zeros_like(scale)
        padded[: min(len(series), degree + 1)] = series[: degree + 1]
        found.append(torch.from_numpy(padded))
    return found
