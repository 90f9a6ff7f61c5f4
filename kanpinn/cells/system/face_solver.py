"""The solution for the traces on all faces: by elimination, or by conjugate gradients."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kanpinn._support.errors import NumericalError
from kanpinn._support.memory import machine_memory, written_size
from kanpinn.linalg.dissection import BlockRows, Dissected, solve_dissected
from kanpinn.linalg.elimination_tree import EliminationTree
from kanpinn.linalg.two_level import TwoLevel

Array = NDArray[Any]


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
        self, rights: Mapping[int, Array], start: Array | None = None, accuracy: float = 1e-12
    ) -> Array:
        """The traces, (unknowns, n), for the right-hand sides of each cell's rows, (r, n).

        Args:
            rights: the right-hand sides.
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
            found = self._two_level.solve(rights, max(accuracy, rounding), most, start)
            if found is not None:
                return found
            self._by_elimination = True
            del self._two_level
            self._check_memory(most)
        if self._again:
            return self._dissected.solve(rights)
        return solve_dissected(self._tree, self._fronts, rights)

    def _check_memory(self, iterations: int) -> None:
        """Refuse an elimination that does not fit into memory.

        Raises:
            NumericalError: if it does not.
        """
        memory = machine_memory()
        if self._bytes > memory:
            raise NumericalError(
                f"the least-squares problem of {len(self._tree.blocks)} cells is not solved by "
                f"{iterations} iterations of conjugate gradients, and its elimination would need "
                f"{written_size(self._bytes)} of memory; this machine has "
                f"{written_size(int(memory))}"
            )
