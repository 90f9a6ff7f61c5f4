"""Adam and L-BFGS, as implemented in torch.optim."""

import math
from dataclasses import dataclass
from typing import Any

import torch

from kanpinn._support.errors import CONVERGED, integer, number
from kanpinn.loss.residuals import Residuals
from kanpinn.optimizers.method import INDEPENDENT, Optimizer, Stage, Step, StepCost, gradient_cost


@dataclass(frozen=True)
class Adam(Optimizer):
    """First-order steps against a running average of the gradient, scaled for each parameter.

    A step evaluates loss and gradient once, before the parameters change; the history has this
    loss. Since the steps are small, a KAN's hidden grids are adapted to the activations at every
    tenth step only, and after the last one.

    Args:
        steps: the number of steps.
        lr: the learning rate.

    Raises:
        InputError: for values out of range.

    Reference: Kingma and Ba, Adam (2015).

    Example:
        >>> import kanpinn as kp
        >>> problem = kp.Poisson(kp.Box(x=(0, 1)), exact="sin(pi*x)")
        >>> network = kp.KAN([1, 1], degree=5, grid=4)
        >>> solution = kp.solve(problem, network, kp.Adam(steps=20, lr=0.01))
        >>> solution.history.steps
        20
    """

    steps: int = 1000
    lr: float = 1e-3

    def measures(self, step: int) -> bool:
        return step % max(1, self.steps // 250) == 0

    def __post_init__(self) -> None:
        integer("steps", self.steps)
        number("lr", self.lr, above=True)

    def cost(self, residuals: Residuals) -> StepCost:
        return gradient_cost(residuals)

    def start(self, residuals: Residuals, seed: int) -> "AdamStage":
        optimizer = torch.optim.Adam(trainable(residuals), lr=self.lr, fused=True)
        return AdamStage(residuals, optimizer, self.steps)


@dataclass(frozen=True)
class LBFGS(Optimizer):
    """Limited-memory BFGS with a strong Wolfe line search.

    One step is one call of torch's `step()`, with up to `iterations` quasi-Newton iterations; the
    history counts their evaluations of loss and gradient. The method has converged after five
    consecutive steps that do not lower the loss.

    Args:
        steps: the largest number of steps.
        lr: the step length that each line search tries first.
        iterations: the largest number of quasi-Newton iterations in each step.
        history: the number of stored pairs of a step and a change of the gradient.

    Raises:
        InputError: for values out of range.

    Reference: Liu and Nocedal, On the limited memory BFGS method (1989).

    Example:
        >>> import kanpinn as kp
        >>> problem = kp.Poisson(kp.Box(x=(0, 1)), exact="sin(pi*x)")
        >>> solution = kp.solve(problem, kp.KAN([1, 1], degree=5, grid=4), kp.LBFGS(steps=5))
        >>> solution.history.steps <= 5
        True
    """

    steps: int = 100
    lr: float = 1.0
    iterations: int = 20
    history: int = 100
    title = "L-BFGS"

    def __post_init__(self) -> None:
        for name in ("steps", "iterations", "history"):
            integer(name, getattr(self, name))
        number("lr", self.lr, above=True)

    def cost(self, residuals: Residuals) -> StepCost:
        return gradient_cost(residuals)

    def start(self, residuals: Residuals, seed: int) -> "LBFGSStage":
        optimizer = torch.optim.LBFGS(
            trainable(residuals),
            lr=self.lr,
            max_iter=self.iterations,
            max_eval=2 * self.iterations,
            history_size=self.history,
            tolerance_grad=0.0,
            tolerance_change=0.0,
            line_search_fn="strong_wolfe",
        )
        return LBFGSStage(residuals, optimizer)


def trainable(residuals: Residuals) -> list[torch.nn.Parameter]:
    """Return the surrogate's parameters that take a gradient."""
    return [p for p in residuals.surrogate.parameters() if p.requires_grad]


@dataclass
class TorchStage(Stage):
    """The state of a torch.optim optimizer between its steps."""

    residuals: Residuals
    optimizer: torch.optim.Optimizer

    def descend(self) -> tuple[float, int]:
        """Call torch's `step()` once; return the loss before it and the number of evaluations."""
        losses = []

        def closure() -> float:
            losses.append(self.residuals.backward())
            return losses[-1]

        self.optimizer.step(closure)
        return losses[0], len(losses)

    def independent(self, loss: float) -> str | None:
        """Return the status for a zero gradient at a positive loss, None in all other cases."""
        if loss <= 0 or not self.residuals.are_squares:
            return None
        gradients = [p.grad for p in trainable(self.residuals) if p.grad is not None]
        return None if any(bool(g.any()) for g in gradients) else INDEPENDENT

    def follow(self) -> None:
        """Adapt the grids to the activations; a line search needs the same loss throughout."""
        self.residuals.surrogate.follow(self.residuals.points)

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(state["optimizer"])
        super().load_state_dict({name: state[name] for name in self.kept})


@dataclass
class AdamStage(TorchStage):
    """The state of Adam: `count` of its `steps` are done."""

    steps: int
    count: int = 0
    kept = ("count",)

    def step(self) -> Step:
        loss, evaluations = self.descend()
        self.count += 1
        if self.count % 10 == 0 or self.count == self.steps:
            self.follow()
        return Step(loss, evaluations, self.independent(loss), loss_lags=True)


@dataclass
class LBFGSStage(TorchStage):
    """The state of L-BFGS: the lowest loss, and the number of steps since it was found."""

    best: float = math.inf
    idle: int = 0
    kept = ("best", "idle")

    def step(self) -> Step:
        evaluations = self.descend()[1]
        self.follow()
        loss = self.residuals.loss()
        self.idle = 0 if loss < self.best else self.idle + 1
        self.best = min(self.best, loss)
        finished = CONVERGED if self.idle >= 5 else None
        return Step(loss, evaluations, self.independent(loss) or finished)
