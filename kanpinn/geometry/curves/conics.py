"""Ellipses: points, arc length and its inverse, extreme points, closest points of their arcs."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import ellipeinc

from kanpinn._support.shapes import Column, Coords, Weights
from kanpinn.geometry.curves.sides import Side

Slopes = Callable[[Weights], tuple[Weights, Weights]]


@dataclass(frozen=True)
class Conic:
    """An ellipse γ(θ) = center + u cos θ + v sin θ.

    Here u = a (cos α, sin α) and v = b (-sin α, cos α).

    Args:
        center: of the ellipse.
        axes: the semi-axes (a, b).
        angle: α, by which the first axis is turned from x to y.
    """

    center: tuple[float, float]
    axes: tuple[float, float]
    angle: float

    @property
    def round(self) -> bool:
        """Whether it is a circle."""
        return self.axes[0] == self.axes[1]

    @property
    def frame(self) -> np.ndarray:
        """The rows u and v."""
        c, s = math.cos(self.angle), math.sin(self.angle)
        a, b = self.axes
        return np.array([[a * c, a * s], [-b * s, b * c]])

    def point(self, theta: float) -> tuple[float, float]:
        # Quarter turns are exact, so that straight edges from there are level or upright.
        wheel = [0.0 if abs(v) < 1e-15 else v for v in (math.cos(theta), math.sin(theta))]
        x, y = np.array(self.center) + wheel @ self.frame
        return float(x), float(y)

    def at(self, theta: Weights) -> Coords:
        wheel = torch.stack([theta.cos(), theta.sin()], dim=1)
        return theta.new_tensor(self.center) + wheel @ theta.new_tensor(self.frame)

    def tangent(self, theta: Weights) -> Coords:
        """γ'(θ)."""
        return torch.stack([-theta.sin(), theta.cos()], dim=1) @ theta.new_tensor(self.frame)

    def local(self, coords: Coords) -> Coords:
        """(ξ, η), (n, 2), in which the ellipse is the unit circle."""
        return (coords - coords.new_tensor(self.center)) @ coords.new_tensor(self.to_local.T)

    def level(self, coords: Coords) -> Column:
        """A level function (n, 1): 0 on the ellipse with a slope of 1, > 0 within.

        For a circle of radius r it is (r² - ρ²) / 2r at the distance ρ from the centre. For an
        ellipse q = 1 it is (1 - q) / |∇q| to first order.
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
        """The matrix that takes differences of points to differences of (ξ, η)."""
        return self.frame / np.square(self.axes)[:, None]

    def local_point(self, point: tuple[float, float]) -> np.ndarray:
        """(ξ, η) of one point."""
        return self.to_local @ (np.array(point) - self.center)

    def angle_of(self, point: tuple[float, float]) -> float:
        """θ of a point on it."""
        xi, eta = self.local_point(point)
        return math.atan2(eta, xi)

    def equals(self, other: "Conic", tolerance: float) -> bool:
        """Whether the points of both are the same, up to the tolerance."""
        if math.dist(self.center, other.center) > tolerance:
            return False
        # u uᵀ + v vᵀ says all about the shape and nothing about the parameter.
        gap = self.frame.T @ self.frame - other.frame.T @ other.frame
        return bool(np.abs(gap).max() <= 2 * tolerance * max(self.axes))

    def length(self, theta: np.ndarray) -> np.ndarray:
        """The arc length from a fixed point to the angles θ, (n,)."""
        a, b = self.axes
        if a <= b:
            return b * ellipeinc(theta, 1 - (a / b) ** 2)
        return a * ellipeinc(theta + math.pi / 2, 1 - (b / a) ** 2)

    def angle_at(self, length: np.ndarray, first: float, last: float) -> np.ndarray:
        """The θ between first and last with these lengths, by Newton's method in a bracket."""
        guesses, steps = 129, 60  # few steps are needed for all ellipses but needles
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
        """Angles between which a Gauss rule resolves |γ'|: finer and finer to the sharp ends.

        |γ'| has its branch points at the imaginary distance δ = artanh(b / a) from the ends of
        the long axis.
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
        # The middles of two neighbouring sharp ends come twice.
        return [x for i, x in enumerate(near) if i == 0 or x - near[i - 1] > 1e-9]

    def highest(self, axis: int) -> float:
        """An angle where x (axis 0) or y (axis 1) is largest."""
        (u, v) = self.frame[:, axis]
        return math.atan2(v, u)

    def extreme(self, axis: int, theta: float) -> float:
        """The extreme x or y at such an angle, or at one half a turn away."""
        sign = math.copysign(1, math.cos(theta - self.highest(axis)))
        return self.center[axis] + sign * math.hypot(*self.frame[:, axis])

    def side(self, first: float, last: float, through: tuple[float, float]) -> Side:
        """The graph x(y) from one height to another, on the half that has this point."""
        (ux, uy), (vx, vy) = self.frame.tolist()
        A2 = uy**2 + vy**2
        slope = (ux * uy + vx * vy) / A2
        across = through[0] - self.center[0] - slope * (through[1] - self.center[1])
        q = math.copysign(math.prod(self.axes) / A2, across)
        middle = self.center
        return Side.between(first, last, middle=middle, slope=slope, q=q, A=math.sqrt(A2))


def closest(conic: Conic, coords: Coords, low: float, high: float) -> Coords:
    """The closest points (n, 2) of an arc low ≤ θ ≤ high of an ellipse to given points (n, 2).

    They are twice differentiable in the given points.
    """
    frame = conic.frame / np.array(conic.axes)[:, None]
    xy = (coords - coords.new_tensor(conic.center)) @ coords.new_tensor(frame.T)
    if conic.round:
        # The centre itself has no closest point: any will do.
        away = torch.where((xy == 0).all(dim=1, keepdim=True), xy.new_tensor([1.0, 0.0]), xy)
        theta = torch.atan2(away[:, 1], away[:, 0])
    else:
        theta = _foot(conic, xy, low, high)
    return conic.at(theta if _whole(low, high) else _into(theta, low, high, conic, coords))


def _whole(low: float, high: float) -> bool:
    return high - low > 2 * math.pi - 1e-12


def _foot(conic: Conic, xy: Coords, low: float, high: float) -> Weights:
    """The angles θ (n,) at which the distance of (a cos θ, b sin θ) to points (n, 2) is least."""
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
    # Each step of Newton's method doubles the order to which θ depends rightly on xy.
    inside = (theta > lower) & (theta < upper)
    for _ in range(2):
        slope, bend = _slopes(conic, xy, theta)
        ok = inside & (bend > 0)
        moved = theta - slope / torch.where(ok, bend, torch.ones_like(bend))
        theta = torch.where(ok, moved, theta)
    return theta


def _slopes(conic: Conic, xy: Coords, theta: Weights) -> tuple[Weights, Weights]:
    """The first and second derivative of half the squared distance."""
    a, b = conic.axes
    c, s = theta.cos(), theta.sin()
    x, y = xy[:, 0], xy[:, 1]
    first = (b * b - a * a) * s * c + a * x * s - b * y * c
    second = (b * b - a * a) * (c * c - s * s) + a * x * c + b * y * s
    return first, second


def _bracketed(slopes: Slopes, theta: Weights, lower: Weights, upper: Weights) -> Weights:
    """The minimum in a bracket: Newton's method where it stays inside, else bisection."""
    for _ in range(60):  # few steps are needed for all ellipses but needles
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
    """The angles (n,) themselves or, outside of the arc, those of the closer end."""
    turned = low + (theta - low) % (2 * math.pi)
    ends = coords.new_tensor([low, high])
    closer = torch.cdist(coords, conic.at(ends)).argmin(dim=1)
    return torch.where(turned <= high, turned, ends[closer])
