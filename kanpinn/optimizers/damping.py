"""The damping of a Gauss–Newton step, chosen by the true loss."""

import math
from collections.abc import Callable

MIN_DAMPING, MAX_DAMPING = 1e-20, 1e6


class Probes:
    """The true loss as a function of the damping, each evaluated once."""

    def __init__(self, loss_at: Callable[[float], float]) -> None:
        self._loss_at = loss_at
        self.known: dict[float, float] = {}

    def __call__(self, damping: float) -> float:
        if damping not in self.known:
            loss = self._loss_at(damping)
            self.known[damping] = math.inf if math.isnan(loss) else loss
        return self.known[damping]

    @property
    def count(self) -> int:
        """How many dampings were tried."""
        return len(self.known)


def best_damping(loss_at: Probes, start: float, before: float) -> tuple[float, float]:
    """The damping and the loss at a local minimum, found from `start` by factors of ten.

    before: the loss without a step; as long as none is below it, the damping grows.
    """
    damping = min(max(start, MIN_DAMPING), MAX_DAMPING)
    while not loss_at(damping) < before and damping < MAX_DAMPING:
        damping *= 10
    for factor in (0.1, 10.0):
        while MIN_DAMPING < damping < MAX_DAMPING and loss_at(damping * factor) < loss_at(damping):
            damping *= factor
    return damping, loss_at(damping)
