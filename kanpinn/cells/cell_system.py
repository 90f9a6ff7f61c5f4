"""The least-squares problem of all cells: its rows, its solution, and each cell's share of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from torch import Tensor

from kanpinn.cells.cell_geometry import CellGeometry, Side
from kanpinn.cells.cell_terms import PlacedTerm, SampledTerm
from kanpinn.cells.coupling import Coupling, Traces
from kanpinn.cells.polynomials import LocalPolynomials
from kanpinn.linalg.dissection import Front, solve_dissected, triangle

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class CellSolution:
    """The solution of the least-squares problem.

    coefficients: (N, L, m). shares: the part of each cell in the functional, (N,).
    """

    coefficients: Tensor
    shares: Tensor


@dataclass(eq=False)
class CellGroup:
    """Cells whose rows have the same matrix, or a single cell.

    Args:
        cells: their numbers.
        faces: of each cell the numbers of its faces, (c, f).
        matrix: of the coefficients of a cell, (rows, L m).
        diagonal: that of the traces on the faces in the last rows, (f t,).
        rights: the right-hand sides of all cells, (rows, c).
    """

    cells: Sequence[int]
    faces: Array
    matrix: Array
    diagonal: Array
    rights: Array

    @cached_property
    def factor(self) -> Array:
        """The triangular factor of [A, -D, b] with all right-hand sides b side by side."""
        rows, columns = self.matrix.shape
        traces = len(self.diagonal)
        below = np.zeros((rows, traces))
        below[rows - traces :] = -np.diag(self.diagonal)
        found = triangle(np.hstack([self.matrix, below, self.rights]))
        return found[: columns + traces]

    def fronts(self) -> Iterator[tuple[int, Front]]:
        """The rows in the traces that are left of each cell after its elimination."""
        columns = self.matrix.shape[1]
        count = columns + len(self.diagonal)
        for place, cell in enumerate(self.cells):
            parts = self.factor[columns:, columns:count], self.factor[columns:, count + place, None]
            yield cell, Front(self.faces[place], np.hstack(parts))

    def solved(self, traces: Array) -> Iterator[tuple[int, Array, float]]:
        """The coefficients of each cell, and its part in the functional.

        traces: the solution on all faces, (F, t).
        """
        columns, count = self.matrix.shape[1], len(self.diagonal)
        inner = self.factor[:columns, :columns]
        for place, cell in enumerate(self.cells):
            known = traces[self.faces[place]].ravel()
            right = self.factor[:columns, columns + count + place]
            right = right - self.factor[:columns, columns : columns + count] @ known
            own = solve_triangular(inner, right)
            rest = self.matrix @ own - self.rights[:, place]
            rest[len(rest) - count :] -= self.diagonal * known
            yield cell, own, float(rest @ rest)


@dataclass(frozen=True, eq=False)
class CellSystem:
    """Least squares for all cells of a tree: Σ_K ‖r‖²_K + jumps + conditions.

    The jump of a field between two cells is split into its differences from a trace on their face,
    an unknown polynomial. Then the coefficients of each cell can be eliminated by themselves, and
    the traces in the order of a nested dissection (see `solve_dissected`). The minimum is that of
    the jumps.

    Args:
        geometry: the cells.
        polynomials: the functions of each.
        equation: the equation at points of all cells; each cell is in one of them, once.
        walls: the conditions at points of boundaries.
    """

    geometry: CellGeometry
    polynomials: LocalPolynomials
    equation: Sequence[SampledTerm]
    walls: Sequence[SampledTerm]

    @cached_property
    def coupling(self) -> Coupling:
        """The weights of jumps, by the size of the equation's terms in each cell."""
        sizes = [
            one.sizes.square().sum(dim=2).mean(dim=1).sqrt() for one in self.equation
        ]  # (c, orders, m) each
        cells = torch.cat([one.at.cells for one in self.equation])
        return Coupling(torch.cat(sizes)[cells.argsort()], self.polynomials.degree)

    @cached_property
    def traces(self) -> Traces:
        """The unknowns on faces."""
        return Traces(self.polynomials, tuple(self.coupling.orders))

    @cached_property
    def sides(self) -> list[list[tuple[Side, int]]]:
        """For each cell the parts of its sides that are faces, and their numbers."""
        geometry, faces = self.geometry, self.geometry.faces
        found: list[list[tuple[Side, int]]] = [[] for _ in range(len(geometry.tree))]
        for cells, upper in ((faces.lower, True), (faces.upper, False)):
            low, high = geometry.frames[cells, :1], geometry.frames[cells, 1:]
            corners = ((faces.corners - low) / (high - low) * 2 - 1).tolist()
            for number, (cell, axis) in enumerate(
                zip(cells.tolist(), faces.axis.tolist(), strict=True)
            ):
                ends = [tuple(one[:axis] + one[axis + 1 :]) for one in corners[number]]
                found[cell].append((Side(axis, upper, *ends), number))
        return found

    @cached_property
    def lengths(self) -> Tensor:
        """The width across each face of the smaller of its cells, (F,)."""
        widths, faces = self.geometry.widths, self.geometry.faces
        axis = faces.axis[:, None]
        both = [widths[cells].gather(1, axis)[:, 0] for cells in (faces.lower, faces.upper)]
        return torch.minimum(*both)

    @cached_property
    def terms(self) -> list[list[PlacedTerm]]:
        """For each cell its terms."""
        found: list[list[PlacedTerm]] = [[] for _ in self.sides]
        for term in self.equation:
            one = torch.ones(term.right.shape[2], dtype=term.right.dtype)
            for place, cell in enumerate(term.at.cells.tolist()):
                found[cell].append(PlacedTerm(term, place, one))
        for term in self.walls:
            cells = term.at.cells
            normals = term.at.points.normals
            assert normals is not None
            normals = normals.unflatten(0, term.at.weights.shape).mean(dim=1)
            lengths = self.geometry.across(cells, normals / normals.norm(dim=1, keepdim=True))
            weights = self.coupling.weights(cells, lengths)
            factors = self.coupling.of_condition(term.sizes.amax(dim=1), weights)
            for place, cell in enumerate(cells.tolist()):
                found[cell].append(PlacedTerm(term, place, factors[place]))
        return found

    def groups(self) -> Iterator[CellGroup]:
        """The cells, those with the same matrix together."""
        level = self.geometry.tree.level.tolist()
        found: dict[Any, list[int]] = {}
        for cell, sides in enumerate(self.sides):
            terms = [one.term for one in self.terms[cell]]
            shared = all(term.is_alike for term in terms)
            names = tuple(id(term) for term in terms)
            key = (level[cell], tuple(side for side, _ in sides), names) if shared else cell
            found.setdefault(key, []).append(cell)
        for cells in found.values():
            matrix, diagonal = self._matrix(cells[0])
            faces = [[number for _, number in self.sides[cell]] for cell in cells]
            rights = np.zeros((len(matrix), len(cells)))
            for place, cell in enumerate(cells):
                own = [one.term.rights(one.place, one.factors) for one in self.terms[cell]]
                known = torch.cat(own).numpy()
                rights[: len(known), place] = known
            numbers = np.array(faces, dtype=np.int64).reshape(len(cells), -1)
            yield CellGroup(cells, numbers, matrix, diagonal, rights)

    def _matrix(self, cell: int) -> tuple[Array, Array]:
        """The rows of a cell for its coefficients, and the diagonal of the traces."""
        rows = [one.term.rows(one.place, one.factors) for one in self.terms[cell]]
        diagonals = [rows[0].new_zeros(0)]
        extents, one = self.geometry.extents[[cell]], torch.tensor([cell])
        for side, number in self.sides[cell]:
            weights = self.coupling.weights(one, self.lengths[[number]])[0]
            scale = float(self.geometry.scale[cell, side.axis])
            own, diagonal = self.traces.rows(side, scale, weights * side.area(extents).sqrt())
            rows.append(own)
            diagonals.append(diagonal)
        return torch.cat(rows).numpy(), torch.cat(diagonals).numpy()

    def solve(self) -> CellSolution:
        """Solve the least-squares problem.

        Raises:
            LinAlgError: if a residual is not finite.
        """
        groups = list(self.groups())
        fronts = dict(pair for group in groups for pair in group.fronts())
        count = len(self.geometry.faces)
        sizes = np.full(count, self.traces.size, dtype=np.int64)
        ordered = [fronts[cell] for cell in range(len(fronts))]
        merges = list(self.geometry.tree.merges())
        traces = solve_dissected(ordered, sizes, merges).reshape(count, -1)
        fields = len(self.coupling.orders)
        coefficients = torch.zeros(len(fronts), self.polynomials.size, fields, dtype=torch.float64)
        shares = torch.zeros(len(fronts), dtype=torch.float64)
        for group in groups:
            for cell, own, share in group.solved(traces):
                coefficients[cell] = torch.from_numpy(own).view(-1, fields)
                shares[cell] = share
        return CellSolution(coefficients, shares)

    def indicators(self, found: CellSolution) -> Tensor:
        """The error of each cell up to a common factor, (N,).

        It is the root of its share, divided by the size of the equation's highest derivatives and
        multiplied by h^o: the error whose derivatives of order o have the size of the residual.
        """
        widths = self.geometry.widths.amin(dim=1)
        orders = torch.tensor(self.coupling.orders)
        sizes = torch.stack([self.coupling.sizes[:, r, f] for f, r in enumerate(orders.tolist())])
        scaled = widths[None] ** orders[:, None] / sizes.clamp_min(1e-300)  # (m, N)
        scaled = torch.where(sizes > 1e-12 * sizes.amax(), scaled, 0).amax(dim=0)
        return found.shares.sqrt() * scaled

    def norms(self, coefficients: Tensor) -> Tensor:
        """The L2 norms of all fields together over the part of each cell in the domain, (N,).

        coefficients: (N, L, m).
        """
        squares = torch.empty(len(coefficients), dtype=coefficients.dtype)
        for term in self.equation:
            squares[term.at.cells] = term.squares(coefficients)
        return squares.sqrt()

    def is_linear(self, coefficients: Tensor) -> bool:
        """Whether equation and conditions are the same where they are linearised elsewhere.

        coefficients: another solution, (N, L, m).
        """
        return all(one.is_linear(coefficients) for one in (*self.equation, *self.walls))
