"""An unknown number, as far as it is known."""

import math
from dataclasses import dataclass

ARRIVED = 0.1  # of a half-width, or a fifth of a standard deviation: a step that changes no more
ROUNDING = 1e-8  # of a coefficient, which is of size 1: a step so small is none


def is_small(step: float, margin: float, size: float = 1.0) -> bool:
    """Whether a further step would hardly move an interval of this half-width; not of NaN."""
    return abs(step) <= max(ARRIVED * margin, ROUNDING * max(abs(size), 1.0))


@dataclass(frozen=True)
class Estimated:
    """An unknown number with its 95% interval, infinite where the data do not determine it.

    step: what one more Gauss–Newton step would change the value by. arrived: whether that is
    little; else the search has broken off too early for an interval, which is infinite.
    """

    value: float
    low: float
    high: float
    exact: float | None = None  # where the problem knows it
    step: float = 0.0
    arrived: bool = True

    @property
    def is_identified(self) -> bool:
        """Whether the interval is finite."""
        return math.isfinite(self.high - self.low)

    def __str__(self) -> str:
        """ "0.02502 (95%: 0.02496 … 0.02508)"."""
        if not self.arrived:
            return f"{self.value:.6g} ({not_arrived(self.step)})"
        if not self.is_identified:
            return f"{self.value:.6g} (not determined here: to first order no datum depends on it)"
        digits = _digits(self.value, self.high - self.low)
        low, value, high = (f"{x:.{digits}g}" for x in (self.low, self.value, self.high))
        return f"{value} (95%: {low} … {high})"


def not_arrived(step: float) -> str:
    """Why there is no interval."""
    words = "no interval: the search has not arrived"
    return f"{words}, one more step would change it by {step:.2g}" if math.isfinite(step) else words


def _digits(value: float, width: float) -> int:
    """Significant digits that show an interval of this width with two of its own."""
    if not width or not value:
        return 6
    return min(max(2 + math.ceil(math.log10(abs(value) / width)), 3), 15)
