"""Rules on parts of surfaces in boxes, at the points where lines along an axis meet them."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn._support.shapes import Coords, Vector, Weights
from kanpinn.geometry.points import Points
from kanpinn.geometry.rules import gauss_product


@dataclass(frozen=True, eq=False)
class Hits:
    """Points at which lines meet a surface.

    Args:
        line: the number of the line of each point, (n,).
        coords: the points, (n, 3).
        normals: the unit normals of the surface there, (n, 3).
    """

    line: Tensor
    coords: Coords
    normals: Coords


def cast(
    hits: Callable[[Coords], Hits],
    names: tuple[str, ...],
    axis: int,
    box: tuple[Vector, Vector],
    nodes: int,
) -> tuple[Points, Weights]:
    """Return a rule on the part of a surface in a box.

    The lines go through the points of a Gauss rule on a rectangle across the axis. The weight of a
    line is an area of this rectangle, which is divided by the cosine of the surface's slope. If the
    surface is met over a small part of the rectangle only, other lines through that part are used.

    Args:
        hits: gives the points where lines meet the surface, for the other two coordinates of the
            lines, (n, 2).
        names: the names of the coordinates.
        axis: the direction of the lines.
        box: its lower and upper corner, (3,) each.
        nodes: the number of lines along each of the two other coordinates.

    Returns:
        n points with normals, and positive weights (n,).
    """
    others = [i for i in range(3) if i != axis]
    first, last = (corner[others] for corner in box)
    tries, least, pad = 2, 0.7, 2 / nodes  # parts of the rectangle's widths
    unit, weights = gauss_product(nodes, 2)
    while True:
        empty = bool((last <= first).any())
        found = hits(first + unit[: 0 if empty else None] * (last - first))
        along = found.coords[:, axis]
        kept = (along >= box[0][axis]) & (along <= box[1][axis])
        tries -= 1
        if not tries or not kept.any():
            break
        at, room = found.coords[kept][:, others], pad * (last - first)
        low = torch.maximum(first, at.amin(dim=0) - room)
        high = torch.minimum(last, at.amax(dim=0) + room)
        if bool((high - low > least * (last - first)).all()):
            break
        first, last = low, high
    areas = weights[found.line] * (last - first).prod() / found.normals[:, axis].abs()
    points = Points(found.coords, names, found.normals)
    return points[kept], areas[kept]
