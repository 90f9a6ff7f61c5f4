"""Sparse least squares by multifrontal QR.

The unknowns come in blocks. A front is a dense matrix of rows in the unknowns of a few blocks. A
tree tells which two fronts are merged next, and which blocks are eliminated then.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from scipy.linalg import solve_triangular

from kanpinn._support.distributed import extremes, from_rank, passed, rank, summed, together, world
from kanpinn.linalg.elimination_tree import EliminationTree
from kanpinn.linalg.reflections import Array, Reflections, Solvable, StackedReflections


@dataclass(frozen=True, eq=False)
class BlockRows:
    """Rows of a least-squares problem whose nonzero entries are in a few blocks of unknowns.

    Args:
        blocks: the numbers of the b blocks, in the order of their columns in `rows`, (b,).
        rows: the matrix without the factor, (r, c), for the c unknowns of the blocks. Several
            leaves of the elimination tree may share this matrix. The rows of a merged front are a
            square upper triangle.
        factor: the factor of all entries of `rows`.
    """

    blocks: Array
    rows: Array
    factor: float = 1.0


@dataclass(frozen=True, eq=False)
class EliminatedBlocks:
    """The rows R x + S y = z by which eliminated unknowns x follow from remaining unknowns y.

    The unknowns come in numbered blocks.

    Args:
        inner, outer: the numbers of the blocks of x and of y.
        triangle: R, (a, a), for the a unknowns x.
        rest: S, (a, b), for the b unknowns y.
    """

    inner: Array
    outer: Array
    triangle: Array
    rest: Array


class Elimination(ABC):
    """One step of a multifrontal elimination, kept for further right-hand sides; a base class.

    Attributes:
        eliminated: the rows of the blocks that the step eliminates; None if it eliminates no block.
    """

    eliminated: EliminatedBlocks | None

    @abstractmethod
    def forward(self, waiting: dict[int, Array]) -> Array:
        """Eliminate rows in n right-hand sides, and return those of the eliminated rows, (rows, n).

        Args:
            waiting: for the number of each front (dense matrix of rows) that is not merged yet, the
                right-hand sides of its rows, (c, n). The right-hand sides of the new front replace
                those of the merged fronts.
        """


@dataclass(frozen=True, eq=False)
class LeafElimination(Elimination):
    """The first step for the rows of a leaf of the elimination tree: they become an upper triangle.

    Args:
        number: the number of the leaf's front (the triangle).
        size: the number c of the front's unknowns.
        reflections: the transformation of the leaf's rows to the upper triangle.
    """

    number: int
    size: int
    reflections: Reflections
    eliminated = None

    @classmethod
    def of(
        cls, number: int, leaf: BlockRows, tree: EliminationTree
    ) -> tuple["LeafElimination", BlockRows]:
        """Transform the rows of a leaf to an upper triangle, which is the front of the leaf.

        Args:
            number: the number of the leaf.
            leaf: the rows of the leaf.
            tree: the order of the merges.

        Returns:
            The step for the rows of the leaf, and the front that they become.
        """
        blocks, ranks = leaf.blocks, tree.eliminated_at
        order = blocks[np.lexsort((blocks, ranks[blocks]))]
        rows = leaf.factor * leaf.rows
        reflections = Reflections.of(rows[:, _within(blocks, tree.sizes, order)])
        step = cls(number, rows.shape[1], reflections)
        return step, BlockRows(order, step._square(reflections.triangle))

    def forward(self, waiting: dict[int, Array]) -> Array:
        rows = self._square(self.reflections.apply(waiting[self.number])[: self.size])
        waiting[self.number] = rows
        return rows[:0]

    def _square(self, rows: Array) -> Array:
        """The rows, followed by rows of zeros up to the number c of unknowns, (c, n)."""
        square = np.zeros((self.size, rows.shape[1]), rows.dtype, order="F")
        square[: len(rows)] = rows
        return square


@dataclass(frozen=True, eq=False)
class MergeElimination(Elimination):
    """The step that merges two fronts, and eliminates the blocks that no other front has.

    A front is an upper triangle of rows in the unknowns of a few blocks.

    Args:
        merge: the numbers of the two fronts and of the merged front.
        places: for each front, the places of its remaining unknowns in the merged front.
        twice: a mask of the remaining unknowns of the second front, true for unknowns that the
            first front has as well.
        size: the number of unknowns of the merged front.
        inner: the transformation of both fronts' rows for the blocks that are eliminated.
        solvable: the transformation with which the rows of the eliminated blocks can be solved.
        outer: the transformation of the merged front together with the rows that are left over;
            None if no rows are left over.
        eliminated: the rows of the eliminated blocks. If no block is eliminated, `inner`,
            `solvable` and `eliminated` are None.
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
        cls, node: int, pair: tuple[BlockRows, BlockRows], tree: EliminationTree
    ) -> tuple["MergeElimination", BlockRows]:
        """Merge two fronts to the front of a node of the tree.

        Args:
            node: the number of the node.
            pair: the two fronts, in which the blocks that the node eliminates come first.
            tree: the order of the merges.

        Returns:
            The step, and the front of the node.
        """
        sizes, ranks = tree.sizes, tree.eliminated_at
        inner = pair[0].blocks[ranks[pair[0].blocks] == tree.places[node]]
        kept = [front.blocks[len(inner) :] for front in pair]
        both = np.unique(np.concatenate(kept))
        blocks = both[np.lexsort((both, ranks[both]))]
        count, size = int(sizes[inner].sum()), int(sizes[blocks].sum())
        first, second = (_within(blocks, sizes, stay) for stay in kept)
        step = cls((*tree.pairs[node], node), (first, second), np.isin(second, first), size)
        wide = [np.zeros((len(front.rows), size), front.rows.dtype, order="F") for front in pair]
        for front, columns, rows in zip(pair, (first, second), wide, strict=True):
            rows[:, columns] = front.rows[:, count:]
        top, total, left = step._arranged(wide[0], wide[1])
        transform = solvable = eliminated = outer = None
        if count:
            upper, lower = (front.rows[:count, :count] for front in pair)
            transform = StackedReflections.of(upper, lower, triangular=True)
            solvable = Solvable.of(transform.triangle)
            rest, more = solvable.apply(*transform.apply(*top))
            left = np.concatenate([more, left])
            eliminated = EliminatedBlocks(inner, blocks, solvable.triangle, rest)
        if size and len(left):
            outer = StackedReflections.of(total, left, triangular=False)
        step = replace(step, inner=transform, solvable=solvable, outer=outer, eliminated=eliminated)
        return step, BlockRows(blocks, total if outer is None else outer.triangle)

    def _arranged(self, one: Array, other: Array) -> tuple[tuple[Array, Array], Array, Array]:
        """Sort the rows of two fronts into the rows of the merged front.

        The row of an unknown that remains goes to the place of this unknown, so that these rows
        form an upper triangle. If both fronts have the unknown, the row of the second front is left
        over.

        Args:
            one, other: the rows of the first and of the second front, (c, n) each.

        Returns:
            The rows of the eliminated unknowns in each front (a pair), the rows of the merged
            front, and the rows left over.
        """
        (first, second), count = self.places, len(one) - len(self.places[0])
        total = np.zeros((self.size, one.shape[1]), one.dtype, order="F")
        total[first] = one[count:]
        total[second[~self.twice]] = other[count:][~self.twice]
        top = np.array(one[:count], order="F"), np.array(other[:count], order="F")
        return top, total, other[count:][self.twice]

    def forward(self, waiting: dict[int, Array]) -> Array:
        first, second, merged = self.merge
        both, total, left = self._arranged(waiting.pop(first), waiting.pop(second))
        top = total[:0]
        if self.inner is not None and self.solvable is not None:
            top, more = self.solvable.apply(*self.inner.apply(*both))
            left = np.concatenate([more, left])
        waiting[merged] = total if self.outer is None else self.outer.apply(total, left)[0]
        return top


@dataclass(frozen=True, eq=False)
class RootElimination(Elimination):
    """The last step, which eliminates all blocks of the last front.

    Args:
        number: the number of the front.
        solvable: the transformation with which the rows of the front can be solved.
        eliminated: the rows of the blocks.
    """

    number: int
    solvable: Solvable
    eliminated: EliminatedBlocks

    def forward(self, waiting: dict[int, Array]) -> Array:
        right = waiting.pop(self.number)
        return self.solvable.apply(right, right[:0])[0]


@dataclass(frozen=True, eq=False)
class Passage(Elimination):
    """The step that sends a front (dense matrix of rows) from one rank (process) to another.

    Args:
        node: the number of the front.
        source, target: the sending and the receiving rank; this rank is one of the two.
    """

    node: int
    source: int
    target: int
    eliminated = None

    def take(self, waiting: dict[int, Any]) -> None:
        """Send or receive a front or its right-hand sides.

        Args:
            waiting: the fronts or right-hand sides of this rank by number, which are updated.
        """
        front = passed(waiting.pop(self.node, None), self.source, self.target)
        if rank() == self.target:
            waiting[self.node] = front

    def forward(self, waiting: dict[int, Array]) -> Array:
        self.take(waiting)
        return np.zeros((0, 0))


def columns_of_blocks(blocks: Array, starts: Array, sizes: Array) -> Array:
    """Return the indices of the columns of some blocks, one block after the other.

    Args:
        blocks: the numbers of the blocks.
        starts, sizes: for every block its first column and its number of columns, (B,).
    """
    counts = sizes[blocks]
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    return np.repeat(starts[blocks] - ends + counts, counts) + np.arange(total)


def _within(blocks: Array, sizes: Array, chosen: Array) -> Array:
    """Return the indices of the columns that chosen blocks have in a front.

    Args:
        blocks: the numbers of the front's blocks, in the order of their columns.
        sizes: the numbers of unknowns of all blocks, (B,).
        chosen: the numbers of the blocks whose columns are returned, one block after the other.
    """
    starts = np.zeros(len(sizes), dtype=np.int64)
    starts[blocks] = np.cumsum(sizes[blocks]) - sizes[blocks]
    return columns_of_blocks(chosen, starts, sizes)


Step = tuple[int, Elimination]  # a node and the step that makes it
SolvedBlocks = tuple[int, EliminatedBlocks, Array]  # a node, its R and S, and the right-hand side z


class Dissected:
    """The factors of a sparse least-squares problem ‖A x - b‖, for any right-hand sides b.

    A front is an upper triangle of rows in the unknowns of a few blocks. Two fronts are merged at a
    time. A block of unknowns that belongs to both fronts, and to no other front, is eliminated by
    QR. The rows that remain, in the other blocks, make the merged front. The columns of a front are
    in the order of their elimination. The reflections of each step are kept; they are about as many
    numbers as the triangular factor has. So Qᵀb is as accurate as if b had been a column of the
    matrix. An unknown that the rows do not determine, because its diagonal entry is zero up to
    rounding, is set to zero.

    With several ranks (processes), each rank has the leaves of its subtrees. All ranks get equal x.

    Args:
        tree: the order of the merges.
        fronts: the rows of this rank's leaves, by their numbers.

    Raises:
        LinAlgError: if an entry is not finite.

    Reference: George, Nested dissection of a regular finite element mesh (1973); George and Heath,
    Solution of sparse linear least squares problems using Givens rotations (1980).
    """

    def __init__(self, tree: EliminationTree, fronts: Mapping[int, BlockRows]) -> None:
        self._tree, waiting = tree, dict[int, BlockRows]()
        with together():
            self._local = list(_steps(tree, tree.local, fronts, waiting))
        self._above = list(_steps(tree, tree.above, fronts, waiting))

    def solve(self, right_sides: Mapping[int, Array]) -> Array:
        """Return the x that minimise ‖A x - b‖, all blocks one after the other, (unknowns, n).

        Args:
            right_sides: the right-hand sides b in the rows of each of this rank's leaves, (r, n).

        Raises:
            LinAlgError: if an entry is not finite.
        """
        return _solved(self._tree, self._local, self._above, right_sides)


def solve_dissected(
    tree: EliminationTree, fronts: Mapping[int, BlockRows], right_sides: Mapping[int, Array]
) -> Array:
    """Solve a sparse least-squares problem as `Dissected.solve` does, without keeping factors.

    This takes half the memory. The result is (unknowns, n). The arguments are those of `Dissected`
    and of its method `solve`.
    """
    waiting = dict[int, BlockRows]()
    local, above = (_steps(tree, some, fronts, waiting) for some in (tree.local, tree.above))
    return _solved(tree, local, above, right_sides)


def _steps(
    tree: EliminationTree,
    nodes: Iterable[int],
    fronts: Mapping[int, BlockRows],
    waiting: dict[int, BlockRows],
) -> Iterator[Step]:
    """Yield the elimination steps of this rank (process) for given nodes of the tree.

    Each entry is a pair (number of the node, step). A step is computed only when the caller asks
    for it. Above the subtrees of single ranks, a rank waits for fronts of other ranks.

    Args:
        tree: the order of the merges.
        nodes: the nodes of this rank's subtrees, or the nodes above all subtrees, in order.
        fronts: the rows of this rank's leaves.
        waiting: the fronts that are not merged yet, which are updated.
    """
    for node in nodes:
        here, pair = tree.owners[node], tree.pairs.get(node, ())
        for child in pair:
            there = tree.owners[child]
            if there != here and rank() in (there, here):
                passage = Passage(child, there, here)
                passage.take(waiting)
                yield child, passage
        if here != rank():
            continue
        step: Elimination
        if pair:
            step, front = MergeElimination.of(
                node, (waiting.pop(pair[0]), waiting.pop(pair[1])), tree
            )
        else:
            check_finite([fronts[node].rows])
            step, front = LeafElimination.of(node, fronts[node], tree)
        yield node, step
        if node == tree.root:
            solvable, blocks = Solvable.of(front.rows), front.blocks
            last = EliminatedBlocks(blocks, blocks[:0], solvable.triangle, front.rows[:, :0])
            yield node, RootElimination(node, solvable, last)
        else:
            waiting[node] = front


def _solved(
    tree: EliminationTree,
    local: Iterable[Step],
    above: Iterable[Step],
    right_sides: Mapping[int, Array],
) -> Array:
    """Return the solutions (unknowns, n) for right-hand sides, by the steps of an elimination.

    After the steps, the unknowns follow by substitution, the last eliminated unknowns first.

    Args:
        tree: the order of the merges.
        local, above: the steps in the subtrees of this rank (process), and the steps above all
            subtrees.
        right_sides: the right-hand sides in the rows of each leaf of this rank, (r, n).
    """
    waiting, starts = dict(right_sides), np.cumsum(tree.sizes) - tree.sizes

    def forward(steps: Iterable[Step]) -> list[SolvedBlocks]:
        """Apply elimination steps to the right-hand sides.

        Returns:
            For each step with eliminated unknowns the node, its blocks and the right-hand sides.
        """
        both = ((node, step.eliminated, step.forward(waiting)) for node, step in steps)
        return [(node, blocks, right) for node, blocks, right in both if blocks is not None]

    def substitute(blocks: EliminatedBlocks, right: Array) -> None:
        """Write the unknowns of a step into `solution`, from the unknowns already known."""
        inner, outer = (
            columns_of_blocks(part, starts, tree.sizes) for part in (blocks.inner, blocks.outer)
        )
        solution[inner] = solve_triangular(blocks.triangle, right - blocks.rest @ solution[outer])

    with together():
        check_finite(right_sides.values())
        below = forward(local)
    last = forward(above)
    count = max((part.shape[1] for part in right_sides.values()), default=0)
    parts = 1 + any(np.iscomplexobj(part) for part in right_sides.values())  # 2 if complex
    if world() > 1:  # a rank without a leaf has no right-hand sides
        count, parts = map(int, extremes(torch.tensor([[count, parts]]).double())[1])
    solution = np.zeros((int(tree.sizes.sum()), count), complex if parts == 2 else float)
    for node in reversed(tree.above):
        while last and last[-1][0] == node:
            substitute(*last.pop()[1:])
        there = columns_of_blocks(tree.eliminated(node), starts, tree.sizes)
        solution[there] = from_rank(tree.owners[node], torch.from_numpy(solution[there])).numpy()
    shared = solution.copy()
    for _, blocks, right in reversed(below):
        substitute(blocks, right)
    return shared + summed([torch.from_numpy(solution - shared)])[0].numpy()


def check_finite(parts: Iterable[Array]) -> None:
    """Raise an error if an entry of a least-squares problem is not finite.

    Args:
        parts: matrices or right-hand sides of the problem.

    Raises:
        LinAlgError: if an entry is not finite.
    """
    if not all(np.isfinite(part).all() for part in parts):
        message = "an entry of a least-squares problem is not finite"
        raise np.linalg.LinAlgError(message)
