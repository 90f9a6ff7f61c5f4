"""Multifrontal inverse of a Hermitian positive definite matrix in the order of an elimination
tree.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import get_lapack_funcs

from kanpinn._support.distributed import from_rank, rank, together
from kanpinn.linalg.elimination_tree import EliminationTree, of_all
from kanpinn.linalg.nested_dissection import columns_of_blocks

Array = NDArray[Any]


class Scratch:
    """Memory that is used again and again: taking much new memory takes as long as the products.

    dtype: of the numbers.
    """

    def __init__(self, dtype: type) -> None:
        self._numbers: Array = np.empty(0, dtype)

    def matrix(self, rows: int, columns: int) -> Array:
        """A matrix of any numbers, which are overwritten by those of the next one."""
        if rows * columns > len(self._numbers):
            self._numbers = np.empty(rows * columns, self._numbers.dtype)
        return self._numbers[: rows * columns].reshape(rows, columns)


@dataclass(frozen=True, eq=False)
class HermitianFront:
    """A Hermitian matrix in some of the unknowns.

    Args:
        places: those of its unknowns in the order of their elimination, (c,).
        matrix: (c, c).
    """

    places: Array
    matrix: Array

    @classmethod
    def merged(cls, parts: Sequence["HermitianFront"], scratch: Scratch) -> "HermitianFront":
        """The sum of some fronts, with ascending places.

        scratch: for its matrix.
        """
        places = np.unique(np.concatenate([one.places for one in parts]))
        matrix = scratch.matrix(len(places), len(places))
        matrix[:] = 0
        for one in parts:
            for rows, from_rows in (runs := _runs(np.searchsorted(places, one.places))):
                into, own = matrix[rows], one.matrix[from_rows]
                for columns, from_columns in runs:
                    into[:, columns] += own[:, from_columns]
        return cls(places, matrix)


@dataclass(frozen=True, eq=False)
class Eliminated:
    """Unknowns x that a step eliminates from a front with the matrix [[A, B], [Bᴴ, C]].

    Args:
        inner, outer: the places of x, side by side, and of the unknowns y that remain.
        inverse: A⁻¹, (x, x).
        rest: A⁻¹ B, (x, y).
    """

    inner: slice
    outer: Array
    inverse: Array
    rest: Array

    @classmethod
    def of(
        cls, front: HermitianFront, count: int, scratch: Scratch
    ) -> tuple["Eliminated", HermitianFront]:
        """The step for the first `count` unknowns of a front, and the front of the others."""
        inner, outer = front.places[:count], front.places[count:]
        root = inverse_root(front.matrix[:count, :count])
        half = scratch.matrix(count, len(outer))
        np.matmul(root.conj().T, front.matrix[:count, count:], out=half)
        left = half.conj().T @ half
        np.subtract(front.matrix[count:, count:], left, out=left)
        step = cls(slice(inner[0], inner[0] + count), outer, root @ root.conj().T, root @ half)
        return step, HermitianFront(outer, left)

    def forward(self, right: Array) -> Array:
        """Subtract what x adds from the right-hand sides of y, and replace those b of x by A⁻¹ b.

        right: those of all unknowns, (m, n).

        Returns:
            bᴴ A⁻¹ b for each column, (n,). Their sum over all steps is the inner product of
            right-hand sides and solution.
        """
        own = right[self.inner]
        right[self.outer] -= self.rest.conj().T @ own
        known = self.inverse @ own
        products: Array = np.einsum("ij,ij->j", own.conj(), known).real
        right[self.inner] = known
        return products

    def backward(self, right: Array) -> None:
        """Replace A⁻¹ b by the solution x, when y is known."""
        right[self.inner] -= self.rest @ right[self.outer]


def inverse_root(matrix: Array) -> Array:
    """The W for which W Wᴴ is the inverse of a Hermitian matrix, (s, s).

    The inverse is zero in directions in which the matrix is singular up to rounding.
    """
    doubtful, singular, lengths = 1e-12, 1e-14, np.sqrt(np.maximum(matrix.diagonal().real, 0))
    factorised, inverted = get_lapack_funcs(("potrf", "trtri"), (matrix,))
    triangle, fails = factorised(matrix)
    if not fails and bool((np.square(triangle.diagonal().real / lengths) > doubtful).all()):
        found: Array = inverted(triangle)[0]
        return found
    scale = np.where(lengths > 0, 1 / np.where(lengths > 0, lengths, 1.0), 0.0)
    values, vectors = np.linalg.eigh(matrix * scale * scale[:, None])
    known = values > singular * values[-1]
    roots = np.where(known, 1 / np.sqrt(np.where(known, values, 1.0)), 0.0)
    return vectors * roots * scale[:, None]


def _runs(places: Array) -> list[tuple[slice, slice]]:
    """Where some places are one after the other: the places, and where these are in the array."""
    ends = np.flatnonzero(np.diff(places) != 1) + 1
    bounds = zip([0, *ends.tolist()], [*ends.tolist(), len(places)], strict=True)
    return [(slice(places[i], places[i] + j - i), slice(i, j)) for i, j in bounds if j > i]


class FrontalInverse:
    """The inverse of a sum of Hermitian matrices without negative eigenvalues.

    Each matrix belongs to a leaf of a tree and has the unknowns of its blocks. Leaves are merged in
    the order of the tree, and unknowns are eliminated when no other front has them. A subtree with
    few unknowns is merged at once: this adds little work, and makes matrices so large that their
    products are fast. Directions in which a matrix is singular up to rounding stay zero.

    With several ranks each has the leaves of its subtrees and eliminates their inner unknowns by
    itself. All get the fronts of all subtrees, and eliminate the remaining unknowns redundantly.

    Args:
        tree: the order of the merges.
        sizes: the numbers of this rank's unknowns in all blocks, (B,). They may be fewer than those
            in the tree. Ranks have all unknowns that the fronts of several ranks have.
        leaf: gives the matrix of one of this rank's leaves, one block after the other.
        dtype: of the matrices, float or complex.

    Reference: Duff and Reid, The multifrontal solution of indefinite sparse symmetric linear
    equations (1983); Ashcraft and Grimes, The influence of relaxed supernode partitions on the
    multifrontal method (1989), for subtrees at once.
    """

    def __init__(
        self, tree: EliminationTree, sizes: Array, leaf: Callable[[int], Array], dtype: type
    ) -> None:
        self._tree, self._sizes, self._leaf, self._dtype = tree, sizes, leaf, dtype
        seen = np.isin(np.arange(len(sizes)), np.concatenate(tree.blocks))
        at = np.where(seen, tree.eliminated_at, len(tree.places) + 1)  # unknowns of no leaf last
        self._order = np.argsort(np.repeat(at, sizes), kind="stable")
        self._place = np.argsort(self._order)
        self._starts = np.cumsum(sizes) - sizes
        # The numbers of unknowns that are eliminated before each node, and by all of them.
        counts = np.bincount(at, sizes, len(tree.places) + 1)[: len(tree.places) + 1]
        self._ends = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        waiting: dict[int, HermitianFront] = {}
        self._scratch = Scratch(dtype), Scratch(dtype)
        with together():
            own = [one for one in tree.subtrees if tree.owners[one] == rank()]
            self._below = [step for one in own for step in self._subtree(one, waiting)]
        if tree.above:
            waiting = {root: self._shared(root, waiting.get(root)) for root in tree.subtrees}
        self._above = [step for node in tree.above for step in self._merge(node, waiting)]
        del self._scratch
        none = np.zeros(0, dtype=np.int64)
        inner = [np.arange(one.inner.start, one.inner.stop) for one in self._above]
        self._top = np.concatenate([none, *inner])

    def __call__(self, right: Array, numbers: Array) -> tuple[Array, Array]:
        """The product with vectors, and further sums over the ranks.

        Args:
            right: the vectors in this rank's unknowns, (m, n).
            numbers: numbers of this rank for each column, (n,).

        Returns:
            The product in this rank's unknowns, (m, n), and the sums over the ranks of the numbers,
            to which the inner products of vectors and product are added, (n,).
        """
        found = right[self._order]
        parts = [step.forward(found) for step in self._below]
        own = sum(parts, numbers)
        if self._above:
            known = right[self._order[self._top]]
            both = of_all(np.concatenate([found[self._top] - known, own[None]]))
            found[self._top], own = known + both[:-1], both[-1].real
        own = sum((step.forward(found) for step in self._above), own)
        for step in reversed(self._below + self._above):
            step.backward(found)
        found[self._ends[-1] :] = 0
        return found[self._place], own

    def _subtree(self, root: int, waiting: dict[int, HermitianFront]) -> Iterator[Eliminated]:
        """The steps in a subtree of this rank. Its last front waits."""
        few, tree = 128, self._tree
        counts: dict[int, int] = {}  # of unknowns that are eliminated in the subtree of each node
        at_once: dict[int, list[int]] = {}  # the leaves of subtrees with few
        for node in tree.below(root):
            pair, place = tree.pairs.get(node, ()), tree.places[node]
            counts[node] = int(self._ends[place + 1] - self._ends[place])
            counts[node] += sum(counts[one] for one in pair)
            if counts[node] <= few and all(one in at_once for one in pair):
                at_once[node] = [leaf for one in pair for leaf in at_once.pop(one)] or [node]
                continue
            for one in pair:
                if one in at_once:
                    yield from self._leaves(one, at_once.pop(one), waiting)
            yield from self._merge(node, waiting) if pair else self._leaves(node, [node], waiting)
        if root in at_once:
            yield from self._leaves(root, at_once.pop(root), waiting)

    def _leaves(
        self, node: int, leaves: Sequence[int], waiting: dict[int, HermitianFront]
    ) -> Iterator[Eliminated]:
        """The step that merges leaves to a node."""
        return self._step(
            node, [HermitianFront(self._places(one), self._leaf(one)) for one in leaves], waiting
        )

    def _merge(self, node: int, waiting: dict[int, HermitianFront]) -> Iterator[Eliminated]:
        """The step that merges two fronts."""
        return self._step(node, [waiting.pop(one) for one in self._tree.pairs[node]], waiting)

    def _step(
        self, node: int, parts: Sequence[HermitianFront], waiting: dict[int, HermitianFront]
    ) -> Iterator[Eliminated]:
        """The step that merges fronts to a node, if it eliminates unknowns; its front waits."""
        of_front, of_step = self._scratch
        front, is_root = HermitianFront.merged(parts, of_front), node == self._tree.root
        end = self._ends[-1 if is_root else self._tree.places[node] + 1]
        count = int(np.searchsorted(front.places, end))
        if count:
            step, waiting[node] = Eliminated.of(front, count, of_step)
            yield step
        else:
            waiting[node] = HermitianFront(front.places, front.matrix.copy())

    def _places(self, leaf: int) -> Array:
        """The places of the unknowns of a leaf in the order of their elimination."""
        return self._place[columns_of_blocks(self._tree.blocks[leaf], self._starts, self._sizes)]

    def _shared(self, root: int, own: HermitianFront | None) -> HermitianFront:
        """The front of a subtree, which one rank has, on all ranks."""
        tree = self._tree
        leaves = [node for node in tree.below(root) if node not in tree.pairs]
        places = np.unique(np.concatenate([self._places(one) for one in leaves]))
        places = places[places >= self._ends[tree.places[root] + 1]]
        empty: Array = np.zeros((len(places), len(places)), self._dtype)
        matrix = torch.from_numpy(empty if own is None else own.matrix)
        return HermitianFront(places, from_rank(tree.owners[root], matrix).numpy())
