"""Checks that curves bound a domain, and polygons as intersections and unions of half planes."""

import math
from collections.abc import Sequence

import torch

from kanpinn._support.errors import InputError
from kanpinn.geometry.curves.crossings import crossings, meeting
from kanpinn.geometry.curves.curve import Curve, Pair
from kanpinn.geometry.planar.forms import All, HalfPlane, PlanarSet, Some


def join_tolerance(scale: float) -> float:
    """Return the distance within which ends of curves count as one point.

    Args:
        scale: the largest absolute value of the coordinates.
    """
    return 1e-9 * scale


def check_ends(curves: Sequence[Curve], joints: Sequence[int]) -> None:
    """Check that curves run head to tail into closed loops.

    Args:
        curves: the curves of the boundary.
        joints: the indices of the joints at the start and the end of each curve in turn.

    Raises:
        InputError: if a curve has a loose end.
    """
    for i, joint in enumerate(joints):
        if joints[0::2].count(joint) != joints[1::2].count(joint):
            point = curves[i // 2].stop if i % 2 else curves[i // 2].start
            raise InputError(
                "the curves of a planar domain must run head to tail into closed loops, got "
                f"a loose end of {curves[i // 2].name!r} at {point}"
            )


def check_crossings(curves: Sequence[Curve], scale: float) -> None:
    """Check that no two curves cross each other.

    Raises:
        InputError: if two of them cross at inner points of both.
    """
    tolerance = 1e-12 * scale  # closer curves count as touching
    for i, j in meeting(curves, curves, tolerance):
        for point in crossings(curves[i], curves[j], tolerance) if i < j else []:
            if _crosses(curves[i], curves[j], point, join_tolerance(scale)):
                raise InputError(
                    "the boundary of a planar domain must not cross itself, got "
                    f"{curves[i].name!r} and {curves[j].name!r} crossing at {point}"
                )


def straight_form(curves: Sequence[Curve]) -> PlanarSet | None:
    """Return the domain of segments as a set: the union of the outer loops without the holes.

    None if a curve is not straight. The result is wrong for a domain with an island in a hole.
    """
    if not all(curve.straight for curve in curves):
        return None
    outer: list[PlanarSet] = []
    holes: list[PlanarSet] = []
    for loop in _loops(curves):
        area = sum(curve.moment(loop[0].start) for curve in loop)
        (outer if area > 0 else holes).append(loop_form([curve.start for curve in loop]))
    return All((*(outer if len(outer) == 1 else [Some(tuple(outer))]), *holes))


def _crosses(a: Curve, b: Curve, point: Pair, tolerance: float) -> bool:
    """Return True if two curves cross at a point that is not an end of either curve."""
    directions = []
    for curve in (a, b):
        t = curve.locate(point, tolerance)
        if t is None or min(math.dist(point, end) for end in (curve.start, curve.stop)) < tolerance:
            return False
        (along,) = curve.velocity(torch.tensor([t], dtype=torch.float64))
        directions.append(along / along.norm())
    (ax, ay), (bx, by) = directions
    # If the sine of the angle between them is larger, the curves cross; otherwise they touch.
    return bool((ax * by - ay * bx).abs() > 1e-6)


def _loops(curves: Sequence[Curve]) -> list[list[Curve]]:
    """Group the curves into closed loops, head to tail; each starts at the first unused curve."""
    left, found = list(curves), []
    while left:
        loop = [left.pop(0)]
        while left and math.dist(loop[-1].stop, loop[0].start) > 0:
            gaps = [math.dist(loop[-1].stop, curve.start) for curve in left]
            nearest = min(range(len(left)), key=gaps.__getitem__)
            if gaps[nearest] > math.dist(loop[-1].stop, loop[0].start):
                break
            loop.append(left.pop(nearest))
        found.append(loop)
    return found


def loop_form(points: Sequence[Pair]) -> PlanarSet:
    """Return the left side of a closed polygon as intersections and unions of its half planes.

    Each edge occurs in exactly one half plane.

    Reference: Dobkin, Guibas, Hershberger and Snoeyink, An efficient algorithm for finding the CSG
    representation of a simple polygon (1988).
    """
    corners = _without_flat(points)
    first, last = corners.index(min(corners)), corners.index(max(corners))
    corners = corners[first:] + corners[:first]
    split = (last - first) % len(corners)
    chains = (_chain(corners[: split + 1]), _chain([*corners[split:], corners[0]]))
    return _joined_at(corners[-1], corners[0], corners[1], chains)


def _chain(points: Sequence[Pair]) -> PlanarSet:
    """Return the left side of a chain of edges, with first and last edge extended to infinity.

    The chain is split recursively at its outermost corner.
    """
    if len(points) == 2:
        return HalfPlane(points[0], points[1])
    (ux, uy), (vx, vy) = _direction(points[1], points[0]), _direction(points[-2], points[-1])
    away = (-ux - vx, -uy - vy)  # both extended edges lead against this direction
    if math.hypot(*away) < 1e-9:
        away = (-uy, ux)
    reach = [away[0] * x + away[1] * y for x, y in points[1:-1]]
    far = 1 + reach.index(max(reach))
    chains = (_chain(points[: far + 1]), _chain(points[far:]))
    return _joined_at(points[far - 1], points[far], points[far + 1], chains)


def _joined_at(before: Pair, corner: Pair, after: Pair, chains: tuple[PlanarSet, ...]) -> PlanarSet:
    return All(chains) if _turn(before, corner, after) > 0 else Some(chains)


def _without_flat(points: Sequence[Pair]) -> list[Pair]:
    """Remove points on straight edges, where two edges would give the same half plane."""
    n = len(points)
    triples = ((points[i - 1], points[i], points[(i + 1) % n]) for i in range(n))
    return [p[1] for p in triples if abs(_turn(*p)) > 1e-12]


def _direction(a: Pair, b: Pair) -> Pair:
    length = math.dist(a, b)
    return (b[0] - a[0]) / length, (b[1] - a[1]) / length


def _turn(a: Pair, b: Pair, c: Pair) -> float:
    """Return the sine of the angle by which the path a, b, c turns left at b."""
    (ux, uy), (vx, vy) = _direction(a, b), _direction(b, c)
    return ux * vy - uy * vx
