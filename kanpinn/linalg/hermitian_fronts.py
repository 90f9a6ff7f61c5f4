"""Fronts of a sparse Hermitian matrix, and the steps that eliminate unknowns from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import get_lapack_funcs

Array = NDArray[Any]


class Scratch:
    """Memory that is used again and again: taking much new memory takes as long as the products.

    dtype: of the numbers.
    """

    def __init__(self, dtype: type) -> None:
        self._numbers: Array = np.empty(0, dtype)

    def matrix(self, rows: int, columns: int) -> Array:
        """A matrix of any numbers, which are overwritten by those of the next one."""
        if rows * columns > len(self._numbers):
            self._numbers = np.empty(rows * columns, self._numbers.dtype)
        return self._numbers[: rows * columns].reshape(rows, columns)


@dataclass(frozen=True, eq=False)
class HermitianFront:
    """A Hermitian matrix in some of the unknowns.

    Args:
        places: those of its unknowns in the order of their elimination, (c,).
        matrix: (c, c).
    """

    places: Array
    matrix: Array

    @classmethod
    def merged(cls, parts: Sequence["HermitianFront"], scratch: Scratch) -> "HermitianFront":
        """The sum of some fronts, with ascending places.

        scratch: for its matrix.
        """
        places = np.unique(np.concatenate([one.places for one in parts]))
        matrix = scratch.matrix(len(places), len(places))
        matrix[:] = 0
        for one in parts:
            for rows, from_rows in (runs := _runs(np.searchsorted(places, one.places))):
                into, own = matrix[rows], one.matrix[from_rows]
                for columns, from_columns in runs:
                    into[:, columns] += own[:, from_columns]
        return cls(places, matrix)


@dataclass(frozen=True, eq=False)
class Eliminated:
    """Unknowns x that a step eliminates from a front with the matrix [[A, B], [Bᴴ, C]].

    Args:
        inner, outer: the places of x, side by side, and of the unknowns y that remain.
        inverse: A⁻¹, (x, x).
        rest: A⁻¹ B, (x, y).
    """

    inner: slice
    outer: Array
    inverse: Array
    rest: Array

    @classmethod
    def of(
        cls, front: HermitianFront, count: int, scratch: Scratch
    ) -> tuple["Eliminated", HermitianFront]:
        """The step for the first `count` unknowns of a front, and the front of the others."""
        inner, outer = front.places[:count], front.places[count:]
        root = inverse_root(front.matrix[:count, :count])
        half = scratch.matrix(count, len(outer))
        np.matmul(root.conj().T, front.matrix[:count, count:], out=half)
        left = half.conj().T @ half
        np.subtract(front.matrix[count:, count:], left, out=left)
        step = cls(slice(inner[0], inner[0] + count), outer, root @ root.conj().T, root @ half)
        return step, HermitianFront(outer, left)

    def forward(self, right: Array) -> Array:
        """Subtract what x adds from the right-hand sides of y, and replace those b of x by A⁻¹ b.

        right: those of all unknowns, (m, n).

        Returns:
            bᴴ A⁻¹ b for each column, (n,). Their sum over all steps is the inner product of
            right-hand sides and solution.
        """
        own = right[self.inner]
        right[self.outer] -= self.rest.conj().T @ own
        known = self.inverse @ own
        products: Array = np.einsum("ij,ij->j", own.conj(), known).real
        right[self.inner] = known
        return products

    def backward(self, right: Array) -> None:
        """Replace A⁻¹ b by the solution x, when y is known."""
        right[self.inner] -= self.rest @ right[self.outer]


def inverse_root(matrix: Array) -> Array:
    """The W for which W Wᴴ is the inverse of a Hermitian matrix, (s, s).

    The inverse is zero in directions in which the matrix is singular up to rounding.
    """
    doubtful, singular, lengths = 1e-12, 1e-14, np.sqrt(np.maximum(matrix.diagonal().real, 0))
    factorised, inverted = get_lapack_funcs(("potrf", "trtri"), (matrix,))
    triangle, fails = factorised(matrix)
    if not fails and bool((np.square(triangle.diagonal().real / lengths) > doubtful).all()):
        found: Array = inverted(triangle)[0]
        return found
    scale = np.where(lengths > 0, 1 / np.where(lengths > 0, lengths, 1.0), 0.0)
    values, vectors = np.linalg.eigh(matrix * scale * scale[:, None])
    known = values > singular * values[-1]
    roots = np.where(known, 1 / np.sqrt(np.where(known, values, 1.0)), 0.0)
    return vectors * roots * scale[:, None]


def _runs(places: Array) -> list[tuple[slice, slice]]:
    """Where some places are one after the other: the places, and where these are in the array."""
    ends = np.flatnonzero(np.diff(places) != 1) + 1
    bounds = zip([0, *ends.tolist()], [*ends.tolist(), len(places)], strict=True)
    return [(slice(places[i], places[i] + j - i), slice(i, j)) for i, j in bounds if j > i]
