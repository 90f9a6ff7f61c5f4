"""The elimination of single cells from the least-squares problem of all cells."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from kanpinn.linalg.dissection import BlockRows
from kanpinn.linalg.reflections import Reflections

Array = NDArray[Any]


@dataclass(eq=False)
class CellGroup:
    """Cells whose rows have the same matrix, or a single cell.

    Args:
        cells: their numbers.
        faces: of each cell the numbers of its faces, and of the arcs at which it meets cells of
            other regions, (c, f).
        matrix: A, of the coefficients of a cell, (rows, L m).
        diagonal: the last t rows are A c - D y, y the traces on all faces; of D, (t,).
    """

    cells: Sequence[int]
    faces: Array
    matrix: Array
    diagonal: Array

    @cached_property
    def reflections(self) -> Reflections:
        """The QR factors of [A, -D]."""
        rows, traces = len(self.matrix), len(self.diagonal)
        below = np.zeros((rows, traces))
        below[rows - traces :] = -np.diag(self.diagonal)
        return Reflections.of(np.hstack([self.matrix, below]))

    @cached_property
    def triangle(self) -> Array:
        """The triangular factor of [A, -D]."""
        return self.reflections.triangle

    def fronts(self) -> Iterator[tuple[int, BlockRows]]:
        """The rows for the traces that remain when the coefficients of a cell are eliminated."""
        columns = self.matrix.shape[1]
        for cell, faces in zip(self.cells, self.faces, strict=True):
            yield cell, BlockRows(faces, self.triangle[columns:, columns:])

    def reduced(self, rights: Array) -> Array:
        """The right-hand sides of `triangle`, (c, columns, n); rights: of all cells, (c, rows, n).

        Those with numbers from L m on belong to the rows that remain for the traces.
        """
        count, rows, each = rights.shape
        flat = np.moveaxis(rights, 1, 0).reshape(rows, count * each)
        found = self.reflections.apply(flat)[: len(self.triangle)]
        return np.moveaxis(found.reshape(len(found), count, each), 1, 0)

    def forget_reflections(self) -> None:
        """Free their memory. What `fronts` and `solved` need is kept: the triangle."""
        triangle = self.triangle
        del self.reflections
        self.triangle = triangle

    def solved(self, reduced: Array, known: Array) -> Array:
        """The coefficients of each cell, (c, L m, n).

        Args:
            reduced: the right-hand sides, see `reduced`.
            known: the traces on the faces of each cell, (c, t, n).
        """
        columns, (count, _, each) = self.matrix.shape[1], reduced.shape
        rights = reduced[:, :columns] - self.triangle[:columns, columns:] @ known
        flat = np.moveaxis(rights, 1, 0).reshape(columns, count * each)
        found = solve_triangular(self.triangle[:columns, :columns], flat)
        return np.moveaxis(found.reshape(columns, count, each), 1, 0)

    def shares(self, found: Array, known: Array, rights: Array) -> Array:
        """The part of each cell in the functional, (c, n); the arguments are as above.

        found: the coefficients, (c, L m, n).
        """
        rest = self.matrix @ found - rights
        rest[:, rest.shape[1] - len(self.diagonal) :] -= self.diagonal[:, None] * known
        return np.einsum("crn,crn->cn", rest, rest)
