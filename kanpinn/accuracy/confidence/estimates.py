"""Estimates of unknown numbers and fields with their 95% confidence bounds, and the noise."""

import math
from dataclasses import dataclass

import torch
from scipy.special import chdtri, ndtri, stdtrit
from torch import Tensor


@dataclass(frozen=True)
class Estimated:
    """An unknown number with its 95% confidence bounds.

    value: the number; low, high: the bounds, infinite if the data do not determine it; exact: the
    true number, if the problem knows it. step: what one more Gauss–Newton step would change the
    value by. arrived: whether that is little; else the search ended before it reached the minimum,
    and the bounds are infinite.
    """

    value: float
    low: float
    high: float
    exact: float | None = None
    step: float = 0.0
    arrived: bool = True

    @property
    def is_identified(self) -> bool:
        """Whether the bounds are finite."""
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


@dataclass(frozen=True, eq=False)
class EstimatedField:
    """A field's values (n,) at points, each with its 95% confidence bounds.

    low, high: (n,), the bounds as they would be if the search had arrived. step: (n,), what one
    more Gauss–Newton step would change the values by.
    """

    value: Tensor
    low: Tensor
    high: Tensor
    step: Tensor

    @property
    def half_widths(self) -> Tensor:
        """(n,), infinite where the data do not determine the field."""
        return (self.high - self.low) / 2

    @property
    def arrived(self) -> bool:
        """Whether one more step is small beside the half-widths, in the root mean square."""
        half = self.half_widths
        known = half.isfinite()
        if not bool(known.any()):
            return bool(self.step.isfinite().all())
        sizes = (self.step[known], half[known], self.value[known])
        return is_small(*(float(x.square().mean().sqrt()) for x in sizes))

    @property
    def bounds(self) -> tuple[Tensor, Tensor]:
        """The lower and upper bounds (n,), infinite if the search has not arrived."""
        if self.arrived:
            return self.low, self.high
        return torch.full_like(self.low, -torch.inf), torch.full_like(self.high, torch.inf)

    @property
    def summary(self) -> "HalfWidths":
        """The half-widths over all points."""
        half = self.half_widths if self.arrived else torch.full_like(self.value, torch.inf)
        step = float(self.step.square().mean().sqrt())
        least, largest = float(half.min()), float(half.max())
        return HalfWidths(least, float(half.median()), largest, step, self.arrived)


@dataclass(frozen=True)
class HalfWidths:
    """Half-widths of a field's 95% confidence bounds over its domain.

    least, median, largest: infinite if the search has not arrived. step: what one more Gauss–Newton
    step would change the field by, a root mean square. arrived: whether that is little.
    """

    least: float
    median: float
    largest: float
    step: float
    arrived: bool

    def __str__(self) -> str:
        """ "95% half-width 0.02 … 0.15, median 0.04"."""
        if not self.arrived:
            return not_arrived(self.step)
        if math.isinf(self.least):
            return "not determined here: to first order no datum depends on it"
        least, median, largest = (
            "∞" if math.isinf(x) else f"{x:.2g}" for x in (self.least, self.median, self.largest)
        )
        return f"95% half-width {least} … {largest}, median {median}"


@dataclass(frozen=True)
class Noise:
    """The noise of the data, from which confidence bounds follow.

    deviation: its standard deviation, in the units of the data, or relative to the given one if
    `known`. known: whether the problem gives it; else it is estimated from the residuals of the
    data. freedom: the degrees of freedom of these residuals, 0 without data. scatter: if the noise
    is known, the root mean square of the residuals by degrees of freedom, relative to it. failure:
    why nothing is known, or "".
    """

    deviation: float
    known: bool
    freedom: float
    scatter: float | None = None
    failure: str = ""

    def __str__(self) -> str:
        """ "intervals go by a noise of 0.0101, estimated with 198 degrees of freedom"."""
        if self.failure:
            return f"no intervals: {self.failure}"
        if self.known:
            return f"intervals go by the noise that the data are given with{self._doubt()}"
        if not self.freedom:
            return "there are no data, so there is no noise that intervals could go by"
        if not math.isfinite(self.deviation):
            return "there are too few data to tell their noise: intervals are infinite"
        how = f"estimated with {self.freedom:.0f} degrees of freedom"
        return f"intervals go by a noise of {self.deviation:.3g}, {how} (Student's t)"

    def _doubt(self) -> str:
        if self.fits:
            return ""
        return f", but about the fit the data scatter {self.scatter:.3g} times as much"

    @property
    def fits(self) -> bool:
        """Whether the residuals of the data are compatible with a known noise.

        False if their χ² has a probability below one in a thousand.
        """
        if self.scatter is None:
            return True
        square, tail = self.freedom * self.scatter**2, 1e-3 / 2
        return bool(chdtri(self.freedom, 1 - tail) <= square <= chdtri(self.freedom, tail))

    @property
    def quantile(self) -> float:
        """The 97.5% quantile of the normal distribution, or Student's t of an estimated noise."""
        return float(ndtri(0.975) if self.known else stdtrit(max(self.freedom, 1.0), 0.975))


def is_small(step: float, margin: float, size: float = 1.0) -> bool:
    """Whether one more step would hardly move confidence bounds; False if the step is NaN.

    It is at most a tenth of their half-width `margin`, which is a fifth of a standard deviation, or
    rounding of a coefficient of this size.
    """
    return abs(step) <= max(0.1 * margin, 1e-8 * max(abs(size), 1.0))


def not_arrived(step: float) -> str:
    """The sentence that says why there are no bounds."""
    words = "no interval: the search has not arrived"
    return f"{words}, one more step would change it by {step:.2g}" if math.isfinite(step) else words


def _digits(value: float, width: float) -> int:
    """Significant digits of the value, of which two differ between bounds of this width."""
    if not width or not value:
        return 6
    return min(max(2 + math.ceil(math.log10(abs(value) / width)), 3), 15)
