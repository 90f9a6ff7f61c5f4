"""One window of time in a march, a span of time in which the solution is a polynomial in time.

The module has Newton's method for the collocation equations of a window, estimates of the window's
errors, and the choice of the next window's length.
"""

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
import torch
from scipy.linalg import lapack
from torch import Tensor

from kanpinn._support.breakdowns import LINALG_ERRORS
from kanpinn.geometry.points import Batch
from kanpinn.jets import derivatives_of_parts, jet_of_stacked, join
from kanpinn.networks.surrogate import Surrogate
from kanpinn.optimizers.method import Kept
from kanpinn.spaces.galerkin import LinearSystem, MomentsInTime, Solve, System
from kanpinn.spaces.jets_in_time import at_times
from kanpinn.spaces.time_schemes import (
    Array,
    Stages,
    at_moments,
    at_stages,
    error_form,
    lagrange,
    legendre_series,
    series_in_time,
)


@dataclass(frozen=True, eq=False)
class Window:
    """The solution in one window, a span of time in which it is a polynomial in time.

    Args:
        stages: the collocation method, with s stages.
        start, length: the time at which the window starts, and its length.
        states: the coefficients of m fields in n functions of space, (order + s, n, m). First come
            the coefficients of the value at the start and, for second order, of the rate (time
            derivative) at the start. Then comes one unknown for each stage: the change of the
            value, or for second order of the rate, from the start to the stage. The comment above
            `at_stages` says how the polynomial follows from them.
        error: the estimate of the error that the window adds: its root mean square over the window,
            relative to the size of the solution. It is infinite if the window could not be solved.
        lower: the error, in the same measure, that two stages fewer would leave; 0 if not known.
        in_time: an estimate of the error in time of the value at the end, as coefficients
            (1, n, m), see `Newton.error`.
        size: the root mean square of the solution over space, at the last stage.
        mean: the root mean square of the solution over space and the time of the window.
        iterations: the number of Newton steps.
        converged: whether Newton's method has converged.
        rate: the mean ratio of the size of a Newton step to the size of the step before. It is 0 if
            there was only one step, if a step was not finite, or if the method converges
            quadratically, so that the ratio changes from step to step.
    """

    stages: Stages
    start: float
    length: float
    states: Tensor
    error: float = math.inf
    lower: float = 0.0
    in_time: Tensor = field(default_factory=lambda: torch.zeros(0))
    size: float = 0.0
    mean: float = 0.0
    iterations: int = 0
    converged: bool = False
    rate: float = 0.0

    @property
    def order(self) -> int:
        """The order of the equation in time."""
        return len(self.states) - self.stages.count

    @property
    def unknowns(self) -> Tensor:
        """The unknowns of the collocation equations, one for each stage, (s, n, m)."""
        return self.states[self.order :]

    def doubted(self, share: float) -> "Window":
        """The window with larger errors, for a window that may be too long for their estimate.

        The estimate holds for windows that are short beside the time scales of the solution. The
        error becomes error^(1 - share) · lower^share, where `lower` is the error that two stages
        fewer would leave.

        Args:
            share: from 0, for the present errors, to 1.
        """
        if not (share and 0 < self.error < self.lower):
            return self
        factor = (self.lower / self.error) ** share
        return replace(self, error=factor * self.error, in_time=factor * self.in_time)

    def series(self, derivative: int = 0) -> Tensor:
        """The Legendre series in time of the value, or of a derivative in time, (s + order, n, m).

        Args:
            derivative: the order of the derivative in time.
        """
        rates = series_in_time(self.stages, self.length, self.order)
        return torch.tensordot(torch.from_numpy(rates[derivative]), self.states, dims=1)

    def guess(self, stages: Stages, start: float, length: float) -> Tensor:
        """Extrapolate the solution to guess the unknowns of a later window, (s, n, m).

        The later window starts in this window or at its end. The Legendre series of the value, or
        for second order of the rate, is cut off for each stage after its smallest term: beyond the
        end the polynomials of high degree grow fast.

        Args:
            stages, start, length: the stages, the start and the length of the later window.
        """
        series = self.series(self.order - 1).numpy()
        modes, begin = len(series), (start - self.start) / self.length
        moments = begin + np.append(0.0, length / self.length * stages.nodes)
        values = np.polynomial.legendre.legvander(2 * moments - 1, modes - 1)
        terms = abs(values) * np.sqrt((series**2).sum(axis=(1, 2)))
        pairs = np.maximum(terms[:, :-1], terms[:, 1:])  # one term of two may vanish by symmetry
        last = modes - 1 - pairs[:, ::-1].argmin(axis=1)
        values[np.arange(modes) > last[:, None]] = 0
        found = np.tensordot(values, series, axes=1)
        return torch.from_numpy(found[1:] - found[0])

    def end(self, states: Tensor | None = None) -> Tensor:
        """The coefficients of the value and, for second order, the rate at the end, (order, n, m).

        Args:
            states: the coefficients of polynomials in time, (order + s, n, m); by default those of
                the solution.
        """
        states = self.states if states is None else states
        rates = at_moments(self.stages, np.ones(1), self.length, self.order, self.order - 1)
        return torch.cat([torch.tensordot(torch.from_numpy(r), states, dims=1) for r in rates])


@dataclass(frozen=True)
class StageChoice:
    """Which numbers of collocation stages a march may choose for its windows, and at what cost.

    Args:
        most: the largest number of stages.
        overhead: the cost of a window apart from its stages, in units of the cost of a stage.
        reach: the largest change of the number of stages from one window to the next.
        foresight: the largest ratio by which the length of the next window is extrapolated where
            the distance d to singularities grows steadily (see `Control`); 1 for no extrapolation.
        coupled: whether one dense system couples all stages of all fields.
        fields: the number of fields.
    """

    most: int
    overhead: float = 4.0
    reach: int = 2
    foresight: float = 1.0
    coupled: bool = False
    fields: int = 1

    def cost(self, stages: int) -> float:
        """The cost of a window with a number of stages, in units of the cost of a stage."""
        alike = 180  # unknowns of a dense system that costs as much as a stage
        dense = self.coupled * (stages * self.fields / alike) ** 3
        return stages + self.overhead + dense


class Newton(ABC):
    """Newton's method for the collocation equations of one window (span of time); a base class.

    Subclasses have different functions of space.

    Attributes:
        is_linear: whether the method converges linearly; otherwise it converges quadratically.
        choice: the numbers of stages that windows may have with the method.
        stages: the collocation method of the window, with s stages.
        start, length: the start of the window and its length.
        initial: the coefficients of the value, and for second order the rate, at the start of the
            window, (order, n, m), for m fields and n functions of space.
    """

    is_linear: ClassVar[bool] = True
    choice: ClassVar[StageChoice]
    stages: Stages
    start: float
    length: float
    initial: Tensor

    @abstractmethod
    def correction(self, unknowns: Tensor) -> Tensor | None:
        """The Newton step, which is subtracted from the unknowns; None if it is not finite.

        Args:
            unknowns: the unknowns of the stages, (s, n, m), as in `Window.states`.
        """

    def is_settled(self, unknowns: Tensor) -> bool:
        """Return whether further Newton steps would consist of rounding errors only.

        This is so after the first step for a linear equation. By default it is not known, and the
        result is False.

        Args:
            unknowns: the unknowns of the stages after the latest step, (s, n, m).
        """
        return False

    @abstractmethod
    def error(self, unknowns: Tensor) -> tuple[float, Tensor]:
        """Estimate the error in time of a solved window whose state at the start is exact.

        The polynomials p in time satisfy the equation at the stages only. Between them they leave a
        defect (residual). To leading order the error e of p is a multiple of a known function ω of
        time (see `ErrorForm`), so that its derivatives near a time are e^(r) = ω^(r) / ω e. With
        these derivatives the equation, linearised at p, gives e at this time from the defect there,
        by one linear system. This error, scaled to its mean size over the window, also serves as an
        estimate of the error at the end. The true error at the end is far smaller for smooth
        solutions, about as large for waves that are too fast for the window, and larger for
        solutions that the equation amplifies much within the window.

        Args:
            unknowns: the unknowns of the stages of the solution, (s, n, m).

        Returns:
            The root mean square of the error over the window, and the estimate of the error of the
            value at the end, as coefficients (1, n, m).
        """

    @abstractmethod
    def restarted(self, window: Window, size: float, precision: float) -> tuple[Self, Window]:
        """Solve the window again for other initial values that hardly change the solution.

        Args:
            window: the present solution, but with the other initial values at the beginning of
                `states`.
            size: the root mean square of the solution.
            precision: the error to reach, relative to `size`.

        Returns:
            The method with the other initial values, and the window solved by it.
        """

    @abstractmethod
    def norms(self, values: Tensor) -> Tensor:
        """The root mean squares over space of k functions, (k,).

        Args:
            values: the coefficients of the functions, (k, n, m).
        """

    def norm(self, change: Tensor) -> float:
        """The size of a change: the largest root mean square over space of the value at a stage.

        Args:
            change: the change of the unknowns, (s, n, m).
        """
        return float(self.norms(change).max())

    def sizes(self, window: Window) -> Tensor:
        """The root mean squares over space of the solution at the stages of a window, (s,)."""
        rates = at_stages(self.stages, self.length, window.order, 0)[0]
        return self.norms(torch.tensordot(torch.from_numpy(rates), window.states, dims=1))

    def solve(self, unknowns: Tensor, size: float, precision: float) -> Window:
        """Solve the collocation equations of the window by at most 12 Newton steps from a guess.

        The iteration ends without convergence as soon as a step is more than twice as long as the
        step before, or if the steps shrink too slowly to converge in time. The iteration also
        counts as converged if the steps are small and rounding keeps them from shrinking. If the
        norm of the unknowns after the first step exceeds `size`, this norm is used instead, for
        example for a solution that starts from zero.

        Args:
            unknowns: the guess of the unknowns of the stages, (s, n, m).
            size: the root mean square of the solution.
            precision: the error to reach, relative to `size`.

        Returns:
            The window, without error estimates.
        """
        most, rounding = 12, 1e-9
        first, last, rate, converged = 0.0, math.inf, 0.0, False
        for count in range(1, most + 1):
            change = self.correction(unknowns)
            if change is None:
                rate = 0.0
                break
            unknowns = unknowns - change
            if count == 1:
                size = max(size, self.norm(unknowns)) or 1.0
            step = self.norm(change) / size
            first = first or step
            linear, left, ratio = self.is_linear and count > 1 and first > 0, step, step / last
            rate = (step / first) ** (1 / (count - 1)) if linear else 0.0
            if count > 1 and not self.is_linear:  # the error that the step leaves
                left = step * min(1.0, ratio**2)
            elif count > 1 and ratio < 0.5:
                left = step * ratio / (1 - ratio)
            converged = left <= precision or (step > 0.3 * last and step < rounding)
            late = linear and count > 3 and step * ratio ** (most - count) > 10 * precision
            if converged or step > 2 * last or late:
                break
            converged = self.is_settled(unknowns)
            if converged:
                break
            last = step
        states, where = torch.cat([self.initial, unknowns]), (self.stages, self.start, self.length)
        return Window(*where, states, iterations=count, converged=converged, rate=rate)


Method = TypeVar("Method", bound=Newton)


@torch.no_grad()
def solve_window(
    newton: Method, guess: Tensor, size: float, precision: float, algebraic: Sequence[int] = ()
) -> tuple[Window, Method]:
    """Solve a window (span of time) by Newton's method, and estimate its errors.

    The initial values of algebraic fields are made consistent with the equations, so the method
    that is returned may have other initial values. The window counts as not converged if a matrix
    is singular, which a shorter window may avoid, or if the errors are not finite.

    Args:
        newton: the Newton method for the window.
        guess: the guess of the unknowns of the stages, (s, n, m).
        size: the root mean square of the solution.
        precision: the error of Newton's method relative to `size`.
        algebraic: the indices of the fields of which no equation has a derivative in time.

    Returns:
        The window with its error estimates, and the Newton method that has solved it.
    """
    scheme = newton.stages
    try:
        window = newton.solve(guess, size, precision)
        if algebraic and window.converged:
            # The stages of Radau IIA do not depend on the initial values of algebraic fields. So
            # these initial values are taken from the polynomial through the stages alone, whose
            # degree is lower by 1. Then they are consistent with the equations, and free of errors
            # of the window before (Hairer, Lubich and Roche, The numerical solution of
            # differential-algebraic systems by Runge-Kutta methods, 1989).
            ahead = torch.from_numpy(lagrange(scheme.nodes, np.zeros(1)))
            shift = torch.zeros_like(newton.initial)
            shift[..., list(algebraic)] = torch.tensordot(ahead, window.unknowns, 1)[..., algebraic]
            states = torch.cat([newton.initial + shift, window.unknowns - shift])
            newton, window = newton.restarted(replace(window, states=states), size, precision)
        if not window.converged:
            return window, newton
        sizes = newton.sizes(window).numpy()
        size = max(size, float(sizes[-1])) or 1.0
        in_window, in_time = newton.error(window.unknowns)
    except LINALG_ERRORS:
        states = torch.cat([newton.initial, guess])
        return Window(scheme, newton.start, newton.length, states), newton
    modes = newton.norms(window.series()).numpy()
    modes = modes / np.sqrt(2 * np.arange(len(modes)) + 1)  # root mean squares over the window
    error, lower = errors_by_decay(in_window / size, modes / size)
    mean = float(legendre_series(scheme.nodes)[0] @ sizes**2) ** 0.5  # quadrature at the stages
    judged = replace(
        window,
        converged=math.hypot(error, lower, mean, sizes[-1]) < 1e100,
        error=error,
        lower=lower,
        in_time=in_time,
        size=float(sizes[-1]),
        mean=mean,
    )
    return judged, newton


def errors_by_decay(error: float, modes: Array) -> tuple[float, float]:
    """Return the estimated errors in time of a window, with s and with s - 2 stages.

    With two stages fewer, the terms of the two highest Legendre polynomials would be missing. So
    the second error is the norm of these two terms, and the first error is `error`. If these terms
    consist of rounding errors only, both errors are extrapolated from the decay of the larger
    terms.

    Args:
        error: the estimated error with s stages, relative to the size of the solution.
        modes: the relative sizes of the terms of the solution's Legendre series in time, lowest
            degree first, (s + order,).
    """
    rounding, lower = 1e-14, float(np.hypot(*modes[-2:]))
    largest = np.maximum.accumulate(modes[::-1])[::-1]  # the largest from each degree upwards
    last = int((largest > rounding * largest[0]).sum()) - 1
    if last < 4 or last >= len(modes) - 2:
        return error, lower
    decay = (largest[last // 2] / largest[last]) ** (1 / (last - last // 2))
    error = max(error, largest[last] * decay ** (last - len(modes)))
    return error, error * decay**2


@dataclass(eq=False)
class GalerkinNewton(Newton):
    """Newton's method for a window of time, for an equation in a trial space; a base class.

    Args:
        system: the equation in a trial space of n functions, for m fields.
        stages: the collocation method of the window, with s stages.
        start, length: the start of the window and its length.
        initial: the coefficients of the value, and for second order the rate, at the start,
            (order, n, m).
        guess: the guess of the unknowns of the stages, (s, n, m).
    """

    system: System[Any]
    stages: Stages
    start: float
    length: float
    initial: Tensor
    guess: Tensor

    def __post_init__(self) -> None:
        self.form = error_form(self.stages, self.system.order)  # for the error in time

    @cached_property
    def moments(self) -> MomentsInTime:
        """The times of the stages, with the window's basis polynomials and derivatives there."""
        order, highest = self.system.order, self.system.highest
        times = self.start + self.length * self.stages.nodes
        return MomentsInTime.of(times, at_stages(self.stages, self.length, order, highest))

    @cached_property
    def points(self) -> list[Batch]:
        """The points of the equation, and of each condition on the boundary, at all stages."""
        return self.system.points(self.moments)

    def moment(self, moment: float) -> MomentsInTime:
        """One time of the window, with the window's basis polynomials and their derivatives there.

        Args:
            moment: the time, from 0 at the start to 1 at the end of the window.
        """
        at, order, highest = np.array([moment]), self.system.order, self.system.highest
        rates = at_moments(self.stages, at, self.length, order, highest)
        return MomentsInTime.of(self.start + self.length * at, rates)

    def restarted(self, window: Window, size: float, precision: float) -> tuple[Self, Window]:
        initial, unknowns = window.states[: window.order], window.unknowns
        moved = replace(self, initial=initial, guess=unknowns)
        again = moved.solve(unknowns, size, precision)
        return moved, replace(again, iterations=window.iterations + 1)

    def norms(self, values: Tensor) -> Tensor:
        return self.system.norms(values)

    def norm(self, change: Tensor) -> float:
        rates = self.moments.rates[0][:, self.system.order :]
        return float(self.norms(torch.tensordot(rates, change, dims=1)).max())

    def sizes(self, window: Window) -> Tensor:
        interior, count = self.system.interior, self.stages.count
        if interior.surrogate.output is None:
            return super().sizes(window)
        inside = self.points[0]
        known = inside.once("data", lambda: interior.data(inside)).value.unflatten(0, (count, -1))
        at_stages = torch.tensordot(self.moments.rates[0], window.states, dims=1)
        values = self.system.space.values(at_stages).unflatten(1, (count, -1)).transpose(0, 1)
        return self.system.root_mean_square(values + known)

    @abstractmethod
    def propagated(self, unknowns: Tensor, change: Tensor) -> Tensor:
        """Propagate a small change of the initial values through a solved window.

        Args:
            unknowns: the unknowns of the stages of the solution, (s, n, m).
            change: the change of the value and, for second order, the rate at the start,
                (order, n, m).

        Returns:
            The change of the window's coefficients `Window.states`, (order + s, n, m).
        """

    def splines(self, window: Window) -> tuple[Tensor, Tensor]:
        """The errors that splines make in each of E intervals, and how long these last, (E,) each.

        Each error is the largest root mean square over the interval at any stage. It lasts until
        the equation has damped it. Both tensors are empty for equations in time alone, and for
        functions that are no splines.

        Args:
            window: the solved window.
        """
        return window.states.new_zeros(0), window.states.new_zeros(0)

    def propagated_error(
        self, window: Window, start: Tensor, size: float, lifetimes: Tensor
    ) -> Tensor:
        """The estimated error at the end of a solved window, as coefficients, (order, n, m).

        The error at the start is propagated by the equation, linearised at the solution. The
        equation may amplify or damp the error. Collocation damps waves that are too fast for the
        window, even where the equation does not. So for equations that do not damp waves, the
        propagated error is scaled up to its size at the start. The window's own error in time is
        added with the sign that makes the sum larger.

        Args:
            window: the solution.
            start: the estimated error of the state at the start, (order, n, m).
            size: the root mean square of the solution.
            lifetimes: the times for which errors of splines in each of E intervals last, (E,).
        """
        small = 1e-3  # times the solution: the change is nearly linear, and far above rounding
        before, propagated = float(self.norms(start[:1])), torch.zeros_like(start)
        if before:
            factor = small * size / before
            propagated = window.end(self.propagated(window.unknowns, factor * start)) / factor
        added = torch.cat([window.in_time, torch.zeros_like(start[1:])])
        total = together(propagated, added)
        size = float(self.norms(propagated[:1]))
        # Does the equation leave waves as short as an interval of splines undamped? In time alone
        # there are no such waves; with second order the error moves between values and rates.
        waves = window.order == 1 and len(lifetimes) > 0
        if waves and bool((lifetimes >= window.length).all()):
            size = max(size, before)
        found = float(self.norms(total[:1]))
        if found > 0:  # the sizes of the two errors add up, though their forms differ
            total = total * ((size + float(self.norms(added[:1]))) / found)
        return total


def together(one: Tensor, other: Tensor) -> Tensor:
    """The sum of two errors; the second error has the sign for which the sum is larger."""
    return one + other if float((one * other).sum()) >= 0 else one - other


class SimplifiedNewton(GalerkinNewton):
    """Simplified Newton's method for a window of time: all stages have the Jacobian of its middle.

    Diagonalising the inverse Butcher matrix leaves one linear system with n·m unknowns for each
    stage, or for each pair of complex eigenvalues. Each system is factored once (see `Stages`).
    """

    choice = StageChoice(11)  # with more stages, rounding in the eigenvectors costs digits

    @cached_property
    def linearised(self) -> tuple[Tensor, LinearSystem]:
        """The equation, linearised at the guess in the middle of the window.

        Returns:
            The derivatives of the equation's residuals by values and derivatives (parts) of the
            fields, (equations, E, q, parts, m), and the function that makes solvers of the linear
            systems, see `System.linear`.
        """
        system, middle = self.system, self.moment(0.5)
        states = torch.cat([self.initial, self.guess])
        linearised = system.interior.linearised(middle, states)
        return linearised, system.linear(linearised, middle, states)

    @cached_property
    def factors(self) -> dict[complex, Solve]:
        """For each of `Stages.rates` the factored linear system of the stage with this rate."""
        powers, linear = range(self.system.order + 1), self.linearised[1]
        rates = self.stages.rates(self.length)
        return {rate: linear([rate**r for r in powers]) for rate in rates}

    def correction(self, unknowns: Tensor) -> Tensor | None:
        states = torch.cat([self.initial, unknowns])
        residual = self.system.residual(self.points, self.moments, states)
        return self.change(residual) if np.isfinite(residual).all() else None

    def change(self, residual: Array) -> Tensor:
        """The Newton step, (s, n, m), which is subtracted from the unknowns.

        Args:
            residual: the tested residual of the equation and conditions at the stages, (s, n·m),
                which is the right-hand side of the linear systems.
        """
        systems = self.stages.decoupled([torch.from_numpy(residual)], self.length)
        power = self.system.order - 1
        found = [
            torch.from_numpy(self.factors[rate](right.numpy())) * rate**power
            for rate, (right,) in systems
        ]
        change = self.stages.coupled(found)
        return change.view(len(change), -1, self.system.space.fields)

    def propagated(self, unknowns: Tensor, change: Tensor) -> Tensor:
        moved = copy.copy(self)  # a Newton step from the changed start gives the change
        moved.initial = self.initial + change
        step = moved.correction(unknowns)
        return torch.cat([change, torch.zeros_like(unknowns) if step is None else -step])

    def error(self, unknowns: Tensor) -> tuple[float, Tensor]:
        system, form = self.system, self.form
        between = self.moment(form.moment)
        states = torch.cat([self.initial, unknowns])
        (defect,) = system.residual(system.points(between), between, states)
        rates = [one / self.length**r for r, one in enumerate(form.ratios)]
        found = torch.from_numpy(self.linearised[1](rates)(defect))
        error = found.view(1, -1, system.space.fields) * form.mean
        return float(system.norms(error)), error

    @torch.no_grad()
    def splines(self, window: Window) -> tuple[Tensor, Tensor]:
        system, linearised = self.system, self.linearised[0]
        residual = system.interior.residual(self.points[0], self.moments, window.states)
        errors = system.element_errors(linearised, residual, 1 / self.length)
        return errors.amax(dim=0), system.lifetimes(linearised)


class CoupledNewton(GalerkinNewton):
    """Newton's method with the exact Jacobian, for equations in time alone with few unknowns.

    There are m fields and no functions of space (n = 1). One dense linear system with s·m unknowns
    couples all s stages of a window of time. Unlike the diagonalisation in `SimplifiedNewton`, it
    loses no digits with many stages. The convergence is quadratic, so that windows can be long.

    The residual is linearised at s + 1 times: at the stages, for the Newton step, and at one time
    before the first stage, for the error estimate. The m equations are differentiated in one
    backward pass, each at its own copy of the s + 1 times.

    Attributes:
        fields: the number of fields m.
        parts: for each part of a field's jet (value or derivative) the order of a derivative in
            time, and the factor by which this derivative is multiplied to give the part.
        from_states: the matrix from a field's coefficients `Window.states` to the parts of its jet
            at all times, (s + 1, parts, order + s).
        by_unknowns: the columns of `from_states` for the s unknowns, (s + 1, 1, s, parts).
        copies: the s + 1 times, repeated for each equation, as points.
        seeds: the gradients with which the backward pass starts, (m (s + 1), m); row block e
            selects the equation e.
    """

    is_linear = False
    choice = StageChoice(39, overhead=20.0, reach=12, foresight=1.5, coupled=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        stages, length, system = self.stages, self.length, self.system
        self.fields = system.space.fields
        # Each part of the fields' jets is a factor times a derivative in time.
        derivatives = derivatives_of_parts(system.interior.term.channels)
        self.parts = [next(((r, f) for (r,), f in terms), (0, 0.0)) for terms in derivatives]
        order, between = system.order, self.form.moment
        both = (
            at_stages(stages, length, order, system.highest),
            at_moments(stages, np.array([between]), length, order, system.highest),
        )
        found = [np.stack([f * rates[r] for r, f in self.parts], axis=1) for rates in both]
        self.from_states = np.concatenate(found)  # (s + 1, parts, order + s)
        by_unknowns = self.from_states[..., order:]
        self.by_unknowns = by_unknowns.swapaxes(1, 2)[:, None]  # (s + 1, 1, s, parts)
        times = torch.from_numpy(self.start + length * np.append(stages.nodes, between))
        self.copies = at_times(system.space.places, times.repeat(self.fields))
        # For each equation there is a copy of all moments, where this equation is differentiated.
        self.seeds = torch.eye(self.fields).double().repeat_interleave(len(times), dim=0)

    def norm(self, change: Tensor) -> float:
        # The first part of the jets is the value.
        values = self.by_unknowns[:-1, 0, :, 0] @ change[:, 0].numpy()
        return math.sqrt((values**2).sum(axis=1).max())

    def correction(self, unknowns: Tensor) -> Tensor | None:
        residual, slopes = self._linearised(unknowns)
        if not np.isfinite(residual).all():
            return None
        size = residual[:-1].size
        jacobian = self.by_unknowns @ slopes.swapaxes(0, 1)  # (s + 1, equations, s, m)
        matrix, right = jacobian[:-1].reshape(size, size), residual[:-1].ravel()
        *self.factors, found, info = lapack.dgesv(matrix.T.copy().T, right, overwrite_a=True)
        if info:
            return None
        self.defect = residual[-1] - jacobian[-1].reshape(-1, size) @ found
        self.last_slopes = slopes
        return torch.from_numpy(found).view(unknowns.shape)

    def _linearised(self, unknowns: Tensor) -> tuple[Array, Array]:
        """The residuals of m equations at s + 1 times, and their derivatives by parts of the jets.

        A part of a jet is a value or a derivative of a field.

        Args:
            unknowns: the unknowns of the stages, (s, 1, m).

        Returns:
            The residuals at the stages and at the time for the error, (s + 1, m), and the
            derivatives of each equation by the parts of each field's jet there,
            (m, s + 1, parts, m).
        """
        term = self.system.interior.term
        states = torch.cat([self.initial, unknowns])[:, 0].numpy()
        copies, moments = self.fields, len(self.from_states)
        parts = np.tensordot(states, self.from_states, axes=(0, 2))  # (m, s + 1, parts)
        rows = torch.from_numpy(np.tile(parts.swapaxes(1, 2), copies))
        jets = [jet_of_stacked(term.channels, one.T[..., None]) for one in rows]
        leaves = [leaf.requires_grad_() for jet in jets for leaf in jet.parts()]
        with torch.enable_grad():
            found = term.equation(self.copies, join(jets))
            slopes = torch.autograd.grad((self.seeds * found).sum(), leaves, allow_unused=True)
        both = zip(slopes, leaves, strict=True)
        known = [torch.zeros_like(leaf) if one is None else one for one, leaf in both]
        by_part = torch.cat([one.flatten(1) for one in known], dim=1).numpy()
        by_part = by_part.reshape(copies, moments, self.fields, -1)
        return found.detach().numpy()[:moments], by_part.swapaxes(2, 3)

    def propagated(self, unknowns: Tensor, change: Tensor) -> Tensor:
        order, slopes = self.system.order, self.last_slopes[:, :-1]
        parts = self.from_states[:-1, :, :order] @ change[:, 0].numpy()  # (s, parts, m)
        found, _ = lapack.dgetrs(*self.factors, np.einsum("egpf,gpf->ge", slopes, parts).ravel())
        return torch.cat([change, -torch.from_numpy(found).view(unknowns.shape)])

    def error(self, unknowns: Tensor) -> tuple[float, Tensor]:
        form, length = self.form, self.length
        ratios = [factor * form.ratios[r] / length**r for r, factor in self.parts]
        total = np.einsum("gpf,p->gf", self.last_slopes[:, -1], ratios)
        _, _, found, info = lapack.dgesv(total, self.defect)
        error = torch.from_numpy(found)[None, None] * form.mean
        return math.inf if info else float(error.norm()), error


def newton_method(surrogate: Surrogate) -> type[GalerkinNewton]:
    """The class of Newton's method for a march: `CoupledNewton` for few equations in time alone.

    Args:
        surrogate: the solution, which has the domain and the number of fields.
    """
    few = 100  # up to 100 fields, one backward pass and a dense system cost less than 100 passes
    in_time_alone, fields = surrogate.domain.dim == 1, surrogate.network.width[-1]
    return CoupledNewton if in_time_alone and fields <= few else SimplifiedNewton


@dataclass
class Control(Kept):
    """Chooses the lengths and stages of windows, for an error of at most `allowed` at least cost.

    A window is a span of time that is solved at once by collocation. If a solution is analytic up
    to a distance d from the real axis, the terms of degree j in its Legendre series in a window of
    length h decay like ρ^-j, with ρ = x + (1 + x²)^½ and x = 2 d / h. So the error of s stages is A
    ρ^-(s + 1), which for short windows is proportional to h^(s + 1). The errors of s and s - 2
    stages determine ρ and A. Another number of stages is chosen if the cost of a unit of time with
    it is lower by the factor `gain`.

    Args:
        allowed: the largest error of a window, relative to the solution.
        length: the length of the next window.
        stages: the number of stages of the next window.
        fixed: whether the number of stages must not change.
        choice: the numbers of stages from which to choose.
        least: the smallest number of stages.
        gain: the factor by which the cost must fall for another number of stages.
        safety: the ratio of the error that a window aims at to the allowed error.
        distances: the distances d of the last windows, at most three. If they grow steadily, for
            example where a solution becomes stationary, the next distance is assumed to grow as
            well.

    Reference: Trefethen, Approximation Theory and Approximation Practice (2013), chapter 8.
    """

    kept = ("length", "stages", "distances")
    allowed: float
    length: float
    stages: int
    fixed: bool = False
    choice: StageChoice = field(default_factory=lambda: StageChoice(11))
    least: int = 3
    gain: float = 1.2
    safety: float = 0.3
    distances: tuple[float, ...] = ()

    def accepts(self, tried: Window) -> bool:
        """Return whether a window is solved with an error that is small enough."""
        return tried.converged and tried.error <= self.allowed

    def shorten(self, tried: Window, times: int = 1) -> None:
        """Choose a shorter window after a window was not accepted.

        The new length is the length for the error that is aimed at, from 0.1 to 0.7 of the old
        length. If Newton's method has failed, it is the length at which the method is cheapest,
        from 1/3 to 0.7 of the old length.

        Args:
            tried: the window that was not accepted.
            times: the number of windows in a row that have not been accepted. After more than three
                windows the length is divided by 10: the error does not fall as it should, for
                example where initial values contradict conditions on the boundary.
        """
        patience = 3
        if times > patience:
            self.length = tried.length / 10
            return
        if math.isfinite(tried.error):
            self.length = tried.length * min(0.7, max(0.1, self._factor(tried, tried.stages.count)))
        else:
            faster = self._faster(tried) if tried.rate else 0.0
            self.length = tried.length * min(0.7, max(1 / 3, faster))

    def follow(self, tried: Window) -> None:
        """Choose the length and the number of stages after a window that has been accepted.

        For each permitted number of stages s, the length is the length for the error that is aimed
        at, limited by the speed of Newton's method. The number with the least cost is chosen: the
        cost is `StageChoice.cost` / length, times `gain` for another number than the present one.

        Args:
            tried: the accepted window.
        """
        longest = min(4.0, max(0.5, self._faster(tried)))  # the ratio to the length of this window
        decay = self._decay(tried)
        self.distances = (*self.distances[-2:], tried.length * (decay - 1 / decay) / 4)
        trend, steady = 1.0, 1.2  # ratios of the next distance to the last distance
        if len(self.distances) == 3:
            growth = min(b / a for a, b in pairwise(self.distances))
            trend = min(growth, self.choice.foresight) if growth > steady else 1.0
        reach = self.choice.reach if tried.lower > tried.error and not self.fixed else 0
        best, lowest, length = tried.stages.count, math.inf, tried.length
        for stages in range(tried.stages.count - reach, tried.stages.count + reach + 1, 2):
            if not self.least <= stages <= self.choice.most and stages != tried.stages.count:
                continue
            longer = tried.length * min(longest, max(0.3, trend * self._factor(tried, stages)))
            cost = self.choice.cost(stages) / longer
            cost *= 1.0 if stages == tried.stages.count else self.gain
            if cost < lowest:
                best, lowest, length = stages, cost, longer
        self.stages, self.length = best, length

    def _faster(self, tried: Window) -> float:
        """The ratio (next length / present length) for which Newton's method is cheapest.

        The rate of a simplified Newton method is proportional to the square of the length h. Then
        the number of its steps for a unit of time, 1 / (h log(1 / rate)), is least at the rate
        e^-2. So the ratio is √(e^-2 / rate), which is huge for the rate 0.

        Args:
            tried: the present window.
        """
        return (math.exp(-2) / max(tried.rate, 1e-300)) ** 0.5

    def _decay(self, tried: Window) -> float:
        """The ratio ρ of successive terms of the Legendre series of a window, from 1.2 to 30.

        It is √(error with s - 2 stages / error with s stages). It is 30 if the error with s - 2
        stages is not known, or not the larger of the two errors.

        Args:
            tried: the window.
        """
        fastest = 30.0  # the errors of s and s - 2 stages do not determine a larger ρ
        error = max(tried.error, 1e-6 * self.allowed)
        if tried.lower <= error:
            return fastest
        return min(fastest, max(1.2, (tried.lower / error) ** 0.5))

    def _factor(self, tried: Window, stages: int) -> float:
        """The ratio (next length / present length) for the error that is aimed at.

        The ratio follows from the formula for the error in the docstring of the class. It is
        infinite if the error is small enough for any length.

        Args:
            tried: the present window.
            stages: the number of stages of the next window.
        """
        decay, least = self._decay(tried), 1e-6  # least: fraction of the allowed error
        error = max(tried.error, least * self.allowed)
        power = (error / (self.safety * self.allowed)) ** (1 / (stages + 1))
        needed = decay ** ((tried.stages.count + 1) / (stages + 1)) * power
        if needed <= 1:
            return math.inf
        return (decay - 1 / decay) / (needed - 1 / needed)


def windows_left(ends: Sequence[float], most: int) -> float | None:
    """Return the number of windows that a march still needs if it is far too large; otherwise None.

    It is far too large if two conditions hold: the length of windows has not doubled over the last
    50 windows, and at the present length the march needs more than ten times `most` windows.

    Args:
        ends: the ends of all windows, from the beginning, in units of the duration.
        most: the largest number of windows that are allowed.
    """
    latest, times = 50, 10
    if len(ends) <= latest + 1:
        return None
    lengths = [b - a for a, b in pairwise(ends[-latest - 1 :])]
    longest = max(lengths)
    count = (1 - ends[-1]) / max(longest, 1e-300)
    return count if longest < 2 * lengths[0] and count > times * most else None
