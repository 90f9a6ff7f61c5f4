"""The search for the damping of a Gauss–Newton step that minimises the true (nonlinear) loss."""

import math
from collections.abc import Callable


class Probes:
    """The true loss as a function of the damping; each damping is evaluated once only."""

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
    """Return a damping at which the loss has a local minimum, searched in factors of ten.

    Args:
        loss_at: returns the loss after a step with a given damping.
        start: the damping that is tried first.
        before: the loss without a step; the damping grows until a loss is below it.
        least: the lower limit of the search; 1e-20 is an undamped step in double precision.
        most: the upper limit of the search; at 1e6 the step is practically zero.

    Returns:
        The damping and the loss there, which may exceed `before` if no damping lowers the loss.
    """
    damping = min(max(start, least), most)
    while not loss_at(damping) < before and damping < most:
        damping *= 10
    for factor in (0.1, 10.0):
        while least < damping < most and loss_at(damping * factor) < loss_at(damping):
            damping *= factor
    return damping, loss_at(damping)
