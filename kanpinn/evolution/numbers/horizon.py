"""The time up to which data are fitted, which is lengthened while the fit succeeds."""

import math
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Horizon:
    """The end of the data that are fitted now.

    Over a long time the misfit of data may have many minima; with the numbers of a shorter time
    the search starts near the right one.

    Args:
        begin, end: the first moment, and the last one of all data.
        shortest: the end of the shortest time with enough data.
        reached: the end of the data that have been fitted; `begin` before there are any.
        until: that of the data that are fitted now.
        growth: by which the time is multiplied.

    Reference: Gábor and Banga, Robust and efficient parameter estimation in dynamic models of
    biological systems (2015), for the many minima.
    """

    begin: float
    end: float
    shortest: float
    reached: float
    until: float
    growth: float = 2.0

    @staticmethod
    def first(begin: float, end: float, shortest: float) -> "Horizon":
        """An eighth of the whole time, or more if there are few data."""
        until = max(shortest, begin + (end - begin) / 8)
        return Horizon(begin, end, shortest, begin, until)

    @property
    def is_whole(self) -> bool:
        """Whether all data are fitted."""
        return self.until >= self.end

    def lengthened(self) -> "Horizon":
        """The next horizon after the data up to `until` have been fitted."""
        return replace(self, reached=self.until, growth=min(2.0, self.growth**2))._longer()

    def shortened(self) -> "Horizon | None":
        """A shorter one after the data up to `until` could not be fitted; None if none is left."""
        least = 1.1  # of the growth
        if self.reached > self.begin:
            growth = math.sqrt(self.growth)
            return replace(self, growth=growth)._longer() if growth > least else None
        if self.until <= self.shortest:
            return None
        return replace(self, until=max(self.shortest, (self.begin + self.until) / 2))

    def _longer(self) -> "Horizon":
        until = self.begin + self.growth * (self.reached - self.begin)
        near = self.begin + 0.8 * (self.end - self.begin)  # no tiny last part
        last = until >= self.end or (self.growth >= 2 and until > near)
        return replace(self, until=self.end if last else until)
