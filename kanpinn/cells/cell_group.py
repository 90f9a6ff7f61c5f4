"""The elimination of single cells from the least-squares problem of all cells."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from kanpinn.linalg.dissection import BlockRows, upper_triangle

Array = NDArray[Any]


@dataclass(eq=False)
class CellGroup:
    """Cells whose rows have the same matrix, or a single cell.

    Args:
        cells: their numbers.
        faces: of each cell the numbers of its faces, (c, f).
        matrix: A, of the coefficients of a cell, (rows, L m).
        diagonal: the last f t rows are A c - D y, y the traces on the faces; of D, (f t,).
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
        found = upper_triangle(np.hstack([self.matrix, below, self.rights]))
        return found[: columns + traces]

    def fronts(self) -> Iterator[tuple[int, BlockRows]]:
        """The rows for the traces that remain when the coefficients of a cell are eliminated."""
        columns = self.matrix.shape[1]
        count = columns + len(self.diagonal)
        for place, cell in enumerate(self.cells):
            parts = self.factor[columns:, columns:count], self.factor[columns:, count + place, None]
            yield cell, BlockRows(self.faces[place], np.hstack(parts))

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
