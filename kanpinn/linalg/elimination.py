"""The single steps of a nested dissection: fronts are merged, and their blocks eliminated."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kanpinn.linalg.reflections import Reflections, Solvable, StackedReflections

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class DissectionFront:
    """Rows of a least-squares problem as a square upper triangle.

    Args:
        blocks: the numbers of its blocks of unknowns, in the order of their columns.
        triangle: the rows, (c, c).
    """

    blocks: Array
    triangle: Array


@dataclass(frozen=True, eq=False)
class EliminatedBlocks:
    """The rows R x + S y = z by which the eliminated blocks x follow from blocks y.

    Args:
        inner, outer: the numbers of the blocks of x and of y.
        triangle: R.
        rest: S.
    """

    inner: Array
    outer: Array
    triangle: Array
    rest: Array


class Elimination(ABC):
    """A step of an elimination. It transforms the right-hand sides of fronts in the same way.

    eliminated: the blocks that it eliminates; None if there are none.
    """

    eliminated: EliminatedBlocks | None

    @abstractmethod
    def forward(self, waiting: dict[int, Array]) -> Array:
        """The right-hand sides z of the eliminated blocks, (x, n).

        waiting: by number the right-hand sides of the fronts that are not merged yet, (c, n); gets
            those of the new front in place of those that it is made of.
        """


@dataclass(frozen=True, eq=False)
class LeafElimination(Elimination):
    """The first step for the rows of a leaf: they become an upper triangle.

    Args:
        number: that of the front.
        size: the number of its unknowns c.
        reflections: the transformation of its rows.
    """

    number: int
    size: int
    reflections: Reflections
    eliminated = None

    @classmethod
    def of(
        cls, number: int, blocks: Array, rows: Array, sizes: Array, ranks: Array
    ) -> tuple["LeafElimination", DissectionFront]:
        """The step for rows (r, c) in some blocks, and the front that they become.

        Args:
            number: that of the front.
            blocks, rows: the blocks and their rows.
            sizes: the numbers of unknowns of all blocks.
            ranks: the order in which blocks are eliminated.
        """
        order = blocks[np.lexsort((blocks, ranks[blocks]))]
        reflections = Reflections.of(rows[:, _within(blocks, sizes, order)])
        found = reflections.triangle
        square = np.zeros((rows.shape[1], rows.shape[1]), rows.dtype, order="F")
        square[: len(found)] = found
        return cls(number, len(square), reflections), DissectionFront(order, square)

    def forward(self, waiting: dict[int, Array]) -> Array:
        found = self.reflections.apply(waiting[self.number])[: self.size]
        square = np.zeros((self.size, found.shape[1]), found.dtype, order="F")
        square[: len(found)] = found
        waiting[self.number] = square
        return square[:0]


@dataclass(frozen=True, eq=False)
class MergeElimination(Elimination):
    """Two fronts become one, without the blocks that no other front has.

    Args:
        merge: the numbers of the two fronts and of the one that they become.
        places: where the unknowns of each of both that stay are in the merged front.
        twice: the unknowns of the second front that stay and that the first one has too, a mask.
        size: the number of unknowns of the merged front.
        inner: the transformation of both fronts' rows for the blocks that are eliminated, if any.
        solvable: what makes the rows that have been found for these solvable.
        outer: the transformation of the merged front and the rows left over from `inner`.
        eliminated: the blocks.
    """

    merge: tuple[int, int, int]
    places: tuple[Array, Array]
    twice: Array
    size: int
    inner: StackedReflections | None = None
    solvable: Solvable | None = None
    outer: StackedReflections | None = None
    eliminated: EliminatedBlocks | None = None

    @classmethod
    def of(
        cls,
        merge: tuple[int, int, int],
        pair: tuple[DissectionFront, DissectionFront],
        number: int,
        sizes: Array,
        ranks: Array,
    ) -> tuple["MergeElimination", DissectionFront]:
        """The step for a pair of fronts, and the front that they become.

        Args:
            merge: the numbers of the fronts.
            pair: the two fronts, in both of which the blocks of the rank `number` come first.
            number: that of the step.
            sizes: the numbers of unknowns of all blocks.
            ranks: the order in which blocks are eliminated.
        """
        inner = pair[0].blocks[ranks[pair[0].blocks] == number]
        kept = [front.blocks[len(inner) :] for front in pair]
        both = np.unique(np.concatenate(kept))
        blocks = both[np.lexsort((both, ranks[both]))]
        count, size = int(sizes[inner].sum()), int(sizes[blocks].sum())
        first, second = (_within(blocks, sizes, own) for own in kept)
        dtype = pair[0].triangle.dtype
        places, twice = (first, second), np.isin(second, first)
        below = [front.triangle[count:, count:] for front in pair]
        # The rows of each go where its columns are, and so they form an upper triangle together,
        # but for those of unknowns that both have.
        total = np.zeros((size, size), dtype, order="F")
        total[first[:, None], first] = below[0]
        total[second[~twice, None], second] = below[1][~twice]
        left = np.zeros((int(twice.sum()), size), dtype, order="F")
        left[:, second] = below[1][twice]
        transform = solvable = eliminated = outer = None
        if count:
            parts = [np.zeros((count, size), dtype, order="F") for _ in pair]
            for front, place, part in zip(pair, places, parts, strict=True):
                part[:, place] = front.triangle[:count, count:]
            one, other = (front.triangle[:count, :count] for front in pair)
            transform = StackedReflections.of(one, other, triangular=True)
            top, more = transform.apply(*parts)
            solvable = Solvable.of(transform.triangle)
            top, more = solvable.apply(top, more)
            left = np.concatenate([more, left])
            eliminated = EliminatedBlocks(inner, blocks, solvable.triangle, top)
        if size and len(left):
            outer = StackedReflections.of(total, left, triangular=False)
        made = cls(merge, places, twice, size, transform, solvable, outer, eliminated)
        return made, DissectionFront(blocks, total if outer is None else outer.triangle)

    def forward(self, waiting: dict[int, Array]) -> Array:
        one, other, made = self.merge
        pair = waiting.pop(one), waiting.pop(other)
        columns, (first, second) = pair[0].shape[1], self.places
        total = np.zeros((self.size, columns), pair[0].dtype, order="F")
        count = len(pair[0]) - len(first)
        total[first] = pair[0][count:]
        total[second[~self.twice]] = pair[1][count:][~self.twice]
        top, left = total[:0], pair[1][count:][self.twice]
        if self.inner is not None and self.solvable is not None:
            top, more = self.inner.apply(*(np.array(right[:count], order="F") for right in pair))
            top, more = self.solvable.apply(top, more)
            left = np.concatenate([more, left])
        if self.outer is not None:
            total, _ = self.outer.apply(total, left)
        waiting[made] = total
        return top


@dataclass(frozen=True, eq=False)
class RootElimination(Elimination):
    """The last step: all blocks of the last front are eliminated.

    Args:
        number: that of the front.
        solvable: what makes its rows solvable.
        eliminated: the blocks.
    """

    number: int
    solvable: Solvable
    eliminated: EliminatedBlocks

    @classmethod
    def of(cls, number: int, front: DissectionFront) -> "RootElimination":
        """The step for the last front."""
        solvable = Solvable.of(front.triangle)
        none = front.triangle[:, :0]
        eliminated = EliminatedBlocks(front.blocks, front.blocks[:0], solvable.triangle, none)
        return cls(number, solvable, eliminated)

    def forward(self, waiting: dict[int, Array]) -> Array:
        right = waiting.pop(self.number)
        top, _ = self.solvable.apply(right, right[:0])
        return top


def columns_of_blocks(blocks: Array, starts: Array, sizes: Array) -> Array:
    """The columns of some blocks, one block after the other."""
    counts = sizes[blocks]
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    return np.repeat(starts[blocks] - ends + counts, counts) + np.arange(total)


def _within(blocks: Array, sizes: Array, chosen: Array) -> Array:
    """The columns of some blocks in a front.

    Args:
        blocks: those of the front, in order.
        sizes: the numbers of unknowns of all blocks.
        chosen: the blocks whose columns are wanted, in order.
    """
    starts = np.zeros(len(sizes), dtype=np.int64)
    starts[blocks] = np.cumsum(sizes[blocks]) - sizes[blocks]
    return columns_of_blocks(chosen, starts, sizes)
