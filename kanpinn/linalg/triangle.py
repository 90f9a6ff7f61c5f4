"""Least squares with a triangular factor: rank-revealing, damped."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class TriangularFactor:
    """The triangular factor [R, z; 0, ρ] of [J, r]: ‖J x + r‖² = ‖R x + z‖² + ρ².

    Args:
        factor: [R, z; 0, ρ], (k, p + 1) with k ≤ p + 1.
        constant: is added to the squared norm, so that a quadratic of any value is represented.
    """

    factor: Tensor
    constant: float = 0.0

    @property
    def matrix(self) -> Tensor:
        """R, (min(n, p), p)."""
        return self.factor[: self.factor.shape[1] - 1, :-1]

    @property
    def target(self) -> Tensor:
        """z = Qᵀr, (min(n, p),)."""
        return self.factor[: self.factor.shape[1] - 1, -1]

    def loss(self, x: Tensor | None = None) -> float:
        """Return ‖J x + r‖² + constant for x (p,), by default x = 0."""
        total = self.factor[:, -1] if x is None else self.factor[:, :-1] @ x + self.factor[:, -1]
        return float(total @ total) + self.constant

    def towards(self, gradient: Tensor, loss: float) -> "TriangularFactor":
        """Return a quadratic with the same R, but another gradient and value at x = 0.

        The target z solves 2 Rᵀz = gradient in the directions whose singular values exceed 1e-4 of
        the largest. The eigenvalues of RᵀR, half the Hessian, are their squares, and quadrature
        does not resolve smaller ones.

        Args:
            gradient: of the quadratic at x = 0, (p,).
            loss: its value at x = 0.
        """
        matrix, scale = self.matrix, column_scale(self.matrix)
        u, s, vh = torch.linalg.svd(matrix / scale, full_matrices=False)
        kept = s > 1e-4 * s[0]
        z = u[:, kept] @ ((vh[kept] @ (gradient / scale)) / (2 * s[kept]))
        factor = torch.cat([matrix, z[:, None]], dim=1)
        return TriangularFactor(factor, loss - float(z @ z))

    def solve(self, around: Tensor | None = None, rcond: float | None = None) -> tuple[Tensor, int]:
        """Return the minimum-norm x that minimises ‖R (x - around) + z‖, and the numerical rank.

        The norm is ‖D x‖, where the diagonal matrix D holds the lengths of R's columns.

        Args:
            around: the point about which the residual is linearised, (p,); 0 by default.
            rcond: singular values of the scaled R below rcond times the largest are cut off;
                `rank_tolerance` by default.

        Returns:
            x, (p,), and the numerical rank.
        """
        matrix = self.matrix
        target = -self.factor[: len(matrix), -1]
        if around is not None:
            target = matrix @ around + target
        scale = column_scale(matrix)
        rcond = rank_tolerance(target.dtype) if rcond is None else rcond
        scaled = matrix / scale
        if (found := _substituted(scaled, target, rcond)) is not None:
            return found[0] / scale, found[1]
        filled = scaled.any(dim=1)  # fewer rows than columns are stored as a square with empty ones
        scaled, target = scaled[filled], target[filled]
        if target.device.type == "cpu":
            result = torch.linalg.lstsq(scaled, target[:, None], rcond=rcond, driver="gelsd")
            return result.solution[:, 0] / scale, int(result.rank)
        u, s, vh = torch.linalg.svd(scaled, full_matrices=False)
        kept = s > rcond * s[0]
        x = vh[kept].T @ ((u.T @ target)[kept] / s[kept])
        return x / scale, int(kept.sum())

    def damped(self) -> "DampedSteps":
        """Return the Levenberg–Marquardt steps for all dampings, from one SVD of the scaled R.

        A basis function with no collocation point in its support has a column of rounding errors;
        its coefficient is not changed.
        """
        matrix = self.matrix
        length = torch.linalg.vector_norm(matrix, dim=0)
        seen = length >= 5 * torch.finfo(matrix.dtype).eps * length.max()
        # A basis function that is tiny at all points must not get a huge coefficient: columns
        # shorter than a millionth of the longest are not scaled up to unit length.
        scale = column_scale(matrix[:, seen])
        scale = scale.clamp_min(1e-6 * float(scale.max()))
        filled = matrix.any(dim=1)
        scaled, target = matrix[filled][:, seen] / scale, self.target[filled]
        u, s, vh = torch.linalg.svd(scaled, full_matrices=False)
        directions = matrix.new_zeros(len(s), matrix.shape[1])
        directions[:, seen] = vh / scale
        return DampedSteps(u.T @ target, s, directions)


def _substituted(matrix: Tensor, target: Tensor, rcond: float) -> tuple[Tensor, int] | None:
    """Return the solution of R x = target by back substitution, and the rank; None if it fails.

    It needs no SVD, but R must be square and regular apart from zero rows and columns, with all
    other singular values above a hundred times the cut-off. The smallest of them is estimated by
    inverse iteration, slightly too large.
    """
    if len(matrix) < matrix.shape[1]:
        return None
    empty = matrix.diagonal() == 0
    if bool(matrix[empty].any() or matrix[:, empty].any()):
        return None
    regular = matrix + torch.diag(empty.to(matrix)) if bool(empty.any()) else matrix
    generator = torch.Generator().manual_seed(0)
    v = torch.randn(len(regular), 4, generator=generator, dtype=torch.float64).to(regular)
    for _ in range(3):
        v = v / torch.linalg.vector_norm(v, dim=0)
        v = torch.linalg.solve_triangular(regular.T, v, upper=False)
        v = torch.linalg.solve_triangular(regular, v, upper=True)
    inverse = float(torch.linalg.vector_norm(v, dim=0).max())
    least = inverse**-0.5 if inverse else 0.0  # zero if its norm has overflowed before
    if not least > 100 * rcond * float(torch.linalg.matrix_norm(regular)):
        return None
    x = torch.linalg.solve_triangular(regular, target[:, None], upper=True)[:, 0]
    return x.masked_fill(empty, 0), int((~empty).sum())


@dataclass(frozen=True)
class DampedSteps:
    """The steps x(λ) = argmin ‖J x + r‖² + λ s₁² ‖D x‖² for all dampings λ.

    D has the column lengths of J on its diagonal; s₁ is the largest singular value of J D⁻¹. The
    steps come from the SVD U S Vᵀ of J D⁻¹, since forming JᵀJ would square the condition number.

    Args:
        projected: Uᵀr, (k,).
        singular: S, in descending order, (k,).
        directions: Vᵀ D⁻¹, (k, p).
    """

    projected: Tensor
    singular: Tensor
    directions: Tensor

    def step(self, damping: float) -> Tensor:
        """Return x(λ), (p,), for the damping λ."""
        s, largest = self.singular, self.singular[:1]  # none where no row depends on a parameter
        filtered = s / (s**2 + damping * largest**2)
        # Directions of rounding errors alone would otherwise get arbitrarily long steps.
        filtered = torch.where(s > 5 * torch.finfo(s.dtype).eps * largest, filtered, 0)
        return -self.directions.T @ (filtered * self.projected)


def rank_tolerance(dtype: torch.dtype) -> float:
    """Return the default cut-off of singular values, relative to the largest: 50 eps.

    A smaller cut-off lets coefficients and rounding errors grow, a larger one costs accuracy.
    """
    return 50 * torch.finfo(dtype).eps


def column_scale(matrix: Tensor) -> Tensor:
    """Return the Euclidean lengths (p,) of the columns of a matrix (n, p), 1 for zero columns."""
    length = torch.linalg.vector_norm(matrix, dim=0)
    return torch.where(length > 0, length, torch.ones_like(length))


def outside_range(left: Tensor, right: Tensor) -> Tensor:
    """Return (I - QQᵀ) right, (n, m), with Q an orthonormal basis of the range of `left`.

    Q has fewer than k columns if those of `left` are linearly dependent to rounding.

    Args:
        left: (n, k).
        right: (n, m).
    """
    u, s, _ = torch.linalg.svd(left / column_scale(left), full_matrices=False)
    q = u[:, s > rank_tolerance(s.dtype) * s[0]]
    return right - q @ (q.T @ right)
