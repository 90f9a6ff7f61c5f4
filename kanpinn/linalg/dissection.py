"""Sparse least squares by multifrontal QR in the order of a nested dissection."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import lapack, solve_triangular

Array = NDArray[Any]
Merge = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class BlockRows:
    """Rows of a least-squares problem in some blocks of unknowns.

    Args:
        blocks: the numbers of the blocks, (b,).
        rows: the matrix and the right-hand side, (r, columns + 1).
    """

    blocks: Array
    rows: Array


@dataclass(frozen=True, eq=False)
class _Eliminated:
    """The rows R x + S y = z by which the eliminated blocks x follow from blocks y.

    Args:
        inner, outer: the numbers of the blocks of x and of y.
        triangle: R.
        rest: [S, z].
    """

    inner: Array
    outer: Array
    triangle: Array
    rest: Array


def upper_triangle(rows: Array) -> Array:
    """The upper triangular factor of a matrix (r, c), (min(r, c), c)."""
    if not rows.size:
        return rows[:0]
    rows = np.asfortranarray(rows)
    found, _, _, _ = lapack.dgeqrf(rows, lwork=64 * rows.shape[1], overwrite_a=True)
    return np.triu(found[: min(rows.shape)])


def solve_dissected(fronts: Sequence[BlockRows], sizes: Array, merges: Sequence[Merge]) -> Array:
    """The x that minimises ‖A x - b‖, for rows that come in fronts.

    Two fronts are merged at a time. A block of unknowns that belongs to both, and to no other
    front, is eliminated by QR; the rows that remain, in the other blocks, make the merged front.
    All fronts are upper triangular, with the columns in the order in which they will be eliminated.
    An unknown that the rows leave open, as its diagonal entry is zero up to rounding, is set to
    zero.

    Args:
        fronts: the rows of the leaves; each block belongs to one or two of them.
        sizes: the numbers of unknowns of the blocks, (B,).
        merges: pairs of fronts, and the number of the front that they become.

    Returns:
        x, all blocks one after the other.

    Raises:
        LinAlgError: if an entry is not finite.

    Reference: George, Nested dissection of a regular finite element mesh (1973); George and Heath,
    Solution of sparse linear least squares problems using Givens rotations (1980).
    """
    ranks = _ranks(fronts, len(sizes), merges)
    waiting = {number: _sorted(one, sizes, ranks) for number, one in enumerate(fronts)}
    done: list[_Eliminated] = []
    for number, (one, other, made) in enumerate(merges):
        waiting[made] = _merged(waiting.pop(one), waiting.pop(other), number, sizes, ranks, done)
    (last,) = waiting.values()
    count = len(last.rows) - 1
    matrix, rest, _ = _without_empty(last.rows[:-1, :count], last.rows[:-1, count:])
    done.append(_Eliminated(last.blocks, last.blocks[:0], matrix, rest))
    starts = np.concatenate([[0], np.cumsum(sizes)])
    found = np.zeros(starts[-1])
    for step in reversed(done):
        own, known = (_columns(blocks, starts[:-1], sizes) for blocks in (step.inner, step.outer))
        right = step.rest[:, -1] - step.rest[:, :-1] @ found[known]
        found[own] = solve_triangular(step.triangle, right)
    return found


def _ranks(fronts: Sequence[BlockRows], count: int, merges: Sequence[Merge]) -> Array:
    """The number of the merge that eliminates each block, (B,); `len(merges)` if none does."""
    found = np.full(count, len(merges))
    blocks = {number: frozenset(one.blocks.tolist()) for number, one in enumerate(fronts)}
    for number, (one, other, made) in enumerate(merges):
        left, right = blocks.pop(one), blocks.pop(other)
        found[list(left & right)] = number
        blocks[made] = left ^ right
    return found


def _columns(blocks: Array, starts: Array, sizes: Array) -> Array:
    """The columns of some blocks, one block after the other."""
    counts = sizes[blocks]
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    return np.repeat(starts[blocks] - ends + counts, counts) + np.arange(total)


def _within(blocks: Array, sizes: Array, chosen: Array) -> Array:
    """The columns of some blocks in a front, and its right-hand side as the last one.

    Args:
        blocks: those of the front, in order.
        sizes: the numbers of unknowns of all blocks.
        chosen: the blocks whose columns are wanted, in order.
    """
    starts = np.zeros(len(sizes), dtype=np.int64)
    ends = np.cumsum(sizes[blocks])
    starts[blocks] = ends - sizes[blocks]
    last = ends[-1:] if len(ends) else np.zeros(1, dtype=np.int64)
    return np.concatenate([_columns(chosen, starts, sizes), last])


def _sorted(front: BlockRows, sizes: Array, ranks: Array) -> BlockRows:
    """A front with its columns in the order of elimination, as a square upper triangle."""
    if not np.isfinite(front.rows).all():
        what = "an entry of a least-squares problem is not finite"
        raise torch.linalg.LinAlgError(what)  # type: ignore[attr-defined]
    order = front.blocks[np.lexsort((front.blocks, ranks[front.blocks]))]
    columns = _within(front.blocks, sizes, order)
    found = upper_triangle(front.rows[:, columns])
    square = np.zeros((len(columns), len(columns)), order="F")
    square[: len(found)] = found
    return BlockRows(order, square)


def _merged(
    one: BlockRows,
    other: BlockRows,
    number: int,
    sizes: Array,
    ranks: Array,
    done: list[_Eliminated],
) -> BlockRows:
    """The front of two, without the blocks that belong to both, which are eliminated."""
    width = 32  # the number of columns in a block of LAPACK's QR, with which it is fastest
    inner = one.blocks[ranks[one.blocks] == number]
    pair = [front.blocks[len(inner) :] for front in (one, other)]
    both = np.concatenate(pair)
    outer = both[np.lexsort((both, ranks[both]))]
    count = int(sizes[inner].sum())
    places = [_within(outer, sizes, blocks) for blocks in pair]
    size = int(sizes[outer].sum()) + 1
    total = np.zeros((size, size), order="F")
    # The rows of each triangle go where its columns are, and so form an upper triangle together.
    for front, place in zip((one, other), places, strict=True):
        total[place[:-1, None], place] = front.rows[count:-1, count:]
    if count:
        rest = [np.zeros((count, size), order="F") for _ in pair]
        for front, place, part in zip((one, other), places, rest, strict=True):
            part[:, place] = front.rows[:count, count:]
        squares = [np.asfortranarray(front.rows[:count, :count]) for front in (one, other)]
        made, reflectors, factors, _ = lapack.dtpqrt(count, min(width, count), *squares)
        top, left, _ = lapack.dtpmqrt(
            count, reflectors, factors, *rest, side="L", trans="T", overwrite_a=1, overwrite_b=1
        )
        made, top, more = _without_empty(made, top)
        done.append(_Eliminated(inner, outer, made, top))
        left = np.concatenate([left, more]) if len(more) else left
        total, _, _, _ = lapack.dtpqrt(0, min(width, size), total, left, overwrite_a=1)
    return BlockRows(outer, total)


def _without_empty(matrix: Array, rest: Array) -> tuple[Array, Array, Array]:
    """The rows R x + S y = z, with x_i = 0 where rounding is all that is left of R_ii.

    Args:
        matrix: R, (c, c), with anything below its diagonal.
        rest: [S, z], (c, m).

    Returns:
        R with rows of the unit matrix for these x_i, [S, z] with zeros there, and the rows [S, z]
        that are left for y alone, (e, m).
    """
    empty, left = np.zeros(len(matrix), dtype=bool), rest[:0]
    while True:  # without the columns of some, others may be empty
        diagonal = np.abs(np.diag(matrix))
        found = ~empty & (diagonal <= 1e-15 * diagonal[~empty].max(initial=0.0))
        if not found.any():
            return matrix, rest, left
        empty |= found
        kept = ~empty
        count = int(kept.sum())
        rows = upper_triangle(
            np.concatenate([np.triu(matrix)[:, kept], rest], axis=1)[~empty | found]
        )
        matrix, whole = np.eye(len(matrix)), np.zeros_like(rest)
        matrix[np.ix_(kept, kept)] = rows[:count, :count]
        whole[kept] = rows[:count, count:]
        rest, left = whole, np.concatenate([left, rows[count:, count:]])
