"""Conics in the plane: their signs, axes, closest points, and the graphs that bound slabs."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import ellipeinc
from torch import Tensor

from kanpinn._support.shapes import Column, Coords, Weights

Pair = tuple[float | int, float | int]


@dataclass(frozen=True)
class Side:
    """A part of a curve as a graph x(y) = cx + p (y - cy) + q sqrt(A² - (y - cy)²), low ≤ y ≤ high.

    For q = 0 it is a line segment. For q ≠ 0 it is part of one half of an ellipse between its
    lowest and highest points y = cy ± A, where x(y) has square-root singularities.
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
        """Return the side from the height `first` to the height `last`, with (cx, cy) = middle."""
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
        """The parameters that both halves of an ellipse have in common."""
        return self.cx, self.cy, self.p, abs(self.q), self.A

    @property
    def branches(self) -> tuple[float, float]:
        """The heights cy - A and cy + A where x(y) is singular; infinite for a line."""
        return (self.cy - self.A, self.cy + self.A) if self.q else (-math.inf, math.inf)


def abscissa(
    y: Tensor,
    cx: Tensor | float,
    cy: Tensor | float,
    p: Tensor | float,
    q: Tensor | float,
    A: Tensor | float,
) -> Tensor:
    """Return x(y) of a Side, or of many sides at once by broadcasting."""
    h = y - cy
    # Rounding may place a height just beyond the top.
    return cx + p * h + q * ((A - h) * (A + h)).clamp(min=0).sqrt()


Slopes = Callable[[Weights], tuple[Weights, Weights]]


@dataclass(frozen=True)
class Conic:
    """An ellipse γ(θ) = center + u cos θ + v sin θ.

    Here u = a (cos α, sin α) and v = b (-sin α, cos α).

    Args:
        center: the centre of the ellipse.
        axes: the semi-axes (a, b).
        angle: the counter-clockwise rotation angle α of the first axis, in radians.
    """

    center: tuple[float, float]
    axes: tuple[float, float]
    angle: float

    @property
    def round(self) -> bool:
        """True if the ellipse is a circle."""
        return self.axes[0] == self.axes[1]

    @property
    def frame(self) -> np.ndarray:
        """The matrix (2, 2) with the rows u and v."""
        c, s = math.cos(self.angle), math.sin(self.angle)
        a, b = self.axes
        return np.array([[a * c, a * s], [-b * s, b * c]])

    def point(self, theta: float) -> tuple[float, float]:
        # Quarter turns are exact, so that edges from these points are exactly axis-parallel.
        wheel = [0.0 if abs(v) < 1e-15 else v for v in (math.cos(theta), math.sin(theta))]
        x, y = np.array(self.center) + wheel @ self.frame
        return float(x), float(y)

    def at(self, theta: Weights) -> Coords:
        wheel = torch.stack([theta.cos(), theta.sin()], dim=1)
        return theta.new_tensor(self.center) + wheel @ theta.new_tensor(self.frame)

    def tangent(self, theta: Weights) -> Coords:
        """Return the derivative γ'(θ), (n, 2)."""
        return torch.stack([-theta.sin(), theta.cos()], dim=1) @ theta.new_tensor(self.frame)

    def local(self, coords: Coords) -> Coords:
        """Return local coordinates (ξ, η), (n, 2), in which the ellipse is the unit circle."""
        return (coords - coords.new_tensor(self.center)) @ coords.new_tensor(self.to_local.T)

    def level(self, coords: Coords) -> Column:
        """Return a level function (n, 1): 0 on the ellipse with a gradient of length 1, > 0 inside.

        For a circle of radius r it is (r² - ρ²) / 2r at the distance ρ from the centre. For an
        ellipse q = 1, with q = ξ² + η², it is (1 - q) / |∇q| to first order.
        """
        local = self.local(coords)
        a, b = self.axes
        value = 1 - local.square().sum(dim=1, keepdim=True)
        if self.round:
            return value * (a / 2)
        slope = 2 * local / local.new_tensor([a, b])
        steepness = slope.square().sum(dim=1, keepdim=True) + value.square() / (a * b)
        return value / steepness.sqrt()

    @property
    def to_local(self) -> np.ndarray:
        """The matrix (2, 2) that maps differences of points to differences of (ξ, η)."""
        return self.frame / np.square(self.axes)[:, None]

    def local_point(self, point: tuple[float, float]) -> np.ndarray:
        """Return the local coordinates (ξ, η) of one point."""
        return self.to_local @ (np.array(point) - self.center)

    def angle_of(self, point: tuple[float, float]) -> float:
        """Return the angle θ of a point on the ellipse."""
        xi, eta = self.local_point(point)
        return math.atan2(eta, xi)

    def equals(self, other: "Conic", tolerance: float) -> bool:
        """Return True if both ellipses are the same set of points up to the tolerance."""
        if math.dist(self.center, other.center) > tolerance:
            return False
        # u uᵀ + v vᵀ determines the shape and does not depend on the parametrization.
        gap = self.frame.T @ self.frame - other.frame.T @ other.frame
        return bool(np.abs(gap).max() <= 2 * tolerance * max(self.axes))

    def length(self, theta: np.ndarray) -> np.ndarray:
        """Return the arc lengths (n,) from a fixed point to the angles θ (n,)."""
        a, b = self.axes
        if a <= b:
            return b * ellipeinc(theta, 1 - (a / b) ** 2)
        return a * ellipeinc(theta + math.pi / 2, 1 - (b / a) ** 2)

    def angle_at(self, length: np.ndarray, first: float, last: float) -> np.ndarray:
        """Invert `length` between the angles first and last by Newton's method in brackets."""
        guesses, steps = 129, 60  # only very thin ellipses need more than a few steps
        grid = np.linspace(min(first, last), max(first, last), guesses)
        known = self.length(grid)
        theta = np.interp(length, known, grid)
        cell = np.clip(np.searchsorted(known, length), 1, guesses - 1)
        a, b = self.axes
        for _ in range(steps):
            speed = np.hypot(a * np.sin(theta), b * np.cos(theta))
            step = (self.length(theta) - length) / speed
            theta = np.clip(theta - step, grid[cell - 1], grid[cell])
            if np.abs(step).max(initial=0) < 1e-15 * (1 + np.abs(grid).max()):
                break
        return theta

    def cuts(self, low: float, high: float) -> list[float]:
        """Return angles that divide the arc into intervals on which a Gauss rule resolves |γ'|.

        The intervals are graded towards the ends of the long axis, because |γ'| has branch points
        at the imaginary distance δ = artanh(b / a) from them.
        """
        a, b = self.axes
        sharp = 0.0 if a >= b else math.pi / 2
        steps = [0.0, math.pi / 2]
        width = math.inf if self.round else 2 * math.atanh(min(a, b) / max(a, b))
        while width < math.pi / 3:
            steps.append(width)
            width *= 3
        offsets = {sign * step for step in steps for sign in (-1, 1)}
        turns = range(math.floor((low - sharp) / math.pi), math.ceil((high - sharp) / math.pi) + 1)
        near = sorted(sharp + k * math.pi + offset for k in turns for offset in offsets)
        # The angle halfway between two ends of the long axis is found from both of them.
        return [x for i, x in enumerate(near) if i == 0 or x - near[i - 1] > 1e-9]

    def highest(self, axis: int) -> float:
        """Return an angle θ where x (axis 0) or y (axis 1) is largest."""
        (u, v) = self.frame[:, axis]
        return math.atan2(v, u)

    def extreme(self, axis: int, theta: float) -> float:
        """Return the extreme x or y at the angle `highest(axis)` or half a turn away from it."""
        sign = math.copysign(1, math.cos(theta - self.highest(axis)))
        return self.center[axis] + sign * math.hypot(*self.frame[:, axis])

    def side(self, first: float, last: float, through: tuple[float, float]) -> Side:
        """Return the graph x(y) between two heights on the half of the ellipse with this point."""
        (ux, uy), (vx, vy) = self.frame.tolist()
        A2 = uy**2 + vy**2
        slope = (ux * uy + vx * vy) / A2
        across = through[0] - self.center[0] - slope * (through[1] - self.center[1])
        q = math.copysign(math.prod(self.axes) / A2, across)
        middle = self.center
        return Side.between(first, last, middle=middle, slope=slope, q=q, A=math.sqrt(A2))


def closest(conic: Conic, coords: Coords, low: float, high: float) -> Coords:
    """Return the closest points (n, 2) on the arc low ≤ θ ≤ high of an ellipse to points (n, 2).

    They are twice differentiable with respect to the given points.
    """
    frame = conic.frame / np.array(conic.axes)[:, None]
    xy = (coords - coords.new_tensor(conic.center)) @ coords.new_tensor(frame.T)
    if conic.round:
        # All points of a circle are equally close to its centre; take θ = 0.
        away = torch.where((xy == 0).all(dim=1, keepdim=True), xy.new_tensor([1.0, 0.0]), xy)
        theta = torch.atan2(away[:, 1], away[:, 0])
    else:
        theta = _foot(conic, xy, low, high)
    return conic.at(theta if _whole(low, high) else _into(theta, low, high, conic, coords))


def _whole(low: float, high: float) -> bool:
    return high - low > 2 * math.pi - 1e-12


def _foot(conic: Conic, xy: Coords, low: float, high: float) -> Weights:
    """Return the angles θ (n,) at which (a cos θ, b sin θ) is closest to points (n, 2)."""
    with torch.no_grad():
        guesses = 129
        grid = torch.linspace(low, high, guesses, dtype=xy.dtype, device=xy.device)
        trail = torch.stack([grid.cos(), grid.sin()], dim=1) * xy.new_tensor(conic.axes)
        best = torch.cdist(xy, trail).argmin(dim=1)
        step = (high - low) / (guesses - 1)
        lower, upper = grid[best] - step, grid[best] + step
        if not _whole(low, high):
            lower, upper = lower.clamp(min=low), upper.clamp(max=high)
        theta = _bracketed(lambda t: _slopes(conic, xy, t), grid[best], lower, upper)
    # Two Newton steps with gradients make the first and second derivatives of θ in xy correct.
    inside = (theta > lower) & (theta < upper)
    for _ in range(2):
        slope, bend = _slopes(conic, xy, theta)
        ok = inside & (bend > 0)
        moved = theta - slope / torch.where(ok, bend, torch.ones_like(bend))
        theta = torch.where(ok, moved, theta)
    return theta


def _slopes(conic: Conic, xy: Coords, theta: Weights) -> tuple[Weights, Weights]:
    """Return the first and second derivatives of half the squared distance with respect to θ."""
    a, b = conic.axes
    c, s = theta.cos(), theta.sin()
    x, y = xy[:, 0], xy[:, 1]
    first = (b * b - a * a) * s * c + a * x * s - b * y * c
    second = (b * b - a * a) * (c * c - s * s) + a * x * c + b * y * s
    return first, second


def _bracketed(slopes: Slopes, theta: Weights, lower: Weights, upper: Weights) -> Weights:
    """Return the minimum in each bracket: Newton's method while it stays inside, else bisection."""
    for _ in range(60):  # only very thin ellipses need more than a few steps
        slope, bend = slopes(theta)
        lower = torch.where(slope <= 0, theta, lower)
        upper = torch.where(slope >= 0, theta, upper)
        newton = theta - slope / torch.where(bend > 0, bend, torch.ones_like(bend))
        good = (bend > 0) & (newton >= lower) & (newton <= upper)
        moved = torch.where(good, newton, (lower + upper) / 2)
        if (moved - theta).abs().max() <= 4 * torch.finfo(theta.dtype).eps:
            return moved
        theta = moved
    return theta


def _into(theta: Weights, low: float, high: float, conic: Conic, coords: Coords) -> Weights:
    """Return the angles (n,) if they are on the arc, otherwise those of the arc's closer end."""
    turned = low + (theta - low) % (2 * math.pi)
    ends = coords.new_tensor([low, high])
    closer = torch.cdist(coords, conic.at(ends)).argmin(dim=1)
    return torch.where(turned <= high, turned, ends[closer])
