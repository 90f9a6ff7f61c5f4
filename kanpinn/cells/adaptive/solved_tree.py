"""The solution on one tree of cells."""

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from kanpinn.cells.adaptive.left_out import left_out
from kanpinn.cells.system.cell_system import CellSolution, CellSystem


@dataclass(frozen=True, eq=False)
class SolvedTree:
    """The solution of the least-squares problem on one tree of cells.

    Args:
        system: the problem.
        solution: its solution.
        words: what is said of it.
    """

    system: CellSystem
    solution: CellSolution
    words: str

    @cached_property
    def size(self) -> float:
        """The L2 norm of the solution, in units of which errors are; 1 if it is zero."""
        return self.system.norms.total(self.solution) or 1.0

    @cached_property
    def indicators(self) -> Tensor:
        """The relative error by each cell up to a common factor, (N,)."""
        return self.system.indicators(self.solution) / self.size

    @property
    def left_out(self) -> float:
        """The relative error by the terms that the polynomials leave out, see `left_out`."""
        system, geometry = self.system, self.system.geometry
        own = self.solution.coefficients[..., list(system.counted)]
        volumes = geometry.extents.prod(dim=1)
        return float(left_out(system.polynomials, own, volumes).norm()) / self.size

    @property
    def loss(self) -> float:
        """The functional without the weights of cells."""
        return float(self.solution.shares.sum())

    @property
    def is_linear(self) -> bool:
        """Whether the problem linearised about the solution is the same."""
        return self.system.is_linear(self.solution)
