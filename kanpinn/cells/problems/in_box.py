"""A problem in a box without interfaces: its equation and conditions at points of cells."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn.cells.geometry.cell_geometry import CellGeometry, CellPoints, SidePart
from kanpinn.cells.polynomials import LocalPolynomials
from kanpinn.cells.problems.cell_problem import CellProblem, counted_fields, terms_for_cells
from kanpinn.cells.system.cell_system import CellSystem
from kanpinn.cells.system.cell_terms import SampledTerm
from kanpinn.cells.tree import Tree
from kanpinn.geometry.domain import Domain
from kanpinn.loss.residuals import Residuals
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
    def of(cls, residuals: Residuals, domain: Domain) -> "ProblemInBox":
        """The problem of a loss in a box.

        Raises:
            InputError: for what cells cannot solve: an energy, or conditions that are not on whole
                sides.
        """
        terms = terms_for_cells(residuals, domain)
        sides = [
            SideTerm(term, *piece.side)
            for term in terms.conditions
            for piece in term.pieces
            if piece.side is not None
        ]
        return cls(domain, terms.equation, sides, counted_fields(residuals))

    def cells(self, tree: Tree) -> CellGeometry:
        return CellGeometry.whole(tree, self.domain)

    def start(self, tree: Tree) -> CellGeometry:
        return self.cells(tree)

    def on(
        self, geometry: CellGeometry, polynomials: LocalPolynomials, coefficients: Tensor
    ) -> CellSystem:
        tree, more = geometry.tree, 3
        nodes, weights = polynomials.rule(more)
        at = CellPoints.inside(geometry, torch.arange(len(tree)), nodes, weights)
        equation = SampledTerm(self.equation, at, polynomials, coefficients)
        walls = []
        nodes, weights = polynomials.on_face.rule(more)
        for axis, upper, cells in tree.ends:
            side = SidePart.whole(axis, upper, tree.dim)
            at = CellPoints.on_side(geometry, cells, side, nodes, weights)
            for one in self.sides:
                if (one.axis, one.upper) == (axis, upper):
                    walls.append(SampledTerm(one.term, at, polynomials, coefficients))
        ones = torch.ones(len(tree), dtype=torch.float64)
        return CellSystem(geometry, polynomials, [equation], walls, self.counted, ones, ones)
