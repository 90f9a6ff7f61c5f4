"""The polynomials of a cell: products of Legendre polynomials up to a total degree."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache, reduce

import numpy as np
import torch
from numpy.polynomial import legendre
from scipy.fft import dct
from torch import Tensor

from kanpinn.geometry.rules import gauss_product, tensor_grid
from kanpinn.jets import Channels, derivatives_of_parts, total


def legendre_at(x: Tensor, degree: int, order: int) -> list[Tensor]:
    """Orthonormal Legendre polynomials P_0 … P_k at points, and their derivatives.

    Args:
        x: the points in [-1, 1], (n,).
        degree: the highest degree k.
        order: the highest order of the derivatives, at most 4.

    Returns:
        For each order of the derivative from 0 to `order` a tensor (k + 1, n).
    """
    found = [torch.ones_like(x), x][: degree + 1]
    for n in range(1, degree):
        before = found[n - 1] * (-n / (n + 1))
        found.append(torch.addcmul(before, x, found[n], value=(2 * n + 1) / (n + 1)))
    values = torch.stack(found)
    first, *others = (one.to(values) for one in _to_legendre(degree)[: order + 1])
    return [first.diagonal()[:, None] * values, *(one @ values for one in others)]


@lru_cache(maxsize=100)
def _to_legendre(degree: int) -> list[Tensor]:
    """The derivatives of orthonormal polynomials as Legendre series, (k + 1, k + 1) for each order.

    The list has a matrix for each order of the derivative from 0 to 4. Its row i has the Legendre
    coefficients of the derivative of the orthonormal polynomial P_i.
    """
    highest, scale = 4, np.diag(np.sqrt(np.arange(degree + 1) + 0.5))
    found = []
    for order in range(highest + 1):
        series = legendre.legder(scale, order) if order else scale
        padded = np.zeros_like(scale)
        padded[: min(len(series), degree + 1)] = series[: degree + 1]
        found.append(torch.from_numpy(padded.T))
    return found


@dataclass(frozen=True)
class LocalPolynomials:
    """All polynomials of total degree at most k in d coordinates on [-1, 1]^d.

    They are the functions of KANs [d, W, 1] with affine inner edges in W evenly spread directions
    and outer edges that are polynomials of degree k, for W = k + 1 in two dimensions. Their basis
    consists of orthonormal products of Legendre polynomials, lower total degrees first.

    Args:
        degree: the total degree k.
        dim: the number of coordinates d; for d = 0 the only polynomial is the constant 1.

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

    @cached_property
    def on_face(self) -> "LocalPolynomials":
        """The polynomials of the same degree on a side of the box, in d - 1 coordinates."""
        return LocalPolynomials(self.degree, self.dim - 1)

    @cached_property
    def richer(self) -> "LocalPolynomials":
        """The polynomials of a degree higher by 2, which serve to estimate errors."""
        return LocalPolynomials(self.degree + 2, self.dim)

    @property
    def size(self) -> int:
        """The number of polynomials L."""
        return self.count(self.degree)

    def count(self, degree: int) -> int:
        """The number of polynomials up to the total degree `degree`; they come first in the basis.

        Args:
            degree: at most k.
        """
        return math.comb(degree + self.dim, self.dim) if degree >= 0 else 0

    def of_size(self, size: int) -> "LocalPolynomials":
        """The polynomials in as many coordinates, of the degree for which their number is `size`.

        Raises:
            ValueError: if there is none.
        """
        degree = next(k for k in itertools.count() if math.comb(k + self.dim, self.dim) >= size)
        found = self if size == self.size else LocalPolynomials(degree, self.dim)
        if found.size != size:
            raise ValueError(f"{size} is no number of polynomials in {self.dim} coordinates")
        return found

    def stacked(
        self, channels: Channels, x: Tensor, scale: Tensor, parts: Sequence[int] | None = None
    ) -> Tensor:
        """The values and derivatives (parts) of all L polynomials at n points, (n, parts, L).

        The values of each polynomial are contiguous in memory, as columns are in LAPACK.

        Args:
            channels: the derivatives by the physical coordinates that are computed.
            x: the points in the cell's own coordinates in [-1, 1]^d, (n, d).
            scale: the derivatives of the cell's own coordinates by the physical ones, (d,), or
                (n, d) for each point.
            parts: the indices of the values or derivatives that are returned; by default all.
        """
        tables, columns = self._tables(channels, x, scale), self.powers.T.to(x.device)

        @cache
        def table(axis: int, order: int) -> Tensor:
            """A derivative of each polynomial's factor in one coordinate, at all points, (L, n)."""
            return tables[axis][order].index_select(0, columns[axis])

        def derivative(orders: tuple[int, ...]) -> Tensor:
            """The partial derivative of all polynomials with the given order in each coordinate."""
            return reduce(torch.mul, [table(*one) for one in enumerate(orders)])

        every = derivatives_of_parts(channels)
        chosen = every if parts is None else [every[part] for part in parts]
        found = x.new_empty(self.size, len(chosen), len(x))
        for part, terms in enumerate(chosen):
            found[:, part] = total(derivative(orders) * factor for orders, factor in terms)
        return found.permute(2, 1, 0)

    def evaluated(
        self, channels: Channels, x: Tensor, scale: Tensor, coefficients: Tensor
    ) -> Tensor:
        """The values and derivatives (parts) of functions in c boxes, (c, q, parts, m).

        The functions have q points in each box. The coordinates are summed one after the other (sum
        factorisation), which takes fewer operations than `stacked`.

        Args:
            channels: the derivatives by the physical coordinates that are computed.
            x: the points in each box's own coordinates, (c, q, d).
            scale: the derivatives of the box's own coordinates by the physical ones, (c, d).
            coefficients: the coefficients of m fields in each box, (c, L, m).
        """
        count, each, _ = x.shape
        side, full = self.degree + 1, self._in_square(coefficients)
        scales = scale[:, None].expand_as(x).flatten(0, 1)
        tables = [
            [table.unflatten(1, (count, each)).permute(1, 2, 0) for table in own]  # (c, q, k + 1)
            for own in self._tables(channels, x.flatten(0, 1), scales)
        ]
        first = [table @ full.flatten(1).unflatten(1, (side, -1)) for table in tables[0]]

        @cache
        def derivative(orders: tuple[int, ...]) -> Tensor:
            """The partial derivative with the given order in each coordinate, (c, q, m)."""
            found = first[orders[0]]
            for own, order in zip(tables[1:], orders[1:], strict=True):
                found = (own[order][..., None] * found.unflatten(2, (side, -1))).sum(dim=2)
            return found

        parts = [
            total(derivative(orders) * factor for orders, factor in terms)
            for terms in derivatives_of_parts(channels)
        ]
        return torch.stack(parts, dim=2)

    def _tables(self, channels: Channels, x: Tensor, scale: Tensor) -> list[list[Tensor]]:
        """The one-dimensional Legendre polynomials P_0 … P_k and derivatives at the points.

        For each coordinate and each order there is a tensor (k + 1, n). The arguments are those of
        `stacked`.
        """
        tables = legendre_at(x.T.flatten(), self.degree, channels.derivative_order)
        factors = scale.T if scale.ndim == 2 else scale[:, None]
        each = [table.unflatten(1, (x.shape[1], len(x))) for table in tables]
        return [
            [own[:, axis] * factors[axis] ** order for order, own in enumerate(each)]
            for axis in range(x.shape[1])
        ]

    def values(self, x: Tensor) -> Tensor:
        """The values (n, L) of all polynomials at points x, (n, d)."""
        if not self.dim:
            return x.new_ones(len(x), 1)
        names = tuple(f"x{i}" for i in range(self.dim))
        return self.stacked(Channels(names), x, torch.ones_like(x[0]))[:, 0]

    def rule(self, more: int = 1) -> tuple[Tensor, Tensor]:
        """Gauss points of [-1, 1]^d, (q, d), and their weights, (q,).

        If `more` is at least 1, the rule is exact for products of two of the polynomials.

        Args:
            more: the number of points along each coordinate minus the degree k.
        """
        if not self.dim:
            return torch.zeros(1, 0, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
        unit, weights = gauss_product(self.degree + more, self.dim)
        return 2 * unit - 1, weights * 2**self.dim

    def padded(self, coefficients: Tensor) -> Tensor:
        """Append zeros to the coefficients of a lower degree, (N, l, m), to get (N, L, m)."""
        found = coefficients.new_zeros(len(coefficients), self.size, coefficients.shape[2])
        found[:, : coefficients.shape[1]] = coefficients
        return found

    def restricted(self, low: Tensor, width: Tensor, coefficients: Tensor) -> Tensor:
        """Write functions on c boxes in the polynomials of a smaller box inside each box.

        Args:
            low, width: the lower corners and the widths of the smaller boxes, one in each box, in
                the boxes' own coordinates, (c, d) each.
            coefficients: the functions' coefficients in the polynomials of the boxes, (c, L, m).

        Returns:
            The coefficients in the polynomials of the smaller boxes, (c, L, m).
        """
        unit, weights = gauss_product(self.degree + 1, 1)
        nodes, side = 2 * unit[:, 0] - 1, self.degree + 1
        own = legendre_at(nodes, self.degree, 0)[0] * (2 * weights)  # (k + 1, q)
        outer = low[..., None] + (nodes + 1) / 2 * width[..., None]  # (c, d, q)
        values = legendre_at(outer.flatten(), self.degree, 0)[0].unflatten(1, outer.shape)
        found = self._in_square(coefficients)
        for axis in range(self.dim):
            matrices = torch.einsum("iq,jcq->cij", own, values[:, :, axis])
            parts = found.unflatten(1, (side**axis, side, -1))
            found = torch.einsum("cij,cajr->cair", matrices, parts.flatten(3)).reshape(found.shape)
        return found[:, self._places]

    @cached_property
    def on_parts(self) -> Tensor:
        """The coefficients of a box's L polynomials in the polynomials of its 2^d halves.

        The halves arise when the box is halved in all coordinates; the shape is (2^d, L, L).
        """
        line, low = LocalPolynomials(self.degree, 1), torch.tensor([[-1.0], [0.0]]).double()
        unit = torch.eye(line.size, dtype=torch.float64).expand(2, -1, -1)
        halves = line.restricted(low, torch.ones_like(low), unit)
        each = [halves[:, own[:, None], own] for own in self.powers.T]  # (2, L, L)
        sides = itertools.product((0, 1), repeat=self.dim)
        parts = ([one[k] for one, k in zip(each, side, strict=True)] for side in sides)
        return torch.stack([reduce(torch.mul, own) for own in parts])

    @cached_property
    def _places(self) -> Tensor:
        """The index of each polynomial among all products of Legendre polynomials, (L,)."""
        return self.powers @ (self.degree + 1) ** torch.arange(self.dim - 1, -1, -1)

    def _in_square(self, coefficients: Tensor) -> Tensor:
        """Extend coefficients (c, L, m) by zeros to all products of one-dimensional polynomials.

        The result has the shape (c, (k + 1)^d, m).
        """
        count, _, fields = coefficients.shape
        found = coefficients.new_zeros(count, (self.degree + 1) ** self.dim, fields)
        found[:, self._places.to(found.device)] = coefficients
        return found


def closed_rule(count: int, dim: int) -> tuple[Tensor, Tensor]:
    """The points (n^d, d) and weights (n^d,) of the Clenshaw–Curtis rule on [-1, 1]^d.

    The rule has points on all sides of [-1, 1]^d.

    Args:
        count: the number n of points cos(π i / (n - 1)) along each coordinate.
        dim: the number of coordinates d.

    Reference: Clenshaw and Curtis, A method for numerical integration on an automatic computer
    (1960).
    """
    nodes = np.cos(np.pi * np.arange(count) / (count - 1))
    integrals = np.zeros(count)
    integrals[::2] = 2 / (1 - np.arange(0, count, 2.0) ** 2)  # of Chebyshev polynomials
    weights = dct(integrals, type=1) / (count - 1)
    weights[[0, -1]] /= 2
    axes = [torch.from_numpy(nodes)] * dim
    return tensor_grid(axes), tensor_grid([torch.from_numpy(weights)] * dim).prod(dim=1)
