"""Problems in cells: what each kind of domain has to say of them."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.cells.geometry.cell_geometry import CellGeometry
from kanpinn.cells.geometry.cell_points import CellPoints
from kanpinn.cells.geometry.contacts import CoupledContacts
from kanpinn.cells.geometry.singularities import Singularities
from kanpinn.cells.polynomials import LocalPolynomials
from kanpinn.cells.system.cell_system import CellSystem
from kanpinn.cells.system.cell_terms import SampledTerm
from kanpinn.cells.system.constants import is_mean
from kanpinn.cells.system.corner_patch import CornerPatch
from kanpinn.cells.system.shared_functions import SharedFunctions, SharedInCells
from kanpinn.cells.system.source_moments import SourceMoments
from kanpinn.cells.tree import Tree
from kanpinn.geometry.domain import Domain
from kanpinn.loss.residuals import Residuals
from kanpinn.loss.terms import ResidualTerm, Term

TermAt = tuple[ResidualTerm, CellPoints]  # a term, and the points in cells where it holds


class CellProblem(ABC):
    """The equation and the conditions of a problem, for the cells of any tree.

    domain: the domain. equation: the equation. counted: the numbers of the fields whose errors
    count. shared: functions that cells share.
    """

    domain: Domain
    equation: ResidualTerm
    counted: Sequence[int]
    shared: Sequence[SharedFunctions] = ()

    @cached_property
    def source_moments(self) -> SourceMoments:
        """The integrals of the equation's source in cells that have occurred so far."""
        return SourceMoments()

    def forget_sources(self) -> None:
        """Forget integrals of the source, which has changed with unknown numbers."""
        vars(self).pop("source_moments", None)

    def corner_patches(self, roots: Sequence[int]) -> Sequence[CornerPatch]:
        """The cells around corners with singular functions that are known.

        roots: the numbers of boxes of level 0 along each coordinate.
        """
        return []

    @property
    def patches(self) -> list[CornerPatch]:
        """The corners with functions that cells share."""
        return [one for one in self.shared if isinstance(one, CornerPatch)]

    def with_shared(self, shared: Sequence[SharedFunctions]) -> Self:
        """The same problem for solutions in which cells share functions."""
        made = copy.copy(self)
        vars(made)["shared"] = shared
        return made

    @abstractmethod
    def cells(self, tree: Tree) -> CellGeometry:
        """The leaves of a tree that contain a part of the domain."""

    @property
    def singularities(self) -> Singularities:
        """The points at which solutions are singular, and where cells become small."""
        return Singularities()

    def divisible(self, geometry: CellGeometry) -> Tensor:
        """The cells that can be halved in spite of rounding, a mask (N,)."""
        return self.singularities.divisible(geometry)

    def coordinates(self, geometry: CellGeometry, steep: Tensor) -> Tensor:
        """The coordinates in which cells are halved, if at all, a mask (N, d).

        steep: those in which the solution is steep, a mask (N, d).
        """
        return self.singularities.coordinates(geometry, steep)

    def refined(self, geometry: CellGeometry, chosen: Tensor, left: float = 1.0) -> CellGeometry:
        """The cells when some are halved, those at singular corners several times at once.

        Args:
            geometry: the present cells.
            chosen: the coordinates in which cells are halved, a mask (N, d).
            left: the part of the error that is to be left.
        """
        return self.singularities.refined(geometry, chosen, left, self.cells)

    def deeper(self, geometry: CellGeometry) -> CellGeometry:
        """Smaller cells where a higher degree does not show the error of a solution."""
        return self.singularities.deeper(geometry, self.cells)

    @abstractmethod
    def start(self, tree: Tree) -> CellGeometry:
        """The cells of a tree, after leaves that are too large for the boundary have been halved.

        Raises:
            InputError: if the boundary has details that no cell can resolve.
        """

    @abstractmethod
    def inside(self, geometry: CellGeometry, polynomials: LocalPolynomials) -> list[CellPoints]:
        """Points of a quadrature rule in groups of cells; each cell is in one group, once."""

    @abstractmethod
    def walls(self, geometry: CellGeometry, polynomials: LocalPolynomials) -> list[TermAt]:
        """The conditions, with points on the boundary; the arguments are those of `on`."""

    def coupled_contacts(
        self, geometry: CellGeometry, polynomials: LocalPolynomials, coefficients: Tensor
    ) -> list[CoupledContacts]:
        """The arcs at which cells of two regions meet; the arguments are those of `on`."""
        return []

    def on(
        self,
        geometry: CellGeometry,
        polynomials: LocalPolynomials,
        coefficients: Tensor,
        *,
        numbers: Sequence[Tensor] = (),
        limit: bool = False,
        integrated: bool = True,
    ) -> CellSystem:
        """The least-squares problem on cells.

        Args:
            geometry: the cells.
            polynomials: the functions of each.
            coefficients: the present solution, about which the terms are linearised, (N, L, m).
            numbers: the present coefficients of the shared functions, (count,) of each kind; zero
                by default.
            limit: whether integrals of singular sources are extrapolated, see `SourceMoments`.
            integrated: whether integrals of sources are computed; otherwise the source is that at
                the points, as for the moments of an evolution, which have one each.
        """
        shared = SharedInCells.of(self.shared, geometry, coefficients.shape[2])
        present = shared.sum(numbers)
        places = [(self.equation, at) for at in self.inside(geometry, polynomials)]
        places, count = places + self.walls(geometry, polynomials), len(places)
        terms = [SampledTerm(*one, polynomials, coefficients, present) for one in places]
        equation, walls = terms[:count], terms[count:]
        # A source that known functions balance is balanced at points, not in integrals.
        if integrated and len(self.patches) == len(self.shared):
            self._integrate_sources(geometry, equation, limit)
        contacts = self.coupled_contacts(geometry, polynomials, coefficients)
        singular = self.singularities
        factors = singular.weights(geometry), singular.pollution(geometry)
        of_functions = polynomials, equation, walls, self.counted
        return CellSystem(geometry, *of_functions, *factors, contacts, shared)

    def _integrate_sources(
        self, geometry: CellGeometry, terms: Sequence[SampledTerm], limit: bool
    ) -> None:
        """Take accurate integrals of the equation's source in whole cells.

        Args:
            geometry, limit: see `on`.
            terms: the equation at points of cells, whose right-hand sides change.
        """
        for term in terms:
            if term.at.alike:
                found = self.source_moments.corrections(geometry, term, limit)
                if found is not None:
                    term.right = term.right + found


def counted_fields(residuals: Residuals, fields: int) -> Sequence[int]:
    """The numbers of the fields in cells whose errors count.

    They are all if the loss belongs to no problem, or none of those that count is in cells.

    Args:
        residuals: the loss.
        fields: the number of fields in cells.
    """
    chosen = range(fields) if residuals.family is None else residuals.family.counted
    return [one for one in chosen if one < fields] or range(fields)


@dataclass(frozen=True)
class CellTerms:
    """The terms of a loss: the equation, the conditions on the boundary and those on interfaces."""

    equation: ResidualTerm
    conditions: Sequence[ResidualTerm]
    interfaces: Sequence[ResidualTerm]


def terms_for_cells(loss: Sequence[Term], domain: Domain) -> CellTerms:
    """The terms of a loss, the equation first.

    Raises:
        InputError: for what cells cannot solve: an energy, or conditions of another kind.
    """
    terms = []
    for term in loss:
        if not isinstance(term, ResidualTerm):
            raise InputError(f"cells: the term {term.name} is no mean of squared residuals")
        if not is_mean(term):
            terms.append(term)
    equation, *others = terms
    own = set(domain.boundary.pieces)
    conditions = [term for term in others if not term.kinks]
    for term in conditions:
        if term.measured:
            raise InputError(
                f"the term {term.name} has measurements: cells take them for problems with unknown "
                "numbers only"
            )
        if term.sites > 1 or not term.pieces or not own.issuperset(term.pieces):
            raise InputError(
                f"the term {term.name} cannot be imposed on cells: expected a condition at single "
                "points of whole pieces of the boundary, or on an interface"
            )
    return CellTerms(equation, conditions, [term for term in others if term.kinks])
