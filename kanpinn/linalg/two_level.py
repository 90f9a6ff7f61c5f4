"""Sparse least squares by conjugate gradients with a preconditioner on two levels."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kanpinn._support.distributed import extremes, together
from kanpinn.linalg.alike_fronts import alike_fronts
from kanpinn.linalg.dissection import BlockRows, check_finite
from kanpinn.linalg.elimination_tree import EliminationTree
from kanpinn.linalg.two_level_inverse import TwoLevelInverse
from kanpinn.linalg.unknowns_of_rank import UnknownsOfRank

Array = NDArray[Any]


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
        rights: Mapping[int, Array],
        tolerance: float,
        most: int,
        start: Array | None = None,
    ) -> Array | None:
        """The x that minimise ‖A x - b‖, all blocks one after the other, (N, n).

        Args:
            rights: the right-hand sides b in the rows of each front, (r, n).
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
            check_finite(rights.values())
        given = [np.stack([rights[number] for number in one.numbers]) for one in self._groups]
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
