"""The factors of the least-squares problem of all cells, for any number of right-hand sides."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kanpinn._support.distributed import summed, together
from kanpinn.cells.system.cell_group import CellGroup
from kanpinn.cells.system.face_solver import FaceSolver
from kanpinn.linalg.dissection import BlockRows
from kanpinn.linalg.elimination import columns_of_blocks
from kanpinn.linalg.elimination_tree import EliminationTree

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class CellFactors:
    """The factors of a least-squares problem in cells.

    The coefficients of each cell are eliminated by themselves, and the traces on faces by
    `FaceSolver`. With several ranks each has the cells of its own subtrees.

    Args:
        groups: the cells of this rank, each in one group, once. Groups with the same elimination
            are side by side.
        tree: the order in which the traces are eliminated.
        coarse: which of the traces are unknowns of low degrees, (unknowns,).
        columns: the number of coefficients of a cell, L m.
    """

    groups: Sequence[CellGroup]
    tree: EliminationTree
    coarse: Array
    columns: int

    def _fronts(self) -> dict[int, BlockRows]:
        return dict(pair for group in self.groups for pair in group.fronts())

    @cached_property
    def _faces(self) -> FaceSolver:
        return FaceSolver(self.tree, self.coarse, self._fronts(), again=True)

    def solve(
        self,
        rights: Iterable[Array],
        *,
        again: bool = False,
        start: Array | None = None,
        accuracy: float = 1e-12,
    ) -> tuple[Array, Array, Array]:
        """The coefficients of all cells, (N, L m, n), and their parts in the functional, (N, n).

        With several ranks all return the same. The last result are the traces, (unknowns, n).

        Args:
            rights: the right-hand sides of the rows of each group's cells, (c, rows, n). Each is
                requested when the previous one is no longer needed.
            again: whether all factors are kept for further right-hand sides, in twice the memory.
            start, accuracy: see `FaceSolver.solve`.

        Raises:
            LinAlgError: if an entry is not finite.
        """
        with together():
            reduced = []
            following = [*self.groups[1:], None]
            for group, after, own in zip(self.groups, following, rights, strict=True):
                reduced.append(group.model.elimination.reduced(own))
                if not again and (after is None or after.model is not group.model):
                    group.model.forget_reflections()
            faces = None if again else FaceSolver(self.tree, self.coarse, self._fronts())
        below: dict[int, Array] = {}
        for group, left in zip(self.groups, reduced, strict=True):
            below |= zip(group.cells, left.traces, strict=True)
        found = (faces or self._faces).solve(below, start, accuracy)
        sizes, cells = self.tree.sizes, len(self.tree.blocks)
        starts, count = np.cumsum(sizes) - sizes, found.shape[1]
        coefficients = np.zeros((cells, self.columns, count), found.dtype)
        shares = np.zeros((cells, count))
        for group, left in zip(self.groups, reduced, strict=True):
            known = found[[columns_of_blocks(faces, starts, sizes) for faces in group.faces]]
            coefficients[group.cells], shares[group.cells] = group.solved(left, known)
        both = summed([torch.from_numpy(coefficients), torch.from_numpy(shares)])
        return both[0].numpy(), both[1].numpy(), found
