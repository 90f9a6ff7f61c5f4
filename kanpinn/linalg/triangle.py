"""Least squares by orthogonal factors: folded over chunks of rows, rank-revealing, damped."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from kanpinn._support.distributed import together, tree, world
from kanpinn.linalg.multifrontal_qr import Rows, triangular_factor


@dataclass
class Fold:
    """The triangular factor of rows [J, r] that come in chunks.

    R becomes the triangle of qr([R; J_chunk, r_chunk]): memory is that of a few chunks and of R.
    Of several ranks each adds its own rows; their triangles are folded in a binary tree.

    Reference: Demmel et al., Communication-optimal parallel and sequential QR (2012), TSQR.
    """

    factor: Tensor | None = None
    waiting: list[Rows] = field(default_factory=list)

    def add(self, jacobian: Tensor, residual: Tensor) -> None:
        """Add the rows J (n, p) and r (n,)."""
        self.waiting.append((jacobian, residual))
        # A factorisation costs as if it had p more rows: it waits until it is worth while.
        if sum(len(r) for _, r in self.waiting) > 2 * jacobian.shape[1]:
            self.factor = triangular_factor(self.waiting, self.factor)
            self.waiting = []

    def total(self) -> "Triangle":
        """The triangle of all rows of all ranks.

        Raises:
            LinAlgError: if a row is not finite.
        """
        if self.waiting:
            self.factor, self.waiting = triangular_factor(self.waiting, self.factor), []
        assert self.factor is not None, "no rows to fold"
        factor = self.factor if world() == 1 else _over_ranks(self.factor)
        if not bool(torch.isfinite(factor).all()):  # LAPACK would print, or hang
            raise torch.linalg.LinAlgError(  # type: ignore[attr-defined]
                "a residual or one of its derivatives is not a finite number"
            )
        return Triangle(factor)


def fold(chunks: Iterable[Rows]) -> "Triangle":
    """The triangular factor of [J, r] from all chunks (J (n, p), r (n,)).

    Raises:
        LinAlgError: if a row is not finite.
    """
    rows = Fold()
    with together():
        for jacobian, residual in chunks:
            rows.add(jacobian, residual)
    return rows.total()


def _over_ranks(factor: Tensor) -> Tensor:
    """The triangle of all ranks' triangles, which travel without their zeros."""
    size = factor.shape[1]
    upper = torch.ones(size, size, dtype=torch.bool, device=factor.device).triu()

    def whole(packed: Tensor) -> Tensor:
        square = factor.new_zeros(size, size)
        square[upper] = packed
        return square

    def combined(one: Tensor, other: Tensor) -> Tensor:
        below = whole(other)
        return triangular_factor([(below[:, :-1], below[:, -1])], whole(one))[upper]

    padded = torch.cat([factor, factor.new_zeros(size - len(factor), size)])
    return whole(tree(padded[upper], combined))


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
        """z = Qᵀr, (min(n, p),)."""
        return self.factor[: self.factor.shape[1] - 1, -1]

    def loss(self, x: Tensor | None = None) -> float:
        """‖J x + r‖² for x (p,), by default x = 0."""
        total = self.factor[:, -1] if x is None else self.factor[:, :-1] @ x + self.factor[:, -1]
        return float(total @ total) + self.constant

    def towards(self, gradient: Tensor, loss: float) -> "Triangle":
        """The same RᵀR in a quadratic with this gradient (p,) and value at x = 0.

        2 Rᵀz = gradient is solved in the directions whose singular values exceed 1e-4 of the
        largest: the Hessian RᵀR has their squares, and quadrature does not resolve smaller ones.
        """
        matrix, scale = self.matrix, column_scale(self.matrix)
        u, s, vh = torch.linalg.svd(matrix / scale, full_matrices=False)
        kept = s > 1e-4 * s[0]
        z = u[:, kept] @ ((vh[kept] @ (gradient / scale)) / (2 * s[kept]))
        factor = torch.cat([matrix, z[:, None]], dim=1)
        return Triangle(factor, loss - float(z @ z))

    def solve(self, around: Tensor | None = None, rcond: float | None = None) -> tuple[Tensor, int]:
        """The smallest x (p,) that minimises ‖R (x - around) + z‖, and the numerical rank.

        Smallest where each column of R has unit length. Singular values below rcond (default:
        `rank_tolerance`) times the largest are cut off; around: (p,), 0 by default.
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
        if target.device.type == "cpu":
            result = torch.linalg.lstsq(scaled, target[:, None], rcond=rcond, driver="gelsd")
            return result.solution[:, 0] / scale, int(result.rank)
        u, s, vh = torch.linalg.svd(scaled, full_matrices=False)
        kept = s > rcond * s[0]
        x = vh[kept].T @ ((u.T @ target)[kept] / s[kept])
        return x / scale, int(kept.sum())

    def damped(self) -> "DampedSteps":
        """The Levenberg–Marquardt steps for every damping from one SVD of the scaled R.

        The coefficient of a spline that sees no point, whose column is rounding, stays as it is.
        """
        matrix = self.matrix
        length = torch.linalg.vector_norm(matrix, dim=0)
        seen = length >= 5 * torch.finfo(matrix.dtype).eps * length.max()
        # A spline that hardly sees a point must not get a huge coefficient: columns shorter than a
        # millionth of the longest are not scaled up to unit length.
        scale = column_scale(matrix[:, seen])
        scale = scale.clamp_min(1e-6 * float(scale.max()))
        u, s, vh = torch.linalg.svd(matrix[:, seen] / scale, full_matrices=False)
        directions = matrix.new_zeros(len(s), matrix.shape[1])
        directions[:, seen] = vh / scale
        return DampedSteps(u.T @ self.target, s, directions)


def _substituted(matrix: Tensor, target: Tensor, rcond: float) -> tuple[Tensor, int] | None:
    """The solution of R x = target by substitution, and the rank.

    None unless R is square and regular but for columns of zeros, with all singular values above a
    hundred times the cut-off: then none of them need be known. The smallest one is estimated, a
    little too large, by inverse iteration.
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
    least = float(torch.linalg.vector_norm(v, dim=0).max()) ** -0.5
    if not least > 100 * rcond * float(torch.linalg.matrix_norm(regular)):
        return None
    x = torch.linalg.solve_triangular(regular, target[:, None], upper=True)[:, 0]
    return x.masked_fill(empty, 0), int((~empty).sum())


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
        filtered = torch.where(s > 5 * torch.finfo(s.dtype).eps * s[0], filtered, 0)
        return -self.directions.T @ (filtered * self.projected)


def rank_tolerance(dtype: torch.dtype) -> float:
    """The default cut-off of singular values, relative to the largest: fifty eps.

    Less lets coefficients and rounding errors grow, more costs accuracy.
    """
    return 50 * torch.finfo(dtype).eps


def column_scale(matrix: Tensor) -> Tensor:
    """The Euclidean lengths of the columns (p,) of a matrix (n, p), 1 for columns of zeros."""
    length = torch.linalg.vector_norm(matrix, dim=0)
    return torch.where(length > 0, length, torch.ones_like(length))


def outside_range(left: Tensor, right: Tensor) -> Tensor:
    """Return (I - QQᵀ) right, Q an orthonormal basis of the range of `left`: (n, k) and (n, m).

    Columns that depend on each other, or are rounding, make the range smaller than k.
    """
    u, s, _ = torch.linalg.svd(left / column_scale(left), full_matrices=False)
    q = u[:, s > rank_tolerance(s.dtype) * s[0]]
    return right - q @ (q.T @ right)
