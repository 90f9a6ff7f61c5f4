"""Decomposition of space into cells between planes and spheres, one coordinate after another.

The range of the first coordinate is cut at the values where the slice at that coordinate changes
its shape. Between two cuts all slices have the same shape; each slice is cut along the second
coordinate in the same way, and so on. Along the last coordinate, testing one point of an interval
decides whether the interval lies inside. The ends of all intervals are known in closed form.

Reference: Collins, Quantifier elimination for real closed fields by cylindrical algebraic
decomposition (1975); Saye, High-order quadrature on multi-component domains implicitly defined by
multivariate polynomials (2022).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch

from kanpinn._support.shapes import Coords, Mask
from kanpinn.geometry.boundary import Walls
from kanpinn.geometry.combined.loci import Locus, arrangement_cuts, circles

Inside = Callable[[Coords], Mask]


@dataclass(frozen=True)
class Limit:
    """An end of an interval on an axis, as a function of the coordinates before that axis.

    Args:
        value: the end, if it is constant and locus is None.
        locus: the sphere or circle whose lowest or highest coordinate is the end, otherwise None.
        sign: -1 for the lowest coordinate, 1 for the highest; used with a locus only.
    """

    value: float = 0.0
    locus: Locus | None = None
    sign: int = 0

    def at(self, before: np.ndarray) -> np.ndarray:
        """Return the ends (n,) for given coordinates (n, axis); NaN where there is no end."""
        if self.locus is None:
            return np.full(len(before), self.value)
        middle, square = self.locus.span(before)
        with np.errstate(invalid="ignore"):
            return middle + self.sign * np.sqrt(square)


@dataclass(frozen=True)
class Cell:
    """The points between two ends on an axis, with the cells of the remaining axes.

    Args:
        axis: the index of the axis.
        low: the lower end.
        high: the upper end.
        within: the cells inside this one on the next axis; empty on the last axis.
    """

    axis: int
    low: Limit
    high: Limit
    within: tuple["Cell", ...]

    @property
    def ends(self) -> tuple[tuple[Limit, int], ...]:
        """The two ends, each with the outward direction along the axis: -1 or 1."""
        return (self.low, -1), (self.high, 1)

    @property
    def loci(self) -> list[Locus]:
        """The loci at the ends of the cells on the next axis, without duplicates."""
        ends = (end for cell in self.within for end, _ in cell.ends)
        return list(dict.fromkeys(end.locus for end in ends if end.locus is not None))


@dataclass(frozen=True)
class CellSet:
    """A set that consists of some of the cells between planes and spheres.

    Args:
        dim: the number of coordinates d, at most 3 if there are spheres.
        walls: the planes and spheres.
        inside: returns a mask (n,) of the points (n, d) in the set, constant on each cell.
        size: the length scale; intervals shorter than 1e-12 · size count as empty.
    """

    dim: int
    walls: Walls
    inside: Inside = field(compare=False)
    size: float

    @cached_property
    def tree(self) -> tuple[Cell, ...]:
        """The cells of the first axis, which contain those of the other axes."""
        levels: list[tuple[int, list[int], list[tuple[Limit, Limit]]]] = []
        before = np.zeros((1, 0))
        for axis in range(self.dim):
            ends = self._ends(axis)
            places = np.array([end.at(before) for end in ends]).reshape(len(ends), -1).T
            # Ends that do not exist are NaN, which sorts last.
            order = places.argsort(axis=1, kind="stable")
            places = np.take_along_axis(places, order, axis=1)
            rows, columns = np.nonzero(np.diff(places) > 1e-12 * self.size)
            low, high = places[rows, columns], places[rows, columns + 1]
            pairs = zip(order[rows, columns], order[rows, columns + 1], strict=True)
            levels.append((len(before), rows.tolist(), [(ends[i], ends[j]) for i, j in pairs]))
            # An arbitrary share of the interval. At 1/2 the ends of symmetric shapes may coincide.
            inner = low + 0.43871932 * (high - low)
            before = np.column_stack([before[rows], inner])
        flags = self.inside(torch.from_numpy(before)).tolist() if len(before) else []
        found: list[tuple[Cell, ...] | None] = [() if flag else None for flag in flags]
        for axis in reversed(range(self.dim)):
            found = _joined(axis, *levels[axis], found)
        return tuple(part for cell in found[0] or () for part in self._graded(cell))

    @property
    def boxes(self) -> list[list[tuple[float, float]]] | None:
        """The intervals (low, high) on all axes for each cell; None unless all cells are boxes."""
        if self.dim == 0:
            return [[]] if self.inside(torch.zeros(1, 0, dtype=torch.float64)) else []
        if self.walls.spheres and any(_round(cell) for cell in self.tree):
            return None
        return list(_intervals(self.tree))

    @cached_property
    def cuts(self) -> list[float]:
        """The first coordinates where slices in 3-D change their shape, other than at planes."""
        curved = self.dim == 3 and self.walls.spheres
        return arrangement_cuts(self.walls, self.size) if curved else []

    def _graded(self, cell: Cell) -> list[Cell]:
        """Divide a cell of the first axis into parts at most 30 times as long as a cut is distant.

        The nearest cut on either side is exempt, because `cell_rules` removes its square root by a
        substitution.
        """
        if not self.cuts or not _round(cell):
            return [cell]
        low, high = cell.low.value, cell.high.value
        near = 1e-7 * self.size
        below = [low - at for at in self.cuts if at <= low + near][-2::-1]
        above = [at - high for at in self.cuts if at >= high - near][1:]
        for gaps, end, sign in ((below, low, 1), (above, high, -1)):
            reach = 30 * max(min(gaps, default=np.inf), near)
            if reach < (high - low) / 2:
                middle = Limit(end + sign * reach)
                parts = (replace(cell, high=middle), replace(cell, low=middle))
                return [small for part in parts for small in self._graded(part)]
        return [cell]

    def _ends(self, axis: int) -> list[Limit]:
        """Return all possible ends of intervals on an axis."""
        planes = [Limit(at) for across, at in self.walls.planes if across == axis]
        if self.dim - axis == 3:
            return planes + [Limit(at) for at in self.cuts]
        loci = [Locus(axis, *sphere) for sphere in self.walls.spheres]
        if self.dim - axis == 2:
            loci += circles(axis, self.walls)
        return planes + [Limit(locus=locus, sign=sign) for locus in loci for sign in (-1, 1)]


def _joined(
    axis: int,
    count: int,
    rows: Sequence[int],
    pairs: Sequence[tuple[Limit, Limit]],
    found: Sequence[tuple[Cell, ...] | None],
) -> list[tuple[Cell, ...] | None]:
    """Collect the cells on an axis for each of `count` slices; None for a slice without cells.

    Neighbouring cells that contain equal cells are merged, because the shape does not change
    between them.

    Args:
        axis: the index of the axis.
        count: the number of slices.
        rows: the slice of each interval.
        pairs: the two ends of each interval.
        found: the cells of each interval on the next axis, () on the last; None if it is outside.
    """
    slices: list[list[Cell | None]] = [[] for _ in range(count)]
    for row, (low, high), within in zip(rows, pairs, found, strict=True):
        last = slices[row][-1] if slices[row] else None
        if within is not None and last is not None and last.within == within:
            slices[row][-1] = Cell(axis, last.low, high, within)
        else:
            slices[row].append(None if within is None else Cell(axis, low, high, within))
    return [tuple(cell for cell in cells if cell is not None) or None for cells in slices]


def _round(cell: Cell) -> bool:
    return any(end.locus for end, _ in cell.ends) or any(_round(inner) for inner in cell.within)


def _intervals(cells: Sequence[Cell]) -> Iterator[list[tuple[float, float]]]:
    for cell in cells:
        for others in _intervals(cell.within) if cell.within else [[]]:
            yield [(cell.low.value, cell.high.value), *others]
