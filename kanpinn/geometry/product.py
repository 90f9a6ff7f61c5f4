"""Products of a space and a time interval, and points at given times."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn._support.shapes import Column, Coords, Mask, Vector, Weights
from kanpinn.geometry.boundary import Boundary, Derived, Piece
from kanpinn.geometry.box import Box, coordinate_beyond
from kanpinn.geometry.domain import Domain
from kanpinn.geometry.points import Points
from kanpinn.geometry.region import Draw, Region
from kanpinn.geometry.rules import axis_counts, axis_rim, gauss_legendre


def at_one_time(points: Points, time: float, name: str) -> Points:
    """Append one time to all points in space.

    Args:
        points: points (n, d) in space.
        time: the time.
        name: the name of its coordinate.

    Returns:
        Points (n, d + 1); their normals, if any, have the time component 0.
    """
    return _joined(points, points.coords.new_full((len(points), 1), time), (name,))


def at_times(points: Points, time: Box, shares: Tensor) -> Points:
    """Append one time to each point in space.

    Args:
        points: points (n, d) in space.
        time: the time interval.
        shares: the times (n,), scaled so that the interval is [0, 1].

    Returns:
        Points (n, d + 1); their normals, if any, have the time component 0.
    """
    return _joined(points, time.image(shares[:, None]).coords, time.names)


def at_all_times(points: Points, time: Box, shares: Tensor) -> Points:
    """Combine each of the points (n, d) with each of the times (k,) to points (n·k, d + 1).

    The times are scaled so that the interval is [0, 1], and vary fastest.
    """
    rows = torch.arange(len(points)).repeat_interleave(len(shares))
    return at_times(points[rows], time, shares.repeat(len(points)))


def timed_rule(rule: tuple[Points, Tensor], time: Box, nodes: int) -> tuple[Points, Weights]:
    """Return the product of a rule in space and a Gauss rule in time."""
    shares, along = gauss_legendre(nodes)
    points, weights = rule
    products = time.measure * torch.outer(weights, along).reshape(-1)
    return at_all_times(points, time, shares), products


def timed_gauss(space: Region, time: Box, n: int) -> Points:
    """Return Gauss points in space × time, with as many times as a cube's rule has per axis."""
    count = axis_counts(n, space.dim + 1)[-1]
    return at_all_times(space.gauss(math.ceil(n / count)), time, gauss_legendre(count)[0])


def _joined(points: Points, times: Tensor, names: tuple[str, ...]) -> Points:
    """Points in space with one time each, (n, 1), and the name of its coordinate."""
    normals = points.normals
    if normals is not None:
        normals = torch.cat([normals, torch.zeros_like(times)], dim=1)
    return Points(torch.cat([points.coords, times], dim=1), (*points.names, *names), normals)


@dataclass(frozen=True)
class Product(Domain):
    """Space × time: the points (x, t) with x in a space and t in an interval.

    `space.over(t=(0, 1))` makes one.

    The boundary consists of the space's pieces over the whole time interval, under the same names,
    of "initial" at the first time and of "final" at the last time.

    Args:
        space: the domain in space.
        time: the time interval, a Box with one coordinate.

    Raises:
        InputError: unless time has exactly one coordinate and the space has none of the same name.
    """

    space: Domain
    time: Box

    def __post_init__(self) -> None:
        if self.time.dim != 1:
            raise InputError(f"time must have one coordinate such as t=(0, 1), got {self.time!r}")
        if self.time.names[0] in self.space.names:
            raise InputError(
                f"the space has a coordinate {self.time.names[0]!r} already; its coordinates are "
                f"{', '.join(self.space.names)}"
            )

    @property
    def names(self) -> tuple[str, ...]:
        return self.space.names + self.time.names

    @property
    def time_name(self) -> str:
        return self.time.names[0]

    @property
    def measure(self) -> float:
        return self.space.measure * self.time.measure

    @property
    def measure_error(self) -> float:
        return self.space.measure_error * self.time.measure

    @property
    def bounds(self) -> tuple[Vector, Vector]:
        low, high = (
            torch.cat(ends) for ends in zip(self.space.bounds, self.time.bounds, strict=True)
        )
        return low, high

    @property
    def boundary(self) -> Boundary:
        sides = [Wall(piece, self.time) for piece in self.space.boundary.pieces]
        return Boundary((*sides, End(self, late=False), End(self, late=True)))

    def contains(self, coords: Coords, tolerance: float = 0.0) -> Mask:
        _, low, high = self.time.ranges[0]
        times = coords[:, -1]
        during = (times >= low - tolerance) & (times <= high + tolerance)
        return during & self.space.contains(coords[:, :-1], tolerance)

    @property
    def is_box(self) -> bool:
        return self.space.is_box

    @property
    def smooth_level(self) -> bool:
        return self.space.smooth_level

    def level(self, coords: Coords) -> Column:
        """Return the level of the space times 4τ(1 - τ), with τ from 0 to 1 over the interval."""
        _, low, high = self.time.ranges[0]
        share = (coords[:, -1:] - low) / (high - low)
        return self.space.level(coords[:, :-1]) * 4 * share * (1 - share)

    def place(self, n: int, draw: Draw) -> Points:
        points, shares = self.space.spread(n, draw)
        return at_times(points, self.time, shares)

    def quadrature(self, nodes: int) -> tuple[Points, Weights]:
        return timed_rule(self.space.quadrature(nodes), self.time, nodes)

    def rule_error(self, nodes: int) -> float:
        return self.space.rule_error(nodes) * self.time.measure

    def gauss(self, n: int) -> Points:
        return timed_gauss(self.space, self.time, n)


@dataclass(frozen=True)
class Wall(Derived):
    """A piece of the space's boundary over the whole time interval."""

    time: Box

    @property
    def names(self) -> tuple[str, ...]:
        return self.piece.names + self.time.names

    @property
    def dim(self) -> int:
        return self.piece.dim + 1

    @property
    def measure(self) -> float:
        return self.piece.measure * self.time.measure

    @property
    def measure_error(self) -> float:
        return self.piece.measure_error * self.time.measure

    @property
    def side(self) -> tuple[int, bool] | None:
        return self.piece.side

    @property
    def level(self) -> Callable[[Coords], Column] | None:
        inner = self.piece.level
        return None if inner is None else partial(_in_space, inner)

    @property
    def rim(self) -> Points:
        edges = at_all_times(self.piece.rim, self.time, axis_rim())
        inner = self.piece.quadrature(5)[0]
        return Points.cat([edges, at_all_times(inner, self.time, axis_rim()[[0, -1]])])

    def place(self, n: int, draw: Draw) -> Points:
        points, shares = self.piece.spread(n, draw)
        return at_times(points, self.time, shares)

    def quadrature(self, nodes: int) -> tuple[Points, Weights]:
        return timed_rule(self.piece.quadrature(nodes), self.time, nodes)

    def rule_error(self, nodes: int) -> float:
        return self.piece.rule_error(nodes) * self.time.measure

    def gauss(self, n: int) -> Points:
        return timed_gauss(self.piece, self.time, n)


@dataclass(frozen=True)
class End(Piece):
    """The space at the first ("initial") or last ("final") time."""

    product: Product
    late: bool

    @property
    def name(self) -> str:
        return "final" if self.late else "initial"

    @property
    def names(self) -> tuple[str, ...]:
        return self.product.names

    @property
    def dim(self) -> int:
        return self.product.space.dim

    @property
    def measure(self) -> float:
        return self.product.space.measure

    @property
    def measure_error(self) -> float:
        return self.product.space.measure_error

    @property
    def side(self) -> tuple[int, bool]:
        return self.product.dim - 1, self.late

    @property
    def at_time(self) -> float:
        _, *ends = self.product.time.ranges[0]
        return ends[self.late]

    @property
    def level(self) -> Callable[[Coords], Column]:
        return partial(coordinate_beyond, -1, self.at_time)

    @property
    def rim(self) -> Points:
        walls = self.product.space.boundary.pieces
        parts = [points for wall in walls for points in (wall.quadrature(5)[0], wall.rim)]
        return self._at(Points.cat(parts))

    def place(self, n: int, draw: Draw) -> Points:
        return self._at(self.product.space.place(n, draw))

    def quadrature(self, nodes: int) -> tuple[Points, Weights]:
        points, weights = self.product.space.quadrature(nodes)
        return self._at(points), weights

    def rule_error(self, nodes: int) -> float:
        return self.product.space.rule_error(nodes)

    def gauss(self, n: int) -> Points:
        return self._at(self.product.space.gauss(n))

    def _at(self, points: Points) -> Points:
        end = points.coords.new_full((len(points),), float(self.late))
        placed = at_times(points, self.product.time, end)
        normals = torch.zeros_like(placed.coords)
        normals[:, -1] = 1 if self.late else -1
        return Points(placed.coords, placed.names, normals)


def _in_space(function: Callable[[Coords], Column], coords: Coords) -> Column:
    return function(coords[:, :-1])
