"""Levenberg–Marquardt on all layers, the damping chosen by the true loss."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from kanpinn._support.errors import integer, number
from kanpinn.linalg.triangle import DampedSteps, Triangle
from kanpinn.loss.residuals import Residuals
from kanpinn.networks.network import get_coefficients, set_coefficients
from kanpinn.optimizers.damping import Probes, best_damping
from kanpinn.optimizers.optimizer import CONVERGED, INDEPENDENT, Optimizer, Stage, Step
from kanpinn.optimizers.output_layer import STATIONARY, rounding_of


@dataclass(frozen=True)
class LevenbergMarquardt(Optimizer):
    """Damped Gauss–Newton steps on every coefficient, from an SVD of the (folded, scaled) Jacobian.

    One SVD serves all dampings; each step tries three or more of them on the true loss and takes
    the best. Cost per step: 2NP² + O(P³) for N rows and P coefficients. Where no damping lowers the
    loss, the stage has converged if no fall was predicted either; else it stops and says so.

    Args:
        steps: at most so many.
        damping: the first damping, relative to the largest singular value squared.
        tolerance: the stage has converged when a step lowers the loss by less than this part.

    Reference: Marquardt (1963); Moré (1978) for the scaling.
    """

    steps: int = 100
    damping: float = 1e-4
    tolerance: float = 1e-9

    def __post_init__(self) -> None:
        integer("steps", self.steps)
        number("damping", self.damping, above=True)
        number("tolerance", self.tolerance)

    def start(self, residuals: Residuals, seed: int) -> "LevenbergMarquardtStage":
        return LevenbergMarquardtStage(self, residuals)


class LevenbergMarquardtStage(Stage):
    """Levenberg–Marquardt at work: it remembers the damping."""

    def __init__(self, settings: LevenbergMarquardt, residuals: Residuals) -> None:
        self.settings, self.residuals = settings, residuals
        self.network = residuals.surrogate.network
        self.damping = settings.damping
        self.idle = 0

    def step(self) -> Step:
        triangle = self.residuals.model(self.network.all_layers)
        before = triangle.loss()
        if not bool(triangle.matrix.any()):  # losses differ by rounding all the same
            verdict = INDEPENDENT if before > 0 else CONVERGED
            return Step(before, 1, verdict, {"damping": self.damping})
        steps = triangle.damped()
        start = {name: t.clone() for name, t in self.network.state_dict().items()}

        def loss_at(damping: float) -> float:
            self._move(start, steps.step(damping))
            return self.residuals.loss()

        probes = Probes(loss_at)
        damping, loss = best_damping(probes, self.damping, before)
        if loss < before:
            self._move(start, steps.step(damping))
            self.damping = damping
        else:
            self.network.load_state_dict(start)
        small = loss > before - self.settings.tolerance * abs(before)
        self.idle = self.idle + 1 if small else 0
        finished = CONVERGED if self.idle >= 3 else None
        if not loss < before:
            finished = self._stuck(triangle, steps, probes)
        notes = {"damping": damping}
        return Step(min(loss, before), probes.count + 1, finished, notes)

    def _stuck(self, triangle: Triangle, steps: DampedSteps, probes: Probes) -> str:
        """Why no damping lowered the loss: no fall was to be had, or none came where one was."""
        before, tried = triangle.loss(), sorted(probes.known)
        fall = before - min(triangle.loss(steps.step(damping)) for damping in tried)
        coefficients = get_coefficients(self.network.all_layers)
        if fall <= STATIONARY * abs(before) + rounding_of(self.residuals, triangle, coefficients):
            return CONVERGED
        return (
            f"stopped: no damping from {tried[0]:.0e} to {tried[-1]:.0e} lowers the loss "
            f"{before:.3g}, though a fall by {fall:.2g} was predicted"
        )

    def _move(self, start: dict[str, Tensor], change: Tensor) -> None:
        """Go `change` from the start; the grids follow: u_xx jumps where points leave them."""
        self.network.load_state_dict(start)
        layers = self.network.all_layers
        set_coefficients(layers, get_coefficients(layers) + change)
        self.residuals.surrogate.follow(self.residuals.points)

    def state_dict(self) -> dict[str, Any]:
        return {"damping": self.damping, "idle": self.idle}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.damping, self.idle = state["damping"], state["idle"]
