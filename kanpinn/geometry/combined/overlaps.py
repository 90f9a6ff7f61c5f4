"""The measure of the intersection of two domains: closed forms, otherwise scrambled Sobol."""

import math

import torch
from scipy.special import betainc

from kanpinn.geometry.box import Box
from kanpinn.geometry.domain import Domain
from kanpinn.geometry.scrambled import share
from kanpinn.geometry.solid.ball import Ball


def overlap(a: Domain, b: Domain) -> tuple[float, float]:
    """The measure of a ∩ b and its standard error, which is 0 where the measure is exact."""
    exact = exact_overlap(a, b)
    if exact is not None:
        return exact, 0.0
    # The smaller one is sampled: if the other contains it, all points are accepted.
    small, large = sorted((a, b), key=lambda domain: domain.measure)
    part, error = share(small, lambda points: large.contains(points.coords))
    return part * small.measure, error * small.measure + part * small.measure_error


def exact_overlap(a: Domain, b: Domain) -> float | None:
    """The measure of a ∩ b where there is a closed form for it."""
    low, high = common_bounds(a, b)
    if (low >= high).any():
        return 0.0
    if isinstance(a, Box) and isinstance(b, Box):
        return float((high - low).prod())
    if isinstance(a, Ball) and isinstance(b, Ball):
        return _lens(a, b)
    for inner, outer in ((a, b), (b, a)):
        if encloses(outer, inner):
            return inner.measure
    for box, ball in ((a, b), (b, a)):
        if isinstance(box, Box) and isinstance(ball, Ball) and _apart(box, ball):
            return 0.0
    return None


def common_bounds(a: Domain, b: Domain) -> tuple[torch.Tensor, torch.Tensor]:
    """The box in which both bounding boxes meet; low ≥ high in some coordinate where none is."""
    (low_a, high_a), (low_b, high_b) = a.bounds, b.bounds
    return torch.maximum(low_a, low_b), torch.minimum(high_a, high_b)


def encloses(outer: Domain, inner: Domain) -> bool:
    """Whether it is certain that inner ⊂ outer; False where it is not, or not known."""
    low, high = inner.bounds
    if isinstance(outer, Box):
        around_low, around_high = outer.bounds
        return bool((around_low <= low).all() and (high <= around_high).all())
    if not isinstance(outer, Ball):
        return False
    if isinstance(inner, Ball):
        return math.dist(outer.center, inner.center) + inner.radius <= outer.radius
    # The farthest corner of the box around it: sufficient, and for a box necessary.
    center = torch.tensor(outer.center, dtype=torch.float64)
    farthest = torch.maximum((low - center).abs(), (high - center).abs())
    return farthest.norm().item() <= outer.radius


def _apart(box: Box, ball: Ball) -> bool:
    low, high = box.bounds
    center = torch.tensor(ball.center, dtype=torch.float64)
    return (center - center.clamp(low, high)).norm().item() >= ball.radius


def _lens(a: Ball, b: Ball) -> float:
    distance = math.dist(a.center, b.center)
    if distance >= a.radius + b.radius:
        return 0.0
    if distance <= abs(a.radius - b.radius):
        return min(a.measure, b.measure)
    # The radical plane cuts a cap off each.
    to_plane = (distance**2 + a.radius**2 - b.radius**2) / (2 * distance)
    return _cap(a, to_plane) + _cap(b, distance - to_plane)


def _cap(ball: Ball, distance: float) -> float:
    """The part of a ball beyond a plane at a signed distance from its centre (Li 2011, eq. 2)."""
    ratio = distance / ball.radius
    half = betainc((ball.dim + 1) / 2, 0.5, max(1 - ratio**2, 0.0)) / 2
    return ball.measure * float(half if ratio >= 0 else 1 - half)
