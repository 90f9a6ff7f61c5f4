"""The factors of the least-squares problem of all cells, for any number of right-hand sides."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kanpinn.cells.system.cell_group import CellGroup
from kanpinn.linalg.dissection import BlockRows, Dissected, Merge, solve_dissected
from kanpinn.linalg.elimination import columns_of_blocks

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class CellFactors:
    """The factors of a least-squares problem in cells.

    The coefficients of each cell are eliminated by themselves, and the traces on faces in the order
    of a nested dissection.

    Args:
        groups: the cells, each in one group, once.
        merges: the order of the dissection.
        sizes: the numbers of unknowns on all faces, (F,).
    """

    groups: Sequence[CellGroup]
    merges: Sequence[Merge]
    sizes: Array

    @property
    def cells(self) -> int:
        """The number of cells."""
        return sum(len(group.cells) for group in self.groups)

    def _fronts(self) -> list[BlockRows]:
        fronts = dict(pair for group in self.groups for pair in group.fronts())
        return [fronts[cell] for cell in range(len(fronts))]

    @cached_property
    def _dissected(self) -> Dissected:
        return Dissected(self._fronts(), self.sizes, self.merges)

    def solve(self, rights: Sequence[Array], *, again: bool = False) -> tuple[Array, Array]:
        """The coefficients of all cells, (N, L m, n), and their parts in the functional, (N, n).

        Args:
            rights: the right-hand sides of the rows of each group's cells, (c, rows, n).
            again: whether all factors are kept for further right-hand sides, in twice the memory.

        Raises:
            LinAlgError: if an entry is not finite.
        """
        reduced = []
        for group, own in zip(self.groups, rights, strict=True):
            reduced.append(group.elimination.reduced(own))
            if not again:
                group.forget_reflections()
        below: list[Array] = [np.zeros(0)] * self.cells
        for group, left in zip(self.groups, reduced, strict=True):
            for cell, one in zip(group.cells, left.traces, strict=True):
                below[cell] = one
        if again:
            found = self._dissected.solve(below)
        else:
            found = solve_dissected(self._fronts(), self.sizes, self.merges, below)
        starts = np.cumsum(self.sizes) - self.sizes
        columns, count = self.groups[0].shape[1], rights[0].shape[2]
        coefficients = np.zeros((self.cells, columns, count))
        shares = np.zeros((self.cells, count))
        for group, left in zip(self.groups, reduced, strict=True):
            known = found[[columns_of_blocks(faces, starts, self.sizes) for faces in group.faces]]
            coefficients[group.cells], shares[group.cells] = group.solved(left, known)
        return coefficients, shares
