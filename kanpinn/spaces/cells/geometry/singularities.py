"""Points and edges at which solutions are singular: their exponents, the cells there, and the
weights of the rows of these.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
import torch
from torch import Tensor

from kanpinn.geometry.box import Face
from kanpinn.geometry.division import Division, DivisionEdge, SolidDivision
from kanpinn.geometry.domain import Piece, ReentrantEdges
from kanpinn.geometry.points import Points
from kanpinn.loss.terms import ResidualTerm
from kanpinn.spaces.cells.geometry.cell_geometry import CellGeometry, in_trees, physical
from kanpinn.spaces.cells.geometry.corner_functions import CornerFunctions, Power
from kanpinn.spaces.cells.geometry.plane import Outline
from kanpinn.spaces.cells.tree import Tree

# The coefficients inside and outside of a piece of an interface, at one of its points.
FluxSizes = Callable[[Piece, Points], tuple[float, float]]
Goal = Callable[[CellGeometry], Tensor]  # the coordinates in which cells are too coarse, (N, d)


@dataclass(frozen=True, eq=False)
class PlaneCorner:
    """A corner of a domain in the plane, where solutions of Laplace's equation are like r^λ.

    Args:
        outline: the boundary.
        before, after: the numbers of the curves that end and start at the corner.
        angle: the interior angle ω.
        mixed: whether the conditions on the two sides prescribe derivatives of different orders;
            both values if they do so for some fields, but not for others.
    """

    outline: Outline
    before: int
    after: int
    angle: float
    mixed: tuple[bool, ...]

    @property
    def at(self) -> tuple[float, float]:
        """The corner."""
        return self.outline.domain.curves[self.before].stop

    @property
    def exponent(self) -> float:
        """The least exponent λ: π/ω, or π/(2ω) if the conditions on both sides differ.

        It is infinite at a cusp, where two curves meet at the angle 0.
        """
        if self.angle == 0:
            return math.inf
        return math.pi / self.angle * (0.5 if any(self.mixed) else 1.0)

    @property
    def direction(self) -> float:
        """The direction of the line that halves the interior angle."""
        along = self.outline.domain.curves[self.after].velocity(torch.zeros(1).double())[0]
        return math.atan2(float(along[1]), float(along[0])) + self.angle / 2

    @cached_property
    def reach(self) -> float:
        """The radius of a disk around the corner in which the domain is like a sector.

        No other part of the boundary is in it, and the two curves at the corner stay away from the
        direction opposite to that of the line that halves the angle.
        """
        count = 129  # of points on a curve
        ts, found = torch.linspace(0, 1, count, dtype=torch.float64), math.inf
        for number, curve in enumerate(self.outline.domain.curves):
            line, half = curve.at(ts), count // 2
            if number == self.before == self.after:
                rest = [self._beyond(line[: half + 1]), self._beyond(line[half:].flip(0))]
            elif number in (self.before, self.after):
                rest = [self._beyond(line if number == self.after else line.flip(0))]
            else:
                rest = [line]
            lines = [shapely.LineString(one.numpy()) for one in rest if len(one) > 1]
            found = min([found, *(line.distance(shapely.Point(self.at)) for line in lines)])
        return found

    def _beyond(self, points: Tensor) -> Tensor:
        """The points of a curve that begins here from where it comes back or turns too far."""
        gaps = points - points.new_tensor(self.at)
        back = gaps.norm(dim=1).diff(prepend=-gaps.new_ones(1)) <= 0
        turned = torch.atan2(gaps[:, 1], gaps[:, 0]) - self.direction
        turned = torch.remainder(turned + math.pi, 2 * math.pi) - math.pi
        far = turned.abs() > (math.pi + self.angle / 2) / 2  # half way to the opposite direction
        far[0] = False
        stop = (back | far).nonzero()[:, 0]
        return points[int(stop[0]) - 1 :] if len(stop) else points[:0]

    def functions(self, top: float) -> CornerFunctions:
        """The singular functions, and their products with powers of x and y, up to a degree.

        Solutions of Laplace's equation are sums of r^λ_j sin(λ_j θ), or with the cosine. Terms of
        lower order in the equation, coefficients that vary, and curves at the corner add products
        of these with polynomials. Where λ_j is an integer n, up to a small ε, r^n ln r takes the
        place of the power: r^(n + ε) is r^n + ε r^n ln r up to ε², and nearly a polynomial.

        top: the degree that is not reached.
        """
        near = 1e-6
        found: dict[tuple[float, int], Power] = {}
        for number, mixed in itertools.product(range(1, math.ceil(2 * top) + 2), self.mixed):
            exponent = (number - 0.5 * mixed) * math.pi / self.angle
            if exponent >= top:
                continue
            logarithm = abs(exponent - round(exponent)) < near
            exponent = float(round(exponent)) if logarithm else exponent
            for more in range(math.ceil(top - exponent)):
                for conjugate in range(more + 1):
                    power = Power(exponent + more - conjugate, conjugate, int(logarithm))
                    found.setdefault((round(power.exponent, 9), conjugate), power)
        return CornerFunctions(self.direction, min(1.0, self.reach), tuple(found.values()))

    def boxes(self, roots: Sequence[int], bounds: tuple[Tensor, Tensor]) -> Tensor | None:
        """The largest boxes of a tree around the corner within its reach, (b, 2, 2).

        Args:
            roots: the numbers of boxes of level 0 along each coordinate.
            bounds: the lowest and the highest corner of the domain, (2,) each.

        Returns:
            Their lower and upper corners in the tree's coordinates; None if they would be tiny.
        """
        near, levels = 0.5, 12  # near: the distance of boxes from the corner, in their widths
        low, high = bounds
        half = (high - low) / 2
        at = (low.new_tensor(self.at) - low) / half - 1
        around = torch.cartesian_prod(*[torch.arange(-2.0, 3.0, dtype=at.dtype)] * 2)
        for level in range(levels):
            widths = 2 / (at.new_tensor(roots) * 2**level)
            place = torch.floor((at + 1) / widths) + around
            boxes = torch.stack([place, place + 1], dim=1) * widths - 1
            gaps = torch.maximum(boxes[:, 0] - at, at - boxes[:, 1]).clamp_min(0) / widths
            boxes = boxes[(gaps <= near).all(dim=1)]
            if float(((boxes - at).abs().amax(dim=1) * half).norm(dim=1).max()) <= self.reach:
                return boxes
        return None


@dataclass(frozen=True, eq=False)
class SingularCorners:
    """The corners at which solutions behave like r^λ with an exponent λ < 2; there may be none.

    Where cells have the singular functions below a degree, that degree takes the place of λ.

    The second derivatives of r^λ are not square integrable for λ < 1, and then the least-squares
    functional has no minimum close to the solution. Therefore the rows of each cell are multiplied
    by the power β of its distance from the nearest corner. For cells of the width h at a corner the
    error far away from it is h^(2λ) for β ≥ 1, and h^(2(λ + β - 1)) for smaller β. On four
    domains with λ from 0.54 to 0.81 errors were least for β from 1.25 to 1.75.

    Args:
        points: the corners, (c, 2).
        exponents: λ of each, (c,).
        power: β.
        contraction: the largest part of the error that is left when cells at a corner are halved.
        least: the smallest one. In the plane solves on trees in between take little time, and show
            how small cells have to be.
        near: the distance from a corner, in units of a cell's width, below which cells around a
            smaller cell at the corner are halved.
        bits: the largest number of halvings of the domain's width, limited by rounding.

    Reference: Cox and Fix, On the accuracy of least squares methods in the presence of corner
    singularities (1984), for the weights; Babuška and Guo, The h-p version of the finite element
    method (1986), for cells that become smaller by a constant factor towards a corner.
    """

    points: Tensor
    exponents: Tensor
    power: float = 1.25
    contraction: float = 1e-2
    least: float = 1e-2
    near: float = 0.5
    bits: int = 29

    @classmethod
    def of(cls, found: Sequence[tuple[tuple[float, float], float]], dim: int) -> "SingularCorners":
        """Some corners in d coordinates with their exponents."""
        points, exponents = ([one[i] for one in found] for i in (0, 1))
        at = torch.tensor(points, dtype=torch.float64).view(-1, dim)
        return cls(at, torch.tensor(exponents, dtype=torch.float64))

    def weights(self, geometry: CellGeometry) -> Tensor:
        """The factors of the rows of cells, (N,): powers of two, so that many are the same."""
        corners = physical(geometry.domain, geometry.frames)
        gaps = (corners[:, :, None] - self.points).abs().amax(dim=1)  # (N, c, 2), to the far side
        distances = gaps.norm(dim=2) / geometry.half.max()
        distances = distances[:, self.exponents < 2]  # without those that have singular functions
        ones = torch.ones(len(distances), 1, dtype=distances.dtype)
        nearest = torch.cat([ones, distances], dim=1).amin(dim=1)
        return 2.0 ** (self.power * nearest.log2()).round()

    def _gaps(self, geometry: CellGeometry) -> Tensor:
        """The distances of the boxes of cells from corners, in units of their widths, (N, c)."""
        tree, at = geometry.tree, in_trees(geometry.domain, self.points)
        below, above = (tree.boxes[:, i, None] for i in (0, 1))
        gaps = torch.maximum(below - at, at - above).clamp_min(0) / tree.widths[:, None]
        return gaps.amax(dim=2)

    def touched(self, geometry: CellGeometry) -> Tensor:
        """Which cells are at which corners, a mask (N, c)."""
        rounding = 1e-6
        return self._gaps(geometry) <= rounding

    def pollution(self, geometry: CellGeometry) -> Tensor:
        """The factors by which errors are larger elsewhere than in the cell of their origin, (N,).

        A cell of the width h at a corner has an error like h^(λ+1), and causes one like h^(2λ).
        """
        parts = geometry.tree.widths.amax(dim=1)
        growth = parts[:, None] ** (self.exponents - 1).clamp_max(0)
        ones = torch.ones_like(parts[:, None])
        return torch.cat([ones, torch.where(self.touched(geometry), growth, 1)], dim=1).amax(dim=1)

    def finest(self, tree: Tree) -> int:
        """The level of the smallest cells at corners."""
        return self.bits - math.ceil(math.log2(max(tree.roots)))

    def coordinates(self, geometry: CellGeometry, steep: Tensor) -> Tensor:
        """The coordinates in which cells are refined, if at all, a mask (N, d).

        steep: those in which the solution is steep, a mask (N, d).
        """
        alike = geometry.is_cut | self.touched(geometry).any(dim=1)
        return steep | alike[:, None]

    def divisible(self, geometry: CellGeometry) -> Tensor:
        """The cells that can be refined in spite of rounding, a mask (N,)."""
        smallest = geometry.tree.level.amin(dim=1) >= self.finest(geometry.tree)
        return ~(smallest & self.touched(geometry).any(dim=1))

    def goals(
        self, geometry: CellGeometry, left: float, chosen: Tensor | None = None
    ) -> list[Goal]:
        """Requirements on cell sizes after a refinement; cells at corners are halved repeatedly.

        Args:
            geometry: the cells before.
            left: the part of the error that is to be left.
            chosen: the coordinates in which cells are refined, a mask (N, d). By default those at
                all corners become smaller, beyond the finest ones, and their neighbours do not.
        """
        touched, near, spare = self.touched(geometry), 1e-6, 2
        level, marked = geometry.tree.level.amin(dim=1, keepdim=True), torch.ones_like(touched[:1])
        if chosen is not None:
            left, near, spare = max(self.least, min(self.contraction, left)), self.near, 0
            marked = touched & chosen.any(dim=1, keepdim=True)
        # The error has the powers 2 (λ + β - 1) of the width of cells at corners.
        rates = 2 * (self.exponents + min(self.power, 1.0) - 1)
        deepest = torch.where(touched, level, 0).amax(dim=0)
        goal = deepest + (-math.log2(left) / rates).ceil().long()
        goal = torch.where(marked.any(dim=0), goal, 0)
        goal = goal.clamp_max(self.finest(geometry.tree) + spare)

        def coarse(geometry: CellGeometry) -> Tensor:
            close = self._gaps(geometry) <= near
            return (close[..., None] & (geometry.tree.level[:, None] < goal[:, None])).any(dim=1)

        return [coarse]


def farthest(corners: Tensor, segments: Tensor, size: float) -> Tensor:
    """The distance of each cell's farthest corner from the nearest of some segments, (N,).

    Args:
        corners: of the cells, (N, 8, 3).
        segments: the two ends of each, (s, 2, 3), which are equal for a point.
        size: the unit of the returned distances, which are at most 1.
    """
    found = torch.full((len(corners),), size, dtype=torch.float64)
    for start, stop in segments:
        along = stop - start
        share = ((corners - start) @ along / along.square().sum().clamp_min(1e-300)).clamp(0, 1)
        distances = (corners - start - share[..., None] * along).norm(dim=2)
        found = found.minimum(distances.amax(dim=1))
    return found / size


def meets(boxes: Tensor, segment: Tensor) -> Tensor:
    """Which boxes a segment goes through or touches, a mask (N,); boxes: (N, 2, 3)."""
    start, along = segment[0], segment[1] - segment[0]
    room = 1e-6 * (boxes[:, 1] - boxes[:, 0])
    low, high = boxes[:, 0] - room - start, boxes[:, 1] + room - start
    flat = along.abs() < 1e-12 * along.norm()
    steps = torch.where(flat, 1.0, along)
    one, other = low / steps, high / steps
    first = torch.where(flat, -torch.inf, one.minimum(other)).amax(dim=1).clamp_min(0)
    last = torch.where(flat, torch.inf, one.maximum(other)).amin(dim=1).clamp_max(1)
    return (first <= last) & (~flat | ((low <= 0) & (high >= 0))).all(dim=1)


@dataclass(frozen=True, eq=False)
class SingularEdges:
    """The edges at which solutions are singular, and the vertices between them.

    The boundary of a solid turns inwards there, or two faces of an interface meet.

    At the distance r from an edge with the interior angle ω solutions behave like r^λ, λ = π/ω for
    Laplace's equation and values on both sides. As at corners in the plane the rows of each cell
    are multiplied by a power of the distance r. Near a vertex, at the distance R from it, the
    factor is R^β (r/R)^α. Where u = R^q at a vertex, errors by the smallest cells, of the width h,
    fall like h^(2(q + β - 1/2)): faster for a larger β. But then the rows of distant cells outweigh
    those near the vertex. At the vertex of a cube without an octant, with q = 1/4 and 1/2, errors
    were up to 10 times larger for β = 5/4 than for β = 1/2. For β = 3/4, with q = 1/2 and the
    degree 7, they were two thirds of those for β = 1/2. Errors are 3 times those of the best
    approximation. The other two thirds are smooth, and largest in cells at the edges that are not
    small: with smaller cells at all edges these errors fall.

    Cells at a vertex are halved several times at once. So are those at an edge along a coordinate,
    in the other two coordinates, so that they are long and thin. Along other edges that would make
    too many cells.

    Args:
        segments: the edges, (s, 2, 3).
        exponents: λ of each, (s,).
        vertices: the vertices, at which cells are halved several times at once; its power is β.
        power: the exponent α.
        unresolved: the factor by which errors in cells at a vertex exceed their indicators.
        bits: the largest number of halvings of the domain's width across an edge.
    """

    segments: Tensor
    exponents: Tensor
    vertices: SingularCorners
    power: float = 1.0
    unresolved: float = 30.0
    bits: int = 22

    @classmethod
    def of(
        cls, edges: ReentrantEdges, segments: Tensor, exponents: Tensor, vertices: Tensor
    ) -> "SingularEdges":
        """The re-entrant edges of a solid, and further ones with exponents and vertices.

        A vertex with u = R^q is like a corner in the plane with the exponent λ = q + 1/2. The value
        1/2 is taken for q: at the vertex of a cube without one of its octants q is 0.45.
        """
        points, beta = torch.cat([edges.vertices, vertices]), 0.75
        least = 1e-8  # solves take so long that there is none on trees in between
        ones = torch.ones(len(points), dtype=torch.float64)
        return cls(
            torch.cat([edges.segments, segments]),
            torch.cat([math.pi / edges.angles, exponents]),
            SingularCorners(points, ones, beta, least=least),
        )

    def weights(self, geometry: CellGeometry) -> Tensor:
        """The factor of each cell's rows, (N,).

        It is a power of the fourth root of two, so that many cells have the same. With powers of
        the root of two errors were up to 1.3 times larger, with powers of two up to three times.
        """
        picked, frames = torch.cartesian_prod(*[torch.arange(2)] * 3), geometry.frames
        corners = physical(
            geometry.domain,
            torch.stack([frames[:, picked[:, axis], axis] for axis in range(3)], dim=2),
        )
        size = float(geometry.half.max())
        points = self.vertices.points[:, None].expand(-1, 2, -1)
        vertex, edge = (farthest(corners, segments, size) for segments in (points, self.segments))
        exponent = self.vertices.power * vertex.log2()
        exponent += self.power * (edge / vertex).clamp_max(1).log2()
        return 2.0 ** ((4 * exponent).round() / 4)

    def pollution(self, geometry: CellGeometry) -> Tensor:
        """The ratio of the error everywhere to the error in the cell that causes it, (N,).

        As at a corner in the plane it is h^(λ - 1) for cells of the width h at an edge. At vertices
        it is 1, but indicators are larger than errors where polynomials resolve the solution, by
        more than where they do not. For u = R^(1/2) at the vertex of a cube without an octant, and
        degrees 5 to 7, that was a factor of 3 to 24. With `unresolved` cells at vertices become
        small before larger cells are halved.
        """
        found, touched = torch.ones(len(geometry.tree)).double(), self._touched(geometry)
        for number, exponent in enumerate(self.exponents.tolist()):
            parts = (geometry.tree.widths * self._across[number]).amax(dim=1)
            growth = torch.where(touched[:, number], parts ** (exponent - 1), 1.0)
            found = found.maximum(growth)
        at_vertex = self.vertices.touched(geometry).any(dim=1)
        return torch.where(at_vertex, found.clamp_min(self.unresolved), found)

    @cached_property
    def _across(self) -> Tensor:
        """The coordinates across each edge, a mask (s, 3): all, if it is not along a coordinate."""
        along = self.segments.diff(dim=1)[:, 0].abs()
        straight = along > (1 - 1e-9) * along.sum(dim=1, keepdim=True)
        return ~straight

    def _touched(self, geometry: CellGeometry) -> Tensor:
        """Which cells meet which edges, a mask (N, s)."""
        boxes = physical(geometry.domain, geometry.tree.boxes)
        found = [meets(boxes, segment) for segment in self.segments]
        return torch.stack(found, dim=1) if found else torch.zeros(len(boxes), 0).bool()

    def _across_cells(self, geometry: CellGeometry) -> Tensor:
        """The coordinates across the edges that cells meet, a mask (N, 3)."""
        return (self._touched(geometry)[..., None] & self._across).any(dim=1)

    def coordinates(self, geometry: CellGeometry, steep: Tensor) -> Tensor:
        """The coordinates in which cells are halved, if at all, a mask (N, 3).

        At an edge polynomials resolve the solution in no coordinate across it, and their terms tell
        little. So cells there are halved along the edge only if they are not to be halved across.

        Args:
            geometry: the cells.
            steep: the coordinates in which the solution is steep, (N, 3).
        """
        other = self.vertices.coordinates(geometry, steep)
        across = self._across_cells(geometry)
        is_thin = across.any(dim=1) & ~across.all(dim=1)
        touched = (steep & across).any(dim=1, keepdim=True)
        return torch.where(is_thin[:, None], torch.where(touched, across, steep), other)

    def _finest(self, tree: Tree) -> int:
        """The level of the thinnest cells at edges."""
        return self.bits - math.ceil(math.log2(max(tree.roots)))

    def divisible(self, geometry: CellGeometry) -> Tensor:
        """The cells that can be refined in spite of rounding, a mask (N,)."""
        tree = geometry.tree
        thinnest = (self._across_cells(geometry) & (tree.level >= self._finest(tree))).any(dim=1)
        return self.vertices.divisible(geometry) & ~thinnest

    def goals(
        self, geometry: CellGeometry, left: float, chosen: Tensor | None = None
    ) -> list[Goal]:
        """The requirements on cell sizes, see `SingularCorners.goals`: at vertices, then at edges.

        At edges these are the cells that are thin: others have not been found to have large errors.
        """
        found, tree = self.vertices.goals(geometry, left, chosen), geometry.tree
        thinned, spare = tree.level.amin(dim=1) < tree.level.amax(dim=1), 2
        if chosen is not None:
            thinned, spare = chosen.any(dim=1) & ~chosen.all(dim=1), 0
            left = max(self.vertices.least, min(self.vertices.contraction, left))
        times = (-math.log2(left) / (2 * self.exponents)).ceil().long()
        thin = ~self._across.all(dim=1)  # the edges along a coordinate
        thinned = thinned & ~self.vertices.touched(geometry).any(dim=1)
        at = self._touched(geometry) & thin & thinned[:, None]
        steps = (at[..., None] & self._across) * times[:, None]
        if not bool(steps.any()):
            return found
        goal = torch.where(steps.amax(dim=1) > 0, tree.level + steps.amax(dim=1), 0)
        goal = goal.clamp_max(self._finest(tree) + spare)

        def coarse(after: CellGeometry) -> Tensor:
            before = tree.locate(after.tree.boxes.mean(dim=1), after.tree.region)
            touched = (self._touched(after)[:, thin, None] & self._across[thin]).any(dim=1)
            return touched & (after.tree.level < goal[before])

        return [*found, coarse]


def least_exponent(
    sectors: Sequence[tuple[float, float]], fluxes: Sequence[bool] = ()
) -> float | None:
    """The least λ below 2 of a solution r^λ φ(θ) in sectors; None if there is none.

    In polar coordinates its flux is continuous if (a φ')' + λ² a φ = 0.

    Args:
        sectors: the angle and the coefficient a of each, from one end to the other, or all around.
        fluxes: whether the flux is given at both ends, otherwise the value; empty without ends.
    """
    exponents = np.linspace(0.02, 1.9, 400)
    total = np.eye(2)  # of φ and a φ', from the first edge to the last one, for each exponent
    for angle, coefficient in sectors:
        c, s = np.cos(exponents * angle), np.sin(exponents * angle)
        size = coefficient * exponents
        total = np.array([[c, s / size], [-size * s, c]]).transpose(2, 0, 1) @ total
    # The defect in the conditions at the ends, or in going on around the point.
    if fluxes:
        values = total[:, int(fluxes[1]), int(not fluxes[0])]
    else:
        values = 2 - total.trace(axis1=1, axis2=2)
    changes = np.flatnonzero(values[1:] * values[:-1] < 0)
    if not len(changes):
        return None
    (low, high), (one, other) = (part[changes[0] : changes[0] + 2] for part in (exponents, values))
    return float(low + (high - low) * one / (one - other))


@dataclass(frozen=True)
class RegionSector:
    """The part of one region at a point.

    Args:
        first, last: the edges that bound it; counter-clockwise `first` comes first.
        angle: between them.
        coefficient: a of the flux a ∂u/∂n.
    """

    first: DivisionEdge
    last: DivisionEdge
    angle: float
    coefficient: float


def junctions(
    division: Division,
    fluxes: FluxSizes,
    conditions: Sequence[ResidualTerm],
) -> list[tuple[tuple[float, float], float]]:
    """The points of interfaces at which solutions are like r^λ, and the least λ of each.

    In polar coordinates r^λ φ(θ) has a flux that is continuous if (a φ')' + λ² a φ = 0. Points at
    which several parts of one region meet, as at curves that touch, are left out.

    Args:
        division: the regions.
        fluxes: the coefficients on both sides of interfaces.
        conditions: those on the boundary.

    Reference: Kellogg, On the Poisson equation with intersecting interfaces (1975).
    """
    points = [edge.curve.start for edges in division.edges for edge in edges]
    near = 1e-9 * float(np.abs(points).max())
    found: list[tuple[tuple[float, float], float]] = []
    for edge in (edge for edges in division.edges for edge in edges if edge.interface >= 0):
        x, y = edge.curve.start
        known = any(math.dist((x, y), other) <= near for other, _ in found)
        around = [] if known else _around((x, y), division, fluxes, near)
        if not around:
            continue
        ends = [one for one in (around[0].first, around[-1].last) if one.interface < 0]
        given = [
            any(term.channels.derivative_order for term in conditions if end.piece in term.pieces)
            for end in ends
        ]
        exponent = least_exponent([(one.angle, one.coefficient) for one in around], given)
        if exponent is not None and abs(exponent - 1) > 1e-3:
            found.append(((x, y), exponent))
    return found


def _around(
    point: tuple[float, float],
    division: Division,
    fluxes: FluxSizes,
    near: float,
) -> list[RegionSector]:
    """The sectors around a point, counter-clockwise, from the boundary if it meets the point."""
    sectors = []
    for edges in division.edges:
        first = [edge for edge in edges if math.dist(edge.curve.start, point) < near]
        last = [edge for edge in edges if math.dist(edge.curve.stop, point) < near]
        if len(first) == len(last) == 1:
            angle = (_direction(last[0], 1.0) - _direction(first[0], 0.0)) % (2 * math.pi)
            edge = first[0] if first[0].interface >= 0 else last[0]
            # The flux on the left of the edge is taken close to its end, at 1e-3 of it.
            curve = edge.curve.part(1.0, 0.0) if edge.reverse else edge.curve
            beside = 1e-3 if (edge is first[0]) != edge.reverse else 1 - 1e-3
            at = curve.points_at(torch.tensor([beside], dtype=torch.float64))
            coefficient = fluxes(edge.piece, at)[int(edge.reverse)]
            sectors.append(RegionSector(first[0], last[0], angle, coefficient))
        elif first or last:
            return []
    after = {sector.first.interface: sector for sector in sectors}
    chain = [after.get(-1, sectors[0])] if sectors else []
    while chain and len(chain) < len(sectors) and chain[-1].last.interface in after:
        chain.append(after[chain[-1].last.interface])
    return chain


def _direction(edge: DivisionEdge, t: float) -> float:
    """The direction in which an edge leaves one of its ends, t = 0 or 1, as an angle."""
    (x, y) = edge.curve.velocity(torch.tensor([t], dtype=torch.float64))[0].tolist()
    return math.atan2(-y, -x) if t else math.atan2(y, x)


def edges_of_boxes(division: SolidDivision, fluxes: FluxSizes) -> tuple[Tensor, Tensor, Tensor]:
    """The edges of boxes inside a solid at which solutions are like r^λ with λ < 1.

    An edge counts where both of its faces belong to the interface. The coefficients are those at
    its middle.

    Args:
        division: the regions of the solid.
        fluxes: the coefficients on both sides of interfaces.

    Returns:
        The ends of the edges, (s, 2, 3), λ of each, (s,), and the vertices of boxes at which three
        of them meet, (v, 3).

    Reference: Kellogg, On the Poisson equation with intersecting interfaces (1975).
    """
    segments, exponents = [], []
    for number in range(1, len(division.parts)):
        pieces = [one.piece for one in division.interfaces if one.inside == number]
        faces = [piece for piece in pieces if isinstance(piece, Face)]
        for one, other in itertools.combinations(faces, 2):
            if one.axis != other.axis:
                segment = torch.stack(one.box.bounds)  # the ends of their edge, (2, 3)
                for face in (one, other):
                    segment[:, face.axis] = segment[int(face.upper), face.axis]
                middle = one.quadrature(1)[0]  # the flux is taken close to the edge
                at = torch.lerp(segment.mean(dim=0), middle.coords, 1e-3)
                beside = Points(at, middle.names, middle.normals)
                inside, outside = fluxes(one, beside)
                around = [(math.pi / 2, inside), (3 * math.pi / 2, outside)]
                found = least_exponent(around) if min(inside, outside) > 0 else None
                if found is not None and found < 1 - 1e-3:
                    segments.append(segment)
                    exponents.append(found)
    if not segments:
        none = torch.zeros(0, 2, 3, dtype=torch.float64)
        return none, none[:, 0, 0], none[:, 0]
    ends = torch.stack(segments)
    points, counts = ends.flatten(0, 1).unique(dim=0, return_counts=True)
    return ends, ends.new_tensor(exponents), points[counts > 2]
