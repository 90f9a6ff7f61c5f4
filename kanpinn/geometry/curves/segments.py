"""Line segments as pieces of boundaries."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn._support.shapes import Column, Coords, Weights
from kanpinn.geometry.curves.curve import XY, Curve, Pair, pair, two_names
from kanpinn.geometry.curves.sides import Side


@dataclass(frozen=True)
class Segment(Curve):
    """The line segment from a to b.

    Raises:
        InputError: unless a and b are two different finite points.

    Example:
        >>> import kanpinn as kp
        >>> kp.Segment((0, 0), (3, 4), name="ramp").measure
        5.0
    """

    a: Pair
    b: Pair
    name: str = "segment"
    names: tuple[str, ...] = XY

    def __post_init__(self) -> None:
        object.__setattr__(self, "a", pair("a", self.a))
        object.__setattr__(self, "b", pair("b", self.b))
        object.__setattr__(self, "names", two_names(self.names))
        if self.a == self.b:
            raise InputError(f"a segment must have two different ends, got {self.a} twice")

    @property
    def start(self) -> Pair:
        return self.a

    @property
    def stop(self) -> Pair:
        return self.b

    @property
    def measure(self) -> float:
        return math.dist(self.a, self.b)

    @property
    def bounds(self) -> tuple[Pair, Pair]:
        (ax, ay), (bx, by) = self.a, self.b
        return (min(ax, bx), min(ay, by)), (max(ax, bx), max(ay, by))

    @property
    def level(self) -> Callable[[Coords], Column]:
        return partial(left_of, self.a, self.b)

    def at(self, t: Weights) -> Coords:
        # lerp is exact at both ends.
        return torch.lerp(t.new_tensor(self.a), t.new_tensor(self.b), t[:, None])

    def velocity(self, t: Weights) -> Coords:
        return (t.new_tensor(self.b) - t.new_tensor(self.a)).expand(len(t), 2)

    def even(self, unit: Weights) -> Weights:
        return unit

    def cuts(self) -> list[float]:
        return [0.0, 1.0]

    def nearest(self, coords: Coords) -> Coords:
        a, along = coords.new_tensor(self.a), coords.new_tensor(self.b) - coords.new_tensor(self.a)
        t = ((coords - a) @ along / (along @ along)).clamp(0, 1)
        return a + t[:, None] * along

    def near(self, coords: Coords, within: float) -> Tensor:
        low, high = (coords.new_tensor(corner) for corner in self.bounds)
        return ((coords >= low - within) & (coords <= high + within)).all(dim=1)

    def locate(self, point: Pair, tolerance: float) -> float | None:
        (ax, ay), (bx, by) = self.a, self.b
        dx, dy = bx - ax, by - ay
        t = ((point[0] - ax) * dx + (point[1] - ay) * dy) / (dx * dx + dy * dy)
        t = min(max(t, 0.0), 1.0)
        foot = (ax + t * dx, ay + t * dy)
        return t if math.dist(foot, point) <= tolerance else None

    def part(self, first: float, last: float) -> "Segment":
        return replace(self, a=self._point(first), b=self._point(last))

    def named(self, name: str) -> "Segment":
        return replace(self, name=name)

    @property
    def straight(self) -> bool:
        return True

    def extent(self, coords: Coords) -> Column:
        middle = (coords.new_tensor(self.a) + coords.new_tensor(self.b)) / 2
        from_middle = (coords - middle).square().sum(dim=1, keepdim=True)
        return ((self.measure / 2) ** 2 - from_middle) / self.measure

    def joined(self, other: "Segment") -> "Segment":
        return replace(self, b=other.b)

    def lies_on(self, other: "Segment", tolerance: float) -> bool:
        ux, uy = ((q - p) / self.measure for p, q in zip(self.a, self.b, strict=True))
        offsets = (ux * (y - self.a[1]) - uy * (x - self.a[0]) for x, y in (other.a, other.b))
        return all(abs(offset) <= tolerance for offset in offsets)

    def moment(self, origin: Pair) -> float:
        ax, ay, bx, by = (
            end - base for ends in (self.a, self.b) for end, base in zip(ends, origin, strict=True)
        )
        return (ax * by - bx * ay) / 2

    def sides(self, first: float, last: float) -> list[Side]:
        if first == last:
            return []
        # Start from the lower end: with another base, rounding on a nearly horizontal line could
        # give an x outside the range of the two ends.
        base = (self.a[0], first) if first < last else (self.b[0], last)
        slope = (self.b[0] - self.a[0]) / (last - first)
        return [Side.between(first, last, middle=base, slope=slope)]

    def _point(self, t: float) -> Pair:
        if t in (0.0, 1.0):
            return self.b if t else self.a
        (ax, ay), (bx, by) = self.a, self.b
        return ax + t * (bx - ax), ay + t * (by - ay)


def left_of(a: Pair, b: Pair, coords: Coords) -> Column:
    """Return the signed distance (n, 1) from the line through a and b, > 0 on its left."""
    (ax, ay), (bx, by) = a, b
    length = math.dist(a, b)
    x, y = coords.split(1, dim=1)
    return (x - ax) * ((ay - by) / length) + (y - ay) * ((bx - ax) / length)
