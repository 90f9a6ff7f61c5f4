"""The Poisson problem that every peer solves, and the quadrature that measures all errors.

    u_xx + u_yy = f on [-1, 1]^2,  u = 0 on the boundary,  u = sin(pi x) sin(pi y^2).

Only numpy is needed here: each peer's own environment has it.
"""

from collections.abc import Callable
from functools import cache

import numpy as np

PI = float(np.pi)
QUADRATURE_NODES = 200
INTERIOR_WEIGHT = 0.01
"""Weight of the interior residual in every penalty loss; the boundary's is 1 (the KAN paper's)."""

Field = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None]]
"""Coordinates (n, 2) to values (n,) and gradients (n, 2), or None where a peer gives none."""


def exact(x, y, xp=np):
    """Return sin(pi x) sin(pi y^2), for arrays of the library `xp` (numpy, torch or jax.numpy)."""
    return xp.sin(PI * x) * xp.sin(PI * y**2)


def exact_gradient(x, y) -> np.ndarray:
    """Return the gradient (n, 2) of the exact solution."""
    u_x = PI * np.cos(PI * x) * np.sin(PI * y**2)
    u_y = 2 * PI * y * np.sin(PI * x) * np.cos(PI * y**2)
    return np.stack([u_x, u_y], axis=1)


def source(x, y, xp=np):
    """Return -pi^2 (1 + 4 y^2) sin(pi x) sin(pi y^2) + 2 pi sin(pi x) cos(pi y^2)."""
    sine = xp.sin(PI * x)
    return sine * (-(PI**2) * (1 + 4 * y**2) * xp.sin(PI * y**2) + 2 * PI * xp.cos(PI * y**2))


def gauss_grid(nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return tensor Gauss-Legendre points (nodes^2, 2) of the square and weights of sum 1."""
    line, weights = np.polynomial.legendre.leggauss(nodes)
    x, y = np.meshgrid(line, line, indexing="ij")
    return np.stack([x.ravel(), y.ravel()], axis=1), np.outer(weights, weights).ravel() / 4


def boundary_grid(nodes: int) -> np.ndarray:
    """Return Gauss-Legendre points (4 nodes, 2) on the sides of the square."""
    line = np.polynomial.legendre.leggauss(nodes)[0]
    sides = [(np.full(nodes, side), line) for side in (-1.0, 1.0)]
    sides += [(along, across) for across, along in sides]
    return np.concatenate([np.stack(side, axis=1) for side in sides])


@cache
def _reference() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    points, weights = gauss_grid(QUADRATURE_NODES)
    return points, weights, exact(*points.T), exact_gradient(*points.T)


def relative_errors(field: Field) -> dict[str, float | None]:
    """Return the relative L2 and H1 errors of a field, by 200 x 200 Gauss-Legendre points."""
    points, weights, u, du = _reference()
    values, gradient = field(points)
    square, norm = weights @ (values - u) ** 2, weights @ u**2
    errors: dict[str, float | None] = {"l2_relative": float(np.sqrt(square / norm))}
    errors["h1_relative"] = None
    if gradient is not None:
        square = square + weights @ ((gradient - du) ** 2).sum(axis=1)
        norm = norm + weights @ (du**2).sum(axis=1)
        errors["h1_relative"] = float(np.sqrt(square / norm))
    return errors
