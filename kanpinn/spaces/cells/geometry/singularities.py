"""Corners and edges at which solutions are singular, like r^λ at the distance r.

The module has the exponents λ, the refinement of cells at these corners and edges, and the factors
by which the least-squares rows (equations) of cells are multiplied there.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np
import shapely
import torch
from torch import Tensor

from kanpinn.geometry.box import Face
from kanpinn.geometry.division import Division, DivisionEdge, SolidDivision
from kanpinn.geometry.domain import Edges, Piece
from kanpinn.geometry.points import Points
from kanpinn.loss.terms import ResidualTerm
from kanpinn.spaces.cells.geometry.cell_geometry import CellGeometry, in_trees, physical
from kanpinn.spaces.cells.geometry.corner_functions import CornerFunctions, Power
from kanpinn.spaces.cells.geometry.plane import Outline
from kanpinn.spaces.cells.tree import Tree

# A function that returns the flux coefficients inside and outside of a piece of an interface, at a
# point of the piece.
FluxSizes = Callable[[Piece, Points], tuple[float, float]]
Goal = Callable[[CellGeometry], Tensor]  # a mask (N, d), true where cells are too coarse


@dataclass(frozen=True, eq=False, kw_only=True)
class Singularity:
    """A corner in the plane or an edge in space, at which solutions are like r^λ (a base class).

    Args:
        angle: the interior angle ω in radians.
        exponents: the exponents λ with Im λ ≥ 0 and with Re λ below some limit, least real part
            first.
        multiplicity: the number k for which solutions are sums of the functions w^(λ - n) w̄^n,
            n = 0, …, k - 1, where w = r e^(iθ); 0 if solutions are other functions.
        homogeneous: whether solutions are sums of these functions alone: the equation and the
            conditions at a corner consist of their terms of highest order, with constant
            coefficients, and the sides are straight. At an edge solutions vary along the edge, and
            products of these functions with polynomials are needed.
        order: the order o of the equation.
        centre: the number c: all exponents λ with Re λ > c have a finite energy.
        margin: the difference of c and the next exponent with Re λ ≤ c, see `CornerOperators`.

    Attributes:
        near: the distance from an integer below which an exponent counts as the integer.
    """

    near: ClassVar[float] = 1e-6
    angle: float
    exponents: Sequence[complex] = ()
    multiplicity: int = 0
    homogeneous: bool = False
    order: int = 2
    centre: int = 0
    margin: float = math.inf

    @property
    def exponent(self) -> float:
        """The least real part of the exponents; infinite if there are no exponents."""
        return min((one.real for one in self.exponents), default=math.inf)

    def powers(self, top: float) -> tuple[Power, ...]:
        """The singular functions of degrees below `top`, as powers of w = r e^(iθ) and w̄.

        Products of the solutions r^λ φ(θ) with polynomials are among them: terms of lower order in
        the equation, coefficients that vary, and curved sides at the corner add such products.
        Where λ is an integer n up to a small ε, r^n ln r replaces the power: r^(n + ε) = r^n + ε
        r^n ln r + O(ε²) is nearly a polynomial. Each field has its own coefficients for all
        functions: the least-squares problem finds the combinations that satisfy the equation and
        the conditions.

        Args:
            top: the bound of the degrees.
        """
        found: dict[tuple[complex, int], Power] = {}
        for one in self.exponents:
            logarithm = abs(one - round(one.real)) < self.near
            values = {one, one.conjugate()} if not logarithm else {complex(round(one.real))}
            for value in sorted(values, key=lambda one: one.imag):
                for more in range(1 if self.homogeneous else math.ceil(top - value.real)):
                    for conjugate in range(more + self.multiplicity):
                        power = Power(value + more - conjugate, conjugate, int(logarithm))
                        found.setdefault((np.round(power.exponent, 9), conjugate), power)
        return tuple(found.values())


@dataclass(frozen=True, eq=False, kw_only=True)
class SolidEdge(Singularity):
    """A straight edge of a solid, where solutions are like r^λ at the distance r.

    Args:
        segment: the two ends of the edge, (2, 3).
        pieces: the faces at θ = 0 and at θ = ω; empty if they are not needed.
        normals: the unit normals of the two faces, (2, 3); None if they are not needed.
        straight: whether the segment is a straight edge or a part of one, and no chord of a curve.

    Attributes:
        degree: the highest degree of the polynomials along the edge in singular functions.
    """

    degree: ClassVar[int] = 4
    segment: Tensor
    pieces: Sequence[Piece] = ()
    normals: Tensor | None = None
    straight: bool = True

    @classmethod
    def reentrant(cls, edges: Edges) -> "list[SolidEdge]":
        """The edges that point inwards, each with the least exponent of Laplace's equation.

        Args:
            edges: all edges of the solid.
        """
        inward = edges.reentrant
        each = zip(inward.segments, inward.angles.tolist(), inward.straight.tolist(), strict=True)
        return [
            cls(angle=angle, exponents=[complex(math.pi / angle)], segment=one, straight=straight)
            for one, angle, straight in each
        ]

    @classmethod
    def at_faces(cls, edges: Edges, faces: Sequence[Piece]) -> "list[SolidEdge]":
        """The edges at which two flat faces of a convex solid meet, with empty lists of exponents.

        Args:
            edges: the edges of the solid.
            faces: the faces of the solid.
        """
        few, middles, found = 2, edges.segments.mean(dim=1), []
        near = 1e-3 * edges.segments.diff(dim=1).norm(dim=2)
        boxes = torch.stack([middles - near, middles + near], dim=1)
        rules = [one.in_boxes(boxes, few) for one in faces]
        for number, segment in enumerate(edges.segments):
            both = [
                (face, rule.normals[rule.box == number][0])
                for face, rule in zip(faces, rules, strict=True)
                if bool((rule.box == number).any())
            ]
            pieces, normals = [face for face, _ in both], torch.stack([one for _, one in both])
            angle = float(edges.angles[number])
            found.append(cls(angle=angle, segment=segment, pieces=pieces, normals=normals))
        return found

    @property
    def at(self) -> Tensor:
        """The middle of the edge, (3,)."""
        return self.segment.mean(dim=0)

    @cached_property
    def _sides(self) -> tuple[Tensor, Tensor]:
        """Two unit vectors (3,) across the edge, in the directions θ = 0 and θ = π/2.

        The interior angle is below 180°: each face turns away from the normal of the other face.
        """
        assert self.normals is not None
        normal, other = self.normals
        e_1 = (normal @ other) * normal - other
        return e_1 / e_1.norm(), -normal

    def across(self, start: float) -> tuple[complex, ...]:
        """The derivatives of w = r e^(i(θ - start)) by x, y and z.

        Args:
            start: the angle θ, in radians, of the direction in which w is real and positive.
        """
        turn = complex(math.cos(start), -math.sin(start))
        e_1, e_2 = (one.tolist() for one in self._sides)
        return tuple((a + 1j * b) * turn for a, b in zip(e_1, e_2, strict=True))

    def functions(self, top: float, radius: float) -> CornerFunctions:
        """The singular functions at the edge, of degrees below `top`, see `Singularity.powers`.

        Args:
            top: the bound of the degrees.
            radius: the length that scales distances from the edge.
        """
        along = self.segment.diff(dim=0)[0]
        slopes = (2 * along / along.square().sum()).tolist()
        across = tuple(one / radius for one in self.across(self.angle / 2))
        return CornerFunctions(across, tuple(slopes), self.powers(top), self.degree)

    def boxes(self, roots: Sequence[int], bounds: tuple[Tensor, Tensor]) -> Tensor:
        """The box of all cells of level 0 at an edge of a box-shaped domain, (1, 2, 3).

        Args:
            roots: the numbers of boxes of level 0 along each coordinate.
            bounds: the lower and the upper corner of the domain, (3,) each.
        """
        low, high = bounds
        start, stop = (2 * (one - low) / (high - low) - 1 for one in self.segment)
        below, above = torch.minimum(start, stop), torch.maximum(start, stop)
        widths = 2 / below.new_tensor(roots)
        flat = above - below < widths / 2
        below, above = (
            torch.where(flat & (above > 0), below - widths, below),
            torch.where(flat & (below < 0), above + widths, above),
        )
        return torch.stack([below, above])[None]


@dataclass(frozen=True, eq=False, kw_only=True)
class PlaneCorner(Singularity):
    """A corner of a domain in the plane, where solutions are like r^λ.

    The distance r, the angle θ and the interior angle are those of the complex coordinate z + μ z̄,
    for z = x + i y. The angle θ is 0 on the curve `after`.

    Args:
        outline: the boundary.
        before, after: the indices of the curves that end and that start at the corner.
        dilatation: the number μ, see `CornerFunctions.in_plane`.
    """

    outline: Outline
    before: int
    after: int
    dilatation: complex = 0j

    @property
    def at(self) -> tuple[float, float]:
        """The coordinates of the corner."""
        return self.outline.domain.curves[self.before].stop

    @property
    def start(self) -> complex:
        """The tangent of the curve `after` at the corner, a complex number of size 1."""
        along = self.outline.domain.curves[self.after].velocity(torch.zeros(1).double())[0]
        return complex(*along.tolist()) / float(along.norm())

    def across(self, start: float) -> tuple[complex, ...]:
        """The derivatives by x and y of the complex coordinate w at the corner.

        Args:
            start: the angle θ, in radians, of the direction in which w is real and positive.
        """
        along = self.start + self.dilatation * self.start.conjugate()
        direction = math.atan2(along.imag, along.real) + start
        return CornerFunctions.in_plane(direction, 1.0, (), self.dilatation).across

    def dilated(self, dilatation: complex) -> "PlaneCorner":
        """The corner with another number μ, for a corner with μ = 0.

        Args:
            dilatation: the other number μ.
        """
        turns = (1 + dilatation * t.conjugate() ** 2 for t in (self.start, self._stop))
        first, last = (math.atan2(one.imag, one.real) for one in turns)
        return replace(self, dilatation=dilatation, angle=self.angle + last - first)

    @property
    def _stop(self) -> complex:
        """The direction of `before` away from the corner, a complex number of size 1."""
        return self.start * complex(math.cos(self.angle), math.sin(self.angle))

    @cached_property
    def reach(self) -> float:
        """The radius of a disk around the corner in which the domain is like a sector.

        No other part of the boundary is in the disk, and the two curves at the corner stay away
        from the direction θ = ω/2 + π.
        """
        count = 129  # the number of points on a curve
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
        """The points of a curve from where it comes back to the corner, or turns too far.

        The curve starts at the corner. It turns too far where a point of the curve, seen from the
        corner, is nearer to the direction θ = ω/2 + π than to the side of the corner. The result is
        empty if the curve neither comes back nor turns too far.

        Args:
            points: points along the curve, (n, 2).
        """
        gaps = points - points.new_tensor(self.at)
        back = gaps.norm(dim=1).diff(prepend=-gaps.new_ones(1)) <= 0
        real, imaginary = gaps.new_tensor([[k.real, k.imag] for k in self.across(self.angle / 2)]).T
        turned = torch.atan2(gaps @ imaginary, gaps @ real)
        far = turned.abs() > (math.pi + self.angle / 2) / 2  # half way to the opposite direction
        far[0] = False
        stop = (back | far).nonzero()[:, 0]
        return points[int(stop[0]) - 1 :] if len(stop) else points[:0]

    def functions(self, top: float) -> CornerFunctions:
        """The singular functions at the corner of degrees below `top`, see `Singularity.powers`."""
        radius = min(1.0, self.reach)
        across = tuple(one / radius for one in self.across(self.angle / 2))
        return CornerFunctions(across, (0.0, 0.0), self.powers(top))

    def boxes(self, roots: Sequence[int], bounds: tuple[Tensor, Tensor]) -> Tensor | None:
        """The largest boxes of a tree around the corner that are within the distance `reach`.

        The two widths of a box differ by a factor of at most √2, so that a box may consist of
        several boxes of level 0 along one coordinate.

        Args:
            roots: the numbers of boxes of level 0 along each coordinate.
            bounds: the lower and the upper corner of the domain's bounding box, (2,) each.

        Returns:
            The lower and upper corners of the boxes, in coordinates in which the domain's bounding
            box is [-1, 1]², (b, 2, 2); None if the boxes would be tiny.
        """
        near, levels = 0.5, 12  # near: the largest distance from the corner, in box widths
        low, high = bounds
        half = (high - low) / 2
        at = (low.new_tensor(self.at) - low) / half - 1
        around = torch.cartesian_prod(*[torch.arange(-2.0, 3.0, dtype=at.dtype)] * 2)
        wide = half / at.new_tensor(roots)
        square = (wide / wide.max()).log2().round()  # doublings of the narrower widths, as levels
        for level in range(levels):
            widths = 2 / (at.new_tensor(roots) * 2 ** (level + square))
            place = torch.floor((at + 1) / widths) + around
            boxes = torch.stack([place, place + 1], dim=1) * widths - 1
            gaps = torch.maximum(boxes[:, 0] - at, at - boxes[:, 1]).clamp_min(0) / widths
            boxes = boxes[(gaps <= near).all(dim=1)]
            if float(((boxes - at).abs().amax(dim=1) * half).norm(dim=1).max()) <= self.reach:
                return boxes
        return None


@dataclass(frozen=True, eq=False)
class SingularCorners:
    """The corners at which solutions are singular, and how cells and weights are graded there.

    At a corner solutions behave like r^λ with an exponent λ < 2. If the cells at a corner have the
    corner's singular functions up to some degree, this degree counts as λ.

    The second derivatives of r^λ are not square integrable for λ < 1, and then the least-squares
    functional has no minimum close to the solution. Therefore the least-squares rows (equations) of
    each cell are multiplied by the power β of the cell's distance from the nearest corner. The
    error far from a corner is then like h^p, with the width h of the cells at the corner and the
    power p of `rates`. On four domains with λ from 0.54 to 0.81 errors were least for β from 1.25
    to 1.75.

    This is for equations of second order whose solutions have square integrable first derivatives.
    In general, let o be the order of the equation, and let solutions of finite energy be like r^λ
    with λ > c. Then λ - c replaces λ, and β is larger by o - 2 - c. For clamped plates o is 4 and c
    is 1, for electric fields with -ΔE = f and div E = 0 they are 2 and -1.

    Args:
        points: the corners, (c, d).
        exponents: the exponent λ of each corner, (c,).
        orders: the order o of the equation at each corner, (c,).
        centres: the number c of each corner, (c,).
        margins: for each corner the difference of c and the largest exponent of at most c, (c,).
            The functions of this exponent have infinite energy, and so are no solutions. The margin
            is λ for Laplace's equation with given values, and 0 with given fluxes and at points of
            interfaces inside the domain.
        others: further points, (p, d), at which pieces of the boundary or interfaces meet.
        others_margins: the margins of these points, (p,); 0 if they are not known.
        power: the power β.
        contraction: the largest fraction of the error at a corner that one refinement may leave.
        least: the smallest fraction of the error at a corner that one refinement may aim at. In
            the plane this fraction is large: solves on intermediate trees take little time, and
            show how small cells have to be.
        near: when the cell at a corner is halved, larger cells nearby are halved too if their
            distance from the corner, divided by their width, is at most `near`.
        bits: the largest number of halvings of the domain's width, limited by rounding.

    Reference: Cox and Fix, On the accuracy of least squares methods in the presence of corner
    singularities (1984), for the weights; Babuška and Guo, The h-p version of the finite element
    method (1986), for cells that become smaller by a constant factor towards a corner.
    """

    points: Tensor
    exponents: Tensor
    orders: Tensor
    centres: Tensor
    margins: Tensor
    others: Tensor
    others_margins: Tensor
    power: float = 1.25
    contraction: float = 1e-2
    least: float = 1e-2
    near: float = 0.5
    bits: int = 29

    @property
    def powers(self) -> Tensor:
        """The power β of the distance in the factors of least-squares rows, for each corner, (c,).

        With b = o - 1 - c and the margin m, β is b plus the smaller of m / 2 and `power` - 1; for
        m = 0 it is b - (λ - c) / 12. So for Laplace's equation β is `power`, or less for a small
        margin. If β > 1 + m, functions like r^(-m) have rows that vanish in the limit of small
        cells, so that least squares do not exclude these functions. Functions like r^(-0.1) spoiled
        the solution for m = 0.1, and ln r spoiled it for m = 0.
        """
        wide = (self.margins / 2).clamp_max(self.power - 1)
        return self.least_powers + torch.where(self.margins > 0, wide, -self.excess / 12)

    @property
    def excess(self) -> Tensor:
        """The difference λ - c of the exponent λ and the number c of each corner, (c,)."""
        return self.exponents - self.centres

    @property
    def least_powers(self) -> Tensor:
        """The number b = o - 1 - c at each corner, (c,).

        Functions like r^c have an energy that is just infinite. With weights of a power β > b,
        their derivatives of the order o are square integrable.
        """
        return self.orders - 1 - self.centres

    @property
    def rates(self) -> Tensor:
        """The power p for each corner: cells of the width h there cause an error like h^p far away.

        Residuals in the cells at a corner are like r^(λ - o), with the distance r from the corner.
        A source at the distance r has an effect like r^(c + m) far away, with the margin m. So p is
        λ - c + m, but at most 2 (λ - c). For Laplace's equation p is 2λ at corners with given
        values. At corners with given fluxes, and at points of interfaces inside the domain, p is λ:
        there m is 0, because the integral of the residuals around the corner has an effect, and
        least squares do not make it zero. If cells and solution are symmetric, this integral is
        zero, and errors are like h^(2λ). If the power β of the weights is below b, which is defined
        at `least_powers`, p is at most 2 (λ - c + β - b).

        Returns:
            (c,).
        """
        lacking = (self.powers - self.least_powers).clamp_max(0)
        return self.excess + torch.minimum(self.margins, self.excess + 2 * lacking)

    @property
    def strong(self) -> Tensor:
        """A mask (c,) of the corners where the highest derivatives are not square integrable."""
        return self.excess < 1

    @property
    def rate(self) -> float:
        """The power p such that relative errors of eigenvalues are like F^p.

        F is the least-squares functional of a computed mode, divided by its value at 0. For β = 5/4
        and cells of the width h at a corner F is like h^(2λ + 1/2), but the error of the eigenvalue
        is like h^(2λ): the mode of the adjoint problem is more singular than the mode. So p is λ /
        (λ + 1/4), the least of all strong corners. Errors on four domains were a third to seven
        times F^p. Without strong corners p is 1.
        """
        excess = self.excess[self.strong]
        return float((excess / (excess + self.power - 1)).amin()) if len(excess) else 1.0

    @classmethod
    def of(
        cls,
        found: Sequence[tuple[Sequence[float], float, int, int, float]],
        others: Sequence[tuple[Sequence[float], float]],
        dim: int,
    ) -> "SingularCorners":
        """Make the object from corners with exponents, and from other points.

        Args:
            found: for each corner its d coordinates, its exponent, the order, the number c and the
                margin.
            others: the d coordinates and the margin of each of the points `others`.
            dim: the number of coordinates d.
        """
        at, exponents, orders, centres, margins, beside, their = (
            torch.tensor([one[i] for one in points], dtype=torch.float64)
            for points, i in (*((found, i) for i in range(5)), (others, 0), (others, 1))
        )
        both = at.view(-1, dim), beside.view(-1, dim)
        return cls(both[0], exponents, orders, centres, margins, both[1], their)

    def weights(self, geometry: CellGeometry, *, witness: bool = False) -> Tensor:
        """The factor of each cell's least-squares rows (equations), (N,).

        The factor is the least of 1 and of r^β for all corners without singular functions in cells.
        Here r is the distance of the cell's farthest point from the corner, in units of half the
        domain's largest width, and at most 1. The factors are rounded to powers of two, so that
        many cells have the same factor.

        Where the second derivatives of the solution are not square integrable, the minimisers on
        smaller and smaller cells may converge to a wrong function. A wrong limit depends on the
        weights, but the solution does not. So the minimiser with other weights, here called the
        witness, shows whether the limit is wrong.

        Args:
            geometry: the cells.
            witness: whether to return the weights of the witness, which have another power of r. At
                corners with weights this power is β + 1/2, but at most b + m, with the margin m and
                b = o - 1 - c; if m is 0, it is the mean of b and β. At corners with singular
                functions and at the points `others`, which otherwise have no weights, it is 1/2.
        """
        corners = physical(geometry.domain, geometry.frames)
        weak = self.exponents < 2  # not corners with singular functions
        points, powers = self.points[weak], self.powers[weak]
        if witness:
            more = torch.cat([self.points[~weak], self.others])
            points = torch.cat([points, more])
            least, margins = self.least_powers[weak], self.margins[weak]
            wide = torch.minimum(powers + 0.5, least + margins)
            larger = torch.where(margins > 0, wide, (powers + least) / 2)
            powers = torch.cat([larger, 0.5 * torch.ones(len(more), dtype=larger.dtype)])
        return 2.0 ** _least_logarithm(corners, geometry, points, powers).round()

    def effects(self, geometry: CellGeometry) -> Tensor:
        """The effects, far away, of sources in each cell, relative to a source elsewhere, (N, 2).

        Let a source be at the distance r from a corner with the margin m. Far from the corner its
        effect on the solution is like r^m: where values are prescribed on both sides, most of it
        flows off through the sides. For m = 0, as with fluxes on both sides, the source itself has
        an effect like 1, but several sources whose sum is 0 have an effect like r^λ.

        Args:
            geometry: the cells.

        Returns:
            In the first column the factors for a sum of the absolute values of sources, in the
            second column those for a sum of sources with their signs. A factor is r^p for the
            nearest corner, with r as for `weights`. The power p is m or, in the first column for
            m = 0, λ; it is at most 1.
        """
        corners = physical(geometry.domain, geometry.frames)
        points = torch.cat([self.points, self.others])
        margins = torch.cat([self.margins, self.others_margins])
        exponents = torch.cat([self.excess, torch.ones_like(self.others_margins)])
        each = torch.where(margins > 0, margins, exponents), margins
        found = [_least_logarithm(corners, geometry, points, one.clamp(0, 1)) for one in each]
        return 2.0 ** torch.stack(found, dim=1)

    def distances(self, geometry: CellGeometry) -> Tensor:
        """The distances of the cells' far sides from the nearest strongly singular corner, (N,).

        At such a corner the highest derivatives are not square integrable, see `strong`. The unit
        is half the domain's width. Distances are rounded to powers of two, and at most 1.
        """
        corners = physical(geometry.domain, geometry.frames)
        gaps = (corners[:, :, None] - self.points[self.strong]).abs().amax(dim=1).norm(dim=2)
        ones = torch.ones(len(gaps), 1, dtype=gaps.dtype)
        nearest = torch.cat([ones, gaps / geometry.half.max()], dim=1).amin(dim=1)
        return 2.0 ** nearest.log2().round()

    def _gaps(self, geometry: CellGeometry) -> Tensor:
        """The distance of each cell from each corner, in units of the cell's width, (N, c)."""
        tree, at = geometry.tree, in_trees(geometry.domain, self.points)
        below, above = (tree.boxes[:, i, None] for i in (0, 1))
        gaps = torch.maximum(below - at, at - above).clamp_min(0) / tree.widths[:, None]
        return gaps.amax(dim=2)

    def touched(self, geometry: CellGeometry) -> Tensor:
        """A mask (N, c), true where a cell touches a corner."""
        rounding = 1e-6
        return self._gaps(geometry) <= rounding

    def pollution(self, geometry: CellGeometry) -> Tensor:
        """For each cell the ratio of the error that it causes everywhere to its own error, (N,).

        A cell of the width h at a corner has an error like h^(λ+1), and causes an error like h^p in
        the whole domain, with the power p of `rates`. So the ratio is h^(p - λ - 1), but at least
        1. Other cells have the ratio 1.
        """
        parts = geometry.tree.widths.amax(dim=1)
        growth = parts[:, None] ** (self.rates - self.exponents - 1).clamp_max(0)
        ones = torch.ones_like(parts[:, None])
        return torch.cat([ones, torch.where(self.touched(geometry), growth, 1)], dim=1).amax(dim=1)

    def finest(self, tree: Tree) -> int:
        """The level (number of halvings) of the smallest cells at corners.

        The smallest cells are about 2^-`bits` times as wide as the domain. Their level is
        `bits` - ⌈log2 R⌉, where R is the largest number of boxes of level 0 along a coordinate.

        Args:
            tree: the tree of the cells.
        """
        return self.bits - math.ceil(math.log2(max(tree.roots)))

    def coordinates(self, geometry: CellGeometry, steep: Tensor) -> Tensor:
        """A mask (N, d): the coordinates in which each cell is halved if it is refined.

        A cell that a boundary cuts, or that is at a corner, is halved in all coordinates.

        Args:
            geometry: the cells.
            steep: the coordinates in which the solution is steep, a mask (N, d).
        """
        alike = geometry.is_cut | self.touched(geometry).any(dim=1)
        return steep | alike[:, None]

    def divisible(self, geometry: CellGeometry) -> Tensor:
        """A mask (N,) of the cells that may be halved further in spite of rounding.

        All cells may be halved but those at a corner that have the level `finest`.
        """
        smallest = geometry.tree.level.amin(dim=1) >= self.finest(geometry.tree)
        return ~(smallest & self.touched(geometry).any(dim=1))

    def goals(
        self,
        geometry: CellGeometry,
        left: float,
        chosen: Tensor | None = None,
        near: float = 1e-6,
    ) -> list[Goal]:
        """Rules that tell which cells near corners are too coarse after a refinement.

        Cells are halved until no rule marks a cell, so that cells at corners become several times
        smaller.

        Args:
            geometry: the cells before the refinement.
            left: the fraction of the error that the refinement should leave. If `chosen` is given,
                it is limited to the range from `least` to `contraction`, which in the plane is a
                single value.
            chosen: the coordinates in which cells are refined, a mask (N, d). By default the cells
                at all corners become smaller, up to two levels beyond `finest`.
            near: if `chosen` is not given, all other cells become as small whose distance from the
                corner, divided by their width, is at most `near`.

        Returns:
            Functions from cells to masks (N, d) of the coordinates in which cells are too coarse.
        """
        touched, spare = self.touched(geometry), 2
        level, marked = geometry.tree.level.amin(dim=1, keepdim=True), torch.ones_like(touched[:1])
        if chosen is not None:
            left, near, spare = max(self.least, min(self.contraction, left)), self.near, 0
            marked = touched & chosen.any(dim=1, keepdim=True)
        deepest = torch.where(touched, level, 0).amax(dim=0)
        goal = deepest + (-math.log2(left) / self.rates).ceil().long()
        goal = torch.where(marked.any(dim=0), goal, 0)
        goal = goal.clamp_max(self.finest(geometry.tree) + spare)

        def coarse(geometry: CellGeometry) -> Tensor:
            """A mask (N, d), true where cells close to a corner are larger than wanted."""
            close = self._gaps(geometry) <= near
            return (close[..., None] & (geometry.tree.level[:, None] < goal[:, None])).any(dim=1)

        return [coarse]


def _least_logarithm(
    corners: Tensor, geometry: CellGeometry, points: Tensor, powers: Tensor
) -> Tensor:
    """For each cell the least binary logarithm of 1 and of r^β for all points, (N,).

    Args:
        corners: the lower and upper corners of the cells' frames, (N, 2, d).
        geometry: the cells.
        points: the points, (c, d); r is the distance of a cell's farthest point from a point, in
            units of half the domain's largest width, and at most 1.
        powers: the power β of each point, (c,).
    """
    gaps = (corners[:, :, None] - points).abs().amax(dim=1)
    distances = (gaps.norm(dim=2) / geometry.half.max()).clamp_max(1)
    zeros = torch.zeros(len(distances), 1, dtype=distances.dtype)
    return torch.cat([zeros, powers * distances.log2()], dim=1).amin(dim=1)


def farthest(corners: Tensor, segments: Tensor, size: float) -> Tensor:
    """For each cell, the largest distance of its corners from the nearest segment, (N,).

    Args:
        corners: the corners of the cells, (N, 8, 3).
        segments: the two ends of each segment, (s, 2, 3), which are equal for a point.
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
    """A mask (N,) of the boxes, (N, 2, 3), that a segment goes through or touches."""
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
    """The edges of a solid at which solutions are singular, and the vertices between them.

    At these edges the boundary of the solid turns inwards, or two faces of an interface meet.

    At the distance r from an edge with the interior angle ω solutions behave like r^λ, with λ = π/ω
    for Laplace's equation with given values on both sides. As at corners in the plane, the
    least-squares rows (equations) of each cell are multiplied by a power of the distance r. At the
    distance R from a vertex the factor is R^β (r/R)^α. If the solution is like R^q at a vertex, the
    error from the smallest cells, of the width h, falls like h^(2(q + β - 1/2)): faster for a
    larger β. But a larger β also makes the rows of distant cells outweigh the rows near the vertex.
    At the vertex of a cube without an octant, with q = 1/4 and 1/2, errors were up to 10 times
    larger for β = 5/4 than for β = 1/2. For β = 3/4, with q = 1/2 and the degree 7, errors were two
    thirds of the errors for β = 1/2, and 3 times the error of the best approximation. The
    difference from the best approximation is smooth. It is largest in large cells at edges, and
    falls if the cells at all edges are halved.

    Cells at a vertex are halved several times at once. Cells at an edge parallel to an axis are
    also halved several times, in the other two coordinates, so that they are long and thin. At
    edges in other directions this would make too many cells.

    Args:
        segments: the edges, (s, 2, 3).
        exponents: the exponent λ of each edge, (s,).
        vertices: the vertices, as corners whose power is β.
        enriched: the ends of edges whose singular functions cells have, (e, 2, 3).
        power: the exponent α.
        unresolved: a factor for the error indicators in cells at a vertex, see `pollution`.
        bits: the largest number of halvings of the domain's width across an edge.
    """

    segments: Tensor
    exponents: Tensor
    vertices: SingularCorners
    enriched: Tensor
    power: float = 1.0
    unresolved: float = 30.0
    bits: int = 22
    rate: ClassVar[float] = 1.0  # of eigenvalues, see `SingularCorners.rate`

    @classmethod
    def of(
        cls,
        segments: Tensor,
        exponents: Tensor,
        vertices: Tensor,
        others: Tensor,
        enriched: Tensor,
    ) -> "SingularEdges":
        """Make the object from edges and vertices.

        If the solution is like R^q at a vertex, the vertex is treated like a corner in the plane
        with the exponent λ = q + 1/2. The value 1/2 is used for q: at the vertex of a cube without
        an octant q is 0.45.

        Args:
            segments: the ends of the edges, (s, 2, 3).
            exponents: the exponent λ of each edge, (s,).
            vertices: the vertices at which the edges meet, (v, 3).
            others: further vertices of the domain, (o, 3).
            enriched: the ends of edges whose singular functions cells have, (e, 2, 3).
        """
        beta = 0.75
        # This fraction is small, so that no slow solves on intermediate trees are made.
        least = 1e-8
        ones = torch.ones(len(vertices), dtype=torch.float64)
        known = ones, 2 * ones, 0 * ones, ones
        none = torch.zeros(len(others), dtype=others.dtype)
        at = SingularCorners(vertices, *known, others, none, beta, least=least)
        return cls(segments, exponents, at, enriched)

    def weights(self, geometry: CellGeometry, *, witness: bool = False) -> Tensor:
        """The factor of each cell's least-squares rows (equations), (N,).

        The factor is R^β (r/R)^α, where r and R are the distances of the cell's farthest corner
        from the nearest edge and from the nearest vertex. They are in units of half the domain's
        largest width and at most 1, and r/R counts as at most 1. The factors are rounded to powers
        of the fourth root of two, so that many cells have the same factor. With powers of the
        square root of two errors were up to 1.3 times larger, with powers of two up to three times.

        Args:
            geometry: the cells.
            witness: whether to return the weights of the witness, a second solution whose distance
                shows whether the solution converges to a wrong function. Then α and β are larger
                by 1/2, and the power is 1/2 at edges with singular functions.
        """
        if not any(map(len, (self.segments, self.vertices.points, self.enriched))):
            return self.vertices.weights(geometry, witness=witness)
        picked, frames = torch.cartesian_prod(*[torch.arange(2)] * 3), geometry.frames
        corners = physical(
            geometry.domain,
            torch.stack([frames[:, picked[:, axis], axis] for axis in range(3)], dim=2),
        )
        size = float(geometry.half.max())
        points = self.vertices.points[:, None].expand(-1, 2, -1)
        vertex, edge = (farthest(corners, segments, size) for segments in (points, self.segments))
        more = 0.5 if witness else 0.0
        exponent = (self.vertices.power + more) * vertex.log2()
        exponent += (self.power + more) * (edge / vertex).clamp_max(1).log2()
        if witness:
            exponent += 0.5 * farthest(corners, self.enriched, size).log2()
        return 2.0 ** ((4 * exponent).round() / 4)

    def pollution(self, geometry: CellGeometry) -> Tensor:
        """For each cell the ratio of the error that it causes everywhere to its own error, (N,).

        For a cell of the width h at an edge with the exponent λ the ratio is h^(λ - 1), like at a
        corner in the plane. For a cell at a vertex the ratio is at least `unresolved`, so that the
        cell becomes small before larger cells are halved. For all other cells it is 1. Without the
        factor `unresolved`, cells at vertices would be halved too late: there the polynomials do
        not resolve the solution, and the indicator of a cell exceeds its error by a smaller factor
        than in other cells. The ratio of the two factors was 3 to 24 for u = R^(1/2) at the vertex
        of a cube without an octant and degrees 5 to 7.
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
        """A mask (s, 3) of the coordinates across each edge, in which cells at the edge are halved.

        These are all three coordinates for an edge that is parallel to no axis.
        """
        along = self.segments.diff(dim=1)[:, 0].abs()
        straight = along > (1 - 1e-9) * along.sum(dim=1, keepdim=True)
        return ~straight

    def effects(self, geometry: CellGeometry) -> Tensor:
        """As `SingularCorners.effects`, where all effects are taken to be 1, (N, 2)."""
        return torch.ones(len(geometry.tree), 2, dtype=torch.float64)

    def distances(self, geometry: CellGeometry) -> Tensor:
        """For each cell the number 1, (N,): near edges no equation is scaled by a distance.

        `CellSystem.equation_factors` multiplies some equations by a power of the distance from the
        nearest strongly singular corner. Such distances are used for corners in the plane only;
        with the number 1 in their place the power has no effect.
        """
        return torch.ones(len(geometry.tree), dtype=torch.float64)

    def _touched(self, geometry: CellGeometry) -> Tensor:
        """A mask (N, s), true where a cell meets an edge."""
        boxes = physical(geometry.domain, geometry.tree.boxes)
        found = [meets(boxes, segment) for segment in self.segments]
        return torch.stack(found, dim=1) if found else torch.zeros(len(boxes), 0).bool()

    def _across_cells(self, geometry: CellGeometry) -> Tensor:
        """A mask (N, 3): the coordinates across the edges that each cell meets."""
        return (self._touched(geometry)[..., None] & self._across).any(dim=1)

    def coordinates(self, geometry: CellGeometry, steep: Tensor) -> Tensor:
        """A mask (N, 3): the coordinates in which each cell is halved if it is refined.

        At an edge polynomials do not resolve the solution in the coordinates across the edge, and
        the decay of the polynomials' coefficients tells little. So cells at an edge are halved
        along the edge only if the solution is not steep across the edge.

        Args:
            geometry: the cells.
            steep: the coordinates in which the solution is steep, a mask (N, 3).
        """
        other = self.vertices.coordinates(geometry, steep)
        across = self._across_cells(geometry)
        is_thin = across.any(dim=1) & ~across.all(dim=1)
        touched = (steep & across).any(dim=1, keepdim=True)
        return torch.where(is_thin[:, None], torch.where(touched, across, steep), other)

    def _finest(self, tree: Tree) -> int:
        """The level (number of halvings) of the thinnest cells at edges, `bits` - ⌈log2 R⌉.

        R is the largest number of boxes of level 0 along a coordinate.

        Args:
            tree: the tree of the cells.
        """
        return self.bits - math.ceil(math.log2(max(tree.roots)))

    def divisible(self, geometry: CellGeometry) -> Tensor:
        """A mask (N,) of the cells that may be halved further in spite of rounding.

        All cells may be halved but the smallest cells at vertices, and the thinnest cells at edges.
        """
        tree = geometry.tree
        thinnest = (self._across_cells(geometry) & (tree.level >= self._finest(tree))).any(dim=1)
        return self.vertices.divisible(geometry) & ~thinnest

    def goals(
        self,
        geometry: CellGeometry,
        left: float,
        chosen: Tensor | None = None,
        near: float = 1e-6,
    ) -> list[Goal]:
        """Rules that tell which cells at vertices and edges are too coarse after a refinement.

        The arguments and the result are those of `SingularCorners.goals`. The rules at edges
        concern only cells that are thin, or chosen to be halved in some coordinates only. Other
        cells at edges have shown no large errors.
        """
        found, tree = self.vertices.goals(geometry, left, chosen, near), geometry.tree
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
            """A mask (N, d), true where cells at an edge are wider across it than wanted."""
            before = tree.locate(after.tree.boxes.mean(dim=1), after.tree.region)
            touched = (self._touched(after)[:, thin, None] & self._across[thin]).any(dim=1)
            return touched & (after.tree.level < goal[before])

        return [*found, coarse]


def least_exponent(
    sectors: Sequence[tuple[float, float]], fluxes: Sequence[bool] = ()
) -> float | None:
    """The least exponent λ < 1.9 of solutions r^λ φ(θ) in sectors; None if there is none.

    Each sector is a region with its own coefficient a of the equation div(a ∇u) = 0, so that
    (a φ')' + λ² a φ = 0 with a continuous φ and flux a φ'.

    Args:
        sectors: the angle and the coefficient a of each sector, from one boundary to the other, or
            all around the point.
        fluxes: for each of the two boundaries true if the flux is given on it, false if the value
            is given; empty if the sectors go all around the point.
    """
    exponents = np.linspace(0.02, 1.9, 400)
    total = np.eye(2)  # maps (φ, a φ') from the first edge to the last one, for each exponent
    for angle, coefficient in sectors:
        c, s = np.cos(exponents * angle), np.sin(exponents * angle)
        size = coefficient * exponents
        total = np.array([[c, s / size], [-size * s, c]]).transpose(2, 0, 1) @ total
    # For each exponent: the residual of the conditions at both ends, or of periodicity.
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
    """The sector that one region occupies at a point where boundary or interface curves meet.

    Args:
        first, last: the curves that bound the sector; counter-clockwise, the sector is between the
            first and the last curve.
        angle: the angle between these curves in radians.
        coefficient: the coefficient a of the flux a ∂u/∂n.
    """

    first: DivisionEdge
    last: DivisionEdge
    angle: float
    coefficient: float


def junctions(
    division: Division,
    fluxes: FluxSizes,
    conditions: Sequence[ResidualTerm],
) -> list[tuple[tuple[float, float], float, float]]:
    """The points of interfaces at which solutions are like r^λ φ(θ), with λ and the margin of each.

    The exponent λ is the least one. The margin is λ where values are given on a side of the domain
    at the point. It is 0 at other points: constants and ln r satisfy the equation there.

    The exponents follow from `least_exponent`. Three kinds of points are left out: points at which
    several parts of one region meet, such as points where two curves touch; points without an
    exponent λ < 1.9; points inside the domain with λ = 1, such as those of a smooth interface. A
    point where an interface ends at the boundary with λ = 1, for example at a right angle, is not
    left out: solutions are like r ln r there unless the data are those of a function that is linear
    in each region.

    Args:
        division: the regions.
        fluxes: a function that gives the flux coefficients on both sides of an interface.
        conditions: the conditions on the boundary.

    Reference: Kellogg, On the Poisson equation with intersecting interfaces (1975).
    """
    points = [edge.curve.start for edges in division.edges for edge in edges]
    near = 1e-9 * float(np.abs(points).max())
    found: list[tuple[tuple[float, float], float, float]] = []
    for edge in (edge for edges in division.edges for edge in edges if edge.interface >= 0):
        x, y = edge.curve.start
        known = any(math.dist((x, y), other) <= near for other, *_ in found)
        around = [] if known else _around((x, y), division, fluxes, near)
        if not around:
            continue
        ends = [one for one in (around[0].first, around[-1].last) if one.interface < 0]
        given = [
            any(term.channels.derivative_order for term in conditions if end.piece in term.pieces)
            for end in ends
        ]
        exponent = least_exponent([(one.angle, one.coefficient) for one in around], given)
        if exponent is not None and (ends or abs(exponent - 1) > 1e-3):
            found.append(((x, y), exponent, 0.0 if all(given) else exponent))
    return found


def _around(
    point: tuple[float, float],
    division: Division,
    fluxes: FluxSizes,
    near: float,
) -> list[RegionSector]:
    """The sectors of the regions around a point, counter-clockwise.

    At a point of the boundary the first sector begins at the boundary. The list is empty if several
    parts of one region meet at the point.

    Args:
        point: the point.
        division: the regions.
        fluxes: a function that gives the flux coefficients on both sides of an interface.
        near: the largest distance of an edge's end from the point.
    """
    sectors = []
    for edges in division.edges:
        first = [edge for edge in edges if math.dist(edge.curve.start, point) < near]
        last = [edge for edge in edges if math.dist(edge.curve.stop, point) < near]
        if len(first) == len(last) == 1:
            angle = (_direction(last[0], 1.0) - _direction(first[0], 0.0)) % (2 * math.pi)
            edge = first[0] if first[0].interface >= 0 else last[0]
            # The coefficient on the left of the edge, at 1e-3 of the edge's length from the point.
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
    """The angle of the direction in which an edge leaves its start (t = 0) or its end (t = 1)."""
    (x, y) = edge.curve.velocity(torch.tensor([t], dtype=torch.float64))[0].tolist()
    return math.atan2(-y, -x) if t else math.atan2(y, x)


def edges_of_boxes(division: SolidDivision, fluxes: FluxSizes) -> tuple[Tensor, Tensor, Tensor]:
    """The edges of boxes inside a solid at which solutions are like r^λ with λ < 1.

    An edge counts only if both faces of the box at the edge belong to the interface. The flux
    coefficients are evaluated near the middle of each edge.

    Args:
        division: the regions of the solid.
        fluxes: a function that gives the flux coefficients on both sides of an interface.

    Returns:
        The ends of the edges, (s, 2, 3), the exponent λ of each edge, (s,), and the vertices of
        boxes at which three of the edges meet, (v, 3).

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
                middle = one.quadrature(1)[0]  # the coefficients are taken close to the edge
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
