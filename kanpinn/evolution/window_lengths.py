"""The lengths of windows in time, chosen by the errors that windows add."""

import math
from dataclasses import dataclass


@dataclass
class WindowLengths:
    """A controller of the windows' lengths, in scaled time from -1 to 1.

    Each window may add its share of the tolerance; a part of the tolerance is free for the first
    windows, whose errors a rough initial value makes large. A window that adds too much is halved,
    unless halving no longer lowers the error in proportion: then the grid in space limits it.

    Args:
        windows: the number of equal windows; None to choose their lengths by their errors.
        tolerance: of the sum of all windows' errors.
        least: the shortest window, as a part of the whole time.
        early: the part of the tolerance that is free at the beginning, from 0 to below 1.
        share: the part of what is left of it that one window may use up, from 0 to 1.
        far_below: a window whose error is below this part of what is allowed makes the next one
            longer, below 1.
        longer: the factor by which it is longer, above 1.
        shorter: the factor by which a window that is tried again is shorter, below 1.
        stuck: the grid limits a window of half the length if it has more than this part of the
            error per time, between `shorter` and 1.
        slack: the error per time that is accepted from then on, relative to the one then; above 1.
        accepted: the number of windows so far.
        length: of the next window that is tried.
        spent: the sum of the windows' errors.
        rate: the error per time of the last attempt at this window, infinite before the first.
        floor: the error per time at which the grid limits a window; 0 if none is known.
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
        """Return the end of the next window that is tried; a short rest becomes a part of it."""
        end = start + self.length
        return 1.0 if end > 1 - 0.5 * min(self.length, 2 * self.least) else end

    def allowed(self, start: float, end: float) -> float:
        """Return the error that a window may add."""
        free = max(self.early * self.tolerance - self.spent, 0.0)
        in_proportion = (1 - self.early) * self.tolerance * (end - start) / 2
        return in_proportion + self.share * free

    def accepts(self, error: float, start: float, end: float) -> bool:
        """Whether a window is accepted: its error is small, or a shorter one would not help."""
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
        """Count a window that is accepted, and choose the length of the next one."""
        allowed = self.allowed(start, end)
        self.accepted += 1
        self.spent += error
        self.rate = math.inf
        if self.windows is None and error < self.far_below * allowed:
            self.length *= self.longer

    def shorten(self, start: float, end: float) -> bool:
        """Choose a shorter length for the next attempt; False if the window is the shortest."""
        length = self.shorter * (end - start)
        if self.windows is not None or length < 2 * self.least:
            return False
        self.length = length
        return True
