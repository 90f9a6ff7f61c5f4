"""The settings of a solve in cells."""

from dataclasses import dataclass

from kanpinn.cells.system.cell_system import CellSystem


@dataclass(frozen=True)
class CellSettings:
    """The settings of a solve in cells, see `Dissection`."""

    tolerance: float
    cells: int
    bulk: float

    @property
    def accuracy(self) -> float:
        """The relative accuracy of each least-squares problem: far below the tolerance.

        It is that in the root of the functional. In L2 the relative errors of conjugate gradients
        were 4 times as large for Poisson's equation, and 200 times for elasticity.
        """
        part = 1e-5
        return part * self.tolerance

    @property
    def corrects(self) -> bool:
        """Whether solutions of least-squares problems are corrected, for which factors are kept."""
        return self.accuracy < CellSystem.by_one_solve
