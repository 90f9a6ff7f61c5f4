"""The triangular factor of rows that come in chunks, and from several ranks."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from kanpinn._support.distributed import together, tree, world
from kanpinn.linalg.multifrontal_qr import Rows, triangular_factor
from kanpinn.linalg.triangle import TriangularFactor


@dataclass
class Fold:
    """Accumulates the triangular factor R of rows [J, r] that are added in chunks.

    Each update replaces R by the triangular factor of [R; J_chunk, r_chunk], so that only R and a
    few chunks are in memory. With several ranks, each adds its own rows; `total` combines their
    factors in a binary tree.

    Args:
        factor: R of the rows folded so far, (k, p + 1); None if there are none.
        waiting: the chunks that are not folded yet.

    Reference: Demmel et al., Communication-optimal parallel and sequential QR (2012), TSQR.
    """

    factor: Tensor | None = None
    waiting: list[Rows] = field(default_factory=list)

    def add(self, jacobian: Tensor, residual: Tensor) -> None:
        """Add the rows J (n, p) and r (n,) to the factor."""
        self.waiting.append((jacobian, residual))
        # The p rows of R are factorised along with the chunks: fold only when these have more.
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
            raise torch.linalg.LinAlgError(  # type: ignore[attr-defined]
                "a residual or one of its derivatives is not a finite number"
            )
        return TriangularFactor(factor)


def fold(chunks: Iterable[Rows]) -> TriangularFactor:
    """Return the triangular factor of [J, r] from all chunks of rows, and from all ranks.

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
    """Return the factor of all ranks' factors; only their upper triangles are communicated."""
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
