"""Problems in cells: the equation and conditions of a problem, for the cells of any tree.

There is a class for boxes, for domains in the plane and for solids. The module also sets the
constants of fields that are determined only up to a constant, and collects shared functions: known
functions such as singular functions of corners, with one coefficient for many cells.
"""

import copy
import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from operator import attrgetter
from typing import Any, ClassVar, Generic, TypeGuard, TypeVar

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Points
from kanpinn.geometry.combination import planar
from kanpinn.geometry.curves import Curve, Segment
from kanpinn.geometry.division import Division, SolidDivision
from kanpinn.geometry.domain import Domain, Edges, Piece
from kanpinn.geometry.planar import Planar
from kanpinn.jets import (
    Jet,
    Linearised,
    derivatives_of_parts,
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
from kanpinn.spaces.cells.geometry.pencils import CornerOperators, Symbol, joined, symbol_of
from kanpinn.spaces.cells.geometry.plane import CellCutter, Outline
from kanpinn.spaces.cells.geometry.regions import divided, pieces_of_curves
from kanpinn.spaces.cells.geometry.singularities import (
    Goal,
    PlaneCorner,
    SingularCorners,
    SingularEdges,
    Singularity,
    SolidEdge,
    edges_of_boxes,
    junctions,
)
from kanpinn.spaces.cells.geometry.solid import SolidCutter
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


def is_number(term: Term) -> TypeGuard[ResidualTerm]:
    """Return whether a term prescribes one number: an integral, or a value at one point."""
    return isinstance(term, ResidualTerm) and term.rows == 1 and (term.sites > 1 or term.measured)


@torch.no_grad()
def set_constants(
    system: CellSystem,
    surrogate: Surrogate,
    given: Sequence[ResidualTerm],
    numbers: Sequence[Tensor],
) -> None:
    """Set the constants of fields that are determined only up to a constant, in the network.

    Args:
        system: the least-squares problem.
        surrogate: the surrogate whose network has the solution.
        given: terms that prescribe one number each, an integral or a value at one point, and so
            determine the constant of a field. A field on which none of these terms depends gets the
            mean zero.
        numbers: the coefficients of the functions that cells share, a tensor (count,) for each kind
            of these functions.

    Raises:
        InputError: if a term depends on no field that is determined only up to a constant.
    """
    network, left = require_cells(surrogate.network), list(given)
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
            f"the term {left[0].name} cannot be imposed on cells: the other conditions determine "
            "its field already, with its constant"
        )


def refuse_free_data(
    system: CellSystem, surrogate: Surrogate, data: Sequence[ResidualTerm]
) -> None:
    """Refuse data that are values of a field that is determined only up to a constant.

    Args:
        system: the least-squares problem, which tells which fields are determined only up to a
            constant.
        surrogate: the surrogate whose network has the solution.
        data: the terms of the data.

    Raises:
        InputError: if some data are of such a field.
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
    """The residual of a term after a constant is added to some fields, (rows, equations).

    Args:
        term: the term.
        surrogate: the surrogate that gives all fields.
        fields: the indices of the fields to which the constant is added.
        constant: the constant.
    """
    jet = surrogate.jet(term.points, term.channels)
    value = jet.value.clone()
    value[:, list(fields)] += constant
    return term.equation(term.points, jet.with_parts([value, *jet.parts()[1:]]))


@dataclass(frozen=True, eq=False)
class CellProblem:
    """The equation and the conditions of a problem, for the cells of any tree.

    This class is for boxes, which contain only whole cells. Subclasses are for domains in the plane
    and in space, where boundaries and interfaces cut cells. In a cut cell the equation is imposed
    at points of the cell's part in the domain, and the conditions at points of the boundary in the
    cell. The polynomials of a cut cell are those of the bounding box of this part, and its faces
    are the parts of the cell's sides in the domain. If an interface divides a box of the tree,
    there is a cut cell for each region. These cells meet at arcs or patches of the interface.

    Args:
        domain: the domain.
        equation: the equation.
        conditions: the conditions on the boundary.
        interfaces: the conditions on interfaces.
        counted: the indices of the fields that error norms include.
        fields: the number of fields.
        shared: known functions with one coefficient for several cells, such as the singular
            functions of corners.
        source_moments: the integrals of the equation's source over cells, stored as they are
            computed.

    Attributes:
        more: the number of quadrature points along each coordinate of a whole cell, minus the
            degree of the polynomials.
        many: the number of quadrature points along each coordinate of a cut cell's bounding box,
            minus the degree of the polynomials. Points outside of the domain are then left out.
        most: the largest number of refinements of cells at the boundary before the first solve.
        tiny: how small the details of the boundary are that need more than `most` refinements, in
            words for the error message.
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
        """The sizes of the flux coefficients on the two sides of an interface.

        The conditions on fluxes at the piece are linearised at zero. The size on a side is the
        largest coefficient of a derivative of a field on this side. It is zero if no condition is
        given at the piece.

        Args:
            piece: the piece of the interface.
            at: a point of the piece.

        Returns:
            The size inside and the size outside.
        """
        p, found = at.on_both_sides(self.domain.bounds), (0.0, 0.0)
        for term in self.interfaces:
            if piece in term.kinks:
                linear = Linearised.at_zero(term.equation, p, term.channels, self.fields)
                first = orders_of_parts(term.channels) > 0
                inside, outside = linear.slopes[:2, :, first].abs().flatten(1).amax(dim=1).tolist()
                found = max(found[0], inside), max(found[1], outside)
        return found

    def corner_patches(self, roots: Sequence[int]) -> Sequence[CornerPatch]:
        """For each corner its singular functions, and the boxes whose cells have these functions.

        Args:
            roots: the numbers of boxes of level 0 along each coordinate.
        """
        return []

    @property
    def patches(self) -> list[CornerPatch]:
        """The singular functions of corners, among the functions that cells share."""
        return [one for one in self.shared if isinstance(one, CornerPatch)]

    @property
    def is_whole(self) -> bool:
        """True if no boundary or interface cuts cells."""
        return self.domain.is_box and not self.interfaces

    @property
    def cutters(self) -> Sequence[CellCutter | SolidCutter]:
        """For each region the object that cuts cells by the region's boundary; empty for boxes."""
        return ()

    def cells(self, tree: Tree) -> CellGeometry:
        """The leaves of a tree that contain a part of the domain."""
        parts: list[Any] = [cutter.cut(tree) for cutter in self.cutters]
        return type(parts[0]).joined(parts) if parts else CellGeometry.whole(tree, self.domain)

    @cached_property
    def singularities(self) -> SingularCorners | SingularEdges:
        """The points and, in space, edges with singular solutions, where cells become small."""
        ends = zip(*(bound.tolist() for bound in self.domain.bounds), strict=True)
        others = [(at, 0.0) for at in itertools.product(*ends)]
        return SingularCorners.of([], others, self.domain.dim)

    @property
    def undecided_corners(self) -> list[tuple[tuple[float, float], float]]:
        """The corners at which the equation leaves open which solutions r^λ are admitted.

        Each entry has the coordinates of the corner and the exponent λ of a solution that the
        equation neither admits nor excludes, see `CornerOperators.undecided`. The list is empty
        except in the plane.
        """
        return []

    def refined(self, geometry: CellGeometry, marked: Tensor, left: float = 1.0) -> CellGeometry:
        """Refine marked cells, and return all cells.

        Cells at singular points are halved several times at once.

        Args:
            geometry: the present cells.
            marked: the coordinates in which cells are refined, a mask (N, d).
            left: the fraction of the error that the refinement should leave.
        """
        after = self.cells(geometry.tree.split(marked)[0])
        return self._graded(after, self.singularities.goals(geometry, left, marked))

    def deeper(
        self, geometry: CellGeometry, left: float = 0.25, near: float = 1e-6
    ) -> CellGeometry:
        """Make the cells at singular points smaller, for an error estimate; return all cells.

        At singular points a solution of a higher degree has about the same error, so that only
        smaller cells show the error.

        Args:
            geometry: the present cells.
            left: the fraction of the error at singular points that the smaller cells leave.
            near: other cells become smaller too if their distance from a singular point, divided by
                their width, is at most `near`.
        """
        return self._graded(geometry, self.singularities.goals(geometry, left, near=near))

    def graded(self, geometry: CellGeometry, left: float) -> CellGeometry:
        """Make the cells at strongly singular corners in the plane smaller; return all cells.

        Strongly singular are the corners at which the highest derivatives in the equation are not
        square integrable. In boxes of other dimensions and in solids nothing changes.

        Args:
            geometry: the present cells.
            left: the fraction of the error at such a corner that the smaller cells leave.
        """
        return geometry

    def _graded(self, geometry: CellGeometry, goals: Sequence[Goal]) -> CellGeometry:
        """Refine the cells for one goal after the other, until no cell is too coarse.

        Args:
            geometry: the present cells.
            goals: functions from cells to masks (N, d) of the coordinates in which cells are too
                coarse.

        Returns:
            The refined cells.
        """
        for goal in goals:
            while bool((marked := goal(geometry)).any()):
                geometry = self.cells(geometry.tree.split(marked)[0])
        return geometry

    def marked_by_boundary(self, tree: Tree) -> Tensor:
        """A mask (N, d) of the coordinates in which cells must be halved because of the boundary.

        A cell must be halved if it is too large for the boundary or, unless the domain is a box,
        over twice as wide as a neighbour.
        """
        found = torch.zeros(len(tree), dtype=torch.bool)
        for cutter in self.cutters:
            own = tree.region == cutter.region
            found[own] = cutter.too_large(tree.only(own))
        large = tree.everywhere(found)
        return large | tree.unbalanced if self.cutters else large

    def start(self, tree: Tree) -> CellGeometry:
        """The cells of a tree, after leaves that are too large for the boundary have been refined.

        Args:
            tree: the tree.

        Raises:
            InputError: if the boundary has details that no cell can resolve.
        """
        for _ in range(self.most):
            marked = self.marked_by_boundary(tree)
            for patch in self.patches:
                marked = marked | patch.cut(tree)
            if not bool(marked.any()):
                return self.cells(tree)
            tree, _ = tree.split(marked)
        raise InputError(
            f"the boundary of {self.domain!r} has details that are too small for cells: "
            f"{self.tiny.format(most=self.most)}, or it touches itself"
        )

    def inside(self, geometry: CellGeometry, polynomials: LocalPolynomials) -> list[CellPoints]:
        """Quadrature points in all cells, in groups of cells; each cell is in exactly one group.

        A group has whole cells of one region, or some cut cells of one region. In cut cells only
        the points in the region are kept.

        Args:
            geometry: the cells.
            polynomials: the polynomials of a cell, whose degree determines the number of points.
        """
        found: list[CellPoints] = []
        regions, count = geometry.tree.region, polynomials.degree + self.many
        # Points very close to an interface are left out: rounding decides on which side they are.
        near = 1e-10 * float(geometry.half.max()) if self.interfaces else 0.0
        for region in range(1 + int(regions.max())):  # a coefficient may be constant in a region
            whole, cut = (
                (some & (regions == region)).nonzero()[:, 0]
                for some in (~geometry.is_cut, geometry.is_cut)
            )
            if len(whole):
                found.append(CellPoints.inside(geometry, whole, *polynomials.rule(self.more)))
            if len(cut):
                contains = partial(self.cutters[region].contains, tolerance=near)
                found += gauss_inside(geometry, cut, contains, count)
        return found

    def linearised(
        self, about: CellFunctions, *, limit: bool = False, integrated: bool = True
    ) -> CellSystem:
        """The least-squares problem, linearised at a function in cells.

        Args:
            about: the function, with its cells; usually the present solution.
            limit: whether the solution serves to estimate the error. Then singular sources get
                their second correction, see `SourceMoments`, and the least-squares rows of cells
                get the weights of a witness, see `SingularCorners.weights`.
            integrated: whether singular sources are corrected by their integrals, which takes time.
                Otherwise the values of the source at the points are used. Evolutions do so, because
                their source differs at each time.
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
        # With enrichment() the source is not corrected: its functions cancel it at the points.
        if integrated and len(self.patches) == len(self.shared):
            for term in equation:
                if term.at.alike:
                    added = self.source_moments.corrections(geometry, term, limit)
                    if added is not None:
                        term.correct(added)
        interfaces, singular = [], self.singularities
        for at in geometry.at_interfaces(polynomials.degree) if self.interfaces else ():
            terms = [term for term in self.interfaces if at.piece in term.kinks]
            # Fluxes do not depend on derivatives in time, which may be further fields.
            flux = replace(about, coefficients=about.coefficients[:, :, : self.fields])
            interfaces.append(Interface(at, terms, flux))
        factors = singular.weights(geometry, witness=limit), singular.pollution(geometry)
        near = singular.distances(geometry)
        return CellSystem(about, equation, boundary, self.counted, *factors, interfaces, near)


Sides = tuple[Sequence[ResidualTerm], Sequence[ResidualTerm]]
C = TypeVar("C", bound=Singularity)


@dataclass(frozen=True, eq=False)
class ConditionsAt(ABC, Generic[C]):
    """The equation and conditions at a corner in the plane or an edge in space, for its exponents.

    At the corner solutions are like r^λ; the exponents λ follow from the linearised equation and
    conditions. The domain is like a sector 0 < θ < ω.

    Args:
        corner: the corner or the edge.
        equation: the equation.
        sides: the conditions on the side θ = 0, then the conditions on the side θ = ω.
        fields: the number of fields.
        parts: the distances from the corner, for the arguments `part` of `operators`, at which the
            equation is linearised at zero, then at a random function.

    Attributes:
        counts: the numbers of polynomials in θ, see `CornerOperators`.
    """

    counts: ClassVar[tuple[int, int]] = (24, 31)
    corner: C
    equation: ResidualTerm
    sides: Sides
    fields: int
    parts: tuple[float, float] = (1.0, 0.5)

    @property
    @abstractmethod
    def _at(self) -> Tensor:
        """The corner or a point of the edge, (1, d)."""

    @property
    @abstractmethod
    def _ends(self) -> list[Points]:
        """The corner as a point of each of its two sides, with the normal of the side."""

    @property
    @abstractmethod
    def _across(self) -> tuple[complex, ...]:
        """The derivatives by the d coordinates of w = r e^(iθ), a complex coordinate."""

    @property
    @abstractmethod
    def _near(self) -> float:
        """A small distance from the corner, within which the domain is like a sector."""

    @abstractmethod
    def _beside(self, step: float) -> list[Points]:
        """For each of the two sides a point near the corner, with the normal of the side.

        Args:
            step: the distance from the corner, relative to the length of the side.
        """

    def _jet(self, term: ResidualTerm, *, random: bool) -> Jet:
        """Zero, or random values and derivatives, of all fields at the corner, as a jet.

        Args:
            term: the term that the jet is for, which determines the derivatives.
            random: whether the values and derivatives are random.
        """
        jet = zero_jet(term.channels, self._at, self.fields)
        return _some(jet) if random else jet

    def operators(self, part: float, *, random: bool) -> CornerOperators:
        """The linearised equation and conditions at the corner.

        Args:
            part: the equation is linearised at a point inside the domain. The distance of this
                point from the corner is `part` times a small length.
            random: whether to linearise at a function with random values and derivatives,
                otherwise at zero.
        """
        angle, across = self.corner.angle, self._across
        parts = self._at.new_tensor([[one.real, one.imag] for one in across])
        middle = self._at.new_tensor([[math.cos(angle / 2), math.sin(angle / 2)]])
        inward = middle @ torch.linalg.pinv(parts)
        inside = Points(self._at + part * self._near * inward, self.equation.channels.names)

        def symbol(terms: Sequence[ResidualTerm], points: Points) -> Symbol:
            """The coefficients of derivatives by w and w̄ in several terms, linearised at a
            point.
            """
            linear = [
                Linearised.at(one.equation, points, self._jet(one, random=random)) for one in terms
            ]
            both = zip(linear, terms, strict=True)
            return joined([symbol_of(a.slopes[0], b.channels, across) for a, b in both])

        after, before = (symbol(*one) for one in zip(self.sides, self._ends, strict=True))
        equation, sides = symbol([self.equation], inside), (after, before)
        return CornerOperators(angle, equation, sides, self.counts)

    def is_kinked(self, operators: CornerOperators) -> bool:
        """Return whether the data at the corner are continuous but fit no linear function.

        Data fit a linear function if this function satisfies the equation and the conditions at the
        corner up to first order. Suppose that 1 is an exponent at the corner. If the data fit a
        linear function, the exponent belongs to linear functions, such as rotations, which are not
        singular. If the data fit no linear function, solutions are like r ln r, for example where a
        load ends at a free side. The result is also true for data that are infinite at the corner,
        or have an infinite derivative there.

        Args:
            operators: the equation and the conditions at the corner, linearised at zero.
        """
        step, near = 1e-4, 1e-3
        dim = self._at.shape[1]
        units = [tuple(int(i == axis) for i in range(dim)) for axis in range(dim)]
        columns = [
            (field, powers)
            for field, order in enumerate(operators.fields)
            for powers in ((0,) * dim, *units)
            if sum(powers) <= 1 + order
        ]

        def rows(term: ResidualTerm, points: Points) -> tuple[Tensor, Tensor]:
            """Linearise the e rows of a term about zero, and apply them to a linear function.

            Args:
                term: the equation, or a condition on a side.
                points: a single point.

            Returns:
                The matrix (e, columns) from the coefficients of the linear function, one for each
                entry of `columns`, to the left-hand sides at the point. The right-hand sides, (e,).
            """
            linear = Linearised.at(term.equation, points, self._jet(term, random=False))
            x = points.coords[0] - self._at[0]
            jets = torch.zeros(len(linear.slopes[0, 0]), self.fields, len(columns)).double()
            for number, (own, powers) in enumerate(columns):
                for part, terms in enumerate(derivatives_of_parts(term.channels)):
                    for orders, factor in terms:
                        left = [a - b for a, b in zip(powers, orders, strict=True)]
                        if min(left) >= 0:
                            jets[part, own, number] += factor * (x ** x.new_tensor(left)).prod()
            return torch.einsum("epm,pmc->ec", linear.slopes[0], jets), linear.right[0]

        inside = Points(self._at, self.equation.channels.names)
        given: list[tuple[Sequence[ResidualTerm], Points, Points | None, Symbol]] = [
            ([self.equation], inside, None, operators.equation)
        ]
        given += zip(self.sides, self._ends, self._beside(step), operators.sides, strict=True)
        values, slopes = list[tuple[Tensor, Tensor]](), list[tuple[Tensor, Tensor]]()
        for terms, at, other, symbol in given:
            if not terms:
                continue
            kinds = torch.from_numpy(operators.orders(symbol))
            matrix, right = (torch.cat(p) for p in zip(*(rows(t, at) for t in terms), strict=True))
            slopes.append((matrix[kinds == 1], right[kinds == 1]))
            if other is not None:
                own = (torch.cat(p) for p in zip(*(rows(t, other) for t in terms), strict=True))
                distance = (other.coords - self._at).norm()
                changes = [
                    (a - b)[kinds == 0] / distance
                    for a, b in zip(own, (matrix, right), strict=True)
                ]
                slopes.append((changes[0], changes[1]))
                values.append((matrix[kinds == 0], right[kinds == 0]))

        if not all(bool(part.isfinite().all()) for one in (*values, *slopes) for part in one):
            return True  # such as y ln y at y = 0

        def misfit(chosen: Sequence[tuple[Tensor, Tensor]]) -> float:
            """The least residual norm of the chosen rows over all linear functions."""
            matrix, right = (torch.cat(parts) for parts in zip(*chosen, strict=True))
            if not len(right):
                return 0.0
            found = torch.linalg.lstsq(matrix, right[:, None], driver="gelsd").solution
            return float((matrix @ found - right[:, None]).norm())

        def size(chosen: Sequence[tuple[Tensor, Tensor]]) -> float:
            """The norm of the right-hand sides of the chosen rows."""
            return float(torch.cat([right for _, right in chosen]).norm())

        if not values or misfit(values) > near * size(values):
            return False
        return misfit([*values, *slopes]) > near * size(slopes)

    @cached_property
    def _tried(self) -> list[CornerOperators]:
        """The equation and conditions, linearised at zero, then at a random function."""
        both = zip(self.parts, (False, True), strict=True)
        return [self.operators(part, random=random) for part, random in both]

    def _solved(self, top: float) -> tuple[C, bool]:
        """Compute the exponents λ < `top` of solutions r^λ; return the corner with them.

        The equation is linearised at zero and at a random function, since a coefficient may
        depend on the solution. The exponents are computed from the linearisation at zero or, if
        this is not possible, at the random function. If neither is possible, the least exponent
        of Laplace's equation is used. The exponent 1 is left out unless the data are kinked, see
        `is_kinked`.

        Args:
            top: the bound of the real parts of the exponents.

        Returns:
            The corner, and whether the equation and the conditions consist of their terms of
            highest order alone, with constant coefficients.
        """
        tried = self._tried
        known = ((one, own) for one in tried if (own := one.exponents(top)) is not None)
        operators, exponents = next(known, (None, None))
        if operators is None or exponents is None:
            kinds = {
                max((t.channels.derivative_order for t in one), default=0) for one in self.sides
            }
            angle = self.corner.angle
            least = math.pi / angle / len(kinds) if angle else math.inf
            laplace = [complex(least)] if least < top else []
            return replace(self.corner, exponents=laplace), False
        if any(abs(one - 1) < Singularity.near for one in exponents):
            linear = next(one for one in tried if one.multiplicity)
            if not self.is_kinked(linear):
                exponents = [one for one in exponents if abs(one - 1) >= Singularity.near]
        multiplicity = min(one.multiplicity for one in tried)
        found = replace(
            self.corner,
            exponents=exponents,
            multiplicity=multiplicity,
            order=operators.order,
            centre=operators.centre,
            margin=operators.margin,
        )
        return found, tried[0].is_homogeneous and tried[0].equals(tried[1])


@dataclass(frozen=True, eq=False)
class EdgeConditions(ConditionsAt[SolidEdge]):
    """The equation and the conditions at an edge of a box."""

    counts: ClassVar[tuple[int, int]] = (12, 16)  # enough for λ < 2 at right angles

    @property
    def _at(self) -> Tensor:
        return self.corner.at[None]

    @cached_property
    def _ends(self) -> list[Points]:
        names = self.equation.channels.names
        assert self.corner.normals is not None
        return [Points(self._at, names, normal[None]) for normal in self.corner.normals]

    @property
    def _across(self) -> tuple[complex, ...]:
        return self.corner.across(0.0)

    @property
    def _near(self) -> float:
        return 1e-3 * float(self.corner.segment.diff(dim=0).norm())

    def _beside(self, step: float) -> list[Points]:
        names, length = self.equation.channels.names, self.corner.segment.diff(dim=0).norm()
        ways = [self.corner.across(angle) for angle in (0.0, self.corner.angle)]
        coords = [self._at + step * length * self._at.new_tensor([a.real for a in w]) for w in ways]
        both = zip(coords, self._ends, strict=True)
        return [Points(one, names, end.normals) for one, end in both]

    def solved(self, top: float) -> SolidEdge:
        """The edge with the exponents λ < `top` of solutions that are like r^λ across the edge."""
        return self._solved(top)[0]


@dataclass(frozen=True, eq=False)
class CornerConditions(ConditionsAt[PlaneCorner]):
    """The equation and the conditions at a corner in the plane."""

    @cached_property
    def _curves(self) -> list[Curve]:
        """The two curves of the boundary that meet at the corner: after it and before it."""
        curves = self.corner.outline.domain.curves
        return [curves[self.corner.after], curves[self.corner.before]]

    @property
    def _at(self) -> Tensor:
        return torch.tensor([self.corner.at], dtype=torch.float64)

    @cached_property
    def _ends(self) -> list[Points]:
        """The corner as a point of each side, with the normal of the side."""
        ends = [torch.tensor([end], dtype=torch.float64) for end in (0.0, 1.0)]
        both = zip(self._curves, ends, strict=True)
        normals = [curve.points_at(end).normals for curve, end in both]
        return [Points(self._at, self.equation.channels.names, one) for one in normals]

    @property
    def agree(self) -> bool:
        """True if the two sides have the same conditions, with the same data at the corner."""
        near = 1e-6
        found = []
        for side in self.sides:
            rows = [one.equation(self._ends[0], self._jet(one, random=True)) for one in side]
            found.append(torch.cat(rows, dim=1) if rows else torch.zeros(1, 0).double())
        one, other = found
        if one.shape != other.shape:
            return False
        return bool(((one - other).abs() <= near * (one.abs() + other.abs())).all())

    @property
    def _across(self) -> tuple[complex, ...]:
        return self.corner.across(0.0)

    @property
    def _near(self) -> float:
        return 1e-3 * min(1.0, self.corner.reach)

    def _beside(self, step: float) -> list[Points]:
        ends = zip(self._curves, (step, 1 - step), strict=True)
        return [curve.points_at(torch.tensor([t], dtype=torch.float64)) for curve, t in ends]

    @property
    def _conformal(self) -> "CornerConditions":
        """These conditions with another complex coordinate at the corner, if the equation needs it.

        The coordinate is w + μ w̄, for which `multiplicity` is not 0. The conditions are returned
        unchanged if their `multiplicity` is not 0 with the present μ, or if no μ is found.
        """
        corner = self.corner
        if not corner.angle or self._tried[0].multiplicity:
            return self
        dilatation = self.operators(0.0, random=False).dilatation
        dilated = corner.dilated(dilatation * corner.start**2)
        # The equation is Laplace's at the corner itself, and not beside it if coefficients vary.
        found = replace(self, corner=dilated, parts=(0.0, 0.0))
        return found if found._tried[0].multiplicity else self

    def solved(self, top: float) -> PlaneCorner:
        """The corner with the exponents λ < `top` of solutions that are like r^λ at the corner."""
        found, alike = self._conformal._solved(top)
        alike = alike and all(isinstance(curve, Segment) for curve in self._curves)
        # If there are several kinds of functions, products with polynomials would be too many.
        return replace(
            found,
            multiplicity=found.multiplicity if alike or found.multiplicity == 1 else 0,
            homogeneous=alike and found.multiplicity > 1,
        )


def _some(jet: Jet) -> Jet:
    """A jet of the shape of a given jet, with random values and derivatives."""
    generator = torch.Generator().manual_seed(0)
    return jet.map(lambda part: torch.rand(part.shape, generator=generator, dtype=part.dtype))


@dataclass(frozen=True, eq=False)
class ProblemInPlane(CellProblem):
    """The equation and the conditions of a problem in a domain in the plane.

    The domain may also be a box. Without interfaces, all cells of a box are whole, but the corners
    of a box are treated like the corners of other domains.

    Attributes:
        top: the bound of the degrees of singular functions in cells at corners.
        convex: a number slightly below the exponent 2 of right angles; corners with exponents below
            `convex` are singular.
    """

    top: ClassVar[float] = 4.0
    convex: ClassVar[float] = 1.9
    # Enough points must be left in a cut cell: with many = 8 errors were 4 times as large.
    many: ClassVar[int] = 12
    tiny: ClassVar[str] = "two of its corners are closer than 2^-{most} of the domain's size"

    @cached_property
    def division(self) -> Division:
        """The regions of the domain."""
        return divided(self.domain, self.kinks)

    @cached_property
    def cutters(self) -> Sequence[CellCutter]:
        if self.is_whole:
            return ()
        regions = enumerate(zip(self.division.domains, self.division.edges, strict=True))
        return [CellCutter(Outline(one), self.domain, i, edges) for i, (one, edges) in regions]

    @cached_property
    def own_corners(self) -> list[PlaneCorner]:
        """The corners of the domain at which solutions are like r^λ with λ below a limit.

        At a right angle λ is 2; solutions are like r² ln r unless the source is zero at it. In
        polygons the limit is `top`, so that right angles are included. In domains with curved
        sides, such as small holes, the limit is `convex`. Such domains need many cells, and then
        conjugate gradients converge slowly if polynomials nearly represent the singular functions.
        With the functions of right angles a domain with 50 holes took twice the time. In boxes the
        limit is `convex` as well: small cells resolve the solution at a right angle between sides
        with conditions of one kind.
        """
        plane = planar(self.domain)
        assert plane is not None
        straight = all(isinstance(curve, Segment) for curve in plane.curves)
        top = self.top if straight and not self.is_whole else self.convex
        return [one for one in self._solved_corners if one.exponent < top]

    @cached_property
    def _solved_corners(self) -> list[PlaneCorner]:
        """The corners of `corner_conditions`, with their exponents and margins."""
        return [one.solved(self.top) for one in self.corner_conditions]

    def graded(self, geometry: CellGeometry, left: float) -> CellGeometry:
        singular = self.singularities
        for _ in range(math.ceil(math.log(left) / math.log(singular.contraction))):
            marked = singular.touched(geometry)[:, singular.strong].any(dim=1)
            if bool(marked.any()):
                geometry = self.refined(geometry, geometry.tree.everywhere(marked))
        return geometry

    @property
    def undecided_corners(self) -> list[tuple[tuple[float, float], float]]:
        found = []
        for one in self.corner_conditions:
            exponent = one.operators(1.0, random=False).undecided
            if exponent is not None:
                found.append((one.corner.at, exponent))
        return found

    @cached_property
    def corner_conditions(self) -> list[CornerConditions]:
        """The equation and conditions at each corner, and at each point where conditions change."""
        plane, found = planar(self.domain), []
        assert plane is not None
        outline, pieces = Outline(plane), pieces_of_curves(plane, self.domain)
        for curve, (after, angle) in enumerate(outline.interior_angles):
            after_terms, before_terms = (
                [term for term in self.conditions if pieces[number] in term.pieces]
                for number in (after, curve)
            )
            corner = PlaneCorner(outline=outline, before=curve, after=after, angle=angle)
            sides = after_terms, before_terms
            there = CornerConditions(corner, self.equation, sides, self.fields)
            if abs(angle - math.pi) > outline.sharp or not there.agree:
                found.append(there)
        return found

    @cached_property
    def singularities(self) -> SingularCorners:
        enriched = [tuple(one.at.tolist()) for one in self.patches]
        found = [
            (
                one.at,
                self.top if one.at in enriched else one.exponent,
                one.order,
                one.centre,
                min(one.margin, one.exponent - one.centre),
            )
            for one in self.own_corners
            if one.exponent < self.convex
        ]
        crossed = junctions(self.division, self.flux_sizes, self.conditions)
        found += [(at, exponent, 2, 0, margin) for at, exponent, margin in crossed]
        known, others = {at for at, *_ in found}, {}
        margins = {one.at: one.margin for one in self._solved_corners if math.isfinite(one.margin)}
        for outline in map(Outline, self.division.domains):
            for curve, (_, angle) in zip(
                outline.domain.curves, outline.interior_angles, strict=True
            ):
                if abs(angle - math.pi) > outline.sharp and curve.stop not in known:
                    others[curve.stop] = margins.get(curve.stop, 0.0)
        return SingularCorners.of(found, sorted(others.items()), 2)

    def corner_patches(self, roots: Sequence[int]) -> Sequence[CornerPatch]:
        found = []
        for one in [] if self.interfaces else self.own_corners:
            boxes = one.boxes(roots, self.domain.bounds)
            if boxes is not None and one.multiplicity:
                at = torch.tensor(one.at, dtype=torch.float64)
                found.append(CornerPatch(at, one.functions(self.top), boxes, self.fields))
        return found


@dataclass(frozen=True, eq=False)
class ProblemInSpace(CellProblem):
    """The equation and the conditions of a problem in a solid.

    Attributes:
        top: a number slightly above the exponent 1 of solutions like r ln r; edges with exponents
            below `top` are singular.
        degrees: the bound of the degrees of singular functions in cells at edges.
    """

    top: ClassVar[float] = 1 + 1e-3
    degrees: ClassVar[float] = 2.0
    many: ClassVar[int] = 4
    most: ClassVar[int] = 12  # where a boundary touches itself, each refinement doubles the cells
    tiny: ClassVar[str] = "smaller than 2^-{most} of the domain's size"

    @cached_property
    def division(self) -> SolidDivision:
        """The regions of the solid."""
        return SolidDivision.of(self.domain, self.kinks)

    @cached_property
    def cutters(self) -> Sequence[SolidCutter]:
        if self.is_whole:
            return ()
        parts, interfaces = self.division.parts, self.division.interfaces
        return [SolidCutter(part, number, interfaces) for number, part in enumerate(parts)]

    @cached_property
    def own_edges(self) -> list[SolidEdge]:
        """The edges of the solid at which solutions are like r^λ with λ < 1, or like r ln r.

        In boxes the exponents follow from the equation and the conditions. An edge between two
        faces with conditions on values is left out, since it has no exponent λ < 1. For other
        solids, and for equations of other orders than two, the edges are those that point inwards,
        with the least exponent of Laplace's equation.
        """
        if not self.is_whole:
            return SolidEdge.reentrant(self.domain.edges)
        found = []
        for edge in SolidEdge.at_faces(self.domain.edges, self.domain.boundary.pieces):
            sides = [[t for t in self.conditions if one in t.pieces] for one in edge.pieces]
            fluxes = any(term.channels.derivative_order for terms in sides for term in terms)
            if fluxes and all(sides):  # periodic sides have no conditions
                there = EdgeConditions(edge, self.equation, (sides[0], sides[1]), self.fields)
                edge = there.solved(self.degrees)
                known = edge.multiplicity and (edge.order, edge.centre) == (2, 0)
                if known and edge.exponent < self.top:
                    found.append(edge)
        return found

    @cached_property
    def singularities(self) -> SingularEdges:
        segments, exponents, vertices = edges_of_boxes(self.division, self.flux_sizes)
        every = self.own_edges
        apart = [any(torch.equal(one.at, patch.at) for patch in self.patches) for one in every]
        left = [one for one, has_functions in zip(every, apart, strict=True) if not has_functions]
        enriched = segments[:0]
        if every:
            angles = torch.tensor([one.angle for one in every], dtype=torch.float64)
            straight = torch.tensor([one.straight for one in every])
            edges = Edges(torch.stack([one.segment for one in every]), angles, straight)
            enriched = edges.segments[torch.tensor(apart)]
            vertices = torch.cat([edges.vertices(self.domain), vertices])
        if left:
            segments = torch.cat([torch.stack([one.segment for one in left]), segments])
            exponents = torch.cat([exponents.new_tensor([one.exponent for one in left]), exponents])
        ends = zip(*(bound.tolist() for bound in self.domain.bounds), strict=True)
        corners = torch.tensor(list(itertools.product(*ends)), dtype=torch.float64)
        others = corners if self.is_whole else corners[:0]
        return SingularEdges.of(segments, exponents, vertices, others, enriched)

    def corner_patches(self, roots: Sequence[int]) -> Sequence[CornerPatch]:
        found = []
        for one in self.own_edges if self.is_whole else ():
            if one.multiplicity:
                boxes = one.boxes(roots, self.domain.bounds)
                low, high = self.domain.bounds
                radius = float((boxes[0].diff(dim=0)[0] * (high - low) / 2).amin())
                functions = one.functions(self.degrees, radius)
                found.append(CornerPatch(one.at, functions, boxes, self.fields))
        return found


def counted_fields(residuals: Residuals, fields: int) -> Sequence[int]:
    """The indices of the fields in cells that error norms include.

    Error norms include all fields if the loss belongs to no problem, or if all the fields that the
    problem chooses for error norms are coefficient fields.

    Args:
        residuals: the terms of the loss.
        fields: the number of fields in cells.
    """
    chosen = range(fields) if residuals.family is None else residuals.family.counted
    return [one for one in chosen if one < fields] or range(fields)


def problem_in_cells(residuals: Residuals) -> CellProblem:
    """The problem in cells for the terms of a loss.

    If there are unknown parameters or coefficient fields, data are left out, and the equations
    depend on the present values of the unknowns.

    Args:
        residuals: the terms of the loss, the equation first.

    Raises:
        InputError: for a problem that cells cannot solve.
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
            if isinstance(one, ResidualTerm) and not is_number(one)
            else one
            for one in loss
        ]
    return problem_of_terms(loss, domain, counted_fields(residuals, own), own)


def problem_of_terms(
    loss: Sequence[Term], domain: Domain, counted: Sequence[int], fields: int
) -> CellProblem:
    """The problem in cells for an equation and conditions.

    Args:
        loss: the term of the equation, then the terms of the conditions.
        domain: the domain.
        counted: the indices of the fields that error norms include.
        fields: the number of fields.

    Raises:
        InputError: for an energy, for several measurements, for a condition, other than on an
            interface, that couples several points or does not hold on whole pieces of the boundary,
            or for a domain that cells cannot fill.
    """
    terms, pieces = [], set(domain.boundary.pieces)
    for term in loss:
        if not isinstance(term, ResidualTerm):
            raise InputError(f"cells: the term {term.name} is no mean of squared residuals")
        if not is_number(term):
            terms.append(term)
    equation, *others = terms
    for term in (one for one in others if not one.kinks):
        if term.measured:
            raise InputError(
                f"the term {term.name} has measurements: cells take several measurements only for "
                "problems with unknown parameters; a KAN takes them for all problems. For the "
                "constant of a field take a single measurement, or kp.Integral"
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
    elif domain.dim == 3 and still:
        kind = ProblemInSpace
    elif domain.is_box and not interfaces:
        kind = CellProblem
    else:
        raise InputError(
            f"cells are for boxes and for domains of two and three coordinates, got {domain!r}"
        )
    return kind(domain, equation, conditions, interfaces, counted, fields)


def with_shared_functions(problem: CellProblem, surrogate: Surrogate) -> CellProblem:
    """Return the problem, extended by known functions that span several cells.

    Each of these functions has one unknown coefficient for all its cells together. They are the
    singular functions of the problem's corners and the functions of `enrichment()`. The singular
    functions are also added to the network, with zero coefficients if they are new.

    Args:
        problem: the problem.
        surrogate: the surrogate whose network is solved for.

    Raises:
        InputError: for an enrichment together with unknown parameters or coefficient fields.
    """
    network = require_cells(surrogate.network)
    fields, patches, found = network.own_fields, list[CornerPatch](), None
    known = network.constants is None and network.coefficient is None
    if known:  # derivatives by unknown parameters have no singular functions
        patches += problem.corner_patches(network.tree.roots)
    elif network.enrichment is not None:
        raise InputError(
            "cells take no enrichment() where there are unknown parameters or coefficient fields"
        )
    if patches:
        corners, boxes, powers = [], [], []
        for number, one in enumerate(patches):
            place, own = in_trees(problem.domain, one.at).tolist(), one.functions
            across = [part for one in ("real", "imag") for part in map(attrgetter(one), own.across)]
            corners.append([*place, *across, *own.along, own.degree])
            boxes += [[number, *box] for box in one.boxes.flatten(1).tolist()]
            powers += [
                [number, p.exponent.real, p.exponent.imag, p.conjugate, p.logarithm]
                for p in own.powers
            ]
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
