"""The elimination of single cells from the least-squares problem of all cells."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from kanpinn.cells.system.equal_rows import ProjectedReflections
from kanpinn.linalg.dissection import BlockRows
from kanpinn.linalg.reflections import Reflections, StackedReflections

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class CellRows:
    """The rows of a cell: A c + S s = b of its terms, and B c + O s - D y = b on its faces.

    y are the traces on the faces, and s the coefficients of functions that cells share.

    Args:
        equation: the transformation of the first rows of A, (e, L m), to a triangle. These are the
            many rows of the equation; cells with the same ones share it.
        conditions: the other rows of A, (r - e, L m).
        outer: B, (t, L m).
        traces: D, (t, t).
        shared: S and below it O, (r + t, q); None if the cell shares no functions.
    """

    equation: Reflections | ProjectedReflections
    conditions: Array
    outer: Array
    traces: Array
    shared: Array | None = None


@dataclass(frozen=True, eq=False)
class ReducedRights:
    """The right-hand sides of the rows that remain after the elimination of cells.

    Args:
        own: those of the rows R c + S y, (c, L m, n).
        traces: those of the rows T y, (c, t + q, n).
        lost: the sum of the squares of those of all other rows, which have become zero, (c, n).
    """

    own: Array
    traces: Array
    lost: Array


@dataclass(frozen=True, eq=False)
class CellElimination:
    """The transformation of the rows of a cell to R c + S y and T y.

    First the rows of the equation become a triangle, then this triangle with the rows of the
    conditions, and then with the rows of B, which alone contain the traces. The coefficients of
    functions that cells share count as further traces here; they are in all rows, also in those
    from which the other unknowns have gone.

    Args:
        equation: the transformation of the rows of the equation.
        conditions: that of this triangle and the other rows of A; None if there are none.
        outer: that of the triangle of A and the rows of B; None without traces.
        left: that of the rows that only shared functions are left in; None without any.
        triangle: R, (L m, L m).
        rest: S, (L m, t + q).
        traces: T, (t + q, t + q).
    """

    equation: Reflections | ProjectedReflections
    conditions: StackedReflections | None
    outer: StackedReflections | None
    left: Reflections | None
    triangle: Array
    rest: Array
    traces: Array

    @classmethod
    def of(cls, rows: CellRows) -> "CellElimination":
        """Eliminate the coefficients from the rows of a cell."""
        columns, count = rows.outer.shape[1], len(rows.traces)
        triangle = _padded(rows.equation.triangle, columns)
        rest, traces = np.zeros((columns, count), triangle.dtype), -rows.traces
        conditions = outer = None
        if len(rows.conditions):
            conditions = StackedReflections.of(triangle, rows.conditions, triangular=False)
            triangle = conditions.triangle
        if count:
            outer = StackedReflections.of(triangle.copy("F"), rows.outer, triangular=False)
            triangle, (rest, traces) = outer.triangle, outer.apply(rest, traces)
        found = cls(rows.equation, conditions, outer, None, triangle, rest, traces)
        return found if rows.shared is None else found._with(rows.shared)

    def _with(self, shared: Array) -> "CellElimination":
        """The same transformation with functions that cells share; shared: see `CellRows`."""
        own, below, others = self._moved(shared)
        left, (count, each) = Reflections.of(others), below.shape
        corner = np.zeros((each, count), below.dtype)
        traces = np.block([[self.traces, below], [corner, _padded(left.triangle, each)]])
        return replace(self, left=left, rest=np.hstack([self.rest, own]), traces=traces)

    def _moved(self, known: Array) -> tuple[Array, Array, Array]:
        """Transform columns of all rows, (r + t, n).

        Returns:
            Those of the rows with R, (L m, n), of those with T but for the last q, (t, n), and of
            those in which neither coefficients nor traces are left.
        """
        first, columns = self.equation.shape[0], len(self.triangle)
        last = first + (0 if self.conditions is None else len(self.conditions.vectors))
        equation = self.equation.apply(known[:first])
        own = _padded(equation, columns)
        left, traces = (np.array(part, order="F") for part in (known[first:last], known[last:]))
        if self.conditions is not None:
            own, left = self.conditions.apply(own, left)
        if self.outer is not None:
            own, traces = self.outer.apply(own, traces)
        return own, traces, np.concatenate([equation[columns:], left])

    def reduced(self, rights: Array) -> ReducedRights:
        """Transform right-hand sides of the rows of c cells, (c, r + t, n)."""
        cells, count, each = rights.shape
        own, traces, left = self._moved(np.moveaxis(rights, 1, 0).reshape(count, cells * each))
        if self.left is not None:
            left, shared = self.left.apply(left), self.left.shape[1]
            traces, left = np.concatenate([traces, _padded(left, shared)]), left[shared:]
        lost = _squares(left).sum(axis=0)
        own, traces = (np.moveaxis(t.reshape(-1, cells, each), 1, 0) for t in (own, traces))
        return ReducedRights(own, traces, lost.reshape(cells, each))


@dataclass(eq=False)
class ModelElimination:
    """The elimination of a cell, the model of all whose rows have the same matrix up to a factor.

    Args:
        rows: makes the rows of the model. They are made when they are needed, as they take
            more memory than their triangles.
    """

    rows: Callable[[], CellRows]

    @cached_property
    def elimination(self) -> CellElimination:
        """The transformation of the rows."""
        return CellElimination.of(self.rows())

    @cached_property
    def triangle(self) -> tuple[Array, Array, Array]:
        """R, S and T."""
        found = self.elimination
        return found.triangle, found.rest, found.traces

    def forget_reflections(self) -> None:
        """Free their memory. `CellGroup.solved` needs R, S and T alone, which are kept."""
        _ = self.triangle
        del self.elimination


@dataclass(frozen=True, eq=False)
class CellGroup:
    """Cells whose rows have the same matrix, or a single cell.

    Args:
        cells: their numbers.
        faces: of each cell the numbers of its faces, of the arcs at which it meets cells of other
            regions, and of the shared functions that it has, (c, f).
        shape: the numbers of rows, r + t, and of coefficients, L m, of a cell.
        model: the elimination of a cell whose matrix is this one up to a factor.
        factor: by which the matrix is that of `model`.
    """

    cells: Sequence[int]
    faces: Array
    shape: tuple[int, int]
    model: ModelElimination
    factor: float

    def fronts(self) -> Iterator[tuple[int, BlockRows]]:
        """The rows for the traces that remain when the coefficients of a cell are eliminated."""
        _, _, traces = self.model.triangle
        for cell, faces in zip(self.cells, self.faces, strict=True):
            yield cell, BlockRows(faces, traces, self.factor)

    def solved(self, reduced: ReducedRights, known: Array) -> tuple[Array, Array]:
        """The coefficients of each cell, (c, L m, n), and its part in the functional, (c, n).

        Args:
            reduced: the right-hand sides.
            known: the traces on the faces of each cell, (c, t, n).
        """
        triangle, rest, traces = self.model.triangle
        count, columns, each = reduced.own.shape
        own = reduced.own / self.factor - rest @ known
        flat = np.moveaxis(own, 1, 0).reshape(columns, count * each)
        found = solve_triangular(triangle, flat).reshape(columns, count, each)
        left = _squares(self.factor * (traces @ known) - reduced.traces).sum(axis=1)
        return np.moveaxis(found, 1, 0), reduced.lost + left


def _squares(numbers: Array) -> Array:
    """The squared absolute values of real or complex numbers."""
    return np.square(np.abs(numbers) if np.iscomplexobj(numbers) else numbers)


def _padded(rows: Array, count: int) -> Array:
    """The first `count` rows of a matrix, followed by rows of zeros if it has fewer."""
    found = np.zeros((count, rows.shape[1]), rows.dtype, order="F")
    found[: len(rows)] = rows[:count]
    return found
