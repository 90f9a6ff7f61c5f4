"""The time that solves in cells have taken, and what the next ones are expected to take."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from kanpinn._support.distributed import extremes
from kanpinn._support.status import UNCOMPARED
from kanpinn.cells.polynomials import LocalPolynomials
from kanpinn.cells.system.cell_system import CellSystem


@dataclass
class SolvePace:
    """The time of solves on one tree after the other, and of comparisons with better solutions.

    Attributes:
        cells, seconds: the number of cells of the last tree, and the time of a solve there.
        power: solves take time like this power of the number of cells, as the last two trees say.
        dearer: the time of the last comparison over that of the solve on the same tree; 0 if there
            was none.
        begun: when the present step has begun, by `time.perf_counter`.
    """

    cells: int = 0
    seconds: float = 0.0
    power: float = 1.25
    dearer: float = 0.0
    begun: float = 0.0

    def begin(self) -> None:
        """Note that a step begins now."""
        self.begun = time.perf_counter()

    @property
    def spent(self) -> float:
        """The seconds of the present step so far, on the slowest rank."""
        seconds = torch.tensor([[time.perf_counter() - self.begun]], dtype=torch.float64)
        return float(extremes(seconds)[1])

    def see(self, cells: int, seconds: float) -> None:
        """Take the time of a solve; cells: their number."""
        least, most = 1.0, 2.0  # for conjugate gradients, and for elimination in space
        if self.seconds > 0 and cells > 1.2 * self.cells:
            power = math.log(seconds / self.seconds) / math.log(cells / self.cells)
            self.power = min(max(power, least), most)
        self.cells, self.seconds = cells, seconds

    def on(self, cells: int) -> float | None:
        """The seconds that a solve is expected to take; None before the first one.

        cells: their number.
        """
        return self.seconds * (cells / self.cells) ** self.power if self.cells else None

    def cells_within(self, left: float) -> float:
        """The number of cells on which the next solve is expected to fit into what is left.

        left: the seconds that were left when the present step began.
        """
        if math.isinf(left):
            return math.inf
        return self.cells * (max(left - self.spent, 0.0) / self.seconds) ** (1 / self.power)

    @contextmanager
    def comparing(self) -> Iterator[None]:
        """Take the time spent inside the context for that of a comparison on the last tree."""
        before = self.spent
        yield
        self.dearer = (self.spent - before) / self.seconds

    def too_late(self, system: CellSystem, left: float) -> str:
        """Why no time is left for a comparison with a better solution; empty if there is.

        Args:
            system: the problem on the last tree, which has been solved.
            left: the seconds that were left before this solve.
        """
        power, more, own = 2, 2, system.polynomials  # power: between 1 and 2 as measured
        richer = LocalPolynomials(own.degree + more, own.dim)
        seconds = self.seconds * (self.dearer or (richer.size / own.size) ** power)
        left = max(left - self.seconds, 0.0)
        if seconds <= left:
            return ""
        return (
            f"the budget leaves no time for {UNCOMPARED} "
            f"{richer.degree} ({left:.3g} s are left, it takes some {seconds:.2g} s)"
        )
