"""One window with cells in space: simplified Newton steps, and the error in time."""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from kanpinn.evolution.cells.cell_stages import CellStages
from kanpinn.evolution.time.stages import lagrange
from kanpinn.evolution.window.window import Window
from kanpinn.evolution.window.window_solve import errors_by_decay


@dataclass(frozen=True, eq=False)
class CellWindow:
    """A window that has been solved, or tried.

    Args:
        equations: its equations.
        states: the solution at the stages, (s, N, L, p m).
        window: its polynomials in time, with the coefficients of all cells one after the other,
            and what the controller needs.
        error: the coefficients of the error in time, (N, L, p m).
    """

    equations: CellStages
    states: Tensor
    window: Window
    error: Tensor

    @property
    def end(self) -> Tensor:
        """The state at the end, (N, L, p m)."""
        return self.states[-1]

    @property
    def series(self) -> Tensor:
        """The Legendre series of the polynomials in time, (s + 1, N, L, p m)."""
        return self.window.series().unflatten(1, self.error.shape[:2])


def solve_cell_window(
    equations: CellStages, guess: Tensor, size: float, precision: float
) -> CellWindow:
    """Solve a window.

    Args:
        equations: its equations.
        guess: of the states at the stages, (s, N, L, p m).
        size: the L2 norm of the solution.
        precision: the error of Newton's method relative to it.
    """
    states, steps, rate, converged = _iterated(equations, guess, size, precision)
    if converged and equations.cells.algebraic:
        equations = _with_algebraic_start(equations, states)
    changes = torch.cat([equations.initial[None], states - equations.initial])
    window = Window.of_states(
        equations.stages, equations.start, equations.length, changes.flatten(1, 2)
    )
    window = replace(window, iterations=steps, rate=rate)
    if not converged:
        return CellWindow(equations, states, window, torch.zeros_like(states[0]))
    norm = equations.cells.norm
    size = max(size, own := norm(states[-1])) or 1.0
    found = equations.error_in_time(states) * equations.form.mean
    series = window.series().unflatten(1, states.shape[1:3])
    modes = np.array([norm(one) / math.sqrt(2 * j + 1) for j, one in enumerate(series)])
    error, lower = errors_by_decay(norm(found) / size, modes / size)
    good = math.hypot(error, lower, own) < 1e100
    window = replace(window, converged=good, error=error, lower=lower, size=own)
    return CellWindow(equations, states, window, found)


def _iterated(
    equations: CellStages, guess: Tensor, size: float, precision: float
) -> tuple[Tensor, int, float, bool]:
    """Newton's method: the states, the number of steps, their rate, and whether it converges."""
    norm, states, most = equations.cells.norm, guess, 12
    first, last, rate = 0.0, math.inf, 0.0
    wanted = equations.wanted(states)
    for count in range(1, most + 1):
        found = equations.solved(wanted)
        step = max(norm(one) for one in found - states)
        states = found
        size = max(size, norm(states[-1])) or 1.0
        step /= size
        if not math.isfinite(step):
            return states, count, rate, False
        first = first or step
        if count > 1 and first > 0:
            rate = (step / first) ** (1 / (count - 1))
        latest = step / last if last > 0 else 0.0
        contracts = count > 1 and latest < 0.5
        left = min(step, latest / (1 - latest) * step) if contracts else step
        if left <= precision or (step > 0.3 * last and step < 1e-9):
            return states, count, rate, True
        late = count > 3 and step * latest ** (most - count) > 10 * precision
        if step > 2 * last or late:
            return states, count, rate, False
        before, wanted, last = wanted, equations.wanted(states), step
        if equations.are_alike(before, wanted, states):  # the equation is linear
            return states, count, rate, True
    return states, most, rate, False


def _with_algebraic_start(equations: CellStages, states: Tensor) -> CellStages:
    """The equations with new values at the start for the fields without rates.

    The stages do not depend on these values. They are extrapolated by the polynomials through the
    stages alone, whose degree is one less than that of the other fields.
    """
    fields = equations.cells.algebraic
    ahead = torch.from_numpy(lagrange(equations.stages.nodes, np.zeros(1))[0])
    initial = equations.initial.clone()
    initial[..., fields] = torch.tensordot(ahead, states[..., fields], dims=1)
    return replace(equations, initial=initial)
