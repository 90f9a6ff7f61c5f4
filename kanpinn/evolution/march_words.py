"""What a march says of its steps, and of the reason why it ends."""

import math
from dataclasses import dataclass

from kanpinn._support.status import CONVERGED, FAILED
from kanpinn.evolution.growth import Growth
from kanpinn.evolution.window.window import Window

KEPT = "what comes before is kept, and the network is constant in time after"


@dataclass(frozen=True)
class MarchWords:
    """The texts and numbers with which a march describes its windows.

    Args:
        time: the name of the time.
        tolerance: that of the march.
        digits: of moments, which tell these apart.
    """

    time: str
    tolerance: float
    digits: int = 4

    @classmethod
    def between(cls, time: str, tolerance: float, begin: float, end: float) -> "MarchWords":
        """The words for a march from one moment to another."""
        offset = max(abs(begin), abs(end)) / (end - begin)
        return cls(time, tolerance, 4 + int(math.log10(offset)))

    def at(self, moment: float) -> str:
        """A moment, such as "t = 0.25"."""
        return f"{self.time} = {moment:.{self.digits}g}"

    def accepted(self, window: Window, named: str, number: int, spent: float) -> str:
        """The words for the progress line after window `number`.

        Args:
            window: the window.
            named: the functions of space in words; "" to say nothing of them.
            number: the number of the window.
            spent: the estimated relative error so far.
        """
        steps = "1 Newton step" if window.iterations == 1 else f"{window.iterations} Newton steps"
        parts = [
            f"window {number} up to {self.at(window.start + window.length)}",
            f"length {window.length:.2g}",
            f"{window.stages.count} stages",
            steps,
            named,
            f"estimated error so far {spent:.1e}",
        ]
        return ", ".join(filter(None, parts))

    def refused(self, window: Window) -> str:
        """The words for a window that will be tried again."""
        why = f"error {window.error:.1e}" if window.converged else "Newton's method fails"
        return f"window from {self.at(window.start)} again, shorter: {why}"

    def notes(self, window: Window, reached: float, number: int, spent: float) -> dict[str, float]:
        """The numbers of a step for the history.

        Args:
            window: the window that was tried.
            reached: the time up to which the solution is known.
            number: the number of windows up to there.
            spent: the estimated relative error of the solution up to there.
        """
        return {
            "time": reached,
            "window": float(number),
            "length": window.length,
            "stages": float(window.stages.count),
            "newton": float(window.iterations),
            "window_error": window.error,
            "estimated_error": spent,
        }

    def converged(self, windows: int, spent: float) -> str:
        """The status after the last of some windows, whose errors add up to `spent`."""
        much = 3.0  # times the tolerance
        if spent <= much * self.tolerance:
            return CONVERGED
        if spent >= 1:
            return f"stopped: the windows' errors are {spent:.1e}: nothing is resolved"
        return f"{CONVERGED}: the errors of {windows} windows add up to {spent:.1e}"

    def unresolved(self, intervals: str) -> str:
        """The status of a march whose functions in space are too coarse for its tolerance.

        intervals: their numbers in words; "" for other functions than splines.
        """
        what = intervals or "the network's functions"
        return (
            f"stopped: {what} in space do not resolve the solution to the tolerance "
            f"{self.tolerance:.1e}"
        )

    def stuck(self, window: Window, growth: Growth | None, left: float | None) -> str:
        """The status after a window from which it is no use to go on, or "".

        Args:
            window: the window.
            growth: that of waves without bound, if the equation has become ill-posed.
            left: the number of windows that are left, if it is hopeless.
        """
        if growth is not None:
            return f"{FAILED}: {growth}; {KEPT}"
        if left is None:
            return ""
        return (
            f"{FAILED}: near {self.at(window.start)} windows have a length of "
            f"{window.length:.1e}, of which {left:.0e} are left: the solution may cease to "
            f"exist there, or have jumps, which the equation does not smooth; {KEPT}"
        )

    def too_many_cells(self, moment: float, why: str) -> str:
        """The status of a march that would need too many cells.

        Args:
            moment: up to which the solution is known.
            why: the cells are too many, in words.
        """
        return (
            f"{FAILED}: from {self.at(moment)} on the solution is not resolved to the tolerance "
            f"{self.tolerance:g}: {why}; it may have jumps there, or cease to exist; {KEPT}"
        )

    def failed(self, window: Window, first: bool) -> str:
        """The status after a window that cannot be solved however short it is.

        first: whether it is the first window.
        """
        why = f"its error is {window.error:.1e}" if window.converged else "Newton's method fails"
        early = "the initial values may contradict the equation, or the conditions at walls"
        cause = early if first else "the solution may cease to exist there"
        return (
            f"{FAILED}: no window from {self.at(window.start)} on reaches the tolerance "
            f"{self.tolerance:g}, {why}: {cause}; {KEPT}"
        )
