"""Gauss–Newton on the output layer: for a linear PDE one least-squares solve."""

from dataclasses import dataclass

from kanpinn.errors import integer, number
from kanpinn.optimizers.optimizer import CONVERGED, Optimizer, Stage, Step
from kanpinn.optimizers.output_layer import solve_output
from kanpinn.residuals import Residuals

STALLED = 1e-10


@dataclass(frozen=True)
class LeastSquares(Optimizer):
    """The output layer's coefficients by rank-revealing least squares, inner layers as they are.

    A linear residual is solved in one step, accurate to conditioning (about eps·max|c|); a
    nonlinear one takes damped Gauss–Newton steps. With random inner functions this is the
    random-feature or extreme-learning method.

    Args:
        steps: at most so many solves.
        rcond: singular values below rcond times the largest are cut off; None for 50 eps.

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

    def step(self) -> Step:
        done = solve_output(self.residuals, self.settings.rcond)
        stalled = done.loss >= done.before - STALLED * abs(done.before)
        finished = CONVERGED if done.linear or stalled else None
        notes = {"rank": float(done.rank), "share": done.share}
        return Step(done.loss, done.evaluations, finished, notes)
