"""The controller of a march: the length and the number of stages of the next window."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Tried:
    """A window that has been tried.

    Args:
        length: its length.
        stages: their number s.
        error: the relative error that it adds; infinite if it could not be solved.
        lower: the relative error that s - 2 stages would leave, 0 where it is not known.
    """

    length: float
    stages: int
    error: float
    lower: float = 0.0


@dataclass
class Control:
    """Chooses windows so that each adds an error of at most `allowed`, at the least cost.

    The error of a window of length h with s stages is proportional to h^(s + 1). From the errors of
    s and s - 2 stages that of s + 2 is extrapolated. The number of stages changes if the cost of a
    unit of time is at least a fifth lower with it.

    Args:
        allowed: the largest error of a window, relative to the solution.
        length: the length of the next window.
        stages: the number of its stages.
        fixed: whether the number of stages is not to change.
        least, most: the smallest and the largest number of stages.
        overhead: the cost of a window without its stages, in stages.
        safety: the ratio of the error that is aimed at to the allowed one.
    """

    allowed: float
    length: float
    stages: int
    fixed: bool = False
    least: int = 3
    most: int = 11
    overhead: float = 4.0
    safety: float = 0.3

    def accepts(self, tried: Tried) -> bool:
        """Whether the window's error is small enough."""
        return tried.error <= self.allowed

    def shorten(self, tried: Tried) -> None:
        """Choose a shorter window after one that is not accepted."""
        if math.isfinite(tried.error):
            factor = (self.safety * self.allowed / tried.error) ** (1 / (tried.stages + 1))
            self.length = tried.length * min(0.7, max(0.1, factor))
        else:
            self.length = tried.length / 3

    def follow(self, tried: Tried) -> None:
        """Choose the window after one that has been accepted."""
        longest = 4.0  # times the window before
        floor = 1e-6 * self.allowed
        error = max(tried.error, floor)
        candidates = {tried.stages: error}
        if tried.lower > error and not self.fixed:
            ratio = max(error / tried.lower, 1e-3)
            candidates[tried.stages - 2] = tried.lower
            candidates[tried.stages + 2] = error * ratio
        best, lowest, length = tried.stages, math.inf, tried.length
        for stages, size in candidates.items():
            if not self.least <= stages <= self.most and stages != tried.stages:
                continue
            factor = (self.safety * self.allowed / size) ** (1 / (stages + 1))
            longer = tried.length * min(longest, max(0.3, factor))
            cost = (stages + self.overhead) / longer * (1.0 if stages == tried.stages else 1.2)
            if cost < lowest:
                best, lowest, length = stages, cost, longer
        self.stages, self.length = best, length
