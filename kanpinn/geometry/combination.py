"""Unions, differences and intersections of domains, and the operators `a | b`, `a - b`, `a & b` and
`space.over(t=(0, 1))`.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import torch
from torch import Tensor

from kanpinn._support.errors import InputError, integer, one_of
from kanpinn._support.shapes import Coords, Mask, Vector, Weights
from kanpinn.geometry.box import Box, Face
from kanpinn.geometry.curves import Curve, common_points, divided_at, meeting, merged
from kanpinn.geometry.cylindrical import CellSet, cells_rule, circles, sphere_part_rule
from kanpinn.geometry.domain import (
    BUILDERS,
    Boundary,
    Carriers,
    Derived,
    Domain,
    Edges,
    MappedPiece,
    Piece,
    Sieved,
    Turned,
    across,
    interior_angle,
)
from kanpinn.geometry.planar import Planar, rectangle
from kanpinn.geometry.points import Points
from kanpinn.geometry.product import Product
from kanpinn.geometry.rules import Draw, sobol
from kanpinn.geometry.rules_in_boxes import RulesInBoxes

Rule = Callable[[int], tuple[Points, Weights]]
Keep = Callable[[Points], tuple[Mask, Points]]


@dataclass(frozen=True)
class Combination(Domain):
    """The union, difference or intersection of boxes, or of boxes and balls in three dimensions.

    Its measure is exact to rounding. The boundary consists of parts of the boundary pieces of a and
    b. These parts keep the names of the pieces, and their normals point out of the result.

    The tolerance of `contains` enlarges or shrinks each operand, so a shrunk union of touching
    domains has a gap where they touch. `bounds` is a box that contains the result, and for
    combinations of boxes the smallest box that does.

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
    def carriers(self) -> Carriers:
        first, second = self.a.carriers, self.b.carriers
        assert first is not None and second is not None
        return first | second

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

    @cached_property
    def measure(self) -> float:
        if self._boxes is not None:
            return sum((box.measure for box in self._boxes), start=0.0)
        # With 32 nodes the rules have converged to rounding.
        return cells_rule(self._cells, 32, last=1)[1].sum().item()

    @cached_property
    def boundary(self) -> Boundary:
        return Boundary(tuple(_pieces(self, self._cells)))

    @cached_property
    def edges(self) -> Edges:
        if self.dim != 3:
            return Edges.none()
        flat = 0.2  # the least angle in radians between the two sides of an edge
        segments, angles, straight = [], [], []
        carriers = self._cells.carriers
        lines = [(line, line.mean(dim=0), True) for line in _lines(self, carriers)]
        arcs = [(arc[[0, 2]], arc[1], False) for arc in _arcs(carriers)]
        for segment, middle, is_straight in [*lines, *arcs]:
            angle = interior_angle(self, middle, segment[1] - segment[0])
            if flat < angle < 2 * math.pi - 1e-6 and abs(angle - math.pi) > flat:
                segments.append(segment)
                angles.append(angle)
                straight.append(is_straight)
        if not segments:
            return Edges.none()
        both = torch.stack(segments), torch.tensor(angles, dtype=torch.float64)
        return Edges(*both, torch.tensor(straight))

    def contains(self, coords: Coords, tolerance: float = 0.0) -> Mask:
        inside = self.a.contains(coords, tolerance)
        # The second operand decides at the points for which the first operand does not.
        undecided = ~inside if self.kind == "union" else inside.clone()
        if self.kind == "difference":
            # The result is closed: points on the boundary of b belong to it, even if rounding has
            # moved them into b.
            margin = -tolerance - 1e-14 * self.a.diameter
            inside[undecided] = ~self.b.contains(coords[undecided], margin)
        else:
            inside[undecided] = self.b.contains(coords[undecided], tolerance)
        return inside

    def quadrature(self, nodes: int) -> tuple[Points, Weights]:
        """Return a Gauss rule: n points, and positive weights (n,).

        On combinations of boxes the rule is exact for polynomials up to degree 2·nodes - 1. On
        combinations of boxes and balls the weights are scaled so that the rule is exact for
        constants, and it converges geometrically.
        """
        coords, weights = cells_rule(self._cells, integer("nodes", nodes))
        return Points(coords, self.names), weights * (self.measure / weights.sum())

    @property
    def simplified(self) -> Domain | None:
        """An operand or box that equals the combination, else the combination; None if empty."""
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
        if self._boxes is not None and len(self._boxes) == 1:
            return self._boxes[0]
        whole = (first,) if self.kind == "difference" else (first, second)
        return next((d for d in whole if abs(d.measure - self.measure) <= least), self)

    @cached_property
    def _cells(self) -> CellSet:
        """The cells of the combination; the planes and spheres `carriers` separate them."""
        return CellSet(self.dim, self.carriers, self.contains, self.a.diameter)

    @cached_property
    def _boxes(self) -> list[Box] | None:
        """The boxes that the combination consists of; None if it has a curved boundary."""
        boxes = self._cells.boxes
        named = (dict(zip(self.names, ranges, strict=True)) for ranges in boxes or [])
        return None if boxes is None else [Box(**ranges) for ranges in named]


@dataclass(frozen=True)
class Clipped(Sieved, Derived):
    """The part of a boundary piece of a combination's operand that bounds the combination.

    On this part only one side of the piece is in the combination. The normals point to the other
    side. The measure is exact to rounding.

    Args:
        piece: a boundary piece of an operand.
        domain: the combination.
        step: the distance from the piece at which points on both sides are tested.
        first: earlier operands that have a piece in the same plane or sphere. Points of the piece
            that also lie on the boundary of an operand in `first` are not in the part, because they
            belong to the piece of that operand.
        exact: a function that returns a Gauss rule on the part, with outward normals, for a number
            of nodes.
    """

    domain: Domain
    step: float
    first: tuple[Domain, ...]
    exact: Rule = field(compare=False)

    @property
    def measure(self) -> float:
        return self.share * self.piece.measure

    @cached_property
    def share(self) -> float:
        """The measure of the part that bounds the combination, divided by the piece's measure."""
        # With 32 nodes the rule has converged to rounding.
        return self.exact(32)[1].sum().item() / self.piece.measure

    def keep(self, points: Points) -> tuple[Mask, Points]:
        return bounding(self.domain, self.step, self.first, points)

    def candidates(self, n: int, draw: Draw, more: int) -> tuple[Mask, Points, Tensor]:
        points, others = self.piece.spread(n, draw, more)
        return *self.keep(points), others

    def quadrature(self, nodes: int) -> tuple[Points, Weights]:
        points, weights = self.exact(integer("nodes", nodes))
        return points, weights * (self.measure / weights.sum())

    @property
    def sheets(self) -> tuple[Piece, ...]:
        return tuple(replace(self, piece=sheet) for sheet in self.piece.sheets)

    def in_boxes(self, boxes: Tensor, nodes: int) -> RulesInBoxes:
        # The rule in a box is repeated on a smaller box, up to two times, if at most 0.7 of its
        # points lie on the part. The margin of the smaller box is `pad` times the box's width.
        least, tries, pad = 0.7, 2, 2 / nodes
        every, parts = torch.arange(len(boxes)), [RulesInBoxes.none(self.names)]
        while len(boxes):
            rules = self.piece.in_boxes(boxes, nodes)
            kept, points = self.keep(rules.points)
            inside = RulesInBoxes(rules.box, points, rules.weights).some(kept)
            counts = inside.counts(len(boxes))
            share = counts / rules.counts(len(boxes)).clamp_min(1)
            again = (counts > 0) & (share <= least) & (tries > 0)
            parts.append(inside.some(~again[inside.box]).numbered(every))
            axes, tries = range(boxes.shape[2]), tries - 1
            boxes, every = inside.around(boxes, pad, axes)[again], every[again]
        return RulesInBoxes.joined(parts)


def bounding(
    domain: Domain, step: float, first: Sequence[Domain], points: Points
) -> tuple[Mask, Points]:
    """Determine which points of a piece lie on a combination's boundary, with outward normals.

    A point does if the points next to it on one side of the piece are in the combination, and those
    on the other side are not.

    Args:
        domain: the combination.
        step: the distance from the piece at which points on both sides are tested.
        first: earlier operands; points on their boundaries do not count, since they belong to the
            pieces of these operands.
        points: n points of a piece of an operand's boundary, with normals.

    Returns:
        The mask (n,) of the points on the combination's boundary, and all n points. The normals at
        the points of the mask point out of the combination.
    """
    normals = points.outward
    before, after = (points.coords + sign * step * normals for sign in (-1, 1))
    here, there = domain.contains(before), domain.contains(after)
    kept = here != there
    for other in first:
        kept &= other.contains(before) == other.contains(after)
    outward = torch.where((there & ~here)[:, None], -normals, normals)
    return kept, Points(points.coords, points.names, outward)


def clip(
    piece: Piece, domain: Domain, step: float, first: tuple[Domain, ...], exact: Rule
) -> tuple[Piece, ...]:
    """Return the part of an operand's boundary piece that bounds a combination.

    Args:
        piece, domain, step, first, exact: see `Clipped`.

    Returns:
        No piece if no part of the piece bounds the combination. The piece itself, with normals
        reversed if necessary, if the whole piece does. Otherwise a `Clipped` piece.
    """
    clipped = Clipped(piece, domain, step, first, exact)
    if clipped.share == 0:
        return ()
    if abs(clipped.share - 1) > 1e-12:
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
        cells: the cells into which planes and spheres divide the combination.
    """
    step = 1e-9 * cells.size  # a distance well above rounding
    seen: list[tuple[Carriers, Domain]] = []
    for operand in domain.operands:
        for piece in operand.boundary.pieces:
            carriers = piece.carriers or Carriers()
            first = tuple(other for same, other in seen if same == carriers)
            if carriers.planes:
                yield from _face_parts(domain, cells, operand, piece, first, step)
            elif not first:
                exact = partial(sphere_part_rule, cells, piece.names, carriers.spheres[0])
                yield from clip(piece, domain, step, (), exact)
            seen.append((carriers, operand))


def _face_parts(
    domain: Domain,
    cells: CellSet,
    operand: Domain,
    piece: Piece,
    first: tuple[Domain, ...],
    step: float,
) -> Iterator[Piece]:
    """Yield the parts of a box's face that bound a combination in d dimensions.

    If all parts are boxes of d - 1 dimensions, such as rectangles, each part is yielded as a
    `Face`; otherwise the piece, or a single `Clipped` piece, contains all parts.

    Args:
        domain, cells: see `_pieces`.
        operand: the box.
        piece: the face of the box.
        first, step: see `Clipped`.
    """
    assert piece.carriers is not None
    ((axis, value),) = piece.carriers.planes
    flat = cells.carriers.within(axis, value)
    keep = partial(bounding, domain, step, first)
    tests = [partial(_bounds, keep, operand, step, axis, value, way) for way in (1, -1)]
    sides = [CellSet(cells.dim - 1, flat, test, cells.size) for test in tests]
    boxes = [side.boxes for side in sides]
    if None in boxes:
        exact = partial(_plane_rule, sides, piece.names, axis, value)
        yield from clip(piece, domain, step, first, exact)
        return
    low, high = (corner[axis].item() for corner in operand.bounds)
    for up, rectangles in zip((True, False), boxes, strict=True):
        for ranges in rectangles or []:
            around = [*ranges[:axis], (low, high), *ranges[axis:]]
            box = Box(**dict(zip(piece.names, around, strict=True)))
            face = Face(box, axis, value == high)
            yield face if up == face.upper else Turned(face)


def _bounds(
    keep: Keep, operand: Domain, step: float, axis: int, value: float, way: int, flat: Tensor
) -> Mask:
    """Return a mask (n,) of points of a plane on a face of an operand and of the combination.

    Args:
        keep: a function that determines which points of the plane bound the combination, see
            `bounding`.
        operand: the operand.
        step: see `Clipped`.
        axis: the axis orthogonal to the plane.
        value: the coordinate along this axis on the plane.
        way: the direction along the axis, 1 or -1, in which the combination's outward normals have
            to point.
        flat: the points, (n, d - 1), without their coordinate along the axis.
    """
    here = _lifted(flat, axis, value)
    normals = _lifted(torch.zeros_like(flat), axis, 1.0)
    kept, points = keep(Points(here, operand.names, normals))
    return kept & (points.outward[:, axis] == way) & operand.contains(here, step)


def _lifted(flat: Tensor, axis: int, value: float) -> Tensor:
    """Return points (n, d - 1) with the coordinate `value` inserted at the index `axis`, (n, d)."""
    return torch.cat([flat[:, :axis], flat.new_full((len(flat), 1), value), flat[:, axis:]], dim=1)


def _plane_rule(
    sides: Sequence[CellSet], names: tuple[str, ...], axis: int, value: float, nodes: int
) -> tuple[Points, Weights]:
    """Return a quadrature rule, with normals, on cells in the plane x[axis] = value.

    Args:
        sides: the cells with the outward normal along the axis, and the cells with the opposite
            normal.
        names: the names of the d coordinates.
        axis, value: the axis orthogonal to the plane, and the coordinate along it on the plane.
        nodes: the number of nodes of each one-dimensional Gauss rule.

    Returns:
        n points with normals, and weights (n,).
    """
    points, weights = [], []
    for normal, cells in zip((1.0, -1.0), sides, strict=True):
        flat, areas = cells_rule(cells, nodes)
        normals = _lifted(torch.zeros_like(flat), axis, normal)
        points.append(Points(_lifted(flat, axis, value), names, normals))
        weights.append(areas)
    return Points.cat(points), torch.cat(weights)


def _lines(solid: Domain, carriers: Carriers) -> Iterator[Tensor]:
    """Yield the lines in which two planes meet, divided into segments at other planes and spheres.

    Each segment is given by its two ends, (2, 3), within the bounding box of the solid.
    """
    low, high = (corner.tolist() for corner in solid.bounds)
    for (axis, at), (other, there) in itertools.combinations(carriers.planes, 2):
        if axis == other:
            continue
        (along,) = {0, 1, 2} - {axis, other}
        cuts = {low[along], high[along]}
        cuts |= {value for across, value in carriers.planes if across == along}
        for center, radius in carriers.spheres:
            square = radius**2 - (at - center[axis]) ** 2 - (there - center[other]) ** 2
            if square > 0:
                cuts |= {center[along] + sign * square**0.5 for sign in (-1, 1)}
        inside = sorted(cut for cut in cuts if low[along] <= cut <= high[along])
        for ends in itertools.pairwise(inside):
            segment = torch.zeros(2, 3, dtype=torch.float64)
            segment[:, axis], segment[:, other] = at, there
            segment[:, along] = torch.tensor(ends, dtype=torch.float64)
            yield segment


def _arcs(carriers: Carriers) -> Iterator[Tensor]:
    """Yield short arcs of the circles in which a sphere meets a plane or another sphere.

    Each arc is given by its start, middle and end, (3, 3).
    """
    count = 64  # arcs of a circle
    turns = torch.arange(2 * count + 1, dtype=torch.float64)[:, None] * (math.pi / count)
    # All circles in which a sphere meets a plane or another sphere, without duplicates.
    both = (circle.on(0) for axis in (-1, 0) for circle in circles(axis, carriers))
    for circle in dict.fromkeys(both):
        normal = torch.tensor(circle.normal, dtype=torch.float64)
        length = float(normal.norm())
        normal, level = normal / length, circle.level / length
        middle = torch.tensor(circle.center, dtype=torch.float64) + level * normal
        radius, (first, second) = (circle.radius**2 - level**2) ** 0.5, across(normal)
        points = middle + radius * (turns.cos() * first + turns.sin() * second)
        yield from points.unfold(0, 3, 2).transpose(1, 2)


SIGNS = {"union": "|", "difference": "-", "intersection": "&"}


def planar(domain: Domain) -> Planar | None:
    """Return a planar domain, or a box of two dimensions, as a `Planar`; None for other domains."""
    if isinstance(domain, Box) and len(domain.names) == 2:
        return rectangle(domain)
    return domain if isinstance(domain, Planar) else None


# A part of one operand's boundary that does not cross the boundary of the other operand: the curve;
# True if it lies inside the other operand; and 1 or -1 if it lies on the other operand's boundary
# and runs in the same or in the opposite direction, otherwise 0.
Part = tuple[Curve, bool, int]


def combine2d(kind: str, a: Planar, b: Planar) -> Planar:
    """Return the exact union, difference or intersection of two planar domains.

    Pieces keep their names. If a and b have pieces with the same name on different lines or
    ellipses, the names of these pieces of b get the suffix "_2" (or the next free number).

    Args:
        kind: "union", "difference" (a without b) or "intersection".
        a: the first domain.
        b: the second domain, with the same coordinates.

    Raises:
        InputError: if the result is empty.
    """
    # Points closer than this, relative to the size of the coordinates, count as equal.
    tolerance = 1e-12 * max(a.scale, b.scale)
    parts = [*_parts(a, b, tolerance)]
    kept = [[_kept(kind, which, *part) for part in parts[which]] for which in (0, 1)]
    mine, other = ([curve for curve in some if curve is not None] for some in kept)
    curves = merged([*mine, *_renamed(mine, other, tolerance)], tolerance)
    area = math.fsum(curve.moment(curves[0].start) for curve in curves)
    # Rounding errors may give an empty result an area of this size.
    if not area > 1e-12 * min(a.measure, b.measure):
        raise InputError(f"the {kind} of {a!r} and {b!r} is empty")
    return Planar(tuple(curves), f"({a!r} {SIGNS[kind]} {b!r})")


def _parts(a: Planar, b: Planar, tolerance: float) -> Iterator[list[Part]]:
    """Yield the list of all `Part`s of a's boundary, then the list of all `Part`s of b's boundary.

    Args:
        tolerance: the distance within which points count as equal.
    """
    points = common_points(a.curves, b.curves, tolerance)
    middle = torch.tensor([0.5], dtype=torch.float64)
    for mine, other, met in ((a, b, points[0]), (b, a, points[1])):
        both = zip(mine.curves, met, strict=True)
        curves = [part for item in both for part in divided_at(*item, tolerance, 4 * tolerance)]
        near: list[list[Curve]] = [[] for _ in curves]
        for i, j in meeting(curves, other.curves, 4 * tolerance):  # the tolerance of `_shared`
            near[i].append(other.curves[j])
        shared = [_shared(*item, tolerance) for item in zip(curves, near, strict=True)]
        inside = other.encloses(torch.cat([curve.at(middle) for curve in curves])).tolist()
        yield list(zip(curves, inside, shared, strict=True))


def _shared(part: Curve, others: Sequence[Curve], tolerance: float) -> int:
    """Determine whether a part of one operand's boundary lies on the other operand's boundary.

    Args:
        part: the part of one operand's boundary.
        others: curves of the other operand's boundary.
        tolerance: the distance within which points count as equal.

    Returns:
        1 or -1 if the part lies on another curve and runs in the same or in the opposite direction;
        0 if the part lies on no other curve.
    """
    # Three common inner points suffice: lines and ellipses do not cross inside a part, so that they
    # coincide if they have these points in common.
    probes = torch.tensor([0.5, 0.29, 0.73], dtype=torch.float64)
    points = [(x, y) for x, y in part.at(probes).tolist()]
    along = part.velocity(probes[:1])[0]
    for other in others:
        places = [other.locate(point, 4 * tolerance) for point in points]
        if all(t is not None for t in places):
            way = other.velocity(torch.tensor(places[:1], dtype=torch.float64))[0]
            return 1 if along @ way > 0 else -1
    return 0


def _kept(kind: str, which: int, curve: Curve, inside: bool, shared: int) -> Curve | None:
    """Return a part as a piece of the result's boundary, or None if it does not bound the result.

    The result is the union, difference or intersection of two planar domains. A union is bounded by
    the parts outside the other operand, and an intersection by the parts inside. A difference is
    bounded by the parts of its first operand that lie outside the second, and by the parts of the
    second that lie inside the first, which are reversed. A part that lies on both boundaries is
    taken from the first operand only. It bounds a union or an intersection if the boundaries run in
    the same direction there, a difference if they run in opposite directions.

    Args:
        kind: "union", "difference" or "intersection".
        which: 0 if the part is from the first operand's boundary, 1 if from the second operand's.
        curve: the part, a curve that does not cross the other operand's boundary.
        inside: whether the curve lies inside the other operand.
        shared: 1 or -1 if the curve lies on the other operand's boundary and runs in the same or in
            the opposite direction, otherwise 0.
    """
    if shared:
        way = -1 if kind == "difference" else 1
        return curve if which == 0 and shared == way else None
    if kind == "difference" and which:
        return curve.part(1.0, 0.0) if inside else None
    return curve if inside == (kind == "intersection") else None


def _renamed(mine: Sequence[Curve], other: Sequence[Curve], tolerance: float) -> list[Curve]:
    """Rename those curves of the second boundary whose names belong to other curves of the first.

    Args:
        mine: the curves of the first boundary.
        other: the curves of the second boundary, which are returned in order; a renamed curve has
            the suffix "_2" or the next free number.
        tolerance: a quarter of the distance within which curves lie on one line or ellipse.
    """
    taken = {curve.name for curve in (*mine, *other)}
    names: dict[str, str] = {}
    for name in {curve.name: None for curve in other}:
        rivals = [curve for curve in mine if curve.name == name]
        theirs = [curve for curve in other if curve.name == name]
        if not rivals or all(
            any(rival.same_carrier(curve, 4 * tolerance) for rival in rivals) for curve in theirs
        ):
            names[name] = name
            continue
        free = (f"{name}_{k}" for k in itertools.count(2))
        names[name] = next(tag for tag in free if tag not in taken)
        taken.add(names[name])
    return [curve.named(names[curve.name]) for curve in other]


def combine(kind: str, a: Domain, b: Domain) -> Domain:
    """Return the union, difference or intersection of two domains a and b.

    Combinations of planar domains are exact. Combinations of boxes in any dimension, and of boxes
    and balls in three dimensions, have a measure that is exact to rounding, and Gauss rules that
    converge geometrically.

    Args:
        kind: "union", "difference" (a without b) or "intersection".
        a: the first domain, with a finite bounding box.
        b: the second domain, with the same coordinates in the same order.

    Returns:
        The combination, or an equal simpler domain: a, b or a box.

    Raises:
        InputError: if the kind is unknown, b is not a domain, the coordinates differ, the domains
            are neither planar, nor boxes, nor boxes and balls in three dimensions, or the result
            has no volume.
    """
    one_of("kind", kind, tuple(SIGNS))
    if not isinstance(b, Domain):
        raise InputError(f"a domain combines with another domain, got {b!r}")
    if a.names != b.names:
        raise InputError(
            f"a {kind} needs two domains with the same coordinates, got "
            f"({', '.join(a.names)}) and ({', '.join(b.names)})"
        )
    first, second = planar(a), planar(b)
    if first is not None and second is not None:
        return combine2d(kind, first, second)
    carriers = (a.carriers, b.carriers)
    if None in carriers or (len(a.names) > 3 and any(known.spheres for known in carriers if known)):
        remedy = "other solids are combined as meshes, which kp.Surface takes"
        if a.time_name is not None:
            remedy = "combine the spaces, and give the result a time by over(t=…)"
        raise InputError(
            "domains are combined in the plane, as boxes, or as boxes and balls in three "
            f"dimensions, got {a!r} and {b!r}: {remedy}"
        )
    result = Combination(kind, a, b).simplified
    if result is None:
        raise InputError(f"the {kind} of {a!r} and {b!r} is empty")
    return result


def over(space: Domain, time: Mapping[str, Sequence[float | int]]) -> Domain:
    """Return space × time; `time` is the time interval as {name: (low, high)}."""
    return Product(space, Box(**time))


BUILDERS.update(combine=combine, over=over)
