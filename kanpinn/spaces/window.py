"""One window of time: its polynomials and estimated errors, and the choice of length and number
of stages of the next window.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.spaces.time_schemes import Stages, at_moments, series_in_time


@dataclass(frozen=True)
class Tried:
    """A window that has been tried.

    Args:
        length: its length.
        stages: their number s.
        error: the relative error that it adds; infinite if it could not be solved.
        lower: the relative error that s - 2 stages would leave, 0 where it is not known.
        rate: the ratio of the sizes of successive Newton steps, 0 where it is not constant.
    """

    length: float
    stages: int
    error: float
    lower: float = 0.0
    rate: float = 0.0


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

    def accepts(self, tried: Tried) -> bool:
        """Whether the window's error is small enough."""
        return tried.error <= self.allowed

    def shorten(self, tried: Tried, times: int = 1) -> None:
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
            factor = self._factor(tried, tried.stages)
            self.length = tried.length * min(0.7, max(0.1, factor))
        else:
            faster = self._faster(tried) if tried.rate else 0.0
            self.length = tried.length * min(0.7, max(1 / 3, faster))

    def follow(self, tried: Tried) -> None:
        """Choose the window after one that has been accepted."""
        longest = min(4.0, max(0.5, self._faster(tried)))  # times the window before
        decay = self._decay(tried)
        self.distances = (*self.distances[-2:], tried.length * (decay - 1 / decay) / 4)
        trend = self._trend()
        reach = self.choice.reach if tried.lower > tried.error and not self.fixed else 0
        best, lowest, length = tried.stages, math.inf, tried.length
        for stages in range(tried.stages - reach, tried.stages + reach + 1, 2):
            if not self.least <= stages <= self.choice.most and stages != tried.stages:
                continue
            longer = tried.length * min(longest, max(0.3, trend * self._factor(tried, stages)))
            cost = (stages + self.choice.overhead) / longer
            cost *= 1.0 if stages == tried.stages else self.gain
            if cost < lowest:
                best, lowest, length = stages, cost, longer
        self.stages, self.length = best, length

    def _faster(self, tried: Tried) -> float:
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

    def _decay(self, tried: Tried) -> float:
        """The ratio ρ of successive Legendre polynomials of a window."""
        fastest = 30.0  # above it, errors of s and s - 2 stages say nothing about it
        error = self._error(tried)
        if tried.lower <= error:
            return fastest
        return min(fastest, max(1.2, (tried.lower / error) ** 0.5))

    def _error(self, tried: Tried) -> float:
        """The error of a window, at least 1e-6 of the allowed one."""
        return max(tried.error, 1e-6 * self.allowed)

    def _factor(self, tried: Tried, stages: int) -> float:
        """The ratio of lengths with which a number of stages has the error that is aimed at."""
        decay = self._decay(tried)
        power = (self._error(tried) / (self.safety * self.allowed)) ** (1 / (stages + 1))
        needed = decay ** ((tried.stages + 1) / (stages + 1)) * power
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
            the root mean square over the window.
        lower: the error that two stages fewer would leave.
        splines: the root mean square errors of splines in each interval, the largest over the
            window, (E,).
        lifetimes: the times for which such errors last, (E,).
        carried: the estimated error of the state at the end, (order, n, m), see `carried_error`;
            empty for a window that has not been solved, or if it does not matter.
        size: the root mean square of the solution at the end.
        iterations: the number of Newton steps.
        converged: whether Newton's method has converged.
        rate: the ratio of the sizes of its successive steps.
    """

    stages: Stages
    start: float
    length: float
    states: Tensor
    error: float
    lower: float
    splines: Tensor
    lifetimes: Tensor
    carried: Tensor
    size: float
    iterations: int
    converged: bool
    rate: float = 0.0

    @classmethod
    def of_states(cls, stages: Stages, start: float, length: float, states: Tensor) -> "Window":
        """The polynomials in time with these states, of which no errors are known."""
        none = states.new_zeros(0)
        return cls(
            stages=stages,
            start=start,
            length=length,
            states=states,
            error=math.inf,
            lower=0.0,
            splines=none,
            lifetimes=none,
            carried=none,
            size=0.0,
            iterations=0,
            converged=False,
        )

    @property
    def order(self) -> int:
        """The order of the equation in time."""
        return len(self.states) - self.stages.count

    @property
    def tried(self) -> Tried:
        """What the controller needs to know."""
        return Tried(self.length, self.stages.count, self.error, self.lower, self.rate)

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
