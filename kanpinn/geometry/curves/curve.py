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
from kanpinn.geometry.boundary import Piece
from kanpinn.geometry.curves.sides import Side
from kanpinn.geometry.points import Points, check_names
from kanpinn.geometry.region import Mapped
from kanpinn.geometry.rules import check_unit, cube_rim, gauss_legendre

Pair = tuple[float | int, float | int]
XY = ("x", "y")


class Curve(Mapped, Piece):
    """A smooth curve γ(t), 0 ≤ t ≤ 1, with the domain on its left: its normals point right."""

    @property
    def dim(self) -> int:
        return 1

    @property
    @abstractmethod
    def start(self) -> Pair:
        """γ(0)."""

    @property
    @abstractmethod
    def stop(self) -> Pair:
        """γ(1)."""

    @property
    @abstractmethod
    def bounds(self) -> tuple[Pair, Pair]:
        """The lowest and the highest corner of the smallest box around the curve."""

    @abstractmethod
    def at(self, t: Weights) -> Coords:
        """γ(t), (n, 2)."""

    @abstractmethod
    def velocity(self, t: Weights) -> Coords:
        """γ'(t), (n, 2)."""

    @abstractmethod
    def even(self, unit: Weights) -> Weights:
        """The parameters t (n,) at these shares (n,) of the curve's length."""

    @abstractmethod
    def cuts(self) -> list[float]:
        """Parameters from 0 to 1: between neighbouring ones a Gauss rule in t converges fast."""

    @abstractmethod
    def nearest(self, coords: Coords) -> Coords:
        """The closest points of the curve, (n, 2), twice differentiable in the coordinates."""

    @abstractmethod
    def near(self, coords: Coords, within: float) -> Tensor:
        """A mask (n,) that is true for all points within this distance, and for few others."""

    @abstractmethod
    def locate(self, point: Pair, tolerance: float) -> float | None:
        """The parameter t of a point; None where it is further away than the tolerance."""

    @abstractmethod
    def part(self, first: float, last: float) -> "Curve":
        """The part from t = first to t = last; it runs backwards where first > last."""

    @abstractmethod
    def named(self, name: str) -> "Curve":
        """The same curve under another name."""

    @property
    def straight(self) -> bool:
        """Whether it is a part of a line."""
        return False

    def same_carrier(self, other: "Curve", tolerance: float) -> bool:
        """Whether both are parts of one line or one ellipse."""
        return type(self) is type(other) and self.lies_on(other, tolerance)

    @abstractmethod
    def lies_on(self, other: Any, tolerance: float) -> bool:
        """Whether the line or ellipse of another curve of the same kind is this one's."""

    @abstractmethod
    def joined(self, other: Any) -> "Curve | None":
        """Both as one curve, where the other one goes on from this one along the same carrier.

        None where they run in opposite directions, or the ellipse is given by other axes.
        """

    @abstractmethod
    def extent(self, coords: Coords) -> Column | None:
        """A function (n, 1) that tells the curve from the rest of its line or ellipse.

        There it is > 0 on the curve and < 0 beyond its ends. None for a closed curve.
        """

    @abstractmethod
    def moment(self, origin: Pair) -> float:
        """½ ∫ (x dy - y dx) about an origin; summed over a boundary it is the area enclosed."""

    @abstractmethod
    def sides(self, first: float, last: float) -> list[Side]:
        """The parts of the curve that go up or down.

        Args:
            first: the height of the curve's start.
            last: the height of its end.
        """

    @property
    def rim(self) -> Points:
        closed = self.start == self.stop
        return super().rim if closed else self.from_unit(cube_rim(1))

    def from_unit(self, unit: Coords) -> Points:
        check_unit(unit, self.dim)
        return self._points(self.even(unit[:, 0]))

    def quadrature(self, nodes: int) -> tuple[Points, Weights]:
        unit, weights = gauss_legendre(nodes)
        ends = torch.tensor(self.cuts(), dtype=torch.float64)
        t = (ends[:-1, None] + ends.diff()[:, None] * unit).flatten()
        speed = self.velocity(t).norm(dim=1)
        return self._points(t), (ends.diff()[:, None] * weights).flatten() * speed

    def _points(self, t: Weights) -> Points:
        along = self.velocity(t)
        across = torch.stack([along[:, 1], -along[:, 0]], dim=1)
        return Points(self.at(t), self.names, across / along.norm(dim=1, keepdim=True))


def pair(name: str, value: Any) -> Pair:
    """The value as two finite floats.

    Raises:
        InputError: naming the argument, where it is anything else.
    """
    try:
        numbers = tuple(value)
    except TypeError:
        numbers = ()
    if len(numbers) != 2 or not all(isinstance(v, Real) and math.isfinite(v) for v in numbers):
        raise InputError(f"{name} must be two finite numbers, got {value!r}")
    return float(numbers[0]), float(numbers[1])


def two_names(names: Sequence[str]) -> tuple[str, ...]:
    """The names of two coordinates as a tuple.

    Raises:
        InputError: unless they are two usable names.
    """
    names = tuple(names)
    check_names(names)
    if len(names) != 2:
        raise InputError(f"a planar domain must have two coordinates, got names {names}")
    return names
