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
        values: the solution at the stages, (s, N, L, p m).
        window: its polynomials in time, with the coefficients of all cells one after the other,
            and what the controller needs.
        error: the coefficients of the error in time, (N, L, p m).
    """

    equations: CellStages
    values: Tensor
    window: Window
    error: Tensor

    @property
    def end(self) -> Tensor:
        """The state at the end, (N, L, p m)."""
        return self.values[-1]

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
        guess: of the values at the stages, (s, N, L, p m).
        size: the L2 norm of the solution.
        precision: the error of Newton's method relative to it.
    """
    values, steps, rate, converged = _iterated(equations, guess, size, precision)
    if converged and equations.cells.algebraic:
        equations = _with_algebraic_start(equations, values)
    states = torch.cat([equations.initial[None], values - equations.initial])
    window = Window.of_states(
        equations.stages, equations.start, equations.length, states.flatten(1, 2)
    )
    window = replace(window, iterations=steps, rate=rate)
    if not converged:
        return CellWindow(equations, values, window, torch.zeros_like(values[0]))
    norm = equations.cells.norm
    size = max(size, own := norm(values[-1])) or 1.0
    found = equations.error_in_time(values) * equations.form.mean
    series = window.series().unflatten(1, values.shape[1:3])
    modes = np.array([norm(one) / math.sqrt(2 * j + 1) for j, one in enumerate(series)])
    error, lower = errors_by_decay(norm(found) / size, modes / size)
    good = math.hypot(error, lower, own) < 1e100
    window = replace(window, converged=good, error=error, lower=lower, size=own)
    return CellWindow(equations, values, window, found)


def _iterated(
    equations: CellStages, guess: Tensor, size: float, precision: float
) -> tuple[Tensor, int, float, bool]:
    """Newton's method: the values, the number of steps, their rate, and whether it converges."""
    norm, values, most = equations.cells.norm, guess, 12
    first, last, rate = 0.0, math.inf, 0.0
    wanted = equations.wanted(values)
    for count in range(1, most + 1):
        found = equations.solved(wanted)
        step = max(norm(one) for one in found - values)
        values = found
        size = max(size, norm(values[-1])) or 1.0
        step /= size
        if not math.isfinite(step):
            return values, count, rate, False
        first = first or step
        if count > 1 and first > 0:
            rate = (step / first) ** (1 / (count - 1))
        latest = step / last if last > 0 else 0.0
        contracts = count > 1 and latest < 0.5
        left = min(step, latest / (1 - latest) * step) if contracts else step
        if left <= precision or (step > 0.3 * last and step < 1e-9):
            return values, count, rate, True
        late = count > 3 and step * latest ** (most - count) > 10 * precision
        if step > 2 * last or late:
            return values, count, rate, False
        before, wanted, last = wanted, equations.wanted(values), step
        if equations.are_alike(before, wanted, values):  # the equation is linear
            return values, count, rate, True
    return values, most, rate, False


def _with_algebraic_start(equations: CellStages, values: Tensor) -> CellStages:
    """The equations with new values at the start for the fields without rates.

    The stages do not depend on these values. They are extrapolated by the polynomials through the
    stages alone, whose degree is one less than that of the other fields.
    """
    fields = equations.cells.algebraic
    ahead = torch.from_numpy(lagrange(equations.stages.nodes, np.zeros(1))[0])
    initial = equations.initial.clone()
    initial[..., fields] = torch.tensordot(ahead, values[..., fields], dims=1)
    return replace(equations, initial=initial)
