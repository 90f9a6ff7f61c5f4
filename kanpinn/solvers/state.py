"""The state of a solve, which the loop advances, observers read and checkpoints contain."""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Thread
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from kanpinn._support.errors import expecting, number
from kanpinn.loss.residuals import Residuals
from kanpinn.networks.surrogate import Surrogate
from kanpinn.optimizers import Method, Stage
from kanpinn.solvers.history import History
from kanpinn.solvers.kept_states import NUMBERS, Best, Least, copied
from kanpinn.solvers.losses import Losses
from kanpinn.solvers.progress import Clock, StepCounts

LOG = logging.getLogger("kanpinn")


@runtime_checkable
class Observer(Protocol):
    """A callable that follows a solve, such as progress lines, checkpoints or figures.

    It may change nothing but `state.interrupted`, which ends the solve after this step.
    """

    def __call__(self, state: "SolverState", /) -> None:
        """Observe the state; called after every step."""


@dataclass(eq=False, repr=False)
class SolverState:
    """The state of a solve.

    Args:
        losses: the sequence of losses of the steps.
        residuals: the present loss.
        surrogate: the surrogate that is solved for.
        optimizers: the optimizers, run one after another.
        clock: the seconds of each optimizer, and the budget.
        best: the best state by a quantity of the history; None if no quantity is given.
        history: the recorded quantities, step by step.
        progress: the step counters.
        least: the state with the least loss of this optimizer.
        optimizer: the present optimizer; unset before the first one begins.
        stage: the run of the present optimizer; None before the first one.
        words: a description of the last step, for the progress line.
        status: how the solve ended; None while it goes on.
        interrupted: whether the solve ends after this step.
        last: the solve's last own state for checkpoints, if the network was reset to another one.
    """

    losses: Losses
    residuals: Residuals
    surrogate: Surrogate
    optimizers: tuple[Method, ...]
    clock: Clock = field(default_factory=Clock)
    best: Best | None = None
    history: History = field(default_factory=History)
    progress: StepCounts = field(default_factory=StepCounts)
    least: Least = field(default_factory=Least)
    optimizer: Method = field(init=False)
    stage: Stage | None = None
    words: str = ""
    status: str | None = None
    interrupted: bool = False
    last: dict[str, Any] | None = None

    def begin_stage(self, seed: int, memory: dict[str, Any] | None) -> Stage:
        """Start the present optimizer with the loss of the next step, and return its run.

        Args:
            seed: the seed of the optimizer.
            memory: the optimizer's state from a checkpoint; None if it starts afresh.
        """
        self.residuals = self.losses.following(self.residuals, self.progress.step)
        self.optimizer = self.optimizers[self.progress.stage_index]
        self.stage = self.optimizer.start(self.residuals, seed)
        self.clock.expected = None
        if self.clock.budget_seconds is not None:
            self.clock.expected = self.optimizer.cost(self.residuals)
        if memory is None:
            self.least = Least(self.history.rows[-1]["loss"], self.progress.step)
        else:
            with expecting("the checkpoint"):
                self.stage.load_state_dict(memory)
        return self.stage

    def end_stage(self, reason: str) -> str | None:
        """End the present optimizer: advance to the next one, or set the status of the solve.

        Args:
            reason: why the optimizer has ended.

        Returns:
            A description of the steps taken back; None if there are none, or the status has it.
        """
        back = self.go_back()
        if self.status is not None or self.progress.stage_index + 1 == len(self.optimizers):
            self.status = "; ".join(filter(None, (self.status or reason, back)))
            return None  # the counters stay, so that a checkpoint can continue with a raised limit
        self.progress.next_stage()
        if self.best is not None:
            self.best.waited = 0
        return back

    def stopped(self, why: str) -> str:
        """The status of a solve that is stopped before the present optimizer has converged."""
        short = "" if self.stage is None else self.stage.short()
        return f"stopped: {why}, {short}" if short else f"stopped: {why}"

    def go_back(self, risen: float = 10.0) -> str | None:
        """Return to the state with the least loss if the loss is now more than `risen` times that.

        Returns:
            A description of the steps taken back; None if the network is unchanged.
        """
        least, network = self.least, self.surrogate.network
        if (
            least.network is None
            or least.step == self.progress.step
            or not self.optimizer.lowers_loss
        ):
            return None
        present, own = self.residuals.loss(reported=True), copied(network)
        network.load_state_dict(least.network)
        loss = self.residuals.loss(reported=True)
        if not math.isfinite(loss) or present <= loss + (risen - 1) * abs(loss):
            network.load_state_dict(own)
            return None
        if self.status is not None or self.progress.stage_index + 1 == len(self.optimizers):
            self._keep_last(own)
        self.least = Least(loss, self.progress.step)
        return (
            f"the state after step {least.step} is kept: the loss has risen from {loss:.3g} to "
            f"{present:.3g} since"
        )

    def _keep_last(self, own: dict[str, Tensor]) -> None:
        """Store the solve's own last state, from which checkpoints continue, for `state_dict`."""
        if self.last is None:
            self.last = self.state_dict() | {"network": own}
        self.stage = None  # the optimizer's memory belongs to that state

    def keep(self, best: Best) -> str | None:
        """Load the best state into the network, and describe it; None if it is the last state."""
        step = self.progress.step
        if best.network is None or best.step == step:
            return None
        self._keep_last(copied(self.surrogate.network))
        self.surrogate.network.load_state_dict(best.network)
        return f"step {best.step} of {step} is kept, where the validation error was least"

    def interrupt(self, *_: object) -> None:
        """End the solve after the present step; called a second time, interrupt the step itself.

        It is the handler of Ctrl-C during a solve.
        """
        if self.interrupted:
            raise KeyboardInterrupt
        self.interrupted = True
        message = (
            "interrupted: the present step ends first; Ctrl-C again interrupts the step itself"
        )
        # Another thread writes it: the signal may arrive while this one writes, and a stream
        # refuses a second write from within the first.
        Thread(target=LOG.info, args=(message,)).start()

    def state_dict(self) -> dict[str, Any]:
        """The state as tensors and plain values, for a checkpoint from which `begin` continues."""
        if self.last is not None:
            return self.last
        return {
            "network": self.surrogate.network.state_dict(),
            "stage": None if self.stage is None else self.stage.state_dict(),
            "history": self.history.rows,
            "seconds": self.clock.seconds,
            "best": None if self.best is None else vars(self.best),
            "least": vars(self.least) if self.least.step < self.progress.step else None,
            "losses": {name: getattr(self.losses, name) for name in self.losses.kept},
            **vars(self.progress),
        }

    def _load_state_dict(self, state: Mapping[str, Any]) -> None:
        counts = [state[name] for name in ("stage_index", "stage_step", "step")]
        if any(type(count) is not int or count < 0 for count in counts):
            raise ValueError(f"the numbers of stages and steps are {counts}")
        if any(type(one) not in (int, float) for row in state["history"] for one in row.values()):
            raise ValueError("the history has other values than numbers")
        for kept in filter(None, (state.get("best"), state.get("least"))):
            wrong = [n for n in NUMBERS & set(kept) if type(kept[n]) not in (int, float)]
            if wrong:
                raise ValueError(f"{wrong[0]} of a kept state is {kept[wrong[0]]!r}")
        device = self.surrogate.low.device  # a checkpoint is loaded to the CPU
        states = [state["network"]]
        if self.best is not None and state.get("best"):
            self.best = Best(**state["best"])
            # Loaded as well, so that it is known to fit when the solve ends.
            states = [*filter(None, [self.best.network]), *states]
        for one in states:
            network = {name: tensor.to(device) for name, tensor in one.items()}
            self.surrogate.network.load_state_dict(network)
        self.surrogate(self.residuals.terms[0].points[:1])  # its layers fit together
        self.history = History(list(state["history"]))
        self.clock.seconds = list(state["seconds"])
        self.clock.earlier = sum(self.clock.seconds)
        self.progress = StepCounts(**{name: state[name] for name in vars(self.progress)})
        present = {"loss": self.history.rows[-1]["loss"], "step": self.progress.step}
        self.least = Least(**(state.get("least") or present))


def begin(
    losses: Losses,
    optimizers: tuple[Method, ...],
    budget_seconds: float | int | None = None,
    best: Best | None = None,
    checkpoint: Mapping[str, Any] | None = None,
) -> SolverState:
    """The state of a solve before its first step, or as a checkpoint has it.

    Args:
        losses: the sequence of losses of the steps.
        optimizers: the optimizers, run one after another.
        budget_seconds: the most seconds that all steps may take; None for no limit.
        best: keeps the best state by a quantity of the history; None to keep none.
        checkpoint: a `SolverState.state_dict()` from which the solve continues.

    Raises:
        InputError: if the budget is not a positive number, or the checkpoint is not one of such a
            solve.
    """
    if budget_seconds is not None:
        number("budget_seconds", budget_seconds, above=True)
    clock = Clock(budget_seconds)
    if checkpoint is None:
        first = losses.first(0)
        return SolverState(losses, first, first.surrogate, optimizers, clock, best)
    with expecting("the checkpoint"):
        for name, value in (checkpoint.get("losses") or {}).items():
            setattr(losses, name, value)
        step = int(checkpoint["step"])
    first = losses.first(step)  # outside: it calls functions of the user's, whose errors are theirs
    state = SolverState(losses, first, first.surrogate, optimizers, clock, best)
    with expecting("the checkpoint"):
        state._load_state_dict(checkpoint)
    return state
