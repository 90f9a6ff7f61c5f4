"""Gauss–Newton on the output layer: for a linear PDE one least-squares solve."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from kanpinn._support.errors import InputError, integer, number
from kanpinn.loss.residuals import Residuals
from kanpinn.networks.network import get_coefficients, set_coefficients
from kanpinn.optimizers.optimizer import CONVERGED, Optimizer, Stage, Step
from kanpinn.optimizers.output_layer import OutputStep, solve_output
from kanpinn.optimizers.reduced import solve_reduced


@dataclass(frozen=True)
class LeastSquares(Optimizer):
    """The output layer's coefficients by rank-revealing least squares, inner layers as they are.

    A linear residual is solved in one step, accurate to conditioning (about eps·max|c|). A
    nonlinear one takes damped Gauss–Newton steps (Newton's where no residual is left: quadratic
    convergence) from the present output layer or from zero, whichever has the lower loss after the
    first step: what a network starts with is noise, what a solve before left is not. With random
    inner functions this is the random-feature or extreme-learning method.

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
            if self.rcond >= 1:
                raise InputError(f"rcond must be below 1, got {self.rcond!r}")

    def start(self, residuals: Residuals, seed: int) -> "LeastSquaresStage":
        return LeastSquaresStage(self, residuals)


class LeastSquaresStage(Stage):
    """Gauss–Newton on the output layer, at work: it remembers whether it has begun."""

    def __init__(self, settings: LeastSquares, residuals: Residuals) -> None:
        self.settings, self.residuals = settings, residuals
        self.begun = False

    def step(self) -> Step:
        done = self._solve() if self.begun else self._begin()
        self.begun = True
        notes = {"rank": float(done.rank), "share": done.share, "damping": done.damping}
        return Step(done.loss, done.evaluations, _verdict(done), notes)

    def _solve(self) -> OutputStep:
        if self.residuals.surrogate.has_unknowns:
            return solve_reduced(self.residuals, self.settings.rcond)
        return solve_output(self.residuals, self.settings.rcond)

    def _begin(self) -> OutputStep:
        """The better one of the steps from the present output layer and from zero.

        Raises:
            LinAlgError: where the residual has no number at either.
        """
        layers = self.residuals.surrogate.network.output_layers
        present = get_coefficients(layers)
        tried: list[tuple[OutputStep, Tensor]] = []
        failure: Exception | None = None
        for start in (present, torch.zeros_like(present)):
            set_coefficients(layers, start)
            try:
                tried.append((self._solve(), get_coefficients(layers)))
            except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]
                failure = error  # log u, say, at u = 0
                continue
            if tried[-1][0].linear or not bool(present.any()):
                break
        if not tried:
            assert failure is not None
            raise failure
        done, best = min(tried, key=lambda each: each[0].loss)
        set_coefficients(layers, best)
        return replace(done, evaluations=sum(each.evaluations for each, _ in tried))

    def state_dict(self) -> dict[str, Any]:
        return {"begun": self.begun}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.begun = state["begun"]


def _verdict(done: OutputStep) -> str | None:
    """Why there should be no further step, if so."""
    if done.linear:
        return CONVERGED
    if done.rank == 0:
        return "stopped: to first order the residual does not depend on the output layer here"
    if done.stationary:
        return CONVERGED
    if done.share:
        return None
    part = 1 - done.predicted / done.before
    return (
        f"stopped: no step lowers the loss {done.before:.3g}, though the linearised residual "
        f"would lose {part:.2g} of it"
    )
