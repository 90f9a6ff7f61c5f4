"""Network states to which a solve may return: the best one and the one with the least loss."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn.loss.residuals import Residuals
from kanpinn.networks.network import Network
from kanpinn.optimizers import Method, Step
from kanpinn.solvers.progress import StepCounts

NUMBERS = frozenset({"value", "loss", "step", "waited"})  # what a kept state has besides a network


def copied(network: Network) -> dict[str, Tensor]:
    """A copy of the network's state."""
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


@contextmanager
def perturbed(network: Network, seed: int) -> Iterator[None]:
    """Change each coefficient by a relative rounding error of random sign, for a while."""
    kept = [one.clone() for one in network.parameters()]
    generator = torch.Generator().manual_seed(seed)
    try:
        for one in network.parameters():
            signs = 2 * torch.randint(2, one.shape, generator=generator) - 1
            one.mul_(1 + torch.finfo(one.dtype).eps * signs.to(one))
        yield
    finally:
        for one, before in zip(network.parameters(), kept, strict=True):
            one.copy_(before)


@dataclass
class Best:
    """The state with the least value of one quantity of the history, such as a validation error.

    Args:
        quantity: its name in the history.
        patience: the solve ends after this many measured steps of one optimizer without a lower
            value; None for no such limit. It also ends if an optimizer that lowers the loss, other
            than the first, ends without a lower value: on finer grids the value would only grow.
        value, step, network: the least value, the step after which it was measured, and the
            network's state at that step.
        waited: measured steps of this optimizer since the value fell.
    """

    quantity: str
    patience: int | None = None
    value: float = math.inf
    step: int = 0
    waited: int = 0
    network: dict[str, Tensor] | None = None

    def see(self, row: Mapping[str, float], step: int, network: Network) -> None:
        """Keep a copy of the network's state if a row of the history has a lower value."""
        value = row.get(self.quantity, math.nan)
        self.waited += value >= self.value
        if value < self.value:
            self.value, self.step, self.waited = value, step, 0
            self.network = copied(network)

    def verdict(self, progress: StepCounts, optimizer: Method, residuals: Residuals) -> str | None:
        """The status with which the solve should end after this step; None if it should go on."""
        ended = progress.finished is not None or progress.stage_step >= optimizer.steps
        since = progress.step - progress.stage_step  # steps of earlier optimizers
        if self.patience is not None and self.waited >= self.patience:
            return f"stopped: the validation error has not fallen since step {self.step}"
        if ended and optimizer.lowers_loss and self.step <= since and progress.stage_index:
            parameters = residuals.surrogate.network.parameter_count
            rows = sum(term.rows for term in residuals.terms)
            sizes = f"{parameters} parameters for {rows} rows"
            return f"stopped: the validation error no longer falls ({sizes})"
        return None


@dataclass
class Least:
    """The state with the least loss of one optimizer, to which a diverging solve returns.

    Args:
        loss: the least loss.
        step: the number of the step after which the network had that loss.
        network: the network's state after that step; None while it is the present state.
    """

    loss: float = math.inf
    step: int = 0
    network: dict[str, Tensor] | None = None

    def see(self, done: Step, number: int, before: dict[str, Tensor] | None) -> None:
        """Keep the state after a step if its loss is the least.

        Args:
            done: the result of the step.
            number: the number of the step.
            before: the network's state before the step; None for a method to whose states no solve
                returns.
        """
        if self.step == number - 1:
            self.network = before
        if done.loss <= self.loss:
            self.loss, self.step = done.loss, number - done.loss_lags
            self.network = before if done.loss_lags else None
