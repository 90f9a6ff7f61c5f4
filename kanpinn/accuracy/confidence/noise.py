"""The noise that intervals go by."""

import math
from dataclasses import dataclass

from scipy.special import chdtri, ndtri, stdtrit

CONFIDENCE = 0.95
UNLIKELY = 1e-3  # a chance below which data do not have the noise that they are given with


@dataclass(frozen=True)
class Noise:
    """The standard deviation of the data, in their units or as a part of the given one.

    known: whether the problem gave it; else it is estimated from what the fit leaves of the data.
    freedom: the degrees of freedom that it leaves, 0 without data. scatter: of data with a known
    noise, how many times as much they scatter about the fit, a root mean square by degrees of
    freedom. failure: why nothing is known.
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
        """Whether the data may have a known noise, by the χ² of what the fit leaves of them."""
        if self.scatter is None:
            return True
        square, tail = self.freedom * self.scatter**2, UNLIKELY / 2
        return bool(chdtri(self.freedom, 1 - tail) <= square <= chdtri(self.freedom, tail))

    @property
    def quantile(self) -> float:
        """Of the normal distribution, or of Student's t where the noise is estimated."""
        level = (1 + CONFIDENCE) / 2
        return float(ndtri(level) if self.known else stdtrit(max(self.freedom, 1.0), level))
