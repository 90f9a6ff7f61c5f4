"""One window: collocation in time, solved by Newton's method, and the error that it makes."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kanpinn.evolution.space.system import System
from kanpinn.evolution.time.stages import lagrange
from kanpinn.evolution.window.carried_error import carried_error
from kanpinn.evolution.window.coupled_newton import CoupledNewton
from kanpinn.evolution.window.newton import Iterated, Newton, SimplifiedNewton
from kanpinn.evolution.window.window import Window
from kanpinn.evolution.window.window_equations import WindowEquations
from kanpinn.networks.surrogate import Surrogate

Array = NDArray[np.float64]


def newton_method(surrogate: Surrogate) -> type[Newton]:
    """The method for the windows of equations in time alone, or in space and time."""
    few = 20  # fields, with which the dense system of all stages costs less than other work
    in_time_alone, fields = surrogate.domain.dim == 1, surrogate.network.width[-1]
    return CoupledNewton if in_time_alone and fields <= few else SimplifiedNewton


@torch.no_grad()
def solve_window(
    equations: WindowEquations,
    guess: Tensor,
    size: float,
    precision: float,
    algebraic: Sequence[int] = (),
    error: Tensor | None = None,
) -> Window:
    """Solve a window.

    Args:
        equations: its equations.
        guess: of the unknowns of the stages, (s, n, m).
        size: the root mean square of the solution.
        precision: the error of Newton's method relative to it.
        algebraic: the numbers of the fields of which no equation has a derivative in time.
        error: the estimated error of the state at the start, (order, n, m); None if it does not
            matter.
    """
    states = equations.states(guess)
    window = Window.of_states(equations.stages, equations.start, equations.length, states)
    try:
        newton, found = _iterated(equations, guess, size, precision, algebraic)
        states = newton.equations.states(found.unknowns)
        window = replace(window, states=states, iterations=found.steps, rate=found.rate)
        return _judged(newton, found.unknowns, window, size, error) if found.converged else window
    except np.linalg.LinAlgError:  # a singular matrix, which a shorter window need not have
        return window


def _iterated(
    equations: WindowEquations,
    guess: Tensor,
    size: float,
    precision: float,
    algebraic: Sequence[int],
) -> tuple[Newton, Iterated]:
    """Newton's method for a window, and again after algebraic fields got values at its start."""
    method = newton_method(equations.system.interior.surrogate)
    newton = method(equations, guess)
    found = newton.solve(size, precision)
    if algebraic and found.converged:
        equations, unknowns = _continued_to_start(equations, found.unknowns, algebraic)
        newton = method(equations, unknowns)
        found = replace(newton.solve(size, precision), steps=found.steps + 1)
    return newton, found


def _judged(
    newton: Newton, unknowns: Tensor, window: Window, size: float, start: Tensor | None
) -> Window:
    """The solved window with its errors; it has not converged where they are not finite."""
    equations, system = newton.equations, newton.equations.system
    own = system.norm(system.space.values(window.end()[:1]) + equations.last_data())
    size = max(size, own) or 1.0
    in_time, splines = newton.error(unknowns), newton.splines(unknowns)
    error, lower = errors_by_decay(in_time.mean / size, _modes(system, window) / size)
    good = math.hypot(error, lower, own, float(splines.sum())) < 1e100  # its square is finite
    window = replace(
        window,
        converged=good,
        error=error,
        lower=lower,
        splines=splines,
        lifetimes=newton.lifetimes(),
        size=own,
    )
    if start is None or not good:
        return window
    return replace(window, carried=carried_error(newton, window, in_time, start, size))


def _continued_to_start(
    equations: WindowEquations, unknowns: Tensor, algebraic: Sequence[int]
) -> tuple[WindowEquations, Tensor]:
    """The equations and unknowns with other values of algebraic fields at the start.

    The stages of Radau IIA do not depend on these values. The polynomials through the stages alone
    give them, with one degree less than those of other fields: so they are consistent with the
    equations at the first moment too, and errors of the window before do not stay.

    Reference: Hairer, Lubich and Roche, The numerical solution of differential-algebraic systems by
    Runge-Kutta methods (1989).
    """
    fields = list(algebraic)
    ahead = torch.from_numpy(lagrange(equations.stages.nodes, np.zeros(1)))
    change = torch.tensordot(ahead, unknowns[..., fields], dims=1)
    initial, moved = equations.initial.clone(), unknowns.clone()
    initial[..., fields] += change
    moved[..., fields] -= change
    return replace(equations, initial=initial), moved


def _modes(system: System, window: Window) -> Array:
    """The root mean square over the window of its Legendre polynomials, (s + order,)."""
    sizes: Array = system.norms(window.series()).numpy()
    return sizes / np.sqrt(2 * np.arange(len(sizes)) + 1)


def errors_by_decay(error: float, modes: Array) -> tuple[float, float]:
    """The errors of s and s - 2 stages, from the estimate for s and the Legendre polynomials.

    The two highest polynomials are what two stages fewer would leave. Where they are rounding
    errors, the polynomials above them tell how the errors decay.
    """
    rounding, lower = 1e-14, float(np.hypot(*modes[-2:]))
    largest = np.maximum.accumulate(modes[::-1])[::-1]  # of each polynomial and all higher ones
    last = int((largest > rounding * largest[0]).sum()) - 1
    if last < 4 or last >= len(modes) - 2:
        return error, lower
    decay = (largest[last // 2] / largest[last]) ** (1 / (last - last // 2))
    error = max(error, largest[last] * decay ** (last - len(modes)))
    return error, error * decay**2
