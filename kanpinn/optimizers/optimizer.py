"""What the solve loop asks of an optimizer."""

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

from kanpinn._support.errors import InputError
from kanpinn.loss.residuals import Residuals

CONVERGED = "converged"
INDEPENDENT = "stopped: to first order the residual does not depend on the network here"


@dataclass(frozen=True)
class Step:
    """What one step did.

    loss: after the step, or `before` it, as for `Adam`. evaluations: of the loss (or of the
    Jacobian) during it. finished: a sentence where the stage should end ("converged", or why it
    cannot go on; the run ends as well with "failed: ..."), else None. notes: numbers for the
    history.
    """

    loss: float
    evaluations: int = 1
    finished: str | None = None
    notes: dict[str, float] = field(default_factory=dict)
    before: bool = False


class Stage(ABC):
    """An optimizer at work on residuals: it holds the state, the loop calls `step`."""

    @abstractmethod
    def step(self) -> Step:
        """Improve the surrogate's coefficients once."""

    def short(self) -> str:
        """What the state is short of where a run ends here, in words; empty if of nothing."""
        return ""

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values from which `load_state_dict` goes on bit for bit."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up the state that `state_dict` gave."""
        if state:
            raise InputError(f"{type(self).__name__} has no state, got {sorted(state)}")


class Optimizer(ABC):
    """Settings of a stage; `start` puts it to work. Each is a frozen dataclass with `steps`."""

    steps: int

    @property
    def title(self) -> str:
        """Its name in words, "Least Squares"."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(self).__name__)

    @property
    def measure_every(self) -> int:
        """Errors are measured every so many steps; more than 1 only where steps are cheap."""
        return 1

    @property
    def needs_fixed_points(self) -> bool:
        """Whether resampling would break the method."""
        return False

    @property
    def lowers(self) -> bool:
        """Whether each of its steps is there to lower the loss of the problem."""
        return True

    @abstractmethod
    def start(self, residuals: Residuals, seed: int) -> Stage:
        """A stage that improves the residuals' surrogate; all its chance comes from the seed."""
