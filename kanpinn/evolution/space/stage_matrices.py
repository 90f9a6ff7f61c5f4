"""The linear systems of a window's stages: Σ_r μ^r K_r for each eigenvalue, assembled and factored.

The matrices K_r, of the derivatives of order r in time, are stored as bands if they are narrow, and
dense otherwise.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import lapack
from torch import Tensor

Array = NDArray[Any]


class MatrixLayout(ABC):
    """Where the entries of the matrices of one trial space are stored.

    unknowns: the number of rows and of columns.
    """

    unknowns: int

    @abstractmethod
    def assembled(self, entries: Array) -> Array:
        """The stored matrix from the entries of all elements, which are added up."""

    @abstractmethod
    def rows(self, matrix: Array, numbers: Array) -> Array:
        """Some rows of a stored matrix, (rows, unknowns)."""

    @abstractmethod
    def replace(self, matrix: Array, numbers: Array, rows: Array) -> None:
        """Replace some rows of a stored matrix."""

    @abstractmethod
    def factored(self, matrix: Array) -> "Factor":
        """The factors of a stored matrix, real or complex.

        Raises:
            LinAlgError: if it is singular.
        """


class Factor(ABC):
    """The factors of a matrix."""

    @abstractmethod
    def solve(self, right: Array) -> Array:
        """The solution of the linear system with a right-hand side (unknowns,)."""


class LinearSystem(ABC):
    """The systems Σ_r c_r K_r of a window, with K_r for the derivatives of order r in time."""

    @abstractmethod
    def factored(self, rates: Sequence[complex]) -> Factor:
        """The factors of Σ_r c_r K_r.

        rates: the c_r; those of a wave e^(μt) are the powers of μ.

        Raises:
            LinAlgError: if it is singular.
        """


@dataclass(frozen=True)
class Matrices(LinearSystem):
    """Stored matrices K_r.

    Args:
        stored: for r = 0, 1, …, as `layout` stores them.
        layout: where their entries are.
    """

    stored: Sequence[Array]
    layout: MatrixLayout

    def factored(self, rates: Sequence[complex]) -> Factor:
        total = self.stored[0] * rates[0]
        for rate, one in zip(rates[1:], self.stored[1:], strict=True):
            total = total + rate * one
        return self.layout.factored(total)


def layout_of(index: Tensor, fields: int, unknowns: int, reach: int = 0) -> MatrixLayout:
    """The layout for the coupling of all functions of each element.

    Args:
        index: the numbers of the functions of each element, (E, local).
        fields: the number of fields m; unknown number i·m + f is that of function i and field f.
        unknowns: the number of all.
        reach: how far rows are combined with each other.
    """
    numbers = (index[:, :, None] * fields + torch.arange(fields)).flatten(1).numpy()
    width = int(np.ptp(numbers, axis=1).max()) + reach
    rows = np.repeat(numbers, numbers.shape[1], axis=1)
    columns = np.tile(numbers, numbers.shape[1])
    if 3 * width < unknowns:
        return Bands(unknowns, width, ((2 * width + rows - columns) * unknowns + columns).ravel())
    return Dense(unknowns, (rows * unknowns + columns).ravel())


@dataclass(frozen=True)
class Bands(MatrixLayout):
    """Band matrices in LAPACK's layout, with `width` diagonals on either side of the main one."""

    unknowns: int
    width: int
    slots: Array

    def assembled(self, entries: Array) -> Array:
        shape = 3 * self.width + 1, self.unknowns
        found = np.bincount(self.slots, entries, shape[0] * shape[1])
        return found.reshape(shape)

    def rows(self, matrix: Array, numbers: Array) -> Array:
        found = np.zeros((len(numbers), self.unknowns), matrix.dtype)
        row, column, slot = self._near(numbers)
        found[row, column] = matrix[slot, column]
        return found

    def replace(self, matrix: Array, numbers: Array, rows: Array) -> None:
        row, column, slot = self._near(numbers)
        matrix[slot, column] = rows[row, column]

    def _near(self, numbers: Array) -> tuple[Array, Array, Array]:
        """The positions in the band: those of the row among `numbers`, column and diagonal."""
        column = numbers[:, None] + np.arange(-self.width, self.width + 1)
        row = np.broadcast_to(np.arange(len(numbers))[:, None], column.shape)
        inside = (column >= 0) & (column < self.unknowns)
        slot = 2 * self.width + numbers[:, None] - column
        return row[inside], column[inside], slot[inside]

    def factored(self, matrix: Array) -> Factor:
        factor = lapack.zgbtrf if np.iscomplexobj(matrix) else lapack.dgbtrf
        lu, pivots, info = factor(matrix, self.width, self.width)
        if info:
            raise np.linalg.LinAlgError("a stage's matrix is singular")
        return BandFactor(lu, pivots, self.width)


@dataclass(frozen=True)
class BandFactor(Factor):
    """The factors of a band matrix."""

    lu: Array
    pivots: Array
    width: int

    def solve(self, right: Array) -> Array:
        solver = lapack.zgbtrs if np.iscomplexobj(self.lu) else lapack.dgbtrs
        found, _ = solver(self.lu, self.width, self.width, right, self.pivots)
        return found


@dataclass(frozen=True)
class Dense(MatrixLayout):
    """Dense matrices."""

    unknowns: int
    slots: Array

    def assembled(self, entries: Array) -> Array:
        found = np.bincount(self.slots, entries, self.unknowns**2)
        return found.reshape(self.unknowns, self.unknowns)

    def rows(self, matrix: Array, numbers: Array) -> Array:
        return matrix[numbers]

    def replace(self, matrix: Array, numbers: Array, rows: Array) -> None:
        matrix[numbers] = rows

    def factored(self, matrix: Array) -> Factor:
        factor = lapack.zgetrf if np.iscomplexobj(matrix) else lapack.dgetrf
        lu, pivots, info = factor(matrix)
        if info:
            raise np.linalg.LinAlgError("a stage's matrix is singular")
        return DenseFactor(lu, pivots)


@dataclass(frozen=True)
class DenseFactor(Factor):
    """The factors of a dense matrix."""

    lu: Array
    pivots: Array

    def solve(self, right: Array) -> Array:
        solver = lapack.zgetrs if np.iscomplexobj(self.lu) else lapack.dgetrs
        found, _ = solver(self.lu, self.pivots, right)
        return found
