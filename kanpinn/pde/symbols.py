"""Solutions of the symbols of linearised equations: decaying modes at a boundary, and exponents."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy
import scipy.linalg


@dataclass(frozen=True)
class BoundaryModes:
    """The solutions of a system M(d/dτ) u = 0 of ordinary differential equations for τ > 0.

    Args:
        degree: the number of independent solutions.
        decaying: the number of independent solutions that decay.
        values: the values at τ = 0 of a basis of the decaying solutions, (m, decaying).
        derivative: d/dτ in this basis, (decaying, decaying).
    """

    degree: int
    decaying: int
    values: numpy.ndarray
    derivative: numpy.ndarray

    def rank(self, conditions: Sequence[numpy.ndarray]) -> int:
        """Return the number of independent equations of conditions at τ = 0 for decaying solutions.

        Args:
            conditions: for each condition B(d/dτ) u = 0 the coefficients of the polynomial B, the
                constant first, (r, k, m).
        """
        independent = 1e-9  # singular values relative to the sizes of conditions and solutions
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
        if not numpy.isfinite(matrix).all():  # this proves no lack of conditions
            return self.decaying
        return int((numpy.linalg.svd(matrix, compute_uv=False) > independent).sum())


def modes(polynomial: numpy.ndarray, neutral: float) -> BoundaryModes | None:
    """Return the solutions of M(d/dτ) u = 0.

    The companion pencil A - ζ B of M makes a system of first order. Its eigenvectors for all ζ with
    a negative real part span the decaying solutions.

    Args:
        polynomial: the coefficients of M(ζ), the constant first, (r + 1, m, m).
        neutral: exponents ζ of at most this size neither decay nor grow.

    Returns:
        The solutions; None if they are not known: det M is zero for all ζ, or M is not finite.
    """
    infinite, straight = 1e4, 1e-6  # infinite |ζ|; least |Re ζ| / |ζ| of a decay
    m = polynomial.shape[1]
    if not numpy.isfinite(polynomial).all():
        return None
    polynomial, sizes = _balanced(polynomial)
    left, right = _companion(polynomial)

    def decays(alpha: numpy.ndarray, beta: numpy.ndarray) -> numpy.ndarray:
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
    """Return all complex ζ with |ζ| < 1e4 and M(ζ) singular; none if M is not finite.

    polynomial: the coefficients of M(ζ), the constant first, (r + 1, m, m).
    """
    infinite = 1e4
    if not numpy.isfinite(polynomial).all():
        return numpy.zeros(0, complex)
    left, right = _companion(_balanced(polynomial)[0])
    alpha, beta = scipy.linalg.eig(left, right, right=False, homogeneous_eigvals=True)
    finite = (abs(alpha) < infinite * abs(beta)) & (abs(alpha) + abs(beta) > 1e-12)
    return alpha[finite] / beta[finite]


def _companion(polynomial: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Return matrices A and B, (r m, r m), for which A - ζ B is singular exactly where M(ζ) is."""
    r, m = len(polynomial) - 1, polynomial.shape[1]
    left, right = numpy.eye(r * m, k=m, dtype=complex), numpy.eye(r * m, dtype=complex)
    left[-m:] = -numpy.concatenate(list(polynomial[:-1]), axis=1)
    right[-m:, -m:] = polynomial[-1]
    return left, right


def _balanced(polynomial: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Scale the rows and columns of a matrix polynomial to size 1, such as a pressure's column.

    Returns:
        The scaled coefficients, and the factors of the columns, (m,).
    """
    sizes, tiny = numpy.ones(polynomial.shape[2]), 1e-300
    for _ in range(3):
        rows = abs(polynomial).max(axis=(0, 2), keepdims=True)
        polynomial = polynomial / numpy.maximum(rows, tiny)
        columns = numpy.maximum(abs(polynomial).max(axis=(0, 1)), tiny)
        polynomial, sizes = polynomial / columns, sizes / columns
    return polynomial, sizes
