"""A problem in a box without interfaces: its equation and conditions at points of cells."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from kanpinn.cells.geometry.cell_geometry import CellGeometry
from kanpinn.cells.geometry.cell_points import CellPoints
from kanpinn.cells.geometry.cell_sides import SidePart
from kanpinn.cells.polynomials import LocalPolynomials
from kanpinn.cells.problems.cell_problem import CellProblem, CellTerms, TermAt
from kanpinn.cells.tree import Tree
from kanpinn.geometry.domain import Domain
from kanpinn.loss.terms import ResidualTerm


@dataclass(frozen=True)
class SideTerm:
    """A condition on one side of a box.

    Args:
        term: the condition's residual.
        axis, upper: the coordinate that is constant there, and whether it is at its upper end.
    """

    term: ResidualTerm
    axis: int
    upper: bool


@dataclass(frozen=True, eq=False)
class ProblemInBox(CellProblem):
    """The equation and the conditions of a problem in a box.

    Args:
        domain: the box.
        equation: the equation.
        sides: the conditions.
        counted: the numbers of the fields whose errors count.
    """

    domain: Domain
    equation: ResidualTerm
    sides: Sequence[SideTerm]
    counted: Sequence[int]

    @classmethod
    def of(cls, terms: CellTerms, domain: Domain, counted: Sequence[int]) -> "ProblemInBox":
        """The problem of an equation and conditions on whole sides of a box."""
        sides = [
            SideTerm(term, *piece.side)
            for term in terms.conditions
            for piece in term.pieces
            if piece.side is not None
        ]
        return cls(domain, terms.equation, sides, counted)

    def cells(self, tree: Tree) -> CellGeometry:
        return CellGeometry.whole(tree, self.domain)

    def start(self, tree: Tree) -> CellGeometry:
        return self.cells(tree)

    more = 3  # points of a rule along each coordinate, above the degree

    def inside(self, geometry: CellGeometry, polynomials: LocalPolynomials) -> list[CellPoints]:
        cells = torch.arange(len(geometry.tree))
        return [CellPoints.inside(geometry, cells, *polynomials.rule(self.more))]

    def walls(self, geometry: CellGeometry, polynomials: LocalPolynomials) -> list[TermAt]:
        found = []
        nodes, weights = polynomials.on_face.rule(self.more)
        for axis, upper, cells in geometry.tree.ends:
            side = SidePart.whole(axis, upper, geometry.tree.dim)
            at = CellPoints.on_side(geometry, cells, side, nodes, weights)
            for one in self.sides:
                if (one.axis, one.upper) == (axis, upper):
                    found.append((one.term, at))
        return found
