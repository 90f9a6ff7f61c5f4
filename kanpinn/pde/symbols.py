"""Linear ordinary differential equations M(d/dτ) u = 0: decaying solutions, and their exponents.

M(ζ) is a matrix polynomial, such as the symbol of a linearised PDE along a boundary's normal.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy
import scipy.linalg


@dataclass(frozen=True)
class BoundaryModes:
    """Solutions of a system M(d/dτ) u = 0 of ordinary differential equations that decay for τ > 0.

    The system has m unknown functions u of τ, such as the distance from a boundary. If V is
    `values` and D is `derivative`, the decaying solutions are u(τ) = V exp(τ D) c with constants c.

    Args:
        degree: the number of independent solutions, decaying or not.
        decaying: the number of independent solutions that decay.
        values: the values at τ = 0 of a basis of the decaying solutions, (m, decaying).
        derivative: the matrix of d/dτ in this basis, (decaying, decaying).
    """

    degree: int
    decaying: int
    values: numpy.ndarray
    derivative: numpy.ndarray

    def rank(self, conditions: Sequence[numpy.ndarray]) -> int:
        """Return the rank of the linear map from decaying solutions to values of conditions.

        The values are those of B(d/dτ) u at τ = 0. The rank is the number of independent equations
        that the conditions B(d/dτ) u = 0 are for the constants c of a decaying solution.

        Args:
            conditions: for each set of k conditions the coefficients of the matrix polynomial B,
                the constant first, (r, k, m).
        """
        independent = 1e-9  # the least singular value that counts, for rows of size about 1
        rows = []
        for polynomial in conditions:
            states = [self.values]
            while len(states) < len(polynomial):
                states.append(states[-1] @ self.derivative)
            row = sum(part @ state for part, state in zip(polynomial, states, strict=True))
            sizes = numpy.linalg.norm(polynomial, axis=(0, 2))[:, None]
            rows.append(row / numpy.where(sizes > 0, sizes, 1))
        if not rows or not self.decaying:
            return 0
        matrix = numpy.concatenate(rows)
        if not numpy.isfinite(matrix).all():  # then no lack of conditions is proved
            return self.decaying
        return int((numpy.linalg.svd(matrix, compute_uv=False) > independent).sum())


def modes(polynomial: numpy.ndarray, neutral: float) -> BoundaryModes | None:
    """Return the decaying solutions of a system M(d/dτ) u = 0 of ordinary differential equations.

    The companion pencil A - ζ B of M (a matrix that is linear in ζ) turns the system into a system
    of first order. The eigenvectors of the pencil for all ζ with a negative real part span the
    decaying solutions.

    Args:
        polynomial: the coefficients of M(ζ), the constant first, (r + 1, m, m).
        neutral: the largest |ζ| for which exp(ζ τ) counts as neither decaying nor growing.

    Returns:
        The solutions; None if they are not known, because det M(ζ) is 0 for all ζ or coefficients
        of M are not finite.
    """
    # |ζ| ≥ `infinite` counts as infinite; a decaying solution has -Re ζ > straight · |ζ|.
    infinite, straight = 1e4, 1e-6
    m = polynomial.shape[1]
    if not numpy.isfinite(polynomial).all():
        return None
    polynomial, sizes = _balanced(polynomial)
    left, right = _companion(polynomial)

    def decays(alpha: numpy.ndarray, beta: numpy.ndarray) -> numpy.ndarray:
        """A mask of the eigenvalues ζ = alpha / beta that belong to decaying solutions."""
        finite = abs(alpha) < infinite * abs(beta)
        zeta = numpy.divide(alpha, beta, out=numpy.zeros_like(alpha), where=finite)
        return finite & (zeta.real < -straight * abs(zeta)) & (abs(zeta) > neutral)

    decomposed = scipy.linalg.ordqz(left, right, sort=decays, output="complex")
    upper, lower, alpha, beta, _, space = decomposed
    if (abs(alpha) + abs(beta) < 1e-12).any():
        return None
    count = int(decays(alpha, beta).sum())
    derivative = numpy.linalg.solve(lower[:count, :count], upper[:count, :count])
    degree = int((abs(alpha) < infinite * abs(beta)).sum())
    values = sizes[:, None] * space[:m, :count]
    return BoundaryModes(degree, count, values, derivative)


def exponents(polynomial: numpy.ndarray) -> numpy.ndarray:
    """Return all complex ζ with |ζ| < 1e4 for which the matrix M(ζ) is singular, (k,).

    Args:
        polynomial: the coefficients of M(ζ), the constant first, (r + 1, m, m). If they are not
            finite, the result is empty.
    """
    infinite = 1e4
    if not numpy.isfinite(polynomial).all():
        return numpy.zeros(0, complex)
    left, right = _companion(_balanced(polynomial)[0])
    alpha, beta = scipy.linalg.eig(left, right, right=False, homogeneous_eigvals=True)
    finite = (abs(alpha) < infinite * abs(beta)) & (abs(alpha) + abs(beta) > 1e-12)
    return alpha[finite] / beta[finite]


def _companion(polynomial: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Return matrices A and B, (r m, r m), such that A - ζ B is singular if and only if M(ζ) is.

    Args:
        polynomial: the coefficients of M(ζ), the constant first, (r + 1, m, m).
    """
    r, m = len(polynomial) - 1, polynomial.shape[1]
    left, right = numpy.eye(r * m, k=m, dtype=complex), numpy.eye(r * m, dtype=complex)
    left[-m:] = -numpy.concatenate(list(polynomial[:-1]), axis=1)
    right[-m:, -m:] = polynomial[-1]
    return left, right


def _balanced(polynomial: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Scale the rows and columns of a matrix polynomial so that its entries are about 1.

    Without this, the column of a pressure, for example, could be much smaller than the others.

    Args:
        polynomial: the coefficients, (r + 1, m, m).

    Returns:
        The scaled coefficients, (r + 1, m, m), and the factors of the columns, (m,).
    """
    sizes, tiny = numpy.ones(polynomial.shape[2]), 1e-300
    for _ in range(3):
        rows = abs(polynomial).max(axis=(0, 2), keepdims=True)
        polynomial = polynomial / numpy.maximum(rows, tiny)
        columns = numpy.maximum(abs(polynomial).max(axis=(0, 1)), tiny)
        polynomial, sizes = polynomial / columns, sizes / columns
    return polynomial, sizes
