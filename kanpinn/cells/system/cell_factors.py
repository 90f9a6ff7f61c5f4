"""The factors of the least-squares problem of all cells, for any number of right-hand sides."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kanpinn._support.distributed import summed, together
from kanpinn.cells.system.cell_group import CellGroup, ReducedRights
from kanpinn.cells.system.face_solver import FaceSolver
from kanpinn.linalg.dissection import BlockRows
from kanpinn.linalg.elimination import columns_of_blocks
from kanpinn.linalg.elimination_tree import EliminationTree

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class SolvedFactors:
    """The solutions of a least-squares problem in cells for n right-hand sides.

    Args:
        coefficients: of all cells, (N, L m, n).
        shares: their parts in the functional, (N, n).
        traces: those on faces and arcs, then the coefficients of shared functions, (unknowns, n).
    """

    coefficients: Array
    shares: Array
    traces: Array

    def corrected(self, change: "SolvedFactors") -> "SolvedFactors":
        """The solution plus a correction, which leaves the residuals whose squares are shares."""
        coefficients = self.coefficients + change.coefficients
        return SolvedFactors(coefficients, change.shares, self.traces + change.traces)


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
        return self._solver(100)

    def _solver(self, times: int) -> FaceSolver:
        return FaceSolver(self.tree, self.coarse, self._fronts(), times=times)

    def solve(
        self,
        rights: Iterable[Array],
        *,
        again: bool = False,
        residuals: Callable[[SolvedFactors], Iterable[Array]] | None = None,
        start: Array | None = None,
        accuracy: float = 1e-12,
    ) -> SolvedFactors:
        """Solve the problem; with several ranks all get the same.

        With `residuals` the solution is corrected by the same factors (iterative refinement). One
        correction reduced the relative error by rounding from 2e-12 to 1e-14 for waves, since the
        rows of equation and jumps differ in size by many powers of ten.

        Args:
            rights: the right-hand sides of the rows of each group's cells, (c, rows, n). Each is
                requested when the previous one is no longer needed.
            again: whether all factors are kept for further right-hand sides, in twice the memory.
            residuals: the right-hand sides minus the rows times a solution.
            start, accuracy: see `FaceSolver.solve`.

        Raises:
            LinAlgError: if an entry is not finite.

        Reference: Björck, Numerical methods for least squares problems (1996), section 2.9.
        """
        kept, enough = again or residuals is not None, 1e-3
        with together():
            reduced = self._reduced(rights, kept)
            faces = self._faces if again else self._solver(2 if residuals else 1)
        found = self._found(reduced, faces, start, accuracy)
        if residuals is None:
            return found
        with together():
            reduced = self._reduced(residuals(found), again)
        return found.corrected(self._found(reduced, faces, None, enough))

    def _reduced(self, rights: Iterable[Array], kept: bool) -> list[ReducedRights]:
        """The right-hand sides after the elimination of each group's cells.

        kept: whether the reflections of cells are needed again.
        """
        # A rank may have no cells.
        found, following = [], [*self.groups[1:], None][: len(self.groups)]
        for group, after, own in zip(self.groups, following, rights, strict=True):
            found.append(group.model.elimination.reduced(own))
            if not kept and (after is None or after.model is not group.model):
                group.model.forget_reflections()
        return found

    def _found(
        self,
        reduced: Sequence[ReducedRights],
        faces: FaceSolver,
        start: Array | None,
        accuracy: float,
    ) -> SolvedFactors:
        """The solution for right-hand sides; the other arguments are those of `FaceSolver`."""
        below: dict[int, Array] = {}
        for group, left in zip(self.groups, reduced, strict=True):
            below |= zip(group.cells, left.traces, strict=True)
        traces = faces.solve(below, start, accuracy)
        cells, count = len(self.tree.blocks), traces.shape[1]
        coefficients = np.zeros((cells, self.columns, count), traces.dtype)
        shares = np.zeros((cells, count))
        for group, left in zip(self.groups, reduced, strict=True):
            known = traces[self.columns_of(group)]
            coefficients[group.cells], shares[group.cells] = group.solved(left, known)
        both = summed([torch.from_numpy(coefficients), torch.from_numpy(shares)])
        return SolvedFactors(both[0].numpy(), both[1].numpy(), traces)

    def columns_of(self, group: CellGroup) -> Array:
        """The places of the unknowns of a group's cells among all traces, (c, t + q)."""
        sizes = self.tree.sizes
        starts = np.cumsum(sizes) - sizes
        return np.stack([columns_of_blocks(faces, starts, sizes) for faces in group.faces])
