"""Tensor-product approximations in numpy and scipy: what a square allows without any network.

Rows: `least-squares`, B-splines of degree 9 fitted to the equation at Gauss points; `collocation`,
the same splines at their Greville points, where the square system is a Sylvester equation;
`chebyshev`, polynomials at Chebyshev points. The boundary data are exact: functions that vanish
there. Every point of a row is a solve of its own, timed from nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.polynomial import chebyshev
from peers.measuring import Timeline, options, source
from scipy.interpolate import BSpline
from scipy.linalg import lstsq, solve_sylvester

DEGREE = 9
GROWTH = 8
"""The next size takes at most so many times as long."""
Basis = Callable[[np.ndarray, int], np.ndarray]
"""Points (n,) and an order of derivative to (n, functions); each function is 0 at -1 and 1."""


def spline_basis(intervals: int) -> Basis:
    """Return B-splines on a clamped grid, without the two that are not 0 at the ends."""
    line = np.linspace(-1, 1, intervals + 1)
    knots = np.concatenate([np.full(DEGREE, -1.0), line, np.full(DEGREE, 1.0)])
    splines = BSpline(knots, np.eye(intervals + DEGREE), DEGREE)
    return lambda points, order: splines(points, nu=order)[:, 1:-1]


def greville(intervals: int) -> np.ndarray:
    """Return the averages of DEGREE successive knots, without the two ends."""
    line = np.linspace(-1, 1, intervals + 1)
    knots = np.concatenate([np.full(DEGREE - 1, -1.0), line, np.full(DEGREE - 1, 1.0)])
    return np.convolve(knots, np.full(DEGREE, 1 / DEGREE), "valid")[1:-1]


def chebyshev_basis(functions: int) -> Basis:
    """Return T_(k+2) - T_(k mod 2), k = 0, 1, ..., which are 0 at both ends."""
    coefficients = np.eye(functions + 2)[2:]
    coefficients[np.arange(functions), np.arange(functions) % 2] -= 1

    def evaluate(points: np.ndarray, order: int) -> np.ndarray:
        return chebyshev.chebval(points, chebyshev.chebder(coefficients.T, order)).T

    return evaluate


@dataclass(frozen=True)
class TensorSolution:
    """u(x, y) = sum_ij C_ij B_i(x) B_j(y)."""

    basis: Basis
    coefficients: np.ndarray

    def __call__(self, coords: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        (x, dx), (y, dy) = ([self.basis(line, order) for order in (0, 1)] for line in coords.T)
        return self._sum(x, y), np.stack([self._sum(dx, y), self._sum(x, dy)], axis=1)

    def _sum(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return ((x @ self.coefficients) * y).sum(axis=1)


def solve_collocation(basis: Basis, line: np.ndarray) -> np.ndarray:
    """Solve B'' C B^T + B C B''^T = F at the points line x line, as many as functions."""
    values, second = basis(line, 0), basis(line, 2)
    operator = np.linalg.solve(values, second)
    right = np.linalg.solve(values, np.linalg.solve(values, source(line[:, None], line)).T).T
    return solve_sylvester(operator, operator.T, right)


def solve_least_squares(basis: Basis, nodes: int) -> np.ndarray:
    """Return the least-squares solution at nodes x nodes Gauss points with their weights."""
    line, weights = np.polynomial.legendre.leggauss(nodes)
    values, second = (np.sqrt(weights)[:, None] * basis(line, order) for order in (0, 2))
    matrix = np.kron(second, values) + np.kron(values, second)
    right = np.sqrt(np.outer(weights, weights)) * source(line[:, None], line)
    solution = lstsq(matrix, right.ravel(), lapack_driver="gelsy", check_finite=False)[0]
    return solution.reshape(values.shape[1], -1)


def least_squares(intervals: int) -> TensorSolution:
    basis = spline_basis(intervals)
    return TensorSolution(basis, solve_least_squares(basis, intervals + DEGREE + 6))


def collocation(intervals: int) -> TensorSolution:
    basis = spline_basis(intervals)
    return TensorSolution(basis, solve_collocation(basis, greville(intervals)))


def chebyshev_collocation(functions: int) -> TensorSolution:
    basis = chebyshev_basis(functions)
    points = np.cos(np.pi * np.arange(1, functions + 1) / (functions + 1))
    return TensorSolution(basis, solve_collocation(basis, points))


ROWS = {
    "least-squares": (f"splines k={DEGREE}, least squares", least_squares, (2, 4, 8, 12, 16, 24)),
    "collocation": (f"splines k={DEGREE}, collocation", collocation, (2, 4, 8, 16, 32, 64)),
    "chebyshev": ("Chebyshev collocation", chebyshev_collocation, (6, 10, 14, 18, 22, 26, 30)),
}


def run(budget: float, row: str) -> None:
    label, solve, sizes = ROWS[row]
    solve(sizes[0])  # loads what scipy imports late
    timeline = Timeline(label, "scipy", budget)
    for size in sizes:
        if not timeline.allows_another(GROWTH):
            return
        timeline.restart()
        solution = solve(size)
        timeline.parameters = solution.coefficients.size
        timeline.record(solution)


if __name__ == "__main__":
    given = options()
    run(given.budget, given.row)
