"""What the solve loop asks of a method, an optimizer or a transform, and of it at work."""

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from kanpinn._support.errors import InputError
from kanpinn.loss.residuals import Residuals
from kanpinn.networks.kan import KAN
from kanpinn.networks.network import Network

CONVERGED = "converged"
INDEPENDENT = "stopped: to first order the residual does not depend on the network here"


@dataclass(frozen=True)
class Step:
    """The result of one step of a stage.

    Args:
        loss: the loss of the state that the step leaves, or the one that it found (`loss_lags`).
        evaluations: how often the step evaluated the loss or its Jacobian.
        finished: None to go on, otherwise a sentence that ends the stage: "converged", or why it
            cannot go on. A sentence that begins with "failed" ends the run as well.
        notes: numbers for columns of the history.
        words: what the progress line says of the step, "rank 1000 of 1216"; empty for nothing.
        loss_lags: True if `loss` belongs to the coefficients before the step, as Adam's does.
    """

    loss: float
    evaluations: int = 1
    finished: str | None = None
    notes: dict[str, float] = field(default_factory=dict)
    words: str = ""
    loss_lags: bool = False


class Stage(ABC):
    """A method at work on residuals: it holds the state, the loop calls `step`.

    Attributes:
        residuals: the loss; the loop replaces it where the points change.
        kept: the names of the attributes that a checkpoint keeps, tensors and plain values.
    """

    residuals: Residuals
    kept: tuple[str, ...] = ()

    @abstractmethod
    def step(self) -> Step:
        """Change the surrogate's coefficients once."""

    def short(self) -> str:
        """What is missing if the run ends here, in words; empty if nothing is."""
        return ""

    def state_dict(self) -> dict[str, Any]:
        """Return tensors and plain values from which `load_state_dict` goes on bit for bit."""
        return {name: getattr(self, name) for name in self.kept}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the state that `state_dict` returned.

        Raises:
            InputError: if it is that of another kind of stage.
        """
        if set(state) != set(self.kept):
            raise InputError(
                f"{type(self).__name__} keeps {sorted(self.kept)}, the state has {sorted(state)}"
            )
        for name, value in state.items():
            setattr(self, name, value)


class Method(ABC):
    """The settings of one entry in a solve's list of optimizers, a frozen dataclass.

    Attributes:
        steps: the largest number of steps.
        lowers_loss: whether every step is meant to lower the loss of the problem; only then the
            loop goes back to an earlier state if the loss rises.
        needs_fixed_points: whether the method breaks if points are drawn anew between its steps.
        output_layer_only: whether it finds coefficients of the output layer, and no others.
    """

    steps: int
    lowers_loss = True
    needs_fixed_points = False
    output_layer_only = False

    @property
    def title(self) -> str:
        """The name in words, "Least Squares"."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(self).__name__)

    @property
    def measure_every(self) -> int:
        """The number of steps between two measurements of the error; above 1 for cheap steps."""
        return 1

    def check(self, network: Network) -> None:
        """Refuse a network that the method cannot work on.

        Raises:
            InputError: if it would fail when it is due.
        """
        del network  # most methods take any

    def unknowns(self, network: Network) -> int:
        """Return the unknowns of the dense least-squares problem in a step, 0 if it has none."""
        return 0

    @abstractmethod
    def start(self, residuals: Residuals, seed: int) -> Stage:
        """Return a stage that works on the residuals' surrogate.

        Args:
            residuals: the terms of the loss.
            seed: of all random numbers that the stage draws.
        """


class Optimizer(Method):
    """A method whose steps lower the loss; a subclass is a frozen dataclass with `steps`."""


@dataclass(frozen=True)
class Change:
    """The result of a transform: numbers for the history, words for the progress line.

    Args:
        finished: "converged", or why the network stays as it was.
    """

    notes: dict[str, float] = field(default_factory=dict)
    words: str = ""
    finished: str = CONVERGED


class Transform(Method):
    """A method that changes the network once, between optimizers, and keeps its function."""

    steps = 1
    lowers_loss = False

    @abstractmethod
    def apply(self, residuals: Residuals) -> Change:
        """Change the network of the residuals' surrogate.

        Raises:
            InputError: if the network cannot be changed so.
        """

    def start(self, residuals: Residuals, seed: int) -> Stage:
        return _TransformStage(self, residuals)


@dataclass
class _TransformStage(Stage):
    """The one step of a transform."""

    transform: Transform
    residuals: Residuals

    def step(self) -> Step:
        change = self.transform.apply(self.residuals)
        return Step(
            self.residuals.loss(),
            finished=change.finished,
            notes=change.notes,
            words=change.words,
        )


def as_methods(
    methods: Method | Sequence[Method], resample: int, what: str = "resample must be 0"
) -> tuple[Method, ...]:
    """Return one or more methods as a tuple.

    Args:
        methods: one, or a sequence of them.
        resample: above 0 if points or weights change during the solve.
        what: the setting that would have to be different, for the message.

    Raises:
        InputError: for anything else, or for a method that needs fixed points if `resample` is not
            zero.
    """
    chosen = (methods,) if isinstance(methods, Method) else tuple(methods)
    if not chosen or not all(isinstance(method, Method) for method in chosen):
        raise InputError(f"optimizers must be one or more kanpinn optimizers, got {methods!r}")
    for method in chosen:
        if resample and method.needs_fixed_points:
            raise InputError(
                f"{what} for {method.title}, which needs the same points and weights throughout"
            )
    return chosen


def require_kan(network: Network, name: str) -> KAN:
    """Return the network as a KAN.

    Args:
        name: of the method that needs one, for the message.

    Raises:
        InputError: for another kind of network.
    """
    if not isinstance(network, KAN):
        raise InputError(f"{name} is for KANs: a {type(network).__name__} has no grid")
    return network


def load_libraries() -> None:
    """Import what torch and SciPy import at first use: its second is no part of a run's time."""
    import scipy.linalg  # noqa: F401

    one = torch.ones(1, requires_grad=True)
    torch.autograd.grad(one + 0, one, torch.ones(1))
