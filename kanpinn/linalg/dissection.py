"""Sparse least squares by multifrontal QR in the order of a tree of merges."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from kanpinn._support.distributed import extremes, from_rank, passed, rank, summed, together, world
from kanpinn.linalg.elimination import (
    DissectionFront,
    EliminatedBlocks,
    Elimination,
    LeafElimination,
    MergeElimination,
    RootElimination,
    columns_of_blocks,
)
from kanpinn.linalg.elimination_tree import EliminationTree

Array = NDArray[Any]
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

    def solve(self, rights: Mapping[int, Array]) -> Array:
        """The x that minimise ‖A x - b‖, (unknowns, n), all blocks one after the other.

        rights: the right-hand sides b in the rows of each of this rank's leaves, (r, n).

        Raises:
            LinAlgError: if an entry is not finite.
        """
        return _solved(self._tree, self._local, self._above, rights)


def solve_dissected(
    tree: EliminationTree, fronts: Mapping[int, BlockRows], rights: Mapping[int, Array]
) -> Array:
    """The solutions that `Dissected` has, in half the memory: no reflections are kept.

    The arguments are those of `Dissected` and of its method `solve`.
    """
    steps = _Steps(tree, fronts)
    return _solved(tree, steps.local(), steps.above(), rights)


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
    tree: EliminationTree, local: Iterable[Step], above: Iterable[Step], rights: Mapping[int, Array]
) -> Array:
    """The solutions for right-hand sides, by the steps of this rank."""
    waiting = dict(rights)

    def forward(steps: Iterable[Step]) -> list[SolvedBlocks]:
        both = ((node, step.eliminated, step.forward(waiting)) for node, step in steps)
        return [(node, own, right) for node, own, right in both if own is not None]

    with together():
        check_finite(rights.values())
        below = forward(local)
    last = forward(above)
    count = max((one.shape[1] for one in rights.values()), default=0)
    parts = 1 + any(np.iscomplexobj(one) for one in rights.values())  # of a number
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
