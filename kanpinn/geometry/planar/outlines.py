"""Curves head to tail: what makes them the boundary of a domain."""

import math
from collections.abc import Sequence

import torch

from kanpinn._support.errors import InputError
from kanpinn.geometry.curves.crossings import crossings, meeting
from kanpinn.geometry.curves.curve import Curve, Pair
from kanpinn.geometry.curves.segments import Segment
from kanpinn.geometry.planar.chains import loop_form
from kanpinn.geometry.planar.forms import All, Form, Some

JOIN = 1e-9  # ends of curves so close, relative to the coordinates, are one point
TOUCH = 1e-12  # likewise for curves that meet elsewhere
TRANSVERSAL = 1e-6  # the sine of the angle at which curves cross for certain


def check_ends(curves: Sequence[Curve], joints: Sequence[int]) -> None:
    """Refuse loose ends; the joints are those of start and end of each curve in turn."""
    for i, joint in enumerate(joints):
        if joints[0::2].count(joint) != joints[1::2].count(joint):
            point = curves[i // 2].stop if i % 2 else curves[i // 2].start
            raise InputError(
                "the curves of a planar domain must run head to tail into closed loops, got "
                f"a loose end of {curves[i // 2].name!r} at {point}"
            )


def check_crossings(curves: Sequence[Curve], scale: float) -> None:
    """Refuse curves that cross at inner points of both."""
    tolerance = TOUCH * scale
    for i, j in meeting(curves, curves, tolerance):
        for point in crossings(curves[i], curves[j], tolerance) if i < j else []:
            if _crosses(curves[i], curves[j], point, JOIN * scale):
                raise InputError(
                    "the boundary of a planar domain must not cross itself, got "
                    f"{curves[i].name!r} and {curves[j].name!r} crossing at {point}"
                )


def straight_form(curves: Sequence[Curve]) -> Form | None:
    """Of curves that are all straight: what is in one of the outer loops and in no hole.

    It is wrong for an island in a hole.
    """
    if not all(isinstance(curve, Segment) for curve in curves):
        return None
    outer: list[Form] = []
    holes: list[Form] = []
    for loop in _loops(curves):
        area = sum(curve.moment(loop[0].start) for curve in loop)
        (outer if area > 0 else holes).append(loop_form([curve.start for curve in loop]))
    return All((*(outer if len(outer) == 1 else [Some(tuple(outer))]), *holes))


def _crosses(a: Curve, b: Curve, point: Pair, tolerance: float) -> bool:
    """Whether two curves cross at a point that is an end of neither."""
    directions = []
    for curve in (a, b):
        t = curve.locate(point, tolerance)
        if t is None or min(math.dist(point, end) for end in (curve.start, curve.stop)) < tolerance:
            return False
        (along,) = curve.velocity(torch.tensor([t], dtype=torch.float64))
        directions.append(along / along.norm())
    (ax, ay), (bx, by) = directions
    return bool((ax * by - ay * bx).abs() > TRANSVERSAL)


def _loops(curves: Sequence[Curve]) -> list[list[Curve]]:
    """The curves head to tail, each loop from the first curve that is left."""
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
