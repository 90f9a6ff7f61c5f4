"""Sparse least squares by multifrontal QR in the order of a nested dissection."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from kanpinn.linalg.elimination import (
    DissectionFront,
    EliminatedBlocks,
    Elimination,
    LeafElimination,
    MergeElimination,
    RootElimination,
    columns_of_blocks,
)

Array = NDArray[Any]
Merge = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class BlockRows:
    """Rows of a least-squares problem in some blocks of unknowns.

    Args:
        blocks: the numbers of the blocks, (b,).
        rows: the matrix, (r, columns).
    """

    blocks: Array
    rows: Array


class Dissected:
    """The factors of a least-squares problem ‖A x - b‖, for any number of right-hand sides b.

    Two fronts of rows are merged at a time. A block of unknowns that belongs to both, and to no
    other front, is eliminated by QR; the rows that remain, in the other blocks, make the merged
    front. All fronts are upper triangular, with the columns in the order in which they will be
    eliminated. The reflections of each step are kept, about as many numbers as the triangular
    factor has: Qᵀb is as accurate as if b had been a column of the matrix. An unknown that the rows
    leave open, as its diagonal entry is zero up to rounding, is set to zero.

    Args:
        fronts: the rows of the leaves; each block belongs to one or two of them.
        sizes: the numbers of unknowns of the blocks, (B,).
        merges: pairs of fronts, and the number of the front that they become.

    Raises:
        LinAlgError: if an entry is not finite.

    Reference: George, Nested dissection of a regular finite element mesh (1973); George and Heath,
    Solution of sparse linear least squares problems using Givens rotations (1980).
    """

    def __init__(self, fronts: Sequence[BlockRows], sizes: Array, merges: Sequence[Merge]) -> None:
        self._sizes = sizes
        self._steps = list(_eliminations(fronts, sizes, merges))

    def solve(self, rights: Sequence[Array]) -> Array:
        """The x that minimise ‖A x - b‖, (unknowns, n), all blocks one after the other.

        rights: the right-hand sides b in the rows of each front, (r, n).

        Raises:
            LinAlgError: if an entry is not finite.
        """
        return _solved(self._steps, self._sizes, rights)


def solve_dissected(
    fronts: Sequence[BlockRows], sizes: Array, merges: Sequence[Merge], rights: Sequence[Array]
) -> Array:
    """The solutions that `Dissected` has, in half the memory: no reflections are kept.

    The arguments are those of `Dissected` and of its method `solve`.
    """
    return _solved(_eliminations(fronts, sizes, merges), sizes, rights)


def _eliminations(
    fronts: Sequence[BlockRows], sizes: Array, merges: Sequence[Merge]
) -> Iterator[Elimination]:
    """The steps of the elimination in their order: each leaf's, each merge's, and the last one."""
    ranks = _ranks(fronts, len(sizes), merges)
    waiting: dict[int, DissectionFront] = {}
    for number, one in enumerate(fronts):
        _check(one.rows)
        step, waiting[number] = LeafElimination.of(number, one.blocks, one.rows, sizes, ranks)
        yield step
    for number, merge in enumerate(merges):
        pair = waiting.pop(merge[0]), waiting.pop(merge[1])
        merged, waiting[merge[2]] = MergeElimination.of(merge, pair, number, sizes, ranks)
        yield merged
    ((number, last),) = waiting.items()
    yield RootElimination.of(number, last)


def _solved(steps: Iterable[Elimination], sizes: Array, rights: Sequence[Array]) -> Array:
    """The solutions for right-hand sides, by the steps of an elimination."""
    waiting = dict(enumerate(rights))
    done: list[tuple[EliminatedBlocks, Array]] = []
    for one in rights:
        _check(one)
    for step in steps:
        right = step.forward(waiting)
        if step.eliminated is not None:
            done.append((step.eliminated, right))
    starts = np.concatenate([[0], np.cumsum(sizes)])
    found = np.zeros((starts[-1], rights[0].shape[1]))
    for own, right in reversed(done):
        inner, outer = (
            columns_of_blocks(blocks, starts[:-1], sizes) for blocks in (own.inner, own.outer)
        )
        found[inner] = solve_triangular(own.triangle, right - own.rest @ found[outer])
    return found


def _check(rows: Array) -> None:
    if not np.isfinite(rows).all():
        what = "an entry of a least-squares problem is not finite"
        raise torch.linalg.LinAlgError(what)  # type: ignore[attr-defined]


def _ranks(fronts: Sequence[BlockRows], count: int, merges: Sequence[Merge]) -> Array:
    """The number of the merge that eliminates each block, (B,); `len(merges)` if none does."""
    found = np.full(count, len(merges))
    blocks = {number: frozenset(one.blocks.tolist()) for number, one in enumerate(fronts)}
    for number, (one, other, made) in enumerate(merges):
        left, right = blocks.pop(one), blocks.pop(other)
        found[list(left & right)] = number
        blocks[made] = left ^ right
    return found
