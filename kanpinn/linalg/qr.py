"""Dense and banded linear least squares by QR factors of rows that come in chunks.

With several ranks (processes) each rank has some of the rows.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.linalg import lstsq
from torch import Tensor

from kanpinn._support.distributed import together, tree, world


@dataclass(frozen=True)
class TriangularFactor:
    """A linear least-squares problem, reduced to a triangle: ‖J x + r‖² = ‖R x + z‖² + ρ².

    J (n, p) is a matrix and r (n,) a vector. [R, z; 0, ρ] is the triangular factor of [J, r].

    Args:
        factor: [R, z; 0, ρ], (k, p + 1) with k ≤ p + 1.
        constant: a term added to the squared norm, so that a quadratic of any value is represented.
    """

    factor: Tensor
    constant: float = 0.0

    @property
    def matrix(self) -> Tensor:
        """The triangular factor R of J, (min(n, p), p)."""
        return self.factor[: self.factor.shape[1] - 1, :-1]

    @property
    def target(self) -> Tensor:
        """The transformed right-hand side z = Qᵀr, (min(n, p),), for J = Q R."""
        return self.factor[: self.factor.shape[1] - 1, -1]

    def loss(self, x: Tensor | None = None) -> float:
        """Return ‖J x + r‖² + constant for x (p,), by default x = 0."""
        total = self.factor[:, -1] if x is None else self.factor[:, :-1] @ x + self.factor[:, -1]
        return float(total @ total) + self.constant

    def towards(self, gradient: Tensor, loss: float) -> "TriangularFactor":
        """Return the quadratic ‖R x + z‖² + const with this R and a given gradient and value at 0.

        The target z solves 2 Rᵀz = gradient in the directions whose singular values exceed 1e-4 of
        the largest. The eigenvalues of RᵀR, half the Hessian, are the squares of these singular
        values, and quadrature does not resolve smaller eigenvalues.

        Args:
            gradient: the gradient of the quadratic at x = 0, (p,).
            loss: the value of the quadratic at x = 0.
        """
        matrix, scale = self.matrix, column_scale(self.matrix)
        u, s, vh = torch.linalg.svd(matrix / scale, full_matrices=False)
        kept = s > 1e-4 * s[:1]  # empty for an energy without curvature
        z = u[:, kept] @ ((vh[kept] @ (gradient / scale)) / (2 * s[kept]))
        return TriangularFactor(torch.cat([matrix, z[:, None]], dim=1), loss - float(z @ z))

    def solve(self, around: Tensor | None = None, rcond: float | None = None) -> tuple[Tensor, int]:
        """Return the minimum-norm x that minimises ‖R (x - around) + z‖, and the rank of R.

        The norm is ‖D x‖, where the diagonal matrix D holds the lengths of R's columns.

        Args:
            around: the point about which the residual is linearised, (p,); 0 by default.
            rcond: singular values of R D⁻¹ below rcond times the largest are cut off;
                `rank_tolerance` by default.

        Returns:
            x, (p,), and the numerical rank of R D⁻¹.
        """
        matrix = self.matrix
        target = -self.factor[: len(matrix), -1]
        if around is not None:
            target = matrix @ around + target
        scale = column_scale(matrix)
        rcond = rank_tolerance(target.dtype) if rcond is None else rcond
        scaled = matrix / scale
        if (solved := _substituted(scaled, target, rcond)) is not None:
            return solved[0] / scale, solved[1]
        filled = scaled.any(dim=1)  # missing rows are stored as rows of zeros
        scaled, target = scaled[filled], target[filled]
        x, rank = minimum_norm(scaled, target, rcond)
        return x / scale, rank

    def damped(self) -> "DampedSteps":
        """Return the Levenberg–Marquardt steps for all dampings, from one SVD of R.

        The columns of R are scaled before. A basis function with no collocation point in its
        support has a column of rounding errors; the coefficient of this function is not changed.
        """
        matrix = self.matrix
        length = torch.linalg.vector_norm(matrix, dim=0)
        seen = length >= 5 * torch.finfo(matrix.dtype).eps * length.max()
        # A basis function that is tiny at all points must not get a huge coefficient: columns
        # shorter than a millionth of the longest column are not scaled up to unit length.
        scale = column_scale(matrix[:, seen])
        scale = scale.clamp_min(1e-6 * float(scale.max()))
        filled = matrix.any(dim=1)
        scaled, target = matrix[filled][:, seen] / scale, self.target[filled]
        u, s, vh = torch.linalg.svd(scaled, full_matrices=False)
        directions = matrix.new_zeros(len(s), matrix.shape[1])
        directions[:, seen] = vh / scale
        return DampedSteps(u.T @ target, s, directions)


def _substituted(matrix: Tensor, target: Tensor, rcond: float) -> tuple[Tensor, int] | None:
    """Return the solution of R x = target by back substitution, and the numerical rank.

    This needs no SVD. The smallest singular value of R is estimated by inverse iteration, slightly
    too large.

    Args:
        matrix: R, upper triangular, (k, p).
        target: the right-hand side, (k,).
        rcond: the cut-off of singular values, relative to the largest one.

    Returns:
        The solution, (p,), with zeros for zero columns, and the rank: the number of nonzero
        columns. None unless R is square and, apart from zero rows and columns, has only singular
        values above a hundred times the cut-off.
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
    least = inverse**-0.5 if inverse else 0.0  # `inverse` is 0 if an earlier norm has overflowed
    if not least > 100 * rcond * float(torch.linalg.matrix_norm(regular)):
        return None
    x = torch.linalg.solve_triangular(regular, target[:, None], upper=True)[:, 0]
    return x.masked_fill(empty, 0), int((~empty).sum())


def minimum_norm(matrix: Tensor, target: Tensor, rcond: float) -> tuple[Tensor, int]:
    """Return the shortest least-squares solution x of A x = b, and the numerical rank of A.

    On a CPU the rank is that of a triangle from a QR factorisation with pivoting, which takes a
    third of the time of an SVD. Elsewhere it is the number of singular values above the cut-off.

    Args:
        matrix: A, (k, p).
        target: b, (k,).
        rcond: the cut-off of singular values, relative to the largest one.

    Returns:
        x, (p,), and the rank.
    """
    if target.device.type == "cpu":
        x, _, rank, _ = lstsq(matrix.numpy(), target.numpy(), rcond, lapack_driver="gelsy")
        return torch.from_numpy(x), int(rank)
    u, s, vh = torch.linalg.svd(matrix, full_matrices=False)
    kept = s > rcond * s[0]
    return vh[kept].T @ ((u.T @ target)[kept] / s[kept]), int(kept.sum())


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
        """Return the step x(λ), (p,), for the damping λ."""
        s, largest = self.singular, self.singular[:1]  # empty if no row depends on a parameter
        filtered = s / (s**2 + damping * largest**2)
        # Directions of rounding errors alone would otherwise get arbitrarily long steps.
        filtered = torch.where(s > 5 * torch.finfo(s.dtype).eps * largest, filtered, 0)
        return -self.directions.T @ (filtered * self.projected)


def rank_tolerance(dtype: torch.dtype) -> float:
    """Return the default cut-off of singular values, relative to the largest: 50 eps.

    A smaller cut-off lets coefficients and rounding errors grow; a larger cut-off costs accuracy.
    """
    return 50 * torch.finfo(dtype).eps


def column_scale(matrix: Tensor) -> Tensor:
    """Return the Euclidean lengths (p,) of the columns of a matrix (n, p), 1 for zero columns."""
    length = torch.linalg.vector_norm(matrix, dim=0)
    return torch.where(length > 0, length, torch.ones_like(length))


def outside_range(left: Tensor, right: Tensor) -> Tensor:
    """Project columns onto the complement of a matrix's range: (I - QQᵀ) right, (n, m).

    Q is an orthonormal basis of the range of `left`. Columns of `left` that are linearly dependent
    up to rounding count once.

    Args:
        left: (n, k).
        right: (n, m).
    """
    u, s, _ = torch.linalg.svd(left / column_scale(left), full_matrices=False)
    q = u[:, s > rank_tolerance(s.dtype) * s[0]]
    return right - q @ (q.T @ right)


BLOCK = 16  # the number of columns that share one flag for nonzero entries
WIDTH = 4 * BLOCK  # the number of columns that a front eliminates

Rows = tuple[Tensor, Tensor]  # J (n, p) and r (n,)


def triangular_factor(chunks: Sequence[Rows], above: Tensor | None = None) -> Tensor:
    """Return the upper triangular R with RᵀR = [J, r]ᵀ[J, r], for rows [J, r] in chunks.

    Jacobians of splines are banded: each row has its nonzero entries in a few adjacent columns. QR
    factorisations of p / WIDTH fronts (dense submatrices) then take O(n b²) operations for b
    columns per front, instead of the O(n p²) of a dense QR. Periodic conditions couple the first
    columns with the last columns. Every front then contains the last columns as well.

    Args:
        chunks: pairs of rows J (n, p) and r (n,).
        above: further rows [J, r], (m, p + 1), such as the factor of earlier chunks.

    Returns:
        R, (k, p + 1) with k ≤ p + 1.

    Reference: George and Heath, Solution of sparse linear least squares problems using Givens
    rotations (1980); Davis, Direct methods for sparse linear systems (2006), chapter 5.
    """
    if above is not None:
        chunks = [(above[:, :-1], above[:, -1]), *chunks]
    # Measured: fronts are faster from 256 columns on, if at most a quarter of J is nonzero.
    if chunks[0][0].shape[1] >= 256:
        entries = sum(int(torch.count_nonzero(j)) for j, _ in chunks)
        if entries < 0.25 * sum(j.numel() for j, _ in chunks):
            return _eliminated(chunks)
    stacked = [torch.cat([j.T, r[None]]) for j, r in chunks]  # column-major, as LAPACK wants it
    return torch.linalg.qr(torch.cat(stacked, dim=1).T, mode="r").R


def _eliminated(chunks: Sequence[Rows]) -> Tensor:
    """Return the triangular factor (p + 1, p + 1) of banded rows, computed front by front.

    A front consists of the rows that the front before it has left over, and of all rows whose first
    nonzero entry is in the front's own WIDTH columns. The front's columns are the columns in which
    these rows may have nonzero entries, and the column r. The front is replaced by its QR factor.
    Rows of the factor that belong to columns without entries in later rows are final; the other
    rows go to the next front.

    Args:
        chunks: pairs of rows J (n, p) and r (n,).
    """
    size = chunks[0][0].shape[1] + 1
    factor = chunks[0][0].new_zeros(size, size).T
    entries = [(j != 0).T for j, _ in chunks]  # (p, n) each
    last = entries[0].new_ones(1)
    there = torch.cat([torch.stack([e.any(dim=1) for e in entries]).any(dim=0), last])
    blocks = []  # for each row, the blocks of columns with nonzero entries: (p / BLOCK, n)
    for entry in entries:
        padded = torch.nn.functional.pad(entry, (0, 0, 0, -len(entry) % BLOCK))
        blocks.append(padded.unflatten(0, (-1, BLOCK)).any(dim=1))
    begins = [block.to(torch.uint8).argmax(dim=0) * BLOCK // WIDTH for block in blocks]
    used = torch.zeros_like(blocks[0][:, 0])
    before, left = torch.arange(0, device=factor.device), factor[:0, :0]
    for number in range((size - 1) // WIDTH + 1):
        rows = [(first == number).nonzero()[:, 0] for first in begins]
        used[: number * WIDTH // BLOCK] = False
        for block, index in zip(blocks, rows, strict=True):
            used |= block[:, index].any(dim=1)
        here = torch.cat([used.repeat_interleave(BLOCK)[: size - 1], last]) & there
        columns, done = here.nonzero()[:, 0], int(here[: (number + 1) * WIDTH].sum())
        place = torch.searchsorted(columns, before)
        active = [factor.new_zeros(len(columns), len(left)).index_copy(0, place, left.T)]
        active += [
            torch.cat([j.T[columns[:-1, None], index], r[None, index]])
            for (j, r), index in zip(chunks, rows, strict=True)
            if len(index)
        ]
        together = torch.cat(active, dim=1).T
        r = torch.linalg.qr(together, mode="r").R if len(active) > 1 else together
        top, left = r[:done], r[done:, done:]
        factor[columns[: len(top), None], columns] = top
        before = columns[done:]
    return factor


@dataclass
class Fold:
    """Accumulates the triangular factor R of rows [J, r] that are added in chunks.

    Each update replaces R by the triangular factor of [R; J_chunk, r_chunk], so that only R and a
    few chunks are in memory. With several ranks (processes), each rank adds its own rows; `total`
    combines the factors of all ranks in a binary tree.

    Args:
        factor: R of the rows folded so far, (k, p + 1); None before the first chunk is folded.
        waiting: the chunks that are not folded into R yet.

    Reference: Demmel et al., Communication-optimal parallel and sequential QR (2012), TSQR.
    """

    factor: Tensor | None = None
    waiting: list[Rows] = field(default_factory=list)

    def add(self, jacobian: Tensor, residual: Tensor) -> None:
        """Add the rows J (n, p) and r (n,).

        The rows wait until all waiting rows are more than 2 p, and are then folded into R together.
        """
        self.waiting.append((jacobian, residual))
        # The p rows of R are factorised along with the chunks, which pays if these have more rows.
        if sum(len(r) for _, r in self.waiting) > 2 * jacobian.shape[1]:
            self.factor = triangular_factor(self.waiting, self.factor)
            self.waiting = []

    def total(self) -> TriangularFactor:
        """Return the triangular factor of all rows of all ranks.

        Raises:
            LinAlgError: if an entry of J or r is not finite.
        """
        if self.waiting:
            self.factor, self.waiting = triangular_factor(self.waiting, self.factor), []
        assert self.factor is not None, "no rows to fold"
        factor = self.factor if world() == 1 else _over_ranks(self.factor)
        if not bool(torch.isfinite(factor).all()):  # LAPACK would print, or hang
            raise np.linalg.LinAlgError(
                "a residual or one of its derivatives is not a finite number"
            )
        return TriangularFactor(factor)


def fold(chunks: Iterable[Rows]) -> TriangularFactor:
    """Return the triangular factor of the rows [J, r] in all chunks, and of all ranks (processes).

    Args:
        chunks: pairs of rows J (n, p) and r (n,).

    Raises:
        LinAlgError: if an entry of J or r is not finite.
    """
    rows = Fold()
    with together():
        for jacobian, residual in chunks:
            rows.add(jacobian, residual)
    return rows.total()


def _over_ranks(factor: Tensor) -> Tensor:
    """Return the triangular factor (p + 1, p + 1) of the rows of the factors of all ranks.

    Only the upper triangles are communicated.

    Args:
        factor: the factor of this rank, (k, p + 1).
    """
    size = factor.shape[1]
    upper = torch.ones(size, size, dtype=torch.bool, device=factor.device).triu()

    def whole(packed: Tensor) -> Tensor:
        """Return the square matrix whose upper triangle is given as a vector."""
        square = factor.new_zeros(size, size)
        square[upper] = packed
        return square

    def combined(one: Tensor, other: Tensor) -> Tensor:
        """Return the triangular factor of the rows of two factors, all as vectors."""
        below = whole(other)
        return triangular_factor([(below[:, :-1], below[:, -1])], whole(one))[upper]

    padded = torch.cat([factor, factor.new_zeros(size - len(factor), size)])
    return whole(tree(padded[upper], combined))


def undetermined(
    responses: Tensor,
    residual: float,
    is_affine: bool,
    finer: Callable[[], Tensor] | None = None,
) -> float:
    """Return the relative error that a residual permits in nearly singular directions.

    The responses are singular values of the inverse of a linearised problem. Without a nearly
    singular direction they decrease slowly, such as 1, 1/4, 1/9 for -u'', or 1, 1/39 for a
    cantilever. If at most three of them are more than fifty times as large as the following
    ones, the data hardly determine the solution in these directions. An example is the place of a
    layer inside a domain, on which the boundary acts with exponentially small forces: a shift
    hardly changes the residual, so that different spaces may agree on the same wrong place.

    The error is at most the largest response times the residual. For a nonlinear equation this
    holds only if the layer is resolved; otherwise the response is too small. In 30 solutions with
    layers at wrong places (errors of 0.1 to 1) the products of response and residual were 3e-3 to
    0.2, and the least ratio of the largest response to the following one was 14. So for a nonlinear
    equation products above 1e-4 are raised by `beyond_linear`. For any equation, a ratio of ten in
    place of fifty is enough if the result is 1.

    A space that does not resolve a nearly singular direction gives it too large a singular value,
    which is the truncation error of the layers in this direction. Least squares then choose between
    layers by their truncation errors, and the solution may be wrong by a whole layer. For a wind
    away from the middle of an interval, with layers at both ends, the product was 0.02 and the
    error 0.97. So the error is 1 if the largest response of a finer space is more than three times
    as large.

    Args:
        responses: the singular values in descending order, (n,), divided by the norm of the
            solution.
        residual: the norm of the residual, rounding errors included.
        is_affine: whether the equation is linear, so that the responses do not depend on the
            solution at which it is linearised.
        finer: returns the singular values for a finer space; it is called if there is a nearly
            singular direction. None if there is no finer space.

    Returns:
        The error, at most 1; 0 without a nearly singular direction.
    """
    few, resolved = 3, math.inf if is_affine else 1e-4
    first, following = responses[:-1][:few], responses[1:][:few]
    error = min(beyond_linear(float(responses[0]) * residual, resolved), 1.0)
    gap = 50.0 if error < 1 else 10.0
    if not bool((first > gap * following).any()):
        return 0.0
    resolved_growth = 3.0
    if error < 1 and finer is not None and float(finer()[0] / responses[0]) > resolved_growth:
        return 1.0
    return error


def beyond_linear(error: float, largest: float) -> float:
    """Return a relative error e, raised where it is too large for a linearised problem.

    Above the largest error e₀ for which the linearised problem gives the error, e is multiplied by
    (e / e₀)², at most up to 1.

    Args:
        error: the error e by the linearised problem.
        largest: e₀.
    """
    return max(error, min(error * max(1.0, error / largest) ** 2, 1.0))
