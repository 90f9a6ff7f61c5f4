"""A line search for the strong Wolfe conditions."""

import math
from collections.abc import Callable
from dataclasses import dataclass

DECREASE, CURVATURE = 1e-4, 0.9  # the conditions' constants c₁ and c₂
MOST_EVALUATIONS = 25
ROUNDING = 1e-15  # relative to the loss: differences below it are none


@dataclass(frozen=True)
class Trial:
    """The loss and its slope along the line at one step length."""

    length: float
    loss: float
    slope: float


def strong_wolfe(
    at: Callable[[float], Trial], start: Trial, length: float, curvature: float = CURVATURE
) -> Trial | None:
    """A step with φ(t) ≤ φ(0) + c₁ t φ'(0) and |φ'(t)| ≤ c₂ |φ'(0)|, from trial lengths of `at`.

    Where rounding or the limit of evaluations comes first the best step that lowers the loss is
    taken, None where there is none. A loss that is not finite counts as too high.

    Reference: Nocedal and Wright, Numerical Optimization (2006), algorithms 3.5 and 3.6.
    """
    low, high, trials = start, None, []
    for _ in range(MOST_EVALUATIONS):
        trial = at(length)
        trials.append(trial)
        if not trial.loss <= start.loss + DECREASE * length * start.slope or (
            low is not start and trial.loss >= low.loss
        ):
            high = trial
        elif abs(trial.slope) <= -curvature * start.slope:
            return trial
        elif trial.slope * (1.0 if high is None else high.length - low.length) >= 0:
            low, high = trial, low
        else:
            low = trial
        if high is None:
            length = _beyond(start if len(trials) < 2 else trials[-2], trial)
            continue
        if abs(high.length - low.length) <= 1e-12 * low.length or (
            math.isfinite(high.loss)
            and abs(low.slope * (high.length - low.length)) <= ROUNDING * abs(low.loss)
        ):
            break
        length = _between(low, high)
    best = min(trials, key=lambda each: each.loss if math.isfinite(each.loss) else math.inf)
    return best if best.loss < start.loss else None


def _beyond(before: Trial, last: Trial) -> float:
    """A longer step: where the cubic through both has its minimum, 2 to 10 times as long."""
    found = _cubic_minimum(before, last)
    most, least = 10 * last.length, 2 * last.length
    return most if found is None or found < before.length else min(max(found, least), most)


def _between(low: Trial, high: Trial) -> float:
    """The minimum of the cubic through both, kept away from the ends."""
    left, right = sorted((low.length, high.length))
    found = _cubic_minimum(low, high)
    if found is None:
        return (left + right) / 2
    margin = 0.1 * (right - left)
    return min(max(found, left + margin), right - margin)


def _cubic_minimum(a: Trial, b: Trial) -> float | None:
    """Eq. 3.59 of Nocedal and Wright; None where the cubic has none."""
    if not all(abs(x) < 1e100 for x in (a.loss, b.loss, a.slope, b.slope)):
        return None  # their squares would overflow
    first = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.length - b.length)
    square = first**2 - a.slope * b.slope
    if square < 0:
        return None
    second = math.copysign(math.sqrt(square), b.length - a.length)
    below = b.slope - a.slope + 2 * second
    if below == 0:
        return None
    return b.length - (b.length - a.length) * (b.slope + second - first) / below
