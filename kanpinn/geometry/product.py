"""Space × time: a domain over an interval of a further coordinate, and points at given times."""

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn._support.shapes import Column, Coords, Mask, Vector, Weights
from kanpinn.geometry.box import Box, coordinate_beyond
from kanpinn.geometry.domain import Boundary, Derived, Domain, Piece, Region
from kanpinn.geometry.points import Points
from kanpinn.geometry.rules import Draw, axis_counts, axis_rim, gauss_legendre


class _OverTime(Region):
    """A region of space × time: a region in space, over the whole time interval."""

    time: Box

    @property
    @abstractmethod
    def base(self) -> Region:
        """The region in space."""

    @property
    def names(self) -> tuple[str, ...]:
        return self.base.names + self.time.names

    @property
    def dim(self) -> int:
        return self.base.dim + 1

    @property
    def measure(self) -> float:
        return self.base.measure * self.time.measure

    @property
    def has_gauss_rule(self) -> bool:
        return self.base.has_gauss_rule

    def spread(self, n: int, draw: Draw, more: int) -> tuple[Points, Tensor]:
        points, shares = self.base.spread(n, draw, 1 + more)
        return _at_times(points, self.time, shares[:, 0]), shares[:, 1:]

    def quadrature(self, nodes: int) -> tuple[Points, Weights]:
        points, weights = self.base.quadrature(nodes)
        shares, along = gauss_legendre(nodes)
        products = self.time.measure * torch.outer(weights, along).reshape(-1)
        return _at_all_times(points, self.time, shares), products

    def gauss(self, n: int) -> Points:
        """Return Gauss points in space at Gauss points in time.

        Each Gauss point in space is combined with each Gauss point of the time interval. The number
        of Gauss points in time is about n^(1/dim).
        """
        count = axis_counts(n, self.dim)[-1]
        points = self.base.gauss(math.ceil(n / count))
        return _at_all_times(points, self.time, gauss_legendre(count)[0])


@dataclass(frozen=True)
class Product(_OverTime, Domain):
    """Space × time: the points (x, t) with x in a space and t in an interval.

    `space.over(t=(0, 1))` makes such a product.

    The pieces of the product's boundary are the pieces of the space's boundary over the whole time
    interval, with the same names, and "initial" and "final", the space at the initial and at the
    final time.

    Args:
        space: the domain in space.
        time: the time interval, a Box with one coordinate.

    Raises:
        InputError: unless time has exactly one coordinate, whose name the space does not use.
    """

    space: Domain
    time: Box

    def __post_init__(self) -> None:
        if self.time.dim != 1:
            raise InputError(f"time must have one coordinate such as t=(0, 1), got {self.time!r}")
        if self.time.names[0] in self.space.names:
            known = f"its coordinates are {', '.join(self.space.names)}"
            raise InputError(f"the space has a coordinate {self.time.names[0]!r} already; {known}")

    @property
    def base(self) -> Domain:
        return self.space

    @property
    def time_name(self) -> str:
        return self.time.names[0]

    @property
    def bounds(self) -> tuple[Vector, Vector]:
        low, high = map(torch.cat, zip(self.space.bounds, self.time.bounds, strict=True))
        return low, high

    @property
    def boundary(self) -> Boundary:
        sides = [PieceOverTime(piece, self.time) for piece in self.space.boundary.pieces]
        return Boundary((*sides, End(self, late=False), End(self, late=True)))

    def contains(self, coords: Coords, tolerance: float = 0.0) -> Mask:
        during = self.time.contains(coords[:, -1:], tolerance)
        return during & self.space.contains(coords[:, :-1], tolerance)

    @property
    def is_box(self) -> bool:
        return self.space.is_box


@dataclass(frozen=True)
class PieceOverTime(_OverTime, Derived):
    """A piece of the space's boundary, over the whole time interval."""

    time: Box

    @property
    def base(self) -> Piece:
        return self.piece

    @property
    def side(self) -> tuple[int, bool] | None:
        return self.piece.side

    @property
    def level(self) -> Callable[[Coords], Column] | None:
        inner = self.piece.level
        return None if inner is None else partial(_in_space, inner)

    @property
    def rim(self) -> Points:
        edges = _at_all_times(self.piece.rim, self.time, axis_rim())
        inner = self.piece.quadrature(5)[0]
        return Points.cat([edges, _at_all_times(inner, self.time, axis_rim()[[0, -1]])])


@dataclass(frozen=True)
class End(Piece):
    """A boundary piece of space × time: the space at the initial or final time.

    Args:
        product: the space × time.
        late: False for the initial time, the piece "initial"; True for the final time, "final".
    """

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
        pieces = self.product.space.boundary.pieces
        parts = [points for piece in pieces for points in (piece.quadrature(5)[0], piece.rim)]
        return self._at(Points.cat(parts))

    def spread(self, n: int, draw: Draw, more: int) -> tuple[Points, Tensor]:
        points, others = self.product.space.spread(n, draw, more)
        return self._at(points), others

    def quadrature(self, nodes: int) -> tuple[Points, Weights]:
        points, weights = self.product.space.quadrature(nodes)
        return self._at(points), weights

    def gauss(self, n: int) -> Points:
        return self._at(self.product.space.gauss(n))

    def _at(self, points: Points) -> Points:
        """Points in space as points of the piece, with its time and normals."""
        placed = at_one_time(points, self.at_time, self.product.time_name)
        normals = torch.zeros_like(placed.coords)
        normals[:, -1] = 1 if self.late else -1
        return Points(placed.coords, placed.names, normals)


def at_one_time(points: Points, time: float, name: str) -> Points:
    """Append one time to all points in space.

    Args:
        points: points (n, d) in space.
        time: the time.
        name: the name of the time coordinate.

    Returns:
        Points (n, d + 1); their normals, if any, have the time component 0.
    """
    return _joined(points, points.coords.new_full((len(points), 1), time), name)


def _at_times(points: Points, time: Box, shares: Tensor) -> Points:
    """Append a time to each of n points in space.

    Args:
        points: the points.
        time: the time interval, a box in one dimension.
        shares: the times (n,), as fractions of the time interval.
    """
    return _joined(points, time.image(shares[:, None]).coords, time.names[0])


def _at_all_times(points: Points, time: Box, shares: Tensor) -> Points:
    """Return n·k points: each of n points in space at each of k times; the times vary fastest.

    Args:
        points: the points in space.
        time: the time interval, a box in one dimension.
        shares: the times (k,), as fractions of the time interval.
    """
    rows = torch.arange(len(points)).repeat_interleave(len(shares))
    return _at_times(points[rows], time, shares.repeat(len(points)))


def _joined(points: Points, times: Tensor, name: str) -> Points:
    """Return points of space × time, from points in space and a time for each of them.

    Args:
        points: n points in space; their normals, if any, get the time component 0.
        times: the times, (n, 1).
        name: the name of the time coordinate.
    """
    normals = points.normals
    if normals is not None:
        normals = torch.cat([normals, torch.zeros_like(times)], dim=1)
    return Points(torch.cat([points.coords, times], dim=1), (*points.names, name), normals)


def _in_space(function: Callable[[Coords], Column], coords: Coords) -> Column:
    """Return the values (n, 1) of a function of space at points (n, d + 1) of space and time."""
    return function(coords[:, :-1])
