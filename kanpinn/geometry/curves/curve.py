"""Smooth oriented curves in the plane, the pieces that bound planar domains."""

import math
from abc import abstractmethod
from collections.abc import Sequence
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn._support.shapes import Column, Coords, Weights
from kanpinn.geometry.boundary import MappedPiece
from kanpinn.geometry.curves.sides import Side
from kanpinn.geometry.points import Points, check_names
from kanpinn.geometry.rules import cube_rim, gauss_legendre

Pair = tuple[float | int, float | int]
XY = ("x", "y")


class Curve(MappedPiece):
    """A smooth curve γ(t), 0 ≤ t ≤ 1, with the domain on its left and normals to the right."""

    @property
    def dim(self) -> int:
        return 1

    @property
    @abstractmethod
    def start(self) -> Pair:
        """The first point γ(0)."""

    @property
    @abstractmethod
    def stop(self) -> Pair:
        """The last point γ(1)."""

    @property
    @abstractmethod
    def bounds(self) -> tuple[Pair, Pair]:
        """The lower left and the upper right corner of the curve's bounding box."""

    @abstractmethod
    def at(self, t: Weights) -> Coords:
        """Return the points γ(t), (n, 2), at parameters t, (n,)."""

    @abstractmethod
    def velocity(self, t: Weights) -> Coords:
        """Return the derivatives γ'(t), (n, 2), at parameters t, (n,)."""

    @abstractmethod
    def even(self, unit: Weights) -> Weights:
        """Return the parameters t (n,) at shares (n,) of the arc length, from 0 to 1."""

    @abstractmethod
    def cuts(self) -> list[float]:
        """Return parameters from 0 to 1 that divide the curve so that Gauss rules converge fast."""

    @abstractmethod
    def nearest(self, coords: Coords) -> Coords:
        """Return the closest points (n, 2) on the curve, twice differentiable in `coords`."""

    @abstractmethod
    def near(self, coords: Coords, within: float) -> Tensor:
        """Return a mask (n,) that is True for all points within this distance and few others."""

    @abstractmethod
    def locate(self, point: Pair, tolerance: float) -> float | None:
        """Return the parameter t of a point, or None if the curve is not within the tolerance."""

    @abstractmethod
    def part(self, first: float, last: float) -> "Curve":
        """Return the part from t = first to t = last, in reverse direction if first > last."""

    @abstractmethod
    def named(self, name: str) -> "Curve":
        """Return the same curve under another name."""

    @property
    def straight(self) -> bool:
        """True if the curve is a line segment."""
        return False

    def same_carrier(self, other: "Curve", tolerance: float) -> bool:
        """Return True if both curves are parts of one line or one ellipse."""
        return type(self) is type(other) and self.lies_on(other, tolerance)

    @abstractmethod
    def lies_on(self, other: Any, tolerance: float) -> bool:
        """Return True if another curve of the same type lies on the same line or ellipse."""

    @abstractmethod
    def joined(self, other: Any) -> "Curve | None":
        """Return both curves as one; the other one continues this one on the same line or ellipse.

        None if they run in opposite directions or the ellipse is given by other axes.
        """

    @abstractmethod
    def extent(self, coords: Coords) -> Column | None:
        """Return values (n, 1) that distinguish the curve from the rest of its line or ellipse.

        On the line or ellipse they are > 0 on the curve and < 0 beyond its ends. None for a closed
        curve.
        """

    @abstractmethod
    def moment(self, origin: Pair) -> float:
        """Return ½ ∫ (x dy - y dx) about an origin; the sum over a boundary is the area inside."""

    @abstractmethod
    def sides(self, first: float, last: float) -> list[Side]:
        """Return the monotone parts of the curve as graphs x(y), without horizontal parts.

        Args:
            first: the height y of the curve's start.
            last: the height y of its end.
        """

    @property
    def rim(self) -> Points:
        closed = self.start == self.stop
        return super().rim if closed else self.image(cube_rim(1))

    def image(self, unit: Coords) -> Points:
        return self.points_at(self.even(unit[:, 0]))

    def quadrature(self, nodes: int) -> tuple[Points, Weights]:
        unit, weights = gauss_legendre(nodes)
        ends = torch.tensor(self.cuts(), dtype=torch.float64)
        t = (ends[:-1, None] + ends.diff()[:, None] * unit).flatten()
        speed = self.velocity(t).norm(dim=1)
        return self.points_at(t), (ends.diff()[:, None] * weights).flatten() * speed

    def points_at(self, t: Weights) -> Points:
        """Return the points γ(t) at parameters t (n,), with normals."""
        along = self.velocity(t)
        across = torch.stack([along[:, 1], -along[:, 0]], dim=1)
        return Points(self.at(t), self.names, across / along.norm(dim=1, keepdim=True))


def pair(name: str, value: Any) -> Pair:
    """Return the value of the argument `name` as two finite floats.

    Raises:
        InputError: if the value is not a pair of finite numbers.
    """
    try:
        numbers = tuple(value)
    except TypeError:
        numbers = ()
    if len(numbers) != 2 or not all(isinstance(v, Real) and math.isfinite(v) for v in numbers):
        raise InputError(f"{name} must be two finite numbers, got {value!r}")
    return float(numbers[0]), float(numbers[1])


def two_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of two coordinates as a tuple.

    Raises:
        InputError: unless they are two valid names, see `check_names`.
    """
    names = tuple(names)
    check_names(names)
    if len(names) != 2:
        raise InputError(f"a planar domain must have two coordinates, got names {names}")
    return names
