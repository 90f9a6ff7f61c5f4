"""Planar domains bounded by closed outlines of curves, divided into slabs for exact measures
and Gauss rules.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np
import torch
from torch import Tensor

from kanpinn._support.errors import InputError, NumericalError, integer
from kanpinn._support.shapes import Column, Coords, Mask, Vector, Weights
from kanpinn.geometry.boundary import Boundary
from kanpinn.geometry.conics import Side, abscissa
from kanpinn.geometry.curves import Curve, Pair, crossings, left_of, meeting
from kanpinn.geometry.domain import Domain
from kanpinn.geometry.levels import Level, intersection, union
from kanpinn.geometry.points import Points
from kanpinn.geometry.quadrature import sobol
from kanpinn.geometry.rules import gauss_legendre
from kanpinn.geometry.triangles import Triangles

# The distance within which ends of curves count as one point, relative to the coordinates.
JOINT = 1e-9


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
            if _crosses(curves[i], curves[j], point, JOINT * scale):
                raise InputError(
                    "the boundary of a planar domain must not cross itself, got "
                    f"{curves[i].name!r} and {curves[j].name!r} crossing at {point}"
                )


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


@dataclass(frozen=True)
class Slab:
    """The set of points with left(y) < x < right(y) and low < y < high."""

    left: Side
    right: Side
    low: float
    high: float

    @property
    def area(self) -> float:
        """The area, in closed form."""
        return self.right.integral(self.low, self.high) - self.left.integral(self.low, self.high)


def slab_rule(parts: Sequence[Slab], nodes: int) -> tuple[Coords, Weights]:
    """Return points (n, 2) and positive weights (n,) of products of Gauss rules in slabs."""
    unit, weights = gauss_legendre(nodes)
    rules = [_cell_rule(part, unit, weights) for part in parts]
    coords, weights = torch.cat([c for c, _ in rules]), torch.cat([w for _, w in rules])
    wide = weights > 0  # a slab has no width where its sides touch
    return coords[wide], weights[wide]


def _cell_rule(cell: Slab, unit: Tensor, weights: Tensor) -> tuple[Coords, Weights]:
    """Return the rule of a slab: Gauss in x, and in y after removing square roots at the ends."""
    size = cell.high - cell.low
    share, along = _heights_rule(cell, unit, weights)
    y = cell.low + size * share
    left, right = cell.left.x(y)[:, None], cell.right.x(y)[:, None]
    x = left + (right - left) * unit
    coords = torch.stack([x, y[:, None].expand_as(x)], dim=2)
    scale = size * along[:, None] * (right - left)
    return coords.reshape(-1, 2), (scale * weights).flatten()


def _heights_rule(cell: Slab, unit: Tensor, weights: Tensor) -> tuple[Weights, Weights]:
    """Return nodes in [0, 1] and weights for functions with the slab's square roots at the ends."""
    at_low, at_high = _singular_ends(cell, 1e-12 * (cell.high - cell.low))
    if at_low and at_high:
        if cell.left.conic == cell.right.conic:
            # Both sides are halves of one ellipse: the integral over x is a smooth function times
            # the root, for which the Gauss-Chebyshev rule of the second kind is suited.
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


def _singular_ends(cell: Slab, tolerance: float) -> tuple[bool, bool]:
    sides = (cell.left, cell.right)
    at_low = any(cell.low - side.branches[0] <= tolerance for side in sides)
    return at_low, any(side.branches[1] - cell.high <= tolerance for side in sides)


def slabs(sides: Sequence[Side]) -> list[Slab]:
    """Divide the domain between sides into slabs, as high as possible, cut near singularities."""
    open_cells: dict[tuple[Side, Side], float] = {}  # the lower end of each unfinished slab
    done: list[Slab] = []
    heights = _heights(sides)
    for low, high in itertools.pairwise(heights):
        pairs = _pairs(sides, low, high)
        for pair in [pair for pair in open_cells if pair not in pairs]:
            done.append(Slab(*pair, open_cells.pop(pair), low))
        for pair in pairs:
            open_cells.setdefault(pair, low)
    done += [Slab(*pair, low, heights[-1]) for pair, low in open_cells.items()]
    return [part for cell in done for part in _cut(cell)]


def _heights(sides: Sequence[Side]) -> list[float]:
    """Return the heights at which sides begin or end, ascending."""
    ends = sorted({end for side in sides for end in (side.low, side.high)})
    gap = 1e-12 * (ends[-1] - ends[0])  # heights closer than this count as equal
    return [y for i, y in enumerate(ends) if i == 0 or y - ends[i - 1] > gap]


def _pairs(sides: Sequence[Side], low: float, high: float) -> list[tuple[Side, Side]]:
    """Return the left and right sides of the slabs between two neighbouring heights."""
    middle = (low + high) / 2
    # Sides do not cross but may touch at one height, so compare them at three heights.
    y = low + (high - low) * torch.tensor([0.38, 0.5, 0.62], dtype=torch.float64)
    crossed = [side for side in sides if side.low < middle < side.high]
    crossed.sort(key=lambda side: float(side.x(y).sum()))
    return list(zip(crossed[0::2], crossed[1::2], strict=True))


def _cut(cell: Slab) -> list[Slab]:
    """Cut a slab into parts whose singularities are at their ends or well outside of them."""
    size = cell.high - cell.low
    below = [cell.low - side.branches[0] for side in (cell.left, cell.right)]
    above = [side.branches[1] - cell.high for side in (cell.left, cell.right)]
    # 24 nodes give an error of 1e-12 if singularities are further away than this share of a part's
    # height.
    close = 0.1
    for gaps, sign, end in ((below, 1, cell.low), (above, -1, cell.high)):
        near = [gap for gap in gaps if 1e-12 * size < gap < close * size]
        if near:
            # The part next to the singularity is as high as its distance from it allows.
            middle = end + sign * min(near) / close
            if cell.low < middle < cell.high:
                lower = Slab(cell.left, cell.right, cell.low, middle)
                upper = Slab(cell.left, cell.right, middle, cell.high)
                return [*_cut(lower), *_cut(upper)]
    return [cell]


@dataclass(frozen=True, repr=False)
class Planar(Domain):
    """A planar domain on the left of its boundary curves.

    Outer curves run counter-clockwise, those around holes clockwise. The curves may be given in any
    order; the end of each curve is the start of another one.

    Args:
        curves: the pieces of the boundary.
        form: a level function, which is 0 on the boundary and > 0 inside; if None, the level
            function joins those of all curves, unless all of them are straight.
        label: the repr of the domain; None lists the curves.
        triangles: triangles that fill the domain, on which `quadrature` is then a product of Gauss
            rules; None for one on horizontal slabs between the curves.

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
    form: Level | None = field(default=None, compare=False)
    label: str | None = field(default=None, compare=False)
    triangles: Triangles | None = field(default=None, compare=False)

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
        check_ends(self.curves, self._joints[0])
        # A smaller area counts as 0, because of rounding.
        if not self.measure > 1e-14 * math.dist(*self._box) ** 2:
            raise InputError(
                "the curves of a planar domain must run around it counter-clockwise and around "
                f"its holes clockwise, and enclose an area > 0, got {self.measure:.3g}"
            )
        check_crossings(self.curves, self.scale)

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
        close = self._distance(coords, reach) <= reach
        return inside & ~close if tolerance < 0 else inside | close

    def encloses(self, coords: Coords) -> Mask:
        """Return a mask (n,) of the points with a positive winding number.

        The result is arbitrary for points on the boundary.
        """
        # The number of point-side pairs per batch bounds the memory.
        rows = max(1, 2**21 // self._sides.shape[1])
        return torch.cat([self._winding(part) > 0 for part in coords.split(rows)])

    def level(self, coords: Coords) -> Column:
        if self._has_formula:
            assert self.formula is not None
            return self.formula(coords)
        value = joined_level(self.curves, coords)
        return torch.where(self.encloses(coords)[:, None], value, -value)

    def quadrature(self, nodes: int) -> tuple[Points, Weights]:
        """Return a rule of nodes² points in each slab, or of about 4 nodes² in all triangles."""
        if self.triangles is None:
            coords, weights = slab_rule(self._slabs, nodes)
        else:
            each = math.ceil(2 * integer("nodes", nodes) / len(self.triangles) ** 0.5)
            coords, weights = self.triangles.rule(max(2, each))
        return Points(coords, self.names), weights * (self.measure / weights.sum())

    def gauss(self, n: int) -> Points:
        """Return the points of the smallest rule with at least n points.

        If there are more than n triangles, they are n Sobol points.
        """
        if self.triangles is None:
            return super().gauss(n)
        if len(self.triangles) > n:
            return self.place(n, sobol(0))[:n]
        each = math.ceil((n / len(self.triangles)) ** 0.5)
        return Points(self.triangles.rule(each)[0], self.names)

    @cached_property
    def sides(self) -> list[Side]:
        """The monotone parts of the boundary; adjacent ones have exactly equal end heights."""
        heights = self._joints[1]
        ends = zip(self.curves, heights[0::2], heights[1::2], strict=True)
        return [side for curve, first, last in ends for side in curve.sides(first, last)]

    @cached_property
    def formula(self) -> Level | None:
        """The level function of its edges if all curves are straight, otherwise `form`."""
        return straight_level(self.curves) or self.form

    @cached_property
    def _has_formula(self) -> bool:
        """Whether `formula` is > 0 inside, at the points of a rule."""
        inside = self.quadrature(8)[0].coords
        return self.formula is not None and bool(self.formula(inside).min() > 0)

    @cached_property
    def _slabs(self) -> list[Slab]:
        parts = slabs(self.sides)
        filled = math.fsum(cell.area for cell in parts)
        if abs(filled - self.measure) > 1e-9 * math.dist(*self._box) ** 2:
            raise NumericalError(f"the area of {self!r} is {self.measure}, of its slabs {filled}")
        return parts

    @cached_property
    def _box(self) -> tuple[Pair, Pair]:
        low = np.min([curve.bounds[0] for curve in self.curves], axis=0)
        high = np.max([curve.bounds[1] for curve in self.curves], axis=0)
        return (float(low[0]), float(low[1])), (float(high[0]), float(high[1]))

    @cached_property
    def _joints(self) -> tuple[list[int], list[float]]:
        """The index and the height y of the joint at the start and the end of each curve."""
        ends = np.array([end for curve in self.curves for end in (curve.start, curve.stop)])
        gaps = np.abs(ends[:, None] - ends[None]).max(axis=2)
        which = (gaps <= JOINT * self.scale).argmax(axis=1)
        return which.tolist(), ends[which, 1].tolist()

    @cached_property
    def _sides(self) -> Tensor:
        rows = [(s.low, s.high, 1 if s.up else -1, s.cx, s.cy, s.p, s.q, s.A) for s in self.sides]
        return torch.tensor(rows, dtype=torch.float64).T

    def _winding(self, coords: Coords) -> Tensor:
        """Return the winding numbers (n,): the signed count of sides to the right of each point."""
        low, high, up, *shape = self._sides.to(coords)
        y = coords[:, 1:]
        point, side = ((low <= y) & (y < high)).nonzero().unbind(1)  # sides at a point's height
        ahead = abscissa(y[point, 0], *(one[side] for one in shape)) > coords[point, 0]
        return up.new_zeros(len(coords)).index_add(0, point, up[side] * ahead)

    def _distance(self, coords: Coords, within: float) -> Weights:
        """Return the distances (n,) from the boundary; those above `within` may be infinite."""
        least = coords.new_full((len(coords),), math.inf)
        for curve in self.curves:
            rows = curve.near(coords, within).nonzero()[:, 0]
            if len(rows):
                gap = (coords[rows] - curve.nearest(coords[rows])).norm(dim=1)
                least[rows] = torch.minimum(least[rows], gap)
        return least


def straight_level(curves: Sequence[Curve]) -> Level | None:
    """Return a level function of a domain of segments: the union of outer loops without the holes.

    None if a curve is not straight. The result is wrong for a domain with an island in a hole.
    """
    if not all(curve.straight for curve in curves):
        return None
    outer: list[Level] = []
    holes: list[Level] = []
    for loop in loops_of(curves):
        inside = _polygon_level([curve.start for curve in loop])
        area = sum(curve.moment(loop[0].start) for curve in loop)
        (outer if area > 0 else holes).append(inside)
    return intersection(union(*outer), *holes)


def loops_of(curves: Sequence[Curve]) -> list[list[Curve]]:
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


def _polygon_level(points: Sequence[Pair]) -> Level:
    """Return the left side of a closed polygon as intersections and unions of its half planes.

    Each edge occurs in exactly one half plane.

    Reference: Dobkin, Guibas, Hershberger and Snoeyink, An efficient algorithm for finding the CSG
    representation of a simple polygon (1988).
    """
    corners = _without_flat(points)
    first, last = corners.index(min(corners)), corners.index(max(corners))
    corners = corners[first:] + corners[:first]
    split = (last - first) % len(corners)
    chains = _chain_level(corners[: split + 1]), _chain_level([*corners[split:], corners[0]])
    return (intersection if _turn(corners[-1], *corners[:2]) > 0 else union)(*chains)


def _chain_level(points: Sequence[Pair]) -> Level:
    """Return the left side of a chain of edges, with first and last edge extended to infinity.

    The chain is split recursively at its outermost corner.
    """
    if len(points) == 2:
        return partial(left_of, points[0], points[1])
    (ux, uy), (vx, vy) = _direction(points[1], points[0]), _direction(points[-2], points[-1])
    away = (-ux - vx, -uy - vy)  # both extended edges lead against this direction
    if math.hypot(*away) < 1e-9:
        away = (-uy, ux)
    reach = [away[0] * x + away[1] * y for x, y in points[1:-1]]
    far = 1 + reach.index(max(reach))
    chains = _chain_level(points[: far + 1]), _chain_level(points[far:])
    return (intersection if _turn(*points[far - 1 : far + 2]) > 0 else union)(*chains)


def _without_flat(points: Sequence[Pair]) -> list[Pair]:
    """Remove points on straight edges, where two edges would give the same half plane."""
    n = len(points)
    triples = ((points[i - 1], points[i], points[(i + 1) % n]) for i in range(n))
    return [p[1] for p in triples if abs(_turn(*p)) > 1e-12]


def _direction(a: Pair, b: Pair) -> Pair:
    return (b[0] - a[0]) / math.dist(a, b), (b[1] - a[1]) / math.dist(a, b)


def _turn(a: Pair, b: Pair, c: Pair) -> float:
    """Return the sine of the angle by which the path a, b, c turns left at b."""
    (ux, uy), (vx, vy) = _direction(a, b), _direction(b, c)
    return ux * vy - uy * vx


def joined_level(curves: Sequence[Curve], coords: Coords) -> Column:
    """Return 1 / Σ 1/φ_i (n, 1), which is ≥ 0 and vanishes on the curves only, with slope 1 there.

    φ_i is the distance from curve i to first order near it, and > 0 elsewhere.

    Reference: Biswas and Shapiro, Approximate distance fields with non-vanishing gradients (2004).
    """
    inverse = torch.stack([1 / _trimmed(curve, coords) for curve in curves])
    return 1 / inverse.sum(dim=0)


def _trimmed(curve: Curve, coords: Coords) -> Column:
    """Return sqrt(f² + ((sqrt(t² + f⁴) - t) / 2)²) for the part t ≥ 0 of the curve f = 0."""
    assert curve.level is not None
    f, t = curve.level(coords), curve.extent(coords)
    # Keep φ > 0: its second derivatives on the curve contain 1/φ⁴ and must stay finite.
    least = torch.finfo(coords.dtype).tiny ** 0.4
    if t is None:
        return (f.square() + least).sqrt()
    beyond = ((t.square() + f.pow(4) + least).sqrt() - t) / 2
    return (f.square() + beyond.square() + least).sqrt()
