"""Problems in cells: equation and conditions in cells of boxes, domains in the plane and solids;
constants that they leave open, and the shared functions in the network.
"""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import ClassVar, TypeGuard

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Points
from kanpinn.geometry.combination import planar
from kanpinn.geometry.curves import Curve, Segment
from kanpinn.geometry.division import Division, SolidDivision
from kanpinn.geometry.domain import Domain, Piece
from kanpinn.geometry.planar import Planar
from kanpinn.jets import (
    Jet,
    Linearised,
    derivatives_of_parts,
    largest_of_orders,
    orders_of_parts,
    zero_jet,
)
from kanpinn.loss.parameters import Parameters, WithParameters
from kanpinn.loss.residuals import Residuals
from kanpinn.loss.terms import ResidualTerm, Term
from kanpinn.networks.surrogate import Surrogate
from kanpinn.spaces.cells.cells import CornerLayer, require_cells
from kanpinn.spaces.cells.geometry.cell_geometry import (
    CellGeometry,
    CellPoints,
    gauss_inside,
    in_trees,
)
from kanpinn.spaces.cells.geometry.plane import (
    CellCutter,
    CutGeometry,
    Outline,
)
from kanpinn.spaces.cells.geometry.regions import divided, pieces_of_curves
from kanpinn.spaces.cells.geometry.singularities import (
    Goal,
    PlaneCorner,
    SingularCorners,
    SingularEdges,
    edges_of_boxes,
    junctions,
)
from kanpinn.spaces.cells.geometry.solid import SolidCutter, SolidGeometry
from kanpinn.spaces.cells.polynomials import LocalPolynomials
from kanpinn.spaces.cells.system.cell_system import CellSystem
from kanpinn.spaces.cells.system.functions import (
    CellFunctions,
    CornerPatch,
    EnrichmentInCells,
    SharedFunctions,
)
from kanpinn.spaces.cells.system.interfaces import Interface
from kanpinn.spaces.cells.system.source_moments import SourceMoments
from kanpinn.spaces.cells.system.terms import SampledTerm
from kanpinn.spaces.cells.tree import Tree


def is_mean(term: Term) -> TypeGuard[ResidualTerm]:
    """Whether a term prescribes one number, such as an integral over the domain."""
    return isinstance(term, ResidualTerm) and term.rows == 1 and term.sites > 1


@torch.no_grad()
def set_constants(
    system: CellSystem,
    surrogate: Surrogate,
    means: Sequence[ResidualTerm],
    numbers: Sequence[Tensor],
) -> None:
    """Add constants to the fields that are determined up to them, in place.

    Args:
        system: the least-squares problem.
        surrogate: its network has the solution.
        means: the terms that prescribe one number each. A field that is in none of them gets
            the mean zero.
        numbers: the coefficients of the functions that cells share.

    Raises:
        InputError: for a term that depends on no such field.
    """
    network, left = require_cells(surrogate.network), list(means)
    for number in system.free_fields:
        residuals = [
            [float(_residual(t, surrogate, [number], c)) for c in (0.0, 1.0)] for t in left
        ]
        seen = [i for i, (before, after) in enumerate(residuals) if before != after]
        if seen:
            before, after = residuals[seen[0]]
            constant = before / (before - after)  # the first polynomial of each cell is a constant
            network.layer.coefficients[:, 0, number] += constant * 2 ** (system.polynomials.dim / 2)
            del left[seen[0]]
        else:
            present = network.layer.coefficients.double().cpu()
            function = replace(system.about, coefficients=present, numbers=numbers)
            found = system.norms.without_means(function, [number])
            network.layer.coefficients.copy_(found.coefficients)
    if left:
        raise InputError(
            f"the term {left[0].name} cannot be imposed on cells: its field is determined without "
            "it, the constant included"
        )


def refuse_free_data(
    system: CellSystem, surrogate: Surrogate, data: Sequence[ResidualTerm]
) -> None:
    """Refuse data of a field that is determined only up to a constant.

    Raises:
        InputError: for such data.
    """
    for term in data if system.free_fields else ():
        before, after = (_residual(term, surrogate, system.free_fields, c) for c in (0.0, 1.0))
        if not torch.equal(before, after):
            raise InputError(
                f"the data of the term {term.name} are of a field that equation and conditions on "
                "the boundary determine only up to a constant: cells take data of other fields"
            )


def _residual(
    term: ResidualTerm, surrogate: Surrogate, fields: Sequence[int], constant: float
) -> Tensor:
    """The residual of a term where a constant is added to some fields."""
    jet = surrogate.jet(term.points, term.channels)
    value = jet.value.clone()
    value[:, list(fields)] += constant
    return term.equation(term.points, jet.with_parts([value, *jet.parts()[1:]]))


@dataclass(frozen=True, eq=False)
class CellProblem:
    """The equation and the conditions of a problem, for the cells of any tree.

    Here the domain is a box, all of whose cells are whole. Subclasses are for domains in the plane
    and in space, whose boundaries and interfaces cut cells. A cut cell has the equation at points
    of its part of the domain, and the conditions at points of the boundary in it. Its polynomials
    are those of the bounding box of the part, and its faces are the parts of its sides in the
    domain. Where an interface divides a box of the tree, it has a cut cell for each region; they
    meet at arcs or patches of the interface.

    Args:
        domain: the domain.
        equation: the equation.
        conditions: the conditions on the boundary.
        interfaces: the conditions on interfaces.
        counted: the numbers of the fields whose errors count.
        fields: the number of fields.
        shared: functions that cells share.
        source_moments: the integrals of the equation's source in cells that have occurred so far.

    more, many: the numbers of points of quadrature rules along each coordinate above the degree, in
    whole cells and on the frames of cut ones. most: the largest number of refinements before the
    first solve. tiny: what is said of the boundary's details where that is not enough.
    """

    domain: Domain
    equation: ResidualTerm
    conditions: Sequence[ResidualTerm]
    interfaces: Sequence[ResidualTerm] = ()
    counted: Sequence[int] = (0,)
    fields: int = 1
    shared: Sequence[SharedFunctions] = ()
    source_moments: SourceMoments = field(default_factory=SourceMoments)
    more: ClassVar[int] = 3
    many: ClassVar[int] = 0
    most: ClassVar[int] = 40
    tiny: ClassVar[str] = ""

    @property
    def kinks(self) -> list[Piece]:
        """The pieces of all interfaces."""
        return [piece for term in self.interfaces for piece in term.kinks]

    def flux_sizes(self, piece: Piece, at: Points) -> tuple[float, float]:
        """The coefficients inside and outside of a piece of an interface, at one of its points."""
        p, found = at.on_both_sides(self.domain.bounds), (0.0, 0.0)
        for term in self.interfaces:
            if piece in term.kinks:
                linear = Linearised.at_zero(term.equation, p, term.channels, self.fields)
                first = orders_of_parts(term.channels) > 0
                inside, outside = linear.slopes[:2, :, first].abs().flatten(1).amax(dim=1).tolist()
                found = max(found[0], inside), max(found[1], outside)
        return found

    def corner_patches(self, roots: Sequence[int]) -> Sequence[CornerPatch]:
        """The cells around corners with singular functions that are known.

        roots: the numbers of boxes of level 0 along each coordinate.
        """
        return []

    @property
    def patches(self) -> list[CornerPatch]:
        """The corners with functions that cells share."""
        return [one for one in self.shared if isinstance(one, CornerPatch)]

    def cells(self, tree: Tree) -> CellGeometry:
        """The leaves of a tree that contain a part of the domain."""
        return CellGeometry.whole(tree, self.domain)

    @cached_property
    def singularities(self) -> SingularCorners | SingularEdges:
        """The points at which solutions are singular, and where cells become small."""
        return SingularCorners.of([], self.domain.dim)

    def refined(self, geometry: CellGeometry, marked: Tensor, left: float = 1.0) -> CellGeometry:
        """The cells when some are refined, those at singular corners several times at once.

        Args:
            geometry: the present cells.
            marked: the coordinates in which cells are refined, a mask (N, d).
            left: the part of the error that is to be left.
        """
        after = self.cells(geometry.tree.split(marked)[0])
        return self._graded(after, self.singularities.goals(geometry, left, marked))

    def deeper(self, geometry: CellGeometry) -> CellGeometry:
        """Smaller cells where a higher degree does not show the error of a solution.

        Those at singular points are so much smaller that errors are a quarter.
        """
        return self._graded(geometry, self.singularities.goals(geometry, 0.25))

    def _graded(self, geometry: CellGeometry, goals: Sequence[Goal]) -> CellGeometry:
        """The cells when all that are too coarse for one goal after the other are refined."""
        for goal in goals:
            while bool((marked := goal(geometry)).any()):
                geometry = self.cells(geometry.tree.split(marked)[0])
        return geometry

    def marked_by_boundary(self, tree: Tree) -> Tensor:
        """The coordinates in which the boundary has cells refined, a mask (N, d)."""
        return torch.zeros_like(tree.level, dtype=torch.bool)

    def start(self, tree: Tree) -> CellGeometry:
        """The cells of a tree, after leaves that are too large for the boundary have been refined.

        Raises:
            InputError: if the boundary has details that no cell can resolve.
        """
        for _ in range(self.most):
            marked = self.marked_by_boundary(tree)
            for patch in self.patches:
                marked = marked | tree.everywhere(patch.cut(tree))
            if not bool(marked.any()):
                return self.cells(tree)
            tree, _ = tree.split(marked)
        raise InputError(
            f"the boundary of {self.domain!r} has details that are too small for cells: "
            f"{self.tiny.format(most=self.most)}, or it touches itself"
        )

    def contains(self, region: int, points: Tensor, tolerance: float) -> Tensor:
        """Which points are in a region, with a distance from its boundary, a mask (n,)."""
        raise NotImplementedError

    def inside(self, geometry: CellGeometry, polynomials: LocalPolynomials) -> list[CellPoints]:
        """Points of a quadrature rule in groups of cells; each cell is in one group, once."""
        found: list[CellPoints] = []
        regions, count = geometry.tree.region, polynomials.degree + self.many
        # On an interface rounding decides on which side a coefficient is evaluated.
        near = 1e-10 * float(geometry.half.max()) if self.interfaces else 0.0
        for region in range(1 + int(regions.max())):  # in each, coefficients may be the same
            whole, cut = (
                (some & (regions == region)).nonzero()[:, 0]
                for some in (~geometry.is_cut, geometry.is_cut)
            )
            if len(whole):
                found.append(CellPoints.inside(geometry, whole, *polynomials.rule(self.more)))
            found += gauss_inside(
                geometry, cut, partial(self.contains, region, tolerance=near), count
            )
        return found

    def linearised(
        self, about: CellFunctions, *, limit: bool = False, integrated: bool = True
    ) -> CellSystem:
        """The least-squares problem on the cells of the present solution.

        Args:
            about: the present solution, about which the terms are linearised.
            limit: whether integrals of singular sources are extrapolated, see `SourceMoments`.
            integrated: whether integrals of sources are computed; otherwise the source is that at
                the points, as for the moments of an evolution, which have one each.
        """
        about = replace(about, shared=self.shared)
        geometry, polynomials = about.geometry, about.polynomials
        inside = self.inside(geometry, polynomials)
        equation = [SampledTerm(self.equation, at, about) for at in inside]
        boundary = [
            SampledTerm(term, at, about)
            for term in self.conditions
            for at in geometry.on_boundary(term.pieces, polynomials)
        ]
        # A source that known functions balance is balanced at points, not in integrals.
        if integrated and len(self.patches) == len(self.shared):
            for term in equation:
                if term.at.alike:
                    added = self.source_moments.corrections(geometry, term, limit)
                    if added is not None:
                        term.right = term.right + added
        interfaces, singular = [], self.singularities
        for at in geometry.at_interfaces(polynomials.degree) if self.interfaces else ():
            terms = [term for term in self.interfaces if at.piece in term.kinks]
            # Fluxes do not depend on derivatives in time, which may be further fields.
            flux = replace(about, coefficients=about.coefficients[:, :, : self.fields])
            interfaces.append(Interface(at, terms, flux))
        factors = singular.weights(geometry), singular.pollution(geometry)
        return CellSystem(about, equation, boundary, self.counted, *factors, interfaces)


def is_laplacian(equation: ResidualTerm, corner: PlaneCorner, fields: int) -> bool:
    """Whether the derivatives of the highest order are A Δu near a corner, A a regular matrix.

    Linearisations about zero and about another function are tried, as a coefficient may depend on
    the solution.
    """
    channels, rounding = equation.channels, 1e-9
    if channels.derivative_order < 2:
        return False
    near = 1e-3 * min(1.0, corner.reach)
    x, y = corner.at
    at = torch.tensor(
        [[x + near * math.cos(corner.direction), y + near * math.sin(corner.direction)]],
        dtype=torch.float64,
    )
    points = Points(at, channels.names)
    zero = zero_jet(channels, at, fields)
    for jet in (zero, _some(zero)):
        found = Linearised.at(equation.equation, points, jet).slopes[0]  # (e, parts, m)
        if len(found) != fields or not bool(found.isfinite().all()):
            return False
        orders: dict[tuple[int, ...], Tensor] = {}
        for part, terms in enumerate(derivatives_of_parts(channels)):
            for order, factor in terms:
                if sum(order) > 1:
                    own = orders.get(order, torch.zeros_like(found[:, 0]))
                    orders[order] = own + factor * found[:, part]
        main = orders.pop((2, 0))
        others = [main - orders.pop((0, 2)), *orders.values()]
        size = float(main.abs().max())
        if not float(torch.linalg.svdvals(main).min()) > rounding * size:
            return False
        if any(float(one.abs().max()) > rounding * size for one in others):
            return False
    return True


def orders_by_field(
    terms: Sequence[ResidualTerm], curve: Curve, fields: int
) -> list[frozenset[int]]:
    """The orders of the derivatives of each field in the equations of conditions on a curve.

    An equation counts with its derivatives of the highest order of a field.
    """
    found: list[set[int]] = [set() for _ in range(fields)]
    points = curve.points_at(torch.full((1,), 0.4, dtype=torch.float64))
    for term in terms:
        jet = _some(zero_jet(term.channels, points.coords, fields))
        sizes = Linearised.at(term.equation, points, jet).slopes[0].abs()  # (e, parts, m)
        for equation in largest_of_orders(sizes, term.channels):
            for own, orders in zip(found, equation.T, strict=True):
                if bool(orders.any()):
                    own.add(int(orders.nonzero().max()))
    return [frozenset(one) for one in found]


def _some(jet: Jet) -> Jet:
    """A jet with random parts."""
    generator = torch.Generator().manual_seed(0)
    return jet.map(lambda part: torch.rand(part.shape, generator=generator, dtype=part.dtype))


@dataclass(frozen=True, eq=False)
class ProblemInPlane(CellProblem):
    """The equation and the conditions of a problem in a domain of the plane.

    Cells of a box without interfaces are all whole, as in other boxes, but its corners count as
    those of other domains.

    top: the degree below which cells at corners have singular functions. convex: an exponent below
    that of right angles.
    """

    top: ClassVar[float] = 4.0
    convex: ClassVar[float] = 1.9
    # With 8 errors were 4 times as large: many, so that enough are left in a cut cell.
    many: ClassVar[int] = 12
    tiny: ClassVar[str] = "two of its corners are closer than 2^-{most} of the domain's size"

    @cached_property
    def division(self) -> Division:
        """The regions of the domain."""
        return divided(self.domain, self.kinks)

    @property
    def is_whole(self) -> bool:
        """Whether no boundary cuts cells."""
        return self.domain.is_box and not self.interfaces

    @cached_property
    def cutters(self) -> list[CellCutter]:
        """They cut cells by the boundary of each region."""
        regions = enumerate(self.division.domains)
        return [CellCutter(Outline(region), self.domain, number) for number, region in regions]

    @cached_property
    def own_corners(self) -> list[PlaneCorner]:
        """The corners of the domain at which solutions are like r^λ with λ below a limit.

        At a right angle λ is 2, and solutions are like r² ln r unless the source is zero there. In
        polygons the limit is `top`, so that right angles count. In domains with curved sides, such
        as small holes, cells are many. There conjugate gradients converge slowly with functions
        that polynomials nearly represent: with those of the right angles 50 holes took twice the
        time. In boxes, right angles with conditions of one kind are left to small cells.
        """
        plane, found = planar(self.domain), []
        assert plane is not None
        straight = all(isinstance(curve, Segment) for curve in plane.curves)
        top, outline = self.top if straight and not self.is_whole else self.convex, Outline(plane)
        for curve, (after, angle) in enumerate(outline.interior_angles):
            corner = PlaneCorner(outline, curve, after, angle, (False,))
            corner = replace(corner, mixed=self._mixed(corner))
            smooth = not any(corner.mixed) and abs(angle - math.pi) <= outline.sharp
            if corner.exponent < top and not smooth:
                found.append(corner)
        return found

    def _mixed(self, corner: PlaneCorner) -> tuple[bool, ...]:
        """Whether the conditions on both sides of a corner differ, see `PlaneCorner.mixed`.

        Each field counts by itself only where all are like solutions of Laplace's equation.
        """
        plane = corner.outline.domain
        pieces = pieces_of_curves(plane, self.domain)
        by_field, together = [], []
        for number in (corner.before, corner.after):
            terms = [term for term in self.conditions if pieces[number] in term.pieces]
            by_field.append(orders_by_field(terms, plane.curves[number], self.fields))
            together.append({term.channels.derivative_order for term in terms})
        if self.fields == 1 or not is_laplacian(self.equation, corner, self.fields):
            return (together[0] != together[1],)
        found = {one != other for one, other in zip(*by_field, strict=True)}
        # Conditions that tie fields together may be of either kind.
        tied = any(len(orders) > 1 for orders in (*by_field[0], *by_field[1]))
        return (False, True) if tied else tuple(sorted(found))

    @cached_property
    def singularities(self) -> SingularCorners:
        enriched = [tuple(one.at.tolist()) for one in self.patches]
        found = [
            (one.at, self.top if one.at in enriched else one.exponent)
            for one in self.own_corners
            if one.exponent < self.convex
        ]
        found += junctions(self.division, self.flux_sizes, self.conditions)
        return SingularCorners.of(found, 2)

    def corner_patches(self, roots: Sequence[int]) -> Sequence[CornerPatch]:
        found = []
        for one in [] if self.interfaces else self.own_corners:
            boxes = one.boxes(roots, self.domain.bounds)
            if boxes is not None and is_laplacian(self.equation, one, self.fields):
                at = torch.tensor(one.at, dtype=torch.float64)
                found.append(CornerPatch(at, one.functions(self.top), boxes, self.fields))
        return found

    def cells(self, tree: Tree) -> CellGeometry:
        if self.is_whole:
            return super().cells(tree)
        parts = [cutter.cut(tree) for cutter in self.cutters]
        return CutGeometry.joined(parts, self.division.edges)

    def marked_by_boundary(self, tree: Tree) -> Tensor:
        if self.is_whole:
            return super().marked_by_boundary(tree)
        found = torch.zeros(len(tree), dtype=torch.bool)
        for rule in (CellCutter.too_wide, CellCutter.too_bent):
            for cutter in [] if bool(found.any()) else self.cutters:  # then most cells will change
                own = tree.region == cutter.region
                found[own] = rule(cutter, tree.only(own))
        return tree.everywhere(found) | tree.unbalanced

    def contains(self, region: int, points: Tensor, tolerance: float) -> Tensor:
        domain = self.division.domains[region]
        return domain.contains(points, -tolerance) if tolerance else domain.encloses(points)


@dataclass(frozen=True, eq=False)
class ProblemInSpace(CellProblem):
    """The equation and the conditions of a problem in a solid."""

    many: ClassVar[int] = 4
    most: ClassVar[int] = 12  # where a boundary touches itself, each refinement doubles the cells
    tiny: ClassVar[str] = "smaller than 2^-{most} of the domain's size"

    @cached_property
    def division(self) -> SolidDivision:
        """The regions of the solid."""
        return SolidDivision.of(self.domain, self.kinks)

    @cached_property
    def cutters(self) -> list[SolidCutter]:
        """They cut cells by the boundary of each region."""
        return [SolidCutter(part, number) for number, part in enumerate(self.division.parts)]

    @cached_property
    def singularities(self) -> SingularEdges:
        edges = edges_of_boxes(self.division, self.flux_sizes)
        return SingularEdges.of(self.domain.reentrant_edges, *edges)

    def cells(self, tree: Tree) -> SolidGeometry:
        parts = [cutter.cut(tree) for cutter in self.cutters]
        return SolidGeometry.joined(parts, self.division.interfaces)

    def marked_by_boundary(self, tree: Tree) -> Tensor:
        """The coordinates in which the boundary has cells refined, a mask (N, d).

        A cell is refined if a smooth part of the boundary turns in it by an angle of more than
        about 1.2, as it does in a cell that is wider than a hole or than the radius of curvature,
        or if its part of the solid is not connected.
        """
        most = 0.6  # radians from the mean normal
        found = torch.zeros(len(tree), dtype=torch.bool)
        for cutter in self.cutters:
            own = tree.region == cutter.region
            parts = cutter.parts(tree.only(own))
            large = [one is not None and (one.spread > most or not one.connected) for one in parts]
            found[own] = torch.tensor(large, dtype=torch.bool)
        return tree.everywhere(found) | tree.unbalanced

    def contains(self, region: int, points: Tensor, tolerance: float) -> Tensor:
        return self.division.parts[region].contains(points, tolerance=-tolerance)


def counted_fields(residuals: Residuals, fields: int) -> Sequence[int]:
    """The numbers of the fields in cells whose errors count.

    They are all if the loss belongs to no problem, or none of those that count is in cells.

    Args:
        residuals: the loss.
        fields: the number of fields in cells.
    """
    chosen = range(fields) if residuals.family is None else residuals.family.counted
    return [one for one in chosen if one < fields] or range(fields)


def problem_in_cells(residuals: Residuals) -> CellProblem:
    """The problem of a loss, for cells.

    Raises:
        InputError: for what cells cannot solve.
    """
    domain = residuals.surrogate.domain
    surrogate, loss = residuals.surrogate, list(residuals.terms)
    network = require_cells(surrogate.network)
    parameters = Parameters(network.constants, network.coefficient, surrogate)
    own = network.own_fields
    if parameters.layers:
        loss = [one for one in loss if not one.measured]  # `ParametersInCells` takes the data
        loss = [
            replace(one, equation=WithParameters(one.equation, parameters))
            if isinstance(one, ResidualTerm) and not is_mean(one)
            else one
            for one in loss
        ]
    return problem_of_terms(loss, domain, counted_fields(residuals, own), own)


def problem_of_terms(
    loss: Sequence[Term], domain: Domain, counted: Sequence[int], fields: int
) -> CellProblem:
    """The problem of an equation and conditions, for cells.

    Args:
        loss: the terms of the equation, which is the first, and of conditions.
        domain: the domain.
        counted: the numbers of the fields whose errors count.
        fields: the number of fields.

    Raises:
        InputError: for what cells cannot solve: an energy, or a domain or conditions of another
            kind.
    """
    terms, pieces = [], set(domain.boundary.pieces)
    for term in loss:
        if not isinstance(term, ResidualTerm):
            raise InputError(f"cells: the term {term.name} is no mean of squared residuals")
        if not is_mean(term):
            terms.append(term)
    equation, *others = terms
    for term in (one for one in others if not one.kinks):
        if term.measured:
            raise InputError(
                f"the term {term.name} has measurements: cells take them for problems with unknown "
                "numbers only; a KAN takes them for all, and kp.Integral determines a constant"
            )
        if term.sites > 1 or not term.pieces or not pieces.issuperset(term.pieces):
            raise InputError(
                f"the term {term.name} cannot be imposed on cells: expected a condition at single "
                "points of whole pieces of the boundary, or on an interface"
            )
    conditions = [term for term in others if not term.kinks]
    interfaces = [term for term in others if term.kinks]
    still = domain.time_name is None
    if isinstance(domain, Planar) or (domain.is_box and domain.dim == 2 and (interfaces or still)):
        kind: type[CellProblem] = ProblemInPlane
    elif domain.is_box and not interfaces:
        kind = CellProblem
    elif domain.dim == 3 and still:
        kind = ProblemInSpace
    else:
        raise InputError(
            f"cells are for boxes and for domains of two and three coordinates, got {domain!r}"
        )
    return kind(domain, equation, conditions, interfaces, counted, fields)


def with_shared_functions(problem: CellProblem, surrogate: Surrogate) -> CellProblem:
    """The problem with the functions of its corners, which the network gets, and its enrichment.

    Raises:
        InputError: for known functions and unknowns together.
    """
    network = require_cells(surrogate.network)
    fields, patches, found = network.own_fields, list[CornerPatch](), None
    known = network.constants is None and network.coefficient is None
    if known:  # otherwise derivatives by the unknowns are polynomials in cells
        patches += problem.corner_patches(network.tree.roots)
    elif network.enrichment is not None:
        raise InputError(
            "cells take no enrichment() where there are unknown numbers or coefficient fields"
        )
    if patches:
        corners, boxes, powers = [], [], []
        for number, one in enumerate(patches):
            place, own = in_trees(problem.domain, one.at).tolist(), one.functions
            corners.append([*place, own.direction, own.radius])
            boxes += [[number, *box] for box in one.boxes.flatten(1).tolist()]
            powers += [[number, p.exponent, p.conjugate, p.logarithm] for p in own.powers]
        at, around, degrees = (
            torch.tensor(rows, dtype=torch.float64) for rows in (corners, boxes, powers)
        )
        found = CornerLayer(at, around, degrees, fields).to(network.layer.coefficients.device)
    before = network.corners
    if not (found and before and all(map(torch.equal, found.buffers(), before.buffers()))):
        network.corners = found
    shared: list[SharedFunctions] = list(patches)
    if network.enrichment is not None:
        shared.append(EnrichmentInCells(network.enrichment, fields))
    made = copy.copy(problem)
    vars(made)["shared"] = shared
    return made
