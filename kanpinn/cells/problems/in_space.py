"""A problem in a solid, in cut cells."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.cells.geometry.cell_geometry import CellGeometry
from kanpinn.cells.geometry.cell_points import CellPoints
from kanpinn.cells.geometry.inside_points import gauss_inside
from kanpinn.cells.geometry.singular_edges import SingularEdges
from kanpinn.cells.geometry.solid_geometry import SolidCutter, SolidGeometry
from kanpinn.cells.geometry.solid_walls import SolidWalls
from kanpinn.cells.polynomials import LocalPolynomials
from kanpinn.cells.problems.cell_problem import CellTerms, TermAt
from kanpinn.cells.problems.in_cut_cells import ProblemInCutCells
from kanpinn.cells.tree import Tree
from kanpinn.geometry.domain import Domain
from kanpinn.loss.terms import ResidualTerm


@dataclass(frozen=True, eq=False)
class ProblemInSpace(ProblemInCutCells):
    """The equation and the conditions of a problem in a solid.

    A cell of which only a part is in the solid is cut: it has the equation at points of that part,
    and the conditions at points of the boundary in it. Its polynomials are those of a box around
    the part, and its faces are the parts of its sides in the solid.

    Args:
        domain: the solid.
        equation: the equation.
        conditions: the conditions on its boundary.
        counted: the numbers of the fields whose errors count.
    """

    domain: Domain
    equation: ResidualTerm
    conditions: Sequence[ResidualTerm]
    counted: Sequence[int]
    most: ClassVar[int] = 12  # where a boundary touches itself, each halving doubles the cells
    tiny: ClassVar[str] = "smaller than 2^-{most} of the domain's size"

    @classmethod
    def of(cls, terms: CellTerms, domain: Domain, counted: Sequence[int]) -> "ProblemInSpace":
        """The problem of an equation and conditions on whole pieces of the boundary.

        Raises:
            InputError: for conditions on interfaces.
        """
        if terms.interfaces:
            raise InputError(
                f"the term {terms.interfaces[0].name} cannot be imposed on cells in space: "
                "interfaces are for domains in the plane"
            )
        return cls(domain, terms.equation, terms.conditions, counted)

    @cached_property
    def cutter(self) -> SolidCutter:
        """It cuts cells by the boundary."""
        return SolidCutter(self.domain)

    @cached_property
    def singularities(self) -> SingularEdges:
        """The edges and vertices at which solutions are singular."""
        return SingularEdges.of(self.domain.creases)

    def cells(self, tree: Tree) -> SolidGeometry:
        return self.cutter.cut(tree)

    def too_large(self, tree: Tree) -> Tensor:
        """The cells that are too large for the boundary in them, a mask (N,).

        A cell is too large if a smooth part of the boundary turns in it by an angle of more than
        about 1.2, as it does in a cell that is wider than a hole or than the radius of curvature,
        or if its part of the solid is not connected.
        """
        most = 0.6  # radians from the mean normal
        parts = self.cutter.parts(tree)
        large = [one is not None and (one.spread > most or not one.connected) for one in parts]
        return torch.tensor(large, dtype=torch.bool)

    def walls(self, geometry: CellGeometry, polynomials: LocalPolynomials) -> list[TermAt]:
        assert isinstance(geometry, SolidGeometry)
        places = SolidWalls(geometry, self.cutter, polynomials)
        return [(term, at) for term in self.conditions for at in places.of(term.pieces)]

    def inside(self, geometry: CellGeometry, polynomials: LocalPolynomials) -> list[CellPoints]:
        assert isinstance(geometry, SolidGeometry)
        found: list[CellPoints] = []
        more, many = 3, 4  # many, so that enough are left in a cut cell
        whole = (~geometry.is_cut).nonzero()[:, 0]
        if len(whole):
            found.append(CellPoints.inside(geometry, whole, *polynomials.rule(more)))
        cut, count = geometry.is_cut.nonzero()[:, 0], polynomials.degree + many
        return found + list(gauss_inside(geometry, cut, self.domain.contains, count))
