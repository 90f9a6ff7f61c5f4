"""A problem in a box: its equation and conditions at points of cells."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.cells.cell_geometry import CellGeometry, CellPoints, Side
from kanpinn.cells.cell_system import CellSystem
from kanpinn.cells.cell_terms import SampledTerm
from kanpinn.cells.polynomials import LocalPolynomials
from kanpinn.cells.tree import Tree
from kanpinn.geometry import Points
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
class ProblemInBox:
    """The equation and the conditions of a problem in a box.

    Args:
        domain: the box.
        equation: the equation.
        sides: the conditions.
    """

    domain: Domain
    equation: ResidualTerm
    sides: Sequence[SideTerm]

    @classmethod
    def of(cls, residuals: Residuals) -> "ProblemInBox":
        """The problem of a loss.

        Raises:
            InputError: for what cells cannot solve: another domain, an energy, or conditions that
                are not on whole sides.
        """
        domain = residuals.surrogate.domain
        if not (isinstance(domain, Domain) and domain.is_box):
            raise InputError(f"cells are for boxes, got {domain!r}")
        terms, sides = [], []
        for term in residuals.terms:
            if not isinstance(term, ResidualTerm):
                raise InputError(f"cells: the term {term.name} is no mean of squared residuals")
            terms.append(term)
        for term in terms[1:]:
            found = _sides(term.points, domain)
            if term.sites > 1 or term.measured or not found:
                raise InputError(
                    f"the term {term.name} cannot be imposed on cells: expected conditions at "
                    "single points of whole sides of the box"
                )
            sides += [SideTerm(term, axis, upper) for axis, upper in found]
        return cls(domain, terms[0], sides)

    def on(self, tree: Tree, polynomials: LocalPolynomials, coefficients: Tensor) -> CellSystem:
        """The least-squares problem on the cells of a tree.

        Args:
            tree: the cells.
            polynomials: the functions of each.
            coefficients: the present solution, about which the terms are linearised, (N, L, m).
        """
        geometry, more = CellGeometry(tree, self.domain), 3
        nodes, weights = polynomials.rule(more)
        at = CellPoints.inside(geometry, torch.arange(len(tree)), nodes, weights)
        equation = SampledTerm(self.equation, at, polynomials, coefficients)
        walls = []
        nodes, weights = polynomials.on_face.rule(more)
        for axis, upper, cells in tree.ends:
            side = Side.whole(axis, upper, tree.dim)
            at = CellPoints.on_side(geometry, cells, side, nodes, weights)
            for one in self.sides:
                if (one.axis, one.upper) == (axis, upper):
                    walls.append(SampledTerm(one.term, at, polynomials, coefficients))
        return CellSystem(geometry, polynomials, tree.faces, [equation], walls)


def _sides(points: Points, domain: Domain) -> list[tuple[int, bool]]:
    """The sides of a box on which points lie; none if some of them lie on no side."""
    if points.normals is None:
        return []
    found, left = [], torch.ones(len(points), dtype=torch.bool)
    for axis in range(domain.dim):
        for sign in (-1, 1):
            own = (points.normals[:, axis] * sign > 0.5).cpu()
            if bool(own.any()):
                found.append((axis, sign > 0))
            left &= ~own
    return [] if bool(left.any()) else found
