"""Triangular factors of sparse rows by multifrontal QR, one front after the other."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

BLOCK = 16  # columns that share one flag for nonzero entries
WIDTH = 4 * BLOCK  # columns that a front eliminates

Rows = tuple[Tensor, Tensor]  # J (n, p) and r (n,)


@dataclass(frozen=True)
class Front:
    """The rows that one front of the elimination adds, and the columns in which it is nonzero.

    Args:
        rows: for each chunk, the indices of the rows that the front adds.
        columns: the indices of the columns in which these rows, or those of the fronts before, may
            have nonzero entries; the last one is r.
        done: the number of leading `columns` in which no later row has entries; the front
            eliminates them.
    """

    rows: Sequence[Tensor]
    columns: Tensor
    done: int

    def of(self, chunks: Sequence[Rows]) -> Tensor:
        """Return the rows that the front adds from the chunks, transposed: (columns, n)."""
        own = [
            torch.cat([j.T[self.columns[:-1, None], rows], r[None, rows]])
            for (j, r), rows in zip(chunks, self.rows, strict=True)
            if len(rows)
        ]
        return torch.cat(own, dim=1) if own else chunks[0][1].new_zeros(len(self.columns), 0)


def triangular_factor(chunks: Sequence[Rows], above: Tensor | None = None) -> Tensor:
    """Return the upper triangular R with RᵀR = [J, r]ᵀ[J, r].

    Jacobians of splines are banded: each row has its nonzero entries in a few adjacent columns. QR
    factorisations of p / WIDTH fronts then take O(n b²) operations for b columns per front, instead
    of the O(n p²) of a dense QR. Periodic conditions couple the first columns with the last ones,
    which every front then contains as well.

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


def _fronts(entries: Sequence[Tensor]) -> Iterator[Front]:
    """Yield the fronts: each adds the rows whose first nonzero entry is in its WIDTH columns.

    Args:
        entries: for each chunk a mask (p, n), True where J is nonzero.
    """
    size = len(entries[0])
    last = entries[0].new_ones(1)
    there = torch.cat([torch.stack([e.any(dim=1) for e in entries]).any(dim=0), last])
    blocks = [_blocks(e) for e in entries]
    begins = [b.to(torch.uint8).argmax(dim=0) * BLOCK // WIDTH for b in blocks]
    used = torch.zeros_like(blocks[0][:, 0])
    for number in range(size // WIDTH + 1):
        rows = [(first == number).nonzero()[:, 0] for first in begins]
        used[: number * WIDTH // BLOCK] = False
        for b, own in zip(blocks, rows, strict=True):
            used |= b[:, own].any(dim=1)
        here = torch.cat([used.repeat_interleave(BLOCK)[:size], last]) & there
        yield Front(rows, here.nonzero()[:, 0], int(here[: (number + 1) * WIDTH].sum()))


def _blocks(entries: Tensor) -> Tensor:
    """Return a mask (p / BLOCK, n): for each row, the blocks of columns with nonzero entries."""
    padded = torch.nn.functional.pad(entries, (0, 0, 0, -len(entries) % BLOCK))
    return padded.unflatten(0, (-1, BLOCK)).any(dim=1)


def _eliminated(chunks: Sequence[Rows]) -> Tensor:
    """Return the factor, front by front; each takes over the rows that the one before has left."""
    size = chunks[0][0].shape[1] + 1
    factor = chunks[0][0].new_zeros(size, size).T
    columns, carried = torch.arange(0, device=factor.device), factor[:0, :0]
    for front in _fronts([(j != 0).T for j, _ in chunks]):
        place = torch.searchsorted(front.columns, columns)
        before = factor.new_zeros(len(front.columns), len(carried)).index_copy(0, place, carried.T)
        active = torch.cat([before, front.of(chunks)], dim=1).T
        r = torch.linalg.qr(active, mode="r").R if len(active) > len(carried) else active
        top, carried = r[: front.done], r[front.done :, front.done :]
        factor[front.columns[: len(top), None], front.columns] = top
        columns = front.columns[front.done :]
    return factor
