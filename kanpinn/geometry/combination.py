"""Unions, differences and intersections of domains, and the parts of their boundaries."""

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
from kanpinn.geometry.domain import Creases, Domain, interior_angle
from kanpinn.geometry.points import Points
from kanpinn.geometry.quadrature import (
    accepted_share,
    clipped_error,
    equal_weights,
    sampling_error,
    sobol,
)
from kanpinn.geometry.region import Draw, longer
from kanpinn.geometry.rules_in_boxes import RulesInBoxes

Rule = Callable[[int], tuple[Points, Weights]]


@dataclass(frozen=True)
class Clipped(Derived):
    """The part of a piece that bounds a domain: exactly one side of it lies in the domain.

    The normals point to the outer side. With a Gauss rule the measure is exact to rounding;
    otherwise it is estimated by scrambled Sobol points with the standard error `measure_error`.

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
        return self.part[0] * self.piece.measure

    @property
    def measure_error(self) -> float:
        return self.part[1] * self.piece.measure + self.part[0] * self.piece.measure_error

    @cached_property
    def part(self) -> tuple[float, float]:
        """The share of the piece that bounds the domain, and its standard error."""
        if self.exact is not None:
            # With 32 nodes the rule has converged to rounding.
            return self.exact(32)[1].sum().item() / self.piece.measure, 0.0
        return accepted_share(self.piece, lambda points: self.keep(points)[0])

    def keep(self, points: Points) -> tuple[Mask, Points]:
        """Determine which points of the piece bound the domain, and orient the normals outward.

        Args:
            points: n points of the piece with normals.

        Returns:
            The mask (n,) of the bounding points, and all n points with outward normals.
        """
        normals = _normals(points)
        before, after = (points.coords + sign * self.step * normals for sign in (-1, 1))
        here, there = self.domain.contains(before), self.domain.contains(after)
        kept = here != there
        for other in self.first:
            kept &= other.contains(before) == other.contains(after)
        outward = torch.where((there & ~here)[:, None], -normals, normals)
        return kept, Points(points.coords, points.names, outward)

    def place(self, n: int, draw: Draw) -> Points:
        count = self._count(n)
        while True:
            kept, points = self.keep(self.piece.place(count, draw))
            if int(kept.sum()) >= n:
                return points[kept]
            count = longer(count)

    def spread(self, n: int, draw: Draw) -> tuple[Points, Weights]:
        count = self._count(n)
        while True:
            points, more = self.piece.spread(count, draw)
            kept, points = self.keep(points)
            if int(kept.sum()) >= n:
                return points[kept], more[kept]
            count = longer(count)

    def quadrature(self, nodes: int) -> tuple[Points, Weights]:
        """Return a Gauss rule if there is one, otherwise min(nodes^dim, 2^20) Sobol points.

        The Sobol points come from one scrambling and have equal weights. If the whole piece bounds
        the domain, the rule of the piece is used.
        """
        nodes = integer("nodes", nodes)
        if self.exact is not None:
            points, weights = self.exact(nodes)
        elif self.part[0] < 1:
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

    def rule_error(self, nodes: int) -> float:
        if self.exact is not None:
            return 0.0
        if self.part[0] == 1:
            return self.piece.rule_error(nodes)
        return clipped_error(self.piece, lambda p: self.keep(p)[0], self.part[0], nodes)

    def gauss(self, n: int) -> Points:
        if self.exact is not None:
            return super().gauss(n)
        if self.part[0] < 1:
            return self.place(n, sobol(0))[:n]
        return self.keep(self.piece.gauss(n))[1]

    def _count(self, n: int) -> int:
        """Return the number of points to draw on the piece so that about n bound the domain."""
        return math.ceil(n / self.part[0])


def clip(
    piece: Piece,
    domain: Domain,
    step: float,
    first: tuple[Domain, ...] = (),
    exact: Rule | None = None,
) -> Piece | None:
    """Return the part of an operand's piece that bounds the domain.

    The arguments are those of `Clipped`.

    Returns:
        The piece itself, with normals reversed if necessary, if all of it bounds the domain; None
        if no part of it does; otherwise a `Clipped` piece.
    """
    clipped = Clipped(piece, domain, step, first, exact)
    part, _ = clipped.part
    if part == 0:
        return None
    if abs(part - 1) > 1e-12:
        return clipped
    probe = piece.place(64, sobol(0))
    turned = (_normals(clipped.keep(probe)[1]) != _normals(probe)).any(dim=1)
    if not turned.any():
        return piece
    return Turned(piece) if turned.all() and isinstance(piece, MappedPiece) else clipped


def _normals(points: Points) -> Coords:
    assert points.normals is not None
    return points.normals


def pieces_of(domain: Domain, cells: CellSet) -> Iterator[Piece]:
    """Yield the parts of the operands' pieces that bound a combination.

    If pieces of several operands lie on the same plane or sphere, their common points belong to the
    piece of the first operand.

    Args:
        domain: the combination.
        cells: the cells of the combination between planes and spheres.
    """
    seen: list[tuple[Walls, Domain]] = []
    for operand in domain.operands:
        for piece in operand.boundary.pieces:
            walls = piece.walls or Walls()
            first = tuple(other for same, other in seen if same == walls)
            if walls.planes:
                yield from _face_parts(domain, cells, operand, piece, first)
            elif not first:
                exact = partial(_sheets, cells, piece.names, walls.spheres[0])
                yield from _clipped(piece, domain, cells, (), exact)
            seen.append((walls, operand))


def _face_parts(
    domain: Domain, cells: CellSet, operand: Domain, piece: Piece, first: tuple[Domain, ...]
) -> Iterator[Piece]:
    """Yield the bounding parts of a box's face: faces if all are boxes, else one clipped piece."""
    assert piece.walls is not None
    ((axis, value),) = piece.walls.planes
    flat, step = cells.walls.within(axis, value), _step(cells)
    tests = [FaceTest(domain, operand, first, axis, value, way * step) for way in (1, -1)]
    sides = [CellSet(cells.dim - 1, flat, test, cells.size) for test in tests]
    boxes = [side.boxes for side in sides]
    if None in boxes:
        exact = partial(_flat, sides, piece.names, axis, value)
        yield from _clipped(piece, domain, cells, first, exact)
        return
    low, high = (corner[axis].item() for corner in operand.bounds)
    for up, found in zip((True, False), boxes, strict=True):
        for ranges in found or []:
            around = [*ranges[:axis], (low, high), *ranges[axis:]]
            box = Box(**dict(zip(piece.names, around, strict=True)))
            face = Face(box, axis, value == high)
            yield face if up == face.upper else Turned(face)


def _clipped(
    piece: Piece, domain: Domain, cells: CellSet, first: tuple[Domain, ...], exact: Rule
) -> Iterator[Piece]:
    clipped = clip(piece, domain, _step(cells), first, exact)
    if clipped is not None:
        yield clipped


def _step(cells: CellSet) -> float:
    """Return the distance from a piece at which both sides are tested, well above rounding."""
    return 1e-9 * cells.size


@dataclass(frozen=True)
class FaceTest:
    """A test which points of a plane lie on an operand's face and bound a combination on one side.

    Called with points (n, d - 1) of the plane, it returns a mask (n,).

    Args:
        domain: the combination.
        leaf: the operand.
        first: earlier operands; their points on the plane belong to their own pieces.
        axis: the axis orthogonal to the plane.
        value: the value of that coordinate on the plane.
        step: the signed step along the axis from the plane to the outer side of the combination.
    """

    domain: Domain
    leaf: Domain
    first: tuple[Domain, ...]
    axis: int
    value: float
    step: float

    def __call__(self, flat: Tensor) -> Mask:
        here, before, after = (
            _lifted(flat, self.axis, self.value + step) for step in (0.0, -self.step, self.step)
        )
        kept = self.domain.contains(before) & ~self.domain.contains(after)
        kept &= self.leaf.contains(here, abs(self.step))
        for other in self.first:
            kept &= ~other.contains(here, abs(self.step))
        return kept


def _lifted(flat: Tensor, axis: int, value: float) -> Tensor:
    """Insert the coordinate `value` of an axis into points (n, d - 1) of a plane, as (n, d)."""
    return torch.cat([flat[:, :axis], flat.new_full((len(flat), 1), value), flat[:, axis:]], dim=1)


def _flat(
    sides: Sequence[CellSet], names: tuple[str, ...], axis: int, value: float, nodes: int
) -> tuple[Points, Weights]:
    """Return a rule on cells in a plane: those with the normal along the axis, then against it."""
    points, weights = [], []
    for normal, cells in zip((1.0, -1.0), sides, strict=True):
        flat, areas = cells_rule(cells, nodes)
        normals = torch.zeros(len(flat), len(names), dtype=torch.float64)
        normals[:, axis] = normal
        points.append(Points(_lifted(flat, axis, value), names, normals))
        weights.append(areas)
    return Points.cat(points), torch.cat(weights)


def _sheets(
    cells: CellSet, names: tuple[str, ...], sphere: tuple[tuple[float, ...], float], nodes: int
) -> tuple[Points, Weights]:
    coords, normals, weights = sphere_part_rule(cells, sphere, nodes)
    return Points(coords, names, normals), weights


def wall_creases(domain: Domain, walls: Walls) -> Creases:
    """The creases of a solid whose boundary is in planes and spheres.

    Args:
        domain: the solid.
        walls: the planes and spheres.
    """
    low, high = domain.bounds
    size = float((high - low).norm())
    least, most = math.pi + 0.2, 2 * math.pi - 1e-6  # above most the line is inside the solid
    segments, angles, ends = [], [], []
    for one, straight in itertools.chain(_lines(domain, walls), _arcs(walls)):
        middle, along = one.mean(dim=0), one[1] - one[0]
        if not straight:  # the angle is that at the middle of the arc
            middle, one = one[1], one[[0, 2]]
            along = one[1] - one[0]
        angle = interior_angle(middle, along, domain.contains, 1e-5 * size)
        if least < angle < most:
            segments.append(one)
            angles.append(angle)
            ends += list(one) if straight else []
    if not segments:
        return Creases.none()
    points = torch.stack(ends) if ends else torch.zeros(0, 3, dtype=torch.float64)
    found = torch.stack(segments), torch.tensor(angles, dtype=torch.float64)
    return Creases.of(*found, points, domain.contains, size)


def _lines(domain: Domain, walls: Walls) -> Iterator[tuple[Tensor, bool]]:
    """The segments of the lines in which two planes meet, cut by further planes and spheres."""
    low, high = domain.bounds
    for (axis, at), (other, there) in itertools.combinations(walls.planes, 2):
        if axis == other:
            continue
        (along,) = {0, 1, 2} - {axis, other}
        cuts = {float(low[along]), float(high[along])}
        cuts |= {value for across, value in walls.planes if across == along}
        for center, radius in walls.spheres:
            square = radius**2 - (at - center[axis]) ** 2 - (there - center[other]) ** 2
            if square > 0:
                cuts |= {center[along] + sign * square**0.5 for sign in (-1, 1)}
        inside = sorted(cut for cut in cuts if low[along] <= cut <= high[along])
        for first, last in itertools.pairwise(inside):
            found = torch.zeros(2, 3, dtype=torch.float64)
            found[:, axis], found[:, other] = at, there
            found[0, along], found[1, along] = first, last
            yield found, True


def _arcs(walls: Walls) -> Iterator[tuple[Tensor, bool]]:
    """The arcs of circles in which spheres meet planes or spheres: start, middle and end."""
    count = 64  # arcs of a circle
    turns = torch.arange(2 * count + 1, dtype=torch.float64) * (math.pi / count)
    # Circles of spheres with planes across all axes and with other spheres, without duplicates.
    both = (one.on(0) for axis in (-1, 0) for one in circles(axis, walls))
    for one in dict.fromkeys(both):
        normal = torch.tensor(one.normal, dtype=torch.float64)
        length = float(normal.norm())
        normal, level = normal / length, one.level / length
        middle = torch.tensor(one.center, dtype=torch.float64) + level * normal
        radius = (one.radius**2 - level**2) ** 0.5
        helper = torch.eye(3, dtype=torch.float64)[int(normal.abs().argmin())]
        first = torch.linalg.cross(normal, helper)
        first = first / first.norm()
        second = torch.linalg.cross(normal, first)
        points = middle + radius * (turns.cos()[:, None] * first + turns.sin()[:, None] * second)
        for i in range(count):
            yield points[2 * i : 2 * i + 3], False


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
        if self._cells is not None and (boxes := self._cells.boxes):
            ends = torch.tensor(boxes, dtype=torch.float64)
            return ends[:, :, 0].amin(dim=0), ends[:, :, 1].amax(dim=0)
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
        if self._cells is None:
            step = 1e-9 * self._diameter
            own = (clip(piece, self, step) for piece in self.a.boundary.pieces)
            others = (clip(piece, self, step, (self.a,)) for piece in self.b.boundary.pieces)
            return Boundary(tuple(piece for piece in (*own, *others) if piece is not None))
        return Boundary(tuple(pieces_of(self, self._cells)))

    @cached_property
    def creases(self) -> Creases:
        if self._cells is None or self.dim != 3:
            return Creases.none()
        return wall_creases(self, self._cells.walls)

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
        f, g = self.a.level(coords), self.b.level(coords)
        if self.kind == "difference":
            g = -g
        return f + g - (f**2 + g**2).sqrt()

    def quadrature(self, nodes: int) -> tuple[Points, Weights]:
        """Return a Gauss rule if `rule_error` is 0, otherwise the Sobol points of one scrambling.

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

    def rule_error(self, nodes: int) -> float:
        return 0.0 if self._cells is not None or self._apart else sampling_error(self, nodes)

    def gauss(self, n: int) -> Points:
        if self._cells is not None or self._apart:
            return super().gauss(n)
        return self.place(n, sobol(0))[:n]

    @property
    def simplified(self) -> Domain | None:
        """An equal simpler domain (an operand or a box) if any, otherwise itself; None if empty."""
        first, second = self.a, self.b
        if self.kind != "difference":
            for inner, outer in ((first, second), (second, first)):
                if inner == outer or outer.contains_box(*inner.bounds):
                    return outer if self.kind == "union" else inner
        # Rounding errors may give an empty result a measure of this size.
        least = 1e-12 * first.measure
        if not self.measure > least:
            return None
        if self._cells is None:
            return first if self.kind == "difference" and self._distant else self
        if (box := self._only_box) is not None:
            return box
        whole = (first,) if self.kind == "difference" else (first, second)
        return next((one for one in whole if abs(one.measure - self.measure) <= least), self)

    @cached_property
    def _cells(self) -> CellSet | None:
        """Its cells between planes and spheres; None for other walls and for balls above 3-D."""
        if self.walls is None or (self.walls.spheres and self.dim > 3):
            return None
        return CellSet(self.dim, self.walls, self.contains, self._diameter)

    @property
    def _only_box(self) -> Box | None:
        boxes = self._cells.boxes if self._cells is not None else None
        return self._box(boxes[0]) if boxes and len(boxes) == 1 else None

    def _box(self, ranges: list[tuple[float, float]]) -> Box:
        return Box(**dict(zip(self.names, ranges, strict=True)))

    @cached_property
    def _measured(self) -> tuple[float, float]:
        """The measure and its standard error."""
        if self._cells is not None:
            if self._cells.boxes is not None:
                return sum((self._box(box).measure for box in self._cells.boxes), start=0.0), 0.0
            # With 32 nodes the rules have converged to rounding.
            return cells_rule(self._cells, 32, last=1)[1].sum().item(), 0.0
        a, b = self.a, self.b
        # Sample the smaller domain: if the other one contains it, the estimate is exact.
        small, large = sorted((a, b), key=lambda domain: domain.measure)
        part, error = (
            (0.0, 0.0) if self._distant else accepted_share(small, partial(_contained, large))
        )
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
        exact = not self.a.rule_error(8) and not self.b.rule_error(8)
        return self.kind == "union" and self._distant and exact

    @cached_property
    def _diameter(self) -> float:
        low, high = self.a.bounds
        return (high - low).norm().item()


def _contained(domain: Domain, points: Points) -> Mask:
    return domain.contains(points.coords)
