"""Intersections of two curves, the parts between them, and merging of parts of one curve."""

import itertools
import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kanpinn.geometry.curves.arcs import Arc
from kanpinn.geometry.curves.curve import Curve, Pair
from kanpinn.geometry.curves.segments import Segment


def crossings(a: Curve, b: Curve, tolerance: float) -> list[Pair]:
    """Return the points where two curves cross or touch, and their end points on the other curve.

    Overlapping curves have the two ends of the overlap as their points. Curves that approach each
    other within the tolerance without crossing have one common point there.
    """
    found = [a.start, a.stop, b.start, b.stop, *_CARRIERS[type(a), type(b)](a, b, tolerance)]
    on = [p for p in found if all(c.locate(p, 2 * tolerance) is not None for c in (a, b))]
    apart: list[Pair] = []
    for point in on:
        if all(math.dist(point, other) > 4 * tolerance for other in apart):
            apart.append(point)
    return apart


def meeting(
    first: Sequence[Curve], second: Sequence[Curve], tolerance: float
) -> list[tuple[int, int]]:
    """Return the pairs (i, j) for which the bounding boxes of first[i] and second[j] intersect."""
    (low, high), (low_2, high_2) = (
        np.array([curve.bounds for curve in curves]).swapaxes(0, 1) for curves in (first, second)
    )
    apart = (low[:, None] > high_2 + tolerance) | (low_2 > high[:, None] + tolerance)
    return [(int(i), int(j)) for i, j in np.argwhere(~apart.any(axis=2))]


def divided_at(
    curve: Curve, points: Sequence[Pair], tolerance: float, shortest: float
) -> list[Curve]:
    """Return the parts of a curve between points on it, in its direction.

    Points that would make a part shorter than `shortest` are left out, and so are points that are
    not on the curve.
    """
    found = (curve.locate(point, 4 * tolerance) for point in points)
    least = shortest / curve.measure
    cuts = [0.0]
    for t in sorted(t for t in found if t is not None):
        if cuts[-1] + least < t < 1 - least:
            cuts.append(t)
    return [curve.part(s, t) for s, t in itertools.pairwise([*cuts, 1.0])]


def merged(curves: list[Curve], tolerance: float) -> list[Curve]:
    """Join consecutive curves of the same name on one line or ellipse; keep all other curves."""
    curves = list(curves)
    pieces = Counter(curve.name for curve in curves)
    for curve in [one for one in curves if pieces[one.name] > 1]:
        while any(one is curve for one in curves):
            others = [c for c in curves if c.name == curve.name and c is not curve]
            found = ((c, _whole(curve, c, curves, tolerance)) for c in others)
            follower, whole = next((pair for pair in found if pair[1]), (None, None))
            if follower is None or whole is None:
                break
            curves = [whole if c is curve else c for c in curves if c is not follower]
            curve = whole
    return curves


def _whole(first: Curve, second: Curve, curves: Sequence[Curve], tolerance: float) -> Curve | None:
    """Return both curves as one if the second one continues the first one, otherwise None."""
    joint, reach = first.stop, 16 * tolerance
    if math.dist(joint, second.start) > reach:
        return None
    # If several curves start at the joint, it is a corner of the domain.
    corner = sum(math.dist(joint, curve.start) <= reach for curve in curves) != 1
    if corner or not first.same_carrier(second, 4 * tolerance):
        return None
    return first.joined(second)


def _lines(a: Segment, b: Segment, tolerance: float) -> list[Pair]:
    p, q = np.array(a.a), np.array(b.a)
    along, other = np.array(a.b) - p, np.array(b.b) - q
    sine = along[0] * other[1] - along[1] * other[0]
    # Lines with such a small sine of the angle between them count as parallel.
    if abs(sine) <= 1e-12 * a.measure * b.measure:
        return []
    gap = q - p
    x, y = p + (gap[0] * other[1] - gap[1] * other[0]) / sine * along
    return [(float(x), float(y))]


def _line_and_conic(line: Segment, arc: Arc, tolerance: float) -> list[Pair]:
    """Intersect a line and an ellipse: roots of |p + t d|² = 1 in the ellipse's local frame."""
    conic = arc.conic
    p, end = (conic.local_point(point) for point in (line.a, line.b))
    d = end - p
    middle = -(p @ d) / (d @ d)
    foot = p + middle * d  # the point of the line nearest to the centre
    depth = 1 - foot @ foot
    if abs(depth) <= 2 * tolerance / min(conic.axes):
        steps = [0.0]
    elif depth < 0:
        return []
    else:
        half = math.sqrt(depth / (d @ d))
        steps = [-half, half]
    start, along = np.array(line.a), np.array(line.b) - np.array(line.a)
    points = [start + (middle + step) * along for step in steps]
    return [(float(x), float(y)) for x, y in points]


def _conics(one: Arc, other: Arc, tolerance: float) -> list[Pair]:
    """Intersect two ellipses a and b: zeros of F(θ) = |γ_b(θ) in the local frame of a|² - 1.

    F is a trigonometric polynomial of degree 2 and monotone between neighbouring zeros of F'. Such
    an interval contains one zero if the signs of F at its ends differ. A zero of F' at which F is 0
    is a point of contact.
    """
    if one.same_carrier(other, tolerance):
        return []
    a, b = one.conic, other.conic
    offset = a.local_point(b.center)
    frame = b.frame @ a.to_local.T
    c, s = frame @ offset * 2
    uu, uv, vv = frame[0] @ frame[0], frame[0] @ frame[1], frame[1] @ frame[1]
    mean = offset @ offset + (uu + vv) / 2 - 1

    def value(t: float) -> float:
        twice = (uu - vv) / 2 * math.cos(2 * t) + uv * math.sin(2 * t)
        return float(mean + c * math.cos(t) + s * math.sin(t) + twice)

    turning = _angles((s, 2 * uv), (-c, vv - uu))
    if not turning:
        return []
    contact = 2 * tolerance / min(a.axes)
    return [b.point(t) for t in _zeros(value, turning, contact)]


def _angles(cosines: tuple[float, float], sines: tuple[float, float]) -> list[float]:
    """Return the zeros of Σ_k cosines_k cos kθ + sines_k sin kθ; some extra angles may occur."""
    c1, c2, s1, s2 = *cosines, *sines
    powers = [complex(c2, -s2), complex(c1, -s1), 0.0, complex(c1, s1), complex(c2, s2)]
    largest = max(abs(power) for power in powers)
    roots = np.roots([0.0 if abs(power) < 1e-15 * largest else power for power in powers])
    # Rounding separates double roots e^{iθ} by about the square root of eps, off the unit circle,
    # hence the wide range of |root|. The callers tolerate extra angles.
    return sorted(float(np.angle(root)) for root in roots if 0.9 < abs(root) < 1.1)


def _zeros(value: Callable[[float], float], turning: list[float], contact: float) -> list[float]:
    from scipy.optimize import brentq  # the import takes a quarter of a second

    values = [value(t) for t in turning]
    zeros = [t for t, v in zip(turning, values, strict=True) if abs(v) <= contact]
    ends = itertools.pairwise([*turning, turning[0] + 2 * math.pi])
    for (low, high), (first, last) in zip(
        ends, itertools.pairwise([*values, values[0]]), strict=True
    ):
        if min(abs(first), abs(last)) > contact and first * last < 0:
            zeros.append(brentq(value, low, high, xtol=1e-15, rtol=4 * np.finfo(float).eps))
    return zeros


# The functions that intersect the whole lines or ellipses, by the types of the two curves.
_CARRIERS: dict[tuple[type, type], Callable[[Any, Any, float], list[Pair]]] = {
    (Segment, Segment): _lines,
    (Segment, Arc): _line_and_conic,
    (Arc, Segment): lambda arc, line, tolerance: _line_and_conic(line, arc, tolerance),
    (Arc, Arc): _conics,
}
