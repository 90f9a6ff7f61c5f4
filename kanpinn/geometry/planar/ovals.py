"""Disks, ellipses, annuli and sectors."""

import math
from collections.abc import Iterable, Sequence

from kanpinn._support.errors import InputError, number
from kanpinn.geometry.curves.arcs import TURN, Arc
from kanpinn.geometry.curves.curve import XY, Curve, Pair, pair, two_names
from kanpinn.geometry.curves.segments import Segment
from kanpinn.geometry.planar.forms import All, HalfPlane, PlanarSet, Some, Within
from kanpinn.geometry.planar.planar import Planar


def Disk(
    center: Iterable[float | int],
    radius: float | int,
    *,
    name: str = "circle",
    names: Sequence[str] = XY,
) -> Planar:
    """Return the disk of all points at most `radius` from the centre.

    Its boundary is one piece with the name `name`.

    Args:
        center: the centre, two numbers.
        radius: the radius, above 0.
        name: the name of the boundary piece.
        names: the names of the two coordinates.

    Raises:
        InputError: if the centre is not a pair of finite numbers, or the radius is not finite and
            > 0.

    Example:
        >>> import kanpinn as kp
        >>> disk = kp.Disk((0, 0), 1)
        >>> f"{disk.measure:.4f}", disk.boundary.names
        ('3.1416', ('circle',))
    """
    center = pair("center", center)
    number("radius", radius, above=True)
    circle = _oval(center, (radius, radius), name=name, names=names)
    return Planar((circle,), Within(circle.conic), f"Disk({center}, {float(radius)})")


def Ellipse(
    center: Iterable[float | int],
    axes: Iterable[float | int],
    angle: float | int = 0.0,
    *,
    name: str = "ellipse",
    names: Sequence[str] = XY,
) -> Planar:
    """Return the ellipse with the semi-axes (a, b), rotated counter-clockwise by `angle`.

    Its boundary is one piece with the name `name`.

    Args:
        center: the centre, two numbers.
        axes: the lengths of the two semi-axes, above 0.
        angle: the angle from the first coordinate axis to the first semi-axis, in radians.
        name: the name of the boundary piece.
        names: the names of the two coordinates.

    Raises:
        InputError: if a number is not finite, or a semi-axis is not > 0.

    Example:
        >>> import kanpinn as kp
        >>> ellipse = kp.Ellipse((0, 0), (2, 1), name="rim")
        >>> f"{ellipse.measure:.4f}", ellipse.boundary.names
        ('6.2832', ('rim',))
    """
    center, axes = pair("center", center), pair("axes", axes)
    curve = _oval(center, axes, angle, name=name, names=names)
    label = f"Ellipse({center}, {axes}, {curve.angle})"
    return Planar((curve,), Within(curve.conic), label)


def Annulus(
    center: Iterable[float | int],
    inner: float | int,
    outer: float | int,
    *,
    names: Sequence[str] = XY,
) -> Planar:
    """Return the annulus between two concentric circles; its pieces are "inner" and "outer".

    Args:
        center: the centre, two numbers.
        inner: the smaller radius, above 0.
        outer: the larger radius.
        names: the names of the two coordinates.

    Raises:
        InputError: unless 0 < inner < outer < ∞.

    Example:
        >>> import kanpinn as kp
        >>> ring = kp.Annulus((0, 0), 1, 2)
        >>> f"{ring.measure:.4f}", ring.boundary.names
        ('9.4248', ('outer', 'inner'))
    """
    center = pair("center", center)
    number("inner", inner, above=True)
    number("outer", outer, float(inner), above=True)
    rim = _oval(center, (outer, outer), name="outer", names=names)
    hole = _oval(center, (inner, inner), name="inner", names=names, hole=True)
    form = All((Within(rim.conic), Within(hole.conic, inside=False)))
    return Planar((rim, hole), form, f"Annulus({center}, {float(inner)}, {float(outer)})")


def Sector(
    center: Iterable[float | int],
    radius: float | int,
    start: float | int,
    end: float | int,
    inner: float | int = 0.0,
    *,
    names: Sequence[str] = XY,
) -> Planar:
    """Return the sector of a disk, or of an annulus if inner > 0, between two angles.

    Its pieces are the straight sides "start" and "end", "arc" and, if inner > 0, "inner".

    Args:
        center: the centre of the disk, two numbers.
        radius: the outer radius.
        start: the angle of the first straight side, in radians.
        end: the angle of the second straight side, in radians, less than 2π above the first.
        inner: the inner radius; 0 for a sector of a disk.
        names: the names of the two coordinates.

    Raises:
        InputError: unless start < end < start + 2π and 0 ≤ inner < radius.

    Example:
        >>> import math
        >>> import kanpinn as kp
        >>> quarter = kp.Sector((0, 0), 1, 0, math.pi / 2)
        >>> f"{quarter.measure:.4f}", quarter.boundary.names
        ('0.7854', ('start', 'arc', 'end'))
    """
    center = pair("center", center)
    number("inner", inner)
    number("radius", radius, float(inner), above=True)
    number("start", start, -math.inf)
    number("end", end, float(start), above=True)
    if end - start >= TURN:
        raise InputError(f"end must be less than start + 2π, got {start} and {end}")
    names = two_names(names)
    arc = Arc(center, (radius, radius), 0.0, start, end, "arc", names)
    curves: list[Curve] = [arc]
    tip = (center, center)
    if inner:
        back = Arc(center, (inner, inner), 0.0, end, start, "inner", names)
        curves.append(back)
        tip = (back.stop, back.start)
    first = Segment(tip[0], arc.start, "start", names)
    last = Segment(arc.stop, tip[1], "end", names)
    label = f"Sector({center}, {float(radius)}, {start}, {end}, {float(inner)})"
    return Planar((first, *curves[:1], last, *curves[1:]), _wedge(first, arc, last, inner), label)


def _oval(
    center: Pair,
    axes: Pair,
    angle: float | int = 0.0,
    *,
    name: str,
    names: Sequence[str],
    hole: bool = False,
) -> Arc:
    return Arc(center, axes, angle, 0.0, -TURN if hole else TURN, name, two_names(names))


def _wedge(first: Segment, arc: Arc, last: Segment, inner: float) -> PlanarSet:
    """Return a sector as a set: its two half planes are intersected up to π, united above."""
    sides = (HalfPlane(first.a, first.b), HalfPlane(last.a, last.b))
    wedge = All(sides) if arc.sweep <= math.pi else Some(sides)
    rims = [Within(arc.conic)]
    if inner:
        rims.append(Within(Arc(arc.center, (inner, inner)).conic, inside=False))
    return All((*rims, wedge))
