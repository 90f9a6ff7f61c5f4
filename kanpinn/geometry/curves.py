"""Curves that bound planar domains: segments, arcs of ellipses, and their crossings."""

import itertools
import math
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from numbers import Real
from typing import Any, cast

import numpy as np
import torch
from scipy.special import ellipeinc
from torch import Tensor

from kanpinn._support.errors import InputError, number
from kanpinn._support.shapes import Column, Coords, Weights
from kanpinn.geometry.domain import MappedPiece
from kanpinn.geometry.points import Points, check_names
from kanpinn.geometry.rules import cube_rim, gauss_legendre

Pair = tuple[float | int, float | int]


@dataclass(frozen=True)
class Side:
    """A part of a curve as a graph x(y) = cx + p (y - cy) + q sqrt(A² - (y - cy)²), low ≤ y ≤ high.

    For q = 0 the graph is a line segment. For q ≠ 0 it is a part of the left or the right half of
    an ellipse. The lowest and the highest point of the ellipse are at y = cy ± A, where x(y) has
    square-root singularities. A side is a left or right limit of a region for integrals along x.
    """

    low: float
    high: float
    up: bool  # True if the curve runs towards larger y
    cx: float
    cy: float
    p: float
    q: float = 0.0
    A: float = 0.0

    @classmethod
    def between(
        cls, first: float, last: float, middle: Pair, slope: float, q: float = 0.0, A: float = 0.0
    ) -> "Side":
        """Return the side between two heights y.

        Args:
            first: the height at which the curve starts.
            last: the height at which the curve ends.
            middle: the parameters (cx, cy) of the graph.
            slope: the parameter p of the graph.
            q, A: the other parameters of the graph.
        """
        low, high = min(first, last), max(first, last)
        return cls(low, high, last > first, *middle, slope, q, A)

    def x(self, y: Weights) -> Weights:
        """Return the abscissas x (n,) at heights y (n,)."""
        return abscissa(y, self.cx, self.cy, self.p, self.q, self.A)

    def integral(self, low: float, high: float) -> float:
        """Return ∫ x dy from the height `low` to the height `high`, in closed form."""
        round_part = 0.0
        for sign, y in ((-1, low), (1, high)):
            h = min(max(y - self.cy, -self.A), self.A)
            root = math.sqrt((self.A - h) * (self.A + h))
            # atan2 is accurate near the top; asin(h / A) would lose half the digits there.
            round_part += sign * (h * root + self.A**2 * math.atan2(h, root))
        middle = (low + high) / 2 - self.cy
        return (high - low) * (self.cx + self.p * middle) + self.q / 2 * round_part

    @property
    def conic(self) -> tuple[float, ...]:
        """The parameters that are the same for the left and the right half of an ellipse."""
        return self.cx, self.cy, self.p, abs(self.q), self.A

    @property
    def branches(self) -> tuple[float, float]:
        """The heights cy ± A at which the graph x(y) is singular; -∞ and ∞ for a line."""
        return (self.cy - self.A, self.cy + self.A) if self.q else (-math.inf, math.inf)


def abscissa(
    y: Tensor,
    cx: Tensor | float,
    cy: Tensor | float,
    p: Tensor | float,
    q: Tensor | float,
    A: Tensor | float,
) -> Tensor:
    """Return x(y) = cx + p (y - cy) + q sqrt(A² - (y - cy)²); tensors are broadcast."""
    h = y - cy
    # Because of rounding a height may be just beyond the top of the ellipse.
    return cx + p * h + q * ((A - h) * (A + h)).clamp(min=0).sqrt()


XY = ("x", "y")


class Curve(MappedPiece):
    """A smooth curve γ(t), 0 ≤ t ≤ 1; the domain is on its left, and normals point to the right."""

    dim = 1

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
        """Return parameters t, (n,), such that given fractions of the arc length are before γ(t).

        Args:
            unit: the fractions, (n,).
        """

    @abstractmethod
    def cuts(self) -> list[float]:
        """Return parameters t, from 0 to 1, between which Gauss rules converge fast."""

    @abstractmethod
    def nearest(self, coords: Coords) -> Coords:
        """Return for each of the points (n, 2) the closest point on the curve, (n, 2)."""

    @abstractmethod
    def near(self, coords: Coords, within: float) -> Tensor:
        """Return a mask (n,) that is True for all points within a distance of the curve.

        The mask may be True also for some points farther away.

        Args:
            coords: points (n, 2).
            within: the distance.
        """

    @abstractmethod
    def locate(self, point: Pair, tolerance: float) -> float | None:
        """Return the parameter t of a point on the curve, None for a point off the curve.

        Args:
            point: the point.
            tolerance: the distance from the curve within which a point counts as on the curve.
        """

    @abstractmethod
    def part(self, first: float, last: float) -> "Curve":
        """Return the part from t = first to t = last, in reverse direction if first > last."""

    def named(self, name: str) -> "Curve":
        """Return a copy of this curve with another name."""
        renamed: Curve = replace(cast(Any, self), name=name)
        return renamed

    @abstractmethod
    def same_carrier(self, other: "Curve", tolerance: float) -> bool:
        """Return whether this curve and another one are parts of one line or of one ellipse.

        Args:
            other: the other curve.
            tolerance: the distance within which curves count as on one line or ellipse.
        """

    @abstractmethod
    def joined(self, other: Any) -> "Curve | None":
        """Return one curve that consists of this curve and a curve that continues it.

        The result is None if the curves run in opposite directions, or if their ellipse is given by
        different axes or angles.

        Args:
            other: a curve that starts where this curve stops, on the same line or ellipse.
        """

    @abstractmethod
    def extent(self, coords: Coords) -> Column | None:
        """Return values (n, 1) at points (n, 2) that separate the curve from its line or ellipse.

        At points of the line or ellipse, the values are > 0 on the curve and < 0 beyond its ends.
        None for a closed curve.
        """

    @abstractmethod
    def moment(self, origin: Pair) -> float:
        """Return ½ ∫ (x dy - y dx) along the curve, with x and y relative to an origin.

        The sum over all curves of a boundary is the area of the domain.
        """

    @abstractmethod
    def sides(self, first: float, last: float) -> list[Side]:
        """Return the monotone parts of the curve as graphs x(y), without horizontal parts.

        The heights of the ends are arguments, so that adjacent curves meet at exactly equal
        heights.

        Args:
            first: the height y of the curve's start.
            last: the height y of the curve's end.
        """

    @property
    def rim(self) -> Points:
        closed = self.start == self.stop
        return super().rim if closed else self.image(cube_rim(1))

    def image(self, unit: Coords) -> Points:
        return self.points_at(self.even(unit[:, 0]))

    def quadrature(self, nodes: int) -> tuple[Points, Weights]:
        ends = torch.tensor(self.cuts(), dtype=torch.float64)
        points, weights = self.gauss_on_parts(ends[:-1], ends[1:], nodes)
        return points, weights.flatten()

    def gauss_on_parts(self, first: Tensor, last: Tensor, nodes: int) -> tuple[Points, Tensor]:
        """Return Gauss rules on k parts of the curve.

        Args:
            first, last: the parameters t at the two ends of each part, (k,) each.
            nodes: the number of points on each part.

        Returns:
            k·nodes points, part by part, and their weights, (k, nodes).
        """
        unit, weights = gauss_legendre(nodes)
        size = (last - first)[:, None]
        t = (first[:, None] + size * unit).flatten()
        speed = self.velocity(t).norm(dim=1).view(-1, nodes)
        return self.points_at(t), size * weights * speed

    def points_at(self, t: Weights) -> Points:
        """Return the points γ(t) at parameters t (n,), with normals."""
        along = self.velocity(t)
        across = torch.stack([along[:, 1], -along[:, 0]], dim=1)
        return Points(self.at(t), self.names, across / along.norm(dim=1, keepdim=True))


def pair(name: str, value: Any) -> Pair:
    """Return a value as two finite floats.

    Args:
        name: the name of the value in error messages.
        value: the value.

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
        InputError: unless there are two valid names, see `check_names`.
    """
    names = tuple(names)
    check_names(names)
    if len(names) != 2:
        raise InputError(f"a planar domain must have two coordinates, got names {names}")
    return names


@dataclass(frozen=True)
class Segment(Curve):
    """The line segment from a to b.

    Args:
        a, b: the two ends, two numbers each.
        name: the name of the boundary piece.
        names: the names of the two coordinates.

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
    start: Pair = field(default=(0, 0), init=False, repr=False, compare=False)
    stop: Pair = field(default=(0, 0), init=False, repr=False, compare=False)
    measure: float = field(default=0.0, init=False, repr=False, compare=False)
    bounds: tuple[Pair, Pair] = field(default=((0, 0),) * 2, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        a, b = pair("a", self.a), pair("b", self.b)
        if a == b:
            raise InputError(f"a segment must have two different ends, got {a} twice")
        vars(self).update(a=a, b=b, start=a, stop=b, names=two_names(self.names))
        low, high = ((pick(a[0], b[0]), pick(a[1], b[1])) for pick in (min, max))
        vars(self).update(measure=math.dist(a, b), bounds=(low, high))

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

    def extent(self, coords: Coords) -> Column:
        middle = (coords.new_tensor(self.a) + coords.new_tensor(self.b)) / 2
        from_middle = (coords - middle).square().sum(dim=1, keepdim=True)
        return ((self.measure / 2) ** 2 - from_middle) / self.measure

    def joined(self, other: "Segment") -> "Segment":
        return replace(self, b=other.b)

    def same_carrier(self, other: Curve, tolerance: float) -> bool:
        if not isinstance(other, Segment):
            return False
        ux, uy = ((q - p) / self.measure for p, q in zip(self.a, self.b, strict=True))
        offsets = (ux * (y - self.a[1]) - uy * (x - self.a[0]) for x, y in (other.a, other.b))
        return all(abs(offset) <= tolerance for offset in offsets)

    def moment(self, origin: Pair) -> float:
        (ax, ay), (bx, by) = ((x - origin[0], y - origin[1]) for x, y in (self.a, self.b))
        return (ax * by - bx * ay) / 2

    def sides(self, first: float, last: float) -> list[Side]:
        if first == last:
            return []
        # The graph starts from the lower end: from another point, rounding on a nearly horizontal
        # line could give an x outside the range of the two ends.
        base = (self.a[0], first) if first < last else (self.b[0], last)
        slope = (self.b[0] - self.a[0]) / (last - first)
        return [Side.between(first, last, middle=base, slope=slope)]

    def _point(self, t: float) -> Pair:
        """The point γ(t); the ends are exact."""
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


TURN = 2 * math.pi  # a full turn in radians


@dataclass(frozen=True)
class Arc(Curve):
    """An arc of an ellipse, c + R(angle) (a cos θ, b sin θ) for θ from `first` to `last`.

    It runs clockwise if last < first.

    Args:
        center: the centre c.
        axes: the semi-axes (a, b), equal for a circle.
        angle: the counter-clockwise rotation angle of the ellipse, in radians.
        first, last: the eccentric angles θ of the two ends in radians, at most 2π apart. On a
            circle with angle = 0 they are the polar angles about c.
        name: the name of the boundary piece.
        names: the names of the two coordinates.

    Raises:
        InputError: if a number is not finite, a semi-axis is ≤ 0, or the arc spans an angle of 0 or
            of more than 2π.

    Example:
        >>> import math
        >>> import kanpinn as kp
        >>> half = kp.Arc((0, 0), (1, 1), last=math.pi, name="dome")
        >>> domain = kp.Planar((half, kp.Segment((-1, 0), (1, 0), name="floor")))
        >>> f"{domain.measure:.4f}", domain.boundary.names
        ('1.5708', ('dome', 'floor'))
    """

    center: Pair
    axes: Pair
    angle: float | int = 0.0
    first: float | int = 0.0
    last: float | int = TURN
    name: str = "arc"
    names: tuple[str, ...] = XY

    def __post_init__(self) -> None:
        center, axes = pair("center", self.center), pair("axes", self.axes)
        vars(self).update(center=center, axes=axes, names=two_names(self.names))
        for key in ("angle", "first", "last"):
            number(key, getattr(self, key), -math.inf)
            vars(self)[key] = float(getattr(self, key))
        if min(self.axes) <= 0:
            raise InputError(f"axes must be positive, got {self.axes}")
        if not 0 < abs(self.sweep) <= TURN * (1 + 1e-14):
            given = f"{self.first} to {self.last}"
            raise InputError(f"an arc must span more than 0 and at most 2π, got {given}")

    @property
    def frame(self) -> np.ndarray:
        """The matrix (2, 2) with the rows u and v of the ellipse c + u cos θ + v sin θ."""
        c, s = math.cos(self.angle), math.sin(self.angle)
        a, b = self.axes
        return np.array([[a * c, a * s], [-b * s, b * c]])

    @property
    def to_local(self) -> np.ndarray:
        """The matrix A, (2, 2), of the local coordinates (ξ, η) = A (x - c), see `local`."""
        return self.frame / np.square(self.axes)[:, None]

    @property
    def sweep(self) -> float:
        """The angle last - first in radians; it is < 0 for a clockwise arc."""
        return self.last - self.first

    @property
    def closed(self) -> bool:
        """True if the arc is a whole ellipse."""
        return abs(self.sweep) > TURN - 1e-12

    @property
    def start(self) -> Pair:
        return self.point(self.first)

    @property
    def stop(self) -> Pair:
        return self.start if self.closed else self.point(self.last)

    @property
    def measure(self) -> float:
        return abs(float(np.diff(self._lengths(np.array([self.first, self.last])))[0]))

    @property
    def bounds(self) -> tuple[Pair, Pair]:
        turning = [a for axis in (0, 1) for a in self._extremes(axis)]
        corners = np.array([self.start, self.stop, *(self.point(a) for a in turning)])
        (lx, ly), (hx, hy) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
        return (lx, ly), (hx, hy)

    @property
    def level(self) -> Callable[[Coords], Column]:
        return self._level

    def _level(self, coords: Coords) -> Column:
        """Return the level function at points (n, 2), as (n, 1).

        The function is 0 on the ellipse, where its gradient has length 1, and > 0 inside.

        For a circle of radius r the function is (r² - ρ²) / 2r at the distance ρ from the centre.
        For an ellipse, with q = ξ² + η² in the coordinates of `local`, the function is to first
        order (1 - q) / |∇q|.
        """
        local = self.local(coords)
        a, b = self.axes
        value = 1 - local.square().sum(dim=1, keepdim=True)
        if a == b:
            return value * (a / 2)
        slope = 2 * local / local.new_tensor([a, b])
        steepness = slope.square().sum(dim=1, keepdim=True) + value.square() / (a * b)
        return value / steepness.sqrt()

    def point(self, theta: float) -> tuple[float, float]:
        """Return the point of the ellipse at an eccentric angle θ in radians."""
        # cos and sin of quarter turns are set to 0 exactly, so that segments between such points
        # are exactly axis-parallel.
        wheel = [0.0 if abs(v) < 1e-15 else v for v in (math.cos(theta), math.sin(theta))]
        x, y = np.array(self.center) + wheel @ self.frame
        return float(x), float(y)

    def local(self, coords: Coords) -> Coords:
        """Return the local coordinates (ξ, η), (n, 2), of points (n, 2).

        In local coordinates the ellipse is the unit circle.
        """
        return (coords - coords.new_tensor(self.center)) @ coords.new_tensor(self.to_local.T)

    def local_point(self, point: tuple[float, float]) -> np.ndarray:
        """Return the local coordinates (ξ, η), (2,), of one point."""
        return self.to_local @ (np.array(point) - self.center)

    def _at_angles(self, theta: Weights) -> Coords:
        """The points of the ellipse at eccentric angles θ (n,), (n, 2)."""
        wheel = torch.stack([theta.cos(), theta.sin()], dim=1)
        return theta.new_tensor(self.center) + wheel @ theta.new_tensor(self.frame)

    def at(self, t: Weights) -> Coords:
        return self._at_angles(self.first + self.sweep * t)

    def velocity(self, t: Weights) -> Coords:
        theta = self.first + self.sweep * t
        wheel = torch.stack([-theta.sin(), theta.cos()], dim=1)
        return self.sweep * (wheel @ theta.new_tensor(self.frame))

    def _lengths(self, theta: np.ndarray) -> np.ndarray:
        """Return the arc lengths (n,) from a fixed point to the angles θ (n,)."""
        a, b = self.axes
        if a <= b:
            return b * ellipeinc(theta, 1 - (a / b) ** 2)
        return a * ellipeinc(theta + math.pi / 2, 1 - (b / a) ** 2)

    def even(self, unit: Weights) -> Weights:
        a, b = self.axes
        if a == b:
            return unit
        ends = self._lengths(np.array([self.first, self.last]))
        length = ends[0] + (ends[1] - ends[0]) * unit.detach().cpu().double().numpy()
        # Newton's method in brackets inverts the arc length.
        guesses, steps = 129, 60  # only very thin ellipses need more than a few steps
        low, high = sorted((self.first, self.last))
        grid = np.linspace(low, high, guesses)
        known = self._lengths(grid)
        theta = np.interp(length, known, grid)
        cell = np.clip(np.searchsorted(known, length), 1, guesses - 1)
        for _ in range(steps):
            speed = np.hypot(a * np.sin(theta), b * np.cos(theta))
            step = (self._lengths(theta) - length) / speed
            theta = np.clip(theta - step, grid[cell - 1], grid[cell])
            if np.abs(step).max(initial=0) < 1e-15 * (1 + np.abs(grid).max()):
                break
        return unit.new_tensor((theta - self.first) / self.sweep)

    def cuts(self) -> list[float]:
        """Return parameters t that divide the arc into intervals for Gauss rules, see `Curve.cuts`.

        The intervals are graded towards the ends of the long axis. As a function of a complex θ,
        |γ'| has branch points at the imaginary distance artanh(b / a) from these ends, where a is
        the long and b the short semi-axis; near them |γ'| varies fast.
        """
        (a, b), (low, high) = self.axes, sorted((self.first, self.last))
        sharp = 0.0 if a >= b else math.pi / 2
        steps = [0.0, math.pi / 2]
        width = math.inf if a == b else 2 * math.atanh(min(a, b) / max(a, b))
        while width < math.pi / 3:
            steps.append(width)
            width *= 3
        offsets = {sign * step for step in steps for sign in (-1, 1)}
        turns = range(math.floor((low - sharp) / math.pi), math.ceil((high - sharp) / math.pi) + 1)
        near = sorted(sharp + k * math.pi + offset for k in turns for offset in offsets)
        # The angle halfway between two ends of the long axis is found twice, from either end.
        apart = [x for i, x in enumerate(near) if i == 0 or x - near[i - 1] > 1e-9]
        inner = [x for x in apart if low + 1e-6 < x < high - 1e-6]
        return sorted([0.0, 1.0, *((x - self.first) / self.sweep for x in inner)])

    def nearest(self, coords: Coords) -> Coords:
        low, high = sorted((self.first, self.last))
        frame = self.frame / np.array(self.axes)[:, None]
        xy = (coords - coords.new_tensor(self.center)) @ coords.new_tensor(frame.T)
        if self.axes[0] == self.axes[1]:
            # All points of a circle are equally close to its centre; take θ = 0.
            away = torch.where((xy == 0).all(dim=1, keepdim=True), xy.new_tensor([1.0, 0.0]), xy)
            theta = torch.atan2(away[:, 1], away[:, 0])
        else:
            theta = self._foot(xy, low, high)
        if not self.closed:
            turned, ends = low + (theta - low) % TURN, coords.new_tensor([low, high])
            closer = torch.cdist(coords, self._at_angles(ends)).argmin(dim=1)
            theta = torch.where(turned <= high, turned, ends[closer])
        return self._at_angles(theta)

    def _foot(self, xy: Coords, low: float, high: float) -> Weights:
        """Return the angles θ (n,) at which (a cos θ, b sin θ) is closest to points (n, 2)."""
        guesses, (a, b), (x, y) = 129, self.axes, xy.T
        grid = torch.linspace(low, high, guesses, dtype=xy.dtype, device=xy.device)
        trail = torch.stack([grid.cos(), grid.sin()], dim=1) * xy.new_tensor(self.axes)
        theta = grid[torch.cdist(xy, trail).argmin(dim=1)]
        step = (high - low) / (guesses - 1)
        lower, upper = theta - step, theta + step
        if not self.closed:
            lower, upper = lower.clamp(min=low), upper.clamp(max=high)
        for _ in range(60):  # only very thin ellipses need more than a few steps
            # The first and second derivatives of half the squared distance with respect to θ.
            c, s = theta.cos(), theta.sin()
            slope = (b * b - a * a) * s * c + a * x * s - b * y * c
            bend = (b * b - a * a) * (c * c - s * s) + a * x * c + b * y * s
            lower = torch.where(slope <= 0, theta, lower)
            upper = torch.where(slope >= 0, theta, upper)
            newton = theta - slope / torch.where(bend > 0, bend, torch.ones_like(bend))
            good = (bend > 0) & (newton >= lower) & (newton <= upper)
            before, theta = theta, torch.where(good, newton, (lower + upper) / 2)
            if (theta - before).abs().max() <= 4 * torch.finfo(theta.dtype).eps:
                break
        return theta

    def near(self, coords: Coords, within: float) -> Tensor:
        # The norm of the local coordinates changes by at most distance / min(axes).
        radius = self.local(coords).norm(dim=1)
        return (radius - 1).abs() * min(self.axes) <= within * (1 + 1e-6)

    def locate(self, point: Pair, tolerance: float) -> float | None:
        xi, eta = self.local_point(point)
        angle = math.atan2(eta, xi)
        reach = tolerance * max(self.axes) / min(self.axes)
        if math.dist(self.point(angle), point) > reach:
            return None
        span, slack = abs(self.sweep), reach / min(self.axes)
        along = math.copysign(1, self.sweep) * (angle - self.first) % TURN
        if along > TURN - slack:
            return 0.0
        return min(along / span, 1.0) if along <= span + slack else None

    def part(self, first: float, last: float) -> "Arc":
        start, stop = (self.first + self.sweep * share for share in (first, last))
        return replace(self, first=start, last=stop)

    def same_carrier(self, other: Curve, tolerance: float) -> bool:
        if not isinstance(other, Arc) or math.dist(self.center, other.center) > tolerance:
            return False
        # u uᵀ + v vᵀ determines the shape and does not depend on the parametrization.
        gap = self.frame.T @ self.frame - other.frame.T @ other.frame
        return bool(np.abs(gap).max() <= 2 * tolerance * max(self.axes))

    def joined(self, other: "Arc") -> "Arc | None":
        # If the other arc gives the same ellipse by other axes, its angles have another origin.
        same = self.angle == other.angle and np.allclose(self.axes, other.axes, 1e-9, 0.0)
        if not same or self.sweep * other.sweep < 0:
            return None
        sweep = self.sweep + other.sweep
        sweep = math.copysign(TURN, sweep) if abs(sweep) > TURN - 1e-9 else sweep
        return replace(self, last=self.first + sweep)

    def extent(self, coords: Coords) -> Column | None:
        if self.closed:
            return None
        # A counter-clockwise arc lies on the right of its chord from start to stop.
        start, stop = (self.stop, self.start) if self.sweep > 0 else (self.start, self.stop)
        return left_of(start, stop, coords)

    def moment(self, origin: Pair) -> float:
        (x0, y0), (x1, y1) = self.start, self.stop
        cx, cy = self.center[0] - origin[0], self.center[1] - origin[1]
        return (math.prod(self.axes) * self.sweep + cx * (y1 - y0) - cy * (x1 - x0)) / 2

    def sides(self, first: float, last: float) -> list[Side]:
        turning, (u, v) = self._extremes(1), self.frame[:, 1]
        tops = [math.copysign(math.hypot(u, v), math.cos(a - math.atan2(v, u))) for a in turning]
        angles = [self.first, *turning, self.last]
        heights = [first, *(self.center[1] + top for top in tops), last]
        both = zip(itertools.pairwise(heights), itertools.pairwise(angles), strict=True)
        parts = ((ends, (low + high) / 2) for ends, (low, high) in both if ends[0] != ends[1])
        sides = [self._side(*ends, self.point(middle)) for ends, middle in parts]
        if self.closed and len(sides) > 1 and sides[0].up == sides[-1].up:
            # The common start and end of a whole ellipse does not divide a side.
            low, high = min(sides[0].low, sides[-1].low), max(sides[0].high, sides[-1].high)
            return [replace(sides[0], low=low, high=high), *sides[1:-1]]
        return sides

    def _side(self, first: float, last: float, through: tuple[float, float]) -> Side:
        """Return the graph x(y) between two heights on the left or right half of the ellipse.

        Args:
            first: the height at which the curve starts.
            last: the height at which the curve ends.
            through: a point on the left or right half that is meant.
        """
        (ux, uy), (vx, vy) = self.frame.tolist()
        A2 = uy**2 + vy**2
        slope = (ux * uy + vx * vy) / A2
        across = through[0] - self.center[0] - slope * (through[1] - self.center[1])
        q = math.copysign(math.prod(self.axes) / A2, across)
        return Side.between(first, last, self.center, slope, q, math.sqrt(A2))

    def _extremes(self, axis: int) -> list[float]:
        """Return the angles θ inside the arc at which x (axis 0) or y (axis 1) is extreme.

        The angles are in the direction of the arc.
        """
        low, high = sorted((self.first, self.last))
        u, v = self.frame[:, axis]
        base = math.atan2(v, u)  # the angle at which the coordinate is largest
        steps = range(math.ceil((low - base) / math.pi), math.floor((high - base) / math.pi) + 1)
        angles = [base + k * math.pi for k in steps]
        zero = 1e-12  # angles closer than this count as equal
        inner = [a for a in angles if low + zero < a < high - zero]
        return inner if self.sweep > 0 else inner[::-1]


def crossings(a: Curve, b: Curve, tolerance: float) -> list[Pair]:
    """Return the points where two curves cross or touch.

    An end of one curve that lies on the other curve is such a point. Of overlapping curves, the two
    ends of the overlap are returned. Where curves approach each other within the tolerance without
    crossing, one point is returned.

    Args:
        a: the first curve.
        b: the second curve.
        tolerance: points closer than a few times this distance count as one.
    """
    lines = [curve for curve in (a, b) if isinstance(curve, Segment)]
    arcs = [curve for curve in (a, b) if isinstance(curve, Arc)]
    if len(lines) == 2:
        met = _lines(lines[0], lines[1], tolerance)
    else:
        met = _line_and_conic(lines[0], arcs[0], tolerance) if lines else _conics(arcs, tolerance)
    found = [a.start, a.stop, b.start, b.stop, *met]
    on = [p for p in found if all(c.locate(p, 2 * tolerance) is not None for c in (a, b))]
    apart: list[Pair] = []
    for point in on:
        if all(math.dist(point, other) > 4 * tolerance for other in apart):
            apart.append(point)
    return apart


def meeting(
    first: Sequence[Curve], second: Sequence[Curve], tolerance: float
) -> list[tuple[int, int]]:
    """Return the pairs (i, j) for which the bounding boxes of first[i] and second[j] intersect.

    Boxes intersect if they are at most `tolerance` apart along each axis.

    Args:
        first: the curves numbered by i.
        second: the curves numbered by j.
        tolerance: the largest distance along an axis.
    """
    bounds = (np.array([curve.bounds for curve in curves]) for curves in (first, second))
    (low, high), (low_2, high_2) = (corners.swapaxes(0, 1) for corners in bounds)
    apart = (low[:, None] > high_2 + tolerance) | (low_2 > high[:, None] + tolerance)
    return [(int(i), int(j)) for i, j in np.argwhere(~apart.any(axis=2))]


def common_points(
    first: Sequence[Curve], second: Sequence[Curve], tolerance: float
) -> tuple[list[list[Pair]], list[list[Pair]]]:
    """Return for each curve of two lists its `crossings` with all curves of the other list.

    Returns:
        Two lists, which have a list of points for each curve of `first` and for each curve of
        `second`. A point is repeated if several curves meet in it.
    """
    of_first: list[list[Pair]] = [[] for _ in first]
    of_second: list[list[Pair]] = [[] for _ in second]
    for i, j in meeting(first, second, tolerance):
        points = crossings(first[i], second[j], tolerance)
        of_first[i] += points
        of_second[j] += points
    return of_first, of_second


def divided_at(
    curve: Curve, points: Sequence[Pair], tolerance: float, shortest: float
) -> list[Curve]:
    """Divide a curve at points; return the parts in the direction of the curve.

    Points that would make a part shorter than `shortest` are ignored, and so are points at a
    distance above 4 · tolerance from the curve.

    Args:
        curve: the curve.
        points: the points, in any order.
        tolerance: a quarter of the largest distance from the curve.
        shortest: the least length of a part.
    """
    found = (curve.locate(point, 4 * tolerance) for point in points)
    least = shortest / curve.measure
    cuts = [0.0]
    for t in sorted(t for t in found if t is not None):
        if cuts[-1] + least < t < 1 - least:
            cuts.append(t)
    return [curve.part(s, t) for s, t in itertools.pairwise([*cuts, 1.0])]


def merged(curves: list[Curve], tolerance: float) -> list[Curve]:
    """Join consecutive curves with the same name on one line or ellipse; keep all other curves.

    Args:
        curves: the curves of a boundary, in any order.
        tolerance: curves follow each other if their ends are at most 16 times this distance apart.
    """
    curves = list(curves)
    pieces = Counter(curve.name for curve in curves)
    for curve in [one for one in curves if pieces[one.name] > 1]:
        while any(one is curve for one in curves):
            others = [c for c in curves if c.name == curve.name and c is not curve]
            found = ((c, _curves_whole(curve, c, curves, tolerance)) for c in others)
            follower, whole = next((pair for pair in found if pair[1]), (None, None))
            if follower is None or whole is None:
                break
            curves = [whole if c is curve else c for c in curves if c is not follower]
            curve = whole
    return curves


def _curves_whole(
    first: Curve, second: Curve, curves: Sequence[Curve], tolerance: float
) -> Curve | None:
    """Return one curve that consists of two curves if the second continues the first, or None.

    Args:
        first, second: the two curves.
        curves: all curves of the boundary.
        tolerance: as for `merged`.
    """
    joint, reach = first.stop, 16 * tolerance
    if math.dist(joint, second.start) > reach:
        return None
    # If several curves start at the joint, it is a corner of the domain.
    corner = sum(math.dist(joint, curve.start) <= reach for curve in curves) != 1
    if corner or not first.same_carrier(second, 4 * tolerance):
        return None
    return first.joined(second)


def _lines(a: Segment, b: Segment, tolerance: float) -> list[Pair]:
    """The point where the lines of two segments cross, as a list; empty for parallel lines.

    Args:
        a, b: the segments; the point may be outside of them.
        tolerance: not used; the functions for the other kinds of curves have this argument.
    """
    p, q = np.array(a.a), np.array(b.a)
    along, other = np.array(a.b) - p, np.array(b.b) - q
    sine = along[0] * other[1] - along[1] * other[0]
    # Lines with such a small sine of the angle between them count as parallel.
    if abs(sine) <= 1e-12 * a.measure * b.measure:
        return []
    gap = q - p
    x, y = p + (gap[0] * other[1] - gap[1] * other[0]) / sine * along
    return [(float(x), float(y))]


def _line_and_conic(line: Segment, arc: Arc, tolerance: float) -> list[Pair]:
    """Return the points where a line meets an ellipse.

    In the local coordinates of the ellipse they are the points p + t d of the line with
    |p + t d|² = 1. If the line touches the ellipse within the tolerance, it is one point.

    Args:
        line: a segment of the line, which the points may lie outside.
        arc: an arc of the ellipse, which the points may lie outside.
        tolerance: the distance up to which the line touches the ellipse.
    """
    p, end = (arc.local_point(point) for point in (line.a, line.b))
    d = end - p
    middle = -(p @ d) / (d @ d)
    foot = p + middle * d  # the point of the line nearest to the centre
    depth = 1 - foot @ foot
    if abs(depth) <= 2 * tolerance / min(arc.axes):
        steps = [0.0]
    elif depth < 0:
        return []
    else:
        half = math.sqrt(depth / (d @ d))
        steps = [-half, half]
    start, along = np.array(line.a), np.array(line.b) - np.array(line.a)
    points = [start + (middle + step) * along for step in steps]
    return [(float(x), float(y)) for x, y in points]


def _conics(arcs: Sequence[Arc], tolerance: float) -> list[Pair]:
    """Return the points where two ellipses a and b meet.

    They are the zeros θ of F(θ) = |γ_b(θ)|² - 1, with the point γ_b(θ) of b in local coordinates of
    a. F is a trigonometric polynomial of degree 2. It is monotone between two neighbouring zeros of
    F', and has one zero between them if its signs at them differ. Where F and F' are both 0, the
    ellipses touch. The result is empty if the two ellipses are the same.

    Args:
        arcs: an arc of a and an arc of b; the points may lie outside the arcs.
        tolerance: the distance up to which the ellipses touch.
    """
    if arcs[0].same_carrier(arcs[1], tolerance):
        return []
    a, b = arcs
    offset = a.local_point(b.center)
    frame = b.frame @ a.to_local.T
    c, s = frame @ offset * 2
    uu, uv, vv = frame[0] @ frame[0], frame[0] @ frame[1], frame[1] @ frame[1]
    mean = offset @ offset + (uu + vv) / 2 - 1

    def value(t: float) -> float:
        """Return F(t)."""
        twice = (uu - vv) / 2 * math.cos(2 * t) + uv * math.sin(2 * t)
        return float(mean + c * math.cos(t) + s * math.sin(t) + twice)

    turning = _angles((s, 2 * uv), (-c, vv - uu))
    if not turning:
        return []
    contact = 2 * tolerance / min(a.axes)
    return [b.point(t) for t in _zeros(value, turning, contact)]


def _angles(cosines: tuple[float, float], sines: tuple[float, float]) -> list[float]:
    """Return the zeros θ of Σ_k (cosines_k cos kθ + sines_k sin kθ), k = 1, 2.

    The result may contain further angles, which are no zeros.
    """
    c1, c2, s1, s2 = *cosines, *sines
    powers = [complex(c2, -s2), complex(c1, -s1), 0.0, complex(c1, s1), complex(c2, s2)]
    largest = max(abs(power) for power in powers)
    roots = np.roots([0.0 if abs(power) < 1e-15 * largest else power for power in powers])
    # Rounding separates double roots e^{iθ} by about the square root of eps, off the unit circle,
    # hence the wide range of |root|. The callers tolerate extra angles.
    return sorted(float(np.angle(root)) for root in roots if 0.9 < abs(root) < 1.1)


def _zeros(value: Callable[[float], float], turning: list[float], contact: float) -> list[float]:
    """The zeros of a function of period 2π whose turning points are known.

    Args:
        value: the function.
        turning: the angles at which its derivative is zero.
        contact: a value up to this size at a turning point counts as zero.
    """
    from scipy.optimize import brentq  # the import takes a quarter of a second

    values = [value(t) for t in turning]
    zeros = [t for t, v in zip(turning, values, strict=True) if abs(v) <= contact]
    around = [*zip(turning, values, strict=True), (turning[0] + 2 * math.pi, values[0])]
    for (low, first), (high, last) in itertools.pairwise(around):
        if min(abs(first), abs(last)) > contact and first * last < 0:
            zeros.append(brentq(value, low, high, xtol=1e-15, rtol=4 * np.finfo(float).eps))
    return zeros
