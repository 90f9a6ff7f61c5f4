"""A solve under way: what the loop advances, observers see and checkpoints keep."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from kanpinn.history import History
from kanpinn.networks.surrogate import Surrogate
from kanpinn.optimizers import Optimizer, Stage
from kanpinn.problem import Problem
from kanpinn.residuals import Residuals

COUNTERS = ("stage_index", "stage_step", "step", "finished")


@runtime_checkable
class Observer(Protocol):
    """Anything that follows a run: progress lines, checkpoints, figures. It may change nothing."""

    def __call__(self, run: "Run") -> None:
        """Called after every step."""


@dataclass
class Run:
    """A solve under way: what observers see and checkpoints keep."""

    problem: Problem
    surrogate: Surrogate
    optimizers: tuple[Optimizer, ...]
    residuals: Residuals
    history: History = field(default_factory=History)
    stage_index: int = 0
    stage_step: int = 0  # steps done in this stage
    step: int = 0  # steps done in all
    stage: Stage | None = None
    finished: str | None = None  # why this stage needs no further step
    seconds: list[float] = field(default_factory=list)  # per optimizer
    status: str | None = None
    interrupted: bool = False
    earlier: float = 0.0  # seconds spent before this process took over

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values only, for a checkpoint."""
        return {
            "network": self.surrogate.network.state_dict(),
            "stage": None if self.stage is None else self.stage.state_dict(),
            "history": self.history.rows,
            "seconds": self.seconds,
            **{name: getattr(self, name) for name in COUNTERS},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave; the stage's own state is its own to load."""
        device = self.surrogate.low.device  # a checkpoint is read to the CPU
        network = {name: tensor.to(device) for name, tensor in state["network"].items()}
        self.surrogate.network.load_state_dict(network)
        self.history = History(list(state["history"]))
        self.seconds = list(state["seconds"])
        self.earlier = sum(self.seconds)
        for name in COUNTERS:
            setattr(self, name, state[name])
