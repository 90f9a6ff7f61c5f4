"""The least-squares problem of all cells: its rows, its solution, and each cell's share of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kanpinn.cells.geometry.cell_geometry import CellGeometry
from kanpinn.cells.geometry.contacts import CoupledContacts
from kanpinn.cells.merges import merge_order, work_of_cells
from kanpinn.cells.polynomials import LocalPolynomials
from kanpinn.cells.system.cell_factors import CellFactors
from kanpinn.cells.system.cell_group import CellGroup, CellRows
from kanpinn.cells.system.cell_terms import PlacedTerm, SampledTerm
from kanpinn.cells.system.contact_rows import ContactRows, PlacedContact, placed
from kanpinn.cells.system.coupling import Coupling, Traces
from kanpinn.cells.system.region_scales import region_scales
from kanpinn.linalg.elimination_tree import EliminationTree
from kanpinn.linalg.reflections import Reflections

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class CellSolution:
    """The solution of the least-squares problem.

    coefficients: (N, L, m). shares: the part of each cell in the functional, without its weight,
    (N,).
    """

    coefficients: Tensor
    shares: Tensor


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
    """

    geometry: CellGeometry
    polynomials: LocalPolynomials
    equation: Sequence[SampledTerm]
    walls: Sequence[SampledTerm]
    counted: Sequence[int]
    weights: Tensor
    pollution: Tensor
    interfaces: Sequence[CoupledContacts] = ()

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
    def contacts(self) -> list[list[PlacedContact]]:
        """For each cell the arcs at which it meets cells of other regions."""
        rows = [ContactRows.of(one, self.coupling) for one in self.interfaces]
        return placed(rows, len(self.geometry.tree), len(self.geometry.faces))

    @cached_property
    def trace_sizes(self) -> Array:
        """The numbers of unknowns on all faces, and then on all arcs of interfaces."""
        sizes = [self.traces.size] * len(self.geometry.faces)
        both = {one.number: one.rows.size for own in self.contacts for one in own}
        return np.array(sizes + [both[number] for number in sorted(both)], dtype=np.int64)

    @cached_property
    def cell_factors(self) -> CellFactors:
        """The factors of the problem, in which cells with the same matrix are together."""
        found: dict[Any, list[int]] = {}
        for cell, sides in enumerate(self.geometry.sides):
            terms = [one.term for one in self.terms[cell]]
            shared = all(term.is_alike for term in terms)
            names = tuple(id(term) for term in terms)
            shared = shared and not (self.contacts[cell] or (self.free_fields and cell == 0))
            key = (self.size(cell), tuple(side for side, _ in sides), names) if shared else cell
            found.setdefault(key, []).append(cell)
        both = zip(self.geometry.sides, self.contacts, strict=True)
        faces = [
            np.array([at for _, at in sides] + [one.number for one in contacts], dtype=np.int64)
            for sides, contacts in both
        ]
        shapes = [self._shape(cells[0], faces[cells[0]]) for cells in found.values()]
        work = work_of_cells(list(found.values()), shapes, len(faces))
        order = merge_order(self.geometry.tree)
        tree = EliminationTree(faces, self.trace_sizes, order, work)
        own, groups = set(tree.local), []
        for cells, shape in zip(found.values(), shapes, strict=True):
            if here := [cell for cell in cells if cell in own]:
                numbers = np.stack([faces[cell] for cell in here])
                groups.append(CellGroup(here, numbers, shape, partial(self._rows, cells[0])))
        return CellFactors(groups, tree, self.polynomials.size * len(self.coupling.orders))

    def size(self, cell: int) -> tuple[int, float]:
        """The level and the weight of a cell: with them the rows of a term are alike, or differ."""
        return int(self.geometry.tree.level[cell]), float(self.weights[cell])

    @cached_property
    def _triangles(self) -> dict[tuple[SampledTerm, tuple[int, float]], Reflections]:
        """The rows of the equation as triangles, for cells of each size that have the same."""
        return {}

    def _shape(self, cell: int, faces: Array) -> tuple[int, int]:
        """The numbers of rows and of coefficients of a cell; faces: the numbers of its faces."""
        rows = sum(one.row_count for one in self.terms[cell]) + int(self.trace_sizes[faces].sum())
        rows += len(self.free_fields) if cell == 0 else 0
        return rows, self.polynomials.size * len(self.coupling.orders)

    def rights(self, values: Mapping[SampledTerm | CoupledContacts, Tensor]) -> Iterator[Array]:
        """The right-hand sides of the rows of each group's cells, (c, rows, n), one by one.

        values: those of terms and of interfaces at their points, (c, q, equations, n); zero for
            those without.
        """
        some = next(iter(values.values()))
        each, dtype = some.shape[-1], some.numpy().dtype
        for group in self.cell_factors.groups:
            first, start = group.cells[0], 0
            rights = np.zeros((len(group.cells), group.shape[0], each), dtype)
            for number, one in enumerate(self.terms[first]):
                rows = slice(start, start := start + one.row_count)
                if one.term in values:
                    places = [self.terms[cell][number].place for cell in group.cells]
                    rights[:, rows] = one.weighed(values[one.term][places]).numpy()
            start = rights.shape[1] - sum(one.rows.size for one in self.contacts[first])
            for contact in self.contacts[first]:  # a cell with contacts is a group of its own
                rows = slice(start, start := start + contact.rows.size)
                if contact.rows.coupled in values:
                    known = values[contact.rows.coupled][contact.place]
                    rights[0, rows] = contact.weighed(known).numpy()
            yield rights

    @cached_property
    def _face_weights(self) -> Tensor:
        """The square roots of the weights on each face for its lower and its upper cell.

        (2, F, j, m), with the root of the area.
        """
        faces, geometry = self.geometry.faces, self.geometry
        normals = torch.eye(self.polynomials.dim, dtype=geometry.half.dtype)[faces.axis]
        both = [
            self.coupling.weights(cells, normals, geometry.lengths)
            for cells in (faces.lower, faces.upper)
        ]
        return torch.stack(both) * geometry.areas.sqrt()[:, None, None]

    def _rows(self, cell: int) -> CellRows:
        """The rows of a cell."""
        equation, *walls = self.terms[cell]
        known = self._triangles if equation.term.is_alike else {}
        key = equation.term, self.size(cell)
        if key not in known:
            known[key] = Reflections.of(_joined([equation.rows()]))
        first = known[key]
        conditions = [equation.factors.new_zeros(0, first.vectors.shape[1])]
        conditions += [one.rows() for one in walls]
        if cell == 0:  # a row for each constant that nothing determines
            constants = conditions[0].new_zeros(len(self.free_fields), first.vectors.shape[1])
            constants[range(len(constants)), self.free_fields] = float(np.abs(first.triangle).max())
            conditions.append(constants)
        outer, diagonals = [conditions[0]], [equation.factors.new_zeros(0)]
        for side, number in self.geometry.sides[cell]:
            scale = float(self.geometry.scale[cell, side.axis])
            weights = self._face_weights[0 if side.upper else 1, number]
            own, diagonal = self.traces.rows(side, scale, weights)
            outer.append(own)
            diagonals.append(diagonal)
        for contact in self.contacts[cell]:
            own, diagonal = contact.of_cell()
            outer.append(own)
            diagonals.append(diagonal)
        traces = torch.cat(diagonals).numpy()
        return CellRows(first, _joined(conditions), _joined(outer), traces)

    def solve(self) -> CellSolution:
        """Solve the least-squares problem.

        Raises:
            LinAlgError: if a residual is not finite.
        """
        every: list[SampledTerm | CoupledContacts]
        every = [*self.equation, *self.walls, *self.interfaces]
        values = {one: one.right[..., None] for one in every}
        found, shares = self.cell_factors.solve(self.rights(values))
        fields = len(self.coupling.orders)
        coefficients = torch.from_numpy(found[..., 0]).unflatten(1, (-1, fields))
        return CellSolution(coefficients, torch.from_numpy(shares[:, 0]) / self.weights**2)

    def indicators(self, found: CellSolution) -> Tensor:
        """The error by each cell up to a common factor, (N,): by the root of its share."""
        return found.shares.sqrt() * self.coupling.errors * self.pollution

    def norms(self, coefficients: Tensor) -> Tensor:
        """The L2 norms of the counted fields together over each cell's part of the domain, (N,).

        coefficients: (N, L, m).
        """
        squares = torch.empty(len(coefficients), dtype=coefficients.dtype)
        for term in self.equation:
            squares[term.at.cells] = term.squares(coefficients[..., list(self.counted)])
        return squares.sqrt()

    def means(self, coefficients: Tensor) -> Tensor:
        """The means of the fields over the domain, (m,); coefficients: (N, L, m)."""
        total = torch.cat([term.integrals(coefficients) for term in self.equation]).sum(dim=0)
        return total / sum(float(term.at.weights.sum()) for term in self.equation)

    def norm(self, coefficients: Tensor) -> float:
        """The L2 norm of the counted fields together over the domain; coefficients: (N, L, m)."""
        return float(self.norms(coefficients).square().sum().sqrt())

    def is_linear(self, coefficients: Tensor) -> bool:
        """Whether equation and conditions have the same linearisation about another solution.

        coefficients: another solution, (N, L, m).
        """
        return all(one.is_linear(coefficients) for one in (*self.equation, *self.walls))


def _joined(rows: Sequence[Tensor]) -> Array:
    """Rows below one another, (r, c), with each column side by side in memory."""
    return torch.cat([one.T for one in rows], dim=1).T.numpy()
