"""Sparse least squares by multifrontal QR in the order of a tree of merges."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from kanpinn._support.distributed import extremes, from_rank, passed, rank, summed, together, world
from kanpinn.linalg.elimination_tree import EliminationTree
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


Step = tuple[int, Elimination]  # a node and the step that makes it
SolvedBlocks = tuple[int, EliminatedBlocks, Array]  # a node, its rows and their right-hand sides


@dataclass(frozen=True, eq=False)
class BlockRows:
    """Rows of a least-squares problem in some blocks of unknowns.

    Args:
        blocks: the numbers of the blocks, (b,).
        rows: the matrix without the factor, (r, columns). Several leaves may share it.
        factor: by which all entries of `rows` are multiplied.
    """

    blocks: Array
    rows: Array
    factor: float = 1.0


class Dissected:
    """The factors of a least-squares problem ‖A x - b‖, for any number of right-hand sides b.

    Two fronts of rows are merged at a time. A block of unknowns that belongs to both, and to no
    other front, is eliminated by QR; the rows that remain, in the other blocks, make the merged
    front. All fronts are upper triangular, with the columns in the order in which they will be
    eliminated. The reflections of each step are kept, about as many numbers as the triangular
    factor has: Qᵀb is as accurate as if b had been a column of the matrix. An unknown that the rows
    leave open, as its diagonal entry is zero up to rounding, is set to zero.

    With several ranks each has the leaves of its subtrees, and all get the same x.

    Args:
        tree: the order of the merges.
        fronts: the rows of this rank's leaves, by their numbers.

    Raises:
        LinAlgError: if an entry is not finite.

    Reference: George, Nested dissection of a regular finite element mesh (1973); George and Heath,
    Solution of sparse linear least squares problems using Givens rotations (1980).
    """

    def __init__(self, tree: EliminationTree, fronts: Mapping[int, BlockRows]) -> None:
        self._tree, steps = tree, _Steps(tree, fronts)
        with together():
            self._local = list(steps.local())
        self._above = list(steps.above())

    def solve(self, right_sides: Mapping[int, Array]) -> Array:
        """The x that minimise ‖A x - b‖, (unknowns, n), all blocks one after the other.

        right_sides: the right-hand sides b in the rows of each of this rank's leaves, (r, n).

        Raises:
            LinAlgError: if an entry is not finite.
        """
        return _solved(self._tree, self._local, self._above, right_sides)


def solve_dissected(
    tree: EliminationTree, fronts: Mapping[int, BlockRows], right_sides: Mapping[int, Array]
) -> Array:
    """The solutions that `Dissected` has, in half the memory: no reflections are kept.

    The arguments are those of `Dissected` and of its method `solve`.
    """
    steps = _Steps(tree, fronts)
    return _solved(tree, steps.local(), steps.above(), right_sides)


class _Steps:
    """The steps of an elimination that this rank takes.

    Each step is made on request, from the fronts that earlier steps have left.
    """

    def __init__(self, tree: EliminationTree, fronts: Mapping[int, BlockRows]) -> None:
        self._tree, self._fronts = tree, fronts
        self._waiting: dict[int, DissectionFront] = {}

    def local(self) -> Iterator[Step]:
        """The steps in this rank's subtrees."""
        for node in self._tree.local:
            if node in self._tree.pairs:
                yield from self._merge(node)
            else:
                one = self._fronts[node]
                check_finite([one.rows])
                sizes, places = self._tree.sizes, self._tree.eliminated_at
                rows = one.factor * one.rows
                step, front = LeafElimination.of(node, one.blocks, rows, sizes, places)
                yield node, step
                yield from self._made(node, front)

    def above(self) -> Iterator[Step]:
        """The steps above all subtrees, in which ranks wait for fronts of other ranks."""
        owners = self._tree.owners
        for node in self._tree.above:
            here = owners[node]
            for child in self._tree.pairs[node]:
                there = owners[child]
                if there != here and rank() in (there, here):
                    passage = Passage(child, there, here)
                    passage.take(self._waiting)
                    yield child, passage
            if here == rank():
                yield from self._merge(node)

    def _merge(self, node: int) -> Iterator[Step]:
        tree, (one, other) = self._tree, self._tree.pairs[node]
        pair = self._waiting.pop(one), self._waiting.pop(other)
        step, front = MergeElimination.of(
            (one, other, node), pair, tree.places[node], tree.sizes, tree.eliminated_at
        )
        yield node, step
        yield from self._made(node, front)

    def _made(self, node: int, front: DissectionFront) -> Iterator[Step]:
        """Keep the front of a node, or eliminate all blocks of the root's front."""
        if node == self._tree.root:
            yield node, RootElimination.of(node, front)
        else:
            self._waiting[node] = front


@dataclass(frozen=True, eq=False)
class Passage(Elimination):
    """The passage of a front from one rank to another, which waits for it.

    Args:
        node: the number of the front.
        source, target: the ranks, one of which is this one.
    """

    node: int
    source: int
    target: int
    eliminated = None

    def take(self, waiting: dict[int, Any]) -> None:
        """Send or receive a front, or its right-hand sides; waiting: those of this rank."""
        found = passed(waiting.pop(self.node, None), self.source, self.target)
        if rank() == self.target:
            waiting[self.node] = found

    def forward(self, waiting: dict[int, Array]) -> Array:
        self.take(waiting)
        return np.zeros((0, 0))


def _solved(
    tree: EliminationTree,
    local: Iterable[Step],
    above: Iterable[Step],
    right_sides: Mapping[int, Array],
) -> Array:
    """The solutions for right-hand sides, by the steps of this rank."""
    waiting = dict(right_sides)

    def forward(steps: Iterable[Step]) -> list[SolvedBlocks]:
        both = ((node, step.eliminated, step.forward(waiting)) for node, step in steps)
        return [(node, own, right) for node, own, right in both if own is not None]

    with together():
        check_finite(right_sides.values())
        below = forward(local)
    last = forward(above)
    count = max((one.shape[1] for one in right_sides.values()), default=0)
    parts = 1 + any(np.iscomplexobj(one) for one in right_sides.values())  # of a number
    if world() > 1:  # a rank may have no leaf
        count, parts = map(int, extremes(torch.tensor([[count, parts]]).double())[1])
    dtype = complex if parts == 2 else float
    return _substituted(tree, below, last, np.zeros((int(tree.sizes.sum()), count), dtype))


def _substituted(
    tree: EliminationTree, below: list[SolvedBlocks], last: list[SolvedBlocks], found: Array
) -> Array:
    """All unknowns, (unknowns, n), by substitution from the last eliminated ones to the first.

    Args:
        tree: the order of the merges.
        below, last: the rows of the blocks that this rank has eliminated, in its subtrees and above
            all subtrees, with right-hand sides (x, n).
        found: zeros, which are overwritten, (unknowns, n).
    """
    starts = np.concatenate([[0], np.cumsum(tree.sizes)])

    def columns(blocks: Array) -> Array:
        return columns_of_blocks(blocks, starts[:-1], tree.sizes)

    def substitute(own: EliminatedBlocks, right: Array) -> None:
        known = right - own.rest @ found[columns(own.outer)]
        found[columns(own.inner)] = solve_triangular(own.triangle, known)

    for node in reversed(tree.above):
        while last and last[-1][0] == node:
            substitute(*last.pop()[1:])
        there = columns(tree.eliminated(node))
        found[there] = from_rank(tree.owners[node], torch.from_numpy(found[there])).numpy()
    above = found.copy()
    for _, own, right in reversed(below):
        substitute(own, right)
    return above + summed([torch.from_numpy(found - above)])[0].numpy()


def check_finite(parts: Iterable[Array]) -> None:
    """Refuse parts of a least-squares problem that are not finite.

    Raises:
        LinAlgError: if an entry is not finite.
    """
    if not all(np.isfinite(one).all() for one in parts):
        what = "an entry of a least-squares problem is not finite"
        raise torch.linalg.LinAlgError(what)  # type: ignore[attr-defined]
