"""A problem in a domain of the plane, with or without interfaces, in cut cells."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from kanpinn.cells.geometry.arc_points import gauss_on_arcs
from kanpinn.cells.geometry.cell_geometry import CellGeometry
from kanpinn.cells.geometry.cell_points import CellPoints
from kanpinn.cells.geometry.contacts import CoupledContacts
from kanpinn.cells.geometry.cut_geometry import CellCutter, CutGeometry
from kanpinn.cells.geometry.divided import divided, pieces_of_curves
from kanpinn.cells.geometry.first_cells import too_large
from kanpinn.cells.geometry.inside_points import gauss_inside
from kanpinn.cells.geometry.junctions import junctions
from kanpinn.cells.geometry.outline import Outline
from kanpinn.cells.geometry.plane_corners import PlaneCorner, singular_corners
from kanpinn.cells.geometry.seams import contacts
from kanpinn.cells.geometry.singular_corners import SingularCorners
from kanpinn.cells.polynomials import LocalPolynomials
from kanpinn.cells.problems.cell_problem import CellTerms, TermAt
from kanpinn.cells.problems.in_cut_cells import ProblemInCutCells
from kanpinn.cells.problems.terms_at_corner import is_laplacian, orders_by_field
from kanpinn.cells.system.corner_patch import CornerPatch
from kanpinn.cells.tree import Tree
from kanpinn.geometry.curves.segments import Segment
from kanpinn.geometry.domain import Domain
from kanpinn.geometry.planar.combine2d import planar
from kanpinn.geometry.planar.divide2d import Division, DivisionEdge
from kanpinn.geometry.points import Points
from kanpinn.loss.terms import ResidualTerm


@dataclass(frozen=True, eq=False)
class ProblemInPlane(ProblemInCutCells):
    """The equation and the conditions of a problem in a domain of the plane.

    A cell of which only a part is in the domain is cut: it has the equation at points of that part,
    and the conditions at points of the boundary's arcs in it. Its polynomials are those of the
    bounding box of the part, and its faces are the parts of its sides in the domain. Where an
    interface divides a box of the tree, it has a cut cell for each region; they meet at the arcs
    of the interface.

    Args:
        domain: the domain.
        division: its regions.
        equation: the equation.
        conditions: the conditions on its boundary.
        counted: the numbers of the fields whose errors count.
        interfaces: the conditions on interfaces.
        fields: the number of fields.
    """

    domain: Domain
    division: Division
    equation: ResidualTerm
    conditions: Sequence[ResidualTerm]
    counted: Sequence[int]
    interfaces: Sequence[ResidualTerm] = ()
    fields: int = 1
    top: ClassVar[float] = 4.0  # the degree below which cells at corners have singular functions
    convex: ClassVar[float] = 1.9  # an exponent below that of right angles
    more: ClassVar[int] = 3  # points of a rule along each coordinate, above the degree
    most: ClassVar[int] = 40
    tiny: ClassVar[str] = "two of its corners are closer than 2^-{most} of the domain's size"

    @classmethod
    def of(
        cls, terms: CellTerms, domain: Domain, counted: Sequence[int], fields: int
    ) -> "ProblemInPlane":
        """The problem of an equation and conditions on whole pieces of the boundary."""
        kinks = [piece for term in terms.interfaces for piece in term.kinks]
        division = divided(domain, kinks)
        conditions, interfaces = terms.conditions, terms.interfaces
        return cls(domain, division, terms.equation, conditions, counted, interfaces, fields)

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
        """
        plane = planar(self.domain)
        assert plane is not None
        straight = all(isinstance(curve, Segment) for curve in plane.curves)
        return singular_corners(Outline(plane), self._mixed, self.top if straight else self.convex)

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
        """The points at which solutions are singular."""
        found = junctions(
            self.division, self.interfaces, self.conditions, self.domain.bounds, self.fields
        )
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

    def cells(self, tree: Tree) -> CutGeometry:
        parts = [cutter.cut(tree) for cutter in self.cutters]
        return CutGeometry.joined(parts, [len(edges) for edges in self.division.edges])

    def too_large(self, tree: Tree) -> Tensor:
        return too_large(tree, self.cutters)

    def inside(self, geometry: CellGeometry, polynomials: LocalPolynomials) -> list[CellPoints]:
        assert isinstance(geometry, CutGeometry)
        # Many, so that enough are left in a cut cell. With 8 errors were 4 times as large.
        many = 12
        places: list[CellPoints] = []
        for region in range(len(self.cutters)):  # in each the coefficients may be the same
            own = geometry.tree.region == region
            whole = (own & ~geometry.is_cut).nonzero()[:, 0]
            if len(whole):
                places.append(CellPoints.inside(geometry, whole, *polynomials.rule(self.more)))
            places += self._in_cut_cells(geometry, region, polynomials.degree + many)
        return places

    def walls(self, geometry: CellGeometry, polynomials: LocalPolynomials) -> list[TermAt]:
        assert isinstance(geometry, CutGeometry)
        found = []
        for term in self.conditions:
            at = self._on_arcs(geometry, term, polynomials.degree + self.more + 1)
            if at is not None:
                found.append((term, at))
        return found

    def coupled_contacts(
        self, geometry: CellGeometry, polynomials: LocalPolynomials, coefficients: Tensor
    ) -> list[CoupledContacts]:
        assert isinstance(geometry, CutGeometry)
        count = polynomials.degree + 2 * self.more
        found = contacts(geometry, self.edges, self.interfaces, polynomials.degree, count)
        return [CoupledContacts(one, geometry, polynomials, coefficients) for one in found]

    def _in_cut_cells(self, geometry: CutGeometry, region: int, count: int) -> Iterator[CellPoints]:
        """Points of the cut cells of a region: those of a Gauss rule on the frame that are in it.

        count: the number of points along each coordinate.
        """
        cells = (geometry.is_cut & (geometry.tree.region == region)).nonzero()[:, 0]
        # On an interface rounding decides on which side a coefficient is evaluated.
        near = 1e-10 * float(geometry.half.max()) if self.interfaces else 0.0
        domain = self.division.domains[region]

        def contains(points: Tensor) -> Tensor:
            return domain.contains(points, -near) if near else domain.encloses(points)

        return gauss_inside(geometry, cells, contains, count)

    def _on_arcs(self, geometry: CutGeometry, term: ResidualTerm, count: int) -> CellPoints | None:
        """Gauss points of the arcs on which a condition holds, `count` on each."""
        arcs = geometry.arcs
        cells, points, weights = [], [], []
        for number, edge in enumerate(self.edges):
            if edge.seam >= 0 or edge.piece not in term.pieces:
                continue
            own = arcs.curve == number
            at, weight = gauss_on_arcs(edge.curve, arcs.first[own], arcs.last[own], count)
            cells.append(arcs.cell[own])
            points.append(at)
            weights.append(weight)
        if not cells:
            return None
        return CellPoints.of(geometry, torch.cat(cells), Points.cat(points), torch.cat(weights))
