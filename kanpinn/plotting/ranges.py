"""Which values a scale shows."""

from dataclasses import dataclass

import numpy

DECADES = 6  # below the largest, that a logarithmic scale shows
LEAST, MOST = 0.02, 0.999  # quantiles: the scale may leave out what lies below and above
FAR = 10  # times the upper quantile: larger values are few and would use up the scale
ONE_SIGN = 0.1  # a lesser part of the other sign does not make a field two-signed


@dataclass(frozen=True)
class Magnitudes:
    """The ends of a logarithmic scale, and whether values lie beyond its upper end."""

    low: float
    high: float
    beyond: bool


def magnitudes_of(size: numpy.ndarray) -> Magnitudes | None:
    """The scale of absolute values, those that are not finite left out; None where all are 0.

    It ends at the largest, or at the 99.9% quantile where a few values lie far above that, such as
    a residual's at a singular corner.
    """
    finite = size[numpy.isfinite(size) & (size > 0)]
    if len(finite) == 0:
        return None
    top, usual = float(finite.max()), float(numpy.quantile(finite, MOST, method="lower"))
    high = top if top <= FAR * usual else usual
    low = max(float(numpy.quantile(finite, LEAST)), high * 10.0**-DECADES)
    return Magnitudes(min(low, high / 10), high, high < top)


def limits_of(*fields: numpy.ndarray) -> tuple[float, float]:
    """The lowest and highest of finite values, set apart where they agree."""
    finite = numpy.concatenate([f[numpy.isfinite(f)].ravel() for f in fields])
    if len(finite) == 0:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    if high - low <= 1e-12 * max(abs(low), abs(high)):
        return low - 0.5, high + 0.5
    return low, high


def two_signed(limits: tuple[float, float]) -> bool:
    """Whether a field between these limits is one of both signs."""
    low, high = limits
    return low < 0 < high and min(-low, high) > ONE_SIGN * max(-low, high)


def continued(values: numpy.ndarray, rings: int = 2) -> numpy.ndarray:
    """A field (n, m) with NaN outside its domain, carried on so many nodes beyond its boundary.

    A node gets the mean of its neighbours: a picture that ends at the boundary has no gaps there.
    """
    for _ in range(rings):
        windows = numpy.lib.stride_tricks.sliding_window_view(
            numpy.pad(values, 1, constant_values=numpy.nan), (3, 3)
        )
        known = ~numpy.isnan(windows)
        count = known.sum(axis=(2, 3))
        mean = numpy.where(known, windows, 0.0).sum(axis=(2, 3)) / numpy.maximum(count, 1)
        values = numpy.where(numpy.isnan(values) & (count > 0), mean, values)
    return values
