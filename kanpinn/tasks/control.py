"""The choice of length and number of stages of the next window of a march."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from kanpinn._support.errors import InputError
from kanpinn.tasks.window import StageChoice, Window


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
    choice: StageChoice = field(default_factory=lambda: StageChoice(11))
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
                it should, as at initial values that contradict conditions on the boundary.
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
        trend, steady = 1.0, 1.2  # the ratio of the next distance to the last one
        if len(self.distances) == 3:
            growth = min(b / a for a, b in pairwise(self.distances))
            trend = min(growth, self.choice.foresight) if growth > steady else 1.0
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

    def _decay(self, tried: Window) -> float:
        """The ratio ρ of successive Legendre polynomials of a window."""
        fastest = 30.0  # above it, errors of s and s - 2 stages say nothing about it
        error = max(tried.error, 1e-6 * self.allowed)
        if tried.lower <= error:
            return fastest
        return min(fastest, max(1.2, (tried.lower / error) ** 0.5))

    def _factor(self, tried: Window, stages: int) -> float:
        """The ratio of lengths with which a number of stages has the error that is aimed at."""
        decay, least = self._decay(tried), 1e-6  # of the allowed error
        error = max(tried.error, least * self.allowed)
        power = (error / (self.safety * self.allowed)) ** (1 / (stages + 1))
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
