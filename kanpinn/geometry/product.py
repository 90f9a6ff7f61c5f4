"""Space × time: a domain over an interval of a further, named coordinate."""

from dataclasses import dataclass

import torch

from kanpinn._support.errors import InputError
from kanpinn._support.shapes import Column, Coords, Corner, Mask, Weights
from kanpinn.geometry.boundary import Boundary, Derived, Piece
from kanpinn.geometry.box import Box
from kanpinn.geometry.domain import Domain
from kanpinn.geometry.points import Points
from kanpinn.geometry.region import Draw, Mapped
from kanpinn.geometry.timed import spread, timed_gauss, timed_rule, with_times


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
        return with_times(self.space.from_unit(unit[:, :-1]), self.time, unit[:, -1:])

    def quadrature(self, nodes: int) -> tuple[Points, Weights]:
        return timed_rule(self.space.quadrature(nodes), self.time, nodes)

    def rule_error(self, nodes: int) -> float:
        return self.space.rule_error(nodes) * self.time.measure

    def gauss(self, n: int) -> Points:
        return timed_gauss(self.space, self.time, n)


@dataclass(frozen=True)
class Wall(Derived):
    """A piece of the boundary of a space over an interval of time."""

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

    def place(self, n: int, draw: Draw) -> Points:
        points, times = spread(self.piece, n, draw)
        return with_times(points, self.time, times)

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
        placed = with_times(points, self.product.time, end)
        normals = torch.zeros_like(placed.coords)
        normals[:, -1] = 1 if self.late else -1
        return Points(placed.coords, placed.names, normals)
