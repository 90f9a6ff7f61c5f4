"""Polygons as formulas of half planes."""

import math
from collections.abc import Sequence

from kanpinn.geometry.curves.curve import Pair
from kanpinn.geometry.planar.forms import All, Form, HalfPlane, Some


def loop_form(points: Sequence[Pair]) -> Form:
    """The left of a closed polygon, each of whose edges comes once.

    Reference: Dobkin, Guibas, Hershberger and Snoeyink, An efficient algorithm for finding the CSG
    representation of a simple polygon (1988).
    """
    corners = _without_flat(points)
    first, last = corners.index(min(corners)), corners.index(max(corners))
    corners = corners[first:] + corners[:first]
    split = (last - first) % len(corners)
    chains = (_chain(corners[: split + 1]), _chain([*corners[split:], corners[0]]))
    return _joined_at(corners[-1], corners[0], corners[1], chains)


def _chain(points: Sequence[Pair]) -> Form:
    """The left of a chain whose first and last edges go on for ever: split where it bulges most."""
    if len(points) == 2:
        return HalfPlane(points[0], points[1])
    (ux, uy), (vx, vy) = _direction(points[1], points[0]), _direction(points[-2], points[-1])
    away = (-ux - vx, -uy - vy)  # both ends recede in this direction
    if math.hypot(*away) < 1e-9:
        away = (-uy, ux)
    reach = [away[0] * x + away[1] * y for x, y in points[1:-1]]
    far = 1 + reach.index(max(reach))
    chains = (_chain(points[: far + 1]), _chain(points[far:]))
    return _joined_at(points[far - 1], points[far], points[far + 1], chains)


def _joined_at(before: Pair, corner: Pair, after: Pair, chains: tuple[Form, ...]) -> Form:
    return All(chains) if _turn(before, corner, after) > 0 else Some(chains)


def _without_flat(points: Sequence[Pair]) -> list[Pair]:
    """Corners only: on a straight edge two half planes would be one."""
    n = len(points)
    triples = ((points[i - 1], points[i], points[(i + 1) % n]) for i in range(n))
    return [p[1] for p in triples if abs(_turn(*p)) > 1e-12]


def _direction(a: Pair, b: Pair) -> Pair:
    length = math.dist(a, b)
    return (b[0] - a[0]) / length, (b[1] - a[1]) / length


def _turn(a: Pair, b: Pair, c: Pair) -> float:
    """The sine of the angle by which the path a, b, c turns left at b."""
    (ux, uy), (vx, vy) = _direction(a, b), _direction(b, c)
    return ux * vy - uy * vx
