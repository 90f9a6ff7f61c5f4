"""Space × time: a domain over an interval of a further, named coordinate."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn._typing import Column, Coords, Corner, Mask, Weights
from kanpinn.errors import InputError
from kanpinn.geometry.box import Box
from kanpinn.geometry.clipped import Clipped, longer
from kanpinn.geometry.domain import Boundary, Domain, Draw, Mapped, Piece, Region
from kanpinn.geometry.points import Points
from kanpinn.geometry.rules import axis_counts, gauss_legendre


@dataclass(frozen=True)
class Product(Domain):
    """The points (x, t) with x in a space and t in an interval; `space.over(t=(0, 1))`.

    The pieces of its boundary are the space's own over the whole time, under the same names, then
    "initial" at the lowest time and "final" at the highest.

    Args:
        space: a domain.
        time: an interval, a Box with one coordinate.

    Raises:
        InputError: unless time has one coordinate, with a name that the space's have not.
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
    def measure(self) -> float:
        return self.space.measure * self.time.measure

    @property
    def measure_error(self) -> float:
        return self.space.measure_error * self.time.measure

    @property
    def bounds(self) -> tuple[Corner, Corner]:
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
    def smooth_level(self) -> bool:
        return self.space.smooth_level

    def level(self, coords: Coords) -> Column:
        """The space's level times 4τ(1 - τ), τ the share of the time that has passed."""
        _, low, high = self.time.ranges[0]
        share = (coords[:, -1:] - low) / (high - low)
        return self.space.level(coords[:, :-1]) * 4 * share * (1 - share)

    def place(self, n: int, draw: Draw) -> Points:
        if not isinstance(self.space, Mapped):
            return super().place(n, draw)
        unit = draw(n, self.dim)
        return _over(self.space.from_unit(unit[:, :-1]), self.time, unit[:, -1:])

    def quadrature(self, nodes: int) -> tuple[Points, Weights]:
        return _product_rule(self.space.quadrature(nodes), self.time, nodes)

    def rule_error(self, nodes: int) -> float:
        return self.space.rule_error(nodes) * self.time.measure

    def gauss(self, n: int) -> Points:
        return _product_gauss(self.space, self.time, n)


@dataclass(frozen=True)
class Wall(Piece):
    """A piece of the boundary of a space over an interval of time."""

    piece: Piece
    time: Box

    @property
    def name(self) -> str:
        return self.piece.name

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

    def place(self, n: int, draw: Draw) -> Points:
        points, times = _spread(self.piece, n, draw)
        return _over(points, self.time, times)

    def quadrature(self, nodes: int) -> tuple[Points, Weights]:
        return _product_rule(self.piece.quadrature(nodes), self.time, nodes)

    def rule_error(self, nodes: int) -> float:
        return self.piece.rule_error(nodes) * self.time.measure

    def gauss(self, n: int) -> Points:
        return _product_gauss(self.piece, self.time, n)


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
        end = points.coords.new_full((len(points), 1), float(self.late))
        placed = _over(points, self.product.time, end)
        normals = torch.zeros_like(placed.coords)
        normals[:, -1] = 1 if self.late else -1
        return Points(placed.coords, placed.names, normals)


def _over(points: Points, time: Box, share: Tensor) -> Points:
    """The points at the times (n, 1) given as shares of the interval; normals stay in space."""
    coords = torch.cat([points.coords, time.from_unit(share).coords], dim=1)
    normals = points.normals
    if normals is not None:
        normals = torch.cat([normals, torch.zeros_like(share)], dim=1)
    return Points(coords, points.names + time.names, normals)


def _spread(piece: Piece, n: int, draw: Draw) -> tuple[Points, Tensor]:
    """n points or a few more of a piece and a share of time (n, 1) for each, from ONE draw.

    A product of two draws would cluster: their projections are even, their pairs are not.
    """
    if isinstance(piece, Mapped):
        unit = draw(n, piece.dim + 1)
        return piece.from_unit(unit[:, :-1]), unit[:, -1:]
    if isinstance(piece, Clipped):
        count = piece.count(n)
        while True:
            points, times = _spread(piece.piece, count, draw)
            kept, points = piece.keep(points)
            if int(kept.sum()) >= n:
                return points[kept], times[kept]
            count = longer(count)
    points = piece.place(n, draw)
    return points, draw(len(points), 1)


def _product_rule(rule: tuple[Points, Tensor], time: Box, nodes: int) -> tuple[Points, Weights]:
    """The product of a rule in space and a Gauss rule in time, the latter running fastest."""
    share, along = gauss_legendre(nodes)
    points, weights = rule
    return _times(points, time, share), time.measure * torch.outer(weights, along).reshape(-1)


def _product_gauss(space: Region, time: Box, n: int) -> Points:
    """Gauss points in space times Gauss points in time, as many of these as on a cube's axis."""
    count = axis_counts(n, space.dim + 1)[-1]
    return _times(space.gauss(math.ceil(n / count)), time, gauss_legendre(count)[0])


def _times(points: Points, time: Box, share: Tensor) -> Points:
    """Every point at every one of the times."""
    rows = torch.arange(len(points)).repeat_interleave(len(share))
    return _over(points[rows], time, share.repeat(len(points))[:, None])
