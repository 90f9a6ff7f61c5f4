"""Planar shapes: polygons, disks, ellipses, sectors and annuli."""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import shapely

from kanpinn._support.errors import InputError, number
from kanpinn.geometry.box import Box
from kanpinn.geometry.curves import TURN, XY, Arc, Curve, Pair, Segment, pair, two_names
from kanpinn.geometry.levels import Level, complement, intersection, union
from kanpinn.geometry.planar import Planar


def Triangle(
    a: Iterable[float | int],
    b: Iterable[float | int],
    c: Iterable[float | int],
    *,
    pieces: Sequence[str] | None = None,
    names: Sequence[str] = XY,
) -> Planar:
    """Return the triangle with the corners a, b and c.

    The pieces of the boundary are "edge_0" from a to b, "edge_1" from b to c and "edge_2".

    Args:
        a: the first corner, two numbers.
        b: the second corner.
        c: the third corner.
        pieces: names of the edges in place of "edge_0", "edge_1" and "edge_2".
        names: the names of the two coordinates.

    Raises:
        InputError: if the corners lie on one line, or one is not a pair of finite numbers.

    Example:
        >>> import kanpinn as kp
        >>> kp.Triangle((0, 0), (1, 0), (0, 1)).measure
        0.5
    """
    return Polygon([a, b, c], pieces=pieces, names=names)


def Polygon(
    vertices: Any,
    holes: Iterable[Any] = (),
    *,
    pieces: Sequence[str] | None = None,
    names: Sequence[str] = XY,
) -> Planar:
    """Return a polygon with holes, given by its corners in either direction.

    Edge i runs between corner i and the next one. Its name is "edge_i"; the edges of hole h have
    the names "hole_h_edge_i".

    Args:
        vertices: three or more corners, or a shapely polygon, which includes its holes.
        holes: the corners of each hole.
        pieces: names of the outer edges in place of "edge_0", ...; several edges may have the same
            name.
        names: the names of the two coordinates.

    Raises:
        InputError: if the polygon is empty, degenerate or self-intersecting, or a hole is not
            inside it or meets another hole.

    Example:
        >>> import kanpinn as kp
        >>> hole = [(1, 1), (2, 1), (2, 2), (1, 2)]
        >>> frame = kp.Polygon([(0, 0), (3, 0), (3, 3), (0, 3)], holes=[hole])
        >>> frame.measure, frame.boundary.names[-1]
        (8.0, 'hole_0_edge_0')
    """
    if isinstance(vertices, shapely.Polygon):
        holes = [list(ring.coords) for ring in vertices.interiors]
        vertices = list(vertices.exterior.coords)
    outline = _corners("vertices", vertices)
    inner = [_corners(f"holes[{i}]", hole) for i, hole in enumerate(holes)]
    _check_polygon(outline, inner)
    names = two_names(names)
    tags = [f"edge_{i}" for i in range(len(outline))] if pieces is None else list(pieces)
    if len(tags) != len(outline):
        raise InputError(f"pieces must have a name for each of {len(outline)} edges, got {tags}")
    rings = [_ring(outline, tags, names, 1)]
    for h, hole in enumerate(inner):
        edges = [f"hole_{h}_edge_{i}" for i in range(len(hole))]
        rings.append(_ring(hole, edges, names, -1))
    label = f"Polygon({outline}{f', holes={inner}' if inner else ''})"
    return Planar(tuple(edge for ring in rings for edge in ring), label=label)


def LShape(*, names: Sequence[str] = XY) -> Planar:
    """Return the L-shaped domain [-1, 1]² without [0, 1]²; its angle at the origin is 3π/2.

    The pieces are "x_min", "x_max", "y_min", "y_max", and at the corner "notch_x" on x = 0 and
    "notch_y" on y = 0.

    Args:
        names: the names of the two coordinates.

    Example:
        >>> import kanpinn as kp
        >>> kp.LShape().measure, kp.LShape().boundary["notch_x", "notch_y"].measure
        (3.0, 2.0)
    """
    corners = [(-1, -1), (1, -1), (1, 0), (0, 0), (0, 1), (-1, 1)]
    pieces = ["y_min", "x_max", "notch_y", "notch_x", "y_max", "x_min"]
    domain = Polygon(corners, pieces=pieces, names=names)
    return Planar(domain.curves, label="LShape()")


def rectangle(box: Box) -> Planar:
    """Return a two-dimensional box as a planar domain, with the names of the box's pieces.

    Raises:
        InputError: if the box does not have two dimensions.
    """
    if box.dim != 2:
        raise InputError(f"a planar domain must have two coordinates, got {box!r}")
    (_, left, right), (_, bottom, top) = box.ranges
    corners = [(left, bottom), (right, bottom), (right, top), (left, top)]
    x, y = box.names
    edges = _ring(corners, [f"{y}_min", f"{x}_max", f"{y}_max", f"{x}_min"], box.names, 1)
    return Planar(tuple(edges), label=repr(box))


def _corners(name: str, vertices: Any) -> list[Pair]:
    try:
        corners = [pair(f"{name}[{i}]", corner) for i, corner in enumerate(vertices)]
    except TypeError:
        raise InputError(f"{name} must be a sequence of points, got {vertices!r}") from None
    if len(corners) > 1 and corners[0] == corners[-1]:
        del corners[-1]  # a closed ring repeats its first point at the end
    if len(corners) < 3:
        raise InputError(f"{name} must be three or more corners, got {corners}")
    if any(a == b for a, b in pairwise(corners)):
        raise InputError(f"{name} must not have the same corner twice in a row, got {corners}")
    return corners


def _check_polygon(outline: list[Pair], holes: list[list[Pair]]) -> None:
    whole = shapely.Polygon(outline, holes)
    if not whole.is_valid:
        raise InputError(f"a polygon must be valid: {shapely.is_valid_reason(whole)}")
    if not whole.area > 0:
        raise InputError(f"a polygon must have an area > 0, got the corners {outline}")


def _ring(
    corners: Sequence[Pair], tags: Sequence[str], names: tuple[str, ...], way: int
) -> list[Segment]:
    """Return the edges of a polygon, counter-clockwise for way = 1, clockwise for way = -1."""
    ends = list(zip(corners, [*corners[1:], corners[0]], strict=True))
    edges = [Segment(a, b, tag, names) for (a, b), tag in zip(ends, tags, strict=True)]
    if way * sum(edge.moment(corners[0]) for edge in edges) < 0:
        edges = [Segment(edge.b, edge.a, edge.name, names) for edge in reversed(edges)]
    return edges


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
    return Planar((circle,), circle.level, f"Disk({center}, {float(radius)})")


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
    return Planar((curve,), curve.level, label)


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
    form = intersection(rim.level, complement(hole.level))
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


def _wedge(first: Segment, arc: Arc, last: Segment, inner: float) -> Level:
    """Return the level function of a sector: two half planes, intersected up to π, united above."""
    wedge = (intersection if arc.sweep <= math.pi else union)(first.level, last.level)
    rims = [arc.level]
    if inner:
        rims.append(complement(Arc(arc.center, (inner, inner)).level))
    return intersection(*rims, wedge)
