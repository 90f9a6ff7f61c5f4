"""A solve under way: what the loop advances, observers see and checkpoints keep."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from kanpinn._support.distributed import extremes
from kanpinn._support.errors import number
from kanpinn.loss.residuals import Residuals
from kanpinn.networks.surrogate import Surrogate
from kanpinn.optimizers import Method, Stage, Step
from kanpinn.solvers.history import History

RISEN = 10.0  # a loss that has grown so many times has led astray
COUNTERS = ("stage_index", "stage_step", "step", "finished")


@runtime_checkable
class Observer(Protocol):
    """Anything that follows a run: progress lines, checkpoints, figures. It may change nothing."""

    def __call__(self, run: "SolverState") -> None:
        """Called after every step."""


@runtime_checkable
class Memory(Protocol):
    """What has a state that checkpoints keep."""

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values only."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up the state that `state_dict` gave."""


@dataclass
class Best:
    """The state with the least value of one quantity of the history, the validation error.

    patience: measured steps of one optimizer without a lower value that end the run; None for no
    such limit. Where an optimizer that could have lowered it has not, the run ends in any case: on
    finer grids still it would be worse.
    """

    quantity: str
    patience: int | None = None
    value: float = math.inf
    step: int = 0
    waited: int = 0  # measured steps of this stage since the value fell
    network: dict[str, Tensor] | None = None

    def see(self, run: "SolverState") -> None:
        """Keep the state if the last row of the history has a lower value."""
        value = run.history.rows[-1].get(self.quantity, math.nan)
        self.waited += value >= self.value
        if value < self.value:
            self.value, self.step, self.waited = value, run.step, 0
            state = run.surrogate.network.state_dict()
            self.network = {name: tensor.clone() for name, tensor in state.items()}

    def verdict(self, run: "SolverState", optimizer: Method) -> str | None:
        """Why the run should end after this step, None where it should not."""
        ended = run.finished is not None or run.stage_step >= optimizer.steps
        since = run.step - run.stage_step  # the step before this optimizer's first
        if self.patience is not None and self.waited >= self.patience:
            return f"stopped: the validation error has not fallen since step {self.step}"
        if ended and optimizer.lowers_loss and self.step <= since and run.stage_index:
            parameters = run.surrogate.network.parameter_count
            rows = sum(term.rows for term in run.residuals.terms)
            sizes = f"{parameters} parameters for {rows} rows"
            return f"stopped: the validation error no longer falls ({sizes})"
        return None


@dataclass
class Least:
    """The state with the least loss of a stage, to which a run goes back that is led astray.

    network: None while it is the present one.
    """

    loss: float = math.inf
    step: int = 0
    network: dict[str, Tensor] | None = None


@dataclass
class SolverState:
    """A solve under way: what observers see and checkpoints keep."""

    surrogate: Surrogate
    optimizers: tuple[Method, ...]
    residuals: Residuals
    history: History = field(default_factory=History)
    stage_index: int = 0
    stage_step: int = 0  # steps done in this stage
    step: int = 0  # steps done in all
    stage: Stage | None = None
    finished: str | None = None  # why this stage needs no further step
    words: str = ""  # what the last step did, for the progress line
    seconds: list[float] = field(default_factory=list)  # per optimizer
    status: str | None = None
    interrupted: bool = False
    earlier: float = 0.0  # seconds spent before this process took over
    budget_seconds: float | int | None = None  # that its steps may take, earlier ones included
    best: Best | None = None  # where there is something to keep the best state by
    least: Least = field(default_factory=Least)
    adaptation: Memory | None = None  # where points or weights follow the residual
    last: dict[str, Any] | None = None  # the state to go on from, once the best one is kept

    def __post_init__(self) -> None:
        if self.budget_seconds is not None:
            number("budget_seconds", self.budget_seconds, above=True)

    def spent(self) -> str | None:
        """Why the budget leaves no time for another step; None where there is time.

        It is taken to last as long as those of its stage before, a stage's first as all others. A
        run takes its first step whatever the budget is.
        """
        if self.budget_seconds is None or not self.step:
            return None
        mean = sum(self.seconds) / self.step
        if self.stage_step:
            mean = self.seconds[self.stage_index] / self.stage_step
        used = torch.tensor([[sum(self.seconds), mean]], dtype=torch.float64)
        seconds, step = extremes(used)[1].tolist()  # of several ranks the slowest counts
        if seconds + step <= self.budget_seconds:
            return None
        return self.stopped(
            f"the budget of {self.budget_seconds:g} s leaves no time for another step "
            f"({seconds:.3g} s are used, a step takes {step:.2g} s)"
        )

    def stopped(self, why: str) -> str:
        """The status of a run that is stopped while a stage is under way."""
        short = "" if self.stage is None else self.stage.short()
        return f"stopped: {why}, {short}" if short else f"stopped: {why}"

    def copied(self) -> dict[str, Tensor]:
        """The network's state as it is now."""
        state = self.surrogate.network.state_dict()
        return {name: tensor.clone() for name, tensor in state.items()}

    def weigh(self, step: Step, before: dict[str, Tensor]) -> None:
        """Remember the state with the least loss; `before` is the network before the step."""
        if self.least.step == self.step - 1:
            self.least.network = before
        if step.loss <= self.least.loss:
            known = before if step.loss_lags else None
            self.least = Least(step.loss, self.step - step.loss_lags, known)

    def go_back(self) -> str | None:
        """Take back steps that have raised the loss more than `RISEN` times; says so if it has."""
        least, optimizer = self.least, self.optimizers[self.stage_index]
        if least.network is None or least.step == self.step or not optimizer.lowers_loss:
            return None
        present, own = self.residuals.plain_loss(), self.copied()
        self.surrogate.network.load_state_dict(least.network)
        loss = self.residuals.plain_loss()
        if not math.isfinite(loss) or present <= loss + (RISEN - 1) * abs(loss):
            self.surrogate.network.load_state_dict(own)
            return None
        if self.status is not None or self.stage_index + 1 == len(self.optimizers):
            self._keep_last(own)
        self.least = Least(loss, self.step)
        return (
            f"the state after step {least.step} is kept: the loss has risen from {loss:.3g} to "
            f"{present:.3g} since"
        )

    def _keep_last(self, own: dict[str, Tensor]) -> None:
        """Checkpoints go on from the run's own last state, whichever one is its result."""
        if self.last is None:
            self.last = self.state_dict() | {"network": own}
        self.stage = None  # its memory belongs to that state

    def keep_best(self) -> None:
        """Go back to the best state, where there is one, and say so."""
        best = self.best
        if best is None or best.network is None or best.step == self.step:
            return
        self._keep_last(self.copied())
        self.surrogate.network.load_state_dict(best.network)
        kept = f"step {best.step} of {self.step} is kept, where the validation error was least"
        self.status = f"{self.status}; {kept}"

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values only, for a checkpoint."""
        if self.last is not None:
            return self.last
        return {
            "network": self.surrogate.network.state_dict(),
            "stage": None if self.stage is None else self.stage.state_dict(),
            "history": self.history.rows,
            "seconds": self.seconds,
            "best": None if self.best is None else vars(self.best),
            "least": vars(self.least) if self.least.step < self.step else None,
            "adaptation": None if self.adaptation is None else self.adaptation.state_dict(),
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
        if self.best is not None and state.get("best"):
            self.best = Best(**state["best"])
        if self.adaptation is not None and state.get("adaptation"):
            self.adaptation.load_state_dict(state["adaptation"])
        for name in COUNTERS:
            setattr(self, name, state[name])
        present = {"loss": self.history.rows[-1]["loss"], "step": self.step}
        self.least = Least(**(state.get("least") or present))
