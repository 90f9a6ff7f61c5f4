"""The boundary of a domain in the plane, cut into arcs by the cells of a tree."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from kanpinn.cells.tree import Tree
from kanpinn.geometry.curves.curve import Curve
from kanpinn.geometry.planar.planar import Planar


@dataclass(frozen=True, eq=False)
class Arcs:
    """Parts of the boundary's curves, each in one cell and monotone in both coordinates.

    Args:
        curve: the number of each arc's curve, (a,).
        first, last: its parameters on the curve, (a,) each.
        cell: the number of its cell, (a,).
        ends: the points at its ends, (a, 2, 2).
        turns: the angle between the tangents at its ends, (a,).
    """

    curve: Tensor
    first: Tensor
    last: Tensor
    cell: Tensor
    ends: Tensor
    turns: Tensor

    def __len__(self) -> int:
        return len(self.curve)


@dataclass(frozen=True, eq=False)
class CellLines:
    """The lines on which the sides of a tree's cells lie, in physical coordinates.

    Args:
        tree: the cells, all of one region.
        low, half: the lower corner of the tree's box and half its widths, (2,) each.
        region: the number of the region.
    """

    tree: Tree
    low: Tensor
    half: Tensor
    region: int = 0

    @cached_property
    def lines(self) -> tuple[Tensor, Tensor]:
        """The values of x and those of y, ascending."""
        same = 1e-12  # values closer than this are the same up to rounding
        found = []
        for axis in (0, 1):
            values = self.tree.boxes[:, :, axis].flatten().unique()
            kept = torch.cat([torch.tensor([True]), values.diff() > same])
            found.append(self.low[axis] + (values[kept] + 1) * self.half[axis])
        return found[0], found[1]

    def locate(self, points: Tensor, inward: Tensor, step: float) -> Tensor:
        """The cells of points (n, 2), after a step inward of a part of the cell's width, (n,)."""
        cells = self._cells(points)
        return self._cells(points + step * inward * self.tree.widths[cells] * self.half)

    def _cells(self, points: Tensor) -> Tensor:
        """The cells of points (n, 2), (n,)."""
        region = torch.full((len(points),), self.region)
        return self.tree.locate((points - self.low) / self.half - 1, region)


@dataclass(frozen=True, eq=False)
class Outline:
    """The boundary of a domain in the plane, for the cells of any tree.

    Args:
        domain: the domain.
        sharp: the least angle in radians by which the boundary turns at a corner.
    """

    domain: Planar
    sharp: float = 0.1

    @cached_property
    def breaks(self) -> list[Tensor]:
        """For each curve the parameters between which both coordinates are monotone."""
        return [_breaks(curve) for curve in self.domain.curves]

    @cached_property
    def interior_angles(self) -> list[tuple[int, float]]:
        """For each curve the one that goes on at its end, and the angle inside the domain there."""
        ts = torch.tensor([0.0, 1.0], dtype=torch.float64)
        curves = self.domain.curves
        tangents = torch.stack([curve.velocity(ts) for curve in curves])
        ends = torch.tensor([[curve.start, curve.stop] for curve in curves], dtype=torch.float64)
        after = torch.cdist(ends[:, 1], ends[:, 0]).argmin(dim=1)
        angles = math.pi - turned(tangents[:, 1], tangents[after, 0])
        return list(zip(after.tolist(), angles.tolist(), strict=True))

    @cached_property
    def corners(self) -> list[tuple[bool, bool]]:
        """For each curve whether the boundary turns at its start and at its end."""
        stops = [abs(angle - math.pi) > self.sharp for _, angle in self.interior_angles]
        starts = [False] * len(stops)
        for turned, (after, _) in zip(stops, self.interior_angles, strict=True):
            starts[after] = turned
        return list(zip(starts, stops, strict=True))

    def arcs(self, grid: CellLines, step: float) -> tuple[Arcs, list[Tensor]]:
        """The arcs in the cells, and the points in which the boundary meets the lines.

        Args:
            grid: the lines of the cells.
            step: how far inside the domain a cell must reach for its arcs, as a part of its width.

        Returns:
            The arcs, and for x and for y the points that lie on lines of constant x or y, (n, 2).
        """
        found: list[tuple[Tensor, ...]] = []
        meets: list[list[Tensor]] = [[], []]
        for number, curve in enumerate(self.domain.curves):
            parts = _crossings(curve, self.breaks[number], grid.lines)
            for axis in (0, 1):
                meets[axis].append(curve.at(torch.cat([parts[axis], self.breaks[number]])))
            ts = torch.cat([*parts, self.breaks[number]]).unique()
            tiny = 1e-12  # in the parameter: an interval of rounding errors
            ts = ts[torch.cat([torch.tensor([True]), ts.diff() > tiny])]
            middle = curve.points_at((ts[1:] + ts[:-1]) / 2)
            assert middle.normals is not None
            cells = grid.locate(middle.coords, -middle.normals, step)
            # An arc goes on across lines of other cells.
            starts = torch.isin(ts[1:-1], self.breaks[number]) | (cells[1:] != cells[:-1])
            at = torch.cat([torch.tensor([True]), starts]).nonzero()[:, 0]
            first, last = ts[at], torch.cat([ts[at[1:]], ts[-1:]])
            found.append((torch.full_like(at, number), first, last, cells[at]))
        joined = [torch.cat(same) for same in zip(*found, strict=True)]
        return self._made(*joined), [torch.cat(points) for points in meets]

    def _made(self, curve: Tensor, first: Tensor, last: Tensor, cell: Tensor) -> Arcs:
        ends = torch.empty(len(curve), 2, 2, dtype=torch.float64)
        turns = torch.empty(len(curve), dtype=torch.float64)
        for number, one in enumerate(self.domain.curves):
            own = curve == number
            ts = torch.stack([first[own], last[own]], dim=1)
            ends[own] = one.at(ts.flatten()).unflatten(0, ts.shape)
            along = one.velocity(ts.flatten()).unflatten(0, ts.shape)
            turns[own] = turned(along[:, 0], along[:, 1]).abs()
        return Arcs(curve, first, last, cell, ends, turns)


def turned(vectors: Tensor, others: Tensor) -> Tensor:
    """The angles from -π to π by which vectors are turned into others, (n,); both (n, 2)."""
    (x, y), (p, q) = vectors.T, others.T
    return torch.atan2(x * q - y * p, x * p + y * q)


def _breaks(curve: Curve) -> Tensor:
    """The parameters from 0 to 1 between which both coordinates are monotone."""
    count = 64  # of intervals, in each of which a coordinate turns at most once
    ts = torch.linspace(0, 1, count + 1, dtype=torch.float64)
    found = [ts[[0, -1]]]
    for axis in (0, 1):
        speed = curve.velocity(ts)[:, axis]
        ahead = speed >= 0  # at a zero, one of the two intervals that it divides has the turn
        turning = (ahead[1:] != ahead[:-1]).nonzero()[:, 0]
        low, high = ts[turning], ts[turning + 1]
        rising = ahead[turning + 1]
        found.append(_bisected(lambda t: curve.velocity(t)[:, axis], low, high, rising))  # noqa: B023
    breaks = torch.cat(found).unique()
    near = 1e-9  # of a break to an end, where the end itself is the break
    inner = breaks[(breaks > near) & (breaks < 1 - near)]
    return torch.cat([breaks[:1], inner, breaks[-1:]])


def _crossings(curve: Curve, breaks: Tensor, lines: tuple[Tensor, Tensor]) -> list[Tensor]:
    """The parameters at which a curve crosses lines of constant x, and those of constant y."""
    at = curve.at(breaks)
    parts, values, axes = [], [], []
    for axis in (0, 1):
        near = 1e-12 * float(lines[axis].abs().max())
        first, last = at[:-1, axis, None], at[1:, axis, None]
        low, high = torch.minimum(first, last) + near, torch.maximum(first, last) - near
        part, line = ((lines[axis] > low) & (lines[axis] < high)).nonzero().unbind(1)
        parts.append(part)
        values.append(lines[axis][line])
        axes.append(torch.full_like(part, axis))
    part, value, which = torch.cat(parts), torch.cat(values), torch.cat(axes)[:, None]
    first, last = (at[part + more].gather(1, which)[:, 0] for more in (0, 1))
    found = _zeros(curve, which, value, breaks[part], breaks[part + 1], last > first)
    return list(found.split([len(one) for one in parts]))


def _zeros(
    curve: Curve, axis: Tensor, value: Tensor, low: Tensor, high: Tensor, rising: Tensor
) -> Tensor:
    """The parameters at which coordinates of a curve have given values, (n,).

    Newton's method is used; where it would leave an interval that contains the zero, the middle of
    the interval is taken.

    Args:
        curve: the curve.
        axis: the number of each coordinate, (n, 1).
        value: the values, (n,).
        low, high: the ends of intervals in which the coordinates are monotone, (n,) each.
        rising: whether they increase there, (n,).
    """
    most, rounding = 60, 1e-14
    t = (low + high) / 2
    for _ in range(most if len(t) else 0):
        gap = curve.at(t).gather(1, axis)[:, 0] - value
        above = (gap > 0) == rising
        low, high = torch.where(above, low, t), torch.where(above, t, high)
        step = t - gap / curve.velocity(t).gather(1, axis)[:, 0]
        step = torch.where((step >= low) & (step <= high), step, (low + high) / 2)
        change, t = float((step - t).abs().max()), step
        if change < rounding:
            break
    return t


def _bisected(
    function: Callable[[Tensor], Tensor], low: Tensor, high: Tensor, rising: Tensor
) -> Tensor:
    """The zeros of functions that change sign between two values, (n,) each."""
    digits = 52  # binary ones
    if not len(low):
        return low
    for _ in range(digits):
        middle = (low + high) / 2
        above = (function(middle) > 0) == rising
        low, high = torch.where(above, low, middle), torch.where(above, middle, high)
    return (low + high) / 2
