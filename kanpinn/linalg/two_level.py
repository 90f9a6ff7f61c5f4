"""Sparse least squares by conjugate gradients with a two-level preconditioner."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import get_blas_funcs

from kanpinn._support.distributed import extremes, together
from kanpinn.linalg.elimination_tree import EliminationTree, UnknownsOfRank, of_all
from kanpinn.linalg.frontal_inverse import FrontalInverse
from kanpinn.linalg.nested_dissection import BlockRows, check_finite, columns_of_blocks

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class AlikeFronts:
    """Fronts with the same matrix up to a factor.

    Args:
        numbers: those of the fronts.
        rows: the matrix T, (r, t).
        columns: the unknowns of each front, (c, t).
        factors: the factor f of each front's matrix f T, (c,).
    """

    numbers: Sequence[int]
    rows: Array
    columns: Array
    factors: Array

    @cached_property
    def gram(self) -> Array:
        """TᴴT, (t, t), with each column side by side in memory."""
        return np.asfortranarray(self.rows.conj().T @ self.rows)

    def product(self, unknowns: Array) -> Array:
        """f T x for the unknowns (N, n) of all fronts, (c, r, n)."""
        return self._scaled(_applied(self.rows, unknowns[self.columns]), 1)

    def adjoint(self, rows: Array) -> Array:
        """f Tᴴ y for the rows (c, r, n) of these fronts, (c, t, n)."""
        return self._scaled(_applied(self.rows.conj().T, rows), 1)

    def normal(self, unknowns: Array) -> Array:
        """f² TᴴT x for the unknowns (N, n) of all fronts, (c, t, n).

        For a single vector only half of the symmetric matrix is read from memory: reading takes
        more time than multiplying.
        """
        own = unknowns[self.columns]
        if own.shape[0] * own.shape[2] > 1 or not own.size:
            return self._scaled(_applied(self.gram, own), 2)
        name = "hemv" if np.iscomplexobj(self.gram) else "symv"
        (multiply,) = get_blas_funcs((name,), (self.gram,))
        found: Array = multiply(self.factors[0] ** 2, self.gram, own.ravel(), lower=1)
        return found.reshape(own.shape)

    def _scaled(self, parts: Array, power: int) -> Array:
        """The parts (c, r, n) of all fronts times powers of their factors."""
        scaled: Array = parts * (self.factors**power)[:, None, None]
        return scaled


def alike_fronts(sizes: Array, fronts: Mapping[int, BlockRows]) -> list[AlikeFronts]:
    """The fronts in groups of those that share one array.

    Args:
        sizes: the numbers of unknowns of the blocks, (B,).
        fronts: the rows by number.
    """
    starts, groups = np.cumsum(sizes) - sizes, dict[int, list[int]]()
    for number, one in fronts.items():
        groups.setdefault(id(one.rows), []).append(number)
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
    """The product of a matrix (r, t) with vectors (c, t, n), as one product: (c, r, n)."""
    count, _, each = vectors.shape
    flat = vectors.transpose(1, 0, 2).reshape(vectors.shape[1], count * each)
    return (matrix @ flat).reshape(-1, count, each).transpose(1, 0, 2)


class TwoLevelInverse:
    """The sum of the inverses of AᴴA in each block of unknowns, and in all coarse unknowns.

    With several ranks each has the parts in its own unknowns.

    Args:
        tree: the blocks of each front, and the fronts of each rank.
        unknowns: those of this rank.
        groups: the fronts of this rank, those with the same matrix together.
        coarse: whether each unknown of this rank is a coarse one, (m,).
        dtype: of the numbers, float or complex.
    """

    def __init__(
        self,
        tree: EliminationTree,
        unknowns: UnknownsOfRank,
        groups: Sequence[AlikeFronts],
        coarse: Array,
        dtype: type,
    ) -> None:
        self._unknowns, self._coarse = unknowns, np.flatnonzero(coarse)
        self._blocks = _block_inverses(tree, unknowns, groups, dtype)
        blocks = np.repeat(np.arange(len(tree.sizes)), unknowns.sizes)
        counts = np.bincount(blocks, coarse, len(tree.sizes)).astype(np.int64)
        self._together = FrontalInverse(tree, counts, _coarse_matrices(groups, coarse), dtype)

    def __call__(self, slope: Array) -> tuple[Array, Array]:
        """The product with vectors (m, n), and the inner products of both, (n,)."""
        found = np.zeros_like(slope)
        for one in self._blocks:
            found[one.columns] = one(slope)
        own = self._unknowns.products(slope, found)
        together, products = self._together(slope[self._coarse], own)
        found[self._coarse] += together
        return found, products


@dataclass(frozen=True, eq=False)
class _BlockInverses:
    """The inverses of AᴴA in blocks that have the same matrix up to a factor, or in single blocks.

    Args:
        columns: the unknowns of each block, (b, s).
        inverses: for the same matrix its inverse, (1, s, s), otherwise those of all, (b, s, s).
        factors: by which the inverse in each block is to be multiplied, (b, 1, 1).
    """

    columns: Array
    inverses: Array
    factors: Array

    def __call__(self, slope: Array) -> Array:
        """The products with the parts of vectors (N, n) in the blocks, (b, s, n)."""
        own = slope[self.columns]
        if len(self.inverses) == len(own):
            return self.factors * (self.inverses @ own)
        found: Array = self.factors * _applied(self.inverses[0], own)
        return found


def _block_inverses(
    tree: EliminationTree, unknowns: UnknownsOfRank, groups: Sequence[AlikeFronts], dtype: type
) -> list[_BlockInverses]:
    """The inverses in the blocks of this rank."""
    sizes = unknowns.sizes
    matrices, places = {}, np.zeros(len(sizes), dtype=np.int64)
    for size in np.unique(tree.sizes):  # all ranks have the same
        alike = np.flatnonzero(sizes == size)
        places[alike] = np.arange(len(alike))
        matrices[int(size)] = alike, np.zeros((len(alike), size, size), dtype)
    for one in groups:
        for number, factor in zip(one.numbers, one.factors, strict=True):
            start = 0
            for block in tree.blocks[number]:
                part = slice(start, start := start + int(sizes[block]))
                matrices[int(sizes[block])][1][places[block]] += factor**2 * one.gram[part, part]
    found, starts = [], np.cumsum(sizes) - sizes
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
            inverses = _inverses(scaled[models])
            found.append(_BlockInverses(columns[alike], inverses, 1 / lengths[alike]))
    return found


def _alike(matrices: Array) -> list[Array]:
    """The numbers of equal matrices, (b, s, s), together.

    Two are taken for equal if they have the same product with a random vector, up to rounding.
    """
    rounding, vector = 1e-10, np.random.default_rng(0).standard_normal(matrices.shape[2])
    products = np.round(matrices @ vector / rounding).astype(complex)
    found: dict[bytes, list[int]] = {}
    for number, one in enumerate(products + 0.0):  # no negative zeros
        found.setdefault(one.tobytes(), []).append(number)
    return [np.array(numbers) for numbers in found.values()]


def _inverses(matrices: Array) -> Array:
    """The inverses of Hermitian matrices, (b, s, s), zero where they are singular."""
    values, vectors = np.linalg.eigh(matrices)
    known = values > 1e-14 * values[:, -1:]  # the others are open: they stay zero
    roots = np.where(known, 1 / np.sqrt(np.where(known, values, 1.0)), 0.0)
    roots = vectors * roots[:, None]
    found: Array = roots @ roots.conj().transpose(0, 2, 1)
    return found


def _coarse_matrices(groups: Sequence[AlikeFronts], coarse: Array) -> Callable[[int], Array]:
    """AᴴA of single fronts in the coarse unknowns, by number; see `TwoLevelInverse`."""
    parts: dict[int, tuple[Array, float]] = {}
    for group in groups:
        kept = np.flatnonzero(coarse[group.columns[0]])
        part = group.gram[np.ix_(kept, kept)]
        # With this addition, unknowns that nothing determines have a pivot.
        part[range(len(kept)), range(len(kept))] *= 1 + 1e-14
        for number, factor in zip(group.numbers, group.factors, strict=True):
            parts[number] = part, float(factor) ** 2
    return lambda number: parts[number][1] * parts[number][0]


class TwoLevel:
    """Conjugate gradients for the least-squares problem ‖A x - b‖.

    The preconditioner is the sum of two parts: the inverse of AᴴA in each block of unknowns, and
    its inverse in the coarse unknowns of all blocks together. If errors that extend over many
    blocks are mainly in the coarse unknowns, the number of iterations hardly depends on the number
    of blocks. Memory and time grow more slowly than those of an elimination.

    The iterations take products with AᴴA, which are several times as fast as a product with A and
    one with Aᴴ. The error by rounding in AᴴA is corrected: the iterations begin again with the
    residual of A, until that is small enough.

    With several ranks each has some of the fronts, and of all vectors the entries of the unknowns
    of these fronts. Each iteration adds up what ranks have for the unknowns that they share, and
    takes the sums for the inner products along. All get the same x.

    Args:
        tree: the blocks of each front, the numbers of their unknowns, and the fronts of each rank.
        fronts: the rows of this rank's fronts by number; those with the same matrix up to a factor
            share an array.
        coarse: whether each unknown is a coarse one, (N,).

    Raises:
        LinAlgError: if an entry is not finite.

    Reference: Björck, Numerical methods for least squares problems (1996), section 7.4, for the
    iteration; Toselli and Widlund, Domain decomposition methods (2005), section 2.2, for levels.
    """

    def __init__(
        self, tree: EliminationTree, fronts: Mapping[int, BlockRows], coarse: Array
    ) -> None:
        with together():
            check_finite(one.rows for one in fronts.values())
            self._unknowns = UnknownsOfRank.of(tree)
            self._groups = alike_fronts(self._unknowns.sizes, fronts)
        none = [np.zeros(0, dtype=np.int64)]
        self._columns = np.concatenate(none + [one.columns.ravel() for one in self._groups])
        is_complex = _on_any_rank(any(np.iscomplexobj(one.rows) for one in self._groups))
        self._dtype = complex if is_complex else float
        self._preconditioned = TwoLevelInverse(
            tree, self._unknowns, self._groups, coarse[self._unknowns.places], self._dtype
        )
        unknowns = np.array([float(tree.sizes[one].sum()) for one in tree.blocks])
        self.operations = 4 * float(np.square(unknowns).sum())

    def solve(
        self,
        right_sides: Mapping[int, Array],
        tolerance: float,
        most: int,
        start: Array | None = None,
    ) -> Array | None:
        """The x that minimise ‖A x - b‖, all blocks one after the other, (N, n).

        Args:
            right_sides: the right-hand sides b in the rows of each front, (r, n).
            tolerance: the error in the norm ‖A x‖, relative to that of x = 0.
            most: the largest number of iterations.
            start: x before the first one, (N, n). It is zero by default, or if that is nearer.

        Returns:
            x; None if it takes more iterations, as predicted from those so far, or if rounding
            keeps the error far above the tolerance.

        Raises:
            LinAlgError: if an entry is not finite.
        """
        with together():
            check_finite(right_sides.values())
        given = [np.stack([right_sides[number] for number in one.numbers]) for one in self._groups]
        each = _most(max((one.shape[2] for one in given), default=0))  # a rank may have no front
        slope, count, before = self._adjoint(given, each), 0, np.inf
        change, rest = self._preconditioned(slope)
        found, first = np.zeros_like(slope), rest
        if start is not None:
            start = start[self._unknowns.places].astype(self._dtype)
            nearer = self._slope(given, start)
            nearer_change, left = self._preconditioned(nearer)
            if _largest(left, first) < 1:
                found, slope, change, rest = start, nearer, nearer_change, left
        while (reached := _largest(rest, first)) > tolerance:
            if reached > before / 2:  # rounding in A x is all that is left, or AᴴA is too inexact
                if reached < 1e3 * tolerance:
                    break
                return None
            correction, count = self._iterated(slope, change, rest, first, tolerance, count, most)
            if correction is None:
                return None
            found, before = found + correction, reached
            slope = self._slope(given, found)
            change, rest = self._preconditioned(slope)
        return self._unknowns.whole(found)

    def _iterated(
        self,
        slope: Array,
        change: Array,
        size: Array,
        first: Array,
        tolerance: float,
        count: int,
        most: int,
    ) -> tuple[Array | None, int]:
        """The x for AᴴA x = s by conjugate gradients, or None, and the number of iterations so far.

        Args:
            slope: s, (m, n).
            change, size: what the preconditioner makes of it.
            first: the square of what the error is relative to, (n,).
            tolerance, most: see `solve`.
            count: the number of iterations before.
        """
        direction, found = change, np.zeros_like(change)
        for number in range(count + 1, most + 1):
            product, curvature = self._normal(direction)
            step = _ratio(size, curvature)
            found, slope = found + step * direction, slope - step * product
            before, (change, size) = size, self._preconditioned(slope)
            reached = _largest(size, first)
            if reached <= tolerance:
                return found, number
            if number % 25 == 0 and reached > tolerance ** (number / most):
                break
            direction = change + _ratio(size, before) * direction
        return None, most

    def _slope(self, given: Sequence[Array], found: Array) -> Array:
        """Aᴴ (b - A x), (m, n), for b of the fronts of each group, (c, r, n), and x, (m, n)."""
        products = [one.product(found) for one in self._groups]
        rest = [b - own for b, own in zip(given, products, strict=True)]
        return self._adjoint(rest, found.shape[1])

    def _normal(self, unknowns: Array) -> tuple[Array, Array]:
        """AᴴA x, (m, n), and xᴴ AᴴA x, (n,)."""
        own = self._gathered([one.normal(unknowns) for one in self._groups], unknowns.shape[1])
        return self._unknowns.added(own, np.einsum("ij,ij->j", unknowns.conj(), own).real)

    def _adjoint(self, rows: Sequence[Array], each: int) -> Array:
        """Aᴴ y, (m, n), for the rows of each group, (c, r, n); each: n."""
        parts = [one.adjoint(own) for one, own in zip(self._groups, rows, strict=True)]
        return self._unknowns.added(self._gathered(parts, each), np.zeros(each))[0]

    def _gathered(self, parts: Sequence[Array], each: int) -> Array:
        """The sums of the values that this rank's fronts have for its unknowns, (m, n).

        Args:
            parts: the values of the fronts of each group, (c, t, n).
            each: n.
        """
        flat = [np.zeros((0, each), self._dtype)] + [one.reshape(-1, each) for one in parts]
        return np.stack([self._added(column) for column in np.concatenate(flat).T], axis=1)

    def _added(self, values: Array) -> Array:
        """The sums of the values that fronts have for each unknown, (m,)."""
        if np.iscomplexobj(values):
            return self._added(values.real) + 1j * self._added(values.imag)
        return np.bincount(self._columns, values, len(self._unknowns.places))


def _most(count: int) -> int:
    """The largest number that any rank has."""
    return int(extremes(torch.tensor([[count]]).double())[1])


def _on_any_rank(condition: bool) -> bool:
    return bool(_most(int(condition)))


def _largest(squares: Array, others: Array) -> float:
    """The root of the largest quotient of squares; by rounding they may be below zero."""
    return float(_ratio(np.abs(squares), others).max(initial=0.0)) ** 0.5


def _ratio(one: Array, other: Any) -> Array:
    """The quotients, zero where both are zero."""
    return np.where(other > 0, one / np.where(other > 0, other, 1.0), 0.0)
