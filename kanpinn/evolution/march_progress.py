"""What every march keeps beside its solution: counts, errors, and what chooses the next window."""

import math
from abc import abstractmethod
from dataclasses import replace
from typing import Any

from kanpinn.evolution.march_words import MarchWords
from kanpinn.evolution.time.time_scales import TimeScales
from kanpinn.evolution.window.control import Control, StageChoice
from kanpinn.evolution.window.window import Window
from kanpinn.networks.surrogate import Space
from kanpinn.optimizers.method import Stage, Step

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
