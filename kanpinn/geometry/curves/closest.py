"""The closest points of arcs of ellipses, differentiable in the point."""

import math
from collections.abc import Callable

import numpy as np
import torch

from kanpinn._support.shapes import Coords, Weights
from kanpinn.geometry.curves.conics import NEWTON, TABLE, Conic

Slopes = Callable[[Weights], tuple[Weights, Weights]]


def closest(conic: Conic, coords: Coords, low: float, high: float) -> Coords:
    """The points of the ellipse with low ≤ θ ≤ high that are closest to the given ones, (n, 2)."""
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
    """Where the distance of (a cos θ, b sin θ) to the points xy is least."""
    with torch.no_grad():
        grid = torch.linspace(low, high, TABLE, dtype=xy.dtype, device=xy.device)
        trail = torch.stack([grid.cos(), grid.sin()], dim=1) * xy.new_tensor(conic.axes)
        best = torch.cdist(xy, trail).argmin(dim=1)
        step = (high - low) / (TABLE - 1)
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
    for _ in range(NEWTON):
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
    """The angle itself or, outside of the arc, the closer of its ends."""
    turned = low + (theta - low) % (2 * math.pi)
    ends = coords.new_tensor([low, high])
    closer = torch.cdist(coords, conic.at(ends)).argmin(dim=1)
    return torch.where(turned <= high, turned, ends[closer])
