"""Curves that are parts of one curve, put together again."""

import math
from collections.abc import Sequence

from kanpinn.geometry.curves.arcs import TURN, Arc
from kanpinn.geometry.curves.curve import Curve
from kanpinn.geometry.curves.segments import Segment


def merged(curves: list[Curve], tolerance: float) -> list[Curve]:
    """Parts of one curve that follow each other as one piece again."""
    curves = list(curves)
    for curve in list(curves):
        while curve in curves:
            follower = next((c for c in curves if _follows(curve, c, curves, tolerance)), None)
            if follower is None:
                break
            curves[curves.index(curve)] = whole = _together(curve, follower)
            curves.remove(follower)
            curve = whole
    return curves


def _follows(first: Curve, second: Curve, curves: Sequence[Curve], tolerance: float) -> bool:
    if first is second or first.name != second.name or type(first) is not type(second):
        return False
    joint, reach = first.stop, 16 * tolerance
    if math.dist(joint, second.start) > reach or not first.same_carrier(second, 4 * tolerance):
        return False
    if isinstance(first, Arc) and isinstance(second, Arc):
        # The same ellipse may be given by other axes: its angles are then not the first's.
        one_way = first.sweep * second.sweep > 0
        if not one_way or first.axes != second.axes or first.angle != second.angle:
            return False
    # Where more curves meet the joint is a corner of the domain.
    return sum(math.dist(joint, curve.start) <= reach for curve in curves) == 1


def _together(first: Curve, second: Curve) -> Curve:
    if isinstance(first, Segment) and isinstance(second, Segment):
        return Segment(first.a, second.b, first.name, first.names)
    assert isinstance(first, Arc) and isinstance(second, Arc)
    sweep = first.sweep + second.sweep
    sweep = math.copysign(TURN, sweep) if abs(sweep) > TURN - 1e-9 else sweep
    return Arc(
        first.center,
        first.axes,
        first.angle,
        first.first,
        first.first + sweep,
        first.name,
        first.names,
    )
