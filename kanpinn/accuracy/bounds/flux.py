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
        operator: gives A and γ, whose norm is |||w|||² = ∫ A∇w·∇w + γ w².
        sides: on sides with prescribed fluxes, which only boxes may have, q·n is 0.
        residual: r at the points of the grid, (k,).

    Returns:
        The bound; None where the equation is parabolic, or where q would have to balance the mean
        of r.

    Reference: Repin, A posteriori error estimation for variational problems with uniformly convex
    functionals (2000); Braess and Schöberl, Equilibrated residual error estimator (2008).
    """
    if not operator.is_elliptic:
        return None
    closed = {one.piece.side for one in sides.natural}
    gamma, table = max(operator.reaction[0], 0.0), grid.table(residual)
    axes = []
    for i, (count, h, a) in enumerate(
        zip(grid.shape, grid.h, operator.mean_diffusion, strict=True)
    ):
        ends = [(i, upper) in closed for upper in (False, True)]
        axes.append(_axis(count, float(h), float(a), ends))
    divisor = torch.full(grid.shape, gamma, dtype=torch.float64)
    for i, axis in enumerate(axes):
        divisor = (divisor.movedim(i, -1) + axis.eigenvalues).movedim(-1, i)
    if float(divisor.min()) <= 1e-13 * float(divisor.max()):
        return None
    means = table @ grid.weights
    variances = (table - means[:, None]).square() @ grid.weights
    z = means.view(grid.shape)
    for i, axis in enumerate(axes):
        z = _along(z, i, axis.vectors.T)
    z = z / divisor
    for i, axis in enumerate(axes):
        z = _along(z, i, axis.vectors)
    squares, longest = torch.zeros_like(z), torch.zeros_like(z)
    for i, axis in enumerate(axes):
        faces = _along(z, i, axis.to_faces).movedim(i, 0)
        left, right = faces[:-1], faces[1:]
        within = ((left**2 + left * right + right**2) / 3).movedim(0, i)
        squares += within / grid.least[i]
        longest = torch.maximum(longest, grid.h[i] / grid.least[i].sqrt())
    rough = longest / math.pi * variances.view(grid.shape).sqrt()
    total = (squares.sqrt() + rough).square().sum() + gamma * z[grid.touched].square().sum()
    return math.sqrt(grid.volume * float(total))


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


def _axis(count: int, h: float, a: float, closed: list[bool]) -> _Axis:
    """Return the operator with the value 0 at the ends, or with the flux 0 at `closed` ones."""
    to_faces = torch.zeros(count + 1, count, dtype=torch.float64)
    rows = torch.arange(count)
    to_faces[rows, rows] += a / h
    to_faces[rows + 1, rows] -= a / h
    to_faces[0] *= 0 if closed[0] else 2  # a wall is half a cell from the nearest centre
    to_faces[-1] *= 0 if closed[1] else 2
    values, vectors = torch.linalg.eigh((to_faces[:-1] - to_faces[1:]) / h)
    return _Axis(values, vectors, to_faces)


def _along(values: Tensor, axis: int, matrix: Tensor) -> Tensor:
    """Multiply one axis of a tensor by a matrix."""
    return torch.tensordot(matrix, values, dims=([1], [axis])).movedim(0, axis)
