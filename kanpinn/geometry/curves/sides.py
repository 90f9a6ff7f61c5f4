"""The parts of plane curves that go up or down, as graphs x(y) over an interval of heights."""

import math
from dataclasses import dataclass

from torch import Tensor

from kanpinn._support.shapes import Weights


@dataclass(frozen=True)
class Side:
    """A part of a curve as a graph x(y) = cx + p (y - cy) + q sqrt(A² - (y - cy)²), low ≤ y ≤ high.

    With q = 0 it is a straight line; with q ≠ 0 half an ellipse, cut at its lowest and highest
    points y = cy ± A, where x(y) has a square root's singularity.
    """

    low: float
    high: float
    up: bool  # the direction in which the curve runs
    cx: float
    cy: float
    p: float
    q: float = 0.0
    A: float = 0.0

    @classmethod
    def between(
        cls,
        first: float,
        last: float,
        *,
        middle: tuple[float, float],
        slope: float,
        q: float = 0.0,
        A: float = 0.0,
    ) -> "Side":
        """The side from the height `first` to the height `last`, with (cx, cy) = middle."""
        low, high = min(first, last), max(first, last)
        return cls(low, high, last > first, *middle, slope, q, A)

    def x(self, y: Weights) -> Weights:
        """The abscissas at these heights, (n,)."""
        return abscissa(y, self.cx, self.cy, self.p, self.q, self.A)

    def integral(self, low: float, high: float) -> float:
        """∫ x dy from one height to another."""
        round_part = 0.0
        for sign, y in ((-1, low), (1, high)):
            h = min(max(y - self.cy, -self.A), self.A)
            root = math.sqrt((self.A - h) * (self.A + h))
            # asin(h / A) would lose half the digits at the top.
            round_part += sign * (h * root + self.A**2 * math.atan2(h, root))
        middle = (low + high) / 2 - self.cy
        return (high - low) * (self.cx + self.p * middle) + self.q / 2 * round_part

    @property
    def conic(self) -> tuple[float, ...]:
        """Numbers that are the same for both halves of one ellipse."""
        return self.cx, self.cy, self.p, abs(self.q), self.A

    @property
    def branches(self) -> tuple[float, float]:
        """The heights below and above at which x(y) stops being smooth; infinite for a line."""
        return (self.cy - self.A, self.cy + self.A) if self.q else (-math.inf, math.inf)


def abscissa(
    y: Tensor,
    cx: Tensor | float,
    cy: Tensor | float,
    p: Tensor | float,
    q: Tensor | float,
    A: Tensor | float,
) -> Tensor:
    """x(y) of a Side, or of many at once by broadcasting."""
    h = y - cy
    # Rounding may leave a height just beyond the top.
    return cx + p * h + q * ((A - h) * (A + h)).clamp(min=0).sqrt()
