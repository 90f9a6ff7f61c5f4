"""The solution of the least-squares problem of cells, in two stages.

The coefficients of each cell are eliminated by orthogonal transformations. The remaining unknowns,
the traces (polynomials on faces), are found by nested dissection or conjugate gradients.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from kanpinn._support.errors import NumericalError
from kanpinn._support.memory import machine_memory, written_size
from kanpinn.linalg.elimination_tree import EliminationTree, Merge, order_of_least_fill
from kanpinn.linalg.nested_dissection import BlockRows, Dissected, solve_dissected
from kanpinn.linalg.reflections import Array, Reflections, StackedReflections
from kanpinn.linalg.two_level import TwoLevel
from kanpinn.spaces.cells.tree import Tree


class Reduced(NamedTuple):
    """What the elimination of c cells leaves of their right-hand sides, see `CellElimination`.

    Args:
        own: the right-hand sides of the rows R c + S y, (c, L m, n).
        traces: the right-hand sides of the rows T y, (c, t + q, n).
        lost: the sum of squares of the right-hand sides of all other rows, in which no unknowns are
            left, (c, n).
    """

    own: Array
    traces: Array
    lost: Array


@dataclass(frozen=True, eq=False)
class CellElimination:
    """The orthogonal elimination of a cell's coefficients c from its least-squares rows.

    It leaves two blocks: R c + S y with a triangle R, and T y without c. Before the transformation
    the rows are A c + P s = b for the equation and conditions in the cell, and B c + O s - D y = b
    on the cell's faces. Here c are the L m coefficients of the cell, y the t unknowns of the traces
    (polynomials on its faces), and s the q coefficients of functions that cells share. The rows are
    reduced to a triangle in three steps: the rows of the equation; the resulting triangle together
    with the rows of the conditions; the resulting triangle together with the rows of B, the only
    rows with traces. After the transformation y includes s. Rows from which c and the traces have
    been eliminated may still contain s. These rows are reduced to a triangle as well.

    Args:
        equation: the transformation of the rows of the equation.
        conditions: the transformation of the equation's triangle and the other rows of A; None if
            there are no other rows.
        outer: the transformation of the triangle of A and the rows of B; None without traces.
        left: the transformation of the rows that contain only s; None without shared functions.
        triangle: R, (L m, L m).
        rest: S, (L m, t + q).
        traces: T, (t + q, t + q).
    """

    equation: Reflections
    conditions: StackedReflections | None
    outer: StackedReflections | None
    left: Reflections | None
    triangle: Array
    rest: Array
    traces: Array

    @classmethod
    def of(
        cls,
        equation: Reflections,
        conditions: Array,
        outer: Array,
        traces: Array,
        shared: Array | None = None,
    ) -> "CellElimination":
        """Eliminate the coefficients from the least-squares rows of a cell.

        The class docstring defines A, B, D, O and P.

        Args:
            equation: the transformation of the first rows of A, (e, L m), to a triangle. These are
                the many rows of the equation; cells with equal rows share the transformation.
            conditions: the other rows of A, (r - e, L m).
            outer: B, (t, L m).
            traces: D, (t, t).
            shared: P above O, (r + t, q); None if the cell shares no functions.
        """
        columns, count = outer.shape[1], len(traces)
        triangle = _padded(equation.triangle, columns)
        rest, traces = np.zeros((columns, count), triangle.dtype), -traces
        on_conditions = on_outer = None
        if len(conditions):
            on_conditions = StackedReflections.of(triangle, conditions, triangular=False)
            triangle = on_conditions.triangle
        if count:
            on_outer = StackedReflections.of(triangle.copy("F"), outer, triangular=False)
            triangle, (rest, traces) = on_outer.triangle, on_outer.apply(rest, traces)
        found = cls(equation, on_conditions, on_outer, None, triangle, rest, traces)
        if shared is None:
            return found
        own, below, others = found._moved(shared)
        left, each = Reflections.of(others), below.shape[1]
        corner = np.zeros((each, count), below.dtype)
        traces = np.block([[traces, below], [corner, _padded(left.triangle, each)]])
        return replace(found, left=left, rest=np.hstack([rest, own]), traces=traces)

    def _moved(self, known: Array) -> tuple[Array, Array, Array]:
        """Apply the orthogonal transformation of the cell's rows to n columns, (r + t, n).

        Returns:
            The transformed columns in three parts: in the rows R c + S y, (L m, n); in the first t
            of the rows T y, (t, n); and in the rows in which neither coefficients nor traces are
            left.
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
        """Transform the right-hand sides of the rows of c cells that have equal matrices.

        Args:
            right_hand_sides: the right-hand sides, (c, r + t, n).
        """
        cells, count, each = right_hand_sides.shape
        own, traces, left = self._moved(
            np.moveaxis(right_hand_sides, 1, 0).reshape(count, cells * each)
        )
        if self.left is not None:
            left, shared = self.left.apply(left), self.left.shape[1]
            traces, left = np.concatenate([traces, _padded(left, shared)]), left[shared:]
        own, traces = (np.moveaxis(t.reshape(-1, cells, each), 1, 0) for t in (own, traces))
        return Reduced(own, traces, squares(left).sum(axis=0).reshape(cells, each))


def squares(numbers: Array) -> Array:
    """The squared absolute values of real or complex numbers."""
    return np.square(np.abs(numbers) if np.iscomplexobj(numbers) else numbers)


def _padded(rows: Array, count: int) -> Array:
    """The first `count` rows of a matrix, with rows of zeros appended if it has fewer rows."""
    found = np.zeros((count, rows.shape[1]), rows.dtype, order="F")
    found[: len(rows)] = rows[:count]
    return found


def elimination_order(
    tree: Tree, faces: Sequence[Array], sizes: Array, work: Array
) -> EliminationTree:
    """The order in which cells' unknowns are eliminated: nested dissection or least fill.

    The cheaper order is returned. If all cells have the same level, only nested dissection is
    tried.

    Args:
        tree: the cells.
        faces: for each cell the indices of its blocks of unknowns, such as the polynomials on its
            faces.
        sizes: the number of unknowns of each block.
        work: the operations that the elimination of each single cell takes, (N,).
    """
    halvings = EliminationTree(faces, sizes, merge_order(tree), work)
    if len(tree.level.unique(dim=0)) == 1:
        return halvings
    fill = EliminationTree(faces, sizes, order_of_least_fill(faces, sizes), work)
    return min(halvings, fill, key=lambda one: one.operations)


def merge_order(tree: Tree) -> list[Merge]:
    """The elimination order of nested dissection, as a list of merges of two nodes up to the root.

    The leaves are the nodes 0 … N - 1; each merge makes the next node. The box of the tree is
    bisected again and again until each part is a leaf or the leaves of one box, and the parts are
    merged in the opposite order. A box is bisected in its longest coordinate, or in the first of
    several equally long coordinates. Coordinates in which the bisecting plane would cut a leaf are
    excluded. Lengths are in units of boxes of level 0.

    Reference: George, Nested dissection of a regular finite element mesh (1973).
    """
    found: list[Merge] = []
    scale = 2.0 ** tree.level.double()  # exact, as places have up to 30 bits
    lows, highs = (tree.place / scale).numpy(), ((tree.place + 1) / scale).numpy()

    def node(leaves: Array, low: Array, high: Array) -> int:
        """Merge the leaves in the box from `low` to `high`, and return the number of the node."""
        # A box of several roots is divided between two roots, a single root in its middle.
        middle = np.where(high - low > 1, (low + high) // 2, (low + high) / 2)
        clear = ~((lows[leaves] < middle) & (highs[leaves] > middle)).any(axis=0)
        members = leaves.tolist()
        if len(leaves) > 1 and clear.any():
            axis = np.arange(tree.dim) == np.where(clear, high - low, 0).argmax()
            below = (highs[leaves] <= middle)[:, axis].all(axis=1)
            lower = leaves[below], low, np.where(axis, middle, high)
            upper = leaves[~below], np.where(axis, middle, low), high
            members = [node(*half) for half in (lower, upper) if len(half[0])]
        first, *others = members
        for other in others:
            found.append((first, other, len(tree) + len(found)))
            first = found[-1][2]
        return first

    node(np.arange(len(tree)), np.zeros(tree.dim), np.array(tree.roots, dtype=float))
    return found


class FaceSolver:
    """Solves the least-squares problem of the traces (unknown polynomials) on all faces.

    The coefficients of cells have been eliminated before. The traces are found by elimination, or
    to a given accuracy by conjugate gradients on two levels. Conjugate gradients are used if an
    elimination needs more memory than the machine has, or many operations (in space from some
    hundred cells on). If factors are kept for further right-hand sides, elimination is faster up to
    some thousand cells. Elimination is also faster if most unknowns are coarse, for example for low
    degrees in the plane, since the coarse matrix has to be factored anyway. If conjugate gradients
    converge slowly, for example for many waves in a cell, elimination takes over.

    Args:
        tree: the order of the elimination.
        coarse: a mask of the unknowns of low degrees, which form the coarse level, (unknowns,).
        fronts: the rows T y of each cell of this rank (process), see `CellElimination`.
        times: the expected number of solves. Factors are kept for more than one solve.
    """

    def __init__(
        self,
        tree: EliminationTree,
        coarse: Array,
        fronts: Mapping[int, BlockRows],
        *,
        times: int = 1,
    ) -> None:
        many = 1e10 * times  # the most operations of an elimination that is cheap
        self._tree, self._fronts, self._again = tree, fronts, times > 1
        is_cheap = tree.operations - tree.work.sum() < many and self._bytes <= machine_memory()
        # One level: no unknowns are coarse (as for a single cell), or most unknowns are coarse.
        one_level = not coarse.any() or 2 * coarse.sum() > len(coarse)
        self._coarse, self._by_elimination = coarse, one_level or is_cheap

    @property
    def _bytes(self) -> int:
        """The bytes that the factors of an elimination take."""
        each = 16 if any(np.iscomplexobj(one.rows) for one in self._fronts.values()) else 8
        return int(each * (1 + self._again) * self._tree.entries)

    @cached_property
    def _two_level(self) -> TwoLevel:
        """The solver by conjugate gradients."""
        return TwoLevel(self._tree, self._fronts, self._coarse)

    @cached_property
    def _dissected(self) -> Dissected:
        """The solver by elimination, which keeps its factors."""
        return Dissected(self._tree, self._fronts)

    def solve(
        self,
        right_hand_sides: Mapping[int, Array],
        start: Array | None = None,
        accuracy: float = 1e-12,
    ) -> Array:
        """The traces, (unknowns, n), for n right-hand sides.

        Args:
            right_hand_sides: the right-hand sides of the rows T y of each cell, (r, n) each.
            start: traces near the solution, from which conjugate gradients start; zero by default.
            accuracy: the relative error in the root of the functional at which conjugate gradients
                end, but at least 1e-12.

        Raises:
            LinAlgError: if an entry of the problem is not finite.
            NumericalError: if conjugate gradients do not converge, and there is too little memory
                for an elimination.
        """
        few, many, slower, rounding = 100, 1000, 2, 1e-12
        if not self._by_elimination:
            # An operation takes `slower` times as long in conjugate gradients as in elimination
            # (measured 1 to 2 with a single thread).
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
