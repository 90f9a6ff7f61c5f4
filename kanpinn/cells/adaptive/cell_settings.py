"""The settings of a solve in cells."""

from dataclasses import dataclass


@dataclass(frozen=True)
class CellSettings:
    """The settings of a solve in cells, see `Dissection`."""

    tolerance: float
    cells: int
    bulk: float

    @property
    def accuracy(self) -> float:
        """The relative error at which conjugate gradients end: far below the tolerance.

        It is the error in the root of the functional. In L2 the relative errors were 4 times as
        large for Poisson's equation, and 200 times for elasticity.
        """
        part, rounding = 1e-5, 1e-12
        return max(rounding, part * self.tolerance)
