"""The splines of one coordinate of a product space, with conditions at the ends."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.linalg
import torch
from torch import Tensor

from kanpinn.geometry.rules import gauss_legendre
from kanpinn.networks.basis import BSplines


@dataclass(frozen=True, eq=False)
class Axis:
    """The functions of one coordinate x in [low, high], and a quadrature rule.

    They are combinations of splines. The first `fixed` of them have the values 1 or 0 in the
    conditions at the ends, one for each condition; the others satisfy them for zero data.

    Args:
        basis: the splines, whose knots are in scaled coordinates from -1 to 1.
        low, high: the ends.
        spread: the combinations, (splines, n).
        fixed: the number of conditions c.
        periodic: whether the functions go on around a circle.
    """

    basis: BSplines
    low: float
    high: float
    spread: Tensor
    fixed: int
    periodic: bool

    @property
    def size(self) -> int:
        """The number of functions n."""
        return self.spread.shape[1]

    @property
    def intervals(self) -> int:
        return self.basis.intervals

    @cached_property
    def _counts(self) -> list[int]:
        """The number of Gauss places in each interval.

        Measured: two are enough to tell splines apart, but near ends, where more of them meet; the
        error of an L2 projection is that of an exact rule. A cubic term wants twice as many places
        as functions, and errors are seen only if there are more.
        """
        degree, count = self.basis.degree, self.intervals
        most = math.ceil((degree + 1) / 2)
        inside = max(2, math.ceil(1.5 * (1 + degree / count) - 0.5))
        near = 0 if self.periodic else degree // 2
        numbers = [min(i, count - 1 - i) for i in range(count)]
        return [max(most, inside) if number < near else inside for number in numbers]

    @cached_property
    def _rule(self) -> tuple[Tensor, Tensor]:
        breaks = self.basis.breaks[0]
        places, weights = [], []
        for start, width, q in zip(breaks, breaks.diff(), self._counts, strict=False):
            nodes, parts = (t.to(breaks) for t in gauss_legendre(q))
            places.append(start + width * nodes)
            weights.append(width * parts / self.stretch)
        return torch.cat(places), torch.cat(weights)

    @cached_property
    def means(self) -> Tensor:
        """The matrix (G, q) of the mean over the places of each interval."""
        rows = [torch.full((1, q), 1 / q).double() for q in self._counts]
        return torch.block_diag(*rows)

    @property
    def stretch(self) -> float:
        """The derivative of the scaled coordinate."""
        return 2 / (self.high - self.low)

    @property
    def weights(self) -> Tensor:
        """The weights of the quadrature rule, (q,)."""
        return self._rule[1]

    @property
    def places(self) -> Tensor:
        """The places of the quadrature rule, (q,)."""
        return self.low + (self._rule[0] + 1) / self.stretch

    @property
    def shares(self) -> Tensor:
        """The part of each interval in the whole."""
        return self.basis.breaks[0].diff() / 2

    @property
    def shortest_waves(self) -> Tensor:
        """The ω of waves e^(ω x) with one period in each interval."""
        return 2j * torch.pi / (self.shares * (self.high - self.low))

    def at(self, places: Tensor, order: int = 0) -> Tensor:
        """The functions and their derivatives at places, (order + 1, places, n)."""
        xi = (places - self.low) * self.stretch - 1
        values = self.basis.values(xi[:, None], order)[:, :, 0].movedim(1, 0)
        powers = self.stretch ** torch.arange(order + 1, dtype=values.dtype)
        return (values * powers[:, None, None]) @ self.spread

    @cached_property
    def functions(self) -> Tensor:
        """The functions and their first four derivatives at the places, (5, q, n)."""
        return self.at(self.places, 4)

    @cached_property
    def tests(self) -> Tensor:
        """The transposed values of the functions times the weights, (n, q)."""
        return (self.functions[0] * self.weights[:, None]).T

    @cached_property
    def projection(self) -> Tensor:
        """The coefficients of the L2 projection of values at the places, (n, q)."""
        mass = self.tests @ self.functions[0]
        return torch.cholesky_solve(self.tests, torch.linalg.cholesky(mass))

    @cached_property
    def remainder(self) -> Tensor:
        """What the L2 projection leaves of values at the places, (q, q)."""
        return torch.eye(len(self.weights)).double() - self.functions[0] @ self.projection

    @cached_property
    def waves(self) -> "Waves":
        """The waves of the functions that satisfy the conditions for zero data."""
        functions = self.functions[:, :, self.fixed :]
        matrices = (self.tests[self.fixed :] @ functions).numpy()
        mass, first, second, *_ = matrices
        form = (second + second.T) / 2
        if self.periodic:
            # Waves in both directions have the same second derivative, and differ in the first.
            apart = 0.1 * math.sqrt(np.abs(form).max() / np.abs(mass).max())
            form = form + 0.5j * apart * (first - first.T)
        _, vectors = scipy.linalg.eigh(form, mass)
        rates = [np.einsum("im,ij,jm->m", vectors.conj(), one, vectors) for one in matrices]
        padded = np.zeros((self.size, self.size), vectors.dtype)
        padded[self.fixed :, self.fixed :] = vectors
        made = torch.from_numpy(padded)
        return Waves(
            vectors=made,
            functions=self.functions.to(made.dtype) @ made,
            tests=made.mH @ self.tests.to(made.dtype),
            rates=torch.from_numpy(np.pad(np.stack(rates), ((0, 0), (self.fixed, 0)))),
        )


@dataclass(frozen=True, eq=False)
class Waves:
    """Combinations of functions that differentiation nearly preserves, orthonormal in L2.

    They are complex around a circle. The first ones, for functions that conditions prescribe, are
    zero.

    Args:
        vectors: the combinations, columns (n, n).
        functions: they and their first four derivatives at the places, (5, q, n).
        tests: their conjugates times the weights, (n, q).
        rates: the factors by which derivatives of the orders 0 … 4 multiply them, (5, n).
    """

    vectors: Tensor
    functions: Tensor
    tests: Tensor
    rates: Tensor


def free_axis(basis: BSplines, low: float, high: float, periodic: bool) -> Axis:
    """The splines of one coordinate without conditions at the ends; arguments as for `Axis`."""
    spread = torch.eye(basis.size).double()
    if periodic:
        count = basis.intervals
        spread = torch.eye(count).double()[torch.arange(basis.size) % count]
    return Axis(basis, low, high, spread, 0, periodic)


def tied_axis(axis: Axis, conditions: Tensor) -> Axis:
    """The functions of an axis without conditions, combined for some.

    Args:
        axis: the axis.
        conditions: what the functions have in each condition, independent rows (c, n).
    """
    rows = conditions.numpy()
    inverse = np.linalg.pinv(rows)
    rest = scipy.linalg.null_space(rows)
    spread = axis.spread @ torch.from_numpy(np.hstack([inverse, rest]))
    return Axis(axis.basis, axis.low, axis.high, spread, len(rows), False)
