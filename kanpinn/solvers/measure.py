"""Quantities that the history records besides the loss: errors, and the unknown numbers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from kanpinn.accuracy.norms import ErrorNorm
from kanpinn.geometry import Points
from kanpinn.jets import Channels, Jet
from kanpinn.networks.constants import Constants
from kanpinn.solvers.history import UNKNOWN

Evaluate = Callable[[Points, Channels], Jet]


class Measure(Protocol):
    """A function that measures a surrogate during a solve, such as `ErrorMeasure`."""

    def __call__(self, evaluate: Evaluate, until: float | None = None) -> Mapping[str, float]:
        """The measured quantities by name, for the history.

        until: the time up to which the solution is known; None if it is known everywhere.
        """


@dataclass(frozen=True)
class ErrorMeasure:
    """The errors of a solve's fields, and the present values of the problem's unknown numbers.

    Args:
        norm: the error norm; None if there is neither an exact solution nor a reference.
        constants: the unknown numbers; None if there are none.
    """

    norm: ErrorNorm | None
    constants: Constants | None

    def __call__(self, evaluate: Evaluate, until: float | None = None) -> dict[str, float]:
        errors = None
        if self.norm is not None:
            errors = self.norm(evaluate) if until is None else self.norm.up_to(evaluate, until)
        names = ("l2_relative", "h1_relative", "l2_squared", "h1_squared")
        found = {} if errors is None else {name: getattr(errors, name) for name in names}
        numbers = {} if self.constants is None else self.constants.values
        return found | {UNKNOWN + name: value for name, value in numbers.items()}
