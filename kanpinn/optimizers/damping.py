"""The damping of a Gauss–Newton step, chosen by the true loss."""

import math
from collections.abc import Callable


class Probes:
    """The true loss as a function of the damping, evaluated once for each."""

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
        """The number of dampings that were tried."""
        return len(self.known)


def best_damping(
    loss_at: Probes, start: float, before: float, least: float = 1e-20, most: float = 1e6
) -> tuple[float, float]:
    """Find a local minimum of the loss over the damping, by factors of ten.

    Args:
        loss_at: the loss after a step with this damping.
        start: the damping that is tried first.
        before: the loss without a step; the damping grows until a loss is below it.
        least: no damping below this is tried; 1e-20 is none in double precision.
        most: no damping above this is tried; a step with 1e6 is none.

    Returns:
        The damping and the loss there.
    """
    damping = min(max(start, least), most)
    while not loss_at(damping) < before and damping < most:
        damping *= 10
    for factor in (0.1, 10.0):
        while least < damping < most and loss_at(damping * factor) < loss_at(damping):
            damping *= factor
    return damping, loss_at(damping)
