"""Orthogonal transformations by Householder reflections, stored so that they can be applied later.

For complex matrices they are unitary. The transformation of a real matrix can only be applied to
real right-hand sides.
"""

import math
import time
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import get_lapack_funcs

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Reflections:
    """The square orthogonal matrix Q of A = Q R for a matrix A (r, c), stored as reflectors.

    Args:
        vectors: the reflectors below the diagonal, and R on and above it, (r, c).
        factors: the factors of the reflectors, (min(r, c),).
    """

    vectors: Array
    factors: Array

    @classmethod
    def of(cls, rows: Array) -> "Reflections":
        """Factorise a matrix A = `rows`, (r, c)."""
        if not rows.size:
            return cls(rows, np.zeros(0))
        (geqrf,) = get_lapack_funcs(("geqrf",), (rows,))
        vectors, factors, _, _ = geqrf(np.asfortranarray(rows), lwork=64 * rows.shape[1])
        return cls(vectors, factors)

    @property
    def shape(self) -> tuple[int, int]:
        """The numbers of rows r and columns c of the matrix A = Q R."""
        return self.vectors.shape

    @property
    def triangle(self) -> Array:
        """The triangular factor R of A, (min(r, c), c)."""
        return np.triu(self.vectors[: min(self.vectors.shape)])

    def apply(self, right_sides: Array) -> Array:
        """Return Q⁻¹ B, (r, n).

        Args:
            right_sides: the matrix B, (r, n).
        """
        if not len(self.factors) or not right_sides.size:
            return right_sides
        kind = "unmqr" if np.iscomplexobj(self.vectors) else "ormqr"
        (multiply,) = get_lapack_funcs((kind,), (self.vectors,))
        transformed, _, _ = multiply(
            "L",
            _transposed(self.vectors),
            self.vectors[:, : len(self.factors)],
            self.factors,
            np.asfortranarray(right_sides),
            lwork=64 * right_sides.shape[1],
        )
        return transformed


@dataclass(frozen=True, eq=False)
class StackedReflections:
    """The orthogonal matrix Q of [A; B] = Q [R; 0] for an upper triangle A (c, c), as reflectors.

    Args:
        triangle: R, (c, c).
        vectors: the reflectors in the rows of B, (r, c); in the rows of A they are unit vectors.
        factors: the triangular factors of the reflectors, (width, c).
        slanted: the number of the last rows of B that form an upper triangle.
    """

    triangle: Array
    vectors: Array
    factors: Array
    slanted: int

    @classmethod
    def of(cls, top: Array, below: Array, triangular: bool) -> "StackedReflections":
        """Factorise [A; B] with an upper triangle A; both matrices are overwritten.

        Args:
            top: A, (c, c).
            below: B, (r, c).
            triangular: whether B is an upper triangle, too.
        """
        # The number of columns in a block with which LAPACK's QR is fastest.
        width = 32 if len(top) > 400 else 16
        slanted = len(below) if triangular else 0
        top, below = np.asfortranarray(top), np.asfortranarray(below)
        (tpqrt,) = get_lapack_funcs(("tpqrt",), (top,))
        triangle, vectors, factors, _ = tpqrt(
            slanted, min(width, len(top)), top, below, overwrite_a=1, overwrite_b=1
        )
        return cls(triangle, vectors, factors, slanted)

    def apply(self, top: Array, below: Array) -> tuple[Array, Array]:
        """Return the parts (c, n) and (r, n) of Q⁻¹ [top; below]; the arguments are changed."""
        if not top.shape[1]:
            return top, below
        (tpmqrt,) = get_lapack_funcs(("tpmqrt",), (self.vectors,))
        parts = tpmqrt(
            self.slanted,
            self.vectors,
            self.factors,
            np.asfortranarray(top),
            np.asfortranarray(below),
            side="L",
            trans=_transposed(self.vectors),
            overwrite_a=1,
            overwrite_b=1,
        )
        return parts[0], parts[1]


@dataclass(frozen=True, eq=False)
class Solvable:
    """The rows R x + S y = z in a form that gives x even where R (c, c) is singular.

    Unknowns x_i whose diagonal entry R_ii is zero up to rounding are set to zero.

    Args:
        triangle: R, with rows of the unit matrix for the x_i that are set to zero, (c, c).
        kept: a mask of the x_i that are not set to zero, (c,).
        reflections: the transformation that makes the columns of the kept x_i an upper triangle
            again; None if no x_i is set to zero.
    """

    triangle: Array
    kept: Array
    reflections: Reflections | None

    @classmethod
    def of(cls, matrix: Array) -> "Solvable":
        """Transform rows R x + S y = z so that they give x even where R is singular.

        The entries x_i that R does not determine become zero.

        Args:
            matrix: R, (c, c); entries below its diagonal are ignored.
        """
        reduced = matrix = np.triu(matrix)
        kept, reflections = np.ones(len(matrix), dtype=bool), None
        while True:  # after columns are left out, other diagonal entries may vanish
            diagonal = np.abs(np.diag(reduced))
            empty = diagonal <= 1e-15 * diagonal.max(initial=0.0)
            if not empty.any():
                break
            kept[kept.nonzero()[0][empty]] = False
            reflections = Reflections.of(matrix[:, kept])
            reduced = reflections.triangle
        if reflections is None:
            return cls(matrix, kept, None)
        triangle = np.eye(len(matrix), dtype=matrix.dtype)
        triangle[np.ix_(kept, kept)] = reduced
        return cls(triangle, kept, reflections)

    def apply(self, top: Array, left: Array) -> tuple[Array, Array]:
        """Transform further columns of the rows R, such as S or z.

        Args:
            top: the columns, (c, m).
            left: other rows with m columns.

        Returns:
            The transformed columns (c, m), with zeros in the rows of x_i that are set to zero; and
            `left`, followed by the transformed rows that contain no x_i, (…, m).
        """
        if self.reflections is None:
            return top, left
        rows, count = self.reflections.apply(top), int(self.kept.sum())
        whole = np.zeros_like(rows)
        whole[self.kept] = rows[:count]
        return whole, np.concatenate([left, rows[count:]])


@cache
def operations_per_second() -> float:
    """The measured speed of QR decompositions on this machine, as operations per second.

    A decomposition of a matrix (r, c) has 2 c² (r - c / 3) operations.
    """
    rows, columns, seconds = 400, 200, math.inf  # as for cells of a system in space
    matrix = np.random.default_rng(0).standard_normal((rows, columns))
    for _ in range(9):
        begun = time.perf_counter()
        Reflections.of(matrix)
        seconds = min(seconds, time.perf_counter() - begun)
    return 2 * columns**2 * (rows - columns / 3) / seconds


def _transposed(vectors: Array) -> str:
    """LAPACK's letter for the inverse transformation: "T" if real, "C" if complex."""
    return "C" if np.iscomplexobj(vectors) else "T"
