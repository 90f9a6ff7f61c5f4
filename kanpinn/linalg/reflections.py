"""Orthogonal transformations by Householder's reflections, kept to be applied to other rows.

For complex rows they are unitary. Real rows may only be applied to real right-hand sides.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import get_lapack_funcs

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Reflections:
    """The orthogonal Q of A = Q R for a matrix A (r, c), with Q square.

    Args:
        vectors: the reflectors below the diagonal, and R above it, (r, c).
        factors: the factors of the reflectors, (min(r, c),).
    """

    vectors: Array
    factors: Array

    @classmethod
    def of(cls, rows: Array) -> "Reflections":
        """Factorise a matrix (r, c)."""
        if not rows.size:
            return cls(rows, np.zeros(0))
        (geqrf,) = get_lapack_funcs(("geqrf",), (rows,))
        vectors, factors, _, _ = geqrf(np.asfortranarray(rows), lwork=64 * rows.shape[1])
        return cls(vectors, factors)

    @property
    def shape(self) -> tuple[int, int]:
        """The numbers of rows r and columns c of A."""
        return self.vectors.shape

    @property
    def triangle(self) -> Array:
        """R, (min(r, c), c)."""
        return np.triu(self.vectors[: min(self.vectors.shape)])

    def apply(self, right_sides: Array) -> Array:
        """Q⁻¹ times a matrix, both (r, n)."""
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
    """The orthogonal Q of [A; B] = Q [R; 0] for an upper triangle A (c, c).

    Args:
        triangle: R, (c, c).
        vectors: the reflectors in the rows of B, (r, c); none are needed in those of A.
        factors: the triangular factors of the reflectors, (width, c).
        slanted: the number of the last rows of B that are an upper triangle.
    """

    triangle: Array
    vectors: Array
    factors: Array
    slanted: int

    @classmethod
    def of(cls, top: Array, below: Array, triangular: bool) -> "StackedReflections":
        """Factorise a triangle above other rows; both are overwritten.

        Args:
            top: A, (c, c).
            below: B, (r, c).
            triangular: whether B is an upper triangle itself.
        """
        # The number of columns in a block of LAPACK's QR with which it is fastest.
        width = 32 if len(top) > 400 else 16
        slanted = len(below) if triangular else 0
        top, below = np.asfortranarray(top), np.asfortranarray(below)
        (tpqrt,) = get_lapack_funcs(("tpqrt",), (top,))
        triangle, vectors, factors, _ = tpqrt(
            slanted, min(width, len(top)), top, below, overwrite_a=1, overwrite_b=1
        )
        return cls(triangle, vectors, factors, slanted)

    def apply(self, top: Array, below: Array) -> tuple[Array, Array]:
        """Q⁻¹ times [top; below], in the two parts (c, n) and (r, n); both are overwritten."""
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
    """The rows R x + S y = z, with x_i = 0 where R_ii is zero up to rounding.

    Args:
        triangle: R, with rows of the unit matrix for these x_i, (c, c).
        kept: the other x_i, a mask (c,).
        reflections: the transformation that makes the columns of the other x_i a triangle again;
            None if all are kept.
    """

    triangle: Array
    kept: Array
    reflections: Reflections | None

    @classmethod
    def of(cls, matrix: Array) -> "Solvable":
        """Find the x_i that rows leave open; matrix: R, (c, c), and anything below its diagonal."""
        reduced = matrix = np.triu(matrix)
        kept, reflections = np.ones(len(matrix), dtype=bool), None
        while True:  # without some columns, other diagonal entries may vanish
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
        """Transform rows S or z (c, m), `top`, like the rows R.

        Returns:
            The rows, with zeros for the x_i that are zero, and `left` with the rows left over.
        """
        if self.reflections is None:
            return top, left
        rows, count = self.reflections.apply(top), int(self.kept.sum())
        whole = np.zeros_like(rows)
        whole[self.kept] = rows[:count]
        return whole, np.concatenate([left, rows[count:]])


def _transposed(vectors: Array) -> str:
    """LAPACK's letter for the inverse transformation: the transpose, or its conjugate."""
    return "C" if np.iscomplexobj(vectors) else "T"
