"""Quadrature rules for norms and integrals of a solution in cells.

The points follow the cells, and become denser at singular corners.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from kanpinn.geometry import Boundary, Points
from kanpinn.geometry.curves import Curve, Segment
from kanpinn.geometry.planar import Planar, Slab, slab_rule, slabs
from kanpinn.loss.residuals import Residuals
from kanpinn.spaces.cells.cells import Cells
from kanpinn.spaces.cells.geometry.cell_geometry import CellGeometry, CellPoints, physical
from kanpinn.spaces.cells.geometry.plane import CellCutter, CutGeometry
from kanpinn.spaces.cells.polynomials import LocalPolynomials
from kanpinn.spaces.cells.problem import CellProblem, ProblemInPlane, problem_in_cells

Rule = tuple[Points, Tensor]  # n points and their weights, (n,)


@dataclass(frozen=True, eq=False)
class CellRules:
    """Quadrature rules over the domain and its boundary, for a solution in cells.

    Args:
        problem: the problem.
        geometry: the cells. At singular corners cells have been halved until a millionth of the
            error at the corners is left, or in space a quarter. In the plane cells close to the
            corners have been halved as well, since Gauss rules are accurate only at some distance.
        coarse: the cells of a coarser rule. A thousandth of the error at the corners is left, or in
            space a quarter.
        polynomials: the polynomials of the solution.
    """

    problem: CellProblem
    geometry: CellGeometry
    coarse: CellGeometry
    polynomials: LocalPolynomials

    @classmethod
    def of(cls, residuals: Residuals) -> "CellRules | None":
        """The rules for the solution of a loss; None if there are no accurate rules.

        They are None if the solution's network has no cells, and for solids that do not consist of
        whole cells, since in cut cells of solids there are no accurate rules.

        Args:
            residuals: the terms of the loss, with the solution.
        """
        network = residuals.surrogate.network
        if not isinstance(network, Cells):
            return None
        problem = problem_in_cells(residuals)
        left, near = (0.25, 1e-6) if network.tree.dim == 3 else (1e-3, 0.25)
        coarse = problem.deeper(problem.cells(network.tree), left, near)
        geometry = coarse if network.tree.dim == 3 else problem.deeper(coarse, left, near)
        if bool(geometry.is_cut.any()) and not isinstance(geometry, CutGeometry):
            return None
        return cls(problem, geometry, coarse, network.polynomials)

    @cached_property
    def finer(self) -> list[Rule] | None:
        """A rule over the domain, in groups of points.

        It has five points along each coordinate more than the degree, in the cells `geometry`. It
        is None if the sum of its weights is not the measure of the domain, for example because
        parts of cells are missing.
        """
        return _complete(list(self._inside(self.geometry, 5)), self.problem.domain.measure)

    @cached_property
    def coarser(self) -> list[Rule] | None:
        """A rule like `finer` with three points more than the degree, in the cells `coarse`.

        Near a corner with an integrand like r^(2λ - 2) more points change the result of a rule by a
        small part of its error, for example by 13 % for λ = 0.27. So the coarser rule also has
        larger cells at corners.
        """
        return _complete(list(self._inside(self.coarse, 3)), self.problem.domain.measure)

    def _inside(self, geometry: CellGeometry, more: int) -> Iterator[Rule]:
        """Yield the quadrature rules: for whole cells of each region, then for cut cells.

        Args:
            geometry: the cells.
            more: the number of points along each coordinate minus the degree.
        """
        whole, regions = ~geometry.is_cut, geometry.tree.region
        for region in range(1 + int(regions.max())):
            cells = (whole & (regions == region)).nonzero()[:, 0]
            if len(cells):
                at = CellPoints.inside(geometry, cells, *self.polynomials.rule(more))
                yield at.points, at.weights.flatten()
        if isinstance(geometry, CutGeometry) and bool(geometry.is_cut.any()):
            cutters = [one for one in self.problem.cutters if isinstance(one, CellCutter)]
            parts = slabs_in_cells(geometry, [one.outline.domain for one in cutters])
            coords, weights = slab_rule(parts, self.polynomials.degree + more)
            yield Points(coords, geometry.domain.names), weights

    def on(self, boundary: Boundary, more: int) -> list[Rule] | None:
        """A rule over pieces of the domain's boundary, in groups of points with normals.

        Args:
            boundary: the pieces.
            more: a number that is added to the usual number of points along each coordinate. If it
                is 0, the points come closer to corners.

        Returns:
            The rule; None if a piece is no side of cells, such as an end of a periodic coordinate.
        """
        if not set(self.problem.domain.boundary.pieces).issuperset(boundary.pieces):
            return None
        # Very close to a corner solutions lose digits. The rule with fewer points goes further, so
        # that the difference of both rules shows this error, and that of the exponent.
        degree, levels = self.polynomials.degree + more, 10 if more else 20
        if self.problem.domain.dim != 2:
            finer = LocalPolynomials(degree, self.polynomials.dim)
            rules = self.geometry.on_boundary(boundary.pieces, finer)
            sides: list[Rule] = [(rule.points, rule.weights.flatten()) for rule in rules]
            return _complete(sides, boundary.measure)
        several = self._divided_curves(boundary)
        found = [
            rule
            for curve, breaks in several
            for rule in graded_rules(curve, breaks, degree + 4, levels, self._exponents(curve))
        ]
        return _complete(found, boundary.measure)

    def _exponents(self, curve: Curve) -> tuple[float, float]:
        """The exponents λ < 1 of solutions like r^λ at the ends of a curve; 1 at regular ends."""
        found = self.problem.own_corners if isinstance(self.problem, ProblemInPlane) else []
        corners = [one for one in found if one.exponent > 0]
        near = 1e-9 * float(self.geometry.half.max())
        start, stop = (
            min([1.0, *(one.exponent for one in corners if math.dist(one.at, end) < near)])
            for end in (curve.start, curve.stop)
        )
        return start, stop

    def _divided_curves(self, boundary: Boundary) -> Iterator[tuple[Curve, Tensor]]:
        """Yield the curves of a plane domain's boundary with parameters where cells divide them.

        The parameters are in ascending order, from 0 to 1.

        Args:
            boundary: the part of the boundary.
        """
        geometry, names = self.geometry, self.problem.domain.names
        if isinstance(geometry, CutGeometry):
            for number, edge in enumerate(geometry.edges):
                if edge.interface < 0 and edge.piece in boundary.pieces:
                    first, last, _ = geometry.arcs.of_curve(number)
                    if len(first):
                        yield edge.curve, torch.cat([first, last[-1:]])
            return
        low, high = (end.tolist() for end in self.problem.domain.bounds)
        for axis, upper, cells in geometry.tree.ends:
            if len(cells) and any(piece.side == (axis, upper) for piece in boundary.pieces):
                ends = (geometry.frames[cells, :, 1 - axis] + 1) / 2
                at = (high if upper else low)[axis]
                turned = upper == (axis == 0)  # the domain is on the left of the curve
                corners = [[at, at], [at, at]]
                for corner, end in zip(
                    corners, (low, high) if turned else (high, low), strict=True
                ):
                    corner[1 - axis] = end[1 - axis]
                start, stop = ((x, y) for x, y in corners)
                breaks = torch.cat([ends[:, 0].sort().values, ends.new_ones(1)])
                yield Segment(start, stop, names=names), breaks if turned else (1 - breaks).flip(0)


def _complete(rules: list[Rule], measure: float) -> list[Rule] | None:
    """The rules if their weights sum up to the measure of the region; otherwise None."""
    near, total = 1e-6, sum(float(weights.sum()) for _, weights in rules)
    return rules if abs(total - measure) <= near * measure else None


def graded_rules(
    curve: Curve,
    breaks: Tensor,
    nodes: int,
    levels: int = 20,
    exponents: tuple[float, float] = (1.0, 1.0),
) -> Iterator[Rule]:
    """Yield Gauss rules on a curve that are accurate for singularities at the curve's ends.

    The first and the last part of the curve are divided again and again; each division separates
    the quarter next to the end. On the last quarter at an end with the exponent λ, the integrand is
    assumed to be like r^(λ - 1) with the distance r from the end. A regular part of the integrand
    is weighted wrongly on the last quarter, by the factor 1/λ. The length of the last quarter is
    4^-levels of the first part: about 1e-6 of it for 10 levels, 1e-12 for 20.

    Args:
        curve: the curve.
        breaks: the curve parameters that divide the curve, in ascending order, from 0 to 1.
        nodes: the number of nodes on each part.
        levels: the number of divisions at each end.
        exponents: the exponents λ > 0 at the start and at the end of the curve.
    """
    first, last = float(breaks[0]), float(breaks[-1])
    size = float(breaks.diff()[[0, -1]].min()) / 2
    shares = size * 4.0 ** -torch.arange(levels + 1, dtype=torch.float64)
    inner = torch.cat([breaks[1:-1], first + shares, last - shares]).sort().values
    points, weights = curve.gauss_on_parts(inner[:-1], inner[1:], nodes)
    yield points, weights.flatten()
    ends = torch.stack([first + shares[-1], last - shares[-1]])
    speed = curve.velocity(ends).norm(dim=1)
    yield curve.points_at(ends), speed * shares[-1] / torch.tensor(exponents, dtype=torch.float64)


def slabs_in_cells(geometry: CutGeometry, regions: Sequence[Planar]) -> list[Slab]:
    """The parts of cut cells that are in the domain, divided into parts left(y) < x < right(y).

    Args:
        geometry: the cells.
        regions: the regions of the domain.
    """
    boxes, found = physical(geometry.domain, geometry.tree.boxes), list[Slab]()
    arcs, size = geometry.arcs, float(boxes.abs().max())
    same, beside = 1e-13 * size, 2e-12 * size
    counts = torch.bincount(arcs.cell, minlength=len(boxes)).tolist()
    own = arcs.cell.argsort(stable=True).split(counts)
    ends = list(zip(arcs.curve.tolist(), arcs.first.tolist(), arcs.last.tolist(), strict=True))
    for cell in geometry.is_cut.nonzero()[:, 0].tolist():
        region = regions[int(geometry.tree.region[cell])]
        curves = [
            geometry.edges[curve].curve.part(first, last)
            for curve, first, last in (ends[arc] for arc in own[cell].tolist())
        ]
        met = [end for one in curves for end in (one.start, one.stop)]
        curves += _upright(region, boxes[cell], torch.tensor(met, dtype=torch.float64))
        # Heights of curves that meet may differ by rounding.
        heights = [float(y) for one in curves for y in (one.start[1], one.stop[1])]
        # A grid line does not divide a curve that ends beside it: the curve leaves the cell by as
        # little, or a part of it that is as short is missing in the cell.
        low, high = boxes[cell, :, 1].tolist()
        heights = [low if y < low + beside else high if y > high - beside else y for y in heights]
        joined = dict[float, float]()
        for y in sorted(heights):
            last = next(reversed(joined.values()), math.inf)
            joined[y] = last if y - last <= same and last <= y else y
        starts = [joined[y] for y in heights]
        parts = zip(curves, starts[0::2], starts[1::2], strict=True)
        if sides := [s for one, y, z in parts for s in one.sides(y, z) if s.high > s.low]:
            found += slabs(sides)
    return found


def _upright(region: Planar, box: Tensor, ends: Tensor) -> list[Segment]:
    """The parts of a cell's left and right edge inside a region, as segments.

    An edge is divided where arcs of the region's boundary end on it. A part is returned if the
    points close to it, to the left and to the right, are all in the region. So parts along the
    boundary and parts outside the region are left out.

    Args:
        region: the region.
        box: the lower and the upper corner of the cell, (2, 2).
        ends: the ends of the boundary's arcs in the cell, (n, 2).
    """
    near = CellCutter.sliver * float(box[1, 0] - box[0, 0])
    low, high = box[:, 1].tolist()
    parts = []
    for x in box[:, 0].tolist():
        away = (ends[:, 0] - x).abs()
        met = ends[away <= near, 1].clamp(low, high).tolist()
        stops = sorted(
            [(low, 0.0), (high, 0.0), *zip(met, away[away <= near].tolist(), strict=True)]
        )
        for (first, before), (last, after) in itertools.pairwise(stops):
            if last - first > 1e-12 * (high - low):
                # An arc that crosses the edge is close to it at the end of a part.
                beside = min(near, max(1e-3 * (last - first), 2 * before, 2 * after))
                parts.append((x, first, last, beside))
    if not parts:
        return []
    x, first, last, beside = torch.tensor(parts, dtype=torch.float64).T
    middle = (first + last) / 2
    both = [region.encloses(torch.stack([x + s * beside, middle], dim=1)) for s in (-1, 1)]
    kept = (both[0] & both[1]).tolist()
    return [Segment((x, a), (x, b)) for (x, a, b, _), keep in zip(parts, kept, strict=True) if keep]
