"""A line search that satisfies the strong Wolfe conditions."""

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class LinePoint:
    """The loss, and its derivative along the search line, at one step length."""

    length: float
    loss: float
    slope: float


def strong_wolfe(
    at: Callable[[float], LinePoint],
    start: LinePoint,
    length: float,
    decrease: float = 1e-4,
    curvature: float = 0.9,
    most: int = 25,
) -> LinePoint | None:
    """Return a step length t with φ(t) ≤ φ(0) + c₁ t φ'(0) and |φ'(t)| ≤ c₂ |φ'(0)|.

    If the search ends by rounding errors or the limit of evaluations, the trial with the lowest
    loss is returned, provided that it lowers the loss. A loss that is not finite counts as too
    high.

    Args:
        at: evaluates φ, the loss along the line, and its slope at a step length.
        start: the trial of length 0; its slope is negative.
        length: the step length that is tried first.
        decrease: c₁, between 0 and c₂.
        curvature: c₂, below 1; 0.9 suits quasi-Newton methods, 0.1 makes the search nearly exact.
        most: the largest number of evaluations.

    Returns:
        The trial at t; None if no trial lowers the loss.

    Reference: Nocedal and Wright, Numerical Optimization (2006), algorithms 3.5 and 3.6.
    """
    low, high, trials = start, None, []
    for _ in range(most):
        trial = at(length)
        trials.append(trial)
        if not trial.loss <= start.loss + decrease * length * start.slope or (
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
        fall = abs(low.slope * (high.length - low.length))
        rounding = math.isfinite(high.loss) and fall <= 1e-15 * abs(low.loss)
        if rounding or abs(high.length - low.length) <= 1e-12 * low.length:
            break
        length = _between(low, high)
    best = min(trials, key=lambda each: each.loss if math.isfinite(each.loss) else math.inf)
    return best if best.loss < start.loss else None


def _beyond(before: LinePoint, last: LinePoint) -> float:
    """Return the minimum of the cubic through both trials, limited to 2 to 10 times the last."""
    found = _cubic_minimum(before, last)
    most, least = 10 * last.length, 2 * last.length
    return most if found is None or found < before.length else min(max(found, least), most)


def _between(low: LinePoint, high: LinePoint) -> float:
    """Return the minimum of the cubic through both trials, at least 10 % away from the ends."""
    left, right = sorted((low.length, high.length))
    found = _cubic_minimum(low, high)
    if found is None:
        return (left + right) / 2
    margin = 0.1 * (right - left)
    return min(max(found, left + margin), right - margin)


def _cubic_minimum(a: LinePoint, b: LinePoint) -> float | None:
    """Return the minimum of the cubic through both trials, equation 3.59; None if it has none."""
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
