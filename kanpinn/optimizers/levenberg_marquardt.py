"""Levenberg–Marquardt on all layers, the damping chosen by the true loss."""

from dataclasses import dataclass
from typing import Any

import torch

from kanpinn.errors import integer
from kanpinn.linalg import DampedSteps, fold
from kanpinn.networks.network import get_coefficients, set_coefficients
from kanpinn.optimizers.optimizer import CONVERGED, Optimizer, Stage, Step
from kanpinn.residuals import Residuals

MIN_DAMPING, MAX_DAMPING = 1e-20, 1e6


@dataclass(frozen=True)
class LevenbergMarquardt(Optimizer):
    """Damped Gauss–Newton steps on every coefficient, from an SVD of the (folded, scaled) Jacobian.

    One SVD serves all dampings; each step tries three or more of them on the true loss and takes
    the best. Cost per step: 2NP² + O(P³) for N rows and P coefficients.

    Args:
        steps: at most so many.
        damping: the first damping, relative to the largest singular value squared.
        tolerance: the stage has converged when a step lowers the loss by less than this part.

    Reference: Marquardt (1963); Moré (1978) for the scaling.
    """

    steps: int = 100
    damping: float = 1e-4
    tolerance: float = 1e-6

    def __post_init__(self) -> None:
        integer("steps", self.steps)

    def start(self, residuals: Residuals, seed: int) -> "LevenbergMarquardtStage":
        return LevenbergMarquardtStage(self, residuals)


class LevenbergMarquardtStage(Stage):
    def __init__(self, settings: LevenbergMarquardt, residuals: Residuals) -> None:
        self.settings, self.residuals = settings, residuals
        self.layers = list(residuals.surrogate.network.layers)
        self.damping = settings.damping
        self.idle = 0

    def step(self) -> Step:
        triangle = fold(self.residuals.rows(self.layers))
        before, old = triangle.loss(), get_coefficients(self.layers)
        probes = Probes(self.residuals, self.layers, old, triangle.damped())
        damping, loss = best_damping(probes, self.damping, before)
        if loss < before:
            set_coefficients(self.layers, old + probes.steps.step(damping))
            self.damping = damping
        else:
            set_coefficients(self.layers, old)
        small = loss > before * (1 - self.settings.tolerance)
        self.idle = self.idle + 1 if small else 0
        finished = CONVERGED if self.idle >= 3 or not loss < before else None
        notes = {"damping": damping}
        return Step(min(loss, before), probes.count + 1, finished, notes)

    def state_dict(self) -> dict[str, Any]:
        return {"damping": self.damping, "idle": self.idle}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.damping, self.idle = state["damping"], state["idle"]


class Probes:
    """The true loss as a function of the damping, each evaluated once."""

    def __init__(
        self, residuals: Residuals, layers: list, old: torch.Tensor, steps: DampedSteps
    ) -> None:
        self.residuals, self.layers, self.old, self.steps = residuals, layers, old, steps
        self.known: dict[float, float] = {}

    def __call__(self, damping: float) -> float:
        if damping not in self.known:
            set_coefficients(self.layers, self.old + self.steps.step(damping))
            loss = self.residuals.loss()
            self.known[damping] = loss if loss == loss else float("inf")
        return self.known[damping]

    @property
    def count(self) -> int:
        return len(self.known)


def best_damping(loss_at: Probes, start: float, before: float) -> tuple[float, float]:
    """Walk by factors of ten from `start` to a local minimum of the true loss over the damping."""
    damping = min(max(start, MIN_DAMPING), MAX_DAMPING)
    while not loss_at(damping) < before and damping < MAX_DAMPING:
        damping *= 10
    for factor in (0.1, 10.0):
        while MIN_DAMPING < damping < MAX_DAMPING and loss_at(damping * factor) < loss_at(damping):
            damping *= factor
    return damping, loss_at(damping)
