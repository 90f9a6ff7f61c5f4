"""Planar domains bounded by closed curves, among them polygons, disks, ellipses and sectors.

For Gauss rules the domains are divided into horizontal slabs between two curves.
"""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import shapely
import torch
from torch import Tensor

from kanpinn._support.errors import InputError, NumericalError, number
from kanpinn._support.shapes import Column, Coords, Mask, Vector, Weights
from kanpinn.geometry.box import Box
from kanpinn.geometry.curves import (
    TURN,
    XY,
    Arc,
    Curve,
    Pair,
    Segment,
    Side,
    abscissa,
    crossings,
    meeting,
    pair,
    two_names,
)
from kanpinn.geometry.domain import Boundary, Domain
from kanpinn.geometry.points import Points
from kanpinn.geometry.rules import gauss_legendre

# The distance within which ends of curves count as one point, relative to the coordinates.
JOINT = 1e-9


def _check_crossings(curves: Sequence[Curve], scale: float) -> None:
    """Check that no two curves cross each other at inner points of both curves.

    Args:
        curves: the curves.
        scale: the size of the coordinates, to which the tolerances are relative.

    Raises:
        InputError: if two curves cross; the message names the curves and the point.
    """
    tolerance = 1e-12 * scale  # closer curves count as touching
    for i, j in meeting(curves, curves, tolerance):
        for point in crossings(curves[i], curves[j], tolerance) if i < j else []:
            directions = []
            for curve in (curves[i], curves[j]):
                t = curve.locate(point, JOINT * scale)
                gap = min(math.dist(point, end) for end in (curve.start, curve.stop))
                if t is not None and gap >= JOINT * scale:
                    (along,) = curve.velocity(torch.tensor([t], dtype=torch.float64))
                    directions.append(along / along.norm())
            # Curves with a smaller sine of the angle between their directions only touch.
            if (
                len(directions) == 2
                and float(torch.linalg.det(torch.stack(directions)).abs()) > 1e-6
            ):
                raise InputError(
                    "the boundary of a planar domain must not cross itself, got "
                    f"{curves[i].name!r} and {curves[j].name!r} crossing at {point}"
                )


@dataclass(frozen=True)
class Slab:
    """A region between two graphs: left(y) < x < right(y) for low < y < high.

    Args:
        left, right: the graphs x(y), each a part of a line or ellipse.
        low, high: the heights y at which the slab begins and ends.
    """

    left: Side
    right: Side
    low: float
    high: float


def slab_rule(parts: Sequence[Slab], nodes: int, width: float = 0.0) -> tuple[Coords, Weights]:
    """Return points (n, 2) and positive weights (n,) of products of Gauss rules in slabs.

    A substitution in y removes square-root singularities at the ends of a slab.

    Args:
        parts: the slabs.
        nodes: the number of nodes of each one-dimensional rule.
        width: the width of the domain. Slabs whose sides are straight and shorter than a quarter of
            the width have fewer nodes in y, in proportion to the length of the sides, but at least
            4. 0 for `nodes` nodes in y in all slabs.
    """
    unit, weights = gauss_legendre(nodes)
    coords, areas = [], []
    for cell in parts:
        size, count = cell.high - cell.low, nodes
        if width and not (cell.left.q or cell.right.q):
            longest = size * max(1, abs(cell.left.p), abs(cell.right.p))
            count = min(nodes, max(4, math.ceil(4 * nodes * longest / width)))
        share, along = _heights_rule(cell, *gauss_legendre(count))
        y = cell.low + size * share
        left, right = cell.left.x(y)[:, None], cell.right.x(y)[:, None]
        x = left + (right - left) * unit
        coords.append(torch.stack([x, y[:, None].expand_as(x)], dim=2).reshape(-1, 2))
        areas.append((size * along[:, None] * (right - left) * weights).flatten())
    wide = torch.cat(areas) > 0  # where the sides of a slab touch, the weights are 0
    return torch.cat(coords)[wide], torch.cat(areas)[wide]


def _heights_rule(cell: Slab, unit: Tensor, weights: Tensor) -> tuple[Weights, Weights]:
    """Return nodes and weights, (n,) each, on [0, 1] for integrals over the height of a slab.

    The integrands may have square-root singularities at an end where a side of the slab has a
    square-root singularity.

    Args:
        cell: the slab.
        unit, weights: the Gauss-Legendre nodes and weights on [0, 1], (n,) each.
    """
    sides, tolerance = (cell.left, cell.right), 1e-12 * (cell.high - cell.low)
    at_low = any(cell.low - side.branches[0] <= tolerance for side in sides)
    at_high = any(side.branches[1] - cell.high <= tolerance for side in sides)
    if at_low and at_high:
        if cell.left.conic == cell.right.conic:
            # Both sides are halves of one ellipse: the integral over x is a smooth function of y
            # times a square root, for which the Gauss-Chebyshev rule of the second kind is suited.
            n = len(unit)
            s = torch.arange(1, n + 1, dtype=unit.dtype) * (torch.pi / (n + 1))
            return (s / 2).sin() ** 2, s.sin() * (torch.pi / (2 * (n + 1)))
        s = unit * torch.pi
        return (s / 2).sin() ** 2, s.sin() * (torch.pi / 2) * weights
    if at_low:
        return unit**2, 2 * unit * weights
    if at_high:
        return unit * (2 - unit), 2 * (1 - unit) * weights
    return unit, weights


def slabs(sides: Sequence[Side]) -> list[Slab]:
    """Divide a planar domain into horizontal slabs between two graphs x(y), as high as possible.

    Slabs are cut near singularities of the graphs, where Gauss rules would converge slowly.

    Args:
        sides: the monotone parts of the domain's boundary, as graphs.
    """
    open_cells: dict[tuple[Side, Side], float] = {}  # the lower end of each unfinished slab
    done: list[Slab] = []
    ends = sorted({end for side in sides for end in (side.low, side.high)})
    gap = 1e-12 * (ends[-1] - ends[0])  # heights closer than this count as equal
    heights = [y for i, y in enumerate(ends) if i == 0 or y - ends[i - 1] > gap]
    for low, high in itertools.pairwise(heights):
        pairs = _pairs(sides, low, high)
        for both in [both for both in open_cells if both not in pairs]:
            done.append(Slab(*both, open_cells.pop(both), low))
        for both in pairs:
            open_cells.setdefault(both, low)
    done += [Slab(*both, low, heights[-1]) for both, low in open_cells.items()]
    return [part for cell in done for part in _cut(cell)]


def _pairs(sides: Sequence[Side], low: float, high: float) -> list[tuple[Side, Side]]:
    """Return the left and the right side of each slab between the heights `low` and `high`.

    No side begins or ends between these two heights.

    Args:
        sides: the monotone parts of a domain's boundary, as graphs x(y).
        low, high: the heights.
    """
    middle = (low + high) / 2
    # Sides do not cross but may touch at one height, so compare them at three heights.
    y = low + (high - low) * torch.tensor([0.38, 0.5, 0.62], dtype=torch.float64)
    crossed = [side for side in sides if side.low < middle < side.high]
    crossed.sort(key=lambda side: float(side.x(y).sum()))
    return list(zip(crossed[0::2], crossed[1::2], strict=True))


def _cut(cell: Slab) -> list[Slab]:
    """Cut a slab at heights so that Gauss rules converge fast on each part.

    The singularities of the graphs at its left and right are then at ends of parts, or well outside
    them.
    """
    size = cell.high - cell.low
    below = [cell.low - side.branches[0] for side in (cell.left, cell.right)]
    above = [side.branches[1] - cell.high for side in (cell.left, cell.right)]
    # 24 nodes give an error of 1e-12 if the distance from singularities is above this fraction of a
    # part's height.
    close = 0.1
    for gaps, sign, end in ((below, 1, cell.low), (above, -1, cell.high)):
        near = [gap for gap in gaps if 1e-12 * size < gap < close * size]
        if near:
            # The part next to the singularity is as high as its distance from the singularity
            # allows.
            middle = end + sign * min(near) / close
            if cell.low < middle < cell.high:
                lower = Slab(cell.left, cell.right, cell.low, middle)
                upper = Slab(cell.left, cell.right, middle, cell.high)
                return [*_cut(lower), *_cut(upper)]
    return [cell]


def windings(sides: Tensor, owner: Tensor, coords: Coords, count: int) -> Tensor:
    """Return the winding numbers of closed curves around points, (n, count).

    Args:
        sides: the S monotone parts of the curves, a column for each, (8, S). Its rows are low,
            high, the direction (1 upwards, -1 downwards), and the parameters cx, cy, p, q and A of
            the graph x(y) = cx + p (y - cy) + q sqrt(A² - (y - cy)²).
        owner: the number of the curve to which each monotone part belongs, (S,).
        coords: the points (n, 2).
        count: the number of curves.
    """
    low, high, up, *shape = sides
    rows, numbers = max(1, 2**21 // max(1, len(low))), []  # at most 2²¹ pairs fit into memory
    for part in coords.split(rows):  # count the sides to the right of each point, with signs
        y = part[:, 1:]
        point, side = ((low <= y) & (y < high)).nonzero().unbind(1)  # pairs at the same height
        ahead = abscissa(y[point, 0], *(column[side] for column in shape)) > part[point, 0]
        turns = up.new_zeros(len(part) * count)
        turns.index_add_(0, point * count + owner[side], up[side] * ahead)
        numbers.append(turns.view(-1, count))
    return torch.cat(numbers)


@dataclass(frozen=True, repr=False)
class Planar(Domain):
    """A planar domain on the left of its boundary curves.

    Outer curves run counter-clockwise, curves around holes clockwise. The curves may be given in
    any order. Each curve ends where a curve starts, which for a whole circle is the same curve.

    Args:
        curves: the pieces of the boundary.
        label: the repr of the domain; None lists the curves.

    Raises:
        InputError: if the curves do not form closed loops, cross each other, have different
            coordinates, or do not enclose an area > 0.

    Example:
        >>> import kanpinn as kp
        >>> corners = [(0, 0), (2, 0), (1, 1)]
        >>> sides = [kp.Segment(a, b) for a, b in zip(corners, corners[1:] + corners[:1])]
        >>> kp.Planar(tuple(sides)).measure
        1.0
    """

    curves: tuple[Curve, ...]
    label: str | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not self.curves:
            raise InputError("a planar domain must have at least one curve, got none")
        if len({curve.names for curve in self.curves}) > 1:
            raise InputError("the curves of a planar domain must have the same coordinates")
        (lx, ly), (hx, hy) = self._box
        if not min(hx - lx, hy - ly) > 2 * JOINT * self.scale:
            raise InputError(
                f"a planar domain from ({lx:g}, {ly:g}) to ({hx:g}, {hy:g}) is too small beside "
                "its coordinates to be resolved: move it towards the origin, or scale an axis"
            )
        joints = self._joints[0]
        for i, joint in enumerate(joints):
            if joints[0::2].count(joint) != joints[1::2].count(joint):
                curve = self.curves[i // 2]
                raise InputError(
                    "the curves of a planar domain must run head to tail into closed loops, got "
                    f"a loose end of {curve.name!r} at {curve.stop if i % 2 else curve.start}"
                )
        # A smaller area counts as 0, because of rounding.
        if not self.measure > 1e-14 * math.dist(*self._box) ** 2:
            raise InputError(
                "the curves of a planar domain must run around it counter-clockwise and around "
                f"its holes clockwise, and enclose an area > 0, got {self.measure:.3g}"
            )
        _check_crossings(self.curves, self.scale)

    def __repr__(self) -> str:
        return self.label or f"Planar({', '.join(map(repr, self.curves))})"

    @property
    def names(self) -> tuple[str, ...]:
        return self.curves[0].names

    @cached_property
    def measure(self) -> float:
        (lx, ly), (hx, hy) = self._box
        middle = ((lx + hx) / 2, (ly + hy) / 2)  # keeps rounding errors of the sum small
        return math.fsum(curve.moment(middle) for curve in self.curves)

    @property
    def bounds(self) -> tuple[Vector, Vector]:
        low, high = torch.tensor(self._box, dtype=torch.float64)
        return low, high

    @property
    def boundary(self) -> Boundary:
        return Boundary(self.curves)

    @cached_property
    def scale(self) -> float:
        """The largest absolute value of the coordinates, the scale of rounding errors."""
        (lx, ly), (hx, hy) = self._box
        return max(map(abs, (lx, ly, hx, hy)))

    def contains(self, coords: Coords, tolerance: float = 0.0) -> Mask:
        inside = self.encloses(coords)
        # Boundary points belong to the domain, so allow for the rounding of their coordinates.
        reach = abs(tolerance) or 64 * torch.finfo(coords.dtype).eps * self.scale
        close = torch.zeros_like(inside)
        for curve in self.curves:
            rows = curve.near(coords, reach).nonzero()[:, 0]
            if len(rows):
                gaps = (coords[rows] - curve.nearest(coords[rows])).norm(dim=1)
                close[rows] |= gaps <= reach
        return inside & ~close if tolerance < 0 else inside | close

    def encloses(self, coords: Coords) -> Mask:
        """Return a mask (n,) of the points with a positive winding number.

        The result is arbitrary for points on the boundary.
        """
        sides = self.side_table.to(coords)
        return windings(sides, torch.zeros_like(sides[0]).long(), coords, 1)[:, 0] > 0

    def level(self, coords: Coords) -> Column:
        """Return the level function: 0 on the boundary, > 0 inside, < 0 outside.

        The level function is ± 1 / Σ 1/φ_i. The function φ_i is 0 on curve i and > 0 elsewhere, and
        near the curve it is the distance from the curve to first order. The level function is twice
        differentiable inside, and its gradient has a length of about 1 on smooth parts of the
        boundary.

        Args:
            coords: points (n, 2).

        Returns:
            The values (n, 1).

        Reference: Biswas and Shapiro, Approximate distance fields with non-vanishing gradients
        (2004).
        """
        # Keep φ > 0: second derivatives of the result contain 1/φ⁴ and must stay finite on a curve.
        least, inverse = torch.finfo(coords.dtype).tiny ** 0.4, torch.zeros_like(coords[:, :1])
        for curve in self.curves:
            assert curve.level is not None
            f, t = curve.level(coords), curve.extent(coords)
            square = f.square() + least
            if t is not None:  # the curve is the part t ≥ 0 of the line or ellipse f = 0
                square = square + (((t.square() + f.pow(4) + least).sqrt() - t) / 2).square()
            inverse = inverse + 1 / square.sqrt()
        return torch.where(self.encloses(coords)[:, None], 1 / inverse, -1 / inverse)

    def quadrature(self, nodes: int) -> tuple[Points, Weights]:
        """Return a rule with at most nodes² points in each horizontal slab between the curves.

        The points are in float64, with positive weights (n,) for n points.
        """
        (lx, ly), (hx, hy) = self._box
        coords, weights = slab_rule(self._slabs, nodes, min(hx - lx, hy - ly))
        return Points(coords, self.names), weights * (self.measure / weights.sum())

    @cached_property
    def sides(self) -> list[Side]:
        """The monotone parts of the boundary; adjacent parts meet at exactly equal heights."""
        heights = self._joints[1]
        ends = zip(self.curves, heights[0::2], heights[1::2], strict=True)
        return [side for curve, first, last in ends for side in curve.sides(first, last)]

    @cached_property
    def _slabs(self) -> list[Slab]:
        """The horizontal slabs into which the domain is divided for Gauss rules."""
        parts = slabs(self.sides)
        filled = math.fsum(
            cell.right.integral(cell.low, cell.high) - cell.left.integral(cell.low, cell.high)
            for cell in parts
        )
        if abs(filled - self.measure) > 1e-9 * math.dist(*self._box) ** 2:
            raise NumericalError(f"the area of {self!r} is {self.measure}, of its slabs {filled}")
        return parts

    @cached_property
    def _box(self) -> tuple[Pair, Pair]:
        """The lower left and the upper right corner of the domain's bounding box."""
        low = np.min([curve.bounds[0] for curve in self.curves], axis=0)
        high = np.max([curve.bounds[1] for curve in self.curves], axis=0)
        return (float(low[0]), float(low[1])), (float(high[0]), float(high[1]))

    @cached_property
    def _joints(self) -> tuple[list[int], list[float]]:
        """The indices of the joints at the ends of the curves, and the heights y of these joints.

        A joint is a point at which curves meet. Each list has an entry for the start of the first
        curve, then for its end, then for the start of the second curve, and so on.
        """
        ends = np.array([end for curve in self.curves for end in (curve.start, curve.stop)])
        gaps = np.abs(ends[:, None] - ends[None]).max(axis=2)
        which = (gaps <= JOINT * self.scale).argmax(axis=1)
        return which.tolist(), ends[which, 1].tolist()

    @cached_property
    def side_table(self) -> Tensor:
        """The S monotone parts of the boundary as graphs x(y), a column of parameters each, (8, S).

        See `windings` for the rows.
        """
        rows = [(s.low, s.high, 1 if s.up else -1, s.cx, s.cy, s.p, s.q, s.A) for s in self.sides]
        return torch.tensor(rows, dtype=torch.float64).T


def loops_of(curves: Sequence[Curve]) -> list[list[Curve]]:
    """Group curves into closed loops, head to tail; a loop starts with the first unused curve."""
    left, loops = list(curves), []
    while left:
        loop = [left.pop(0)]
        while left and math.dist(loop[-1].stop, loop[0].start) > 0:
            gaps = [math.dist(loop[-1].stop, curve.start) for curve in left]
            nearest = min(range(len(left)), key=gaps.__getitem__)
            if gaps[nearest] > math.dist(loop[-1].stop, loop[0].start):
                break
            loop.append(left.pop(nearest))
        loops.append(loop)
    return loops


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
        InputError: if the corners lie on one line, or a corner is not a pair of finite numbers.

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

    Edge i runs between corner i and the next corner and has the name "edge_i". Edge i of hole h has
    the name "hole_h_edge_i".

    Args:
        vertices: three or more corners, or a shapely polygon, which includes its holes.
        holes: the corners of each hole.
        pieces: names of the outer edges in place of "edge_0", ...; several edges may have the same
            name.
        names: the names of the two coordinates.

    Raises:
        InputError: if the polygon is empty, degenerate or self-intersecting, or a hole is not
            inside the polygon or meets another hole.

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
    whole = shapely.Polygon(outline, inner)
    if not whole.is_valid:
        raise InputError(f"a polygon must be valid: {shapely.is_valid_reason(whole)}")
    if not whole.area > 0:
        raise InputError(f"a polygon must have an area > 0, got the corners {outline}")
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

    The pieces are "x_min", "x_max", "y_min", "y_max", and at the re-entrant corner "notch_x" on
    x = 0 and "notch_y" on y = 0.

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
    if len(box.names) != 2:
        raise InputError(f"a planar domain must have two coordinates, got {box!r}")
    (_, left, right), (_, bottom, top) = box.ranges
    corners = [(left, bottom), (right, bottom), (right, top), (left, top)]
    x, y = box.names
    edges = _ring(corners, [f"{y}_min", f"{x}_max", f"{y}_max", f"{x}_min"], box.names, 1)
    return Planar(tuple(edges), label=repr(box))


def _corners(name: str, vertices: Any) -> list[Pair]:
    """Check and convert the corners of a polygon; a repeated last corner is dropped.

    Args:
        name: the name of the argument, for messages.
        vertices: three or more pairs of numbers.

    Raises:
        InputError: for fewer corners, or entries that are not pairs of finite numbers.
    """
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


def _ring(
    corners: Sequence[Pair], tags: Sequence[str], names: tuple[str, ...], way: int
) -> list[Segment]:
    """Return the edges of a polygon, counter-clockwise for way = 1, clockwise for way = -1.

    Args:
        corners: the corners, in either direction.
        tags: the names of the edges; edge i runs between corner i and the next corner.
        names: the names of the two coordinates.
        way: the direction of the result.
    """
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
    circle = Arc(center, (radius, radius), name=name, names=two_names(names))
    return Planar((circle,), f"Disk({center}, {float(radius)})")


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
    curve = Arc(center, axes, angle, name=name, names=two_names(names))
    label = f"Ellipse({center}, {axes}, {curve.angle})"
    return Planar((curve,), label)


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
    names = two_names(names)
    rim = Arc(center, (outer, outer), name="outer", names=names)
    hole = Arc(center, (inner, inner), last=-TURN, name="inner", names=names)
    return Planar((rim, hole), f"Annulus({center}, {float(inner)}, {float(outer)})")


def Sector(
    center: Iterable[float | int],
    radius: float | int,
    start: float | int,
    end: float | int,
    inner: float | int = 0.0,
    *,
    names: Sequence[str] = XY,
) -> Planar:
    """Return the sector of a disk, or of an annulus if inner > 0, between two polar angles.

    Its pieces are the straight sides "start" and "end", "arc" and, if inner > 0, "inner".

    Args:
        center: the centre of the disk, two numbers.
        radius: the outer radius.
        start: the polar angle of the first straight side, seen from `center`, in radians.
        end: the polar angle of the second straight side, in radians, less than 2π above `start`.
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
    return Planar((first, arc, last, *curves[1:]), label)
