"""Products of vectors and the fronts of a sparse least-squares problem, some of which are alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import get_blas_funcs

from kanpinn.linalg.dissection import BlockRows
from kanpinn.linalg.elimination import columns_of_blocks

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class AlikeFronts:
    """Fronts with the same matrix up to a factor.

    Args:
        numbers: those of the fronts.
        rows: the matrix T, (r, t).
        columns: the unknowns of each front, (c, t).
        factors: the factor f of each front's matrix f T, (c,).
    """

    numbers: Sequence[int]
    rows: Array
    columns: Array
    factors: Array

    @cached_property
    def gram(self) -> Array:
        """TᴴT, (t, t), with each column side by side in memory."""
        return np.asfortranarray(self.rows.conj().T @ self.rows)

    def product(self, unknowns: Array) -> Array:
        """f T x for the unknowns (N, n) of all fronts, (c, r, n)."""
        return self._scaled(_applied(self.rows, unknowns[self.columns]), 1)

    def adjoint(self, rows: Array) -> Array:
        """f Tᴴ y for the rows (c, r, n) of these fronts, (c, t, n)."""
        return self._scaled(_applied(self.rows.conj().T, rows), 1)

    def normal(self, unknowns: Array) -> Array:
        """f² TᴴT x for the unknowns (N, n) of all fronts, (c, t, n).

        For a single vector only half of the symmetric matrix is read from memory: reading takes
        more time than multiplying.
        """
        own = unknowns[self.columns]
        if own.shape[0] * own.shape[2] > 1 or not own.size:
            return self._scaled(_applied(self.gram, own), 2)
        name = "hemv" if np.iscomplexobj(self.gram) else "symv"
        (multiply,) = get_blas_funcs((name,), (self.gram,))
        found: Array = multiply(self.factors[0] ** 2, self.gram, own.ravel(), lower=1)
        return found.reshape(own.shape)

    def _scaled(self, parts: Array, power: int) -> Array:
        """The parts (c, r, n) of all fronts times powers of their factors."""
        scaled: Array = parts * (self.factors**power)[:, None, None]
        return scaled


def alike_fronts(sizes: Array, fronts: Mapping[int, BlockRows]) -> list[AlikeFronts]:
    """The fronts in groups of those that share one array.

    Args:
        sizes: the numbers of unknowns of the blocks, (B,).
        fronts: the rows by number.
    """
    starts, groups = np.cumsum(sizes) - sizes, dict[int, list[int]]()
    for number, one in fronts.items():
        groups.setdefault(id(one.rows), []).append(number)
    return [
        AlikeFronts(
            numbers,
            fronts[numbers[0]].rows,
            np.stack([columns_of_blocks(fronts[at].blocks, starts, sizes) for at in numbers]),
            np.array([fronts[at].factor for at in numbers]),
        )
        for numbers in groups.values()
    ]


def _applied(matrix: Array, vectors: Array) -> Array:
    """The product of a matrix (r, t) with vectors (c, t, n), as one product: (c, r, n)."""
    count, _, each = vectors.shape
    flat = vectors.transpose(1, 0, 2).reshape(vectors.shape[1], count * each)
    return (matrix @ flat).reshape(-1, count, each).transpose(1, 0, 2)
