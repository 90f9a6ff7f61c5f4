"""The linearised least-squares problem of all cells: its rows, and its solution.

Fields are polynomials in each cell of a tree. On each face between two cells there is a trace, an
unknown polynomial from which the fields of both cells differ little. A row is one equation of the
least-squares problem.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from scipy.linalg import solve_triangular
from torch import Tensor

from kanpinn._support.distributed import summed, together
from kanpinn.jets import Channels
from kanpinn.linalg.elimination_tree import EliminationTree
from kanpinn.linalg.nested_dissection import BlockRows, columns_of_blocks
from kanpinn.linalg.reflections import Array, Reflections
from kanpinn.spaces.cells.geometry.cell_geometry import (
    CellGeometry,
    CellPoints,
    CellSide,
    SidePart,
    SideTrace,
)
from kanpinn.spaces.cells.polynomials import LocalPolynomials
from kanpinn.spaces.cells.system.coupling import Coupling, InterfaceRows, InterfaceSide, Traces
from kanpinn.spaces.cells.system.elimination import (
    CellElimination,
    FaceSolver,
    Reduced,
    elimination_order,
    squares,
)
from kanpinn.spaces.cells.system.functions import CellFunctions, CellNorms
from kanpinn.spaces.cells.system.interfaces import Interface
from kanpinn.spaces.cells.system.terms import PlacedTerm, SampledTerm, region_scales

AnyTerm = SampledTerm | Interface
Size = tuple[tuple[int, ...], float, float]


@dataclass(frozen=True, eq=False)
class CellGroup:
    """A group of c cells whose least-squares rows have equal matrices, or a single cell.

    A row is one equation of the least-squares problem. A block of unknowns is a trace, the unknown
    polynomial on a face or at an interface, or the coefficients of one kind of functions that
    several cells share, such as the singular functions of a corner. A cell has t unknowns of traces
    and q coefficients of shared functions. It has r rows of the equation and conditions, and t rows
    at its faces.

    Args:
        cells: the indices of the cells.
        blocks: the indices of each cell's blocks of unknowns, (c, f).
        places: the indices of the unknowns of these blocks among all unknowns, (c, t + q).
        rows: the number r + t of rows of a cell.
        model: the index of the cell whose elimination serves for all cells of the group.
        factor: the ratio of the cells' matrix to the model's matrix.
    """

    cells: Sequence[int]
    blocks: Array
    places: Array
    rows: int
    model: int
    factor: float


@dataclass(frozen=True, eq=False)
class CellSolutions:
    """The solutions of a least-squares problem in N cells, for n right-hand sides.

    Each solution is a polynomial in each cell, plus known functions that several cells share, such
    as singular functions at a corner, times coefficients (see `CellFunctions`).

    Args:
        functions: the polynomials, with coefficients (N, L, m, n) for L polynomials and m fields.
            The coefficients of the shared functions are not in it, but at the end of `traces`.
        traces: all other unknowns, (unknowns, n): first the traces, which are the unknown
            polynomials on faces and interfaces, then the coefficients of the shared functions.
        shares: the contribution of each cell to the least-squares functional, (N, n).
    """

    functions: CellFunctions
    traces: Tensor
    shares: Tensor

    @property
    def coefficients(self) -> Tensor:
        """The coefficients of the polynomials, (N, L, m, n)."""
        return self.functions.coefficients

    @property
    def first(self) -> CellFunctions:
        """The solution for the first right-hand side, shared functions included."""
        return self.one(0)

    def one(self, index: int) -> CellFunctions:
        """Return the solution for the right-hand side `index`, shared functions included."""
        sizes = [one.count for one in self.functions.shared]
        last = self.traces[len(self.traces) - sum(sizes) :, index]
        numbers = last.split(sizes) if sizes else ()
        coefficients = self.coefficients[..., index].contiguous()
        return replace(self.functions, coefficients=coefficients, numbers=numbers)

    def corrected(self, change: "CellSolutions") -> "CellSolutions":
        """The sums of the solutions and of corrections, from iterative refinement.

        Args:
            change: the corrections, with the contributions of cells to the least-squares functional
                after the correction.
        """
        functions = replace(self.functions, coefficients=self.coefficients + change.coefficients)
        return replace(change, functions=functions, traces=self.traces + change.traces)


@dataclass(frozen=True, eq=False)
class CellSystem:
    """Linearised least squares in cells K: minimise Σ_K ‖residual‖²_K + jumps + conditions.

    A row is one equation of the least-squares problem. The jump of a field between two cells is
    split into two differences: the value of each cell minus a trace, an unknown polynomial on the
    common face. Then the coefficients of each cell can be eliminated one cell at a time, and the
    traces afterwards (see `FaceSolver`). The least sum of the two squared differences is a multiple
    of the squared jump. Cells whose rows are equal up to a factor form groups, and are eliminated
    once. If there are several ranks (processes), each rank has the cells of its own subtrees.

    Args:
        about: the function in cells at which all equations and conditions are linearised.
        equation: the equation at points of groups of cells; each cell is in exactly one group.
        boundary: the conditions at points of boundaries.
        counted: the indices of the fields that norms include.
        weights: the factor of all rows of each cell, (N,).
        pollution: for each cell the ratio of the error that it causes everywhere to its own error,
            (N,).
        interfaces: the arcs or patches at which cells of two regions meet.
        distances: the distance of each cell from the nearest strongly singular corner, (N,), at
            most 1.

    Attributes:
        by_one_solve: the relative accuracy that one solve has in the root of the functional. One
            solve left errors of 1e-12 in L2.
    """

    by_one_solve: ClassVar[float] = 1e-15
    about: CellFunctions
    equation: Sequence[SampledTerm]
    boundary: Sequence[SampledTerm]
    counted: Sequence[int]
    weights: Tensor
    pollution: Tensor
    interfaces: Sequence[Interface]
    distances: Tensor
    # The eliminations of the groups' model cells, and the matrices R, S and T of the eliminations.
    _eliminations: dict[int, CellElimination] = field(default_factory=dict, init=False, repr=False)
    _triangles: dict[int, tuple[Array, Array, Array]] = field(
        default_factory=dict, init=False, repr=False
    )
    # The transformations of the equation's rows to triangles, which cells of one size share.
    _same_triangles: dict[tuple[SampledTerm, Size], Reflections] = field(
        default_factory=dict, init=False, repr=False
    )

    @property
    def geometry(self) -> CellGeometry:
        """The cells."""
        return self.about.geometry

    @property
    def polynomials(self) -> LocalPolynomials:
        """The polynomials of each cell."""
        return self.about.polynomials

    @cached_property
    def factors(self) -> list[Tensor]:
        """For each term in `equation` the factors by which its e equations are multiplied, (e,).

        The factors scale the largest coefficient of each equation to 1; then they are multiplied by
        the scale of the region, see `region_scales`.
        """
        slopes = [one.slopes.abs().amax(dim=(0, 1, 3, 4)) for one in self.equation]
        largest = torch.stack(slopes).amax(dim=0)
        found = torch.where(largest > 0, 1 / largest.clamp_min(1e-300), 1.0)
        region = self.geometry.tree.region
        scales = region_scales(self.boundary, self.interfaces, region)
        return [found * scales[region[one.at.cells[0]]] for one in self.equation]

    @cached_property
    def free_fields(self) -> list[int]:
        """The indices of fields determined only up to a constant: no term contains their values."""
        parts = [one.slopes[..., 0, :].flatten(0, -2) for one in (*self.equation, *self.boundary)]
        return (~torch.cat(parts).any(dim=0)).nonzero()[:, 0].tolist()

    @property
    def is_plain(self) -> bool:
        """True if all cells have the weight 1, and the source has no corrections by its integrals.

        Then the weights and the source of a solve that serves to estimate the error are those of
        any other solve, see the argument `limit` of `CellProblem.linearised`.
        """
        return bool((self.weights == 1).all()) and not any(t.is_corrected for t in self.equation)

    @cached_property
    def coupling(self) -> Coupling:
        """The weights of jumps between cells, from the sizes of the equation's coefficients."""
        cells = torch.cat([one.at.cells for one in self.equation])
        both = zip(self.equation, self.factors, strict=True)
        sizes = torch.cat([one.along(factors) for one, factors in both])
        widths, degree = self.geometry.widths, self.polynomials.degree
        return Coupling(sizes[cells.argsort()], widths, degree, self.weights)

    @cached_property
    def traces(self) -> Traces:
        """How the traces, the unknown polynomials on faces, are numbered and entered into rows."""
        return Traces(self.polynomials, tuple(self.coupling.orders))

    @cached_property
    def norms(self) -> CellNorms:
        """Norms and means of functions in the cells."""
        return CellNorms([term.at for term in self.equation], self.counted, self.polynomials)

    def norm(self, coefficients: Tensor) -> float:
        """The L2 norm of the counted fields of polynomials with coefficients (N, L, m)."""
        return self.norms.total(self.about.of(coefficients))

    def indicators(self, shares: Tensor) -> Tensor:
        """Estimates of the error that each cell causes, up to a common factor, (N,).

        An estimate is √share / weight, which is the size of the cell's residual, times the error
        for a residual of the size 1 (`Coupling.errors`), times the cell's `pollution`.

        Args:
            shares: the contribution of each cell to the least-squares functional, (N,).
        """
        return shares.sqrt() / self.weights * self.coupling.errors * self.pollution

    def is_linear(self, other: CellFunctions) -> bool:
        """Return whether the equation and conditions have equal linearisations at two functions.

        Args:
            other: the function that is compared with `about`.
        """
        return all(one.is_linear(other) for one in (*self.equation, *self.boundary))

    def misfit(self, function: CellFunctions) -> float:
        """The weighted sum of squares of the equation and conditions, not linearised.

        It is the part of the least-squares functional that need not be quadratic; jumps between
        cells are left out. It is NaN or infinite where an equation is not finite.

        Args:
            function: a function on the same cells.
        """
        both = *self.equation, *self.boundary
        values: dict[AnyTerm, Tensor] = {one: one.residuals(function)[..., None] for one in both}
        rows = (torch.from_numpy(self._of_group(group, values)) for group in self.groups)
        own = sum(float(one.square().sum()) for one in rows)
        return float(summed([torch.tensor(own, dtype=torch.float64)])[0])

    @property
    def right_hand_sides(self) -> dict[AnyTerm, Tensor]:
        """The problem's own right-hand sides at the points of each term, (c, q, equations, 1)."""
        every: list[AnyTerm] = [*self.equation, *self.boundary, *self.interfaces]
        return {one: one.right[..., None] for one in every}

    def solve(
        self,
        right_hand_sides: Mapping[AnyTerm, Tensor] | None = None,
        *,
        near: CellFunctions | None = None,
        accuracy: float = 1e-12,
        again: bool = False,
    ) -> CellSolutions:
        """Solve the least-squares problem for n right-hand sides.

        With several ranks (processes) all ranks get equal solutions. If `accuracy` is below
        `by_one_solve`, the solutions are corrected once with the computed factors (iterative
        refinement). For waves one correction reduced the relative error from rounding from 2e-12 to
        1e-14, since the rows of the equation and of jumps differ in size by many powers of ten.

        Args:
            right_hand_sides: the right-hand sides at the points of each term, (c, q, equations, n);
                zero for missing terms. By default the problem's own right-hand sides, with n = 1.
            near: for n = 1 a function near the solution, from which conjugate gradients start.
            accuracy: the relative error in the root of the functional at which conjugate gradients
                end. An elimination does not depend on it.
            again: whether all factors are kept for further right-hand sides, in twice the memory.

        Raises:
            LinAlgError: if an entry is not finite.

        Reference: Björck, Numerical methods for least squares problems (1996), section 2.9.
        """
        values = self.right_hand_sides if right_hand_sides is None else right_hand_sides
        corrects, enough, start = accuracy < self.by_one_solve, 1e-3, None
        if near is not None and len(near.numbers) == len(self.about.shared):
            start = self.traces_of(near)
        with together():
            reduced = self._reduced(lambda group: self._of_group(group, values), again or corrects)
            faces = self._face_solver if again else self._solver(2 if corrects else 1)
        found = self._solved(reduced, faces, start, accuracy)
        if not corrects:
            return found

        def residual(group: CellGroup) -> Array:
            """The residuals of a group's rows at the solution `found`, (c, rows, n)."""
            own = self._of_group(group, values)
            cells, rows, each = own.shape
            inner = found.coefficients[group.cells].flatten(1, 2).numpy()
            known = inner, found.traces.numpy()[group.places]
            flat = [np.moveaxis(one, 1, 0).reshape(-1, cells * each) for one in known]
            times = self._times(group.cells[0], *flat).reshape(rows, cells, each)
            return own - np.moveaxis(times, 1, 0)

        with together():
            reduced = self._reduced(residual, again)
        return found.corrected(self._solved(reduced, faces, None, enough))

    def _reduced(self, of_group: Callable[[CellGroup], Array], kept: bool) -> list[Reduced]:
        """Eliminate the coefficients of all cells; return each group's remaining right-hand sides.

        Args:
            of_group: gives the right-hand sides of the rows of a group's cells, (c, rows, n).
            kept: whether the Householder reflections are needed again. Otherwise only the matrices
                R, S and T of `CellElimination` are kept.
        """
        # The group that follows each group; a rank may have no groups at all.
        found, following = [], [*self.groups[1:], None][: len(self.groups)]
        for group, after in zip(self.groups, following, strict=True):
            model = group.model
            if model not in self._eliminations:
                made = self._eliminations[model] = CellElimination.of(*self._rows(model))
                self._triangles[model] = made.triangle, made.rest, made.traces
            found.append(self._eliminations[model].reduced(of_group(group)))
            if not kept and (after is None or after.model != model):
                del self._eliminations[model]
        return found

    @cached_property
    def _face_solver(self) -> FaceSolver:
        """The solver for the traces (unknown polynomials on faces) that keeps its factors."""
        return self._solver(100)

    def _solver(self, times: int) -> FaceSolver:
        """A solver for the traces (unknown polynomials on faces), for the cells of this process.

        Its rows T y are left of each cell after the elimination of the cell's coefficients, see
        `CellElimination`.

        Args:
            times: the expected number of solves with the same factors.
        """
        fronts = {
            cell: BlockRows(blocks, self._triangles[group.model][2], group.factor)
            for group in self.groups
            for cell, blocks in zip(group.cells, group.blocks, strict=True)
        }
        return FaceSolver(self._plan[1], self._coarse, fronts, times=times)

    def _solved(
        self, reduced: Sequence[Reduced], faces: FaceSolver, start: Array | None, accuracy: float
    ) -> CellSolutions:
        """Solve for the traces, then for the coefficients of each cell.

        Args:
            reduced: the right-hand sides after the elimination of the cells, for each group.
            faces: the solver for the traces.
            start: traces near the solution, from which conjugate gradients start; None for zero.
            accuracy: the relative error in the root of the functional at which conjugate gradients
                end.
        """
        below: dict[int, Array] = {}
        for group, left in zip(self.groups, reduced, strict=True):
            below |= zip(group.cells, left.traces, strict=True)
        traces = faces.solve(below, start, accuracy)
        cells, each = len(self.geometry.tree), traces.shape[1]
        coefficients = np.zeros((cells, self._columns, each), traces.dtype)
        shares = np.zeros((cells, each))
        for group, left in zip(self.groups, reduced, strict=True):
            triangle, rest, others = self._triangles[group.model]
            known = traces[group.places]
            count, columns, _ = left.own.shape
            flat = np.moveaxis(left.own / group.factor - rest @ known, 1, 0)
            found = solve_triangular(triangle, flat.reshape(columns, count * each))
            coefficients[group.cells] = np.moveaxis(found.reshape(columns, count, each), 1, 0)
            missed = squares(group.factor * (others @ known) - left.traces).sum(axis=1)
            shares[group.cells] = left.lost + missed
        both = summed([torch.from_numpy(coefficients), torch.from_numpy(shares)])
        by_field = both[0].unflatten(1, (self.polynomials.size, -1))
        functions = replace(self.about, coefficients=by_field, numbers=())
        return CellSolutions(functions, torch.from_numpy(traces), both[1])

    def _of_group(self, group: CellGroup, values: Mapping[AnyTerm, Tensor]) -> Array:
        """The right-hand sides of all least-squares rows of a group's cells, (c, rows, n).

        Args:
            group: the group of c cells.
            values: the right-hand sides at the points of terms and interfaces,
                (c, q, equations, n) each; zero for missing terms.
        """
        some = next(iter(values.values()))
        first, start = group.cells[0], 0
        found = np.zeros((len(group.cells), group.rows, some.shape[-1]), some.numpy().dtype)
        for number, one in enumerate(self.terms[first]):
            rows = slice(start, start := start + one.row_count)
            if one.term in values:
                places = [self.terms[cell][number].place for cell in group.cells]
                found[:, rows] = one.weighed(values[one.term][places]).numpy()
        start = found.shape[1] - sum(one.rows.size for one in self.interface_sides[first])
        for side in self.interface_sides[first]:  # a cell at an interface is its own group
            rows = slice(start, start := start + side.rows.size)
            if side.rows.interface in values:
                known = values[side.rows.interface][side.place]
                found[0, rows] = side.rows.right_hand_sides(side.side, side.place, known)
        return found

    @cached_property
    def terms(self) -> list[list[PlacedTerm]]:
        """For each cell the equation, then the conditions that hold in it, with their factors."""
        found: list[list[PlacedTerm]] = [[] for _ in self.geometry.sides]
        for term, factors in zip(self.equation, self.equation_factors, strict=True):
            for place, cell in enumerate(term.at.cells.tolist()):
                found[cell].append(PlacedTerm(term, place, factors[place]))
        for term, factors in zip(self.boundary, self.boundary_factors, strict=True):
            for place, cell in enumerate(term.at.cells.tolist()):
                found[cell].append(PlacedTerm(term, place, factors[place]))
        return found

    @cached_property
    def equation_factors(self) -> list[Tensor]:
        """For each term in `equation` the factors of its e equations in each cell, (c, e).

        They are the `factors` times the weight of the cell. There may be more equations than
        fields, such as -ΔE = f and div E = 0. Let o be the highest order of the equations. Then an
        equation of a lower order s also gets the factor d^(s - o) at the distance d from a corner.
        It replaces conditions at the boundary, and without this factor its influence would fall as
        cells become smaller.
        """
        found = []
        for term, own in zip(self.equation, self.factors, strict=True):
            cells, (_, _, equations, _, fields) = term.at.cells, term.slopes.shape
            factors = own * self.weights[cells, None]
            if equations > fields:
                seen = (term.sizes > 0).any(dim=3).any(dim=0)  # (e, orders)
                order = (seen * torch.arange(seen.shape[1])).amax(dim=1)
                factors = factors * self.distances[cells, None] ** (order - order.max())
            found.append(factors)
        return found

    @cached_property
    def boundary_factors(self) -> list[Tensor]:
        """For each condition in `boundary` the weights of its e equations in c cells, (c, e)."""
        found = []
        for term in self.boundary:
            cells, normals = term.at.cells, term.at.points.normals
            assert normals is not None
            normals = normals.unflatten(0, term.at.weights.shape).mean(dim=1)
            normals = normals / normals.norm(dim=1, keepdim=True)
            weights = self.coupling.weights(cells, normals, self.geometry.across(cells, normals))
            found.append(self.coupling.of_condition(term.sizes, weights))
        return found

    @cached_property
    def interface_rows(self) -> list[InterfaceRows]:
        """The rows (least-squares equations) at the arcs or patches of interfaces."""
        return [InterfaceRows(one, self.coupling) for one in self.interfaces]

    @cached_property
    def interface_sides(self) -> list[list[InterfaceSide]]:
        """For each cell the arcs or patches at which it meets cells of other regions."""
        found: list[list[InterfaceSide]] = [[] for _ in self.geometry.sides]
        trace = len(self.geometry.traces)
        for rows in self.interface_rows:
            for side, at in enumerate(rows.interface.at.sides):
                for place, cell in enumerate(at.cells.tolist()):
                    found[cell].append(InterfaceSide(rows, side, place, trace + place))
            trace += rows.parts
        for own in found:
            own.sort(key=lambda one: (one.trace, one.side))
        return found

    @cached_property
    def _shared_blocks(self) -> list[list[int]]:
        """For each cell the indices of the kinds of shared functions that it has.

        Shared functions are known functions of several cells, such as singular functions.
        """
        found: list[list[int]] = [[] for _ in self.geometry.sides]
        for block, cell in self.about.members.nonzero().tolist():
            found[cell].append(block)
        return found

    @property
    def _columns(self) -> int:
        """The number of coefficients of a cell, L m."""
        return self.polynomials.size * len(self.coupling.orders)

    def _size(self, cell: int) -> Size:
        """The halvings of a cell in each coordinate, its weight, and its distance from a corner.

        If a term has equal coefficients in all cells, its rows in a cell depend only on these
        numbers.
        """
        levels = tuple(self.geometry.tree.level[cell].tolist())
        return levels, float(self.weights[cell]), float(self.distances[cell])

    @cached_property
    def _face_weights(self) -> Tensor:
        """The square roots of the weights of jumps on each of F faces, (F, j, m).

        j counts the orders of normal derivatives. Both cells get the larger of their two weights.
        Otherwise, where the equation's coefficients vanish in one of two cells, such as at a front
        of the porous medium equation, the function in this cell could differ freely from the trace
        on the face, and the solution would jump.
        """
        faces, geometry = self.geometry.faces, self.geometry
        normals = torch.eye(self.polynomials.dim, dtype=geometry.half.dtype)[faces.axis]
        both = (faces.lower, faces.upper)
        each = [self.coupling.weights(one, normals, geometry.lengths) for one in both]
        return torch.maximum(*each)

    def _weights_at(self, at: SideTrace) -> Tensor:
        """The square roots of the weights of a cell's differences from a trace, (j, m).

        A trace is the unknown polynomial on a face; j counts the orders of normal derivatives. The
        weights of the face are multiplied by the area of the part of the side.

        Args:
            at: the part of the cell's side, with its trace.
        """
        return self._face_weights[at.face] * at.area**0.5

    def _rows(self, cell: int) -> tuple[Any, ...]:
        """The matrices of a cell's least-squares rows, as the arguments of `CellElimination.of`.

        Returns:
            Five results: the transformation of the equation's rows to a triangle; the other rows of
            the coefficients; the matrices B and D; the columns of shared functions, None if the
            cell has none.
        """
        equation, *conditions = self.terms[cell]
        rows = [*(one.rows() for one in conditions), self._without_right(cell)]
        shared = self._of_shared(cell) if self._shared_blocks[cell] else None
        return self._triangle(cell, equation), _joined(rows), *self._at_sides(cell), shared

    def _times(self, cell: int, inner: Array, outer: Array) -> Array:
        """The matrix of a cell's least-squares rows times the cell's unknowns, (r + t, n).

        Args:
            cell: the index of the cell.
            inner: the coefficients of the polynomials, (L m, n).
            outer: the traces (unknown polynomials on faces), then the coefficients of functions
                that cells share, (t + q, n).
        """
        coefficients = torch.from_numpy(inner)
        parts = [one.of(coefficients).numpy() for one in self.terms[cell]]
        on_sides, traces = self._at_sides(cell)
        count = len(traces)
        parts.append(self._without_right(cell).numpy() @ inner)
        parts.append(on_sides @ inner - traces @ outer[:count])
        found = np.concatenate(parts)
        return found + self._of_shared(cell) @ outer[count:] if len(outer) > count else found

    def _without_right(self, cell: int) -> Tensor:
        """The matrix of rows that are added to a cell to make the solution unique, (rows, L m).

        The right-hand sides of these rows are zero. Cell 0 begins with a row for each of
        `free_fields`, fields that are determined up to a constant: the row sets the constant to 0.
        The rows of `_bounds` follow. They concern coefficients of shared functions alone, so that
        they are zero in this matrix, whose columns are the cell's polynomials.
        """
        equation = self.terms[cell][0]
        count = len(self.free_fields) if cell == 0 else 0
        found = equation.factors.new_zeros(count + len(self._bounds(cell)), self._columns)
        if count:  # a row for each field that is determined only up to a constant
            size = float(np.abs(self._triangle(cell, equation).triangle).max())
            found[range(count), self.free_fields] = size
        return found

    def _at_sides(self, cell: int) -> tuple[Array, Array]:
        """The matrices B and D of a cell's rows B c + O s - D y = b at its faces and interfaces.

        B (t, L m) is for the coefficients c, and D (t, t) is for the traces y, the unknown
        polynomials on faces, as in `CellElimination`.
        """
        outer, blocks = [np.zeros((0, self._columns))], []
        scales = self.geometry.scale[cell].tolist()
        for at in self.geometry.sides[cell]:
            own, matrix = self.traces.rows(at, scales[at.side.axis], self._weights_at(at))
            outer.append(own)
            blocks.append(matrix)
        for side in self.interface_sides[cell]:
            own, diagonal = side.rows.rows(side.side, side.place)
            outer.append(own)
            blocks.append(np.diag(diagonal))
        size, start = sum(map(len, blocks)), 0
        traces = np.zeros((size, size), np.result_type(float, *blocks))
        for block in blocks:
            rows = slice(start, start := start + len(block))
            traces[rows, rows] = block
        return np.concatenate([one.T for one in outer], axis=1).T, traces

    def _of_shared(self, cell: int) -> Array:
        """The columns of a cell's q shared (singular) functions in the cell's rows, (r + t, q)."""
        kinds, parts = [self.about.shared[block] for block in self._shared_blocks[cell]], []
        for one in self.terms[cell]:
            term, points = one.term, one.term.at.some(torch.tensor([one.place])).points[one.used]
            jets = torch.cat([kind.stacked(points, term.term.channels) for kind in kinds], dim=2)
            own = one.slopes[:, :, term.parts], jets[:, term.parts]
            parts.append(torch.einsum("qepm,qpk->kmqe", *own).flatten(2).flatten(0, 1).T)
        if cell == 0:  # the rows for free constants contain no shared functions
            parts.append(parts[0].new_zeros(len(self.free_fields), parts[0].shape[1]))
        parts.append(self._bounds(cell))
        parts += [self._shared_at_side(cell, at) for at in self.geometry.sides[cell]]
        return _joined(parts)

    def _bounds(self, cell: int) -> Tensor:
        """Rows (r, q) that keep the coefficients of shared functions small.

        For each kind of shared functions only the first cell with these functions has such rows.
        The polynomials of cells nearly represent some shared functions, and the coefficients of
        these functions are determined by these rows alone. The rows are the unit matrix times a
        factor: `least` times the weight of a jump of the size 1 in the largest cells. With a
        smaller factor the coefficients grow, and rounding errors with them. A larger factor changes
        the solution, and so does a factor that grows while cells are halved. For a solution that is
        sensitive to its data, the weight of the smallest cells times 1e-9 as the factor gave an
        error of 2e-5, growing with each halving. The present factor gave an error of 6e-9.
        """
        least, blocks = 1e-10, self._shared_blocks[cell]
        sizes = [self.about.shared[block].count for block in blocks]
        unit = torch.eye(sum(sizes), dtype=torch.float64)
        found = [unit[:0]]
        for block, rows in zip(blocks, unit.split(sizes), strict=True):
            cells, jumps = self.about.members[block].nonzero()[:, 0], []
            if int(cells[0]) == cell:
                widths = self.geometry.widths[cells]
                for across, normal in zip(
                    widths.T, torch.eye(widths.shape[1]).double(), strict=True
                ):
                    normals = normal.expand(len(cells), -1)
                    weights = self.coupling.weights(cells, normals, across)[:, 0]
                    areas = widths.prod(dim=1) / across
                    jumps.append((weights * areas.sqrt()[:, None]).amax(dim=1))
                found.append(least * float(torch.stack(jumps).amax(dim=0).min()) * rows)
        return torch.cat(found)

    @cached_property
    def _crossing(self) -> Tensor:
        """A mask (kinds, traces): faces at which just one of the two cells has shared functions.

        Shared functions are known functions of several cells, such as singular functions. Where the
        mask is true, the trace (the unknown polynomial on the face) is that of the whole solution.
        Elsewhere it is the trace of the polynomials alone, since the shared functions are smooth
        across faces.
        """
        faces, own, members = self.geometry.faces, self.geometry.traces, self.about.members
        found = torch.zeros(len(members), len(own), dtype=torch.bool)
        for block, differ in enumerate(members[:, faces.lower] != members[:, faces.upper]):
            found[block, own.number[differ]] = True
        return found

    def _shared_at_side(self, cell: int, at: SideTrace) -> Tensor:
        """The columns of a cell's q shared functions in the rows at part of its side, (rows, q).

        The rows demand that the solution is smooth across the side. A shared function (a singular
        function of several cells) is smooth across the side if the cells on both sides have it.
        Then its column is zero.

        Args:
            cell: the index of the cell.
            at: the part of the side, with its trace.
        """
        face, side, found = self.polynomials.on_face, at.side, []
        shared, weights = at.within is not None, self._weights_at(at)
        for block in self._shared_blocks[cell]:
            kind = self.about.shared[block]
            found.append(weights.new_zeros(self.traces.size(shared), kind.count))
            if not bool(self._crossing[block, at.trace]):
                continue
            assert isinstance(side, SidePart)
            nodes, factors = face.rule()
            onto = face.values(nodes) * factors[:, None]
            where = CellPoints.on_side(self.geometry, torch.tensor([cell]), side, nodes, factors)
            names = where.points.names
            direction = tuple(float(i == side.axis) for i in range(len(names)))
            order = max(1, max(self.traces.orders) - 1)
            channels = Channels(names, directions=(direction,), order=order)
            # The value is the first part of a jet; derivatives along the direction are the last.
            jets = kind.stacked(where.points, channels)
            for number, j, rows in self.traces.unknowns(shared):
                part, count = 0 if j == 0 else j - 1 - order, rows.stop - rows.start
                own = weights[j, number] * (onto[:, :count].T @ jets[:, part])
                found[-1][rows, number :: kind.fields] = own
        return torch.cat(found, dim=1)

    def _triangle(self, cell: int, equation: PlacedTerm) -> Reflections:
        """The orthogonal transformation of the equation's rows in a cell to a triangle.

        Cells of one size share the transformation if the equation has equal coefficients in all
        cells.

        Args:
            cell: the index of the cell.
            equation: the equation in the cell.
        """
        if not equation.term.is_alike:
            return Reflections.of(_joined([equation.rows()]))
        key = equation.term, self._size(cell)
        if key not in self._same_triangles:
            self._same_triangles[key] = Reflections.of(_joined([equation.rows()]))
        return self._same_triangles[key]

    @property
    def groups(self) -> list[CellGroup]:
        """The groups of this rank's cells; groups with the same model follow one another."""
        return self._plan[0]

    @cached_property
    def _plan(self) -> tuple[list[CellGroup], EliminationTree]:
        """The groups of cells, and the order in which the traces are eliminated.

        The traces are the unknown polynomials on faces.
        """
        sizes = self._block_sizes
        equal, numbers = defaultdict[Any, list[int]](list), dict[int, int]()
        orders = [
            (numbers.setdefault(id(own[0].term), len(numbers)), own[0].place) for own in self.terms
        ]
        # Visit the cells in the order in which they are in the terms of the equation.
        for cell in sorted(range(len(orders)), key=orders.__getitem__):
            terms = [one.term for one in self.terms[cell]]
            apart = (
                self.interface_sides[cell]
                or self._shared_blocks[cell]
                or (self.free_fields and cell == 0)
            )
            alike = not apart and all(term.is_alike for term in terms)
            sides = self.geometry.sides[cell]
            kinds = tuple((at.side, at.within, at.width, at.unit) for at in sides)
            key = (self._size(cell), kinds, tuple(map(id, terms))) if alike else cell
            equal[key].append(cell)
        first, blocks = len(sizes) - len(self.about.shared), []
        for cell, sides in enumerate(self.geometry.sides):
            own = [at.trace for at in sides] + [one.trace for one in self.interface_sides[cell]]
            own += [first + one for one in self._shared_blocks[cell]]
            blocks.append(np.array(own, dtype=np.int64))
        similar, work, heights = self._similar(equal), np.zeros(len(blocks)), list[int]()
        # The cells whose rows are eliminated for all similar groups; `_triangle` has the same keys.
        models = [those[0][0][0] for those in similar]
        owners: list[Any] = [
            (own.term, self._size(model)) if own.term.is_alike else model
            for model, (own, *_) in ((model, self.terms[model]) for model in models)
        ]
        number = Counter(owners)
        for those, model, owner in zip(similar, models, owners, strict=True):
            equation, *others = (one.row_count for one in self.terms[model])
            rows = sum(others) + int(sizes[blocks[model][blocks[model] < first]].sum())
            rows += len(self._without_right(model))
            heights.append(equation + rows)
            cells = [cell for group, _ in those for cell in group]
            columns = self._columns + int(sizes[blocks[model][blocks[model] >= first]].sum())
            work[cells] = 2 * (equation / number[owner] + rows) * columns**2 / len(cells)
        tree = elimination_order(self.geometry.tree, blocks, sizes, work)
        starts, local, groups = np.cumsum(sizes) - sizes, set(tree.local), list[CellGroup]()
        for those, count in zip(similar, heights, strict=True):
            (model, *_), unit = those[0]
            for cells, size in those:
                if here := [cell for cell in cells if cell in local]:
                    own_blocks = np.stack([blocks[cell] for cell in here])
                    places = np.stack([columns_of_blocks(own, starts, sizes) for own in own_blocks])
                    groups.append(CellGroup(here, own_blocks, places, count, model, size / unit))
        return groups, tree

    @property
    def _block_sizes(self) -> Array:
        """The number of unknowns of each block: on faces, on interfaces, of shared functions."""
        counts = self.traces.sizes_on(self.geometry.traces)
        for interface in self.interface_rows:
            counts += [interface.size] * interface.parts
        return np.array(counts + [one.count for one in self.about.shared], dtype=np.int64)

    def operations(self, degree: int, geometry: CellGeometry | None = None) -> tuple[int, float]:
        """The number of cells that a solve eliminates by themselves, and the solve's operations.

        Cells that share an elimination count once.

        Args:
            degree: the degree of the polynomials, which may differ from the present degree.
            geometry: other cells, whose interfaces do not count; by default the present cells. Of
                these cells those of one size with equal neighbours are taken to be alike.
        """
        tree, own, fields = self._plan[1], self.polynomials, tuple(self.traces.orders)
        polynomials = replace(own, degree=degree)
        growth = ((degree + 3) / (own.degree + 3)) ** own.dim  # of the number of points
        counts = np.array([one.count for one in self.about.shared], dtype=np.int64)
        if geometry is None:
            count = len(self.geometry.tree), polynomials.size, len(fields)
            about = replace(self.about, polynomials=polynomials, coefficients=torch.zeros(count))
            shared = counts @ about.members.numpy()
            wider = (polynomials.size * len(fields) + shared) / (self._columns + shared)
            sizes = replace(self, about=about)._block_sizes
            found = replace(tree, sizes=sizes, work=tree.work * growth * wider**2)
            return len({one.model for one in self.groups}), found.operations
        sides, members = geometry.sides, replace(self.about, geometry=geometry).members
        known = [members[:, cell].nonzero()[:, 0].numpy() for cell in range(len(sides))]
        alike = all(term.is_alike for term in (*self.equation, *self.boundary))
        keys: list[Any] = [
            (tuple(level), tuple((at.side, at.within) for at in around))
            if alike and not len(kinds)
            else cell
            for cell, (level, around, kinds) in enumerate(
                zip(geometry.tree.level.tolist(), sides, known, strict=True)
            )
        ]
        number = Counter(keys)
        # Cells of one size share the transformation of the equation's rows.
        same = Counter(key[0] if isinstance(key, tuple) else key for key in number)
        columns = polynomials.size * len(fields) + counts @ members.numpy()
        of_equation = max((self.terms[one.model][0].row_count for one in self.groups), default=0)
        others = max((one.rows for one in self.groups), default=0) - of_equation
        rows = [
            growth * (others + of_equation / same[key[0] if isinstance(key, tuple) else key])
            for key in keys
        ]
        work = 2 * np.array(rows) * columns**2 / np.array([number[key] for key in keys])
        faces = Traces(polynomials, fields).sizes_on(geometry.traces)
        sizes = np.array([*faces, *counts], dtype=np.int64)
        blocks = [
            np.array([*(at.trace for at in around), *(len(faces) + kinds)], dtype=np.int64)
            for around, kinds in zip(sides, known, strict=True)
        ]
        return len(number), elimination_order(geometry.tree, blocks, sizes, work).operations

    def _similar(self, equal: Mapping[Any, list[int]]) -> list[list[tuple[list[int], float]]]:
        """Collect groups of equal cells in lists of similar groups, which share one elimination.

        Cells are equal if their rows (least-squares equations) are. The rows of similar groups
        differ only by a factor, the ratio of their sizes. Cells of different widths are similar if
        all derivatives of a field in the equation are of one order, like in Poisson's equation, and
        if the weights of cells are powers of a distance, like at corners. To find similar groups,
        the sizes of the parts of a group's rows are divided by the size of its first part, and the
        binary logarithms of these quotients are rounded to multiples of a small unit. Groups with
        the same rounded numbers are similar.

        Args:
            equal: the indices of equal cells, by key. The key is the tuple on which the rows
                depend. A cell that may not be grouped has its index as the key.

        Returns:
            Lists of similar groups. A group is a tuple of the indices of equal cells and the size
            of their rows.
        """
        unit = 2.0**-20  # far larger than rounding errors
        found: dict[Any, list[tuple[list[int], float]]] = {}
        for key, cells in equal.items():
            pattern, size = key, 1.0
            if isinstance(key, tuple):
                sizes, sides = self._sizes(cells[0]), self.geometry.sides[cells[0]]
                ratios = ((sizes / sizes[0]).clamp_min(1e-300).log2() / unit).round().long()
                pattern = (
                    tuple((at.side, at.within) for at in sides),
                    key[2],
                    tuple(ratios.tolist()),
                )
                size = float(sizes[0])
            found.setdefault(pattern, []).append((cells, size))
        return list(found.values())

    def _sizes(self, cell: int) -> Tensor:
        """The sizes of all parts of a cell's rows, which `_similar` compares, (parts,)."""
        parts = []
        for one in self.terms[cell]:  # the slopes are equal at all points
            term, place = one.term, one.place
            orders = (term.sizes[place] > 0).any(dim=(0, 2)).nonzero()[:, 0]
            powers = term.at.scale[place] ** orders[:, None]  # (orders, d)
            root = term.at.weights[place].sum().sqrt()
            parts.append((root * one.factors[:, None, None] * powers).flatten())
        for at in self.geometry.sides[cell]:
            weights = self._weights_at(at)
            orders = torch.arange(len(weights))[:, None]
            scale = float(self.geometry.scale[cell, at.side.axis])
            parts += [(weights * scale**orders).flatten(), (weights / at.unit**orders).flatten()]
        return torch.cat(parts)

    @cached_property
    def _coarse(self) -> Array:
        """A mask (unknowns,) of the coarse unknowns, those of the coarse level of `TwoLevel`.

        They are the coefficients up to a low degree of the traces (unknown polynomials on faces),
        and all coefficients of functions that cells share. The low degree is 3 in the plane and 2
        in space. It is higher if a cell contains several waves, and lower if the number of coarse
        unknowns would be too large.
        """
        own, plane = self.geometry.traces, self.polynomials.dim < 3
        low, most = (3, 400_000) if plane else (2, 40_000)  # most: coarse unknowns
        low += math.ceil(max(0.0, min(self.coupling.phase, self.polynomials.degree / 2 - low)))

        def chosen(low: int) -> Array:
            """The mask of the traces' coefficients up to the degree `low`."""
            single, shared = (self.traces.coarse(low, one) for one in (False, True))
            faces = [np.tile(single, own.single), np.tile(shared, len(own.shared))]
            return np.concatenate([*faces, *(rows.coarse(low) for rows in self.interface_rows)])

        while low > 1 and chosen(low).sum() > most:
            low -= 1
        shared = sum(one.count for one in self.about.shared)
        return np.concatenate([chosen(low), np.ones(shared, dtype=bool)])

    def traces_of(self, function: CellFunctions) -> Array:
        """The traces of a function, then the coefficients of its shared functions, (unknowns, 1).

        Traces are the polynomials on faces that are unknowns of the least-squares problem; shared
        functions are known functions of several cells, which are not added to the traces. A trace
        that several smaller cells share is computed from the larger cell. Other traces are computed
        from the lower cell, or from the upper cell if only the lower cell has shared functions.

        Args:
            function: the function on the cells of this system.
        """
        geometry, own, coefficients = self.geometry, self.geometry.traces, function.coefficients
        lower, upper = geometry.faces.lower, geometry.faces.upper
        shared = self.about.members.any(dim=0)
        chosen = torch.where(shared[lower] & ~shared[upper], upper, lower).tolist()
        starts = np.cumsum([0, *self.traces.sizes_on(own)])
        alike = defaultdict[tuple[CellSide, bool], list[tuple[int, float, int]]](list)
        for cell, sides in enumerate(geometry.sides):
            for at in sides:
                several = at.trace >= own.single
                owner = own.shared[at.trace - own.single][0] if several else chosen[at.face]
                if owner == cell:
                    scale = at.unit * float(geometry.scale[cell, at.side.axis])
                    alike[at.side, several].append((cell, scale, at.trace))
        found = np.zeros(starts[-1], coefficients.numpy().dtype)
        for (side, several), every in alike.items():
            cells, scales, numbers = zip(*every, strict=True)
            values = self.traces.values(
                side, torch.tensor(scales), several, coefficients[list(cells)]
            )
            found[starts[list(numbers)][:, None] + np.arange(values.shape[1])] = values.numpy()
        across = [rows.traces(function) for rows in self.interface_rows]
        return np.concatenate([found, *across, *(one.numpy() for one in function.numbers)])[:, None]


def _joined(rows: Sequence[Tensor]) -> Array:
    """Put matrices (rows, c) below one another, with each column contiguous in memory."""
    return torch.cat([one.T for one in rows], dim=1).T.numpy()


@dataclass(frozen=True, eq=False)
class ShiftedCells:
    """Solves K u + M u' = b, or K u + M u' + N u'' = b, in cells, where u' = σ u - s.

    K, M and N are the linear operators of the equation. The number σ and the function s are given,
    so that u is the only unknown. For order 2 the rule is (u, u')' = σ (u, u') - s, with two
    functions s. Each implicit step in time solves such problems, and so does shift-and-invert for
    eigenvalues: with K = L and M = -1, the solution is (L - σ)⁻¹ (b - s). The factors are kept for
    each σ that has occurred.

    Args:
        base: the linearised equation and conditions for m fields followed by their derivatives in
            time, (p + 1) m fields in all.
        order: the order p of the equation in time, 1 or 2.
    """

    base: CellSystem
    order: int
    _systems: dict[complex, CellSystem] = field(default_factory=dict, init=False, repr=False)

    @property
    def fields(self) -> int:
        """The number of fields m."""
        return self.base.equation[0].slopes.shape[-1] // (self.order + 1)

    @property
    def terms(self) -> list[SampledTerm]:
        """The equation and the conditions, for the fields and their time derivatives."""
        return [*self.base.equation, *self.base.boundary]

    def system(self, rate: complex) -> CellSystem:
        """The least-squares problem (K + σ M + σ² N) u = b for m fields.

        K, M and N are the linear operators of the class.

        Args:
            rate: the rate σ, real or complex.
        """

        def at_rate(term: SampledTerm) -> SampledTerm:
            """The term with u' = σ u and u'' = σ² u in place of the time derivatives."""
            value, *others = term.slopes.chunk(self.order + 1, dim=-1)
            for power, one in enumerate(others, 1):
                value = value + rate**power * one
            return term.with_slopes(value)

        if rate not in self._systems:
            both = self.base.equation, self.base.boundary
            equation, boundary = ([at_rate(one) for one in own] for own in both)
            self._systems[rate] = replace(self.base, equation=equation, boundary=boundary)
        return self._systems[rate]

    def solve(
        self, rate: complex, starts: Tensor, right_hand_sides: Sequence[Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Find n states x with the derivatives in time x' = σ x - s that satisfy the equation.

        A state consists of u and, for p = 2, of u'.

        Args:
            rate: the rate σ, real or complex.
            starts: the coefficients of s, (N, L, p m, n).
            right_hand_sides: the values b for each of `terms`, (c, q, equations, n); None for zero.

        Returns:
            The coefficients of the states, (N, L, p m, n), and each cell's contribution to the
            functional, (N, n).

        Raises:
            LinAlgError: if an entry of the problem is not finite.
        """
        system, values = self.system(rate), dict[AnyTerm, Tensor]()
        less = [torch.zeros_like(starts[:, :, : self.fields])]  # ∂^r u is σ^r u - less[r]
        for one in starts.split(self.fields, dim=2):
            less.append(rate * less[-1] + one)
        known = torch.cat(less[1:], dim=2)
        for k, own in enumerate((*system.equation, *system.boundary)):
            of_rates = self.terms[k].of_rates(known)
            values[own] = of_rates if right_hand_sides is None else of_rates + right_hand_sides[k]
        found = system.solve(values, again=True)
        states = [rate**r * found.coefficients - less[r] for r in range(self.order)]
        return torch.cat(states, dim=2), found.shares
