"""The choice among shortened and damped steps, by the loss before and after each step."""

import math
from collections.abc import Callable


def falls_short(before: float, predicted: float, loss: float) -> bool:
    """Return whether a step lowers the loss by less than half of the predicted decrease.

    Args:
        before: the loss before the step.
        predicted: the loss of the linearised residual after the step.
        loss: the loss after the step; infinite or NaN where the residual is not finite.
    """
    return not before - loss >= 0.5 * (before - predicted)


def shortened(loss_at: Callable[[float], float], before: float) -> tuple[float, float]:
    """Shorten a step: try 1, 1/2, 1/4, … of it, until the loss rises after it has fallen.

    Shares are also no longer tried after twelve shares with a loss of at most twice the loss before
    the step; shares with a larger loss do not count. Where an equation hardly depends on the
    solution, such as ∇·(|∇u|² ∇u) = f near u = 0, the full step may be too long by a factor of 1e15
    or more.

    Args:
        loss_at: returns the loss after a share of the step.
        before: the loss without the step.

    Returns:
        The share after which the loss is least, and this loss; 0 and `before` if no share lowers
        the loss.

    Reference: Armijo, Minimization of functions having Lipschitz continuous first partial
    derivatives (1966).
    """
    best, least, share, left = 0.0, before, 1.0, 12
    while left and share > 1e-300:
        if (loss := loss_at(share)) < least:
            best, least = share, loss
        elif best:
            break
        left -= not loss > before + abs(before)  # a loss that is NaN counts, too
        share /= 2
    return best, least


def best_damping(
    loss_at: Callable[[float], float], start: float, before: float
) -> tuple[float, float, list[float]]:
    """Search, in factors of ten, for a damping with a local minimum of the loss after the step.

    Args:
        loss_at: returns the loss after a step with a given damping; it is called once for each
            damping.
        start: the damping that is tried first.
        before: the loss without a step. The damping grows until the loss after the step is below
            this loss.

    Returns:
        The damping; the loss after the step with this damping, which may exceed `before` if no
        damping lowers the loss; and all dampings that were tried, the smallest first.
    """
    known: dict[float, float] = {}
    least, most = 1e-20, 1e6  # an undamped step in double precision, and practically no step

    def at(damping: float) -> float:
        """Return the loss for a damping, infinite for NaN; each damping is tried only once."""
        if damping not in known:
            loss = loss_at(damping)
            known[damping] = math.inf if math.isnan(loss) else loss
        return known[damping]

    damping = min(max(start, least), most)
    while not at(damping) < before and damping < most:
        damping *= 10
    for factor in (0.1, 10.0):
        while least < damping < most and at(damping * factor) < at(damping):
            damping *= factor
    return damping, at(damping), sorted(known)


def is_stationary(fall: float, loss: float, floor: float) -> bool:
    """Return whether a predicted decrease of the loss is not significant.

    Args:
        fall: the predicted decrease; it is not significant up to 1e-8 of the loss plus the floor.
        loss: the present loss.
        floor: the rounding error of the loss, or the least decrease that is worth a step.
    """
    return fall <= 1e-8 * abs(loss) + floor
