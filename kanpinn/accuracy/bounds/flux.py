"""An equilibrated flux on a grid of cells, which bounds the dual norm of a residual."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn.accuracy.bounds.grid import Grid
from kanpinn.accuracy.bounds.operator import Operator
from kanpinn.accuracy.bounds.sides import Sides


def flux_bound(grid: Grid, operator: Operator, sides: Sides, residual: Tensor) -> float | None:
    """Bound sup ∫ r w / |||w||| over all w that vanish where values are prescribed.

    The residual r, continued by 0 outside the domain, has the means r̄ in the cells. A
    finite-volume solution z of -Σ a_i ∂_ii z + γ z = r̄ gives fluxes q through their faces, linear
    in each cell, with -div q + γ z = r̄ exactly. For all these w,
    ∫ r w = ∫ q·∇w + γ z w + (r - r̄) w, and the last part is bounded in each cell with the constant
    of Payne and Weinberger, its longest side over π.

    Args:
        grid: the cells.
        operator: gives A and γ, whose norm is |||w|||² = ∫ A∇w·∇w + γ w² + ∫ α w².
        sides: on sides with prescribed fluxes, which only boxes may have, q·n is α z, and the norm
            has the last integral.
        residual: r at the points of the grid, (k,).

    Returns:
        The bound; None where the equation is parabolic, or where q would have to balance the mean
        of r.

    Reference: Repin, A posteriori error estimation for variational problems with uniformly convex
    functionals (2000); Braess and Schöberl, Equilibrated residual error estimator (2008).
    """
    if not operator.is_elliptic:
        return None
    alpha = {one.piece.side: one.alpha for one in sides.natural}
    gamma, table = max(operator.effective_reaction[0], 0.0), grid.table(residual)
    columns = zip(grid.shape, grid.h.tolist(), operator.mean_diffusion.tolist(), strict=True)
    axes = [
        _axis(count, h, a, [alpha.get((i, upper), math.inf) for upper in (False, True)])
        for i, (count, h, a) in enumerate(columns)
    ]
    means = table @ grid.weights
    z = _solution(axes, gamma, means.view(grid.shape))
    if z is None:
        return None
    squares, longest, on_sides = torch.zeros_like(z), torch.zeros_like(z), 0.0
    for i, axis in enumerate(axes):
        faces = _along(z, i, axis.to_faces).movedim(i, 0)
        left, right = faces[:-1], faces[1:]
        squares += ((left**2 + left * right + right**2) / 3).movedim(0, i) / grid.least[i]
        longest = torch.maximum(longest, grid.h[i] / grid.least[i].sqrt())
        for upper in (False, True):
            if alpha.get((i, upper)):
                square = float(faces[-int(upper)].square().sum()) / alpha[i, upper]
                on_sides += square / float(grid.h[i])  # relative to the volume of a cell
    variances = (table - means[:, None]).square() @ grid.weights
    rough = longest / math.pi * variances.view(grid.shape).sqrt()
    total = (squares.sqrt() + rough).square().sum() + gamma * z[grid.touched].square().sum()
    return math.sqrt(grid.volume * (float(total) + on_sides))


@dataclass(frozen=True, eq=False)
class _Axis:
    """The finite-volume operator -a ∂² on one axis of n cells.

    Args:
        eigenvalues, vectors: of its matrix, (n,) and (n, n).
        to_faces: from values in cells to fluxes through the faces, (n + 1, n).
    """

    eigenvalues: Tensor
    vectors: Tensor
    to_faces: Tensor


def _axis(count: int, h: float, a: float, ends: list[float]) -> _Axis:
    """Return the operator with q·n = α z at the two ends; α is infinite for the value 0."""
    to_faces = torch.zeros(count + 1, count, dtype=torch.float64)
    rows = torch.arange(count)
    to_faces[rows, rows] += a / h
    to_faces[rows + 1, rows] -= a / h
    for row, alpha in zip((0, -1), ends, strict=True):
        # From the nearest centre to the wall is half a cell, and from there on 1/α.
        to_faces[row] *= 0 if alpha == 0 else 1 / (1 / 2 + a / (alpha * h))
    values, vectors = torch.linalg.eigh((to_faces[:-1] - to_faces[1:]) / h)
    return _Axis(values, vectors, to_faces)


def _solution(axes: list[_Axis], gamma: float, means: Tensor) -> Tensor | None:
    """Return z with Σ -a_i ∂_ii z + γ z = r̄ in the cells; None where the operator is singular."""
    divisor, z = torch.full_like(means, gamma), means
    for i, axis in enumerate(axes):
        divisor = (divisor.movedim(i, -1) + axis.eigenvalues).movedim(-1, i)
        z = _along(z, i, axis.vectors.T)
    if float(divisor.min()) <= 1e-13 * float(divisor.max()):
        return None
    z = z / divisor
    for i, axis in enumerate(axes):
        z = _along(z, i, axis.vectors)
    return z


def _along(values: Tensor, axis: int, matrix: Tensor) -> Tensor:
    """Multiply one axis of a tensor by a matrix."""
    return torch.tensordot(matrix, values, dims=([1], [axis])).movedim(0, axis)
