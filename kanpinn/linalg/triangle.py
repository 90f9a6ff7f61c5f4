"""Least squares by orthogonal factors: folded over chunks of rows, rank-revealing, damped."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn._support.distributed import together, tree, world
from kanpinn.linalg.multifrontal_qr import Rows, triangle

HESSIAN_RANK = 1e-4  # a Hessian has its square, and what is shorter a rule does not see
SHORT = 1e-6  # columns shorter than this part of the longest are not scaled up further
ROUNDING = 5  # times eps: shorter columns and singular values, relative to the longest, are none
CLEAR = 100  # times the cut-off: where all singular values are above that none need be known


def fold(chunks: Iterable[Rows]) -> "Triangle":
    """The triangular factor of [J, r], with rows coming in chunks (J (n, p), r (n,)).

    R becomes the triangle of qr([R; J_chunk, r_chunk]): memory is that of one chunk and of R. Of
    several ranks each brings its own rows; their triangles are folded in a binary tree.

    Raises:
        LinAlgError: where a row is not finite.

    Reference: Demmel et al., Communication-optimal parallel and sequential QR (2012), TSQR.
    """
    with together():
        own = _fold(chunks)
    factor = _over_ranks(own)
    if not bool(torch.isfinite(factor).all()):  # LAPACK would print, or hang, instead of raising
        raise torch.linalg.LinAlgError(  # type: ignore[attr-defined]
            "a residual or one of its derivatives is not a finite number"
        )
    return Triangle(factor)


def _fold(chunks: Iterable[Rows]) -> Tensor:
    factor: Tensor | None = None
    waiting: list[Rows] = []
    count = 0
    for jacobian, residual in chunks:
        waiting.append((jacobian, residual))
        count += len(residual)
        # A fold costs as if it had p more rows: make it worth while.
        if count > 2 * jacobian.shape[1]:
            factor, waiting, count = _triangle(factor, waiting), [], 0
    if waiting:
        factor = _triangle(factor, waiting)
    assert factor is not None, "no rows to fold"
    return factor


def _over_ranks(factor: Tensor) -> Tensor:
    """The triangle of all ranks' triangles, which travel without their zeros."""
    if world() == 1:
        return factor
    size = factor.shape[1]
    upper = torch.ones(size, size, dtype=torch.bool, device=factor.device).triu()

    def whole(packed: Tensor) -> Tensor:
        square = factor.new_zeros(size, size)
        square[upper] = packed
        return square

    padded = torch.cat([factor, factor.new_zeros(size - len(factor), size)])
    return whole(tree(padded[upper], lambda a, b: _triangle(whole(a), [_rows(whole(b))])[upper]))


def _triangle(factor: Tensor | None, waiting: list[Rows]) -> Tensor:
    return triangle(waiting if factor is None else [_rows(factor), *waiting])


def _rows(factor: Tensor) -> Rows:
    return factor[:, :-1], factor[:, -1]


@dataclass(frozen=True)
class Triangle:
    """[R, z; 0, ρ] of qr([J, r]): ‖J x + r‖² = ‖R x + z‖² + ρ², and a constant beside."""

    factor: Tensor
    constant: float = 0.0

    @property
    def matrix(self) -> Tensor:
        """R, (min(n, p), p)."""
        return self.factor[: self.factor.shape[1] - 1, :-1]

    @property
    def target(self) -> Tensor:
        """z = Qᵀr, as long as R has rows."""
        return self.factor[: self.factor.shape[1] - 1, -1]

    def loss(self, x: Tensor | None = None) -> float:
        """‖J x + r‖² (x = 0 when none is given)."""
        total = self.factor[:, -1] if x is None else self.factor[:, :-1] @ x + self.factor[:, -1]
        return float(total @ total) + self.constant

    def towards(self, gradient: Tensor, loss: float) -> "Triangle":
        """The same RᵀR in a quadratic with this gradient and value at x = 0.

        2 Rᵀz = gradient is solved in the directions that rounding of the gradient leaves: a Hessian
        has the square of R's condition.
        """
        matrix, scale = self.matrix, column_scale(self.matrix)
        u, s, vh = torch.linalg.svd(matrix / scale, full_matrices=False)
        kept = s > HESSIAN_RANK * s[0]
        z = u[:, kept] @ ((vh[kept] @ (gradient / scale)) / (2 * s[kept]))
        factor = torch.cat([matrix, z[:, None]], dim=1)
        return Triangle(factor, loss - float(z @ z))

    def solve(self, target: Tensor, rcond: float | None = None) -> tuple[Tensor, int]:
        """The smallest x that minimises ‖R x - target‖, and the numerical rank.

        Smallest where each column of R has unit length. Singular values below rcond (default:
        `rank_tolerance`) times the largest are cut off.
        """
        scale = column_scale(self.matrix)
        rcond = rank_tolerance(target.dtype) if rcond is None else rcond
        scaled = self.matrix / scale
        if (found := _substituted(scaled, target, CLEAR * rcond)) is not None:
            return found[0] / scale, found[1]
        if target.device.type == "cpu":
            result = torch.linalg.lstsq(scaled, target[:, None], rcond=rcond, driver="gelsd")
            return result.solution[:, 0] / scale, int(result.rank)
        u, s, vh = torch.linalg.svd(scaled, full_matrices=False)
        kept = s > rcond * s[0]
        x = vh[kept].T @ ((u.T @ target)[kept] / s[kept])
        return x / scale, int(kept.sum())

    def damped(self) -> "DampedSteps":
        """The Levenberg–Marquardt steps for every damping from one SVD of the scaled R.

        A spline that sees no point, so that its column is rounding, stays as it is.
        """
        matrix = self.matrix
        length = torch.linalg.vector_norm(matrix, dim=0)
        seen = length >= ROUNDING * torch.finfo(matrix.dtype).eps * length.max()
        # A spline that hardly sees a point must not get a huge coefficient.
        scale = column_scale(matrix[:, seen])
        scale = scale.clamp_min(SHORT * float(scale.max()))
        u, s, vh = torch.linalg.svd(matrix[:, seen] / scale, full_matrices=False)
        directions = matrix.new_zeros(len(s), matrix.shape[1])
        directions[:, seen] = vh / scale
        return DampedSteps(u.T @ self.target, s, directions)


def _substituted(matrix: Tensor, target: Tensor, rcond: float) -> tuple[Tensor, int] | None:
    """The solution of R x = target and the rank, where R is regular but for columns of zeros."""
    if len(matrix) < matrix.shape[1]:
        return None
    empty = matrix.diagonal() == 0
    if bool(matrix[empty].any() or matrix[:, empty].any()):
        return None
    regular = matrix + torch.diag(empty.to(matrix)) if bool(empty.any()) else matrix
    if not _least_singular(regular) > rcond * float(torch.linalg.matrix_norm(regular)):
        return None
    x = torch.linalg.solve_triangular(regular, target[:, None], upper=True)[:, 0]
    return x.masked_fill(empty, 0), int((~empty).sum())


def _least_singular(matrix: Tensor) -> float:
    """An estimate of R's smallest singular value, a little above it, by inverse iteration."""
    generator = torch.Generator().manual_seed(0)
    v = torch.randn(len(matrix), 4, generator=generator, dtype=torch.float64).to(matrix)
    for _ in range(3):
        v = v / torch.linalg.vector_norm(v, dim=0)
        v = torch.linalg.solve_triangular(matrix.T, v, upper=False)
        v = torch.linalg.solve_triangular(matrix, v, upper=True)
    return float(torch.linalg.vector_norm(v, dim=0).max()) ** -0.5


@dataclass(frozen=True)
class DampedSteps:
    """x(λ) = argmin ‖J x + r‖² + λ s₁² ‖D x‖², D the column lengths, s₁ the largest singular value.

    s₁ is that of J D⁻¹, whose SVD gives the steps: JᵀJ would have the square of its condition.
    """

    projected: Tensor
    singular: Tensor
    directions: Tensor

    def step(self, damping: float) -> Tensor:
        """x(λ), (p,)."""
        s = self.singular
        filtered = s / (s**2 + damping * s[0] ** 2)
        # Directions that are rounding alone would otherwise get steps of any size.
        filtered = torch.where(s > ROUNDING * torch.finfo(s.dtype).eps * s[0], filtered, 0)
        return -self.directions.T @ (filtered * self.projected)


def rank_tolerance(dtype: torch.dtype) -> float:
    """Fifty eps: less lets coefficients and rounding errors grow, more costs accuracy."""
    return 50 * torch.finfo(dtype).eps


def column_scale(matrix: Tensor) -> Tensor:
    """Column lengths, 1 for columns of zeros."""
    length = torch.linalg.vector_norm(matrix, dim=0)
    return torch.where(length > 0, length, torch.ones_like(length))


def outside_range(left: Tensor, right: Tensor) -> Tensor:
    """Return (I - QQᵀ) right, Q an orthonormal basis of the range of `left`: (n, k) and (n, m).

    Columns that depend on each other, or are rounding, make the range smaller than k.
    """
    u, s, _ = torch.linalg.svd(left / column_scale(left), full_matrices=False)
    q = u[:, s > rank_tolerance(s.dtype) * s[0]]
    return right - q @ (q.T @ right)
