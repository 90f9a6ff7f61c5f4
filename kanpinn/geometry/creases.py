"""Edges at which the boundary of a solid turns inwards."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn._support.shapes import Coords, Mask


@dataclass(frozen=True, eq=False)
class Creases:
    """Edges of a solid in space with interior angles above 180°, as straight segments.

    Args:
        segments: their ends, (s, 2, 3); those of curved edges are chords.
        angles: the interior angles in radians, (s,).
        vertices: the ends of edges around which more than half of all directions lead into the
            solid, (v, 3). Points where just two edges meet in one line are no vertices.
    """

    segments: Tensor
    angles: Tensor
    vertices: Coords

    @classmethod
    def none(cls) -> "Creases":
        """No edges."""
        nothing = torch.zeros(0, 2, 3, dtype=torch.float64)
        return cls(nothing, nothing[:, 0, 0], nothing[:, 0])

    @classmethod
    def of(
        cls,
        segments: Tensor,
        angles: Tensor,
        ends: Coords,
        contains: Callable[[Coords], Mask],
        size: float,
    ) -> "Creases":
        """The edges with the vertices among their ends.

        Args:
            segments, angles: of the edges.
            ends: the points that may be vertices, (n, 3).
            contains: which points are in the solid, (n, 3) → (n,).
            size: the diameter of the solid.
        """
        if not len(ends):
            return cls(segments, angles, ends)
        points = ends.unique(dim=0)
        around, least = _directions(1000), 0.55
        shares = [contains(point + 1e-5 * size * around).double().mean() for point in points]
        found = [
            point
            for point, share in zip(points, shares, strict=True)
            if share > least and not _on_straight_edge(segments, point, size)
        ]
        return cls(segments, angles, torch.stack(found) if found else points[:0])


def interior_angle(
    point: Tensor, along: Tensor, contains: Callable[[Coords], Mask], radius: float
) -> float:
    """The angle in radians of the part of a solid around a point of an edge.

    Args:
        point: the point, (3,).
        along: the edge's direction there, (3,).
        contains: which points are in the solid, (n, 3) → (n,).
        radius: the distance from the edge at which points are tested.
    """
    count = 720  # half a degree
    helper = torch.eye(3, dtype=along.dtype)[int(along.abs().argmin())]
    first = torch.linalg.cross(along, helper)
    first = first / first.norm()
    second = torch.linalg.cross(along / along.norm(), first)
    turns = (torch.arange(count, dtype=along.dtype) + 0.5) * (2 * math.pi / count)
    ring = turns.cos()[:, None] * first + turns.sin()[:, None] * second
    return 2 * math.pi * float(contains(point + radius * ring).double().mean())


def _directions(count: int) -> Coords:
    """Evenly spread unit vectors, (count, 3), on Fibonacci's spiral."""
    place = torch.arange(count, dtype=torch.float64) + 0.5
    height, turn = 1 - 2 * place / count, math.pi * (1 + 5**0.5) * place
    flat = (1 - height**2).sqrt()
    return torch.stack([flat * turn.cos(), flat * turn.sin(), height], dim=1)


def _on_straight_edge(segments: Tensor, point: Tensor, size: float) -> bool:
    """Whether exactly two edges meet at a point, in about one line."""
    gaps = (segments - point).norm(dim=2)
    ending = (gaps.amin(dim=1) <= 1e-9 * size).nonzero()[:, 0]
    if len(ending) != 2:
        return False
    far = gaps[ending].argmax(dim=1)
    one, other = segments[ending, far] - point
    return bool((one @ other) < -0.9 * one.norm() * other.norm())
