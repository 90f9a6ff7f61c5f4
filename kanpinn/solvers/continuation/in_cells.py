"""Newton's method in cells, on trees that become as fine as a coarse solution needs."""

from dataclasses import dataclass

import torch

from kanpinn.cells import Dissection
from kanpinn.loss.residuals import Residuals
from kanpinn.solvers.continuation.newton import NewtonAtValue, NotSolved


@dataclass
class NewtonInCells(NewtonAtValue):
    """Newton's method in cells, which are halved until the error is small enough to go on from.

    kept: the ratio of the error to its indicator on the last tree; 0 if none is known.
    tolerance: the largest relative error.
    """

    kept: float = 0.0
    tolerance: float = 3e-2

    def solve(self, residuals: Residuals, steps: int, begun: bool) -> int:
        stage = Dissection(self.tolerance, steps=steps).start(residuals, 0)
        stage.error.ratio = self.kept
        for count in range(1, steps + 1):
            try:
                step = stage.step()
            except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]
                raise NotSolved(str(error)) from None
            if step.converged:
                self.kept = stage.error.ratio
                return count
            if step.finished is not None:
                raise NotSolved(step.finished)
        raise NotSolved(f"it does not settle in {steps} steps")
