"""A problem in a solid, with or without interfaces, in cut cells."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import ClassVar

import torch
from torch import Tensor

from kanpinn.cells.geometry.box_edges import edges_of_boxes
from kanpinn.cells.geometry.cell_geometry import CellGeometry
from kanpinn.cells.geometry.cell_points import CellPoints
from kanpinn.cells.geometry.contacts import CoupledContacts
from kanpinn.cells.geometry.flux_exponents import FluxSizes
from kanpinn.cells.geometry.inside_points import gauss_inside
from kanpinn.cells.geometry.singular_edges import SingularEdges
from kanpinn.cells.geometry.solid_geometry import SolidCutter, SolidGeometry
from kanpinn.cells.geometry.solid_seams import SolidSeams
from kanpinn.cells.geometry.solid_walls import SolidWalls
from kanpinn.cells.polynomials import LocalPolynomials
from kanpinn.cells.problems.cell_problem import CellTerms, TermAt
from kanpinn.cells.problems.in_cut_cells import ProblemInCutCells
from kanpinn.cells.tree import Tree
from kanpinn.geometry.domain import Domain
from kanpinn.geometry.solid.divide3d import SolidDivision
from kanpinn.loss.terms import ResidualTerm


@dataclass(frozen=True, eq=False)
class ProblemInSpace(ProblemInCutCells):
    """The equation and the conditions of a problem in a solid.

    A cell of which only a part is in the solid is cut: it has the equation at points of that part,
    and the conditions at points of the boundary in it. Its polynomials are those of a box around
    the part, and its faces are the parts of its sides in the solid. Where an interface divides a
    box of the tree, it has a cut cell for each region; they meet at a patch of the interface.

    Args:
        domain: the solid.
        division: its regions.
        equation: the equation.
        conditions: the conditions on its boundary.
        counted: the numbers of the fields whose errors count.
        interfaces: the conditions on interfaces.
        fields: the number of fields.
    """

    domain: Domain
    division: SolidDivision
    equation: ResidualTerm
    conditions: Sequence[ResidualTerm]
    counted: Sequence[int]
    interfaces: Sequence[ResidualTerm] = ()
    fields: int = 1
    most: ClassVar[int] = 12  # where a boundary touches itself, each halving doubles the cells
    tiny: ClassVar[str] = "smaller than 2^-{most} of the domain's size"

    @classmethod
    def of(
        cls, terms: CellTerms, domain: Domain, counted: Sequence[int], fields: int
    ) -> "ProblemInSpace":
        """The problem of an equation and conditions on whole pieces of the boundary."""
        kinks = [piece for term in terms.interfaces for piece in term.kinks]
        division = SolidDivision.of(domain, kinks)
        conditions, interfaces = terms.conditions, terms.interfaces
        return cls(domain, division, terms.equation, conditions, counted, interfaces, fields)

    @cached_property
    def cutters(self) -> list[SolidCutter]:
        """They cut cells by the boundary of each region."""
        return [SolidCutter(part, number) for number, part in enumerate(self.division.parts)]

    @cached_property
    def singularities(self) -> SingularEdges:
        """The edges and vertices at which solutions are singular."""
        fluxes = FluxSizes(self.interfaces, self.domain.bounds, self.fields)
        return SingularEdges.of(self.domain.creases).beside(*edges_of_boxes(self.division, fluxes))

    def cells(self, tree: Tree) -> SolidGeometry:
        return SolidGeometry.joined([cutter.cut(tree) for cutter in self.cutters])

    def too_large(self, tree: Tree) -> Tensor:
        """The cells that are too large for the boundary in them, a mask (N,).

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
        return found

    def walls(self, geometry: CellGeometry, polynomials: LocalPolynomials) -> list[TermAt]:
        assert isinstance(geometry, SolidGeometry)
        places = [SolidWalls(geometry, cutter, polynomials) for cutter in self.cutters]
        return [
            (term, at) for term in self.conditions for own in places for at in own.of(term.pieces)
        ]

    def coupled_contacts(
        self, geometry: CellGeometry, polynomials: LocalPolynomials, coefficients: Tensor
    ) -> list[CoupledContacts]:
        assert isinstance(geometry, SolidGeometry)
        seams = SolidSeams(geometry, self.cutters, self.division.seams)
        found = seams.contacts(self.interfaces, polynomials.degree)
        return [CoupledContacts(one, geometry, polynomials, coefficients) for one in found]

    def inside(self, geometry: CellGeometry, polynomials: LocalPolynomials) -> list[CellPoints]:
        assert isinstance(geometry, SolidGeometry)
        found: list[CellPoints] = []
        more, many = 3, 4  # many, so that enough are left in a cut cell
        count = polynomials.degree + many
        # On an interface rounding decides on which side a coefficient is evaluated.
        near = 1e-10 * float(geometry.half.max()) if self.interfaces else 0.0
        for region, part in enumerate(self.division.parts):  # in each coefficients may be the same
            own = geometry.tree.region == region
            whole = (own & ~geometry.is_cut).nonzero()[:, 0]
            if len(whole):
                found.append(CellPoints.inside(geometry, whole, *polynomials.rule(more)))
            cut = (own & geometry.is_cut).nonzero()[:, 0]
            found += gauss_inside(geometry, cut, partial(part.contains, tolerance=-near), count)
        return found
