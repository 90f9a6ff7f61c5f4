"""What every march keeps beside its solution: counts, errors, the choice of the next window,
and the words of its status.
"""

import math
from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Any

from kanpinn._support.errors import CONVERGED, FAILED
from kanpinn.networks.surrogate import Space
from kanpinn.optimizers.method import Stage, Step
from kanpinn.spaces.evolution_terms import TimeScales
from kanpinn.spaces.window import Control, StageChoice, Window
from kanpinn.tasks.growth import Growth

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


COUNTED = ("accepted", "refused", "limited", "squares")
CONTROLLED = ("length", "stages", "distances")  # what the controller remembers


class MarchProgress(Stage):
    """The state of a march without its solution.

    Args:
        domain: a product of space and time.
        tolerance, windows, stages: the settings of the march, see `March`.
        choice: the numbers of stages that its windows may have.
        scales: how fast the data of the problem change in time.

    Attributes:
        begin, duration: the first moment, and the time from there to the last one.
        control: chooses the next window.
        scales: limit the length of the next window, unless the number of windows is given.
        words: tell of steps and of the end.
        accepted: the number of windows.
        refused: how many attempts in a row have failed.
        limited: whether functions in space have been too coarse for the tolerance.
        squares: the integral over time of the squared relative errors.
    """

    all_or_nothing = True  # a window is added once it is solved

    def __init__(
        self,
        domain: Space,
        tolerance: float,
        windows: int | None,
        stages: int | None,
        choice: StageChoice,
        scales: TimeScales,
    ) -> None:
        low, high = (float(corner[-1]) for corner in domain.bounds)
        self.begin, self.duration = low, high - low
        self.control = Control.first(tolerance, self.duration, windows, stages, choice)
        self.scales = scales if windows is None else TimeScales()
        self.words = MarchWords.between(domain.names[-1], tolerance, low, high)
        self.accepted, self.refused, self.limited = 0, 0, False
        self.squares = 0.0

    @property
    @abstractmethod
    def time(self) -> float:
        """The moment up to which the solution is known."""

    @property
    def part(self) -> float:  # type: ignore[override]
        """The fraction of the time up to which the solution is known."""
        return (self.time - self.begin) / self.duration

    @property
    def length(self) -> float:
        """The length of the next window; the last one may be shorter."""
        return self.scales.reach(self.time, self.control.length, self.control.stages)

    @property
    def spent(self) -> float:
        """The estimated relative error so far, in the root mean square over time."""
        return math.sqrt(self.squares / max(self.time - self.begin, 1e-300))

    @property
    def is_hopeless(self) -> bool:
        """Whether shorter and shorter windows have been refused for too long."""
        many = 30
        return self.refused >= many or self.time + self.control.length <= self.time

    def scaled_end(self, window: Window, last: bool) -> float:
        """The end of a window in the network's time, up to 2, which the last window has."""
        return 2.0 if last else 2 * (window.start + window.length - self.begin) / self.duration

    def told(
        self, window: Window, finished: str | None, words: str, notes: dict[str, float]
    ) -> Step:
        """The result of a step.

        Args:
            window: the window that was tried.
            finished: the status; None if the march goes on.
            words: those of the progress line.
            notes: numbers for the history, beside those that every march has.
        """
        every = self.words.notes(window, self.time, self.accepted, self.spent) | notes
        return Step(self.spent**2, window.iterations, finished, every, words, until=self.time)

    def ended(self, finished: str) -> Step:
        """The result of a step in which no window was tried; finished: the status."""
        return Step(self.spent**2, finished=finished, words=finished, until=self.time)

    def verdict(self, named: str) -> str:
        """The status after the last window; named: the functions of space in words."""
        if self.limited:
            return self.words.unresolved(named)
        return self.words.converged(self.accepted, self.spent)

    def state_dict(self) -> dict[str, Any]:
        counted = {name: getattr(self, name) for name in COUNTED}
        return counted | {name: getattr(self.control, name) for name in CONTROLLED}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        vars(self).update({name: state[name] for name in COUNTED})
        self.control = replace(self.control, **{name: state[name] for name in CONTROLLED})
