"""The rows of all cells in their least-squares problem: matrices and right-hand sides."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kanpinn.cells.geometry.cell_geometry import CellGeometry
from kanpinn.cells.geometry.contacts import CoupledContacts
from kanpinn.cells.geometry.face_traces import SideTrace
from kanpinn.cells.system.cell_factors import CellFactors, SolvedFactors
from kanpinn.cells.system.cell_group import CellGroup, CellRows, ModelElimination
from kanpinn.cells.system.cell_terms import SampledTerm
from kanpinn.cells.system.coarse_traces import coarse_traces
from kanpinn.cells.system.contact_rows import ContactRows, PlacedContact
from kanpinn.cells.system.coupling import Coupling, Traces
from kanpinn.cells.system.elimination_order import elimination_order, work_of_cells
from kanpinn.cells.system.equal_rows import ProjectedReflections
from kanpinn.cells.system.placed_term import PlacedTerm
from kanpinn.cells.system.shared_rows import SharedRows
from kanpinn.cells.system.similar_cells import EqualCells, RowSizes
from kanpinn.linalg.reflections import Reflections

Array = NDArray[Any]
Size = tuple[tuple[int, ...], float]


@dataclass(frozen=True, eq=False)
class RowsOfCells:
    """The rows of each cell: of the equation, of conditions, of constants, of faces and of arcs.

    Args:
        geometry: the cells.
        weights: the factor of all rows of each cell, (N,).
        coupling: the weights of jumps.
        traces: the unknowns on faces.
        terms: for each cell its terms, the equation first.
        contacts: for each cell the arcs at which it meets cells of other regions.
        free_fields: the fields that are determined up to a constant.
        shared: the functions that cells share.
    """

    geometry: CellGeometry
    weights: Tensor
    coupling: Coupling
    traces: Traces
    terms: Sequence[Sequence[PlacedTerm]]
    contacts: Sequence[Sequence[PlacedContact]]
    free_fields: Sequence[int]
    shared: SharedRows

    @cached_property
    def trace_sizes(self) -> Array:
        """The numbers of unknowns on all faces, on all arcs of interfaces, of shared functions."""
        sizes = self.traces.sizes_on(self.geometry.traces)
        sizes += [one.size for one in self._contact_rows]
        return np.array(sizes + list(self.shared.functions.sizes), dtype=np.int64)

    @cached_property
    def _contact_rows(self) -> list[ContactRows]:
        """The rows at each part of an interface."""
        both = {one.number: one.rows for own in self.contacts for one in own}
        return [both[number] for number in sorted(both)]

    def blocks(self, cell: int) -> Array:
        """The numbers of the unknowns of a cell: on its faces, on its arcs, of shared functions."""
        numbers = [at.trace for at in self.geometry.sides[cell]]
        numbers += [one.number for one in self.contacts[cell]]
        first = len(self.trace_sizes) - len(self.shared.functions.sizes)
        return np.array(numbers + [first + one for one in self.shared.of(cell)], dtype=np.int64)

    def cell_factors(self) -> CellFactors:
        """The factors of the problem; cells that are alike up to a factor are eliminated once.

        They refer to these rows. They are not kept here: objects that refer to each other stay in
        memory until Python searches for such cycles.
        """
        found: dict[Any, list[int]] = {}
        for cell, sides in enumerate(self.geometry.sides):
            terms = [one.term for one in self.terms[cell]]
            alike = all(term.is_alike for term in terms)
            names = tuple(id(term) for term in terms)
            alike = alike and not (self.contacts[cell] or (self.free_fields and cell == 0))
            alike = alike and not self.shared.of(cell)
            key = (self.size(cell), tuple(at.kind for at in sides), names) if alike else cell
            found.setdefault(key, []).append(cell)
        faces = [self.blocks(cell) for cell in range(len(self.geometry.sides))]
        similar = self._similar(found)
        models = [own[0][0][0] for own in similar]  # one cell of each, whose rows are eliminated
        shapes = [self._shape(model, faces[model]) for model in models]
        together = [[cell for cells, _ in own for cell in cells] for own in similar]
        work = work_of_cells(together, shapes, len(faces))
        tree = elimination_order(self.geometry.tree, faces, self.trace_sizes, work)
        local, groups = set(tree.local), []
        for own, model, shape in zip(similar, models, shapes, strict=True):
            elimination, (_, unit) = ModelElimination(partial(self._rows, model)), own[0]
            for cells, size in own:
                if here := [cell for cell in cells if cell in local]:
                    numbers = np.stack([faces[cell] for cell in here])
                    groups.append(CellGroup(here, numbers, shape, elimination, size / unit))
        columns = self.traces.polynomials.size * len(self.coupling.orders)
        return CellFactors(groups, tree, self._coarse, columns)

    def _similar(self, equal: Mapping[Any, list[int]]) -> list[list[EqualCells]]:
        """Groups of equal cells, in lists of those whose matrices differ by a factor.

        equal: the numbers of equal cells. The key of a cell whose rows are like those of no other
            one is its number, otherwise what the rows depend on.
        """
        found: dict[Any, list[EqualCells]] = {}
        for key, cells in equal.items():
            pattern, size = key, 1.0
            if isinstance(key, tuple):
                _, _, terms = key
                sides = tuple((at.side, at.within) for at in self.geometry.sides[cells[0]])
                sizes = self._row_sizes(cells[0])
                pattern, size = (sides, terms, sizes.ratios), sizes.first
            found.setdefault(pattern, []).append(EqualCells(cells, size))
        return list(found.values())

    def _row_sizes(self, cell: int) -> RowSizes:
        """The sizes of the parts of a cell's rows, whose terms have the same slopes everywhere."""
        factors = []
        for at in self.geometry.sides[cell]:
            weights = self._weights_at(at)
            orders = torch.arange(len(weights))[:, None]
            scale = float(self.geometry.scale[cell, at.side.axis])
            factors.append(torch.stack([weights * scale**orders, weights / at.unit**orders]))
        return RowSizes.of(self.terms[cell], factors)

    @cached_property
    def _coarse(self) -> Array:
        """Which traces have low degrees, (unknowns,); the functions that cells share are coarse."""
        traces = coarse_traces(self.geometry, self.coupling, self.traces, self._contact_rows)
        return np.concatenate([traces, np.ones(sum(self.shared.functions.sizes), dtype=bool)])

    def size(self, cell: int) -> Size:
        """The levels and the weight of a cell, on which its rows of a term depend."""
        return tuple(self.geometry.tree.level[cell].tolist()), float(self.weights[cell])

    @cached_property
    def _triangles(self) -> dict[tuple[SampledTerm, Size], ProjectedReflections]:
        """The rows of the equation as triangles, for cells of each size that have the same."""
        return {}

    def _shape(self, cell: int, faces: Array) -> tuple[int, int]:
        """The numbers of rows and of coefficients of a cell; faces: the numbers of its faces."""
        own = faces[: len(faces) - len(self.shared.of(cell))]
        rows = sum(one.row_count for one in self.terms[cell]) + int(self.trace_sizes[own].sum())
        rows += len(self.free_fields) if cell == 0 else 0
        rows += len(self.shared.bounds(cell))
        return rows, self.traces.polynomials.size * len(self.coupling.orders)

    def rights(
        self, groups: Sequence[CellGroup], values: Mapping[SampledTerm | CoupledContacts, Tensor]
    ) -> Iterator[Array]:
        """The right-hand sides of the rows of each group's cells, (c, rows, n), one by one.

        Args:
            groups: those of the factors.
            values: those of terms and of interfaces at their points, (c, q, equations, n); zero for
                those without.
        """
        some = next(iter(values.values()))
        each, dtype = some.shape[-1], some.numpy().dtype
        for group in groups:
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

    def residuals(
        self, factors: CellFactors, rights: Iterable[Array], found: SolvedFactors
    ) -> Iterator[Array]:
        """The right-hand sides minus the rows times a solution, for each group's cells.

        Args:
            factors: those of the problem.
            rights: see `rights`.
            found: the solution.
        """
        for group, own in zip(factors.groups, rights, strict=True):
            cells, rows, each = own.shape
            known = found.coefficients[group.cells], found.traces[factors.columns_of(group)]
            inner, outer = (np.moveaxis(one, 1, 0).reshape(-1, cells * each) for one in known)
            rows_times = self._times(group, inner, outer).reshape(rows, cells, each)
            yield own - np.moveaxis(rows_times, 1, 0)

    def _times(self, group: CellGroup, inner: Array, outer: Array) -> Array:
        """The rows of a group's cells times coefficients (L m, n) and traces (t + q, n)."""
        cell, coefficients = group.cells[0], torch.from_numpy(inner)
        parts = [one.of(coefficients).numpy() for one in self.terms[cell]]
        parts.append(self._without_right(cell).numpy() @ inner)
        on_sides, traces = self._at_sides(cell)
        count = len(traces)
        parts.append(on_sides @ inner - traces @ outer[:count])
        found = np.concatenate(parts)
        return found + self._shared_rows(cell) @ outer[count:] if self.shared.of(cell) else found

    @cached_property
    def _face_weights(self) -> Tensor:
        """The roots of the weights on each face for its lower and upper cell, (2, F, j, m)."""
        faces, geometry = self.geometry.faces, self.geometry
        normals = torch.eye(self.traces.polynomials.dim, dtype=geometry.half.dtype)[faces.axis]
        both = [
            self.coupling.weights(cells, normals, geometry.lengths)
            for cells in (faces.lower, faces.upper)
        ]
        return torch.stack(both)

    def _weights_at(self, at: SideTrace) -> Tensor:
        """The factors of the differences of a cell's functions from a trace, (j, m)."""
        return self._face_weights[0 if at.side.upper else 1, at.face] * at.area**0.5

    def _rows(self, cell: int) -> CellRows:
        """The rows of a cell."""
        equation, *walls = self.terms[cell]
        conditions = [*(one.rows() for one in walls), self._without_right(cell)]
        first = self._triangle(cell, equation)
        outer, traces = self._at_sides(cell)
        shared = self._shared_rows(cell) if self.shared.of(cell) else None
        return CellRows(first, _joined(conditions), outer, traces, shared)

    def _without_right(self, cell: int) -> Tensor:
        """The rows of a cell whose right-hand sides are zero, beside those on its faces."""
        equation = self.terms[cell][0]
        columns = self.traces.polynomials.size * len(self.coupling.orders)
        count = len(self.free_fields) if cell == 0 else 0
        found = equation.factors.new_zeros(count + len(self.shared.bounds(cell)), columns)
        if count:  # a row for each constant that nothing determines
            size = float(np.abs(self._triangle(cell, equation).triangle).max())
            found[range(count), self.free_fields] = size
        return found

    def _at_sides(self, cell: int) -> tuple[Array, Array]:
        """The rows on a cell's faces and arcs: for its coefficients and for the traces there."""
        columns = self.traces.polynomials.size * len(self.coupling.orders)
        empty = self.terms[cell][0].factors
        outer, traces = [empty.new_zeros(0, columns)], [empty.new_zeros(0, 0)]
        for at in self.geometry.sides[cell]:
            scale = float(self.geometry.scale[cell, at.side.axis])
            own, matrix = self.traces.rows(at, scale, self._weights_at(at))
            outer.append(own)
            traces.append(matrix)
        for contact in self.contacts[cell]:
            own, diagonal = contact.of_cell()
            outer.append(own)
            traces.append(diagonal.diag())
        return _joined(outer), torch.block_diag(*traces).numpy()

    def _shared_rows(self, cell: int) -> Array:
        """The rows of the functions that a cell shares with others, (r + t, q)."""
        parts = [self.shared.of_term(one, cell) for one in self.terms[cell]]
        if cell == 0:  # nothing in the rows of constants
            parts.append(parts[0].new_zeros(len(self.free_fields), parts[0].shape[1]))
        parts.append(self.shared.bounds(cell))
        for at in self.geometry.sides[cell]:
            parts.append(self.shared.at_side(cell, at, self._weights_at(at)))
        return _joined(parts)

    def _triangle(self, cell: int, equation: PlacedTerm) -> Reflections | ProjectedReflections:
        """The transformation of the rows of the equation in a cell to a triangle."""
        if not equation.term.is_alike:
            return Reflections.of(_joined([equation.rows()]))
        key = equation.term, self.size(cell)
        if key not in self._triangles:
            self._triangles[key] = ProjectedReflections.of(equation)
        return self._triangles[key]


def _joined(rows: Sequence[Tensor]) -> Array:
    """Rows below one another, (r, c), with each column side by side in memory."""
    return torch.cat([one.T for one in rows], dim=1).T.numpy()
