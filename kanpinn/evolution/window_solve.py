"""One window: collocation in time by a simplified Newton method, and the error that it makes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kanpinn.evolution.stages import Stages, at_moments, at_stages, legendre_series
from kanpinn.evolution.system import System
from kanpinn.evolution.term_in_space import MomentsInTime

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Window:
    """The solution in one window.

    Args:
        stages: its stages.
        start, length: its first moment and its length.
        states: the coefficients of the value, and for second order the rate, at the start, then the
            unknowns of the stages (see `Polynomials`), (order + s, n, m).
        error: the estimated error that the window adds, relative to the size of the solution, in
            the root mean square over the window.
        lower: the error that two stages fewer would leave.
        splines: the root mean square errors of splines in each interval, the largest over the
            window, (E,).
        size: the root mean square of the solution at the end.
        iterations: the number of Newton steps.
        converged: whether Newton's method has converged.
    """

    stages: Stages
    start: float
    length: float
    states: Tensor
    error: float
    lower: float
    splines: Tensor
    size: float
    iterations: int
    converged: bool

    @property
    def order(self) -> int:
        """The order of the equation in time."""
        return len(self.states) - self.stages.count

    def at(self, moments: Array, derivative: int = 0) -> Tensor:
        """The coefficients at moments, from 0 to 1 in the window, (k, n, m)."""
        rates = at_moments(self.stages, moments, self.length, self.order, derivative).rates
        return torch.tensordot(torch.from_numpy(rates[derivative]), self.states, dims=1)

    def continued(self, stages: Stages, length: float) -> Tensor:
        """A guess for the stages of the next window, by continuing the polynomials, (s, n, m)."""
        moments = 1 + length / self.length * stages.nodes
        derivative = self.order - 1
        ahead = self.at(moments, derivative)
        return ahead - self.at(np.ones(1), derivative)

    def end(self) -> Tensor:
        """The coefficients of value and, for second order, rate at the end, (order, n, m)."""
        return torch.cat([self.at(np.ones(1), r) for r in range(self.order)])


@torch.no_grad()
def solve_window(
    system: System,
    stages: Stages,
    start: float,
    length: float,
    initial: Tensor,
    guess: Tensor,
    size: float,
    precision: float,
) -> Window:
    """Solve a window.

    Args:
        system: the equation in a trial space.
        stages: the stages.
        start, length: the window.
        initial: the coefficients of the value, and for second order the rate, (order, n, m).
        guess: of the unknowns of the stages, (s, n, m).
        size: the root mean square of the solution.
        precision: the error of Newton's method relative to it.
    """
    solver = _Solver(system, stages, start, length, initial)
    solver.factor(guess)
    unknowns, iterations, converged = solver.newton(guess, size, precision)
    window = Window(
        stages=stages,
        start=start,
        length=length,
        states=torch.cat([initial, unknowns]),
        error=math.inf,
        lower=0.0,
        splines=initial.new_zeros(0),
        size=0.0,
        iterations=iterations,
        converged=converged,
    )
    if not converged:
        return window
    own = system.norm(system.space.jet(window.end()[:1]).value + solver.last_data())
    size = max(size, own) or 1.0
    lower = _highest_modes(system, window) / size
    error, splines = solver.error(unknowns) / size, solver.splines(unknowns)
    return replace(window, error=error, lower=lower, splines=splines, size=own)


def _highest_modes(system: System, window: Window) -> float:
    """The root mean square over the window of its two Legendre polynomials of highest degree."""
    modes = window.stages.count + window.order
    nodes = (np.polynomial.legendre.leggauss(modes)[0] + 1) / 2
    series = legendre_series(nodes)[-2:] / np.sqrt(2 * np.arange(modes - 2, modes) + 1)[:, None]
    highest = torch.tensordot(torch.from_numpy(series), window.at(nodes), dims=1)
    found = system.space.jet(highest).value.unflatten(-1, (-1, system.fields))
    return math.sqrt(sum(system.norm(one) ** 2 for one in found.unbind(1)))


class _Solver:
    """The linear systems of one window, and its residual."""

    def __init__(
        self, system: System, stages: Stages, start: float, length: float, initial: Tensor
    ) -> None:
        self.system, self.stages, self.initial = system, stages, initial
        self.start, self.length = start, length
        rates = at_stages(stages, length, system.order, system.highest).rates
        self.values = torch.from_numpy(rates[0])
        self.moments = self._at(stages.nodes, rates)
        self.points = system.points(self.moments)
        self.scale = stages.eigenvalues / length

    def _at(self, moments: Array, rates: Sequence[Array]) -> MomentsInTime:
        times = torch.from_numpy(self.start + self.length * moments)
        return MomentsInTime(times, [torch.from_numpy(t) for t in rates])

    def moment(self, moment: float) -> MomentsInTime:
        """A moment of the window, from 0 to 1."""
        at, order, highest = np.array([moment]), self.system.order, self.system.highest
        return self._at(at, at_moments(self.stages, at, self.length, order, highest).rates)

    def factor(self, guess: Tensor) -> None:
        """Factor the systems of all stages, linearised in the middle of the window."""
        states = torch.cat([self.initial, guess])
        middle = self.moment(0.5)
        self.linearised = self.system.interior.linearised(middle, states)
        self.linear = self.system.linear(self.linearised, middle, states)
        powers = range(self.system.order + 1)
        self.factors = [
            self.linear.factored([(at if at.imag else at.real) ** r for r in powers])
            for at in self.scale
        ]

    def residual(self, unknowns: Tensor) -> Array:
        """The rows of the residuals at the stages, (s, n·m)."""
        states = torch.cat([self.initial, unknowns])
        return self.system.residual(self.points, self.moments, states)

    def splines(self, unknowns: Tensor) -> Tensor:
        """The root mean square errors of splines in each interval, the largest of all stages."""
        if not self.system.has_intervals:
            return self.initial.new_zeros(0)
        states = torch.cat([self.initial, unknowns])
        residual = self.system.interior.residual(self.points[0], self.moments, states)
        rate = 1 / self.length
        return self.system.element_errors(self.linearised, residual, rate).amax(dim=0)

    def last_data(self) -> Tensor:
        """The data that are built in at the last stage, (places, m)."""
        (inside, *_), interior = self.points, self.system.interior
        known = inside.once("data", lambda: interior.data(inside))
        return known.value.unflatten(0, (self.stages.count, -1))[-1]

    def correction(self, residual: Array) -> Tensor:
        """The change of the unknowns for a residual, (s, n, m)."""
        transformed = self.stages.rows @ residual
        change = np.zeros(residual.shape)
        for row, at, factor, column in zip(
            transformed, self.scale, self.factors, self.stages.vectors.T, strict=True
        ):
            right = row if at.imag else row.real
            found = factor.solve(np.ascontiguousarray(right)) * at ** (self.system.order - 1)
            change += (column[:, None] * found).real
        shape = self.stages.count, self.system.space.size, self.system.fields
        return torch.from_numpy(change).view(shape)

    def newton(self, unknowns: Tensor, size: float, precision: float) -> tuple[Tensor, int, bool]:
        """Iterate from a guess; return the unknowns, the number of steps, and whether it converged.

        It has also converged where the steps are small and rounding keeps them from shrinking. The
        first step also tells the size of a solution that starts from zero.
        """
        most, rounding = 12, 1e-9
        last = math.inf
        for count in range(1, most + 1):
            residual = self.residual(unknowns)
            if not np.isfinite(residual).all():
                return unknowns, count, False
            change = self.correction(residual)
            unknowns = unknowns - change
            if count == 1:
                size = max(size, self.norm(unknowns)) or 1.0
            step = self.norm(change) / size
            if step <= precision or (step > 0.3 * last and step < rounding):
                return unknowns, count, True
            if step > 2 * last:
                return unknowns, count, False
            last = step
        return unknowns, most, False

    def norm(self, change: Tensor) -> float:
        """The root mean square over space of the largest change of the value at a stage."""
        order = self.system.order
        values = torch.tensordot(self.values[:, order:], change, dims=1)
        at_places = self.system.space.jet(values).value.unflatten(-1, (-1, self.system.fields))
        return max(self.system.norm(one) for one in at_places.unbind(1))

    def error(self, unknowns: Tensor) -> float:
        """The root mean square over the window of the error of the polynomials in time.

        The residual d at a moment between the stages is the defect with which the polynomial p
        satisfies the equation. Near p, an error e of order m in time is proportional to ω, the
        m-fold integral from 0 of Π (τ - c_i), to leading order. So its derivatives are
        ω^(r) / ω e, and e follows from d by one linear system.
        """
        system, power = self.system, np.polynomial.polynomial
        series = power.polyint(power.polyfromroots(self.stages.nodes), system.order)
        moment = self.stages.nodes[0] / 2
        values = [power.polyval(moment, power.polyder(series, r)) for r in range(system.order + 1)]
        rates = [value / values[0] / self.length**r for r, value in enumerate(values)]
        between = self.moment(moment)
        states = torch.cat([self.initial, unknowns])
        (defect,) = system.residual(system.points(between), between, states)
        found = torch.from_numpy(self.linear.factored(rates).solve(defect))
        at_places = system.space.jet(found.view(1, -1, system.fields)).value
        nodes, weights = np.polynomial.legendre.leggauss(2 * self.stages.count)
        mean = math.sqrt(weights @ power.polyval((nodes + 1) / 2, series) ** 2 / 2)
        return system.norm(at_places) * mean / abs(float(values[0]))
