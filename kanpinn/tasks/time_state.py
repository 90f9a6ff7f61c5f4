"""The state of a march: the solution at the end of the windows (spans of time) solved so far.

It includes the functions of space, and an attempt to solve the next window.
"""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from kanpinn._support.distributed import from_first
from kanpinn._support.errors import InputError, integer, number
from kanpinn.geometry import Points
from kanpinn.jets import Jet
from kanpinn.loss.residuals import Residuals
from kanpinn.networks.network import Network
from kanpinn.optimizers.method import Kept
from kanpinn.spaces.evolution_terms import EvolutionTerms
from kanpinn.spaces.time_schemes import Stages, stages
from kanpinn.tasks.window import Control, Newton, StageChoice, Window


@dataclass(frozen=True)
class MarchSettings:
    """The settings of a march; `March` describes them."""

    tolerance: float = 1e-6
    windows: int | None = None
    stages: int | None = None
    scheme: str = "radau"
    regrade: bool = True
    steps: int = 100_000
    cells: int = 20_000

    def __post_init__(self) -> None:
        number("tolerance", self.tolerance, above=True)
        if self.tolerance < 1e-14:
            raise InputError(
                f"tolerance must be at least 1e-14, since numbers are rounded, got {self.tolerance}"
            )
        if self.windows is not None:
            integer("windows", self.windows)
        if self.stages is not None:
            integer("stages", self.stages)
        _ = self.collocation  # refuses what is out of range
        integer("steps", self.steps)
        integer("cells", self.cells)

    @property
    def follows(self) -> bool:
        """True if the space is refined and coarsened to follow the solution."""
        return self.regrade and self.windows is None

    @property
    def collocation(self) -> Stages:
        """The collocation method of a window, with 3 stages if the march chooses their number.

        The numbers that the march chooses are odd.
        """
        return stages(self.stages or 3, self.scheme)

    def precision(self, method: type[Newton]) -> float:
        """The relative error of the solution at which Newton's method ends.

        It is 1e-2 of the tolerance for a method that converges linearly, and 1e-4 of the tolerance
        for a method that converges quadratically: further digits then cost little, and with 1e-2
        errors of van der Pol's equation were up to 10,000 times larger. For a scheme that preserves
        invariants it is 1e-14, since the invariants need all digits.

        Args:
            method: the Newton method of the march.
        """
        rounding, part = 1e-14, 1e-2 if method.is_linear else 1e-4
        return rounding if self.collocation.preserves else max(rounding, part * self.tolerance)


@dataclass(frozen=True, eq=False)
class Attempt:
    """An attempt to solve a window (a span of time), which the march accepts or refuses.

    Args:
        window: the window with its solution and errors.
        space: the size of the discretization in space in words, such as "8 intervals"; "" for none.
        notes: numbers for the history, by name.
    """

    window: Window
    space: str
    notes: dict[str, float]


Tried = TypeVar("Tried", bound=Attempt)


class TimeState(Kept, ABC, Generic[Tried]):
    """The state of a march: the solution at the end of the windows so far; a base class.

    A window is a span of time that is solved at once. Subclasses have splines or other Galerkin
    functions, or cells, as functions of space; in this class they are called the space.

    Args:
        settings: the settings of the march.
        residuals: the terms of the loss; their `surrogate` is the solution.
        terms: the equation, the initial values and the boundary conditions of the evolution.

    Attributes:
        order: the order of the equation in time.
        time: the time up to which the solution is known.
        latest: the last window that has been solved; None at the initial time.
        error_squares, squares: the integrals over time so far of the squared norms of the estimated
            error and of the solution.
        limited: whether the space has been too coarse for the tolerance.
        hurried: whether windows have been accepted that were too long for the tolerance, or whose
            space was too coarse, for lack of time.
        stopped: the reason, in words, why no further window can be tried; "" if there is none.
        deadline: the reading of `time.perf_counter` at which the step must end, by the budget.
        doubt: the share with which errors of windows are raised, see `Window.doubted`.
        since: the reading at which the present attempt began, with the present functions of space.
        first, again: the measured or expected seconds of a window whose length differs from that of
            the window before, and of a window of the same length, divided by `work`; 0 if they are
            not known.
        choice: the numbers of stages that windows may have.
        keeps_factors: whether windows of equal length share the factors of their matrices.
        watches_growth: whether waves that grow without bound are searched for after each window.
    """

    order: int
    time: float
    latest: Window | None = None
    error_squares: float = 0.0
    squares: float = 0.0
    limited: bool = False
    hurried: bool = False
    stopped: str = ""
    deadline: float = math.inf
    doubt: float = 0.0
    since: float = 0.0
    first: float = 0.0
    again: float = 0.0
    choice: StageChoice
    keeps_factors: ClassVar[bool] = False
    watches_growth: ClassVar[bool] = True
    kept: tuple[str, ...] = ("error_squares", "squares", "limited", "hurried")

    @classmethod
    def check(cls, settings: MarchSettings) -> None:
        """Refuse settings of a march that are not possible with this kind of function space.

        Raises:
            InputError: for settings that are not possible.
        """

    def __init__(
        self, settings: MarchSettings, residuals: Residuals, terms: EvolutionTerms
    ) -> None:
        self.settings, self.surrogate, self.terms = settings, residuals.surrogate, terms
        self.begin, self.end = self.surrogate.domain.time_span
        self.time = self.begin

    @property
    def spent(self) -> float:
        """The estimated error so far, relative to the solution, in L2 over space and time."""
        return math.sqrt(self.error_squares / max(self.squares, 1e-300))

    def _add(self, window: Window, error_squares: float) -> float:
        """Add an accepted window (span of time) to the integrals over time.

        Args:
            window: the window.
            error_squares: the integral over its time of the squared norms of the error.

        Returns:
            The size of the solution, to which the errors of the next window are relative: the norm
            at the present time or, if that is larger, the root mean square of the norms so far.
        """
        self.error_squares += error_squares
        self.squares += window.length * window.mean**2
        passed = window.start + window.length - self.begin
        return max(window.size, math.sqrt(self.squares / passed))

    @property
    def seconds_left(self) -> float:
        """The seconds until `deadline` by the clock of rank 0, which all ranks read together."""
        return self.deadline - from_first(time.perf_counter())

    @property
    def is_late(self) -> bool:
        """True if `deadline` has passed."""
        return self.seconds_left < 0

    @property
    def work(self) -> float:
        """The operations for a window with the present functions of space, up to a factor."""
        return 1.0

    @property
    def costs(self) -> tuple[float, float]:
        """The expected seconds of a window of another length, and of one of the same length.

        The length is compared with that of the window before. If factors are kept, windows of the
        same length are cheaper. Both numbers are 0 if they are not known.
        """
        share = 0.4  # of a window with kept factors: measured 0.25 to 0.4 for linear equations
        again = self.again or (share if self.keeps_factors else 1.0) * self.first
        return (self.first or self.again) * self.work, again * self.work

    def learn(self, same: bool) -> None:
        """Record the seconds that an accepted window has taken.

        Args:
            same: whether the window had the length and the stages of the window before.
        """
        seconds = from_first(time.perf_counter() - self.since) / self.work
        if same or not self.keeps_factors:
            self.again = seconds
        if not (same and self.keeps_factors):
            self.first = seconds

    @abstractmethod
    def start(self, scheme: Stages, length: float) -> None:
        """Represent the initial values by the functions of space, which are refined if necessary.

        Args:
            scheme: the collocation stages of the first window of time.
            length: the length of the first window.
        """

    @abstractmethod
    def jet(self) -> tuple[Points, Jet] | None:
        """The solution with its derivatives at points, for a check for growing waves.

        The result has the points in space and time, and the jet there. It is None for equations in
        time alone, where no waves in space can grow.
        """

    @abstractmethod
    def attempt(self, scheme: Stages, length: float, allowed: float) -> Tried | None:
        """Try to solve the next window, the span of time after the present time.

        The functions of space are refined until they resolve the window, unless the error in time
        is too large. The result is None if no window can be tried, with the reason in `stopped`, or
        if `deadline` has passed.

        Args:
            scheme: the collocation stages of the window.
            length: the length of the window.
            allowed: the largest error in time with which the window will be accepted.
        """

    @abstractmethod
    def member(self, done: Tried) -> Network:
        """The network that represents the solution in the window (span of time) of an attempt."""

    @abstractmethod
    def accept(self, done: Tried, time: float) -> None:
        """Advance the state to the end of an accepted window.

        Args:
            done: the accepted attempt.
            time: the end of the window.
        """

    def follow(self, control: Control, window: Window) -> None:
        """Choose the length and the number of stages of the next window.

        Args:
            control: the control of the march, which stores the choice.
            window: the window that has been accepted.
        """
        control.follow(window)

    @abstractmethod
    def lighten(self, done: Tried, length: float) -> None:
        """Coarsen the functions of space where they are finer than the next window needs.

        Args:
            done: the accepted attempt of the last window (span of time).
            length: the length of the next window.
        """


def state_of(window: Window) -> dict[str, Any]:
    """Return a window as plain values, without error estimates; `window_of` restores it."""
    scheme, names = window.stages, ("start", "length", "states")
    return {"stages": (scheme.count, scheme.kind)} | {n: getattr(window, n) for n in names}


def window_of(state: Mapping[str, Any]) -> Window:
    """Restore the window that `state_of` has returned as plain values."""
    return Window(**dict(state) | {"stages": stages(*state["stages"])})
