"""Unions, differences and intersections of domains that are not planar, and their boundaries."""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import torch
from torch import Tensor

from kanpinn._support.errors import integer
from kanpinn._support.shapes import Column, Coords, Mask, Vector, Weights
from kanpinn.geometry.boundary import Boundary, Derived, MappedPiece, Piece, Turned, Walls
from kanpinn.geometry.box import Box, Face
from kanpinn.geometry.cylindrical import CellSet, cells_rule, circles, sphere_part_rule
from kanpinn.geometry.domain import Domain, ReentrantEdges, across, interior_angle
from kanpinn.geometry.levels import complement, intersection
from kanpinn.geometry.points import Points
from kanpinn.geometry.quadrature import accepted_share, equal_weights, sobol
from kanpinn.geometry.region import Draw, accepted
from kanpinn.geometry.rules_in_boxes import RulesInBoxes

Rule = Callable[[int], tuple[Points, Weights]]


@dataclass(frozen=True)
class Combination(Domain):
    """The union, difference or intersection of two domains.

    The boundary consists of those parts of the pieces of a and b that bound the result, under the
    names of the pieces and with normals outward from the result.

    The tolerance of `contains` enlarges or shrinks each operand, so a shrunk union of touching
    domains has a gap where they touch. `bounds` is a box that contains the result; for combinations
    of boxes it is the smallest one.

    Args:
        kind: "union", "difference" (a without b) or "intersection".
        a: the first domain.
        b: the second domain, with the same coordinates.
    """

    kind: str
    a: Domain
    b: Domain

    @property
    def names(self) -> tuple[str, ...]:
        return self.a.names

    @property
    def operands(self) -> tuple[Domain, ...]:
        return self.a.operands + self.b.operands

    @cached_property
    def walls(self) -> Walls | None:
        first, second = self.a.walls, self.b.walls
        return None if first is None or second is None else first | second

    @cached_property
    def bounds(self) -> tuple[Vector, Vector]:
        if self._boxes:
            low, high = map(torch.stack, zip(*(box.bounds for box in self._boxes), strict=True))
            return low.amin(dim=0), high.amax(dim=0)
        (low, high), (low_b, high_b) = self.a.bounds, self.b.bounds
        if self.kind == "union":
            return torch.minimum(low, low_b), torch.maximum(high, high_b)
        if self.kind == "intersection":
            return torch.maximum(low, low_b), torch.minimum(high, high_b)
        return low, high

    @property
    def measure(self) -> float:
        return self._measured[0]

    @property
    def measure_error(self) -> float:
        return self._measured[1]

    @cached_property
    def boundary(self) -> Boundary:
        if self._cells is not None:
            return Boundary(tuple(_pieces(self, self._cells)))
        step = 1e-9 * self._diameter
        own = [clip(piece, self, step) for piece in self.a.boundary.pieces]
        others = [clip(piece, self, step, (self.a,)) for piece in self.b.boundary.pieces]
        return Boundary(tuple(itertools.chain(*own, *others)))

    @cached_property
    def reentrant_edges(self) -> ReentrantEdges:
        if self._cells is None or self.dim != 3:
            return ReentrantEdges.none()
        return _reentrant_edges(self, self._cells.walls)

    def contains(self, coords: Coords, tolerance: float = 0.0) -> Mask:
        inside = self.a.contains(coords, tolerance)
        # The second operand can be expensive: it decides only where the first one does not.
        undecided = ~inside if self.kind == "union" else inside.clone()
        if self.kind == "difference":
            # The result is closed: points on the boundary of b belong to it, also if rounded.
            margin = -tolerance - 1e-14 * self._diameter
            inside[undecided] = ~self.b.contains(coords[undecided], margin)
        else:
            inside[undecided] = self.b.contains(coords[undecided], tolerance)
        return inside

    def level(self, coords: Coords) -> Column:
        """Return f + g - sqrt(f² + g²), the R-conjunction of the levels (Rvachev and Sheiko).

        Raises:
            InputError: for unions, and for differences unless `signed_level` of b is True, as for
                balls: the result would not have the right sign everywhere.
        """
        if self.kind == "union" or (self.kind == "difference" and not self.b.signed_level):
            return super().level(coords)
        other = complement(self.b.level) if self.kind == "difference" else self.b.level
        return intersection(self.a.level, other)(coords)

    def quadrature(self, nodes: int) -> tuple[Points, Weights]:
        """Return a Gauss rule if `has_gauss_rule`, otherwise the Sobol points of one scrambling.

        Gauss rules on combinations of boxes are exact for polynomials of degree 2·nodes - 1. On
        combinations of boxes and balls they are scaled to be exact for constants, and converge
        geometrically. There are min(nodes^d, 2^20) Sobol points, with equal weights.
        """
        nodes = integer("nodes", nodes)
        if self._cells is not None:
            coords, weights = cells_rule(self._cells, nodes)
            points = Points(coords, self.names)
        elif self._apart:
            both = [part.quadrature(nodes) for part in (self.a, self.b)]
            points = Points.cat(points for points, _ in both)
            weights = torch.cat([weights for _, weights in both])
        else:
            return equal_weights(self, nodes)
        return points, weights * (self.measure / weights.sum())

    def gauss(self, n: int) -> Points:
        return super().gauss(n) if self.has_gauss_rule else self.place(n, sobol(0))[:n]

    @property
    def has_gauss_rule(self) -> bool:
        return self._cells is not None or self._apart

    @property
    def simplified(self) -> Domain | None:
        """An equal simpler domain (an operand or a box) if any, otherwise itself; None if empty."""
        first, second = self.a, self.b
        if self.kind != "difference":
            for inner, outer in ((first, second), (second, first)):
                corners = torch.cartesian_prod(*torch.stack(inner.bounds, dim=1))
                around = outer.is_convex and outer.contains(corners.view(-1, self.dim)).all()
                if inner == outer or around:
                    return outer if self.kind == "union" else inner
        # Rounding errors may give an empty result a measure of this size.
        least = 1e-12 * first.measure
        if not self.measure > least:
            return None
        if self._cells is None:
            return first if self.kind == "difference" and self._distant else self
        if self._boxes is not None and len(self._boxes) == 1:
            return self._boxes[0]
        whole = (first,) if self.kind == "difference" else (first, second)
        return next((one for one in whole if abs(one.measure - self.measure) <= least), self)

    @cached_property
    def _cells(self) -> CellSet | None:
        """Its cells between planes and spheres; None for other walls and for balls above 3-D."""
        if self.walls is None or (self.walls.spheres and self.dim > 3):
            return None
        return CellSet(self.dim, self.walls, self.contains, self._diameter)

    @cached_property
    def _boxes(self) -> list[Box] | None:
        """The boxes of which it consists; None for other combinations."""
        boxes = self._cells.boxes if self._cells is not None else None
        named = (dict(zip(self.names, ranges, strict=True)) for ranges in boxes or [])
        return None if boxes is None else [Box(**ranges) for ranges in named]

    @cached_property
    def _measured(self) -> tuple[float, float]:
        """The measure and its standard error."""
        if self._cells is not None:
            if self._boxes is not None:
                return sum((box.measure for box in self._boxes), start=0.0), 0.0
            # With 32 nodes the rules have converged to rounding.
            return cells_rule(self._cells, 32, last=1)[1].sum().item(), 0.0
        a, b = self.a, self.b
        # Sample the smaller domain: if the other one contains it, the estimate is exact.
        small, large = sorted((a, b), key=lambda domain: domain.measure)
        part, error = 0.0, 0.0
        if not self._distant:
            part, error = accepted_share(small, lambda points: large.contains(points.coords))
        common = part * small.measure
        error = error * small.measure + part * small.measure_error
        if self.kind == "intersection":
            return common, error
        if self.kind == "difference":
            return a.measure - common, error + a.measure_error
        return a.measure + b.measure - common, error + a.measure_error + b.measure_error

    @property
    def _distant(self) -> bool:
        """True if the interiors of the operands' bounding boxes are disjoint."""
        (low_a, high_a), (low_b, high_b) = self.a.bounds, self.b.bounds
        return bool((torch.maximum(low_a, low_b) >= torch.minimum(high_a, high_b)).any())

    @cached_property
    def _apart(self) -> bool:
        """True for a union of two domains with Gauss rules and disjoint bounding boxes."""
        # Without Gauss rules one draw of Sobol points is more even than one draw per operand.
        exact = self.a.has_gauss_rule and self.b.has_gauss_rule
        return exact and self.kind == "union" and self._distant

    @cached_property
    def _diameter(self) -> float:
        low, high = self.a.bounds
        return (high - low).norm().item()


@dataclass(frozen=True)
class Clipped(Derived):
    """The part of a piece that bounds a domain: exactly one side of it lies in the domain.

    The normals point to the outer side. With a Gauss rule the measure is exact to rounding;
    otherwise it is estimated by scrambled Sobol points.

    Args:
        piece: a boundary piece of an operand.
        domain: the combination.
        step: the distance from the piece at which points on both sides are tested.
        first: earlier operands; points on their boundaries belong to their pieces, not to this one.
        exact: a Gauss rule on the part as a function of nodes, with outward normals; None if there
            is none.
    """

    domain: Domain
    step: float
    first: tuple[Domain, ...] = ()
    exact: Rule | None = field(default=None, compare=False)

    @property
    def measure(self) -> float:
        return self.part * self.piece.measure

    @cached_property
    def part(self) -> float:
        """The share of the piece that bounds the domain."""
        if self.exact is not None:
            # With 32 nodes the rule has converged to rounding.
            return self.exact(32)[1].sum().item() / self.piece.measure
        return accepted_share(self.piece, lambda points: self.keep(points)[0])[0]

    def keep(self, points: Points) -> tuple[Mask, Points]:
        """Determine which points of the piece bound the domain, and orient the normals outward.

        Args:
            points: n points of the piece with normals.

        Returns:
            The mask (n,) of the bounding points, and all n points with outward normals.
        """
        normals = points.outward
        before, after = (points.coords + sign * self.step * normals for sign in (-1, 1))
        here, there = self.domain.contains(before), self.domain.contains(after)
        kept = here != there
        for other in self.first:
            kept &= other.contains(before) == other.contains(after)
        outward = torch.where((there & ~here)[:, None], -normals, normals)
        return kept, Points(points.coords, points.names, outward)

    def spread(self, n: int, draw: Draw, more: int) -> tuple[Points, Tensor]:
        def drawn(count: int) -> tuple[Mask, Points, Tensor]:
            points, others = self.piece.spread(count, draw, more)
            return *self.keep(points), others

        return accepted(n, math.ceil(n / self.part), drawn)

    def quadrature(self, nodes: int) -> tuple[Points, Weights]:
        """Return a Gauss rule if there is one, otherwise min(nodes^dim, 2^20) Sobol points.

        The Sobol points come from one scrambling and have equal weights. If the whole piece bounds
        the domain, the rule of the piece is used.
        """
        nodes = integer("nodes", nodes)
        if self.exact is not None:
            points, weights = self.exact(nodes)
        elif self.part < 1:
            return equal_weights(self, nodes)
        else:
            points, weights = self.piece.quadrature(nodes)
            points = self.keep(points)[1]
        return points, weights * (self.measure / weights.sum())

    @property
    def sheets(self) -> tuple[Piece, ...]:
        return tuple(replace(self, piece=sheet) for sheet in self.piece.sheets)

    def in_boxes(self, boxes: Tensor, nodes: int) -> RulesInBoxes:
        least, tries, pad = 0.7, 2, 2 / nodes  # part of the points; parts of the boxes' widths
        every, parts = torch.arange(len(boxes)), [RulesInBoxes.none(self.names)]
        while len(boxes):
            rules = self.piece.in_boxes(boxes, nodes)
            kept, points = self.keep(rules.points)
            found = RulesInBoxes(rules.box, points, rules.weights).some(kept)
            counts = found.counts(len(boxes))
            share = counts / rules.counts(len(boxes)).clamp_min(1)
            again = (counts > 0) & (share <= least) & (tries > 0)
            parts.append(found.some(~again[found.box]).numbered(every))
            axes, tries = range(boxes.shape[2]), tries - 1
            boxes, every = found.around(boxes, pad, axes)[again], every[again]
        return RulesInBoxes.joined(parts)

    def gauss(self, n: int) -> Points:
        if self.exact is not None:
            return super().gauss(n)
        if self.part < 1:
            return self.place(n, sobol(0))[:n]
        return self.keep(self.piece.gauss(n))[1]


def clip(
    piece: Piece,
    domain: Domain,
    step: float,
    first: tuple[Domain, ...] = (),
    exact: Rule | None = None,
) -> tuple[Piece, ...]:
    """Return the part of an operand's piece that bounds the domain; the arguments of `Clipped`.

    Returns:
        No piece if no part of it bounds the domain; the piece itself, with normals reversed if
        necessary, if all of it does; otherwise a `Clipped` piece.
    """
    clipped = Clipped(piece, domain, step, first, exact)
    if clipped.part == 0:
        return ()
    if abs(clipped.part - 1) > 1e-12:
        return (clipped,)
    probe = piece.place(64, sobol(0))
    turned = (clipped.keep(probe)[1].outward != probe.outward).any(dim=1)
    if not turned.any():
        return (piece,)
    return (Turned(piece) if turned.all() and isinstance(piece, MappedPiece) else clipped,)


def _pieces(domain: Domain, cells: CellSet) -> Iterator[Piece]:
    """Yield the parts of the operands' pieces that bound a combination of boxes and balls.

    If pieces of several operands lie on the same plane or sphere, their common points belong to the
    piece of the first operand.

    Args:
        domain: the combination.
        cells: the cells of the combination between planes and spheres.
    """
    step = 1e-9 * cells.size  # a distance well above rounding
    seen: list[tuple[Walls, Domain]] = []
    for operand in domain.operands:
        for piece in operand.boundary.pieces:
            walls = piece.walls or Walls()
            first = tuple(other for same, other in seen if same == walls)
            if walls.planes:
                yield from _face_parts(domain, cells, operand, piece, first, step)
            elif not first:
                exact = partial(_sphere_rule, cells, piece.names, walls.spheres[0])
                yield from clip(piece, domain, step, (), exact)
            seen.append((walls, operand))


def _face_parts(
    domain: Domain,
    cells: CellSet,
    operand: Domain,
    piece: Piece,
    first: tuple[Domain, ...],
    step: float,
) -> Iterator[Piece]:
    """Yield the bounding parts of a box's face: faces if all are boxes, else one clipped piece."""
    assert piece.walls is not None
    ((axis, value),) = piece.walls.planes
    flat = cells.walls.within(axis, value)
    tests = [partial(_bounds, domain, operand, first, axis, value, way * step) for way in (1, -1)]
    sides = [CellSet(cells.dim - 1, flat, test, cells.size) for test in tests]
    boxes = [side.boxes for side in sides]
    if None in boxes:
        exact = partial(_plane_rule, sides, piece.names, axis, value)
        yield from clip(piece, domain, step, first, exact)
        return
    low, high = (corner[axis].item() for corner in operand.bounds)
    for up, found in zip((True, False), boxes, strict=True):
        for ranges in found or []:
            around = [*ranges[:axis], (low, high), *ranges[axis:]]
            box = Box(**dict(zip(piece.names, around, strict=True)))
            face = Face(box, axis, value == high)
            yield face if up == face.upper else Turned(face)


def _bounds(
    domain: Domain,
    operand: Domain,
    first: tuple[Domain, ...],
    axis: int,
    value: float,
    step: float,
    flat: Tensor,
) -> Mask:
    """Return which points of a plane lie on an operand's face and bound a combination on one side.

    Args:
        domain: the combination.
        operand: the operand.
        first: earlier operands; their points on the plane belong to their own pieces.
        axis: the axis orthogonal to the plane.
        value: the value of that coordinate on the plane.
        step: the signed step along the axis from the plane to the outer side of the combination.
        flat: the points, (n, d - 1).
    """
    here, before, after = (_lifted(flat, axis, value + by) for by in (0.0, -step, step))
    kept = domain.contains(before) & ~domain.contains(after) & operand.contains(here, abs(step))
    for other in first:
        kept &= ~other.contains(here, abs(step))
    return kept


def _lifted(flat: Tensor, axis: int, value: float) -> Tensor:
    """Insert the coordinate `value` of an axis into points (n, d - 1) of a plane, as (n, d)."""
    return torch.cat([flat[:, :axis], flat.new_full((len(flat), 1), value), flat[:, axis:]], dim=1)


def _plane_rule(
    sides: Sequence[CellSet], names: tuple[str, ...], axis: int, value: float, nodes: int
) -> tuple[Points, Weights]:
    """Return a rule on cells in a plane: those with the normal along the axis, then against it."""
    points, weights = [], []
    for normal, cells in zip((1.0, -1.0), sides, strict=True):
        flat, areas = cells_rule(cells, nodes)
        normals = _lifted(torch.zeros_like(flat), axis, normal)
        points.append(Points(_lifted(flat, axis, value), names, normals))
        weights.append(areas)
    return Points.cat(points), torch.cat(weights)


def _sphere_rule(
    cells: CellSet, names: tuple[str, ...], sphere: tuple[tuple[float, ...], float], nodes: int
) -> tuple[Points, Weights]:
    coords, normals, weights = sphere_part_rule(cells, sphere, nodes)
    return Points(coords, names, normals), weights


def _reentrant_edges(solid: Domain, walls: Walls) -> ReentrantEdges:
    """The re-entrant edges of a solid whose boundary is in planes and spheres."""
    least, most = math.pi + 0.2, 2 * math.pi - 1e-6  # above most the line is inside the solid
    segments, angles, ends = [], [], [torch.zeros(0, 3, dtype=torch.float64)]
    lines = [(line, line.mean(dim=0), True) for line in _lines(solid, walls)]
    arcs = [(arc[[0, 2]], arc[1], False) for arc in _arcs(walls)]
    for segment, middle, straight in [*lines, *arcs]:
        angle = interior_angle(solid, middle, segment[1] - segment[0])
        if least < angle < most:
            segments.append(segment)
            angles.append(angle)
            ends += [segment] if straight else []
    if not segments:
        return ReentrantEdges.none()
    found = torch.stack(segments), torch.tensor(angles, dtype=torch.float64)
    return ReentrantEdges.of(solid, *found, torch.cat(ends))


def _lines(solid: Domain, walls: Walls) -> Iterator[Tensor]:
    """The segments of lines in which two planes meet, cut by other planes and spheres, (2, 3)."""
    low, high = (corner.tolist() for corner in solid.bounds)
    for (axis, at), (other, there) in itertools.combinations(walls.planes, 2):
        if axis == other:
            continue
        (along,) = {0, 1, 2} - {axis, other}
        cuts = {low[along], high[along]}
        cuts |= {value for across, value in walls.planes if across == along}
        for center, radius in walls.spheres:
            square = radius**2 - (at - center[axis]) ** 2 - (there - center[other]) ** 2
            if square > 0:
                cuts |= {center[along] + sign * square**0.5 for sign in (-1, 1)}
        inside = sorted(cut for cut in cuts if low[along] <= cut <= high[along])
        for ends in itertools.pairwise(inside):
            segment = torch.zeros(2, 3, dtype=torch.float64)
            segment[:, axis], segment[:, other] = at, there
            segment[:, along] = torch.tensor(ends, dtype=torch.float64)
            yield segment


def _arcs(walls: Walls) -> Iterator[Tensor]:
    """The arcs of circles in which spheres meet planes or spheres: start, middle, end, (3, 3)."""
    count = 64  # arcs of a circle
    turns = torch.arange(2 * count + 1, dtype=torch.float64)[:, None] * (math.pi / count)
    # Circles of spheres with planes across all axes and with other spheres, without duplicates.
    both = (one.on(0) for axis in (-1, 0) for one in circles(axis, walls))
    for one in dict.fromkeys(both):
        normal = torch.tensor(one.normal, dtype=torch.float64)
        length = float(normal.norm())
        normal, level = normal / length, one.level / length
        middle = torch.tensor(one.center, dtype=torch.float64) + level * normal
        radius, (first, second) = (one.radius**2 - level**2) ** 0.5, across(normal)
        points = middle + radius * (turns.cos() * first + turns.sin() * second)
        yield from points.unfold(0, 3, 2).transpose(1, 2)
