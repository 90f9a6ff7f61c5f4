"""The least-squares problem of all cells: its terms, its solution, and each cell's share of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, ClassVar

import torch
from numpy.typing import NDArray
from torch import Tensor

from kanpinn.cells.geometry.cell_geometry import CellGeometry
from kanpinn.cells.geometry.contacts import CoupledContacts
from kanpinn.cells.polynomials import LocalPolynomials
from kanpinn.cells.system.cell_factors import CellFactors, SolvedFactors
from kanpinn.cells.system.cell_fields import CellField, CellNorms
from kanpinn.cells.system.cell_terms import SampledTerm
from kanpinn.cells.system.contact_rows import ContactRows, PlacedContact, placed
from kanpinn.cells.system.coupling import Coupling, Traces
from kanpinn.cells.system.placed_term import PlacedTerm
from kanpinn.cells.system.region_scales import region_scales
from kanpinn.cells.system.rows_of_cells import RowsOfCells
from kanpinn.cells.system.shared_functions import SharedInCells
from kanpinn.cells.system.shared_rows import SharedRows
from kanpinn.cells.system.start_traces import traces_of

AnyTerm = SampledTerm | CoupledContacts
Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class CellSolution(CellField):
    """The solution of the least-squares problem.

    shares: the part of each cell in the functional, without its weight, (N,).
    """

    shares: Tensor = field(kw_only=True)


@dataclass(frozen=True, eq=False)
class CellSystem:
    """Least squares for all cells of a tree: Σ_K ‖r‖²_K + jumps + conditions.

    The jump of a field between two cells is split into the differences of both values from a trace
    on their face, an unknown polynomial. Then the coefficients of each cell can be eliminated by
    themselves, and the traces in the order of a nested dissection (see `CellFactors`). The least
    sum of both squared differences is a multiple of the squared jump.

    Args:
        geometry: the cells.
        polynomials: the functions of each.
        equation: the equation at points of groups of cells; each cell is in one group, once.
        walls: the conditions at points of boundaries.
        counted: the numbers of the fields whose errors count.
        weights: the factor of all rows of each cell, (N,).
        pollution: the factor by which an error is larger elsewhere than in the cell of its origin,
            (N,).
        interfaces: the arcs at which cells of two regions meet.
        shared: functions that cells share.

    by_one_solve: the relative accuracy that one solve has in the root of the functional. In L2 it
        left errors of 1e-12.
    """

    by_one_solve: ClassVar[float] = 1e-15
    geometry: CellGeometry
    polynomials: LocalPolynomials
    equation: Sequence[SampledTerm]
    walls: Sequence[SampledTerm]
    counted: Sequence[int]
    weights: Tensor
    pollution: Tensor
    interfaces: Sequence[CoupledContacts]
    shared: SharedInCells

    @cached_property
    def factors(self) -> list[Tensor]:
        """For each term of the equation the factors of its equations, (e,).

        With them the largest coefficient of each is one, but for the scales of regions.
        """
        slopes = [one.slopes.abs().amax(dim=(0, 1, 3, 4)) for one in self.equation]
        largest = torch.stack(slopes).amax(dim=0)
        found = torch.where(largest > 0, 1 / largest.clamp_min(1e-300), 1.0)
        region = self.geometry.tree.region
        scales = region_scales(self.walls, self.interfaces, region)
        return [found * scales[region[one.at.cells[0]]] for one in self.equation]

    @cached_property
    def free_fields(self) -> list[int]:
        """The fields that are determined up to a constant: no term depends on their values."""
        parts = [one.slopes[..., 0, :].flatten(0, -2) for one in (*self.equation, *self.walls)]
        return (~torch.cat(parts).any(dim=0)).nonzero()[:, 0].tolist()

    @cached_property
    def coupling(self) -> Coupling:
        """The weights of jumps, by the size of the equation's terms in each cell."""
        cells = torch.cat([one.at.cells for one in self.equation])
        both = zip(self.equation, self.factors, strict=True)
        sizes = torch.cat([one.along(factors) for one, factors in both])
        widths, degree = self.geometry.widths, self.polynomials.degree
        return Coupling(sizes[cells.argsort()], widths, degree, self.weights)

    @cached_property
    def traces(self) -> Traces:
        """The unknowns on faces."""
        return Traces(self.polynomials, tuple(self.coupling.orders))

    @cached_property
    def terms(self) -> list[list[PlacedTerm]]:
        """For each cell its terms."""
        found: list[list[PlacedTerm]] = [[] for _ in self.geometry.sides]
        for term, own in zip(self.equation, self.factors, strict=True):
            for place, cell in enumerate(term.at.cells.tolist()):
                found[cell].append(PlacedTerm(term, place, own * self.weights[cell]))
        for term in self.walls:
            cells = term.at.cells
            normals = term.at.points.normals
            assert normals is not None
            normals = normals.unflatten(0, term.at.weights.shape).mean(dim=1)
            normals = normals / normals.norm(dim=1, keepdim=True)
            lengths = self.geometry.across(cells, normals)
            weights = self.coupling.weights(cells, normals, lengths)
            factors = self.coupling.of_condition(term.sizes, weights)
            for place, cell in enumerate(cells.tolist()):
                found[cell].append(PlacedTerm(term, place, factors[place]))
        return found

    @cached_property
    def contact_rows(self) -> list[ContactRows]:
        """The rows at the parts of interfaces."""
        return [ContactRows.of(one, self.coupling) for one in self.interfaces]

    @cached_property
    def contacts(self) -> list[list[PlacedContact]]:
        """For each cell the arcs at which it meets cells of other regions."""
        return placed(self.contact_rows, len(self.geometry.tree), len(self.geometry.traces))

    @cached_property
    def rows(self) -> RowsOfCells:
        """The rows of the cells."""
        return RowsOfCells(
            self.geometry,
            self.weights,
            self.coupling,
            self.traces,
            self.terms,
            self.contacts,
            self.free_fields,
            SharedRows(self.shared, self.geometry, self.traces, self.coupling),
        )

    @cached_property
    def cell_factors(self) -> CellFactors:
        """The factors of the problem."""
        return self.rows.cell_factors()

    def rights(self, values: Mapping[AnyTerm, Tensor]) -> Iterator[Array]:
        """The right-hand sides of all rows, see `RowsOfCells.rights`."""
        return self.rows.rights(self.cell_factors.groups, values)

    def _residuals(self, values: Mapping[AnyTerm, Tensor], found: SolvedFactors) -> Iterator[Array]:
        """The right-hand sides of all rows minus the rows times a solution."""
        return self.rows.residuals(self.cell_factors, self.rights(values), found)

    def solve(self, near: CellField | None = None, accuracy: float = 1e-12) -> CellSolution:
        """Solve the least-squares problem.

        Args:
            near: a function near the solution, from which an iteration starts.
            accuracy: the relative error that may be left, see `FaceSolver.solve`. If it is below
                `by_one_solve`, the solution is corrected, see `CellFactors.solve`.

        Raises:
            LinAlgError: if a residual is not finite.
        """
        return self.solve_with({}, near, accuracy)[0]

    def solve_with(
        self,
        more: Mapping[AnyTerm, Tensor],
        near: CellField | None = None,
        accuracy: float = 1e-12,
    ) -> tuple[CellSolution, Tensor]:
        """Solve the problem, and with the same matrix for K further right-hand sides.

        Args:
            more: the further ones of some terms, (c, q, equations, K); zero for all others.
            near, accuracy: see `solve`.

        Returns:
            The solution, and those for the further right-hand sides, (N, L, K m).

        Raises:
            LinAlgError: if a residual is not finite.
        """
        every: list[AnyTerm] = [*self.equation, *self.walls, *self.interfaces]
        count = next(iter(more.values())).shape[-1] if more else 0
        values = {
            one: torch.cat([one.right[..., None], _further(one, more, count)], dim=-1)
            for one in every
        }
        start = None
        if near is not None and not more and len(near.numbers) == len(self.shared):
            members = self.shared.members.any(dim=0)
            start = traces_of(self.geometry, self.traces, self.contact_rows, members, near)
        residuals = partial(self._residuals, values) if accuracy < self.by_one_solve else None
        found = self.cell_factors.solve(
            self.rights(values), residuals=residuals, start=start, accuracy=accuracy
        )
        fields, traces = len(self.coupling.orders), found.traces
        coefficients = torch.from_numpy(found.coefficients).unflatten(1, (-1, fields))
        squares = torch.from_numpy(found.shares[:, 0]) / self.weights**2
        others = coefficients[..., 1:].transpose(2, 3).flatten(2)
        sizes = self.shared.sizes
        numbers = (
            torch.from_numpy(traces[len(traces) - sum(sizes) :, 0]).split(sizes) if sizes else ()
        )
        return CellSolution(coefficients[..., 0].contiguous(), numbers, shares=squares), others

    def indicators(self, found: CellSolution) -> Tensor:
        """The error by each cell up to a common factor, (N,): by the root of its share."""
        return found.shares.sqrt() * self.coupling.errors * self.pollution

    @cached_property
    def norms(self) -> CellNorms:
        """Norms and means of functions in the cells."""
        places = [term.at for term in self.equation]
        return CellNorms(places, self.polynomials, self.counted, self.shared)

    def is_linear(self, other: CellField) -> bool:
        """Whether equation and conditions have the same linearisation about another solution."""
        terms, shared = (*self.equation, *self.walls), self.shared.sum(other.numbers)
        return all(one.is_linear(other.coefficients, shared) for one in terms)


def _further(term: AnyTerm, more: Mapping[AnyTerm, Tensor], count: int) -> Tensor:
    """The further right-hand sides of a term, (c, q, equations, count)."""
    return more[term] if term in more else term.right.new_zeros(*term.right.shape, count)
