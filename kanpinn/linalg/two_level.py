"""Sparse least squares by conjugate gradients with a two-level preconditioner."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from scipy.linalg import get_blas_funcs, get_lapack_funcs

from kanpinn._support.distributed import extremes, from_rank, rank, together
from kanpinn.linalg.elimination_tree import EliminationTree, UnknownsOfRank, of_all
from kanpinn.linalg.nested_dissection import BlockRows, check_finite, columns_of_blocks
from kanpinn.linalg.reflections import Array


class Scratch:
    """Memory that is used again for one matrix after another, since allocation is slow.

    To allocate a matrix takes as long as a matrix product.

    Args:
        dtype: the type of the numbers.
    """

    def __init__(self, dtype: type) -> None:
        self._numbers: Array = np.empty(0, dtype)

    def matrix(self, rows: int, columns: int) -> Array:
        """Return a matrix (rows, columns) with arbitrary entries; the next call overwrites it."""
        if rows * columns > len(self._numbers):
            self._numbers = np.empty(rows * columns, self._numbers.dtype)
        return self._numbers[: rows * columns].reshape(rows, columns)


@dataclass(frozen=True, eq=False)
class HermitianFront:
    """A Hermitian matrix in some of the unknowns of a sparse problem (a front of an elimination).

    Args:
        places: the places of its c unknowns in the order of elimination, (c,).
        matrix: the matrix, (c, c).
    """

    places: Array
    matrix: Array

    @classmethod
    def merged(cls, parts: Sequence["HermitianFront"], scratch: Scratch) -> "HermitianFront":
        """Return the sum of several fronts: a front in all of their unknowns, in ascending order.

        Args:
            parts: the fronts.
            scratch: the memory for the matrix of the sum.
        """
        places = np.unique(np.concatenate([part.places for part in parts]))
        matrix = scratch.matrix(len(places), len(places))
        matrix[:] = 0
        for part in parts:
            for rows, from_rows in (runs := _runs(np.searchsorted(places, part.places))):
                into, entries = matrix[rows], part.matrix[from_rows]
                for columns, from_columns in runs:
                    into[:, columns] += entries[:, from_columns]
        return cls(places, matrix)


@dataclass(frozen=True, eq=False)
class Eliminated:
    """One step of a block elimination: unknowns x of a Hermitian matrix [[A, B], [Bᴴ, C]].

    Args:
        inner, outer: the consecutive places of the a unknowns x, and the places of the b remaining
            unknowns y.
        inverse: A⁻¹, (a, a).
        rest: A⁻¹ B, (a, b).
    """

    inner: slice
    outer: Array
    inverse: Array
    rest: Array

    @classmethod
    def of(
        cls, front: HermitianFront, count: int, scratch: Scratch
    ) -> tuple["Eliminated", HermitianFront]:
        """Eliminate the first unknowns of a front (a Hermitian matrix in some unknowns).

        Args:
            front: the front.
            count: the number of its first unknowns, which are eliminated.
            scratch: the memory for the matrix of the remaining front.

        Returns:
            The step, and the front of the remaining unknowns.
        """
        inner, outer = front.places[:count], front.places[count:]
        root = inverse_root(front.matrix[:count, :count])
        half = scratch.matrix(count, len(outer))
        np.matmul(root.conj().T, front.matrix[:count, count:], out=half)
        left = half.conj().T @ half
        np.subtract(front.matrix[count:, count:], left, out=left)
        step = cls(slice(inner[0], inner[0] + count), outer, root @ root.conj().T, root @ half)
        return step, HermitianFront(outer, left)

    def forward(self, right: Array) -> Array:
        """Replace the right-hand side b of x by A⁻¹ b, and subtract BᴴA⁻¹ b from that of y.

        Args:
            right: the right-hand sides of all unknowns, (m, n), which are updated.

        Returns:
            bᴴ A⁻¹ b for each column, (n,). Their sum over all steps is the inner product of the
            right-hand sides and the solution.
        """
        b = right[self.inner]
        right[self.outer] -= self.rest.conj().T @ b
        known = self.inverse @ b
        products: Array = np.einsum("ij,ij->j", b.conj(), known).real
        right[self.inner] = known
        return products

    def backward(self, right: Array) -> None:
        """Replace A⁻¹ b in `right` (m, n) by the solution x, when y is known."""
        right[self.inner] -= self.rest @ right[self.outer]


def inverse_root(matrix: Array) -> Array:
    """Return a matrix W such that W Wᴴ is the inverse of a Hermitian matrix, (s, s).

    The inverse is set to zero in directions in which the matrix is singular up to rounding.
    """
    doubtful, singular, lengths = 1e-12, 1e-14, np.sqrt(np.maximum(matrix.diagonal().real, 0))
    factorised, inverted = get_lapack_funcs(("potrf", "trtri"), (matrix,))
    triangle, fails = factorised(matrix)
    if not fails and bool((np.square(triangle.diagonal().real / lengths) > doubtful).all()):
        root: Array = inverted(triangle)[0]
        return root
    scale = np.where(lengths > 0, 1 / np.where(lengths > 0, lengths, 1.0), 0.0)
    values, vectors = np.linalg.eigh(matrix * scale * scale[:, None])
    known = values > singular * values[-1]
    roots = np.where(known, 1 / np.sqrt(np.where(known, values, 1.0)), 0.0)
    return vectors * roots * scale[:, None]


def _runs(places: Array) -> list[tuple[slice, slice]]:
    """Split an array of integers into runs of consecutive integers, such as 4, 5, 6.

    Args:
        places: the integers, here indices of rows, (n,).

    Returns:
        For each run two slices: its integers, and their positions in the array.
    """
    ends = np.flatnonzero(np.diff(places) != 1) + 1
    bounds = zip([0, *ends.tolist()], [*ends.tolist(), len(places)], strict=True)
    return [(slice(places[i], places[i] + j - i), slice(i, j)) for i, j in bounds if j > i]


class FrontalInverse:
    """The inverse of a sparse sum of positive semidefinite Hermitian matrices, by elimination.

    The sum is eliminated along a tree. Each leaf of the tree has one matrix, in the unknowns of the
    leaf's blocks. An unknown of several leaves is eliminated at the first node above all of these
    leaves, an unknown of one leaf at the root. The matrix that is left after the elimination is the
    front of the node. The leaves of a small subtree are merged in one step: this adds little work,
    and makes matrices large enough for fast products. If the matrix of the unknowns that a step
    eliminates is singular up to rounding, its pseudo-inverse is used.

    With several ranks (processes), each rank eliminates the unknowns that only one of its subtrees
    has. Then all ranks get the fronts of all subtrees, and each rank eliminates all of the
    remaining unknowns.

    Args:
        tree: the order of the merges.
        sizes: the number of this rank's unknowns in each block, (B,). It is less than the number in
            `tree.sizes` if the matrices contain only some of the block's unknowns. It is 0 if the
            block belongs to another rank only.
        leaf: a function from the number of one of this rank's leaves to the leaf's matrix, (c, c),
            for the c unknowns of its blocks `tree.blocks[number]`, one block after the other.
        dtype: the type of the matrices, float or complex.

    Reference: Duff and Reid, The multifrontal solution of indefinite sparse symmetric linear
    equations (1983); Ashcraft and Grimes, The influence of relaxed supernode partitions on the
    multifrontal method (1989), for merging subtrees at once.
    """

    def __init__(
        self, tree: EliminationTree, sizes: Array, leaf: Callable[[int], Array], dtype: type
    ) -> None:
        self._tree, self._sizes, self._leaf, self._dtype = tree, sizes, leaf, dtype
        seen = np.isin(np.arange(len(sizes)), np.concatenate(tree.blocks))
        at = np.where(seen, tree.eliminated_at, len(tree.places) + 1)  # last: unknowns of no leaf
        self._order = np.argsort(np.repeat(at, sizes), kind="stable")
        self._place = np.argsort(self._order)
        self._starts = np.cumsum(sizes) - sizes
        # The numbers of unknowns that are eliminated before each node, and by all nodes.
        counts = np.bincount(at, sizes, len(tree.places) + 1)[: len(tree.places) + 1]
        self._ends = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        waiting: dict[int, HermitianFront] = {}
        self._scratch = Scratch(dtype), Scratch(dtype)
        with together():
            roots = [root for root in tree.subtrees if tree.owners[root] == rank()]
            self._below = [step for root in roots for step in self._subtree(root, waiting)]
        if tree.above:
            waiting = {root: self._shared(root, waiting.get(root)) for root in tree.subtrees}
        self._above = [step for node in tree.above for step in self._merge(node, waiting)]
        del self._scratch
        inner = [np.arange(step.inner.start, step.inner.stop) for step in self._above]
        self._top = np.concatenate([np.zeros(0, dtype=np.int64), *inner])

    def __call__(self, right: Array, numbers: Array) -> tuple[Array, Array]:
        """Multiply n vectors x by the inverse A⁻¹, and compute the inner products xᴴ A⁻¹ x.

        Args:
            right: the vectors in this rank's unknowns, (m, n).
            numbers: for each vector a number of this rank, (n,). The sum of the numbers of all
                ranks is added to the inner product, since one exchange then does for both.

        Returns:
            The products A⁻¹ x in this rank's unknowns, (m, n), and the inner products with the
            added numbers, (n,).
        """
        product = right[self._order]
        sums = sum((step.forward(product) for step in self._below), numbers)
        if self._above:
            known = right[self._order[self._top]]
            both = of_all(np.concatenate([product[self._top] - known, sums[None]]))
            product[self._top], sums = known + both[:-1], both[-1].real
        sums = sum((step.forward(product) for step in self._above), sums)
        for step in reversed(self._below + self._above):
            step.backward(product)
        product[self._ends[-1] :] = 0
        return product[self._place], sums

    def _subtree(self, root: int, waiting: dict[int, HermitianFront]) -> Iterator[Eliminated]:
        """Yield the steps in a subtree of this rank.

        Args:
            root: the root of the subtree.
            waiting: the front of each node that is not merged yet; the front of the root is added.
        """
        few, tree = 128, self._tree
        counts: dict[int, int] = {}  # of unknowns that are eliminated in the subtree of each node
        at_once: dict[int, list[int]] = {}  # the leaves of subtrees with few unknowns
        for node in tree.below(root):
            pair, place = tree.pairs.get(node, ()), tree.places[node]
            counts[node] = int(self._ends[place + 1] - self._ends[place])
            counts[node] += sum(counts[child] for child in pair)
            if counts[node] <= few and all(child in at_once for child in pair):
                at_once[node] = [leaf for child in pair for leaf in at_once.pop(child)] or [node]
                continue
            for child in pair:
                if child in at_once:
                    yield from self._leaves(child, at_once.pop(child), waiting)
            yield from self._merge(node, waiting) if pair else self._leaves(node, [node], waiting)
        if root in at_once:
            yield from self._leaves(root, at_once.pop(root), waiting)

    def _leaves(
        self, node: int, leaves: Sequence[int], waiting: dict[int, HermitianFront]
    ) -> Iterator[Eliminated]:
        """Yield the step that adds the matrices of several leaves, and eliminates what it can.

        The result is the front of a node: the matrix that is left.

        Args:
            node: the node.
            leaves: the numbers of all leaves in the subtree of the node.
            waiting: the front of each node that is not merged yet; the node's front is added.
        """
        return self._step(
            node, [HermitianFront(self._places(leaf), self._leaf(leaf)) for leaf in leaves], waiting
        )

    def _merge(self, node: int, waiting: dict[int, HermitianFront]) -> Iterator[Eliminated]:
        """Yield the step that merges the fronts of a node's two children to the front of the node.

        Args:
            node: the node.
            waiting: the front of each node that is not merged yet. The front of the node replaces
                those of its children.
        """
        return self._step(node, [waiting.pop(child) for child in self._tree.pairs[node]], waiting)

    def _step(
        self, node: int, parts: Sequence[HermitianFront], waiting: dict[int, HermitianFront]
    ) -> Iterator[Eliminated]:
        """Yield the step that merges fronts to the front of a node, if it eliminates any unknown.

        Args:
            node: the node. The root eliminates all unknowns that are left.
            parts: the fronts that are merged.
            waiting: the front of each node that is not merged yet; the node's front is added.
        """
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
        """The places of the unknowns of a leaf in the order of elimination."""
        return self._place[columns_of_blocks(self._tree.blocks[leaf], self._starts, self._sizes)]

    def _shared(self, root: int, own: HermitianFront | None) -> HermitianFront:
        """Send the front of a subtree, which one rank has eliminated, to all ranks, and return it.

        Args:
            root: the root of the subtree.
            own: the front of the subtree's root on the rank that has it; None on other ranks.
        """
        tree = self._tree
        leaves = [node for node in tree.below(root) if node not in tree.pairs]
        places = np.unique(np.concatenate([self._places(leaf) for leaf in leaves]))
        places = places[places >= self._ends[tree.places[root] + 1]]
        empty: Array = np.zeros((len(places), len(places)), self._dtype)
        matrix = torch.from_numpy(empty if own is None else own.matrix)
        return HermitianFront(places, from_rank(tree.owners[root], matrix).numpy())


@dataclass(frozen=True, eq=False)
class AlikeFronts:
    """Fronts, matrices in some of the unknowns, that are multiples f T of one matrix T.

    Args:
        numbers: the numbers of the c fronts.
        rows: the common matrix T, (r, t).
        columns: the unknowns of each front, (c, t).
        factors: the factor f of each front, (c,).
    """

    numbers: Sequence[int]
    rows: Array
    columns: Array
    factors: Array

    @cached_property
    def gram(self) -> Array:
        """TᴴT, (t, t), in column-major order."""
        return np.asfortranarray(self.rows.conj().T @ self.rows)

    def product(self, unknowns: Array) -> Array:
        """The products f T x of the fronts' matrices f T and vectors x, (c, r, n).

        Args:
            unknowns: the vectors x of all unknowns, (N, n).
        """
        return self._scaled(_applied(self.rows, unknowns[self.columns]), 1)

    def adjoint(self, rows: Array) -> Array:
        """The products f Tᴴ y of the fronts' adjoint matrices f Tᴴ and vectors y, (c, t, n).

        Args:
            rows: the vectors y in the rows of each front, (c, r, n).
        """
        return self._scaled(_applied(self.rows.conj().T, rows), 1)

    def normal(self, unknowns: Array) -> Array:
        """The products f² TᴴT x of the fronts' normal matrices and vectors x, (c, t, n).

        For a single front and a single vector (c = n = 1) only half of the symmetric matrix TᴴT is
        read from memory, because reading takes more time than multiplying.

        Args:
            unknowns: the vectors x of all unknowns, (N, n).
        """
        x = unknowns[self.columns]
        if x.shape[0] * x.shape[2] > 1 or not x.size:
            return self._scaled(_applied(self.gram, x), 2)
        name = "hemv" if np.iscomplexobj(self.gram) else "symv"
        (multiply,) = get_blas_funcs((name,), (self.gram,))
        product: Array = multiply(self.factors[0] ** 2, self.gram, x.ravel(), lower=1)
        return product.reshape(x.shape)

    def _scaled(self, parts: Array, power: int) -> Array:
        """Multiply values of these fronts, (c, r, n), by a power of the fronts' factors f."""
        scaled: Array = parts * (self.factors**power)[:, None, None]
        return scaled


def alike_fronts(sizes: Array, fronts: Mapping[int, BlockRows]) -> list[AlikeFronts]:
    """Group fronts that share one array of rows; return an `AlikeFronts` for each array.

    Args:
        sizes: the numbers of unknowns of the blocks, (B,).
        fronts: the rows of each front, by the number of the front.
    """
    starts, groups = np.cumsum(sizes) - sizes, dict[int, list[int]]()
    for number, front in fronts.items():
        groups.setdefault(id(front.rows), []).append(number)
    return [
        AlikeFronts(
            numbers,
            fronts[numbers[0]].rows,
            np.stack([columns_of_blocks(fronts[at].blocks, starts, sizes) for at in numbers]),
            np.array([fronts[at].factor for at in numbers]),
        )
        for numbers in groups.values()
    ]


def _applied(matrix: Array, vectors: Array) -> Array:
    """The products of a matrix (r, t) with vectors (c, t, n), by one multiplication: (c, r, n)."""
    count, _, each = vectors.shape
    flat = vectors.transpose(1, 0, 2).reshape(vectors.shape[1], count * each)
    return (matrix @ flat).reshape(-1, count, each).transpose(1, 0, 2)


@dataclass(frozen=True, eq=False)
class _BlockInverses:
    """The inverses of diagonal blocks of AᴴA, for the least-squares problem ‖A x - b‖.

    Either all blocks have one matrix up to a factor, or each block has a matrix of its own.

    Args:
        columns: the unknowns of each block, (b, s).
        inverses: the inverse of the common matrix, (1, s, s), or of all matrices, (b, s, s).
        factors: the factor of the inverse in each block, (b, 1, 1).
    """

    columns: Array
    inverses: Array
    factors: Array

    def __call__(self, slope: Array) -> Array:
        """Multiply vectors by the inverses, block by block: the products in each block, (b, s, n).

        Args:
            slope: the vectors, with the entries of all unknowns, (N, n).
        """
        parts = slope[self.columns]
        if len(self.inverses) == len(parts):
            return self.factors * (self.inverses @ parts)
        products: Array = self.factors * _applied(self.inverses[0], parts)
        return products


def _block_inverses(
    tree: EliminationTree, unknowns: UnknownsOfRank, groups: Sequence[AlikeFronts], dtype: type
) -> list[_BlockInverses]:
    """Return the inverses of all diagonal blocks of AᴴA of this rank (process).

    Args:
        tree: the blocks of each front, and the numbers of their unknowns.
        unknowns: the unknowns of this rank.
        groups: this rank's fronts. The parts of AᴴA in blocks that several ranks share are summed
            over the ranks.
        dtype: the type of AᴴA, float or complex.

    Returns:
        One entry for each group of blocks with equal matrices up to a factor, and for each size of
        blocks one entry for all other blocks of this size.
    """
    sizes = unknowns.sizes
    matrices, places = {}, np.zeros(len(sizes), dtype=np.int64)
    for size in np.unique(tree.sizes):  # all ranks have the same sizes
        alike = np.flatnonzero(sizes == size)
        places[alike] = np.arange(len(alike))
        matrices[int(size)] = alike, np.zeros((len(alike), size, size), dtype)
    for group in groups:
        for number, factor in zip(group.numbers, group.factors, strict=True):
            start = 0
            for block in tree.blocks[number]:
                part = slice(start, start := start + int(sizes[block]))
                matrices[int(sizes[block])][1][places[block]] += factor**2 * group.gram[part, part]
    blocks, starts = [], np.cumsum(sizes) - sizes
    for size, (numbers, matrix) in matrices.items():
        of_several = tree.shared_blocks[numbers]
        matrix[of_several] = of_all(matrix[of_several])
        columns = starts[numbers][:, None] + np.arange(size)
        lengths = np.einsum("bii->b", matrix).real
        lengths = np.where(lengths > 0, lengths, 1.0)[:, None, None]
        scaled = matrix / lengths
        together = _alike(scaled)
        several = [(alike, alike[:1]) for alike in together if len(alike) > 1]
        single = np.array([alike[0] for alike in together if len(alike) == 1], dtype=np.int64)
        for alike, models in [*several, (single, single)]:
            values, vectors = np.linalg.eigh(scaled[models])
            known = values > 1e-14 * values[:, -1:]  # the inverse is zero in other directions
            roots = np.where(known, 1 / np.sqrt(np.where(known, values, 1.0)), 0.0)
            roots = vectors * roots[:, None]
            inverses = roots @ roots.conj().transpose(0, 2, 1)
            blocks.append(_BlockInverses(columns[alike], inverses, 1 / lengths[alike]))
    return blocks


def _alike(matrices: Array) -> list[Array]:
    """Group equal matrices: return the numbers of the matrices in each group.

    Matrices count as equal if they have the same product with a random vector, up to rounding.

    Args:
        matrices: the matrices, (b, s, s).
    """
    rounding, vector = 1e-10, np.random.default_rng(0).standard_normal(matrices.shape[2])
    products = np.round(matrices @ vector / rounding).astype(complex)
    groups: dict[bytes, list[int]] = {}
    for number, product in enumerate(products + 0.0):  # no negative zeros
        groups.setdefault(product.tobytes(), []).append(number)
    return [np.array(numbers) for numbers in groups.values()]


class TwoLevel:
    """Conjugate gradients for a sparse least-squares problem ‖A x - b‖, with two levels.

    The preconditioner is the sum of two inverses of AᴴA: in each diagonal block of unknowns, and in
    the coarse unknowns of all blocks together. If errors that extend over many blocks are mainly in
    the coarse unknowns, the number of iterations hardly depends on the number of blocks. Memory and
    time grow more slowly than those of an elimination.

    The iterations take products with AᴴA, which are several times as fast as a product with A and
    one with Aᴴ. The error by rounding in AᴴA is corrected: the iterations begin again with the
    residual of A, until this residual is small enough.

    A front is a matrix with some of the rows of A, in the unknowns of a few blocks. With several
    ranks (processes), each rank has some of the fronts, and the entries of all vectors in the
    unknowns of these fronts. Each iteration adds up the ranks' values of shared unknowns, together
    with the sums for the inner products. All ranks get equal x.

    Args:
        tree: the blocks of each front, the numbers of their unknowns, and the fronts of each rank.
        fronts: the rows of this rank's fronts by number. Fronts with equal matrices up to a factor
            share an array.
        coarse: whether each of the N unknowns is coarse, (N,).

    Raises:
        LinAlgError: if an entry is not finite.

    Reference: Björck, Numerical methods for least squares problems (1996), section 7.4, for the
    iteration; Toselli and Widlund, Domain decomposition methods (2005), section 2.2, for levels.
    """

    def __init__(
        self, tree: EliminationTree, fronts: Mapping[int, BlockRows], coarse: Array
    ) -> None:
        with together():
            check_finite(front.rows for front in fronts.values())
            self._unknowns = UnknownsOfRank.of(tree)
            self._groups = alike_fronts(self._unknowns.sizes, fronts)
        empty = [np.zeros(0, dtype=np.int64)]
        self._columns = np.concatenate(empty + [group.columns.ravel() for group in self._groups])
        is_complex = any(np.iscomplexobj(group.rows) for group in self._groups)
        self._dtype = complex if _most(is_complex) else float
        coarse, sizes = coarse[self._unknowns.places], self._unknowns.sizes
        self._coarse = np.flatnonzero(coarse)
        self._blocks = _block_inverses(tree, self._unknowns, self._groups, self._dtype)
        blocks = np.repeat(np.arange(len(tree.sizes)), sizes)
        counts = np.bincount(blocks, coarse, len(tree.sizes)).astype(np.int64)
        parts: dict[int, tuple[Array, float]] = {}  # AᴴA of fronts in coarse unknowns, and a factor
        for group in self._groups:
            kept = np.flatnonzero(coarse[group.columns[0]])
            part = group.gram[np.ix_(kept, kept)]
            # With this addition, the pivots of unknowns that no row determines are not zero.
            part[range(len(kept)), range(len(kept))] *= 1 + 1e-14
            for number, factor in zip(group.numbers, group.factors, strict=True):
                parts[number] = part, float(factor) ** 2
        self._together = FrontalInverse(
            tree, counts, lambda number: parts[number][1] * parts[number][0], self._dtype
        )
        unknowns = np.array([float(tree.sizes[numbers].sum()) for numbers in tree.blocks])
        self.operations = 4 * float(np.square(unknowns).sum())

    def solve(
        self,
        right_sides: Mapping[int, Array],
        tolerance: float,
        most: int,
        start: Array | None = None,
    ) -> Array | None:
        """Return the x that minimise ‖A x - b‖, all blocks one after the other, (N, n).

        Args:
            right_sides: the right-hand sides b in the rows of each front, (r, n).
            tolerance: the largest error of x in any column, relative to the error of x = 0. An
                error e is measured by ‖A e‖, which the preconditioner estimates.
            most: the largest number of iterations.
            start: x before the first iteration, (N, n); 0 by default. If x = 0 has a smaller error,
                the iteration starts from 0 instead.

        Returns:
            x, (N, n). None if the iterations so far predict that more than `most` are needed, or if
            rounding keeps the error above a thousand times the tolerance.

        Raises:
            LinAlgError: if an entry is not finite.
        """
        with together():
            check_finite(right_sides.values())
        given = [
            np.stack([right_sides[number] for number in group.numbers]) for group in self._groups
        ]
        each = _most(max((b.shape[2] for b in given), default=0))  # a rank may have no front
        slope, count, before = self._adjoint(given, each), 0, np.inf
        change, rest = self._preconditioned(slope)
        x, first = np.zeros_like(slope), rest
        if start is not None:
            start = start[self._unknowns.places].astype(self._dtype)
            nearer = self._slope(given, start)
            nearer_change, left = self._preconditioned(nearer)
            if _largest(left, first) < 1:
                x, slope, change, rest = start, nearer, nearer_change, left
        while (reached := _largest(rest, first)) > tolerance:
            if reached > before / 2:  # rounding in A x is all that is left, or AᴴA is too inexact
                if reached < 1e3 * tolerance:
                    break
                return None
            before, direction, correction = reached, change, np.zeros_like(change)
            while not reached <= tolerance:  # conjugate gradients for AᴴA x = s; true for NaN
                product, curvature = self._normal(direction)
                step, last, count = _ratio(rest, curvature), rest, count + 1
                correction, slope = correction + step * direction, slope - step * product
                change, rest = self._preconditioned(slope)
                reached = _largest(rest, first)
                hopeless = count % 25 == 0 and not reached <= tolerance ** (count / most)
                if not reached <= tolerance and (hopeless or count >= most):
                    return None
                direction = change + _ratio(rest, last) * direction
            x = x + correction
            slope = self._slope(given, x)
            change, rest = self._preconditioned(slope)
        return self._unknowns.whole(x)

    def _preconditioned(self, slope: Array) -> tuple[Array, Array]:
        """Apply the preconditioner to vectors.

        Args:
            slope: the vectors, (m, n).

        Returns:
            The product, (m, n), and the inner products of vectors and product, (n,).
        """
        change = np.zeros_like(slope)
        for block in self._blocks:
            change[block.columns] = block(slope)
        sums = self._unknowns.products(slope, change)
        together, products = self._together(slope[self._coarse], sums)
        change[self._coarse] += together
        return change, products

    def _slope(self, given: Sequence[Array], found: Array) -> Array:
        """The residuals Aᴴ (b - A x) of the normal equations for given x, (m, n).

        Args:
            given: b in the fronts of each group, (c, r, n).
            found: x, (m, n).
        """
        products = [group.product(found) for group in self._groups]
        rest = [b - product for b, product in zip(given, products, strict=True)]
        return self._adjoint(rest, found.shape[1])

    def _normal(self, unknowns: Array) -> tuple[Array, Array]:
        """Multiply by AᴴA.

        Args:
            unknowns: vectors x, (m, n).

        Returns:
            AᴴA x, (m, n), and xᴴ AᴴA x, (n,).
        """
        product = self._gathered(
            [group.normal(unknowns) for group in self._groups], unknowns.shape[1]
        )
        return self._unknowns.added(product, np.einsum("ij,ij->j", unknowns.conj(), product).real)

    def _adjoint(self, rows: Sequence[Array], each: int) -> Array:
        """Multiply vectors y in the rows of the fronts by the adjoint matrix: Aᴴ y, (m, n).

        Args:
            rows: y in the rows of each group of fronts, (c, r, n).
            each: the number n of columns.
        """
        parts = [group.adjoint(y) for group, y in zip(self._groups, rows, strict=True)]
        return self._unknowns.added(self._gathered(parts, each), np.zeros(each))[0]

    def _gathered(self, parts: Sequence[Array], each: int) -> Array:
        """Sum over this rank's fronts: for each unknown its values in all fronts, (m, n).

        Args:
            parts: the values in the fronts of each group, (c, t, n).
            each: the number n of columns.
        """
        flat = [np.zeros((0, each), self._dtype)] + [part.reshape(-1, each) for part in parts]
        return np.stack([self._added(column) for column in np.concatenate(flat).T], axis=1)

    def _added(self, values: Array) -> Array:
        """For each unknown, the sum of its values in all fronts, (m,).

        Args:
            values: the values of all fronts' unknowns, one front after the other.
        """
        if np.iscomplexobj(values):
            return self._added(values.real) + 1j * self._added(values.imag)
        return np.bincount(self._columns, values, len(self._unknowns.places))


def _most(count: int) -> int:
    """The maximum of a number over all ranks (processes)."""
    return int(extremes(torch.tensor([[count]]).double())[1])


def _largest(squares: Array, others: Array) -> float:
    """Return the square root of the largest |squares| / others, for arrays (n,); 0 if n = 0.

    The absolute value is taken because rounding may make small squares negative. A quotient whose
    divisor is not positive counts as 0.
    """
    return float(_ratio(np.abs(squares), others).max(initial=0.0)) ** 0.5


def _ratio(one: Array, other: Any) -> Array:
    """The quotients one / other, zero where the divisor is not positive."""
    return np.where(other > 0, one / np.where(other > 0, other, 1.0), 0.0)
