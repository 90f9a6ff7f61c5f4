"""Gauss rules between planes and spheres, by cells over intervals of one coordinate after another.

The range of the first coordinate is cut where the shape of the slices across it changes. Between
two cuts all slices have the same shape, and each is cut along the second coordinate likewise, and
so on. Along the last coordinate one point of an interval tells whether the interval lies inside.
The ends of all intervals are known in closed form, so that a Gauss rule on each of them converges
geometrically, once a substitution has removed the square roots at the ends.

Reference: Collins, Quantifier elimination for real closed fields by cylindrical algebraic
decomposition (1975); Saye, High-order quadrature on multi-component domains implicitly defined by
multivariate polynomials (2022).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch

from kanpinn._support.shapes import Coords, Mask, Weights
from kanpinn.geometry.boundary import Walls
from kanpinn.geometry.combined.loci import Locus, circles, cuts
from kanpinn.geometry.rules import gauss_legendre

Inside = Callable[[Coords], Mask]
Rule = tuple[np.ndarray, np.ndarray]  # coordinates (n, k) and weights (n,)
_START: Rule = (np.zeros((1, 0)), np.ones(1))


@dataclass(frozen=True)
class End:
    """An end of an interval on an axis, as a function of the coordinates before that axis.

    Args:
        value: a number, where it is constant.
        locus: otherwise what has its lowest or highest coordinate there.
        sign: -1 for the lowest, 1 for the highest.
    """

    value: float = 0.0
    locus: Locus | None = None
    sign: int = 0

    def at(self, before: np.ndarray) -> np.ndarray:
        """The coordinate (n,) at coordinates (n, axis) before it; NaN where it does not exist."""
        if self.locus is None:
            return np.full(len(before), self.value)
        middle, square = self.locus.span(before)
        with np.errstate(invalid="ignore"):
            return middle + self.sign * np.sqrt(square)


@dataclass(frozen=True)
class Cell:
    """The points between two ends on an axis.

    Args:
        axis: its number.
        low: the lower end.
        high: the upper end.
        within: the cells on the next axis; none on the last one.
    """

    axis: int
    low: End
    high: End
    within: tuple["Cell", ...]

    @property
    def ends(self) -> tuple[tuple[End, int], ...]:
        """Both ends and the direction along the axis in which they lead out of the cell."""
        return (self.low, -1), (self.high, 1)

    @property
    def loci(self) -> list[Locus]:
        """The loci at the ends of the cells on the next axis, each once."""
        ends = (end for cell in self.within for end, _ in cell.ends)
        return list(dict.fromkeys(end.locus for end in ends if end.locus is not None))


@dataclass(frozen=True)
class Cells:
    """What lies inside among the cells between planes and spheres, with Gauss rules on it.

    Args:
        dim: the number of coordinates d, at most 3 where there are spheres.
        walls: the planes and spheres.
        inside: which points (n, d) lie inside; the same for all points of a cell.
        size: a length; intervals shorter than 1e-12 of it count as empty.
    """

    dim: int
    walls: Walls
    inside: Inside = field(compare=False)
    size: float

    @cached_property
    def tree(self) -> tuple[Cell, ...]:
        """The cells of the first axis."""
        levels: list[tuple[int, list[int], list[tuple[End, End]]]] = []
        middles = np.zeros((1, 0))
        for axis in range(self.dim):
            ends = self._ends(axis)
            places = np.array([end.at(middles) for end in ends]).reshape(len(ends), -1).T
            # Ends that do not exist come last.
            order = places.argsort(axis=1, kind="stable")
            places = np.take_along_axis(places, order, axis=1)
            rows, columns = np.nonzero(np.diff(places) > 1e-12 * self.size)
            low, high = places[rows, columns], places[rows, columns + 1]
            pairs = zip(order[rows, columns], order[rows, columns + 1], strict=True)
            levels.append((len(middles), rows.tolist(), [(ends[i], ends[j]) for i, j in pairs]))
            middles = np.column_stack([middles[rows], (low + high) / 2])
        flags = self.inside(torch.from_numpy(middles)).tolist() if len(middles) else []
        found: list[tuple[Cell, ...] | None] = [() if flag else None for flag in flags]
        for axis in reversed(range(self.dim)):
            found = _joined(axis, *levels[axis], found)
        return tuple(part for cell in found[0] or () for part in self._graded(cell))

    @property
    def boxes(self) -> list[list[tuple[float, float]]] | None:
        """The intervals on all axes of each cell, if all cells are boxes; otherwise None."""
        if self.dim == 0:
            return [[]] if self.inside(torch.zeros(1, 0, dtype=torch.float64)) else []
        if self.walls.spheres and any(_round(cell) for cell in self.tree):
            return None
        return list(_intervals(self.tree))

    def rule(self, nodes: int, last: int | None = None) -> tuple[Coords, Weights]:
        """Points (n, d) inside and positive weights (n,).

        It integrates polynomials of degree 2·nodes - 1 exactly on boxes.

        Args:
            nodes: of each one-dimensional Gauss rule.
            last: of those along the last axis, where fewer will do: one for the measure.
        """
        counts = [nodes] * (self.dim - 1) + [last or nodes]
        parts = [rule for _, rule in self._rules(self.tree, _START, counts)]
        return self._stacked(parts)

    def sheets(
        self, sphere: tuple[tuple[float, ...], float], nodes: int
    ) -> tuple[Coords, Coords, Weights]:
        """A rule on the part of a sphere that bounds the cells, in three dimensions.

        Returns:
            Points (n, 3), outward unit normals of the cells (n, 3) and weights (n,) by area.
        """
        (center, radius), circle = sphere, Locus(1, *sphere)
        parts = []
        for cell, (before, weights) in self._rules(self.tree, _START, [nodes]):
            for inner in cell.within:
                sides = [(end, way) for last in inner.within for end, way in last.ends]
                sides = [(end, way) for end, way in sides if end.locus == circle.on(2)]
                if not sides:
                    continue
                angles, along = _arc(inner, circle, before, nodes)
                middle, square = (x[:, None] for x in circle.span(before))
                across, upward = (np.sqrt(square) * f(angles) for f in (np.sin, np.cos))
                # By Archimedes an area is the radius times its length along x times its angle.
                areas = (radius * weights[:, None] * along).ravel()
                for end, way in sides:
                    y, z = middle + across, center[2] + end.sign * upward
                    coords = np.column_stack([np.repeat(before, nodes), y.ravel(), z.ravel()])
                    normals = way * end.sign * (coords - center) / radius
                    kept = areas > 0
                    parts.append((coords[kept], normals[kept], areas[kept]))
        empty = (np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0))
        coords, normals, areas = map(np.concatenate, zip(empty, *parts, strict=True))
        return torch.from_numpy(coords), torch.from_numpy(normals), torch.from_numpy(areas)

    @cached_property
    def _cuts(self) -> list[float]:
        """Where slices across the first axis change their shape other than at planes, ascending."""
        return cuts(self.walls, self.size) if self.walls.spheres else []

    def _graded(self, cell: Cell) -> list[Cell]:
        """A cell of the first axis in parts that are at most 30 times as long as the cuts are far.

        The nearest cut on either side does not count: its square roots are substituted away.
        """
        if not self._cuts or not _round(cell):
            return [cell]
        low, high = cell.low.value, cell.high.value
        near = 1e-7 * self.size
        below = [low - at for at in self._cuts if at <= low + near][-2::-1]
        above = [at - high for at in self._cuts if at >= high - near][1:]
        for gaps, end, sign in ((below, low, 1), (above, high, -1)):
            reach = 30 * max(min(gaps, default=np.inf), near)
            if reach < (high - low) / 2:
                middle = End(end + sign * reach)
                parts = (replace(cell, high=middle), replace(cell, low=middle))
                return [small for part in parts for small in self._graded(part)]
        return [cell]

    def _ends(self, axis: int) -> list[End]:
        """All ends of intervals that there may be on an axis."""
        planes = [End(at) for across, at in self.walls.planes if across == axis]
        if self.dim - axis == 3:
            return planes + [End(at) for at in self._cuts]
        loci = [Locus(axis, *sphere) for sphere in self.walls.spheres]
        if self.dim - axis == 2:
            loci += circles(axis, self.walls)
        return planes + [End(locus=locus, sign=sign) for locus in loci for sign in (-1, 1)]

    def _rules(
        self, cells: Sequence[Cell], start: Rule, counts: Sequence[int]
    ) -> Iterator[tuple[Cell, Rule]]:
        """For each cell of the axis that the counts lead to: the rule over the axes up to it."""
        for cell in cells:
            rule = self._along(cell, *start, counts[0])
            if len(counts) == 1:
                yield cell, rule
            else:
                yield from self._rules(cell.within, rule, counts[1:])

    def _along(self, cell: Cell, before: np.ndarray, weights: np.ndarray, nodes: int) -> Rule:
        """A rule over the axes before a cell, carried on along its axis."""
        low, high = cell.low.at(before), cell.high.at(before)
        share, along = (x.numpy() for x in gauss_legendre(nodes))
        span = self._branches(cell, before, low, high)
        if span is None:
            size = (high - low)[:, None]
            x, scale = low[:, None] + size * share, size * along
        else:
            # x = m + h sin θ: square roots' branch points at m ± h are none in θ.
            middle, half = (span[0] + span[1]) / 2, (span[1] - span[0]) / 2
            first, last = (_angle(end - middle, half)[:, None] for end in (low, high))
            angles = first + (last - first) * share
            x = middle[:, None] + half[:, None] * np.sin(angles)
            scale = half[:, None] * np.cos(angles) * (last - first) * along
        products = (weights[:, None] * scale).reshape(-1)
        coords = np.column_stack([np.repeat(before, nodes, axis=0), x.reshape(-1)])
        kept = products > 0  # NaN, or not above 0, where by rounding a cell has no width
        return coords[kept], products[kept]

    def _branches(
        self, cell: Cell, before: np.ndarray, low: np.ndarray, high: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """The branch points (n,) next to a cell on either side, of integrals over its slices."""
        size = high - low
        if self.dim - cell.axis == 3:
            near = 1e-7 * self.size
            below = [at for at in self._cuts if at <= low[0] + near]
            above = [at for at in self._cuts if at >= high[0] - near]
            firsts = [np.full_like(low, at) for at in below[-1:]]
            lasts = [np.full_like(low, at) for at in above[:1]]
        else:
            spans = [locus.on(cell.axis).span(before) for locus in cell.loci]
            halves = [np.sqrt(np.maximum(square, 0)) for _, square in spans]
            firsts = [middle - half for (middle, _), half in zip(spans, halves, strict=True)]
            lasts = [middle + half for (middle, _), half in zip(spans, halves, strict=True)]
        if not (firsts or lasts):
            return None
        # Where there is none on one side, a point far away from the cell will do.
        first = np.max([low - 1e3 * size, *firsts], axis=0)
        last = np.min([high + 1e3 * size, *lasts], axis=0)
        return np.minimum(first, low), np.maximum(last, high)

    def _stacked(self, parts: Sequence[Rule]) -> tuple[Coords, Weights]:
        coords = np.concatenate([np.zeros((0, self.dim)), *(coords for coords, _ in parts)])
        weights = np.concatenate([np.zeros(0), *(weights for _, weights in parts)])
        return torch.from_numpy(coords), torch.from_numpy(weights)


def _joined(
    axis: int,
    count: int,
    rows: Sequence[int],
    pairs: Sequence[tuple[End, End]],
    found: Sequence[tuple[Cell, ...] | None],
) -> list[tuple[Cell, ...] | None]:
    """The cells on an axis of each of `count` slices, None where there are none.

    Neighbours that hold the same cells become one: between them the shape does not change.
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


def _arc(cell: Cell, circle: Locus, before: np.ndarray, nodes: int) -> Rule:
    """Gauss points and weights, (n, nodes) each, in the angle of circles that bound a cell.

    The angle runs from -π/2 where the circle has its lowest coordinate on the cell's axis to π/2.
    """
    middle, square = circle.span(before)
    ends = []
    for end, _ in cell.ends:
        if end.locus == circle:
            # An angle found from its own end would be known to half of the digits only.
            ends.append(np.full(len(before), end.sign * np.pi / 2))
        else:
            ends.append(_angle(end.at(before) - middle, np.sqrt(square)))
    first, last = (angle[:, None] for angle in ends)
    share, along = (x.numpy() for x in gauss_legendre(nodes))
    return first + (last - first) * share, (last - first) * along


def _angle(offset: np.ndarray, half: np.ndarray) -> np.ndarray:
    """arcsin(offset / half), accurate next to ±π/2."""
    return np.arctan2(offset, np.sqrt(np.maximum((half - offset) * (half + offset), 0)))
