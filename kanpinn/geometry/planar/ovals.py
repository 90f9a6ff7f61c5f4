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
    """The points at most `radius` from the centre; its boundary is one piece, `name`.

    Args:
        center: the centre, two numbers.
        radius: above 0.
        name: of the boundary's piece.
        names: of the coordinates.

    Raises:
        InputError: for a centre that is no point, or a radius that is not finite and > 0.
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
    """An ellipse with the semi-axes (a, b), the first turned by `angle` from x to y.

    Its boundary is one piece, `name`.

    Args:
        center: the centre, two numbers.
        axes: the lengths of the two semi-axes, above 0.
        angle: between the first coordinate and the first semi-axis, in radians.
        name: of the boundary's piece.
        names: of the coordinates.

    Raises:
        InputError: for numbers that are not finite, or semi-axes that are not > 0.
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
    """The points at a distance between two radii; its pieces are "inner" and "outer".

    Args:
        center: the centre, two numbers.
        inner: the smaller radius, above 0.
        outer: the larger radius.
        names: of the coordinates.

    Raises:
        InputError: unless 0 < inner < outer < ∞.
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
    """The part of a disk, or with inner > 0 of an annulus, at angles from start to end in radians.

    Its pieces are "start" and "end", which are straight, "arc" and, with inner > 0, "inner".

    Args:
        center: the tip, two numbers.
        radius: the outer radius.
        start: the angle of the first straight side.
        end: the angle of the second straight side, less than 2π above the first.
        inner: the inner radius; 0 for a sector of a disk.
        names: of the coordinates.

    Raises:
        InputError: unless start < end < start + 2π and 0 ≤ inner < radius.
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
    """A sector as a set: between two half planes up to the angle π, in one of them beyond."""
    sides = (HalfPlane(first.a, first.b), HalfPlane(last.a, last.b))
    wedge = All(sides) if arc.sweep <= math.pi else Some(sides)
    rims = [Within(arc.conic)]
    if inner:
        rims.append(Within(Arc(arc.center, (inner, inner)).conic, inside=False))
    return All((*rims, wedge))
