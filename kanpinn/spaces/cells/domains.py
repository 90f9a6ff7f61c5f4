"""Problems in cells by the kind of their domain: boxes, domains in the plane, solids."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Points
from kanpinn.geometry.combining import planar
from kanpinn.geometry.curves import Curve, Segment
from kanpinn.geometry.division import Division, DivisionEdge, SolidDivision
from kanpinn.geometry.domain import Domain
from kanpinn.geometry.planar import Planar
from kanpinn.jets import (
    Jet,
    Linearised,
    derivatives_of_parts,
    join,
    largest_of_orders,
    zero_jet,
)
from kanpinn.loss.parameters import Parameters
from kanpinn.loss.residuals import Residuals, frozen
from kanpinn.loss.terms import ResidualTerm, Term
from kanpinn.networks.layer import Layer, Tape
from kanpinn.networks.surrogate import Surrogate
from kanpinn.spaces.cells.cells import Cells, require_cells
from kanpinn.spaces.cells.geometry.cell_geometry import (
    CellGeometry,
    CellPoints,
)
from kanpinn.spaces.cells.geometry.flux_exponents import FluxSizes, edges_of_boxes, junctions
from kanpinn.spaces.cells.geometry.interfaces import Contacts, SolidSeams, contacts
from kanpinn.spaces.cells.geometry.plane import (
    CellCutter,
    CutGeometry,
    Outline,
    gauss_on_arcs,
    too_large,
)
from kanpinn.spaces.cells.geometry.regions import divided, pieces_of_curves
from kanpinn.spaces.cells.geometry.singularities import (
    PlaneCorner,
    SingularCorners,
    SingularEdges,
    singular_corners,
)
from kanpinn.spaces.cells.geometry.solid import SolidCutter, SolidGeometry, SolidWalls
from kanpinn.spaces.cells.polynomials import LocalPolynomials
from kanpinn.spaces.cells.problem import (
    CellProblem,
    TermAt,
    checked_terms,
    counted_fields,
    is_mean,
)
from kanpinn.spaces.cells.system.functions import CornerPatch
from kanpinn.spaces.cells.tree import Tree


@dataclass(frozen=True, eq=False)
class Unknowns:
    """The coefficients of the network of coefficient fields, followed by the unknown numbers.

    surrogate: its network is in cells.
    """

    surrogate: Surrogate

    @property
    def network(self) -> Cells:
        """The network in cells."""
        network = self.surrogate.network
        assert isinstance(network, Cells)
        return network

    @property
    def layers(self) -> list[Layer]:
        """The layers whose coefficients are searched for."""
        coefficient, constants = self.network.coefficient, self.network.constants
        found = [] if coefficient is None else list(coefficient.output_layers)
        return found if constants is None else [*found, constants]

    @property
    def parameters(self) -> Parameters:
        """The unknowns as a vector."""
        coefficient = self.network.coefficient
        layers = [] if coefficient is None else coefficient.output_layers
        return Parameters([layer.coefficients for layer in layers], self.network.constants)

    def beside(self, p: Points, u: Jet, tape: Tape | None = None) -> Jet:
        """The jet of the fields in cells, followed by those of coefficient fields and numbers.

        Args:
            p: n points.
            u: the jet of the fields in cells there.
            tape: records the layers whose Jacobian is wanted.
        """
        surrogate, channels, found = self.surrogate, u.channels, [u]
        if (network := self.network.coefficient) is not None:
            inputs = p.once((surrogate, channels), lambda: surrogate.coordinates(p, channels))
            c = network.jet(inputs, tape)
            kinds = surrogate.coefficients[u.value.shape[1] :]
            found += [c[i] if one is None else one.of(c[i]) for i, one in enumerate(kinds)]
        if (constants := self.network.constants) is not None:
            numbers = constants(u, tape)
            found += [numbers[i] for i in range(len(constants.unknowns))]
        return join([one for part in found for one in part.components()])


@dataclass(frozen=True, eq=False)
class WithUnknowns:
    """An equation of fields in cells with the present values of the unknowns.

    Args:
        equation: takes the jets of all fields, followed by those of the numbers.
        unknowns: the unknowns.
    """

    equation: Callable[[Points, Jet], Tensor]
    unknowns: Unknowns

    def __call__(self, p: Points, u: Jet) -> Tensor:
        with torch.no_grad():
            others = self.unknowns.beside(p, u.map(Tensor.detach)).components()
        own = u.components()
        return self.equation(p, join([*own, *others[len(own) :]]))

    def rates(self, p: Points, u: Jet) -> Tensor:
        """The derivatives of the residuals by the K unknowns, (rows, equations, K)."""
        tape = Tape(self.unknowns.layers)
        with torch.enable_grad(), frozen(self.unknowns.surrogate):
            residual = self.equation(p, self.unknowns.beside(p, u, tape))
        rows, equations = residual.shape
        if not residual.requires_grad:
            return residual.new_zeros(rows, equations, len(self.unknowns.parameters.values))
        sites = len(p) // rows
        columns: Sequence[Tensor] = [
            tape.jacobian(residual[:, e], retain=e + 1 < equations, sites=sites)
            for e in range(equations)
        ]
        return torch.stack(list(columns), dim=1)


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
    def edges(self) -> list[DivisionEdge]:
        """The curves around all regions."""
        return [edge for edges in self.division.edges for edge in edges]

    @cached_property
    def own_corners(self) -> list[PlaneCorner]:
        """The corners of the domain at which solutions are like r^λ with λ below a limit.

        In polygons it is `top`, so that right angles count. In domains with curved sides, such as
        small holes, cells are many. There conjugate gradients converge slowly with functions that
        polynomials nearly represent: with those of the right angles 50 holes took twice the time.
        In boxes, right angles with conditions of one kind are left to small cells.
        """
        plane = planar(self.domain)
        assert plane is not None
        straight = all(isinstance(curve, Segment) for curve in plane.curves)
        top = self.top if straight and not self.is_whole else self.convex
        return singular_corners(Outline(plane), self._mixed, top)

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
        terms = self.interfaces, self.conditions
        found = junctions(self.division, *terms, self.domain.bounds, self.fields)
        corners = SingularCorners.of(self.own_corners).beside(found)
        return corners.with_functions([one.at for one in self.patches], self.top)

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
        return CutGeometry.joined(parts, [len(edges) for edges in self.division.edges])

    def too_large(self, tree: Tree) -> Tensor:
        if self.is_whole:
            return super().too_large(tree)
        return tree.everywhere(too_large(tree, self.cutters)) | tree.unbalanced

    def contains(self, region: int, points: Tensor, tolerance: float) -> Tensor:
        domain = self.division.domains[region]
        return domain.contains(points, -tolerance) if tolerance else domain.encloses(points)

    def on_boundary(self, geometry: CellGeometry, polynomials: LocalPolynomials) -> list[TermAt]:
        if self.is_whole:
            return super().on_boundary(geometry, polynomials)
        assert isinstance(geometry, CutGeometry)
        count, found = polynomials.degree + self.more + 1, []
        for term in self.conditions:
            cells, points, weights = [], [], []
            for number, edge in enumerate(self.edges):
                if edge.seam < 0 and edge.piece in term.pieces:
                    first, last, at = geometry.arcs.of_curve(number)
                    on_arcs, weight = gauss_on_arcs(edge.curve, first, last, count)
                    cells.append(at)
                    points.append(on_arcs)
                    weights.append(weight)
            if cells:
                rule = torch.cat(cells), Points.cat(points), torch.cat(weights)
                found.append((term, CellPoints.of(geometry, *rule)))
        return found

    def contacts(self, geometry: CellGeometry, degree: int) -> Iterator[Contacts]:
        if self.interfaces:
            assert isinstance(geometry, CutGeometry)
            count = degree + 2 * self.more
            yield from contacts(geometry, self.edges, self.interfaces, degree, count)


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
        fluxes = FluxSizes(self.interfaces, self.domain.bounds, self.fields)
        return SingularEdges.of(self.domain.reentrant_edges).beside(
            *edges_of_boxes(self.division, fluxes)
        )

    def cells(self, tree: Tree) -> SolidGeometry:
        return SolidGeometry.joined([cutter.cut(tree) for cutter in self.cutters])

    def too_large(self, tree: Tree) -> Tensor:
        """The coordinates in which cells are too large for the boundary in them, a mask (N, d).

        A cell is too large if a smooth part of the boundary turns in it by an angle of more than
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

    def on_boundary(self, geometry: CellGeometry, polynomials: LocalPolynomials) -> list[TermAt]:
        assert isinstance(geometry, SolidGeometry)
        places = [SolidWalls(geometry, cutter, polynomials) for cutter in self.cutters]
        return [
            (term, at) for term in self.conditions for own in places for at in own.of(term.pieces)
        ]

    def contacts(self, geometry: CellGeometry, degree: int) -> Iterator[Contacts]:
        assert isinstance(geometry, SolidGeometry)
        seams = SolidSeams(geometry, self.cutters, self.division.seams)
        yield from seams.contacts(self.interfaces, degree)


def problem_in_cells(residuals: Residuals) -> CellProblem:
    """The problem of a loss, for cells.

    Raises:
        InputError: for what cells cannot solve.
    """
    domain = residuals.surrogate.domain
    assert isinstance(domain, Domain)
    surrogate, loss = residuals.surrogate, list(residuals.terms)
    network, unknowns = require_cells(surrogate.network), Unknowns(surrogate)
    own = network.own_fields
    if unknowns.layers:
        loss = [one for one in loss if not one.measured]  # `NumberSearch` takes the data
        loss = [
            replace(one, equation=WithUnknowns(one.equation, unknowns))
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
        InputError: for a domain or conditions that cells do not support.
    """
    equation, *others = checked_terms(loss, domain)
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
