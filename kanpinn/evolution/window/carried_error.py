"""The estimated error at the end of a window: that of its start carried on, and its own."""

import torch
from torch import Tensor

from kanpinn.evolution.space.system import System
from kanpinn.evolution.window.newton import Newton, TimeError
from kanpinn.evolution.window.window import Window


def carried_error(
    newton: Newton, window: Window, own: TimeError, start: Tensor, size: float
) -> Tensor:
    """The estimated error of the state at the end of a solved window, (order, n, m).

    The error at the start is carried on by the equation, linearised about the solution, which may
    amplify or damp it. Collocation damps waves that are too fast for the window, which is an error
    where the equation does not. So there the size of what is carried on does not shrink, and the
    error in time of the window's own value is added with the sign that makes the sum larger.

    Args:
        newton: the method that has solved the window.
        window: its solution.
        own: the error in time.
        start: the estimated error of the state at the start, (order, n, m).
        size: the root mean square of the solution.
    """
    system = newton.equations.system
    moved = _moved(newton, window, start, size)
    added = torch.cat([own.at_end, torch.zeros_like(start[1:])])
    added = added if float((moved * added).sum()) >= 0 else -added
    total, size = moved + added, _size(system, moved)
    if window.keeps_waves:
        size = max(size, _size(system, start))
    found = _size(system, total)
    if found > 0:  # errors of different forms add up as those of one form do
        total = total * ((size + _size(system, added)) / found)
    return total


def _size(system: System, error: Tensor) -> float:
    return float(system.norms(error[:1]))


def _moved(newton: Newton, window: Window, start: Tensor, size: float) -> Tensor:
    """The error at the end that follows from the one at the start, (order, n, m)."""
    small = 1e-3  # of the solution, for which the equation is linear, and far above rounding
    before = _size(newton.equations.system, start)
    if not before:
        return torch.zeros_like(start)
    factor = small * size / before
    change = newton.carried(window.states[window.order :], factor * start)
    return window.end_of(change) / factor


def with_splines(system: System, error: Tensor, splines: Tensor) -> Tensor:
    """An estimated error that is at least as large in each interval as that of splines.

    The splines of a window add their error also where the equation has damped earlier errors.

    Args:
        system: the equation in a trial space.
        error: of the value and, for second order, the rate, (order, n, m).
        splines: the root mean square errors of splines in each interval, (E,).
    """
    values = system.space.values(error[:1])
    missing = (splines - system.by_elements(values)).clamp_min(0)
    if not bool(missing.any()):
        return error
    raised = system.projection(system.raised(values, missing))
    return torch.cat([raised[None], error[1:]])
