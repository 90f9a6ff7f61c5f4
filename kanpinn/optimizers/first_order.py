"""Adam and L-BFGS: torch.optim's, stepped by the solve loop."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import torch

from kanpinn.errors import integer, number
from kanpinn.optimizers.optimizer import CONVERGED, Optimizer, Stage, Step
from kanpinn.residuals import Residuals


class TorchOptimizer(Optimizer):
    """Any torch.optim optimizer: a step is one call of its `step()`."""

    @abstractmethod
    def build(self, parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
        """The torch optimizer on these parameters."""

    def start(self, residuals: Residuals, seed: int) -> "TorchStage":
        return TorchStage(self, residuals)


@dataclass(frozen=True)
class Adam(TorchOptimizer):
    """Adam (Kingma and Ba, 2015): steps of size lr against the averaged gradient."""

    steps: int = 1000
    lr: float = 1e-3

    @property
    def measure_every(self) -> int:
        return max(1, self.steps // 250)

    def __post_init__(self) -> None:
        integer("steps", self.steps)
        number("lr", self.lr, above=True)

    def build(self, parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.Adam(parameters, lr=self.lr)


@dataclass(frozen=True)
class LBFGS(TorchOptimizer):
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

    def build(self, parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.LBFGS(
            parameters,
            lr=self.lr,
            max_iter=self.iterations,
            max_eval=2 * self.iterations,
            history_size=self.history,
            tolerance_grad=0.0,
            tolerance_change=0.0,
            line_search_fn="strong_wolfe",
        )


class TorchStage(Stage):
    """A torch.optim optimizer at work."""

    def __init__(self, settings: TorchOptimizer, residuals: Residuals) -> None:
        self.residuals = residuals
        parameters = [p for p in residuals.surrogate.parameters() if p.requires_grad]
        self.optimizer = settings.build(parameters)
        self.best = float("inf")
        self.idle = 0

    def step(self) -> Step:
        evaluations = 0

        def closure() -> float:
            nonlocal evaluations
            evaluations += 1
            self.optimizer.zero_grad()
            return self.residuals.backward()

        self.optimizer.step(closure)
        # Between steps only: a line search must see one function.
        self.residuals.surrogate.follow(self.residuals.points)
        loss = self.residuals.loss()
        return Step(loss, evaluations, self._finished(loss))

    def _finished(self, loss: float) -> str | None:
        """A quasi-Newton method that finds nothing lower five times running is done."""
        if not isinstance(self.optimizer, torch.optim.LBFGS):
            return None
        self.idle = 0 if loss < self.best else self.idle + 1
        self.best = min(self.best, loss)
        return CONVERGED if self.idle >= 5 else None

    def state_dict(self) -> dict[str, Any]:
        return {"optimizer": self.optimizer.state_dict(), "best": self.best, "idle": self.idle}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(state["optimizer"])
        self.best, self.idle = state["best"], state["idle"]
