"""Estimates of unknown numbers and fields with 95% confidence bounds, and of the noise."""

import math
from dataclasses import dataclass

import torch
from scipy.special import chdtri, ndtri, stdtrit
from torch import Tensor

UNRESOLVED = "no interval: the network is too small, its own error is visible in the fit"


@dataclass(frozen=True)
class Estimated:
    """The estimate of an unknown number with its 95% confidence bounds.

    value: the estimate. low, high: the bounds, infinite if the data do not determine the number.
    exact: the true number, if the problem gives it. step: the change of the value by one more
    Gauss–Newton step. arrived: True if this change is small; otherwise the optimizer ended before
    the minimum of the loss, and the bounds are infinite. resolved: False if the error of the
    network is visible beside the noise, but not known; then the bounds are infinite, too.
    confounded: the names of other numbers that the data do not determine either.

    Example:
        >>> import kanpinn as kp
        >>> found = kp.Estimated(0.1006, low=0.0968, high=0.1044, exact=0.1)
        >>> found.low <= found.exact <= found.high
        True
    """

    value: float
    low: float
    high: float
    exact: float | None = None
    step: float = 0.0
    arrived: bool = True
    resolved: bool = True
    confounded: tuple[str, ...] = ()

    @property
    def is_identified(self) -> bool:
        """True if both bounds are finite."""
        return math.isfinite(self.high - self.low)

    def __str__(self) -> str:
        """Return the value and its bounds, such as "0.02502 (95%: 0.02496 … 0.02508)"."""
        if not self.arrived:
            return f"{self.value:.6g} ({not_arrived(self.step)})"
        if not self.resolved:
            return f"{self.value:.6g} ({UNRESOLVED})"
        if self.confounded:
            others = " and ".join(self.confounded)
            return f"{self.value:.6g} (not determined here: the data do not tell it from {others})"
        if not self.is_identified:
            return f"{self.value:.6g} (not determined here: to first order no datum depends on it)"
        digits = _digits(self.value, self.high - self.low)
        low, value, high = (f"{x:.{digits}g}" for x in (self.low, self.value, self.high))
        return f"{value} (95%: {low} … {high})"


@dataclass(frozen=True, eq=False)
class EstimatedField:
    """The estimate of a field at n points with its 95% confidence bounds.

    value: the estimated values, (n,). low, high: the bounds, (n,), valid only if `arrived`. step:
    the changes of the values by one more Gauss–Newton step, (n,). resolved: as for `Estimated`.
    """

    value: Tensor
    low: Tensor
    high: Tensor
    step: Tensor
    resolved: bool = True

    @property
    def half_widths(self) -> Tensor:
        """Half the widths of the bounds, (n,), infinite where the data leave the field open."""
        return (self.high - self.low) / 2

    @property
    def arrived(self) -> bool:
        """True if one more step is small compared with the half-widths, in root mean square."""
        half = self.half_widths
        known = half.isfinite()
        if not bool(known.any()):
            return bool(self.step.isfinite().all())
        sizes = (self.step[known], half[known], self.value[known])
        return is_small(*(float(x.square().mean().sqrt()) for x in sizes))

    @property
    def bounds(self) -> tuple[Tensor, Tensor]:
        """The lower and upper bounds (n,), infinite unless the optimizer reached the minimum."""
        if self.arrived:
            return self.low, self.high
        return torch.full_like(self.low, -torch.inf), torch.full_like(self.high, torch.inf)

    @property
    def summary(self) -> "HalfWidths":
        """The least, median and largest half-width over all points."""
        half = self.half_widths if self.arrived else torch.full_like(self.value, torch.inf)
        step = float(self.step.square().mean().sqrt())
        least, largest = float(half.min()), float(half.max())
        return HalfWidths(least, float(half.median()), largest, step, self.arrived, self.resolved)


@dataclass(frozen=True)
class HalfWidths:
    """Half-widths of a field's 95% confidence bounds over its domain.

    least, median, largest: half-widths, infinite unless `arrived`. step: the root mean square of
    the field's change by one more Gauss–Newton step. arrived: True if this change is small, so that
    the optimizer has reached the minimum of the loss. resolved: as for `Estimated`.
    """

    least: float
    median: float
    largest: float
    step: float
    arrived: bool
    resolved: bool = True

    def __str__(self) -> str:
        """Return a summary such as "95% half-width 0.02 … 0.15, median 0.04"."""
        if not self.arrived:
            return not_arrived(self.step)
        if not self.resolved:
            return UNRESOLVED
        if math.isinf(self.least):
            return "not determined here: to first order no datum depends on it"
        least, median, largest = (
            "∞" if math.isinf(x) else f"{x:.2g}" for x in (self.least, self.median, self.largest)
        )
        return f"95% half-width {least} … {largest}, median {median}"


@dataclass(frozen=True)
class Noise:
    """The noise of the data, which determines the confidence bounds.

    deviation: the standard deviation, in the units of the data; if `known`, relative to the given
    one. known: True if the problem gives the noise, False if it is estimated from the residuals of
    the data. freedom: the degrees of freedom of these residuals, 0 without data. scatter: if the
    noise is known, the residuals' standard deviation by degrees of freedom, relative to the noise;
    None if it cannot be estimated. failure: why no covariance could be computed, or "".
    """

    deviation: float
    known: bool
    freedom: float
    scatter: float | None = None
    failure: str = ""

    def __str__(self) -> str:
        """Return a sentence such as "intervals are based on a noise of 0.0101, estimated …"."""
        if self.failure:
            return f"no intervals: {self.failure}"
        if self.known:
            return f"intervals are based on the given noise of the data{self._doubt()}"
        if not self.freedom:
            return "there are no data, and so no noise on which intervals could be based"
        if not math.isfinite(self.deviation):
            return "there are too few data to estimate their noise: intervals are infinite"
        how = f"estimated with {self.freedom:.0f} degrees of freedom"
        return f"intervals are based on a noise of {self.deviation:.3g}, {how} (Student's t)"

    def _doubt(self) -> str:
        if self.fits:
            return ""
        return f", but the data scatter {self.scatter:.3g} times as much about the solution"

    @property
    def fits(self) -> bool:
        """True if the residuals of the data are compatible with the known noise.

        It is False if a two-sided χ² test rejects the noise at the level 0.001.
        """
        if self.scatter is None:
            return True
        square, tail = self.freedom * self.scatter**2, 1e-3 / 2
        return bool(chdtri(self.freedom, 1 - tail) <= square <= chdtri(self.freedom, tail))

    @property
    def quantile(self) -> float:
        """The 97.5% quantile: normal for a known noise, Student's t for an estimated one."""
        return float(ndtri(0.975) if self.known else stdtrit(max(self.freedom, 1.0), 0.975))


def is_small(step: float, margin: float, size: float = 1.0) -> bool:
    """Return True if one more step is small compared with the bounds; False if it is NaN.

    Args:
        step: the change of a value by one more Gauss–Newton step.
        margin: the half-width of its bounds; a tenth of it, a fifth of a standard deviation, is
            small.
        size: the size of the value, or coefficient; changes by its rounding are small, too.
    """
    return abs(step) <= max(0.1 * margin, 1e-8 * max(abs(size), 1.0))


def not_arrived(step: float) -> str:
    """Return the message that explains why there are no bounds."""
    words = "no interval: the search has not arrived"
    return f"{words}, one more step would change it by {step:.2g}" if math.isfinite(step) else words


def _digits(value: float, width: float) -> int:
    """Return the significant digits with which bounds of this width differ in two digits."""
    if not width or not value:
        return 6
    return min(max(2 + math.ceil(math.log10(abs(value) / width)), 3), 15)
