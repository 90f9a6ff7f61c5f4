"""The solution of the least-squares problem: elimination of single cells, then of the traces on
faces by nested dissection or conjugate gradients.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kanpinn._support.errors import NumericalError
from kanpinn._support.memory import machine_memory, written_size
from kanpinn.linalg.elimination_tree import EliminationTree, Merge, order_of_least_fill
from kanpinn.linalg.nested_dissection import (
    BlockRows,
    Dissected,
    solve_dissected,
)
from kanpinn.linalg.reflections import Reflections, StackedReflections
from kanpinn.linalg.two_level import TwoLevel
from kanpinn.spaces.cells.system.terms import PlacedTerm
from kanpinn.spaces.cells.tree import Tree

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class ProjectedReflections:
    """The orthogonal Q of A = Q R for the rows of e equations with constant coefficients in a cell.

    For fields that are polynomials of degree k, the residual of such an equation is a polynomial of
    degree k too. So the rows of each equation are V C, where V, (q, L), has the values of the L
    polynomials at the q points of a rule, times the roots of the weights. With V = Q₁ [R₁; 0] only
    the first L rows of Q₁⁻¹ V C are not zero. In three dimensions they are a fifth of the rows.

    Args:
        points: Q₁.
        projected: the reflections of the rows that are not zero, (L e, L m).
        equations: the number e of equations.
    """

    points: Reflections
    projected: Reflections
    equations: int

    @classmethod
    def of(cls, equation: PlacedTerm) -> "ProjectedReflections":
        """Factorise the rows of an equation, of which all points have the same slopes."""
        term, place = equation.term, equation.place
        assert term.is_alike
        roots = term.at.weights[place].sqrt()[:, None]
        points = Reflections.of((roots * term.polynomials.values(term.at.at(place))).numpy())
        scale = term.at.scale[place]
        derived = term.polynomials.derived(term.term.channels, scale, term.parts).numpy()
        own = np.tensordot(points.triangle, derived, 1)  # (L, parts, L)
        slopes = (term.slopes[place, 0] * equation.factors[:, None, None])[:, term.parts].numpy()
        rows = np.einsum("qpl,epm->qelm", own, slopes, optimize=True)
        shape = len(own) * slopes.shape[0], len(own) * slopes.shape[2]
        return cls(points, Reflections.of(rows.reshape(shape)), slopes.shape[0])

    @property
    def shape(self) -> tuple[int, int]:
        """The numbers of rows q e and columns L m of A."""
        return len(self.points.vectors) * self.equations, self.projected.shape[1]

    @property
    def triangle(self) -> Array:
        """R, (min(L e, L m), L m)."""
        return self.projected.triangle

    def apply(self, columns: Array) -> Array:
        """Q⁻¹ times a matrix, both (q e, n)."""
        each = self.equations * columns.shape[1]
        flat = np.ascontiguousarray(columns).reshape(-1, each)
        # The reflections of the points are real: they are applied to both parts of complex numbers.
        moved = self.points.apply(flat.view(flat.real.dtype)).copy().view(flat.dtype)
        count = self.points.vectors.shape[1]
        first, rest = (
            part.reshape(-1, columns.shape[1]) for part in (moved[:count], moved[count:])
        )
        return np.concatenate([self.projected.apply(first), rest])


@dataclass(frozen=True, eq=False)
class CellRows:
    """The rows of a cell: A c + S s = b of its terms, and B c + O s - D y = b on its faces.

    y are the traces on the faces, and s the coefficients of functions that cells share.

    Args:
        equation: the transformation of the first rows of A, (e, L m), to a triangle. These are the
            many rows of the equation; cells with the same ones share it.
        conditions: the other rows of A, (r - e, L m).
        outer: B, (t, L m).
        traces: D, (t, t).
        shared: S and below it O, (r + t, q); None if the cell shares no functions.
    """

    equation: Reflections | ProjectedReflections
    conditions: Array
    outer: Array
    traces: Array
    shared: Array | None = None


class Reduced(NamedTuple):
    """The right-hand sides of the rows that remain after the elimination of cells.

    Args:
        own: those of the rows R c + S y, (c, L m, n).
        traces: those of the rows T y, (c, t + q, n).
        lost: the sum of the squares of those of all other rows, which have become zero, (c, n).
    """

    own: Array
    traces: Array
    lost: Array


@dataclass(frozen=True, eq=False)
class CellElimination:
    """The transformation of the rows of a cell to R c + S y and T y.

    First the rows of the equation become a triangle, then this triangle with the rows of the
    conditions, and then with the rows of B, which alone contain the traces. The coefficients of
    functions that cells share count as further traces here; they are in all rows, also in those
    from which the other unknowns have gone.

    Args:
        equation: the transformation of the rows of the equation.
        conditions: that of this triangle and the other rows of A; None if there are none.
        outer: that of the triangle of A and the rows of B; None without traces.
        left: that of the rows that only shared functions are left in; None without any.
        triangle: R, (L m, L m).
        rest: S, (L m, t + q).
        traces: T, (t + q, t + q).
    """

    equation: Reflections | ProjectedReflections
    conditions: StackedReflections | None
    outer: StackedReflections | None
    left: Reflections | None
    triangle: Array
    rest: Array
    traces: Array

    @classmethod
    def of(cls, rows: CellRows) -> "CellElimination":
        """Eliminate the coefficients from the rows of a cell."""
        columns, count = rows.outer.shape[1], len(rows.traces)
        triangle = _padded(rows.equation.triangle, columns)
        rest, traces = np.zeros((columns, count), triangle.dtype), -rows.traces
        conditions = outer = None
        if len(rows.conditions):
            conditions = StackedReflections.of(triangle, rows.conditions, triangular=False)
            triangle = conditions.triangle
        if count:
            outer = StackedReflections.of(triangle.copy("F"), rows.outer, triangular=False)
            triangle, (rest, traces) = outer.triangle, outer.apply(rest, traces)
        found = cls(rows.equation, conditions, outer, None, triangle, rest, traces)
        return found if rows.shared is None else found._with(rows.shared)

    def _with(self, shared: Array) -> "CellElimination":
        """The transformation with functions that cells share; shared: see `CellRows`."""
        own, below, others = self._moved(shared)
        left, (count, each) = Reflections.of(others), below.shape
        corner = np.zeros((each, count), below.dtype)
        traces = np.block([[self.traces, below], [corner, _padded(left.triangle, each)]])
        return replace(self, left=left, rest=np.hstack([self.rest, own]), traces=traces)

    def _moved(self, known: Array) -> tuple[Array, Array, Array]:
        """Transform columns of all rows, (r + t, n).

        Returns:
            Those of the rows with R, (L m, n), of those with T but for the last q, (t, n), and of
            those in which neither coefficients nor traces are left.
        """
        first, columns = self.equation.shape[0], len(self.triangle)
        last = first + (0 if self.conditions is None else len(self.conditions.vectors))
        equation = self.equation.apply(known[:first])
        own = _padded(equation, columns)
        left, traces = (np.array(part, order="F") for part in (known[first:last], known[last:]))
        if self.conditions is not None:
            own, left = self.conditions.apply(own, left)
        if self.outer is not None:
            own, traces = self.outer.apply(own, traces)
        return own, traces, np.concatenate([equation[columns:], left])

    def reduced(self, right_hand_sides: Array) -> Reduced:
        """Transform right-hand sides of the rows of c cells, (c, r + t, n)."""
        cells, count, each = right_hand_sides.shape
        own, traces, left = self._moved(
            np.moveaxis(right_hand_sides, 1, 0).reshape(count, cells * each)
        )
        if self.left is not None:
            left, shared = self.left.apply(left), self.left.shape[1]
            traces, left = np.concatenate([traces, _padded(left, shared)]), left[shared:]
        lost = squares(left).sum(axis=0)
        own, traces = (np.moveaxis(t.reshape(-1, cells, each), 1, 0) for t in (own, traces))
        return Reduced(own, traces, lost.reshape(cells, each))


def squares(numbers: Array) -> Array:
    """The squared absolute values of real or complex numbers."""
    return np.square(np.abs(numbers) if np.iscomplexobj(numbers) else numbers)


def _padded(rows: Array, count: int) -> Array:
    """The first `count` rows of a matrix, followed by rows of zeros if it has fewer."""
    found = np.zeros((count, rows.shape[1]), rows.dtype, order="F")
    found[: len(rows)] = rows[:count]
    return found


def elimination_order(
    tree: Tree, faces: Sequence[Array], sizes: Array, work: Array
) -> EliminationTree:
    """The order of the elimination: the cheaper of two possible orders.

    Args:
        tree: the cells.
        faces: the numbers of the traces of each cell.
        sizes: the numbers of unknowns of all traces.
        work: the operations for each cell before, (N,).
    """
    halvings = EliminationTree(faces, sizes, merge_order(tree), work)
    if len(tree.level.unique(dim=0)) == 1:
        return halvings
    fill = EliminationTree(faces, sizes, order_of_least_fill(faces, sizes), work)
    return min(halvings, fill, key=lambda one: one.operations)


def merge_order(tree: Tree) -> list[Merge]:
    """The order of nested dissection, by which neighbouring nodes become one, up to the root.

    The leaves are the nodes 0 … N - 1; each merge makes the next node. The box of the tree is
    bisected again and again until each part is a leaf or the leaves of one box, and the parts are
    merged in the opposite order. Several boxes of level 0 are bisected across the longest side,
    single ones in the first coordinate of those that were halved least, in which no leaf lies
    across the middle.

    Reference: George, Nested dissection of a regular finite element mesh (1973).
    """
    found: list[Merge] = []

    def merged(members: list[int]) -> int:
        while len(members) > 1:  # the last coordinate first
            pairs = zip(members[::2], members[1::2], strict=False)
            odd, members = members[len(members) // 2 * 2 :], []
            for one, other in pairs:
                made = len(tree) + len(found)
                found.append((one, other, made))
                members.append(made)
            members += odd
        return members[0]

    def halved(leaves: Array, depth: Array) -> int:
        """The node of the leaves in a box of some levels (d,)."""
        below = level[leaves] - depth
        if len(leaves) == 1 or not below.any():
            return merged(leaves.tolist())
        # A box in which each leaf is halved in a coordinate has no leaf across its middle.
        axes = np.flatnonzero(below.all(axis=0))
        axis = int(axes[depth[axes].argmin()])
        after = depth + (np.arange(tree.dim) == axis)
        upper = (place[leaves, axis] >> (below[:, axis] - 1)) & 1
        parts = (leaves[upper == side] for side in (0, 1))
        return merged([halved(own, after) for own in parts if len(own)])

    def bisected(leaves: Array, low: Sequence[int], high: Sequence[int]) -> int:
        """The node of the leaves in boxes of level 0 at places from `low` to below `high`."""
        counts = [end - begin for begin, end in zip(low, high, strict=True)]
        axis = counts.index(max(counts))
        if counts[axis] == 1:
            return halved(leaves, np.zeros(tree.dim, dtype=np.int64))
        middle = low[axis] + counts[axis] // 2
        first, second = (
            [middle if i == axis else at for i, at in enumerate(one)] for one in (high, low)
        )
        upper = (place[leaves, axis] >> level[leaves, axis]) >= middle
        both = (leaves[~upper], low, first), (leaves[upper], second, high)
        return merged([bisected(*part) for part in both if len(part[0])])

    level, place = tree.level.numpy(), tree.place.numpy()
    bisected(np.arange(len(tree)), [0] * tree.dim, tree.roots)
    return found


class FaceSolver:
    """Least squares for the traces on all faces.

    They are found by elimination, or with any accuracy by conjugate gradients on two levels.
    The latter are taken where an elimination needs many operations, as in space from some hundred
    cells on, or more memory than there is. If factors are kept for further right-hand sides, an
    elimination is faster up to some thousand cells. It is also faster where most traces are coarse,
    as for low degrees in the plane, since the coarse matrix has to be factorised. If conjugate
    gradients converge slowly, as for many waves in a cell, the traces are eliminated after all.

    Args:
        tree: the order of the elimination.
        coarse: which traces have low degrees, (unknowns,).
        fronts: the rows of this rank's cells.
        times: how often it will solve. Factors are kept if it is more than once.
    """

    def __init__(
        self,
        tree: EliminationTree,
        coarse: Array,
        fronts: Mapping[int, BlockRows],
        *,
        times: int = 1,
    ) -> None:
        many = 1e10 * times  # operations of an elimination, whose factors serve all solves
        self._tree, self._fronts, self._again = tree, fronts, times > 1
        is_cheap = tree.operations < many and self._bytes <= machine_memory()
        # For a single cell nothing is coarse.
        one_level = not coarse.any() or 2 * coarse.sum() > len(coarse)
        self._coarse, self._by_elimination = coarse, one_level or is_cheap

    @property
    def _bytes(self) -> int:
        """The bytes that the factors of an elimination take."""
        each = 16 if any(np.iscomplexobj(one.rows) for one in self._fronts.values()) else 8
        return int(each * (1 + self._again) * self._tree.entries)

    @cached_property
    def _two_level(self) -> TwoLevel:
        return TwoLevel(self._tree, self._fronts, self._coarse)

    @cached_property
    def _dissected(self) -> Dissected:
        return Dissected(self._tree, self._fronts)

    def solve(
        self,
        right_hand_sides: Mapping[int, Array],
        start: Array | None = None,
        accuracy: float = 1e-12,
    ) -> Array:
        """The traces, (unknowns, n), for the right-hand sides of each cell's rows, (r, n).

        Args:
            right_hand_sides: those of the rows of each cell.
            start: traces near them, from which conjugate gradients start.
            accuracy: at which conjugate gradients end, the relative error in the root of the
                functional, but at least 1e-12.

        Raises:
            LinAlgError: if an entry is not finite.
            NumericalError: if conjugate gradients do not converge, and there is too little memory
                for an elimination.
        """
        few, many, slower, rounding = 100, 1000, 12, 1e-12
        if not self._by_elimination:
            # Operations of an elimination are faster, by the factor `slower`.
            ratio = self._tree.operations / (slower * self._two_level.operations)
            most = int(min(max(few, ratio), many))
            found = self._two_level.solve(right_hand_sides, max(accuracy, rounding), most, start)
            if found is not None:
                return found
            self._by_elimination = True
            del self._two_level
            if self._bytes > (memory := machine_memory()):
                raise NumericalError(
                    f"the least-squares problem of {len(self._tree.blocks)} cells is not solved by "
                    f"{most} iterations of conjugate gradients, and its elimination would need "
                    f"{written_size(self._bytes)} of memory; this machine has "
                    f"{written_size(int(memory))}"
                )
        if self._again:
            return self._dissected.solve(right_hand_sides)
        return solve_dissected(self._tree, self._fronts, right_hand_sides)
