"""The estimated error of a march up to a moment, from the errors of its windows."""

import math
from dataclasses import dataclass

from kanpinn.evolution.window.window_solve import Window


@dataclass
class ErrorSoFar:
    """The relative error of the windows so far, in the root mean square over time.

    The errors in time of windows add up, as they do where the equation neither damps nor amplifies
    them: what stages miss of fast waves is always a loss. Where it damps short waves, errors have
    about the scale to which it has smoothed everything so far, and fade as the time since the start
    doubles. Errors of splines count for as long as they last.

    Args:
        summed: the sum of the windows' errors in time, of what is left of them.
        squares: the integral over time of the squared error.
    """

    summed: float = 0.0
    squares: float = 0.0

    def add(self, window: Window, passed: float, splines: float) -> None:
        """Add a window.

        Args:
            window: the window.
            passed: the time before it.
            splines: the integral over time of the squared relative errors of its splines.
        """
        if window.is_damped:
            self.summed *= math.sqrt(passed / (passed + window.length))
        self.summed += window.error
        self.squares += window.length * self.summed**2 + splines

    def mean(self, passed: float) -> float:
        """The root mean square over a time that has passed."""
        return math.sqrt(self.squares / max(passed, 1e-300))
