"""Two balls in three dimensions: their combinations are solids of revolution, done exactly.

Along the axis through both centres every section is a disk, a ring, or nothing, whose squared
radii are quadratic polynomials of the position t on each of at most five intervals.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn._support.shapes import Coords, Weights
from kanpinn.geometry.boundary import Piece
from kanpinn.geometry.points import Points
from kanpinn.geometry.region import check_unit
from kanpinn.geometry.rules import gauss_legendre, tensor_grid
from kanpinn.geometry.solid.ball import Ball, OnSphere, Sphere
from kanpinn.geometry.turned import Turned

Keep = Callable[[bool, bool], bool]  # from (inside a, inside b): whether inside the combination


def pair_rule(keep: Keep, a: Ball, b: Ball, nodes: int) -> tuple[Points, Weights]:
    """Gauss along the axis and in the squared distance from it, the trapezoidal rule around it.

    It integrates polynomials in the coordinates up to degree 2·nodes - 1 exactly.
    """
    frame = _basis(_direction(a, b))
    share, weights = gauss_legendre(nodes)
    angles = (torch.arange(2 * nodes, dtype=torch.float64) + 0.5) / (2 * nodes)
    parts = []
    for low, high in _intervals(a, b):
        t = low + (high - low) * share
        for inner, outer in _rings(keep, a, b, t):
            radial = inner[:, None] + (outer - inner)[:, None] * share
            # The element of volume is dt · d(ρ²)/2 · dφ.
            scale = (high - low) * weights[:, None] * (outer - inner)[:, None] * weights / 2
            parts.append(_revolve(t, radial, scale, angles))
    local, volumes = (torch.cat(columns) for columns in zip(*parts, strict=True))
    return Points(torch.tensor(a.center, dtype=torch.float64) + local @ frame, a.names), volumes


@dataclass(frozen=True)
class Zone(OnSphere):
    """The part of a sphere between two planes across an axis.

    Args:
        ball: in three dimensions.
        axis: a unit vector.
        low: the lowest of (p - centre)·axis / radius, from -1 to 1.
        high: the highest.
    """

    axis: tuple[float, ...]
    low: float
    high: float

    @property
    def measure(self) -> float:
        return 2 * math.pi * self.ball.radius**2 * (self.high - self.low)

    def from_unit(self, unit: Coords) -> Points:
        check_unit(self, unit)
        height = torch.lerp(unit.new_tensor(self.low), unit.new_tensor(self.high), unit[:, 0])
        radius, angle = (1 - height**2).clamp(min=0).sqrt(), 2 * math.pi * unit[:, 1]
        local = torch.stack([radius * angle.cos(), radius * angle.sin(), height], dim=1)
        return self.at(local @ _basis(self.axis).to(unit))

    def quadrature(self, nodes: int) -> tuple[Points, Weights]:
        """Gauss along the axis, the trapezoidal rule around it: 2·nodes² points."""
        share, weights = gauss_legendre(nodes)
        angles = (torch.arange(2 * nodes, dtype=torch.float64) + 0.5) / (2 * nodes)
        points = self.from_unit(tensor_grid([share, angles]))
        return points, self.measure * (weights / (2 * nodes)).repeat_interleave(2 * nodes)


def pair_pieces(keep: Keep, a: Ball, b: Ball) -> list[Piece]:
    """The boundary of a combination: a zone of each sphere, turned where it is seen from inside."""
    distance = math.dist(a.center, b.center)
    pieces: list[Piece] = []
    for ball, other in ((a, b), (b, a)):
        axis = _direction(ball, other)
        for low, high, inside in _zones(ball, other, distance):
            # On either side of the sphere: in the ball itself and out of it.
            here, there = ((own, inside) if ball is a else (inside, own) for own in (True, False))
            if keep(*here) == keep(*there):
                continue
            zone = Sphere(ball) if (low, high) == (-1, 1) else Zone(ball, axis, low, high)
            pieces.append(zone if keep(*here) else Turned(zone))
    return pieces


def _zones(ball: Ball, other: Ball, distance: float) -> list[tuple[float, float, bool]]:
    """Zones (low, high, whether in the other ball); the axis points to the other's centre."""
    squares = ball.radius**2 + distance**2 - other.radius**2
    steep = 2 * ball.radius * distance
    cut = min(max(squares / steep, -1.0), 1.0) if steep else math.copysign(1.0, squares)
    zones = ((-1.0, cut, False), (cut, 1.0, True))
    return [zone for zone in zones if zone[0] < zone[1]]


def _intervals(a: Ball, b: Ball) -> list[tuple[float, float]]:
    """Positions t along the axis from a's centre, between all that changes a section's shape."""
    distance = math.dist(a.center, b.center)
    ends = [-a.radius, a.radius, distance - b.radius, distance + b.radius]
    if abs(a.radius - b.radius) < distance < a.radius + b.radius:
        ends.append((distance**2 + a.radius**2 - b.radius**2) / (2 * distance))
    return [(low, high) for low, high in itertools.pairwise(sorted(ends)) if low < high]


def _rings(keep: Keep, a: Ball, b: Ball, t: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Squared inner and outer radii, (n,) each, of the rings that a combination's sections are."""
    distance = math.dist(a.center, b.center)
    squares = [(a.radius**2 - t**2, True), (b.radius**2 - (t - distance) ** 2, False)]
    # The sections keep their shape over the interval: any of the positions tells it.
    present = [(square, is_a) for square, is_a in squares if square.mean() > 0]
    present.sort(key=lambda pair: pair[0].mean().item())
    rings, inner = [], torch.zeros_like(t)
    for number, (outer, is_a) in enumerate(present):
        both = number == 0 and len(present) == 2
        if keep(both or is_a, both or not is_a):
            rings.append((inner, outer))
        inner = outer
    return rings


def _revolve(t: Tensor, radial: Tensor, scale: Tensor, angles: Tensor) -> tuple[Tensor, Tensor]:
    """Local coordinates (n, 3) and weights (n,) of all positions, squared radii and angles."""
    count = len(angles)
    radius = radial.reshape(-1, 1).sqrt()
    turns = 2 * math.pi * angles
    height = t.repeat_interleave(radial.shape[1])[:, None].expand(-1, count)
    local = torch.stack([radius * turns.cos(), radius * turns.sin(), height], dim=2)
    weights = scale.reshape(-1).repeat_interleave(count) * 2 * math.pi / count
    return local.reshape(-1, 3), weights


def _direction(a: Ball, b: Ball) -> tuple[float, ...]:
    """The unit vector from a's centre to b's; any where they are one."""
    distance = math.dist(a.center, b.center)
    if not distance:
        return (0.0, 0.0, 1.0)
    return tuple((q - p) / distance for p, q in zip(a.center, b.center, strict=True))


def _basis(axis: tuple[float, ...]) -> Tensor:
    """Orthonormal rows, (3, 3), the last one the axis."""
    third = torch.tensor(axis, dtype=torch.float64)
    # Any vector that is not nearly parallel to the axis.
    other = torch.eye(3, dtype=torch.float64)[third.abs().argmin()]
    first = torch.linalg.cross(other, third)
    first = first / first.norm()
    return torch.stack([first, torch.linalg.cross(third, first), third])
