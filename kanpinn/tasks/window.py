"""One window of time: its solution by Newton's method, its polynomials and estimated errors, and
the choice of length and number of stages of the next window.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.spaces.time_schemes import Stages, at_moments, lagrange, series_in_time

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Window:
    """The solution in one window.

    Args:
        stages: its stages.
        start, length: its first moment and its length.
        states: the coefficients of the value, and for second order the rate, at the start, then the
            unknowns of the stages (see `Polynomials`), (order + s, n, m).
        error: the estimated error that the window adds, relative to the size of the solution, in
            the root mean square over the window; infinite if it could not be solved.
        lower: the error that two stages fewer would leave, 0 where it is not known.
        in_time: what is taken for the error in time at the end, as coefficients, see `TimeError`.
        splines: the root mean square errors of splines in each interval, the largest over the
            window, (E,).
        lifetimes: the times for which such errors last, (E,).
        size: the root mean square of the solution at the end.
        iterations: the number of Newton steps.
        converged: whether Newton's method has converged.
        rate: the ratio of the sizes of successive Newton steps, 0 where it is not constant.
    """

    stages: Stages
    start: float
    length: float
    states: Tensor
    error: float = math.inf
    lower: float = 0.0
    in_time: Tensor = field(default_factory=lambda: torch.zeros(0))
    splines: Tensor = field(default_factory=lambda: torch.zeros(0))
    lifetimes: Tensor = field(default_factory=lambda: torch.zeros(0))
    size: float = 0.0
    iterations: int = 0
    converged: bool = False
    rate: float = 0.0

    @property
    def order(self) -> int:
        """The order of the equation in time."""
        return len(self.states) - self.stages.count

    @property
    def keeps_waves(self) -> bool:
        """Whether the equation, of first order, damps no waves as short as an interval of splines.

        It is false in time alone, and for an equation of second order, in which values and rates
        take turns.
        """
        waves = self.order == 1 and len(self.lifetimes) > 0
        return waves and bool((self.lifetimes >= self.length).all())

    def at(self, moments: Array, derivative: int = 0) -> Tensor:
        """The coefficients at moments, from 0 to 1 in the window, (k, n, m)."""
        rates = at_moments(self.stages, moments, self.length, self.order, derivative).rates
        return torch.tensordot(torch.from_numpy(rates[derivative]), self.states, dims=1)

    def series(self, derivative: int = 0) -> Tensor:
        """The Legendre series of the polynomials, or of their rates, (s + order, n, m)."""
        rates = series_in_time(self.stages, self.length, self.order).rates
        return torch.tensordot(torch.from_numpy(rates[derivative]), self.states, dims=1)

    def guess(self, stages: Stages, start: float, length: float) -> Tensor:
        """A guess for the stages of a window that starts in this one or at its end, (s, n, m).

        The Legendre series of the value, or for second order of the rate, is cut off for each stage
        after its smallest term: beyond the end the polynomials of high degree grow fast.
        """
        series = self.series(self.order - 1).numpy()
        modes, begin = len(series), (start - self.start) / self.length
        moments = begin + np.append(0.0, length / self.length * stages.nodes)
        values = np.polynomial.legendre.legvander(2 * moments - 1, modes - 1)
        terms = abs(values) * np.sqrt((series**2).sum(axis=(1, 2)))
        pairs = np.maximum(terms[:, :-1], terms[:, 1:])  # one of two may vanish by symmetry
        last = modes - 1 - pairs[:, ::-1].argmin(axis=1)
        values[np.arange(modes) > last[:, None]] = 0
        found = np.tensordot(values, series, axes=1)
        return torch.from_numpy(found[1:] - found[0])

    def end(self) -> Tensor:
        """The coefficients of value and, for second order, rate at the end, (order, n, m)."""
        return self.end_of(self.states)

    def end_of(self, states: Tensor) -> Tensor:
        """The same of other polynomials of this window, (order + s, n, m)."""
        rates = at_moments(self.stages, np.ones(1), self.length, self.order, self.order - 1).rates
        return torch.cat([torch.tensordot(torch.from_numpy(r), states, dims=1) for r in rates])


@dataclass(frozen=True)
class StageChoice:
    """How the number of stages may be chosen for a method that solves windows.

    Args:
        most: the largest number.
        overhead: the cost of a window without its stages, in stages.
        reach: the largest change from window to window.
        foresight: the largest ratio of lengths to which steady growth of the distance d to
            singularities is continued (see `Control`); 1 where it does not help.
    """

    most: int
    overhead: float = 4.0
    reach: int = 2
    foresight: float = 1.0


@dataclass(frozen=True)
class Iterated:
    """The result of Newton's method.

    unknowns: those of the stages, (s, n, m). steps: their number. converged: whether the last step
    is as small as is wanted. rate: the mean ratio of the sizes of successive steps
    where convergence is linear, 0 where it is quadratic.
    """

    unknowns: Tensor
    steps: int
    converged: bool
    rate: float = 0.0


@dataclass(frozen=True)
class TimeError:
    """The error of a window's polynomials in time where the state at the start is exact.

    mean: its root mean square over the window. at_end: what is taken for that of the value at the
    end, as coefficients (1, n, m). It has the size of `mean`, which is too small where the equation
    amplifies errors much within one window.
    """

    mean: float
    at_end: Tensor


class Newton(ABC):
    """Newton's method for the collocation equations of one window, in any space.

    Attributes:
        is_linear: whether it converges linearly, otherwise quadratically.
        choice: the numbers of stages that it can solve for.
        stages: the stages.
        start, length: the window.
        initial: the coefficients of the value, and for second order the rate, (order, n, m).
    """

    is_linear: ClassVar[bool] = True
    choice: ClassVar[StageChoice]
    stages: Stages
    start: float
    length: float
    initial: Tensor

    def states(self, unknowns: Tensor) -> Tensor:
        """The coefficients of the polynomials, (order + s, n, m), for unknowns (s, n, m)."""
        return torch.cat([self.initial, unknowns])

    @abstractmethod
    def correction(self, unknowns: Tensor) -> Tensor | None:
        """The change of the unknowns, (s, n, m); None where it is not finite."""

    def is_settled(self, unknowns: Tensor) -> bool:
        """Whether further corrections are rounding errors, as for linear equations."""
        return False

    @abstractmethod
    def error(self, unknowns: Tensor) -> TimeError:
        """The error of the polynomials in time where the state at the start is exact.

        The residual at a moment between the stages is the defect with which the polynomials satisfy
        the equation. Near it the derivatives of their error e are ω^(r) / ω e (see `ErrorForm`), so
        that e follows from the defect by one linear system, that of the linearised equation. With
        its mean size over the window it is also taken for the error at the end. That of smooth
        solutions is far smaller there, that of waves that are too fast for the window is not, and
        that of solutions that the equation amplifies much within the window is larger.
        """

    @abstractmethod
    def restarted(
        self, initial: Tensor, found: Iterated, size: float, precision: float
    ) -> tuple[Self, Iterated]:
        """The method and the solution for other initial values that hardly change the solution.

        Args:
            initial: the values, (order, n, m).
            found: the solution for the present ones, in terms of the others.
            size, precision: see `solve`.
        """

    @abstractmethod
    def norms(self, values: Tensor) -> Tensor:
        """The root mean squares over space, (k,), of functions (k, n, m)."""

    def norm(self, change: Tensor) -> float:
        """The root mean square over space of the largest change of the value at a stage.

        change: of the unknowns, (s, n, m).
        """
        return float(self.norms(change).max())

    def size_at_end(self, window: Window) -> float:
        """The root mean square of the solution at the end."""
        return float(self.norms(window.end()[:1]))

    def splines(self, unknowns: Tensor) -> tuple[Tensor, Tensor]:
        """The errors of splines in each interval, and for how long they last, (E,) each.

        They are the root mean square errors, the largest of all stages. Other spaces have none.
        """
        return unknowns.new_zeros(0), unknowns.new_zeros(0)

    def solve(self, unknowns: Tensor, size: float, precision: float) -> Iterated:
        """Iterate from a guess.

        It has also converged where the steps are small and rounding keeps them from shrinking. The
        first step also tells the size of a solution that starts from zero.

        Args:
            unknowns: the guess of the unknowns of the stages, (s, n, m).
            size: the root mean square of the solution.
            precision: the error to reach, relative to it.
        """
        most, rounding = 12, 1e-9
        first, last = 0.0, math.inf
        for count in range(1, most + 1):
            change = self.correction(unknowns)
            if change is None:
                return Iterated(unknowns, count, False)
            unknowns = unknowns - change
            if count == 1:
                size = max(size, self.norm(unknowns)) or 1.0
            step = self.norm(change) / size
            first = first or step
            linear = self.is_linear and count > 1 and first > 0
            rate = (step / first) ** (1 / (count - 1)) if linear else 0.0
            left = step if count == 1 else min(step, self._remaining(step, last))
            if left <= precision or (step > 0.3 * last and step < rounding):
                return Iterated(unknowns, count, True, rate)
            late = linear and count > 3 and step * (step / last) ** (most - count) > 10 * precision
            if step > 2 * last or late:
                return Iterated(unknowns, count, False, rate)
            if self.is_settled(unknowns):
                return Iterated(unknowns, count, True, rate)
            last = step
        return Iterated(unknowns, most, False, rate)

    def _remaining(self, step: float, last: float) -> float:
        """The size of the error after a step, from the sizes of this step and the one before."""
        rate = step / last
        if not self.is_linear:
            return step * rate**2
        return rate / (1 - rate) * step if rate < 0.5 else math.inf


Method = TypeVar("Method", bound=Newton)


@torch.no_grad()
def solve_window(
    newton: Method, guess: Tensor, size: float, precision: float, algebraic: Sequence[int] = ()
) -> tuple[Window, Method]:
    """The solution of a window, and the method for its initial values.

    The initial values of algebraic fields are made consistent with the equations.

    Args:
        newton: the method.
        guess: of the unknowns of the stages, (s, n, m).
        size: the root mean square of the solution.
        precision: the error of Newton's method relative to it.
        algebraic: the numbers of the fields of which no equation has a derivative in time.
    """
    found = newton.solve(guess, size, precision)
    if algebraic and found.converged:
        # The stages of Radau IIA do not depend on these values. The polynomials through the stages
        # alone give them, with one degree less than those of other fields: so they are consistent
        # with the equations at the first moment too, and errors of the window before do not stay
        # (Hairer, Lubich and Roche, The numerical solution of differential-algebraic systems by
        # Runge-Kutta methods, 1989).
        ahead = torch.from_numpy(lagrange(newton.stages.nodes, np.zeros(1)))
        shift = torch.zeros_like(newton.initial)
        shift[..., list(algebraic)] = torch.tensordot(ahead, found.unknowns, 1)[..., algebraic]
        moved = replace(found, unknowns=found.unknowns - shift)
        newton, found = newton.restarted(newton.initial + shift, moved, size, precision)
    states = newton.states(found.unknowns)
    where = newton.stages, newton.start, newton.length
    window = Window(*where, states, iterations=found.steps, rate=found.rate)
    return (_judged(newton, found.unknowns, window, size) if found.converged else window), newton


def _judged(newton: Newton, unknowns: Tensor, window: Window, size: float) -> Window:
    """The solved window with its errors; it has not converged where they are not finite."""
    own = newton.size_at_end(window)
    size = max(size, own) or 1.0
    in_time, (splines, lifetimes) = newton.error(unknowns), newton.splines(unknowns)
    modes = newton.norms(window.series()).numpy()
    modes = modes / np.sqrt(2 * np.arange(len(modes)) + 1)  # root mean squares over the window
    error, lower = errors_by_decay(in_time.mean / size, modes / size)
    return replace(
        window,
        converged=math.hypot(error, lower, own, float(splines.sum())) < 1e100,
        error=error,
        lower=lower,
        in_time=in_time.at_end,
        splines=splines,
        lifetimes=lifetimes,
        size=own,
    )


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


@dataclass
class Control:
    """Chooses windows so that each adds an error of at most `allowed`, at the least cost.

    A solution that is analytic up to a distance d from the real axis has Legendre polynomials that
    decay like ρ^-j in a window of length h, with ρ = x + (1 + x²)^½ and x = 2 d / h. So the error
    of s stages is A ρ^-(s + 1), which for short windows is proportional to h^(s + 1). The errors of
    s and s - 2 stages tell ρ and A. The number of stages changes if the cost of a unit of time is
    lower with it by the factor `gain`.

    Args:
        allowed: the largest error of a window, relative to the solution.
        length: the length of the next window.
        stages: the number of its stages.
        fixed: whether the number of stages is not to change.
        choice: the numbers from which it is chosen.
        least: the smallest number of stages.
        gain: see above.
        safety: the ratio of the error that is aimed at to the allowed one.
        distances: the distances d of the last windows, at most three. If they grow steadily, as
            where a solution comes to rest, the next one is taken to grow as well.

    Reference: Trefethen, Approximation Theory and Approximation Practice (2013), chapter 8.
    """

    allowed: float
    length: float
    stages: int
    fixed: bool = False
    choice: StageChoice = StageChoice(11)
    least: int = 3
    gain: float = 1.2
    safety: float = 0.3
    distances: tuple[float, ...] = ()

    @classmethod
    def first(
        cls,
        tolerance: float,
        duration: float,
        windows: int | None,
        stages: int | None,
        choice: StageChoice,
    ) -> "Control":
        """The controller before the first window.

        Args:
            tolerance: that of the march, of which half is for the error in time.
            duration: of the whole time.
            windows: the number of windows of equal length, whose errors are not limited, or None.
            stages: the number of stages, or None.
            choice: the numbers from which it is chosen.

        Raises:
            InputError: for more stages than there may be.
        """
        if (stages or 1) > choice.most:
            raise InputError(
                f"stages must be at most {choice.most} here, got {stages}: more are for few "
                "equations in time alone"
            )
        usual = 2 * min(4, max(1, round(-math.log10(tolerance) / 3))) + 1
        allowed = tolerance / 2 if windows is None else math.inf
        fixed = stages is not None or windows is not None
        return cls(allowed, duration / (windows or 100), stages or usual, fixed, choice)

    def accepts(self, tried: Window) -> bool:
        """Whether the window is solved with an error that is small enough."""
        return tried.converged and tried.error <= self.allowed

    def shorten(self, tried: Window, times: int = 1) -> None:
        """Choose a shorter window after one that is not accepted.

        Args:
            tried: the window.
            times: how many in a row have not been accepted; after some the error does not fall as
                it should, as at initial values that contradict conditions at walls.
        """
        patience = 3
        if times > patience:
            self.length = tried.length / 10
            return
        if math.isfinite(tried.error):
            factor = self._factor(tried, tried.stages.count)
            self.length = tried.length * min(0.7, max(0.1, factor))
        else:
            faster = self._faster(tried) if tried.rate else 0.0
            self.length = tried.length * min(0.7, max(1 / 3, faster))

    def follow(self, tried: Window) -> None:
        """Choose the window after one that has been accepted."""
        longest = min(4.0, max(0.5, self._faster(tried)))  # times the window before
        decay = self._decay(tried)
        self.distances = (*self.distances[-2:], tried.length * (decay - 1 / decay) / 4)
        trend = self._trend()
        reach = self.choice.reach if tried.lower > tried.error and not self.fixed else 0
        best, lowest, length = tried.stages.count, math.inf, tried.length
        for stages in range(tried.stages.count - reach, tried.stages.count + reach + 1, 2):
            if not self.least <= stages <= self.choice.most and stages != tried.stages.count:
                continue
            longer = tried.length * min(longest, max(0.3, trend * self._factor(tried, stages)))
            cost = (stages + self.choice.overhead) / longer
            cost *= 1.0 if stages == tried.stages.count else self.gain
            if cost < lowest:
                best, lowest, length = stages, cost, longer
        self.stages, self.length = best, length

    def _faster(self, tried: Window) -> float:
        """The ratio of lengths with which Newton's method converges at the best rate.

        The rate of a simplified Newton method is proportional to the square of the length h. Then
        the number of its steps for a unit of time, 1 / (h log(1 / rate)), is least at e^-2.
        """
        return (math.exp(-2) / max(tried.rate, 1e-300)) ** 0.5

    def _trend(self) -> float:
        """The ratio of the next distance to the last one: that at which they have grown, or 1."""
        steady = 1.2
        if len(self.distances) < 3:
            return 1.0
        growth = min(b / a for a, b in pairwise(self.distances))
        return min(growth, self.choice.foresight) if growth > steady else 1.0

    def _decay(self, tried: Window) -> float:
        """The ratio ρ of successive Legendre polynomials of a window."""
        fastest = 30.0  # above it, errors of s and s - 2 stages say nothing about it
        error = self._error(tried)
        if tried.lower <= error:
            return fastest
        return min(fastest, max(1.2, (tried.lower / error) ** 0.5))

    def _error(self, tried: Window) -> float:
        """The error of a window, at least 1e-6 of the allowed one."""
        return max(tried.error, 1e-6 * self.allowed)

    def _factor(self, tried: Window, stages: int) -> float:
        """The ratio of lengths with which a number of stages has the error that is aimed at."""
        decay = self._decay(tried)
        power = (self._error(tried) / (self.safety * self.allowed)) ** (1 / (stages + 1))
        needed = decay ** ((tried.stages.count + 1) / (stages + 1)) * power
        if needed <= 1:
            return math.inf
        return (decay - 1 / decay) / (needed - 1 / needed)


def windows_left(ends: Sequence[float], most: int) -> float | None:
    """The number of windows that are left, if it is hopeless: None otherwise.

    It is hopeless if windows have not become longer for long, and at their length there would be
    many times more of them than there may be.

    Args:
        ends: the ends of all windows, from the beginning, in units of the whole time.
        most: the largest number of windows.
    """
    latest, times = 50, 10
    if len(ends) <= latest + 1:
        return None
    lengths = [b - a for a, b in pairwise(ends[-latest - 1 :])]
    longest = max(lengths)
    count = (1 - ends[-1]) / max(longest, 1e-300)
    return count if longest < 2 * lengths[0] and count > times * most else None
