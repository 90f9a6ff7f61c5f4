"""Gauss–Newton on the output layer: for a linear PDE one least-squares solve."""

from dataclasses import dataclass
from typing import Any

import torch

from kanpinn.errors import integer, number
from kanpinn.linalg import fold
from kanpinn.networks.network import get_coefficients, set_coefficients
from kanpinn.optimizers.optimizer import CONVERGED, Optimizer, Stage, Step
from kanpinn.residuals import Residuals

LINEAR = 1e-8  # a step whose loss is predicted so well, relative to the loss before, was linear
STALLED = 1e-10


@dataclass(frozen=True)
class LeastSquares(Optimizer):
    """The output layer's coefficients by rank-revealing least squares, inner layers as they are.

    A linear residual is solved in one step, accurate to conditioning (about eps·max|c|); a
    nonlinear one takes damped Gauss–Newton steps. With random inner functions this is the
    random-feature or extreme-learning method.

    Args:
        steps: at most so many solves.
        rcond: singular values below rcond times the largest are cut off; None for 5 eps.

    Reference: Dwivedi and Srinivasan, PIELM (2020); Chen et al., random feature method (2022).
    """

    steps: int = 20
    rcond: float | None = None

    def __post_init__(self) -> None:
        integer("steps", self.steps)
        if self.rcond is not None:
            number("rcond", self.rcond)

    def start(self, residuals: Residuals, seed: int) -> "LeastSquaresStage":
        return LeastSquaresStage(self, residuals)


class LeastSquaresStage(Stage):
    """Gauss–Newton on the output layer, at work."""

    def __init__(self, settings: LeastSquares, residuals: Residuals) -> None:
        self.settings, self.residuals = settings, residuals
        self.layers = [residuals.surrogate.network.layers[-1]]

    def step(self) -> Step:
        triangle = fold(self.residuals.rows(self.layers))
        old = get_coefficients(self.layers)
        # Solve for the coefficients themselves, not their change: the smallest ones are wanted.
        target = triangle.matrix @ old - triangle.target
        new, rank = triangle.solve(target, self.settings.rcond)
        before, predicted = triangle.loss(), triangle.loss(new - old)
        loss, share, evaluations = self._search(old, new, before)
        linear = share == 1.0 and abs(loss - predicted) <= LINEAR * before
        stalled = loss >= before * (1 - STALLED)
        finished = CONVERGED if linear or stalled else None
        return Step(loss, evaluations + 1, finished, {"rank": float(rank), "share": share})

    def _search(
        self, old: torch.Tensor, new: torch.Tensor, before: float
    ) -> tuple[float, float, int]:
        """The longest of the steps 1, 1/2, 1/4, … that lowers the true loss."""
        share = 1.0
        for halvings in range(30):
            set_coefficients(self.layers, old + share * (new - old) if share < 1 else new)
            loss = self.residuals.loss()
            if loss < before:
                return loss, share, halvings + 1
            share /= 2
        set_coefficients(self.layers, old)
        return before, 0.0, 30

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass
