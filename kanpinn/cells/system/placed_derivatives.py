"""Derivatives of polynomials at points that lie elsewhere in each cell, and sums of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from kanpinn.cells.legendre import legendre_at
from kanpinn.cells.polynomials import LocalPolynomials
from kanpinn.jets import Channels, derivatives_of_parts

Array = NDArray[Any]
Mixed = tuple[int, ...]  # the orders of a derivative by each coordinate


@dataclass(frozen=True)
class PolynomialTables:
    """The factors of the derivatives of polynomials at some points: functions of one coordinate.

    Args:
        polynomials: the polynomials.
        tables: for each order the derivatives of Legendre polynomials, (k + 1, d, q).
    """

    polynomials: LocalPolynomials
    tables: Sequence[Array]

    def summed(
        self, channels: Channels, scale: Sequence[float], parts: Sequence[int], factors: Array
    ) -> Array:
        """The sums of the parts of the polynomials' jets times factors, (L, m, q, e).

        Args:
            channels: the derivatives by the physical coordinates.
            scale: the derivatives of the cell's coordinates by the physical ones, (d,).
            parts: the numbers of the parts.
            factors: of all parts, (parts, m, q, e).
        """
        every, sums = derivatives_of_parts(channels), dict[Mixed, Array]()
        for part in parts:
            for orders, factor in every[part]:
                size = factor * np.prod(np.array(scale) ** orders)
                own = factors[part] * size
                sums[orders] = sums[orders] + own if orders in sums else own
        found = None
        for orders, own in sums.items():
            one = self._times(orders, own)
            found = one if found is None else np.add(found, one, out=found)
        assert found is not None
        return found

    def _times(self, orders: Mixed, factors: Array) -> Array:
        """A derivative of all polynomials times factors, (L, m, q, e); factors: (m, q, e)."""
        single = factors.shape[0] * factors.shape[2] == 1
        first = self.tables[orders[0]][:, 0]
        if single:  # then the factors are not needed for each polynomial
            first = first * factors[0, :, 0]
        columns = self.polynomials.columns
        found = first.take(columns[0], axis=0)
        for axis in range(1, len(orders)):
            found = found * self.tables[orders[axis]][:, axis].take(columns[axis], axis=0)
        if single:
            return found[:, None, :, None]
        return found[:, None, :, None] * factors


@dataclass(frozen=True, eq=False)
class PlacedDerivatives:
    """The derivatives of polynomials at points in other places of each cell.

    Those of many cells are computed together, which is several times as fast. They are kept until
    those of all these cells have been asked for.

    Args:
        polynomials: the polynomials.
        local: the points in each cell's own coordinates, (c, q, d).
        channels: the derivatives by the physical coordinates.
        kept: by the number of the first cell of those computed together, their tables,
            (k + 1, d, cells, q) for each order.
        asked: for how many of these cells they have been asked.
    """

    polynomials: LocalPolynomials
    local: Tensor
    channels: Channels
    kept: dict[int, list[Array]] = field(default_factory=dict)
    asked: Counter[int] = field(default_factory=Counter)

    def of_cell(self, place: int, used: slice | Tensor) -> PolynomialTables:
        """The tables at the points of a cell.

        Args:
            place: the number of the cell here.
            used: which of its points.
        """
        points = 2**10  # at once: tables that stay in the processor's cache
        together = max(1, points // self.local.shape[1])
        first = place - place % together
        if first not in self.kept:
            self.kept[first] = self._tables(self.local[first : first + together])
        tables = self.kept[first]
        self.asked[first] += 1
        if self.asked[first] == tables[0].shape[2]:
            del self.kept[first], self.asked[first]
        chosen = used if isinstance(used, slice) else used.numpy()
        own = [one[:, :, place - first, chosen] for one in tables]
        return PolynomialTables(self.polynomials, own)

    def _tables(self, local: Tensor) -> list[Array]:
        """The tables of some cells; local: their points, (cells, q, d)."""
        order, degree = self.channels.derivative_order, self.polynomials.degree
        found = legendre_at(local.movedim(2, 0).flatten(), degree, order)
        return [one.numpy().reshape(-1, local.shape[2], *local.shape[:2]) for one in found]
