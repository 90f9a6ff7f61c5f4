"""The matrices of the rows of single cells in their least-squares problem."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kanpinn.cells.geometry.cell_geometry import CellGeometry
from kanpinn.cells.geometry.face_traces import SideTrace
from kanpinn.cells.system.cell_group import CellRows
from kanpinn.cells.system.cell_terms import SampledTerm
from kanpinn.cells.system.contact_rows import PlacedContact
from kanpinn.cells.system.coupling import Coupling, Traces
from kanpinn.cells.system.equal_rows import ProjectedReflections
from kanpinn.cells.system.placed_term import PlacedTerm
from kanpinn.cells.system.shared_rows import SharedRows
from kanpinn.linalg.reflections import Reflections

Array = NDArray[Any]
Size = tuple[tuple[int, ...], float]


@dataclass(frozen=True, eq=False)
class CellMatrices:
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

    @property
    def columns(self) -> int:
        """The number of coefficients of a cell, L m."""
        return self.traces.polynomials.size * len(self.coupling.orders)

    def size(self, cell: int) -> Size:
        """The levels and the weight of a cell, on which its rows of a term depend."""
        return tuple(self.geometry.tree.level[cell].tolist()), float(self.weights[cell])

    @cached_property
    def _triangles(self) -> dict[tuple[SampledTerm, Size], ProjectedReflections]:
        """The rows of the equation as triangles, for cells of each size that have the same."""
        return {}

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

    def weights_at(self, at: SideTrace) -> Tensor:
        """The factors of the differences of a cell's functions from a trace, (j, m)."""
        return self._face_weights[0 if at.side.upper else 1, at.face] * at.area**0.5

    def rows(self, cell: int) -> CellRows:
        """The rows of a cell."""
        equation, *walls = self.terms[cell]
        conditions = [*(one.rows() for one in walls), self._without_right(cell)]
        first = self._triangle(cell, equation)
        outer, traces = self._at_sides(cell)
        shared = self._shared_rows(cell) if self.shared.of(cell) else None
        return CellRows(first, _joined(conditions), outer, traces, shared)

    def times(self, cell: int, inner: Array, outer: Array) -> Array:
        """The rows of a cell times coefficients (L m, n) and traces (t + q, n), (r + t, n)."""
        coefficients = torch.from_numpy(inner)
        parts = [one.of(coefficients).numpy() for one in self.terms[cell]]
        parts.append(self._without_right(cell).numpy() @ inner)
        on_sides, traces = self._at_sides(cell)
        count = len(traces)
        parts.append(on_sides @ inner - traces @ outer[:count])
        found = np.concatenate(parts)
        return found + self._shared_rows(cell) @ outer[count:] if self.shared.of(cell) else found

    def _without_right(self, cell: int) -> Tensor:
        """The rows of a cell whose right-hand sides are zero, beside those on its faces."""
        equation = self.terms[cell][0]
        count = len(self.free_fields) if cell == 0 else 0
        found = equation.factors.new_zeros(count + len(self.shared.bounds(cell)), self.columns)
        if count:  # a row for each constant that nothing determines
            size = float(np.abs(self._triangle(cell, equation).triangle).max())
            found[range(count), self.free_fields] = size
        return found

    def _at_sides(self, cell: int) -> tuple[Array, Array]:
        """The rows on a cell's faces and arcs: for its coefficients and for the traces there."""
        outer, traces = [np.zeros((0, self.columns))], []
        scales = self.geometry.scale[cell].tolist()
        for at in self.geometry.sides[cell]:
            own, matrix = self.traces.rows(at, scales[at.side.axis], self.weights_at(at))
            outer.append(own)
            traces.append(matrix)
        for contact in self.contacts[cell]:
            own, diagonal = (one.numpy() for one in contact.of_cell())
            outer.append(own)
            traces.append(np.diag(diagonal))
        return np.concatenate([one.T for one in outer], axis=1).T, _diagonal(traces)

    def _shared_rows(self, cell: int) -> Array:
        """The rows of the functions that a cell shares with others, (r + t, q)."""
        parts = [self.shared.of_term(one, cell) for one in self.terms[cell]]
        if cell == 0:  # nothing in the rows of constants
            parts.append(parts[0].new_zeros(len(self.free_fields), parts[0].shape[1]))
        parts.append(self.shared.bounds(cell))
        for at in self.geometry.sides[cell]:
            parts.append(self.shared.at_side(cell, at, self.weights_at(at)))
        return _joined(parts)

    def _triangle(self, cell: int, equation: PlacedTerm) -> Reflections | ProjectedReflections:
        """The transformation of the rows of the equation in a cell to a triangle."""
        if not equation.term.is_alike:
            return Reflections.of(_joined([equation.rows()]))
        key = equation.term, self.size(cell)
        if key not in self._triangles:
            self._triangles[key] = ProjectedReflections.of(equation)
        return self._triangles[key]


def _diagonal(blocks: Sequence[Array]) -> Array:
    """Square matrices along the diagonal of one, (t, t)."""
    size, start = sum(map(len, blocks)), 0
    found = np.zeros((size, size), np.result_type(float, *blocks))
    for block in blocks:
        own = slice(start, start := start + len(block))
        found[own, own] = block
    return found


def _joined(rows: Sequence[Tensor]) -> Array:
    """Rows below one another, (r, c), with each column side by side in memory."""
    return torch.cat([one.T for one in rows], dim=1).T.numpy()
