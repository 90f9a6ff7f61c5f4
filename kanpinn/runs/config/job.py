"""The base class of jobs: the solves and fits that files describe, ready to run."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

from kanpinn.loss.residuals import Residuals
from kanpinn.networks import Network
from kanpinn.networks.surrogate import Surrogate
from kanpinn.optimizers import LeastSquares, Method, Optimizer, Stage
from kanpinn.solvers.auto.search import Announce
from kanpinn.solvers.history import History
from kanpinn.solvers.state import Observer


@runtime_checkable
class Result(Protocol):
    """The common interface of the results of solves, of eigenvalue problems and of fits."""

    @property
    def status(self) -> str: ...
    @property
    def success(self) -> bool: ...
    @property
    def history(self) -> History: ...
    @property
    def seconds(self) -> float: ...
    @property
    def optimizer_seconds(self) -> list[float]: ...
    @property
    def loss_terms(self) -> dict[str, float]: ...
    @property
    def optimizers(self) -> tuple[Method, ...]: ...
    @property
    def processes(self) -> int: ...
    @property
    def residuals(self) -> Residuals: ...
    @property
    def surrogate(self) -> Surrogate: ...
    @property
    def network(self) -> Network: ...
    @property
    def parameters(self) -> int: ...


@dataclass(frozen=True, eq=False, kw_only=True)
class Job(ABC):
    """A solve or a fit with everything that it needs; it can be run once."""

    network: Network
    optimizers: tuple[Method, ...]
    seed: int
    name: str

    by_trials: ClassVar[bool] = False  # whether trials choose network, points and optimizers

    @abstractmethod
    def run(
        self,
        observers: Sequence[Observer] = (),
        checkpoint: Mapping[str, Any] | None = None,
        announce: Announce | None = None,
    ) -> Result:
        """Run the job and return its result.

        Args:
            observers: functions that are called with the state after every step.
            checkpoint: the state from which the run continues; None to start anew.
            announce: a function that is called with each choice of settings before its trial, and
                at the end with the choice that is kept; only jobs whose settings are left to
                trials make choices.

        Raises:
            InputError: also for an error in a file of the user's; the message names file and line.
        """


class NoSteps(Optimizer):
    """An optimizer without steps, for a preview of the state before the first step."""

    steps = 0

    def start(self, residuals: Residuals, seed: int) -> Stage:
        return LeastSquares().start(residuals, seed)
