"""Monotone parts of plane curves, as graphs x(y) over an interval of heights y."""

import math
from dataclasses import dataclass

from torch import Tensor

from kanpinn._support.shapes import Weights


@dataclass(frozen=True)
class Side:
    """A part of a curve as a graph x(y) = cx + p (y - cy) + q sqrt(A² - (y - cy)²), low ≤ y ≤ high.

    For q = 0 it is a line segment. For q ≠ 0 it is part of one half of an ellipse between its
    lowest and highest points y = cy ± A, where x(y) has square-root singularities.
    """

    low: float
    high: float
    up: bool  # True if the curve runs towards larger y
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
        """Return the side from the height `first` to the height `last`, with (cx, cy) = middle."""
        low, high = min(first, last), max(first, last)
        return cls(low, high, last > first, *middle, slope, q, A)

    def x(self, y: Weights) -> Weights:
        """Return the abscissas x (n,) at heights y (n,)."""
        return abscissa(y, self.cx, self.cy, self.p, self.q, self.A)

    def integral(self, low: float, high: float) -> float:
        """Return ∫ x dy from the height `low` to the height `high`, in closed form."""
        round_part = 0.0
        for sign, y in ((-1, low), (1, high)):
            h = min(max(y - self.cy, -self.A), self.A)
            root = math.sqrt((self.A - h) * (self.A + h))
            # atan2 is accurate near the top; asin(h / A) would lose half the digits there.
            round_part += sign * (h * root + self.A**2 * math.atan2(h, root))
        middle = (low + high) / 2 - self.cy
        return (high - low) * (self.cx + self.p * middle) + self.q / 2 * round_part

    @property
    def conic(self) -> tuple[float, ...]:
        """The parameters that both halves of an ellipse have in common."""
        return self.cx, self.cy, self.p, abs(self.q), self.A

    @property
    def branches(self) -> tuple[float, float]:
        """The heights cy - A and cy + A where x(y) is singular; infinite for a line."""
        return (self.cy - self.A, self.cy + self.A) if self.q else (-math.inf, math.inf)


def abscissa(
    y: Tensor,
    cx: Tensor | float,
    cy: Tensor | float,
    p: Tensor | float,
    q: Tensor | float,
    A: Tensor | float,
) -> Tensor:
    """Return x(y) of a Side, or of many sides at once by broadcasting."""
    h = y - cy
    # Rounding may place a height just beyond the top.
    return cx + p * h + q * ((A - h) * (A + h)).clamp(min=0).sqrt()
