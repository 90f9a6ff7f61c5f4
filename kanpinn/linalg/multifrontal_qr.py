"""Triangular factors of rows with few entries, one front of them after the other."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

BLOCK = 16  # columns whose entries are looked at together
WIDTH = 4 * BLOCK  # columns that a front eliminates

Rows = tuple[Tensor, Tensor]  # J (n, p) and r (n,)


@dataclass(frozen=True)
class Front:
    """Rows of each chunk, and the columns in which they, or what came before them, have entries.

    The last column is r. done: so many of the columns have entries in no later row.
    """

    rows: Sequence[Tensor]
    columns: Tensor
    done: int

    def of(self, chunks: Sequence[Rows]) -> Tensor:
        """The entries of its rows, (columns, n)."""
        own = [
            torch.cat([j.T[self.columns[:-1, None], rows], r[None, rows]])
            for (j, r), rows in zip(chunks, self.rows, strict=True)
            if len(rows)
        ]
        return torch.cat(own, dim=1) if own else chunks[0][1].new_zeros(len(self.columns), 0)


def triangular_factor(chunks: Sequence[Rows], above: Tensor | None = None) -> Tensor:
    """R, upper triangular with RᵀR = [J, r]ᵀ[J, r], of at most p + 1 rows.

    Where rows have their entries near to each other, as those of splines have, QR factorisations of
    p / WIDTH fronts take O(n b²) operations for a band of b columns in place of O(n p²). A ring,
    as periodic conditions make it, is a band with two ends. Columns of zeros have rows of zeros.

    Args:
        chunks: of rows J (n, p) and r (n,).
        above: (m, p + 1), further rows [J, r], such as the factor of those before.

    Reference: George and Heath, Solution of sparse linear least squares problems using Givens
    rotations (1980); Davis, Direct methods for sparse linear systems (2006), chapter 5.
    """
    if above is not None:
        chunks = [(above[:, :-1], above[:, -1]), *chunks]
    # By measurement fronts pay for 256 columns or more with a quarter of the entries or less.
    if chunks[0][0].shape[1] >= 256:
        entries = sum(int(torch.count_nonzero(j)) for j, _ in chunks)
        if entries < 0.25 * sum(j.numel() for j, _ in chunks):
            return _eliminated(chunks)
    stacked = [torch.cat([j.T, r[None]]) for j, r in chunks]  # by columns: LAPACK's order
    return torch.linalg.qr(torch.cat(stacked, dim=1).T, mode="r").R


def _fronts(entries: Sequence[Tensor]) -> Iterator[Front]:
    """Rows whose first entries are in the same WIDTH columns make a front.

    entries: for each chunk (p, n), True where there is an entry.
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
    """Which of every BLOCK columns have entries, (p / BLOCK, n)."""
    padded = torch.nn.functional.pad(entries, (0, 0, 0, -len(entries) % BLOCK))
    return padded.unflatten(0, (-1, BLOCK)).any(dim=1)


def _eliminated(chunks: Sequence[Rows]) -> Tensor:
    """The factor, front by front: each takes over the rows that the one before has left."""
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
