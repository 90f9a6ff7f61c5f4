"""Edges between planes and spheres at which the boundary of a combination turns inwards."""

import itertools
import math
from collections.abc import Iterator

import torch
from torch import Tensor

from kanpinn.geometry.boundary import Walls
from kanpinn.geometry.combined.loci import circles
from kanpinn.geometry.creases import Creases, interior_angle
from kanpinn.geometry.domain import Domain


def wall_creases(domain: Domain, walls: Walls) -> Creases:
    """The creases of a solid whose boundary is in planes and spheres.

    Args:
        domain: the solid.
        walls: the planes and spheres.
    """
    low, high = domain.bounds
    size = float((high - low).norm())
    least, most = math.pi + 0.2, 2 * math.pi - 1e-6  # above most the line is inside the solid
    segments, angles, ends = [], [], []
    for one, straight in itertools.chain(_lines(domain, walls), _arcs(walls)):
        middle, along = one.mean(dim=0), one[1] - one[0]
        if not straight:  # the angle is that at the middle of the arc
            middle, one = one[1], one[[0, 2]]
            along = one[1] - one[0]
        angle = interior_angle(middle, along, domain.contains, 1e-5 * size)
        if least < angle < most:
            segments.append(one)
            angles.append(angle)
            ends += list(one) if straight else []
    if not segments:
        return Creases.none()
    points = torch.stack(ends) if ends else torch.zeros(0, 3, dtype=torch.float64)
    found = torch.stack(segments), torch.tensor(angles, dtype=torch.float64)
    return Creases.of(*found, points, domain.contains, size)


def _lines(domain: Domain, walls: Walls) -> Iterator[tuple[Tensor, bool]]:
    """The segments of the lines in which two planes meet, cut by further planes and spheres."""
    low, high = domain.bounds
    for (axis, at), (other, there) in itertools.combinations(walls.planes, 2):
        if axis == other:
            continue
        (along,) = {0, 1, 2} - {axis, other}
        cuts = {float(low[along]), float(high[along])}
        cuts |= {value for across, value in walls.planes if across == along}
        for center, radius in walls.spheres:
            square = radius**2 - (at - center[axis]) ** 2 - (there - center[other]) ** 2
            if square > 0:
                cuts |= {center[along] + sign * square**0.5 for sign in (-1, 1)}
        inside = sorted(cut for cut in cuts if low[along] <= cut <= high[along])
        for first, last in itertools.pairwise(inside):
            found = torch.zeros(2, 3, dtype=torch.float64)
            found[:, axis], found[:, other] = at, there
            found[0, along], found[1, along] = first, last
            yield found, True


def _arcs(walls: Walls) -> Iterator[tuple[Tensor, bool]]:
    """The arcs of circles in which spheres meet planes or spheres: start, middle and end."""
    count = 64  # arcs of a circle
    turns = torch.arange(2 * count + 1, dtype=torch.float64) * (math.pi / count)
    # Circles of spheres with planes across all axes and with other spheres, without duplicates.
    both = (one.on(0) for axis in (-1, 0) for one in circles(axis, walls))
    for one in dict.fromkeys(both):
        normal = torch.tensor(one.normal, dtype=torch.float64)
        length = float(normal.norm())
        normal, level = normal / length, one.level / length
        middle = torch.tensor(one.center, dtype=torch.float64) + level * normal
        radius = (one.radius**2 - level**2) ** 0.5
        helper = torch.eye(3, dtype=torch.float64)[int(normal.abs().argmin())]
        first = torch.linalg.cross(normal, helper)
        first = first / first.norm()
        second = torch.linalg.cross(normal, first)
        points = middle + radius * (turns.cos()[:, None] * first + turns.sin()[:, None] * second)
        for i in range(count):
            yield points[2 * i : 2 * i + 3], False
