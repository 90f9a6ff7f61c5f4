"""Adam and L-BFGS: torch.optim's, stepped by the solve loop."""

from dataclasses import dataclass
from typing import Any

import torch

from kanpinn._support.errors import integer, number
from kanpinn.loss.residuals import Residuals
from kanpinn.optimizers.optimizer import CONVERGED, INDEPENDENT, Optimizer, Stage, Step

FOLLOW_EVERY = 10  # steps of Adam, which are small: the grids follow the activations so often


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam (Kingma and Ba, 2015): steps of size lr against the averaged gradient.

    A step is one evaluation of loss and gradient, so the loss in the history is that before it. A
    KAN's hidden grids follow the activations every tenth step, and after the last one.
    """

    steps: int = 1000
    lr: float = 1e-3

    @property
    def measure_every(self) -> int:
        return max(1, self.steps // 250)

    def __post_init__(self) -> None:
        integer("steps", self.steps)
        number("lr", self.lr, above=True)

    def start(self, residuals: Residuals, seed: int) -> "AdamStage":
        parameters = trainable(residuals)
        optimizer = torch.optim.Adam(parameters, lr=self.lr, fused=True)
        return AdamStage(residuals, optimizer, self.steps)


@dataclass(frozen=True)
class LBFGS(Optimizer):
    """Limited-memory BFGS with a strong Wolfe line search (Liu and Nocedal, 1989).

    One step is one call of torch's `step()`: up to `iterations` quasi-Newton iterations; the
    evaluations of loss and gradient that they take are counted in the history.
    """

    steps: int = 100
    lr: float = 1.0
    iterations: int = 20
    history: int = 100

    @property
    def title(self) -> str:
        return "L-BFGS"

    def __post_init__(self) -> None:
        for name in ("steps", "iterations", "history"):
            integer(name, getattr(self, name))
        number("lr", self.lr, above=True)

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
    """The surrogate's parameters."""
    return [p for p in residuals.surrogate.parameters() if p.requires_grad]


class TorchStage(Stage):
    """A torch.optim optimizer at work."""

    def __init__(self, residuals: Residuals, optimizer: torch.optim.Optimizer) -> None:
        self.residuals, self.optimizer = residuals, optimizer

    def descend(self) -> tuple[float, int]:
        """One call of torch's `step()`: the loss before it, and the evaluations it took."""
        losses = []

        def closure() -> float:
            losses.append(self.residuals.backward())
            return losses[-1]

        self.optimizer.step(closure)
        return losses[0], len(losses)

    def independent(self, loss: float) -> str | None:
        """Why no step helps where the last gradient was zero, the loss `loss`; None elsewhere."""
        if loss <= 0 or not self.residuals.are_squares:
            return None
        gradients = [p.grad for p in trainable(self.residuals) if p.grad is not None]
        return None if any(bool(g.any()) for g in gradients) else INDEPENDENT

    def follow(self) -> None:
        """Let the grids follow: between steps only, a line search must see one function."""
        self.residuals.surrogate.follow(self.residuals.points)


class AdamStage(TorchStage):
    """Adam at work: it counts its steps."""

    def __init__(self, residuals: Residuals, optimizer: torch.optim.Optimizer, steps: int) -> None:
        super().__init__(residuals, optimizer)
        self.count, self.steps = 0, steps

    def step(self) -> Step:
        loss, evaluations = self.descend()
        self.count += 1
        if self.count % FOLLOW_EVERY == 0 or self.count == self.steps:
            self.follow()
        return Step(loss, evaluations, self.independent(loss), before=True)

    def state_dict(self) -> dict[str, Any]:
        return {"optimizer": self.optimizer.state_dict(), "count": self.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(state["optimizer"])
        self.count = state["count"]


class LBFGSStage(TorchStage):
    """L-BFGS at work: it remembers for how long it has found nothing lower."""

    best, idle = float("inf"), 0

    def step(self) -> Step:
        evaluations = self.descend()[1]
        self.follow()
        loss = self.residuals.loss()
        self.idle = 0 if loss < self.best else self.idle + 1
        self.best = min(self.best, loss)
        finished = CONVERGED if self.idle >= 5 else None
        return Step(loss, evaluations, self.independent(loss) or finished)

    def state_dict(self) -> dict[str, Any]:
        return {"optimizer": self.optimizer.state_dict(), "best": self.best, "idle": self.idle}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(state["optimizer"])
        self.best, self.idle = state["best"], state["idle"]
