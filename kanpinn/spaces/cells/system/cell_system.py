"""The least-squares problem of all cells, linearised: its solution for any right-hand sides,
and the inverse as a linear map.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kanpinn.loss.terms import ResidualTerm
from kanpinn.spaces.cells.geometry.cell_geometry import CellGeometry
from kanpinn.spaces.cells.geometry.interfaces import CoupledContacts
from kanpinn.spaces.cells.polynomials import LocalPolynomials
from kanpinn.spaces.cells.system.coupling import (
    ContactRows,
    Coupling,
    PlacedContact,
    Traces,
    placed,
    traces_of,
)
from kanpinn.spaces.cells.system.elimination import CellFactors, SolvedFactors
from kanpinn.spaces.cells.system.functions import CellField, CellNorms, SharedInCells
from kanpinn.spaces.cells.system.rows import RowsOfCells, SharedRows
from kanpinn.spaces.cells.system.terms import PlacedTerm, SampledTerm, region_scales

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
        values = {}
        for one in every:
            further = more.get(one, one.right.new_zeros(*one.right.shape, count))
            values[one] = torch.cat([one.right[..., None], further], dim=-1)
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


@dataclass(frozen=True, eq=False)
class CellImages:
    """The functions v with A v = M u in the least-squares sense, for n functions u.

    Args:
        coefficients: of the functions v, (N, L m, n).
        shares: the part of each cell in the functional of each, (N, n).
        sizes: the integrals of the squares of M u, with the factors of the equations, (n,).
    """

    coefficients: Tensor
    shares: Tensor
    sizes: Tensor


@dataclass(frozen=True, eq=False)
class CellInverse:
    """T = A⁻¹ M in the least-squares sense, for operators A and M and homogeneous conditions.

    With P the orthogonal projection onto the functions of the cells, for the inner product of the
    least-squares functional, T is P A⁻¹ M. If A⁻¹ M is self-adjoint in it, as for self-adjoint A
    and M = 1 with conditions that hold exactly, the relative error of an eigenvalue of T is the
    functional's least value over that of v = 0: it is quadratic in the error of the mode. Where
    conditions and continuity hold in least squares only, it is the product of this error and that
    of the adjoint problem's mode.

    Args:
        system: the least-squares problem with the equation A v = 0.
        mass: M, at the points of each of the equation's terms.

    Reference: Bramble and Osborn, Rate of convergence estimates for nonselfadjoint eigenvalue
    approximations (1973).
    """

    system: CellSystem
    mass: Sequence[SampledTerm]

    @classmethod
    def of(cls, system: CellSystem, mass: ResidualTerm) -> "CellInverse":
        """The inverse for a least-squares problem; mass: M."""
        terms = []
        for one in system.equation:
            fields = one.slopes.shape[-1]
            zero = one.slopes.new_zeros(len(system.geometry.tree), one.polynomials.size, fields)
            terms.append(SampledTerm(mass, one.at, one.polynomials, zero))
        return cls(system, terms)

    def __call__(self, coefficients: Tensor) -> CellImages:
        """The images of functions; coefficients: theirs, (N, L m, n).

        Raises:
            LinAlgError: if an entry of the problem is not finite.
        """
        factors, sizes = self.system.cell_factors, np.zeros(coefficients.shape[2])

        def rights() -> Iterator[Array]:
            for group, masses in zip(factors.groups, self._masses, strict=True):
                each = [coefficients[cell] for cell in group.cells]
                if masses[0].term.is_alike:  # the rows are those of the first cell
                    each = [torch.cat(each, dim=1)]
                known = torch.cat([m.of(u) for m, u in zip(masses, each, strict=True)], dim=1)
                known = known.unflatten(1, (len(group.cells), -1)).movedim(1, 0)
                own = np.zeros((len(known), group.shape[0], known.shape[2]))
                own[:, : known.shape[1]] = known.numpy()
                np.add(sizes, np.einsum("crn,crn->n", own, own), out=sizes)
                yield own

        found = factors.solve(rights(), again=True)
        parts = found.coefficients, found.shares, sizes
        return CellImages(*map(torch.from_numpy, parts))

    @cached_property
    def _masses(self) -> list[list[PlacedTerm]]:
        """M in each cell of each group, or in its first cell if M is the same in all of them.

        The equation's rows come first among those of a cell.
        """
        masses = dict(zip(map(id, self.system.equation), self.mass, strict=True))
        found = []
        for group in self.system.cell_factors.groups:
            equations = [self.system.rows.terms[cell][0] for cell in group.cells]
            placed = [replace(one, term=masses[id(one.term)]) for one in equations]
            found.append(placed[:1] if placed[0].term.is_alike else placed)
        return found

    @cached_property
    def _roots(self) -> list[Tensor]:
        """R for each group's cells, with ‖R c‖ the L2 norm of the function with coefficients c.

        Each is (c, L, L), or (1, L, L) for equal cells. A small multiple of the unit matrix is in R
        for functions that the points do not see.
        """
        found, tiny = [], 1e-6
        for group in self.system.cell_factors.groups:
            roots = []
            for cell in group.cells:
                one = self.system.rows.terms[cell][0]
                at = one.term.at
                values = one.term.polynomials.values(at.at(one.place))
                values = at.weights[one.place].sqrt()[:, None] * values
                least = tiny * torch.linalg.matrix_norm(values, 2) * torch.eye(values.shape[1])
                roots.append(torch.linalg.qr(torch.cat([values, least.to(values)]), mode="r")[1])
                if at.alike:
                    break
            found.append(torch.stack(roots))
        return found

    def coordinates(self, coefficients: Tensor) -> Tensor:
        """Coordinates (N L m, n) of functions, in which inner products are those of L2.

        coefficients: theirs, (N, L m, n).
        """
        return self._by_cells(coefficients, torch.matmul).flatten(0, 1)

    def coefficients(self, coordinates: Tensor) -> Tensor:
        """The coefficients (N, L m, n) of functions with coordinates (N L m, n)."""
        parts = coordinates.unflatten(0, (len(self.system.geometry.tree), -1))
        return self._by_cells(
            parts, lambda root, own: torch.linalg.solve_triangular(root, own, upper=True)
        )

    def _by_cells(self, parts: Tensor, apply: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """Apply R or its inverse to the parts of functions in all cells, (N, L m, n)."""
        found = torch.empty_like(parts)
        for group, root in zip(self.system.cell_factors.groups, self._roots, strict=True):
            own = parts[group.cells].unflatten(1, (root.shape[1], -1)).flatten(2)
            found[group.cells] = apply(root, own).reshape(parts[group.cells].shape)
        return found
