"""The inverse of a sparse Hermitian matrix, in the order of a tree of merges."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import get_lapack_funcs

from kanpinn._support.distributed import from_rank, rank, summed, together
from kanpinn.linalg.elimination import columns_of_blocks
from kanpinn.linalg.elimination_tree import EliminationTree

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
class Front:
    """A Hermitian matrix in some of the unknowns.

    Args:
        places: those of its unknowns in the order of their elimination, (c,).
        matrix: (c, c).
    """

    places: Array
    matrix: Array

    @classmethod
    def merged(cls, parts: Sequence["Front"], scratch: Scratch) -> "Front":
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
    def of(cls, front: Front, count: int, scratch: Scratch) -> tuple["Eliminated", Front]:
        """The step for the first `count` unknowns of a front, and the front of the others."""
        inner, outer = front.places[:count], front.places[count:]
        root = inverse_root(front.matrix[:count, :count])
        half = scratch.matrix(count, len(outer))
        np.matmul(root.conj().T, front.matrix[:count, count:], out=half)
        left = half.conj().T @ half
        np.subtract(front.matrix[count:, count:], left, out=left)
        step = cls(slice(inner[0], inner[0] + count), outer, root @ root.conj().T, root @ half)
        return step, Front(outer, left)

    def forward(self, right: Array) -> None:
        """Subtract what x adds from the right-hand sides of y.

        right: those of all unknowns, (N, n).
        """
        right[self.outer] -= self.rest.conj().T @ right[self.inner]

    def backward(self, right: Array) -> None:
        """Replace the right-hand sides of x by the solution, which those of y already are."""
        right[self.inner] = self.inverse @ right[self.inner] - self.rest @ right[self.outer]


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
        sizes: the numbers of unknowns of the blocks, (B,), possibly fewer than those in the tree.
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
        at = tree.eliminated_at
        self._order = np.argsort(np.repeat(at, sizes), kind="stable")
        self._place = np.argsort(self._order)
        self._starts = np.cumsum(sizes) - sizes
        # The numbers of unknowns that are eliminated before each node and up to the last one.
        counts = np.bincount(at, sizes, len(tree.places) + 1).astype(np.int64)
        self._ends = np.concatenate([[0], np.cumsum(counts)])
        waiting: dict[int, Front] = {}
        self._scratch = Scratch(dtype), Scratch(dtype)
        with together():
            own = [one for one in tree.subtrees if tree.owners[one] == rank()]
            self._below = [step for one in own for step in self._subtree(one, waiting)]
        if tree.above:
            waiting = {root: self._shared(root, waiting.get(root)) for root in tree.subtrees}
        self._above = [step for node in tree.above for step in self._merge(node, waiting)]
        del self._scratch
        self._top = _ranges(self._above)
        # Each unknown is in the part of one rank.
        self._counted = _ranges(self._below if rank() else self._below + self._above)

    def __call__(self, right: Array) -> Array:
        """This rank's part of the product with vectors (N, n); the sum of all parts is the product.

        right: the vectors, the same on all ranks.
        """
        found = right[self._order]
        for step in self._below:
            step.forward(found)
        if self._above:
            known = right[self._order[self._top]]
            found[self._top] = known + of_all(found[self._top] - known)
        for step in self._above:
            step.forward(found)
        steps = self._below + self._above
        for step in reversed(steps):
            step.backward(found)
        product = np.zeros_like(found)
        product[self._order[self._counted]] = found[self._counted]
        return product

    def _subtree(self, root: int, waiting: dict[int, Front]) -> Iterator[Eliminated]:
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
        self, node: int, leaves: Sequence[int], waiting: dict[int, Front]
    ) -> Iterator[Eliminated]:
        """The step that merges leaves to a node."""
        return self._step(
            node, [Front(self._places(one), self._leaf(one)) for one in leaves], waiting
        )

    def _merge(self, node: int, waiting: dict[int, Front]) -> Iterator[Eliminated]:
        """The step that merges two fronts."""
        return self._step(node, [waiting.pop(one) for one in self._tree.pairs[node]], waiting)

    def _step(
        self, node: int, parts: Sequence[Front], waiting: dict[int, Front]
    ) -> Iterator[Eliminated]:
        """The step that merges fronts to a node, if it eliminates unknowns; its front waits."""
        of_front, of_step = self._scratch
        front, is_root = Front.merged(parts, of_front), node == self._tree.root
        end = self._ends[-1 if is_root else self._tree.places[node] + 1]
        count = int(np.searchsorted(front.places, end))
        if count:
            step, waiting[node] = Eliminated.of(front, count, of_step)
            yield step
        else:
            waiting[node] = Front(front.places, front.matrix.copy())

    def _places(self, leaf: int) -> Array:
        """The places of the unknowns of a leaf in the order of their elimination."""
        return self._place[columns_of_blocks(self._tree.blocks[leaf], self._starts, self._sizes)]

    def _shared(self, root: int, own: Front | None) -> Front:
        """The front of a subtree, which one rank has, on all ranks."""
        tree = self._tree
        leaves = [node for node in tree.below(root) if node not in tree.pairs]
        places = np.unique(np.concatenate([self._places(one) for one in leaves]))
        places = places[places >= self._ends[tree.places[root] + 1]]
        empty: Array = np.zeros((len(places), len(places)), self._dtype)
        matrix = torch.from_numpy(empty if own is None else own.matrix)
        return Front(places, from_rank(tree.owners[root], matrix).numpy())


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


def _ranges(steps: Sequence[Eliminated]) -> Array:
    """The places of all unknowns that some steps eliminate."""
    none = np.zeros(0, dtype=np.int64)
    return np.concatenate([none, *(np.arange(one.inner.start, one.inner.stop) for one in steps)])


def of_all(values: Array) -> Array:
    """The sum of the values of all ranks."""
    return summed([torch.from_numpy(values)])[0].numpy()
