"""A controller that chooses the lengths of time windows by their errors."""

import math
from dataclasses import dataclass


@dataclass
class WindowLengths:
    """A controller of the windows' lengths, in scaled time from -1 to 1.

    The allowed error of a window is proportional to its length. A reserve of the tolerance is kept
    for the first windows, whose errors are large if the initial value is rough. A window whose
    error is too large is shortened, unless this hardly lowers the error per time: then the grid in
    space limits the error, and the window is accepted.

    Args:
        windows: the number of equal windows; None to choose their lengths by their errors.
        tolerance: the largest sum of all windows' errors.
        least: the length of the shortest window, as a fraction of the whole time.
        early: the fraction of the tolerance that is reserved for the first windows, at least 0 and
            below 1.
        share: the fraction of the remaining reserve that one window may use, from 0 to 1.
        far_below: if a window's error is below this fraction of the allowed one, the next window is
            longer; below 1.
        longer: the factor by which it is longer, above 1.
        shorter: the factor by which a window is shortened for the next attempt, below 1.
        stuck: the grid limits a window if shortening leaves more than this fraction of its error
            per time; between `shorter` and 1.
        slack: once the grid limits a window, later ones are accepted up to this multiple of
            `floor`; above 1.
        accepted: the number of accepted windows so far.
        length: the length of the next attempt.
        spent: the sum of the accepted windows' errors.
        rate: the error per time of the last attempt at the present window; infinite before the
            first.
        floor: the error per time at which the grid was last found to limit a window; 0 before.
        limited: the number of windows that were accepted because the grid limits them.
    """

    windows: int | None
    tolerance: float
    least: float
    early: float = 0.2
    share: float = 0.5
    far_below: float = 0.1
    longer: float = 1.5
    shorter: float = 0.5
    stuck: float = 0.7
    slack: float = 1.3
    accepted: int = 0
    length: float = 0.2
    spent: float = 0.0
    rate: float = math.inf
    floor: float = 0.0
    limited: int = 0

    def __post_init__(self) -> None:
        if self.windows is not None:
            self.length = 2 / self.windows

    def end_after(self, start: float) -> float:
        """Return the end of the next attempt; it is 1 if the time left after it would be short."""
        end = start + self.length
        return 1.0 if end > 1 - 0.5 * min(self.length, 2 * self.least) else end

    def allowed(self, start: float, end: float) -> float:
        """Return the largest error that a window may add."""
        free = max(self.early * self.tolerance - self.spent, 0.0)
        in_proportion = (1 - self.early) * self.tolerance * (end - start) / 2
        return in_proportion + self.share * free

    def accepts(self, error: float, start: float, end: float) -> bool:
        """Return True if the error is allowed, or if shortening has hardly lowered it per time.

        The state of the controller is updated.
        """
        if self.windows is not None or error <= self.allowed(start, end):
            return True
        length = end - start
        rate = error / length
        if rate > self.stuck * self.rate:
            self.floor = rate
            self.length = length / self.shorter
        self.rate = rate
        limited = rate <= self.slack * self.floor
        self.limited += limited
        return bool(limited)

    def accept(self, error: float, start: float, end: float) -> None:
        """Record an accepted window, and choose the length of the next one."""
        allowed = self.allowed(start, end)
        self.accepted += 1
        self.spent += error
        self.rate = math.inf
        if self.windows is None and error < self.far_below * allowed:
            self.length *= self.longer

    def shorten(self, start: float, end: float) -> bool:
        """Shorten the next attempt at a window; return False if it would become too short."""
        length = self.shorter * (end - start)
        if self.windows is not None or length < 2 * self.least:
            return False
        self.length = length
        return True
